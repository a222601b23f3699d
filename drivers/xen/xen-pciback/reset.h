/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * PCI Backend - thorough resets of the functions that pciback owns
 */
#ifndef __XEN_PCIBACK_RESET_H__
#define __XEN_PCIBACK_RESET_H__

#include <linux/pci.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct pcibk_claim;
struct pcistub_device;
struct xen_pcibk_device;

#define PCIBK_CHAIN_LEN		192	/* of last_reset */
#define PCIBK_TEXT_LEN		80	/* of a function's name, and why it is in the way */
#define PCIBK_RETRY_MS		10	/* until the next look at what is in the way */
/*
 * How long a function may take to answer after a slot or bus reset if the core does not wait, or
 * only for the first one: 1 s (PCIe 6.0, sec 6.6.1), and 2^25 clocks (PCI 3.0, sec 4.3.2).
 */
#define PCIBK_READY_MS		1100

/*
 * Reset methods by their numbers in pci_dev.reset_methods[], which are places in a table of
 * the PCI core's.  If the assertion fails, see whether they have moved.
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

/* Who asks for a reset; up to PCIBK_ASK_FLR it is a request for an idle function */
enum pcibk_ask {
	PCIBK_ASK_RESET,	/* reset_device: thoroughly, or it is an error */
	PCIBK_ASK_FLR,		/* do_flr: as well as it can be done now */
	PCIBK_ASK_FAREWELL,	/* do_flr of a function that a guest may still use */
	PCIBK_ASK_RELEASE,	/* nobody: a guest has released it */
};

/* What the resets keep of a function; protected by pcistub_devices_lock */
struct pcibk_account {
	refcount_t users;		/* of the memory: the stub, and the work items queued */
	struct work_struct work;	/* the reset that follows a release */
	struct work_struct plan_work;	/* makes @plan */
	unsigned int plans_asked;	/* readers of reset_plan */
	unsigned int plans_made;	/* what @plans_asked was when the last one was begun */
	struct pcibk_claim *claim;	/* holds the function */
	const void *refused_by;		/* this backend lists it, but does not get it */
	int domain;			/* the guest that has or last had it, or -1 */
	unsigned int assignment;	/* the number of the last one: none comes again */
	ktime_t covered_until;		/* a request's reset of the set counts */
	ktime_t recovering_until;	/* error recovery is under way */
	u16 command;			/* the Command register after a requested reset */
	int err;			/* of the last reset, for the claim that holds it */
	s8 strict;			/* 0, 1, or -1: as strict_reset says */
	s8 set_reset;			/* 0 or 1: a slot or bus reset may reach it */
	s8 needs_reset;			/* 0 or 1: no strong one since it was seized or assigned */
	bool resetting;			/* from reset_prepare() to reset_done() */
	bool leaving;			/* remove() has begun */
	bool due;			/* the reset after its release is still to come */
	bool put_off;			/* until its guest has released the others, too */
	bool used;			/* released or requested since it was seized */
	bool asked;			/* requested since then, with bus mastering off after */
	bool covered;			/* @covered_until is not used up */
	bool noted;			/* do_flr has named it while its guest was using it */
	bool has_af_flr;		/* read when it was seized */
	char last[PCIBK_CHAIN_LEN];	/* what last_reset shows */
	char plan[PCIBK_TEXT_LEN + 8];	/* what reset_plan shows */
};

/* A slot or bus reset's hold on its set */
struct pcibk_claim {
	struct pci_dev *dev;		/* the function that the reset was asked for */
	struct pci_dev *top;		/* on the bus to reset: @dev, or a bridge above it */
	enum pcibk_ask ask;
	bool plan;			/* nothing is to be reset */
	bool slot;			/* it is a slot reset */
	bool busy;			/* another reset is under way */
	bool stuck;			/* somebody had left the bus reset on */
	bool noted;			/* do_flr has named the function in the way */
	struct pci_dev *in_the_way;	/* that function, with a reference, if assigned */
	int err;			/* why the set cannot be claimed */
	unsigned int members;		/* owned functions that the walk has seen */
	unsigned int changes;		/* what pcibk_changes was before it */
	char blocker[PCIBK_TEXT_LEN];	/* who is in the way, or did not come back */
	char link[PCIBK_TEXT_LEN];	/* how the link is worse than before */
	const struct pci_bus *ready_bus; /* just being restored; only compared */
	unsigned long ready_by;		/* the functions on it must answer by then (jiffies) */
};

extern bool pcibk_auto_reset;
extern const char * const pcibk_method_names[];
extern struct workqueue_struct *pcibk_wq;
extern unsigned int pcibk_changes;	/* functions seized, or leaving; pcistub_devices_lock */
extern wait_queue_head_t pcibk_wait;	/* woken when what is waited for may have ended */
extern const struct attribute_group *xen_pcibk_reset_driver_groups[];
extern const struct attribute_group *xen_pcibk_reset_dev_groups[];

/* For the stub and the backend */
int xen_pcibk_reset_init(void);
void xen_pcibk_reset_exit(void);
int xen_pcibk_reset_seize(struct pcistub_device *psdev);
int xen_pcibk_reset_locked(struct pci_dev *dev);
int xen_pcibk_reset_hand_out(struct pcistub_device *psdev,
			     const struct xen_pcibk_device *pdev, bool last_try);
void xen_pcibk_reset_assign(struct xen_pcibk_device *pdev, struct pci_dev *dev);
struct pci_dev *xen_pcibk_reset_nth_refused(const struct xen_pcibk_device *pdev, unsigned int n);
void xen_pcibk_reset_unrefuse(const void *pdev, struct pci_dev *dev);
void xen_pcibk_reset_released(struct pcistub_device *psdev);
void xen_pcibk_reset_leave(struct pcistub_device *psdev);
void xen_pcibk_reset_forget(struct pcistub_device *psdev);
void xen_pcibk_reset_prepare(struct pci_dev *dev);
void xen_pcibk_reset_done(struct pci_dev *dev);
bool xen_pcibk_reset_error(struct pci_dev *dev, pci_channel_state_t state);
bool xen_pcibk_reset_recover(struct pci_dev *dev);
void xen_pcibk_reset_resume(struct pci_dev *dev);

/* reset_function.c */
struct pcistub_device *pcibk_find(const struct pci_dev *dev);
struct pcistub_device *pcibk_psdev(struct pci_dev *dev);
bool pcibk_is_owned(const struct pci_dev *dev);
const char *pcibk_driver_name(const struct pci_dev *dev);
bool pcibk_answers(struct pci_dev *dev);
bool pcibk_has_af_flr(struct pci_dev *dev);
const char *pcibk_result(int err);
enum pcibk_method pcibk_function_method(const struct pcistub_device *psdev);
enum pcibk_method pcibk_weak_method(const struct pcistub_device *psdev);
int pcibk_reset_function(struct pcistub_device *psdev, enum pcibk_method method);
void pcibk_account(struct pcistub_device *psdev, const char *step, int err, bool strong);

/* reset_set.c */
bool pcibk_same_set(const struct pci_dev *a, const struct pci_dev *b);
bool pcibk_is_reset_on(struct pci_dev *port, u16 *ctl);
int pcibk_claim(struct pcibk_claim *claim);
int pcibk_claim_reset(struct pcibk_claim *claim, const char *step);
void pcibk_claim_drop(struct pcibk_claim *claim);

/* reset_sysfs.c */
void pcibk_plan_work(struct work_struct *work);

/* reset.c */
bool pcibk_is_assigned(const struct pcistub_device *psdev, char *blocker);
void pcibk_cover(struct pcistub_device *psdev, bool covered);
bool pcibk_is_covered(const struct pcibk_account *reset);
void pcibk_end_coverage(const struct pci_dev *dev);
void pcibk_queue(struct pcistub_device *psdev, struct work_struct *work);
void pcibk_work_done(struct pcistub_device *psdev);
void pcibk_nap(void);
int pcibk_reset(struct pci_dev *dev, enum pcibk_ask ask, unsigned int from);
int pcibk_do_flr(struct pci_dev *dev);

#endif /* __XEN_PCIBACK_RESET_H__ */
