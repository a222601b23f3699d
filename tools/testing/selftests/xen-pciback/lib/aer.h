/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Error recovery: AER errors are injected with the kernel's aer_inject.
 */
#ifndef SELFTEST_XEN_PCIBACK_AER_H
#define SELFTEST_XEN_PCIBACK_AER_H

#include "pci.h"

/*
 * A fatal error of @fn, which is below @port and has an AER capability: returns
 * when the kernel has recovered from it, which takes a reset of the link. -EIO
 * if it failed to, -ETIMEDOUT if it did not try.
 */
int aer_recover(struct fn port, struct fn fn);
/* The same if it may have to wait for a guest, five minutes for each question */
int aer_recover_late(struct fn port, struct fn fn);

/*
 * The steps of aer_recover(), if there is another one that unloads aer_inject.
 * aer_wait() looks from klog_begin() on.
 */
int aer_begin(struct fn fn);
int aer_wait(int klog, struct fn port);

#endif
