// SPDX-License-Identifier: GPL-2.0
/*
 * The tasks of stress that take functions from pciback and give them back, and the one
 * that changes the parameters and the functions' own policies.
 */
#include "tasks.h"

static int adopt_by_slot(struct fn fn)
{
	int ret = write_string(PCIBACK_DIR "/new_slot", fn.name);

	return ret && ret != -EEXIST ? ret :
	       write_string(PCIBACK_DIR "/bind", fn.name);
}

void step_own(void)
{
	unsigned int i = any_below(NR_FNS), how = any_below(4);
	bool unbind = is_pcibacks(i);

	/* From under a guest not that often */
	if (unbind && atomic_get(shared->subjects[i].guest) != NOBODY && how)
		return;

	change_begin(i);
	if (unbind) {
		begin(OP_UNBIND);
		end(OP_UNBIND, i, fn_release(fn_of(i)));
	} else if (how < 3) {
		begin(OP_ADOPT);
		end(OP_ADOPT, i, fn_adopt(fn_of(i)));
	} else {
		begin(OP_NEW_SLOT);
		end(OP_NEW_SLOT, i, adopt_by_slot(fn_of(i)));
	}
	change_end(i, NOBODY, false);
	pause_ms(any_below(unbind ? 300 : 600));
}

int set_reset_method(unsigned int i, const char *method)
{
	return fn_write_file(fn_of(i), "reset_method", method);
}

void step_rules(void)
{
	static const char * const methods[] = {
		"default", "default", "\n", "pm", "flr", "bus",
	};
	unsigned int what = any_below(8), i = any_below(NR_FNS);
	const char *method = methods[any_below(ARRAY_SIZE(methods))];
	bool on = any_below(2);

	if (what < 2) {
		begin(OP_STRICT_RESET);
		atomic_add(shared->strict, 1);
		end(OP_STRICT_RESET, NR_FNS,
		    set_parameter("strict_reset", on ? "1" : "0"));
		atomic_set(shared->strict_on, on);
		atomic_add(shared->strict, 1);
		pause_ms(any_below(3000));
	} else if (what < 3) {
		begin(OP_AUTO_RESET);
		end(OP_AUTO_RESET, NR_FNS,
		    set_parameter("auto_reset", on ? "1" : "0"));
		pause_ms(any_below(2000));
	} else if (what < 4) {
		/* Only stricter than the rest, or a hand-out is not to be judged */
		begin(OP_STRICT);
		end(OP_STRICT, i, fn_set(fn_of(i), "strict", on ? "1" : "default"));
		pause_ms(any_below(500));
	} else if (what < 5) {
		begin(OP_SET_RESET);
		end(OP_SET_RESET, i, fn_set(fn_of(i), "set_reset", "0"));
		pause_ms(any_below(1000));
		begin(OP_SET_RESET);
		end(OP_SET_RESET, i, fn_set(fn_of(i), "set_reset", "1"));
	} else {
		/* A task that has the core reset it has read the methods */
		pthread_mutex_lock(&shared->subjects[set_of(i)].core);
		begin(OP_RESET_METHOD);
		end(OP_RESET_METHOD, i, set_reset_method(i, method));
		pthread_mutex_unlock(&shared->subjects[set_of(i)].core);
		pause_ms(any_below(1000));
	}
}
