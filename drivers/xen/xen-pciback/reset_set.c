// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: the reset set, and claims on it
 *
 * A slot or bus reset reaches everything on and below a bus: the reset set.  It is walked first:
 * whatever is there must be owned, or a bridge that only passes the reset on.  Then, under
 * pcistub_devices_lock, all functions of the stub's list that belong to the set must be free and
 * be as many as the walk has counted, and since before the walk pciback may have seized no function
 * nor begun to lose one: from there the claim holds them, remove() waits, and nobody hands them
 * out.  Else it fails with -EAGAIN.
 *
 * Nothing blocks between that and the core's try-locks.  If one of these fails, its holder may be
 * a remove() that waits for us: the claim is dropped, and made anew later.  There is no lock
 * against hotplug: a function that is added to the bus in the middle of a reset may meet it, as
 * with every user of pci_reset_bus().
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/bitfield.h>
#include <linux/delay.h>
#include "pciback.h"

/* A bus reset that is on for longer than this was not meant to be a pulse. */
#define PCIBK_PULSE_MS		10

/* CXL 3.1, sec 8.1.5: DVSEC of a port, and the bit without which a bus reset has no effect */
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

/* Would a reset of the set of one function reach the other? */
bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b)
{
	return a == b || (!pci_is_root_bus(a->bus) && pcibk_in_set(b, a->bus)) ||
	       (!pci_is_root_bus(b->bus) && pcibk_in_set(a, b->bus));
}

/* A bridge that only passes a reset on, and has nothing of its own to lose */
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
 * A function that a toolstack has given to a guest without a word looks idle, but bus mastering,
 * which the request before that has turned off, is on.
 */
static bool pcibk_is_in_use(struct pci_dev *dev)
{
	u32 val;

	pci_read_config_dword(dev, PCI_COMMAND, &val);
	return !PCI_POSSIBLE_ERROR(val) && val & PCI_COMMAND_MASTER;
}

/* The first function that is in the way ends the walk. */
static int pcibk_blocked(struct pcibk_claim *claim, struct pci_dev *dev, const char *why)
{
	snprintf(claim->blocker, sizeof(claim->blocker), "%s (%s)", pci_name(dev), why);
	claim->err = -EBUSY;
	return claim->err;
}

/* May a function of the set be reset with it?  If not, @claim says why. */
static int pcibk_check_member(struct pcibk_claim *claim, struct pcistub_device *psdev)
{
	struct pcibk_account *reset = &psdev->reset;

	if (reset->leaving)
		return -EAGAIN;
	if (reset->claim || reset->resetting) {
		claim->busy = true;
		return -EAGAIN;
	}
	if (pcibk_is_assigned(psdev, claim->blocker)) {
		claim->noted = reset->noted;
		claim->in_the_way = pci_dev_get(psdev->dev);
		return -EBUSY;
	}
	if (!reset->set_reset)
		return pcibk_blocked(claim, psdev->dev, "set_reset 0");
	if (psdev->dev == claim->dev)
		return claim->ask == PCIBK_ASK_RELEASE && !reset->due ? -EALREADY : 0;
	if (reset->asked && claim->ask > PCIBK_ASK_FLR && pcibk_is_covered(reset))
		return pcibk_blocked(claim, psdev->dev, "requested");
	if (reset->asked && pcibk_is_in_use(psdev->dev))
		return pcibk_blocked(claim, psdev->dev, "in use: bus mastering is on");
	return 0;
}

/* Has late initialisation of an owned function failed?  Whoever binds it just now has its lock. */
static bool pcibk_is_uninitialised(struct pci_dev *dev)
{
	bool none;

	if (pci_get_drvdata(dev) || !device_trylock(&dev->dev))
		return false;
	none = !pci_get_drvdata(dev);
	device_unlock(&dev->dev);
	return none;
}

/* Look at one device of the set; ends the walk if that device is in the way */
static int pcibk_claim_one(struct pci_dev *dev, void *data)
{
	struct pcibk_claim *claim = data;
	bool top = dev->bus == claim->top->bus;

	/* VFs may be on buses of their own, which neither walks nor the core see. */
	if (pci_num_vf(dev))
		return pcibk_blocked(claim, dev, "VFs enabled");
	/* It would be reset as well, but the core neither locks nor saves it. */
	if (top && claim->slot && dev->slot != claim->top->slot)
		return pcibk_blocked(claim, dev, "not in the slot");
	/* The driver of its slot would take a bus reset for a card pulled out. */
	if (top && !claim->slot && !pci_probe_reset_slot(dev->slot))
		return pcibk_blocked(claim, dev, "in a slot of its own");
	if (!pcibk_is_owned(dev))
		return pcibk_is_transparent(dev) ? 0 :
		       pcibk_blocked(claim, dev, pcibk_driver_name(dev));
	claim->members++;
	return pcibk_is_uninitialised(dev) ? pcibk_blocked(claim, dev, "not initialised") : 0;
}

/*
 * What can reset the bus of claim->top?  Asked in a walk, in which the bus keeps still; a device
 * that is gone from the bus may have lost its slot.
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

/* From here all of the set is held, if all of it is as the walk has seen it, and free. */
static int pcibk_hold(struct pcibk_claim *claim)
{
	struct pci_bus *top = claim->top->bus;
	struct pcistub_device *psdev;
	unsigned int members = 0;
	int err;

	guard(spinlock_irq)(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (!pcibk_in_set(psdev->dev, top))
			continue;
		members++;
		err = pcibk_check_member(claim, psdev);
		if (err)
			return err;
	}
	if (members != claim->members || claim->changes != pcibk_changes ||
	    !pcibk_find(claim->dev))
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
 * Claim the set of claim->top, or find out what is in the way: -ENOTTY if nothing can reset the
 * set, -EBUSY with claim->blocker, -EAGAIN if locks or another reset are in the way.
 * pcibk_claim_drop() ends it, whatever the result but -ENOTTY.
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

/* Is the port's bus reset on?  @ctl: its Bridge Control register, for the caller */
bool pcibk_is_reset_on(struct pci_dev *port, u16 *ctl)
{
	pci_read_config_word(port, PCI_BRIDGE_CONTROL, ctl);
	return !PCI_POSSIBLE_ERROR(*ctl) && *ctl & PCI_BRIDGE_CTL_BUS_RESET;
}

/*
 * A rescan writes back what it has read from Bridge Control.  If it has read that in the middle of
 * the reset, everything below the port stays in reset from then on.
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
	/* Error recovery resets with this lock held. */
	if (pci_dev_trylock(port)) {
		pci_write_config_word(port, PCI_BRIDGE_CONTROL, ctl & ~PCI_BRIDGE_CTL_BUS_RESET);
		pci_dev_unlock(port);
	}
	/* The core saves what it reads before the next reset, and writes it back after it. */
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

/* Say so if the link has come back slower or narrower */
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
 * A bridge between a member and @top that has lost its bus number: it leads nowhere, whatever
 * answers below it.  The member, which is held, keeps the bridges above it.
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

/* How the members came through: the first that did not is the result. */
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
		/* The same reset would not help the others any better. */
		if (!psdev->reset.err || psdev->dev != claim->dev)
			psdev->reset.due = false;
		if (psdev->reset.err && !claim->blocker[0]) {
			strscpy(claim->blocker, pci_name(lost ?: psdev->dev), PCIBK_TEXT_LEN);
			result = psdev->reset.err;
		}
		if (!psdev->reset.err && claim->ask <= PCIBK_ASK_FLR)
			pcibk_cover(psdev, psdev->dev != claim->dev);
	}
	return result;
}

/*
 * Reset the set that @claim holds.  pci_reset_bus() decides between slot and bus once more: all
 * that either would reach is held.  -EAGAIN if it did not get the locks.
 */
int pcibk_claim_reset(struct pcibk_claim *claim, const char *step)
{
	struct pci_dev *port = claim->top->bus->self;
	u16 before = pcibk_link(port);
	int err;

	err = pci_reset_bus(claim->top);
	if (err == -EAGAIN)
		return err;
	claim->stuck = pcibk_is_stuck(port);
	pcibk_compare_link(claim, before, pcibk_link(port));

	/* -ENOTTY is the core's word for a first function that is late or lost. */
	return pcibk_claim_result(claim, step, claim->stuck ? -EIO : err == -ENOTTY ? 0 : err);
}
