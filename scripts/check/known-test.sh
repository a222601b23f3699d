#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# known-test.sh: check that known.awk removes the known reports and nothing else. Of each file
# in reports/ no line that reports trouble (complaints) may stay; of each NAME.new all, also
# when it comes after a known one that was cut. And each line of reports/told is trouble.
set -eu
. "${0%/*}/../common.sh"

REPORTS=$SCRIPT_DIR/check/reports
failed=0

# left FILE...: what known.awk leaves of them
left()
{
	cat "$@" | mawk -f "$SCRIPT_DIR/check/known.awk"
}

trouble()
{
	grep -E -f "$SCRIPT_DIR/check/complaints"
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
	told)
		[ "$(trouble <"$report")" = "$(cat "$report")" ] || wrong "$name" "not told"
		;;
	*.new)
		trouble=$(trouble <"$report" | sort)
		[ "$(left "$report" | trouble | sort)" = "$trouble" ] ||
			wrong "$name" "not told"
		[ "$(left "$cut" "$report" | trouble | sort)" = "$trouble" ] ||
			wrong "$name" "not told after one that was cut"
		;;
	*)
		[ -e "$report.new" ] || wrong "$name" "no $name.new beside it"
		[ -z "$(left "$report" | trouble)" ] || wrong "$name" "told"
		;;
	esac
done
[ "$failed" -eq 0 ]
