/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hold a task at a kernel function while another one acts, so that a race does not depend on
 * luck. The module is test_modules/pciback_hold.c.
 */
#ifndef SELFTEST_XEN_PCIBACK_HOLD_H
#define SELFTEST_XEN_PCIBACK_HOLD_H

#include <stdbool.h>
#include <sys/types.h>

#define HOLD_MODULE	"test_modules/pciback_hold.ko"
#define HOLD_DIR	"/sys/kernel/debug/pciback_hold"

/* Has the module been built? If not, skip the test. */
bool hold_available(void);
/* Loading it when it is loaded, and unloading when it is not, is no error */
int hold_load(void);
int hold_unload(void);

/* Hold the task that calls @function next: before, or after it is done. One at a time. */
int hold_at_entry(const char *function);
int hold_at_return(const char *function);
/* Wait until somebody is held; false if it does not come to that */
bool hold_wait(void);
/* Let go who is held at a return, and hold who comes next; -ENOENT: nobody is */
int hold_next(void);
/* Let go who is held, and hold nobody any more */
int hold_let_go(void);
/* From here on a held task goes on after so long, and the kernel's log shows that */
int hold_for(unsigned int ms);
#define HOLD_IS_OVER	"nobody lets"

/*
 * Wait until the task is in @function of the kernel's, and stays there: it waits
 * for somebody. False if it ends, or does not come to that.
 */
bool hold_waits_in(pid_t pid, const char *function);

#endif
