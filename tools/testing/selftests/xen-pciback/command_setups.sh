#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# command_setups.sh [-t TEST]: pciback-reset's set-ups and what is adopted at boot, what an
# adoption does if something fails, and the way back (fake_tree.sh).

# Lists of words, and what fake_tree.sh reads
# shellcheck disable=SC2086,SC2034

DIR=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$DIR/fake_tree.sh"

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

run_tests 'boot_missing moved setup setup_only setup_unwritten setup_strict setup_empty
	undo undo_gone undo_driver records records_kept unheard undone asked' "$@"
