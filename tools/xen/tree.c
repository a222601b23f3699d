// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: what this machine has
 *
 * Topology is what sysfs links to.  Configuration space and names are libpci's, and are only
 * looked at where somebody asks for them: a reset of one function must not read about all.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pci/pci.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pciback-reset.h"

struct fn *all;
int n_all;
/* -- files -------------------------------------------------------------------- */

/* A path below PCIBACK_RESET_ROOT; good until the eighth call from now */
char *at(const char *fmt, ...)
{
	static char paths[8][PATH_MAX];
	static int next;
	const char *root = getenv("PCIBACK_RESET_ROOT");
	char *path = paths[next++ % 8];
	va_list args;
	int n;

	n = snprintf(path, PATH_MAX / 2, "%s", root ?: "");
	va_start(args, fmt);
	vsnprintf(path + n, PATH_MAX - n, fmt, args);
	va_end(args);
	return path;
}

bool exists(const char *path)
{
	return !access(path, F_OK);
}

/* All of a file, as it is; "" if it cannot be read */
char *read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, len = 0;

	if (fd >= 0) {
		while ((n = read(fd, buf + len, size - 1 - len)) > 0)
			len += n;
		close(fd);
	}
	buf[len] = '\0';
	return buf;
}

/* Its first line, fit for a terminal */
char *read_line(const char *path, char *buf, size_t size)
{
	read_file(path, buf, size);
	buf[strcspn(buf, "\n")] = '\0';
	clean_text(buf, size, buf);
	return buf;
}

/* An attribute of a function */
char *attr(const struct fn *f, const char *name, char *buf, size_t size)
{
	return read_line(at(PCI "/devices/%s/%s", f->bdf, name), buf, size);
}

char *parameter(const char *name, char *buf, size_t size)
{
	return read_line(at("/sys/module/xen_pciback/parameters/%s", name), buf, size);
}

/* Of the configuration file; the environment goes before it */
bool setting(const char *key, char *value, size_t size)
{
	static char text[65536];

	value[0] = '\0';
	if (getenv(key))
		return snprintf(value, size, "%s", getenv(key)) >= 0;
	return parse_setting(read_file(at(CONFIG), text, sizeof(text)), key, value, size);
}

/* The last part of what a link names */
bool link_name(const char *path, char *buf, size_t size)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	buf[0] = '\0';
	if (n < 0)
		return false;
	target[n] = '\0';
	clean_text(buf, size, strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
	return true;
}

void for_each(const char *dir, void (*call)(const char *name, void *arg), void *arg)
{
	struct dirent **entries;
	int i, n = scandir(dir, &entries, NULL, alphasort);

	for (i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			call(entries[i]->d_name, arg);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

/* -- functions ---------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct fn *x = a, *y = b;

	if (x->domain != y->domain)
		return x->domain < y->domain ? -1 : 1;
	return strcmp(strchr(x->bdf, ':'), strchr(y->bdf, ':'));
}

struct fn *find(const char *bdf)
{
	struct fn key = { .domain = strtoul(bdf, NULL, 16) };

	snprintf(key.bdf, sizeof(key.bdf), "%s", bdf);
	return bsearch(&key, all, n_all, sizeof(*all), by_address);
}

static void add_function(const char *name, void *arg)
{
	const char *end;
	struct fn *f;

	all = realloc(all, (n_all + 1) * sizeof(*all));
	if (!all)
		abort();
	f = memset(&all[n_all], 0, sizeof(*f));
	end = parse_bdf(name, f->bdf);
	if (!end || *end || strcmp(name, f->bdf))
		return;
	if (sscanf(name, "%x:%x:%x.%x", &f->domain, &f->bus, &f->slot, &f->func) != 4)
		return;
	f->domid = -1;
	n_all++;
}

/* Who has the function now? */
void scan_driver(struct fn *f)
{
	link_name(at(PCI "/devices/%s/driver", f->bdf), f->driver, sizeof(f->driver));
	f->owned = !strcmp(f->driver, "pciback");
	f->has_plan = false;
}

/* What is above: of .../pci0000:00/0000:00:13.0/0000:04:00.0 the middle, or the root bus */
static void scan_parent(struct fn *f)
{
	char target[PATH_MAX], *parent, above[BDF_LEN];
	ssize_t n = readlink(at(PCI "/devices/%s", f->bdf), target, sizeof(target) - 1);

	target[n < 0 ? 0 : n] = '\0';
	parent = strrchr(target, '/');
	if (!parent)
		return;
	*parent = '\0';
	parent = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (parse_bdf(parent, above))
		f->parent = find(above);
	else if (!strncmp(parent, "pci", 3))
		snprintf(f->root, sizeof(f->root), "%.*s", BDF_LEN - 1, parent + 3);
}

/* A brief one leaves out drivers, and what is a bridge: a reset shall cost no more than that */
void scan(bool brief)
{
	int i;

	free(all);
	all = NULL;
	n_all = 0;
	for_each(at(PCI "/devices"), add_function, NULL);
	qsort(all, n_all, sizeof(*all), by_address);
	for (i = 0; i < n_all; i++) {
		scan_parent(&all[i]);
		if (brief)
			continue;
		scan_driver(&all[i]);
		all[i].bridge = exists(at(PCI "/devices/%s/secondary_bus_number", all[i].bdf));
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
	char text[TEXT_LEN] = "";

	if (!f->has_plan) {
		if (f->owned)
			attr(f, "pciback/reset_plan", text, sizeof(text));
		parse_plan(text, &f->plan);
		f->has_plan = true;
	}
	return &f->plan;
}

/* -- configuration space and names -------------------------------------------- */

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
	if (getenv("PCIBACK_RESET_ROOT"))
		pci_set_name_list_path(pci, strdup(at("/usr/share/misc/pci.ids")), 1);
	pci_init(pci);
	return pci;
}

static struct pci_dev *device_of(struct fn *f)
{
	if (!f->pci) {
		f->pci = pci_get_dev(access_pci(), f->domain, f->bus, f->slot, f->func);
		pci_fill_info(f->pci, PCI_FILL_CAPS);
	}
	return f->pci;
}

/* With the programming interface */
uint32_t class_of(struct fn *f)
{
	char text[32];

	return strtoul(attr(f, "class", text, sizeof(text)), NULL, 16);
}

void ids_of(struct fn *f, int *vendor, int *device)
{
	char text[32];

	*vendor = strtoul(attr(f, "vendor", text, sizeof(text)), NULL, 16);
	*device = strtoul(attr(f, "device", text, sizeof(text)), NULL, 16);
}

char *name_of(struct fn *f, char *buf, size_t size)
{
	char name[TEXT_LEN] = "";
	int vendor, device;

	ids_of(f, &vendor, &device);
	pci_lookup_name(access_pci(), name, sizeof(name), PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE |
			PCI_LOOKUP_NO_NUMBERS, vendor, device);
	if (name[0])
		clean_text(buf, size, name);
	else
		snprintf(buf, size, "%04x:%04x", vendor, device);
	return buf;
}

/* A capability's register, or 0 where it cannot be seen */
static uint32_t cap_long(struct fn *f, unsigned int id, int offset)
{
	struct pci_cap *cap = pci_find_cap(device_of(f), id, PCI_CAP_NORMAL);
	uint32_t value = cap ? pci_read_long(f->pci, cap->addr + offset) : 0;

	return value == 0xffffffff ? 0 : value;
}

/* As pciback sees it: a bridge to which cards may be added while it runs */
static bool hotplug_bridge(struct fn *f)
{
	return f->bridge && cap_long(f, PCI_CAP_ID_EXP, 0) >> 16 & PCI_EXP_FLAGS_SLOT &&
		cap_long(f, PCI_CAP_ID_EXP, PCI_EXP_SLTCAP) & PCI_EXP_SLTCAP_HPC;
}

/* Where it is, whatever the numbers of the buses: "0000:00:13.0/00.0", as of lspci -P */
char *slot_path(const struct fn *f, char *buf, size_t size)
{
	char above[TEXT_LEN];

	if (f->parent)
		snprintf(buf, size, "%s/%02x.%x", slot_path(f->parent, above, sizeof(above)),
			 f->slot, f->func);
	else
		snprintf(buf, size, "%s", f->bdf);
	return buf;
}

bool is_vf(const struct fn *f)
{
	return exists(at(PCI "/devices/%s/physfn", f->bdf));
}

bool below(const struct fn *f, const struct fn *top)
{
	while (f->parent && f->parent != top)
		f = f->parent;
	return f->parent;
}

/* -- how it can be reset ------------------------------------------------------ */

/* The first of its own methods that the kernel would try; NULL if there is none */
static const char *own_method(struct fn *f)
{
	static const char * const own[] = { "device_specific", "acpi", "flr", "af_flr" };
	char methods[TEXT_LEN];
	size_t i;

	for (i = 0; i < N_ELEMENTS(own); i++)
		if (!strcmp(plan_of(f)->method, own[i]))
			return own[i];
	attr(f, "reset_method", methods, sizeof(methods));
	for (i = 0; i < N_ELEMENTS(own); i++)
		if (has_word(methods, own[i]))
			return own[i];
	if (is_vf(f))
		return "flr";
	/* Kernels before 5.15 do not say */
	if (methods[0] || !exists(at(PCI "/devices/%s/reset", f->bdf)))
		return NULL;
	return cap_long(f, PCI_CAP_ID_EXP, PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLRESET ? "flr" :
		cap_long(f, PCI_CAP_ID_AF, 0) >> 24 & PCI_AF_CAP_FLR ? "af_flr" : NULL;
}

bool resets_alone(struct fn *f)
{
	return own_method(f);
}

struct list list_new(void)
{
	struct list l = { calloc(n_all + 1, sizeof(*l.fn)), 0 };

	if (!l.fn)
		abort();
	return l;
}

bool list_has(const struct list *l, const struct fn *f)
{
	int i;

	for (i = 0; i < l->n; i++)
		if (l->fn[i] == f)
			return true;
	return false;
}

void list_add(struct list *l, struct fn *f)
{
	if (!list_has(l, f))
		l->fn[l->n++] = f;
}

/* What a slot or bus reset of a function reaches: all on its bus and below */
struct list set_of(struct fn *f)
{
	struct list set = list_new();
	int i;

	if (!f->parent)
		set.fn[set.n++] = f;
	for (i = 0; f->parent && i < n_all; i++)
		if (below(&all[i], f->parent))
			set.fn[set.n++] = &all[i];
	return set;
}

/* What forbids a reset of the function's set even if pciback owns all of it; or NULL */
const char *set_blocker(struct fn *f)
{
	static char why[2 * TEXT_LEN];
	struct list set = set_of(f);
	char text[TEXT_LEN];
	int i;

	why[0] = '\0';
	if (!f->parent)
		snprintf(why, sizeof(why), "it is on a root bus, which nothing can reset");
	for (i = 0; i < set.n && !why[0]; i++) {
		struct fn *m = set.fn[i];

		if (!m->bridge)
			continue;
		if (class_of(m) >> 8 == PCI_CLASS_BRIDGE_CARDBUS)
			snprintf(why, sizeof(why),
				 "%s is a CardBus bridge, which pciback can never own", m->bdf);
		else if (m->driver[0] && strcmp(m->driver, "pcieport") && !m->owned)
			snprintf(why, sizeof(why), "%s is a bridge, and its driver %s uses it",
				 m->bdf, m->driver);
		else if (hotplug_bridge(m))
			snprintf(why, sizeof(why),
				 "%s is a hotplug-capable bridge, which pciback never resets",
				 m->bdf);
	}
	/* Alone on its bus, it has what the kernel says of it */
	attr(f, "reset_method", text, sizeof(text));
	if (!why[0] && set.n == 1 && text[0] && !has_word(text, "bus"))
		snprintf(why, sizeof(why), "the kernel allows no bus reset of %s",
			 f->bdf);
	free(set.fn);
	return why[0] ? why : NULL;
}

/* What would reset a function if its set were pciback's, in reset_plan's words */
const char *method_of(struct fn *f)
{
	const char *own = own_method(f);
	char text[TEXT_LEN];
	uint32_t pm;

	if (own)
		return own;
	if (!set_blocker(f))
		return hotplug_bridge(f->parent) ? "slot" : "bus";
	attr(f, "reset_method", text, sizeof(text));
	pm = cap_long(f, PCI_CAP_ID_PM, PCI_PM_CTRL);
	return has_word(text, "pm") || (!text[0] && pm && !(pm & PCI_PM_CTRL_NO_SOFT_RST)) ?
		"pm" : "none";
}
