#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# boot.sh [OPTION]... [COMMAND]: boot what the scripts here have made, by the
# selftests' qemu/vm.sh, which says what the options are. The runs' folders are
# $BUILD/$KERNEL/run/NAME. A FLAVOUR has two CPUs, and memory for what it notes.
set -eu
. "${0%/*}/common.sh"
lock_out

[ -z "$FLAVOUR" ] || : "${VM_CPUS:=2}" "${VM_MEMORY:=2560}"
VM_XEN=$OUT/xen.elf VM_KERNEL=$OUT/vmlinux VM_IMAGES=$OUT VM_RUN=$OUT/run
export DOM0 FLAVOUR XEN VM_CPUS VM_MEMORY VM_XEN VM_KERNEL VM_IMAGES VM_RUN
exec "$QEMU_DIR/vm.sh" "$@"
