// SPDX-License-Identifier: GPL-2.0
/*
 * The tasks of stress that reset functions: by pciback's files and by the core's.
 */
#include "tasks.h"

/*
 * The toolstack's word: it ends an assignment, or announces its end, also one that
 * begins just now. Whose the function is after that is up to pciback.
 */
static int say_do_flr(struct fn fn)
{
	unsigned int i;
	int ret;

	for (i = 0; strcmp(fn_of(i).name, fn.name); i++)
		;
	change_begin(i);
	ret = do_flr(fn);
	change_end(i, NOBODY, false);
	return ret;
}

static void reset_by(enum op op, unsigned int i, int (*reset)(struct fn fn))
{
	struct subject *set = &shared->subjects[set_of(i)];
	unsigned int troubles = atomic_get(set->troubles);
	bool trouble = atomic_get(set->trouble);
	int ret;

	begin(op);
	ret = end(op, i, reset(fn_of(i)));
	if ((ret == -ETIMEDOUT || ret == -EIO) && !trouble &&
	    troubles == atomic_get(set->troubles))
		fail("%s, %s: %s, and nothing is the matter with it",
		     fn_of(i).name, ops[op].name, strerror(-ret));
}

/*
 * A VF with "bus" as its only method: the core would reset its slot, with the PF,
 * and there are no VFs any more until these are enabled again.
 */
static bool core_takes_pf(unsigned int i)
{
	char path[256], methods[64] = "";
	FILE *f;

	if (i < FIRST_VF)
		return false;
	fn_path(fn_of(i), "reset_method", path, sizeof(path));
	f = fopen(path, "r");
	if (f) {
		if (!fgets(methods, sizeof(methods), f))
			methods[0] = '\0';
		fclose(f);
	}
	return !strcmp(methods, "bus\n");
}

/* By root, of the core: pciback can't hold that back, and may be told lies */
static void reset_by_core(unsigned int i)
{
	struct subject *set = &shared->subjects[set_of(i)];

	if (pthread_mutex_trylock(&set->core))
		return;
	if (!core_takes_pf(i)) {
		begin(OP_SYSFS_RESET);
		witness_mark(WITNESS_ASKED, i);
		end(OP_SYSFS_RESET, i, fn_write_file(fn_of(i), "reset", "1"));
		witness_mark(WITNESS_ANSWERED, i);
	}
	pthread_mutex_unlock(&set->core);
}

/* Whatever is going on, what they say makes sense */
static void read_files(unsigned int i)
{
	static const char * const plans[] = {
		"", "flr", "slot", "bus", "pm", "none",
	};
	const char *plan;
	int needs_reset;
	unsigned int p;

	begin(OP_READ);
	plan = fn_plan(fn_of(i));
	needs_reset = fn_needs_reset(fn_of(i));
	end(OP_READ, i, 0);

	for (p = 0; p < ARRAY_SIZE(plans); p++)
		if (!strcmp(plan, plans[p]))
			break;
	if (p == ARRAY_SIZE(plans) && strncmp(plan, "blocked ", 8))
		fail("%s, its plan: \"%s\"", fn_of(i).name, plan);
	if (needs_reset != 0 && needs_reset != 1 && needs_reset != -ENOENT)
		fail("%s, needs_reset: %d", fn_of(i).name, needs_reset);

	begin(OP_READ);
	fn_last_reset(fn_of(i));
	end(OP_READ, i, 0);
}

void step_reset(void)
{
	unsigned int what = any_below(12), i = any_below(NR_FNS);

	if (what < 5) {
		reset_by(OP_RESET_DEVICE, i, reset_device);
	} else if (what < 8) {
		reset_by(OP_DO_FLR, i, say_do_flr);
	} else if (what < 10) {
		reset_by_core(i);
	} else if (what < 11) {
		read_files(i);
	} else {
		begin(OP_PERMISSIVE);
		end(OP_PERMISSIVE, i,
		    write_string(PCIBACK_DIR "/permissive", fn_of(i).name));
	}
	pause_ms(any_below(50));
}
