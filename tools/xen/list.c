// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: list
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pciback-reset.h"

#define COLUMNS		7

void say_stock(void)
{
	warn("this kernel's pciback is without thorough resets: it has no reset_device, and shows neither plans nor results");
}

/* -- list --------------------------------------------------------------------- */

static const char *kind_of(struct fn *f)
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
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++)
		if (class_of(f) >> kinds[i].shift == kinds[i].class)
			return kinds[i].kind;
	return "other";
}

/* What keeps a function from being reset once it is adopted, or from that; "" if nothing */
static char *in_the_way(struct fn *f, char *buf, size_t size)
{
	const char *why = NULL;
	struct list set;
	bool never;
	int i;

	buf[0] = '\0';
	if (plan_of(f)->blocker[0]) {
		snprintf(buf, size, "%s (%s)", f->plan.blocker, f->plan.why);
		return buf;
	}
	if (!f->owned && !f->bridge)
		why = used_for(f, &never);
	if (!why && !f->bridge && !resets_alone(f))
		why = set_blocker(f);
	if (why)
		snprintf(buf, size, "%s", why);
	if (why || f->bridge || resets_alone(f))
		return buf;
	set = set_of(f);
	for (i = 0; i < set.n && strlen(buf) < size - BDF_LEN - 8; i++)
		if (set.fn[i] != f && !set.fn[i]->owned && !set.fn[i]->bridge)
			sprintf(buf + strlen(buf), "%s %s", buf[0] ? "" : "takes", set.fn[i]->bdf);
	free(set.fn);
	return buf;
}

/* The name of a set is its bus */
static char *set_name(struct fn *f, char *buf, size_t size)
{
	buf[0] = '\0';
	if (f->parent)
		snprintf(buf, size, "%04x:%02x", f->domain, f->bus);
	return buf;
}

static struct json_object *json_function(struct fn *f)
{
	struct json_object *obj = json_object_new_object();
	struct plan *plan = plan_of(f);
	struct list set = set_of(f);
	char text[2 * TEXT_LEN];

	json_object_object_add(obj, "bdf", json_text(f->bdf));
	json_object_object_add(obj, "name", json_text(name_of(f, text, sizeof(text))));
	json_object_object_add(obj, "method", json_text(f->owned ? plan->method : method_of(f)));
	json_object_object_add(obj, "blocker", json_text(plan->blocker));
	json_object_object_add(obj, "why", json_text(plan->why));
	attr(f, "pciback/needs_reset", text, sizeof(text));
	json_object_object_add(obj, "needs_reset",
			       text[0] ? json_object_new_boolean(text[0] == '1') : NULL);
	json_object_object_add(obj, "domain",
			       f->domid < 0 ? NULL : json_object_new_int(f->domid));
	json_object_object_add(obj, "bus", json_text(set_name(f, text, sizeof(text))));
	json_object_object_add(obj, "set", json_bdfs(&set));
	json_object_object_add(obj, "last_reset", json_text(attr(f, "pciback/last_reset", text,
								 sizeof(text))));
	json_object_object_add(obj, "guest", f->domid < 0 ? NULL : json_text(guest_name(f->domid)));
	json_object_object_add(obj, "kind", json_text(kind_of(f)));
	json_object_object_add(obj, "driver", json_text(f->driver));
	if (!f->owned)
		json_object_object_add(obj, "in_the_way",
				       json_text(in_the_way(f, text, sizeof(text))));
	free(set.fn);
	return obj;
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
static void print_table(char **cells, int rows)
{
	int widths[COLUMNS] = { 0 }, i;

	for (i = 0; i < rows * COLUMNS; i++)
		if (widths[i % COLUMNS] < width(cells[i]))
			widths[i % COLUMNS] = width(cells[i]);
	for (i = 0; i < rows * COLUMNS; i++) {
		bool last = i % COLUMNS == COLUMNS - 1;

		printf("%s%s%*s%s", i ? "" : colour("bold"), cells[i],
		       last ? 0 : widths[i % COLUMNS] - width(cells[i]) + 2, "",
		       last ? i < COLUMNS ? colour("") : "" : "");
		if (last)
			putchar('\n');
	}
}

const char *plan_text(const struct plan *plan, char *buf, size_t size)
{
	snprintf(buf, size, !plan->blocker[0] ? "%s" : "blocked by %s",
		 plan->text + (plan->blocker[0] ? strlen("blocked ") : 0));
	return buf[0] ? buf : "?";
}

static const char *yes_no(const char *value)
{
	return *value == '1' ? "yes" : *value == '0' ? "no" : "?";
}

/* A row: what of pciback's own, or what of all the machine's */
static void add_row(struct fn *f, char **cells)
{
	char name[TEXT_LEN], text[2 * TEXT_LEN], set[16];
	const char *row[COLUMNS] = { f->bdf };
	int i;

	name_of(f, name, sizeof(name));
	set_name(f, set, sizeof(set));
	cells[0] = strdup(f->bdf);
	if (opts & OPT_ALL) {
		row[1] = kind_of(f);
		row[2] = set;
		row[3] = f->driver;
		row[4] = f->bridge ? "" : f->owned && plan_of(f)->method[0] ?
			 plan_of(f)->method : method_of(f);
		row[5] = f->domid < 0 ? in_the_way(f, text, sizeof(text)) : guest_name(f->domid);
	} else {
		row[1] = set;
		row[2] = strdup(plan_text(plan_of(f), text, sizeof(text)));
		row[3] = yes_no(attr(f, "pciback/needs_reset", text, sizeof(text)));
		row[4] = f->domid < 0 ? "-" : guest_name(f->domid) + strlen("domain ");
		row[5] = *attr(f, "pciback/last_reset", text, sizeof(text)) ? text : "?";
	}
	row[6] = name;
	for (i = 1; i < COLUMNS; i++)
		cells[i] = strdup(row[i][0] ? row[i] : "-");
}

static void list_table(void)
{
	static const char * const heads[2][COLUMNS] = {
		{ "FUNCTION", "SET", "RESET BY", "NEEDS RESET", "DOMAIN", "LAST RESET", "NAME" },
		{ "FUNCTION", "KIND", "SET", "DRIVER", "RESET BY", "IN THE WAY", "NAME" },
	};
	char **cells = calloc((n_all + 1) * COLUMNS, sizeof(*cells));
	int i, rows = 1;

	memcpy(cells, heads[!!(opts & OPT_ALL)], sizeof(heads[0]));
	for (i = 0; i < n_all; i++)
		if ((opts & OPT_ALL) || all[i].owned)
			add_row(&all[i], cells + rows++ * COLUMNS);
	print_table(cells, rows);
}

/* Has its set a function of pciback's? */
static bool marked(struct fn *f)
{
	struct list set = set_of(f);
	bool found = false;
	int i;

	/* By the bus alone: what is below has a set of its own */
	for (i = 0; f->parent && i < set.n; i++)
		found |= set.fn[i]->owned && set.fn[i]->parent == f->parent;
	free(set.fn);
	return found;
}

static void print_mark(struct fn *f)
{
	char set[16], text[2 * TEXT_LEN];

	if (!f->owned && !marked(f))
		return;
	printf("  ");
	if (marked(f))
		printf("<%s> ", set_name(f, set, sizeof(set)));
	if (!f->owned) {
		printf("%s", driver_or_none(f));
		return;
	}
	printf("pciback");
	if (plan_of(f)->text[0])
		printf(", %s", plan_text(plan_of(f), text, sizeof(text)));
	if (f->domid >= 0)
		printf(", %s", guest_name(f->domid));
}

static bool on_bus(const struct fn *f, const struct fn *bridge, const char *root)
{
	return bridge ? f->parent == bridge : !f->parent && !strcmp(f->root, root);
}

/* What is on a bus; @indent is what each line but the first begins with */
static void draw(struct fn *bridge, const char *root, const char *indent)
{
	int i, n = 0, left = 0;
	char below[1024], leaf[64];

	for (i = 0; i < n_all; i++)
		left += on_bus(&all[i], bridge, root);
	n = left;
	if (!n)
		putchar('\n');
	for (i = 0; i < n_all; i++) {
		struct fn *f = &all[i];
		char text[16];
		unsigned int from, to;

		if (!on_bus(f, bridge, root))
			continue;
		if (left < n)
			fputs(indent, stdout);
		printf("%s%02x.%x", n == 1 ? "--" : left == 1 ? "\\-" : "+-", f->slot, f->func);
		left--;
		if (!f->bridge) {
			print_mark(f);
			putchar('\n');
			continue;
		}
		from = strtoul(attr(f, "secondary_bus_number", text, sizeof(text)), NULL, 10);
		to = strtoul(attr(f, "subordinate_bus_number", text, sizeof(text)), NULL, 10);
		snprintf(leaf, sizeof(leaf), from == to ? "-[%02x]--" : "-[%02x-%02x]--", from, to);
		fputs(leaf, stdout);
		snprintf(below, sizeof(below), "%s%s%*s", indent, left ? "| " : "  ",
			 4 + (int)strlen(leaf), "");
		draw(f, NULL, below);
	}
}

static void list_tree(void)
{
	char indent[BDF_LEN + 8];
	int i, j;

	for (i = 0; i < n_all; i++) {
		bool wanted = opts & OPT_ALL, first = !all[i].parent;

		for (j = 0; j < n_all; j++) {
			struct fn *top = &all[j];

			while (top->parent)
				top = top->parent;
			if (!strcmp(top->root, all[i].root)) {
				first &= j >= i;
				wanted |= all[j].owned;
			}
		}
		if (!first || !wanted)
			continue;
		printf("-[%s]-", all[i].root);
		snprintf(indent, sizeof(indent), "%*s", (int)strlen(all[i].root) + 4, "");
		draw(NULL, all[i].root, indent);
	}
}

void command_list(char **argv)
{
	int i, n = 0;

	(void)argv;
	if (!(opts & OPT_ALL))
		need_pciback();
	scan(false);
	scan_guests();
	for (i = 0; i < n_all; i++)
		n += all[i].owned || (opts & OPT_ALL);
	if (opts & OPT_JSON) {
		const char *comma = "[";

		for (i = 0; i < n_all; i++) {
			if (!all[i].owned && !(opts & OPT_ALL))
				continue;
			printf("%s\n  ", comma);
			fputs(json_object_to_json_string_ext(json_function(&all[i]), JSON_STYLE),
			      stdout);
			comma = ",";
		}
		puts(n ? "\n]" : "[]");
		return;
	}
	if (!n) {
		warn("pciback owns no function; to give it some: pciback-reset adopt BDF...");
		return;
	}
	if (opts & OPT_TREE)
		list_tree();
	else
		list_table();
	if (exists(at(PCIBACK)) && !thorough())
		say_stock();
}
