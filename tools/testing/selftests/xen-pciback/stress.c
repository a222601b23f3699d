// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, at random: many tasks reset functions, unbind and bind them, hand
 * them to guests, remove them from the bus, pull their cards, inject faults and change
 * settings. No task waits for another. By the hardware's trace (lib/witness.h) no reset
 * ever reaches a function that pciback does not own or that a guest has, and with
 * strict_reset no dirty function is handed out. No reset fails without a cause, and no task
 * hangs. At the end every function can be reset and handed out, and the module can be
 * unloaded, with nothing of it left.
 *
 * STRESS_SECONDS [20] from STRESS_SEED [1]: each task does the same each time, but the
 * scheduler decides when, and so the results differ. "make stress" runs longer. tasks/ has
 * what the tasks do; this file starts and watches them, and checks the results.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "lib/harness.h"
#include "lib/release.h"
#include "tasks/tasks.h"

/* A task that has not come back by then hangs */
#define STUCK_S		400
#define PROGRESS_S	30
/* For all that comes after, which is not counted */
#define TIMEOUT		100000

static unsigned int first_seed;

/* -- all tasks -------------------------------------------------------------- */

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
	    sum(shared->faults, NR_FAULTS), witness->flrs,
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
	/* Not its fault, but what judges the console is to know of it */
	static const char forgotten[] = "MSI-X release failed (-19)";
	/* lockdep's first report is on the console whole, where it is judged */
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
	for (f = 0; f < NR_FAULTS; f++)
		say("fault survived: %-13s %-10u %6u", faults[f].file,
		    faults[f].val, shared->faults[f]);
	say("hardware: %u FLRs, %u slot or bus resets, %u D3hot, %u devices reset",
	    witness->flrs, witness->sbrs, witness->d3s, witness->devices);
	say("judged: %u times that a function was not to be reset, %u strict hand-outs",
	    witness->intervals, witness->handed_out);
	say("violations: %u, failures: %u", witness->violations,
	    shared->failures);
}

/* -- what has come of it ----------------------------------------------------- */

FIXTURE(stress)
{
	struct fn fns[NR_FNS], pf;
	char path[256];
};

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
	for (nr = 0; nr < NR_FAULTS; nr++)			\
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
	/* A task that hangs holds locks */
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
