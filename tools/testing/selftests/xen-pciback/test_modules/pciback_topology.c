// SPDX-License-Identifier: GPL-2.0
/*
 * An invented PCI domain, for topologies that no machine at hand has.
 *
 * The module makes a host bridge with a domain of its own (5eed).  The functions
 * behind it are nothing but emulated config space: the PCI core finds, numbers,
 * drives and resets them like any others.  What there is to be comes with the
 * module's parameter, as a tree:
 *
 *	layout=port(fn*256),port(up(down(fn),hotplug(fn)),fn)
 *
 *   port	PCI Express root port
 *   slot	the same with a slot that can be reset
 *   up		upstream port of a switch
 *   down	downstream port of a switch
 *   lossy	the same, that a reset leaves with a secondary bus number of 1 for
 *		ever, though it leads where it did
 *   hotplug	the same with a slot for hotplug
 *   fn		endpoint that nothing of its own can reset
 *   flr	endpoint with FLR
 *   quirky	endpoint that does not tell of its FLR, which the kernel knows: it
 *		has the name of Intel's 82599 VF, and so a device specific reset
 *   pf		endpoint with FLR and SR-IOV: TOPO_VFS VFs, which have FLR, on the bus
 *		after its own
 *
 * NAME*n is n of them, (...) is what is behind a bridge.  On the root bus and
 * behind an upstream port each is a device of its own, 0, 1, 2 ...; elsewhere
 * all are functions of one device: with ARI (PCIe 6.0, sec 6.13) if there are
 * more than eight.  An upstream port comes first: the kernel's ASPM takes no
 * other function for the end of the link, and frees the link with that function,
 * while those behind the switch still refer to it.
 *
 * A slot is reset by a Secondary Bus Reset of its port, as pciehp does it, but
 * with nobody who would drive it.  To the kernel device 0 is in it, and ARI
 * functions with numbers above 7 are not.
 *
 * An endpoint has a memory BAR and no interrupt.  A reset, by FLR or by Secondary
 * Bus Reset of any bridge above, puts all its registers back to what they were
 * at first.  So it does to the bridges below that bridge, and what is behind
 * those cannot be reached then until they have their bus numbers again.
 *
 * These functions are not known to QEMU, whose trace is the hardware's account
 * elsewhere.  Theirs is in debugfs:
 *
 *   pciback_topology/functions	a line a function that was ever seen:
 *				NAME READS WRITES FLRS RESETS SBRS
 *   pciback_topology/clear	write 1: counts from 0 again
 *
 * RESETS is how often the function's registers were reset, for whatever reason,
 * FLRS how often it was asked for an FLR, and SBRS, for a bridge, how often it
 * began a secondary bus reset.
 *
 * Nothing but config accesses can get at these functions.  Xen could not find
 * them: it is not notified of them, see topo_notify().  So pciback can own them and
 * hand them out, but no real guest can have one.
 *
 * Locks: config accesses come from any context, hence a raw spinlock for all.
 * The tree does not change between loading and unloading, which waits for the
 * last reference to the host bridge.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitfield.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/pci_hotplug.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

/* Linux has a name for it since 6.7 */
#ifndef PCI_HEADER_TYPE_MFD
#define PCI_HEADER_TYPE_MFD	0x80
#endif

/* And for what a slot is asked, with another type, since 5.15 */
#ifdef PCI_RESET_PROBE
#define TOPO_PROBE_TYPE		bool
#else
#define TOPO_PROBE_TYPE		int
#endif

static char *layout;
module_param(layout, charp, 0444);
MODULE_PARM_DESC(layout, "what there is, as a tree: port(fn*256)");

/* Below 0x10000: no interface of Xen's can name others */
#define TOPO_DOMAIN		0x5eed
#define TOPO_WINDOW_SIZE	SZ_32M

/* Whose reset the kernel knows better (drivers/pci/quirks.c) */
#define TOPO_82599_VF		0x10ed

/* Bridges one below the other */
#define TOPO_MAX_DEPTH		8

/* Of config space that is not always 0; both parts of it are used */
#define TOPO_CFG_SIZE		0x200

/* Where the capabilities are */
#define TOPO_PCIE		0x40
#define TOPO_FIRST_EXT		PCI_CFG_SPACE_SIZE

/* Memory BARs of 4 KB: addresses above 4 GB are what a machine has left */
#define TOPO_BAR_FLAGS		(PCI_BASE_ADDRESS_MEM_TYPE_64 | \
				 PCI_BASE_ADDRESS_MEM_PREFETCH)
#define TOPO_BAR_MASK		0xfffff000
#define TOPO_COMMAND_MASK	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY |	\
				 PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
				 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

/* ARI functions of a device, and without ARI */
#define TOPO_MAX_FUNCTIONS	256
#define TOPO_MAX_DEVICES	32
#define TOPO_NO_ARI		8

/* The bus after the PF's, from its devfn on (PCIe 6.0, sec 9.3.3.9) */
#define TOPO_VFS		64
#define TOPO_VF_OFFSET		0x100
#define TOPO_VF_STRIDE		1

/**
 * struct topo_kind - what a name in the layout stands for
 * @name: the name
 * @type: the port type in the PCI Express capability
 * @bridge: there can be something behind it
 * @devices: and that is devices, not functions of one
 * @flr: has FLR
 * @quirky: does not tell of it
 * @lossy: a reset makes its secondary bus number 1 for ever
 * @hotplug: has a slot for hotplug
 * @slot: has a slot that can be reset
 * @vfs: how many VFs it has
 */
struct topo_kind {
	const char *name;
	u16 type;
	bool bridge;
	bool devices;
	bool flr;
	bool quirky;
	bool lossy;
	bool hotplug;
	bool slot;
	u16 vfs;
};

static const struct topo_kind topo_kinds[] = {
	{ "port", PCI_EXP_TYPE_ROOT_PORT, .bridge = true },
	{ "slot", PCI_EXP_TYPE_ROOT_PORT, .bridge = true, .slot = true },
	{ "up", PCI_EXP_TYPE_UPSTREAM, .bridge = true, .devices = true },
	{ "down", PCI_EXP_TYPE_DOWNSTREAM, .bridge = true },
	{ "lossy", PCI_EXP_TYPE_DOWNSTREAM, .bridge = true, .lossy = true },
	{ "hotplug", PCI_EXP_TYPE_DOWNSTREAM, .bridge = true, .hotplug = true },
	{ "fn", PCI_EXP_TYPE_ENDPOINT },
	{ "flr", PCI_EXP_TYPE_ENDPOINT, .flr = true },
	{ "quirky", PCI_EXP_TYPE_ENDPOINT, .flr = true, .quirky = true },
	{ "pf", PCI_EXP_TYPE_ENDPOINT, .flr = true, .vfs = TOPO_VFS },
};

/* Not in any layout: they come with their PF */
static const struct topo_kind topo_vf = {
	"vf", PCI_EXP_TYPE_ENDPOINT, .flr = true
};

struct topo_function;

/**
 * struct topo_bus - what is behind a bridge
 * @functions: all of it, in order
 * @nr: how many
 * @at: the same by devfn
 */
struct topo_bus {
	struct list_head functions;
	unsigned int nr;
	struct topo_function *at[TOPO_MAX_FUNCTIONS];
};

/**
 * struct topo_function - an emulated function
 * @all: in topo_functions
 * @sibling: in topo_bus.functions; not for a VF
 * @kind: what it is
 * @below: what is behind a bridge
 * @vf: a PF's VFs
 * @slot: the slot of a port
 * @sriov: where a PF has its SR-IOV capability
 * @ext_last: the last extended capability so far, or 0
 * @ext_next: where the next one goes
 * @seen: it was accessed, and so knows its address
 * @bus: its address, as of the last access
 * @devfn: same
 * @reads: config reads
 * @writes: config writes
 * @flrs: FLRs asked for
 * @resets: how often @now was reset
 * @sbrs: a bridge's secondary bus resets
 * @now: config space
 * @initial: the same, after a reset
 * @writable: bits of it that can be written
 */
struct topo_function {
	struct list_head all;
	struct list_head sibling;
	const struct topo_kind *kind;
	struct topo_bus *below;
	struct topo_function *vf[TOPO_VFS];
	struct hotplug_slot slot;
	u16 sriov;
	u16 ext_last;
	u16 ext_next;

	bool seen;
	u8 bus;
	u8 devfn;
	u32 reads;
	u32 writes;
	u32 flrs;
	u32 resets;
	u32 sbrs;
	u8 now[TOPO_CFG_SIZE];
	u8 initial[TOPO_CFG_SIZE];
	u8 writable[TOPO_CFG_SIZE];
};

/* Protects the functions' contents; the lists only change on loading */
static DEFINE_RAW_SPINLOCK(topo_lock);
static LIST_HEAD(topo_functions);
static struct topo_bus *topo_root;

static struct pci_sysdata topo_sysdata = {
	.domain = TOPO_DOMAIN,
	.node = NUMA_NO_NODE,
};

static struct resource topo_busn = {
	.name = KBUILD_MODNAME,
	.start = 0,
	.end = 0xff,
	.flags = IORESOURCE_BUS,
};

static struct resource topo_window = {
	.name = KBUILD_MODNAME,
	.flags = IORESOURCE_MEM | IORESOURCE_MEM_64 | IORESOURCE_PREFETCH,
};

static struct pci_host_bridge *topo_bridge;
static struct dentry *topo_dir;
static DECLARE_COMPLETION(topo_released);

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
	const struct topo_kind *kind = fn->kind;
	u32 flags = 2 | FIELD_PREP(PCI_EXP_FLAGS_TYPE, kind->type);
	u32 devcap = PCI_EXP_DEVCAP_RBER;
	u32 speed = PCI_EXP_LNKCAP_SLS_2_5GB | FIELD_PREP(PCI_EXP_LNKCAP_MLW, 1);

	topo_define(fn, TOPO_PCIE, 2, PCI_CAP_ID_EXP, 0);
	if (kind->hotplug) {
		flags |= PCI_EXP_FLAGS_SLOT;
		topo_define(fn, TOPO_PCIE + PCI_EXP_SLTCAP, 4,
			    PCI_EXP_SLTCAP_HPC, 0);
	}
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
	u16 vfs = fn->kind->vfs;

	topo_define(fn, pos + PCI_SRIOV_CTRL, 2, 0,
		    PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE |
		    PCI_SRIOV_CTRL_ARI);
	topo_define(fn, pos + PCI_SRIOV_INITIAL_VF, 2, vfs, 0);
	topo_define(fn, pos + PCI_SRIOV_TOTAL_VF, 2, vfs, 0);
	topo_define(fn, pos + PCI_SRIOV_NUM_VF, 2, 0, 0xffff);
	topo_define(fn, pos + PCI_SRIOV_VF_OFFSET, 2, TOPO_VF_OFFSET, 0);
	topo_define(fn, pos + PCI_SRIOV_VF_STRIDE, 2, TOPO_VF_STRIDE, 0);
	topo_define(fn, pos + PCI_SRIOV_VF_DID, 2,
		    topo_get(fn->initial, PCI_DEVICE_ID, 2), 0);
	topo_define(fn, pos + PCI_SRIOV_SUP_PGSIZE, 4, 1, 0);
	topo_define(fn, pos + PCI_SRIOV_SYS_PGSIZE, 4, 1, 1);
	fn->sriov = pos;
}

static void topo_define_registers(struct topo_function *fn)
{
	bool bridge = fn->kind->bridge, vf = fn->kind == &topo_vf;
	u32 class = bridge ? PCI_CLASS_BRIDGE_PCI_NORMAL : PCI_CLASS_OTHERS << 16;

	/* Of no driver's; a VF has none (PCIe 6.0, sec 9.3.4.1.1) */
	topo_define(fn, PCI_VENDOR_ID, 2, vf ? 0xffff : PCI_VENDOR_ID_XEN, 0);
	topo_define(fn, PCI_DEVICE_ID, 2, vf ? 0xffff : TOPO_DOMAIN, 0);
	if (fn->kind->quirky) {
		topo_define(fn, PCI_VENDOR_ID, 2, PCI_VENDOR_ID_INTEL, 0);
		topo_define(fn, PCI_DEVICE_ID, 2, TOPO_82599_VF, 0);
	}
	topo_define(fn, PCI_COMMAND, 2, 0, TOPO_COMMAND_MASK);
	topo_define(fn, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	topo_define(fn, PCI_CLASS_REVISION, 4, class << 8, 0);
	topo_define(fn, PCI_CACHE_LINE_SIZE, 1, 0, 0xff);
	topo_define(fn, PCI_CAPABILITY_LIST, 1, TOPO_PCIE, 0);
	topo_define(fn, PCI_INTERRUPT_LINE, 1, 0, 0xff);
	topo_define_pcie(fn);

	if (bridge) {
		topo_define(fn, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE, 0);
		/* Primary, secondary, subordinate bus */
		topo_define(fn, PCI_PRIMARY_BUS, 4, 0, 0xffffff);
		/* A window of 64 bits and for prefetchable memory, no other */
		topo_define(fn, PCI_PREF_MEMORY_BASE, 4,
			    PCI_PREF_RANGE_TYPE_64 | PCI_PREF_RANGE_TYPE_64 << 16,
			    0xfff0fff0);
		topo_define(fn, PCI_PREF_BASE_UPPER32, 4, 0, 0xffffffff);
		topo_define(fn, PCI_PREF_LIMIT_UPPER32, 4, 0, 0xffffffff);
		topo_define(fn, PCI_BRIDGE_CONTROL, 2, 0,
			    PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR |
			    PCI_BRIDGE_CTL_BUS_RESET);
	} else if (!vf) {
		topo_define(fn, PCI_BASE_ADDRESS_0, 4, TOPO_BAR_FLAGS,
			    TOPO_BAR_MASK);
		topo_define(fn, PCI_BASE_ADDRESS_1, 4, 0, 0xffffffff);
	}

	if (fn->kind->vfs)
		topo_define_sriov(fn);
}

/* -- accesses -------------------------------------------------------------- */

static bool topo_vfs_enabled(const struct topo_function *fn)
{
	return fn->sriov &&
	       topo_now(fn, fn->sriov + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE;
}

/* Which VF of @pf an access is for, if any */
static struct topo_function *topo_find_vf(struct topo_function *pf, u8 pf_bus,
					  u8 bus, u8 devfn)
{
	int vf = PCI_DEVID(bus, devfn) - PCI_DEVID(pf_bus, pf->devfn) -
		 TOPO_VF_OFFSET;

	if (!topo_vfs_enabled(pf) || vf < 0 || vf >= TOPO_VFS ||
	    vf >= topo_now(pf, pf->sriov + PCI_SRIOV_NUM_VF))
		return NULL;
	return pf->vf[vf];
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
			return topo_now(fn, PCI_BRIDGE_CONTROL) &
			       PCI_BRIDGE_CTL_BUS_RESET ? NULL : fn;
	return NULL;
}

/* The function that answers at an address, reached as hardware would */
static struct topo_function *topo_find(u8 bus, u8 devfn)
{
	struct topo_bus *level = topo_root;
	struct topo_function *fn, *vf;
	u8 here = 0;

	while (here != bus) {
		list_for_each_entry(fn, &level->functions, sibling) {
			vf = topo_find_vf(fn, here, bus, devfn);
			if (vf)
				return vf;
		}
		fn = topo_find_bridge(level, bus);
		if (!fn)
			return NULL;
		here = fn->kind->lossy ? bus : fn->now[PCI_SECONDARY_BUS];
		level = fn->below;
	}
	return level->at[devfn];
}

static int topo_read(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 *val)
{
	struct topo_function *fn;
	unsigned long flags;

	PCI_SET_ERROR_RESPONSE(val);

	raw_spin_lock_irqsave(&topo_lock, flags);
	fn = topo_find(bus->number, devfn);
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

static void topo_reset_bus(struct topo_bus *bus);

static void topo_reset(struct topo_function *fn)
{
	int i, vfs = 0;

	fn->resets++;
	if (topo_vfs_enabled(fn))
		vfs = topo_now(fn, fn->sriov + PCI_SRIOV_NUM_VF);
	for (i = 0; i < min(vfs, TOPO_VFS); i++)
		topo_reset(fn->vf[i]);
	memcpy(fn->now, fn->initial, sizeof(fn->now));
	if (fn->kind->lossy) {
		fn->now[PCI_SECONDARY_BUS] = 1;
		fn->writable[PCI_SECONDARY_BUS] = 0;
	}
	if (fn->below)
		topo_reset_bus(fn->below);
}

static void topo_reset_bus(struct topo_bus *bus)
{
	struct topo_function *fn;

	list_for_each_entry(fn, &bus->functions, sibling)
		topo_reset(fn);
}

/* A write that has reached its function */
static void topo_write_function(struct topo_function *fn, int where, int size,
				u32 val)
{
	int devctl = TOPO_PCIE + PCI_EXP_DEVCTL;
	u16 control = topo_now(fn, PCI_BRIDGE_CONTROL);
	u32 old = topo_get(fn->now, where, size);
	u32 mask = topo_get(fn->writable, where, size);

	fn->writes++;
	topo_put(fn->now, where, size, (old & ~mask) | (val & mask));

	if (fn->below && ~control & topo_now(fn, PCI_BRIDGE_CONTROL) &
			 PCI_BRIDGE_CTL_BUS_RESET) {
		fn->sbrs++;
		topo_reset_bus(fn->below);
	}

	if (fn->kind->flr && where <= devctl && where + size >= devctl + 2 &&
	    val >> (devctl - where) * 8 & PCI_EXP_DEVCTL_BCR_FLR) {
		fn->flrs++;
		topo_reset(fn);
	}
}

static int topo_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	struct topo_function *fn;
	unsigned long flags;

	raw_spin_lock_irqsave(&topo_lock, flags);
	fn = topo_find(bus->number, devfn);
	if (fn)
		topo_write_function(fn, where, size, val);
	raw_spin_unlock_irqrestore(&topo_lock, flags);

	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops topo_ops = {
	.read = topo_read,
	.write = topo_write,
};

/* -- the tree --------------------------------------------------------------- */

static struct topo_bus *topo_alloc_bus(void)
{
	struct topo_bus *bus = kzalloc(sizeof(*bus), GFP_KERNEL);

	if (bus)
		INIT_LIST_HEAD(&bus->functions);
	return bus;
}

static struct topo_function *topo_alloc(const struct topo_kind *kind)
{
	struct topo_function *fn;

	fn = kzalloc(sizeof(*fn), GFP_KERNEL);
	if (!fn)
		return NULL;
	fn->kind = kind;
	fn->ext_next = TOPO_FIRST_EXT;
	topo_define_registers(fn);
	list_add_tail(&fn->all, &topo_functions);
	return fn;
}

/* One function more on @bus, alone, or with its VFs or a bus of its own */
static struct topo_function *topo_add(struct topo_bus *bus, bool devices,
				      const struct topo_kind *kind)
{
	struct topo_function *fn;
	int i;

	if (bus->nr >= (devices ? TOPO_MAX_DEVICES : TOPO_MAX_FUNCTIONS))
		return ERR_PTR(-E2BIG);
	if (bus->nr && kind->type == PCI_EXP_TYPE_UPSTREAM)
		return ERR_PTR(-EINVAL);

	fn = topo_alloc(kind);
	if (!fn)
		return ERR_PTR(-ENOMEM);
	fn->devfn = devices ? PCI_DEVFN(bus->nr, 0) : bus->nr;
	bus->at[fn->devfn] = fn;
	bus->nr++;
	list_add_tail(&fn->sibling, &bus->functions);

	for (i = 0; i < kind->vfs; i++) {
		fn->vf[i] = topo_alloc(&topo_vf);
		if (!fn->vf[i])
			return ERR_PTR(-ENOMEM);
	}
	if (kind->bridge) {
		fn->below = topo_alloc_bus();
		if (!fn->below)
			return ERR_PTR(-ENOMEM);
	}
	return fn;
}

/* All functions of one device: what they tell of each other */
static void topo_join(struct topo_bus *bus)
{
	struct topo_function *fn;
	int pos, next;
	u8 type;

	list_for_each_entry(fn, &bus->functions, sibling) {
		type = fn->initial[PCI_HEADER_TYPE];
		if (bus->nr > 1)
			topo_define(fn, PCI_HEADER_TYPE, 1,
				    type | PCI_HEADER_TYPE_MFD, 0);
		if (bus->nr <= TOPO_NO_ARI)
			continue;
		pos = topo_define_ext(fn, PCI_EXT_CAP_ID_ARI,
				      PCI_EXT_CAP_ARI_SIZEOF);
		next = list_is_last(&fn->sibling, &bus->functions) ?
		       0 : fn->devfn + 1;
		topo_define(fn, pos + PCI_ARI_CAP, 2, next << 8, 0);
	}
}

static const struct topo_kind *topo_parse_kind(const char **pos)
{
	size_t len = strcspn(*pos, ",*()");
	int i;

	for (i = 0; i < ARRAY_SIZE(topo_kinds); i++) {
		if (strlen(topo_kinds[i].name) == len &&
		    !strncmp(*pos, topo_kinds[i].name, len)) {
			*pos += len;
			return &topo_kinds[i];
		}
	}
	return NULL;
}

/* What is on @bus: up to the end of the layout, or to its bracket */
static int topo_parse(const char **pos, struct topo_bus *bus, bool devices,
		      int depth)
{
	const struct topo_kind *kind;
	struct topo_function *fn;
	unsigned int count;
	const char *inner;
	int err, used;

	if (depth > TOPO_MAX_DEPTH)
		return -E2BIG;

	for (;;) {
		*pos += strspn(*pos, ",");
		if (!**pos || **pos == ')')
			break;

		kind = topo_parse_kind(pos);
		if (!kind)
			return -EINVAL;
		count = 1;
		if (sscanf(*pos, "*%u%n", &count, &used) == 1)
			*pos += used;

		inner = *pos;
		while (count--) {
			fn = topo_add(bus, devices, kind);
			if (IS_ERR(fn))
				return PTR_ERR(fn);
			*pos = inner;
			if (*inner != '(')
				continue;
			if (!kind->bridge)
				return -EINVAL;
			++*pos;
			err = topo_parse(pos, fn->below, kind->devices,
					 depth + 1);
			if (err)
				return err;
			if (*(*pos)++ != ')')
				return -EINVAL;
		}
	}

	if (!devices)
		topo_join(bus);
	return 0;
}

static int topo_build(void)
{
	const char *pos = layout;
	int err;

	topo_root = topo_alloc_bus();
	if (!topo_root)
		return -ENOMEM;

	err = pos ? topo_parse(&pos, topo_root, true, 0) : -EINVAL;
	if (!err && *pos)
		err = -EINVAL;
	if (err)
		pr_err("layout: error %d at \"%s\"\n", err, pos ?: "");
	return err;
}

static void topo_free(void)
{
	struct topo_function *fn, *next;

	list_for_each_entry_safe(fn, next, &topo_functions, all) {
		kfree(fn->below);
		kfree(fn);
	}
	kfree(topo_root);
}

/* -- the host bridge -------------------------------------------------------- */

/*
 * dom0's kernel tells Xen of each function that comes or goes.  Xen 4.17 refuses
 * one that it cannot find (PHYSDEVOP_pci_device_add), yet keeps a record of it
 * that belongs to no domain, and dies by a page fault in vpci_remove_device()
 * when it goes.  So be the first to be notified, and the last.
 */
static int topo_notify(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	struct pci_dev *dev = to_pci_dev(data);

	if (dev->bus->sysdata == &topo_sysdata &&
	    (action == BUS_NOTIFY_ADD_DEVICE || action == BUS_NOTIFY_DEL_DEVICE))
		return NOTIFY_STOP;
	return NOTIFY_DONE;
}

static struct notifier_block topo_notifier = {
	.notifier_call = topo_notify,
	.priority = INT_MAX,
};

static void topo_bridge_released(struct pci_host_bridge *bridge)
{
	complete(&topo_released);
}

static int topo_add_host_bridge(void)
{
	struct pci_host_bridge *bridge;
	int err;

	/* Addresses that nobody else has, so that the functions can have some */
	err = allocate_resource(&iomem_resource, &topo_window, TOPO_WINDOW_SIZE,
				SZ_4G, iomem_resource.end, SZ_1M, NULL, NULL);
	if (err)
		return err;

	bridge = pci_alloc_host_bridge(0);
	if (!bridge) {
		err = -ENOMEM;
		goto release;
	}
	bridge->sysdata = &topo_sysdata;
	bridge->ops = &topo_ops;
	/* The ports have no interrupts, which their services would want */
	bridge->native_aer = 0;
	bridge->native_pcie_hotplug = 0;
	bridge->native_pme = 0;
	bridge->native_dpc = 0;
	pci_add_resource(&bridge->windows, &topo_busn);
	pci_add_resource(&bridge->windows, &topo_window);
	pci_set_host_bridge_release(bridge, topo_bridge_released, NULL);

	pci_lock_rescan_remove();
	err = pci_scan_root_bus_bridge(bridge);
	if (!err) {
		topo_bridge = bridge;
		pci_assign_unassigned_bus_resources(bridge->bus);
		pci_bus_add_devices(bridge->bus);
	}
	pci_unlock_rescan_remove();
	if (!err)
		return 0;

	pci_free_host_bridge(bridge);
release:
	release_resource(&topo_window);
	return err;
}

static void topo_remove_host_bridge(void)
{
	struct pci_bus *bus = topo_bridge->bus;

	pci_lock_rescan_remove();
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
	pci_free_host_bridge(topo_bridge);

	while (!wait_for_completion_timeout(&topo_released, 10 * HZ))
		pr_warn("waiting for somebody who still has one of the functions\n");
	release_resource(&topo_window);
}

/* -- slots ------------------------------------------------------------------ */

static int topo_reset_slot(struct hotplug_slot *slot, TOPO_PROBE_TYPE probe)
{
	return probe ? 0 : pci_bridge_secondary_bus_reset(slot->pci_slot->bus->self);
}

static const struct hotplug_slot_ops topo_slot_ops = {
	.reset_slot = topo_reset_slot,
};

static void topo_remove_slots(void)
{
	struct topo_function *fn;

	list_for_each_entry(fn, &topo_functions, all)
		if (fn->slot.ops)
			pci_hp_deregister(&fn->slot);
}

static int topo_add_slots(void)
{
	struct topo_function *fn;
	struct pci_dev *dev;
	int err = 0;

	pci_lock_rescan_remove();
	for_each_pci_bridge(dev, topo_bridge->bus) {
		fn = topo_root->at[dev->devfn];
		if (!fn->kind->slot)
			continue;

		fn->slot.ops = &topo_slot_ops;
		err = pci_hp_register(&fn->slot, dev->subordinate, 0,
				      pci_name(dev));
		if (err) {
			fn->slot.ops = NULL;
			break;
		}
	}
	pci_unlock_rescan_remove();

	return err;
}

/* -- the account ------------------------------------------------------------ */

static int topo_functions_show(struct seq_file *s, void *unused)
{
	struct topo_function *fn;

	list_for_each_entry(fn, &topo_functions, all)
		if (READ_ONCE(fn->seen))
			seq_printf(s, "%04x:%02x:%02x.%x %u %u %u %u %u\n",
				   TOPO_DOMAIN, fn->bus, PCI_SLOT(fn->devfn),
				   PCI_FUNC(fn->devfn), READ_ONCE(fn->reads),
				   READ_ONCE(fn->writes), READ_ONCE(fn->flrs),
				   READ_ONCE(fn->resets), READ_ONCE(fn->sbrs));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(topo_functions);

static int topo_clear(void *data, u64 val)
{
	struct topo_function *fn;
	unsigned long flags;

	if (val != 1)
		return -EINVAL;

	raw_spin_lock_irqsave(&topo_lock, flags);
	list_for_each_entry(fn, &topo_functions, all) {
		fn->reads = 0;
		fn->writes = 0;
		fn->flrs = 0;
		fn->resets = 0;
		fn->sbrs = 0;
	}
	raw_spin_unlock_irqrestore(&topo_lock, flags);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(topo_clear_fops, NULL, topo_clear, "%llu\n");

static int __init topo_init(void)
{
	int err;

	err = topo_build();
	if (err)
		goto free;
	err = bus_register_notifier(&pci_bus_type, &topo_notifier);
	if (err)
		goto free;
	err = topo_add_host_bridge();
	if (err)
		goto unregister;
	err = topo_add_slots();
	if (err)
		goto remove;

	topo_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("functions", 0400, topo_dir, NULL,
			    &topo_functions_fops);
	debugfs_create_file_unsafe("clear", 0200, topo_dir, NULL,
				   &topo_clear_fops);
	return 0;

remove:
	topo_remove_slots();
	topo_remove_host_bridge();
unregister:
	bus_unregister_notifier(&pci_bus_type, &topo_notifier);
free:
	topo_free();
	return err;
}

static void __exit topo_exit(void)
{
	debugfs_remove_recursive(topo_dir);
	topo_remove_slots();
	topo_remove_host_bridge();
	bus_unregister_notifier(&pci_bus_type, &topo_notifier);
	topo_free();
}

module_init(topo_init);
module_exit(topo_exit);

MODULE_DESCRIPTION("Invented PCI topologies, to test xen-pciback");
MODULE_LICENSE("GPL");
