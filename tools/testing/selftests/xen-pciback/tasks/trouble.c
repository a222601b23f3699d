// SPDX-License-Identifier: GPL-2.0
/*
 * The tasks of stress that make trouble: one injects faults into functions, and one uses up
 * memory.
 */
#include <sys/mman.h>

#include "tasks.h"

static int load_faults(void)
{
	int ret;

	pthread_mutex_lock(&shared->accessors);
	begin(OP_FAULT_LOAD);
	ret = end(OP_FAULT_LOAD, NR_FNS, fault_load());
	pthread_mutex_unlock(&shared->accessors);
	return ret;
}

void unload_faults(void)
{
	pthread_mutex_lock(&shared->accessors);
	begin(OP_FAULT_UNLOAD);
	end(OP_FAULT_UNLOAD, NR_FNS, fault_unload());
	pthread_mutex_unlock(&shared->accessors);
}

static int add_faults(struct fn fn)
{
	int ret;

	pthread_mutex_lock(&shared->accessors);
	ret = fault_add(fn);
	pthread_mutex_unlock(&shared->accessors);
	return ret == -EEXIST ? 0 : ret;
}

void step_faults(void)
{
	unsigned int i = any_below(FIRST_ON_ROOT), f = any_below(NR_FAULTS);
	bool unload = !any_below(4);
	unsigned int lasts = any_below(3000), set = set_of(i);
	bool trouble = false;
	int ret;

	if (load_faults())
		return;

	/* That an FLR had no effect is what the core does not see */
	begin(OP_FAULT);
	pthread_mutex_lock(&shared->subjects[set].core);
	ret = add_faults(fn_of(i));
	if (!ret) {
		trouble = !faults[f].harmless;
		if (trouble)
			trouble_begin(set);
		ret = fault_set(fn_of(i), faults[f].file, faults[f].val);
	}
	if (!end(OP_FAULT, i, ret)) {
		atomic_add(shared->faults[f], 1);
		pause_ms(lasts);
		ret = fault_heal(fn_of(i), faults[f].file);
		if (ret)
			fail("%s cannot be healed: %s", fn_of(i).name,
			     strerror(-ret));
	}
	if (trouble)
		trouble_end(set);
	pthread_mutex_unlock(&shared->subjects[set].core);

	if (unload)
		unload_faults();
	pause_ms(any_below(500));
}

/* What is to be left, in MB: nobody is to be killed */
#define MEMORY_LEFT	80

static size_t memory_available(void)
{
	unsigned long kb = 0;
	char line[128];
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb >> 10;
}

void step_memory(void)
{
	size_t mb = memory_available();
	unsigned int lasts = any_below(300);
	char *memory;

	begin(OP_MEMORY);
	mb = mb > MEMORY_LEFT ? mb - MEMORY_LEFT : 0;
	memory = mmap(NULL, mb << 20 ?: 1, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pause_ms(lasts);
	if (memory != MAP_FAILED)
		munmap(memory, mb << 20 ?: 1);
	end(OP_MEMORY, NR_FNS, write_string("/proc/sys/vm/drop_caches", "3"));
	pause_ms(500 + any_below(1000));
}
