// SPDX-License-Identifier: GPL-2.0
/*
 * Resets that go wrong: if a reset fails, if the function does not respond after it, or if
 * it visibly had no effect, the next stronger one is done. A function that no reset can
 * save stays with pciback, disabled and marked.
 *
 * The functions are real ones, whose faults test_modules/pciback_fault.c injects. af_flr.c
 * tests those with an FLR of conventional PCI.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"

/* The core gives a function a minute to come back */
#define CORE_WAIT	200

/* What may happen to an FLR, and the result */
FIXTURE(flr)
{
	struct fn port, fn;
	struct hw hw;
};

FIXTURE_VARIANT(flr)
{
	const char *fault;
	uint32_t val;
	unsigned int arrived;		/* FLRs, of each asked for */
	bool once;			/* Only the first FLR */
	const char *last;		/* With "slot" in it: SBR */
};

/* The write is lost: the canary is still there, so on to the slot */
FIXTURE_VARIANT_ADD(flr, does_nothing)
{
	.fault = "flr_swallow",
	.val = 1,
	.last = "flr: no effect; slot: ok",
};

/* It gets there, but what it should have cleared is not */
FIXTURE_VARIANT_ADD(flr, without_effect)
{
	.fault = "flr_no_effect",
	.val = 1,
	.arrived = 1,
	.last = "flr: no effect; slot: ok",
};

/* Away for less than it may be: that is no failure */
FIXTURE_VARIANT_ADD(flr, takes_its_time)
{
	.fault = "flr_away_ms",
	.val = 700,
	.arrived = 1,
	.last = "flr: ok",
};

FIXTURE_VARIANT_ADD(flr, answers_retry)
{
	.fault = "flr_crs_ms",
	.val = 700,
	.arrived = 1,
	.last = "flr: ok",
};

/* Transactions that never end do not keep it from being reset */
FIXTURE_VARIANT_ADD(flr, transactions_pending)
{
	.fault = "pending",
	.val = 1,
	.arrived = 1,
	.last = "flr: ok",
};

/*
 * Gone, and the slot brings it back. Most kernels
 * save what it reads as meanwhile, and write these ones back after the reset of
 * the slot: one more FLR.
 */
FIXTURE_VARIANT_ADD(flr, kills)
{
	.fault = "flr_away_ms",
	.val = FAULT_FOR_EVER,
	.once = true,
	.arrived = 1,
	.last = "flr: no answer; slot: ok",
};

FIXTURE_SETUP(flr)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x10);
	self->fn = fn_below(self->port, 0, 0);
	inject(self->fn);
}

FIXTURE_TEARDOWN(flr)
{
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->fn));
}

static void *spare_after_first(void *data)
{
	struct fn *fn = data;

	while (!fault_get(*fn, "flrs"))
		usleep(1000);
	fault_set(*fn, "flr_away_ms", 0);
	return NULL;
}

TEST_F_TIMEOUT(flr, escalates, CORE_WAIT)
{
	unsigned int asked;
	pthread_t thread;

	bind_clean(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, variant->fault, variant->val));
	if (variant->once)
		ASSERT_EQ(0, pthread_create(&thread, NULL, spare_after_first,
					    &self->fn));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	if (variant->once)
		pthread_join(thread, NULL);
	asked = fault_get(self->fn, "flrs");
	EXPECT_LE(1, asked);
	EXPECT_GE(1 + variant->once, asked);
	EXPECT_EQ(variant->arrived * asked, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(!!strstr(variant->last, "slot"),
		  hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_STREQ(variant->last, fn_last_reset(self->fn));
}

FIXTURE(escalation)
{
	struct fn port, fn;		/* nvme: FLR */
	struct card card;		/* no FLR */
	struct hw hw;
};

FIXTURE_SETUP(escalation)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x10);
	self->fn = fn_below(self->port, 0, 0);
	self->card = card_find();
	inject(self->fn);
	ASSERT_EQ(0, fault_add(self->card.second));
}

FIXTURE_TEARDOWN(escalation)
{
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->fn));
	EXPECT_EQ(0, card_release(&self->card));
}

/* No effect on adoption: the slot is left alone until a reset is asked for */
TEST_F(escalation, flr_does_nothing_on_bind)
{
	ASSERT_EQ(0, fault_set(self->fn, "flr_swallow", 1));

	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_adopt(self->fn));
	fn_quiesce(self->fn);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(1, fault_get(self->fn, "flrs"));
	EXPECT_EQ(1, fn_needs_reset(self->fn));
	EXPECT_STREQ("flr: no effect", fn_last_reset(self->fn));

	hw_begin(&self->hw);
	EXPECT_EQ(0, do_flr(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_STREQ("flr: no effect; slot: ok", fn_last_reset(self->fn));
}

/* The core waits for the first function of a bus; we for the others */
TEST_F(escalation, sibling_takes_its_time)
{
	unsigned char bound[PCI_CONFIG_SIZE], now[PCI_CONFIG_SIZE];

	bind_card();
	fn_read_config(self->card.second, 0, bound, sizeof(bound));
	fn_scribble(self->card.second);
	ASSERT_EQ(0, fault_set(self->card.second, "sbr_away_ms", 1100));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->card.first));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->card.second));
	fn_read_config(self->card.second, 0, now, sizeof(now));
	EXPECT_EQ(0, memcmp(bound, now, sizeof(now)));
}

/*
 * One function stays away: the write says so, and that one is marked; the others are
 * fine, and so is it after a reset that it comes back from.
 */
TEST_F(escalation, sibling_stays_away)
{
	char driver[32], what[64];
	int klog;

	bind_card();
	ASSERT_EQ(0, reset_device(self->card.first));
	ASSERT_EQ(0, fn_needs_reset(self->card.second));
	ASSERT_EQ(0, fault_set(self->card.second, "sbr_away_ms", FAULT_FOR_EVER));

	klog = klog_begin();
	EXPECT_EQ(-ETIMEDOUT, reset_device(self->card.first));
	EXPECT_EQ(0, fn_needs_reset(self->card.first)) {
		TH_LOG("%s", fn_last_reset(self->card.first));
	}
	EXPECT_EQ(1, fn_needs_reset(self->card.second));
	EXPECT_EQ(0, fn_needs_reset(self->card.third));
	EXPECT_STREQ("slot: no answer", fn_last_reset(self->card.second));
	fn_driver(self->card.second, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);
	snprintf(what, sizeof(what), "slot: no answer (%s)",
		 self->card.second.name);
	EXPECT_TRUE(klog_has(klog, self->card.first.name, what, NULL, 0));

	ASSERT_EQ(0, fault_set(self->card.second, "sbr_away_ms", 0));
	EXPECT_EQ(0, reset_device(self->card.second));
	EXPECT_EQ(0, fn_needs_reset(self->card.second));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->card.second));
}

/* The kernel knows that its FLR is no good: it is not tried, but the slot is */
TEST_F(escalation, no_flr)
{
	bind_clean(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "no_flr", 1));
	EXPECT_STREQ("slot", fn_plan(self->fn));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_flrs(&self->hw, self->fn));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->fn));

	ASSERT_EQ(0, fault_set(self->fn, "no_flr", 0));
	EXPECT_STREQ("flr", fn_plan(self->fn));
}

/*
 * It knows that one of the card does not survive a reset of the slot: there is no
 * thorough one for any of them then, and all that is left is success.
 */
TEST_F(escalation, no_bus_reset)
{
	bind_card();
	ASSERT_EQ(0, fault_set(self->card.second, "no_bus_reset", 1));
	EXPECT_STREQ("pm", fn_plan(self->card.first));
	EXPECT_STREQ("none", fn_plan(self->card.third));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->card.first));
	EXPECT_EQ(-ENOTTY, reset_device(self->card.third));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_d3s(&self->hw, self->card.first));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_STREQ("pm: ok (weak)", fn_last_reset(self->card.first));

	ASSERT_EQ(0, fault_set(self->card.second, "no_bus_reset", 0));
	EXPECT_STREQ("slot", fn_plan(self->card.third));
}

/*
 * Dead before: its own reset is not even tried, and if the slot does not help it
 * stays with us.
 */
TEST_F_TIMEOUT(escalation, dead, CORE_WAIT)
{
	char driver[32];

	bind_clean(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "gone", 1));

	hw_begin(&self->hw);
	EXPECT_EQ(-ETIMEDOUT, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(0, fault_get(self->fn, "flrs"));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(1, fn_needs_reset(self->fn));
	fn_driver(self->fn, driver, sizeof(driver));
	EXPECT_STREQ("pciback", driver);

	ASSERT_EQ(0, fault_set(self->fn, "heal", 1));
	EXPECT_EQ(0, reset_device(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_STREQ("flr: ok", fn_last_reset(self->fn));
}

/* Gone when it is to be seized: what it reads as then is nothing to put back */
TEST_F_TIMEOUT(escalation, seized_while_gone, CORE_WAIT)
{
	uint32_t bar = fn_read(self->fn, PCI_BASE_ADDRESS_0, 4);

	ASSERT_EQ(0, fault_set(self->fn, "gone", 1));
	EXPECT_NE(0, fn_adopt(self->fn));
	ASSERT_EQ(0, fault_set(self->fn, "gone", 0));
	ASSERT_EQ(0, fault_set(self->fn, "heal", 1));

	bind_clean(self->fn);
	EXPECT_EQ(0, reset_device(self->fn));
	EXPECT_EQ(bar, fn_read(self->fn, PCI_BASE_ADDRESS_0, 4));
}

/* Two functions below a bridge below a bridge; none of them has an FLR */
FIXTURE(levels)
{
	struct fn top, second, fn, other;
	char driver[32];		/* Of the second bridge */
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(levels)
{
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	memset(self, 0, sizeof(*self));
	self->top = fn_root(0x16);
	self->second = fn_below(self->top, 1, 0);
	self->fn = fn_below(self->second, 1, 0);
	self->other = fn_below(self->second, 2, 0);
	inject(self->fn);
	self->klog = klog_begin();
	/* Or shpchp is in the way of a reset from above */
	fn_driver(self->second, self->driver, sizeof(self->driver));
	if (*self->driver)
		ASSERT_EQ(0, fn_unbind(self->second));
}

FIXTURE_TEARDOWN(levels)
{
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, fn_release(self->fn));
	EXPECT_EQ(0, fn_release(self->other));
	EXPECT_EQ(0, fn_release(self->second));
	if (*self->driver)
		EXPECT_EQ(0, write_string("/sys/bus/pci/drivers_probe",
					  self->second.name));
	klog_end(self->klog);
}

/* It is away by then: the pulse takes 2 ms, and the core waits a second for it */
#define PULSE_IS_OVER_MS	500

static void *bring_back_after_first(void *data)
{
	struct fn *fn = data;

	while (!fault_get(*fn, "sbrs"))
		usleep(1000);
	usleep(PULSE_IS_OVER_MS * 1000);
	fault_set(*fn, "sbr_away_ms", 0);
	return NULL;
}

/* One that does not come back is given one more, from one level up */
TEST_F(levels, up)
{
	unsigned char bound[PCI_CONFIG_SIZE], now[PCI_CONFIG_SIZE];
	char what[128];
	pthread_t thread;

	ASSERT_EQ(0, fn_adopt(self->fn));
	ASSERT_EQ(0, fn_adopt(self->other));
	fn_read_config(self->fn, 0, bound, sizeof(bound));
	fn_scribble(self->fn);
	ASSERT_EQ(0, fault_set(self->fn, "clear", 1));
	ASSERT_EQ(0, fault_set(self->fn, "sbr_away_ms", FAULT_FOR_EVER));
	ASSERT_EQ(0, pthread_create(&thread, NULL, bring_back_after_first,
				    &self->fn));
	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	pthread_join(thread, NULL);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->second));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->top));
	EXPECT_EQ(2, fault_get(self->fn, "sbrs"));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->other));
	snprintf(what, sizeof(what), "bus: no answer (%s); bus by %s: ok",
		 self->fn.name, self->top.name);
	EXPECT_STREQ(what, fn_last_reset(self->fn));
	fn_read_config(self->fn, 0, now, sizeof(now));
	EXPECT_EQ(0, memcmp(bound, now, sizeof(now)));
}

/* The same if the port right above ignores resets */
TEST_F(levels, up_from_a_deaf_port)
{
	char what[128];

	ASSERT_EQ(0, fn_adopt(self->other));
	ASSERT_EQ(0, fn_adopt(self->fn));
	ASSERT_EQ(0, fault_set(self->fn, "sbr_swallow", 1));
	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->fn));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->second));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->top));
	EXPECT_EQ(0, fn_needs_reset(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->other));
	snprintf(what, sizeof(what), "bus: no effect (%s); bus by %s: ok",
		 self->fn.name, self->top.name);
	EXPECT_STREQ(what, fn_last_reset(self->fn));
}

/* Not if there is somebody in its way; and nobody is called clean who is not */
TEST_F(levels, up_is_blocked)
{
	char what[128];

	ASSERT_EQ(0, fn_adopt(self->fn));
	ASSERT_EQ(0, fn_adopt(self->other));
	ASSERT_EQ(0, load_module("pci-stub"));
	ASSERT_EQ(0, fn_bind(self->second, "pci-stub"));
	ASSERT_EQ(0, fault_set(self->fn, "sbr_away_ms", FAULT_FOR_EVER));
	hw_begin(&self->hw);
	EXPECT_EQ(-ETIMEDOUT, reset_device(self->other));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->second));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->top));
	EXPECT_EQ(1, fn_needs_reset(self->fn));
	EXPECT_EQ(0, fn_needs_reset(self->other));
	snprintf(what, sizeof(what),
		 "bus: no answer (%s); bus by %s: blocked by %s (pci-stub)",
		 self->fn.name, self->top.name, self->second.name);
	EXPECT_TRUE(klog_has(self->klog, self->other.name, what, NULL, 0));
}

TEST_HARNESS_MAIN
