// SPDX-License-Identifier: GPL-2.0
/*
 * The functions of the machine that stress takes, and which of them are reset together.
 */
#include "tasks.h"

const struct place places[NR_FNS] = {
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

struct witness_fn place_fn(unsigned int i)
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

struct fn fn_of(unsigned int i)
{
	return shared->witness.fns[i].fn;
}

unsigned int set_of(unsigned int i)
{
	if (i >= FIRST_ON_ROOT && i < FIRST_VF)
		return i;
	while (i && places[i - 1].port == places[i].port)
		i--;
	return i;
}

bool is_pcibacks(unsigned int i)
{
	char driver[32];

	fn_driver(fn_of(i), driver, sizeof(driver));
	return !strcmp(driver, "pciback");
}
