#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# story.sh: what `make run` shows, in the VM. Resets one device after the other
# with the commands a person would type, and shows for each the result, the
# driver's log line, and what the hardware saw.
#
# COLOR=1 in the environment: for a terminal that shows colours. With the stock driver
# (STOCK=1) it writes to the function's own reset file, if the function has one.
set -u

DIR=$(dirname "$0")
# Not on any other machine, whose devices these would be
"$DIR/guard" || exit
PCIBACK=/sys/bus/pci/drivers/pciback
failed=0 version="xen-pciback with reset_device"
[ -e "$PCIBACK/reset_device" ] || version="stock xen-pciback"

if [ "${COLOR-}" = 1 ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m')
	red=$(printf '\033[31m') off=$(printf '\033[0m')
else
	bold='' dim='' red='' off=''
fi

chapter()
{
	printf '\n%s%s%s\n' "$bold" "$1" "$off"
}

# adopt BDF...: give functions to pciback, as a toolstack does
adopt()
{
	for bdf; do
		dev=/sys/bus/pci/devices/$bdf
		echo pciback >"$dev/driver_override"
		if [ -e "$dev/driver" ]; then
			echo "$bdf" >"$dev/driver/unbind"
		fi
		echo "$bdf" >/sys/bus/pci/drivers_probe
		if [ ! -e "$PCIBACK/$bdf" ]; then
			echo "$bdf is not pciback's" >&2
			failed=1
		fi
	done
}

# type_it EXPECTED COMMAND: show a command, run it, and show its result;
# EXPECTED is 0 or what the shell says of a write that fails
type_it()
{
	expected=$1
	command=$2
	lines=$(dmesg | wc -l)
	printf '  %s# %s%s\n' "$bold" "$command" "$off"
	"$DIR/hwtrace" sh -c "$command" >/tmp/hw 2>/tmp/error
	status=$?
	if [ "$expected" = any ]; then
		sed 's/^[^:]*: /  sh: /' /tmp/error
	elif [ "$status" = 0 ] && [ "$expected" = 0 ]; then
		:
	elif grep -q "$expected" /tmp/error; then
		sed 's/^.*: write error/  sh: write error/' /tmp/error
	else
		printf '  %sexpected: %s%s\n' "$red" "$expected" "$off"
		cat /tmp/error
		failed=1
	fi
	grep 'took:' /tmp/hw
	dmesg | tail -n "+$((lines + 1))" | grep 'xen_pciback: reset' |
		sed -e 's/^\[[^]]*\] [^:]*:\(.*\): xen_pciback: /  log:      \1: /' \
			-e 's/log:      [^ ]* /log:      /'
	printf '%s' "$dim"
	grep 'hardware:' /tmp/hw
	printf '%s' "$off"
}

reset()
{
	if [ -e "$PCIBACK/reset_device" ]; then
		type_it "$1" "echo $2 > $PCIBACK/reset_device"
	else
		type_it any "echo 1 > /sys/bus/pci/devices/$2/reset"
	fi
}

# list BDF...: a line each
list()
{
	for bdf; do
		driver=$(readlink "/sys/bus/pci/devices/$bdf/driver")
		printf '  %-13s %-8s %s\n' "$bdf" "${driver##*/}" \
			"$(lspci -s "$bdf" | cut -d ' ' -f 2-)"
	done
}

chapter "Where we are"
hypervisor=/sys/hypervisor/version
printf '  %-13s %s\n' \
	Xen "$(cat $hypervisor/major).$(cat $hypervisor/minor)$(cat $hypervisor/extra)" \
	dom0 "Linux $(uname -r)" driver "$version"
lspci -t | sed 's/^/  /'

chapter "1. A function with a reset of its own: FLR"
adopt 0000:01:00.0
list 0000:01:00.0
reset 0 0000:01:00.0

chapter "2. A card of three functions, none with FLR: one write resets all three"
adopt 0000:04:00.0 0000:04:00.1 0000:04:00.2
list 0000:04:00.0 0000:04:00.1 0000:04:00.2
reset 0 0000:04:00.0

chapter "3. Two devices behind a conventional bridge: secondary bus reset"
adopt 0000:06:01.0 0000:06:02.0
list 0000:06:01.0 0000:06:02.0
reset 0 0000:06:01.0

chapter "4. The same card, one function in use by dom0: refused"
modprobe e1000e
echo e1000e >/sys/bus/pci/devices/0000:04:00.1/driver_override
echo 0000:04:00.1 >"$PCIBACK/unbind"
echo 0000:04:00.1 >/sys/bus/pci/drivers_probe
list 0000:04:00.0 0000:04:00.1 0000:04:00.2
reset 'Device or resource busy' 0000:04:00.0
list 0000:04:00.1

chapter "5. A device on the root bus: nothing can reset it"
adopt 0000:00:18.0
list 0000:00:18.0
reset 'Inappropriate ioctl' 0000:00:18.0

if [ ! -e "$PCIBACK/reset_device" ]; then
	chapter "That was the stock driver."
elif [ "$failed" = 0 ]; then
	chapter "All as it should be."
else
	printf '\n%sSomething is not as it should be: see above.%s\n' "$red" "$off"
fi
exit "$failed"
