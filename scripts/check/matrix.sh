#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# matrix.sh: run check.sh for each kernel with each hypervisor that it is used with, and
# print a table, which is also in $BUILD/matrix/table. A copy of it is
# Documentation/admin-guide/xen-pciback/matrix.txt; a copy of check-debug's table is
# debug.txt there.
#
# PAIRS="KERNEL-XEN ..." instead of those of common.sh, KERNEL-XEN-pvh with a PVH dom0,
# KERNEL-XEN-FLAVOUR with that kernel; JOBS of them at once, one a CPU if not said.
# Each has a folder of its own to build in, $BUILD/matrix/PAIR, and what it said is
# in $BUILD/matrix/PAIR.log.
set -eu
. "${0%/*}/../common.sh"

MATRIX=$BUILD/matrix

# upstream_version SET NAME: of a package in the VM, without what Debian adds
upstream_version()
{
	dpkg-deb -f "$(set_dir "$1")/$2"*.deb Version | sed 's/[+-].*//'
}

# one PAIR
one()
{
	KERNEL=${1%%-*} XEN=${1#*-} DOM0=pv FLAVOUR=''
	case $XEN in
	*-pvh) DOM0=pvh ;;
	*-*) FLAVOUR=${XEN#*-} ;;
	esac
	XEN=${XEN%%-*}
	export KERNEL XEN DOM0 FLAVOUR
	log=$MATRIX/$1.log
	start=$(date +%s)
	BUILD=$MATRIX/$1 "$SCRIPT_DIR/check/check.sh" >"$log" 2>&1 </dev/null || :
	kernel=$KERNEL${FLAVOUR:+-$FLAVOUR}
	seconds=$(($(date +%s) - start))

	keep_result "$log" "$MATRIX/$1.sum"
	read -r passed _ failed _ skipped _ <"$MATRIX/$1.sum"
	linux=$(upstream_version linux linux-image)
	linux=${linux:-$KERNEL}${FLAVOUR:+-$FLAVOUR}
	xen=$(upstream_version xen xen)
	xen=${xen:-$XEN}
	suite=$(kernel_suite) || suite='-'
	printf '%-14s %-7s %-4s %-8s %6s %6s %7s %3d:%02d\n' "$linux" "$xen" \
		"$DOM0" "$suite" "$passed" "$failed" "$skipped" \
		$((seconds / 60)) $((seconds % 60)) >"$MATRIX/$1.result"
	printf '  %-8s %s\n' matrix "Linux $kernel, Xen $XEN, $DOM0: $passed passed, $failed failed, $skipped skipped"
	# What failed, and why
	grep -E -B 12 -A 12 '^(# not ok|not ok)|^# the kernel complained' "$log" |
		grep -E '^(# not ok|not ok|# the kernel|#   |# # .*[.](c|sh):)' |
		sed 's/^/    /' || :
	# And what was not looked at all the time
	grep 'lockdep was off' "$log" | sed 's/^ */    /' || :
}

if [ $# -gt 0 ]; then
	one "$1"
	exit
fi

: "${PAIRS:=}" "${JOBS:=}" "${TARGET:=check-matrix}"
[ -n "$PAIRS" ] || PAIRS=$ALL_PAIRS
[ -n "$JOBS" ] || JOBS=$(nproc)

made_by=$(made_by "$TARGET")
mkdir -p "$MATRIX"
for pair in $PAIRS; do
	rm -f "$MATRIX/$pair.result" "$MATRIX/$pair.sum"
	set -- "$@" "$MATRIX/$pair"
done
# shellcheck disable=SC2086
printf '%s\n' $PAIRS | xargs -P "$JOBS" -n 1 "$0"

{
	echo "$made_by"
	echo
	echo 'Linux          Xen     dom0 Debian   passed failed skipped   time'
	echo '-------------- ------- ---- -------- ------ ------ ------- ------'
	for pair; do
		cat "$pair.result"
	done
} >"$MATRIX/table"
cat "$MATRIX/table"
for pair; do
	set -- "$@" "$pair.sum"
	shift
done
sum_results "$@"
