// SPDX-License-Identifier: GPL-2.0
/*
 * pciback-reset: memory and files
 *
 * Nothing is freed before the command ends; monitor, which does not end, and what waits forget
 * at once all that is younger than a point in time.
 */
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "pciback-reset.h"

static struct block {
	struct block *next;
	max_align_t data[];
} *blocks;

/* Memory, all zeros */
void *get(size_t size)
{
	struct block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		abort();
	block->next = blocks;
	blocks = block;
	return block->data;
}

const void *newest(void)
{
	return blocks;
}

/* All that is younger than @since, by newest(); or all */
void forget(const void *since)
{
	struct block *next;

	for (; blocks != since; blocks = next) {
		next = blocks->next;
		free(blocks);
	}
}

char *format(const char *fmt, ...)
{
	va_list args;
	char *out;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	out = get(n + 1);
	va_start(args, fmt);
	vsnprintf(out, n + 1, fmt, args);
	va_end(args);
	return out;
}

char *clean(const char *text)
{
	size_t size = strlen(text) + 1;
	char *out = get(size);

	clean_text(out, size, text);
	return out;
}

/* All of a file, as it is; "" if it cannot be read */
char *read_file(const char *path)
{
	static char text[1 << 20];
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	return memcpy(get(len + 1), text, len);
}

/* Its first line, fit for a terminal */
char *read_line(const char *path)
{
	char *text = read_file(path);

	text[strcspn(text, "\n")] = '\0';
	return clean(text);
}

char *attr(const struct fn *f, const char *name)
{
	return read_line(at(PCI "/devices/%s/%s", f->bdf, name));
}

/* Of the configuration file; the environment goes before it */
char *setting(const char *key)
{
	char *text = read_file(at(CONFIG)), *value = get(strlen(text) + 1);

	parse_setting(text, key, value, strlen(text) + 1);
	return getenv(key) ? format("%s", getenv(key)) : value;
}

/* What a link names, as it is; "" if it is none */
char *link_path(const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	return format("%.*s", n < 0 ? 0 : (int)n, target);
}

/* The last part of that, fit for a terminal */
char *link_name(const char *path)
{
	char *target = link_path(path), *slash = strrchr(target, '/');

	return clean(slash ? slash + 1 : target);
}

/* What is in a folder, in order; NULL ends it */
char **names(const char *dir)
{
	struct dirent **entries;
	int i, n = scandir(dir, &entries, NULL, alphasort);
	char **list = get((n < 0 ? 1 : n + 1) * sizeof(*list)), **end = list;

	for (i = 0; i < n; i++) {
		if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, ".."))
			*end++ = format("%s", entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return list;
}
