// SPDX-License-Identifier: GPL-2.0
/*
 * The machine is suspended, to each level of pm_test and to RAM, with functions that
 * pciback owns. Afterwards they need a reset only if they needed one before. A reset that is
 * due is done after the resume, and not before.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/hold.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"
#include "lib/slot.h"

#define PM_TEST		"/sys/power/pm_test"
#define PM_TEST_DELAY	"/sys/module/suspend/parameters/pm_test_delay"
#define PM_STATE	"/sys/power/state"
#define PM_DEPTH	"/sys/power/mem_sleep"
#define WAKE_ALARM	"/sys/class/rtc/rtc0/wakealarm"
/* An alarm before the machine is asleep wakes nobody, ever */
#define WAKE_S		(10 * SLOWER)
#define PREEMPT		"/sys/kernel/debug/sched/preempt"

/* The kernel's waits are busy ones, and longer in a VM that has to wait itself */
#define TIMEOUT		300

FIXTURE(suspend)
{
	struct fn port, fn;		/* nvme: FLR */
	struct fn card_port, card[3];	/* no FLR */
	struct hw hw;
	int klog;
	char preempt[16];		/* how the kernel is preempted */
};

/* "none (voluntary) full": what is in use, or the empty string */
static void read_preempt(char *buf, size_t size)
{
	char line[64] = "";
	FILE *f;

	buf[0] = '\0';
	f = fopen(PREEMPT, "r");
	if (!f)
		return;
	if (fgets(line, sizeof(line), f) && strchr(line, '('))
		snprintf(buf, size, "%.*s",
			 (int)strcspn(strchr(line, '(') + 1, ")"),
			 strchr(line, '(') + 1);
	fclose(f);
}

FIXTURE_SETUP(suspend)
{
	unsigned int i;

	if (access(PM_TEST, W_OK))
		SKIP(return, "no " PM_TEST " (CONFIG_PM_SLEEP_DEBUG)");
	/*
	 * virtcons_restore() says that the ports are there, and only then gives
	 * QEMU buffers for its answers: they are lost.  Nobody could fill a slot
	 * any more, in the tests to come neither.
	 */
	if (kernel_since(7, 3))
		SKIP(return, "this kernel wakes up without /dev/monitor");

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x10);
	self->fn = fn_below(self->port, 0, 0);
	self->card_port = fn_root(0x13);
	for (i = 0; i < ARRAY_SIZE(self->card); i++)
		self->card[i] = fn_below(self->card_port, 0, i);
	read_preempt(self->preempt, sizeof(self->preempt));
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(suspend)
{
	unsigned int i;

	EXPECT_EQ(0, write_string(PM_TEST, "none"));
	EXPECT_EQ(0, write_string(PM_TEST_DELAY, "5"));
	if (*self->preempt)
		EXPECT_EQ(0, write_string(PREEMPT, self->preempt));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, hold_unload());
	EXPECT_EQ(0, fn_release(self->fn));
	for (i = 0; i < ARRAY_SIZE(self->card); i++)
		EXPECT_EQ(0, fn_release(self->card[i]));
	klog_end(self->klog);
}

/* Down to @level and after @seconds up again */
static int sleep_for(const char *level, const char *seconds)
{
	return write_string(PM_TEST, level) ?:
	       write_string(PM_TEST_DELAY, seconds) ?:
	       write_string(PM_STATE, "mem");
}

/*
 * All the way down to where Xen would be asked to switch off. Idle functions,
 * clean and dirty ones, are what they were, and can be reset.
 */
TEST_F_TIMEOUT(suspend, core, TIMEOUT)
{
	unsigned char before[2][PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	struct fn fns[] = { self->fn, self->card[0] };
	unsigned int i;

	/* Two of three, so that these stay dirty */
	ASSERT_EQ(0, fn_adopt(self->fn));
	ASSERT_EQ(0, fn_adopt(self->card[0]));
	ASSERT_EQ(0, fn_adopt(self->card[1]));
	fn_quiesce(self->fn);
	fn_quiesce(self->card[0]);
	for (i = 0; i < ARRAY_SIZE(fns); i++)
		fn_read_config(fns[i], 0, before[i], sizeof(before[i]));

	hw_begin(&self->hw);
	self->hw.slept = true;
	ASSERT_EQ(0, sleep_for("core", "1"));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_TRUE(klog_has(self->klog, "Waking up from system sleep state",
			     NULL, NULL, 0));

	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_EQ(1, fn_needs_reset(self->card[0]));
	for (i = 0; i < ARRAY_SIZE(fns); i++) {
		fn_read_config(fns[i], 0, after, sizeof(after));
		EXPECT_EQ(0, memcmp(before[i], after, sizeof(after))) {
			TH_LOG("%s", fns[i].name);
		}
	}

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(1, hw_all_resets(&self->hw));

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_adopt(self->card[2]));
	EXPECT_EQ(0, reset_device(self->card[0]));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card_port));
}

/* Set up by the firmware at boot, but not when it wakes up: SeaBIOS forgets it */
static const struct {
	unsigned int dev, offset;
} forgotten[] = {
	{ 0x00, 0x60 },		/* PCIEXBAR: extended config space */
	{ 0x1f, 0x40 },		/* PMBASE and ACPI_CNTL: sleep and power-off */
	{ 0x1f, 0x44 },
};

static bool appears(struct fn fn)
{
	unsigned int tries;

	for (tries = 0; tries < 1000 && !fn_exists(fn); tries++)
		usleep(10000);
	return fn_exists(fn);
}

/*
 * Without extended config space the kernel cannot read serial numbers, takes the
 * cards that have one for others, and powers their slots off. Before 6.11 it does
 * not look.
 */
static void refill(struct fn port)
{
	if (kernel_since(6, 11) && slot_wait_off(port))
		slot_fill(port);
}

/* And all the way: everything loses its state, and the clock wakes Xen */
TEST_F_TIMEOUT(suspend, to_ram, TIMEOUT)
{
	struct fn xhci = fn_below(fn_root(0x15), 0, 0), nic_port = fn_root(0x12);
	unsigned char before[2][PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	struct fn nic = fn_below(nic_port, 0, 0);
	uint32_t kept[ARRAY_SIZE(forgotten)];
	struct fn fns[] = { self->fn, xhci };
	char alarm[16];
	unsigned int i;

	if (access(WAKE_ALARM, W_OK))
		SKIP(return, "no " WAKE_ALARM);
	for (i = 0; i < ARRAY_SIZE(fns); i++) {
		ASSERT_EQ(0, fn_adopt(fns[i]));
		fn_quiesce(fns[i]);
		fn_read_config(fns[i], 0, before[i], sizeof(before[i]));
	}
	for (i = 0; i < ARRAY_SIZE(forgotten); i++)
		kept[i] = fn_read(fn_root(forgotten[i].dev),
				  forgotten[i].offset, 4);

	ASSERT_EQ(0, write_string(PM_DEPTH, "deep"));
	snprintf(alarm, sizeof(alarm), "+%u", WAKE_S);
	ASSERT_EQ(0, write_string(WAKE_ALARM, alarm));
	hw_begin(&self->hw);
	self->hw.slept = true;
	EXPECT_EQ(0, sleep_for("none", "5"));
	hw_end(&self->hw);

	for (i = 0; i < ARRAY_SIZE(forgotten); i++)
		fn_write(fn_root(forgotten[i].dev), forgotten[i].offset,
			 kept[i], 4);
	refill(nic_port);
	refill(self->card_port);
	EXPECT_TRUE(appears(nic));
	EXPECT_TRUE(appears(self->card[2]));

	EXPECT_LE(1, hw_resets(&self->hw, "qemu-xhci"));
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x15)));
	for (i = 0; i < ARRAY_SIZE(fns); i++) {
		EXPECT_EQ(0, fn_needs_reset(fns[i]));
		fn_read_config(fns[i], 0, after, sizeof(after));
		EXPECT_EQ(0, memcmp(before[i], after, sizeof(after))) {
			TH_LOG("%s", fns[i].name);
		}
		EXPECT_EQ(0, reset_device(fns[i]));
	}
	EXPECT_EQ(0, fn_release(xhci));
}

/* Of no domain in this VM */
/* All is frozen by then, and is for longer */
#define HELD_MS		6000
#define FROZEN_S	"15"

/*
 * A function that is released while all is frozen, by xenwatch, which never is: that is
 * in the middle of it, and goes on then. The reset is due, and waits for the
 * thaw.
 */
TEST_F_TIMEOUT(suspend, pending, TIMEOUT)
{
	long long frozen, released, thawed, reset;
	struct guest guest;
	pid_t destroying;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	if (!*self->preempt)
		SKIP(return, "no " PREEMPT " (CONFIG_PREEMPT_DYNAMIC)");
	/* The kernel's wait, which is busy, is to let others run */
	ASSERT_EQ(0, write_string(PREEMPT, "full"));
	ASSERT_EQ(0, fn_adopt(self->fn));
	ASSERT_EQ(0, guest_create(&guest, DOMAIN, &self->fn, 1));
	ASSERT_EQ(0, hold_load());
	ASSERT_EQ(0, hold_for(HELD_MS));
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_release_pci_dev"));

	hw_begin(&self->hw);
	self->hw.slept = true;
	destroying = in_child(guest_destroy(&guest));
	ASSERT_TRUE(hold_wait());
	ASSERT_EQ(0, sleep_for("freezer", FROZEN_S));
	EXPECT_EQ(0, wait_for_child(destroying));
	EXPECT_TRUE(fn_wait_clean(self->fn));
	hw_end(&self->hw);

	frozen = klog_time(self->klog, "remaining freezable tasks completed",
			   NULL);
	released = klog_time(self->klog, HOLD_IS_OVER, NULL);
	thawed = klog_time(self->klog, "Restarting tasks", NULL);
	reset = klog_time(self->klog, self->fn.name, "reset: flr: ok");
	/* It was released in between, or else this proves nothing */
	ASSERT_LE(0, frozen);
	ASSERT_LT(frozen, released);
	ASSERT_LT(released, thawed);
	EXPECT_LT(thawed, reset);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
}

/*
 * One reset is over before freezing is given up, two after each other are not: the core
 * looks at a device that is away for 12 s after 8.2 s, and then after 16.4 s.
 */
#define FREEZE_TIMEOUT	"/sys/power/pm_freeze_timeout"
#define LONG_MS		12000

/* A request that waits for the reset of a release is frozen where it waits */
TEST_F_TIMEOUT(suspend, request_that_waits, TIMEOUT)
{
	struct guest guest;
	pid_t requesting;
	unsigned int tries;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	ASSERT_EQ(0, fn_adopt(self->fn));
	inject(self->fn);
	ASSERT_EQ(0, guest_create(&guest, DOMAIN, &self->fn, 1));
	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "flr_away_ms", LONG_MS));
	EXPECT_EQ(0, guest_destroy(&guest));
	for (tries = 0; tries < 500 && !fault_get(self->fn, "flrs"); tries++)
		usleep(10000);
	EXPECT_EQ(1, fault_get(self->fn, "flrs"));
	requesting = in_child(do_flr(self->fn));
	usleep(500000);
	EXPECT_EQ(0, waitpid(requesting, NULL, WNOHANG));
	EXPECT_EQ(0, write_string(FREEZE_TIMEOUT, "25000"));
	EXPECT_EQ(0, sleep_for("freezer", "1"));
	EXPECT_EQ(0, write_string(FREEZE_TIMEOUT, "20000"));
	EXPECT_EQ(0, wait_for_child(requesting));
	EXPECT_EQ(2, fault_get(self->fn, "flrs"));
}

TEST_HARNESS_MAIN
