#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# stress.sh: selftests/xen-pciback/stress.c at length, on two CPUs.
#
# MINUTES=number	how long its tasks run [60]
# SEED=number		repeat the run with this seed, which a failed run prints [random]
#
# Prints a line each half minute, and tables at the end, which are also in
# $BUILD/stress/seed-SEED, of which Documentation/admin-guide/xen-pciback/stress.txt
# is a copy.
set -eu
. "${0%/*}/../common.sh"

[ "${MINUTES:-}" ] || MINUTES=60
[ "${SEED:-}" ] || SEED=$(($(od -A n -N 2 -t u2 /dev/urandom) + 1))
STRESS=$BUILD/stress
# What comes before and after, and the last that somebody waits for
MORE=1800

mkdir -p "$STRESS"
made_by=$(made_by stress)
echo "  stress   $MINUTES minutes, SEED=$SEED"
rc=0
VM_CPUS=2 VM_ENV="STRESS_SECONDS=$((MINUTES * 60)) STRESS_SEED=$SEED" \
	VM_TIMEOUT=$((MINUTES * 60 + 2 * MORE)) LIMIT=$((MINUTES * 60 + MORE)) \
	MUTATE='' LONG='' TESTS=stress "$SCRIPT_DIR/check/check.sh" || rc=$?
{
	echo "$made_by"
	echo
	sed -n 's/ *$//; /^# # stress: *[0-9]* s: /d; s/^# # stress: //p; s/^# # \(witness: \)/\1/p' \
		"$OUT/check/check.tap"
} >"$STRESS/seed-$SEED"
echo "  in $STRESS/seed-$SEED"
# Skipped is not passed here
[ "$rc" -ne 0 ] || grep -q '^# ok 1 stress.all$' "$OUT/check/check.tap" || rc=1
exit "$rc"
