#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tables.sh: print which of Documentation's tables must be made again, why, and by which
# command; nothing if all are good. tables.sh --stamp TARGET: print what the head of a
# table says that "make TARGET" makes now.
#
# The head names the commit that has made the table (made_by() in common.sh), and has two
# hashes: of the driver's code, and of those lines of the generator that make the table's
# columns and rows. A table is no longer good if one of the two is another one by now, or
# if its commit is not in this history, or had uncommitted changes.
#
# Some tables take hours. old-tables names those that may be old, and why.
set -eu
. "${0%/*}/../common.sh"

TESTS=tools/testing/selftests/xen-pciback
OLD=$SCRIPT_DIR/check/old-tables
# A heading of a list-table, in a here-document
HEADING='^	+ +[*]? +- [A-Za-z]'

short_hash()
{
	sha256sum | cut -c 1-12
}

# The upstream driver with our patches and files; not compat.h, which other kernels need.
# What does not change the code does not count: comments and white space.
driver()
{
	sources=$BUILD/$BASE_KERNEL/table-sources
	KSRC='' "$SCRIPT_DIR/module.sh" --sources -o "$sources" >"$BUILD/log/tables" 2>&1 || {
		cat "$BUILD/log/tables" >&2
		exit 1
	}
	for file in "$sources"/xen-pciback/*.[ch] "$sources/xen-pciback/Makefile"; do
		case $file in
		*/compat.*) ;;
		*.[ch]) gcc -fpreprocessed -dD -E -P "$file" ;;
		*) sed 's/#.*//' "$file" ;;
		esac
	done | tr -d '[:space:]' | short_hash
}

# lines PATTERN FILE...: those of the files that match
lines()
{
	grep -h -E -e "$@" || :
}

# layout TARGET: the lines that make the table's columns and rows
layout()
{
	case $1 in
	bench)
		lines '	goal[(]|list_table|Figure By|text\["' scripts/bench/bench.sh
		lines '	report[(]' "$TESTS/bench.c"
		lines '^	+row |^handovers ' "$TESTS/bench_xl.sh"
		;;
	check-debug | check-matrix)
		lines '^	echo .(Linux|-----)' scripts/check/matrix.sh
		lines '^ALL_PAIRS=' scripts/common.sh
		lines 'foreach f,' Makefile
		;;
	compare)
		lines "$HEADING" scripts/check/compare.sh
		lines '^compare "' "$TESTS/compare.sh"
		;;
	kernels)
		cat scripts/check/kernels.sh
		lines '^ALL_PAIRS=' scripts/common.sh
		;;
	machines)
		lines "$HEADING" scripts/check/machines.sh
		(cd "$TESTS" && sha256sum facts/*.tsv)
		;;
	outcomes)
		lines "$HEADING" scripts/check/outcomes.sh
		lines '^	[{] "' "$TESTS/outcome_cases.c"
		;;
	stress)
		lines '	say[(]"' "$TESTS/stress.c"
		lines '^	(\[OP_.*=|[{] ")' "$TESTS/tasks/ops.c"
		;;
	esac
}

# stamp TARGET: both hashes. What kernels lack is told by what asks for it.
stamp()
{
	[ "${driver:-}" ] || driver=$(driver)
	case $1 in
	kernels) of=$(cat "$TOP"/drivers/xen/xen-pciback/Kbuild "$TOP"/drivers/xen/xen-pciback/compat.h | short_hash) ;;
	*) of=$driver ;;
	esac
	echo "driver $of, table $(layout "$1" | short_hash)"
}

# in_history COMMIT: as far as this clone has one
in_history()
{
	[ "$(git rev-parse --is-shallow-repository)" != false ] ||
		git merge-base --is-ancestor "$1" HEAD 2>/dev/null
}

# why_not TARGET COMMIT STAMP: prints what is wrong with what they made, if anything is
why_not()
{
	now=$(stamp "$1")
	if [ -z "$3" ]; then
		echo "does not say what has made it"
	elif [ "$2" != "${2%-dirty}" ]; then
		echo "was made of changes that were not committed ($2)"
	elif ! in_history "$2"; then
		echo "was made of $2, which is not in this history"
	elif [ "${3%,*}" != "${now%,*}" ]; then
		echo "was made of another driver ($2)"
	elif [ "$3" != "$now" ]; then
		echo "has other columns or rows than it would have now ($2)"
	fi
}

# head_of FILE: "TARGET COMMIT STAMP", as far as its head says that
head_of()
{
	sed -n '1,2s/.*Made by "make \([a-z-]*\)"\( of \([0-9a-z-]*\) (\(.*\))\)*; .*/\1 \3 \4/p' "$1"
}

cd "$TOP"
mkdir -p "$BUILD/log"
if [ "${1-}" = --stamp ]; then
	stamp "$2"
	exit
fi

driver=$(driver)
for table in Documentation/admin-guide/xen-pciback/*.txt; do
	head_of "$table" | {
		read -r target commit made || :
		why=$(why_not "$target" "$commit" "$made")
		if grep -q "^${table##*/} " "$OLD"; then
			[ -n "$why" ] || echo "$table is good: old-tables need not name it"
		elif [ -n "$why" ]; then
			echo "$table $why: make $target"
		fi
	}
done
# Nor one that does not exist
sed 's/ .*//; /^#/d' "$OLD" | while read -r table; do
	[ -e "Documentation/admin-guide/xen-pciback/$table" ] ||
		echo "old-tables names $table, which does not exist"
done
