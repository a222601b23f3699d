// SPDX-License-Identifier: GPL-2.0
/*
 * The nodes of a played guest. See nodes.h.
 */
#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nodes.h"

void nodes_put(const struct guest *guest, xs_transaction_t t, const char *dir,
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

void nodes_get(const struct guest *guest, xs_transaction_t t, const char *dir,
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
	nodes_get(guest, XBT_NULL, guest->backend, buf, size, "%s", node);
}

void nodes_remove(const struct guest *guest, xs_transaction_t t,
		  const char *dir, const char *node)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	xs_rm(guest->xs, t, path);
}

xs_transaction_t nodes_begin(const struct guest *guest)
{
	xs_transaction_t t = xs_transaction_start(guest->xs);

	if (t == XBT_NULL)
		err(1, "xenstore: transaction");
	return t;
}

bool nodes_end(const struct guest *guest, xs_transaction_t t)
{
	if (xs_transaction_end(guest->xs, t, false))
		return true;
	if (errno != EAGAIN)
		err(1, "xenstore: transaction");
	return false;
}

unsigned int nodes_number(const struct guest *guest, const char *dir,
			  const char *node)
{
	char buf[16];

	nodes_get(guest, XBT_NULL, dir, buf, sizeof(buf), "%s", node);
	return strtoul(buf, NULL, 10);
}

enum guest_state guest_backend_state(const struct guest *guest)
{
	return nodes_number(guest, guest->backend, "state");
}

void nodes_switch_frontend(const struct guest *guest, enum guest_state state)
{
	nodes_put(guest, XBT_NULL, guest->frontend, "state=%d", state);
}

bool guest_connected(const struct guest *guest)
{
	return guest_backend_state(guest) == STATE_CONNECTED;
}

void guest_error(const struct guest *guest, char *buf, size_t size)
{
	nodes_get(guest, XBT_NULL, guest->error, buf, size, "error");
}

int nodes_wait_backend(const struct guest *guest, const char *node,
		       enum guest_state state)
{
	long long give_up = now_ms() + guest->wait_ms;
	enum guest_state now;

	while ((now = nodes_number(guest, guest->backend, node)) != state) {
		if (now == STATE_CLOSED ||
		    guest_backend_state(guest) == STATE_CLOSING)
			return -EIO;
		if (now_ms() > give_up)
			return -ETIMEDOUT;
		usleep(GUEST_POLL_MS * 1000);
	}
	return 0;
}

int guest_wait_backend(const struct guest *guest, enum guest_state state)
{
	return nodes_wait_backend(guest, "state", state);
}
