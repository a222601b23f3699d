// SPDX-License-Identifier: GPL-2.0
/*
 * bench SUBJECT...: what "make bench" measures in the VM, a line a measurement,
 * its fields separated by tabs:
 *
 *	row	SUBJECT	WHO	N	WHAT	VALUE	MARK
 *
 *	cards		a card of N functions without FLR made clean, by WHO:
 *			"ours" (one write), "stock" (a write to each function's
 *			reset), "vfio" (a hot reset, in a kernel without Xen)
 *	functions	N functions with FLR reset: "serial", a write each, one
 *			after the other; "at-once", a write each in as many
 *			threads; or by the "command"
 *	check		a reset refused because of the last function of a set of N
 *	config		a guest's read and write of a register, by driver WHO
 *	memory		what N functions more cost, by driver WHO
 *
 * VALUE is in ns, or in the unit that WHAT names. What the hardware did meanwhile is in
 * QEMU's trace, between two marks with the number MARK (lib/hw.h). The VM does not read
 * it: in "make bench" time is a count of instructions, so that waiting for anything from
 * outside the VM would never end.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/guest.h"
#include "lib/hw.h"
#include "lib/pci.h"
#include "lib/topology.h"
#include "lib/vfio.h"
#include "../kselftest.h"

#define COMMAND		"/usr/sbin/pciback-reset"
#define VFIO_UNSAFE	"/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
#define LOG		"/tmp/bench.log"
#define MAX_FNS		256
#define NR_VFS		64
#define NR_OPS		2000

static const char *subject, *who;
static unsigned int last_mark;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void report(unsigned int nr, const char *what, uint64_t value,
		   unsigned int mark)
{
	printf("row\t%s\t%s\t%u\t%s\t%llu\t%u\n", subject, who, nr, what,
	       (unsigned long long)value, mark);
	fflush(stdout);
}

/* What the line of a file that has this format says */
static unsigned int number_in(const char *path, const char *format)
{
	unsigned int nr = 0;
	char line[256];
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f) && sscanf(line, format, &nr) != 1)
		;
	fclose(f);
	return nr;
}

/* Begin a piece of the hardware's account. Each subject has marks of its own. */
static unsigned int mark_next(void)
{
	hw_mark(++last_mark);
	return last_mark;
}

/* What is measured cannot fail, or the figures would tell of something else */
static void must(int ret, const char *what, struct fn fn)
{
	if (ret)
		errx(1, "%s: %s: %s", fn.name, what, strerror(-ret));
}

/* -- cards ------------------------------------------------------------------ */

/* By qemu/machine.sh: the slot, and how many functions are in it */
static const struct {
	unsigned int port, nr;
} cards[] = {
	{ 0x1c, 2 }, { 0x13, 3 }, { 0x1d, 8 },
};

static int reset_each(const struct fn *fns, unsigned int nr)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++) {
		if (fn_has_file(fns[i], "reset"))
			ret = fn_write_file(fns[i], "reset", "1");
	}
	return ret;
}

static int clean_card(const struct fn *fns, unsigned int nr,
		      const struct vfio *vfio)
{
	if (!strcmp(who, "ours"))
		return reset_device(fns[0]);
	if (!strcmp(who, "stock"))
		return reset_each(fns, nr);
	return vfio_hot_reset(vfio);
}

static void bench_card(unsigned int port, unsigned int nr, unsigned int rounds)
{
	bool by_vfio = !strcmp(who, "vfio");
	unsigned int i, mark;
	struct fn fns[8];
	struct vfio vfio;
	uint64_t start;

	for (i = 0; i < nr; i++) {
		fns[i] = fn_below(fn_root(port), 0, i);
		must(fn_bind(fns[i], by_vfio ? "vfio-pci" : "pciback"), "bind",
		     fns[i]);
	}
	if (by_vfio)
		must(vfio_open(&vfio, fns, nr), "vfio", fns[0]);

	for (i = 0; i < rounds; i++) {
		mark = mark_next();
		start = now_ns();
		must(clean_card(fns, nr, &vfio), "reset", fns[0]);
		start = now_ns() - start;
		hw_mark(mark);
		report(nr, "reset", start, mark);
	}

	if (by_vfio)
		vfio_close(&vfio);
	for (i = 0; i < nr; i++)
		must(fn_release(fns[i]), "release", fns[i]);
}

static void bench_cards(unsigned int rounds)
{
	unsigned int i;

	/* Interrupts are none of its business here */
	if (!strcmp(who, "vfio") &&
	    (load_module("vfio-pci") || load_module("vfio_iommu_type1") ||
	     write_string(VFIO_UNSAFE, "Y")))
		errx(1, "no vfio-pci");
	for (i = 0; i < ARRAY_SIZE(cards); i++)
		bench_card(cards[i].port, cards[i].nr, rounds);
}

/* -- functions -------------------------------------------------------------- */

static unsigned int forks(void)
{
	return number_in("/proc/stat", "processes %u");
}

/* Run by the sh of Debian, as it is in a dom0. Not on a terminal: no progress */
static void run(char **args)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (!freopen(LOG, "a", stdout) || !freopen(LOG, "a", stderr))
			err(1, LOG);
		execv(args[0], args);
		err(127, "%s", args[0]);
	}
	if (wait_for_child(pid))
		errx(1, "%s failed, see " LOG, args[1]);
}

static void bench_resets(char **args, const char *name, unsigned int nr,
			 unsigned int rounds)
{
	unsigned int begun, mark;
	uint64_t start;

	who = name;
	while (rounds--) {
		begun = forks();
		mark = mark_next();
		start = now_ns();
		run(args);
		start = now_ns() - start;
		hw_mark(mark);
		report(nr, "reset", start, mark);
		report(nr, "forks", forks() - begun, 0);
	}
}

static void *reset_one(void *fn)
{
	must(reset_device(*(struct fn *)fn), "reset", *(struct fn *)fn);
	return NULL;
}

/* The least time: the driver's and the kernel's own */
static void bench_at_once(struct fn *fns, unsigned int nr, unsigned int rounds)
{
	pthread_t threads[NR_VFS];
	unsigned int mark, i;
	uint64_t start;

	who = "at-once";
	while (rounds--) {
		mark = mark_next();
		start = now_ns();
		for (i = 0; i < nr; i++)
			if (pthread_create(&threads[i], NULL, reset_one, &fns[i]))
				errx(1, "no thread");
		for (i = 0; i < nr; i++)
			pthread_join(threads[i], NULL);
		start = now_ns() - start;
		hw_mark(mark);
		report(nr, "reset", start, mark);
	}
}

static void bench_functions(unsigned int rounds)
{
	static const unsigned int numbers[] = { 1, 8, 64 };
	char loop[] = "for bdf; do echo \"$bdf\" >" RESET_DEVICE "; done";
	char *args[4 + NR_VFS + 1];
	struct fn port = fn_root(0x1e), pf = fn_below(port, 0, 0), vfs[NR_VFS];
	char path[256];
	unsigned int i, n;

	if (load_module("nvme"))
		errx(1, "no nvme");
	must(fn_bind(pf, "nvme"), "bind", pf);
	fn_path(pf, "sriov_drivers_autoprobe", path, sizeof(path));
	must(write_string(path, "0"), path, pf);
	fn_path(pf, "sriov_numvfs", path, sizeof(path));
	must(write_string(path, "64"), path, pf);
	for (i = 0; i < NR_VFS; i++) {
		vfs[i] = fn_below(port, (i + 1) / 8, (i + 1) % 8);
		must(fn_adopt(vfs[i]), "bind", vfs[i]);
	}

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		memset(args, 0, sizeof(args));
		for (n = 0; n < numbers[i]; n++)
			args[4 + n] = vfs[n].name;
		args[0] = "/bin/dash";
		args[1] = "-c";
		args[2] = loop;
		args[3] = "loop";
		bench_resets(args, "serial", numbers[i], rounds);
		bench_at_once(vfs, numbers[i], rounds);
		args[2] = COMMAND;
		args[3] = "reset";
		bench_resets(args + 2, "command", numbers[i], rounds);
	}

	for (i = 0; i < NR_VFS; i++)
		must(fn_release(vfs[i]), "release", vfs[i]);
	must(write_string(path, "0"), path, pf);
	must(fn_release(pf), "release", pf);
}

/* -- check ------------------------------------------------------------------ */

/* All of a bus but its last function, which forbids a reset */
static void bench_set(unsigned int nr, unsigned int rounds)
{
	struct fn fns[MAX_FNS];
	char layout[32];
	uint64_t start;
	unsigned int i;
	int ret;

	snprintf(layout, sizeof(layout), "port(fn*%u)", nr);
	if (topology_load(layout))
		errx(1, "no " TOPOLOGY_MODULE);
	for (i = 0; i < nr - 1; i++) {
		fns[i] = fn_below(topology_port(0), i / 8, i % 8);
		must(fn_adopt(fns[i]), "bind", fns[i]);
	}

	while (rounds--) {
		start = now_ns();
		ret = reset_device(fns[0]);
		start = now_ns() - start;
		if (ret != -EBUSY)
			must(ret ?: -EPROTO, "refusal", fns[0]);
		report(nr, "refusal", start, 0);
	}

	for (i = 0; i < nr - 1; i++)
		must(fn_release(fns[i]), "release", fns[i]);
	if (topology_unload())
		errx(1, "cannot unload " TOPOLOGY_MODULE);
}

static void bench_check(unsigned int rounds)
{
	unsigned int nr;

	for (nr = 8; nr <= MAX_FNS; nr *= 2)
		bench_set(nr, rounds);
}

/* -- config ----------------------------------------------------------------- */

static int compare_ns(const void *a, const void *b)
{
	uint64_t ns_a = *(const uint64_t *)a, ns_b = *(const uint64_t *)b;

	return (ns_a > ns_b) - (ns_a < ns_b);
}

static void bench_config(unsigned int rounds)
{
	static const struct {
		const char *name;
		bool write;
		unsigned int offset, len;
	} ops[] = {
		{ "read", false, PCI_COMMAND, 2 },
		{ "write", true, PCI_CACHE_LINE_SIZE, 1 },
	};
	struct fn fn = fn_below(fn_root(0x12), 0, 0);
	static uint64_t ns[NR_OPS];
	struct guest guest;
	unsigned int i;

	if (!guest_possible())
		errx(1, "no Xen toolstack here");
	must(fn_adopt(fn), "bind", fn);
	must(guest_create(&guest, 0, &fn, 1), "guest", fn);
	must(guest_connect(&guest), "connect", fn);

	while (rounds--) {
		for (i = 0; i < ARRAY_SIZE(ops); i++) {
			must(guest_config_time(&guest, fn, ops[i].write,
					       ops[i].offset, ops[i].len, ns,
					       NR_OPS), ops[i].name, fn);
			/* Of the quickest: the median varies from round to round */
			qsort(ns, NR_OPS, sizeof(*ns), compare_ns);
			report(1, ops[i].name, ns[NR_OPS / 100], 0);
		}
	}

	must(guest_destroy(&guest), "destroy", fn);
	must(fn_release(fn), "release", fn);
}

/* -- memory ----------------------------------------------------------------- */

static unsigned int slab_kb(void)
{
	return number_in("/proc/meminfo", "Slab: %u kB");
}

/* Once, and first of all: what is given back stays with the allocator */
static void bench_memory(unsigned int unused)
{
	struct fn fns[MAX_FNS];
	unsigned int i, before;

	report(1, "module in memory, bytes",
	       number_in("/sys/module/xen_pciback/coresize", "%u"), 0);
	if (topology_load("port(fn*256)"))
		errx(1, "no " TOPOLOGY_MODULE);
	before = slab_kb();
	for (i = 0; i < MAX_FNS; i++) {
		fns[i] = fn_below(topology_port(0), i / 8, i % 8);
		must(fn_adopt(fns[i]), "bind", fns[i]);
	}
	report(MAX_FNS, "slab of all, kB", slab_kb() - before, 0);

	for (i = 0; i < MAX_FNS; i++)
		must(fn_release(fns[i]), "release", fns[i]);
	if (topology_unload())
		errx(1, "cannot unload " TOPOLOGY_MODULE);
}

/* --------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*bench)(unsigned int rounds);
	unsigned int first_mark;
} subjects[] = {
	{ "cards", bench_cards, 0x1000 },
	{ "functions", bench_functions, 0x2000 },
	{ "check", bench_check },
	{ "config", bench_config },
	{ "memory", bench_memory },
};

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc != 4)
		errx(2, "usage: bench SUBJECT WHO ROUNDS");
	subject = argv[1];
	who = argv[2];

	/* No automatic resets; the stock driver does none anyway */
	if (!access("/sys/module/xen_pciback/parameters/auto_reset", F_OK) &&
	    set_parameter("auto_reset", "0"))
		errx(1, "auto_reset");

	for (i = 0; i < ARRAY_SIZE(subjects); i++) {
		if (strcmp(subject, subjects[i].name))
			continue;
		last_mark = subjects[i].first_mark;
		subjects[i].bench(atoi(argv[3]));
		return 0;
	}
	errx(2, "no such subject: %s", subject);
}
