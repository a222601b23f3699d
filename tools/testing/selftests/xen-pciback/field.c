// SPDX-License-Identifier: GPL-2.0
/*
 * What people's machines have beside what all tests use ("machine.sh field"): a card
 * behind its own switch, a second root bus, and so many VFs that their addresses need ARI.
 * Each function is adopted as libvirt and driverctl do it, reset, and given back to its
 * driver.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"

#define NR_VFS		64
#define OTHER_ROOT	0x80

FIXTURE(field)
{
	struct owned owned;
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(field)
{
	memset(self, 0, sizeof(*self));
	ASSERT_TRUE(fn_exists(fn_make(0, OTHER_ROOT, 1, 0))) {
		TH_LOG("not the machine for this: vm.sh -f");
	}
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(field)
{
	EXPECT_EQ(0, owned_release(&self->owned));
	expect_not_logged("cut here");
	klog_end(self->klog);
}

#define probe(fn)							\
	ASSERT_EQ(0, write_string("/sys/bus/pci/drivers_probe", (fn).name))

/* One reset of so many functions by @port, and nothing else anywhere */
#define expect_reset_by(port, nr) do {					\
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));				\
	EXPECT_EQ(nr, hw_all_resets(&self->hw));			\
	expect_restored();						\
} while (0)

/* A card with two functions, alone behind its port of the switch: nobody else is reset */
TEST_F(field, card_behind_its_switch)
{
	struct fn up = fn_below(fn_root(0x1c), 0, 0), down = fn_below(up, 0, 0);
	struct fn first = fn_below(down, 0, 0), second = fn_below(down, 0, 1);
	struct fn neighbour = fn_below(fn_below(up, 1, 0), 0, 0);

	ASSERT_EQ(0, load_module("e1000e"));
	probe(first);
	probe(neighbour);
	expect_driver(neighbour, "e1000e");

	seize(first, second);
	EXPECT_STREQ("slot", fn_plan(first));
	fn_scribble(first);
	fn_scribble(second);
	watched(0, reset_device(second));
	expect_reset_by(down, 2);
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x1c)));
	EXPECT_EQ(0, hw_all_writes(&self->hw, neighbour));
	EXPECT_EQ(0, hw_all_writes(&self->hw, up));
	expect_driver(neighbour, "e1000e");

	ASSERT_EQ(0, owned_release(&self->owned));
	probe(first);
	expect_driver(first, "e1000e");
	ASSERT_EQ(0, unload_module("e1000e"));
}

/* Its own bus number, and its own port: not that of the first root bus with that number */
TEST_F(field, second_root_bus)
{
	struct fn port = fn_make(0, OTHER_ROOT, 1, 0), nic = fn_below(port, 0, 0);

	ASSERT_EQ(0, load_module("e1000e"));
	probe(nic);
	expect_driver(nic, "e1000e");

	adopt(nic);
	EXPECT_STREQ("slot", fn_plan(nic));
	fn_scribble(nic);
	watched(0, do_flr(nic));
	expect_reset_by(port, 1);
	EXPECT_STREQ("slot: ok", fn_last_reset(nic));

	ASSERT_EQ(0, owned_release(&self->owned));
	probe(nic);
	expect_driver(nic, "e1000e");
	ASSERT_EQ(0, unload_module("e1000e"));
}

/* Their numbers go beyond those of one device. Each is reset alone, by its FLR. */
TEST_F_TIMEOUT(field, many_vfs, 300)
{
	struct fn port = fn_root(0x1e), pf = fn_below(port, 0, 0), vf[NR_VFS];
	unsigned int i;

	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, fn_bind(pf, "nvme"));
	ASSERT_EQ(0, fn_write_file(pf, "sriov_drivers_autoprobe", "0"));
	ASSERT_EQ(0, fn_write_file(pf, "sriov_numvfs", "64"));
	for (i = 0; i < NR_VFS; i++) {
		vf[i] = fn_below(port, (i + 1) / 8, (i + 1) % 8);
		ASSERT_TRUE(fn_exists(vf[i])) {
			TH_LOG("%s", vf[i].name);
		}
		ASSERT_EQ(0, fn_adopt(vf[i]));
		EXPECT_STREQ("flr", fn_plan(vf[i]));
	}
	for (i = 0; i < NR_VFS; i++) {
		watched(0, reset_device(vf[i]));
		EXPECT_EQ(1, hw_flrs(&self->hw, vf[i]));
		EXPECT_EQ(0, hw_flrs(&self->hw, pf));
		EXPECT_EQ(0, hw_sbrs(&self->hw, port));
		EXPECT_EQ(1, hw_all_resets(&self->hw));
		EXPECT_EQ(0, fn_needs_reset(vf[i]));
	}
	for (i = 0; i < NR_VFS; i++)
		EXPECT_EQ(0, fn_release(vf[i]));
	ASSERT_EQ(0, fn_write_file(pf, "sriov_numvfs", "0"));
	EXPECT_EQ(0, fn_release(pf));
	ASSERT_EQ(0, unload_module("nvme"));
}

TEST_HARNESS_MAIN
