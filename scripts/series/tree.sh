#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tree.sh [TREE [BASE]]: make one patch of the whole change for the kernel tree TREE. It is
# $PATCHES/NAME, where NAME is the name of TREE's folder and $PATCHES is $BUILD/patches. It
# makes the driver there the newest one with our patches, and adds what that kernel lacks.
#
# The tree's own changes of pciback, which are the differences between BASE and TREE, are
# kept. If they do not merge with the new driver, each place is named by file and function.
# BASE is the unmodified tree [what git has in TREE for that version, or Debian's source].
# TREE is a kernel tree [Debian's $KERNEL].
set -eu
. "${0%/*}/../common.sh"

DRIVER=drivers/xen/xen-pciback
FLAVOUR=''
export FLAVOUR
: "${PATCHES:=$BUILD/patches}"
tree=${1:+$(absolute "$1")} base=${2:+$(absolute "$2")}
name=$(basename "${tree:-$KERNEL}")
work=$BUILD/$BASE_KERNEL/merge-$name

# debian KERNEL: where its source is
debian()
{
	kernel_source "$1" || return
	debian=$BUILD/$1/linux
}

# Debian's is of one version. What another one differs in may be of a stable release,
# and not of its owner.
find_base()
{
	version=$(make -s -C "$tree" kernelversion 2>/dev/null) ||
		die "TREE=$tree is not a kernel tree"
	# A release has no third number in its tag: v6.12, v7.4-rc2. And the tree may be
	# somebody else's.
	tag=v$(echo "$version" | sed 's/^\([0-9]*\.[0-9]*\)\.0\(-rc[0-9]*\)\{0,1\}$/\1\2/')
	if git -c safe.directory='*' -C "$tree" archive -o "$work/base.tar" "$tag" $DRIVER \
		2>/dev/null; then
		base=$work/base
		mkdir "$base"
		tar -x -C "$base" -f "$work/base.tar"
		return
	fi
	KERNEL=$(echo "$version" | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')
	debian "$KERNEL" || die "BASE=DIR must say what $tree was made from"
	base=$debian
	[ "$version" = "$(source_version)" ] || unsure=$version
}

# snapshot BRANCH FROM DIR: a driver as a commit
snapshot()
{
	git checkout -q -B "$1" "$2"
	rm -rf "$DRIVER"
	mkdir -p "${DRIVER%/*}"
	cp -R "$3" $DRIVER
	git add -A
	git commit -q --allow-empty -m "$1"
}

# The line that a function, a variable or a struct begins with is what it is called
name_conflicts()
{
	git diff --name-only --diff-filter=U | while read -r file; do
		mawk -v file="$file" '
		/^<<<<<<< / {
			print file ": " (place ? place : "at its head")
		}
		/^[A-Za-z_].*[^:;]$/ {
			place = $0
		}
		/^}/ {
			sub(/^(after )?/, "after ", place)
		}' "$file"
	done | uniq
	git status --short | sed -n 's/^\(DU\|UD\) \(.*\)/\2: is gone in one, and changed in the other/p'
}

merge()
{
	cd "$work"
	git init -q -b base
	git config user.name nobody
	git config user.email nobody@localhost
	git config merge.conflictStyle diff3
	# What was built in it
	printf '%s\n' '.*' '*.o' '*.ko' '*.mod' '*.mod.c' '*.a' '*.order' >.git/info/exclude
	git commit -q --allow-empty -m start
	snapshot base HEAD "$base/$DRIVER"
	snapshot newest base "$BUILD/$BASE_KERNEL/series-sources/xen-pciback"
	snapshot owner base "$tree/$DRIVER"
	[ -z "$unsure" ] || git diff --quiet base owner ||
		die "Debian's source is not Linux $unsure: BASE=DIR must say what $tree was made from"
	# A file that is new is not another one's that is gone.
	git merge -q -X no-renames -m merged newest >.git/log 2>&1 && return
	name_conflicts >.git/conflicts
	# No conflict: something else
	[ -s .git/conflicts ] || cat .git/log
	echo "These changes of the tree's owner meet ours:"
	cat .git/conflicts
	echo "both of them: $work/$DRIVER"
	return 1
}

# Apply it as its owner will, and check that this gives what was merged.
write()
{
	cd "$work"
	mkdir -p "${result%/*}"
	{
		cat "$TOP/$DRIVER/patches/mail/older"
		echo
		echo ---
		git diff --no-color HEAD^ HEAD
	} >"$result"
	git checkout -q HEAD^
	patch -s -p1 --fuzz=0 --no-backup-if-mismatch <"$result"
	git add -A
	git diff --cached --exit-code owner
}

unsure=''
plain_git
rm -rf "$work"
mkdir -p "$work"
if [ -z "$tree" ]; then
	debian "$KERNEL" || exit
	tree=$debian base=$debian
else
	[ -n "$base" ] || find_base
fi
result=$PATCHES/$name/xen-pciback-thorough-resets.patch
for dir in "$tree" "$base"; do
	[ -e "$dir/$DRIVER/pci_stub.c" ] || die "$dir/$DRIVER: no such driver"
done
KSRC='' "$SCRIPT_DIR/module.sh" --sources -o "$BUILD/$BASE_KERNEL/series-sources"
step tree "what $name has, and the newest driver" merge
step tree "${result#"$TOP/"}" write
