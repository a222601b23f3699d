# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# What all the scripts share; sourced, not run. The scripts
# start with "set -eu" and get their settings from the top Makefile through
# the environment; the defaults here allow to run one of them by hand.

# The top of the repository is above the script, wherever that is
TOP=$(cd "$(dirname "$0")" && pwd)
until [ -e "$TOP/scripts/common.sh" ]; do
	TOP=${TOP%/*}
done
SCRIPT_DIR=$TOP/scripts
SELFTEST_DIR=$TOP/tools/testing/selftests/xen-pciback
QEMU_DIR=$SELFTEST_DIR/qemu

# The kernel and the hypervisor that are taken if none is said; the Makefile has them from
# here. The machinery of kselftest is this kernel's, too, and the scripts that look at what
# is the same for all: older ones cannot build modules.
DEFAULT_KERNEL=6.12
DEFAULT_XEN=4.17

: "${KERNEL:=$DEFAULT_KERNEL}" "${FLAVOUR:=}" "${XEN:=$DEFAULT_XEN}" "${DOM0:=pv}" "${V:=}" "${BUILD:=$TOP/build}"
: "${CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/xen-pciback-reset}"

absolute()
{
	case $1 in
	/*) echo "$1" ;;
	*) echo "$PWD/$1" ;;
	esac
}

BUILD=$(absolute "$BUILD")
CACHE=$(absolute "$CACHE")

# What the tests are run on: each kernel with the hypervisors that it is used with
ALL_PAIRS='5.10-4.14 6.1-4.17 6.12-4.17 6.12-4.20 7.2-4.20 7.3-4.20 7.3-4.20-pvh'

all_kernels()
{
	echo "$ALL_PAIRS" | tr ' ' '\n' | sed 's/-.*//' | uniq
}

# The Debian that this machine runs
own_suite()
{
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# Debian's releases, in the order in which a kernel is looked for: first that of this
# machine, whose compiler is there, then from the newest that is released to the
# oldest, then what is not released. $DEBIAN says: only that one.
suites()
{
	[ -z "${DEBIAN:-}" ] || {
		echo "$DEBIAN"
		return
	}
	own=$(own_suite)
	all='trixie bookworm bullseye forky sid'
	case " $all " in
	*" $own "*) echo "$own" ;;
	esac
	echo "$all" | tr ' ' '\n' | grep -vxF "$own"
}

# cached SET: the folder of the cache with this set of $KERNEL's packages. Its name ends
# in the Debian that they are from, and the first one counts.
cached()
{
	for suite in $(suites); do
		[ ! -e "$CACHE/$1-$suite/SHA256SUMS" ] || break
	done
	echo "$CACHE/$1-$suite"
}

# The Debian that the kernel in the cache comes from, with the compiler for its modules
kernel_suite()
{
	set_dir=$(set_dir linux)
	[ -e "$set_dir/SHA256SUMS" ] || die "no Linux $KERNEL in $CACHE: run fetch.sh"
	echo "${set_dir##*-}"
}

# The Debian that a hypervisor comes from, with what else runs in the VM
xen_suite()
{
	case $1 in
	4.14) echo bullseye ;;
	4.17) echo bookworm ;;
	4.20) echo trixie ;;
	*) die "no Debian suite known for XEN=$1" ;;
	esac
}

# The driver is that of the newest kernel, which the patches are for.
BASE_KERNEL=$(cat "$TOP/drivers/xen/xen-pciback/patches/kernel")

# at_least KERNEL KERNEL: is the first one that or a later one?
at_least()
{
	[ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# The kernel of PV guests is dom0's. Not from 7.2 on: xenbus compares what xenstore said
# of a frontend's state with what the frontend has made of it since, takes that for a
# reset, and probes it once more (xenbus_dev_changed() in drivers/xen/xenbus); pciback has
# connected by then, and the guest has no functions.
guest_kernel()
{
	if at_least "$KERNEL" 7.2; then
		echo "$DEFAULT_KERNEL"
	else
		echo "$KERNEL"
	fi
}

# What is built of a kernel's source and beside Debian's own configurations: a
# flavour that has a FLAVOUR.config in qemu/. Others are Debian's, such as rt.
built_flavour()
{
	[ -n "$FLAVOUR" ] && [ -e "$QEMU_DIR/$FLAVOUR.config" ]
}

debian_flavour()
{
	built_flavour || echo "${FLAVOUR:+-$FLAVOUR}"
}

# What it is built from
kernel_configs()
{
	echo "$SELFTEST_DIR/config" "$QEMU_DIR/dom0.config" "$QEMU_DIR/$FLAVOUR.config"
}

# built_kernel: where kernel.sh keeps it, by the source and the configuration
built_kernel()
{
	# shellcheck disable=SC2046
	key=$(
		grep linux-source "$(set_dir linux)/SHA256SUMS"
		cat $(kernel_configs) "$SCRIPT_DIR/kernel.sh"
	)
	echo "$CACHE/kernel-$KERNEL-$FLAVOUR-$(echo "$key" | sha256sum | cut -c 1-12)"
}

# set_dir NAME: where fetch.sh puts a set of packages
set_dir()
{
	case $1 in
	linux) cached "linux-$KERNEL$(debian_flavour)" ;;
	source) cached "source-$KERNEL" ;;
	xen | xentools | hvm | libvirt) echo "$CACHE/$1-$XEN-$(xen_suite "$XEN")" ;;
	tools | dash | driverctl | command) echo "$CACHE/$1-$(xen_suite "$XEN")" ;;
	*) die "unknown set of packages: $1" ;;
	esac
}

# The version of $KERNEL's source in the cache
source_version()
{
	for name in linux source; do
		sums=$(set_dir "$name")/SHA256SUMS
		[ ! -e "$sums" ] ||
			sed -n 's/.*linux-source-[^_]*_\([0-9.]*\).*/\1/p' "$sums"
	done | head -n 1
}

# sources SUITE: for apt
sources()
{
	: "${DEBIAN_MIRROR:=http://deb.debian.org/debian}"
	: "${DEBIAN_SECURITY_MIRROR:=http://deb.debian.org/debian-security}"
	signed="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"

	echo "$signed $DEBIAN_MIRROR $1 main"
	case $1 in
	forky) return ;;
	sid)
		echo "$signed $DEBIAN_MIRROR experimental main"
		return
		;;
	esac
	echo "$signed $DEBIAN_MIRROR $1-updates main"
	# Gone from the mirrors once a Debian is no longer maintained
	[ "$1" = bullseye ] || echo "$signed $DEBIAN_MIRROR $1-backports main"
	echo "$signed $DEBIAN_SECURITY_MIRROR $1-security main"
}

# unshare_options: for unshare, which gives a command mounts of its own. In a chroot / is
# not a mount that could be made private.
unshare_options()
{
	[ "$(id -u)" -eq 0 ] || echo --map-root-user
	echo --mount
	mountpoint -q / || echo --propagation=unchanged
}

# kernel_source KERNEL: the parts of it that are used here, in $BUILD/KERNEL/linux
kernel_source()
{
	KERNEL=$1 FLAVOUR='' "$SCRIPT_DIR/fetch.sh" source &&
		KERNEL=$1 FLAVOUR='' "$SCRIPT_DIR/unpack.sh" source
}

# kernel_headers: those of $KERNEL, unpacked, and the compiler that they want
kernel_headers()
{
	"$SCRIPT_DIR/fetch.sh" linux
	"$SCRIPT_DIR/unpack.sh" headers
	"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)"
}

# build_strictly DIR [ARG]...: the driver that is in DIR, for $KERNEL (or with the headers
# in $HEADERS): no warning passes
build_strictly()
{
	strict_dir=$1
	shift
	"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)" \
		make -C "${HEADERS:-$BUILD/$KERNEL/headers/build}" M="$strict_dir" KCFLAGS=-Werror \
		CONFIG_XEN_PCIDEV_BACKEND=m CONFIG_DEBUG_INFO_BTF_MODULES= \
		-j"$(nproc)" "$@" modules
}

# build_vm SET...: what boot.sh wants but the driver, with these sets, and the tests
build_vm()
{
	"$SCRIPT_DIR/fetch.sh" linux xen tools dash driverctl "$@"
	"$SCRIPT_DIR/unpack.sh" vm "$@"
	"$SCRIPT_DIR/image.sh" base "$@" guest
	"$SCRIPT_DIR/tests.sh"
}

# made_by TARGET: the line at the head of a file in Documentation that is made, by which
# tables.sh finds out whether it is still good
made_by()
{
	commit=$(git -C "$TOP" rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
	git -C "$TOP" diff --quiet HEAD -- drivers scripts tools 2>/dev/null ||
		commit=$commit-dirty
	stamp=$("$SCRIPT_DIR/check/tables.sh" --stamp "$1")
	echo "Made by \"make $1\" of $commit ($stamp); do not edit."
}

# rst_head LINE: with that of made_by(), the head of one in reStructuredText
rst_head()
{
	cat <<-END
		.. SPDX-License-Identifier: GPL-2.0
		.. $1

	END
}

# keep_table FILE COMMAND [ARG]...: what COMMAND prints, in FILE and for the person
keep_table()
{
	kept=$1
	shift
	"$@" >"$kept.new"
	mv "$kept.new" "$kept"
	cat "$kept"
	echo "  in $kept"
}

# keep_result LOG FILE: the last line of what a check said, if that is its result. One that
# did not get so far, or in which nothing ran, has failed.
keep_result()
{
	tail -n 1 "$1" | grep -xE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' |
		grep -v '^0 passed, 0 failed' >"$2" || echo '0 passed, 1 failed, 0 skipped' >"$2"
}

# sum_results FILE...: of what keep_result() has kept; fails if anything did
sum_results()
{
	awk '{
		passed += $1
		failed += $3
		skipped += $5
	}
	END {
		print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
		exit failed > 0
	}' "$@"
}

# plain_git: git as it comes, for the repositories that are made here: without what the user
# has configured, such as signatures, and not in the repository that the environment names
plain_git()
{
	# shellcheck disable=SC2046
	unset $(git rev-parse --local-env-vars)
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
}

# Locales change what tools print, and TIME is nobody's business here.
export LC_ALL=C
umask 022

warn()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	warn "$@"
	exit 1
}

# lock_out: one run at a time in $OUT; what it calls may be there, too
lock_out()
{
	: "${LOCKED:=}"
	[ "$LOCKED" != "$OUT" ] || return 0
	mkdir -p "$OUT"
	exec 9>"$OUT/.lock"
	flock -n 9 || {
		warn "another run uses $OUT: waiting until it ends"
		flock 9
	}
	LOCKED=$OUT
	export LOCKED
}

# step TAG TEXT COMMAND [ARG]...: a line for the person who waits, with the
# time it took. What COMMAND prints goes to a log, shown if it fails or V=1.
step()
{
	step_tag=$1 step_text=$2
	shift 2
	mkdir -p "$BUILD/log"
	step_log=$BUILD/log/$step_tag
	step_start=$(date +%s)

	printf '  %-8s %-52s' "$step_tag" "$step_text"
	step_rc=0
	if [ -n "$V" ]; then
		echo
		step_run "$@"
	else
		step_run "$@" >"$step_log" 2>&1
	fi
	if [ "$step_rc" -ne 0 ]; then
		echo " failed"
		[ -n "$V" ] || tail -n 40 "$step_log" >&2
		[ -n "$V" ] || warn "full log: $step_log"
		exit 1
	fi
	printf ' %3d s\n' $(($(date +%s) - step_start))
}

# A subshell with its own -e: the caller's is off while its result is looked at.
step_run()
{
	set +e
	(
		set -e
		"$@"
	)
	step_rc=$?
	set -e
}

# To kbuild a space ends a path.
case $TOP$BUILD in
*[[:space:]]*) die "a path with a space: $TOP, BUILD=$BUILD" ;;
esac

[ "$KERNEL" != newest ] || KERNEL=$(KERNEL='' "$SCRIPT_DIR/fetch.sh" --newest)
export KERNEL
OUT=$BUILD/$KERNEL${FLAVOUR:+-$FLAVOUR}
