/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plug cards into the slots of the test machine, and unplug them. A slot is named by its
 * port.
 */
#ifndef SELFTEST_XEN_PCIBACK_SLOT_H
#define SELFTEST_XEN_PCIBACK_SLOT_H

#include <stdbool.h>

#include "pci.h"

/*
 * Pull the card out, without a word: it is not present any more, its link is
 * down, and pciehp hears of that by its interrupt and not before.
 */
void slot_pull(struct fn port);
/* Press the attention button. The kernel takes 5 s, then lets go of the card. */
void slot_press(struct fn port);
/* The slot's own file. The card is lost: QEMU has no use for one without power. */
int slot_power_off(struct fn port);
/* Until the kernel is done with a card that goes. False if it never is. */
bool slot_wait_off(struct fn port);
/* Put the card back in that was there at the start, once the slot is off */
void slot_fill(struct fn port);
/* Does pciehp drive it? One that ACPI drives can be reset only as a bus. */
bool slot_is_native(struct fn port);
/* Take its driver from a slot, so that it is only a bus; and give it back */
int slot_unbind(struct fn port);
int slot_bind(struct fn port);
/* Until the kernel is done with that, drivers and all. False if it never is. */
bool slot_wait_on(struct fn port);

#endif
