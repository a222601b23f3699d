// SPDX-License-Identifier: GPL-2.0
/*
 * The files of each function: reset_plan, which shows what a reset would do; last_reset,
 * which shows what the last one did; and the policies strict and set_reset.
 */
#include <errno.h>

#include "lib/played.h"

/* -- strict: this function against strict_reset ------------------------------ */

TEST_F(played, strict_takes_three_values)
{
	adopt(self->nvme);
	EXPECT_STREQ("default", fn_get(self->nvme, "strict"));
	EXPECT_EQ(0, fn_set(self->nvme, "strict", "1\n"));
	EXPECT_STREQ("1", fn_get(self->nvme, "strict"));
	EXPECT_EQ(0, fn_set(self->nvme, "strict", "0"));
	EXPECT_STREQ("0", fn_get(self->nvme, "strict"));
	EXPECT_EQ(-EINVAL, fn_set(self->nvme, "strict", "2"));
	EXPECT_EQ(-EINVAL, fn_set(self->nvme, "strict", "-1"));
	EXPECT_EQ(-EINVAL, fn_set(self->nvme, "strict", "defaults"));
	EXPECT_STREQ("0", fn_get(self->nvme, "strict"));
	EXPECT_EQ(0, fn_set(self->nvme, "strict", "default"));
	EXPECT_STREQ("default", fn_get(self->nvme, "strict"));
}

/* Each value against each of the parameter's: is a function that is dirty refused? */
TEST_F(played, strict_counts_before_strict_reset)
{
	static const struct {
		const char *parameter, *strict;
		int ret;
	} cases[] = {
		{ "0", "default", 0 },
		{ "0", "1", -EIO },
		{ "0", "0", 0 },
		{ "1", "default", -EIO },
		{ "1", "1", -EIO },
		{ "1", "0", 0 },
	};
	unsigned int i;

	adopt(self->nvme);
	make_dirty(self->nvme);
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_EQ(0, set_parameter("strict_reset", cases[i].parameter));
		ASSERT_EQ(0, fn_set(self->nvme, "strict", cases[i].strict));
		TH_LOG("%s, %s", cases[i].parameter, cases[i].strict);
		watched(cases[i].ret, guest_create(&self->guest, DOMAIN,
						   &self->nvme, 1));
		expect_flrs(0);
		ASSERT_EQ(0, guest_destroy(&self->guest));
		ASSERT_EQ(1, fn_needs_reset(self->nvme));
	}
	/* What went was warned of */
	expect_logged(self->nvme, "still needs a reset");

	/* It does not matter for one that is clean */
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, fn_set(self->nvme, "strict", "1"));
	ASSERT_EQ(0, do_flr(self->nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
}

/* -- set_reset: a card that a bus reset kills --------------------------------- */

TEST_F(played, set_reset_takes_two_values)
{
	adopt(self->nvme);
	EXPECT_STREQ("1", fn_get(self->nvme, "set_reset"));
	EXPECT_EQ(0, fn_set(self->nvme, "set_reset", "0\n"));
	EXPECT_STREQ("0", fn_get(self->nvme, "set_reset"));
	EXPECT_EQ(-EINVAL, fn_set(self->nvme, "set_reset", "2"));
	EXPECT_EQ(-EINVAL, fn_set(self->nvme, "set_reset", "default"));
	EXPECT_STREQ("0", fn_get(self->nvme, "set_reset"));
	EXPECT_EQ(0, fn_set(self->nvme, "set_reset", "1"));
	EXPECT_STREQ("1", fn_get(self->nvme, "set_reset"));
}

/* Its own resets are left to it */
TEST_F(played, set_reset_0_leaves_the_own_reset)
{
	adopt(self->nvme);
	ASSERT_EQ(0, fn_set(self->nvme, "set_reset", "0"));
	EXPECT_STREQ("flr", fn_plan(self->nvme));
	watched(0, reset_device(self->nvme));
	expect_flrs(1);
}

/* It blocks its siblings, and is named, for each kind of reset */
TEST_F(played, set_reset_0_blocks_the_card)
{
	adopt_card();
	ASSERT_EQ(0, fn_set(self->card.second, "set_reset", "0"));
	watched(-EBUSY, reset_device(self->card.first));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
	expect_blocked(self->card.first, self->card.second, "set_reset 0");
	watched(-EBUSY, reset_device(self->card.second));
	expect_weakly(self->card.second, 1);
	expect_blocked(self->card.second, self->card.second, "set_reset 0");
	watched(0, do_flr(self->card.first));
	expect_weakly(self->card.first, 1);

	hand_out();
	watched_settle(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(1, fn_needs_reset(self->card.first));

	ASSERT_EQ(0, fn_set(self->card.second, "set_reset", "1"));
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
}

/* The card that does not come back from a bus reset lives through all of it */
TEST_F(played, set_reset_0_keeps_a_fragile_card_alive)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(nic);
	ASSERT_EQ(0, fault_set(nic, "sbr_away_ms", FAULT_FOR_EVER));
	/* Not by owned_adopt(), which asks for a reset */
	watched_settle(0, fn_adopt(nic));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	ASSERT_EQ(0, fn_set(nic, "set_reset", "0"));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nic, 1));
	watched_settle(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_d3s(&self->hw, nic));
	watched(0, do_flr(nic));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_d3s(&self->hw, nic));
	EXPECT_NE(0xffff, fn_read(nic, PCI_VENDOR_ID, 2));
	EXPECT_EQ(0, fn_release(nic));
}

/* Nor does the core's own method reach the bus, when pciback lets go of the card */
TEST_F(played, set_reset_0_counts_for_the_core)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	if (!fn_has_file(nic, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	ASSERT_EQ(0, fn_adopt(nic));
	ASSERT_EQ(0, fn_write_file(nic, "reset_method", "bus"));
	ASSERT_EQ(0, fn_set(nic, "set_reset", "0"));
	watched(0, fn_release(nic));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, fn_write_file(nic, "reset_method", "default"));
}

/* -- reset_plan -------------------------------------------------------------- */

TEST_F(played, there_is_no_plan_of_all_functions)
{
	EXPECT_NE(0, access(RESET_PLAN, F_OK));
}

/* What it would do now, for each way to be reset */
TEST_F_TIMEOUT(played, plan_names_the_method, 120)
{
	struct fn conventional = fn_below(fn_root(0x14), 0, 0);
	const struct {
		struct fn fn, mate;
		const char *plan;
	} plans[] = {
		{ self->nvme, {}, "flr" },
		{ fn_below(fn_root(0x12), 0, 0), {}, "slot" },
		{ fn_below(fn_root(0x15), 0, 0), {}, "slot" },
		{ fn_below(conventional, 1, 0), fn_below(conventional, 2, 0), "bus" },
		{ fn_root(0x1b), {}, "pm" },
		{ fn_root(0x18), {}, "none" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(plans); i++) {
		ASSERT_EQ(0, fn_adopt(plans[i].fn));
		if (*plans[i].mate.name)
			ASSERT_EQ(0, fn_adopt(plans[i].mate));
		EXPECT_STREQ(plans[i].plan, fn_plan(plans[i].fn)) {
			TH_LOG("%s", plans[i].fn.name);
		}
		ASSERT_EQ(0, fn_release(plans[i].fn));
		if (*plans[i].mate.name)
			ASSERT_EQ(0, fn_release(plans[i].mate));
		EXPECT_STREQ("", fn_plan(plans[i].fn));
	}
}

TEST_F(played, plan_names_the_first_in_the_way)
{
	adopt(self->card.first, self->card.second);
	ASSERT_EQ(-EBUSY, reset_device(self->card.first));
	expect_blocked(self->card.first, self->card.third, "no driver");
	adopt(self->card.third);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.third, 1));
	ASSERT_EQ(-EBUSY, reset_device(self->card.first));
	expect_blocked(self->card.first, self->card.third, "assigned to domain 7");
	expect_plan_blocked(self->card.third, self->card.third,
			    "assigned to domain 7");
}

/* Who reads it does not disturb the function, which may be a guest's */
TEST_F(played, reading_is_not_seen_by_the_hardware)
{
	adopt_card();
	hand_out();
	hw_begin(&self->hw);
	fn_plan(self->card.first);
	fn_last_reset(self->card.first);
	fn_needs_reset(self->card.first);
	fn_get(self->card.first, "strict");
	fn_get(self->card.first, "set_reset");
	hw_end(&self->hw);
	expect_untouched(self->card.first);
	expect_untouched(self->card.port);
}

/* -- last_reset -------------------------------------------------------------- */

/* By Link Status: x16 at 16 GT/s, and x4 at 8 GT/s */
#define LINK_BEFORE	(16 << 4 | PCI_EXP_LNKSTA_CLS_16_0GB)
#define LINK_AFTER	(4 << 4 | PCI_EXP_LNKSTA_CLS_8_0GB)
#define WORSE		"slot: ok (link x4 at 8 GT/s, was x16 at 16 GT/s)"

/* Narrower and slower than before the reset: one wants to know that */
TEST_F(played, link_that_came_back_worse_is_told_of)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(nic);
	adopt(nic);
	ASSERT_EQ(0, fault_set(nic, "lnksta", LINK_BEFORE));
	watched(0, reset_device(nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_STREQ("slot: ok", fn_last_reset(nic));

	ASSERT_EQ(0, fault_set(nic, "lnksta_sbr", LINK_AFTER));
	watched(0, reset_device(nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_STREQ(WORSE, fn_last_reset(nic));
	expect_logged(nic, "link x4 at 8 GT/s, was x16 at 16 GT/s");

	/* It is what it was before this one */
	watched(0, reset_device(nic));
	EXPECT_STREQ("slot: ok", fn_last_reset(nic));
	/* And better is no worse */
	ASSERT_EQ(0, fault_set(nic, "lnksta_sbr", LINK_BEFORE));
	watched(0, reset_device(nic));
	EXPECT_STREQ("slot: ok", fn_last_reset(nic));
}

/*
 * A capability that has gone since the function was seized: it has not that method, and
 * the next one is taken. It answers, and that is not denied.
 */
TEST_F(played, method_that_has_gone_is_passed_over)
{
	struct fn bridge = fn_below(fn_root(0x14), 0, 0);
	struct fn nic = fn_below(bridge, 1, 0), mate = fn_below(bridge, 2, 0);

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent(nic, "af");
	adopt(nic);
	EXPECT_STREQ("af_flr", fn_plan(nic));
	ASSERT_EQ(0, fault_set(nic, "af", 0));

	/* Only the bus is left, which it shares */
	watched(-EBUSY, reset_device(nic));
	EXPECT_EQ(0, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	adopt(mate);
	watched(0, reset_device(nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(2, hw_all_resets(&self->hw));
	EXPECT_FALSE(klog_has(self->klog, nic.name, "no answer", NULL, 0));
}

/* Nor is the core left to find a weaker one, which would pass for that */
TEST_F(played, method_that_has_gone_is_no_weaker_one)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent(nic, "af");
	adopt(nic);
	EXPECT_STREQ("af_flr", fn_plan(nic));
	ASSERT_EQ(0, fault_set(nic, "af", 0));
	watched(0, reset_device(nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_d3s(&self->hw, nic));
}

TEST_HARNESS_MAIN
