// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: doctor, report and monitor
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
	static const char unit[] =
		"/etc/systemd/system/multi-user.target.wants/pciback-reset.service";
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
	scan(false);
	scan_guests();
	for (i = 0; i < n_all; i++) {
		struct plan *plan = plan_of(&all[i]);
		bool good = strcmp(plan->method, "none") && strcmp(plan->method, "pm") &&
			(all[i].domid >= 0 || strcmp(plan->method, "blocked"));
		char name[TEXT_LEN];

		if (!all[i].owned || !thorough())
			continue;
		snprintf(line, sizeof(line), "%s %s: %s%s%s", all[i].bdf,
			 name_of(&all[i], name, sizeof(name)), plan_text(plan, text, sizeof(text)),
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
	char text[TEXT_LEN], major[16], minor[16];
	struct utsname uts;
	int i, vendor, device;

	(void)argv;
	uname(&uts);
	snprintf(text, sizeof(text), "%s.%s",
		 read_line(at("/sys/hypervisor/version/major"), major, sizeof(major)),
		 read_line(at("/sys/hypervisor/version/minor"), minor, sizeof(minor)));
	json_object_object_add(obj, "kernel", json_text(uts.release));
	json_object_object_add(obj, "xen", json_text(text));
	json_object_object_add(obj, "thorough", json_object_new_boolean(thorough()));
	scan(false);
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
	puts("You may send this text to somebody: the command sends nothing. It has no serial numbers.");
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

		scan(false);
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
