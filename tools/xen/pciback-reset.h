/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pciback-reset: what its files share
 */
#ifndef _PCIBACK_RESET_H
#define _PCIBACK_RESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define PCI		"/sys/bus/pci"
#define PCIBACK		PCI "/drivers/pciback"
#define CONFIG		"/etc/default/pciback-reset"
#define SETUPS		"/etc/pciback-reset.d"

#define JSON_STYLE	(JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)
#define BDF_LEN		20
#define TEXT_LEN	256
#define N_ELEMENTS(a)	(sizeof(a) / sizeof((a)[0]))

/* Exit statuses */
enum { FAILED = 1, USAGE, UNKNOWN, BLOCKED, NOTHING, BROKEN, AGAIN, DENIED, MISSING };

enum {
	OPT_JSON = 1 << 0, OPT_ALL = 1 << 1, OPT_TREE = 1 << 2, OPT_IF_NEEDED = 1 << 3,
	OPT_WEAK = 1 << 4, OPT_WAIT = 1 << 5, OPT_ONLY = 1 << 6, OPT_SET = 1 << 7,
	OPT_DRY_RUN = 1 << 8, OPT_FORCE = 1 << 9, OPT_YES = 1 << 10, OPT_BOOT = 1 << 11,
	OPT_HELP = 1 << 12,
};

/* What a person or a file asks for: an address, and what must be found there */
struct want {
	char bdf[BDF_LEN];
	int vendor, device;		/* -1: any */
	char path[TEXT_LEN];		/* "": any; see slot_path() */
	bool strict;			/* of a set-up: never handed out if it needs a reset */
	bool force;			/* and made so by force */
};

/* What reset_plan says */
struct plan {
	char text[TEXT_LEN], method[TEXT_LEN], blocker[BDF_LEN], why[TEXT_LEN];
};

enum handout { NOT_LISTED, WANTED, HANDED_OUT, REFUSED };

/* A function of this machine */
struct fn {
	char bdf[BDF_LEN], root[BDF_LEN], driver[64];
	unsigned int domain, bus, slot, func;
	struct fn *parent;		/* the bridge above it; NULL on a root bus */
	struct pci_dev *pci;
	bool owned, bridge, has_plan, strict, force;
	struct plan plan;
	enum handout handout;
	int domid;			/* the guest that has it, or -1 */
	struct fn *head;		/* the function by which its reset is asked for */
	int err;			/* what a write for it came to */
	char said[TEXT_LEN];
};

struct list {
	struct fn **fn;
	int n;
};

/* parse.c: of all that comes from outside */
void clean_text(char *out, size_t size, const char *in);
const char *parse_bdf(const char *s, char *bdf);
bool parse_want(const char *s, struct want *want);
bool parse_number(const char *s, unsigned int max, unsigned int *val);
bool valid_name(const char *s);
void parse_plan(const char *text, struct plan *plan);
bool parse_setting(const char *text, const char *key, char *value, size_t size);
bool parse_mount(char *line, char **dev, char **where, char **source);
bool has_word(const char *words, const char *word);

/* tree.c: what this machine has */
extern struct fn *all;
extern int n_all;
char *at(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *read_line(const char *path, char *buf, size_t size);
char *attr(const struct fn *f, const char *name, char *buf, size_t size);
char *parameter(const char *name, char *buf, size_t size);
bool link_name(const char *path, char *buf, size_t size);
char *read_file(const char *path, char *buf, size_t size);
bool setting(const char *key, char *value, size_t size);
bool exists(const char *path);
void for_each(const char *dir, void (*call)(const char *name, void *arg), void *arg);
void scan(bool brief);
void scan_driver(struct fn *f);
struct fn *find(const char *bdf);
bool thorough(void);
struct plan *plan_of(struct fn *f);
uint32_t class_of(struct fn *f);
void ids_of(struct fn *f, int *vendor, int *device);
char *name_of(struct fn *f, char *buf, size_t size);
char *slot_path(const struct fn *f, char *buf, size_t size);
bool is_vf(const struct fn *f);
bool below(const struct fn *f, const struct fn *top);
bool resets_alone(struct fn *f);
const char *method_of(struct fn *f);
struct list list_new(void);
bool list_has(const struct list *l, const struct fn *f);
void list_add(struct list *l, struct fn *f);
struct list set_of(struct fn *f);
const char *set_blocker(struct fn *f);
const char *driver_or_none(const struct fn *f);

/* uses.c */
const char *used_for(struct fn *f, bool *never);

/* guests.c: xenstore and xl */
bool has_program(const char *name);
bool use_xl(void);
char *store_read(const char *path, char *buf, size_t size);
void scan_store(void);
void scan_guests(void);
int find_domain(const char *name);
const char *guest_name(int domid);
bool is_pv(int domid);
int run(const char *const argv[]);
int run_quietly(const char *const argv[]);

/* pciback-reset.c */
extern unsigned int opts;
extern int status;
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void die(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
void fail(int code);
void print_json(struct json_object *obj);
struct json_object *json_text(const char *text);
struct json_object *json_bdfs(const struct list *l);
void print_command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_result(const struct fn *f, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void need_pciback(void);
void need_root(void);
struct list need_functions(char **argv, bool brief);
struct list boot_functions(void);
const char *colour(const char *word);

/* reset.c */
int put(const char *value, const char *path);
void need_owned(const struct list *l);
void need_idle(const struct list *l);
struct list take_along(const struct list *named, bool adopt);

/* The commands */
void say_stock(void);
const char *plan_text(const struct plan *plan, char *buf, size_t size);
void command_list(char **argv);
void command_plan(char **argv);
void command_doctor(char **argv);
void command_report(char **argv);
void command_monitor(char **argv);
void command_reset(char **argv);
void command_adopt(char **argv);
void command_release(char **argv);
void command_attach(char **argv);
void command_detach(char **argv);
void command_setup(char **argv);
void command_undo(char **argv);

#endif
