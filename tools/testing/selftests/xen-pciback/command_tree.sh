#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# command_tree.sh [-t TEST]: what pciback-reset says of machines that the VM is not: VMD,
# CardBus, cards with FLR on one function only, device models; and with xl and guests that
# fail or lie (fake_tree.sh).

# Lists of words, and what fake_tree.sh reads
# shellcheck disable=SC2086,SC2034

DIR=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$DIR/fake_tree.sh"

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

run_tests 'options mixed cardbus bridge_driver vmd kernel_says plan_before plan_cut
	plan_unread names_hostile list_machine domains no_answer guest_of_model reset_of_guest
	release_forged refused_unread stale_reason fail_closed waits_small detach_again
	detach_given detach_dom0 attach_undone attach_stopped attach_nothing attach_elsewhere
	weak_alone doctor report monitor completion completion_names json' "$@"
