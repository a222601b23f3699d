// SPDX-License-Identifier: GPL-2.0
/*
 * The task of stress that adds and removes functions: removal and rescan, VFs, hotplug and
 * error recovery.
 *
 * One task does all of this: hotplug, removal, rescan and error recovery can wait for each
 * other in the core for ever while a reset is under way (Limits, in the guide). It removes all
 * of a set before it rescans: the core cannot handle a function that is added in the middle of
 * a slot reset.
 */
#include "lib/aer.h"
#include "lib/slot.h"
#include "tasks.h"

static void remove_and_rescan(unsigned int set, unsigned int pause)
{
	char path[256];
	unsigned int i;

	change_set_begin(set);
	for (i = 0; i < NR_FNS; i++) {
		if (set_of(i) != set)
			continue;
		begin(OP_REMOVE);
		end(OP_REMOVE, i, fn_write_file(fn_of(i), "remove", "1"));
	}
	pause_ms(pause);
	/*
	 * Its bus alone: a rescan of what is below a bridge puts back what
	 * he found in its control register, and may have found a reset there.
	 */
	snprintf(path, sizeof(path), "/sys/class/pci_bus/%04x:%02x/rescan",
		 fn_of(set).domain, fn_of(set).bus);
	begin(OP_RESCAN);
	end(OP_RESCAN, set, write_string(path, "1"));
	change_set_end(set);
}

static void renew_vfs(void)
{
	unsigned int i;

	change_set_begin(FIRST_VF);
	for (i = FIRST_VF; i < NR_FNS; i++) {
		begin(OP_UNBIND);
		end(OP_UNBIND, i, fn_release(fn_of(i)));
	}
	begin(OP_NUMVFS);
	end(OP_NUMVFS, NR_FNS, fn_write_file(fn_of(PF), "sriov_numvfs", "0"));
	begin(OP_NUMVFS);
	end(OP_NUMVFS, NR_FNS, fn_write_file(fn_of(PF), "sriov_numvfs", "4"));
	change_set_end(FIRST_VF);
}

static int pull(struct fn port)
{
	slot_pull(port);
	return 0;
}

static int press(struct fn port)
{
	slot_press(port);
	return 0;
}

static void unplug_and_plug(enum op op, unsigned int set,
			    int (*unplug)(struct fn port))
{
	struct fn port = shared->witness.fns[set].above[0];
	unsigned int tries;

	if (!fn_exists(fn_of(set)))
		return;
	trouble_begin(set);
	change_set_begin(set);
	begin(op);
	if (!end(op, set, unplug(port))) {
		/* A reset that waits for it to come back is waited for */
		for (tries = 0; tries < 5 && !slot_wait_off(port); tries++)
			;
		slot_fill(port);
		if (!slot_wait_on(port))
			fail("%s: the card does not come back", port.name);
	}
	change_set_end(set);
	trouble_end(set);
}

static void recover(unsigned int i)
{
	unsigned int set = set_of(i);

	pthread_mutex_lock(&shared->accessors);
	trouble_begin(set);
	begin(OP_AER);
	witness_mark(WITNESS_ASKED, i);
	end(OP_AER, i, aer_recover(shared->witness.fns[i].above[0], fn_of(i)));
	witness_mark(WITNESS_ANSWERED, i);
	/* A fault may keep it away for a while after that */
	sleep(1);
	trouble_end(set);
	pthread_mutex_unlock(&shared->accessors);
}

void step_topology(void)
{
	static int (* const unplug[])(struct fn) = {
		pull, pull, press, slot_power_off
	};
	static const enum op as[] = { OP_PULL, OP_PULL, OP_PRESS, OP_POWER_OFF };
	unsigned int what = any_below(10), i = any_below(FIRST_ON_ROOT);
	unsigned int how = any_below(ARRAY_SIZE(unplug)), pause = any_below(30);

	if (what < 5) {
		remove_and_rescan(set_of(i), pause);
	} else if (what < 7) {
		renew_vfs();
	} else if (what < 8) {
		while (!places[i].pluggable)
			i = (i + 1) % NR_FNS;
		unplug_and_plug(as[how], set_of(i), unplug[how]);
	} else {
		while (!places[i].aer)
			i = (i + 1) % NR_FNS;
		recover(i);
	}
	pause_ms(any_below(1500));
}
