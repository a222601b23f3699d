// SPDX-License-Identifier: GPL-2.0
/*
 * Cleanliness: which functions still need a reset, when pciback resets them automatically,
 * and what do_flr does, the file that a stock libxl writes. If pciback owns a whole set,
 * one requested reset makes all of it clean.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"

FIXTURE(clean)
{
	struct card card;
	struct fn nvme;
	struct hw hw;
	char text[256];
	int klog;
};

FIXTURE_SETUP(clean)
{
	memset(self, 0, sizeof(*self));
	self->card = card_find();
	self->nvme = fn_below(fn_root(0x10), 0, 0);
}

FIXTURE_TEARDOWN(clean)
{
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, card_release(&self->card));
	EXPECT_EQ(0, fn_release(self->nvme));
}

/* The reset of bind is enough if it is a strong one */
TEST_F(clean, bind_with_flr)
{
	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_adopt(self->nvme));
	fn_quiesce(self->nvme);
	hw_end(&self->hw);

	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_EQ(0, fn_needs_reset(self->nvme));
	EXPECT_STREQ("flr: ok", fn_last_reset(self->nvme));
	EXPECT_STREQ("flr", fn_plan(self->nvme));
}

/*
 * A card is not reset when the last of its functions is adopted, as somebody may still
 * want what it does, but can be from then on: that needs to be asked for.
 */
TEST_F(clean, last_adoption)
{
	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_adopt(self->card.first));
	ASSERT_EQ(0, fn_adopt(self->card.second));
	snprintf(self->text, sizeof(self->text), "blocked %s (no driver)",
		 self->card.third.name);
	EXPECT_STREQ(self->text, fn_plan(self->card.first));
	ASSERT_EQ(0, fn_adopt(self->card.third));
	fn_quiesce(self->card.third);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(1, fn_needs_reset(self->card.first));
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	EXPECT_EQ(1, fn_needs_reset(self->card.third));
	EXPECT_STREQ("pm: ok (weak)", fn_last_reset(self->card.first));
	EXPECT_STREQ("pm: ok (weak)", fn_last_reset(self->card.second));
	EXPECT_STREQ(fn_bound_last_reset(self->card.third),
		     fn_last_reset(self->card.third));
	EXPECT_STREQ("slot", fn_plan(self->card.first));
	EXPECT_STREQ("slot", fn_plan(self->card.second));
	EXPECT_STREQ("slot", fn_plan(self->card.third));

	hw_begin(&self->hw);
	EXPECT_EQ(0, do_flr(self->card.second));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	EXPECT_EQ(0, fn_needs_reset(self->card.first));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	EXPECT_EQ(0, fn_needs_reset(self->card.third));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->card.first));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->card.second));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->card.third));
}

/* What libxl does with a dirty card: the first write resets all, which the others find */
TEST_F(clean, do_flr_on_dirty_functions)
{
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	ASSERT_EQ(0, card_adopt(&self->card));
	EXPECT_EQ(1, fn_needs_reset(self->card.first));
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	EXPECT_EQ(1, fn_needs_reset(self->card.third));

	hw_begin(&self->hw);
	EXPECT_EQ(0, do_flr(self->card.first));
	EXPECT_EQ(0, do_flr(self->card.second));
	EXPECT_EQ(0, do_flr(self->card.third));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	EXPECT_EQ(0, fn_needs_reset(self->card.first));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	EXPECT_EQ(0, fn_needs_reset(self->card.third));
}

/* reset_device means now: clean or not */
TEST_F(clean, reset_device_on_clean_functions)
{
	ASSERT_EQ(0, fn_adopt(self->nvme));
	fn_quiesce(self->nvme);

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->nvme));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
}

/*
 * The best that can be done now is weak: good enough for do_flr, which nobody
 * tries anything after, but not clean.
 */
TEST_F(clean, do_flr_weakly)
{
	ASSERT_EQ(0, fn_adopt(self->card.first));
	ASSERT_EQ(0, fn_adopt(self->card.second));

	hw_begin(&self->hw);
	EXPECT_EQ(0, do_flr(self->card.first));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(1, fn_needs_reset(self->card.first));
	snprintf(self->text, sizeof(self->text),
		 "slot: blocked by %s (no driver); pm: ok (weak)",
		 self->card.third.name);
	EXPECT_STREQ(self->text, fn_last_reset(self->card.first));

	/* reset_device says that this was not what it was asked for */
	EXPECT_EQ(-EBUSY, reset_device(self->card.first));
	EXPECT_EQ(1, fn_needs_reset(self->card.first));
}

/* auto_reset=0: no automatic reset, neither on bind nor on unbind; it marks */
TEST_F(clean, auto_reset_off)
{
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_adopt(self->nvme));
	ASSERT_EQ(0, card_adopt(&self->card));
	EXPECT_EQ(1, fn_needs_reset(self->nvme));
	EXPECT_EQ(1, fn_needs_reset(self->card.third));
	EXPECT_STREQ("none", fn_last_reset(self->nvme));
	ASSERT_EQ(0, fn_release(self->nvme));
	ASSERT_EQ(0, fn_release(self->card.first));
	hw_end(&self->hw);

	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
}

/* A reset that pciback was not asked for does not count, whatever it was */
TEST_F(clean, by_the_core)
{
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	ASSERT_EQ(0, fn_adopt(self->nvme));
	EXPECT_EQ(1, fn_needs_reset(self->nvme));

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_write_file(self->nvme, "reset", "1"));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, fn_needs_reset(self->nvme));
	EXPECT_STREQ("none", fn_last_reset(self->nvme));

	/* Nor does it make dirty what is clean */
	ASSERT_EQ(0, do_flr(self->nvme));
	ASSERT_EQ(0, fn_needs_reset(self->nvme));
	ASSERT_EQ(0, fn_write_file(self->nvme, "reset", "1"));
	EXPECT_EQ(0, fn_needs_reset(self->nvme));
	EXPECT_STREQ("flr: ok", fn_last_reset(self->nvme));

	/* By PM */
	ASSERT_EQ(0, fn_adopt(self->card.second));
	ASSERT_EQ(0, fn_write_file(self->card.second, "reset", "1"));
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	EXPECT_STREQ("none", fn_last_reset(self->card.second));
}

/* A read does not touch the function: it may be a guest's */
TEST_F(clean, reading)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	ASSERT_EQ(0, fault_add(self->card.first));
	ASSERT_EQ(0, fn_adopt(self->nvme));
	ASSERT_EQ(0, card_adopt(&self->card));
	fn_quiesce(self->nvme);
	fn_quiesce(self->card.first);

	ASSERT_EQ(0, fault_set(self->nvme, "clear", 1));
	ASSERT_EQ(0, fault_set(self->card.first, "clear", 1));
	hw_begin(&self->hw);
	EXPECT_STREQ("flr", fn_plan(self->nvme));
	EXPECT_STREQ("slot", fn_plan(self->card.first));
	EXPECT_EQ(0, fn_needs_reset(self->nvme));
	EXPECT_STREQ("flr: ok", fn_last_reset(self->nvme));
	hw_end(&self->hw);
	EXPECT_EQ(0, fault_get(self->nvme, "reads"));
	EXPECT_EQ(0, fault_get(self->card.first, "reads"));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.first));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.port));
}

TEST_F(clean, do_flr_errors)
{
	EXPECT_EQ(-ENODEV, do_flr(self->nvme));
	EXPECT_EQ(-EINVAL, write_string(DO_FLR, "0000:01:00.0x"));
	EXPECT_EQ(-EINVAL, write_string(DO_FLR, "*"));
	EXPECT_EQ(-ENODEV, write_string(DO_FLR, "0000:fe:00.0"));
}

/*
 * The plan is right: for each way to be reset, what it says before and
 * what the hardware does then.
 */
struct plan {
	struct fn fn;
	struct fn mates[2];
	unsigned int nr_mates;
	struct fn bridge;
	const char *plan;
};

TEST_F_TIMEOUT(clean, plan, 120)
{
	struct fn conventional = fn_below(fn_root(0x14), 0, 0);
	struct fn second = fn_below(fn_root(0x16), 1, 0);
	const struct plan plans[] = {
		{ self->nvme, {}, 0, fn_root(0x10), "flr" },
		{ fn_below(fn_root(0x17), 0, 0), {}, 0, fn_root(0x17), "flr" },
		{ fn_below(fn_root(0x11), 0, 0), {}, 0, fn_root(0x11), "slot" },
		{ fn_below(fn_root(0x12), 0, 0), {}, 0, fn_root(0x12), "slot" },
		{ fn_below(fn_root(0x15), 0, 0), {}, 0, fn_root(0x15), "slot" },
		{ self->card.first, { self->card.second, self->card.third }, 2, self->card.port,
		  "slot" },
		{ fn_below(conventional, 1, 0),
		  { fn_below(conventional, 2, 0) }, 1, conventional, "bus" },
		{ fn_below(second, 1, 0), { fn_below(second, 2, 0) }, 1,
		  second, "bus" },
		{ fn_root(0x18), {}, 0, fn_root(0x18), "none" },
	};
	unsigned int i, m, flrs, sbrs;
	const struct plan *plan;
	int ret;

	for (i = 0; i < ARRAY_SIZE(plans); i++) {
		plan = &plans[i];
		ASSERT_EQ(0, fn_adopt(plan->fn));
		for (m = 0; m < plan->nr_mates; m++)
			ASSERT_EQ(0, fn_adopt(plan->mates[m]));
		fn_quiesce(plan->fn);

		EXPECT_STREQ(plan->plan, fn_plan(plan->fn)) {
			TH_LOG("%s", plan->fn.name);
		}

		hw_begin(&self->hw);
		ret = reset_device(plan->fn);
		hw_end(&self->hw);
		flrs = hw_flrs(&self->hw, plan->fn);
		/* Elsewhere that register means something else */
		sbrs = !strcmp(plan->plan, "none") ? 0 :
		       hw_sbrs(&self->hw, plan->bridge);

		EXPECT_EQ(!strcmp(plan->plan, "none") ? -ENOTTY : 0, ret);
		EXPECT_EQ(!strcmp(plan->plan, "flr"), flrs);
		EXPECT_EQ(!strcmp(plan->plan, "slot") ||
			  !strcmp(plan->plan, "bus"), sbrs);

		ASSERT_EQ(0, fn_release(plan->fn));
		for (m = 0; m < plan->nr_mates; m++)
			ASSERT_EQ(0, fn_release(plan->mates[m]));
		EXPECT_STREQ("", fn_plan(plan->fn));
	}
}

TEST_HARNESS_MAIN
