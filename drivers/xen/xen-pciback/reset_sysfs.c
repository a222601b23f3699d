// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: the files in sysfs
 *
 * Documentation/ABI/testing/sysfs-driver-pciback-reset documents them.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/hex.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>
#include "pciback.h"

/* Parse @min to @max hex digits followed by @end.  *@pos is advanced only on success. */
static bool pcibk_parse_hex(const char **pos, int min, int max, char end, unsigned int *val)
{
	const char *p = *pos;
	unsigned int v = 0;
	int n = 0;

	for (; n < max && hex_to_bin(*p) >= 0; n++)
		v = v << 4 | hex_to_bin(*p++);
	if (n < min || (end && *p++ != end))
		return false;

	*val = v;
	*pos = p;
	return true;
}

/* Parse [DDDD:]BB:DD.F with white space around it, and nothing else */
static int pcibk_parse_bdf(const char *buf, size_t count, unsigned int *domain,
			   unsigned int *bus, unsigned int *devfn)
{
	static const char space[] = " \t\n\v\f\r";
	const char *p = buf + strspn(buf, space);
	unsigned int slot, func;

	*domain = 0;
	pcibk_parse_hex(&p, 4, 8, ':', domain);
	if (!pcibk_parse_hex(&p, 2, 2, ':', bus) ||
	    !pcibk_parse_hex(&p, 2, 2, '.', &slot) ||
	    !pcibk_parse_hex(&p, 1, 1, '\0', &func))
		return -EINVAL;
	p += strspn(p, space);

	/* If this is not the end of the input, the input contains a NUL. */
	if (p != buf + count || slot > 0x1f || func > 7)
		return -EINVAL;

	*devfn = PCI_DEVFN(slot, func);
	return 0;
}

/* Reset the function that the input names */
static ssize_t pcibk_store(const char *buf, size_t count, bool do_flr)
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
		pr_notice_ratelimited("reset: no function %04x:%02x:%02x.%x\n", domain, bus,
				      PCI_SLOT(devfn), PCI_FUNC(devfn));
		return -ENODEV;
	}

	err = do_flr ? pcibk_do_flr(dev) : pcibk_reset(dev, PCIBK_ASK_RESET, 0);
	pci_dev_put(dev);

	return err ?: count;
}

static ssize_t reset_device_store(struct device_driver *drv, const char *buf, size_t count)
{
	return pcibk_store(buf, count, false);
}
static DRIVER_ATTR_WO(reset_device);

static ssize_t do_flr_store(struct device_driver *drv, const char *buf, size_t count)
{
	return pcibk_store(buf, count, true);
}
static DRIVER_ATTR_WO(do_flr);

static struct attribute *xen_pcibk_reset_driver_attrs[] = {
	&driver_attr_reset_device.attr, &driver_attr_do_flr.attr, NULL
};

static const struct attribute_group xen_pcibk_reset_driver_group = {
	.attrs = xen_pcibk_reset_driver_attrs,
};

/* For pci_driver.groups: files in /sys/bus/pci/drivers/pciback/ */
const struct attribute_group *xen_pcibk_reset_driver_groups[] = {
	&xen_pcibk_reset_driver_group, NULL
};

/*
 * The files of each function.  They may exist before the stub's record is on the list.  They are
 * removed before remove() runs, with the device lock held, and the removal waits for readers.
 *
 * A plan needs a bus walk, and a walk may have to wait for a task that waits for that device lock.
 * So a reader must not walk: a work item makes the plan, and a reader waits for it for one second.
 */
void pcibk_plan_work(struct work_struct *work)
{
	struct pcistub_device *psdev = container_of(work, struct pcistub_device, reset.plan_work);
	struct pcibk_claim claim = { .dev = psdev->dev, .top = psdev->dev, .plan = true };
	enum pcibk_method method = PCIBK_METHOD_NONE, weak = PCIBK_METHOD_NONE;
	const char *text = NULL;
	unsigned int asked;

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		asked = psdev->reset.plans_asked;
		if (pcibk_find(claim.dev) && !pcibk_assignment(psdev, claim.blocker)) {
			method = pcibk_function_method(psdev, false);
			weak = pcibk_function_method(psdev, true);
		}
	}

	if (pci_num_vf(claim.dev)) {
		snprintf(claim.blocker, sizeof(claim.blocker), "%s (VFs enabled)",
			 pci_name(claim.dev));
	} else if (method) {
		text = pcibk_method_names[method];
	} else if (!claim.blocker[0]) {
		if (pcibk_claim(&claim) == -ENOTTY)
			text = pcibk_method_names[weak];
		else if (!claim.blocker[0])
			text = claim.slot ? "slot" : "bus";
		pcibk_claim_drop(&claim);
	}

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		snprintf(psdev->reset.plan, sizeof(psdev->reset.plan), "%s%s",
			 text ? "" : "blocked ", text ?: claim.blocker);
		psdev->reset.plans_made = asked;
	}
	wake_up_all(&pcibk_wait);
	xen_pcibk_reset_forget(psdev);
}

static ssize_t reset_plan_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev;
	unsigned int asked;

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev = pcibk_find(to_pci_dev(dev));
		if (!psdev)
			return -ENODEV;
		asked = ++psdev->reset.plans_asked;
		pcibk_queue(psdev, &psdev->reset.plan_work);
	}
	if (!wait_event_timeout(pcibk_wait, READ_ONCE(psdev->reset.plans_made) >= asked, HZ))
		return -EAGAIN;

	guard(spinlock_irq)(&pcistub_devices_lock);
	return sysfs_emit(buf, "%s\n", psdev->reset.plan);
}
static DEVICE_ATTR_RO(reset_plan);

static ssize_t last_reset_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(to_pci_dev(dev));
	return psdev ? sysfs_emit(buf, "%s\n", psdev->reset.last) : -ENODEV;
}
static DEVICE_ATTR_RO(last_reset);

/* The value behind one of the files strict, set_reset and needs_reset; -1 is "default" */
static s8 *pcibk_value(struct pcistub_device *psdev, const char *name)
{
	if (!strcmp(name, "strict"))
		return &psdev->reset.strict;
	return !strcmp(name, "set_reset") ? &psdev->reset.set_reset : &psdev->reset.needs_reset;
}

static ssize_t value_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct pcistub_device *psdev;
	int value;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(to_pci_dev(dev));
	/* Without an account yet: its initial value */
	value = psdev ? *pcibk_value(psdev, attr->attr.name) :
			strcmp(attr->attr.name, "strict") ? 1 : -1;
	return value < 0 ? sysfs_emit(buf, "default\n") : sysfs_emit(buf, "%d\n", value);
}

static ssize_t value_store(struct device *dev, struct device_attribute *attr, const char *buf,
			   size_t count)
{
	bool is_default = !strcmp(attr->attr.name, "strict") && sysfs_streq(buf, "default");
	struct pcistub_device *psdev;
	u8 value = 0;

	/* kstrtobool() takes "default" for "disable". */
	if (!is_default && (kstrtou8(buf, 10, &value) || value > 1))
		return -EINVAL;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(to_pci_dev(dev));
	if (psdev)
		*pcibk_value(psdev, attr->attr.name) = is_default ? -1 : value;
	return psdev ? count : -ENODEV;
}

static struct device_attribute dev_attr_needs_reset = __ATTR(needs_reset, 0444, value_show, NULL);
static struct device_attribute dev_attr_strict = __ATTR(strict, 0644, value_show, value_store);
static struct device_attribute dev_attr_set_reset =
	__ATTR(set_reset, 0644, value_show, value_store);

static struct attribute *xen_pcibk_reset_dev_attrs[] = {
	&dev_attr_needs_reset.attr, &dev_attr_last_reset.attr, &dev_attr_reset_plan.attr,
	&dev_attr_strict.attr, &dev_attr_set_reset.attr, NULL
};

static const struct attribute_group xen_pcibk_reset_dev_group = {
	.name = "pciback",
	.attrs = xen_pcibk_reset_dev_attrs,
};

/* For pci_driver.dev_groups: files in /sys/bus/pci/devices/BDF/ */
const struct attribute_group *xen_pcibk_reset_dev_groups[] = {
	&xen_pcibk_reset_dev_group, NULL
};
