#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# patches.sh: the change as a reviewer of $KERNEL gets it, a series of git
# format-patch with a cover letter, in $BUILD/patches/$KERNEL.
#
# It is made from what is in this repository, in a git repository of its own,
# $BUILD/$KERNEL/series: the patches of drivers/xen/xen-pciback/patches/$KERNEL
# and what stages/ there says of the files beside them. The author is who
# MAINTAINERS names; the addresses are get_maintainer.pl's; checkpatch.pl must
# have nothing to say.
set -eu
. "${0%/*}/common.sh"

DRIVER=drivers/xen/xen-pciback
QUILT=$TOP/$DRIVER/patches/$KERNEL
STAGES=$TOP/$DRIVER/stages
tree=$OUT/series
patches=$BUILD/patches/$KERNEL

# The lines of a file that are not comments
lines()
{
	sed 's/[[:space:]]*#.*//; /^$/d' "$1"
}

# Has it a patch, or only a message?
has_patch()
{
	[ -e "$1" ] && grep -q '^+++ ' "$1"
}

apply()
{
	! has_patch "$1" || patch -s -p1 --fuzz=0 --no-backup-if-mismatch <"$1"
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

# For each stage: what it changes upstream, the files of ours that begin, and
# those that go on. A file is as it is at last, less what later stages add.
stage()
{
	name=$1
	shift
	apply "$QUILT/$name.patch"
	for file; do
		case $file in
		*/*)
			mkdir -p "$(dirname "$file")"
			cp -R "$TOP/$file" "$(dirname "$file")/"
			;;
		compat.h)
			# Not for kernels whose patches do not include it
			! grep -q compat.h "$QUILT/$name.patch" ||
				cp "$first/$file" "$DRIVER/"
			;;
		*) cp "$first/$file" "$DRIVER/" ;;
		esac
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
	apply "$STAGES/$name.patch"
	if [ -e "$QUILT/$name.patch" ]; then
		commit "$QUILT/$name.patch"
	else
		commit "$STAGES/$name.patch"
	fi
}

# Our own files as each of them begins: without what stages add, last first
first_versions()
{
	rm -rf "$first"
	mkdir -p "$first"
	cp "$TOP/$DRIVER"/*.[ch] "$first/"
	for name in $(lines "$STAGES/series" | cut -d ' ' -f 1 | tac); do
		! has_patch "$STAGES/$name.patch" ||
			patch -s -R -p4 --fuzz=0 --no-backup-if-mismatch \
				-d "$first" <"$STAGES/$name.patch"
	done
}

commits()
{
	rm -rf "$tree"
	mkdir -p "$tree"
	cd "$tree"
	first=$OUT/series/.git/first
	git init -q -b main
	first_versions
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

	for patch in $(lines "$QUILT/series"); do
		[ "$patch" != share.patch ] || break
		apply "$QUILT/$patch"
		commit "$QUILT/$patch"
	done
	lines "$STAGES/series" | while read -r name files; do
		# shellcheck disable=SC2086
		stage "$name" $files
	done
}

# What "make module" builds must be what the series comes to.
compare()
{
	"$VM_DIR/module.sh"
	for file in "$tree/$DRIVER"/*.[ch] "$tree/$DRIVER/Makefile"; do
		cmp "$file" "$OUT/xen-pciback/$(basename "$file")"
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
	message "$STAGES/cover-letter.patch" >.git/cover
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

# OpenXT's kernel has another change of its own in the same file: a file
# "restrictive", beside "permissive". Lines where that has some, to try.
neighbour()
{
	sed -i -e '/^static ssize_t permissive_store/i static int set_policy;' \
		-e '/^static DRIVER_ATTR_RW(permissive);/a static int restrictive;' \
		-e '/driver_remove_file(.*driver_attr_quirks)/a\	restrictive = 0;' \
		-e '/^[[:space:]]*&driver_attr_permissive);$/a\	restrictive = 1;' \
		"$1/pci_stub.c"
}

# All in one patch for a quilt series, which applies beside that change, too
openxt()
{
	mkdir -p "$patches/openxt"
	result=$patches/openxt/xen-pciback-thorough-resets.patch
	last=$(git -C "$tree" rev-list base..main -- $DRIVER | head -n 1)
	{
		cat "$STAGES/openxt.patch"
		echo
		echo ---
		git -C "$tree" diff --no-color base "$last" -- $DRIVER
	} >"$result"
	for with in '' neighbour; do
		rm -rf "$OUT/openxt"
		mkdir -p "$OUT/openxt"
		cp -R "$OUT/linux/drivers" "$OUT/openxt/"
		[ -z "$with" ] || {
			$with "$OUT/openxt/$DRIVER"
			[ "$(diff -U0 "$OUT/linux/$DRIVER/pci_stub.c" \
				"$OUT/openxt/$DRIVER/pci_stub.c" | grep -c '^+[^+]')" -eq 5 ]
		}
		patch -s -p1 --fuzz=0 --no-backup-if-mismatch -d "$OUT/openxt" <"$result"
	done
}

checkpatch()
{
	# The one of lint.sh: what it asks for must be in all kernels. It looks for names
	# in headers, which there are not.
	mkdir -p "$BUILD/6.12/linux/include"
	cd "$BUILD/6.12/linux"
	# The names of the states of xenbus are the kernel's: not CamelCase of ours
	find "$patches" -name '0*.patch' ! -name '0000-*' | sort |
		xargs perl scripts/checkpatch.pl --root="$PWD" --no-tree \
			--strict --show-types --terse |
		grep -v 'CAMELCASE.*<XenbusState' |
		grep -E '(ERROR|WARNING|CHECK):' && return 1
	return 0
}

[ -e "$QUILT/series" ] || die "no patches for Linux $KERNEL"
"$VM_DIR/fetch.sh" linux
"$VM_DIR/unpack.sh" source
KERNEL=6.12 "$VM_DIR/fetch.sh" linux
KERNEL=6.12 "$VM_DIR/unpack.sh" source
step patches "a series for Linux $KERNEL" commits
step patches 'is what "make module" builds' compare
step patches "formatted for mail" format
[ "$KERNEL" != 6.1 ] || step patches "one for OpenXT's quilt series" openxt
step patches "checkpatch --strict" checkpatch
echo "$(find "$patches" -name '*.patch' | wc -l) files in ${patches#"$TOP/"}"
