#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: run the kselftests in the VM, by the kernel's own runner.
#
# TESTS=name,...	only these programs; name:test for one test of a program
# LONG=1		only those that take long, which are not run otherwise
# MUTATE=1		prove that the tests can fail: for each of mutations/*.patch
#			build a driver with that fault; some test must fail. A line
#			"Tests: name,..." at its head says which are enough to run.
# MODULE=FILE		that driver, not the one built of the series $KERNEL
#
# The last line is "N passed, N failed, N skipped". Also a failure: no test at
# all, a VM that died or hung, and a kernel that complained (the log tells).
set -eu
. "${0%/*}/common.sh"

: "${TESTS:=}" "${MUTATE:=}" "${LONG:=}" "${MODULE:=}"
LONG_TESTS=handovers,guest_hvm
# Where devices were taken out and put in again, Xen lets dom0's own drivers have
# no MSI-X for them: this one needs some.
OWN_VM=command.sh
LONG_TIMEOUT=7200

# has_any NAME,... TEST,...: is one of the programs among the tests?
has_any()
{
	echo "$2" | tr ',' '\n' | sed 's/:.*//' |
		grep -qxF "$(echo "$1" | tr ',' '\n')"
}

# Those to be run if none are named, a word for each VM
default_tests()
{
	if [ -n "$LONG" ]; then
		echo "$LONG_TESTS" | tr ',' ' '
	else
		sed -n 's/^xen-pciback://p' \
			"$OUT/selftests/selftests/kselftest-list.txt" |
			grep -vxF "$(echo "$LONG_TESTS,$OWN_VM" | tr ',' '\n')" |
			paste -s -d ,
		echo "$OWN_VM" | tr ',' ' '
	fi
}

# guest_command TEST,...: the runner takes a program's arguments
# from a variable named after it, and the harness the name of a test with -t.
guest_command()
{
	echo "cd /selftests"
	list=''
	for test in $(echo "$1" | tr ',' ' '); do
		program=${test%%:*}
		list="$list -t xen-pciback:$program"
		[ "$test" = "$program" ] ||
			echo "export KSELFTEST_$(echo "$program" | tr '[:lower:].-' '[:upper:]__')_ARGS='-t ${test#*:}'"
	done
	has_any "$LONG_TESTS" "$1" && list="$list -o $LONG_TIMEOUT"
	echo "./run_kselftest.sh$list"
}

# count TAP-FILE: sets passed, failed, skipped; prints what is wrong beside
# failed tests. The runner prefixes what a test program says with "# ", and
# adds a line of its own for the program. A test in C has results of its own;
# one that has none counts as one.
count()
{
	mawk '
	/^# 1\.\.[0-9]+$/ {
		planned += substr($2, 4)
	}
	/^# not ok / {
		results++
		bad++
		failed++
	}
	/^# ok / {
		results++
		if (/# SKIP/)
			skipped++
		else
			passed++
	}
	/^(not )?ok [0-9]+ selftests: / {
		programs++
		if (/^not ok/) {
			# died, hung, or says nothing of its own
			if (!bad)
				failed++
		} else if (results < planned) {
			print "# only " results " of " planned " tests ran: " $0
			failed++
		} else if (!results && /# SKIP/) {
			skipped++
		} else if (!results) {
			passed++
		}
		results = planned = bad = 0
	}
	/^1\.\.[0-9]+$/ {
		expected += substr($1, 4)
	}
	END {
		if (programs < expected) {
			print "# only " programs + 0 " of " expected " test programs ended"
			failed++
		} else if (!programs) {
			print "# no test ran"
			failed++
		}
		print "counts", passed + 0, failed + 0, skipped + 0
	}' "$1" >"$1.counts"
	grep '^#' "$1.counts" || :
	# shellcheck disable=SC2046
	set -- $(sed -n 's/^counts //p' "$1.counts")
	passed=$1 failed=$2 skipped=$3
}

# complaints CONSOLE-LOG: what should not be in a kernel's log, nor in Xen's
complaints()
{
	tr -d '\r' <"$1" | grep -E '\[ *[0-9]+\.[0-9]+\]|\(XEN\)' |
		grep -E -e '(WARNING|BUG|Oops|UBSAN):' \
			-e 'Kernel panic|kernel BUG|general protection|nable to handle' \
			-e 'Call Trace|Xen call trace|Panic on CPU|FATAL|Dom0 crashed' \
			-e 'INFO: (task .* blocked|rcu|possible|.*lock)|soft lockup|LOCKUP' \
			-e 'unlocked secondary bus reset|scheduling while atomic' \
			-e 'refcount_t|(list_add|list_del) corruption|bad unlock' \
			-e 'sleeping function called|suspicious RCU|DEBUG_LOCKS' \
			-e 'cannot create duplicate|use-after-free|\(XEN\) \*\*\*\*' |
		sort -u
}

# run_tests NAME MODULE TESTS: boot, run, and count; sets what count() does.
# What the VM says goes to fd 3: the terminal, or nowhere for a mutant.
run_tests()
{
	tap=$OUT/check/$1.tap
	# A real guest needs more of a machine, which takes longer to boot.
	with=-x
	! has_any guest_pv,handovers,command.sh "$3" || with=-g
	! has_any guest_hvm "$3" || with=-H
	timeout=3600
	! has_any "$LONG_TESTS" "$3" || timeout=$LONG_TIMEOUT
	{
		vm_rc=0
		# loglevel 4: no more than errors between the tests' lines;
		# what the kernel warned of is in the dmesg at the log's end
		VM_TIMEOUT=${VM_TIMEOUT:-$timeout} \
			"$VM_DIR/vm.sh" "$with" -l 4 -n "$1" -m "$2" \
			-d "$OUT/selftests" "$(guest_command "$3")" || vm_rc=$?
		echo "$vm_rc" >"$tap.rc"
	} | tee "$tap" >&3
	count "$tap"
	[ "$(cat "$tap.rc")" -eq 0 ] || failed=$((failed + 1))

	complaints "$OUT/run/$1/console.log" >"$tap.complaints" || :
	if [ -s "$tap.complaints" ]; then
		echo "# the kernel complained, in $OUT/run/$1/console.log:"
		sed 's/^/#   /' "$tap.complaints"
		failed=$((failed + 1))
	fi
}

# mutation PATCH: run the tests on a driver with this fault
mutation()
{
	name=$(basename "$1" .patch)
	"$VM_DIR/module.sh" -o "$OUT/mutants/$name" "$1"
	only=$(sed -n 's/^Tests: *//p' "$1")
	run_tests "mutant-$name" "$OUT/mutants/$name/xen-pciback.ko" "${TESTS:-$only}" \
		>"$OUT/check/mutant-$name.out" 2>&1
	# A run without tests proves nothing, unless the fault ended it.
	if [ "$(cat "$tap.rc")" -lt 124 ] && grep -q '^# no test ran' "$tap.counts"; then
		failed=0
	fi
}

# By name, what failed: the first is enough to see that it is the right one
caught_by()
{
	sed -n 's/^# not ok [0-9]* //p; s/^not ok [0-9]* selftests: //p' "$1" |
		head -n 1 | grep . || echo 'the VM or its kernel'
}

"$VM_DIR/module.sh"
# A device model only for those who need it
hvm=''
[ -z "$LONG" ] && ! has_any guest_hvm "$TESTS" || hvm=hvm
# shellcheck disable=SC2086
"$VM_DIR/fetch.sh" linux xen tools dash xentools $hvm
# shellcheck disable=SC2086
"$VM_DIR/unpack.sh" vm xentools $hvm
# shellcheck disable=SC2086
"$VM_DIR/image.sh" base xentools guest $hvm
"$VM_DIR/tests.sh"
mkdir -p "$OUT/check"

exec 3>&1
if [ -z "$MUTATE" ]; then
	all_passed=0 all_failed=0 all_skipped=0 run=''
	for tests in ${TESTS:-$(default_tests)}; do
		# The first is "check", for whoever looks for its console.log
		run=check${run:+-${tests%%[.,:]*}}
		run_tests "$run" "${MODULE:-$OUT/xen-pciback.ko}" "$tests"
		all_passed=$((all_passed + passed))
		all_failed=$((all_failed + failed))
		all_skipped=$((all_skipped + skipped))
	done
	echo "$all_passed passed, $all_failed failed, $all_skipped skipped"
	[ "$all_failed" -eq 0 ]
	exit
fi

exec 3>/dev/null
caught=0 survived=0 number=0
set -- "$SELFTEST_DIR"/mutations/*.patch
echo "TAP version 13"
echo "1..$#"
for mutation; do
	number=$((number + 1))
	mutation "$mutation"
	if [ "$failed" -gt 0 ]; then
		caught=$((caught + 1))
		echo "ok $number $name # caught by: $(caught_by "$tap")"
	else
		survived=$((survived + 1))
		echo "not ok $number $name # no test fails with this fault"
	fi
done
echo "$caught passed, $survived failed, 0 skipped"
[ "$survived" -eq 0 ]
