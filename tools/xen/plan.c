// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: plan, in sentences, with what to type
 */
#include <json-c/json.h>
#include <pci/header.h>
#include <string.h>
#include "pciback-reset.h"

static struct json_object *sentences, *cures;

#define add(array, ...)	\
	json_object_array_add(array, json_object_new_string(format(__VA_ARGS__)))

static int vfs_of(const struct fn *f)
{
	return atoi(attr(f, "sriov_numvfs"));
}

/* It has a driver that forbids a reset of its set, and could do without */
static bool used_bridge(const struct fn *f)
{
	return f->bridge && f->driver[0] && !f->owned && strcmp(f->driver, "pcieport") &&
		class_of(f) >> 8 != PCI_CLASS_BRIDGE_CARDBUS;
}

/* Is there a strong reset, when nothing is in its way any more? */
static bool curable(struct fn *f)
{
	struct list set = set_of(f);

	for_each(m, &set)
		if (used_bridge(m))
			return true;
	return own_method(f) || !set_blocker(f);
}

/* What to type for each function in the way */
static void add_cures(struct fn *f)
{
	struct list set = set_of(f), release = list_new(), adopt = list_new();
	const char *why;
	bool never;

	if (own_method(f)) {
		set = list_new();
		list_add(&set, f);
	}
	for_each(m, &set) {
		if (m->domid >= 0)
			add(cures, "xl pci-detach %d %s", m->domid, m->bdf);
		/* A VF must go, by its PF's driver, and cannot while pciback has it */
		if (m->owned && (m->pf || vfs_of(m)))
			list_add(&release, m);
		if (!m->pf && !m->bridge && (vfs_of(m) || !m->owned))
			list_add(&adopt, m);
	}
	if (release.n)
		add(cures, "pciback-reset release --only%s", list_text(&release));
	for_each(m, &set) {
		if (vfs_of(m))
			add(cures, "echo 0 >" PCI "/devices/%s/sriov_numvfs", m->bdf);
		else if (used_bridge(m))
			add(cures, "echo %s >" PCI "/drivers/%s/unbind", m->bdf, m->driver);
	}
	for_each(m, &adopt) {
		why = used_for(m, &never);
		if (!why)
			continue;
		add(sentences, "%s is in use by this machine: %s.", m->bdf, why);
		adopt.n = 0;
	}
	if (adopt.n)
		add(cures, "pciback-reset adopt%s", list_text(&adopt));
}

/* The driver's words for why something is in the way, in a sentence */
static const char *sentence_for(const char *why, const struct fn *blocker)
{
	static const char assigned[] = "assigned to domain ", in_use[] = "in use: ";
	static const struct {
		const char *why, *sentence;
	} words[] = {
		{ "no driver", "is not pciback's (it has no driver)" },
		{ "VFs enabled", "has VFs enabled" },
		{ "not in the slot", "is not in the slot that would be reset" },
		{ "in a slot of its own",
		  "is in a slot of its own, whose driver would mistake a bus reset for a removal" },
		{ "set_reset 0", "must not be reset that way (its set_reset is 0)" },
		{ "requested", "was reset for a guest that is about to get it" },
		{ "not initialised", "is pciback's, but could not be initialised" },
		{ "CardBus bridge, cannot be owned",
		  "is a CardBus bridge, which pciback can never own" },
		{ "CXL port masks bus resets", "is a CXL port that masks bus resets" },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(words); i++)
		if (!strcmp(why, words[i].why))
			return words[i].sentence;
	if (!strncmp(why, assigned, strlen(assigned)))
		return format("is assigned to %s", blocker && blocker->domid >= 0 ?
			      guest_name(blocker->domid) : why + strlen("assigned to "));
	if (!strncmp(why, in_use, strlen(in_use)))
		return format("is in use, but the toolstack has not told pciback (%s)",
			      why + strlen(in_use));
	return format("is not pciback's (its driver is %s)", why);
}

static void plan_blocked(struct fn *f, const struct list *set)
{
	struct plan *plan = plan_of(f);
	struct fn *blocker = plan->blocker[0] ? find(plan->blocker) : NULL;
	const char *why = set_blocker(f);

	if (!plan->blocker[0]) {
		add(sentences, "%s: can't be reset thoroughly; pciback's reason is cut short: %s",
		    f->bdf, plan->text);
	} else if (blocker == f) {
		add(sentences, "%s: can't be reset thoroughly: it %s.", f->bdf,
		    sentence_for(plan->why, blocker));
	} else {
		add(sentences, "%s: can't be reset thoroughly: it takes a slot or bus reset of its set, and %s %s.",
		    f->bdf, plan->blocker, sentence_for(plan->why, blocker));
		add(sentences, "The set:%s", list_text(set));
	}
	if (!curable(f) && blocker && blocker->domid < 0)
		add(sentences, "That does not change if pciback owns all of the set: %s.", why);
	else
		add_cures(f);
	fail(BLOCKED);
}

/* With the driver as it is in stock kernels: what the kernel offers for the function alone */
static void plan_stock(struct fn *f)
{
	const char *methods = attr(f, "reset_method");

	if (f->domid >= 0) {
		add(sentences, "%s: is assigned to %s, and this driver does not say what would reset it.",
		    f->bdf, guest_name(f->domid));
		fail(BLOCKED);
	} else if (!exists(at(PCI "/devices/%s/reset", f->bdf))) {
		add(sentences, "%s: the kernel has no reset for this function alone, and this driver none for its set.",
		    f->bdf);
		fail(NOTHING);
	} else {
		add(sentences, "%s: is reset alone, by the first that works of: %s.", f->bdf,
		    methods[0] ? methods : "what the kernel has");
	}
}

/* "a slot reset", "a secondary bus reset"; NULL of others */
static const char *set_reset(const char *method)
{
	return !strcmp(method, "slot") ? "a slot reset" :
		!strcmp(method, "bus") ? "a secondary bus reset" : NULL;
}

/* What would be, if pciback had it */
static void plan_adoption(struct fn *f, const char *others)
{
	const char *method = method_of(f), *why = set_blocker(f), *use;
	bool never;

	add(sentences, "%s: is not pciback's (%s).", f->bdf, driver_or_none(f));
	fail(UNKNOWN);
	if (f->bridge) {
		add(sentences, "It is a bridge, which is never passed: look at what is behind it.");
		return;
	}
	if (own_method(f))
		add(sentences, "It can be passed: it would be reset alone (%s).", method);
	else if (set_reset(method))
		add(sentences, "It can be passed together with its set: %s would reset %s.",
		    set_reset(method), others);
	else
		add(sentences, "It cannot be passed safely: %s, and %s.",
		    why ?: "nothing reaches its set", *method == 'p' ?
		    "its own reset is weak: some state of its last user may survive" :
		    "it has no reset of its own");
	use = used_for(f, &never);
	if (use)
		add(sentences, "This machine uses it: %s.", use);
	else if (curable(f))
		add_cures(f);
}

static void plan_one(struct fn *f)
{
	const char *method = plan_of(f)->method, *others = "no other function";
	struct list set = set_of(f);

	if (set.n > 1)
		others = format("all %d functions of its set together:%s", set.n, list_text(&set));
	if (!f->owned) {
		plan_adoption(f, others);
		return;
	}
	if (!strcmp(method, "blocked")) {
		plan_blocked(f, &set);
		return;
	}
	if (!method[0] && thorough()) {
		add(sentences, "%s: its plan cannot be read now: something else uses its bus, or pciback could not initialise it.",
		    f->bdf);
		fail(AGAIN);
		return;
	}
	if (!method[0]) {
		plan_stock(f);
		return;
	}
	if (f->domid >= 0)
		add(sentences, "%s: is in use by %s; a reset now would also hit that guest.",
		    f->bdf, guest_name(f->domid));
	if (!strcmp(method, "none"))
		fail(NOTHING);
	add(sentences, "%s: %s", f->bdf, set_reset(method) ?
	    format("is reset by %s, which resets %s.", set_reset(method), others) :
	    !strcmp(method, "pm") ?
	    "has only a weak reset (pm): some state of its last user may survive." :
	    !strcmp(method, "none") ?
	    "nothing can reset it. It has no reset of its own, and no other reaches it." :
	    format("is reset alone (%s). No other function is touched.", method));
}

static void print_plan(struct fn *f)
{
	struct json_object *obj = json(NULL, "bdf", f->bdf, "method", planned_method(f), NULL);
	const char *text = "", *line;
	size_t i;

	for (i = 0; i < json_object_array_length(sentences); i++) {
		line = json_object_get_string(json_object_array_get_idx(sentences, i));
		text = format("%s%s%s", text, !i ? "" : "\n  ", line);
	}
	for (i = 0; i < json_object_array_length(cures); i++) {
		line = json_object_get_string(json_object_array_get_idx(cures, i));
		text = format("%s%s\n    %s", text, i ? "" : "\n  To make it possible:", line);
	}
	json_object_object_add(obj, "owned", json_object_new_boolean(f->owned));
	json_object_object_add(obj, "text", sentences);
	json_object_object_add(obj, "cure", cures);
	print(obj, text);
}

void command_plan(char **argv)
{
	struct list l = need_functions(argv, false, false);

	scan_guests();
	for_each(f, &l) {
		sentences = json_object_new_array();
		cures = json_object_new_array();
		plan_one(f);
		print_plan(f);
	}
	warn_if_stock();
}
