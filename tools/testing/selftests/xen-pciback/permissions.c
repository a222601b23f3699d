// SPDX-License-Identifier: GPL-2.0
/*
 * Who may reset: root with CAP_SYS_ADMIN. For all others nothing is reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/pci.h"

#define NOBODY	65534

FIXTURE(permissions)
{
	struct fn fn;
	struct hw hw;
};

FIXTURE_VARIANT(permissions)
{
	const char *path;
};

FIXTURE_VARIANT_ADD(permissions, reset_device)
{
	.path = RESET_DEVICE,
};

FIXTURE_VARIANT_ADD(permissions, do_flr)
{
	.path = DO_FLR,
};

FIXTURE_SETUP(permissions)
{
	memset(self, 0, sizeof(*self));
	self->fn = fn_below(fn_root(0x10), 0, 0);
	ASSERT_EQ(0, fn_adopt(self->fn));
}

FIXTURE_TEARDOWN(permissions)
{
	EXPECT_EQ(0, fn_release(self->fn));
}

static int drop_sys_admin(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps))
		return -errno;
	caps[0].effective &= ~(1U << CAP_SYS_ADMIN);
	caps[0].permitted &= ~(1U << CAP_SYS_ADMIN);
	return syscall(SYS_capset, &header, caps) ? -errno : 0;
}

static int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

/*
 * The errno of a write by a child that gave up something first, on a file that
 * it opens itself, or on one that was opened for it (@fd).
 */
static int write_as(int (*give_up)(void), const char *path, struct fn fn,
		    int fd)
{
	int status, ret;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return errno;
	if (!pid) {
		ret = give_up();
		if (ret)
			_exit(255);
		if (fd < 0)
			ret = write_string(path, fn.name);
		else if (write(fd, fn.name, strlen(fn.name)) < 0)
			ret = -errno;
		_exit(-ret);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 255;
	return WEXITSTATUS(status);
}

TEST_F(permissions, mode)
{
	struct stat st;

	ASSERT_EQ(0, stat(variant->path, &st));
	EXPECT_EQ(S_IFREG | 0200, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);
}

/* Not even for root: there is nothing to read */
TEST_F(permissions, unreadable)
{
	char byte;
	int fd;

	fd = open(variant->path, O_RDONLY);
	if (fd >= 0) {
		EXPECT_EQ(-1, read(fd, &byte, 1));
		EXPECT_EQ(EIO, errno);
		close(fd);
	} else {
		EXPECT_EQ(EACCES, errno);
	}
}

TEST_F(permissions, unprivileged)
{
	int fd;

	fd = open(variant->path, O_WRONLY);
	ASSERT_LE(0, fd);

	hw_begin(&self->hw);
	EXPECT_EQ(EACCES, write_as(become_nobody, variant->path,
				   self->fn, -1));
	/* Nor with a file opened by root */
	EXPECT_EQ(EPERM, write_as(become_nobody, variant->path, self->fn,
				  fd));
	hw_end(&self->hw);
	close(fd);

	EXPECT_EQ(0, hw_all_writes(&self->hw, self->fn));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

TEST_F(permissions, root_without_sys_admin)
{
	hw_begin(&self->hw);
	EXPECT_EQ(EPERM, write_as(drop_sys_admin, variant->path, self->fn,
				  -1));
	hw_end(&self->hw);

	EXPECT_EQ(0, hw_all_writes(&self->hw, self->fn));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

/* EPERM comes first: no telling good addresses from bad ones */
TEST_F(permissions, checked_before_the_input)
{
	struct fn nonsense = { .name = "nonsense" };

	EXPECT_EQ(EPERM, write_as(drop_sys_admin, variant->path, nonsense, -1));
}

/* The others are for everybody to read; only policies are root's to write */
TEST(readable)
{
	struct fn fn = fn_below(fn_root(0x10), 0, 0);
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = {
		{ "pciback/needs_reset", 0444 }, { "pciback/last_reset", 0444 },
		{ "pciback/reset_plan", 0444 }, { "pciback/strict", 0644 },
		{ "pciback/set_reset", 0644 },
	};
	struct stat st;
	char path[256];
	unsigned int i;

	ASSERT_EQ(0, fn_adopt(fn));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fn_path(fn, files[i].name, path, sizeof(path));
		EXPECT_EQ(0, stat(path, &st));
		EXPECT_EQ(S_IFREG | files[i].mode, st.st_mode);
	}
	/* And only as long as pciback has it */
	ASSERT_EQ(0, fn_release(fn));
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		fn_path(fn, files[i].name, path, sizeof(path));
		EXPECT_EQ(-1, stat(path, &st));
	}
}

TEST_HARNESS_MAIN
