#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh: build the kernel of a FLAVOUR that Debian does not have, from Debian's
# source, with FLAVOUR.config and little more than the VM needs (dom0.config). It is
# kept in $CACHE until the source, the configuration or this script changes:
#
#	vmlinux, modules/	for the machine
#	headers/		what an external module is built against
#
# An option that was dropped, since another one is missing, is an error.
set -eu
. "${0%/*}/common.sh"

tree=$BUILD/$KERNEL/tree
objects=$OUT/kernel

# Of KCSAN the kernel itself has only the part that runs: it looks at modules that are
# built against it, for what is sampled should be theirs.
kernel_make()
{
	[ "$FLAVOUR" != kcsan ] || set -- KCSAN_SANITIZE=n "$@"
	make -C "$tree" O="$objects" ARCH=x86_64 CC='ccache gcc' HOSTCC='ccache gcc' \
		LOCALVERSION="-$FLAVOUR-amd64" KBUILD_BUILD_TIMESTAMP=@0 "$@"
}

configure()
{
	mkdir -p "$objects"
	cd "$tree"
	# shellcheck disable=SC2046
	ARCH=x86_64 KCONFIG_CONFIG=$objects/.config scripts/kconfig/merge_config.sh \
		-n -O "$objects" $(kernel_configs) >"$objects/merged"
	cat "$objects/merged"
	! grep -q '^Value requested' "$objects/merged"
}

build()
{
	export CCACHE_DIR="$CACHE/ccache" CCACHE_MAXSIZE=2G
	kernel_make -j"$(nproc)" vmlinux modules
	rm -rf "$objects/installed"
	kernel_make INSTALL_MOD_PATH="$objects/installed" modules_install
	# As the kernel's own packages have them
	kernel_make run-command KBUILD_RUN_COMMAND="\$(srctree)/scripts/package/install-extmod-build $objects/installed/headers"
	cp "$objects/.config" "$objects/installed/headers/"
}

keep()
{
	rm -rf "$kernel" "$kernel.part"
	mkdir -p "$kernel.part"
	cp -R "$objects/vmlinux" "$objects/installed/headers" \
		"$objects/installed/lib/modules" "$kernel.part/"
	rm -f "$kernel.part"/modules/*/build
	mv "$kernel.part" "$kernel"
}

# With the compiler of the Debian that the kernel is of
if [ $# -gt 0 ]; then
	"$1"
	exit
fi

built_flavour || exit 0
"$SCRIPT_DIR/deps.sh" kernel
"$SCRIPT_DIR/fetch.sh" linux
kernel=$(built_kernel)
[ ! -e "$kernel" ] || exit 0
FLAVOUR='' "$SCRIPT_DIR/unpack.sh" tree
suite=$(kernel_suite)
export PACKAGES_MORE=bc,bison,ccache,flex,libelf-dev
"$SCRIPT_DIR/chroot.sh" "$suite"
step kernel "configuration of Linux $KERNEL-$FLAVOUR" \
	"$SCRIPT_DIR/chroot.sh" "$suite" "$SCRIPT_DIR/kernel.sh" configure
step kernel "Linux $KERNEL-$FLAVOUR" "$SCRIPT_DIR/chroot.sh" "$suite" "$SCRIPT_DIR/kernel.sh" build
step kernel "kept in ${kernel##*/}" keep
