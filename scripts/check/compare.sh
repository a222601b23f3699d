#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# compare.sh: hand the same devices to guests with the stock driver and with this one, and
# print what was reset as a table for the kernel's documentation, where a copy of it is
# Documentation/admin-guide/xen-pciback/before-after.txt.
# Both runs are selftests/xen-pciback/compare.sh in the VM.
set -eu
. "${0%/*}/../common.sh"

RESULT=$OUT/compare/before-after.txt

# run NAME MODULE: leaves the rows in compare/NAME
run()
{
	VM_TIMEOUT=${VM_TIMEOUT:-1800} "$SCRIPT_DIR/boot.sh" -g -l 1 -n "compare-$1" \
		-m "$2" -d "$OUT/selftests" /selftests/xen-pciback/compare.sh \
		>"$OUT/compare/$1.log"
	grep '^row' "$OUT/compare/$1.log" >"$OUT/compare/$1"
}

# table STOCK OURS: both have the same rows
table()
{
	rst_head "$made_by"
	cat <<-END
		.. list-table:: Hand-overs by stock xl of Xen $XEN, Linux $KERNEL, in QEMU (times: of an emulated CPU)
		   :header-rows: 1
		   :widths: 20 10 25 8 25 8

		   * - Devices
		     - Step
		     - Stock: what was reset
		     - xl took
		     - This driver: what was reset
		     - xl took
	END
	paste "$1" "$2" | awk -F '\t' '
	function hardware(text, left)
	{
		gsub(/secondary bus reset by/, "SBR by", text)
		gsub(/function-level reset of/, "FLR of", text)
		sub(/no reset of anything/, "nothing", text)
		gsub(/; /, ", ", text)
		if (left ~ /[^ ]/) {
			sub(/ *$/, "", left)
			text = text ". **Left by the guest:** DMA address in " left
		}
		return text
	}
	BEGIN {
		words["adopt"] = "pci-assignable-add"
		words["create"] = "create"
		words["destroy"] = "destroy"
	}
	{
		if ($2 != $8 || $3 != $9) {
			print "the runs differ: " $0 >"/dev/stderr"
			exit 1
		}
		print "   * - " ($2 == last ? "" : $2)
		print "     - " words[$3]
		print "     - " hardware($5, $6)
		print "     - " $4 " ms"
		print "     - " hardware($11, $12)
		print "     - " $10 " ms"
		last = $2
	}' | sed 's/ *$//'
}

made_by=$(made_by compare)
"$SCRIPT_DIR/module.sh"
"$SCRIPT_DIR/module.sh" --stock
build_vm xentools
mkdir -p "$OUT/compare"
run stock "$OUT/stock/xen-pciback.ko"
run ours "$OUT/xen-pciback.ko"
keep_table "$RESULT" table "$OUT/compare/stock" "$OUT/compare/ours"
