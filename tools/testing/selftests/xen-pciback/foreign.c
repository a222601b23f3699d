// SPDX-License-Identifier: GPL-2.0
/*
 * What others have done to a function that pciback owns: the next request restores the
 * configuration of bind time, and reports only its own reset. A script or libvirt resets a
 * bus by its bridge's control register, and nobody restores anything. The PCI core's files
 * and error recovery notify pciback, but do not say why.
 */
#include <fcntl.h>

#include "lib/aer.h"
#include "lib/played.h"

/* Longer than the core's own pulse, and until anything answers again (PCIe 6.0, sec 6.6.1) */
#define PULSE_MS	10
#define SETTLE_MS	200

/* As "setpci -s PORT BRIDGE_CONTROL=40:40" and back */
static void reset_bus(struct fn port)
{
	uint32_t control = fn_read(port, PCI_BRIDGE_CONTROL, 2);

	fn_write(port, PCI_BRIDGE_CONTROL, control | PCI_BRIDGE_CTL_BUS_RESET, 2);
	usleep(PULSE_MS * 1000);
	fn_write(port, PCI_BRIDGE_CONTROL, control, 2);
	usleep(SETTLE_MS * 1000);
}

/* One line of ours, for so many functions */
#define expect_request_restores(target, words) do {			\
	struct fn named = target;					\
	int since = klog_begin();					\
									\
	watched(0, do_flr(named));					\
	expect_restored();						\
	EXPECT_EQ(0, fn_needs_reset(named));				\
	EXPECT_EQ(1, klog_count(since, "pciback", NULL));		\
	EXPECT_TRUE(klog_has(since, named.name, words, NULL, 0));	\
	klog_end(since);						\
} while (0)

#define expect_lost(fn)							\
	EXPECT_EQ(0, fn_read(fn, PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_MASK)

TEST_F(played, bus_reset_by_its_register)
{
	adopt(self->nvme, self->nic);
	reset_bus(self->nvme_port);
	reset_bus(self->nic_port);
	expect_lost(self->nvme);
	expect_lost(self->nic);

	watched(0, do_flr(self->nvme));
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	expect_request_restores(self->nic, "reset: slot: ok (1 function,");
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	/* And this one says no more, either */
	reset_bus(self->nvme_port);
	expect_request_restores(self->nvme, "reset: flr: ok (1 function,");
}

TEST_F(played, bus_reset_of_a_card_by_its_register)
{
	adopt_card();
	reset_bus(self->card.port);
	expect_lost(self->card.first);
	expect_request_restores(self->card.second, "reset: slot: ok (3 functions,");
	expect_sbrs(1);
}

/*
 * A sibling that a request covers is not reset again, unless somebody has touched it in
 * between: disabled at bind time it is not afterwards, so that its Command shows that.
 */
TEST_F(played, bus_reset_of_covered_functions_by_its_register)
{
	unsigned int i;

	for (i = 0; i < CARD_FNS; i++)
		fn_write(self->card.fns[i], PCI_COMMAND, 0, 2);
	adopt_card();
	watched(0, do_flr(self->card.first));
	expect_sbrs(1);
	reset_bus(self->card.port);
	expect_lost(self->card.second);
	expect_request_restores(self->card.second, "reset: slot: ok (3 functions,");
	expect_sbrs(1);
}

/*
 * Above a bridge: that one has lost its bus numbers, and nobody restores them. A request
 * says that nothing answers. It works again when the bridge does.
 */
TEST_F(played, bus_reset_above_a_bridge)
{
	struct fn port = fn_root(0x14), bridge = fn_below(port, 0, 0);
	struct fn nic = fn_below(bridge, 1, 0);
	uint32_t header[PCI_STD_HEADER_SIZEOF / 4];
	int i;

	adopt(nic, fn_below(bridge, 2, 0));
	fn_read_config(bridge, 0, header, sizeof(header));
	reset_bus(port);
	EXPECT_NE(0, do_flr(nic));
	expect_logged(nic, "no answer");
	for (i = ARRAY_SIZE(header) - 1; i > 0; i--)
		fn_write(bridge, 4 * i, header[i], 4);
	expect_request_restores(nic, "reset: bus: ok (2 functions,");
}

TEST_F(played, function_reset_by_the_core)
{
	adopt(self->nvme, self->nic);
	fn_scribble(self->nvme);
	ASSERT_EQ(0, fn_write_file(self->nvme, "reset", "1"));
	expect_request_restores(self->nvme, "reset: flr: ok (1 function,");
}

TEST_F(played, card_reset_by_reset_subordinate)
{
	adopt_card();
	if (!fn_has_file(self->card.port, "reset_subordinate"))
		SKIP(return, "no reset_subordinate in this kernel");
	fn_scribble(self->card.third);
	ASSERT_EQ(0, fn_write_file(self->card.port, "reset_subordinate", "1"));
	expect_request_restores(self->card.first, "reset: slot: ok (3 functions,");
	expect_sbrs(1);
}

TEST_F(played, function_recovered_from_an_error)
{
	adopt(self->nic);
	fn_scribble(self->nic);
	ASSERT_EQ(0, aer_recover(self->nic_port, self->nic));
	EXPECT_EQ(1, fn_needs_reset(self->nic));
	expect_request_restores(self->nic, "reset: slot: ok (1 function,");
}

/* Somebody has put it to sleep. In QEMU only virtio's devices are woken by a reset. */
TEST_F(played, function_put_to_sleep)
{
	unsigned int pm = fn_cap(self->entropy, PCI_CAP_ID_PM);

	ASSERT_NE(0, pm);
	adopt(self->entropy);
	fn_write(self->entropy, pm + PCI_PM_CTRL, 3, 2);
	expect_request_restores(self->entropy, "reset: slot: ok (1 function,");
}

/* -- xenopsd and HVM guests, of which it tells pciback nothing --------------- */

/*
 * It binds and resets one after the other, assigns them in Xen, and starts a device model.
 * When the VM is gone it resets them once more: the third by do_flr, which is the request
 * for the card. The next VM finds nothing of the first.
 */
TEST_F(played, xenopsd_and_a_device_model)
{
	struct fn *fns = self->card.fns;
	int files[CARD_FNS];
	unsigned int i, vm;

	adopt_card();
	for (vm = 0; vm < 2; vm++) {
		hw_begin(&self->hw);
		for (i = 0; i < CARD_FNS; i++)
			fn_xenopsd_reset(fns[i]);
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
		expect_restored();
		for (i = 0; i < CARD_FNS; i++)
			EXPECT_EQ(0, fn_read(fns[i], PCI_COMMAND, 2) &
				     PCI_COMMAND_MASTER);

		/* The device model has it open, and its guest uses it */
		for (i = 0; i < CARD_FNS; i++) {
			files[i] = fn_open_config(fns[i], O_RDWR);
			ASSERT_LE(0, files[i]);
			fn_scribble(fns[i]);
			fn_edit(fns[i], EDIT_ENABLED);
		}
		hw_begin(&self->hw);
		for (i = 0; i < CARD_FNS; i++)
			fn_xenopsd_reset(fns[i]);
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
		for (i = 0; i < CARD_FNS; i++)
			close(files[i]);
	}
	expect_restored();
	expect_not_logged("in use");
}

TEST_HARNESS_MAIN
