/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * PCI Backend - thorough resets: what the files of the engine share
 */
#ifndef __XEN_PCIBACK_RESET_INTERNAL_H__
#define __XEN_PCIBACK_RESET_INTERNAL_H__

#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/wait.h>

struct pci_dev;
struct pci_slot;
struct pcistub_device;

/* A function's name, and a driver's or a domain's */
#define PCIBK_BLOCKER_LEN	80
#define PCIBK_CHAIN_LEN		192
/* How often locks that others hold are tried for */
#define PCIBK_RETRY_STEP_MS	10
/* How long a requested reset of a set stands for a later one of a sibling */
#define PCIBK_COVERED_MS	30000

/* What last_reset reads; replaced under pcistub_devices_lock */
struct pcibk_text {
	struct rcu_head rcu;
	char text[];
};

/*
 * The reset methods of the PCI core, by the numbers in pci_dev.reset_methods[]:
 * the administrator's order, zero terminated.  They are the places in the
 * core's own table, which has only ever grown at its end.
 */
enum pcibk_method {
	PCIBK_METHOD_NONE,
	PCIBK_METHOD_DEVICE_SPECIFIC,
	PCIBK_METHOD_ACPI,
	PCIBK_METHOD_FLR,
	PCIBK_METHOD_AF_FLR,
	PCIBK_METHOD_PM,
	PCIBK_METHOD_BUS,
	PCIBK_METHOD_CXL_BUS,
};

/* How the reset set of a function can be reset */
enum pcibk_set_method {
	PCIBK_SET_NONE,
	PCIBK_SET_SLOT,
	PCIBK_SET_BUS,
};

/* Who asks, and so how much is enough */
enum pcibk_ask {
	PCIBK_ASK_RESET,	/* reset_device: now, and thoroughly */
	PCIBK_ASK_CLEAN,	/* do_flr: as well as it can be done now */
	PCIBK_ASK_PENDING,	/* nobody: thoroughly or not at all */
};

/**
 * struct pcibk_claim - a slot or bus reset's hold on its reset set
 * @dev: the function that the reset was asked for
 * @slot: where the slot is what resets: all of the set must be in it
 * @committed: the second phase has begun
 * @cancelled: a member was removed or handed out in the first phase
 * @has_dev: @dev is among the members
 * @members: owned, idle functions noted from the stub's list
 * @functions: functions that the walk of the bus found owned
 * @blocker: the first function that forbids the reset, and why; or the first
 *	that did not come back from it
 *
 * @committed, @cancelled and pcistub_device.claim, which points here, are
 * protected by pcistub_devices_lock; the rest belongs to the resetting task.
 */
struct pcibk_claim {
	struct pci_dev *dev;
	struct pci_slot *slot;
	bool committed;
	bool cancelled;
	bool has_dev;
	unsigned int members;
	unsigned int functions;
	char blocker[PCIBK_BLOCKER_LEN];
};

extern bool pcibk_auto_reset;
extern const char * const pcibk_method_names[];
/* Woken whenever a claim, a reset of a function or a pending one ends */
extern wait_queue_head_t pcibk_wait;

/* reset_function.c */
const char *pcibk_result(int err);
struct pcistub_device *pcibk_find(const struct pci_dev *dev);
void pcibk_name_blocker(char *buf, struct pci_dev *dev, const char *why);
bool pcibk_is_owned(const struct pci_dev *dev);
const char *pcibk_driver_name(const struct pci_dev *dev);
struct pcistub_device *pcibk_psdev(struct pci_dev *dev);
bool pcibk_is_assigned(struct pcistub_device *psdev);
bool pcibk_answers(struct pci_dev *dev);
void pcibk_set_last(struct pcistub_device *psdev, const char *chain);
void pcibk_account(struct pcistub_device *psdev, const char *step,
		   int err, bool strong);
int pcibk_settle(struct pci_dev *dev, struct pcistub_device *psdev,
		 const char *step, int err, bool strong);
enum pcibk_method pcibk_function_method(struct pcistub_device *psdev);
enum pcibk_method pcibk_weak_method(struct pcistub_device *psdev);
bool pcibk_core_may_go_on(const struct pcistub_device *psdev,
			  enum pcibk_method method);
struct pci_dev *pcibk_bridge_to_lock(const struct pcistub_device *psdev,
				     enum pcibk_method method);
int pcibk_wake(struct pci_dev *dev);
int pcibk_reset_function(struct pci_dev *dev, enum pcibk_method method,
			 bool assigned);

/* reset_set.c */
bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b);
enum pcibk_set_method pcibk_set_method(struct pci_dev *dev);
void pcibk_claim_drop(struct pcibk_claim *claim);
bool pcibk_set_is_blocked(struct pcibk_claim *claim);
int pcibk_claim_check(struct pcibk_claim *claim);
int pcibk_claim_commit(struct pcibk_claim *claim, bool unless_clean);
void pcibk_claim_might_wait(void);
void pcibk_claim_wait(struct pcibk_claim *claim);
int pcibk_claim_result(struct pcibk_claim *claim, const char *step,
		       bool requested);

/* reset_pending.c */
void pcibk_end_coverage(const struct pci_dev *dev);
bool pcibk_is_pending(const struct pci_dev *dev);
int pcibk_make_clean(struct pci_dev *dev);

/* reset.c */
int pcibk_reset(struct pci_dev *dev, enum pcibk_ask ask);

#endif /* __XEN_PCIBACK_RESET_INTERNAL_H__ */
