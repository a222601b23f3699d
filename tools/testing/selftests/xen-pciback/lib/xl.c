// SPDX-License-Identifier: GPL-2.0
/*
 * A real guest, by the unmodified xl. See xl.h.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "xl.h"

#define KERNEL		"/guest/vmlinux"
#define HVM_GUEST	"hvm_guest"
#define DEVICE_MODEL	"/usr/libexec/xen-qemu-system-i386"
#define XL_OUT		"/tmp/xl.out"
#define POLL_MS		100
/* What a kernel boots faster with: qemu/vm.sh */
#define QUICK		"/etc/quick"

static bool passed(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec > XL_WAIT_S;
}

/* Wait until the condition holds, and check it so often: 0 or -ETIMEDOUT */
#define wait_each(ms, condition) ({					\
	struct timespec start;						\
	int ret = 0;							\
									\
	clock_gettime(CLOCK_MONOTONIC, &start);				\
	while (!(condition) && !ret) {					\
		usleep((ms) * 1000);					\
		if (passed(&start))					\
			ret = -ETIMEDOUT;				\
	}								\
	ret;								\
})

#define wait_until(condition)	wait_each(POLL_MS, condition)

/* The first line of what a command prints, or the empty string */
static void ask(char *buf, size_t size, const char *fmt, ...)
{
	char command[512];
	va_list args;
	FILE *f;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);

	buf[0] = '\0';
	f = popen(command, "r");
	if (!f)
		err(1, "%s", command);
	if (!fgets(buf, size, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	pclose(f);
}

/* -- xl --------------------------------------------------------------------- */

bool xl_hvm_possible(void)
{
	return !access(DEVICE_MODEL, F_OK) && !access(HVM_GUEST, F_OK) &&
	       !system("xen-start");
}

pid_t xl_device_model(const struct xl *xl)
{
	char pid[16];

	ask(pid, sizeof(pid),
	    "xenstore-read /local/domain/%d/image/device-model-pid", xl->id);
	return atoi(pid);
}

bool xl_possible(void)
{
	return !access(KERNEL, F_OK) && !system("xen-start");
}

int xl_command(const char *fmt, ...)
{
	char command[512];
	va_list args;
	int len;

	len = snprintf(command, sizeof(command), "xl ");
	va_start(args, fmt);
	len += vsnprintf(command + len, sizeof(command) - len, fmt, args);
	va_end(args);
	snprintf(command + len, sizeof(command) - len, " >" XL_OUT " 2>&1");
	if (!system(command)) {
		system("cat " XL_OUT " >>" XL_LOG);
		return 0;
	}
	/* Whether it was to fail or not, it is what one wants to know */
	system("sed 's/^/# xl: /' " XL_OUT "; cat " XL_OUT " >>" XL_LOG);
	return -EIO;
}

void xl_forget(void)
{
	unlink(XL_LOG);
}

bool xl_said(const char *what)
{
	char line[512];
	bool found = false;
	FILE *f;

	f = fopen(XL_LOG, "r");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, what);
	if (f)
		fclose(f);
	return found;
}

unsigned int xl_iommu_faults(struct fn requester)
{
	char count[16];

	ask(count, sizeof(count),
	    "xl dmesg | grep -c 'DMAR:.* Request device .%s.'", requester.name);
	return atoi(count);
}

void xl_expect_iommu_faults(struct fn requester, bool expected)
{
	char line[96];

	/* An error, so that it goes to the console, in order with Xen's messages */
	snprintf(line, sizeof(line), "<3>selftest: IOMMU faults of %s %s\n",
		 requester.name, expected ? "begin" : "end");
	if (write_string("/dev/kmsg", line))
		err(1, "/dev/kmsg");
}

static int find_domain(const struct xl *xl)
{
	char id[16];

	ask(id, sizeof(id), "xl domid %s 2>/dev/null", xl->name);
	return atoi(id);
}

static int define(struct xl *xl, const char *name, const struct fn *fns,
		  unsigned int nr, const char *kind)
{
	unsigned int i;
	FILE *f;

	memset(xl, 0, sizeof(*xl));
	xl->tty = -1;
	snprintf(xl->name, sizeof(xl->name), "%s", name);
	/* Of a test that was cut short: */
	xl->id = find_domain(xl);
	if (xl->id > 0)
		xl_destroy(xl);
	snprintf(xl->config, sizeof(xl->config), "/tmp/%s.cfg", name);
	snprintf(xl->console, sizeof(xl->console),
		 "/var/log/xen/console/guest-%s.log", name);

	f = fopen(xl->config, "w");
	if (!f)
		return -errno;
	/* cpus: not where dom0 runs, which has the first ones */
	fprintf(f, "name=\"%s\"\n"
		   "cpus=\"%ld\"\n"
		   "on_crash=\"restart\"\n"
		   "pci=[", name, sysconf(_SC_NPROCESSORS_ONLN));
	for (i = 0; i < nr; i++)
		fprintf(f, "%s\"%s\"", i ? "," : "", fns[i].name);
	fprintf(f, "]\n%s", kind);
	return fclose(f) ? -errno : 0;
}

int xl_define(struct xl *xl, const char *name, const struct fn *fns,
	      unsigned int nr, const char *more)
{
	char kind[512], quick[256];

	ask(quick, sizeof(quick), "cat " QUICK);
	snprintf(kind, sizeof(kind),
		 "type=\"pv\"\n"
		 "kernel=\"" KERNEL "\"\n"
		 "ramdisk=\"/guest/initramfs.cpio\"\n"
		 "extra=\"console=hvc0 loglevel=1 functions=%u %s\"\n"
		 "memory=192\n"
		 "%s", nr, quick, more ?: "");
	return define(xl, name, fns, nr, kind);
}

int xl_define_hvm(struct xl *xl, const char *name, const struct fn *fns,
		  unsigned int nr, const char *more)
{
	char kind[1024], dir[256];
	int ret;

	if (!getcwd(dir, sizeof(dir)))
		return -errno;
	snprintf(kind, sizeof(kind),
		 "type=\"hvm\"\n"
		 "firmware_override=\"%s/" HVM_GUEST "\"\n"
		 "passthrough=\"enabled\"\n"
		 "memory=64\n"
		 "vga=\"none\"\n"
		 "vnc=0\n"
		 "nographic=1\n"
		 "serial=\"none\"\n"
		 "%s", dir, more ?: "");
	ret = define(xl, name, fns, nr, kind);
	xl->hvm = true;
	return ret;
}

/* Of an earlier one of that name: xenconsoled appends */
static void forget_console(struct xl *xl)
{
	unlink(xl->console);
	xl->heard = 0;
}

int xl_create(struct xl *xl_guest, const char *options)
{
	int ret;

	forget_console(xl_guest);
	/* -e: without a process of xl's that stays */
	ret = xl_command("create -e %s %s", options, xl_guest->config);
	xl_guest->id = find_domain(xl_guest);
	return ret;
}

int xl_create_monitored(struct xl *xl)
{
	int log;

	forget_console(xl);
	xl->monitor = fork();
	if (xl->monitor < 0)
		return -errno;
	if (!xl->monitor) {
		log = open(XL_LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execlp("xl", "xl", "create", "-F", xl->config, (char *)NULL);
		_exit(127);
	}
	if (wait_until(!access(xl->console, F_OK)))
		return -ETIMEDOUT;
	xl->id = find_domain(xl);
	return 0;
}

static bool released(int id)
{
	char device[64];

	snprintf(device, sizeof(device), "/sys/devices/pci-%d-0", id);
	return access(device, F_OK);
}

int xl_wait_released(const struct xl *guest)
{
	return wait_until(released(guest->id));
}

int xl_destroy(struct xl *guest)
{
	int ret = 0;

	if (guest->tty >= 0)
		close(guest->tty);
	guest->tty = -1;
	if (guest->id > 0) {
		ret = xl_command("destroy %d", guest->id);
		if (!ret)
			ret = xl_wait_released(guest);
	}
	/* Goes with the guest */
	if (guest->monitor > 0) {
		if (ret)
			kill(guest->monitor, SIGKILL);
		waitpid(guest->monitor, NULL, 0);
	}
	guest->monitor = 0;
	guest->id = 0;
	return ret;
}

int xl_save(struct xl *guest, const char *path)
{
	int ret;

	ret = xl_command("save %d %s", guest->id, path);
	if (ret)
		return ret;
	ret = xl_wait_released(guest);
	guest->id = 0;
	return ret;
}

int xl_restore(struct xl *guest, const char *path)
{
	int ret;

	ret = xl_command("restore -e %s", path);
	guest->id = find_domain(guest);
	return ret;
}

void xl_address(const struct xl *xl,
		struct fn fn, char *buf, size_t size)
{
	unsigned int domain, bus, dev, func;
	char dir[64], vdev[32], *end;

	snprintf(dir, sizeof(dir), "/local/domain/0/backend/pci/%d/0", xl->id);
	ask(vdev, sizeof(vdev),
	    "xenstore-ls -f %s 2>/dev/null | sed -n 's,^%s/dev-\\(.*\\) = \"%s\"$,%s/%s-\\1,p' | xargs -r xenstore-read 2>/dev/null",
	    dir, dir, fn.name, dir, xl->hvm ? "vdevfn" : "vdev");
	buf[0] = '\0';
	/* The device model has one bus */
	dev = strtoul(vdev, &end, 16);
	if (xl->hvm && end != vdev)
		snprintf(buf, size, "0000:00:%02x.%x", dev >> 3, dev & 7);
	/* "0000:00:00.00", which is not how sysfs writes it */
	if (sscanf(vdev, "%x:%x:%x.%x", &domain, &bus, &dev, &func) == 4)
		snprintf(buf, size, "%04x:%02x:%02x.%x", domain, bus, dev,
			 func);
}

int xl_wait_assigned(const struct xl *xl, struct fn fn)
{
	char address[32];

	return wait_until((xl_address(xl, fn, address, sizeof(address)),
			   *address));
}

int xl_wait_error(const struct xl *xl, char *buf, size_t size)
{
	return wait_until((ask(buf, size,
			       "xenstore-read /local/domain/0/error/backend/pci/%d/0/error 2>/dev/null",
			       xl->id), *buf));
}

int xl_attach(struct xl *guest, struct fn fn)
{
	char address[32];
	int ret;

	ret = xl_command("pci-attach %d %s", guest->id, fn.name);
	if (ret)
		return ret;
	/* Xl does not wait for pciback, nor for the guest */
	ret = xl_wait_assigned(guest, fn);
	if (ret)
		return ret;
	/* xl has waited for the device model */
	if (guest->hvm)
		return 0;
	xl_address(guest, fn, address, sizeof(address));
	return xl_run(guest, NULL, 0,
		      "wait_for '[ -e /sys/bus/pci/devices/%s ]'", address);
}

int xl_detach(struct xl *guest, struct fn fn)
{
	char address[32];
	int ret;

	ret = xl_command("pci-detach %d %s", guest->id, fn.name);
	if (ret)
		return ret;
	/* After 10 s xl gives up on a PV guest that does not let go, and exits with 0 */
	xl_address(guest, fn, address, sizeof(address));
	return *address ? -ETIMEDOUT : 0;
}

/* -- the guest --------------------------------------------------------------- */

/*
 * What the guest says from where we are on: is there a line that starts so? It
 * is copied to @line, without that. What was before it is put to @before.
 */
static bool says(struct xl *xl, const char *start, char *line, size_t size,
		 const char *prefix, char *before, size_t before_size)
{
	size_t len = strlen(start), used = 0;
	bool found = false;
	char text[4096];
	FILE *f;

	f = fopen(xl->console, "r");
	if (!f)
		return false;
	fseek(f, xl->heard, SEEK_SET);
	while (!found && fgets(text, sizeof(text), f)) {
		/* Not all of it yet */
		if (!strchr(text, '\n'))
			break;
		text[strcspn(text, "\r\n")] = '\0';
		if (!strncmp(text, start, len)) {
			found = true;
			snprintf(line, size, "%s", text + len);
			xl->heard = ftell(f);
		} else if (before && !strncmp(text, prefix, strlen(prefix)) &&
			   used < before_size) {
			used += snprintf(before + used, before_size - used,
					 "%s%s", used ? "\n" : "",
					 text + strlen(prefix));
		}
	}
	fclose(f);
	return found;
}

/* For a person: all that it has said */
static void tell_console(const struct xl *xl)
{
	char text[4096];
	FILE *f;

	f = fopen(xl->console, "r");
	if (!f)
		return;
	while (fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\r\n")] = '\0';
		ksft_print_msg("%s: %s\n", xl->name, text);
	}
	fclose(f);
}

int xl_wait_ready(struct xl *xl)
{
	char line[16], path[64];
	int ret;

	ret = wait_until(says(xl, "guest: ready", line, sizeof(line), NULL,
			      NULL, 0));
	if (ret) {
		tell_console(xl);
		return ret;
	}

	xl->id = find_domain(xl);
	if (xl->tty >= 0)
		close(xl->tty);
	ask(path, sizeof(path), "xenstore-read /local/domain/%d/console/tty",
	    xl->id);
	/* Held open: xenconsoled makes a new one when it is closed */
	xl->tty = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	return xl->tty < 0 ? -errno : 0;
}

int xl_wait_restarted(struct xl *xl)
{
	int old = xl->id, ret;

	/* Not often: each look starts xl, and a restart takes seconds */
	ret = wait_each(1000, find_domain(xl) > old);
	return ret ?: xl_wait_ready(xl);
}

static void tell(struct xl *xl, const char *command)
{
	char line[512];
	int len;

	len = snprintf(line, sizeof(line), "%u %s\n", ++xl->commands, command);
	if (write(xl->tty, line, len) != len)
		err(1, "%s: console", xl->name);
}

void xl_tell(struct xl *xl, const char *command)
{
	tell(xl, command);
}

int xl_run(struct xl *xl, char *out, size_t size, const char *fmt, ...)
{
	char command[480], prefix[32], end[48], status[16];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);

	tell(xl, command);
	snprintf(prefix, sizeof(prefix), "guest: %u ", xl->commands);
	snprintf(end, sizeof(end), "%sends ", prefix);
	if (out)
		out[0] = '\0';
	if (wait_until(says(xl, end, status, sizeof(status), prefix, out, size)))
		return -ETIMEDOUT;
	return atoi(status);
}

int xl_config(struct xl *xl,
	      struct fn fn, unsigned char *config)
{
	char address[32], hex[2 * PCI_CONFIG_SIZE + 1];
	unsigned int i, byte;
	int ret;

	xl_address(xl, fn, address, sizeof(address));
	ret = xl_run(xl, hex, sizeof(hex), "config %s", address);
	if (ret)
		return ret;
	for (i = 0; i < PCI_CONFIG_SIZE; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EIO;
		config[i] = byte;
	}
	return 0;
}
