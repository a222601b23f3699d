// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: what dom0 itself uses
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pciback-reset.h"

/* Devices that lose what they do if they are taken from under a program that has them open */
static const char *const open_classes[] = {
	"drm", "infiniband_verbs", "nvme", "nvme-generic", "tty", "uio", "vfio", "vfio-dev",
};

/* A network interface, a disk or a part of one, another device, and what it is used for */
struct use {
	char name[64], path[PATH_MAX], dev[32], why[TEXT_LEN];
	bool never;			/* not even by force */
	struct use *next;
};

static struct use *uses;

static struct use *find_use(const char *name)
{
	struct use *use = uses;

	while (use && strcmp(use->name, name))
		use = use->next;
	return use;
}

static struct use *add_use(const char *class, const char *name)
{
	struct use *use = calloc(1, sizeof(*use));

	if (!use)
		abort();
	snprintf(use->name, sizeof(use->name), "%s", name);
	if (!realpath(at("/sys/class/%s/%s", class, name), use->path))
		use->path[0] = '\0';
	read_line(at("/sys/class/%s/%s/dev", class, name), use->dev, sizeof(use->dev));
	use->next = uses;
	uses = use;
	return use;
}

/* A VLAN, a macvtap and the like */
static void look_above(const char *link, void *arg)
{
	struct use *use = arg;

	if (!strncmp(link, "upper_", 6))
		snprintf(use->why, TEXT_LEN, "the network interface %s is below %.100s", use->name,
			 link + 6);
}

static void add_interface(const char *name, void *addresses)
{
	struct use *use = add_use("net", name);
	char text[64], *why = use->why;
	struct ifaddrs *a;

	for_each(at("/sys/class/net/%s", name), look_above, use);
	read_line(at("/sys/class/net/%s/flags", name), text, sizeof(text));
	if (strtoul(text, NULL, 16) & 1)
		snprintf(why, TEXT_LEN, "the network interface %s is up", name);
	if (link_name(at("/sys/class/net/%s/master", name), text, sizeof(text)))
		snprintf(why, TEXT_LEN, "the network interface %s is a part of %s", name, text);
	for (a = addresses; a; a = a->ifa_next)
		if (!why[0] && !strcmp(a->ifa_name, name) && a->ifa_addr &&
		    a->ifa_addr->sa_family != AF_PACKET)
			snprintf(why, TEXT_LEN, "the network interface %s has an address", name);
}

static void add_node(const char *name, void *class)
{
	add_use(class, name);
}

static void mark_mounts(void)
{
	static char text[1 << 20];
	char *line, *save = NULL, *dev, *where, *source, real[PATH_MAX];
	struct use *use;

	read_file(at("/proc/self/mountinfo"), text, sizeof(text));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!parse_mount(line, &dev, &where, &source))
			continue;
		/* Some file systems have numbers of their own */
		if (source[0] != '/' || !realpath(at("%s", source), real))
			real[0] = '\0';
		for (use = uses; use; use = use->next) {
			const char *base = strrchr(real, '/');

			if (!use->dev[0] || (strcmp(use->dev, dev) &&
					     (!base || strcmp(use->name, base + 1))))
				continue;
			if (!use->never)
				snprintf(use->why, TEXT_LEN, "%.60s is mounted on %.150s",
					 use->name, where);
			use->never |= !strcmp(where, "/");
		}
	}
	read_file(at("/proc/swaps"), text, sizeof(text));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line[strcspn(line, " \t")] = '\0';
		if (!realpath(at("%s", line), real) || !strrchr(real, '/'))
			continue;
		use = find_use(strrchr(real, '/') + 1);
		if (use)
			snprintf(use->why, TEXT_LEN, "%s is swap space", use->name);
	}
}

/* A guest's disk: xen-blkback has it open, not as its only user, and not as a process */
static void mark_guest_disk(const char *backend, void *arg)
{
	unsigned int major, minor;
	char text[64], dev[32];
	struct use *use;

	read_line(at("/sys/bus/xen-backend/devices/%s/physical_device", backend), text,
		  sizeof(text));
	if (sscanf(text, "%x:%x", &major, &minor) != 2)
		return;
	snprintf(dev, sizeof(dev), "%u:%u", major, minor);
	for (use = uses; use; use = use->next)
		if (!use->why[0] && !strcmp(use->dev, dev))
			snprintf(use->why, TEXT_LEN, "%s is a disk of a guest (%.60s)", use->name,
				 backend);
}

struct process {
	const char *pid;
	char files[64];
};

static void mark_open_file(const char *fd, void *arg)
{
	struct process *process = arg;
	char path[PATH_MAX], where[64], program[64];
	struct use *use;
	ssize_t len;

	len = readlink(at("%s/%s", process->files, fd), path, sizeof(path) - 1);
	if (len < 0)
		return;
	path[len] = '\0';
	if (strncmp(path, "/dev/", 5))
		return;
	use = find_use(strrchr(path, '/') + 1);
	if (!use || !use->dev[0] || use->why[0])
		return;
	read_line(at("/proc/%s/comm", process->pid), program, sizeof(program));
	clean_text(where, sizeof(where), path);
	snprintf(use->why, TEXT_LEN, "%s is open in %s (%.20s)", where, program, process->pid);
}

static void mark_process(const char *pid, void *arg)
{
	struct process process = { .pid = pid };

	if (pid[strspn(pid, "0123456789")])
		return;
	snprintf(process.files, sizeof(process.files), "/proc/%.20s/fd", pid);
	for_each(at("%s", process.files), mark_open_file, &process);
}

static void mark_held(struct use *use);

/* A volume or RAID on top: a user of that uses what is below */
static void mark_by_holder(const char *holder, void *arg)
{
	struct use *use = arg, *above = find_use(holder);

	if (above)
		mark_held(above);
	if (!use->why[0] || (above && above->never))
		snprintf(use->why, TEXT_LEN, "%.40s is below %.40s%s%.150s", use->name, holder,
			 above && above->why[0] ? ", and " : "", above ? above->why : "");
	use->never |= above && above->never;
}

static void mark_held(struct use *use)
{
	int fd;

	for_each(at("/sys/class/block/%s/holders", use->name), mark_by_holder, use);
	if (use->why[0] || getenv("PCIBACK_RESET_ROOT"))
		return;
	/* What the kernel has opened for itself alone, as ZFS does */
	fd = open(at("/dev/%s", use->name), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		snprintf(use->why, TEXT_LEN, "the disk %s is in use", use->name);
	if (fd >= 0)
		close(fd);
}

static void scan_uses(void)
{
	struct ifaddrs *addresses = NULL;
	struct use *use;
	size_t i;

	if (!getenv("PCIBACK_RESET_ROOT"))
		getifaddrs(&addresses);
	for_each(at("/sys/class/net"), add_interface, addresses);
	freeifaddrs(addresses);
	for_each(at("/sys/class/block"), add_node, "block");
	for (i = 0; i < N_ELEMENTS(open_classes); i++)
		for_each(at("/sys/class/%s", open_classes[i]), add_node, (void *)open_classes[i]);
	mark_mounts();
	for_each(at("/sys/bus/xen-backend/devices"), mark_guest_disk, NULL);
	for_each(at("/proc"), mark_process, NULL);
	for (use = uses; use; use = use->next)
		if (use->dev[0])
			mark_held(use);
}

/* What a path of sysfs goes through */
struct passes {
	const char *bdf;
	const char *dir;
	bool yes;
};

static bool through(const char *path, const char *bdf)
{
	const char *p = strstr(path, bdf);

	return p && p[-1] == '/' && p[strlen(bdf)] == '/';
}

static void look_through(const char *name, void *arg)
{
	struct passes *passes = arg;
	char path[PATH_MAX], link[PATH_MAX];

	snprintf(link, sizeof(link), "%.2000s/%s", passes->dir, name);
	passes->yes |= realpath(link, path) && through(path, passes->bdf);
}

/* As /dev/vfio/26 or, without an IOMMU, noiommu-26 */
static bool is_group_of(const struct use *use, const struct fn *f)
{
	const char *number = strrchr(use->name, '-');
	char group[64];

	return strstr(use->path, "/vfio/") &&
	       link_name(at(PCI "/devices/%s/iommu_group", f->bdf), group, sizeof(group)) &&
	       !strcmp(number ? number + 1 : use->name, group);
}

/* An NVMe disk with several controllers is none's child: its subsystem links to them */
static bool uses_function(const struct use *use, const struct fn *f)
{
	struct passes passes = { .bdf = f->bdf };
	char dir[PATH_MAX];

	if (is_group_of(use, f))
		return true;
	if (strstr(use->path, "/nvme-subsystem/")) {
		snprintf(dir, sizeof(dir), "%s", use->path);
		*strrchr(dir, '/') = '\0';
		passes.dir = dir;
		for_each(dir, look_through, &passes);
	}
	return passes.yes || through(use->path, f->bdf);
}

static void look_at_console(const char *name, void *arg)
{
	char text[64];

	read_line(at("/sys/class/vtconsole/%s/name", name), text, sizeof(text));
	if (!strstr(text, "dummy") &&
	    *read_line(at("/sys/class/vtconsole/%s/bind", name), text, sizeof(text)) == '1')
		*(bool *)arg = true;
}

/**
 * used_for() - what does dom0 itself need a function for?
 * @f: the function
 * @never: set if nobody may take it away, not even by force
 *
 * Return: what for, or NULL.
 */
const char *used_for(struct fn *f, bool *never)
{
	static bool scanned, console;
	const char *why = NULL;
	char text[16];
	struct use *use;

	if (!scanned) {
		scan_uses();
		for_each(at("/sys/class/vtconsole"), look_at_console, &console);
		scanned = true;
	}
	*never = false;
	if (f->bridge) {
		*never = true;
		return "it is a bridge: give pciback what is behind it";
	}
	for (use = uses; use && !*never; use = use->next) {
		if (!use->why[0] || !uses_function(use, f))
			continue;
		why = use->why;
		*never = use->never;
	}
	if (!why && console && *attr(f, "boot_vga", text, sizeof(text)) == '1')
		why = "it shows the console of this machine";
	if (!why && class_of(f) >> 8 == 0x1080)
		why = "it is the security processor of this machine";
	return why;
}
