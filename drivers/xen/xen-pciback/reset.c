// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * PCI Backend - thorough resets of the functions that pciback owns
 *
 * A function that moves from one guest to the next must carry no state over.  Many functions have
 * no function-level reset.  A slot reset or a secondary bus reset works for them, but resets
 * everything on and below the function's bus: its reset set.  So pciback first claims the set:
 * until the reset is over, it owns all functions of the set and no guest has one.
 *
 * pciback seizes a function when it is bound, and saves its configuration of bind time.  Then the
 * function is idle, or assigned to a guest: handed out, or refused.  A guest loses it by a release.
 * A reset is strong, or weak (PM): a weak one may leave state in the device.
 *
 *   reset_sysfs.c	the files in sysfs: request a reset, show what a reset would do
 *   reset.c		the steps of a reset, and the events that cause one
 *   reset_listed.c	which functions the toolstack lists for guests
 *   reset_set.c	the set: claim all of it, reset it
 *   reset_function.c	one function: run a method, restore the configuration of bind time
 *
 * The toolstack assigns a function to a guest, and takes it away, in Xen.  pciback learns that late
 * or not at all, and a guest can make pciback release its function at any time, while Xen still
 * gives the guest access.  So a release proves nothing.  Therefore a request for an idle function
 * always resets it.  The request right before a hand-out is the reset that protects the next
 * guest.  The reset after a release only stops the device.
 *
 * Toolstacks write to do_flr right before they hand a function out (a request), and right before
 * they take it away (a farewell).  A write is a farewell if the toolstack lists the function for a
 * living guest.  If pciback has mapped the ring of the guest's frontend, the guest may still use
 * the function: the farewell is then only noted, and the function is reset after its release.  A
 * second farewell, or one without a mapped ring, ends the assignment at once.
 *
 * Lock order: pci_bus_sem (bus walks), device lock, config access lock, the same two of the
 * upstream bridge, claim (remove() waits for its end), pcistub_devices_lock, pcistub_device.lock.
 * Device locks and config access locks are only tried, except in remove() and in a release.  Error
 * recovery holds pci_bus_sem and waits for device locks.  So nobody walks a bus with a device lock
 * or a claim held, and remove() does not wait for a walk.
 *
 * Races that remain in the PCI core: a write to reset_method takes no lock; a slot may be removed
 * during pci_reset_bus(); a function added to a bus in the middle of a reset is unlocked without
 * having been locked.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#define dev_fmt pr_fmt

#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>
#include "pciback.h"

static bool strict_reset;
module_param(strict_reset, bool, 0644);
MODULE_PARM_DESC(strict_reset,
		 "Refuse to hand out a function that still needs a reset (default: 0, warn only)");

/* driverctl takes a PCI driver's name for the name of a module */
MODULE_ALIAS("pciback");

/*
 * How long a requested reset of a set counts for the other functions of the set, and a requested
 * function is not reset with a sibling that is released
 */
#define PCIBK_COVERED_MS	30000

/* What a request waits for; each has its own time limit */
enum pcibk_patience {
	PCIBK_FOR_LOCKS,	/* bind, unbind, hotplug */
	PCIBK_FOR_OTHERS,	/* other resets; each takes up to a minute */
	PCIBK_FOR_GUESTS,	/* releases that the toolstack has begun */
};

static struct workqueue_struct *pcibk_wq;
unsigned int pcibk_changes;
static unsigned int pcibk_assignments;	/* number of the last one; pcistub_devices_lock */

/* One reset.  Each step initialises @claim again; it then names what blocks that step. */
struct pcibk_request {
	struct pci_dev *dev;		/* the function to reset */
	struct pci_dev *top;		/* on the bus to reset: @dev, or a bridge above it */
	enum pcibk_ask ask;
	unsigned int from;		/* the assignment to end first, or 0 */
	enum pcibk_patience wait;	/* what the current step waits for */
	long left[3];			/* the time left to wait for each, in jiffies */
	bool again;			/* repeated: somebody had left a bus reset on */
	bool weak;			/* this step uses the weak method */
	bool in_use;			/* a guest has a function of the set */
	bool mixed;			/* an idle sibling needs a reset but has no own method */
	bool with_guest;		/* a sibling is with the guest that has or last had @dev */
	bool denied;			/* only a reset of the set is strong, and is not allowed */
	char step[32];			/* the current step, as the log names it */
	struct pcibk_claim claim;
	char chain[PCIBK_CHAIN_LEN];	/* "slot: blocked by ...; pm: ok (weak)" */
	size_t len;
};

static __printf(2, 3) void pcibk_note(struct pcibk_request *r, const char *fmt, ...)
{
	va_list args;

	if (r->len)
		r->len += scnprintf(r->chain + r->len, sizeof(r->chain) - r->len, "; ");
	va_start(args, fmt);
	r->len += vscnprintf(r->chain + r->len, sizeof(r->chain) - r->len, fmt, args);
	va_end(args);
}

static bool pcibk_is_request(const struct pcibk_request *r)
{
	return r->ask <= PCIBK_ASK_FLR;
}

/* The number of the function's assignment to a guest, or 0.  @blocker, if any, names the guest. */
unsigned int pcibk_assignment(const struct pcistub_device *psdev, char *blocker)
{
	lockdep_assert_held(&pcistub_devices_lock);

	if (!psdev->pdev && !psdev->reset.refused_by)
		return 0;
	if (blocker)
		snprintf(blocker, PCIBK_TEXT_LEN, "%s (assigned to domain %d)",
			 pci_name(psdev->dev), psdev->reset.domain);
	return psdev->reset.assignment;
}

/* -- idle functions ---------------------------------------------------------------- */

/*
 * End the coverage of all functions in the set of @dev.  Called when a function of the set is
 * released or seized, and when error recovery begins or ends.
 */
void pcibk_end_coverage(const struct pci_dev *dev)
{
	struct pcistub_device *psdev;

	lockdep_assert_held(&pcistub_devices_lock);

	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (pcibk_same_set(psdev->dev, dev))
			psdev->reset.covered_until = 0;
}

/*
 * Queue work that uses the record.  Queued work holds a reference to the record, and the record one
 * to the device.  The work takes pcistub_devices_lock first, so it cannot drop its reference before
 * that is taken here.
 */
void pcibk_queue(struct pcistub_device *psdev, struct work_struct *work)
{
	lockdep_assert_held(&pcistub_devices_lock);

	if (queue_work(pcibk_wq, work))
		refcount_inc(&psdev->reset.users);
}

static void pcibk_make_due(struct pcistub_device *psdev)
{
	struct pcibk_account *reset = &psdev->reset;

	reset->put_off = false;
	reset->due = pcibk_auto_reset && !reset->leaving;
	if (reset->due)
		pcibk_queue(psdev, &reset->work);
}

/* A function has become idle: its reset is due, and so are those that were put off until now. */
static void pcibk_idle(struct pcistub_device *psdev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(psdev->dev);
	struct pcibk_account *reset = &psdev->reset;
	struct pcistub_device *other;

	/* After a noted farewell these settings are already for the next guest. */
	if (!reset->noted) {
		dev_data->permissive = 0;
		dev_data->allow_interrupt_control = 0;
	}
	pcibk_end_coverage(psdev->dev);
	reset->used = true;
	reset->needs_reset = true;
	reset->asked_until = 0;
	reset->noted = false;
	pcibk_make_due(psdev);
	list_for_each_entry(other, &pcistub_devices, dev_list)
		if (other->reset.due && other->reset.put_off &&
		    pcibk_same_set(other->dev, psdev->dev))
			pcibk_make_due(other);
	wake_up_all(&pcibk_wait);
}

/* -- the steps ------------------------------------------------------------------- */

/*
 * Each step returns -ENOTTY if it does not apply to the function, -EALREADY if no reset is needed
 * any more, and -EAGAIN if it must be tried again after waiting for what r->wait says.
 */

static int pcibk_try_function(struct pcibk_request *r)
{
	struct pcistub_device *psdev;
	enum pcibk_method method;
	int err = -ENODEV;

	if (!pci_dev_trylock(r->dev))
		return -EAGAIN;
	psdev = pcibk_psdev(r->dev);
	if (psdev) {
		method = pcibk_function_method(psdev, r->weak);
		/* The answer holds as long as the device lock is held. */
		scoped_guard(spinlock_irq, &pcistub_devices_lock)
			err = !method ? -ENOTTY :
			      r->ask == PCIBK_ASK_RELEASE && !psdev->reset.due ? -EALREADY :
			      pcibk_assignment(psdev, r->claim.blocker) ? -EBUSY : 0;
		if (method)
			strscpy(r->step, pcibk_method_names[method], sizeof(r->step));
		if (!err)
			err = pcibk_reset_function(psdev, method);
	}
	pci_dev_unlock(r->dev);

	return err;
}

static int pcibk_try_set(struct pcibk_request *r)
{
	struct pcibk_claim *claim = &r->claim;
	bool reset = false;
	int err;

	err = pcibk_claim(claim);
	r->in_use = claim->in_the_way;
	if (err == -ENOTTY)
		return err;
	if (r->top == r->dev)
		strscpy(r->step, claim->slot ? "slot" : "bus", sizeof(r->step));
	else
		snprintf(r->step, sizeof(r->step), "%s by %s", claim->slot ? "slot" : "bus",
			 pci_name(r->top->bus->self));
	if (!err) {
		err = pcibk_claim_reset(claim, r->step);
		reset = err != -EAGAIN;
	}

	if (claim->busy)
		r->wait = PCIBK_FOR_OTHERS;
	/* The toolstack has begun to take the function from its guest: wait for the release. */
	if (claim->in_the_way && pcibk_is_request(r) && r->left[PCIBK_FOR_GUESTS] > 0 &&
	    (claim->noted || !pcibk_is_listed(claim->in_the_way, false))) {
		r->wait = PCIBK_FOR_GUESTS;
		err = -EAGAIN;
	}
	if (claim->stuck && !r->again) {
		r->again = true;
		err = -EAGAIN;
	}
	/* A guest may have forged its release: end the coverage, and then the claim. */
	if (reset && pcibk_is_request(r) && pcibk_is_listed(r->top, true)) {
		guard(spinlock_irq)(&pcistub_devices_lock);
		pcibk_end_coverage(r->top);
	}
	pcibk_claim_drop(claim);

	return err;
}

/* End an assignment whose release pciback did not notice.  The caller resets. */
static int pcibk_try_take_back(struct pcibk_request *r)
{
	struct pcistub_device *psdev;

	if (!device_trylock(&r->dev->dev))
		return -EAGAIN;
	/* The device lock keeps the record alive, and the backend that has the function. */
	psdev = pcibk_psdev(r->dev);
	if (psdev && psdev->pdev && psdev->reset.assignment == r->from)
		xen_pcibk_release_pci_dev(psdev->pdev, r->dev, false);
	if (psdev) {
		guard(spinlock_irq)(&pcistub_devices_lock);
		if (psdev->reset.refused_by && psdev->reset.assignment == r->from) {
			psdev->reset.refused_by = NULL;
			pcibk_idle(psdev);
		}
		psdev->reset.due = false;
	}
	device_unlock(&r->dev->dev);

	return -EALREADY;
}

/* Sleep until woken, but no longer than PCIBK_RETRY_MS */
void pcibk_nap(void)
{
	DEFINE_WAIT(wait);

	/* Frozen with the locks of a write to sysfs: what needs them is frozen, too. */
	prepare_to_wait(&pcibk_wait, &wait, TASK_KILLABLE | TASK_FREEZABLE_UNSAFE);
	schedule_timeout(msecs_to_jiffies(PCIBK_RETRY_MS));
	finish_wait(&pcibk_wait, &wait);
}

/* -ENODEV if the function has left pciback or is leaving; -EAGAIN if it is being reset */
static int pcibk_look(struct pcibk_request *r)
{
	struct pcistub_device *psdev;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(r->dev);
	if (!psdev || psdev->reset.leaving)
		return -ENODEV;
	if (psdev->reset.resetting || psdev->reset.claim) {
		r->wait = PCIBK_FOR_OTHERS;
		return -EAGAIN;
	}
	r->wait = PCIBK_FOR_LOCKS;
	return 0;
}

/* Try a step until it need not wait any more, and note its result */
static int pcibk_step(struct pcibk_request *r, int (*try)(struct pcibk_request *r))
{
	unsigned long start;
	int err;

	for (;;) {
		r->claim = (struct pcibk_claim) { .dev = r->dev, .top = r->top, .ask = r->ask };
		r->step[0] = '\0';
		err = pcibk_look(r) ?: try(r);
		if (err != -EAGAIN || r->left[r->wait] <= 0)
			break;
		start = jiffies;
		pcibk_nap();
		r->left[r->wait] -= jiffies - start;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}

	/* The step does not apply, or no reset is needed: not worth a note. */
	if (err == -EALREADY || (err == -ENOTTY && !r->step[0]))
		return err;
	if (!r->step[0])
		strscpy(r->step, "function", sizeof(r->step));
	if (err == -EBUSY)
		pcibk_note(r, "%s: blocked by %s", r->step, r->claim.blocker);
	else if (err && r->claim.blocker[0])
		pcibk_note(r, "%s: %s (%s)", r->step, pcibk_result(err), r->claim.blocker);
	else
		pcibk_note(r, "%s: %s%s%s", r->step, pcibk_result(err), r->claim.link,
			   r->weak && !err ? " (weak)" : "");
	return err;
}

/* After this result, should the next step be tried? */
static bool pcibk_may_escalate(int err)
{
	return err && err != -EALREADY && err != -EAGAIN && err != -EINTR && err != -ENODEV;
}

static bool pcibk_is_covered(const struct pcibk_account *reset)
{
	return ktime_before(ktime_get(), reset->covered_until);
}

/*
 * Look at the siblings of r->dev and set r->mixed and r->with_guest.  True if a request has reset
 * r->dev within PCIBK_COVERED_MS, and it still needs no reset.
 */
static bool pcibk_survey(struct pcibk_request *r)
{
	struct pcistub_device *psdev, *own;

	r->mixed = false;
	r->with_guest = false;
	guard(spinlock_irq)(&pcistub_devices_lock);
	own = pcibk_find(r->dev);
	if (!own)
		return false;
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (psdev == own || !pcibk_same_set(psdev->dev, r->dev))
			continue;
		r->mixed |= pcibk_is_request(r) && !psdev->pdev && psdev->reset.needs_reset &&
			    psdev->reset.used && !pcibk_function_method(psdev, false);
		r->with_guest |= psdev->pdev && psdev->reset.domain == own->reset.domain;
	}
	if (r->with_guest && r->ask == PCIBK_ASK_RELEASE)
		own->reset.put_off = own->reset.due;
	return !own->reset.needs_reset && pcibk_is_covered(&own->reset);
}

static int pcibk_reset_steps(struct pcibk_request *r)
{
	int own, set = -ENOTTY, up, weak, strong;
	bool covered;

	pcibk_survey(r);
	/* Any reset of a PF removes its VFs, which others may use. */
	if (pci_num_vf(r->dev)) {
		pcibk_note(r, "blocked by %s (VFs enabled)", pci_name(r->dev));
		return -EBUSY;
	}

	/* On a mixed card a function's own method need not clear what the functions share. */
	if (r->mixed)
		set = pcibk_step(r, pcibk_try_set);
	if (r->mixed && (!set || set == -EINTR || set == -ENODEV))
		return set;
	own = pcibk_step(r, pcibk_try_function);
	if (!pcibk_may_escalate(own))
		return own;
	if (!r->mixed)
		set = pcibk_step(r, pcibk_try_set);
	/* A release needs no more than that, even if a sibling did not come back. */
	if (r->ask == PCIBK_ASK_RELEASE && r->claim.done)
		return set;

	/* Try the bus one level up, as long as a function does not respond or was not reset */
	while ((set == -ETIMEDOUT || set == -EIO) && !pci_is_root_bus(r->top->bus->self->bus)) {
		r->top = r->top->bus->self;
		up = pcibk_step(r, pcibk_try_set);
		if (up == -ENOTTY || up == -EBUSY)
			break;
		set = up;
	}
	if (!pcibk_may_escalate(set))
		return set;

	/* The result if no strong reset is possible: the error of the strongest one tried */
	strong = set == -ENOTTY || (set == -EBUSY && own != -ENOTTY) ? own : set;
	covered = pcibk_survey(r);
	if (!pcibk_is_request(r) && r->with_guest)
		return strong;
	if (r->ask == PCIBK_ASK_FLR && r->in_use && covered) {
		r->len = 0;
		return 0;
	}

	/* A weak reset is better than none.  It is success if no stronger one exists. */
	r->weak = true;
	weak = pcibk_step(r, pcibk_try_function);
	r->denied = set == -EBUSY && pcibk_is_request(r);
	if (weak == -EALREADY || (set == -ENOTTY && weak != -ENOTTY) ||
	    (!weak && r->ask != PCIBK_ASK_RESET))
		return weak;
	return strong;
}

/*
 * A request has just reset the function with its set.  If @covered, its own first do_flr within
 * PCIBK_COVERED_MS needs no reset.
 */
void pcibk_cover(struct pcistub_device *psdev, bool covered)
{
	lockdep_assert_held(&pcistub_devices_lock);

	psdev->reset.covered_until = ktime_add_ms(ktime_get(), PCIBK_COVERED_MS);
	psdev->reset.covered = covered;
	pci_read_config_word(psdev->dev, PCI_COMMAND, &psdev->reset.command);
}

/*
 * A request has ended, maybe with an error: from now on somebody may use the function.  After an
 * error, bus mastering that is on is no sign of that.
 */
static void pcibk_asked(struct pcistub_device *psdev, int err)
{
	if (pcibk_assignment(psdev, NULL))
		return;
	if (err)
		psdev->reset.command = PCI_COMMAND_MASTER;
	else if (!pcibk_is_covered(&psdev->reset))
		pcibk_cover(psdev, false);
	psdev->reset.asked_until = ktime_add_ms(ktime_get(), PCIBK_COVERED_MS);
	psdev->reset.asked_after = pcibk_assignments;
}

/* Store the result for last_reset, and log it */
static void pcibk_report(struct pcibk_request *r, int err, s64 ms)
{
	unsigned int functions = r->claim.members ?: 1;
	struct device *dev = &r->dev->dev;
	struct pcistub_device *psdev;
	bool quiet;

	/* If nobody requested it, a reset that was not possible is not logged. */
	quiet = !r->len || (!pcibk_is_request(r) && (err == -EBUSY || err == -ENOTTY ||
						     err == -ENODEV || err == -EALREADY));
	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev = pcibk_find(r->dev);
		if (psdev && r->denied)
			psdev->reset.needs_reset = true;
		/* A toolstack that uses do_flr goes on after an error. */
		if (psdev && (r->ask == PCIBK_ASK_FLR || (r->ask == PCIBK_ASK_RESET && !err)))
			pcibk_asked(psdev, err);
		if (psdev && !quiet)
			strscpy(psdev->reset.last, r->chain, sizeof(psdev->reset.last));
	}
	if (quiet)
		return;
	/* For the function named; its siblings' files change without a notification. */
	sysfs_notify(&dev->kobj, "pciback", "last_reset");
	if (err)
		dev_warn(dev, "reset: %s (error %d, %lld ms)\n", r->chain, err, ms);
	else if (strstr(r->chain, "(link"))
		dev_warn(dev, "reset: %s (%lld ms)\n", r->chain, ms);
	else
		dev_info(dev, "reset: %s (%u function%s, %lld ms)\n", r->chain, functions,
			 str_plural(functions), ms);
}

/* May the function be reset at all?  If so, this replaces the reset that a release made due. */
static int pcibk_begin(struct pcibk_request *r)
{
	struct pcistub_device *psdev;
	unsigned int from;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(r->dev);
	if (!psdev) {
		pcibk_note(r, "%s (%s)", pcibk_is_owned(r->dev) ? "not initialised" :
			   "not owned by pciback", pcibk_driver_name(r->dev));
		return -ENODEV;
	}
	if (r->ask == PCIBK_ASK_RELEASE)
		return 0;
	from = pcibk_assignment(psdev, r->claim.blocker);
	if (from && from != r->from) {
		pcibk_note(r, "blocked by %s", r->claim.blocker);
		return -EBUSY;
	}
	psdev->reset.due = false;
	psdev->reset.used = true;
	psdev->reset.asked_until = 0;
	return 0;
}

/**
 * pcibk_reset() - reset a function thoroughly
 * @dev: the function; the caller holds a reference
 * @ask: the reason
 * @from: the number of the assignment to end first, or 0
 *
 * Use the gentlest method that really resets the function: a function-level reset (PCIe 6.0, sec
 * 6.6.2), else a slot reset or a secondary bus reset of its whole set (sec 6.6.1, and PCI-to-PCI
 * Bridge 1.2, sec 3.2.5.17), else the weak method of the PCI core.  One log line shows the result.
 *
 * Context: process context, no locks held.  May sleep for a minute in each step, until the device
 * responds, and waits for locks, for other resets and for releases.
 * Return:
 * * 0          - reset; weakly if no stronger method exists, or if @ask is not PCIBK_ASK_RESET
 * * -EBUSY     - assigned; or only a reset of the set would be strong, and is not allowed
 * * -ENODEV    - not owned by pciback
 * * -ENOTTY    - no method can reset it
 * * -EAGAIN    - bind, unbind, hotplug or another reset held the locks for too long
 * * -ETIMEDOUT - a function did not respond afterwards
 * * -EIO       - the reset had no effect, or a configuration was not restored
 * * -EINTR     - killed while waiting
 */
int pcibk_reset(struct pci_dev *dev, enum pcibk_ask ask, unsigned int from)
{
	struct pcibk_request r = {
		.dev = dev, .top = dev, .ask = ask, .from = from,
		.left = { 10 * HZ, 130 * HZ, 2 * HZ },
	};
	ktime_t start = ktime_get();
	int err;

	err = pcibk_begin(&r);
	if (!err && from)
		err = pcibk_step(&r, pcibk_try_take_back);
	if (!err || err == -EALREADY)
		err = pcibk_reset_steps(&r);
	if (err == -ENOTTY && !r.len)
		pcibk_note(&r, "no method can reset it");
	pcibk_report(&r, err, ktime_ms_delta(ktime_get(), start));

	if (ask == PCIBK_ASK_FAREWELL && (err == -EBUSY || err == -ENOTTY))
		return 0;
	/* -ENODATA (state not restored) is internal; users see -EIO */
	return err == -ENODATA ? -EIO : err;
}

/*
 * Handle a farewell.  True if it is only noted: the settings made for the guest end here, and those
 * made from now on are for the next guest.
 */
static bool pcibk_note_farewell(struct pcistub_device *psdev)
{
	struct xen_pcibk_dev_data *dev_data = pci_get_drvdata(psdev->dev);

	if (psdev->pdev && !psdev->reset.noted && READ_ONCE(psdev->pdev->sh_info)) {
		dev_data->permissive = 0;
		dev_data->allow_interrupt_control = 0;
		psdev->reset.noted = true;
		return true;
	}
	psdev->reset.covered_until = 0;
	return false;
}

/* Does a recent reset of the set cover this request?  Coverage is used up by one request. */
static bool pcibk_use_coverage(struct pcistub_device *psdev, u16 command)
{
	bool covered = !pcibk_assignment(psdev, NULL) && psdev->reset.covered &&
		       !psdev->reset.claim && pcibk_is_covered(&psdev->reset) &&
		       psdev->reset.command == command;

	psdev->reset.covered = false;
	if (covered)
		pcibk_asked(psdev, 0);
	return covered;
}

/**
 * pcibk_do_flr() - handle a write to do_flr: a request before a hand-out, or a farewell
 * @dev: the function; the caller holds a reference
 *
 * Toolstacks name the functions of a card one by one.  A reset of the whole card for the first one
 * covers the first request for each other one, for PCIBK_COVERED_MS, if the Command register still
 * has the value that the reset left.
 *
 * Context: process context, no locks held.
 * Return: as pcibk_reset(), but a weak reset is always success
 */
int pcibk_do_flr(struct pci_dev *dev)
{
	struct pcistub_device *psdev;
	unsigned int from = 0, now;
	bool listed;
	u16 command;

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev = pcibk_find(dev);
		if (psdev)
			from = pcibk_assignment(psdev, NULL);
	}
	listed = pcibk_is_listed(dev, false);
	pci_read_config_word(dev, PCI_COMMAND, &command);

	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev = pcibk_find(dev);
		/* In the meantime it was assigned to another guest. */
		now = psdev ? pcibk_assignment(psdev, NULL) : 0;
		if (now && now != from)
			return -EBUSY;
		if (psdev && (listed ? pcibk_note_farewell(psdev) :
				       pcibk_use_coverage(psdev, command)))
			return 0;
	}
	return pcibk_reset(dev, psdev && listed ? PCIBK_ASK_FAREWELL : PCIBK_ASK_FLR, from);
}

/* -- seize, hand out, release, leave ------------------------------------------------ */

/**
 * xen_pcibk_reset_forget - drop a reference to a record: the stub's, or that of a queued work
 * @psdev: the record, not on any list if it is the stub's
 */
void xen_pcibk_reset_forget(struct pcistub_device *psdev)
{
	if (refcount_dec_and_test(&psdev->reset.users)) {
		pci_dev_put(psdev->dev);
		kfree(psdev);
	}
}

/* The reset after a release.  It does nothing once leaving is set, so remove() need not wait. */
static void pcibk_work(struct work_struct *work)
{
	struct pcistub_device *psdev = container_of(work, struct pcistub_device, reset.work);

	pcibk_reset(psdev->dev, PCIBK_ASK_RELEASE, 0);
	/* Still due: released again in the meantime, or put off until siblings are released */
	scoped_guard(spinlock_irq, &pcistub_devices_lock)
		if (!work_pending(work) &&
		    !(psdev->reset.put_off && psdev->reset.needs_reset))
			psdev->reset.due = false;
	wake_up_all(&pcibk_wait);
	xen_pcibk_reset_forget(psdev);
}

/**
 * xen_pcibk_reset_seize - initialise the account of a function and save its configuration
 * @psdev: the stub's record of it, not on the list yet
 *
 * The caller stores the saved state.
 *
 * Context: process context, device lock held; the function is enabled.
 * Return: 0, or -ENODEV if the function does not respond: a configuration that reads all ones must
 * not be saved, since it would be restored later
 */
int xen_pcibk_reset_seize(struct pcistub_device *psdev)
{
	struct pcibk_account *reset = &psdev->reset;

	INIT_WORK(&reset->work, pcibk_work);
	INIT_WORK(&reset->plan_work, pcibk_plan_work);
	reset->domain = -1;
	reset->strict = -1;
	reset->set_reset = true;
	reset->needs_reset = true;
	reset->has_af_flr = pcibk_has_af_flr(psdev->dev);
	strscpy(reset->last, "none", sizeof(reset->last));
	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		pcibk_end_coverage(psdev->dev);
		pcibk_changes++;
	}

	if (!pcibk_answers(psdev->dev))
		return -ENODEV;
	pci_save_state(psdev->dev);

	return pcibk_answers(psdev->dev) ? 0 : -ENODEV;
}

static void pcibk_assign(struct pcibk_account *reset, const struct xen_pcibk_device *pdev)
{
	reset->assignment = ++pcibk_assignments;
	reset->domain = pdev->xdev->otherend_id;
	reset->needs_reset = true;
	reset->due = false;
	reset->noted = false;
}

/**
 * xen_pcibk_reset_hand_out - assign a function to a guest, if it may be handed out now
 * @psdev: the stub's record of it
 * @pdev: the backend that wants it
 * @last_try: the caller will not ask again
 *
 * It may not while anybody resets it, during error recovery, while the port above holds it in
 * reset, while it is leaving pciback, or if another guest was refused it.  If the reset after its
 * release is still due, the caller should wait for that.  A function that still needs a reset is
 * handed out with a warning, or refused (strict).
 *
 * Context: device lock and pcistub_devices_lock held.  Does not wait.
 * Return:
 * * 0       - assigned: hand it out
 * * -EAGAIN - not now
 * * -EBUSY  - refused: it needs a reset first
 * * -ENODEV - it counts as assigned to another guest
 */
int xen_pcibk_reset_hand_out(struct pcistub_device *psdev,
			     const struct xen_pcibk_device *pdev, bool last_try)
{
	struct pci_dev *dev = psdev->dev, *port = dev->bus->self;
	struct pcibk_account *reset = &psdev->reset;
	u16 ctl;

	lockdep_assert_held(&pcistub_devices_lock);

	if (reset->refused_by && reset->refused_by != pdev)
		return -ENODEV;
	if (reset->resetting || reset->leaving || reset->claim ||
	    ktime_before(ktime_get(), reset->recovering_until) ||
	    (port && pcibk_is_reset_on(port, &ctl)) ||
	    (reset->due && !last_try && (!reset->put_off || work_busy(&reset->work))))
		return -EAGAIN;

	if (reset->needs_reset && (reset->strict < 0 ? strict_reset : reset->strict)) {
		dev_warn(&dev->dev, "not handed out: it still needs a reset (strict)\n");
		return -EBUSY;
	}
	if (reset->needs_reset)
		dev_warn(&dev->dev, "handed out although it still needs a reset\n");
	reset->refused_by = NULL;
	pcibk_assign(reset, pdev);
	return 0;
}

/**
 * xen_pcibk_reset_refuse - a backend was refused a function
 * @pdev: the backend
 * @dev: the function
 *
 * It counts as assigned, too: the toolstack gives it to the guest in Xen without asking pciback.
 *
 * Context: process context.
 */
void xen_pcibk_reset_refuse(const struct xen_pcibk_device *pdev, struct pci_dev *dev)
{
	struct pcistub_device *psdev;

	guard(spinlock_irq)(&pcistub_devices_lock);
	psdev = pcibk_find(dev);
	if (!psdev || pcibk_assignment(psdev, NULL))
		return;
	psdev->reset.refused_by = pdev;
	pcibk_assign(&psdev->reset, pdev);
}

/**
 * xen_pcibk_reset_nth_refused - the nth function that a backend was refused
 * @pdev: the backend
 * @n: which one, from 0
 *
 * Return: the function, with a reference; or NULL
 */
struct pci_dev *xen_pcibk_reset_nth_refused(const struct xen_pcibk_device *pdev, unsigned int n)
{
	struct pcistub_device *psdev;

	guard(spinlock_irq)(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list)
		if (psdev->reset.refused_by == pdev && !n--)
			return pci_dev_get(psdev->dev);
	return NULL;
}

/**
 * xen_pcibk_reset_unrefuse - a function that the backend was refused becomes idle
 * @pdev: the backend; only compared
 * @dev: the function, which need not have been refused; NULL: all that were refused
 *
 * Context: process context.
 */
void xen_pcibk_reset_unrefuse(const void *pdev, struct pci_dev *dev)
{
	struct pcistub_device *psdev;

	guard(spinlock_irq)(&pcistub_devices_lock);
	list_for_each_entry(psdev, &pcistub_devices, dev_list) {
		if (!pdev || psdev->reset.refused_by != pdev || (dev && psdev->dev != dev))
			continue;
		psdev->reset.refused_by = NULL;
		pcibk_idle(psdev);
	}
}

/**
 * xen_pcibk_reset_released - a guest has lost a function
 * @psdev: the stub's record of it
 *
 * From here on the function is idle.  A work item resets it later.
 *
 * Context: process context, device lock held.  Does not wait.
 */
void xen_pcibk_reset_released(struct pcistub_device *psdev)
{
	guard(spinlock_irq)(&pcistub_devices_lock);
	scoped_guard(spinlock, &psdev->lock)
		psdev->pdev = NULL;
	pcibk_idle(psdev);
}

/**
 * xen_pcibk_reset_leave - a function is about to leave pciback
 * @psdev: the stub's record of it, on the list
 *
 * From here on it is neither claimed nor handed out.  Waits for the claim that holds it, if any.
 * The wait is uninterruptible, since remove() cannot fail, and takes up to a minute: so long the
 * PCI core waits for a device to respond.
 *
 * Context: process context, device lock held.
 */
void xen_pcibk_reset_leave(struct pcistub_device *psdev)
{
	scoped_guard(spinlock_irq, &pcistub_devices_lock) {
		psdev->reset.leaving = true;
		pcibk_changes++;
	}
	wake_up_all(&pcibk_wait);
	wait_event(pcibk_wait, !READ_ONCE(psdev->reset.claim));
}

/**
 * xen_pcibk_reset_init - to be called before the first function is seized
 *
 * Return: 0 or -ENOMEM
 */
int __init xen_pcibk_reset_init(void)
{
	pcibk_wq = alloc_workqueue("xen-pciback-reset", WQ_UNBOUND | WQ_FREEZABLE, 0);
	if (!pcibk_wq)
		return -ENOMEM;
	register_xenstore_notifier(&pcibk_store_notifier);
	return 0;
}

/**
 * xen_pcibk_reset_exit - to be called after the last function has left
 *
 * Context: process context, no locks held; the driver is unregistered.
 */
void xen_pcibk_reset_exit(void)
{
	unregister_xenstore_notifier(&pcibk_store_notifier);
	destroy_workqueue(pcibk_wq);
}
