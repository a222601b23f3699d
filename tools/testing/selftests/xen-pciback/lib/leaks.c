// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that was lost. See leaks.h.
 */
#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "leaks.h"
#include "pci.h"

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

/* What is younger is not looked at, in s (MSECS_MIN_AGE in mm/kmemleak.c) */
#define MIN_AGE		5

/* How many of those that were not known before are told */
#define TOLD		3

/*
 * An object is some lines: "unreferenced object ...", and who allocated it. New
 * ones come last.
 */
static unsigned int count(unsigned int known)
{
	char line[512], object[8192];
	unsigned int found = 0;
	bool ours = false;
	size_t len = 0;
	FILE *f;

	f = fopen(KMEMLEAK, "r");
	if (!f)
		return 0;
	for (;;) {
		bool more = fgets(line, sizeof(line), f);

		if (!more || !strncmp(line, "unreferenced", 12)) {
			if (ours && found >= known && found - known < TOLD)
				fputs(object, stderr);
			found += ours;
			ours = false;
			len = 0;
		}
		if (!more)
			break;
		ours |= !!strstr(line, "pciback]");
		if (len < sizeof(object))
			len += snprintf(object + len, sizeof(object) - len,
					"# %s", line);
	}
	fclose(f);
	return found;
}

unsigned int leaks_known(void)
{
	return count(UINT_MAX);
}

unsigned int leaks_find(unsigned int known)
{
	unsigned int scan;
	int ret;

	if (access(KMEMLEAK, W_OK))
		return known;
	sleep(MIN_AGE + 1);
	/* What is new since the last scan is reported by the second */
	for (scan = 0; scan < 2; scan++) {
		ret = write_string(KMEMLEAK, "scan");
		if (ret)
			errx(1, KMEMLEAK ": %s", strerror(-ret));
	}
	return count(known);
}
