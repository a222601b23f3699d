// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: the guests, by xenstore; and xl
 *
 * Below PCIBACK_RESET_ROOT xenstore is a folder of that name: a file for each node.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <xenstore.h>
#include "pciback-reset.h"

/* The last domain that can be one is below those that are reserved */
#define DOMID_MAX	0x7fef

static struct xs_handle *store;

bool has_program(const char *name)
{
	for_words(dir, format("%s", getenv("PATH") ?: ""), ":")
		if (!access(format("%s/%s", dir, name), X_OK))
			return true;
	return false;
}

/* An error is no answer: who cannot see the guests must not take their functions for idle */
static void need_answer(bool good)
{
	if (!good && errno && errno != ENOENT)
		die(FAILED, "xenstore gives no answer: %s", strerror(errno));
}

/*
 * Where there is no socket nobody may ever answer, and a dom0 would wait for that.  Only root may
 * ask: who may not sees what pciback says.
 */
static bool open_store(void)
{
	if (on_tree())
		return exists(at("/xenstore"));
	if (!store && (exists("/run/xenstored/socket") || exists("/var/run/xenstored/socket"))) {
		store = xs_open(XS_OPEN_SOCKETONLY);
		need_answer(store || errno == EACCES);
	}
	return store;
}

/* xl would wait for xenstored, for ever if need be */
bool use_xl(void)
{
	return open_store() && has_program("xl");
}

/* Where a node is in the fake xenstore; as for the real one a relative path is dom0's */
static char *node_file(const char *path)
{
	return at("/xenstore%s%s", *path == '/' ? "" : "/local/domain/0/", path);
}

static char *store_read(const char *path)
{
	unsigned int len;
	char *value, *out;

	if (!open_store())
		return "";
	if (!store)
		return read_line(node_file(path));
	value = xs_read(store, XBT_NULL, path, &len);
	need_answer(value);
	out = clean(value ?: "");
	free(value);
	return out;
}

/* As names() */
static char **store_names(const char *path)
{
	unsigned int i, n = 0;
	char **nodes, **list;

	if (!open_store())
		return names("");
	if (!store) {
		errno = 0;
		list = names(node_file(path));
		need_answer(*list);
		return list;
	}
	nodes = xs_directory(store, XBT_NULL, path, &n);
	need_answer(nodes);
	list = get((n + 1) * sizeof(*list));
	for (i = 0; nodes && i < n; i++)
		list[i] = format("%s", nodes[i]);
	free(nodes);
	return list;
}

/* The guest that a person knows: not the domain of its device model */
static int guest_of(int domid)
{
	unsigned int target;

	return parse_number(store_read(format("/local/domain/%d/target", domid)), DOMID_MAX,
			    &target) && target ? (int)target : domid;
}

static char *domain_name(int domid)
{
	return store_read(format("/local/domain/%d/name", domid));
}

/* "domain 3 (win11)" */
char *guest_name(int domid)
{
	char *name = domain_name(domid);

	/* Not in the middle of a character */
	if (strlen(name) > 200)
		clean_text(name, 201, name);
	return name[0] ? format("domain %d (%s)", domid, name) : format("domain %d", domid);
}

bool is_pv(int domid)
{
	return !strcmp(store_read(format("/libxl/%d/type", domid)), "pv");
}

static unsigned int node_state(const char *path)
{
	unsigned int state = 0;

	parse_number(store_read(path), 8, &state);
	return state;
}

/* A function that a backend lists */
static void scan_node(const char *backend, const char *name, unsigned int domid)
{
	unsigned int num, state, whole = node_state(format("%s/state", backend));
	char bdf[BDF_LEN];
	const char *end;
	struct fn *f;

	if (strncmp(name, "dev-", 4) || !parse_number(name + 4, 9999, &num))
		return;
	end = parse_bdf(store_read(format("%s/%s", backend, name)), bdf);
	f = end && !*end ? find(bdf) : NULL;
	if (!f)
		return;
	state = node_state(format("%s/state-%u", backend, num));
	/* Closed, or not taken by a backend that is closing: the guest's until it is taken back */
	f->handout = state == 6 || (state == 1 && (whole == 5 || whole == 6)) ? REFUSED :
		state == 1 ? WANTED : state == 5 ? CLOSING : HANDED_OUT;
	if (f->handout != REFUSED || f->domid < 0)
		f->domid = guest_of(domid);
}

/* A backend of a guest's, backend/pci/DOMAIN/N */
static void scan_backend(unsigned int domid, const char *name)
{
	char *path = format("backend/pci/%u/%s", domid, name);
	unsigned int num;

	/*
	 * They may stay behind when the guest is gone, or until the toolstack has removed them; but
	 * a guest that lives can feign a release.
	 */
	if (!parse_number(name, 9999, &num) ||
	    ((!domain_name(domid)[0] || *store_read(format("%s/online", path)) == '0') &&
	     !exists(at("/sys/bus/xen-backend/devices/pci-%u-%u", domid, num))))
		return;
	for_names(node, store_names(path))
		scan_node(path, node, domid);
}

/* Who has what, by xenstore; and what pciback makes of it */
void scan_store(void)
{
	unsigned int domid;

	for_all(f) {
		f->domid = -1;
		f->handout = NOT_LISTED;
		f->plan = NULL;
	}
	for_names(domain, store_names("backend/pci"))
		if (parse_number(domain, DOMID_MAX, &domid))
			for_names(name, store_names(format("backend/pci/%u", domid)))
				scan_backend(domid, name);
}

/* The same, and what pciback says in its plans: where nobody answers for xenstore that is all */
void scan_guests(void)
{
	static const char assigned[] = "assigned to domain ";
	struct fn *blocker;
	unsigned int domid;
	int guest;

	scan_store();
	for_all(f) {
		struct plan *plan = plan_of(f);

		if (!plan->blocker[0] || strncmp(plan->why, assigned, strlen(assigned)) ||
		    !parse_number(plan->why + strlen(assigned), DOMID_MAX, &domid))
			continue;
		guest = guest_of(domid);
		blocker = find(plan->blocker);
		if (blocker && blocker->domid < 0)
			blocker->domid = guest;
		/* pciback knows the domain of the device model */
		if (guest == (int)domid)
			continue;
		snprintf(plan->why, sizeof(plan->why), "%s%d", assigned, guest);
		snprintf(plan->text, sizeof(plan->text), "blocked %.20s (%.60s)", plan->blocker,
			 plan->why);
	}
}

/* A domain's number, by its number or name */
int find_domain(const char *name)
{
	unsigned int domid, found = DOMID_MAX + 1;

	if (!name[strspn(name, "0123456789")]) {
		if (!parse_number(name, DOMID_MAX, &domid))
			die(USAGE, "not a domain's number: '%s'", name);
		if (!domid || !open_store() || domain_name(domid)[0])
			found = domid;
	} else {
		if (!open_store())
			die(MISSING, "xenstore does not respond, so a domain cannot be found by its name");
		for_names(domain, store_names("/local/domain"))
			if (parse_number(domain, DOMID_MAX, &domid) &&
			    !strcmp(domain_name(domid), name))
				found = domid;
	}
	if (found > DOMID_MAX)
		die(UNKNOWN, "there is no domain %s", name);
	if (!found)
		die(USAGE, "domain 0 has them already: see release");
	return guest_of(found);
}

/*
 * Run a program, with what it says on stderr, or nowhere: it is not this command's result.  Who
 * interrupts it does not interrupt this command, which has to put in order what it has begun.
 */
int run_program(bool quiet, const char *line)
{
	int result;

	if (opts & OPT_DRY_RUN) {
		print_command(line);
		return 0;
	}
	/* Not ignored, as it is here */
	signal(SIGPIPE, SIG_DFL);
	result = system(format("%s >%s 2>&1", line, quiet ? "/dev/null" : "&2"));
	signal(SIGPIPE, SIG_IGN);
	return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}
