// SPDX-License-Identifier: GPL-2.0
/*
 * PCI functions through sysfs. See pci.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pci.h"

/* The core gives a function a minute to come back */
#define GONE_MS		120000
/* What a worker's name ends with while it does something for pciback */
#define AT_WORK		"+xen-pciback-reset"
/* The core gives a function a minute to come back, in each of two steps */
#define QUIESCE_PAUSE_MS	500
#define QUIESCE_MS	180000

/* As in the kernel's xen/privcmd.h, which Xen's own headers have no place for */
#define PRIVCMD		"/dev/xen/privcmd"

struct get_gsi {
	uint32_t sbdf;
	uint32_t gsi;
};

#define GET_GSI		_IOC(_IOC_NONE, 'P', 10, sizeof(struct get_gsi))

struct fn fn_make(unsigned int domain, unsigned int bus, unsigned int dev,
		  unsigned int func)
{
	struct fn fn = {
		.domain = domain, .bus = bus, .dev = dev, .func = func
	};

	snprintf(fn.name, sizeof(fn.name), "%04x:%02x:%02x.%x", fn.domain,
		 fn.bus, fn.dev, fn.func & 7);
	return fn;
}

struct fn fn_root(unsigned int dev)
{
	return fn_make(0, 0, dev, 0);
}

struct fn fn_below(struct fn bridge, unsigned int dev, unsigned int func)
{
	return fn_make(bridge.domain, fn_read(bridge, PCI_SECONDARY_BUS, 1),
		       dev, func);
}

bool fn_wait_gone(struct fn fn)
{
	long long give_up = now_ms() + GONE_MS;

	while (fn_exists(fn) && now_ms() < give_up)
		usleep(10000);
	return !fn_exists(fn);
}

void fn_path(struct fn fn, const char *file, char *path, size_t size)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/%s", fn.name, file);
}

struct card card_find(void)
{
	struct fn port = fn_root(0x13);
	struct card card = {
		.port = port,
		.first = fn_below(port, 0, 0),
		.second = fn_below(port, 0, 1),
		.third = fn_below(port, 0, 2),
	};

	return card;
}

bool fn_has_file(struct fn fn, const char *file)
{
	char path[256];

	fn_path(fn, file, path, sizeof(path));
	return !access(path, F_OK);
}

bool fn_exists(struct fn fn)
{
	char path[PATH_MAX];

	fn_path(fn, "", path, sizeof(path));
	return !access(path, F_OK);
}

int fn_open_config(struct fn fn, int flags)
{
	char path[PATH_MAX];
	int fd;

	fn_path(fn, "config", path, sizeof(path));
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

void fn_read_config(struct fn fn, unsigned int offset, void *buf, size_t len)
{
	int fd = fn_open_config(fn, O_RDONLY);

	if (pread(fd, buf, len, offset) != (ssize_t)len)
		err(1, "%s: reading config at 0x%x", fn.name, offset);
	close(fd);
}

uint32_t fn_read(struct fn fn, unsigned int offset, size_t len)
{
	uint32_t val = 0;

	fn_read_config(fn, offset, &val, len);
	return val;
}

void fn_write(struct fn fn, unsigned int offset, uint32_t val, size_t len)
{
	int fd = fn_open_config(fn, O_WRONLY);

	if (pwrite(fd, &val, len, offset) != (ssize_t)len)
		err(1, "%s: writing config at 0x%x", fn.name, offset);
	close(fd);
}

unsigned int fn_cap(struct fn fn, uint8_t id)
{
	unsigned int pos = fn_read(fn, PCI_CAPABILITY_LIST, 1) & ~3;
	int ttl = 48;

	while (pos && ttl--) {
		if (fn_read(fn, pos, 1) == id)
			return pos;
		pos = fn_read(fn, pos + 1, 1) & ~3;
	}
	return 0;
}

void fn_driver(struct fn fn, char *name, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	fn_path(fn, "driver", path, sizeof(path));
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = '\0';
	snprintf(name, size, "%s", len < 0 ? "" : basename(target));
}

int write_file(const char *path, const void *data, size_t len)
{
	ssize_t done;
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	done = write(fd, data, len);
	if (done < 0)
		ret = -errno;
	else if (done != (ssize_t)len)
		ret = -EMSGSIZE;
	close(fd);
	return ret;
}

int write_string(const char *path, const char *s)
{
	return write_file(path, s, strlen(s));
}

int fn_write_file(struct fn fn, const char *file, const char *s)
{
	char path[PATH_MAX];

	fn_path(fn, file, path, sizeof(path));
	return write_string(path, s);
}

bool file_has(const char *path, const char *s)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[len > 0 ? len : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return strstr(text, s);
}

int fn_unbind(struct fn fn)
{
	char path[PATH_MAX];

	fn_path(fn, "driver/unbind", path, sizeof(path));
	return write_string(path, fn.name);
}

int fn_bind(struct fn fn, const char *driver)
{
	char path[PATH_MAX], bound[64];
	int ret;

	fn_path(fn, "driver_override", path, sizeof(path));
	ret = write_string(path, driver);
	if (ret)
		return ret;

	fn_driver(fn, bound, sizeof(bound));
	if (!strcmp(bound, driver))
		return 0;
	if (*bound) {
		ret = fn_unbind(fn);
		if (ret && ret != -ENOENT)
			return ret;
	}

	ret = write_string("/sys/bus/pci/drivers_probe", fn.name);
	if (ret)
		return ret;
	fn_driver(fn, bound, sizeof(bound));
	return strcmp(bound, driver) ? -ENODEV : 0;
}

int fn_adopt(struct fn fn)
{
	return fn_bind(fn, "pciback");
}

int fn_release(struct fn fn)
{
	char path[PATH_MAX];
	int ret;

	fn_path(fn, "driver_override", path, sizeof(path));
	ret = write_string(path, "\n");
	if (ret)
		return ret;

	/* It would be seized again at the next probe */
	ret = write_string(PCIBACK_DIR "/remove_slot", fn.name);
	if (ret && ret != -ENOENT)
		return ret;

	ret = fn_unbind(fn);
	return ret == -ENOENT ? 0 : ret;
}

int card_adopt(const struct card *card)
{
	return fn_adopt(card->first) ?: fn_adopt(card->second) ?:
	       fn_adopt(card->third);
}

int card_release(const struct card *card)
{
	int first = fn_release(card->first);
	int second = fn_release(card->second);
	int third = fn_release(card->third);

	return first ?: second ?: third;
}

/*
 * Not MSI-X: what dom0 writes there Xen remembers as the guest's mask, and puts
 * it back at the next PHYSDEVOP_prepare_msix, whatever was reset in between.
 */
void fn_scribble(struct fn fn)
{
	unsigned int bar, msi = fn_cap(fn, PCI_CAP_ID_MSI);

	for (bar = PCI_BASE_ADDRESS_0; bar <= PCI_BASE_ADDRESS_5; bar += 4)
		fn_write(fn, bar, 0x5a5a0000, 4);
	fn_write(fn, PCI_ROM_ADDRESS, 0x5a580001, 4);
	fn_write(fn, PCI_INTERRUPT_LINE, 0x5a, 1);
	fn_write(fn, PCI_CACHE_LINE_SIZE, 0x20, 1);
	if (msi) {
		fn_write(fn, msi + PCI_MSI_ADDRESS_LO, 0xfee5a000, 4);
		fn_write(fn, msi + PCI_MSI_FLAGS,
			 fn_read(fn, msi + PCI_MSI_FLAGS, 2) |
			 PCI_MSI_FLAGS_ENABLE, 2);
	}
	fn_write(fn, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
		 PCI_COMMAND_PARITY, 2);
}

/* The first line of a file, or the empty string */
static void read_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");

	buf[0] = '\0';
	if (!f)
		return;
	if (!fgets(buf, size, f))
		buf[0] = '\0';
	fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
}

void fn_edit(struct fn fn, uint16_t command)
{
	fn_write(fn, PCI_BASE_ADDRESS_0, 0x5a5a0000, 4);
	fn_write(fn, PCI_INTERRUPT_LINE, 0x5a, 1);
	fn_write(fn, PCI_CACHE_LINE_SIZE, 0x20, 1);
	fn_write(fn, PCI_COMMAND, command, 2);
}

int reset_device(struct fn fn)
{
	return write_string(RESET_DEVICE, fn.name);
}

int do_flr(struct fn fn)
{
	return write_string(DO_FLR, fn.name);
}

void fn_xenopsd_reset(struct fn fn)
{
	if (fn_has_file(fn, "reset"))
		fn_write_file(fn, "reset", "1");
	else
		do_flr(fn);
}

int fn_set(struct fn fn, const char *policy, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/pciback/%s",
		 fn.name, policy);
	return write_string(path, value);
}

const char *fn_get(struct fn fn, const char *policy)
{
	static char value[16];
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/pciback/%s",
		 fn.name, policy);
	read_line(path, value, sizeof(value));
	return value;
}

int set_parameter(const char *name, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/module/xen_pciback/parameters/%s",
		 name);
	return write_string(path, value);
}

/* Is one of the kernel's workers at a reset just now? */
static bool resets_are_under_way(void)
{
	char path[PATH_MAX], name[64];
	bool found = false;
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc)
		err(1, "/proc");
	while (!found && (entry = readdir(proc))) {
		if (!isdigit(*entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		read_line(path, name, sizeof(name));
		found = strstr(name, AT_WORK);
	}
	closedir(proc);
	return found;
}

/*
 * A plan is made by a work item that is queued after what was queued before: when that has
 * begun, so has the other, and the name of its worker tells until when.
 */
void fn_quiesce(struct fn fn)
{
	long long give_up = now_ms() + QUIESCE_MS;
	unsigned int pause_ms = 10;

	do {
		fn_plan(fn);
		if (!resets_are_under_way())
			return;
		usleep(pause_ms * 1000);
		/* To look takes long, and the core waits a minute for a dead function */
		if (pause_ms < QUIESCE_PAUSE_MS)
			pause_ms *= 2;
	} while (now_ms() < give_up);
}

int fn_needs_reset(struct fn fn)
{
	char path[PATH_MAX], line[16];

	fn_path(fn, "pciback/needs_reset", path, sizeof(path));
	read_line(path, line, sizeof(line));
	return *line ? atoi(line) : -ENOENT;
}

bool fn_wait_clean(struct fn fn)
{
	unsigned int tries;

	for (tries = 0; tries < 1000 && fn_needs_reset(fn); tries++)
		usleep(10000);
	return !fn_needs_reset(fn);
}

const char *fn_last_reset(struct fn fn)
{
	static char last[256];
	char path[PATH_MAX];

	fn_path(fn, "pciback/last_reset", path, sizeof(path));
	read_line(path, last, sizeof(last));
	return last;
}

const char *fn_plan(struct fn fn)
{
	static char plan[256];
	char path[PATH_MAX];

	fn_path(fn, "pciback/reset_plan", path, sizeof(path));
	read_line(path, plan, sizeof(plan));
	return plan;
}

int fn_ask_gsi(struct fn fn)
{
	struct get_gsi get = {
		.sbdf = fn.domain << 16 | fn.bus << 8 | fn.dev << 3 | fn.func,
	};
	int fd = open(PRIVCMD, O_RDWR | O_CLOEXEC);
	int ret = fd < 0 || ioctl(fd, GET_GSI, &get) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

int wait_for_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

int wait_for_child_until(pid_t pid, unsigned int ms)
{
	siginfo_t ended = {};
	unsigned int tries;

	for (tries = 0; tries < ms / 10; tries++) {
		if (!waitid(P_PID, pid, &ended, WEXITED | WNOHANG | WNOWAIT) &&
		    ended.si_pid == pid)
			return wait_for_child(pid);
		usleep(10000);
	}
	return -ETIMEDOUT;
}

long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

bool kernel_since(unsigned int major, unsigned int minor)
{
	unsigned int have_major, have_minor;
	struct utsname name;

	if (uname(&name) ||
	    sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2)
		errx(1, "cannot tell which kernel this is");
	return have_major > major ||
	       (have_major == major && have_minor >= minor);
}

static int run(const char *tool, const char *name)
{
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		execlp(tool, tool, name, (char *)NULL);
		_exit(127);
	}
	return wait_for_child(pid) ? -EIO : 0;
}

int load_module(const char *name)
{
	return run("modprobe", name);
}

int unload_module(const char *name)
{
	return run("rmmod", name);
}

int load_pciback(const char *parameters)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "insmod /lib/modules/xen-pciback.ko %s", parameters);
	return system(command) ? -EIO : 0;
}

const char *fn_bound_last_reset(struct fn fn)
{
	return kernel_since(5, 15) ? "none" : "bus: not supported";
}
