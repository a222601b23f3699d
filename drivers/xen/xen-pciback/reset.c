// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets of the functions that pciback owns
 *
 * A function that leaves one guest for the next must carry nothing over.  Many
 * have no function-level reset of their own; a slot or a secondary bus reset
 * would do, but reaches everything on and below the function's bus: its *reset
 * set*.  This file knows which functions that is, makes sure that all of them
 * are owned by pciback and idle for as long as the reset lasts, and leaves each
 * as it was when pciback seized it.
 *
 * The story of a reset, bottom to top in this file:
 *
 *   attributes  who asks for a reset, or for what one would do
 *   pending     nobody asks: a set has become idle and is dirty
 *   plan        what a reset would do, without touching anything
 *   steps       function-level reset, else slot or bus reset, else the weak one
 *   set         claim every function of the set, have the PCI core reset it
 *   function    run exactly one method on one function
 *   settle      tell Xen, restore the state of bind time, disable
 *   account     what a reset means for the function's next owner
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
 *   sees neither device locks nor claims.
 *
 * What the PCI core leaves open
 *
 *   - While pciehp resets a slot, a rescan can add a function to the bus that
 *     is then unlocked without having been locked.
 *   - pci_reset_bus() probes the slot again by itself.  If pciehp is bound to
 *     the port or leaves it just then, the other kind of reset is done, with
 *     or without pci_rescan_remove_lock the wrong way round.
 *   - A slot reset waits for pciehp's own lock with device locks held, whose
 *     holder may wait in pci_lock_rescan_remove() for one who waits for these
 *     device locks.  The same goes for "bus" as the only method of a function
 *     on bind, release and unbind.
 *   - pci_set_power_state() and the wait after a bus reset take pci_bus_sem
 *     under the device lock.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <xen/pci.h>
#include <xen/xen.h>
#include "pciback.h"
#include "reset.h"

static bool auto_reset = true;
module_param(auto_reset, bool, 0644);
MODULE_PARM_DESC(auto_reset,
		 "Reset functions on bind, release and unbind, and sets that have become idle (default: 1). With 0 this is left to writes to reset_device and do_flr.");

static bool strict_reset;
module_param(strict_reset, bool, 0644);
MODULE_PARM_DESC(strict_reset,
		 "Refuse to hand out a function that still needs a reset (default: 0, warn only)");

/* A function's name, and a driver's or a domain's */
#define PCIBK_BLOCKER_LEN	80

/* How long contention (bind, unbind, hotplug, another reset) is borne with */
#define PCIBK_RETRY_MS		10000
#define PCIBK_RETRY_STEP_MS	10
/* The same with a device lock held, for one that may be wanted by the others */
#define PCIBK_RETRY_LOCKED_MS	1000
/*
 * How long a function may take to answer after a slot or bus reset of which the
 * core does not wait for the end, or only for the first function's: 1 s, PCIe
 * 6.0, sec 6.6.1, and 2^25 clocks, PCI 3.0, sec 4.3.2 (Trhfa).
 */
#define PCIBK_READY_MS		1100
/* How often a pending reset comes back to locks that are not to be had */
#define PCIBK_PENDING_TRIES	6
#define PCIBK_CHAIN_LEN		192

/*
 * The reset methods of the PCI core, by the numbers in pci_dev.reset_methods[]:
 * the administrator's order, zero terminated.  They are the places in the
 * core's own table, which has only ever grown at its end.
 */
enum pcibk_method {
	PCIBK_METHOD_NONE,
	PCIBK_METHOD_DEVICE_SPECIFIC,
	PCIBK_METHOD_ACPI,
	PCIBK_METHOD_FLR,
	PCIBK_METHOD_AF_FLR,
	PCIBK_METHOD_PM,
	PCIBK_METHOD_BUS,
	PCIBK_METHOD_CXL_BUS,
};

static const char * const pcibk_method_names[] = {
	[PCIBK_METHOD_DEVICE_SPECIFIC]	= "device_specific",
	[PCIBK_METHOD_ACPI]		= "acpi",
	[PCIBK_METHOD_FLR]		= "flr",
	[PCIBK_METHOD_AF_FLR]		= "af_flr",
	[PCIBK_METHOD_PM]		= "pm",
	[PCIBK_METHOD_BUS]		= "bus",
	[PCIBK_METHOD_CXL_BUS]		= "cxl_bus",
};

/* How the reset set of a function can be reset */
enum pcibk_set_method {
	PCIBK_SET_NONE,
	PCIBK_SET_SLOT,
	PCIBK_SET_BUS,
};

/* Who asks, and so how much is enough */
enum pcibk_ask {
	PCIBK_ASK_RESET,	/* reset_device: now, and thoroughly */
	PCIBK_ASK_CLEAN,	/* do_flr: as well as it can be done now */
	PCIBK_ASK_PENDING,	/* nobody: thoroughly or not at all */
};

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

/**
 * struct pcibk_claim - a slot or bus reset's hold on its reset set
 * @dev: the function that the reset was asked for
 * @slot: where the slot is what resets: all of the set must be in it
 * @committed: the second phase has begun
 * @cancelled: a member was removed or handed out in the first phase
 * @has_dev: @dev is among the members
 * @members: owned, idle functions noted from the stub's list
 * @functions: functions that the walk of the bus found owned
 * @blocker: the first function that forbids the reset, and why; or the first
 *	that did not come back from it
 *
 * @committed, @cancelled and pcistub_device.claim, which points here, are
 * protected by pcistub_devices_lock; the rest belongs to the resetting task.
 */
struct pcibk_claim {
	struct pci_dev *dev;
	struct pci_slot *slot;
	bool committed;
	bool cancelled;
	bool has_dev;
	unsigned int members;
	unsigned int functions;
	char blocker[PCIBK_BLOCKER_LEN];
};

/**
 * struct pcibk_pending - a function whose set may have become idle
 * @work: looks for what is dirty, and resets it
 * @tries: how often it may still come back to it
 * @list: on pcibk_pending_list, protected by pcistub_devices_lock
 * @dev: the function, with a reference.  Its pcistub_device is looked up when
 *	the work runs, and may be gone then.
 */
struct pcibk_pending {
	struct delayed_work work;
	unsigned int tries;
	struct list_head list;
	struct pci_dev *dev;
};

static LIST_HEAD(pcibk_pending_list);
static struct workqueue_struct *pcibk_wq;

/* What last_reset reads; replaced under pcistub_devices_lock */
struct pcibk_text {
	struct rcu_head rcu;
	char text[];
};

/* Woken whenever a claim, a reset of a function or a pending one ends */
static DECLARE_WAIT_QUEUE_HEAD(pcibk_wait);

/* Results, as the log tells them */
static const char *pcibk_result(int err)
{
	switch (err) {
	case 0:
		return "ok";
	case -EAGAIN:
		return "locks not to be had";
	case -ETIMEDOUT:
		return "no answer";
	case -EIO:
		return "no effect";
	case -ENODATA:
		return "state not restored";
	case -ENODEV:
		return "gone";
	case -EINTR:
		return "killed";
	default:
		return "failed";
	}
}

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

/* The stub's record of @dev, if it is owned */
static struct pcistub_device *pcibk_find(const struct pci_dev *dev)
{
	struct pcistub_device *psdev;

	lockdep_assert_held(&pcistub_devices_lock);

	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (psdev->dev == dev)
			return psdev;
	return NULL;
}

/* Tell who forbids a reset, and why: the guest it is assigned to, if not @why */
static void pcibk_name_blocker(char *buf, struct pci_dev *dev, const char *why)
{
	int domain = xen_find_device_domain_owner(dev);

	if (why)
		snprintf(buf, PCIBK_BLOCKER_LEN, "%s (%s)", pci_name(dev), why);
	else if (domain >= 0)
		snprintf(buf, PCIBK_BLOCKER_LEN, "%s (assigned to domain %d)",
			 pci_name(dev), domain);
	else
		snprintf(buf, PCIBK_BLOCKER_LEN, "%s (assigned)", pci_name(dev));
}

/* Without the device lock the answer may be stale */
static bool pcibk_is_owned(const struct pci_dev *dev)
{
	return READ_ONCE(dev->driver) == &xen_pcibk_pci_driver;
}

/* For the log; as stale without the device lock, like dev_driver_string() */
static const char *pcibk_driver_name(const struct pci_dev *dev)
{
	const struct pci_driver *driver = READ_ONCE(dev->driver);

	return driver ? driver->name : "no driver";
}

/*
 * The stub's record of @dev.  The device lock keeps it: it comes with probe()
 * and goes with remove().
 */
static struct pcistub_device *pcibk_psdev(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	return dev_data ? dev_data->psdev : NULL;
}

static bool pcibk_is_assigned(struct pcistub_device *psdev)
{
	unsigned long flags;
	bool assigned;

	spin_lock_irqsave(&psdev->lock, flags);
	assigned = psdev->pdev;
	spin_unlock_irqrestore(&psdev->lock, flags);

	return assigned;
}

/*
 * A function that is gone, held in reset or powered off reads all ones.  The
 * Command register never does otherwise (the Vendor ID of a VF does: PCIe 6.0,
 * sec 9.3.4.1.1).
 */
static bool pcibk_answers(struct pci_dev *dev)
{
	u32 val;

	pci_read_config_dword(dev, PCI_COMMAND, &val);
	return !PCI_POSSIBLE_ERROR(val);
}

/* -- account: what a reset means for the next owner ------------------------ */

/* Replace what last_reset reads.  Best effort: the log has it, too. */
static void pcibk_set_last(struct pcistub_device *psdev, const char *chain)
{
	size_t size = strlen(chain) + 1;
	struct pcibk_text *text, *old;

	lockdep_assert_held(&pcistub_devices_lock);

	text = kmalloc(struct_size(text, text, size), GFP_ATOMIC | __GFP_NOWARN);
	if (text)
		memcpy(text->text, chain, size);
	old = rcu_replace_pointer(psdev->last_reset, text,
				  lockdep_is_held(&pcistub_devices_lock));
	if (old)
		kfree_rcu(old, rcu);
}

/*
 * Note a reset of @psdev by @step with result @err.  It makes clean if it was
 * @strong, and nobody can make it dirty again: not in a guest's hands.  One that
 * failed leaves who knows what.
 */
static void pcibk_account(struct pcistub_device *psdev, const char *step,
			  int err, bool strong)
{
	char chain[PCIBK_CHAIN_LEN];

	lockdep_assert_held(&pcistub_devices_lock);

	if (err)
		WRITE_ONCE(psdev->needs_reset, true);
	else if (strong && !pcibk_is_assigned(psdev))
		WRITE_ONCE(psdev->needs_reset, false);

	snprintf(chain, sizeof(chain), "%s: %s%s", step, pcibk_result(err),
		 err || strong ? "" : " (weak)");
	pcibk_set_last(psdev, chain);
}

static bool pcibk_is_strong(enum pcibk_method method)
{
	return method && method != PCIBK_METHOD_PM;
}

/*
 * FLR of conventional PCI, Advanced Features ECN of 2006: usable only together
 * with the Transactions Pending bit.
 */
static bool pcibk_has_af_flr(struct pci_dev *dev)
{
	int pos = pci_find_capability(dev, PCI_CAP_ID_AF);
	u8 cap;

	if (!pos || dev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET)
		return false;

	pci_read_config_byte(dev, pos + PCI_AF_CAP, &cap);
	return cap & PCI_AF_CAP_TP && cap & PCI_AF_CAP_FLR;
}

/* -- settle: what becomes of a function that was reset -------------------- */

/* A PVH dom0's Xen keeps state of its own for the function: MSI, BARs */
static int pcibk_tell_xen(struct pci_dev *dev)
{
	int err;

	if (xen_pv_domain())
		return 0;

	err = xen_reset_device(dev);
	if (!err)
		return 0;
	dev_warn(&dev->dev, "Xen did not take the reset (%d)\n", err);
	return -ENODATA;
}

/*
 * Put an idle function back to what it was when pciback seized it.  Neither a
 * saved state that is not there nor one into a function that does not answer.
 */
static int pcibk_restore(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	if (!pcibk_answers(dev))
		return -ETIMEDOUT;

	/* A bridge's state is the core's: buses below depend on it */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return 0;

	if (!dev_data->pci_saved_state ||
	    pci_load_saved_state(dev, dev_data->pci_saved_state)) {
		dev_warn(&dev->dev, "no state of bind time to restore\n");
		return -ENODATA;
	}
	pci_restore_state(dev);

	/* That may have been saved with bus mastering on */
	pci_clear_master(dev);
	xen_pcibk_reset_device(dev);
	xen_pcibk_config_reset_dev(dev);

	return 0;
}

/*
 * What a guest does to the function's config space or MSI in the middle of a
 * reset would be lost at best.  See xen_pcibk_do_one_op().
 */
static void pcibk_fence(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	WRITE_ONCE(dev_data->fenced, true);
}

static void pcibk_unfence(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	WRITE_ONCE(dev_data->fenced, false);
}

/**
 * xen_pcibk_reset_prepare - note that a reset of a function begins
 * @dev: a function owned by pciback
 *
 * The pci_error_handlers.reset_prepare() of the driver, and the beginning of
 * our own function-level reset: whoever resets, the function is not handed out
 * in the middle, and its guest's operations are refused.
 *
 * Context: process context, device lock held.  Does not wait.
 */
void xen_pcibk_reset_prepare(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	unsigned long flags;

	if (!psdev)
		return;

	spin_lock_irqsave(&pcistub_devices_lock, flags);
	psdev->resetting = true;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);
	pcibk_fence(dev);
}

/*
 * The end of a reset of one function.  Xen first: it must know before the state
 * comes back that it looks at.  A reset by @step, which went as @err says, is
 * accounted for before the function can be handed out again; without @step
 * somebody else does that.
 */
static int pcibk_settle(struct pci_dev *dev, struct pcistub_device *psdev,
			const char *step, int err, bool strong)
{
	unsigned long flags;
	int told, restored;

	told = pcibk_tell_xen(dev);
	restored = pcibk_is_assigned(psdev) ? 0 : pcibk_restore(dev);
	if (!err)
		err = restored ?: told;

	spin_lock_irqsave(&pcistub_devices_lock, flags);
	psdev->reset_err = err;
	if (step)
		pcibk_account(psdev, step, err, strong);
	psdev->resetting = false;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);
	pcibk_unfence(dev);
	wake_up_all(&pcibk_wait);

	return err;
}

/* The end of a reset that did not happen */
static void pcibk_unprepare(struct pci_dev *dev, struct pcistub_device *psdev)
{
	unsigned long flags;

	spin_lock_irqsave(&pcistub_devices_lock, flags);
	psdev->resetting = false;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);
	pcibk_unfence(dev);
	wake_up_all(&pcibk_wait);
}

/**
 * xen_pcibk_reset_done - settle a function after a reset
 * @dev: a function owned by pciback
 *
 * The pci_error_handlers.reset_done() of the driver.  An idle function gets the
 * state of bind time back and is disabled, whatever its last guest had written;
 * one in use keeps what the core restored.
 *
 * Context: process context, device lock held.  Does not wait.
 */
void xen_pcibk_reset_done(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	enum pcibk_method method;
	bool claimed, strong;
	unsigned long flags;

	if (!psdev)
		return;

	/* A claim's reset is accounted for when all of it is over */
	spin_lock_irqsave(&pcistub_devices_lock, flags);
	claimed = psdev->claim && psdev->claim->committed;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);

	method = dev->reset_methods[0];
	strong = method == PCIBK_METHOD_FLR || method == PCIBK_METHOD_AF_FLR;
	pcibk_settle(dev, psdev, claimed ? NULL : "pci core", 0, strong);
}

/**
 * xen_pcibk_reset_error - error recovery begins for a function
 * @dev: a function owned by pciback
 * @frozen: its link or bus is going to be reset
 *
 * Error recovery asks the driver, which asks the guest; an idle function has
 * none to ask.
 *
 * Context: process context, device lock held.
 * Return: true if @dev is not assigned.  It may be, right after.
 */
bool xen_pcibk_reset_error(struct pci_dev *dev, bool frozen)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);

	if (!psdev)
		return false;

	psdev->frozen = frozen;
	return !pcibk_is_assigned(psdev);
}

/**
 * xen_pcibk_reset_recover_idle - restore an idle function in error recovery
 * @dev: a function owned by pciback
 *
 * Error recovery resets without saving or restoring: that is left to the
 * driver, and an idle function has no guest to do it.  It also asks if there
 * was no reset, because another function's driver wants one; that does not
 * count.
 *
 * Context: process context, device lock held.
 * Return:
 * * 0          - @dev was idle and is restored
 * * -EBUSY     - @dev is assigned: ask its guest
 * * -ETIMEDOUT - it does not answer
 * * -ENODATA   - it could not be restored
 */
int xen_pcibk_reset_recover_idle(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	int err = -EBUSY;

	if (!psdev)
		return err;

	/* No hand-out from here */
	xen_pcibk_reset_prepare(dev);
	if (!pcibk_is_assigned(psdev) && psdev->frozen) {
		err = pcibk_settle(dev, psdev, "error recovery", 0, true);
	} else {
		if (!pcibk_is_assigned(psdev))
			err = pcibk_restore(dev);
		pcibk_unprepare(dev, psdev);
	}
	psdev->frozen = false;

	return err;
}

/**
 * xen_pcibk_reset_seize - begin to keep account of a function
 * @psdev: the stub's record of it, not on the list yet
 *
 * Context: process context, device lock held; the function is enabled.
 */
void xen_pcibk_reset_seize(struct pcistub_device *psdev)
{
	WRITE_ONCE(psdev->needs_reset, true);
	psdev->has_af_flr = pcibk_has_af_flr(psdev->dev);
}

/**
 * xen_pcibk_reset_release - give up the account of a function
 * @psdev: the stub's record of it, not on the list any more
 *
 * Context: any, no locks needed.
 */
void xen_pcibk_reset_release(struct pcistub_device *psdev)
{
	struct pcibk_text *text;

	text = rcu_replace_pointer(psdev->last_reset, NULL, true);
	if (text)
		kfree_rcu(text, rcu);
}

/* -- function: one method, one function ------------------------------------ */

/* Function Level Reset, PCIe 6.0, sec 6.6.2: Device Capabilities, less quirks */
static bool pcibk_has_flr(struct pci_dev *dev)
{
	return !pcie_reset_flr(dev, PCI_RESET_PROBE);
}

/*
 * The function-level method to use: the first that the function has and the
 * administrator left it.  The core runs FLR for us by itself, but any other
 * only as the first of its list.
 */
static enum pcibk_method pcibk_function_method(struct pcistub_device *psdev)
{
	struct pci_dev *dev = psdev->dev;
	enum pcibk_method method;
	int i;

	/* Whatever a bridge loses, it is not only its own */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return PCIBK_METHOD_NONE;

	for (i = 0; i < PCI_NUM_RESET_METHODS; i++) {
		method = dev->reset_methods[i];

		switch (method) {
		case PCIBK_METHOD_NONE:
			return method;
		case PCIBK_METHOD_FLR:
			if (pcibk_has_flr(dev))
				return method;
			break;
		case PCIBK_METHOD_AF_FLR:
			if (!i && psdev->has_af_flr)
				return method;
			break;
		case PCIBK_METHOD_DEVICE_SPECIFIC:
		case PCIBK_METHOD_ACPI:
			if (!i)
				return method;
			break;
		default:
			break;
		}
	}

	return PCIBK_METHOD_NONE;
}

/*
 * What the core can do besides, which need not reset everything: PM, as long as
 * the core would not try another method first.
 */
static enum pcibk_method pcibk_weak_method(struct pcistub_device *psdev)
{
	struct pci_dev *dev = psdev->dev;

	if (dev->hdr_type == PCI_HEADER_TYPE_NORMAL &&
	    dev->reset_methods[0] == PCIBK_METHOD_PM)
		return PCIBK_METHOD_PM;
	return PCIBK_METHOD_NONE;
}

/*
 * Might the core go on to another method if the first one fails?  It does if
 * that one times out or turns out not to be supported after all, and does not
 * tell which method it was that succeeded.
 */
static bool pcibk_core_may_go_on(struct pci_dev *dev, enum pcibk_method method)
{
	return method != PCIBK_METHOD_FLR && dev->reset_methods[1];
}

/*
 * The bridge to lock, if what the core runs might end in a bus reset.  Not
 * otherwise: functions behind the same bridge reset in parallel.
 */
static struct pci_dev *pcibk_bridge_to_lock(struct pci_dev *dev,
					    enum pcibk_method method)
{
	int i;

	if (method == PCIBK_METHOD_FLR)
		return NULL;
	for (i = 0; i < PCI_NUM_RESET_METHODS; i++)
		if (dev->reset_methods[i] >= PCIBK_METHOD_BUS)
			return pci_upstream_bridge(dev);
	return NULL;
}

/* Awake and answering, as each method asks for */
static int pcibk_wake(struct pci_dev *dev)
{
	pci_set_power_state(dev, PCI_D0);
	return pcibk_answers(dev) ? 0 : -ETIMEDOUT;
}

/*
 * Run @method on a function that is awake.  It is disabled first, so that no
 * DMA is under way; what becomes of its state is the caller's concern.  Caller
 * holds the device lock, has blocked config access, and has locked the bridge
 * if there is one to lock.
 *
 * Interrupt Disable is the canary: set before, if the function lets us, it must
 * be clear afterwards (PCI 3.0, sec 6.2.2), or else the reset had no effect.
 * Device specific and ACPI methods may restore it by themselves.
 */
static int pcibk_run(struct pci_dev *dev, enum pcibk_method method)
{
	u16 before, after;
	int err;

	pci_write_config_word(dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	pci_read_config_word(dev, PCI_COMMAND, &before);

	if (method == PCIBK_METHOD_FLR)
		err = pcie_reset_flr(dev, PCI_RESET_DO_RESET);
	else
		err = __pci_reset_function_locked(dev);

	/*
	 * The method was probed, so this is not the core's "unsupported" but
	 * its time-out.  Only "bus" is still refused late: the core probes it
	 * for the first function of a card before it has seen the others.
	 */
	if (err == -ENOTTY && method < PCIBK_METHOD_BUS)
		err = -ETIMEDOUT;
	if (err)
		return err;
	if (!pcibk_answers(dev))
		return -ETIMEDOUT;

	pci_read_config_word(dev, PCI_COMMAND, &after);
	if ((method == PCIBK_METHOD_FLR || method == PCIBK_METHOD_AF_FLR ||
	     method >= PCIBK_METHOD_BUS) &&
	    before & after & PCI_COMMAND_INTX_DISABLE)
		return -EIO;
	return 0;
}

/*
 * Reset one function by @method, which was chosen for one that is @assigned or
 * not, and settle it.  Caller holds the locks that pcibk_run() needs, and has
 * woken @dev.  -EAGAIN if it was handed out in between.
 */
static int pcibk_reset_function(struct pci_dev *dev, enum pcibk_method method,
				bool assigned)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	int err;

	/* No hand-out from here, and no release without the device lock */
	xen_pcibk_reset_prepare(dev);
	if (pcibk_is_assigned(psdev) != assigned) {
		pcibk_unprepare(dev, psdev);
		return -EAGAIN;
	}

	if (assigned) {
		/* Let what its guest had begun before the fence come to an end */
		flush_work(&psdev->pdev->op_work);
		pci_save_state(dev);
	}
	err = pcibk_run(dev, method);
	if (assigned && pcibk_answers(dev))
		pci_restore_state(dev);

	return pcibk_settle(dev, psdev, pcibk_method_names[method], err,
			    pcibk_is_strong(method));
}

/**
 * xen_pcibk_reset_locked - reset a function as well as its device lock allows
 * @dev: a function that pciback seizes, takes back from a guest or gives up
 *
 * The reset on bind, release and unbind: a function-level reset if there is
 * one, else what the core has for this function alone.  Saving and restoring
 * are the caller's; @dev is left disabled.
 *
 * Context: process context, device lock held.  The bridge is waited for, if
 * need be, for PCIBK_RETRY_LOCKED_MS: its holder may want our device lock.
 * Return:
 * * 0          - @dev can be restored, whether it was reset or not: a failure
 *                is in the log, and the caller has no other reset to try
 * * -ETIMEDOUT - @dev does not answer: nothing can be restored
 * * -EIO       - Xen did not take the reset
 */
int xen_pcibk_reset_locked(struct pci_dev *dev)
{
	unsigned long end = jiffies + msecs_to_jiffies(PCIBK_RETRY_LOCKED_MS);
	struct pcistub_device *psdev = pcibk_psdev(dev);
	enum pcibk_method method = PCIBK_METHOD_NONE;
	struct pci_dev *bridge;
	const char *name;
	int err, told = 0;

	device_lock_assert(&dev->dev);

	if (psdev && auto_reset) {
		method = pcibk_function_method(psdev);
		if (!method)
			method = dev->reset_methods[0];
	}
	/* What a bridge or a PF would lose is not only its own */
	if (!method || dev->hdr_type != PCI_HEADER_TYPE_NORMAL ||
	    pci_num_vf(dev)) {
		dev_dbg(&dev->dev, "no reset of this function alone\n");
		return pcibk_answers(dev) ? 0 : -ETIMEDOUT;
	}

	pci_cfg_access_lock(dev);
	bridge = pcibk_bridge_to_lock(dev, method);
	err = 0;
	while (bridge && !pci_dev_trylock(bridge)) {
		if (time_after(jiffies, end)) {
			err = -EAGAIN;
			break;
		}
		msleep(PCIBK_RETRY_STEP_MS);
	}
	if (!err) {
		err = pcibk_wake(dev);
		if (!err) {
			err = pcibk_run(dev, method);
			told = pcibk_tell_xen(dev);
		}
		if (bridge)
			pci_dev_unlock(bridge);
	}
	pci_cfg_access_unlock(dev);

	if (err != -ENOTTY) {
		name = method < ARRAY_SIZE(pcibk_method_names) ?
		       pcibk_method_names[method] : "pci core";
		if (err)
			dev_warn(&dev->dev, "reset: %s: %s (error %d)\n", name,
				 pcibk_result(err), err);
		else
			dev_info(&dev->dev, "reset: %s: ok%s\n", name,
				 pcibk_is_strong(method) ? "" : " (weak)");

		spin_lock_irq(&pcistub_devices_lock);
		pcibk_account(psdev, name, err ?: told, pcibk_is_strong(method));
		/* No guest gets at it any more: its backend was flushed */
		if (!err && !told && pcibk_is_strong(method))
			WRITE_ONCE(psdev->needs_reset, false);
		spin_unlock_irq(&pcistub_devices_lock);
	}

	if (!pcibk_answers(dev))
		return -ETIMEDOUT;
	return told ? -EIO : 0;
}

/* -- set: everything that a slot or bus reset reaches ---------------------- */

/* Has somebody else made it clean by now, who did not need to be asked? */
static bool pcibk_is_enough(const struct pcibk_reset *r,
			    const struct pcistub_device *psdev)
{
	return r->ask != PCIBK_ASK_RESET && !READ_ONCE(psdev->needs_reset);
}

/* Is @dev on or below @top? */
static bool pcibk_in_set(const struct pci_dev *dev, const struct pci_bus *top)
{
	const struct pci_bus *bus;

	for (bus = dev->bus; bus; bus = bus->parent)
		if (bus == top)
			return true;
	return false;
}

/* Would a reset of the set of one function reach the other? */
static bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b)
{
	if (a == b)
		return true;
	if (!pci_is_root_bus(a->bus) && pcibk_in_set(b, a->bus))
		return true;
	return !pci_is_root_bus(b->bus) && pcibk_in_set(a, b->bus);
}

/* Will a work item look at the set of @dev, or does it already? */
static bool pcibk_is_pending(const struct pci_dev *dev)
{
	struct pcibk_pending *pending;

	lockdep_assert_held(&pcistub_devices_lock);

	list_for_each_entry(pending, &pcibk_pending_list, list)
		if (pcibk_same_set(pending->dev, dev))
			return true;
	return false;
}

struct pcibk_set_probe {
	struct pci_dev *dev;
	enum pcibk_set_method method;
};

static int pcibk_probe_set_one(struct pci_dev *dev, void *data)
{
	struct pcibk_set_probe *probe = data;

	/* Gone from the bus, its slot may be gone as well */
	if (dev != probe->dev)
		return 0;

	if (!pci_probe_reset_slot(probe->dev->slot))
		probe->method = PCIBK_SET_SLOT;
	else if (!pci_probe_reset_bus(probe->dev->bus))
		probe->method = PCIBK_SET_BUS;
	return 1;
}

/*
 * What could reset the set of @dev.  The core's probes look at each function of
 * the bus and rely on the caller for the bus to keep still, which pci_walk_bus()
 * has it do.
 */
static enum pcibk_set_method pcibk_set_method(struct pci_dev *dev)
{
	struct pcibk_set_probe probe = { .dev = dev };

	if (!pci_is_root_bus(dev->bus))
		pci_walk_bus(dev->bus, pcibk_probe_set_one, &probe);
	return probe.method;
}

/* A bridge that only passes a reset on, and has nothing of its own to lose */
static bool pcibk_is_transparent(const struct pci_dev *dev)
{
	const struct pci_driver *driver = READ_ONCE(dev->driver);

	if (dev->hdr_type != PCI_HEADER_TYPE_BRIDGE)
		return false;
	return !driver ||
	       (!strcmp(driver->name, "pcieport") && !dev->is_hotplug_bridge);
}

/* May this function of the set be reset? */
static int pcibk_check_one(struct pci_dev *dev, void *data)
{
	struct pcibk_claim *claim = data;
	const char *why = NULL;

	if (pci_num_vf(dev)) {
		/* On buses of their own, unseen by walks and by the core */
		why = "VFs enabled";
	} else if (claim->slot && dev->bus == claim->dev->bus &&
		   dev->slot != claim->slot) {
		/* Reset as well, but neither locked nor saved by the core */
		why = "not in the slot";
	} else if (pcibk_is_owned(dev)) {
		claim->functions++;
	} else if (!pcibk_is_transparent(dev)) {
		why = pcibk_driver_name(dev);
	}

	if (!why)
		return 0;
	pcibk_name_blocker(claim->blocker, dev, why);
	return 1;
}

static void pcibk_claim_drop(struct pcibk_claim *claim)
{
	struct pcistub_device *psdev;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (psdev->claim == claim)
			psdev->claim = NULL;
	spin_unlock_irq(&pcistub_devices_lock);

	wake_up_all(&pcibk_wait);
}

/* Is any owned function of the set assigned?  For the plan: it may change */
static void pcibk_check_assigned(struct pcibk_claim *claim)
{
	struct pcistub_device *psdev;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (pcibk_in_set(psdev->dev, claim->dev->bus) &&
		    pcibk_is_assigned(psdev)) {
			pcibk_name_blocker(claim->blocker, psdev->dev, NULL);
			break;
		}
	}
	spin_unlock_irq(&pcistub_devices_lock);
}

/* Note the members: one pass over what pciback owns */
static int pcibk_claim_note(struct pcibk_claim *claim)
{
	struct pci_bus *top = claim->dev->bus;
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (!pcibk_in_set(psdev->dev, top))
			continue;

		if (pcibk_is_assigned(psdev)) {
			pcibk_name_blocker(claim->blocker, psdev->dev, NULL);
			err = -EBUSY;
			break;
		}
		if (psdev->claim || psdev->resetting || psdev->leaving) {
			err = -EAGAIN;
			break;
		}

		psdev->claim = claim;
		claim->members++;
		claim->has_dev |= psdev->dev == claim->dev;
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return err;
}

/*
 * First phase.  What the walk sees can change behind it, but not unnoticed:
 * a function that is owned and idle is noted before and cancels the claim when
 * it leaves; one that is just coming or going is seen by the walk and not
 * noted, or the other way round, so that the numbers differ.
 */
static int pcibk_claim_check(struct pcibk_claim *claim)
{
	int err;

	err = pcibk_claim_note(claim);
	if (err)
		return err;
	if (!claim->has_dev)
		return -ENODEV;

	pci_walk_bus(claim->dev->bus, pcibk_check_one, claim);
	if (claim->blocker[0])
		return -EBUSY;
	if (claim->functions != claim->members)
		return -EAGAIN;

	return 0;
}

/* Second phase: from here nobody leaves */
static int pcibk_claim_commit(struct pcibk_claim *claim,
			      const struct pcibk_reset *r)
{
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	if (claim->cancelled) {
		err = -EAGAIN;
	} else if (pcibk_is_enough(r, pcibk_find(claim->dev))) {
		err = -EALREADY;
	} else {
		claim->committed = true;
		/* Until its reset_done() says otherwise */
		list_for_each_entry(psdev, &pcistub_devices, dev_list)
			if (psdev->claim == claim)
				psdev->reset_err = -EIO;
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return err;
}

/* The next member after @skip that did not answer the core, with a reference */
static struct pci_dev *pcibk_claim_silent(struct pcibk_claim *claim,
					  unsigned int skip)
{
	struct pcistub_device *psdev;
	struct pci_dev *dev = NULL;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->claim == claim && psdev->reset_err == -ETIMEDOUT &&
		    !skip--) {
			dev = pci_dev_get(psdev->dev);
			break;
		}
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return dev;
}

/*
 * The core waits for the first function of the bus at most, and not at all
 * behind a bridge from PCIe to PCI.  Give the others the time they may take,
 * and settle them then: nobody can leave meanwhile.
 */
static void pcibk_claim_wait(struct pcibk_claim *claim)
{
	unsigned long end = jiffies + msecs_to_jiffies(PCIBK_READY_MS);
	unsigned int dead = 0;
	struct pci_dev *dev;
	int err;

	while ((dev = pcibk_claim_silent(claim, dead))) {
		while (!pcibk_answers(dev) && time_before(jiffies, end))
			msleep(PCIBK_RETRY_STEP_MS);

		err = -ETIMEDOUT;
		if (pcibk_answers(dev) && device_trylock(&dev->dev)) {
			xen_pcibk_reset_prepare(dev);
			err = pcibk_settle(dev, pcibk_psdev(dev), NULL, 0,
					   true);
			device_unlock(&dev->dev);
		}
		if (err == -ETIMEDOUT)
			dead++;
		pci_dev_put(dev);
	}
}

/*
 * How the members came through: the first that did not is the result.  All are
 * accounted for by what happened to them.
 */
static int pcibk_claim_result(struct pcibk_claim *claim, const char *step)
{
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->claim != claim)
			continue;

		pcibk_account(psdev, step, psdev->reset_err, true);

		if (psdev->reset_err && !err) {
			err = psdev->reset_err;
			strscpy(claim->blocker, pci_name(psdev->dev),
				sizeof(claim->blocker));
		}
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return err;
}

/**
 * xen_pcibk_reset_hand_out - may a function go to a guest just now?
 * @psdev: the stub's record of it
 *
 * Not while it is being reset, by whomever, nor while it is dirty and a reset
 * is due, and not once it is about to leave pciback.  A claim that is only
 * checking gives way.  A dirty function goes with a warning, or not at all
 * (strict_reset).
 *
 * Context: pcistub_devices_lock held, from before the function is marked as
 * assigned until after.  Does not wait.
 * Return:
 * * 0       - it goes, and needs a reset when it comes back
 * * -EAGAIN - not now
 * * -EBUSY  - it needs a reset first
 */
int xen_pcibk_reset_hand_out(struct pcistub_device *psdev)
{
	lockdep_assert_held(&pcistub_devices_lock);

	if (psdev->resetting || psdev->leaving ||
	    (psdev->claim && psdev->claim->committed))
		return -EAGAIN;

	if (psdev->needs_reset) {
		if (pcibk_is_pending(psdev->dev))
			return -EAGAIN;
		if (strict_reset) {
			dev_warn(&psdev->dev->dev, "not handed out: it still needs a reset (strict_reset)\n");
			return -EBUSY;
		}
		dev_warn(&psdev->dev->dev, "handed out although it still needs a reset\n");
	}

	if (psdev->claim)
		psdev->claim->cancelled = true;
	WRITE_ONCE(psdev->needs_reset, true);
	return 0;
}

/**
 * xen_pcibk_reset_leave - a function is about to leave pciback
 * @psdev: the stub's record of it, on the list
 *
 * A claim that is only checking is cancelled; the reset of a committed one is
 * waited for, uninterruptibly since remove() cannot fail.  The wait is as long
 * as the PCI core lets a device take to come back, a minute at most.  From here
 * on @psdev is neither claimed nor handed out.
 *
 * Context: process context, device lock and pcistub_devices_lock held; the
 * latter is dropped to wait.
 */
void xen_pcibk_reset_leave(struct pcistub_device *psdev)
{
	lockdep_assert_held(&pcistub_devices_lock);

	psdev->leaving = true;
	if (psdev->claim && !psdev->claim->committed) {
		psdev->claim->cancelled = true;
		psdev->claim = NULL;
	}
	wait_event_lock_irq(pcibk_wait, !psdev->claim,
			    pcistub_devices_lock);
}

/* -- steps: from gentle to thorough ---------------------------------------- */

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
		    pcibk_core_may_go_on(dev, method))
			return -EBUSY;
	}

	bridge = pcibk_bridge_to_lock(dev, method);
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
		err = pcibk_claim_commit(&claim, r);
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
			err = pcibk_claim_result(&claim, r->step);
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
		schedule_timeout_killable(msecs_to_jiffies(PCIBK_RETRY_STEP_MS));
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
static int pcibk_reset(struct pci_dev *dev, enum pcibk_ask ask)
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
			 r.chain, r.functions, r.functions == 1 ? "" : "s", ms);
	return err;
}

/* -- plan: what a reset would do -------------------------------------------- */

/* What a reset of @dev would do, in words; without touching any function */
static int pcibk_plan(struct pci_dev *dev, char *buf, size_t size)
{
	struct pcibk_claim claim = { .dev = dev };
	enum pcibk_method method, weak;
	enum pcibk_set_method set;
	struct pcistub_device *psdev;
	bool assigned;

	if (pci_num_vf(dev)) {
		pcibk_name_blocker(claim.blocker, dev, "VFs enabled");
		goto blocked;
	}

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	if (psdev) {
		method = pcibk_function_method(psdev);
		weak = pcibk_weak_method(psdev);
		assigned = pcibk_is_assigned(psdev);
	}
	spin_unlock_irq(&pcistub_devices_lock);
	if (!psdev)
		return 0;

	if (method && !(assigned && pcibk_core_may_go_on(dev, method)))
		return scnprintf(buf, size, "%s %s\n", pci_name(dev),
				 pcibk_method_names[method]);
	if (assigned) {
		pcibk_name_blocker(claim.blocker, dev, NULL);
		goto blocked;
	}

	set = pcibk_set_method(dev);
	if (set) {
		if (set == PCIBK_SET_SLOT)
			claim.slot = dev->slot;
		pcibk_check_assigned(&claim);
		if (!claim.blocker[0])
			pci_walk_bus(dev->bus, pcibk_check_one, &claim);
		if (claim.blocker[0])
			goto blocked;
		return scnprintf(buf, size, "%s %s\n", pci_name(dev),
				 set == PCIBK_SET_SLOT ? "slot" : "bus");
	}

	return scnprintf(buf, size, "%s %s\n", pci_name(dev),
			 weak ? pcibk_method_names[weak] : "none");

blocked:
	return scnprintf(buf, size, "%s blocked %s\n", pci_name(dev),
			 claim.blocker);
}

/* -- pending: a set has become idle and is dirty ----------------------------- */

/* A function on @bus that is dirty and idle, with a reference */
static struct pci_dev *pcibk_dirty_on(const struct pci_bus *bus)
{
	struct pcistub_device *psdev;
	struct pci_dev *dev = NULL;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->dev->bus == bus && psdev->needs_reset &&
		    !psdev->leaving && !pcibk_is_assigned(psdev)) {
			dev = pci_dev_get(psdev->dev);
			break;
		}
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return dev;
}

/*
 * The sets that may have become idle with the function are that of its bus and
 * those of the buses above.
 */
static void pcibk_pending_work(struct work_struct *work)
{
	struct pcibk_pending *pending =
		container_of(to_delayed_work(work), struct pcibk_pending, work);
	struct pci_bus *bus;
	struct pci_dev *dev;
	bool again = false;
	int err;

	for (bus = pending->dev->bus; !pci_is_root_bus(bus); bus = bus->parent) {
		/* Success makes one less of them, or its guest has it */
		while ((dev = pcibk_dirty_on(bus))) {
			err = pcibk_reset(dev, PCIBK_ASK_PENDING);
			pci_dev_put(dev);
			again |= err == -EAGAIN;
			if (err)
				break;
		}
	}

	if (again && pending->tries--) {
		queue_delayed_work(pcibk_wq, &pending->work, HZ);
		return;
	}

	spin_lock_irq(&pcistub_devices_lock);
	list_del(&pending->list);
	spin_unlock_irq(&pcistub_devices_lock);
	wake_up_all(&pcibk_wait);

	pci_dev_put(pending->dev);
	kfree(pending);
}

/**
 * xen_pcibk_reset_note_idle - a function is about to become idle
 * @dev: the function, that is being adopted, or released by its guest
 *
 * Its set may be wholly owned and idle then; have a work item look, outside the
 * device lock.  From here on the function is not handed out if it is dirty,
 * until the work has been done.  The work holds no reference to the stub's
 * record.
 *
 * Context: process context, device lock held.
 * Return: what to pass to xen_pcibk_reset_start() as soon as it is idle
 */
struct pcibk_pending *xen_pcibk_reset_note_idle(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	struct pcibk_pending *pending;

	/*
	 * The set of a VF is its PF's, which is not reset while there are VFs;
	 * and its bus may be a virtual one, that goes without being asked.
	 */
	if (!auto_reset || !psdev || READ_ONCE(psdev->leaving) ||
	    pci_is_root_bus(dev->bus) || dev->is_virtfn)
		return NULL;

	pending = kmalloc(sizeof(*pending), GFP_KERNEL);
	if (!pending)
		return NULL;
	INIT_DELAYED_WORK(&pending->work, pcibk_pending_work);
	pending->tries = PCIBK_PENDING_TRIES;
	pending->dev = pci_dev_get(dev);

	spin_lock_irq(&pcistub_devices_lock);
	list_add_tail(&pending->list, &pcibk_pending_list);
	spin_unlock_irq(&pcistub_devices_lock);

	return pending;
}

/**
 * xen_pcibk_reset_start - a function has become idle
 * @pending: what xen_pcibk_reset_note_idle() returned, maybe NULL
 *
 * Context: process context
 */
void xen_pcibk_reset_start(struct pcibk_pending *pending)
{
	if (pending)
		queue_delayed_work(pcibk_wq, &pending->work, 0);
}

/* Is a reset of the set of @dev under way or pending? */
static bool pcibk_is_busy(struct pci_dev *dev)
{
	struct pcistub_device *psdev;
	bool busy;

	spin_lock_irq(&pcistub_devices_lock);
	busy = pcibk_is_pending(dev);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (busy)
			break;
		busy = (psdev->claim || psdev->resetting) &&
		       pcibk_same_set(psdev->dev, dev);
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return busy;
}

/**
 * pcibk_make_clean - make a function clean for its next owner
 * @dev: the function; the caller holds a reference
 *
 * If a reset of its set is under way or pending, that may be all it takes.
 *
 * Context: process context, no locks held.
 * Return: as pcibk_reset(), but a weak reset is as good as a strong one, and
 * so is one that has to wait for the guest.
 */
static int pcibk_make_clean(struct pci_dev *dev)
{
	struct pcistub_device *psdev;
	bool clean;

	if (wait_event_killable(pcibk_wait, !pcibk_is_busy(dev)))
		return -EINTR;

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	clean = psdev && !psdev->needs_reset;
	spin_unlock_irq(&pcistub_devices_lock);

	return clean ? 0 : pcibk_reset(dev, PCIBK_ASK_CLEAN);
}

/**
 * xen_pcibk_reset_init - get ready for the first function
 *
 * Return: 0 or -ENOMEM
 */
int __init xen_pcibk_reset_init(void)
{
	pcibk_wq = alloc_workqueue("xen-pciback-reset",
				   WQ_UNBOUND | WQ_FREEZABLE, 0);
	return pcibk_wq ? 0 : -ENOMEM;
}

/**
 * xen_pcibk_reset_exit - finish after the last function
 *
 * Context: process context, no locks held; the driver is unregistered.
 */
void xen_pcibk_reset_exit(void)
{
	/* Also those that would come back only later: the queue knows no timers */
	wait_event(pcibk_wait, list_empty_careful(&pcibk_pending_list));
	destroy_workqueue(pcibk_wq);
}

/* -- attributes ------------------------------------------------------------- */

/* Exactly @digits of hex, then @end */
static bool pcibk_parse_hex(const char **pos, int digits, char end,
			    unsigned int *val)
{
	const char *p = *pos;
	unsigned int v = 0;
	int digit;

	while (digits--) {
		digit = hex_to_bin(*p++);
		if (digit < 0)
			return false;
		v = v << 4 | digit;
	}
	if (end && *p++ != end)
		return false;

	*val = v;
	*pos = p;
	return true;
}

/* [DDDD:]BB:DD.F, white space around it, and not a byte more */
static int pcibk_parse_bdf(const char *buf, size_t count, unsigned int *domain,
			   unsigned int *bus, unsigned int *devfn)
{
	static const char space[] = " \t\n\v\f\r";
	const char *p = buf + strspn(buf, space);
	unsigned int slot, func;

	*domain = 0;
	pcibk_parse_hex(&p, 4, ':', domain);
	if (!pcibk_parse_hex(&p, 2, ':', bus) ||
	    !pcibk_parse_hex(&p, 2, '.', &slot) ||
	    !pcibk_parse_hex(&p, 1, '\0', &func))
		return -EINVAL;
	p += strspn(p, space);

	/* Short of the end of what was written, there is a NUL in it */
	if (p != buf + count || slot > 0x1f || func > 7)
		return -EINVAL;

	*devfn = PCI_DEVFN(slot, func);
	return 0;
}

/* The function that a write names, with a reference */
static struct pci_dev *pcibk_get_named(const char *buf, size_t count)
{
	unsigned int domain, bus, devfn;
	struct pci_dev *dev;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);

	err = pcibk_parse_bdf(buf, count, &domain, &bus, &devfn);
	if (err)
		return ERR_PTR(err);

	dev = pci_get_domain_bus_and_slot(domain, bus, devfn);
	if (!dev) {
		pr_notice_ratelimited("reset: no function %04x:%02x:%02x.%x\n",
				      domain, bus, PCI_SLOT(devfn),
				      PCI_FUNC(devfn));
		return ERR_PTR(-ENODEV);
	}
	return dev;
}

static ssize_t reset_device_store(struct device_driver *drv, const char *buf,
				  size_t count)
{
	struct pci_dev *dev;
	int err;

	dev = pcibk_get_named(buf, count);
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	err = pcibk_reset(dev, PCIBK_ASK_RESET);
	pci_dev_put(dev);

	return err ?: count;
}
static DRIVER_ATTR_WO(reset_device);

static ssize_t do_flr_store(struct device_driver *drv, const char *buf,
			    size_t count)
{
	struct pci_dev *dev;
	int err;

	dev = pcibk_get_named(buf, count);
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	err = pcibk_make_clean(dev);
	pci_dev_put(dev);

	return err ?: count;
}
static DRIVER_ATTR_WO(do_flr);

/* Room for the line that says how many functions did not fit */
#define PCIBK_PLAN_REST		32

static ssize_t reset_plan_show(struct device_driver *drv, char *buf)
{
	unsigned int owned = 0, nr = 0, i;
	struct pcistub_device *psdev;
	char line[2 * PCIBK_BLOCKER_LEN];
	struct pci_dev **devs;
	ssize_t len = 0;
	int line_len;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		owned++;
	spin_unlock_irq(&pcistub_devices_lock);

	devs = kvmalloc_array(owned, sizeof(*devs), GFP_KERNEL);
	if (!devs)
		return -ENOMEM;

	/* A plan walks buses, so not under this lock */
	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (nr < owned)
			devs[nr++] = pci_dev_get(psdev->dev);
	spin_unlock_irq(&pcistub_devices_lock);

	for (i = 0; i < nr; i++) {
		line_len = pcibk_plan(devs[i], line, sizeof(line));
		if (len + line_len > PAGE_SIZE - PCIBK_PLAN_REST)
			break;
		len += sysfs_emit_at(buf, len, "%s", line_len ? line : "");
	}
	if (i < nr)
		len += sysfs_emit_at(buf, len, "... and %u more\n", nr - i);

	for (i = 0; i < nr; i++)
		pci_dev_put(devs[i]);
	kvfree(devs);
	return len;
}
static DRIVER_ATTR_RO(reset_plan);

static struct attribute *xen_pcibk_reset_driver_attrs[] = {
	&driver_attr_reset_device.attr,
	&driver_attr_do_flr.attr,
	&driver_attr_reset_plan.attr,
	NULL
};

static const struct attribute_group xen_pcibk_reset_driver_group = {
	.attrs = xen_pcibk_reset_driver_attrs,
};

/* For pci_driver.groups: files in /sys/bus/pci/drivers/pciback/ */
const struct attribute_group *xen_pcibk_reset_driver_groups[] = {
	&xen_pcibk_reset_driver_group,
	NULL
};

/*
 * Per function.  The driver core removes these files before remove() and waits
 * for readers, so the stub's record is there.
 */
static ssize_t needs_reset_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev = pcibk_psdev(to_pci_dev(dev));

	return sysfs_emit(buf, "%d\n", psdev && READ_ONCE(psdev->needs_reset));
}
static DEVICE_ATTR_RO(needs_reset);

static ssize_t last_reset_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev = pcibk_psdev(to_pci_dev(dev));
	struct pcibk_text *last;
	ssize_t len;

	rcu_read_lock();
	last = psdev ? rcu_dereference(psdev->last_reset) : NULL;
	len = sysfs_emit(buf, "%s\n", last ? last->text : "none");
	rcu_read_unlock();

	return len;
}
static DEVICE_ATTR_RO(last_reset);

static struct attribute *xen_pcibk_reset_dev_attrs[] = {
	&dev_attr_needs_reset.attr,
	&dev_attr_last_reset.attr,
	NULL
};

static const struct attribute_group xen_pcibk_reset_dev_group = {
	.name = "pciback",
	.attrs = xen_pcibk_reset_dev_attrs,
};

/* For pci_driver.dev_groups: files in /sys/bus/pci/devices/BDF/ */
const struct attribute_group *xen_pcibk_reset_dev_groups[] = {
	&xen_pcibk_reset_dev_group,
	NULL
};
