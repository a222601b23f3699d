/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pciback-reset: what its files share
 */
#ifndef _PCIBACK_RESET_H
#define _PCIBACK_RESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

struct json_object;

#define PCI		"/sys/bus/pci"
#define PCIBACK		PCI "/drivers/pciback"
#define CONFIG		"/etc/default/pciback-reset"
#define SETUPS		"/etc/pciback-reset.d"

#define BDF_LEN		20
#define TEXT_LEN	256
#define N_ELEMENTS(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(a, b)	__attribute__((format(printf, a, b)))

/* Exit statuses */
enum { FAILED = 1, USAGE, UNKNOWN, BLOCKED, NOTHING, BROKEN, AGAIN, DENIED, MISSING };

enum {
	OPT_JSON = 1 << 0, OPT_ALL = 1 << 1, OPT_TREE = 1 << 2, OPT_IF_NEEDED = 1 << 3,
	OPT_WEAK = 1 << 4, OPT_WAIT = 1 << 5, OPT_ONLY = 1 << 6, OPT_SET = 1 << 7,
	OPT_DRY_RUN = 1 << 8, OPT_FORCE = 1 << 9, OPT_YES = 1 << 10, OPT_BOOT = 1 << 11,
	OPT_HELP = 1 << 12, OPT_STRICT = 1 << 13,
	NEEDS_ROOT = 1 << 14,		/* of a command, and none that can be given */
};

/* What a person or a file asks for: an address, and what must be found there */
struct want {
	char bdf[BDF_LEN], ids[BDF_LEN];	/* "8086:10d3"; "": any */
	char path[TEXT_LEN];		/* "": any; see slot_path() */
	unsigned int opts;		/* of a set-up: OPT_STRICT, and those it was made with */
};

/* What reset_plan says */
struct plan {
	char text[TEXT_LEN], method[TEXT_LEN], blocker[BDF_LEN], why[TEXT_LEN];
};

struct mount {
	char dev[32], where[1024], source[1024];
};

enum handout { NOT_LISTED, WANTED, HANDED_OUT, CLOSING, REFUSED };

/* A function of this machine */
struct fn {
	char bdf[BDF_LEN];
	unsigned int domain, bus, slot, func;
	const char *root, *driver;	/* the name of its root bus; "": none */
	struct fn *parent;		/* the bridge above it; NULL on a root bus */
	struct fn *pf;			/* of a VF */
	struct pci_dev *pci;
	bool owned, bridge;
	unsigned int opts;		/* as those of its set-up */
	struct plan *plan;		/* by plan_of() */
	enum handout handout;
	int domid;			/* the guest that has it, or -1 */
	struct fn *head;		/* the function by which its reset is asked for */
	const char *request, *path;	/* what is written for that, and where */
	int err;			/* and what it came to */
};

struct list {
	struct fn **fn;
	int n;
};

extern struct fn *all;
extern int n_all;

#define for_all(f)	for (struct fn *f = all; f < all + n_all; f++)
#define for_each(f, l)							\
	for (struct fn **f##_p = (l)->fn, *f; f##_p < (l)->fn + (l)->n && (f = *f##_p); f##_p++)
#define for_names(name, list)	for (char **name##_p = list, *name; (name = *name##_p); name##_p++)
#define for_words(word, text, separators)				\
	for (char *word##_s, *word = strtok_r(text, separators, &word##_s); word; \
	     word = strtok_r(NULL, separators, &word##_s))

/* parse.c: of all that comes from outside */
void clean_text(char *out, size_t size, const char *in);
const char *parse_bdf(const char *s, char *bdf);
bool parse_want(const char *s, struct want *want);
bool parse_number(const char *s, unsigned int max, unsigned int *val);
bool valid_name(const char *s);
void parse_plan(const char *text, struct plan *plan);
bool parse_setting(const char *text, const char *key, char *value, size_t size);
bool parse_mount(const char *line, struct mount *mount);

/* files.c */
void *get(size_t size);
const void *newest(void);
void forget(const void *since);
char *format(const char *fmt, ...) __printf(1, 2);
#define ROOT		(getenv("PCIBACK_RESET_ROOT") ?: "")
#define on_tree()	(*ROOT)
/* A path, below that */
#define at(fmt, ...)	format("%s" fmt, ROOT, ##__VA_ARGS__)
#define exists(path)	(!access(path, F_OK))
/* Is @word one of @words, which spaces separate? */
#define has_word(words, word)	strstr(format(" %s ", words), format(" %s ", word))
char *clean(const char *text);
char *read_file(const char *path);
char *read_line(const char *path);
char *attr(const struct fn *f, const char *name);
char *setting(const char *key);
char *link_path(const char *path);
char *link_name(const char *path);
char **names(const char *dir);

/* tree.c: what this machine has */
void scan(bool brief);
void scan_driver(struct fn *f);
struct fn *find(const char *bdf);
bool thorough(void);
struct plan *plan_of(struct fn *f);
unsigned int class_of(const struct fn *f);
char *ids_of(const struct fn *f);
char *name_of(const struct fn *f);
char *slot_path(const struct fn *f);
bool below(const struct fn *f, const struct fn *top);
const char *own_method(struct fn *f);
const char *method_of(struct fn *f);
struct list list_new(void);
bool list_has(const struct list *l, const struct fn *f);
void list_add(struct list *l, struct fn *f);
char *list_text(const struct list *l);
struct list set_of(struct fn *f);
const char *set_blocker(struct fn *f);
const char *driver_or_none(const struct fn *f);

/* uses.c */
const char *used_for(struct fn *f, bool *never);
void forget_uses(void);

/* guests.c: xenstore and xl */
bool has_program(const char *name);
bool use_xl(void);
void scan_store(void);
void scan_guests(void);
int find_domain(const char *name);
char *guest_name(int domid);
bool is_pv(int domid);
#define run(quiet, ...)	run_program(quiet, format(__VA_ARGS__))
int run_program(bool quiet, const char *line);

/* pciback-reset.c */
extern unsigned int opts;
extern int status;
#define warn(...)	print_warning(format(__VA_ARGS__))
#define refuse(bdf, code, ...)	print_refusal(bdf, code, format(__VA_ARGS__))
#define die(code, ...)	(refuse(NULL, code, __VA_ARGS__), exit(code))
void print_warning(const char *text);
bool print_refusal(const char *bdf, int code, const char *text);
void fail(int code);
struct json_object *json(struct json_object *obj, ...);
const char *json_line(struct json_object *obj);
void print(struct json_object *obj, const char *text);
void print_command(const char *text);
void print_result(const struct fn *f, int code, const char *word, const char *text);
const char *colour(const char *word);
void warn_if_stock(void);
void need_pciback(void);
struct fn *locate(const struct want *want, const char **why);
struct list need_functions(char **argv, bool brief, bool left);
struct list boot_functions(void);

/* reset.c */
int put(const char *value, const char *path);
void need_owned(const struct list *l);
void need_idle(const struct list *l);
struct list take_along(const struct list *named, bool adopt);

/* list.c */
const char *plan_text(struct fn *f);
const char *planned_method(struct fn *f);
struct json_object *json_function(struct fn *f);

typedef void command_fn(char **argv);
command_fn command_list, command_plan, command_doctor, command_report, command_monitor;
command_fn command_reset, command_adopt, command_release, command_attach, command_detach;
command_fn command_setup, command_undo;

#endif
