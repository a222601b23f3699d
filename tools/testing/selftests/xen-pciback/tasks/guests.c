// SPDX-License-Identifier: GPL-2.0
/*
 * The tasks of stress that play a toolstack and its guest: hand-outs, attach and detach, and
 * what a guest's frontend does.
 */
#include <linux/pci_regs.h>

#include "tasks.h"

static struct guest guest;
int guest_nr;
static bool guest_up, guest_is_connected;
/* Its functions, and those that it was refused, which stay in its list */
static bool has[NR_FNS], was_refused[NR_FNS];

static bool guest_is_dom0(void)
{
	return guest_nr == NR_GUESTS - 1;
}

/* Was strict_reset on all the time since it was @before? */
static bool strict_since(unsigned int before)
{
	return !(before & 1) && before == atomic_get(shared->strict) &&
	       atomic_get(shared->strict_on);
}

/* One that can be had, from one at random on; NR_FNS if there is none */
static unsigned int any_for_guest(void)
{
	unsigned int from = any_below(NR_FNS), n, i;

	for (n = 0; n < NR_FNS; n++) {
		i = (from + n) % NR_FNS;
		/* Error recovery would wait for dom0's frontend, for minutes */
		if (!has[i] && atomic_get(shared->subjects[i].guest) == NOBODY &&
		    is_pcibacks(i) && !(guest_is_dom0() && places[i].aer))
			return i;
	}
	return NR_FNS;
}

/* One that it has, or was refused */
static unsigned int any_of_guest(void)
{
	unsigned int from = any_below(NR_FNS), n;

	for (n = 0; n < NR_FNS; n++)
		if (has[(from + n) % NR_FNS])
			return (from + n) % NR_FNS;
	return NR_FNS;
}

static void end_guest(void)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (has[i])
			change_begin(i);
	begin(OP_GUEST_DESTROY);
	end(OP_GUEST_DESTROY, NR_FNS, guest_destroy(&guest));
	for (i = 0; i < NR_FNS; i++) {
		if (has[i])
			change_end(i, NOBODY, false);
		has[i] = false;
		was_refused[i] = false;
	}
	guest_up = false;
	guest_is_connected = false;
}

static void connect_guest(void)
{
	begin(OP_GUEST_CONNECT);
	if (end(OP_GUEST_CONNECT, NR_FNS, guest_connect(&guest)))
		end_guest();
	else
		guest_is_connected = true;
}

static void start_guest(void)
{
	unsigned int want = 1 + any_below(3), strict = atomic_get(shared->strict);
	unsigned int nr, i;
	struct fn fns[3];
	bool clean;

	for (nr = 0; nr < want; nr++) {
		i = any_for_guest();
		if (i == NR_FNS)
			break;
		has[i] = true;
		fns[nr] = fn_of(i);
		change_begin(i);
	}
	if (!nr)
		return;

	begin(OP_GUEST_CREATE);
	guest_up = !end(OP_GUEST_CREATE, NR_FNS,
			guest_create(&guest, guest_is_dom0() ? 0 : DOMAIN + guest_nr,
				     fns, nr));
	clean = strict_since(strict);
	if (!guest_up) {
		begin(OP_GUEST_DESTROY);
		end(OP_GUEST_DESTROY, NR_FNS, guest_destroy(&guest));
	}
	for (i = 0; i < NR_FNS; i++) {
		if (has[i])
			change_end(i, guest_up ? guest_nr : NOBODY, clean);
		has[i] &= guest_up;
	}
	/* Once it has been reconfigured, it would look as if it were */
	if (guest_up && guest_is_dom0())
		connect_guest();
}

static void attach(unsigned int i)
{
	unsigned int strict = atomic_get(shared->strict);
	int ret;

	change_begin(i);
	has[i] = true;
	begin(OP_GUEST_ATTACH);
	ret = end(OP_GUEST_ATTACH, i, guest_attach(&guest, fn_of(i)));
	was_refused[i] = ret;
	change_end(i, ret ? NOBODY : guest_nr, strict_since(strict));
}

/*
 * One that was unbound from under the guest may be another guest's by now, and its
 * place on the bus another function's: these stay what they are.
 */
static void detach(unsigned int i)
{
	bool ours = was_refused[i] ||
		    atomic_get(shared->subjects[i].guest) == guest_nr;
	int ret;

	if (ours)
		change_begin(i);
	begin(OP_GUEST_DETACH);
	ret = end(OP_GUEST_DETACH, i, guest_detach(&guest, fn_of(i)));
	if (ours)
		change_end(i, NOBODY, false);
	has[i] = false;
	was_refused[i] = false;
	if (ret)
		end_guest();
}

static void access_config(unsigned int i)
{
	uint32_t val;

	begin(OP_GUEST_ACCESS);
	end(OP_GUEST_ACCESS, i,
	    guest_config_read(&guest, fn_of(i), PCI_COMMAND, 2, &val) ?:
	    guest_config_write(&guest, fn_of(i), PCI_COMMAND, 2,
			       val ^ PCI_COMMAND_MASTER));
}

void step_guest(void)
{
	unsigned int what = any_below(8), i;

	if (!guest_up) {
		start_guest();
	} else if (what < 1) {
		end_guest();
	} else if (what < 4) {
		i = any_for_guest();
		if (i < NR_FNS)
			attach(i);
	} else if (what < 6) {
		i = any_of_guest();
		if (i < NR_FNS)
			detach(i);
	} else if (guest_is_connected) {
		i = any_of_guest();
		if (i < NR_FNS)
			access_config(i);
	}
	pause_ms(any_below(400));
}

void end_step_guest(void)
{
	if (guest_up)
		end_guest();
}
