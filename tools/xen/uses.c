// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: what dom0 itself uses
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <pci/header.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "pciback-reset.h"

/* A network interface, a disk or a part of one, another device, and what it is used for */
struct use {
	const char *name, *path, *dev, *node, *why;
	const char *backing;		/* of a loop device */
	bool disk, mounted;		/* mounted: or swap space */
	bool never;			/* not even by force */
	struct use *next;
};

static struct use *uses;
/* Is one of these the root file system's?  ZFS and others show a number that is no disk's. */
static bool root_known;

#define for_uses(u)	for (struct use *u = uses; u; u = u->next)

static char *real_path(const char *path)
{
	char real[PATH_MAX];

	return format("%s", realpath(path, real) ?: "");
}

/* By a path of its node below /dev, or of its own in sysfs */
static struct use *find_use(const char *path)
{
	const char *real = real_path(path);

	for_uses(use)
		if (*real && (!strcmp(use->node, real) || !strcmp(use->path, real)))
			return use;
	return NULL;
}

/* A device, by its folder in sysfs */
static struct use *add_use(const char *name, const char *path, const char *dev)
{
	struct use *use = get(sizeof(*use));
	char node[TEXT_LEN];

	use->name = name;
	use->path = path;
	use->dev = dev;
	use->backing = "";
	/* In another folder than /dev for some, and with another name: cciss!c0d0 */
	use->node = parse_setting(read_file(format("%s/uevent", path)), "DEVNAME", node,
				  sizeof(node)) ? real_path(at("/dev/%s", node)) : "";
	use->next = uses;
	uses = use;
	return use;
}

/*
 * Each that has a node: all disks, and of the others those of PCI functions.  Not of sound: each
 * desktop has that open, and loses nothing by it.
 */
static void add_nodes(const char *type)
{
	const char *sys = real_path(at("/sys")), *link, *path;
	bool disk = !strcmp(type, "block");

	for_names(dev, names(at("/sys/dev/%s", type))) {
		link = link_path(at("/sys/dev/%s/%s", type, dev));
		if (disk ? !*link : strstr(link, "/sound/") ||
		    (!strstr(link, "/pci") && !strstr(link, "/nvme-subsystem/") &&
		     !strstr(link, "/vfio/")))
			continue;
		/* To follow ../../devices/... takes a while: it is that one's real path already */
		path = strncmp(link, "../../", 6) ? link : format("%s/%s", sys, link + 6);
		add_use(clean(strrchr(path, '/') + 1), path, dev)->disk = disk;
		if (disk && strstr(path, "/loop"))
			uses->backing = real_path(at("%s", read_line(format("%s/loop/backing_file",
									    path))));
	}
}

static void add_interface(const char *name, struct ifaddrs *a)
{
	const char *master = link_name(at("/sys/class/net/%s/master", name)), *why = NULL;

	/* A VLAN, a macvtap and the like */
	for_names(link, names(at("/sys/class/net/%s", name)))
		if (!strncmp(link, "upper_", 6))
			why = format("is below %s", clean(link + 6));
	for (; a; a = a->ifa_next)
		if (!strcmp(a->ifa_name, name) && a->ifa_addr &&
		    a->ifa_addr->sa_family != AF_PACKET)
			why = "has an address";
	if (strtoul(read_line(at("/sys/class/net/%s/flags", name)), NULL, 16) & 1)
		why = "is up";
	if (master[0])
		why = format("is a part of %s", master);
	add_use(name, real_path(at("/sys/class/net/%s", name)), "")->why =
		why ? format("the network interface %s %s", name, why) : NULL;
}

static void mark_mounts(void)
{
	struct mount mount;
	const char *node;

	for_words(line, read_file(at("/proc/self/mountinfo")), "\n") {
		if (!parse_mount(line, &mount))
			continue;
		/* Some file systems have numbers of their own */
		node = mount.source[0] == '/' ? real_path(at("%s", mount.source)) : "";
		for_uses(use) {
			if (!use->disk ||
			    (strcmp(use->dev, mount.dev) && (!*node || strcmp(use->node, node))))
				continue;
			if (!use->never)
				use->why = format("%s is mounted on %s", use->name, mount.where);
			use->mounted = true;
			use->never |= !strcmp(mount.where, "/");
			root_known |= !strcmp(mount.where, "/") && !strcmp(use->dev, mount.dev);
		}
	}
	for_words(line, read_file(at("/proc/swaps")), "\n") {
		struct use *use = find_use(at("%.*s", (int)strcspn(line, " \t"), line));

		if (!use)
			continue;
		use->why = format("%s is swap space", use->name);
		use->mounted = true;
	}
}

/* A guest's disk: xen-blkback has it open, not as its only user, and not as a process */
static void mark_guest_disk(const char *backend)
{
	unsigned int major, minor;

	if (sscanf(read_line(at("/sys/bus/xen-backend/devices/%s/physical_device", backend)),
		   "%x:%x", &major, &minor) != 2)
		return;
	for_uses(use)
		if (use->disk && !use->why && !strcmp(use->dev, format("%u:%u", major, minor)))
			use->why = format("%s is a disk of a guest (%s)", use->name, backend);
}

static void mark_open_files(const char *pid)
{
	for_names(fd, names(at("/proc/%s/fd", pid))) {
		const char *path = link_path(at("/proc/%s/fd/%s", pid, fd));
		struct use *use = strncmp(path, "/dev/", 5) ? NULL : find_use(at("%s", path));
		const char *program;

		if (!use || use->why)
			continue;
		program = read_line(at("/proc/%s/comm", pid));
		/* These look at each keyboard, for its power key */
		if (!strstr(use->path, "/input/") ||
		    (strcmp(program, "systemd-logind") && strcmp(program, "acpid")))
			use->why = format("%s is open in %s (%s)", clean(path), program, pid);
	}
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return n && !strncmp(path, top, n) && path[n] == '/';
}

static void mark_held(struct use *use, bool look);

/* A volume, RAID or loop device on top, or a partition of it: its user uses what is below */
static void mark_below(struct use *use, const char *holder, const char *path, bool look)
{
	const char *more = "";
	bool never = false;

	for_uses(above) {
		if (strcmp(above->path, path) && !is_below(above->path, path))
			continue;
		mark_held(above, look);
		if (above->why && (!*more || (above->never && !never)))
			more = format(", and %s", above->why);
		never |= above->never;
	}
	if (!use->why || (never && !use->never))
		use->why = format("%s is below %s%s", use->name, holder, more);
	use->never |= never;
}

/* By what is on top.  And @look whether the kernel has it open for itself alone, as ZFS does. */
static void mark_held(struct use *use, bool look)
{
	bool known = use->mounted;
	int fd;

	if (!use->disk)
		return;
	for_names(holder, names(at("/sys/class/block/%s/holders", use->name))) {
		known = true;
		mark_below(use, holder, real_path(at("/sys/class/block/%s", holder)), look);
	}
	for_uses(other) {
		if (*other->backing && !strcmp(other->backing, use->node))
			mark_below(use, other->name, other->path, look);
		/* Each partition is looked at for itself */
		known |= is_below(other->path, use->path) && other->disk;
	}
	if (known || !look)
		return;
	fd = open(use->node, O_RDONLY | O_EXCL | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY) {
		use->never = !root_known;
		if (use->never || !use->why)
			use->why = format("the disk %s is in use%s", use->name,
					  root_known ? "" : ", maybe by the root file system");
	}
	if (fd >= 0)
		close(fd);
}

static void scan_uses(void)
{
	struct ifaddrs *addresses = NULL;

	if (!on_tree())
		getifaddrs(&addresses);
	for_names(name, names(at("/sys/class/net")))
		add_interface(name, addresses);
	freeifaddrs(addresses);
	add_nodes("block");
	add_nodes("char");
	mark_mounts();
	for_names(name, names(at("/sys/bus/xen-backend/devices")))
		mark_guest_disk(name);
	for_names(name, names(at("/proc")))
		if (!name[strspn(name, "0123456789")])
			mark_open_files(name);
	for_uses(use)
		mark_held(use, false);
}

/* Somebody took a while to answer */
void forget_uses(void)
{
	uses = NULL;
	root_known = false;
}

static bool uses_function(const struct use *use, const struct fn *f)
{
	const char *below = format("/%s/", f->bdf), *number = strrchr(use->name, '-');
	const char *subsystem = strstr(use->path, "/nvme-subsystem/"), *dir;

	/* /dev/vfio/26 or, without an IOMMU, noiommu-26 */
	if (strstr(use->path, "/vfio/") &&
	    !strcmp(number ? number + 1 : use->name,
		    link_name(at(PCI "/devices/%s/iommu_group", f->bdf))))
		return true;
	if (!subsystem)
		return strstr(use->path, below);
	/* An NVMe disk with several controllers is none's child: its subsystem links to them */
	subsystem += strlen("/nvme-subsystem/");
	dir = format("%.*s", (int)(subsystem + strcspn(subsystem, "/") - use->path), use->path);
	for_names(name, names(dir))
		if (strstr(link_path(format("%s/%s", dir, name)), below))
			return true;
	return false;
}

static bool has_console(void)
{
	for_names(name, names(at("/sys/class/vtconsole")))
		if (!strstr(read_line(at("/sys/class/vtconsole/%s/name", name)), "dummy") &&
		    *read_line(at("/sys/class/vtconsole/%s/bind", name)) == '1')
			return true;
	return false;
}

/* Of several frame buffers the first one, which is the firmware's if that has shown anything */
static bool has_first_fb(const struct fn *f)
{
	char **fb = names(at("/sys/class/graphics"));

	return *fb && strstr(real_path(at("/sys/class/graphics/%s", *fb)), format("/%s/", f->bdf));
}

/* A VF goes with its PF's driver: a guest's, or one that dom0 uses */
static const char *vf_in_use(const struct fn *f, bool *never, bool look)
{
	const char *why;

	for_all(vf) {
		if (vf->pf != f)
			continue;
		*never = vf->domid >= 0;
		if (*never)
			return format("its VF %s is assigned to %s", vf->bdf,
				      guest_name(vf->domid));
		why = used_for(vf, look ? never : NULL);
		if (why)
			return format("its VF %s is in use: %s", vf->bdf, why);
	}
	return NULL;
}

/**
 * used_for() - what does dom0 itself need a function for?
 * @f: the function
 * @never: set if nobody may take it away, not even by force; NULL if nobody asks for this function
 *	alone: then no idle disk is opened
 *
 * Return: what for, or NULL.
 */
const char *used_for(struct fn *f, bool *never)
{
	bool look = never, none;
	const char *why;

	if (!uses)
		scan_uses();
	never = never ?: &none;
	*never = f->bridge || f->domain > 0xffff;
	if (f->bridge)
		return "it is a bridge: give pciback what is behind it";
	if (*never)
		return format("it is behind a VMD controller, and its domain %x is beyond what Xen can name: turn VMD off in the firmware",
			      f->domain);
	why = vf_in_use(f, never, look);
	for_uses(use) {
		if (*never || !(use->why || look) || !uses_function(use, f))
			continue;
		if (look)
			mark_held(use, true);
		if (!use->why)
			continue;
		/* Names of files, of interfaces and of programs may be anything */
		why = clean(use->why);
		*never = use->never;
	}
	if (!why && class_of(f) >> 16 == PCI_BASE_CLASS_DISPLAY &&
	    (*attr(f, "boot_vga") == '1' || has_first_fb(f)) && has_console())
		why = "it shows the console of this machine";
	if (!why && class_of(f) >> 8 == 0x1080)
		why = "it is the security processor of this machine";
	/* A host, ISA or LPC bridge; what calls itself another one may be anything */
	if (!why && class_of(f) >> 16 == PCI_BASE_CLASS_BRIDGE &&
	    class_of(f) >> 8 != PCI_CLASS_BRIDGE_OTHER)
		why = "it is a part of this machine's chipset";
	return why;
}
