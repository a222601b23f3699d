// SPDX-License-Identifier: GPL-2.0
/*
 * Resets that go wrong: each that fails, or after which the function does not
 * answer, or that had no effect to be seen, is followed by the next stronger
 * one; and what cannot be saved stays pciback's, disabled and marked.
 *
 * The functions are real ones that test_modules/pciback_fault.c makes misbehave.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "../kselftest_harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"

/* The core gives a function a minute to come back */
#define CORE_WAIT	200

FIXTURE(escalation)
{
	struct fn port, fn;		/* nvme: FLR */
	struct fn card_port, card[3];	/* no FLR */
	struct hw hw;
	char text[256];
};

FIXTURE_SETUP(escalation)
{
	unsigned int i;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x10);
	self->fn = fn_below(self->port, 0, 0);
	self->card_port = fn_root(0x13);
	for (i = 0; i < ARRAY_SIZE(self->card); i++)
		self->card[i] = fn_below(self->card_port, 0, i);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(self->fn));
	ASSERT_EQ(0, fault_add(self->card[1]));
}

FIXTURE_TEARDOWN(escalation)
{
	unsigned int i;

	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->fn));
	for (i = 0; i < ARRAY_SIZE(self->card); i++)
		EXPECT_EQ(0, fn_release(self->card[i]));
}

#define adopt(target) do {						\
	struct fn named = target;					\
									\
	ASSERT_EQ(0, fn_adopt(named));					\
	fn_quiesce(named);						\
	EXPECT_EQ(0, fn_needs_reset(named));				\
} while (0)

#define adopt_card() do {						\
	ASSERT_EQ(0, fn_adopt(self->card[0]));				\
	ASSERT_EQ(0, fn_adopt(self->card[1]));				\
	adopt(self->card[2]);						\
} while (0)

#define expect_last(fn, what) do {					\
	fn_last_reset(fn, self->text, sizeof(self->text));		\
	EXPECT_STREQ(what, self->text);					\
} while (0)

/* The write of FLR is lost: the canary is still there, so on to the slot */
TEST_F(escalation, flr_does_nothing)
{
	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "flr_swallow", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(1, fault_get(self->fn, "flrs"));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	expect_last(self->fn, "flr: no effect; slot: ok");
}

/* It gets there, but what it should have cleared is not */
TEST_F(escalation, flr_without_effect)
{
	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "flr_no_effect", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	expect_last(self->fn, "flr: no effect; slot: ok");
}

/* The same on adoption: the slot is reset from the work item */
TEST_F(escalation, flr_does_nothing_on_bind)
{
	ASSERT_EQ(0, fault_set(self->fn, "flr_swallow", 1));

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_adopt(self->fn));
	EXPECT_TRUE(fn_wait_clean(self->fn));
	fn_quiesce(self->fn);
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	expect_last(self->fn, "flr: no effect; slot: ok");
}

/* Away for less than it may be: that is no failure */
TEST_F(escalation, flr_takes_its_time)
{
	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "flr_away_ms", 700));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	expect_last(self->fn, "flr: ok");
}

TEST_F(escalation, flr_answers_retry)
{
	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "flr_crs_ms", 700));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	expect_last(self->fn, "flr: ok");
}

/* Transactions that never end do not keep it from being reset */
TEST_F(escalation, transactions_pending)
{
	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "pending", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	expect_last(self->fn, "flr: ok");
}

/* Gone after the FLR: nothing is restored into it, and the slot brings it back */
TEST_F_TIMEOUT(escalation, flr_kills, CORE_WAIT)
{
	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "flr_away_ms", FAULT_FOR_EVER));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	expect_last(self->fn, "flr: no answer; slot: ok");
}

/* The core waits for the first function of a bus; we for the others */
TEST_F(escalation, sibling_takes_its_time)
{
	unsigned char bound[PCI_CONFIG_SIZE], now[PCI_CONFIG_SIZE];

	adopt_card();
	fn_read_config(self->card[1], 0, bound, sizeof(bound));
	fn_scribble(self->card[1]);
	ASSERT_EQ(0, fault_set(self->card[1], "sbr_away_ms", 700));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->card[0]));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card_port));
	EXPECT_EQ(0, fn_needs_reset(self->card[1]));
	expect_last(self->card[1], "slot: ok");
	fn_read_config(self->card[1], 0, now, sizeof(now));
	EXPECT_EQ(0, memcmp(bound, now, sizeof(now)));
}

/*
 * One function stays away: the write says so, that one is marked and nothing is
 * written into it any more; the others are fine, and so is it after a reset
 * that it comes back from.
 */
TEST_F(escalation, sibling_stays_away)
{
	char driver[32];
	int klog;

	adopt_card();
	ASSERT_EQ(0, fault_set(self->card[1], "sbr_away_ms", FAULT_FOR_EVER));

	klog = klog_begin();
	EXPECT_EQ(-ETIMEDOUT, reset_device(self->card[0]));
	EXPECT_EQ(0, fn_needs_reset(self->card[0]));
	EXPECT_EQ(1, fn_needs_reset(self->card[1]));
	EXPECT_EQ(0, fn_needs_reset(self->card[2]));
	expect_last(self->card[1], "slot: no answer");
	fn_driver(self->card[1], driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);
	snprintf(self->text, sizeof(self->text), "slot: no answer (%s)",
		 self->card[1].name);
	EXPECT_TRUE(klog_has(klog, self->card[0].name, self->text, NULL, 0));

	ASSERT_EQ(0, fault_set(self->card[1], "sbr_away_ms", 0));
	EXPECT_EQ(0, reset_device(self->card[1]));
	EXPECT_EQ(0, fn_needs_reset(self->card[1]));
	expect_last(self->card[1], "slot: ok");
}

/*
 * Dead before: its own reset is not even tried, and if the slot does not help it
 * stays with us, and nothing is restored into it.
 */
TEST_F_TIMEOUT(escalation, dead, CORE_WAIT)
{
	char driver[32];

	adopt(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "gone", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(-ETIMEDOUT, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(0, fault_get(self->fn, "flrs"));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(1, fn_needs_reset(self->fn));
	fn_driver(self->fn, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);

	ASSERT_EQ(0, fault_set(self->fn, "heal", 1));
	EXPECT_EQ(0, reset_device(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	expect_last(self->fn, "flr: ok");
}

FIXTURE(af)
{
	struct fn bridge, fn, other;
	struct hw hw;
	char text[256];
};

FIXTURE_SETUP(af)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->bridge = fn_below(fn_root(0x14), 0, 0);
	self->fn = fn_below(self->bridge, 1, 0);
	self->other = fn_below(self->bridge, 2, 0);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(self->fn));
}

FIXTURE_TEARDOWN(af)
{
	EXPECT_EQ(0, fn_release(self->fn));
	EXPECT_EQ(0, fn_release(self->other));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fault_rediscover(self->fn));
}

#define expect_plan(fn, what) do {					\
	fn_plan(fn, self->text, sizeof(self->text));			\
	EXPECT_STREQ(what, self->text);					\
} while (0)

/* FLR of conventional PCI, and no need of the other function on the bus */
TEST_F(af, flr)
{
	ASSERT_EQ(0, fault_set(self->fn, "af", 1));
	ASSERT_EQ(0, fault_rediscover(self->fn));
	adopt(self->fn);
	expect_plan(self->fn, "af_flr");

	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(self->fn, "af_flrs"));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->bridge));
	expect_last(self->fn, "af_flr: ok");
}

TEST_F(af, flr_does_nothing)
{
	ASSERT_EQ(0, fault_set(self->fn, "af", 1));
	ASSERT_EQ(0, fault_rediscover(self->fn));
	adopt(self->fn);
	adopt(self->other);

	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "flr_swallow", 1));
	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(self->fn, "af_flrs"));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->bridge));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->other));
	expect_last(self->fn, "af_flr: no effect; bus: ok");
}

/* Without Transactions Pending, or without FLR, the capability is of no use */
TEST_F(af, incomplete)
{
	char blocked[64];

	snprintf(blocked, sizeof(blocked), "blocked %s (no driver)",
		 self->other.name);
	ASSERT_EQ(0, fault_set(self->fn, "af", 1));
	ASSERT_EQ(0, fault_set(self->fn, "af_cap", 2));
	ASSERT_EQ(0, fault_rediscover(self->fn));
	ASSERT_EQ(0, fn_adopt(self->fn));
	expect_plan(self->fn, blocked);
	EXPECT_EQ(-EBUSY, reset_device(self->fn));
	EXPECT_EQ(0, fault_get(self->fn, "af_flrs"));
	ASSERT_EQ(0, fn_release(self->fn));

	ASSERT_EQ(0, fault_set(self->fn, "af_cap", 1));
	ASSERT_EQ(0, fault_rediscover(self->fn));
	ASSERT_EQ(0, fn_adopt(self->fn));
	expect_plan(self->fn, blocked);
	EXPECT_EQ(0, fault_get(self->fn, "af_flrs"));
}

TEST_HARNESS_MAIN
