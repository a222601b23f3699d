// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - which functions the toolstack lists in xenstore, for what guests
 */

#include <linux/slab.h>
#include "pciback.h"

/* Until xenstore is up, a task that reads it would block. */
static bool pcibk_store_is_up;

static int pcibk_store_ready(struct notifier_block *nb, unsigned long event, void *data)
{
	WRITE_ONCE(pcibk_store_is_up, true);
	return NOTIFY_DONE;
}

struct notifier_block pcibk_store_notifier = {
	.notifier_call = pcibk_store_ready,
};

/* Does this backend list @dev (if @set: or any function of its set), not as Closing? */
static bool pcibk_lists(const char *domain, const char *id, struct pci_dev *dev, bool set)
{
	struct xen_pcibk_listed *list;
	struct pci_dev *other;
	bool listed = false;
	int num_devs, i;
	char dir[48];

	snprintf(dir, sizeof(dir), "backend/pci/%s/%s", domain, id);
	num_devs = xen_pcibk_read_list(dir, &list);
	for (i = 0; i < num_devs && !listed; i++) {
		if (!list[i].valid || list[i].state == XenbusStateClosing)
			continue;
		other = pci_get_domain_bus_and_slot(list[i].domain, list[i].bus,
						    PCI_DEVFN(list[i].slot, list[i].func));
		listed = other && (set ? pcibk_same_set(other, dev) : other == dev);
		pci_dev_put(other);
	}
	if (num_devs >= 0)
		kfree(list);
	return listed;
}

/* Does the toolstack list @dev (if @set: or any function of its set) for a living guest? */
bool pcibk_is_listed(struct pci_dev *dev, bool set)
{
	unsigned int nr_domains = 0, nr_ids, i, j;
	char **domains, **ids;
	bool listed = false;

	if (!READ_ONCE(pcibk_store_is_up))
		return false;

	domains = xenbus_directory(XBT_NIL, "backend", "pci", &nr_domains);
	if (IS_ERR(domains))
		return false;
	for (i = 0; i < nr_domains && !listed; i++) {
		if (!xenbus_exists(XBT_NIL, "/local/domain", domains[i]))
			continue;
		ids = xenbus_directory(XBT_NIL, "backend/pci", domains[i], &nr_ids);
		if (IS_ERR(ids))
			continue;
		for (j = 0; j < nr_ids && !listed; j++)
			listed = pcibk_lists(domains[i], ids[j], dev, set);
		kfree(ids);
	}
	kfree(domains);
	return listed;
}
