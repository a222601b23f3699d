// SPDX-License-Identifier: GPL-2.0
/*
 * The module is unloaded with functions owned, and loaded again, many times: nothing of it
 * is left, and no function is held for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fault.h"
#include "lib/harness.h"
#include "lib/hold.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"
#include "lib/release.h"

#define ROUNDS		20

static const char *module_users(char *buf, size_t size)
{
	FILE *f = fopen("/sys/module/xen_pciback/refcnt", "r");

	if (!f || !fgets(buf, size, f))
		snprintf(buf, size, "?");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

FIXTURE(reload)
{
	struct fn port;
	struct fn fns[4];
};

FIXTURE_SETUP(reload)
{
	self->port = fn_root(0x13);
	self->fns[0] = fn_below(self->port, 0, 0);
	self->fns[1] = fn_below(self->port, 0, 1);
	self->fns[2] = fn_below(self->port, 0, 2);
	self->fns[3] = fn_below(fn_root(0x10), 0, 0);
}

FIXTURE_TEARDOWN(reload)
{
	EXPECT_EQ(0, hold_unload());
	EXPECT_EQ(0, fault_unload());
}

TEST_F_TIMEOUT(reload, rmmod_and_insmod, 300)
{
	char driver[32], count[16];
	struct hw hw;
	unsigned int i, f;

	for (i = 0; i < ROUNDS; i++) {
		for (f = 0; f < ARRAY_SIZE(self->fns); f++)
			ASSERT_EQ(0, fn_adopt(self->fns[f]));
		/* Used, so that there is something to be left behind */
		hw_begin(&hw);
		ASSERT_EQ(0, reset_device(self->fns[i % 3]));
		ASSERT_EQ(0, reset_device(self->fns[3]));
		hw_end(&hw);
		EXPECT_EQ(1, hw_sbrs(&hw, self->port));
		EXPECT_EQ(1, hw_flrs(&hw, self->fns[3]));

		EXPECT_STREQ("0", module_users(count, sizeof(count)));
		ASSERT_EQ(0, unload_module("xen_pciback"));
		for (f = 0; f < ARRAY_SIZE(self->fns); f++) {
			fn_driver(self->fns[f], driver, sizeof(driver));
			EXPECT_STREQ("", driver);
		}
		EXPECT_NE(0, access(PCIBACK_DIR, F_OK));
		ASSERT_EQ(0, load_pciback(""));
		EXPECT_EQ(0, access(RESET_DEVICE, F_OK));
	}

	/* By their driver_override they were pciback's again at once */
	for (f = 0; f < ARRAY_SIZE(self->fns); f++)
		EXPECT_EQ(0, fn_release(self->fns[f]));

	/* A reference too many would keep one of them from being freed */
	EXPECT_EQ(3, release_count(self->port, self->fns, 3));
	EXPECT_EQ(1, release_count(fn_root(0x10), &self->fns[3], 1));
	for (f = 0; f < ARRAY_SIZE(self->fns); f++)
		EXPECT_TRUE(fn_exists(self->fns[f]));
}

/*
 * Seized before the driver is ready ("hide="), and unbound while it gets ready: by
 * then pciback has it, or has not had it at all.
 */
TEST_F(reload, unbind_while_loading)
{
	struct fn nvme = self->fns[3];
	pid_t loading, unbinding;
	char hide[64], driver[32];

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, hold_load());

	ASSERT_EQ(0, hold_at_entry("pci_store_saved_state"));
	snprintf(hide, sizeof(hide), "'hide=(%s)'", nvme.name);
	loading = in_child(load_pciback(hide));
	EXPECT_TRUE(hold_wait());
	fn_driver(nvme, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);
	unbinding = in_child(fn_unbind(nvme));
	EXPECT_TRUE(hold_waits_in(unbinding, "unbind_store"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(loading));
	EXPECT_EQ(0, wait_for_child(unbinding));

	/* And nothing of it is left */
	EXPECT_STREQ("", fn_plan(nvme));
	EXPECT_EQ(-ENODEV, reset_device(nvme));
	EXPECT_EQ(0, fn_release(nvme));
	EXPECT_EQ(1, release_count(fn_root(0x10), &nvme, 1));
}

/* Silent when its turn comes: it is not pciback's, and who waits for it is told */
TEST_F(reload, silent_while_loading)
{
	struct fn idle = self->fns[0], silent = self->fns[1];
	char hide[64], driver[32];

	ASSERT_EQ(0, unload_module("xen_pciback"));
	inject(silent);
	ASSERT_EQ(0, fault_set(silent, "gone", 1));
	snprintf(hide, sizeof(hide), "'hide=(%s)(%s)'", idle.name, silent.name);
	ASSERT_EQ(0, load_pciback(hide));

	fn_driver(silent, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);
	EXPECT_EQ(1, fn_needs_reset(silent));
	EXPECT_EQ(-ENODEV, reset_device(silent));
	fn_driver(idle, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);
	EXPECT_EQ(-EBUSY, reset_device(idle));

	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(idle));
	EXPECT_EQ(0, fn_release(silent));
	EXPECT_EQ(3, release_count(self->port, self->fns, 3));
}

/* A slip in one entry of hide= is reported; the functions in the others are hidden */
TEST_F(reload, hide_with_slips)
{
	struct fn first = self->fns[0], last = self->fns[3];
	char hide[96], driver[32];
	int klog;

	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, fn_release(first));
	ASSERT_EQ(0, fn_release(last));
	klog = klog_begin();
	snprintf(hide, sizeof(hide), "'hide=\"(%s)(0000:01 (0000:01:20.0)(%s) x\"'", first.name,
		 last.name);
	ASSERT_EQ(0, load_pciback(hide));

	EXPECT_EQ(3, klog_count(klog, "Error parsing pci_devs_to_hide at", NULL));
	EXPECT_TRUE(klog_has(klog, "at \"(0000:01 \": not hidden", NULL, NULL, 0));
	EXPECT_TRUE(klog_has(klog, "at \"(0000:01:20.0)\": not hidden", NULL, NULL, 0));
	EXPECT_TRUE(klog_has(klog, "at \"x\": not hidden", NULL, NULL, 0));
	klog_end(klog);
	fn_driver(first, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);
	fn_driver(last, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);

	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, load_pciback(""));
}

/* What a toolstack for PVH asks; a PV dom0 has no answer, but looks for it */
TEST_F(reload, gsi_asked_for)
{
	struct fn nvme = self->fns[3];
	int ret;

	ASSERT_EQ(0, load_module("xen-privcmd"));
	ret = fn_ask_gsi(nvme);
	if (ret == -ENOTTY)
		SKIP(return, "a kernel that cannot be asked");
	EXPECT_EQ(-ENODEV, ret);
	ASSERT_EQ(0, fn_adopt(nvme));
	EXPECT_EQ(1, release_record_refs(nvme));
	EXPECT_NE(-ENODEV, fn_ask_gsi(nvme));

	/* An unbind would never come to an end, nor would the power-off */
	ASSERT_EQ(1, release_record_refs(nvme));
	EXPECT_EQ(0, fn_release(nvme));
	EXPECT_EQ(1, release_count(fn_root(0x10), &nvme, 1));
}

TEST_HARNESS_MAIN
