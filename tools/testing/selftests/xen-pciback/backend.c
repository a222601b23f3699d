// SPDX-License-Identifier: GPL-2.0
/*
 * The backend follows what the toolstack lists, whatever state a frontend is in and
 * whatever it writes: it hands out what is newly listed, releases what is no longer
 * listed, and does not start again what has ended. The test plays the guests
 * (lib/guest.h).
 */
#include "lib/backend.h"
#include "lib/release.h"

/* A reset that takes longer than anybody waits for at a hand-out */
#define BUSY_MS		3000

/* In each order */
#define ORDERS		6
static const unsigned int orders[ORDERS][3] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

/* -- a new guest ------------------------------------------------------------ */

/* The second function's set is in a reset: the nodes of the first are left alone */
TEST_F(played, busy_sibling_makes_no_storm)
{
	struct card *card = &self->card;
	const struct fn fns[] = { self->nic, card->second };
	unsigned int state, all;
	pid_t resetting;

	ASSERT_EQ(0, fault_load());
	adopt_card();
	adopt(self->nic);
	/* The core waits for the first of its list, which need not be function 0 */
	ASSERT_EQ(0, fault_add(card->first));
	ASSERT_EQ(0, fault_add(card->second));
	ASSERT_EQ(0, fault_add(card->third));
	ASSERT_EQ(0, fault_set(card->first, "sbr_away_ms", BUSY_MS));
	ASSERT_EQ(0, fault_set(card->second, "sbr_away_ms", BUSY_MS));
	ASSERT_EQ(0, fault_set(card->third, "sbr_away_ms", BUSY_MS));

	resetting = in_child(reset_device(card->third));
	ASSERT_TRUE(fault_wait(card->first, "sbrs"));
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, fns, 2));
	ASSERT_EQ(0, guest_watch_begin(&self->guest));
	EXPECT_EQ(0, wait_for_child(resetting));
	usleep(NOTHING_MS * 1000);
	state = guest_watch_count(&self->guest, "state-0");
	EXPECT_GE(1, state) {
		TH_LOG("state-0 was written %u times", state);
	}

	/* And when all is done, nothing is written any more */
	usleep(NOTHING_MS * 1000);
	all = guest_watch_count(&self->guest, NULL);
	EXPECT_EQ(0, all);
}

/*
 * Connects when the second function, which is in a reset, is looked at: it connects
 * with both, or the toolstack has got an error.
 */
TEST_F(played, connects_with_all_or_an_error)
{
	pid_t resetting;
	int state;

	ASSERT_EQ(0, hold_load());
	ASSERT_EQ(0, fault_load());
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &self->nic, 1));
	ASSERT_EQ(0, fault_add(self->nvme));
	resetting = fault_begin_reset(self->nvme, BUSY_MS);
	ASSERT_LT(0, resetting);

	/* As xl create does it: one after the other, and the guest is not up yet */
	guest_offer_starting(&self->guest, self->nvme);
	settle();
	ASSERT_EQ(0, hold_at_entry("xenbus_read_driver_state"));
	settle();
	ASSERT_EQ(0, guest_connect_begin(&self->guest));
	EXPECT_TRUE(hold_wait());
	settle();
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, guest_wait_backend(&self->guest, STATE_CONNECTED));
	EXPECT_EQ(0, wait_for_child(resetting));
	usleep(NOTHING_MS * 1000);

	state = guest_fn_state(&self->guest, self->nvme);
	EXPECT_TRUE(state == STATE_INITIALISED || state == STATE_CLOSED) {
		TH_LOG("state-1 is %d", state);
	}
	if (state == STATE_CLOSED)
		expect_error(&self->guest, self->nvme);
}

/* Listed twice: an error of the second, and the first stays what it is */
TEST_F(played, same_function_twice_is_an_error)
{
	const struct fn fns[] = { self->nic, self->nic };

	adopt(self->nic);
	EXPECT_EQ(-EIO, guest_create(&self->guest, DOMAIN, fns, 2));
	expect_error(&self->guest, self->nic);
	guest_node(&self->guest, self->text, sizeof(self->text), "state-1");
	EXPECT_STREQ("6", self->text);
	EXPECT_NE(STATE_CLOSING, guest_backend_state(&self->guest));
	expect_given(&self->guest, self->nic);

	EXPECT_EQ(0, guest_destroy(&self->guest));
	expect_idle(self->nic);
}

/* -- HVM: no frontend, and a toolstack that does not wait -------------------- */

TEST_F_TIMEOUT(played, hvm_attach_in_each_order, 600)
{
	const struct fn fns[] = { self->nic, self->entropy, self->xhci };
	struct fn in_order[3];
	unsigned int order, i;

	adopt(self->nic, self->entropy, self->xhci);
	for (order = 0; order < ORDERS; order++) {
		for (i = 0; i < 3; i++)
			in_order[i] = fns[orders[order][i]];
		create_hvm(&self->guest, DOMAIN, in_order[0]);
		guest_offer(&self->guest, in_order[1]);
		guest_offer(&self->guest, in_order[2]);
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(0, guest_wait_fn(&self->guest, in_order[i])) {
				TH_LOG("%s, the %u. of order %u",
				       in_order[i].name, i + 1, order);
			}
			expect_given(&self->guest, in_order[i]);
		}
		EXPECT_EQ(0, guest_destroy(&self->guest));
		for (i = 0; i < 3; i++)
			expect_idle(fns[i]);
	}
}

/* The nodes of those after it take another place each time */
TEST_F_TIMEOUT(played, hvm_detach_in_each_order, 600)
{
	const struct fn fns[] = { self->nic, self->entropy, self->xhci };
	unsigned int order, i, j;

	adopt(self->nic, self->entropy, self->xhci);
	for (order = 0; order < ORDERS; order++) {
		create_hvm(&self->guest, DOMAIN, fns[0], fns[1], fns[2]);
		for (i = 0; i < 3; i++) {
			struct fn fn = fns[orders[order][i]];

			EXPECT_EQ(0, guest_recall(&self->guest, fn));
			EXPECT_EQ(0, guest_forget(&self->guest, fn));
			settle();
			for (j = i + 1; j < 3; j++)
				expect_given(&self->guest, fns[orders[order][j]]);
			expect_idle(fn);
		}
		EXPECT_EQ(0, guest_destroy(&self->guest));
	}
}

/* What it has got while it ran is out of reach of a reset of the set, too */
TEST_F(played, hvm_attached_card_is_not_reset)
{
	struct card *card = &self->card;

	adopt(self->nic);
	adopt_card();
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_offer(&self->guest, card->first);
	EXPECT_EQ(0, guest_wait_fn(&self->guest, card->first));
	watched(-EBUSY, reset_device(card->third));
	EXPECT_EQ(0, hw_sbrs(&self->hw, card->port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, card->first));
}

/* And from the detach on the next guest can have it */
TEST_F(played, hvm_detached_goes_to_the_next)
{
	adopt(self->nic, self->entropy);
	create_hvm(&self->guest, DOMAIN, self->nic, self->entropy);
	EXPECT_EQ(0, guest_recall(&self->guest, self->entropy));
	EXPECT_EQ(0, guest_forget(&self->guest, self->entropy));
	EXPECT_EQ(0, do_flr(self->entropy));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->entropy, 1));
	expect_given(&self->other, self->entropy);
	expect_given(&self->guest, self->nic);
}

/*
 * The backend looks while the toolstack is at it: it has read what is Closing when
 * the places change, or has begun to write what it did.
 */
#define shift_while_held(function) do {					\
	ASSERT_EQ(0, hold_load());					\
	adopt(self->nic, self->entropy);				\
	create_hvm(&self->guest, DOMAIN, self->nic, self->entropy);	\
	ASSERT_EQ(0, hold_at_entry(function));				\
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));		\
	EXPECT_TRUE(hold_wait());					\
	EXPECT_EQ(0, guest_forget(&self->guest, self->nic));		\
	EXPECT_EQ(0, hold_let_go());					\
	usleep(NOTHING_MS * 1000);					\
	expect_given(&self->guest, self->entropy);			\
	expect_idle(self->nic);						\
	guest_node(&self->guest, self->text, sizeof(self->text),	\
		   "state-1");						\
	EXPECT_STREQ("", self->text);					\
} while (0)

TEST_F(played, hvm_shift_before_it_reads)
{
	shift_while_held("xenbus_transaction_start");
}

TEST_F(played, hvm_shift_before_it_has_read_all)
{
	shift_while_held("xenbus_transaction_end");
}

/* The last one goes: a list with nobody on it is a list, too */
TEST_F(played, hvm_none_left_to_read)
{
	ASSERT_EQ(0, hold_load());
	adopt(self->nic);
	create_hvm(&self->guest, DOMAIN, self->nic);
	ASSERT_EQ(0, hold_at_entry("xenbus_transaction_start"));
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, guest_forget(&self->guest, self->nic));
	EXPECT_EQ(0, hold_let_go());
	usleep(NOTHING_MS * 1000);
	expect_idle(self->nic);
}

/* One that is being handed out has another index by then: its guest keeps it, untouched */
TEST_F(played, hvm_shift_of_one_that_is_handed_out)
{
	ASSERT_EQ(0, hold_load());
	adopt(self->nic, self->entropy);
	create_hvm(&self->guest, DOMAIN, self->nic);
	ASSERT_EQ(0, hold_at_return("pcistub_get_pci_dev"));
	guest_offer(&self->guest, self->entropy);
	EXPECT_TRUE(hold_wait());
	hw_begin(&self->hw);
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));
	EXPECT_EQ(0, guest_forget(&self->guest, self->nic));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->entropy));
	usleep(NOTHING_MS * 1000);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x11)));
	expect_given(&self->guest, self->entropy);
	expect_idle(self->nic);
}

/* A detach and an attach in one look: the place is the same, the function is not */
TEST_F(played, hvm_another_in_the_same_place)
{
	ASSERT_EQ(0, hold_load());
	adopt(self->nic, self->entropy);
	create_hvm(&self->guest, DOMAIN, self->nic);
	ASSERT_EQ(0, hold_at_entry("xenbus_transaction_start"));
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, guest_forget(&self->guest, self->nic));
	guest_offer(&self->guest, self->entropy);
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->entropy));
	expect_given(&self->guest, self->entropy);
	expect_idle(self->nic);
}

/*
 * The same while it hands the former one out: nobody is told that it was the new one. It was
 * in its place on the guest's bus for a moment, so that it is reset as after any guest.
 */
TEST_F(played, hvm_another_in_the_place_of_a_new_one)
{
	ASSERT_EQ(0, hold_load());
	adopt(self->nic, self->entropy, self->xhci);
	create_hvm(&self->guest, DOMAIN, self->nic);
	ASSERT_EQ(0, hold_at_return("pcistub_get_pci_dev"));
	hw_begin(&self->hw);
	guest_offer(&self->guest, self->entropy);
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, guest_forget(&self->guest, self->entropy));
	guest_offer(&self->guest, self->xhci);
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->xhci));
	EXPECT_TRUE(fn_wait_clean(self->entropy));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, fn_root(0x11)));
	expect_given(&self->guest, self->xhci);
	expect_idle(self->entropy);
}

/* -- a frontend that writes what it likes ------------------------------------ */

/* Only pcifront's Reconfiguring brings Reconfigured, and nothing goes before that */
TEST_F(played, detach_waits_for_the_frontend)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->entropy);
	create_pv(&self->guest, self->nic, self->entropy);
	hw_begin(&self->hw);
	EXPECT_EQ(0, guest_recall(&self->guest, self->entropy));
	usleep(NOTHING_MS * 1000);
	EXPECT_EQ(STATE_RECONFIGURING, guest_backend_state(&self->guest));
	/* pcifront's driver lets go of it now, and wants it to answer */
	expect_readable(&self->guest, self->entropy);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	expect_assigned(self->entropy, 0);

	guest_forge_state(&self->guest, "7");
	EXPECT_EQ(0, guest_wait_backend(&self->guest, STATE_RECONFIGURED));
	expect_unreadable(&self->guest, self->entropy);
	expect_readable(&self->guest, self->nic);
	guest_forge_state(&self->guest, "4");
	EXPECT_EQ(0, guest_wait_backend(&self->guest, STATE_CONNECTED));
	EXPECT_EQ(0, guest_forget(&self->guest, self->entropy));
	expect_idle(self->entropy);
	expect_given(&self->guest, self->nic);
}

/* Or xl would take the detach for done, and the guest still have it */
TEST_F(played, connected_ends_no_detach)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic);
	create_pv(&self->guest, self->nic);
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));
	guest_forge_state(&self->guest, "4");
	usleep(NOTHING_MS * 1000);
	EXPECT_EQ(STATE_RECONFIGURING, guest_backend_state(&self->guest));
	expect_assigned(self->nic, 0);

	/* It thinks better of it */
	guest_forge_state(&self->guest, "7");
	EXPECT_EQ(0, guest_wait_backend(&self->guest, STATE_RECONFIGURED));
	expect_unreadable(&self->guest, self->nic);
	guest_forge_state(&self->guest, "4");
	EXPECT_EQ(0, guest_wait_backend(&self->guest, STATE_CONNECTED));
	expect_idle(self->nic);
}

/* The same after it has let go of the ring: nothing keeps the function then */
TEST_F(played, connected_after_closing_is_none)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic);
	create_pv(&self->guest, self->nic);
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));
	guest_forge_state(&self->guest, "5");
	settle();
	guest_forge_state(&self->guest, "4");
	usleep(NOTHING_MS * 1000);
	EXPECT_NE(STATE_CONNECTED, guest_backend_state(&self->guest));
	expect_idle(self->nic);
}

/* Nor without a ring from the start */
TEST_F(played, connected_without_a_ring_is_none)
{
	adopt(self->nic);
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_forge_state(&self->guest, "4");
	usleep(NOTHING_MS * 1000);
	EXPECT_EQ(STATE_INITIALISED, guest_backend_state(&self->guest));
	expect_given(&self->guest, self->nic);
}

/*
 * A guest that does not cooperate: xl has taken the function away in Xen, waits for
 * nothing, and gives it to the next one.
 */
TEST_F(played, next_guest_ends_a_detach)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->entropy);
	create_pv(&self->guest, self->nic, self->entropy);
	watched(0, do_flr(self->nic));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, guest_recall(&self->guest, self->nic));
	settle();

	/* "xl create", of an HVM guest; its request is the second one */
	watched(0, do_flr(self->nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, fn_root(0x12)));
	expect_unreadable(&self->guest, self->nic);
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic, 1));
	expect_given(&self->other, self->nic);
	expect_readable(&self->guest, self->entropy);
}

/* The same by a toolstack that writes no second request */
TEST_F(played, next_list_ends_a_detach)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->entropy);
	create_pv(&self->guest, self->nic, self->entropy);
	EXPECT_EQ(0, do_flr(self->nic));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic, 1));
	expect_given(&self->other, self->nic);
	expect_unreadable(&self->guest, self->nic);
	expect_readable(&self->guest, self->entropy);
}

/* -- an assignment that has ended -------------------------------------------- */

/* What a frontend can write to make pciback think that it is gone */
static const char * const ends[] = { "6", "0", "gone", NULL };

/*
 * Shut down, rebooted, crashed, or it only says so: the nodes stay, and nothing
 * comes after that. The next guest can have it, and it does not go back, whatever
 * the first one says then.
 */
TEST_F_TIMEOUT(played, said_to_be_gone_and_stays_so, 600)
{
	unsigned int i, j;

	adopt(self->nic);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		create_hvm(&self->guest, DOMAIN, self->nic);
		guest_forge_state(&self->guest, "5");
		guest_forge_state(&self->guest, ends[i]);
		settle();
		/* As any state may be the event */
		for (j = STATE_INITIALISING; j <= STATE_RECONFIGURED; j++) {
			snprintf(self->text, sizeof(self->text), "%u", j);
			guest_forge_state(&self->guest, self->text);
		}
		settle();
		expect_idle(self->nic);
		EXPECT_EQ(0, do_flr(self->nic));
		EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic,
					  1)) {
			guest_error(&self->other, self->text,
				    sizeof(self->text));
			TH_LOG("after %s: %s", ends[i] ?: "nothing", self->text);
		}
		EXPECT_EQ(0, guest_destroy(&self->other));
		EXPECT_EQ(0, guest_destroy(&self->guest));
	}
}

/* The same with the whole directory of the frontend gone */
TEST_F(played, vanished_and_stays_so)
{
	adopt(self->nic);
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_forge_removal(&self->guest);
	settle();
	EXPECT_EQ(0, do_flr(self->nic));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic, 1));
	expect_given(&self->other, self->nic);
}

/* Closed before "xl pci-detach", which fails then, after it has told Xen */
TEST_F(played, closed_before_its_detach)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic);
	create_pv(&self->guest, self->nic);
	guest_forge_state(&self->guest, "6");
	EXPECT_EQ(0, do_flr(self->nic));
	settle();
	watched(0, do_flr(self->nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, fn_root(0x12)));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic, 1));
	expect_given(&self->other, self->nic);
}

/* A request that names it: an HVM guest's is over with the first one */
TEST_F(played, hvm_request_ends_it_and_stays_so)
{
	adopt(self->nic, self->entropy);
	create_hvm(&self->guest, DOMAIN, self->nic);
	watched(0, do_flr(self->nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, fn_root(0x12)));

	/* It is still listed, with state 3, and there are events */
	guest_forge_state(&self->guest, "1");
	guest_offer(&self->guest, self->entropy);
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->entropy));
	expect_idle(self->nic);
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic, 1));
	expect_given(&self->other, self->nic);
	expect_given(&self->guest, self->entropy);

	/* And the first one's end is no concern of the second's */
	watched(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x12)));
	expect_given(&self->other, self->nic);
}

/* Unbound from under its guest, and bound again: it is nobody's */
TEST_F(played, unbound_and_stays_so)
{
	adopt(self->nic, self->entropy);
	create_hvm(&self->guest, DOMAIN, self->nic);
	ASSERT_EQ(0, fn_release(self->nic));
	ASSERT_EQ(0, fn_adopt(self->nic));
	guest_offer(&self->guest, self->entropy);
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->entropy));
	expect_idle(self->nic);

	/* Unless it is listed anew */
	EXPECT_EQ(0, guest_offer_again(&self->guest, self->nic));
	EXPECT_EQ(0, guest_wait_fn(&self->guest, self->nic));
	expect_given(&self->guest, self->nic);
}

/*
 * With a stub domain the release may come while the guest's device model still has
 * the BARs: it proves nothing, and the request after it resets again.
 */
TEST_F(played, reset_again_after_a_release)
{
	adopt(self->nic);
	create_hvm(&self->guest, DOMAIN, self->nic);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(fn_wait_clean(self->nic));
	/* By who is still there */
	fn_scribble(self->nic);
	watched(0, do_flr(self->nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, fn_root(0x12)));
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
}

/* The toolstack may remove the backend at any time, and no pass brings a node of it back */
TEST_F(played, roots_that_were_removed)
{
	char text[16];

	ASSERT_EQ(0, hold_load());
	adopt(self->nic);
	create_hvm(&self->guest, DOMAIN, self->nic);
	guest_node(&self->guest, text, sizeof(text), "root_num");
	EXPECT_STREQ("1", text);
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_publish_pci_root"));
	guest_remove_node(&self->guest, "root_num");
	EXPECT_TRUE(hold_wait());
	guest_remove(&self->guest);
	EXPECT_EQ(0, hold_let_go());
	usleep(NOTHING_MS * 1000);
	guest_node(&self->guest, text, sizeof(text), "root_num");
	EXPECT_STREQ("", text);
}

/* -- real addresses ---------------------------------------------------------- */

/* With passthrough=1 a function is where it is in dom0, and a refused one has its place */
TEST_F(played, passthrough)
{
	const struct fn fns[] = { self->nic, self->card.first };
	char place[32];

	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, load_pciback("passthrough=1"));
	adopt(self->nic);
	EXPECT_EQ(0, owned_seize(&self->owned, self->card.first));
	EXPECT_EQ(0, fn_set(self->card.first, "strict", "1"));
	EXPECT_EQ(-EIO, guest_create(&self->guest, DOMAIN, fns, 2));

	expect_given(&self->guest, self->nic);
	guest_place(&self->guest, self->nic, place, sizeof(place));
	EXPECT_STREQ("0000:03:00.00", place);
	guest_place(&self->guest, self->card.first, place, sizeof(place));
	EXPECT_STREQ("0000:04:00.00", place);

	EXPECT_EQ(0, guest_destroy(&self->guest));
	expect_idle(self->nic);
	EXPECT_EQ(0, owned_release(&self->owned));
	EXPECT_EQ(0, unload_module("xen_pciback"));
	EXPECT_EQ(0, load_pciback(""));
}

/* -- the backend's record ---------------------------------------------------- */

/*
 * An unbind has taken the function off the guest's bus, and has not released it,
 * when the guest is destroyed: the backend is not freed before the unbind is done.
 */
TEST_F(played, backend_outlives_its_functions)
{
	pid_t unbinding, destroying;

	ASSERT_EQ(0, hold_load());
	adopt(self->nic);
	release_backend_begin();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nic, 1));
	release_backend_note();
	ASSERT_EQ(0, hold_at_entry("pcistub_put_pci_dev"));
	unbinding = in_child(fn_release(self->nic));
	EXPECT_TRUE(hold_wait());
	destroying = in_child(guest_destroy(&self->guest));
	/* Whether it waits, or has left the rest to who is last */
	usleep(2 * NOTHING_MS * 1000);
	EXPECT_EQ(0, release_backend_freed());
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(unbinding));
	EXPECT_EQ(0, wait_for_child(destroying));
	usleep(NOTHING_MS * 1000);
	EXPECT_LE(1, release_backend_freed());
	release_backend_end();

	/* It was a guest's when it was unbound, and is whole */
	ASSERT_EQ(0, fn_adopt(self->nic));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nic, 1));
	expect_given(&self->other, self->nic);
}

TEST_HARNESS_MAIN
