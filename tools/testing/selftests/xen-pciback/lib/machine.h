/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Facts about a real machine, from a file in facts/, and the machine that
 * test_modules/pciback_topology.ko makes from them. The file has a line for each function;
 * tabs separate its columns. The first line that is no comment names the columns.
 */
#ifndef SELFTEST_XEN_PCIBACK_MACHINE_H
#define SELFTEST_XEN_PCIBACK_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "pci.h"

#define MACHINE_FNS	1024

/* In a PCI Express capability: the type of one that has none */
#define NO_PCIE		(-1)

struct fact {
	struct fn fn;			/* where it is in the VM */
	char bdf[24];			/* and in the machine, as the file has it */
	uint16_t class;
	uint16_t vendor;
	uint16_t device;
	uint8_t header;
	uint8_t secondary;		/* what a bridge leads to, or 0 */
	uint8_t subordinate;
	int type;			/* its PCI Express port type, or NO_PCIE */
	bool slot, hotplug, surprise;
	bool flr;
	unsigned int af;		/* the bits of the AF capability; 0: none */
	bool pm;
	bool soft_reset;		/* a PM reset is one */
	unsigned int total_vfs;
	unsigned int num_vfs;		/* that the file has, too */
	unsigned int vf_offset, vf_stride;
	uint16_t vf_device;
	char driver[32];		/* or "-" */
	const struct fact *pf;		/* of a VF */
	const struct fact *up;		/* the bridge to its bus; NULL: on a root bus */
};

struct machine {
	char name[128];			/* of the file */
	struct fact facts[MACHINE_FNS];	/* in the order of addresses */
	unsigned int nr;
};

/*
 * Read a file; false if there is something wrong with it, which is printed with
 * the file's name and the line's number.
 */
bool machine_read(struct machine *machine, const char *path);
/* It is there, until topology_unload(); 0 or a negative errno */
int machine_load(const struct machine *machine);
/* The function at an address in the VM, or NULL */
const struct fact *machine_find(const struct machine *machine, const char *name);
/* Is the function on that bus, or below it? */
bool machine_is_below(const struct fact *fact, const struct fact *bridge);
bool machine_same_device(const struct fact *a, const struct fact *b);
/* Does anybody give such a function to a guest? */
bool machine_is_passed(const struct fact *fact);
/*
 * Call @test for each file of the folder MACHINES, or facts/; with MACHINES_EVERY=N only
 * for one of N. Or for each in facts/made: machines that nobody has, with what no other
 * has. How many there are; without @test only that.
 */
unsigned int machine_each(bool made, void (*test)(const char *path, const char *name));

#endif
