#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# command_uses.sh [-t TEST]: what dom0 uses in one way or another, pciback-reset does not take
# without being told to (fake_tree.sh).

# Lists of words, and what fake_tree.sh reads
# shellcheck disable=SC2086,SC2034

DIR=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$DIR/fake_tree.sh"

# What is behind the same conventional bridge is dom0's
test_root_fs()
{
	disk 0000:03:01.0 sda 8:0
	disk 0000:03:01.0 sda1 8:1
	mounted 8:1 / /dev/sda1
	run 4 adopt 03:00.0
	says '0000:03:01.0 is not taken: sda1 is mounted on /'
	run 4 adopt --force 03:00.0
	run 4 adopt --force 03:01.0
	is "$(cat "$PCI/devices/0000:03:01.0/driver_override")" '(null)' 'its override'
	run 3 plan 03:00.0
	says 'sda1 is mounted on /'
	says_not 'pciback-reset adopt'
}

test_volume()
{
	disk 0000:03:01.0 sda 8:0
	disk 0000:03:01.0 sda2 8:2
	disk '' md0 9:0
	disk '' dm-0 253:0
	: >"$ROOT/sys/class/block/sda2/holders/md0"
	: >"$ROOT/sys/class/block/md0/holders/dm-0"
	mounted 253:0 '/srv/with\040space' /dev/mapper/vg-srv
	run 4 adopt 03:01.0
	says '03:01.0 is not taken without --force: sda2 is below md0, and md0 is below dm-0, and dm-0 is mounted on /srv/with space'
	run 0 adopt --force --dry-run 03:01.0
}

test_swap()
{
	disk 0000:03:01.0 sdb1 8:17
	printf 'Filename\n/dev/sdb1  partition 1 0 -2\n' >"$ROOT/proc/swaps"
	run 4 adopt --only 03:01.0
	says 'sdb1 is swap space'
}

# An NVMe disk with several controllers is none's child, and neither are its partitions
test_nvme_paths()
{
	add 0000:00:04.0 pci0000:00 010802 144d:a808 nvme
	subsystem=$ROOT/sys/devices/virtual/nvme-subsystem/nvme-subsys0
	mkdir -p "$PCI/devices/0000:00:04.0/nvme/nvme0" "$subsystem/nvme0n1/nvme0n1p1"
	ln -s "$ROOT/sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0" "$subsystem/nvme0"
	path=$subsystem/nvme0n1
	numbered block 259:0
	path=$path/nvme0n1p1
	numbered block 259:1
	run 0 list --all
	mounted 259:0 /home /dev/nvme0n1
	run 4 adopt 00:04.0
	says 'nvme0n1 is mounted on /home'
	run 0 adopt --force --dry-run 00:04.0
	mounted 259:1 / /dev/nvme0n1p1
	run 4 adopt --force 00:04.0
	says '0000:00:04.0 is not taken: nvme0n1p1 is mounted on /'
}

# Neither is a child of what is below it
test_root_above()
{
	disk 0000:03:01.0 sda 8:0
	disk 0000:03:01.0 sda2 8:2
	disk '' md0 9:0
	disk '' md1 9:1
	: >"$ROOT/sys/class/block/sda2/holders/md0"
	: >"$ROOT/sys/class/block/sda2/holders/md1"
	run 0 adopt --only --force --dry-run 03:01.0
	path=$(readlink -f "$ROOT/sys/class/block/md0")/md0p1
	mkdir -p "$path"
	numbered block 259:0
	mounted 259:0 / /dev/md0p1
	run 4 adopt --only --force 03:01.0
	says '0000:03:01.0 is not taken: sda2 is below md0, and md0p1 is mounted on /'
}

# The kernel has it open for itself, and nothing says what for
test_root_unseen()
{
	held=$(find /dev -type b | head -n 1)
	if [ ! -w "$held" ]; then
		# Where this is not the VM
		[ "$COMMAND" = /usr/sbin/pciback-reset ] || return 0
		modprobe nvme
		echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/bind 2>/dev/null
		timeout 20 sh -c 'until find /dev -type b | grep -q .; do sleep 1; done' ||
			problem "no disk"
		held=$(find /dev -type b | head -n 1)
	fi
	export HELD="$held" ANSWER=x
	disk 0000:03:01.0 sda 8:0
	disk 0000:03:01.0 sda2 8:2
	ln -sf "$held" "$ROOT/dev/sda2"
	mounted 0:25 / rpool/ROOT
	run 4 adopt --only 03:01.0
	says '0000:03:01.0 is not taken: the disk sda2 is in use, maybe by the root file system'
	run 4 adopt --only --force 03:01.0
	# Below a volume, as ZFS on an encrypted disk
	disk '' dm-0 253:0
	ln -sf "$held" "$ROOT/dev/dm-0"
	ln -sf /dev/null "$ROOT/dev/sda2"
	: >"$ROOT/sys/class/block/sda2/holders/dm-0"
	run 4 adopt --only --force 03:01.0
	says 'not taken: sda2 is below dm-0, and the disk dm-0 is in use, maybe by the root file'
	rm "$ROOT/sys/class/block/sda2/holders/dm-0"
	# What is known is no riddle
	path=$(readlink -f "$ROOT/sys/class/block/sda")/sda3
	mkdir -p "$path"
	numbered block 8:3
	add_node sda3
	ln -sf "$held" "$ROOT/dev/sda"
	mounted 8:3 /home /dev/sda3
	run 4 adopt --only 03:01.0
	says '0000:03:01.0 is not taken without --force: sda3 is mounted on /home'
	run 0 adopt --only --force --dry-run 03:01.0
	# The root file system is elsewhere
	disk 0000:03:00.0 sdb 8:16
	ln -sf "$held" "$ROOT/dev/sda2"
	: >"$ROOT/proc/self/mountinfo"
	mounted 8:16 / /dev/sdb
	run 4 adopt --only 03:01.0
	says '0000:03:01.0 is not taken without --force: the disk sda2 is in use'
	run 0 adopt --only --force --dry-run 03:01.0
	unset HELD
}

# Neither is exclusive: a guest's disk by the kernel's backend, and by a device model
test_guest_disk()
{
	disk 0000:03:01.0 sda 8:0
	disk 0000:03:01.0 sda10 8:10
	mkdir -p "$ROOT/sys/bus/xen-backend/devices/vbd-3-51712"
	echo 8:a >"$ROOT/sys/bus/xen-backend/devices/vbd-3-51712/physical_device"
	run 4 adopt --only 03:01.0
	says '0000:03:01.0 is not taken without --force: sda10 is a disk of a guest (vbd-3-51712)'
	run 0 adopt --only --force --dry-run 03:01.0
}

test_opened()
{
	disk 0000:03:01.0 sda 8:0
	disk 0000:03:01.0 sda2 8:2
	disk '' dm-0 253:0
	: >"$ROOT/sys/class/block/sda2/holders/dm-0"
	opened /dev/dm-0 qemu-system-i38
	run 4 adopt --only 03:01.0
	says 'sda2 is below dm-0, and /dev/dm-0 is open in qemu-system-i38 (77)'
	rm -r "$ROOT/proc/77"
	add 0000:00:04.0 pci0000:00 010802 144d:a808 nvme
	node 0000:00:04.0 nvme nvme0 239:0
	run 0 adopt --dry-run 00:04.0
	opened /dev/nvme0 smartd
	run 4 adopt 00:04.0
	says '/dev/nvme0 is open in smartd (77)'
	run 0 adopt --force --dry-run 00:04.0
}

# Whatever device it is that a program has open; but that of sound is open on each desktop
test_opened_others()
{
	add 0000:00:14.0 pci0000:00 0c0330 8086:a36d xhci_hcd
	for device in usb/bus/usb/001/002 watchdog/watchdog0 scsi_tape/nst0 scsi_generic/sg1 \
		ipmi/ipmi0 input/event0; do
		node 0000:00:14.0 "${device%%/*}" "${device#*/}" "189:${#device}"
		run 0 adopt --dry-run 00:14.0
		opened "/dev/${device#*/}" program
		run 4 adopt 00:14.0
		says "0000:00:14.0 is not taken without --force: /dev/${device#*/} is open in program (77)"
		rm -r "$ROOT/proc/77"
	done
	node 0000:00:14.0 sound/card1/input7 event7 13:71
	opened /dev/event7 Xorg
	run 0 adopt --dry-run 00:14.0
	# Which has each keyboard open, and loses nothing
	rm -r "$ROOT/proc/77"
	node 0000:00:14.0 input event8 13:72
	opened /dev/event8 systemd-logind
	run 0 adopt --dry-run 00:14.0
}

# A loop device's file is a disk
test_loops()
{
	disk 0000:03:01.0 sda 8:0
	disk '' loop0 7:0
	run 0 adopt --only --dry-run 03:01.0
	mkdir "$ROOT/sys/class/block/loop0/loop"
	echo /dev/sda >"$ROOT/sys/class/block/loop0/loop/backing_file"
	run 4 adopt --only 03:01.0
	says '0000:03:01.0 is not taken without --force: sda is below loop0'
	mounted 7:0 / /dev/loop0
	run 4 adopt --only --force 03:01.0
	says '0000:03:01.0 is not taken: sda is below loop0, and loop0 is mounted on /'
}

# A node is where its uevent says, and it alone is the device: not what ends with the same name
test_nodes()
{
	disk 0000:03:01.0 'cciss!c0d0' 104:0
	disk 0000:03:01.0 'cciss!c0d0p1' 104:1
	run 0 adopt --only --dry-run 03:01.0
	printf 'Filename\n/dev/cciss/c0d0p1  partition 1 0 -2\n' >"$ROOT/proc/swaps"
	run 4 adopt --only 03:01.0
	says 'cciss!c0d0p1 is swap space'
	: >"$ROOT/proc/swaps"
	ln -s cciss/c0d0p1 "$ROOT/dev/linked"
	mounted 0:40 /srv /dev/linked
	run 4 adopt --only 03:01.0
	says 'cciss!c0d0p1 is mounted on /srv'
	: >"$ROOT/proc/self/mountinfo"
	opened /dev/cciss/c0d0 smartd
	run 4 adopt --only 03:01.0
	says '/dev/cciss/c0d0 is open in smartd (77)'
	rm -r "$ROOT/proc/77"
	disk '' 'drbd!r0' 147:0
	: >"$ROOT/sys/class/block/cciss!c0d0p1/holders/drbd!r0"
	mounted 147:0 / /dev/drbd/r0
	run 4 adopt --only --force 03:01.0
	says 'cciss!c0d0p1 is below drbd!r0, and drbd!r0 is mounted on /'

	disk 0000:03:00.0 sdb 8:16
	bind 0000:03:00.0 vfio-pci
	ln -s ../../../../kernel/iommu_groups/27 "$PCI/devices/0000:03:00.0/iommu_group"
	node '' vfio 27 242:1
	mkdir -p "$ROOT/dev/pts" "$ROOT/srv" "$ROOT/dev/mapper"
	: >"$ROOT/dev/pts/27"
	: >"$ROOT/srv/sdb"
	: >"$ROOT/dev/mapper/sdb"
	opened /dev/pts/27 bash
	mounted 0:41 /mnt /srv/sdb
	echo '/dev/mapper/sdb  partition 1 0 -2' >"$ROOT/proc/swaps"
	run 0 adopt --only --dry-run 03:00.0
}

# What opens a disk sees whether the kernel has it; what opens another device may change that
test_opens()
{
	disk 0000:03:01.0 'cciss!c0d0' 8:0
	node 0000:03:00.0 uio uio0 241:0
	rm "$ROOT/dev/cciss/c0d0" "$ROOT/dev/uio0"
	mkfifo "$ROOT/dev/cciss/c0d0" "$ROOT/dev/uio0"
	# To open one for writing waits for who opens it for reading
	(: >"$ROOT/dev/cciss/c0d0" && : >"$WORK/opened.sda") &
	sda=$!
	(: >"$ROOT/dev/uio0" && : >"$WORK/opened.uio0") &
	uio0=$!
	# Where the function is one of all, it is not opened either
	for arguments in 'list --all' report 'plan 01:00.0'; do
		"$COMMAND" $arguments >"$WORK/out" 2>&1
	done
	[ ! -e "$WORK/opened.sda" ] || problem "sda was opened"
	for looked in $(seq 10); do
		run 3 plan 03:01.0
		[ ! -e "$WORK/opened.sda" ] || break
		sleep 1
	done
	[ "$looked" -lt 10 ] || problem "sda was not opened"
	[ ! -e "$WORK/opened.uio0" ] || problem "uio0 was opened"
	kill $sda $uio0 2>/dev/null
	wait $sda $uio0 2>/dev/null
}

# Programs that drive the hardware directly, such as DPDK's: an unbind waits for them
test_user_driver()
{
	bind 0000:03:00.0 uio_pci_generic
	node 0000:03:00.0 uio uio0 241:0
	run 0 adopt --only --dry-run 03:00.0
	opened /dev/uio0 dpdk-testpmd
	run 4 adopt --only 03:00.0
	says '/dev/uio0 is open in dpdk-testpmd (77)'
	rm -r "$ROOT/proc/77"
	bind 0000:03:00.0 vfio-pci
	ln -s ../../../../kernel/iommu_groups/26 "$PCI/devices/0000:03:00.0/iommu_group"
	node '' vfio noiommu-26 242:0
	node '' vfio 27 242:1
	opened /dev/vfio/27 another
	run 0 adopt --only --dry-run 03:00.0
	rm -r "$ROOT/proc/77"
	opened /dev/vfio/noiommu-26 dpdk-testpmd
	run 4 adopt --only 03:00.0
	says '/dev/vfio/noiommu-26 is open in dpdk-testpmd (77)'
}

test_interface()
{
	mkdir -p "$PCI/devices/0000:03:00.0/net/eth7"
	ln -s "$(readlink -f "$PCI/devices/0000:03:00.0")/net/eth7" "$ROOT/sys/class/net/eth7"
	echo 0x1002 >"$ROOT/sys/class/net/eth7/flags"
	run 0 adopt --only --dry-run 03:00.0
	echo 0x1003 >"$ROOT/sys/class/net/eth7/flags"
	run 4 adopt --only 03:00.0
	says '0000:03:00.0 is not taken without --force: the network interface eth7 is up'
	echo 0x1002 >"$ROOT/sys/class/net/eth7/flags"
	ln -s ../xenbr0 "$ROOT/sys/class/net/eth7/master"
	run 4 adopt --only 03:00.0
	says 'the network interface eth7 is a part of xenbr0'
	run 0 adopt --only --force --dry-run 03:00.0
	# A file of that name is hidden, an interface is not
	mv "$ROOT/sys/class/net/eth7" "$ROOT/sys/class/net/.eth7"
	run 4 adopt --only 03:00.0
}

# A VLAN or a macvtap on top
test_uppers()
{
	mkdir -p "$PCI/devices/0000:03:00.0/net/eth7"
	ln -s "$(readlink -f "$PCI/devices/0000:03:00.0")/net/eth7" "$ROOT/sys/class/net/eth7"
	echo 0x1002 >"$ROOT/sys/class/net/eth7/flags"
	ln -s ../../virtual/net/macvtap0 "$ROOT/sys/class/net/eth7/upper_macvtap0"
	run 4 adopt --only 03:00.0
	says '0000:03:00.0 is not taken without --force: the network interface eth7 is below macvtap0'
}

test_console()
{
	echo 1 >"$PCI/devices/0000:01:00.0/boot_vga"
	run 0 adopt --dry-run 01:00.0
	mkdir -p "$ROOT/sys/class/vtconsole/vtcon1"
	echo '(M) frame buffer device' >"$ROOT/sys/class/vtconsole/vtcon1/name"
	echo 1 >"$ROOT/sys/class/vtconsole/vtcon1/bind"
	run 4 adopt 01:00.0
	says 'it shows the console of this machine'
	run 0 adopt --force --dry-run 01:00.0
	# On a machine whose firmware knows no such card
	rm "$PCI/devices/0000:01:00.0/boot_vga"
	run 0 adopt --dry-run 01:00.0
	node 0000:01:00.0 graphics fb1 29:1
	mkdir "$ROOT/sys/class/graphics"
	: >"$ROOT/sys/class/graphics/fbcon"
	ln -s "$path" "$ROOT/sys/class/graphics/fb1"
	run 4 adopt 01:00.0
	says 'it shows the console of this machine'
	# Another card's is the first one
	node 0000:03:00.0 graphics fb0 29:0
	ln -s "$path" "$ROOT/sys/class/graphics/fb0"
	run 0 adopt --dry-run 01:00.0
}

test_security()
{
	add 0000:00:07.0 pci0000:00 060400 1022:1484 pcieport
	add 0000:07:00.0 0000:00:07.0 0c0330 1022:148c xhci_hcd
	add 0000:07:00.1 0000:00:07.0 108000 1022:1486 ccp
	run 4 adopt 07:00.0
	says '0000:07:00.1 is not taken without --force: it is the security processor'
}

# It has no bus behind it, and dom0 cannot do without it
test_chipset()
{
	add 0000:00:1f.0 pci0000:00 060100 8086:a30d lpc_ich
	run 4 adopt 00:1f.0
	says "0000:00:1f.0 is not taken without --force: it is a part of this machine's chipset"
	run 0 adopt --force --dry-run 00:1f.0
	# An NVSwitch, say
	add 0000:00:1e.0 pci0000:00 068000 10de:22a4
	run 0 adopt --dry-run 00:1e.0
	run 3 plan 00:1f.0
	says "This machine uses it: it is a part of this machine's chipset."
	says_not 'pciback-reset adopt'
}

# By its header, as the driver: also one that nobody drives
test_bridge()
{
	run 4 adopt 00:01.0
	says '0000:00:01.0 is not taken: it is a bridge'
	run 4 adopt --force --only 02:00.0
	is "$(cat "$PCI/drivers/pcieport/unbind")" '' 'what was unbound'
}

# Its driver would take its VFs away from guests
test_pf()
{
	add 0000:00:05.0 pci0000:00 020000 8086:10c9 igb
	add 0000:00:05.1 pci0000:00 020000 8086:10ca
	methods 0000:00:05.0 flr
	ln -s ../0000:00:05.0 "$PCI/devices/0000:00:05.1/physfn"
	# Dom0 may use one itself
	disk 0000:00:05.1 sda 8:0
	mounted 8:0 /srv /dev/sda
	run 4 adopt 00:05.0
	says '0000:00:05.0 is not taken without --force: its VF 0000:00:05.1 is in use: sda is mounted on /srv'
	run 0 adopt --force --dry-run 00:05.0
	mounted 8:0 / /dev/sda
	run 4 adopt --force 00:05.0
	says '0000:00:05.0 is not taken: its VF 0000:00:05.1 is in use: sda is mounted on /'
	run 0 list --all
	says 'its VF 0000:00:05.1 is in use: sda is mounted on /'
	: >"$ROOT/proc/self/mountinfo"
	bind 0000:00:05.1 pciback
	run 0 adopt --dry-run 00:05.0
	domain 3 win11
	backend 3 4 0000:00:05.1
	run 4 adopt --force 00:05.0
	says '0000:00:05.0 is not taken: its VF 0000:00:05.1 is assigned to domain 3 (win11)'
	run 4 setup nic 00:05.0
	echo 'ADOPT=00:05.0' >"$ROOT/etc/default/pciback-reset"
	run 4 adopt --boot
	is "$(cat "$PCI/drivers/igb/unbind")" '' 'what was unbound'
	run 0 list --all
	says 'its VF 0000:00:05.1 is assigned to domain 3 (win11)'
}

# A set that has more than the device named
test_beyond()
{
	run 4 adopt 03:00.0
	says '0000:03:01.0 (ahci) is another device, in the same set'
	is "$(cat "$PCI/devices/0000:03:00.0/driver_override")" '(null)' 'its override'
	run 0 adopt --dry-run 03:00.0 03:01.0
	run 0 adopt --dry-run --force 03:00.0
	says "echo 0000:03:01.0 >$PCI/drivers/ahci/unbind"
	run 0 adopt --dry-run --only 03:00.0
	says_not 03:01.0
}

run_tests 'root_fs volume swap nvme_paths root_above root_unseen guest_disk opened
	opened_others loops nodes opens user_driver interface uppers console security chipset
	bridge pf beyond' "$@"
