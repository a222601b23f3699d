#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# patches.sh: make series of patches for mail to the maintainers of the newest kernel, by
# git format-patch, each with a cover letter: $BUILD/patches/fixes for the stock driver,
# $BUILD/patches/resets on top of them, $BUILD/patches/command, the program for people,
# and $BUILD/patches/tests, which go with the resets to the kselftests' tree.
#
# They come from a git repository that this script makes, $BUILD/$BASE_KERNEL/series, out
# of drivers/xen/xen-pciback/patches and the files that mail/files, mail/command/files and
# mail/tests/files there list. The author is the first maintainer in MAINTAINERS; get_maintainer.pl finds
# the addresses; checkpatch.pl must report nothing. If bisect.sh has tested these patches,
# the cover letters say so.
set -eu
. "${0%/*}/../common.sh"

DRIVER=drivers/xen/xen-pciback
SELFTEST=${SELFTEST_DIR#"$TOP/"}
QUILT=$TOP/$DRIVER/patches
MAIL=$QUILT/mail
KERNEL=$BASE_KERNEL FLAVOUR=''
OUT=$BUILD/$KERNEL
tree=$OUT/series
patches=$BUILD/patches

# The lines of a file that are not comments
lines()
{
	sed 's/[[:space:]]*#.*//; /^$/d' "$1"
}

# The patches of the feature. All others are fixes.
features()
{
	lines "$MAIL/files" | cut -d ' ' -f 1
}

# parts command|tests: the patches of that series
parts()
{
	lines "$MAIL/$1/files" | sed "s,^,$1/,; s/ .*//"
}

# files_of NAME: what comes with a patch. That of the command is in tools/xen, that of
# tests in the selftest or Documentation.
files_of()
{
	{
		lines "$MAIL/files"
		lines "$MAIL/command/files" | sed 's,^,command/,; s, , tools/xen/,g'
		lines "$MAIL/tests/files" |
			sed "s,^,tests/,; s, \([^D]\), $SELFTEST/\1,g"
	} | sed -n "s,^$1 ,,p"
}

message()
{
	sed -n '/^---$/q; s/^Subject: //; p' "$1"
}

# Our entry, less the files that are not there yet, in its alphabetical place
maintain()
{
	while read -r line; do
		case $line in
		F:*)
			for file in $(echo "$line" | cut -f 2); do
				[ ! -e "$file" ] || echo "$line"
				break
			done
			;;
		*) echo "$line" ;;
		esac
	done <"$TOP/MAINTAINERS" >.entry
	if grep -q '^F:' .entry; then
		git show base:MAINTAINERS | mawk '
		NR == FNR {
			entry = entry $0 "\n"
			if (NR == 1)
				title = $0
			next
		}
		!done && started && /^[A-Z0-9]/ && !/^[A-Z]:/ && $0 > title {
			printf "%s\n", entry
			done = 1
		}
		/^3C59X/ {
			started = 1
		}
		{
			print
		}' .entry - >MAINTAINERS
	fi
	rm .entry
}

# so_far: the selftest's Makefiles, less what is not there yet
so_far()
{
	for dir in "$SELFTEST" "$SELFTEST/test_modules"; do
		[ ! -e "$dir/Makefile" ] || (
			cd "$dir"
			while IFS= read -r line; do
				# shellcheck disable=SC2016
				case $line in
				*'$('*) ;;
				TEST_*=* | GUEST_PROGS* | LIB_SRCS* | obj-m*)
					line=$(there "$line")
					;;
				esac
				case $line in
				*+=) ;;
				*) printf '%s\n' "$line" ;;
				esac
			done <"$TOP/$dir/Makefile" >Makefile
		)
	done
}

# there LINE: of what it lists; hvm_guest is made from the folder guest, and
# pciback_topology.o from topology_*.c
there()
{
	printf '%s' "${1%%=*}="
	for word in ${1#*=}; do
		stem=${word%.o}
		[ ! -e "$stem.c" ] && [ ! -e "${word#hvm_}" ] &&
			[ ! -e "${stem#pciback_}_main.c" ] || printf ' %s' "$word"
	done
	echo
}

# commit PATCH: all that has changed, with its message
commit()
{
	maintain
	git add -A
	message "$1" | git commit -q -s -F -
	# Which patch it was, for bisect.sh
	git notes add -m "$1" HEAD
}

# insert LINE i|a PLACE FILE: before or after that line, which upstream may have moved
insert()
{
	sed -i "/^$3\$/$2\\$1" "$4"
	grep -qxF "$1" "$4"
}

# step_of NAME: what a patch changes upstream, and the files of ours that come with
# it, or with the message of that name
step_of()
{
	name=$1 text=$MAIL/$1
	if [ -e "$QUILT/$name" ]; then
		text=$QUILT/$name
		patch -s -p1 --fuzz=0 --no-backup-if-mismatch <"$text"
	fi
	files=$(files_of "$name")
	# shellcheck disable=SC2086
	(cd "$TOP" && [ -z "$files" ] || printf '%s\n' $files) | while read -r file; do
		mkdir -p "$(dirname "$file")"
		cp -R "$TOP/$file" "$(dirname "$file")/"
	done
	case $name in
	guide)
		insert '   xen-pciback/index' i '   xfs' Documentation/admin-guide/index.rst
		;;
	tests/functions)
		insert 'TARGETS += xen-pciback' a 'TARGETS += x86' \
			tools/testing/selftests/Makefile
		;;
	esac
	so_far
	# Patches carry no modes, and checkpatch no such names
	[ ! -e tools/xen ] || chmod -R a-x,a+X tools/xen
	commit "$text"
}

commits()
{
	rm -rf "$tree"
	mkdir -p "$tree"
	cd "$tree"
	git init -q -b main
	cp -R "$OUT/linux/." .
	# What tests.sh has put there to build it is ours
	rm -rf tools/testing/selftests/xen-pciback
	maintainer=$(sed -n 's/^M:[[:space:]]*//p' "$TOP/MAINTAINERS" | head -n 1)
	git config user.name "${maintainer% <*}"
	git config user.email "$(echo "$maintainer" | sed 's/.*<\(.*\)>/\1/')"
	GIT_AUTHOR_DATE=$(git -c safe.directory='*' -C "$TOP" log -1 --format=%cI)
	GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
	export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	git add -A
	git commit -q -m "Debian's Linux $KERNEL, the parts that matter here"
	git tag base

	for name in $(lines "$QUILT/series" | grep -vxF "$(features)"); do
		step_of "$name"
	done
	git tag fixes
	for name in $(features); do
		step_of "$name"
	done
	git tag resets
	for name in $(parts command); do
		step_of "$name"
	done
	git tag command
	for name in $(parts tests); do
		step_of "$name"
	done
	# All of it is in some patch.
	diff -r "$TOP/$SELFTEST" "$SELFTEST"
	diff -r "$TOP/tools/xen" tools/xen
}

# added FROM TO LINES: no patch adds more of them
added()
{
	for commit in $(git rev-list "$1..$2"); do
		git diff --shortstat "$commit^" "$commit" -- . ':!Documentation/*.txt' ':!*.tsv' |
			mawk -v patch="$(git log -1 --format=%s "$commit")" -v most="$3" '
			$4 + $6 > most {
				print patch ":" $0
				exit 1
			}'
	done
}

# No patch is longer than a reviewer has patience for, apart from tables that a program
# has printed and facts; and each fix names its reproducer, its origin and stable
limits()
{
	cd "$tree"
	for commit in $(git rev-list base..fixes); do
		git log -1 --format=%B "$commit" >.git/message
		for line in Reproducer Fixes 'Cc: stable@'; do
			grep -q "^$line" .git/message || {
				echo "no $line: $(head -n 1 .git/message)"
				false
			}
		done
	done
	git rev-list --count fixes..resets | grep -xE '[0-9]|10'
	added fixes command 1000
	added command main 1800
}

# What "make module" builds must be what the series comes to.
compare()
{
	KSRC='' "$SCRIPT_DIR/module.sh" --sources -o "$OUT/series-sources"
	diff -r -x Kbuild -x 'compat*' "$tree/$DRIVER" "$OUT/series-sources/xen-pciback"
}

# addresses FROM TO
addresses()
{
	git diff "$1" "$2" -- drivers Documentation tools |
		perl scripts/get_maintainer.pl --no-tree --no-git \
			--no-git-fallback --no-rolestats
}

# What bisect.sh has done with just these
tested()
{
	if [ "$(cat "$OUT/bisect/passed" 2>/dev/null)" = "$(git log --format=%T base..main)" ]; then
		echo 'Each patch of the driver was built alone (W=1, without a warning), and passed'
		echo 'in a VM (Xen, QEMU) those of the tests that can be asked of it so far.  Each'
		echo 'patch of the tests was built without a warning, too.'
	else
		echo 'The patches were not yet tested one by one.'
	fi
}

# What "make machines" has found, in short: the first table of the guide's
machines()
{
	mawk '
	function row()
	{
		printf "  %-18s %9s %13s %13s\n", cell[1], cell[2], cell[3], cell[8]
	}
	/^   [*] - / {
		if (cells)
			row()
		cells = 0
	}
	/^   [*] - |^     - / {
		sub(/^   [* ] - /, "")
		cell[++cells] = $0
	}
	/^[.][.] list-table::/ && tables++ {
		exit
	}
	cells == 3 {
		sub(/Stock driver: strong/, "stock", cell[3])
	}
	cells == 8 {
		sub(/with its reset set: strong/, "this series", cell[8])
	}
	END {
		row()
	}' "$TOP/Documentation/admin-guide/xen-pciback/machines.txt"
}

# format NAME FROM TO: a series
format()
{
	mkdir -p "$patches/$1"
	cd "$tree"
	addresses "$2" "$3" | sed -n 's/^\(.*[^ ]@.*\)$/--cc=\1/p' >.git/cc
	[ -s .git/cc ]
	cover=$patches/$1/0000-cover-letter.patch text=$MAIL/cover-$1 range=$2..$3
	set -- -o "$patches/$1"
	while read -r cc; do
		set -- "$@" "$cc"
	done <.git/cc
	git format-patch -q --cover-letter --no-signature --no-notes "$@" "$range"
	tested >.git/tested
	machines >.git/machines
	message "$text" | sed -e '/^@TESTED@$/{' -e 'r .git/tested' -e 'd' -e '}' \
		-e '/^@MACHINES@$/{' -e 'r .git/machines' -e 'd' -e '}' >.git/cover
	mawk -v text=.git/cover '
	/\*\*\* SUBJECT HERE/ {
		getline subject <text
		sub(/\*\*\* SUBJECT HERE \*\*\*/, subject)
		getline line <text
	}
	/\*\*\* BLURB HERE/ {
		while ((getline line <text) > 0)
			print line
		next
	}
	{
		print
	}' "$cover" >"$cover.new"
	mv "$cover.new" "$cover"
}

checkpatch()
{
	# It looks for names in headers, which there are not.
	mkdir -p "$OUT/linux/include"
	cd "$OUT/linux"
	# There is no history to find commits in. MAINTAINERS has folders, and need not
	# change for each file.
	# The names of the states of xenbus are the kernel's: not CamelCase of ours.
	# The tests' modules are built for kernels that have no kzalloc_obj(), too.
	# The command is no kernel code, and what it says to people stays in one piece.
	not_kernel='PREFER_DEFINED_ATTRIBUTE_MACRO|STATIC_CONST_CHAR_ARRAY|STRCPY'
	not_kernel="$not_kernel|QUOTED_WHITESPACE_BEFORE_NEWLINE|EMBEDDED_FUNCTION_NAME"
	# Its loops name the variable more than once, as list_for_each_entry() does.
	not_kernel="$not_kernel|MACRO_ARG_REUSE|MACRO_ARG_PRECEDENCE"
	find "$patches/fixes" "$patches/resets" "$patches/command" "$patches/tests" \
		-name '0*.patch' ! -name '0000-*' | sort >"$OUT/checked"
	# It fails if it finds something, and if it cannot run. With both --terse and --quiet it
	# says a total of each patch that it has looked at.
	xargs perl scripts/checkpatch.pl --root="$PWD" --no-tree --strict --show-types \
		--terse --quiet \
		--ignore UNKNOWN_COMMIT_ID,MISSING_FIXES_TAG,FILE_PATH_CHANGES \
		<"$OUT/checked" >"$OUT/checkpatch" || :
	[ "$(grep -c '^total:' "$OUT/checkpatch")" = "$(wc -l <"$OUT/checked")" ] || {
		tail -n 5 "$OUT/checkpatch"
		echo "checkpatch.pl did not look at each of $(wc -l <"$OUT/checked") patches"
		return 1
	}
	grep -v 'CAMELCASE.*<XenbusState' "$OUT/checkpatch" |
		grep -v 'selftests.*ALLOC_WITH_SIZEOF' |
		grep -v -E "/patches/command/.*:($not_kernel|LONG_LINE_STRING):" |
		grep -v -E '/patches/tests/.*-pciback-reset.*:LONG_LINE(_STRING)?:' |
		grep -E '(ERROR|WARNING|CHECK):' && return 1
	return 0
}

plain_git
kernel_source "$KERNEL"
step patches "the series for Linux $KERNEL" commits
step patches 'are what "make module" builds' compare
step patches "what each must have, and not exceed" limits
# Not what tree.sh has made there
for dir in fixes resets command tests; do
	rm -rf "${patches:?}/$dir"
done
step patches "the fixes for mail" format fixes base fixes
step patches "the resets for mail" format resets fixes resets
step patches "the command for mail" format command resets command
step patches "their tests for mail" format tests command main
step patches "checkpatch --strict" checkpatch
for dir in fixes resets command tests; do
	echo "$(find "$patches/$dir" -name '*.patch' | wc -l) files in ${patches#"$TOP/"}/$dir"
done
