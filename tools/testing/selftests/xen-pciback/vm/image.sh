#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# image.sh: make $BUILD/$KERNEL/base.cpio, the part of the VM's initramfs that
# is the same in each run. vm.sh appends a small archive of its own.
set -eu
. "${0%/*}/common.sh"

# Not loaded by themselves: a test that wants a driver says modprobe.
MODULES='
	aer_inject
	e1000
	e1000e
	nvme
	pci-stub
	virtio-rng
	virtio_pci
	xen-evtchn
	xen-gntalloc
	xen-gntdev
	xen-pciback
	xen-privcmd
	xenfs
	xhci-pci
'

# Real ones, where busybox' are not enough: its timeout and its sed cannot do
# what the kernel's kselftest runner wants.
PROGRAMS='
	usr/bin/lspci
	usr/bin/perl
	usr/bin/setpci
	usr/bin/stdbuf
	usr/bin/timeout
'

# put FILE: from the unpacked packages into the image, at its place
put()
{
	mkdir -p "$IMAGE/${1%/*}"
	cp -L "$ROOT/$1" "$IMAGE/$1"
}

# libraries PROGRAM: what it is linked with, without running it
libraries()
{
	"$ROOT/lib64/ld-linux-x86-64.so.2" --library-path \
		"$ROOT/lib/x86_64-linux-gnu:$ROOT/usr/lib/x86_64-linux-gnu" \
		--list "$ROOT/$1" | sed -n "s,.*\($ROOT/[^ ]*\).*,\1,p"
}

make_image()
{
	rm -rf "$IMAGE"
	mkdir -p "$IMAGE"
	for dir in bin dev etc lib64 proc root run sbin sys tmp usr/bin usr/sbin usr/lib; do
		mkdir -p "$IMAGE/$dir"
	done

	put bin/busybox
	"$ROOT/bin/busybox" --list-full | grep / >applets
	while read -r applet; do
		mkdir -p "$IMAGE/${applet%/*}"
		[ -e "$IMAGE/$applet" ] || ln -s /bin/busybox "$IMAGE/$applet"
	done <applets
	rm applets

	for program in $PROGRAMS; do
		rm -f "$IMAGE/$program"
		put "$program"
		libraries "$program"
	done | sort -u >needed
	while read -r library; do
		put "${library#"$ROOT/"}"
	done <needed
	rm needed
	# preloaded by stdbuf, so nobody is linked with it
	put usr/libexec/coreutils/libstdbuf.so
	put usr/share/misc/pci.ids
	mkdir -p "$IMAGE/usr/lib/x86_64-linux-gnu"
	cp -R "$ROOT/usr/lib/x86_64-linux-gnu/perl-base" "$IMAGE/usr/lib/x86_64-linux-gnu/"

	release=$(cat release)
	/sbin/depmod -b "$ROOT" "$release"
	for module in $MODULES; do
		/sbin/modprobe -d "$ROOT" -S "$release" --show-depends "$module" |
			sed -n "s,^insmod $ROOT/\([^ ]*\).*,\1,p"
	done | sort -u >modules
	while read -r module; do
		put "$module"
	done <modules
	rm modules
	find "$IMAGE/lib/modules" -name '*.ko.xz' -exec xz -d '{}' +
	find "$IMAGE/lib/modules" -name '*.ko.zst' -exec zstd -q -d --rm '{}' +
	for file in modules.builtin modules.order; do
		put "lib/modules/$release/$file"
	done
	/sbin/depmod -b "$IMAGE" "$release"

	echo root:x:0:0:root:/root:/bin/sh >"$IMAGE/etc/passwd"
	echo nobody:x:65534:65534:nobody:/:/bin/sh >>"$IMAGE/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$IMAGE/etc/group"
	cp "$VM_DIR/profile" "$IMAGE/etc/profile"
	cp "$VM_DIR/init" "$IMAGE/init"
	chmod 755 "$IMAGE/init"

	(cd "$IMAGE" && find . | sort | cpio --quiet -o -H newc -R 0:0) >base.cpio.new
	mv base.cpio.new base.cpio
	du -k base.cpio
}

cd "$OUT"
ROOT=$OUT/root IMAGE=$OUT/image
inputs="$OUT/.unpacked-vm $VM_DIR/init $VM_DIR/profile $VM_DIR/image.sh"
# shellcheck disable=SC2086
if [ ! -e base.cpio ] || [ -n "$(find $inputs -newer base.cpio)" ]; then
	step image "initramfs for dom0" make_image
fi
