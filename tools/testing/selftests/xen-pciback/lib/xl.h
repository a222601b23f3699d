/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A real guest, created by the unmodified xl. A PV guest runs qemu/guest-init, an HVM guest
 * is guest/main.c. Both take commands from their console.
 *
 * All that can fail return 0 or a negative errno: -EIO if xl fails (what it said
 * is in XL_LOG), -ETIMEDOUT if what is waited for does not happen.
 */
#ifndef SELFTEST_XEN_PCIBACK_XL_H
#define SELFTEST_XEN_PCIBACK_XL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../../kselftest.h"
#include "pci.h"

#define XL_LOG		"/tmp/xl.log"
/* Enough for a guest's boot and for all that xl does, on a machine that is busy */
#define XL_WAIT_S	600

struct xl {
	char name[16];
	int id;				/* of the domain, or 0 */
	char config[64];
	char console[64];		/* what it says */
	long heard;			/* of that, up to here */
	int tty;			/* where it listens */
	unsigned int commands;
	bool hvm;
	pid_t monitor;			/* xl's, that restarts it */
};

/* Is there xl in this VM, and a kernel for a guest? */
bool xl_possible(void);
/* And what an HVM guest needs? */
bool xl_hvm_possible(void);

/*
 * Write the configuration of a guest with these functions; @more: lines for its
 * end, which prevail, or NULL.
 */
int xl_define(struct xl *xl, const char *name, const struct fn *fns,
	      unsigned int nr, const char *more);
/* The same for an HVM guest */
int xl_define_hvm(struct xl *xl, const char *name, const struct fn *fns,
		  unsigned int nr, const char *more);
/* The process of an HVM guest's device model */
pid_t xl_device_model(const struct xl *xl);
/* xl create; @options, or "" */
int xl_create(struct xl *xl, const char *options);
/* The same with a process of xl's that stays and restarts the guest */
int xl_create_monitored(struct xl *xl);
/* Until it has all its functions and listens */
int xl_wait_ready(struct xl *xl);
/* Until it has been restarted: it has another number then, and is ready */
int xl_wait_restarted(struct xl *xl);
/* Until pciback has taken everything back: xl does not wait for that. */
int xl_destroy(struct xl *xl);
/* What xl_destroy() waits for, of a guest that may still run */
int xl_wait_released(const struct xl *xl);
/* To a file, likewise, and back */
int xl_save(struct xl *xl, const char *path);
int xl_restore(struct xl *xl, const char *path);

/*
 * The functions of a guest that runs. Attached: until the guest has it. -ETIMEDOUT if the
 * guest does not let go of what is detached.
 */
int xl_attach(struct xl *xl, struct fn fn);
int xl_detach(struct xl *xl, struct fn fn);
/* Until a guest that does not run has it: xl does not wait */
int xl_wait_assigned(const struct xl *xl, struct fn fn);
/* Until pciback has an error for its toolstack, which is in xenstore */
int xl_wait_error(const struct xl *xl, char *buf, size_t size);
/* By which address the guest knows it, or the empty string */
void xl_address(const struct xl *xl,
		struct fn fn, char *buf, size_t size);

/*
 * Have the guest do something: returns its exit status. What it printed is in
 * @out, which may be NULL.
 */
__printf(4, 5)
int xl_run(struct xl *xl, char *out, size_t size, const char *fmt, ...);
/* The same, but do not wait */
void xl_tell(struct xl *xl, const char *command);
/* The configuration of one of its functions, as the guest sees it */
int xl_config(struct xl *xl,
	      struct fn fn, unsigned char *config);

/* Run xl in dom0: 0 or -EIO */
__printf(1, 2)
int xl_command(const char *fmt, ...);
/*
 * How many IOMMU faults has Xen logged for this requester? A function behind a conventional
 * bridge does its DMA as that bridge. A fault fails the whole run (scripts/check/check.sh),
 * unless it is announced by xl_expect_iommu_faults().
 */
unsigned int xl_iommu_faults(struct fn requester);
void xl_expect_iommu_faults(struct fn requester, bool expected);
/* Has xl said that, since xl_forget()? */
bool xl_said(const char *what);
void xl_forget(void);

#endif
