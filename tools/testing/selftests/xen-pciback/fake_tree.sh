# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# pciback-reset on a machine of files below $ROOT, with its PCI functions below $PCI: for
# command_tree.sh, command_uses.sh and command_setups.sh, which set DIR.
#
# With COMMAND=FILE these run anywhere, without Xen and without root, and TERMINAL=FILE is the
# program of terminal.c. Otherwise they run only in the VM, as all the tests here. The
# completion is that of the sources, or else the one that is installed.

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

# -- what it says -------------------------------------------------------------

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

# -- the machine --------------------------------------------------------------

# add BDF ABOVE CLASS ID [DRIVER]: a function; ABOVE is its bridge, or pci0000:00
add()
{
	case $2 in
	pci*) above=$ROOT/sys/devices/$2 ;;
	*) above=$(readlink -f "$PCI/devices/$2") ;;
	esac
	path=$above/$1
	mkdir -p "$path" "$PCI/devices" "$PCI/drivers"
	echo "0x$3" >"$path/class"
	echo "0x${4%:*}" >"$path/vendor"
	echo "0x${4#*:}" >"$path/device"
	echo '(null)' >"$path/driver_override"
	case $3 in
	0604* | 0607*)
		echo 1 >"$path/secondary_bus_number"
		echo 1 >"$path/subordinate_bus_number"
		;;
	esac
	ln -s "../../../${path#"$ROOT/sys/"}" "$PCI/devices/$1"
	[ -z "${5-}" ] || bind "$1" "$5"
}

# As the kernel does it
bind()
{
	mkdir -p "$PCI/drivers/$2"
	rm -f "$PCI/devices/$1/driver"
	ln -s "../../../../bus/pci/drivers/$2" "$PCI/devices/$1/driver"
	: >"$PCI/drivers/$2/bind"
	: >"$PCI/drivers/$2/unbind"
	[ "$2" != pciback ] || {
		mkdir -p "$PCI/devices/$1/pciback"
		echo none >"$PCI/devices/$1/pciback/last_reset"
		echo "${3:-flr}" >"$PCI/devices/$1/pciback/reset_plan"
		echo 1 >"$PCI/devices/$1/pciback/needs_reset"
		echo default >"$PCI/devices/$1/pciback/strict"
	}
}

# methods BDF METHOD...
methods()
{
	path=$PCI/devices/$1
	shift
	echo "$*" >"$path/reset_method"
	: >"$path/reset"
}

# A graphics card; and a network card beside a disk controller on a conventional bus
machine()
{
	rm -rf "${WORK:?}/root" "${WORK:?}/bin"
	mkdir -p "$WORK/bin" "$ROOT/proc/self" "$ROOT/etc/default" "$ROOT/dev" \
		"$PCI/drivers/pciback" "$ROOT/run" "$ROOT/sys/class/net" "$ROOT/sys/class/block" \
		"$ROOT/sys/devices/virtual/net/lo"
	echo 0x9 >"$ROOT/sys/devices/virtual/net/lo/flags"
	ln -s ../../devices/virtual/net/lo "$ROOT/sys/class/net/lo"
	: >"$PCI/drivers/pciback/reset_device"
	: >"$PCI/drivers/pciback/do_flr"
	: >"$PCI/drivers_probe"
	: >"$ROOT/proc/swaps"
	: >"$ROOT/proc/self/mountinfo"
	add 0000:00:01.0 pci0000:00 060400 8086:1901 pcieport
	add 0000:01:00.0 0000:00:01.0 030000 10de:1b80 nouveau
	add 0000:01:00.1 0000:00:01.0 040300 10de:10f0 snd_hda_intel
	add 0000:00:02.0 pci0000:00 060400 8086:1905 pcieport
	add 0000:02:00.0 0000:00:02.0 060400 1283:8892
	add 0000:03:00.0 0000:02:00.0 020000 8086:100e e1000
	add 0000:03:01.0 0000:02:00.0 010601 1b4b:9130 ahci
	methods 0000:01:00.0 pm
}

# numbered block|char MAJOR:MINOR: the device whose folder is $path
numbered()
{
	mkdir -p "$ROOT/sys/dev/$1"
	echo "$2" >"$path/dev"
	ln -s "../../${path#"$ROOT/sys/"}" "$ROOT/sys/dev/$1/$2"
}

# add_node NAME: below /dev, of the device whose folder is $path
add_node()
{
	echo "DEVNAME=$1" >"$path/uevent"
	mkdir -p "$(dirname "$ROOT/dev/$1")"
	: >"$ROOT/dev/$1"
}

# disk BDF NAME MAJOR:MINOR: below a function; of "" it is virtual
disk()
{
	if [ -n "$1" ]; then
		path=$(readlink -f "$PCI/devices/$1")/block/$2
	else
		path=$ROOT/sys/devices/virtual/block/$2
	fi
	mkdir -p "$path/holders"
	add_node "$(echo "$2" | tr '!' /)"
	ln -s "../../${path#"$ROOT/sys/"}" "$ROOT/sys/class/block/$2"
	numbered block "$3"
}

# mounted MAJOR:MINOR WHERE WHAT
mounted()
{
	printf '30 1 %s / %s rw,noatime shared:1 - ext4 %s rw\n' "$@" >>"$ROOT/proc/self/mountinfo"
}

# node BDF CLASS NAME MAJOR:MINOR: a device of another class below a function; of "" it is
# virtual
node()
{
	if [ -n "$1" ]; then
		path=$(readlink -f "$PCI/devices/$1")/$2/$3
	else
		path=$ROOT/sys/devices/virtual/$2/$3
	fi
	mkdir -p "$path"
	case $2 in
	vfio) add_node "vfio/$3" ;;
	*) add_node "$3" ;;
	esac
	numbered char "$4"
}

# opened FILE PROGRAM: by a process
opened()
{
	mkdir -p "$ROOT/proc/77/fd"
	echo "$2" >"$ROOT/proc/77/comm"
	ln -s "$1" "$ROOT/proc/77/fd/5"
}

# domain NUMBER NAME [KEY VALUE]...
domain()
{
	node=$ROOT/xenstore/local/domain/$1
	mkdir -p "$node"
	echo "$2" >"$node/name"
	shift 2
	while [ $# -gt 0 ]; do
		echo "$2" >"$node/$1"
		shift 2
	done
}

# toolstack: an xl that attaches and detaches, but for the ones that are in
# $WORK/fails, a line each, as "pci-attach 3 0000:01:00.0"
toolstack()
{
	: >"$WORK/fails"
	cat >"$WORK/bin/xl" <<-END
		#!/bin/sh
		! grep -qx "\$*" "$WORK/fails" || exit 1
		node=$ROOT/xenstore/local/domain/0/backend/pci/\$2/0
		number=0
		case \$1 in
		pci-attach)
			mkdir -p "\$node" "$ROOT/sys/bus/xen-backend/devices/pci-\$2-0"
			while [ -e "\$node/dev-\$number" ]; do
				number=\$((number + 1))
			done
			echo 4 >"\$node/state"
			echo "\$3" >"\$node/dev-\$number"
			echo 3 >"\$node/state-\$number"
			;;
		pci-detach)
			rm "\$(grep -lx "\$3" "\$node"/dev-*)"
			;;
		esac
	END
	chmod 755 "$WORK/bin/xl"
}

# backend DOMAIN STATE BDF...: they are handed out
backend()
{
	node=$ROOT/xenstore/local/domain/0/backend/pci/$1/0
	mkdir -p "$node" "$ROOT/sys/bus/xen-backend/devices/pci-$1-0"
	echo "$2" >"$node/state"
	shift 2
	number=0
	for bdf; do
		echo "$bdf" >"$node/dev-$number"
		echo 3 >"$node/state-$number"
		number=$((number + 1))
	done
}

# kernel BDF...: it binds them to pciback, when it is asked to
kernel()
{
	for bdf; do
		bind "$bdf" pciback
	done
}

# -- main ---------------------------------------------------------------------

# run_tests TESTS [-t TEST]...: those, or only these
run_tests()
{
	tests=$1
	shift
	[ "${1-}" != -t ] || tests=''
	while [ "${1-}" = -t ]; do
		tests="$tests $2"
		shift 2
	done
	ktap_print_header
	ktap_set_plan "$(echo "$tests" | wc -w)"
	for test in $tests; do
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
}
