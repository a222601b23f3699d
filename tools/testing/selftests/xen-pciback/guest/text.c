// SPDX-License-Identifier: GPL-2.0
/*
 * Strings, without a C library. See guest.h.
 */
#include "guest.h"

static char text[1024];
static size_t used;

size_t length(const char *s)
{
	size_t len = 0;

	while (s[len])
		len++;
	return len;
}

bool equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

char *next_word(char **line)
{
	char *word = *line, *end;

	while (*word == ' ')
		word++;
	for (end = word; *end && *end != ' '; end++)
		;
	*line = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

uint32_t parse_hex(const char **s)
{
	uint32_t val = 0;

	for (;; (*s)++) {
		if (**s >= '0' && **s <= '9')
			val = val << 4 | (**s - '0');
		else if (**s >= 'a' && **s <= 'f')
			val = val << 4 | (**s - 'a' + 10);
		else
			return val;
	}
}

void say(const char *s)
{
	while (*s && used < sizeof(text) - 1)
		text[used++] = *s++;
}

void say_hex(uint32_t val, unsigned int digits)
{
	char digit[2] = "";

	while (digits--) {
		digit[0] = "0123456789abcdef"[val >> 4 * digits & 0xf];
		say(digit);
	}
}

const char *said(void)
{
	text[used] = '\0';
	used = 0;
	return text;
}

/* The compiler generates calls of these */
void *memcpy(void *to, const void *from, size_t len);
void *memset(void *s, int c, size_t len);

void *memcpy(void *to, const void *from, size_t len)
{
	void *start = to;

	asm volatile("rep movsb" : "+D" (to), "+S" (from), "+c" (len) : : "memory");
	return start;
}

void *memset(void *s, int c, size_t len)
{
	void *start = s;

	asm volatile("rep stosb" : "+D" (s), "+c" (len) : "a" (c) : "memory");
	return start;
}
