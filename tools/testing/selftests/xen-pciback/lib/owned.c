// SPDX-License-Identifier: GPL-2.0
/*
 * Functions that pciback owns. See owned.h.
 */
#include <errno.h>
#include <stdio.h>

#include "owned.h"

int owned_adopt_all(struct owned *owned, const struct fn *fns, size_t nr, bool ask)
{
	unsigned int first = owned->nr, i;
	int ret;

	if (nr > OWNED_MAX - first)
		return -ENOSPC;
	for (i = 0; i < nr; i++) {
		if (!fn_exists(fns[i]))
			return -ENODEV;
		owned->fns[owned->nr++] = fns[i];
		ret = fn_adopt(fns[i]);
		if (ret)
			return ret;
	}
	for (i = first; i < owned->nr; i++) {
		if (ask)
			do_flr(owned->fns[i]);
		fn_read_config(owned->fns[i], 0, owned->bound[i],
			       PCI_CONFIG_SIZE);
	}
	return 0;
}

int owned_release(struct owned *owned)
{
	int ret = 0, err;

	while (owned->nr) {
		err = fn_release(owned->fns[--owned->nr]);
		if (!ret)
			ret = err;
	}
	return ret;
}

unsigned int owned_changed(const struct owned *owned, size_t len)
{
	unsigned char now[PCI_CONFIG_SIZE];
	unsigned int changed = 0, i, b;

	for (i = 0; i < owned->nr; i++) {
		fn_read_config(owned->fns[i], 0, now, sizeof(now));
		for (b = 0; b < len; b++) {
			if (now[b] == owned->bound[i][b])
				continue;
			fprintf(stderr, "# %s: byte 0x%02x: 0x%02x, was 0x%02x\n",
				owned->fns[i].name, b, now[b],
				owned->bound[i][b]);
			changed++;
		}
	}
	return changed;
}

bool owned_wait_clean(const struct owned *owned)
{
	unsigned int i;

	for (i = 0; i < owned->nr; i++)
		if (!fn_wait_clean(owned->fns[i]))
			return false;
	return true;
}
