// SPDX-License-Identifier: GPL-2.0
/*
 * Does a reset of the set have an effect? The driver sets bits of MSI or MSI-X that each reset
 * clears, and looks for them afterwards. A port that ignores the reset is noticed by that; one
 * that does not is never taken for one that does.
 *
 * The functions are real ones, whose faults test_modules/pciback_fault.c injects.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/owned.h"
#include "lib/pci.h"

FIXTURE(canary)
{
	struct fn port, fn;		/* nvme */
	struct card card;		/* no FLR */
	struct hw hw;
};

FIXTURE_SETUP(canary)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x10);
	self->fn = fn_below(self->port, 0, 0);
	self->card = card_find();
	inject(self->fn);
	ASSERT_EQ(0, fault_add(self->card.second));
}

FIXTURE_TEARDOWN(canary)
{
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->fn));
	EXPECT_EQ(0, card_release(&self->card));
}

/* What MSI or MSI-X of a function has set, of what each reset clears */
static unsigned int canary_of(struct fn fn)
{
	unsigned int msi = fn_cap(fn, PCI_CAP_ID_MSI), msix = fn_cap(fn, PCI_CAP_ID_MSIX);

	return msi ? fn_read(fn, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QSIZE :
		     fn_read(fn, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_MASKALL;
}

/* The port ignores it: nothing was reset, though all functions answer */
TEST_F(canary, port_ignores_it)
{
	unsigned int i;

	bind_card();
	ASSERT_EQ(0, reset_device(self->card.first));
	ASSERT_EQ(0, fault_set(self->card.second, "sbr_swallow", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(-EIO, reset_device(self->card.third));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	for (i = 0; i < CARD_FNS; i++) {
		EXPECT_EQ(1, fn_needs_reset(self->card.fns[i]));
		EXPECT_EQ(0, canary_of(self->card.fns[i]));
	}
	EXPECT_STREQ("slot: no effect", fn_last_reset(self->card.first));

	ASSERT_EQ(0, fault_set(self->card.second, "sbr_swallow", 0));
	EXPECT_EQ(0, reset_device(self->card.third));
	for (i = 0; i < CARD_FNS; i++) {
		EXPECT_EQ(0, fn_needs_reset(self->card.fns[i]));
		EXPECT_EQ(0, canary_of(self->card.fns[i]));
	}
	EXPECT_STREQ("slot: ok", fn_last_reset(self->card.first));
}

/* One of them is dead, too: that is the result, since a reset from above may still help */
TEST_F(canary, port_ignores_it_and_one_is_dead)
{
	bind_card();
	ASSERT_EQ(0, fault_set(self->card.second, "sbr_away_ms", FAULT_FOR_EVER));
	ASSERT_EQ(-ETIMEDOUT, reset_device(self->card.first));
	ASSERT_EQ(0, fault_set(self->card.second, "sbr_swallow", 1));

	EXPECT_EQ(-ETIMEDOUT, reset_device(self->card.first));
	EXPECT_STREQ("slot: no effect", fn_last_reset(self->card.third));
	EXPECT_STREQ("slot: no answer", fn_last_reset(self->card.second));

	ASSERT_EQ(0, fault_set(self->card.second, "sbr_swallow", 0));
	ASSERT_EQ(0, fault_set(self->card.second, "sbr_away_ms", 0));
	EXPECT_EQ(0, reset_device(self->card.first));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
}

/* What is set at all times, as Xen may hold it, does not show that a reset had no effect */
TEST_F(canary, hardwired_is_no_canary)
{
	bind_clean(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "no_flr", 1));
	ASSERT_EQ(0, fault_set(self->fn, "msix_masked", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
}

/*
 * The machine's sets: a reset that is one is never taken for one without effect. One that
 * the port ignores is noticed, unless no function of the set has MSI or MSI-X.
 */
FIXTURE(ports)
{
	struct owned owned;
	struct hw hw;
};

FIXTURE_SETUP(ports)
{
	memset(self, 0, sizeof(*self));
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
}

FIXTURE_TEARDOWN(ports)
{
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, owned_release(&self->owned));
}

#define ON_ROOT		(-1)

TEST_F(ports, ignore_it)
{
	static const struct {
		unsigned int port;
		int bridge;		/* The one below it, or ON_ROOT: the port is it */
		unsigned int nr;
		struct {
			unsigned int dev, func;
		} fns[CARD_FNS];
		bool unnoticed;
	} sets[] = {
		{ 0x10, ON_ROOT, 1 },
		{ 0x11, ON_ROOT, 1 },
		{ 0x12, ON_ROOT, 1 },
		{ 0x13, ON_ROOT, 3, { { 0, 0 }, { 0, 1 }, { 0, 2 } } },
		{ 0x14, 0, 2, { { 1, 0 }, { 2, 0 } }, .unnoticed = true },
		{ 0x15, ON_ROOT, 1 },
		{ 0x17, ON_ROOT, 1 },
		{ 0x1a, ON_ROOT, 1 },
	};
	struct fn bridge, fn;
	unsigned int s, i;

	for (s = 0; s < ARRAY_SIZE(sets); s++) {
		TH_LOG("port %02x", sets[s].port);
		bridge = fn_root(sets[s].port);
		if (sets[s].bridge != ON_ROOT)
			bridge = fn_below(bridge, sets[s].bridge, 0);
		for (i = 0; i < sets[s].nr; i++) {
			fn = fn_below(bridge, sets[s].fns[i].dev, sets[s].fns[i].func);
			seize(fn);
			fn_quiesce(fn);
		}
		ASSERT_EQ(0, fault_add(fn));
		ASSERT_EQ(0, fault_set(fn, "no_flr", 1));

		EXPECT_EQ(0, reset_device(fn));
		EXPECT_NE(NULL, strstr(fn_last_reset(fn), ": ok"));

		ASSERT_EQ(0, fault_set(fn, "sbr_swallow", 1));
		hw_begin(&self->hw);
		EXPECT_EQ(sets[s].unnoticed ? 0 : -EIO, reset_device(fn));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_all_resets(&self->hw));
		EXPECT_EQ(!sets[s].unnoticed, !!strstr(fn_last_reset(fn), ": no effect"));

		ASSERT_EQ(0, fault_set(fn, "sbr_swallow", 0));
		hw_begin(&self->hw);
		EXPECT_EQ(0, reset_device(fn));
		hw_end(&self->hw);
		EXPECT_EQ(sets[s].nr, hw_all_resets(&self->hw));
		EXPECT_EQ(0, fn_needs_reset(fn));
	}
}

TEST_HARNESS_MAIN
