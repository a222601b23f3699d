// SPDX-License-Identifier: GPL-2.0
/*
 * Each reset method is used where it should be. By the hardware's trace it was done just once,
 * and each function that it reached has the state of bind time again, whatever a guest had
 * written.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/aer.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"
#include "lib/slot.h"

FIXTURE(reset)
{
	struct owned owned;
	struct hw hw;
	char text[64];
	int klog;
};

FIXTURE_SETUP(reset)
{
	memset(self, 0, sizeof(*self));
}

FIXTURE_TEARDOWN(reset)
{
	EXPECT_EQ(0, owned_release(&self->owned));
}

/* What a reset of a slot is called */
static const char *by_slot(struct fn port)
{
	return slot_is_native(port) ? "slot" : "bus";
}

/* Leave it as a guest might, and see that this is not how it was */
#define scribble_all() do {						\
	unsigned char now[PCI_CONFIG_SIZE];				\
	unsigned int i;							\
									\
	for (i = 0; i < self->owned.nr; i++) {				\
		fn_scribble(self->owned.fns[i]);				\
		fn_read_config(self->owned.fns[i], 0, now, sizeof(now));	\
		ASSERT_NE(0, memcmp(now, self->owned.bound[i],		\
				    sizeof(now)));			\
		ASSERT_EQ(PCI_COMMAND_MASTER,				\
			  now[PCI_COMMAND] & PCI_COMMAND_MASTER);	\
	}								\
} while (0)

/* The core asks the slots first, and gives up if they cannot be reset */
#define NO_SLOT_RESET	"the core resets no slot that ACPI drives"

/* Each way to reset, by who has it: the functions of a bus, of which one is named */
#define ON_ROOT		(-1)

FIXTURE(method)
{
	struct owned owned;
	struct fn port, bridge, fn;
	struct hw hw;
	char text[64];
	int klog;
};

FIXTURE_VARIANT(method)
{
	unsigned int port;
	int bridge;			/* The one below it, or ON_ROOT: the port is it */
	unsigned int nr, named;
	struct {
		unsigned int dev, func;
		const char *type;	/* QEMU's, if it is looked at */
	} fns[3];
	bool flr;			/* Else the bus is reset */
	bool slot;			/* By pciehp, if it drives the slot */
	bool pm;			/* It has that, too, which is weaker */
};

FIXTURE_VARIANT_ADD(method, flr)
{
	.port = 0x10, .bridge = ON_ROOT, .nr = 1, .fns = { { 0, 0, "nvme" } },
	.flr = true,
};

FIXTURE_VARIANT_ADD(method, flr_before_pm)
{
	.port = 0x17, .bridge = ON_ROOT, .nr = 1, .fns = { { 0, 0 } },
	.flr = true, .pm = true,
};

/* PM would do, but weakly: the slot is better */
FIXTURE_VARIANT_ADD(method, slot)
{
	.port = 0x12, .bridge = ON_ROOT, .nr = 1, .fns = { { 0, 0, "e1000e" } },
	.slot = true, .pm = true,
};

/* Nothing of its own at all */
FIXTURE_VARIANT_ADD(method, slot_only_method)
{
	.port = 0x15, .bridge = ON_ROOT, .nr = 1, .fns = { { 0, 0 } },
	.slot = true,
};

/* One write, one pulse, three functions: the two not named as well */
FIXTURE_VARIANT_ADD(method, card)
{
	.port = 0x13, .bridge = ON_ROOT, .nr = 3,
	.fns = { { 0, 0, "e1000e" }, { 0, 1, "e1000e" }, { 0, 2, "qemu-xhci" } },
	.slot = true, .pm = true,
};

/* The same by way of the function that has no method of its own at all */
FIXTURE_VARIANT_ADD(method, card_by_its_last_function)
{
	.port = 0x13, .bridge = ON_ROOT, .nr = 3, .named = 2,
	.fns = { { 0, 0, "e1000e" }, { 0, 1, "e1000e" }, { 0, 2, "qemu-xhci" } },
	.slot = true,
};

FIXTURE_VARIANT_ADD(method, conventional)
{
	.port = 0x14, .bridge = 0, .nr = 2,
	.fns = { { 1, 0, "e1000" }, { 2, 0, "pci-testdev" } },
};

FIXTURE_VARIANT_ADD(method, conventional_two_levels)
{
	.port = 0x16, .bridge = 1, .nr = 2,
	.fns = { { 1, 0, "edu" }, { 2, 0, "e1000" } },
};

FIXTURE_SETUP(method)
{
	unsigned int i;

	memset(self, 0, sizeof(*self));
	self->port = fn_root(variant->port);
	self->bridge = variant->bridge == ON_ROOT ? self->port :
		       fn_below(self->port, variant->bridge, 0);
	for (i = 0; i < variant->nr; i++)
		seize(fn_below(self->bridge, variant->fns[i].dev,
			       variant->fns[i].func));
	self->fn = self->owned.fns[variant->named];
}

FIXTURE_TEARDOWN(method)
{
	EXPECT_EQ(0, owned_release(&self->owned));
}

/* No DMA is under way when it comes: first disabled, and only then reset */
static bool disabled_before_flr(const struct hw *hw, struct fn fn)
{
	unsigned int devctl = fn_cap(fn, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
	const struct hw_event *event;
	bool disabled = false;
	size_t i;

	for (i = 0; i < hw->nr; i++) {
		event = &hw->events[i];
		if (event->kind != 'w' || event->bus != fn.bus ||
		    event->dev != fn.dev || event->func != fn.func)
			continue;
		if (event->offset == PCI_COMMAND)
			disabled = !(event->val & (PCI_COMMAND_IO |
						   PCI_COMMAND_MEMORY |
						   PCI_COMMAND_MASTER));
		if (event->offset == devctl &&
		    event->val & PCI_EXP_DEVCTL_BCR_FLR)
			return disabled;
	}
	return false;
}

/*
 * Presence and link changes are not to be seen by pciehp while it resets a
 * slot: it has the port not tell of them, or, since 6.16, ignores them.
 */
static unsigned int slot_controls(void)
{
	return kernel_since(6, 16) ? 0 : 2;
}

TEST_F(method, resets)
{
	const char *type, *way = variant->slot ? by_slot(self->port) : "bus";
	unsigned int i, m, nr;

	scribble_all();
	reset_watched(self->fn, 0);

	if (variant->flr) {
		EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));
		EXPECT_TRUE(disabled_before_flr(&self->hw, self->fn));
	}
	EXPECT_EQ(!variant->flr, hw_sbrs(&self->hw, self->bridge));
	if (variant->bridge != ON_ROOT)
		EXPECT_EQ(0, hw_sbrs(&self->hw, self->port));
	if (variant->slot && slot_is_native(self->port))
		EXPECT_LE(slot_controls(), hw_slot_controls(&self->hw, self->port));
	if (variant->pm)
		EXPECT_EQ(0, hw_d3s(&self->hw, self->fn));
	for (i = 0; i < variant->nr; i++) {
		type = variant->fns[i].type;
		for (m = nr = 0; type && m < variant->nr; m++)
			nr += !strcmp(type, variant->fns[m].type);
		if (type)
			EXPECT_EQ(nr, hw_resets(&self->hw, type));
	}
	EXPECT_EQ(variant->nr, hw_all_resets(&self->hw));
	expect_restored();
	snprintf(self->text, sizeof(self->text), "reset: %s: ok (%u function%s,",
		 variant->flr ? "flr" : way, variant->nr, variant->nr > 1 ? "s" : "");
	expect_logged(self->fn, self->text);
	/* One line for all of them */
	EXPECT_EQ(1, klog_count(self->klog, "reset: ", NULL));
}

/* The administrator's reset_method counts: no FLR, so the slot */
TEST_F(reset, flr_taken_away)
{
	struct fn port = fn_root(0x17), rng = fn_below(port, 0, 0);

	seize(rng);
	if (!fn_has_file(rng, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	ASSERT_EQ(0, fn_write_file(rng, "reset_method", "pm"));
	scribble_all();
	reset_watched(rng, 0);
	ASSERT_EQ(0, fn_write_file(rng, "reset_method", "default"));

	EXPECT_EQ(0, hw_flrs(&self->hw, rng));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_d3s(&self->hw, rng));
	expect_restored();
	snprintf(self->text, sizeof(self->text), "reset: %s: ok", by_slot(port));
	expect_logged(rng, self->text);
}

/* An emptied reset_method governs the function step only */
TEST_F(reset, methods_emptied)
{
	struct fn port = fn_root(0x17), rng = fn_below(port, 0, 0);

	seize(rng);
	if (!fn_has_file(rng, "reset_method"))
		SKIP(return, "the kernel has no reset_method (before 5.15)");
	ASSERT_EQ(0, fn_write_file(rng, "reset_method", "\n"));
	scribble_all();
	reset_watched(rng, 0);
	ASSERT_EQ(0, fn_write_file(rng, "reset_method", "default"));

	EXPECT_EQ(0, hw_flrs(&self->hw, rng));
	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	expect_restored();
	snprintf(self->text, sizeof(self->text), "reset: %s: ok", by_slot(port));
	expect_logged(rng, self->text);
}

/* The slot's driver gone, the bus is left */
TEST_F(reset, bus)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);
	bool native;

	seize(nic);
	native = slot_is_native(port);
	if (native)
		ASSERT_EQ(0, slot_unbind(port));

	scribble_all();
	reset_watched(nic, 0);

	if (native)
		ASSERT_EQ(0, slot_bind(port));

	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(0, hw_slot_controls(&self->hw, port));
	EXPECT_EQ(0, hw_d3s(&self->hw, nic));
	EXPECT_EQ(1, hw_resets(&self->hw, "e1000e"));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	expect_restored();
	expect_logged(nic, "reset: bus: ok (1 function,");
}

/*
 * Does its first BAR lead to it? All those asked have a register at its beginning
 * that is neither 0 nor all ones. As enabled as before on return; -1 if that
 * can't be tried.
 */
static int memory_works(struct fn fn)
{
	uint32_t command = fn_read(fn, PCI_COMMAND, 2), val;
	char path[256];
	uint32_t *page;
	int fd;

	fn_path(fn, "resource0", path, sizeof(path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	page = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return -1;

	fn_write(fn, PCI_COMMAND, command | PCI_COMMAND_MEMORY, 2);
	val = __atomic_load_n(page, __ATOMIC_RELAXED);
	fn_write(fn, PCI_COMMAND, command, 2);
	munmap(page, sysconf(_SC_PAGESIZE));
	return val && val != UINT32_MAX;
}

/* By each kind of reset: dom0 reaches its memory as before */
TEST_F(reset, memory)
{
	struct fn second = fn_below(fn_root(0x16), 1, 0);
	unsigned int i;

	seize(fn_below(fn_root(0x10), 0, 0), fn_below(fn_root(0x12), 0, 0),
	      fn_below(fn_root(0x15), 0, 0), fn_below(second, 1, 0),
	      fn_below(second, 2, 0));
	for (i = 0; i < self->owned.nr; i++)
		EXPECT_EQ(1, memory_works(self->owned.fns[i]));
	scribble_all();
	for (i = 0; i < self->owned.nr; i++) {
		EXPECT_EQ(0, reset_device(self->owned.fns[i]));
		EXPECT_EQ(1, memory_works(self->owned.fns[i]));
	}
	expect_restored();
}

/* An owned function in D3hot is woken, reset and restored */
TEST_F(reset, asleep)
{
	struct fn port = fn_root(0x17), rng = fn_below(port, 0, 0);
	unsigned int pm = fn_cap(rng, PCI_CAP_ID_PM);

	ASSERT_NE(0, pm);
	seize(rng);
	fn_write(rng, pm + PCI_PM_CTRL, 3, 2);
	reset_watched(rng, 0);

	EXPECT_EQ(1, hw_flrs(&self->hw, rng));
	EXPECT_EQ(0, fn_read(rng, pm + PCI_PM_CTRL, 2) &
		     PCI_PM_CTRL_STATE_MASK);
	expect_restored();
}

/*
 * After any reset: the core's own reset file restores bind time, too. It does not tell what
 * it has reset, so that does not count.
 */
TEST_F(reset, by_the_core)
{
	struct fn port = fn_root(0x10), nvme = fn_below(port, 0, 0);

	seize(nvme);
	scribble_all();
	hw_begin(&self->hw);
	ASSERT_EQ(0, fn_write_file(nvme, "reset", "1"));
	hw_end(&self->hw);

	EXPECT_EQ(1, hw_flrs(&self->hw, nvme));
	expect_restored();
	EXPECT_STREQ("flr: ok", fn_last_reset(nvme));
	EXPECT_EQ(0, fn_needs_reset(nvme));
}

/*
 * And its reset_subordinate, which asks nobody and reports nothing: the state is
 * right afterwards, but what was clean is, and what was not is not.
 */
TEST_F(reset, by_the_core_below_a_bridge)
{
	struct fn port = fn_root(0x10), nvme = fn_below(port, 0, 0);
	struct card card = card_find();
	char path[256];

	fn_path(port, "reset_subordinate", path, sizeof(path));
	if (access(path, F_OK))
		SKIP(return, "no reset_subordinate in this kernel");
	if (!slot_is_native(port))
		SKIP(return, NO_SLOT_RESET);
	seize(nvme, card.first, card.second, card.third);
	scribble_all();

	hw_begin(&self->hw);
	ASSERT_EQ(0, write_string(path, "1"));
	ASSERT_EQ(0, fn_write_file(card.port, "reset_subordinate", "1"));
	hw_end(&self->hw);

	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_sbrs(&self->hw, card.port));
	EXPECT_EQ(4, hw_all_resets(&self->hw));
	expect_restored();
	EXPECT_STREQ("flr: ok", fn_last_reset(nvme));
	EXPECT_STREQ("pm: ok (weak)", fn_last_reset(card.first));
	EXPECT_STREQ(fn_bound_last_reset(card.third),
		     fn_last_reset(card.third));
	EXPECT_EQ(0, fn_needs_reset(nvme));
	EXPECT_EQ(1, fn_needs_reset(card.first));
	EXPECT_EQ(1, fn_needs_reset(card.third));
}

/*
 * Error recovery resets the slot, and leaves it to the driver to restore: an
 * idle function has no guest to do it. What an error has left needs a reset.
 */
TEST_F(reset, by_error_recovery)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	if (!slot_is_native(port))
		SKIP(return, NO_SLOT_RESET);
	seize(nic);
	ASSERT_EQ(0, reset_device(nic));
	ASSERT_EQ(0, fn_needs_reset(nic));
	scribble_all();

	hw_begin(&self->hw);
	ASSERT_EQ(0, aer_recover(port, nic));
	hw_end(&self->hw);

	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_resets(&self->hw, "e1000e"));
	expect_restored();
	EXPECT_EQ(1, fn_needs_reset(nic));
	EXPECT_STREQ("slot: ok", fn_last_reset(nic));
}

/*
 * Nor does it disable first. Xen, which lets a PVH dom0 at the memory of those
 * functions that are enabled, has to be told, or it ignores the BARs restored.
 */
TEST_F(reset, by_error_recovery_while_enabled)
{
	struct fn port = fn_root(0x12), nic = fn_below(port, 0, 0);

	if (!slot_is_native(port))
		SKIP(return, NO_SLOT_RESET);
	seize(nic);
	fn_write(nic, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);

	hw_begin(&self->hw);
	ASSERT_EQ(0, aer_recover(port, nic));
	hw_end(&self->hw);

	EXPECT_EQ(1, hw_sbrs(&self->hw, port));
	EXPECT_EQ(1, hw_resets(&self->hw, "e1000e"));
	expect_restored();
	EXPECT_EQ(1, memory_works(nic));
}

TEST_HARNESS_MAIN
