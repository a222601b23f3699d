// SPDX-License-Identifier: GPL-2.0
/*
 * pciback_topology.ko: the functions to emulate, as a tree in the module's parameter:
 *
 *	layout=port(fn*256),port(up(down(fn),hotplug(fn)),fn)
 *
 *   port	PCI Express root port
 *   slot	the same with a slot that can be reset
 *   up		upstream port of a switch
 *   down	downstream port of a switch
 *   lossy	downstream port whose secondary bus number reads as 1 for ever after a
 *		reset, although it still leads to the same bus
 *   hotplug	downstream port with a slot for hotplug
 *   deaf	root port that ignores requests for a bus reset
 *   late	root port; what is behind it takes TOPO_LATE_MS to come back
 *   fn		endpoint that has no reset of its own
 *   flr	endpoint with FLR
 *   quirky	endpoint that does not show its FLR. It has the ID of Intel's 82599 VF,
 *		for which the kernel has a device specific reset
 *   pf		endpoint with FLR and SR-IOV: TOPO_VFS VFs, which have FLR, on the bus
 *		after its own
 *
 * NAME*n is n of them; (...) is what is behind a bridge.  On the root bus and behind an
 * upstream port each is a device of its own, 0, 1, 2 ...  Elsewhere all are functions of one
 * device, with ARI (PCIe 6.0, sec 6.13) if they are more than eight.  An upstream port must be
 * the first on its bus.
 *
 * An endpoint has a memory BAR.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/string.h>

#include "topology.h"

/* Whose reset the kernel knows better (drivers/pci/quirks.c) */
#define TOPO_82599_VF		0x10ed

/* Bridges one below the other */
#define TOPO_MAX_DEPTH		8

/* More than a second, which the PCI core does not wait for behind these ports */
#define TOPO_LATE_MS		1050

static const struct topo_kind topo_kinds[] = {
	{ "port", .type = PCI_EXP_TYPE_ROOT_PORT, .bridge = true },
	{ "slot", .type = PCI_EXP_TYPE_ROOT_PORT, .bridge = true, .slot = true },
	{ "deaf", .type = PCI_EXP_TYPE_ROOT_PORT, .bridge = true, .deaf = true },
	{ "late", .type = PCI_EXP_TYPE_ROOT_PORT, .bridge = true,
	  .late = TOPO_LATE_MS },
	{ "up", .type = PCI_EXP_TYPE_UPSTREAM, .bridge = true, .devices = true },
	{ "down", .type = PCI_EXP_TYPE_DOWNSTREAM, .bridge = true },
	{ "lossy", .type = PCI_EXP_TYPE_DOWNSTREAM, .bridge = true, .lossy = true },
	{ "hotplug", .type = PCI_EXP_TYPE_DOWNSTREAM, .bridge = true,
	  .hotplug = true },
	{ "fn", .type = PCI_EXP_TYPE_ENDPOINT },
	{ "flr", .type = PCI_EXP_TYPE_ENDPOINT, .flr = true },
	{ "quirky", .type = PCI_EXP_TYPE_ENDPOINT, .flr = true, .quirky = true,
	  .vendor = PCI_VENDOR_ID_INTEL, .device = TOPO_82599_VF },
	{ "pf", .type = PCI_EXP_TYPE_ENDPOINT, .flr = true,
	  .total_vfs = TOPO_VFS, .vf_offset = 0x100, .vf_stride = 1 },
};

/* Not in any layout: they come with their PF */
static const struct topo_kind topo_vf = {
	"vf", .type = PCI_EXP_TYPE_ENDPOINT, .flr = true, .vf = true
};

/* One function more on @bus, alone, or with its VFs or a bus of its own */
static struct topo_function *topo_add(struct topo_bus *bus, bool devices,
				      const struct topo_kind *found)
{
	struct topo_kind kind = *found;
	struct topo_function *fn;
	int i;

	if (bus->nr >= (devices ? TOPO_MAX_DEVICES : TOPO_MAX_FUNCTIONS))
		return ERR_PTR(-E2BIG);
	if (bus->nr && kind.type == PCI_EXP_TYPE_UPSTREAM)
		return ERR_PTR(-EINVAL);

	kind.bar = true;
	kind.header = kind.bridge ? PCI_HEADER_TYPE_BRIDGE : PCI_HEADER_TYPE_NORMAL;
	fn = topo_alloc(&kind);
	if (!fn)
		return ERR_PTR(-ENOMEM);
	fn->devfn = devices ? PCI_DEVFN(bus->nr, 0) : bus->nr;
	bus->at[fn->devfn] = fn;
	bus->nr++;
	list_add_tail(&fn->sibling, &bus->functions);

	for (i = 0; i < kind.total_vfs; i++) {
		fn->vf[i] = topo_alloc(&topo_vf);
		if (!fn->vf[i])
			return ERR_PTR(-ENOMEM);
	}
	if (kind.bridge) {
		fn->below = topo_alloc_bus();
		if (!fn->below)
			return ERR_PTR(-ENOMEM);
	}
	return fn;
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
		topo_join(bus, bus->nr > TOPO_NO_ARI);
	return 0;
}

int topo_build_layout(const char *layout)
{
	struct topo_host *host = topo_add_host(TOPO_DOMAIN, 0);
	const char *pos = layout;
	int err;

	if (IS_ERR(host))
		return PTR_ERR(host);

	err = topo_parse(&pos, host->root, true, 0);
	if (!err && *pos)
		err = -EINVAL;
	if (err)
		pr_err("layout: error %d at \"%s\"\n", err, pos);
	return err;
}
