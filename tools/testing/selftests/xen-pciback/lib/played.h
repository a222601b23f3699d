/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the programs that play guests (guest.h): the functions that pciback owns, which guest
 * has each, and what the hardware's trace shows for each step.
 */
#ifndef SELFTEST_XEN_PCIBACK_PLAYED_H
#define SELFTEST_XEN_PCIBACK_PLAYED_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "fault.h"
#include "guest.h"
#include "hold.h"
#include "hw.h"
#include "klog.h"
#include "owned.h"
#include "pci.h"
#include "topology.h"

/* Of no domain in this VM */
#define DIRTY_DOMAIN	9

/* What would come has come by then: that nothing does takes its time to be seen */
#define SETTLED_MS	(1000 * SLOWER)

/* What a program cannot do without: all of its tests are skipped if it has not that */
#ifndef PLAYED_LACKS
#define PLAYED_LACKS	NULL
#endif

/* Functions that pciback may own, what each can be reset by when it does, and guests */
FIXTURE(played)
{
	struct owned owned;
	struct guest guest, other;
	struct card card;
	struct fn nvme_port, nvme;	/* FLR, slot */
	struct fn rng;			/* FLR, PM, slot */
	struct fn nic_port, nic;	/* PM, slot */
	struct fn entropy;		/* PM, slot */
	struct fn xhci;			/* slot */
	/* What has an invented capability, if that has a name: found anew at the end */
	struct fn invented;
	struct hw hw;
	char text[256];
	int klog;
};

FIXTURE_SETUP(played)
{
	const char *lacks = PLAYED_LACKS;

	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	if (lacks)
		SKIP(return, "no %s", lacks);
	self->card = card_find();
	self->nvme_port = fn_root(0x10);
	self->nvme = fn_below(self->nvme_port, 0, 0);
	self->rng = fn_below(fn_root(0x17), 0, 0);
	self->nic_port = fn_root(0x12);
	self->nic = fn_below(self->nic_port, 0, 0);
	self->entropy = fn_below(fn_root(0x11), 0, 0);
	self->xhci = fn_below(fn_root(0x15), 0, 0);
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(played)
{
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, hold_unload());
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, owned_release(&self->owned));
	if (*self->invented.name)
		EXPECT_EQ(0, fault_rediscover(self->invented));
	EXPECT_EQ(0, topology_unload());
	/* The kernel has nothing to say of any of this */
	expect_not_logged("cut here");
	expect_not_logged("WARNING:");
	klog_end(self->klog);
}

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
	self->invented = fn;						\
	inject(self->invented);						\
	ASSERT_EQ(0, fault_set(self->invented, file, 1));		\
	ASSERT_EQ(0, fault_rediscover(self->invented));			\
} while (0)

/* And whatever the result is */
#define watched_settle(ret, what) do {					\
	hw_begin(&self->hw);						\
	ASSERT_EQ(ret, what);						\
	usleep(SETTLED_MS * 1000);					\
	hw_end(&self->hw);						\
} while (0)

/* Does a connected guest see of it what dom0 sees? */
#define expect_readable(guest, target) do {				\
	struct fn named = target;					\
	uint32_t seen = 0;						\
									\
	EXPECT_EQ(0, guest_config_read(guest, named, PCI_VENDOR_ID, 4,	\
				       &seen));				\
	EXPECT_EQ(fn_read(named, PCI_VENDOR_ID, 4), seen);		\
} while (0)

#define expect_unreadable(guest, target) do {				\
	uint32_t seen;							\
									\
	EXPECT_EQ(-EIO, guest_config_read(guest, target, PCI_VENDOR_ID,	\
					  4, &seen));			\
} while (0)

/*
 * Who has it, by what pciback says to a request: a function that has no FLR. It
 * may be handed out, or refused: it is assigned, and nothing is done to it.
 */
#define expect_assigned(target, to) do {				\
	struct fn asked = target;					\
	int since = klog_begin();					\
									\
	snprintf(self->text, sizeof(self->text),			\
		 "blocked by %s (assigned to domain %u)", asked.name, to); \
	watched(-EBUSY, reset_device(asked));				\
	EXPECT_EQ(0, hw_all_resets(&self->hw));				\
	EXPECT_EQ(0, hw_all_writes(&self->hw, asked));			\
	EXPECT_TRUE(klog_has(since, asked.name, self->text, NULL, 0)) {	\
		TH_LOG("not \"%s\"", self->text);			\
	}								\
	klog_end(since);						\
} while (0)

/* The backend has told its toolstack an error, which says that */
#define expect_error_says(guest, words) do {				\
	guest_error(guest, self->text, sizeof(self->text));		\
	EXPECT_NE(NULL, strstr(self->text, words)) {			\
		TH_LOG("error: \"%s\"", self->text);			\
	}								\
} while (0)

/* One with the function's name */
#define expect_error(guest, target) do {				\
	struct fn named = target;					\
									\
	expect_error_says(guest, named.name);				\
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
