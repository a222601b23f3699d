// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-overs by the unmodified libvirt, whose driver for Xen uses libxl: virsh in dom0,
 * and real PV guests. Before a guest gets a function, and after it, libvirt also resets
 * it, through config space, and notifies nobody: a function without FLR by PM, and a
 * function without either by its bus, after which it restores only that function. Only in
 * "make check-long".
 */
#include <errno.h>
#include <stdarg.h>

#include "guest_pv.h"

#define LIBVIRTD	"/usr/sbin/libvirtd"
#define CONFIG		"/tmp/libvirtd.conf"
#define LOG		"/tmp/libvirtd.log"
#define VIRSH		"virsh -c xen:///system "
#define VIRSH_OUT	"/tmp/virsh.out"

/* What xl is asked for afterwards: Xen keeps in quarantine what a guest has had */
#define DEQUARANTINE	"pci-assignable-remove"

static bool libvirt_answers(void)
{
	return !system(VIRSH "version >/dev/null 2>&1");
}

static bool possible(void)
{
	unsigned int tries;

	if (access(LIBVIRTD, F_OK) || !xl_possible())
		return false;
	if (libvirt_answers())
		return true;
	if (system("mkdir -p /run/libvirt /etc/libvirt /var/lib/libvirt /var/log/libvirt"))
		return false;
	if (system("echo 'log_outputs=\"1:file:" LOG "\"' >" CONFIG))
		return false;
	if (system("echo 'log_filters=\"1:util.pci\"' >>" CONFIG))
		return false;
	if (system(LIBVIRTD " -d -f " CONFIG))
		return false;
	for (tries = 0; tries < 300 && !libvirt_answers(); tries++)
		usleep(100000);
	return tries < 300;
}

__printf(1, 2)
static int run_virsh(const char *fmt, ...)
{
	char command[256];
	va_list args;
	int len;

	len = snprintf(command, sizeof(command), VIRSH);
	va_start(args, fmt);
	len += vsnprintf(command + len, sizeof(command) - len, fmt, args);
	va_end(args);
	snprintf(command + len, sizeof(command) - len, " >" VIRSH_OUT " 2>&1");
	if (!system(command))
		return 0;
	system("sed 's/^/# virsh: /' " VIRSH_OUT);
	return -EIO;
}

/* virsh nodedev-detach, -reset, -reattach */
static int node_device(const char *what, struct fn fn)
{
	return run_virsh("nodedev-%s pci_%04x_%02x_%02x_%x", what, fn.domain,
			 fn.bus, fn.dev, fn.func);
}

/* Its driver is named, or libvirt 11 takes it for in use after it has been detached */
static void put_hostdev(FILE *f, struct fn fn, const char *managed)
{
	fprintf(f, "<hostdev mode='subsystem' type='pci' managed='%s'>\n"
		   "<driver name='xen'/><source>\n"
		   "<address domain='%#x' bus='%#x' slot='%#x' function='%#x'/>\n"
		   "</source></hostdev>\n",
		managed, fn.domain, fn.bus, fn.dev, fn.func);
}

/* Start a guest with these functions, which libvirt takes from dom0's drivers */
static int start_guest(struct xl *guest, const char *name, const struct fn *fns,
		       unsigned int nr)
{
	char path[64];
	unsigned int i;
	FILE *f;
	int ret;

	/* For its name and console */
	ret = xl_define(guest, name, fns, nr, NULL);
	if (ret)
		return ret;
	unlink(guest->console);
	snprintf(path, sizeof(path), "/tmp/%s.xml", name);
	f = fopen(path, "w");
	if (!f)
		return -errno;
	fprintf(f, "<domain type='xen'><name>%s</name><memory unit='MiB'>192</memory>\n"
		   "<vcpu cpuset='%ld'>1</vcpu><os><type machine='xenpv'>linux</type>\n"
		   "<kernel>/guest/vmlinux</kernel><initrd>/guest/initramfs.cpio</initrd>\n"
		   "<cmdline>console=hvc0 loglevel=1 functions=%u</cmdline></os>\n"
		   /* Else one that has none at first cannot have or use any later */
		   "<features><xen><e820_host state='on'/>\n"
		   "<passthrough state='on'/></xen></features>\n"
		   "<devices><console type='pty'/>\n",
		name, sysconf(_SC_NPROCESSORS_ONLN), nr);
	for (i = 0; i < nr; i++)
		put_hostdev(f, fns[i], "yes");
	fprintf(f, "</devices></domain>\n");
	if (fclose(f))
		return -errno;
	return run_virsh("create %s", path) ?: xl_wait_ready(guest);
}

static int stop_guest(struct xl *guest)
{
	int ret;

	close(guest->tty);
	guest->tty = -1;
	ret = run_virsh("destroy %s", guest->name) ?: xl_wait_released(guest);
	guest->id = 0;
	return ret;
}

/* @what: attach or detach */
static int change(const struct xl *guest, const char *what, struct fn fn)
{
	static const char path[] = "/tmp/hostdev.xml";
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	put_hostdev(f, fn, "no");
	if (fclose(f))
		return -errno;
	return run_virsh("%s-device %s %s --live", what, guest->name, path);
}

static int attach(struct xl *guest, struct fn fn)
{
	char address[32];
	int ret;

	ret = change(guest, "attach", fn) ?: xl_wait_assigned(guest, fn);
	if (ret)
		return ret;
	xl_address(guest, fn, address, sizeof(address));
	return xl_run(guest, NULL, 0,
		      "wait_for '[ -e /sys/bus/pci/devices/%s ]'", address);
}

/*
 * Without a guest. libvirt leaves a function with FLR to others. It resets a card by its
 * bus if all of it is detached, and restores the function that it was asked for: what
 * the others have lost is back after the next request, whose only word it is.
 */
TEST_F_TIMEOUT(guest_pv, nodedev, 600)
{
	struct fn first = self->card.first, third = self->card.third;
	unsigned int i;
	int klog;

	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, write_string("/sys/bus/pci/drivers_probe", self->nvme.name));
	expect_driver(self->nvme, "nvme");

	hw_begin(&self->hw);
	ASSERT_EQ(0, node_device("detach", self->nvme));
	ASSERT_EQ(0, node_device("detach", self->nic));
	for (i = 0; i < CARD_FNS; i++)
		ASSERT_EQ(0, node_device("detach", self->card.fns[i]));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(0, hw_sbrs(&self->hw, self->card.port));
	expect_driver(self->nvme, "pciback");
	adopt(self->nvme, self->nic, first, self->card.second, third);

	hw_begin(&self->hw);
	EXPECT_EQ(0, node_device("reset", self->nvme));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->nvme));

	hw_begin(&self->hw);
	EXPECT_EQ(0, node_device("reset", self->nic));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_d3s(&self->hw, self->nic));
	EXPECT_EQ(0, hw_all_resets(&self->hw));

	hw_begin(&self->hw);
	EXPECT_EQ(0, node_device("reset", third));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	EXPECT_EQ(CARD_FNS, hw_all_resets(&self->hw));
	EXPECT_EQ(0, system("grep -q 'doing a secondary bus reset' " LOG));
	EXPECT_STREQ("slot: ok", fn_last_reset(third));
	EXPECT_EQ(0, fn_read(first, PCI_BASE_ADDRESS_0, 4));

	klog = klog_begin();
	hw_begin(&self->hw);
	EXPECT_EQ(0, do_flr(first));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->card.port));
	expect_restored();
	EXPECT_EQ(1, klog_count(klog, "pciback", "reset: slot: ok (3 functions"));
	EXPECT_EQ(1, klog_count(klog, "pciback", "0000:"));
	klog_end(klog);

	/* Or pciback, which is asked before the driver, would seize it again */
	for (i = 0; i < self->owned.nr; i++) {
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/remove_slot",
					  self->owned.fns[i].name));
		EXPECT_EQ(0, node_device("reattach", self->owned.fns[i]));
	}
	expect_driver(self->nvme, "nvme");
	EXPECT_EQ(0, fn_unbind(self->nvme));
	ASSERT_EQ(0, unload_module("nvme"));
}

/*
 * Attached to a guest that runs, detached, and attached again: one reset each time beside
 * what libvirt does, and the guest finds what it has found before. In the end dom0's
 * own driver works with it.
 */
TEST_F_TIMEOUT(guest_pv, live, BOOTS(1))
{
	unsigned char before[PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	char address[32];

	ASSERT_EQ(0, node_device("detach", self->nvme));
	ASSERT_EQ(0, node_device("detach", self->nic));
	seize(self->nvme, self->nic);
	ASSERT_EQ(0, start_guest(&self->one, "one", NULL, 0));

	hw_begin(&self->hw);
	ASSERT_EQ(0, attach(&self->one, self->nvme));
	ASSERT_EQ(0, attach(&self->one, self->nic));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(2, hw_all_resets(&self->hw));
	ASSERT_EQ(0, xl_config(&self->one, self->nic, before));
	EXPECT_EQ(0, xl_run(&self->one, self->text, sizeof(self->text),
			    "read_disk 262144"));
	EXPECT_STREQ("262144", self->text);

	xl_address(&self->one, self->nic, address, sizeof(address));
	EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "scribble %s", address));
	hw_begin(&self->hw);
	ASSERT_EQ(0, change(&self->one, "detach", self->nic));
	EXPECT_TRUE(fn_wait_clean(self->nic));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(1, hw_all_resets(&self->hw));
	EXPECT_STREQ("slot: ok", fn_last_reset(self->nic));

	ASSERT_EQ(0, attach(&self->one, self->nic));
	ASSERT_EQ(0, xl_config(&self->one, self->nic, after));
	EXPECT_EQ(0, memcmp(before, after, sizeof(after)));

	hw_begin(&self->hw);
	ASSERT_EQ(0, stop_guest(&self->one));
	EXPECT_TRUE(owned_wait_clean(&self->owned));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->nvme));
	EXPECT_EQ(1, hw_sbrs(&self->hw, self->nic_port));
	EXPECT_EQ(2, hw_all_resets(&self->hw));

	/* Without this its DMA and its MSI are refused: libvirt does not ask for it */
	ASSERT_EQ(0, load_module("nvme"));
	EXPECT_EQ(0, xl_command(DEQUARANTINE " %s", self->nvme.name));
	EXPECT_EQ(0, node_device("reattach", self->nvme));
	expect_driver(self->nvme, "nvme");
	EXPECT_EQ(0, system("head -c 4096 /dev/nvme*n1 >/dev/null"));
	EXPECT_EQ(0, fn_unbind(self->nvme));
	ASSERT_EQ(0, unload_module("nvme"));
	EXPECT_EQ(0, xl_command(DEQUARANTINE " %s", self->nic.name));
	EXPECT_EQ(0, node_device("reattach", self->nic));
}

/*
 * managed='yes': a card is taken from its drivers for a guest, and they have it again when
 * the guest is destroyed. One reset of ours before each guest; libvirt's own has
 * only the third function's configuration restored, so the second guest would not
 * find what the first has found.
 */
TEST_F_TIMEOUT(guest_pv, managed, BOOTS(2))
{
	unsigned char before[CARD_FNS][PCI_CONFIG_SIZE], after[PCI_CONFIG_SIZE];
	unsigned int round, i;
	char address[32];
	int klog;

	/* On a host pciback is asked after the drivers, unless it is built in */
	ASSERT_EQ(0, unload_module("xen_pciback"));
	ASSERT_EQ(0, load_module("e1000e"));
	ASSERT_EQ(0, load_pciback(""));
	ASSERT_EQ(0, write_string("/sys/bus/pci/drivers_probe",
				  self->card.first.name));
	ASSERT_EQ(0, write_string("/sys/bus/pci/drivers_probe",
				  self->card.second.name));

	for (round = 0; round < 2; round++) {
		expect_driver(self->card.first, "e1000e");
		expect_driver(self->card.second, "e1000e");
		klog = klog_begin();
		hw_begin(&self->hw);
		ASSERT_EQ(0, start_guest(&self->one, "one", self->card.fns,
					 CARD_FNS));
		hw_end(&self->hw);
		/* Ours and libvirt's */
		EXPECT_EQ(2, hw_sbrs(&self->hw, self->card.port));
		EXPECT_EQ(1, klog_count(klog, "pciback",
					"reset: slot: ok (3 functions"));
		EXPECT_FALSE(klog_has(klog, "still needs a reset", NULL, NULL, 0));
		klog_end(klog);

		for (i = 0; i < CARD_FNS; i++) {
			ASSERT_EQ(0, xl_config(&self->one, self->card.fns[i],
					       round ? after : before[i]));
			if (round)
				EXPECT_EQ(0, memcmp(before[i], after, sizeof(after))) {
					TH_LOG("%s", self->card.fns[i].name);
				}
			xl_address(&self->one, self->card.fns[i], address,
				   sizeof(address));
			EXPECT_EQ(0, xl_run(&self->one, NULL, 0, "scribble %s",
					    address));
		}
		ASSERT_EQ(0, stop_guest(&self->one));
		for (i = 0; i < CARD_FNS; i++)
			EXPECT_EQ(0, xl_command(DEQUARANTINE " %s",
						self->card.fns[i].name));
	}
	expect_driver(self->card.first, "e1000e");
	expect_driver(self->card.second, "e1000e");
	expect_driver(self->card.third, "");
	ASSERT_EQ(0, unload_module("e1000e"));
}

TEST_HARNESS_MAIN
