/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a reset of a function should do, by the facts about its machine alone.
 */
#ifndef SELFTEST_XEN_PCIBACK_MACHINES_MODEL_H
#define SELFTEST_XEN_PCIBACK_MACHINES_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/machine.h"

#define PLAN_SIZE	96

/* Which functions of a machine pciback owns, by their places in machine.facts */
struct ownership {
	bool owned[MACHINE_FNS];
};

/* The PCI core has a reset for it that it does not tell of in a capability */
bool model_has_own_reset(const struct fact *fact);
/*
 * What reset_plan should say, with all methods of a function's own as "flr", and with
 * addresses in the VM
 */
void model_plan(const struct machine *machine, const struct ownership *own,
		const struct fact *fact, char plan[PLAN_SIZE]);
/* What its reset_method should say, with all methods of its own as "flr"; or nothing */
void model_methods(const struct machine *machine, const struct fact *fact,
		   char text[PLAN_SIZE]);
/* And by what the stock driver resets it: "flr", "pm", "bus" or "none" */
const char *model_stock(const struct machine *machine, const struct fact *fact);

#endif
