// SPDX-License-Identifier: GPL-2.0
/*
 * terminal ANSWER COMMAND [ARGUMENT]...: run a command on a terminal of its own, and type
 * ANSWER there. What that terminal shows goes to stdout. The exit status is the command's.
 * The device that HELD names in the environment is open for this program alone meanwhile.
 */
/* For posix_openpt() */
#define _XOPEN_SOURCE 700
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char text[4096];
	int terminal, slave, status;
	ssize_t n;
	pid_t pid;

	if (argc < 3)
		errx(2, "usage: terminal ANSWER COMMAND [ARGUMENT]...");
	if (getenv("HELD") && open(getenv("HELD"), O_RDONLY | O_EXCL | O_CLOEXEC) < 0)
		err(1, "%s", getenv("HELD"));
	terminal = posix_openpt(O_RDWR | O_NOCTTY);
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal))
		err(1, "no terminal");
	slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	if (slave < 0)
		err(1, "%s", ptsname(terminal));
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		dup2(slave, STDIN_FILENO);
		dup2(slave, STDOUT_FILENO);
		dup2(slave, STDERR_FILENO);
		close(slave);
		close(terminal);
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	close(slave);
	if (write(terminal, argv[1], strlen(argv[1])) < 0 || write(terminal, "\n", 1) < 0)
		err(1, "nothing can be typed");
	/* An error when nobody has the other end any more */
	while ((n = read(terminal, text, sizeof(text))) > 0)
		if (write(STDOUT_FILENO, text, n) < 0)
			err(1, "stdout");
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		errx(1, "%s was killed", argv[2]);
	return WEXITSTATUS(status);
}
