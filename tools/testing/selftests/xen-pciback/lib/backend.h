/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the programs that play guests (played.h) to test the backend's contract: functions that
 * show which guest has what.
 */
#ifndef SELFTEST_XEN_PCIBACK_BACKEND_H
#define SELFTEST_XEN_PCIBACK_BACKEND_H

#include "fault.h"
#include "hold.h"
#include "topology.h"

#define PLAYED_LACKS	(!hold_available() ? HOLD_MODULE :		\
			 !fault_available() ? FAULT_MODULE :		\
			 !topology_available() ? TOPOLOGY_MODULE : NULL)
#include "played.h"

/* One second on a machine that is busy with others; what it must not be is 8 and more */
#define SECOND_MS	(2500 * SLOWER)
#define SOON_MS		(5000 * SLOWER)
/* Long enough to see that nothing happens */
#define NOTHING_MS	(1500 * SLOWER)

/* How long that takes, in ms */
#define timed(what) ({							\
	long long start = now_ms();					\
									\
	what;								\
	now_ms() - start;						\
})

/* What xenwatch has to do by now is done then */
#define settle()	usleep(300000 * SLOWER)

/* No frontend. What pciback wrote itself does not wake it any more. */
#define create_hvm(which, domid, ...) do {				\
	const struct fn of_it[] = { __VA_ARGS__ };			\
	struct guest *hvm = which;					\
									\
	ASSERT_EQ(0, guest_create(hvm, domid, of_it,			\
				  ARRAY_SIZE(of_it)));			\
	hvm->wait_ms = SOON_MS;						\
	settle();							\
} while (0)

/* Connected: dom0 as its own guest */
#define create_pv(which, ...) do {					\
	const struct fn of_it[] = { __VA_ARGS__ };			\
	struct guest *pv = which;					\
									\
	ASSERT_EQ(0, guest_create(pv, 0, of_it, ARRAY_SIZE(of_it)));	\
	ASSERT_EQ(0, guest_connect(pv));				\
	pv->wait_ms = SOON_MS;						\
	settle();							\
} while (0)

#define expect_idle(target) do {					\
	struct fn asked = target;					\
									\
	EXPECT_EQ(0, reset_device(asked)) {				\
		TH_LOG("%s: %s", asked.name, fn_last_reset(asked));	\
	}								\
} while (0)

/* Handed out: by the nodes, and by whose it is */
#define expect_given(which, target) do {				\
	const struct guest *owner = which;				\
	struct fn given = target;					\
									\
	EXPECT_EQ(STATE_INITIALISED, guest_fn_state(owner, given)) {	\
		TH_LOG("%s", given.name);				\
	}								\
	expect_assigned(given, owner->domid);				\
} while (0)

#endif
