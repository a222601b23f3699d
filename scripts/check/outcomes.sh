#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# outcomes.sh: inject failures by selftests/xen-pciback/outcomes.c, and print the results
# as a table for the kernel's documentation, where a copy of it is
# Documentation/admin-guide/xen-pciback/outcomes.txt.
set -eu
. "${0%/*}/../common.sh"

RESULT=$OUT/outcomes/outcomes.txt

# table ROWS: "what | who asked | answer | state | next guest"
table()
{
	rst_head "$made_by"
	cat <<-END
		.. list-table:: Failures and their results: Linux $KERNEL, in QEMU
		   :header-rows: 1
		   :widths: 20 10 30 25 15

		   * - What goes wrong
		     - Reset asked for by
		     - pciback's answer and log
		     - State afterwards
		     - The next guest
	END
	awk -F ' [|] ' '
	NF != 5 {
		print "not a row: " $0 >"/dev/stderr"
		exit 1
	}
	{
		print "   * - " $1
		for (i = 2; i <= NF; i++)
			print "     - " $i
	}' "$1"
}

made_by=$(made_by outcomes)
mkdir -p "$OUT/outcomes"
TESTS=outcomes MUTATE='' LONG='' "$SCRIPT_DIR/check/check.sh"
sed -n 's/^# # fault: //p' "$OUT/check/check.tap" >"$OUT/outcomes/rows"
[ -s "$OUT/outcomes/rows" ] || die "no outcome: outcomes was skipped"
keep_table "$RESULT" table "$OUT/outcomes/rows"
