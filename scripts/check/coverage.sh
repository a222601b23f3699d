#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh: run the kselftests (check.sh, whose settings are the same here), and show
# which lines and functions of the driver they never reached, of the very binary that
# they ran with: QEMU logs the blocks that it translates. TESTS=name,... shows what these
# reach. Fails if a test does, and without TESTS if less than 98 % of the lines were
# reached, of those that the file "unreached" does not list with a reason.
#
# Each program has a VM of its own; what it has reached is left in
# $BUILD/$KERNEL/coverage.json, and of a part, or of tests that failed, in
# coverage-part.json: "make mutate" wants all of it.
set -eu
. "${0%/*}/../common.sh"

: "${TESTS:=}" "${ENOUGH:=98}"
[ -z "$TESTS" ] || ENOUGH=0
lock_out

rm -rf "$OUT/run"/check* "$OUT/check"/check*
[ -n "$TESTS" ] || rm -f "$OUT/coverage.json"
rc=0
VM_COVERAGE=1 APART=1 "$SCRIPT_DIR/check/check.sh" || rc=$?
json=$OUT/coverage.json
[ -z "$TESTS" ] && [ "$rc" -eq 0 ] || json=$OUT/coverage-part.json

"$SCRIPT_DIR/module.sh" --plain --sources -o "$OUT/plain"
set --
for tap in "$OUT"/check/check*.tap; do
	programs=$(sed -n 's/^# selftests: xen-pciback: //p' "$tap" | paste -s -d ,)
	name=$(basename "$tap" .tap)
	[ -z "$programs" ] || set -- "$@" "$programs=$OUT/run/$name/trace.log"
done
[ $# -gt 0 ] || die "no test ran"
echo
"$SCRIPT_DIR/check/coverage.py" --enough "$ENOUGH" "$OUT/xen-pciback.ko" \
	"$OUT/plain/xen-pciback" "$SCRIPT_DIR/check/unreached" "$json" "$@"
exit "$rc"
