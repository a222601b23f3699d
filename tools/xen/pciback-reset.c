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
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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

static command_fn command_completion;

#define EXTENT (NEEDS_ROOT | OPT_ONLY | OPT_SET | OPT_DRY_RUN)
#define ANY_NUMBER 4096

static const struct command {
	const char *name, *arguments;
	int least, most;
	unsigned int opts;
	command_fn *start;
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
	{ "undo", "NAME", 1, 1, NEEDS_ROOT | OPT_DRY_RUN, command_undo,
	  "take that back" },
	{ "adopt", "FUNCTION...", 0, ANY_NUMBER, EXTENT | OPT_FORCE | OPT_YES | OPT_BOOT,
	  command_adopt, "give to pciback" },
	{ "release", "FUNCTION...", 1, ANY_NUMBER, EXTENT, command_release,
	  "give back to the driver that had it before" },
	{ "attach", "DOMAIN FUNCTION...", 2, ANY_NUMBER, EXTENT, command_attach,
	  "reset what needs it, and give to a running guest" },
	{ "detach", "DOMAIN FUNCTION...", 2, ANY_NUMBER, EXTENT | OPT_FORCE, command_detach,
	  "take from a running guest, and see that it is reset" },
	{ "reset", "FUNCTION...", 1, ANY_NUMBER,
	  NEEDS_ROOT | OPT_IF_NEEDED | OPT_WEAK | OPT_WAIT, command_reset,
	  "reset, by one write for each set of functions" },
	{ "monitor", "", 0, 0, 0, command_monitor,
	  "each reset, hand-out and refusal as it happens" },
	{ "report", "", 0, 0, 0, command_report,
	  "what this machine has and how its resets went, without serial numbers" },
	{ "completion", "[WORD]...", 0, ANY_NUMBER, 0, command_completion,
	  "for bash: the words that may follow" },
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
	      "Every command but completion has --json. pciback-reset --version.\n\n"
	      "Exit status: 0 done; 1 several kinds of errors, or another; 2 wrong usage;\n"
	      "3 no such function, or not pciback's; 4 blocked by another function or in use;\n"
	      "5 nothing can reset it; 6 the reset failed; 7 locked, try again; 8 not allowed;\n"
	      "9 something is missing: the driver, a part of it, xl.\n", to);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; name && i < N_ELEMENTS(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* For bash: the words that may follow those */
static void command_completion(char **argv)
{
	const struct command *command = find_command(*argv);
	size_t i;

	for (i = 0; !command && i < N_ELEMENTS(commands); i++)
		puts(commands[i].name);
	for (i = 0; command && i < N_ELEMENTS(options); i++)
		if (options[i].opt & (command->opts | OPT_JSON | OPT_HELP))
			printf("--%s\n", options[i].name);
	if (!command || !command->most)
		return;
	for_names(bdf, names(at(PCI "/devices")))
		puts(bdf);
	for_names(name, names(at(SETUPS)))
		if (valid_name(name))
			puts(name);
}

void print_warning(const char *text)
{
	fflush(stdout);
	fprintf(stderr, "pciback-reset: %s\n", clean(text));
}

/* A driver of a stock kernel does less */
void warn_if_stock(void)
{
	if (exists(at(PCIBACK)) && !thorough())
		warn("this kernel's pciback is without thorough resets: it has no reset_device, and shows neither plans nor results");
}

void fail(int code)
{
	status = !status || status == code ? code : FAILED;
}

/* Add texts to an object, or to a new one: keys and texts, then NULL.  No text is null. */
struct json_object *json(struct json_object *obj, ...)
{
	const char *key, *text;
	va_list args;

	obj = obj ?: json_object_new_object();
	va_start(args, obj);
	while ((key = va_arg(args, const char *))) {
		text = va_arg(args, const char *);
		json_object_object_add(obj, key,
				       text && *text ? json_object_new_string(text) : NULL);
	}
	va_end(args);
	return obj;
}

const char *json_line(struct json_object *obj)
{
	return json_object_to_json_string_ext(obj, JSON_C_TO_STRING_SPACED |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* The same for programs and for people, at once */
void print(struct json_object *obj, const char *text)
{
	puts(opts & OPT_JSON ? json_line(obj) : text);
	fflush(stdout);
	json_object_put(obj);
}

/* What a dry run would do */
void print_command(const char *text)
{
	print(json(NULL, "command", text, NULL), text);
}

/* Of a word of result; "" ends it */
const char *colour(const char *word)
{
	static const char * const colours[][2] = {
		{ "", "\033[m" }, { "bold", "\033[1m" }, { "ok", "\033[32m" },
		{ "clean", "\033[32m" }, { "weak", "\033[33m" },
	};
	const char *term = getenv("TERM");
	size_t i;

	if (!isatty(STDOUT_FILENO) || getenv("NO_COLOR") || !term || !strcmp(term, "dumb"))
		return "";
	for (i = 0; i < N_ELEMENTS(colours); i++)
		if (!strcmp(colours[i][0], word))
			return colours[i][1];
	return "\033[31m";
}

/* What came of a function; the exit status is that of all errors, if they are of one kind */
static struct json_object *outcome(const char *bdf, int code, const char *word, const char *text)
{
	struct json_object *obj = json(NULL, "bdf", bdf, "result", word, NULL);

	if (code)
		fail(code);
	json_object_object_add(obj, "ok", json_object_new_boolean(!code));
	json_object_object_add(obj, "status", json_object_new_int(code));
	return json(obj, code ? "error" : "text", text, NULL);
}

/* A function's line of result; a dry run has none */
void print_result(const struct fn *f, int code, const char *word, const char *text)
{
	struct json_object *obj = outcome(f->bdf, code, word, text);

	if (!(opts & OPT_DRY_RUN))
		print(obj, format("%s  %s%-8s%s%s%s", f->bdf, colour(word), word, colour(""),
				  text[0] ? " " : "", text));
}

/* Nothing is done with a function or, without @bdf, at all; true */
bool print_refusal(const char *bdf, int code, const char *text)
{
	struct json_object *obj = outcome(bdf, code, "refused", clean(text));

	if (opts & OPT_JSON)
		print(obj, NULL);
	else
		print_warning(text);
	return true;
}

void need_pciback(void)
{
	if (!exists(at(PCIBACK)))
		die(MISSING, "the driver is not loaded: modprobe xen-pciback");
}

/* What is asked for: by arguments, by the set-ups that they name, or for the boot */
static struct want wants[ANY_NUMBER];
static int n_wants;

static bool add_want(const char *word, unsigned int with)
{
	struct want *want = &wants[n_wants];

	if (n_wants == ANY_NUMBER)
		die(USAGE, "too many functions");
	if (!parse_want(word, want))
		return false;
	want->opts = with;
	return ++n_wants;
}

/* All words of a text that are addresses; a set-up begins with the options that count at boot */
static void add_words(char *text, const char *where, unsigned int with)
{
	for_words(word, text, " \t\n")
		if (!strcmp(word, "--force"))
			with |= OPT_FORCE;
		else if (!strcmp(word, "--only"))
			with |= OPT_ONLY;
		else if (!add_want(word, with))
			refuse(NULL, USAGE, "%s: not the address of a PCI function: '%s'", where,
			       word);
}

static void add_setup(const char *name)
{
	const char *path = at(SETUPS "/%s", name);

	if (exists(path))
		add_words(read_file(path), name, OPT_STRICT);
	else
		refuse(NULL, UNKNOWN, "there is no set-up of the name %s, nor is it an address",
		       name);
}

/* A function that is what it was when somebody wrote it down; NULL, and @why */
struct fn *locate(const struct want *want, const char **why)
{
	struct fn *f = find(want->bdf);

	/* Addresses move when hardware is added; a place does not */
	if (want->path[0] && want->ids[0])
		for_all(other)
			if (!strcmp(slot_path(other), want->path)) {
				f = other;
				break;
			}
	if (!f)
		*why = format("there is no function %s", want->bdf);
	else if (want->ids[0] && strcmp(want->ids, ids_of(f)))
		*why = format("%s is %s, and not %s as it should be", f->bdf, ids_of(f),
			      want->ids);
	else if (want->path[0] && strcmp(slot_path(f), want->path))
		*why = format("%s is at %s, and not at %s as it should be", f->bdf, slot_path(f),
			      want->path);
	else
		return f;
	return NULL;
}

/* That, or why not.  @left: what is gone or another device has left its set-up alone. */
static struct fn *found(const struct want *want, bool left)
{
	const char *why;
	struct fn *f = locate(want, &why);

	if (f && strcmp(f->bdf, want->bdf))
		warn("what was %s is %s now", want->bdf, f->bdf);
	else if (!f && left && (want->opts & OPT_STRICT))
		warn("%s", why);
	else if (!f)
		refuse(want->bdf, UNKNOWN, "%s", why);
	return f;
}

static struct list find_all(bool brief, bool left)
{
	struct list l;
	struct fn *f;
	int i;

	scan(brief);
	l = list_new();
	for (i = 0; i < n_wants; i++) {
		f = found(&wants[i], left);
		if (!f)
			continue;
		f->opts |= wants[i].opts;
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
 * @left: of a set-up there may be less by now, or nothing, also of the driver
 *
 * Return: each of them once, and one at least unless @left.  Does not return if one is malformed
 * or does not exist.
 */
struct list need_functions(char **argv, bool brief, bool left)
{
	struct list l;

	for (; *argv; argv++) {
		if (add_want(*argv, 0))
			continue;
		if (valid_name(*argv))
			add_setup(*argv);
		else
			refuse(NULL, USAGE,
			       "not the address of a PCI function: '%s' (like 0000:01:00.0)",
			       *argv);
	}
	if (status)
		exit(status);
	if (!left)
		need_pciback();
	l = find_all(brief, left);
	if (status)
		exit(status);
	if (!l.n && !left)
		die(UNKNOWN, "no function is named: the set-up is empty");
	return l;
}

/* What is to be adopted at boot, as far as it is there */
struct list boot_functions(void)
{
	add_words(setting("ADOPT"), CONFIG, 0);
	for_names(name, names(at(SETUPS)))
		if (valid_name(name))
			add_setup(name);
	if (n_wants)
		need_pciback();
	return find_all(false, false);
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
		/* Of "-json" only the letter is known here */
		const char *word = c == '?' && optopt > ' ' ? format("-%c", optopt) :
			argv[optind - 1];

		if (c == '?' || strcmp(word + 2, options[c].name) || !(options[c].opt & allowed))
			die(USAGE, "%s: what is '%s'? See pciback-reset --help", command->name,
			    word);
		opts |= options[c].opt;
	}
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct command *command = find_command(name);
	int i, n;

	/* Errors in the words before it are for programs, too */
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			opts = OPT_JSON;
	if (!strcmp(name, "--version")) {
		puts("pciback-reset " VERSION);
		return 0;
	}
	if (command)
		take_options(command, argc - 1, argv + 1);
	if (argc < 2 || (opts & OPT_HELP) || !strcmp(name, "--help") || !strcmp(name, "-h")) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? USAGE : 0;
	}
	if (!command)
		die(USAGE, "what is '%s'? See pciback-reset --help", name);
	/* Who does not listen any more stops nothing half way */
	signal(SIGPIPE, SIG_IGN);
	argv += 1 + optind;
	n = argc - 1 - optind;
	if (n < command->least || n > command->most)
		die(USAGE, "usage: pciback-reset %s %s", command->name, command->arguments);
	if ((command->opts & NEEDS_ROOT) && !(opts & OPT_DRY_RUN) && !on_tree() && geteuid())
		die(DENIED, "only root can do this");
	command->start(argv);
	return fflush(stdout) || ferror(stdout) ? FAILED : status;
}
