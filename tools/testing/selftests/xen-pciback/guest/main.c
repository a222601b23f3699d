// SPDX-License-Identifier: GPL-2.0
/*
 * A small HVM guest that xl loads instead of hvmloader (firmware_override). It works with
 * the PCI functions that are passed through to it. Like qemu/guest-init in a PV guest it
 * takes commands from its console (lib/xl.h). A line is a number and a command; the
 * output goes back the same way:
 *
 *	guest: ready
 *	guest: 1 what the command prints
 *	guest: 1 ends 0
 *
 * Functions are named by their address on the guest's bus, as in 0000:00:05.0.
 */
#include "guest.h"

/* Ignore the device model's requests to unplug a function */
static bool keeps;
/* The function that is enabled again and again, and does DMA without end; or 0 */
static unsigned int busy;

static unsigned int parse_function(const char *s)
{
	unsigned int dev;

	/* Skip the domain and the bus */
	parse_hex(&s);
	s++;
	parse_hex(&s);
	s++;
	dev = parse_hex(&s);
	s++;
	return dev << 3 | parse_hex(&s);
}

static int config(unsigned int devfn)
{
	unsigned int i;

	for (i = 0; i < 256; i++)
		say_hex(pci_read(devfn, i, 1), 2);
	return 0;
}

static int keep_busy(unsigned int devfn)
{
	busy = devfn;
	return 0;
}

/* Commands that take a function */
static const struct {
	const char *name;
	int (*run)(unsigned int devfn);
} commands[] = {
	{ "config", config },
	{ "found", device_found },
	{ "scribble", device_scribble },
	{ "dma", device_dma },
	{ "msi", device_msi },
	{ "busy", keep_busy },
};

/* Report xenstore's answer */
static int answered(bool done)
{
	say(done ? "OK" : "refused");
	return !done;
}

static int run(char *line)
{
	char *command = next_word(&line);
	char *argument = next_word(&line);
	const char *number = argument;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (equal(command, commands[i].name))
			return commands[i].run(parse_function(argument));

	if (equal(command, "forget"))
		return answered(store_remove(argument));
	if (equal(command, "write"))
		return answered(store_write(argument, next_word(&line)));
	if (equal(command, "keep"))
		return !(keeps = true);
	if (equal(command, "leave"))
		xen_shutdown(parse_hex(&number));
	if (equal(command, "crash"))
		triple_fault();
	if (equal(command, "hang"))
		for (;;)
			xen_wait();
	if (equal(command, "true"))
		return 0;
	return 2;
}

/* Run a command and print its number, its output and its status */
static void answer(char *line)
{
	char *number = next_word(&line);
	char status[2] = { '0' + run(line) };
	const char *text = said();

	if (*text) {
		console_put("guest: ");
		console_put(number);
		console_put(" ");
		console_put(text);
		console_put("\n");
	}
	console_put("guest: ");
	console_put(number);
	console_put(" ends ");
	console_put(status);
	console_put("\n");
}

void main(void)
{
	char line[256];

	xen_init();
	console_put("guest: ready\n");
	for (;;) {
		if (console_line(line, sizeof(line)))
			answer(line);
		if (!keeps)
			pci_eject();
		if (busy)
			device_keep_busy(busy);
		xen_wait();
	}
}
