// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls, the console and xenstore. See guest.h.
 *
 * Event channels are polled: interrupts stay off.
 */
#include "guest.h"

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>

#define CPUID_XEN_PAGES	0x40000002
#define POLL_NS		5000000

/* For memory that is shared with Xen or dom0 */
#define load(from)	__atomic_load_n(from, __ATOMIC_ACQUIRE)
#define store(to, val)	__atomic_store_n(to, val, __ATOMIC_RELEASE)

static struct xencons_interface *console;
static struct xenstore_domain_interface *nodes;
static uint32_t console_port, store_port;

static long hypercall2(unsigned int call, unsigned long one, void *two)
{
	long ret;

	asm volatile("call *%[entry]"
		     : "=a" (ret), "+b" (one), "+c" (two)
		     : [entry] "a" (hypercall_page + 32 * call)
		     : "memory");
	return ret;
}

static uint32_t get_param(unsigned int index)
{
	struct xen_hvm_param param = { .domid = DOMID_SELF, .index = index };

	hypercall2(__HYPERVISOR_hvm_op, HVMOP_get_param, &param);
	return param.value;
}

void xen_init(void)
{
	struct xen_add_to_physmap map = {
		.domid = DOMID_SELF,
		.space = XENMAPSPACE_shared_info,
		.gpfn = (unsigned long)&shared_page >> 12,
	};
	/* No callback, but this makes Xen use the 32-bit layout of the shared page */
	struct xen_hvm_param callback = {
		.domid = DOMID_SELF,
		.index = HVM_PARAM_CALLBACK_IRQ,
	};
	uint32_t eax = CPUID_XEN_PAGES, msr, ecx, edx;

	asm volatile("cpuid" : "+a" (eax), "=b" (msr), "=c" (ecx), "=d" (edx));
	asm volatile("wrmsr" : : "c" (msr), "a" (hypercall_page), "d" (0)
		     : "memory");

	hypercall2(__HYPERVISOR_hvm_op, HVMOP_set_param, &callback);
	hypercall2(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map);
	console = (void *)(get_param(HVM_PARAM_CONSOLE_PFN) << 12);
	console_port = get_param(HVM_PARAM_CONSOLE_EVTCHN);
	nodes = (void *)(get_param(HVM_PARAM_STORE_PFN) << 12);
	store_port = get_param(HVM_PARAM_STORE_EVTCHN);
}

static void notify(uint32_t port)
{
	struct evtchn_send send = { .port = port };

	hypercall2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send);
}

/* Xen's system time in ns */
static uint64_t now(void)
{
	const struct vcpu_time_info *time = &shared_page.vcpu_info[0].time;
	uint32_t version, mul;
	uint64_t delta, ret;

	do {
		version = load(&time->version);
		delta = __builtin_ia32_rdtsc() - time->tsc_timestamp;
		delta = time->tsc_shift < 0 ? delta >> -time->tsc_shift :
					      delta << time->tsc_shift;
		mul = time->tsc_to_system_mul;
		ret = time->system_time + ((delta & 0xffffffff) * mul >> 32) +
		      (delta >> 32) * mul;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (version & 1 || version != load(&time->version));
	return ret;
}

void xen_wait(void)
{
	evtchn_port_t ports[] = { console_port, store_port };
	struct sched_poll poll = {
		.nr_ports = ARRAY_SIZE(ports),
		.timeout = now() + POLL_NS,
	};
	unsigned int i;

	set_xen_guest_handle(poll.ports, ports);
	hypercall2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
	for (i = 0; i < ARRAY_SIZE(ports); i++)
		asm volatile("lock btrl %1, %0"
			     : "+m" (shared_page.evtchn_pending[ports[i] / 32])
			     : "r" (ports[i] % 32) : "memory");
}

void xen_shutdown(unsigned int reason)
{
	struct sched_shutdown shutdown = { .reason = reason };

	hypercall2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &shutdown);
}

/* -- the console ------------------------------------------------------------- */

static void put_char(char c)
{
	while (console->out_prod - load(&console->out_cons) ==
	       sizeof(console->out)) {
		notify(console_port);
		xen_wait();
	}
	console->out[MASK_XENCONS_IDX(console->out_prod, console->out)] = c;
	store(&console->out_prod, console->out_prod + 1);
}

void console_put(const char *s)
{
	while (*s)
		put_char(*s++);
	notify(console_port);
}

bool console_line(char *line, size_t size)
{
	uint32_t prod = load(&console->in_prod);
	uint32_t cons;
	size_t len = 0;
	char c;

	for (cons = console->in_cons; cons != prod; cons++) {
		c = console->in[MASK_XENCONS_IDX(cons, console->in)];
		if (c == '\n' || c == '\r') {
			line[len] = '\0';
			store(&console->in_cons, cons + 1);
			notify(console_port);
			return true;
		}
		if (len < size - 1)
			line[len++] = c;
	}
	return false;
}

/* -- xenstore ---------------------------------------------------------------- */

static void store_put(const void *data, size_t len)
{
	const char *bytes = data;

	while (len--) {
		while (nodes->req_prod - load(&nodes->req_cons) ==
		       sizeof(nodes->req)) {
			notify(store_port);
			xen_wait();
		}
		nodes->req[MASK_XENSTORE_IDX(nodes->req_prod)] = *bytes++;
		store(&nodes->req_prod, nodes->req_prod + 1);
	}
}

static void store_get(void *data, size_t len)
{
	char *bytes = data;

	while (len--) {
		while (load(&nodes->rsp_prod) == nodes->rsp_cons)
			xen_wait();
		*bytes++ = nodes->rsp[MASK_XENSTORE_IDX(nodes->rsp_cons)];
		store(&nodes->rsp_cons, nodes->rsp_cons + 1);
	}
}

static bool store_ask(uint32_t type, const char *node, const char *value)
{
	struct xsd_sockmsg header = {
		.type = type,
		.len = length(node) + 1 + length(value),
	};
	char c;

	store_put(&header, sizeof(header));
	store_put(node, length(node) + 1);
	store_put(value, length(value));
	notify(store_port);

	store_get(&header, sizeof(header));
	while (header.len--)
		store_get(&c, 1);
	notify(store_port);
	return header.type == type;
}

bool store_remove(const char *node)
{
	return store_ask(XS_RM, node, "");
}

bool store_write(const char *node, const char *value)
{
	return store_ask(XS_WRITE, node, value);
}
