#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# deb-test.sh: build the packages, install, upgrade, remove and purge them in
# a chroot of Debian (deb-steps), and try in the VM what DKMS built for $KERNEL
# there.
#
# The Debian is $DEBIAN, or the one that $KERNEL comes from, with DKMS and all kernels from
# it that the tests are run on. mmdebstrap makes it in $CACHE/chroot, once; each run has a copy.
set -eu
. "${0%/*}/../scripts/common.sh"

"$SCRIPT_DIR/fetch.sh" linux
SUITE=$(kernel_suite)
WORK=$BUILD/deb-check
# Beside the kernels: openssl makes DKMS's key, systemd can verify a unit, and the
# command has libraries.
LIBRARIES=libjson-c5,libpci3,libxenstore4
PACKAGES=dkms,openssl,systemd,xz-utils,$LIBRARIES

# Those of the kernels that come from this Debian
kernels()
{
	for KERNEL in $(all_kernels); do
		"$SCRIPT_DIR/fetch.sh" linux >&2 || {
			[ -n "${DEBIAN:-}" ] || exit
			continue
		}
		[ "$(kernel_suite)" != "$SUITE" ] || echo "$KERNEL"
	done
}

release_of()
{
	(KERNEL=$1 && basename "$(set_dir linux)"/linux-headers-*-amd64_*) |
		sed 's/linux-headers-//; s/_.*//'
}

# The kernels as they are, but of their modules only Xen's, and no initramfs:
# a depmod of all of them takes longer than the build.
make_image()
{
	rm -rf "$image.part"
	mkdir -p "$image.part/debs"
	for KERNEL in $kernels; do
		cp "$(set_dir linux)"/*.deb "$image.part/debs/"
	done
	rm "$image.part"/debs/linux-source-*
	sources "$SUITE" >"$image.part/sources"
	# shellcheck disable=SC2016
	mmdebstrap --variant=apt --include="$PACKAGES" \
		--dpkgopt='path-exclude=*/lib/modules/*/kernel/*' \
		--dpkgopt='path-include=*/lib/modules/*/kernel/drivers/xen/*' \
		--customize-hook="copy-in $image.part/debs /tmp" \
		--customize-hook='INITRD=No chroot "$1" sh -c "apt-get -q -y --no-install-recommends -t '"$SUITE-backports"' install /tmp/debs/*.deb"' \
		--customize-hook='rm -r "$1/tmp/debs"' \
		--format=tar "$SUITE" "$image.part/tar" - <"$image.part/sources"
	mv "$image.part/tar" "$image"
	rm -r "$image.part"
}

unpack_image()
{
	rm -rf "$WORK/root"
	mkdir -p "$WORK/root"
	tar -x -C "$WORK/root" -f "$image" --exclude='./dev/*'
	mkdir -p "$WORK/root/test/modules"
	for version in old new; do
		mkdir "$WORK/root/test/$version"
		cp "$WORK/$version"/*.deb "$WORK/root/test/$version/"
	done
	cp "$TOP/debian/deb-steps" "$WORK/root/test/"
	# Or Debian 12's DKMS builds at an upgrade only for the newest kernel, if that is not
	# older than the one that this machine runs
	echo 'autoinstall_all_kernels=yes' >>"$WORK/root/etc/dkms/framework.conf"
}

# in_chroot COMMAND [ARG]...
in_chroot()
{
	# shellcheck disable=SC2016,SC2046
	unshare $(unshare_options) sh -euc '
		for dir in /dev /proc; do
			mount --rbind "$dir" "$0$dir"
		done
		exec chroot "$0" "$@"' "$WORK/root" "$@"
}

# make install, for those kernels' users who want no packages
without_packages()
{
	release=$(release_of "$KERNEL")
	set -- env KSRC="$OUT/headers/build" DESTDIR="$WORK/root" "$SCRIPT_DIR/install.sh"
	"$@"
	in_chroot depmod "$release"
	in_chroot modprobe -n -v -S "$release" xen-pciback |
		grep " /lib/modules/$release/updates/xen-pciback.ko"
	in_chroot pciback-reset --version
	"$@" uninstall
	in_chroot depmod "$release"
	in_chroot modprobe -n -v -S "$release" xen-pciback |
		grep " /lib/modules/$release/kernel/.*/xen-pciback.ko"
}

# One write resets the whole card. auto_reset=N keeps the driver from doing that
# when it gets the card, so this one is the only one in QEMU's trace.
in_vm()
{
	rm -rf "$WORK/overlay"
	dpkg-deb -x "$WORK"/old/xen-pciback-reset_*.deb "$WORK/overlay"
	rm -rf "$WORK/overlay/lib" "$WORK/overlay/usr/lib/systemd"
	# The VM has libpci, of lspci
	libraries=usr/lib/x86_64-linux-gnu
	mkdir -p "$WORK/overlay/$libraries"
	cp "$WORK/root/$libraries"/libjson-c.so.5 "$WORK/root/$libraries"/libxenstore.so.4 \
		"$WORK/root/$libraries"/libxentoolcore.so.1 "$WORK/overlay/$libraries/"
	"$SCRIPT_DIR/boot.sh" -n deb-check -m "$1" -p auto_reset=0 -d "$WORK/overlay" \
		'set -e
		cat /sys/module/xen_pciback/version
		pciback-reset adopt 0000:04:00.0
		pciback-reset reset 0000:04:00.0
		pciback-reset list
		grep "slot: ok" /sys/bus/pci/devices/0000:04:00.2/pciback/last_reset'
	[ "$(grep -c 'pcie-root-port .* @0x3e <- 0x4' "$OUT/run/deb-check/trace.log")" = 1 ]
}

[ "$SUITE" != bullseye ] || die "Debian bullseye's DKMS is older than the package wants"
kernels=$(kernels)
"$TOP/debian/deb.sh" -o "$WORK/old"
"$TOP/debian/deb.sh" -o "$WORK/new" -v "$(dpkg-parsechangelog -l "$TOP/debian/changelog" -S Version)+1"

releases=$(for series in $kernels; do release_of "$series"; done)
image=$CACHE/chroot/deb-$SUITE-$(echo "$PACKAGES $releases" | cksum | cut -d ' ' -f 1).tar
mkdir -p "$CACHE/chroot"
exec 9>"$CACHE/chroot/.deb-lock"
flock 9
[ -e "$image" ] || step chroot "Debian $SUITE with DKMS and kernels" make_image
exec 9>&-
step chroot "a copy of it" unpack_image

# shellcheck disable=SC2086
in_chroot /test/deb-steps $releases

# Only for who runs such a kernel: its headers want the compiler that made it
if [ "$SUITE" = "$(own_suite)" ]; then
	"$SCRIPT_DIR/unpack.sh" headers
	step make "install and uninstall, for Linux $KERNEL" without_packages
else
	echo "  make     install: skipped, Linux $KERNEL wants the compiler of $SUITE"
fi

"$SCRIPT_DIR/fetch.sh" xen tools dash driverctl
"$SCRIPT_DIR/unpack.sh" vm
"$SCRIPT_DIR/image.sh"
step boot "DKMS's module in the VM: Xen $XEN, Linux $KERNEL" \
	in_vm "$WORK/root/test/modules/$(release_of "$KERNEL").ko"
