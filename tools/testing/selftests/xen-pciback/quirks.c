// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's file "quirks": which functions have emulated config space fields,
 * and more of them for a function, until its guest gives it back.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/guest.h"
#include "lib/pci.h"

#define QUIRKS		PCIBACK_DIR "/quirks"
#define ROUNDS		50

/* A field of four bytes that nothing else is at, and how it is shown */
#define FIELD		"0c8:4:0"
#define FIELD_SHOWN	"\t\t000000c8:4:00000000\n"

FIXTURE(quirks)
{
	struct fn first, second, nvme;
	char text[4096];
};

FIXTURE_SETUP(quirks)
{
	struct fn port = fn_root(0x13);

	self->first = fn_below(port, 0, 0);
	self->second = fn_below(port, 0, 1);
	self->nvme = fn_below(fn_root(0x10), 0, 0);
}

FIXTURE_TEARDOWN(quirks)
{
	EXPECT_EQ(0, fn_release(self->first));
	EXPECT_EQ(0, fn_release(self->second));
	EXPECT_EQ(0, fn_release(self->nvme));
}

static void read_quirks(char *text, size_t size)
{
	int fd = open(QUIRKS, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

	text[len > 0 ? len : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* What "quirks" has of @fn, without its domain, or NULL */
static char *entry_of(char *text, struct fn fn)
{
	read_quirks(text, 4096);
	return strstr(text, fn.name + strlen("0000:"));
}

static int add_field(struct fn fn)
{
	char text[32];

	snprintf(text, sizeof(text), "%s-" FIELD, fn.name);
	return write_string(QUIRKS, text);
}

/* Two legs of a card have the same vendor and device */
TEST_F(quirks, twins)
{
	ASSERT_EQ(0, fn_adopt(self->first));
	ASSERT_EQ(0, fn_adopt(self->second));
	fn_quiesce(self->second);
	EXPECT_NE(NULL, entry_of(self->text, self->first));
	EXPECT_NE(NULL, entry_of(self->text, self->second));

	ASSERT_EQ(0, fn_release(self->second));
	EXPECT_NE(NULL, entry_of(self->text, self->first));
	EXPECT_EQ(NULL, entry_of(self->text, self->second));

	ASSERT_EQ(0, fn_release(self->first));
	EXPECT_EQ(NULL, entry_of(self->text, self->first));
}

/* A field lasts as long as its guest */
TEST_F(quirks, field_goes_with_guest)
{
	struct guest guest;

	ASSERT_TRUE(guest_possible());
	ASSERT_EQ(0, fn_adopt(self->nvme));
	fn_quiesce(self->nvme);
	ASSERT_EQ(0, guest_create(&guest, 41, &self->nvme, 1));
	EXPECT_EQ(0, add_field(self->nvme));
	read_quirks(self->text, sizeof(self->text));
	EXPECT_NE(NULL, strstr(self->text, FIELD_SHOWN));
	EXPECT_EQ(0, guest_destroy(&guest));
	read_quirks(self->text, sizeof(self->text));
	EXPECT_EQ(NULL, strstr(self->text, FIELD_SHOWN));
}

struct meddler {
	struct fn fn;
	atomic_bool stop;
	unsigned int added;
	pthread_t thread;
};

/* Adds fields and reads them, whatever becomes of the function */
static void *meddle(void *data)
{
	struct meddler *meddler = data;
	char text[4096];

	while (!meddler->stop) {
		if (!add_field(meddler->fn))
			meddler->added++;
		read_quirks(text, sizeof(text));
	}
	return NULL;
}

/* Nobody may trip over a function that comes and goes meanwhile */
TEST_F_TIMEOUT(quirks, come_and_go, 300)
{
	struct meddler meddler = { .fn = self->nvme };
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&meddler.thread, NULL, meddle, &meddler));
	for (i = 0; i < ROUNDS; i++) {
		if (fn_adopt(self->nvme) || fn_release(self->nvme))
			break;
	}
	meddler.stop = true;
	pthread_join(meddler.thread, NULL);

	EXPECT_EQ(ROUNDS, i);
	EXPECT_LT(0, meddler.added);
	EXPECT_EQ(NULL, entry_of(self->text, self->nvme));
}

TEST_HARNESS_MAIN
