#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# bisect.sh: whoever bisects the series of patches.sh must find each commit
# working: built without a warning (W=1), and with its tests passed by it in the
# VM. Those are in the line "Tests:" at the head of the commit's patch; one that
# has none, and changes the driver, must at least load, own and let go.
set -eu
. "${0%/*}/common.sh"

DRIVER=drivers/xen/xen-pciback
tree=$OUT/series
work=$OUT/bisect
# What any xen-pciback can do, in one test
SMOKE=quirks:twins

build()
{
	rm -rf "$work/xen-pciback"
	mkdir -p "$work"
	git -C "$tree" archive "$1" $DRIVER | tar -x -C "$work" --strip-components=2
	"$VM_DIR/chroot.sh" "$(kernel_suite "$KERNEL")" \
		make -C "$OUT/headers/build" M="$work/xen-pciback" W=1 \
		KCFLAGS=-Werror CONFIG_XEN_PCIDEV_BACKEND=m CONFIG_DEBUG_INFO_BTF_MODULES= \
		-j"$(nproc)" modules
}

run()
{
	export MODULE="$work/xen-pciback/xen-pciback.ko" TESTS="$1"
	"$VM_DIR/check.sh"
}

"$VM_DIR/patches.sh"
number=0
for commit in $(git -C "$tree" rev-list --reverse base..main); do
	number=$((number + 1))
	subject=$(git -C "$tree" log -1 --format=%s "$commit" | cut -c 1-48)
	if git -C "$tree" diff --quiet "$commit^" "$commit" -- $DRIVER; then
		continue
	fi
	tests=$(sed -n '/^---$/q; s/^Tests: *//p' \
		"$(git -C "$tree" notes show "$commit")")
	step "$(printf '%02d' $number)" "$subject" build "$commit"
	step "$(printf '%02d' $number)" "  ${tests:-$SMOKE}" run "${tests:-$SMOKE}"
done
echo "each of $number commits builds and passes its tests"
