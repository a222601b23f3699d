/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs with real guests share: the functions they hand out, and
 * what holds after each hand-over.
 */
#ifndef SELFTEST_XEN_PCIBACK_GUEST_PV_H
#define SELFTEST_XEN_PCIBACK_GUEST_PV_H

#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"
#include "lib/xl.h"

#define BOOTS(n)	(300 + (n) * 300)	/* time for n boots of guests */

/* Is there what this program's guests need? Each defines that for itself. */
static bool possible(void);

FIXTURE(guest_pv)
{
	/* A card without FLR, and two functions that are alone in their slots */
	struct card card;
	struct fn nvme_port, nvme;
	struct fn nic_port, nic;
	struct owned owned;
	struct xl one, other;
	struct hw hw;
	char text[256];
	int klog;
};

FIXTURE_SETUP(guest_pv)
{
	memset(self, 0, sizeof(*self));
	if (!possible())
		SKIP(return, "not all is here that such a guest needs");
	xl_forget();
	self->card = card_find();
	self->nvme_port = fn_root(0x10);
	self->nvme = fn_below(self->nvme_port, 0, 0);
	self->nic_port = fn_root(0x12);
	self->nic = fn_below(self->nic_port, 0, 0);
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(guest_pv)
{
	unsigned int i;

	EXPECT_EQ(0, xl_destroy(&self->one));
	EXPECT_EQ(0, xl_destroy(&self->other));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	/* Or dom0's drivers could not use them: Xen keeps them in quarantine */
	for (i = 0; i < self->owned.nr; i++)
		xl_command("pci-assignable-remove %s", self->owned.fns[i].name);
	EXPECT_EQ(0, owned_release(&self->owned));
	expect_not_logged("cut here");
	klog_end(self->klog);
}

/* What holds when nobody has them any more */
#define expect_clean_again() do {					\
	EXPECT_TRUE(owned_wait_clean(&self->owned));			\
	expect_restored();						\
} while (0)

/* So many resets of the card, and nothing else */
#define expect_card_resets(times) do {					\
	unsigned int sbrs = times;					\
									\
	EXPECT_EQ(sbrs, hw_sbrs(&self->hw, self->card.port));		\
	EXPECT_EQ(CARD_FNS * sbrs, hw_all_resets(&self->hw));		\
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.fns[0]));			\
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card.fns[1]));			\
} while (0)

/*
 * The functions of a card leave the guest that runs and come back one by one, in each
 * order: one reset, when the last has left, and one before the first is there again.
 */
#define leave_and_return_in_each_order() do {				\
	static const unsigned int orders[][CARD_FNS] = {		\
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },			\
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },			\
	};								\
	unsigned int o, i;						\
	char address[32];						\
	struct fn fn;							\
									\
	for (o = 0; o < ARRAY_SIZE(orders); o++) {			\
		TH_LOG("order %u%u%u", orders[o][0], orders[o][1],	\
		       orders[o][2]);					\
		for (i = 0; i < CARD_FNS; i++) {			\
			xl_address(&self->one, self->card.fns[i],	\
				   address, sizeof(address));		\
			EXPECT_EQ(0, xl_run(&self->one, NULL, 0,	\
					    "scribble %s", address));	\
		}							\
									\
		hw_begin(&self->hw);					\
		for (i = 0; i < CARD_FNS - 1; i++) {			\
			fn = self->card.fns[orders[o][i]];		\
			ASSERT_EQ(0, xl_detach(&self->one, fn));	\
			EXPECT_EQ(1, fn_needs_reset(fn));		\
		}							\
		hw_end(&self->hw);					\
		expect_card_resets(0);					\
									\
		hw_begin(&self->hw);					\
		fn = self->card.fns[orders[o][i]];			\
		ASSERT_EQ(0, xl_detach(&self->one, fn));		\
		expect_clean_again();					\
		hw_end(&self->hw);					\
		expect_card_resets(1);					\
									\
		hw_begin(&self->hw);					\
		for (i = 0; i < CARD_FNS; i++) {			\
			fn = self->card.fns[orders[o][i]];		\
			ASSERT_EQ(0, xl_attach(&self->one, fn));	\
		}							\
		hw_end(&self->hw);					\
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));	\
		EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));		\
	}								\
} while (0)

#endif
