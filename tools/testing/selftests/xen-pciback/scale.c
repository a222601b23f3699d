// SPDX-License-Identifier: GPL-2.0
/*
 * What the test machine has no devices for: a bus full of functions, device specific
 * resets, more functions than a slot has, sets of several levels, VFs on a bus without a
 * bridge, and more functions than a guest has slots for. A module emulates them and
 * records their resets (lib/topology.h).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/harness.h"
#include "lib/guest.h"
#include "lib/klog.h"
#include "lib/pci.h"
#include "lib/topology.h"

#define MAX_FNS		256
/* Devices that a guest's virtual bus has room for */
#define GUEST_SLOTS	32

/* Functions that pciback owns, as they were at bind time */
FIXTURE(scale)
{
	struct fn fns[MAX_FNS];
	unsigned char bound[MAX_FNS][PCI_STD_HEADER_SIZEOF];
	unsigned int nr;
	struct fn pf;
	struct guest guest, other;
	char text[256], what[256];
	int klog;
};

FIXTURE_SETUP(scale)
{
	memset(self, 0, sizeof(*self));
	if (!topology_available())
		SKIP(return, "no " TOPOLOGY_MODULE);
	self->klog = klog_begin();
}

/* By its driver, or VFs would be left behind for ever */
static int set_vfs(struct fn pf, unsigned int nr)
{
	char number[16];
	int ret;

	ret = fn_bind(pf, "pci-pf-stub");
	if (ret)
		return ret;
	ret = fn_write_file(pf, "sriov_drivers_autoprobe", "0");
	if (ret)
		return ret;
	snprintf(number, sizeof(number), "%u", nr);
	return fn_write_file(pf, "sriov_numvfs", number);
}

FIXTURE_TEARDOWN(scale)
{
	unsigned int i;

	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->other));
	for (i = 0; i < self->nr; i++)
		if (fn_exists(self->fns[i]))
			EXPECT_EQ(0, fn_release(self->fns[i]));
	if (*self->pf.name) {
		EXPECT_EQ(0, set_vfs(self->pf, 0));
		EXPECT_EQ(0, fn_release(self->pf));
		EXPECT_EQ(0, unload_module("pci_pf_stub"));
	}
	EXPECT_EQ(0, set_parameter("auto_reset", "1"));
	EXPECT_EQ(0, topology_unload());
	/* The kernel has nothing to say of any of this */
	expect_not_logged("cut here");
	expect_not_logged("WARNING:");
	expect_not_logged("while still in-use");
	klog_end(self->klog);
}

#define own(which) do {						\
	struct fn adopted = which;					\
									\
	ASSERT_TRUE(fn_exists(adopted));				\
	ASSERT_EQ(0, fn_adopt(adopted));				\
	self->fns[self->nr++] = adopted;				\
} while (0)

/* All that were adopted are: clean or not, but nothing is pending any more */
#define settle() do {							\
	unsigned int i;							\
									\
	fn_quiesce(self->fns[0]);					\
	for (i = 0; i < self->nr; i++)					\
		fn_read_config(self->fns[i], 0, self->bound[i],		\
			       PCI_STD_HEADER_SIZEOF);			\
} while (0)

#define scribble() do {							\
	unsigned int i;							\
									\
	for (i = 0; i < self->nr; i++)					\
		fn_scribble(self->fns[i]);				\
} while (0)

#define expect_clean() do {						\
	unsigned char now[PCI_STD_HEADER_SIZEOF];			\
	unsigned int i;							\
									\
	for (i = 0; i < self->nr; i++) {				\
		fn_read_config(self->fns[i], 0, now, sizeof(now));	\
		EXPECT_EQ(0, memcmp(self->bound[i], now, sizeof(now))) { \
			TH_LOG("%s", self->fns[i].name);		\
		}							\
		EXPECT_EQ(0, fn_needs_reset(self->fns[i]));		\
	}								\
} while (0)

#define expect_resets(nr, which) do {					\
	struct fn counted = which;					\
									\
	EXPECT_EQ(nr, topology_count(counted).resets) {			\
		TH_LOG("%s", counted.name);				\
	}								\
} while (0)

#define expect_sbrs(nr, which) do {					\
	struct fn counted = which;					\
									\
	EXPECT_EQ(nr, topology_count(counted).sbrs) {			\
		TH_LOG("%s", counted.name);				\
	}								\
} while (0)

/* Refused because of @blocker and its @why: in the plan, and when it is tried */
#define expect_blocked(step, which, blocker, why) do {			\
	struct fn named = which;					\
									\
	snprintf(self->what, sizeof(self->what), "blocked %s (%s)",	\
		 (blocker).name, why);					\
	EXPECT_STREQ(self->what, fn_plan(named));			\
	EXPECT_EQ(-EBUSY, reset_device(named));				\
	EXPECT_TRUE(klog_has(self->klog, named.name, step "blocked by ", \
			     self->text, sizeof(self->text)));		\
	EXPECT_NE(NULL, strstr(self->text,				\
			       self->what + strlen("blocked ")));	\
} while (0)

/* -- a bus full of functions ----------------------------------------------- */

/* One write, one reset, and each of them is as it was */
TEST_F_TIMEOUT(scale, full_bus, 300)
{
	struct fn port = topology_port(0);
	unsigned int i;

	ASSERT_EQ(0, topology_load("port(fn*256)"));
	for (i = 0; i < MAX_FNS; i++)
		own(fn_below(port, i / 8, i % 8));
	settle();
	/* Not for the first of them, nor for the last */
	expect_sbrs(0, port);
	scribble();

	topology_begin();
	EXPECT_EQ(0, reset_device(self->fns[100]));
	expect_sbrs(1, port);
	for (i = 0; i < MAX_FNS; i++)
		expect_resets(1, self->fns[i]);
	expect_clean();
	EXPECT_TRUE(klog_has(self->klog, self->fns[100].name,
			     "bus: ok (256 functions", NULL, 0));
}

/* -- methods ----------------------------------------------------------------- */

/*
 * The kernel knows how to reset it, and who goes by its capabilities does not. Its
 * sibling has nothing of the kind, and is not concerned.
 */
TEST_F(scale, device_specific)
{
	const char *method = kernel_since(5, 15) ? "device_specific" : "bus";
	struct fn port = topology_port(0);
	unsigned int own = kernel_since(5, 15);

	ASSERT_EQ(0, topology_load("port(quirky,fn)"));
	own(fn_below(port, 0, 0));
	own(fn_below(port, 0, 1));
	settle();
	scribble();
	EXPECT_STREQ(method, fn_plan(self->fns[0]));

	topology_begin();
	EXPECT_EQ(0, reset_device(self->fns[0]));
	EXPECT_EQ(own, topology_count(self->fns[0]).flrs);
	expect_resets(1, self->fns[0]);
	expect_resets(!own, self->fns[1]);
	expect_sbrs(!own, port);
	snprintf(self->what, sizeof(self->what), "%s: ok", method);
	EXPECT_STREQ(self->what, fn_last_reset(self->fns[0]));
}

/* -- slots ----------------------------------------------------------------- */

/* A card's reset by its slot */
TEST_F(scale, slot)
{
	struct fn port = topology_port(0);
	unsigned int i;

	ASSERT_EQ(0, topology_load("slot(fn*8)"));
	for (i = 0; i < 8; i++)
		own(fn_below(port, 0, i));
	settle();
	scribble();
	EXPECT_STREQ("slot", fn_plan(self->fns[3]));

	topology_begin();
	EXPECT_EQ(0, reset_device(self->fns[3]));
	expect_sbrs(1, port);
	for (i = 0; i < 8; i++)
		expect_resets(1, self->fns[i]);
	expect_clean();
	EXPECT_STREQ("slot: ok", fn_last_reset(self->fns[5]));
}

/* ARI functions that it would reset, but that the kernel neither locks nor saves */
TEST_F(scale, beyond_slot)
{
	struct fn port = topology_port(0);
	unsigned int i;

	ASSERT_EQ(0, topology_load("slot(fn*9)"));
	for (i = 0; i < 9; i++)
		own(fn_below(port, i / 8, i % 8));
	settle();

	topology_begin();
	expect_blocked("slot: ", self->fns[3], self->fns[8], "not in the slot");
	expect_blocked("bus: ", self->fns[8], self->fns[0],
		       "in a slot of its own");
	expect_sbrs(0, port);
	for (i = 0; i < 9; i++)
		expect_resets(0, self->fns[i]);
}

/* -- sets of several levels ------------------------------------------------ */

/* A function beside a switch, whose set is all that is behind the switch, too */
struct tree {
	struct fn port, up, down[2], beside, behind[2];
};

static struct tree find_tree(void)
{
	struct tree tree = { .port = topology_port(0) };
	unsigned int i;

	tree.up = fn_below(tree.port, 0, 0);
	tree.beside = fn_below(tree.port, 0, 1);
	for (i = 0; i < 2; i++) {
		tree.down[i] = fn_below(tree.up, i, 0);
		tree.behind[i] = fn_below(tree.down[i], 0, 0);
	}
	return tree;
}

/* And all of its functions are pciback's */
#define adopt_tree(layout) ({						\
	struct tree whole;						\
									\
	ASSERT_EQ(0, topology_load(layout));				\
	whole = find_tree();						\
	own(whole.beside);						\
	own(whole.behind[0]);						\
	own(whole.behind[1]);						\
	settle();							\
	whole;								\
})

/* Two bridges further down is still in the set */
TEST_F(scale, nested)
{
	struct tree tree;

	ASSERT_EQ(0, topology_load("port(up(down(fn),down(fn)),fn)"));
	tree = find_tree();
	own(tree.beside);
	own(tree.behind[0]);
	settle();

	topology_begin();
	expect_blocked("bus: ", tree.beside, tree.behind[1], "no driver");
	expect_sbrs(0, tree.port);
	expect_resets(0, tree.beside);
	expect_resets(0, tree.behind[1]);

	/* One reset at the top; the bridges on the way down are passed */
	own(tree.behind[1]);
	settle();
	scribble();
	topology_begin();
	EXPECT_EQ(0, reset_device(tree.beside));
	expect_sbrs(1, tree.port);
	expect_sbrs(0, tree.down[0]);
	expect_sbrs(0, tree.down[1]);
	expect_resets(1, tree.beside);
	expect_resets(1, tree.up);
	expect_resets(1, tree.down[0]);
	expect_resets(1, tree.down[1]);
	expect_resets(1, tree.behind[0]);
	expect_resets(1, tree.behind[1]);
	expect_clean();

	/* And from further down no more than what is there */
	topology_begin();
	EXPECT_EQ(0, reset_device(tree.behind[0]));
	expect_sbrs(1, tree.down[0]);
	expect_resets(1, tree.behind[0]);
	expect_resets(0, tree.behind[1]);
	expect_resets(0, tree.beside);
	expect_resets(0, tree.up);
	expect_clean();
}

/* A bridge is passed if nobody drives it, but not if somebody else does */
TEST_F(scale, nested_drivers)
{
	struct tree tree = adopt_tree("port(up(down(fn),down(fn)),fn)");

	ASSERT_EQ(0, load_module("pci-stub"));
	ASSERT_EQ(0, fn_bind(tree.down[1], "pci-stub"));
	topology_begin();
	expect_blocked("bus: ", tree.beside, tree.down[1], "pci-stub");
	expect_sbrs(0, tree.port);
	expect_resets(0, tree.behind[0]);

	ASSERT_EQ(0, fn_unbind(tree.down[1]));
	EXPECT_EQ(0, reset_device(tree.beside));
	expect_sbrs(1, tree.port);
	expect_resets(1, tree.behind[1]);
	expect_clean();
}

/* Who answers behind a bridge with another bus number than before may be anybody */
TEST_F(scale, nested_bridge_loses_its_buses)
{
	struct tree tree = adopt_tree("port(up(down(fn),lossy(fn)),fn)");

	topology_begin();
	EXPECT_EQ(-EIO, reset_device(tree.beside));
	expect_sbrs(1, tree.port);
	snprintf(self->text, sizeof(self->text), "bus: no effect (%s)",
		 tree.down[1].name);
	EXPECT_STREQ(self->text, fn_last_reset(tree.beside));
	EXPECT_EQ(0, fn_needs_reset(tree.beside));
	EXPECT_EQ(0, fn_needs_reset(tree.behind[0]));
	EXPECT_EQ(1, fn_needs_reset(tree.behind[1]));
}

/* Its hotplug driver would take the reset for a card that is pulled */
TEST_F(scale, nested_hotplug)
{
	struct tree tree = adopt_tree("port(up(down(fn),hotplug(fn)),fn)");

	topology_begin();
	expect_blocked("bus: ", tree.beside, tree.down[1], "pcieport");
	expect_sbrs(0, tree.port);
	expect_resets(0, tree.behind[0]);
}

/* -- a bus that takes its time ---------------------------------------------- */

/* Each function of it is waited for, though the core waits for the first at most */
TEST_F(scale, late_bus)
{
	struct fn port = topology_port(0);
	unsigned int i;

	ASSERT_EQ(0, topology_load("late(fn*3)"));
	for (i = 0; i < 3; i++)
		own(fn_below(port, 0, i));
	settle();
	scribble();

	topology_begin();
	EXPECT_EQ(0, reset_device(self->fns[1]));
	expect_sbrs(1, port);
	for (i = 0; i < 3; i++)
		expect_resets(1, self->fns[i]);
	expect_clean();
}

/* -- VFs on a bus without a bridge ----------------------------------------- */

#define NR_VFS		4

#define enable_vfs(nr) do {						\
	self->pf = fn_below(topology_port(0), 0, 0);			\
	ASSERT_EQ(0, load_module("pci-pf-stub"));			\
	ASSERT_EQ(0, set_vfs(self->pf, nr));				\
} while (0)

/* Nothing on the PF's bus shows them, but a reset of the PF removes them */
TEST_F(scale, virtual_bus)
{
	struct fn port = topology_port(0), mate;
	unsigned int i;

	ASSERT_EQ(0, topology_load("port(pf,fn)"));
	enable_vfs(NR_VFS);
	mate = fn_below(port, 0, 1);
	own(self->pf);
	own(mate);
	for (i = 0; i < NR_VFS; i++) {
		EXPECT_NE(self->pf.bus, topology_vf(self->pf, i).bus);
		own(topology_vf(self->pf, i));
	}
	settle();

	topology_begin();
	expect_blocked("bus: ", mate, self->pf, "VFs enabled");
	expect_sbrs(0, port);
	for (i = 0; i < self->nr; i++)
		expect_resets(0, self->fns[i]);

	/* Without them it is a bus like any other */
	ASSERT_EQ(0, set_vfs(self->pf, 0));
	ASSERT_FALSE(fn_exists(topology_vf(self->pf, 0)));
	ASSERT_EQ(0, fn_adopt(self->pf));
	topology_begin();
	EXPECT_EQ(0, reset_device(mate));
	expect_sbrs(1, port);
	expect_resets(1, mate);
	expect_resets(1, self->pf);
}

TEST_F(scale, virtual_bus_vf)
{
	struct fn vf, mate;
	unsigned int i;

	ASSERT_EQ(0, topology_load("port(pf,fn)"));
	enable_vfs(NR_VFS);
	for (i = 0; i < NR_VFS; i++)
		own(topology_vf(self->pf, i));
	settle();
	vf = self->fns[1];
	mate = fn_below(topology_port(0), 0, 1);

	EXPECT_STREQ("flr", fn_plan(vf));
	topology_begin();
	EXPECT_EQ(0, reset_device(vf));
	EXPECT_EQ(1, topology_count(vf).flrs);
	for (i = 0; i < NR_VFS; i++)
		expect_resets(i == 1, self->fns[i]);
	expect_resets(0, self->pf);
	expect_resets(0, mate);
	expect_clean();
}

/* There is no bridge that could reset it otherwise */
TEST_F(scale, virtual_bus_vf_without_flr)
{
	unsigned int i;
	struct fn vf;

	ASSERT_EQ(0, topology_load("port(pf,fn)"));
	enable_vfs(NR_VFS);
	for (i = 0; i < NR_VFS; i++)
		own(topology_vf(self->pf, i));
	settle();
	vf = self->fns[1];
	if (!fn_has_file(vf, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");

	ASSERT_EQ(0, fn_write_file(vf, "reset_method", "\n"));
	topology_begin();
	EXPECT_EQ(-ENOTTY, reset_device(vf));
	for (i = 0; i < NR_VFS; i++)
		expect_resets(0, self->fns[i]);
	expect_resets(0, self->pf);
}

/* -- more functions than a guest has slots for ----------------------------- */

/*
 * The one that could not be exported may be the guest's all the same, by Xen: nobody else
 * gets it, and nothing resets it, as long as it is listed for that one.
 */
TEST_F_TIMEOUT(scale, slots, 300)
{
	struct fn port = topology_port(0), up, last;
	unsigned int i;

	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	ASSERT_EQ(0, set_parameter("auto_reset", "0"));
	/* Functions of one device would share a slot */
	ASSERT_EQ(0, topology_load("port(up(down*32(fn)),fn)"));
	up = fn_below(port, 0, 0);
	own(fn_below(port, 0, 1));
	for (i = 0; i < GUEST_SLOTS; i++)
		own(fn_below(fn_below(up, i, 0), 0, 0));
	last = self->fns[GUEST_SLOTS];

	/* A new guest of too many */
	ASSERT_EQ(-EIO, guest_create(&self->guest, DOMAIN, self->fns,
				     GUEST_SLOTS + 1));
	guest_error(&self->guest, self->text, sizeof(self->text));
	EXPECT_NE(NULL, strstr(self->text, last.name)) {
		TH_LOG("%s", self->text);
	}
	ASSERT_EQ(-EIO, guest_create(&self->other, OTHER_DOMAIN, &last, 1));
	ASSERT_EQ(0, guest_destroy(&self->other));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &last, 1));
	ASSERT_EQ(0, guest_destroy(&self->other));

	/* One more for a guest that runs: that fails, and nothing else */
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, self->fns,
				  GUEST_SLOTS));
	ASSERT_EQ(-EIO, guest_attach(&self->guest, last));
	guest_error(&self->guest, self->text, sizeof(self->text));
	EXPECT_NE(NULL, strstr(self->text, last.name)) {
		TH_LOG("%s", self->text);
	}
	topology_begin();
	EXPECT_EQ(-EBUSY, reset_device(last));
	expect_resets(0, last);
	ASSERT_EQ(-EIO, guest_create(&self->other, OTHER_DOMAIN, &last, 1));
	ASSERT_EQ(0, guest_destroy(&self->other));

	/* Detached, it is in nobody's hands */
	ASSERT_EQ(0, guest_detach(&self->guest, last));
	topology_begin();
	EXPECT_EQ(0, reset_device(last));
	expect_resets(1, last);
	EXPECT_EQ(0, fn_needs_reset(last));
	ASSERT_EQ(0, fn_release(last));
	ASSERT_EQ(0, fn_adopt(last));
	ASSERT_EQ(0, guest_create(&self->other, OTHER_DOMAIN, &last, 1));

	/* And what the first guest has it keeps, until it gives back a slot */
	ASSERT_EQ(0, guest_destroy(&self->other));
	ASSERT_EQ(0, guest_detach(&self->guest, self->fns[0]));
	ASSERT_EQ(0, guest_attach(&self->guest, last));
}

TEST_HARNESS_MAIN
