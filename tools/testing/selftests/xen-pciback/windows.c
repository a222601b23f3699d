// SPDX-License-Identifier: GPL-2.0
/*
 * Races, made certain: one task is held between two steps of a reset, a hand-out or an unbind
 * (lib/hold.h), while another task acts. races.c does the same in many rounds, and holds no
 * task.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/aer.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/hold.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"
#include "lib/release.h"

/* Much more than an FLR takes, and less than anybody is held */
#define FLR_MS		20000
/* What others have to wait for a hand-out that is refused: that waits for 1 s */
#define PROMPT_MS	(2500 * SLOWER)

#define DYNAMIC_DEBUG	"/sys/kernel/debug/dynamic_debug/control"
#define REMOVING	"format \"found device to remove\""

FIXTURE(window)
{
	struct card card;
	struct fn nvme, rng;
	struct owned owned;
	struct guest guest, other;
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(window)
{
	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);
	ASSERT_EQ(0, hold_load());
	self->card = card_find();
	self->nvme = fn_below(fn_root(0x10), 0, 0);
	self->rng = fn_below(fn_root(0x17), 0, 0);
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(window)
{
	EXPECT_EQ(0, hold_unload());
	EXPECT_EQ(0, fault_unload());
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->other));
	EXPECT_EQ(0, owned_release(&self->owned));
	/* The kernel has nothing to say of any of this */
	expect_not_logged("cut here");
	expect_not_logged("while still in-use");
	klog_end(self->klog);
}

/* A reset of the whole card, up to where it comes to @function, or is done with it */
#define begin_reset(hold_at, function) ({				\
	pid_t resetting;						\
									\
	ASSERT_EQ(0, hold_at(function));				\
	hw_begin(&self->hw);						\
	resetting = in_child(reset_device(self->card.third));		\
	ASSERT_TRUE(hold_wait());					\
	resetting;							\
})

/* Up to where the set has been walked, and nothing is held yet: the second walk */
#define begin_checking() ({						\
	pid_t checking = begin_reset(hold_at_return, "pci_walk_bus");		\
									\
	ASSERT_EQ(0, hold_next());					\
	ASSERT_TRUE(hold_wait());					\
	checking;							\
})

/* In the middle of the reset: the core is done, its result is not looked at */
#define begin_reset_of_set()	begin_reset(hold_at_return, "pci_reset_bus")

/* And the rest of it */
#define end_reset(ret, resetting, sbrs) do {				\
	unsigned int times = sbrs;					\
									\
	EXPECT_EQ(0, hold_let_go());					\
	EXPECT_EQ(ret, wait_for_child(resetting));			\
	hw_end(&self->hw);						\
	EXPECT_EQ(times, hw_sbrs(&self->hw, self->card.port));		\
	EXPECT_EQ(3 * times, hw_all_resets(&self->hw));			\
} while (0)

/* -- a claim that only checks gives way ------------------------------------- */

TEST_F(window, unbind_while_checking)
{
	pid_t resetting;

	adopt_card();
	resetting = begin_checking();
	EXPECT_EQ(0, fn_release(self->card.second));
	end_reset(-EBUSY, resetting, 0);
}

/* Nor if as many are owned as before: another one has come */
TEST_F(window, unbind_and_bind_while_checking)
{
	pid_t resetting;

	adopt(self->card.first, self->card.second);
	ASSERT_EQ(0, fn_write_file(self->card.third, "remove", "1"));

	ASSERT_EQ(0, hold_at_return("pci_walk_bus"));
	hw_begin(&self->hw);
	resetting = in_child(reset_device(self->card.second));
	ASSERT_TRUE(hold_wait());
	ASSERT_EQ(0, hold_next());
	ASSERT_TRUE(hold_wait());
	EXPECT_EQ(0, fn_release(self->card.first));
	EXPECT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	adopt(self->card.third);
	end_reset(-EBUSY, resetting, 0);
}

/*
 * On the way out it is on no list any more, but its driver's still: for as long as that
 * takes the reset is not tried
 */
TEST_F(window, check_while_unbinding)
{
	pid_t resetting, unbinding;

	adopt_card();
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_reset_locked"));
	unbinding = in_child(fn_release(self->card.second));
	ASSERT_TRUE(hold_wait());
	calls_begin("pci_reset_bus");
	hw_begin(&self->hw);
	resetting = in_child(reset_device(self->card.third));
	usleep(500000);
	EXPECT_EQ(0, calls_end());
	end_reset(-EBUSY, resetting, 0);
	EXPECT_EQ(0, wait_for_child(unbinding));
}

TEST_F(window, handout_while_checking)
{
	pid_t resetting;

	adopt_card();
	resetting = begin_checking();
	EXPECT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
	end_reset(-EBUSY, resetting, 0);
	EXPECT_TRUE(klog_has(self->klog, self->card.third.name,
			     "assigned to domain 7", NULL, 0));
}

/* -- nobody leaves one that holds its set ------------------------------------ */

/* The unbind has the device lock that the core tries for: it comes first */
TEST_F(window, unbind_before_the_locks)
{
	pid_t resetting, unbinding;

	adopt_card();
	resetting = begin_reset(hold_at_entry, "pci_reset_bus");
	unbinding = in_child(fn_release(self->card.second));
	EXPECT_TRUE(hold_waits_in(unbinding, "xen_pcibk_reset_leave"));
	end_reset(-EBUSY, resetting, 0);
	EXPECT_EQ(0, wait_for_child(unbinding));
}

TEST_F(window, unbind_after_the_locks)
{
	pid_t resetting, unbinding;

	adopt_card();
	resetting = begin_reset_of_set();
	unbinding = in_child(fn_release(self->card.second));
	EXPECT_TRUE(hold_waits_in(unbinding, "xen_pcibk_reset_leave"));
	end_reset(0, resetting, 1);
	EXPECT_EQ(0, wait_for_child(unbinding));
}

/*
 * Nor comes to it: the guest is refused its function, and the other guest's, which was
 * asked for later, is not kept by that for long.
 */
TEST_F(window, handout_in_reset_of_set)
{
	pid_t resetting;
	long long start;

	adopt_card();
	adopt(self->nvme);
	resetting = begin_reset_of_set();
	start = now_ms();
	EXPECT_EQ(0, guest_begin(&self->guest, DOMAIN, &self->card.second, 1));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	EXPECT_FALSE(guest_has(&self->guest, self->card.second));
	end_reset(0, resetting, 1);
	EXPECT_FALSE(guest_has(&self->guest, self->card.second));

	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_create(&self->guest, DOMAIN, &self->card.second, 1));
}

/* All that it wants comes before it gives up: one second in all, not for each */
TEST_F(window, handouts_in_reset_of_set)
{
	struct fn fns[] = { self->card.first, self->card.second, self->nvme };
	pid_t resetting;
	long long start;

	adopt_card();
	adopt(self->nvme, self->rng);
	resetting = begin_reset_of_set();
	start = now_ms();
	EXPECT_EQ(0, guest_begin(&self->guest, DOMAIN, fns, 3));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->rng, 1));
	EXPECT_GE(PROMPT_MS, now_ms() - start);
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	EXPECT_EQ(0, guest_wait_backend(&self->guest, STATE_INITIALISED));
	/* Those that it was refused keep nothing from it */
	EXPECT_TRUE(guest_has(&self->guest, self->nvme));
	EXPECT_FALSE(guest_has(&self->guest, self->card.first));
	EXPECT_FALSE(guest_has(&self->guest, self->card.second));
	end_reset(0, resetting, 1);
}

/*
 * A do_flr that ends the use by one guest does not end the next one's. Its backend
 * may be where the former one's was: pciback's memory is used again.
 */
TEST_F(window, do_flr_between_two_guests)
{
	pid_t asking;

	adopt(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, hold_at_entry("pcibk_reset"));
	asking = in_child(do_flr(self->nvme));
	ASSERT_TRUE(hold_wait());
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));

	hw_begin(&self->hw);
	EXPECT_EQ(0, hold_let_go());
	/* A farewell: of that guest, which is gone */
	EXPECT_EQ(0, wait_for_child(asking));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_flrs(&self->hw, self->nvme));
	/* It has it still */
	EXPECT_EQ(-EBUSY, reset_device(self->nvme));
}

/* What covers an idle function does not cover one that is being handed out */
TEST_F(window, do_flr_in_handout)
{
	pid_t asking;

	adopt_card();
	ASSERT_EQ(0, do_flr(self->card.first));
	ASSERT_EQ(0, hold_at_return("pcistub_get_pci_dev"));
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, &self->card.second, 1));
	ASSERT_TRUE(hold_wait());
	guest_remove(&self->guest);

	hw_begin(&self->hw);
	asking = in_child(do_flr(self->card.second));
	/* It waits for the device lock */
	usleep(300 * 1000);
	EXPECT_EQ(0, waitpid(asking, NULL, WNOHANG));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(asking));
	hw_end(&self->hw);
	/* The release that pciback hears of then may be one more */
	EXPECT_LE(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_TRUE(fn_wait_clean(self->card.second));
}

/* -- who is on its way out -------------------------------------------------- */

/* Is not handed out. The driver says nothing there, unless it is asked to. */
TEST_F(window, handout_while_unbound)
{
	pid_t unbinding;

	adopt(self->nvme, self->rng);
	ASSERT_EQ(0, write_string(DYNAMIC_DEBUG, REMOVING " +p"));
	ASSERT_EQ(0, hold_at_entry("__dynamic_dev_dbg"));
	unbinding = in_child(fn_release(self->nvme));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, guest_begin(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->rng, 1));
	EXPECT_FALSE(guest_has(&self->guest, self->nvme));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, write_string(DYNAMIC_DEBUG, REMOVING " -p"));
	EXPECT_EQ(0, wait_for_child(unbinding));
	/* There is nothing any more that it could be given */
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
}

/*
 * Is detached while it is removed: both wait for the device lock, and the one that
 * comes second finds the function as long as it needs it.
 */
TEST_F(window, detach_while_removed)
{
	pid_t resetting, removing, detaching;

	adopt(self->nvme, self->rng);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->rng, 1));
	ASSERT_EQ(0, guest_attach(&self->guest, self->nvme));
	/* By the core's own file, which has the device lock meanwhile */
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_reset_prepare"));
	resetting = in_child(fn_write_file(self->nvme, "reset", "1"));
	EXPECT_TRUE(hold_wait());
	removing = in_child(fn_write_file(self->nvme, "remove", "1"));
	EXPECT_TRUE(hold_waits_in(removing, "remove_store"));
	detaching = in_child(guest_detach(&self->guest, self->nvme));
	EXPECT_TRUE(hold_waits_in(guest_xenwatch(), "xen_pcibk_release_pci_dev"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(resetting));
	EXPECT_EQ(0, wait_for_child(removing));
	EXPECT_EQ(0, wait_for_child(detaching));
	EXPECT_FALSE(fn_exists(self->nvme));
	/* If the removal came first it was a guest's then, and that is told */
	klog_end(self->klog);
	self->klog = klog_begin();

	EXPECT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_EQ(0, fn_adopt(self->nvme));
	EXPECT_EQ(0, reset_device(self->nvme));
}

/* Waits for its files' readers: what they read is the function's */
TEST_F(window, unbind_while_read)
{
	pid_t reading, unbinding;

	adopt(self->nvme);
	ASSERT_EQ(0, hold_at_entry("last_reset_show"));
	reading = in_child(!strstr(fn_last_reset(self->nvme), "flr: ok"));
	EXPECT_TRUE(hold_wait());
	unbinding = in_child(fn_release(self->nvme));
	EXPECT_TRUE(hold_waits_in(unbinding, "unbind_store"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(reading));
	EXPECT_EQ(0, wait_for_child(unbinding));
}

/* -- who comes meanwhile ---------------------------------------------------- */

/* A guest that wedges its card does not keep anybody from looking for others */
TEST_F(window, rescan_in_bus_reset)
{
	struct fn bridge = fn_below(fn_root(0x14), 0, 0);
	struct fn nic = fn_below(bridge, 1, 0), testdev = fn_below(bridge, 2, 0);
	pid_t resetting;

	ASSERT_EQ(0, fn_write_file(testdev, "remove", "1"));
	adopt(nic);
	ASSERT_EQ(0, hold_at_entry("pci_reset_bus"));
	hw_begin(&self->hw);
	resetting = in_child(reset_device(nic));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));
	EXPECT_TRUE(fn_exists(testdev));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(resetting));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(-EBUSY, reset_device(nic));
	EXPECT_TRUE(klog_has(self->klog, nic.name, testdev.name, NULL, 0));
}

/*
 * Who looks for what is below a bridge writes back what he found in Bridge Control. If
 * that was in the middle of a reset, the card is left in it: it is found out, ended,
 * and not called a reset.
 */
TEST_F(window, bus_reset_left_on)
{
	struct fn port = self->card.port;
	pid_t resetting;

	adopt_card();
	resetting = begin_reset_of_set();
	fn_write(port, PCI_BRIDGE_CONTROL, fn_read(port, PCI_BRIDGE_CONTROL, 2) |
		 PCI_BRIDGE_CTL_BUS_RESET, 2);
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(resetting));
	hw_end(&self->hw);
	EXPECT_EQ(0, fn_read(port, PCI_BRIDGE_CONTROL, 2) &
		     PCI_BRIDGE_CTL_BUS_RESET);
	EXPECT_TRUE(klog_has(self->klog, port.name, "left on by somebody", NULL, 0));
	/* The one that was left on is one of these */
	EXPECT_EQ(3, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, fn_needs_reset(self->card.first));
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
}

/* The administrator takes its only method away when it has just been chosen */
TEST_F(window, methods_emptied_in_reset)
{
	struct fn nic = fn_root(0x1b);
	pid_t resetting;

	if (!fn_has_file(nic, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	adopt(nic);
	ASSERT_EQ(0, hold_at_entry("__pci_reset_function_locked"));
	resetting = in_child(reset_device(nic));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, fn_write_file(nic, "reset_method", "\n"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(-ENOTTY, wait_for_child(resetting));
	EXPECT_EQ(0, fn_write_file(nic, "reset_method", "default"));
	EXPECT_EQ(0, reset_device(nic));
}

/* -- a state that was read as all ones is nobody's to put back --------------- */

/* Gone when it is to be seized, and back when pciback lets go of it again */
TEST_F(window, back_while_not_seized)
{
	uint32_t bar = fn_read(self->nvme, PCI_BASE_ADDRESS_0, 4);
	pid_t adopting;

	inject(self->nvme);
	ASSERT_EQ(0, fault_set(self->nvme, "gone", 1));
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_reset_locked"));
	adopting = in_child(fn_adopt(self->nvme));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, fault_set(self->nvme, "gone", 0));
	EXPECT_EQ(0, fault_set(self->nvme, "heal", 1));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_NE(0, wait_for_child(adopting));
	EXPECT_EQ(bar, fn_read(self->nvme, PCI_BASE_ADDRESS_0, 4));
}

/* One that is gone while its release restores it: the reset after that makes it good */
TEST_F(window, gone_in_release)
{
	pid_t destroying;

	adopt(self->nvme);
	inject(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, hold_at_entry("pci_load_saved_state"));
	destroying = in_child(guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, fault_set(self->nvme, "gone", 1));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(destroying));
	EXPECT_EQ(1, fn_needs_reset(self->nvme));
	EXPECT_EQ(0, fault_set(self->nvme, "gone", 0));
	EXPECT_EQ(0, fault_set(self->nvme, "heal", 1));
	/* It is back before the last of its resets is given up */
	EXPECT_TRUE(fn_wait_clean(self->nvme));
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
}

/* -- a release's reset keeps nobody waiting ---------------------------------- */

/* Neither its own guest's end, nor other devices' error recovery */
TEST_F(window, recovery_in_release)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	adopt(self->nvme, nic);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &nic, 1));
	ASSERT_EQ(0, hold_at_entry("pcibk_reset_function"));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, aer_recover(port, nic));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_TRUE(fn_wait_clean(self->nvme));
}

/* And an unbind waits for the device lock at most: not for the rest of the work */
TEST_F(window, unbind_in_release)
{
	adopt(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, hold_at_entry("pcibk_reset"));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	hw_begin(&self->hw);
	EXPECT_EQ(0, fn_release(self->nvme));
	EXPECT_EQ(0, hold_let_go());
	hw_end(&self->hw);
	/* The unbind's: nothing of the work comes after it */
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
}

/*
 * The work is late: its function has been asked for and handed out by then. It leaves it
 * alone.
 */
TEST_F(window, handout_before_release_resets)
{
	adopt(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, hold_at_entry("pcibk_reset"));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, do_flr(self->nvme));
	EXPECT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	hw_begin(&self->hw);
	EXPECT_EQ(0, hold_let_go());
	usleep(1000000 * SLOWER);
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nvme));
}

/*
 * Used until after error recovery had reset it, and released before its driver was
 * told. It needs a reset, and so do its idle siblings, which are as at bind time.
 */
TEST_F(window, release_in_recovery)
{
	struct card *card = &self->card;
	pid_t recovering;

	adopt_card();
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &card->first, 1));
	ASSERT_EQ(0, hold_at_return("pci_bus_error_reset"));
	recovering = in_child(aer_recover(card->port, card->first));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, set_parameter("auto_reset", "N"));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(recovering));
	EXPECT_EQ(1, fn_needs_reset(card->first));
	EXPECT_EQ(1, fn_needs_reset(card->second));
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_STD_HEADER_SIZEOF));
	EXPECT_EQ(0, set_parameter("auto_reset", "Y"));
	EXPECT_EQ(0, reset_device(card->first));
	EXPECT_EQ(0, fn_needs_reset(card->second));
}

/* -- what a guest has begun comes to an end first --------------------------- */

/* A guest writes to its function, and pciback has just begun to do it */
#define WRITTEN 0x20
#define hold_write() __extension__({					\
	adopt(self->nvme);						\
	ASSERT_EQ(0, guest_create(&self->guest, 0, &self->nvme, 1));	\
	ASSERT_EQ(0, guest_connect(&self->guest));			\
	ASSERT_NE(WRITTEN, fn_read(self->nvme, PCI_CACHE_LINE_SIZE, 1)); \
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_config_write"));		\
	pid_t child = in_child(guest_config_write(&self->guest, self->nvme, \
						  PCI_CACHE_LINE_SIZE, 1, WRITTEN)); \
	EXPECT_TRUE(hold_wait());					\
	child;								\
})

/*
 * Its function is taken from it and reset by the second do_flr: what it writes then is
 * not written after that
 */
TEST_F(window, taken_back_while_guest_writes)
{
	pid_t writing, resetting;

	writing = hold_write();
	hw_begin(&self->hw);
	resetting = in_child(do_flr(self->nvme) ?: do_flr(self->nvme));
	EXPECT_TRUE(hold_waits_in(resetting, "flush_work"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(writing));
	EXPECT_EQ(0, wait_for_child(resetting));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
}

/* The same if the kernel's own file resets it: what its guest has begun is kept */
TEST_F(window, core_reset_while_guest_writes)
{
	pid_t writing, resetting;

	writing = hold_write();
	resetting = in_child(fn_write_file(self->nvme, "reset", "1"));
	EXPECT_TRUE(hold_waits_in(resetting, "flush_work"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(writing));
	EXPECT_EQ(0, wait_for_child(resetting));
	EXPECT_EQ(WRITTEN, fn_read(self->nvme, PCI_CACHE_LINE_SIZE, 1));
}

/* And no more than that: a guest may always have another one */
TEST_F_TIMEOUT(window, guest_that_never_rests, 180)
{
	pid_t resetting;
	uint32_t val;

	adopt(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, 0, &self->nvme, 1));
	ASSERT_EQ(0, guest_connect(&self->guest));

	/* Answered, but not at its end yet */
	ASSERT_EQ(0, hold_at_return("notify_remote_via_irq"));
	EXPECT_EQ(0, guest_config_read(&self->guest, self->nvme, PCI_VENDOR_ID,
				       4, &val));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, guest_config_ask(&self->guest, self->nvme));
	hw_begin(&self->hw);
	resetting = in_child(do_flr(self->nvme) ?: do_flr(self->nvme));
	EXPECT_TRUE(hold_waits_in(resetting, "flush_work"));

	EXPECT_EQ(0, hold_next());
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(0, wait_for_child_until(resetting, FLR_MS));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hold_let_go());
}

TEST_HARNESS_MAIN
