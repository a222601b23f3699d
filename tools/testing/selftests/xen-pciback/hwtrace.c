// SPDX-License-Identifier: GPL-2.0
/*
 * hwtrace [-v] COMMAND [ARGUMENT...]: run a command in the VM, and print how long it took
 * and what the hardware did meanwhile, by its own trace. -v: each config write, too.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/hw.h"

int main(int argc, char **argv)
{
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	const struct hw_event *event;
	int status = 0;
	struct timespec start, end;
	struct hw hw;
	pid_t pid;
	size_t i;

	argv += 1 + verbose;
	if (!*argv)
		errx(2, "usage: hwtrace [-v] COMMAND [ARGUMENT...]");

	hw_begin(&hw);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		execvp(*argv, argv);
		err(127, "%s", *argv);
	}
	waitpid(pid, &status, 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	hw_end(&hw);

	printf("  took:     %lld ms, %s\n",
	       (end.tv_sec - start.tv_sec) * 1000LL +
	       (end.tv_nsec - start.tv_nsec) / 1000000,
	       WIFEXITED(status) && !WEXITSTATUS(status) ? "ok" : "failed");

	for (i = 0; verbose && i < hw.nr; i++) {
		event = &hw.events[i];
		if (event->kind == 'w')
			printf("  hardware: %02x:%02x.%x 0x%02x <- 0x%x (%s)\n",
			       event->bus, event->dev, event->func,
			       event->offset, event->val, event->type);
		else
			printf("  hardware: %s reset\n", event->type);
	}
	hw_print(&hw, stdout, "  hardware: ");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
