// SPDX-License-Identifier: GPL-2.0
/*
 * HVM guests, by the unmodified xl: there is no frontend, the device model works
 * on the functions from dom0, through sysfs. A guest gets as far as its firmware,
 * which sets the functions up; an emulated CPU is too slow for more. Not part of
 * "make check" but of "make check-long".
 */
#include <signal.h>

#include "guest_pv.h"

static bool possible(void)
{
	return xl_hvm_possible();
}

/* Its firmware has found the function and lets it master the bus */
static bool wait_until_used(struct fn fn)
{
	unsigned int tries;

	for (tries = 0; tries < XL_WAIT_S * 10; tries++) {
		if (fn_read(fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER)
			return true;
		usleep(100000);
	}
	return false;
}

/* A guest that uses these functions */
static int create(struct xl *xl, const char *name, const struct fn *fns,
		  unsigned int nr)
{
	unsigned int i;
	int ret;

	ret = xl_define_hvm(xl, name, fns, nr) ?: xl_create(xl, "");
	for (i = 0; !ret && i < nr; i++)
		ret = wait_until_used(fns[i]) ? 0 : -ETIMEDOUT;
	return ret;
}

#define expect_one_reset(guest) do {					\
	hw_begin(&self->hw);						\
	ASSERT_EQ(0, xl_destroy(guest));				\
	expect_clean_again();						\
	hw_end(&self->hw);						\
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));		\
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));			\
} while (0)

/* A card is out of reach while the guest has it, and clean when it is gone */
TEST_F_TIMEOUT(guest_pv, card, BOOTS(2))
{
	char what[128];
	unsigned int round;

	adopt_card();
	for (round = 0; round < 2; round++) {
		hw_begin(&self->hw);
		ASSERT_EQ(0, create(&self->one, "one", self->card.fns, CARD_FNS));
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
		EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));
		/* Through the device model: it is a process of dom0's */
		EXPECT_LT(0, hw_all_writes(&self->hw, self->card.fns[0]));

		hw_begin(&self->hw);
		EXPECT_EQ(-EBUSY, reset_device(self->card.fns[1]));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_all_resets(&self->hw));
		snprintf(what, sizeof(what), "(assigned to domain %d)",
			 self->one.id);
		EXPECT_TRUE(klog_has(self->klog, self->card.fns[1].name, what, NULL,
				     0));
		expect_one_reset(&self->one);
	}
	EXPECT_FALSE(klog_has(self->klog, "still needs a reset", NULL, NULL,
			      0));
}

/*
 * A device model that hangs, and so does not let go of a function: xl says that
 * it could not be detached, and it stays the guest's. Neither does it keep pciback
 * from resetting what the destroyed guest had.
 */
TEST_F_TIMEOUT(guest_pv, hung, BOOTS(2))
{
	pid_t pid;

	adopt_card();
	ASSERT_EQ(0, create(&self->one, "one", self->card.fns, CARD_FNS));
	pid = xl_device_model(&self->one);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGSTOP));

	hw_begin(&self->hw);
	EXPECT_EQ(-EIO, xl_detach(&self->one, self->card.fns[1]));
	EXPECT_TRUE(xl_said("unable to remove device"));
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[1]));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	expect_one_reset(&self->one);
	/* It wakes up, with the files of the functions still open, and ends */
	kill(pid, SIGCONT);
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
	ASSERT_EQ(0, create(&self->one, "one", self->card.fns, CARD_FNS));
	expect_one_reset(&self->one);
}

/*
 * Two guests with a part of the card each. The first is destroyed: its functions
 * wait for their reset, which comes when the second goes, too, whose device model
 * hangs.
 */
TEST_F_TIMEOUT(guest_pv, pending, BOOTS(2))
{
	pid_t pid;

	adopt_card();
	hw_begin(&self->hw);
	ASSERT_EQ(0, create(&self->one, "one", self->card.fns, 1));
	ASSERT_EQ(0, create(&self->other, "other", &self->card.second, 1));
	hw_end(&self->hw);
	/* Before the first had its function, never after that */
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->one));
	EXPECT_EQ(1, fn_needs_reset(self->card.fns[0]));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	pid = xl_device_model(&self->other);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	expect_one_reset(&self->other);
	kill(pid, SIGCONT);
}

TEST_HARNESS_MAIN
