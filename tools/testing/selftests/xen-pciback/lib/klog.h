/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's log, from a chosen moment on.
 */
#ifndef SELFTEST_XEN_PCIBACK_KLOG_H
#define SELFTEST_XEN_PCIBACK_KLOG_H

#include <stdbool.h>

/*
 * Returns what to pass to the others: the log from here on. Not to be shared with a
 * child: a line that one process has read is not there for the other.
 */
int klog_begin(void);
/*
 * Is there a line that contains both strings? It is copied to @line, which
 * may be NULL. Looks from klog_begin() on.
 */
bool klog_has(int klog, const char *one, const char *two, char *line,
	      unsigned int size);
/* And how many such lines are there? */
unsigned int klog_count(int klog, const char *one, const char *two);
/* When was the last such line logged? In us; -1 if there is none */
long long klog_time(int klog, const char *one, const char *two);
void klog_end(int klog);

#endif
