#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# docs.sh: build the README, the guide, the command's manual and the reference of the
# files in sysfs as HTML in $BUILD/docs, by the kernel's documentation tools. A warning of
# these is an error.
set -eu
# The default kernel's tools, whatever KERNEL is: later kernels have others
KERNEL=''
. "${0%/*}/common.sh"

TREE=$OUT/docs-tree
HTML=$BUILD/docs
PROJECT='Thorough resets for xen-pciback'
VERSION=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$TOP/debian/changelog")

# landing: the first page, with a sentence for each other one
landing()
{
	cat <<-END
		$PROJECT
		===============================

		Version $VERSION.

		PCI devices are reset thoroughly when they move from one Xen guest to the
		next, also those that have no function-level reset.

		:doc:\`README <readme>\`
		    What it is for, how to see it work, and how to install it.
		:doc:\`Guide <admin-guide/xen-pciback/index>\`
		    Its first page: a drawing of a card, and what the words on all pages mean.
		:doc:\`admin-guide/xen-pciback/start\`
		    From a fresh Debian to a guest with a graphics card, step by step.
		:doc:\`admin-guide/xen-pciback/how-it-works\`
		    What is reset, when, and why.
		:doc:\`admin-guide/xen-pciback/recipes\`
		    What to type for each kind of device.
		:doc:\`admin-guide/xen-pciback/clients\`
		    What other programs do beside pciback: Qubes OS, XCP-ng, driverctl, lspci ...
		:doc:\`admin-guide/xen-pciback/libvirt\`
		    What libvirt does beside pciback, and what to type then.
		:doc:\`admin-guide/xen-pciback/troubleshooting\`
		    Each message, with its cause and what to do.
		:doc:\`admin-guide/xen-pciback/security\`
		    What the resets promise, and what they do not.
		:doc:\`admin-guide/xen-pciback/speed\`
		    How long resets take, next to the stock driver and vfio-pci.
		:doc:\`admin-guide/xen-pciback/limits\`
		    What these resets cannot do, and what was never tried.
		:doc:\`admin-guide/xen-pciback/tests\`
		    What was run, on what, and with what result.
		:doc:\`pciback-reset\`
		    The manual of the command.
		:doc:\`admin-guide/abi-testing\`
		    The reference of the driver's files.

		.. toctree::
		   :hidden:

		   README <readme>
		   Guide <admin-guide/xen-pciback/index>
		   pciback-reset
		   admin-guide/abi-testing
	END
}

# add_plots PAGE: of the figures in its table, at its end
add_plots()
{
	"$SCRIPT_DIR/bench/plots.sh" "${1%.rst}.txt" "${1%/*}"
	for plot in cards functions handover check config; do
		cat <<-END

			.. kernel-figure:: $plot.svg
			   :alt: A plot of figures in the table above
		END
	done >>"$1"
}

# readme: with the guide's drawing of a card in place of the README's first block, which is
# the same card in characters
readme()
{
	DRAWING=$(sed -n '/^\.\. kernel-render/,/^   }/p' \
		"$TOP/Documentation/admin-guide/xen-pciback/index.rst") mawk '
	!drawn && sub(/::$/, ":") {
		print $0 "\n\n" ENVIRON["DRAWING"] "\n"
		drawn = skip = 1
		next
	}
	/^[^ ]/ {
		skip = 0
	}
	!skip' "$TOP/README"
}

# A tree with these pages and no others
make_tree()
{
	rm -rf "$TREE"
	cp -R "$OUT/docs" "$TREE"
	cp -R "$TOP/Documentation" "$TREE/"
	cp "$TOP/tools/xen/pciback-reset.rst" "$TREE/Documentation/"
	readme >"$TREE/Documentation/readme.rst"
	cat >"$TREE/Documentation/admin-guide/abi-testing.rst" <<-END
		The files in sysfs
		==================

		.. kernel-abi:: ABI/testing
		   :rst:
	END
	landing >"$TREE/Documentation/index.rst"
	add_plots "$TREE/Documentation/admin-guide/xen-pciback/speed.rst"
	# The first page lists all pages with a sentence; the side bar lists them, too
	sed -i 's/toctree(maxdepth=3)/toctree(maxdepth=2, includehidden=True, collapse=False, titles_only=True)/' \
		"$TREE/Documentation/sphinx/templates/kernel-toc.html"
	# In a narrow window a wide table or drawing scrolls, and not the page. The theme takes a
	# list's indent away there.
	cat >>"$TREE/Documentation/sphinx-static/custom.css" <<-END
		div.body { min-width: 0; overflow-wrap: break-word; }
		div.body table.docutils { display: block; overflow-x: auto; width: fit-content;
			max-width: 100%; border: none; }
		div.body figure { overflow-x: auto; margin: 1em 0; }
		div.body figure img { min-width: 520px; }
		div.body dd ul, div.body dd ol { margin-left: 20px; }
		div.body img { max-width: 100%; height: auto; }
		@media screen and (max-width: 875px) { div.sphinxsidebar h1 { font-size: 24px; } }
	END
}

build_docs()
{
	make_tree
	rm -rf "$HTML"
	PYTHONDONTWRITEBYTECODE=1 srctree=$TREE sphinx-build -q -E -W --keep-going \
		-b html -d "$OUT/doctrees" -D project="$PROJECT" -D copyright="its authors" \
		-D version="$VERSION" -D release="$VERSION" -D html_logo= \
		-D html_title="$PROJECT $VERSION" \
		-D html_theme_options.description="Version $VERSION" \
		"$TREE/Documentation" "$HTML"
}

[ -e "$(set_dir linux)/SHA256SUMS" ] || "$SCRIPT_DIR/fetch.sh" source
"$SCRIPT_DIR/unpack.sh" docs
step docs "HTML, in $HTML" build_docs
