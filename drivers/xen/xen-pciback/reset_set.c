// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: the reset set, and claims on it
 *
 * A slot or bus reset resets everything on and below a bus: the reset set.  A claim makes sure that
 * no other user is hit.  It has two parts:
 *
 * 1. A bus walk.  Each device must be owned by pciback, or be a bridge that only passes the reset
 *    on.  The owned functions are counted.
 * 2. Under pcistub_devices_lock, a look at all functions of the stub's list that are in the set.
 *    All must be idle, and as many as the walk has counted.  If a function was seized or began to
 *    leave since the walk began, the claim fails with -EAGAIN and the caller tries again.
 *
 * From then on the claim holds the functions: remove() waits for it, and none is handed out.
 *
 * Nothing sleeps between that and the try-locks of pci_reset_bus().  If one fails, the lock's
 * holder may be a remove() that waits for the claim.  So the claim is dropped and made again later.
 * Hotplug is not locked out: a function that is added to the bus during the reset may be reset,
 * too, as with each user of pci_reset_bus().
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/bitfield.h>
#include <linux/delay.h>
#include <xen/xen.h>
#include "pciback.h"

/* A bus reset that is on for longer than this has been left on. */
#define PCIBK_PULSE_MS		10

/* CXL 3.1, sec 8.1.5: DVSEC of a port.  While the bit is 0, its bus resets have no effect. */
#define PCIBK_CXL_PORT		3
#define PCIBK_CXL_PORT_CTL	0x0c
#define PCIBK_CXL_UNMASK_SBR	BIT(0)

/* Is @dev on or below @top? */
static bool pcibk_in_set(const struct pci_dev *dev, const struct pci_bus *top)
{
	const struct pci_bus *bus;

	for (bus = dev->bus; bus; bus = bus->parent)
		if (bus == top)
			return true;
	return false;
}

/* Does a reset of the set of either function reach the other one? */
bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b)
{
	return a == b || (!pci_is_root_bus(a->bus) && pcibk_in_set(b, a->bus)) ||
	       (!pci_is_root_bus(b->bus) && pcibk_in_set(a, b->bus));
}

/* Does the bridge only pass a reset on, without a driver that would lose state? */
static bool pcibk_is_transparent(const struct pci_dev *dev)
{
	const struct pci_driver *driver = READ_ONCE(dev->driver);

	return dev->hdr_type == PCI_HEADER_TYPE_BRIDGE &&
	       (!driver || (!strcmp(driver->name, "pcieport") && !dev->is_hotplug_bridge));
}

static bool pcibk_is_masked(struct pci_dev *port)
{
	u16 dvsec = pci_find_dvsec_capability(port, PCI_VENDOR_ID_CXL, PCIBK_CXL_PORT);
	u16 ctl = PCIBK_CXL_UNMASK_SBR;

	if (dvsec)
		pci_read_config_word(port, dvsec + PCIBK_CXL_PORT_CTL, &ctl);
	return !(ctl & PCIBK_CXL_UNMASK_SBR);
}

/*
 * Was bus mastering off after the last request for the function, and is on now?  Then somebody
 * uses it: a toolstack has assigned it without telling pciback.  Some have it hardwired on.
 */
static bool pcibk_is_in_use(const struct pcistub_device *psdev)
{
	u32 val;

	pci_read_config_dword(psdev->dev, PCI_COMMAND, &val);
	return !PCI_POSSIBLE_ERROR(val) && val & ~psdev->reset.command & PCI_COMMAND_MASTER;
}

/* Note what blocks the reset.  The error ends the walk at the first such device. */
static int pcibk_blocked(struct pcibk_claim *claim, struct pci_dev *dev, const char *why)
{
	snprintf(claim->blocker, sizeof(claim->blocker), "%s (%s)", pci_name(dev), why);
	claim->err = -EBUSY;
	return claim->err;
}

/* May this function of the set be reset with @own, claim->dev?  If not, @claim says why. */
static int pcibk_check_member(struct pcibk_claim *claim, const struct pcistub_device *own,
			      struct pcistub_device *psdev)
{
	struct pcibk_account *reset = &psdev->reset;

	if (reset->leaving)
		return -EAGAIN;
	if (reset->claim || reset->resetting) {
		claim->busy = true;
		return -EAGAIN;
	}
	if (pcibk_assignment(psdev, claim->blocker)) {
		claim->noted = reset->noted;
		claim->in_the_way = pci_dev_get(psdev->dev);
		return -EBUSY;
	}
	if (!reset->set_reset)
		return pcibk_blocked(claim, psdev->dev, "set_reset 0");
	if (psdev == own)
		return claim->ask == PCIBK_ASK_RELEASE && !reset->due ? -EALREADY : 0;
	/* Since the guest got the one that it has released, this one may have got another guest. */
	if (claim->ask > PCIBK_ASK_FLR && ktime_before(ktime_get(), reset->asked_until) &&
	    reset->asked_after >= own->reset.assignment)
		return pcibk_blocked(claim, psdev->dev, "requested");
	if (reset->asked_until && pcibk_is_in_use(psdev))
		return pcibk_blocked(claim, psdev->dev, "in use: bus mastering is on");
	return 0;
}

/* Check one device of the set; an error ends the walk */
static int pcibk_claim_one(struct pci_dev *dev, void *data)
{
	struct pcibk_claim *claim = data;
	bool top = dev->bus == claim->top->bus, none;

	/* VFs may be on virtual buses, which neither a walk nor the core sees. */
	if (pci_num_vf(dev))
		return pcibk_blocked(claim, dev, "VFs enabled");
	/* pcistub_probe() refuses this type of header. */
	if (dev->hdr_type == PCI_HEADER_TYPE_CARDBUS)
		return pcibk_blocked(claim, dev, "CardBus bridge, cannot be owned");
	/* The reset would reach it, but the core would neither lock nor save it. */
	if (top && claim->slot && dev->slot != claim->top->slot)
		return pcibk_blocked(claim, dev, "not in the slot");
	/* The driver of its slot would mistake a bus reset for the removal of the card. */
	if (top && !claim->slot && !pci_probe_reset_slot(dev->slot))
		return pcibk_blocked(claim, dev, "in a slot of its own");
	if (!pcibk_is_owned(dev))
		return pcibk_is_transparent(dev) ? 0 :
		       pcibk_blocked(claim, dev, pcibk_driver_name(dev));
	claim->members++;
	/* Has its late initialisation failed?  If its lock is held it is being bound. */
	if (pci_get_drvdata(dev) || !device_trylock(&dev->dev))
		return 0;
	none = !pci_get_drvdata(dev);
	device_unlock(&dev->dev);
	return none ? pcibk_blocked(claim, dev, "not initialised") : 0;
}

/*
 * Can the bus of claim->top be reset, and is that a slot reset?  Done in a walk, since pci_bus_sem
 * keeps claim->top on the bus: a device that has left the bus may have lost its slot.
 */
static int pcibk_probe(struct pci_dev *dev, void *data)
{
	struct pcibk_claim *claim = data;

	if (dev != claim->top)
		return 0;
	claim->slot = !pci_probe_reset_slot(dev->slot);
	claim->err = claim->slot ? 0 : pci_probe_reset_bus(dev->bus);
	return 1;
}

/* Hold all functions of the set, if all are idle and just those that the walk has seen. */
static int pcibk_hold(struct pcibk_claim *claim)
{
	struct pci_bus *top = claim->top->bus;
	struct pcistub_device *psdev, *own;
	unsigned int members = 0;
	int err;

	guard(spinlock_irq)(&pcistub_devices_lock);
	own = pcibk_find(claim->dev);
	if (!own)
		return -EAGAIN;
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (!pcibk_in_set(psdev->dev, top))
			continue;
		members++;
		err = pcibk_check_member(claim, own, psdev);
		if (err)
			return err;
	}
	if (members != claim->members || claim->changes != pcibk_changes)
		return -EAGAIN;
	if (claim->plan)
		return 0;
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (!pcibk_in_set(psdev->dev, top))
			continue;
		psdev->reset.claim = claim;
		psdev->reset.err = -EIO;	/* until reset_done() */
	}
	return 0;
}

/*
 * Claim the set of claim->top.  -ENOTTY: nothing can reset the set.  -EBUSY: claim->blocker says
 * what blocks it.  -EAGAIN: try again, since a change or another reset is under way.
 * The caller must call pcibk_claim_drop(), unless the result is -ENOTTY.
 */
int pcibk_claim(struct pcibk_claim *claim)
{
	struct pci_bus *bus = claim->top->bus;

	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		claim->changes = pcibk_changes;
	claim->err = -ENOTTY;
	if (!pci_is_root_bus(bus))
		pci_walk_bus(bus, pcibk_probe, claim);
	if (claim->err)
		return -ENOTTY;
	if (pcibk_is_masked(bus->self))
		pcibk_blocked(claim, bus->self, "CXL port masks bus resets");
	else
		pci_walk_bus(bus, pcibk_claim_one, claim);
	return claim->err ?: pcibk_hold(claim);
}

void pcibk_claim_drop(struct pcibk_claim *claim)
{
	struct pcistub_device *psdev;

	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		list_for_each_entry(psdev, &pcistub_devices, dev_list)
			if (psdev->reset.claim == claim)
				WRITE_ONCE(psdev->reset.claim, NULL);

	pci_dev_put(claim->in_the_way);
	wake_up_all(&pcibk_wait);
}

/* Is the port's bus reset on?  Its Bridge Control register is stored in @ctl. */
bool pcibk_is_reset_on(struct pci_dev *port, u16 *ctl)
{
	pci_read_config_word(port, PCI_BRIDGE_CONTROL, ctl);
	return !PCI_POSSIBLE_ERROR(*ctl) && *ctl & PCI_BRIDGE_CTL_BUS_RESET;
}

/*
 * Was the bus reset left on?  If so, turn it off.  This happens if a rescan reads Bridge Control in
 * the middle of the reset and later writes the value back.
 */
static bool pcibk_is_stuck(struct pci_dev *port)
{
	u16 ctl;

	if (!pcibk_is_reset_on(port, &ctl))
		return false;
	msleep(PCIBK_PULSE_MS);
	if (!pcibk_is_reset_on(port, &ctl))
		return false;

	dev_warn(&port->dev, "bus reset was left on by somebody\n");
	/* With the lock, since error recovery holds it during its own bus reset. */
	if (pci_dev_trylock(port)) {
		pci_write_config_word(port, PCI_BRIDGE_CONTROL, ctl & ~PCI_BRIDGE_CTL_BUS_RESET);
		pci_dev_unlock(port);
	}
	/* Let the functions respond, or the core would save all ones and write them back. */
	msleep(PCIBK_READY_MS);
	return true;
}

/* Link Status of the port, where it has one; PCIe 6.0, sec 7.5.3.8 */
static u16 pcibk_link(struct pci_dev *port)
{
	u16 status = 0;

	pcie_capability_read_word(port, PCI_EXP_LNKSTA, &status);
	return PCI_POSSIBLE_ERROR(status) ? 0 : status;
}

/* If the link is slower or narrower than before, note that for the log */
static void pcibk_compare_link(struct pcibk_claim *claim, u16 before, u16 after)
{
	static const char * const speeds[] = { "?", "2.5", "5", "8", "16", "32", "64" };
	unsigned int was = before & PCI_EXP_LNKSTA_CLS, is = after & PCI_EXP_LNKSTA_CLS;
	unsigned int wide = FIELD_GET(PCI_EXP_LNKSTA_NLW, before);
	unsigned int narrow = FIELD_GET(PCI_EXP_LNKSTA_NLW, after);

	if (is && narrow && (is < was || narrow < wide))
		snprintf(claim->link, sizeof(claim->link),
			 " (link x%u at %s GT/s, was x%u at %s GT/s)",
			 narrow, speeds[is < ARRAY_SIZE(speeds) ? is : 0],
			 wide, speeds[was < ARRAY_SIZE(speeds) ? was : 0]);
}

/*
 * Find a bridge between a function of the set and @top that has lost its bus number: it does not
 * forward to the bus below any more.  The function is held, so the bridges above it stay.
 */
static struct pci_dev *pcibk_lost_bridge(const struct pci_dev *dev, const struct pci_bus *top)
{
	const struct pci_bus *bus;
	u8 secondary;

	for (bus = dev->bus; bus != top; bus = bus->parent) {
		pci_read_config_byte(bus->self, PCI_SECONDARY_BUS, &secondary);
		if (secondary != bus->number)
			return bus->self;
	}
	return NULL;
}

/*
 * Set or clear the canary of a slot or bus reset.  Each reset clears these bits (PCI 3.0, sec
 * 6.8.1.3 and 6.8.2.3).  The core restores them only while MSI or MSI-X is on, and an idle
 * function uses neither.  In a PVH dom0 Xen answers in place of the function, and is not notified
 * of the reset yet.
 * Return: the bits that are set; if they are to be cleared, those that were set
 */
static u16 pcibk_canary(struct pci_dev *dev, bool set)
{
	int pos = dev->msi_cap ? dev->msi_cap + PCI_MSI_FLAGS : dev->msix_cap + PCI_MSIX_FLAGS;
	u16 ctl, bits = dev->msi_cap ? PCI_MSI_FLAGS_QSIZE : PCI_MSIX_FLAGS_MASKALL;

	if (!xen_pv_domain() || !(dev->msi_cap || dev->msix_cap))
		return 0;
	pci_read_config_word(dev, pos, &ctl);
	if (PCI_POSSIBLE_ERROR(ctl))
		return 0;
	/* Also if they are clear already: Xen remembers the last write to MSI-X control. */
	pci_write_config_word(dev, pos, ctl & ~bits);
	if (!set)
		return ctl & bits;
	/* No canary if they stay set: they are hardwired, or Xen keeps Function Mask on. */
	pci_read_config_word(dev, pos, &ctl);
	if (ctl & bits)
		return 0;
	pci_write_config_word(dev, pos, ctl | bits);
	pci_read_config_word(dev, pos, &ctl);
	return ctl & bits;
}

/*
 * Set or clear the canaries of all functions that @claim holds.
 * Return: if they are to be cleared, whether all of them were still set
 */
static bool pcibk_canaries(struct pcibk_claim *claim, bool set)
{
	u16 kept = 0, cleared = 0, bits;
	struct pcistub_device *psdev;

	guard(spinlock_irq)(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->reset.claim != claim || (!set && !psdev->reset.canary))
			continue;
		bits = pcibk_canary(psdev->dev, set);
		kept |= bits;
		cleared |= psdev->reset.canary & ~bits;
		psdev->reset.canary = set ? bits : 0;
	}
	return kept && !cleared;
}

/*
 * Note the result of each function.  The first error is the result of the claim, but "no answer"
 * goes before others.
 */
static int pcibk_claim_result(struct pcibk_claim *claim, const char *step, int err)
{
	struct pcistub_device *psdev;
	struct pci_dev *lost;
	int result = err;

	guard(spinlock_irq)(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev->reset.claim != claim)
			continue;
		lost = pcibk_lost_bridge(psdev->dev, claim->top->bus);
		if (!psdev->reset.err)
			psdev->reset.err = err ?: lost ? -EIO : 0;
		pcibk_account(psdev, step, psdev->reset.err, true);
		claim->done |= psdev->dev == claim->dev && !psdev->reset.err;
		/* Another reset of the same set would not help the siblings. */
		if (!psdev->reset.err || psdev->dev != claim->dev)
			psdev->reset.due = false;
		if (psdev->reset.err && (!claim->blocker[0] || (psdev->reset.err == -ETIMEDOUT &&
								result != -ETIMEDOUT))) {
			strscpy(claim->blocker, pci_name(lost ?: psdev->dev), PCIBK_TEXT_LEN);
			result = psdev->reset.err;
		}
		if (!psdev->reset.err && claim->ask <= PCIBK_ASK_FLR)
			pcibk_cover(psdev, psdev->dev != claim->dev);
	}
	return result;
}

/*
 * Reset the set that @claim holds.  pci_reset_bus() chooses between slot and bus reset again; the
 * claim holds everything that either would reach.  -EAGAIN: it did not get the locks.
 */
int pcibk_claim_reset(struct pcibk_claim *claim, const char *step)
{
	struct pci_dev *port = claim->top->bus->self;
	u16 before = pcibk_link(port);
	bool ignored;
	int err;

	pcibk_canaries(claim, true);
	err = pci_reset_bus(claim->top);
	ignored = pcibk_canaries(claim, false);
	if (err == -EAGAIN)
		return err;
	claim->stuck = pcibk_is_stuck(port);
	pcibk_compare_link(claim, before, pcibk_link(port));
	if (claim->stuck || ignored)
		err = -EIO;

	/* The core returns -ENOTTY if the first function of the bus did not respond in time. */
	return pcibk_claim_result(claim, step, err == -ENOTTY ? 0 : err);
}
