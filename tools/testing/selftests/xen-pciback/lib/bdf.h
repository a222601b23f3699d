/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses as they are written to pciback's files: a reference parser, which follows
 * Documentation/ABI, to compare the driver's parser with. Used in the VM and outside it.
 */
#ifndef SELFTEST_XEN_PCIBACK_BDF_H
#define SELFTEST_XEN_PCIBACK_BDF_H

#include <stdbool.h>
#include <stddef.h>

struct bdf {
	unsigned int domain, bus, dev, func;
};

/* Is it an address, and if so, which? */
bool bdf_parse(const char *text, size_t len, struct bdf *bdf);
/* A reproducible sketch of the bytes, for the log */
void bdf_escape(const char *text, size_t len, char *out, size_t size);

#endif
