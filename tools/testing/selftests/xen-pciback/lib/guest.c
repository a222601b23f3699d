// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that is none. See guest.h.
 *
 * The nodes are those that libxl writes (tools/libs/light/libxl_pci.c) and that
 * xen-pcifront would (drivers/pci/xen-pcifront.c).
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Before the kernel's, which use its types */
#include <xen/xen.h>
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/io/pciif.h>
#include <xenstore.h>

#include "guest.h"

/* A release may wait for a device to come back from its reset */
#define WAIT_MS		60000
/* Error recovery does not take longer, by pciback's account (reset_function.c) */
#define RECOVERY_MS	70000
#define POLL_MS		10

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

/* -- xenstore --------------------------------------------------------------- */

__printf(4, 5)
static void put(const struct guest *guest, xs_transaction_t t, const char *dir,
		const char *fmt, ...)
{
	char node[160], *val;
	va_list args;
	int len;

	/* "NODE=VALUE" */
	len = snprintf(node, sizeof(node), "%s/", dir);
	va_start(args, fmt);
	vsnprintf(node + len, sizeof(node) - len, fmt, args);
	va_end(args);
	val = strchr(node, '=');
	*val++ = '\0';

	if (!xs_write(guest->xs, t, node, val, strlen(val)))
		err(1, "xenstore: writing %s", node);
}

/* A node's value in @buf; the empty string if it is not there */
__printf(6, 7)
static void get(const struct guest *guest, xs_transaction_t t, const char *dir,
		char *buf, size_t size, const char *fmt, ...)
{
	char node[160], *val;
	unsigned int len;
	va_list args;
	int used;

	used = snprintf(node, sizeof(node), "%s/", dir);
	va_start(args, fmt);
	vsnprintf(node + used, sizeof(node) - used, fmt, args);
	va_end(args);

	val = xs_read(guest->xs, t, node, &len);
	snprintf(buf, size, "%s", val ?: "");
	free(val);
}

void guest_node(const struct guest *guest, char *buf, size_t size,
		const char *fmt, ...)
{
	char node[32];
	va_list args;

	va_start(args, fmt);
	vsnprintf(node, sizeof(node), fmt, args);
	va_end(args);
	get(guest, XBT_NULL, guest->backend, buf, size, "%s", node);
}

static void remove_node(const struct guest *guest, xs_transaction_t t,
			const char *dir, const char *node)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	xs_rm(guest->xs, t, path);
}

static xs_transaction_t begin(const struct guest *guest)
{
	xs_transaction_t t = xs_transaction_start(guest->xs);

	if (t == XBT_NULL)
		err(1, "xenstore: transaction");
	return t;
}

/* False if it must be done again */
static bool end(const struct guest *guest, xs_transaction_t t)
{
	if (xs_transaction_end(guest->xs, t, false))
		return true;
	if (errno != EAGAIN)
		err(1, "xenstore: transaction");
	return false;
}

static unsigned int number(const struct guest *guest, const char *dir,
			   const char *node)
{
	char buf[16];

	get(guest, XBT_NULL, dir, buf, sizeof(buf), "%s", node);
	return strtoul(buf, NULL, 10);
}

enum guest_state guest_backend_state(const struct guest *guest)
{
	return number(guest, guest->backend, "state");
}

static void frontend_switch(const struct guest *guest, enum guest_state state)
{
	put(guest, XBT_NULL, guest->frontend, "state=%d", state);
}

bool guest_connected(const struct guest *guest)
{
	return guest_backend_state(guest) == STATE_CONNECTED;
}

void guest_error(const struct guest *guest, char *buf, size_t size)
{
	get(guest, XBT_NULL, guest->error, buf, size, "error");
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * Until @node of the backend has this value, or says Closed, or the whole
 * backend closes
 */
static int wait_backend(const struct guest *guest, const char *node,
			enum guest_state state)
{
	long long give_up = now_ms() + guest->wait_ms;
	enum guest_state now;

	while ((now = number(guest, guest->backend, node)) != state) {
		if (now == STATE_CLOSED ||
		    guest_backend_state(guest) == STATE_CLOSING)
			return -EIO;
		if (now_ms() > give_up)
			return -ETIMEDOUT;
		usleep(POLL_MS * 1000);
	}
	return 0;
}

int guest_wait_backend(const struct guest *guest, enum guest_state state)
{
	return wait_backend(guest, "state", state);
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

/* -- toolstack -------------------------------------------------------------- */

/* The nodes of one more function, which pciback is to hand out */
static void put_fn(const struct guest *guest, xs_transaction_t t,
		   unsigned int i, struct fn fn)
{
	put(guest, t, guest->backend, "key-%u=%s", i, fn.name);
	put(guest, t, guest->backend, "dev-%u=%s", i, fn.name);
	put(guest, t, guest->backend,
	    "opts-%u=msitranslate=0,power_mgmt=0,permissive=0", i);
	put(guest, t, guest->backend, "state-%u=%d", i,
	    STATE_INITIALISING);
	put(guest, t, guest->backend, "num_devs=%u", i + 1);
}

/* Where a function is among the guest's; -ENODEV if it is not */
static int find_fn(const struct guest *guest, struct fn fn)
{
	unsigned int nr = number(guest, guest->backend, "num_devs"), i;
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
	return number(guest, guest->backend, node);
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
		usleep(POLL_MS * 1000);
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
	guest->wait_ms = WAIT_MS;
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
		t = begin(guest);
		xs_rm(guest->xs, t, guest->error);
		put(guest, t, guest->frontend, "backend=%s", guest->backend);
		put(guest, t, guest->frontend, "backend-id=0");
		put(guest, t, guest->frontend, "state=%d",
		    STATE_INITIALISING);
		put(guest, t, guest->backend, "frontend=%s", guest->frontend);
		put(guest, t, guest->backend, "frontend-id=%u", domid);
		put(guest, t, guest->backend, "online=1");
		put(guest, t, guest->backend, "domain=selftest");
		put(guest, t, guest->backend, "state=%d",
		    STATE_INITIALISING);
		for (i = 0; i < nr; i++)
			put_fn(guest, t, i, fns[i]);
	} while (!end(guest, t));

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
		usleep(POLL_MS * 1000);
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
		usleep(POLL_MS * 1000);
	}
	return 0;
}

void guest_remove(const struct guest *guest)
{
	xs_transaction_t t;

	do {
		t = begin(guest);
		xs_rm(guest->xs, t, guest->frontend);
		xs_rm(guest->xs, t, guest->backend);
		xs_rm(guest->xs, t, guest->error);
	} while (!end(guest, t));
}

int guest_destroy(struct guest *guest)
{
	int ret;

	if (!guest->xs)
		return 0;

	guest_remove(guest);
	guest->wait_ms = WAIT_MS;
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

	frontend_switch(guest, STATE_RECONFIGURING);
	ret = wait_backend(guest, "state", STATE_RECONFIGURED);
	if (ret)
		return ret;
	frontend_switch(guest, STATE_CONNECTED);
	return wait_backend(guest, "state", STATE_CONNECTED);
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
		t = begin(guest);
		nr = number(guest, guest->backend, "num_devs");
		for (j = i; j < (int)nr; j++) {
			for (n = 0; n < ARRAY_SIZE(of_fn); n++) {
				get(guest, t, guest->backend, val,
				    sizeof(val), "%s-%d", of_fn[n], j);
				if (j > i && *val)
					put(guest, t, guest->backend,
					    "%s-%d=%s", of_fn[n], j - 1, val);
				snprintf(node, sizeof(node), "%s-%d", of_fn[n],
					 j);
				remove_node(guest, t, guest->backend, node);
			}
		}
		put(guest, t, guest->backend, "num_devs=%u", nr - 1);
	} while (!end(guest, t));
	return 0;
}

/* @running: its domain is there already, so that both ends are to be told */
static void offer(const struct guest *guest, struct fn fn, bool running)
{
	unsigned int i = number(guest, guest->backend, "num_devs");
	xs_transaction_t t;

	do {
		t = begin(guest);
		xs_rm(guest->xs, t, guest->error);
		put_fn(guest, t, i, fn);
		if (running)
			put(guest, t, guest->backend, "state=%d",
			    STATE_RECONFIGURING);
	} while (!end(guest, t));
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
		t = begin(guest);
		xs_rm(guest->xs, t, guest->error);
		put(guest, t, guest->backend, "state-%d=%d", i, state);
		/* Nothing of that for a domain that is not up yet */
		if (guest_backend_state(guest) != STATE_INIT_WAIT)
			put(guest, t, guest->backend, "state=%d",
			    STATE_RECONFIGURING);
	} while (!end(guest, t));
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
	put(guest, XBT_NULL, guest->backend, "dev-%d=%s", i, name);
}

int guest_detach(struct guest *guest, struct fn fn)
{
	return guest_recall(guest, fn) ?: reconfigure(guest) ?:
	       guest_forget(guest, fn);
}

/* -- frontend --------------------------------------------------------------- */

bool guest_connectable(void)
{
	char type[8] = "";
	FILE *f = fopen("/sys/hypervisor/guest_type", "r");

	if (!f)
		err(1, "what kind of domain is this?");
	if (!fgets(type, sizeof(type), f))
		errx(1, "what kind of domain is this?");
	fclose(f);
	return !strcmp(type, "PV\n");
}

int guest_connect_begin(struct guest *guest)
{
	struct ioctl_gntalloc_alloc_gref gref = {
		.domid = guest->domid,
		.flags = GNTALLOC_FLAG_WRITABLE,
		.count = 1,
	};
	struct ioctl_evtchn_bind_unbound_port bind = {
		.remote_domain = guest->domid,
	};
	int ret;

	guest->gntalloc = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	if (guest->gntalloc < 0 ||
	    ioctl(guest->gntalloc, IOCTL_GNTALLOC_ALLOC_GREF, &gref))
		return -errno;
	guest->page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			   MAP_SHARED, guest->gntalloc, gref.index);
	if (guest->page == MAP_FAILED) {
		guest->page = NULL;
		return -errno;
	}
	memset(guest->page, 0, getpagesize());

	guest->evtchn = open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC);
	if (guest->evtchn < 0)
		return -errno;
	ret = ioctl(guest->evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind);
	if (ret < 0)
		return -errno;
	guest->port = ret;

	put(guest, XBT_NULL, guest->frontend, "pci-op-ref=%u",
	    gref.gref_ids[0]);
	put(guest, XBT_NULL, guest->frontend, "event-channel=%u", guest->port);
	put(guest, XBT_NULL, guest->frontend, "magic=%s", XEN_PCI_MAGIC);
	frontend_switch(guest, STATE_INITIALISED);
	return 0;
}

int guest_connect(struct guest *guest)
{
	int ret = guest_connect_begin(guest);

	ret = ret ?: guest_wait_backend(guest, STATE_CONNECTED);
	if (!ret)
		frontend_switch(guest, STATE_CONNECTED);
	return ret;
}

void guest_forge_state(const struct guest *guest, const char *state)
{
	char node[80];

	if (state) {
		put(guest, XBT_NULL, guest->frontend, "state=%s", state);
		return;
	}
	snprintf(node, sizeof(node), "%s/state", guest->frontend);
	if (!xs_rm(guest->xs, XBT_NULL, node) && errno != ENOENT)
		err(1, "xenstore: removing %s", node);
}

void guest_forge_removal(const struct guest *guest)
{
	if (!xs_rm(guest->xs, XBT_NULL, guest->frontend))
		err(1, "xenstore: removing %s", guest->frontend);
}

int guest_alias(struct guest *alias, const struct guest *guest)
{
	*alias = *guest;
	alias->xs = xs_open(0);
	return alias->xs ? 0 : -errno;
}

void guest_alias_end(struct guest *alias)
{
	xs_close(alias->xs);
}

static int name_place(const char *place, struct xen_pci_op *op)
{
	unsigned int domain, bus, dev, func;

	if (sscanf(place, "%x:%x:%x.%x", &domain, &bus, &dev, &func) != 4)
		return -ENODEV;
	op->domain = domain;
	op->bus = bus;
	op->devfn = dev << 3 | func;
	return 0;
}

/* Name in @op a function, which the guest knows by another address */
static int name_fn(const struct guest *guest, struct fn fn,
		   struct xen_pci_op *op)
{
	char vdev[32];

	guest_place(guest, fn, vdev, sizeof(vdev));
	return name_place(vdev, op);
}

/* Until there is an event, or for a moment; and be ready for the next one */
static void wait_event(const struct guest *guest)
{
	struct pollfd pfd = { .fd = guest->evtchn, .events = POLLIN };
	uint32_t port;

	if (poll(&pfd, 1, POLL_MS) == 1 &&
	    read(guest->evtchn, &port, sizeof(port)) == sizeof(port) &&
	    write(guest->evtchn, &port, sizeof(port)) != sizeof(port))
		err(1, "event channel");
}

static int ask_op(const struct guest *guest, const struct xen_pci_op *op)
{
	struct ioctl_evtchn_notify notify = { .port = guest->port };

	guest->page->op = *op;
	__atomic_or_fetch(&guest->page->flags, XEN_PCIF_active,
			  __ATOMIC_SEQ_CST);
	return ioctl(guest->evtchn, IOCTL_EVTCHN_NOTIFY, &notify) ? -errno : 0;
}

/* Have pciback do @op, and wait for its answer */
static int run_op(const struct guest *guest, struct xen_pci_op *op)
{
	long long give_up = now_ms() + WAIT_MS;
	int ret;

	ret = ask_op(guest, op);
	if (ret)
		return ret;

	/* The event that comes with it may be another's: the flag is what counts */
	while (__atomic_load_n(&guest->page->flags, __ATOMIC_SEQ_CST) &
	       XEN_PCIF_active) {
		if (now_ms() > give_up)
			return -ETIMEDOUT;
		wait_event(guest);
	}
	*op = guest->page->op;
	return op->err ? -EIO : 0;
}

static int do_op(const struct guest *guest, struct fn fn, struct xen_pci_op *op)
{
	int ret;

	if (!guest->page)
		return -ENOTCONN;
	ret = name_fn(guest, fn, op);
	return ret ?: run_op(guest, op);
}

int guest_config_read(struct guest *guest, struct fn fn, unsigned int offset,
		      size_t len, uint32_t *val)
{
	struct xen_pci_op op = {
		.cmd = XEN_PCI_OP_conf_read,
		.offset = offset,
		.size = len,
	};
	int ret = do_op(guest, fn, &op);

	*val = op.value;
	return ret;
}

int guest_config_write(struct guest *guest, struct fn fn, unsigned int offset,
		       size_t len, uint32_t val)
{
	struct xen_pci_op op = {
		.cmd = XEN_PCI_OP_conf_write,
		.offset = offset,
		.size = len,
		.value = val,
	};

	return do_op(guest, fn, &op);
}

int guest_disable_msi(struct guest *guest, struct fn fn)
{
	struct xen_pci_op op = { .cmd = XEN_PCI_OP_disable_msi };

	return do_op(guest, fn, &op);
}

int guest_config_ask(const struct guest *guest, struct fn fn)
{
	struct xen_pci_op op = {
		.cmd = XEN_PCI_OP_conf_read,
		.size = 4,
	};

	if (!guest->page)
		return -ENOTCONN;
	return name_fn(guest, fn, &op) ?: ask_op(guest, &op);
}

int guest_config_send(const struct guest *guest, const char *place,
		      unsigned int offset, size_t len, uint32_t val)
{
	struct xen_pci_op op = {
		.cmd = XEN_PCI_OP_conf_write,
		.offset = offset,
		.size = len,
		.value = val,
	};

	if (!guest->page)
		return -ENOTCONN;
	return name_place(place, &op) ?: ask_op(guest, &op);
}

int guest_config_time(struct guest *guest, struct fn fn, bool write,
		      unsigned int offset, size_t len, uint64_t *ns, size_t nr)
{
	struct xen_pci_op op = {
		.cmd = write ? XEN_PCI_OP_conf_write : XEN_PCI_OP_conf_read,
		.offset = offset,
		.size = len,
	};
	uint64_t start;
	size_t i;
	int ret;

	if (!guest->page)
		return -ENOTCONN;
	ret = name_fn(guest, fn, &op);
	for (i = 0; !ret && i < nr; i++) {
		start = now_ns();
		ret = run_op(guest, &op);
		ns[i] = now_ns() - start;
	}
	return ret;
}
