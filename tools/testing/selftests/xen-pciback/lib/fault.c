// SPDX-License-Identifier: GPL-2.0
/*
 * The files of test_modules/pciback_fault.ko. See fault.h.
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fault.h"

/* The core gives a function a minute to come back */
#define WAIT_MS		120000
#define POLL_MS		10

bool fault_available(void)
{
	return !access(FAULT_MODULE, R_OK);
}

static bool fault_loaded(void)
{
	return !access(FAULT_DIR, F_OK);
}

int fault_load(void)
{
	if (fault_loaded())
		return 0;
	return system("insmod " FAULT_MODULE) ? -EIO : 0;
}

int fault_unload(void)
{
	if (!fault_loaded())
		return 0;
	return unload_module("pciback_fault");
}

int fault_add(struct fn fn)
{
	return write_string(FAULT_DIR "/add", fn.name);
}

int fault_remove(struct fn fn)
{
	return write_string(FAULT_DIR "/remove", fn.name);
}

static void fault_path(struct fn fn, const char *file, char *path, size_t size)
{
	snprintf(path, size, FAULT_DIR "/%s/%s", fn.name, file);
}

int fault_set(struct fn fn, const char *file, uint32_t val)
{
	char path[PATH_MAX], number[16];

	fault_path(fn, file, path, sizeof(path));
	snprintf(number, sizeof(number), "%u", val);
	return write_string(path, number);
}

int fault_heal(struct fn fn, const char *file)
{
	return fault_set(fn, file, 0) ?: fault_set(fn, "heal", 1);
}

uint32_t fault_get(struct fn fn, const char *file)
{
	char path[PATH_MAX], number[16];
	FILE *f;

	fault_path(fn, file, path, sizeof(path));
	f = fopen(path, "r");
	if (!f || !fgets(number, sizeof(number), f))
		err(1, "%s", path);
	fclose(f);
	return strtoul(number, NULL, 0);
}

unsigned int fault_writes(struct fn fn, unsigned int offset)
{
	unsigned int at, count;
	char path[PATH_MAX];
	FILE *f;

	fault_path(fn, "writes", path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		err(1, "%s", path);
	while (fscanf(f, "%x %u", &at, &count) == 2) {
		if (at == offset) {
			fclose(f);
			return count;
		}
	}
	fclose(f);
	return 0;
}

static unsigned int flrs(struct fn fn)
{
	return fault_get(fn, "flrs") + fault_get(fn, "af_flrs");
}

bool fault_wait(struct fn fn, const char *file)
{
	long long give_up = now_ms() + WAIT_MS;

	while (!fault_get(fn, file)) {
		if (now_ms() > give_up)
			return false;
		usleep(POLL_MS * 1000);
	}
	return true;
}

static pid_t begin_reset(struct fn fn, uint32_t ms, int (*reset)(struct fn fn))
{
	unsigned int tries;
	pid_t pid;

	if (fault_set(fn, "clear", 1) || fault_set(fn, "flr_away_ms", ms))
		return -1;
	pid = fork();
	if (!pid)
		_exit(-reset(fn));
	for (tries = 0; tries < 500 && !flrs(fn); tries++)
		usleep(10000);
	return flrs(fn) ? pid : -1;
}

pid_t fault_begin_reset(struct fn fn, uint32_t ms)
{
	return begin_reset(fn, ms, reset_device);
}

static int reset_by_core(struct fn fn)
{
	return fn_write_file(fn, "reset", "1");
}

pid_t fault_begin_core_reset(struct fn fn, uint32_t ms)
{
	return begin_reset(fn, ms, reset_by_core);
}

int fault_rediscover(struct fn fn)
{
	int ret;

	ret = fn_write_file(fn, "remove", "1");
	if (ret)
		return ret;
	ret = write_string("/sys/bus/pci/rescan", "1");
	if (ret)
		return ret;
	return fn_exists(fn) ? 0 : -ENODEV;
}
