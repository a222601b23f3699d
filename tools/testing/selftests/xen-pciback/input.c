// SPDX-License-Identifier: GPL-2.0
/*
 * Which addresses reset_device and do_flr accept, and which not. If the input is wrong,
 * nothing is touched: by the hardware's trace no device is reset, and nothing is written
 * to the device that a lax parser would have found.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/bdf.h"
#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/pci.h"

/* In the table, @ is the bus of the function, in two digits: 01 */
#define GOOD "0000:@:00.0"

struct input {
	int ret;
	const char *text;
	/* Only where it is not strlen(text) */
	size_t len;
};

static const struct input inputs[] = {
	/* Good: the function is there, owned and reset */
	{ 0, GOOD },
	{ 0, GOOD "\n" },
	{ 0, GOOD "\r\n" },
	{ 0, "@:00.0" },
	{ 0, "@:00.0\n" },
	{ 0, " " GOOD },
	{ 0, "\t\n " GOOD " \t\n" },
	/* Domains beyond ffff are real: those of Intel's VMD begin at 10000 */
	{ 0, "0" GOOD },
	{ 0, "0000" GOOD },
	{ 0, "00000000:@:00.0\n" },

	/* Good, but nobody is there, or it is not pciback's */
	{ -ENODEV, "0000:@:1f.7" },
	{ -ENODEV, "0000:ff:00.0" },
	{ -ENODEV, "0000:FF:00.0" },
	{ -ENODEV, "0000:Ff:1F.7" },
	{ -ENODEV, "ffff:ff:1f.7" },
	{ -ENODEV, "ABCD:EF:1E.5" },
	{ -ENODEV, "0001:@:00.0" },
	{ -ENODEV, "10000:@:00.0" },
	{ -ENODEV, " 100000:@:00.0" },
	{ -ENODEV, "1000000:@:00.0" },
	{ -ENODEV, "fffFFFFF:@:00.0\n" },
	{ -ENODEV, "0000:00:00.0" },
	{ -ENODEV, "00:00.0" },
	{ -ENODEV, "fe:00.0" },

	/* Something behind it, or before */
	{ -EINVAL, GOOD "x" },
	{ -EINVAL, GOOD "0" },
	{ -EINVAL, GOOD "." },
	{ -EINVAL, GOOD ":" },
	{ -EINVAL, GOOD " x" },
	{ -EINVAL, GOOD "\n1" },
	{ -EINVAL, GOOD "," GOOD },
	{ -EINVAL, GOOD " " GOOD },
	{ -EINVAL, GOOD "\n" GOOD "\n" },
	{ -EINVAL, "x" GOOD },
	{ -EINVAL, "(" GOOD ")" },
	{ -EINVAL, "\"" GOOD "\"" },
	{ -EINVAL, "-" GOOD },
	{ -EINVAL, "+" GOOD },
	{ -EINVAL, "00000" GOOD },

	/* Other ways to write the same numbers */
	{ -EINVAL, "0x0:1:0.0" },
	{ -EINVAL, "0x0000:@:00.0" },
	{ -EINVAL, "0000:0x@:00.0" },
	{ -EINVAL, "0000:@:0x00.0" },
	{ -EINVAL, "0000:@:00.0x0" },
	{ -EINVAL, "0:1:0.0" },
	{ -EINVAL, "1:0.0" },
	{ -EINVAL, "0000:1:00.0" },
	{ -EINVAL, "0000:@:0.0" },
	{ -EINVAL, "000:@:00.0" },
	{ -EINVAL, "000000000:@:00.0" },
	{ -EINVAL, "0000:0@:00.0" },
	{ -EINVAL, "0000:@:000.0" },
	{ -EINVAL, "0000:@:00.00" },
	{ -EINVAL, "0000:@:00" },
	{ -EINVAL, "0000:@" },
	{ -EINVAL, "0000:@:00." },
	{ -EINVAL, "0000:@:00:0" },
	{ -EINVAL, "0000.@.00.0" },
	{ -EINVAL, "0000:@.00.0" },
	{ -EINVAL, "0000/@/00/0" },
	{ -EINVAL, "0000:@: 00.0" },
	{ -EINVAL, "0000: @:00.0" },
	{ -EINVAL, "0000 :@:00.0" },
	{ -EINVAL, "0000:-1:00.0" },
	{ -EINVAL, "0000:+1:00.0" },

	/* Numbers that a sloppy parser wraps into a good one */
	{ -EINVAL, "100000000:@:00.0" },
	{ -EINVAL, "100000000000:@:00.0" },
	{ -EINVAL, "0000:1@:00.0" },
	{ -EINVAL, "0000:@:20.0" },
	{ -EINVAL, "0000:@:ff.0" },
	{ -EINVAL, "0000:@:00.8" },
	{ -EINVAL, "0000:@:00.f" },
	{ -EINVAL, "00000000000000000000:@:00.0" },
	{ -EINVAL, "18446744073709551616:@:00.0" },
	{ -EINVAL, "0000:00000000000000000001:00.0" },
	{ -EINVAL, "0000:@:00.10000000000000000000" },

	/* Not hex, not ASCII */
	{ -EINVAL, "000g:@:00.0" },
	{ -EINVAL, "0000:@:0z.0" },
	{ -EINVAL, "O000:@:00.0" },
	{ -EINVAL, "\xc2\xa0" GOOD },
	{ -EINVAL, GOOD "\xc2\xa0" },
	{ -EINVAL, GOOD "\xa0" },
	{ -EINVAL, "\xa0" GOOD },
	{ -EINVAL, "0000\xef\xbc\x9a@:00.0" },
	{ -EINVAL, "\xff\xff\xff\xff:@:00.0" },

	/* Wildcards, which the driver's other files take */
	{ -EINVAL, "0000:@:00.*" },
	{ -EINVAL, "0000:@:*.*" },
	{ -EINVAL, "@:00.*" },
	{ -EINVAL, "@:*.*" },
	{ -EINVAL, "*" },
	{ -EINVAL, "*:*:*.*" },

	/* Hardly anything */
	{ -EINVAL, " " },
	{ -EINVAL, "\n" },
	{ -EINVAL, " \t\r\n\v\f " },
	{ -EINVAL, "1" },
	{ -EINVAL, "1:2" },
	{ -EINVAL, ":" },
	{ -EINVAL, "." },
	{ -EINVAL, ":." },
	{ -EINVAL, "::." },
	{ -EINVAL, ":::." },
	{ -EINVAL, "%s%n" },
	{ -EINVAL, "all" },

	/* A NUL is no end of a string here */
	{ -EINVAL, GOOD "\0", sizeof(GOOD) },
	{ -EINVAL, GOOD "\0\n", sizeof(GOOD) + 1 },
	{ -EINVAL, GOOD "\0x", sizeof(GOOD) + 1 },
	{ -EINVAL, GOOD "\n\0", sizeof(GOOD) + 1 },
	{ -EINVAL, "\0" GOOD, sizeof(GOOD) },
	{ -EINVAL, "0000\0:@:00.0", sizeof(GOOD) },
	{ -EINVAL, "0000:@:00\0.0", sizeof(GOOD) },
	{ -EINVAL, "\0", 1 },
};

#define MAX_LEN		64

/* Fill in the bus; return the length of the result */
static size_t compose(const struct input *input, struct fn fn, char *text)
{
	size_t len = input->len ?: strlen(input->text), i, n = 0;

	for (i = 0; i < len; i++) {
		if (input->text[i] == '@') {
			snprintf(text + n, 3, "%02x", fn.bus);
			n += 2;
		} else {
			text[n++] = input->text[i];
		}
	}
	return n;
}

FIXTURE(input)
{
	struct fn fn;
	struct hw hw;
};

FIXTURE_SETUP(input)
{
	memset(self, 0, sizeof(*self));
	self->fn = fn_below(fn_root(0x10), 0, 0);
	ASSERT_EQ(0, fn_adopt(self->fn));
}

FIXTURE_TEARDOWN(input)
{
	EXPECT_EQ(0, fn_release(self->fn));
}

TEST_F_TIMEOUT(input, table, 120)
{
	unsigned int i, good = 0;
	char text[MAX_LEN], shown[5 * MAX_LEN];
	size_t len;
	int ret;

	/* The good ones: one FLR each, from each file */
	hw_begin(&self->hw);
	for (i = 0; i < ARRAY_SIZE(inputs); i++) {
		if (inputs[i].ret)
			continue;
		len = compose(&inputs[i], self->fn, text);
		ret = write_file(RESET_DEVICE, text, len);
		bdf_escape(text, len, shown, sizeof(shown));
		EXPECT_EQ(0, ret) {
			TH_LOG("'%s'", shown);
		}
		EXPECT_EQ(0, write_file(DO_FLR, text, len)) {
			TH_LOG("'%s'", shown);
		}
		good += 2;
	}
	hw_end(&self->hw);
	EXPECT_EQ(good, hw_flrs(&self->hw, self->fn));

	/* All others: nothing at all */
	hw_begin(&self->hw);
	for (i = 0; i < ARRAY_SIZE(inputs); i++) {
		if (!inputs[i].ret)
			continue;
		len = compose(&inputs[i], self->fn, text);
		ret = write_file(RESET_DEVICE, text, len);
		bdf_escape(text, len, shown, sizeof(shown));
		EXPECT_EQ(inputs[i].ret, ret) {
			TH_LOG("'%s'", shown);
		}
		EXPECT_EQ(inputs[i].ret, write_file(DO_FLR, text, len)) {
			TH_LOG("'%s'", shown);
		}
	}
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->fn));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

/* As much as a write can bring: a page, all of it looked at */
TEST_F(input, page)
{
	char page[4096];

	memset(page, ' ', sizeof(page));
	memcpy(page, self->fn.name, strlen(self->fn.name));

	hw_begin(&self->hw);
	EXPECT_EQ(0, write_file(RESET_DEVICE, page, sizeof(page)));
	hw_end(&self->hw);
	EXPECT_EQ(1, hw_flrs(&self->hw, self->fn));

	hw_begin(&self->hw);
	page[sizeof(page) - 1] = 'x';
	EXPECT_EQ(-EINVAL, write_file(RESET_DEVICE, page, sizeof(page)));
	page[sizeof(page) - 1] = '\0';
	EXPECT_EQ(-EINVAL, write_file(RESET_DEVICE, page, sizeof(page)));
	memset(page, '0', sizeof(page));
	EXPECT_EQ(-EINVAL, write_file(RESET_DEVICE, page, sizeof(page)));
	memset(page, ' ', sizeof(page));
	EXPECT_EQ(-EINVAL, write_file(RESET_DEVICE, page, sizeof(page)));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->fn));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

/* Never gets to the driver: the VFS answers */
TEST_F(input, nothing)
{
	hw_begin(&self->hw);
	EXPECT_EQ(0, write_file(RESET_DEVICE, "", 0));
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_resets(&self->hw));
}

TEST_HARNESS_MAIN
