/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's test harness, with longer time limits. The emulated machine shares its CPUs
 * with others, so what takes a second may take a minute there, and SLOWER times as long on a
 * debug kernel. A test that hangs is still ended, and so is a program (settings).
 */
#ifndef SELFTEST_XEN_PCIBACK_HARNESS_H
#define SELFTEST_XEN_PCIBACK_HARNESS_H

#include "../../kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT (300 * SLOWER)

#undef TEST_F_TIMEOUT
#define TEST_F_TIMEOUT(fixture, test, timeout) \
	__TEST_F_IMPL(fixture, test, -1, (timeout) * SLOWER)

/*
 * Steps that many tests have in common. The fixture has what they take, by these names:
 * struct owned owned, struct card card, struct hw hw, and klog of klog_begin().
 */

/* Pciback's from here on, as clean as can be; seize() asks for no reset of them */
#define adopt(...)							\
	ASSERT_EQ(0, owned_adopt(&self->owned, __VA_ARGS__))
#define seize(...)							\
	ASSERT_EQ(0, owned_seize(&self->owned, __VA_ARGS__))
#define adopt_card()							\
	adopt(self->card.first, self->card.second, self->card.third)

/* Bound, and clean by that alone: so it is with a strong reset of its own */
#define bind_clean(target) do {						\
	struct fn named = target;					\
									\
	ASSERT_EQ(0, fn_adopt(named));					\
	fn_quiesce(named);						\
	EXPECT_EQ(0, fn_needs_reset(named));				\
} while (0)

/* Bind the card, and let its function that is turned on be idle */
#define bind_card() do {						\
	ASSERT_EQ(0, card_adopt(&self->card));				\
	fn_quiesce(self->card.third);					\
} while (0)

/* Let a function have faults from here on (fault.h) */
#define inject(target) do {						\
	ASSERT_EQ(0, fault_load());					\
	ASSERT_EQ(0, fault_add(target));				\
} while (0)

/* Do something with the hardware watched */
#define watched(ret, what) do {						\
	hw_begin(&self->hw);						\
	ASSERT_EQ(ret, what);						\
	hw_end(&self->hw);						\
} while (0)

/* Write to reset_device, with the log watched as well */
#define reset_watched(target, ret) do {					\
	struct fn asked_for = target;					\
									\
	fn_quiesce(asked_for);						\
	self->klog = klog_begin();					\
	watched(ret, reset_device(asked_for));				\
} while (0)

#define expect_driver(driven, expected) do {				\
	struct fn named = driven;					\
	char driver[32];						\
									\
	fn_driver(named, driver, sizeof(driver));			\
	EXPECT_STREQ(expected, driver) {				\
		TH_LOG("%s", named.name);				\
	}								\
} while (0)

/* Each byte as at bind time */
#define expect_restored()						\
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_CONFIG_SIZE))
/* The header: nobody restores the MSI address and the like after a weak reset */
#define expect_header_restored()					\
	EXPECT_EQ(0, owned_changed(&self->owned, PCI_STD_HEADER_SIZEOF))

#define expect_logged(fn, what)						\
	EXPECT_TRUE(klog_has(self->klog, (fn).name, what, NULL, 0))
/* Of no function */
#define expect_not_logged(what)						\
	EXPECT_FALSE(klog_has(self->klog, what, NULL, NULL, 0))

#endif
