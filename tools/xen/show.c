// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: list, doctor, report and monitor
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "pciback-reset.h"

#define COLUMNS		7

void say_stock(void)
{
	warn("this kernel's pciback is without thorough resets: it has no reset_device, and does not tell its plans or results");
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
	snprintf(buf, size, f->parent ? "%04x:%02x" : "", f->domain, f->bus);
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

static const char *said(const struct plan *plan, char *buf, size_t size)
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
		row[2] = strdup(said(plan_of(f), text, sizeof(text)));
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
		printf(", %s", said(plan_of(f), text, sizeof(text)));
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
	scan();
	scan_guests();
	for (i = 0; i < n_all; i++)
		n += all[i].owned || (opts & OPT_ALL);
	if (opts & OPT_JSON) {
		const char *comma = "[";

		for (i = 0; i < n_all; i++) {
			if (!all[i].owned && !(opts & OPT_ALL))
				continue;
			printf("%s\n  ", comma);
			fputs(json_object_to_json_string_ext(json_function(&all[i]),
							     JSON_C_TO_STRING_SPACED |
							     JSON_C_TO_STRING_NOSLASHESCAPE), stdout);
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

/* -- doctor ------------------------------------------------------------------- */

static void check(bool good, const char *text, const char *cure)
{
	struct json_object *obj;

	if (!good)
		fail(FAILED);
	if (opts & OPT_JSON) {
		obj = json_object_new_object();
		json_object_object_add(obj, "ok", json_object_new_boolean(good));
		json_object_object_add(obj, "text", json_text(text));
		json_object_object_add(obj, "cure", good ? NULL : json_text(cure));
		print_json(obj);
		return;
	}
	printf("%s%-4s%s %s\n", colour(good ? "ok" : "bad"), good ? "ok" : "NOT", colour(""), text);
	if (!good && cure[0])
		printf("       %s\n", cure);
}

/* The first line that a program says */
static char *ask(const char *command, char *buf, size_t size)
{
	FILE *f = popen(command, "re");

	buf[0] = '\0';
	if (f) {
		if (fgets(buf, size, f))
			buf[strcspn(buf, "\n")] = '\0';
		while (fgetc(f) != EOF)
			;
		pclose(f);
	}
	clean_text(buf, size, buf);
	return buf;
}

static void check_driver(void)
{
	char text[TEXT_LEN], line[4 * TEXT_LEN], place[TEXT_LEN];
	struct utsname uts;

	uname(&uts);
	if (!exists(at(PCIBACK))) {
		check(false, "the driver xen-pciback is not loaded", "modprobe xen-pciback");
		return;
	}
	read_line(at("/sys/module/xen_pciback/version"), text, sizeof(text));
	ask("modinfo -n xen-pciback 2>/dev/null", place, sizeof(place));
	snprintf(line, sizeof(line), "pciback %s thorough resets%s%s, Linux %s, %s",
		 thorough() ? "with" : "WITHOUT", text[0] ? ", version " : "", text, uts.release,
		 place[0] ? place : "built in or of an unknown place");
	check(thorough(), line, "install xen-pciback-reset-dkms, and reboot");
	if (!thorough())
		return;
	parameter("strict_reset", text, sizeof(text));
	snprintf(line, sizeof(line), "strict_reset is %s: a function that needs a reset is %s",
		 text, text[0] == 'Y' ? "refused to guests" : "handed out with a warning");
	check(text[0] == 'Y', line, "echo Y >/sys/module/xen_pciback/parameters/strict_reset; for each boot: xen-pciback.strict_reset=1");
	parameter("auto_reset", text, sizeof(text));
	snprintf(line, sizeof(line), "auto_reset is %s", text);
	check(text[0] == 'Y', line, "echo Y >/sys/module/xen_pciback/parameters/auto_reset");
}

static void check_setup(const char *name, void *arg)
{
	char text[65536], line[2 * TEXT_LEN], cure[TEXT_LEN], *word, *save = NULL;
	struct want want;
	struct fn *f;

	(void)arg;
	read_file(at(SETUPS "/%s", name), text, sizeof(text));
	for (word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		f = parse_want(word, &want) ? find(want.bdf) : NULL;
		if (*word == '-' || (f && f->owned))
			continue;
		snprintf(line, sizeof(line), "set-up %.60s: %.60s is not pciback's", name, word);
		snprintf(cure, sizeof(cure), "pciback-reset adopt %.60s", name);
		check(false, line, cure);
	}
}

void command_doctor(char **argv)
{
	static const char unit[] = "/etc/systemd/system/multi-user.target.wants/pciback-reset.service";
	char text[TEXT_LEN], line[4 * TEXT_LEN];
	int i;

	(void)argv;
	read_line(at("/proc/xen/capabilities"), text, sizeof(text));
	check(strstr(text, "control_d"), "this is a control domain of Xen (dom0)",
	      "boot Xen; in a driver domain this is no fault");
	if (use_xl()) {
		ask("xl info 2>/dev/null | sed -n 's/^virt_caps *: *//p'", text, sizeof(text));
		snprintf(line, sizeof(line), "Xen uses an IOMMU (%s)", text);
		check(strstr(text, "directio"), line,
		      "turn VT-d or AMD-Vi on in the firmware, and boot Xen with iommu=1");
	} else {
		check(false, "xl and xenstored are there", "start Xen's services (xencommons)");
	}
	check_driver();
	scan();
	scan_guests();
	for (i = 0; i < n_all; i++) {
		struct plan *plan = plan_of(&all[i]);
		bool good = strcmp(plan->method, "none") && strcmp(plan->method, "pm") &&
			(all[i].domid >= 0 || strcmp(plan->method, "blocked"));
		char name[TEXT_LEN];

		if (!all[i].owned || !thorough())
			continue;
		snprintf(line, sizeof(line), "%s %s: %s%s%s", all[i].bdf,
			 name_of(&all[i], name, sizeof(name)), said(plan, text, sizeof(text)),
			 all[i].domid >= 0 ? ", with " : "",
			 all[i].domid >= 0 ? guest_name(all[i].domid) : "");
		snprintf(text, sizeof(text), "pciback-reset plan %s", all[i].bdf);
		check(good, line, text);
	}
	for_each(at(SETUPS), check_setup, NULL);
	read_file(at("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
		  text, sizeof(text));
	check(text[0] != 6 || text[4] != 1 || thorough(),
	      text[0] == 6 && text[4] == 1 ? "Secure Boot is on" : "Secure Boot is off",
	      "the kernel loads signed modules only: mokutil --import /var/lib/dkms/mok.pub");
	check(exists(at(unit)) || readlink(at(unit), text, sizeof(text)) > 0,
	      "pciback-reset.service runs at boot", "systemctl enable pciback-reset.service");
}

/* -- report ------------------------------------------------------------------- */

void command_report(char **argv)
{
	struct json_object *obj = json_object_new_object(), *list = json_object_new_array(), *fn;
	char text[TEXT_LEN], version[TEXT_LEN];
	struct utsname uts;
	int i, vendor, device;

	(void)argv;
	uname(&uts);
	read_line(at("/sys/hypervisor/version/major"), text, sizeof(text));
	read_line(at("/sys/hypervisor/version/minor"), version, sizeof(version));
	strncat(text, ".", sizeof(text) - strlen(text) - 1);
	strncat(text, version, sizeof(text) - strlen(text) - 1);
	json_object_object_add(obj, "kernel", json_text(uts.release));
	json_object_object_add(obj, "xen", json_text(text));
	json_object_object_add(obj, "thorough", json_object_new_boolean(thorough()));
	scan();
	scan_guests();
	for (i = 0; i < n_all; i++) {
		struct fn *f = &all[i];

		fn = json_object_new_object();
		ids_of(f, &vendor, &device);
		json_object_object_add(fn, "bdf", json_text(f->bdf));
		snprintf(text, sizeof(text), "%06x", class_of(f));
		json_object_object_add(fn, "class", json_text(text));
		snprintf(text, sizeof(text), "%04x:%04x", vendor, device);
		json_object_object_add(fn, "id", json_text(text));
		json_object_object_add(fn, "path", json_text(slot_path(f, text, sizeof(text))));
		json_object_object_add(fn, "driver", json_text(f->driver));
		json_object_object_add(fn, "kernel_methods",
				       json_text(attr(f, "reset_method", text, sizeof(text))));
		json_object_object_add(fn, "method", f->bridge ? NULL : json_text(method_of(f)));
		json_object_object_add(fn, "plan", json_text(plan_of(f)->text));
		json_object_object_add(fn, "last_reset", json_text(attr(f, "pciback/last_reset",
									text, sizeof(text))));
		json_object_array_add(list, fn);
	}
	json_object_object_add(obj, "functions", list);
	if (opts & OPT_JSON) {
		print_json(obj);
		return;
	}
	puts("To be sent by you, if you like: nothing is sent by itself, and no serial number is in it.");
	json_object_object_foreach(obj, key, val) {
		if (val != list)
			printf("%s: %s\n", key, json_object_get_string(val));
	}
	for (i = 0; i < n_all; i++) {
		fn = json_object_array_get_idx(list, i);
		json_object_object_foreach(fn, name, value) {
			(void)name;
			printf("%s%s", value ? json_object_get_string(value) : "-",
			       strcmp(name, "last_reset") ? "\t" : "\n");
		}
	}
}

/* -- monitor ------------------------------------------------------------------ */

/* What was last seen of a function */
struct seen {
	char bdf[BDF_LEN], last[TEXT_LEN];
	bool owned;
	int domid;
	enum handout handout;
};

static void print_event(const char *bdf, const char *event, const char *text)
{
	struct json_object *obj;
	char now[32];
	time_t t = time(NULL);

	strftime(now, sizeof(now), "%FT%T%z", localtime(&t));
	if (opts & OPT_JSON) {
		obj = json_object_new_object();
		json_object_object_add(obj, "time", json_text(now));
		json_object_object_add(obj, "bdf", json_text(bdf));
		json_object_object_add(obj, "event", json_text(event));
		json_object_object_add(obj, "text", json_text(text));
		print_json(obj);
		return;
	}
	printf("%s  %s  %-10s %s\n", now, bdf, event, text);
	fflush(stdout);
}

static void compare(const struct seen *old, const struct fn *f, const char *last, bool notified)
{
	if (old->owned != f->owned)
		print_event(f->bdf, f->owned ? "adopted" : "released", f->driver);
	if (f->owned && (notified || strcmp(old->last, last)) && strcmp(last, "none"))
		print_event(f->bdf, "reset", last);
	if (f->handout == REFUSED && old->handout != REFUSED)
		print_event(f->bdf, "refused", "");
	else if (f->handout == HANDED_OUT && (old->handout != HANDED_OUT || old->domid != f->domid))
		print_event(f->bdf, "handed out", guest_name(f->domid));
	else if (f->handout == NOT_LISTED && old->handout != NOT_LISTED)
		print_event(f->bdf, "given back", "");
}

/* A driver that notifies is heard at once; whatever else happens is looked for each second */
void command_monitor(char **argv)
{
	struct seen *seen = NULL, *now;
	struct pollfd *fds = NULL;
	int i, j, n_seen = 0;
	char text[16];

	(void)argv;
	need_pciback();
	for (;;) {
		struct pollfd *ready = fds;

		scan();
		scan_store();
		now = calloc(n_all + 1, sizeof(*now));
		fds = calloc(n_all + 1, sizeof(*fds));
		for (i = 0; i < n_all; i++) {
			struct fn *f = &all[i];

			strcpy(now[i].bdf, f->bdf);
			attr(f, "pciback/last_reset", now[i].last, sizeof(now[i].last));
			now[i].owned = f->owned;
			now[i].domid = f->domid;
			now[i].handout = f->handout;
			for (j = 0; j < n_seen && strcmp(seen[j].bdf, f->bdf); j++)
				;
			if (j < n_seen)
				compare(&seen[j], f, now[i].last, ready[j].revents & POLLPRI);
			fds[i].fd = open(at(PCI "/devices/%s/pciback/last_reset", f->bdf),
					 O_RDONLY | O_CLOEXEC);
			fds[i].events = POLLPRI;
			if (fds[i].fd >= 0 && read(fds[i].fd, text, sizeof(text)) < 0)
				fds[i].events = 0;
		}
		free(seen);
		free(ready);
		seen = now;
		n_seen = n_all;
		poll(fds, n_all, 1000);
		for (i = 0; i < n_seen; i++)
			if (fds[i].fd >= 0)
				close(fds[i].fd);
	}
}
