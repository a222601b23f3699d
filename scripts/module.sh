#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# module.sh [--stock | --plain] [--sources] [-o DIR] [PATCH]...: build DIR/xen-pciback.ko
#
# The driver is the upstream one of the newest kernel ($BASE_KERNEL), from Debian's
# source, with the patches of drivers/xen/xen-pciback/patches, the files beside them, and
# each PATCH on top. It is built for $KERNEL with the compiler of that kernel's Debian.
# The sources remain in DIR/xen-pciback/. DIR is $BUILD/$KERNEL, or stock/ there.
#
#	--stock		$KERNEL's own driver, without our patches and files
#	--plain		the newest driver, with only what $KERNEL needs to build it
#	--sources	do not build
#
# KSRC=TREE builds for that kernel tree or those headers instead (--stock: the driver of
# that tree, if it has the sources).
# KBUILD_ARGS are more arguments for kbuild (C=2, W=1).
#
# Built again only if something has changed.
set -eu
. "${0%/*}/common.sh"

: "${KSRC:=}" "${KBUILD_ARGS:=}"
OURS=$TOP/drivers/xen/xen-pciback

# The series of a tree: the first two numbers of its version
series_of()
{
	version=$(make -s -C "$1" kernelversion 2>/dev/null) ||
		die "KSRC=$1 is not a kernel tree, nor headers to build with"
	echo "$version" | sed -n 's/^\([0-9]*\.[0-9]*\).*/\1/p'
}

# apply PATCH: to $sources. No fuzz: a patch that needs some is looked at by a
# person first. Only for the driver's folder, which is all there is here.
apply()
{
	if sed -n 's,^[-+][-+][-+] [ab]/\([^	]*\).*,\1,p' "$1" |
		grep -v '^drivers/xen/xen-pciback/'; then
		die "$1 is not (only) for drivers/xen/xen-pciback"
	fi
	echo "applying ${1#"$TOP/"}"
	patch --fuzz=0 --no-backup-if-mismatch -s -p4 -d "$sources" <"$1"
}

series()
{
	sed 's/[[:space:]]*#.*//; s/ -p1$//; /^$/d' "$patches/series"
}

# What the result depends on, by content.
inputs()
{
	cat "$headers/.config" "$headers/Makefile" "$SCRIPT_DIR/module.sh"
	cat "$upstream"/*.[ch] "$upstream/Makefile"
	[ -n "$stock" ] || cat "$OURS"/*.[ch] "$OURS/Kbuild" "$OURS"/compat/*/*.h
	[ -n "$stock$plain" ] || series | (cd "$patches" && xargs cat)
	[ $# -eq 0 ] || cat "$@"
	echo "$headers $KBUILD_ARGS"
}

prepare()
{
	rm -rf "$sources" "$out/xen-pciback.ko"
	mkdir -p "$sources"
	cp "$upstream"/*.[ch] "$upstream/Makefile" "$sources/"
	[ -n "$stock" ] || cp -R "$OURS/Kbuild" "$OURS"/compat* "$sources/"
	if [ -z "$stock$plain" ]; then
		cp "$OURS"/*.[ch] "$sources/"
		for patch in $(series); do
			apply "$patches/$patch"
		done
	fi
	for patch; do
		apply "$patch"
	done
}

build()
{
	prepare "$@"
	# Type information for BPF would need pahole, and nothing here uses it.
	# shellcheck disable=SC2086
	$toolchain make -C "$headers" M="$sources" CONFIG_XEN_PCIDEV_BACKEND=m \
		CONFIG_DEBUG_INFO_BTF_MODULES= -j"$(nproc)" $KBUILD_ARGS modules
	cp "$sources/xen-pciback.ko" "$out/"
}

stock='' plain='' only_sources='' out=''
while [ $# -gt 0 ]; do
	case $1 in
	--stock) stock=1 ;;
	--plain) plain=1 ;;
	--sources) only_sources=1 ;;
	-o) shift && out=$(absolute "$1") ;;
	-*) die "unknown option: $1" ;;
	*) break ;;
	esac
	shift
done

if [ -n "$KSRC" ]; then
	headers=$(absolute "$KSRC")
	KERNEL=$(series_of "$headers")
	[ -n "$stock" ] || at_least "$KERNEL" 5.10 ||
		die "KSRC=$KSRC is Linux $KERNEL, and the driver is for 5.10 or later"
	[ -n "$only_sources" ] || ! grep -qs '^CONFIG_XEN_PCIDEV_BACKEND=y' "$headers/.config" ||
		die "KSRC=$KSRC has xen-pciback built in, and no module can take its place"
	OUT=$BUILD/$KERNEL
	toolchain=''
elif [ -z "$only_sources" ]; then
	kernel_headers
	headers=$OUT/headers/build
	toolchain="$SCRIPT_DIR/chroot.sh $(kernel_suite)"
fi

patches=$OURS/patches
if [ -n "$stock" ] && [ -n "$KSRC" ] &&
	[ -e "$headers/drivers/xen/xen-pciback/pci_stub.c" ]; then
	upstream=$headers/drivers/xen/xen-pciback
else
	[ -n "$stock" ] && of=$KERNEL || of=$BASE_KERNEL
	kernel_source "$of"
	upstream=$BUILD/$of/linux/drivers/xen/xen-pciback
fi

[ -n "$out" ] || out=$OUT${stock:+/stock}
sources=$out/xen-pciback
mkdir -p "$out"
if [ -n "$only_sources" ]; then
	step module "sources of the driver" prepare "$@"
	exit
fi
stamp=$out/.xen-pciback.inputs
now=$(inputs "$@" | sha256sum)
if [ ! -e "$out/xen-pciback.ko" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$now" ]; then
	rm -f "$stamp"
	step module "${out#"$TOP/"}/xen-pciback.ko" build "$@"
	echo "$now" >"$stamp"
fi
