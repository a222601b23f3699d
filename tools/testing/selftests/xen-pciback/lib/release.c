// SPDX-License-Identifier: GPL-2.0
/*
 * References, by kprobes where a function is freed and where its record is looked
 * at. See release.h.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "release.h"

#define TRACING		"/sys/kernel/tracing"
#define EVENT		"selftest_release"
#define REFS		"selftest_refs"

static void must_write(const char *path, const char *s)
{
	int ret = write_string(path, s);

	if (ret)
		errx(1, "%s: %s", path, strerror(-ret));
}

static unsigned int count(void)
{
	unsigned int lines = 0;
	char line[512];
	FILE *f;

	f = fopen(TRACING "/trace", "r");
	if (!f)
		err(1, TRACING "/trace");
	while (fgets(line, sizeof(line), f))
		lines += !!strstr(line, EVENT ":");
	fclose(f);
	return lines;
}

static void mount_tracing(void)
{
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		err(1, TRACING);
}

void release_begin(void)
{
	mount_tracing();
	must_write(TRACING "/kprobe_events", "p:" EVENT " pci_release_dev\n");
	must_write(TRACING "/trace", "\n");
	must_write(TRACING "/events/kprobes/" EVENT "/enable", "1");
}

unsigned int release_end(void)
{
	unsigned int released = count();

	must_write(TRACING "/events/kprobes/" EVENT "/enable", "0");
	must_write(TRACING "/kprobe_events", "-:" EVENT "\n");
	return released;
}

unsigned int release_count(struct fn port, const struct fn *fns, size_t nr)
{
	unsigned int released;
	char path[256];
	size_t i;

	release_begin();
	for (i = 0; i < nr; i++) {
		fn_path(fns[i], "remove", path, sizeof(path));
		must_write(path, "1");
	}
	released = release_end();

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
