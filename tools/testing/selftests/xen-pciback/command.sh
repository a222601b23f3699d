#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# command.sh [-t TEST]: pciback-reset, the command (tools/xen), and the scripts for
# toolstacks that use it: what they print, and what the hardware's trace shows.
#
# Without a guest's kernel the tests that need a guest are skipped. Tests that need another
# machine are in command_tree.sh and its like, where the machine is a tree of files.

# Lists of words, and what must not expand
# shellcheck disable=SC2016,SC2086

DIR=$(cd "$(dirname "$0")" && pwd)
# Not on any other machine, whose devices these would be
"$DIR/guard" || exit
# shellcheck source=/dev/null
. "$DIR/../kselftest/ktap_helpers.sh"

COMMAND=/usr/sbin/pciback-reset
SCRIPTS=/etc/xen/scripts
DEVICES=/sys/bus/pci/devices
PCIBACK=/sys/bus/pci/drivers/pciback
FAULT=/sys/kernel/debug/pciback_fault
RECORDS=/run/pciback-reset
CONSOLE=/var/log/xen/console/guest-pv.log
SOCKET=/run/xenstored/socket
WAIT_S=120

# Where qemu/machine.sh puts them
NVME=0000:01:00.0
CARD='0000:04:00.0 0000:04:00.1 0000:04:00.2'
FIRST=0000:04:00.0 SECOND=0000:04:00.1 THIRD=0000:04:00.2
PAIR='0000:06:01.0 0000:06:02.0'
VIRTIO=0000:0a:00.0
PF=0000:0b:00.0 VF=0000:0b:00.1
ROOT=0000:00:18.0

# hide_toolstack: by that socket the command knows that there is one. show_toolstack:
# and starts it, if it does not run yet.
hide_toolstack()
{
	[ ! -e $SOCKET ] || mv $SOCKET $SOCKET.hidden
}

show_toolstack()
{
	[ ! -e $SOCKET.hidden ] || mv $SOCKET.hidden $SOCKET
	xen-start
}

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# No xl is in it
mkdir "$WORK/coreutils"
for program in cat id mkdir mktemp readlink realpath rm sleep tr; do
	ln -s /bin/busybox "$WORK/coreutils/$program"
done

TESTS='usage input unknown list_names list_all list_hostile list_no_names tree plan cure
	cure_set_reset cure_in_use cure_vfs sets parallel if_needed weak codes broken
	denied adopt adopt_undone release_keeps release_ways no_xl stock no_driver xl_adopt
	xl_release_ways guest guest_undone guest_refuses guest_monitor scripts guest_refuses_first
	guest_stub'

# -- what a test says ---------------------------------------------------------

problem()
{
	echo "# $test: $*"
	sed 's/^/#   | /' "$WORK/out"
	failed=1
}

# run STATUS [NAME=VALUE]... ARGUMENT...: the command, with no more than coreutils
# in PATH if ALONE is set; what it says is in $WORK/out
run()
{
	expected=$1
	shift
	rc=0
	path=$PATH
	[ -z "$FAKES" ] || path=$WORK/fakes:$PATH
	[ -z "$ALONE" ] || path=$WORK/coreutils
	PATH=$path "$DIR/hwtrace" $COMMAND "$@" >"$WORK/all" 2>&1 || rc=$?
	grep '^  hardware: ' "$WORK/all" >"$WORK/hardware"
	grep -v -e '^  hardware: ' -e '^  took: ' "$WORK/all" >"$WORK/out"
	[ "$rc" -eq "$expected" ] || problem "$*: exit status $rc, not $expected"
}

# says LINE: this whole line is among what it said
says()
{
	grep -qxF -e "$1" "$WORK/out" || problem "does not say: $1"
}

says_like()
{
	grep -q -e "$1" "$WORK/out" || problem "says nothing like: $1"
}

# says_not TEXT
says_not()
{
	! grep -qF -e "$1" "$WORK/out" || problem "says: $1"
}

# saw FACT...: the hardware saw these and nothing else
saw()
{
	for fact; do
		echo "  hardware: $fact"
	done | sort >"$WORK/facts"
	# QEMU resets the card's functions in the order in which they were put in
	sed -i 's/: e1000e x2, qemu-xhci$/: qemu-xhci, e1000e x2/' "$WORK/hardware"
	sort "$WORK/hardware" | cmp -s - "$WORK/facts" || {
		problem "the hardware saw otherwise"
		diff "$WORK/facts" "$WORK/hardware" | sed 's/^/#   /'
	}
}

saw_nothing()
{
	saw 'no reset of anything'
}

is()
{
	[ "$1" = "$2" ] || problem "$3: '$1', not '$2'"
}

# -- devices ------------------------------------------------------------------

driver_of()
{
	driver=$(readlink "$DEVICES/$1/driver")
	echo "${driver##*/}"
}

# Not by the command
give()
{
	for bdf; do
		echo pciback >"$DEVICES/$bdf/driver_override"
		[ ! -e "$DEVICES/$bdf/driver" ] ||
			echo "$bdf" >"$DEVICES/$bdf/driver/unbind"
		echo "$bdf" >/sys/bus/pci/drivers_probe
	done
	make_clean "$@"
}

# As clean as they can be
make_clean()
{
	for bdf; do
		echo "$bdf" >"$PCIBACK/do_flr"
	done 2>/dev/null
}

# Nobody's again, whatever driver had them
take_all()
{
	for path in "$PCIBACK"/*:*:*.*; do
		[ -e "$path" ] || continue
		echo >"$path/driver_override"
		echo "${path##*/}" >"$PCIBACK/remove_slot"
		echo "${path##*/}" >"$PCIBACK/unbind"
	done 2>/dev/null
	for bdf in $NVME $CARD $PAIR; do
		echo >"$DEVICES/$bdf/driver_override"
		[ ! -e "$DEVICES/$bdf/driver" ] ||
			echo "$bdf" >"$DEVICES/$bdf/driver/unbind"
	done
	rm -rf "$RECORDS"
}

# fake NAME: a program of that name, from stdin, before the real one
fake()
{
	mkdir -p "$WORK/fakes"
	cat >"$WORK/fakes/$1"
	chmod 755 "$WORK/fakes/$1"
	FAKES=1
}

# -- tests, without a toolstack -----------------------------------------------

test_usage()
{
	ALONE=1
	run 0 --help
	says 'Usage: pciback-reset COMMAND [OPTION]... [ARGUMENT]...'
	run 2
	says 'Usage: pciback-reset COMMAND [OPTION]... [ARGUMENT]...'
	run 0 reset --help
	run 2 resett "$NVME"
	run 2 reset --iff-needed "$NVME"
	run 2 reset
	run 2 plan
	run 2 list "$NVME"
	# Spelled out, and one of this command's
	run 2 adopt --forc "$NVME"
	run 2 reset --force "$NVME"
	# Options are options wherever they stand, but for a "--"
	run 3 release "$NVME" --dry-run
	run 2 release "$NVME" -- --dry-run
}

# One bad address, and nothing is touched
test_input()
{
	give $NVME
	ALONE=1
	for bad in 000:01:00.0 0000g:01:00.0 0000:0000:01:00.0 01:00.8 0000:01:20.0 \
		'0000:01:00.0x' ' 0000:01:00.0' '0000:01:00.0 ' \
		0x0:01:00.0 1:2 '*' '0000:01:00.*' 100000000:01:00.0 '' '$(reboot)' \
		'../0000:01:00.0' "$NVME $NVME" "0000:01:00.0
"; do
		run 2 reset "$NVME" "$bad"
		saw_nothing
	done
	for verb in plan adopt release; do
		run 2 "$verb" "$NVME" "$bad"
		saw_nothing
	done
	run 0 reset 01:00.0
	says "$NVME  ok       flr: ok"
	saw "function-level reset of 01:00.0 (nvme)" "devices reset: nvme"
	# A domain may have more digits than most have
	run 0 plan 00000000:01:00.0
	says "$NVME: is reset alone (flr). No other function is touched."
	run 3 plan 00010000:01:00.0
	says "pciback-reset: there is no function 10000:01:00.0"
	# Twice the same is one
	run 0 reset $NVME 01:00.0
	saw "function-level reset of 01:00.0 (nvme)" "devices reset: nvme"
}

test_unknown()
{
	give $NVME
	ALONE=1
	run 3 reset $NVME 0000:7f:00.0
	says "pciback-reset: there is no function 0000:7f:00.0"
	saw_nothing
	run 3 reset $NVME $FIRST
	says "pciback-reset: $FIRST is not pciback's (no driver)"
	says "pciback-reset: to give it to pciback: pciback-reset adopt $FIRST"
	saw_nothing
	run 3 release $FIRST
	run 3 plan $FIRST
	says "$FIRST: is not pciback's (no driver)."
	says "    pciback-reset adopt $CARD"
	saw_nothing
}

test_list_names()
{
	run 0 list
	says_like 'pciback owns no function'
	run 0 list --json
	says '[]'
	give $CARD $NVME $ROOT
	run 0 list
	says_like "^$NVME  0000:01  flr  *no  *-  *flr: ok  .* QEMU NVM Express Controller"
	says_like "^$FIRST  0000:04  slot  *no  *-  *slot: ok  *Intel Corporation 82574L"
	says_like "^$ROOT  -  *none  *yes  *-  "
	saw_nothing
	run 0 list --json
	says_like "^  { \"bdf\": \"$FIRST\", \"name\": \"Intel Corporation 82574L \
Gigabit Network Connection\", \"method\": \"slot\", \"blocker\": null, \
\"why\": null, \"needs_reset\": false, \"domain\": null, \
\"bus\": \"0000:04\", \"set\": \\[ \"$FIRST\", \"$SECOND\", \"$THIRD\" \\], \
\"last_reset\": \"slot: ok\", \"guest\": null, \"kind\": \"NIC\", \"driver\": \"pciback\" },\$"
	is "$(tail -n 1 "$WORK/out")" ']' "the end of the list"
	echo "$SECOND" >"$PCIBACK/unbind"
	run 0 list --json
	says_like "\"bdf\": \"$FIRST\".*\"method\": \"blocked\", \"blocker\": \
\"$SECOND\", \"why\": \"no driver\""
}

# Each has its own plan: there is no limit on how many are shown
test_list_all()
{
	give $NVME $CARD $PAIR $ROOT $VIRTIO
	ALONE=1
	run 0 list --json
	is "$(grep -c '"method": "' "$WORK/out")" 8 "functions with a plan"
	saw_nothing
}

# A name is what a file says that anybody may have edited
test_list_hostile()
{
	give $NVME
	printf '1b36  \377\tV\n\t0010  "a\\b" * $(reboot) `reboot` %%s\033[2J\302\233x\n' >"$WORK/ids"
	mount --bind "$WORK/ids" /usr/share/misc/pci.ids
	run 0 list --json
	says_like '"name": "?V \\"a\\\\b\\" \* $(reboot) `reboot` %s\[2Jx", "method": "flr"'
	run 0 list
	says_like '?V "a\\b" \* $(reboot) `reboot` %s\[2Jx$'
	umount /usr/share/misc/pci.ids
}

test_list_no_names()
{
	give $NVME
	mount --bind /dev/null /usr/share/misc/pci.ids
	run 0 list
	says_like "^$NVME  0000:01  flr  *no  *-  *flr: ok  *1b36:0010$"
	umount /usr/share/misc/pci.ids
}

test_tree()
{
	give $CARD $PAIR $ROOT
	echo "$SECOND" >"$PCIBACK/unbind"
	run 0 list --tree
	# Of another root bus, on which pciback has nothing, it says nothing
	lspci -t | awk '
	/\[[0-9a-f]+:/ {
		at = index($0, "[") - 1
		wanted = /\[0000:00\]/
	}
	wanted {
		print substr($0, at)
	}' >"$WORK/lspci"
	sed 's/  <.*//; s/  pciback,.*//' "$WORK/out" | cmp - "$WORK/lspci" ||
		problem "not as lspci -t draws it"
	says_like "+-00.0  <0000:04> pciback, blocked by $SECOND (no driver)\$"
	says_like '+-00.1  <0000:04> no driver$'
	says_like '+-01.0  <0000:06> pciback, bus$'
	says_like '+-18.0  pciback, none$'
	saw_nothing
}

test_plan()
{
	give $NVME $CARD $PAIR $ROOT
	ALONE=1
	run 0 plan $NVME $FIRST 0000:06:02.0
	says "$NVME: is reset alone (flr). No other function is touched."
	says "$FIRST: is reset by a slot reset, which resets all 3 functions of its \
set together: $CARD."
	says "0000:06:02.0: is reset by a secondary bus reset, which resets all 2 \
functions of its set together: $PAIR."
	run 5 plan $ROOT
	says_like 'nothing can reset it'
	saw_nothing
}

# What it says is to be typed, typed
test_cure()
{
	give $FIRST
	modprobe e1000e
	echo e1000e >"$DEVICES/$SECOND/driver_override"
	echo "$SECOND" >/sys/bus/pci/drivers_probe
	# Where xl runs, that does the adopting, which leaves overrides alone
	echo >"$DEVICES/$SECOND/driver_override"
	run 4 plan $FIRST
	says "$FIRST: can't be reset thoroughly: it takes a slot or bus reset of its \
set, and $SECOND is not pciback's (its driver is e1000e)."
	says "    pciback-reset adopt $SECOND $THIRD"
	says_not 'xl '
	saw_nothing
	grep '^    ' "$WORK/out" >"$WORK/cure"
	sh "$WORK/cure" >/dev/null || problem "the cure fails"
	run 0 plan $FIRST
	run 0 reset $FIRST
	saw "secondary bus reset by 00:13.0 (pcie-root-port)" \
		"devices reset: qemu-xhci, e1000e x2"
}

# Somebody has said that the card must not be reset that way: nobody is told to do it
test_cure_set_reset()
{
	give $CARD
	ALONE=1
	echo 0 >"$DEVICES/$SECOND/pciback/set_reset"
	run 4 plan $FIRST
	says "$FIRST: can't be reset thoroughly: it takes a slot or bus reset of its \
set, and $SECOND must not be reset that way (its set_reset is 0)."
	says_not 'To make it possible'
	saw_nothing
}

# Nothing to be typed: somebody uses it
test_cure_in_use()
{
	give $CARD
	ALONE=1
	printf '\006' | dd of="$DEVICES/$SECOND/config" bs=1 seek=4 conv=notrunc 2>/dev/null
	run 4 plan $FIRST
	says "$FIRST: can't be reset thoroughly: it takes a slot or bus reset of its \
set, and $SECOND is in use, but the toolstack has not told pciback (bus mastering is on)."
	says_not 'To make it possible'
	run 4 reset $FIRST
	why="slot: blocked by $SECOND (in use: bus mastering is on)"
	says "$FIRST  blocked  $why; pm: ok (weak)"
	# Who names it says that it is not
	run 0 reset $SECOND
	run 0 plan $FIRST
}

# A PF that its driver left with VFs, one of them pciback's: only that driver can
# take them away, and not that one
test_cure_vfs()
{
	modprobe nvme
	echo 0 >"$DEVICES/$PF/sriov_drivers_autoprobe"
	echo "$PF" >/sys/bus/pci/drivers/nvme/bind 2>/dev/null
	echo 2 >"$DEVICES/$PF/sriov_numvfs"
	ALONE=1
	run 0 adopt --only $PF $VF
	run 4 plan $PF
	says "$PF: can't be reset thoroughly: it has VFs enabled."
	grep '^    ' "$WORK/out" >"$WORK/cure"
	is "$(grep -c . "$WORK/cure")" 3 "commands"
	sh "$WORK/cure" >"$WORK/out" || problem "the cure fails"
	is "$(driver_of $PF)" pciback "the driver"
	run 0 reset $PF
	says_like "^$PF  ok "
	echo 1 >"$DEVICES/$PF/sriov_drivers_autoprobe"
}

# One write a set, however its functions are named
test_sets()
{
	give $NVME $CARD $PAIR
	ALONE=1
	run 0 reset $THIRD $NVME 0000:06:02.0 $FIRST 0000:06:01.0 $SECOND
	# In any order
	sed -i 's/devices reset:.*/devices reset: /' "$WORK/hardware"
	saw "function-level reset of 01:00.0 (nvme)" \
		"secondary bus reset by 00:13.0 (pcie-root-port)" \
		"secondary bus reset by 05:00.0 (pcie-pci-bridge)" \
		"devices reset: "
	says "$NVME  ok       flr: ok"
	for bdf in $CARD; do
		says "$bdf  ok       slot: ok"
	done
	for bdf in $PAIR; do
		says "$bdf  ok       bus: ok"
	done
	is "$(grep -c . "$WORK/out")" 6 "lines of results"
}

# One that takes its time keeps nobody waiting
test_parallel()
{
	give $VIRTIO $NVME
	insmod "$DIR/test_modules/pciback_fault.ko" || problem "no faults"
	echo $VIRTIO >$FAULT/add
	echo 4294967295 >"$FAULT/$VIRTIO/flr_away_ms"
	before=$(resets_of $NVME)
	$COMMAND reset $VIRTIO $NVME >"$WORK/out" 2>&1 &
	for waited in $(seq "$WAIT_S"); do
		[ "$(resets_of $NVME)" = "$before" ] || break
		sleep 1
	done
	[ "$waited" -lt "$WAIT_S" ] || problem "$NVME waits for $VIRTIO"
	kill -0 $! || problem "it did not wait for $VIRTIO"
	echo 1 >"$FAULT/$VIRTIO/heal"
	wait $! || problem "fails"
	says "$VIRTIO  ok       flr: ok"
	says "$NVME  ok       flr: ok"
	rmmod pciback_fault
}

resets_of()
{
	dmesg | grep -c "$1: xen_pciback: reset: flr: ok"
}

test_if_needed()
{
	give $CARD
	ALONE=1
	run 0 reset --if-needed $CARD
	says "$FIRST  clean    slot: ok"
	is "$(grep -c . "$WORK/out")" 3 "lines of results"
	saw_nothing
	run 0 reset --if-needed --wait $CARD
	saw_nothing
	# All of the card, if one of it needs that
	echo "$THIRD" >"$PCIBACK/unbind"
	echo "$THIRD" >"$PCIBACK/bind"
	run 0 reset --if-needed $CARD
	says "$FIRST  clean    slot: ok"
	says "$THIRD  ok       slot: ok"
	saw "secondary bus reset by 00:13.0 (pcie-root-port)" \
		"devices reset: qemu-xhci, e1000e x2"
}

# What counts right before a hand-out: in any case, as well as it can be done now
test_weak()
{
	give $CARD
	ALONE=1
	run 0 reset --weak $CARD
	says "$FIRST  ok       slot: ok"
	saw "secondary bus reset by 00:13.0 (pcie-root-port)" \
		"devices reset: qemu-xhci, e1000e x2"
	echo "$THIRD" >"$PCIBACK/unbind"
	# Not covered by what was before that
	run 0 reset --weak $FIRST
	says "$FIRST  weak     slot: blocked by $THIRD (no driver); pm: ok (weak)"
	saw "D3hot for 04:00.0 (e1000e)"
}

test_codes()
{
	give $NVME $FIRST $THIRD $ROOT
	ALONE=1
	run 5 reset $ROOT $NVME
	says "$ROOT  none     no method can reset it"
	says "$NVME  ok       flr: ok"
	run 4 reset $FIRST $NVME
	says "$FIRST  blocked  slot: blocked by $SECOND (no driver); pm: ok (weak)"
	saw "D3hot for 04:00.0 (e1000e)" \
		"function-level reset of 01:00.0 (nvme)" "devices reset: nvme"
	run 1 reset $FIRST $ROOT
}

# An AF FLR of no effect, and nothing stronger on the root bus
test_broken()
{
	insmod "$DIR/test_modules/pciback_fault.ko" || problem "no faults"
	echo $ROOT >$FAULT/add
	echo 1 >"$FAULT/$ROOT/af"
	rediscover $ROOT
	give $ROOT
	echo 1 >"$FAULT/$ROOT/flr_no_effect"
	run 6 reset $ROOT
	says "$ROOT  failed   af_flr: no effect"
	rmmod pciback_fault
	rediscover $ROOT
}

# Capabilities are looked at when a function is found
rediscover()
{
	echo 1 >"$DEVICES/$1/remove"
	echo 1 >/sys/bus/pci/rescan
}

test_denied()
{
	give $NVME
	chmod 755 "$WORK"
	for verb in reset adopt release; do
		rc=0
		# Without a tree of files this is the real machine
		su -s /bin/sh nobody -c "PCIBACK_RESET_ROOT='' $COMMAND $verb $NVME" \
			>"$WORK/out" 2>&1 || rc=$?
		is "$rc" 8 "$verb by nobody: exit status"
		says 'pciback-reset: only root can do this'
	done
	su -s /bin/sh nobody -c "$COMMAND doctor" >"$WORK/out" 2>&1
	says '       run this as root'
	is "$(driver_of $NVME)" pciback "the driver"
}

# A whole card, and back to what it was
test_adopt()
{
	modprobe e1000e
	for bdf in $FIRST $SECOND; do
		echo e1000e >"$DEVICES/$bdf/driver_override"
		echo "$bdf" >/sys/bus/pci/drivers_probe
	done
	echo >"$DEVICES/$SECOND/driver_override"
	ALONE=1
	run 0 adopt --dry-run $SECOND
	says "echo $THIRD >/sys/bus/pci/drivers_probe"
	is "$(driver_of $SECOND)" e1000e "the driver after --dry-run"
	run 0 adopt $SECOND
	says "$FIRST  ok       e1000e -> pciback"
	says "$THIRD  ok       no driver -> pciback"
	for bdf in $CARD; do
		is "$(driver_of "$bdf")" pciback "the driver of $bdf"
	done
	run 0 adopt $SECOND
	says "$FIRST  ok       is pciback's already"
	run 0 release --dry-run $THIRD
	is "$(driver_of $THIRD)" pciback "the driver after --dry-run"
	run 0 release $THIRD
	says "$FIRST  ok       pciback -> e1000e"
	is "$(driver_of $FIRST)" e1000e "the driver of $FIRST"
	is "$(driver_of $SECOND)" e1000e "the driver of $SECOND"
	is "$(driver_of $THIRD)" '' "the driver of $THIRD"
	is "$(cat "$DEVICES/$FIRST/driver_override")" e1000e "its override"
	is "$(cat "$DEVICES/$SECOND/driver_override")" '(null)' "its override"
	is "$(ls "$RECORDS")" '' "what is remembered"
	# One with a reset of its own goes alone, and others if that is said
	run 0 adopt --only $FIRST
	is "$(driver_of $SECOND)" e1000e "the driver of $SECOND"
	run 0 release --only $FIRST
}

# All or none
test_adopt_undone()
{
	modprobe e1000e
	echo e1000e >"$DEVICES/$FIRST/driver_override"
	echo "$FIRST" >/sys/bus/pci/drivers_probe
	mkdir -p "$RECORDS/$THIRD"
	ALONE=1
	run 1 adopt $FIRST
	says_like "^$THIRD  failed"
	is "$(driver_of $FIRST)" e1000e "the driver of $FIRST"
	is "$(driver_of $SECOND)" '' "the driver of $SECOND"
	is "$(driver_of $THIRD)" '' "the driver of $THIRD"
}

# What somebody else has adopted goes to whatever driver the kernel likes
test_release_keeps()
{
	give $NVME
	ALONE=1
	run 0 release $NVME
	[ ! -e "$PCIBACK/$NVME" ] || problem "$NVME is still pciback's"
	is "$(cat "$DEVICES/$NVME/driver_override")" '(null)' "its override"
}

# Three ways by which others may have bound it
by_hand()
{
	echo "$NVME" >"$DEVICES/$NVME/driver/unbind"
	echo "$NVME" >"$PCIBACK/new_slot"
	echo "$NVME" >"$PCIBACK/bind"
}

# A new function, as far as the kernel knows, and pciback takes it by its address
replugged()
{
	PATH=$WORK/coreutils $COMMAND adopt $NVME >/dev/null
	rediscover $NVME
}

hidden()
{
	echo "$NVME" >"$DEVICES/$NVME/driver/unbind"
	rmmod xen_pciback
	insmod /lib/modules/xen-pciback.ko "hide=($NVME)"
}

# Whichever it was, its own driver has it afterwards. pciback is asked first.
release_each_way()
{
	rmmod nvme 2>/dev/null
	modprobe nvme
	echo "$NVME" >/sys/bus/pci/drivers_probe
	for way in by_hand replugged hidden; do
		is "$(driver_of $NVME)" nvme "the driver before $way"
		$way
		is "$(driver_of $NVME)" pciback "the driver, $way"
		run 0 release $NVME
		says "$NVME  ok       pciback -> nvme"
		is "$(driver_of $NVME)" nvme "the driver after $way"
	done
}

test_release_ways()
{
	ALONE=1
	release_each_way
}

test_no_xl()
{
	give $NVME
	ALONE=1
	run 9 attach 1 $NVME
	says "pciback-reset: there is no xl: a toolstack gives functions to guests, not this"
	run 9 detach 1 $NVME
	saw_nothing
}

# What the stock driver loses is not for ours to answer for (check.sh)
KMEMLEAK=/sys/kernel/debug/kmemleak
scan()
{
	# It looks at nothing younger, and tells at the second time
	sleep 6
	echo scan >$KMEMLEAK
	echo scan >$KMEMLEAK
}

# The driver as it is without our patches: what goes, goes, and it says so
test_stock()
{
	rmmod xen_pciback
	if [ -e $KMEMLEAK ]; then
		scan
		! grep -E '\[(xen_)?pciback|\] 0xffffffff[a-f]' $KMEMLEAK ||
			problem "memory was lost until here"
	fi
	insmod "$(find /lib/modules -path '*/drivers/*' -name xen-pciback.ko)"
	[ ! -e "$PCIBACK/reset_device" ] || problem "that is no stock driver"
	ALONE=1
	run 9 adopt $NVME
	says_like "nothing is adopted, as REQUIRE_THOROUGH is 'yes'"
	says_like 'install xen-pciback-reset-dkms'
	is "$(driver_of $NVME)" '' "the driver"
	export REQUIRE_THOROUGH=no
	run 0 adopt $NVME
	unset REQUIRE_THOROUGH
	is "$(driver_of $NVME)" pciback "the driver"
	run 0 list
	says_like "^$NVME  0000:01  ?  *?  *-  *?  "
	says_like 'without thorough resets: it has no reset_device'
	run 0 list --json
	says_like "\"method\": null, .*\"needs_reset\": null, .*\"last_reset\": null"
	run 0 plan $NVME
	# What there is, the kernel tells since 5.15
	if [ -e "$DEVICES/$NVME/reset_method" ]; then
		says_like "^$NVME: is reset alone, by the first that works of: flr"
	else
		says "$NVME: is reset alone, by the first that works of: what the kernel has."
	fi
	run 0 reset $NVME
	says "$NVME  ok      "
	saw "function-level reset of 01:00.0 (nvme)" "devices reset: nvme"
	export REQUIRE_THOROUGH=no
	run 0 adopt --only $ROOT
	unset REQUIRE_THOROUGH
	run 5 reset $ROOT
	says "$ROOT  none     no reset of its own, and this driver has no other"
	saw_nothing
	run 0 release $NVME $ROOT
	is "$(driver_of $NVME)" '' "the driver"
	rmmod xen_pciback
	if [ -e $KMEMLEAK ]; then
		scan
		echo clear >$KMEMLEAK
	fi
	insmod /lib/modules/xen-pciback.ko
}

test_no_driver()
{
	rmmod xen_pciback
	ALONE=1
	for arguments in list "reset $NVME" "plan $NVME" "adopt $NVME"; do
		run 9 $arguments
		says "pciback-reset: the driver is not loaded: modprobe xen-pciback"
	done
	insmod /lib/modules/xen-pciback.ko
}

# -- tests, with Xen's toolstack ----------------------------------------------

# By xl's own ways: xl knows, and gives back what xl adopted
test_xl_adopt()
{
	show_toolstack || problem "no xenstored"
	modprobe e1000e
	echo e1000e >"$DEVICES/$FIRST/driver_override"
	echo "$FIRST" >/sys/bus/pci/drivers_probe
	echo >"$DEVICES/$FIRST/driver_override"
	run 0 adopt --dry-run $FIRST
	says "xl pci-assignable-add $FIRST"
	run 0 adopt $FIRST
	is "$(xl pci-assignable-list | grep -c 0000:04)" 3 "what xl knows of"
	run 0 release $SECOND
	is "$(driver_of $FIRST)" e1000e "the driver of $FIRST"
	is "$(xl pci-assignable-list | grep -c 0000:04)" 0 "what xl knows of"
	# What was adopted before there was a xl
	PATH=$WORK/coreutils $COMMAND adopt $FIRST >/dev/null
	run 0 release $FIRST
	is "$(driver_of $FIRST)" e1000e "the driver of $FIRST"
}

# xl gives back to its driver only what xl has taken from it
test_xl_release_ways()
{
	release_each_way
}

# Or dom0's drivers could not use them: Xen keeps them in quarantine
dequarantine()
{
	for bdf in $NVME $CARD $PAIR; do
		xl pci-assignable-remove "$bdf"
	done >/dev/null 2>&1
}

# The guest is there for all tests that need one
need_guest()
{
	[ -e /guest/vmlinux ] || return
	show_toolstack || return
	[ -z "$domid" ] || return 0
	rm -f "$CONSOLE"
	cat >"$WORK/pv.cfg" <<-END
		name="pv"
		type="pv"
		kernel="/guest/vmlinux"
		ramdisk="/guest/initramfs.cpio"
		extra="console=hvc0 loglevel=4 functions=1 $(cat /etc/quick)"
		memory=192
		cpus="1"
		passthrough="enabled"
		on_crash="destroy"
	END
	xl create -e "$WORK/pv.cfg" >"$WORK/out" 2>&1 || problem "no guest"
	domid=$(xl domid pv)
	wait_for_guest 'guest: up'
}

wait_for_guest()
{
	for waited in $(seq "$WAIT_S"); do
		! grep -q "$1" "$CONSOLE" || return 0
		sleep 1
	done
	problem "the guest does not say: $1"
}

# A card, to the guest and back, with one reset
test_guest()
{
	give $CARD $NVME
	run 0 attach --dry-run pv $SECOND
	says "xl pci-attach $domid $SECOND"
	is "$(grep -c . "$WORK/out")" 3 "commands"
	echo "$THIRD" >"$PCIBACK/unbind"
	echo "$THIRD" >"$PCIBACK/bind"
	run 0 attach --dry-run pv $SECOND
	says "echo $THIRD >$PCIBACK/do_flr"
	is "$(grep -c . "$WORK/out")" 4 "commands"
	make_clean $CARD
	run 0 attach pv $SECOND
	# They were clean, and xl asks in any case
	saw "secondary bus reset by 00:13.0 (pcie-root-port)" \
		"devices reset: qemu-xhci, e1000e x2"
	for bdf in $CARD; do
		says "$bdf  ok       attached to domain $domid (pv)"
	done
	is "$(xl pci-list pv | grep -c 0000:04)" 3 "what the guest has"
	wait_for_guest 'guest: ready'

	run 0 list
	says_like "^$FIRST  0000:04  blocked by $FIRST (assigned to domain $domid)  *yes  *$domid (pv)  "
	run 4 plan $FIRST
	says "$FIRST: can't be reset thoroughly: it is assigned to domain $domid (pv)."
	says "    xl pci-detach $domid $THIRD"
	run 4 reset $FIRST
	run 4 attach pv $FIRST
	run 4 release $FIRST
	run 3 detach pv $NVME
	run 2 attach -f $NVME
	run 2 attach 0 $NVME
	run 3 attach nobody $NVME
	saw_nothing
	is "$(driver_of $FIRST)" pciback "the driver"
	is "$(xl pci-list pv | grep -c 0000:04)" 3 "what the guest has"

	run 0 detach --dry-run pv $FIRST
	is "$(grep -c . "$WORK/out")" 4 "commands"
	run 0 detach pv $FIRST
	saw "secondary bus reset by 00:13.0 (pcie-root-port)" \
		"devices reset: qemu-xhci, e1000e x2"
	says "$THIRD  clean    slot: ok"
	is "$(xl pci-list pv | grep -c 0000)" 0 "what the guest has"
	for bdf in $CARD; do
		is "$(cat "$DEVICES/$bdf/pciback/needs_reset")" 0 "$bdf needs a reset"
	done
}

# A failure half way, and nothing has changed
test_guest_undone()
{
	give $CARD
	fake xl <<-END
		#!/bin/sh
		case \$* in
		pci-attach*$THIRD) echo "no" >&2; exit 1 ;;
		esac
		exec /usr/sbin/xl "\$@"
	END
	run 1 attach pv $FIRST
	says "$THIRD  failed   not attached"
	says 'pciback-reset: taking back what was attached already'
	is "$(xl pci-list pv | grep -c 0000)" 0 "what the guest has"
	for bdf in $CARD; do
		is "$(cat "$DEVICES/$bdf/pciback/needs_reset")" 0 "$bdf needs a reset"
	done
	# Xl's, before it gives the first, and that of its release
	is "$(sed -n 's/.*secondary bus reset by 00:13.0 (pcie-root-port)//p' "$WORK/hardware")" \
		", 2 times" "resets of the card"
}

# xl says nothing of what pciback refuses
test_guest_refuses()
{
	give $ROOT
	echo 1 >/sys/module/xen_pciback/parameters/strict_reset
	run 5 attach pv $ROOT
	says_like "^$ROOT  none "
	says 'pciback-reset: nothing was attached'
	is "$(xl pci-list pv | grep -c 0000)" 0 "what the guest has"
	give $FIRST $NVME
	run 0 attach pv $NVME
	run 1 attach --only pv $FIRST
	says "pciback-reset: pciback does not hand out $FIRST"
	is "$(xl pci-list pv | grep -c 0000)" 1 "what the guest has"
	echo 0 >/sys/module/xen_pciback/parameters/strict_reset
	run 0 detach pv $NVME
}

# The first of a guest that has none yet
test_guest_refuses_first()
{
	give $FIRST
	echo 1 >/sys/module/xen_pciback/parameters/strict_reset
	run 1 attach --only pv $FIRST
	says "pciback-reset: pciback does not hand out $FIRST"
	echo 0 >/sys/module/xen_pciback/parameters/strict_reset
}

# event NUMBER TEXT: so many lines say that, soon after it has happened
event()
{
	for waited in $(seq 10); do
		[ "$(grep -c "$2" "$WORK/events")" -lt "$1" ] || break
		sleep 1
	done
	cp "$WORK/events" "$WORK/out"
	is "$(grep -c "$2" "$WORK/out")" "$1" "lines with '$2'"
}

# As it happens, and twice the same is two lines
test_guest_monitor()
{
	give $NVME $FIRST
	$COMMAND monitor >"$WORK/events" 2>&1 &
	monitor=$!
	$COMMAND monitor --json >"$WORK/objects" 2>&1 &
	programs=$!
	sleep 2
	$COMMAND reset $NVME >/dev/null
	event 1 "$NVME  reset      flr: ok"
	$COMMAND reset $NVME >/dev/null
	event 2 "$NVME  reset      flr: ok"
	$COMMAND attach pv $NVME >/dev/null
	event 1 "$NVME  handed out domain $domid (pv)"
	wait_for_guest 'guest: ready'
	# The one that xl asks for
	event 3 "$NVME  reset      flr: ok"
	# One that is refused: a reset, and then a hand-out
	$COMMAND reset $FIRST >/dev/null
	event 1 "$FIRST  reset      slot: blocked by $SECOND"
	event 0 refused
	echo 1 >/sys/module/xen_pciback/parameters/strict_reset
	run 1 attach --only pv $FIRST
	says "pciback-reset: pciback does not hand out $FIRST"
	echo 0 >/sys/module/xen_pciback/parameters/strict_reset
	event 1 "$FIRST  refused"
	event 1 "handed out"
	$COMMAND detach pv $NVME >/dev/null
	event 1 "$NVME  given back"
	event 4 "$NVME  reset      flr: ok"
	echo "$NVME" >"$PCIBACK/unbind"
	event 1 "$NVME  released"
	kill $monitor $programs
	wait $monitor $programs
	cp "$WORK/objects" "$WORK/out"
	is "$(grep -c "\"bdf\": \"$FIRST\", \"event\": \"refused\"" "$WORK/out")" 1 "objects: refused"
	is "$(grep -cv '^{ "time": ".*", "bdf": ".*", "event": ".*", "text": .* }$' "$WORK/out")" 0 "what is no event"
}

# What a stub domain is to libxl: the domain that a guest names as that of its device
# model, and whose target the guest is. libxl gives a function to both: to the stub domain
# through pciback, to the guest in Xen. Both end when the guest is destroyed.
test_guest_stub()
{
	give $CARD $NVME
	sed '/^name\|^memory\|^ramdisk/d' "$WORK/pv.cfg" >"$WORK/win11.cfg"
	printf 'name="win11"\nmemory=128\n' >>"$WORK/win11.cfg"
	xl create -p "$WORK/win11.cfg" >"$WORK/out" 2>&1 || problem "no guest"
	win=$(xl domid win11)
	xenstore-write "/local/domain/$win/image/device-model-domid" "$domid"
	xenstore-write "/local/domain/$domid/target" "$win"

	run 0 attach win11 $NVME $SECOND
	# In any order
	sed -i 's/devices reset:.*/devices reset: /' "$WORK/hardware"
	saw "function-level reset of 01:00.0 (nvme)" \
		"secondary bus reset by 00:13.0 (pcie-root-port)" "devices reset: "
	says "$SECOND  ok       attached to domain $win (win11)"
	is "$(xenstore-read "backend/pci/$domid/0/num_devs")" 4 "what the stub domain has"
	run 0 list
	says_like "^$FIRST  0000:04  blocked by $FIRST (assigned to domain $win)  *yes  *$win (win11)  "
	run 4 plan $FIRST
	says "$FIRST: can't be reset thoroughly: it is assigned to domain $win (win11)."
	says "    xl pci-detach $win $THIRD"
	run 4 attach pv $NVME
	says_like "win11"
	saw_nothing

	# libxl looks for it among what the guest has itself
	run 1 detach win11 $NVME
	says "$NVME  failed   still with domain $win (win11)"
	xl destroy win11 >"$WORK/out" 2>&1 || problem "xl destroy"
	domid=''
	for bdf in $CARD $NVME; do
		timeout $WAIT_S sh -c "until grep -q 0 $DEVICES/$bdf/pciback/needs_reset; do sleep 1; done" ||
			problem "$bdf needs a reset"
	done
	run 0 list
	says_not "win11"
	dequarantine
}

# As toolstacks call them: by address, or as xl calls its scripts
test_scripts()
{
	give $CARD
	XENBUS_PATH=backend/pci/77/0
	i=0
	for bdf in $CARD; do
		xenstore-write "$XENBUS_PATH/dev-$i" "$bdf"
		i=$((i + 1))
	done
	export XENBUS_PATH
	rc=0
	$SCRIPTS/pciback-attach >"$WORK/out" 2>&1 || rc=$?
	is "$rc" 0 "pciback-attach: exit status"
	says "$THIRD  ok       slot: ok"
	is "$(xenstore-read "$XENBUS_PATH/hotplug-status")" connected "the status"

	# Its guest is done with it, with nobody but the toolstack to reset it
	echo 0 >/sys/module/xen_pciback/parameters/auto_reset
	run 0 attach pv $FIRST
	wait_for_guest 'guest: ready'
	for bdf in $CARD; do
		xl pci-detach pv "$bdf" 2>/dev/null
	done
	is "$(cat "$DEVICES/$FIRST/pciback/needs_reset")" 1 "$FIRST needs a reset"
	rc=0
	"$DIR/hwtrace" $SCRIPTS/pciback-detach >"$WORK/all" 2>&1 || rc=$?
	is "$rc" 0 "pciback-detach: exit status"
	grep '^  hardware: ' "$WORK/all" >"$WORK/hardware"
	saw "secondary bus reset by 00:13.0 (pcie-root-port)" \
		"devices reset: qemu-xhci, e1000e x2"
	echo 1 >/sys/module/xen_pciback/parameters/auto_reset

	# Not to be given
	echo "$SECOND" >"$PCIBACK/unbind"
	rc=0
	$SCRIPTS/pciback-attach >"$WORK/out" 2>&1 || rc=$?
	is "$rc" 3 "pciback-attach: exit status"
	is "$(xenstore-read "$XENBUS_PATH/hotplug-status")" error "the status"
	xenstore-read "$XENBUS_PATH/hotplug-error" >"$WORK/out"
	says_like "$SECOND is not pciback's"
	xenstore-rm backend/pci/77
	unset XENBUS_PATH
	take_all
	give $FIRST $THIRD
	rc=0
	$SCRIPTS/pciback-attach $FIRST $THIRD >"$WORK/out" 2>&1 || rc=$?
	is "$rc" 4 "pciback-attach without a path: exit status"
}

# -- main ---------------------------------------------------------------------

[ "${1-}" != -t ] || TESTS=''
while [ "${1-}" = -t ]; do
	TESTS="$TESTS $2"
	shift 2
done
domid=''
hide_toolstack
# The kernel lists functions in the order in which it has found them
for bdf in $CARD; do
	echo 1 >"$DEVICES/$bdf/remove"
done
echo 1 >/sys/bus/pci/rescan
ktap_print_header
ktap_set_plan "$(echo $TESTS | wc -w)"
for test in $TESTS; do
	failed='' ALONE='' FAKES=''
	: >"$WORK/out"
	take_all
	case $test in
	guest* | scripts)
		if ! need_guest; then
			ktap_test_skip "$test"
			continue
		fi
		;;
	esac
	type "test_$test" >/dev/null || problem "there is no such test"
	"test_$test"
	rm -rf "$WORK/fakes"
	if [ -z "$failed" ]; then
		ktap_test_pass "$test"
	else
		ktap_test_fail "$test"
	fi
done
if [ -n "$domid" ]; then
	xl destroy pv
	dequarantine
fi
take_all
rmmod nvme e1000e 2>/dev/null
show_toolstack
ktap_finished
