/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The witness: a process that reads the hardware's trace while a test runs whose tasks do not
 * wait for each other. The tasks' marks show it which functions must not be reset: those that
 * pciback does not own, and those that a guest has.
 *
 * A task sets a mark after it has put a function into such a state, and another one before it
 * begins to undo that. The marks are in the trace itself. So between the two the function's
 * state is certain, however late the witness reads them.
 */
#ifndef SELFTEST_XEN_PCIBACK_WITNESS_H
#define SELFTEST_XEN_PCIBACK_WITNESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "pci.h"

#define WITNESS_MAX	32

enum witness_mark {
	WITNESS_FREE,			/* From here on, and was in use until now */
	WITNESS_UNOWNED,		/* No reset by anybody */
	WITNESS_ASSIGNED,		/* None either, but of the core */
	WITNESS_CLEAN,			/* It should have been, when assigned */
	WITNESS_ASKED,			/* Of the core: its set may be reset, */
	WITNESS_ANSWERED,		/* up to here */
	WITNESS_TICK,
	WITNESS_STOP,
};

struct witness_fn {
	struct fn fn;
	struct fn above[2];		/* Bridges whose reset is one of it */
	unsigned int nr_above;
	/* The witness' own, or read once before */
	unsigned int exp, pm;
	enum witness_mark state;
	unsigned int asked;
	bool reset;			/* Strongly, since it was last in use */
};

/* In memory that is shared with the witness */
struct witness {
	struct witness_fn fns[WITNESS_MAX];
	unsigned int nr;
	unsigned int ready;
	/* What there was to see */
	unsigned int flrs, sbrs, d3s, devices;
	/* And what it was measured by */
	unsigned int intervals, handed_out;
	/* What should not have been, and the first of it */
	unsigned int violations;
	char first[160];
};

/*
 * The functions are set: a process of its own looks from here on, and ends with
 * WITNESS_STOP.
 */
pid_t witness_start(struct witness *witness);
/* A function by its number, or any for what concerns none */
void witness_mark(enum witness_mark mark, unsigned int nr);

#endif
