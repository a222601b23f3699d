// SPDX-License-Identifier: GPL-2.0
/*
 * What reset_device and do_flr answer to addresses, damaged addresses and noise: the same
 * as the reference parser. Nothing is touched, in particular not the one function that is
 * owned, although most of the addresses are close to its own.
 *
 * FUZZ_RUNS inputs [2000, no less than 1000] from FUZZ_SEED [1]: the same ones each time.
 * "make fuzz" has more, and other seeds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/bdf.h"
#include "lib/harness.h"
#include "lib/hw.h"
#include "lib/pci.h"
#include "lib/random.h"

/* The most that sysfs passes on at once */
#define MAX_LEN		4096

static unsigned int seed;

static unsigned int any_below(unsigned int n)
{
	return rand_r(&seed) % n;
}

/* More often than not @likely, one digit apart at times */
static unsigned int any_field(unsigned int likely, unsigned int max)
{
	switch (any_below(8)) {
	case 0:
		return any_below(max + 1);
	case 1:
		return (likely ^ 1 << any_below(8)) & max;
	default:
		return likely;
	}
}

static char any_byte(void)
{
	static const char telling[] = "0123456789abcdefABCDEF::.. \t\n\v\f\r\0xXgG*-+,/";

	return any_below(4) ? telling[any_below(sizeof(telling) - 1)] :
			      (char)any_below(256);
}

/* White space to fill @text up to @len */
static size_t fill(char *text, size_t n, size_t len)
{
	while (n < len)
		text[n++] = " \t\n\v\f\r"[any_below(6)];
	return n;
}

static size_t space(char *text, size_t n)
{
	return any_below(2) ? n : fill(text, n, n + any_below(4));
}

static size_t address(char *text, struct fn near)
{
	const char *format = any_below(2) ? "%02x:%02x.%x" : "%02X:%02X.%X";
	size_t n = space(text, 0);

	/* Beyond what there is, too: fields too large and too long */
	if (any_below(2))
		n += sprintf(text + n, any_below(2) ? "%04x:" : "%04X:",
			     any_field(near.domain, 0x1ffff));
	n += sprintf(text + n, format, any_field(near.bus, 0x1ff),
		     any_field(near.dev, 0x3f), any_field(near.func, 0xf));
	return space(text, n);
}

/* A byte changed, put in or taken out */
static size_t damage(char *text, size_t n)
{
	size_t at = any_below(n);

	switch (any_below(3)) {
	case 0:
		text[at] = any_byte();
		return n;
	case 1:
		memmove(text + at + 1, text + at, n - at);
		text[at] = any_byte();
		return n + 1;
	default:
		memmove(text + at, text + at + 1, n - at - 1);
		return n - 1;
	}
}

static size_t noise(char *text)
{
	size_t len = 1 + any_below(64), n;

	for (n = 0; n < len; n++)
		text[n] = any_byte();
	return n;
}

/* Nothing at all is no input: it does not get to the driver */
static size_t compose(char *text, struct fn near)
{
	unsigned int kind = any_below(128), times;
	size_t n;

	if (kind < 8)
		return noise(text);

	n = address(text, near);
	if (kind == 8)
		n = fill(text, n, MAX_LEN - any_below(2));
	for (times = any_below(4); times && n > 1 && n < MAX_LEN; times--)
		n = damage(text, n);
	return n;
}

FIXTURE(input_fuzz)
{
	struct fn fn;
	struct hw hw;
};

FIXTURE_SETUP(input_fuzz)
{
	memset(self, 0, sizeof(*self));
	self->fn = fn_below(fn_root(0x10), 0, 0);
	ASSERT_EQ(0, fn_adopt(self->fn));
	fn_quiesce(self->fn);
}

FIXTURE_TEARDOWN(input_fuzz)
{
	EXPECT_EQ(0, fn_release(self->fn));
}

static bool is_at(struct fn fn, const struct bdf *bdf)
{
	return bdf->domain == fn.domain && bdf->bus == fn.bus &&
	       bdf->dev == fn.dev && bdf->func == fn.func;
}

TEST_F_TIMEOUT(input_fuzz, reference, 7200)
{
	unsigned int runs = setting("FUZZ_RUNS", 2000), addresses = 0, nr = 0;
	unsigned int first = setting("FUZZ_SEED", 1);
	char text[MAX_LEN + 1], shown[1024];
	time_t start = time(NULL);
	struct bdf bdf;
	size_t len;
	int want;

	seed = first;
	hw_begin(&self->hw);
	while (nr < runs) {
		len = compose(text, self->fn);
		want = -EINVAL;
		if (bdf_parse(text, len, &bdf)) {
			/* A good one would be reset, and rightly so */
			if (is_at(self->fn, &bdf))
				continue;
			addresses++;
			want = -ENODEV;
		}

		nr++;
		bdf_escape(text, len, shown, sizeof(shown));
		ASSERT_EQ(want, write_file(RESET_DEVICE, text, len)) {
			TH_LOG("seed %u, input %u: '%s'", first, nr, shown);
		}
		ASSERT_EQ(want, write_file(DO_FLR, text, len)) {
			TH_LOG("seed %u, input %u: '%s'", first, nr, shown);
		}
	}
	hw_end(&self->hw);
	EXPECT_EQ(0, hw_all_writes(&self->hw, self->fn));
	EXPECT_EQ(0, hw_all_resets(&self->hw));
	EXPECT_LT(0, addresses);
	TH_LOG("seed %u: %u inputs, %u of them addresses, %ld s", first, nr,
	       addresses, (long)(time(NULL) - start));
}

TEST_HARNESS_MAIN
