#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# guide.sh [-t PAGE]: run the commands of the guide, Documentation/admin-guide/xen-pciback.
#
# A page is a test. Its blocks "code-block:: console" run in their order: a line that begins
# with "# " is a command, any other must be in what the command above it prints ("..." stands
# for anything). A command may only fail if the block shows an error, a function that is not
# pciback's, or "NOT". A command with arguments in the running text must be the beginning of
# one in a block of any page. In the pages' comments,
#
#	.. setup: COMMAND	is run before the next block
#	.. Not run: REASON	is before a block that this machine cannot run
#	.. Only with: FILE	is before a block that is run if there is this file
#
# The guide's devices have other addresses than those of qemu/machine.sh: see here().

DIR=$(cd "$(dirname "$0")" && pwd)
# Not on any other machine, whose devices these would be
"$DIR/guard" || exit
# shellcheck source=/dev/null
. "$DIR/../kselftest/ktap_helpers.sh"
# shellcheck source=handover.sh
. "$DIR/handover.sh"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
CARD='0000:04:00.0 0000:04:00.1 0000:04:00.2'
CONSOLE=/var/log/xen/console/guest-win11.log
PARAMETERS=/sys/module/xen_pciback/parameters

# here: the guide's graphics card, its device with a broken FLR, and its network card;
# and lspci before 3.8 does not know ::03xx
here()
{
	# shellcheck disable=SC2086
	sed $old_lspci -e 's/0000:01\>/0000:04/g' -e 's/0000:03\>/0000:0a/g' -e 's/0000:05\>/0000:0b/g' \
		-e 's/nouveau/e1000e/g' -e 's/snd_hda_intel/e1000e/g'
}

old_lspci=''
lspci -d ::03xx >/dev/null 2>&1 || old_lspci='-e s/::03xx/::0300/g'

problem()
{
	echo "# $page:$number: $*"
	failed=1
}

# shows LINE: it is in the output of the last command
shows()
{
	pattern=$(echo "$1" | sed -e 's/[][*?\\]/?/g' -e 's/\.\.\./*/g' -e 's/  */ /g')
	while read -r shown; do
		# shellcheck disable=SC2254 # a pattern
		case $shown in
		$pattern) return ;;
		esac
	done <"$WORK/squeezed"
	problem "does not show: $1"
	sed 's/^/#   | /' "$WORK/out"
}

# end_command: it may only fail if the block shows that
end_command()
{
	[ "$status" -eq 0 ] || [ -n "$error_shown" ] || {
		problem "exit status $status: $command"
		sed 's/^/#   | /' "$WORK/out"
	}
	status=0
}

# run COMMAND
run()
{
	command=$1 error_shown='' status=0
	(cd "$WORK" && sh -c "$command") >"$WORK/out" 2>&1 </dev/null || status=$?
	sed 's/[ 	][ 	]*/ /g; s/^ //; s/ $//' "$WORK/out" >"$WORK/squeezed"
}

# start_guest: win11, without functions
start_guest()
{
	cat >"$WORK/guest.cfg" <<-END
		name="win11"
		type="pv"
		kernel="/guest/vmlinux"
		ramdisk="/guest/initramfs.cpio"
		extra="console=hvc0 loglevel=4 functions=0"
		memory=192
		passthrough="enabled"
	END
	rm -f "$CONSOLE"
	xl create -e "$WORK/guest.cfg" >/dev/null 2>&1
	for _ in $(seq 120); do
		! grep -q 'guest: up' "$CONSOLE" || return 0
		sleep 1
	done
	problem "the guest does not start"
}

# Nobody's again, and all as it was at boot
tidy()
{
	xl destroy win11 2>/dev/null
	sleep 1
	echo 0 >"$PARAMETERS/strict_reset"
	for path in /sys/bus/pci/drivers/pciback/*:*:*.*; do
		[ ! -e "$path" ] || pciback-reset release --only "${path##*/}"
	done >/dev/null 2>&1
	echo 0 >/sys/bus/pci/devices/0000:0b:00.0/sriov_numvfs
	rmmod nvme e1000e 2>/dev/null
	path=/sys/bus/pci/devices/0000:0a:00.0/reset_method
	[ ! -e $path ] || echo default >$path
}

# blocks PAGE: what is to be done, a line each: its number, what, and the text
blocks()
{
	awk '
	match($0, /^ *\.\. Not run: /) {
		left_out = 1
	}
	match($0, /^ *\.\. setup: /) {
		setup = setup "\n" NR " setup " substr($0, RLENGTH + 1)
	}
	match($0, /^ *\.\. Only with: /) {
		needed = substr($0, RLENGTH + 1)
	}
	/^ *\.\. code-block:: console$/ {
		print NR, "block", needed setup
		setup = needed = ""
		match($0, /^ */)
		indent = RLENGTH
		inside = 1
		next
	}
	inside && /[^ ]/ {
		match($0, /^ */)
		if (RLENGTH <= indent) {
			inside = left_out = 0
		} else if (!left_out) {
			text = substr($0, RLENGTH + 1)
			what = text ~ /^# / ? "run" : "shows"
			sub(/^# /, "", text)
			print NR, what, text
		}
	}' "$1" | here
}

# unrun: the commands in the page's text that are in no block of any page
unrun()
{
	# shellcheck disable=SC2016 # awk's
	awk '
	/^ *# / && blocks {
		sub(/^ *# /, "")
		commands[$0]
		programs[$1]
	}
	!blocks {
		text = text " " $0
	}
	END {
		while (match(text, /``[^`]+``/)) {
			command = substr(text, RSTART + 2, RLENGTH - 4)
			text = substr(text, RSTART + RLENGTH)
			gsub(/ +/, " ", command)
			if (split(command, words, " ") < 2 || !(words[1] in programs))
				continue
			found = 0
			for (known in commands)
				found += index(known, command) == 1
			if (!found)
				print command
		}
	}' blocks=1 "$DIR"/*.rst blocks='' "$1"
}

# run_page: its commands; counts them
run_page()
{
	unrun "$DIR/$page.rst" >"$WORK/unrun"
	while read -r text; do
		problem "in the text, but in no block: $text"
	done <"$WORK/unrun"
	blocks "$DIR/$page.rst" >"$WORK/blocks"
	while read -r number what text <&3; do
		[ "$what" = block ] || [ -z "$skipping" ] || continue
		case $what in
		block)
			skipping=''
			[ -z "$text" ] || [ -e "$text" ] || skipping=1
			;;
		setup)
			eval "$text" >"$WORK/out" 2>&1 </dev/null || {
				problem "setup: $text"
				sed 's/^/#   | /' "$WORK/out"
			}
			;;
		run)
			end_command
			run "$text"
			commands=$((commands + 1))
			;;
		shows)
			case $text in
			*error:* | *": is not pciback's "* | 'NOT '*) error_shown=1 ;;
			esac
			shows "$text"
			;;
		esac
	done 3<"$WORK/blocks"
	end_command
}

ktap_print_header
pages=''
for file in "$DIR"/*.rst; do
	[ -e "$file" ] || continue
	page=${file##*/}
	page=${page%.rst}
	# Those without a command are no test
	! blocks "$file" | grep -q ' run ' || pages="$pages $page"
done
[ "${1-}" != -t ] || pages=''
while [ "${1-}" = -t ]; do
	pages="$pages $2"
	shift 2
done
if [ ! -e /guest/vmlinux ]; then
	ktap_skip_all "no kernel for a guest"
	exit "$KSFT_SKIP"
fi

# shellcheck disable=SC2086
ktap_set_plan "$(echo $pages | wc -w)"
xen-start
for page in $pages; do
	failed='' status=0 commands=0 error_shown='' command='' number=0 skipping=''
	[ -e "$DIR/$page.rst" ] || problem "there is no such page"
	modprobe e1000e
	# shellcheck disable=SC2086
	(
		GUEST=win11 CONFIG=$WORK/win11.cfg
		configure $CARD
	)
	run_page
	tidy
	echo "# $page: $commands commands"
	if [ -z "$failed" ]; then
		ktap_test_pass "$page"
	else
		ktap_test_fail "$page"
	fi
done
ktap_finished
