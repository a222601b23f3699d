// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that the backend refuses, because they need a reset first or are being reset.
 * A refused function does not affect the guest's other functions, has an empty place of
 * its own on the guest's bus, and counts as assigned to that guest: the toolstack may have
 * given it to the guest in Xen. pciback gives the guest no access. The test plays the
 * guests (lib/guest.h).
 */
#include "lib/backend.h"

/* By the policy: nothing can make these clean, as the third one is not owned */
#define adopt_dirty() do {						\
	adopt(self->card.first, self->card.second);			\
	ASSERT_EQ(1, fn_needs_reset(self->card.first));			\
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));		\
} while (0)

/* The whole card is owned, and has not been reset since a guest had it */
#define adopt_used() do {						\
	adopt_card();							\
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));			\
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN,		\
				  self->owned.fns + self->owned.nr - 3,	\
				  3));					\
	ASSERT_EQ(0, guest_destroy(&self->other));			\
	ASSERT_EQ(1, fn_needs_reset(self->card.first));			\
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));		\
} while (0)

/* The slot of a function on the guest's only bus; -1 if that is no such place */
static int slot_of(const struct guest *guest, struct fn fn)
{
	unsigned int domain, bus, slot, func;
	char place[32];

	guest_place(guest, fn, place, sizeof(place));
	if (sscanf(place, "%x:%x:%x.%x", &domain, &bus, &slot, &func) != 4 ||
	    domain || bus || slot > 31 || func > 7)
		return -1;
	return slot;
}

/* Told to the toolstack, in a place where none is, and assigned to the guest */
#define expect_refused(which, target, beside) do {			\
	const struct guest *whose = which;				\
	struct fn refused = target, other = beside;			\
									\
	EXPECT_EQ(STATE_CLOSED, guest_fn_state(whose, refused));	\
	expect_error(whose, refused);					\
	EXPECT_LE(0, slot_of(whose, refused)) {				\
		guest_place(whose, refused, self->text,			\
			    sizeof(self->text));			\
		TH_LOG("%s: \"%s\"", refused.name, self->text);		\
	}								\
	EXPECT_NE(slot_of(whose, other), slot_of(whose, refused));	\
	expect_assigned(refused, whose->domid);				\
	expect_given(whose, other);					\
} while (0)

/* Neither the guest's nor in the way */
#define expect_for_others(target) do {					\
	struct fn freed = target;					\
									\
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));		\
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &freed,	\
				  1));					\
	expect_given(&self->other, freed);				\
} while (0)

/* -- a new guest ------------------------------------------------------------ */

#define expect_backend_open(guest) do {					\
	enum guest_state now = guest_backend_state(guest);		\
									\
	EXPECT_TRUE(now == STATE_INIT_WAIT || now == STATE_INITIALISED) { \
		TH_LOG("the backend's state is %d", now);		\
	}								\
} while (0)

/* The first one is the guest's, and stays so */
TEST_F(played, new_guest_keeps_the_others)
{
	const struct fn fns[] = { self->nic, self->card.first };

	adopt(self->nic);
	adopt_dirty();
	watched(-EIO, guest_create(&self->guest, DOMAIN, fns, 2));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	expect_refused(&self->guest, self->card.first, self->nic);
	expect_backend_open(&self->guest);

	/* Its end is that of both */
	ASSERT_EQ(0, guest_destroy(&self->guest));
	expect_idle(self->nic);
	expect_for_others(self->card.first);
}

/* Whichever comes first in the list */
TEST_F(played, new_guest_gets_those_after_it)
{
	const struct fn fns[] = { self->card.first, self->nic };

	adopt(self->nic);
	adopt_dirty();
	EXPECT_EQ(-EIO, guest_create(&self->guest, DOMAIN, fns, 2));
	self->guest.wait_ms = SOON_MS;
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->nic));
	expect_refused(&self->guest, self->card.first, self->nic);
	expect_backend_open(&self->guest);
}

/* The same outcome when it is a reset that is in the way, and not the policy */
TEST_F(played, new_guest_keeps_the_others_busy)
{
	const struct fn fns[] = { self->nic, self->nvme };
	pid_t resetting;

	ASSERT_EQ(0, fault_load());
	adopt(self->nic, self->nvme);
	ASSERT_EQ(0, fault_add(self->nvme));
	resetting = fault_begin_reset(self->nvme, FAULT_FOR_EVER);
	ASSERT_LT(0, resetting);
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, fns, 2));
	self->guest.wait_ms = SOON_MS;
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	expect_refused(&self->guest, self->nvme, self->nic);
	expect_backend_open(&self->guest);
	EXPECT_EQ(0, fault_heal(self->nvme, "flr_away_ms"));
	EXPECT_NE(-ECHILD, wait_for_child(resetting));
}

/* Its nodes are followed on: once it can go, the toolstack may ask again */
TEST_F(played, new_guest_may_be_asked_again)
{
	const struct fn fns[] = { self->nic, self->card.first };

	adopt(self->nic);
	adopt_dirty();
	EXPECT_EQ(-EIO, guest_create(&self->guest, DOMAIN, fns, 2));
	self->guest.wait_ms = SOON_MS;
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, guest_offer_again(&self->guest, self->card.first));
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->card.first));
	expect_given(&self->guest, self->card.first);
	expect_given(&self->guest, self->nic);
}

/* -- a guest that runs -------------------------------------------------------- */

/* Two refused ones, and one that comes after them: no two in the same place */
TEST_F(played, each_has_an_empty_place)
{
	char second[32];

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->entropy);
	adopt_dirty();
	create_pv(&self->guest, self->nic);
	EXPECT_EQ(-EIO, guest_attach(&self->guest, self->card.first));
	expect_refused(&self->guest, self->card.first, self->nic);
	EXPECT_EQ(-EIO, guest_attach(&self->guest, self->card.second));
	expect_refused(&self->guest, self->card.second, self->nic);
	guest_place(&self->guest, self->card.second, second, sizeof(second));
	guest_place(&self->guest, self->card.first, self->text,
		    sizeof(self->text));
	EXPECT_STRNE(second, self->text);
	expect_unreadable(&self->guest, self->card.first);
	expect_unreadable(&self->guest, self->card.second);

	ASSERT_EQ(0, guest_attach(&self->guest, self->entropy));
	EXPECT_NE(slot_of(&self->guest, self->card.first),
		  slot_of(&self->guest, self->entropy));
	EXPECT_NE(slot_of(&self->guest, self->card.second),
		  slot_of(&self->guest, self->entropy));
	expect_readable(&self->guest, self->entropy);
	expect_readable(&self->guest, self->nic);
	expect_unreadable(&self->guest, self->card.first);
}

/* What is detached was none: nothing is reset, and nothing else goes */
TEST_F(played, detach_takes_nothing_else)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->entropy);
	adopt_dirty();
	create_pv(&self->guest, self->nic);
	EXPECT_EQ(-EIO, guest_attach(&self->guest, self->card.first));
	EXPECT_EQ(0, guest_attach(&self->guest, self->entropy));
	expect_assigned(self->card.first, 0);

	watched(0, guest_detach(&self->guest, self->card.first));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_TRUE(guest_connected(&self->guest));
	expect_readable(&self->guest, self->nic);
	expect_readable(&self->guest, self->entropy);
	expect_given(&self->guest, self->nic);
	expect_given(&self->guest, self->entropy);
	expect_for_others(self->card.first);
}

/* Of an HVM guest, whose toolstack does not wait and moves the others' nodes */
TEST_F(played, hvm_detach_takes_nothing_else)
{
	adopt(self->nic, self->entropy);
	adopt_dirty();
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_offer(&self->guest, self->card.first);
	EXPECT_EQ(-EIO, guest_wait_fn(&self->guest, self->card.first));
	expect_refused(&self->guest, self->card.first, self->nic);
	EXPECT_NE(STATE_CLOSING, guest_backend_state(&self->guest));
	guest_offer(&self->guest, self->entropy);
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->entropy));

	hw_begin(&self->hw);
	EXPECT_EQ(0, guest_recall(&self->guest, self->card.first));
	EXPECT_EQ(0, guest_forget(&self->guest, self->card.first));
	usleep(NOTHING_MS * 1000);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	expect_given(&self->guest, self->nic);
	expect_given(&self->guest, self->entropy);
	expect_for_others(self->card.first);
}

/* -- it counts as assigned ---------------------------------------------------- */

/* The guest may have it in Xen: its set is not reset below it, until it is detached */
TEST_F(played, set_is_not_reset_below_it)
{
	struct card *card = &self->card;

	adopt(self->nic);
	adopt_used();
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_offer(&self->guest, card->first);
	EXPECT_EQ(-EIO, guest_wait_fn(&self->guest, card->first));
	watched(-EBUSY, reset_device(card->third));
	EXPECT_EQ(0, hw_sbrs(&self->hw, card->port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, card->first));
	expect_refused(&self->guest, card->first, self->nic);

	EXPECT_EQ(0, guest_recall(&self->guest, card->first));
	EXPECT_EQ(0, guest_forget(&self->guest, card->first));
	usleep(NOTHING_MS * 1000);
	watched(0, reset_device(card->third));
	EXPECT_EQ(1, hw_sbrs(&self->hw, card->port));
	expect_given(&self->guest, self->nic);
}

/* Or a request names it, which then resets it */
TEST_F(played, request_ends_it)
{
	struct card *card = &self->card;

	adopt(self->nic);
	adopt_used();
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_offer(&self->guest, card->first);
	EXPECT_EQ(-EIO, guest_wait_fn(&self->guest, card->first));
	expect_assigned(card->first, DOMAIN);
	watched(0, do_flr(card->first));
	EXPECT_EQ(1, hw_sbrs(&self->hw, card->port));
	watched(0, reset_device(card->first));
	EXPECT_EQ(1, hw_sbrs(&self->hw, card->port));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &card->first, 1));
	expect_given(&self->other, card->first);
	expect_given(&self->guest, self->nic);
}

/* Another guest cannot have it meanwhile */
TEST_F(played, no_other_guest_gets_it)
{
	adopt(self->nic);
	adopt_dirty();
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_offer(&self->guest, self->card.first);
	EXPECT_EQ(-EIO, guest_wait_fn(&self->guest, self->card.first));
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(-EIO, guest_create(&self->other, OTHER_DOMAIN,
				     &self->card.first, 1));
	expect_assigned(self->card.first, DOMAIN);
}

/* -- it is not new again ------------------------------------------------------ */

/* Nothing but the toolstack's asking anew brings it: no other event does */
TEST_F(played, handed_out_only_when_asked_again)
{
	adopt(self->nic, self->entropy);
	adopt_dirty();
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_offer(&self->guest, self->card.first);
	EXPECT_EQ(-EIO, guest_wait_fn(&self->guest, self->card.first));

	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	guest_forge_state(&self->guest, "1");
	guest_offer(&self->guest, self->entropy);
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->entropy));
	EXPECT_EQ(STATE_CLOSED, guest_fn_state(&self->guest, self->card.first));
	expect_assigned(self->card.first, DOMAIN);

	EXPECT_EQ(0, guest_offer_again(&self->guest, self->card.first));
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->card.first));
	expect_given(&self->guest, self->card.first);

	/* Also if it is taken off the list, and listed anew */
	EXPECT_EQ(0, guest_recall(&self->guest, self->card.first));
	EXPECT_EQ(0, guest_forget(&self->guest, self->card.first));
	guest_offer(&self->guest, self->card.first);
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->card.first));
	expect_given(&self->guest, self->card.first);
	expect_given(&self->guest, self->nic);
}

/* For a connected guest, its frontend takes part in that */
TEST_F(played, connected_guest_gets_it_when_asked_again)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic);
	adopt_dirty();
	create_pv(&self->guest, self->nic);
	EXPECT_EQ(-EIO, guest_attach(&self->guest, self->card.first));
	expect_unreadable(&self->guest, self->card.first);
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, guest_detach(&self->guest, self->card.first));
	EXPECT_EQ(0, guest_attach(&self->guest, self->card.first));
	expect_readable(&self->guest, self->card.first);
	expect_readable(&self->guest, self->nic);
}

TEST_HARNESS_MAIN
