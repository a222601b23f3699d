#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# boot.sh [OPTION]... [COMMAND]: boot the VM that the other scripts have built, by the
# selftests' qemu/vm.sh, which documents the options. Each run has a folder,
# $BUILD/$KERNEL/run/NAME. A FLAVOUR gets two CPUs and more memory.
set -eu
. "${0%/*}/common.sh"
lock_out

[ -z "$FLAVOUR" ] || : "${VM_CPUS:=2}" "${VM_MEMORY:=2560}"
VM_XEN=$OUT/xen.elf VM_KERNEL=$OUT/vmlinux VM_IMAGES=$OUT VM_RUN=$OUT/run
export DOM0 FLAVOUR XEN VM_CPUS VM_MEMORY VM_XEN VM_KERNEL VM_IMAGES VM_RUN
exec "$QEMU_DIR/vm.sh" "$@"
