# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034
#
# handover.sh: hand functions to a real PV guest by stock xl, and take them back. Scripts
# that check or measure that source this file. The driver may be the stock one.

GUEST=handover
CONFIG=/tmp/handover.cfg

# In ns, since the boot
now()
{
	sed -n '/^now at /{ s/[^0-9]//g; p; q; }' /proc/timer_list
}

# timed COMMAND...: in $took, how long it took, in ns
timed()
{
	begin=$(now)
	"$@" >>/tmp/xl.log 2>&1
	timed_rc=$?
	took=$(($(now) - begin))
	return "$timed_rc"
}

# configure BDF...: the guest that is to have these
configure()
{
	list=$(printf '"%s",' "$@")
	cat >"$CONFIG" <<-END
		name="$GUEST"
		type="pv"
		kernel="/guest/vmlinux"
		ramdisk="/guest/initramfs.cpio"
		extra="console=hvc0 loglevel=1 functions=$# $(cat /etc/quick)"
		memory=192
		cpus="1"
		pci=[${list%,}]
	END
}

make_assignable()
{
	for bdf; do
		xl pci-assignable-add "$bdf" || return
	done
}

# Each sets $took
xl_adopt()
{
	timed make_assignable "$@"
}

xl_create()
{
	timed xl create -e "$CONFIG"
}

xl_destroy()
{
	timed xl destroy "$GUEST"
}

# settled DOMAIN BDF...: pciback has taken back what it had, and reset what it can
settled()
{
	device=/sys/devices/pci-$1-0
	shift
	tries=0
	while [ -e "$device" ] && [ "$tries" -lt 600 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	[ ! -e "$device" ] || return
	# As fn_quiesce() of lib/pci.c does
	for bdf; do
		cat "/sys/bus/pci/devices/$bdf/pciback/reset_plan"
	done >/dev/null 2>&1
	tries=0
	while grep -qs '+xen-pciback-reset' /proc/[0-9]*/comm && [ "$tries" -lt 600 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	# what is under way has ended when its account is complete
	sleep 1
}

# wait_until_connected DOMAIN: xl waits for a guest that is not ready to let go
wait_until_connected()
{
	tries=0
	until [ "$(xenstore-read "/local/domain/0/backend/pci/$1/0/state")" = 4 ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ]; then
			echo "the guest does not connect" >&2
			exit 1
		fi
		sleep 0.5
	done
}
