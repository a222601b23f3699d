// SPDX-License-Identifier: GPL-2.0
/*
 * Error recovery. See aer.h.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <unistd.h>

#include "aer.h"
#include "hw.h"
#include "klog.h"

/* What /dev/aer_inject takes (drivers/pci/pcie/aer_inject.c) */
struct aer_error {
	uint8_t bus, dev, func;
	uint32_t uncorrectable, correctable, header_log[4], domain;
};

static int wait_for_recovery(int klog, struct fn port, unsigned int poll_ms)
{
	unsigned int tries;

	for (tries = 0; tries < 600; tries++) {
		if (klog_has(klog, port.name, "device recovery successful",
			     NULL, 0))
			return 0;
		if (klog_has(klog, port.name, "device recovery failed", NULL,
			     0))
			return -EIO;
		usleep(poll_ms * 1000);
	}
	return -ETIMEDOUT;
}

int aer_begin(struct fn fn)
{
	struct aer_error error = {
		.bus = fn.bus, .dev = fn.dev, .func = fn.func,
		/* Fatal, unless configured otherwise: frozen, so link reset */
		.uncorrectable = PCI_ERR_UNC_DLP,
	};
	int marks, ret;

	ret = load_module("aer_inject");
	if (ret)
		return ret;

	/* It takes over a bus before it knows who had it, */
	marks = hw_hold_marks();
	ret = write_file("/dev/aer_inject", &error, sizeof(error));
	close(marks);
	return ret;
}

static int recover(struct fn port, struct fn fn, unsigned int poll_ms)
{
	int klog, marks, ret, err;

	klog = klog_begin();
	ret = aer_begin(fn);
	if (!ret)
		ret = wait_for_recovery(klog, port, poll_ms);
	klog_end(klog);

	/* and forgets that before it gives it back */
	marks = hw_hold_marks();
	err = unload_module("aer_inject");
	close(marks);
	return ret ?: err;
}

int aer_wait(int klog, struct fn port)
{
	return wait_for_recovery(klog, port, 50);
}

int aer_recover(struct fn port, struct fn fn)
{
	return recover(port, fn, 50);
}

int aer_recover_late(struct fn port, struct fn fn)
{
	return recover(port, fn, 2000);
}
