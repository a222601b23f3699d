#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# tests.sh: build the kselftests, by the kernel's own machinery and in the
# place in its tree that they are made for, into what vm.sh -d takes:
# $BUILD/$KERNEL/selftests, which becomes /selftests in the VM.
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
		KSFT_INSTALL_PATH="$INSTALLED" install
}

"$VM_DIR/fetch.sh" linux
"$VM_DIR/unpack.sh" source
step tests "kselftests, by the kernel's Makefiles" build_tests
