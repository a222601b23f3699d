#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# deb.sh [-o DIR] [-v VERSION]: build the Debian packages, into DIR [$BUILD/deb],
# and have lintian look at them.
#
# They are built from a source package that is put together here: debian/,
# the tools, and in dkms/ the driver's sources for each series of kernels that
# there are patches for, already patched, so that DKMS needs nothing else.
# The version is that of debian/changelog, or VERSION.
set -eu
. "${0%/*}/common.sh"

out=$BUILD/deb version=''
while getopts o:v: option; do
	case $option in
	o) out=$(absolute "$OPTARG") ;;
	v) version=$OPTARG ;;
	*) die "deb.sh [-o DIR] [-v VERSION]" ;;
	esac
done

assemble()
{
	rm -rf "$out"/xen-pciback-reset*
	mkdir -p "$tree/dkms" "$tree/tools"
	cp -R "$TOP/debian" "$TOP/Documentation" "$TOP/COPYING" "$tree/"
	cp -R "$TOP/tools/xen" "$tree/tools/"
	[ -z "$version" ] ||
		sed -i "1s/(.*)/($version)/" "$tree/debian/changelog"
	for series in $1; do
		cp -R "$out/sources/$series/xen-pciback" "$tree/dkms/$series"
		sed "s/@VERSION@/$(dpkg-parsechangelog -l "$tree/debian/changelog" -S Version)/" \
			"$TOP/debian/version.c.in" >"$tree/dkms/$series/version.c"
		echo 'xen-pciback-y += version.o' >>"$tree/dkms/$series/Makefile"
	done
}

build()
{
	cd "$tree"
	# -d: nothing is compiled, so it need not ask for build-essential
	dpkg-buildpackage -d -us -uc
}

look()
{
	lintian --allow-root --fail-on error,warning "$out"/*.changes
}

unset KSRC
all=$(basename -a "$TOP"/drivers/xen/xen-pciback/patches/*/ | sort -V | xargs)
for series in $all; do
	KERNEL=$series "$VM_DIR/module.sh" --sources -o "$out/sources/$series"
done
tree=$out/xen-pciback-reset
assemble "$all"
step deb "packages, for Linux $all" build
# Another version is for a test, and says nothing new.
[ -n "$version" ] || step deb "lintian" look
(cd "$out" && printf '%s\n' *.deb)
