/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * PCI Backend - thorough resets: what they offer to the stub
 */
#ifndef __XEN_PCIBACK_RESET_H__
#define __XEN_PCIBACK_RESET_H__

#include <linux/types.h>

struct attribute_group;
struct pci_dev;
struct pcibk_pending;
struct pcistub_device;

extern const struct attribute_group *xen_pcibk_reset_driver_groups[];
extern const struct attribute_group *xen_pcibk_reset_dev_groups[];

int xen_pcibk_reset_init(void);
void xen_pcibk_reset_exit(void);

int xen_pcibk_reset_seize(struct pcistub_device *psdev);
void xen_pcibk_reset_release(struct pcistub_device *psdev);

struct pcibk_pending *xen_pcibk_reset_note_idle(struct pci_dev *dev);
void xen_pcibk_reset_start(struct pcibk_pending *pending);

void xen_pcibk_reset_prepare(struct pci_dev *dev);
void xen_pcibk_reset_done(struct pci_dev *dev);
bool xen_pcibk_reset_error(struct pci_dev *dev, bool frozen);
int xen_pcibk_reset_recover_idle(struct pci_dev *dev);

int xen_pcibk_reset_locked(struct pci_dev *dev);

int xen_pcibk_reset_hand_out(struct pcistub_device *psdev);
void xen_pcibk_reset_leave(struct pcistub_device *psdev);

#endif /* __XEN_PCIBACK_RESET_H__ */
