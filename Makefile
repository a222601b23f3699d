# SPDX-License-Identifier: GPL-2.0
#
# Thorough resets for xen-pciback. "make help" lists the targets; what they
# do is in scripts that can be run by hand: scripts/.

# The kernel (any that Debian has from 5.10 on, or newest) and the hypervisor (4.14, 4.17,
# 4.20) of the VM, and what kind of guest dom0 is (pv; pvh from 6.12 and 4.20 on)
KERNEL ?= 6.12
XEN ?= 4.17
DOM0 ?= pv
# Another configuration of it: rt is Debian's, debug and kcsan are built here of its
# source
FLAVOUR ?=
# Where things are made, and where Debian's packages are kept between runs.
BUILD ?= build
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/xen-pciback-reset
# make check: only these (name,name); in the order that this number makes; with each fault of scripts/check/mutations/; so many VMs at once
TESTS ?=
SHUFFLE ?=
MUTATE ?=
VMS ?= 3
# make check-matrix: only these (kernel-xen or kernel-xen-pvh ...); how many at once
PAIRS ?=
JOBS ?=
# make fuzz: how many inputs; make stress, check-long: for how long; all: what of
N ?= 1000000
MINUTES ?= 60
SEED ?=
# make bench: how often each is measured
ROUNDS ?= 5
# make module: a kernel tree or headers to build against
KSRC ?=
# make patches: for this kernel tree instead; and what its owner made it from
TREE ?=
BASE ?=
# make module, run, shell: the stock driver
STOCK ?=
# make install: what goes before all paths, and before the command's
DESTDIR ?=
PREFIX ?= /usr/local
# V=1: show the commands' own output, and the VM's console
V ?=

export KERNEL FLAVOUR XEN DOM0 BUILD CACHE TESTS SHUFFLE MUTATE VMS PAIRS JOBS N MINUTES SEED ROUNDS
export KSRC V

ifeq ($(KERNEL),newest)
override KERNEL := $(shell KERNEL= BUILD='$(BUILD)' CACHE='$(CACHE)' scripts/fetch.sh --newest)
$(if $(KERNEL),,$(error KERNEL=newest: Debian does not tell))
endif
OUT := $(BUILD)/$(KERNEL)$(addprefix -,$(FLAVOUR))
DRIVER := $(OUT)/$(if $(STOCK),stock/)xen-pciback.ko

# The scripts' own makes are not part of this one.
unexport MAKEFLAGS MAKELEVEL

.PHONY: help deps module vm run check check-matrix check-debug check-long coverage fuzz stress outcomes compare \
	bench shell lint docs patches bisect-check deb deb-check install uninstall clean distclean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## this list
	@echo 'Thorough resets for xen-pciback. Targets:'
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r name text; do printf '  %-14s%s\n' "$$name" "$$text"; done
	@echo
	@echo 'Variables: KERNEL=5.10|6.1|...|newest XEN=4.14|4.17|4.20 ($(KERNEL), $(XEN))'
	@echo '           FLAVOUR=debug|kcsan|rt DOM0=pv|pvh ($(DOM0))'
	@echo '           BUILD=$(BUILD) CACHE=$(CACHE)'
	@echo '           TESTS=name,... SHUFFLE=seed MUTATE=1 VMS=3 PAIRS="kernel-xen ..."'
	@echo '           N=number SEED=number MINUTES=number ROUNDS=number'
	@echo '           KSRC=dir TREE=dir BASE=dir STOCK=1 V=1'

deps: ## install what this machine lacks (qemu, a compiler, ...)
	@scripts/deps.sh vm lint docs

module: ## build build/6.12/xen-pciback.ko (KSRC=dir: for that kernel; STOCK=1: unpatched)
	@scripts/deps.sh
	@scripts/module.sh $(if $(STOCK),--stock)

# Not for people: all that the VM needs.
vm: module
	@scripts/deps.sh vm
	@scripts/fetch.sh linux xen tools dash
	@scripts/unpack.sh vm
	@scripts/image.sh

run: vm ## boot Xen and dom0, and show what reset_device does
	@scripts/tests.sh
	@VM_ENV="COLOR=$$(test -t 1 && echo 1)" \
		scripts/boot.sh -n run -m '$(DRIVER)' -d $(OUT)/selftests /selftests/xen-pciback/story.sh

check: ## run the kselftests in the VM (TESTS=name,... only these; MUTATE=1: can they fail?)
	@scripts/deps.sh vm
	@scripts/check/check.sh

check-matrix: ## make check for each kernel with the hypervisors it is used with
	@scripts/deps.sh vm
	@scripts/check/matrix.sh

check-debug: ## make check on debug kernels, built here: lockdep and the like, KCSAN
	@scripts/deps.sh vm
	@PAIRS='$(or $(PAIRS),$(foreach f,debug kcsan,$(KERNEL)-$(XEN)-$f))' scripts/check/matrix.sh

check-long: ## hand-overs, HVM guests, hostile ones for six hours, each mutation (MINUTES=360 SEED=)
	@scripts/deps.sh vm
	@MINUTES='$(filter-out $(if $(filter file,$(origin MINUTES)),%),$(MINUTES))' scripts/check/long.sh

coverage: ## make check, and which lines of the driver it never reached (TESTS=name,...)
	@scripts/deps.sh vm coverage
	@scripts/check/coverage.sh

fuzz: ## addresses, damaged ones and noise, against a reference parser (N=1000000 SEED=)
	@scripts/deps.sh vm fuzz
	@scripts/check/fuzz.sh

stress: ## everything at once, at random, for MINUTES=60 (SEED=)
	@scripts/deps.sh vm
	@scripts/check/stress.sh

outcomes: ## inject failures, and tabulate the results
	@scripts/deps.sh vm
	@scripts/check/outcomes.sh

compare: ## hand-overs on the stock driver and on this one, as a table
	@scripts/deps.sh vm
	@scripts/check/compare.sh

bench: ## how fast, beside the stock driver and vfio-pci: tables, plots (ROUNDS=5)
	@scripts/deps.sh vm bench
	@scripts/bench/bench.sh

shell: vm ## a root shell in that dom0; leaving it powers off
	@scripts/tests.sh
	@scripts/image.sh xentools
	@scripts/boot.sh -n shell -m '$(DRIVER)' -i -x -d $(OUT)/selftests

lint: ## checkpatch, compilers' warnings, sparse, coccicheck, ... for each kernel
	@scripts/deps.sh lint docs
	@scripts/check/lint.sh $(if $(filter-out file,$(origin KERNEL)),$(KERNEL))

docs: ## the guide, the manual and the reference as HTML, in build/docs
	@scripts/deps.sh docs
	@scripts/docs.sh

patches: ## the change as series for mail (TREE=dir BASE=dir, KERNEL=: one for that tree)
	@scripts/deps.sh vm
	@$(if $(TREE),,scripts/series/patches.sh)
	@$(if $(TREE)$(filter-out file,$(origin KERNEL)),scripts/series/tree.sh $(addsuffix ',$(addprefix ',$(TREE) $(BASE))))

bisect-check: ## see that each commit of these builds and passes its tests, and TREE= merges
	@scripts/deps.sh vm
	@scripts/check/bisect.sh

deb: ## build the Debian packages (DKMS, and the command) into build/deb
	@scripts/deps.sh deb
	@debian/deb.sh

deb-check: ## install, upgrade, remove and purge them in a chroot; their module in the VM
	@scripts/deps.sh vm deb
	@debian/deb-test.sh

install: ## module and command without packages (DESTDIR=dir PREFIX=/usr/local KSRC=dir)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh

uninstall: ## remove what "make install" has put there
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh uninstall

clean: ## remove what was built
	rm -rf '$(BUILD)'

distclean: clean ## remove the downloaded packages too
	rm -rf '$(CACHE)'
