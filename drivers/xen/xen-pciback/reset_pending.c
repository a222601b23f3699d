// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: those that nobody asks for
 *
 * A set that holds a dirty function is reset as soon as all of it is owned and
 * idle, from a work item; and whoever wants a function to be clean waits for
 * that.  The rules are told in reset.c.
 */

#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "pciback.h"
#include "reset.h"
#include "reset_internal.h"

/* How often a pending reset comes back to locks that are not to be had */
#define PCIBK_PENDING_TRIES	6

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

/* Will a work item look at the set of @dev, or does it already? */
bool pcibk_is_pending(const struct pci_dev *dev)
{
	struct pcibk_pending *pending;

	lockdep_assert_held(&pcistub_devices_lock);

	list_for_each_entry(pending, &pcibk_pending_list, list)
		if (pcibk_same_set(pending->dev, dev))
			return true;
	return false;
}

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
 * Context: process context; device lock held, or pcistub_export_lock by who gives
 * up a function that was not exported.
 * Return: what to pass to xen_pcibk_reset_start() as soon as it is idle
 */
struct pcibk_pending *xen_pcibk_reset_note_idle(struct pci_dev *dev)
{
	struct pcistub_device *psdev = pcibk_psdev(dev);
	struct pcibk_pending *pending;

	pcibk_end_coverage(dev);
	/*
	 * The set of a VF is its PF's, which is not reset while there are VFs;
	 * and its bus may be a virtual one, that goes without being asked.
	 */
	if (!pcibk_auto_reset || !psdev || READ_ONCE(psdev->leaving) ||
	    pci_is_root_bus(dev->bus) || dev->is_virtfn)
		return NULL;

	pending = kmalloc_obj(*pending);
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

/*
 * What a requested reset of a set has covered ends for all of the set once a function
 * of it has been used, or comes or goes, or error recovery may have reset it.
 */
void pcibk_end_coverage(const struct pci_dev *dev)
{
	struct pcistub_device *psdev;
	unsigned long flags;

	spin_lock_irqsave(&pcistub_devices_lock, flags);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (pcibk_same_set(psdev->dev, dev))
			psdev->covered_until = 0;
	spin_unlock_irqrestore(&pcistub_devices_lock, flags);
}

/*
 * Toolstacks name each function of a card before they hand it out.  The reset of the
 * whole card for the first one covers each of the others once, for as long as its
 * COMMAND register is what the reset has left.
 */
static bool pcibk_use_coverage(struct pci_dev *dev)
{
	struct pcistub_device *psdev;
	bool covered = false;
	u16 command;

	pci_read_config_word(dev, PCI_COMMAND, &command);

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	if (psdev && psdev->covered_until && !pcibk_is_assigned(psdev)) {
		covered = time_before(jiffies, psdev->covered_until) &&
			  command == psdev->covered_command;
		psdev->covered_until = 0;
	}
	spin_unlock_irq(&pcistub_devices_lock);

	return covered;
}

/**
 * pcibk_make_clean - make a function clean for its next owner
 * @dev: the function; the caller holds a reference
 *
 * It is reset whatever the account says: a guest can make pciback release its
 * function while Xen still lets it at the device, and a toolstack may have told
 * nothing of a guest at all.  A reset of its set that is under way or pending is
 * waited for first.
 *
 * Context: process context, no locks held.
 * Return: as pcibk_reset(), but a weak reset is as good as a strong one, and
 * so is one that has to wait for the guest.
 */
int pcibk_make_clean(struct pci_dev *dev)
{
	pcibk_claim_might_wait();
	if (wait_event_killable(pcibk_wait, !pcibk_is_busy(dev)))
		return -EINTR;

	return pcibk_use_coverage(dev) ? 0 : pcibk_reset(dev, PCIBK_ASK_CLEAN);
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
