#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# trees.sh [--build]: test tree.sh with plain kernel trees and with
# stand-ins for trees whose owners change pciback: the patches in trees/ do that in the
# places where these do, alone and together. What does not merge is named, and no base
# is guessed.
# Takes some seconds; with --build what comes of each is also built for its kernel.
set -eu
. "${0%/*}/../common.sh"

DRIVER=drivers/xen/xen-pciback
FLAVOUR='' KSRC=''
export FLAVOUR KSRC
work=$BUILD/trees
PATCHES=$work/patches
export PATCHES

# new NAME KERNEL [OWNER]...: a tree
new()
{
	kernel_source "$2"
	base=$BUILD/$2/linux
	tree=$work/$1
	rm -rf "$tree"
	mkdir -p "$tree/${DRIVER%/*}"
	cp -R "$base/$DRIVER" "$tree/${DRIVER%/*}"
	shift 2
	for owner; do
		patch -s -p1 --no-backup-if-mismatch -d "$tree" <"$SCRIPT_DIR/series/trees/$owner.patch"
	done
}

# A file more, in a line of the Makefile
file()
{
	new "$1" "$2"
	printf '#include <linux/pci.h>\n' >"$tree/$DRIVER/owner.c"
	echo 'xen-pciback-y += owner.o' >>"$tree/$DRIVER/Makefile"
}

# version NUMBER: what the tree says it is
version()
{
	printf 'kernelversion:\n\t@echo %s\n' "$1" >"$tree/Makefile"
}

# Its owner changes what we change
change()
{
	sed -i 's/^\t*__pci_reset_function_locked(dev);$/& msleep(1);/' \
		"$tree/$DRIVER/pci_stub.c"
}

# changes FROM TO: the lines that only one of two trees' drivers has
changes()
{
	cat "$1"/*.[ch] "$1/Makefile" | sort >"$work/from"
	cat "$2"/*.[ch] "$2/Makefile" | sort | comm -3 "$work/from" -
}

# merged NAME KERNEL OWNER: what its owner has is still there, and all else is ours
merged()
{
	case $3 in
	file) file "$1" "$2" ;;
	both) new "$1" "$2" qubes openxt ;;
	*) new "$1" "$2" ${3:+"$3"} ;;
	esac
	changes "$base/$DRIVER" "$tree/$DRIVER" >"$work/owners"
	"$SCRIPT_DIR/series/tree.sh" "$tree" "$base"
	patch -s -p1 -d "$tree" <"$PATCHES/$1/xen-pciback-thorough-resets.patch"
	changes "$BUILD/$BASE_KERNEL/series-sources/xen-pciback" "$tree/$DRIVER" |
		diff "$work/owners" -
}

# build NAME KERNEL
build()
{
	KERNEL=$2
	kernel_headers
	build_strictly "$work/$1/$DRIVER"
}

conflict()
{
	new conflict 6.1
	change
	! "$SCRIPT_DIR/series/tree.sh" "$tree" "$base" 2>"$work/said" || return 1
	cat "$work/said"
	for place in 'static void pcistub_device_release(' 'void pcistub_put_pci_dev('; do
		grep -F "$DRIVER/pci_stub.c: $place" "$work/said"
	done
}

# Debian's source is the base of that version, and of what does not differ from it
found()
{
	new found 6.1 openxt
	version "$(KERNEL=6.1 source_version)"
	"$SCRIPT_DIR/series/tree.sh" "$tree"
	new found 6.1
	version 6.1.0
	"$SCRIPT_DIR/series/tree.sh" "$tree"
}

refused()
{
	new refused 6.1 openxt
	version 6.1.0
	! "$SCRIPT_DIR/series/tree.sh" "$tree" 2>"$work/said" || return 1
	grep 'BASE=DIR must say' "$work/said"
}

# tagged VERSION TAG: and what git has by that name is it first, also in a tree of another
# user
tagged()
{
	new tagged 6.1
	version "$1"
	cd "$tree"
	git init -q
	git add -A
	git -c user.name=nobody -c user.email=nobody@localhost commit -q -m start
	git tag "$2"
	patch -s -p1 <"$SCRIPT_DIR/series/trees/openxt.patch"
	[ "$(id -u)" -ne 0 ] || chown -R nobody .
	"$SCRIPT_DIR/series/tree.sh" "$tree"
}

# The user's own git does not matter
shielded()
{
	new shielded 6.1 openxt
	printf '[commit]\n\tgpgsign = true\n[diff]\n\tnoprefix = true\n' >"$work/gitconfig"
	GIT_CONFIG_GLOBAL=$work/gitconfig GIT_DIR=/nonexistent \
		"$SCRIPT_DIR/series/tree.sh" "$tree" "$base"
}

for each in 5.10 6.1 6.12 6.1-openxt 6.1-qubes 6.12-qubes 6.1-both 7.3-both 6.12-file; do
	kernel=${each%%-*} owner=${each#"$kernel"}
	step trees "Linux $kernel${owner:+ and ${owner#-}}" \
		merged "$each" "$kernel" "${owner#-}"
	[ "${1-}" != --build ] || step trees "  builds" build "$each" "$kernel"
done
step trees "changes that do not merge are named" conflict
step trees "the base, if it is known" found
step trees "no base, if it is not" refused
step trees "the base in git: a release" tagged 6.1.0 v6.1
step trees "the base in git: a release candidate" tagged 6.1.0-rc2 v6.1-rc2
step trees "the base in git: a stable release" tagged 6.1.7 v6.1.7
step trees "a git that is configured otherwise" shielded
