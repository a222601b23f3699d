// SPDX-License-Identifier: GPL-2.0
/*
 * Each kind of function, in each state of its set, reset by each possible writer, or by
 * nobody. The expected result is computed here from the rules, and does not come from the
 * driver.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/aer.h"
#include "lib/guest.h"
#include "lib/hw.h"
#include "lib/pci.h"

/* The function's own method */
enum own { OWN_FLR, OWN_PM, OWN_NOTHING };
/* Where it is: with two others in a slot, alone in a slot, on the root bus */
enum place { IN_CARD, ALONE, ON_ROOT };
/* What is the matter with its set */
enum state { IDLE, SIBLING_UNOWNED, SIBLING_ASSIGNED, ASSIGNED, NR_STATES };
enum asker {
	BY_RESET_DEVICE,
	BY_DO_FLR,
	/* Nobody asks: a function comes to the set, or comes back from a guest */
	BY_ADOPTION,
	BY_RELEASE,
	/* Not asked of pciback, but of the PCI core */
	BY_RESET_FILE,
	BY_RESET_SUBORDINATE,
	BY_ERROR_RECOVERY,
	NR_ASKERS
};

struct subject {
	const char *name;
	enum own own;
	enum place place;
	unsigned int port, dev, func;
	const char *reset_method;	/* What the administrator leaves of it */
	bool aer;
};

static const struct subject subjects[] = {
	{ "flr, alone", OWN_FLR, ALONE, 0x17, 0, 0 },
	{ "flr taken away, pm left, alone", OWN_PM, ALONE, 0x17, 0, 0, "pm" },
	{ "all taken away, alone", OWN_NOTHING, ALONE, 0x17, 0, 0, "\n" },
	{ "pm, alone", OWN_PM, ALONE, 0x12, 0, 0, NULL, true },
	{ "nothing, alone", OWN_NOTHING, ALONE, 0x15, 0, 0 },
	{ "pm, in a card", OWN_PM, IN_CARD, 0x13, 0, 0, NULL, true },
	{ "pm, second in a card", OWN_PM, IN_CARD, 0x13, 0, 1, NULL, true },
	{ "nothing, in a card", OWN_NOTHING, IN_CARD, 0x13, 0, 2 },
	{ "pm, on the root bus", OWN_PM, ON_ROOT, 0x1b, 0, 0 },
	{ "nothing, on the root bus", OWN_NOTHING, ON_ROOT, 0x18, 0, 0 },
};

static const char * const state_names[] = {
	"idle", "sibling unowned", "sibling assigned", "assigned",
};

static const char * const asker_names[] = {
	"reset_device", "do_flr", "adoption", "release", "the reset file",
	"reset_subordinate", "error recovery",
};

/* One case, and the functions that it is about */
struct cell {
	const struct subject *subject;
	enum state state;
	enum asker asker;
	struct fn port, fn, sibling, third;
};

struct outcome {
	int ret;
	unsigned int flrs, sbrs, d3s;
	int needs_reset;
};

/* -- the rules -------------------------------------------------------------- */

/* A reset of the whole set, if nobody is in its way */
static bool set_reset(const struct cell *cell, struct outcome *outcome)
{
	if (cell->subject->place == ON_ROOT || cell->state == SIBLING_UNOWNED ||
	    cell->state == SIBLING_ASSIGNED)
		return false;
	outcome->sbrs = 1;
	outcome->needs_reset = 0;
	return true;
}

/* The gentlest that really resets it; else what is left */
static bool thoroughly(const struct cell *cell, struct outcome *outcome)
{
	if (cell->subject->own == OWN_FLR) {
		outcome->flrs = 1;
		outcome->needs_reset = 0;
		return true;
	}
	if (set_reset(cell, outcome))
		return true;
	if (cell->subject->own == OWN_PM)
		outcome->d3s = 1;
	return false;
}

static struct outcome expected_of_pciback(const struct cell *cell)
{
	const struct subject *subject = cell->subject;
	/* Nothing is done, and it is as dirty as before */
	struct outcome outcome = { .needs_reset = 1 };

	/* It has a guest, and stays as it is */
	if (cell->state == ASSIGNED && cell->asker == BY_RESET_DEVICE) {
		outcome.ret = -EBUSY;
		return outcome;
	}

	/*
	 * That guest has no ring: for do_flr it has the function no more. It does not
	 * ask for what the next guest gets, so it is no error that nothing can be done.
	 */
	if (thoroughly(cell, &outcome) || cell->state == ASSIGNED)
		return outcome;

	/* What is left: enough if there is nothing else, or for do_flr */
	if (subject->place == ON_ROOT)
		outcome.ret = subject->own == OWN_PM ? 0 : -ENOTTY;
	else if (cell->asker == BY_RESET_DEVICE || subject->own != OWN_PM)
		outcome.ret = -EBUSY;
	return outcome;
}

/*
 * What the core has for the function alone. Where it is alone on its bus, it is alone
 * with a reset of that, too.
 */
static bool by_itself(const struct cell *cell, struct outcome *outcome)
{
	const struct subject *subject = cell->subject;

	switch (subject->own) {
	case OWN_FLR:
		outcome->flrs = 1;
		return true;
	case OWN_PM:
		outcome->d3s = 1;
		return true;
	default:
		if (subject->place != ALONE || subject->reset_method)
			return false;
		outcome->sbrs = 1;
		return true;
	}
}

/*
 * On bind only the function itself is reset, as ever, and not its siblings.
 * What a guest has given back is reset thoroughly, or as well as can be: by one reset.
 */
static struct outcome expected_of_nobody(const struct cell *cell)
{
	struct outcome outcome = { .needs_reset = 1 };

	/* It is the sibling that comes */
	if (cell->state == ASSIGNED)
		return outcome;

	if (cell->asker == BY_RELEASE)
		thoroughly(cell, &outcome);
	else if (by_itself(cell, &outcome) && !outcome.d3s)
		outcome.needs_reset = 0;
	return outcome;
}

/* The core asks nobody, and does not tell what it does: its reset makes nothing clean. */
static struct outcome expected_of_core(const struct cell *cell)
{
	struct outcome outcome = { .needs_reset = 1 };

	if (cell->asker != BY_RESET_FILE)
		outcome.sbrs = 1;
	else if (!by_itself(cell, &outcome))
		outcome.ret = -ENOTTY;
	return outcome;
}

static struct outcome expected(const struct cell *cell)
{
	switch (cell->asker) {
	case BY_RESET_DEVICE:
	case BY_DO_FLR:
		return expected_of_pciback(cell);
	case BY_ADOPTION:
	case BY_RELEASE:
		return expected_of_nobody(cell);
	default:
		return expected_of_core(cell);
	}
}

/* -- and what becomes of it -------------------------------------------------- */

static bool nobody_asks(const struct cell *cell)
{
	return cell->asker == BY_ADOPTION || cell->asker == BY_RELEASE;
}

/* Who comes to the set: if it is not to be the function, then a sibling */
static struct fn comer(const struct cell *cell)
{
	return cell->state == ASSIGNED ? cell->sibling : cell->fn;
}

/* Is there such a case at all? */
static bool possible(const struct cell *cell)
{
	const struct subject *subject = cell->subject;
	char path[256];

	if (subject->place != IN_CARD &&
	    (cell->state == SIBLING_UNOWNED || cell->state == SIBLING_ASSIGNED ||
	     (cell->state == ASSIGNED && nobody_asks(cell))))
		return false;
	/* Before 5.15 the administrator has no say */
	if (subject->reset_method && !fn_has_file(cell->fn, "reset_method"))
		return false;

	switch (cell->asker) {
	case BY_RESET_SUBORDINATE:
		/* Older kernels do not have it */
		fn_path(cell->port, "reset_subordinate", path, sizeof(path));
		return subject->place != ON_ROOT && !access(path, F_OK);
	case BY_ERROR_RECOVERY:
		/* What is in use is asked for its opinion */
		return subject->aer && cell->state == IDLE;
	default:
		return true;
	}
}

static struct cell get_cell(unsigned int i)
{
	const struct subject *subject = &subjects[i / (NR_STATES * NR_ASKERS)];
	struct cell cell = {
		.subject = subject,
		.state = i / NR_ASKERS % NR_STATES,
		.asker = i % NR_ASKERS,
	};

	cell.port = fn_root(subject->port);
	if (subject->place == ON_ROOT) {
		cell.fn = cell.port;
	} else {
		cell.fn = fn_below(cell.port, subject->dev, subject->func);
		cell.sibling = fn_below(cell.port, 0, (subject->func + 1) % 3);
		cell.third = fn_below(cell.port, 0, (subject->func + 2) % 3);
	}
	return cell;
}

static int set_reset_method(const struct subject *subject, const char *method)
{
	struct cell cell = get_cell((subject - subjects) * NR_STATES *
				    NR_ASKERS);

	if (!subject->reset_method)
		return 0;
	return fn_write_file(cell.fn, "reset_method", method);
}

static int release(const struct cell *cell)
{
	if (cell->subject->place != IN_CARD)
		return fn_release(cell->fn);
	return fn_release(cell->fn) ?: fn_release(cell->sibling) ?:
	       fn_release(cell->third);
}

/* All of the set is owned and dirty, but for what the state and the asker want */
static int prepare(const struct cell *cell, struct guest *guest,
		   struct guest *other)
{
	struct fn used = cell->state == ASSIGNED ? cell->fn : cell->sibling;
	struct fn comes = comer(cell);
	int ret;

	ret = set_reset_method(cell->subject, cell->subject->reset_method);
	if (!ret)
		ret = fn_adopt(cell->fn);
	if (!ret && cell->subject->place == IN_CARD)
		ret = fn_adopt(cell->sibling) ?: fn_adopt(cell->third);
	if (!ret && cell->state == SIBLING_UNOWNED)
		ret = fn_release(cell->sibling);
	if (!ret && (cell->state == SIBLING_ASSIGNED || cell->state == ASSIGNED))
		ret = guest_create(guest, DOMAIN, &used, 1);
	if (!ret && cell->asker == BY_ADOPTION)
		ret = fn_release(comes);
	if (!ret && cell->asker == BY_RELEASE)
		ret = guest_create(other, OTHER_DOMAIN, &comes, 1);
	if (!ret && nobody_asks(cell))
		ret = set_parameter("auto_reset", "1");
	return ret;
}

static int ask(const struct cell *cell, struct guest *other)
{
	int ret;

	switch (cell->asker) {
	case BY_RESET_DEVICE:
		return reset_device(cell->fn);
	case BY_DO_FLR:
		return do_flr(cell->fn);
	case BY_ADOPTION:
		ret = fn_adopt(comer(cell));
		fn_quiesce(cell->fn);
		return ret;
	case BY_RELEASE:
		ret = guest_destroy(other);
		fn_quiesce(cell->fn);
		return ret;
	case BY_RESET_FILE:
		/* Not there if it had no method when it was found */
		ret = fn_write_file(cell->fn, "reset", "1");
		return ret == -ENOENT ? -ENOTTY : ret;
	case BY_RESET_SUBORDINATE:
		return fn_write_file(cell->port, "reset_subordinate", "1");
	default:
		return aer_recover(cell->port, cell->fn);
	}
}

static struct outcome watch(const struct cell *cell, struct guest *other)
{
	struct outcome outcome;
	struct hw hw;

	hw_begin(&hw);
	outcome.ret = ask(cell, other);
	hw_end(&hw);
	outcome.flrs = hw_flrs(&hw, cell->fn);
	/* Elsewhere that register means something else */
	outcome.sbrs = cell->subject->place == ON_ROOT ? 0 :
		       hw_sbrs(&hw, cell->port);
	outcome.d3s = hw_d3s(&hw, cell->fn);
	outcome.needs_reset = fn_needs_reset(cell->fn);
	free(hw.events);
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
	struct guest guest, other;
	struct cell cell;
	unsigned int cells[NR_ASKERS];
};

FIXTURE_SETUP(matrix)
{
	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	self->cell = get_cell(0);
	/* What happens is what is asked for, and all is dirty before */
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
}

FIXTURE_TEARDOWN(matrix)
{
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, set_reset_method(self->cell.subject, "default"));
	EXPECT_EQ(0, release(&self->cell));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
}

TEST_F_TIMEOUT(matrix, all, 600)
{
	struct cell *cell = &self->cell;
	struct outcome want, got;
	unsigned int i, fewer;

	for (i = 0; i < ARRAY_SIZE(subjects) * NR_STATES * NR_ASKERS; i++) {
		*cell = get_cell(i);
		if (!possible(cell))
			continue;

		ASSERT_EQ(0, prepare(cell, &self->guest, &self->other));
		/* Not if it is still to come */
		if (cell->asker != BY_ADOPTION || cell->state == ASSIGNED)
			ASSERT_EQ(1, fn_needs_reset(cell->fn));
		got = watch(cell, &self->other);
		want = expected(cell);
		EXPECT_EQ(0, memcmp(&want, &got, sizeof(want))) {
			TH_LOG("%s, %s, by %s", cell->subject->name,
			       state_names[cell->state],
			       asker_names[cell->asker]);
			log_outcome("is", &got);
			log_outcome("should be", &want);
		}
		self->cells[cell->asker]++;

		ASSERT_EQ(0, set_parameter("auto_reset", "0"));
		ASSERT_EQ(0, guest_destroy(&self->guest));
		ASSERT_EQ(0, set_reset_method(cell->subject, "default"));
		ASSERT_EQ(0, release(cell));
	}

	/* Two with a reset_method, which are alone: idle and assigned */
	fewer = fn_has_file(get_cell(0).fn, "reset_method") ? 0 : 2;
	EXPECT_EQ(26 - 2 * fewer, self->cells[BY_RESET_DEVICE]);
	EXPECT_EQ(26 - 2 * fewer, self->cells[BY_DO_FLR]);
	EXPECT_EQ(19 - fewer, self->cells[BY_ADOPTION]);
	EXPECT_EQ(19 - fewer, self->cells[BY_RELEASE]);
	EXPECT_EQ(26 - 2 * fewer, self->cells[BY_RESET_FILE]);
	EXPECT_EQ(3, self->cells[BY_ERROR_RECOVERY]);
	/* All, or this kernel does not have it */
	EXPECT_EQ(0, self->cells[BY_RESET_SUBORDINATE] % (22 - 2 * fewer));
}

TEST_HARNESS_MAIN
