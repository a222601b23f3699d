#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# kernels.sh [--others]: build the driver for the kernels that the tests run on, and for
# those of which Debian has no packages (--others: only for these). Print what each of
# them lacks, a line a kernel, and then what that costs. No warning passes (W=1).
#
# The others are built only, never run: with the headers of a kernel that Debian has,
# less the names in others() that they lack. Those were found by building the driver with
# the headers of 6.6.17, 6.18.35 and 7.0.0 themselves.
set -eu
. "${0%/*}/../common.sh"

FLAVOUR='' KSRC=''
export FLAVOUR KSRC
work=$BUILD/kernels

# A kernel, the one whose headers are taken, and the names that only that one has. 6.18 is
# as it was first released: its stable releases have them all, as those of 6.12 do.
others()
{
	cat <<-END
		6.6 6.12 kmalloc_obj kmalloc_objs kzalloc_obj device_match_driver_override str_plural xen_reset_device xen_acpi_get_gsi_info xen_pvh_setup_gsi
		6.18 6.12 kmalloc_obj kmalloc_objs kzalloc_obj device_match_driver_override
		7.0 7.2
	END
}

# What it costs if Kbuild does not find a feature. All others are in compat.h, whole.
costs()
{
	cat <<-END
		RESET_METHODS no reset_method; a function's methods are noted when it is seized
		XEN_RESET_DEVICE a PVH dom0's Xen is not notified of resets
		GSI_INFO a PVH dom0 cannot set up a function's GSI
		DVSEC a CXL port that masks bus resets is not noticed
	END
}

features()
{
	sed -n 's/^has-\([A-Z_]*\) :=.*/\1/p' "$TOP/drivers/xen/xen-pciback/Kbuild"
}

# headers_less NAME...: a copy of $KERNEL's without these
headers_less()
{
	rm -rf "$work/$each/headers"
	cp -a "$BUILD/$KERNEL/headers" "$work/$each/headers"
	cd "$work/$each/headers"
	sed -i "s,$BUILD/$KERNEL/headers,$PWD," usr/src/linux-headers-*-amd64/Makefile
	gone=0
	for name; do
		gone=$((gone + 1))
		grep -rlw "$name" usr/src/*-common/include |
			xargs sed -i "s/\<$name\>/gone_$gone/g"
	done
	case " $* " in
	*' device_match_driver_override '*)
		sed -i '/^struct pci_dev {/a const char *driver_override;' \
			usr/src/*-common/include/linux/pci.h
		;;
	esac
}

# build [NAME]...: $each, with the headers of $KERNEL, less NAME
build()
{
	kernel_headers
	rm -rf "${work:?}/$each"
	mkdir -p "$work/$each"
	cp -R "$work/sources/xen-pciback" "$work/$each/"
	if [ "$each" != "$KERNEL" ]; then
		headers_less "$@"
		HEADERS=$work/$each/headers/build
	fi
	build_strictly "$work/$each/xen-pciback" W=1
}

# What its compiler was not told that there is
lacking()
{
	features | while read -r feature; do
		grep -qw "DHAVE_$feature" "$work/$1/xen-pciback/.pci_stub.o.cmd" ||
			echo "$feature"
	done
}

table()
{
	echo 'compat.h stands in for:'
	for each in $kernels; do
		lacks=$(lacking "$each" | tr '[:upper:]' '[:lower:]' | xargs)
		printf '  %-6s %s\n' "$each" "${lacks:--}"
	done
	echo 'What cannot be had there:'
	costs | while read -r feature cost; do
		without=''
		for each in $kernels; do
			! lacking "$each" | grep -qx "$feature" || without="$without $each"
		done
		printf '  %s\n      %s\n' "${without# }" "$cost"
	done
}

"$SCRIPT_DIR/module.sh" --sources -o "$work/sources"
kernels=''
[ "${1-}" = --others ] || for each in $(all_kernels); do
	KERNEL=$each
	step kernels "Linux $each" build
	kernels="$kernels $each"
done
others >"$work/others"
while read -r each KERNEL names; do
	# shellcheck disable=SC2086
	step kernels "Linux $each, by the headers of $KERNEL: built only" build $names </dev/null
	kernels="$kernels $each"
done <"$work/others"
kernels=$(echo "$kernels" | tr ' ' '\n' | sort -V | xargs)
keep_table "$BUILD/kernels.txt" table
