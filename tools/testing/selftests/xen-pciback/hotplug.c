// SPDX-License-Identifier: GPL-2.0
/*
 * Cards that are removed and plugged in: pulled out without notice, removed after the
 * attention button, or powered off with their slot. No task hangs, pciback does not keep
 * what is gone, and seizes what comes back anew.
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
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"
#include "lib/release.h"
#include "lib/slot.h"

/* The PCI core gives a function a minute to come back */
#define TIMEOUT		600
/* The core gives a function a minute to come back */
#define WAIT_MS		120000
#define POLL_MS		10

FIXTURE(hotplug)
{
	struct fn nic_port, nic;		/* PM, slot */
	struct fn nvme_port, nvme;		/* FLR */
	struct card card;			/* slot */
	struct guest guest;
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(hotplug)
{
	memset(self, 0, sizeof(*self));
	self->nic_port = fn_root(0x12);
	self->nic = fn_below(self->nic_port, 0, 0);
	self->nvme_port = fn_root(0x10);
	self->nvme = fn_below(self->nvme_port, 0, 0);
	self->card = card_find();
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(hotplug)
{
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->nic));
	EXPECT_EQ(0, fn_release(self->nvme));
	EXPECT_EQ(0, card_release(&self->card));
	/* The kernel has nothing to complain of in any of this */
	expect_not_logged("cut here");
	expect_not_logged("blocked for more than");
	klog_end(self->klog);
}

/* Until pciback has it, and is ready: it is among its driver's before that */
static bool wait_seized(struct fn fn)
{
	int waited;

	for (waited = 0; waited < WAIT_MS && fn_needs_reset(fn) < 0; waited += POLL_MS)
		usleep(POLL_MS * 1000);
	return fn_needs_reset(fn) >= 0;
}

/* Nobody's, and unknown */
#define expect_gone(target) do {					\
	struct fn named = target;					\
									\
	EXPECT_TRUE(fn_wait_gone(named));					\
	EXPECT_EQ(-ENODEV, reset_device(named));			\
	EXPECT_EQ(-ENODEV, do_flr(named));				\
	EXPECT_STREQ("", fn_plan(named));				\
} while (0)

/*
 * What comes back is pciback's by its list of addresses, without anybody's
 * doing, and can be reset.
 */
#define expect_back(target) do {					\
	struct fn named = target;					\
									\
	EXPECT_TRUE(wait_seized(named));				\
	EXPECT_EQ(0, reset_device(named));				\
	EXPECT_EQ(0, fn_needs_reset(named));				\
} while (0)

/* Idle, and pulled: nothing to reset it with, and nothing tried */
TEST_F_TIMEOUT(hotplug, pulled, TIMEOUT)
{
	ASSERT_EQ(0, fn_adopt(self->nic));

	calls_begin("pci_release_dev");
	hw_begin(&self->hw);
	slot_pull(self->nic_port);
	expect_gone(self->nic);
	hw_end(&self->hw);
	EXPECT_TRUE(slot_wait_off(self->nic_port));
	EXPECT_EQ(1, calls_end());
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_TRUE(klog_has(self->klog, self->nic.name,
			     "no answer, state not restored", NULL, 0));

	hw_begin(&self->hw);
	slot_fill(self->nic_port);
	EXPECT_TRUE(wait_seized(self->nic));
	hw_end(&self->hw);
	/* Nothing more than any function that is bound */
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(1, fn_needs_reset(self->nic));
	expect_back(self->nic);
}

/* The attention button: the kernel lets go of it first, as of any other */
TEST_F_TIMEOUT(hotplug, unplugged, TIMEOUT)
{
	ASSERT_EQ(0, fn_adopt(self->nic));

	slot_press(self->nic_port);
	expect_gone(self->nic);
	EXPECT_TRUE(klog_has(self->klog, self->nic.name,
			     "reset: pm: ok (weak)", NULL, 0));
	EXPECT_FALSE(klog_has(self->klog, self->nic.name, "no answer", NULL,
			      0));

	slot_fill(self->nic_port);
	expect_back(self->nic);
}

/* The same by the slot's own file, and all functions of it go */
TEST_F_TIMEOUT(hotplug, powered_off, TIMEOUT)
{
	unsigned int i;

	ASSERT_EQ(0, card_adopt(&self->card));
	ASSERT_EQ(0, slot_power_off(self->card.port));
	for (i = 0; i < CARD_FNS; i++)
		expect_gone(self->card.fns[i]);

	slot_fill(self->card.port);
	for (i = 0; i < CARD_FNS; i++)
		EXPECT_TRUE(wait_seized(self->card.fns[i]));
	hw_begin(&self->hw);
	expect_back(self->card.fns[2]);
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, fn_needs_reset(self->card.fns[0]));
	EXPECT_EQ(0, fn_needs_reset(self->card.fns[1]));
}

/*
 * Pulled while its FLR waits for it to come back: the wait ends, at once if the
 * core looks (6.12 does, 6.1 does not), and nobody waits for the other. What
 * else is there is not concerned.
 */
TEST_F_TIMEOUT(hotplug, pulled_in_flr, TIMEOUT)
{
	int status, waited, limit = kernel_since(6, 12) ? 30000 : WAIT_MS;
	pid_t pid, done;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, card_adopt(&self->card));
	ASSERT_EQ(0, fn_adopt(self->nvme));
	inject(self->nvme);
	ASSERT_EQ(0, fault_set(self->nvme, "flr_away_ms", FAULT_FOR_EVER));

	pid = in_child(reset_device(self->nvme));
	ASSERT_LE(0, pid);
	ASSERT_TRUE(fault_wait(self->nvme, "flrs"));
	slot_pull(self->nvme_port);

	for (waited = 0; waited < limit; waited += POLL_MS) {
		done = waitpid(pid, &status, WNOHANG);
		if (done)
			break;
		usleep(POLL_MS * 1000);
	}
	ASSERT_EQ(pid, done);
	EXPECT_TRUE(WEXITSTATUS(status) == ENODEV ||
		    WEXITSTATUS(status) == ETIMEDOUT);
	EXPECT_TRUE(klog_has(self->klog, self->nvme.name,
			     "reset: flr: no answer", NULL, 0));
	expect_gone(self->nvme);

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->card.fns[1]));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));

	ASSERT_EQ(0, fault_unload());
	slot_fill(self->nvme_port);
	expect_back(self->nvme);
}

/*
 * Pulled while its slot is reset: pciehp does not look until that is over, so
 * the core waits as long as it does for any function. Then all of them go, whose
 * removal has waited for the reset.
 */
TEST_F_TIMEOUT(hotplug, pulled_in_slot_reset, TIMEOUT)
{
	unsigned int i;
	int status;
	pid_t pid;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, card_adopt(&self->card));
	inject(self->card.fns[0]);
	ASSERT_EQ(0, fault_set(self->card.fns[0], "sbr_away_ms", FAULT_FOR_EVER));

	pid = in_child(reset_device(self->card.fns[2]));
	ASSERT_LE(0, pid);
	ASSERT_TRUE(fault_wait(self->card.fns[0], "sbrs"));
	calls_begin("pci_release_dev");
	slot_pull(self->card.port);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(ETIMEDOUT, WEXITSTATUS(status));
	EXPECT_TRUE(klog_has(self->klog, self->card.fns[2].name,
			     "reset: slot: no answer", NULL, 0));

	for (i = 0; i < CARD_FNS; i++)
		expect_gone(self->card.fns[i]);
	EXPECT_TRUE(slot_wait_off(self->card.port));
	EXPECT_EQ(3, calls_end());

	ASSERT_EQ(0, fault_unload());
	slot_fill(self->card.port);
	for (i = 0; i < CARD_FNS; i++)
		EXPECT_TRUE(wait_seized(self->card.fns[i]));
	expect_back(self->card.fns[2]);
}

/* Pulled from under a guest: that one function is gone, and nothing else */
TEST_F_TIMEOUT(hotplug, pulled_from_guest, TIMEOUT)
{
	struct fn both[] = { self->nic, self->nvme };
	int klog;

	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	ASSERT_EQ(0, fn_adopt(self->nic));
	ASSERT_EQ(0, fn_adopt(self->nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, both, 2));

	calls_begin("pci_release_dev");
	slot_pull(self->nic_port);
	expect_gone(self->nic);
	EXPECT_TRUE(slot_wait_off(self->nic_port));
	EXPECT_EQ(1, calls_end());

	/* The other is still the guest's */
	klog = klog_begin();
	EXPECT_EQ(-EBUSY, reset_device(self->nvme));
	EXPECT_TRUE(klog_has(klog, self->nvme.name, "assigned to domain 7",
			     NULL, 0));
	klog_end(klog);

	/* What comes back is not, even in the same place */
	slot_fill(self->nic_port);
	EXPECT_TRUE(wait_seized(self->nic));
	klog = klog_begin();
	EXPECT_EQ(0, reset_device(self->nic));
	EXPECT_FALSE(klog_has(klog, self->nic.name, "assigned", NULL, 0));
	klog_end(klog);

	EXPECT_EQ(0, guest_destroy(&self->guest));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, both, 2));
	EXPECT_EQ(0, guest_destroy(&self->guest));
}

TEST_HARNESS_MAIN
