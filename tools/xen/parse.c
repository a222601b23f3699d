// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: the parsers of what comes from outside
 *
 * Guests, files that anybody may have edited, and arguments.  None of these functions looks at
 * anything but its arguments: scripts/check/fuzz/command.c runs them all.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "pciback-reset.h"

/* The length of the UTF-8 sequence at @s, with its character in @c; 0 if it is none */
static int utf8(const unsigned char *s, unsigned int *c)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int i, n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;

	*c = n == 1 ? *s : *s & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	return n && (*c < least[n] || *c > 0x10ffff || *c >> 11 == 0x1b) ? 0 : n;
}

/* What moves a terminal's cursor, or turns its text around */
static bool is_control(unsigned int c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/*
 * Make text fit for a terminal and for JSON: without control characters, and with a question
 * mark for each byte that is not UTF-8.  @out may be @in.
 */
void clean_text(char *out, size_t size, const char *in)
{
	char *end = out + size - 1;
	unsigned int c;
	int n;

	for (; *in; in += n ?: 1) {
		n = utf8((const unsigned char *)in, &c);
		if (n && is_control(c))
			continue;
		if (out + (n ?: 1) > end)
			break;
		if (n)
			memmove(out, in, n);
		else
			*out = '?';
		out += n ?: 1;
	}
	*out = '\0';
}

#define HEX	"[0123456789abcdefABCDEF]"

/*
 * An address: [DDDD:]BB:DD.F, the domain with four to eight digits; in @bdf, of BDF_LEN bytes, as
 * the kernel spells it.  Returns what follows it, or NULL if it is none.
 */
const char *parse_bdf(const char *s, char *bdf)
{
	unsigned int domain = 0, bus, slot, func;
	int len = 0;

	if (sscanf(s, "%*8" HEX ":%n", &len) == 0 && len > 4) {
		domain = strtoul(s, NULL, 16);
		s += len;
	}
	/* %x alone takes blanks, signs and less digits */
	len = 0;
	if (sscanf(s, "%*2" HEX ":%*1[01]%*1" HEX ".%*1[0-7]%n", &len) || len != 7 ||
	    sscanf(s, "%x:%x.%1x", &bus, &slot, &func) != 3)
		return NULL;
	snprintf(bdf, BDF_LEN, "%04x:%02x:%02x.%x", domain, bus, slot, func);
	return s + len;
}

/* What a person or a file asks for: BDF[=VENDOR:DEVICE][@PATH] */
bool parse_want(const char *s, struct want *want)
{
	unsigned int vendor, device;
	char top[BDF_LEN];
	int len = 0;

	memset(want, 0, sizeof(*want));
	s = parse_bdf(s, want->bdf);
	if (s && *s == '=') {
		if (sscanf(s, "=%*4" HEX ":%*4" HEX "%n", &len) || len != 10 ||
		    sscanf(s, "=%x:%4x", &vendor, &device) != 2)
			return false;
		snprintf(want->ids, sizeof(want->ids), "%04x:%04x", vendor, device);
		s += len;
	}
	if (s && *s == '@') {
		/* lspci -P leaves out the domain of all if there is only one */
		s = parse_bdf(s + 1, top);
		if (!s || strlen(s) >= sizeof(want->path) - BDF_LEN ||
		    s[strspn(s, "0123456789abcdef./")])
			return false;
		snprintf(want->path, sizeof(want->path), "%s%s", top, s);
		return true;
	}
	return s && !*s;
}

/* A decimal number, up to @max, without leading zeros */
bool parse_number(const char *s, unsigned int max, unsigned int *val)
{
	unsigned long v;
	char *end;

	if (!isdigit((unsigned char)*s) || (*s == '0' && s[1]) || strlen(s) > 9)
		return false;
	v = strtoul(s, &end, 10);
	*val = v;
	return !*end && v <= max;
}

/* Of a set-up, or of a guest */
bool valid_name(const char *s)
{
	return *s && *s != '-' && *s != '.' && strlen(s) < 64 &&
		!s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")];
}

/* reset_plan: a method, or "blocked BDF (why)"; what the driver had no room for is missing */
void parse_plan(const char *text, struct plan *plan)
{
	const char *rest;
	size_t len;

	memset(plan, 0, sizeof(*plan));
	clean_text(plan->text, sizeof(plan->text), text);
	len = strcspn(plan->text, " ");
	memcpy(plan->method, plan->text, len);
	if (strcmp(plan->method, "blocked"))
		return;
	rest = parse_bdf(plan->text + len + !!plan->text[len], plan->blocker);
	if (!rest || rest[0] != ' ' || rest[1] != '(') {
		plan->blocker[0] = '\0';
		return;
	}
	strcpy(plan->why, rest + 2);
	len = strlen(plan->why);
	if (len && plan->why[len - 1] == ')')
		plan->why[len - 1] = '\0';
	else
		strncat(plan->why, "...", sizeof(plan->why) - len - 1);
}

/*
 * KEY=value or KEY="value" in a file for shells, too, as these read it: what is quoted may have
 * several lines, and the last one counts.  What they would not take is neither guessed nor lost:
 * a line that names @key otherwise, and a quote that does not end or not with its line, is the
 * value as it stands, which means nothing.
 */
bool parse_setting(const char *text, const char *key, char *value, size_t size)
{
	size_t name, len, n = strlen(key);
	const char *end, *next;
	bool found = false;

	for (; *text; text = next + !!*next) {
		text += strspn(text, " \t");
		next = text + strcspn(text, "\n");
		len = next - text;
		name = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz0123456789");
		if (*text == '#')
			continue;
		if (name && text[name] == '=') {
			bool other = name != n || strncmp(text, key, n);

			text += name + 1;
			len = next - text;
			end = *text == '"' || *text == '\'' ? strchr(text + 1, *text) : NULL;
			if (end && end[1] != '#' &&
			    strchr("\n#", end[1 + strspn(end + 1, " \t")])) {
				next = end + strcspn(end, "\n");
				len = end - ++text;
			}
			if (other)
				continue;
		} else if (!memmem(text, len, key, n)) {
			continue;
		}
		len = len < size ? len : size - 1;
		memcpy(value, text, len);
		value[len] = '\0';
		found = true;
	}
	return found;
}

/* "\040" in mountinfo */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (*s == '\\' && strspn(s + 1, "01234567") >= 3) {
			*out++ = (s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0');
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* A line of mountinfo */
bool parse_mount(const char *line, struct mount *mount)
{
	const char *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*s %*s %31s %*s %1023s", mount->dev, mount->where) != 2 ||
	    sscanf(dash, " - %*s %1023s", mount->source) != 1)
		return false;
	unescape(mount->where);
	unescape(mount->source);
	return true;
}
