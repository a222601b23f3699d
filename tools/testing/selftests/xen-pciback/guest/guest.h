/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the HVM guest share; main.c says what the guest does.
 */
#ifndef SELFTEST_XEN_PCIBACK_GUEST_GUEST_H
#define SELFTEST_XEN_PCIBACK_GUEST_GUEST_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

static inline void port_write1(uint16_t port, uint8_t val)
{
	asm volatile("outb %0, %1" : : "a" (val), "d" (port));
}

static inline void port_write2(uint16_t port, uint16_t val)
{
	asm volatile("outw %0, %1" : : "a" (val), "d" (port));
}

static inline void port_write4(uint16_t port, uint32_t val)
{
	asm volatile("outl %0, %1" : : "a" (val), "d" (port));
}

static inline uint32_t port_read4(uint16_t port)
{
	uint32_t val;

	asm volatile("inl %1, %0" : "=a" (val) : "d" (port) : "memory");
	return val;
}

/* A device's register. What was written to memory before is visible to the device. */
static inline uint32_t mmio_read(uint32_t address)
{
	uint32_t val;

	asm volatile("movl (%1), %0" : "=r" (val) : "r" (address) : "memory");
	return val;
}

static inline void mmio_write(uint32_t address, uint32_t val)
{
	asm volatile("movl %0, (%1)" : : "r" (val), "r" (address) : "memory");
}

/* start.S */
extern char hypercall_page[];
extern struct shared_info shared_page;

noreturn void triple_fault(void);

/* text.c */
size_t length(const char *s);
bool equal(const char *a, const char *b);
/* Cut the next word off a line; at its end that is the empty string */
char *next_word(char **line);
/* Read a hexadecimal number, and move @s behind it */
uint32_t parse_hex(const char **s);
/* Append to the command's output; said() returns the output and starts a new one */
void say(const char *s);
void say_hex(uint32_t val, unsigned int digits);
const char *said(void);

/* xen.c: hypercalls, the console, xenstore */
void xen_init(void);
/* Sleep until the console or xenstore has something for us, or for 5 ms */
void xen_wait(void);
/* Read a line from the console, without its newline; false if there is none yet */
bool console_line(char *line, size_t size);
void console_put(const char *s);
/* Change a node in xenstore: true on success */
bool store_remove(const char *node);
bool store_write(const char *node, const char *value);
/* Shut down, for this reason: SHUTDOWN_* */
void xen_shutdown(unsigned int reason);

/* pci.c: config space of the guest's only bus */
uint32_t pci_read(unsigned int devfn, unsigned int offset, unsigned int size);
void pci_write(unsigned int devfn, unsigned int offset, unsigned int size,
	       uint32_t val);
unsigned int pci_cap(unsigned int devfn, uint8_t id);
/* Assign the function's BARs, and enable decoding and bus mastering */
void pci_enable(unsigned int devfn);
/* The address in the first BAR, if that is a memory BAR; else 0 */
uint32_t pci_memory(unsigned int devfn);
/* Release the slots that the device model asks to unplug */
void pci_eject(void);

/*
 * device.c: commands for one function. Each says() its result in one line and returns
 * an exit status.
 */
int device_found(unsigned int devfn);
int device_scribble(unsigned int devfn);
int device_dma(unsigned int devfn);
int device_msi(unsigned int devfn);
/* Enable the function again; if it is an idle edu, start a DMA */
void device_keep_busy(unsigned int devfn);

#endif
