// SPDX-License-Identifier: GPL-2.0
/*
 * Real PV guests, as in guest_pv.c: the tests that take long. Only in "make check-long".
 */
#include "guest_pv.h"

#define ROUNDS		20
#define SAVED		"/tmp/saved"

static bool possible(void)
{
	return xl_possible();
}

TEST_F_TIMEOUT(guest_pv, orders, 4 * BOOTS(1))
{
	adopt_card();
	ASSERT_EQ(0, xl_define(&self->one, "one", self->card.fns, CARD_FNS, NULL));
	ASSERT_EQ(0, xl_create(&self->one, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	leave_and_return_in_each_order();
}

/* A guest that reboots is given back what it had, clean */
TEST_F_TIMEOUT(guest_pv, reboot, BOOTS(2))
{
	unsigned char before[PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	char address[32];

	adopt(self->nvme, self->card.fns[0], self->card.fns[1], self->card.fns[2]);
	ASSERT_EQ(0, xl_define(&self->one, "one", self->owned.fns, 4,
			       "on_reboot=\"restart\"\n"));
	ASSERT_EQ(0, xl_create_monitored(&self->one));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	ASSERT_EQ(0, xl_config(&self->one, self->nvme, before));
	xl_address(&self->one, self->nvme, address, sizeof(address));
	EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "scribble %s", address));

	hw_begin(&self->hw);
	xl_tell(&self->one, "reboot -f");
	ASSERT_EQ(0, xl_wait_restarted(&self->one));
	hw_end(&self->hw);
	/*
	 * When they are released, and as xl asks before they are handed out; that may come
	 * before a release is done with them
	 */
	EXPECT_LE(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_GE(2, hw_flrs(&self->hw, self->nvme));
	EXPECT_LE(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_GE(2, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nvme_port));
	ASSERT_EQ(0, xl_config(&self->one, self->nvme, after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
}

/* Nothing piles up: each of many guests finds the same, after one reset as before it */
TEST_F_TIMEOUT(guest_pv, rounds, BOOTS(ROUNDS))
{
	unsigned char first[CARD_FNS + 1][PCI_CONFIG_SIZE];
	unsigned char now[PCI_CONFIG_SIZE];
	unsigned int round, i;
	char address[32];

	adopt(self->nvme, self->card.fns[0], self->card.fns[1], self->card.fns[2]);
	ASSERT_EQ(0, xl_define(&self->one, "one", self->owned.fns,
			       self->owned.nr, NULL));
	for (round = 0; round < ROUNDS; round++) {
		TH_LOG("round %u", round);
		hw_begin(&self->hw);
		ASSERT_EQ(0, xl_create(&self->one, ""));
		ASSERT_EQ(0, xl_wait_ready(&self->one));
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
		for (i = 0; i < self->owned.nr; i++) {
			ASSERT_EQ(0, xl_config(&self->one, self->owned.fns[i],
					       now));
			if (!round)
				memcpy(first[i], now, sizeof(now));
			EXPECT_EQ(0, memcmp(first[i], now, sizeof(now))) {
				TH_LOG("%s", self->owned.fns[i].name);
			}
			xl_address(&self->one, self->owned.fns[i], address,
				   sizeof(address));
			EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "scribble %s",
					    address));
		}
		hw_begin(&self->hw);
		ASSERT_EQ(0, xl_destroy(&self->one));
		expect_clean_again();
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	}
}

/*
 * Stock xl saves a PV guest with functions and restores it with them: they are
 * reset after the one and before the other. (That its xen-pcifront does not find its
 * way back to them is another matter.)
 */
TEST_F_TIMEOUT(guest_pv, save, BOOTS(2))
{
	char address[32];
	unsigned int i;

	adopt_card();
	ASSERT_EQ(0, xl_define(&self->one, "one", self->card.fns, CARD_FNS, NULL));
	ASSERT_EQ(0, xl_create(&self->one, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	for (i = 0; i < CARD_FNS; i++) {
		xl_address(&self->one, self->card.fns[i], address, sizeof(address));
		EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "scribble %s",
				    address));
	}

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_save(&self->one, SAVED));
	expect_clean_again();
	hw_end(&self->hw);
	expect_card_resets(1);

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_restore(&self->one, SAVED));
	for (i = 0; i < CARD_FNS; i++)
		ASSERT_EQ(0, xl_wait_assigned(&self->one, self->card.fns[i]));
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[0]));
	hw_end(&self->hw);
	expect_card_resets(1);

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->one));
	expect_clean_again();
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	unlink(SAVED);
}

TEST_HARNESS_MAIN
