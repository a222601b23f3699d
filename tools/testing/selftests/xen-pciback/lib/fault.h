/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions that misbehave on demand. The head comment of test_modules/pciback_fault.c says
 * what each of its files is for.
 */
#ifndef SELFTEST_XEN_PCIBACK_FAULT_H
#define SELFTEST_XEN_PCIBACK_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pci.h"

#define FAULT_MODULE	"test_modules/pciback_fault.ko"
#define FAULT_DIR	"/sys/kernel/debug/pciback_fault"

/* In a file with a time in ms: until it is healed, or reset */
#define FAULT_FOR_EVER	UINT32_MAX

/* Has the module been built? If not, skip the test. */
bool fault_available(void);
/* Loading it when it is loaded, and unloading when it is not, is no error */
int fault_load(void);
int fault_unload(void);

/* A function can have faults from here on; none does until one is set */
int fault_add(struct fn fn);
int fault_remove(struct fn fn);

/* Any of a function's files: settings, "heal" and "clear" with 1 */
int fault_set(struct fn fn, const char *file, uint32_t val);
/* It is back, and what @file had it do does not happen any more */
int fault_heal(struct fn fn, const char *file);
/* Settings and counts */
uint32_t fault_get(struct fn fn, const char *file);
/* Config writes to it at this very offset */
unsigned int fault_writes(struct fn fn, unsigned int offset);

/* Until a reset that somebody else begins is counted in @file; false: none is */
bool fault_wait(struct fn fn, const char *file);

/*
 * A child that writes it to reset_device, and is in the middle of an FLR that
 * takes @ms when this returns; -1 if it does not come to that.
 */
pid_t fault_begin_reset(struct fn fn, uint32_t ms);

/*
 * The same by the kernel's own file, which resets what a guest has, too, and has the
 * device lock for as long as that takes
 */
pid_t fault_begin_core_reset(struct fn fn, uint32_t ms);

/*
 * Have the kernel find it anew: it looks at capabilities then, and knows the
 * invented ones from there on.
 */
int fault_rediscover(struct fn fn);

#endif
