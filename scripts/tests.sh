#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tests.sh: build the kselftests, by the kernel's own machinery and in the
# place in its tree that they are made for, into what boot.sh -d takes:
# $BUILD/$KERNEL/selftests, which becomes /selftests in the VM; and pciback-reset.
#
# The machinery is that of one series, whatever kernel runs in the VM. The
# programs are built where the hypervisor comes from, with its libraries; the
# modules where the kernel comes from. make knows what has changed; only other
# packages to build with have all of it built anew.
set -eu
. "${0%/*}/common.sh"

WORK=$OUT/tests
TREE=$WORK/tree/tools/testing/selftests
INSTALLED=$OUT/selftests/selftests

# What make does not see: the age of a package's files is not when they came
built_with()
{
	echo "$XEN"
	cat "$OUT/.unpacked-headers" "$OUT/.unpacked-xentools" \
		"$BUILD/$DEFAULT_KERNEL/.unpacked-source" "$SCRIPT_DIR/tests.sh"
}

build_tests()
{
	[ "$(cat "$WORK/built-with" 2>/dev/null)" = "$(built_with)" ] || rm -rf "$WORK"
	if [ ! -e "$WORK" ]; then
		mkdir -p "$WORK/tree"
		cp -R "$BUILD/$DEFAULT_KERNEL/linux/scripts" \
			"$BUILD/$DEFAULT_KERNEL/linux/tools" "$WORK/tree"
		built_with >"$WORK/built-with"
	fi
	# What kbuild has made stays
	rsync -a --delete --filter='protect /test_modules/*' "$SELFTEST_DIR/" \
		"$TREE/xen-pciback/"
	# The guide is where the tests look for it, in the same tree
	mkdir -p "$WORK/tree/Documentation/admin-guide"
	rsync -a --delete "$TOP/Documentation/admin-guide/xen-pciback" \
		"$WORK/tree/Documentation/admin-guide/"
	"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)" \
		make -C "$TREE/xen-pciback/test_modules" KDIR="$OUT/headers/build"
	rm -rf "$OUT/selftests"
	# There is nothing in KDIR: the modules are built.
	"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")" \
		make -j"$(nproc)" -C "$TREE" O="$WORK" TARGETS=xen-pciback FORCE_TARGETS=1 \
		KSFT_INSTALL_PATH="$INSTALLED" SLOWER="$slower" \
		XEN_PREFIX="$OUT/xentools/usr" KDIR=/nonexistent install
	# The command that they test, where it belongs
	make -C "$TOP/tools/xen" DESTDIR="$OUT/selftests" install
	# Their debug information is two thirds of them
	strip -g "$INSTALLED"/xen-pciback/test_modules/*.ko
}

# Debug kernels are slower.
built_flavour && slower=3 || slower=1

"$SCRIPT_DIR/fetch.sh" linux xentools
"$SCRIPT_DIR/unpack.sh" headers xentools
kernel_source "$DEFAULT_KERNEL"
"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)"
"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")"
step tests "kselftests, by the kernel's Makefiles" build_tests
