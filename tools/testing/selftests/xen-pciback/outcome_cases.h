/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What may go wrong (outcome_cases.c), and what should come of it (outcomes.c).
 */
#ifndef SELFTEST_XEN_PCIBACK_OUTCOME_CASES_H
#define SELFTEST_XEN_PCIBACK_OUTCOME_CASES_H

#include <stdbool.h>

#include "lib/guest.h"
#include "lib/pci.h"

/* What the next guest gets */
enum next {
	CLEAN,				/* It, reset */
	DIRTY,				/* It, with a warning; or strict_reset */
	NONE,				/* There is no function to be had */
};

/* All that a case may need */
struct scene {
	struct fn fn;			/* What it is about */
	struct fn nvme, nic, edu, root_nic, e1000, pf, vf;
	struct card card;
	struct guest guest, other;
	struct fn with_method;		/* Whose reset_method is not the default */
	int klog;
	char words[512];		/* The driver's, when it mattered */
	bool pulled;
};

struct outcome {
	const char *fault;
	const char *asked;
	/* Brings the scene about, and has it happen: the answer is its result */
	int (*play)(struct scene *s);
	int ret;
	const char *log;		/* Part of the line */
	bool owned;
	int needs_reset;
	enum next next;
	bool needs_method;		/* reset_method: not in all kernels */
	bool needs_ring;		/* dom0 as its own guest: not PVH */
};

extern const struct outcome outcomes[];
extern const unsigned int nr_outcomes;

/* The driver's last words on it, less how long it took */
void last_words(struct scene *s);

#endif
