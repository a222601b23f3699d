// SPDX-License-Identifier: GPL-2.0
/*
 * Releases: a function that a guest has released is reset once, by the gentlest method
 * that is thorough, by a work item. Nobody waits for that reset, and it does not come
 * after the next guest's request. Nothing that was set for one guest remains for the next.
 */
#include <errno.h>
#include <sys/wait.h>

#include "lib/hold.h"
#include "lib/played.h"
#include "lib/slot.h"

#define INTERRUPTS	PCIBACK_DIR "/allow_interrupt_control"

/* What others may have to wait on a busy machine; what it must not be is 8 s and more */
#define PROMPT_MS	(2500 * SLOWER)

/* -- one reset a release ----------------------------------------------------- */

/* Destroy the guest, until all is over */
#define release_watched()						\
	watched_settle(0, guest_destroy(&self->guest) ?:		\
			  !owned_wait_clean(&self->owned))

TEST_F(played, release_is_one_flr)
{
	adopt(self->nvme);
	hand_out();
	fn_scribble(self->nvme);
	release_watched();
	expect_flrs(1);
	EXPECT_EQ(0, hw_d3s(&self->hw, self->nvme));
	EXPECT_STREQ("flr: ok", fn_last_reset(self->nvme));
	expect_restored();
}

/* Not PM first, which takes its time for nothing */
TEST_F(played, release_without_flr_is_one_sbr)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	adopt(nic);
	hand_out();
	fn_scribble(nic);
	release_watched();
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_d3s(&self->hw, nic));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_STREQ("slot: ok", fn_last_reset(nic));
	expect_restored();
}

TEST_F(played, release_of_a_card_is_one_sbr)
{
	unsigned int i;

	adopt_card();
	hand_out();
	for (i = 0; i < 3; i++)
		fn_scribble(self->owned.fns[i]);
	release_watched();
	expect_sbrs(1);
	for (i = 0; i < 3; i++)
		EXPECT_STREQ("slot: ok", fn_last_reset(self->owned.fns[i]));
	expect_restored();
}

/* The same if they are all idle before the first one's turn comes */
TEST_F(played, late_release_of_a_card_is_the_same_sbr)
{
	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, hold_load());
	adopt_card();
	hand_out();
	ASSERT_EQ(0, hold_at_entry("pcibk_reset"));
	hw_begin(&self->hw);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	EXPECT_TRUE(owned_wait_clean(&self->owned));
	EXPECT_EQ(0, hold_let_go());
	usleep(SETTLED_MS * 1000);
	hw_end(&self->hw);
	expect_sbrs(1);
	EXPECT_EQ(0, hold_unload());
}

/* As stock: a hidden boot GPU must not lose dom0's screen */
TEST_F(played, bind_is_no_reset_of_the_set)
{
	struct fn nic = fn_below(fn_root(0x12), 0, 0);

	watched_settle(0, fn_adopt(nic) ?: card_adopt(&self->card));
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x12)));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(1, hw_d3s(&self->hw, nic));
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.second));
	EXPECT_EQ(1, fn_needs_reset(nic));
	EXPECT_EQ(1, fn_needs_reset(self->card.third));
	EXPECT_EQ(0, fn_release(nic));
	EXPECT_EQ(0, card_release(&self->card));
}

/* The rest of the card is the same guest's: it will come, and then all is reset */
TEST_F(played, detach_is_no_weak_reset_beside_siblings_of_the_guest)
{
	adopt_card();
	hand_out();
	watched_settle(0, guest_detach(&self->guest, self->card.second));
	expect_weakly(self->card.second, 0);
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	EXPECT_EQ(0, fn_read(self->card.second, PCI_COMMAND, 2) &
		     PCI_COMMAND_MASTER);
	release_watched();
	expect_sbrs(1);
	expect_restored();
}

#define expect_no_dma(fn)						\
	EXPECT_EQ(0, fn_read(fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER)

/* Nor does it go on with DMA that the firmware has set up: bind time has it on */
TEST_F(played, idle_function_does_no_dma)
{
	fn_write(self->nvme, PCI_COMMAND,
		 fn_read(self->nvme, PCI_COMMAND, 2) | PCI_COMMAND_MASTER, 2);
	adopt(self->nvme);
	expect_no_dma(self->nvme);
	ASSERT_EQ(0, do_flr(self->nvme));
	expect_no_dma(self->nvme);

	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	hand_out();
	ASSERT_EQ(0, guest_destroy(&self->guest));
	expect_no_dma(self->nvme);
}

/* Another guest's may stay for ever: what is left is better than nothing */
TEST_F(played, release_is_weak_beside_siblings_of_another_guest)
{
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN,
				  &self->card.second, 1));
	watched_settle(0, guest_destroy(&self->guest));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
	EXPECT_EQ(1, fn_needs_reset(self->card.first));

	watched_settle(0, guest_destroy(&self->other) ?:
			  !owned_wait_clean(&self->owned));
	expect_sbrs(1);
}

/* -- nothing after the next guest's request ---------------------------------- */

/*
 * xl destroy, and xl create at once, with xenwatch busy: the request meets what is the
 * former guest's still. When that goes at last, it is the next guest's by then, and libxl
 * has set something for that.
 */
TEST_F(played, late_release_leaves_the_next_guest_alone)
{
	pid_t destroying;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, hold_load());
	adopt(self->nvme);
	hand_out();
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_xenbus_remove"));
	destroying = in_child(guest_destroy(&self->guest));
	ASSERT_TRUE(hold_wait());

	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	ASSERT_EQ(0, write_string(PERMISSIVE, self->nvme.name));
	hw_begin(&self->hw);
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(destroying));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	usleep(SETTLED_MS * 1000);
	hw_end(&self->hw);
	expect_flrs(0);
	EXPECT_TRUE(file_has(PERMISSIVE, self->nvme.name));
	EXPECT_EQ(0, hold_unload());
}

/* The same for the reset that follows a release: the request has done all that it would */
TEST_F(played, late_reset_is_not_after_the_request)
{
	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, hold_load());
	adopt(self->nvme);
	hand_out();
	ASSERT_EQ(0, hold_at_entry("pcibk_reset"));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	watched(0, do_flr(self->nvme));
	expect_flrs(1);
	watched_settle(0, hold_let_go());
	expect_flrs(0);
	expect_untouched(self->nvme);
	EXPECT_EQ(0, hold_unload());
}

/*
 * A release's reset that cannot get its locks comes back for them: by then the next
 * guest's request may have done it, and the guest has the function.
 */
TEST_F(played, release_that_comes_back_leaves_the_next_guest_alone)
{
	pid_t locking, requesting;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent(self->card.second, "devcap_flr");
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));

	/* By the core's own file, which has the device lock for as long as that */
	locking = fault_begin_core_reset(self->card.second, 2000);
	ASSERT_LT(0, locking);

	ASSERT_EQ(0, guest_destroy(&self->guest));
	requesting = in_child(do_flr(self->card.first));
	EXPECT_EQ(0, wait_for_child(locking));
	EXPECT_EQ(0, wait_for_child(requesting));
	EXPECT_EQ(0, fn_needs_reset(self->card.first));
	watched_settle(0, guest_create(&self->other, OTHER_DOMAIN,
				       &self->card.first, 1));
	expect_sbrs(0);
	expect_untouched(self->card.first);
}

/* So is a sibling that was requested before the release, and may be with its guest in Xen */
TEST_F(played, release_leaves_a_requested_sibling_alone)
{
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(0, do_flr(self->card.second));
	watched_settle(0, guest_destroy(&self->guest));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
}

/* A toolstack that uses do_flr hands out what could not be reset, too */
TEST_F(played, release_leaves_a_sibling_alone_whose_request_failed)
{
	if (!fn_has_file(self->card.second, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	seize(self->card.first, self->card.second, self->card.third);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(0, fn_write_file(self->card.second, "reset_method", "\n"));
	EXPECT_EQ(-EBUSY, do_flr(self->card.second));
	EXPECT_EQ(0, fn_write_file(self->card.second, "reset_method", "default"));
	watched_settle(0, guest_destroy(&self->guest));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
}

/* By the farewell of a guest without a frontend, too */
TEST_F(played, farewell_leaves_a_requested_sibling_alone)
{
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(0, do_flr(self->card.second));
	watched_settle(0, do_flr(self->card.first));
	expect_weakly(self->card.first, 1);
	expect_untouched(self->card.second);
}

/* And without a request it does reset */
TEST_F(played, release_comes_back_for_its_locks)
{
	pid_t locking;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent(self->card.second, "devcap_flr");
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	locking = fault_begin_core_reset(self->card.second, 2000);
	ASSERT_LT(0, locking);

	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, wait_for_child(locking));
	EXPECT_TRUE(fn_wait_clean(self->card.first));
}

/*
 * A sibling that the reset of all does not bring back is named, also by another's reset. The
 * core waits a minute for it if it is the first one of the bus, which depends on the order
 * in which they were found.
 */
TEST_F_TIMEOUT(played, release_names_a_sibling_that_stays_away, 180)
{
	unsigned int tries = 0;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	seize(self->card.second, self->card.third);
	adopt(self->card.first);
	inject(self->card.third);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	ASSERT_EQ(0, fault_set(self->card.third, "sbr_away_ms", FAULT_FOR_EVER));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	while (!fn_wait_clean(self->card.first) && ++tries < 12)
		;
	EXPECT_EQ(0, fn_needs_reset(self->card.first));
	EXPECT_EQ(1, fn_needs_reset(self->card.third));
	snprintf(self->text, sizeof(self->text), "slot: no answer (%s)",
		 self->card.third.name);
	/* The work that resets says it at its end */
	for (tries = 0; tries < 500 && !klog_has(self->klog, "reset: ", self->text, NULL, 0);
	     tries++)
		usleep(10000);
	EXPECT_GT(500, tries);
	ASSERT_EQ(0, fault_set(self->card.third, "heal", 1));
}

/* One that is gone by then is left alone */
TEST_F(played, dead_function_is_not_restored)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);
	hand_out();
	ASSERT_EQ(0, fault_set(self->nvme, "gone", 1));
	ASSERT_EQ(0, fault_set(self->nvme, "clear", 1));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	expect_logged(self->nvme, "no answer, state not restored");
	EXPECT_EQ(0, fault_writes(self->nvme, PCI_BASE_ADDRESS_0));
	EXPECT_EQ(0, fault_set(self->nvme, "gone", 0));
	EXPECT_EQ(0, fault_set(self->nvme, "heal", 1));
}

/* -- nobody waits ------------------------------------------------------------ */

/* Nor for a function that never comes back, while another guest is to start */
TEST_F(played, release_of_a_dead_function_keeps_nobody_waiting)
{
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	long long start;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme, rng);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, fault_set(self->nvme, "flr_away_ms", FAULT_FOR_EVER));

	start = now_ms();
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &rng, 1));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	ASSERT_EQ(0, fault_set(self->nvme, "heal", 1));
}

/*
 * A card that its guest has wedged takes a minute for its reset. Neither a rescan, nor
 * another guest, nor an unbind elsewhere has to wait for it. It is in a slot that has no
 * driver: the core is asked for the bus, and waits for the card.
 */
TEST_F_TIMEOUT(played, release_of_a_wedged_card_keeps_nobody_waiting, 180)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	long long start, usual;
	unsigned int tries;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(nic);
	adopt(nic);
	hand_out();
	start = now_ms();
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	usual = now_ms() - start;

	ASSERT_EQ(0, fault_set(nic, "clear", 1));
	ASSERT_EQ(0, fault_set(nic, "sbr_away_ms", FAULT_FOR_EVER));
	ASSERT_EQ(0, slot_unbind(port));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	for (tries = 0; tries < 1000 && !fault_get(nic, "sbrs"); tries++)
		usleep(10000);

	start = now_ms();
	EXPECT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_GE(usual + PROMPT_MS, now_ms() - start);
	start = now_ms();
	EXPECT_EQ(0, fn_adopt(rng));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &rng, 1));
	EXPECT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, fn_release(rng));
	EXPECT_GE(2 * PROMPT_MS, now_ms() - start);

	EXPECT_EQ(1, fn_needs_reset(nic));
	EXPECT_EQ(0, fault_heal(nic, "sbr_away_ms"));
	EXPECT_EQ(0, reset_device(nic));
	EXPECT_EQ(0, slot_bind(port));
}

/*
 * xl destroy; xl pci-assignable-remove: the reset that was due needs a lock that the
 * unbind has. Neither waits for the other's end, and nobody is left to think it clean.
 */
TEST_F(played, unbind_does_not_wait_for_the_release)
{
	pid_t locking;
	long long start;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	invent(self->card.second, "devcap_flr");
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.first, 1));
	locking = fault_begin_core_reset(self->card.second, 8000);
	ASSERT_LT(0, locking);

	ASSERT_EQ(0, guest_destroy(&self->guest));
	start = now_ms();
	EXPECT_EQ(0, fn_release(self->card.first));
	EXPECT_GE(2 * PROMPT_MS, now_ms() - start);
	EXPECT_EQ(0, waitpid(locking, NULL, WNOHANG));
	expect_logged(self->card.first, "needs a reset");
	ASSERT_EQ(0, fault_set(self->card.second, "heal", 1));
	EXPECT_EQ(0, wait_for_child(locking));
}

/* -- what was set for one guest ---------------------------------------------- */

/* libxl sets them after its request and before it hands the function out */
TEST_F(played, settings_end_with_their_guest)
{
	adopt(self->nvme);
	ASSERT_EQ(0, do_flr(self->nvme));
	ASSERT_EQ(0, write_string(PERMISSIVE, self->nvme.name));
	ASSERT_EQ(0, write_string(INTERRUPTS, self->nvme.name));
	hand_out();
	EXPECT_TRUE(file_has(PERMISSIVE, self->nvme.name));
	EXPECT_TRUE(file_has(INTERRUPTS, self->nvme.name));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_FALSE(file_has(PERMISSIVE, self->nvme.name));
	EXPECT_FALSE(file_has(INTERRUPTS, self->nvme.name));

	/* Nor does a request end what was set for the next one before it */
	ASSERT_EQ(0, write_string(PERMISSIVE, self->nvme.name));
	ASSERT_EQ(0, do_flr(self->nvme));
	EXPECT_TRUE(file_has(PERMISSIVE, self->nvme.name));
}

/* What is set after the farewell is the next guest's, whenever the former one ends */
TEST_F(played, settings_end_with_the_farewell)
{
	unsigned int round;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, write_string(PERMISSIVE, self->nvme.name));
		hand_out_connected();
		ASSERT_EQ(0, do_flr(self->nvme));
		EXPECT_FALSE(file_has(PERMISSIVE, self->nvme.name));
		if (round)
			ASSERT_EQ(0, write_string(PERMISSIVE, self->nvme.name));
		ASSERT_EQ(0, guest_destroy(&self->guest));
		EXPECT_EQ(round, file_has(PERMISSIVE, self->nvme.name));
	}
}

/* And not before: somebody else's reset keeps what the guest has written */
TEST_F(played, reset_by_others_keeps_the_state_of_the_guest)
{
	adopt(self->nvme);
	hand_out();
	ASSERT_NE(0x20, fn_read(self->nvme, PCI_CACHE_LINE_SIZE, 1));
	fn_write(self->nvme, PCI_CACHE_LINE_SIZE, 0x20, 1);
	watched(0, fn_write_file(self->nvme, "reset", "1"));
	expect_flrs(1);
	EXPECT_EQ(0x20, fn_read(self->nvme, PCI_CACHE_LINE_SIZE, 1));
}

/* All of config space, as a guest sees it */
#define read_all(config) do {						\
	unsigned int at;						\
									\
	for (at = 0; at < PCI_CONFIG_SIZE; at += 4)			\
		ASSERT_EQ(0, guest_config_read(&self->guest, self->nvme,	\
					       at, 4, &(config)[at / 4]));	\
} while (0)

/* Header, and what power management and PCI Express have for a driver to write */
#define scribble_as_guest() do {					\
	unsigned int pm = fn_cap(self->nvme, PCI_CAP_ID_PM);		\
	unsigned int exp = fn_cap(self->nvme, PCI_CAP_ID_EXP);		\
									\
	for (at = PCI_COMMAND; at < PCI_STD_HEADER_SIZEOF; at += 2)	\
		guest_config_write(&self->guest, self->nvme, at, 2,	\
				   0x5a5a);				\
	guest_config_write(&self->guest, self->nvme, pm + PCI_PM_CTRL, 2, \
			   0x5a58);					\
	guest_config_write(&self->guest, self->nvme,			\
			   exp + PCI_EXP_DEVCTL, 2, 0x5a5a);		\
} while (0)

/* What is only emulated, too: none of it is the former guest's */
TEST_F(played, guest_sees_nothing_of_the_former_one)
{
	uint32_t before[PCI_CONFIG_SIZE / 4], after[PCI_CONFIG_SIZE / 4];
	unsigned int at, round;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	/* Permissive the second time: what it writes gets through */
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, do_flr(self->nvme));
		if (round)
			ASSERT_EQ(0, write_string(PERMISSIVE, self->nvme.name));
		hand_out_connected();
		read_all(before);
		scribble_as_guest();
		ASSERT_EQ(0, guest_destroy(&self->guest));
		ASSERT_EQ(0, do_flr(self->nvme));

		hand_out_connected();
		read_all(after);
		for (at = 0; at < PCI_CONFIG_SIZE / 4; at++) {
			EXPECT_EQ(before[at], after[at]) {
				TH_LOG("round %u: at 0x%02x", round, at * 4);
			}
		}
		ASSERT_EQ(0, guest_destroy(&self->guest));
	}
}

TEST_HARNESS_MAIN
