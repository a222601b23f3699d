#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# machine.sh [bench|field]: print the QEMU options that make up the VM's PCI devices, one
# case of "how can this be reset?" each. All addresses are fixed: the tests,
# the README and the story name them.
#
#   port	functions			what can reset them
#   00:10.0	01:00.0 nvme			FLR
#   00:11.0	02:00.0 virtio-rng		PM, slot
#   00:12.0	03:00.0 e1000e			PM, slot
#   00:13.0	04:00.0, .1 e1000e, .2 xhci	PM, PM, nothing; slot (all three)
#   00:14.0	05:00.0 bridge to bus 06:
#		06:01.0 e1000, 06:02.0 pci-testdev	secondary bus
#   00:15.0	07:00.0 xhci			slot
#   00:16.0	08:01.0 bridge to bus 09:
#		09:01.0 edu, 09:02.0 e1000	secondary bus
#   00:17.0	0a:00.0 virtio-rng		FLR, PM, slot
#   00:18.0	edu, on the root bus		nothing
#   00:1a.0	0b:00.0 nvme with 4 VFs		FLR, PF and VFs
#   00:1b.0	e1000e, on the root bus		PM
#
# and for "make bench", after those that are always there:
#   00:1c.0	0c:00.0-1 e1000e		PM, slot (both)
#   00:1d.0	0d:00.0-7 e1000e		PM, slot (all eight)
#   00:1e.0	0e:00.0 nvme with 64 VFs	FLR, PF and VFs
#
# and for the test field, likewise:
#   00:1c.0	0c:00.0 switch with ports 0d:00.0 and 0d:01.0
#		0e:00.0-1 e1000e		PM, slot (both)
#		0f:00.0 e1000e			PM, slot
#   00:1d.0	another root bus, 80, with port 80:01.0
#		81:00.0 e1000e			PM, slot
#   00:1e.0	10:00.0 nvme with 64 VFs	FLR, PF and VFs
#
# VM_HOTPLUG=acpi in the environment gives the slots to ACPI: pciehp does not drive them,
# nor can they be reset, but by the bus [pcie].
#
# Each function of a card says that there are more (multifunction), not only the first:
# else the kernel takes one that it finds again for one that is alone in its slot, and
# gives it a slot reset of its own.
#
# 00:19.0 is not to be tested: it brings QEMU's trace into the VM, 20,000 lines
# a second and more, where a serial port takes 400; and the tests' words to QEMU's
# monitor out of it.
set -eu

case ${VM_HOTPLUG:=pcie} in
pcie) by_acpi=off ;;
acpi) by_acpi=on ;;
*)
	echo "machine.sh: VM_HOTPLUG=$VM_HOTPLUG: not pcie or acpi" >&2
	exit 2
	;;
esac

# port ADDRESS: a slot with its own number, so that pciehp takes it
port()
{
	echo "-device pcie-root-port,id=port$1,bus=pcie.0,addr=$1.0,chassis=0x$1,slot=0x$1"
}

# card ADDRESS FUNCTIONS: of e1000e, in one slot
card()
{
	port "$1"
	function=0
	while [ "$function" -lt "$2" ]; do
		echo "-device e1000e,bus=port$1,addr=0.$function,multifunction=on,romfile="
		function=$((function + 1))
	done
}

# In slot 1e
large_nvme()
{
	port 1e
	cat <<END
-device nvme-subsys,id=large
-device nvme,bus=port1e,subsys=large,serial=large,sriov_max_vfs=64,\
sriov_vq_flexible=128,sriov_vi_flexible=64,max_ioqpairs=130,msix_qsize=65
END
}

cat <<END
-machine q35,kernel-irqchip=split
-device intel-iommu,intremap=on
-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=$by_acpi
-nodefaults
-vga none
-nic none
$(port 10)
-drive if=none,id=disk,driver=null-co,size=16M,read-zeroes=on
-device nvme,id=card10,bus=port10,drive=disk,serial=xen-pciback
$(port 11)
-device virtio-rng-pci,bus=port11,x-pcie-flr-init=off
$(port 12)
-device e1000e,id=card12,bus=port12,romfile=
$(port 13)
-device e1000e,id=card13,bus=port13,addr=0.0,multifunction=on,romfile=
-device e1000e,bus=port13,addr=0.1,multifunction=on,romfile=
-device qemu-xhci,bus=port13,addr=0.2,multifunction=on
$(port 14)
-device pcie-pci-bridge,id=conventional,bus=port14
-device e1000,bus=conventional,addr=1.0,romfile=
-device pci-testdev,bus=conventional,addr=2.0
$(port 15)
-device qemu-xhci,bus=port15
-device i82801b11-bridge,id=dmi,bus=pcie.0,addr=16.0
-device pci-bridge,id=second,bus=dmi,addr=1.0,chassis_nr=0x16,shpc=on
-device edu,bus=second,addr=1.0
-device e1000,bus=second,addr=2.0,romfile=
$(port 17)
-device virtio-rng-pci,bus=port17,x-pcie-flr-init=on
-device edu,bus=pcie.0,addr=18.0
$(port 1a)
-device nvme-subsys,id=subsystem
-device nvme,bus=port1a,subsys=subsystem,serial=sriov,sriov_max_vfs=4,\
sriov_vq_flexible=8,sriov_vi_flexible=8,max_ioqpairs=16,msix_qsize=17
-device e1000e,bus=pcie.0,addr=1b.0,romfile=
-device virtio-serial-pci,bus=pcie.0,addr=19.0,max_ports=3
-device virtserialport,chardev=feed,name=hardware
-device virtserialport,chardev=tests,name=monitor
END

case ${1-} in
bench)
	card 1c 2
	card 1d 8
	large_nvme
	;;
field)
	port 1c
	cat <<-END
		-device x3130-upstream,id=switch,bus=port1c
		-device xio3130-downstream,id=down0,bus=switch,addr=0.0,chassis=0xd0,slot=0xd0
		-device xio3130-downstream,id=down1,bus=switch,addr=1.0,chassis=0xd1,slot=0xd1
		-device e1000e,bus=down0,addr=0.0,multifunction=on,romfile=
		-device e1000e,bus=down0,addr=0.1,multifunction=on,romfile=
		-device e1000e,bus=down1,romfile=
		-device pxb-pcie,id=root80,bus_nr=0x80,bus=pcie.0,addr=1d.0
		-device pcie-root-port,id=port80,bus=root80,addr=1.0,chassis=0x80,slot=0x80
		-device e1000e,bus=port80,romfile=
	END
	large_nvme
	;;
esac
