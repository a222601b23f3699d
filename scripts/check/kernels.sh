#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# kernels.sh [--others]: build the driver for the kernels that the tests run on, and for
# those of which Debian has no packages (--others: only for these). Print what each of
# them lacks, a line a kernel, and then what that costs, as a table for the kernel's
# documentation, where a copy of it is Documentation/admin-guide/xen-pciback/kernels.txt.
# No warning passes (W=1).
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
		RESET_METHODS There is no \`\`reset_method\`\` file: the administrator cannot choose. The methods of a function are noted when pciback takes it. Device specific methods cannot be seen: the kernel uses one where it resets a function alone, but a function with FLR gets a plain FLR instead, and one without any other method gets a slot or bus reset.
		XEN_RESET_DEVICE In a PVH dom0 Xen is not notified of resets and keeps its old data about the function.
		GSI_INFO In a PVH dom0 Xen is not told the function's interrupt (GSI).
		DVSEC A CXL port that masks bus resets is not noticed: the resets have no effect there, and count.
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

summary()
{
	echo 'compat.h stands in for:'
	for each in $kernels; do
		lacks=$(lacking "$each" | tr '[:upper:]' '[:lower:]' | xargs)
		printf '  %-6s %s\n' "$each" "${lacks:--}"
	done
}

# without FEATURE: the kernels that lack it
without()
{
	for each in $kernels; do
		! lacking "$each" | grep -qx "$1" || echo "$each"
	done | paste -s -d , | sed 's/,/, /g'
}

table()
{
	rst_head "$made_by"
	cat <<-END
		.. list-table::
		   :header-rows: 1
		   :widths: 15 85

		   * - Kernel
		     - What is missing, and what it costs
	END
	costs | while read -r feature cost; do
		echo "   * - $(without "$feature")"
		echo "     - $cost" | fold -s -w 90 | sed '2,$s/^/       /; s/ *$//'
	done
}

made_by=$(made_by kernels)
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
summary
keep_table "$BUILD/kernels.txt" table
