/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of stress share: its functions (places.c), the operations and their results
 * (ops.c), who has each function as far as that is known (owners.c), and the tasks' steps,
 * sorted by subject.
 */
#ifndef SELFTEST_XEN_PCIBACK_TASKS_H
#define SELFTEST_XEN_PCIBACK_TASKS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/pci.h"
#include "lib/random.h"
#include "lib/witness.h"

#define NOBODY		(-1)
/* The last is dom0, and has a frontend */
#define NR_GUESTS	3

/* -- places.c: the machine --------------------------------------------------- */

#define NO_BRIDGE	(-1)

/* As in qemu/machine.sh, and how each is reset when pciback has all of them */
struct place {
	unsigned int port;
	int bridge;			/* Below the port, or NO_BRIDGE */
	unsigned int dev, func;
	const char *plan;
	bool pluggable, aer;
};

#define NR_FNS		18
/* The VFs, and their PF, which another driver has all the time */
#define FIRST_VF	14
#define PF		NR_FNS
#define FIRST_ON_ROOT	12

extern const struct place places[NR_FNS];

/* Where it is, with the bridges above it */
struct witness_fn place_fn(unsigned int i);
struct fn fn_of(unsigned int i);
/* The first function of its set stands for all */
unsigned int set_of(unsigned int i);
bool is_pcibacks(unsigned int i);

/* -- ops.c: what can be done ------------------------------------------------- */

enum op {
	OP_RESET_DEVICE, OP_DO_FLR, OP_SYSFS_RESET, OP_READ, OP_PERMISSIVE,
	OP_UNBIND, OP_ADOPT, OP_NEW_SLOT,
	OP_GUEST_CREATE, OP_GUEST_ATTACH, OP_GUEST_DETACH, OP_GUEST_CONNECT,
	OP_GUEST_ACCESS, OP_GUEST_DESTROY,
	OP_RESET_METHOD, OP_STRICT_RESET, OP_AUTO_RESET, OP_STRICT, OP_SET_RESET,
	OP_REMOVE, OP_RESCAN, OP_NUMVFS, OP_PULL, OP_PRESS, OP_POWER_OFF,
	OP_AER, OP_FAULT_LOAD, OP_FAULT_UNLOAD, OP_FAULT, OP_MEMORY,
	NR_OPS
};

#define MAX_ERRORS	8
#define NR_ERRNOS	10
#define NR_FAULTS	10

/* And which answers there may be, beside 0 */
struct op_answers {
	const char *name;
	int errors[MAX_ERRORS];
};

struct injected {
	const char *file;
	uint32_t val;
	bool harmless;			/* No reason for a reset to fail */
};

struct errno_name {
	int number;
	const char *name;
};

extern const struct op_answers ops[NR_OPS];
extern const struct injected faults[NR_FAULTS];
extern const struct errno_name errnos[NR_ERRNOS];

/* The task does it, and it is counted and judged when it is done: on @i, or NR_FNS */
void begin(enum op op);
int end(enum op op, unsigned int i, int ret);
__printf(1, 2)
void say(const char *fmt, ...);
/* It is over: nothing more may hide the cause in the log */
__printf(1, 2)
void fail(const char *fmt, ...);

/* -- what all tasks know ----------------------------------------------------- */

struct subject {
	pthread_mutex_t lock;
	/* Of those that may change who has it */
	unsigned int under_way;
	bool overlapped;		/* So its result is not known */
	bool marked;
	int guest;			/* Who has it, as far as known */
	/* Of its set: only the first function's count */
	pthread_mutex_t core;		/* Resets that only the core looks at */
	unsigned int trouble, troubles;	/* Now, and ever: resets may fail */
};

struct task {
	pid_t pid;
	enum op doing;
	time_t since;			/* Or 0 */
};

#define MAX_TASKS	16

struct shared {
	struct witness witness;
	struct subject subjects[NR_FNS];
	unsigned int strict;		/* Odd: changes just now */
	bool strict_on;
	bool stop;
	/* Held while config accessors are laid over a bus, or taken off */
	pthread_mutex_t accessors;
	struct task tasks[MAX_TASKS];
	unsigned int times[NR_OPS], good[NR_OPS], refused[NR_OPS][NR_ERRNOS];
	unsigned int faults[NR_FAULTS];
	unsigned int failures;
	char first[160];
};

extern struct shared *shared;

/* A task's own */
extern unsigned int seed;
extern struct task *me;

/* At random, by the seed */
unsigned int any_below(unsigned int n);
/* Until it is time, or over */
void pause_ms(unsigned int ms);

/* -- owners.c: who has what -------------------------------------------------- */

/* From here on it may be reset: somebody is going to change who has it */
void change_begin(unsigned int i);
/*
 * And it is @guest's now, or nobody's; dirty if not @clean. Who was not alone
 * does not know; but if nobody is at it any more, what is not pciback's stays so.
 */
void change_end(unsigned int i, int guest, bool clean);
void change_set_begin(unsigned int set);
void change_set_end(unsigned int set);
/* Resets of this set may fail */
void trouble_begin(unsigned int set);
void trouble_end(unsigned int set);

/* -- the steps of each kind of task ------------------------------------------ */

void step_reset(void);
void step_own(void);
void step_guest(void);
void end_step_guest(void);
void step_rules(void);
void step_topology(void);
void step_faults(void);
void unload_faults(void);
void step_memory(void);

/* Which of the guests the task of step_guest() plays */
extern int guest_nr;

int set_reset_method(unsigned int i, const char *method);

#endif
