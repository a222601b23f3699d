// SPDX-License-Identifier: GPL-2.0
/*
 * The programs that people work with beside a toolstack: Debian's driverctl, which binds
 * functions, now and at each boot; lspci and setpci; and what systemd does when the machine
 * sleeps, which is to run its system-sleep scripts and to write to /sys/power/state.
 *
 * There is no systemd here. What its unit for driverctl runs at boot is run from the unit.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"

#define PCIBACK_KO	"/lib/modules/xen-pciback.ko"
#define OVERRIDES	"/etc/driverctl.d"
#define UNIT		"/lib/systemd/system/driverctl@.service"
/* depmod would find the alias, but this driver is in no folder where it looks */
#define DEPMOD		"/etc/modprobe.d/driverctl.conf"
#define PM_TEST		"/sys/power/pm_test"
#define PM_TEST_DELAY	"/sys/module/suspend/parameters/pm_test_delay"
#define SLEEP_SCRIPT	"/tmp/system-sleep"

FIXTURE(driverctl)
{
	struct owned owned;
	struct card card;
	struct fn nvme;			/* FLR */
	struct fn nic_port, nic;	/* PM, slot */
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(driverctl)
{
	memset(self, 0, sizeof(*self));
	self->card = card_find();
	self->nvme = fn_below(fn_root(0x10), 0, 0);
	self->nic_port = fn_root(0x12);
	self->nic = fn_below(self->nic_port, 0, 0);
	ASSERT_EQ(0, system("modinfo -F alias " PCIBACK_KO " | grep -qx pciback"));
	ASSERT_EQ(0, system("mkdir -p /etc/modprobe.d"));
	ASSERT_EQ(0, system("echo alias pciback xen_pciback >" DEPMOD));
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(driverctl)
{
	EXPECT_EQ(0, system("rm -rf " OVERRIDES " " DEPMOD));
	EXPECT_EQ(0, owned_release(&self->owned));
	EXPECT_EQ(0, fn_release(self->nvme));
	if (!access("/sys/module/nvme", F_OK))
		EXPECT_EQ(0, unload_module("nvme"));
	expect_not_logged("cut here");
	klog_end(self->klog);
}

__printf(1, 2)
static int run(const char *fmt, ...)
{
	char command[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return system(command) ? -EIO : 0;
}

static int set_override(struct fn fn)
{
	return run("driverctl set-override %s pciback", fn.name);
}

static int unset_override(struct fn fn)
{
	return run("driverctl unset-override %s", fn.name);
}

/* What systemd runs for each file in OVERRIDES; %I is its name, with "/" for "-" */
static int boot_override(struct fn fn)
{
	return run("$(sed -n 's,^ExecStart=,,p' " UNIT " | sed 's,%%I,pci/%s,')", fn.name);
}

static int probe(struct fn fn)
{
	return write_string("/sys/bus/pci/drivers_probe", fn.name);
}

/* A request does what it does for a function that xl has bound */
#define expect_reset_by_flr(target) do {					\
	struct fn asked = target;					\
									\
	watched(0, do_flr(asked));					\
	EXPECT_EQ(1, hw_flrs(&self->hw, asked));			\
	EXPECT_EQ(1, hw_all_resets(&self->hw));				\
	EXPECT_EQ(0, fn_needs_reset(asked));				\
} while (0)

TEST_F(driverctl, bound_now_and_at_boot)
{
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, probe(self->nvme));
	expect_driver(self->nvme, "nvme");

	EXPECT_EQ(0, set_override(self->nvme));
	expect_driver(self->nvme, "pciback");
	EXPECT_EQ(0, run("driverctl list-overrides | grep -qx '%s pciback'",
			 self->nvme.name));
	expect_reset_by_flr(self->nvme);

	/* As it is after a boot */
	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, fn_write_file(self->nvme, "driver_override", "\n"));
	ASSERT_EQ(0, load_pciback(""));
	ASSERT_EQ(0, probe(self->nvme));
	expect_driver(self->nvme, "nvme");
	EXPECT_EQ(0, boot_override(self->nvme));
	expect_driver(self->nvme, "pciback");
	EXPECT_STREQ("flr", fn_plan(self->nvme));
	expect_reset_by_flr(self->nvme);

	/* Each function of a card is to be named */
	EXPECT_EQ(0, set_override(self->card.first));
	EXPECT_EQ(0, set_override(self->card.second));
	EXPECT_NE(0, reset_device(self->card.first));
	EXPECT_EQ(0, set_override(self->card.third));
	watched(0, do_flr(self->card.first));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, fn_needs_reset(self->card.third));
	ASSERT_EQ(0, card_release(&self->card));
}

/* The function's own driver has it again, if it was registered before pciback */
TEST_F(driverctl, unbound)
{
	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, load_pciback(""));
	ASSERT_EQ(0, set_override(self->nvme));
	expect_reset_by_flr(self->nvme);
	EXPECT_EQ(0, unset_override(self->nvme));
	expect_driver(self->nvme, "nvme");
	EXPECT_EQ(0, run("head -c 4096 /dev/nvme*n1 >/dev/null"));
	EXPECT_NE(0, boot_override(self->nvme));
}

/* Otherwise pciback takes it again, until it is told not to */
TEST_F(driverctl, unbound_with_pciback_first)
{
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, set_override(self->nvme));
	EXPECT_EQ(0, unset_override(self->nvme));
	expect_driver(self->nvme, "pciback");
	EXPECT_EQ(0, write_string(PCIBACK_DIR "/remove_slot", self->nvme.name));
	EXPECT_EQ(0, unset_override(self->nvme));
	expect_driver(self->nvme, "nvme");

	ASSERT_EQ(0, set_override(self->nvme));
	EXPECT_EQ(0, run("pciback-reset release %s", self->nvme.name));
	expect_driver(self->nvme, "nvme");
}

/* -- lspci and setpci --------------------------------------------------------- */

/* Nobody is woken or changed by being looked at */
TEST_F(driverctl, lspci)
{
	adopt(self->nvme, self->nic);
	hw_begin(&self->hw);
	EXPECT_EQ(0, run("lspci -vvv -xxxx -s %s >/dev/null", self->nvme.name));
	EXPECT_EQ(0, run("lspci -vvv -xxxx -s %s >/dev/null", self->nic.name));
	EXPECT_EQ(0, run("lspci -nnk -s %s | grep -q 'driver in use: pciback'",
			 self->nvme.name));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nic));
	expect_restored();
	EXPECT_EQ(0, fn_needs_reset(self->nvme));
}

/* What setpci has changed, or a bus reset that it has done, is undone by the next request */
TEST_F(driverctl, setpci)
{
	adopt(self->nvme, self->nic);
	EXPECT_EQ(0, run("setpci -s %s COMMAND=0 BASE_ADDRESS_0=0 INTERRUPT_LINE=5a",
			 self->nvme.name));
	EXPECT_NE(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
	expect_reset_by_flr(self->nvme);
	expect_restored();

	EXPECT_EQ(0, run("setpci -s %s BRIDGE_CONTROL=40:40", self->nic_port.name));
	usleep(10000);
	EXPECT_EQ(0, run("setpci -s %s BRIDGE_CONTROL=0:40", self->nic_port.name));
	usleep(200000);
	EXPECT_NE(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
	watched(0, do_flr(self->nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	expect_restored();
}

/* -- systemd's sleep ---------------------------------------------------------- */

/* "systemctl suspend", but no deeper than pm_test says; @script may be NULL */
static int go_to_sleep(const char *script)
{
	int ret = write_string(PM_TEST, "core") ?: write_string(PM_TEST_DELAY, "1");

	if (!ret && script)
		ret = run("%s pre suspend", script);
	if (!ret)
		ret = write_string("/sys/power/state", "mem");
	if (!ret && script)
		ret = run("%s post suspend", script);
	return ret ?: write_string(PM_TEST, "none") ?: write_string(PM_TEST_DELAY, "5");
}

/* Why this kernel cannot be tried asleep, or NULL; see suspend.c */
static const char *sleepless(void)
{
	if (access(PM_TEST, W_OK))
		return "no " PM_TEST " (CONFIG_PM_SLEEP_DEBUG)";
	return kernel_since(7, 3) ? "this kernel wakes up without /dev/monitor" : NULL;
}

/* What driverctl has bound is the same after a sleep */
TEST_F(driverctl, slept)
{
	if (sleepless())
		SKIP(return, "%s", sleepless());
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, set_override(self->nvme));
	seize(self->nvme);
	expect_reset_by_flr(self->nvme);
	ASSERT_EQ(0, go_to_sleep(NULL));
	expect_driver(self->nvme, "pciback");
	expect_restored();
	EXPECT_EQ(0, run("lspci -vvv -s %s >/dev/null", self->nvme.name));
	expect_reset_by_flr(self->nvme);
	expect_restored();
	EXPECT_EQ(0, unset_override(self->nvme));
}

/* A script gives the disk to dom0 for that time, so that its driver puts it to sleep */
TEST_F(driverctl, given_back_to_sleep)
{
	FILE *f;

	if (sleepless())
		SKIP(return, "%s", sleepless());
	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, load_pciback(""));
	ASSERT_EQ(0, set_override(self->nvme));
	f = fopen(SLEEP_SCRIPT, "w");
	ASSERT_NE(NULL, f);
	fprintf(f, "#!/bin/sh\n"
		   "case $1 in\n"
		   "pre) driverctl --nosave unset-override %s ;;\n"
		   "post) driverctl load-override %s ;;\n"
		   "esac\n", self->nvme.name, self->nvme.name);
	ASSERT_EQ(0, fclose(f));
	ASSERT_EQ(0, run("chmod 755 " SLEEP_SCRIPT));
	ASSERT_EQ(0, go_to_sleep(SLEEP_SCRIPT));
	unlink(SLEEP_SCRIPT);
	expect_driver(self->nvme, "pciback");
	expect_reset_by_flr(self->nvme);
	EXPECT_EQ(0, unset_override(self->nvme));
	expect_driver(self->nvme, "nvme");
}

TEST_HARNESS_MAIN
