// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - the reset methods of a function, for kernels whose PCI core has no list of them
 */
#include <linux/device.h>
#include <linux/pci.h>

/* The numbers that the core of later kernels uses for them */
enum compat_method {
	COMPAT_METHOD_NONE,
	COMPAT_METHOD_DEVICE_SPECIFIC,
	COMPAT_METHOD_FLR = 3,
	COMPAT_METHOD_AF_FLR,
	COMPAT_METHOD_PM,
	COMPAT_METHOD_BUS,
};

/* A managed resource of the function: freed when the driver is unbound */
struct compat_methods {
	u8 list[PCI_NUM_RESET_METHODS];
};

static void compat_methods_release(struct device *dev, void *res)
{
}

static bool compat_has_af_flr(struct pci_dev *dev)
{
	int pos = pci_find_capability(dev, PCI_CAP_ID_AF);
	u8 cap;

	if (!pos || dev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET)
		return false;

	pci_read_config_byte(dev, pos + PCI_AF_CAP, &cap);
	return cap & PCI_AF_CAP_TP && cap & PCI_AF_CAP_FLR;
}

static bool compat_has_pm_reset(struct pci_dev *dev)
{
	u16 pmcsr;

	if (!dev->pm_cap || dev->dev_flags & PCI_DEV_FLAGS_NO_PM_RESET)
		return false;

	pci_read_config_word(dev, dev->pm_cap + PCI_PM_CTRL, &pmcsr);
	return !(pmcsr & PCI_PM_CTRL_NO_SOFT_RESET);
}

/*
 * Note the methods that the core would try, in its order.  The core checks them
 * again each time.  Device specific methods cannot be seen from here.  A VF that
 * seems to have no method is assumed to have a device specific one: each VF must
 * have FLR, so one without it has a quirk.  A VF has a bus reset only in a slot,
 * where the core would reset the whole slot with the PF.
 */
static void compat_note_methods(u8 *next, struct pci_dev *dev)
{
	const u8 *first = next;

	if (pcie_has_flr(dev))
		*next++ = COMPAT_METHOD_FLR;
	if (compat_has_af_flr(dev))
		*next++ = COMPAT_METHOD_AF_FLR;
	if (compat_has_pm_reset(dev))
		*next++ = COMPAT_METHOD_PM;
	if (dev->is_virtfn && !dev->slot) {
		if (next == first)
			*next++ = COMPAT_METHOD_DEVICE_SPECIFIC;
	} else if (!pci_is_root_bus(dev->bus)) {
		*next++ = COMPAT_METHOD_BUS;
	}
	*next = COMPAT_METHOD_NONE;
}

/**
 * compat_core_methods - the methods that the PCI core may use, in its order
 * @pdev: the function, bound to the driver
 *
 * They are noted at the first call, when the function is seized: later it may not
 * respond.
 *
 * Return: a list that ends with 0
 */
const u8 *compat_core_methods(struct pci_dev *pdev)
{
	static const u8 none[PCI_NUM_RESET_METHODS];
	struct device *dev = &pdev->dev;
	struct compat_methods *methods;

	methods = devres_find(dev, compat_methods_release, NULL, NULL);
	if (!methods) {
		methods = devres_alloc(compat_methods_release, sizeof(*methods),
				       GFP_KERNEL);
		if (!methods)
			return none;
		compat_note_methods(methods->list, pdev);
		devres_add(dev, methods);
	}

	return methods->list;
}
