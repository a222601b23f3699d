#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# image.sh [PART]...: make the parts of the VM's initramfs that are the same for each
# run, in $BUILD/$KERNEL. qemu/vm.sh appends a small archive for the run.
#
#	base	base.cpio, for all [this one]
#	xentools	xentools.cpio, Xen's tools, for boot.sh -x
#	guest	guest.cpio, what a PV guest boots from, for boot.sh -g
#	hvm	hvm.cpio, what dom0 runs an HVM guest with, for boot.sh -H
#	libvirt	libvirt.cpio, its daemon and virsh, for boot.sh -L
set -eu
. "${0%/*}/common.sh"

# Not loaded automatically: a test that wants a driver says modprobe. Some
# kernels have some of them built in.
MODULES='
	aer_inject
	e1000
	e1000e
	nvme
	pci-pf-stub
	pci-stub
	vfio-pci
	vfio_iommu_type1
	virtio-rng
	virtio_console
	virtio_pci
	xen-evtchn
	xen-gntalloc
	xen-gntdev
	xen-pciback
	xen-pcifront
	xen-privcmd
	xenfs
	xhci-pci
'

# Real ones, where busybox' are not enough: its timeout and its sed cannot do
# what the kernel's kselftest runner wants. And Debian's sh, for the command; driverctl
# is a script for bash.
PROGRAMS='
	bin/bash
	bin/dash
	usr/bin/lspci
	usr/bin/perl
	usr/bin/setpci
	usr/bin/stdbuf
	usr/bin/timeout
	usr/bin/tr
'

# What a PV guest has a use for
GUEST_MODULES='
	e1000e
	nvme
	xen-pcifront
'

# What starts and talks to guests, by qemu/xen-start and stock xl
XEN_PROGRAMS='
	libxl-save-helper
	usr/bin/xenstore
	vchan-socket-proxy
	xen-init-dom0
	xenconsoled
	xenstored
	xl
'

# The daemon, with the drivers that it opens: for Xen, and for dom0's devices
LIBVIRT_PROGRAMS='
	usr/bin/virsh
	usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_libxl.so
	usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_nodedev.so
	usr/sbin/libvirtd
'

LOADER=lib/x86_64-linux-gnu/ld-linux-x86-64.so.2

# put FILE: from the unpacked packages into the image, at its place
put()
{
	mkdir -p "$IMAGE/${1%/*}"
	cp -L "$ROOT/$1" "$IMAGE/$1"
}

# put_programs IMAGES PROGRAM...: with what they are linked with (they are not run), but
# for what these images have, which are unpacked before this one
put_programs()
{
	images=$1
	shift
	: >linked
	for program; do
		rm -f "$IMAGE/$program"
		put "$program"
		"$ROOT/$LOADER" --library-path \
			"$ROOT/lib/x86_64-linux-gnu:$ROOT/usr/lib/x86_64-linux-gnu" \
			--list "$ROOT/$program" >>linked ||
			die "cannot tell what $program is linked with"
	done
	sed -n "s,.*$ROOT/\([^ ]*\).*,\1,p" linked | sort -u >needed
	while read -r library; do
		for image in $images; do
			[ ! -e "$image/$library" ] || continue 2
		done
		put "$library"
	done <needed
	rm linked needed
}

# decompress FOLDER: its modules, as far as they are not already
decompress()
{
	find "$1" -name '*.ko.xz' -exec xz -d '{}' +
	find "$1" -name '*.ko.zst' -exec zstd -q -d --rm '{}' +
}

# put_modules NAME...: with all that they need. Only a kernel that is built here may lack one.
put_modules()
{
	release=$(cat release)
	/sbin/depmod -b "$ROOT" "$release"
	for module; do
		/sbin/modprobe -d "$ROOT" -S "$release" --show-depends "$module" ||
			built_flavour || die "Linux $release has no $module"
	done >depends
	sed -n "s,^insmod $ROOT/\([^ ]*\).*,\1,p" depends | sort -u >modules
	while read -r module; do
		put "$module"
	done <modules
	rm depends modules
	decompress "$IMAGE/lib/modules"
	for file in modules.builtin modules.order; do
		put "lib/modules/$release/$file"
	done
	/sbin/depmod -b "$IMAGE" "$release"
}

make_image()
{
	rm -rf "$IMAGE"
	mkdir -p "$IMAGE"
	for dir in bin dev etc lib64 proc root run sbin sys tmp usr/bin usr/sbin usr/lib; do
		mkdir -p "$IMAGE/$dir"
	done

	put "$LOADER"
	ln -s "/$LOADER" "$IMAGE/lib64/"
	put bin/busybox
	"$ROOT/bin/busybox" --list-full | grep / >applets
	while read -r applet; do
		mkdir -p "$IMAGE/${applet%/*}"
		[ -e "$IMAGE/$applet" ] || ln -s /bin/busybox "$IMAGE/$applet"
	done <applets
	rm applets

	# shellcheck disable=SC2086
	put_programs '' $PROGRAMS
	# preloaded by stdbuf, so nobody is linked with it
	put usr/libexec/coreutils/libstdbuf.so
	put usr/share/misc/pci.ids
	put usr/sbin/driverctl
	put lib/systemd/system/driverctl@.service
	mkdir -p "$IMAGE/usr/lib/x86_64-linux-gnu"
	cp -R "$ROOT/usr/lib/x86_64-linux-gnu/perl-base" "$IMAGE/usr/lib/x86_64-linux-gnu/"

	# shellcheck disable=SC2086
	put_modules $MODULES

	echo root:x:0:0:root:/root:/bin/sh >"$IMAGE/etc/passwd"
	echo nobody:x:65534:65534:nobody:/:/bin/sh >>"$IMAGE/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$IMAGE/etc/group"

	archive base.cpio
}

make_xentools()
{
	rm -rf "$IMAGE"
	bin=usr/lib/xen-$XEN/bin

	programs=
	for program in $XEN_PROGRAMS; do
		[ -e "$ROOT/$program" ] || program=$bin/$program
		programs="$programs $program"
	done
	# shellcheck disable=SC2086
	put_programs image $programs
	# dlopened at the end of a thread, such as each of xl's
	library=lib/x86_64-linux-gnu/libgcc_s.so.1
	[ -e "image/$library" ] || [ -e "$IMAGE/$library" ] || put "$library"

	for name in exists list ls read rm watch write; do
		ln -s xenstore "$IMAGE/usr/bin/xenstore-$name"
	done
	mkdir -p "$IMAGE/usr/sbin"
	ln -s "/$bin/xl" "$IMAGE/usr/sbin/xl"

	archive xentools.cpio
}

# The kernel that is unpacked here, and a busybox that is linked with nothing.
make_guest()
{
	rm -rf "$IMAGE"
	mkdir -p "$IMAGE"
	put bin/busybox
	ln -s busybox "$IMAGE/bin/sh"
	install -m 755 "$QEMU_DIR/guest-init" "$IMAGE/init"
	# shellcheck disable=SC2086
	put_modules $GUEST_MODULES
	archive guest-initramfs.cpio

	rm -rf "$IMAGE"
	mkdir -p "$IMAGE/guest"
	mv guest-initramfs.cpio "$IMAGE/guest/initramfs.cpio"
	ln vmlinux "$IMAGE/guest/vmlinux"
	archive guest.cpio
}

# Xen's firmware, and QEMU as the device model, which will not start without a
# keymap.
make_hvm()
{
	rm -rf "$IMAGE"
	put_programs 'image image-xentools' usr/libexec/xen-qemu-system-i386
	put usr/share/seabios/bios-256k.bin
	put usr/share/qemu/kvmvapic.bin
	put usr/share/qemu/keymaps/en-us
	ROOT=$OUT/xentools
	put "usr/lib/xen-$XEN/boot/hvmloader"

	archive hvm.cpio
}

# virsh wants to know who root is, for which
# an older libc opens libnss_files.
make_libvirt()
{
	rm -rf "$IMAGE"
	# shellcheck disable=SC2086
	put_programs 'image image-xentools' $LIBVIRT_PROGRAMS
	put lib/x86_64-linux-gnu/libnss_files.so.2
	mkdir -p "$IMAGE/etc"
	printf '%s: files\n' passwd group >"$IMAGE/etc/nsswitch.conf"
	mkdir -p "$IMAGE/usr/share/libvirt"
	cp -R "$ROOT/usr/share/libvirt/cpu_map" "$IMAGE/usr/share/libvirt/"
	# It has to name the CPU of dom0, and the emulated one has no VME
	sed -i "/'vme'/d" "$IMAGE"/usr/share/libvirt/cpu_map/x86_486*.xml

	archive libvirt.cpio
}

archive()
{
	(cd "$IMAGE" && find . | sort | cpio --quiet -o -H newc -R 0:0) >"$1.new"
	mv "$1.new" "$1"
	du -k "$1"
}

# stale FILE INPUT...: must it be made?
stale()
{
	[ ! -e "$1" ] || {
		stale_file=$1
		shift
		[ -n "$(find "$@" -newer "$stale_file")" ]
	}
}

cd "$OUT"
[ $# -gt 0 ] || set -- base
for part; do
	case $part in
	base)
		ROOT=$OUT/root IMAGE=$OUT/image
		! stale base.cpio .unpacked-vm "$SCRIPT_DIR/image.sh" ||
			step image "initramfs for dom0" make_image
		;;
	xentools)
		# without the libraries that the base has
		ROOT=$OUT/xentools IMAGE=$OUT/image-xentools
		! stale xentools.cpio base.cpio .unpacked-xentools \
			"$SCRIPT_DIR/image.sh" ||
			step image "Xen's tools for dom0" make_xentools
		;;
	guest)
		# Of another kernel: a run on that one has it, too
		guest_kernel=$(guest_kernel)
		if [ "$guest_kernel" != "$KERNEL" ]; then
			(
				KERNEL=$guest_kernel FLAVOUR=''
				export KERNEL FLAVOUR
				"$SCRIPT_DIR/fetch.sh" linux
				"$SCRIPT_DIR/unpack.sh" vm
				"$SCRIPT_DIR/image.sh" guest
			)
			ln -f "$BUILD/$guest_kernel/guest.cpio" .
			continue
		fi
		ROOT=$OUT/root IMAGE=$OUT/image-guest
		! stale guest.cpio .unpacked-vm "$QEMU_DIR/guest-init" \
			"$SCRIPT_DIR/image.sh" ||
			step image "a PV guest to create in dom0" make_guest
		;;
	hvm)
		ROOT=$OUT/hvm IMAGE=$OUT/image-hvm
		! stale hvm.cpio xentools.cpio .unpacked-hvm "$SCRIPT_DIR/image.sh" ||
			step image "a device model for HVM guests" make_hvm
		;;
	libvirt)
		ROOT=$OUT/libvirt IMAGE=$OUT/image-libvirt
		! stale libvirt.cpio xentools.cpio .unpacked-libvirt \
			"$SCRIPT_DIR/image.sh" ||
			step image "libvirt for dom0" make_libvirt
		;;
	*) die "unknown part: $part" ;;
	esac
done
