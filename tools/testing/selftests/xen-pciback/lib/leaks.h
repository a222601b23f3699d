/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory that was allocated and that nobody has a pointer to any more, as the
 * kernel finds it (CONFIG_DEBUG_KMEMLEAK).
 */
#ifndef SELFTEST_XEN_PCIBACK_LEAKS_H
#define SELFTEST_XEN_PCIBACK_LEAKS_H

/* How many such objects of pciback's are known by now */
unsigned int leaks_known(void);
/*
 * Look for them, which takes a while, and return how many are known then. Tells
 * some that were not @known before. @known where the kernel cannot tell.
 */
unsigned int leaks_find(unsigned int known);

#endif
