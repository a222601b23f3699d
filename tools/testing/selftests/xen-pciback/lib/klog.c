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

#include "../../kselftest.h"
#include "klog.h"

/*
 * What was read so far of each log, by its descriptor.  /dev/kmsg cannot be rewound to where
 * klog_begin() was, and each read() returns one line only: nothing is read twice.
 */
static struct {
	char *text;
	size_t len;
} logs[64];

int klog_begin(void)
{
	int klog = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (klog < 0 || lseek(klog, 0, SEEK_END) < 0)
		err(1, "/dev/kmsg");
	if ((size_t)klog >= ARRAY_SIZE(logs))
		errx(1, "/dev/kmsg: too many files are open");
	logs[klog].len = 0;
	return klog;
}

static void read_on(int klog)
{
	char record[8192];
	ssize_t len;

	while ((len = read(klog, record, sizeof(record))) > 0 || errno == EPIPE) {
		if (len < 0)
			continue;
		logs[klog].text = realloc(logs[klog].text, logs[klog].len + len + 1);
		if (!logs[klog].text)
			err(1, "/dev/kmsg");
		memcpy(logs[klog].text + logs[klog].len, record, len);
		logs[klog].len += len;
		logs[klog].text[logs[klog].len] = '\0';
	}
}

/*
 * The last such line, when it was logged, and how many there are; -1 if there is
 * none
 */
static long long find(int klog, const char *one, const char *two, char *line,
		      unsigned int size, unsigned int *count)
{
	char *record, *text, *end;
	long long found = -1;

	read_on(klog);
	/* Each is "priority,sequence,time,flags;text", and then lines that begin with a space */
	for (record = logs[klog].text; logs[klog].len && *record; record = end + 1) {
		end = strchr(record, '\n');
		text = memchr(record, ';', end - record);
		if (*record == ' ' || !text)
			continue;
		*end = '\0';
		if (strstr(text, one) && (!two || strstr(text, two))) {
			++*count;
			if (line)
				snprintf(line, size, "%s", text + 1);
			if (sscanf(record, "%*u,%*u,%lld", &found) != 1)
				errx(1, "/dev/kmsg: %s", record);
		}
		*end = '\n';
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
