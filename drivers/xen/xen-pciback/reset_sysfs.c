// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: the files in sysfs
 *
 * Documentation/ABI/testing/sysfs-driver-pciback-reset is what they promise.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include "pciback.h"
#include "reset.h"
#include "reset_internal.h"

/* What a reset of @dev would do, in words; without touching any function */
static int pcibk_plan(struct pci_dev *dev, char *buf, size_t size)
{
	struct pcibk_claim claim = { .dev = dev };
	enum pcibk_method method, weak;
	enum pcibk_set_method set;
	struct pcistub_device *psdev;
	bool assigned, sure;

	if (pci_num_vf(dev)) {
		pcibk_name_blocker(claim.blocker, dev, "VFs enabled");
		goto blocked;
	}

	spin_lock_irq(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	if (psdev) {
		method = pcibk_function_method(psdev);
		weak = pcibk_weak_method(psdev);
		assigned = pcibk_is_assigned(psdev);
		sure = !assigned || !pcibk_core_may_go_on(psdev, method);
	}
	spin_unlock_irq(&pcistub_devices_lock);
	if (!psdev)
		return 0;

	if (method && sure)
		return scnprintf(buf, size, "%s %s\n", pci_name(dev),
				 pcibk_method_names[method]);
	if (assigned) {
		pcibk_name_blocker(claim.blocker, dev, NULL);
		goto blocked;
	}

	set = pcibk_set_method(dev);
	if (set) {
		if (set == PCIBK_SET_SLOT)
			claim.slot = dev->slot;
		if (pcibk_set_is_blocked(&claim))
			goto blocked;
		return scnprintf(buf, size, "%s %s\n", pci_name(dev),
				 set == PCIBK_SET_SLOT ? "slot" : "bus");
	}

	return scnprintf(buf, size, "%s %s\n", pci_name(dev),
			 weak ? pcibk_method_names[weak] : "none");

blocked:
	return scnprintf(buf, size, "%s blocked %s\n", pci_name(dev),
			 claim.blocker);
}

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

/* Have @reset work on the function that a write names */
static ssize_t pcibk_store(const char *buf, size_t count,
			   int (*reset)(struct pci_dev *dev))
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

	err = reset(dev);
	pci_dev_put(dev);

	return err ?: count;
}

static int pcibk_reset_now(struct pci_dev *dev)
{
	return pcibk_reset(dev, PCIBK_ASK_RESET);
}

static ssize_t reset_device_store(struct device_driver *drv, const char *buf,
				  size_t count)
{
	return pcibk_store(buf, count, pcibk_reset_now);
}
static DRIVER_ATTR_WO(reset_device);

static ssize_t do_flr_store(struct device_driver *drv, const char *buf,
			    size_t count)
{
	return pcibk_store(buf, count, pcibk_make_clean);
}
static DRIVER_ATTR_WO(do_flr);

/* Room for the line that says how many functions did not fit */
#define PCIBK_PLAN_REST		32

static ssize_t reset_plan_show(struct device_driver *drv, char *buf)
{
	unsigned int owned = 0, nr = 0, i;
	struct pcistub_device *psdev;
	char line[2 * PCIBK_BLOCKER_LEN];
	struct pci_dev **devs;
	ssize_t len = 0;
	int line_len;

	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		owned++;
	spin_unlock_irq(&pcistub_devices_lock);

	devs = kvmalloc_array(owned, sizeof(*devs), GFP_KERNEL);
	if (!devs)
		return -ENOMEM;

	/* A plan walks buses, so not under this lock */
	spin_lock_irq(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (nr < owned)
			devs[nr++] = pci_dev_get(psdev->dev);
	spin_unlock_irq(&pcistub_devices_lock);

	for (i = 0; i < nr; i++) {
		line_len = pcibk_plan(devs[i], line, sizeof(line));
		if (len + line_len > PAGE_SIZE - PCIBK_PLAN_REST)
			break;
		len += sysfs_emit_at(buf, len, "%s", line_len ? line : "");
	}
	if (i < nr)
		len += sysfs_emit_at(buf, len, "... and %u more\n", nr - i);

	for (i = 0; i < nr; i++)
		pci_dev_put(devs[i]);
	kvfree(devs);
	return len;
}
static DRIVER_ATTR_RO(reset_plan);

static struct attribute *xen_pcibk_reset_driver_attrs[] = {
	&driver_attr_reset_device.attr,
	&driver_attr_do_flr.attr,
	&driver_attr_reset_plan.attr,
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

/*
 * Per function.  The driver core removes these files before remove() and waits
 * for readers, so the stub's record is there; RCU keeps one whose late
 * initialisation fails.
 */
static ssize_t needs_reset_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev;
	bool needs_reset;

	rcu_read_lock();
	psdev = pcibk_psdev(to_pci_dev(dev));
	needs_reset = psdev && READ_ONCE(psdev->needs_reset);
	rcu_read_unlock();

	return sysfs_emit(buf, "%d\n", needs_reset);
}
static DEVICE_ATTR_RO(needs_reset);

static ssize_t last_reset_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev;
	struct pcibk_text *last;
	ssize_t len;

	rcu_read_lock();
	psdev = pcibk_psdev(to_pci_dev(dev));
	last = psdev ? rcu_dereference(psdev->last_reset) : NULL;
	len = sysfs_emit(buf, "%s\n", last ? last->text : "none");
	rcu_read_unlock();

	return len;
}
static DEVICE_ATTR_RO(last_reset);

static struct attribute *xen_pcibk_reset_dev_attrs[] = {
	&dev_attr_needs_reset.attr,
	&dev_attr_last_reset.attr,
	NULL
};

static const struct attribute_group xen_pcibk_reset_dev_group = {
	.name = "pciback",
	.attrs = xen_pcibk_reset_dev_attrs,
};

/* For pci_driver.dev_groups: files in /sys/bus/pci/devices/BDF/ */
const struct attribute_group *xen_pcibk_reset_dev_groups[] = {
	&xen_pcibk_reset_dev_group,
	NULL
};
