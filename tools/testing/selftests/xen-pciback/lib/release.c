// SPDX-License-Identifier: GPL-2.0
/*
 * References to functions, watched by kprobes: one where a function is freed, and one where
 * its record is checked. See release.h.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "release.h"

#define TRACING		"/sys/kernel/tracing"
#define EVENT		"selftest_calls"
#define REFS		"selftest_refs"
#define BACKEND		"selftest_backend"
#define FREED		"selftest_freed"

static void must_write(const char *path, const char *s)
{
	int ret = write_string(path, s);

	if (ret)
		errx(1, "%s: %s", path, strerror(-ret));
}

/* Lines of an event; the last one is left in @line */
static unsigned int count_event(const char *event, char *last, size_t size)
{
	unsigned int lines = 0;
	char line[512];
	FILE *f;

	f = fopen(TRACING "/trace", "r");
	if (!f)
		err(1, TRACING "/trace");
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, event))
			continue;
		lines++;
		if (last)
			snprintf(last, size, "%s", line);
	}
	fclose(f);
	return lines;
}

static unsigned int count(void)
{
	return count_event(EVENT ":", NULL, 0);
}

static void mount_tracing(void)
{
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		err(1, TRACING);
}

void calls_begin(const char *function)
{
	char probe[128];

	mount_tracing();
	snprintf(probe, sizeof(probe), "p:" EVENT " %s\n", function);
	must_write(TRACING "/kprobe_events", probe);
	must_write(TRACING "/trace", "\n");
	must_write(TRACING "/events/kprobes/" EVENT "/enable", "1");
}

unsigned int calls_end(void)
{
	unsigned int calls = count();

	must_write(TRACING "/events/kprobes/" EVENT "/enable", "0");
	must_write(TRACING "/kprobe_events", "-:" EVENT "\n");
	return calls;
}

unsigned int release_count(struct fn port, const struct fn *fns, size_t nr)
{
	unsigned int released;
	char path[256];
	size_t i;

	calls_begin("pci_release_dev");
	for (i = 0; i < nr; i++) {
		fn_path(fns[i], "remove", path, sizeof(path));
		must_write(path, "1");
	}
	released = calls_end();

	fn_path(port, "rescan", path, sizeof(path));
	must_write(path, "1");
	return released;
}

/* The plan looks at each record, and a record begins with its count */
unsigned int release_record_refs(struct fn fn)
{
	unsigned int refs = 0;
	char line[512], *found;
	FILE *f;

	mount_tracing();
	must_write(TRACING "/kprobe_events",
		   "p:" REFS " pcibk_function_method refs=+0(%di):u32\n");
	must_write(TRACING "/trace", "\n");
	must_write(TRACING "/events/kprobes/" REFS "/enable", "1");
	fn_plan(fn);
	must_write(TRACING "/events/kprobes/" REFS "/enable", "0");

	f = fopen(TRACING "/trace", "r");
	if (!f)
		err(1, TRACING "/trace");
	while (fgets(line, sizeof(line), f)) {
		found = strstr(line, "refs=");
		if (found)
			refs = strtoul(found + strlen("refs="), NULL, 10);
	}
	fclose(f);
	must_write(TRACING "/kprobe_events", "-:" REFS "\n");
	return refs;
}

/* It is the first argument of who takes a function for it */
void release_backend_begin(void)
{
	mount_tracing();
	must_write(TRACING "/kprobe_events",
		   "p:" BACKEND " pcistub_get_pci_dev backend=%di\n");
	must_write(TRACING "/trace", "\n");
	must_write(TRACING "/events/kprobes/" BACKEND "/enable", "1");
}

void release_backend_note(void)
{
	char line[512], filter[64], *found;

	if (!count_event(BACKEND ":", line, sizeof(line)))
		errx(1, "no backend has taken a function");
	found = strstr(line, "backend=0x");
	if (!found)
		errx(1, "trace: %s", line);
	found += strlen("backend=");
	found[strcspn(found, "\n")] = '\0';

	must_write(TRACING "/events/kprobes/" BACKEND "/enable", "0");
	must_write(TRACING "/kprobe_events", "-:" BACKEND "\n");
	must_write(TRACING "/kprobe_events", "p:" FREED " kfree what=%di\n");
	snprintf(filter, sizeof(filter), "what == %.20s", found);
	must_write(TRACING "/events/kprobes/" FREED "/filter", filter);
	must_write(TRACING "/trace", "\n");
	must_write(TRACING "/events/kprobes/" FREED "/enable", "1");
}

unsigned int release_backend_freed(void)
{
	return count_event(FREED ":", NULL, 0);
}

void release_backend_end(void)
{
	must_write(TRACING "/events/kprobes/" FREED "/enable", "0");
	must_write(TRACING "/kprobe_events", "-:" FREED "\n");
}
