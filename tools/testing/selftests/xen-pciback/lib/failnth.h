/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Make allocations of this task or of xenwatch fail, one after the other
 * (CONFIG_FAULT_INJECTION).
 */
#ifndef SELFTEST_XEN_PCIBACK_FAILNTH_H
#define SELFTEST_XEN_PCIBACK_FAILNTH_H

#include <stdbool.h>
#include <stddef.h>

#define OWN_FAIL_NTH	"/proc/thread-self/fail-nth"
#define FAILSLAB	"/sys/kernel/debug/failslab"

/* More than any of them allocates: the driver's loading does so most often */
#define NTH_MAX		5000

/* Which allocation is to fail, from 1 on, and whether it did: in the last call */
struct walk {
	unsigned int nth;
	bool failed;
	int fd;
};

extern struct walk walk;

/* One after the other, as long as there was one to fail, and once more */
#define for_each_nth()							\
	for (walk.nth = 1, walk.failed = true;				\
	     walk.failed && walk.nth < NTH_MAX; walk.nth++)

/* There was one to fail, and an end to it */
#define expect_walked() do {						\
	EXPECT_FALSE(walk.failed);					\
	EXPECT_LT(2, walk.nth);						\
	TH_LOG("%u allocations", walk.nth - 2);				\
} while (0)

/* Can this kernel let them fail? */
bool fail_possible(void);
/* All of them, from here on */
int fail_in_all(void);
/*
 * Only the driver's: xenwatch's others are not its concern. Where its code ends is not
 * told, but what follows has no part in a hand-out.
 */
int fail_in_driver(void);

/* Let @walk.nth of the task with this file in /proc fail, until the end */
void fail_begin(const char *fail_nth);
void fail_end(void);
/* A write with the allocation failing, to a file that is opened without */
int fail_write(const char *path, const char *s);
/* The only error is that there was no memory, and only if there was none */
bool fail_is_answer(int ret);

/* Xenwatch's @file in /proc */
void xenwatch_path(const char *file, char *path, size_t size);
/* Until it has nothing more to do: asleep, and not in wait for xenstore */
void xenwatch_wait_idle(void);

#endif
