// SPDX-License-Identifier: GPL-2.0
/*
 * HVM guests, created by the unmodified xl. They have no frontend, and the device model
 * uses the functions from dom0, through sysfs. The guest is one of our own, guest/main.c:
 * it programs its functions' BARs, runs DMA and MSIs, leaves changed values in registers
 * and in config space, and prints what it finds there. Only in "make check-long".
 */
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <xenctrl.h>

#include "guest_pv.h"

#define COMMAND		"/usr/sbin/pciback-reset"
#define FOUND_LEN	256
/* Time for several DMAs of an edu, each of which takes 100 ms */
#define DMA_MS		500

static bool possible(void)
{
	return xl_hvm_possible();
}

/* Run a command for each of the guest's functions; @answers may be NULL */
static int ask_each(struct xl *xl, const struct fn *fns, unsigned int nr,
		    const char *command, char answers[][FOUND_LEN])
{
	char address[32];
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++) {
		xl_address(xl, fns[i], address, sizeof(address));
		ret = xl_run(xl, answers ? answers[i] : NULL, FOUND_LEN, "%s %s",
			     command, address);
	}
	return ret;
}

/* Create a guest with these functions, and have it print what it finds in them */
static int start(struct xl *xl, const char *name, const struct fn *fns,
		 unsigned int nr, char found[][FOUND_LEN])
{
	return xl_define_hvm(xl, name, fns, nr, NULL) ?: xl_create(xl, "") ?:
		xl_wait_ready(xl) ?: ask_each(xl, fns, nr, "found", found);
}

/* Both guests have found the same in each function */
#define expect_same(before, after) do {					\
	unsigned int nr;						\
									\
	for (nr = 0; nr < self->owned.nr; nr++)				\
		EXPECT_STREQ((before)[nr], (after)[nr]);		\
} while (0)

/*
 * A DMA engine and a network card that only a bus reset can reset: both work in the guest,
 * and the next guest finds nothing of what the first one left in them.
 */
TEST_F_TIMEOUT(guest_pv, works, BOOTS(2))
{
	struct fn bridge = fn_below(fn_root(0x16), 1, 0);
	char before[2][FOUND_LEN], after[2][FOUND_LEN], address[32];
	struct fn edu = fn_below(bridge, 1, 0);
	unsigned int i;

	adopt(edu, fn_below(bridge, 2, 0));
	hw_begin(&self->hw);
	ASSERT_EQ(0, start(&self->one, "one", self->owned.fns, 2, before));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(2, hw_all_resets(&self->hw));
	EXPECT_NE(NULL, strstr(before[0], "id 11e81234 command 0000"));
	EXPECT_NE(NULL, strstr(before[1], "register 00000000"));

	xl_address(&self->one, edu, address, sizeof(address));
	EXPECT_EQ(0, xl_run(&self->one, self->text, sizeof(self->text), "dma %s",
			    address));
	EXPECT_STREQ("right 0800", self->text);
	EXPECT_EQ(0, xl_run(&self->one, self->text, sizeof(self->text), "msi %s",
			    address));
	EXPECT_STREQ("came", self->text);
	EXPECT_EQ(0, ask_each(&self->one, self->owned.fns, 2, "scribble", NULL));
	for (i = 0; i < self->owned.nr; i++)
		EXPECT_NE(0, fn_read(self->owned.fns[i], PCI_COMMAND, 2) &
			     PCI_COMMAND_MASTER);
	EXPECT_NE(0, fn_read(edu, fn_cap(edu, PCI_CAP_ID_MSI) + PCI_MSI_FLAGS, 2) &
		     PCI_MSI_FLAGS_ENABLE);

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->one));
	expect_clean_again();
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	EXPECT_EQ(2, hw_all_resets(&self->hw));

	ASSERT_EQ(0, start(&self->other, "other", self->owned.fns, 2, after));
	expect_same(before, after);
	xl_address(&self->other, edu, address, sizeof(address));
	EXPECT_EQ(0, xl_run(&self->other, NULL, 0, "dma %s", address));
	EXPECT_EQ(0, xl_run(&self->other, NULL, 0, "msi %s", address));
	ASSERT_EQ(0, xl_destroy(&self->other));
	expect_clean_again();
}

#define expect_one_reset(guest) do {					\
	hw_begin(&self->hw);						\
	ASSERT_EQ(0, xl_destroy(guest));				\
	expect_clean_again();						\
	hw_end(&self->hw);						\
	expect_card_resets(1);						\
} while (0)

/* A card is out of reach while the guest has it, and clean when the next one looks */
TEST_F_TIMEOUT(guest_pv, card, BOOTS(2))
{
	char found[2][CARD_FNS][FOUND_LEN], what[128];
	unsigned int round, i;

	adopt_card();
	for (round = 0; round < 2; round++) {
		hw_begin(&self->hw);
		ASSERT_EQ(0, start(&self->one, "one", self->card.fns, CARD_FNS,
				   found[round]));
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
		EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));
		for (i = 0; i < CARD_FNS; i++)
			EXPECT_NE(NULL, strstr(found[round][i], "register 00000000"));
		ASSERT_EQ(0, ask_each(&self->one, self->card.fns, CARD_FNS,
				      "scribble", NULL));

		hw_begin(&self->hw);
		EXPECT_EQ(-EBUSY, reset_device(self->card.fns[1]));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_all_resets(&self->hw));
		snprintf(what, sizeof(what), "(assigned to domain %d)",
			 self->one.id);
		EXPECT_TRUE(klog_has(self->klog, self->card.fns[1].name, what, NULL,
				     0));
		expect_one_reset(&self->one);
	}
	expect_same(found[0], found[1]);
	EXPECT_FALSE(klog_has(self->klog, "still needs a reset", NULL, NULL,
			      0));
}

/* How a guest may end, and whether xl then starts it again */
static const struct {
	const char *command;
	bool restarted;
} ways[] = {
	{ "leave 1", true },		/* SHUTDOWN_reboot */
	{ "crash", true },		/* a triple fault */
	{ "leave 3", true },		/* SHUTDOWN_crash */
	{ "leave 0", false },		/* SHUTDOWN_poweroff */
};

/*
 * However a guest ends, its function is clean when xl starts it again. The guest has one
 * function only: xl waits 10 s for each function of a dead guest.
 */
TEST_F_TIMEOUT(guest_pv, ways, BOOTS(4))
{
	char before[1][FOUND_LEN], after[1][FOUND_LEN];
	unsigned int i, sbrs;

	adopt(self->nic);
	ASSERT_EQ(0, xl_define_hvm(&self->one, "one", &self->nic, 1, NULL));
	ASSERT_EQ(0, xl_create_monitored(&self->one));
	ASSERT_EQ(0, xl_wait_ready(&self->one));
	ASSERT_EQ(0, ask_each(&self->one, &self->nic, 1, "found", before));

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		TH_LOG("%s", ways[i].command);
		ASSERT_EQ(0, ask_each(&self->one, &self->nic, 1, "scribble", NULL));
		hw_begin(&self->hw);
		xl_tell(&self->one, ways[i].command);
		ASSERT_EQ(0, ways[i].restarted ? xl_wait_restarted(&self->one) :
						 xl_wait_released(&self->one));
		if (!ways[i].restarted)
			expect_clean_again();
		hw_end(&self->hw);
		/* The reset of the release, and the one that xl asks for, which may come first */
		sbrs = hw_sbrs(&self->hw, self->nic_port);
		EXPECT_LE(1, sbrs);
		EXPECT_GE(ways[i].restarted ? 2 : 1, sbrs);
		EXPECT_EQ(sbrs, hw_all_resets(&self->hw));
		if (!ways[i].restarted)
			break;
		ASSERT_EQ(0, ask_each(&self->one, &self->nic, 1, "found", after));
		expect_same(before, after);
	}
	/* xl has destroyed it */
	self->one.id = 0;
}

/*
 * A device model that hangs, and so does not let go of a function: xl says that
 * it could not be detached, and it stays the guest's. Neither does it keep pciback
 * from resetting what the destroyed guest had.
 */
TEST_F_TIMEOUT(guest_pv, hung, BOOTS(2))
{
	char found[CARD_FNS][FOUND_LEN];
	pid_t pid;

	adopt_card();
	ASSERT_EQ(0, start(&self->one, "one", self->card.fns, CARD_FNS, found));
	pid = xl_device_model(&self->one);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGSTOP));

	hw_begin(&self->hw);
	EXPECT_EQ(-EIO, xl_detach(&self->one, self->card.fns[1]));
	EXPECT_TRUE(xl_said("unable to remove device"));
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[1]));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	expect_one_reset(&self->one);
	/* It wakes up, with the files of the functions still open, and ends */
	kill(pid, SIGCONT);
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
	ASSERT_EQ(0, start(&self->one, "one", self->card.fns, CARD_FNS, found));
	expect_one_reset(&self->one);
}

/*
 * Two guests with a part of the card each. The first is destroyed: its functions
 * wait for their reset, which comes when the second goes, too, whose device model
 * hangs.
 */
TEST_F_TIMEOUT(guest_pv, pending, BOOTS(2))
{
	char found[CARD_FNS][FOUND_LEN];
	pid_t pid;

	adopt_card();
	hw_begin(&self->hw);
	ASSERT_EQ(0, start(&self->one, "one", self->card.fns, 1, found));
	ASSERT_EQ(0, start(&self->other, "other", &self->card.second, 1, found));
	hw_end(&self->hw);
	/* Before the first had its function, never after that */
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_destroy(&self->one));
	EXPECT_EQ(1, fn_needs_reset(self->card.fns[0]));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	pid = xl_device_model(&self->other);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	expect_one_reset(&self->other);
	kill(pid, SIGCONT);
}

/* Run pciback-reset: its exit status */
__printf(1, 2)
static int pciback_reset(const char *fmt, ...)
{
	char command[256];
	va_list args;
	int len, status;

	len = snprintf(command, sizeof(command), COMMAND " ");
	va_start(args, fmt);
	len += vsnprintf(command + len, sizeof(command) - len, fmt, args);
	va_end(args);
	snprintf(command + len, sizeof(command) - len, " >/tmp/command.out 2>&1");
	status = system(command);
	system("sed 's/^/# command: /' /tmp/command.out");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* How many of its functions pciback has handed out, by its word in xenstore */
static int handed_out(const struct xl *xl)
{
	char command[160];
	int status;

	snprintf(command, sizeof(command),
		 "exit $(xenstore-ls /local/domain/0/backend/pci/%d/0 | grep -c '^state-. = \"3\"')",
		 xl->id);
	status = system(command);
	return WEXITSTATUS(status);
}

/*
 * pciback-reset gives a card to a guest that runs and has no function, all of it, and takes
 * it back in each order. There is no frontend, and a function that pciback would only have
 * listed is one that it resets under the guest's feet.
 */
TEST_F_TIMEOUT(guest_pv, command, BOOTS(2))
{
	static const unsigned int orders[][CARD_FNS] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	const struct fn *fns = self->card.fns;
	char found[CARD_FNS][FOUND_LEN];
	unsigned int o, i;

	adopt_card();
	ASSERT_EQ(0, xl_define_hvm(&self->one, "one", NULL, 0, NULL));
	ASSERT_EQ(0, xl_create(&self->one, ""));
	ASSERT_EQ(0, xl_wait_ready(&self->one));

	for (o = 0; o < ARRAY_SIZE(orders); o++) {
		const unsigned int *order = orders[o];

		TH_LOG("order %u%u%u", order[0], order[1], order[2]);
		hw_begin(&self->hw);
		ASSERT_EQ(0, pciback_reset("attach one %s", fns[order[0]].name));
		hw_end(&self->hw);
		/* A request has reset it at the end of the last round, which counts for this one */
		EXPECT_EQ(o % 2 ? 0 : 1, hw_sbrs(&self->hw, self->card.port));
		ASSERT_EQ(CARD_FNS, handed_out(&self->one));

		hw_begin(&self->hw);
		ASSERT_EQ(0, ask_each(&self->one, fns, CARD_FNS, "found", found));
		ASSERT_EQ(0, ask_each(&self->one, fns, CARD_FNS, "scribble", NULL));
		for (i = 0; i < CARD_FNS; i++)
			EXPECT_EQ(-EBUSY, reset_device(fns[i]));
		EXPECT_EQ(4, pciback_reset("reset %s", fns[order[0]].name));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_all_resets(&self->hw));

		hw_begin(&self->hw);
		if (o % 2) {
			ASSERT_EQ(0, pciback_reset("detach --only one %s %s %s",
						   fns[order[0]].name,
						   fns[order[1]].name,
						   fns[order[2]].name));
		} else {
			/* Before the last is back the third has no reset at all */
			for (i = 0; i < CARD_FNS; i++)
				ASSERT_EQ(i < CARD_FNS - 1 && order[i] == 2 ? 4 : 0,
					  pciback_reset("detach --only one %s",
							fns[order[i]].name));
		}
		expect_clean_again();
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	}
}

/* Functions are detached and attached while the guest runs, in each order */
TEST_F_TIMEOUT(guest_pv, orders, BOOTS(1))
{
	char found[CARD_FNS][FOUND_LEN];

	adopt_card();
	ASSERT_EQ(0, start(&self->one, "one", self->card.fns, CARD_FNS, found));
	leave_and_return_in_each_order();
}

/*
 * A guest removes its frontend's state, so pciback believes that the guest is gone. Its
 * device model still has the functions. The next guest finds nothing of what the first one
 * leaves in them after that.
 */
#define run_forger_and_next() do {					\
	char before[OWNED_MAX][FOUND_LEN], after[OWNED_MAX][FOUND_LEN];	\
	const struct owned *owned = &self->owned;			\
									\
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));		\
	ASSERT_EQ(0, start(&self->one, "one", owned->fns, owned->nr,	\
			   before));					\
	ASSERT_EQ(0, xl_run(&self->one, self->text, sizeof(self->text),	\
			    "forget device/pci/0/state"));		\
	ASSERT_STREQ("OK", self->text);					\
	ASSERT_EQ(0, xl_wait_released(&self->one));			\
	ASSERT_TRUE(owned_wait_clean(owned));				\
	ASSERT_EQ(0, ask_each(&self->one, owned->fns, owned->nr,	\
			      "scribble", NULL));			\
	ASSERT_EQ(0, xl_destroy(&self->one));				\
									\
	hw_begin(&self->hw);						\
	ASSERT_EQ(0, start(&self->other, "other", owned->fns,		\
			   owned->nr, after));				\
	hw_end(&self->hw);						\
	expect_same(before, after);					\
} while (0)

TEST_F_TIMEOUT(guest_pv, forged_release, BOOTS(2))
{
	adopt(self->nvme);
	run_forger_and_next();
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
}

TEST_F_TIMEOUT(guest_pv, forged_release_of_a_card, BOOTS(2))
{
	adopt_card();
	run_forger_and_next();
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));
}

/*
 * A guest runs DMA without end, and does not release the device when xl destroys it. Xen
 * takes the device away while the guest still runs: from then on the IOMMU blocks its DMA.
 * When the guest is gone there is no more DMA, and the next guest finds the same as the
 * first one.
 */
TEST_F_TIMEOUT(guest_pv, dma, BOOTS(2))
{
	char before[2][FOUND_LEN], after[2][FOUND_LEN], address[32];
	struct fn bridge = fn_below(fn_root(0x16), 1, 0);
	struct fn edu = fn_below(bridge, 1, 0);
	/* What the IOMMU sees as the source of the DMA */
	struct fn requester = fn_root(0x16);
	unsigned int faults = xl_iommu_faults(requester);

	adopt(edu, fn_below(bridge, 2, 0));
	ASSERT_EQ(0, start(&self->one, "one", self->owned.fns, 2, before));
	xl_address(&self->one, edu, address, sizeof(address));
	EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "keep"));
	EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "busy %s", address));
	usleep(DMA_MS * 1000);
	EXPECT_EQ(faults, xl_iommu_faults(requester));

	xl_expect_iommu_faults(requester, true);
	ASSERT_EQ(0, xl_destroy(&self->one));
	/*
	 * Its state is not that of bind time: xl asks for the reset before Xen takes the
	 * function away, and the guest enables it once more in between.
	 */
	EXPECT_TRUE(owned_wait_clean(&self->owned));
	EXPECT_LT(faults, xl_iommu_faults(requester));
	faults = xl_iommu_faults(requester);
	xl_expect_iommu_faults(requester, false);
	usleep(DMA_MS * 1000);
	EXPECT_EQ(faults, xl_iommu_faults(requester));

	hw_begin(&self->hw);
	ASSERT_EQ(0, start(&self->other, "other", self->owned.fns, 2, after));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, bridge));
	expect_same(before, after);
	xl_address(&self->other, edu, address, sizeof(address));
	EXPECT_EQ(0, xl_run(&self->other, NULL, 0, "dma %s", address));
	EXPECT_EQ(faults, xl_iommu_faults(requester));
}

/*
 * A guest hangs. xl destroys it and creates the next one at once, possibly before pciback
 * has released the functions. The card is reset before the next guest has it, and not
 * afterwards.
 */
TEST_F_TIMEOUT(guest_pv, at_once, BOOTS(2))
{
	char before[CARD_FNS][FOUND_LEN], after[CARD_FNS][FOUND_LEN];
	unsigned int sbrs;

	adopt_card();
	ASSERT_EQ(0, start(&self->one, "one", self->card.fns, CARD_FNS, before));
	ASSERT_EQ(0, ask_each(&self->one, self->card.fns, CARD_FNS, "scribble",
			      NULL));
	xl_tell(&self->one, "hang");
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_command("destroy %d", self->one.id));
	ASSERT_EQ(0, start(&self->other, "other", self->card.fns, CARD_FNS,
			   after));
	hw_end(&self->hw);
	sbrs = hw_sbrs(&self->hw, self->card.port);
	EXPECT_LE(1, sbrs);
	EXPECT_GE(2, sbrs);
	expect_same(before, after);

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_wait_released(&self->one));
	self->one.id = 0;
	EXPECT_EQ(-EBUSY, reset_device(self->card.fns[0]));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

/*
 * xl detaches a function from a guest that keeps another function of the card, and gives
 * it to the next guest at once. pciback knows whose it is, and no reset hits either guest.
 */
TEST_F_TIMEOUT(guest_pv, moved, BOOTS(2))
{
	char found[CARD_FNS][FOUND_LEN], what[64];

	adopt_card();
	ASSERT_EQ(0, start(&self->one, "one", self->card.fns, 2, found));
	ASSERT_EQ(0, ask_each(&self->one, self->card.fns, 2, "scribble", NULL));
	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_detach(&self->one, self->card.second));
	ASSERT_EQ(0, start(&self->other, "other", &self->card.second, 1, found));
	EXPECT_EQ(0, ask_each(&self->other, &self->card.second, 1, "scribble",
			      NULL));
	EXPECT_EQ(0, ask_each(&self->one, &self->card.first, 1, "scribble",
			      NULL));
	EXPECT_EQ(-EBUSY, reset_device(self->card.second));
	snprintf(what, sizeof(what), "(assigned to domain %d)", self->other.id);
	EXPECT_TRUE(klog_has(self->klog, self->card.second.name, what, NULL, 0));
	EXPECT_EQ(-EBUSY, reset_device(self->card.third));
	ASSERT_EQ(0, xl_destroy(&self->one));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	expect_one_reset(&self->other);
}

/*
 * An HVM guest gets a function even if pciback refuses it: Xen and the device model have
 * assigned it, and xl ignores the refusal. So pciback treats the function as assigned until
 * xl detaches it.
 */
TEST_F_TIMEOUT(guest_pv, refused, BOOTS(2))
{
	struct fn fn = self->card.second;
	char found[1][FOUND_LEN];

	adopt_card();
	/* The set may not be reset, so the function stays dirty */
	ASSERT_EQ(0, start(&self->one, "one", &fn, 1, found));
	ASSERT_EQ(0, fn_set(self->card.first, "set_reset", "0"));
	ASSERT_EQ(0, xl_destroy(&self->one));
	EXPECT_EQ(1, fn_needs_reset(fn));
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, start(&self->other, "other", &fn, 1, found));
	EXPECT_TRUE(klog_has(self->klog, fn.name, "still needs a reset (strict)",
			     NULL, 0));

	/* Now the set may be reset, as far as its policy goes */
	ASSERT_EQ(0, fn_set(self->card.first, "set_reset", "1"));
	hw_begin(&self->hw);
	EXPECT_EQ(-EBUSY, reset_device(fn));
	EXPECT_EQ(-EBUSY, reset_device(self->card.third));
	EXPECT_EQ(0, ask_each(&self->other, &fn, 1, "scribble", NULL));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	hw_begin(&self->hw);
	ASSERT_EQ(0, xl_detach(&self->other, fn));
	expect_clean_again();
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
}

/* -- xenopsd, which does not tell pciback of an HVM guest --------------------- */

/* Flags in a function's file "resource" */
#define RESOURCE_IO	0x100
#define RESOURCE_MEM	0x200

/* Let a guest use what the function's BARs address */
static int permit(xc_interface *xc, int domid, struct fn fn)
{
	unsigned long long first, last, flags;
	char path[256];
	int bar, ret = 0;
	FILE *f;

	fn_path(fn, "resource", path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		return -errno;
	for (bar = 0; !ret && bar < 6; bar++) {
		if (fscanf(f, "%llx %llx %llx", &first, &last, &flags) != 3)
			ret = -EIO;
		else if (flags & RESOURCE_IO)
			ret = xc_domain_ioport_permission(xc, domid, first, last - first + 1, 1);
		else if (flags & RESOURCE_MEM)
			ret = xc_domain_iomem_permission(xc, domid, first >> 12,
							 (last >> 12) - (first >> 12) + 1, 1);
	}
	fclose(f);
	return ret;
}

/* Assign it in Xen, and have the device model open it, as device @dev of the guest */
static int plug(const struct xl *xl, struct fn function, unsigned int dev)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	int ret;

	if (!xc)
		return -errno;
	ret = permit(xc, xl->id, function);
	if (!ret)
		ret = xc_assign_device(xc, xl->id, function.bus << 8 | function.dev << 3 |
				       function.func, 0);
	xc_interface_close(xc);
	return ret ?: xl_command("qemu-monitor-command %d 'device_add %s,hostaddr=%s,addr=%#x'",
				 xl->id, "xen-pci-passthrough", function.name, dev);
}

#define PLACE		8	/* free in the guest */

static int ask_at(struct xl *xl, unsigned int nr, const char *command,
		  char answers[][FOUND_LEN])
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++)
		ret = xl_run(xl, answers ? answers[i] : NULL, FOUND_LEN,
			     "%s 0000:00:%02x.0", command, PLACE + i);
	return ret;
}

/*
 * A guest works with a card by its device model alone. While it does nobody resets the
 * card by way of a function that the guest does not use. After it xenopsd's reset of the
 * third function, which is the request, has the card reset: the next guest finds nothing.
 */
TEST_F_TIMEOUT(guest_pv, xenopsd, BOOTS(2))
{
	char found[2][CARD_FNS][FOUND_LEN];
	unsigned int vm, i;

	adopt_card();
	for (vm = 0; vm < 2; vm++) {
		hw_begin(&self->hw);
		for (i = 0; i < CARD_FNS; i++)
			fn_xenopsd_reset(self->card.fns[i]);
		hw_end(&self->hw);
		EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));

		ASSERT_EQ(0, start(&self->one, "one", NULL, 0, NULL));
		for (i = 0; i < CARD_FNS; i++)
			ASSERT_EQ(0, plug(&self->one, self->card.fns[i], PLACE + i));
		ASSERT_EQ(0, ask_at(&self->one, CARD_FNS, "found", found[vm]));
		EXPECT_NE(NULL, strstr(found[vm][0], "register 00000000"));
		ASSERT_EQ(0, ask_at(&self->one, 2, "scribble", NULL));

		hw_begin(&self->hw);
		EXPECT_EQ(-EBUSY, reset_device(self->card.third));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_all_resets(&self->hw));
		EXPECT_EQ(0, hw_all_writes(&self->hw, self->card.first));

		for (i = 0; i < CARD_FNS; i++)
			fn_xenopsd_reset(self->card.fns[i]);
		ASSERT_EQ(0, xl_destroy(&self->one));
	}
	for (i = 0; i < CARD_FNS; i++)
		EXPECT_STREQ(found[0][i], found[1][i]);
}

/* -- a Linux stub domain, as Qubes has it ------------------------------------- */

#define STUB_INITRAMFS	"/tmp/xen-stub.cpio"

/*
 * A guest with its device model in a domain of its own, to which pciback gives the
 * functions. On the bus there is a device for each card, in the order in which they come.
 */
static int define_with_stub(struct xl *xl, const char *name, const struct fn *fns,
			    unsigned int nr)
{
	char more[800], at[256] = "", quick[256] = "";
	unsigned int i, dev = 0;
	FILE *f;

	/* What a kernel boots faster with: libxl waits for the stub domain for 30 s */
	f = fopen("/etc/quick", "r");
	if (!f)
		return -errno;
	fscanf(f, "%255[^\n]", quick);
	fclose(f);
	for (i = 0; i < nr; i++) {
		dev += i && fns[i].bus != fns[i - 1].bus;
		snprintf(at + strlen(at), sizeof(at) - strlen(at), " at=%s=0000:00:%02x.%x",
			 fns[i].name, dev, fns[i].func);
	}
	snprintf(more, sizeof(more),
		 "device_model_version='qemu-xen'\n"
		 "device_model_stubdomain_override=1\n"
		 "stubdomain_kernel='/guest/vmlinux'\n"
		 "stubdomain_ramdisk='" STUB_INITRAMFS "'\n"
		 "stubdomain_memory=256\n"
		 "stubdomain_cmdline='console=hvc0 loglevel=4 %s%s'\n", quick, at);
	return xl_define_hvm(xl, name, NULL, 0, more);
}

/* xl lets a stub domain run on each CPU, so also where dom0 does: see define() in lib/xl.c */
static pid_t pin_stub(const char *name)
{
	char command[96];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(command, sizeof(command), "until xl vcpu-pin %s-dm 0 %ld; do :; done 2>&-",
		 name, sysconf(_SC_NPROCESSORS_ONLN));
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/*
 * Each function by an xl of its own: libxl connects to QEMU once for each of them, and from
 * one xl some of these connections get no answer. By its source, Xen's vchan-socket-proxy
 * takes a connection that comes fast for the one before it.
 */
static int start_with_stub(struct xl *xl, const struct fn *fns, unsigned int nr)
{
	int status, ret;
	unsigned int i;
	pid_t pid;

	ret = define_with_stub(xl, "one", fns, nr);
	if (ret)
		return ret;
	pid = pin_stub("one");
	ret = xl_create(xl, "");
	if (ret)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ret = ret ?: status ? -EIO : xl_wait_ready(xl);
	for (i = 0; !ret && i < nr; i++)
		ret = xl_command("pci-attach %d '%s@%02x,permissive=1'", xl->id, fns[i].name,
				 PLACE + i);
	if (ret)
		system("sed 's/^/# stub: /' /var/log/xen/qemu-dm-one.log");
	return ret;
}

#define expect_each_reset_once() do {					\
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));			\
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));		\
	EXPECT_EQ(1 + CARD_FNS, hw_all_resets(&self->hw));		\
} while (0)

/*
 * The device model runs in a stub domain. pciback knows that domain and not the guest, and
 * resets what it had when both are gone: the next guest finds nothing.
 */
TEST_F_TIMEOUT(guest_pv, stub, BOOTS(4))
{
	char found[2][1 + CARD_FNS][FOUND_LEN], what[64];
	unsigned int vm, i;

	ASSERT_EQ(0, system("xen-stub " STUB_INITRAMFS));
	adopt(self->nvme, self->card.first, self->card.second, self->card.third);
	for (vm = 0; vm < 2; vm++) {
		hw_begin(&self->hw);
		ASSERT_EQ(0, start_with_stub(&self->one, self->owned.fns, self->owned.nr));
		hw_end(&self->hw);
		expect_each_reset_once();

		hw_begin(&self->hw);
		ASSERT_EQ(0, ask_at(&self->one, self->owned.nr, "found", found[vm]));
		EXPECT_NE(NULL, strstr(found[vm][1], "register 00000000"));
		ASSERT_EQ(0, ask_at(&self->one, self->owned.nr, "scribble", NULL));
		/* Its number is the one after the guest's */
		snprintf(what, sizeof(what), "(assigned to domain %d)", self->one.id + 1);
		for (i = 0; i < self->owned.nr; i++) {
			EXPECT_EQ(-EBUSY, reset_device(self->owned.fns[i]));
			EXPECT_TRUE(klog_has(self->klog, self->owned.fns[i].name, what, NULL,
					     0));
		}
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_all_resets(&self->hw));

		hw_begin(&self->hw);
		ASSERT_EQ(0, xl_destroy(&self->one));
		expect_clean_again();
		hw_end(&self->hw);
		expect_each_reset_once();
	}
	expect_same(found[0], found[1]);
	unlink(STUB_INITRAMFS);
}

TEST_HARNESS_MAIN
