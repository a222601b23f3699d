#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: run the kselftests in the VM, by the kernel's own runner.
#
# TESTS=name,...	only these programs; name:test for one test of a program; each
#			word runs in a VM of its own
# VMS=N			so many VMs at once [3]: they wait more than they work
# APART=1		each of all programs in a VM of its own
# SHUFFLE=SEED	in another order, in each VM others: no test may depend on what
#			ran before it
# LONG=1		only those that take long, which are not run otherwise
# MUTATE=1		prove that the tests can fail: for each of mutations/*.patch
#			build a driver with that fault; some test must fail. A line
#			"Tests: name,..." at its head says which are enough to run;
#			of more words each is a VM, and none runs after one that has
#			failed, nor a program after another. FILE.ko beside FILE.patch
#			is the driver with that fault, if it has been built.
# MUTATIONS=DIR		the faults that are there, not mutations/
#			With DOM0=pvh those that say "Dom0: pvh", otherwise the rest.
# MODULE=FILE		that driver, not the one built of the series $KERNEL
# LIMIT=SECONDS		a program that takes longer hangs [1800; LONG=1: 7200]
# MACHINES=DIR		the facts about machines that the programs machines and
#			machines_adopt make [the selftests' own]; the table of the first
#			is $BUILD/$KERNEL/machines.tsv
#
# FLAVOUR=debug or kcsan runs on a debug kernel; only mutations with
# "Flavour: debug" or "Flavour: kcsan" are for it.
#
# The last line is "N passed, N failed, N skipped". Also a failure: no test at
# all, a test skipped that the file "skips" does not name, a VM that died or hung,
# and a kernel that complained (the log tells) or found memory lost that the driver
# had allocated, or an access that the IOMMU has refused.
set -eu
. "${0%/*}/../common.sh"

: "${TESTS:=}" "${SHUFFLE:=}" "${MUTATE:=}" "${LONG:=}" "${MODULE:=}" "${VMS:=3}" "${LIMIT:=}"
: "${MACHINES:=}" "${APART:=}"
LONG_TESTS=handovers,guest_hvm,hostile,libvirt
# These two run all of them with LONG=1 or by name, otherwise one of so many
MACHINES_EVERY=8
# Which programs share a VM: a word each. All others share one more, which is the first, since
# it runs longest. Few VMs, for each boot takes 16 s of a CPU. suspend mostly waits. field
# wants that Xen has MSI-X for dom0's drivers, which it may not have once devices were taken
# out and put in again.
TOGETHER='suspend guest_pv,guide.sh outcomes,stress,races,matrix,failnth,windows,hotplug,handout'
TOGETHER="$TOGETHER requests,coverage,releases,policy,backend,refused,waits,foreign command.sh field"
# In a PVH dom0; the selftests' README has the rest
PVH_TESTS=methods,refusals,clean
LONG_TIMEOUT=7200
: "${MUTATIONS:=$SCRIPT_DIR/check/mutations}"
DRIVER=${MODULE:-$OUT/xen-pciback.ko}
lock_out

# has_any NAME,... TEST,...: is one of the programs among the tests?
has_any()
{
	echo "$2" | tr ' ,' '[\n*]' | sed 's/:.*//' |
		grep -qxF "$(echo "$1" | tr ',' '\n')"
}

# Those to be run if none are named, a word for each VM. A debug kernel
# has one for each program, too: lockdep is off after the first report.
default_tests()
{
	if [ -n "$LONG" ]; then
		echo "$LONG_TESTS,machines,machines_adopt" | tr ',' ' '
	elif [ "$DOM0" = pvh ]; then
		echo "$PVH_TESTS"
	else
		if [ -n "$APART" ] || built_flavour; then
			apart=' ' together='\n'
		else
			apart=',' together=','
		fi
		sed -n 's/^xen-pciback://p' \
			"$OUT/selftests/selftests/kselftest-list.txt" |
			grep -vxF "$(echo "$TOGETHER $LONG_TESTS" | tr ' ,' '[\n*]')" |
			paste -s -d "$together"
		echo "$TOGETHER" | tr ',' "$apart"
	fi
}

# shuffle WORD...: the same programs, in the order and the VMs that the seed makes of
# them. suspend stays alone: the time in its VM is the real one.
shuffle()
{
	echo "$*" | tr ' ,' '[\n*]' | sed '/^suspend\(:\|$\)/d' | while read -r name; do
		echo "$(echo "$SHUFFLE $name" | md5sum | cut -c 1-32) $name"
	done | sort | mawk -v vms="$VMS" '
	{
		tests[NR % vms] = tests[NR % vms] separator[NR % vms] $2
		separator[NR % vms] = ","
	}
	END {
		for (vm in tests)
			print tests[vm]
	}'
	echo "$*" | tr ' ,' '[\n*]' | grep '^suspend\(:\|$\)' || :
}

# named_alone TEST TEST,...: is it one test of a program that is not to run whole?
named_alone()
{
	[ "$1" != "${1%%:*}" ] || return
	case ,$2, in
	*",${1%%:*},"*) return 1 ;;
	esac
}

# without_result TAP TEST,...: those that are named, and that no program has
without_result()
{
	for test in $(echo "$2" | tr ',' ' '); do
		! named_alone "$test" "$2" ||
			grep -qE "^# (not )?ok [0-9]+ ([^ ]*\.)?${test#*:}( |\$)" "$1" ||
			echo "# it has no such test: $test"
	done
}

# guest_command TEST,...: the runner takes a program's arguments
# from a variable named after it, and the harness the name of a test with -t. With
# MUTATE the first program that fails ends it, and so does a task that hangs.
guest_command()
{
	echo "cd /selftests"
	[ -z "$MACHINES" ] || echo "export MACHINES=/machines"
	[ -n "$LONG$TESTS" ] || echo "export MACHINES_EVERY=$MACHINES_EVERY"
	limit=$LIMIT
	[ "$limit" ] || { ! built_flavour && ! has_any "$LONG_TESTS" "$1"; } ||
		limit=$LONG_TIMEOUT
	run="./run_kselftest.sh${limit:+ -o $limit}"
	[ -z "$MUTATE" ] || echo "echo 1 >/proc/sys/kernel/softlockup_panic
		echo 1 >/proc/sys/kernel/hung_task_panic"
	programs=''
	for test in $(echo "$1" | tr ',' ' '); do
		program=${test%%:*}
		# The VM's tr makes the name, as for the runner: some make another one of it.
		# A program that is also named without a test runs whole.
		! named_alone "$test" "$1" || echo "
			name=KSELFTEST_\$(printf %s $program | tr -c '[:alnum:]_' _ |
				tr '[:lower:]' '[:upper:]')_ARGS
			eval \"export \$name=\\\"\\\${\$name:-} -t ${test#*:}\\\"\""
		case "$programs " in
		*" $program "*) ;;
		*) programs="$programs $program" ;;
		esac
	done
	for program in $programs; do
		[ -z "$MUTATE" ] || echo "$run -t xen-pciback:$program | tee /tmp/tap
			! grep -q '^not ok' /tmp/tap || exit 1"
	done
	# shellcheck disable=SC2086
	[ -n "$MUTATE" ] || echo "$run$(printf ' -t xen-pciback:%s' $programs)"
}

# count TAP-FILE: sets passed, failed, skipped; prints what is wrong beside
# failed tests. The runner prefixes what a test program says with "# ", and
# adds a line of its own for the program. A test in C has results of its own;
# one that has none counts as one. What is skipped must be in the file "skips".
count()
{
	mawk -v kernel="$KERNEL" -v flavour="${FLAVOUR:--}" -v dom0="$DOM0" \
		-v hotplug="${VM_HOTPLUG:-pcie}" '
	function among(what, list)
	{
		return list == "any" || index("," list ",", "," what ",")
	}
	function expected_skip(reason,		i)
	{
		for (i = 0; i < expectations; i++)
			if (index(reason, expectation[i]) == 1)
				return 1
		return 0
	}
	FNR == NR {
		if (!/^#|^$/ && among(kernel, $1) && among(flavour, $2) &&
		    among(dom0, $3) && among(hotplug, $4)) {
			sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]+[^ \t]+[ \t]+[^ \t]+[ \t]+/, "")
			expectation[expectations++] = $0
		}
		next
	}
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
		if (/# SKIP/) {
			skipped++
			reason = $0
			sub(/^.*# SKIP */, "", reason)
			if (!expected_skip(reason)) {
				print "# not expected to be skipped: " substr($0, 3)
				failed++
			}
		} else {
			passed++
		}
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
			# In the VM that is an error: the feed is missing
			print "# refused this machine (lib/guard.c): " $0
			failed++
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
	}' "$SCRIPT_DIR/check/skips" "$1" >"$1.counts"
	grep '^#' "$1.counts" || :
	# shellcheck disable=SC2046
	set -- $(sed -n 's/^counts //p' "$1.counts")
	passed=$1 failed=$2 skipped=$3
}

# complaints CONSOLE-LOG: what should not be in a kernel's log, nor in Xen's. The file
# "complaints" has what is looked for; reports/told a line for each that must be found.
complaints()
{
	tr -d '\r' <"$1" | mawk -f "$SCRIPT_DIR/check/known.awk" |
		grep -E '\[ *[0-9]+\.[0-9]+\]|\(XEN\)' |
		grep -E -f "$SCRIPT_DIR/check/complaints" |
		sort -u
}

# leaks CONSOLE-LOG: what kmemleak found (init) that pciback or a test's module has
# allocated. Not what others have lost: some of those reports are false, since Xen's pages
# are not searched for pointers. A module that is gone has no name there, only an address
# in the space of modules; only the tests remove modules.
leaks()
{
	tr -d '\r' <"$1" | mawk '
	function flush()
	{
		if (ours)
			printf "%s", object
		object = ""
		ours = 0
	}
	/^vm: leaks$/ {
		inside = 1
		next
	}
	/^vm: end of leaks$/ {
		inside = 0
	}
	!inside {
		next
	}
	/^unreferenced object/ {
		flush()
	}
	{
		object = object $0 "\n"
	}
	/\[(xen_)?pciback|\] 0xffffffff[a-f]/ {
		ours = 1
	}
	END {
		flush()
	}'
}

LOCKDEP_ENDS='possible (circular locking dependency|recursive locking) detected| MAX_LOCK_DEPTH too low'
# lockdep_end CONSOLE-LOG: when it was that lockdep went off, after a report that was
# passed over; init says whether it did
lockdep_end()
{
	tr -d '\r' <"$1" | mawk -v ends="$LOCKDEP_ENDS" '
	match($0, /^\[ *[0-9]+/) {
		last = substr($0, 2, RLENGTH - 1) + 0
	}
	$0 ~ ends && !off {
		off = last
	}
	/^vm: lockdep is off$/ {
		print "lockdep was off after " off " of " last " s"
	}'
}

# unfinished CONSOLE-LOG: what of the log is not there, so that nobody can judge it
unfinished()
{
	grep -q 'vm: end of dmesg' "$1" || echo "the log has no end"
	! grep -q 'vm: leaks' "$1" || grep -q 'vm: end of leaks' "$1" ||
		echo "the list of leaks has no end"
	! grep -q 'vm: lockdep is off' "$1" || grep -qE "$LOCKDEP_ENDS" "$1" ||
		echo "lockdep is off, and no report says why"
}

# keep_plans TAP: what machines.c has to say, as a table: a line for each function and
# what is owned with it; and machines_adopt.c
keep_plans()
{
	sed -n 's/^# # adopt:\t//p' "$1" >"$OUT/machines-adopt.tsv"
	sed -n 's/^# # plan:\t//p' "$1" >"$1.plans"
	awk -F '\t' '
	BEGIN {
		OFS = FS
		print "machine", "bdf", "owned", "plan"
	}
	{
		print $1, $2, "function", $3
		print $1, $2, "slot", $4
		print $1, $2, "set", $5
	}' "$1.plans" >"$OUT/machines.tsv"
	cut -f 1,2,6 "$1.plans" >"$OUT/machines-stock.tsv"
}

# run_tests NAME MODULE TESTS: boot, run, and count; sets what count() does.
# What the VM says goes to fd 3.
run_tests()
{
	tap=$OUT/check/$1.tap
	console=$OUT/run/$1/console.log
	# A real guest needs more of a machine, which takes longer to boot.
	with=-x
	! has_any guest_pv,handovers,command.sh,guide.sh "$3" || with=-g
	! has_any guest_hvm "$3" || with=-H
	! has_any libvirt "$3" || with=-L
	! has_any field "$3" || with="$with -f"
	timeout=3600
	! built_flavour || timeout=$LONG_TIMEOUT
	# A debug kernel boots much more slowly
	! built_flavour || export VM_SILENCE="${VM_SILENCE:-300}"
	! has_any "$LONG_TESTS" "$3" || timeout=$LONG_TIMEOUT
	# While a machine is asleep no instruction passes
	! has_any suspend "$3" || export VM_ICOUNT=
	{
		vm_rc=0
		# loglevel 4: no more than errors between the tests' lines;
		# what the kernel warned of is in the dmesg at the log's end
		# shellcheck disable=SC2086
		VM_TIMEOUT=${VM_TIMEOUT:-$timeout} \
			"$SCRIPT_DIR/boot.sh" $with -l 4 -n "$1" -m "$2" \
			-d "$OUT/selftests" "$(guest_command "$3")" || vm_rc=$?
		echo "$vm_rc" >"$tap.rc"
	} | tee "$tap" >&3
	count "$tap"
	without_result "$tap" "$3" >"$tap.missing"
	if [ -s "$tap.missing" ]; then
		cat "$tap.missing"
		failed=$((failed + 1))
	fi
	! has_any machines "$3" || keep_plans "$tap"
	[ "$(cat "$tap.rc")" -eq 0 ] || failed=$((failed + 1))

	{
		complaints "$console" || :
		leaks "$console"
		unfinished "$console"
	} >"$tap.complaints"
	lockdep_end "$console" | sed 's/^/# /'
	if [ -s "$tap.complaints" ]; then
		echo "# the kernel complained, in $console:"
		sed 's/^/#   /' "$tap.complaints"
		failed=$((failed + 1))
	fi
}

# progress: of what a VM says, a line for each program when it ends, and before it
# one for each reason why tests of it were skipped
progress()
{
	mawk -W interactive -v start="$(date +%s)" '
	/^# ok .* # SKIP/ {
		sub(/^.*# SKIP */, "")
		skipped[$0]++
		next
	}
	/^# ok /	{ passed++ }
	/^# not ok /	{ failed++ }
	/^# selftests: /	{ start = systime() }
	/^(not )?ok [0-9]+ selftests: / {
		result = /^not/ ? "failed" : / # SKIP/ ? "skipped" : "ok"
		sub(/^.* selftests: xen-pciback: /, "")
		for (reason in skipped) {
			printf "  %-8s %-22s %3d: %s\n", "skip", $1, skipped[reason], reason
			delete skipped[reason]
		}
		printf "  %-8s %-22s %3d passed, %3d failed %15s %3d s\n", "test", $1,
		       passed, failed, result, systime() - start
		fflush()
		passed = failed = 0
	}'
}

# in_vm NUMBER TESTS: run_tests(), in one of several VMs
in_vm()
{
	result=$OUT/check/check-$1
	{
		run_tests "check-$1" "$DRIVER" "$2" 3>&1 >"$result.out"
		echo "$passed $failed $skipped" >"$result.result"
	} | progress
	read -r passed failed skipped <"$result.result"
	# What is wrong is to be seen whole, and in one go.
	if [ "$failed" -gt 0 ]; then
		cat "$result.tap" "$result.out"
	else
		sed "s/^#/  $2:/" "$result.out"
	fi
}

# mutant NUMBER PATCH: run the tests on a driver with this fault
mutant()
{
	name=$(basename "$2" .patch)
	built=${2%.patch}.ko
	if [ ! -e "$built" ]; then
		"$SCRIPT_DIR/module.sh" -o "$OUT/mutants/$name" "$2" >/dev/null
		built=$OUT/mutants/$name/xen-pciback.ko
	fi
	number=$1
	only=$(sed -n 's/^Tests: *//p' "$2")
	# shellcheck disable=SC2086
	set -- ${TESTS:-$only}
	failed=0
	while [ $# -gt 0 ] && [ "$failed" -eq 0 ]; do
		run_tests "mutant-$name" "$built" "$1" \
			3>/dev/null >"$OUT/check/mutant-$name.out" 2>&1
		# A run without tests proves nothing, unless the fault ended it; nor does
		# one without a test that was named.
		if { grep -q '^# no test ran' "$tap.counts" || [ -s "$tap.missing" ]; } &&
			{ [ "$(cat "$tap.rc")" -lt 124 ] || ! grep -q 'vm: up' "$console"; } &&
			! grep -qE '^(# )?not ok' "$tap"; then
			failed=0
		fi
		shift
	done
	if [ "$failed" -gt 0 ]; then
		echo "ok $number $name # caught by: $(caught_by "$tap")"
	else
		echo "not ok $number $name # no test fails with this fault"
	fi | tee "$OUT/check/mutant-$name.result"
}

# By name, what failed: the first is enough to see that it is the right one
caught_by()
{
	sed -n 's/^# not ok [0-9]* //p; s/^not ok [0-9]* selftests: //p' "$1" |
		head -n 1 | grep . || echo 'the VM or its kernel'
}

case ${1-} in
--vm)
	shift
	in_vm "$@"
	exit
	;;
--mutant)
	shift
	mutant "$@"
	exit
	;;
esac

"$SCRIPT_DIR/module.sh"
# A device model and libvirt only for those who need it
sets=xentools
[ -z "$LONG" ] && ! has_any guest_hvm "$TESTS" || sets="$sets hvm"
[ -z "$LONG" ] && ! has_any libvirt "$TESTS" || sets="$sets libvirt"
# shellcheck disable=SC2086
build_vm $sets
"$SCRIPT_DIR/check/known-test.sh"
"$SCRIPT_DIR/check/guard.sh"
mkdir -p "$OUT/check"
rm -rf "$OUT/selftests/machines"
if [ -n "$MACHINES" ]; then
	ls "$MACHINES"/*.tsv >/dev/null || die "no machine in $MACHINES"
	mkdir "$OUT/selftests/machines"
	cp "$MACHINES"/*.tsv "$OUT/selftests/machines"
fi

if [ -n "$MUTATE" ]; then
	# shellcheck disable=SC2046
	if [ -n "$FLAVOUR" ]; then
		set -- $(grep -lx "Flavour: $FLAVOUR" "$MUTATIONS"/*.patch)
		[ $# -gt 0 ] || die "no mutations for FLAVOUR=$FLAVOUR"
	elif [ "$DOM0" = pv ]; then
		set -- $(grep -LE '^(Dom0|Flavour):' "$MUTATIONS"/*.patch)
	else
		set -- $(grep -lx "Dom0: $DOM0" "$MUTATIONS"/*.patch)
	fi
	echo "TAP version 13"
	echo "1..$#"
	rm -f "$OUT"/check/mutant-*.result
	printf '%s\n' "$@" | cat -n | xargs -P "$VMS" -n 2 "$0" --mutant || :
	caught=$(cat "$OUT"/check/mutant-*.result | grep -c '^ok ') || :
	echo "$caught passed, $(($# - caught)) failed, 0 skipped"
	[ "$caught" -eq $# ]
	exit
fi

# shellcheck disable=SC2086
set -- ${TESTS:-$(default_tests)}
if [ -n "$SHUFFLE" ]; then
	# shellcheck disable=SC2046
	set -- $(shuffle "$@")
	for tests; do
		echo "  shuffle  SHUFFLE=$SHUFFLE VMS=$VMS: $tests"
	done
fi
if [ $# -eq 1 ]; then
	run_tests check "$DRIVER" "$1" 3>&1
	all_passed=$passed all_failed=$failed all_skipped=$skipped
else
	all_passed=0 all_failed=0 all_skipped=0
	rm -f "$OUT"/check/check-*.result
	printf '%s\n' "$@" | cat -n | xargs -P "$VMS" -n 2 "$0" --vm || :
	for number in $(seq $#); do
		read -r passed failed skipped <"$OUT/check/check-$number.result" ||
			passed=0 failed=1 skipped=0
		all_passed=$((all_passed + passed))
		all_failed=$((all_failed + failed))
		all_skipped=$((all_skipped + skipped))
	done
fi
echo "$all_passed passed, $all_failed failed, $all_skipped skipped"
[ "$all_failed" -eq 0 ]
