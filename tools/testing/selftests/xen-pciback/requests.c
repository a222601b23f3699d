// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: what a toolstack writes right before it hands a function out. A request always
 * resets, whatever was reset before, since pciback cannot know who has touched the
 * function since. There is one exception: one reset of a card is enough for all of its
 * functions.
 */
#include <errno.h>

#include "lib/played.h"

/* -- idle functions: a request always resets -------------------------------- */

/* Somebody has been at it, and nobody has said so */
TEST_F(played, each_do_flr_resets)
{
	adopt(self->nvme);
	fn_edit(self->nvme, EDIT_ENABLED);
	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	expect_restored();

	fn_edit(self->nvme, EDIT_ENABLED);
	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	expect_restored();
}

/* One reset for the functions of a card, and one again for the next guest */
TEST_F(played, each_first_do_flr_of_a_card_resets)
{
	adopt_card();
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	watched(0, do_flr(self->card.second) ?: do_flr(self->card.third));
	expect_sbrs(0);

	fn_edit(self->card.first, EDIT_ENABLED);
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	expect_restored();
}

/* -- releases that the guest has forged ------------------------------------- */

/*
 * A guest removes its own frontend's state: it has nothing any more by our account,
 * and all is reset. But it is there still, and Xen lets it at the functions. So what
 * the toolstack asks for before the next guest is the one reset that counts.
 */
#define forge_release() do {						\
	unsigned int i;							\
									\
	hand_out();							\
	guest_forge_state(&self->guest, NULL);				\
	ASSERT_EQ(0, guest_wait_gone(&self->guest));			\
	ASSERT_TRUE(owned_wait_clean(&self->owned));			\
	for (i = 0; i < self->owned.nr; i++)				\
		fn_edit(self->owned.fns[i], EDIT_ENABLED);		\
} while (0)

#define expect_next_guest_clean() do {					\
	expect_restored();						\
	ASSERT_EQ(0, guest_destroy(&self->guest));			\
	watched(0, guest_create(&self->other, OTHER_DOMAIN,		\
				self->owned.fns, self->owned.nr));	\
	EXPECT_EQ(0, hw_all_resets(&self->hw));				\
	expect_restored();						\
} while (0)

TEST_F(played, request_after_forged_release)
{
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	adopt(self->nvme);
	forge_release();
	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	expect_next_guest_clean();
}

TEST_F(played, request_after_forged_release_of_a_card)
{
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	adopt_card();
	forge_release();
	ASSERT_EQ(0, guest_destroy(&self->guest));
	watched(0, do_flr(self->card.first) ?: do_flr(self->card.second) ?:
		   do_flr(self->card.third));
	expect_sbrs(1);
	expect_next_guest_clean();
}

/*
 * As long as the toolstack lists the function for a guest that lives, what it asks for
 * is a farewell: that guest may go on using what the functions share.
 */
TEST_F(played, farewell_after_forged_release_covers_nothing)
{
	adopt_card();
	forge_release();
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	fn_edit(self->card.second, EDIT_DISABLED);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	watched(0, do_flr(self->card.second));
	expect_sbrs(1);
	expect_restored();
}

/* Nor does the request for another one of the card cover it */
TEST_F(played, request_covers_no_function_of_a_forged_release)
{
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
	guest_forge_state(&self->guest, NULL);
	ASSERT_EQ(0, guest_wait_gone(&self->guest));
	ASSERT_TRUE(owned_wait_clean(&self->owned));
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	fn_write(self->card.second, PCI_INTERRUPT_LINE, 0x5a, 1);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	watched(0, do_flr(self->card.second));
	expect_sbrs(1);
	watched(0, do_flr(self->card.third));
	expect_sbrs(0);
	expect_restored();
}

/* Nor if a third one does not come back from it */
TEST_F(played, failed_request_covers_no_function_of_a_forged_release)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->card.third);
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
	guest_forge_state(&self->guest, NULL);
	ASSERT_EQ(0, guest_wait_gone(&self->guest));
	ASSERT_TRUE(owned_wait_clean(&self->owned));

	ASSERT_EQ(0, fault_set(self->card.third, "sbr_away_ms", FAULT_FOR_EVER));
	EXPECT_EQ(-ETIMEDOUT, reset_device(self->card.first));
	EXPECT_EQ(0, fault_heal(self->card.third, "sbr_away_ms"));
	fn_write(self->card.second, PCI_INTERRUPT_LINE, 0x5a, 1);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	watched(0, do_flr(self->card.second));
	expect_sbrs(1);
	expect_restored();
}

/* Whatever a guest may do to its own nodes */
struct forgery {
	const char *name;
	const char *state;
	bool all;
};

static const struct forgery forgeries[] = {
	{ "no state", NULL, false },
	{ "Closing", "5", false },
	{ "Closed", "6", false },
	{ "Unknown", "0", false },
	{ "garbage", "x", false },
	{ "no frontend", NULL, true },
};

static void forge(const struct guest *guest, const struct forgery *forgery)
{
	if (forgery->all)
		guest_forge_removal(guest);
	else
		guest_forge_state(guest, forgery->state);
}

/* If it is taken for a release, that is followed by a reset; else nothing comes */
static void settle(struct fn fn)
{
	unsigned int tries;

	for (tries = 0; tries < 200 && fn_needs_reset(fn); tries++)
		usleep(10000);
}

TEST_F_TIMEOUT(played, request_after_any_forgery, 180)
{
	unsigned int i, connected, kinds = guest_connectable() ? 2 : 1;

	adopt(self->nvme);
	for (i = 0; i < ARRAY_SIZE(forgeries) * kinds; i++) {
		connected = i / ARRAY_SIZE(forgeries);
		TH_LOG("%s, %sconnected", forgeries[i % ARRAY_SIZE(forgeries)].name,
		       connected ? "" : "not ");
		ASSERT_EQ(0, guest_create(&self->guest, connected ? 0 : DOMAIN,
					  &self->nvme, 1));
		if (connected)
			ASSERT_EQ(0, guest_connect(&self->guest));
		forge(&self->guest, &forgeries[i % ARRAY_SIZE(forgeries)]);
		settle(self->nvme);
		fn_edit(self->nvme, EDIT_ENABLED);

		watched(0, do_flr(self->nvme));
		expect_flrs(1);
		expect_next_guest_clean();
		ASSERT_EQ(0, guest_destroy(&self->other));
		ASSERT_TRUE(fn_wait_clean(self->nvme));
	}
}

/* -- a reset that is under way ---------------------------------------------- */

/* That one may have been asked for before what is to be cleared was written */
TEST_F(played, request_waits_and_then_resets)
{
	pid_t resetting;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);

	hw_begin(&self->hw);
	resetting = fault_begin_reset(self->nvme, 1500);
	ASSERT_LT(0, resetting);
	EXPECT_EQ(0, do_flr(self->nvme));
	EXPECT_EQ(0, wait_for_child(resetting));
	hw_end(&self->hw);
	expect_flrs(2);
}

/* -- assigned functions ------------------------------------------------------ */

TEST_F(played, reset_device_never_resets_an_assigned_function)
{
	adopt(self->nvme);
	hand_out();
	watched(-EBUSY, reset_device(self->nvme));
	expect_flrs(0);
	expect_untouched(self->nvme);
	expect_logged(self->nvme, "(assigned to domain 7)");
	expect_plan_blocked(self->nvme, self->nvme, "assigned to domain 7");
}

/*
 * An HVM guest has no ring: pciback may not hear of its end at all. What the toolstack
 * asks for is a request, and what pciback hears later on is old news.
 */
TEST_F(played, do_flr_without_a_ring_ends_the_assignment)
{
	adopt(self->nvme);
	hand_out();
	fn_scribble(self->nvme);
	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	expect_restored();
	watched(0, reset_device(self->nvme));
	expect_flrs(1);

	watched_settle(0, guest_destroy(&self->guest));
	expect_flrs(0);
	expect_untouched(self->nvme);
}

/* A guest with a ring still runs when xl destroy says farewell: its release resets */
TEST_F(played, first_do_flr_with_a_ring_is_noted)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	hand_out_connected();
	watched(0, do_flr(self->nvme));
	expect_flrs(0);
	expect_untouched(self->nvme);
	/* Xen takes it away: its driver had better find it gone */
	expect_unreadable(&self->guest, self->nvme);
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));
	expect_flrs(1);
	expect_restored();
}

/* But not twice: the second one is the next guest's, and the release was not heard of */
TEST_F(played, second_do_flr_with_a_ring_ends_the_assignment)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	hand_out_connected();
	ASSERT_EQ(0, do_flr(self->nvme));
	fn_edit(self->nvme, EDIT_ENABLED);
	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	expect_restored();
	expect_unreadable(&self->guest, self->nvme);

	watched_settle(0, guest_destroy(&self->guest));
	expect_flrs(0);
	expect_untouched(self->nvme);
}

/* It is a hand-out's first that is noted */
TEST_F(played, each_hand_out_has_a_first_do_flr)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	hand_out_connected();
	ASSERT_EQ(0, do_flr(self->nvme));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(fn_wait_clean(self->nvme));
	ASSERT_EQ(0, do_flr(self->nvme));

	hand_out_connected();
	watched(0, do_flr(self->nvme));
	expect_flrs(0);
	expect_untouched(self->nvme);
	expect_unreadable(&self->guest, self->nvme);
}

/* Nor does the toolstack wait for the old one's end, if it has said farewell */
TEST_F(played, next_backend_ends_a_noted_assignment)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	hand_out_connected();
	ASSERT_EQ(0, do_flr(self->nvme));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	expect_unreadable(&self->guest, self->nvme);
	watched_settle(0, guest_destroy(&self->guest));
	expect_flrs(0);
	expect_untouched(self->nvme);
	EXPECT_TRUE(guest_has(&self->other, self->nvme));
	EXPECT_EQ(-EBUSY, reset_device(self->nvme));
}

/* -- farewells of a card ---------------------------------------------------- */

#define farewell()							\
	(do_flr(self->card.first) ?: do_flr(self->card.second) ?:	\
	 do_flr(self->card.third))

/* Not a weak one each before the one that counts */
TEST_F(played, farewells_of_a_card_are_one_reset)
{
	adopt_card();
	hand_out();
	watched(0, farewell());
	expect_sbrs(1);
	expect_restored();
	watched_settle(0, guest_destroy(&self->guest));
	expect_sbrs(0);
}

/* The guest may still run then, and the next one's request is yet to come */
TEST_F(played, farewell_covers_nobody)
{
	adopt_card();
	hand_out();
	ASSERT_EQ(0, farewell());
	/* Not Command: that alone would end what might be covered */
	fn_write(self->card.first, PCI_INTERRUPT_LINE, 0x5a, 1);
	/* As long as it was before this, it is not "in use" for ever */
	fn_edit(self->card.second, EDIT_ENABLED);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	expect_restored();
	watched(0, do_flr(self->card.second) ?: do_flr(self->card.third));
	expect_sbrs(0);
}

TEST_F(played, farewell_is_not_covered)
{
	adopt_card();
	ASSERT_EQ(0, do_flr(self->card.first));
	/* Covered, but this was not its request */
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
	watched(0, do_flr(self->card.second));
	expect_sbrs(1);
}

/*
 * A guest's card is taken from it by xl destroy, and asked for at once: its release
 * is on its way, and a weak reset would be the only one.
 */
TEST_F(played, request_waits_for_noted_siblings)
{
	pid_t requesting;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->card.second, self->card.third);
	hand_out_connected();
	adopt(self->card.first);
	ASSERT_EQ(0, do_flr(self->card.second));
	ASSERT_EQ(0, do_flr(self->card.third));

	hw_begin(&self->hw);
	requesting = in_child(do_flr(self->card.first));
	usleep(500000);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, wait_for_child(requesting));
	EXPECT_TRUE(owned_wait_clean(&self->owned));
	hw_end(&self->hw);
	/* The release's own may have been before */
	EXPECT_LE(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_GE(2, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.second));
	expect_restored();
}

/* But not for ever */
TEST_F(played, request_waits_two_seconds_for_noted_siblings)
{
	long long start;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->card.second, self->card.third);
	hand_out_connected();
	adopt(self->card.first);
	ASSERT_EQ(0, do_flr(self->card.second));
	ASSERT_EQ(0, do_flr(self->card.third));
	start = now_ms();
	watched(0, do_flr(self->card.first));
	EXPECT_LE(1500, now_ms() - start);
	EXPECT_GE(3500 * SLOWER, now_ms() - start);
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
	expect_untouched(self->card.third);
}

/* -- functions that a guest has been refused --------------------------------- */

/*
 * The reset was done, and a sibling does not come back from it; it goes no level up, where
 * a guest has a function. The request does not hide that.
 */
TEST_F(played, request_tells_of_a_sibling_that_stays_away)
{
	struct fn top = fn_root(0x16), bridge = fn_below(top, 1, 0);
	struct fn edu = fn_below(bridge, 1, 0), other = fn_below(bridge, 2, 0);
	char driver[32];

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	fn_driver(bridge, driver, sizeof(driver));
	if (*driver)
		ASSERT_EQ(0, fn_unbind(bridge));
	inject(edu);
	adopt(edu, other);
	ASSERT_EQ(0, fn_adopt(bridge));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &bridge, 1));
	ASSERT_EQ(0, fault_set(edu, "sbr_away_ms", FAULT_FOR_EVER));
	watched(-ETIMEDOUT, do_flr(other));
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(0, hw_sbrs(&self->hw, top));
	expect_logged(other, "bus: no answer");
	EXPECT_EQ(1, fn_needs_reset(edu));
	ASSERT_EQ(0, fault_set(edu, "heal", 1));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, fn_release(bridge));
	if (*driver)
		EXPECT_EQ(0, write_string("/sys/bus/pci/drivers_probe", bridge.name));
}

/*
 * An HVM guest is not stopped by a refusal: Xen and its device model have given it the
 * function before pciback is asked.
 */
TEST_F(played, refused_function_blocks_its_set)
{
	adopt_card();
	make_dirty(self->card.second);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(-EIO, guest_create(&self->guest, DOMAIN, &self->card.second, 1));

	watched(-EBUSY, reset_device(self->card.first));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
	expect_blocked(self->card.first, self->card.second,
		       "assigned to domain 7");

	/* Until the toolstack names it */
	watched(0, do_flr(self->card.second));
	expect_sbrs(1);
	watched(0, reset_device(self->card.first));
	expect_sbrs(1);
}

/* A running guest has the first, and is refused the second: neither is reset */
TEST_F(played, refused_while_running_blocks_until_it_is_detached)
{
	adopt_card();
	make_dirty(self->card.second);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(-EIO, guest_attach(&self->guest, self->card.second));

	watched(-EBUSY, reset_device(self->card.third));
	expect_sbrs(0);
	expect_untouched(self->card.first);
	expect_untouched(self->card.second);

	/* It goes, and does not block the other one's set for the guest's whole life */
	ASSERT_EQ(0, guest_detach(&self->guest, self->card.second));
	watched(-EBUSY, reset_device(self->card.second));
	expect_weakly(self->card.second, 1);
	expect_untouched(self->card.first);
	expect_blocked(self->card.second, self->card.first,
		       "assigned to domain 7");
	ASSERT_EQ(0, guest_detach(&self->guest, self->card.first));
	ASSERT_TRUE(owned_wait_clean(&self->owned));
	watched(0, reset_device(self->card.third));
	expect_sbrs(1);
}

TEST_HARNESS_MAIN
