#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mutate.sh: would the tests find faults that nobody chose? N mutants of the driver,
# of a sample that SEED tells, are made by mutate.py, which says what the faults are;
# check.sh runs the tests on each, until one fails. OPERATORS=name,... makes only such
# faults [all but lock]. Those that survive must be in the file "survivors", with a
# reason, or this fails. The whole table is left in $BUILD/$KERNEL/mutate.tsv.
#
# Which tests reach a line is asked of coverage.sh, which runs first if it has not.
set -eu
. "${0%/*}/../common.sh"

: "${N:=200}" "${SEED:=$(date +%s)}" "${VMS:=3}" "${OPERATORS:=}"
lock_out

export PYTHONDONTWRITEBYTECODE=1
COVERAGE=$OUT/coverage.json
FOLDER=$OUT/mutate

"$SCRIPT_DIR/module.sh"
if [ -z "$(find "$COVERAGE" -newer "$OUT/xen-pciback.ko" 2>/dev/null)" ]; then
	TESTS='' "$SCRIPT_DIR/check/coverage.sh"
fi

make_mutants()
{
	"$SCRIPT_DIR/module.sh" -o "$FOLDER/base"
	# From here on it is no longer what that has made
	rm "$FOLDER/base/.xen-pciback.inputs"
	"$SCRIPT_DIR/module.sh" --plain --sources -o "$OUT/plain"
	rm -rf "$FOLDER/sample"
	mkdir -p "$FOLDER/sample"
	"$SCRIPT_DIR/check/mutate.py" sample --number "$N" --seed "$SEED" \
		--operators "$OPERATORS" \
		--sources "$FOLDER/base/xen-pciback" --plain "$OUT/plain/xen-pciback" \
		--headers "$OUT/headers/build" --coverage "$COVERAGE" \
		--out "$FOLDER/sample" -- \
		"$SCRIPT_DIR/chroot.sh" "$(kernel_suite)" \
		make -C "$OUT/headers/build" M="$FOLDER/base/xen-pciback" \
		CONFIG_XEN_PCIDEV_BACKEND=m CONFIG_DEBUG_INFO_BTF_MODULES= \
		-j"$(nproc)" modules
}

report()
{
	"$SCRIPT_DIR/check/mutate.py" report --out "$FOLDER/sample" \
		--results "$OUT/check" --survivors "$SCRIPT_DIR/check/survivors" \
		--table "$OUT/mutate.tsv"
}

step mutate "$N mutants, SEED=$SEED" make_mutants
[ -n "$V" ] || tail -n 1 "$BUILD/log/mutate"
rm -f "$OUT"/check/mutant-*.result
MUTATE=1 MUTATIONS=$FOLDER/sample TESTS='' "$SCRIPT_DIR/check/check.sh" || :
report
