// SPDX-License-Identifier: GPL-2.0
/*
 * The operations of the tasks of stress: which results each may have, and how the results are
 * counted and judged.
 */
#include <stdarg.h>

#include "tasks.h"

struct shared *shared;
unsigned int seed;
struct task *me;

const struct op_answers ops[NR_OPS] = {
	[OP_RESET_DEVICE] = { "reset_device", { EBUSY, EAGAIN, ENODEV, ENOTTY,
					     ETIMEDOUT, EIO } },
	[OP_DO_FLR] = { "do_flr", { EBUSY, EAGAIN, ENODEV, ENOTTY, ETIMEDOUT,
				  EIO } },
	/* The core's: what it says is its own affair */
	[OP_SYSFS_RESET] = { "the reset file", { ENOENT, ENOTTY, ENODEV, EAGAIN,
					      ETIMEDOUT, EINVAL, EIO } },
	[OP_READ] = { "needs_reset, last_reset, reset_plan" },
	[OP_PERMISSIVE] = { "permissive", { ENODEV } },
	[OP_UNBIND] = { "unbind", { ENODEV, ENOENT } },
	[OP_ADOPT] = { "adopt", { ENODEV, ENOENT } },
	[OP_NEW_SLOT] = { "new_slot and bind", { ENODEV, ENOENT, EBUSY } },
	[OP_GUEST_CREATE] = { "guest starts", { EIO } },
	[OP_GUEST_ATTACH] = { "attach", { EIO } },
	[OP_GUEST_DETACH] = { "detach", { EIO } },
	[OP_GUEST_CONNECT] = { "frontend connects", { EIO } },
	/* In the middle of a reset, or unbound; without a place if it was not there at all */
	[OP_GUEST_ACCESS] = { "guest's config access", { EIO, ENODEV } },
	[OP_GUEST_DESTROY] = { "guest ends" },
	[OP_RESET_METHOD] = { "reset_method", { ENOENT, EINVAL, ENODEV } },
	[OP_STRICT_RESET] = { "strict_reset" },
	[OP_AUTO_RESET] = { "auto_reset" },
	/* Not pciback's */
	[OP_STRICT] = { "strict", { ENOENT, ENODEV } },
	[OP_SET_RESET] = { "set_reset", { ENOENT, ENODEV } },
	[OP_REMOVE] = { "remove", { ENOENT } },
	[OP_RESCAN] = { "rescan" },
	/* As long as pciback has one of them; or they are there already */
	[OP_NUMVFS] = { "sriov_numvfs", { EPERM, EBUSY } },
	[OP_PULL] = { "card pulled" },
	[OP_PRESS] = { "attention button" },
	[OP_POWER_OFF] = { "slot powered off" },
	/*
	 * What is broken or a guest's need not recover; and a guest that does not answer,
	 * in the middle of a reset, has all errors masked
	 */
	[OP_AER] = { "error recovery", { EIO, ENODEV, EPERM, EINVAL } },
	[OP_FAULT_LOAD] = { "fault module loaded" },
	[OP_FAULT_UNLOAD] = { "fault module unloaded" },
	[OP_FAULT] = { "fault", { ENODEV, EBUSY } },
	[OP_MEMORY] = { "memory pressure" },
};

const struct injected faults[NR_FAULTS] = {
	{ "flr_away_ms", 700, true },
	{ "flr_crs_ms", 700, true },
	{ "sbr_away_ms", 700, true },
	{ "pending", 1, true },
	{ "flr_swallow", 1 },
	{ "flr_no_effect", 1 },
	{ "flr_away_ms", FAULT_FOR_EVER },
	{ "sbr_away_ms", FAULT_FOR_EVER },
	{ "vanish_at", 40 },
	{ "gone", 1 },
};

const struct errno_name errnos[NR_ERRNOS] = {
	{ EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { EIO, "EIO" },
	{ EAGAIN, "EAGAIN" }, { EBUSY, "EBUSY" }, { EEXIST, "EEXIST" },
	{ ENODEV, "ENODEV" }, { EINVAL, "EINVAL" }, { ENOTTY, "ENOTTY" },
	{ ETIMEDOUT, "ETIMEDOUT" },
};

unsigned int any_below(unsigned int n)
{
	return random_below(&seed, n);
}

void say(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	printf("# stress: %s\n", line);
	fflush(stdout);
}

void fail(const char *fmt, ...)
{
	char text[sizeof(shared->first)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say("%s", text);
	if (atomic_add(shared->failures, 1) == 1)
		memcpy(shared->first, text, sizeof(text));
	atomic_set(shared->stop, true);
}

void begin(enum op op)
{
	me->doing = op;
	atomic_set(me->since, time(NULL));
}

int end(enum op op, unsigned int i, int ret)
{
	unsigned int e;

	atomic_set(me->since, 0);
	atomic_add(shared->times[op], 1);
	if (!ret) {
		atomic_add(shared->good[op], 1);
		return 0;
	}
	for (e = 0; e < NR_ERRNOS; e++)
		if (errnos[e].number == -ret)
			atomic_add(shared->refused[op][e], 1);
	for (e = 0; e < MAX_ERRORS; e++)
		if (ops[op].errors[e] == -ret)
			return ret;
	fail("%s, %s: %s", i < NR_FNS ? fn_of(i).name : "-", ops[op].name,
	     strerror(-ret));
	return ret;
}

void pause_ms(unsigned int ms)
{
	unsigned int slept;

	for (slept = 0; slept < ms && !atomic_get(shared->stop); slept += 10)
		usleep(10000);
}
