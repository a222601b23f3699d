// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: plan, in sentences, with what to type
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pciback-reset.h"

static struct json_object *sentences, *cures;

static void add(struct json_object *array, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct json_object *array, const char *fmt, ...)
{
	char text[8192];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_object_array_add(array, json_object_new_string(text));
}

/* " 0000:04:00.0 0000:04:00.1" */
static char *bdfs_of(const struct list *l)
{
	static char text[8192];
	size_t len = 0;
	int i;

	text[0] = '\0';
	for (i = 0; i < l->n && len < sizeof(text) - BDF_LEN - 1; i++)
		len += sprintf(text + len, " %s", l->fn[i]->bdf);
	return text;
}

/* What to type for each function in the way */
static void add_cures(struct fn *f)
{
	struct list set = resets_alone(f) ? list_new() : set_of(f);
	struct list release = list_new(), adopt = list_new();
	int i, vfs;
	bool never;

	if (!set.n)
		list_add(&set, f);
	for (i = 0; i < set.n; i++)
		if (set.fn[i]->domid >= 0)
			add(cures, "xl pci-detach %d %s", set.fn[i]->domid, set.fn[i]->bdf);
	for (i = 0; i < set.n; i++) {
		struct fn *m = set.fn[i];
		char text[32];

		vfs = atoi(attr(m, "sriov_numvfs", text, sizeof(text)));
		/* A VF must go, by its PF's driver, and cannot while pciback has it */
		if (m->owned && (is_vf(m) || vfs))
			list_add(&release, m);
		if (!is_vf(m) && !m->bridge && (vfs || !m->owned))
			list_add(&adopt, m);
	}
	if (release.n)
		add(cures, "pciback-reset release --only%s", bdfs_of(&release));
	for (i = 0; i < set.n; i++) {
		struct fn *m = set.fn[i];
		char text[32];

		if (atoi(attr(m, "sriov_numvfs", text, sizeof(text))))
			add(cures, "echo 0 >" PCI "/devices/%s/sriov_numvfs", m->bdf);
		else if (m->bridge && m->driver[0] && !m->owned && strcmp(m->driver, "pcieport"))
			add(cures, "echo %s >" PCI "/drivers/%s/unbind", m->bdf, m->driver);
	}
	for (i = 0; i < adopt.n; i++) {
		const char *why = used_for(adopt.fn[i], &never);

		if (why) {
			add(sentences, "%s is in use by this machine: %s.",
			    adopt.fn[i]->bdf, why);
			adopt.n = 0;
		}
	}
	if (adopt.n)
		add(cures, "pciback-reset adopt%s", bdfs_of(&adopt));
	free(set.fn);
	free(release.fn);
	free(adopt.fn);
}

/* The driver's words for why something is in the way, in a sentence */
static const char *sentence_for(const char *why, struct fn *blocker)
{
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
	static char text[2 * TEXT_LEN];
	size_t i;

	for (i = 0; i < N_ELEMENTS(words); i++)
		if (!strcmp(why, words[i].why))
			return words[i].sentence;
	if (!strncmp(why, "assigned to domain ", 19))
		snprintf(text, sizeof(text), "is assigned to %s",
			 blocker && blocker->domid >= 0 ? guest_name(blocker->domid) : why + 12);
	else if (!strncmp(why, "in use: ", 8))
		snprintf(text, sizeof(text), "is in use, but the toolstack has not told pciback (%s)",
			 why + 8);
	else
		snprintf(text, sizeof(text), "is not pciback's (its driver is %s)", why);
	return text;
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
		add(sentences, "The set:%s", bdfs_of(set));
	}
	if (why && blocker && blocker->bridge && blocker->domid < 0)
		add(sentences, "That does not change if pciback owns all of the set: %s.", why);
	else
		add_cures(f);
	fail(BLOCKED);
}

/* With the driver as it is in stock kernels: what the kernel offers for the function alone */
static void plan_stock(struct fn *f)
{
	char methods[TEXT_LEN];

	attr(f, "reset_method", methods, sizeof(methods));
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

/* What would be, if pciback had it */
static void plan_adoption(struct fn *f, const char *method, const char *others)
{
	const char *why = set_blocker(f), *use;
	bool never;

	add(sentences, "%s: is not pciback's (%s).", f->bdf, driver_or_none(f));
	fail(UNKNOWN);
	if (f->domain > 0xffff)
		add(sentences, "It is behind a VMD controller, and its domain %x is beyond what Xen can name: it cannot be passed. Turn VMD off in the firmware.",
		    f->domain);
	use = used_for(f, &never);
	if (f->bridge) {
		add(sentences, "It is a bridge, which is never passed: look at what is behind it.");
		return;
	}
	if (resets_alone(f))
		add(sentences, "It can be passed: it would be reset alone (%s).", method);
	else if (!strcmp(method, "slot") || !strcmp(method, "bus"))
		add(sentences, "It can be passed together with its set: a %s would reset %s.",
		    *method == 's' ? "slot reset" : "secondary bus reset", others);
	else
		add(sentences, "It cannot be passed safely: %s, and %s.",
		    why ?: "nothing reaches its set", *method == 'p' ?
		    "its own reset is weak: some state of its last user may survive" :
		    "it has no reset of its own");
	if (use)
		add(sentences, "This machine uses it: %s.", use);
	else if (f->domain <= 0xffff)
		add_cures(f);
}

static void plan_one(struct fn *f)
{
	struct list set = set_of(f);
	const char *method = f->owned ? plan_of(f)->method : method_of(f);
	char others[8192 + TEXT_LEN] = "no other function";

	if (set.n > 1)
		snprintf(others, sizeof(others), "all %d functions of its set together:%s", set.n,
			 bdfs_of(&set));
	if (!f->owned) {
		plan_adoption(f, method, others);
	} else if (!strcmp(method, "blocked")) {
		plan_blocked(f, &set);
	} else {
		if (f->domid >= 0 && method[0])
			add(sentences, "%s: is in use by %s; a reset now would also hit that guest.",
			    f->bdf, guest_name(f->domid));
		if (!strcmp(method, "slot") || !strcmp(method, "bus")) {
			add(sentences, "%s: is reset by a %s, which resets %s.", f->bdf,
			    *method == 's' ? "slot reset" : "secondary bus reset", others);
		} else if (!strcmp(method, "pm")) {
			add(sentences, "%s: has only a weak reset (pm): some state of its last user may survive.",
			    f->bdf);
		} else if (!strcmp(method, "none")) {
			add(sentences, "%s: nothing can reset it. It has no reset of its own, and no slot or bus reset reaches it.",
			    f->bdf);
			fail(NOTHING);
		} else if (method[0]) {
			add(sentences, "%s: is reset alone (%s). No other function is touched.",
			    f->bdf, method);
		} else {
			plan_stock(f);
		}
	}
	free(set.fn);
}

static void print_plan(struct fn *f)
{
	struct json_object *obj;
	size_t i;

	if (opts & OPT_JSON) {
		obj = json_object_new_object();
		json_object_object_add(obj, "bdf", json_text(f->bdf));
		json_object_object_add(obj, "owned", json_object_new_boolean(f->owned));
		json_object_object_add(obj, "method", json_text(f->owned ? plan_of(f)->method :
								method_of(f)));
		json_object_object_add(obj, "text", json_object_get(sentences));
		json_object_object_add(obj, "cure", json_object_get(cures));
		print_json(obj);
		return;
	}
	for (i = 0; i < json_object_array_length(sentences); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(sentences, i));

		printf("%s%s\n", strncmp(s, f->bdf, strlen(f->bdf)) ? "  " : "", s);
	}
	for (i = 0; i < json_object_array_length(cures); i++)
		printf("%s    %s\n", i ? "" : "  To make it possible:\n",
		       json_object_get_string(json_object_array_get_idx(cures, i)));
}

void command_plan(char **argv)
{
	struct list l = need_functions(argv, false);
	int i;

	scan_guests();
	for (i = 0; i < l.n; i++) {
		sentences = json_object_new_array();
		cures = json_object_new_array();
		plan_one(l.fn[i]);
		print_plan(l.fn[i]);
		json_object_put(sentences);
		json_object_put(cures);
	}
	if (!thorough())
		say_stock();
}
