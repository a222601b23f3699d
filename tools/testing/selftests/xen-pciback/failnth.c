// SPDX-License-Identifier: GPL-2.0
/*
 * Failed allocations. Each operation is repeated: first its first allocation fails, then its
 * second, and so on until none is left to fail. Each time the operation succeeds or fails as a
 * whole: nothing is leaked, half done, or blocks the next operation. The operations are writes
 * to the driver's files (resets, bind, unbind, slots, quirks, permissive, parameters), writes of
 * a toolstack to xenstore (guests that start, attach, detach and end), and loading the driver.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/failnth.h"
#include "lib/guest.h"
#include "lib/hw.h"
#include "lib/leaks.h"
#include "lib/owned.h"
#include "lib/pci.h"

#define SLOTS		PCIBACK_DIR "/slots"
#define MODULE		"/lib/modules/xen-pciback.ko"

/* A reader without an answer by then gets none */
#define ANSWER_MS	(2000 * SLOWER)

#define TIMEOUT		1200

FIXTURE(failnth)
{
	struct fn nvme;			/* FLR */
	struct fn slot;			/* PM; slot */
	struct card card;
	struct owned owned;
	struct guest guest;
	char fail_nth[64];		/* Xenwatch's */
	struct hw hw;
	unsigned int leaks;
};

FIXTURE_SETUP(failnth)
{
	if (!fail_possible())
		SKIP(return, "no " OWN_FAIL_NTH " or " FAILSLAB
		     " (CONFIG_FAULT_INJECTION, its STACKTRACE_FILTER, FAILSLAB)");

	memset(self, 0, sizeof(*self));
	self->nvme = fn_below(fn_root(0x10), 0, 0);
	self->slot = fn_below(fn_root(0x12), 0, 0);
	self->card = card_find();
	ASSERT_EQ(0, fail_in_all());
	/* A test that ended early may have left it so */
	xenwatch_path("fail-nth", self->fail_nth, sizeof(self->fail_nth));
	ASSERT_EQ(0, write_string(self->fail_nth, "0"));
	self->leaks = leaks_known();
}

FIXTURE_TEARDOWN(failnth)
{
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, owned_release(&self->owned));
	EXPECT_EQ(0, set_parameter("auto_reset", "Y"));
	EXPECT_EQ(self->leaks, leaks_find(self->leaks));
}

/*
 * Is it pciback's with all that goes with it, or not at all? Tells what is not so.
 * That it is among the slots says little: it stays there when it is unbound.
 */
static bool is_wholly(bool owned, struct fn fn)
{
	char driver[32];
	bool has[4];

	fn_driver(fn, driver, sizeof(driver));
	has[0] = !strcmp(driver, "pciback");
	has[1] = fn_has_file(fn, "pciback/needs_reset");
	has[2] = fn_has_file(fn, "pciback/last_reset");
	has[3] = *fn_plan(fn);
	if (has[0] == owned && has[1] == owned && has[2] == owned &&
	    has[3] == owned)
		return true;
	fprintf(stderr, "# allocation %u: driver \"%s\", files %d %d, plan %d\n",
		walk.nth, driver, has[1], has[2], has[3]);
	return false;
}

/* -- resets ---------------------------------------------------------------- */

TEST_F_TIMEOUT(failnth, reset_function, TIMEOUT)
{
	int ret;

	adopt(self->nvme);
	for_each_nth() {
		hw_begin(&self->hw);
		ret = fail_write(RESET_DEVICE, self->nvme.name);
		hw_end(&self->hw);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, hw_flrs(&self->hw, self->nvme));
		EXPECT_EQ(!ret, hw_all_resets(&self->hw));
		EXPECT_EQ(0, fn_needs_reset(self->nvme));
		expect_restored();
	}
	expect_walked();
}

TEST_F_TIMEOUT(failnth, reset_set, TIMEOUT)
{
	int ret;

	adopt_card();
	for_each_nth() {
		hw_begin(&self->hw);
		ret = fail_write(RESET_DEVICE, self->card.second.name);
		hw_end(&self->hw);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, hw_sbrs(&self->hw, self->card.port));
		EXPECT_EQ(ret ? 0 : 3, hw_all_resets(&self->hw));
		expect_restored();
	}
	expect_walked();
}

/* With auto_reset off what was just adopted is dirty */
TEST_F_TIMEOUT(failnth, do_flr, TIMEOUT)
{
	int ret;

	ASSERT_EQ(0, set_parameter("auto_reset", "N"));
	for_each_nth() {
		ASSERT_EQ(0, fn_adopt(self->nvme));
		EXPECT_EQ(1, fn_needs_reset(self->nvme));
		hw_begin(&self->hw);
		ret = fail_write(DO_FLR, self->nvme.name);
		hw_end(&self->hw);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, hw_flrs(&self->hw, self->nvme));
		EXPECT_EQ(!!ret, fn_needs_reset(self->nvme));
		ASSERT_EQ(0, fn_release(self->nvme));
	}
	expect_walked();
}

/* -- coming and going ------------------------------------------------------ */

/* Afterwards it is pciback's, and as good as ever; or not at all, and can be */
static void walk_bind(struct __test_metadata *_metadata, struct fn fn)
{
	unsigned char bound[PCI_CONFIG_SIZE], now[PCI_CONFIG_SIZE];
	char override[256];
	int ret;

	fn_path(fn, "driver_override", override, sizeof(override));
	ASSERT_EQ(0, fn_adopt(fn));
	ASSERT_EQ(0, reset_device(fn));
	fn_read_config(fn, 0, bound, sizeof(bound));
	ASSERT_EQ(0, fn_release(fn));

	for_each_nth() {
		ASSERT_EQ(0, write_string(override, "pciback"));
		ret = fail_write(PCIBACK_DIR "/bind", fn.name);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_TRUE(is_wholly(!ret, fn));
		if (!ret) {
			EXPECT_EQ(0, reset_device(fn)) {
				TH_LOG("allocation %u: %s", walk.nth,
				       fn_last_reset(fn));
			}
			EXPECT_EQ(0, fn_needs_reset(fn));
			fn_read_config(fn, 0, now, sizeof(now));
			EXPECT_EQ(0, memcmp(bound, now, sizeof(now)));
		}
		ASSERT_EQ(0, fn_release(fn));
		EXPECT_TRUE(is_wholly(false, fn));
	}
	expect_walked();
}

/* By its FLR */
TEST_F_TIMEOUT(failnth, bind_flr, TIMEOUT)
{
	walk_bind(_metadata, self->nvme);
}

/* Only weakly */
TEST_F_TIMEOUT(failnth, bind_slot, TIMEOUT)
{
	walk_bind(_metadata, self->slot);
}

TEST_F_TIMEOUT(failnth, unbind, TIMEOUT)
{
	struct fn fn = self->nvme;
	char override[256];
	int ret;

	fn_path(fn, "driver_override", override, sizeof(override));
	for_each_nth() {
		ASSERT_EQ(0, fn_adopt(fn));
		ASSERT_EQ(0, write_string(override, "\n"));
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/remove_slot", fn.name));
		hw_begin(&self->hw);
		ret = fail_write(PCIBACK_DIR "/unbind", fn.name);
		hw_end(&self->hw);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, hw_flrs(&self->hw, fn));
		EXPECT_EQ(!!ret, fn_has_file(fn, "pciback/needs_reset"));
		EXPECT_EQ(!!ret, *fn_plan(fn) != '\0');
		if (ret)
			EXPECT_EQ(0, reset_device(fn));
		ASSERT_EQ(0, fn_release(fn));
	}
	expect_walked();
}

TEST_F_TIMEOUT(failnth, slots, TIMEOUT)
{
	int ret;

	for_each_nth() {
		ret = fail_write(PCIBACK_DIR "/new_slot", self->nvme.name);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, file_has(SLOTS, self->nvme.name));
		EXPECT_EQ(ret ? -ENOENT : 0, write_string(PCIBACK_DIR "/remove_slot",
							  self->nvme.name));
	}
	expect_walked();

	for_each_nth() {
		ASSERT_EQ(0, write_string(PCIBACK_DIR "/new_slot",
					  self->nvme.name));
		ret = fail_write(PCIBACK_DIR "/remove_slot",
				 self->nvme.name);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!!ret, file_has(SLOTS, self->nvme.name));
	}
	expect_walked();
}

/* -- guests ---------------------------------------------------------------- */

/*
 * Done, refused, or never answered: the state that it was to look at could not be
 * read. And no success that is none.
 */
static bool is_guests_answer(int ret)
{
	if (!ret || (walk.failed && (ret == -EIO || ret == -ETIMEDOUT)))
		return true;
	fprintf(stderr, "# allocation %u: error %d\n", walk.nth, ret);
	return false;
}

/* Pciback's, and no guest's any more: can be reset, and is as it was */
#define expect_idle() do {						\
	unsigned int i;							\
									\
	for (i = 0; i < self->owned.nr; i++) {				\
		EXPECT_TRUE(is_wholly(true, self->owned.fns[i]));	\
		EXPECT_EQ(0, reset_device(self->owned.fns[i])) {	\
			TH_LOG("allocation %u: %s", walk.nth,		\
			       fn_last_reset(self->owned.fns[i]));	\
		}							\
		EXPECT_EQ(0, fn_needs_reset(self->owned.fns[i]));	\
	}								\
	expect_restored();						\
} while (0)

/* Hand-outs are done by xenwatch: what it has to do comes to its end in between */
#define in_xenwatch(what) do {						\
	xenwatch_wait_idle();						\
	fail_begin(self->fail_nth);					\
	what;								\
	xenwatch_wait_idle();						\
	fail_end();							\
} while (0)

/* From its start to its end */
static int guest_life(struct guest *guest, const struct owned *owned, int *end)
{
	int ret = guest_begin(guest, DOMAIN, owned->fns, owned->nr);

	guest->wait_ms = ANSWER_MS;
	ret = ret ?: guest_wait(guest);
	*end = guest_destroy(guest);
	return ret;
}

TEST_F_TIMEOUT(failnth, guest, TIMEOUT)
{
	int ret, end;

	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	adopt(self->nvme, self->slot);
	ASSERT_EQ(0, fail_in_driver());
	for_each_nth() {
		in_xenwatch(ret = guest_life(&self->guest, &self->owned, &end));
		EXPECT_TRUE(is_guests_answer(ret));
		EXPECT_EQ(0, end);
		expect_idle();
	}
	expect_walked();
}

/*
 * One more while it runs, or one less: if that is said to be done, it is @reset that
 * tells whether the guest has it
 */
#define walk_running(change, at_first, reset) do {			\
	int ret;							\
									\
	adopt(self->nvme, self->slot);					\
	ASSERT_EQ(0, fail_in_driver());					\
	for_each_nth() {						\
		ASSERT_EQ(0, guest_create(&self->guest, DOMAIN,		\
					  self->owned.fns, at_first));	\
		self->guest.wait_ms = ANSWER_MS;			\
		in_xenwatch(ret = change(&self->guest, self->slot));	\
		EXPECT_TRUE(is_guests_answer(ret));			\
		if (!ret)						\
			EXPECT_EQ(reset, reset_device(self->slot)) {	\
				TH_LOG("allocation %u", walk.nth);	\
			}						\
		EXPECT_EQ(0, guest_destroy(&self->guest));		\
		expect_idle();						\
	}								\
	expect_walked();						\
} while (0)

TEST_F_TIMEOUT(failnth, attach, TIMEOUT)
{
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	walk_running(guest_attach, 1, -EBUSY);
}

TEST_F_TIMEOUT(failnth, detach, TIMEOUT)
{
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	walk_running(guest_detach, 2, 0);
}

/* -- settings -------------------------------------------------------------- */

/* What is not there after a success was lost without a word */
TEST_F_TIMEOUT(failnth, quirks, TIMEOUT)
{
	char text[64];
	int ret;

	snprintf(text, sizeof(text), "%s-" FIELD, self->nvme.name);
	for_each_nth() {
		ASSERT_EQ(0, fn_adopt(self->nvme));
		ret = fail_write(QUIRKS, text);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, file_has(QUIRKS, FIELD_SHOWN)) {
			TH_LOG("allocation %u", walk.nth);
		}
		ASSERT_EQ(0, fn_release(self->nvme));
	}
	expect_walked();

	/* The same field again is none, and no error */
	ASSERT_EQ(0, fn_adopt(self->nvme));
	EXPECT_EQ(0, write_string(QUIRKS, text));
	EXPECT_EQ(0, write_string(QUIRKS, text));
	ASSERT_EQ(0, fn_release(self->nvme));
}

TEST_F_TIMEOUT(failnth, permissive, TIMEOUT)
{
	int ret;

	for_each_nth() {
		ASSERT_EQ(0, fn_adopt(self->nvme));
		ret = fail_write(PERMISSIVE, self->nvme.name);
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!ret, file_has(PERMISSIVE, self->nvme.name));
		ASSERT_EQ(0, fn_release(self->nvme));
	}
	expect_walked();
}

TEST_F_TIMEOUT(failnth, parameters, TIMEOUT)
{
	static const char path[] =
		"/sys/module/xen_pciback/parameters/auto_reset";
	int ret;

	for_each_nth() {
		ASSERT_EQ(0, set_parameter("auto_reset", "Y"));
		ret = fail_write(path, "N");
		EXPECT_TRUE(fail_is_answer(ret));
		EXPECT_EQ(!!ret, file_has(path, "Y"));
	}
	expect_walked();
}

/*
 * The driver itself: either it is loaded, or nothing has changed. If the folder for the
 * module's drivers is missing, the driver core says -EINVAL. A function that it is to
 * hide it owns or not.
 */
TEST_F_TIMEOUT(failnth, load, TIMEOUT)
{
	char hide[64], driver[32];
	int fd, ret;

	fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, load_module("xen-privcmd"));
	ASSERT_EQ(0, unload_module("xen_pciback"));
	snprintf(hide, sizeof(hide), "hide=(%s)", self->nvme.name);
	for_each_nth() {
		fail_begin(OWN_FAIL_NTH);
		ret = syscall(SYS_finit_module, fd, hide, 0) ? -errno : 0;
		fail_end();
		EXPECT_TRUE(fail_is_answer(ret == -EINVAL && walk.failed ? -ENOMEM :
						      ret));
		EXPECT_EQ(ret ? -1 : 0, access(RESET_DEVICE, F_OK)) {
			TH_LOG("allocation %u", walk.nth);
		}
		EXPECT_EQ(ret ? -1 : 0, access("/sys/module/xen_pciback", F_OK));
		fn_driver(self->nvme, driver, sizeof(driver));
		/* Nobody is asked who is not there */
		if (ret) {
			EXPECT_STREQ("", driver);
			EXPECT_EQ(-EOPNOTSUPP, fn_ask_gsi(self->slot));
			continue;
		}
		EXPECT_TRUE(is_wholly(*driver || !walk.failed, self->nvme));
		EXPECT_EQ(0, fn_release(self->nvme));
		EXPECT_EQ(0, fn_adopt(self->slot));
		EXPECT_EQ(0, reset_device(self->slot));
		EXPECT_EQ(0, fn_release(self->slot));
		if (walk.failed)
			ASSERT_EQ(0, unload_module("xen_pciback"));
	}
	close(fd);
	expect_walked();
}

TEST_HARNESS_MAIN
