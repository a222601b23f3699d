// SPDX-License-Identifier: GPL-2.0
/*
 * Failures and their results: the driver's errno and log line, the state that is left, and
 * whether the next guest gets the function. "make outcomes" makes the table in Documentation
 * from the row that is printed for each failure:
 *
 *	fault: what | who asked | errno, log | state | next guest
 *
 * outcome_cases.c has the cases and their expected results.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "lib/harness.h"
#include "lib/fault.h"
#include "lib/hw.h"
#include "lib/klog.h"
#include "lib/slot.h"
#include "outcome_cases.h"

/* Of no domain in this VM */
#define NEXT_DOMAIN	9
/* The core gives a function a minute to come back, and there are many */
#define TIMEOUT		1200

static const char * const next_names[] = {
	[CLEAN] = "gets it, reset",
	[DIRTY] = "gets it with a warning; with strict_reset refused",
	[NONE] = "is refused: not there",
};

static const char *errno_name(int ret)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{ 0, "success" }, { EIO, "EIO" }, { EAGAIN, "EAGAIN" },
		{ EBUSY, "EBUSY" }, { ENODEV, "ENODEV" }, { EINVAL, "EINVAL" },
		{ ENOTTY, "ENOTTY" }, { ETIMEDOUT, "ETIMEDOUT" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].number == -ret)
			return names[i].name;
	return strerror(-ret);
}

static bool is_owned(struct fn fn)
{
	char driver[32];

	fn_driver(fn, driver, sizeof(driver));
	return !strcmp(driver, "pciback");
}

static void state_words(struct fn fn, char *buf, size_t size)
{
	char last[256];

	if (!fn_exists(fn)) {
		snprintf(buf, size, "gone");
		return;
	}
	if (!is_owned(fn)) {
		snprintf(buf, size, "not owned");
		return;
	}
	snprintf(last, sizeof(last), "%s", fn_last_reset(fn));
	snprintf(buf, size, "owned, %s; needs_reset %d; last_reset \"%s\"",
		 fn_read(fn, PCI_COMMAND, 2) == 0xffff ? "silent" :
		 fn_read(fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER ?
		 "bus mastering" : "disabled", fn_needs_reset(fn), last);
}

/* One that comes now, and nobody asks for a reset; nor does one follow a refusal */
static enum next next_guest(struct fn fn)
{
	struct guest next;
	enum next got;
	int klog;

	set_parameter("auto_reset", "0");
	set_parameter("strict_reset", "1");
	got = guest_create(&next, NEXT_DOMAIN, &fn, 1) ? NONE : CLEAN;
	guest_destroy(&next);
	set_parameter("strict_reset", "0");
	if (got == CLEAN)
		return got;

	klog = klog_begin();
	if (!guest_create(&next, NEXT_DOMAIN, &fn, 1) &&
	    klog_has(klog, fn.name, "handed out although it still needs a reset",
		     NULL, 0))
		got = DIRTY;
	guest_destroy(&next);
	klog_end(klog);
	return got;
}

FIXTURE(outcome)
{
	struct scene scene;
};

FIXTURE_SETUP(outcome)
{
	struct scene *s = &self->scene;
	struct fn bridge;

	memset(self, 0, sizeof(*self));
	if (!guest_possible())
		SKIP(return, "no Xen toolstack here");
	if (!fault_available())
		SKIP(return, "no " FAULT_MODULE);

	bridge = fn_below(fn_root(0x14), 0, 0);
	s->nvme = fn_below(fn_root(0x10), 0, 0);
	s->nic = fn_below(fn_root(0x12), 0, 0);
	s->card = card_find();
	s->e1000 = fn_below(bridge, 1, 0);
	s->edu = fn_root(0x18);
	s->root_nic = fn_root(0x1b);
	s->pf = fn_below(fn_root(0x1a), 0, 0);
	s->vf = fn_below(fn_root(0x1a), 0, 1);
}

/* As it was, for the next */
static void clear(struct scene *s)
{
	klog_end(s->klog);
	s->words[0] = '\0';
	guest_destroy(&s->guest);
	guest_destroy(&s->other);
	fault_unload();
	set_parameter("strict_reset", "0");
	set_parameter("auto_reset", "1");
	if (*s->with_method.name && fn_exists(s->with_method))
		fn_write_file(s->with_method, "reset_method", "default");
	s->with_method.name[0] = '\0';
	if (s->pulled) {
		slot_fill(fn_root(0x12));
		/* Or the next one's pull may not be heard of */
		slot_wait_on(fn_root(0x12));
		s->pulled = false;
	}
	fn_release(s->nvme);
	fn_release(s->nic);
	card_release(&s->card);
	if (!access("/sys/module/e1000e", F_OK))
		unload_module("e1000e");
	fn_release(s->e1000);
	/* It may have had a capability that it has not */
	fault_rediscover(s->e1000);
	fn_release(s->edu);
	fn_release(s->root_nic);
	fn_release(s->vf);
	if (fn_exists(s->vf)) {
		fn_bind(s->pf, "pci-pf-stub");
		fn_write_file(s->pf, "sriov_numvfs", "0");
	}
	fn_release(s->pf);
	if (!access("/sys/module/pci_pf_stub", F_OK))
		unload_module("pci-pf-stub");
}

FIXTURE_TEARDOWN(outcome)
{
	clear(&self->scene);
}

TEST_F_TIMEOUT(outcome, all, TIMEOUT)
{
	struct scene *s = &self->scene;
	const struct outcome *want;
	char state[512];
	unsigned int i;
	struct hw hw;
	enum next next;
	int ret;

	for (i = 0; i < nr_outcomes; i++) {
		want = &outcomes[i];
		if (want->needs_method && !fn_has_file(s->nvme, "reset_method")) {
			TH_LOG("no reset_method before 5.15: %s", want->fault);
			continue;
		}
		if (want->needs_ring && !guest_connectable()) {
			TH_LOG(NOT_ITS_OWN_GUEST ": %s", want->fault);
			continue;
		}
		ASSERT_EQ(0, fault_load());
		s->klog = klog_begin();
		hw_begin(&hw);
		ret = want->play(s);
		/* The automatic reset by pciback is still to come */
		fn_quiesce(s->fn);
		hw_end(&hw);
		if (!*s->words)
			last_words(s);
		state_words(s->fn, state, sizeof(state));

		/* Said to be clean now: then something was reset */
		if (!want->ret && want->next == CLEAN)
			EXPECT_LT(0, hw_all_resets(&hw)) {
				TH_LOG("%s", want->fault);
			}
		EXPECT_EQ(want->ret, ret) {
			TH_LOG("%s", want->fault);
		}
		EXPECT_NE(NULL, strstr(s->words, want->log ?: "")) {
			TH_LOG("%s: %s", want->fault, s->words);
		}
		EXPECT_EQ(want->owned, is_owned(s->fn));
		if (want->owned)
			EXPECT_EQ(want->needs_reset, fn_needs_reset(s->fn)) {
				TH_LOG("%s", want->fault);
			}
		next = next_guest(s->fn);
		EXPECT_EQ(want->next, next) {
			TH_LOG("%s", want->fault);
		}
		printf("# fault: %s | %s | %s%s%s | %s | %s\n", want->fault,
		       want->asked, errno_name(ret), *s->words ? "; " : "",
		       s->words, state, next_names[next]);
		fflush(stdout);
		clear(s);
	}
}

TEST_HARNESS_MAIN
