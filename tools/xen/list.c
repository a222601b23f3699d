// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: list
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include "pciback-reset.h"

#define COLUMNS		7

static const char *kind_of(const struct fn *f)
{
	static const struct {
		unsigned int class, shift;
		const char *kind;
	} kinds[] = {
		{ 0x0108, 8, "NVMe" }, { 0x01, 16, "storage" }, { 0x0280, 8, "WiFi" },
		{ 0x02, 16, "NIC" }, { 0x03, 16, "GPU" }, { 0x0403, 8, "audio" },
		{ 0x0401, 8, "audio" }, { 0x04, 16, "media" }, { 0x06, 16, "bridge" },
		{ 0x0c03, 8, "USB" }, { 0x0d, 16, "wireless" }, { 0x1080, 8, "security" },
		{ 0x12, 16, "accelerator" },
	};
	unsigned int class = class_of(f);
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++)
		if (class >> kinds[i].shift == kinds[i].class)
			return kinds[i].kind;
	return "other";
}

/* By the driver's plan, or by what this command makes of a function that is not pciback's */
const char *planned_method(struct fn *f)
{
	return f->owned ? plan_of(f)->method : f->bridge ? "" : method_of(f);
}

/* What keeps a function from being reset once it is adopted, or from that; "" if nothing */
static const char *in_the_way(struct fn *f)
{
	struct list set, others = list_new();
	const char *why = NULL;

	if (plan_of(f)->blocker[0])
		return format("%s (%s)", f->plan->blocker, f->plan->why);
	if (f->bridge)
		return "";
	if (!f->owned)
		why = used_for(f, NULL);
	if (why || own_method(f))
		return why ?: "";
	why = set_blocker(f);
	if (why)
		return why;
	set = set_of(f);
	for_each(m, &set)
		if (m != f && !m->owned && !m->bridge)
			list_add(&others, m);
	return others.n > 2 ? format("takes %d others", others.n) :
		others.n ? format("takes%s", list_text(&others)) : "";
}

/* The name of a set is its bus */
static const char *set_name(const struct fn *f)
{
	return f->parent ? format("%04x:%02x", f->domain, f->bus) : "";
}

struct json_object *json_function(struct fn *f)
{
	struct json_object *obj, *bdfs = json_object_new_array();
	const char *needs = attr(f, "pciback/needs_reset");
	struct plan *plan = plan_of(f);
	struct list set = set_of(f);

	for_each(m, &set)
		json_object_array_add(bdfs, json_object_new_string(m->bdf));
	obj = json(NULL, "bdf", f->bdf, "name", name_of(f), "method", planned_method(f),
		   "blocker", plan->blocker, "why", plan->why, NULL);
	json_object_object_add(obj, "needs_reset",
			       needs[0] ? json_object_new_boolean(*needs == '1') : NULL);
	json_object_object_add(obj, "domain",
			       f->domid < 0 ? NULL : json_object_new_int(f->domid));
	json(obj, "bus", set_name(f), NULL);
	json_object_object_add(obj, "set", bdfs);
	json(obj, "last_reset", attr(f, "pciback/last_reset"),
	     "guest", f->domid < 0 ? "" : guest_name(f->domid),
	     "kind", kind_of(f), "driver", f->driver, NULL);
	return f->owned ? obj : json(obj, "in_the_way", in_the_way(f), NULL);
}

/* As many columns as a terminal takes for it */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

/* Rows of COLUMNS cells, the first one bold */
static void print_table(const char **cells, int rows)
{
	int widths[COLUMNS] = { 0 }, i;

	for (i = 0; i < rows * COLUMNS; i++) {
		if (!cells[i][0])
			cells[i] = "-";
		if (widths[i % COLUMNS] < width(cells[i]))
			widths[i % COLUMNS] = width(cells[i]);
	}
	for (i = 0; i < rows * COLUMNS; i++) {
		bool last = i % COLUMNS == COLUMNS - 1;

		printf("%s%s%*s%s", i ? "" : colour("bold"), cells[i],
		       last ? 0 : widths[i % COLUMNS] - width(cells[i]) + 2, "",
		       last && i < COLUMNS ? colour("") : "");
		if (last)
			putchar('\n');
	}
}

const char *plan_text(struct fn *f)
{
	struct plan *plan = plan_of(f);

	if (plan->blocker[0])
		return format("blocked by %s", plan->text + strlen("blocked "));
	return plan->text[0] ? plan->text : "?";
}

/* A row: what of pciback's own, or what of all the machine's */
static void add_row(struct fn *f, const char **cells)
{
	const char *needs = attr(f, "pciback/needs_reset"), *last = attr(f, "pciback/last_reset");
	const char *guest = f->domid < 0 ? NULL : guest_name(f->domid);

	cells[0] = f->bdf;
	cells[6] = name_of(f);
	if (opts & OPT_ALL) {
		cells[1] = kind_of(f);
		cells[2] = set_name(f);
		cells[3] = f->driver;
		cells[4] = planned_method(f);
		cells[5] = guest ?: in_the_way(f);
	} else {
		cells[1] = set_name(f);
		cells[2] = plan_text(f);
		cells[3] = *needs == '1' ? "yes" : *needs == '0' ? "no" : "?";
		cells[4] = guest ? guest + strlen("domain ") : "";
		cells[5] = last[0] ? last : "?";
	}
}

static void list_table(const struct list *l)
{
	static const char * const heads[2][COLUMNS] = {
		{ "FUNCTION", "SET", "RESET BY", "NEEDS RESET", "DOMAIN", "LAST RESET", "NAME" },
		{ "FUNCTION", "KIND", "SET", "DRIVER", "RESET BY", "IN THE WAY", "NAME" },
	};
	const char **cells = get((l->n + 1) * COLUMNS * sizeof(*cells));
	int i;

	memcpy(cells, heads[!!(opts & OPT_ALL)], sizeof(heads[0]));
	for (i = 0; i < l->n; i++)
		add_row(l->fn[i], cells + (i + 1) * COLUMNS);
	print_table(cells, l->n + 1);
}

static void list_json(const struct list *l)
{
	struct json_object **objs = get((l->n + 1) * sizeof(*objs));
	int i;

	/* All of it first, or an error would be in the middle */
	for (i = 0; i < l->n; i++)
		objs[i] = json_function(l->fn[i]);
	for (i = 0; i < l->n; i++)
		printf("%s\n  %s", i ? "," : "[", json_line(objs[i]));
	puts(l->n ? "\n]" : "[]");
}

/* Has its set a function of pciback's?  By the bus alone: what is below has a set of its own. */
static bool marked(const struct fn *f)
{
	for_all(m)
		if (f->parent && m->owned && m->parent == f->parent)
			return true;
	return false;
}

static void print_mark(struct fn *f)
{
	if (!f->owned && !marked(f))
		return;
	printf("  ");
	if (marked(f))
		printf("<%s> ", set_name(f));
	printf("%s", driver_or_none(f));
	if (f->owned && plan_of(f)->text[0])
		printf(", %s", plan_text(f));
	if (f->owned && f->domid >= 0)
		printf(", %s", guest_name(f->domid));
}

/* What is on a bus; @indent is what each line but the first begins with */
static void draw(struct fn *bridge, const char *root, const char *indent)
{
	struct list on_bus = list_new();
	int i;

	for_all(f)
		if (bridge ? f->parent == bridge : !f->parent && !strcmp(f->root, root))
			list_add(&on_bus, f);
	if (!on_bus.n)
		putchar('\n');
	for (i = 0; i < on_bus.n; i++) {
		bool last = i == on_bus.n - 1;
		struct fn *f = on_bus.fn[i];
		const char *buses;
		int from, to;

		printf("%s%s%02x.%x", i ? indent : "", on_bus.n == 1 ? "--" : last ? "\\-" : "+-",
		       f->slot, f->func);
		if (!f->bridge) {
			print_mark(f);
			putchar('\n');
			continue;
		}
		from = atoi(attr(f, "secondary_bus_number"));
		to = atoi(attr(f, "subordinate_bus_number"));
		buses = from == to ? format("-[%02x]--", from) : format("-[%02x-%02x]--", from, to);
		fputs(buses, stdout);
		draw(f, NULL, format("%s%s%*s", indent, last ? "  " : "| ",
				     4 + (int)strlen(buses), ""));
	}
}

/* Each root bus that has one of the functions below it */
static void list_tree(const struct list *l)
{
	const char *drawn = "";
	struct fn *top;

	for_each(f, l) {
		for (top = f; top->parent; top = top->parent)
			;
		if (has_word(drawn, top->root))
			continue;
		drawn = format("%s %s", drawn, top->root);
		printf("-[%s]-", top->root);
		draw(NULL, top->root, format("%*s", (int)strlen(top->root) + 4, ""));
	}
}

void command_list(char **argv)
{
	struct list l;

	if (!(opts & OPT_ALL))
		need_pciback();
	scan(false);
	scan_guests();
	l = list_new();
	for_all(f)
		if (f->owned || (opts & OPT_ALL))
			l.fn[l.n++] = f;
	if (opts & OPT_JSON) {
		list_json(&l);
		return;
	}
	if (!l.n) {
		warn("pciback owns no function; to give it some: pciback-reset adopt BDF...");
		return;
	}
	if (opts & OPT_TREE)
		list_tree(&l);
	else
		list_table(&l);
	warn_if_stock();
}
