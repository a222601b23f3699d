// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's log. See klog.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "klog.h"

/*
 * /dev/kmsg cannot be rewound to where it was opened, so look for a line of our
 * own that says where that is.
 */
static char begin[64];

int klog_begin(void)
{
	static unsigned int count;
	int fd, kmsg;

	snprintf(begin, sizeof(begin), "selftest %d.%u begins", getpid(),
		 count++);
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (kmsg < 0 || write(kmsg, begin, strlen(begin)) < 0)
		err(1, "/dev/kmsg");
	close(kmsg);

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/kmsg");
	return fd;
}

/*
 * The last such line, when it was logged, and how many there are; -1 if there is
 * none
 */
static long long find(int klog, const char *one, const char *two, char *line,
		      unsigned int size, unsigned int *count)
{
	char record[8192], *text;
	long long found = -1;
	bool begun = false;
	ssize_t len;

	lseek(klog, 0, SEEK_SET);
	for (;;) {
		len = read(klog, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len < 0)
			break;
		record[len] = '\0';

		/* priority,sequence,time,flags;text */
		text = strchr(record, ';');
		if (!text)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (!begun) {
			begun = !strcmp(text + 1, begin);
			continue;
		}
		if (strstr(text, one) && (!two || strstr(text, two))) {
			++*count;
			if (line)
				snprintf(line, size, "%s", text + 1);
			if (sscanf(record, "%*u,%*u,%lld", &found) != 1)
				errx(1, "/dev/kmsg: %s", record);
		}
	}
	return found;
}

bool klog_has(int klog, const char *one, const char *two, char *line,
	      unsigned int size)
{
	unsigned int count = 0;

	return find(klog, one, two, line, size, &count) >= 0;
}

unsigned int klog_count(int klog, const char *one, const char *two)
{
	unsigned int count = 0;

	find(klog, one, two, NULL, 0, &count);
	return count;
}

long long klog_time(int klog, const char *one, const char *two)
{
	unsigned int count = 0;

	return find(klog, one, two, NULL, 0, &count);
}

void klog_end(int klog)
{
	close(klog);
}
