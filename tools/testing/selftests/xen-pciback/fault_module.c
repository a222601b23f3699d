// SPDX-License-Identifier: GPL-2.0
/*
 * The module that injects faults into functions (test_modules/pciback_fault.c): which
 * input its files accept, and that nothing of it is left, whatever is removed first: the
 * function, the bus, the module or another function's overlay. faults.c tests the faults
 * themselves.
 */
#include <signal.h>
#include <sys/wait.h>

#include "faults.h"

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
	ASSERT_EQ(0, fn_write_file(self->port, "remove", "1"));
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

/* The function, or all of its bus, the module */
#define unload_after_removal(removed) do {				\
	inject(self->nic);						\
	ASSERT_EQ(0, fn_write_file(removed, "remove", "1"));		\
	ASSERT_EQ(0, fault_unload());					\
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));		\
	EXPECT_TRUE(fn_exists(self->nic));				\
} while (0)

/* Whatever goes first, the functions are real again and the bus works */
TEST_F(fault, any_order)
{
	struct fn nic = self->nic, slot = fn_root(0x12);

	ASSERT_EQ(0, fault_add(nic));
	ASSERT_EQ(0, fault_set(nic, "gone", 1));
	ASSERT_EQ(0, fault_unload());
	expect_unchanged(NOBODY);

	unload_after_removal(nic);
	unload_after_removal(slot);

	/* The bus, and again as somebody else's child; the module */
	inject(nic);
	ASSERT_EQ(0, fn_write_file(slot, "remove", "1"));
	ASSERT_EQ(0, fn_write_file(self->port, "remove", "1"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	ASSERT_EQ(0, fault_unload());
	ASSERT_EQ(0, fn_write_file(slot, "remove", "1"));
	ASSERT_EQ(0, fn_write_file(self->port, "remove", "1"));
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
	ASSERT_EQ(0, fn_write_file(fn_root(0x12), "remove", "1"));
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
