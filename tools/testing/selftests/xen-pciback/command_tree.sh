#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# command_tree.sh [-t TEST]: pciback-reset on a tree of files, for machines that the VM is not:
# what dom0 uses, VMD, CardBus, cards with FLR on one function only, device models.
#
# With COMMAND=FILE this runs anywhere, without Xen and without root, and TERMINAL=FILE is the
# program of terminal.c. Otherwise it runs only in the VM, as all the tests here. The completion
# is that of the sources, or else the one that is installed.

# Lists of words
# shellcheck disable=SC2086

DIR=$(cd "$(dirname "$0")" && pwd)
[ -n "${COMMAND-}" ] || "$DIR/guard" || exit
# shellcheck source=/dev/null
. "$DIR/../kselftest/ktap_helpers.sh"

: "${COMMAND:=/usr/sbin/pciback-reset}" "${TERMINAL:=$DIR/terminal}"
: "${COMPLETION:=$DIR/../../../xen/pciback-reset.bash-completion}"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
ROOT=$WORK/root
PCI=$ROOT/sys/bus/pci
export PCIBACK_RESET_ROOT="$ROOT" NO_COLOR=1 PATH="$WORK/bin:$PATH"

# shellcheck source=/dev/null
. "$DIR/fake_tree.sh"

TESTS='options root_fs volume swap nvme_paths root_above root_unseen guest_disk opened opened_others loops nodes opens user_driver interface uppers
	console security chipset bridge pf beyond
	mixed cardbus bridge_driver vmd kernel_says plan_before plan_cut plan_unread names_hostile list_machine domains no_answer
	guest_of_model reset_of_guest release_forged refused_unread stale_reason fail_closed
	waits_small detach_again detach_given detach_dom0 attach_undone attach_stopped attach_nothing attach_elsewhere weak_alone boot_missing moved
	setup setup_only setup_unwritten setup_strict setup_empty undo undo_gone undo_driver records records_kept unheard doctor report monitor completion completion_names json undone asked'

problem()
{
	echo "# $test: $*"
	sed 's/^/#   | /' "$WORK/out"
	failed=1
}

# run STATUS ARGUMENT...: the command; what it says is in $WORK/out. With ANSWER it is on a
# terminal, where somebody types that.
run()
{
	expected=$1
	shift
	rc=0
	timeout "${PATIENCE:-20}" ${ANSWER:+"$TERMINAL" "$ANSWER"} "$COMMAND" "$@" >"$WORK/out" 2>&1 \
		</dev/null || rc=$?
	# It took too long: busybox' timeout has the signal's status
	[ "$rc" -ne 143 ] || rc=124
	[ "$rc" -eq "$expected" ] || problem "$*: exit status $rc, not $expected"
}

says()
{
	grep -qF -e "$1" "$WORK/out" || problem "does not say: $1"
}

says_not()
{
	! grep -qF -e "$1" "$WORK/out" || problem "says: $1"
}

is()
{
	[ "$1" = "$2" ] || problem "$3: '$1', not '$2'"
}

# It is one JSON value, or several, and nothing else: what is whole becomes a v, from within
is_json()
{
	tr '\n' ' ' <"$WORK/out" | sed -E '
		s/"([^"\\]|\\(["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/s/g
		s/true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?/v/g
		s/ +//g
		:again
		s/\[([sv](,[sv])*)?\]|\{(s:[sv](,s:[sv])*)?\}/v/g
		t again' | grep -qx 'v\+' || problem "$1: not JSON"
}

# objects NUMBER WHAT: so many of them, and else hints
objects()
{
	sed -i '/^pciback-reset: /d' "$WORK/out"
	is "$(grep -c '"ok": false' "$WORK/out")" "$1" "$2: refusals"
	is_json "$2"
}

# -- tests --------------------------------------------------------------------

test_options()
{
	bind 0000:01:00.0 pciback
	bind 0000:01:00.1 pciback
	run 0 reset 01:00.0 --json
	run 0 --version
	run 0 reset -- 01:00.0
	run 2 reset -- --json
	run 2 reset --js 01:00.0
	run 2 reset 01:00.0 --bogus
	run 2 list --weak
	run 2 list -json
	says "list: what is '-j'?"
	for guest in 99999999999999999999 007 0 40000 ''; do
		run 2 attach "$guest" 01:00.0
	done
	run 3 reset 01:00.7
	run 3 adopt nosuchname
	says 'there is no set-up of the name nosuchname, nor is it an address'
	run 2 adopt ../etc
	run 2 reset "$(printf '01:00.0\033[2J')"
	! grep -q "$(printf '\033')" "$WORK/out" || problem "control characters"
}

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

# FLR on .0 only: the other functions of the card have no reset but the set's
test_mixed()
{
	methods 0000:01:00.0 flr bus
	run 0 adopt --dry-run 01:00.0
	says "echo 0000:01:00.1 >$PCI/drivers_probe"
	methods 0000:01:00.1 flr
	run 0 adopt --dry-run 01:00.0
	says_not 01:00.1
}

test_cardbus()
{
	add 0000:03:02.0 0000:02:00.0 060700 104c:ac56 yenta_cardbus
	run 3 plan 03:00.0
	says 'It cannot be passed safely: 0000:03:02.0 is a CardBus bridge, which pciback can never own'
	says_not 'To make it possible'
	run 4 adopt 03:00.0 03:01.0
	says '0000:03:00.0 could not be reset with its set: 0000:03:02.0 is a CardBus bridge'
	bind 0000:03:01.0 pciback 'blocked 0000:03:02.0 (CardBus bridge, cannot be owned)'
	run 4 plan 03:01.0
	says 'its set, and 0000:03:02.0 is a CardBus bridge, which pciback can never own'
	says_not 'pciback-reset adopt'
	bind 0000:03:01.0 pciback 'blocked 0000:03:00.0 (e1000)'
	run 4 plan 03:01.0
	says 'That does not change if pciback owns all of the set: 0000:03:02.0 is a CardBus bridge'
	says_not 'To make it possible'
	is "$(cat "$PCI/devices/0000:03:00.0/driver_override")" '(null)' 'its override'
}

# What a bridge's driver forbids is possible without that
test_bridge_driver()
{
	bind 0000:02:00.0 shpchp
	bind 0000:03:00.0 pciback 'blocked 0000:02:00.0 (shpchp)'
	run 4 plan 03:00.0
	says "To make it possible:"
	says "pciback-reset adopt 0000:03:01.0"
	run 3 plan 03:01.0
	add 0000:04:00.0 0000:00:02.0 020000 8086:100e
	run 3 plan 04:00.0
	says 'It cannot be passed safely: 0000:02:00.0 is a bridge, and its driver shpchp uses it'
	says '    echo 0000:02:00.0 >/sys/bus/pci/drivers/shpchp/unbind'
}

test_vmd()
{
	add 10000:e0:06.0 pci0000:00/0000:00:0e.0/pci10000:e0 060400 8086:9a09 pcieport
	add 10000:e1:00.0 10000:e0:06.0 010802 144d:a808 nvme
	run 3 plan 10000:e1:00.0
	says 'it is behind a VMD controller, and its domain 10000 is beyond what Xen can name'
	says_not 'adopt'
	run 4 adopt --force 10000:e1:00.0
	says 'turn VMD off in the firmware'
}

# A quirk of the kernel's: this one dies of a bus reset
test_kernel_says()
{
	add 0000:00:08.0 pci0000:00 060400 8086:1901 pcieport
	add 0000:08:00.0 0000:00:08.0 028000 168c:0030 ath9k
	methods 0000:08:00.0 pm
	run 3 plan 08:00.0
	says 'the kernel allows no bus reset of 0000:08:00.0'
	says_not 'To make it possible'
	methods 0000:08:00.0 pm bus
	run 3 plan 08:00.0
	says 'It can be passed together with its set'
}

test_plan_before()
{
	run 3 plan 01:00.0
	says '0000:01:00.0: is not pciback'
	says 'all 2 functions of its set together: 0000:01:00.0 0000:01:00.1'
	says '    pciback-reset adopt 0000:01:00.0 0000:01:00.1'
	run 3 plan 00:01.0
	says 'It is a bridge, which is never passed'
}

# The driver had no room for all of it
test_plan_cut()
{
	bind 0000:01:00.0 pciback 'blocked 0000:01:00.1 (snd_hda_in'
	run 4 plan 01:00.0
	says '0000:01:00.1 is not pciback'
	bind 0000:01:00.0 pciback 'blocked 0000:01:0'
	run 4 plan 01:00.0
	says "pciback's reason is cut short: blocked 0000:01:0"
}

# The driver shows one a moment later, and is no stock driver for that
test_plan_unread()
{
	bind 0000:01:00.0 pciback
	methods 0000:01:00.0 pm
	: >"$PCI/devices/0000:01:00.0/pciback/reset_plan"
	run 7 plan 01:00.0
	says '0000:01:00.0: its plan cannot be read now'
	run 1 doctor
	says 'NOT  0000:01:00.0 10de:1b80: its plan cannot be read now'
}

# Names may be anything; JSON and the terminal take what is UTF-8
test_names_hostile()
{
	mkdir -p "$ROOT/usr/share/misc"
	printf '10de  \377V\303\251\n\t1b80  a\t\033[2Jb\302\233"c\\\n' >"$ROOT/usr/share/misc/pci.ids"
	bind 0000:01:00.0 pciback 'blocked 0000:01:00.0 (assigned to domain 5)'
	domain 5 "$(printf 'ev\033[1mil\376')"
	run 0 list --json
	says '"name": "?Vé a[2Jb\"c\\"'
	says '"guest": "domain 5 (ev[1mil?)"'
	run 0 list
	! grep -q "$(printf '\033')" "$WORK/out" || problem "control characters"
	name=$(printf '%0199d' 0)
	printf '%s\303\251\n' "$name" >"$ROOT/xenstore/local/domain/5/name"
	run 0 list --json
	says "\"domain 5 ($name)\""
	disk 0000:03:01.0 sda 8:0
	mounted 8:0 "$(printf '/a\033[1m\376b')" /dev/sda
	for option in '' --json; do
		run 0 list --all $option
		says 'sda is mounted on /a[1m?b'
	done
	printf '\300\200\355\240\200\364\220\200\200\n' >"$ROOT/xenstore/local/domain/5/name"
	run 0 list --json
	says '(?????????)'
	is_json list
}

test_list_machine()
{
	methods 0000:01:00.1 flr
	run 0 list --all
	says '0000:01:00.0  GPU'
	grep -q '^0000:01:00.1  audio  *0000:01  snd_hda_intel  flr ' "$WORK/out" ||
		problem 'no flr'
	grep -q '^0000:03:00.0  NIC  *0000:03  e1000  *bus  *takes 0000:03:01.0' "$WORK/out" ||
		problem 'nothing is in the way'
	run 0 list --all --tree
	says '+-01.0-[01]--+-00.0'
	run 0 list --all --json
	is "$(grep -c '"bdf"' "$WORK/out")" 7 'functions'
	is "$(grep -c '"method": null' "$WORK/out")" 3 'bridges, which nothing resets'
}

test_domains()
{
	bind 0000:01:00.0 pciback
	bind 0000:01:00.1 pciback
	printf '#!/bin/sh\n' >"$WORK/bin/xl"
	chmod 755 "$WORK/bin/xl"
	domain 3 win11
	run 0 attach --dry-run win11 01:00.0
	says 'xl pci-attach 3 0000:01:00.0'
	run 0 attach --dry-run 3 01:00.0
	says_not 'does not respond'
	run 3 attach 4 01:00.0
	run 3 attach win10 01:00.0
	# Without it nobody says what has become of it
	rm -r "$ROOT/xenstore"
	run 0 attach 3 01:00.0
	says 'xenstore does not respond: whether pciback hands out a function is not checked'
}

# Who cannot see the guests takes nothing for idle
test_no_answer()
{
	kernel 0000:01:00.0
	run 0 reset 01:00.0
	mkdir -p "$ROOT/xenstore/local/domain/0/backend"
	ln -s pci "$ROOT/xenstore/local/domain/0/backend/pci"
	for arguments in 'reset 01:00.0' 'release 01:00.0' 'list'; do
		run 1 $arguments
		says 'xenstore gives no answer: Too many levels of symbolic links'
	done
}

# A device model has the backend: it is not what a person calls the guest
test_guest_of_model()
{
	bind 0000:01:00.0 pciback 'blocked 0000:01:00.0 (assigned to domain 4)'
	domain 3 win11
	domain 4 win11-dm target 3
	backend 4 4 0000:01:00.0
	run 0 list
	says '3 (win11)'
	says '0000:01:00.0 (assigned to domain 3)'
	says_not 'domain 4'
	run 0 list --json
	says '"why": "assigned to domain 3"'
	run 4 plan 01:00.0
	says 'it is assigned to domain 3 (win11)'
	printf '#!/bin/sh\n' >"$WORK/bin/xl"
	chmod 755 "$WORK/bin/xl"
	run 0 detach --dry-run --only win11-dm 01:00.0
	says 'xl pci-detach 3 0000:01:00.0'
	bind 0000:01:00.1 pciback
	run 0 attach --dry-run --only win11-dm 01:00.1
	says 'xl pci-attach 3 0000:01:00.1'
	run 4 attach --only win11 01:00.0
	says 'domain 3 (win11)'
}

test_reset_of_guest()
{
	bind 0000:01:00.0 pciback
	domain 3 win11
	backend 3 4 0000:01:00.0
	for option in '' --weak --if-needed; do
		run 4 reset $option 01:00.0
		says '0000:01:00.0 is assigned to domain 3 (win11): pciback-reset detach 3 0000:01:00.0'
	done
	is "$(cat "$PCI/drivers/pciback/reset_device" "$PCI/drivers/pciback/do_flr")" '' \
		'what was written'
	# The toolstack has asked for the hand-out, and makes the request now
	echo 1 >"$ROOT/xenstore/local/domain/0/backend/pci/3/0/state-0"
	run 4 reset 01:00.0
	run 4 reset --if-needed 01:00.0
	run 0 reset --weak 01:00.0
	is "$(cat "$PCI/drivers/pciback/do_flr")" 0000:01:00.0 'what was written'
	# That driver knows nothing of guests
	rm "$PCI/drivers/pciback/reset_device"
	run 4 reset --weak 01:00.0
}

# A guest that has deleted its nodes is no backend's any more, and may still use the function
test_release_forged()
{
	kernel 0000:01:00.0
	mkdir -p "$ROOT/etc/pciback-reset.d"
	echo 0000:01:00.0 >"$ROOT/etc/pciback-reset.d/gpu"
	toolstack
	domain 3 win11
	backend 3 4 0000:01:00.0
	rm -r "$ROOT/sys/bus/xen-backend"
	for arguments in 'release --only 01:00.0' 'undo gpu' 'reset 01:00.0'; do
		run 4 $arguments
		says '0000:01:00.0 is assigned to domain 3 (win11): pciback-reset detach 3 0000:01:00.0'
	done
	is "$(cat "$PCI/drivers/pciback/unbind")" '' 'what was unbound'
	run 0 detach --only win11 01:00.0
	# What stays behind of one that is gone is nobody's, nor what the toolstack takes away
	backend 3 4 0000:01:00.0
	rm -r "$ROOT/sys/bus/xen-backend"
	echo 0 >"$ROOT/xenstore/local/domain/0/backend/pci/3/0/online"
	run 0 reset 01:00.0
	echo 1 >"$ROOT/xenstore/local/domain/0/backend/pci/3/0/online"
	run 4 reset 01:00.0
	rm -r "$ROOT/xenstore/local/domain/3"
	run 0 reset 01:00.0
}

# What pciback has refused counts as the guest's, also while its plan cannot be read
test_refused_unread()
{
	kernel 0000:01:00.0
	domain 3 win11
	backend 3 4 0000:01:00.0
	echo 6 >"$ROOT/xenstore/local/domain/0/backend/pci/3/0/state-0"
	: >"$PCI/devices/0000:01:00.0/pciback/reset_plan"
	run 4 release --only 01:00.0
	says '0000:01:00.0 is assigned to domain 3 (win11)'
	is "$(cat "$PCI/drivers/pciback/unbind")" '' 'what was unbound'
}

# resident PID: kilobytes
resident()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

# However long it takes
test_waits_small()
{
	bind 0000:01:00.0 pciback 'blocked 0000:01:00.0 (assigned to domain 3)'
	domain 3 win11
	backend 3 4 0000:01:00.0
	"$COMMAND" reset --wait 01:00.0 >"$WORK/out" 2>&1 &
	waiting=$!
	sleep 2
	before=$(resident $waiting)
	sleep 3
	grown=$(($(resident $waiting) - before))
	[ "$grown" -lt 64 ] || problem "$grown kB more in three seconds"
	echo flr >"$PCI/devices/0000:01:00.0/pciback/reset_plan"
	rm -r "$ROOT/xenstore"
	wait $waiting || problem "exit status $?"
	says '0000:01:00.0  ok '
}

# The same command, given again, goes on where it has failed
test_detach_again()
{
	toolstack
	domain 3 win11
	kernel 0000:01:00.0 0000:01:00.1
	run 0 attach win11 01:00.0 01:00.1
	says '0000:01:00.1  ok       attached to domain 3 (win11)'
	echo 'pci-detach 3 0000:01:00.1' >"$WORK/fails"
	run 1 detach win11 01:00.0 01:00.1
	says '0000:01:00.1  failed   still with domain 3 (win11)'
	: >"$WORK/fails"
	run 0 detach win11 01:00.0 01:00.1
	is "$(grep -c ' ok ' "$WORK/out")" 2 'resets'
	run 3 detach win11 01:00.0 01:00.1
	says "0000:01:00.0 is not domain 3's (idle)"
	domain 4 other
	run 0 attach win11 01:00.0
	run 0 attach other 01:00.1
	run 3 detach win11 01:00.0 01:00.1
	says "0000:01:00.1 is not domain 3's (domain 4 (other))"
	run 4 reset 01:00.0
}

# While the command waits for pciback's reset, a toolstack gives it to another guest
test_detach_given()
{
	toolstack
	cat >>"$WORK/bin/xl" <<-END
		[ \$1 != pci-detach ] || { sleep 1; xl pci-attach 4 \$3; } &
	END
	domain 3 win11
	domain 4 other
	kernel 0000:01:00.0
	mkdir -p "$ROOT/sys/module/xen_pciback/parameters"
	echo Y >"$ROOT/sys/module/xen_pciback/parameters/auto_reset"
	backend 3 4 0000:01:00.0
	run 4 detach --only win11 01:00.0
	says '0000:01:00.0  blocked  assigned to domain 4 (other)'
	is "$(cat "$PCI/drivers/pciback/do_flr")" '' 'what was written'
}

# What of the set is dom0's is not reset, neither by this driver nor by a stock one
test_detach_dom0()
{
	toolstack
	domain 3 win11
	bind 0000:03:00.0 pciback 'blocked 0000:03:01.0 (ahci)'
	for bdf in 0000:03:00.0 0000:03:01.0; do
		methods $bdf pm
	done
	run 0 attach --only win11 03:00.0
	: >"$PCI/drivers/pciback/do_flr"
	run 0 detach win11 03:00.0
	says_not 0000:03:01.0
	is "$(cat "$PCI/drivers/pciback/do_flr")" 0000:03:00.0 'what was reset'
	rm -r "$PCI/drivers/pciback/reset_device" "$PCI/devices/0000:03:00.0/pciback"
	run 0 attach --only win11 03:00.0
	run 0 detach win11 03:00.0
	is "$(cat "$PCI/devices/0000:03:00.0/reset")" 1 'the reset of the one'
	is "$(cat "$PCI/devices/0000:03:01.0/reset")" '' "the reset of dom0's"
}

# One that cannot be taken back keeps no other one there
test_attach_undone()
{
	toolstack
	domain 3 win11
	kernel 0000:01:00.0 0000:01:00.1 0000:03:00.0
	printf 'pci-%s\n' 'attach 3 0000:03:00.0' 'detach 3 0000:01:00.0' >"$WORK/fails"
	run 1 attach win11 01:00.0 01:00.1 03:00.0
	says '0000:03:00.0  failed   not attached'
	says '0000:01:00.0  failed   still with domain 3 (win11)'
	says '0000:01:00.1  ok '
	run 4 reset 01:00.0
	run 0 reset 01:00.1
}

# Who interrupts xl has what was attached before taken back
test_attach_stopped()
{
	toolstack
	sed -i "2i [ \"\$*\" != 'pci-attach 3 0000:01:00.1' ] || { kill -INT \$(cat '$WORK/pid'); kill -INT \$\$; }" \
		"$WORK/bin/xl"
	printf '#!/bin/sh\necho $$ >"%s/pid"\nexec "%s" "$@"\n' "$WORK" "$COMMAND" >"$WORK/bin/noted"
	chmod 755 "$WORK/bin/noted"
	domain 3 win11
	kernel 0000:01:00.0 0000:01:00.1
	command=$COMMAND COMMAND=$WORK/bin/noted
	run 1 attach win11 01:00.0 01:00.1
	COMMAND=$command
	says '0000:01:00.1  failed   not attached'
	run 3 detach win11 01:00.0
	says "0000:01:00.0 is not domain 3's (idle)"
}

# A toolstack that says yes and does nothing
test_attach_nothing()
{
	toolstack
	printf '#!/bin/sh\n' >"$WORK/bin/xl"
	domain 3 win11
	kernel 0000:01:00.0
	PATIENCE=3
	run 124 attach win11 01:00.0
	says_not attached
}

# What another guest has, or what is on its way back, was not handed out
test_attach_elsewhere()
{
	toolstack
	domain 3 win11
	domain 4 other
	kernel 0000:01:00.0
	PATIENCE=3
	sed -i 's,\(pci[-/]\)[$]2,\14,' "$WORK/bin/xl"
	run 124 attach win11 01:00.0
	says_not attached
	rm -r "$ROOT/xenstore/local/domain/0"
	toolstack
	sed -i 's/echo 3/echo 5/' "$WORK/bin/xl"
	run 124 attach win11 01:00.0
	says_not attached
}

# A set's reset that has become impossible reaches no other function: each is reset for itself
test_weak_alone()
{
	kernel 0000:01:00.0 0000:01:00.1
	for bdf in 0000:01:00.0 0000:01:00.1; do
		echo slot >"$PCI/devices/$bdf/pciback/reset_plan"
	done
	run 0 reset --weak 01:00.0 01:00.1
	is "$(cat "$PCI/drivers/pciback/do_flr")" 0000:01:00.0 'what was written'
	echo 'slot: blocked by 0000:01:00.1 (in use: bus mastering is on); pm: ok (weak)' \
		>"$PCI/devices/0000:01:00.0/pciback/last_reset"
	run 0 reset --weak 01:00.0 01:00.1
	says '0000:01:00.0  weak     slot: blocked by'
	is "$(cat "$PCI/drivers/pciback/do_flr")" 0000:01:00.1 'what was written last'
}

# What went wrong is not what went wrong the last time
test_stale_reason()
{
	bind 0000:01:00.0 pciback
	echo 'slot: ok' >"$PCI/devices/0000:01:00.0/pciback/last_reset"
	rm "$PCI/drivers/pciback/reset_device"
	ln -s /dev/full "$PCI/drivers/pciback/reset_device"
	run 1 reset 01:00.0
	says 'failed   No space left on device'
	says_not 'slot: ok'
}

test_fail_closed()
{
	rm "$PCI/drivers/pciback/reset_device"
	echo 'REQUIRE_THOROUGH="yes"' >"$ROOT/etc/default/pciback-reset"
	run 9 adopt 01:00.0
	says "nothing is adopted, as REQUIRE_THOROUGH is 'yes'"
	is "$(cat "$PCI/devices/0000:01:00.0/driver_override")" '(null)' 'its override'
	for value in 'yes ' 'yes # or not' "$(printf 'yes\r')" YES true '' '"no' '"no"t' '"no"#'; do
		echo "REQUIRE_THOROUGH=$value" >"$ROOT/etc/default/pciback-reset"
		run 9 adopt 01:00.0
		says 'nothing is adopted, as REQUIRE_THOROUGH is '
	done
	for value in no '"no"' "'no'" '"no" # for a test'; do
		echo "REQUIRE_THOROUGH=$value" >"$ROOT/etc/default/pciback-reset"
		run 0 adopt --dry-run 01:00.0
	done
	# What no shell takes is no "no", nor leaves one that stood before it
	for line in 'REQUIRE_THOROUGH = yes' 'REQUIRE_THOROUGH =no' 'export REQUIRE_THOROUGH=no' \
		'REQUIRE_THOROUGH: yes' 'REQUIRE_THOROUGH+=t'; do
		printf 'REQUIRE_THOROUGH=no\n %s\nA="\n#' "$line" >"$ROOT/etc/default/pciback-reset"
		run 9 adopt 01:00.0
	done
	says "as REQUIRE_THOROUGH is 'REQUIRE_THOROUGH+=t' and not 'no'"
	# Nor is what is another one's, or what is not there
	printf 'A="\nREQUIRE_THOROUGH=no\n"\nREQUIRE_THROUGH=yes\n' >"$ROOT/etc/default/pciback-reset"
	run 9 adopt 01:00.0
	rm "$ROOT/etc/default/pciback-reset"
	run 9 adopt 01:00.0
	echo 'REQUIRE_THOROUGH="yes"' >"$ROOT/etc/default/pciback-reset"
	echo 'ADOPT="01:00.0"' >>"$ROOT/etc/default/pciback-reset"
	run 9 adopt --boot
	says 'install xen-pciback-reset-dkms'
	# Before a function's name it would not reach the command, says an older dash
	export REQUIRE_THOROUGH=no
	run 0 adopt --dry-run 01:00.0
	unset REQUIRE_THOROUGH
	says 'without thorough resets'
	rm -r "$PCI/drivers/pciback"
	run 9 adopt --boot
	says 'the driver is not loaded'
}

# The others are taken all the same
test_boot_missing()
{
	echo 'ADOPT="7f:00.0 01:00.0=10de:ffff 01:00.1=10de:10f0"' >"$ROOT/etc/default/pciback-reset"
	methods 0000:01:00.0 flr
	methods 0000:01:00.1 flr
	run 3 adopt --boot --dry-run
	says 'there is no function 0000:7f:00.0'
	says '0000:01:00.0 is 10de:1b80, and not 10de:ffff as it should be'
	says "echo pciback >$PCI/devices/0000:01:00.1/driver_override"
	says_not "echo pciback >$PCI/devices/0000:01:00.0/driver_override"
	run 3 adopt --dry-run 01:00.0=10de:ffff
	printf 'ADOPT="01:00.0\n\t01:00.1" # both\nADOPTED=""\n' >"$ROOT/etc/default/pciback-reset"
	run 0 adopt --boot --dry-run
	says "echo 0000:01:00.0 >$PCI/drivers_probe"
	says "echo 0000:01:00.1 >$PCI/drivers_probe"
	# What is no shell's is named, with what may be meant
	for line in 'ADOPT = 01:00.0' 'export ADOPT="01:00.0"' 'ADOPT="01:00.0'; do
		echo "$line" >"$ROOT/etc/default/pciback-reset"
		run 2 adopt --boot --dry-run
		says "/etc/default/pciback-reset: not the address of a PCI function: '"
	done
	printf 'OTHER="\nADOPT="01:00.1\n#ADOPT =\nADOPTED = ' >"$ROOT/etc/default/pciback-reset"
	run 2 adopt --boot --dry-run
	says "'ADOPTED'"
	: >"$ROOT/etc/default/pciback-reset"
	run 0 adopt --boot
}

# Hardware was added, and the buses have other numbers: the slot is the same
test_moved()
{
	mkdir -p "$ROOT/etc/pciback-reset.d"
	echo '0000:09:00.0=8086:100e@0000:00:02.0/00.0/00.0' >"$ROOT/etc/pciback-reset.d/nic"
	run 0 adopt --only --dry-run nic
	says 'what was 0000:09:00.0 is 0000:03:00.0 now'
	says "echo 0000:03:00.0 >$PCI/drivers_probe"
	# As lspci -P writes it
	run 0 adopt --only --dry-run 09:00.0=8086:100e@00:02.0/00.0/00.0
	says "echo 0000:03:00.0 >$PCI/drivers_probe"
	for path in '' 00 02.0/00.0 00:02.0/00:00.0 "00:02.0/$(printf '%0300d' 0)"; do
		run 2 adopt --only --dry-run "09:00.0=8086:100e@$path"
	done
	echo '0000:01:00.0=8086:100e@0000:00:02.0/00.0/05.0' >"$ROOT/etc/pciback-reset.d/nic"
	run 3 adopt --dry-run nic
	says 'is 10de:1b80, and not 8086:100e as it should be'
}

# kernel BDF...: it binds them to pciback, when it is asked to
kernel()
{
	for bdf; do
		bind "$bdf" pciback
	done
}

test_setup()
{
	run 2 setup ../x 01:00.0
	run 2 setup x
	kernel 0000:01:00.0 0000:01:00.1
	run 0 setup gpu 01:00.0 01:00.1
	says 'pci = [ "0000:01:00.0", "0000:01:00.1" ]'
	says 'passthrough = "enabled"'
	is "$(cat "$ROOT/etc/pciback-reset.d/gpu")" "0000:01:00.0=10de:1b80@0000:00:01.0/00.0
0000:01:00.1=10de:10f0@0000:00:01.0/00.1" "the set-up"
	is "$(head -n 1 "$PCI/devices/0000:01:00.1/pciback/strict")" 1 'strict'
	run 2 setup gpu 03:00.0
	says 'gpu is set up already'
	# Or to undo the one would take what the other promises
	run 2 setup more --only 03:00.0 01:00.1
	says '0000:01:00.1 is set up already: pciback-reset undo gpu'
	run 0 reset gpu
	is "$(grep -c ' ok ' "$WORK/out")" 2 'results'
	run 0 adopt --boot
	# Those of a set are two devices, and were agreed to
	mkdir -p "$PCI/devices/0000:03:00.0/net/eth7"
	ln -s "$(readlink -f "$PCI/devices/0000:03:00.0")/net/eth7" "$ROOT/sys/class/net/eth7"
	echo 0x1003 >"$ROOT/sys/class/net/eth7/flags"
	for bdf in 03:00.0 03:01.0; do
		echo "0000:$bdf"
	done >"$ROOT/etc/pciback-reset.d/old"
	# What an editor leaves there is none
	echo 0000:00:01.0 | tee "$ROOT/etc/pciback-reset.d/old~" >"$ROOT/etc/pciback-reset.d/.old.swp"
	run 4 adopt --boot --dry-run
	says_not 0000:00:01.0
	says 'eth7 is up'
	sed -i '1s/^/--force\n/' "$ROOT/etc/pciback-reset.d/old"
	run 0 adopt --boot --dry-run
	says "echo 0000:03:01.0 >$PCI/drivers_probe"
}

# What was left out stays so: at boot, and by the name
test_setup_only()
{
	kernel 0000:01:00.0 0000:01:00.1
	run 0 setup --only gpu 01:00.0
	run 0 release --dry-run gpu
	says_not 01:00.1
	bind 0000:01:00.0 nouveau
	run 0 adopt --boot --dry-run
	says "echo 0000:01:00.0 >$PCI/drivers_probe"
	says_not 01:00.1
}

# Then nothing is adopted either
test_setup_unwritten()
{
	mkdir -p "$ROOT/etc/pciback-reset.d"
	ln -s /dev/full "$ROOT/etc/pciback-reset.d/gpu~"
	run 1 setup gpu 01:00.0 01:00.1
	says '/etc/pciback-reset.d/gpu: No space left on device'
	says_not 0000:01:00.0
	is "$(cat "$PCI/devices/0000:01:00.0/driver_override")" '(null)' 'its override'
	[ ! -e "$ROOT/etc/pciback-reset.d" ] || problem "it is still there"
	# Nor is what was not adopted set up
	run 1 setup gpu 01:00.0 01:00.1
	says 'pciback does not take it'
	[ ! -e "$ROOT/etc/pciback-reset.d" ] || problem "it is set up"
}

# Also what was adopted in another way before; and a failure is not silent
test_setup_strict()
{
	kernel 0000:01:00.0 0000:01:00.1
	strict=$PCI/devices/0000:01:00.1/pciback/strict
	run 0 setup gpu 01:00.0 01:00.1
	echo default >"$strict"
	run 0 adopt --boot
	is "$(head -n 1 "$strict")" 1 'strict at boot'
	ln -sf /dev/full "$strict"
	run 1 adopt --boot
	says '0000:01:00.1 is not made strict, and is handed out even if it needs a reset: No space'
	rm "$ROOT/etc/pciback-reset.d/gpu"
	run 1 setup gpu 01:00.0 01:00.1
	says '0000:01:00.1 is not made strict'
	rm "$strict"
	# Whatever else is named, and by its address again
	echo 0000:01:00.0 >"$ROOT/etc/pciback-reset.d/gpu"
	kernel 0000:03:00.0 0000:03:01.0 0000:01:00.0
	bind 0000:01:00.1 pciback bus
	for arguments in '03:00.0 gpu' 'gpu 03:00.0' 'gpu 01:00.0'; do
		for bdf in 0000:01:00.0 0000:01:00.1 0000:03:00.0; do
			echo default >"$PCI/devices/$bdf/pciback/strict"
		done
		run 0 adopt $arguments
		is "$(for bdf in 0000:01:00.0 0000:01:00.1 0000:03:00.0; do
			head -n 1 "$PCI/devices/$bdf/pciback/strict"
		done | tr '\n' ' ')" '1 1 default ' "strict by $arguments"
	done
}

# Its file can only be forgotten
test_setup_empty()
{
	mkdir -p "$ROOT/etc/pciback-reset.d"
	echo --force >"$ROOT/etc/pciback-reset.d/empty"
	toolstack
	domain 3 win11
	for arguments in 'setup x' 'attach 3' reset plan adopt; do
		run 3 $arguments empty
		says 'no function is named: the set-up is empty'
	done
	run 0 adopt --boot
	run 0 undo empty
	[ ! -e "$ROOT/etc/pciback-reset.d" ] || problem "it is still there"
}

# A card, or one of two, that was pulled out
test_undo_gone()
{
	kernel 0000:01:00.0 0000:03:00.0
	run 0 setup --only two 01:00.0 03:00.0
	rm "$PCI/devices/0000:01:00.0"
	run 3 release 03:00.0 01:00.0
	run 3 reset two
	run 0 release --dry-run two
	says 'there is no function 0000:01:00.0'
	says "echo 0000:03:00.0 >$PCI/drivers/pciback/unbind"
	bind 0000:03:00.0 e1000
	run 0 undo two
	[ ! -e "$ROOT/etc/pciback-reset.d" ] || problem "it is still there"
}

# It was unloaded, or is not in this kernel
test_undo_driver()
{
	kernel 0000:01:00.0
	run 0 setup --only gpu 01:00.0
	rm -r "$PCI/drivers/pciback" "$PCI/devices/0000:01:00.0/driver"
	run 9 release gpu
	echo pciback >"$PCI/devices/0000:01:00.0/driver_override"
	run 0 undo gpu
	says '0000:01:00.0  ok       pciback -> no driver'
	is "$(head -n 1 "$PCI/devices/0000:01:00.0/driver_override")" '' 'its override'
	is "$(cat "$PCI/drivers_probe")" 0000:01:00.0 'what was probed'
	[ ! -e "$ROOT/etc/pciback-reset.d" ] || problem "it is still there"
	# What cannot be forgotten would be adopted again at the next boot
	mkdir -p "$ROOT/etc/pciback-reset.d/gpu"
	run 1 undo gpu
	says '/etc/pciback-reset.d/gpu: Is a directory'
}

# No more is written than there is
test_records()
{
	kernel 0000:01:00.0
	echo pciback >"$PCI/devices/0000:01:00.0/driver_override"
	mkdir -p "$ROOT/run/pciback-reset"
	printf '\n%0300d\n' 0 >"$ROOT/run/pciback-reset/0000:01:00.0"
	run 1 release 01:00.0
	is "$(tr -d 0 <"$PCI/devices/0000:01:00.0/driver_override" | wc -c)" 0 'what else is written'
}

# An adoption that ended half way, and is repeated: the driver before it is the former one.  It
# goes back to that, or nobody says that it did.
test_records_kept()
{
	rm "$PCI/devices/0000:01:00.0/driver"
	echo pciback >"$PCI/devices/0000:01:00.0/driver_override"
	mkdir -p "$ROOT/run/pciback-reset"
	printf 'nouveau\n(null)\n' >"$ROOT/run/pciback-reset/0000:01:00.0"
	run 1 adopt --only 01:00.0
	is "$(cat "$PCI/drivers/nouveau/bind")" 0000:01:00.0 'what was bound'
	printf 'nouveau\n(null)\n' >"$ROOT/run/pciback-reset/0000:01:00.0"
	echo pciback >"$PCI/devices/0000:01:00.0/driver_override"
	kernel 0000:01:00.0
	: >"$PCI/drivers_probe"
	rm -r "$PCI/drivers/nouveau"
	run 0 release --dry-run --only 01:00.0
	says "echo 0000:01:00.0 >$PCI/drivers_probe"
	# As the kernel does it, which binds the one that there is
	rm "$PCI/drivers/pciback/unbind" "$PCI/drivers_probe"
	mkfifo "$PCI/drivers/pciback/unbind" "$PCI/drivers_probe"
	(read -r bdf <"$PCI/drivers/pciback/unbind"; bind "$bdf" vfio-pci
		read -r bdf <"$PCI/drivers_probe") &
	probed=$!
	run 0 release --only 01:00.0
	kill $probed 2>/dev/null
	wait $probed 2>/dev/null
	says '0000:01:00.0: its driver was nouveau, which is not there'
}

# Who does not listen any more stops nothing half way; but monitor is for who listens alone
test_unheard()
{
	toolstack
	sed -i "2i grep SigIgn /proc/self/status >'$WORK/ignored'" "$WORK/bin/xl"
	domain 3 win11
	kernel 0000:01:00.0 0000:01:00.1
	{
		sleep 1
		"$COMMAND" attach win11 01:00.0 01:00.1 2>&1
		echo $? >"$WORK/out"
		timeout 10 "$COMMAND" monitor 2>&1 &
		sleep 2
		echo again >"$PCI/devices/0000:01:00.0/pciback/last_reset"
		wait $!
		echo $? >>"$WORK/out"
	} | :
	is "$(tr '\n' ' ' <"$WORK/out")" '1 1 ' 'exit statuses'
	run 0 list
	is "$(grep -c win11 "$WORK/out")" 2 'what was attached'
	case $(cat "$WORK/ignored") in
	*[13579bdf]???) problem "xl ignores SIGPIPE" ;;
	esac
}

test_undo()
{
	kernel 0000:01:00.0 0000:01:00.1
	run 0 setup gpu 01:00.0 01:00.1
	domain 3 win11
	backend 3 4 0000:01:00.0
	run 4 undo gpu
	[ -e "$ROOT/etc/pciback-reset.d/gpu" ] || problem "it is gone while a guest has it"
	rm -r "$ROOT/xenstore"
	run 0 undo --dry-run gpu
	says "echo 0000:01:00.0 >$PCI/drivers/pciback/unbind"
	run 3 undo nothing
}

test_doctor()
{
	run 1 doctor
	says 'NOT  this is a control domain of Xen'
	mkdir -p "$ROOT/proc/xen" "$ROOT/sys/module/xen_pciback/parameters" \
		"$ROOT/etc/systemd/system/multi-user.target.wants" "$ROOT/xenstore"
	echo control_d >"$ROOT/proc/xen/capabilities"
	echo Y >"$ROOT/sys/module/xen_pciback/parameters/strict_reset"
	echo Y >"$ROOT/sys/module/xen_pciback/parameters/auto_reset"
	: >"$ROOT/etc/systemd/system/multi-user.target.wants/pciback-reset.service"
	printf '#!/bin/sh\necho "virt_caps : pv hvm pv_directio hvm_directio"\n' >"$WORK/bin/xl"
	chmod 755 "$WORK/bin/xl"
	kernel 0000:01:00.1
	run 0 doctor
	says_not NOT
	run 0 doctor --json
	is "$(grep -vc '"ok": true' "$WORK/out")" 0 'red lines'
	# A set-up is what is at its place, whatever its address is now
	mkdir "$ROOT/etc/pciback-reset.d"
	setup=$ROOT/etc/pciback-reset.d/audio
	echo '0000:09:00.1=10de:10f0@0000:00:01.0/00.1' >"$setup"
	run 0 doctor
	printf '\t%s\t\n' '0000:03:00.0=8086:100e@0000:00:02.0/00.0/00.0' >>"$setup"
	run 1 doctor
	says "NOT  set-up audio: 0000:03:00.0 is not pciback's"
	says '       pciback-reset adopt audio'
	echo '0000:01:00.1=8086:100e' >"$setup"
	run 1 doctor
	says 'NOT  set-up audio: 0000:01:00.1=8086:100e: 0000:01:00.1 is 10de:10f0, and not 8086:100e'
	says '       pciback-reset undo audio; and set it up again'
	rm "$setup"
	bind 0000:01:00.0 pciback 'blocked 0000:01:00.1 (no driver)'
	run 1 doctor
	says '       pciback-reset plan 0000:01:00.0'
	rm "$PCI/drivers/pciback/reset_device"
	run 1 doctor
	says 'WITHOUT thorough resets'
}

test_report()
{
	echo SECRET-1 >"$PCI/devices/0000:01:00.0/serial"
	disk 0000:03:01.0 sda 8:0
	mounted 8:0 /home/SECRET-2 /dev/sda
	bind 0000:01:00.0 pciback 'blocked 0000:01:00.0 (assigned to domain 3)'
	domain 3 SECRET-3
	backend 3 4 0000:01:00.0
	run 0 report
	says '10de:1b80'
	says_not SECRET
	run 0 report --json
	says '"id": "10de:1b80"'
	# What is not there is not named, nor is a hint a part of the text
	rm -r "$PCI/drivers/pciback"
	"$COMMAND" report >"$WORK/out" 2>/dev/null || problem "exit status $?"
	says '"xen": null, "driver": null,'
	is_json report
}

# state NUMBER: of the backend's first function, and at no time none
state()
{
	echo "$1" >"$WORK/state"
	mv "$WORK/state" "$ROOT/xenstore/local/domain/0/backend/pci/3/0/state-0"
}

test_monitor()
{
	kernel 0000:01:00.0 0000:01:00.1
	"$COMMAND" monitor --json >"$WORK/out" 2>&1 &
	monitor=$!
	sleep 1
	echo 'slot: ok' >"$PCI/devices/0000:01:00.0/pciback/last_reset"
	domain 3 win11
	backend 3 4 0000:01:00.0
	timeout 10 sh -c "until grep -q 'handed out' '$WORK/out'; do sleep 1; done"
	state 6
	timeout 10 sh -c "until grep -q 'refused' '$WORK/out'; do sleep 1; done"
	# As xl takes it away, which says Closing
	state 5
	sleep 2
	rm -r "$ROOT/xenstore/local/domain/0/backend"
	timeout 10 sh -c "until grep -q 'given back' '$WORK/out'; do sleep 1; done"
	# What no guest has had is not given back
	backend 3 4
	state 6
	echo 0000:01:00.1 >"$ROOT/xenstore/local/domain/0/backend/pci/3/0/dev-0"
	timeout 10 sh -c "until grep -q '01:00.1.*refused' '$WORK/out'; do sleep 1; done"
	state 5
	sleep 1
	rm -r "$ROOT/xenstore/local/domain/0/backend"
	sleep 1
	kill $monitor
	wait $monitor 2>/dev/null
	says '"bdf": "0000:01:00.0", "event": "reset", "text": "slot: ok"'
	says '"event": "handed out", "text": "domain 3 (win11)"'
	says '"bdf": "0000:01:00.0", "event": "refused"'
	is "$(sed -n 's/.*"event": "\([^"]*\)".*/\1/p' "$WORK/out" | tr '\n' ',')" \
		'reset,handed out,refused,given back,refused,' 'the events'
}

# Each option of each command, and what it may be told
test_completion()
{
	run 0 completion --
	says 'reset'
	run 0 completion -- adopt
	is "$(grep -e -- "$WORK/out" | tr '\n' ' ')" \
		'--boot --dry-run --force --help --json --only --set --yes ' 'the options of adopt'
	says '0000:01:00.0'
	run 0 completion -- list
	says_not '0000:01:00.0'
}

# A name is no shell's: neither a guest's nor a set-up's
test_completion_names()
{
	mkdir -p "$ROOT/etc/pciback-reset.d"
	: >"$ROOT/etc/pciback-reset.d/gpu"
	: >"$ROOT/etc/pciback-reset.d/\$(touch hit)"
	run 0 completion -- adopt
	says gpu
	says_not touch
	[ -e "$COMPLETION" ] || COMPLETION=/usr/share/bash-completion/completions/pciback-reset
	cat >"$WORK/bin/xl" <<-END
		#!/bin/sh
		printf '%s 1\n' Name Domain-0 win11 web.1 '\$(touch\${IFS}$WORK/hit)'
	END
	cat >"$WORK/complete" <<-END
		_get_comp_words_by_ref() { words=("\${given[@]}") cword=\$((\${#given[@]} - 1)) cur=\${given[-1]}; }
		__ltrim_colon_completions() { :; }
		pciback-reset() { printf '%s\n' 0000:01:00.0 gpu '\$(touch\${IFS}$WORK/hit)'; }
		. "$COMPLETION"
		# complete_after WORD...: what may follow them, of what begins with the last one
		complete_after()
		{
			given=(pciback-reset "\$@")
			_pciback_reset
			echo "\${COMPREPLY[*]}"
		}
		complete_after attach ''
		complete_after attach w
		complete_after adopt ''
		complete_after adopt 0000:
	END
	chmod 755 "$WORK/bin/xl"
	bash "$WORK/complete" >"$WORK/out" 2>&1
	is "$(cat "$WORK/out")" 'win11 web.1
win11 web.1
0000:01:00.0 gpu
0000:01:00.0' 'what may follow'
	[ ! -e "$WORK/hit" ] || problem "a name was run"
}

test_json()
{
	# Each function that is refused, with the reason; and what is no function's
	mounted 8:0 /srv /dev/sda
	disk 0000:03:01.0 sda 8:0
	run 4 adopt --json 03:00.0
	says '{ "bdf": "0000:03:01.0", "result": "refused", "ok": false, "status": 4, "error": "0000:03:01.0 is not taken without --force: sda is mounted on /srv" }'
	says '"error": "0000:03:01.0 (ahci) is another device, in the same set" }'
	objects 2 'adopt --json'
	run 3 release --json 01:00.0 7f:00.0 03:00.0=10de:1b80
	says '"bdf": "0000:7f:00.0", "result": "refused", "ok": false, "status": 3,'
	objects 2 'release --json'
	run 3 reset --json 01:00.0 01:00.1
	objects 2 'reset --json'
	run 3 release --json bogus
	says '{ "bdf": null, "result": "refused", "ok": false, "status": 3, "error": "there is no set-up of the name bogus, nor is it an address" }'
	for arguments in 'attach nobody' 'reset x;' reset bogus; do
		run 2 $arguments --json
		objects 1 "$arguments --json"
	done
	# Wherever it stands, but for what follows "--"
	for arguments in 'reset --bogus --json 01:00.0' 'list --weak --json' 'reset -x --json'; do
		run 2 $arguments
		objects 1 "$arguments"
	done
	run 2 reset --bogus -- --json
	says_not '"ok"'
	run 1 adopt --json --only 01:00.0
	says '"bdf": "0000:01:00.0", "result": "failed", "ok": false, "status": 1, "error": "pciback does not take it, the kernel'
	kernel 0000:01:00.0 0000:01:00.1
	domain 3 win11
	backend 3 4 0000:01:00.0
	for verb in reset release; do
		run 4 $verb --json 01:00.0
		says '"bdf": "0000:01:00.0", "result": "refused", "ok": false, "status": 4, "error": "0000:01:00.0 is assigned to domain 3 (win11)'
		is_json "$verb"
	done
	rm -r "$ROOT/xenstore"
	run 0 reset --json 01:00.0
	says '{ "bdf": "0000:01:00.0", "result": "ok", "ok": true, "status": 0, "text": "none" }'
	for arguments in 'reset 01:00.0 01:00.1' 'plan 01:00.0' 'release --dry-run 01:00.0' \
		'adopt 01:00.0' 'report' 'list --all' 'list --all --tree'; do
		run 0 $arguments --json
		is_json "$arguments"
	done
}

# What failed has a reason, and what was done before is said to be undone
test_undone()
{
	mkdir -p "$ROOT/run/pciback-reset/0000:01:00.1"
	run 1 adopt --only 01:00.1
	says '0000:01:00.1  failed   /run/pciback-reset: Is a directory'
	run 1 adopt --only 01:00.0
	says '0000:01:00.0  failed   pciback does not take it'
	is "$(head -n 1 "$PCI/devices/0000:01:00.0/driver_override")" '' 'its override'
}

# What is taken along is named before it is touched
test_asked()
{
	kernel 0000:01:00.0 0000:01:00.1
	rm "$PCI/devices/0000:01:00.0/driver" "$PCI/devices/0000:01:00.1/driver"
	bind 0000:01:00.1 snd_hda_intel
	ANSWER=n
	run 1 adopt 01:00.0
	says 'This is taken along:'
	says '0000:01:00.1  10de:10f0 (snd_hda_intel)'
	says 'Go on? [y/N]'
	is "$(cat "$PCI/devices/0000:01:00.0/driver_override")" '(null)' 'its override'
	says 'pciback-reset: not agreed to'
	# Nothing but "y" is a yes
	ANSWER=' '
	run 1 adopt --json 01:00.0
	says '"result": "refused", "ok": false, "status": 1, "error": "not agreed to" }'
	# Who types is asked, wherever the question goes
	printf '#!/bin/sh\nexec "%s" "$@" 2>"%s/log"\n' "$COMMAND" "$WORK" >"$WORK/bin/logged"
	chmod 755 "$WORK/bin/logged"
	command=$COMMAND COMMAND=$WORK/bin/logged
	run 1 adopt 01:00.0
	COMMAND=$command
	cp "$WORK/log" "$WORK/out"
	says 'Go on? [y/N] pciback-reset: not agreed to'
	ANSWER=n
	run 1 setup gpu 01:00.0
	[ ! -e "$ROOT/etc/pciback-reset.d" ] || problem "it is set up"
	# Who has named all of it is not asked, nor who says so before
	run 1 adopt 01:00.0 01:00.1
	says_not 'Go on?'
	says 'pciback does not take it'
	run 1 adopt --yes 01:00.0
	says_not 'Go on?'
	run 0 adopt --dry-run 01:00.0
	says_not 'Go on?'
	ANSWER=y
	run 1 adopt 01:00.0
	says 'Go on?'
	says 'pciback does not take it'
	# What comes into use meanwhile: the names that it shows are not looked up before
	disk 0000:01:00.1 sda 8:0
	rm "$PCI/devices/0000:01:00.1/vendor"
	mkfifo "$PCI/devices/0000:01:00.1/vendor"
	# Who reads may have read all of it, and be gone
	(
		trap '' PIPE
		while :; do
			{
				mounted 8:0 /srv /dev/sda
				echo 0x10de
			} >"$PCI/devices/0000:01:00.1/vendor" 2>/dev/null
		done
	) &
	meanwhile=$!
	run 4 adopt 01:00.0
	kill $meanwhile
	wait $meanwhile 2>/dev/null
	says 'Go on?'
	says '0000:01:00.1 is not taken without --force: sda is mounted on /srv'
	ANSWER=''
}

# -- main ---------------------------------------------------------------------

[ "${1-}" != -t ] || TESTS=''
while [ "${1-}" = -t ]; do
	TESTS="$TESTS $2"
	shift 2
done
ktap_print_header
ktap_set_plan "$(echo $TESTS | wc -w)"
for test in $TESTS; do
	failed='' ANSWER='' PATIENCE=''
	: >"$WORK/out"
	machine
	type "test_$test" >/dev/null || problem "there is no such test"
	"test_$test"
	if [ -z "$failed" ]; then
		ktap_test_pass "$test"
	else
		ktap_test_fail "$test"
	fi
done
ktap_finished
