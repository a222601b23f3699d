// SPDX-License-Identifier: GPL-2.0
/*
 * The toolstack of a played guest. See guest.h.
 *
 * The nodes are those that libxl writes (tools/libs/light/libxl_pci.c).
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nodes.h"

/* Error recovery does not take longer, by pciback's account (reset_function.c) */
#define RECOVERY_MS	70000

bool guest_possible(void)
{
	return !system("xen-start");
}

pid_t guest_xenwatch(void)
{
	char comm[64], name[16];
	struct dirent *entry;
	pid_t pid = 0;
	FILE *f;
	DIR *dir;

	dir = opendir("/proc");
	while (dir && !pid && (entry = readdir(dir))) {
		snprintf(comm, sizeof(comm), "/proc/%.16s/comm", entry->d_name);
		f = fopen(comm, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strcmp(name, "xenwatch\n"))
			pid = atoi(entry->d_name);
		fclose(f);
	}
	if (!pid)
		errx(1, "no xenwatch");
	closedir(dir);
	return pid;
}

int guest_watch_begin(struct guest *guest)
{
	/* Not the other one: what a child says to xenstored is answered there */
	guest->watch = xs_open(0);
	if (!guest->watch)
		return -errno;
	return xs_watch(guest->watch, guest->backend, "selftest") ? 0 : -errno;
}

unsigned int guest_watch_count(struct guest *guest, const char *node)
{
	size_t len = strlen(guest->backend);
	unsigned int count = 0;
	char **event;

	while ((event = xs_check_watch(guest->watch))) {
		/* The directory itself: what xenstored says to begin with */
		if (event[XS_WATCH_PATH][len] == '/' &&
		    (!node || !strcmp(event[XS_WATCH_PATH] + len + 1, node)))
			count++;
		free(event);
	}
	return count;
}

/* The nodes of one more function, which pciback is to hand out */
static void put_fn(const struct guest *guest, xs_transaction_t t,
		   unsigned int i, struct fn fn)
{
	nodes_put(guest, t, guest->backend, "key-%u=%s", i, fn.name);
	nodes_put(guest, t, guest->backend, "dev-%u=%s", i, fn.name);
	nodes_put(guest, t, guest->backend,
		  "opts-%u=msitranslate=0,power_mgmt=0,permissive=0", i);
	nodes_put(guest, t, guest->backend, "state-%u=%d", i,
		  STATE_INITIALISING);
	nodes_put(guest, t, guest->backend, "num_devs=%u", i + 1);
}

/* Where a function is among the guest's; -ENODEV if it is not */
static int find_fn(const struct guest *guest, struct fn fn)
{
	unsigned int nr = nodes_number(guest, guest->backend, "num_devs"), i;
	char name[sizeof(fn.name)];

	for (i = 0; i < nr; i++) {
		guest_node(guest, name, sizeof(name), "dev-%u", i);
		if (!strcmp(name, fn.name))
			return i;
	}
	return -ENODEV;
}

int guest_fn_state(const struct guest *guest, struct fn fn)
{
	int i = find_fn(guest, fn);
	char node[24];

	if (i < 0)
		return i;
	snprintf(node, sizeof(node), "state-%d", i);
	return nodes_number(guest, guest->backend, node);
}

int guest_wait_fn(const struct guest *guest, struct fn fn)
{
	long long give_up = now_ms() + guest->wait_ms;
	int state;

	while ((state = guest_fn_state(guest, fn)) != STATE_INITIALISED) {
		if (state < 0)
			return state;
		if (state == STATE_CLOSED)
			return -EIO;
		if (now_ms() > give_up)
			return -ETIMEDOUT;
		usleep(GUEST_POLL_MS * 1000);
	}
	return 0;
}

void guest_place(const struct guest *guest, struct fn fn, char *buf,
		 size_t size)
{
	int i = find_fn(guest, fn);

	*buf = '\0';
	if (i >= 0)
		guest_node(guest, buf, size, "vdev-%d", i);
}

/*
 * Its address there is what pciback writes as soon as it has it there; one that it
 * was refused has a place, too, but nothing is there.
 */
bool guest_has(const struct guest *guest, struct fn fn)
{
	char vdev[32];

	guest_place(guest, fn, vdev, sizeof(vdev));
	return *vdev && guest_fn_state(guest, fn) != STATE_CLOSED;
}

int guest_begin(struct guest *guest, unsigned int domid, const struct fn *fns,
		size_t nr)
{
	static unsigned int own;
	xs_transaction_t t;
	size_t i;

	memset(guest, 0, sizeof(*guest));
	guest->gntalloc = -1;
	guest->evtchn = -1;
	guest->domid = domid;
	guest->wait_ms = GUEST_WAIT_MS;
	/* Dom0 can be the guest of several backends, others have one */
	guest->devid = domid ? 0 : own++;
	snprintf(guest->backend, sizeof(guest->backend),
		 "/local/domain/0/backend/pci/%u/%u", domid, guest->devid);
	/* In dom0's own device/ its frontend drivers would see it */
	snprintf(guest->frontend, sizeof(guest->frontend),
		 "/local/domain/%u/%s/pci/%u", domid,
		 domid ? "device" : "selftest", guest->devid);
	snprintf(guest->error, sizeof(guest->error),
		 "/local/domain/0/error/backend/pci/%u/%u", domid,
		 guest->devid);
	snprintf(guest->device, sizeof(guest->device),
		 "/sys/devices/pci-%u-%u", domid, guest->devid);

	guest->xs = xs_open(0);
	if (!guest->xs)
		return -errno;
	if (!access(guest->device, F_OK))
		return -EEXIST;

	do {
		t = nodes_begin(guest);
		xs_rm(guest->xs, t, guest->error);
		nodes_put(guest, t, guest->frontend, "backend=%s", guest->backend);
		nodes_put(guest, t, guest->frontend, "backend-id=0");
		nodes_put(guest, t, guest->frontend, "state=%d",
			  STATE_INITIALISING);
		nodes_put(guest, t, guest->backend, "frontend=%s", guest->frontend);
		nodes_put(guest, t, guest->backend, "frontend-id=%u", domid);
		nodes_put(guest, t, guest->backend, "online=1");
		nodes_put(guest, t, guest->backend, "domain=selftest");
		nodes_put(guest, t, guest->backend, "state=%d",
			  STATE_INITIALISING);
		for (i = 0; i < nr; i++)
			put_fn(guest, t, i, fns[i]);
	} while (!nodes_end(guest, t));

	return 0;
}

int guest_wait(const struct guest *guest)
{
	long long give_up = now_ms() + guest->wait_ms;
	enum guest_state now;
	char error[64];

	do {
		now = guest_backend_state(guest);
		if (now == STATE_INITIALISED || now == STATE_CLOSING)
			break;
		usleep(GUEST_POLL_MS * 1000);
	} while (now_ms() <= give_up);

	/* Written before that state; the only answer if not even the state could be */
	guest_error(guest, error, sizeof(error));
	if (*error || now == STATE_CLOSING)
		return -EIO;
	return now == STATE_INITIALISED ? 0 : -ETIMEDOUT;
}

int guest_create(struct guest *guest, unsigned int domid, const struct fn *fns,
		 size_t nr)
{
	return guest_begin(guest, domid, fns, nr) ?: guest_wait(guest);
}

int guest_create_recovered(struct guest *guest, unsigned int domid,
			   const struct fn *fns, size_t nr)
{
	long long give_up = now_ms() + RECOVERY_MS;
	char error[128];
	size_t i;
	int ret;

	while ((ret = guest_create(guest, domid, fns, nr)) == -EIO) {
		guest_error(guest, error, sizeof(error));
		if (kernel_since(6, 18) || now_ms() > give_up ||
		    !strstr(error, "is being reset"))
			break;
		ret = guest_destroy(guest);
		if (ret)
			break;
		/* Those that it has had are reset now, which is another reason */
		for (i = 0; i < nr; i++)
			fn_quiesce(fns[i]);
		sleep(5);
	}
	return ret;
}

/* Its device in sysfs goes when pciback's part is done */
int guest_wait_gone(const struct guest *guest)
{
	long long give_up = now_ms() + guest->wait_ms;

	while (!access(guest->device, F_OK)) {
		if (now_ms() > give_up)
			return -ETIMEDOUT;
		usleep(GUEST_POLL_MS * 1000);
	}
	return 0;
}

void guest_remove(const struct guest *guest)
{
	xs_transaction_t t;

	do {
		t = nodes_begin(guest);
		xs_rm(guest->xs, t, guest->frontend);
		xs_rm(guest->xs, t, guest->backend);
		xs_rm(guest->xs, t, guest->error);
	} while (!nodes_end(guest, t));
}

void guest_remove_node(const struct guest *guest, const char *name)
{
	char node[96];

	snprintf(node, sizeof(node), "%s/%s", guest->backend, name);
	xs_rm(guest->xs, XBT_NULL, node);
}

int guest_destroy(struct guest *guest)
{
	int ret;

	if (!guest->xs)
		return 0;

	guest_remove(guest);
	guest->wait_ms = GUEST_WAIT_MS;
	ret = guest_wait_gone(guest);

	if (guest->page)
		munmap(guest->page, getpagesize());
	if (guest->gntalloc >= 0)
		close(guest->gntalloc);
	if (guest->evtchn >= 0)
		close(guest->evtchn);
	if (guest->watch)
		xs_close(guest->watch);
	xs_close(guest->xs);
	memset(guest, 0, sizeof(*guest));
	return ret;
}

/*
 * The toolstack has written what is to change: both ends go through it. The
 * frontend need not be connected for that.
 */
static int reconfigure(const struct guest *guest)
{
	int ret;

	nodes_switch_frontend(guest, STATE_RECONFIGURING);
	ret = nodes_wait_backend(guest, "state", STATE_RECONFIGURED);
	if (ret)
		return ret;
	nodes_switch_frontend(guest, STATE_CONNECTED);
	return nodes_wait_backend(guest, "state", STATE_CONNECTED);
}

int guest_forget(const struct guest *guest, struct fn fn)
{
	static const char * const of_fn[] = {
		"state", "dev", "key", "vdev", "opts"
	};
	char node[24], val[64];
	xs_transaction_t t;
	unsigned int nr, n;
	int i, j;

	i = find_fn(guest, fn);
	if (i < 0)
		return i;

	do {
		t = nodes_begin(guest);
		nr = nodes_number(guest, guest->backend, "num_devs");
		for (j = i; j < (int)nr; j++) {
			for (n = 0; n < ARRAY_SIZE(of_fn); n++) {
				nodes_get(guest, t, guest->backend, val,
					  sizeof(val), "%s-%d", of_fn[n], j);
				if (j > i && *val)
					nodes_put(guest, t, guest->backend,
						  "%s-%d=%s", of_fn[n], j - 1, val);
				snprintf(node, sizeof(node), "%s-%d", of_fn[n],
					 j);
				nodes_remove(guest, t, guest->backend, node);
			}
		}
		nodes_put(guest, t, guest->backend, "num_devs=%u", nr - 1);
	} while (!nodes_end(guest, t));
	return 0;
}

/* @running: its domain is there already, so that both ends are to be told */
static void offer(const struct guest *guest, struct fn fn, bool running)
{
	unsigned int i = nodes_number(guest, guest->backend, "num_devs");
	xs_transaction_t t;

	do {
		t = nodes_begin(guest);
		xs_rm(guest->xs, t, guest->error);
		put_fn(guest, t, i, fn);
		if (running)
			nodes_put(guest, t, guest->backend, "state=%d",
				  STATE_RECONFIGURING);
	} while (!nodes_end(guest, t));
}

void guest_offer(const struct guest *guest, struct fn fn)
{
	offer(guest, fn, true);
}

void guest_offer_starting(const struct guest *guest, struct fn fn)
{
	offer(guest, fn, false);
}

/* The nodes of a function that is listed: to @state */
static int change(const struct guest *guest, struct fn fn, enum guest_state state)
{
	int i = find_fn(guest, fn);
	xs_transaction_t t;

	if (i < 0)
		return i;

	do {
		t = nodes_begin(guest);
		xs_rm(guest->xs, t, guest->error);
		nodes_put(guest, t, guest->backend, "state-%d=%d", i, state);
		/* Nothing of that for a domain that is not up yet */
		if (guest_backend_state(guest) != STATE_INIT_WAIT)
			nodes_put(guest, t, guest->backend, "state=%d",
				  STATE_RECONFIGURING);
	} while (!nodes_end(guest, t));
	return 0;
}

int guest_recall(const struct guest *guest, struct fn fn)
{
	return change(guest, fn, STATE_CLOSING);
}

int guest_offer_again(const struct guest *guest, struct fn fn)
{
	return change(guest, fn, STATE_INITIALISING);
}

int guest_attach(struct guest *guest, struct fn fn)
{
	/* It has not connected yet: pciback looks at once */
	bool starting = guest_backend_state(guest) == STATE_INITIALISED;
	int ret = 0;

	offer(guest, fn, !starting);
	if (!starting)
		ret = reconfigure(guest);
	return ret ?: guest_wait_fn(guest, fn);
}

void guest_rename(const struct guest *guest, struct fn fn, const char *name)
{
	int i = find_fn(guest, fn);

	if (i < 0)
		errx(1, "%s: not among the guest's", fn.name);
	nodes_put(guest, XBT_NULL, guest->backend, "dev-%d=%s", i, name);
}

int guest_detach(struct guest *guest, struct fn fn)
{
	return guest_recall(guest, fn) ?: reconfigure(guest) ?:
	       guest_forget(guest, fn);
}
