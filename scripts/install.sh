#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# install.sh [uninstall]: install the module for the running kernel (KSRC=DIR: for that
# kernel) in updates/, which modprobe prefers to the kernel's own module; and the command
# with its manual page, its service and the toolstacks' scripts. Or remove all of these.
#
# DESTDIR is a prefix of all paths, PREFIX [/usr/local] of the command's paths.
set -eu
. "${0%/*}/common.sh"

: "${KSRC:=}" "${DESTDIR:=}" "${PREFIX:=/usr/local}"
[ -z "$DESTDIR" ] || DESTDIR=$(absolute "$DESTDIR")

if [ "${1-}" = uninstall ] && [ -z "$KSRC" ]; then
	# The headers may have gone since.
	release=$(uname -r)
else
	: "${KSRC:=/lib/modules/$(uname -r)/build}"
	export KSRC
	release=$(make -s -C "$KSRC" kernelrelease 2>/dev/null) ||
		die "no kernel headers to build with: $KSRC"
fi
module=$DESTDIR/lib/modules/$release/updates/xen-pciback.ko

# With DESTDIR it must be run where the module ends up.
run_depmod()
{
	[ -n "$DESTDIR" ] || depmod "$release"
}

tools()
{
	make -C "$TOP/tools/xen" OUTPUT="$BUILD/install" DESTDIR="$DESTDIR" \
		prefix="$PREFIX" "$@"
}

install_all()
{
	install -D -m 644 "$BUILD/install/xen-pciback.ko" "$module"
	run_depmod
	tools install install-man
}

uninstall_all()
{
	rm -f "$module"
	run_depmod
	tools uninstall
}

if [ "${1-}" = uninstall ]; then
	step install "out of $DESTDIR/lib/modules and $DESTDIR$PREFIX" uninstall_all
	exit
fi
"$SCRIPT_DIR/module.sh" -o "$BUILD/install"
step install "into $DESTDIR/lib/modules and $DESTDIR$PREFIX" install_all
