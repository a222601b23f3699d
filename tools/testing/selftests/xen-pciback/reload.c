// SPDX-License-Identifier: GPL-2.0
/*
 * The module goes with functions owned, and comes back, many times: nothing of
 * it stays behind, and no function is held for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "lib/hw.h"
#include "lib/pci.h"

#define ROUNDS		20
#define TRACING		"/sys/kernel/tracing"

static int load_pciback(void)
{
	return system("insmod /lib/modules/xen-pciback.ko") ? -EIO : 0;
}

/* How often the kernel ran pci_release_dev(), a function's last breath */
static unsigned int releases(void)
{
	char line[512];
	unsigned int count = 0;
	FILE *f;

	f = fopen(TRACING "/trace", "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		count += !!strstr(line, "selftest_release:");
	fclose(f);
	return count;
}

static int watch_releases(void)
{
	int ret;

	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		return -errno;
	ret = write_string(TRACING "/kprobe_events",
			   "p:selftest_release pci_release_dev\n");
	if (ret)
		return ret;
	ret = write_string(TRACING "/trace", "\n");
	if (ret)
		return ret;
	return write_string(TRACING "/events/kprobes/selftest_release/enable",
			    "1");
}

static void unwatch_releases(void)
{
	write_string(TRACING "/events/kprobes/selftest_release/enable", "0");
	write_string(TRACING "/kprobe_events", "-:selftest_release\n");
}

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

TEST(rmmod_and_insmod)
{
	struct fn port = fn_root(0x13), rescan_port;
	struct fn fns[] = {
		fn_below(port, 0, 0), fn_below(port, 0, 1), fn_below(port, 0, 2),
		fn_below(fn_root(0x10), 0, 0),
	};
	char path[256], driver[32], count[16];
	struct hw hw;
	unsigned int i, f;

	for (i = 0; i < ROUNDS; i++) {
		for (f = 0; f < ARRAY_SIZE(fns); f++)
			ASSERT_EQ(0, fn_adopt(fns[f]));
		fn_quiesce(fns[0]);
		/* Used, so that there is something to be left behind */
		hw_begin(&hw);
		ASSERT_EQ(0, reset_device(fns[i % 3]));
		ASSERT_EQ(0, reset_device(fns[3]));
		hw_end(&hw);
		EXPECT_EQ(1, hw_sbrs(&hw, port));
		EXPECT_EQ(1, hw_flrs(&hw, fns[3]));

		EXPECT_STREQ("0", module_users(count, sizeof(count)));
		ASSERT_EQ(0, unload_module("xen_pciback"));
		for (f = 0; f < ARRAY_SIZE(fns); f++) {
			fn_driver(fns[f], driver, sizeof(driver));
			EXPECT_STREQ("", driver);
		}
		EXPECT_NE(0, access(PCIBACK_DIR, F_OK));
		ASSERT_EQ(0, load_pciback());
		EXPECT_EQ(0, access(RESET_DEVICE, F_OK));
	}

	/* A reference too many would keep one of them from being freed */
	ASSERT_EQ(0, watch_releases());
	for (f = 0; f < ARRAY_SIZE(fns); f++) {
		fn_path(fns[f], "remove", path, sizeof(path));
		EXPECT_EQ(0, write_string(path, "1"));
	}
	EXPECT_EQ(ARRAY_SIZE(fns), releases());
	unwatch_releases();

	for (f = 0; f < ARRAY_SIZE(fns); f++) {
		rescan_port = fn_root(f < 3 ? 0x13 : 0x10);
		fn_path(rescan_port, "rescan", path, sizeof(path));
		EXPECT_EQ(0, write_string(path, "1"));
		EXPECT_TRUE(fn_exists(fns[f]));
		/* By its address it was pciback's again at once */
		EXPECT_EQ(0, fn_release(fns[f]));
	}
}

TEST_HARNESS_MAIN
