// SPDX-License-Identifier: GPL-2.0
/*
 * Each kind of function, in each state of its set, reset by each who may ask:
 * what must come of it is computed here from the rules, not asked of the driver.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../kselftest_harness.h"
#include "lib/guest.h"
#include "lib/hw.h"
#include "lib/pci.h"

/* Of no domain in this VM */
#define DOMAIN		7

/* What the function can do by itself */
enum own { OWN_FLR, OWN_PM, OWN_NOTHING };
/* Where it is: with two others in a slot, alone in a slot, on the root bus */
enum place { IN_CARD, ALONE, ON_ROOT };
/* What is the matter with its set */
enum state { IDLE, SIBLING_UNOWNED, SIBLING_ASSIGNED, ASSIGNED, NR_STATES };
enum asker { BY_RESET_DEVICE, BY_DO_FLR, NR_ASKERS };

struct subject {
	const char *name;
	enum own own;
	enum place place;
	unsigned int port, dev, func;
};

static const struct subject subjects[] = {
	{ "flr, alone", OWN_FLR, ALONE, 0x17, 0, 0 },
	{ "pm, alone", OWN_PM, ALONE, 0x12, 0, 0 },
	{ "nothing, alone", OWN_NOTHING, ALONE, 0x15, 0, 0 },
	{ "pm, in a card", OWN_PM, IN_CARD, 0x13, 0, 0 },
	{ "pm, second in a card", OWN_PM, IN_CARD, 0x13, 0, 1 },
	{ "nothing, in a card", OWN_NOTHING, IN_CARD, 0x13, 0, 2 },
	{ "nothing, on the root bus", OWN_NOTHING, ON_ROOT, 0x18, 0, 0 },
};

static const char * const state_names[] = {
	"idle", "sibling unowned", "sibling assigned", "assigned",
};

static const char * const asker_names[] = { "reset_device", "do_flr" };

struct outcome {
	int ret;
	unsigned int flrs, sbrs, d3s;
	int needs_reset;
};

/* The rules */
static struct outcome expected(const struct subject *subject, enum state state,
			       enum asker asker)
{
	/* Nothing is done, and it is as dirty as before */
	struct outcome outcome = { .needs_reset = 1 };

	/* A guest's function is reset by its own method or not at all */
	if (state == ASSIGNED) {
		if (subject->own == OWN_FLR)
			outcome.flrs = 1;
		else if (asker == BY_RESET_DEVICE)
			outcome.ret = -EBUSY;
		return outcome;
	}

	/* The gentlest that really resets it */
	if (subject->own == OWN_FLR) {
		outcome.flrs = 1;
		outcome.needs_reset = 0;
		return outcome;
	}
	if (subject->place != ON_ROOT && state == IDLE) {
		outcome.sbrs = 1;
		outcome.needs_reset = 0;
		return outcome;
	}

	/* What is left: enough if there is nothing else, or for do_flr */
	if (subject->own == OWN_PM)
		outcome.d3s = 1;
	if (subject->place == ON_ROOT)
		outcome.ret = subject->own == OWN_PM ? 0 : -ENOTTY;
	else if (asker == BY_RESET_DEVICE || subject->own != OWN_PM)
		outcome.ret = -EBUSY;
	return outcome;
}

static void log_outcome(const char *what, const struct outcome *outcome)
{
	fprintf(stderr, "# %s: returns %d, %u FLR, %u SBR, %u D3, needs_reset %d\n",
		what, outcome->ret, outcome->flrs, outcome->sbrs, outcome->d3s,
		outcome->needs_reset);
}

FIXTURE(matrix)
{
	struct guest guest;
	struct fn owned[3];
	unsigned int nr;
};

FIXTURE_SETUP(matrix)
{
	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	/* What happens is what is asked for, and all is dirty before */
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
}

FIXTURE_TEARDOWN(matrix)
{
	EXPECT_EQ(0, guest_destroy(&self->guest));
	while (self->nr)
		EXPECT_EQ(0, fn_release(self->owned[--self->nr]));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
}

TEST_F_TIMEOUT(matrix, all, 300)
{
	unsigned int i, f, cells = 0;
	struct outcome want, got;
	const struct subject *subject;
	struct fn port, fn, sibling;
	enum state state;
	enum asker asker;
	struct hw hw;

	for (i = 0; i < ARRAY_SIZE(subjects) * NR_STATES * NR_ASKERS; i++) {
		subject = &subjects[i / (NR_STATES * NR_ASKERS)];
		state = i / NR_ASKERS % NR_STATES;
		asker = i % NR_ASKERS;
		if (subject->place != IN_CARD &&
		    (state == SIBLING_UNOWNED || state == SIBLING_ASSIGNED))
			continue;

		port = fn_root(subject->port);
		fn = subject->place == ON_ROOT ? port :
		     fn_below(port, subject->dev, subject->func);
		sibling = fn_below(port, 0, (subject->func + 1) % 3);

		if (subject->place == IN_CARD) {
			for (f = 0; f < 3; f++)
				self->owned[self->nr++] = fn_below(port, 0, f);
		} else {
			self->owned[self->nr++] = fn;
		}
		for (f = 0; f < self->nr; f++)
			ASSERT_EQ(0, fn_adopt(self->owned[f]));
		if (state == SIBLING_UNOWNED) {
			ASSERT_EQ(0, fn_release(sibling));
		} else if (state != IDLE) {
			ASSERT_EQ(0, guest_create(&self->guest, DOMAIN,
						  state == ASSIGNED ? &fn :
						  &sibling, 1));
		}
		ASSERT_EQ(1, fn_needs_reset(fn));

		hw_begin(&hw);
		got.ret = asker == BY_DO_FLR ? do_flr(fn) : reset_device(fn);
		hw_end(&hw);
		got.flrs = hw_flrs(&hw, fn);
		got.sbrs = subject->place == ON_ROOT ? 0 : hw_sbrs(&hw, port);
		got.d3s = hw_d3s(&hw, fn);
		got.needs_reset = fn_needs_reset(fn);

		want = expected(subject, state, asker);
		EXPECT_EQ(0, memcmp(&want, &got, sizeof(want))) {
			TH_LOG("%s, %s, by %s", subject->name,
			       state_names[state], asker_names[asker]);
			log_outcome("is", &got);
			log_outcome("should be", &want);
		}
		cells++;

		ASSERT_EQ(0, guest_destroy(&self->guest));
		while (self->nr)
			ASSERT_EQ(0, fn_release(self->owned[--self->nr]));
	}
	EXPECT_EQ(40, cells);
}

TEST_HARNESS_MAIN
