/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions that pciback owns, and their configuration at the time when it took them.
 */
#ifndef SELFTEST_XEN_PCIBACK_OWNED_H
#define SELFTEST_XEN_PCIBACK_OWNED_H

#include <stdbool.h>
#include <stddef.h>

#include "pci.h"

#define OWNED_MAX	16

struct owned {
	struct fn fns[OWNED_MAX];
	unsigned char bound[OWNED_MAX][PCI_CONFIG_SIZE];
	unsigned int nr;
};

/*
 * Adopt these as well, struct fn each. owned_adopt() asks for a reset of each of them, as
 * a toolstack does, so they are as clean as can be; owned_seize() asks for nothing.
 * owned_release() is due whether it succeeds or not.
 */
#define owned_adopt(owned, ...)						\
	owned_adopt_all(owned, (const struct fn[]){ __VA_ARGS__ },	\
			sizeof((const struct fn[]){ __VA_ARGS__ }) /	\
			sizeof(struct fn), true)
#define owned_seize(owned, ...)						\
	owned_adopt_all(owned, (const struct fn[]){ __VA_ARGS__ },	\
			sizeof((const struct fn[]){ __VA_ARGS__ }) /	\
			sizeof(struct fn), false)
int owned_adopt_all(struct owned *owned, const struct fn *fns, size_t nr, bool ask);
int owned_release(struct owned *owned);

/*
 * How many of the first @len bytes of config space are not as they were, in all
 * functions. Tells which.
 */
unsigned int owned_changed(const struct owned *owned, size_t len);

/* Wait until pciback has reset all of them after a release, as fn_wait_clean() */
bool owned_wait_clean(const struct owned *owned);

#endif
