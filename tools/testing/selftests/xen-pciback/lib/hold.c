// SPDX-License-Identifier: GPL-2.0
/*
 * The files of test_modules/pciback_hold.ko. See hold.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hold.h"
#include "pci.h"

/* 10 ms each */
#define TRIES		3000
#define STAYS		20

bool hold_available(void)
{
	return !access(HOLD_MODULE, R_OK);
}

static bool hold_loaded(void)
{
	return !access(HOLD_DIR, F_OK);
}

int hold_load(void)
{
	if (hold_loaded())
		return 0;
	return system("insmod " HOLD_MODULE) ? -EIO : 0;
}

int hold_unload(void)
{
	if (!hold_loaded())
		return 0;
	return unload_module("pciback_hold");
}

int hold_at_entry(const char *function)
{
	return write_string(HOLD_DIR "/entry", function);
}

int hold_at_return(const char *function)
{
	return write_string(HOLD_DIR "/return", function);
}

static pid_t who(void)
{
	FILE *f = fopen(HOLD_DIR "/held", "r");
	pid_t pid = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	return pid;
}

bool hold_wait(void)
{
	unsigned int tries;

	for (tries = 0; tries < TRIES && !who(); tries++)
		usleep(10000);
	return who();
}

int hold_next(void)
{
	return write_string(HOLD_DIR "/next", "1");
}

int hold_for(unsigned int ms)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", ms);
	return write_string(HOLD_DIR "/patience_ms", text);
}

int hold_let_go(void)
{
	return write_string(HOLD_DIR "/let_go", "1");
}

static bool is_in(pid_t pid, const char *function)
{
	char path[64], stack[4096];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	f = fopen(path, "r");
	len = f ? fread(stack, 1, sizeof(stack) - 1, f) : 0;
	stack[len] = '\0';
	if (f)
		fclose(f);
	return strstr(stack, function);
}

bool hold_waits_in(pid_t pid, const char *function)
{
	siginfo_t ended = {};
	unsigned int tries, stays = 0;

	for (tries = 0; tries < TRIES && stays < STAYS; tries++) {
		if (!waitid(P_PID, pid, &ended, WEXITED | WNOHANG | WNOWAIT) &&
		    ended.si_pid == pid)
			return false;
		stays = is_in(pid, function) ? stays + 1 : 0;
		usleep(10000);
	}
	return stays == STAYS;
}
