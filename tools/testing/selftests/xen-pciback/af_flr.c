// SPDX-License-Identifier: GPL-2.0
/*
 * The FLR of conventional PCI, by the Advanced Features capability: it is used if the
 * capability is complete, and the next method is used if it fails.
 *
 * No device of QEMU has that capability: test_modules/pciback_fault.c emulates it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hold.h"
#include "lib/hw.h"
#include "lib/pci.h"

/* The core gives a function a minute to come back */
#define CORE_WAIT	200

FIXTURE(af)
{
	struct fn bridge, fn, other;
	struct hw hw;
};

FIXTURE_SETUP(af)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->bridge = fn_below(fn_root(0x14), 0, 0);
	self->fn = fn_below(self->bridge, 1, 0);
	self->other = fn_below(self->bridge, 2, 0);
	inject(self->fn);
}

FIXTURE_TEARDOWN(af)
{
	EXPECT_EQ(0, fn_release(self->fn));
	EXPECT_EQ(0, fn_release(self->other));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fault_rediscover(self->fn));
}

/* It has the capability from here on; what it is good for is in the file af_cap */
#define give_af() do {							\
	ASSERT_EQ(0, fault_set(self->fn, "af", 1));			\
	ASSERT_EQ(0, fault_rediscover(self->fn));			\
} while (0)

/* FLR of conventional PCI, and no need of the other function on the bus */
TEST_F(af, flr)
{
	give_af();
	bind_clean(self->fn);
	EXPECT_STREQ("af_flr", fn_plan(self->fn));

	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(self->fn, "af_flrs"));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->bridge));
	EXPECT_STREQ("af_flr: ok", fn_last_reset(self->fn));
}

TEST_F(af, flr_does_nothing)
{
	give_af();
	bind_clean(self->fn);
	ASSERT_EQ(0, fn_adopt(self->other));
	EXPECT_EQ(1, fn_needs_reset(self->other));

	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "flr_swallow", 1));
	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, fault_get(self->fn, "af_flrs"));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->bridge));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->other));
	EXPECT_STREQ("af_flr: no effect; bus: ok", fn_last_reset(self->fn));
}

/*
 * Away for longer than the core waits, and back when it goes on to the next method, PM:
 * that resets less, and does not pass for what was asked of the core.
 */
TEST_F_TIMEOUT(af, not_by_pm, CORE_WAIT)
{
	char path[PATH_MAX];
	unsigned int tries;
	pid_t pid;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	self->bridge = fn_root(0x12);
	self->fn = fn_below(self->bridge, 0, 0);
	fn_path(self->fn, "reset_method", path, sizeof(path));
	if (access(path, F_OK))
		SKIP(return, "this kernel has no reset_method");
	ASSERT_EQ(0, fault_add(self->fn));
	give_af();
	bind_clean(self->fn);
	ASSERT_EQ(0, write_string(path, "af_flr pm"));
	ASSERT_EQ(0, hold_load());
	ASSERT_EQ(0, hold_at_entry("pci_pm_reset"));

	hw_begin(&self->hw);
	pid = fault_begin_reset(self->fn, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	for (tries = 0; tries < 5 && !hold_wait(); tries++)
		;
	EXPECT_GT(5, tries);
	EXPECT_EQ(0, fault_set(self->fn, "heal", 1));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(pid));
	hw_end(&self->hw);
	EXPECT_EQ(0, hold_unload());

	EXPECT_EQ(1, hw_d3s(&self->hw, self->fn));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->bridge));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_STREQ("af_flr: no answer; slot: ok", fn_last_reset(self->fn));
}

/* And if somebody is in the way of anything stronger, that is the answer */
TEST_F(af, nothing_stronger)
{
	char what[96];

	give_af();
	bind_clean(self->fn);

	ASSERT_EQ(0, fault_set(self->fn, "flr_swallow", 1));
	hw_begin(&self->hw);
	EXPECT_EQ(-EIO, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->bridge));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(1, fn_needs_reset(self->fn));
	snprintf(what, sizeof(what),
		 "af_flr: no effect; bus: blocked by %s (no driver)",
		 self->other.name);
	EXPECT_STREQ(what, fn_last_reset(self->fn));
}

/* Without Transactions Pending, or without FLR, the capability is of no use */
TEST_F(af, incomplete)
{
	char blocked[64];

	snprintf(blocked, sizeof(blocked), "blocked %s (no driver)",
		 self->other.name);
	ASSERT_EQ(0, fault_set(self->fn, "af", 1));
	ASSERT_EQ(0, fault_set(self->fn, "af_cap", 2));
	ASSERT_EQ(0, fault_rediscover(self->fn));
	ASSERT_EQ(0, fn_adopt(self->fn));
	EXPECT_STREQ(blocked, fn_plan(self->fn));
	EXPECT_EQ(-EBUSY, reset_device(self->fn));
	EXPECT_EQ(0, fault_get(self->fn, "af_flrs"));
	ASSERT_EQ(0, fn_release(self->fn));

	ASSERT_EQ(0, fault_set(self->fn, "af_cap", 1));
	ASSERT_EQ(0, fault_rediscover(self->fn));
	ASSERT_EQ(0, fn_adopt(self->fn));
	EXPECT_STREQ(blocked, fn_plan(self->fn));
	EXPECT_EQ(0, fault_get(self->fn, "af_flrs"));
}

TEST_HARNESS_MAIN
