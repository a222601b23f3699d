// SPDX-License-Identifier: GPL-2.0
/*
 * Emulates PCI domains, for topologies that the test machine does not have.
 *
 * The module makes host bridges with domains of their own.  The functions behind them are
 * only emulated config space: the PCI core finds, numbers, drives and resets them like any
 * others.  The module's parameter describes them as a tree, in domain 5eed
 * (topology_layout.c).  Without it they come from facts about a machine, which are written to
 * debugfs (topology_machine.c).  No function has an interrupt.
 *
 * A slot is reset by a Secondary Bus Reset of its port, as by pciehp, but it has no hotplug
 * driver.  To the kernel, device 0 is in the slot, and ARI functions with numbers above 7 are
 * not.
 *
 * QEMU does not know these functions, so its trace does not show them.  Their counters are in
 * debugfs:
 *
 *   pciback_topology/functions	a line for each function that ever existed:
 *				NAME READS WRITES FLRS RESETS SBRS
 *   pciback_topology/clear	write 1: counts from 0 again
 *
 * RESETS is how often the function's registers were reset, for any reason.  FLRS is how often
 * an FLR was started, and SBRS, for a bridge, how often it began a secondary bus reset.
 *
 * Only config accesses reach these functions.  Xen could not find them, so it is not notified
 * of them, see topo_notify().  So pciback can own them and hand them out, but no real guest can
 * have one.
 *
 * The tree does not change until the module is unloaded.  Unloading waits for the last
 * reference to the host bridges.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "topology.h"

/* For what a slot is asked, with another type since 5.15 */
#ifdef PCI_RESET_PROBE
#define TOPO_PROBE_TYPE		bool
#else
#define TOPO_PROBE_TYPE		int
#endif

#define TOPO_WINDOW_SIZE	SZ_32M

/* Of no driver */
#define TOPO_NO_DRIVER		"none"

static char *layout;
module_param(layout, charp, 0444);
MODULE_PARM_DESC(layout, "what there is, as a tree: port(fn*256); else facts are to come");

/* The lists only change while nothing of the tree is there, under the mutex. */
LIST_HEAD(topo_functions);
LIST_HEAD(topo_hosts);
static DEFINE_MUTEX(topo_mutex);
static bool topo_built;
static struct dentry *topo_dir;
static DECLARE_COMPLETION(topo_released);

/* -- the tree --------------------------------------------------------------- */

struct topo_bus *topo_alloc_bus(void)
{
	struct topo_bus *bus = kzalloc(sizeof(*bus), GFP_KERNEL);

	if (bus)
		INIT_LIST_HEAD(&bus->functions);
	return bus;
}

/* A new host bridge, in the order of domains and bus numbers */
struct topo_host *topo_add_host(int domain, u8 first)
{
	struct topo_host *host = kzalloc(sizeof(*host), GFP_KERNEL), *other;
	struct topo_bus *root = topo_alloc_bus();

	if (!host || !root) {
		kfree(host);
		kfree(root);
		return ERR_PTR(-ENOMEM);
	}
	host->sysdata.domain = domain;
	host->sysdata.node = NUMA_NO_NODE;
	host->root = root;
	host->first = first;
	list_for_each_entry(other, &topo_hosts, list)
		if (other->sysdata.domain > domain ||
		    (other->sysdata.domain == domain && other->first > first))
			break;
	list_add_tail(&host->list, &other->list);
	return host;
}

/* All buses behind a host bridge share its sysdata. */
struct topo_host *topo_host_of(const struct pci_bus *bus)
{
	return container_of((struct pci_sysdata *)bus->sysdata, struct topo_host,
			    sysdata);
}

static void topo_free(void)
{
	struct topo_function *fn, *next_fn;
	struct topo_host *host, *next_host;

	list_for_each_entry_safe(fn, next_fn, &topo_functions, all) {
		kfree(fn->below);
		kfree(fn);
	}
	list_for_each_entry_safe(host, next_host, &topo_hosts, list) {
		kfree(host->root);
		kfree(host);
	}
}

/* The PCI core's idea of a function, with a reference; none if it does not see it */
static struct pci_dev *topo_dev(const struct topo_function *fn)
{
	return pci_get_domain_bus_and_slot(fn->domain, fn->bus, fn->devfn);
}

/* -- host bridges ----------------------------------------------------------- */

static bool topo_is_ours(const struct pci_dev *dev)
{
	struct topo_host *host;

	list_for_each_entry(host, &topo_hosts, list)
		if (dev->bus->sysdata == &host->sysdata)
			return true;
	return false;
}

/*
 * A machine's functions have the names of real ones, but not what their drivers
 * expect of them.
 */
static void topo_keep_drivers_off(struct pci_dev *dev)
{
#ifdef HAVE_DEVICE_SET_DRIVER_OVERRIDE
	device_set_driver_override(&dev->dev, TOPO_NO_DRIVER);
#else
	dev->driver_override = kstrdup(TOPO_NO_DRIVER, GFP_KERNEL);
#endif
}

/*
 * dom0's kernel tells Xen of each function that comes or goes.  Xen 4.17 refuses
 * one that it cannot find (PHYSDEVOP_pci_device_add), yet keeps a record of it
 * that belongs to no domain, and dies by a page fault in vpci_remove_device()
 * when it goes.  So be the first to be notified, and the last.
 */
static int topo_notify(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	struct pci_dev *dev = to_pci_dev(data);

	if ((action != BUS_NOTIFY_ADD_DEVICE && action != BUS_NOTIFY_DEL_DEVICE) ||
	    !topo_is_ours(dev))
		return NOTIFY_DONE;
	if (action == BUS_NOTIFY_ADD_DEVICE && !layout &&
	    dev->hdr_type == PCI_HEADER_TYPE_NORMAL)
		topo_keep_drivers_off(dev);
	return NOTIFY_STOP;
}

static struct notifier_block topo_notifier = {
	.notifier_call = topo_notify,
	.priority = INT_MAX,
};

static void topo_bridge_released(struct pci_host_bridge *bridge)
{
	complete(&topo_released);
}

/* Up to the next host bridge of the domain */
static u8 topo_last_bus(const struct topo_host *host)
{
	const struct topo_host *next = list_next_entry(host, list);

	return list_is_last(&host->list, &topo_hosts) ||
	       next->sysdata.domain != host->sysdata.domain ?
	       0xff : next->first - 1;
}

/* Behind a CardBus bridge it is for the driver of that to look, who sees cards come */
static void topo_scan_cards(struct topo_host *host)
{
	struct topo_function *fn;
	struct pci_dev *dev;

	list_for_each_entry(fn, &topo_functions, all) {
		dev = fn->kind.header == PCI_HEADER_TYPE_CARDBUS ? topo_dev(fn) : NULL;
		if (dev && dev->subordinate && topo_host_of(dev->bus) == host)
			pci_scan_child_bus(dev->subordinate);
		pci_dev_put(dev);
	}
}

static int topo_add_host_bridge(struct topo_host *host)
{
	struct pci_host_bridge *bridge;
	int err = 0;

	host->busn.name = KBUILD_MODNAME;
	host->busn.start = host->first;
	host->busn.end = topo_last_bus(host);
	host->busn.flags = IORESOURCE_BUS;
	host->window.name = KBUILD_MODNAME;
	host->window.flags = IORESOURCE_MEM | IORESOURCE_MEM_64 |
			     IORESOURCE_PREFETCH;
	/* Addresses that nobody else has, so that the functions can have some */
	if (layout)
		err = allocate_resource(&iomem_resource, &host->window,
					TOPO_WINDOW_SIZE, SZ_4G,
					iomem_resource.end, SZ_1M, NULL, NULL);
	if (err)
		return err;

	bridge = pci_alloc_host_bridge(0);
	if (!bridge) {
		err = -ENOMEM;
		goto release;
	}
	bridge->sysdata = &host->sysdata;
	bridge->busnr = host->first;
	bridge->ops = &topo_ops;
	/* The ports have no interrupts, which their services would want */
	bridge->native_aer = 0;
	bridge->native_pcie_hotplug = 0;
	bridge->native_pme = 0;
	bridge->native_dpc = 0;
	pci_add_resource(&bridge->windows, &host->busn);
	if (layout)
		pci_add_resource(&bridge->windows, &host->window);
	pci_set_host_bridge_release(bridge, topo_bridge_released, NULL);

	pci_lock_rescan_remove();
	err = pci_scan_root_bus_bridge(bridge);
	if (!err) {
		host->bridge = bridge;
		topo_scan_cards(host);
		if (layout)
			pci_assign_unassigned_bus_resources(bridge->bus);
		pci_bus_add_devices(bridge->bus);
	}
	pci_unlock_rescan_remove();
	if (!err)
		return 0;

	pci_free_host_bridge(bridge);
release:
	if (layout)
		release_resource(&host->window);
	return err;
}

/*
 * What is behind a bridge goes before what is beside it.  The core's ASPM frees a link
 * with the first function behind it, though others behind a switch there refer to it.
 */
static void topo_remove_below(struct pci_bus *bus)
{
	struct pci_dev *dev, *next;

	list_for_each_entry(dev, &bus->devices, bus_list)
		if (dev->subordinate)
			topo_remove_below(dev->subordinate);
	list_for_each_entry_safe_reverse(dev, next, &bus->devices, bus_list)
		pci_stop_and_remove_bus_device(dev);
}

static void topo_remove_host_bridge(struct topo_host *host)
{
	struct pci_bus *bus = host->bridge->bus;

	pci_lock_rescan_remove();
	topo_remove_below(bus);
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
	reinit_completion(&topo_released);
	pci_free_host_bridge(host->bridge);

	while (!wait_for_completion_timeout(&topo_released, 10 * HZ))
		pr_warn("waiting for somebody who still has one of the functions\n");
	if (layout)
		release_resource(&host->window);
}

static void topo_remove_host_bridges(void)
{
	struct topo_host *host;

	list_for_each_entry(host, &topo_hosts, list)
		if (host->bridge)
			topo_remove_host_bridge(host);
}

/* -- slots ------------------------------------------------------------------ */

static int topo_reset_slot(struct hotplug_slot *slot, TOPO_PROBE_TYPE probe)
{
	return probe ? 0 : pci_bridge_secondary_bus_reset(slot->pci_slot->bus->self);
}

static const struct hotplug_slot_ops topo_slot_ops = {
	.reset_slot = topo_reset_slot,
};

static void topo_remove_slots(void)
{
	struct topo_function *fn;

	list_for_each_entry(fn, &topo_functions, all)
		if (fn->slot.ops)
			pci_hp_deregister(&fn->slot);
}

static int topo_add_slots(void)
{
	struct topo_function *fn;
	struct pci_dev *dev;
	int err = 0;

	pci_lock_rescan_remove();
	list_for_each_entry(fn, &topo_functions, all) {
		dev = fn->kind.slot ? topo_dev(fn) : NULL;
		if (dev && dev->subordinate) {
			fn->slot.ops = &topo_slot_ops;
			err = pci_hp_register(&fn->slot, dev->subordinate, 0,
					      pci_name(dev));
		}
		pci_dev_put(dev);
		if (err) {
			fn->slot.ops = NULL;
			break;
		}
	}
	pci_unlock_rescan_remove();

	return err;
}

/* -- VFs -------------------------------------------------------------------- */

static void topo_disable_vfs(void)
{
	struct topo_function *fn;
	struct pci_dev *dev;

	list_for_each_entry(fn, &topo_functions, all) {
		dev = fn->vfs_enabled ? topo_dev(fn) : NULL;
		if (dev)
			pci_disable_sriov(dev);
		pci_dev_put(dev);
	}
}

static int topo_enable_vfs(void)
{
	struct topo_function *fn;
	struct pci_dev *dev;
	int err = 0;

	list_for_each_entry(fn, &topo_functions, all) {
		dev = fn->kind.num_vfs ? topo_dev(fn) : NULL;
		if (dev)
			err = pci_enable_sriov(dev, fn->kind.num_vfs);
		fn->vfs_enabled = dev && !err;
		pci_dev_put(dev);
		if (err)
			break;
	}
	return err;
}

/* -- the account ------------------------------------------------------------ */

static int topo_functions_show(struct seq_file *s, void *unused)
{
	struct topo_function *fn;

	mutex_lock(&topo_mutex);
	list_for_each_entry(fn, &topo_functions, all)
		if (READ_ONCE(fn->seen))
			seq_printf(s, "%04x:%02x:%02x.%x %u %u %u %u %u\n",
				   fn->domain, fn->bus, PCI_SLOT(fn->devfn),
				   PCI_FUNC(fn->devfn), READ_ONCE(fn->reads),
				   READ_ONCE(fn->writes), READ_ONCE(fn->flrs),
				   READ_ONCE(fn->resets), READ_ONCE(fn->sbrs));
	mutex_unlock(&topo_mutex);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(topo_functions);

static int topo_clear(void *data, u64 val)
{
	struct topo_function *fn;
	unsigned long flags;

	if (val != 1)
		return -EINVAL;

	raw_spin_lock_irqsave(&topo_lock, flags);
	list_for_each_entry(fn, &topo_functions, all) {
		fn->reads = 0;
		fn->writes = 0;
		fn->flrs = 0;
		fn->resets = 0;
		fn->sbrs = 0;
	}
	raw_spin_unlock_irqrestore(&topo_lock, flags);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(topo_clear_fops, NULL, topo_clear, "%llu\n");

/* -- to be, and to be no more ----------------------------------------------- */

static void topo_remove(void)
{
	topo_disable_vfs();
	topo_remove_slots();
	topo_remove_host_bridges();
	topo_built = false;
}

/* From here on the functions are there, or none */
static int topo_build(void)
{
	struct topo_host *host;
	int err = 0;

	list_for_each_entry(host, &topo_hosts, list)
		err = err ?: topo_add_host_bridge(host);
	err = err ?: topo_add_slots();
	err = err ?: topo_enable_vfs();
	topo_built = !err;
	if (err)
		topo_remove();
	return err;
}

static ssize_t topo_fact_write(struct file *file, const char __user *buf,
			       size_t count, loff_t *pos)
{
	char *line = memdup_user_nul(buf, count);
	int err;

	if (IS_ERR(line))
		return PTR_ERR(line);
	mutex_lock(&topo_mutex);
	err = topo_built ? -EBUSY : topo_add_fact(line);
	mutex_unlock(&topo_mutex);
	kfree(line);
	return err ?: count;
}

static const struct file_operations topo_fact_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = topo_fact_write,
};

/*
 * Not under the mutex while the core looks for them: it calls what knows nothing of
 * it. Nobody else can do it meanwhile, nor add facts.
 */
static int topo_build_set(void *data, u64 val)
{
	int err;

	if (val != 1)
		return -EINVAL;
	mutex_lock(&topo_mutex);
	err = topo_built ? -EBUSY : topo_link_facts();
	topo_built = true;
	mutex_unlock(&topo_mutex);
	return err ?: topo_build();
}
DEFINE_DEBUGFS_ATTRIBUTE(topo_build_fops, NULL, topo_build_set, "%llu\n");

static int __init topo_init(void)
{
	int err;

	err = bus_register_notifier(&pci_bus_type, &topo_notifier);
	if (err)
		return err;
	if (layout)
		err = topo_build_layout(layout) ?: topo_build();
	if (err) {
		bus_unregister_notifier(&pci_bus_type, &topo_notifier);
		topo_free();
		return err;
	}

	topo_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("functions", 0400, topo_dir, NULL,
			    &topo_functions_fops);
	debugfs_create_file_unsafe("clear", 0200, topo_dir, NULL,
				   &topo_clear_fops);
	if (!layout) {
		debugfs_create_file("fact", 0200, topo_dir, NULL,
				    &topo_fact_fops);
		debugfs_create_file_unsafe("build", 0200, topo_dir, NULL,
					   &topo_build_fops);
	}
	return 0;
}

static void __exit topo_exit(void)
{
	debugfs_remove_recursive(topo_dir);
	topo_remove();
	bus_unregister_notifier(&pci_bus_type, &topo_notifier);
	topo_free();
}

module_init(topo_init);
module_exit(topo_exit);

MODULE_DESCRIPTION("Invented PCI topologies, to test xen-pciback");
MODULE_LICENSE("GPL");
