// SPDX-License-Identifier: GPL-2.0
/*
 * The witness, which reads the hardware's trace while a test runs. See witness.h.
 */
#include <err.h>
#include <linux/pci_regs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hw.h"
#include "witness.h"

/* A mark of hw.h's for tests: three bits for what, five for whom */
#define MARK(mark, nr)	(0xff00 | (mark) << 5 | (nr))
#define MARK_KIND(val)	((val) >> 5 & 7)
#define MARK_NR(val)	((val) & (WITNESS_MAX - 1))

void witness_mark(enum witness_mark mark, unsigned int nr)
{
	hw_mark(MARK(mark, nr));
}

static void violation(struct witness *witness, const struct witness_fn *fn,
		      const char *what)
{
	static const char * const states[] = {
		[WITNESS_FREE] = "idle",
		[WITNESS_UNOWNED] = "not pciback's",
		[WITNESS_ASSIGNED] = "a guest's",
	};
	char text[sizeof(witness->first)];

	snprintf(text, sizeof(text), "%s, which is %s: %s", fn->fn.name,
		 states[fn->state], what);
	fprintf(stderr, "# witness: %s\n", text);
	if (!witness->violations++)
		snprintf(witness->first, sizeof(witness->first), "%s", text);
}

/* A strong reset of @fn, @by its own method or its set's */
static void strong_reset(struct witness *witness, struct witness_fn *fn,
			 const char *by)
{
	if (fn->state == WITNESS_FREE)
		fn->reset = true;
	else if (!fn->asked)
		violation(witness, fn, by);
}

static void look_at_write(struct witness *witness,
			  const struct hw_event *event)
{
	bool sbr = false, flr, d3;
	struct witness_fn *fn;
	unsigned int i, b;

	for (i = 0; i < witness->nr; i++) {
		fn = &witness->fns[i];
		for (b = 0; b < fn->nr_above; b++) {
			if (!hw_is_sbr(event, fn->above[b]))
				continue;
			strong_reset(witness, fn, "secondary bus reset");
			sbr = true;
		}
		if (event->bus != fn->fn.bus || event->dev != fn->fn.dev ||
		    event->func != fn->fn.func)
			continue;

		flr = fn->exp && event->offset == fn->exp + PCI_EXP_DEVCTL &&
		      event->val & PCI_EXP_DEVCTL_BCR_FLR;
		if (flr)
			strong_reset(witness, fn, "FLR");
		d3 = fn->pm && event->offset == fn->pm + PCI_PM_CTRL &&
		     (event->val & PCI_PM_CTRL_STATE_MASK) == 3;
		if (d3 && fn->state != WITNESS_FREE && !fn->asked)
			violation(witness, fn, "D3hot");
		witness->flrs += flr;
		witness->d3s += d3;
	}
	witness->sbrs += sbr;
}

/* Whatever resets one of a set may reset all */
static void mark_asked(struct witness *witness, unsigned int nr, int more)
{
	const struct witness_fn *one = &witness->fns[nr], *fn;
	unsigned int i;

	for (i = 0; i < witness->nr; i++) {
		fn = &witness->fns[i];
		if (i == nr || (one->nr_above && fn->nr_above &&
				!strcmp(fn->above[0].name, one->above[0].name)))
			witness->fns[i].asked += more;
	}
}

/* Returns false if it was the last */
static bool look_at_mark(struct witness *witness, enum witness_mark mark,
			 unsigned int nr)
{
	struct witness_fn *fn = &witness->fns[nr];

	switch (mark) {
	case WITNESS_CLEAN:
		witness->handed_out++;
		if (!fn->reset)
			violation(witness, fn, "handed out dirty");
		break;
	case WITNESS_ASSIGNED:
	case WITNESS_UNOWNED:
		witness->intervals++;
		fn->state = mark;
		break;
	case WITNESS_FREE:
		fn->reset = false;
		fn->state = mark;
		break;
	case WITNESS_ASKED:
		mark_asked(witness, nr, 1);
		break;
	case WITNESS_ANSWERED:
		mark_asked(witness, nr, -1);
		break;
	case WITNESS_TICK:
		break;
	case WITNESS_STOP:
		return false;
	}
	return true;
}

static void look(struct witness *witness)
{
	struct hw_event event;
	bool more = true;
	struct hw hw;

	hw_begin(&hw);
	__atomic_store_n(&witness->ready, 1, __ATOMIC_RELEASE);
	while (more) {
		event = hw_next(&hw);
		if (event.kind == 'r')
			witness->devices++;
		else if (hw_is_mark(&event, event.val) &&
			 (uint16_t)event.val >= MARK(0, 0))
			more = look_at_mark(witness, MARK_KIND(event.val),
					    MARK_NR(event.val));
		else
			look_at_write(witness, &event);
	}
	hw_end(&hw);
}

pid_t witness_start(struct witness *witness)
{
	struct witness_fn *fn;
	unsigned int i;
	pid_t pid;

	for (i = 0; i < witness->nr; i++) {
		fn = &witness->fns[i];
		fn->exp = fn_cap(fn->fn, PCI_CAP_ID_EXP);
		fn->pm = fn_cap(fn->fn, PCI_CAP_ID_PM);
	}

	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		look(witness);
		_exit(0);
	}
	while (!__atomic_load_n(&witness->ready, __ATOMIC_ACQUIRE)) {
		if (waitpid(pid, NULL, WNOHANG))
			errx(1, "the witness is gone");
		usleep(10000);
	}
	return pid;
}
