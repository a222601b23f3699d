#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# fetch.sh SET...: download sets of Debian packages into the cache, unless
# they are there. The sets:
#
#	linux	kernel image, headers and source of the series $KERNEL
#	source	only the source of $KERNEL (for those who bring a kernel tree)
#	xen	the hypervisor $XEN
#	tools	what runs in the VM beside the kernel
#	dash	the sh of Debian, as busybox is none that a dom0 has
#	xentools	Xen's own tools and libraries, of the hypervisor $XEN
#
# apt does it, with sources, lists and cache of its own: it verifies the
# archive's signature and each package's hash, and the machine's own apt
# state is neither used nor changed. SHA256SUMS beside a set's packages says
# that the set is complete; it lets unpack.sh verify them without a network.
set -eu
. "${0%/*}/common.sh"

: "${DEBIAN_MIRROR:=http://deb.debian.org/debian}"
: "${DEBIAN_SECURITY_MIRROR:=http://deb.debian.org/debian-security}"
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

case $KERNEL in
6.1 | 6.12) SUITE=bookworm ;;
*) die "no Debian suite known for KERNEL=$KERNEL" ;;
esac

APT=$CACHE/apt/$SUITE

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

update_lists()
{
	mkdir -p "$APT/cache/archives/partial" "$APT/state/lists/partial"
	: >"$APT/state/status"
	cat >"$APT/sources.list" <<-END
		deb [signed-by=$KEYRING] $DEBIAN_MIRROR $SUITE main
		deb [signed-by=$KEYRING] $DEBIAN_MIRROR $SUITE-updates main
		deb [signed-by=$KEYRING] $DEBIAN_SECURITY_MIRROR $SUITE-security main
	END
	# Without this an unreachable mirror is only a warning to apt.
	private apt-get -o APT::Update::Error-Mode=any update
}

depends()
{
	private apt-cache depends --important "$1" |
		sed -n 's/^ *\(Pre\)\{0,1\}Depends: \([^<]*\)$/\2/p'
}

# The packages of a set. "linux-image-6.12-amd64" is a meta package: the one
# it depends on has the full version in its name, and so have the headers'.
packages()
{
	case $1 in
	linux)
		image=$(depends "linux-image-$KERNEL-amd64")
		headers=$(echo "$image" | sed s/image/headers/)
		echo "$image" "$headers" "linux-source-$KERNEL"
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
	xentools)
		# Not all that the tools depend on: python is only for a part
		# of them that nothing here runs.
		echo "xen-utils-$XEN" xenstore-utils libxen-dev
		private apt-cache depends --recurse --important \
			"libxenmisc$XEN" libxenstore4 libyajl2 libncurses6 |
			grep '^[a-z]'
		;;
	*)
		die "unknown set of packages: $1"
		;;
	esac
}

download()
{
	set_dir=$1
	shift
	rm -rf "$set_dir"
	mkdir -p "$set_dir.part"
	(
		cd "$set_dir.part"
		private apt-get download "$@"
		sha256sum ./*.deb >SHA256SUMS
	)
	mv "$set_dir.part" "$set_dir"
}

for name; do
	case $name in
	linux | source) set_dir=$CACHE/$name-$KERNEL ;;
	xen | xentools) set_dir=$CACHE/$name-$XEN-$SUITE ;;
	*) set_dir=$CACHE/$name-$SUITE ;;
	esac
	[ ! -e "$set_dir/SHA256SUMS" ] || continue
	mkdir -p "$CACHE"

	if [ -z "${lists_fresh-}" ]; then
		step fetch "package lists of Debian $SUITE" update_lists
		lists_fresh=1
	fi
	list=$(packages "$name" | tr ' ' '\n' | sort -u)
	[ -n "$list" ] || die "Debian $SUITE has no packages for $name ($KERNEL, Xen $XEN)"
	# shellcheck disable=SC2086
	size=$(private apt-get --print-uris download $list |
		awk '{ sum += $3 } END { printf "%d", sum / 1e6 }')
	# shellcheck disable=SC2086
	step fetch "$name: $(echo "$list" | wc -l) packages, $size MB" \
		download "$set_dir" $list
done
