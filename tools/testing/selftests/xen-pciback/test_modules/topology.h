/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pciback_topology.ko: what its files share. topology_main.c says what it is for.
 *
 *   topology_main.c	the host bridges, slots, VFs, and the counters
 *   topology_config.c	config space: registers, and what accesses to them do
 *   topology_layout.c	a tree from the module's parameter
 *   topology_machine.c	a tree from lines of facts about a machine
 */
#ifndef SELFTEST_XEN_PCIBACK_TOPOLOGY_MODULE_H
#define SELFTEST_XEN_PCIBACK_TOPOLOGY_MODULE_H

#include <linux/list.h>
#include <linux/pci.h>
#include <linux/pci_hotplug.h>
#include <linux/spinlock.h>

/* Linux has a name for it since 6.7 */
#ifndef PCI_HEADER_TYPE_MFD
#define PCI_HEADER_TYPE_MFD	0x80
#endif

/* Of a layout. Below 0x10000: no interface of Xen's can name others */
#define TOPO_DOMAIN		0x5eed

/* Of config space that is not always 0; both parts of it are used */
#define TOPO_CFG_SIZE		0x200

/* ARI functions of a device, and without ARI */
#define TOPO_MAX_FUNCTIONS	256
#define TOPO_MAX_DEVICES	32
#define TOPO_NO_ARI		8

/* How many VFs a PF can have */
#define TOPO_VFS		64

/**
 * struct topo_kind - what a function is
 * @name: the name that a layout has for it
 * @vendor: its Vendor ID, and PCI_VENDOR_ID_XEN if 0
 * @device: its Device ID, and TOPO_DOMAIN if @vendor is 0
 * @class: its class, with the programming interface; 0: as its header says
 * @header: its header type
 * @conventional: has no PCI Express capability
 * @type: the port type in that
 * @bridge: there can be something behind it
 * @devices: and that is devices, not functions of one
 * @bar: an endpoint has a memory BAR, and a bridge a window
 * @flr: has FLR
 * @quirky: does not tell of it
 * @af: what the AF capability says that it can do; 0: there is none
 * @pm: has a PM capability
 * @soft_reset: and is reset on the way from D3hot to D0
 * @lossy: a reset makes its secondary bus number 1 for ever
 * @deaf: ignores that it is asked for a bus reset
 * @late: what is behind it answers so many ms after a bus reset
 * @slotted: reports a slot
 * @hotplug: which is for hotplug
 * @surprise: also of what is pulled out without a word
 * @slot: has a slot that can be reset
 * @vf: is a VF
 * @total_vfs: how many VFs it can have; 0: it has no SR-IOV capability
 * @num_vfs: and has from the beginning
 * @vf_offset: where the first one is, after it
 * @vf_stride: and each other, after the one before
 * @vf_device: their Device ID
 */
struct topo_kind {
	const char *name;
	u16 vendor;
	u16 device;
	u32 class;
	u8 header;
	bool conventional;
	u16 type;
	bool bridge;
	bool devices;
	bool bar;
	bool flr;
	bool quirky;
	u8 af;
	bool pm;
	bool soft_reset;
	bool lossy;
	bool deaf;
	unsigned int late;
	bool slotted;
	bool hotplug;
	bool surprise;
	bool slot;
	bool vf;
	u16 total_vfs;
	u16 num_vfs;
	u16 vf_offset;
	u16 vf_stride;
	u16 vf_device;
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
 * @vfs_enabled: the VFs that it has from the beginning are there
 * @domain: the domain that it is in
 * @fact_bus: the bus that it is on, of a machine's functions
 * @fact_secondary: and the bus behind it, or 0
 * @sriov: where a PF has its SR-IOV capability
 * @cap_last: the last capability so far, or 0
 * @ext_last: the last extended capability so far, or 0
 * @ext_next: where the next one goes
 * @seen: it was accessed, and so knows its address
 * @bus: its address, as of the last access
 * @devfn: same
 * @silent_until: it does not answer before (jiffies), if @silent
 * @silent: it was reset, and may not have come back
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
	struct topo_kind kind;
	struct topo_bus *below;
	struct topo_function *vf[TOPO_VFS];
	struct hotplug_slot slot;
	bool vfs_enabled;
	unsigned int domain;
	u8 fact_bus;
	u8 fact_secondary;
	u16 sriov;
	u16 cap_last;
	u16 ext_last;
	u16 ext_next;

	bool seen;
	u8 bus;
	u8 devfn;
	unsigned long silent_until;
	bool silent;
	u32 reads;
	u32 writes;
	u32 flrs;
	u32 resets;
	u32 sbrs;
	u8 now[TOPO_CFG_SIZE];
	u8 initial[TOPO_CFG_SIZE];
	u8 writable[TOPO_CFG_SIZE];
};

/**
 * struct topo_host - a host bridge
 * @list: in topo_hosts
 * @sysdata: what all buses behind it have
 * @root: what is on its root bus
 * @first: the number of that
 * @busn: the bus numbers that it has
 * @window: the addresses that it has; only of a layout's
 * @bridge: the PCI core's idea of it
 */
struct topo_host {
	struct list_head list;
	struct pci_sysdata sysdata;
	struct topo_bus *root;
	u8 first;
	struct resource busn;
	struct resource window;
	struct pci_host_bridge *bridge;
};

extern struct list_head topo_functions;
extern struct list_head topo_hosts;
extern raw_spinlock_t topo_lock;

/* topology_config.c */
extern struct pci_ops topo_ops;
struct topo_function *topo_alloc(const struct topo_kind *kind);
void topo_configure(struct topo_function *fn, u8 primary, u8 secondary,
		    u8 subordinate);
void topo_join(struct topo_bus *bus, bool ari);

/* topology_layout.c */
int topo_build_layout(const char *layout);

/* topology_machine.c */
int topo_add_fact(const char *line);
int topo_link_facts(void);

/* topology_main.c */
struct topo_bus *topo_alloc_bus(void);
struct topo_host *topo_add_host(int domain, u8 first);
struct topo_host *topo_host_of(const struct pci_bus *bus);

#endif
