#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tests.sh: build the kselftests, by the kernel's own machinery and in the
# place in its tree that they are made for, into what boot.sh -d takes:
# $BUILD/$KERNEL/selftests, which becomes /selftests in the VM; and pciback-reset.
#
# The machinery is that of one series, whatever kernel runs in the VM. The
# programs are built where the hypervisor comes from, with its libraries; the
# modules where the kernel comes from.
set -eu
. "${0%/*}/common.sh"

TREE=$BUILD/$DEFAULT_KERNEL/linux/tools/testing/selftests
INSTALLED=$OUT/selftests/selftests

build_tests()
{
	rsync -a --delete "$SELFTEST_DIR/" "$TREE/xen-pciback/"
	# The guide is where the tests look for it, in the same tree
	rsync -a --delete "$TOP/Documentation/admin-guide/xen-pciback" \
		"$BUILD/$DEFAULT_KERNEL/linux/Documentation/admin-guide/"
	rm -rf "$INSTALLED"
	"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)" \
		make -C "$TREE/xen-pciback/test_modules" KDIR="$OUT/headers/build"
	# There is nothing in KDIR: the modules are built.
	"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")" \
		make -C "$TREE" TARGETS=xen-pciback FORCE_TARGETS=1 \
		KSFT_INSTALL_PATH="$INSTALLED" SLOWER="$slower" \
		XEN_PREFIX="$OUT/xentools/usr" KDIR=/nonexistent install
	# The command that they test, where it belongs
	rm -rf "$OUT/selftests/etc" "$OUT/selftests/usr"
	make -C "$TOP/tools/xen" DESTDIR="$OUT/selftests" install
	# Their debug information is two thirds of them
	strip -g "$INSTALLED"/xen-pciback/test_modules/*.ko
}

# What is built to find mistakes takes its time.
built_flavour && slower=3 || slower=1

"$SCRIPT_DIR/fetch.sh" linux xentools
"$SCRIPT_DIR/unpack.sh" headers xentools
kernel_source "$DEFAULT_KERNEL"
"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)"
"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")"
step tests "kselftests, by the kernel's Makefiles" build_tests
