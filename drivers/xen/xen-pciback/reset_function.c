// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: one function, by exactly one method
 *
 * How a function is reset by itself, what becomes of it then (Xen is told, the
 * state of bind time restored), and what that means for its next owner.  The
 * rules are told in reset.c.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <xen/xen.h>
#include "pciback.h"
#include "reset.h"
#include "reset_internal.h"

bool pcibk_auto_reset = true;
module_param_named(auto_reset, pcibk_auto_reset, bool, 0644);
MODULE_PARM_DESC(auto_reset,
		 "Reset functions on bind, release and unbind, and sets that have become idle (default: 1). With 0 this is left to writes to reset_device and do_flr.");

/* How long a device lock is held for another that its holder may wait for */
#define PCIBK_RETRY_LOCKED_MS	1000

const char * const pcibk_method_names[] = {
	[PCIBK_METHOD_DEVICE_SPECIFIC]	= "device_specific",
	[PCIBK_METHOD_ACPI]		= "acpi",
	[PCIBK_METHOD_FLR]		= "flr",
	[PCIBK_METHOD_AF_FLR]		= "af_flr",
	[PCIBK_METHOD_PM]		= "pm",
	[PCIBK_METHOD_BUS]		= "bus",
	[PCIBK_METHOD_CXL_BUS]		= "cxl_bus",
};

DECLARE_WAIT_QUEUE_HEAD(pcibk_wait);

/* Results, as the log tells them */
const char *pcibk_result(int err)
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

/* The stub's record of @dev, if it is owned */
struct pcistub_device *pcibk_find(const struct pci_dev *dev)
{
	struct pcistub_device *psdev;

	lockdep_assert_held(&pcistub_devices_lock);

	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (psdev->dev == dev)
			return psdev;
	return NULL;
}

/* Tell who forbids a reset, and why: the guest it is assigned to, if not @why */
void pcibk_name_blocker(char *buf, struct pci_dev *dev, const char *why)
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
bool pcibk_is_owned(const struct pci_dev *dev)
{
	return READ_ONCE(dev->driver) == &xen_pcibk_pci_driver;
}

/* For the log; as stale without the device lock, like dev_driver_string() */
const char *pcibk_driver_name(const struct pci_dev *dev)
{
	const struct pci_driver *driver = READ_ONCE(dev->driver);

	return driver ? driver->name : "no driver";
}

/*
 * The stub's record of @dev.  The device lock keeps it: it comes with probe()
 * and goes with remove().
 */
struct pcistub_device *pcibk_psdev(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	return dev_data ? dev_data->psdev : NULL;
}

bool pcibk_is_assigned(struct pcistub_device *psdev)
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
bool pcibk_answers(struct pci_dev *dev)
{
	u32 val;

	pci_read_config_dword(dev, PCI_COMMAND, &val);
	return !PCI_POSSIBLE_ERROR(val);
}

/* -- account: what a reset means for the next owner ------------------------ */

/* Replace what last_reset reads.  Best effort: the log has it, too. */
void pcibk_set_last(struct pcistub_device *psdev, const char *chain)
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
void pcibk_account(struct pcistub_device *psdev, const char *step,
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
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);
	int err;

	/* Xen (4.20) keeps nothing about a VF, and crashes if told of one */
	if (xen_pv_domain() || dev->is_virtfn)
		return 0;

	err = xen_reset_device(dev);
	/*
	 * Xen (4.20) looks for MSI-X's table where the BARs say that it is, and
	 * the reset has cleared them.  It finds memory there, and then knows
	 * nothing of the function: until its BARs are back, and it is told anew.
	 */
	if (err == -EEXIST && dev_data->pci_saved_state && pcibk_answers(dev) &&
	    !pci_load_saved_state(dev, dev_data->pci_saved_state)) {
		pci_restore_state(dev);
		err = xen_reset_device(dev);
	}
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
int pcibk_settle(struct pci_dev *dev, struct pcistub_device *psdev,
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

	method = pcistub_core_methods(psdev)[0];
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
	pcibk_end_coverage(dev);
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
 * Its state is saved, for the caller to store.
 *
 * Context: process context, device lock held; the function is enabled.
 * Return: 0, or -ENODEV if it does not answer: all ones are nothing that anybody,
 * the PCI core among them, should have saved and put back
 */
int xen_pcibk_reset_seize(struct pcistub_device *psdev)
{
	struct pci_dev *dev = psdev->dev;

	WRITE_ONCE(psdev->needs_reset, true);
	psdev->has_af_flr = pcibk_has_af_flr(dev);

	if (!pcibk_answers(dev))
		return -ENODEV;
	pci_save_state(dev);

	return pcibk_answers(dev) ? 0 : -ENODEV;
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
 * What the core does if it is asked for a reset of this function: the first of
 * its list, and it may go on to the next.  Nothing for a VF if that might be
 * "bus": the core takes it for a card of its own and resets the slot, with the
 * PF and all its VFs in it.
 */
static enum pcibk_method pcibk_core_method(const struct pcistub_device *psdev)
{
	const u8 *methods = pcistub_core_methods(psdev);
	int i;

	for (i = 0; psdev->dev->is_virtfn && i < PCI_NUM_RESET_METHODS; i++)
		if (methods[i] >= PCIBK_METHOD_BUS)
			return PCIBK_METHOD_NONE;
	return methods[0];
}

/*
 * The function-level method to use: the first that the function has and the
 * administrator left it.  The core runs FLR for us by itself, but any other
 * only as the first of its list.
 */
enum pcibk_method pcibk_function_method(struct pcistub_device *psdev)
{
	enum pcibk_method first = pcibk_core_method(psdev), method;
	const u8 *methods = pcistub_core_methods(psdev);
	struct pci_dev *dev = psdev->dev;
	int i;

	/* Whatever a bridge loses, it is not only its own */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return PCIBK_METHOD_NONE;

	for (i = 0; i < PCI_NUM_RESET_METHODS; i++) {
		method = methods[i];

		switch (method) {
		case PCIBK_METHOD_NONE:
			return method;
		case PCIBK_METHOD_FLR:
			if (pcibk_has_flr(dev))
				return method;
			break;
		case PCIBK_METHOD_AF_FLR:
			if (method == first && psdev->has_af_flr)
				return method;
			break;
		case PCIBK_METHOD_DEVICE_SPECIFIC:
		case PCIBK_METHOD_ACPI:
			if (method == first)
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
enum pcibk_method pcibk_weak_method(struct pcistub_device *psdev)
{
	if (psdev->dev->hdr_type == PCI_HEADER_TYPE_NORMAL &&
	    pcibk_core_method(psdev) == PCIBK_METHOD_PM)
		return PCIBK_METHOD_PM;
	return PCIBK_METHOD_NONE;
}

/*
 * Might the core go on to another method if the first one fails?  It does if
 * that one times out or turns out not to be supported after all, and does not
 * tell which method it was that succeeded.
 */
bool pcibk_core_may_go_on(const struct pcistub_device *psdev,
			  enum pcibk_method method)
{
	return method != PCIBK_METHOD_FLR && pcistub_core_methods(psdev)[1];
}

/*
 * The bridge to lock, if what the core runs might end in a bus reset.  Not
 * otherwise: functions behind the same bridge reset in parallel.
 */
struct pci_dev *pcibk_bridge_to_lock(const struct pcistub_device *psdev,
				     enum pcibk_method method)
{
	const u8 *methods = pcistub_core_methods(psdev);
	int i;

	if (method == PCIBK_METHOD_FLR)
		return NULL;
	for (i = 0; i < PCI_NUM_RESET_METHODS; i++)
		if (methods[i] >= PCIBK_METHOD_BUS)
			return pci_upstream_bridge(psdev->dev);
	return NULL;
}

/* Awake and answering, as each method asks for */
int pcibk_wake(struct pci_dev *dev)
{
	pci_set_power_state(dev, PCI_D0);
	return pcibk_answers(dev) ? 0 : -ETIMEDOUT;
}

/*
 * Have the core run @method, the first of its list, and maybe another one after it;
 * but not PM, unless that is asked for.  It resets less, and the core does not tell
 * which of them it was.  The flag is a quirk's, and nobody else changes it without
 * the device lock; but a write to reset_method, which takes none, may find PM
 * missing meanwhile.
 */
static int pcibk_run_core(struct pci_dev *dev, enum pcibk_method method)
{
	bool no_pm = method != PCIBK_METHOD_PM &&
		     !(dev->dev_flags & PCI_DEV_FLAGS_NO_PM_RESET);
	int err;

	if (no_pm)
		dev->dev_flags |= PCI_DEV_FLAGS_NO_PM_RESET;
	err = __pci_reset_function_locked(dev);
	if (no_pm)
		dev->dev_flags &= ~PCI_DEV_FLAGS_NO_PM_RESET;

	return err;
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
		err = pcibk_run_core(dev, method);

	/* The core's list has no lock: it may have changed since we chose */
	if (err == -ENOTTY && method != PCIBK_METHOD_FLR &&
	    method != pcibk_core_method(pcibk_psdev(dev)))
		return -EAGAIN;
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
 * Let what the guest had begun before the fence come to an end.  A hand-out may
 * fail without the device lock, but not without the exports': false if it has.
 */
static bool pcibk_drain_guest(struct pcistub_device *psdev)
{
	bool assigned;

	mutex_lock(&pcistub_export_lock);
	assigned = pcibk_is_assigned(psdev);
	if (assigned)
		flush_work(&psdev->pdev->op_work);
	mutex_unlock(&pcistub_export_lock);

	return assigned;
}

/*
 * Reset one function by @method, which was chosen for one that is @assigned or
 * not, and settle it.  Caller holds the locks that pcibk_run() needs, and has
 * woken @dev.  -EAGAIN if it was handed out in between.
 */
int pcibk_reset_function(struct pci_dev *dev, enum pcibk_method method,
			 bool assigned)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	int err;

	/* No hand-out from here, and no release without the device lock */
	xen_pcibk_reset_prepare(dev);
	if (assigned ? !pcibk_drain_guest(psdev) : pcibk_is_assigned(psdev)) {
		pcibk_unprepare(dev, psdev);
		return -EAGAIN;
	}

	if (assigned)
		pci_save_state(dev);
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
	bool answers;

	device_lock_assert(&dev->dev);

	/* It was used until now: error recovery may have reset it before that */
	if (psdev)
		psdev->frozen = false;

	if (psdev && pcibk_auto_reset) {
		method = pcibk_function_method(psdev);
		if (!method)
			method = pcibk_core_method(psdev);
	}
	/* What a bridge or a PF would lose is not only its own */
	if (!method || dev->hdr_type != PCI_HEADER_TYPE_NORMAL ||
	    pci_num_vf(dev)) {
		dev_dbg(&dev->dev, "no reset of this function alone\n");
		return pcibk_answers(dev) ? 0 : -ETIMEDOUT;
	}

	pci_cfg_access_lock(dev);
	bridge = pcibk_bridge_to_lock(psdev, method);
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

	answers = pcibk_answers(dev);
	if (!err && !answers)
		err = -ETIMEDOUT;

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

	if (!answers)
		return -ETIMEDOUT;
	return told ? -EIO : 0;
}
