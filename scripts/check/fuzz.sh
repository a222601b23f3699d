#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh: check that the driver accepts the addresses that a reference parser
# (lib/bdf.c) accepts, and no others; and that no input from outside makes the parsers of
# pciback-reset fail.
#
# N=number	inputs for the driver's parser alone, built for user space
#		with ASan and UBSan: by libFuzzer, from good addresses and a
#		dictionary; and a tenth of that (1000 at least) for the driver
#		in the VM, by input_fuzz.c [1000000]
# SEED=number	to have the same ones again: what failed says which [random]
set -eu
. "${0%/*}/../common.sh"

[ "${N:-}" ] || N=1000000
[ "${SEED:-}" ] || SEED=$(($(od -A n -N 2 -t u2 /dev/urandom) + 1))
FUZZ=$BUILD/fuzz
SOURCE=$TOP/drivers/xen/xen-pciback/reset_sysfs.c

# Cut out, not copied: what is tested is what is built for the kernel
build_parser()
{
	rm -rf "$FUZZ"
	mkdir -p "$FUZZ/inputs"
	for name in pcibk_parse_hex pcibk_parse_bdf; do
		sed -n "/^static .* $name(/,/^}/p" "$SOURCE" | grep . ||
			die "no $name() in $SOURCE"
	done >"$FUZZ/driver.h"
	clang -g -O1 -Wall -I"$FUZZ" -I"$SELFTEST_DIR" -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -fprofile-instr-generate -fcoverage-mapping \
		-o "$FUZZ/parser" "$SCRIPT_DIR/check/fuzz/parser.c" "$SELFTEST_DIR/lib/bdf.c"
}

build_command()
{
	mkdir -p "$FUZZ/command-inputs"
	clang -g -O1 -Wall -D_GNU_SOURCE -I"$TOP/tools/xen" -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o "$FUZZ/command" \
		"$SCRIPT_DIR/check/fuzz/command.c" "$TOP/tools/xen/parse.c"
}

run_command()
{
	cd "$FUZZ"
	# A path that is too long, and one of each other kind
	printf '0000:01:00.0=10de:1b80@%0300d' 0 >command-inputs/want
	echo 'blocked 0000:01:00.1 (no driver)' >command-inputs/plan
	echo 'ADOPT="0000:01:00.0"' >command-inputs/setting
	echo '30 1 8:1 / /srv rw - ext4 /dev/sda1 rw' >command-inputs/mount
	./command -runs="$N" -seed="$SEED" -max_len=4096 -max_total_time=60 \
		-dict="$SCRIPT_DIR/check/fuzz/command.dict" command-inputs
}

seeds()
{
	number=0
	for before in '' ' ' '\t\n'; do
		for domain in '' 0000: Ffff:; do
			for rest in 00:00.0 01:1f.7 aB:0D.7; do
				for after in '' '\n' '\r\v\f '; do
					number=$((number + 1))
					# shellcheck disable=SC2059
					printf "$before$domain$rest$after" \
						>"$FUZZ/inputs/seed-$number"
				done
			done
		done
	done
}

run_parser()
{
	seeds
	cd "$FUZZ"
	# The seeds stay, or few of the inputs would be addresses
	LLVM_PROFILE_FILE=$FUZZ/parser.profraw ./parser -runs="$N" -seed="$SEED" \
		-max_len=4096 -keep_seed=1 -reduce_inputs=0 \
		-dict="$SCRIPT_DIR/check/fuzz/bdf.dict" inputs >said 2>&1 || {
		cat said
		return 1
	}
	llvm-profdata merge -o parser.profdata parser.profraw
	llvm-cov report -show-functions -instr-profile=parser.profdata \
		./parser driver.h >coverage
	llvm-cov show -instr-profile=parser.profdata ./parser driver.h >lines
}

# What of the parser's functions was reached, and the lines that were not
coverage()
{
	awk '
		sub(/^parser.c:/, "") {
			print "    " $1 ": " $7 " of lines, " $10 " of branches"
			functions++
		}
		/\| *0\|/ { print "    not reached: " $0 }
		END { exit functions != 2 }
	' "$FUZZ/coverage" "$FUZZ/lines"
}

step fuzz "the driver's parser, in user space" build_parser
step fuzz-run "its answers to $N inputs, seed $SEED" run_parser
sed -n 's/^[0-9]* inputs, /    &/p' "$FUZZ/said"
coverage
step fuzz "the command's parsers" build_command
step fuzz-cmd "$N inputs, a minute at most, seed $SEED" run_command

runs=$((N / 10))
[ "$runs" -ge 1000 ] || runs=1000
VM_ENV="FUZZ_RUNS=$runs FUZZ_SEED=$SEED" TESTS=input_fuzz "$SCRIPT_DIR/check/check.sh"
