#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# bench_xl.sh WHO ROUNDS: in the VM, give cards of 3 and of 8 functions to a new
# guest by stock xl and take them back by destroying it, ROUNDS times, with the
# driver that is loaded, called WHO. Prints a line for each "create" and "destroy"
# of card N as bench.c does. Between the marks is the hardware's trace until all that xl has
# begun is done.
#
#	row	handover	WHO	N	WHAT	VALUE	MARK
set -u

DIR=$(dirname "$0")
# Not on any other machine, whose devices these would be
"$DIR/guard" || exit
# shellcheck source=handover.sh
. "$DIR/handover.sh"
who=$1 rounds=$2
mark=0

put_mark()
{
	setpci -s 00:00.0 "fc.l=$(printf '5eed%04x' "$mark")" || exit
}

# row WHAT FUNCTIONS: what was begun after put_mark has ended
row()
{
	put_mark
	printf 'row\thandover\t%s\t%s\t%s\t%s\t%s\n' "$who" "$2" "$1" "$took" "$mark"
}

failed()
{
	tail -n 20 /tmp/xl.log
	exit 1
}

# handovers BDF...
handovers()
{
	configure "$@"
	xl_adopt "$@" || failed
	settled 0 "$@" || failed
	round=0
	while [ "$round" -lt "$rounds" ]; do
		round=$((round + 1))

		mark=$((mark + 1))
		put_mark
		xl_create || failed
		domain=$(xl domid "$GUEST")
		wait_until_connected "$domain"
		row create $#

		mark=$((mark + 1))
		put_mark
		xl_destroy || failed
		settled "$domain" "$@" || failed
		row destroy $#
	done
}

xen-start
handovers 0000:04:00.0 0000:04:00.1 0000:04:00.2
set --
for function in 0 1 2 3 4 5 6 7; do
	set -- "$@" "0000:0d:00.$function"
done
handovers "$@"
