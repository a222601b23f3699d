// SPDX-License-Identifier: GPL-2.0
/*
 * A user of vfio-pci. See vfio.h, and Documentation/driver-api/vfio.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vfio.h"

/* The number of a function's IOMMU group */
static int group_of(struct fn fn)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	fn_path(fn, "iommu_group", path, sizeof(path));
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	return atoi(basename(target));
}

static int open_group(struct vfio *vfio, int number)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	vfio->groups[vfio->nr_groups++] = fd;
	if (ioctl(fd, VFIO_GROUP_GET_STATUS, &status) ||
	    ioctl(fd, VFIO_GROUP_SET_CONTAINER, &vfio->container))
		return -errno;
	return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : -EPERM;
}

static int open_groups(struct vfio *vfio, const struct fn *fns, size_t nr)
{
	int numbers[VFIO_MAX_FNS], ret;
	size_t i, known;

	for (i = 0; i < nr; i++) {
		numbers[i] = group_of(fns[i]);
		if (numbers[i] < 0)
			return numbers[i];
		for (known = 0; numbers[known] != numbers[i]; known++)
			;
		if (known < i)
			continue;
		ret = open_group(vfio, numbers[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/* All of them, as for a guest that has the whole card: what is not open sleeps */
static int open_devices(struct vfio *vfio, const struct fn *fns, size_t nr)
{
	size_t i, group;
	int fd;

	for (i = 0; i < nr; i++) {
		fd = -1;
		for (group = 0; fd < 0 && group < vfio->nr_groups; group++)
			fd = ioctl(vfio->groups[group],
				   VFIO_GROUP_GET_DEVICE_FD, fns[i].name);
		if (fd < 0)
			return -errno;
		vfio->devices[vfio->nr_devices++] = fd;
	}
	return 0;
}

int vfio_open(struct vfio *vfio, const struct fn *fns, size_t nr)
{
	int ret;

	memset(vfio, 0, sizeof(*vfio));
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vfio->container < 0)
		return -errno;
	ret = open_groups(vfio, fns, nr);
	if (ret)
		return ret;
	if (ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	return open_devices(vfio, fns, nr);
}

int vfio_hot_reset(const struct vfio *vfio)
{
	size_t size = sizeof(struct vfio_pci_hot_reset) +
		      vfio->nr_groups * sizeof(__s32), i;
	struct vfio_pci_hot_reset *reset;
	int ret = 0;

	reset = calloc(1, size);
	if (!reset)
		return -ENOMEM;
	reset->argsz = size;
	reset->count = vfio->nr_groups;
	for (i = 0; i < vfio->nr_groups; i++)
		reset->group_fds[i] = vfio->groups[i];
	if (ioctl(vfio->devices[0], VFIO_DEVICE_PCI_HOT_RESET, reset))
		ret = -errno;
	free(reset);
	return ret;
}

void vfio_close(struct vfio *vfio)
{
	while (vfio->nr_devices)
		close(vfio->devices[--vfio->nr_devices]);
	while (vfio->nr_groups)
		close(vfio->groups[--vfio->nr_groups]);
	if (vfio->container >= 0)
		close(vfio->container);
}
