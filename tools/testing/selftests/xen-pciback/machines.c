// SPDX-License-Identifier: GPL-2.0
/*
 * Machines that people have, emulated from the facts in facts/, or in the folder MACHINES; with
 * MACHINES_EVERY=N only one of N. For each function that people give to guests, reset_plan must
 * show what machines_model.c derives from the facts: if pciback owns it alone, with the
 * functions of its device, and with all of its reset set. In each set each plan is also carried
 * out, and the emulated functions show which resets have reached them.
 *
 * "make machines" reads the line that is printed for each function, with what the stock driver
 * would do:
 *
 *	plan: MACHINE BDF ALONE DEVICE SET STOCK
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kselftest.h"
#include "lib/klog.h"
#include "lib/machine.h"
#include "lib/topology.h"
#include "machines_model.h"

#define WRONG_FILE	"/tmp/wrong.tsv"
#define HEADER		"bdf\tclass\tid\thdr\tpri\tsec\tsub\tpcie\tslot\thp\tsurp\tflr\t" \
			"af\tpm\tnsr\tacs\tvfs\trebar\tdpc\tari\tcaps\tdriver"
#define FACT(bdf, class, id, hdr, buses, pcie, caps)			\
	bdf "\t" class "\t" id "\t" hdr "\t" buses "\t" pcie		\
	"\t.\t.\t.\t.\t.\t.\t.\t.\t.\t.\t.\t.\t" caps "\t-"
#define NO_BUSES	".\t.\t."
#define RIGHT		FACT("0000:00:00.0", "0600", "8086:1237", "0", NO_BUSES, \
			      "none", "n")

#define CLEAR_LOG	5	/* SYSLOG_ACTION_CLEAR */

enum situation { ALONE, DEVICE, SET, SITUATIONS };

static const char * const situation_names[] = { "function", "slot", "set" };

static struct machine machine;
static struct ownership own;
static char plans[MACHINE_FNS][SITUATIONS][PLAN_SIZE];
static bool good, made;

static void __printf(2, 3) complain(const struct fact *fact, const char *fmt, ...)
{
	va_list args;

	good = false;
	printf("# %s: %s: ", machine.name, fact->bdf);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

/* Is @other owned with @fact? On a root bus there is no set but the device. */
static bool is_with(const struct fact *fact, const struct fact *other,
		    enum situation situation)
{
	if (other->header)
		return false;
	if (situation == ALONE)
		return other == fact;
	if (situation == DEVICE || !fact->up)
		return machine_same_device(fact, other);
	return machine_is_below(other, fact->up);
}

/* Pciback owns what @wanted says */
static void own_these(const struct ownership *wanted)
{
	unsigned int i;
	int ret;

	for (i = 0; i < machine.nr; i++) {
		if (wanted->owned[i] == own.owned[i])
			continue;
		ret = own.owned[i] ? fn_release(machine.facts[i].fn) :
				     fn_adopt(machine.facts[i].fn);
		if (ret)
			complain(&machine.facts[i], "%s: %s", own.owned[i] ?
				 "cannot be given up" : "cannot be owned",
				 strerror(-ret));
		own.owned[i] = wanted->owned[i];
	}
}

static void own_nothing(void)
{
	static const struct ownership nothing;

	own_these(&nothing);
}

static void own_with(const struct fact *fact, enum situation situation)
{
	static struct ownership wanted;
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		wanted.owned[i] = is_with(fact, &machine.facts[i], situation);
	own_these(&wanted);
}

static bool is_own_method(const char *name)
{
	return !strcmp(name, "device_specific") || !strcmp(name, "acpi") ||
	       !strcmp(name, "af_flr") || !strcmp(name, "flr");
}

/* The driver's word, with one for each method that a function has of its own */
static void read_plan(const struct fact *fact, char plan[PLAN_SIZE])
{
	const char *text = fn_plan(fact->fn);

	if (is_own_method(text))
		text = "flr";
	snprintf(plan, PLAN_SIZE, "%s", text);
}

/* What to say of it outside: the address of who is in the way as the file has it */
static void keep_plan(const struct fact *fact, enum situation situation,
		      const char *plan)
{
	char *kept = plans[fact - machine.facts][situation];
	const struct fact *blocker;
	char name[32];
	int end = 0;

	if (sscanf(plan, "blocked %31s%n", name, &end) == 1) {
		blocker = machine_find(&machine, name);
		snprintf(kept, PLAN_SIZE, "blocked %s%s",
			 blocker ? blocker->bdf : name, plan + end);
	} else {
		snprintf(kept, PLAN_SIZE, "%s", plan);
	}
}

static void look_at(const struct fact *fact, enum situation situation)
{
	char plan[PLAN_SIZE], expected[PLAN_SIZE];

	read_plan(fact, plan);
	model_plan(&machine, &own, fact, expected);
	if (strcmp(plan, expected))
		complain(fact, "%s: \"%s\", not \"%s\"", situation_names[situation],
			 plan, expected);
	keep_plan(fact, situation, plan);
}

/* All functions whose ownership in that situation is this */
static void look_at_all(enum situation situation)
{
	static bool seen[MACHINE_FNS];
	unsigned int i, j;
	bool here;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < machine.nr; i++) {
		if (seen[i] || !machine_is_passed(&machine.facts[i]))
			continue;
		own_with(&machine.facts[i], situation);
		for (j = i; j < machine.nr; j++) {
			here = i == j || (situation == DEVICE &&
					  machine_same_device(&machine.facts[i],
							      &machine.facts[j]));
			if (seen[j] || !here || !machine_is_passed(&machine.facts[j]))
				continue;
			seen[j] = true;
			look_at(&machine.facts[j], situation);
		}
	}
}

#define expect(fact, is, wanted) do {					\
	int was = is, should = wanted;					\
									\
	if (was != should)						\
		complain(fact, "%s: " #is " is %d, not %d", plan, was, should); \
} while (0)

/* A reset by plan, and what the functions say of it */
static void reset(const struct fact *fact, const char *plan)
{
	bool flr = !strcmp(plan, "flr"), pm = !strcmp(plan, "pm"), set, weak;
	struct topology_count count, other;
	unsigned int i;
	int ret;

	/* The core's own, which talk to what is not there */
	if (model_has_own_reset(fact))
		return;
	set = !strcmp(plan, "slot") || !strcmp(plan, "bus");
	topology_begin();
	ret = reset_device(fact->fn);
	count = topology_count(fact->fn);
	weak = !strncmp(plan, "blocked", strlen("blocked")) && !fact->num_vfs &&
	       !strcmp(model_stock(&machine, fact), "pm");
	expect(fact, ret, flr || pm || set ? 0 :
	       !strcmp(plan, "none") ? -ENOTTY : -EBUSY);
	expect(fact, count.flrs, flr);
	expect(fact, count.resets, flr || pm || set || weak);
	if (fact->up)
		expect(fact, topology_count(fact->up->fn).sbrs, set);
	for (i = 0; i < machine.nr; i++) {
		if (&machine.facts[i] == fact || !own.owned[i])
			continue;
		other = topology_count(machine.facts[i].fn);
		expect(&machine.facts[i], other.resets, set);
	}
}

/* A set, its plans, and a reset by each of them */
static void look_at_set(const struct fact *first, bool *seen)
{
	char done[8][PLAN_SIZE], plan[PLAN_SIZE];
	unsigned int nr = 0, i, j;
	const struct fact *fact;

	own_with(first, SET);
	for (i = 0; i < machine.nr; i++) {
		fact = &machine.facts[i];
		if (seen[i] || !machine_is_passed(fact) || fact->up != first->up ||
		    (!fact->up && !machine_same_device(fact, first)))
			continue;
		seen[i] = true;
		look_at(fact, SET);
		read_plan(fact, plan);
		for (j = 0; j < nr; j++)
			if (!strcmp(done[j], plan))
				break;
		if (j < nr || nr == ARRAY_SIZE(done))
			continue;
		snprintf(done[nr++], PLAN_SIZE, "%s", plan);
		reset(fact, plan);
	}
}

static void look_at_sets(void)
{
	static bool seen[MACHINE_FNS];
	unsigned int i;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < machine.nr; i++)
		if (!seen[i] && machine_is_passed(&machine.facts[i]))
			look_at_set(&machine.facts[i], seen);
}

/* The first of the core's methods; what it finds out late is passed over */
static void look_at_stock(const struct fact *fact)
{
	const char *stock = model_stock(&machine, fact);
	char path[256], first[32] = "none";
	FILE *f;

	fn_path(fact->fn, "reset_method", path, sizeof(path));
	if (!kernel_since(5, 15) || fact->pf)
		return;
	f = fopen(path, "r");
	if (f && fscanf(f, "%31s", first) == 1 && is_own_method(first))
		snprintf(first, sizeof(first), "flr");
	if (f)
		fclose(f);
	if (strcmp(first, stock) && (strcmp(first, "bus") || strcmp(stock, "none")))
		complain(fact, "reset_method begins with %s, not %s", first, stock);
}

static void print_plans(void)
{
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		if (machine_is_passed(&machine.facts[i]))
			printf("# plan:\t%s\t%s\t%s\t%s\t%s\t%s\n", machine.name,
			       machine.facts[i].bdf, plans[i][ALONE],
			       plans[i][DEVICE], plans[i][SET],
			       model_stock(&machine, &machine.facts[i]));
}

/* The kernel sees each function where it should be */
static bool all_there(void)
{
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		if (!fn_exists(machine.facts[i].fn))
			complain(&machine.facts[i], "the kernel does not find it");
	return good;
}

/* While it is known which machine it is about */
static void check_log(int klog)
{
	static const char * const complaints[] = {
		"cut here", "WARNING:", "BUG:", "still in-use"
	};
	char line[256];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(complaints); i++) {
		if (!klog_has(klog, complaints[i], complaints[i], line, sizeof(line)))
			continue;
		printf("# %s: %s\n", machine.name, line);
		good = false;
	}
}

static void look_at_machine(const char *path)
{
	int klog = klog_begin();
	unsigned int i;
	int ret;

	memset(&own, 0, sizeof(own));
	good = machine_read(&machine, path);
	if (!good)
		return;
	ret = machine_load(&machine);
	if (ret)
		complain(&machine.facts[0], "not made: %s", strerror(-ret));
	if (!ret && all_there()) {
		look_at_all(ALONE);
		look_at_all(DEVICE);
		look_at_sets();
		own_nothing();
		for (i = 0; i < machine.nr; i++)
			if (machine_is_passed(&machine.facts[i]))
				look_at_stock(&machine.facts[i]);
		if (!made)
			print_plans();
	}
	if (topology_unload())
		complain(&machine.facts[0], "the module does not go");
	check_log(klog);
	klog_end(klog);
}

static void test(const char *path, const char *name)
{
	look_at_machine(path);
	ksft_test_result(good, "%s\n", name);
}

/* In place of the facts about a function: none of it is taken, and the line is named. */
static const char * const wrong_lines[] = {
	"0000:00:00.0",
	"0000:00:00.0\t0600\t8086:1237\t0",
	FACT("00:00.0", "0600", "8086:1237", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:20.0", "0600", "8086:1237", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:00.8", "0600", "8086:1237", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:00.0x", "0600", "8086:1237", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:00.0", "060", "8086:1237", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:00.0", "0600", "80861237", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:00.0", "0600", "8086:12??", "0", NO_BUSES, "none", "n"),
	FACT("0000:00:00.0", "0600", "8086:1237", "3", NO_BUSES, "none", "n"),
	FACT("0000:00:00.0", "0604", "8086:1237", "0", "00\t05\t05", "none", "n"),
	FACT("0000:00:00.0", "0604", "8086:1237", "1", "00\t05\t04", "none", "n"),
	FACT("0000:05:00.0", "0604", "8086:1237", "1", "05\t05\t05", "none", "n"),
	FACT("0000:00:00.0", "0600", "8086:1237", "0", NO_BUSES, "Port", "n"),
	FACT("0000:00:00.0", "0600", "8086:1237", "0", NO_BUSES, "none", "x"),
	RIGHT "\n" RIGHT,
};

static bool is_wrong(const char *line)
{
	FILE *f = fopen(WRONG_FILE, "w");
	bool taken;

	if (!f)
		ksft_exit_fail_msg(WRONG_FILE "\n");
	fprintf(f, HEADER "\n%s\n", line);
	fclose(f);
	taken = machine_read(&machine, WRONG_FILE);
	if (taken)
		printf("# taken: %s\n", line);
	return !taken;
}

static void look_at_wrong_lines(void)
{
	bool all = !is_wrong(RIGHT);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong_lines); i++)
		all &= is_wrong(wrong_lines[i]);
	unlink(WRONG_FILE);
	ksft_test_result(all, "facts that are wrong\n");
}

int main(void)
{
	unsigned int nr;

	ksft_print_header();
	if (!topology_available())
		ksft_exit_skip("no " TOPOLOGY_MODULE "\n");
	nr = machine_each(false, NULL);
	if (!nr)
		ksft_exit_fail_msg("no machine\n");
	ksft_set_plan(nr + machine_each(true, NULL) + 1);
	/* Plans are to be made of functions that nothing has happened to */
	if (set_parameter("auto_reset", "0"))
		ksft_exit_fail_msg("auto_reset\n");
	machine_each(false, test);
	look_at_wrong_lines();
	made = true;
	machine_each(true, test);
	set_parameter("auto_reset", "1");
	ksft_finished();
}
