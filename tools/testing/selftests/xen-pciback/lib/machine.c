// SPDX-License-Identifier: GPL-2.0
/*
 * Facts about a real machine. See machine.h.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <linux/pci_regs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kselftest.h"
#include "machine.h"
#include "topology.h"

#define MACHINES_DIR	"facts"
#define MADE_DIR	"facts/made"
#define SUFFIX		".tsv"

#define COLUMNS		22
/* VFs of one function that the module can make */
#define MAX_VFS		64
/* Where VFs that the file does not have would be */
#define FAR_VFS		0x10

/* Dom0's own is domain 0, so a machine's becomes this, or the next that it has not */
#define OWN_DOMAIN	0x5eed

/* What is not known by its ID becomes a device that nobody knows, of that vendor */
#define UNKNOWN_VENDOR	0x5853
#define UNKNOWN_DEVICE	0xffee

enum column {
	BDF, CLASS, ID, HDR, PRI, SEC, SUB, PCIE, SLOT, HP, SURP, FLR, AF, PM, NSR,
	ACS, VFS, REBAR, DPC, ARI, CAPS, DRIVER
};

static const char * const columns[COLUMNS] = {
	"bdf", "class", "id", "hdr", "pri", "sec", "sub", "pcie", "slot", "hp",
	"surp", "flr", "af", "pm", "nsr", "acs", "vfs", "rebar", "dpc", "ari",
	"caps", "driver"
};

static const struct {
	const char *word;
	int type;
} types[] = {
	{ "none", NO_PCIE }, { ".", NO_PCIE },
	{ "Endpoint", PCI_EXP_TYPE_ENDPOINT },
	{ "LegacyEndpoint", PCI_EXP_TYPE_LEG_END },
	{ "LegEndpoint", PCI_EXP_TYPE_LEG_END },
	{ "RootPort", PCI_EXP_TYPE_ROOT_PORT },
	{ "Upstream", PCI_EXP_TYPE_UPSTREAM },
	{ "Downstream", PCI_EXP_TYPE_DOWNSTREAM },
	{ "PCIe-PCI", PCI_EXP_TYPE_PCI_BRIDGE },
	{ "PCI-PCIe", PCI_EXP_TYPE_PCIE_BRIDGE },
	{ "RCiEP", PCI_EXP_TYPE_RC_END },
	{ "RCEC", PCI_EXP_TYPE_RC_EC },
};

/* What is being read, and whether it was good so far */
struct reader {
	const char *path;
	unsigned int line;
	bool good;
};

static void __printf(2, 3) wrong(struct reader *reader, const char *fmt, ...)
{
	va_list args;

	/* One fault a line is enough */
	if (!reader->good)
		return;
	reader->good = false;
	printf("# %s:%u: ", reader->path, reader->line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

/* Exactly so many digits of hex */
static unsigned int hex(struct reader *reader, const char *text,
			unsigned int digits, const char *what)
{
	if (strlen(text) != digits ||
	    strspn(text, "0123456789abcdefABCDEF") != digits)
		wrong(reader, "%s: not %u digits of base 16: \"%s\"", what, digits,
		      text);
	return strtoul(text, NULL, 16);
}

static bool plus(struct reader *reader, const char *text, enum column column)
{
	if (strlen(text) != 1 || !strchr("+-.", *text))
		wrong(reader, "%s: not +, - or .: \"%s\"", columns[column], text);
	return *text == '+';
}

static uint8_t bus(struct reader *reader, const char *text, enum column column)
{
	return strcmp(text, ".") ? hex(reader, text, 2, columns[column]) : 0;
}

/* [DDDD]DDDD:BB:DD.F */
static void read_address(struct reader *reader, const char *text,
			 struct fact *fact)
{
	unsigned int domain, nr, dev, func;
	char again[32];
	int end = 0;

	if (strlen(text) >= sizeof(fact->bdf) ||
	    sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &nr, &dev, &func, &end) != 4 ||
	    text[end] || dev > 0x1f || func > 7) {
		wrong(reader, "not an address: \"%s\"", text);
		return;
	}
	snprintf(again, sizeof(again), "%04x:%02x:%02x.%x", domain, nr, dev, func);
	if (strcmp(text, again))
		wrong(reader, "not an address as the kernel writes it: \"%s\"", text);
	snprintf(fact->bdf, sizeof(fact->bdf), "%s", text);
	fact->fn = fn_make(domain, nr, dev, func);
}

static uint16_t read_id(struct reader *reader, const char *text, const char *what,
			uint16_t unknown)
{
	return strcmp(text, "????") ? hex(reader, text, 4, what) : unknown;
}

static void read_ids(struct reader *reader, char *text, struct fact *fact)
{
	char *device = strchr(text, ':');

	if (!device) {
		wrong(reader, "not an ID: \"%s\"", text);
		return;
	}
	*device++ = '\0';
	fact->vendor = read_id(reader, text, "vendor", UNKNOWN_VENDOR);
	fact->device = read_id(reader, device, "device", UNKNOWN_DEVICE);
}

static int read_type(struct reader *reader, const char *text)
{
	unsigned int i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(text, types[i].word))
			return types[i].type;
	wrong(reader, "pcie: no such type: \"%s\"", text);
	return NO_PCIE;
}

static unsigned int read_af(struct reader *reader, const char *text)
{
	char tp, flr;
	int end = 0;

	if (!strcmp(text, ".") || !strcmp(text, "-"))
		return 0;
	if (sscanf(text, "TP%c%*1[F]LR%c%n", &tp, &flr, &end) != 2 || text[end] ||
	    !strchr("+-", tp) || !strchr("+-", flr))
		wrong(reader, "af: \"%s\"", text);
	return (tp == '+' ? PCI_AF_CAP_TP : 0) | (flr == '+' ? PCI_AF_CAP_FLR : 0);
}

static void read_vfs(struct reader *reader, const char *text, struct fact *fact)
{
	int end = 0;

	if (!strcmp(text, ".") || !strcmp(text, "-"))
		return;
	if (sscanf(text, "%4u/%5u%n", &fact->num_vfs, &fact->total_vfs, &end) != 2 ||
	    text[end] || fact->num_vfs > fact->total_vfs)
		wrong(reader, "vfs: \"%s\"", text);
}

static void read_bridge(struct reader *reader, char **field, struct fact *fact)
{
	bus(reader, field[PRI], PRI);
	fact->secondary = bus(reader, field[SEC], SEC);
	fact->subordinate = bus(reader, field[SUB], SUB);
	if (!fact->header && fact->secondary)
		wrong(reader, "buses behind what is no bridge");
	if (fact->secondary > fact->subordinate ||
	    (fact->secondary && fact->secondary <= fact->fn.bus))
		wrong(reader, "buses %s to %s behind bus %02x", field[SEC], field[SUB],
		      fact->fn.bus);
}

static void read_fact(struct reader *reader, char **field, struct fact *fact)
{
	read_address(reader, field[BDF], fact);
	fact->class = hex(reader, field[CLASS], 4, columns[CLASS]);
	read_ids(reader, field[ID], fact);
	fact->header = hex(reader, field[HDR], 1, columns[HDR]);
	if (fact->header > PCI_HEADER_TYPE_CARDBUS)
		wrong(reader, "hdr: no such type: \"%s\"", field[HDR]);
	read_bridge(reader, field, fact);
	fact->type = read_type(reader, field[PCIE]);
	fact->slot = plus(reader, field[SLOT], SLOT);
	fact->hotplug = plus(reader, field[HP], HP);
	fact->surprise = plus(reader, field[SURP], SURP);
	fact->flr = plus(reader, field[FLR], FLR);
	fact->af = read_af(reader, field[AF]);
	fact->pm = plus(reader, field[PM], PM);
	plus(reader, field[NSR], NSR);
	fact->soft_reset = fact->pm && !strcmp(field[NSR], "-");
	plus(reader, field[ACS], ACS);
	read_vfs(reader, field[VFS], fact);
	plus(reader, field[REBAR], REBAR);
	plus(reader, field[DPC], DPC);
	plus(reader, field[ARI], ARI);
	if (strlen(field[CAPS]) != 1 || !strchr("yen", *field[CAPS]))
		wrong(reader, "caps: not y, e or n: \"%s\"", field[CAPS]);
	if (!*field[DRIVER] || strlen(field[DRIVER]) >= sizeof(fact->driver))
		wrong(reader, "driver: \"%s\"", field[DRIVER]);
	snprintf(fact->driver, sizeof(fact->driver), "%s", field[DRIVER]);
}

/* Split it at each tab; how many fields there are */
static unsigned int split(char *line, char **field)
{
	unsigned int nr = 0;
	char *next;

	while ((next = strsep(&line, "\t"))) {
		if (nr < COLUMNS)
			field[nr] = next;
		nr++;
	}
	return nr;
}

static void read_line(struct reader *reader, struct machine *machine, char *line,
		      bool *begun)
{
	char *field[COLUMNS] = {};
	unsigned int i, nr;

	nr = split(line, field);
	if (nr != COLUMNS) {
		wrong(reader, "%u columns, not %u", nr, COLUMNS);
		return;
	}
	if (!*begun) {
		*begun = true;
		for (i = 0; i < COLUMNS; i++)
			if (strcmp(field[i], columns[i]))
				wrong(reader, "column %u is \"%s\", not \"%s\"",
				      i + 1, field[i], columns[i]);
		return;
	}
	if (machine->nr == MACHINE_FNS) {
		wrong(reader, "more than %u functions", MACHINE_FNS);
		return;
	}
	read_fact(reader, field, &machine->facts[machine->nr++]);
}

static int by_address(const void *a, const void *b)
{
	const struct fn *one = &((const struct fact *)a)->fn;
	const struct fn *other = &((const struct fact *)b)->fn;

	if (one->domain != other->domain)
		return one->domain < other->domain ? -1 : 1;
	return (one->bus << 8 | one->dev << 3 | one->func) -
	       (other->bus << 8 | other->dev << 3 | other->func);
}

static unsigned int devfn(const struct fact *fact)
{
	return fact->fn.dev << 3 | fact->fn.func;
}

/*
 * The VFs of @pf: what comes next on its bus of its vendor with another device's ID, at
 * equal distances, and is nobody else's
 */
static void find_vfs(struct machine *machine, struct fact *pf)
{
	unsigned int wanted = pf->num_vfs, last = devfn(pf);
	struct fact *fact;

	pf->num_vfs = 0;
	if (!wanted)
		return;
	for (fact = pf + 1; fact < machine->facts + machine->nr &&
	     pf->num_vfs < wanted && fact->fn.domain == pf->fn.domain &&
	     fact->fn.bus == pf->fn.bus; fact++) {
		if (fact->pf || fact->header || fact->total_vfs ||
		    fact->vendor != pf->vendor || fact->device == pf->device)
			continue;
		if (!pf->num_vfs)
			pf->vf_offset = devfn(fact) - devfn(pf);
		else if (pf->num_vfs == 1)
			pf->vf_stride = devfn(fact) - last;
		else if (devfn(fact) - last != pf->vf_stride)
			break;
		last = devfn(fact);
		fact->pf = pf;
		pf->vf_device = fact->device;
		pf->num_vfs++;
	}
}

/* Who leads to whose bus, and whose VFs these are */
static void link_facts(struct reader *reader, struct machine *machine)
{
	struct fact *end = machine->facts + machine->nr, *fact, *bridge;

	qsort(machine->facts, machine->nr, sizeof(*machine->facts), by_address);
	for (fact = machine->facts; fact < end; fact++) {
		if (fact > machine->facts && !by_address(fact - 1, fact))
			wrong(reader, "%s twice", fact->bdf);
		for (bridge = machine->facts; bridge < end; bridge++) {
			if (!bridge->secondary || bridge->secondary != fact->fn.bus ||
			    bridge->fn.domain != fact->fn.domain)
				continue;
			if (fact->up)
				wrong(reader, "%s and %s lead to bus %02x",
				      fact->up->bdf, bridge->bdf, fact->fn.bus);
			fact->up = bridge;
		}
		if (fact->total_vfs > MAX_VFS)
			fact->total_vfs = MAX_VFS;
		if (fact->num_vfs > MAX_VFS)
			wrong(reader, "%s: more than %u VFs", fact->bdf, MAX_VFS);
		fact->vf_offset = FAR_VFS;
		fact->vf_stride = 1;
		find_vfs(machine, fact);
	}
}

/* Each function gets an address in the VM: its own, if that is not in domain 0 */
static void move_domain(struct machine *machine)
{
	unsigned int domain = OWN_DOMAIN, i;
	struct fn *fn;

	for (i = 0; i < machine->nr; i++) {
		if (machine->facts[i].fn.domain != domain)
			continue;
		domain++;
		i = -1;
	}
	for (i = 0; i < machine->nr; i++) {
		fn = &machine->facts[i].fn;
		if (!fn->domain)
			*fn = fn_make(domain, fn->bus, fn->dev, fn->func);
	}
}

bool machine_read(struct machine *machine, const char *path)
{
	struct reader reader = { .path = path, .good = true };
	FILE *f = fopen(path, "r");
	bool begun = false;
	char line[1024];

	memset(machine, 0, sizeof(*machine));
	snprintf(machine->name, sizeof(machine->name), "%s", basename((char *)path));
	if (!f) {
		wrong(&reader, "%s", strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), f)) {
		reader.line++;
		if (!strchr(line, '\n') && !feof(f)) {
			wrong(&reader, "longer than %zu bytes", sizeof(line) - 2);
			break;
		}
		line[strcspn(line, "\r\n")] = '\0';
		if (*line && *line != '#')
			read_line(&reader, machine, line, &begun);
	}
	fclose(f);
	if (!machine->nr)
		wrong(&reader, "no function");
	if (reader.good)
		link_facts(&reader, machine);
	if (reader.good)
		move_domain(machine);
	return reader.good;
}

/* Where a class has programming interfaces: one that no quirk of the kernel's is for */
static unsigned int interface(const struct fact *fact)
{
	switch (fact->class) {
	case 0x0101:	return 0x85;	/* IDE, native: no ports of the PC's */
	case 0x0108:	return 0x02;	/* NVMe */
	case 0x0c03:	return 0x80;	/* USB, unspecified: nothing to be handed over */
	default:	return 0;
	}
}

/* A slot that pciehp has: it drives the ports that can be driven */
static bool has_slot(const struct fact *fact)
{
	return fact->class == 0x0604 && fact->slot && fact->hotplug &&
	       (fact->type == PCI_EXP_TYPE_ROOT_PORT ||
		fact->type == PCI_EXP_TYPE_DOWNSTREAM);
}

/* As topology_machine.c wants it */
static int write_fact(const struct fact *fact)
{
	char line[256], vfs[64] = "", af[16] = "";

	if (fact->total_vfs)
		snprintf(vfs, sizeof(vfs), ",vfs=%u/%u/%u/%u/%x", fact->num_vfs,
			 fact->total_vfs, fact->vf_offset, fact->vf_stride,
			 fact->vf_device ?: fact->device);
	if (fact->af)
		snprintf(af, sizeof(af), ",af=%u", fact->af);
	snprintf(line, sizeof(line),
		 "%s %04x%02x %04x:%04x %u %02x-%02x %d -%s%s%s%s%s%s%s%s%s",
		 fact->fn.name, fact->class, interface(fact), fact->vendor,
		 fact->device, fact->header, fact->secondary, fact->subordinate,
		 fact->type, fact->slot ? ",slot" : "",
		 fact->slot && fact->hotplug ? ",hotplug" : "",
		 fact->surprise ? ",surprise" : "", has_slot(fact) ? ",reset" : "",
		 fact->flr ? ",flr" : "", af,
		 fact->pm && !fact->header ? ",pm" : "",
		 fact->soft_reset && !fact->header ? ",soft" : "", vfs);
	return write_string(TOPOLOGY_DIR "/fact", line);
}

int machine_load(const struct machine *machine)
{
	unsigned int i;
	int ret;

	if (system("insmod " TOPOLOGY_MODULE))
		return -EIO;
	for (i = 0; i < machine->nr; i++) {
		ret = machine->facts[i].pf ? 0 : write_fact(&machine->facts[i]);
		if (ret) {
			printf("# %s: the module does not take it: %s\n",
			       machine->facts[i].bdf, strerror(-ret));
			return ret;
		}
	}
	return write_string(TOPOLOGY_DIR "/build", "1");
}

const struct fact *machine_find(const struct machine *machine, const char *name)
{
	unsigned int i;

	for (i = 0; i < machine->nr; i++)
		if (!strcmp(machine->facts[i].fn.name, name))
			return &machine->facts[i];
	return NULL;
}

bool machine_is_below(const struct fact *fact, const struct fact *bridge)
{
	for (; fact; fact = fact->up)
		if (fact->up == bridge)
			return true;
	return false;
}

bool machine_same_device(const struct fact *a, const struct fact *b)
{
	return a->fn.domain == b->fn.domain && a->fn.bus == b->fn.bus &&
	       a->fn.dev == b->fn.dev;
}

bool machine_is_passed(const struct fact *fact)
{
	static const uint16_t classes[] = {
		0x0100, 0x0104, 0x0106, 0x0107, 0x0108, 0x0c03
	};
	unsigned int i;

	if (fact->header)
		return false;
	for (i = 0; i < ARRAY_SIZE(classes); i++)
		if (fact->class == classes[i])
			return true;
	/* Network, display, multimedia */
	return fact->class >> 8 >= 0x02 && fact->class >> 8 <= 0x04;
}

static int is_machine(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(SUFFIX) &&
	       !strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX);
}

unsigned int machine_each(bool made, void (*test)(const char *path, const char *name))
{
	unsigned int every = made ? 1 : atoi(getenv("MACHINES_EVERY") ?: "1") ?: 1;
	const char *dir = made ? MADE_DIR : getenv("MACHINES") ?: MACHINES_DIR;
	struct dirent **names;
	unsigned int tests = 0;
	char path[512];
	int nr, i;

	nr = scandir(dir, &names, is_machine, alphasort);
	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (i % every == 0)
			tests++;
		if (i % every == 0 && test)
			test(path, names[i]->d_name);
		free(names[i]);
	}
	if (nr >= 0)
		free(names);
	return tests;
}
