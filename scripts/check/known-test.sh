#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# known-test.sh: check that known.awk removes the known reports and nothing else. Of each file
# in reports/ no line that reports trouble may stay; of each NAME.new all, also when it
# comes after a known one that was cut.
set -eu
. "${0%/*}/../common.sh"

REPORTS=$SCRIPT_DIR/check/reports
TROUBLE='WARNING|BUG|vmalloc error|Call Trace|Xen call trace|DMAR:\[DMA'
failed=0

# left FILE...: what known.awk leaves of them
left()
{
	cat "$@" | mawk -f "$SCRIPT_DIR/check/known.awk"
}

wrong()
{
	warn "reports/$1: $2"
	failed=$((failed + 1))
}

cut=$(mktemp)
trap 'rm -f "$cut"' EXIT
sed '/<TASK>/q' "$REPORTS/pciehp-configure" >"$cut"

for report in "$REPORTS"/*; do
	name=${report##*/}
	case $name in
	*.new)
		trouble=$(grep -E "$TROUBLE" "$report" | sort)
		[ "$(left "$report" | grep -E "$TROUBLE" | sort)" = "$trouble" ] ||
			wrong "$name" "not told"
		[ "$(left "$cut" "$report" | grep -E "$TROUBLE" | sort)" = "$trouble" ] ||
			wrong "$name" "not told after one that was cut"
		;;
	*)
		[ -e "$report.new" ] || wrong "$name" "no $name.new beside it"
		! left "$report" | grep -qE "$TROUBLE" || wrong "$name" "told"
		;;
	esac
done
[ "$failed" -eq 0 ]
