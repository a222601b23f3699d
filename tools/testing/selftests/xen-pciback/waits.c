// SPDX-License-Identifier: GPL-2.0
/*
 * Nobody waits for the reset of another set, however long that takes: no other guest, no
 * rescan, no other slot, no unbind. Only a hand-out waits for a reset of its own set, at most
 * one second in all. And nobody waits for a guest that does not answer error recovery. The
 * test plays the guests (lib/guest.h).
 */
#include "lib/aer.h"
#include "lib/backend.h"
#include "lib/slot.h"

#define CARDS		8
#define EIGHT_CARDS							\
	"port(flr),port(flr),port(flr),port(flr),port(flr),port(flr),port(flr),port(flr)"
#define NR_VFS		"4"

/* The backend of another guest, for a card of its own, is ready within that time */
#define expect_next_guest(limit) do {					\
	long long ms = timed({						\
		EXPECT_EQ(0, guest_begin(&self->other, OTHER_DOMAIN,	\
					 &self->nic, 1));		\
		self->other.wait_ms = SOON_MS;				\
		EXPECT_EQ(0, guest_wait(&self->other));			\
	});								\
									\
	TH_LOG("%lld ms", ms);						\
	EXPECT_GE(limit, ms);						\
} while (0)

/* -- hand-outs ---------------------------------------------------------------- */

/* Cards whose functions come back when they are healed, and not before */
static int begin_resets(const struct fn *fns, pid_t *pids, unsigned int nr)
{
	unsigned int i;
	int ret = fault_load();

	for (i = 0; !ret && i < nr; i++) {
		ret = fault_add(fns[i]);
		if (ret)
			break;
		pids[i] = fault_begin_reset(fns[i], FAULT_FOR_EVER);
		ret = pids[i] < 0 ? -EIO : 0;
	}
	return ret;
}

static int end_resets(const struct fn *fns, const pid_t *pids, unsigned int nr)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nr; i++) {
		ret = ret ?: fault_set(fns[i], "flr_away_ms", 0);
		ret = ret ?: fault_set(fns[i], "heal", 1);
	}
	/* Whatever has come of it: some of them are a guest's by now */
	for (i = 0; !ret && i < nr; i++)
		if (wait_for_child(pids[i]) == -ECHILD)
			ret = -ECHILD;
	return ret;
}

/* Eight functions of eight cards, each in a reset: a second in all, not for each */
TEST_F_TIMEOUT(played, eight_busy_cards_take_one_second, 600)
{
	struct fn fns[CARDS];
	pid_t pids[CARDS];
	unsigned int i;
	long long ms;
	int ret = 0;

	ASSERT_EQ(0, fault_load());
	ASSERT_EQ(0, topology_load(EIGHT_CARDS));
	for (i = 0; i < CARDS; i++) {
		fns[i] = fn_below(topology_port(i), 0, 0);
		adopt(fns[i]);
	}
	ASSERT_EQ(0, begin_resets(fns, pids, CARDS));

	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, fns, CARDS));
	self->guest.wait_ms = 3 * SOON_MS;
	ms = timed(({
		for (i = 0; i < CARDS && !ret; i++)
			ret = guest_wait_fn(&self->guest, fns[i]) + EIO;
	}));
	EXPECT_EQ(0, ret) {
		TH_LOG("%s is not refused", fns[i - 1].name);
	}
	/* With what has to be written for eight; a second for each would be more than 8 */
	EXPECT_GE(3 * SECOND_MS, ms);
	TH_LOG("%lld ms", ms);
	EXPECT_EQ(0, end_resets(fns, pids, CARDS));
}

/* A guest that wants a busy function makes the next one wait for that second only */
TEST_F_TIMEOUT(played, next_guest_waits_a_second, 600)
{
	const struct fn busy[] = { self->nvme, self->rng };
	pid_t pids[2];

	ASSERT_EQ(0, fault_load());
	adopt(self->nvme, self->rng, self->nic);
	ASSERT_EQ(0, begin_resets(busy, pids, 2));
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, busy, 2));
	expect_next_guest(2 * SECOND_MS);
	self->guest.wait_ms = SOON_MS;
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	EXPECT_EQ(0, end_resets(busy, pids, 2));
}

/* Nor is any lock held that an unbind needs */
TEST_F_TIMEOUT(played, unbind_does_not_wait_for_a_hand_out, 600)
{
	pid_t pid;
	long long ms;

	ASSERT_EQ(0, fault_load());
	adopt(self->nvme, self->nic);
	ASSERT_EQ(0, begin_resets(&self->nvme, &pid, 1));
	ASSERT_EQ(0, guest_begin(&self->guest, DOMAIN, &self->nvme, 1));
	ms = timed(EXPECT_EQ(0, fn_release(self->nic)));
	EXPECT_GE(SECOND_MS, ms);
	TH_LOG("%lld ms", ms);
	self->guest.wait_ms = SOON_MS;
	EXPECT_EQ(-EIO, guest_wait(&self->guest));
	EXPECT_EQ(0, end_resets(&self->nvme, &pid, 1));
}

/* A guest that runs: refused after a second, not when the reset is over */
TEST_F_TIMEOUT(played, attach_is_refused_after_a_second, 600)
{
	long long ms;
	pid_t pid;

	ASSERT_EQ(0, fault_load());
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic, self->nvme);
	create_pv(&self->guest, self->nic);
	ASSERT_EQ(0, begin_resets(&self->nvme, &pid, 1));
	ms = timed(EXPECT_EQ(-EIO, guest_attach(&self->guest, self->nvme)));
	EXPECT_GE(2 * SECOND_MS, ms);
	TH_LOG("%lld ms", ms);
	expect_error(&self->guest, self->nvme);
	expect_readable(&self->guest, self->nic);
	EXPECT_EQ(0, end_resets(&self->nvme, &pid, 1));
}

/* What is over within the second is waited for */
TEST_F(played, short_reset_is_waited_for)
{
	pid_t pid;

	ASSERT_EQ(0, fault_load());
	adopt(self->nvme);
	ASSERT_EQ(0, fault_add(self->nvme));
	pid = fault_begin_reset(self->nvme, 300);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	EXPECT_EQ(STATE_INITIALISED, guest_fn_state(&self->guest, self->nvme));
	EXPECT_EQ(0, wait_for_child(pid));
}

/* So is the one that a release is followed by, before it has begun */
TEST_F(played, due_reset_is_waited_for)
{
	ASSERT_EQ(0, hold_load());
	adopt(self->nvme);
	ASSERT_EQ(0, set_parameter("strict_reset", "1"));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, hold_at_entry("pcibk_reset"));
	ASSERT_EQ(0, guest_destroy(&self->guest));
	EXPECT_TRUE(hold_wait());
	ASSERT_EQ(0, guest_begin(&self->other, OTHER_DOMAIN, &self->nvme, 1));
	usleep(300000);
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, guest_wait(&self->other));
	expect_given(&self->other, self->nvme);
}

/* Nor is a function handed out in the middle of error recovery */
TEST_F(played, recovering_function_is_refused)
{
	struct card *card = &self->card;
	pid_t recovering;

	ASSERT_EQ(0, hold_load());
	adopt_card();
	ASSERT_EQ(0, hold_at_return("pci_bus_error_reset"));
	recovering = in_child(aer_recover(card->port, card->first));
	EXPECT_TRUE(hold_wait());
	EXPECT_EQ(-EIO, guest_create(&self->guest, DOMAIN, &card->second, 1));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(recovering));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_create(&self->guest, DOMAIN, &card->second, 1));
}

/*
 * Before 6.18 the kernel does not report that it has failed. The core resets without a lock
 * then, so a reset on request does not prove that recovery is over; only time does.
 */
TEST_F_TIMEOUT(played, failed_recovery_ends_in_time, 600)
{
	struct card *card = &self->card;
	uint32_t bars[6];
	unsigned int i;

	/* A function without a driver cannot recover, and loses its addresses */
	for (i = 0; i < ARRAY_SIZE(bars); i++)
		bars[i] = fn_read(card->third, PCI_BASE_ADDRESS_0 + 4 * i, 4);
	adopt(card->first, card->second);
	EXPECT_EQ(-EIO, aer_recover(card->port, card->first));
	for (i = 0; i < ARRAY_SIZE(bars); i++)
		fn_write(card->third, PCI_BASE_ADDRESS_0 + 4 * i, bars[i], 4);
	adopt(card->third);
	EXPECT_EQ(0, reset_device(card->first));
	EXPECT_EQ(kernel_since(6, 18) ? 0 : -EIO,
		  guest_create(&self->guest, DOMAIN, &card->first, 1));
	if (!kernel_since(6, 18))
		expect_error(&self->guest, card->first);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, guest_create_recovered(&self->guest, DOMAIN, self->owned.fns, 3));
}

/* -- releases ------------------------------------------------------------------ */

/* Its FLR never ends: the next guest's backend, of another card, does not wait */
TEST_F_TIMEOUT(played, dead_function_of_a_guest_that_ends, 600)
{
	pid_t ending;

	ASSERT_EQ(0, fault_load());
	adopt(self->nvme, self->nic);
	ASSERT_EQ(0, fault_add(self->nvme));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &self->nvme, 1));
	ASSERT_EQ(0, fault_set(self->nvme, "flr_away_ms", FAULT_FOR_EVER));
	ending = in_child(guest_destroy(&self->guest));
	ASSERT_TRUE(fault_wait(self->nvme, "flrs"));
	expect_next_guest(SECOND_MS);
	EXPECT_EQ(0, fault_heal(self->nvme, "flr_away_ms"));
	EXPECT_EQ(0, wait_for_child(ending));
}

/* The same for a card that does not come back from its slot's reset */
TEST_F_TIMEOUT(played, dead_card_of_a_guest_that_ends, 600)
{
	struct card *card = &self->card;
	pid_t ending;

	ASSERT_EQ(0, fault_load());
	adopt_card();
	adopt(self->nic);
	ASSERT_EQ(0, fault_add(card->first));
	ASSERT_EQ(0, guest_create(&self->guest, DOMAIN, &card->first, 1));
	ASSERT_EQ(0, fault_set(card->first, "sbr_away_ms", FAULT_FOR_EVER));
	ending = in_child(guest_destroy(&self->guest));
	ASSERT_TRUE(fault_wait(card->first, "sbrs"));
	expect_next_guest(SECOND_MS);
	EXPECT_EQ(0, fault_heal(card->first, "sbr_away_ms"));
	EXPECT_EQ(0, wait_for_child(ending));
}

/* -- error recovery ------------------------------------------------------------ */

/* Its guest is to be asked what error recovery should do */
#define create_asked() do {						\
	adopt(self->nic);						\
	create_pv(&self->guest, self->nic);				\
	guest_handle_errors(&self->guest);				\
} while (0)

/*
 * The answer is waited for until its function is taken back, not for five minutes. To the
 * kernel that is no task that hangs, for which it may be set to panic.
 */
#define HUNG_AFTER "/proc/sys/kernel/hung_task_timeout_secs"
TEST_F_TIMEOUT(played, guest_that_does_not_answer_recovery, 600)
{
	pid_t recovering;
	long long ms;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover(self->nic_port, self->nic));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	ASSERT_EQ(0, write_string(HUNG_AFTER, "1"));
	sleep(4);
	EXPECT_EQ(0, write_string(HUNG_AFTER, "120"));
	expect_not_logged("blocked for more than");
	ms = timed(EXPECT_EQ(0, guest_destroy(&self->guest)));
	TH_LOG("%lld ms", ms);
	EXPECT_GE(2 * SECOND_MS, ms);
	EXPECT_EQ(0, wait_for_child(recovering));
}

/* Nor does another function's recovery hang that has to wait for that answer, too */
TEST_F_TIMEOUT(played, second_function_that_waits_for_recovery, 600)
{
	struct card *card = &self->card;
	pid_t first;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	adopt(self->nic);
	adopt_card();
	hand_out_connected();
	guest_handle_errors(&self->guest);
	first = in_child(aer_recover(self->nic_port, self->nic));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	ASSERT_EQ(0, aer_begin(card->first));
	ASSERT_EQ(0, write_string(HUNG_AFTER, "1"));
	sleep(4);
	EXPECT_EQ(0, write_string(HUNG_AFTER, "120"));
	expect_not_logged("blocked for more than");
	/* The link's reset takes longer: the next question is of the second one's recovery */
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, wait_for_child(first));
	EXPECT_EQ(0, aer_wait(self->klog, card->port));
}

/* The kernel's timers of five minutes end up to 17 s late, at 250 ticks a second */
#define SILENCE_S 330

/*
 * Who says nothing for five minutes has not said that all is well: the function is reset,
 * and its guest is asked what has become of it
 */
TEST_F_TIMEOUT(played, silence_is_a_vote_for_a_reset, 900)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover_late(self->nic_port, self->nic));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	sleep(SILENCE_S);
	EXPECT_EQ(ASKED_SLOT_RESET, guest_answer(&self->guest, ANSWER_RECOVERED));
	EXPECT_EQ(ASKED_RESUME, guest_answer(&self->guest, ANSWER_RECOVERED));
	EXPECT_EQ(0, wait_for_child(recovering));
	expect_given(&self->guest, self->nic);
}

/* The same if it falls silent after its first answer */
TEST_F_TIMEOUT(played, silence_after_an_answer_is_one_too, 900)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover_late(self->nic_port, self->nic));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_CAN_RECOVER));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	sleep(SILENCE_S);
	EXPECT_EQ(ASKED_SLOT_RESET, guest_answer(&self->guest, ANSWER_RECOVERED));
	EXPECT_EQ(ASKED_RESUME, guest_answer(&self->guest, ANSWER_RECOVERED));
	EXPECT_EQ(0, wait_for_child(recovering));
}

/* And after the reset it has given up, which aerState tells the toolstack */
TEST_F_TIMEOUT(played, silence_after_the_reset_is_the_end, 900)
{
	pid_t recovering;
	char text[32];

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover_late(self->nic_port, self->nic));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	sleep(SILENCE_S);
	guest_node(&self->guest, text, sizeof(text), "aerState");
	EXPECT_STREQ("aerfail", text);
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(-EIO, wait_for_child(recovering));
	expect_idle(self->nic);
}

/* But a guest that ends then does not fail the recovery, which may be of others, too */
TEST_F_TIMEOUT(played, guest_that_ends_after_the_reset, 600)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover(self->nic_port, self->nic));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	EXPECT_EQ(0, guest_destroy(&self->guest));
	EXPECT_EQ(0, wait_for_child(recovering));
	expect_idle(self->nic);
}

/* A guest whose driver answers keeps its function */
TEST_F_TIMEOUT(played, guest_that_answers_recovery, 600)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover(self->nic_port, self->nic));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	EXPECT_EQ(ASKED_SLOT_RESET, guest_answer(&self->guest, ANSWER_RECOVERED));
	EXPECT_EQ(ASKED_RESUME, guest_answer(&self->guest, ANSWER_RECOVERED));
	EXPECT_EQ(0, wait_for_child(recovering));
	expect_given(&self->guest, self->nic);
}

/* An answer that comes too late is none, and the guest's next operation is done as ever */
TEST_F_TIMEOUT(played, late_answer_to_recovery, 900)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover_late(self->nic_port, self->nic));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	EXPECT_EQ(ASKED_SLOT_RESET, guest_answer(&self->guest, ANSWER_RECOVERED));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	sleep(SILENCE_S);
	EXPECT_EQ(0, wait_for_child(recovering));
	EXPECT_EQ(0, guest_notify(&self->guest));
	expect_readable(&self->guest, self->nic);
}

/*
 * One whose driver gives up is to be killed by the toolstack, which aerState tells. Since
 * 6.18 the kernel reports to drivers that recovery has failed, and pciback to the guest.
 */
#define expect_given_up(asked) do {					\
	char text[32];							\
									\
	EXPECT_EQ(asked, guest_answer(&self->guest, ANSWER_DISCONNECT));	\
	if (kernel_since(6, 18))					\
		EXPECT_EQ(ASKED_DETECTED,				\
			  guest_answer(&self->guest, ANSWER_DISCONNECT));	\
	EXPECT_EQ(-EIO, wait_for_child(recovering));			\
	guest_node(&self->guest, text, sizeof(text), "aerState");	\
	EXPECT_STREQ("aerfail", text);					\
	EXPECT_EQ(0, guest_destroy(&self->guest));			\
	expect_idle(self->nic);						\
} while (0)

TEST_F_TIMEOUT(played, guest_that_gives_up_before_the_reset, 600)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover(self->nic_port, self->nic));
	expect_given_up(ASKED_DETECTED);
}

TEST_F_TIMEOUT(played, guest_that_gives_up_after_the_reset, 600)
{
	pid_t recovering;

	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	recovering = in_child(aer_recover(self->nic_port, self->nic));
	EXPECT_EQ(ASKED_DETECTED, guest_answer(&self->guest, ANSWER_NEED_RESET));
	expect_given_up(ASKED_SLOT_RESET);
}

/* The page with the question stays mapped as long as error recovery looks at it */
TEST_F_TIMEOUT(played, guest_that_closes_in_recovery, 600)
{
	pid_t recovering;

	ASSERT_EQ(0, hold_load());
	if (!guest_connectable())
		SKIP(return, NOT_ITS_OWN_GUEST);
	create_asked();
	ASSERT_EQ(0, hold_at_return("notify_remote_via_irq"));
	recovering = in_child(aer_recover(self->nic_port, self->nic));
	ASSERT_EQ(0, guest_wait_asked(&self->guest));
	EXPECT_TRUE(hold_wait());
	guest_forge_state(&self->guest, "6");
	EXPECT_TRUE(hold_waits_in(guest_xenwatch(), "xen_pcibk_disconnect"));
	EXPECT_EQ(0, hold_let_go());
	EXPECT_EQ(0, wait_for_child(recovering));
}

/* -- the rest of the machine ---------------------------------------------------- */

/*
 * A card whose slot has no driver, so that its bus is reset, and that does not come
 * back. The core waits a minute for a function with a PM capability, and for others
 * not at all.
 */
#define begin_bus_reset() ({						\
	pid_t child;							\
									\
	ASSERT_EQ(0, fault_load());					\
	ASSERT_EQ(0, slot_unbind(fn_root(0x11)));			\
	adopt(self->entropy);						\
	ASSERT_EQ(0, fault_add(self->entropy));				\
	ASSERT_EQ(0, fault_set(self->entropy, "sbr_away_ms",		\
			       FAULT_FOR_EVER));			\
	child = in_child(reset_device(self->entropy));			\
	ASSERT_TRUE(fault_wait(self->entropy, "sbrs"));			\
	settle();							\
	child;								\
})

/* All that was timed came before its end */
#define end_bus_reset(child) do {					\
	pid_t resetting_it = child;					\
									\
	EXPECT_EQ(0, waitpid(resetting_it, NULL, WNOHANG));			\
	EXPECT_EQ(0, fault_set(self->entropy, "sbr_away_ms", 0));	\
	EXPECT_EQ(0, fault_set(self->entropy, "heal", 1));		\
	EXPECT_NE(-ECHILD, wait_for_child(resetting_it));		\
	EXPECT_EQ(0, slot_bind(fn_root(0x11)));			\
} while (0)

/* As long as without it, and less than a second more */
#define expect_no_longer(usual, what) do {				\
	long long before = usual, ms = timed(EXPECT_EQ(0, what));	\
									\
	TH_LOG("%lld ms, usually %lld", ms, before);			\
	EXPECT_GE(before + SECOND_MS, ms);				\
} while (0)

static int look_again(void)
{
	return write_string("/sys/bus/pci/rescan", "1");
}

TEST_F_TIMEOUT(played, rescan_in_a_bus_reset, 600)
{
	long long usual = timed(look_again());
	pid_t resetting = begin_bus_reset();

	expect_no_longer(usual, look_again());
	end_bus_reset(resetting);
}

static int set_vfs(struct fn pf, const char *nr)
{
	return fn_write_file(pf, "sriov_numvfs", nr);
}

TEST_F_TIMEOUT(played, sriov_numvfs_in_a_bus_reset, 600)
{
	struct fn pf = fn_below(fn_root(0x1a), 0, 0);
	pid_t resetting;
	long long usual;

	ASSERT_EQ(0, load_module("nvme"));
	ASSERT_EQ(0, fn_bind(pf, "nvme"));
	ASSERT_EQ(0, fn_write_file(pf, "sriov_drivers_autoprobe", "0"));
	usual = timed(EXPECT_EQ(0, set_vfs(pf, NR_VFS)));
	usual += timed(EXPECT_EQ(0, set_vfs(pf, "0")));

	resetting = begin_bus_reset();
	expect_no_longer(usual, set_vfs(pf, NR_VFS) ?: set_vfs(pf, "0"));
	end_bus_reset(resetting);
	EXPECT_EQ(0, fn_release(pf));
	EXPECT_EQ(0, unload_module("nvme"));
}

static int pull_and_fill(struct fn port, struct fn fn)
{
	slot_pull(port);
	if (!fn_wait_gone(fn) || !slot_wait_off(port))
		return -ETIMEDOUT;
	slot_fill(port);
	return slot_wait_on(port) && fn_exists(fn) ? 0 : -ETIMEDOUT;
}

TEST_F_TIMEOUT(played, hotplug_in_a_bus_reset, 900)
{
	struct fn port = fn_root(0x12);
	long long usual = timed(EXPECT_EQ(0, pull_and_fill(port, self->nic)));
	pid_t resetting = begin_bus_reset();

	expect_no_longer(usual, pull_and_fill(port, self->nic));
	end_bus_reset(resetting);
}

TEST_F_TIMEOUT(played, guest_in_a_bus_reset, 600)
{
	pid_t resetting = begin_bus_reset();

	adopt(self->nic);
	expect_next_guest(SECOND_MS);
	end_bus_reset(resetting);
}

TEST_HARNESS_MAIN
