#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# machines.sh: what a reset would do on machines that people have, by
# selftests/xen-pciback/machines.c, and what pciback-reset would take for it, by
# machines_adopt.c, as a table for the kernel's documentation, where a
# copy of it is Documentation/admin-guide/xen-pciback/machines.txt.
set -eu
. "${0%/*}/../common.sh"

made_by=$(made_by machines)

: "${MACHINES:=$SELFTEST_DIR/facts}"
RESULT=$OUT/machines.txt

# rows: a line for each function whose capabilities are known, of the facts and of what
# the tests have found: place kind stock alone device set machine bdf adopt. Place is "bus" or
# "root".
rows()
{
	awk -F '\t' '
	function kind(class, address,	device)
	{
		device = address
		sub(/[.].*/, "", device)
		if (class ~ /^03/)
			return "Graphics"
		if (class ~ /^04/)
			return displays[file, device] ? "Sound of graphics" : "Other sound"
		if (class == "0280")
			return "WiFi"
		if (class ~ /^02/)
			return "Network"
		if (class == "0108")
			return "NVMe"
		return class == "0c03" ? "USB" : "Disk controllers"
	}
	function name(path)
	{
		sub(/.*\//, "", path)
		return path
	}
	FNR == 1 {
		file = name(FILENAME)
		input++
	}
	input == 1 {
		if (FNR > 1)
			plans[$1, $2, $3] = $4
		next
	}
	input == 2 {
		stock[$1, $2] = $3
		next
	}
	input == 3 {
		adopt[$1, $2] = $3
		next
	}
	/^#/ || $1 == "bdf" || NF != 22 {
		next
	}
	{
		split($1, part, ":")
		device = $1
		sub(/[.].*/, "", device)
		if ($2 ~ /^03/)
			displays[file, device] = 1
		if ($6 != "." && $6 != "00")
			behind[file, part[1], $6] = 1
		if ($21 != "n" && (file, $1) in stock) {
			n++
			files[n] = file
			bdf[n] = $1
			class[n] = $2
		}
	}
	END {
		OFS = FS
		for (i = 1; i <= n; i++) {
			file = files[i]
			split(bdf[i], part, ":")
			place = (file, part[1], part[2]) in behind ? "bus" : "root"
			print place, kind(class[i], bdf[i]), stock[file, bdf[i]],
			      plans[file, bdf[i], "function"],
			      plans[file, bdf[i], "slot"],
			      plans[file, bdf[i], "set"], file, bdf[i],
			      adopt[file, bdf[i]]
		}
	}' "$OUT/machines.tsv" "$OUT/machines-stock.tsv" "$OUT/machines-adopt.tsv" \
		"$MACHINES"/*.tsv
}

# table ROWS
table()
{
	rst_head "$made_by"
	mawk -F '\t' -v kernel="$KERNEL" '
	function strength(plan)
	{
		if (plan ~ /^(flr|slot|bus)$/)
			return "strong"
		if (plan == "pm")
			return "weak"
		return plan == "none" ? "none" : "blocked"
	}
	function share(part, all)
	{
		return sprintf("%d (%d %%)", part, all ? 100 * part / all + 0.5 : 0)
	}
	function row(what)
	{
		print "   * - " what
		print "     - " all[what] + 0
		print "     - " share(count[what, "stock", "strong"], all[what])
		print "     - " count[what, "stock", "weak"] + 0
		print "     - " count[what, "stock", "none"] + 0
		print "     - " count[what, "alone", "strong"] + 0
		print "     - " count[what, "device", "strong"] + 0
		print "     - " share(count[what, "set", "strong"], all[what])
		print "     - " count[what, "set", "weak"] + 0
		print "     - " count[what, "set", "none"] + 0
		print "     - " count[what, "set", "blocked"] + 0
		print "     - " share(count[what, "adopt"], all[what])
	}
	function add(what)
	{
		all[what]++
		count[what, "stock", strength($3)]++
		count[what, "alone", strength($4)]++
		count[what, "device", strength($5)]++
		count[what, "set", strength($6)]++
		count[what, "adopt"] += $9 == "yes"
	}
	{
		machines[$7] = 1
		if ($1 == "root") {
			add("On a root bus")
			next
		}
		add($2)
		add("All of these")
		if (strength($6) != "strong") {
			why = $6
			if (sub(/^blocked [^ ]* [(]/, "", why))
				sub(/[)]$/, "", why)
			else
				why = "no slot or bus reset exists (" why ")"
			if (!rest[why]++)
				reasons++
			where[why] = where[why] (where[why] ? ", " : "") \
				     substr($7, 1, 3) " " $8
		}
	}
	END {
		for (machine in machines)
			nr++
		print ".. list-table:: Functions of " nr " machines that people have, by " \
		      "the resets they have: Linux " kernel
		print "   :header-rows: 1"
		print "   :widths: 20 10 12 8 8 10 10 12 8 8 8 12\n"
		print "   * - Behind a bridge"
		print "     - Functions"
		print "     - Stock driver: strong"
		print "     - weak"
		print "     - none"
		print "     - This one, owned alone: strong"
		print "     - with its device: strong"
		print "     - with its reset set: strong"
		print "     - weak"
		print "     - none"
		print "     - blocked"
		print "     - as \"adopt\" takes it: strong"
		kinds = split("Graphics,Sound of graphics,Other sound,USB,Network,WiFi,NVMe," \
			      "Disk controllers,All of these,On a root bus", kind, ",")
		for (i = 1; i <= kinds; i++)
			row(kind[i])
		print "\n.. list-table:: What has no strong reset though all of its reset set " \
		      "is owned, and why"
		print "   :header-rows: 1"
		print "   :widths: 30 10 60\n"
		print "   * - Why"
		print "     - Functions"
		print "     - Which (machine, address)"
		for (; reasons; reasons--) {
			most = ""
			for (why in rest)
				if (most == "" || rest[why] > rest[most] ||
				    (rest[why] == rest[most] && why < most))
					most = why
			print "   * - " most
			print "     - " rest[most]
			print "     - " where[most]
			delete rest[most]
		}
	}' "$1"
}

TESTS=machines,machines_adopt MUTATE='' LONG='' "$SCRIPT_DIR/check/check.sh"
rows >"$OUT/machines.rows"
keep_table "$RESULT" table "$OUT/machines.rows"
