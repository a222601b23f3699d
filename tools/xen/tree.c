// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: what this machine has
 *
 * Topology is what sysfs links to.  Configuration space and names are libpci's, and are only
 * looked at where somebody asks for them: a reset of one function must not read about all.
 */
#include <pci/pci.h>
#include <stdio.h>
#include <string.h>
#include "pciback-reset.h"

struct fn *all;
int n_all;

struct fn *find(const char *bdf)
{
	for_all(f)
		if (!strcmp(f->bdf, bdf))
			return f;
	return NULL;
}

/* Who has the function now? */
void scan_driver(struct fn *f)
{
	f->driver = link_name(at(PCI "/devices/%s/driver", f->bdf));
	f->owned = !strcmp(f->driver, "pciback");
	f->plan = NULL;
}

/* What is above: of .../pci0000:00/0000:00:13.0/0000:04:00.0 the middle, or the root bus */
static void scan_parent(struct fn *f)
{
	char *target = link_path(at(PCI "/devices/%s", f->bdf)), *parent, above[BDF_LEN];

	parent = strrchr(target, '/');
	if (!parent)
		return;
	*parent = '\0';
	parent = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (parse_bdf(parent, above))
		f->parent = find(above);
	else if (!strncmp(parent, "pci", 3))
		f->root = format("%s", parent + 3);
}

/* A brief one leaves out drivers, bridges and VFs: a reset shall cost no more than that */
void scan(bool brief)
{
	char **list = names(at(PCI "/devices"));

	for (n_all = 0; list[n_all]; n_all++)
		;
	all = get((n_all + 1) * sizeof(*all));
	n_all = 0;
	for (; *list; list++) {
		struct fn *f = &all[n_all];

		if (!parse_bdf(*list, f->bdf) || strcmp(*list, f->bdf) ||
		    sscanf(*list, "%x:%x:%x.%x", &f->domain, &f->bus, &f->slot, &f->func) != 4)
			continue;
		f->domid = -1;
		f->driver = "";
		f->root = "";
		n_all++;
	}
	for_all(f) {
		scan_parent(f);
		if (brief)
			continue;
		scan_driver(f);
		f->pf = find(link_name(at(PCI "/devices/%s/physfn", f->bdf)));
		f->bridge = exists(at(PCI "/devices/%s/secondary_bus_number", f->bdf));
	}
}

const char *driver_or_none(const struct fn *f)
{
	return f->driver[0] ? f->driver : "no driver";
}

/* Is this the driver with our resets? */
bool thorough(void)
{
	return exists(at(PCIBACK "/reset_device"));
}

struct plan *plan_of(struct fn *f)
{
	if (!f->plan) {
		f->plan = get(sizeof(*f->plan));
		parse_plan(f->owned ? attr(f, "pciback/reset_plan") : "", f->plan);
	}
	return f->plan;
}

static void quiet(char *msg, ...)
{
}

static struct pci_access *access_pci(void)
{
	static struct pci_access *pci;

	if (pci)
		return pci;
	pci = pci_alloc();
	pci->method = PCI_ACCESS_SYS_BUS_PCI;
	pci->warning = quiet;
	pci_set_param(pci, "sysfs.path", at(PCI));
	if (on_tree())
		pci_set_name_list_path(pci, strdup(at("/usr/share/misc/pci.ids")), 1);
	pci_init(pci);
	return pci;
}

static int number(const struct fn *f, const char *name)
{
	return strtoul(attr(f, name), NULL, 16);
}

/* With the programming interface */
unsigned int class_of(const struct fn *f)
{
	return number(f, "class");
}

/* "8086:10d3" */
char *ids_of(const struct fn *f)
{
	return format("%04x:%04x", number(f, "vendor"), number(f, "device"));
}

char *name_of(const struct fn *f)
{
	char name[TEXT_LEN] = "";

	pci_lookup_name(access_pci(), name, sizeof(name), PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE |
			PCI_LOOKUP_NO_NUMBERS, number(f, "vendor"), number(f, "device"));
	return name[0] ? clean(name) : ids_of(f);
}

/* A capability's register, or 0 where it cannot be seen */
static unsigned int cap_long(struct fn *f, unsigned int id, int offset)
{
	struct pci_cap *cap;
	unsigned int value;

	if (!f->pci) {
		f->pci = pci_get_dev(access_pci(), f->domain, f->bus, f->slot, f->func);
		pci_fill_info(f->pci, PCI_FILL_CAPS);
	}
	cap = pci_find_cap(f->pci, id, PCI_CAP_NORMAL);
	value = cap ? pci_read_long(f->pci, cap->addr + offset) : 0;
	return value == 0xffffffff ? 0 : value;
}

/* As pciback sees it: a bridge to which cards may be added while it runs */
static bool hotplug_bridge(struct fn *f)
{
	return f->bridge && cap_long(f, PCI_CAP_ID_EXP, 0) >> 16 & PCI_EXP_FLAGS_SLOT &&
		cap_long(f, PCI_CAP_ID_EXP, PCI_EXP_SLTCAP) & PCI_EXP_SLTCAP_HPC;
}

/* Where it is, whatever the numbers of the buses: "0000:00:13.0/00.0", as of lspci -P */
char *slot_path(const struct fn *f)
{
	if (!f->parent)
		return format("%s", f->bdf);
	return format("%s/%02x.%x", slot_path(f->parent), f->slot, f->func);
}

bool below(const struct fn *f, const struct fn *top)
{
	while (f->parent && f->parent != top)
		f = f->parent;
	return f->parent;
}

struct list list_new(void)
{
	return (struct list){ get((n_all + 1) * sizeof(struct fn *)), 0 };
}

bool list_has(const struct list *l, const struct fn *f)
{
	for_each(m, l)
		if (m == f)
			return true;
	return false;
}

void list_add(struct list *l, struct fn *f)
{
	if (!list_has(l, f))
		l->fn[l->n++] = f;
}

/* " 0000:04:00.0 0000:04:00.1" */
char *list_text(const struct list *l)
{
	char *text = get(l->n * BDF_LEN + 1), *end = text;

	for_each(f, l)
		end += sprintf(end, " %s", f->bdf);
	return text;
}

/* What a slot or bus reset of a function reaches: all on its bus and below */
struct list set_of(struct fn *f)
{
	struct list set = list_new();

	if (!f->parent)
		set.fn[set.n++] = f;
	else
		for_all(m)
			if (below(m, f->parent))
				set.fn[set.n++] = m;
	return set;
}

/* The first of its own strong methods that the kernel would try; NULL if there is none */
const char *own_method(struct fn *f)
{
	static const char * const own[] = { "device_specific", "acpi", "flr", "af_flr" };
	const char *methods = attr(f, "reset_method");
	size_t i;

	for (i = 0; i < N_ELEMENTS(own); i++)
		if (!strcmp(plan_of(f)->method, own[i]) || has_word(methods, own[i]))
			return own[i];
	if (f->pf)
		return "flr";
	/* Kernels before 5.15 do not say */
	if (methods[0] || !exists(at(PCI "/devices/%s/reset", f->bdf)))
		return NULL;
	return cap_long(f, PCI_CAP_ID_EXP, PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLRESET ? "flr" :
		cap_long(f, PCI_CAP_ID_AF, 0) >> 24 & PCI_AF_CAP_FLR ? "af_flr" : NULL;
}

/* What forbids a reset of the function's set even if pciback owns all of it; or NULL */
const char *set_blocker(struct fn *f)
{
	struct list set = set_of(f);
	const char *methods;

	if (!f->parent)
		return "it is on a root bus, which nothing can reset";
	for_each(m, &set) {
		/* A slot is a device; what has other numbers by ARI is not in it */
		if (m->parent == f->parent && m->slot && !m->pf && hotplug_bridge(f->parent))
			return format("%s is not in the slot that would be reset", m->bdf);
		if (!m->bridge)
			continue;
		if (class_of(m) >> 8 == PCI_CLASS_BRIDGE_CARDBUS)
			return format("%s is a CardBus bridge, which pciback can never own",
				      m->bdf);
		if (m->driver[0] && strcmp(m->driver, "pcieport") && !m->owned)
			return format("%s is a bridge, and its driver %s uses it", m->bdf,
				      m->driver);
		if (hotplug_bridge(m))
			return format("%s is a hotplug-capable bridge, which pciback never resets",
				      m->bdf);
	}
	/* Alone on its bus, it has what the kernel says of it */
	methods = attr(f, "reset_method");
	return set.n == 1 && methods[0] && !has_word(methods, "bus") ?
		format("the kernel allows no bus reset of %s", f->bdf) : NULL;
}

/* What would reset a function if its set were pciback's, in reset_plan's words */
const char *method_of(struct fn *f)
{
	const char *own = own_method(f), *methods;
	unsigned int pm;

	if (own)
		return own;
	if (!set_blocker(f))
		return hotplug_bridge(f->parent) ? "slot" : "bus";
	methods = attr(f, "reset_method");
	pm = cap_long(f, PCI_CAP_ID_PM, PCI_PM_CTRL);
	return has_word(methods, "pm") || (!methods[0] && pm && !(pm & PCI_PM_CTRL_NO_SOFT_RST)) ?
		"pm" : "none";
}
