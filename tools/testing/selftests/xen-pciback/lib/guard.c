// SPDX-License-Identifier: GPL-2.0
/*
 * Refuses any machine but the emulated one.
 *
 * The tests take devices from their drivers, reset them and pull them out, by the
 * addresses that qemu/machine.sh gives them. On another machine a device in use may have
 * such an address. So no test runs unless QEMU's root port is where qemu/machine.sh puts
 * the first one, and the hardware's trace arrives (hw.h). DMI is not checked: it is the
 * same for all of QEMU's machines.
 *
 * The Makefile links this with every program, and it runs before main(), so that a
 * new test cannot forget it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "../../kselftest.h"
#include "hw.h"

#define ROOT_PORT	"/sys/bus/pci/devices/0000:00:10.0/"

static bool has_id(const char *path, unsigned int expected)
{
	FILE *f = fopen(path, "r");
	unsigned int id;
	bool same;

	if (!f)
		return false;
	same = fscanf(f, "%x", &id) == 1 && id == expected;
	fclose(f);
	return same;
}

static void __attribute__((constructor)) refuse_other_machines(void)
{
	if (has_id(ROOT_PORT "vendor", 0x1b36) &&
	    has_id(ROOT_PORT "device", 0x000c) && !access(HW_FEED, F_OK))
		return;

	ksft_print_header();
	ksft_exit_skip("not in the emulated machine, which qemu/vm.sh boots\n");
}
