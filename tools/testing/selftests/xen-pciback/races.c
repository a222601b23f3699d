// SPDX-License-Identifier: GPL-2.0
/*
 * A reset races with everything that can happen at the same time. In each race, by the
 * hardware's trace, no reset reaches a function that pciback does not own at that moment. No
 * task hangs, and afterwards every function exists and can be reset.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hold.h"
#include "lib/hw.h"
#include "lib/pci.h"
#include "lib/random.h"

/* windows.c holds the same races open; make check-long has more rounds of these */
#define ROUNDS		40
/* A round of the slowest race takes a second under emulation */
#define TIMEOUT		900

/* Marks of our own: the sibling is out, and about to come in again */
#define MARK_OUT	0xff01
#define MARK_IN		0xff02

FIXTURE(race)
{
	struct card card;
	struct hw hw;
	unsigned int rounds;
};

FIXTURE_SETUP(race)
{
	memset(self, 0, sizeof(*self));
	self->rounds = setting("RACES_ROUNDS", ROUNDS);
	self->card = card_find();
	ASSERT_EQ(0, card_adopt(&self->card));
}

FIXTURE_TEARDOWN(race)
{
	EXPECT_EQ(0, card_release(&self->card));
}

/* A task that writes to reset_device until told to stop, and counts answers */
struct writer {
	struct fn fn;
	unsigned int rounds;		/* 0: until @stop */
	atomic_bool stop;
	unsigned int ok, busy, again, gone, other;
	int last_other;
	pthread_t thread;
};

static void *writer_run(void *data)
{
	struct writer *writer = data;
	unsigned int i;
	int ret;

	for (i = 0; writer->rounds ? i < writer->rounds : !writer->stop; i++) {
		ret = reset_device(writer->fn);
		switch (ret) {
		case 0:
			writer->ok++;
			break;
		case -EBUSY:
			writer->busy++;
			break;
		case -EAGAIN:
			writer->again++;
			break;
		case -ENODEV:
			writer->gone++;
			usleep(5000);
			break;
		default:
			writer->other++;
			writer->last_other = ret;
		}
	}
	return NULL;
}

static int writer_start(struct writer *writer, struct fn fn,
			unsigned int rounds)
{
	memset(writer, 0, sizeof(*writer));
	writer->fn = fn;
	writer->rounds = rounds;
	return pthread_create(&writer->thread, NULL, writer_run, writer);
}

static void writer_join(struct writer *writer)
{
	writer->stop = true;
	pthread_join(writer->thread, NULL);
}

/* Resets of all, times out, and resets while out */
static void count_resets(const struct hw *hw, struct fn port,
			 unsigned int *resets, unsigned int *outs,
			 unsigned int *wrong)
{
	bool out = false;
	size_t i;

	*resets = *outs = *wrong = 0;
	for (i = 0; i < hw->nr; i++) {
		if (hw_is_mark(&hw->events[i], MARK_OUT)) {
			out = true;
			++*outs;
		} else if (hw_is_mark(&hw->events[i], MARK_IN)) {
			out = false;
		} else if (hw_is_sbr(&hw->events[i], port)) {
			++*resets;
			*wrong += out;
		}
	}
}

/* Afterwards: one reset of all three, as if nothing had been */
#define expect_usable() do {						\
	hw_begin(&self->hw);						\
	EXPECT_EQ(0, reset_device(self->card.third));			\
	hw_end(&self->hw);						\
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));			\
	EXPECT_EQ(3, hw_all_resets(&self->hw));				\
} while (0)

/* Two that want the same set: each gets its reset, one after the other */
TEST_F_TIMEOUT(race, two_writers, TIMEOUT)
{
	struct writer one, two;

	hw_begin(&self->hw);
	ASSERT_EQ(0, writer_start(&one, self->card.first, self->rounds));
	ASSERT_EQ(0, writer_start(&two, self->card.second, self->rounds));
	writer_join(&one);
	writer_join(&two);
	hw_end(&self->hw);

	EXPECT_EQ(self->rounds, one.ok) {
		TH_LOG("last error %d", one.last_other);
	}
	EXPECT_EQ(self->rounds, two.ok) {
		TH_LOG("last error %d", two.last_other);
	}
	EXPECT_EQ(2 * self->rounds, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3 * 2 * self->rounds, hw_all_resets(&self->hw));
	expect_usable();
}

/*
 * A sibling that goes and comes: between the two it is not pciback's, and no
 * slot reset may fall between the marks. Reports how many of the writes fell
 * on either side: a race that always goes the same way is none.
 */
TEST_F_TIMEOUT(race, unbind_and_bind, TIMEOUT)
{
	unsigned int i, resets, outs, wrong;
	struct timespec pause = {};
	struct writer writer;

	srandom(1);
	hw_begin(&self->hw);
	ASSERT_EQ(0, writer_start(&writer, self->card.first, 0));
	for (i = 0; i < self->rounds; i++) {
		ASSERT_EQ(0, fn_release(self->card.second));
		hw_mark(MARK_OUT);
		pause.tv_nsec = random() % 50000000;
		nanosleep(&pause, NULL);
		hw_mark(MARK_IN);
		ASSERT_EQ(0, fn_adopt(self->card.second));
		pause.tv_nsec = random() % 200000000;
		nanosleep(&pause, NULL);
	}
	writer_join(&writer);
	hw_end(&self->hw);

	count_resets(&self->hw, self->card.port, &resets, &outs, &wrong);
	TH_LOG("%u times out; %u resets, %u refused, %u locked out", outs,
	       resets, writer.busy, writer.again);

	EXPECT_EQ(self->rounds, outs);
	EXPECT_EQ(0, wrong);
	/* Nothing is reset because the sibling has come in again */
	EXPECT_EQ(writer.ok, resets);
	EXPECT_EQ(0, writer.gone);
	EXPECT_EQ(0, writer.other) {
		TH_LOG("last error %d", writer.last_other);
	}
	EXPECT_LT(0, writer.ok);
	EXPECT_LT(0, writer.busy);
	expect_usable();
}

/*
 * The card leaves the bus and is found again. What comes back is pciback's by
 * its list of addresses; in between there is nobody.
 */
TEST_F_TIMEOUT(race, remove_and_rescan, TIMEOUT)
{
	struct fn fns[] = { self->card.first, self->card.second, self->card.third };
	char remove[256], rescan[256], driver[32];
	unsigned int i, f, resets, outs, wrong;
	struct timespec pause = {};
	struct writer writer;

	srandom(2);
	fn_path(self->card.port, "rescan", rescan, sizeof(rescan));
	hw_begin(&self->hw);
	ASSERT_EQ(0, writer_start(&writer, self->card.first, 0));
	for (i = 0; i < self->rounds; i++) {
		for (f = 0; f < ARRAY_SIZE(fns); f++) {
			fn_path(fns[f], "remove", remove, sizeof(remove));
			ASSERT_EQ(0, write_string(remove, "1"));
		}
		hw_mark(MARK_OUT);
		pause.tv_nsec = random() % 20000000;
		nanosleep(&pause, NULL);
		hw_mark(MARK_IN);
		ASSERT_EQ(0, write_string(rescan, "1"));
		pause.tv_nsec = random() % 200000000;
		nanosleep(&pause, NULL);
	}
	writer_join(&writer);
	hw_end(&self->hw);

	count_resets(&self->hw, self->card.port, &resets, &outs, &wrong);
	EXPECT_EQ(self->rounds, outs);
	EXPECT_EQ(0, wrong);
	TH_LOG("%u resets, %u refused, %u locked out, %u not there", writer.ok,
	       writer.busy, writer.again, writer.gone);
	EXPECT_EQ(0, writer.other) {
		TH_LOG("last error %d", writer.last_other);
	}
	EXPECT_LT(0, writer.ok);
	EXPECT_LT(0, writer.gone);
	for (f = 0; f < ARRAY_SIZE(fns); f++) {
		fn_driver(fns[f], driver, sizeof(driver));
		EXPECT_STREQ("pciback", driver);
	}
	expect_usable();
}

/* And resets after that take no time */
#define heal(fn)							\
	EXPECT_EQ(0, fault_heal(fn, "flr_away_ms"))

/* A function in the middle of a reset that lasts until it is healed */
FIXTURE(busy)
{
	struct fn port, fn;		/* nvme: FLR */
	struct hw hw;
	pid_t resetting;
	unsigned int flrs;		/* that it has seen in the end */
};

FIXTURE_SETUP(busy)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x10);
	self->fn = fn_below(self->port, 0, 0);
	inject(self->fn);
	ASSERT_EQ(0, fn_adopt(self->fn));
	self->flrs = 1;
	hw_begin(&self->hw);
	self->resetting = fault_begin_reset(self->fn, FAULT_FOR_EVER);
	ASSERT_LT(0, self->resetting);
}

/* Unless somebody has asked for more, it was the only reset; nor was there another kind */
FIXTURE_TEARDOWN(busy)
{
	heal(self->fn);
	EXPECT_EQ(0, wait_for_child(self->resetting));
	hw_end(&self->hw);
	EXPECT_EQ(self->flrs, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->fn));
}

#define expect_busy()							\
	EXPECT_EQ(0, waitpid(self->resetting, NULL, WNOHANG))

/* Who wants to reset it now waits, and does it then: that one may have been too early */
#define expect_waits_and_resets(reset) do {				\
	pid_t waiting = in_child((reset)(self->fn));			\
									\
	EXPECT_TRUE(hold_waits_in(waiting, "pcibk_step"));		\
	expect_busy();							\
	heal(self->fn);							\
	EXPECT_EQ(0, wait_for_child(waiting));				\
	self->flrs = 2;							\
} while (0)

TEST_F_TIMEOUT(busy, reset_device, 120)
{
	expect_waits_and_resets(reset_device);
}

TEST_F_TIMEOUT(busy, do_flr, 120)
{
	expect_waits_and_resets(do_flr);
}

/* What has nothing to do with it is not kept waiting */
TEST_F_TIMEOUT(busy, others, 120)
{
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	struct card card = card_find();

	ASSERT_EQ(0, fn_adopt(rng));
	ASSERT_EQ(0, card_adopt(&card));
	EXPECT_EQ(0, reset_device(rng));
	EXPECT_EQ(0, reset_device(card.third));
	EXPECT_EQ(0, card_release(&card));
	EXPECT_EQ(0, fn_release(rng));
	expect_busy();
}

/* Unless it is killed */
TEST_F_TIMEOUT(busy, do_flr_killed, 120)
{
	pid_t waiting;

	waiting = in_child(do_flr(self->fn));
	EXPECT_TRUE(hold_waits_in(waiting, "pcibk_step"));
	EXPECT_EQ(0, kill(waiting, SIGKILL));
	EXPECT_EQ(-ECHILD, wait_for_child(waiting));
	EXPECT_NE(NULL, strstr(fn_last_reset(self->fn), ": killed"));
	expect_busy();
}

TEST_HARNESS_MAIN
