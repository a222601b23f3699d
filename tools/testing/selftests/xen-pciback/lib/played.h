/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that play guests (guest.h) share: the functions that pciback
 * owns and who has them, and what the hardware has to say of each step.
 */
#ifndef SELFTEST_XEN_PCIBACK_PLAYED_H
#define SELFTEST_XEN_PCIBACK_PLAYED_H

#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "guest.h"
#include "harness.h"
#include "hw.h"
#include "klog.h"
#include "owned.h"
#include "pci.h"

/* Of no domain in this VM */
#define DOMAIN		7
#define OTHER_DOMAIN	8
#define DIRTY_DOMAIN	9

/* What would come has come by then: that nothing does takes its time to be seen */
#define SETTLED_MS	(1000 * SLOWER)

/* A function with FLR, alone in its slot, and a card that has none */
FIXTURE(played)
{
	struct owned owned;
	struct guest guest, other;
	struct fn nvme_port, nvme;
	struct card card;
	/* What has an invented capability, if that has a name: found anew at the end */
	struct fn invented;
	struct hw hw;
	char text[256];
	int klog;
};

FIXTURE_SETUP(played)
{
	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	self->nvme_port = fn_root(0x10);
	self->nvme = fn_below(self->nvme_port, 0, 0);
	self->card = card_find();
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(played)
{
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, owned_release(&self->owned));
	if (*self->invented.name)
		EXPECT_EQ(0, fault_rediscover(self->invented));
	/* The kernel has nothing to say of any of this */
	EXPECT_FALSE(klog_has(self->klog, "cut here", NULL, NULL, 0));
	EXPECT_FALSE(klog_has(self->klog, "WARNING:", NULL, NULL, 0));
	klog_end(self->klog);
}

#define adopt(...)							\
	ASSERT_EQ(0, owned_adopt(&self->owned, __VA_ARGS__))
#define adopt_card()							\
	adopt(self->card.first, self->card.second, self->card.third)

/* All that pciback owns to one guest */
#define hand_out()							\
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN,			\
				  self->owned.fns, self->owned.nr))

/* The same to dom0 as its own guest, which connects: its ring is mapped */
#define hand_out_connected() do {					\
	ASSERT_EQ(0, guest_create(&self->guest, 0, self->owned.fns,	\
				  self->owned.nr));			\
	ASSERT_EQ(0, guest_connect(&self->guest));			\
} while (0)

/* It needs a reset from here on: a guest had it, and it was not reset after that */
#define make_dirty(dirtied) do {					\
	struct fn used = dirtied;					\
	struct guest dirty;						\
									\
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));			\
	ASSERT_EQ(0, guest_create(&dirty, DIRTY_DOMAIN, &used, 1));	\
	ASSERT_EQ(0, guest_destroy(&dirty));				\
	ASSERT_EQ(0, set_parameter("auto_reset", "1"));			\
	ASSERT_EQ(1, fn_needs_reset(used));				\
} while (0)

/* It has a capability that it has not really, from the time it is found anew */
#define invent(fn, file) do {						\
	ASSERT_EQ(0, fault_load());					\
	self->invented = fn;						\
	ASSERT_EQ(0, fault_add(self->invented));			\
	ASSERT_EQ(0, fault_set(self->invented, file, 1));		\
	ASSERT_EQ(0, fault_rediscover(self->invented));			\
} while (0)

/* Do something with the hardware watched */
#define watched(ret, what) do {						\
	hw_begin(&self->hw);						\
	ASSERT_EQ(ret, what);						\
	hw_end(&self->hw);						\
} while (0)

/* And whatever comes of it later on */
#define watched_settle(ret, what) do {					\
	hw_begin(&self->hw);						\
	ASSERT_EQ(ret, what);						\
	usleep(SETTLED_MS * 1000);					\
	hw_end(&self->hw);						\
} while (0)

/* Nothing but so many function-level resets of the one that has them */
#define expect_flrs(nr) do {						\
	unsigned int times = nr;					\
									\
	EXPECT_EQ(times, hw_flrs(&self->hw, self->nvme));		\
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nvme_port));		\
	EXPECT_EQ(times, hw_all_resets(&self->hw));			\
} while (0)

/* Nothing but so many resets of the whole card */
#define expect_sbrs(nr) do {						\
	unsigned int times = nr;					\
									\
	EXPECT_EQ(times, hw_sbrs(&self->hw, self->card.port));		\
	EXPECT_EQ(3 * times, hw_all_resets(&self->hw));			\
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.first));		\
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.second));		\
} while (0)

/* The card was not reset as a whole, this one of its functions so often weakly */
#define expect_weakly(fn, nr) do {					\
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));		\
	EXPECT_EQ(0, hw_all_resets(&self->hw));				\
	EXPECT_EQ(nr, hw_d3s(&self->hw, fn));				\
} while (0)

/* Not even looked at by a write */
#define expect_untouched(fn)						\
	EXPECT_EQ(0, hw_all_writes(&self->hw, fn))

/* Each byte as at bind time */
#define expect_restored()						\
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE))

#define expect_logged(fn, what)						\
	EXPECT_TRUE(klog_has(self->klog, (fn).name, what, NULL, 0))

/* By whom the card's reset is held up, and why: in the log and in the plan */
#define expect_blocked(target, blocker, why) do {			\
	struct fn held_up = target, named = blocker;			\
	const char *reason = why;					\
									\
	snprintf(self->text, sizeof(self->text),			\
		 "slot: blocked by %s (%s)", named.name, reason);	\
	expect_logged(held_up, self->text);				\
	expect_plan_blocked(held_up, named, reason);			\
} while (0)

#define expect_plan_blocked(target, blocker, why) do {			\
	snprintf(self->text, sizeof(self->text), "blocked %s (%s)",	\
		 (blocker).name, why);					\
	EXPECT_STREQ(self->text, fn_plan(target));			\
} while (0)

#endif
