// SPDX-License-Identifier: GPL-2.0
/*
 * What a reset of a function should do. See machines_model.h.
 *
 * This follows drivers/pci/pci.c and quirks.c of the kernel, and the rules in the driver's
 * documentation. It does not use the driver's code.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "machines_model.h"

enum flag {
	NO_FLR		= 1 << 0,
	NO_BUS_RESET	= 1 << 1,
	NO_PM_RESET	= 1 << 2,
	OWN_RESET	= 1 << 3,
};

#define SINCE(major, minor)	((major) << 8 | (minor))
#define ALWAYS			0

/* drivers/pci/quirks.c; and the kernel that has it first */
struct quirk {
	uint16_t vendor;
	uint16_t device;
	unsigned int flags;
	unsigned int since;
};

static const struct quirk quirks[] = {
	/* AMD's Matisse and Starship, its SATA; Intel's 82579 */
	{ 0x1022, 0x1487, NO_FLR, ALWAYS },
	{ 0x1022, 0x148c, NO_FLR, ALWAYS },
	{ 0x1022, 0x149c, NO_FLR, ALWAYS },
	{ 0x1022, 0x7901, NO_FLR, SINCE(6, 1) },
	{ 0x8086, 0x1502, NO_FLR, ALWAYS },
	{ 0x8086, 0x1503, NO_FLR, ALWAYS },
	/* MediaTek's WiFi, AMD's NPUs */
	{ 0x14c3, 0x0616, NO_FLR, SINCE(6, 12) },
	{ 0x14c3, 0x7925, NO_FLR, SINCE(6, 12) },
	{ 0x1022, 0x1502, NO_FLR, SINCE(7, 3) },
	{ 0x1022, 0x17f0, NO_FLR, SINCE(7, 3) },
	/* WiFi of Atheros, and of Qualcomm, who bought them */
	{ 0x168c, 0x0030, NO_BUS_RESET, ALWAYS },
	{ 0x168c, 0x0032, NO_BUS_RESET, ALWAYS },
	{ 0x168c, 0x0033, NO_BUS_RESET, ALWAYS },
	{ 0x168c, 0x0034, NO_BUS_RESET, ALWAYS },
	{ 0x168c, 0x003c, NO_BUS_RESET, ALWAYS },
	{ 0x168c, 0x003e, NO_BUS_RESET, ALWAYS },
	{ 0x17cb, 0x1103, NO_BUS_RESET, SINCE(6, 12) },
	{ 0x17cb, 0x1107, NO_BUS_RESET, SINCE(6, 12) },
	{ 0x17cb, 0x0308, NO_BUS_RESET, SINCE(6, 12) },
	/* Cavium, TI, ASMedia, NVIDIA's Tegra */
	{ 0x177d, 0xa100, NO_BUS_RESET, ALWAYS },
	{ 0x104c, 0xb005, NO_BUS_RESET, ALWAYS },
	{ 0x1b21, 0x1164, NO_BUS_RESET, SINCE(6, 12) },
	{ 0x10de, 0x22ce, NO_BUS_RESET, SINCE(6, 12) },
	{ 0x10de, 0x22d0, NO_BUS_RESET, SINCE(6, 12) },
	/* Mellanox' Spectrum */
	{ 0x15b3, 0xcb84, NO_PM_RESET, SINCE(6, 12) },
	{ 0x15b3, 0xcf6c, NO_PM_RESET, SINCE(6, 12) },
	{ 0x15b3, 0xcf70, NO_PM_RESET, SINCE(6, 12) },
	{ 0x15b3, 0xcf80, NO_PM_RESET, SINCE(6, 12) },
	/* Resets of their own; before 5.15 the core knew, but did not tell: Ivy Bridge's
	 * graphics, VFs of Intel's 82599 and of Huawei
	 */
	{ 0x8086, 0x0156, OWN_RESET, SINCE(5, 15) },
	{ 0x8086, 0x0166, OWN_RESET, SINCE(5, 15) },
	{ 0x8086, 0x10ed, OWN_RESET, SINCE(5, 15) },
	{ 0x19e5, 0x375e, OWN_RESET, SINCE(5, 15) },
};

/* Is there such a quirk for it, if that is of a kernel that @known says? */
static bool has_quirk(const struct fact *fact, enum flag flag,
		      bool (*known)(unsigned int major, unsigned int minor))
{
	const struct quirk *quirk;

	for (quirk = quirks; quirk < quirks + sizeof(quirks) / sizeof(*quirks); quirk++)
		if (quirk->flags & flag && quirk->vendor == fact->vendor &&
		    quirk->device == fact->device &&
		    known(quirk->since >> 8, quirk->since & 0xff))
			return true;
	/* quirk_nvidia_no_bus_reset(), quirk_no_pm_reset() for ATI's displays, Chelsio's T4 */
	if (flag == OWN_RESET)
		return fact->vendor == 0x1425 && (fact->device & 0xf000) == 0x4000 &&
		       known(5, 15);
	if (flag == NO_BUS_RESET)
		return fact->vendor == 0x10de && (fact->device & 0xffc0) == 0x2340;
	return flag == NO_PM_RESET && fact->vendor == 0x1002 &&
	       fact->class == 0x0300 && fact->up;
}

static bool has_flag(const struct fact *fact, enum flag flag)
{
	return has_quirk(fact, flag, kernel_since);
}

static bool always(unsigned int major, unsigned int minor)
{
	return true;
}

static bool same_bus(const struct fact *a, const struct fact *b)
{
	return a->fn.domain == b->fn.domain && a->fn.bus == b->fn.bus;
}

bool model_has_own_reset(const struct fact *fact)
{
	return has_quirk(fact, OWN_RESET, always);
}

static bool has_flr(const struct fact *fact)
{
	if (has_flag(fact, OWN_RESET))
		return true;
	if (has_flag(fact, NO_FLR))
		return false;
	return (fact->type != NO_PCIE && fact->flr) || fact->pf ||
	       (fact->af & PCI_AF_CAP_TP && fact->af & PCI_AF_CAP_FLR);
}

static const char *weak_method(const struct fact *fact)
{
	return fact->soft_reset && !has_flag(fact, NO_PM_RESET) ? "pm" : "none";
}

/* May a reset by that bridge, or of that slot, reach all that is behind it? */
static bool may_reset(const struct machine *machine, const struct fact *bridge,
		      bool slot)
{
	const struct fact *fact = machine->facts;

	for (; fact < machine->facts + machine->nr; fact++) {
		if (fact == bridge && has_flag(fact, NO_BUS_RESET))
			return false;
		if (!machine_is_below(fact, bridge))
			continue;
		if (slot && fact->up == bridge && fact->fn.dev)
			continue;
		if (has_flag(fact, NO_BUS_RESET))
			return false;
	}
	return true;
}

/* The port that has the slot which a function is in, if that can be reset */
static const struct fact *slot_of(const struct machine *machine,
				  const struct fact *fact)
{
	const struct fact *port = fact->up;

	if (!port || port->class != 0x0604 || !port->slot || !port->hotplug ||
	    (port->type != PCI_EXP_TYPE_ROOT_PORT &&
	     port->type != PCI_EXP_TYPE_DOWNSTREAM) || fact->fn.dev)
		return NULL;
	return may_reset(machine, port, true) ? port : NULL;
}

/* A bridge that a reset of what is above passes */
static bool is_transparent(const struct fact *fact)
{
	bool port = fact->class == 0x0604 &&
		    (fact->type == PCI_EXP_TYPE_ROOT_PORT ||
		     fact->type == PCI_EXP_TYPE_UPSTREAM ||
		     fact->type == PCI_EXP_TYPE_DOWNSTREAM);

	return fact->header == PCI_HEADER_TYPE_BRIDGE &&
	       !(port && fact->type != PCI_EXP_TYPE_UPSTREAM && fact->slot &&
		 fact->hotplug);
}

/* Why a function of the set is in the way, or NULL */
static const char *obstacle(const struct machine *machine,
			    const struct ownership *own, const struct fact *top,
			    const struct fact *fact)
{
	const struct fact *slot = slot_of(machine, top);
	bool beside = same_bus(top, fact);

	if (fact->num_vfs)
		return "VFs enabled";
	if (beside && slot && slot_of(machine, fact) != slot)
		return "not in the slot";
	if (beside && !slot && slot_of(machine, fact))
		return "in a slot of its own";
	if (own->owned[fact - machine->facts] || is_transparent(fact))
		return NULL;
	if (fact->header == PCI_HEADER_TYPE_CARDBUS)
		return "CardBus bridge, cannot be owned";
	return fact->header == PCI_HEADER_TYPE_BRIDGE ? "pcieport" : "no driver";
}

/* The first function in the way behind @bridge: each with what is behind it, VFs last */
static bool walk(const struct machine *machine, const struct ownership *own,
		 const struct fact *top, const struct fact *bridge,
		 char plan[PLAN_SIZE])
{
	const struct fact *fact, *end = machine->facts + machine->nr;
	const char *why;
	int vfs;

	for (vfs = 0; vfs < 2; vfs++) {
		for (fact = machine->facts; fact < end; fact++) {
			if (fact->up != bridge || !!fact->pf != vfs)
				continue;
			why = obstacle(machine, own, top, fact);
			if (why) {
				snprintf(plan, PLAN_SIZE, "blocked %s (%s)",
					 fact->fn.name, why);
				return true;
			}
			if (fact->secondary &&
			    walk(machine, own, top, fact, plan))
				return true;
		}
	}
	return false;
}

void model_plan(const struct machine *machine, const struct ownership *own,
		const struct fact *fact, char plan[PLAN_SIZE])
{
	const char *text;

	if (fact->num_vfs)
		snprintf(plan, PLAN_SIZE, "blocked %s (VFs enabled)", fact->fn.name);
	if (fact->num_vfs)
		return;
	if (has_flr(fact))
		text = "flr";
	else if (!fact->up)
		text = weak_method(fact);
	else if (slot_of(machine, fact))
		text = "slot";
	else
		text = may_reset(machine, fact->up, false) ? "bus" : weak_method(fact);

	if ((strcmp(text, "slot") && strcmp(text, "bus")) ||
	    !walk(machine, own, fact, fact->up, plan))
		snprintf(plan, PLAN_SIZE, "%s", text);
}

void model_methods(const struct machine *machine, const struct fact *fact,
		   char text[PLAN_SIZE])
{
	const struct fact *other;
	bool bus = fact->up && !has_flag(fact, NO_BUS_RESET);

	/* The kernel looks when it finds the function: those after it are not there yet */
	for (other = machine->facts; other < fact; other++)
		bus &= !same_bus(other, fact) || other->pf;
	snprintf(text, PLAN_SIZE, "%s%s%s", has_flr(fact) ? "flr " : "",
		 strcmp(weak_method(fact), "pm") ? "" : "pm ", bus ? "bus" : "");
}

const char *model_stock(const struct machine *machine, const struct fact *fact)
{
	const struct fact *other = machine->facts;

	if (has_flr(fact))
		return "flr";
	if (strcmp(weak_method(fact), "none"))
		return weak_method(fact);
	if (!fact->up || has_flag(fact, NO_BUS_RESET))
		return "none";
	for (; other < machine->facts + machine->nr; other++)
		if (other != fact && same_bus(other, fact))
			return "none";
	return "bus";
}
