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
 * The story of a write to reset_device, bottom to top in this file:
 *
 *   attribute   parse the address, find the function, ask for a reset
 *   steps       function-level reset, else slot or bus reset, else the weak one
 *   set         claim every function of the set, have the PCI core reset it
 *   function    run exactly one method on one function
 *   settle      tell Xen, restore the state of bind time, disable
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
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <xen/pci.h>
#include <xen/xen.h>
#include "pciback.h"
#include "reset.h"

/* A function's name, and a driver's or a domain's */
#define PCIBK_BLOCKER_LEN	80

/* How long contention (bind, unbind, hotplug, another reset) is borne with */
#define PCIBK_RETRY_MS		10000
#define PCIBK_RETRY_STEP_MS	10
/* The same with a device lock held, for one that may be wanted by the others */
#define PCIBK_RETRY_LOCKED_MS	1000

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

/**
 * struct pcibk_reset - one reset that was asked for
 * @dev: the function named
 * @step: name of the step being taken, as its method
 * @blocker: who forbids that step, or did not come through it; may be empty
 * @functions: how many functions the reset reached
 * @chain: what was tried, with results: "slot: blocked by ...; pm: ok (weak)"
 * @len: length of @chain
 */
struct pcibk_reset {
	struct pci_dev *dev;
	const char *step;
	char blocker[PCIBK_BLOCKER_LEN];
	unsigned int functions;
	char chain[192];
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

/* Woken whenever a claim is dropped */
static DECLARE_WAIT_QUEUE_HEAD(pcibk_claim_wait);

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
	return -EIO;
}

/*
 * Put an idle function back to what it was when pciback seized it.  Neither a
 * saved state that is not there nor one into a function that does not answer.
 */
static int pcibk_restore(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	/* A bridge's state is the core's: buses below depend on it */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return 0;

	if (!pcibk_answers(dev))
		return -ETIMEDOUT;

	if (!dev_data->pci_saved_state ||
	    pci_load_saved_state(dev, dev_data->pci_saved_state)) {
		dev_warn(&dev->dev, "no state of bind time to restore\n");
		return -EIO;
	}
	pci_restore_state(dev);

	/* That may have been saved with bus mastering on */
	pci_clear_master(dev);
	xen_pcibk_reset_device(dev);
	xen_pcibk_config_reset_dev(dev);

	return 0;
}

/**
 * xen_pcibk_reset_prepare - note that a reset of a function begins
 * @dev: a function owned by pciback
 *
 * The pci_error_handlers.reset_prepare() of the driver, and the beginning of
 * our own function-level reset: whoever resets, the function is not handed out
 * in the middle.
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
}

/* Xen first: it must know before the state comes back that it looks at */
static int pcibk_settle(struct pci_dev *dev, struct pcistub_device *psdev)
{
	unsigned long flags;
	int err, told;

	told = pcibk_tell_xen(dev);
	err = pcibk_is_assigned(psdev) ? 0 : pcibk_restore(dev);
	if (!err)
		err = told;

	spin_lock_irqsave(&pcistub_devices_lock, flags);
	psdev->reset_err = err;
	psdev->resetting = false;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);

	return err;
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

	if (psdev)
		pcibk_settle(dev, psdev);
}

/**
 * xen_pcibk_reset_idle - is this function nobody's but ours in error recovery?
 * @dev: a function owned by pciback
 *
 * Error recovery asks the driver, which asks the guest; an idle function has
 * none to ask.
 *
 * Context: process context, device lock held.
 * Return: true if @dev is not assigned.  It may be, right after.
 */
bool xen_pcibk_reset_idle(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);

	return psdev && !pcibk_is_assigned(psdev);
}

/**
 * xen_pcibk_reset_recover_idle - restore an idle function in error recovery
 * @dev: a function owned by pciback, just reset by AER
 *
 * Error recovery resets without saving or restoring: that is left to the
 * driver, and an idle function has no guest to do it.
 *
 * Context: process context, device lock held.
 * Return:
 * * 0          - @dev was idle and is restored
 * * -EBUSY     - @dev is assigned: ask its guest
 * * -ETIMEDOUT - it does not answer
 * * -EIO       - it could not be restored
 */
int xen_pcibk_reset_recover_idle(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	unsigned long flags;

	if (!psdev)
		return -EBUSY;

	/* No hand-out from here */
	xen_pcibk_reset_prepare(dev);
	if (!pcibk_is_assigned(psdev))
		return pcibk_settle(dev, psdev);

	spin_lock_irqsave(&pcistub_devices_lock, flags);
	psdev->resetting = false;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);
	return -EBUSY;
}

/* -- function: one method, one function ------------------------------------ */

/* Function Level Reset, PCIe 6.0, sec 6.6.2: Device Capabilities, less quirks */
static bool pcibk_has_flr(struct pci_dev *dev)
{
	return !pcie_reset_flr(dev, PCI_RESET_PROBE);
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

/*
 * The function-level method to use: the first that the function has and the
 * administrator left it.  The core runs FLR for us by itself, but any other
 * only as the first of its list.
 */
static enum pcibk_method pcibk_function_method(struct pci_dev *dev)
{
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
			if (!i && pcibk_has_af_flr(dev))
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
static enum pcibk_method pcibk_weak_method(struct pci_dev *dev)
{
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
 */
static int pcibk_run(struct pci_dev *dev, enum pcibk_method method)
{
	int err;

	pci_write_config_word(dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);

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
	if (!err && !pcibk_answers(dev))
		err = -ETIMEDOUT;
	return err;
}

/*
 * Reset one function by @method and settle it.  Caller holds the locks that
 * pcibk_run() needs, and has woken @dev.
 */
static int pcibk_reset_function(struct pci_dev *dev, enum pcibk_method method)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	int err, settled;
	bool assigned;

	xen_pcibk_reset_prepare(dev);
	/* No hand-out from here, and no release without the device lock */
	assigned = pcibk_is_assigned(psdev);

	if (assigned)
		pci_save_state(dev);
	err = pcibk_run(dev, method);
	if (assigned && pcibk_answers(dev))
		pci_restore_state(dev);

	settled = pcibk_settle(dev, psdev);
	return err ?: settled;
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
	enum pcibk_method method = pcibk_function_method(dev);
	struct pci_dev *bridge;
	int err, told = 0;

	device_lock_assert(&dev->dev);

	if (!method)
		method = dev->reset_methods[0];
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

	if (err && err != -ENOTTY)
		dev_warn(&dev->dev, "reset: %s: %s (error %d)\n",
			 method < ARRAY_SIZE(pcibk_method_names) ?
			 pcibk_method_names[method] : "core",
			 pcibk_result(err), err);

	return pcibk_answers(dev) ? told : -ETIMEDOUT;
}

/* -- set: everything that a slot or bus reset reaches ---------------------- */

/* Is @dev on or below @top? */
static bool pcibk_in_set(const struct pci_dev *dev, const struct pci_bus *top)
{
	const struct pci_bus *bus;

	for (bus = dev->bus; bus; bus = bus->parent)
		if (bus == top)
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

	wake_up_all(&pcibk_claim_wait);
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
static int pcibk_claim_commit(struct pcibk_claim *claim)
{
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	if (claim->cancelled) {
		err = -EAGAIN;
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

/* How the members came through: the first that did not is the result */
static int pcibk_claim_result(struct pcibk_claim *claim)
{
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->claim == claim && psdev->reset_err) {
			err = psdev->reset_err;
			strscpy(claim->blocker, pci_name(psdev->dev),
				sizeof(claim->blocker));
			break;
		}
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return err;
}

/**
 * xen_pcibk_reset_refuses_handout - may a function not go to a guest just now?
 * @psdev: the stub's record of it
 *
 * Not while it is being reset, by whomever, and not once it is about to leave
 * pciback.  A claim that is only checking gives way.
 *
 * Context: pcistub_devices_lock held, from before the function is marked as
 * assigned until after.
 * Return: true if it must stay.
 */
bool xen_pcibk_reset_refuses_handout(struct pcistub_device *psdev)
{
	lockdep_assert_held(&pcistub_devices_lock);

	if (psdev->resetting || psdev->leaving ||
	    (psdev->claim && psdev->claim->committed))
		return true;
	if (psdev->claim)
		psdev->claim->cancelled = true;
	return false;
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
	wait_event_lock_irq(pcibk_claim_wait, !psdev->claim,
			    pcistub_devices_lock);
}

/* -- steps: from gentle to thorough ---------------------------------------- */

/*
 * With the function locked, reset it by the method that @pick chooses.
 * -ENOTTY if it chooses none.
 */
static int pcibk_lock_bridge_and_reset(struct pcibk_reset *r,
				       enum pcibk_method (*pick)(struct pci_dev *))
{
	struct pci_dev *dev = r->dev, *bridge;
	enum pcibk_method method = pick(dev);
	bool assigned;
	int err;

	if (!method)
		return -ENOTTY;
	r->step = pcibk_method_names[method];

	assigned = pcibk_is_assigned(pcibk_psdev(dev));
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
		err = pcibk_reset_function(dev, method);
	}

	if (bridge)
		pci_dev_unlock(bridge);
	return err;
}

static int pcibk_lock_and_reset(struct pcibk_reset *r,
				enum pcibk_method (*pick)(struct pci_dev *))
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

/* The steps; each answers -ENOTTY if there is nothing that it could do */

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
		err = pcibk_claim_commit(&claim);
	/* The core asks again and decides by itself */
	if (!err && !pci_probe_reset_slot(r->dev->slot) != slot)
		err = -EAGAIN;
	if (!err) {
		err = pci_reset_bus(r->dev);
		/* Probed before, so a time-out of the core's */
		if (err == -ENOTTY)
			err = -ETIMEDOUT;
		if (!err)
			err = pcibk_claim_result(&claim);
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
	else if (err && err != -ENOTTY && r->blocker[0])
		pcibk_note(r, "%s: %s (%s)", r->step, pcibk_result(err),
			   r->blocker);
	else if (err != -ENOTTY)
		pcibk_note(r, "%s: %s%s", r->step, pcibk_result(err),
			   try == pcibk_try_weak && !err ? " (weak)" : "");
	return err;
}

/* Is it of use to go on to the next step? */
static bool pcibk_may_escalate(int err)
{
	return err && err != -EAGAIN && err != -EINTR && err != -ENODEV;
}

static int pcibk_find(struct pci_dev *dev, bool *assigned)
{
	struct pcistub_device *psdev;
	int err = -ENODEV;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->dev == dev) {
			*assigned = pcibk_is_assigned(psdev);
			err = 0;
			break;
		}
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return err;
}

static int pcibk_reset_steps(struct pcibk_reset *r)
{
	struct pci_dev *dev = r->dev;
	bool assigned;
	int err, set;

	err = pcibk_find(dev, &assigned);
	if (err) {
		pcibk_note(r, "not owned by pciback (%s)",
			   pcibk_driver_name(dev));
		return err;
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

	if (assigned && err == -ENOTTY) {
		pcibk_name_blocker(r->blocker, dev, NULL);
		pcibk_note(r, "blocked by %s", r->blocker);
		return -EBUSY;
	}
	if (assigned)
		return err;

	set = pcibk_step(r, pcibk_try_set);
	if (!pcibk_may_escalate(set))
		return set;

	/*
	 * A weak reset is better than none.  It is all that was asked for only
	 * where no slot or bus reset exists.
	 */
	if (set == -ENOTTY) {
		set = pcibk_step(r, pcibk_try_weak);
		return set == -ENOTTY ? err : set;
	}
	pcibk_step(r, pcibk_try_weak);
	return set;
}

/**
 * pcibk_reset - reset a function thoroughly
 * @dev: the function; the caller holds a reference
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
 * * -EIO       - a function of the set was not reached
 * * -EINTR     - killed while waiting for locks
 */
static int pcibk_reset(struct pci_dev *dev)
{
	struct pcibk_reset r = { .dev = dev };
	ktime_t start = ktime_get();
	s64 ms;
	int err;

	err = pcibk_reset_steps(&r);
	ms = ktime_ms_delta(ktime_get(), start);

	if (err == -ENOTTY)
		dev_warn(&dev->dev, "reset: no method can reset it (error %d)\n",
			 err);
	else if (err)
		dev_warn(&dev->dev, "reset: %s (error %d, %lld ms)\n", r.chain,
			 err, ms);
	else
		dev_info(&dev->dev, "reset: %s (%u function%s, %lld ms)\n",
			 r.chain, r.functions, r.functions == 1 ? "" : "s", ms);
	return err;
}

/* -- attribute -------------------------------------------------------------- */

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

static ssize_t reset_device_store(struct device_driver *drv, const char *buf,
				  size_t count)
{
	unsigned int domain, bus, devfn;
	struct pci_dev *dev;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	err = pcibk_parse_bdf(buf, count, &domain, &bus, &devfn);
	if (err)
		return err;

	dev = pci_get_domain_bus_and_slot(domain, bus, devfn);
	if (!dev) {
		pr_notice_ratelimited("reset: no function %04x:%02x:%02x.%x\n",
				      domain, bus, PCI_SLOT(devfn),
				      PCI_FUNC(devfn));
		return -ENODEV;
	}

	err = pcibk_reset(dev);
	pci_dev_put(dev);

	return err ?: count;
}
static DRIVER_ATTR_WO(reset_device);

static struct attribute *xen_pcibk_reset_driver_attrs[] = {
	&driver_attr_reset_device.attr,
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
