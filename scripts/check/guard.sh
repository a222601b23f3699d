#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# guard.sh: check that the kselftests refuse every machine but the emulated one
# (lib/guard.c). Each program and script that tests.sh has installed must be skipped,
# print only the reason, and touch nothing. Each is tried on two false machines: one
# lacks the root port, the other the hardware's trace.
#
# These machines are files in a folder, without any real device. A program that does not
# refuse is root in namespaces of its own only, and cannot load a module. In a chroot no
# user namespace can be made: there it is root without capabilities.
set -eu
. "${0%/*}/../common.sh"

INSTALLED=$OUT/selftests/selftests
LOG=$OUT/guard
machine=$LOG/machine

inside()
{
	if unshare --map-root-user true 2>/dev/null; then
		set -- unshare --map-root-user --pid --fork --kill-child \
			--root="$machine" "$@"
	else
		set -- setpriv --inh-caps=-all --bounding-set=-all,+sys_chroot \
			chroot "$machine" "$@"
	fi
	timeout -k 1 10 "$@"
}

# make_machine PORT: with a root port that has this device ID, and a function to take
make_machine()
{
	pci=$machine/sys/bus/pci
	port=$pci/devices/0000:00:10.0 function=$pci/devices/0000:01:00.0
	rm -rf "$machine"
	mkdir -p "$machine/bin" "$machine/dev" "$machine/tmp" "$port" "$function" \
		"$pci/drivers/nvme" "$pci/drivers/pciback"
	echo 0x1b36 >"$port/vendor"
	echo "$1" >"$port/device"
	echo 0x1b36 >"$function/vendor"
	echo 0x0010 >"$function/device"
	ln -s ../../drivers/nvme "$function/driver"
	for file in "$function/driver_override" "$function/reset" \
		"$pci/drivers/nvme/unbind" "$pci/drivers/pciback/bind" \
		"$pci/drivers/pciback/new_slot" "$pci/drivers/pciback/reset_device" \
		"$pci/drivers_probe"; do
		: >"$file"
	done
	cp "$OUT/root/bin/busybox" "$machine/bin/"
	inside /bin/busybox --install -s /bin
	cp -R "$INSTALLED" "$machine/selftests"
}

state()
{
	find "$machine" -printf '%p %s %T@ %C@\n' | sort
}

# refuses PROGRAM: else what is wrong is printed
refuses()
{
	rc=0
	state >"$LOG/before"
	inside "${1#"$machine"}" >"$LOG/said" 2>&1 </dev/null || rc=$?
	state >"$LOG/after"
	if [ "$rc" -ne 4 ] || ! grep -q '^1\.\.0 # SKIP ' "$LOG/said" ||
	   grep -v -e '^TAP version 13$' -e '^1\.\.0 # SKIP ' "$LOG/said" ||
	   ! diff "$LOG/before" "$LOG/after"; then
		echo "${1##*/} does not refuse: exit status $rc"
		return 1
	fi
}

# all_refuse: on this machine
all_refuse()
{
	find "$machine/selftests/xen-pciback" -maxdepth 1 -type f -perm -u+x \
		>"$LOG/programs"
	bad=0
	while read -r program; do
		refuses "$program" || bad=1
	done <"$LOG/programs"
	[ "$bad" -eq 0 ] && [ -s "$LOG/programs" ]
}

check_guard()
{
	# Somebody else's root port
	make_machine 0x0001
	: >"$machine/dev/hw"
	all_refuse
	# QEMU's, but no account of the hardware
	make_machine 0x000c
	all_refuse
	rm -rf "$machine"
}

step guard "the kselftests refuse any other machine" check_guard
