#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tests.sh: build the kselftests by the kernel's own Makefiles, in their place in a
# kernel tree, and pciback-reset. They go to $BUILD/$KERNEL/selftests, which boot.sh -d
# takes and which is /selftests in the VM.
#
# The Makefiles are those of the default kernel, whatever kernel runs in the VM. The
# programs are built in the hypervisor's Debian, with its libraries; the modules in the
# kernel's Debian. make rebuilds what has changed; all of it is rebuilt if the packages
# that it is built with have changed.
set -eu
. "${0%/*}/common.sh"

WORK=$OUT/tests
TREE=$WORK/tree/tools/testing/selftests
INSTALLED=$OUT/selftests/selftests

# What make does not see: the age of a package's files is not when they came
built_with()
{
	echo "$XEN"
	cat "$OUT/.unpacked-headers" "$OUT/.unpacked-xentools" "$OUT/.unpacked-command" \
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
		KSFT_INSTALL_PATH="$INSTALLED" SLOWER="$slower" USERCFLAGS=-Werror \
		XEN_PREFIX="$OUT/xentools/usr" KDIR=/nonexistent install
	# The command that they test, where it belongs. What the VM has no libraries of
	# is linked in: of those it needs, lspci has brought all but two.
	mkdir -p "$WORK/command"
	command=$OUT/command/usr
	"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")" \
		make -C "$TOP/tools/xen" DESTDIR="$OUT/selftests" OUTPUT="$WORK/command" \
		LIBS_CFLAGS="-I$command/include/x86_64-linux-gnu -I$command/include -I$command/include/json-c -I$OUT/xentools/usr/include" \
		LIBS="-L$command/lib/x86_64-linux-gnu -L$OUT/xentools/usr/lib/x86_64-linux-gnu \
			-Wl,--allow-shlib-undefined -lpci -l:libjson-c.a -l:libxenstore.a -l:libxentoolcore.a" \
		install
	# Their debug information is two thirds of them
	strip -g "$INSTALLED"/xen-pciback/test_modules/*.ko
}

# Debug kernels are slower.
built_flavour && slower=3 || slower=1

"$SCRIPT_DIR/fetch.sh" linux xentools command
"$SCRIPT_DIR/unpack.sh" headers xentools command
kernel_source "$DEFAULT_KERNEL"
"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)"
"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")"
step tests "kselftests, by the kernel's Makefiles" build_tests
