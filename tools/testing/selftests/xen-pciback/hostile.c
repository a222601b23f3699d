// SPDX-License-Identifier: GPL-2.0
/*
 * Hostile guests, which own their xenstore directories: toolstacks hand functions from one
 * guest to the next at once, while most guests write anything into their own nodes, continue
 * config accesses through their ring, and change the functions that they have in Xen.
 *
 * The test plays Xen's part, which guest has what. A toolstack does what libxl does: it
 * writes do_flr before it hands a function out and before it takes it away, and it does not
 * wait for pciback when it destroys a guest. By the hardware's trace (lib/witness.h), if
 * such a do_flr succeeds, the function was reset since its last guest lost it in Xen, and no
 * reset reaches a function that a well-behaved guest has. Each guest finds the state of bind
 * time. If no other guest has a function of the set, do_flr resets thoroughly. No task
 * hangs, and no function is lost.
 *
 * STRESS_SECONDS [20] from STRESS_SEED [1], as in stress.c.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "lib/harness.h"
#include "lib/guest.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"
#include "lib/release.h"
#include "lib/random.h"
#include "lib/witness.h"

/* The first of several toolstacks has well-behaved guests, the last one's are dom0 */
#define NR_HOUSES	4
#define HONEST		0
#define DOM0S		(NR_HOUSES - 1)
#define NOBODY		0
#define DOMAINS		100
#define MAX_WANTED	3

#define WAIT_MS		(5000 * SLOWER)
/* A task that runs so long after the end hangs */
#define STUCK_MS	(300000 * SLOWER)

#define NO_BRIDGE	(-1)
/* As in qemu/machine.sh. @own: it has an FLR. */
static const struct {
	unsigned int port;
	int bridge;
	unsigned int dev, func;
	bool own;
} places[] = {
	{ 0x10, NO_BRIDGE, 0, 0, true },
	{ 0x12, NO_BRIDGE, 0, 0 },
	{ 0x13, NO_BRIDGE, 0, 0 },
	{ 0x13, NO_BRIDGE, 0, 1 },
	{ 0x13, NO_BRIDGE, 0, 2 },
	{ 0x14, 0, 1, 0 },
	{ 0x14, 0, 2, 0 },
	{ 0x17, NO_BRIDGE, 0, 0, true },
};

#define NR_FNS		ARRAY_SIZE(places)

enum count { GUESTS, CHANGES, FORGED, SENT, EDITED, REQUESTS, CLEAN, FIRM, ASKED, NR_COUNTS };

static const char * const counts[NR_COUNTS] = {
	"guests", "attached and detached", "nodes forged", "writes through a ring",
	"edited by their guests", "requests before a hand-out", "called clean",
	"no other guest in the set", "resets by the administrator",
};

/* What all know */
static struct shared {
	struct witness witness;
	struct owned owned;
	/* Xen's account, and how often it has changed for each set */
	pthread_mutex_t xen;
	unsigned int owner[NR_FNS], changes[NR_FNS];
	bool stop;
	unsigned int counts[NR_COUNTS], failures;
	char first[320];
} *shared;

static unsigned int first_seed, seed;

/* One toolstack, and its guest */
static unsigned int house;
static struct guest guest, alias;
static pthread_t forger;
static pthread_mutex_t in_xen = PTHREAD_MUTEX_INITIALIZER;
static bool has[NR_FNS], clean[NR_FNS];
static bool forging;
/* Where the guest has seen functions on its bus */
static char seen[NR_FNS][32];

#define counted(what)		atomic_add(shared->counts[what], 1)

#define any_below(n)	random_below(&seed, n)
#define pause_ms(ms)	usleep((ms) * 1000)

/* It is over */
__printf(1, 2)
static void fail(const char *fmt, ...)
{
	char text[sizeof(shared->first)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	printf("# hostile: toolstack %u: %s\n", house, text);
	fflush(stdout);
	if (atomic_add(shared->failures, 1) == 1)
		memcpy(shared->first, text, sizeof(text));
	atomic_set(shared->stop, true);
}

static struct fn fn_of(unsigned int i)
{
	return shared->owned.fns[i];
}

static unsigned int set_of(unsigned int i)
{
	while (i && places[i - 1].port == places[i].port)
		i--;
	return i;
}

/* -- Xen's part -------------------------------------------------------------- */

static bool pass_on(unsigned int i, unsigned int from, unsigned int to)
{
	bool passed;

	pthread_mutex_lock(&shared->xen);
	passed = shared->owner[i] == from;
	if (passed) {
		shared->owner[i] = to;
		shared->changes[set_of(i)]++;
	}
	pthread_mutex_unlock(&shared->xen);
	return passed;
}

static bool take(unsigned int i)
{
	return pass_on(i, NOBODY, house + 1);
}

#define give_back(i)	pass_on(i, house + 1, NOBODY)

/* Has no guest a function of its set? That is so until *@changes is another. */
static bool is_alone(unsigned int i, unsigned int *changes)
{
	bool alone = true;
	unsigned int j;

	pthread_mutex_lock(&shared->xen);
	*changes = shared->changes[set_of(i)];
	for (j = 0; j < NR_FNS; j++)
		if (set_of(j) == set_of(i) && shared->owner[j] != NOBODY &&
		    (shared->owner[j] != house + 1 || has[j]))
			alone = false;
	pthread_mutex_unlock(&shared->xen);
	return alone;
}

/* -- the guest ---------------------------------------------------------------- */

static void forge(unsigned int *from)
{
	static const char * const states[] = {
		"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "", "-1", "4294967300",
		"nonsense", NULL, NULL,
	};

	if (random_below(from, 8))
		guest_forge_state(&alias, states[random_below(from, ARRAY_SIZE(states))]);
	else
		guest_forge_removal(&alias);
	counted(FORGED);
}

/* What it has in Xen it reaches without pciback */
static void edit(unsigned int i, unsigned int *from)
{
	pthread_mutex_lock(&in_xen);
	if (has[i])
		fn_edit(fn_of(i), random_below(from, 2) ? EDIT_ENABLED : EDIT_DISABLED);
	pthread_mutex_unlock(&in_xen);
	counted(EDITED);
}

static void send_write(unsigned int i, unsigned int *from)
{
	static const struct {
		unsigned int offset, len, val;
	} writes[] = {
		{ PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY },
		{ PCI_INTERRUPT_LINE, 1, 0x5a },
		{ PCI_BASE_ADDRESS_0, 4, 0xffffffff },
	};
	unsigned int w = random_below(from, ARRAY_SIZE(writes));
	char place[sizeof(seen[i])];

	guest_place(&alias, fn_of(i), place, sizeof(place));
	if (*place)
		memcpy(seen[i], place, sizeof(place));
	if (*seen[i] && !guest_config_send(&alias, seen[i], writes[w].offset,
					   writes[w].len, writes[w].val))
		counted(SENT);
}

/* From here on nobody knows what pciback makes of the guest */
static void *run_forger(void *arg)
{
	unsigned int from = first_seed * 1000003 + guest.domid + house + any_below(10000);
	unsigned int what, i;

	while (atomic_get(forging)) {
		what = random_below(&from, 8);
		i = random_below(&from, NR_FNS);
		if (what < 3)
			forge(&from);
		else if (what < 5)
			edit(i, &from);
		else if (alias.page)
			send_write(i, &from);
		pause_ms(random_below(&from, 60));
	}
	return arg;
}

static void start_forger(void)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (has[i])
			witness_mark(WITNESS_FREE, i);
	memset(seen, 0, sizeof(seen));
	if (guest_alias(&alias, &guest))
		errx(1, "no connection to xenstored");
	forging = true;
	if (pthread_create(&forger, NULL, run_forger, NULL))
		errx(1, "no thread");
}

static void stop_forger(void)
{
	if (!forging)
		return;
	atomic_set(forging, false);
	pthread_join(forger, NULL);
	guest_alias_end(&alias);
}

/* -- the toolstack ------------------------------------------------------------ */

/* Right before the hand-out: from here on it is as at bind time, if it is clean */
static void request(unsigned int i)
{
	unsigned int before, after;
	bool alone = is_alone(i, &before);
	int ret = do_flr(fn_of(i));

	counted(REQUESTS);
	clean[i] = !ret && !fn_needs_reset(fn_of(i));
	alone &= is_alone(i, &after) && before == after;
	if (clean[i]) {
		counted(CLEAN);
		witness_mark(WITNESS_CLEAN, i);
	}
	if (alone || places[i].own) {
		counted(FIRM);
		if (!clean[i])
			fail("%s, which nobody has: do_flr %d, \"%s\"; plan \"%s\"",
			     fn_of(i).name, ret, fn_last_reset(fn_of(i)),
			     fn_plan(fn_of(i)));
	}
}

static void compare(unsigned int i)
{
	unsigned char now[PCI_CONFIG_SIZE];
	unsigned int b;

	fn_read_config(fn_of(i), 0, now, sizeof(now));
	for (b = 0; b < sizeof(now); b++)
		if (now[b] != shared->owned.bound[i][b])
			fail("%s, byte 0x%02x: 0x%02x, was 0x%02x; \"%s\"",
			     fn_of(i).name, b, now[b], shared->owned.bound[i][b],
			     fn_last_reset(fn_of(i)));
}

/* In Xen it has all of them. What pciback has handed out is as at bind time. */
static void handed_out(unsigned int i)
{
	if (!forging && guest_fn_state(&guest, fn_of(i)) == STATE_INITIALISED) {
		witness_mark(WITNESS_ASSIGNED, i);
		if (clean[i])
			compare(i);
	}
	pthread_mutex_lock(&in_xen);
	has[i] = true;
	pthread_mutex_unlock(&in_xen);
}

/* Xen keeps the guest from it, after the farewell */
static void deassign(unsigned int i)
{
	int ret;

	witness_mark(WITNESS_FREE, i);
	ret = do_flr(fn_of(i));
	if (ret && ret != -EAGAIN && ret != -EBUSY)
		fail("%s, farewell: %s", fn_of(i).name, strerror(-ret));
	pthread_mutex_lock(&in_xen);
	has[i] = false;
	witness_mark(WITNESS_FREE, i);
	pthread_mutex_unlock(&in_xen);
}

static bool still_has(unsigned int i)
{
	return has[i];
}

/* One of which that is true, the first from @i on; NR_FNS if there is none */
static unsigned int any(unsigned int i, bool (*is)(unsigned int i))
{
	unsigned int n;

	for (n = 0; n < NR_FNS; n++)
		if (is((i + n) % NR_FNS))
			return (i + n) % NR_FNS;
	return NR_FNS;
}

static void start_guest(void)
{
	static unsigned int domain;
	unsigned int want = 1 + any_below(MAX_WANTED), i = any_below(NR_FNS), nr, n;
	unsigned int mine[MAX_WANTED];
	struct fn fns[MAX_WANTED];
	int ret;

	/* The rest of a card, as like as not */
	for (nr = 0; nr < want; nr++) {
		i = any(i + !!nr, take);
		if (i == NR_FNS)
			break;
		request(i);
		fns[nr] = fn_of(i);
		mine[nr] = i;
	}
	if (!nr)
		return;

	if (guest_begin(&guest, house == DOM0S ? 0 : house * DOMAINS + ++domain, fns, nr))
		errx(1, "no guest");
	counted(GUESTS);
	guest.wait_ms = WAIT_MS;
	ret = guest_wait(&guest);
	if (ret == -ETIMEDOUT)
		fail("guest of %s: pciback does not answer", fns[0].name);
	for (n = 0; n < nr; n++)
		handed_out(mine[n]);
	if (!ret && house == DOM0S && guest_connectable())
		guest_connect(&guest);
	if (house != HONEST)
		start_forger();
}

/* The nodes are gone, and its functions can be handed out */
static void end_guest(void)
{
	bool had[NR_FNS];
	unsigned int i;

	memcpy(had, has, sizeof(had));
	for (i = 0; i < NR_FNS; i++)
		if (had[i])
			deassign(i);
	pause_ms(any_below(3) ? 0 : any_below(300));
	guest_remove(&guest);
	for (i = 0; i < NR_FNS; i++)
		if (had[i])
			give_back(i);
	/* It has not been told yet */
	pause_ms(any_below(3) ? 0 : any_below(300));
	stop_forger();
	if (guest_destroy(&guest))
		fail("a guest has not come to its end");
}

static void attach(unsigned int i)
{
	request(i);
	if (house == HONEST) {
		guest_attach(&guest, fn_of(i));
	} else {
		guest_offer(&guest, fn_of(i));
		if (any_below(2))
			guest_wait_fn(&guest, fn_of(i));
	}
	handed_out(i);
}

static void detach(unsigned int i)
{
	deassign(i);
	if (house == HONEST) {
		guest_detach(&guest, fn_of(i));
	} else {
		guest_recall(&guest, fn_of(i));
		pause_ms(any_below(2) ? 0 : any_below(200));
		guest_forget(&guest, fn_of(i));
	}
	give_back(i);
}

static void run_house(void)
{
	unsigned int step, lasts, more, i;

	for (step = 0; !atomic_get(shared->stop); step++) {
		seed = (first_seed * 1000003 + house) * 1000003 + step;
		start_guest();
		lasts = guest.xs ? any_below(6) : 0;
		while (lasts-- && !atomic_get(shared->stop)) {
			pause_ms(any_below(400));
			more = any_below(2);
			i = any(any_below(NR_FNS), more ? take : still_has);
			if (i == NR_FNS)
				continue;
			(more ? attach : detach)(i);
			counted(CHANGES);
		}
		pause_ms(any_below(300));
		if (guest.xs)
			end_guest();
	}
}

static void run_administrator(void)
{
	unsigned int step, i;
	int ret;

	for (step = 0; !atomic_get(shared->stop); step++) {
		seed = (first_seed * 1000003 + NR_HOUSES) * 1000003 + step;
		i = any_below(NR_FNS);
		ret = reset_device(fn_of(i));
		if (ret && ret != -EBUSY && ret != -EAGAIN)
			fail("%s, reset_device: %s", fn_of(i).name, strerror(-ret));
		counted(ASKED);
		pause_ms(any_below(1000));
	}
}

/* -- all of them ----------------------------------------------------------------- */

FIXTURE(hostile)
{
	unsigned int refs[NR_FNS];
	int klog;
};

FIXTURE_SETUP(hostile)
{
	struct fn fns[NR_FNS], port, above;
	pthread_mutexattr_t attr;
	unsigned int i;

	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->xen, &attr);

	for (i = 0; i < NR_FNS; i++) {
		struct witness_fn *fn = &shared->witness.fns[i];

		port = fn_root(places[i].port);
		above = port;
		fn->above[fn->nr_above++] = port;
		if (places[i].bridge != NO_BRIDGE) {
			above = fn_below(port, places[i].bridge, 0);
			fn->above[fn->nr_above++] = above;
		}
		fns[i] = fn_below(above, places[i].dev, places[i].func);
		fn->fn = fns[i];
		fn->reset = true;	/* by owned_adopt_all() */
	}
	shared->witness.nr = NR_FNS;
	self->klog = klog_begin();
	ASSERT_EQ(0, owned_adopt_all(&shared->owned, fns, NR_FNS, true));
	for (i = 0; i < NR_FNS; i++)
		self->refs[i] = release_record_refs(fns[i]);
}

FIXTURE_TEARDOWN(hostile)
{
	static const char * const complaints[] = {
		"cut here", "WARNING:", "BUG", "blocked for more than", "left on by somebody",
	};
	unsigned int i;

	EXPECT_EQ(0, owned_release(&shared->owned));
	for (i = 0; i < ARRAY_SIZE(complaints); i++)
		EXPECT_FALSE(klog_has(self->klog, complaints[i], NULL, NULL, 0));
	klog_end(self->klog);
}

TEST_F_TIMEOUT(hostile, all, 100000)
{
	unsigned int seconds = setting("STRESS_SECONDS", 20), i, t;
	struct witness *witness = &shared->witness;
	pid_t pids[NR_HOUSES + 1], pid;
	long long give_up;
	int ret;

	first_seed = setting("STRESS_SEED", 1);
	pid = witness_start(witness);
	for (house = 0; house <= NR_HOUSES; house++) {
		pids[house] = fork();
		ASSERT_LE(0, pids[house]);
		if (pids[house])
			continue;
		if (house < NR_HOUSES)
			run_house();
		else
			run_administrator();
		_exit(0);
	}

	for (t = 0; t < seconds && !shared->stop && !witness->violations; t++) {
		sleep(1);
		witness_mark(WITNESS_TICK, 0);
	}
	atomic_set(shared->stop, true);
	give_up = now_ms() + STUCK_MS;
	for (i = 0; i <= NR_HOUSES; i++) {
		while ((ret = wait_for_child_until(pids[i], 5000)) == -ETIMEDOUT &&
		       now_ms() < give_up)
			witness_mark(WITNESS_TICK, 0);
		ASSERT_EQ(0, ret) {
			write_string("/proc/sysrq-trigger", "w");
			TH_LOG("seed %u: task %u", first_seed, i);
		}
	}
	witness_mark(WITNESS_STOP, 0);
	EXPECT_EQ(0, wait_for_child(pid));

	printf("# hostile: seed %u, %u s: %u FLRs, %u slot or bus resets, %u D3hot\n", first_seed,
	       t, witness->flrs, witness->sbrs, witness->d3s);
	for (i = 0; i < NR_COUNTS; i++)
		printf("# hostile: %-28s %6u\n", counts[i], shared->counts[i]);
	fflush(stdout);
	EXPECT_EQ(0, witness->violations + shared->failures) {
		TH_LOG("seed %u: %s %s", first_seed, witness->first, shared->first);
	}
	/* Or it was no test of anything. Only a PV dom0 can be its own guest. */
	for (i = 0; i < NR_COUNTS; i++)
		EXPECT_TRUE(shared->counts[i] || (i == SENT && !guest_connectable()));

	/* Nothing is lost. Until it was asked for, one may look as if it was in use. */
	for (i = 0; i < NR_FNS; i++)
		do_flr(fn_of(i));
	for (i = 0; i < NR_FNS; i++) {
		fn_quiesce(fn_of(i));
		EXPECT_EQ(0, reset_device(fn_of(i))) {
			TH_LOG("%s: %s", fn_of(i).name, fn_last_reset(fn_of(i)));
		}
		EXPECT_EQ(0, fn_needs_reset(fn_of(i)));
	}
	EXPECT_EQ(0, owned_changed(&shared->owned, PCI_CONFIG_SIZE));
	for (i = 0; i < NR_FNS; i++)
		EXPECT_EQ(self->refs[i], release_record_refs(fn_of(i)));
}

TEST_HARNESS_MAIN
