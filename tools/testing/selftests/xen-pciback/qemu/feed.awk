# SPDX-License-Identifier: GPL-2.0
#
# The hardware's trace, for the tests in the VM: makes short lines of QEMU's trace, which
# the tests read from /dev/hw:
#
#	w BB:DD.F OFFSET VALUE NAME	a write to a function's config space
#	r TYPE OBJECT			a device was reset
#
# It begins at the first mark, a write of 0x5eedNNNN to 00:00.0 at 0xfc, since the scans by
# firmware and kernel before that are thousands of lines. Only resets of PCI devices count,
# not those of their buses and parts, which are reset together with them.

/^([0-9]+@[0-9.]+:)?pci_cfg_write / {
	if (!started && !($0 ~ /00:00\.0 @0xfc <- 0x5eed/))
		next
	started = 1
	sub(/^.*pci_cfg_write /, "")
	# NAME BB:DD.F @0xOFFSET <- 0xVALUE
	print "w", $2, substr($3, 4), substr($5, 3), $1
	fflush()
}

# QEMU 7.2 says qdev_reset for what later ones call resettable_phase_hold_exec
started && /(qdev_reset|resettable_phase_hold_exec) / {
	# obj=OBJECT(TYPE)
	if (!match($0, /obj=[^ ]*\([^)]*\)/))
		next
	object = substr($0, RSTART + 4, RLENGTH - 5)
	split(object, part, "(")
	if (part[2] !~ /^(nvme|e1000e?|edu|pci-testdev|qemu-xhci)$|virtio-.*-pci$|bridge|root-port/)
		next
	print "r", part[2], part[1]
	fflush()
}
