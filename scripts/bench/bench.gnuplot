# SPDX-License-Identifier: GPL-2.0
#
# bench.gnuplot: the plots of bench.sh, in the folder that has its data: files
# SUBJECT-WHO-WHAT.data, of lines N MEDIAN SMALLEST LARGEST WAIT, in ns
set terminal svg size 720,440 font "sans,13" background rgb "white"
set style fill solid 0.8
set grid ytics
set key below
set yrange [0:]

# Bars of a group are put side by side around its place on the x axis
shift(i, n) = (i - (n - 1) / 2.0) * 0.25
width = 0.22

set output "cards.svg"
set xrange [-0.5:2.5]
set title "Reset of a card whose functions have no FLR"
set ylabel "ms"
set xlabel "functions"
set xtics ("2" 0, "3" 1, "8" 2)
plot "cards-ours-reset.data" using ($0 + shift(0, 3)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars title "this driver: one write", \
	"cards-vfio-reset.data" using ($0 + shift(1, 3)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars title "vfio-pci: hot reset", \
	"cards-stock-reset.data" using ($0 + shift(2, 3)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars title "stock driver: reset of each (PM, weak)", \
	"cards-ours-reset.data" using ($0):($5 / 1e6):(0.4) with xerrorbars pointtype 0 linewidth 2 title "demanded by the specification"

set output "functions.svg"
set title "Functions reset by FLR"
set logscale xy 2
set xrange [*:*]
set yrange [64:*]
set xtics auto
plot "functions-serial-reset.data" using 1:($2 / 1e6) with linespoints title "a write each, one after the other", \
	"functions-command-reset.data" using 1:($2 / 1e6) with linespoints title "pciback-reset reset", \
	"functions-command-reset.data" using 1:($5 / 1e6) with lines title "demanded by the specification"
unset logscale
set yrange [0:*]

set output "handover.svg"
set title "xl create and xl destroy of a guest with a card"
set xrange [-0.5:3.5]
set xtics ("create, 3" 0, "create, 8" 1, "destroy, 3" 2, "destroy, 8" 3)
set xlabel ""
plot "handover-ours-create.data" using ($0 + shift(0, 2)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars linetype 1 title "this driver", \
	"handover-stock-create.data" using ($0 + shift(1, 2)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars linetype 2 title "stock driver", \
	"handover-ours-destroy.data" using ($0 + 2 + shift(0, 2)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars linetype 1 notitle, \
	"handover-stock-destroy.data" using ($0 + 2 + shift(1, 2)):($2 / 1e6):($3 / 1e6):($4 / 1e6):(width) with boxerrorbars linetype 2 notitle

set output "check.svg"
set title "A reset refused because of the last function of its set"
set logscale x 2
set xrange [*:*]
set xtics auto
set xlabel "functions of the set"
set ylabel "instructions per function"
plot "check-ours-refusal.data" using 1:($2 / $1) with linespoints title "this driver"
unset logscale

set output "config.svg"
set title "A guest's access to a register, there and back"
set xtics ("read" 0, "write" 1)
set xlabel ""
set ylabel "instructions"
set xrange [-0.5:1.5]
plot "config-ours-read.data" using (shift(0, 2)):2:3:4:(width) with boxerrorbars linetype 1 title "this driver", \
	"config-stock-read.data" using (shift(1, 2)):2:3:4:(width) with boxerrorbars linetype 2 title "stock driver", \
	"config-ours-write.data" using (1 + shift(0, 2)):2:3:4:(width) with boxerrorbars linetype 1 notitle, \
	"config-stock-write.data" using (1 + shift(1, 2)):2:3:4:(width) with boxerrorbars linetype 2 notitle
