// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses as text. See bdf.h.
 *
 * The driver's parser goes through the text once. This one works in another way: it removes
 * the space around the text, and compares the rest with the two forms that are allowed.
 */
#include <stdio.h>
#include <string.h>

#include "bdf.h"

#define SHORT_FORM	"hh:hh.h"
#define LONG_FORM	"hhhhhhhh:" SHORT_FORM
/* The domain has at least that much of it */
#define DOMAIN_DIGITS	4

/* Unlike strchr(), does not take a NUL for one of them */
static bool is_one_of(char c, const char *set)
{
	return memchr(set, c, strlen(set));
}

static bool is_space(char c)
{
	return is_one_of(c, " \t\n\v\f\r");
}

static bool has_form(const char *text, size_t len, const char *form)
{
	size_t i;

	if (len != strlen(form))
		return false;
	for (i = 0; i < len; i++)
		if (form[i] == 'h' ?
		    !is_one_of(text[i], "0123456789abcdefABCDEF") :
		    text[i] != form[i])
			return false;
	return true;
}

static bool is_long(const char *text, size_t len)
{
	const char *form = LONG_FORM;

	for (; *form != ':'; form++)
		if (has_form(text, len, form))
			return strcspn(form, ":") >= DOMAIN_DIGITS;
	return false;
}

bool bdf_parse(const char *text, size_t len, struct bdf *bdf)
{
	char full[sizeof(LONG_FORM)];
	bool with_domain;

	while (len && is_space(*text)) {
		text++;
		len--;
	}
	while (len && is_space(text[len - 1]))
		len--;

	with_domain = is_long(text, len);
	if (!with_domain && !has_form(text, len, SHORT_FORM))
		return false;

	snprintf(full, sizeof(full), "%s%.*s", with_domain ? "" : "0000:",
		 (int)len, text);
	return sscanf(full, "%x:%x:%x.%x", &bdf->domain, &bdf->bus, &bdf->dev,
		      &bdf->func) == 4 &&
	       bdf->dev < 32 && bdf->func < 8;
}

void bdf_escape(const char *text, size_t len, char *out, size_t size)
{
	size_t i, n = 0;

	for (i = 0; i < len && n + 5 < size; i++)
		n += snprintf(out + n, size - n,
			      text[i] > ' ' && text[i] < 0x7f ? "%c" : "\\x%02x",
			      (unsigned char)text[i]);
	out[n] = '\0';
}
