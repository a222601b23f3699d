// SPDX-License-Identifier: GPL-2.0
/*
 * SR-IOV: a VF has a function-level reset of its own. A reset of the PF would remove its
 * VFs, so it is not done while there are any.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/pci.h"

#define NR_VFS		4

FIXTURE(sriov)
{
	struct fn port, pf, vf[NR_VFS];
	struct hw hw;
	char text[256];
	int klog;
};

static int set_vfs(struct fn pf, const char *nr)
{
	return fn_write_file(pf, "sriov_numvfs", nr);
}

FIXTURE_SETUP(sriov)
{
	unsigned int i;

	memset(self, 0, sizeof(*self));
	self->port = fn_root(0x1a);
	self->pf = fn_below(self->port, 0, 0);
	ASSERT_TRUE(fn_exists(self->pf));

	/* VFs are enabled by the PF's driver; they are to have none */
	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, fn_bind(self->pf, "nvme"));
	ASSERT_EQ(0, fn_write_file(self->pf, "sriov_drivers_autoprobe", "0"));
	ASSERT_EQ(0, set_vfs(self->pf, "4"));
	for (i = 0; i < NR_VFS; i++) {
		self->vf[i] = fn_below(self->port, 0, 1 + i);
		ASSERT_TRUE(fn_exists(self->vf[i]));
	}
}

FIXTURE_TEARDOWN(sriov)
{
	unsigned int i;

	for (i = 0; i < NR_VFS; i++)
		if (fn_exists(self->vf[i]))
			EXPECT_EQ(0, fn_release(self->vf[i]));
	EXPECT_EQ(0, fn_bind(self->pf, "nvme"));
	EXPECT_EQ(0, set_vfs(self->pf, "0"));
	EXPECT_EQ(0, fn_release(self->pf));
	EXPECT_EQ(0, unload_module("nvme"));
}

TEST_F(sriov, vf)
{
	struct fn vf = self->vf[1];

	ASSERT_EQ(0, fn_adopt(vf));
	fn_quiesce(vf);
	EXPECT_EQ(0, fn_needs_reset(vf));
	EXPECT_STREQ("flr", fn_plan(vf));

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(vf));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, vf));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->pf));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
}

/* Its own reset taken away, a VF has only its PF's bus, and that is refused */
TEST_F(sriov, vf_without_flr)
{
	struct fn vf = self->vf[1];

	ASSERT_EQ(0, fn_adopt(vf));
	fn_quiesce(vf);
	if (!fn_has_file(vf, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	ASSERT_EQ(0, fn_write_file(vf, "reset_method", "\n"));

	self->klog = klog_begin();
	hw_begin(&self->hw);
	EXPECT_EQ(-EBUSY, reset_device(vf));
	hw_end(&self->hw);
	ASSERT_EQ(0, fn_write_file(vf, "reset_method", "default"));

	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	snprintf(self->text, sizeof(self->text), "blocked by %s (VFs enabled)",
		 self->pf.name);
	EXPECT_TRUE(klog_has(self->klog, vf.name, self->text, NULL, 0));
}

/*
 * The core takes a VF for a card of its own, and resets its slot: nothing is reset
 * alone then, or the PF and all its VFs would be
 */
TEST_F(sriov, vf_by_bus)
{
	struct fn vf = self->vf[1];
	int ret;

	if (!fn_has_file(vf, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	ret = fn_write_file(vf, "reset_method", "bus");
	if (ret == -EINVAL)
		SKIP(return, "the core resets no VF by its bus");
	ASSERT_EQ(0, ret);

	hw_begin(&self->hw);
	EXPECT_EQ(0, fn_adopt(vf));
	fn_quiesce(vf);
	EXPECT_EQ(1, fn_needs_reset(vf));
	EXPECT_EQ(-EBUSY, reset_device(vf));
	EXPECT_EQ(0, fn_release(vf));
	hw_end(&self->hw);
	EXPECT_EQ(0, fn_write_file(vf, "reset_method", "default"));

	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

/* The PF with its VFs, all owned: still not, one of them may be assigned */
TEST_F(sriov, pf_with_vfs)
{
	unsigned int i;

	ASSERT_EQ(0, fn_adopt(self->pf));
	for (i = 0; i < NR_VFS; i++)
		ASSERT_EQ(0, fn_adopt(self->vf[i]));
	fn_quiesce(self->vf[0]);

	snprintf(self->text, sizeof(self->text), "blocked %s (VFs enabled)",
		 self->pf.name);
	EXPECT_STREQ(self->text, fn_plan(self->pf));

	self->klog = klog_begin();
	hw_begin(&self->hw);
	EXPECT_EQ(-EBUSY, reset_device(self->pf));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	EXPECT_EQ(0, hw_flrs(&self->hw, self->pf));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	snprintf(self->text, sizeof(self->text), "blocked by %s (VFs enabled)",
		 self->pf.name);
	EXPECT_TRUE(klog_has(self->klog, self->pf.name, self->text, NULL, 0));
}

/* Without VFs a PF is a function like any other */
TEST_F(sriov, pf_without_vfs)
{
	ASSERT_EQ(0, set_vfs(self->pf, "0"));
	ASSERT_EQ(0, fn_adopt(self->pf));
	fn_quiesce(self->pf);

	hw_begin(&self->hw);
	EXPECT_EQ(0, reset_device(self->pf));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->pf));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
}

TEST_HARNESS_MAIN
