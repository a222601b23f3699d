// SPDX-License-Identifier: GPL-2.0
/*
 * Which other functions a request covers, and which of them block it. One reset of a card
 * covers each of its functions once, since a toolstack names them one by one. A card whose
 * first function has an FLR of its own is reset as a whole if the others need that. A
 * function that somebody uses without notice blocks the reset of its card.
 */
#include <errno.h>

#include "lib/aer.h"
#include "lib/played.h"

#define COVERED_S	30

/* -- coverage: one reset for a card ----------------------------------------- */

/* The first function is reset by request, and the others with it */
#define adopt_and_cover() do {						\
	adopt_card();							\
	watched(0, do_flr(self->card.first));				\
	expect_sbrs(1);							\
} while (0)

#define expect_covered(target) do {					\
	struct fn named = target;					\
									\
	watched(0, do_flr(named));					\
	expect_sbrs(0);							\
	expect_untouched(named);					\
} while (0)

#define expect_not_covered(fn) do {					\
	watched(0, do_flr(fn));						\
	expect_sbrs(1);							\
	expect_restored();						\
} while (0)

TEST_F(played, sibling_is_covered_once)
{
	adopt_and_cover();
	expect_covered(self->card.second);
	expect_not_covered(self->card.second);
	/* By which the others are covered again */
	expect_covered(self->card.first);
	expect_covered(self->card.third);
	expect_not_covered(self->card.third);
}

TEST_F(played, the_one_that_was_named_is_not_covered)
{
	adopt_and_cover();
	expect_not_covered(self->card.first);
}

/* It means now */
TEST_F(played, reset_device_covers_and_is_not_covered)
{
	adopt_and_cover();
	watched(0, reset_device(self->card.second));
	expect_sbrs(1);
	expect_covered(self->card.third);
	watched(0, reset_device(self->card.third));
	expect_sbrs(1);
}

/* Somebody has enabled it, or disabled it, and there was no reset after that */
TEST_F(played, coverage_ends_with_another_command)
{
	adopt_and_cover();
	fn_edit(self->card.second, EDIT_ENABLED);
	fn_edit(self->card.third, EDIT_DISABLED);
	expect_not_covered(self->card.second);
	fn_edit(self->card.third, EDIT_DISABLED);
	expect_not_covered(self->card.third);
}

/* A guest had a function of the card, from which it may have got at the others */
TEST_F(played, coverage_ends_with_a_release)
{
	adopt_and_cover();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.third, 1));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(owned_wait_clean(&self->owned));
	/* Nor does the reset of a release cover anybody */
	expect_not_covered(self->card.second);

	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(owned_wait_clean(&self->owned));
	expect_not_covered(self->card.third);
}

/* A driver of dom0's had a function of the card */
TEST_F(played, coverage_ends_with_a_seizure)
{
	adopt_and_cover();
	ASSERT_EQ(0, fn_release(self->card.third));
	ASSERT_EQ(0, fn_adopt(self->card.third));
	expect_not_covered(self->card.second);
}

/* Nor need it be on the same bus */
TEST_F(played, coverage_ends_with_a_seizure_of_the_bridge)
{
	struct fn bridge = fn_below(fn_root(0x16), 1, 0);
	struct fn nic = fn_below(bridge, 1, 0), other = fn_below(bridge, 2, 0);
	char driver[32];

	adopt(nic, other);
	ASSERT_EQ(0, do_flr(nic));
	fn_driver(bridge, driver, sizeof(driver));
	ASSERT_EQ(0, fn_adopt(bridge));
	watched(0, do_flr(other));
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(0, fn_release(bridge));
	if (*driver)
		EXPECT_EQ(0, write_string("/sys/bus/pci/drivers_probe",
					  bridge.name));
}

TEST_F(played, coverage_ends_with_error_recovery)
{
	adopt_and_cover();
	ASSERT_EQ(0, aer_recover(self->card.port, self->card.first));
	expect_not_covered(self->card.second);
}

/* The kernel's own file resets a clean function, which does not come back from that */
TEST_F(played, dead_after_a_reset_by_others)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);
	EXPECT_EQ(0, fn_needs_reset(self->nvme));
	ASSERT_EQ(0, fault_set(self->nvme, "gone", 1));
	fn_write_file(self->nvme, "reset", "1");
	EXPECT_EQ(1, fn_needs_reset(self->nvme));
	ASSERT_EQ(0, fault_set(self->nvme, "heal", 1));
}

TEST_F(played, coverage_ends_after_a_time)
{
	adopt_and_cover();
	sleep(COVERED_S + 1);
	expect_not_covered(self->card.second);
}

/* "BB:DD.*": libxl writes do_flr once at most, and adds all of them */
TEST_F(played, one_request_is_enough_for_all_functions)
{
	adopt_card();
	make_dirty(self->card.first);
	make_dirty(self->card.second);
	make_dirty(self->card.third);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	EXPECT_EQ(0, fn_needs_reset(self->card.third));
	watched(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 3));
	expect_sbrs(0);
}

/* libxl asks for each function, and hands it out, before it asks for the next */
TEST_F(played, functions_of_a_card_are_handed_out_one_by_one)
{
	adopt_and_cover();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	expect_covered(self->card.second);
	/* Only a reset of the card would do, and it had one */
	expect_covered(self->card.second);
	ASSERT_EQ(0, guest_attach(&self->guest, self->card.second));
	expect_covered(self->card.third);
	EXPECT_EQ(0, fn_needs_reset(self->card.third));
}

/* It had none since it was a guest's: what is left is better than nothing */
TEST_F(played, dirty_function_beside_one_handed_out_is_reset_weakly)
{
	adopt_and_cover();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	make_dirty(self->card.second);
	watched(0, do_flr(self->card.second));
	expect_weakly(self->card.second, 1);
	expect_untouched(self->card.first);
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
}

/* -- mixed cards: the first function has an FLR of its own ------------------- */

#define invent_mixed_card()						\
	invent(self->card.first, "devcap_flr")

/* FLRs of the one that has not really one, which the hardware knows nothing of */
#define expect_invented_flrs(nr) do {					\
	EXPECT_EQ(nr, fault_get(self->card.first, "flrs"));		\
	EXPECT_EQ(0, hw_all_resets(&self->hw));				\
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));		\
	ASSERT_EQ(0, fault_set(self->card.first, "clear", 1));		\
} while (0)

/* The second one's request has covered the first one, which uses that up */
#define adopt_mixed_card() do {						\
	adopt_card();							\
	ASSERT_EQ(0, do_flr(self->card.first));				\
	ASSERT_EQ(0, fault_set(self->card.first, "clear", 1));		\
} while (0)

TEST_F(played, flr_is_enough_for_a_card_that_is_clean)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	adopt_mixed_card();
	EXPECT_STREQ("flr", fn_plan(self->card.first));
	EXPECT_STREQ("slot", fn_plan(self->card.second));
	watched(0, do_flr(self->card.first));
	expect_invented_flrs(1);
	/* An FLR covers nobody else */
	expect_not_covered(self->card.second);
}

TEST_F(played, card_is_reset_for_a_sibling_that_was_released)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	adopt_mixed_card();
	make_dirty(self->card.second);
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	EXPECT_EQ(0, fault_get(self->card.first, "flrs"));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	expect_covered(self->card.second);
}

/* Nobody has asked for it yet: it may be dom0's screen that it is needed for */
TEST_F(played, card_is_not_reset_for_a_sibling_that_was_only_seized)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	ASSERT_EQ(0, card_adopt(&self->card));
	ASSERT_EQ(1, fn_needs_reset(self->card.second));
	ASSERT_EQ(0, fault_set(self->card.first, "clear", 1));
	watched(0, do_flr(self->card.first));
	expect_invented_flrs(1);
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	ASSERT_EQ(0, card_release(&self->card));
}

/* A sibling that a guest has keeps the card from it, but not the function */
TEST_F(played, flr_is_left_while_a_sibling_is_assigned)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	adopt_mixed_card();
	make_dirty(self->card.second);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.third, 1));
	watched(0, do_flr(self->card.first));
	expect_invented_flrs(1);
	expect_untouched(self->card.third);
}

/*
 * What the functions of a card share a guest with the first may have written to: its
 * release is an FLR, and the others need no reset by our account.
 */
TEST_F(played, request_for_a_sibling_of_a_released_flr_function_resets)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	adopt_mixed_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->card.first));
	expect_invented_flrs(1);
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	expect_not_covered(self->card.second);
}

/* Its own release resets it alone, whatever the others need */
TEST_F(played, release_of_a_flr_function_leaves_its_card)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	adopt_mixed_card();
	make_dirty(self->card.second);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->card.first));
	expect_invented_flrs(1);
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
}

/* What was put off until its guest has no sibling any more is made up for then */
TEST_F(played, detached_function_is_reset_after_its_flr_sibling)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent_mixed_card();
	adopt_mixed_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 2));
	watched_settle(0, guest_detach(&self->guest, self->card.second));
	expect_weakly(self->card.second, 0);
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	watched(0, guest_destroy(&self->guest) ?: !owned_wait_clean(&self->owned));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
}

/* -- in use: by somebody who has not said so -------------------------------- */

#define IN_USE	"in use: bus mastering is on"

TEST_F(played, function_in_use_is_not_reset_with_its_card)
{
	unsigned char before[PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];

	adopt_and_cover();
	fn_edit(self->card.second, EDIT_ENABLED);
	fn_read_config(self->card.second, 0, before, sizeof(before));

	watched(-EBUSY, reset_device(self->card.first));
	EXPECT_EQ(1, fn_needs_reset(self->card.first));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
	expect_blocked(self->card.first, self->card.second, IN_USE);
	watched(0, do_flr(self->card.first));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
	fn_read_config(self->card.second, 0, after, sizeof(after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
}

/* The one whose request has reset the card is no exception */
TEST_F(played, function_in_use_that_was_named)
{
	adopt_card();
	ASSERT_EQ(0, reset_device(self->card.first));
	fn_edit(self->card.first, EDIT_ENABLED);

	watched(-EBUSY, reset_device(self->card.second));
	expect_weakly(self->card.second, 1);
	expect_untouched(self->card.first);
	expect_blocked(self->card.second, self->card.first, IN_USE);
}

/* Who asks for it says that it is nobody's any more */
TEST_F(played, function_in_use_is_not_after_its_request)
{
	adopt_and_cover();
	fn_edit(self->card.second, EDIT_ENABLED);
	ASSERT_EQ(-EBUSY, reset_device(self->card.first));
	EXPECT_STREQ("slot", fn_plan(self->card.second));
	watched(0, do_flr(self->card.second));
	expect_sbrs(1);
	EXPECT_STREQ("slot", fn_plan(self->card.first));
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
	expect_restored();
}

/* Nobody had asked for it: firmware or a driver of dom0's has left it so */
TEST_F(played, seized_function_is_not_in_use)
{
	ASSERT_EQ(0, card_adopt(&self->card));
	fn_edit(self->card.second, EDIT_ENABLED);
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
	EXPECT_EQ(0, fn_read(self->card.second, PCI_COMMAND, 2) &
		     PCI_COMMAND_MASTER);
	ASSERT_EQ(0, card_release(&self->card));
}

/* Nor after a guest: by a back door, to keep the card from being reset after it */
TEST_F(played, released_function_is_not_in_use)
{
	adopt_and_cover();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(owned_wait_clean(&self->owned));
	fn_edit(self->card.second, EDIT_ENABLED);
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
	expect_restored();
}

/* A function that is dead answers with all ones: only its card's reset can help */
TEST_F(played, function_that_does_not_answer_is_not_in_use)
{
	unsigned int exp = fn_cap(self->card.second, PCI_CAP_ID_EXP);

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->card.second);
	ASSERT_EQ(0, fault_set(self->card.second, "devcap_flr", 1));
	ASSERT_EQ(0, fault_set(self->card.second, "flr_away_ms", FAULT_FOR_EVER));
	adopt_and_cover();
	fn_write(self->card.second, exp + PCI_EXP_DEVCTL,
		 PCI_EXP_DEVCTL_BCR_FLR, 2);
	ASSERT_EQ(0xffff, fn_read(self->card.second, PCI_COMMAND, 2));
	/* An older core restores what it has read from there: another FLR among it. */
	ASSERT_EQ(0, fault_set(self->card.second, "flr_away_ms", 0));

	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
	EXPECT_NE(0xffff, fn_read(self->card.second, PCI_COMMAND, 2));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
}

/* There are such devices, and they would be in use for ever */
TEST_F(played, hardwired_bus_mastering_is_no_use)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->card.second);
	ASSERT_EQ(0, fault_set(self->card.second, "bus_master", 1));
	adopt_card();
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
	watched(0, do_flr(self->card.second));
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
}

/* -- xenopsd, which prefers the kernel's own file ---------------------------- */

/*
 * Where that means PM, reset_method may be emptied. The file stays, since the kernel looks
 * at methods when it makes it, but resets nothing any more; and our own still does.
 */
TEST_F(played, emptied_reset_method_leaves_do_flr)
{
	char reset[256];

	adopt_card();
	if (!fn_has_file(self->card.first, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	fn_path(self->card.first, "reset", reset, sizeof(reset));
	ASSERT_EQ(0, fn_write_file(self->card.first, "reset_method", "\n"));
	watched(-ENOTTY, write_string(reset, "1"));
	expect_weakly(self->card.first, 0);
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	EXPECT_EQ(0, fn_write_file(self->card.first, "reset_method", "default"));
}

TEST_HARNESS_MAIN
