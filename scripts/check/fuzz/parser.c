// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's parser of addresses in user space, for libFuzzer: has it the
 * reference's answer to whatever is written? fuzz.sh builds it, and cuts the
 * parser itself out of the driver's source.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/pci.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bdf.h"

/* What else of the kernel it uses */
static int hex_to_bin(unsigned char ch)
{
	if (!isxdigit(ch))
		return -1;
	return isdigit(ch) ? ch - '0' : tolower(ch) - 'a' + 10;
}

#include "driver.h"

static unsigned long inputs, addresses;

static void report(void)
{
	printf("%lu inputs, %lu of them addresses\n", inputs, addresses);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return atexit(report);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	unsigned int domain = -1, bus = -1, devfn = -1;
	struct bdf bdf;
	bool same;
	char *buf;
	int ret;

	/* As sysfs hands it over, and not a byte more for ASan */
	buf = malloc(size + 1);
	if (!buf)
		abort();
	memcpy(buf, data, size);
	buf[size] = '\0';

	ret = pcibk_parse_bdf(buf, size, &domain, &bus, &devfn);
	inputs++;
	if (bdf_parse(buf, size, &bdf)) {
		addresses++;
		same = !ret && domain == bdf.domain && bus == bdf.bus &&
		       devfn == PCI_DEVFN(bdf.dev, bdf.func);
	} else {
		same = ret == -EINVAL;
	}
	if (!same) {
		char shown[1024];

		bdf_escape(buf, size, shown, sizeof(shown));
		fprintf(stderr, "driver: %d, %x:%x, devfn %x for '%s'\n", ret,
			domain, bus, devfn, shown);
		abort();
	}

	free(buf);
	return 0;
}
