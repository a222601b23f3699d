#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh: measure how fast this driver is, next to the stock driver and vfio-pci.
# selftests/xen-pciback/bench.c and bench_xl.sh measure in the VM: with this driver, with
# the stock one, and in a kernel without Xen, for vfio-pci.
#
# Time in the VM passes by instructions, 1 ns each, and when it idles jumps to
# the next timer (QEMU's -icount shift=0,sleep=off): a figure depends neither on
# this machine nor on what else it does, waits are as long as they should be, and
# a time that contains none is a number of instructions.
#
# Left in $BUILD/$KERNEL/bench: rows (all measurements, with what the hardware
# saw), results.tsv (medians), goals.tsv, report.txt, plots as *.svg; and
# speed.txt, a table for the kernel's documentation, where a copy of
# it is Documentation/admin-guide/xen-pciback/speed.txt. The exit status says
# whether it ran and all numbers of resets are as they should be, not how fast.
#
# ROUNDS=number		of each measurement [5]
# VMS=number		so many VMs at once [3]
set -eu
. "${0%/*}/../common.sh"

: "${ROUNDS:=5}" "${VMS:=3}"
BENCH=$OUT/bench
ours=$OUT/xen-pciback.ko
stock=$OUT/stock/xen-pciback.ko
lock_out
TITLE="Linux $KERNEL, Xen $XEN, a CPU of 1,000 million instructions a second"

# Waits that the specifications demand, in ms, as drivers/pci/pci.c does them. Of a
# secondary bus reset: Trst, 1 ms (PCI 3.0, sec 7.6.4.2), doubled; 20 ms until
# the link is in Detect, and 100 ms when it is up (PCIe 4.0, sec 6.6.1). Of an
# FLR: 100 ms (PCIe 4.0, sec 6.6.2). By way of D3hot: 10 ms there and 10 ms back
# (PCI PM 1.2, sec 5.6.1).
WAIT_SBR=$((2 + 20 + 100))
WAIT_FLR=100
WAIT_D3=$((10 + 10))

# run NAME MODULE VM-OPTION COMMAND: leaves the rows in NAME.rows, with what the
# hardware saw
run()
{
	VM_TIMEOUT=${VM_TIMEOUT:-3600} VM_ICOUNT=shift=0,sleep=off \
		"$SCRIPT_DIR/boot.sh" -b "$3" -n "bench-$1" -m "$2" -d "$OUT/selftests" \
		"cd /selftests/xen-pciback && $4" >"$BENCH/$1.log" || {
		cat "$BENCH/$1.log"
		return 1
	}
	grep '^row' "$BENCH/$1.log" >"$BENCH/$1.said"
	mawk -f "$QEMU_DIR/feed.awk" "$OUT/run/bench-$1/trace.log" >"$BENCH/$1.seen"
	account "$BENCH/$1.seen" "$BENCH/$1.said" >"$BENCH/$1.rows"
}

# vm NAME: a VM. Of what both drivers do nothing else comes before: it would leave
# its traces.
vm()
{
	case $1 in
	ours)
		run ours "$ours" -x "./bench memory ours 1 && ./bench config ours $ROUNDS &&
			./bench cards ours $ROUNDS && ./bench functions ours $ROUNDS &&
			./bench check ours $ROUNDS"
		;;
	stock)
		run stock "$stock" -x "./bench memory stock 1 && ./bench config stock $ROUNDS &&
			./bench cards stock $ROUNDS"
		;;
	vfio) run vfio none -k "./bench cards vfio $ROUNDS" ;;
	ours-xl) run ours-xl "$ours" -g "./bench_xl.sh ours $ROUNDS" ;;
	stock-xl) run stock-xl "$stock" -g "./bench_xl.sh stock $ROUNDS" ;;
	esac
}

# Those that take longest first
vms()
{
	printf '%s\n' ours-xl stock-xl ours stock vfio | xargs -P "$VMS" -n 1 "$0" --vm
}

# account TRACE ROWS: the rows, without "row", and instead of the mark how many
# there were of: bus resets, FLRs, ways to D3hot, devices reset. Where the registers
# are is known of these devices: Bridge Control of ports, Device Control of nvme,
# power management of e1000e.
account()
{
	mawk '
	function number(hex,	n, i)
	{
		n = 0
		for (i = 1; i <= length(hex); i++)
			n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
		return n
	}
	function bit(value, n)
	{
		return int(value / 2 ^ n) % 2
	}
	FILENAME == ARGV[1] && $1 == "w" && $2 == "00:00.0" && $3 == "fc" {
		mark = number(substr($4, 5))
		open = open == mark ? 0 : mark
		seen[mark]++
		next
	}
	FILENAME == ARGV[1] && !open {
		next
	}
	FILENAME == ARGV[1] {
		if ($1 == "r")
			devices[open]++
		else if ($3 == "3e" && $5 ~ /root-port/)
			sbrs[open] += bit(number($4), 6)
		else if ($3 == "88" && $5 == "nvme")
			flrs[open] += bit(number($4), 15)
		else if ($3 == "cc" && $5 == "e1000e")
			d3s[open] += number($4) % 4 == 3
		next
	}
	FNR == 1 {
		FS = OFS = "\t"
		$0 = $0 ""
	}
	{
		mark = $7
		if (mark && seen[mark] != 2) {
			print "mark " mark " of \"" $0 "\" seen " seen[mark] + 0 " times" >"/dev/stderr"
			exit 1
		}
		print $2, $3, $4, $5, $6, sbrs[mark] + 0, flrs[mark] + 0,
			d3s[mark] + 0, devices[mark] + 0
	}' "$@"
}

# bytes STRUCT MODULE: its size, from the debug information
bytes()
{
	objdump --dwarf=info "$2" 2>/dev/null | mawk -v name="$1" '
		/DW_TAG_/ { found = 0; structure = /DW_TAG_structure_type/ }
		structure && /DW_AT_name/ { found = $NF == name }
		found && /DW_AT_byte_size/ { print $NF; exit }'
}

# instructions MODULE: of the function that runs what a guest asked for
instructions()
{
	objdump -d --no-show-raw-insn "$1" | mawk '
		/^[0-9a-f]+ <.*>:$/ { in_it = $2 ~ /<xen_pcibk_do_(one_)?op>/ }
		in_it && /^ *[0-9a-f]+:\t/ && !/\tnop/ { n++ }
		END { print n }'
}

# static WHO MODULE: rows
static()
{
	# text, data, bss
	# shellcheck disable=SC2046
	set -- "$1" "$2" $(size "$2" | tail -n 1)
	printf '%s\t%s\t1\t%s\t%s\t0\t0\t0\t0\n' \
		memory "$1" "module file: code, bytes" "$3" \
		memory "$1" "module file: data, bytes" $(($4 + $5)) \
		memory "$1" "struct pcistub_device, bytes" "$(bytes pcistub_device "$2")" \
		memory "$1" "struct xen_pcibk_dev_data, bytes" \
		"$(bytes xen_pcibk_dev_data "$2")" \
		config "$1" "code, instructions" "$(instructions "$2")"
}

# medians ROWS: SUBJECT WHO N WHAT MEDIAN SMALLEST LARGEST ROUNDS, and of each round
# BUS-RESETS FLRS D3HOT DEVICES, -1 where they differ, and WAIT in ns, the longest
medians()
{
	sort -t "$(printf '\t')" -k1,1 -k2,2 -k3,3n -k4,4 -k5,5n "$1" | mawk -F '\t' -v OFS='\t' \
		-v sbr="$WAIT_SBR" -v flr="$WAIT_FLR" -v d3="$WAIT_D3" '
	function end(	middle, i)
	{
		if (!nr)
			return
		# Of two in the middle what is between them
		middle = (values[int((nr + 1) / 2)] + values[int(nr / 2) + 1]) / 2
		printf "%s\t%.1f\t%s\t%s\t%d", key, middle, values[1], values[nr], nr
		for (i = 6; i <= 9; i++)
			printf "\t%d", low[i] == high[i] ? low[i] : -1
		printf "\t%.0f\n", wait * 1000000
		nr = wait = 0
	}
	{
		now = $1 OFS $2 OFS $3 OFS $4
		if (now != key)
			end()
		key = now
		values[++nr] = $5
		for (i = 6; i <= 9; i++) {
			if (nr == 1 || $i < low[i])
				low[i] = $i
			if (nr == 1 || $i > high[i])
				high[i] = $i
		}
		# The command has all its FLRs at once
		demanded = $6 * sbr + ($2 ~ /^(command|at-once)$/ ? $7 > 0 : $7) * flr + $8 * d3
		if (demanded > wait)
			wait = demanded
	}
	END { end() }'
}

# goals RESULTS: FIGURE GOAL MEASURED OK
goals()
{
	mawk -F '\t' -v OFS='\t' '
	function goal(figure, relation, limit, measured, format,	ok)
	{
		ok = relation == "=" ? measured == limit : measured <= limit
		print figure, (relation == "=" ? "" : "at most ") limit,
			sprintf(format, measured), ok ? "yes" : "no"
	}
	function ratio(subject, n, what, other)
	{
		return value[subject, "ours", n, what] / value[subject, other, n, what]
	}
	# Per function, for those that a set has more than another
	function check(from, to)
	{
		return (value["check", "ours", to, "refusal"] - \
			(from ? value["check", "ours", from, "refusal"] : 0)) / (to - from)
	}
	{
		value[$1, $2, $3, $4] = $5
		sbrs[$1, $2, $3, $4] = $9
		kinds[$1, $2, $3, $4] = ($9 != 0) + ($10 != 0) + ($11 != 0)
		devices[$1, $2, $3, $4] = $12
	}
	END {
		split("2 3 8", cards, " ")
		for (i = 1; i <= 3; i++) {
			n = cards[i]
			name = "(a) card of " n ": "
			goal(name "bus resets", "=", 1, sbrs["cards", "ours", n, "reset"], "%d")
			goal(name "devices reset by it", "=", n + 0,
				devices["cards", "ours", n, "reset"], "%d")
			goal(name "time / hot reset by vfio-pci", "<=", 1.25,
				ratio("cards", n, "reset", "vfio"), "%.3f")
		}
		name = "functions" SUBSEP "command"
		goal("(b) pciback-reset reset: one function / a write by the shell", "<=", 1.05,
			value[name, 1, "reset"] / value["functions", "serial", 1, "reset"], "%.3f")
		goal("(b) pciback-reset reset: 64 functions / one", "<=", 1.2,
			value[name, 64, "reset"] / value[name, 1, "reset"], "%.2f")
		for (i = 2; i <= 3; i++) {
			n = cards[i]
			name = "(c) card of " n ": "
			# The request before the hand-out, and the release: once each, and
			# nothing else beside it
			split("create destroy", actions, " ")
			for (j = 1; j <= 2; j++) {
				goal(name "bus resets at xl " actions[j], "=", 1,
					sbrs["handover", "ours", n, actions[j]], "%d")
				goal(name "kinds of resets at xl " actions[j], "=", 1,
					kinds["handover", "ours", n, actions[j]], "%d")
			}
			goal(name "xl create / stock driver", "<=", n == 8 ? 1 : 1.3,
				ratio("handover", n, "create", "stock"), "%.3f")
			goal(name "xl destroy / stock driver", "<=", n == 8 ? 0.75 : 0.9,
				ratio("handover", n, "destroy", "stock"), "%.3f")
		}
		goal("(d) check per function: set of 256 / of 8", "<=", 1.3,
			check(0, 256) / check(0, 8), "%.3f")
		goal("(d) check of one function more: at 256 / at 16", "<=", 1.3,
			check(128, 256) / check(8, 16), "%.3f")
		goal("(e) config read: instructions / stock driver", "<=", 1.01,
			ratio("config", 1, "read", "stock"), "%.4f")
		goal("(e) config write: instructions / stock driver", "<=", 1.01,
			ratio("config", 1, "write", "stock"), "%.4f")
	}' "$1"
}

# figures RESULTS: WHAT WHO N MEDIAN SPREAD WAIT HARDWARE, for people
figures()
{
	mawk -F '\t' -v OFS='\t' '
	function of(n, what)
	{
		return n ? (hardware ? ", " : "") (n < 0 ? "some" : n) " " what : ""
	}
	BEGIN {
		text["cards"] = "(a) card made clean"
		text["functions"] = "(b) functions with FLR reset"
		text["handover"] = "(c) xl"
		text["check"] = "(d) check"
		text["config"] = "(e) config"
		text["memory"] = "(f)"
		who["vfio"] = "vfio-pci"
	}
	{
		unit = "instructions"
		scale = 1
		format = "%.0f"
		if ($1 == "cards" || $1 == "functions" || $1 == "handover") {
			unit = "ms"
			scale = 1000000
			format = "%.1f"
		}
		if ($4 ~ /, /)
			unit = substr($4, index($4, ", ") + 2)
		if ($4 == "forks") {
			unit = "forks"
			scale = 1
			format = "%.0f"
		}
		what = $4
		sub(/, .*/, "", what)
		hardware = ""
		hardware = of($9, "SBR")
		hardware = hardware of($10, "FLR")
		hardware = hardware of($11, "D3hot")
		print text[$1] (what == "reset" ? "" : ": " what),
			$2 in who ? who[$2] : $2, $3,
			sprintf(format " %s", $5 / scale, unit),
			$6 == $7 ? "" : sprintf(format "-" format, $6 / scale, $7 / scale),
			$13 ? sprintf("%.0f ms, %.0f %%", $13 / 1000000, 100 * $13 / $5) : "",
			hardware
	}' "$1" | sort -s -k 1.1,1.3
}

# aligned FILE HEADING...: a table in plain text
aligned()
{
	file=$1
	shift
	(
		IFS='	'
		echo "$*"
		cat "$file"
	) | mawk -F '\t' '
	{
		for (i = 1; i <= NF; i++) {
			cell[NR, i] = $i
			if (length($i) > width[i])
				width[i] = length($i)
		}
		if (NF > columns)
			columns = NF
	}
	END {
		for (row = 1; row <= NR; row++) {
			line = ""
			for (i = 1; i <= columns; i++)
				line = line sprintf("%-" width[i] "s  ", cell[row, i])
			sub(/ *$/, "", line)
			print line
		}
	}'
}

# list_table FILE TITLE HEADING...: the same for the documentation. "(a)" would be a list there.
list_table()
{
	file=$1
	printf '.. list-table:: %s\n   :header-rows: 1\n\n' "$2"
	shift 2
	(
		IFS='	'
		echo "$*"
		cat "$file"
	) | mawk -F '\t' -v columns=$# '{
		for (i = 1; i <= columns; i++)
			print (i == 1 ? "   * - " : "     - ") $i
	}' | sed 's/ *$//; s/^\( *[* ] - \)(/\1\\(/'
}

report()
{
	echo "Speed: $TITLE. Medians of $ROUNDS"
	echo
	aligned "$BENCH/goals.tsv" figure goal measured ok
	echo
	aligned "$BENCH/figures.tsv" figure by N median from-to "wait demanded" hardware
}

documentation()
{
	rst_head "$made_by"
	list_table "$BENCH/goals.tsv" "Goals ($TITLE)" Figure Goal Measured Met
	echo
	list_table "$BENCH/figures.tsv" "Figures: medians of $ROUNDS" \
		Figure By N Median From-to "Of which demanded waits" Hardware
}

# data SUBJECT WHO WHAT: N MEDIAN SMALLEST LARGEST WAIT, for gnuplot
data()
{
	mawk -F '\t' -v subject="$1" -v who="$2" -v what="$3" '
		$1 == subject && $2 == who && $4 == what {
			print $3, $5, $6, $7, $13
		}' "$BENCH/results.tsv" | sort -n >"$BENCH/$1-$2-$3.data"
}

plots()
{
	for who in ours stock vfio; do
		data cards "$who" reset
	done
	data functions serial reset
	data functions command reset
	for who in ours stock; do
		data handover "$who" create
		data handover "$who" destroy
		data config "$who" read
		data config "$who" write
	done
	data check ours refusal
	(cd "$BENCH" && gnuplot "$SCRIPT_DIR/bench/bench.gnuplot")
	rm "$BENCH"/*.data
}

if [ "${1-}" = --vm ]; then
	vm "$2"
	exit
fi

made_by=$(made_by bench)
"$SCRIPT_DIR/module.sh"
"$SCRIPT_DIR/module.sh" --stock
build_vm xentools
rm -rf "$BENCH"
mkdir -p "$BENCH"

step bench "this driver, the stock one, vfio-pci; 5 VMs" vms
{
	cat "$BENCH"/*.rows
	static ours "$ours"
	static stock "$stock"
} >"$BENCH/rows"
rm "$BENCH"/*.rows "$BENCH"/*.said "$BENCH"/*.seen
medians "$BENCH/rows" >"$BENCH/results.tsv"
goals "$BENCH/results.tsv" >"$BENCH/goals.tsv"
figures "$BENCH/results.tsv" >"$BENCH/figures.tsv"
report >"$BENCH/report.txt"
documentation >"$BENCH/speed.txt"
step plots "$BENCH/*.svg" plots
cat "$BENCH/report.txt"
echo "  in $BENCH: report.txt, results.tsv, *.svg"
# A number of resets has no "at most", and nothing to do with the machine
! mawk -F '\t' '$2 !~ /^at most/ && $4 == "no"' "$BENCH/goals.tsv" | grep . ||
	die "not as many resets as there should be"
