// SPDX-License-Identifier: GPL-2.0
/*
 * The faults that other tests rely on (test_modules/pciback_fault.c): each shows in config
 * space as it should, in its function and nowhere else. fault_module.c tests how they are
 * made and removed.
 */
#include "faults.h"

/* How long is long, for something that is to last for ever */
#define LONG_MS		700

static void ask_for_flr(struct fn fn)
{
	unsigned int devctl = fn_cap(fn, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;

	fn_write(fn, devctl, fn_read(fn, devctl, 2) | PCI_EXP_DEVCTL_BCR_FLR, 2);
}

static void ask_for_af_flr(struct fn fn)
{
	fn_write(fn, fault_get(fn, "af") + PCI_AF_CTRL, PCI_AF_CTRL_FLR, 1);
}

TEST_F(fault, af_shows)
{
	static const uint8_t others[] = {
		PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX,
	};
	unsigned int positions[ARRAY_SIZE(others)], i, af;
	struct fn nic = self->nic;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		positions[i] = fn_cap(nic, others[i]);
	ASSERT_EQ(0, fn_cap(nic, PCI_CAP_ID_AF));
	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "af", 1));

	af = fault_get(nic, "af");
	EXPECT_LE(HEADER_SIZE, af);
	EXPECT_EQ(af, fn_cap(nic, PCI_CAP_ID_AF));
	EXPECT_EQ(PCI_CAP_AF_SIZEOF, fn_read(nic, af + PCI_AF_LENGTH, 1));
	EXPECT_EQ(PCI_AF_CAP_TP | PCI_AF_CAP_FLR,
		  fn_read(nic, af + PCI_AF_CAP, 1));
	for (i = 0; i < ARRAY_SIZE(others); i++)
		EXPECT_EQ(positions[i], fn_cap(nic, others[i]));

	/* In every size of access */
	EXPECT_EQ(PCI_CAP_AF_SIZEOF | 3 << 8,
		  fn_read(nic, af + PCI_AF_LENGTH, 2));
	EXPECT_EQ(PCI_CAP_ID_AF, fn_read(nic, af, 4) & 0xff);
	EXPECT_EQ(PCI_CAP_AF_SIZEOF | 3 << 8, fn_read(nic, af, 4) >> 16);

	EXPECT_EQ(0, fn_read(nic, af + PCI_AF_CTRL, 4));
	ASSERT_EQ(0, fault_set(nic, "pending", 1));
	EXPECT_EQ(PCI_AF_STATUS_TP, fn_read(nic, af + PCI_AF_STATUS, 1));
	EXPECT_EQ(PCI_AF_STATUS_TP << 8, fn_read(nic, af + PCI_AF_CTRL, 2));
	ASSERT_EQ(0, fault_set(nic, "af_cap", PCI_AF_CAP_FLR));
	EXPECT_EQ(PCI_AF_CAP_FLR, fn_read(nic, af + PCI_AF_CAP, 1));

	expect_unchanged(nic);
	ASSERT_EQ(0, fault_remove(nic));
	EXPECT_EQ(0, fn_cap(nic, PCI_CAP_ID_AF));
	expect_unchanged(NOBODY);
}

/* Status announces a list, even if the function has none */
TEST_F(fault, af_is_the_only_capability)
{
	struct fn fn = self->conventional;

	EXPECT_EQ(0, fn_read(fn, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	ASSERT_EQ(0, fault_add(fn));
	ASSERT_EQ(0, fault_set(fn, "af", 0x80));
	EXPECT_NE(0, fn_read(fn, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	EXPECT_EQ(0x80, fn_cap(fn, PCI_CAP_ID_AF));
	EXPECT_EQ(0, fn_read(fn, 0x80 + PCI_CAP_LIST_NEXT, 1));
}

TEST_F(fault, af_flr)
{
	struct fn nic = self->nic;

	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "af", 1));

	/* Not the bit, not the register */
	fn_write(nic, fault_get(nic, "af") + PCI_AF_CTRL, 0, 1);
	fn_write(nic, fault_get(nic, "af") + PCI_AF_STATUS, 1, 1);
	EXPECT_EQ(0, fault_get(nic, "af_flrs"));

	fn_write(nic, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	fn_write(nic, PCI_INTERRUPT_LINE, 0x5a, 1);
	hw_begin(&self->hw);
	ask_for_af_flr(nic);
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(nic, "af_flrs"));
	EXPECT_EQ(0, fault_get(nic, "flrs"));
	EXPECT_EQ(0, fn_read(nic, PCI_COMMAND, 2));
	EXPECT_EQ(0, fn_read(nic, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(0, fn_read(nic, PCI_BASE_ADDRESS_0, 4));
	/* Nothing of it reaches the register that is really there */
	EXPECT_EQ(0, hw_writes(&self->hw, nic, fault_get(nic, "af") + PCI_AF_CTRL,
			       0, 0));
	expect_unchanged(nic);

	ASSERT_EQ(0, fault_set(nic, "flr_swallow", 1));
	fn_write(nic, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	ask_for_af_flr(nic);
	EXPECT_EQ(2, fault_get(nic, "af_flrs"));
	EXPECT_EQ(PCI_COMMAND_INTX_DISABLE, fn_read(nic, PCI_COMMAND, 2));
}

/* The kernel sees it, and its own reset by it is done */
TEST_F(fault, af_flr_by_the_kernel)
{
	struct fn nic = self->nic;

	if (!fn_has_file(nic, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");

	EXPECT_FALSE(has_method(nic, "af_flr"));
	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "af", 1));
	ASSERT_EQ(0, fault_rediscover(nic));
	EXPECT_TRUE(has_method(nic, "af_flr"));

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_write_file(nic, "reset", "1"));
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(nic, "af_flrs"));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_d3s(&self->hw, nic));

	ASSERT_EQ(0, fault_remove(nic));
	ASSERT_EQ(0, fault_rediscover(nic));
	EXPECT_FALSE(has_method(nic, "af_flr"));
}

TEST_F(fault, devcap_flr)
{
	struct fn nic = self->nic;
	unsigned int exp = fn_cap(nic, PCI_CAP_ID_EXP);

	if (!fn_has_file(nic, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");

	EXPECT_EQ(0, fn_read(nic, exp + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	EXPECT_FALSE(has_method(nic, "flr"));
	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "devcap_flr", 1));
	EXPECT_NE(0, fn_read(nic, exp + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	ASSERT_EQ(0, fault_rediscover(nic));
	EXPECT_TRUE(has_method(nic, "flr"));
	expect_unchanged(nic);

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_write_file(nic, "reset", "1"));
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(nic, "flrs"));
	EXPECT_EQ(0, hw_flrs(&self->hw, nic));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	fn_write(nic, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	ask_for_flr(nic);
	EXPECT_EQ(2, fault_get(nic, "flrs"));
	EXPECT_EQ(0, fn_read(nic, PCI_COMMAND, 2));

	ASSERT_EQ(0, fault_remove(nic));
	ASSERT_EQ(0, fault_rediscover(nic));
	EXPECT_FALSE(has_method(nic, "flr"));
}

/* Whatever is written to it */
TEST_F(fault, bus_master)
{
	ASSERT_EQ(0, fault_add(self->nvme));
	ASSERT_EQ(0, fault_set(self->nvme, "bus_master", 1));
	fn_write(self->nvme, PCI_COMMAND, 0, 2);
	EXPECT_EQ(PCI_COMMAND_MASTER, fn_read(self->nvme, PCI_COMMAND, 2));
	ASSERT_EQ(0, fault_set(self->nvme, "bus_master", 0));
	EXPECT_EQ(0, fn_read(self->nvme, PCI_COMMAND, 2));
}

TEST_F(fault, msix_masked)
{
	unsigned int flags = fn_cap(self->nvme, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;

	ASSERT_EQ(0, fault_add(self->nvme));
	ASSERT_EQ(0, fn_read(self->nvme, flags, 2) & PCI_MSIX_FLAGS_MASKALL);
	ASSERT_EQ(0, fault_set(self->nvme, "msix_masked", 1));
	fn_write(self->nvme, flags, 0, 2);
	EXPECT_NE(0, fn_read(self->nvme, flags, 2) & PCI_MSIX_FLAGS_MASKALL);
	ASSERT_EQ(0, fault_set(self->nvme, "msix_masked", 0));
	EXPECT_EQ(0, fn_read(self->nvme, flags, 2) & PCI_MSIX_FLAGS_MASKALL);
}

/* The port's, as long as the function has it, and another one after a reset */
TEST_F(fault, lnksta)
{
	struct fn port = fn_root(0x12);
	unsigned int lnksta = fn_cap(port, PCI_CAP_ID_EXP) + PCI_EXP_LNKSTA;
	unsigned int real = fn_read(port, lnksta, 2);

	ASSERT_EQ(0, fault_add(self->nic));
	ASSERT_EQ(0, fault_set(self->nic, "lnksta", 0x104));
	EXPECT_EQ((real & ~0x3ff) | 0x104, fn_read(port, lnksta, 2));
	EXPECT_EQ(0x104, fn_read(port, lnksta - 2, 4) >> 16 & 0x3ff);
	sbr(port);
	EXPECT_EQ((real & ~0x3ff) | 0x104, fn_read(port, lnksta, 2));
	ASSERT_EQ(0, fault_set(self->nic, "lnksta_sbr", 0x043));
	sbr(port);
	EXPECT_EQ((real & ~0x3ff) | 0x043, fn_read(port, lnksta, 2));
	ASSERT_EQ(0, fault_remove(self->nic));
	EXPECT_EQ(real, fn_read(port, lnksta, 2));
}

TEST_F(fault, flr_swallow)
{
	unsigned int exp = fn_cap(self->nvme, PCI_CAP_ID_EXP);
	struct fn nvme = self->nvme;

	ASSERT_EQ(0, fault_add(nvme));
	hw_begin(&self->hw);
	ask_for_flr(nvme);
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(1, hw_resets(&self->hw, "nvme"));
	EXPECT_EQ(1, fault_get(nvme, "flrs"));

	ASSERT_EQ(0, fault_set(nvme, "flr_swallow", 1));
	ASSERT_EQ(0, fault_set(nvme, "flr_away_ms", FAULT_FOR_EVER));
	fn_write(nvme, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	hw_begin(&self->hw);
	ask_for_flr(nvme);
	/* A wider access, and a bit of another's in it */
	fn_write(nvme, exp + PCI_EXP_DEVCTL,
		 PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_CERE, 4);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(3, fault_get(nvme, "flrs"));
	EXPECT_EQ(PCI_COMMAND_INTX_DISABLE, fn_read(nvme, PCI_COMMAND, 2));
	EXPECT_EQ(1, hw_writes(&self->hw, nvme, exp + PCI_EXP_DEVCTL, 0xffffffff,
			       PCI_EXP_DEVCTL_CERE));
}

TEST_F(fault, flr_no_effect)
{
	struct fn nvme = self->nvme;

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "flr_no_effect", 1));
	fn_write(nvme, PCI_COMMAND,
		 PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_SERR, 2);
	hw_begin(&self->hw);
	ask_for_flr(nvme);
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(1, hw_resets(&self->hw, "nvme"));
	EXPECT_EQ(PCI_COMMAND_INTX_DISABLE, fn_read(nvme, PCI_COMMAND, 2));
	EXPECT_EQ(PCI_COMMAND_INTX_DISABLE,
		  fn_read(nvme, PCI_COMMAND, 4) & 0xffff);

	fn_write(nvme, PCI_COMMAND, 0, 2);
	EXPECT_EQ(0, fn_read(nvme, PCI_COMMAND, 2));

	/* One that was not set is not invented */
	ask_for_flr(nvme);
	EXPECT_EQ(0, fn_read(nvme, PCI_COMMAND, 2));
}

TEST_F(fault, flr_away)
{
	struct fn nvme = self->nvme;
	uint32_t real = id(nvme);
	long long start, ms;

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "flr_away_ms", LONG_MS));
	start = now_ms();
	ask_for_flr(nvme);
	EXPECT_TRUE(away(nvme));
	EXPECT_EQ(0xff, fn_read(nvme, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(0xffff, fn_read(nvme, PCI_COMMAND, 2));
	fn_write(nvme, PCI_INTERRUPT_LINE, 0x5a, 1);
	EXPECT_EQ(1, fault_get(nvme, "lost_writes"));
	while (away(nvme) && now_ms() - start < 10 * LONG_MS)
		usleep(1000);
	ms = now_ms() - start;
	EXPECT_LE(LONG_MS, ms);
	EXPECT_GT(10 * LONG_MS, ms);
	EXPECT_EQ(real, id(nvme));
	EXPECT_EQ(0, fn_read(nvme, PCI_INTERRUPT_LINE, 1));
	expect_unchanged(nvme);
}

TEST_F(fault, flr_away_for_ever)
{
	struct fn nvme = self->nvme, port = fn_root(0x10);
	uint32_t real = id(nvme);

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "flr_away_ms", FAULT_FOR_EVER));
	ask_for_flr(nvme);
	usleep(LONG_MS * 1000);
	EXPECT_TRUE(away(nvme));
	ASSERT_EQ(0, fault_set(nvme, "heal", 1));
	EXPECT_EQ(real, id(nvme));

	/* A secondary bus reset helps as well */
	ask_for_flr(nvme);
	EXPECT_TRUE(away(nvme));
	sbr(fn_root(0x11));
	EXPECT_TRUE(away(nvme));
	sbr(port);
	EXPECT_EQ(real, id(nvme));
	EXPECT_EQ(1, fault_get(nvme, "sbrs"));
}

TEST_F(fault, flr_crs)
{
	struct fn nvme = self->nvme;
	uint32_t real = id(nvme);
	long long start;

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "flr_away_ms", LONG_MS));
	ASSERT_EQ(0, fault_set(nvme, "flr_crs_ms", FAULT_FOR_EVER));
	start = now_ms();
	ask_for_flr(nvme);
	EXPECT_TRUE(away(nvme));
	while (away(nvme) && now_ms() - start < 10 * LONG_MS)
		usleep(1000);
	EXPECT_EQ(0xffff0001, id(nvme));
	EXPECT_EQ(0x0001, fn_read(nvme, PCI_VENDOR_ID, 2));
	EXPECT_EQ(0xff, fn_read(nvme, PCI_VENDOR_ID, 1));
	EXPECT_EQ(0xffff, fn_read(nvme, PCI_DEVICE_ID, 2));
	EXPECT_EQ(0xffffffff, fn_read(nvme, PCI_COMMAND, 4));
	fn_write(nvme, PCI_INTERRUPT_LINE, 0x5a, 1);
	EXPECT_EQ(1, fault_get(nvme, "lost_writes"));
	ASSERT_EQ(0, fault_set(nvme, "heal", 1));
	EXPECT_EQ(real, id(nvme));
}

TEST_F(fault, sbr_away)
{
	struct fn *card = self->card;
	uint32_t real = id(card[1]);
	long long start, ms;

	ASSERT_EQ(0, fault_add(card[1]));
	ASSERT_EQ(0, fault_set(card[1], "sbr_away_ms", LONG_MS));
	hw_begin(&self->hw);
	hold_in_sbr(self->port, true);
	EXPECT_TRUE(away(card[1]));
	hold_in_sbr(self->port, false);
	hw_end(&self->hw);
	start = now_ms();
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	EXPECT_TRUE(away(card[1]));
	EXPECT_FALSE(away(card[0]));
	EXPECT_FALSE(away(card[2]));
	while (away(card[1]) && now_ms() - start < 10 * LONG_MS)
		usleep(1000);
	ms = now_ms() - start;
	/* It began earlier than we know */
	EXPECT_LE(LONG_MS / 2, ms);
	EXPECT_EQ(real, id(card[1]));
	EXPECT_EQ(1, fault_get(card[1], "sbrs"));

	ASSERT_EQ(0, fault_set(card[1], "sbr_away_ms", 0));
	ASSERT_EQ(0, fault_set(card[1], "sbr_crs_ms", FAULT_FOR_EVER));
	sbr(self->port);
	EXPECT_EQ(0xffff0001, id(card[1]));

	ASSERT_EQ(0, fault_set(card[1], "sbr_away_ms", FAULT_FOR_EVER));
	sbr(self->port);
	usleep(LONG_MS * 1000);
	EXPECT_TRUE(away(card[1]));
	EXPECT_FALSE(away(card[0]));
}

/* Only by the port right above, and only while it is set */
TEST_F(fault, sbr_swallow)
{
	struct fn port = fn_root(0x12);

	ASSERT_EQ(0, fault_add(self->nic));
	ASSERT_EQ(0, fault_set(self->nic, "sbr_swallow", 1));
	hw_begin(&self->hw);
	sbr(port);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, fault_get(self->nic, "sbrs"));

	ASSERT_EQ(0, fault_set(self->nic, "sbr_swallow", 0));
	hw_begin(&self->hw);
	sbr(port);
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, fault_get(self->nic, "sbrs"));
}

/* By whichever bridge above */
TEST_F(fault, sbr_two_levels)
{
	struct fn top = fn_root(0x16), second = fn_below(top, 1, 0);
	struct fn edu = fn_below(second, 1, 0);
	uint32_t header[HEADER_SIZE / 4];
	unsigned int i;

	ASSERT_EQ(0, fault_add(edu));
	sbr(second);
	EXPECT_EQ(1, fault_get(edu, "sbrs"));
	EXPECT_FALSE(away(edu));
	sbr(self->port);
	EXPECT_EQ(1, fault_get(edu, "sbrs"));
	hold_in_sbr(second, true);
	EXPECT_TRUE(away(edu));
	EXPECT_FALSE(away(fn_below(second, 2, 0)));
	hold_in_sbr(second, false);
	EXPECT_FALSE(away(edu));
	EXPECT_EQ(2, fault_get(edu, "sbrs"));

	/* This resets the lower bridge, its bus numbers too */
	fn_read_config(second, 0, header, sizeof(header));
	sbr(top);
	EXPECT_EQ(3, fault_get(edu, "sbrs"));
	for (i = 0; i < ARRAY_SIZE(header); i++)
		fn_write(second, i * 4, header[i], 4);
	EXPECT_FALSE(away(edu));
}

TEST_F(fault, vanish)
{
	struct fn nvme = self->nvme;
	uint32_t real = id(nvme);
	unsigned int i;

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "vanish_at", 5));
	for (i = 1; i < 5; i++)
		EXPECT_EQ(real, id(nvme));
	EXPECT_EQ(1, fault_get(nvme, "vanish_at"));
	EXPECT_TRUE(away(nvme));
	EXPECT_EQ(1, fault_get(nvme, "gone"));
	EXPECT_EQ(5, fault_get(nvme, "reads"));
	sbr(fn_root(0x10));
	EXPECT_TRUE(away(nvme));
	expect_unchanged(nvme);
	ASSERT_EQ(0, fault_set(nvme, "heal", 1));
	EXPECT_EQ(real, id(nvme));

	ASSERT_EQ(0, fault_set(nvme, "gone", 1));
	EXPECT_TRUE(away(nvme));
	ASSERT_EQ(0, fault_set(nvme, "gone", 0));
	EXPECT_EQ(real, id(nvme));
}

TEST_F(fault, pending)
{
	struct fn nvme = self->nvme;
	unsigned int devsta = fn_cap(nvme, PCI_CAP_ID_EXP) + PCI_EXP_DEVSTA;

	ASSERT_EQ(0, fault_add(nvme));
	EXPECT_EQ(0, fn_read(nvme, devsta, 2) & PCI_EXP_DEVSTA_TRPND);
	ASSERT_EQ(0, fault_set(nvme, "pending", 1));
	EXPECT_NE(0, fn_read(nvme, devsta, 2) & PCI_EXP_DEVSTA_TRPND);
	EXPECT_NE(0, fn_read(nvme, devsta - 2, 4) &
		     PCI_EXP_DEVSTA_TRPND << 16);
	ASSERT_EQ(0, fault_set(nvme, "pending", 0));
	EXPECT_EQ(0, fn_read(nvme, devsta, 2) & PCI_EXP_DEVSTA_TRPND);
	expect_unchanged(NOBODY);
}

/* They are the kernel's, and go with the fault */
TEST_F(fault, quirks)
{
	struct fn nvme = self->nvme;

	if (!kernel_since(5, 15))
		SKIP(return, "a kernel that does not tell its reset methods");
	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "no_flr", 1));
	EXPECT_EQ(-EINVAL, fn_write_file(nvme, "reset_method", "flr"));
	EXPECT_EQ(-ERANGE, fault_set(nvme, "no_flr", 2));
	ASSERT_EQ(0, fault_remove(nvme));
	EXPECT_EQ(0, fn_write_file(nvme, "reset_method", "flr"));

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "no_bus_reset", 1));
	EXPECT_EQ(-EINVAL, fn_write_file(nvme, "reset_method", "bus"));
	ASSERT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_write_file(nvme, "reset_method", "bus"));
	EXPECT_EQ(0, fn_write_file(nvme, "reset_method", "default"));
	expect_unchanged(NOBODY);
}

TEST_HARNESS_MAIN
