// SPDX-License-Identifier: GPL-2.0
/*
 * The hardware's trace. See hw.h.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "hw.h"

#define MARK_OFFSET	0xfc
#define MARK_MAGIC	0x5eed0000
/* The last 0x100 are for tests' own marks */
#define MARK_OWN	0xff00

#define FEED_TIMEOUT_MS	20000
#define POLL_MS		10

/* Where marks are written, locked until it is closed: a lock of this process */
static int open_marks(short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
	int fd = fn_open_config(fn_root(0), O_RDWR);

	if (fcntl(fd, F_SETLKW, &lock))
		err(1, "the lock of all marks");
	return fd;
}

int hw_hold_marks(void)
{
	return open_marks(F_WRLCK);
}

void hw_mark(uint16_t mark)
{
	uint32_t val = MARK_MAGIC | mark;
	int fd = open_marks(F_RDLCK);

	if (pwrite(fd, &val, sizeof(val), MARK_OFFSET) != sizeof(val))
		err(1, "writing a mark");
	close(fd);
}

int hw_is_mark(const struct hw_event *event, uint16_t mark)
{
	return event->kind == 'w' && !event->bus && !event->dev &&
	       !event->func && event->offset == MARK_OFFSET &&
	       event->val == (MARK_MAGIC | mark);
}

static void hw_open(struct hw *hw, const char *port, int flags)
{
	struct termios raw;

	memset(hw, 0, sizeof(*hw));
	hw->fd = open(port, flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (hw->fd < 0)
		err(1, "%s: no way to the hardware", port);
	if (!tcgetattr(hw->fd, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(hw->fd, TCSANOW, &raw);
	}
}

/*
 * The next line from the port, without its end. Waits for it: where time passes by
 * instructions, it passes at once while all sleep, and nobody who sleeps until the
 * host answers knows for how long; @sleeps, if that does not matter.
 */
static char *hw_line(struct hw *hw, bool sleeps)
{
	static char line[sizeof(hw->line)];
	struct pollfd pfd = { .fd = hw->fd, .events = POLLIN };
	long long until = now_ms() + FEED_TIMEOUT_MS;
	size_t used;
	ssize_t got;
	char *end;

	for (;;) {
		end = memchr(hw->line, '\n', hw->len);
		if (end) {
			used = end + 1 - hw->line;
			memcpy(line, hw->line, used);
			line[used - 1] = '\0';
			hw->len -= used;
			memmove(hw->line, end + 1, hw->len);
			/* The monitor's end in both */
			line[strcspn(line, "\r")] = '\0';
			return line;
		}
		/* The rest of a line cut off when the feed was last closed */
		if (hw->len == sizeof(hw->line))
			hw->len = 0;

		while (poll(&pfd, 1, sleeps ? -1 : 0) != 1)
			if (now_ms() > until)
				errx(1, "the hardware has nothing more to say");
		got = read(hw->fd, hw->line + hw->len,
			   sizeof(hw->line) - hw->len);
		if (got > 0)
			hw->len += got;
	}
}

static int hw_parse(const char *line, struct hw_event *event)
{
	unsigned int bus, dev, func;

	memset(event, 0, sizeof(*event));
	if (sscanf(line, "w %x:%x.%x %x %x %31s", &bus, &dev, &func,
		   &event->offset, &event->val, event->type) == 6) {
		event->kind = 'w';
		event->bus = bus;
		event->dev = dev;
		event->func = func;
		return 0;
	}
	if (sscanf(line, "r %31s %llx", event->type, &event->object) == 2) {
		event->kind = 'r';
		return 0;
	}
	return -1;
}

static uint16_t hw_new_mark(void)
{
	uint16_t mark;

	if (getrandom(&mark, sizeof(mark), 0) != sizeof(mark))
		err(1, "getrandom");
	return mark % MARK_OWN;
}

void hw_begin(struct hw *hw)
{
	uint16_t mark = hw_new_mark();
	struct hw_event event;

	hw_open(hw, HW_FEED, O_RDONLY);
	hw_mark(mark);
	do {
		if (hw_parse(hw_line(hw, false), &event))
			event.kind = 0;
	} while (!hw_is_mark(&event, mark));
}

static struct hw_event next_event(struct hw *hw, bool sleeps)
{
	struct hw_event event;
	const char *line;

	for (;;) {
		line = hw_line(hw, sleeps);
		if (!hw_parse(line, &event))
			return event;
		if (!hw->slept)
			errx(1, "not a line of the hardware's account: '%s'",
			     line);
	}
}

struct hw_event hw_next(struct hw *hw)
{
	return next_event(hw, true);
}

void hw_end(struct hw *hw)
{
	uint16_t mark = hw_new_mark();
	struct hw_event event;

	hw_mark(mark);
	for (;;) {
		event = next_event(hw, false);
		if (hw_is_mark(&event, mark))
			break;
		if (hw->nr == hw->max) {
			hw->max = hw->max ? 2 * hw->max : 256;
			hw->events = realloc(hw->events,
					     hw->max * sizeof(*hw->events));
			if (!hw->events)
				err(1, "realloc");
		}
		hw->events[hw->nr++] = event;
	}
	close(hw->fd);
	hw->fd = -1;
}

static int writes_to(const struct hw_event *event, struct fn fn)
{
	return event->kind == 'w' && event->bus == fn.bus &&
	       event->dev == fn.dev && event->func == fn.func;
}

unsigned int hw_writes(const struct hw *hw, struct fn to, unsigned int offset,
		       uint32_t mask, uint32_t val)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < hw->nr; i++)
		if (writes_to(&hw->events[i], to) &&
		    hw->events[i].offset == offset &&
		    (hw->events[i].val & mask) == val)
			count++;
	return count;
}

unsigned int hw_all_writes(const struct hw *hw, struct fn fn)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < hw->nr; i++)
		count += writes_to(&hw->events[i], fn);
	return count;
}

unsigned int hw_flrs(const struct hw *hw, struct fn fn)
{
	unsigned int cap = fn_cap(fn, PCI_CAP_ID_EXP);

	if (!cap)
		return 0;
	return hw_writes(hw, fn, cap + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR,
			 PCI_EXP_DEVCTL_BCR_FLR);
}

int hw_is_sbr(const struct hw_event *event, struct fn bridge)
{
	return writes_to(event, bridge) &&
	       event->offset == PCI_BRIDGE_CONTROL &&
	       event->val & PCI_BRIDGE_CTL_BUS_RESET;
}

unsigned int hw_sbrs(const struct hw *hw, struct fn bridge)
{
	return hw_writes(hw, bridge, PCI_BRIDGE_CONTROL,
			 PCI_BRIDGE_CTL_BUS_RESET, PCI_BRIDGE_CTL_BUS_RESET);
}

unsigned int hw_d3s(const struct hw *hw, struct fn fn)
{
	unsigned int cap = fn_cap(fn, PCI_CAP_ID_PM);

	if (!cap)
		return 0;
	return hw_writes(hw, fn, cap + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 3);
}

unsigned int hw_slot_controls(const struct hw *hw, struct fn port)
{
	unsigned int cap = fn_cap(port, PCI_CAP_ID_EXP);

	return cap ? hw_writes(hw, port, cap + PCI_EXP_SLTCTL, 0, 0) : 0;
}

unsigned int hw_resets(const struct hw *hw, const char *type)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < hw->nr; i++)
		if (hw->events[i].kind == 'r' &&
		    (!type || !strcmp(hw->events[i].type, type)))
			count++;
	return count;
}

unsigned int hw_all_resets(const struct hw *hw)
{
	return hw_resets(hw, NULL);
}

/* The first writer of its kind tells for all of the same function */
static int is_first(const struct hw *hw, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (hw->events[j].kind == 'w' &&
		    hw->events[j].bus == hw->events[i].bus &&
		    hw->events[j].dev == hw->events[i].dev &&
		    hw->events[j].func == hw->events[i].func)
			return 0;
	return 1;
}

static int is_first_reset(const struct hw *hw, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (hw->events[j].kind == 'r' &&
		    !strcmp(hw->events[j].type, hw->events[i].type))
			return 0;
	return 1;
}

static int print_count(FILE *f, const char *prefix, const char *what,
		       struct fn fn, const char *type, unsigned int count)
{
	if (!count)
		return 0;
	fprintf(f, "%s%s %02x:%02x.%x (%s)", prefix, what, fn.bus, fn.dev,
		fn.func, type);
	if (count > 1)
		fprintf(f, ", %u times", count);
	fprintf(f, "\n");
	return 1;
}

void hw_print(const struct hw *hw, FILE *f, const char *prefix)
{
	const struct hw_event *event;
	int resets = 0, facts = 0;
	unsigned int count;
	struct fn fn;
	size_t i;

	for (i = 0; i < hw->nr; i++) {
		event = &hw->events[i];
		if (event->kind != 'w' || !is_first(hw, i))
			continue;

		fn = fn_root(event->dev);
		fn.bus = event->bus;
		fn.func = event->func;
		snprintf(fn.name, sizeof(fn.name), "0000:%02x:%02x.%x", fn.bus,
			 fn.dev, fn.func & 7);
		if (!fn_exists(fn))
			continue;

		facts += print_count(f, prefix, "function-level reset of", fn,
				     event->type, hw_flrs(hw, fn));
		/* A bridge's register, and an ordinary device's Max_Lat */
		if ((fn_read(fn, PCI_HEADER_TYPE, 1) & 0x7f) ==
		    PCI_HEADER_TYPE_BRIDGE)
			facts += print_count(f, prefix,
					     "secondary bus reset by", fn,
					     event->type, hw_sbrs(hw, fn));
		facts += print_count(f, prefix, "D3hot for", fn, event->type,
				     hw_d3s(hw, fn));
	}

	for (i = 0; i < hw->nr; i++) {
		event = &hw->events[i];
		if (event->kind != 'r' || !is_first_reset(hw, i))
			continue;

		count = hw_resets(hw, event->type);
		if (resets++)
			fprintf(f, ", %s", event->type);
		else
			fprintf(f, "%sdevices reset: %s", prefix, event->type);
		if (count > 1)
			fprintf(f, " x%u", count);
	}
	if (resets)
		fprintf(f, "\n");
	else if (!facts)
		fprintf(f, "%sno reset of anything\n", prefix);
}

/*
 * QMP: a line a request or an answer. Its events come in between. False if what
 * it needs is still in use.
 */
static bool hw_try_monitor(const char *command)
{
	char request[512], id[32], good[64];
	uint16_t mark = hw_new_mark();
	const char *line;
	struct hw hw;
	bool in_use;
	int len;

	len = snprintf(request, sizeof(request),
		       "{\"execute\": \"qmp_capabilities\"}\n");
	len += snprintf(request + len, sizeof(request) - len,
			"{\"execute\": \"human-monitor-command\", \"id\": %u, ",
			mark);
	len += snprintf(request + len, sizeof(request) - len,
			"\"arguments\": {\"command-line\": \"%s\"}}\n", command);
	/* Tells the answer from those to others before */
	snprintf(id, sizeof(id), "\"id\": %u}", mark);
	snprintf(good, sizeof(good), "{\"return\": \"\", %s", id);

	hw_open(&hw, HW_MONITOR, O_RDWR);
	if (write(hw.fd, request, len) != len)
		err(1, HW_MONITOR);
	do {
		line = hw_line(&hw, false);
	} while (!strstr(line, id));
	in_use = strstr(line, "already in use");
	if (!in_use && strcmp(line, good))
		errx(1, "QEMU: %s: %s", command, line);
	close(hw.fd);
	return !in_use;
}

/* QEMU lets go of a drive some time after its device is gone */
void hw_monitor(const char *command)
{
	int waited;

	for (waited = 0; !hw_try_monitor(command); waited += POLL_MS) {
		if (waited > FEED_TIMEOUT_MS)
			errx(1, "QEMU: %s: still in use", command);
		usleep(POLL_MS * 1000);
	}
}
