#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# deb.sh [-o DIR] [-v VERSION]: build the Debian packages, into DIR [$BUILD/deb],
# and have lintian look at them.
#
# They are built from a source package that is put together here: debian/,
# the tools, and in dkms/ the driver's sources, already patched, so that DKMS needs
# nothing else.
# The version is that of debian/changelog, or VERSION.
set -eu
. "${0%/*}/../scripts/common.sh"

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
	mkdir -p "$tree/tools"
	cp -R "$TOP/debian" "$TOP/Documentation" "$TOP/COPYING" "$tree/"
	cp -R "$TOP/tools/xen" "$tree/tools/"
	[ -z "$version" ] ||
		sed -i "1s/(.*)/($version)/" "$tree/debian/changelog"
	cp -R "$out/sources/xen-pciback" "$tree/dkms"
	sed "s/@VERSION@/$(dpkg-parsechangelog -l "$tree/debian/changelog" -S Version)/" \
		"$TOP/debian/version.c.in" >"$tree/dkms/version.c"
	echo 'xen-pciback-y += version.o' >>"$tree/dkms/Kbuild"
}

build()
{
	cd "$tree"
	# -d: deps.sh has seen to it, without all of build-essential
	dpkg-buildpackage -d -us -uc
}

look()
{
	lintian --allow-root --fail-on error,warning "$out"/*.changes
}

unset KSRC
"$SCRIPT_DIR/module.sh" --sources -o "$out/sources"
tree=$out/xen-pciback-reset
assemble
step deb "packages" build
# Another version is for a test, and says nothing new.
[ -n "$version" ] || step deb "lintian" look
(cd "$out" && printf '%s\n' *.deb)
