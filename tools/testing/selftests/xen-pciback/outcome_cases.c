// SPDX-License-Identifier: GPL-2.0
/*
 * The failures of outcomes.c: what can go wrong, how it is injected, and the expected
 * result.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/aer.h"
#include "lib/fault.h"
#include "lib/klog.h"
#include "lib/slot.h"
#include "outcome_cases.h"

/* -- what there is to do ---------------------------------------------------- */

/* What went before is not to be looked at */
static void begin(struct scene *s)
{
	fn_quiesce(s->fn);
	klog_end(s->klog);
	s->klog = klog_begin();
}

static int own(struct scene *s, struct fn fn)
{
	int ret = fn_adopt(fn);

	s->fn = fn;
	begin(s);
	return ret;
}

static int own_card(struct scene *s)
{
	int ret = card_adopt(&s->card);

	s->fn = s->card.first;
	begin(s);
	return ret;
}

static int set_fault(struct fn fn, const char *file, uint32_t val)
{
	int ret = fault_add(fn);

	return ret && ret != -EEXIST ? ret : fault_set(fn, file, val);
}

static int set_method(struct scene *s, const char *method)
{
	s->with_method = s->fn;
	return fn_write_file(s->fn, "reset_method", method);
}

void last_words(struct scene *s)
{
	static const char out[] = "not restored", reset[] = "reset: ";
	char line[512], *text, *ms, *from;
	const char *what = reset;

	if (klog_time(s->klog, s->fn.name, out) >
	    klog_time(s->klog, s->fn.name, reset))
		what = out;
	if (!klog_has(s->klog, s->fn.name, what, line, sizeof(line)))
		return;
	text = strstr(line, "xen_pciback: ");
	text = text ? text + strlen("xen_pciback: ") : line;
	ms = strstr(text, " ms)");
	if (ms) {
		for (from = ms; from > text && *from != ','; from--)
			;
		memmove(from, ms + 3, strlen(ms + 3) + 1);
	}
	snprintf(s->words, sizeof(s->words), "%s", text);
}

/* -- resets of its own ------------------------------------------------------ */

static int flr_with(struct scene *s, const char *fault, uint32_t val)
{
	return own(s, s->nvme) ?: set_fault(s->nvme, fault, val) ?:
	       reset_device(s->nvme);
}

static int flr_swallowed(struct scene *s)
{
	return flr_with(s, "flr_swallow", 1);
}

static int flr_no_effect(struct scene *s)
{
	return flr_with(s, "flr_no_effect", 1);
}

static int flr_slow(struct scene *s)
{
	return flr_with(s, "flr_away_ms", 700);
}

static int flr_retries(struct scene *s)
{
	return flr_with(s, "flr_crs_ms", 700);
}

static int flr_pending(struct scene *s)
{
	return flr_with(s, "pending", 1);
}

/* The first; some kernels ask for another as they restore it */
static int flr_kills(struct scene *s)
{
	char path[64];
	pid_t pid;
	int ret, err;

	snprintf(path, sizeof(path), FAULT_DIR "/%s/flrs", s->nvme.name);
	pid = fork();
	if (!pid) {
		while (access(path, F_OK) || !fault_get(s->nvme, "flrs"))
			usleep(1000);
		_exit(-fault_set(s->nvme, "flr_away_ms", 0));
	}
	ret = flr_with(s, "flr_away_ms", FAULT_FOR_EVER);
	/* Perhaps there was none */
	if (ret)
		kill(pid, SIGKILL);
	err = wait_for_child(pid);
	return ret ?: err;
}

static int dead(struct scene *s)
{
	return flr_with(s, "gone", 1);
}

static int swallowed_on_bind(struct scene *s)
{
	s->fn = s->nvme;
	return set_fault(s->nvme, "flr_swallow", 1) ?: fn_adopt(s->nvme);
}

static int swallowed_and_blocked(struct scene *s)
{
	return fault_add(s->e1000) ?: fault_set(s->e1000, "af", 1) ?:
	       fault_rediscover(s->e1000) ?: own(s, s->e1000) ?:
	       fault_set(s->e1000, "flr_swallow", 1) ?:
	       reset_device(s->e1000);
}

static int half_a_capability(struct scene *s)
{
	/* No Transactions Pending */
	return fault_add(s->e1000) ?: fault_set(s->e1000, "af", 1) ?:
	       fault_set(s->e1000, "af_cap", 2) ?:
	       fault_rediscover(s->e1000) ?: own(s, s->e1000) ?:
	       reset_device(s->e1000);
}

static int forbidden(struct scene *s)
{
	return own(s, s->nvme) ?: set_method(s, "\n") ?:
	       reset_device(s->nvme);
}

static int nothing_can(struct scene *s)
{
	return own(s, s->edu) ?: reset_device(s->edu);
}

static int only_pm(struct scene *s)
{
	return own(s, s->root_nic) ?: reset_device(s->root_nic);
}

/* -- resets of the set ------------------------------------------------------ */

static int sibling_slow(struct scene *s)
{
	return own_card(s) ?:
	       set_fault(s->card.second, "sbr_away_ms", 700) ?:
	       reset_device(s->fn);
}

static int sibling_dies(struct scene *s)
{
	int ret = own_card(s) ?:
		  set_fault(s->card.second, "sbr_away_ms", FAULT_FOR_EVER) ?:
		  reset_device(s->fn);

	/* What is left of it is of interest */
	s->fn = s->card.second;
	return ret;
}

/* Never the whole of it: there is somebody in the way */
static int own_part(struct scene *s, struct fn named, struct fn other)
{
	return fn_adopt(other) ?: own(s, named);
}

static int sibling_unowned(struct scene *s)
{
	return own_part(s, s->card.first, s->card.second) ?:
	       reset_device(s->fn);
}

static int drive_sibling(struct scene *s)
{
	return load_module("e1000e") ?: fn_bind(s->card.second, "e1000e");
}

static int sibling_driven(struct scene *s)
{
	return drive_sibling(s) ?:
	       own_part(s, s->card.first, s->card.third) ?:
	       reset_device(s->fn);
}

static int sibling_driven_no_pm(struct scene *s)
{
	return drive_sibling(s) ?:
	       own_part(s, s->card.third, s->card.first) ?:
	       reset_device(s->fn);
}

static int sibling_driven_libxl(struct scene *s)
{
	return drive_sibling(s) ?:
	       own_part(s, s->card.first, s->card.third) ?: do_flr(s->fn);
}

static int sibling_assigned(struct scene *s)
{
	return own_part(s, s->card.first, s->card.second) ?:
	       guest_create(&s->guest, DOMAIN, &s->card.second, 1) ?:
	       fn_adopt(s->card.third) ?: reset_device(s->fn);
}

static int bus_shared(struct scene *s)
{
	return own(s, s->e1000) ?: reset_device(s->e1000);
}

static int enable_vfs(struct scene *s)
{
	return load_module("pci-pf-stub") ?: fn_bind(s->pf, "pci-pf-stub") ?:
	       fn_write_file(s->pf, "sriov_numvfs", "4");
}

static int pf_with_vfs(struct scene *s)
{
	return enable_vfs(s) ?: own(s, s->pf) ?: reset_device(s->pf);
}

static int vf_without_flr(struct scene *s)
{
	s->fn = s->vf;
	return enable_vfs(s) ?: set_method(s, "\n") ?: own(s, s->vf) ?:
	       reset_device(s->vf);
}

/* -- guests ----------------------------------------------------------------- */

static int assigned_to_guest(struct scene *s, struct fn fn)
{
	int ret = own(s, fn) ?: guest_create(&s->guest, DOMAIN, &fn, 1) ?:
		  reset_device(fn);

	last_words(s);
	return guest_destroy(&s->guest) ?: ret;
}

static int assigned_with_flr(struct scene *s)
{
	return assigned_to_guest(s, s->nvme);
}

static int assigned_without(struct scene *s)
{
	return assigned_to_guest(s, s->nic);
}

/* Its guest has no ring: it has it no more then, and goes on without it */
static int taken_back(struct scene *s)
{
	return own(s, s->nic) ?:
	       guest_create(&s->guest, DOMAIN, &s->nic, 1) ?:
	       do_flr(s->nic);
}

/* A guest with a ring may still be at it: what it has it keeps, until it is released */
static int noted(struct scene *s)
{
	return own(s, s->nvme) ?: guest_create(&s->guest, 0, &s->nvme, 1) ?:
	       guest_connect(&s->guest) ?: do_flr(s->nvme) ?:
	       guest_destroy(&s->guest);
}

static int noted_twice(struct scene *s)
{
	return own(s, s->nvme) ?: guest_create(&s->guest, 0, &s->nvme, 1) ?:
	       guest_connect(&s->guest) ?: do_flr(s->nvme) ?:
	       do_flr(s->nvme);
}

static int guest_crashes(struct scene *s)
{
	int ret = own(s, s->nvme) ?:
		  guest_create(&s->guest, DOMAIN, &s->nvme, 1);

	fn_scribble(s->nvme);
	return ret ?: guest_destroy(&s->guest);
}

static int guest_of_card_crashes(struct scene *s)
{
	const struct fn fns[] = { s->card.first, s->card.second, s->card.third };
	int ret = own_card(s) ?: guest_create(&s->guest, DOMAIN, fns, 3);

	fn_scribble(s->card.first);
	return ret ?: guest_destroy(&s->guest);
}

static int first_of_two_guests(struct scene *s)
{
	return own_card(s) ?:
	       guest_create(&s->guest, DOMAIN, &s->card.first, 1) ?:
	       guest_create(&s->other, OTHER_DOMAIN, &s->card.second, 1) ?:
	       guest_destroy(&s->guest);
}

static int dies_with_its_guest(struct scene *s)
{
	int ret = own(s, s->nvme) ?:
		  guest_create(&s->guest, DOMAIN, &s->nvme, 1) ?:
		  set_fault(s->nvme, "gone", 1);

	return guest_destroy(&s->guest) ?: ret;
}

static int left_to_the_toolstack(struct scene *s)
{
	return own(s, s->nvme) ?: set_parameter("auto_reset", "0") ?:
	       guest_create(&s->guest, DOMAIN, &s->nvme, 1) ?:
	       guest_destroy(&s->guest);
}

static int unbound_under_guest(struct scene *s)
{
	return own(s, s->nvme) ?:
	       guest_create(&s->guest, DOMAIN, &s->nvme, 1) ?:
	       fn_release(s->nvme) ?: fn_adopt(s->nvme);
}

/* -- other users ------------------------------------------------------------ */

static int not_owned(struct scene *s)
{
	s->fn = s->nvme;
	return reset_device(s->nvme);
}

static int no_address(struct scene *s)
{
	return own(s, s->nvme) ?: write_string(RESET_DEVICE, "0000:01:00.0x");
}

static int being_reset(struct scene *s)
{
	int ret = own(s, s->nvme) ?: fault_add(s->nvme), err;
	pid_t pid = fault_begin_reset(s->nvme, 2000);

	ret = ret ?: reset_device(s->nvme);
	err = wait_for_child(pid);
	return ret ?: err;
}

/* Somebody uses it, and has not said so: the request has left it disabled */
static int sibling_in_use(struct scene *s)
{
	int ret = own_card(s) ?: do_flr(s->card.second);

	fn_edit(s->card.second, EDIT_ENABLED);
	return ret ?: reset_device(s->fn);
}

static int reset_by_core(struct scene *s)
{
	return set_parameter("auto_reset", "0") ?: fn_adopt(s->nic) ?:
	       (s->fn = s->nic, fn_write_file(s->nic, "reset", "1"));
}

static int link_lost(struct scene *s)
{
	s->fn = s->nic;
	return set_parameter("auto_reset", "0") ?: fn_adopt(s->nic) ?:
	       aer_recover(fn_root(0x12), s->nic);
}

static int pulled(struct scene *s)
{
	int ret = own(s, s->nic);

	s->pulled = true;
	slot_pull(fn_root(0x12));
	return ret ?: fn_wait_gone(s->nic) ? reset_device(s->nic) : -ETIMEDOUT;
}

static int pulled_from_guest(struct scene *s)
{
	int ret = own(s, s->nic) ?:
		  guest_create(&s->guest, DOMAIN, &s->nic, 1);

	s->pulled = true;
	slot_pull(fn_root(0x12));
	return ret ?: fn_wait_gone(s->nic) ? guest_destroy(&s->guest) : -ETIMEDOUT;
}

static int pulled_and_back(struct scene *s)
{
	int ret = pulled(s);

	slot_fill(fn_root(0x12));
	s->pulled = false;
	if (ret == -ENODEV)
		ret = 0;
	/* Its files are there before it has been reset */
	return ret ?: slot_wait_on(fn_root(0x12)) ? 0 : -ETIMEDOUT;
}

/* -- and what comes of each ------------------------------------------------- */

const struct outcome outcomes[] = {
	{ "FLR does nothing", "reset_device", flr_swallowed,
	  0, "flr: no effect; slot: ok", true, 0, CLEAN },
	{ "FLR leaves state behind", "reset_device", flr_no_effect,
	  0, "flr: no effect; slot: ok", true, 0, CLEAN },
	{ "FLR does nothing", "nobody: bind", swallowed_on_bind,
	  0, "flr: no effect", true, 1, DIRTY },
	{ "FLR does nothing, and the bus has a function that is not owned",
	  "reset_device", swallowed_and_blocked,
	  -EIO, "af_flr: no effect; bus: blocked by", true, 1, DIRTY },
	{ "FLR takes 0.7 s", "reset_device", flr_slow,
	  0, "flr: ok", true, 0, CLEAN },
	{ "\"Retry\" for 0.7 s after FLR", "reset_device", flr_retries,
	  0, "flr: ok", true, 0, CLEAN },
	{ "transactions pending for ever", "reset_device", flr_pending,
	  0, "flr: ok", true, 0, CLEAN },
	{ "FLR after which it never answers", "reset_device", flr_kills,
	  0, "flr: no answer; slot: ok", true, 0, CLEAN },
	{ "dead", "reset_device", dead,
	  -ETIMEDOUT, "slot: no answer", true, 1, DIRTY },
	{ "AF capability without Transactions Pending", "reset_device",
	  half_a_capability,
	  -EBUSY, "bus: blocked by", true, 1, DIRTY },
	{ "administrator forbids FLR", "reset_device", forbidden,
	  0, "slot: ok", true, 0, CLEAN, true },
	{ "nothing can reset it", "reset_device", nothing_can,
	  -ENOTTY, "no method can reset it", true, 1, DIRTY },
	{ "only power management can reset it", "reset_device", only_pm,
	  0, "pm: ok (weak)", true, 1, DIRTY },

	{ "no FLR; sibling away for 0.7 s", "reset_device", sibling_slow,
	  0, "slot: ok", true, 0, CLEAN },
	{ "no FLR; sibling never comes back: the sibling", "reset_device",
	  sibling_dies, -ETIMEDOUT, NULL, true, 1, DIRTY },
	{ "no FLR; sibling not owned", "reset_device", sibling_unowned,
	  -EBUSY, "slot: blocked by", true, 1, DIRTY },
	{ "no FLR; sibling has a driver in dom0", "reset_device",
	  sibling_driven, -EBUSY, "(e1000e); pm: ok (weak)", true, 1, DIRTY },
	{ "neither FLR nor PM; sibling has a driver in dom0", "reset_device",
	  sibling_driven_no_pm, -EBUSY, "(e1000e)", true, 1, DIRTY },
	{ "no FLR; sibling has a driver in dom0", "do_flr",
	  sibling_driven_libxl, 0, "(e1000e); pm: ok (weak)", true, 1, DIRTY },
	{ "no FLR; sibling is a guest's", "reset_device", sibling_assigned,
	  -EBUSY, "(assigned to domain 7)", true, 1, DIRTY },
	{ "no FLR; sibling is in use, unheard of", "reset_device", sibling_in_use,
	  -EBUSY, "(in use: bus mastering is on)", true, 1, DIRTY },
	{ "conventional bus; a function in another slot is not owned",
	  "reset_device", bus_shared, -EBUSY, "bus: blocked by", true, 1, DIRTY },
	{ "PF with VFs enabled", "reset_device", pf_with_vfs,
	  -EBUSY, "(VFs enabled)", true, 1, DIRTY },
	{ "VF whose FLR is forbidden", "reset_device", vf_without_flr,
	  -EBUSY, "(VFs enabled)", true, 1, DIRTY, true },

	{ "reset while a guest has it; FLR", "reset_device", assigned_with_flr,
	  -EBUSY, "assigned to domain 7", true, 0, CLEAN },
	{ "reset while a guest has it; no FLR", "reset_device",
	  assigned_without, -EBUSY, "assigned to domain 7", true, 0, CLEAN },
	{ "asked for while a guest without a ring has it", "do_flr", taken_back,
	  0, "slot: ok", true, 0, CLEAN },
	{ "asked for while a guest with a ring has it, and then released",
	  "do_flr", noted, 0, "flr: ok", true, 0, CLEAN, .needs_ring = true },
	{ "asked for twice while a guest with a ring has it", "do_flr",
	  noted_twice, 0, "flr: ok", true, 0, CLEAN, .needs_ring = true },
	{ "guest crashes, having changed the configuration; FLR",
	  "nobody: release", guest_crashes, 0, "flr: ok", true, 0, CLEAN },
	{ "guest crashes, having changed the configuration; card without FLR",
	  "nobody: release", guest_of_card_crashes, 0, NULL, true, 0, CLEAN },
	{ "guest ends; another guest has a sibling; no FLR", "nobody: release",
	  first_of_two_guests, 0, "pm: ok (weak)", true, 1, DIRTY },
	{ "dies while a guest has it", "nobody: release", dies_with_its_guest,
	  0, "flr: no answer; slot: no answer", true, 1, DIRTY },
	{ "guest ends; auto_reset=N", "nobody", left_to_the_toolstack,
	  0, NULL, true, 1, DIRTY },
	{ "unbound while a guest has it, and bound again", "nobody: unbind",
	  unbound_under_guest, 0, "flr: ok", true, 0, CLEAN },

	{ "not owned", "reset_device", not_owned,
	  -ENODEV, "not owned by pciback (no driver)", false, 0, NONE },
	{ "malformed address", "reset_device", no_address,
	  -EINVAL, NULL, true, 0, CLEAN },
	{ "another reset takes 2 s", "reset_device", being_reset,
	  0, "flr: ok", true, 0, CLEAN },
	{ "reset weakly by others", "the reset file", reset_by_core,
	  0, NULL, true, 1, DIRTY },
	{ "link lost and recovered (AER)", "error recovery", link_lost,
	  0, NULL, true, 1, DIRTY },
	{ "card pulled out", "reset_device", pulled,
	  -ENODEV, "reset: no function", false, 0, NONE },
	{ "card pulled out from under a guest", "nobody: removal",
	  pulled_from_guest, 0, "no answer, state not restored", false, 0,
	  NONE },
	{ "card pulled out, and put in again", "nobody: bind", pulled_and_back,
	  0, "pm: ok (weak)", true, 1, DIRTY },
};

const unsigned int nr_outcomes = ARRAY_SIZE(outcomes);
