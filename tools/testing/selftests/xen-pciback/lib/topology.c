// SPDX-License-Identifier: GPL-2.0
/*
 * The functions that test_modules/pciback_topology.ko emulates. See topology.h.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topology.h"

#define DOMAIN		0x5eed

bool topology_available(void)
{
	return !access(TOPOLOGY_MODULE, R_OK);
}

int topology_load(const char *layout)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "insmod " TOPOLOGY_MODULE " 'layout=%s'", layout);
	return system(command) ? -EIO : 0;
}

int topology_unload(void)
{
	if (access(TOPOLOGY_DIR, F_OK))
		return 0;
	return unload_module("pciback_topology");
}

struct fn topology_port(unsigned int nr)
{
	return fn_make(DOMAIN, 0, nr, 0);
}

struct fn topology_vf(struct fn pf, unsigned int nr)
{
	nr += pf.dev * 8 + pf.func;
	return fn_make(DOMAIN, pf.bus + 1, nr / 8, nr % 8);
}

void topology_begin(void)
{
	int ret = write_string(TOPOLOGY_DIR "/clear", "1");

	if (ret)
		errx(1, TOPOLOGY_DIR "/clear: %s", strerror(-ret));
}

struct topology_count topology_count(struct fn fn)
{
	struct topology_count count;
	char line[128], name[sizeof(fn.name)];
	FILE *f;

	f = fopen(TOPOLOGY_DIR "/functions", "r");
	if (!f)
		err(1, TOPOLOGY_DIR "/functions");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%17s %u %u %u %u %u", name, &count.reads,
			   &count.writes, &count.flrs, &count.resets,
			   &count.sbrs) == 6 && !strcmp(name, fn.name)) {
			fclose(f);
			return count;
		}
	}
	errx(1, "%s is in no layout", fn.name);
}
