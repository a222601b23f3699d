// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's PCI bus, which the device model emulates. See guest.h.
 */
#include <linux/pci_regs.h>

#include "guest.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc

/* QEMU's hot unplug: slots that it asks to unplug, and slots that we release */
#define PCI_DOWN	0xae04
#define PCI_EJECT	0xae08

/* The next free addresses: above the memory, and apart from the chipset's ports */
static uint32_t next_memory = 0xe0000000;
static uint32_t next_port = 0xd000;
/* The address in each function's first BAR; a new function in the slot has another */
static uint32_t placed[256];

uint32_t pci_read(unsigned int devfn, unsigned int offset, unsigned int size)
{
	uint32_t val;

	port_write4(CONFIG_ADDRESS, 1U << 31 | devfn << 8 | (offset & ~3));
	val = port_read4(CONFIG_DATA) >> 8 * (offset & 3);
	return size == 4 ? val : val & ((1U << 8 * size) - 1);
}

void pci_write(unsigned int devfn, unsigned int offset, unsigned int size,
	       uint32_t val)
{
	port_write4(CONFIG_ADDRESS, 1U << 31 | devfn << 8 | (offset & ~3));
	if (size == 1)
		port_write1(CONFIG_DATA + (offset & 3), val);
	else if (size == 2)
		port_write2(CONFIG_DATA + (offset & 3), val);
	else
		port_write4(CONFIG_DATA, val);
}

unsigned int pci_cap(unsigned int devfn, uint8_t id)
{
	unsigned int pos = PCI_CAPABILITY_LIST, left = 48;

	if (!(pci_read(devfn, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return 0;
	while ((pos = pci_read(devfn, pos, 1)) && left--) {
		if (pci_read(devfn, pos, 1) == id)
			return pos;
		pos++;
	}
	return 0;
}

/* Assign an address to a BAR. Returns the offset of the next BAR. */
static unsigned int place_bar(unsigned int devfn, unsigned int bar)
{
	uint32_t *next = &next_memory, mask = PCI_BASE_ADDRESS_MEM_MASK, size;
	bool wide = false;

	pci_write(devfn, bar, 4, ~0);
	size = pci_read(devfn, bar, 4);
	if (!size)
		return bar + 4;
	if (size & PCI_BASE_ADDRESS_SPACE_IO) {
		next = &next_port;
		mask = PCI_BASE_ADDRESS_IO_MASK;
		/* The BAR may have 16 bits only */
		size |= 0xffff0000;
	} else {
		wide = size & PCI_BASE_ADDRESS_MEM_TYPE_64;
	}
	size = -(size & mask);
	*next = (*next + size - 1) & -size;
	pci_write(devfn, bar, 4, *next);
	if (wide)
		pci_write(devfn, bar + 4, 4, 0);
	*next += size;
	return bar + (wide ? 8 : 4);
}

uint32_t pci_memory(unsigned int devfn)
{
	uint32_t bar = pci_read(devfn, PCI_BASE_ADDRESS_0, 4);

	return bar & PCI_BASE_ADDRESS_SPACE_IO ? 0 :
		bar & PCI_BASE_ADDRESS_MEM_MASK;
}

void pci_enable(unsigned int devfn)
{
	unsigned int bar = PCI_BASE_ADDRESS_0;

	if (!placed[devfn] || pci_memory(devfn) != placed[devfn])
		while (bar <= PCI_BASE_ADDRESS_5)
			bar = place_bar(devfn, bar);
	placed[devfn] = pci_memory(devfn);
	pci_write(devfn, PCI_COMMAND, 2, pci_read(devfn, PCI_COMMAND, 2) |
		  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void pci_eject(void)
{
	uint32_t slots = port_read4(PCI_DOWN);

	if (slots)
		port_write4(PCI_EJECT, slots);
}
