/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hardware's trace: what QEMU reports about its devices.
 *
 * QEMU traces each write to config space and each reset of a device. Outside
 * the VM, qemu/feed.awk turns that into short lines and sends them back in on
 * HW_FEED, so that a test can assert on them:
 *
 *	w BB:DD.F OFFSET VALUE NAME	config write
 *	r TYPE OBJECT			device reset
 *
 * A test sets a mark before and after what it does: a write to a register of the host
 * bridge that nobody uses. The marks come back in the same stream. This shows only functions
 * in PCI domain 0: those in other domains are not QEMU's (topology.h).
 */
#ifndef SELFTEST_XEN_PCIBACK_HW_H
#define SELFTEST_XEN_PCIBACK_HW_H

#include <stdint.h>
#include <stdio.h>

#include "pci.h"

#define HW_FEED		"/dev/hw"
#define HW_MONITOR	"/dev/monitor"

struct hw_event {
	char kind;			/* 'w' or 'r' */
	uint8_t bus, dev, func;		/* w */
	unsigned int offset;
	uint32_t val;
	unsigned long long object;	/* r: QEMU's device, by its address */
	char type[32];
};

struct hw {
	int fd;
	struct hw_event *events;
	size_t nr, max;
	char line[256];
	size_t len;
	/* It slept: what was under way to the port then is missing, or cut */
	bool slept;
};

/* Start a step, and end it: afterwards @events is all that happened between */
void hw_begin(struct hw *hw);
void hw_end(struct hw *hw);
/*
 * Between the two, for one who looks at what happens as it happens: the next
 * event, which is waited for. It is not kept.
 */
struct hw_event hw_next(struct hw *hw);
/* A mark of one's own between: it comes back as an event. 16 bits. */
void hw_mark(uint16_t mark);
/*
 * Hold back the marks of all processes: of what is written to config space nothing
 * is sure to arrive while a module puts itself between the kernel and a bus. Returns
 * what is to be closed after that.
 */
int hw_hold_marks(void);
/* Is @event that mark? */
int hw_is_mark(const struct hw_event *event, uint16_t mark);

/* Writes to @to at @offset whose value, masked, is @val */
unsigned int hw_writes(const struct hw *hw, struct fn to, unsigned int offset,
		       uint32_t mask, uint32_t val);
/* Function-level resets asked of @fn */
unsigned int hw_flrs(const struct hw *hw, struct fn fn);
/* Pulses of secondary bus reset asked of @bridge */
unsigned int hw_sbrs(const struct hw *hw, struct fn bridge);
int hw_is_sbr(const struct hw_event *event, struct fn bridge);
/* Writes that put @fn into D3hot */
unsigned int hw_d3s(const struct hw *hw, struct fn fn);
/* Writes to the Slot Control of @port */
unsigned int hw_slot_controls(const struct hw *hw, struct fn port);
/* Devices of @type that were reset, and all devices */
unsigned int hw_resets(const struct hw *hw, const char *type);
unsigned int hw_all_resets(const struct hw *hw);
/* All writes to the config space of @fn */
unsigned int hw_all_writes(const struct hw *hw, struct fn fn);

/* What happened, for a person, a line a fact, each after @prefix */
void hw_print(const struct hw *hw, FILE *f, const char *prefix);

/*
 * Not a witness but the hand that changes hardware: a command for QEMU's
 * monitor, such as device_add, with options as in qemu/machine.sh. One that has
 * something to print has failed, and so has the test.
 */
void hw_monitor(const char *command);

#endif
