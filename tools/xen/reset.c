// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: reset, attach and detach
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "pciback-reset.h"

/* How long a toolstack, or a guest, may take to let go of a function */
#define RELEASE_S	60
/* And the reset after that, if it is to come at all */
#define SETTLE_S	3

static int done[2];			/* a pipe: the functions of which a write has ended */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void pause_shortly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
}

/* Write a line to a file, or only say so; an errno */
int put(const char *value, const char *path)
{
	char line[TEXT_LEN];
	int fd, n, err = 0;

	if (opts & OPT_DRY_RUN) {
		print_command("echo %s >%s", value, path);
		return 0;
	}
	n = snprintf(line, sizeof(line), "%s\n", value);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if (write(fd, line, n) < 0)
		err = errno;
	close(fd);
	return err;
}

/* All must be pciback's */
void need_owned(const struct list *l)
{
	char missing[8192] = "";
	int i;

	for (i = 0; i < l->n; i++) {
		struct fn *f = l->fn[i];

		if (f->owned)
			continue;
		warn("%s is not pciback's (%s)", f->bdf, driver_or_none(f));
		if (strlen(missing) < sizeof(missing) - BDF_LEN - 1)
			sprintf(missing + strlen(missing), " %s", f->bdf);
		fail(UNKNOWN);
	}
	if (missing[0])
		warn("to give it to pciback: pciback-reset adopt%s", missing);
	if (status)
		exit(status);
}

/* None may be a guest's */
void need_idle(const struct list *l)
{
	int i;

	for (i = 0; i < l->n; i++) {
		struct fn *f = l->fn[i];

		if (f->domid < 0)
			continue;
		warn("%s is assigned to %s: pciback-reset detach %d %s", f->bdf,
		     guest_name(f->domid), f->domid, f->bdf);
		fail(BLOCKED);
	}
	if (status)
		exit(status);
}

/*
 * What belongs together: the set of each, unless it has a reset of its own.  One that has takes
 * along those of its device that have none, or they could not be reset at all.
 */
struct list take_along(const struct list *named, bool adopt)
{
	struct list l = list_new(), set;
	int i, j;

	for (i = 0; i < named->n; i++) {
		struct fn *f = named->fn[i];
		bool alone = !(opts & OPT_SET) && ((opts & OPT_ONLY) || resets_alone(f));

		set = set_of(f);
		if (alone)
			list_add(&l, f);
		for (j = 0; j < set.n; j++) {
			struct fn *m = set.fn[j];
			bool mixed = !(opts & OPT_ONLY) && !is_vf(f) && m->bus == f->bus &&
				m->slot == f->slot && (adopt || m->owned) && !resets_alone(m);

			if (m == f || (!m->bridge && (!alone || mixed)))
				list_add(&l, m);
		}
		free(set.fn);
	}
	return l;
}

/* -- reset -------------------------------------------------------------------- */

static const struct {
	int err, status;
	const char *word;
} results[] = {
	{ 0, 0, "ok" }, { EBUSY, BLOCKED, "blocked" }, { ENOTTY, NOTHING, "none" },
	{ ETIMEDOUT, BROKEN, "failed" }, { EIO, BROKEN, "failed" }, { EAGAIN, AGAIN, "locked" },
	{ EINTR, AGAIN, "locked" }, { ENODEV, UNKNOWN, "gone" }, { ENXIO, UNKNOWN, "gone" },
	{ ENOENT, UNKNOWN, "gone" }, { EPERM, DENIED, "denied" }, { EACCES, DENIED, "denied" },
	{ -1, FAILED, "failed" },
};

/* Where a request for a function is written, and what */
static const char *request(const struct fn *f, const char *file, char *path, size_t size)
{
	bool ours = thorough();

	snprintf(path, size, "%s", ours ? at(PCIBACK "/%s", file) :
		 at(PCI "/devices/%s/reset", f->bdf));
	return ours ? f->bdf : "1";
}

/* Each write in a thread of its own, if there are several: a reset takes its time */
static void *write_request(void *arg)
{
	struct fn *f = arg;
	char path[2 * TEXT_LEN];

	f->err = put(request(f, f->said, path, sizeof(path)), path);
	if (!thorough() && f->err == ENOENT)
		f->err = ENOTTY;
	return write(done[1], &f, sizeof(f)) < 0 ? arg : NULL;
}

static bool resets_with_set(struct fn *f)
{
	struct plan *plan = plan_of(f);

	/* Or it will be, when its guest is done with it */
	return !strcmp(plan->method, "slot") || !strcmp(plan->method, "bus") ||
		((opts & OPT_DRY_RUN) && !strncmp(plan->why, "assigned", 8));
}

/* One write for those that one reset covers: for each function the one that it is asked for by */
static struct list group(const struct list *l)
{
	struct list heads = list_new();
	struct fn *up;
	int i;

	for (i = 0; i < n_all; i++)
		all[i].head = NULL;
	/* A bridge's head is the first function right below it that is reset with its set */
	for (i = 0; l->n > 1 && i < l->n; i++)
		if (l->fn[i]->parent && !l->fn[i]->parent->head && resets_with_set(l->fn[i]))
			l->fn[i]->parent->head = l->fn[i];
	for (i = 0; i < l->n; i++) {
		l->fn[i]->head = l->fn[i];
		for (up = l->fn[i]->parent; up; up = up->parent)
			if (up->head)
				l->fn[i]->head = up->head;
		list_add(&heads, l->fn[i]->head);
	}
	return heads;
}

static void report_reset(struct fn *f)
{
	const struct fn *head = f->head;
	char last[TEXT_LEN];
	const char *word;
	size_t i = 0;

	while (results[i].err != head->err && results[i].err != -1)
		i++;
	word = results[i].word;
	attr(f, "pciback/last_reset", last, sizeof(last));
	if (!head->err && strlen(last) > 6 && !strcmp(last + strlen(last) - 6, "(weak)"))
		word = "weak";
	/* Where nothing was done, the last reset is another one */
	if (head->err && head->err != EBUSY && head->err != ENOTTY && head->err != EIO &&
	    head->err != ETIMEDOUT)
		snprintf(last, sizeof(last), "%s", strerror(head->err));
	else if (head->err == EBUSY && head->domid >= 0)
		snprintf(last, sizeof(last), "assigned to %s", guest_name(head->domid));
	else if (head->err == ENOTTY && !thorough())
		strcpy(last, "no reset of its own, and this driver has no other");
	print_result(f, word, "%s", last);
	if (head->err)
		fail(results[i].status);
}

static void progress(int ended, int total)
{
	if (!isatty(STDERR_FILENO) || total < 2)
		return;
	if (ended < total)
		fprintf(stderr, "\r%d of %d resets done\r", ended, total);
	else
		fprintf(stderr, "\r%30s\r", "");
}

/* Reset by writes to a file of the driver's, all sets at once; a line for each function */
static void reset_all(const struct list *l, const char *file)
{
	struct list heads = group(l);
	char path[2 * TEXT_LEN];
	pthread_t thread;
	struct fn *f;
	int i, ended;

	for (i = 0; (opts & OPT_DRY_RUN) && i < heads.n; i++)
		put(request(heads.fn[i], file, path, sizeof(path)), path);
	if ((opts & OPT_DRY_RUN) || pipe2(done, O_CLOEXEC))
		return;
	for (i = 0; i < heads.n; i++) {
		strcpy(heads.fn[i]->said, file);
		if (heads.n == 1 || pthread_create(&thread, NULL, write_request, heads.fn[i]))
			write_request(heads.fn[i]);
		else
			pthread_detach(thread);
	}
	for (ended = 0; ended < heads.n; ended++) {
		progress(ended, heads.n);
		if (read(done[0], &f, sizeof(f)) != sizeof(f))
			die(FAILED, "lost count of the resets");
		if (f->err == EBUSY)
			scan_guests();
		for (i = 0; i < l->n; i++)
			if (l->fn[i]->head == f)
				report_reset(l->fn[i]);
	}
	progress(ended, ended);
	close(done[0]);
	close(done[1]);
	free(heads.fn);
}

/* As far as pciback knows; of a stock driver's functions nothing is known */
static bool needs_reset(const struct fn *f)
{
	char text[16];

	return *attr(f, "pciback/needs_reset", text, sizeof(text)) != '0';
}

/* Those that need a reset; each other has a line, unless nobody asked for it */
static struct list drop_clean(const struct list *l, bool silent)
{
	struct list needy = list_new();
	char text[TEXT_LEN];
	int i;

	for (i = 0; i < l->n; i++) {
		if (needs_reset(l->fn[i]))
			list_add(&needy, l->fn[i]);
		else if (!silent)
			print_result(l->fn[i], "clean", "%s",
				     attr(l->fn[i], "pciback/last_reset", text, sizeof(text)));
	}
	return needy;
}

/* A release is followed by a reset, of which nobody is told: wait for that, not for long */
static void settle(const struct list *l)
{
	double end = now() + SETTLE_S;
	bool dirty = true;
	char text[16];
	int i;

	if ((opts & OPT_DRY_RUN) || *parameter("auto_reset", text, sizeof(text)) != 'Y')
		return;
	while (dirty && now() < end) {
		dirty = false;
		for (i = 0; i < l->n; i++)
			dirty |= needs_reset(l->fn[i]);
		if (dirty)
			pause_shortly();
	}
}

/* Wait until no guest has any of them; one time for all */
static bool released(const struct list *l)
{
	double end = now() + RELEASE_S;
	bool theirs;
	int i;

	do {
		scan_guests();
		theirs = false;
		for (i = 0; i < l->n; i++)
			theirs |= l->fn[i]->domid >= 0;
		if (theirs)
			pause_shortly();
	} while (theirs && now() < end);
	return !theirs;
}

void command_reset(char **argv)
{
	const char *file = opts & (OPT_IF_NEEDED | OPT_WEAK) ? "do_flr" : "reset_device";
	struct list l;

	need_root();
	l = need_functions(argv, true);
	need_owned(&l);
	/* pciback refuses reset_device for a guest's function, and knows best: no plans for one */
	if (l.n == 1 && !(opts & (OPT_WAIT | OPT_IF_NEEDED | OPT_WEAK)) && thorough())
		scan_store();
	else if (!(opts & OPT_WAIT) || released(&l))
		scan_guests();
	need_idle(&l);
	if (!thorough())
		say_stock();
	if (opts & OPT_IF_NEEDED) {
		settle(&l);
		l = drop_clean(&l, false);
	}
	if (l.n)
		reset_all(&l, file);
}

/* -- attach, detach ----------------------------------------------------------- */

/* Those that need it, and all of which no account is kept */
static void reset_for_owner(const struct list *l, bool silent)
{
	struct list needy = drop_clean(l, silent || (opts & OPT_DRY_RUN));

	if (needy.n)
		reset_all(&needy, "do_flr");
	free(needy.fn);
}

/*
 * What xl does not say: pciback hands out later than xl returns, or not at all.  A stock driver
 * says nothing of what it gives to a device model, and waits for a frontend that never comes.
 */
static bool handed_out(struct fn *f, int domid)
{
	double end = now() + RELEASE_S;

	for (;;) {
		scan_guests();
		if (f->handout == HANDED_OUT || f->handout == NOT_LISTED)
			return true;
		if (f->handout == REFUSED || now() > end)
			return false;
		if (!thorough() && !is_pv(domid))
			return true;
		pause_shortly();
	}
}

static int xl(const char *verb, int domid, const char *bdf)
{
	char number[16];
	const char *argv[] = { "xl", verb, number, bdf, NULL, NULL };

	snprintf(number, sizeof(number), "%d", domid);
	if ((opts & OPT_FORCE) && !strcmp(verb, "pci-detach")) {
		argv[2] = "-f";
		argv[3] = number;
		argv[4] = bdf;
	}
	return run(argv);
}

/* Detach them from the guest, and reset them */
static void take_back(const struct list *l, int domid)
{
	struct list one = { NULL, 1 };
	int i;

	for (i = 0; i < l->n; i++) {
		int rc = xl("pci-detach", domid, l->fn[i]->bdf);

		if (opts & OPT_DRY_RUN)
			continue;
		one.fn = &l->fn[i];
		if (rc)
			scan_guests();
		if (rc ? l->fn[i]->domid < 0 : released(&one)) {
			if (rc)
				warn("domain %d no longer has %s, although xl failed", domid,
				     l->fn[i]->bdf);
			continue;
		}
		print_result(l->fn[i], "failed", "still with %s%s", guest_name(domid),
			     opts & OPT_FORCE ? ", by force" : "");
		fail(FAILED);
		return;
	}
	settle(l);
	reset_for_owner(l, false);
}

static struct list need_guest(char **argv, int *domid)
{
	struct list l;

	need_root();
	l = need_functions(argv + 1, false);
	*domid = find_domain(argv[0]);
	if (!has_program("xl"))
		die(MISSING, "there is no xl: a toolstack gives functions to guests, not this");
	scan_guests();
	return l;
}

void command_attach(char **argv)
{
	struct list l, attached;
	int i, domid;

	l = need_guest(argv, &domid);
	l = take_along(&l, false);
	need_owned(&l);
	need_idle(&l);
	if (!thorough())
		say_stock();
	reset_for_owner(&l, true);
	if (status)
		die(status, "nothing was attached");

	attached = list_new();
	for (i = 0; i < l.n && !status; i++) {
		bool given = !xl("pci-attach", domid, l.fn[i]->bdf);

		if (given)
			list_add(&attached, l.fn[i]);
		if (given && ((opts & OPT_DRY_RUN) || handed_out(l.fn[i], domid)))
			continue;
		if (given)
			warn("pciback does not hand out %s", l.fn[i]->bdf);
		print_result(l.fn[i], "failed", "not attached");
		fail(FAILED);
	}
	/* Not before it is sure that it stays so */
	for (i = 0; i < l.n && !status && !(opts & OPT_DRY_RUN); i++)
		print_result(l.fn[i], "ok", "attached to %s", guest_name(domid));
	if (!status)
		return;
	if (!attached.n)
		die(status, "nothing was attached");
	warn("taking back what was attached already");
	take_back(&attached, domid);
}

void command_detach(char **argv)
{
	struct list named, l, theirs;
	int i, domid;

	named = need_guest(argv, &domid);
	need_owned(&named);
	l = take_along(&named, false);
	theirs = list_new();
	for (i = 0; i < l.n; i++) {
		struct fn *f = l.fn[i];

		if (f->domid == domid) {
			list_add(&theirs, f);
		} else if (list_has(&named, f)) {
			warn("%s is not domain %d's (%s)", f->bdf, domid,
			     f->domid < 0 ? "idle" : guest_name(f->domid));
			fail(UNKNOWN);
		}
	}
	if (status)
		exit(status);
	if (!thorough())
		say_stock();
	take_back(&theirs, domid);
}
