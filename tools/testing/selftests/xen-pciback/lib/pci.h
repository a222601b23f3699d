/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI functions, found by their place in the machine and used through sysfs.
 *
 * If a call fails that cannot fail on a sane machine, the program ends with a message. The
 * other calls return 0 or a negative errno.
 */
#ifndef SELFTEST_XEN_PCIBACK_PCI_H
#define SELFTEST_XEN_PCIBACK_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#define PCI_CONFIG_SIZE	256

#define PCIBACK_DIR	"/sys/bus/pci/drivers/pciback"
#define RESET_DEVICE	PCIBACK_DIR "/reset_device"
#define DO_FLR		PCIBACK_DIR "/do_flr"
#define RESET_PLAN	PCIBACK_DIR "/reset_plan"
#define PERMISSIVE	PCIBACK_DIR "/permissive"
#define QUIRKS		PCIBACK_DIR "/quirks"

/* To be written to QUIRKS: a field of four bytes that nothing else is at; and as shown */
#define FIELD		"0c8:4:0"
#define FIELD_SHOWN	"\t\t000000c8:4:00000000\n"

/* A function, by its address */
struct fn {
	uint32_t domain;
	uint8_t bus;
	uint8_t dev;
	uint8_t func;
	char name[sizeof("00000000:00:00.00")];
};

struct fn fn_make(unsigned int domain, unsigned int bus, unsigned int dev,
		  unsigned int func);
/* Where the functions of the test machine are (qemu/machine.sh) */
struct fn fn_root(unsigned int dev);
struct fn fn_below(struct fn bridge, unsigned int dev, unsigned int func);

/* A card in one slot, no FLR: PM for two of its functions, nothing for the third */
#define CARD_FNS	3

struct card {
	struct fn port;
	union {
		struct {
			struct fn first, second, third;
		};
		struct fn fns[CARD_FNS];
	};
};

struct card card_find(void);

bool fn_exists(struct fn fn);
/* Until the kernel has let go of it. False if it never does. */
bool fn_wait_gone(struct fn fn);
void fn_path(struct fn fn, const char *file, char *path, size_t size);
/* Has it this file in sysfs? Not all kernels have all of them. */
bool fn_has_file(struct fn fn, const char *file);

/* Its configuration space, opened with these flags, as a file */
int fn_open_config(struct fn fn, int flags);
void fn_read_config(struct fn fn, unsigned int offset, void *buf, size_t len);
uint32_t fn_read(struct fn fn, unsigned int offset, size_t len);
void fn_write(struct fn fn, unsigned int offset, uint32_t val, size_t len);
unsigned int fn_cap(struct fn fn, uint8_t id);

/* The driver's name in @name, or the empty string */
void fn_driver(struct fn fn, char *name, size_t size);
int fn_bind(struct fn fn, const char *driver);
int fn_unbind(struct fn fn);
/* Pciback's, and nobody's again */
int fn_adopt(struct fn fn);
int fn_release(struct fn fn);
int card_adopt(const struct card *card);
int card_release(const struct card *card);

/* What a guest that ran on it may leave behind */
void fn_scribble(struct fn fn);
/*
 * And what somebody whom pciback has not heard of may do to it: less than that, and
 * with this in Command.
 */
void fn_edit(struct fn fn, uint16_t command);
#define EDIT_DISABLED	0
#define EDIT_ENABLED	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

/*
 * Wait until no automatic reset by pciback is under way or due, of this function,
 * which it owns, or another one. Asks for nothing, and resets nothing.
 */
void fn_quiesce(struct fn fn);
/*
 * Wait until pciback has reset it without a request.
 * False if it does not come to that.
 */
bool fn_wait_clean(struct fn fn);
/*
 * What pciback says of it: /sys/bus/pci/devices/BDF/pciback/. A string is good
 * until the next call.
 */
int fn_needs_reset(struct fn fn);
const char *fn_last_reset(struct fn fn);
/* What a reset would do now; the empty string if it is not pciback's */
const char *fn_plan(struct fn fn);
/* Its policies, "strict" and "set_reset" */
int fn_set(struct fn fn, const char *policy, const char *value);
const char *fn_get(struct fn fn, const char *policy);
/*
 * Ask for its GSI, as a toolstack does for a PVH dom0, of privcmd, which asks
 * pciback; -ENOTTY if the kernel cannot be asked.
 */
int fn_ask_gsi(struct fn fn);

/* One of its files in sysfs */
int fn_write_file(struct fn fn, const char *file, const char *s);
int write_file(const char *path, const void *data, size_t len);
int write_string(const char *path, const char *s);
/* Is there a line that contains the string? */
bool file_has(const char *path, const char *s);
int reset_device(struct fn fn);
int do_flr(struct fn fn);
/*
 * How xenopsd resets a function (ocaml/xenopsd/xc/device.ml): by its reset file,
 * else by do_flr, with the address and no newline; whatever the result is.
 */
void fn_xenopsd_reset(struct fn fn);
/* A parameter of the module: "auto_reset", "strict_reset" */
int set_parameter(const char *name, const char *value);

/* The child that does it, and ends with what it returns */
#define in_child(what) ({						\
	pid_t child = fork();						\
									\
	if (!child)							\
		_exit(-(what));						\
	child;								\
})

/* What a child that ends with _exit(-ret) has to say; -ECHILD if it was killed */
int wait_for_child(pid_t pid);
/* And -ETIMEDOUT if it has not said it after so long */
int wait_for_child_until(pid_t pid, unsigned int ms);

/* Of a clock that only runs forwards */
long long now_ms(void);

/* Is the kernel this one, or a later one? */
bool kernel_since(unsigned int major, unsigned int minor);
/*
 * What last_reset says when a function has been bound that has no reset of its own: the
 * core tries to find out before 5.15.
 */
const char *fn_bound_last_reset(struct fn fn);
int load_module(const char *name);
int unload_module(const char *name);
/* The driver under test, which is in no folder where modprobe looks */
int load_pciback(const char *parameters);

#endif
