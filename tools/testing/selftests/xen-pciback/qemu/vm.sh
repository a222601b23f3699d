#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# vm.sh [OPTION]... [COMMAND]: boot Xen with a dom0 in QEMU, load the driver,
# run COMMAND (for the VM's sh) there and exit with its status.
#
#	-b		with the devices for "make bench", too
#	-d DIR		copy what is in DIR to the root of the VM's file system
#	-f		with the devices for the test field, too
#	-g		with a kernel and initramfs for a PV guest, in /guest,
#			and a CPU for it; implies -x
#	-H		with what HVM guests need, and a CPU that can run them;
#			implies -g
#	-i		no COMMAND but a shell, on this terminal
#	-k		no Xen, only the kernel, and no driver
#	-L		with libvirt; implies -g
#	-l LEVEL	the kernel's loglevel on the console [1]
#	-m MODULE	the driver, to be loaded first [none]
#	-n NAME		the run's folder is $VM_RUN/NAME [vm]
#	-p PARAMS	parameters for the driver
#	-q		print nothing but errors
#	-v		print the whole console, not just what COMMAND prints
#	-x		with Xen's tools: xl, and xen-start to start its daemons
#
# Left in the run's folder: console.log (everything the VM said; at its end
# the kernel's log), trace.log (config writes and resets, by QEMU), and while
# the VM runs: monitor, a socket to QEMU's monitor. Tests have one of their own:
# QEMU connects it to itself, to the port that is /dev/monitor in the VM. With
# -sandbox, nothing that is said there runs a program here.
#
# Environment, what it boots: VM_XEN, the hypervisor, and VM_KERNEL, the dom0 kernel,
# both as ELF images (vmlinux; DOM0 says what kind of guest it is, pv or pvh [pv]); and
# VM_IMAGES, a folder of archives for the initramfs: base.cpio, and for -x, -g, -H and
# -L xentools.cpio, guest.cpio, hvm.cpio and libvirt.cpio. ../README has what must be in
# them. /init and all else of this folder that runs in the VM is added here.
#
# And: VM_RUN, where the runs' folders are [/tmp/xen-pciback], VM_TIMEOUT seconds
# before a run is called hung [600], VM_SILENCE seconds of CPU time that QEMU uses
# without a word of the VM before its /init [60], VM_CPUS [1], VM_MEMORY in MB [1536],
# VM_ACCEL [tcg,thread=single], VM_ICOUNT, what goes to QEMU's -icount
# [shift=3,sleep=off; none with -i or another VM_ACCEL], VM_ENV, assignments to export
# before COMMAND, VM_COVERAGE=1, which has trace.log show each block of a module's code
# that runs there, VM_HOTPLUG=acpi, which gives the slots to ACPI, and V=1, the same as
# -v. XEN, KERNEL and FLAVOUR are only printed: what is being booted.
#
# By -icount time in the VM passes by instructions, 8 ns each, and when it idles jumps to
# the next timer: what else this machine does changes nothing, and waits cost nothing.
# That is about as fast as an emulated CPU is, so busy waits cost no more than they take.
set -eu
export LC_ALL=C
umask 022

QEMU_DIR=$(cd "$(dirname "$0")" && pwd)
: "${VM_XEN:=}" "${VM_KERNEL:=}" "${VM_IMAGES:=}" "${VM_RUN:=${TMPDIR:-/tmp}/xen-pciback}"
: "${VM_TIMEOUT:=600}" "${VM_CPUS:=1}" "${VM_MEMORY:=1536}" "${VM_ENV:=}"
: "${VM_ACCEL:=tcg,thread=single}" "${DOM0:=pv}" "${VM_SILENCE:=60}" "${VM_COVERAGE:=}"

# Where the kernel puts modules, with and without CONFIG_RANDOMIZE_BASE
MODULES_AREA=0xffffffffa0000000..0xfffffffffeffffff

# Self-tests and certificates of the kernel's own take a quarter of its boot. For guests'
# kernels it is in /etc/quick. No commas: -initrd has a meaning for them.
QUICK=cryptomgr.notests
for initcall in jent_mod_init load_system_certificate_list crypto_kdf108_init; do
	QUICK="$QUICK initcall_blacklist=$initcall"
done

warn()
{
	echo "vm.sh: $*" >&2
}

usage()
{
	sed -n '4,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

bare='' devices='' guest='' hvm='' libvirt='' overlay='' interactive='' loglevel=1
module=none name=vm
parameters='' quiet='' tools='' verbose=${V:-}
while getopts bd:fgHikLl:m:n:p:qvx option; do
	case $option in
	b) devices=bench ;;
	d) overlay=$(realpath "$OPTARG") ;;
	f) devices=field ;;
	g) guest=1 ;;
	H) guest=1 hvm=1 ;;
	i) interactive=1 ;;
	k) bare=1 module=none ;;
	L) guest=1 libvirt=1 ;;
	l) loglevel=$OPTARG ;;
	m) module=$OPTARG ;;
	n) name=$OPTARG ;;
	p) parameters=$OPTARG ;;
	q) quiet=1 ;;
	v) verbose=1 ;;
	x) tools=xentools.cpio ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
case $interactive$VM_ACCEL in
tcg*) : "${VM_ICOUNT=shift=3,sleep=off}" ;;
*) VM_ICOUNT='' ;;
esac
[ -n "$interactive" ] || [ $# -gt 0 ] || usage
[ "$module" = none ] || module=$(realpath "$module")
for file in "$VM_XEN" "$VM_KERNEL" "$VM_IMAGES/base.cpio"; do
	[ -e "$file" ] || usage
done
VM_XEN=$(realpath "$VM_XEN")
VM_KERNEL=$(realpath "$VM_KERNEL")
VM_IMAGES=$(realpath "$VM_IMAGES")

# A guest that shares a CPU with dom0 breaks dom0's processes, here: QEMU 7.2
# and 10 mix up their FS bases.
cpus=$VM_CPUS
pinned=''
if [ -n "$guest" ]; then
	cpus=$((VM_CPUS + 1))
	pinned=dom0_vcpus_pin
	tools="xentools.cpio guest.cpio"
fi
# smap: QEMU 7.2 lets a PV kernel die of it. x2apic: QEMU 10 emulates it, and ends with
# "Bad icount read" when Xen reads its timer. Of a PVH dom0 Xen asks for much that an
# emulated CPU has in part only: its intercept of RDTSCP says RDTSC, MWAIT faults in
# an interrupt's shadow, and the size of XSAVE's area is not what CPUID tells. Its
# memory is not where it believes, so virtio has to ask the IOMMU.
cpu=max,smap=off,x2apic=off
machine='' xen=''
case $DOM0 in
pv) ;;
pvh)
	cpu=$cpu,svm=on,xsave=off,rdtscp=off,monitor=off
	xen='dom0=pvh cpuidle=0 mwait-idle=0 max_cstate=0'
	for option in iommu_platform disable-legacy; do
		machine="$machine -global virtio-pci.$option=on"
	done
	;;
*)
	warn "DOM0=$DOM0: not pv or pvh"
	exit 2
	;;
esac
if [ -n "$hvm" ]; then
	cpu=$cpu,svm=on
	tools="$tools hvm.cpio"
fi
[ -z "$libvirt" ] || tools="$tools libvirt.cpio"
# Half of dom0's memory is for its files
if [ -n "$hvm$libvirt" ] && [ "$VM_MEMORY" -lt 2560 ]; then
	VM_MEMORY=2560
fi

system="Linux${KERNEL:+ $KERNEL}${FLAVOUR:+-$FLAVOUR}"
[ -n "$bare" ] || system="Xen${XEN:+ $XEN}, $system as dom0"

# A fresh folder, and relative names in it: a socket's must be short.
rm -rf "${VM_RUN:?}/$name"
mkdir -p "$VM_RUN/$name/overlay/job"
cd "$VM_RUN/$name"
console=$PWD/console.log

make_initramfs()
{
	install -D -m 755 "$QEMU_DIR/init" overlay/init
	install -D -m 644 "$QEMU_DIR/profile" overlay/etc/profile
	for program in xen-start xen-stub; do
		install -D -m 755 "$QEMU_DIR/$program" "overlay/usr/sbin/$program"
	done
	echo "$QUICK" >overlay/etc/quick
	[ -z "$overlay" ] || cp -RL "$overlay/." overlay/
	if [ "$module" != none ]; then
		mkdir -p overlay/lib/modules
		# Its debug information is two thirds of it.
		strip -g -o overlay/lib/modules/xen-pciback.ko "$module"
		echo "$parameters" >overlay/job/module
	fi
	if [ -n "$interactive" ]; then
		: >overlay/job/shell
	else
		{
			[ -z "$VM_ENV" ] || echo "export $VM_ENV"
			printf '%s\n' "$*"
		} >overlay/job/command
	fi
	{
		# shellcheck disable=SC2086
		(cd "$VM_IMAGES" && cat base.cpio $tools)
		(cd overlay && find . | cpio --quiet -o -H newc -R 0:0)
	} >initramfs.cpio
}

# Xen, which boots dom0, or the same kernel alone, by its PVH entry.
# console.log has all that was said, filtered or not. log_buf_len: the dmesg at
# the end is to have the first warning, too. guest_loglvl: or Xen leaves out warnings,
# such as IOMMU faults, when there are many. bootscrub: nobody reads what was in this
# memory before. jemalloc, if it is there: glibc gives what QEMU frees back to the
# kernel, and takes it again, many times a second.
qemu()
{
	linux="panic=5 oops=panic loglevel=$loglevel log_buf_len=8M $QUICK"
	set -- env LD_PRELOAD=libjemalloc.so.2 "$@" qemu-system-x86_64
	if [ -n "$bare" ]; then
		set -- "$@" -kernel "$VM_KERNEL" -initrd initramfs.cpio \
			-append "console=ttyS0 intel_iommu=on $linux"
	else
		xen="$xen com1=115200,8n1 console=com1 loglvl=info guest_loglvl=warning"
		xen="$xen bootscrub=0 $pinned"
		xen="$xen dom0_mem=$((VM_MEMORY - 836))M dom0_max_vcpus=$VM_CPUS"
		set -- "$@" -kernel "$VM_XEN" -append "$xen" \
			-initrd "$VM_KERNEL console=hvc0 $linux,initramfs.cpio"
	fi
	# shellcheck disable=SC2046,SC2086
	exec "$@" $("$QEMU_DIR/machine.sh" $devices) $machine \
		-accel "$VM_ACCEL" -cpu "$cpu" \
		${VM_ICOUNT:+-icount "$VM_ICOUNT" -rtc clock=vm} \
		-smp "$cpus" -m "$VM_MEMORY" \
		-chardev stdio,id=com1,logfile=console.log,signal=off \
		-serial chardev:com1 \
		-chardev pipe,id=feed,path=feed \
		-chardev socket,id=monitor,path=monitor,server=on,wait=off \
		-mon chardev=monitor,mode=readline \
		-chardev socket,id=control,path=control,server=on,wait=off \
		-mon chardev=control,mode=control \
		-chardev socket,id=tests,path=control \
		-sandbox on,spawn=deny \
		-trace pci_cfg_write -trace resettable_phase_hold_exec \
		-trace 'qdev_reset*' \
		${VM_COVERAGE:+-d in_asm -dfilter "$MODULES_AREA"} \
		-D trace.log -display none -no-reboot -pidfile qemu.pid
}

# What COMMAND prints, out of what the console prints.
show()
{
	mawk -W interactive -v start="$(date +%s)" -v quiet="$quiet" \
		-v verbose="$verbose" -v vm="$vm" '
	function say(line)
	{
		if (!quiet) {
			print line
			fflush()
		}
	}
	{
		sub(/\r+$/, "")
	}
	# It has panicked. By -icount these seconds are instructions, and take minutes.
	/^(\[ *[0-9.]+\]|\(XEN\)) .*[Rr]eboot(ing)?( machine)? in (5|five) seconds/ {
		system("kill " vm)
	}
	verbose {
		say($0)
	}
	/^vm: begin$/ {
		running = 1
		if (!verbose)
			say(sprintf(" %3d s", systime() - start))
		next
	}
	/^vm: exit status [0-9]+$/ {
		print $4 >"status"
		close("status")
		running = 0
	}
	/^vm: the driver/ {
		say(verbose ? "" : "\n" $0)
	}
	# The kernel and Xen also speak here, see console.log; now and then in the middle
	# of a line, which then goes on. A PVH dom0 reports GSIs without the time.
	running && !verbose &&
	match($0, /\(XEN\) |\[ *[0-9]+\.[0-9]+\] |Already setup the GSI :[0-9]+$/) {
		begun = begun substr($0, 1, RSTART - 1)
		next
	}
	running && !verbose {
		$0 = begun $0
		begun = ""
		# an empty last line is from init, not from COMMAND
		if (empty)
			say("")
		empty = ($0 == "")
		if (!empty)
			say($0)
	}'
}

# Called by the trap.
# shellcheck disable=SC2317
stop()
{
	trap '' INT TERM HUP
	# shellcheck disable=SC2086
	kill $vm $feed $silence 2>/dev/null || :
	[ -z "$vm" ] || wait "$vm" || :
	[ -z "$terminal" ] || stty "$terminal"
	rm -rf overlay initramfs.cpio feed.in feed.out screen monitor control qemu.pid
}

dead()
{
	[ -n "$quiet" ] || echo
	tail -n 30 console.log | tr -d '\r' | sed 's/^/    /' >&2
	grep -v "has no peer" qemu.log >&2 || :
	warn "$1; above the console's last lines, all of it: $console"
	exit "$2"
}

vm='' feed='' silence='' terminal=''
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# cpu_seconds: what QEMU has used; 0 as long as it has not written its number
# shellcheck disable=SC2317
cpu_seconds()
{
	if [ -s qemu.pid ]; then
		awk -v hz="$(getconf CLK_TCK)" '{ print int(($14 + $15) / hz) }' \
			"/proc/$(cat qemu.pid)/stat"
	else
		echo 0
	fi
}

# A machine that says nothing more before anything of ours runs will not come to that.
# Most of what the kernel does until then it does silently, in a few seconds of CPU
# time, however busy this machine is; one that hangs uses more, unless it is idle. The
# sleep is ended, too: it would keep open what else is, such as a lock of the caller's.
# shellcheck disable=SC2317
end_if_silent()
{
	trap 'kill $!; exit' TERM
	said='' begun=0 checks=0
	until grep -q 'vm: up' console.log; do
		now=$(stat -c %s console.log)
		if [ "$now" != "$said" ]; then
			said=$now begun=$(cpu_seconds) checks=0
		fi
		checks=$((checks + 1))
		if [ $(($(cpu_seconds) - begun)) -ge "$VM_SILENCE" ] ||
			[ "$checks" -ge "$VM_SILENCE" ]; then
			kill "$vm"
			return
		fi
		sleep 5 &
		wait $!
	done
}

# boot: until the VM has powered off; sets rc
boot()
{
	rm -f feed.in feed.out screen qemu.pid
	mkfifo feed.in feed.out screen
	: >trace.log
	: >console.log

	if [ -n "$interactive" ]; then
		if [ -t 0 ]; then
			terminal=$(stty -g)
		fi
		exec 3<&0
		qemu <&3 2>qemu.log &
		vm=$!
	else
		qemu timeout -k 5 "$VM_TIMEOUT" </dev/null >screen 2>qemu.log &
		vm=$!
		[ -n "$quiet$verbose" ] ||
			printf '  %-8s %-52s' boot "$system, in QEMU"
		show <screen &
		shown=$!
	fi

	# The trace goes through a file, so QEMU never waits for the VM to read it;
	# from there it is fed to the port that is /dev/hw there. Opened for reading
	# too: then it cannot block before QEMU has it. tail goes when QEMU does, awk
	# with it.
	tail -f -n +1 --pid="$vm" trace.log |
		mawk -W interactive -f "$QEMU_DIR/feed.awk" 1<>feed.in &
	feed=$!

	end_if_silent >/dev/null 2>&1 &
	silence=$!

	rc=0
	wait "$vm" || rc=$?
	vm=''
	kill "$silence" 2>/dev/null || :
	silence=''
	[ -n "$interactive" ] || wait "$shown" || :
}

make_initramfs "$@"
boot
[ -z "$interactive" ] || exit "$rc"
# On a busy machine an emulated CPU may go wrong, long before anything of ours runs.
if ! grep -q 'vm: up' console.log; then
	mv console.log console-1.log
	[ -n "$quiet" ] || echo
	tail -n 10 console-1.log | tr -d '\r' | sed 's/^/    /' >&2
	warn "dom0 did not get as far as its /init, see $PWD/console-1.log; once more"
	boot
fi

case $rc in
124 | 137) dead "the VM hung: not done after $VM_TIMEOUT s" 124 ;;
esac
[ -s status ] || dead "the VM died (QEMU's exit status: $rc)" 125
exit "$(cat status)"
