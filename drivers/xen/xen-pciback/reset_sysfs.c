// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets: the files in sysfs
 *
 * Documentation/ABI/testing/sysfs-driver-pciback-reset says what they promise.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/hex.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>
#include "pciback.h"

/* From @min to @max digits of hex, then @end; moves *@pos only if so */
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

/* [DDDD:]BB:DD.F, white space around it, and not a byte more */
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

	/* Short of the end of what was written, there is a NUL in it. */
	if (p != buf + count || slot > 0x1f || func > 7)
		return -EINVAL;

	*devfn = PCI_DEVFN(slot, func);
	return 0;
}

/* Have @reset work on the function that a write names */
static ssize_t pcibk_store(const char *buf, size_t count, int (*reset)(struct pci_dev *dev))
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

	err = reset(dev);
	pci_dev_put(dev);

	return err ?: count;
}

static int pcibk_reset_now(struct pci_dev *dev)
{
	return pcibk_reset(dev, PCIBK_ASK_RESET, 0);
}

static ssize_t reset_device_store(struct device_driver *drv, const char *buf, size_t count)
{
	return pcibk_store(buf, count, pcibk_reset_now);
}
static DRIVER_ATTR_WO(reset_device);

static ssize_t do_flr_store(struct device_driver *drv, const char *buf, size_t count)
{
	return pcibk_store(buf, count, pcibk_do_flr);
}
static DRIVER_ATTR_WO(do_flr);

static struct attribute *xen_pcibk_reset_driver_attrs[] = {
	&driver_attr_reset_device.attr,
	&driver_attr_do_flr.attr,
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
 * Per function.  These files are there before the stub's record is on the list, and are removed
 * before remove(), which waits for readers with the device lock held.  To make a plan a bus is
 * walked, and whoever walks may have to wait for one who wants that lock.  So a work item makes
 * it, for which nobody waits for long.
 */
struct pcibk_plan {
	struct work_struct work;
	struct completion done;
	struct kref users;
	struct pci_dev *dev;
	char text[PCIBK_TEXT_LEN + 8];
};

static void pcibk_plan_free(struct kref *users)
{
	struct pcibk_plan *plan = container_of(users, struct pcibk_plan, users);

	pci_dev_put(plan->dev);
	kfree(plan);
}

static void pcibk_plan_work(struct work_struct *work)
{
	struct pcibk_plan *plan = container_of(work, struct pcibk_plan, work);
	struct pcibk_claim claim = { .dev = plan->dev, .top = plan->dev, .plan = true };
	enum pcibk_method method = PCIBK_METHOD_NONE, weak = PCIBK_METHOD_NONE;
	struct pcistub_device *psdev;
	const char *text = NULL;

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev = pcibk_find(plan->dev);
		if (psdev && !pcibk_is_assigned(psdev, claim.blocker)) {
			method = pcibk_function_method(psdev);
			weak = pcibk_weak_method(psdev);
		}
	}

	if (pci_num_vf(plan->dev)) {
		snprintf(claim.blocker, sizeof(claim.blocker), "%s (VFs enabled)",
			 pci_name(plan->dev));
	} else if (method) {
		text = pcibk_method_names[method];
	} else if (!claim.blocker[0]) {
		if (pcibk_claim(&claim) == -ENOTTY)
			text = pcibk_method_names[weak];
		else if (!claim.blocker[0])
			text = claim.slot ? "slot" : "bus";
		pcibk_claim_drop(&claim);
	}
	snprintf(plan->text, sizeof(plan->text), "%s%s", text ? "" : "blocked ",
		 text ?: claim.blocker);

	complete(&plan->done);
	kref_put(&plan->users, pcibk_plan_free);
}

static ssize_t reset_plan_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct pcibk_plan *plan = kzalloc(sizeof(*plan), GFP_KERNEL);
	ssize_t len = -EAGAIN;

	if (!plan)
		return -ENOMEM;
	INIT_WORK(&plan->work, pcibk_plan_work);
	init_completion(&plan->done);
	kref_init(&plan->users);
	kref_get(&plan->users);
	plan->dev = pci_dev_get(to_pci_dev(dev));

	queue_work(pcibk_wq, &plan->work);
	if (wait_for_completion_timeout(&plan->done, HZ))
		len = sysfs_emit(buf, "%s\n", plan->text);
	kref_put(&plan->users, pcibk_plan_free);
	return len;
}
static DEVICE_ATTR_RO(reset_plan);

static ssize_t needs_reset_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", pcibk_get_account(to_pci_dev(dev)).needs_reset);
}
static DEVICE_ATTR_RO(needs_reset);

static ssize_t last_reset_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", pcibk_get_account(to_pci_dev(dev)).last);
}
static DEVICE_ATTR_RO(last_reset);

static ssize_t strict_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	int strict = pcibk_get_account(to_pci_dev(dev)).strict;

	return strict < 0 ? sysfs_emit(buf, "default\n") : sysfs_emit(buf, "%d\n", strict);
}

static ssize_t set_reset_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", pcibk_get_account(to_pci_dev(dev)).set_reset);
}

static ssize_t pcibk_set_policy(struct device *dev, const char *buf, size_t count, bool strict)
{
	struct pcistub_device *psdev;
	bool value = false, is_default;
	int err = 0;

	is_default = strict && sysfs_streq(buf, "default");
	if (!is_default)
		err = kstrtobool(buf, &value);
	if (err)
		return err;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(to_pci_dev(dev));
	if (psdev && strict)
		psdev->reset.strict = is_default ? -1 : value;
	else if (psdev)
		psdev->reset.set_reset = value;
	return psdev ? count : -ENODEV;
}

static ssize_t strict_store(struct device *dev, struct device_attribute *attr, const char *buf,
			    size_t count)
{
	return pcibk_set_policy(dev, buf, count, true);
}
static DEVICE_ATTR_RW(strict);

static ssize_t set_reset_store(struct device *dev, struct device_attribute *attr, const char *buf,
			       size_t count)
{
	return pcibk_set_policy(dev, buf, count, false);
}
static DEVICE_ATTR_RW(set_reset);

static struct attribute *xen_pcibk_reset_dev_attrs[] = {
	&dev_attr_needs_reset.attr,
	&dev_attr_last_reset.attr,
	&dev_attr_reset_plan.attr,
	&dev_attr_strict.attr,
	&dev_attr_set_reset.attr,
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
