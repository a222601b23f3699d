// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that a guest has: no reset reaches them. When the guest releases them they are
 * reset and restored to the state of bind time, so that nothing of the guest is left. The
 * test plays the guests (lib/guest.h).
 */
#include "lib/played.h"
#include "lib/release.h"

#define ROUNDS		20

/* Not even the weak reset that it has */
TEST_F(played, without_own_reset)
{
	adopt(self->xhci, self->nic);
	hand_out();

	expect_assigned(self->xhci, DOMAIN);
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x15)));

	expect_assigned(self->nic, DOMAIN);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nic_port));
}

/* A guest's function is as good as dom0's: the card is not reset below it */
TEST_F(played, sibling)
{
	unsigned char before[PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];

	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
	fn_scribble(self->card.second);
	fn_read_config(self->card.second, 0, before, sizeof(before));

	watched(-EBUSY, reset_device(self->card.third));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.second));
	expect_blocked(self->card.third, self->card.second, "assigned to domain 7");

	/* What is left to the first function is done all the same */
	watched(-EBUSY, reset_device(self->card.first));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.second));
	expect_blocked(self->card.first, self->card.second, "assigned to domain 7");

	fn_read_config(self->card.second, 0, after, sizeof(after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));

	/* And is not in the way any more */
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(fn_wait_clean(self->card.second));
	watched(0, reset_device(self->card.third));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	expect_restored();
}

/* What comes back from a guest is reset, and as it was before it went there */
TEST_F(played, released_flr)
{
	adopt(self->nvme);
	hand_out();
	fn_scribble(self->nvme);
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));

	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nvme_port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	expect_restored();
}

/* Its FLR is none: by its slot */
TEST_F(played, released_flr_does_nothing)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);
	hand_out();
	fn_scribble(self->nvme);
	ASSERT_EQ(0, fault_set(self->nvme, "flr_swallow", 1));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));

	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nvme_port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	expect_logged(self->nvme, "reset: flr: no effect");
	expect_restored();
}

/* Its own method is PM, but it is reset by its slot */
TEST_F(played, released_pm)
{
	adopt(self->nic);
	hand_out();
	EXPECT_EQ(1, fn_needs_reset(self->nic));
	fn_scribble(self->nic);
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nic));

	EXPECT_EQ(0, hw_d3s(&self->hw, self->nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(0, fn_needs_reset(self->nic));
	expect_restored();
}

/* Nor does it go on with DMA that its guest has set up, or the firmware */
TEST_F(played, released_disabled)
{
	adopt(self->nvme);
	EXPECT_EQ(0, fn_read(self->nvme, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	hand_out();
	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, fn_read(self->nvme, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

/* But what is behind a bridge is not the guest's */
TEST_F(played, released_bridge)
{
	struct fn bridge = fn_below(fn_root(0x14), 0, 0);

	fn_write(bridge, PCI_COMMAND,
		 fn_read(bridge, PCI_COMMAND, 2) | PCI_COMMAND_MASTER, 2);
	adopt(bridge);
	hand_out();
	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(PCI_COMMAND_MASTER,
		  fn_read(bridge, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

/* All functions of a card to one guest, and back */
TEST_F(played, card)
{
	unsigned int i;

	adopt_card();
	hand_out();
	for (i = 0; i < 3; i++)
		fn_scribble(self->owned.fns[i]);
	watched(-EBUSY, reset_device(self->owned.fns[0]));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	/* One reset a hand-over, and it is for all of them */
	watched(0, guest_destroy(&self->guest) ?:
		   !fn_wait_clean(self->owned.fns[1]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, fn_needs_reset(self->owned.fns[i]));
	expect_restored();
}

/*
 * A part of a card, of which dom0 has the rest: each is released while the guest has
 * others still, but when all are back there is nothing to wait for
 */
TEST_F(played, part_of_card)
{
	adopt(self->card.first, self->card.second);
	hand_out();
	fn_scribble(self->card.first);
	fn_scribble(self->card.second);
	watched_settle(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.second));
	expect_header_restored();
}

/*
 * A card that two guests share: not reset while either runs, whichever ends first. Nor when
 * the second has ended, since a function was requested meanwhile, which the next guest may
 * have by now; but by the next request.
 */
TEST_F(played, card_of_two_guests)
{
	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 2));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, self->owned.fns + 2,
				  1));

	/* As xl does on detach, before the functions leave the guest */
	watched(0, do_flr(self->owned.fns[0]));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->owned.fns[0]));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[1]));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[2]));

	watched(0, guest_destroy(&self->guest) ?: do_flr(self->owned.fns[0]));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[2]));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[0]));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[1]));

	watched_settle(0, guest_destroy(&self->other));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[0]));

	watched(0, do_flr(self->owned.fns[2]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[0]));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[1]));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[2]));
}

/* auto_reset=0: what comes back stays as dirty as it is until somebody asks */
TEST_F(played, left_to_the_toolstack)
{
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	adopt_card();
	hand_out();
	watched_settle(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->owned.fns[0]));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[0]));
	expect_header_restored();

	watched(0, reset_device(self->owned.fns[0]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[2]));
}

/*
 * All that xenopsd does to a card: when a VM starts it binds and resets one
 * function after the other, before it assigns them; when the VM is destroyed it
 * resets them while they are the guest's, and takes them away after that. A PV
 * VM: of what it gives to an HVM one it does not tell pciback.
 */
TEST_F(played, xenopsd)
{
	struct fn *fns = self->owned.fns;
	unsigned int i;
	char path[256];

	/* The third is one for do_flr */
	fn_path(self->card.third, "reset", path, sizeof(path));
	ASSERT_NE(0, access(path, F_OK));
	adopt_card();
	ASSERT_EQ(0, card_release(&self->card));

	hw_begin(&self->hw);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/new_slot",
					  fns[i].name));
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/bind", fns[i].name));
		fn_xenopsd_reset(fns[i]);
	}
	hw_end(&self->hw);
	/* The last is asked for when all are there */
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, fn_needs_reset(fns[i]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));

	hand_out();
	expect_not_logged("handed out although");
	for (i = 0; i < 3; i++)
		fn_scribble(fns[i]);

	hw_begin(&self->hw);
	for (i = 0; i < 3; i++)
		fn_xenopsd_reset(fns[i]);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	watched(0, guest_destroy(&self->guest) ?:
		   !fn_wait_clean(self->card.third));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, fn_needs_reset(fns[i]));
	expect_restored();
}

/* By way of the guest's own config accesses */
TEST_F(played, frontend)
{
	unsigned int used = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint32_t val;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme);
	hand_out_connected();

	expect_readable(&self->guest, self->nvme);

	/* pciback lets a guest have that much */
	EXPECT_EQ(0, guest_config_write(&self->guest, self->nvme, PCI_COMMAND, 2,
					used));
	EXPECT_EQ(used, fn_read(self->nvme, PCI_COMMAND, 2) & used);
	EXPECT_EQ(0, guest_config_write(&self->guest, self->nvme,
					PCI_CACHE_LINE_SIZE, 1, 0x20));
	EXPECT_EQ(0x20, fn_read(self->nvme, PCI_CACHE_LINE_SIZE, 1));

	/* A request for a reset does not undo what the guest had written */
	watched(-EBUSY, reset_device(self->nvme));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nvme));
	EXPECT_EQ(0, guest_config_read(&self->guest, self->nvme, PCI_COMMAND, 2,
				       &val));
	EXPECT_EQ(used, val & used);
	EXPECT_EQ(used, fn_read(self->nvme, PCI_COMMAND, 2) & used);
	EXPECT_EQ(0x20, fn_read(self->nvme, PCI_CACHE_LINE_SIZE, 1));

	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(fn_wait_clean(self->nvme));
	expect_restored();
}

/* In the middle of anybody's reset its guest gets errors, and afterwards its function */
TEST_F(played, frontend_in_reset)
{
	unsigned int refused = 0, tries;
	uint32_t val;
	pid_t pid;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);
	hand_out_connected();

	pid = fault_begin_core_reset(self->nvme, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	/* Not a write of it gets there, nor is silence told it as an answer */
	for (tries = 0; tries < 5; tries++) {
		refused += guest_config_write(&self->guest, self->nvme,
					      PCI_CACHE_LINE_SIZE, 1,
					      0x10) == -EIO;
		refused += guest_config_read(&self->guest, self->nvme, PCI_VENDOR_ID,
					     4, &val) == -EIO;
		refused += guest_disable_msi(&self->guest, self->nvme) == -EIO;
		usleep(50000);
	}
	EXPECT_EQ(0, fault_writes(self->nvme, PCI_CACHE_LINE_SIZE));
	EXPECT_EQ(0, fault_heal(self->nvme, "flr_away_ms"));
	EXPECT_EQ(0, wait_for_child(pid));
	EXPECT_EQ(3 * tries, refused);

	expect_readable(&self->guest, self->nvme);
	EXPECT_EQ(0, guest_disable_msi(&self->guest, self->nvme));
}

/* Many guests, one after the other, and nothing of them is left */
TEST_F_TIMEOUT(played, many, 10 * ROUNDS)
{
	unsigned int i;

	adopt(self->card.first, self->card.third, self->nvme);
	for (i = 0; i < ROUNDS; i++) {
		hand_out();
		fn_scribble(self->nvme);
		watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));
		/* What there is for the others is done by then, too */
		usleep(200000 * SLOWER);
		EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
		EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
		expect_restored();
	}

	ASSERT_EQ(0, unload_module("xen_pciback"));
	EXPECT_EQ(2, release_count(self->card.port, self->owned.fns, 2));
	EXPECT_EQ(1, release_count(self->nvme_port, &self->nvme, 1));
	ASSERT_EQ(0, load_pciback(""));
}

TEST_HARNESS_MAIN
