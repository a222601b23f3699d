// SPDX-License-Identifier: GPL-2.0
/*
 * When a function is handed out: pciback waits for a reset that is under way, but not for
 * long; it warns of a dirty function, or refuses it with strict_reset; it refuses a
 * function that another guest has, or that it does not own. refused.c tests what a refusal
 * leaves behind. The test plays the guests (lib/guest.h).
 */
#include "lib/played.h"

/* An FLR that a hand-out waits for: it does so for 1 s */
#define SHORT_MS	300
/* What others have to wait for a hand-out that is refused */
#define PROMPT_MS	(2500 * SLOWER)

/* Handed out in the middle of its reset: it waits, and then it is there */
TEST_F(played, in_reset)
{
	pid_t pid;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme);

	hw_begin(&self->hw);
	pid = fault_begin_reset(self->nvme, SHORT_MS);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_EQ(0, wait_for_child(pid));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_FALSE(klog_has(self->klog, self->nvme.name, "still needs a reset",
			      NULL, 0));
}

/*
 * A reset that takes longer than a hand-out waits: the function is refused, and other
 * guests are not kept waiting. It stays so until the toolstack asks anew.
 */
TEST_F_TIMEOUT(played, reset_outlasts_guest, 120)
{
	long long start;
	pid_t pid;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	inject(self->nvme);
	adopt(self->nvme, self->rng);

	pid = fault_begin_reset(self->nvme, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	start = now_ms();
	EXPECT_EQ(0, guest_begin(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->rng, 1));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	EXPECT_FALSE(guest_has(&self->guest, self->nvme));
	expect_error_says(&self->guest, "is being reset");
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(0, fault_heal(self->nvme, "flr_away_ms"));
	EXPECT_EQ(0, wait_for_child(pid));

	/* As far as Xen goes the guest may have it, and does not get it later on */
	ASSERT_EQ(-EBUSY, reset_device(self->nvme));
	expect_logged(self->nvme, "assigned to domain 7");
	EXPECT_FALSE(guest_has(&self->guest, self->nvme));

	/* It is nobody's, and the next one's */
	EXPECT_EQ(0, guest_destroy(&self->guest));
	ASSERT_EQ(0, reset_device(self->nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_TRUE(guest_has(&self->guest, self->nvme));
	ASSERT_EQ(-EBUSY, reset_device(self->rng));
	expect_logged(self->rng, "assigned to domain 8");
}

/* What is dirty goes with a warning, or not at all: a new guest says why */
TEST_F(played, strict)
{
	int klog;

	/* Two of three: nothing can make them clean */
	adopt(self->card.first, self->card.second);
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[0]));

	klog = klog_begin();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 1));
	EXPECT_TRUE(klog_has(klog, self->owned.fns[0].name, "still needs a reset",
			     NULL, 0));
	ASSERT_EQ(0, guest_destroy(&self->guest));

	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	watched(-EIO, guest_create(&self->guest, DOMAIN, self->owned.fns, 1));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	expect_error_says(&self->guest, "needs a reset first (strict)");
	expect_error(&self->guest, self->owned.fns[0]);
	ASSERT_EQ(0, guest_destroy(&self->guest));

	/* And once they are whole, and were reset, they go */
	adopt(self->card.third);
	ASSERT_EQ(0, reset_device(self->owned.fns[2]));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[0]));
	hand_out();
}

/* A function refused to a running guest takes nothing from it */
TEST_F(played, strict_attach)
{
	adopt(self->nvme, self->rng, self->card.first);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_EQ(-EIO, guest_attach(&self->guest, self->card.first));
	expect_error_says(&self->guest, "(strict)");

	/* Its first is still its own, and others come and go */
	ASSERT_EQ(0, guest_attach(&self->guest, self->rng));
	ASSERT_EQ(-EBUSY, reset_device(self->rng));
	expect_logged(self->rng, "assigned to domain 7");
	ASSERT_EQ(0, guest_detach(&self->guest, self->rng));
	ASSERT_EQ(-EBUSY, reset_device(self->nvme));
	expect_logged(self->nvme, "assigned to domain 7");
}

/*
 * The same once its frontend is connected: the refused one fails alone, and what
 * the guest has works on. xl does not notice, and detaches it some time.
 */
TEST_F(played, strict_attach_connected)
{
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nvme, self->rng, self->card.first);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, guest_create(&self->guest, 0, &self->nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	watched(-EIO, guest_attach(&self->guest, self->card.first));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.first));
	expect_error_says(&self->guest, "(strict)");
	expect_error(&self->guest, self->card.first);
	EXPECT_TRUE(guest_connected(&self->guest));
	expect_readable(&self->guest, self->nvme);
	expect_unreadable(&self->guest, self->card.first);

	/* Others come and go beside it */
	ASSERT_EQ(0, guest_attach(&self->guest, self->rng));
	expect_readable(&self->guest, self->rng);
	ASSERT_EQ(0, guest_detach(&self->guest, self->rng));
	ASSERT_EQ(0, guest_detach(&self->guest, self->card.first));
	EXPECT_TRUE(guest_connected(&self->guest));
	expect_readable(&self->guest, self->nvme);

	/* It is nobody's, can be made clean, and is not refused then */
	adopt(self->card.second, self->card.third);
	ASSERT_EQ(0, reset_device(self->card.first));
	ASSERT_EQ(0, guest_attach(&self->guest, self->card.first));
	expect_readable(&self->guest, self->card.first);
	expect_readable(&self->guest, self->nvme);
	ASSERT_EQ(0, guest_detach(&self->guest, self->card.first));
	ASSERT_EQ(0, guest_attach(&self->guest, self->rng));
	expect_readable(&self->guest, self->rng);
}

/* Two guests cannot have the same, and who does not own it cannot give it */
TEST_F(played, refused)
{
	adopt(self->nvme);
	hand_out();
	watched(-EIO, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	expect_error_says(&self->other, "already in-use");
	ASSERT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nvme));

	ASSERT_EQ(-EIO, guest_create(&self->other, OTHER_DOMAIN, &self->rng, 1));
	expect_error_says(&self->other, "Couldn't locate PCI device");
	ASSERT_EQ(0, guest_destroy(&self->other));

	/* Nor can a guest that runs already get it */
	watched(-EIO, guest_attach(&self->guest, self->rng));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->rng));

	/* The first guest still has its own */
	EXPECT_TRUE(guest_has(&self->guest, self->nvme));
	ASSERT_EQ(-EBUSY, reset_device(self->nvme));
	expect_logged(self->nvme, "assigned to domain 7");
}

TEST_HARNESS_MAIN
