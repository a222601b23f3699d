// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: what a toolstack writes right before it hands a function out. No account
 * of what was reset before makes it a no-op, since nobody knows who has been at the
 * function since; except that one reset of a card is enough for all of its functions.
 */
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
	watched(0, do_flr(self->card.first) ?: do_flr(self->card.second) ?:
		   do_flr(self->card.third));
	expect_sbrs(1);
	expect_next_guest_clean();
}

TEST_HARNESS_MAIN
