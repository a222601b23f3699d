// SPDX-License-Identifier: GPL-2.0
/*
 * What must not be reset: each refusal has its errno, and a log line that names the
 * function in the way. By the hardware's trace that function is not touched.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"

FIXTURE(card)
{
	struct card card;
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(card)
{
	memset(self, 0, sizeof(*self));
	self->card = card_find();
	ASSERT_EQ(0, card_adopt(&self->card));
}

FIXTURE_TEARDOWN(card)
{
	EXPECT_EQ(0, card_release(&self->card));
}

/* A sibling that dom0 uses: nothing happens to it, and it goes on working */
TEST_F(card, sibling_driven_by_dom0)
{
	unsigned char before[PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	char what[80], driver[32];

	ASSERT_EQ(0, load_module("e1000e"));
	ASSERT_EQ(0, fn_bind(self->card.second, "e1000e"));
	/* Its driver is at home: bus mastering, MSI-X and all */
	fn_read_config(self->card.second, 0, before, sizeof(before));
	ASSERT_NE(0, before[PCI_COMMAND] & PCI_COMMAND_MASTER);

	reset_watched(self->card.first, -EBUSY);

	fn_read_config(self->card.second, 0, after, sizeof(after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
	fn_driver(self->card.second, driver, sizeof(driver));
	EXPECT_STREQ("e1000e", driver);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.second));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.third));
	/* What is left to the first function was done all the same */
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.first));
	snprintf(what, sizeof(what), "slot: blocked by %s (e1000e); pm: ok (weak)",
		 self->card.second.name);
	expect_logged(self->card.first, what);

	/* The same asked of the function that has no weak reset either */
	reset_watched(self->card.third, -EBUSY);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.third));
	snprintf(what, sizeof(what), "slot: blocked by %s (e1000e)",
		 self->card.second.name);
	expect_logged(self->card.third, what);

	EXPECT_EQ(0, fn_adopt(self->card.second));
	EXPECT_EQ(0, unload_module("e1000e"));
	/* And is not in the way any more */
	reset_watched(self->card.third, 0);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
}

/* A sibling without a driver is not owned either */
TEST_F(card, sibling_without_driver)
{
	char what[80];

	ASSERT_EQ(0, fn_release(self->card.third));
	reset_watched(self->card.first, -EBUSY);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.third));
	snprintf(what, sizeof(what), "slot: blocked by %s (no driver)",
		 self->card.third.name);
	expect_logged(self->card.first, what);
}

/* Functions without a card */
FIXTURE(alone)
{
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(alone)
{
	memset(self, 0, sizeof(*self));
}

FIXTURE_TEARDOWN(alone)
{
}

/* The reset of a conventional bus would reach a sibling in another slot */
TEST_F(alone, conventional_sibling_without_driver)
{
	struct fn bridge = fn_below(fn_root(0x14), 0, 0);
	struct fn nic = fn_below(bridge, 1, 0), other = fn_below(bridge, 2, 0);
	char what[80];

	ASSERT_EQ(0, fn_adopt(nic));
	reset_watched(nic, -EBUSY);
	ASSERT_EQ(0, fn_release(nic));

	EXPECT_EQ(0, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	snprintf(what, sizeof(what), "bus: blocked by %s (no driver)",
		 other.name);
	expect_logged(nic, what);
}

/* On the root bus there is no reset but a function's own, and it has none */
TEST_F(alone, root_bus)
{
	struct fn edu = fn_root(0x18);

	ASSERT_TRUE(fn_exists(edu));
	ASSERT_EQ(0, fn_adopt(edu));
	reset_watched(edu, -ENOTTY);
	ASSERT_EQ(0, fn_release(edu));

	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, edu));
	expect_logged(edu, "no method can reset it");
}

/* Not pciback's: not even its own reset */
TEST_F(alone, not_owned)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);

	reset_watched(nvme, -ENODEV);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, nvme));
	expect_logged(nvme, "not owned by pciback (no driver)");

	/* Nor if dom0 uses it */
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, fn_bind(nvme, "nvme"));
	reset_watched(nvme, -ENODEV);
	ASSERT_EQ(0, fn_release(nvme));
	ASSERT_EQ(0, unload_module("nvme"));

	EXPECT_EQ(0, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	expect_logged(nvme, "not owned by pciback (nvme)");
}

TEST_HARNESS_MAIN
