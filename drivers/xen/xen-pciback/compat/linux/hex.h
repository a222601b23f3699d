/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Before this header there was */
#include <linux/kernel.h>
