/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * PCI Backend - thorough resets of the functions that pciback owns
 */
#ifndef __XEN_PCIBACK_RESET_H__
#define __XEN_PCIBACK_RESET_H__

#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct pcibk_claim;
struct pcistub_device;
struct xen_pcibk_device;

#define PCIBK_CHAIN_LEN		192	/* of the text in last_reset */
#define PCIBK_TEXT_LEN		80	/* of a function's name with the reason why it blocks */
#define PCIBK_RETRY_MS		10	/* between two tries of a step */
/*
 * How long a function may take to respond after a slot or bus reset, where the core does not wait
 * for it: 1 s (PCIe 6.0, sec 6.6.1), and 2^25 clocks (PCI 3.0, sec 4.3.2).
 */
#define PCIBK_READY_MS		1100

/*
 * Reset methods, by their numbers in pci_dev.reset_methods[]: indices into a table of the PCI
 * core.  If the assertion fails, check whether that table has changed.
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

static_assert(PCIBK_METHOD_CXL_BUS + 1 >= PCI_NUM_RESET_METHODS);

/* The reason for a reset.  Up to PCIBK_ASK_FLR it is a request. */
enum pcibk_ask {
	PCIBK_ASK_RESET,	/* reset_device: a strong reset, or an error */
	PCIBK_ASK_FLR,		/* do_flr: the strongest reset that is allowed now */
	PCIBK_ASK_FAREWELL,	/* do_flr, for a function that a guest may still use */
	PCIBK_ASK_RELEASE,	/* a guest has released the function */
};

/* The account of a function; protected by pcistub_devices_lock */
struct pcibk_account {
	refcount_t users;		/* references: the stub's, and one of each queued work */
	struct work_struct work;	/* the reset that follows a release */
	struct work_struct plan_work;	/* makes @plan */
	unsigned int plans_asked;	/* how often reset_plan was read */
	unsigned int plans_made;	/* @plans_asked when the latest @plan was begun */
	struct pcibk_claim *claim;	/* the claim that holds the function, or NULL */
	const void *refused_by;		/* the backend that was refused it, or NULL */
	int domain;			/* the guest that has or last had it, or -1 */
	unsigned int assignment;	/* the number of the last assignment, unique */
	ktime_t covered_until;		/* until then its last requested reset counts */
	ktime_t asked_until;		/* 30 s after its last request, or 0: released since */
	unsigned int asked_after;	/* the last assignment of all before that request */
	ktime_t recovering_until;	/* until then error recovery may be under way */
	u16 command;			/* Command after a request; Bus Master if that failed */
	u16 canary;			/* what pcibk_canary() has set before a reset of the set */
	int err;			/* result of the last reset, for the claim */
	s8 strict;			/* 0, 1, or -1: use the parameter strict_reset */
	s8 set_reset;			/* 0 or 1: 1 if a slot or bus reset may reach it */
	s8 needs_reset;			/* 0 or 1: 0 after a strong reset since its last use */
	bool resetting;			/* from reset_prepare() to reset_done(); fences a guest */
	bool leaving;			/* remove() has begun */
	bool due;			/* the reset after its release is still to come */
	bool put_off;			/* @due, but waits until its guest releases siblings */
	bool used;			/* released or requested since it was seized */
	bool covered;			/* the next do_flr needs no reset, until @covered_until */
	bool noted;			/* a farewell was noted */
	bool has_af_flr;		/* has a usable AF FLR, as read when it was seized */
	char last[PCIBK_CHAIN_LEN];	/* the text of last_reset */
	char plan[PCIBK_TEXT_LEN + 8];	/* the text of reset_plan */
};

/* A claim: the hold of one slot or bus reset on its set */
struct pcibk_claim {
	struct pci_dev *dev;		/* the function to reset */
	struct pci_dev *top;		/* on the bus to reset: @dev, or a bridge above it */
	enum pcibk_ask ask;
	bool plan;			/* only for reset_plan: hold nothing */
	bool slot;			/* a slot reset, not a bus reset */
	bool busy;			/* another reset of the set is under way */
	bool stuck;			/* somebody had left the bus reset on */
	bool noted;			/* a farewell was noted for @in_the_way */
	struct pci_dev *in_the_way;	/* the assigned function that blocks, with a reference */
	int err;			/* why the set cannot be claimed */
	bool done;			/* the reset has brought @dev back */
	unsigned int members;		/* how many owned functions the walk has seen */
	unsigned int changes;		/* pcibk_changes before the walk */
	char blocker[PCIBK_TEXT_LEN];	/* what blocks the reset, or did not respond after it */
	char link[PCIBK_TEXT_LEN];	/* how the link is slower or narrower than before */
	const struct pci_bus *ready_bus; /* being restored now; only compared */
	unsigned long ready_by;		/* when its functions must respond (jiffies) */
};

extern bool pcibk_auto_reset;
extern const char * const pcibk_method_names[];
extern unsigned int pcibk_changes;	/* counts seizures and removals; pcistub_devices_lock */
extern wait_queue_head_t pcibk_wait;	/* woken when a reset, claim or assignment ends */
extern const struct attribute_group *xen_pcibk_reset_driver_groups[];
extern const struct attribute_group *xen_pcibk_reset_dev_groups[];

/* For the stub and the backend */
int xen_pcibk_reset_init(void);
void xen_pcibk_reset_exit(void);
int xen_pcibk_reset_seize(struct pcistub_device *psdev);
int xen_pcibk_reset_locked(struct pci_dev *dev);
int xen_pcibk_reset_hand_out(struct pcistub_device *psdev,
			     const struct xen_pcibk_device *pdev, bool last_try);
void xen_pcibk_reset_refuse(const struct xen_pcibk_device *pdev, struct pci_dev *dev);
struct pci_dev *xen_pcibk_reset_nth_refused(const struct xen_pcibk_device *pdev, unsigned int n);
void xen_pcibk_reset_unrefuse(const void *pdev, struct pci_dev *dev);
void xen_pcibk_reset_released(struct pcistub_device *psdev);
void xen_pcibk_reset_leave(struct pcistub_device *psdev);
void xen_pcibk_reset_forget(struct pcistub_device *psdev);
void xen_pcibk_reset_prepare(struct pci_dev *dev);
void xen_pcibk_reset_done(struct pci_dev *dev);
bool xen_pcibk_reset_recovering(struct pci_dev *dev, bool begins);
bool xen_pcibk_reset_recover(struct pci_dev *dev);

/* reset_function.c */
struct pcistub_device *pcibk_find(const struct pci_dev *dev);
struct pcistub_device *pcibk_psdev(struct pci_dev *dev);
bool pcibk_is_owned(const struct pci_dev *dev);
const char *pcibk_driver_name(const struct pci_dev *dev);
bool pcibk_answers(struct pci_dev *dev);
bool pcibk_has_af_flr(struct pci_dev *dev);
const char *pcibk_result(int err);
enum pcibk_method pcibk_function_method(const struct pcistub_device *psdev, bool weak);
int pcibk_reset_function(struct pcistub_device *psdev, enum pcibk_method method);
void pcibk_account(struct pcistub_device *psdev, const char *step, int err, bool strong);

/* reset_listed.c */
extern struct notifier_block pcibk_store_notifier;
bool pcibk_is_listed(struct pci_dev *dev, bool set);

/* reset_set.c */
bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b);
bool pcibk_is_reset_on(struct pci_dev *port, u16 *ctl);
int pcibk_claim(struct pcibk_claim *claim);
int pcibk_claim_reset(struct pcibk_claim *claim, const char *step);
void pcibk_claim_drop(struct pcibk_claim *claim);

/* reset_sysfs.c */
void pcibk_plan_work(struct work_struct *work);

/* reset.c */
unsigned int pcibk_assignment(const struct pcistub_device *psdev, char *blocker);
void pcibk_cover(struct pcistub_device *psdev, bool covered);
void pcibk_end_coverage(const struct pci_dev *dev);
void pcibk_queue(struct pcistub_device *psdev, struct work_struct *work);
void pcibk_nap(void);
int pcibk_reset(struct pci_dev *dev, enum pcibk_ask ask, unsigned int from);
int pcibk_do_flr(struct pci_dev *dev);

#endif /* __XEN_PCIBACK_RESET_H__ */
