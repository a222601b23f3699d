// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: what this machine's PCI functions are to xen-pciback, what a reset of each would
 * do, and the steps around it in their right order.  For people, and for scripts.
 *
 * See pciback-reset(8), and Documentation/ABI/testing/sysfs-driver-pciback-reset in the kernel's
 * sources for what it is made of.
 */
#include <getopt.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "pciback-reset.h"

#define VERSION	"2.0"

unsigned int opts;
int status;

/* The names are getopt's, the help is for people */
static const struct {
	const char *name;
	unsigned int opt;
	const char *help;
} options[] = {
	{ "all", OPT_ALL, "every function of the machine, not only pciback's" },
	{ "boot", OPT_BOOT, "what is set up, and ADOPT of " CONFIG },
	{ "dry-run", OPT_DRY_RUN, "only print the commands" },
	{ "force", OPT_FORCE, "even if dom0 uses it, or the guest does not let go" },
	{ "help", OPT_HELP, "this text" },
	{ "if-needed", OPT_IF_NEEDED, "only what needs a reset by pciback's account" },
	{ "json", OPT_JSON, "for programs" },
	{ "only", OPT_ONLY, "no other functions than those named" },
	{ "set", OPT_SET, "all on the same bus, even if they could be reset alone" },
	{ "tree", OPT_TREE, "as lspci -t draws it" },
	{ "wait", OPT_WAIT, "for its guest to be done with it, a minute at most" },
	{ "weak", OPT_WEAK, "a weak reset is enough where no other is possible now" },
	{ "yes", OPT_YES, "do not ask" },
};

static void command_completion(char **argv);

#define EXTENT (OPT_ONLY | OPT_SET | OPT_DRY_RUN)
#define ANY_NUMBER 4096

static const struct command {
	const char *name, *arguments;
	int least, most;
	unsigned int opts;
	void (*run)(char **argv);
	const char *help;
} commands[] = {
	{ "list", "", 0, 0, OPT_ALL | OPT_TREE, command_list,
	  "what pciback owns, how each would be reset, how it went last time" },
	{ "plan", "FUNCTION...", 1, ANY_NUMBER, 0, command_plan,
	  "what a reset would do, or why it can't be done, and what to type" },
	{ "doctor", "", 0, 0, 0, command_doctor,
	  "is this machine ready? And what to type if it is not" },
	{ "setup", "NAME BDF...", 2, ANY_NUMBER, EXTENT | OPT_FORCE | OPT_YES, command_setup,
	  "adopt now and at each boot, by a name" },
	{ "undo", "NAME", 1, 1, OPT_DRY_RUN, command_undo, "take that back" },
	{ "adopt", "FUNCTION...", 0, ANY_NUMBER, EXTENT | OPT_FORCE | OPT_YES | OPT_BOOT,
	  command_adopt, "give to pciback" },
	{ "release", "FUNCTION...", 1, ANY_NUMBER, EXTENT, command_release,
	  "give back to the driver that had it before" },
	{ "attach", "DOMAIN FUNCTION...", 2, ANY_NUMBER, EXTENT, command_attach,
	  "reset what needs it, and give to a running guest" },
	{ "detach", "DOMAIN FUNCTION...", 2, ANY_NUMBER, EXTENT | OPT_FORCE, command_detach,
	  "take from a running guest, and see that it is reset" },
	{ "reset", "FUNCTION...", 1, ANY_NUMBER, OPT_IF_NEEDED | OPT_WEAK | OPT_WAIT,
	  command_reset, "reset, by one write for each set of functions" },
	{ "monitor", "", 0, 0, 0, command_monitor,
	  "each reset, hand-out and refusal as it happens" },
	{ "report", "", 0, 0, 0, command_report,
	  "what this machine has and how its resets went, without serial numbers" },
	{ "completion", "", 0, 0, 0, command_completion, "for bash" },
};

static void usage(FILE *to)
{
	size_t i, j;

	fputs("Usage: pciback-reset COMMAND [OPTION]... [ARGUMENT]...\n\n", to);
	for (i = 0; i < N_ELEMENTS(commands); i++) {
		fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].arguments,
			commands[i].help);
		for (j = 0; j < N_ELEMENTS(options); j++)
			if (options[j].opt & commands[i].opts)
				fprintf(to, "        --%-10s %s\n", options[j].name,
					options[j].help);
	}
	fputs("\nA FUNCTION is an address, [DDDD:]BB:DD.F in hex, or the NAME of a set-up.\n"
	      "An address may say what must be there: BDF[=VENDOR:DEVICE][@PATH].\n"
	      "Every command has --json. pciback-reset --version.\n\n"
	      "Exit status: 0 done; 1 several kinds of errors, or another; 2 wrong usage;\n"
	      "3 no such function, or not pciback's; 4 blocked by another function or in use;\n"
	      "5 nothing can reset it; 6 the reset failed; 7 locked, try again; 8 not allowed;\n"
	      "9 something is missing: the driver, a part of it, xl.\n", to);
}

static void print_words(unsigned int mask)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(options); i++)
		if (options[i].opt & mask)
			printf(" --%s", options[i].name);
}

/* Of the tables above, so that it cannot miss anything */
static void command_completion(char **argv)
{
	size_t i;

	(void)argv;
	puts("# bash completion for pciback-reset; made by \"pciback-reset completion\"\n\n"
	     "_pciback_reset()\n{\n"
	     "\tlocal cur words cword options functions pci=/sys/bus/pci\n\n"
	     "\t# A \":\" ends no word here: an address is one\n"
	     "\t_get_comp_words_by_ref -n : cur words cword\n"
	     "\tcase $cword:${words[1]} in");
	printf("\t1:*) functions='--help --version");
	for (i = 0; i < N_ELEMENTS(commands); i++)
		printf(" %s", commands[i].name);
	puts("' ;;");
	for (i = 0; i < N_ELEMENTS(commands); i++) {
		bool any = commands[i].run == command_plan || commands[i].run == command_adopt ||
			commands[i].run == command_setup;

		if (!strncmp(commands[i].arguments, "DOMAIN", 6))
			printf("\t2:%s) functions=$(xl list 2>/dev/null | sed '1,2d;s/ .*//');;\n",
			       commands[i].name);
		printf("\t*:%s) options='", commands[i].name);
		print_words(commands[i].opts | OPT_JSON | OPT_HELP);
		printf("'");
		if (commands[i].least || commands[i].run == command_adopt)
			printf("\n\t\tfunctions=$(cd %s 2>/dev/null && echo *:??:??.?\n"
			       "\t\t\tcd " SETUPS " 2>/dev/null && echo *)",
			       any ? "$pci/devices" : "$pci/drivers/pciback");
		puts(" ;;");
	}
	puts("\tesac\n"
	     "\t[[ $cur == -* ]] && ((cword > 1)) && functions=$options\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$functions\" -- \"$cur\")\n"
	     "\t__ltrim_colon_completions \"$cur\"\n"
	     "}\n\ncomplete -F _pciback_reset pciback-reset");
}

/* -- what it says ------------------------------------------------------------- */

static void vwarn(const char *fmt, va_list args)
{
	char text[4096];

	vsnprintf(text, sizeof(text), fmt, args);
	clean_text(text, sizeof(text), text);
	fflush(stdout);
	fprintf(stderr, "pciback-reset: %s\n", text);
}

void warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vwarn(fmt, args);
	va_end(args);
}

void die(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vwarn(fmt, args);
	va_end(args);
	exit(code);
}

/* The exit status is that of all errors, if they are of one kind */
void fail(int code)
{
	status = !status || status == code ? code : FAILED;
}

/* An object a line, at once */
void print_json(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_STYLE));
	fflush(stdout);
	json_object_put(obj);
}

/* Or null */
struct json_object *json_text(const char *text)
{
	return text && text[0] ? json_object_new_string(text) : NULL;
}

struct json_object *json_bdfs(const struct list *l)
{
	struct json_object *array = json_object_new_array();
	int i;

	for (i = 0; i < l->n; i++)
		json_object_array_add(array, json_object_new_string(l->fn[i]->bdf));
	return array;
}

/* What a dry run would do */
void print_command(const char *fmt, ...)
{
	char text[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (opts & OPT_JSON) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "command", json_text(text));
		print_json(obj);
	} else {
		puts(text);
	}
}

static bool has_colours(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && term && strcmp(term, "dumb");
}

/* Of a word of result; "" ends it */
const char *colour(const char *word)
{
	if (!has_colours())
		return "";
	if (!*word)
		return "\033[m";
	if (!strcmp(word, "bold"))
		return "\033[1m";
	if (!strcmp(word, "ok") || !strcmp(word, "clean"))
		return "\033[32m";
	return !strcmp(word, "weak") ? "\033[33m" : "\033[31m";
}

/* A function's line of result */
void print_result(const struct fn *f, const char *word, const char *fmt, ...)
{
	char text[2 * TEXT_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (opts & OPT_JSON) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "bdf", json_text(f->bdf));
		json_object_object_add(obj, "result", json_text(word));
		json_object_object_add(obj, "text", json_text(text));
		print_json(obj);
		return;
	}
	printf("%s  %s%-8s%s%s%s\n", f->bdf, colour(word), word, colour(""), text[0] ? " " : "",
	       text);
	fflush(stdout);
}

/* -- what it is told ---------------------------------------------------------- */

void need_pciback(void)
{
	if (!exists(at(PCIBACK)))
		die(MISSING, "the driver is not loaded: modprobe xen-pciback");
}

void need_root(void)
{
	if (!(opts & OPT_DRY_RUN) && !getenv("PCIBACK_RESET_ROOT") && geteuid())
		die(DENIED, "only root can do this");
}

/* A function that is what it was when somebody wrote it down; NULL, and why */
static struct fn *found(const struct want *want)
{
	struct fn *f = find(want->bdf), *other = NULL;
	char path[TEXT_LEN];
	int i, vendor, device;

	/* Addresses move when hardware is added; a place does not */
	for (i = 0; want->path[0] && want->vendor >= 0 && i < n_all; i++)
		if (!strcmp(slot_path(&all[i], path, sizeof(path)), want->path))
			other = &all[i];
	if (other && other != f) {
		warn("what was %s is %s now", want->bdf, other->bdf);
		f = other;
	}
	if (!f) {
		warn("there is no function %s", want->bdf);
		return NULL;
	}
	ids_of(f, &vendor, &device);
	if (want->vendor >= 0 && (want->vendor != vendor || want->device != device)) {
		warn("%s is %04x:%04x, and not %04x:%04x as it should be", f->bdf, vendor, device,
		     want->vendor, want->device);
		return NULL;
	}
	if (want->path[0] && strcmp(slot_path(f, path, sizeof(path)), want->path)) {
		warn("%s is at %s, and not at %s as it should be", f->bdf, path, want->path);
		return NULL;
	}
	f->strict = want->strict;
	f->force = want->force;
	return f;
}

/* All words of a text that are addresses; a set-up may begin with "--force" */
static int wants_of(char *text, struct want *wants, int n, const char *where)
{
	char *word, *save = NULL;
	bool force = false;

	for (word = strtok_r(text, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save)) {
		if (!strcmp(word, "--force")) {
			force = true;
			continue;
		}
		if (n < ANY_NUMBER && parse_want(word, &wants[n])) {
			wants[n++].force = force;
			continue;
		}
		warn("%s: not the address of a PCI function: '%s'", where, word);
		fail(USAGE);
	}
	return n;
}

static int wants_of_setup(const char *name, struct want *wants, int n)
{
	char text[65536];
	int first;

	if (!exists(at(SETUPS "/%s", name))) {
		warn("there is no set-up of the name %s", name);
		fail(UNKNOWN);
		return n;
	}
	read_file(at(SETUPS "/%s", name), text, sizeof(text));
	first = n;
	n = wants_of(text, wants, n, name);
	while (first < n)
		wants[first++].strict = true;
	return n;
}

static struct list find_all(const struct want *wants, int n, bool brief)
{
	struct list l;
	struct fn *f;
	int i;

	scan(brief);
	l = list_new();
	for (i = 0; i < n; i++) {
		f = found(&wants[i]);
		if (!f) {
			fail(UNKNOWN);
			continue;
		}
		if (brief)
			scan_driver(f);
		list_add(&l, f);
	}
	return l;
}

/**
 * need_functions() - the functions that the arguments name
 * @argv: addresses, and names of set-ups
 * @brief: of all others nothing is to be known but where they are
 *
 * Return: each of them once.  If one is malformed or does not exist, there is nothing to return to.
 */
struct list need_functions(char **argv, bool brief)
{
	struct want *wants = calloc(ANY_NUMBER, sizeof(*wants));
	struct list l;
	int n = 0;

	for (; *argv; argv++) {
		if (n == ANY_NUMBER)
			die(USAGE, "too many functions");
		if (parse_want(*argv, &wants[n])) {
			n++;
		} else if (valid_name(*argv)) {
			n = wants_of_setup(*argv, wants, n);
		} else {
			warn("not the address of a PCI function: '%s' (like 0000:01:00.0)", *argv);
			fail(USAGE);
		}
	}
	if (status)
		exit(status);
	need_pciback();
	l = find_all(wants, n, brief);
	if (status)
		exit(status);
	free(wants);
	return l;
}

struct boot {
	struct want *wants;
	int n;
};

static void add_setup(const char *name, void *arg)
{
	struct boot *boot = arg;

	boot->n = wants_of_setup(name, boot->wants, boot->n);
}

/* What is to be adopted at boot, as far as it is there */
struct list boot_functions(void)
{
	struct boot boot = { calloc(ANY_NUMBER, sizeof(*boot.wants)), 0 };
	char text[65536];
	struct list l;

	setting("ADOPT", text, sizeof(text));
	boot.n = wants_of(text, boot.wants, 0, CONFIG);
	for_each(at(SETUPS), add_setup, &boot);
	if (boot.n)
		need_pciback();
	l = find_all(boot.wants, boot.n, false);
	free(boot.wants);
	return l;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* An option must be spelled out: "--for" is no "--force" */
static void take_options(const struct command *command, int argc, char **argv)
{
	struct option longopts[N_ELEMENTS(options) + 1] = { 0 };
	unsigned int allowed = command->opts | OPT_JSON | OPT_HELP;
	int i, c;

	for (i = 0; i < (int)N_ELEMENTS(options); i++) {
		longopts[i].name = options[i].name;
		longopts[i].val = i;
	}
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (c == '?' || strcmp(word + 2, options[c].name) || !(options[c].opt & allowed))
			die(USAGE, "%s: what is '%s'? See pciback-reset --help", command->name,
			    word);
		opts |= options[c].opt;
	}
}

int main(int argc, char **argv)
{
	const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
	int n;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("pciback-reset " VERSION);
		return 0;
	}
	if (argc < 2) {
		usage(stderr);
		return USAGE;
	}
	if (!command)
		die(USAGE, "what is '%s'? See pciback-reset --help", argv[1]);
	take_options(command, argc - 1, argv + 1);
	if (opts & OPT_HELP) {
		usage(stdout);
		return 0;
	}
	argv += 1 + optind;
	n = argc - 1 - optind;
	if (n < command->least || n > command->most)
		die(USAGE, "usage: pciback-reset %s %s", command->name, command->arguments);
	command->run(argv);
	return fflush(stdout) ? FAILED : status;
}
