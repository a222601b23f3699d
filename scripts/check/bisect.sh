#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# bisect.sh: check each commit of the series of patches.sh. One that changes the driver must
# build without a warning (W=1) and pass those tests that can pass at that commit. One that
# changes the tests must build. If so, the cover letters say that. Also check that the
# patches of tree.sh build for the kernel trees that they are for.
set -eu
. "${0%/*}/../common.sh"

DRIVER=drivers/xen/xen-pciback
KERNEL=$BASE_KERNEL FLAVOUR=''
OUT=$BUILD/$KERNEL
export KERNEL FLAVOUR
tree=$OUT/series
work=$OUT/bisect

# tests PATCH: most tests use files that come last. Any xen-pciback can hand a
# function to a guest that a test plays, and take it back. What is not built yet
# changes nothing.
tests()
{
	case $(basename "$1" .patch) in
	interface | function | requests) ;;
	reset-device) echo refusals,methods:card,clean,quirks ;;
	fix-config-fields-lock) echo quirks:added_twice ;;
	fix-quirks-list) echo quirks:twins ;;
	*) echo quirks:field_goes_with_guest ;;
	esac
}

build()
{
	rm -rf "$work/xen-pciback"
	mkdir -p "$work"
	git -C "$tree" archive "$1" $DRIVER | tar -x -C "$work" --strip-components=2
	build_strictly "$work/xen-pciback" W=1
}

# What there is of the tests, as tests.sh builds all of them
build_selftests()
{
	mkdir -p "$work/tests"
	git -C "$tree" archive "$1" scripts tools | tar -x -C "$work/tests"
	selftests=$work/tests/tools/testing/selftests
	# The machine comes first, and is not built.
	[ -e "$selftests/xen-pciback/Makefile" ] || return 0
	[ ! -e "$selftests/xen-pciback/test_modules" ] ||
		"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)" \
			make -C "$selftests/xen-pciback/test_modules" \
			KDIR="$OUT/headers/build" KCFLAGS=-Werror
	"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")" \
		make -C "$selftests" TARGETS=xen-pciback FORCE_TARGETS=1 \
		XEN_PREFIX="$OUT/xentools/usr" KDIR=/nonexistent CC='gcc -Werror' \
		-j"$(nproc)"
}

run()
{
	MODULE="$work/xen-pciback/xen-pciback.ko" TESTS="$1" "$SCRIPT_DIR/check/check.sh"
}

"$SCRIPT_DIR/series/patches.sh"
kernel_headers
"$SCRIPT_DIR/fetch.sh" xentools
"$SCRIPT_DIR/unpack.sh" xentools
"$SCRIPT_DIR/chroot.sh" "$(xen_suite "$XEN")"
rm -rf "$work/tests"
number=0
for commit in $(git -C "$tree" rev-list --reverse base..main); do
	number=$((number + 1))
	subject=$(git -C "$tree" log -1 --format=%s "$commit" | cut -c 1-48)
	if ! git -C "$tree" diff --quiet "$commit^" "$commit" -- tools/testing; then
		step "$(printf '%02d' $number)" "$subject" build_selftests "$commit"
	fi
	if git -C "$tree" diff --quiet "$commit^" "$commit" -- $DRIVER; then
		continue
	fi
	tests=$(tests "$(git -C "$tree" notes show "$commit")")
	step "$(printf '%02d' $number)" "$subject" build "$commit"
	[ -z "$tests" ] ||
		step "$(printf '%02d' $number)" "  $tests" run "$tests"
done
git -C "$tree" log --format=%T base..main >"$work/passed"
echo "each of $number commits builds and passes its tests"
"$SCRIPT_DIR/series/trees.sh" --build
"$SCRIPT_DIR/series/patches.sh" | tail -n 3
