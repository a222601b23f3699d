// SPDX-License-Identifier: GPL-2.0
/*
 * The frontend of a played guest. See guest.h.
 *
 * The nodes are those that xen-pcifront writes (drivers/pci/xen-pcifront.c).
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
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

#include "nodes.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

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

	nodes_put(guest, XBT_NULL, guest->frontend, "pci-op-ref=%u",
		  gref.gref_ids[0]);
	nodes_put(guest, XBT_NULL, guest->frontend, "event-channel=%u", guest->port);
	nodes_put(guest, XBT_NULL, guest->frontend, "magic=%s", XEN_PCI_MAGIC);
	nodes_switch_frontend(guest, STATE_INITIALISED);
	return 0;
}

int guest_connect(struct guest *guest)
{
	int ret = guest_connect_begin(guest);

	ret = ret ?: guest_wait_backend(guest, STATE_CONNECTED);
	if (!ret)
		nodes_switch_frontend(guest, STATE_CONNECTED);
	return ret;
}

void guest_forge_state(const struct guest *guest, const char *state)
{
	char node[80];

	if (state) {
		nodes_put(guest, XBT_NULL, guest->frontend, "state=%s", state);
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

	if (poll(&pfd, 1, GUEST_POLL_MS) == 1 &&
	    read(guest->evtchn, &port, sizeof(port)) == sizeof(port) &&
	    write(guest->evtchn, &port, sizeof(port)) != sizeof(port))
		err(1, "event channel");
}

int guest_notify(const struct guest *guest)
{
	struct ioctl_evtchn_notify notify = { .port = guest->port };

	return ioctl(guest->evtchn, IOCTL_EVTCHN_NOTIFY, &notify) ? -errno : 0;
}

static int ask_op(const struct guest *guest, const struct xen_pci_op *op)
{
	guest->page->op = *op;
	__atomic_or_fetch(&guest->page->flags, XEN_PCIF_active,
			  __ATOMIC_SEQ_CST);
	return guest_notify(guest);
}

/* Have pciback do @op, and wait for its answer */
static int run_op(const struct guest *guest, struct xen_pci_op *op)
{
	long long give_up = now_ms() + GUEST_WAIT_MS;
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

void guest_handle_errors(const struct guest *guest)
{
	__atomic_or_fetch(&guest->page->flags, XEN_PCIB_AERHANDLER,
			  __ATOMIC_SEQ_CST);
}

int guest_wait_asked(const struct guest *guest)
{
	long long give_up = now_ms() + GUEST_WAIT_MS;

	while (!(__atomic_load_n(&guest->page->flags, __ATOMIC_SEQ_CST) &
		 XEN_PCIB_active)) {
		if (now_ms() > give_up)
			return -ETIMEDOUT;
		usleep(GUEST_POLL_MS * 1000);
	}
	return 0;
}

int guest_answer(const struct guest *guest, int answer)
{
	int ret = guest_wait_asked(guest);

	if (ret)
		return ret;
	ret = guest->page->aer_op.cmd;
	guest->page->aer_op.err = answer;
	__atomic_and_fetch(&guest->page->flags, ~XEN_PCIB_active, __ATOMIC_SEQ_CST);
	return guest_notify(guest) ?: ret;
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
