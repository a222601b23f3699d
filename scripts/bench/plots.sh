#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# plots.sh TABLE DIR: plot the figures of speed.txt, which bench.sh has made for the
# kernel's documentation, as SVG in DIR.
set -eu

table=$1
gnuplot=$(cd "$(dirname "$0")" && pwd)/bench.gnuplot
cd "$2"

# A row of the table is "* - FIGURE" and six lines "- CELL". gnuplot wants a file
# SUBJECT-WHO-WHAT.data for each series, with lines N MEDIAN SMALLEST LARGEST WAIT, in ns.
mawk '
BEGIN {
	name["(a) card made clean"] = "cards reset"
	name["(b) functions with FLR reset"] = "functions reset"
	name["(c) xl: create"] = "handover create"
	name["(c) xl: destroy"] = "handover destroy"
	name["(d) check: refusal"] = "check refusal"
	name["(e) config: read"] = "config read"
	name["(e) config: write"] = "config write"
}
function row(	scale, words, range, file)
{
	if (!(cell[1] in name) || columns < 7)
		return
	split(name[cell[1]], words, " ")
	file = words[1] "-" (cell[2] == "vfio-pci" ? "vfio" : cell[2]) "-" words[2] ".data"
	scale = cell[4] ~ / ms$/ ? 1000000 : 1
	if (split(cell[5], range, "-") < 2)
		range[1] = range[2] = cell[4]
	printf "%d %.0f %.0f %.0f %.0f\n", cell[3], cell[4] * scale, range[1] * scale,
	       range[2] * scale, cell[6] * 1000000 >file
}
/^   \* - / {
	row()
	columns = 0
}
/^   [* ] -/ {
	cell[++columns] = substr($0, 8)
	sub(/^\\/, "", cell[columns])
}
END {
	row()
}' "$table"
for file in *.data; do
	sort -n -o "$file" "$file"
done
gnuplot "$gnuplot"
rm -- *.data
