/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Resets of a card by vfio-pci, the other user of the PCI core's slot and bus resets, in a
 * kernel without Xen. Only for bench.c, which compares pciback with it.
 *
 * All return 0 or a negative errno.
 */
#ifndef SELFTEST_XEN_PCIBACK_VFIO_H
#define SELFTEST_XEN_PCIBACK_VFIO_H

#include <stddef.h>

#include "pci.h"

#define VFIO_MAX_FNS	8

struct vfio {
	int container;
	int groups[VFIO_MAX_FNS];
	size_t nr_groups;
	int devices[VFIO_MAX_FNS];
	size_t nr_devices;
};

/* Take functions that are bound to vfio-pci; vfio_close() is due either way */
int vfio_open(struct vfio *vfio, const struct fn *fns, size_t nr);
/* Reset all that a reset of the first one reaches */
int vfio_hot_reset(const struct vfio *vfio);
void vfio_close(struct vfio *vfio);

#endif
