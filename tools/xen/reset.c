// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: reset, attach and detach
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "pciback-reset.h"

/* How long a toolstack, or a guest, may take to let go of a function */
#define RELEASE_S	60
/* And the reset after that, if it is to come at all */
#define SETTLE_S	3
/* Of a thread that makes one write */
#define STACK_SIZE	(128 << 10)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/*
 * Look again and again, for so long at most: has it become so?  In a dry run it has.  The condition
 * finds anew all that it leaves in functions.
 */
#define wait_for(seconds, condition) ({					\
	const void *before = newest();					\
	double end = now() + (seconds);					\
	bool is_so = opts & OPT_DRY_RUN;				\
									\
	while (!is_so && !(is_so = (condition)) && now() < end) {	\
		forget(before);						\
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL); \
	}								\
	is_so;								\
})

/* Write a line to a file, or only say so; an errno */
int put(const char *value, const char *path)
{
	char line[TEXT_LEN];
	int fd, err = 0;

	if (opts & OPT_DRY_RUN) {
		print_command(format("echo %s >%s", value, path));
		return 0;
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	snprintf(line, sizeof(line), "%s\n", value);
	if (write(fd, line, strlen(line)) < 0)
		err = errno;
	close(fd);
	return err;
}

void need_owned(const struct list *l)
{
	struct list missing = list_new();

	for_each(f, l) {
		if (f->owned)
			continue;
		refuse(f->bdf, UNKNOWN, "%s is not pciback's (%s)", f->bdf, driver_or_none(f));
		list_add(&missing, f);
	}
	if (missing.n)
		warn("to give it to pciback: pciback-reset adopt%s", list_text(&missing));
	if (status)
		exit(status);
}

/*
 * None may be a guest's.  A request right before a hand-out comes when the toolstack has asked for
 * that already: pciback knows whether the guest has it yet.
 */
void need_idle(const struct list *l)
{
	for_each(f, l) {
		if (f->domid < 0 ||
		    (f->handout == WANTED && (opts & OPT_WEAK) && thorough()))
			continue;
		refuse(f->bdf, BLOCKED, "%s is assigned to %s: pciback-reset detach %d %s", f->bdf,
		       guest_name(f->domid), f->domid, f->bdf);
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
	struct list l = list_new();

	for_each(f, named) {
		bool only = (opts | f->opts) & OPT_ONLY;
		bool alone = !(opts & OPT_SET) && (only || own_method(f));
		struct list set = set_of(f);

		if (alone)
			list_add(&l, f);
		for_each(m, &set) {
			bool mixed = !only && !f->pf && m->bus == f->bus &&
				m->slot == f->slot && (adopt || m->owned) && !own_method(m);

			if (m != f && (m->bridge || (alone && !mixed)))
				continue;
			m->opts |= f->opts & OPT_STRICT;
			list_add(&l, m);
		}
	}
	return l;
}

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

	for_all(f)
		f->head = NULL;
	/* A bridge's head is the first function right below it that is reset with its set */
	for_each(f, l)
		if (l->n > 1 && f->parent && !f->parent->head && resets_with_set(f))
			f->parent->head = f;
	for_each(f, l) {
		f->head = f;
		for (up = f->parent; up; up = up->parent)
			if (up->head)
				f->head = up->head;
		list_add(&heads, f->head);
	}
	return heads;
}

static bool was_weak(const struct fn *f)
{
	return strstr(attr(f, "pciback/last_reset"), "(weak)");
}

static void report_reset(struct fn *f)
{
	const struct fn *head = f->head;
	const char *last = attr(f, "pciback/last_reset"), *word;
	size_t i = 0;

	while (results[i].err != head->err && results[i].err != -1)
		i++;
	word = results[i].word;
	if (!head->err && was_weak(f))
		word = "weak";
	/* Where nothing was done, the last reset is another one */
	if (head->err == EBUSY && head->domid >= 0)
		last = format("assigned to %s", guest_name(head->domid));
	else if (head->err == ENOTTY && !thorough())
		last = "no reset of its own, and this driver has no other";
	else if (head->err && head->err != EBUSY && head->err != ENOTTY &&
		 results[i].status != BROKEN)
		last = strerror(head->err);
	print_result(f, results[i].status, word, last);
}

/* What the resets of reset_all() share; but for the writes they go one after the other */
static struct {
	pthread_mutex_t lock;
	struct list asked;
	int ended, total;
} resets = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *reset_one(void *arg)
{
	struct fn *head = arg;
	bool alone;

	head->err = put(head->request, head->path);
	pthread_mutex_lock(&resets.lock);
	if (head->err == ENOENT && !thorough())
		head->err = ENOTTY;
	if (head->err == EBUSY)
		scan_guests();
	alone = !(opts & OPT_DRY_RUN) &&
		(head->err == EBUSY || (!head->err && was_weak(head)));
	for_each(f, &resets.asked) {
		if (f->head != head)
			continue;
		/* The reset of its set was not possible any more, and has not reached it */
		if (alone && f != head) {
			f->head = f;
			pthread_mutex_unlock(&resets.lock);
			f->err = put(f->bdf, head->path);
			pthread_mutex_lock(&resets.lock);
		}
		report_reset(f);
	}
	/* On a terminal, where the next line overwrites it */
	if (++resets.ended < resets.total && !(opts & OPT_DRY_RUN) && isatty(STDERR_FILENO))
		fprintf(stderr, "%d of %d resets done\r", resets.ended, resets.total);
	pthread_mutex_unlock(&resets.lock);
	return NULL;
}

/*
 * Reset by writes to a file of the driver's; a line for each function.  A reset takes its time:
 * each write has a thread of its own, if there are several.
 */
static void reset_all(const struct list *l, const char *file)
{
	struct list heads = group(l);
	pthread_t *threads = get(heads.n * sizeof(*threads));
	bool ours = thorough();
	pthread_attr_t small;
	int n = 0;

	/* Stacks that are small are kept: to unmap one takes a while in a PV dom0 */
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_SIZE);
	resets.asked = *l;
	resets.ended = 0;
	resets.total = heads.n;
	for_each(f, &heads) {
		f->path = ours ? at(PCIBACK "/%s", file) : at(PCI "/devices/%s/reset", f->bdf);
		f->request = ours ? f->bdf : "1";
	}
	for_each(f, &heads) {
		if (heads.n == 1 || (opts & OPT_DRY_RUN) ||
		    pthread_create(&threads[n], &small, reset_one, f))
			reset_one(f);
		else
			n++;
	}
	while (n--)
		pthread_join(threads[n], NULL);
}

/* The idle ones that need a reset as far as pciback knows: all, if the driver does not say */
static struct list needy_of(const struct list *l)
{
	struct list needy = list_new();

	for_each(f, l)
		if (f->domid < 0 && *attr(f, "pciback/needs_reset") != '0')
			list_add(&needy, f);
	return needy;
}

/*
 * Reset those that need it.  If they were @released pciback does that, and nobody is told: wait
 * for it, not for long, and each that is clean then has a line; or is another guest's.
 */
static void reset_needy(const struct list *l, bool released)
{
	struct list needy;

	if (released && *read_line(at("/sys/module/xen_pciback/parameters/auto_reset")) == 'Y')
		wait_for(SETTLE_S, !needy_of(l).n);
	if (released && !(opts & OPT_DRY_RUN))
		scan_guests();
	needy = needy_of(l);
	for_each(f, l)
		if (released && f->domid >= 0)
			print_result(f, BLOCKED, "blocked",
				     format("assigned to %s", guest_name(f->domid)));
		else if (released && !list_has(&needy, f))
			print_result(f, 0, "clean", attr(f, "pciback/last_reset"));
	reset_all(&needy, "do_flr");
}

static bool all_idle(const struct list *l)
{
	scan_guests();
	for_each(f, l)
		if (f->domid >= 0)
			return false;
	return true;
}

void command_reset(char **argv)
{
	unsigned int softer = opts & (OPT_IF_NEEDED | OPT_WEAK);
	struct list l = need_functions(argv, true, false);

	need_owned(&l);
	/* pciback refuses reset_device for a guest's function, and knows best: no plans needed */
	if (!(opts & OPT_WAIT) && !softer && thorough())
		scan_store();
	else if (!(opts & OPT_WAIT) || wait_for(RELEASE_S, all_idle(&l)))
		scan_guests();
	need_idle(&l);
	warn_if_stock();
	if (opts & OPT_IF_NEEDED)
		reset_needy(&l, true);
	else
		reset_all(&l, softer ? "do_flr" : "reset_device");
}

/*
 * What xl does not say: pciback hands out later than xl returns, or not at all.  A stock driver
 * says nothing of what it gives to a device model, and waits for a frontend that never comes.
 * What is not even asked of pciback is not handed out, if xenstore can be read.
 */
static bool handed_out(const struct fn *f, int domid)
{
	if (f->handout == NOT_LISTED)
		return !use_xl();
	if (f->handout == WANTED)
		return !thorough() && !is_pv(domid);
	return f->handout == HANDED_OUT && f->domid == domid;
}

static bool answered(const struct fn *f, int domid)
{
	scan_guests();
	return f->handout == REFUSED || handed_out(f, domid);
}

/* Detach them, up to the first that fails or the @whole list, and reset those and @more */
static void take_back(const struct list *l, int domid, bool whole, struct list more)
{
	bool force = opts & OPT_FORCE;
	int rc;

	for_each(f, l) {
		rc = run(false, "xl pci-detach %s%d %s", force ? "-f " : "", domid, f->bdf);
		if (rc)
			scan_guests();
		if (!rc && wait_for(RELEASE_S, (scan_guests(), f->domid < 0))) {
			f->domid = -1;	/* in a dry run, too */
			list_add(&more, f);
		} else if (rc && f->domid < 0) {
			warn("domain %d no longer has %s, although xl failed", domid, f->bdf);
			list_add(&more, f);
		} else {
			print_result(f, FAILED, "failed",
				     format("still with %s%s", guest_name(domid),
					    force ? ", by force" : ""));
			if (!whole)
				return;
		}
	}
	reset_needy(&more, true);
}

static struct list need_guest(char **argv, int *domid)
{
	struct list l = need_functions(argv + 1, false, false);

	*domid = find_domain(argv[0]);
	if (!has_program("xl"))
		die(MISSING, "there is no xl: a toolstack gives functions to guests, not this");
	scan_guests();
	warn_if_stock();
	return l;
}

void command_attach(char **argv)
{
	int domid;
	struct list named = need_guest(argv, &domid), l = take_along(&named, false);
	struct list attached = list_new();

	need_owned(&l);
	need_idle(&l);
	if (!use_xl())
		warn("xenstore does not respond: whether pciback hands out a function is not checked");
	reset_needy(&l, false);
	for_each(f, &l) {
		if (status)
			break;
		if (!run(false, "xl pci-attach %d %s", domid, f->bdf)) {
			list_add(&attached, f);
			if ((opts & OPT_DRY_RUN) || (wait_for(RELEASE_S, answered(f, domid)) &&
						     handed_out(f, domid)))
				continue;
			warn("pciback does not hand out %s", f->bdf);
		}
		print_result(f, FAILED, "failed", "not attached");
	}
	if (status && !attached.n)
		die(status, "nothing was attached");
	if (status) {
		warn("taking back what was attached already");
		take_back(&attached, domid, true, list_new());
		return;
	}
	/* Not before it is sure that it stays so */
	for_each(f, &l)
		print_result(f, 0, "ok", format("attached to %s", guest_name(domid)));
}

void command_detach(char **argv)
{
	int domid;
	struct list named = need_guest(argv, &domid), l = take_along(&named, false);
	struct list theirs = list_new(), idle = list_new();

	need_owned(&named);
	/* What of the set is not pciback's is in use by dom0, maybe */
	for_each(f, &l)
		if ((f->domid < 0 && f->owned) || f->domid == domid)
			list_add(f->domid < 0 ? &idle : &theirs, f);
	for_each(f, &named) {
		/* Idle may be what was detached before another one failed */
		if (f->domid == domid || (f->domid < 0 && theirs.n))
			continue;
		refuse(f->bdf, UNKNOWN, "%s is not domain %d's (%s)", f->bdf, domid,
		       f->domid < 0 ? "idle" : guest_name(f->domid));
	}
	if (status)
		exit(status);
	take_back(&theirs, domid, false, idle);
}
