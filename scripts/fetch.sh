#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# fetch.sh SET...: download sets of Debian packages into the cache, unless
# they are there. fetch.sh --newest: print the newest kernel that Debian has.
# The sets:
#
#	linux	kernel image, headers and source of the series $KERNEL; of its
#		$FLAVOUR, if that is one of Debian's (rt)
#	source	only the source of $KERNEL (for those who bring a kernel tree)
#	xen	the hypervisor $XEN
#	tools	what runs in the VM beside the kernel
#	dash	the sh of Debian, as busybox is none that a dom0 has
#	driverctl	a client that binds functions, and the bash that it is written for
#	xentools	Xen's own tools and libraries, of the hypervisor $XEN
#	command	what pciback-reset is built with, beside Xen's libraries
#	hvm	the device model of HVM guests, for xentools
#	libvirt	libvirt's daemon and client, for xentools
#
# apt does it, with sources, lists and cache of its own: it verifies the
# archive's signature and each package's hash, and the machine's own apt
# state is neither used nor changed. SHA256SUMS beside a set's packages says
# that the set is complete; it lets unpack.sh verify them without a network.
set -eu
. "${0%/*}/common.sh"

# private apt-get|apt-cache ARG...
private()
{
	command=$1
	shift
	"$command" -q \
		-o APT::Architecture=amd64 \
		-o APT::Architectures=amd64 \
		-o APT::Sandbox::User=root \
		-o Acquire::Languages=none \
		-o Acquire::Retries=3 \
		-o Dir::Cache="$APT/cache" \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::Etc::sourcelist="$APT/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State="$APT/state" \
		-o Dir::State::lists="$APT/state/lists" \
		-o Dir::State::status="$APT/state/status" \
		"$@"
}

# use_suite SUITE: from now on apt is asked about this Debian
fresh=''
use_suite()
{
	APT=$CACHE/apt/$1
	suite=$1
	case " $fresh " in
	*" $suite "*) return ;;
	esac
	step fetch "package lists of Debian $suite" update_lists
	fresh="$fresh $suite"
}

update_lists()
{
	mkdir -p "$APT/cache/archives/partial" "$APT/state/lists/partial"
	: >"$APT/state/status"
	sources "$suite" >"$APT/sources.list"
	# Without this an unreachable mirror is only a warning to apt.
	private apt-get -o APT::Update::Error-Mode=any update
}

depends()
{
	private apt-cache depends --important "$1" |
		sed -n 's/^ *\(Pre\)\{0,1\}Depends: \([^<]*\)$/\2/p'
}

# all NAME [END]: the packages whose names begin with it have a version there
all()
{
	private apt-cache pkgnames "$1" | grep -E "^$1[0-9.]*([-+][a-z0-9]*)?${2-}\$" | sort -V
}

newest()
{
	all "$@" | tail -n 1
}

# The newest one that has headers, too: one of both may come, and leave, before the other
image()
{
	for kind in image headers; do
		all "linux-$kind-$KERNEL." "$(debian_flavour)-amd64"
	done | sed s/headers/image/ | sort -V | uniq -d | tail -n 1
}

has_source()
{
	private apt-cache pkgnames "linux-source-$KERNEL" | grep -qx "linux-source-$KERNEL"
}

# has SET: does this Debian have what $KERNEL's set wants?
has()
{
	{ [ "$1" = source ] || [ -n "$(image)" ]; } && has_source
}

# find_kernel SET: which Debian has $KERNEL? One that has left one of them is in another; and
# one that cannot be asked keeps nobody from asking the others.
find_kernel()
{
	for debian in $(suites); do
		(use_suite "$debian") || {
			warn "Debian $debian is left out"
			continue
		}
		fresh="$fresh $debian"
		use_suite "$debian"
		! has "$1" || return 0
	done
	die "no Debian has Linux $KERNEL${FLAVOUR:+-$FLAVOUR}"
}

# Not release candidates: their packages' names have but two numbers.
newest_kernel()
{
	# An answer without one of them is none: it is kept for a day.
	names=$(
		for debian in $(suites); do
			use_suite "$debian" >&2
			private apt-cache pkgnames linux-image-
		done
	)
	echo "$names" | sed -n 's/^linux-image-\([0-9]*\.[0-9]*\)\.[0-9].*-amd64$/\1/p' |
		sort -V | tail -n 1
}

# The packages of a set
packages()
{
	case $1 in
	linux)
		image=$(image)
		headers=$(echo "$image" | sed s/image/headers/)
		echo "$image" "$headers" "linux-source-$KERNEL"
		# from 7.x on the image is in parts
		depends "$image" | grep -E '^linux-(base|binary|modules)-[0-9]' || :
		depends "$headers" | grep -E '^linux-(headers|kbuild)-'
		;;
	source)
		echo "linux-source-$KERNEL"
		;;
	xen)
		echo "xen-hypervisor-$XEN-amd64"
		;;
	tools)
		# With all they depend on. coreutils and perl are for the
		# kernel's test runner: a timeout busybox does not have, and
		# a prefix to each line as it comes.
		echo busybox-static
		private apt-cache depends --recurse --important \
			pciutils coreutils perl-base | grep '^[a-z]'
		;;
	dash)
		echo dash
		;;
	driverctl)
		echo driverctl bash libtinfo6
		;;
	xentools)
		# Not all that the tools depend on: python is only for a part
		# of them that nothing here runs.
		echo "xen-utils-$XEN" xenstore-utils libxen-dev
		private apt-cache depends --recurse --important \
			"libxenmisc$XEN" "$(newest libxenstore)" libyajl2 libncurses6 |
			grep '^[a-z]'
		;;
	command)
		echo libpci-dev libpci3 libjson-c-dev
		;;
	hvm)
		private apt-cache depends --recurse --important \
			qemu-system-xen | grep '^[a-z]'
		;;
	libvirt)
		# Newer ones have each driver in a package of its own.
		# shellcheck disable=SC2046
		private apt-cache depends --recurse --important \
			libvirt-clients libvirt-daemon-driver-xen \
			$(private apt-cache depends libvirt-daemon |
				grep -o 'libvirt-daemon-driver-nodedev$') |
			grep '^[a-z]'
		;;
	esac
}

download()
{
	rm -rf "$set_dir" "$set_dir.part"
	mkdir -p "$set_dir.part"
	(
		cd "$set_dir.part"
		private apt-get download "$@"
		sha256sum ./*.deb >SHA256SUMS
	)
	mv "$set_dir.part" "$set_dir"
}

# One at a time: runs for other kernels and hypervisors want the same sets.
mkdir -p "$CACHE"
exec 9>"$CACHE/.lock"
flock 9

if [ "${1-}" = --newest ]; then
	known=$CACHE/newest
	if [ -z "$(find "$known" -mtime -1 2>/dev/null)" ]; then
		newest_kernel >"$known.part"
		[ -s "$known.part" ] || die "Debian has no kernel"
		mv "$known.part" "$known"
	fi
	cat "$known"
	exit
fi

for name; do
	set_dir=$(set_dir "$name")
	[ ! -e "$set_dir/SHA256SUMS" ] || continue
	case $name in
	linux | source)
		[ ! -e "$(set_dir linux)/SHA256SUMS" ] || continue
		find_kernel "$name"
		set_dir=${set_dir%-*}-$suite
		;;
	*) use_suite "$(xen_suite "$XEN")" ;;
	esac
	list=$(packages "$name" | tr ' ' '\n' | sort -u)
	[ -n "$list" ] || die "Debian $suite has no packages for $name ($KERNEL, Xen $XEN)"
	# shellcheck disable=SC2086
	size=$(private apt-get --print-uris download $list |
		awk '{ sum += $3 } END { printf "%d", sum / 1e6 }')
	# shellcheck disable=SC2086
	step fetch "$name: $(echo "$list" | wc -l) packages, $size MB" \
		download $list
done
