// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets of the functions that pciback owns
 *
 * A function that leaves one guest for the next must carry nothing over.  Many
 * have no function-level reset of their own; a slot or a secondary bus reset
 * would do, but reaches everything on and below the function's bus: its *reset
 * set*.  These files know which functions that is, make sure that all of them
 * are owned by pciback and idle for as long as the reset lasts, and leave each
 * as it was when pciback seized it.
 *
 * The story of a reset:
 *
 *   reset_sysfs.c	somebody asks for a reset, or for what one would do
 *   reset_pending.c	nobody asks: a set has become idle and is dirty
 *   reset.c		the steps: function-level reset, else slot or bus reset,
 *			else the weak one
 *   reset_set.c	claim every function of the set, account for all of them
 *   reset_function.c	run exactly one method on one function, restore the
 *			state of bind time, note what that means for the next
 *			owner
 *
 * Clean and dirty
 *
 *   A function is clean if a strong reset (any but PM) has covered it since it
 *   was seized, or since it was last assigned; else it needs_reset.  Whenever a
 *   set that holds a dirty function becomes wholly owned and idle, by the last
 *   release or the last adoption, it is reset from a work item, outside any
 *   device lock.  What is dirty all the same when it is handed out goes with a
 *   warning, or not at all (strict_reset).
 *
 *   Resets by others count if the core's first method for the function is FLR
 *   and the function answers afterwards: the driver is not told the result, but
 *   an FLR that fails shows as silence.  Nor is it told whether it was not a
 *   bus reset instead of a weaker method.
 *
 * Claims
 *
 *   A slot or bus reset works on a claim, which has two phases:
 *
 *   CHECKING    The set is walked and its members are noted.  remove() and
 *               hand-out go ahead, and cancel the claim.
 *   COMMITTED   From here to the end of the reset remove() waits and hand-out
 *               is refused.  Committing fails if the claim was cancelled.
 *
 *   Between the commit and the try-locks of the PCI core nothing blocks.  If a
 *   try-lock fails, its holder may be a remove() that waits for us: the claim
 *   is dropped, everybody else goes on, and we come back later; a function that
 *   is leaving cannot be claimed again.  A reset never holds a reference to a
 *   pcistub_device: its last put must happen in remove(), under the device
 *   lock.
 *
 * Lock order
 *
 *   pci_rescan_remove_lock	where no slot resets the function; never around
 *				a slot reset: pciehp takes its own lock first
 *     pci_bus_sem		(walks)
 *   device lock		a try-lock wherever we take it
 *     config access lock	a try-lock, too
 *       upstream bridge	a try-lock: the core locks from the top down
 *     claim			waited for by remove() under the device lock
 *       pcistub_devices_lock
 *         pcistub_device.lock
 *
 *   No walk of ours, which takes pci_bus_sem, happens under a device lock or
 *   pcistub_sem: error recovery holds it and waits for device locks.  lockdep
 *   does not see device locks; of claims it is told, but for slot resets.
 *
 * What the PCI core leaves open
 *
 *   - While pciehp resets a slot, a rescan can add a function to the bus that
 *     is then unlocked without having been locked.
 *   - A rescan puts back what it has read from the control register of a
 *     bridge, some time later.  If pciehp was resetting the slot then, the
 *     reset is asserted again and stays so.
 *   - pci_reset_bus() probes the slot again by itself.  If pciehp is bound to
 *     the port or leaves it just then, the other kind of reset is done, with
 *     or without pci_rescan_remove_lock the wrong way round.
 *   - A slot reset waits for pciehp's own lock with device locks held, whose
 *     holder may wait in pci_lock_rescan_remove() for one who waits for these
 *     device locks.  The same goes for "bus" as the only method of a function
 *     on bind, release and unbind.
 *   - pci_set_power_state() and the wait after a bus reset take pci_bus_sem
 *     under the device lock.
 *   - A write to reset_method takes no lock.  A reset that the core does by
 *     itself, and that has just been chosen, may be by another method then.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/wait.h>
#include "pciback.h"
#include "reset.h"
#include "reset_internal.h"

/* How long contention (bind, unbind, hotplug, another reset) is borne with */
#define PCIBK_RETRY_MS		10000

/**
 * struct pcibk_reset - one reset that was asked for
 * @dev: the function named
 * @ask: who asks
 * @step: name of the step being taken, as its method
 * @blocker: who forbids that step, or did not come through it; may be empty
 * @functions: how many functions the reset reached
 * @chain: what was tried, with results: "slot: blocked by ...; pm: ok (weak)"
 * @len: length of @chain
 */
struct pcibk_reset {
	struct pci_dev *dev;
	enum pcibk_ask ask;
	const char *step;
	char blocker[PCIBK_BLOCKER_LEN];
	unsigned int functions;
	char chain[PCIBK_CHAIN_LEN];
	size_t len;
};

static __printf(2, 3) void pcibk_note(struct pcibk_reset *r, const char *fmt,
				      ...)
{
	va_list args;

	if (r->len)
		r->len += scnprintf(r->chain + r->len,
				    sizeof(r->chain) - r->len, "; ");
	va_start(args, fmt);
	r->len += vscnprintf(r->chain + r->len, sizeof(r->chain) - r->len, fmt,
			     args);
	va_end(args);
}

/* Nobody asked, and another reset has already made it clean */
static bool pcibk_is_enough(const struct pcibk_reset *r,
			    const struct pcistub_device *psdev)
{
	return r->ask == PCIBK_ASK_PENDING && !READ_ONCE(psdev->needs_reset);
}

typedef enum pcibk_method (*pcibk_pick_t)(struct pcistub_device *psdev);

/*
 * With the function locked, reset it by the method that @pick chooses.
 * -ENOTTY if it chooses none.
 */
static int pcibk_lock_bridge_and_reset(struct pcibk_reset *r, pcibk_pick_t pick)
{
	struct pci_dev *dev = r->dev, *bridge;
	struct pcistub_device *psdev = pcibk_psdev(dev);
	enum pcibk_method method = pick(psdev);
	bool assigned;
	int err;

	if (pcibk_is_enough(r, psdev))
		return -EALREADY;
	if (!method)
		return -ENOTTY;
	r->step = pcibk_method_names[method];

	assigned = pcibk_is_assigned(psdev);
	if (assigned) {
		pcibk_name_blocker(r->blocker, dev, NULL);
		/* By its own method, for certain, or not at all */
		if (method == PCIBK_METHOD_PM ||
		    pcibk_core_may_go_on(psdev, method))
			return -EBUSY;
	}

	bridge = pcibk_bridge_to_lock(psdev, method);
	if (bridge && !pci_dev_trylock(bridge))
		return -EAGAIN;

	err = pcibk_wake(dev);
	if (!err) {
		if (assigned)
			dev_warn(&dev->dev, "reset of %s\n", r->blocker);
		err = pcibk_reset_function(dev, method, assigned);
	} else {
		spin_lock_irq(&pcistub_devices_lock);
		pcibk_account(psdev, r->step, err, false);
		spin_unlock_irq(&pcistub_devices_lock);
	}

	if (bridge)
		pci_dev_unlock(bridge);
	return err;
}

static int pcibk_lock_and_reset(struct pcibk_reset *r, pcibk_pick_t pick)
{
	struct pci_dev *dev = r->dev;
	int err = -ENODEV;

	if (!pci_dev_trylock(dev))
		return -EAGAIN;
	if (pcibk_is_owned(dev) && pcibk_psdev(dev))
		err = pcibk_lock_bridge_and_reset(r, pick);
	pci_dev_unlock(dev);

	return err;
}

/*
 * The steps; each answers -ENOTTY if there is nothing that it could do, and
 * -EALREADY if nothing needs to be done any more.
 */

static int pcibk_try_function(struct pcibk_reset *r)
{
	r->step = "function";
	return pcibk_lock_and_reset(r, pcibk_function_method);
}

static int pcibk_try_set(struct pcibk_reset *r)
{
	enum pcibk_set_method method = pcibk_set_method(r->dev);
	struct pcibk_claim claim = { .dev = r->dev };
	bool slot = method == PCIBK_SET_SLOT;
	int err;

	if (!method)
		return -ENOTTY;
	r->step = slot ? "slot" : "bus";

	/*
	 * A function added between the claim and the end of the reset would be
	 * unlocked by the core without having been locked.
	 */
	if (slot)
		claim.slot = r->dev->slot;
	else
		pci_lock_rescan_remove();

	err = pcibk_claim_check(&claim);
	if (!err)
		err = pcibk_claim_commit(&claim, r->ask == PCIBK_ASK_PENDING);
	/* The core asks again and decides by itself */
	if (!err && !pci_probe_reset_slot(r->dev->slot) != slot)
		err = -EAGAIN;
	if (!err) {
		err = pci_reset_bus(r->dev);
		/* Probed before, so a time-out of the core's */
		if (err == -ENOTTY)
			err = -ETIMEDOUT;
		if (!err || err == -ETIMEDOUT) {
			pcibk_claim_wait(&claim);
			err = pcibk_claim_result(&claim, r->step,
						 r->ask != PCIBK_ASK_PENDING);
		}
		r->functions = claim.members;
	}
	pcibk_claim_drop(&claim);

	if (!slot)
		pci_unlock_rescan_remove();

	strscpy(r->blocker, claim.blocker, sizeof(r->blocker));
	return err;
}

static int pcibk_try_weak(struct pcibk_reset *r)
{
	r->step = "function";
	return pcibk_lock_and_reset(r, pcibk_weak_method);
}

/*
 * Until it may be worth another try: another reset has ended, or it is some time
 * later.  Who has waited comes before who asks again.
 */
static void pcibk_retry_wait(void)
{
	DEFINE_WAIT(wait);

	prepare_to_wait(&pcibk_wait, &wait, TASK_KILLABLE);
	schedule_timeout(msecs_to_jiffies(PCIBK_RETRY_STEP_MS));
	finish_wait(&pcibk_wait, &wait);
}

/* Take a step, bear with contention for a bounded time, and note the result */
static int pcibk_step(struct pcibk_reset *r,
		      int (*try)(struct pcibk_reset *r))
{
	unsigned long end = jiffies + msecs_to_jiffies(PCIBK_RETRY_MS);
	int err;

	for (;;) {
		r->blocker[0] = '\0';
		err = try(r);
		if (err != -EAGAIN || time_after(jiffies, end))
			break;
		pcibk_retry_wait();
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}

	if (err == -EBUSY)
		pcibk_note(r, "%s: blocked by %s", r->step, r->blocker);
	else if (err == -ENOTTY || err == -EALREADY)
		return err;
	else if (err && r->blocker[0])
		pcibk_note(r, "%s: %s (%s)", r->step, pcibk_result(err),
			   r->blocker);
	else
		pcibk_note(r, "%s: %s%s", r->step, pcibk_result(err),
			   try == pcibk_try_weak && !err ? " (weak)" : "");
	return err;
}

/* Is it of use to go on to the next step? */
static bool pcibk_may_escalate(int err)
{
	return err && err != -EALREADY && err != -EAGAIN && err != -EINTR &&
	       err != -ENODEV;
}

static int pcibk_reset_steps(struct pcibk_reset *r)
{
	struct pci_dev *dev = r->dev;
	struct pcistub_device *psdev;
	int err, set, strong, weak;
	bool assigned;

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	assigned = psdev && pcibk_is_assigned(psdev);
	spin_unlock_irq(&pcistub_devices_lock);
	if (!psdev) {
		pcibk_note(r, "not owned by pciback (%s)",
			   pcibk_driver_name(dev));
		return -ENODEV;
	}

	/* Whatever resets a PF, its VFs go with it, and may be anybody's */
	if (pci_num_vf(dev)) {
		pcibk_name_blocker(r->blocker, dev, "VFs enabled");
		pcibk_note(r, "blocked by %s", r->blocker);
		return -EBUSY;
	}

	r->functions = 1;
	err = pcibk_step(r, pcibk_try_function);
	if (!pcibk_may_escalate(err))
		return err;

	if (assigned && (err == -ENOTTY || err == -EBUSY)) {
		/* The set's reset comes when the last of it is released */
		if (r->ask == PCIBK_ASK_CLEAN) {
			pcibk_note(r, "put off until its guest is done");
			return 0;
		}
		if (err == -ENOTTY) {
			pcibk_name_blocker(r->blocker, dev, NULL);
			pcibk_note(r, "blocked by %s", r->blocker);
		}
		return -EBUSY;
	}
	if (assigned)
		return err;

	set = pcibk_step(r, pcibk_try_set);
	if (!pcibk_may_escalate(set))
		return set;

	/* What failed before is the answer if nothing stronger is allowed */
	if (set == -ENOTTY || (set == -EBUSY && err != -ENOTTY))
		strong = err;
	else
		strong = set;
	if (r->ask == PCIBK_ASK_PENDING)
		return strong;

	/*
	 * A weak reset is better than none.  It is all that was asked for only
	 * where no slot or bus reset exists, or by do_flr.
	 */
	weak = pcibk_step(r, pcibk_try_weak);
	if (weak == -EALREADY)
		return weak;
	if (set == -ENOTTY && weak != -ENOTTY)
		return weak;
	if (r->ask == PCIBK_ASK_CLEAN && !weak)
		return 0;
	return strong;
}

/**
 * pcibk_reset() - reset a function thoroughly
 * @dev: the function; the caller holds a reference
 * @ask: who asks for it
 *
 * By the gentlest method that really resets it: function-level (PCIe 6.0, sec
 * 6.6.2), else a slot reset or a secondary bus reset (sec 6.6.1, and PCI-to-PCI
 * Bridge 1.2, sec 3.2.5.17) of its whole set, else what is left to the PCI
 * core.  One line in the log tells what was done.
 *
 * Context: process context, no locks held.  May take as long as a device may
 * take to come back (a minute), and bears with contention for PCIBK_RETRY_MS.
 * Return:
 * * 0          - reset; weakly, if nothing stronger exists
 * * -EBUSY     - only a slot or bus reset would do, and the set is not ours
 * * -ENODEV    - not owned by pciback
 * * -ENOTTY    - nothing at all can reset it
 * * -EAGAIN    - bind, unbind, hotplug or another reset kept the locks
 * * -ETIMEDOUT - a function did not come back
 * * -EIO       - the reset had no effect, or state could not be restored
 * * -EINTR     - killed while waiting for locks
 */
int pcibk_reset(struct pci_dev *dev, enum pcibk_ask ask)
{
	struct pcibk_reset r = { .dev = dev, .ask = ask };
	struct pcistub_device *psdev;
	ktime_t start = ktime_get();
	s64 ms;
	int err;

	err = pcibk_reset_steps(&r);
	ms = ktime_ms_delta(ktime_get(), start);
	if (err == -EALREADY)
		return 0;
	if (err == -ENOTTY && !r.len)
		pcibk_note(&r, "no method can reset it");

	/* Nobody asked: what could not be tried is not worth a line */
	if (ask == PCIBK_ASK_PENDING &&
	    (err == -EBUSY || err == -ENOTTY || err == -EAGAIN ||
	     err == -ENODEV)) {
		dev_dbg(&dev->dev, "reset: %s (error %d, %lld ms)\n", r.chain,
			err, ms);
		return err;
	}

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	if (psdev)
		pcibk_set_last(psdev, r.chain);
	spin_unlock_irq(&pcistub_devices_lock);

	/* A result of our own making, which users know as EIO */
	if (err == -ENODATA)
		err = -EIO;

	if (err)
		dev_warn(&dev->dev, "reset: %s (error %d, %lld ms)\n", r.chain,
			 err, ms);
	else
		dev_info(&dev->dev, "reset: %s (%u function%s, %lld ms)\n",
			 r.chain, r.functions, str_plural(r.functions), ms);
	return err;
}
