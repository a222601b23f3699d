#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh: what a reviewer's tools would say, one line a check. Fails if any
# has something to say.
#
#	checkpatch --strict	our C files and our patches
#	W=1, sparse		the module: nothing about our files, and no more
#				about the upstream ones than without our patches
#	test modules		the same for those of the tests
#	scripts			shellcheck, every shell script
#	manual page		rst2man: a warning is an error
set -eu
. "${0%/*}/common.sh"

"$VM_DIR/fetch.sh" linux
"$VM_DIR/unpack.sh" headers source
LOG=$BUILD/log
mkdir -p "$LOG"
failed=0

# check NAME COMMAND...: what it prints are findings, and so is a failure
check()
{
	check_name=$1
	shift
	printf '  %-8s %-52s' lint "$check_name"
	if ("$@") >"$LOG/lint" 2>&1 && ! [ -s "$LOG/lint" ]; then
		echo " ok"
	else
		echo " failed"
		cat "$LOG/lint"
		failed=$((failed + 1))
	fi
}

ours()
{
	find "$TOP/drivers" "$SELFTEST_DIR" -name '*.[ch]' | sort
}

patches()
{
	find "$TOP/drivers/xen/xen-pciback/patches" -name '*.patch' | sort
}

# It wants to know the names in a kernel's headers, and keeps them in the folder
# that it runs in.
checkpatch()
{
	mkdir -p "$OUT/linux/include"
	cd "$OUT/linux"
	scripts/checkpatch.pl --root="$OUT/linux" --no-tree --strict --quiet \
		--terse --show-types --no-summary "$@"
}

check_sources()
{
	# shellcheck disable=SC2046
	checkpatch --file $(ours)
}

# These are files of a repository whose commits are signed off, not mails. And
# the names of xenbus' states are the kernel's: checkpatch knows no enumerators.
check_patches()
{
	# shellcheck disable=SC2046
	checkpatch --ignore MISSING_SIGN_OFF $(patches) |
		sed '/CHECK:CAMELCASE: Avoid CamelCase: <XenbusState[A-Z][a-z]*>$/d'
}

# compile NAME KBUILD-ARGS [--stock]: the compiler's warnings, without places
compile()
{
	compile_log=$LOG/lint-$1
	rm -rf "$OUT/lint/$1"
	KBUILD_ARGS=$2 V=1 "$VM_DIR/module.sh" ${3:+"$3"} -o "$OUT/lint/$1" >"$compile_log" 2>&1 || {
		tail -n 40 "$compile_log"
		return 1
	}
	grep -E '(warning|error):' "$compile_log" | sed "s,.*/xen-pciback/,," |
		sort -u >"$compile_log.warnings" || :
}

# without its line number: "FILE: warning: ..."
unplaced()
{
	sed 's/^\([^:]*\):[0-9]*:\([0-9]*:\)\{0,1\}/\1:/' "$1" | sort
}

check_build()
{
	compile "$1-stock" "$2" --stock || return
	compile "$1" "$2" || return
	unplaced "$LOG/lint-$1-stock.warnings" >"$LOG/lint-before"
	unplaced "$LOG/lint-$1.warnings" | comm -13 "$LOG/lint-before" - |
		while IFS= read -r warning; do
			grep -F "$(echo "$warning" | cut -d: -f2-)" "$LOG/lint-$1.warnings" |
				grep "^$(echo "$warning" | cut -d: -f1):" || :
		done | sort -u
}

# quiet, but for what the compiler and sparse have to say
check_test_modules()
{
	rm -rf "$OUT/lint/test_modules"
	mkdir -p "$OUT/lint"
	cp -R "$SELFTEST_DIR/test_modules" "$OUT/lint/test_modules"
	"$VM_DIR/chroot.sh" "$(kernel_suite "$KERNEL")" \
		make -s -C "$OUT/lint/test_modules" KDIR="$OUT/headers/build" \
		W=1 C=2 CF=-D__CHECK_ENDIAN__ modules
}

scripts()
{
	find "$TOP/.ci" "$TOP/tools" -type f | sort | while read -r file; do
		if head -n 2 "$file" | grep -qaE '^#!/bin/sh|shellcheck shell='; then
			echo "$file"
		fi
	done
}

check_scripts()
{
	# shellcheck disable=SC2046
	shellcheck -x -P SCRIPTDIR $(scripts)
}

check_manual()
{
	rst2man --strict "$TOP/tools/xen/pciback-reset.rst" "$OUT/lint/pciback-reset.8"
}

check "checkpatch --strict: our sources" check_sources
check "checkpatch --strict: our patches" check_patches
check "W=1: the module's build" check_build w1 "W=1"
check "sparse: the module's build" check_build sparse "C=2 CF=-D__CHECK_ENDIAN__"
check "W=1, sparse: the tests' modules" check_test_modules
check "shellcheck: all scripts" check_scripts
check "rst2man: the manual page" check_manual

[ "$failed" -eq 0 ]
