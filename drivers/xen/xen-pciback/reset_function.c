// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: one function
 *
 * Find the methods that a function has of its own, run one of them, and afterwards restore the
 * configuration of bind time and notify Xen.  reset.c decides when to do this.
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

/* How long to try for a bridge's lock.  Its holder may wait for our device lock: do not block. */
#define PCIBK_BRIDGE_MS		1000
/* An AF FLR that took longer than this has failed */
#define PCIBK_AF_FLR_MS		50000
/* How long error recovery may take.  The core waits a minute for a device. */
#define PCIBK_RECOVERY_MS	70000

/* In the order of enum pcibk_method */
const char * const pcibk_method_names[] = {
	"none", "device_specific", "acpi", "flr", "af_flr", "pm", "bus", "cxl_bus"
};

DECLARE_WAIT_QUEUE_HEAD(pcibk_wait);

/* The result of a step, as the log shows it */
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

/* Without the device lock the result may be outdated. */
bool pcibk_is_owned(const struct pci_dev *dev)
{
	return READ_ONCE(dev->driver) == &xen_pcibk_pci_driver;
}

/* The stub's record of @dev.  The caller holds the device lock, which keeps the record alive. */
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
 * A function that is gone, held in reset or powered off reads all ones.  Otherwise the Command
 * register is never all ones.  (The Vendor ID may be, of a VF: PCIe 6.0, sec 9.3.4.1.1.)
 */
bool pcibk_answers(struct pci_dev *dev)
{
	u32 val;

	pci_read_config_dword(dev, PCI_COMMAND, &val);
	return !PCI_POSSIBLE_ERROR(val);
}

/* -- methods ---------------------------------------------------------------- */

/* The FLR of conventional PCI needs Transactions Pending, too (AF ECN, 2006). */
bool pcibk_has_af_flr(struct pci_dev *dev)
{
	int pos = pci_find_capability(dev, PCI_CAP_ID_AF);
	u8 cap = 0;

	if (pos && !(dev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET))
		pci_read_config_byte(dev, pos + PCI_AF_CAP, &cap);
	return cap & PCI_AF_CAP_TP && cap & PCI_AF_CAP_FLR;
}

/* May the core use a bus reset for the function? */
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
 * The first method that the core tries to reset this function.  None if it may reach others: a
 * bridge's reset also resets the buses below, and for a VF "bus" resets the slot with the PF and
 * all VFs.
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
 * The function's own strong method: the first one that the administrator allows.  pciback can run
 * FLR directly.  It can run any other method only if that is the first one that the core tries.
 * @weak: the weak method (PM) instead
 */
enum pcibk_method pcibk_function_method(const struct pcistub_device *psdev, bool weak)
{
	enum pcibk_method first = pcibk_core_method(psdev), method;
	const u8 *methods = pcistub_core_methods(psdev);
	int i;

	if (weak)
		return first == PCIBK_METHOD_PM ? first : PCIBK_METHOD_NONE;
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

/* -- what becomes of a function that was reset ------------------------------- */

/* Account for the result of @step: update last_reset and needs_reset */
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
 * Notify Xen of a reset.  For a PVH dom0 Xen keeps the MSI state and the BARs of a function, and
 * reads the function when it is notified: the BARs must have been restored.  Some versions of Xen
 * report no error if they cannot handle MSI-X, but hide it: check for that.  Xen keeps nothing
 * about VFs, and Xen 4.20 crashes if it is notified of the reset of a VF.
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

/* Restore the configuration of bind time.  No guest has the function. */
static int pcibk_restore(struct pci_dev *dev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(dev);

	/* The core restores a bridge: the buses below depend on its current state. */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return 0;

	if (!dev_data->pci_saved_state ||
	    pci_load_saved_state(dev, dev_data->pci_saved_state)) {
		dev_warn(&dev->dev, "no state of bind time to restore\n");
		return -ENODATA;
	}
	pci_restore_state(dev);
	/* Bus mastering may have been on at bind time. */
	pci_clear_master(dev);
	xen_pcibk_reset_device(dev);
	xen_pcibk_config_reset_dev(dev);

	return 0;
}

/*
 * Finish a reset of one function that had the result @err: first restore the configuration, then
 * notify Xen.  A function that does not respond is not touched.  Caller holds the device lock.
 */
static int pcibk_settle(struct pci_dev *dev, int err)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	int settled = -ETIMEDOUT;

	if (pcibk_answers(dev)) {
		settled = psdev->pdev ? 0 : pcibk_restore(dev);
		settled = pcibk_tell_xen(dev) ?: settled;
	}
	err = err ?: settled;

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev->reset.err = err;
		psdev->reset.needs_reset |= !!err;
		WRITE_ONCE(psdev->reset.resetting, false);
	}
	wake_up_all(&pcibk_wait);

	return err;
}

/**
 * xen_pcibk_reset_prepare - a reset of a function begins
 * @dev: a function owned by pciback
 *
 * The driver's reset_prepare(), for each reset of the function, also by others.  Until it ends the
 * function is not handed out and the operations of its guest are refused (see
 * xen_pcibk_do_one_op()): config accesses would be lost, and the device may not respond to MSI
 * operations.
 *
 * Context: process context, device lock held.
 */
void xen_pcibk_reset_prepare(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);

	if (!psdev)
		return;
	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		WRITE_ONCE(psdev->reset.resetting, true);
	/* Wait for an operation of the guest that is under way. */
	if (psdev->pdev)
		flush_work(&psdev->pdev->op_work);
}

/**
 * xen_pcibk_reset_done - a reset of a function has ended
 * @dev: a function owned by pciback
 *
 * The driver's reset_done().  A function without a guest gets the configuration of bind time back,
 * with bus mastering off.  An assigned one keeps what the core has restored.
 *
 * After a slot or bus reset the core waits for the first function of the bus only, and behind a
 * bridge from PCIe to PCI for none.  So if a claim holds the function, wait for it here: up to
 * PCIBK_READY_MS for all functions of a bus together.
 *
 * Context: process context, device lock held.
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
 * xen_pcibk_reset_recovering - error recovery begins for a function, or has ended or failed
 * @dev: a function owned by pciback
 * @begins: it begins
 *
 * Error recovery may reset the function, or only its siblings.  It calls the driver, which asks the
 * guest if there is one.  The function is not handed out until recovery ends.  Before Linux 6.18 a
 * failed recovery is not reported, so this also ends after PCIBK_RECOVERY_MS.
 *
 * Context: process context, device lock held.
 * Return: true if no guest has @dev
 */
bool xen_pcibk_reset_recovering(struct pci_dev *dev, bool begins)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);

	if (!psdev)
		return true;

	guard(spinlock_irq)(&pcistub_devices_lock);
	pcibk_end_coverage(dev);
	psdev->reset.needs_reset = true;
	psdev->reset.recovering_until = begins ? ktime_add_ms(ktime_get(), PCIBK_RECOVERY_MS) : 0;
	return !psdev->pdev;
}

/**
 * xen_pcibk_reset_recover - restore a function in error recovery
 * @dev: a function owned by pciback
 *
 * Error recovery resets without saving or restoring a configuration.  It leaves that to the driver,
 * which leaves it to the guest; without a guest it is done here.  Xen is notified before and after:
 * while it considers the function enabled, it ignores writes to the BARs.  If a function without a
 * guest does not respond, it still needs a reset, but its siblings may recover.
 *
 * Context: process context, device lock held.
 * Return: true if no guest has @dev; then the caller has nothing more to do
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
	/* Ignore the result: the BARs are not restored yet. */
	if (pcibk_answers(dev) && !xen_pv_domain() && !dev->is_virtfn)
		xen_reset_device(dev);
	err = pcibk_settle(dev, 0);
	if (err)
		dev_warn(&dev->dev, "error recovery: %s\n", pcibk_result(err));
	return true;
}

/* -- a reset of one function -------------------------------------------------- */

/*
 * Run @method.  First the function is disabled, so that no DMA is under way.  Interrupt Disable is
 * the canary: it is set before the reset, if the function allows that, and each reset clears it
 * (PCI 3.0, sec 6.2.2).  If it is still set, the reset had no effect.  Device specific and ACPI
 * methods may restore it themselves, so they are not checked.
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
	/* Without the capability the core would use a weaker method. */
	if (method == PCIBK_METHOD_AF_FLR && !pcibk_has_af_flr(dev))
		return -ENOTTY;

	pci_write_config_word(dev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	pci_read_config_word(dev, PCI_COMMAND, &before);

	err = method == PCIBK_METHOD_FLR ? pcie_reset_flr(dev, PCI_RESET_DO_RESET) :
					   __pci_reset_function_locked(dev);
	/* If an AF FLR does not end within a minute, the core uses a weaker method. */
	late = method == PCIBK_METHOD_AF_FLR &&
	       time_after(jiffies, start + msecs_to_jiffies(PCIBK_AF_FLR_MS));
	if (late || !pcibk_answers(dev))
		return -ETIMEDOUT;
	/* Writes to reset_method take no lock: another method may be the first one now. */
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
 * If the core may use a bus reset in the end, the bridge is locked, too.  Otherwise it is not, so
 * that functions behind one bridge are reset in parallel.
 * -EAGAIN: the bridge's lock is taken.  -ENOTTY: the function has lost the method.
 */
int pcibk_reset_function(struct pcistub_device *psdev, enum pcibk_method method)
{
	struct pci_dev *dev = psdev->dev, *bridge = NULL;
	enum pcibk_method last;
	int err;

	if (method != PCIBK_METHOD_FLR && pcibk_may_reset_bus(psdev))
		bridge = pci_upstream_bridge(dev);
	if (bridge && !pci_dev_trylock(bridge))
		return -EAGAIN;

	xen_pcibk_reset_prepare(dev);
	err = pcibk_settle(dev, pcibk_run(dev, method));
	/* If "acpi" fails, the core silently tries its next method. */
	last = method == PCIBK_METHOD_ACPI ? pcistub_core_methods(psdev)[1] : method;
	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		pcibk_account(psdev, pcibk_method_names[method], err, last != PCIBK_METHOD_PM);

	if (bridge)
		pci_dev_unlock(bridge);
	return err;
}

/**
 * xen_pcibk_reset_locked - reset a function as well as its device lock allows
 * @dev: a function that pciback seizes or gives up
 *
 * The reset on bind and unbind: by the function's own method, else by the method that the core has
 * for it alone.  The configuration of bind time is restored.  A failed reset is logged only, since
 * the caller has no other reset to try.
 *
 * Context: process context, device lock held.  Waits for the bridge's lock, up to PCIBK_BRIDGE_MS.
 * Return: 0, or -EIO if the configuration was not restored or Xen rejected the notification
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
		method = pcibk_function_method(psdev, false) ?: pcibk_core_method(psdev);
		/* A reset of a PF removes its VFs, which others may use. */
		if (pcibk_auto_reset && method && !pci_num_vf(dev))
			err = pcibk_reset_function(psdev, method);
		else if (pcibk_answers(dev))
			pcibk_restore(dev);
		if (err != -EAGAIN || time_after(jiffies, end))
			break;
		msleep(PCIBK_RETRY_MS);
	}
	pci_cfg_access_unlock(dev);

	/* -ENOTTY is no failure: the core lists "bus" also where siblings rule it out. */
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
