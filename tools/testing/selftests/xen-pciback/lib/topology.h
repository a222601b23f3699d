/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions in topologies that the test machine does not have, and the counters that show
 * what happened to them. The head comments of test_modules/topology_main.c and
 * topology_layout.c say what they are, and what a layout is.
 */
#ifndef SELFTEST_XEN_PCIBACK_TOPOLOGY_H
#define SELFTEST_XEN_PCIBACK_TOPOLOGY_H

#include <stdbool.h>

#include "pci.h"

#define TOPOLOGY_MODULE	"test_modules/pciback_topology.ko"
#define TOPOLOGY_DIR	"/sys/kernel/debug/pciback_topology"

/* Has the module been built? If not, skip the test. */
bool topology_available(void);
int topology_load(const char *layout);
/* Unloading it when it is not loaded is no error */
int topology_unload(void);

/* What the layout has on the root bus: 0, 1, 2 ... */
struct fn topology_port(unsigned int nr);
/* The VFs of a PF are on the bus after its own: 0, 1, 2 ... */
struct fn topology_vf(struct fn pf, unsigned int nr);

/* What happened to a function since topology_begin() */
struct topology_count {
	unsigned int reads, writes, flrs, resets, sbrs;
};

void topology_begin(void);
struct topology_count topology_count(struct fn fn);

#endif
