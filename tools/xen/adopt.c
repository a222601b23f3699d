// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: adopt, release, setup and undo
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "pciback-reset.h"

/* What the drivers were of functions adopted without xl: until the next boot */
#define RECORDS		"/run/pciback-reset"

/* Why a step failed: NULL if it has not */
static const char *failed(const char *step, int err)
{
	return err ? format("%s: %s", step, strerror(err)) : NULL;
}

static int write_new(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return errno;
	fputs(text, f);
	return ferror(f) || fclose(f) ? errno : 0;
}

static const char *override(const struct fn *f, const char *driver)
{
	return failed("driver_override",
		      put(driver, at(PCI "/devices/%s/driver_override", f->bdf)));
}

static const char *record(const struct fn *f)
{
	const char *path = at(RECORDS "/%s", f->bdf), *before = attr(f, "driver_override");

	/* After half an adoption it is what was before that */
	if ((opts & OPT_DRY_RUN) || (!strcmp(before, "pciback") && exists(path)))
		return NULL;
	mkdir(at(RECORDS), 0755);
	return failed(RECORDS, write_new(path, format("%s\n%s\n", f->driver, before)));
}

/* With xl its own way, so that it knows; it puts functions in quarantine, too. */
static const char *adopt_one(struct fn *f)
{
	const char *why = NULL;
	int rc;

	if (use_xl()) {
		rc = run(false, "xl pci-assignable-add %s", f->bdf);
		if (rc)
			why = format("xl pci-assignable-add: exit status %d", rc);
		else if (!(opts & OPT_DRY_RUN))
			unlink(at(RECORDS "/%s", f->bdf));
	} else {
		why = record(f) ?: override(f, "pciback");
		if (!why && f->driver[0])
			why = failed("unbind",
				     put(f->bdf, at(PCI "/drivers/%s/unbind", f->driver)));
		why = why ?: failed("drivers_probe", put(f->bdf, at(PCI "/drivers_probe")));
	}
	if ((opts & OPT_DRY_RUN) || why)
		return why;
	scan_driver(f);
	return f->owned ? NULL : "pciback does not take it, the kernel's log says why";
}

/* Whatever way it went to pciback: by xl, by hand, by hide=, or before the last boot */
static const char *release_one(struct fn *f)
{
	char *path = at(RECORDS "/%s", f->bdf), *old = "", *rest;
	const char *why;
	bool known = false, gone, taken;

	if (strcmp(attr(f, "driver_override"), "pciback")) {
		if (use_xl() && !run(false, "xl pci-assignable-remove -r %s", f->bdf)) {
			scan_driver(f);
			/* It knows no driver of what was bound in another way */
			if (!f->driver[0]) {
				put(f->bdf, at(PCI "/drivers_probe"));
				scan_driver(f);
			}
			if (!f->owned || (opts & OPT_DRY_RUN))
				return NULL;
		}
	} else {
		known = exists(path);
		rest = read_file(path);
		old = strsep(&rest, "\n");
		rest = strsep(&rest, "\n") ?: "";
		why = override(f, strcmp(rest, "(null)") ? rest : "");
		if (why)
			return why;
		/*
		 * What a guest has had stays in Xen's quarantine, where dom0's driver cannot
		 * use it.  xl fails if no guest has had it.
		 */
		if (use_xl())
			run(true, "xl pci-assignable-remove %s", f->bdf);
	}
	/* Or pciback takes it again.  Not there if it was not asked for by name. */
	put(f->bdf, at(PCIBACK "/remove_slot"));
	scan_driver(f);
	why = f->owned ? failed("unbind", put(f->bdf, at(PCIBACK "/unbind"))) : NULL;
	if (why)
		return why;
	/* Half an adoption may have left it its driver; that may have been unloaded later */
	taken = f->driver[0] && !f->owned;
	gone = old[0] && !exists(at(PCI "/drivers/%s", old));
	if (!taken && old[0] && !gone)
		why = failed("bind", put(f->bdf, at(PCI "/drivers/%s/bind", old)));
	else if (!taken && (gone || !known))
		put(f->bdf, at(PCI "/drivers_probe"));
	if (why || (opts & OPT_DRY_RUN))
		return why;
	unlink(path);
	scan_driver(f);
	if (f->owned)
		return "pciback still has it";
	if (gone && strcmp(f->driver, old))
		warn("%s: its driver was %s, which is not there", f->bdf, old);
	return NULL;
}

/* As its set-up wants it, also if it was adopted in another way */
static void make_strict(const struct fn *f)
{
	int err;

	if (!(f->opts & OPT_STRICT) || !thorough())
		return;
	err = put("1", at(PCI "/devices/%s/pciback/strict", f->bdf));
	if (err)
		refuse(f->bdf, FAILED,
		       "%s is not made strict, and is handed out even if it needs a reset: %s",
		       f->bdf, strerror(err));
}

/* All or none of them */
static bool adopt_all(const struct list *l)
{
	struct list adopted = list_new();
	const char *why, *driver;

	for_each(f, l) {
		if (f->owned) {
			print_result(f, 0, "ok", "is pciback's already");
			continue;
		}
		driver = driver_or_none(f);
		list_add(&adopted, f);
		why = adopt_one(f);
		if (!why) {
			print_result(f, 0, "ok", format("%s -> pciback", driver));
			continue;
		}
		print_result(f, FAILED, "failed", why);
		warn("pciback did not get all of them: the others go back to their drivers");
		/* The last one may have one foot in */
		while (adopted.n--) {
			struct fn *m = adopted.fn[adopted.n];

			why = release_one(m);
			if (why)
				refuse(m->bdf, FAILED, "%s was not given back: %s", m->bdf, why);
			else if (m != f)
				print_result(m, 0, "undone",
					     format("pciback -> %s", driver_or_none(m)));
		}
		return false;
	}
	for_each(f, l)
		make_strict(f);
	return true;
}

static bool same_device(const struct fn *f, const struct list *named)
{
	for_each(m, named)
		if (!strncmp(m->bdf, f->bdf, strlen(f->bdf) - 1))
			return true;
	return false;
}

/* What must not be taken, with the reason.  Nothing was touched yet. */
static bool refused(const struct list *l, const struct list *named)
{
	bool never, any = false, beyond = false;
	const char *why;

	for_each(f, l) {
		unsigned int with = opts | f->opts;
		bool force = with & OPT_FORCE;

		why = f->owned ? NULL : used_for(f, &never);
		if (why && (never || !force))
			any = refuse(f->bdf, BLOCKED, "%s is not taken%s: %s", f->bdf,
				     never ? "" : " without --force", why);
		if (force)
			continue;
		if (!f->owned && !same_device(f, named))
			beyond = refuse(f->bdf, BLOCKED,
					"%s (%s) is another device, in the same set", f->bdf,
					driver_or_none(f));
		if ((with & OPT_ONLY) || !f->parent || l->n < 2 || !list_has(named, f) ||
		    f->bridge || own_method(f))
			continue;
		why = set_blocker(f);
		if (why)
			any = refuse(f->bdf, BLOCKED,
				     "%s could not be reset with its set: %s; to take it alone: --only",
				     f->bdf, why);
	}
	if (beyond)
		warn("to take these along, too: --force, or name each of them");
	return any || beyond;
}

/* On a terminal: what is taken along, and is that meant so? */
static bool agreed(const struct list *l, const struct list *named)
{
	struct list more = list_new();
	char answer[16];

	for_each(f, l)
		if (!f->owned && !list_has(named, f))
			list_add(&more, f);
	if (!more.n || (opts & (OPT_YES | OPT_DRY_RUN)) || !isatty(STDIN_FILENO))
		return true;
	fprintf(stderr, "This is taken along:\n");
	for_each(f, &more)
		fprintf(stderr, "  %s  %s (%s)\n", f->bdf, name_of(f), driver_or_none(f));
	fprintf(stderr, "Go on? [y/N] ");
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return !refuse(NULL, FAILED, "not agreed to");
	/* Much may have happened meanwhile */
	scan_guests();
	for_each(f, l)
		scan_driver(f);
	forget_uses();
	return !refused(l, named);
}

/* @what, and what belongs to it, in @l; @named is all that somebody has thought of */
static bool adopt(const struct list *what, const struct list *named, struct list *l)
{
	*l = take_along(what, true);
	return !refused(l, named) && agreed(l, named) && adopt_all(l);
}

/* Functions may be given to guests by a driver that cannot clean them: who wants that? */
static void need_thorough(void)
{
	const char *required = setting("REQUIRE_THOROUGH");

	warn_if_stock();
	/* Whatever is misspelled, of the name or of a "yes", is no "no" */
	if (!thorough() && strcmp(required, "no"))
		die(MISSING, "nothing is adopted, as REQUIRE_THOROUGH is '%s' and not 'no' (" CONFIG
		    "), and strict_reset does nothing with this driver: install xen-pciback-reset-dkms for this kernel, and reboot",
		    required);
}

void command_adopt(char **argv)
{
	bool boot = opts & OPT_BOOT;
	struct list l, taken;

	if (boot == !!*argv)
		die(USAGE, boot ? "adopt --boot takes no functions" :
		    "which function? See pciback-reset --help");
	l = boot ? boot_functions() : need_functions(argv, false, false);
	if (l.n)
		need_thorough();
	scan_guests();
	if (!boot) {
		adopt(&l, &l, &taken);
		return;
	}
	/* At boot each for itself: a card that is missing keeps none of the others */
	opts |= OPT_YES;
	for_each(f, &l) {
		if (f->owned)
			make_strict(f);
		else
			adopt(&(struct list){ &f, 1 }, &l, &taken);
	}
}

static void release(const struct list *l)
{
	const char *why;

	scan_guests();
	need_idle(l);
	for_each(f, l) {
		/* Without the driver, or after half an adoption: no other driver takes it */
		if (!f->owned && strcmp(attr(f, "driver_override"), "pciback"))
			continue;
		why = release_one(f);
		print_result(f, why ? FAILED : 0, why ? "failed" : "ok",
			     why ?: format("pciback -> %s", driver_or_none(f)));
	}
}

void command_release(char **argv)
{
	struct list l;

	need_pciback();
	l = need_functions(argv, false, true);
	need_owned(&l);
	l = take_along(&l, false);
	release(&l);
}

/* Once: adopt, now and at each boot, by a name */
void command_setup(char **argv)
{
	const char *name = argv[0], *text = "", *config = "";
	const char *path = at(SETUPS "/%s", name), *draft = format("%s~", path);
	struct list named, l;
	int err;

	if (!valid_name(name))
		die(USAGE, "not a name: '%s'", name);
	if (exists(path))
		die(USAGE, "%s is set up already: pciback-reset undo %s", name, name);
	named = need_functions(argv + 1, false, false);
	scan_guests();
	need_thorough();
	for_each(f, &named)
		f->opts |= OPT_STRICT;
	l = take_along(&named, true);
	for_each(f, &l) {
		const char *line = format("=%s@%s\n", ids_of(f), slot_path(f));

		for_names(other, names(at(SETUPS)))
			if (valid_name(other) && strstr(read_file(at(SETUPS "/%s", other)), line))
				die(USAGE, "%s is set up already: pciback-reset undo %s", f->bdf,
				    other);
		text = format("%s%s%s", text, f->bdf, line);
		config = format("%s%s\"%s\"", config, *config ? ", " : "", f->bdf);
	}
	if (opts & OPT_DRY_RUN) {
		adopt(&named, &named, &l);
		return;
	}
	/* What cannot be written down is not begun */
	mkdir(at(SETUPS), 0755);
	err = write_new(draft, format("%s%s%s", opts & OPT_FORCE ? "--force\n" : "",
				      opts & OPT_ONLY ? "--only\n" : "", text));
	if (!err && adopt(&named, &named, &l) && rename(draft, path))
		err = errno;
	if (err)
		refuse(NULL, FAILED, SETUPS "/%s: %s", name, strerror(err));
	if (!exists(path)) {
		unlink(draft);
		rmdir(at(SETUPS));
		return;
	}
	config = format("pci = [ %s ]", config);
	print(json(NULL, "name", name, "configuration", config, NULL),
	      format("In the guest's configuration, for all of them from its start:\n"
		     "    %s\n"
		     "or, to give them to it while it runs (pciback-reset attach DOMAIN %s):\n"
		     "    passthrough = \"enabled\"", config, name));
}

void command_undo(char **argv)
{
	const char *path = at(SETUPS "/%s", argv[0]);
	struct list l;

	if (!valid_name(argv[0]) || !exists(path))
		die(UNKNOWN, "there is no set-up of the name %s", argv[0]);
	l = need_functions(argv, false, true);
	release(&l);
	if (status || (opts & OPT_DRY_RUN))
		return;
	if (unlink(path))
		die(FAILED, SETUPS "/%s: %s", argv[0], strerror(errno));
	rmdir(at(SETUPS));
}
