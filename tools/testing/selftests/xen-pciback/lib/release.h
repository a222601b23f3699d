/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Are all references dropped? A function to which somebody still holds one is never freed.
 */
#ifndef SELFTEST_XEN_PCIBACK_RELEASE_H
#define SELFTEST_XEN_PCIBACK_RELEASE_H

#include <stddef.h>

#include "pci.h"

/* Count the calls of a function of the kernel's from here on; and how many it were */
void calls_begin(const char *function);
unsigned int calls_end(void);

/*
 * Remove functions that nobody owns, count those that the kernel frees, and
 * find them again below @port.
 */
unsigned int release_count(struct fn port, const struct fn *fns, size_t nr);

/*
 * References to pciback's own record of a function, the only one that it owns: 1,
 * unless somebody has kept one. Who unbinds it would wait for that for ever.
 */
unsigned int release_record_refs(struct fn fn);

/*
 * The backend's record of a guest, which functions that are handed out refer to.
 * Begin before the guest does; note which one it is once it has a function; and how
 * often has that been freed since?
 */
void release_backend_begin(void);
void release_backend_note(void);
unsigned int release_backend_freed(void);
void release_backend_end(void);

#endif
