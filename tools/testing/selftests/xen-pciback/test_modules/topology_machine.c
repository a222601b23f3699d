// SPDX-License-Identifier: GPL-2.0
/*
 * pciback_topology.ko: a tree from facts about a machine. Each write to the file "fact" in
 * debugfs describes a function, and a 1 to "build" adds all of them:
 *
 *	0001:02:00.0 060400 8086:43e9 1 03-2a 5 slot,hotplug,surprise
 *
 * Address, class with the programming interface, IDs, header type, the buses behind a
 * bridge (00-00: none), the port type of its PCI Express capability (-1: it has none), and
 * any of these, or "-":
 *
 *   slot	implements a slot; hotplug: one for hotplug; surprise: for surprise removal
 *   reset	the slot can be reset
 *   flr	FLR in Device Capabilities
 *   af=N	an AF capability with the bits N
 *   pm		a PM capability; soft: one that resets on the way from D3hot to D0
 *   vfs=N/T/O/S/D	an SR-IOV capability for T VFs of Device ID D, the first one O
 *		functions after this one and each other S after the one before. N of them
 *		are enabled.
 *   deaf	ignores requests for a bus reset
 *   late=N	what is behind it responds N ms after a bus reset
 *
 * A function on a bus that no bridge leads to is on a root bus. None has a BAR, so nothing
 * can be mapped, and none gets a driver but bridges.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "topology.h"

static int topo_parse_vfs(const char *text, struct topo_kind *kind)
{
	if (sscanf(text, "%hu/%hu/%hu/%hu/%hx", &kind->num_vfs, &kind->total_vfs,
		   &kind->vf_offset, &kind->vf_stride, &kind->vf_device) != 5)
		return -EINVAL;
	return kind->total_vfs && kind->total_vfs <= TOPO_VFS && kind->vf_stride &&
	       kind->vf_offset && kind->num_vfs <= kind->total_vfs ? 0 : -EINVAL;
}

static int topo_parse_word(const char *word, struct topo_kind *kind)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{ "slot", &kind->slotted }, { "hotplug", &kind->hotplug },
		{ "surprise", &kind->surprise }, { "reset", &kind->slot },
		{ "flr", &kind->flr }, { "pm", &kind->pm },
		{ "soft", &kind->soft_reset }, { "deaf", &kind->deaf },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!strcmp(word, flags[i].name)) {
			*flags[i].flag = true;
			return 0;
		}
	}
	if (!strncmp(word, "vfs=", 4))
		return topo_parse_vfs(word + 4, kind);
	return sscanf(word, "af=%hhu", &kind->af) == 1 ||
	       sscanf(word, "late=%u", &kind->late) == 1 ? 0 : -EINVAL;
}

/* The host bridge whose root bus this is; made if there is none yet */
static struct topo_host *topo_find_host(int domain, u8 first)
{
	struct topo_host *host;

	list_for_each_entry(host, &topo_hosts, list)
		if (host->sysdata.domain == domain && host->first == first)
			return host;
	return topo_add_host(domain, first);
}

/* VFs are as their PF, and have FLR */
static int topo_add_vfs(struct topo_function *fn)
{
	struct topo_kind kind = {
		.vf = true, .class = fn->kind.class, .flr = true,
		.type = PCI_EXP_TYPE_ENDPOINT,
	};
	int i;

	for (i = 0; i < fn->kind.total_vfs; i++) {
		fn->vf[i] = topo_alloc(&kind);
		if (!fn->vf[i])
			return -ENOMEM;
		fn->vf[i]->domain = fn->domain;
	}
	return 0;
}

/* A line of facts: a function more, which is not linked with others yet */
int topo_add_fact(const char *line)
{
	unsigned int domain, bus, dev, func, vendor, device, header, secondary,
		     subordinate;
	struct topo_kind kind = {};
	char words[80], *rest = words, *word;
	struct topo_function *fn;
	int type, err;

	if (sscanf(line, "%x:%x:%x.%x %x %x:%x %u %x-%x %d %79s", &domain, &bus,
		   &dev, &func, &kind.class, &vendor, &device, &header,
		   &secondary, &subordinate, &type, words) != 12)
		return -EINVAL;
	if (!domain || domain > INT_MAX || bus > 0xff || dev > 0x1f || func > 7 ||
	    !vendor || header > PCI_HEADER_TYPE_CARDBUS || subordinate > 0xff ||
	    secondary > subordinate || (secondary && secondary <= bus) ||
	    (secondary && !header))
		return -EINVAL;
	kind.vendor = vendor;
	kind.device = device;
	kind.header = header;
	kind.bridge = header;
	kind.conventional = type < 0;
	kind.type = max(type, 0);
	while ((word = strsep(&rest, ","))) {
		err = strcmp(word, "-") ? topo_parse_word(word, &kind) : 0;
		if (err)
			return err;
	}

	fn = topo_alloc(&kind);
	if (!fn)
		return -ENOMEM;
	fn->domain = domain;
	fn->fact_bus = bus;
	fn->fact_secondary = secondary;
	fn->devfn = PCI_DEVFN(dev, func);
	if (kind.bridge) {
		fn->below = topo_alloc_bus();
		if (!fn->below)
			return -ENOMEM;
		topo_configure(fn, bus, secondary, subordinate);
	}
	return topo_add_vfs(fn);
}

/* The bus that a function is on, by the bridge to it, or that of a host bridge */
static struct topo_bus *topo_bus_of(const struct topo_function *fn)
{
	struct topo_function *bridge;
	struct topo_host *host;

	list_for_each_entry(bridge, &topo_functions, all)
		if (bridge->fact_secondary && bridge->fact_secondary == fn->fact_bus &&
		    bridge->domain == fn->domain)
			return bridge->below;
	host = topo_find_host(fn->domain, fn->fact_bus);
	return IS_ERR(host) ? ERR_CAST(host) : host->root;
}

static int topo_link(struct topo_function *fn)
{
	struct topo_bus *bus = topo_bus_of(fn);
	struct topo_function *other;

	if (IS_ERR(bus))
		return PTR_ERR(bus);
	if (bus->at[fn->devfn])
		return -EEXIST;
	bus->at[fn->devfn] = fn;
	bus->nr++;
	list_for_each_entry(other, &bus->functions, sibling)
		if (other->devfn > fn->devfn)
			break;
	list_add_tail(&fn->sibling, &other->sibling);
	return 0;
}

/* More than one device behind a port that has room for one: its functions have ARI. */
static void topo_join_below(struct topo_function *port)
{
	struct topo_function *last;
	bool one = !port->kind.conventional &&
		   (port->kind.type == PCI_EXP_TYPE_ROOT_PORT ||
		    port->kind.type == PCI_EXP_TYPE_DOWNSTREAM);

	if (list_empty(&port->below->functions))
		return;
	last = list_last_entry(&port->below->functions, struct topo_function,
			       sibling);
	topo_join(port->below, one && PCI_SLOT(last->devfn));
}

/* All of them, as the tree that they are */
int topo_link_facts(void)
{
	struct topo_function *fn;
	struct topo_host *host;
	int err;

	if (list_empty(&topo_functions))
		return -ENODATA;
	list_for_each_entry(fn, &topo_functions, all) {
		err = fn->kind.vf ? 0 : topo_link(fn);
		if (err) {
			pr_err("fact: error %d at %04x:%02x:%02x.%x\n", err,
			       fn->domain, fn->fact_bus,
			       PCI_SLOT(fn->devfn), PCI_FUNC(fn->devfn));
			return err;
		}
	}
	list_for_each_entry(fn, &topo_functions, all)
		if (fn->below)
			topo_join_below(fn);
	list_for_each_entry(host, &topo_hosts, list)
		topo_join(host->root, false);
	return 0;
}
