/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The nodes of a played guest (guest.h) in xenstore, for guest.c, which plays its toolstack,
 * and frontend.c, which plays its frontend. An unexpected failure ends the program.
 */
#ifndef SELFTEST_XEN_PCIBACK_NODES_H
#define SELFTEST_XEN_PCIBACK_NODES_H

#include <xenstore.h>

#include "guest.h"

/* A release may wait for a device to come back from its reset */
#define GUEST_WAIT_MS	60000
#define GUEST_POLL_MS	10

/* Write to @dir "NODE=VALUE" */
__printf(4, 5)
void nodes_put(const struct guest *guest, xs_transaction_t t, const char *dir,
	       const char *fmt, ...);
/* A node's value in @buf; the empty string if it is not there */
__printf(6, 7)
void nodes_get(const struct guest *guest, xs_transaction_t t, const char *dir,
	       char *buf, size_t size, const char *fmt, ...);
unsigned int nodes_number(const struct guest *guest, const char *dir,
			  const char *node);
void nodes_remove(const struct guest *guest, xs_transaction_t t,
		  const char *dir, const char *node);

xs_transaction_t nodes_begin(const struct guest *guest);
/* False if it must be done again */
bool nodes_end(const struct guest *guest, xs_transaction_t t);

void nodes_switch_frontend(const struct guest *guest, enum guest_state state);
/*
 * Until @node of the backend has this value, or says Closed, or the whole
 * backend closes
 */
int nodes_wait_backend(const struct guest *guest, const char *node,
		       enum guest_state state);

#endif
