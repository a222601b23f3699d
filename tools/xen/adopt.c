// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: adopt, release, setup and undo
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pciback-reset.h"

/* What the drivers were of functions adopted without xl: until the next boot */
#define RECORDS		"/run/pciback-reset"

/* Why a step failed: what was written where, and the result */
static bool failed(char *why, const char *step, int err)
{
	if (err)
		snprintf(why, TEXT_LEN, "%.180s: %s", step, strerror(err));
	return err;
}

static int write_new(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return errno;
	fputs(text, f);
	return ferror(f) || fclose(f) ? errno : 0;
}

/* With xl its own way, so that it knows; it puts functions in quarantine, too */
static bool adopt_one(struct fn *f, char *why)
{
	const char *add[] = { "xl", "pci-assignable-add", f->bdf, NULL };
	char override[TEXT_LEN], text[2 * TEXT_LEN];
	char *path = at(PCI "/devices/%s/driver_override", f->bdf);
	int rc;

	why[0] = '\0';
	if (use_xl()) {
		rc = run(add);
		if (rc)
			snprintf(why, TEXT_LEN, "xl pci-assignable-add: exit status %d", rc);
		else if (!(opts & OPT_DRY_RUN))
			unlink(at(RECORDS "/%s", f->bdf));
	} else {
		snprintf(text, sizeof(text), "%s\n%s\n", f->driver,
			 attr(f, "driver_override", override, sizeof(override)));
		if (!(opts & OPT_DRY_RUN)) {
			mkdir(at("/run"), 0755);
			mkdir(at(RECORDS), 0755);
			if (failed(why, RECORDS, write_new(at(RECORDS "/%s", f->bdf), text)))
				return false;
		}
		if (failed(why, "driver_override", put("pciback", path)) ||
		    (f->driver[0] &&
		     failed(why, "unbind", put(f->bdf, at(PCI "/drivers/%s/unbind", f->driver)))) ||
		    failed(why, "drivers_probe", put(f->bdf, at(PCI "/drivers_probe"))))
			return false;
	}
	if ((opts & OPT_DRY_RUN) || why[0])
		return !why[0];
	scan_driver(f);
	if (!f->owned)
		snprintf(why, TEXT_LEN, "pciback does not take it, the kernel's log says why");
	return f->owned;
}

/* Whatever way it went to pciback: by xl, by hand, by hide=, or before the last boot */
static bool release_one(struct fn *f, char *why)
{
	const char *remove[] = { "xl", "pci-assignable-remove", "-r", f->bdf, NULL };
	const char *unquarantine[] = { "xl", "pci-assignable-remove", f->bdf, NULL };
	char override[TEXT_LEN], record[2 * TEXT_LEN] = "", *old = record, *line = "";
	char *path = at(RECORDS "/%s", f->bdf);
	bool known = false;

	why[0] = '\0';
	attr(f, "driver_override", override, sizeof(override));
	if (strcmp(override, "pciback")) {
		if (use_xl() && !run(remove)) {
			scan_driver(f);
			if (!f->owned || (opts & OPT_DRY_RUN))
				return true;
		}
	} else {
		known = exists(path);
		read_file(path, record, sizeof(record));
		if (strchr(record, '\n')) {
			line = strchr(record, '\n');
			*line++ = '\0';
			line[strcspn(line, "\n")] = '\0';
		}
		if (!strcmp(line, "(null)"))
			line = "";
		if (failed(why, "driver_override", put(line, at(PCI "/devices/%s/driver_override",
								f->bdf))))
			return false;
		/*
		 * What a guest has had stays in Xen's quarantine, where dom0's driver cannot
		 * use it.  xl fails if no guest has had it.
		 */
		if (use_xl())
			run_quietly(unquarantine);
	}
	/* Or pciback takes it again.  Not there if it was not asked for by name. */
	put(f->bdf, at(PCIBACK "/remove_slot"));
	scan_driver(f);
	if (f->owned && failed(why, "unbind", put(f->bdf, at(PCIBACK "/unbind"))))
		return false;
	if (old[0] && exists(at(PCI "/drivers/%s", old))) {
		if (failed(why, "bind", put(f->bdf, at(PCI "/drivers/%s/bind", old))))
			return false;
	} else if (!known) {
		put(f->bdf, at(PCI "/drivers_probe"));
	}
	if (opts & OPT_DRY_RUN)
		return true;
	unlink(path);
	scan_driver(f);
	if (f->owned)
		snprintf(why, TEXT_LEN, "pciback still has it");
	return !f->owned;
}

/* All or none of them */
static bool adopt_all(const struct list *l)
{
	char why[TEXT_LEN], driver[64];
	struct list adopted = list_new();
	int i;

	for (i = 0; i < l->n; i++) {
		struct fn *f = l->fn[i];

		if (f->owned) {
			if (!(opts & OPT_DRY_RUN))
				print_result(f, "ok", "is pciback's already");
			continue;
		}
		strcpy(driver, driver_or_none(f));
		list_add(&adopted, f);
		if (adopt_one(f, why)) {
			if (!(opts & OPT_DRY_RUN))
				print_result(f, "ok", "%s -> pciback", driver);
			continue;
		}
		print_result(f, "failed", "%s", why);
		fail(FAILED);
		warn("pciback did not get all of them: the others go back to their drivers");
		/* The last one may have one foot in */
		for (i = adopted.n - 1; i >= 0; i--) {
			f = adopted.fn[i];
			if (!release_one(f, why))
				warn("%s was not given back: %s", f->bdf, why);
			else if (i < adopted.n - 1)
				print_result(f, "undone", "pciback -> %s", driver_or_none(f));
		}
		free(adopted.fn);
		return false;
	}
	free(adopted.fn);
	for (i = 0; i < l->n; i++)
		if (l->fn[i]->strict && thorough())
			put("1", at(PCI "/devices/%s/pciback/strict", l->fn[i]->bdf));
	return true;
}

static bool same_device(const struct fn *f, const struct list *named)
{
	int i;

	for (i = 0; i < named->n; i++)
		if (named->fn[i] == f ||
		    (named->fn[i]->parent == f->parent && named->fn[i]->domain == f->domain &&
		     named->fn[i]->bus == f->bus && named->fn[i]->slot == f->slot))
			return true;
	return false;
}

/* What must not be taken, with the reason.  Nothing was touched yet. */
static bool refused(const struct list *l, const struct list *named)
{
	const char *why;
	bool never, any = false, beyond = false;
	int i;

	for (i = 0; i < l->n; i++) {
		struct fn *f = l->fn[i];
		bool force = (opts & OPT_FORCE) || f->force;

		why = f->owned ? NULL : used_for(f, &never);
		if (why && (never || !force)) {
			warn("%s is not taken%s: %s", f->bdf, never ? "" : " without --force", why);
			any = true;
		}
		if (!f->owned && f->domain > 0xffff) {
			warn("%s is not taken: its domain, behind a VMD controller, is beyond what Xen can name; turn VMD off in the firmware",
			     f->bdf);
			any = true;
		}
		if (!force && !f->owned && !same_device(f, named)) {
			warn("%s (%s) is another device, in the same set", f->bdf,
			     driver_or_none(f));
			beyond = true;
		}
		if (force || (opts & OPT_ONLY) || !list_has(named, f) || f->bridge ||
		    resets_alone(f))
			continue;
		why = set_blocker(f);
		if (why && f->parent && l->n > 1) {
			warn("%s could not be reset with its set: %s; to take it alone: --only",
			     f->bdf, why);
			any = true;
		}
	}
	if (beyond)
		warn("to take these along, too: --force, or name each of them");
	if (any || beyond)
		fail(BLOCKED);
	return any || beyond;
}

/* On a terminal: what is taken along, and is that meant so? */
static bool agreed(const struct list *l, const struct list *named)
{
	char name[TEXT_LEN], answer[16];
	int i, n = 0;

	if ((opts & (OPT_YES | OPT_DRY_RUN)) || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	for (i = 0; i < l->n; i++) {
		if (l->fn[i]->owned || list_has(named, l->fn[i]))
			continue;
		if (!n++)
			fprintf(stderr, "This is taken along:\n");
		fprintf(stderr, "  %s  %s (%s)\n", l->fn[i]->bdf,
			name_of(l->fn[i], name, sizeof(name)), driver_or_none(l->fn[i]));
	}
	if (!n)
		return true;
	fprintf(stderr, "Go on? [y/N] ");
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	fail(FAILED);
	return false;
}

/* @what, and what belongs to it, in @l; @named is all that somebody has thought of */
static bool adopt(const struct list *what, const struct list *named, struct list *l)
{
	int i;

	*l = take_along(what, true);
	for (i = 0; i < l->n; i++)
		l->fn[i]->strict |= what->fn[0]->strict;
	return !refused(l, named) && agreed(l, named) && adopt_all(l);
}

/* Functions may be given to guests by a driver that cannot clean them: who wants that? */
static void need_thorough(void)
{
	char text[TEXT_LEN];

	if (thorough())
		return;
	say_stock();
	if (setting("REQUIRE_THOROUGH", text, sizeof(text)) && !strcmp(text, "yes"))
		die(MISSING, "nothing is adopted, as REQUIRE_THOROUGH is yes (" CONFIG "), and strict_reset does nothing with this driver: install xen-pciback-reset-dkms for this kernel, and reboot");
}

void command_adopt(char **argv)
{
	struct list l, taken;
	int i;

	need_root();
	if (!(opts & OPT_BOOT)) {
		if (!*argv)
			die(USAGE, "which function? See pciback-reset --help");
		l = need_functions(argv, false);
		need_thorough();
		adopt(&l, &l, &taken);
		return;
	}
	/* At boot each for itself: a card that is missing keeps none of the others */
	if (*argv)
		die(USAGE, "adopt --boot takes no functions");
	l = boot_functions();
	if (l.n)
		need_thorough();
	opts |= OPT_YES;
	for (i = 0; i < l.n; i++) {
		struct list one = { &l.fn[i], 1 };

		if (!l.fn[i]->owned)
			adopt(&one, &l, &taken);
	}
}

static void release(const struct list *l)
{
	char why[TEXT_LEN];
	int i;

	need_idle(l);
	for (i = 0; i < l->n; i++) {
		if (!l->fn[i]->owned)
			continue;
		if (!release_one(l->fn[i], why)) {
			print_result(l->fn[i], "failed", "%s", why);
			fail(FAILED);
		} else if (!(opts & OPT_DRY_RUN)) {
			print_result(l->fn[i], "ok", "pciback -> %s", driver_or_none(l->fn[i]));
		}
	}
}

void command_release(char **argv)
{
	struct list l;
	int i, n = 0;

	need_root();
	l = need_functions(argv, false);
	need_owned(&l);
	l = take_along(&l, false);
	for (i = 0; i < l.n; i++)
		if (l.fn[i]->owned)
			l.fn[n++] = l.fn[i];
	l.n = n;
	scan_guests();
	release(&l);
}

/* -- setup, undo -------------------------------------------------------------- */

/* Once: adopt, now and at each boot, by a name */
void command_setup(char **argv)
{
	const char *name = argv[0];
	char text[65536] = "", path[TEXT_LEN], config[8192] = "";
	int i, vendor, device, err;
	struct list named, l;

	if (!valid_name(name))
		die(USAGE, "not a name: '%s'", name);
	need_root();
	if (exists(at(SETUPS "/%s", name)))
		die(USAGE, "%s is set up already: pciback-reset undo %s", name, name);
	named = need_functions(argv + 1, false);
	need_thorough();
	named.fn[0]->strict = true;
	if (!adopt(&named, &named, &l))
		return;
	if (opts & OPT_FORCE)
		strcpy(text, "--force\n");
	for (i = 0; i < l.n && strlen(text) < sizeof(text) - 2 * TEXT_LEN &&
	     strlen(config) < sizeof(config) - 2 * BDF_LEN; i++) {
		ids_of(l.fn[i], &vendor, &device);
		sprintf(text + strlen(text), "%s=%04x:%04x@%s\n", l.fn[i]->bdf, vendor, device,
			slot_path(l.fn[i], path, sizeof(path)));
		sprintf(config + strlen(config), "%s\"%s\"", i ? ", " : "", l.fn[i]->bdf);
	}
	if (opts & OPT_DRY_RUN)
		return;
	mkdir(at("/etc"), 0755);
	mkdir(at(SETUPS), 0755);
	err = write_new(at(SETUPS "/%s", name), text);
	if (err)
		die(FAILED, SETUPS "/%s: %s", name, strerror(err));
	if (opts & OPT_JSON)
		return;
	printf("In the guest's configuration, for all of them from its start:\n"
	       "    pci = [ %s ]\n"
	       "or, to give them to it while it runs (pciback-reset attach DOMAIN %s):\n"
	       "    passthrough = \"enabled\"\n", config, name);
}

void command_undo(char **argv)
{
	struct list l;

	need_root();
	if (!valid_name(argv[0]) || !exists(at(SETUPS "/%s", argv[0])))
		die(UNKNOWN, "there is no set-up of the name %s", argv[0]);
	l = need_functions(argv, false);
	scan_guests();
	release(&l);
	if (!status && !(opts & OPT_DRY_RUN)) {
		unlink(at(SETUPS "/%s", argv[0]));
		rmdir(at(SETUPS));
	}
}
