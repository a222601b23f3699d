#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# deps.sh [SET]...: install the programs that this machine lacks, from its own Debian.
# Always: what builds the module. SET vm: what runs it; kernel: what builds a whole
# kernel; command: what builds pciback-reset; bench, coverage, lint, docs, deb, fuzz,
# mutate, patches: what these make targets need.
# All else (kernel, Xen, what runs in the VM) is only unpacked, by fetch.sh and
# unpack.sh. If nothing is missing, apt is not called.
set -eu
. "${0%/*}/common.sh"

# A file that a package brings, and the package.
needs()
{
	cat <<-END
		/usr/bin/gcc				gcc
		/usr/bin/make				make
		/usr/bin/mmdebstrap			mmdebstrap
		/usr/bin/newuidmap			uidmap
		/usr/bin/patch				patch
		/usr/bin/xz				xz-utils
		/usr/lib/x86_64-linux-gnu/libc.a	libc6-dev
		/usr/lib/x86_64-linux-gnu/libelf.so.1	libelf1
		/usr/share/keyrings/debian-archive-keyring.gpg	debian-archive-keyring
	END
	for set; do
		"needs_$set"
	done
}

needs_vm()
{
	cat <<-END
		/usr/bin/cpio				cpio
		/sbin/depmod				kmod
		/usr/bin/mawk				mawk
		/usr/bin/qemu-system-x86_64		qemu-system-x86
		/usr/bin/rsync				rsync
		/usr/bin/zstd				zstd
		/usr/lib/x86_64-linux-gnu/libjemalloc.so.2	libjemalloc2
	END
}

needs_kernel()
{
	cat <<-END
		/usr/bin/bc				bc
		/usr/bin/bison				bison
		/usr/bin/ccache				ccache
		/usr/bin/flex				flex
		/usr/include/gelf.h			libelf-dev
	END
}

needs_bench()
{
	cat <<-END
		/usr/bin/gnuplot			gnuplot-nox
		/usr/bin/objdump			binutils
	END
}

needs_coverage()
{
	cat <<-END
		/usr/bin/objdump			binutils
		/usr/bin/python3			python3
	END
}

needs_docs()
{
	cat <<-END
		/usr/bin/dot				graphviz
		/usr/bin/gnuplot			gnuplot-nox
		/usr/bin/perl				perl
		/usr/bin/sphinx-build			python3-sphinx
	END
}

needs_command()
{
	cat <<-END
		/usr/bin/pkg-config			pkg-config
		/usr/bin/rst2man			python3-docutils
		/usr/include/json-c/json.h		libjson-c-dev
		/usr/include/x86_64-linux-gnu/pci/pci.h	libpci-dev
		/usr/include/xenstore.h			libxen-dev
	END
}

needs_lint()
{
	needs_command
	# Coccinelle loads the library of this Debian's python3.
	case $(own_suite) in
	bookworm) python=3.11 ;;
	*) python=3.13 ;;
	esac
	cat <<-END
		/usr/bin/clang				clang
		/usr/bin/codespell			codespell
		/usr/bin/git				git
		/usr/bin/nix-instantiate		nix-bin
		/usr/bin/perl				perl
		/usr/bin/rpmlint			rpmlint
		/usr/bin/rpmspec			rpm
		/usr/bin/rsync				rsync
		/usr/bin/shellcheck			shellcheck
		/usr/bin/sparse				sparse
		/usr/bin/spatch				coccinelle
		/usr/lib/x86_64-linux-gnu/libpython$python.so.1.0	libpython$python
		/usr/share/perl/5*/Term/ANSIColor.pm	perl
	END
}

needs_deb()
{
	needs_command
	cat <<-END
		/usr/bin/dh				debhelper
		/usr/bin/dh_dkms			dh-dkms
		/usr/bin/lintian			lintian
	END
}

needs_patches()
{
	cat <<-END
		/usr/bin/git				git
		/usr/bin/mawk				mawk
		/usr/bin/perl				perl
		/usr/share/perl/5*/Term/ANSIColor.pm	perl
	END
}

needs_mutate()
{
	cat <<-END
		/usr/lib/python3/dist-packages/clang/cindex.py	python3-clang
	END
}

needs_fuzz()
{
	cat <<-END
		/usr/bin/clang				clang
		/usr/bin/llvm-cov			llvm
		/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a	libclang-rt-dev
	END
}

missing()
{
	needs "$@" | while read -r file package; do
		# Unquoted: a pattern, for what has a version in its path.
		# shellcheck disable=SC2086
		set -- $file
		[ -e "$1" ] || echo "$package"
	done | sort -u
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

install_packages()
{
	as_root apt-get -q update
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install "$@"
}

[ "$(uname -m)" = x86_64 ] || die "needs an x86-64 machine"
command -v apt-get >/dev/null || die "needs Debian's apt-get (Debian 12 or newer)"

packages=$(missing "$@" | xargs)
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
	die "as root, first: apt-get install $packages"
fi
# shellcheck disable=SC2086
step deps "installing $packages" install_packages $packages

packages=$(missing "$@" | xargs)
[ -z "$packages" ] || die "still missing: $packages"
