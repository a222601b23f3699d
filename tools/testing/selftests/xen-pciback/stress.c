// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, at random: many tasks that reset functions, take them away
 * from pciback and give them back, hand them to guests, remove them from the bus,
 * pull their cards, break them and change the rules, none of which waits for
 * another. By the hardware's account (lib/witness.h) no reset ever reaches a
 * function that is not pciback's or that a guest has, and with strict_reset
 * nothing is handed out dirty; no reset fails without a cause, nobody is stuck,
 * and at the end every function can be reset and handed out, the module can be
 * unloaded and nothing of it stays behind.
 *
 * STRESS_SECONDS [20] from STRESS_SEED [1]: each task does the same each time, but
 * when it comes to it, and so what comes of it, is up to the scheduler.
 * "make stress" does more of it.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "lib/harness.h"
#include "lib/aer.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/pci.h"
#include "lib/release.h"
#include "lib/slot.h"
#include "lib/witness.h"

#define NOBODY		(-1)
/* The last is dom0, and has a frontend */
#define NR_GUESTS	3

/* Whoever has not come back by then hangs */
#define STUCK_S		400
#define PROGRESS_S	30
/* For all that comes after, which is not counted */
#define TIMEOUT		100000

/* -- the machine ------------------------------------------------------------ */

#define NO_BRIDGE	(-1)

/* As in qemu/machine.sh, and how each is reset when pciback has all of them */
static const struct {
	unsigned int port;
	int bridge;			/* Below the port, or NO_BRIDGE */
	unsigned int dev, func;
	const char *plan;
	bool pluggable, aer;
} places[] = {
	{ 0x10, NO_BRIDGE, 0, 0, "flr", true },
	{ 0x11, NO_BRIDGE, 0, 0, "slot" },
	{ 0x12, NO_BRIDGE, 0, 0, "slot", true, true },
	{ 0x13, NO_BRIDGE, 0, 0, "slot", true, true },
	{ 0x13, NO_BRIDGE, 0, 1, "slot", true, true },
	{ 0x13, NO_BRIDGE, 0, 2, "slot", true },
	{ 0x14, 0, 1, 0, "bus" },
	{ 0x14, 0, 2, 0, "bus" },
	{ 0x15, NO_BRIDGE, 0, 0, "slot" },
	{ 0x16, 1, 1, 0, "bus" },
	{ 0x16, 1, 2, 0, "bus" },
	{ 0x17, NO_BRIDGE, 0, 0, "flr" },
	{ 0x18, NO_BRIDGE, 0, 0, "none" },
	{ 0x1b, NO_BRIDGE, 0, 0, "pm" },
	{ 0x1a, NO_BRIDGE, 0, 1, "flr" },
	{ 0x1a, NO_BRIDGE, 0, 2, "flr" },
	{ 0x1a, NO_BRIDGE, 0, 3, "flr" },
	{ 0x1a, NO_BRIDGE, 0, 4, "flr" },
};

#define NR_FNS		ARRAY_SIZE(places)
/* The VFs, and their PF, which another driver has all the time */
#define FIRST_VF	14
#define PF		NR_FNS
#define FIRST_ON_ROOT	12

/* -- what can be done ------------------------------------------------------- */

enum op {
	OP_RESET_DEVICE, OP_DO_FLR, OP_SYSFS_RESET, OP_READ, OP_PERMISSIVE,
	OP_UNBIND, OP_ADOPT, OP_NEW_SLOT,
	OP_GUEST_CREATE, OP_GUEST_ATTACH, OP_GUEST_DETACH, OP_GUEST_CONNECT,
	OP_GUEST_ACCESS, OP_GUEST_DESTROY,
	OP_RESET_METHOD, OP_STRICT_RESET, OP_AUTO_RESET, OP_STRICT, OP_SET_RESET,
	OP_REMOVE, OP_RESCAN, OP_NUMVFS, OP_PULL, OP_PRESS, OP_POWER_OFF,
	OP_AER, OP_FAULT_LOAD, OP_FAULT_UNLOAD, OP_FAULT, OP_MEMORY,
	NR_OPS
};

#define MAX_ERRORS	8

/* And which answers there may be, beside 0 */
static const struct {
	const char *name;
	int errors[MAX_ERRORS];
} ops[NR_OPS] = {
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
	/* In the middle of a reset, or unbound */
	[OP_GUEST_ACCESS] = { "guest's config access", { EIO } },
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
	 * What is broken or a guest's need not recover; and whoever does not answer,
	 * in the middle of a reset, has all errors masked
	 */
	[OP_AER] = { "error recovery", { EIO, ENODEV, EPERM, EINVAL } },
	[OP_FAULT_LOAD] = { "fault module loaded" },
	[OP_FAULT_UNLOAD] = { "fault module unloaded" },
	[OP_FAULT] = { "fault", { ENODEV, EBUSY } },
	[OP_MEMORY] = { "memory pressure" },
};

static const struct {
	const char *file;
	uint32_t val;
	bool harmless;			/* No reason for a reset to fail */
} faults[] = {
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

static const struct {
	int number;
	const char *name;
} errnos[] = {
	{ EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { EIO, "EIO" },
	{ EAGAIN, "EAGAIN" }, { EBUSY, "EBUSY" }, { EEXIST, "EEXIST" },
	{ ENODEV, "ENODEV" }, { EINVAL, "EINVAL" }, { ENOTTY, "ENOTTY" },
	{ ETIMEDOUT, "ETIMEDOUT" },
};

#define NR_ERRNOS	ARRAY_SIZE(errnos)

/* -- what all tasks know ---------------------------------------------------- */

struct subject {
	pthread_mutex_t lock;
	/* Of those that may change who has it */
	unsigned int under_way;
	bool overlapped;		/* So what came of it is not known */
	bool marked;
	int guest;			/* Who has it, as far as known */
	/* Of its set: only the first function's count */
	pthread_mutex_t core;		/* Resets that only the core looks at */
	unsigned int trouble, troubles;	/* Now, and ever: resets may fail */
};

struct task {
	pid_t pid;
	enum op doing;
	time_t since;			/* Or 0 */
};

#define MAX_TASKS	16

static struct shared {
	struct witness witness;
	struct subject subjects[NR_FNS];
	unsigned int strict;		/* Odd: changes just now */
	bool strict_on;
	bool stop;
	/* Whoever lays config accessors over a bus, or takes them off */
	pthread_mutex_t accessors;
	struct task tasks[MAX_TASKS];
	unsigned int times[NR_OPS], good[NR_OPS], refused[NR_OPS][NR_ERRNOS];
	unsigned int faults[ARRAY_SIZE(faults)];
	unsigned int failures;
	char first[160];
} *shared;

static unsigned int first_seed, seed;
static struct task *me;

#define atomic_add(var, n)	__atomic_add_fetch(&(var), n, __ATOMIC_SEQ_CST)
#define atomic_get(var)		__atomic_load_n(&(var), __ATOMIC_SEQ_CST)
#define atomic_set(var, val)	__atomic_store_n(&(var), val, __ATOMIC_SEQ_CST)

static unsigned int any_below(unsigned int n)
{
	return rand_r(&seed) / 7 % n;
}

static struct fn fn_of(unsigned int i)
{
	return shared->witness.fns[i].fn;
}

/* The first function of its set stands for all */
static unsigned int set_of(unsigned int i)
{
	if (i >= FIRST_ON_ROOT && i < FIRST_VF)
		return i;
	while (i && places[i - 1].port == places[i].port)
		i--;
	return i;
}

static bool is_pcibacks(unsigned int i)
{
	char driver[32];

	fn_driver(fn_of(i), driver, sizeof(driver));
	return !strcmp(driver, "pciback");
}

__printf(1, 2)
static void say(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	printf("# stress: %s\n", line);
	fflush(stdout);
}

/* It is over: whoever looks for the cause wants nothing more in the log */
__printf(1, 2)
static void fail(const char *fmt, ...)
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

static void begin(enum op op)
{
	me->doing = op;
	atomic_set(me->since, time(NULL));
}

static int end(enum op op, unsigned int i, int ret)
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

/* Until it is time, or over */
static void pause_ms(unsigned int ms)
{
	unsigned int slept;

	for (slept = 0; slept < ms && !atomic_get(shared->stop); slept += 10)
		usleep(10000);
}

/* -- who has what ----------------------------------------------------------- */

/* From here on it may be reset: somebody is going to change who has it */
static void change_begin(unsigned int i)
{
	struct subject *subject = &shared->subjects[i];

	pthread_mutex_lock(&subject->lock);
	subject->overlapped = subject->under_way++;
	if (subject->marked)
		witness_mark(WITNESS_FREE, i);
	subject->marked = false;
	pthread_mutex_unlock(&subject->lock);
}

/*
 * And it is @guest's now, or nobody's; dirty if not @clean. Who was not alone
 * does not know; but if nobody is at it any more, what is not pciback's stays so.
 */
static void change_end(unsigned int i, int guest, bool clean)
{
	struct subject *subject = &shared->subjects[i];

	pthread_mutex_lock(&subject->lock);
	subject->guest = guest;
	if (--subject->under_way) {
		subject->overlapped = true;
	} else if (!fn_exists(fn_of(i))) {
		/* With a fault it may not have been found again: nobody's */
		subject->guest = NOBODY;
	} else if (!is_pcibacks(i)) {
		subject->guest = NOBODY;
		witness_mark(WITNESS_UNOWNED, i);
		subject->marked = true;
	} else if (subject->overlapped) {
		subject->guest = NOBODY;
	} else if (guest != NOBODY) {
		witness_mark(WITNESS_ASSIGNED, i);
		if (clean)
			witness_mark(WITNESS_CLEAN, i);
		subject->marked = true;
	}
	pthread_mutex_unlock(&subject->lock);
}

static void change_set_begin(unsigned int set)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (set_of(i) == set)
			change_begin(i);
}

static void change_set_end(unsigned int set)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (set_of(i) == set)
			change_end(i, NOBODY, false);
}

static void trouble_begin(unsigned int set)
{
	atomic_add(shared->subjects[set].troubles, 1);
	atomic_add(shared->subjects[set].trouble, 1);
}

static void trouble_end(unsigned int set)
{
	atomic_add(shared->subjects[set].trouble, -1);
}

/* -- those that reset ------------------------------------------------------- */

/*
 * The toolstack's word: it ends an assignment, or announces its end, also one that
 * begins just now. Whose the function is after that is up to pciback.
 */
static int say_do_flr(struct fn fn)
{
	unsigned int i;
	int ret;

	for (i = 0; strcmp(fn_of(i).name, fn.name); i++)
		;
	change_begin(i);
	ret = do_flr(fn);
	change_end(i, NOBODY, false);
	return ret;
}

static void reset_by(enum op op, unsigned int i, int (*reset)(struct fn fn))
{
	struct subject *set = &shared->subjects[set_of(i)];
	unsigned int troubles = atomic_get(set->troubles);
	bool trouble = atomic_get(set->trouble);
	int ret;

	begin(op);
	ret = end(op, i, reset(fn_of(i)));
	if ((ret == -ETIMEDOUT || ret == -EIO) && !trouble &&
	    troubles == atomic_get(set->troubles))
		fail("%s, %s: %s, and nothing is the matter with it",
		     fn_of(i).name, ops[op].name, strerror(-ret));
}

/*
 * A VF with "bus" as its only method: the core would reset its slot, with the PF,
 * and there are no VFs any more until these are enabled again.
 */
static bool core_takes_pf(unsigned int i)
{
	char path[256], methods[64] = "";
	FILE *f;

	if (i < FIRST_VF)
		return false;
	fn_path(fn_of(i), "reset_method", path, sizeof(path));
	f = fopen(path, "r");
	if (f) {
		if (!fgets(methods, sizeof(methods), f))
			methods[0] = '\0';
		fclose(f);
	}
	return !strcmp(methods, "bus\n");
}

/* By root, of the core: pciback can't hold that back, and may be told lies */
static void reset_by_core(unsigned int i)
{
	struct subject *set = &shared->subjects[set_of(i)];
	char path[256];

	if (pthread_mutex_trylock(&set->core))
		return;
	if (!core_takes_pf(i)) {
		fn_path(fn_of(i), "reset", path, sizeof(path));
		begin(OP_SYSFS_RESET);
		witness_mark(WITNESS_ASKED, i);
		end(OP_SYSFS_RESET, i, write_string(path, "1"));
		witness_mark(WITNESS_ANSWERED, i);
	}
	pthread_mutex_unlock(&set->core);
}

/* Whatever is going on, what they say makes sense */
static void read_files(unsigned int i)
{
	static const char * const plans[] = {
		"", "flr", "slot", "bus", "pm", "none",
	};
	const char *plan;
	int needs_reset;
	unsigned int p;

	begin(OP_READ);
	plan = fn_plan(fn_of(i));
	needs_reset = fn_needs_reset(fn_of(i));
	end(OP_READ, i, 0);

	for (p = 0; p < ARRAY_SIZE(plans); p++)
		if (!strcmp(plan, plans[p]))
			break;
	if (p == ARRAY_SIZE(plans) && strncmp(plan, "blocked ", 8))
		fail("%s, its plan: \"%s\"", fn_of(i).name, plan);
	if (needs_reset != 0 && needs_reset != 1 && needs_reset != -ENOENT)
		fail("%s, needs_reset: %d", fn_of(i).name, needs_reset);

	begin(OP_READ);
	fn_last_reset(fn_of(i));
	end(OP_READ, i, 0);
}

static void step_reset(void)
{
	unsigned int what = any_below(12), i = any_below(NR_FNS);

	if (what < 5) {
		reset_by(OP_RESET_DEVICE, i, reset_device);
	} else if (what < 8) {
		reset_by(OP_DO_FLR, i, say_do_flr);
	} else if (what < 10) {
		reset_by_core(i);
	} else if (what < 11) {
		read_files(i);
	} else {
		begin(OP_PERMISSIVE);
		end(OP_PERMISSIVE, i,
		    write_string(PCIBACK_DIR "/permissive", fn_of(i).name));
	}
	pause_ms(any_below(50));
}

/* -- those that take away and give back ------------------------------------- */

static int adopt_by_slot(struct fn fn)
{
	int ret = write_string(PCIBACK_DIR "/new_slot", fn.name);

	return ret && ret != -EEXIST ? ret :
	       write_string(PCIBACK_DIR "/bind", fn.name);
}

static void step_own(void)
{
	unsigned int i = any_below(NR_FNS), how = any_below(4);
	bool unbind = is_pcibacks(i);

	/* From under a guest not that often */
	if (unbind && atomic_get(shared->subjects[i].guest) != NOBODY && how)
		return;

	change_begin(i);
	if (unbind) {
		begin(OP_UNBIND);
		end(OP_UNBIND, i, fn_release(fn_of(i)));
	} else if (how < 3) {
		begin(OP_ADOPT);
		end(OP_ADOPT, i, fn_adopt(fn_of(i)));
	} else {
		begin(OP_NEW_SLOT);
		end(OP_NEW_SLOT, i, adopt_by_slot(fn_of(i)));
	}
	change_end(i, NOBODY, false);
	pause_ms(any_below(unbind ? 300 : 600));
}

/* -- guests ----------------------------------------------------------------- */

static struct guest guest;
static int guest_nr;
static bool guest_up, guest_is_connected;
/* Its functions, and those that it was refused, which stay in its list */
static bool has[NR_FNS], was_refused[NR_FNS];

static bool guest_is_dom0(void)
{
	return guest_nr == NR_GUESTS - 1;
}

/* Was strict_reset on all the time since it was @before? */
static bool strict_since(unsigned int before)
{
	return !(before & 1) && before == atomic_get(shared->strict) &&
	       atomic_get(shared->strict_on);
}

/* One that can be had, from one at random on; NR_FNS if there is none */
static unsigned int any_for_guest(void)
{
	unsigned int from = any_below(NR_FNS), n, i;

	for (n = 0; n < NR_FNS; n++) {
		i = (from + n) % NR_FNS;
		/* Error recovery would wait for dom0's frontend, for minutes */
		if (!has[i] && atomic_get(shared->subjects[i].guest) == NOBODY &&
		    is_pcibacks(i) && !(guest_is_dom0() && places[i].aer))
			return i;
	}
	return NR_FNS;
}

/* One that it has, or was refused */
static unsigned int any_of_guest(void)
{
	unsigned int from = any_below(NR_FNS), n;

	for (n = 0; n < NR_FNS; n++)
		if (has[(from + n) % NR_FNS])
			return (from + n) % NR_FNS;
	return NR_FNS;
}

static void end_guest(void)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (has[i])
			change_begin(i);
	begin(OP_GUEST_DESTROY);
	end(OP_GUEST_DESTROY, NR_FNS, guest_destroy(&guest));
	for (i = 0; i < NR_FNS; i++) {
		if (has[i])
			change_end(i, NOBODY, false);
		has[i] = false;
		was_refused[i] = false;
	}
	guest_up = false;
	guest_is_connected = false;
}

static void connect_guest(void)
{
	begin(OP_GUEST_CONNECT);
	if (end(OP_GUEST_CONNECT, NR_FNS, guest_connect(&guest)))
		end_guest();
	else
		guest_is_connected = true;
}

static void start_guest(void)
{
	unsigned int want = 1 + any_below(3), strict = atomic_get(shared->strict);
	unsigned int nr, i;
	struct fn fns[3];
	bool clean;

	for (nr = 0; nr < want; nr++) {
		i = any_for_guest();
		if (i == NR_FNS)
			break;
		has[i] = true;
		fns[nr] = fn_of(i);
		change_begin(i);
	}
	if (!nr)
		return;

	begin(OP_GUEST_CREATE);
	guest_up = !end(OP_GUEST_CREATE, NR_FNS,
			guest_create(&guest, guest_is_dom0() ? 0 : DOMAIN + guest_nr,
				     fns, nr));
	clean = strict_since(strict);
	if (!guest_up) {
		begin(OP_GUEST_DESTROY);
		end(OP_GUEST_DESTROY, NR_FNS, guest_destroy(&guest));
	}
	for (i = 0; i < NR_FNS; i++) {
		if (has[i])
			change_end(i, guest_up ? guest_nr : NOBODY, clean);
		has[i] &= guest_up;
	}
	/* Once it has been reconfigured, it would look as if it were */
	if (guest_up && guest_is_dom0())
		connect_guest();
}

static void attach(unsigned int i)
{
	unsigned int strict = atomic_get(shared->strict);
	int ret;

	change_begin(i);
	has[i] = true;
	begin(OP_GUEST_ATTACH);
	ret = end(OP_GUEST_ATTACH, i, guest_attach(&guest, fn_of(i)));
	was_refused[i] = ret;
	change_end(i, ret ? NOBODY : guest_nr, strict_since(strict));
}

/*
 * One that was unbound from under the guest may be another guest's by now, and its
 * place on the bus another function's: these stay what they are.
 */
static void detach(unsigned int i)
{
	bool ours = was_refused[i] ||
		    atomic_get(shared->subjects[i].guest) == guest_nr;
	int ret;

	if (ours)
		change_begin(i);
	begin(OP_GUEST_DETACH);
	ret = end(OP_GUEST_DETACH, i, guest_detach(&guest, fn_of(i)));
	if (ours)
		change_end(i, NOBODY, false);
	has[i] = false;
	was_refused[i] = false;
	if (ret)
		end_guest();
}

static void access_config(unsigned int i)
{
	uint32_t val;

	begin(OP_GUEST_ACCESS);
	end(OP_GUEST_ACCESS, i,
	    guest_config_read(&guest, fn_of(i), PCI_COMMAND, 2, &val) ?:
	    guest_config_write(&guest, fn_of(i), PCI_COMMAND, 2,
			       val ^ PCI_COMMAND_MASTER));
}

static void step_guest(void)
{
	unsigned int what = any_below(8), i;

	if (!guest_up) {
		start_guest();
	} else if (what < 1) {
		end_guest();
	} else if (what < 4) {
		i = any_for_guest();
		if (i < NR_FNS)
			attach(i);
	} else if (what < 6) {
		i = any_of_guest();
		if (i < NR_FNS)
			detach(i);
	} else if (guest_is_connected) {
		i = any_of_guest();
		if (i < NR_FNS)
			access_config(i);
	}
	pause_ms(any_below(400));
}

static void end_step_guest(void)
{
	if (guest_up)
		end_guest();
}

/* -- the rules -------------------------------------------------------------- */

static int set_reset_method(unsigned int i, const char *method)
{
	char path[256];

	fn_path(fn_of(i), "reset_method", path, sizeof(path));
	return write_string(path, method);
}

static void step_rules(void)
{
	static const char * const methods[] = {
		"default", "default", "\n", "pm", "flr", "bus",
	};
	unsigned int what = any_below(8), i = any_below(NR_FNS);
	const char *method = methods[any_below(ARRAY_SIZE(methods))];
	bool on = any_below(2);

	if (what < 2) {
		begin(OP_STRICT_RESET);
		atomic_add(shared->strict, 1);
		end(OP_STRICT_RESET, NR_FNS,
		    set_parameter("strict_reset", on ? "1" : "0"));
		atomic_set(shared->strict_on, on);
		atomic_add(shared->strict, 1);
		pause_ms(any_below(3000));
	} else if (what < 3) {
		begin(OP_AUTO_RESET);
		end(OP_AUTO_RESET, NR_FNS,
		    set_parameter("auto_reset", on ? "1" : "0"));
		pause_ms(any_below(2000));
	} else if (what < 4) {
		/* Only stricter than the rest, or a hand-out is not to be judged */
		begin(OP_STRICT);
		end(OP_STRICT, i, fn_set(fn_of(i), "strict", on ? "1" : "default"));
		pause_ms(any_below(500));
	} else if (what < 5) {
		begin(OP_SET_RESET);
		end(OP_SET_RESET, i, fn_set(fn_of(i), "set_reset", "0"));
		pause_ms(any_below(1000));
		begin(OP_SET_RESET);
		end(OP_SET_RESET, i, fn_set(fn_of(i), "set_reset", "1"));
	} else {
		/* Whoever has the core reset it has looked at the methods */
		pthread_mutex_lock(&shared->subjects[set_of(i)].core);
		begin(OP_RESET_METHOD);
		end(OP_RESET_METHOD, i, set_reset_method(i, method));
		pthread_mutex_unlock(&shared->subjects[set_of(i)].core);
		pause_ms(any_below(1000));
	}
}

/* -- one that changes what there is ------------------------------------------ */

/*
 * One task for all of it: hotplug, removal, rescan and error recovery can wait
 * for each other in the core while a reset is under way (Limits, in the guide). It
 * removes all of a set before it looks for any of it: what is added in the middle
 * of a slot reset is no friend of the core's either.
 */

static void remove_and_rescan(unsigned int set, unsigned int pause)
{
	char path[256];
	unsigned int i;

	change_set_begin(set);
	for (i = 0; i < NR_FNS; i++) {
		if (set_of(i) != set)
			continue;
		fn_path(fn_of(i), "remove", path, sizeof(path));
		begin(OP_REMOVE);
		end(OP_REMOVE, i, write_string(path, "1"));
	}
	pause_ms(pause);
	/*
	 * Its bus alone: whoever looks for what is below a bridge puts back what
	 * he found in its control register, and may have found a reset there.
	 */
	snprintf(path, sizeof(path), "/sys/class/pci_bus/%04x:%02x/rescan",
		 fn_of(set).domain, fn_of(set).bus);
	begin(OP_RESCAN);
	end(OP_RESCAN, set, write_string(path, "1"));
	change_set_end(set);
}

static void renew_vfs(void)
{
	char path[256];
	unsigned int i;

	change_set_begin(FIRST_VF);
	for (i = FIRST_VF; i < NR_FNS; i++) {
		begin(OP_UNBIND);
		end(OP_UNBIND, i, fn_release(fn_of(i)));
	}
	fn_path(fn_of(PF), "sriov_numvfs", path, sizeof(path));
	begin(OP_NUMVFS);
	end(OP_NUMVFS, NR_FNS, write_string(path, "0"));
	begin(OP_NUMVFS);
	end(OP_NUMVFS, NR_FNS, write_string(path, "4"));
	change_set_end(FIRST_VF);
}

static int pull(struct fn port)
{
	slot_pull(port);
	return 0;
}

static int press(struct fn port)
{
	slot_press(port);
	return 0;
}

static void unplug_and_plug(enum op op, unsigned int set,
			    int (*unplug)(struct fn port))
{
	struct fn port = shared->witness.fns[set].above[0];
	unsigned int tries;

	if (!fn_exists(fn_of(set)))
		return;
	trouble_begin(set);
	change_set_begin(set);
	begin(op);
	if (!end(op, set, unplug(port))) {
		/* A reset that waits for it to come back is waited for */
		for (tries = 0; tries < 5 && !slot_wait_off(port); tries++)
			;
		slot_fill(port);
		if (!slot_wait_on(port))
			fail("%s: the card does not come back", port.name);
	}
	change_set_end(set);
	trouble_end(set);
}

static void recover(unsigned int i)
{
	unsigned int set = set_of(i);

	pthread_mutex_lock(&shared->accessors);
	trouble_begin(set);
	begin(OP_AER);
	witness_mark(WITNESS_ASKED, i);
	end(OP_AER, i, aer_recover(shared->witness.fns[i].above[0], fn_of(i)));
	witness_mark(WITNESS_ANSWERED, i);
	/* A fault may keep it away for a while after that */
	sleep(1);
	trouble_end(set);
	pthread_mutex_unlock(&shared->accessors);
}

static void step_topology(void)
{
	static int (* const unplug[])(struct fn) = {
		pull, pull, press, slot_power_off
	};
	static const enum op as[] = { OP_PULL, OP_PULL, OP_PRESS, OP_POWER_OFF };
	unsigned int what = any_below(10), i = any_below(FIRST_ON_ROOT);
	unsigned int how = any_below(ARRAY_SIZE(unplug)), pause = any_below(30);

	if (what < 5) {
		remove_and_rescan(set_of(i), pause);
	} else if (what < 7) {
		renew_vfs();
	} else if (what < 8) {
		while (!places[i].pluggable)
			i = (i + 1) % NR_FNS;
		unplug_and_plug(as[how], set_of(i), unplug[how]);
	} else {
		while (!places[i].aer)
			i = (i + 1) % NR_FNS;
		recover(i);
	}
	pause_ms(any_below(1500));
}

/* -- one that breaks things -------------------------------------------------- */

static int load_faults(void)
{
	int ret;

	pthread_mutex_lock(&shared->accessors);
	begin(OP_FAULT_LOAD);
	ret = end(OP_FAULT_LOAD, NR_FNS, fault_load());
	pthread_mutex_unlock(&shared->accessors);
	return ret;
}

static void unload_faults(void)
{
	pthread_mutex_lock(&shared->accessors);
	begin(OP_FAULT_UNLOAD);
	end(OP_FAULT_UNLOAD, NR_FNS, fault_unload());
	pthread_mutex_unlock(&shared->accessors);
}

static int add_faults(struct fn fn)
{
	int ret;

	pthread_mutex_lock(&shared->accessors);
	ret = fault_add(fn);
	pthread_mutex_unlock(&shared->accessors);
	return ret == -EEXIST ? 0 : ret;
}

static void step_faults(void)
{
	unsigned int i = any_below(FIRST_ON_ROOT), f = any_below(ARRAY_SIZE(faults));
	bool unload = !any_below(4);
	unsigned int lasts = any_below(3000), set = set_of(i);
	bool trouble = false;
	int ret;

	if (load_faults())
		return;

	/* That an FLR had no effect is what the core does not see */
	begin(OP_FAULT);
	pthread_mutex_lock(&shared->subjects[set].core);
	ret = add_faults(fn_of(i));
	if (!ret) {
		trouble = !faults[f].harmless;
		if (trouble)
			trouble_begin(set);
		ret = fault_set(fn_of(i), faults[f].file, faults[f].val);
	}
	if (!end(OP_FAULT, i, ret)) {
		atomic_add(shared->faults[f], 1);
		pause_ms(lasts);
		ret = fault_set(fn_of(i), faults[f].file, 0) ?:
		      fault_set(fn_of(i), "heal", 1);
		if (ret)
			fail("%s cannot be healed: %s", fn_of(i).name,
			     strerror(-ret));
	}
	if (trouble)
		trouble_end(set);
	pthread_mutex_unlock(&shared->subjects[set].core);

	if (unload)
		unload_faults();
	pause_ms(any_below(500));
}

/* -- one that wants memory --------------------------------------------------- */

/* What is to be left, in MB: nobody is to be killed */
#define MEMORY_LEFT	80

static size_t memory_available(void)
{
	unsigned long kb = 0;
	char line[128];
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb >> 10;
}

static void step_memory(void)
{
	size_t mb = memory_available();
	unsigned int lasts = any_below(300);
	char *memory;

	begin(OP_MEMORY);
	mb = mb > MEMORY_LEFT ? mb - MEMORY_LEFT : 0;
	memory = mmap(NULL, mb << 20 ?: 1, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pause_ms(lasts);
	if (memory != MAP_FAILED)
		munmap(memory, mb << 20 ?: 1);
	end(OP_MEMORY, NR_FNS, write_string("/proc/sys/vm/drop_caches", "3"));
	pause_ms(500 + any_below(1000));
}

/* -- all of them ------------------------------------------------------------ */

static const struct {
	void (*step)(void);
	void (*end)(void);
	unsigned int nr;
} kinds[] = {
	{ step_reset, NULL, 4 },
	{ step_own, NULL, 2 },
	{ step_guest, end_step_guest, NR_GUESTS },
	{ step_rules, NULL, 1 },
	{ step_topology, NULL, 1 },
	{ step_faults, unload_faults, 1 },
	{ step_memory, NULL, 1 },
};

static unsigned int setting(const char *name, unsigned int value)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : value;
}

/* What it does is up to the seed, its number, and how often it did it before */
static void run_task(unsigned int kind, unsigned int nr)
{
	unsigned int step;

	for (step = 0; !atomic_get(shared->stop); step++) {
		seed = (first_seed * 1000003 + nr) * 1000003 + step;
		kinds[kind].step();
	}
	if (kinds[kind].end)
		kinds[kind].end();
}

static unsigned int start_tasks(void)
{
	unsigned int kind, of_kind, nr = 0;
	pid_t pid;

	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		for (of_kind = 0; of_kind < kinds[kind].nr; of_kind++) {
			me = &shared->tasks[nr];
			guest_nr = of_kind;
			pid = fork();
			if (pid < 0)
				err(1, "fork");
			if (!pid) {
				run_task(kind, nr);
				_exit(0);
			}
			me->pid = pid;
			nr++;
		}
	}
	return nr;
}

/* How many are still there; who has died or hangs has failed */
static unsigned int look_after_tasks(unsigned int nr)
{
	time_t now = time(NULL), since;
	unsigned int i, left = 0;
	struct task *task;
	int status;

	for (i = 0; i < nr; i++) {
		task = &shared->tasks[i];
		if (!task->pid)
			continue;
		if (waitpid(task->pid, &status, WNOHANG)) {
			task->pid = 0;
			if (!WIFEXITED(status) || WEXITSTATUS(status))
				fail("a task died of \"%s\"",
				     ops[task->doing].name);
			continue;
		}
		since = atomic_get(task->since);
		if (since && now - since > STUCK_S) {
			fail("\"%s\" hangs", ops[task->doing].name);
			/* Who waits for what is in the kernel's log then */
			write_string("/proc/sysrq-trigger", "w");
			task->pid = 0;
			continue;
		}
		left++;
	}
	return left;
}

static unsigned int sum(const unsigned int *counts, unsigned int nr)
{
	unsigned int total = 0;

	while (nr--)
		total += counts[nr];
	return total;
}

static void report_progress(unsigned int seconds)
{
	const struct witness *witness = &shared->witness;

	say("%4u s: %u operations, %u faults; %u FLRs, %u slot or bus resets, %u D3hot; %u wrong",
	    seconds, sum(shared->times, NR_OPS),
	    sum(shared->faults, ARRAY_SIZE(faults)), witness->flrs,
	    witness->sbrs, witness->d3s,
	    witness->violations + shared->failures);
}

/* As it goes: an hour does not fit into the kernel's log */
static void look_at_log(int kmsg)
{
	static const char * const complaints[] = {
		"cut here", "BUG", "WARNING:", "blocked for more than",
		"pagealloc:", "INFO: trying to register", "detected stalls",
		"unlocked secondary bus reset",
	};
	/* Not its fault, but "make check" is to know of it */
	static const char forgotten[] = "MSI-X release failed (-19)";
	/* lockdep's first report is on the console whole: "make check" knows whose it is */
	static const char lockdep[] = "WARNING: possible ";
	char record[2048], *text;
	unsigned int i;
	ssize_t len;

	for (;;) {
		len = read(kmsg, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE) {
			say("some of the kernel's log was lost");
			continue;
		}
		if (len < 0)
			return;
		record[len] = '\0';
		text = strchr(record, ';');
		if (text && strstr(text, forgotten))
			say("Xen had forgotten a function: %s", forgotten);
		if (text && strstr(text, lockdep)) {
			say("the kernel: %s", text + 1);
			continue;
		}
		for (i = 0; text && i < ARRAY_SIZE(complaints); i++)
			if (strstr(text, complaints[i]))
				fail("the kernel: %s", text + 1);
	}
}

/* Let the tasks run, and wait until all have come to an end */
static void run_tasks(unsigned int seconds, pid_t witness)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	time_t start = time(NULL);
	unsigned int nr, last = 0, now = 0;

	if (kmsg < 0)
		err(1, "/dev/kmsg");
	lseek(kmsg, 0, SEEK_END);
	nr = start_tasks();
	while (look_after_tasks(nr)) {
		sleep(1);
		if (waitpid(witness, NULL, WNOHANG)) {
			fail("the witness is gone");
			atomic_set(shared->stop, true);
		}
		look_at_log(kmsg);
		witness_mark(WITNESS_TICK, 0);
		now = time(NULL) - start;
		if (now - last >= PROGRESS_S) {
			report_progress(now);
			last = now;
		}
		if (now >= seconds || atomic_get(shared->witness.violations))
			atomic_set(shared->stop, true);
	}
	report_progress(now);
	close(kmsg);
}

static void report(unsigned int seconds)
{
	const struct witness *witness = &shared->witness;
	struct utsname name;
	unsigned int op, e, f;
	char refused[160];
	size_t len;

	uname(&name);
	say("seed %u, %u s, %ld CPUs, Linux %s", first_seed, seconds,
	    sysconf(_SC_NPROCESSORS_ONLN), name.release);
	say("%-38s %6s %6s  %s", "operation", "times", "ok", "refused, failed");
	for (op = 0; op < NR_OPS; op++) {
		len = 0;
		refused[0] = '\0';
		for (e = 0; e < NR_ERRNOS; e++)
			if (shared->refused[op][e])
				len += snprintf(refused + len,
						sizeof(refused) - len, "%s%s %u",
						len ? ", " : "", errnos[e].name,
						shared->refused[op][e]);
		say("%-38s %6u %6u  %s", ops[op].name, shared->times[op],
		    shared->good[op], refused);
	}
	for (f = 0; f < ARRAY_SIZE(faults); f++)
		say("fault survived: %-13s %-10u %6u", faults[f].file,
		    faults[f].val, shared->faults[f]);
	say("hardware: %u FLRs, %u slot or bus resets, %u D3hot, %u devices reset",
	    witness->flrs, witness->sbrs, witness->d3s, witness->devices);
	say("judged: %u times that a function was not to be reset, %u strict hand-outs",
	    witness->intervals, witness->handed_out);
	say("violations: %u, failures: %u", witness->violations,
	    shared->failures);
}

FIXTURE(stress)
{
	struct fn fns[NR_FNS], pf;
	char path[256];
};

static struct witness_fn place_fn(unsigned int i)
{
	struct fn port = fn_root(places[i].port), bridge;
	struct witness_fn fn = { .above = { port }, .nr_above = 1 };

	if (i >= FIRST_ON_ROOT && i < FIRST_VF) {
		fn.fn = port;
		fn.nr_above = 0;
	} else if (places[i].bridge == NO_BRIDGE) {
		fn.fn = fn_below(port, places[i].dev, places[i].func);
	} else {
		bridge = fn_below(port, places[i].bridge, 0);
		fn.fn = fn_below(bridge, places[i].dev, places[i].func);
		fn.above[0] = bridge;
		fn.above[fn.nr_above++] = port;
	}
	return fn;
}

/* In the order of those that share something: what is pciback's is so from here */
FIXTURE_SETUP(stress)
{
	pthread_mutexattr_t attr;
	unsigned int i;

	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->accessors, &attr);
	for (i = 0; i < NR_FNS; i++) {
		shared->witness.fns[i] = place_fn(i);
		self->fns[i] = fn_of(i);
		shared->subjects[i].guest = NOBODY;
		pthread_mutex_init(&shared->subjects[i].lock, &attr);
		pthread_mutex_init(&shared->subjects[i].core, &attr);
	}
	shared->witness.fns[PF] = place_fn(FIRST_VF);
	self->pf = fn_below(fn_root(places[FIRST_VF].port), 0, 0);
	shared->witness.fns[PF].fn = self->pf;
	shared->witness.nr = NR_FNS + 1;

	/* One that leaves the disk alone: what is removed has no MSI-X any more */
	ASSERT_EQ(0, load_module("pci-pf-stub"));
	ASSERT_EQ(0, fn_bind(self->pf, "pci-pf-stub"));
	fn_path(self->pf, "sriov_numvfs", self->path, sizeof(self->path));
	ASSERT_EQ(0, write_string(self->path, "4"));
	for (i = 0; i < NR_FNS; i++)
		ASSERT_EQ(0, fn_adopt(self->fns[i]));
}

FIXTURE_TEARDOWN(stress)
{
	unsigned int i;

	EXPECT_EQ(0, set_parameter("strict_reset", "0"));
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, fault_unload());
	for (i = 0; i < NR_FNS; i++)
		if (fn_exists(self->fns[i]))
			EXPECT_EQ(0, fn_release(self->fns[i]));
	EXPECT_EQ(0, write_string(self->path, "0"));
	EXPECT_EQ(0, fn_release(self->pf));
	EXPECT_EQ(0, unload_module("pci-pf-stub"));
}

/* All functions are there, and reset as they should be, and a guest can have them */
#define expect_usable() do {						\
	struct guest last;						\
	char text[128];							\
	unsigned int i;							\
	int ret;							\
									\
	EXPECT_EQ(0, set_parameter("strict_reset", "0"));		\
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));			\
	EXPECT_EQ(0, write_string("/sys/bus/pci/rescan", "1"));		\
	for (i = 0; i < NR_FNS; i++) {					\
		if (fn_has_file(self->fns[i], "reset_method"))		\
			EXPECT_EQ(0, set_reset_method(i, "default"));	\
		EXPECT_EQ(0, fn_adopt(self->fns[i])) {			\
			TH_LOG("%s", self->fns[i].name);		\
		}							\
		EXPECT_EQ(0, fn_set(self->fns[i], "strict", "default"));	\
		EXPECT_EQ(0, fn_set(self->fns[i], "set_reset", "1"));	\
	}								\
	for (i = 0; i < NR_FNS; i++) {					\
		EXPECT_STREQ(places[i].plan, fn_plan(self->fns[i]));	\
		EXPECT_EQ(strcmp(places[i].plan, "none") ? 0 : -ENOTTY,	\
			  reset_device(self->fns[i])) {			\
			TH_LOG("%s", self->fns[i].name);		\
		}							\
	}								\
	if (shared->times[OP_AER] == shared->good[OP_AER])		\
		ret = guest_create(&last, DOMAIN, self->fns, NR_FNS);	\
	else								\
		ret = guest_create_recovered(&last, DOMAIN, self->fns,	\
					     NR_FNS);			\
	EXPECT_EQ(0, ret) {						\
		guest_error(&last, text, sizeof(text));			\
		TH_LOG("%s", text);					\
	}								\
	EXPECT_EQ(0, guest_destroy(&last));				\
} while (0)

/* A run as long as this one comes to all that it could do */
#define LONG_S	3600

#define expect_all_done(witness) do {					\
	unsigned int nr;						\
									\
	EXPECT_LT(0, (witness)->handed_out);				\
	for (nr = 0; nr < NR_OPS; nr++)					\
		EXPECT_LT(0, shared->good[nr]) {			\
			TH_LOG("%s", ops[nr].name);			\
		}							\
	for (nr = 0; nr < ARRAY_SIZE(faults); nr++)			\
		EXPECT_LT(0, shared->faults[nr]) {			\
			TH_LOG("%s", faults[nr].file);			\
		}							\
} while (0)

/* Without pciback the kernel frees each function that is removed */
#define expect_nothing_left() do {					\
	unsigned int set, nr;						\
									\
	for (set = 0; set < NR_FNS; set++)				\
		EXPECT_EQ(0, fn_release(self->fns[set]));		\
	ASSERT_EQ(0, unload_module("xen_pciback"));			\
	for (set = 0; set < FIRST_ON_ROOT; set += nr) {			\
		for (nr = 1; set_of(set + nr) == set; nr++)		\
			;						\
		EXPECT_EQ(nr, release_count(shared->witness.fns[set].above[0], \
					    &self->fns[set], nr));	\
	}								\
	ASSERT_EQ(0, load_pciback(""));					\
} while (0)

TEST_F_TIMEOUT(stress, all, TIMEOUT)
{
	unsigned int seconds = setting("STRESS_SECONDS", 20);
	struct witness *witness = &shared->witness;
	pid_t pid;

	first_seed = setting("STRESS_SEED", 1);
	pid = witness_start(witness);
	witness_mark(WITNESS_UNOWNED, PF);
	run_tasks(seconds, pid);
	witness_mark(WITNESS_STOP, 0);
	EXPECT_EQ(0, wait_for_child(pid));

	report(seconds);
	EXPECT_EQ(0, witness->violations) {
		TH_LOG("seed %u: %s", first_seed, witness->first);
	}
	/* Whoever hangs does so with locks held */
	ASSERT_EQ(0, shared->failures) {
		TH_LOG("seed %u: %s", first_seed, shared->first);
	}
	/* Or it was no test of anything. The PF is one. */
	EXPECT_LT(1, witness->intervals);
	EXPECT_LT(0, witness->sbrs);
	EXPECT_LT(0, witness->flrs);
	if (seconds >= LONG_S)
		expect_all_done(witness);

	expect_usable();
	expect_nothing_left();
}

TEST_HARNESS_MAIN
