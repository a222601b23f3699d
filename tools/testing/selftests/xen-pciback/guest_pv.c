// SPDX-License-Identifier: GPL-2.0
/*
 * A real PV guest with xen-pcifront, by the unmodified xl: it sees and uses its
 * functions, they are out of reach meanwhile, and come back as they were.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/guest.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/owned.h"
#include "lib/pci.h"

#define KERNEL		"/guest/vmlinux"
#define CONFIG		"/tmp/pv.cfg"
#define CONSOLE		"/var/log/xen/console/guest-pv.log"
#define FUNCTIONS	3
#define BOOT_S		120
#define RELEASE_S	60

FIXTURE(guest_pv)
{
	struct card card;
	struct owned owned;
	struct hw hw;
	int klog;
};

FIXTURE_SETUP(guest_pv)
{
	memset(self, 0, sizeof(*self));
	if (access(KERNEL, F_OK) || !guest_possible())
		SKIP(return, "no kernel for a guest here");
	/* Of an earlier one of that name; xenconsoled appends */
	unlink(CONSOLE);

	self->card = card_find();
	ASSERT_EQ(0, owned_adopt(&self->owned, self->card.first,
				 self->card.second, self->card.third));
	self->klog = klog_begin();
}

FIXTURE_TEARDOWN(guest_pv)
{
	system("xl destroy pv 2>/dev/null");
	EXPECT_EQ(0, owned_release(&self->owned));
	EXPECT_FALSE(klog_has(self->klog, "cut here", NULL, NULL, 0));
	klog_end(self->klog);
}

/* What xl is to create; cpus: not where dom0 runs */
static int write_config(const struct fn *fns)
{
	FILE *f = fopen(CONFIG, "w");

	if (!f)
		return -1;
	fprintf(f, "name=\"pv\"\n"
		   "type=\"pv\"\n"
		   "kernel=\"" KERNEL "\"\n"
		   "ramdisk=\"/guest/initramfs.cpio\"\n"
		   "extra=\"console=hvc0 loglevel=4 functions=%d\"\n"
		   "memory=192\n"
		   "cpus=\"1\"\n"
		   "on_crash=\"destroy\"\n"
		   "pci=[\"%s\",\"%s\",\"%s\"]\n",
		FUNCTIONS, fns[0].name, fns[1].name, fns[2].name);
	return fclose(f);
}

/* Did the guest say that? */
static bool said(const char *what)
{
	char line[512];
	bool found = false;
	FILE *f;

	f = fopen(CONSOLE, "r");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, what);
	if (f)
		fclose(f);
	return found;
}

static bool wait_until_said(const char *what)
{
	unsigned int i;

	for (i = 0; i < BOOT_S && !said(what); i++)
		sleep(1);
	return said(what);
}

static int find_domain(void)
{
	int id = -1;
	FILE *f;

	f = popen("xl domid pv", "r");
	if (!f || fscanf(f, "%d", &id) != 1)
		id = -1;
	if (f)
		pclose(f);
	return id;
}

/* xl does not wait for pciback to have taken the functions back */
static bool wait_until_released(int id)
{
	char device[64];
	unsigned int i;

	snprintf(device, sizeof(device), "/sys/devices/pci-%d-0", id);
	for (i = 0; i < RELEASE_S * 10 && !access(device, F_OK); i++)
		usleep(100000);
	return access(device, F_OK);
}

TEST_F_TIMEOUT(guest_pv, card, 2 * BOOT_S + RELEASE_S)
{
	char what[128];
	unsigned int i;
	int id;

	ASSERT_EQ(0, write_config(self->owned.fns));
	hw_begin(&self->hw);
	/* -e: without a process of xl's that stays */
	ASSERT_EQ(0, system("xl create -e " CONFIG " >/tmp/xl.log 2>&1"));
	id = find_domain();
	ASSERT_LT(0, id);
	ASSERT_TRUE(wait_until_said("guest: ready")) {
		system("xl list; tail -n 30 " CONSOLE);
	}
	hw_end(&self->hw);
	/* They were clean, and xl asked for no more than that */
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_FALSE(klog_has(self->klog, "still needs a reset", NULL, NULL,
			      0));

	for (i = 0; i < FUNCTIONS; i++) {
		snprintf(what, sizeof(what), "guest: function 0000:00:00.%u 0x%04x 0x%04x",
			 i, fn_read(self->owned.fns[i], PCI_VENDOR_ID, 2),
			 fn_read(self->owned.fns[i], PCI_DEVICE_ID, 2));
		EXPECT_TRUE(said(what)) {
			TH_LOG("%s", what);
		}
		/* It has set them up (vm/guest-init) */
		EXPECT_NE(0, fn_read(self->owned.fns[i], PCI_COMMAND, 2) &
			     PCI_COMMAND_MASTER);
		EXPECT_EQ(0x20, fn_read(self->owned.fns[i], PCI_CACHE_LINE_SIZE, 1));
	}

	/* And they are its own */
	for (i = 0; i < FUNCTIONS; i++) {
		hw_begin(&self->hw);
		ASSERT_EQ(-EBUSY, reset_device(self->owned.fns[i]));
		hw_end(&self->hw);
		EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
		EXPECT_EQ(0, hw_all_resets(&self->hw));
		EXPECT_EQ(0, hw_all_writes(&self->hw, self->owned.fns[i]));
		snprintf(what, sizeof(what), "%s (assigned to domain %d)",
			 self->owned.fns[i].name, id);
		EXPECT_TRUE(klog_has(self->klog, self->owned.fns[i].name, what, NULL,
				     0));
	}

	/* One reset makes all of them clean, when the last has been released */
	hw_begin(&self->hw);
	ASSERT_EQ(0, system("xl destroy pv >>/tmp/xl.log 2>&1"));
	ASSERT_TRUE(wait_until_released(id));
	EXPECT_TRUE(fn_wait_clean(self->owned.fns[0]));
	/* Not only marked, but all of it over */
	fn_quiesce(self->owned.fns[0]);
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(FUNCTIONS, hw_all_resets(&self->hw));
	for (i = 0; i < FUNCTIONS; i++)
		EXPECT_EQ(0, fn_needs_reset(self->owned.fns[i]));
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE));
}

TEST_HARNESS_MAIN
