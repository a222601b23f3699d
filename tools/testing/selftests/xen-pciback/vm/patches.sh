#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# patches.sh [KERNEL]: the change as a reviewer of the newest kernel gets it, a series of
# git format-patch with a cover letter, in $BUILD/patches; and for who keeps a tree of
# an older KERNEL one patch, in $BUILD/patches/KERNEL: it makes the driver there the
# newest one, with what that kernel lacks.
#
# It is made from what is in this repository, in a git repository of its own,
# $BUILD/$BASE_KERNEL/series: the patches of drivers/xen/xen-pciback/patches and what
# mail/files there says of the files beside them. The author is who
# MAINTAINERS names; the addresses are get_maintainer.pl's; checkpatch.pl must
# have nothing to say.
set -eu
. "${0%/*}/common.sh"

DRIVER=drivers/xen/xen-pciback
QUILT=$TOP/$DRIVER/patches
MAIL=$QUILT/mail
KERNEL=$BASE_KERNEL FLAVOUR=''
OUT=$BUILD/$KERNEL
tree=$OUT/series
older=${1-}
patches=$BUILD/patches

# The lines of a file that are not comments
lines()
{
	sed 's/[[:space:]]*#.*//; /^$/d' "$1"
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

# commit PATCH: all that has changed, with its message
commit()
{
	maintain
	git add -A
	message "$1" | git commit -q -s -F -
	# Which patch it was, for bisect.sh
	git notes add -m "$1" HEAD
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
	files=$(lines "$MAIL/files" | sed -n "s/^$name //p")
	# shellcheck disable=SC2086
	(cd "$TOP" && [ -z "$files" ] || printf '%s\n' $files) | while read -r file; do
		mkdir -p "$(dirname "$file")"
		cp -R "$TOP/$file" "$(dirname "$file")/"
	done
	case $name in
	tool)
		# Patches carry no modes, and checkpatch no such names
		chmod a-x tools/xen/pciback-reset tools/xen/scripts/*
		;;
	documentation)
		sed -i '/^   xfs$/i\   xen-pciback-reset' Documentation/admin-guide/index.rst
		;;
	selftests)
		# The machine that they run in here, and what only it runs
		for dir in vm mutations fuzz; do
			rm -r "tools/testing/selftests/xen-pciback/$dir"
		done
		sed -i '/^TARGETS += x86$/a TARGETS += xen-pciback' \
			tools/testing/selftests/Makefile
		;;
	esac
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
	GIT_AUTHOR_DATE=$(git -C "$TOP" log -1 --format=%cI)
	GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
	export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	git add -A
	git commit -q -m "Debian's Linux $KERNEL, the parts that matter here"
	git tag base

	for name in $(lines "$QUILT/series"); do
		step_of "$name"
	done
	for name in $(lines "$MAIL/files" | cut -d ' ' -f 1); do
		[ -e "$QUILT/$name" ] || step_of "$name"
	done
}

# What "make module" builds must be what the series comes to.
compare()
{
	KSRC='' "$VM_DIR/module.sh" --sources -o "$OUT/series-sources"
	for file in "$tree/$DRIVER"/*.[ch] "$tree/$DRIVER/Makefile"; do
		cmp "$file" "$OUT/series-sources/xen-pciback/$(basename "$file")"
	done
}

addresses()
{
	cd "$tree"
	git diff base -- drivers Documentation tools |
		perl scripts/get_maintainer.pl --no-tree --no-git \
			--no-git-fallback --no-rolestats
}

format()
{
	rm -rf "$patches"
	mkdir -p "$patches"
	cd "$tree"
	addresses | sed -n 's/^\(.*[^ ]@.*\)$/--cc=\1/p' >.git/cc
	set --
	while read -r cc; do
		set -- "$@" "$cc"
	done <.git/cc
	git format-patch -q -o "$patches" --cover-letter --no-signature \
		--no-notes "$@" base..main
	cover=$patches/0000-cover-letter.patch
	message "$MAIL/cover-letter" >.git/cover
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

older_driver()
{
	mkdir -p "$patches/$older"
	result=$patches/$older/xen-pciback-thorough-resets.patch
	rm -rf "$OUT/older"
	mkdir -p "$OUT/older"
	cd "$OUT/older"
	git init -q -b main
	git config user.name nobody
	git config user.email nobody@localhost
	mkdir -p "${DRIVER%/*}"
	cp -R "$BUILD/$older/linux/$DRIVER" "${DRIVER%/*}/"
	git add -A
	git commit -q -m "Debian's Linux $older"
	rm -r "$DRIVER"
	cp -R "$OUT/series-sources/xen-pciback" "${DRIVER%/*}/"
	git add -A
	{
		cat "$MAIL/older"
		echo
		echo ---
		git diff --cached --no-color
	} >"$result"
	git reset -q --hard
	patch -s -p1 --fuzz=0 --no-backup-if-mismatch <"$result"
	diff -r "$DRIVER" "$OUT/series-sources/xen-pciback"
}

checkpatch()
{
	# It looks for names in headers, which there are not.
	mkdir -p "$OUT/linux/include"
	cd "$OUT/linux"
	# The names of the states of xenbus are the kernel's: not CamelCase of ours.
	# The tests' modules are built for kernels that have no kzalloc_obj(), too.
	find "$patches" -name '0*.patch' ! -name '0000-*' | sort |
		xargs perl scripts/checkpatch.pl --root="$PWD" --no-tree \
			--strict --show-types --terse |
		grep -v 'CAMELCASE.*<XenbusState' |
		grep -v 'selftests.*ALLOC_WITH_SIZEOF' |
		grep -E '(ERROR|WARNING|CHECK):' && return 1
	return 0
}

"$VM_DIR/fetch.sh" source
"$VM_DIR/unpack.sh" source
step patches "a series for Linux $KERNEL" commits
step patches 'is what "make module" builds' compare
step patches "formatted for mail" format
if [ -n "$older" ] && [ "$older" != "$KERNEL" ]; then
	KERNEL=$older "$VM_DIR/fetch.sh" source
	KERNEL=$older "$VM_DIR/unpack.sh" source
	step patches "one for a tree of Linux $older" older_driver
fi
step patches "checkpatch --strict" checkpatch
echo "$(find "$patches" -name '*.patch' | wc -l) files in ${patches#"$TOP/"}"
