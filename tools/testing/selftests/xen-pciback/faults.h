/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of test_modules/pciback_fault.c share: all functions that can have
 * faults, as they were before, and what a function without any looks like.
 */
#ifndef SELFTEST_XEN_PCIBACK_FAULTS_H
#define SELFTEST_XEN_PCIBACK_FAULTS_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/pci.h"

#define MAX_FNS		16
#define HEADER_SIZE	64

static inline uint32_t id(struct fn fn)
{
	return fn_read(fn, PCI_VENDOR_ID, 4);
}

static inline bool away(struct fn fn)
{
	return id(fn) == 0xffffffff;
}

static inline void hold_in_sbr(struct fn bridge, bool on)
{
	uint16_t control = fn_read(bridge, PCI_BRIDGE_CONTROL, 2);

	control &= ~PCI_BRIDGE_CTL_BUS_RESET;
	if (on)
		control |= PCI_BRIDGE_CTL_BUS_RESET;
	fn_write(bridge, PCI_BRIDGE_CONTROL, control, 2);
	usleep(2000);
}

static inline void sbr(struct fn bridge)
{
	hold_in_sbr(bridge, true);
	hold_in_sbr(bridge, false);
}

static inline bool has_method(struct fn fn, const char *method)
{
	char path[256], methods[128] = "", *word;
	FILE *f;

	fn_path(fn, "reset_method", path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(methods, sizeof(methods), f))
		*methods = '\0';
	fclose(f);
	for (word = strtok(methods, "\n "); word; word = strtok(NULL, "\n "))
		if (!strcmp(word, method))
			return true;
	return false;
}

/* All of the machine's functions that can have faults */
static inline unsigned int all_functions(struct fn *fns)
{
	struct fn card = fn_root(0x13), conventional, second;
	unsigned int nr = 0;

	conventional = fn_below(fn_root(0x14), 0, 0);
	second = fn_below(fn_root(0x16), 1, 0);
	fns[nr++] = fn_below(fn_root(0x10), 0, 0);
	fns[nr++] = fn_below(fn_root(0x11), 0, 0);
	fns[nr++] = fn_below(fn_root(0x12), 0, 0);
	fns[nr++] = fn_below(card, 0, 0);
	fns[nr++] = fn_below(card, 0, 1);
	fns[nr++] = fn_below(card, 0, 2);
	fns[nr++] = fn_below(conventional, 1, 0);
	fns[nr++] = fn_below(conventional, 2, 0);
	fns[nr++] = fn_below(fn_root(0x15), 0, 0);
	fns[nr++] = fn_below(second, 1, 0);
	fns[nr++] = fn_below(second, 2, 0);
	fns[nr++] = fn_below(fn_root(0x17), 0, 0);
	fns[nr++] = fn_root(0x18);
	return nr;
}

FIXTURE(fault)
{
	struct fn fns[MAX_FNS];
	unsigned char was[MAX_FNS][PCI_CONFIG_SIZE];
	unsigned int nr;

	struct fn nvme, nic, card[3], port;	/* FLR; PM; PM, PM, nothing */
	struct fn bridge, conventional;
	struct hw hw;
};

FIXTURE_SETUP(fault)
{
	unsigned int i;

	memset(self, 0, sizeof(*self));
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	self->nr = all_functions(self->fns);
	for (i = 0; i < self->nr; i++)
		fn_read_config(self->fns[i], 0, self->was[i], PCI_CONFIG_SIZE);

	self->nvme = fn_below(fn_root(0x10), 0, 0);
	self->nic = fn_below(fn_root(0x12), 0, 0);
	self->port = fn_root(0x13);
	for (i = 0; i < ARRAY_SIZE(self->card); i++)
		self->card[i] = fn_below(self->port, 0, i);
	self->bridge = fn_below(fn_root(0x14), 0, 0);
	self->conventional = fn_below(self->bridge, 2, 0);

	ASSERT_EQ(0, fault_load());
}

/* No fault is left; what a reset has cleared is as it was for the next test */
FIXTURE_TEARDOWN(fault)
{
	unsigned int i, at;
	uint32_t val;

	EXPECT_EQ(0, fault_unload());
	for (i = 0; i < self->nr; i++) {
		for (at = 0; at < HEADER_SIZE; at += 4) {
			memcpy(&val, self->was[i] + at, 4);
			/* Status is for clearing bits in */
			if (fn_read(self->fns[i], at, 4) != val)
				fn_write(self->fns[i], at, val,
					 at == PCI_COMMAND ? 2 : 4);
		}
		EXPECT_EQ(0, memcmp(self->was[i], &(uint32_t){ id(self->fns[i]) },
				    4));
	}
}

/* Each function's config space but Status, and but the function @but's */
#define expect_unchanged(but) do {					\
	unsigned char now[PCI_CONFIG_SIZE];				\
	unsigned int i;							\
									\
	for (i = 0; i < self->nr; i++) {				\
		if (!strcmp(self->fns[i].name, (but).name))		\
			continue;					\
		fn_read_config(self->fns[i], 0, now, sizeof(now));	\
		EXPECT_EQ(0, memcmp(now, self->was[i], sizeof(now))) {	\
			TH_LOG("%s has changed", self->fns[i].name);	\
		}							\
	}								\
} while (0)

#define NOBODY	((struct fn){ .name = "" })

#endif
