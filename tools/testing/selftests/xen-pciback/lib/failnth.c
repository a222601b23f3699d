// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations that fail. See failnth.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failnth.h"
#include "guest.h"
#include "pci.h"

#define FAIL_PAGE_ALLOC	"/sys/kernel/debug/fail_page_alloc"

struct walk walk;

bool fail_possible(void)
{
	return !access(OWN_FAIL_NTH, F_OK) &&
	       !access(FAILSLAB "/require-start", F_OK);
}

/* Only allocations in whose stack there is an address between these two */
static int fail_between(unsigned long start, unsigned long end)
{
	char from[32], to[32];

	snprintf(from, sizeof(from), "%#lx", start);
	snprintf(to, sizeof(to), "%#lx", end);
	return write_string(FAILSLAB "/require-start", from) ?:
	       write_string(FAILSLAB "/require-end", to);
}

int fail_in_driver(void)
{
	unsigned long start = 0, len = 0;
	FILE *f = fopen("/proc/modules", "r");

	if (!f)
		err(1, "/proc/modules");
	while (fscanf(f, "xen_pciback %lu %*s %*s %*s %lx", &len, &start) < 2)
		if (fscanf(f, "%*[^\n]\n") == EOF)
			errx(1, "where is xen_pciback?");
	fclose(f);
	return fail_between(start, start + len);
}

/*
 * Not those of @function, of the kernel's. The end of a watch that has no memory is
 * lost: xenstored has that watch already, for a later one at the same address.
 */
static int fail_not_in(const char *function)
{
	unsigned long address, start = 0, end = 0;
	char name[128], from[32], to[32];
	FILE *f = fopen("/proc/kallsyms", "r");

	if (!f)
		err(1, "/proc/kallsyms");
	while (!end && fscanf(f, "%lx %*c %127s%*[^\n]", &address, name) == 2)
		if (!strcmp(name, function))
			start = address;
		else if (start && address > start)
			end = address;
	fclose(f);
	if (!end)
		errx(1, "where is %s()?", function);
	snprintf(from, sizeof(from), "%#lx", start);
	snprintf(to, sizeof(to), "%#lx", end);
	return write_string(FAILSLAB "/reject-start", from) ?:
	       write_string(FAILSLAB "/reject-end", to);
}

int fail_in_all(void)
{
	/* Those that may sleep, too; and without a trace of each in the log */
	return write_string(FAILSLAB "/ignore-gfp-wait", "N") ?:
	       write_string(FAILSLAB "/verbose", "0") ?:
	       fail_between(0, ULONG_MAX) ?:
	       fail_not_in("unregister_xenbus_watch") ?:
	       /* Whole pages are counted in the same place, even those done without */
	       write_string(FAIL_PAGE_ALLOC "/min-order", "32");
}

void fail_begin(const char *fail_nth)
{
	char nth[16];
	int len = snprintf(nth, sizeof(nth), "%u", walk.nth);

	walk.fd = open(fail_nth, O_RDWR | O_CLOEXEC);
	if (walk.fd < 0 || write(walk.fd, nth, len) != len)
		err(1, "%s", fail_nth);
}

void fail_end(void)
{
	char left[16] = "";

	/* How many more it would have taken: none if it did fail */
	if (pread(walk.fd, left, sizeof(left) - 1, 0) <= 0 ||
	    pwrite(walk.fd, "0", 1, 0) != 1)
		err(1, "fail-nth");
	close(walk.fd);
	walk.failed = atoi(left) == 0;
}

int fail_write(const char *path, const char *s)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	fail_begin(OWN_FAIL_NTH);
	if (write(fd, s, strlen(s)) != (ssize_t)strlen(s))
		ret = -errno;
	fail_end();
	close(fd);
	return ret;
}

bool fail_is_answer(int ret)
{
	if (!ret || (ret == -ENOMEM && walk.failed))
		return true;
	fprintf(stderr, "# allocation %u: error %d\n", walk.nth, ret);
	return false;
}

void xenwatch_path(const char *file, char *path, size_t size)
{
	snprintf(path, size, "/proc/%d/%s", guest_xenwatch(), file);
}

void xenwatch_wait_idle(void)
{
	unsigned int idle = 0;
	char path[64], state;
	FILE *f;

	xenwatch_path("stat", path, sizeof(path));
	while (idle < 5) {
		f = fopen(path, "r");
		if (!f || fscanf(f, "%*d %*s %c", &state) != 1)
			errx(1, "%s", path);
		fclose(f);
		idle = state == 'S' ? idle + 1 : 0;
		usleep(20000);
	}
}
