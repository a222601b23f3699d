#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# long.sh: what takes too long for "make check":
#
#	handovers, guest_hvm, libvirt	twenty hand-overs in a row, HVM guests, libvirt
#	machines, machines_adopt	all machines, not one of eight
#	methods				with slots that ACPI drives
#	races				with five times as many rounds
#	escalation:dead			the core's patience, by a clock that does not jump
#	stress, hostile			for MINUTES in all, with each seed as long
#	make check MUTATE=1		each fault of mutations/
#	make mutate			all faults that it can make but of locks, or N
#
# N=number		[all]
# MINUTES=number	[360]
# SEED="number ..."	[three at random]: what failed says which it was
#
# Each runs to its end, whatever has failed before it. The last line is "N passed,
# N failed, N skipped".
set -eu
. "${0%/*}/../common.sh"

[ "${MINUTES:-}" ] || MINUTES=360
[ "${SEED:-}" ] || SEED=$(od -A n -N 6 -t u2 /dev/urandom)
LOG=$BUILD/long
mkdir -p "$LOG"
rm -f "$LOG"/*.sum

# run NAME ASSIGNMENT...: $script, with these in its environment
script=check.sh
run()
{
	log=$LOG/$1
	shift
	echo "  long     $script $*"
	env "$@" "$SCRIPT_DIR/check/$script" 2>&1 | tee "$log"
	keep_result "$log" "$log.sum"
}

# One VM a program; stress and hostile have two CPUs each
run guests LONG=1 TESTS='handovers guest_hvm libvirt machines,machines_adopt'
run acpi LONG=1 VM_HOTPLUG=acpi TESTS=methods
run races LONG=1 VM_ENV='RACES_ROUNDS=200' TESTS=races
run patience LONG=1 VM_ICOUNT= TESTS=escalation:dead
# shellcheck disable=SC2086
set -- $SEED
seconds=$((MINUTES * 60 / $# / 2))
for seed; do
	for test in stress hostile; do
		run "$test-$seed" LONG=1 VM_CPUS=2 \
			VM_ENV="STRESS_SECONDS=$seconds STRESS_SEED=$seed" \
			LIMIT=$((seconds + 1800)) VM_TIMEOUT=$((seconds + 7200)) \
			TESTS="$test"
	done
done
run mutations MUTATE=1 TESTS=
script=mutate.sh
run mutants N="${N:-100000}" SEED="${SEED%% *}" TESTS=

sum_results "$LOG"/*.sum
