// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: one function
 *
 * Which methods a function has of its own, how one of them is run, and what becomes of the
 * function then: its state of bind time is restored, and Xen is told.  reset.c has the rules.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/delay.h>
#include <linux/moduleparam.h>
#include <xen/pci.h>
#include <xen/xen.h>
#include "pciback.h"

bool pcibk_auto_reset = true;
module_param_named(auto_reset, pcibk_auto_reset, bool, 0644);
MODULE_PARM_DESC(auto_reset,
		 "Reset functions on bind, release and unbind (default: 1). With 0 this is left to writes to reset_device and do_flr.");

/* How long the lock of a bridge is waited for, whose holder may want our device lock */
#define PCIBK_BRIDGE_MS		1000
/* An AF FLR that has not ended by then will not */
#define PCIBK_AF_FLR_MS		50000
/* How long error recovery may take: the core waits a minute for a device */
#define PCIBK_RECOVERY_MS	70000

const char * const pcibk_method_names[] = {
	[PCIBK_METHOD_NONE]		= "none",
	[PCIBK_METHOD_DEVICE_SPECIFIC]	= "device_specific",
	[PCIBK_METHOD_ACPI]		= "acpi",
	[PCIBK_METHOD_FLR]		= "flr",
	[PCIBK_METHOD_AF_FLR]		= "af_flr",
	[PCIBK_METHOD_PM]		= "pm",
	[PCIBK_METHOD_BUS]		= "bus",
	[PCIBK_METHOD_CXL_BUS]		= "cxl_bus",
};

DECLARE_WAIT_QUEUE_HEAD(pcibk_wait);

/* The result of a step, in words */
const char *pcibk_result(int err)
{
	switch (err) {
	case 0:			return "ok";
	case -EAGAIN:		return "locks not to be had";
	case -ETIMEDOUT:	return "no answer";
	case -EIO:		return "no effect";
	case -ENODATA:		return "state not restored";
	case -ENODEV:		return "gone";
	case -ENOTTY:		return "not supported";
	case -EINTR:		return "killed";
	default:		return "failed";
	}
}

/* The stub's record of @dev, if pciback owns it */
struct pcistub_device *pcibk_find(const struct pci_dev *dev)
{
	struct pcistub_device *psdev;

	lockdep_assert_held(&pcistub_devices_lock);

	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (psdev->dev == dev)
			return psdev;
	return NULL;
}

/* The answers may be outdated if the caller does not hold the device lock. */
bool pcibk_is_owned(const struct pci_dev *dev)
{
	return READ_ONCE(dev->driver) == &xen_pcibk_pci_driver;
}

/* The stub's record of @dev.  The caller holds the device lock, which keeps it. */
struct pcistub_device *pcibk_psdev(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pcibk_is_owned(dev) ? pci_get_drvdata(dev) : NULL;

	return dev_data ? dev_data->psdev : NULL;
}

const char *pcibk_driver_name(const struct pci_dev *dev)
{
	const struct pci_driver *driver = READ_ONCE(dev->driver);

	return driver ? driver->name : "no driver";
}

/*
 * A function that is gone, held in reset or powered off reads all ones.  The Command register
 * is never all ones otherwise (the Vendor ID of a VF is: PCIe 6.0, sec 9.3.4.1.1).
 */
bool pcibk_answers(struct pci_dev *dev)
{
	u32 val;

	pci_read_config_dword(dev, PCI_COMMAND, &val);
	return !PCI_POSSIBLE_ERROR(val);
}

/* -- methods ---------------------------------------------------------------- */

/* FLR of conventional PCI is usable only with Transactions Pending (AF ECN, 2006). */
bool pcibk_has_af_flr(struct pci_dev *dev)
{
	int pos = pci_find_capability(dev, PCI_CAP_ID_AF);
	u8 cap = 0;

	if (pos && !(dev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET))
		pci_read_config_byte(dev, pos + PCI_AF_CAP, &cap);
	return cap & PCI_AF_CAP_TP && cap & PCI_AF_CAP_FLR;
}

/* Is there a bus reset among what the core may use for the function? */
static bool pcibk_may_reset_bus(const struct pcistub_device *psdev)
{
	const u8 *methods = pcistub_core_methods(psdev);
	int i;

	for (i = 0; i < PCI_NUM_RESET_METHODS && methods[i]; i++)
		if (methods[i] >= PCIBK_METHOD_BUS)
			return true;
	return false;
}

/*
 * The method that the core begins with if it is asked to reset this function.  None if that
 * may reach others: a bridge's takes the buses below with it, and for a VF "bus" is a reset of
 * the slot, its PF and all VFs in it.
 */
static enum pcibk_method pcibk_core_method(const struct pcistub_device *psdev)
{
	enum pcibk_method first = pcistub_core_methods(psdev)[0];

	if (psdev->dev->hdr_type != PCI_HEADER_TYPE_NORMAL ||
	    (psdev->dev->is_virtfn && pcibk_may_reset_bus(psdev)) ||
	    (first >= PCIBK_METHOD_BUS && !psdev->reset.set_reset))
		return PCIBK_METHOD_NONE;
	return first;
}

/*
 * The strong method that a function has for itself: the first that the administrator left it.
 * pciback can run FLR directly; any other only if the core begins with it.
 */
enum pcibk_method pcibk_function_method(const struct pcistub_device *psdev)
{
	enum pcibk_method first = pcibk_core_method(psdev), method;
	const u8 *methods = pcistub_core_methods(psdev);
	int i;

	if (psdev->dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return PCIBK_METHOD_NONE;

	for (i = 0; i < PCI_NUM_RESET_METHODS && methods[i]; i++) {
		method = methods[i];
		if (method == PCIBK_METHOD_FLR ?
		    !pcie_reset_flr(psdev->dev, PCI_RESET_PROBE) :
		    method == first && (method < PCIBK_METHOD_FLR ||
					(method == PCIBK_METHOD_AF_FLR &&
					 psdev->reset.has_af_flr)))
			return method;
	}
	return PCIBK_METHOD_NONE;
}

/* PM, which need not reset everything, if the core would begin with it */
enum pcibk_method pcibk_weak_method(const struct pcistub_device *psdev)
{
	enum pcibk_method first = pcibk_core_method(psdev);

	return first == PCIBK_METHOD_PM ? first : PCIBK_METHOD_NONE;
}

/*
 * Does @method reset all of the function?  If the firmware fails, the core goes on from "acpi"
 * to the next of its list, and does not say so.
 */
static bool pcibk_is_strong(const struct pcistub_device *psdev, enum pcibk_method method)
{
	if (method == PCIBK_METHOD_ACPI)
		return pcistub_core_methods(psdev)[1] != PCIBK_METHOD_PM;
	return method != PCIBK_METHOD_PM;
}

/* -- what becomes of a function that was reset ------------------------------- */

/* Note the result of @step, and whether the function still needs a reset */
void pcibk_account(struct pcistub_device *psdev, const char *step, int err, bool strong)
{
	lockdep_assert_held(&pcistub_devices_lock);

	if (err)
		psdev->reset.needs_reset = true;
	else if (strong && !psdev->pdev && !psdev->reset.refused_by)
		psdev->reset.needs_reset = false;
	snprintf(psdev->reset.last, sizeof(psdev->reset.last), "%s: %s%s", step,
		 pcibk_result(err), err || strong ? "" : " (weak)");
}

/*
 * A PVH dom0's Xen keeps the MSI state and the BARs of the function.  It looks at the function
 * when it is told of a reset, so the BARs must be there.  Some versions report no error if
 * they cannot handle MSI-X, and hide it.  It keeps nothing about VFs, and crashes if it is
 * told of one's reset (4.20).
 */
static int pcibk_tell_xen(struct pci_dev *dev)
{
	int err;

	if (xen_pv_domain() || dev->is_virtfn)
		return 0;

	err = xen_reset_device(dev);
	if (!err && dev->msix_cap && !pci_find_capability(dev, PCI_CAP_ID_MSIX))
		err = -EOPNOTSUPP;
	if (err)
		dev_warn(&dev->dev, "Xen did not take the reset (%d)\n", err);
	return err ? -ENODATA : 0;
}

/* Put a function that no guest has back to what it was when it was seized */
static int pcibk_restore(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	/* The buses below a bridge depend on its state, which the core restores. */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return 0;

	if (!dev_data->pci_saved_state ||
	    pci_load_saved_state(dev, dev_data->pci_saved_state)) {
		dev_warn(&dev->dev, "no state of bind time to restore\n");
		return -ENODATA;
	}
	pci_restore_state(dev);
	/* That state may have bus mastering on. */
	pci_clear_master(dev);
	xen_pcibk_reset_device(dev);
	xen_pcibk_config_reset_dev(dev);

	return 0;
}

/*
 * The end of a reset of one function, which went as @err says: its state comes first, then Xen
 * is told.  A function that does not answer is left alone.  Caller holds the device lock.
 */
static int pcibk_settle(struct pci_dev *dev, int err)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);
	struct pcistub_device *psdev = dev_data->psdev;
	int settled = -ETIMEDOUT;

	if (pcibk_answers(dev)) {
		settled = psdev->pdev ? 0 : pcibk_restore(dev);
		settled = pcibk_tell_xen(dev) ?: settled;
	}
	err = err ?: settled;

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev->reset.err = err;
		psdev->reset.resetting = false;
	}
	WRITE_ONCE(dev_data->fenced, false);
	wake_up_all(&pcibk_wait);

	return err;
}

/**
 * xen_pcibk_reset_prepare - a reset of a function begins
 * @dev: a function owned by pciback
 *
 * The driver's reset_prepare().  Whoever resets the function, it is not handed out meanwhile,
 * and what its guest asks for is refused (see xen_pcibk_do_one_op()): config accesses would be
 * lost, and MSI may meet a device that does not answer.
 *
 * Context: process context, device lock held.
 */
void xen_pcibk_reset_prepare(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	if (!dev_data)
		return;
	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		dev_data->psdev->reset.resetting = true;
	WRITE_ONCE(dev_data->fenced, true);
	/* What it had begun before comes to its end. */
	if (dev_data->psdev->pdev)
		flush_work(&dev_data->psdev->pdev->op_work);
}

/**
 * xen_pcibk_reset_done - a reset of a function has ended
 * @dev: a function owned by pciback
 *
 * The driver's reset_done().  A function without a guest gets the state of bind time back and
 * is disabled; one in use keeps what the core has restored.
 *
 * After a slot or bus reset the core waits for the first function of the bus at most, and not at
 * all behind a bridge from PCIe to PCI.  So a claim gives each bus the time that it may take.
 *
 * Context: process context, device lock held.  Waits for PCIBK_READY_MS at most, for all of a bus.
 */
void xen_pcibk_reset_done(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	unsigned long end = jiffies;

	if (!psdev)
		return;
	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		struct pcibk_claim *claim = psdev->reset.claim;

		if (claim && claim->ready_bus != dev->bus) {
			claim->ready_bus = dev->bus;
			claim->ready_by = jiffies + msecs_to_jiffies(PCIBK_READY_MS);
		}
		if (claim)
			end = claim->ready_by;
	}
	while (!pcibk_answers(dev) && time_before(jiffies, end))
		msleep(PCIBK_RETRY_MS);
	pcibk_settle(dev, 0);
}

/**
 * xen_pcibk_reset_error - error recovery begins for a function, or has failed
 * @dev: a function owned by pciback
 * @state: what has become of its link
 *
 * Error recovery may reset the function, or only its siblings.  It asks the driver, which asks
 * the guest; a function without a guest has nobody to ask.  It is not handed out until recovery
 * ends, which older kernels do not report if it fails.
 *
 * Context: process context, device lock held.
 * Return: true if no guest has @dev
 */
bool xen_pcibk_reset_error(struct pci_dev *dev, pci_channel_state_t state)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);

	if (!psdev)
		return true;

	guard(spinlock_irq)(&pcistub_devices_lock);
	pcibk_end_coverage(dev);
	psdev->reset.needs_reset = true;
	psdev->reset.recovering_until = state == pci_channel_io_perm_failure ? 0 :
					ktime_add_ms(ktime_get(), PCIBK_RECOVERY_MS);
	return !psdev->pdev;
}

/**
 * xen_pcibk_reset_recover - restore a function in error recovery
 * @dev: a function owned by pciback
 *
 * Error recovery resets without saving or restoring, which it leaves to the driver and that to
 * the guest.  Xen is told before and after: as long as it takes a function for enabled, as it
 * was, it ignores what is written to the BARs.  A function without a guest that does not answer
 * needs a reset, but does not keep its siblings from recovering.
 *
 * Context: process context, device lock held.
 * Return: true if no guest has @dev, and all was done that can be done
 */
bool xen_pcibk_reset_recover(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	int err;

	if (!psdev)
		return true;
	if (psdev->pdev)
		return false;

	xen_pcibk_reset_prepare(dev);
	/* What Xen makes of it does not count yet: the BARs are not there. */
	if (pcibk_answers(dev) && !xen_pv_domain() && !dev->is_virtfn)
		xen_reset_device(dev);
	err = pcibk_settle(dev, 0);
	if (err)
		dev_warn(&dev->dev, "error recovery: %s\n", pcibk_result(err));
	return true;
}

/**
 * xen_pcibk_reset_resume - error recovery has ended for a function
 * @dev: a function owned by pciback
 *
 * Context: process context, device lock held.
 */
void xen_pcibk_reset_resume(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);

	if (!psdev)
		return;
	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		psdev->reset.recovering_until = 0;
	wake_up_all(&pcibk_wait);
}

/* -- a reset of one function -------------------------------------------------- */

/*
 * Run @method.  The function is disabled first, so that no DMA is under way.  Interrupt Disable
 * is the canary: it is set before, if the function lets us, and must be clear afterwards (PCI
 * 3.0, sec 6.2.2), or else the reset had no effect.  Device specific and ACPI methods may
 * restore it themselves.
 */
static int pcibk_run(struct pci_dev *dev, enum pcibk_method method)
{
	unsigned long start = jiffies;
	u16 before, after;
	bool late;
	int err;

	pci_set_power_state(dev, PCI_D0);
	if (!pcibk_answers(dev))
		return -ETIMEDOUT;
	/* Without the capability the core would go on to a weaker method. */
	if (method == PCIBK_METHOD_AF_FLR && !pcibk_has_af_flr(dev))
		return -ENOTTY;

	pci_write_config_word(dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	pci_read_config_word(dev, PCI_COMMAND, &before);

	err = method == PCIBK_METHOD_FLR ? pcie_reset_flr(dev, PCI_RESET_DO_RESET) :
					   __pci_reset_function_locked(dev);
	/* The core waits a minute for this, and goes on to a weaker method then. */
	late = method == PCIBK_METHOD_AF_FLR &&
	       time_after(jiffies, start + msecs_to_jiffies(PCIBK_AF_FLR_MS));
	if (late || !pcibk_answers(dev))
		return -ETIMEDOUT;
	/* reset_method has no lock: another method may be the first by now. */
	if (err == -ENOTTY && method != PCIBK_METHOD_FLR &&
	    method != pcibk_core_method(pcibk_psdev(dev)))
		return -EAGAIN;
	if (err)
		return err;

	pci_read_config_word(dev, PCI_COMMAND, &after);
	if ((method == PCIBK_METHOD_FLR || method == PCIBK_METHOD_AF_FLR ||
	     method >= PCIBK_METHOD_BUS) && before & after & PCI_COMMAND_INTX_DISABLE)
		return -EIO;
	return 0;
}

/*
 * Reset one function by @method.  Caller holds the device lock and has blocked config access.
 * If what the core runs may end in a bus reset, the bridge is locked as well; not otherwise:
 * functions behind one bridge are reset in parallel.
 * -EAGAIN if the bridge's lock is not to be had, -ENOTTY if the function has lost the method.
 */
int pcibk_reset_function(struct pcistub_device *psdev, enum pcibk_method method)
{
	struct pci_dev *dev = psdev->dev, *bridge = NULL;
	int err;

	if (method != PCIBK_METHOD_FLR && pcibk_may_reset_bus(psdev))
		bridge = pci_upstream_bridge(dev);
	if (bridge && !pci_dev_trylock(bridge))
		return -EAGAIN;

	xen_pcibk_reset_prepare(dev);
	err = pcibk_settle(dev, pcibk_run(dev, method));
	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		pcibk_account(psdev, pcibk_method_names[method], err,
			      pcibk_is_strong(psdev, method));

	if (bridge)
		pci_dev_unlock(bridge);
	return err;
}

/**
 * xen_pcibk_reset_locked - reset a function as well as its device lock allows
 * @dev: a function that pciback seizes or gives up
 *
 * The reset on bind and unbind: what the function has for itself, or else what the core has for
 * it alone.  The state of bind time is restored.  What goes wrong is in the log: the caller has
 * no other reset to try.
 *
 * Context: process context, device lock held.  The bridge may be waited for, for
 * PCIBK_BRIDGE_MS.
 * Return: 0, or -EIO if the state was not restored or Xen did not take the reset
 */
int xen_pcibk_reset_locked(struct pci_dev *dev)
{
	unsigned long end = jiffies + msecs_to_jiffies(PCIBK_BRIDGE_MS);
	struct pcistub_device *psdev = pcibk_psdev(dev);
	enum pcibk_method method;
	int err = -ENOTTY;

	device_lock_assert(&dev->dev);
	if (!psdev)
		return 0;

	pci_cfg_access_lock(dev);
	for (;;) {
		method = pcibk_function_method(psdev) ?: pcibk_core_method(psdev);
		/* What a PF would lose is not only its own. */
		if (pcibk_auto_reset && method && !pci_num_vf(dev))
			err = pcibk_reset_function(psdev, method);
		else if (pcibk_answers(dev))
			pcibk_restore(dev);
		if (err != -EAGAIN || time_after(jiffies, end))
			break;
		msleep(PCIBK_RETRY_MS);
	}
	pci_cfg_access_unlock(dev);

	/* The core finds out late that "bus" is nothing for a card of several functions. */
	if (!err)
		dev_info(&dev->dev, "reset: %s\n", psdev->reset.last);
	else if (err != -ENOTTY)
		dev_warn(&dev->dev, "reset: %s: %s (error %d)\n", pcibk_method_names[method],
			 pcibk_result(err), err);
	if (!pcibk_answers(dev))
		dev_warn(&dev->dev, "no answer, state not restored\n");
	if (psdev->reset.leaving && psdev->reset.needs_reset)
		dev_warn(&dev->dev, "given up although it still needs a reset\n");
	return err == -ENODATA ? -EIO : 0;
}
