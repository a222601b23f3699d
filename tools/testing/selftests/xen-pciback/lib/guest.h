/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A played guest: no domain, but a test that writes to xenstore what the guest's toolstack
 * and frontend would write, so that pciback hands functions out and takes them back. No
 * domain needs to have that number, since pciback never checks.
 *
 * A played guest with the number 0 can do more. Dom0 exists, so it can be its own guest
 * and have a frontend that shares a page with pciback: guest_connect().
 *
 * All return 0 or a negative errno: -EIO if pciback refuses (guest_error() shows the reason),
 * -ETIMEDOUT if it does nothing.
 */
#ifndef SELFTEST_XEN_PCIBACK_GUEST_H
#define SELFTEST_XEN_PCIBACK_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../kselftest.h"
#include "pci.h"

/* Of no domain in this VM */
#define DOMAIN		7
#define OTHER_DOMAIN	8

struct xs_handle;
struct xen_pci_sharedinfo;

/* enum xenbus_state of xen/io/xenbus.h, whose names are not the kernel's style */
enum guest_state {
	STATE_UNKNOWN,
	STATE_INITIALISING,
	STATE_INIT_WAIT,
	STATE_INITIALISED,
	STATE_CONNECTED,
	STATE_CLOSING,
	STATE_CLOSED,
	STATE_RECONFIGURING,
	STATE_RECONFIGURED,
};

struct guest {
	unsigned int domid;
	unsigned int devid;
	char backend[64];		/* in xenstore */
	char frontend[64];
	char error[80];
	char device[64];		/* in sysfs */
	unsigned int wait_ms;		/* How long, until it is -ETIMEDOUT */
	struct xs_handle *xs;
	struct xs_handle *watch;	/* guest_watch_begin() */
	/* While connected */
	struct xen_pci_sharedinfo *page;
	int gntalloc, evtchn;
	unsigned int port;
};

/* Is there Xen's toolstack in this VM? Starts xenstored, if it is not yet. */
bool guest_possible(void);

/* The kernel's task that does what the toolstack asks for in xenstore */
pid_t guest_xenwatch(void);

/*
 * A guest that starts with these functions. guest_begin() does not wait;
 * guest_wait() returns when pciback has handed out all but those that it refused, which
 * is -EIO; and guest_create() is both. guest_destroy() is due either way.
 */
int guest_begin(struct guest *guest, unsigned int domid, const struct fn *fns,
		size_t nr);
int guest_wait(const struct guest *guest);
int guest_create(struct guest *guest, unsigned int domid, const struct fn *fns,
		 size_t nr);
/*
 * The same after error recovery has failed for any of them. Before 6.18 the kernel does not
 * report that to drivers: pciback refuses the function until recovery must be over, even if
 * it was reset since. Waits for that.
 */
int guest_create_recovered(struct guest *guest, unsigned int domid,
			   const struct fn *fns, size_t nr);
/* The guest is gone, as when it crashed: returns when pciback has taken back all */
int guest_destroy(struct guest *guest);
/* Its nodes are gone, and nobody waits for pciback. guest_destroy() is still due. */
void guest_remove(const struct guest *guest);

/*
 * As xl pci-attach and pci-detach while it runs. -EIO if pciback refused that
 * one, which xl does not notice: it stays among the guest's until detached.
 */
int guest_attach(struct guest *guest, struct fn fn);
int guest_detach(struct guest *guest, struct fn fn);
/* One of the backend's nodes is gone */
void guest_remove_node(const struct guest *guest, const char *name);
/* The toolstack calls it something else from here on */
void guest_rename(const struct guest *guest, struct fn fn, const char *name);

/*
 * What any guest may do to its own nodes at any time, while Xen still lets it at its
 * functions: write this to its frontend's state, which is removed if that is NULL and
 * it is there; or remove all of the frontend. Nobody waits for what pciback makes of it.
 */
void guest_forge_state(const struct guest *guest, const char *state);
void guest_forge_removal(const struct guest *guest);
/*
 * The same guest for a thread of its own, with a connection to xenstored that nobody
 * else uses; guest_alias_end() closes it
 */
int guest_alias(struct guest *alias, const struct guest *guest);
void guest_alias_end(struct guest *alias);
/* Until pciback has given the guest up. -ETIMEDOUT if it does not come to that. */
int guest_wait_gone(const struct guest *guest);

/*
 * The steps of these, as libxl writes them, without waiting for anybody. That is
 * all of it for an HVM guest, which has no frontend that would answer.
 * guest_offer(): one more function, and the backend's state is Reconfiguring.
 * guest_recall(): this function is Closing, the same. guest_forget(): its nodes
 * are removed, and those of all after it take the place before their own.
 */
void guest_offer(const struct guest *guest, struct fn fn);
/* The same for a domain that is not up yet: nobody is told by the backend's state */
void guest_offer_starting(const struct guest *guest, struct fn fn);
int guest_recall(const struct guest *guest, struct fn fn);
int guest_forget(const struct guest *guest, struct fn fn);
/* The toolstack asks again for a function that it lists already */
int guest_offer_again(const struct guest *guest, struct fn fn);
/* Until that function is handed out; -EIO if it is refused */
int guest_wait_fn(const struct guest *guest, struct fn fn);
/* Until the backend is in this state; -EIO if it closes */
int guest_wait_backend(const struct guest *guest, enum guest_state state);

/* A node of the backend's, or the empty string */
__printf(4, 5)
void guest_node(const struct guest *guest, char *buf, size_t size,
		const char *fmt, ...);
enum guest_state guest_backend_state(const struct guest *guest);
/* Of a function, as pciback and the toolstack write it; -ENODEV: not listed */
int guest_fn_state(const struct guest *guest, struct fn fn);
/* Where it is on the guest's bus, or the empty string */
void guest_place(const struct guest *guest, struct fn fn, char *buf,
		 size_t size);

/*
 * Count what is written below the backend's directory, by anybody, from here on.
 * guest_watch_count(): how often it was @node so far, or any if that is NULL.
 */
int guest_watch_begin(struct guest *guest);
unsigned int guest_watch_count(struct guest *guest, const char *node);

/* Has pciback handed it out to the guest? */
bool guest_has(const struct guest *guest, struct fn fn);
/* Is the backend Connected: not closing, nor in the middle of a change? */
bool guest_connected(const struct guest *guest);
/* What pciback wrote into xenstore when it refused, or the empty string */
void guest_error(const struct guest *guest, char *buf, size_t size);

/*
 * Only a guest of domain 0, and only if that one can be its own guest: connect its
 * frontend, and access config space by way of it. -EIO also if pciback answers with
 * an error. A PVH domain can't: of a page that it maps from itself Xen leaves it
 * only the new address.
 */
#define NOT_ITS_OWN_GUEST	"a PVH dom0 can't be its own guest"
bool guest_connectable(void);
int guest_connect(struct guest *guest);
/* The same, but do not wait for the backend */
int guest_connect_begin(struct guest *guest);
int guest_config_read(struct guest *guest, struct fn fn, unsigned int offset,
		      size_t len, uint32_t *val);
int guest_config_write(struct guest *guest, struct fn fn, unsigned int offset,
		       size_t len, uint32_t val);
/* The same for MSI, which need not be enabled */
int guest_disable_msi(struct guest *guest, struct fn fn);
/* A read or a write of 0, @nr times: how long each took */
int guest_config_time(struct guest *guest, struct fn fn, bool write,
		      unsigned int offset, size_t len, uint64_t *ns, size_t nr);
/* Ask for a read of the first register, and don't wait for the answer */
int guest_config_ask(const struct guest *guest, struct fn fn);
/*
 * Error recovery asks the guest from here on, as one whose drivers have handlers for that;
 * guest_wait_asked(): until it has
 */
void guest_handle_errors(const struct guest *guest);
int guest_wait_asked(const struct guest *guest);
/* What error recovery asks (XEN_PCI_OP_aer_*), and answers (pci_ers_result_t) */
enum { ASKED_DETECTED = 6, ASKED_RESUME, ASKED_MMIO_ENABLED, ASKED_SLOT_RESET };

enum {
	ANSWER_NONE = 1, ANSWER_CAN_RECOVER, ANSWER_NEED_RESET, ANSWER_DISCONNECT,
	ANSWER_RECOVERED
};

/* Wait until it has asked, and answer: returns what was asked */
int guest_answer(const struct guest *guest, int answer);
/* The event of an answer alone, or of nothing */
int guest_notify(const struct guest *guest);
/*
 * Ask for a write, and don't wait, of what is in that place (guest_place()), even if the
 * toolstack does not list it any more
 */
int guest_config_send(const struct guest *guest, const char *place,
		      unsigned int offset, size_t len, uint32_t val);

#endif
