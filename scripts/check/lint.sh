#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh [SERIES]...: run the tools that a reviewer would run, one line a check. Fails if
# any tool reports something.
#
#	checkpatch --strict	our C files and our patches
#	kernel-doc		our C files
#	get_maintainer		MAINTAINERS; that each file has a maintainer
#	codespell		all files of the repository
#	words			the same files: none of the opaque phrases in words.txt; and
#				how many sentences of more than 30 words the pages have,
#				which is no finding
#	scripts			shellcheck, every shell script
#	the command		gcc and clang with -Wextra, and clang's analyzer
#	manual page		rst2man: a warning is an error
#	documentation		the kernel's tools for it: a warning is an error
#	sizes			the patches and the README's map do not grow
#	messages		the guide explains each message of driver and command, and no
#				other one (messages.py)
#	tables.sh		Documentation's tables; how many old-tables lets be old is no
#				finding
#	kselftests		built without Xen's headers, with O=, and installed
#	kernels.sh --others	the module, for kernels that Debian lacks (if no SERIES)
#
# and for each SERIES, if not said all that the tests are run on, as many at once as
# there are CPUs:
#
#	gcc and sparse, clang	the module: nothing about our files, and no more
#				about the upstream ones than without our patches
#	tests' modules		gcc and sparse
#	coccicheck		the module, likewise; only for the newest, since the
#				sources are the same for all
#
# What was found in a module is known until something changes on which it
# depends.
set -eu
. "${0%/*}/../common.sh"

DRIVER=$TOP/drivers/xen/xen-pciback
PATCHES=$DRIVER/patches
# Whose scripts look at what is the same for all
SCRIPTS=$BUILD/$DEFAULT_KERNEL/linux
LOG=$BUILD/lint/log
mkdir -p "$LOG"
failed=0

# All of -Wextra but -Wsign-compare and -Wunused-parameter, of which the kernel's
# headers are full. -Wshadow, no part of it, would find every wait_event().
EXTRA='W=12 KCFLAGS=-Wno-shadow'
# KBUILD_CHECKSRC: from 7.2 on a script looks first whether there is a sparse, and
# the headers do not have it. Nor does Debian's sparse know that keyword.
SPARSE='C=2 KBUILD_CHECKSRC=2 CF=-D__typeof_unqual__=__typeof__'
# The headers are configured for gcc: what clang does not have is not asked for.
CLANG='CC=clang CONFIG_CC_IS_CLANG=y CONFIG_CC_IS_GCC= CONFIG_GCC_VERSION=0
	CONFIG_CC_IMPLICIT_FALLTHROUGH=-Wimplicit-fallthrough
	CONFIG_FTRACE_MCOUNT_USE_CC= CONFIG_INIT_STACK_ALL_ZERO=
	CONFIG_MITIGATION_RETHUNK= CONFIG_RETHUNK=
	CONFIG_MITIGATION_SLS= CONFIG_SLS=
	CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT= CONFIG_UBSAN_BOUNDS_STRICT='

# check NAME COMMAND...: what it prints are findings, and so is a failure
check()
{
	check_name=$1
	check_log=$LOG/$(echo "$check_name" | tr -c '[:alnum:].\n' _)
	shift
	if ("$@") >"$check_log" 2>&1 && ! [ -s "$check_log" ]; then
		check_result=ok
	else
		check_result=failed
		failed=$((failed + 1))
	fi
	# In one go: another series says something, too.
	printf '  %-8s %-52s %s%s\n' lint "$check_name" "$check_result" \
		"$(sed '1s/^/\n/' "$check_log")"
}

ours()
{
	find "$TOP/drivers" "$TOP/scripts" "$SELFTEST_DIR" -name '*.[ch]' | sort
}

patches()
{
	find "$PATCHES" -name '*.patch' | sort
}

# It wants to know the names in a kernel's headers, and keeps them in the folder
# that it runs in.
checkpatch()
{
	mkdir -p "$SCRIPTS/include"
	cd "$SCRIPTS"
	scripts/checkpatch.pl --root="$SCRIPTS" --no-tree --strict --quiet \
		--terse --show-types --no-summary "$@"
}

# What libFuzzer calls has names of its making, and so have the states of xenbus. And
# compat.h has to be clever: the sources that use it do not know of it.
check_sources()
{
	# shellcheck disable=SC2046
	checkpatch --file $(ours) |
		sed -e '/CHECK:CAMELCASE: Avoid CamelCase: <\(LLVMFuzzer\|XenbusState\)[A-Za-z]*>$/d' \
			-e '/compat.h:.*:MACRO_[A-Z_]*:/d'
}

# A program: it has no strscpy(), nor the names for attributes that the kernel has; and what
# it says to people stays in one piece. Its loops are macros, which declare what they go through.
check_command_style()
{
	checkpatch --ignore STRCPY,LONG_LINE_STRING,PREFER_DEFINED_ATTRIBUTE_MACRO \
		--ignore EMBEDDED_FUNCTION_NAME,STATIC_CONST_CHAR_ARRAY \
		--ignore QUOTED_WHITESPACE_BEFORE_NEWLINE,MACRO_ARG_REUSE,MACRO_ARG_PRECEDENCE \
		--file "$TOP"/tools/xen/*.[ch]
}

# These are files of a repository whose commits are signed off, not mails. And
# the names of xenbus' states are the kernel's: checkpatch knows no enumerators.
check_patches()
{
	# shellcheck disable=SC2046
	checkpatch --ignore MISSING_SIGN_OFF,MISSING_FIXES_TAG,UNKNOWN_COMMIT_ID \
		$(patches) |
		sed '/CHECK:CAMELCASE: Avoid CamelCase: <XenbusState[A-Za-z]*>$/d'
}

check_kernel_doc()
{
	# shellcheck disable=SC2046
	"$SCRIPTS/scripts/kernel-doc" -none -Wall $(ours)
}

# copy_repository DIR: all that was not built from it
copy_repository()
{
	rm -rf "$1"
	mkdir -p "$1"
	rsync -a --exclude=.git --exclude="${BUILD#"$TOP"}" "$TOP/" "$1/"
}

# The scripts want what else is at the top of a kernel tree, and ask git which
# files there are.
check_maintainers()
{
	tree=$BUILD/lint/maintainers
	copy_repository "$tree"
	cd "$tree" || return
	mkdir arch fs include init ipc kernel lib
	touch CREDITS Kbuild
	git init -q
	git add -f .

	"$SCRIPTS/scripts/get_maintainer.pl" --self-test
	find Documentation drivers tools -type f ! -path '*/patches/*' | sort |
		while read -r file; do
			"$SCRIPTS/scripts/get_maintainer.pl" --no-git-fallback \
				-f "$file" | grep -q . ||
				echo "$file:1: nobody maintains it"
		done

	"$SCRIPTS/scripts/parse-maintainers.pl" --order --section=/dev/null
	diff -u MAINTAINERS MAINTAINERS.new
}

# Of patches what they say and add: the rest is upstream's.
check_spelling()
{
	copy_repository "$BUILD/lint/spelling"
	cd "$BUILD/lint/spelling" || return
	find . -name '*.patch' -exec sed -i 's/^[- @].*//' {} +
	# The facts have names of their own.
	codespell --check-hidden --skip '*.tsv' .
}

# Phrases that a reader must read twice, and what to say instead: in a dictionary for
# codespell, which finds words of several parts by an expression of all of them
check_words()
{
	words=$SCRIPT_DIR/check/words.txt
	cd "$BUILD/lint/spelling" || return
	codespell --check-hidden --skip words.txt -D "$words" \
		-r "(?i:\\b($(sed 's/->.*//' "$words" | paste -s -d '|'))\\b)" .
}

# long_sentences: those of more than 30 words in what users read, a line each
long_sentences()
{
	for page in README Documentation/ABI/testing/* \
		Documentation/admin-guide/xen-pciback/*.rst tools/xen/*.rst; do
		mawk -v page="$page" '
		function sentence()
		{
			if (words > 30)
				print page ":" first ": " words " words"
			words = 0
		}
		# A blank line, a list, a directive or a table ends one, too
		/^[ \t]*$/ || /^[ \t]*([-*#|]|\.\. |[0-9]+\. |[=+-]+$|``)/ {
			sentence()
		}
		# Not a drawing, a comment or a table
		/^[ \t]*\.\. kernel-render/ {
			drawing = 1
		}
		drawing && /^[^ \t]/ && !/^\.\./ {
			drawing = 0
		}
		drawing || /^[ \t]*(#|\.\. |[=+|]|[-=]+$)/ {
			next
		}
		{
			for (i = 1; i <= NF; i++) {
				if (!words++)
					first = FNR
				if ($i ~ /[.:;?!][")]*$/)
					sentence()
			}
		}' "$TOP/$page"
	done
}

scripts()
{
	find "$TOP/.ci" "$TOP/contrib" "$TOP/debian" "$TOP/scripts" "$TOP/tools" -type f | sort | while read -r file; do
		if head -n 2 "$file" | grep -qaE '^#!/bin/sh|shellcheck shell='; then
			echo "$file"
		fi
	done
}

check_messages()
{
	KSRC='' "$SCRIPT_DIR/module.sh" --sources -o "$BUILD/lint/messages" \
		>"$LOG/messages" 2>&1 || {
		cat "$LOG/messages"
		return 1
	}
	cd "$TOP" || return
	"$SCRIPT_DIR/check/messages.py" \
		Documentation/admin-guide/xen-pciback/troubleshooting.rst \
		"$BUILD"/lint/messages/xen-pciback/*.c tools/xen/*.c
}

check_scripts()
{
	# shellcheck disable=SC2046
	shellcheck -x -P SCRIPTDIR $(scripts)
}

check_command()
{
	out=$BUILD/lint/command
	mkdir -p "$out"
	for compiler in gcc clang; do
		rm -f "$out/pciback-reset"
		make -s -C "$TOP/tools/xen" CC=$compiler CFLAGS='-O2 -Wshadow' OUTPUT="$out" \
			"$out/pciback-reset" || return
	done
	shellcheck -s bash -e SC2034 "$TOP/tools/xen/pciback-reset.bash-completion"
	# shellcheck disable=SC2046
	clang --analyze -D_GNU_SOURCE $(pkg-config --cflags libpci json-c xenstore) \
		--analyzer-output text "$TOP"/tools/xen/*.c
}

# Recipes for other distributions, as far as Debian has what reads them. rpmlint and nix say
# more than what is wrong. All have the version that the command says.
check_contrib()
{
	cd "$TOP" || return
	version=$(sed -n 's/^#define VERSION[[:space:]]*"\(.*\)"/\1/p' tools/xen/pciback-reset.c)
	grep -L -E "^(xen-pciback-reset \\(|pkgver=|  version = \"|Version: *)$version(\\)|\";)?( |\$)" \
		debian/changelog contrib/*
	rpmspec -P "$TOP/contrib/xen-pciback-reset.spec" >/dev/null
	rpmlint "$TOP/contrib/xen-pciback-reset.spec" 2>&1 | grep ' E: '
	nix-instantiate --parse "$TOP/contrib/default.nix" >"$BUILD/lint/nix" 2>&1 ||
		cat "$BUILD/lint/nix"
}

check_manual()
{
	rst2man --strict "$TOP/tools/xen/pciback-reset.rst" /dev/null
}

check_docs()
{
	"$SCRIPT_DIR/docs.sh" >"$LOG/lint-docs" 2>&1 || cat "$LOG/lint-docs"
}

# What a newcomer has to get through: the patches of the upstream driver with their
# messages, and the README's map of the folders. Prints what is longer than it may be.
check_sizes()
{
	{
		echo "3640 $(cat "$PATCHES"/*.patch | wc -l) drivers/xen/xen-pciback/patches"
		echo "15 $(sed -n '/^What is where/,/^[^ =]*``make/p' "$TOP/README" | grep -c '^    ') README"
	} | tee "$LOG/sizes" | awk '$2 > $1 { print $3 ": " $2 " lines, and " $1 " may be" }'
}

# by_kbuild ARGS DIR [--plain]: what is said about the module, built in DIR
by_kbuild()
{
	# One at a time, or they would talk at the same time
	KBUILD_ARGS="-j1 $1" V=1 "$SCRIPT_DIR/module.sh" ${3:+"$3"} -o "$2" >"$2/log" 2>&1 || {
		tail -n 40 "$2/log"
		return 1
	}
	grep -Ei '(warning|error):' "$2/log" | sed 's,.*/xen-pciback/,,' || :
}

by_gcc()
{
	by_kbuild "$EXTRA $SPARSE" "$@"
}

by_clang()
{
	by_kbuild "$EXTRA $CLANG" "$@"
}

# As scripts/coccicheck does it; on the sources that gcc was given. Two semantic
# patches want a compiler of OCaml: one is for a single driver, and what the
# other looks for (0 for NULL) is found by sparse.
by_coccinelle()
{
	mkdir "$1/sources"
	cp "$OUT/lint/by_gcc${2-}/xen-pciback"/*.[ch] "$1/sources/"
	rm "$1/sources/xen-pciback.mod.c"
	[ "${2-}" ] || cp "$SELFTEST_DIR"/test_modules/*.c "$1/sources/"
	cd "$1/sources" || return
	# shellcheck disable=SC2016
	grep -rl '^virtual report' "$OUT/linux/scripts/coccinelle" |
		xargs grep -L ':ocaml' | sort |
		xargs -P "$(nproc)" -n 1 sh -c '
			spatch --python /usr/bin/python3 -D report \
				--no-show-diff --very-quiet --cocci-file "$1" \
				$(sed -n "s,^// *Options:,,p" "$1") *.[ch]
		' sh 2>"$1/log" || {
		tail -n 40 "$1/log"
		return 1
	}
}

# What the findings in a module depend on
inputs()
{
	cat "$OUT/.unpacked-headers" "$OUT/.unpacked-source" \
		"$SCRIPT_DIR/check/lint.sh" "$SCRIPT_DIR/module.sh"
	if [ "${1-}" ]; then
		find "$DRIVER"/Kbuild "$DRIVER"/compat* -type f -exec cat {} +
	else
		find "$TOP/drivers" "$SELFTEST_DIR/test_modules" -type f -exec cat {} +
	fi
	dpkg-query -W clang coccinelle gcc sparse
}

# findings COMMAND [--plain]: to $OUT/lint/COMMAND[--plain]/findings
findings()
{
	dir=$OUT/lint/$1${2-}
	now=$(inputs ${2:+"$2"} | sha256sum)
	[ "$(cat "$dir/inputs" 2>/dev/null)" != "$now" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir"
	"$1" "$dir" ${2:+"$2"} >"$dir/said" || {
		cat "$dir/said"
		return 1
	}
	sort -u "$dir/said" >"$dir/findings"
	echo "$now" >"$dir/inputs"
}

# check_module COMMAND: the findings that there are not --plain, too, on
# whatever lines of a file
check_module()
{
	findings "$1" --plain || return
	findings "$1" || return
	awk '
		# What BUILD_BUG_ON() and READ_ONCE() are made of in 5.10
		/nested extern declaration of .*__compiletime_assert_/ { next }
		# guard(), to sparse: it knows no locks that end with their block
		/warning: context imbalance in/ { next }
		# MODULE_INFO() in 7.2, to sparse; gcc knows better
		/error: bad constant expression$/ { next }
		{
			finding = $0
			sub(/:[0-9]+:([-0-9]+:)?/, ":", finding)
			gsub(/ on line [0-9]+/, "", finding)
		}
		FILENAME == ARGV[1] { plain[finding]++; next }
		plain[finding]-- <= 0
	' "$OUT/lint/$1--plain/findings" "$OUT/lint/$1/findings"
}

check_test_modules()
{
	dir=$OUT/lint/test_modules
	rm -rf "$dir"
	mkdir -p "$OUT/lint"
	cp -R "$SELFTEST_DIR/test_modules" "$dir"
	# shellcheck disable=SC2086
	"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)" \
		make -C "$dir" KDIR="$OUT/headers/build" W=1 $SPARSE modules \
		>"$dir/log" 2>&1 || {
		tail -n 40 "$dir/log"
		return 1
	}
	# Not what make says of pahole, nor what check_module() leaves out
	grep -Ei '[.][ch]:.*(warning|error):' "$dir/log" |
		grep -v 'error: bad constant expression$' || :
}

# In a kernel's tree, on a machine without Xen's headers: they build without a warning,
# and each test that is listed is installed. check_test_modules() is for the modules.
check_selftests()
{
	tree=$BUILD/lint/selftests
	rm -rf "$tree"
	mkdir -p "$tree"
	cp -R "$BUILD/$BASE_KERNEL/linux/scripts" "$BUILD/$BASE_KERNEL/linux/tools" "$tree"
	rsync -a --delete "$SELFTEST_DIR/" "$tree/tools/testing/selftests/xen-pciback/"
	PKG_CONFIG_LIBDIR=/nonexistent make -j"$(nproc)" \
		-C "$tree/tools/testing/selftests" TARGETS=xen-pciback FORCE_TARGETS=1 \
		KDIR=/nonexistent O="$tree/out" install >"$tree/log" 2>&1 || {
		tail -n 40 "$tree/log"
		return 1
	}
	grep -Ei '(warning|error):' "$tree/log" || :

	cd "$tree/out/kselftest/kselftest_install" || return
	for name in methods guest_pv command.sh; do
		grep -x "xen-pciback:$name" kselftest-list.txt >/dev/null ||
			echo "$name is not a test"
	done
	tr : / <kselftest-list.txt | while read -r file; do
		[ -x "$file" ] || echo "$file is not installed"
	done
}

# For kernels that Debian does not have
check_others()
{
	"$SCRIPT_DIR/check/kernels.sh" --others >"$LOG/others" 2>&1 || cat "$LOG/others"
}

if [ "${1-}" = --series ]; then
	KERNEL=$2
	OUT=$BUILD/$KERNEL
	export KERNEL
	check "$KERNEL, gcc -Wextra, sparse: the module" check_module by_gcc
	check "$KERNEL, clang -Wextra: the module" check_module by_clang
	check "$KERNEL, gcc W=1, sparse: the tests' modules" check_test_modules
	[ "$KERNEL" != "$BASE_KERNEL" ] ||
		check "$KERNEL, coccicheck: the module" check_module by_coccinelle
	[ "$failed" -eq 0 ]
	exit
fi

KERNEL=$DEFAULT_KERNEL "$SCRIPT_DIR/fetch.sh" linux
KERNEL=$DEFAULT_KERNEL "$SCRIPT_DIR/unpack.sh" source
check "checkpatch --strict: our sources" check_sources
check "checkpatch --strict: our patches" check_patches
check "kernel-doc: our sources" check_kernel_doc
check "get_maintainer, parse-maintainers: MAINTAINERS" check_maintainers
check "codespell: all files" check_spelling
check "words.txt: all files" check_words
(cd "$TOP" && long_sentences) >"$LOG/long_sentences"
printf '  %-8s %-52s %s\n' lint "sentences of more than 30 words: $LOG/long_sentences" \
	"$(wc -l <"$LOG/long_sentences")"
check "shellcheck: all scripts" check_scripts
check "checkpatch --strict: the command" check_command_style
check "gcc, clang, its analyzer: the command" check_command
check "rpmspec, rpmlint, nix: the recipes in contrib" check_contrib
check "rst2man: the manual page" check_manual
check "sphinx: the documentation" check_docs
check "sizes: $(cat "$PATCHES"/*.patch | wc -l) lines of patches, the README's map" check_sizes
check "messages.py: troubleshooting.rst" check_messages
check "tables.sh: the tables of the documentation" "$SCRIPT_DIR/check/tables.sh"
printf '  %-8s %-52s %s\n' lint "tables that may be old: scripts/check/old-tables" \
	"$(grep -c '^[^#]' "$SCRIPT_DIR/check/old-tables")"

if [ $# -eq 0 ]; then
	check "gcc W=1: the driver for kernels that Debian lacks" check_others
	# The newest first: it takes longest
	# shellcheck disable=SC2046
	set -- $(all_kernels | tac)
fi
for KERNEL; do
	KERNEL=$KERNEL "$SCRIPT_DIR/fetch.sh" linux
	KERNEL=$KERNEL "$SCRIPT_DIR/unpack.sh" headers source
done
kernel_source "$BASE_KERNEL"
check "gcc: the kselftests, without Xen, with O=" check_selftests
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$0" --series || failed=1

[ "$failed" -eq 0 ]
