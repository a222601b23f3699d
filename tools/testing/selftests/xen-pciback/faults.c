// SPDX-License-Identifier: GPL-2.0
/*
 * The faults that other tests rely on (test_modules/pciback_fault.c): that each
 * shows in config space as it should, in its function and nowhere else, and
 * that nothing of it is left, whatever goes first.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/pci.h"

#define MAX_FNS		16
#define HEADER_SIZE	64

/* How long is long, for something that is to last for ever */
#define LONG_MS		700

static uint32_t id(struct fn fn)
{
	return fn_read(fn, PCI_VENDOR_ID, 4);
}

static bool away(struct fn fn)
{
	return id(fn) == 0xffffffff;
}

static void ask_for_flr(struct fn fn)
{
	unsigned int devctl = fn_cap(fn, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;

	fn_write(fn, devctl, fn_read(fn, devctl, 2) | PCI_EXP_DEVCTL_BCR_FLR, 2);
}

static void ask_for_af_flr(struct fn fn)
{
	fn_write(fn, fault_get(fn, "af") + PCI_AF_CTRL, PCI_AF_CTRL_FLR, 1);
}

static void hold_in_sbr(struct fn bridge, bool on)
{
	uint16_t control = fn_read(bridge, PCI_BRIDGE_CONTROL, 2);

	control &= ~PCI_BRIDGE_CTL_BUS_RESET;
	if (on)
		control |= PCI_BRIDGE_CTL_BUS_RESET;
	fn_write(bridge, PCI_BRIDGE_CONTROL, control, 2);
	usleep(2000);
}

static void sbr(struct fn bridge)
{
	hold_in_sbr(bridge, true);
	hold_in_sbr(bridge, false);
}

static bool has_method(struct fn fn, const char *method)
{
	char path[256], methods[128] = "", *word;
	FILE *f;

	fn_path(fn, "reset_method", path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(methods, sizeof(methods), f))
		*methods = '\0';
	fclose(f);
	for (word = strtok(methods, "\n "); word; word = strtok(NULL, "\n "))
		if (!strcmp(word, method))
			return true;
	return false;
}

static int sysfs_write(struct fn fn, const char *file, const char *s)
{
	char path[256];

	fn_path(fn, file, path, sizeof(path));
	return write_string(path, s);
}

/* All of the machine's functions that can have faults */
static unsigned int all_functions(struct fn *fns)
{
	struct fn card = fn_root(0x13), conventional, second;
	unsigned int nr = 0;

	conventional = fn_below(fn_root(0x14), 0, 0);
	second = fn_below(fn_root(0x16), 1, 0);
	fns[nr++] = fn_below(fn_root(0x10), 0, 0);
	fns[nr++] = fn_below(fn_root(0x11), 0, 0);
	fns[nr++] = fn_below(fn_root(0x12), 0, 0);
	fns[nr++] = fn_below(card, 0, 0);
	fns[nr++] = fn_below(card, 0, 1);
	fns[nr++] = fn_below(card, 0, 2);
	fns[nr++] = fn_below(conventional, 1, 0);
	fns[nr++] = fn_below(conventional, 2, 0);
	fns[nr++] = fn_below(fn_root(0x15), 0, 0);
	fns[nr++] = fn_below(second, 1, 0);
	fns[nr++] = fn_below(second, 2, 0);
	fns[nr++] = fn_below(fn_root(0x17), 0, 0);
	fns[nr++] = fn_root(0x18);
	return nr;
}

FIXTURE(fault)
{
	struct fn fns[MAX_FNS];
	unsigned char was[MAX_FNS][PCI_CONFIG_SIZE];
	unsigned int nr;

	struct fn nvme, nic, card[3], port;	/* FLR; PM; PM, PM, nothing */
	struct fn bridge, conventional;
	struct hw hw;
};

FIXTURE_SETUP(fault)
{
	unsigned int i;

	memset(self, 0, sizeof(*self));
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	self->nr = all_functions(self->fns);
	for (i = 0; i < self->nr; i++)
		fn_read_config(self->fns[i], 0, self->was[i], PCI_CONFIG_SIZE);

	self->nvme = fn_below(fn_root(0x10), 0, 0);
	self->nic = fn_below(fn_root(0x12), 0, 0);
	self->port = fn_root(0x13);
	for (i = 0; i < ARRAY_SIZE(self->card); i++)
		self->card[i] = fn_below(self->port, 0, i);
	self->bridge = fn_below(fn_root(0x14), 0, 0);
	self->conventional = fn_below(self->bridge, 2, 0);

	ASSERT_EQ(0, fault_load());
}

/* No fault is left; what a reset has cleared is as it was for the next test */
FIXTURE_TEARDOWN(fault)
{
	unsigned int i, at;
	uint32_t val;

	EXPECT_EQ(0, fault_unload());
	for (i = 0; i < self->nr; i++) {
		for (at = 0; at < HEADER_SIZE; at += 4) {
			memcpy(&val, self->was[i] + at, 4);
			/* Status is for clearing bits in */
			if (fn_read(self->fns[i], at, 4) != val)
				fn_write(self->fns[i], at, val,
					 at == PCI_COMMAND ? 2 : 4);
		}
		EXPECT_EQ(0, memcmp(self->was[i], &(uint32_t){ id(self->fns[i]) },
				    4));
	}
}

/* Each function's config space but Status, and but the function @but's */
#define expect_unchanged(but) do {					\
	unsigned char now[PCI_CONFIG_SIZE];				\
	unsigned int i;							\
									\
	for (i = 0; i < self->nr; i++) {				\
		if (!strcmp(self->fns[i].name, (but).name))		\
			continue;					\
		fn_read_config(self->fns[i], 0, now, sizeof(now));	\
		EXPECT_EQ(0, memcmp(now, self->was[i], sizeof(now))) {	\
			TH_LOG("%s has changed", self->fns[i].name);	\
		}							\
	}								\
} while (0)

#define NOBODY	((struct fn){ .name = "" })

TEST_F(fault, none_is_no_change)
{
	unsigned int i;

	for (i = 0; i < self->nr; i++) {
		ASSERT_EQ(0, fault_add(self->fns[i])) {
			TH_LOG("%s", self->fns[i].name);
		}
	}
	expect_unchanged(NOBODY);
	for (i = 0; i < self->nr; i++)
		EXPECT_LT(PCI_CONFIG_SIZE / 4 - 1,
			  fault_get(self->fns[i], "reads"));
	for (i = 0; i < self->nr; i++)
		EXPECT_EQ(0, fault_remove(self->fns[i]));
	expect_unchanged(NOBODY);
}

TEST_F(fault, addresses)
{
	ASSERT_EQ(0, fault_add(self->nic));
	EXPECT_EQ(-EEXIST, fault_add(self->nic));
	EXPECT_EQ(-EINVAL, fault_add(self->port));
	EXPECT_EQ(-ENODEV, fault_remove(self->nvme));
	EXPECT_EQ(-EINVAL, write_string(FAULT_DIR "/add", "0000:01:00.0x"));
	EXPECT_EQ(-EINVAL, write_string(FAULT_DIR "/add", "0000:01:00.8"));
	EXPECT_EQ(-EINVAL, write_string(FAULT_DIR "/add", "0000:01:20.0"));
	EXPECT_EQ(-EINVAL, write_string(FAULT_DIR "/add", "0000:100:00.0"));
	EXPECT_EQ(-EINVAL, write_string(FAULT_DIR "/add", "01:00.0"));
	EXPECT_EQ(-EINVAL, write_string(FAULT_DIR "/add", "\n"));
	EXPECT_EQ(-ENODEV, write_string(FAULT_DIR "/add", "0000:01:00.1"));
	EXPECT_EQ(-ENODEV, write_string(FAULT_DIR "/add", "0001:01:00.0"));
	EXPECT_EQ(0, write_string(FAULT_DIR "/add", " 0000:01:00.0\n"));
	EXPECT_EQ(0, fault_remove(self->nic));
	EXPECT_EQ(-ENODEV, fault_remove(self->nic));
	EXPECT_EQ(0, fault_add(self->nic));
}

TEST_F(fault, settings)
{
	ASSERT_EQ(0, fault_add(self->nic));
	EXPECT_EQ(-ERANGE, fault_set(self->nic, "gone", 2));
	EXPECT_EQ(-ERANGE, fault_set(self->nic, "af", 0xfc));
	EXPECT_EQ(-EINVAL, fault_set(self->nic, "af", 0x3c));
	EXPECT_EQ(-EINVAL, fault_set(self->nic, "af", 0x42));
	EXPECT_EQ(-EINVAL, fault_set(self->nic, "heal", 2));
	EXPECT_EQ(0, fault_set(self->nic, "flr_away_ms", FAULT_FOR_EVER));
	EXPECT_EQ(FAULT_FOR_EVER, fault_get(self->nic, "flr_away_ms"));
	expect_unchanged(NOBODY);
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

/* Status tells of a list, even if the function has none */
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
	ASSERT_EQ(0, sysfs_write(nic, "reset", "1"));
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
	ASSERT_EQ(0, sysfs_write(nic, "reset", "1"));
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
	char path[256];

	if (!kernel_since(5, 15))
		SKIP(return, "a kernel that does not tell its reset methods");
	fn_path(nvme, "reset_method", path, sizeof(path));
	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "no_flr", 1));
	EXPECT_EQ(-EINVAL, write_string(path, "flr"));
	EXPECT_EQ(-ERANGE, fault_set(nvme, "no_flr", 2));
	ASSERT_EQ(0, fault_remove(nvme));
	EXPECT_EQ(0, write_string(path, "flr"));

	ASSERT_EQ(0, fault_add(nvme));
	ASSERT_EQ(0, fault_set(nvme, "no_bus_reset", 1));
	EXPECT_EQ(-EINVAL, write_string(path, "bus"));
	ASSERT_EQ(0, fault_unload());
	EXPECT_EQ(0, write_string(path, "bus"));
	EXPECT_EQ(0, write_string(path, "default"));
	expect_unchanged(NOBODY);
}

TEST_F(fault, counts)
{
	struct fn nic = self->nic;
	unsigned int i;

	ASSERT_EQ(0, fault_add(nic));
	for (i = 0; i < 3; i++)
		fn_write(nic, PCI_INTERRUPT_LINE, i, 1);
	fn_write(nic, PCI_CACHE_LINE_SIZE, 0, 4);
	/* Of an extended register, too */
	fn_write(nic, 0xffc, 0, 4);
	fn_read(nic, 0, 4);
	EXPECT_EQ(3, fault_writes(nic, PCI_INTERRUPT_LINE));
	EXPECT_EQ(1, fault_writes(nic, PCI_CACHE_LINE_SIZE));
	EXPECT_EQ(1, fault_writes(nic, 0xffc));
	EXPECT_EQ(0, fault_writes(nic, PCI_COMMAND));
	EXPECT_EQ(1, fault_get(nic, "reads"));
	ASSERT_EQ(0, fault_set(nic, "clear", 1));
	EXPECT_EQ(0, fault_writes(nic, PCI_INTERRUPT_LINE));
	EXPECT_EQ(0, fault_get(nic, "reads"));
}

/* Faults are kept by address: the port's new bus has them, too */
TEST_F(fault, bridge_removed_and_found)
{
	struct fn *card = self->card;

	if (!fn_has_file(card[0], "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");

	ASSERT_EQ(0, fault_add(card[0]));
	ASSERT_EQ(0, fault_add(card[1]));
	ASSERT_EQ(0, fault_set(card[0], "devcap_flr", 1));
	EXPECT_FALSE(has_method(card[0], "flr"));
	ASSERT_EQ(0, sysfs_write(self->port, "remove", "1"));
	EXPECT_FALSE(fn_exists(card[0]));
	ASSERT_EQ(0, fault_remove(card[1]));
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	ASSERT_TRUE(fn_exists(card[0]));
	EXPECT_TRUE(has_method(card[0], "flr"));
	ASSERT_EQ(0, fault_set(card[0], "sbr_away_ms", FAULT_FOR_EVER));
	sbr(self->port);
	EXPECT_TRUE(away(card[0]));
	EXPECT_FALSE(away(card[1]));
}

/* Whatever goes first, the functions are real again and the bus works */
TEST_F(fault, any_order)
{
	struct fn nic = self->nic, slot = fn_root(0x12);

	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "gone", 1));
	ASSERT_EQ(0, fault_unload());
	expect_unchanged(NOBODY);

	/* The function, the module */
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, sysfs_write(nic, "remove", "1"));
	ASSERT_EQ(0, fault_unload());
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(fn_exists(nic));

	/* The bus, the module */
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, sysfs_write(slot, "remove", "1"));
	ASSERT_EQ(0, fault_unload());
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(fn_exists(nic));

	/* The bus, and again as somebody else's child; the module */
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, sysfs_write(slot, "remove", "1"));
	ASSERT_EQ(0, sysfs_write(self->port, "remove", "1"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	ASSERT_EQ(0, fault_unload());
	ASSERT_EQ(0, sysfs_write(slot, "remove", "1"));
	ASSERT_EQ(0, sysfs_write(self->port, "remove", "1"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(fn_exists(nic));
	EXPECT_TRUE(fn_exists(self->card[2]));
	EXPECT_EQ(0, memcmp(self->was[2], &(uint32_t){ id(nic) }, 4));
}

/* A bus found while the module is there, and nothing on it yet */
TEST_F(fault, empty_bus)
{
	ASSERT_EQ(0, fault_add(self->nic));
	ASSERT_EQ(0, fault_set(self->nic, "gone", 1));
	ASSERT_EQ(0, sysfs_write(fn_root(0x12), "remove", "1"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(fn_exists(fn_root(0x12)));
	EXPECT_FALSE(fn_exists(self->nic));
	ASSERT_EQ(0, fault_unload());
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(fn_exists(self->nic));
}

static void keep_reading(const struct fn *fns, unsigned int nr)
{
	unsigned int i;

	for (;;) {
		for (i = 0; i < nr; i++)
			id(fns[i]);
		/* Without pci_lock: the kernel's own accesses */
		write_string("/sys/bus/pci/rescan", "1");
	}
}

TEST_F_TIMEOUT(fault, loaded_and_unloaded_under_load, 120)
{
	unsigned int i, f;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		keep_reading(self->fns, self->nr);

	for (i = 0; i < 10; i++) {
		EXPECT_EQ(0, fault_load());
		for (f = 0; f < self->nr; f++)
			EXPECT_EQ(0, fault_add(self->fns[f]));
		for (f = 0; f < self->nr; f += 2)
			EXPECT_EQ(0, fault_remove(self->fns[f]));
		EXPECT_EQ(0, fault_unload());
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	expect_unchanged(NOBODY);
}

/* What /dev/aer_inject takes (drivers/pci/pcie/aer_inject.c) */
struct aer_error {
	uint8_t bus, dev, func;
	uint32_t uncorrectable, correctable, header_log[4], domain;
};

/* Another overlay: never under ours, and ours never goes from under it */
TEST_F(fault, with_aer_inject)
{
	struct fn nic = self->nic;
	struct aer_error error = {
		.bus = nic.bus, .dev = nic.dev, .func = nic.func,
		.correctable = PCI_ERR_COR_BAD_TLP,
	};
	unsigned int i;
	int status;
	pid_t pid;

	ASSERT_EQ(0, load_module("aer_inject"));
	ASSERT_EQ(0, write_file("/dev/aer_inject", &error, sizeof(error)));
	EXPECT_EQ(-EBUSY, fault_add(nic));
	ASSERT_EQ(0, unload_module("aer_inject"));

	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "af", 1));
	ASSERT_EQ(0, load_module("aer_inject"));
	ASSERT_EQ(0, write_file("/dev/aer_inject", &error, sizeof(error)));
	EXPECT_NE(0, fn_cap(nic, PCI_CAP_ID_AF));

	/* It waits */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(fault_unload() ? 1 : 0);
	for (i = 0; i < 10; i++) {
		usleep(100000);
		EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	}
	EXPECT_EQ(0, unload_module("aer_inject"));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, fn_cap(nic, PCI_CAP_ID_AF));
}

TEST_HARNESS_MAIN
