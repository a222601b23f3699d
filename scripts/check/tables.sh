#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tables.sh: print which of Documentation's tables must be made again, why, and by which
# command; nothing if all are good. The head of each says which commit has made it
# (made_by() in common.sh). A table is no longer good if
#
#	that commit is not in this history, or had uncommitted changes,
#	more than MAX_AGE commits have changed the driver since,
#	the lines of its generator that make its columns and rows have changed since.
set -eu
. "${0%/*}/../common.sh"

# Each change of the driver may change a table, but few do, and all of them take hours.
MAX_AGE=10
TESTS=tools/testing/selftests/xen-pciback
# A heading of a list-table, in a here-document
HEADING='^	+ +[*]? +- [A-Za-z]'

# lines COMMIT PATTERN FILE...: those of the files as they were then
lines()
{
	commit=$1 pattern=$2
	shift 2
	for file; do
		git show "$commit:$file" 2>/dev/null | grep -E -e "$pattern" || :
	done
}

# layout COMMIT TARGET: the lines that make the table's columns and rows
layout()
{
	case $2 in
	bench)
		lines "$1" '	goal[(]|list_table|Figure By|text\["' scripts/bench/bench.sh
		lines "$1" '	report[(]' "$TESTS/bench.c"
		lines "$1" '^	+row |^handovers ' "$TESTS/bench_xl.sh"
		;;
	check-debug | check-matrix)
		lines "$1" '^	echo .(Linux|-----)' scripts/check/matrix.sh
		lines "$1" '^ALL_PAIRS=' scripts/common.sh
		lines "$1" 'foreach f,' Makefile
		;;
	compare)
		lines "$1" "$HEADING" scripts/check/compare.sh
		lines "$1" '^compare "' "$TESTS/compare.sh"
		;;
	outcomes)
		lines "$1" "$HEADING" scripts/check/outcomes.sh
		lines "$1" '^	[{] "' "$TESTS/outcome_cases.c"
		;;
	stress)
		lines "$1" '	say[(]"' "$TESTS/stress.c"
		lines "$1" '^	(\[OP_.*=|[{] ")' "$TESTS/tasks/ops.c"
		;;
	esac
}

# why_not TARGET COMMIT: prints what is wrong with what they made, if anything is
why_not()
{
	if [ -z "$2" ]; then
		echo "does not say which commit has made it"
	elif [ "$2" != "${2%-dirty}" ]; then
		echo "was made of changes that were not committed ($2)"
	elif ! git merge-base --is-ancestor "$2" HEAD 2>/dev/null; then
		echo "was made of $2, which is not in this history"
	elif [ "$(layout "$2" "$1")" != "$(layout HEAD "$1")" ]; then
		echo "has other columns or rows than it would have now"
	else
		age=$(git rev-list --count "$2..HEAD" -- drivers)
		[ "$age" -le "$MAX_AGE" ] ||
			echo "was made $age commits to the driver ago, and $MAX_AGE may be"
	fi
}

cd "$TOP"
for table in Documentation/admin-guide/xen-pciback/*.txt; do
	# shellcheck disable=SC2046
	set -- $(sed -n '1,2s/.*Made by "make \([a-z-]*\)"\( of \([0-9a-z-]*\)\)*; .*/\1 \3/p' "$table")
	why=$(why_not "${1-}" "${2-}")
	[ -z "$why" ] || echo "$table $why: make ${1-}"
done
