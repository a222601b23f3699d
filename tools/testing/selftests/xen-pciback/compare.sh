#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# compare.sh: in the VM, hand devices to a guest and take them back with stock xl and
# the xen-pciback that is loaded. Print a line for each step, with tabs between its fields:
#
#	row	DEVICES	STEP	MS	HARDWARE	LEFT
#
# MS is how long xl took, HARDWARE what QEMU's trace shows, LEFT which functions still had the
# address for their DMA that the guest had programmed. "make compare" makes a table of it.
set -u

DIR=$(dirname "$0")
# Not on any other machine, whose devices these would be
"$DIR/guard" || exit
# shellcheck source=handover.sh
. "$DIR/handover.sh"
ADDRESS=0x5eed0000

xen-start
modprobe xhci-pci

# A register for an address that the device reads or writes, by kind. Not of an
# NVMe disk: QEMU's keeps its queues' addresses over an FLR.
dma_register()
{
	case $(lspci -n -s "$1" | cut -d ' ' -f 3) in
	8086:10d3 | 8086:100e) offset=0x2800 ;;	# e1000(e): receive ring
	1b36:000d) offset=0x70 ;;	# xHCI: device contexts
	*) return 1 ;;
	esac
	bar=$(sed -n '1s/ .*//p' "/sys/bus/pci/devices/$1/resource")
	echo $((bar + offset))
}

# As a guest's driver does: memory, bus mastering, an address
program()
{
	for bdf; do
		setpci -s "$bdf" COMMAND=6
		! register=$(dma_register "$bdf") ||
			devmem "$register" 32 "$ADDRESS"
	done
}

# As the next guest's driver would, before it sets anything up
left()
{
	for bdf; do
		register=$(dma_register "$bdf") || continue
		setpci -s "$bdf" COMMAND=2
		[ $(($(devmem "$register" 32))) -ne $((ADDRESS)) ] ||
			printf '%s ' "${bdf#0000:}"
		setpci -s "$bdf" COMMAND=0
	done
}

# What hwtrace runs: for each step, only xl's own time counts
step()
{
	step=$1
	shift
	case $step in
	adopt) xl_adopt "$@" ;;
	create) xl_create ;;
	destroy) xl_destroy ;;
	esac || echo failed >/tmp/failed
	echo $((took / 1000000)) >/tmp/ms
	settled "$(cat /tmp/domain)" "$@"
}

# row DEVICES STEP BDF...
row()
{
	devices=$1 step=$2
	shift 2
	rm -f /tmp/failed
	"$DIR/hwtrace" "$DIR/compare.sh" --step "$step" "$@" >/tmp/hw
	printf 'row\t%s\t%s\t%s\t%s\t' "$devices" "$step" \
		"$(cat /tmp/ms /tmp/failed 2>/dev/null | xargs)" \
		"$(sed -n 's/^  hardware: //p' /tmp/hw | tr '\n' ';' | sed 's/;$//; s/;/; /g')"
	if [ "$step" = destroy ]; then
		left "$@"
	fi
	echo
}

# compare DEVICES BDF...
compare()
{
	devices=$1
	shift
	configure "$@"
	echo 0 >/tmp/domain
	row "$devices" adopt "$@"
	row "$devices" create "$@"
	xl domid "$GUEST" >/tmp/domain
	wait_until_connected "$(cat /tmp/domain)"
	program "$@"
	row "$devices" destroy "$@"
	for bdf; do
		xl pci-assignable-remove "$bdf" >>/tmp/xl.log 2>&1
	done
}

if [ "${1-}" = --step ]; then
	shift
	step "$@"
	exit
fi

compare "NVMe disk, has FLR" 0000:01:00.0
compare "e1000e, alone in its slot" 0000:03:00.0
compare "xHCI, alone in its slot" 0000:07:00.0
compare "card of three functions, no FLR" 0000:04:00.0 0000:04:00.1 0000:04:00.2
echo 0000:04:00.2 >/sys/bus/pci/drivers_probe
if [ ! -e /sys/bus/pci/drivers/xhci_hcd/0000:04:00.2 ]; then
	echo "0000:04:00.2 has no driver in dom0" >&2
	exit 1
fi
compare "two of its functions, dom0 uses the third" 0000:04:00.0 0000:04:00.1
compare "two devices behind a conventional bridge" 0000:06:01.0 0000:06:02.0
