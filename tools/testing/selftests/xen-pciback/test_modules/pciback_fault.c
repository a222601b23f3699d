// SPDX-License-Identifier: GPL-2.0
/*
 * Injects faults into real PCI functions, as config space shows them.
 *
 * Devices that work cannot test what a driver does if a reset has no effect, or if a
 * function does not come back.  This module replaces the config accessors of a bus
 * (pci_bus_set_ops()) by its own, and lets chosen functions on it misbehave.  It passes
 * accesses to all other functions on unchanged.  Its files are in debugfs:
 *
 *   pciback_fault/add		write DDDD:BB:DD.F: gives this function a folder
 *   pciback_fault/remove	the same: the function is real again
 *   pciback_fault/DDDD:BB:DD.F/	0 in each of these is no fault:
 *     af		1: adds an AF capability where there seems to be room; 0x40 and
 *			up: at this offset.  Reads as the offset
 *     af_cap		its capability bits; PCI_AF_CAP_TP | PCI_AF_CAP_FLR at first
 *     devcap_flr	1: Device Capabilities show an FLR
 *     pending		1: transactions pending, in Device and in AF Status
 *     flr_swallow	1: a write that starts an FLR does nothing
 *     flr_no_effect	1: an FLR happens, but Command.INTx Disable survives it
 *     flr_away_ms	how long the function is away after an FLR: reads are
 *			all ones, writes are lost.  0xffffffff: for ever
 *     flr_crs_ms	how long it answers CRS after that
 *     sbr_swallow	1: the port right above ignores secondary bus resets
 *     sbr_away_ms	the same two after a secondary bus reset by any bridge above
 *     sbr_crs_ms
 *     bus_master	1: Command.Bus Master reads as 1, whatever is written
 *     msix_masked	1: MSI-X Function Mask reads as 1, whatever is written
 *     lnksta	speed and width of its link, as the port's Link Status has them,
 *			in ten bits
 *     lnksta_sbr	the same after a secondary bus reset by its port
 *     vanish_at	n: the function is "gone" from the n-th config read from now on.
 *			Counts down
 *     gone		1: surprise removal: the function does not respond
 *     no_flr		1: as if the kernel had a quirk that forbids an FLR
 *     no_bus_reset	1: the same for a bus reset
 *     heal		write 1: the function responds again, also after vanish_at and
 *			gone; the settings stay
 *     reads, flrs, af_flrs, sbrs, lost_writes
 *			how many of these there were
 *     writes		config writes: a line an offset, "0x004 2"
 *     clear		write 1: counts from 0 again
 *
 * An FLR that the function really has is passed on to it.  An emulated one (af, devcap_flr)
 * clears the registers that show a reset: Command, BARs, interrupt line, MSI.  It does not
 * clear MSI-X, since Xen keeps a record of what dom0 writes there.
 *
 * A function that is away comes back after a secondary bus reset, unless sbr_away_ms says
 * otherwise.  A function that is gone does not.
 *
 * The PCI core reads a function's capabilities when it finds it, and keeps the results.  So
 * after af or devcap_flr write 1 to the function's "remove" in sysfs, and to a "rescan".
 * Faults belong to an address: the new function has them from the first access on.
 *
 * The accessors are on the function's bus and on all buses above it, which have the bridges'
 * control registers.  They stay for as long as the bus or the module exists.  A new bus has
 * its parent's accessors: if a bridge is removed and found again with the same bus numbers,
 * the functions below have their faults again.
 *
 * This module does not see accesses by Xen itself, nor those of a driver that maps config
 * space into memory itself.
 *
 * Locks: config accesses come from any context, some with pci_lock held, some
 * without any lock at all (CONFIG_PCI_LOCKLESS_CONFIG).  Hence RCU to find a
 * function, and a raw spinlock in it.  pcif_mutex serializes changes of both lists;
 * pci_lock_rescan_remove() is taken before it.  No debugfs file of a function takes
 * pcif_mutex, so the removal of these files may wait for them with the mutex held.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* Bridges above a function */
#define PCIF_MAX_DEPTH		16

/* An AF capability takes this much room, with its padding */
#define PCIF_AF_ROOM		8

/* The longest of the usual capabilities: PCI Express (PCIe 6.0, sec 7.5.3) */
#define PCIF_CAP_ROOM		0x3c

/* The bit that asks for an FLR, in the upper byte of Device Control */
#define PCIF_DEVCTL_FLR		(PCI_EXP_DEVCTL_BCR_FLR >> 8)

/* A link's speed and width, as Link Status has them */
#define PCIF_LINK		(PCI_EXP_LNKSTA_CLS | PCI_EXP_LNKSTA_NLW)

/* What a read of the vendor and device ID gets while a function answers CRS */
#define PCIF_CRS_ID		0xffff0001

#define PCIF_FOR_EVER_MS	U32_MAX
#define PCIF_FOR_EVER_NS	U64_MAX

enum pcif_setting {
	PCIF_AF,
	PCIF_AF_CAP,
	PCIF_DEVCAP_FLR,
	PCIF_PENDING,
	PCIF_FLR_SWALLOW,
	PCIF_FLR_NO_EFFECT,
	PCIF_FLR_AWAY,
	PCIF_FLR_CRS,
	PCIF_SBR_SWALLOW,
	PCIF_SBR_AWAY,
	PCIF_SBR_CRS,
	PCIF_BUS_MASTER,
	PCIF_MSIX_MASKED,
	PCIF_LNKSTA,
	PCIF_LNKSTA_SBR,
	PCIF_VANISH_AT,
	PCIF_GONE,
	PCIF_NO_FLR,
	PCIF_NO_BUS_RESET,
	PCIF_NR_SETTINGS
};

static const struct {
	const char *name;
	u32 max;
	pci_dev_flags_t quirk;
} pcif_settings[PCIF_NR_SETTINGS] = {
	[PCIF_AF] =		{ "af", PCI_CFG_SPACE_SIZE - PCIF_AF_ROOM },
	[PCIF_AF_CAP] =		{ "af_cap", U8_MAX },
	[PCIF_DEVCAP_FLR] =	{ "devcap_flr", 1 },
	[PCIF_PENDING] =	{ "pending", 1 },
	[PCIF_FLR_SWALLOW] =	{ "flr_swallow", 1 },
	[PCIF_FLR_NO_EFFECT] =	{ "flr_no_effect", 1 },
	[PCIF_FLR_AWAY] =	{ "flr_away_ms", U32_MAX },
	[PCIF_FLR_CRS] =	{ "flr_crs_ms", U32_MAX },
	[PCIF_SBR_SWALLOW] =	{ "sbr_swallow", 1 },
	[PCIF_SBR_AWAY] =	{ "sbr_away_ms", U32_MAX },
	[PCIF_SBR_CRS] =	{ "sbr_crs_ms", U32_MAX },
	[PCIF_BUS_MASTER] =	{ "bus_master", 1 },
	[PCIF_MSIX_MASKED] =	{ "msix_masked", 1 },
	[PCIF_LNKSTA] =		{ "lnksta", PCIF_LINK },
	[PCIF_LNKSTA_SBR] =	{ "lnksta_sbr", PCIF_LINK },
	[PCIF_VANISH_AT] =	{ "vanish_at", U32_MAX },
	[PCIF_GONE] =		{ "gone", 1 },
	[PCIF_NO_FLR] =		{ "no_flr", 1, PCI_DEV_FLAGS_NO_FLR_RESET },
	[PCIF_NO_BUS_RESET] =	{ "no_bus_reset", 1,
				  PCI_DEV_FLAGS_NO_BUS_RESET },
};

enum pcif_presence {
	PCIF_HERE,
	PCIF_CRS,
	PCIF_AWAY,
};

struct pcif_function;

/* What a file of a setting refers to */
struct pcif_knob {
	struct pcif_function *fn;
	enum pcif_setting setting;
	u32 val;
};

/**
 * struct pcif_function - a function with faults
 * @list: in pcif_functions
 * @rcu: frees it after the last access
 * @dir: its folder in debugfs
 * @domain: its address, by which an access finds it
 * @bus: same
 * @devfn: same
 * @pcie: where its PCI Express capability is, or 0
 * @port_pcie: where its port's PCI Express capability is, or 0
 * @msi: where its MSI capability is, or 0
 * @msix: where its MSI-X capability is, or 0
 * @af_room: where there is room for an AF capability, or 0
 * @has_flr: Device Capabilities really tell of an FLR
 * @lock: protects what follows; taken in any context
 * @knobs: the settings. Written with @lock held, read without
 * @nr_bridges: how many of @bridges there are
 * @bridges: bus and devfn of each bridge above it
 * @in_sbr: one of them holds it in reset
 * @away_until: away until then, in ns
 * @crs_until: answers CRS until then, in ns
 * @sticky: bits of Command that have survived an FLR
 * @reads: config reads
 * @flrs: FLRs asked for in Device Control
 * @af_flrs: FLRs asked for in AF Control
 * @sbrs: secondary bus resets
 * @lost_writes: config writes while it was away
 * @writes: config writes to each offset
 */
struct pcif_function {
	struct list_head list;
	struct rcu_head rcu;
	struct dentry *dir;
	int domain;
	u8 bus;
	u8 devfn;
	u8 pcie;
	u8 port_pcie;
	u8 msi;
	u8 msix;
	u8 af_room;
	bool has_flr;

	raw_spinlock_t lock;
	struct pcif_knob knobs[PCIF_NR_SETTINGS];
	unsigned int nr_bridges;
	struct {
		u8 bus;
		u8 devfn;
	} bridges[PCIF_MAX_DEPTH];
	bool in_sbr;
	u64 away_until;
	u64 crs_until;
	u16 sticky;
	u32 reads;
	u32 flrs;
	u32 af_flrs;
	u32 sbrs;
	u32 lost_writes;
	u32 writes[PCI_CFG_SPACE_EXP_SIZE];
};

/**
 * struct pcif_bus - a bus that has our accessors
 * @list: in pcif_buses
 * @bus: the bus, with a reference: it may be gone, but not freed
 * @native: its own accessors
 */
struct pcif_bus {
	struct list_head list;
	struct pci_bus *bus;
	struct pci_ops *native;
};

/* Where an access goes to: the function behind the accessors */
struct pcif_target {
	struct pci_ops *ops;
	struct pci_bus *bus;
	unsigned int devfn;
};

static DEFINE_MUTEX(pcif_mutex);
static LIST_HEAD(pcif_functions);
static LIST_HEAD(pcif_buses);
static struct dentry *pcif_dir;
static struct pci_ops pcif_ops;

/* -- the real thing -------------------------------------------------------- */

/*
 * The accessors that a bus was made with.  Found without any record of ours, so
 * this holds for a bus that has taken over its parent's.
 */
static struct pci_ops *pcif_native(struct pci_bus *bus)
{
	struct pci_host_bridge *host;
	struct pci_bus *root = bus;

	while (!pci_is_root_bus(root))
		root = root->parent;
	host = to_pci_host_bridge(root->bridge);
	if (host->child_ops && !pci_is_root_bus(bus))
		return host->child_ops;
	return host->ops;
}

static u32 pcif_ones(int size)
{
	return GENMASK(size * 8 - 1, 0);
}

static u32 pcif_hw_read(const struct pcif_target *to, int where, int size)
{
	u32 val = 0;

	if (to->ops->read(to->bus, to->devfn, where, size, &val))
		return pcif_ones(size);
	return val;
}

static int pcif_hw_write(const struct pcif_target *to, int where, int size,
			 u32 val)
{
	return to->ops->write(to->bus, to->devfn, where, size, val);
}

/* What a reset would clear, as far as config space shows it and lets us */
static void pcif_hw_clear(const struct pcif_target *to,
			  const struct pcif_function *fn)
{
	int bar;
	u32 msi;

	pcif_hw_write(to, PCI_COMMAND, 2, 0);
	pcif_hw_write(to, PCI_CACHE_LINE_SIZE, 1, 0);
	pcif_hw_write(to, PCI_INTERRUPT_LINE, 1, 0);
	for (bar = PCI_BASE_ADDRESS_0; bar <= PCI_BASE_ADDRESS_5; bar += 4)
		pcif_hw_write(to, bar, 4, 0);
	pcif_hw_write(to, PCI_ROM_ADDRESS, 4, 0);

	if (fn->msi) {
		msi = pcif_hw_read(to, fn->msi + PCI_MSI_FLAGS, 2);
		msi &= ~(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
		pcif_hw_write(to, fn->msi + PCI_MSI_FLAGS, 2, msi);
		pcif_hw_write(to, fn->msi + PCI_MSI_ADDRESS_LO, 4, 0);
	}
}

/* -- faults ---------------------------------------------------------------- */

static u32 pcif_get(const struct pcif_function *fn, enum pcif_setting setting)
{
	return READ_ONCE(fn->knobs[setting].val);
}

/* Does an access reach the byte at @reg?  If so, what is written to it? */
static bool pcif_reaches(int where, int size, u32 val, int reg, u8 *byte)
{
	if (reg < where || reg >= where + size)
		return false;
	*byte = val >> (reg - where) * 8;
	return true;
}

static u64 pcif_later(u64 ns, u32 ms)
{
	if (ns == PCIF_FOR_EVER_NS || ms == PCIF_FOR_EVER_MS)
		return PCIF_FOR_EVER_NS;
	return ns + ms * NSEC_PER_MSEC;
}

/* A reset is over, for the function to come back from in its own time */
static void pcif_recover(struct pcif_function *fn, enum pcif_setting away,
			 enum pcif_setting crs)
{
	lockdep_assert_held(&fn->lock);

	fn->away_until = pcif_later(ktime_get_ns(), pcif_get(fn, away));
	fn->crs_until = pcif_later(fn->away_until, pcif_get(fn, crs));
}

static enum pcif_presence pcif_presence(const struct pcif_function *fn)
{
	u64 now = ktime_get_ns();

	lockdep_assert_held(&fn->lock);

	if (pcif_get(fn, PCIF_GONE) || fn->in_sbr || now < fn->away_until)
		return PCIF_AWAY;
	if (now < fn->crs_until)
		return PCIF_CRS;
	return PCIF_HERE;
}

/* Count a read; it may be the one that nobody answers */
static enum pcif_presence pcif_count_read(struct pcif_function *fn)
{
	struct pcif_knob *vanish = &fn->knobs[PCIF_VANISH_AT];
	enum pcif_presence presence;
	unsigned long flags;

	raw_spin_lock_irqsave(&fn->lock, flags);
	fn->reads++;
	if (vanish->val) {
		WRITE_ONCE(vanish->val, vanish->val - 1);
		if (!vanish->val)
			WRITE_ONCE(fn->knobs[PCIF_GONE].val, 1);
	}
	presence = pcif_presence(fn);
	raw_spin_unlock_irqrestore(&fn->lock, flags);

	return presence;
}

static enum pcif_presence pcif_count_write(struct pcif_function *fn, int where,
					   int size, u32 val)
{
	enum pcif_presence presence;
	unsigned long flags;
	u8 byte;

	raw_spin_lock_irqsave(&fn->lock, flags);
	if (where < ARRAY_SIZE(fn->writes))
		fn->writes[where]++;
	presence = pcif_presence(fn);
	if (presence != PCIF_HERE)
		fn->lost_writes++;
	else if (pcif_reaches(where, size, val, PCI_COMMAND + 1, &byte))
		fn->sticky = 0;
	raw_spin_unlock_irqrestore(&fn->lock, flags);

	return presence;
}

/* What a byte of the invented capability reads as (AF ECN of 27 July 2006) */
static u8 pcif_af_byte(const struct pcif_function *fn,
		       const struct pcif_target *to, int offset)
{
	switch (offset) {
	case PCI_CAP_LIST_ID:
		return PCI_CAP_ID_AF;
	case PCI_CAP_LIST_NEXT:
		return pcif_hw_read(to, PCI_CAPABILITY_LIST, 1);
	case PCI_AF_LENGTH:
		return PCI_CAP_AF_SIZEOF;
	case PCI_AF_CAP:
		return pcif_get(fn, PCIF_AF_CAP);
	case PCI_AF_STATUS:
		return pcif_get(fn, PCIF_PENDING) ? PCI_AF_STATUS_TP : 0;
	default:
		return 0;
	}
}

/* What the byte at @reg reads as, given what it really is */
static u8 pcif_invent(const struct pcif_function *fn,
		      const struct pcif_target *to, int reg, u8 real)
{
	int af = pcif_get(fn, PCIF_AF);

	if (af && reg >= af && reg < af + PCIF_AF_ROOM)
		return pcif_af_byte(fn, to, reg - af);
	if (af && reg == PCI_CAPABILITY_LIST)
		return af;
	if (af && reg == PCI_STATUS)
		return real | PCI_STATUS_CAP_LIST;
	if (reg == PCI_COMMAND && pcif_get(fn, PCIF_BUS_MASTER))
		return real | PCI_COMMAND_MASTER;
	if (reg == PCI_COMMAND + 1)
		return real | READ_ONCE(fn->sticky) >> 8;
	if (fn->msix && reg == fn->msix + PCI_MSIX_FLAGS + 1 &&
	    pcif_get(fn, PCIF_MSIX_MASKED))
		return real | PCI_MSIX_FLAGS_MASKALL >> 8;
	if (fn->pcie && reg == fn->pcie + PCI_EXP_DEVCAP + 3 &&
	    pcif_get(fn, PCIF_DEVCAP_FLR))
		return real | PCI_EXP_DEVCAP_FLR >> 24;
	if (fn->pcie && reg == fn->pcie + PCI_EXP_DEVSTA &&
	    pcif_get(fn, PCIF_PENDING))
		return real | PCI_EXP_DEVSTA_TRPND;
	return real;
}

static int pcif_read_function(struct pcif_function *fn,
			      const struct pcif_target *to, int where, int size,
			      u32 *val)
{
	enum pcif_presence presence = pcif_count_read(fn);
	u32 seen = 0;
	int i, ret;

	if (presence != PCIF_HERE) {
		*val = pcif_ones(size);
		if (presence == PCIF_CRS && where == PCI_VENDOR_ID && size > 1)
			*val &= PCIF_CRS_ID;
		return PCIBIOS_SUCCESSFUL;
	}

	ret = to->ops->read(to->bus, to->devfn, where, size, val);
	if (ret)
		return ret;

	for (i = 0; i < size; i++)
		seen |= (u32)pcif_invent(fn, to, where + i, *val >> i * 8) << i * 8;
	*val = seen;
	return PCIBIOS_SUCCESSFUL;
}

/* An FLR was asked for, when Command read as @command */
static void pcif_count_flr(struct pcif_function *fn, u32 *count, u16 command)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&fn->lock, flags);
	(*count)++;
	if (!pcif_get(fn, PCIF_FLR_SWALLOW)) {
		fn->sticky = 0;
		if (pcif_get(fn, PCIF_FLR_NO_EFFECT))
			fn->sticky = command & PCI_COMMAND_INTX_DISABLE;
		pcif_recover(fn, PCIF_FLR_AWAY, PCIF_FLR_CRS);
	}
	raw_spin_unlock_irqrestore(&fn->lock, flags);
}

/* A write with the bit in Device Control that asks for an FLR */
static int pcif_flr(struct pcif_function *fn, const struct pcif_target *to,
		    int where, int size, u32 val)
{
	int reg = fn->pcie + PCI_EXP_DEVCTL + 1;
	bool swallow = pcif_get(fn, PCIF_FLR_SWALLOW);
	u16 command = pcif_hw_read(to, PCI_COMMAND, 2);
	int ret;

	/* The other bits are nobody's fault */
	if (swallow || !fn->has_flr)
		val &= ~(PCIF_DEVCTL_FLR << (reg - where) * 8);
	ret = pcif_hw_write(to, where, size, val);
	if (!swallow && !fn->has_flr)
		pcif_hw_clear(to, fn);

	pcif_count_flr(fn, &fn->flrs, command);
	return ret;
}

/* A write to the invented AF capability at @af */
static void pcif_af_write(struct pcif_function *fn,
			  const struct pcif_target *to, int where, int size,
			  u32 val, int af)
{
	u16 command = pcif_hw_read(to, PCI_COMMAND, 2);
	u8 byte;

	if (!pcif_reaches(where, size, val, af + PCI_AF_CTRL, &byte) ||
	    !(byte & PCI_AF_CTRL_FLR))
		return;

	if (!pcif_get(fn, PCIF_FLR_SWALLOW))
		pcif_hw_clear(to, fn);
	pcif_count_flr(fn, &fn->af_flrs, command);
}

static int pcif_write_function(struct pcif_function *fn,
			       const struct pcif_target *to, int where,
			       int size, u32 val)
{
	int devctl = fn->pcie + PCI_EXP_DEVCTL;
	int af = pcif_get(fn, PCIF_AF);
	u8 byte;

	if (pcif_count_write(fn, where, size, val) != PCIF_HERE)
		return PCIBIOS_SUCCESSFUL;

	/* Both are aligned, so an access is in it or not */
	if (af && where >= af && where < af + PCIF_AF_ROOM) {
		pcif_af_write(fn, to, where, size, val, af);
		return PCIBIOS_SUCCESSFUL;
	}

	if (fn->pcie && (fn->has_flr || pcif_get(fn, PCIF_DEVCAP_FLR)) &&
	    pcif_reaches(where, size, val, devctl + 1, &byte) &&
	    byte & PCIF_DEVCTL_FLR)
		return pcif_flr(fn, to, where, size, val);

	return pcif_hw_write(to, where, size, val);
}

/* -- accessors ------------------------------------------------------------- */

/* Under RCU, or with pcif_mutex held */
static struct pcif_function *pcif_find(int domain, u8 bus, u8 devfn)
{
	struct pcif_function *fn;

	list_for_each_entry_rcu(fn, &pcif_functions, list,
				lockdep_is_held(&pcif_mutex))
		if (fn->domain == domain && fn->bus == bus &&
		    fn->devfn == devfn)
			return fn;
	return NULL;
}

/* What is read from a port, as far as it is the link to one that has faults */
static u32 pcif_invent_link(struct pci_bus *bus, unsigned int devfn, int where,
			    int size, u32 val)
{
	int domain = pci_domain_nr(bus), link, shift;
	struct pcif_function *fn;

	list_for_each_entry_rcu(fn, &pcif_functions, list) {
		link = pcif_get(fn, PCIF_LNKSTA);
		if (!link || fn->domain != domain || !fn->port_pcie ||
		    fn->bridges[0].bus != bus->number ||
		    fn->bridges[0].devfn != devfn)
			continue;
		shift = (fn->port_pcie + PCI_EXP_LNKSTA - where) * 8;
		/* Both are aligned: all of the register, or nothing of it */
		if (shift >= 0 && shift < size * 8)
			val = (val & ~(PCIF_LINK << shift)) | link << shift;
	}
	return val;
}

static int pcif_read(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 *val)
{
	struct pcif_target to = { pcif_native(bus), bus, devfn };
	struct pcif_function *fn;
	int ret;

	rcu_read_lock();
	fn = pcif_find(pci_domain_nr(bus), bus->number, devfn);
	if (fn)
		ret = pcif_read_function(fn, &to, where, size, val);
	else
		ret = to.ops->read(bus, devfn, where, size, val);
	if (!fn && !ret)
		*val = pcif_invent_link(bus, devfn, where, size, *val);
	rcu_read_unlock();

	return ret;
}

/* Does a bridge ignore that it shall reset what is below it? */
static bool pcif_is_deaf(const struct pcif_target *bridge)
{
	int domain = pci_domain_nr(bridge->bus);
	struct pcif_function *fn;

	list_for_each_entry_rcu(fn, &pcif_functions, list)
		if (fn->domain == domain && pcif_get(fn, PCIF_SBR_SWALLOW) &&
		    fn->nr_bridges && fn->bridges[0].bus == bridge->bus->number &&
		    fn->bridges[0].devfn == bridge->devfn)
			return true;
	return false;
}

/* A bridge has been told to hold what is below it in reset, or to let go */
static void pcif_sbr(struct pcif_function *fn, const struct pcif_target *bridge,
		     bool asserted)
{
	unsigned long flags;
	unsigned int i;

	raw_spin_lock_irqsave(&fn->lock, flags);
	for (i = 0; i < fn->nr_bridges; i++)
		if (fn->bridges[i].bus == bridge->bus->number &&
		    fn->bridges[i].devfn == bridge->devfn)
			break;
	if (i == fn->nr_bridges || asserted == fn->in_sbr)
		goto out;

	fn->in_sbr = asserted;
	if (asserted) {
		fn->sbrs++;
		fn->sticky = 0;
		/* The link below it is trained anew */
		if (!i && pcif_get(fn, PCIF_LNKSTA_SBR))
			WRITE_ONCE(fn->knobs[PCIF_LNKSTA].val,
				   pcif_get(fn, PCIF_LNKSTA_SBR));
	} else {
		pcif_recover(fn, PCIF_SBR_AWAY, PCIF_SBR_CRS);
	}
out:
	raw_spin_unlock_irqrestore(&fn->lock, flags);
}

static int pcif_write(struct pci_bus *bus, unsigned int devfn, int where,
		      int size, u32 val)
{
	struct pcif_target to = { pcif_native(bus), bus, devfn };
	int ret, domain = pci_domain_nr(bus);
	struct pcif_function *fn;
	u8 control;

	rcu_read_lock();
	if (pcif_reaches(where, size, val, PCI_BRIDGE_CONTROL, &control) &&
	    pcif_is_deaf(&to))
		val &= ~((u32)PCI_BRIDGE_CTL_BUS_RESET <<
			 (PCI_BRIDGE_CONTROL - where) * 8);
	fn = pcif_find(domain, bus->number, devfn);
	if (fn)
		ret = pcif_write_function(fn, &to, where, size, val);
	else
		ret = to.ops->write(bus, devfn, where, size, val);

	if (!ret && pcif_reaches(where, size, val, PCI_BRIDGE_CONTROL, &control))
		list_for_each_entry_rcu(fn, &pcif_functions, list)
			if (fn->domain == domain)
				pcif_sbr(fn, &to,
					 control & PCI_BRIDGE_CTL_BUS_RESET);
	rcu_read_unlock();

	return ret;
}

/* Generic accessors ask the bus where a register is: ours are its accessors */
static void __iomem *pcif_map_bus(struct pci_bus *bus, unsigned int devfn,
				  int where)
{
	struct pci_ops *native = pcif_native(bus);

	return native->map_bus ? native->map_bus(bus, devfn, where) : NULL;
}

static int pcif_add_bus(struct pci_bus *bus)
{
	struct pci_ops *native = pcif_native(bus);

	return native->add_bus ? native->add_bus(bus) : 0;
}

static void pcif_remove_bus(struct pci_bus *bus)
{
	struct pci_ops *native = pcif_native(bus);

	if (native->remove_bus)
		native->remove_bus(bus);
}

static struct pci_ops pcif_ops = {
	.add_bus = pcif_add_bus,
	.remove_bus = pcif_remove_bus,
	.map_bus = pcif_map_bus,
	.read = pcif_read,
	.write = pcif_write,
};

/* -- buses ----------------------------------------------------------------- */

/*
 * Give a bus our accessors, or take note of one that has them from its parent.
 * Not on top of somebody else's: they might go before ours, with all of them.
 */
static int pcif_lay_over(struct pci_bus *bus)
{
	struct pci_ops *native = pcif_native(bus), *ops;
	struct pcif_bus *pbus;

	lockdep_assert_held(&pcif_mutex);

	list_for_each_entry(pbus, &pcif_buses, list)
		if (pbus->bus == bus)
			return 0;

	pbus = kzalloc(sizeof(*pbus), GFP_KERNEL);
	if (!pbus)
		return -ENOMEM;

	ops = pci_bus_set_ops(bus, &pcif_ops);
	if (ops != native && ops != &pcif_ops) {
		pci_bus_set_ops(bus, ops);
		kfree(pbus);
		return -EBUSY;
	}

	get_device(&bus->dev);
	pbus->bus = bus;
	pbus->native = native;
	list_add(&pbus->list, &pcif_buses);
	return 0;
}

/* False if somebody else's accessors are on top of ours, and stay there */
static bool pcif_uncover(struct pcif_bus *pbus)
{
	struct pci_ops *ops;

	lockdep_assert_held(&pcif_mutex);

	ops = pci_bus_set_ops(pbus->bus, pbus->native);
	if (ops != &pcif_ops && ops != pbus->native) {
		pci_bus_set_ops(pbus->bus, ops);
		return false;
	}

	list_del(&pbus->list);
	put_device(&pbus->bus->dev);
	kfree(pbus);
	return true;
}

/* Who still holds a function of a bus that is gone shall not call us later on */
static void pcif_uncover_dead(void)
{
	struct pcif_bus *pbus, *next;

	list_for_each_entry_safe(pbus, next, &pcif_buses, list)
		if (!device_is_registered(&pbus->bus->dev))
			pcif_uncover(pbus);
}

/* A bus without a function on it has never come to our notice */
static void pcif_uncover_unnoticed(struct pci_bus *bus)
{
	if (bus && READ_ONCE(bus->ops) == &pcif_ops)
		pci_bus_set_ops(bus, pcif_native(bus));
}

static bool pcif_uncover_all(void)
{
	struct pcif_bus *pbus, *next;
	struct pci_dev *dev = NULL;
	bool done = true;

	pci_lock_rescan_remove();
	mutex_lock(&pcif_mutex);
	list_for_each_entry_safe(pbus, next, &pcif_buses, list)
		done &= pcif_uncover(pbus);
	for_each_pci_dev(dev) {
		pcif_uncover_unnoticed(dev->bus);
		pcif_uncover_unnoticed(dev->subordinate);
	}
	mutex_unlock(&pcif_mutex);
	pci_unlock_rescan_remove();

	return done;
}

/* Which bridges are above: found again when the function is */
static void pcif_place(struct pcif_function *fn, struct pci_bus *bus)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&fn->lock, flags);
	fn->nr_bridges = 0;
	fn->in_sbr = false;
	fn->port_pcie = bus->self ? pci_pcie_cap(bus->self) : 0;
	for (; bus; bus = bus->parent) {
		/* A bus for virtual functions only has none of its own */
		if (!bus->self || fn->nr_bridges == PCIF_MAX_DEPTH)
			continue;
		fn->bridges[fn->nr_bridges].bus = bus->self->bus->number;
		fn->bridges[fn->nr_bridges].devfn = bus->self->devfn;
		fn->nr_bridges++;
	}
	raw_spin_unlock_irqrestore(&fn->lock, flags);
}

static int pcif_notify(struct notifier_block *nb, unsigned long action,
		       void *data)
{
	struct pci_dev *dev = to_pci_dev(data);
	struct pcif_function *fn;

	mutex_lock(&pcif_mutex);
	switch (action) {
	case BUS_NOTIFY_ADD_DEVICE:
		if (READ_ONCE(dev->bus->ops) == &pcif_ops &&
		    pcif_lay_over(dev->bus))
			pci_bus_set_ops(dev->bus, pcif_native(dev->bus));
		fn = pcif_find(pci_domain_nr(dev->bus), dev->bus->number,
			       dev->devfn);
		if (fn)
			pcif_place(fn, dev->bus);
		break;
	case BUS_NOTIFY_REMOVED_DEVICE:
		pcif_uncover_dead();
		break;
	}
	mutex_unlock(&pcif_mutex);

	return NOTIFY_DONE;
}

static struct notifier_block pcif_notifier = {
	.notifier_call = pcif_notify,
};

/* -- a function's files ---------------------------------------------------- */

static int pcif_knob_get(void *data, u64 *val)
{
	struct pcif_knob *knob = data;

	*val = READ_ONCE(knob->val);
	return 0;
}

/* The device lock is who else changes these flags under: pciback */
static int pcif_set_quirk(struct pcif_knob *knob, bool on)
{
	pci_dev_flags_t quirk = pcif_settings[knob->setting].quirk;
	struct pcif_function *fn = knob->fn;
	struct pci_dev *dev;
	int err = 0;

	dev = pci_get_domain_bus_and_slot(fn->domain, fn->bus, fn->devfn);
	if (!dev)
		return -ENODEV;

	device_lock(&dev->dev);
	if (on && !knob->val && dev->dev_flags & quirk) {
		/* Its own: do not take it away */
		err = -EEXIST;
	} else if (on != knob->val) {
		dev->dev_flags ^= quirk;
		WRITE_ONCE(knob->val, on);
	}
	device_unlock(&dev->dev);
	pci_dev_put(dev);

	return err;
}

static void pcif_unset_quirks(struct pcif_function *fn)
{
	struct pcif_knob *knob;

	for (knob = fn->knobs; knob < fn->knobs + PCIF_NR_SETTINGS; knob++)
		if (pcif_settings[knob->setting].quirk)
			pcif_set_quirk(knob, false);
}

static int pcif_knob_set(void *data, u64 val)
{
	struct pcif_knob *knob = data;
	struct pcif_function *fn = knob->fn;
	unsigned long flags;

	if (val > pcif_settings[knob->setting].max)
		return -ERANGE;
	if (pcif_settings[knob->setting].quirk)
		return pcif_set_quirk(knob, val);
	if (knob->setting == PCIF_AF && val == 1) {
		val = fn->af_room;
		if (!val)
			return -ENOSPC;
	}
	if (knob->setting == PCIF_AF && val &&
	    (val < PCI_STD_HEADER_SIZEOF || val & 3))
		return -EINVAL;

	raw_spin_lock_irqsave(&fn->lock, flags);
	WRITE_ONCE(knob->val, val);
	raw_spin_unlock_irqrestore(&fn->lock, flags);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(pcif_knob_fops, pcif_knob_get, pcif_knob_set,
			 "%llu\n");
DEFINE_DEBUGFS_ATTRIBUTE(pcif_knob_hex_fops, pcif_knob_get, pcif_knob_set,
			 "0x%02llx\n");

static int pcif_heal(void *data, u64 val)
{
	struct pcif_function *fn = data;
	unsigned long flags;

	if (val != 1)
		return -EINVAL;

	raw_spin_lock_irqsave(&fn->lock, flags);
	WRITE_ONCE(fn->knobs[PCIF_VANISH_AT].val, 0);
	WRITE_ONCE(fn->knobs[PCIF_GONE].val, 0);
	fn->in_sbr = false;
	fn->away_until = 0;
	fn->crs_until = 0;
	fn->sticky = 0;
	raw_spin_unlock_irqrestore(&fn->lock, flags);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(pcif_heal_fops, NULL, pcif_heal, "%llu\n");

static int pcif_clear(void *data, u64 val)
{
	struct pcif_function *fn = data;
	unsigned long flags;

	if (val != 1)
		return -EINVAL;

	raw_spin_lock_irqsave(&fn->lock, flags);
	fn->reads = 0;
	fn->flrs = 0;
	fn->af_flrs = 0;
	fn->sbrs = 0;
	fn->lost_writes = 0;
	memset(fn->writes, 0, sizeof(fn->writes));
	raw_spin_unlock_irqrestore(&fn->lock, flags);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(pcif_clear_fops, NULL, pcif_clear, "%llu\n");

static int pcif_writes_show(struct seq_file *s, void *unused)
{
	const struct pcif_function *fn = s->private;
	unsigned int offset, count;

	for (offset = 0; offset < ARRAY_SIZE(fn->writes); offset++) {
		count = READ_ONCE(fn->writes[offset]);
		if (count)
			seq_printf(s, "0x%03x %u\n", offset, count);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pcif_writes);

static void pcif_make_files(struct pcif_function *fn)
{
	struct dentry *dir = fn->dir;
	struct pcif_knob *knob;

	for (knob = fn->knobs; knob < fn->knobs + PCIF_NR_SETTINGS; knob++)
		debugfs_create_file_unsafe(pcif_settings[knob->setting].name,
					   0600, dir, knob,
					   knob->setting <= PCIF_AF_CAP ?
					   &pcif_knob_hex_fops : &pcif_knob_fops);

	debugfs_create_file_unsafe("heal", 0200, dir, fn, &pcif_heal_fops);
	debugfs_create_file_unsafe("clear", 0200, dir, fn, &pcif_clear_fops);
	debugfs_create_file("writes", 0400, dir, fn, &pcif_writes_fops);
	debugfs_create_u32("reads", 0400, dir, &fn->reads);
	debugfs_create_u32("flrs", 0400, dir, &fn->flrs);
	debugfs_create_u32("af_flrs", 0400, dir, &fn->af_flrs);
	debugfs_create_u32("sbrs", 0400, dir, &fn->sbrs);
	debugfs_create_u32("lost_writes", 0400, dir, &fn->lost_writes);
}

/* -- functions ------------------------------------------------------------- */

/*
 * Where an AF capability would not be in the way: registers that read as zero
 * and are not near the beginning of a real capability.  0 if there is none.
 */
static u8 pcif_find_room(struct pci_dev *dev)
{
	DECLARE_BITMAP(used, PCI_CFG_SPACE_SIZE / 4) = { };
	const unsigned int need = PCIF_AF_ROOM / 4;
	int pos, ttl = PCI_CFG_SPACE_SIZE / 4;
	unsigned long at;
	u8 cap = 0;
	u16 status;
	u32 val;

	for (pos = 0; pos < PCI_CFG_SPACE_SIZE; pos += 4) {
		pci_read_config_dword(dev, pos, &val);
		if (val || pos < PCI_STD_HEADER_SIZEOF)
			set_bit(pos / 4, used);
	}

	pci_read_config_word(dev, PCI_STATUS, &status);
	if (status & PCI_STATUS_CAP_LIST)
		pci_read_config_byte(dev, PCI_CAPABILITY_LIST, &cap);
	while (cap >= PCI_STD_HEADER_SIZEOF && ttl--) {
		cap &= ~3;
		for (pos = cap; pos < PCI_CFG_SPACE_SIZE &&
		     pos < cap + PCIF_CAP_ROOM; pos += 4)
			set_bit(pos / 4, used);
		pci_read_config_byte(dev, cap + PCI_CAP_LIST_NEXT, &cap);
	}

	at = bitmap_find_next_zero_area(used, PCI_CFG_SPACE_SIZE / 4, 0, need,
					0);
	return at < PCI_CFG_SPACE_SIZE / 4 ? at * 4 : 0;
}

static void pcif_examine(struct pcif_function *fn, struct pci_dev *dev)
{
	u32 devcap = 0;

	fn->pcie = pci_find_capability(dev, PCI_CAP_ID_EXP);
	if (fn->pcie)
		pci_read_config_dword(dev, fn->pcie + PCI_EXP_DEVCAP, &devcap);
	fn->has_flr = devcap & PCI_EXP_DEVCAP_FLR;
	fn->msi = pci_find_capability(dev, PCI_CAP_ID_MSI);
	fn->msix = pci_find_capability(dev, PCI_CAP_ID_MSIX);
	if (!pci_find_capability(dev, PCI_CAP_ID_AF))
		fn->af_room = pcif_find_room(dev);
}

static struct pcif_function *pcif_alloc(struct pci_dev *dev)
{
	struct pcif_function *fn;
	unsigned int i;

	fn = kzalloc(sizeof(*fn), GFP_KERNEL);
	if (!fn)
		return NULL;

	raw_spin_lock_init(&fn->lock);
	fn->domain = pci_domain_nr(dev->bus);
	fn->bus = dev->bus->number;
	fn->devfn = dev->devfn;
	for (i = 0; i < PCIF_NR_SETTINGS; i++) {
		fn->knobs[i].fn = fn;
		fn->knobs[i].setting = i;
	}
	fn->knobs[PCIF_AF_CAP].val = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;
	pcif_examine(fn, dev);
	pcif_place(fn, dev->bus);
	return fn;
}

/* pci_lock_rescan_remove() held: the buses above stay */
static int pcif_add_locked(struct pci_dev *dev)
{
	struct pcif_function *fn;
	struct pci_bus *bus;
	int err;

	lockdep_assert_held(&pcif_mutex);

	/* A bridge's faults would be those of everything below it */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return -EINVAL;
	if (!pci_device_is_present(dev))
		return -EIO;
	if (pcif_find(pci_domain_nr(dev->bus), dev->bus->number, dev->devfn))
		return -EEXIST;

	for (bus = dev->bus; bus; bus = bus->parent) {
		err = pcif_lay_over(bus);
		if (err)
			return err;
	}

	fn = pcif_alloc(dev);
	if (!fn)
		return -ENOMEM;
	fn->dir = debugfs_create_dir(pci_name(dev), pcif_dir);
	if (IS_ERR(fn->dir)) {
		err = PTR_ERR(fn->dir);
		kfree(fn);
		return err;
	}
	pcif_make_files(fn);
	list_add_tail_rcu(&fn->list, &pcif_functions);
	return 0;
}

static int pcif_add(int domain, u8 bus, u8 devfn)
{
	struct pci_dev *dev;
	int err = -ENODEV;

	pci_lock_rescan_remove();
	dev = pci_get_domain_bus_and_slot(domain, bus, devfn);
	if (dev) {
		mutex_lock(&pcif_mutex);
		err = pcif_add_locked(dev);
		mutex_unlock(&pcif_mutex);
		pci_dev_put(dev);
	}
	pci_unlock_rescan_remove();

	return err;
}

static int pcif_remove(int domain, u8 bus, u8 devfn)
{
	struct pcif_function *fn;

	mutex_lock(&pcif_mutex);
	fn = pcif_find(domain, bus, devfn);
	if (fn)
		list_del_rcu(&fn->list);
	mutex_unlock(&pcif_mutex);
	if (!fn)
		return -ENODEV;

	/* Waits for the users of its files */
	debugfs_remove_recursive(fn->dir);
	pcif_unset_quirks(fn);
	kfree_rcu(fn, rcu);
	return 0;
}

static ssize_t pcif_write_address(const char __user *user, size_t count,
				  int (*what)(int domain, u8 bus, u8 devfn))
{
	unsigned int domain, bus, dev, func;
	char buf[32], name[32], *s;
	int err;

	if (count >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, user, count))
		return -EFAULT;
	buf[count] = '\0';

	s = strim(buf);
	if (sscanf(s, "%x:%x:%x.%x", &domain, &bus, &dev, &func) != 4 ||
	    domain > INT_MAX || bus > 0xff || dev > 0x1f || func > 7)
		return -EINVAL;
	/* As pci_name() has it, and not a byte more */
	snprintf(name, sizeof(name), "%04x:%02x:%02x.%x", domain, bus, dev, func);
	if (strcmp(s, name))
		return -EINVAL;

	err = what(domain, bus, PCI_DEVFN(dev, func));
	return err ?: count;
}

static ssize_t pcif_add_write(struct file *file, const char __user *user,
			      size_t count, loff_t *pos)
{
	return pcif_write_address(user, count, pcif_add);
}

static const struct file_operations pcif_add_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = pcif_add_write,
};

static ssize_t pcif_remove_write(struct file *file, const char __user *user,
				 size_t count, loff_t *pos)
{
	return pcif_write_address(user, count, pcif_remove);
}

static const struct file_operations pcif_remove_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = pcif_remove_write,
};

static int __init pcif_init(void)
{
	int err;

	pcif_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	if (IS_ERR(pcif_dir))
		return PTR_ERR(pcif_dir);

	err = bus_register_notifier(&pci_bus_type, &pcif_notifier);
	if (err) {
		debugfs_remove_recursive(pcif_dir);
		return err;
	}

	debugfs_create_file("add", 0200, pcif_dir, NULL, &pcif_add_fops);
	debugfs_create_file("remove", 0200, pcif_dir, NULL, &pcif_remove_fops);
	return 0;
}

static void __exit pcif_exit(void)
{
	struct pcif_function *fn, *next;

	/* An open file holds the module, so nobody is in any of them */
	debugfs_remove_recursive(pcif_dir);

	while (!pcif_uncover_all()) {
		pr_warn_once("waiting for other accessors to be taken off a bus (aer_inject?)\n");
		msleep(100);
	}
	bus_unregister_notifier(&pci_bus_type, &pcif_notifier);
	/* A bus that was made just then */
	pcif_uncover_all();

	/*
	 * An access may have taken the accessors from its bus before, and be
	 * preempted outside of all locks: in them, or just about to enter.
	 * None of it sleeps, so it is over once each task has.
	 */
	synchronize_rcu_tasks();

	list_for_each_entry_safe(fn, next, &pcif_functions, list) {
		pcif_unset_quirks(fn);
		kfree(fn);
	}
}

module_init(pcif_init);
module_exit(pcif_exit);

MODULE_DESCRIPTION("Invented faults for PCI functions, to test xen-pciback");
MODULE_LICENSE("GPL");
