// SPDX-License-Identifier: GPL-2.0
/*
 * Commands for one function. See guest.h.
 */
#include <linux/pci_regs.h>

#include "guest.h"

/* An address that a guest leaves in a device's register */
#define DIRT		0x5eed0000

/* QEMU's edu, docs/specs/edu.txt */
#define EDU		0x11e81234
#define EDU_IDENT	0x00
#define EDU_RAISE	0x60
#define EDU_ACK		0x64
#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_RUN		1
#define EDU_TO_MEMORY	2
#define EDU_BUFFER	0x40000
#define DMA_LEN		2048
/* A DMA takes 100 ms. Look for its end so often, 5 ms apart. */
#define DMA_LOOKS	1000

#define LAPIC_SPURIOUS	0xfee000f0
#define LAPIC_IRR	0xfee00200
#define MSI_ADDRESS	0xfee00000
#define VECTOR		0x41

/* Registers that hold an address for the device's DMA */
static const struct {
	uint32_t id, offset;
} registers[] = {
	{ 0x10d38086, 0x2800 },		/* e1000e: receive ring */
	{ 0x100e8086, 0x2800 },		/* e1000 */
	{ 0x000d1b36, 0x70 },		/* xHCI: device contexts */
};

static alignas(4096) uint8_t memory[DMA_LEN];

/* The address of that register of an enabled function, or 0 */
static uint32_t dirty_register(unsigned int devfn)
{
	uint32_t id = pci_read(devfn, PCI_VENDOR_ID, 4);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(registers); i++)
		if (registers[i].id == id)
			return pci_memory(devfn) + registers[i].offset;
	return 0;
}

static void say_field(const char *name, uint32_t val, unsigned int digits)
{
	say(name);
	say_hex(val, digits);
}

int device_found(unsigned int devfn)
{
	unsigned int msi = pci_cap(devfn, PCI_CAP_ID_MSI);
	unsigned int bar;
	uint32_t where;

	say_field("id ", pci_read(devfn, PCI_VENDOR_ID, 4), 8);
	say_field(" command ", pci_read(devfn, PCI_COMMAND, 2), 4);
	say_field(" line ", pci_read(devfn, PCI_INTERRUPT_LINE, 1), 2);
	say(" bars");
	for (bar = PCI_BASE_ADDRESS_0; bar <= PCI_BASE_ADDRESS_5; bar += 4)
		say_field(" ", pci_read(devfn, bar, 4), 8);
	if (msi) {
		say_field(" msi ", pci_read(devfn, msi + PCI_MSI_FLAGS, 2), 4);
		say_field(" ", pci_read(devfn, msi + PCI_MSI_ADDRESS_LO, 4), 8);
	}

	pci_enable(devfn);
	where = dirty_register(devfn);
	if (where)
		say_field(" register ", mmio_read(where), 8);
	return 0;
}

int device_scribble(unsigned int devfn)
{
	unsigned int msi = pci_cap(devfn, PCI_CAP_ID_MSI);
	uint32_t where;

	pci_enable(devfn);
	where = dirty_register(devfn);
	if (where)
		mmio_write(where, DIRT);
	if (msi)
		pci_write(devfn, msi + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
	pci_write(devfn, PCI_CACHE_LINE_SIZE, 1, 0x20);
	pci_write(devfn, PCI_INTERRUPT_LINE, 1, 0x5a);
	return where && mmio_read(where) != DIRT;
}

/* -- edu --------------------------------------------------------------------- */

static bool is_edu(unsigned int devfn)
{
	if (pci_read(devfn, PCI_VENDOR_ID, 4) == EDU)
		return true;
	say("not an edu");
	return false;
}

static void start_dma(uint32_t edu, bool to_memory)
{
	mmio_write(edu + EDU_SRC, to_memory ? EDU_BUFFER : (uint32_t)memory);
	mmio_write(edu + EDU_DST, to_memory ? (uint32_t)memory : EDU_BUFFER);
	mmio_write(edu + EDU_COUNT, DMA_LEN);
	mmio_write(edu + EDU_COMMAND, EDU_RUN | (to_memory ? EDU_TO_MEMORY : 0));
}

static bool do_dma(uint32_t edu, bool to_memory)
{
	unsigned int looks;

	start_dma(edu, to_memory);
	for (looks = 0; looks < DMA_LOOKS; looks++) {
		if (!(mmio_read(edu + EDU_COMMAND) & EDU_RUN))
			return true;
		xen_wait();
	}
	say("no end");
	return false;
}

/* Copy memory to the device, clear the memory, copy it back and compare */
int device_dma(unsigned int devfn)
{
	static uint8_t round;
	uint32_t edu;
	unsigned int i, right = 0;

	if (!is_edu(devfn))
		return 1;
	pci_enable(devfn);
	edu = pci_memory(devfn);
	round++;
	for (i = 0; i < DMA_LEN; i++)
		memory[i] = i * 7 + round;
	if (!do_dma(edu, false))
		return 1;
	for (i = 0; i < DMA_LEN; i++)
		memory[i] = 0;
	if (!do_dma(edu, true))
		return 1;
	for (i = 0; i < DMA_LEN; i++)
		right += memory[i] == (uint8_t)(i * 7 + round);
	say_field("right ", right, 4);
	return right != DMA_LEN;
}

void device_keep_busy(unsigned int devfn)
{
	uint32_t id = pci_read(devfn, PCI_VENDOR_ID, 4);
	uint32_t edu;

	if (id == ~0U)
		return;
	pci_enable(devfn);
	edu = pci_memory(devfn);
	if (id == EDU && !(mmio_read(edu + EDU_COMMAND) & EDU_RUN))
		start_dma(edu, true);
}

/* Interrupts are off, so a vector that was received stays pending */
static bool vector_pending(void)
{
	return mmio_read(LAPIC_IRR + VECTOR / 32 * 16) >> VECTOR % 32 & 1;
}

int device_msi(unsigned int devfn)
{
	unsigned int msi = pci_cap(devfn, PCI_CAP_ID_MSI);
	unsigned int looks;
	uint16_t flags;

	if (!is_edu(devfn) || !msi || vector_pending())
		return 1;
	pci_enable(devfn);
	mmio_write(LAPIC_SPURIOUS, 0x1ff);
	flags = pci_read(devfn, msi + PCI_MSI_FLAGS, 2);
	pci_write(devfn, msi + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
	if (flags & PCI_MSI_FLAGS_64BIT) {
		pci_write(devfn, msi + PCI_MSI_ADDRESS_HI, 4, 0);
		pci_write(devfn, msi + PCI_MSI_DATA_64, 2, VECTOR);
	} else {
		pci_write(devfn, msi + PCI_MSI_DATA_32, 2, VECTOR);
	}
	pci_write(devfn, msi + PCI_MSI_FLAGS, 2, flags | PCI_MSI_FLAGS_ENABLE);
	mmio_write(pci_memory(devfn) + EDU_RAISE, 1);
	for (looks = 0; !vector_pending() && looks < DMA_LOOKS; looks++)
		xen_wait();
	mmio_write(pci_memory(devfn) + EDU_ACK, 1);
	say(vector_pending() ? "came" : "did not come");
	return !vector_pending();
}
