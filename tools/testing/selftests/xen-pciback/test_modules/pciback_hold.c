// SPDX-License-Identifier: GPL-2.0
/*
 * Holds a task at a kernel function, to decide a race.
 *
 * Whether another task acts between two steps of the first one is a matter of luck, and on a
 * machine with one CPU hardly ever happens.  This module holds the first task that comes to a
 * kernel function, until the test has done what must happen in between.  Its files are in
 * debugfs:
 *
 *   pciback_hold/entry		write a function's name: hold the task that calls it next,
 *				before the function has done anything
 *   pciback_hold/return	the same, but after the function has done everything
 *   pciback_hold/held		the PID of the held task; 0: none is held
 *   pciback_hold/next		write 1: let the task go on, and hold the next one that comes;
 *				only for tasks held at the return
 *   pciback_hold/let_go	write 1: let the task go on, and hold no other
 *   pciback_hold/patience_ms	the longest time that a task is held from now on
 *
 * It holds one task at one function at a time; all others pass.  A held task sleeps and keeps
 * its locks.  So the function must be one that may sleep, which the test has to make sure of,
 * and it must not have arguments on the stack.  After patience_ms a task goes on without
 * let_go: by default before the kernel reports tasks that wait for it as hung.  A test makes
 * the time shorter if nobody could write let_go, since all of user space is frozen.
 *
 * A kprobe at the function's entry sends the task to pcih_detour(), in the same way as the
 * kernel's fail_function sends a task back to its caller.  By the calling convention
 * pcih_detour() has the function's arguments, and its return value is the function's.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

/* Others are said to hang after 120 s */
#define PCIH_PATIENCE_MS	100000

typedef unsigned long (*pcih_function_t)(unsigned long a, unsigned long b,
					 unsigned long c, unsigned long d,
					 unsigned long e, unsigned long f);

/* Serializes the files */
static DEFINE_MUTEX(pcih_mutex);
static DECLARE_WAIT_QUEUE_HEAD(pcih_wait);
static struct dentry *pcih_dir;

/* The probe, and what it is for; changed only while there is none */
static struct kprobe pcih_probe;
static char pcih_name[KSYM_NAME_LEN];
static bool pcih_probing;
static bool pcih_at_return;

/* 1 for the next task that comes to take */
static atomic_t pcih_armed = ATOMIC_INIT(0);
/* Tasks that have this module's code to return to */
static atomic_t pcih_inside = ATOMIC_INIT(0);
static bool pcih_let_go;
static pid_t pcih_held;
/* How many have been let go for the next one's sake */
static unsigned int pcih_turn;
static u32 pcih_patience_ms = PCIH_PATIENCE_MS;

static void pcih_hold(void)
{
	unsigned int turn = READ_ONCE(pcih_turn);
	pid_t pid = task_pid_nr(current);

	/* In pcih_next_set(): a turn ends only for who is known to be held */
	smp_store_release(&pcih_held, pid);
	/* Idle: neither load, nor a hung task */
	if (!wait_event_idle_timeout(pcih_wait,
				     READ_ONCE(pcih_let_go) ||
				     READ_ONCE(pcih_turn) != turn,
				     msecs_to_jiffies(READ_ONCE(pcih_patience_ms))))
		pr_warn("nobody lets %d go\n", pid);
	cmpxchg(&pcih_held, pid, 0);
}

/* What runs instead of the function, and runs it */
static unsigned long pcih_detour(unsigned long a, unsigned long b,
				 unsigned long c, unsigned long d,
				 unsigned long e, unsigned long f)
{
	pcih_function_t function = (pcih_function_t)(unsigned long)pcih_probe.addr;
	bool at_return = pcih_at_return;
	unsigned long ret;

	if (!at_return)
		pcih_hold();
	ret = function(a, b, c, d, e, f);
	if (at_return)
		pcih_hold();

	if (atomic_dec_and_test(&pcih_inside))
		wake_up_all(&pcih_wait);
	return ret;
}

static int pcih_hit(struct kprobe *probe, struct pt_regs *regs)
{
	if (atomic_cmpxchg(&pcih_armed, 1, 0) != 1)
		return 0;

	atomic_inc(&pcih_inside);
	instruction_pointer_set(regs, (unsigned long)pcih_detour);
	return 1;
}

NOKPROBE_SYMBOL(pcih_hit);

/* A probe without one cannot send anybody elsewhere */
static void pcih_after(struct kprobe *probe, struct pt_regs *regs,
		       unsigned long flags)
{
}

NOKPROBE_SYMBOL(pcih_after);

static void pcih_disarm(void)
{
	lockdep_assert_held(&pcih_mutex);

	atomic_set(&pcih_armed, 0);
	if (pcih_probing)
		unregister_kprobe(&pcih_probe);
	pcih_probing = false;
	/* Nobody is on the way to pcih_hold() any more but who is inside */
	WRITE_ONCE(pcih_let_go, true);
	wake_up_all(&pcih_wait);
}

static int pcih_arm(bool at_return)
{
	int err;

	lockdep_assert_held(&pcih_mutex);

	/* Also who has been let go, and is still in the function */
	if (pcih_probing || atomic_read(&pcih_inside))
		return -EBUSY;

	memset(&pcih_probe, 0, sizeof(pcih_probe));
	pcih_probe.symbol_name = pcih_name;
	pcih_probe.pre_handler = pcih_hit;
	pcih_probe.post_handler = pcih_after;
	pcih_at_return = at_return;
	pcih_let_go = false;
	err = register_kprobe(&pcih_probe);
	if (err)
		return err;

	pcih_probing = true;
	atomic_set(&pcih_armed, 1);
	return 0;
}

static ssize_t pcih_name_write(struct file *file, const char __user *user,
			       size_t count, loff_t *pos)
{
	bool at_return = file->private_data;
	ssize_t ret;

	mutex_lock(&pcih_mutex);
	if (pcih_probing) {
		ret = -EBUSY;
	} else if (count >= sizeof(pcih_name)) {
		ret = -EINVAL;
	} else if (copy_from_user(pcih_name, user, count)) {
		ret = -EFAULT;
	} else {
		pcih_name[count] = '\0';
		strim(pcih_name);
		ret = pcih_arm(at_return) ?: count;
	}
	mutex_unlock(&pcih_mutex);

	return ret;
}

static const struct file_operations pcih_name_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = pcih_name_write,
};

static int pcih_held_get(void *data, u64 *val)
{
	*val = READ_ONCE(pcih_held);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(pcih_held_fops, pcih_held_get, NULL, "%llu\n");

static int pcih_let_go_set(void *data, u64 val)
{
	if (val != 1)
		return -EINVAL;

	mutex_lock(&pcih_mutex);
	pcih_disarm();
	mutex_unlock(&pcih_mutex);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(pcih_let_go_fops, NULL, pcih_let_go_set, "%llu\n");

static int pcih_next_set(void *data, u64 val)
{
	int ret = -ENOENT;
	pid_t held;

	if (val != 1)
		return -EINVAL;

	mutex_lock(&pcih_mutex);
	/* In pcih_hold(): who is seen here knows which turn it waits out */
	held = smp_load_acquire(&pcih_held);
	if (!pcih_at_return) {
		/* Who is held before the function comes to the probe again */
		ret = -EINVAL;
	} else if (held) {
		WRITE_ONCE(pcih_held, 0);
		/* Before the held one goes: it may be the next one, too */
		atomic_set(&pcih_armed, 1);
		WRITE_ONCE(pcih_turn, pcih_turn + 1);
		wake_up_all(&pcih_wait);
		ret = 0;
	}
	mutex_unlock(&pcih_mutex);
	return ret;
}

DEFINE_DEBUGFS_ATTRIBUTE(pcih_next_fops, NULL, pcih_next_set, "%llu\n");

static int __init pcih_init(void)
{
	pcih_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	if (IS_ERR(pcih_dir))
		return PTR_ERR(pcih_dir);

	debugfs_create_file("entry", 0200, pcih_dir, (void *)false,
			    &pcih_name_fops);
	debugfs_create_file("return", 0200, pcih_dir, (void *)true,
			    &pcih_name_fops);
	debugfs_create_file_unsafe("held", 0400, pcih_dir, NULL,
				   &pcih_held_fops);
	debugfs_create_file_unsafe("next", 0200, pcih_dir, NULL,
				   &pcih_next_fops);
	debugfs_create_file_unsafe("let_go", 0200, pcih_dir, NULL,
				   &pcih_let_go_fops);
	debugfs_create_u32("patience_ms", 0600, pcih_dir, &pcih_patience_ms);
	return 0;
}

static void __exit pcih_exit(void)
{
	debugfs_remove_recursive(pcih_dir);

	mutex_lock(&pcih_mutex);
	pcih_disarm();
	mutex_unlock(&pcih_mutex);
	/* However long the function takes */
	wait_event(pcih_wait, !atomic_read(&pcih_inside));
	/* And the last steps of the detour, none of which sleeps */
	synchronize_rcu_tasks();
}

module_init(pcih_init);
module_exit(pcih_exit);

MODULE_DESCRIPTION("Tasks held in a kernel function, to test xen-pciback");
MODULE_LICENSE("GPL");
