#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# chroot.sh SUITE [COMMAND [ARG]...]: run COMMAND in the current folder with the
# compiler and the libraries of the Debian SUITE. The programs in a kernel's headers
# need those, and the tests are linked with some.
#
# If this machine runs that SUITE, COMMAND runs here. Otherwise it runs in a chroot that
# mmdebstrap makes once, in $CACHE/chroot. Without a COMMAND only the chroot is made.
# Inside are the project's folder, the folder of what is built and ccache's, at the same
# paths, and nothing else of this machine.
set -eu
. "${0%/*}/common.sh"

# Beside the essential ones: what kbuild and the kselftests want, make lint, and
# the caller sets PACKAGES_MORE
: "${PACKAGES_MORE:=}"
PACKAGES=clang,gcc,libc6-dev,libelf1,make,rsync,sparse${PACKAGES_MORE:+,$PACKAGES_MORE}

suite=$1
shift

if [ "$suite" = "$(own_suite)" ]; then
	[ $# -gt 0 ] || exit 0
	exec "$@"
fi

# Another list is another chroot: somebody may be in the old one.
root=$CACHE/chroot/$suite-$(echo "$PACKAGES" | cksum | cut -d ' ' -f 1)

make_chroot()
{
	rm -rf "$root" "$root.part"
	mkdir -p "$root.part"
	# As a tarball in between: so it can be made by anybody, and is theirs.
	sources "$suite" >"$root.part/sources"
	mmdebstrap --variant=essential --include="$PACKAGES" --format=tar \
		"$suite" "$root.part/tar" - <"$root.part/sources"
	mkdir "$root.part/root"
	tar -x -C "$root.part/root" -f "$root.part/tar" --exclude='./dev/*'
	mv "$root.part/root" "$root"
	rm -r "$root.part"
}

mkdir -p "$CACHE/chroot"
exec 9>"$CACHE/chroot/.lock"
flock 9
[ -e "$root" ] || step chroot "gcc and make of Debian $suite" make_chroot
exec 9>&-
[ $# -gt 0 ] || exit 0

ccache=$CACHE/ccache
mkdir -p "$BUILD" "$ccache" "$root/$BUILD" "$root/$TOP" "$root/$ccache"
# shellcheck disable=SC2016,SC2046
exec unshare $(unshare_options) sh -euc '
	root=$1
	folder=$2
	shift 2
	while [ "$1" != -- ]; do
		mount --rbind "$1" "$root/$1"
		shift
	done
	shift
	exec chroot "$root" /bin/sh -euc "cd \"\$0\"; exec \"\$@\"" "$folder" "$@"
' sh "$root" "$PWD" /dev /proc "$TOP" "$BUILD" "$ccache" -- "$@"
