// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that a guest has: that they are out of reach then, come back reset and as
 * they were at bind time, and that nothing of a guest stays behind; and hand-outs that
 * meet a reset, or are refused. The guests are played (lib/guest.h).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/hold.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"
#include "lib/release.h"

/* Of no domain in this VM */
#define DOMAIN		7
#define OTHER_DOMAIN	8
#define ROUNDS		20
/* An FLR that a hand-out waits for, and one that it does not: it waits for 1 s */
#define SHORT_MS	300
#define AWAY_MS		3000
/* What others have to wait for a hand-out that is refused */
#define PROMPT_MS	(2500 * SLOWER)

/* What would come has come by then */
#define SETTLED_MS	(1000 * SLOWER)

/* Functions that pciback owns, and who has them */
FIXTURE(handout)
{
	struct owned owned;
	struct guest guest, other;
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(handout)
{
	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(handout)
{
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, hold_unload());
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, owned_release(&self->owned));
	/* The kernel has nothing to say of any of this */
	EXPECT_FALSE(klog_has(self->klog, "cut here", NULL, NULL, 0));
	EXPECT_FALSE(klog_has(self->klog, "WARNING:", NULL, NULL, 0));
	klog_end(self->klog);
}

#define adopt(...)							\
	ASSERT_EQ(0, owned_adopt(&self->owned, __VA_ARGS__))

/* As at bind time */
#define expect_restored(len)						\
	EXPECT_EQ(0, owned_changed(&self->owned, len))

/* A weak reset leaves the MSI address and the like: what nobody restores */
#define WEAKLY		PCI_STD_HEADER_SIZEOF
#define THOROUGHLY	PCI_CONFIG_SIZE

/* Do something with the hardware watched */
#define watched(ret, what) do {						\
	hw_begin(&self->hw);						\
	ASSERT_EQ(ret, what);						\
	hw_end(&self->hw);						\
} while (0)

#define expect_logged(fn, what)						\
	EXPECT_TRUE(klog_has(self->klog, (fn).name, what, NULL, 0))

/* Does a connected guest see of it what dom0 sees? */
#define expect_readable(target) do {					\
	struct fn named = target;					\
	uint32_t seen = 0;						\
									\
	EXPECT_EQ(0, guest_config_read(&self->guest, named,		\
				       PCI_VENDOR_ID, 4, &seen));	\
	EXPECT_EQ(fn_read(named, PCI_VENDOR_ID, 4), seen);		\
} while (0)

#define expect_unreadable(fn) do {					\
	uint32_t seen;							\
									\
	EXPECT_EQ(-EIO, guest_config_read(&self->guest, fn,		\
					  PCI_VENDOR_ID, 4, &seen));	\
} while (0)

static bool assigned_logged(int klog, struct fn fn, const char *step,
			    struct fn blocker, unsigned int domid)
{
	char what[80];

	snprintf(what, sizeof(what), "%sblocked by %s (assigned to domain %u)",
		 step, blocker.name, domid);
	return klog_has(klog, fn.name, what, NULL, 0);
}

/* Not even the weak reset that it has */
TEST_F(handout, without_own_reset)
{
	struct fn xhci = fn_below(fn_root(0x15), 0, 0);
	struct fn nic = fn_below(fn_root(0x12), 0, 0);

	adopt(xhci, nic);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 2));

	watched(-EBUSY, reset_device(xhci));
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x15)));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, xhci));
	EXPECT_TRUE(assigned_logged(self->klog, xhci, "", xhci, DOMAIN));

	watched(-EBUSY, reset_device(nic));
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x12)));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, nic));
	EXPECT_TRUE(assigned_logged(self->klog, nic, "", nic, DOMAIN));
}

/* A guest's function is as good as dom0's: the card is not reset below it */
TEST_F(handout, sibling)
{
	unsigned char before[PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	struct fn port = fn_root(0x13);
	struct fn first = fn_below(port, 0, 0), second = fn_below(port, 0, 1);
	struct fn third = fn_below(port, 0, 2);

	adopt(first, second, third);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &second, 1));
	fn_scribble(second);
	fn_read_config(second, 0, before, sizeof(before));

	watched(-EBUSY, reset_device(third));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, second));
	EXPECT_TRUE(assigned_logged(self->klog, third, "slot: ", second,
				    DOMAIN));

	/* What is left to the first function is done all the same */
	watched(-EBUSY, reset_device(first));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(1, hw_d3s(&self->hw, first));
	EXPECT_EQ(0, hw_all_writes(&self->hw, second));
	EXPECT_TRUE(assigned_logged(self->klog, first, "slot: ", second,
				    DOMAIN));

	fn_read_config(second, 0, after, sizeof(after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));

	/* And is not in the way any more */
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(fn_wait_clean(second));
	watched(0, reset_device(third));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	expect_restored(THOROUGHLY);
}

/* What comes back from a guest is reset, and as it was before it went there */
TEST_F(handout, released_flr)
{
	struct fn port = fn_root(0x10), nvme = fn_below(port, 0, 0);

	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	fn_scribble(nvme);
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nvme));

	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	expect_restored(THOROUGHLY);
}

/* Its FLR is none: by its slot */
TEST_F(handout, released_flr_does_nothing)
{
	struct fn port = fn_root(0x10), nvme = fn_below(port, 0, 0);

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nvme));
	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	fn_scribble(nvme);
	ASSERT_EQ(0, fault_set(nvme, "flr_swallow", 1));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nvme));

	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	expect_logged(nvme, "reset: flr: no effect");
	expect_restored(THOROUGHLY);
}

/* It has PM by itself, but is reset by its slot */
TEST_F(handout, released_pm)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	adopt(nic);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nic, 1));
	EXPECT_EQ(1, fn_needs_reset(nic));
	fn_scribble(nic);
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nic));

	EXPECT_EQ(0, hw_d3s(&self->hw, nic));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, fn_needs_reset(nic));
	expect_restored(THOROUGHLY);
}

/* Nor does it go on with DMA that its guest has set up, or the firmware */
TEST_F(handout, released_disabled)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);

	adopt(nvme);
	EXPECT_EQ(0, fn_read(nvme, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, fn_read(nvme, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

/* But what is behind a bridge is not the guest's */
TEST_F(handout, released_bridge)
{
	struct fn bridge = fn_below(fn_root(0x14), 0, 0);

	fn_write(bridge, PCI_COMMAND,
		 fn_read(bridge, PCI_COMMAND, 2) | PCI_COMMAND_MASTER, 2);
	adopt(bridge);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &bridge, 1));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(PCI_COMMAND_MASTER,
		  fn_read(bridge, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

/* All functions of a card to one guest, and back */
TEST_F(handout, card)
{
	struct fn port = fn_root(0x13);
	unsigned int i;

	adopt(fn_below(port, 0, 0), fn_below(port, 0, 1),
	      fn_below(port, 0, 2));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 3));
	for (i = 0; i < 3; i++)
		fn_scribble(self->owned.fns[i]);
	watched(-EBUSY, reset_device(self->owned.fns[0]));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	/* One reset a hand-over, and it is for all of them */
	watched(0, guest_destroy(&self->guest) ?:
		   !fn_wait_clean(self->owned.fns[1]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, fn_needs_reset(self->owned.fns[i]));
	expect_restored(THOROUGHLY);
}

/*
 * A part of a card, of which dom0 has the rest: each is released while the guest has
 * others still, but when all are back there is nothing to wait for
 */
TEST_F(handout, part_of_card)
{
	struct fn port = fn_root(0x13);
	struct fn first = fn_below(port, 0, 0), second = fn_below(port, 0, 1);

	adopt(first, second);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 2));
	fn_scribble(first);
	fn_scribble(second);
	hw_begin(&self->hw);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	usleep(SETTLED_MS * 1000);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_d3s(&self->hw, first));
	EXPECT_EQ(1, hw_d3s(&self->hw, second));
	expect_restored(WEAKLY);
}

/*
 * A card that two guests share: not reset while either runs, whoever goes
 * first, and reset once when the second has gone.
 */
TEST_F(handout, card_of_two_guests)
{
	struct fn port = fn_root(0x13);

	adopt(fn_below(port, 0, 0), fn_below(port, 0, 1),
	      fn_below(port, 0, 2));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 2));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, self->owned.fns + 2,
				  1));

	/* As xl does on detach, before the functions leave the guest */
	watched(0, do_flr(self->owned.fns[0]));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->owned.fns[0]));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[1]));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[2]));

	watched(0, guest_destroy(&self->guest) ?: do_flr(self->owned.fns[0]));
	EXPECT_EQ(0, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[2]));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[0]));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[1]));

	watched(0, guest_destroy(&self->other) ?:
		   !fn_wait_clean(self->owned.fns[0]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[0]));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[1]));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[2]));
}

/*
 * How xenopsd resets a function (ocaml/xenopsd/xc/device.ml): by its reset file,
 * else by do_flr, with the address and no newline; whatever comes of it.
 */
static void xenopsd_reset(struct fn fn)
{
	char path[256];

	fn_path(fn, "reset", path, sizeof(path));
	if (!access(path, F_OK))
		write_string(path, "1");
	else
		do_flr(fn);
}

/*
 * All that xenopsd does to a card: when a VM starts it binds and resets one
 * function after the other, before it assigns them; when the VM is destroyed it
 * resets them while they are the guest's, and takes them away after that. A PV
 * VM: of what it gives to an HVM one it does not tell pciback.
 */
TEST_F(handout, xenopsd)
{
	struct card card = card_find();
	struct fn *fns = self->owned.fns;
	unsigned int i;
	char path[256];

	/* The third is one for do_flr */
	fn_path(card.third, "reset", path, sizeof(path));
	ASSERT_NE(0, access(path, F_OK));
	adopt(card.first, card.second, card.third);
	ASSERT_EQ(0, card_release(&card));

	hw_begin(&self->hw);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/new_slot",
					  fns[i].name));
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/bind", fns[i].name));
		xenopsd_reset(fns[i]);
	}
	hw_end(&self->hw);
	/* The last is asked for when all are there */
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, fn_needs_reset(fns[i]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));

	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, fns, 3));
	EXPECT_FALSE(klog_has(self->klog, "handed out although", NULL, NULL,
			      0));
	for (i = 0; i < 3; i++)
		fn_scribble(fns[i]);

	hw_begin(&self->hw);
	for (i = 0; i < 3; i++)
		xenopsd_reset(fns[i]);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	watched(0, guest_destroy(&self->guest) ?:
		   !fn_wait_clean(card.third));
	EXPECT_EQ(1, hw_sbrs(&self->hw, card.port));
	EXPECT_EQ(3, hw_all_resets(&self->hw));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, fn_needs_reset(fns[i]));
	expect_restored(THOROUGHLY);
}

/* auto_reset=0: what comes back stays as dirty as it is until somebody asks */
TEST_F(handout, left_to_the_toolstack)
{
	struct fn port = fn_root(0x13);

	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	adopt(fn_below(port, 0, 0), fn_below(port, 0, 1),
	      fn_below(port, 0, 2));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 3));
	hw_begin(&self->hw);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	usleep(SETTLED_MS * 1000);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_d3s(&self->hw, self->owned.fns[0]));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[0]));
	expect_restored(WEAKLY);

	watched(0, reset_device(self->owned.fns[0]));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[2]));
}

/* What is dirty goes with a warning, or not at all: a new guest says why */
TEST_F(handout, strict)
{
	struct fn port = fn_root(0x13);
	char error[256];
	int klog;

	/* Two of three: nothing can make them clean */
	adopt(fn_below(port, 0, 0), fn_below(port, 0, 1));
	EXPECT_EQ(1, fn_needs_reset(self->owned.fns[0]));

	klog = klog_begin();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 1));
	EXPECT_TRUE(klog_has(klog, self->owned.fns[0].name, "still needs a reset",
			     NULL, 0));
	ASSERT_EQ(0, guest_destroy(&self->guest));

	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	watched(-EIO, guest_create(&self->guest, DOMAIN, self->owned.fns, 1));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	guest_error(&self->guest, error, sizeof(error));
	EXPECT_NE(NULL, strstr(error, "needs a reset first (strict)")) {
		TH_LOG("%s", error);
	}
	EXPECT_NE(NULL, strstr(error, self->owned.fns[0].name));
	ASSERT_EQ(0, guest_destroy(&self->guest));

	/* And once they are whole, and were reset, they go */
	adopt(fn_below(port, 0, 2));
	ASSERT_EQ(0, reset_device(self->owned.fns[2]));
	EXPECT_EQ(0, fn_needs_reset(self->owned.fns[0]));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 3));
}

/* A function refused to a running guest takes nothing from it */
TEST_F(handout, strict_attach)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	struct fn nic = fn_below(fn_root(0x13), 0, 0);
	char error[256];

	adopt(nvme, rng, nic);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	EXPECT_EQ(-EIO, guest_attach(&self->guest, nic));
	guest_error(&self->guest, error, sizeof(error));
	EXPECT_NE(NULL, strstr(error, "(strict)")) {
		TH_LOG("%s", error);
	}

	/* Its first is still its own, and others come and go */
	ASSERT_EQ(0, guest_attach(&self->guest, rng));
	ASSERT_EQ(-EBUSY, reset_device(rng));
	expect_logged(rng, "assigned to domain 7");
	ASSERT_EQ(0, guest_detach(&self->guest, rng));
	ASSERT_EQ(-EBUSY, reset_device(nvme));
	expect_logged(nvme, "assigned to domain 7");
}

/*
 * The same once its frontend is connected: the refused one fails alone, and what
 * the guest has works on. xl does not notice, and detaches it some time.
 */
TEST_F(handout, strict_attach_connected)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	struct card card = card_find();
	char error[256];

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(nvme, rng, card.first);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, guest_create(&self->guest, 0, &nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	watched(-EIO, guest_attach(&self->guest, card.first));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, card.first));
	guest_error(&self->guest, error, sizeof(error));
	EXPECT_NE(NULL, strstr(error, "(strict)")) {
		TH_LOG("%s", error);
	}
	EXPECT_NE(NULL, strstr(error, card.first.name));
	EXPECT_TRUE(guest_connected(&self->guest));
	expect_readable(nvme);
	expect_unreadable(card.first);

	/* Others come and go beside it */
	ASSERT_EQ(0, guest_attach(&self->guest, rng));
	expect_readable(rng);
	ASSERT_EQ(0, guest_detach(&self->guest, rng));
	ASSERT_EQ(0, guest_detach(&self->guest, card.first));
	EXPECT_TRUE(guest_connected(&self->guest));
	expect_readable(nvme);

	/* It is nobody's, can be made clean, and is not refused then */
	adopt(card.second, card.third);
	ASSERT_EQ(0, reset_device(card.first));
	ASSERT_EQ(0, guest_attach(&self->guest, card.first));
	expect_readable(card.first);
	expect_readable(nvme);
	ASSERT_EQ(0, guest_detach(&self->guest, card.first));
	ASSERT_EQ(0, guest_attach(&self->guest, rng));
	expect_readable(rng);
}

/* Handed out in the middle of its reset: it waits, and then it is there */
TEST_F(handout, in_reset)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	pid_t pid;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nvme));
	adopt(nvme);

	hw_begin(&self->hw);
	pid = fault_begin_reset(nvme, SHORT_MS);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	EXPECT_EQ(0, wait_for_child(pid));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	EXPECT_FALSE(klog_has(self->klog, nvme.name, "still needs a reset",
			      NULL, 0));
}

/*
 * A reset that takes longer than a hand-out waits: the function is refused, and other
 * guests are not kept waiting. It stays so until the toolstack asks anew.
 */
TEST_F_TIMEOUT(handout, reset_outlasts_guest, 120)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	char error[256];
	long long start;
	pid_t pid;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nvme));
	adopt(nvme, rng);

	pid = fault_begin_reset(nvme, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	start = now_ms();
	EXPECT_EQ(0, guest_begin(&self->guest, DOMAIN, &nvme, 1));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &rng, 1));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	EXPECT_FALSE(guest_has(&self->guest, nvme));
	guest_error(&self->guest, error, sizeof(error));
	EXPECT_NE(NULL, strstr(error, "is being reset")) {
		TH_LOG("%s", error);
	}
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	ASSERT_EQ(0, fault_set(nvme, "flr_away_ms", 0));
	ASSERT_EQ(0, fault_set(nvme, "heal", 1));
	EXPECT_EQ(0, wait_for_child(pid));

	/* As far as Xen goes the guest may have it, and does not get it later on */
	ASSERT_EQ(-EBUSY, reset_device(nvme));
	expect_logged(nvme, "assigned to domain 7");
	EXPECT_FALSE(guest_has(&self->guest, nvme));

	/* It is nobody's, and the next one's */
	EXPECT_EQ(0, guest_destroy(&self->guest));
	ASSERT_EQ(0, reset_device(nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	EXPECT_TRUE(guest_has(&self->guest, nvme));
	ASSERT_EQ(-EBUSY, reset_device(rng));
	expect_logged(rng, "assigned to domain 8");
}

/*
 * Attached to a guest that runs, in the middle of its reset: the attach takes as
 * long as the reset, and no other function of the guest's is concerned.
 */
TEST_F(handout, attach_in_reset)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	pid_t pid;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(rng));
	adopt(nvme, rng);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	hw_begin(&self->hw);
	pid = fault_begin_reset(rng, SHORT_MS);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, guest_attach(&self->guest, rng));
	/* Its reset is over, or it would be fenced */
	expect_readable(rng);
	expect_readable(nvme);
	EXPECT_TRUE(guest_connected(&self->guest));
	EXPECT_EQ(0, wait_for_child(pid));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, rng));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_FALSE(klog_has(self->klog, rng.name, "still needs a reset",
			      NULL, 0));
}

/*
 * The same in a reset that takes longer: that one fails alone, what the guest has works
 * on, and when it is attached anew it is there.
 */
TEST_F(handout, attach_in_long_reset)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	long long start;
	pid_t pid;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(rng));
	adopt(nvme, rng);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	pid = fault_begin_reset(rng, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	start = now_ms();
	EXPECT_EQ(-EIO, guest_attach(&self->guest, rng));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	EXPECT_FALSE(guest_has(&self->guest, rng));
	expect_unreadable(rng);
	expect_readable(nvme);
	EXPECT_TRUE(guest_connected(&self->guest));
	ASSERT_EQ(0, fault_set(rng, "flr_away_ms", 0));
	ASSERT_EQ(0, fault_set(rng, "heal", 1));
	EXPECT_EQ(0, wait_for_child(pid));

	ASSERT_EQ(0, guest_detach(&self->guest, rng));
	ASSERT_EQ(0, guest_attach(&self->guest, rng));
	expect_readable(rng);
	expect_readable(nvme);
}

/*
 * An unbind that gets in between a guest's going and the release of its
 * functions: both wait here for a reset to let go of the device lock, the unbind
 * first.
 */
TEST_F(handout, unbind_while_destroyed)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	pid_t resetting, unbinding;

	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nvme));
	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));

	resetting = fault_begin_core_reset(nvme, AWAY_MS);
	ASSERT_LT(0, resetting);
	unbinding = fork();
	if (!unbinding)
		_exit(-fn_release(nvme));
	usleep(300000);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, wait_for_child(resetting));
	EXPECT_EQ(0, wait_for_child(unbinding));
	ASSERT_EQ(0, fault_unload());

	/* Nobody has it any more, and nothing keeps it */
	EXPECT_EQ(1, release_count(fn_root(0x10), &nvme, 1));
}

/*
 * An unbind when the backend has just got the function, and not told its guest: it
 * waits for the backend to have done so, and then takes it away.
 */
TEST_F(handout, unbind_while_handed_out)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	pid_t unbinding;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, hold_load());
	adopt(nvme);

	ASSERT_EQ(0, hold_at_return("pcistub_get_pci_dev_by_slot"));
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, &nvme, 1));
	EXPECT_TRUE(hold_wait());
	unbinding = fork();
	if (!unbinding)
		_exit(-fn_release(nvme));
	/* For the device lock: some kernels take it to set driver_override, too */
	EXPECT_TRUE(hold_waits_in(unbinding, "vfs_write"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(unbinding));
	EXPECT_EQ(0, guest_wait(&self->guest));
	ASSERT_EQ(0, guest_destroy(&self->guest));

	/* Nobody has it any more, and nothing keeps it */
	EXPECT_EQ(1, release_count(fn_root(0x10), &nvme, 1));

	/* Nor anybody's name on it */
	ASSERT_EQ(0, fn_adopt(nvme));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &nvme, 1));
	EXPECT_FALSE(klog_has(self->klog, nvme.name, "Stealing ownership", NULL,
			      0));
}

/* Functions come and go while the guest runs */
TEST_F(handout, attach_and_detach)
{
	struct fn port = fn_root(0x10), nvme = fn_below(port, 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	int klog;

	adopt(nvme, rng);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	/* Before its frontend is there */
	ASSERT_EQ(0, guest_attach(&self->guest, rng));
	fn_scribble(nvme);
	fn_scribble(rng);

	watched(0, guest_detach(&self->guest, nvme) ?: !fn_wait_clean(nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(0, hw_flrs(&self->hw, rng));
	EXPECT_EQ(1, hw_all_resets(&self->hw));

	/* One is pciback's again, the other is not */
	klog = klog_begin();
	watched(0, reset_device(nvme));
	EXPECT_FALSE(klog_has(klog, nvme.name, "assigned", NULL, 0));
	ASSERT_EQ(-EBUSY, reset_device(rng));
	EXPECT_TRUE(klog_has(klog, rng.name, "assigned to domain 7", NULL, 0));
	klog_end(klog);

	/* And afterwards */
	ASSERT_EQ(0, guest_attach(&self->guest, nvme));
	fn_scribble(nvme);
	ASSERT_EQ(0, guest_detach(&self->guest, rng));
	ASSERT_TRUE(fn_wait_clean(rng));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	EXPECT_EQ(0, hw_flrs(&self->hw, rng));
	expect_restored(THOROUGHLY);
}

/* Two guests cannot have the same, and who does not own it cannot give it */
TEST_F(handout, refused)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);
	char error[256];

	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	watched(-EIO, guest_create(&self->other, OTHER_DOMAIN, &nvme, 1));
	guest_error(&self->other, error, sizeof(error));
	EXPECT_NE(NULL, strstr(error, "already in-use")) {
		TH_LOG("%s", error);
	}
	ASSERT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, hw_all_writes(&self->hw, nvme));

	ASSERT_EQ(-EIO, guest_create(&self->other, OTHER_DOMAIN, &rng, 1));
	guest_error(&self->other, error, sizeof(error));
	EXPECT_NE(NULL, strstr(error, "Couldn't locate PCI device"));
	ASSERT_EQ(0, guest_destroy(&self->other));

	/* Nor can a guest that runs already get it */
	watched(-EIO, guest_attach(&self->guest, rng));
	EXPECT_EQ(0, hw_all_writes(&self->hw, rng));

	/* The first guest still has its own */
	EXPECT_TRUE(guest_has(&self->guest, nvme));
	ASSERT_EQ(-EBUSY, reset_device(nvme));
	expect_logged(nvme, "assigned to domain 7");
}

/* Taken from a guest that still runs: not a good idea, but it must work */
TEST_F(handout, unbind)
{
	struct fn port = fn_root(0x10), nvme = fn_below(port, 0, 0);

	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	fn_scribble(nvme);
	watched(0, fn_release(nvme));
	EXPECT_LE(1, hw_flrs(&self->hw, nvme));
	expect_logged(nvme, "while still in-use by domain 7");
	/* An unbind gives back what it found: firmware may have turned that on */
	fn_write(nvme, PCI_COMMAND, fn_read(nvme, PCI_COMMAND, 2) &
		 ~PCI_COMMAND_MASTER, 2);
	expect_restored(THOROUGHLY);
	ASSERT_EQ(0, guest_destroy(&self->guest));
	expect_restored(THOROUGHLY);

	EXPECT_EQ(1, release_count(port, &nvme, 1));
	ASSERT_TRUE(fn_exists(nvme));

	/* All from the start */
	ASSERT_EQ(0, fn_adopt(nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
}

/* By way of the guest's own config accesses */
TEST_F(handout, frontend)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	unsigned int used = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint32_t val;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	expect_readable(nvme);

	/* pciback lets a guest have that much */
	EXPECT_EQ(0, guest_config_write(&self->guest, nvme, PCI_COMMAND, 2,
					used));
	EXPECT_EQ(used, fn_read(nvme, PCI_COMMAND, 2) & used);
	EXPECT_EQ(0, guest_config_write(&self->guest, nvme,
					PCI_CACHE_LINE_SIZE, 1, 0x20));
	EXPECT_EQ(0x20, fn_read(nvme, PCI_CACHE_LINE_SIZE, 1));

	/* The guest does not lose what it had written to whoever asks for a reset */
	watched(-EBUSY, reset_device(nvme));
	EXPECT_EQ(0, hw_all_writes(&self->hw, nvme));
	EXPECT_EQ(0, guest_config_read(&self->guest, nvme, PCI_COMMAND, 2,
				       &val));
	EXPECT_EQ(used, val & used);
	EXPECT_EQ(used, fn_read(nvme, PCI_COMMAND, 2) & used);
	EXPECT_EQ(0x20, fn_read(nvme, PCI_CACHE_LINE_SIZE, 1));

	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_TRUE(fn_wait_clean(nvme));
	expect_restored(THOROUGHLY);
}

/* In the middle of anybody's reset its guest gets errors, and afterwards its function */
TEST_F(handout, frontend_in_reset)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	unsigned int refused = 0, tries;
	uint32_t val;
	pid_t pid;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, fault_add(nvme));
	adopt(nvme);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	pid = fault_begin_core_reset(nvme, FAULT_FOR_EVER);
	ASSERT_LT(0, pid);
	/* Not a write of it gets there, nor is silence told it as an answer */
	for (tries = 0; tries < 5; tries++) {
		refused += guest_config_write(&self->guest, nvme,
					      PCI_CACHE_LINE_SIZE, 1,
					      0x10) == -EIO;
		refused += guest_config_read(&self->guest, nvme, PCI_VENDOR_ID,
					     4, &val) == -EIO;
		refused += guest_disable_msi(&self->guest, nvme) == -EIO;
		usleep(50000);
	}
	EXPECT_EQ(0, fault_writes(nvme, PCI_CACHE_LINE_SIZE));
	EXPECT_EQ(0, fault_set(nvme, "flr_away_ms", 0));
	EXPECT_EQ(0, fault_set(nvme, "heal", 1));
	EXPECT_EQ(0, wait_for_child(pid));
	EXPECT_EQ(3 * tries, refused);

	expect_readable(nvme);
	EXPECT_EQ(0, guest_disable_msi(&self->guest, nvme));
}

/*
 * One that was unbound from under its guest leaves its place on the guest's bus to
 * the next. When it is detached at last, that one stays the guest's.
 */
TEST_F(handout, detach_unbound)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn nic = fn_below(fn_root(0x12), 0, 0);

	adopt(nvme, nic);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	ASSERT_EQ(0, fn_release(nvme));
	ASSERT_EQ(0, guest_attach(&self->guest, nic));
	ASSERT_EQ(0, guest_detach(&self->guest, nvme));

	watched(-EBUSY, reset_device(nic));
	EXPECT_EQ(0, hw_sbrs(&self->hw, fn_root(0x12)));
	EXPECT_TRUE(assigned_logged(self->klog, nic, "", nic, DOMAIN));
}

/* Half an address is a mistake, and not the name of something that is gone */
TEST_F(handout, half_named)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn rng = fn_below(fn_root(0x17), 0, 0);

	adopt(nvme, rng);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &nvme, 1));
	hw_begin(&self->hw);
	guest_rename(&self->guest, nvme, "0000:01");
	/* pciback has looked at the list again when this is there */
	ASSERT_EQ(0, guest_attach(&self->guest, rng));
	usleep(SETTLED_MS * 1000);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	ASSERT_EQ(-EBUSY, reset_device(nvme));
	expect_logged(nvme, "assigned to domain 7");

	watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
}

/* A guest whose function comes and goes is answered all the time */
TEST_F_TIMEOUT(handout, access_while_unbound, 300)
{
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	struct fn nic = fn_below(fn_root(0x12), 0, 0);
	unsigned int i, refused = 0;
	int ret, status;
	uint32_t val;
	pid_t pid;

	adopt(nvme, nic);
	ASSERT_EQ(0, guest_create(&self->guest, 0, self->owned.fns, 2));
	ASSERT_EQ(0, guest_connect(&self->guest));
	ASSERT_EQ(0, guest_config_read(&self->guest, nvme, PCI_VENDOR_ID, 4,
				       &val));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < ROUNDS; i++) {
			usleep(i * 1000);
			if (fn_release(nvme) || fn_adopt(nvme))
				_exit(1);
		}
		_exit(0);
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		ret = guest_config_read(&self->guest, nvme, PCI_VENDOR_ID, 4,
					&val);
		ASSERT_TRUE(!ret || ret == -EIO) {
			TH_LOG("%d", ret);
		}
		refused += !!ret;
		ASSERT_EQ(0, guest_config_read(&self->guest, nic, PCI_VENDOR_ID,
					       4, &val));
	}
	EXPECT_EQ(0, status);
	EXPECT_LT(0, refused);
}

/* Many guests, one after the other, and nothing of them is left */
TEST_F_TIMEOUT(handout, many, 10 * ROUNDS)
{
	struct fn port = fn_root(0x13);
	struct fn nvme = fn_below(fn_root(0x10), 0, 0);
	unsigned int i;

	adopt(fn_below(port, 0, 0), fn_below(port, 0, 2), nvme);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->owned.fns, 3));
		fn_scribble(nvme);
		watched(0, guest_destroy(&self->guest) ?: !fn_wait_clean(nvme));
		/* What there is for the others is done by then, too */
		usleep(200000 * SLOWER);
		EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
		EXPECT_EQ(0, hw_sbrs(&self->hw, port));
		expect_restored(THOROUGHLY);
	}

	ASSERT_EQ(0, unload_module("xen_pciback"));
	EXPECT_EQ(2, release_count(port, self->owned.fns, 2));
	EXPECT_EQ(1, release_count(fn_root(0x10), &nvme, 1));
	ASSERT_EQ(0, load_pciback(""));
}

TEST_HARNESS_MAIN
