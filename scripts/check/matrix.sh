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

	# A run that did not get as far as its summary has failed.
	sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$log" >"$MATRIX/$1.result"
	read -r passed failed skipped <"$MATRIX/$1.result" ||
		passed='-' failed=1 skipped='-'
	linux=$(upstream_version linux linux-image)
	linux=${linux:-$KERNEL}${FLAVOUR:+-$FLAVOUR}
	xen=$(upstream_version xen xen)
	xen=${xen:-$XEN}
	printf '%-14s %-7s %-4s %-8s %6s %6s %7s %3d:%02d\n' "$linux" "$xen" \
		"$DOM0" "$(kernel_suite)" "$passed" "$failed" "$skipped" \
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
# shellcheck disable=SC2086
printf '%s\n' $PAIRS | xargs -P "$JOBS" -n 1 "$0"

for pair in $PAIRS; do
	set -- "$@" "$MATRIX/$pair.result"
done
{
	echo "$made_by"
	echo
	echo 'Linux          Xen     dom0 Debian   passed failed skipped   time'
	echo '-------------- ------- ---- -------- ------ ------ ------- ------'
	cat "$@"
} >"$MATRIX/table"
cat "$MATRIX/table"
awk '{
	passed += $5
	failed += $6
	skipped += $7
}
END {
	print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
	exit failed > 0
}' "$@"
