// SPDX-License-Identifier: GPL-2.0
/*
 * pciback_topology.ko: the config space of emulated functions. See topology_main.c.
 *
 * A reset, by FLR, AF FLR, on the way from D3hot to D0, or by Secondary Bus Reset of any
 * bridge above, gives all registers of a function their first values. But the bus numbers of a
 * bridge, which firmware had set, are 0 then: nothing behind that bridge can be reached until
 * somebody writes them again.
 *
 * Config accesses come from any context, hence a raw spinlock for all.
 */
#include <linux/bitfield.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "topology.h"

/* Where the capabilities are */
#define TOPO_PCIE		0x40
#define TOPO_PM			0x80
#define TOPO_AF			0x88
#define TOPO_FIRST_EXT		PCI_CFG_SPACE_SIZE

/* Memory BARs of 4 KB: addresses above 4 GB are what a machine has left */
#define TOPO_BAR_FLAGS		(PCI_BASE_ADDRESS_MEM_TYPE_64 | \
				 PCI_BASE_ADDRESS_MEM_PREFETCH)
#define TOPO_BAR_MASK		0xfffff000
#define TOPO_COMMAND_MASK	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY |	\
				 PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
				 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

/* PCI_D3hot, as PMCSR has it */
#define TOPO_D3HOT		3

/* Of a bridge's windows, for memory and for ports: the base above the limit, so none */
#define TOPO_NO_WINDOW		0x0000fff0
#define TOPO_NO_PORTS		0x00f0

DEFINE_RAW_SPINLOCK(topo_lock);

/* -- registers ------------------------------------------------------------- */

static u32 topo_get(const u8 *space, int where, int size)
{
	u32 val = 0;
	int i;

	for (i = 0; i < size && where + i < TOPO_CFG_SIZE; i++)
		val |= (u32)space[where + i] << i * 8;
	return val;
}

static void topo_put(u8 *space, int where, int size, u32 val)
{
	int i;

	for (i = 0; i < size && where + i < TOPO_CFG_SIZE; i++)
		space[where + i] = val >> i * 8;
}

static u16 topo_now(const struct topo_function *fn, int where)
{
	return topo_get(fn->now, where, 2);
}

static void topo_define(struct topo_function *fn, int where, int size,
			u32 initial, u32 writable)
{
	topo_put(fn->initial, where, size, initial);
	topo_put(fn->now, where, size, initial);
	topo_put(fn->writable, where, size, writable);
}

/* One more capability */
static void topo_define_cap(struct topo_function *fn, u8 id, int pos)
{
	int last = fn->cap_last + PCI_CAP_LIST_NEXT;

	if (!fn->cap_last)
		last = fn->kind.header == PCI_HEADER_TYPE_CARDBUS ?
		       PCI_CB_CAPABILITY_LIST : PCI_CAPABILITY_LIST;
	topo_define(fn, last, 1, pos, 0);
	topo_define(fn, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	topo_define(fn, pos, 2, id, 0);
	fn->cap_last = pos;
}

/* One more extended capability, of @size bytes; returns where it is */
static int topo_define_ext(struct topo_function *fn, u32 id, int size)
{
	int pos = fn->ext_next;
	u32 header;

	if (fn->ext_last) {
		header = topo_get(fn->initial, fn->ext_last, 4);
		topo_define(fn, fn->ext_last, 4, header | pos << 20, 0);
	}
	topo_define(fn, pos, 4, id | 1 << 16, 0);
	fn->ext_last = pos;
	fn->ext_next = pos + size;
	return pos;
}

static void topo_define_pcie(struct topo_function *fn)
{
	const struct topo_kind *kind = &fn->kind;
	u32 flags = 2 | FIELD_PREP(PCI_EXP_FLAGS_TYPE, kind->type);
	u32 devcap = PCI_EXP_DEVCAP_RBER;
	u32 speed = PCI_EXP_LNKCAP_SLS_2_5GB | FIELD_PREP(PCI_EXP_LNKCAP_MLW, 1);

	topo_define_cap(fn, PCI_CAP_ID_EXP, TOPO_PCIE);
	if (kind->hotplug || kind->slotted)
		flags |= PCI_EXP_FLAGS_SLOT;
	if (kind->hotplug)
		topo_define(fn, TOPO_PCIE + PCI_EXP_SLTCAP, 4,
			    PCI_EXP_SLTCAP_HPC |
			    (kind->surprise ? PCI_EXP_SLTCAP_HPS : 0), 0);
	topo_define(fn, TOPO_PCIE + PCI_EXP_FLAGS, 2, flags, 0);
	if (kind->flr && !kind->quirky)
		devcap |= PCI_EXP_DEVCAP_FLR;
	topo_define(fn, TOPO_PCIE + PCI_EXP_DEVCAP, 4, devcap, 0);
	/* The bit for an FLR always reads as 0 */
	topo_define(fn, TOPO_PCIE + PCI_EXP_DEVCTL, 2, 0,
		    PCI_EXP_DEVCTL_BCR_FLR - 1);
	topo_define(fn, TOPO_PCIE + PCI_EXP_LNKCAP, 4, speed, 0);
	topo_define(fn, TOPO_PCIE + PCI_EXP_LNKSTA, 2, speed, 0);
	if (kind->bridge) {
		topo_define(fn, TOPO_PCIE + PCI_EXP_DEVCAP2, 4,
			    PCI_EXP_DEVCAP2_ARI, 0);
		topo_define(fn, TOPO_PCIE + PCI_EXP_DEVCTL2, 2, 0,
			    PCI_EXP_DEVCTL2_ARI);
	}
}

static void topo_define_sriov(struct topo_function *fn)
{
	int pos = topo_define_ext(fn, PCI_EXT_CAP_ID_SRIOV,
				  PCI_EXT_CAP_SRIOV_SIZEOF);
	const struct topo_kind *kind = &fn->kind;

	topo_define(fn, pos + PCI_SRIOV_CTRL, 2, 0,
		    PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE |
		    PCI_SRIOV_CTRL_ARI);
	topo_define(fn, pos + PCI_SRIOV_INITIAL_VF, 2, kind->total_vfs, 0);
	topo_define(fn, pos + PCI_SRIOV_TOTAL_VF, 2, kind->total_vfs, 0);
	topo_define(fn, pos + PCI_SRIOV_NUM_VF, 2, 0, 0xffff);
	topo_define(fn, pos + PCI_SRIOV_VF_OFFSET, 2, kind->vf_offset, 0);
	topo_define(fn, pos + PCI_SRIOV_VF_STRIDE, 2, kind->vf_stride, 0);
	topo_define(fn, pos + PCI_SRIOV_VF_DID, 2, kind->vf_device ?:
		    topo_get(fn->initial, PCI_DEVICE_ID, 2), 0);
	topo_define(fn, pos + PCI_SRIOV_SUP_PGSIZE, 4, 1, 0);
	topo_define(fn, pos + PCI_SRIOV_SYS_PGSIZE, 4, 1, 1);
	fn->sriov = pos;
}

static void topo_define_bridge(struct topo_function *fn)
{
	/* Primary, secondary, subordinate bus */
	topo_define(fn, PCI_PRIMARY_BUS, 4, 0, 0xffffff);
	topo_define(fn, PCI_BRIDGE_CONTROL, 2, 0,
		    PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR |
		    PCI_BRIDGE_CTL_BUS_RESET);
	if (fn->kind.header == PCI_HEADER_TYPE_CARDBUS)
		return;
	if (!fn->kind.bar) {
		topo_define(fn, PCI_IO_BASE, 2, TOPO_NO_PORTS, 0);
		topo_define(fn, PCI_MEMORY_BASE, 4, TOPO_NO_WINDOW, 0);
		topo_define(fn, PCI_PREF_MEMORY_BASE, 4, TOPO_NO_WINDOW, 0);
		return;
	}
	/* A window of 64 bits and for prefetchable memory, no other */
	topo_define(fn, PCI_PREF_MEMORY_BASE, 4,
		    PCI_PREF_RANGE_TYPE_64 | PCI_PREF_RANGE_TYPE_64 << 16,
		    0xfff0fff0);
	topo_define(fn, PCI_PREF_BASE_UPPER32, 4, 0, 0xffffffff);
	topo_define(fn, PCI_PREF_LIMIT_UPPER32, 4, 0, 0xffffffff);
}

static void topo_define_registers(struct topo_function *fn)
{
	const struct topo_kind *kind = &fn->kind;
	u32 class = kind->class ?: kind->bridge ?
		    PCI_CLASS_BRIDGE_PCI_NORMAL : PCI_CLASS_OTHERS << 16;

	/* By default of no driver's; a VF has none (PCIe 6.0, sec 9.3.4.1.1) */
	topo_define(fn, PCI_VENDOR_ID, 2, kind->vf ? 0xffff :
		    kind->vendor ?: PCI_VENDOR_ID_XEN, 0);
	topo_define(fn, PCI_DEVICE_ID, 2, kind->vf ? 0xffff :
		    kind->vendor ? kind->device : TOPO_DOMAIN, 0);
	topo_define(fn, PCI_COMMAND, 2, 0, TOPO_COMMAND_MASK);
	topo_define(fn, PCI_CLASS_REVISION, 4, class << 8, 0);
	topo_define(fn, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	topo_define(fn, PCI_HEADER_TYPE, 1, kind->header, 0);
	topo_define(fn, PCI_INTERRUPT_LINE, 1, 0, 0xff);
	if (!kind->conventional)
		topo_define_pcie(fn);
	if (kind->pm) {
		topo_define_cap(fn, PCI_CAP_ID_PM, TOPO_PM);
		topo_define(fn, TOPO_PM + PCI_PM_PMC, 2, 3, 0);
		topo_define(fn, TOPO_PM + PCI_PM_CTRL, 2,
			    kind->soft_reset ? 0 : PCI_PM_CTRL_NO_SOFT_RESET,
			    PCI_PM_CTRL_STATE_MASK);
	}
	if (kind->af) {
		topo_define_cap(fn, PCI_CAP_ID_AF, TOPO_AF);
		topo_define(fn, TOPO_AF + PCI_AF_LENGTH, 1, PCI_CAP_AF_SIZEOF, 0);
		topo_define(fn, TOPO_AF + PCI_AF_CAP, 1, kind->af, 0);
	}
	if (kind->bridge) {
		topo_define_bridge(fn);
	} else if (kind->bar && !kind->vf) {
		topo_define(fn, PCI_BASE_ADDRESS_0, 4, TOPO_BAR_FLAGS,
			    TOPO_BAR_MASK);
		topo_define(fn, PCI_BASE_ADDRESS_1, 4, 0, 0xffffffff);
	}
	if (kind->total_vfs)
		topo_define_sriov(fn);
}

/* A new function, which is nowhere yet */
struct topo_function *topo_alloc(const struct topo_kind *kind)
{
	struct topo_function *fn;

	fn = kzalloc(sizeof(*fn), GFP_KERNEL);
	if (!fn)
		return NULL;
	fn->kind = *kind;
	fn->domain = TOPO_DOMAIN;
	fn->ext_next = TOPO_FIRST_EXT;
	topo_define_registers(fn);
	list_add_tail(&fn->all, &topo_functions);
	return fn;
}

/* The bus numbers that firmware has set; they are lost by a reset */
void topo_configure(struct topo_function *fn, u8 primary, u8 secondary,
		    u8 subordinate)
{
	fn->now[PCI_PRIMARY_BUS] = primary;
	fn->now[PCI_SECONDARY_BUS] = secondary;
	fn->now[PCI_SUBORDINATE_BUS] = subordinate;
}

static bool topo_is_with(const struct topo_function *fn,
			 const struct topo_function *other)
{
	return PCI_SLOT(fn->devfn) == PCI_SLOT(other->devfn);
}

/*
 * What functions of one device tell of each other. With @ari all that is on the bus are:
 * they are in the order of their numbers then.
 */
void topo_join(struct topo_bus *bus, bool ari)
{
	struct topo_function *fn, *other;
	unsigned int mates;
	int pos, next;
	u8 type;

	list_for_each_entry(fn, &bus->functions, sibling) {
		mates = 0;
		list_for_each_entry(other, &bus->functions, sibling)
			mates += ari || topo_is_with(fn, other);
		type = fn->initial[PCI_HEADER_TYPE];
		if (mates > 1)
			topo_define(fn, PCI_HEADER_TYPE, 1,
				    type | PCI_HEADER_TYPE_MFD, 0);
		if (!ari)
			continue;
		pos = topo_define_ext(fn, PCI_EXT_CAP_ID_ARI,
				      PCI_EXT_CAP_ARI_SIZEOF);
		next = list_is_last(&fn->sibling, &bus->functions) ?
		       0 : list_next_entry(fn, sibling)->devfn;
		topo_define(fn, pos + PCI_ARI_CAP, 2, next << 8, 0);
	}
}

/* -- accesses -------------------------------------------------------------- */

static bool topo_vfs_enabled(const struct topo_function *fn)
{
	return fn->sriov &&
	       topo_now(fn, fn->sriov + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE;
}

/* Which VF of @pf an access is for, if any (PCIe 6.0, sec 9.3.3.9) */
static struct topo_function *topo_find_vf(struct topo_function *pf, u8 pf_bus,
					  u8 bus, u8 devfn)
{
	int vf = PCI_DEVID(bus, devfn) - PCI_DEVID(pf_bus, pf->devfn) -
		 pf->kind.vf_offset;

	if (!topo_vfs_enabled(pf) || vf < 0 || vf % pf->kind.vf_stride)
		return NULL;
	vf /= pf->kind.vf_stride;
	return vf < min_t(int, topo_now(pf, pf->sriov + PCI_SRIOV_NUM_VF),
			  pf->kind.total_vfs) ? pf->vf[vf] : NULL;
}

static struct topo_function *topo_find_any_vf(struct topo_bus *level, u8 here,
					      u8 bus, u8 devfn)
{
	struct topo_function *fn, *vf = NULL;

	list_for_each_entry(fn, &level->functions, sibling) {
		vf = topo_find_vf(fn, here, bus, devfn);
		if (vf)
			break;
	}
	return vf;
}

/* The bridge on @level that passes on what is for @bus, if it does so now */
static struct topo_function *topo_find_bridge(const struct topo_bus *level,
					      u8 bus)
{
	struct topo_function *fn;

	list_for_each_entry(fn, &level->functions, sibling)
		if (fn->below && fn->now[PCI_SECONDARY_BUS] &&
		    fn->now[PCI_SECONDARY_BUS] <= bus &&
		    fn->now[PCI_SUBORDINATE_BUS] >= bus)
			return !fn->kind.deaf && topo_now(fn, PCI_BRIDGE_CONTROL) &
			       PCI_BRIDGE_CTL_BUS_RESET ? NULL : fn;
	return NULL;
}

static bool topo_answers(struct topo_function *fn)
{
	if (fn->silent && time_before(jiffies, fn->silent_until))
		return false;
	fn->silent = false;
	return true;
}

/* The function that answers at an address, reached as hardware would */
static struct topo_function *topo_find(const struct pci_bus *at, u8 devfn)
{
	struct topo_host *host = topo_host_of(at);
	struct topo_bus *level = host->root;
	u8 bus = at->number, here = host->first;
	struct topo_function *fn, *vf;

	while (here != bus) {
		vf = topo_find_any_vf(level, here, bus, devfn);
		if (vf)
			return vf;
		fn = topo_find_bridge(level, bus);
		if (!fn || !topo_answers(fn))
			return NULL;
		here = fn->kind.lossy ? bus : fn->now[PCI_SECONDARY_BUS];
		level = fn->below;
	}
	fn = level->at[devfn] ?: topo_find_any_vf(level, here, bus, devfn);
	return fn && topo_answers(fn) ? fn : NULL;
}

static int topo_read(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 *val)
{
	struct topo_function *fn;
	unsigned long flags;

	PCI_SET_ERROR_RESPONSE(val);

	raw_spin_lock_irqsave(&topo_lock, flags);
	fn = topo_find(bus, devfn);
	if (fn) {
		fn->seen = true;
		fn->bus = bus->number;
		fn->devfn = devfn;
		fn->reads++;
		*val = topo_get(fn->now, where, size);
	}
	raw_spin_unlock_irqrestore(&topo_lock, flags);

	return PCIBIOS_SUCCESSFUL;
}

static void topo_reset_bus(struct topo_bus *bus, unsigned int late);

static void topo_reset(struct topo_function *fn, unsigned int late)
{
	int i, vfs = 0;

	fn->resets++;
	if (topo_vfs_enabled(fn))
		vfs = topo_now(fn, fn->sriov + PCI_SRIOV_NUM_VF);
	for (i = 0; i < min_t(int, vfs, fn->kind.total_vfs); i++)
		topo_reset(fn->vf[i], late);
	memcpy(fn->now, fn->initial, sizeof(fn->now));
	fn->silent = late;
	fn->silent_until = jiffies + msecs_to_jiffies(late);
	if (fn->kind.lossy) {
		fn->now[PCI_SECONDARY_BUS] = 1;
		fn->writable[PCI_SECONDARY_BUS] = 0;
	}
	if (fn->below)
		topo_reset_bus(fn->below, late);
}

static void topo_reset_bus(struct topo_bus *bus, unsigned int late)
{
	struct topo_function *fn;

	list_for_each_entry(fn, &bus->functions, sibling)
		topo_reset(fn, late);
}

/* Does a write of @val set these bits of the byte or word at @reg? */
static bool topo_sets(int where, int size, u32 val, int reg, u16 bits)
{
	return where <= reg && reg < where + size &&
	       val >> (reg - where) * 8 & bits;
}

/* A write that has reached its function */
static void topo_write_function(struct topo_function *fn, int where, int size,
				u32 val)
{
	u16 control = topo_now(fn, PCI_BRIDGE_CONTROL);
	u16 power = topo_now(fn, TOPO_PM + PCI_PM_CTRL);
	u32 old = topo_get(fn->now, where, size);
	u32 mask = topo_get(fn->writable, where, size);

	fn->writes++;
	topo_put(fn->now, where, size, (old & ~mask) | (val & mask));

	if (fn->below && ~control & topo_now(fn, PCI_BRIDGE_CONTROL) &
			 PCI_BRIDGE_CTL_BUS_RESET) {
		fn->sbrs++;
		if (!fn->kind.deaf)
			topo_reset_bus(fn->below, fn->kind.late);
	}

	if ((fn->kind.flr &&
	     topo_sets(where, size, val, TOPO_PCIE + PCI_EXP_DEVCTL,
		       PCI_EXP_DEVCTL_BCR_FLR)) ||
	    (fn->kind.af & PCI_AF_CAP_FLR &&
	     topo_sets(where, size, val, TOPO_AF + PCI_AF_CTRL,
		       PCI_AF_CTRL_FLR))) {
		fn->flrs++;
		topo_reset(fn, 0);
	}

	if (fn->kind.soft_reset &&
	    (power & PCI_PM_CTRL_STATE_MASK) == TOPO_D3HOT &&
	    !(topo_now(fn, TOPO_PM + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK))
		topo_reset(fn, 0);
}

static int topo_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	struct topo_function *fn;
	unsigned long flags;

	raw_spin_lock_irqsave(&topo_lock, flags);
	fn = topo_find(bus, devfn);
	if (fn)
		topo_write_function(fn, where, size, val);
	raw_spin_unlock_irqrestore(&topo_lock, flags);

	return PCIBIOS_SUCCESSFUL;
}

struct pci_ops topo_ops = {
	.read = topo_read,
	.write = topo_write,
};
