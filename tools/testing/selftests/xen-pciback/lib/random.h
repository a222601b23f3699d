/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For programs whose tasks do things at random: random numbers, settings, and data that all
 * tasks read and change at the same time.
 */
#ifndef SELFTEST_XEN_PCIBACK_RANDOM_H
#define SELFTEST_XEN_PCIBACK_RANDOM_H

#include <stdlib.h>

#define atomic_add(var, n)	__atomic_add_fetch(&(var), n, __ATOMIC_SEQ_CST)
#define atomic_get(var)		__atomic_load_n(&(var), __ATOMIC_SEQ_CST)
#define atomic_set(var, val)	__atomic_store_n(&(var), val, __ATOMIC_SEQ_CST)

/* Less than @n, by the seed */
static inline unsigned int random_below(unsigned int *seed, unsigned int n)
{
	return rand_r(seed) / 7 % n;
}

/* From the environment: a number of that name, or @value */
static inline unsigned int setting(const char *name, unsigned int value)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : value;
}

#endif
