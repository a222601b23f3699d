// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: doctor, report and monitor
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "pciback-reset.h"

#define kernel() read_line(at("/proc/sys/kernel/osrelease"))

static void check(bool good, const char *text, const char *cure)
{
	struct json_object *obj = json(NULL, "text", text, "cure", good ? NULL : cure, NULL);

	json_object_object_add(obj, "ok", json_object_new_boolean(good));
	print(obj, format("%s%-4s%s %s%s%s", colour(good ? "ok" : "bad"), good ? "ok" : "NOT",
			  colour(""), text, good ? "" : "\n       ", good ? "" : cure));
	if (!good)
		fail(FAILED);
}

/* The first line that a program says */
static char *ask(const char *command)
{
	char text[TEXT_LEN] = "";
	FILE *f = popen(command, "re");

	if (f && fgets(text, sizeof(text), f))
		text[strcspn(text, "\n")] = '\0';
	if (f)
		pclose(f);
	return clean(text);
}

static void check_parameter(const char *name)
{
	const char *value = read_line(at("/sys/module/xen_pciback/parameters/%s", name));

	check(*value == 'Y', format("%s is %s", name, value[0] ? value : "missing"),
	      format("echo Y >/sys/module/xen_pciback/parameters/%s; for each boot: xen-pciback.%s=1",
		     name, name));
}

static void check_driver(void)
{
	const char *place = ask("modinfo -n xen-pciback 2>/dev/null");
	const char *version = read_line(at("/sys/module/xen_pciback/version"));

	if (!exists(at(PCIBACK))) {
		check(false, "the driver xen-pciback is not loaded", "modprobe xen-pciback");
		return;
	}
	check(thorough(), format("pciback %s thorough resets%s%s, Linux %s, %s",
				 thorough() ? "with" : "WITHOUT", version[0] ? ", version " : "",
				 version, kernel(),
				 place[0] ? place : "built in or of an unknown place"),
	      "install xen-pciback-reset-dkms, and reboot");
	if (!thorough())
		return;
	/* Or a function that needs a reset is handed out, with a warning in the log */
	check_parameter("strict_reset");
	check_parameter("auto_reset");
}

static void check_functions(void)
{
	scan(false);
	scan_guests();
	for_all(f) {
		const char *method = plan_of(f)->method;

		if (!f->owned || !thorough())
			continue;
		check(method[0] && strcmp(method, "none") && strcmp(method, "pm") &&
		      (f->domid >= 0 || strcmp(method, "blocked")),
		      format("%s %s: %s%s%s", f->bdf, name_of(f),
			     method[0] ? plan_text(f) : "its plan cannot be read now",
			     f->domid < 0 ? "" : ", with ",
			     f->domid < 0 ? "" : guest_name(f->domid)),
		      format("pciback-reset plan %s", f->bdf));
	}
}

static void check_setup(const char *name)
{
	char *text = read_file(at(SETUPS "/%s", name));
	struct want want;
	struct fn *f;

	for_words(word, text, " \t\n") {
		const char *why = "it is no address";

		f = parse_want(word, &want) ? locate(&want, &why) : NULL;
		if (*word != '-' && !f)
			check(false, clean(format("set-up %s: %s: %s", name, word, why)),
			      format("pciback-reset undo %s; and set it up again", name));
		else if (f && !f->owned)
			check(false, format("set-up %s: %s is not pciback's", name, f->bdf),
			      format("pciback-reset adopt %s", name));
	}
}

void command_doctor(char **argv)
{
	const char *unit =
		at("/etc/systemd/system/multi-user.target.wants/pciback-reset.service");
	static const char variable[] =
		"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
	const char *boot = read_file(at("%s", variable)), *iommu;
	bool secure = boot[0] == 6 && boot[4] == 1;

	check(strstr(read_line(at("/proc/xen/capabilities")), "control_d"),
	      "this is a control domain of Xen (dom0)",
	      "boot Xen; in a driver domain this is no fault");
	if (use_xl()) {
		iommu = ask("xl info 2>/dev/null | sed -n 's/^virt_caps *: *//p'");
		check(strstr(iommu, "directio"), format("Xen uses an IOMMU (%s)", iommu),
		      "turn VT-d or AMD-Vi on in the firmware, and boot Xen with iommu=1");
	} else {
		check(false, "xl and xenstored are there", geteuid() && !on_tree() ?
		      "run this as root" : "start Xen's services (xencommons)");
	}
	check_driver();
	check_functions();
	for_names(name, names(at(SETUPS)))
		if (valid_name(name))
			check_setup(name);
	check(!secure || thorough(), secure ? "Secure Boot is on" : "Secure Boot is off",
	      "the kernel loads signed modules only: mokutil --import /var/lib/dkms/mok.pub");
	check(exists(unit) || link_name(unit)[0], "pciback-reset.service runs at boot",
	      "systemctl enable pciback-reset.service");
}

void command_report(char **argv)
{
	struct json_object *obj, *fn, *list = json_object_new_array();
	const char *major = read_line(at("/sys/hypervisor/version/major"));
	const char *minor = read_line(at("/sys/hypervisor/version/minor"));

	obj = json(NULL, "kernel", kernel(), "xen", *major ? format("%s.%s", major, minor) : NULL,
		   "driver", thorough() ? "thorough" : exists(at(PCIBACK)) ? "stock" : NULL, NULL);
	/* No guest is looked at: none is named */
	scan(false);
	for_all(f) {
		fn = json(json_function(f), "id", ids_of(f), "path", slot_path(f),
			  "kernel_methods", attr(f, "reset_method"), NULL);
		/* Nor what this machine does with the function, on which paths */
		json_object_object_del(fn, "in_the_way");
		json_object_array_add(list, fn);
	}
	json_object_object_add(obj, "functions", list);
	if (!(opts & OPT_JSON))
		fputs("You may send this text to somebody: the command sends nothing. It has no serial numbers.\n",
		      stderr);
	print(obj, json_line(obj));
}

#define LOOK_MS		250

/* What was last seen of a function */
struct seen {
	char bdf[BDF_LEN], last[TEXT_LEN];
	bool owned;
	int domid;			/* the guest that it was handed out to, or -1 */
	int fd;				/* of its last_reset */
	enum handout handout;
};

static void print_event(const char *bdf, const char *event, const char *text)
{
	time_t t = time(NULL);
	char now[32];

	strftime(now, sizeof(now), "%FT%T%z", localtime(&t));
	print(json(NULL, "time", now, "bdf", bdf, "event", event, "text", text, NULL),
	      format("%s  %s  %-10s %s", now, bdf, event, text));
}

/*
 * Reading takes note of a notification, so nothing is read that was not notified of: or twice
 * the same result would be one.  A tree of files does not notify.
 */
static bool read_last(struct seen *seen, bool notified)
{
	char old[TEXT_LEN];
	ssize_t n;

	if (seen->fd >= 0 && !notified && !on_tree())
		return false;
	strcpy(old, seen->last);
	if (seen->fd >= 0)
		close(seen->fd);
	seen->fd = open(at(PCI "/devices/%s/pciback/last_reset", seen->bdf),
			O_RDONLY | O_CLOEXEC);
	n = seen->fd < 0 ? 0 : read(seen->fd, seen->last, sizeof(seen->last) - 1);
	seen->last[n < 0 ? 0 : n] = '\0';
	seen->last[strcspn(seen->last, "\n")] = '\0';
	clean_text(seen->last, sizeof(seen->last), seen->last);
	return notified || strcmp(old, seen->last);
}

/* What has changed since then; there may be no such function any more */
static void compare(struct seen *seen, const struct fn *f, bool notified)
{
	bool owned = f && f->owned;
	enum handout handout = f ? f->handout : NOT_LISTED;

	if (seen->owned != owned)
		print_event(seen->bdf, owned ? "adopted" : "released", f ? f->driver : "gone");
	if (read_last(seen, notified) && seen->last[0] && strcmp(seen->last, "none"))
		print_event(seen->bdf, "reset", seen->last);
	if (handout == REFUSED && seen->handout != REFUSED)
		print_event(seen->bdf, "refused", "");
	else if (handout == HANDED_OUT &&
		 (seen->handout != HANDED_OUT || seen->domid != f->domid))
		print_event(seen->bdf, "handed out", guest_name(f->domid));
	else if (handout == NOT_LISTED && seen->domid >= 0)
		print_event(seen->bdf, "given back", "");
	seen->owned = owned;
	seen->handout = handout;
	if (handout == HANDED_OUT || handout == NOT_LISTED)
		seen->domid = f ? f->domid : -1;
}

/*
 * What this is not notified of it looks for.  That is all of xenstore's: with a watch there, guests
 * seemed to have nothing any more after the second pci-attach, for a reason that was not found.
 */
void command_monitor(char **argv)
{
	static struct seen seen[4096];
	static struct pollfd fds[N_ELEMENTS(seen)];
	int i, n = 0;

	need_pciback();
	while (!ferror(stdout)) {
		forget(NULL);
		scan(false);
		scan_store();
		for_all(f) {
			for (i = 0; i < n && strcmp(seen[i].bdf, f->bdf); i++)
				;
			if (i < n || n == N_ELEMENTS(seen))
				continue;
			seen[n++] = (struct seen){ .owned = f->owned, .handout = f->handout,
				.domid = f->handout == HANDED_OUT ? f->domid : -1, .fd = -1 };
			strcpy(seen[i].bdf, f->bdf);
			read_last(&seen[i], false);
		}
		for (i = 0; i < n; i++) {
			compare(&seen[i], find(seen[i].bdf), fds[i].revents);
			fds[i] = (struct pollfd){ seen[i].fd, POLLPRI, 0 };
		}
		poll(fds, n, LOOK_MS);
	}
}
