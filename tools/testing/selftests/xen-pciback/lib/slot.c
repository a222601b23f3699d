// SPDX-License-Identifier: GPL-2.0
/*
 * Slots and cards. See slot.h.
 */
#include <err.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdint.h>
#include <unistd.h>

#include "hw.h"
#include "slot.h"

#define WAIT_MS		60000
#define POLL_MS		10

#define OFF		(PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_PWR_OFF)

/* As in qemu/machine.sh. The first function last: the kernel looks then. */
static const struct {
	unsigned int port;
	const char *device;
} devices[] = {
	{ 0x10, "nvme,id=card10,bus=port10,drive=disk,serial=xen-pciback" },
	{ 0x12, "e1000e,id=card12,bus=port12,romfile=" },
	{ 0x13, "qemu-xhci,bus=port13,addr=0.2,multifunction=on" },
	{ 0x13, "e1000e,bus=port13,addr=0.1,multifunction=on,romfile=" },
	{ 0x13, "e1000e,id=card13,bus=port13,addr=0.0,multifunction=on,romfile=" },
};

static unsigned int slot_control(struct fn port)
{
	return fn_cap(port, PCI_CAP_ID_EXP) + PCI_EXP_SLTCTL;
}

/*
 * QEMU takes away a card without power. With interrupts disabled meanwhile,
 * pciehp finds the slot powered, as it left it.
 */
void slot_pull(struct fn port)
{
	unsigned int offset = slot_control(port);
	uint16_t control = fn_read(port, offset, 2);

	fn_write(port, offset, (control & ~PCI_EXP_SLTCTL_HPIE) | OFF, 2);
	fn_write(port, offset, control, 2);
}

void slot_press(struct fn port)
{
	char command[32];

	snprintf(command, sizeof(command), "device_del card%x", port.dev);
	hw_monitor(command);
}

int slot_power_off(struct fn port)
{
	char path[64];

	/* machine.sh numbers them after their ports */
	snprintf(path, sizeof(path), "/sys/bus/pci/slots/%u/power", port.dev);
	return write_string(path, "0");
}

static bool wait_for_control(struct fn port, uint16_t mask, uint16_t val)
{
	long long give_up = now_ms() + WAIT_MS;
	unsigned int offset = slot_control(port);

	while (now_ms() < give_up) {
		if ((fn_read(port, offset, 2) & mask) == val)
			return true;
		usleep(POLL_MS * 1000);
	}
	return false;
}

/* The power indicator is the last that pciehp sees to */
bool slot_wait_off(struct fn port)
{
	return wait_for_control(port, OFF, OFF);
}

bool slot_wait_on(struct fn port)
{
	return wait_for_control(port, OFF, PCI_EXP_SLTCTL_PWR_IND_ON);
}

void slot_fill(struct fn port)
{
	char command[128];
	size_t i;

	/* QEMU would take it away again as soon as pciehp powers the slot off */
	if (!slot_wait_off(port))
		errx(1, "%s: the slot is not off", port.name);
	for (i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		if (devices[i].port != port.dev)
			continue;
		snprintf(command, sizeof(command), "device_add %s",
			 devices[i].device);
		hw_monitor(command);
	}
}

/* The hotplug service of a port: PCIe port type 4 (root), service 2 */
#define SERVICE		"%s:pcie004"
#define PCIEHP		"/sys/bus/pci_express/drivers/pciehp/"

bool slot_is_native(struct fn port)
{
	char path[128];

	snprintf(path, sizeof(path), PCIEHP SERVICE, port.name);
	return !access(path, F_OK);
}

static int write_service(struct fn port, const char *file)
{
	char service[64], path[128];

	snprintf(service, sizeof(service), SERVICE, port.name);
	snprintf(path, sizeof(path), PCIEHP "%s", file);
	return write_string(path, service);
}

int slot_unbind(struct fn port)
{
	return write_service(port, "unbind");
}

int slot_bind(struct fn port)
{
	return write_service(port, "bind");
}
