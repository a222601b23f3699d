// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: the set, and claims on it
 *
 * Everything on and below a function's bus is what a slot or bus reset of it
 * reaches: which functions that is, whether they may be reset, how they are
 * held while it lasts, and how they came through.  The rules are told in
 * reset.c.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>
#include "pciback.h"
#include "reset.h"
#include "reset_internal.h"

static bool strict_reset;
module_param(strict_reset, bool, 0644);
MODULE_PARM_DESC(strict_reset,
		 "Refuse to hand out a function that still needs a reset (default: 0, warn only)");

/*
 * How long a function may take to answer after a slot or bus reset of which the
 * core does not wait for the end, or only for the first function's: 1 s, PCIe
 * 6.0, sec 6.6.1, and 2^25 clocks, PCI 3.0, sec 4.3.2 (Trhfa).
 */
#define PCIBK_READY_MS		1100

/*
 * What lockdep is told of claims: they are one lock, which a commit only tries
 * for and the drop releases, and which others wait for.  Not of those for a slot
 * reset: in the middle of it pciehp takes its own lock, whose holder may wait
 * for one who waits for the claim.  The core leaves that open (see reset.c), so
 * there is nothing to be learnt from it.
 */
#ifdef CONFIG_LOCKDEP
static struct lockdep_map pcibk_claim_map =
	STATIC_LOCKDEP_MAP_INIT("pcibk_claim", &pcibk_claim_map);
#endif

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
bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b)
{
	if (a == b)
		return true;
	if (!pci_is_root_bus(a->bus) && pcibk_in_set(b, a->bus))
		return true;
	return !pci_is_root_bus(b->bus) && pcibk_in_set(a, b->bus);
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
enum pcibk_set_method pcibk_set_method(struct pci_dev *dev)
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
	} else if (!claim->slot && dev->bus == claim->dev->bus &&
		   !pci_probe_reset_slot(dev->slot)) {
		/* To the driver of its slot a bus reset is a card pulled out */
		why = "in a slot of its own";
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

void pcibk_claim_drop(struct pcibk_claim *claim)
{
	struct pcistub_device *psdev;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (psdev->claim == claim)
			WRITE_ONCE(psdev->claim, NULL);
	spin_unlock_irq(&pcistub_devices_lock);

	if (claim->committed && !claim->slot)
		lock_map_release(&pcibk_claim_map);
	wake_up_all(&pcibk_wait);
}

/* Is any owned function of the set assigned? */
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

/*
 * Is the set of claim->dev blocked just now?  For the plan: nothing is claimed,
 * and it may change.
 */
bool pcibk_set_is_blocked(struct pcibk_claim *claim)
{
	pcibk_check_assigned(claim);
	if (!claim->blocker[0])
		pci_walk_bus(claim->dev->bus, pcibk_check_one, claim);

	return claim->blocker[0];
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
int pcibk_claim_check(struct pcibk_claim *claim)
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

/*
 * Second phase: from here nobody leaves.  -EALREADY if it was to be clean and is
 * so by now: nobody needed to be asked for that.
 */
int pcibk_claim_commit(struct pcibk_claim *claim, bool unless_clean)
{
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	if (claim->cancelled) {
		err = -EAGAIN;
	} else if (unless_clean && !pcibk_find(claim->dev)->needs_reset) {
		err = -EALREADY;
	} else {
		claim->committed = true;
		/* Until its reset_done() says otherwise */
		list_for_each_entry(psdev, &pcistub_devices, dev_list)
			if (psdev->claim == claim)
				psdev->reset_err = -EIO;
	}
	spin_unlock_irq(&pcistub_devices_lock);

	if (!err && !claim->slot)
		lock_acquire_exclusive(&pcibk_claim_map, 0, 1, NULL, _THIS_IP_);
	return err;
}

/*
 * Whoever is about to wait for the end of a claim says so, whether there is one
 * or not: lockdep learns the order from that.  No lock may be held that a slot
 * or bus reset takes.
 */
void pcibk_claim_might_wait(void)
{
	might_sleep();
	lock_map_acquire(&pcibk_claim_map);
	lock_map_release(&pcibk_claim_map);
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
 * Settle a member that did not answer the core.  False if it still does not, or
 * if its device lock is not to be had.  One that is leaving need not be settled:
 * its remove() has the lock, waits for us, and restores it afterwards.
 */
static bool pcibk_claim_settle(struct pci_dev *dev)
{
	struct pcistub_device *psdev;
	bool leaving;
	int err;

	if (!pcibk_answers(dev))
		return false;

	if (device_trylock(&dev->dev)) {
		xen_pcibk_reset_prepare(dev);
		err = pcibk_settle(dev, pcibk_psdev(dev), NULL, 0, true);
		device_unlock(&dev->dev);
		return err != -ETIMEDOUT;
	}

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	leaving = psdev->leaving;
	if (leaving)
		psdev->reset_err = 0;
	spin_unlock_irq(&pcistub_devices_lock);

	return leaving;
}

/*
 * The core waits for the first function of the bus at most, and not at all
 * behind a bridge from PCIe to PCI.  Give the others the time they may take,
 * and settle them then: nobody can leave meanwhile.
 */
void pcibk_claim_wait(struct pcibk_claim *claim)
{
	unsigned long end = jiffies + msecs_to_jiffies(PCIBK_READY_MS);
	unsigned int dead = 0;
	struct pci_dev *dev;
	bool settled, late;

	while ((dev = pcibk_claim_silent(claim, dead))) {
		do {
			/* Then it is looked at for the last time */
			late = time_after(jiffies, end);
			settled = pcibk_claim_settle(dev);
			if (!settled && !late)
				msleep(PCIBK_RETRY_STEP_MS);
		} while (!settled && !late);
		dead += !settled;
		pci_dev_put(dev);
	}
}

/*
 * How the members came through: the first that did not is the result.  All are
 * accounted for by what happened to them.  If somebody asked for the reset, it
 * covers the siblings of the function that was named.
 */
int pcibk_claim_result(struct pcibk_claim *claim, const char *step,
		       bool requested)
{
	struct pcistub_device *psdev;
	int err = 0;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->claim != claim)
			continue;

		pcibk_account(psdev, step, psdev->reset_err, true);
		psdev->covered_until = 0;
		if (requested && !psdev->reset_err && psdev->dev != claim->dev) {
			psdev->covered_until = 
				(jiffies + msecs_to_jiffies(PCIBK_COVERED_MS)) | 1;
			pci_read_config_word(psdev->dev, PCI_COMMAND,
					     &psdev->covered_command);
		}

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
	__must_hold(&pcistub_devices_lock)
{
	lockdep_assert_held(&pcistub_devices_lock);

	psdev->leaving = true;
	if (psdev->claim && !psdev->claim->committed) {
		psdev->claim->cancelled = true;
		psdev->claim = NULL;
	}
	spin_unlock_irq(&pcistub_devices_lock);

	pcibk_claim_might_wait();
	wait_event(pcibk_wait, !READ_ONCE(psdev->claim));

	spin_lock_irq(&pcistub_devices_lock);
}
