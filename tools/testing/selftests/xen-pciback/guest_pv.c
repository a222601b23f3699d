// SPDX-License-Identifier: GPL-2.0
/*
 * A real PV guest with xen-pcifront, created by the unmodified xl: it sees and uses its
 * functions, nobody can reset them meanwhile, and the next guest finds them in their
 * initial state. handovers.c has the longer tests.
 */
#include "guest_pv.h"

static bool possible(void)
{
	return xl_possible();
}

/*
 * A card without FLR, the whole of it: what a guest that crashed leaves behind is
 * gone when the same guest, restarted, looks. One reset of the slot when it is released,
 * and one before it is handed out, whatever xl asks for.
 */
TEST_F_TIMEOUT(guest_pv, card, BOOTS(2))
{
	unsigned char before[CARD_FNS][PCI_CONFIG_SIZE];
	unsigned char after[CARD_FNS][PCI_CONFIG_SIZE];
	char address[32], what[128];
	unsigned int i, b;
	int first;

	adopt_card();
	ASSERT_EQ(0, xl_define(&self->one, "one", self->card.fns, CARD_FNS, NULL));
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_create_monitored(&self->one));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	hw_end(&self->hw);
	/* xl has asked for each of them */
	expect_card_resets(1);
	EXPECT_FALSE(klog_has(self->klog, "still needs a reset", NULL, NULL,
			      0));

	for (i = 0; i < CARD_FNS; i++) {
		ASSERT_EQ(0, xl_config(&self->one, self->card.fns[i], before[i]));
		/* It is the one */
		EXPECT_EQ(0, memcmp(before[i], self->owned.bound[i], 4));
		xl_address(&self->one, self->card.fns[i], address, sizeof(address));
		EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "scribble %s",
				    address));
		EXPECT_NE(0, fn_read(self->card.fns[i], PCI_COMMAND, 2) &
			     PCI_COMMAND_MASTER);
		EXPECT_EQ(0x20, fn_read(self->card.fns[i], PCI_CACHE_LINE_SIZE, 1));
	}

	/* And they are its own */
	for (i = 0; i < CARD_FNS; i++) {
		hw_begin(&self->hw);
		ASSERT_EQ(-EBUSY, reset_device(self->card.fns[i]));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
		EXPECT_EQ(0, hw_all_resets(&self->hw));
		EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.fns[i]));
		snprintf(what, sizeof(what), "%s (assigned to domain %d)",
			 self->card.fns[i].name, self->one.id);
		EXPECT_TRUE(klog_has(self->klog, self->card.fns[i].name, what, NULL,
				     0));
	}

	/* It crashes, and xl starts it again (on_crash=restart) */
	first = self->one.id;
	hw_begin(&self->hw);
	xl_tell(&self->one, "echo c >/proc/sysrq-trigger");
	ASSERT_EQ(0, xl_wait_restarted(&self->one));
	hw_end(&self->hw);
	EXPECT_NE(first, self->one.id);
	/* The new one's may come before the old one's release is done with it */
	EXPECT_LE(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_GE(2, hw_sbrs(&self->hw, self->card.port));
	expect_card_resets(hw_sbrs(&self->hw, self->card.port));
	EXPECT_FALSE(klog_has(self->klog, "still needs a reset", NULL, NULL,
			      0));
	for (i = 0; i < CARD_FNS; i++) {
		ASSERT_EQ(0, xl_config(&self->one, self->card.fns[i], after[i]));
		for (b = 0; b < PCI_CONFIG_SIZE; b++) {
			EXPECT_EQ(before[i][b], after[i][b]) {
				TH_LOG("%s: byte 0x%02x",
				       self->card.fns[i].name, b);
			}
		}
	}

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->one));
	expect_clean_again();
	hw_end(&self->hw);
	expect_card_resets(1);
	for (i = 0; i < CARD_FNS; i++)
		EXPECT_STREQ("slot: ok", fn_last_reset(self->card.fns[i]));
}

/*
 * A guest that pciback takes for gone, since it has removed its frontend's state. What
 * is done to the functions after that, while it runs and when xl has destroyed it, does
 * not reach the next one: xl asks for one reset before that, which is the one left to
 * be seen by the caller. So it is with a function that has FLR, and with a card.
 */
TEST_F_TIMEOUT(guest_pv, forged_release, BOOTS(2))
{
	unsigned char before[1 + CARD_FNS][PCI_CONFIG_SIZE];
	unsigned char after[PCI_CONFIG_SIZE];
	const struct owned *owned = &self->owned;
	unsigned int i;

	adopt(self->nvme, self->card.first, self->card.second, self->card.third);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, xl_define(&self->one, "one", owned->fns, owned->nr, NULL));
	ASSERT_EQ(0, xl_define(&self->other, "other", owned->fns, owned->nr,
			       NULL));
	ASSERT_EQ(0, xl_create(&self->one, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	for (i = 0; i < owned->nr; i++)
		ASSERT_EQ(0, xl_config(&self->one, owned->fns[i], before[i]));

	ASSERT_EQ(0, xl_run(&self->one, self->text, sizeof(self->text),
			    "forget device/pci/0/state"));
	ASSERT_STREQ("OK", self->text);
	ASSERT_EQ(0, xl_wait_released(&self->one));
	ASSERT_TRUE(owned_wait_clean(owned));
	for (i = 0; i < owned->nr; i++)
		fn_edit(owned->fns[i], EDIT_ENABLED);
	ASSERT_EQ(0, xl_destroy(&self->one));
	for (i = 0; i < owned->nr; i++)
		fn_edit(owned->fns[i], EDIT_DISABLED);

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_create(&self->other, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->other));
	hw_end(&self->hw);
	for (i = 0; i < owned->nr; i++) {
		ASSERT_EQ(0, xl_config(&self->other, owned->fns[i], after));
		EXPECT_EQ(0, memcmp(before[i], after, sizeof(after)));
		EXPECT_EQ(0, fn_read(owned->fns[i], PCI_CACHE_LINE_SIZE, 1));
	}
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(1 + CARD_FNS, hw_all_resets(&self->hw));
}

/* Its drivers work: it reads from the disk, the network card has a link */
#define expect_drivers_work() do {					\
	EXPECT_EQ(0, xl_run(&self->one, self->text,			\
			    sizeof(self->text), "read_disk 262144"));	\
	EXPECT_STREQ("262144", self->text);				\
	EXPECT_EQ(0, xl_run(&self->one, self->text,			\
			    sizeof(self->text), "bring_up_network")) {	\
		TH_LOG("%s", self->text);				\
	}								\
} while (0)

/*
 * Xl takes a function away in Xen before its guest has stopped using it.  What the network
 * card sends meanwhile, and IPv6 always has something to say, the IOMMU refuses.
 */
#define take_away_in_use(what) do {					\
	xl_expect_iommu_faults(self->nic, true);			\
	ASSERT_EQ(0, what);						\
	xl_expect_iommu_faults(self->nic, false);			\
} while (0)

/*
 * A function with FLR and one without, with their drivers in the guest: detached
 * and attached again, each is reset its own way and works. The guest is destroyed
 * while it uses them.
 */
TEST_F_TIMEOUT(guest_pv, drivers, BOOTS(1))
{
	char nvme[32], nic[32];

	adopt(self->nvme, self->nic);
	ASSERT_EQ(0, xl_define(&self->one, "one", self->owned.fns, 2, NULL));
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_create(&self->one, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(2, hw_all_resets(&self->hw));
	expect_drivers_work();

	/*
	 * Xl takes a function away in Xen before it asks the guest. The nvme driver of 5.10
	 * then waits a minute for an answer, and xl only 10 s, so it has to go before.
	 */
	xl_address(&self->one, self->nvme, nvme, sizeof(nvme));
	ASSERT_EQ(0, xl_run(&self->one, NULL, 0,
			    "echo %s >/sys/bus/pci/drivers/nvme/unbind", nvme));

	/*
	 * Xl asks for a reset before the guest lets go of it, which is noted; when it is
	 * released, it is reset.
	 */
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_detach(&self->one, self->nvme));
	EXPECT_TRUE(fn_wait_clean(self->nvme));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nvme_port));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(0, hw_resets(&self->hw, "e1000e"));

	hw_begin(&self->hw);
	take_away_in_use(xl_detach(&self->one, self->nic));
	EXPECT_TRUE(fn_wait_clean(self->nic));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->nic));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	expect_clean_again();

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_attach(&self->one, self->nic));
	ASSERT_EQ(0, xl_attach(&self->one, self->nvme));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(2, hw_all_resets(&self->hw));
	expect_drivers_work();

	/* It goes while it hammers their config space */
	xl_address(&self->one, self->nvme, nvme, sizeof(nvme));
	xl_address(&self->one, self->nic, nic, sizeof(nic));
	EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "hammer %s; hammer %s", nvme,
			    nic));
	hw_begin(&self->hw);
	take_away_in_use(xl_destroy(&self->one));
	expect_clean_again();
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(1, hw_resets(&self->hw, "e1000e"));
	EXPECT_STREQ("flr: ok", fn_last_reset(self->nvme));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->nic));
}

/* Two guests with a function each of the same card: reset by a request when both are gone */
TEST_F_TIMEOUT(guest_pv, two_guests, BOOTS(2))
{
	adopt_card();
	ASSERT_EQ(0, xl_define(&self->one, "one", &self->card.fns[0], 1, NULL));
	ASSERT_EQ(0, xl_define(&self->other, "other", &self->card.fns[1], 1,
			       NULL));
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_create(&self->one, ""));
	ASSERT_EQ(0, xl_create(&self->other, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	ASSERT_EQ(0, xl_wait_ready(&self->other));
	hw_end(&self->hw);
	/* Before the first of them had its function, never after that */
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));

	/* Nor for the third, which nobody has */
	hw_begin(&self->hw);
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[2]));
	ASSERT_EQ(0, xl_destroy(&self->one));
	EXPECT_EQ(0, do_flr(self->card.fns[0]));
	EXPECT_EQ(1, fn_needs_reset(self->card.fns[0]));
	/* The other is still there */
	EXPECT_EQ(0, xl_run(&self->other, NULL, 0, "true"));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	/* Nor when both are gone: the next guest may have what was requested meanwhile */
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->other));
	sleep(1);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.fns[0]));

	hw_begin(&self->hw);
	EXPECT_EQ(0, do_flr(self->card.fns[1]));
	expect_clean_again();
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));
}

/*
 * strict_reset: half a card cannot be cleaned while dom0 may use the rest, and
 * nobody gets it. Xl does not wait for what becomes of a function that it gives
 * to a PV guest, so the error is where a backend's errors are.
 */
TEST_F_TIMEOUT(guest_pv, strict, BOOTS(1))
{
	adopt(self->card.fns[0], self->card.fns[1]);
	EXPECT_EQ(1, fn_needs_reset(self->card.fns[0]));
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	/* One: for each of a guest that does not run, xl destroy waits 10 s */
	ASSERT_EQ(0, xl_define(&self->one, "one", self->card.fns, 1, NULL));

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_create(&self->one, "-p"));
	ASSERT_EQ(0, xl_wait_error(&self->one, self->text,
				   sizeof(self->text)));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_NE(NULL, strstr(self->text, self->card.fns[0].name));
	EXPECT_NE(NULL, strstr(self->text, "needs a reset first (strict)")) {
		TH_LOG("%s", self->text);
	}
	EXPECT_TRUE(klog_has(self->klog, self->card.fns[0].name,
			     "still needs a reset (strict)", NULL, 0));
	/* As far as Xen goes the guest has it, whatever pciback says */
	hw_begin(&self->hw);
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[0]));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.fns[0]));
	snprintf(self->text, sizeof(self->text), "(assigned to domain %d)",
		 self->one.id);
	EXPECT_TRUE(klog_has(self->klog, self->card.fns[0].name, self->text, NULL,
			     0));
	ASSERT_EQ(0, xl_destroy(&self->one));

	/* With the third, the whole can be cleaned, by what xl asks for, and goes */
	adopt(self->card.fns[2]);
	ASSERT_EQ(0, xl_create(&self->one, "-p"));
	ASSERT_EQ(0, xl_wait_assigned(&self->one, self->card.fns[0]));
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[0]));
	snprintf(self->text, sizeof(self->text), "(assigned to domain %d)",
		 self->one.id);
	EXPECT_TRUE(klog_has(self->klog, self->card.fns[0].name, self->text, NULL,
			     0));
	ASSERT_EQ(0, xl_destroy(&self->one));
	expect_clean_again();
}

/* xl gives functions to pciback and takes them back, as drivers had them */
TEST_F_TIMEOUT(guest_pv, assignable, 300)
{
	char driver[32];
	unsigned int i;

	ASSERT_EQ(0, load_module("e1000e"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/drivers_probe",
				  self->card.fns[0].name));
	fn_driver(self->card.fns[0], driver, sizeof(driver));
	ASSERT_STREQ("e1000e", driver);

	hw_begin(&self->hw);
	for (i = 0; i < CARD_FNS; i++) {
		ASSERT_EQ(0, xl_command("pci-assignable-add %s", self->card.fns[i].name));
		EXPECT_LE(0, fn_needs_reset(self->card.fns[i]));
	}
	hw_end(&self->hw);
	/* Only the own reset of each: that is done when xl is */
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	xl_forget();
	ASSERT_EQ(0, xl_command("pci-assignable-list"));
	for (i = 0; i < CARD_FNS; i++)
		EXPECT_TRUE(xl_said(self->card.fns[i].name));

	hw_begin(&self->hw);
	/* -r: back to the driver it was taken from */
	ASSERT_EQ(0, xl_command("pci-assignable-remove -r %s", self->card.fns[0].name));
	hw_end(&self->hw);
	/* A reset of the bus is none of a function's that leaves alone */
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	fn_driver(self->card.fns[0], driver, sizeof(driver));
	EXPECT_STREQ("e1000e", driver);
	for (i = 1; i < CARD_FNS; i++) {
		ASSERT_EQ(0, xl_command("pci-assignable-remove %s",
					self->card.fns[i].name));
		EXPECT_EQ(-ENOENT, fn_needs_reset(self->card.fns[i]));
	}
	ASSERT_EQ(0, unload_module("e1000e"));
}

/* seize=1: xl takes a function from its driver for a guest */
TEST_F_TIMEOUT(guest_pv, seize, BOOTS(1))
{
	char more[64], driver[32];

	ASSERT_EQ(0, load_module("e1000e"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/drivers_probe",
				  self->nic.name));
	fn_driver(self->nic, driver, sizeof(driver));
	ASSERT_STREQ("e1000e", driver);
	snprintf(more, sizeof(more), "pci=[\"%s,seize=1\"]\n", self->nic.name);
	ASSERT_EQ(0, xl_define(&self->one, "one", NULL, 0, more));

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_create(&self->one, "-p"));
	ASSERT_EQ(0, xl_wait_assigned(&self->one, self->nic));
	hw_end(&self->hw);
	/* Xl has asked for that, before the guest had it */
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_FALSE(klog_has(self->klog, "still needs a reset", NULL, NULL,
			      0));
	EXPECT_EQ(-EBUSY, reset_device(self->nic));

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->one));
	EXPECT_TRUE(fn_wait_clean(self->nic));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_EQ(0, fn_release(self->nic));
	ASSERT_EQ(0, unload_module("e1000e"));
}

TEST_HARNESS_MAIN
