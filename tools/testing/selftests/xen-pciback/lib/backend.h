/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs share that play guests to look at the backend's contract: the
 * functions, two guests, and how to see who has what.
 */
#ifndef SELFTEST_XEN_PCIBACK_BACKEND_H
#define SELFTEST_XEN_PCIBACK_BACKEND_H

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
#define DOMAIN		7
#define OTHER_DOMAIN	8

/* One second on a machine that is busy with others; what it must not be is 8 and more */
#define SECOND_MS	(2500 * SLOWER)
#define SOON_MS		(5000 * SLOWER)
/* Long enough to see that nothing happens */
#define NOTHING_MS	(1500 * SLOWER)

/* Whoever is idle alone in its slot can be reset; whoever is not is assigned */
FIXTURE(played)
{
	struct card card;
	struct fn nic;			/* PM, slot */
	struct fn entropy;		/* PM, slot */
	struct fn xhci;			/* slot */
	struct fn nvme, rng;		/* FLR */
	struct owned owned;
	struct guest guest, other;
	struct hw hw;
	char text[256];
	int klog;
};

FIXTURE_SETUP(played)
{
	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	if (!topology_available())
		SKIP(return, "no " TOPOLOGY_MODULE);
	self->card = card_find();
	self->nic = fn_below(fn_root(0x12), 0, 0);
	self->entropy = fn_below(fn_root(0x11), 0, 0);
	self->xhci = fn_below(fn_root(0x15), 0, 0);
	self->nvme = fn_below(fn_root(0x10), 0, 0);
	self->rng = fn_below(fn_root(0x17), 0, 0);
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
	EXPECT_EQ(0, topology_unload());
	/* The kernel has nothing to say of any of this */
	EXPECT_FALSE(klog_has(self->klog, "cut here", NULL, NULL, 0));
	EXPECT_FALSE(klog_has(self->klog, "WARNING:", NULL, NULL, 0));
	klog_end(self->klog);
}

#define adopt(...)							\
	ASSERT_EQ(0, owned_adopt(&self->owned, __VA_ARGS__))

#define adopt_card()							\
	adopt(self->card.first, self->card.second, self->card.third)

/* Do something with the hardware watched */
#define watched(ret, what) do {						\
	hw_begin(&self->hw);						\
	EXPECT_EQ(ret, what);						\
	hw_end(&self->hw);						\
} while (0)

/* How long that takes, in ms */
#define timed(what) ({							\
	long long start = now_ms();					\
									\
	what;								\
	now_ms() - start;						\
})

/* What xenwatch has to do by now is done then */
#define settle()	usleep(300000 * SLOWER)

/* No frontend. What pciback wrote itself does not wake it any more. */
#define create_hvm(which, domid, ...) do {				\
	const struct fn of_it[] = { __VA_ARGS__ };			\
	struct guest *hvm = which;					\
									\
	ASSERT_EQ(0, guest_create(hvm, domid, of_it,			\
				  ARRAY_SIZE(of_it)));			\
	hvm->wait_ms = SOON_MS;						\
	settle();							\
} while (0)

/* Connected: dom0 as its own guest */
#define create_pv(which, ...) do {					\
	const struct fn of_it[] = { __VA_ARGS__ };			\
	struct guest *pv = which;					\
									\
	ASSERT_EQ(0, guest_create(pv, 0, of_it, ARRAY_SIZE(of_it)));	\
	ASSERT_EQ(0, guest_connect(pv));				\
	pv->wait_ms = SOON_MS;						\
	settle();							\
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
		 "%s (assigned to domain %u)", asked.name, to);	\
	watched(-EBUSY, reset_device(asked));				\
	EXPECT_EQ(0, hw_all_resets(&self->hw));				\
	EXPECT_EQ(0, hw_all_writes(&self->hw, asked));			\
	EXPECT_TRUE(klog_has(since, asked.name, self->text, NULL, 0)) {	\
		TH_LOG("not \"%s\"", self->text);			\
	}								\
	klog_end(since);						\
} while (0)

#define expect_idle(target) do {					\
	struct fn asked = target;					\
									\
	EXPECT_EQ(0, reset_device(asked)) {				\
		TH_LOG("%s: %s", asked.name, fn_last_reset(asked));	\
	}								\
} while (0)

/* Handed out: by the nodes, and by whose it is */
#define expect_given(which, target) do {				\
	const struct guest *owner = which;				\
	struct fn given = target;					\
									\
	EXPECT_EQ(STATE_INITIALISED, guest_fn_state(owner, given)) {	\
		TH_LOG("%s", given.name);				\
	}								\
	expect_assigned(given, owner->domid);				\
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

/* The backend has told its toolstack an error with the function's name */
#define expect_error(guest, target) do {				\
	struct fn named = target;					\
									\
	guest_error(guest, self->text, sizeof(self->text));		\
	EXPECT_NE(NULL, strstr(self->text, named.name)) {		\
		TH_LOG("error: \"%s\"", self->text);			\
	}								\
} while (0)

#endif
