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

#define CARD_FNS	3
#define BOOTS(n)	(300 + (n) * 300)	/* time for n boots of guests */

/* Is there what this program's guests need? Each defines that for itself. */
static bool possible(void);

FIXTURE(guest_pv)
{
	/* A card without FLR, and two functions that are alone in their slots */
	struct fn card_port, card[CARD_FNS];
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
	struct card card = card_find();

	memset(self, 0, sizeof(*self));
	if (!possible())
		SKIP(return, "not all is here that such a guest needs");
	xl_forget();
	self->card_port = card.port;
	self->card[0] = card.first;
	self->card[1] = card.second;
	self->card[2] = card.third;
	self->nvme_port = fn_root(0x10);
	self->nvme = fn_below(self->nvme_port, 0, 0);
	self->nic_port = fn_root(0x12);
	self->nic = fn_below(self->nic_port, 0, 0);
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(guest_pv)
{
	EXPECT_EQ(0, xl_destroy(&self->one));
	EXPECT_EQ(0, xl_destroy(&self->other));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, owned_release(&self->owned));
	EXPECT_FALSE(klog_has(self->klog, "cut here", NULL, NULL, 0));
	klog_end(self->klog);
}

#define own(...)	ASSERT_EQ(0, owned_adopt(&self->owned, __VA_ARGS__))
#define own_card()							\
	own(self->card[0], self->card[1], self->card[2])

/* What holds when nobody has them any more */
#define expect_clean_again() do {					\
	EXPECT_TRUE(owned_wait_clean(&self->owned));			\
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));	\
} while (0)

/* So many resets of the card, and nothing else */
#define expect_card_resets(times) do {					\
	unsigned int sbrs = times;					\
									\
	EXPECT_EQ(sbrs, hw_sbrs(&self->hw, self->card_port));		\
	EXPECT_EQ(CARD_FNS * sbrs, hw_all_resets(&self->hw));		\
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card[0]));			\
	EXPECT_EQ(0, hw_d3s(&self->hw, self->card[1]));			\
} while (0)

#endif
