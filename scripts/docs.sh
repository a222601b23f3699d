#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# docs.sh: build the guide, the command's manual and the reference of the files
# in sysfs, by the kernel's documentation tools, as HTML in $BUILD/docs. What they
# warn of is an error.
set -eu
# By the tools of the kernel that is taken if none is said: later ones have others
KERNEL=''
. "${0%/*}/common.sh"

TREE=$OUT/docs-tree
HTML=$BUILD/docs

# A tree with these pages and no others, and an index for them
make_tree()
{
	rm -rf "$TREE"
	cp -R "$OUT/docs" "$TREE"
	cp -R "$TOP/Documentation" "$TREE/"
	cp "$TOP/tools/xen/pciback-reset.rst" "$TREE/Documentation/"
	cat >"$TREE/Documentation/admin-guide/abi-testing.rst" <<-END
		The files in sysfs
		==================

		.. kernel-abi:: ABI/testing
		   :rst:
	END
	cat >"$TREE/Documentation/index.rst" <<-END
		Thorough resets for xen-pciback
		===============================

		.. toctree::
		   :maxdepth: 2

	END
	for page in admin-guide/xen-pciback-reset pciback-reset admin-guide/abi-testing \
		admin-guide/xen-pciback-reset-tests; do
		echo "   $page"
	done >>"$TREE/Documentation/index.rst"
}

build_docs()
{
	make_tree
	rm -rf "$HTML"
	PYTHONDONTWRITEBYTECODE=1 srctree=$TREE sphinx-build -q -E -W --keep-going \
		-b html -d "$OUT/doctrees" -D version="$KERNEL" -D release="$KERNEL" \
		"$TREE/Documentation" "$HTML"
}

[ -e "$(set_dir linux)/SHA256SUMS" ] || "$SCRIPT_DIR/fetch.sh" source
"$SCRIPT_DIR/unpack.sh" docs
step docs "HTML, in $HTML" build_docs
