/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * PCI Backend - what the resets use and older kernels do not have
 *
 * Only the patches for such kernels include it.
 */
#ifndef __XEN_PCIBACK_COMPAT_H__
#define __XEN_PCIBACK_COMPAT_H__

#include <linux/device.h>
#include <linux/errno.h>
#include <linux/pci.h>

/* Before 6.12 there is no telling a PVH dom0's Xen: it keeps what it knew */
static inline int xen_reset_device(const struct pci_dev *dev)
{
	return 0;
}

/* Before 6.8 */
static inline const char *str_plural(size_t num)
{
	if (num == 1)
		return "";
	return "s";
}

#ifndef PCI_RESET_PROBE	/* before 5.15 */

#include "reset_internal.h"

#define PCI_RESET_PROBE		true
#define PCI_RESET_DO_RESET	false
#define PCI_NUM_RESET_METHODS	8

/* That the function has it was seen when it was seized, and noted */
static inline int pcie_reset_flr(struct pci_dev *dev, bool probe)
{
	if (dev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET)
		return -ENOTTY;
	return probe ? 0 : pcie_flr(dev);
}

static inline int pci_dev_trylock(struct pci_dev *dev)
{
	if (!device_trylock(&dev->dev))
		return 0;
	if (pci_cfg_access_trylock(dev))
		return 1;
	device_unlock(&dev->dev);
	return 0;
}

static inline void pci_dev_unlock(struct pci_dev *dev)
{
	pci_cfg_access_unlock(dev);
	device_unlock(&dev->dev);
}

static inline bool pcibk_has_pm_reset(struct pci_dev *dev)
{
	u16 pmcsr;

	if (!dev->pm_cap || dev->dev_flags & PCI_DEV_FLAGS_NO_PM_RESET)
		return false;

	pci_read_config_word(dev, dev->pm_cap + PCI_PM_CTRL, &pmcsr);
	return !(pmcsr & PCI_PM_CTRL_NO_SOFT_RESET);
}

/*
 * What the core would try, in its order, though it looks anew each time; less
 * the device specific methods, which it does not tell of.  A VF that seems to have
 * no other may have one of these: VFs must have FLR, and it is who does not that
 * has a quirk.  It cannot be reset by its bus but in a slot, with its PF.
 */
static inline void pcibk_note_methods(u8 *methods, struct pci_dev *dev,
				      bool has_af_flr)
{
	u8 *next = methods;

	if (pcie_has_flr(dev))
		*next++ = PCIBK_METHOD_FLR;
	if (has_af_flr)
		*next++ = PCIBK_METHOD_AF_FLR;
	if (pcibk_has_pm_reset(dev))
		*next++ = PCIBK_METHOD_PM;
	if (dev->is_virtfn && !dev->slot) {
		if (next == methods)
			*next++ = PCIBK_METHOD_DEVICE_SPECIFIC;
	} else if (!pci_is_root_bus(dev->bus)) {
		*next++ = PCIBK_METHOD_BUS;
	}
	*next = PCIBK_METHOD_NONE;
}

#endif /* PCI_RESET_PROBE */

#endif /* __XEN_PCIBACK_COMPAT_H__ */
