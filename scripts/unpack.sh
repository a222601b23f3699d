#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# unpack.sh PART...: unpack packages that fetch.sh put in the cache, to $BUILD/$KERNEL.
#
#	source	linux/		the part of the kernel source this project uses
#	tree	tree/		all of it
#	docs	docs/		the kernel's documentation tools
#	headers	headers/	what an external module is built against
#	vm	xen.elf, vmlinux, root/	for the machine
#	xentools	xentools/	Xen's tools for the machine, and what a
#			test is built with that plays a guest
#	command	command/	what pciback-reset is built with
#	hvm	hvm/	the device model of HVM guests
#	libvirt	libvirt/	libvirt's daemon and client
#
# The packages are verified against what apt verified when they came. The kernel
# and its headers are those that kernel.sh has built, if it builds the flavour.
set -eu
. "${0%/*}/common.sh"

# Only these of the 90,000 files: the driver, the scripts that lint.sh runs, what
# patches.sh adds lines to, and kselftest's own machinery with what its Makefiles
# include.
SOURCE_PARTS='
	Documentation/admin-guide/index.rst
	MAINTAINERS
	drivers/xen/xen-pciback
	scripts/checkpatch.pl
	scripts/coccinelle
	scripts/const_structs.checkpatch
	scripts/get_maintainer.pl
	scripts/kernel-doc
	scripts/parse-maintainers.pl
	scripts/spelling.txt
	scripts/subarch.include
	tools/include
	tools/scripts
	tools/testing/selftests/Makefile
	tools/testing/selftests/gen_kselftest_tar.sh
	tools/testing/selftests/kselftest
	tools/testing/selftests/kselftest.h
	tools/testing/selftests/kselftest_harness.h
	tools/testing/selftests/kselftest_install.sh
	tools/testing/selftests/lib.mk
	tools/testing/selftests/run_kselftest.sh
'

# What makes HTML of pages like ours, without the kernel's own
DOCS_PARTS='
	Documentation/conf.py
	Documentation/images/logo.svg
	Documentation/sphinx
	Documentation/sphinx-static
	scripts/get_abi.pl
'

# set_of NAME: where fetch.sh put it
set_of()
{
	set_dir=$(set_dir "$1")
	[ -e "$set_dir/SHA256SUMS" ] || die "no $set_dir: run fetch.sh"
	(cd "$set_dir" && sha256sum --quiet -c SHA256SUMS) ||
		die "$set_dir is damaged: make distclean"
	echo "$set_dir"
}

# With a foreign tree (KSRC) the source may be all that was fetched.
source_set()
{
	if [ -e "$(set_dir linux)/SHA256SUMS" ]; then
		echo linux
	else
		echo source
	fi
}

# contents DEB TAR-ARG...: unpack some of a package's files here
contents()
{
	deb=$1
	shift
	dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink "$@"
}

# Newer packages have all in /usr. As on any Debian of today:
merge_usr()
{
	for dir in bin lib lib64 sbin; do
		mkdir -p "$1/usr/$dir"
		ln -s "usr/$dir" "$1/$dir"
	done
}

# unpack_parts DIR PATH...: these of the kernel source, in DIR
unpack_parts()
{
	tree=$1
	shift
	sources=$(set_of "$(source_set)")
	mkdir "$tree"
	# xz reads the tarball in blocks, on all CPUs.
	# shellcheck disable=SC2046
	contents "$sources"/linux-source-*.deb -O --wildcards '*.tar.xz' |
		xz -dcT0 |
		tar -x -C "$tree" --strip-components=1 \
			$(printf "linux-source-$KERNEL/%s " "$@")
}

unpack_source()
{
	# shellcheck disable=SC2086
	unpack_parts linux $SOURCE_PARTS
}

unpack_docs()
{
	# shellcheck disable=SC2086
	unpack_parts docs $DOCS_PARTS
}

unpack_tree()
{
	unpack_parts tree ''
}

unpack_headers()
{
	if built_flavour; then
		mkdir headers
		cp -R "$(built_kernel)/headers" headers/build
		return
	fi
	packages=$(set_of linux)
	mkdir headers
	cd headers
	for deb in "$packages"/linux-headers-* "$packages"/linux-kbuild-*; do
		# the other architectures are most of it
		contents "$deb" --exclude='./usr/src/*/arch/[!x]*' &
		jobs="${jobs-} $!"
	done
	for job in $jobs; do
		wait "$job"
	done
	# They expect each other in /usr/src.
	sed -i "s,/usr/src,$PWD/usr/src," usr/src/linux-headers-*-amd64/Makefile
	ln -s usr/src/linux-headers-*-amd64 build
}

# The ELF image in a bzImage: QEMU starts it as it is, and nothing has to be
# decompressed by an emulated CPU. The payload's offset and length are in the
# setup header (Documentation/arch/x86/boot.rst: payload_offset 0x248).
extract_vmlinux()
{
	word()
	{
		od -An -v -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
	}
	setup=$((($(word "$1" 497 1) + 1) * 512))
	start=$((setup + $(word "$1" 584 4)))
	length=$(word "$1" 588 4)

	# Its last four bytes are the length of what comes out.
	tail -c +$((start + 1)) "$1" | head -c $((length - 4)) >payload
	case $(od -An -t x1 -N 4 payload | tr -d ' ') in
	fd377a58) xz -dc payload ;;
	28b52ffd) zstd -dcq payload ;;
	*) die "$1: unknown compression" ;;
	esac >"$2"
	rm payload
}

unpack_vm()
{
	packages=$(set_of linux)
	hypervisor=$(set_of xen)
	tools=$(set_of tools)
	dash=$(set_of dash)
	driverctl=$(set_of driverctl)
	mkdir root
	merge_usr root
	if built_flavour; then
		cp -R "$(built_kernel)/modules" root/usr/lib/
		cp "$(built_kernel)/vmlinux" .
	else
		for deb in "$packages"/linux-image-* "$packages"/linux-b* \
			"$packages"/linux-modules-*; do
			[ ! -e "$deb" ] ||
				contents "$deb" -C root --exclude=./usr/share
		done
	fi &
	job=$!
	contents "$hypervisor"/*.deb -C root --wildcards './boot/*.gz'
	for deb in "$tools"/*.deb "$dash"/*.deb "$driverctl"/*.deb; do
		contents "$deb" -C root --exclude=./usr/share/doc \
			--exclude=./usr/share/man --exclude=./usr/share/locale
	done
	wait "$job"
	gzip -dc root/boot/xen-*.gz >xen.elf
	for file in root/boot/vmlinuz-* root/lib/modules/*/vmlinuz; do
		[ ! -e "$file" ] || extract_vmlinux "$file" vmlinux
	done
	for dir in root/lib/modules/*; do
		basename "$dir" >release
	done
}

unpack_xentools()
{
	packages=$(set_of xentools)
	mkdir xentools
	merge_usr xentools
	for deb in "$packages"/*.deb; do
		contents "$deb" -C xentools --exclude=./usr/share
	done
}

unpack_command()
{
	packages=$(set_of command)
	mkdir command
	merge_usr command
	for deb in "$packages"/*.deb; do
		contents "$deb" -C command --exclude=./usr/share
	done
}

unpack_hvm()
{
	packages=$(set_of hvm)
	mkdir hvm
	merge_usr hvm
	for deb in "$packages"/*.deb; do
		contents "$deb" -C hvm --exclude=./usr/share/doc \
			--exclude=./usr/share/locale --exclude=./usr/share/man
	done
}

unpack_libvirt()
{
	packages=$(set_of libvirt)
	mkdir libvirt
	merge_usr libvirt
	for deb in "$packages"/*.deb; do
		contents "$deb" -C libvirt --exclude=./usr/share/doc \
			--exclude=./usr/share/locale --exclude=./usr/share/man
	done
}

# What is there is of the packages it was made from, or it is made anew.
unpack()
{
	case $1 in
	source) made='linux' from=$(source_set) ;;
	tree) made='tree' from=$(source_set) ;;
	docs) made='docs' from=$(source_set) ;;
	headers) made='headers' from=linux ;;
	vm) made='root xen.elf vmlinux release' from='linux xen tools dash driverctl' ;;
	xentools) made='xentools' from=xentools ;;
	command) made='command' from=command ;;
	hvm) made='hvm' from=hvm ;;
	libvirt) made='libvirt' from=libvirt ;;
	*) die "unknown part: $1" ;;
	esac
	stamp=$OUT/.unpacked-$1
	now=$(
		echo "$OUT" "$SOURCE_PARTS"
		for name in $from; do
			cat "$(set_dir "$name")/SHA256SUMS"
		done
		! built_flavour || built_kernel
	)
	if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then
		return
	fi
	rm -f "$stamp"
	mkdir -p "$OUT"
	cd "$OUT"
	# shellcheck disable=SC2086
	rm -rf $made
	step unpack "$2" "unpack_$1"
	echo "$now" >"$stamp"
}

for part; do
	case $part in
	headers | vm) "$SCRIPT_DIR/kernel.sh" ;;
	esac
	case $part in
	source) unpack source "parts of the Linux $KERNEL source" ;;
	tree) unpack tree "all of the Linux $KERNEL source" ;;
	docs) unpack docs "documentation tools of Linux $KERNEL" ;;
	headers) unpack headers "headers of Linux $KERNEL${FLAVOUR:+, $FLAVOUR}" ;;
	vm) unpack vm "Linux $KERNEL${FLAVOUR:+-$FLAVOUR}, Xen $XEN and tools for the VM" ;;
	xentools) unpack xentools "tools and libraries of Xen $XEN" ;;
	command) unpack command "what pciback-reset is built with" ;;
	hvm) unpack hvm "a device model for Xen $XEN" ;;
	libvirt) unpack libvirt "libvirt for Xen $XEN" ;;
	*) die "unknown part: $part" ;;
	esac
done
