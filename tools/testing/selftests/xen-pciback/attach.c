// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that are attached to a running guest, also in the middle of a reset, detached
 * from it, or unbound while it has them. The guest's other functions are not affected. The
 * test plays the guests (lib/guest.h).
 */
#include "lib/played.h"
#include "lib/release.h"

#define ROUNDS		20
/* An FLR that an attach waits for, and one that takes longer than that: it waits for 1 s */
#define SHORT_MS	300
#define AWAY_MS		3000
/* What it may take until an attach is refused */
#define PROMPT_MS	(2500 * SLOWER)

/* Functions come and go while the guest runs */
TEST_F(played, attach_and_detach)
{
	int klog;

	adopt(self->nvme, self->rng);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	/* Before its frontend is there */
	ASSERT_EQ(0, guest_attach(&self->guest, self->rng));
	fn_scribble(self->nvme);
	fn_scribble(self->rng);

	watched(0, guest_detach(&self->guest, self->nvme) ?: !fn_wait_clean(self->nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_flrs(&self->hw, self->rng));
	EXPECT_EQ(1, hw_all_resets(&self->hw));

	/* One is pciback's again, the other is not */
	klog = klog_begin();
	watched(0, reset_device(self->nvme));
	EXPECT_FALSE(klog_has(klog, self->nvme.name, "assigned", NULL, 0));
	ASSERT_EQ(-EBUSY, reset_device(self->rng));
	EXPECT_TRUE(klog_has(klog, self->rng.name, "assigned to domain 7", NULL, 0));
	klog_end(klog);

	/* And afterwards */
	ASSERT_EQ(0, guest_attach(&self->guest, self->nvme));
	fn_scribble(self->nvme);
	ASSERT_EQ(0, guest_detach(&self->guest, self->rng));
	ASSERT_TRUE(fn_wait_clean(self->rng));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_flrs(&self->hw, self->rng));
	expect_restored();
}

/*
 * Attached to a guest that runs, in the middle of its reset: the attach takes as
 * long as the reset, and no other function of the guest's is concerned.
 */
TEST_F(played, attach_in_reset)
{
	pid_t pid;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->rng);
	adopt(self->nvme, self->rng);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &self->nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	hw_begin(&self->hw);
	pid = fault_begin_reset(self->rng, SHORT_MS);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, guest_attach(&self->guest, self->rng));
	/* Its reset is over, or it would be fenced */
	expect_readable(&self->guest, self->rng);
	expect_readable(&self->guest, self->nvme);
	EXPECT_TRUE(guest_connected(&self->guest));
	EXPECT_EQ(0, wait_for_child(pid));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->rng));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_FALSE(klog_has(self->klog, self->rng.name, "still needs a reset",
			      NULL, 0));
}

/*
 * The same in a reset that takes longer: that one fails alone, what the guest has works
 * on, and when it is attached anew it is there.
 */
TEST_F(played, attach_in_long_reset)
{
	long long start;
	pid_t pid;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->rng);
	adopt(self->nvme, self->rng);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &self->nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	pid = fault_begin_reset(self->rng, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	start = now_ms();
	EXPECT_EQ(-EIO, guest_attach(&self->guest, self->rng));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	EXPECT_FALSE(guest_has(&self->guest, self->rng));
	expect_unreadable(&self->guest, self->rng);
	expect_readable(&self->guest, self->nvme);
	EXPECT_TRUE(guest_connected(&self->guest));
	ASSERT_EQ(0, fault_heal(self->rng, "flr_away_ms"));
	EXPECT_EQ(0, wait_for_child(pid));

	ASSERT_EQ(0, guest_detach(&self->guest, self->rng));
	ASSERT_EQ(0, guest_attach(&self->guest, self->rng));
	expect_readable(&self->guest, self->rng);
	expect_readable(&self->guest, self->nvme);
}

/* Taken from a guest that still runs: not a good idea, but it must work */
TEST_F(played, unbind)
{
	adopt(self->nvme);
	hand_out();
	fn_scribble(self->nvme);
	watched(0, fn_release(self->nvme));
	EXPECT_LE(1, hw_flrs(&self->hw, self->nvme));
	expect_logged(self->nvme, "while still in-use by domain 7");
	/* An unbind gives back what it found: firmware may have turned that on */
	fn_write(self->nvme, PCI_COMMAND, fn_read(self->nvme, PCI_COMMAND, 2) &
		 ~PCI_COMMAND_MASTER, 2);
	expect_restored();
	ASSERT_EQ(0, guest_destroy(&self->guest));
	expect_restored();

	EXPECT_EQ(1, release_count(self->nvme_port, &self->nvme, 1));
	ASSERT_TRUE(fn_exists(self->nvme));

	/* All from the start */
	ASSERT_EQ(0, fn_adopt(self->nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
}

/*
 * An unbind that gets in between a guest's going and the release of its
 * functions: both wait here for a reset to let go of the device lock, the unbind
 * first.
 */
TEST_F(played, unbind_while_destroyed)
{
	pid_t resetting, unbinding;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);
	hand_out();

	resetting = fault_begin_core_reset(self->nvme, AWAY_MS);
	ASSERT_LT(0, resetting);
	unbinding = in_child(fn_release(self->nvme));
	usleep(300000);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, wait_for_child(resetting));
	EXPECT_EQ(0, wait_for_child(unbinding));
	ASSERT_EQ(0, fault_unload());

	/* Nobody has it any more, and nothing keeps it */
	EXPECT_EQ(1, release_count(self->nvme_port, &self->nvme, 1));
}

/*
 * An unbind when the backend has just got the function, and not told its guest: it
 * waits for the backend to have done so, and then takes it away.
 */
TEST_F(played, unbind_while_handed_out)
{
	pid_t unbinding;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, hold_load());
	adopt(self->nvme);

	ASSERT_EQ(0, hold_at_return("pcistub_get_pci_dev"));
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_TRUE(hold_wait());
	unbinding = in_child(fn_release(self->nvme));
	/* For the device lock: some kernels take it to set driver_override, too */
	EXPECT_TRUE(hold_waits_in(unbinding, "vfs_write"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(unbinding));
	EXPECT_EQ(0, guest_wait(&self->guest));
	ASSERT_EQ(0, guest_destroy(&self->guest));

	/* Nobody has it any more, and nothing keeps it */
	EXPECT_EQ(1, release_count(self->nvme_port, &self->nvme, 1));

	/* Nor anybody's name on it */
	ASSERT_EQ(0, fn_adopt(self->nvme));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	EXPECT_FALSE(klog_has(self->klog, self->nvme.name, "Stealing ownership", NULL,
			      0));
}

/*
 * One that was unbound from under its guest leaves its place on the guest's bus to
 * the next. When it is detached at last, that one stays the guest's.
 */
TEST_F(played, detach_unbound)
{
	adopt(self->nvme, self->nic);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, fn_release(self->nvme));
	ASSERT_EQ(0, guest_attach(&self->guest, self->nic));
	ASSERT_EQ(0, guest_detach(&self->guest, self->nvme));

	expect_assigned(self->nic, DOMAIN);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nic_port));
}

/* Half an address is a mistake, and not the name of something that is gone */
TEST_F(played, half_named)
{
	adopt(self->nvme, self->rng);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	hw_begin(&self->hw);
	guest_rename(&self->guest, self->nvme, "0000:01");
	/* pciback has looked at the list again when this is there */
	ASSERT_EQ(0, guest_attach(&self->guest, self->rng));
	usleep(SETTLED_MS * 1000);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	ASSERT_EQ(-EBUSY, reset_device(self->nvme));
	expect_logged(self->nvme, "assigned to domain 7");

	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(self->nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
}

/* A guest whose function comes and goes is answered all the time */
TEST_F_TIMEOUT(played, access_while_unbound, 300)
{
	unsigned int i, refused = 0;
	int ret, status;
	uint32_t val;
	pid_t pid;

	adopt(self->nvme, self->nic);
	ASSERT_EQ(0, guest_create(&self->guest, 0, self->owned.fns, 2));
	ASSERT_EQ(0, guest_connect(&self->guest));
	ASSERT_EQ(0, guest_config_read(&self->guest, self->nvme, PCI_VENDOR_ID, 4,
				       &val));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < ROUNDS; i++) {
			usleep(i * 1000);
			if (fn_release(self->nvme) || fn_adopt(self->nvme))
				_exit(1);
		}
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		ret = guest_config_read(&self->guest, self->nvme, PCI_VENDOR_ID, 4,
					&val);
		ASSERT_TRUE(!ret || ret == -EIO) {
			TH_LOG("%d", ret);
		}
		refused += !!ret;
		ASSERT_EQ(0, guest_config_read(&self->guest, self->nic, PCI_VENDOR_ID,
					       4, &val));
	}
	EXPECT_EQ(0, status);
	EXPECT_LT(0, refused);
}

TEST_HARNESS_MAIN
