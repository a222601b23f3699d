/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * PCI Backend - what the driver uses but older kernels lack
 *
 * Included before everything else if the driver is built outside the kernel's tree.
 * Kbuild defines HAVE_... for what the kernel has.  Headers that the kernel lacks
 * are in compat/.
 */
#ifndef __XEN_PCIBACK_COMPAT_H__
#define __XEN_PCIBACK_COMPAT_H__

#include <linux/device.h>
#include <linux/errno.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <xen/acpi.h>
#include <xen/events.h>
#include <xen/pci.h>
#include <xen/xenbus.h>

#ifndef kmalloc_obj
#define kmalloc_obj(p)		kmalloc(sizeof(typeof(p)), GFP_KERNEL)
#define kmalloc_objs(p, n)	kmalloc_array(n, sizeof(typeof(p)), GFP_KERNEL)
#define kzalloc_obj(p)		kzalloc(sizeof(typeof(p)), GFP_KERNEL)
#endif

/* Older kernels take the path only */
#ifndef HAVE_DRIVER_STATE_OF_DEVICE
#define xenbus_read_driver_state(dev, path)	xenbus_read_driver_state(path)
#endif

#ifndef HAVE_EVTCHN_OF_DEVICE
#define bind_interdomain_evtchn_to_irqhandler_lateeoi(dev, ...)	\
	bind_interdomain_evtchn_to_irqhandler_lateeoi((dev)->otherend_id, \
						      __VA_ARGS__)
#endif

/*
 * Older kernels want remove() to return an int, and ignore it.  Where remove() is
 * defined (an argument follows its name) this wraps it in such a function.
 */
#ifndef HAVE_XENBUS_REMOVE_VOID
#define xen_pcibk_xenbus_remove(arg)					\
	compat_xenbus_remove(arg);					\
static int xen_pcibk_xenbus_remove(struct xenbus_device *xdev)		\
{									\
	compat_xenbus_remove(xdev);					\
	return 0;							\
}									\
static void compat_xenbus_remove(arg)
#endif

/* Older kernels keep the override in struct pci_dev */
#ifndef HAVE_DEVICE_MATCH_DRIVER_OVERRIDE
static inline int device_match_driver_override(struct device *dev,
					       const struct device_driver *drv)
{
	const char *name = to_pci_dev(dev)->driver_override;

	return name ? !strcmp(name, drv->name) : -1;
}
#endif

/* Without this the kernel cannot set up the GSIs of a PVH dom0's functions */
#ifndef HAVE_GSI_INFO
#undef CONFIG_XEN_ACPI
#endif

/* Without this a PVH dom0 cannot notify Xen of a reset, and Xen keeps its old data */
#ifndef HAVE_XEN_RESET_DEVICE
static inline int xen_reset_device(const struct pci_dev *dev)
{
	return 0;
}
#endif

#ifndef HAVE_STR_PLURAL
static inline const char *str_plural(size_t num)
{
	if (num == 1)
		return "";
	return "s";
}
#endif

/* Locks that are released at the end of their block */
#ifndef HAVE_GUARD
#define COMPAT_GUARD(_name, _lock, _unlock)					\
struct compat_guard_##_name {							\
	spinlock_t *lock;	/* the lock held */				\
	unsigned long flags;							\
	bool once;								\
};										\
static inline struct compat_guard_##_name compat_take_##_name(spinlock_t *lock)	\
{										\
	struct compat_guard_##_name g = { lock, 0, true };			\
										\
	_lock;									\
	return g;								\
}										\
static inline void compat_give_##_name(struct compat_guard_##_name *g)		\
{										\
	_unlock;								\
}

COMPAT_GUARD(spinlock, spin_lock(lock), spin_unlock(g->lock))
COMPAT_GUARD(spinlock_irq, spin_lock_irq(lock), spin_unlock_irq(g->lock))
COMPAT_GUARD(spinlock_irqsave, spin_lock_irqsave(lock, g.flags),
	     spin_unlock_irqrestore(g->lock, g->flags))

#define compat_guard(_name, _lock, _var)					\
	struct compat_guard_##_name _var					\
		__attribute__((cleanup(compat_give_##_name), unused)) =		\
		compat_take_##_name(_lock)
#define guard(_name)			compat_guard_of_##_name
#define compat_guard_of_spinlock_irq(_lock)					\
	compat_guard(spinlock_irq, _lock, __UNIQUE_ID(guard))
#define compat_guard_of_spinlock_irqsave(_lock)					\
	compat_guard(spinlock_irqsave, _lock, __UNIQUE_ID(guard))
#define scoped_guard(_name, _lock)						\
	for (compat_guard(_name, _lock, compat_scope); compat_scope.once;	\
	     compat_scope.once = false)
#endif

/* Without this a waiting task must tell the freezer not to count it */
#ifndef TASK_FREEZABLE_UNSAFE
#include <linux/freezer.h>
#ifndef CONFIG_FREEZER
#define freezer_count_unsafe	freezer_count
#endif
#define TASK_FREEZABLE_UNSAFE	0
#define schedule_timeout(t)						\
({									\
	long __left;							\
									\
	freezer_do_not_count();						\
	__left = (schedule_timeout)(t);					\
	freezer_count_unsafe();						\
	__left;								\
})
#endif

/* Without this no port that masks bus resets is recognised */
#ifndef PCI_VENDOR_ID_CXL
#define PCI_VENDOR_ID_CXL	0x1e98
#endif
#ifndef HAVE_DVSEC
static inline u16 pci_find_dvsec_capability(struct pci_dev *dev, u16 vendor, u16 dvsec)
{
	return 0;
}
#endif

#ifndef HAVE_PCI_DRIVER_DEV_GROUPS
#define dev_groups		driver.dev_groups
#endif

#ifndef HAVE_PCI_DEV_TRYLOCK
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
#endif

#ifndef HAVE_RESET_METHODS

#define PCI_RESET_PROBE		true
#define PCI_RESET_DO_RESET	false
#define PCI_NUM_RESET_METHODS	8

/* The caller has noted that the function has FLR, when it was seized */
static inline int pcie_reset_flr(struct pci_dev *dev, bool probe)
{
	if (dev->dev_flags & PCI_DEV_FLAGS_NO_FLR_RESET)
		return -ENOTTY;
	return probe ? 0 : pcie_flr(dev);
}

/*
 * The core does not list a function's methods, so compat.c does.  pciback.h has a
 * function that reads the core's list: it is not called, but must compile.
 */
#define reset_methods		dev.platform_data
#include "pciback.h"
#undef reset_methods

const u8 *compat_core_methods(struct pci_dev *pdev);
#define pcistub_core_methods(psdev)	compat_core_methods((psdev)->dev)

#endif /* HAVE_RESET_METHODS */

/* Some files define these themselves, after this header: undo what other headers define */
#ifdef OWN_DEV_FMT
#undef dev_fmt
#endif
#ifdef OWN_PR_FMT
#undef pr_fmt
#endif

#endif /* __XEN_PCIBACK_COMPAT_H__ */
