/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's test harness, for an emulated machine that shares its CPUs: what
 * takes a second there may take a minute, and more on a kernel that looks for
 * mistakes (SLOWER times). A test that hangs is ended all the same, and so is a
 * program (settings).
 */
#ifndef SELFTEST_XEN_PCIBACK_HARNESS_H
#define SELFTEST_XEN_PCIBACK_HARNESS_H

#include "../../kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT (300 * SLOWER)

#undef TEST_F_TIMEOUT
#define TEST_F_TIMEOUT(fixture, test, timeout) \
	__TEST_F_IMPL(fixture, test, -1, (timeout) * SLOWER)

#endif
