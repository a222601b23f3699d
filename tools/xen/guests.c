// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: the guests, by xenstore; and xl
 *
 * Below PCIBACK_RESET_ROOT xenstore is a folder of that name: a file for each node.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>
#include "pciback-reset.h"

/* The last domain that can be one is below those that are reserved */
#define DOMID_MAX	0x7fef

static struct xs_handle *store;

bool has_program(const char *name)
{
	char dirs[PATH_MAX], path[PATH_MAX], *dir, *save = NULL;

	snprintf(dirs, sizeof(dirs), "%s", getenv("PATH") ?: "");
	for (dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		snprintf(path, sizeof(path), "%.2000s/%s", dir, name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* Where there is no socket nobody may ever answer, and a dom0 would wait for that */
static bool open_store(void)
{
	static bool tried;

	if (getenv("PCIBACK_RESET_ROOT"))
		return exists(at("/xenstore"));
	if (!tried &&
	    (exists("/run/xenstored/socket") || exists("/var/run/xenstored/socket")))
		store = xs_open(0);
	tried = true;
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

char *store_read(const char *path, char *buf, size_t size)
{
	unsigned int len;
	char *value;

	buf[0] = '\0';
	if (!open_store())
		return buf;
	if (!store)
		return read_line(node_file(path), buf, size);
	value = xs_read(store, XBT_NULL, path, &len);
	clean_text(buf, size, value ?: "");
	free(value);
	return buf;
}

static void store_each(const char *path, void (*call)(const char *name, void *arg), void *arg)
{
	unsigned int i, n = 0;
	char **names;

	if (!open_store())
		return;
	if (!store) {
		for_each(node_file(path), call, arg);
		return;
	}
	names = xs_directory(store, XBT_NULL, path, &n);
	for (i = 0; names && i < n; i++)
		call(names[i], arg);
	free(names);
}

/* The guest that a person knows: not the domain of its device model */
static int guest_of(int domid)
{
	char path[64], text[TEXT_LEN];
	unsigned int target;

	snprintf(path, sizeof(path), "/local/domain/%d/target", domid);
	return parse_number(store_read(path, text, sizeof(text)), DOMID_MAX, &target) && target ?
		(int)target : domid;
}

/* "domain 3 (win11)" */
const char *guest_name(int domid)
{
	static char name[TEXT_LEN];
	char path[64], text[TEXT_LEN];

	snprintf(path, sizeof(path), "/local/domain/%d/name", domid);
	store_read(path, text, sizeof(text));
	snprintf(name, sizeof(name), text[0] ? "domain %d (%.200s)" : "domain %d", domid, text);
	return name;
}

bool is_pv(int domid)
{
	char path[64], text[TEXT_LEN];

	snprintf(path, sizeof(path), "/libxl/%d/type", domid);
	return !strcmp(store_read(path, text, sizeof(text)), "pv");
}

/* A backend, backend/pci/DOMAIN/N, with what it lists */
struct backend {
	char path[TEXT_LEN];
	unsigned int domid;
	unsigned int state;
};

static unsigned int node_state(const char *dir, const char *node)
{
	char path[2 * TEXT_LEN], text[TEXT_LEN];
	unsigned int state = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	parse_number(store_read(path, text, sizeof(text)), 8, &state);
	return state;
}

static void scan_node(const char *name, void *arg)
{
	char path[2 * TEXT_LEN], text[TEXT_LEN], bdf[BDF_LEN];
	struct backend *backend = arg;
	unsigned int num, state;
	const char *end;
	struct fn *f;

	if (strncmp(name, "dev-", 4) || !parse_number(name + 4, 9999, &num))
		return;
	snprintf(path, sizeof(path), "%s/%s", backend->path, name);
	end = parse_bdf(store_read(path, text, sizeof(text)), bdf);
	f = end && !*end ? find(bdf) : NULL;
	if (!f)
		return;
	snprintf(path, sizeof(path), "state-%u", num);
	state = node_state(backend->path, path);
	/* Closing, or not taken by a backend that is closing */
	if (state == 6 || (state == 1 && (backend->state == 5 || backend->state == 6)))
		f->handout = REFUSED;
	else
		f->handout = state == 1 ? WANTED : HANDED_OUT;
	if (f->handout != REFUSED)
		f->domid = guest_of(backend->domid);
}

static void scan_backend(const char *name, void *arg)
{
	struct backend backend = { .domid = *(unsigned int *)arg };
	unsigned int num;

	/* Nodes may stay behind when pciback is done with them */
	if (!parse_number(name, 9999, &num) ||
	    !exists(at("/sys/bus/xen-backend/devices/pci-%u-%u", backend.domid, num)))
		return;
	snprintf(backend.path, sizeof(backend.path), "backend/pci/%u/%u", backend.domid, num);
	backend.state = node_state(backend.path, "state");
	store_each(backend.path, scan_node, &backend);
}

static void scan_domain(const char *name, void *arg)
{
	char path[64];
	unsigned int domid;

	snprintf(path, sizeof(path), "backend/pci/%.20s", name);
	if (parse_number(name, DOMID_MAX, &domid))
		store_each(path, scan_backend, &domid);
}

/* Who has what, by xenstore; and what pciback makes of it */
void scan_store(void)
{
	int i;

	for (i = 0; i < n_all; i++) {
		all[i].domid = -1;
		all[i].handout = NOT_LISTED;
		all[i].has_plan = false;
	}
	store_each("backend/pci", scan_domain, NULL);
}

/* The same, and what pciback says in its plans: where nobody answers for xenstore that is all */
void scan_guests(void)
{
	static const char assigned[] = "assigned to domain ";
	unsigned int domid;
	struct fn *f;
	int i;

	scan_store();
	for (i = 0; i < n_all; i++) {
		struct plan *plan = plan_of(&all[i]);

		f = plan->blocker[0] ? find(plan->blocker) : NULL;
		if (f && f->domid < 0 && !strncmp(plan->why, assigned, strlen(assigned)) &&
		    parse_number(plan->why + strlen(assigned), DOMID_MAX, &domid))
			f->domid = guest_of(domid);
	}
}

/* Of all domains, for the one with a name */
struct search {
	const char *name;
	int domid;
};

static void look_at_domain(const char *name, void *arg)
{
	struct search *search = arg;
	char path[64], text[TEXT_LEN];
	unsigned int domid;

	if (!parse_number(name, DOMID_MAX, &domid))
		return;
	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	if (!strcmp(store_read(path, text, sizeof(text)), search->name))
		search->domid = domid;
}

/* A domain's number, by its number or name */
int find_domain(const char *name)
{
	struct search search = { name, -1 };
	char path[64], text[64];
	unsigned int domid;

	if (name[0] >= '0' && name[0] <= '9' && !name[strspn(name, "0123456789")]) {
		if (!parse_number(name, DOMID_MAX, &domid))
			die(USAGE, "not a domain's number: '%s'", name);
		if (!domid)
			die(USAGE, "domain 0 has them already: see release");
		snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
		if (!open_store() || *store_read(path, text, sizeof(text)))
			search.domid = domid;
	} else if (name[0] && !open_store()) {
		die(MISSING, "xenstore does not respond, so a domain cannot be found by its name");
	} else {
		store_each("/local/domain", look_at_domain, &search);
	}
	if (!name[0])
		die(USAGE, "which domain?");
	if (search.domid < 0)
		die(UNKNOWN, "there is no domain %s", name);
	if (!search.domid)
		die(USAGE, "domain 0 has them already: see release");
	return guest_of(search.domid);
}

/* Run a program, with what it says on stderr, or nowhere: it is not this command's result */
static int spawn(const char *const argv[], bool quiet)
{
	posix_spawn_file_actions_t actions;
	int err, result;
	pid_t pid;

	if (opts & OPT_DRY_RUN) {
		char line[PATH_MAX] = "";
		int i;

		for (i = 0; argv[i]; i++)
			snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%s",
				 i ? " " : "", argv[i]);
		print_command("%s", line);
		return 0;
	}
	posix_spawn_file_actions_init(&actions);
	if (quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err) {
		warn("%s: %s", argv[0], strerror(err));
		return -1;
	}
	while (waitpid(pid, &result, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

int run(const char *const argv[])
{
	return spawn(argv, false);
}

int run_quietly(const char *const argv[])
{
	return spawn(argv, true);
}
