// SPDX-License-Identifier: GPL-2.0
/*
 * The parsers of pciback-reset (tools/xen/parse.c), for libFuzzer: whatever a guest, a file or a
 * person writes, what comes out is fit for a terminal and for JSON, and is what it says it is.
 */
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pciback-reset.h"

#define must(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "not so: %s\n", #condition);		\
		abort();						\
	}								\
} while (0)

/* By the C library's word: UTF-8, and no control characters */
static void must_be_clean(char *text)
{
	static iconv_t utf8;
	char out[8 * TEXT_LEN], *to = out, *p;
	size_t in = strlen(text), left = sizeof(out);

	for (p = text; *p; p++)
		must((unsigned char)*p >= 0x20 && *p != 0x7f);
	must(!strstr(text, "\302\233") && !strstr(text, "\342\200\256"));
	if (!utf8)
		utf8 = iconv_open("UTF-32LE", "UTF-8");
	must(iconv(utf8, &text, &in, &to, &left) != (size_t)-1 && !in);
}

static void must_be_bdf(const char *bdf)
{
	char again[BDF_LEN];
	const char *end = parse_bdf(bdf, again);

	must(end && !*end && !strcmp(bdf, again));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = malloc(size + 1), out[TEXT_LEN], bdf[BDF_LEN];
	const char *end;
	struct mount mount;
	struct want want;
	struct plan plan;
	unsigned int val;

	memcpy(text, data, size);
	text[size] = '\0';

	clean_text(out, sizeof(out), text);
	must_be_clean(out);
	end = parse_bdf(text, bdf);
	if (end)
		must_be_bdf(bdf);
	if (parse_want(text, &want)) {
		must_be_bdf(want.bdf);
		must(!want.ids[0] || (strlen(want.ids) == 9 && want.ids[4] == ':'));
		must_be_clean(want.path);
	}
	if (parse_number(text, 0x7fef, &val))
		must(val <= 0x7fef && snprintf(out, sizeof(out), "%u", val) == (int)strlen(text) &&
		     !strcmp(out, text));
	if (valid_name(text))
		must(!strpbrk(text, "/\n :$*") && text[0] != '.');
	parse_plan(text, &plan);
	must_be_clean(plan.text);
	must(!strchr(plan.method, ' '));
	if (plan.blocker[0])
		must_be_bdf(plan.blocker);
	if (parse_setting(text, "ADOPT", out, sizeof(out))) {
		must(!strchr(out, '\n') || strpbrk(text, "\"'"));
		/* What allows something is there to the letter */
		must(strcmp(out, "no") || strstr(text, "ADOPT=no") ||
		     strstr(text, "ADOPT=\"no\"") || strstr(text, "ADOPT='no'"));
	}
	if (parse_mount(text, &mount))
		must(mount.dev[0]);
	free(text);
	return 0;
}
