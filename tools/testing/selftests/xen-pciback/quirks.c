// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's file "quirks": it shows which functions have emulated config space fields. A
 * write adds a field to a function, until its guest releases the function.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/guest.h"
#include "lib/hold.h"
#include "lib/pci.h"

#define ROUNDS		50

FIXTURE(quirks)
{
	struct fn first, second, nvme;
	struct guest guest;
	char text[4096];
};

FIXTURE_SETUP(quirks)
{
	struct fn port = fn_root(0x13);

	memset(self, 0, sizeof(*self));
	self->first = fn_below(port, 0, 0);
	self->second = fn_below(port, 0, 1);
	self->nvme = fn_below(fn_root(0x10), 0, 0);
}

FIXTURE_TEARDOWN(quirks)
{
	EXPECT_EQ(0, hold_unload());
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, fn_release(self->first));
	EXPECT_EQ(0, fn_release(self->second));
	EXPECT_EQ(0, fn_release(self->nvme));
}

static ssize_t read_quirks(char *text, size_t size)
{
	int fd = open(QUIRKS, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

	text[len > 0 ? len : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return len;
}

/* What "quirks" has of @fn, without its domain, or NULL */
static char *entry_of(char *text, struct fn fn)
{
	read_quirks(text, 4096);
	return strstr(text, fn.name + strlen("0000:"));
}

/* -EEXIST if it shows FIELD, 0 if it does not */
static int has_field(char *text, size_t size)
{
	if (read_quirks(text, size) <= 0)
		return -EIO;
	return strstr(text, FIELD_SHOWN) ? -EEXIST : 0;
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
	ASSERT_TRUE(guest_possible());
	ASSERT_EQ(0, fn_adopt(self->nvme));
	fn_quiesce(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, 41, &self->nvme, 1));
	EXPECT_EQ(0, add_field(self->nvme));
	read_quirks(self->text, sizeof(self->text));
	EXPECT_NE(NULL, strstr(self->text, FIELD_SHOWN));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	read_quirks(self->text, sizeof(self->text));
	EXPECT_EQ(NULL, strstr(self->text, FIELD_SHOWN));
}

/* Two who add the same field at once: there it is, once */
TEST_F(quirks, added_twice)
{
	pid_t adding, other;
	char *shown;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_EQ(0, hold_load());
	ASSERT_EQ(0, fn_adopt(self->nvme));

	/* One has found that it is not there yet, and not added it so far */
	ASSERT_EQ(0, hold_at_return("xen_pcibk_field_is_dup"));
	adding = in_child(add_field(self->nvme));
	EXPECT_TRUE(hold_wait());
	other = in_child(add_field(self->nvme));
	EXPECT_TRUE(hold_waits_in(other, "quirks_store"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(adding));
	EXPECT_NE(-ECHILD, wait_for_child(other));

	read_quirks(self->text, sizeof(self->text));
	shown = strstr(self->text, FIELD_SHOWN);
	ASSERT_NE(NULL, shown);
	EXPECT_EQ(NULL, strstr(shown + 1, FIELD_SHOWN));
}

/* Who reads the fields while they go with their guest sees them or not */
TEST_F(quirks, read_while_freed)
{
	pid_t destroying, reading;

	if (!hold_available())
		SKIP(return, "no " HOLD_MODULE);
	ASSERT_TRUE(guest_possible());
	ASSERT_EQ(0, hold_load());
	ASSERT_EQ(0, fn_adopt(self->nvme));
	fn_quiesce(self->nvme);
	ASSERT_EQ(0, guest_create(&self->guest, 41, &self->nvme, 1));
	ASSERT_EQ(0, add_field(self->nvme));

	/* It is about to be freed, and still on the list */
	ASSERT_EQ(0, hold_at_entry("xen_pcibk_config_field_free"));
	destroying = in_child(guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	reading = in_child(has_field(self->text, sizeof(self->text)));
	EXPECT_TRUE(hold_waits_in(reading, "quirks_show"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(reading));
	EXPECT_EQ(0, wait_for_child(destroying));
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
