// SPDX-License-Identifier: GPL-2.0
/*
 * "pciback-reset adopt" on machines that people have, from the facts in facts/ or in the
 * folder MACHINES; with MACHINES_EVERY=N only on one of N. Each machine is a tree of files,
 * with its configuration spaces and the drivers that the facts name. For each function that
 * people give to guests four dry runs show what would be taken: with nothing in use; the same
 * with all of these functions named; with disks, networks and a console in use; and that with
 * --force. Each must take what the facts and machines_model.c say.
 *
 * "make machines" reads the line that is printed for each function: without --force and with
 * nothing in use, does adopt take all functions that its thorough reset needs?
 *
 *	adopt: MACHINE BDF yes|no
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest.h"
#include "lib/machine.h"
#include "machines_model.h"

#define TREE		"/tmp/machines_adopt"
#define OUTPUT		TREE "/output"
#define DEVICES		TREE "/sys/bus/pci/devices/"
#define NO_DRIVER	"-"
#define SECURITY	0x1080
#define BRIDGE		0x06		/* the base class, also of what has no bus behind it */
#define OTHER_BRIDGE	0x0680		/* which may be anything */
#define MAX_DOMAIN	0xffff
#define BLOCKED		4	/* the command's exit status */

/* Where the capabilities are */
#define PM_AT		0x40
#define EXP_AT		0x48
#define AF_AT		0x90

enum use { IDLE, NAMED, USED, FORCED };

static const char * const use_names[] = {
	"idle", "idle, and all named", "in use", "by force"
};

static char *command;
static struct machine machine;
static char *paths[MACHINE_FNS];	/* of the functions, in the tree */
static bool used[MACHINE_FNS];		/* with USED */
static const struct fact *root_disk;
static bool good, made;

/* -- the tree ----------------------------------------------------------------- */

static char *path_of(const char *fmt, va_list args)
{
	static char path[1024];

	vsnprintf(path, sizeof(path), fmt, args);
	return path;
}

static void __printf(1, 2) make_dir(const char *fmt, ...)
{
	va_list args;
	char *path, *slash;

	va_start(args, fmt);
	path = path_of(fmt, args);
	va_end(args);
	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	if (mkdir(path, 0755) && errno != EEXIST)
		err(1, "%s", path);
}

static void __printf(2, 3) make_link(const char *target, const char *fmt, ...)
{
	va_list args;
	char *path;

	va_start(args, fmt);
	path = path_of(fmt, args);
	va_end(args);
	if (symlink(target, path))
		err(1, "%s", path);
}

static void make_data(const char *path, const void *data, size_t len, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		err(1, "%s", path);
	close(fd);
}

static void __printf(2, 3) make_file(const char *text, const char *fmt, ...)
{
	va_list args;
	char *path;

	va_start(args, fmt);
	path = path_of(fmt, args);
	va_end(args);
	make_data(path, text, strlen(text), O_TRUNC);
}

static void put16(uint8_t *at, unsigned int val)
{
	at[0] = val;
	at[1] = val >> 8;
}

/* Put a capability before those that are there */
static void add_cap(uint8_t *config, uint8_t at, uint8_t id)
{
	config[at] = id;
	config[at + 1] = config[PCI_CAPABILITY_LIST];
	config[PCI_CAPABILITY_LIST] = at;
	config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

static void make_config(const struct fact *fact, const char *path)
{
	uint8_t config[256] = {};
	char file[600];

	put16(config + PCI_VENDOR_ID, fact->vendor);
	put16(config + PCI_DEVICE_ID, fact->device);
	put16(config + PCI_CLASS_DEVICE, fact->class);
	config[PCI_HEADER_TYPE] = fact->header;
	if (fact->pm && fact->header != PCI_HEADER_TYPE_CARDBUS) {
		add_cap(config, PM_AT, PCI_CAP_ID_PM);
		put16(config + PM_AT + PCI_PM_CTRL,
		      fact->soft_reset ? 0 : PCI_PM_CTRL_NO_SOFT_RESET);
	}
	if (fact->type != NO_PCIE) {
		add_cap(config, EXP_AT, PCI_CAP_ID_EXP);
		put16(config + EXP_AT + PCI_EXP_FLAGS,
		      2 | fact->type << 4 | (fact->slot ? PCI_EXP_FLAGS_SLOT : 0));
		if (fact->flr)
			put16(config + EXP_AT + PCI_EXP_DEVCAP + 2,
			      PCI_EXP_DEVCAP_FLR >> 16);
		if (fact->hotplug)
			config[EXP_AT + PCI_EXP_SLTCAP] = PCI_EXP_SLTCAP_HPC;
	}
	if (fact->af) {
		add_cap(config, AF_AT, PCI_CAP_ID_AF);
		config[AF_AT + PCI_AF_CAP] = fact->af;
	}
	snprintf(file, sizeof(file), "%s/config", path);
	make_data(file, config, sizeof(config), O_TRUNC);
}

static bool has_driver(const struct fact *fact)
{
	return strcmp(fact->driver, NO_DRIVER);
}

static void make_function(const struct fact *fact)
{
	int root = strlen(fact->bdf) - strlen(":00.0"), len;
	char text[64], methods[PLAN_SIZE], *path;

	if (fact->up)
		len = asprintf(&path, "%s/%s", paths[fact->up - machine.facts], fact->bdf);
	else
		len = asprintf(&path, TREE "/sys/devices/pci%.*s/%s", root, fact->bdf,
			       fact->bdf);
	if (len < 0)
		err(1, "%s", fact->bdf);
	free(paths[fact - machine.facts]);
	paths[fact - machine.facts] = path;
	make_dir("%s", path);
	make_link(path, DEVICES "%s", fact->bdf);
	make_config(fact, path);
	snprintf(text, sizeof(text), "0x%04x00\n", fact->class);
	make_file(text, "%s/class", path);
	snprintf(text, sizeof(text), "0x%04x\n", fact->vendor);
	make_file(text, "%s/vendor", path);
	snprintf(text, sizeof(text), "0x%04x\n", fact->device);
	make_file(text, "%s/device", path);
	make_file("(null)\n", "%s/driver_override", path);
	if (fact->header)
		make_file("1\n", "%s/secondary_bus_number", path);
	if (has_driver(fact))
		make_link(fact->driver, "%s/driver", path);
	if (fact->pf)
		make_link(paths[fact->pf - machine.facts], "%s/physfn", path);
	snprintf(text, sizeof(text), "%u\n", fact->num_vfs);
	if (fact->total_vfs)
		make_file(text, "%s/sriov_numvfs", path);
	model_methods(&machine, fact, methods);
	if (!methods[0])
		return;
	make_file("", "%s/reset", path);
	if (kernel_since(5, 15))
		make_file(methods, "%s/reset_method", path);
}

/* -- what uses it ------------------------------------------------------------- */

/* A network that is up, or a part of a bridge; and one that is neither */
static void use_network(const struct fact *fact, unsigned int nr)
{
	const char *path = paths[fact - machine.facts];
	char target[600];

	make_dir("%s/net/eth%u", path, nr);
	make_file(nr % 3 ? "0x1002\n" : "0x1003\n", "%s/net/eth%u/flags", path, nr);
	if (nr % 3 == 1)
		make_link("../xenbr0", "%s/net/eth%u/master", path, nr);
	snprintf(target, sizeof(target), "%s/net/eth%u", path, nr);
	make_link(target, TREE "/sys/class/net/eth%u", nr);
	used[fact - machine.facts] = nr % 3 != 2;
}

static void mount(unsigned int nr, const char *where)
{
	char line[128];

	snprintf(line, sizeof(line), "30 1 8:%u / %s rw shared:1 - ext4 /dev/sd%u rw\n",
		 nr, where, nr);
	make_data(TREE "/proc/self/mountinfo", line, strlen(line), O_APPEND);
}

/* The root file system's, one that is mounted, swap space; and one that is none of it */
static void use_disk(const struct fact *fact, unsigned int nr)
{
	const char *path = paths[fact - machine.facts];
	char text[600];

	make_dir("%s/block/sd%u/holders", path, nr);
	snprintf(text, sizeof(text), "8:%u\n", nr);
	make_file(text, "%s/block/sd%u/dev", path, nr);
	snprintf(text, sizeof(text), "DEVNAME=sd%u\n", nr);
	make_file(text, "%s/block/sd%u/uevent", path, nr);
	snprintf(text, sizeof(text), "%s/block/sd%u", path, nr);
	make_link(text, TREE "/sys/dev/block/8:%u", nr);
	make_file("", TREE "/dev/sd%u", nr);
	if (!nr)
		root_disk = fact;
	if (nr % 4 < 2)
		mount(nr, nr ? "/srv" : "/");
	snprintf(text, sizeof(text), "/dev/sd%u partition 1 0 -2\n", nr);
	if (nr % 4 == 2)
		make_data(TREE "/proc/swaps", text, strlen(text), O_APPEND);
	used[fact - machine.facts] = nr % 4 != 3;
}

/* All that has a driver; the first display shows the console */
static void use_machine(void)
{
	unsigned int networks = 0, disks = 0, i;
	bool console = false;

	for (i = 0; i < machine.nr; i++) {
		const struct fact *fact = &machine.facts[i];

		if (fact->header || !has_driver(fact))
			continue;
		if (fact->class >> 8 == 0x01) {
			use_disk(fact, disks++);
		} else if (fact->class >> 8 == 0x02) {
			use_network(fact, networks++);
		} else if (fact->class >> 8 == 0x03 && !console) {
			console = true;
			used[i] = true;
			make_file("1\n", "%s/boot_vga", paths[i]);
			make_dir(TREE "/sys/class/vtconsole/vtcon1");
			make_file("(M) frame buffer device\n",
				  TREE "/sys/class/vtconsole/vtcon1/name");
			make_file("1\n", TREE "/sys/class/vtconsole/vtcon1/bind");
		}
	}
}

static void remove_tree(void)
{
	if (system("rm -rf " TREE))
		errx(1, TREE);
}

static void make_tree(void)
{
	unsigned int i;

	remove_tree();
	memset(used, 0, sizeof(used));
	root_disk = NULL;
	make_dir(TREE "/sys/bus/pci/devices");
	make_dir(TREE "/sys/bus/pci/drivers/pciback");
	make_dir(TREE "/sys/class/net");
	make_dir(TREE "/sys/dev/block");
	make_dir(TREE "/proc/self");
	make_dir(TREE "/dev");
	make_file("", TREE "/sys/bus/pci/drivers/pciback/reset_device");
	make_file("", TREE "/proc/self/mountinfo");
	make_file("Filename\n", TREE "/proc/swaps");
	for (i = 0; i < machine.nr; i++)
		make_function(&machine.facts[i]);
}

/* -- what it should say ------------------------------------------------------- */

/* Before 5.15 the kernel does not say that it knows better than a capability */
static bool seems_to_have_flr(const struct fact *fact)
{
	char methods[PLAN_SIZE];

	model_methods(&machine, fact, methods);
	return !kernel_since(5, 15) && methods[0] &&
	       ((fact->flr && fact->type != NO_PCIE) || fact->af & PCI_AF_CAP_FLR);
}

static bool resets_alone(const struct fact *fact)
{
	static const struct ownership nothing;
	char plan[PLAN_SIZE];

	model_plan(&machine, &nothing, fact, plan);
	return !strcmp(plan, "flr") || fact->num_vfs || seems_to_have_flr(fact);
}

/*
 * What goes with a function: all that a reset of its set reaches. With FLR of its own it
 * is only what of its device has none, since nothing else could reset that.
 */
static bool goes_with(const struct fact *fact, const struct fact *other)
{
	if (fact == other)
		return true;
	if (other->header || !fact->up)
		return false;
	if (resets_alone(fact))
		return machine_same_device(fact, other) && !resets_alone(other);
	return machine_is_below(other, fact->up);
}

/* Can its set be reset, if pciback has all of it that it can have? */
static bool set_resets(const struct fact *fact)
{
	static struct ownership own;
	char plan[PLAN_SIZE];
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		own.owned[i] = !machine.facts[i].header;
	model_plan(&machine, &own, fact, plan);
	return !strcmp(plan, "slot") || !strcmp(plan, "bus");
}

/* By dom0; a PF also by the use of its VFs */
static bool is_used(const struct fact *fact)
{
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		if (used[i] && (&machine.facts[i] == fact || machine.facts[i].pf == fact))
			return true;
	return false;
}

/* What would be taken; false if it is refused */
static bool expect_taken(const struct fact *fact, enum use use, bool *taken)
{
	unsigned int i, nr = 0;
	bool refused = false;

	for (i = 0; i < machine.nr; i++) {
		const struct fact *other = &machine.facts[i];

		taken[i] = goes_with(fact, other);
		if (!taken[i])
			continue;
		nr++;
		refused |= other->fn.domain > MAX_DOMAIN;
		refused |= root_disk && (other == root_disk || other == root_disk->pf);
		if (use == FORCED)
			continue;
		refused |= is_used(other) || other->class == SECURITY ||
			   (other->class >> 8 == BRIDGE && other->class != OTHER_BRIDGE) ||
			   (use != NAMED && !machine_same_device(fact, other));
	}
	/* With nothing to go with it, it is taken for what it has for itself */
	if (use != FORCED && nr > 1 && !resets_alone(fact))
		refused |= !set_resets(fact);
	return !refused;
}

/* -- what it says ------------------------------------------------------------- */

static void __printf(2, 3) complain(const struct fact *fact, const char *fmt, ...)
{
	va_list args;

	good = false;
	printf("# %s: %s: ", machine.name, fact->bdf);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static struct fact *find_bdf(const char *bdf)
{
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		if (!strcmp(machine.facts[i].bdf, bdf))
			return &machine.facts[i];
	return NULL;
}

/* "echo BDF >.../drivers_probe" or ".../drivers/NAME/unbind" */
static void read_command(const struct fact *fact, const char *line, bool *taken)
{
	char bdf[24], path[256], expected[256];
	const struct fact *other;

	if (sscanf(line, "echo %23s >%255s", bdf, path) != 2)
		return;
	other = find_bdf(bdf);
	if (!other)
		return;
	snprintf(expected, sizeof(expected), TREE "/sys/bus/pci/drivers/%s/unbind",
		 other->driver);
	if (!strcmp(path, TREE "/sys/bus/pci/drivers_probe"))
		taken[other - machine.facts] = true;
	else if (strcmp(path, expected))
		complain(fact, "%s is not of %s", line, other->driver);
}

/* Its exit status. A shell would cost as much again. No PATH: there is no xl. */
static int spawn(char **argv)
{
	char *env[2] = { strdup("PCIBACK_RESET_ROOT=" TREE) };
	posix_spawn_file_actions_t files;
	int status, ret;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, OUTPUT, O_WRONLY | O_CREAT | O_TRUNC,
					 0600);
	posix_spawn_file_actions_adddup2(&files, 1, 2);
	ret = posix_spawn(&pid, argv[0], &files, NULL, argv, env);
	if (ret || waitpid(pid, &status, 0) != pid)
		errx(1, "%s", argv[0]);
	posix_spawn_file_actions_destroy(&files);
	free(env[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_adopt(struct fact *fact, enum use use, const bool *expected,
		     bool *taken, char *said, size_t size)
{
	static char *argv[MACHINE_FNS + 6];
	unsigned int i, argc = 0;
	char line[512];
	FILE *f;
	int ret;

	argv[argc++] = command;
	argv[argc++] = "adopt";
	argv[argc++] = "--dry-run";
	if (use == FORCED)
		argv[argc++] = "--force";
	argv[argc++] = fact->bdf;
	for (i = 0; use == NAMED && i < machine.nr; i++)
		if (expected[i])
			argv[argc++] = machine.facts[i].bdf;
	argv[argc] = NULL;
	ret = spawn(argv);
	f = fopen(OUTPUT, "r");
	if (!f)
		err(1, OUTPUT);
	said[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		read_command(fact, line, taken);
		if (strncmp(line, "echo ", strlen("echo ")))
			snprintf(said, size, "%s", line);
	}
	fclose(f);
	return ret;
}

static void look_at(struct fact *fact, enum use use)
{
	static bool taken[MACHINE_FNS], expected[MACHINE_FNS];
	const char *situation = use_names[use];
	bool should = expect_taken(fact, use, expected);
	char said[512];
	unsigned int i;
	int ret;

	/* Its siblings, if named, bring along all of the bus: see "idle" for each of them */
	if (use == NAMED && seems_to_have_flr(fact))
		return;
	memset(taken, 0, sizeof(taken));
	ret = run_adopt(fact, use, expected, taken, said, sizeof(said));
	if (ret != (should ? 0 : BLOCKED))
		complain(fact, "%s: exit status %d, not %d: %s", situation, ret,
			 should ? 0 : BLOCKED, said);
	else if (!should != !!said[0])
		complain(fact, "%s: %s", situation, said[0] ? said : "no reason");
	for (i = 0; ret == (should ? 0 : BLOCKED) && i < machine.nr; i++)
		if (taken[i] != (should && expected[i]))
			complain(fact, "%s: %s is %staken", situation,
				 machine.facts[i].bdf, taken[i] ? "" : "not ");
	if (use == IDLE && !made)
		printf("# adopt:\t%s\t%s\t%s\n", machine.name, fact->bdf,
		       should && (resets_alone(fact) || set_resets(fact)) ? "yes" : "no");
}

/* The first of those that take the same along for the same reason? */
static bool is_first(const struct fact *fact)
{
	const struct fact *other;

	for (other = machine.facts; other < fact; other++)
		if (machine_is_passed(other) && goes_with(other, fact) &&
		    goes_with(fact, other) && resets_alone(other) == resets_alone(fact))
			return false;
	return true;
}

/* Would it be another run than the one before? */
static bool is_worth(const struct fact *fact, enum use use)
{
	bool more = false, use_matters = false, refused;
	static bool taken[MACHINE_FNS];
	unsigned int i;

	if (use == IDLE)
		return true;
	refused = !expect_taken(fact, USED, taken);
	for (i = 0; i < machine.nr; i++) {
		more |= taken[i] && &machine.facts[i] != fact;
		use_matters |= taken[i] && used[i];
	}
	return is_first(fact) && (use == NAMED ? more : use == USED ? use_matters : refused);
}

static void look_at_all(enum use use)
{
	unsigned int i;

	for (i = 0; i < machine.nr; i++)
		if (machine_is_passed(&machine.facts[i]) &&
		    is_worth(&machine.facts[i], use))
			look_at(&machine.facts[i], use);
}

static void look_at_machine(const char *path)
{
	good = machine_read(&machine, path);
	if (!good)
		return;
	make_tree();
	look_at_all(IDLE);
	look_at_all(NAMED);
	use_machine();
	look_at_all(USED);
	look_at_all(FORCED);
	remove_tree();
}

static void test(const char *path, const char *name)
{
	look_at_machine(path);
	ksft_test_result(good, "%s\n", name);
}

int main(void)
{
	unsigned int nr;

	ksft_print_header();
	command = getenv("COMMAND") ?: "/usr/sbin/pciback-reset";
	if (access(command, X_OK))
		ksft_exit_skip("no %s\n", command);
	nr = machine_each(false, NULL);
	if (!nr)
		ksft_exit_fail_msg("no machine\n");
	ksft_set_plan(nr + machine_each(true, NULL));
	machine_each(false, test);
	made = true;
	machine_each(true, test);
	ksft_finished();
}
