#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tests.sh: build the kselftests, by the kernel's own machinery and in the
# place in its tree that they are made for, into what vm.sh -d takes:
# $BUILD/$KERNEL/selftests, which becomes /selftests in the VM; and pciback-reset.
set -eu
. "${0%/*}/common.sh"

TREE=$OUT/linux/tools/testing/selftests
INSTALLED=$OUT/selftests/selftests

build_tests()
{
	rsync -a --delete --exclude=/vm --exclude=/mutations \
		"$SELFTEST_DIR/" "$TREE/xen-pciback/"
	rm -rf "$INSTALLED"
	make -C "$TREE" TARGETS=xen-pciback FORCE_TARGETS=1 \
		KSFT_INSTALL_PATH="$INSTALLED" \
		XEN_PREFIX="$OUT/xentools/usr" KDIR="$OUT/headers/build" install
	# The command that they test, where it belongs
	rm -rf "$OUT/selftests/etc" "$OUT/selftests/usr"
	make -C "$TOP/tools/xen" DESTDIR="$OUT/selftests" install
	# Their debug information is two thirds of them
	strip -g "$INSTALLED"/xen-pciback/test_modules/*.ko
}

"$VM_DIR/fetch.sh" linux xentools
"$VM_DIR/unpack.sh" headers source xentools
step tests "kselftests, by the kernel's Makefiles" build_tests
