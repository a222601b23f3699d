# SPDX-License-Identifier: GPL-2.0
#
# Thorough resets for xen-pciback. "make help" lists the targets. Each runs a script of
# scripts/, which can also be run by hand.

# The VM's kernel (any from 5.10 on that Debian has, or newest), its hypervisor (4.14, 4.17,
# 4.20) and the type of dom0 (pv; pvh with kernel 6.12 and Xen 4.20 or later). What is taken
# if none is said is in common.sh.
default = $(shell sed -n 's/^DEFAULT_$(1)=//p' scripts/common.sh)
ifeq ($(origin KERNEL),undefined)
KERNEL := $(call default,KERNEL)
endif
ifeq ($(origin XEN),undefined)
XEN := $(call default,XEN)
endif
DOM0 ?= pv
# Another configuration of that kernel: rt is Debian's; debug and kcsan are built here from
# its source
FLAVOUR ?=
# Where everything is built, and where Debian's packages are kept between runs
BUILD ?= build
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/xen-pciback-reset
# make check: run only these tests (name,name); shuffle them by this number; run them on each
# faulty driver of scripts/check/mutations/; number of VMs at the same time
TESTS ?=
SHUFFLE ?=
MUTATE ?=
VMS ?= 3
# make check TESTS=machines: a folder of facts about machines, in place of the committed ones
MACHINES ?=
# make check-matrix: only these pairs (kernel-xen or kernel-xen-pvh ...); how many at a time
PAIRS ?=
JOBS ?=
# make fuzz: number of inputs [1000000]; make mutate: number of faults [200; check-long: all],
# and their kinds, if not all but lock (operator,...: mutate.py); make stress, check-long:
# minutes; all of these: the seed of what is random
N ?=
OPERATORS ?=
MINUTES ?= 60
SEED ?=
# make bench: how often each figure is measured
ROUNDS ?= 5
# make module: a kernel tree or headers to build against
KSRC ?=
# make patches: make one patch for this kernel tree; BASE is the tree that it was made from
TREE ?=
BASE ?=
# make module, run, shell: use the stock driver
STOCK ?=
# make deb-check: the Debian, if not the one that $(KERNEL) is from: trixie, bookworm
DEBIAN ?=
# make install: a prefix of all paths, and of the command's paths
DESTDIR ?=
PREFIX ?= /usr/local
# V=1: show the output of the commands, and the VM's console
V ?=

export KERNEL FLAVOUR XEN DOM0 BUILD CACHE TESTS SHUFFLE MACHINES MUTATE VMS PAIRS JOBS N MINUTES
export SEED OPERATORS ROUNDS DEBIAN KSRC V

ifeq ($(KERNEL),newest)
override KERNEL := $(shell KERNEL= BUILD='$(BUILD)' CACHE='$(CACHE)' scripts/fetch.sh --newest)
$(if $(KERNEL),,$(error KERNEL=newest: Debian does not tell))
endif
OUT := $(BUILD)/$(KERNEL)$(addprefix -,$(FLAVOUR))
DRIVER := $(OUT)/$(if $(STOCK),stock/)xen-pciback.ko

# Do not pass this make's options to the makes that scripts run.
unexport MAKEFLAGS MAKELEVEL

.PHONY: help deps module vm run check check-matrix check-debug check-long coverage mutate \
	kernels fuzz stress outcomes machines compare bench shell lint docs patches bisect-check \
	deb deb-check install uninstall clean distclean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## show this list
	@echo 'Thorough resets for xen-pciback. Targets:'
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='	' read -r name text; do printf '  %-14s%s\n' "$$name" "$$text"; done
	@echo
	@echo 'Variables: KERNEL=5.10|6.1|...|newest XEN=4.14|4.17|4.20 ($(KERNEL), $(XEN))'
	@echo '           FLAVOUR=debug|kcsan|rt DOM0=pv|pvh ($(DOM0))'
	@echo '           BUILD=$(BUILD) CACHE=$(CACHE)'
	@echo '           TESTS=name,... SHUFFLE=seed MACHINES=dir MUTATE=1 VMS=3'
	@echo '           PAIRS="kernel-xen ..." N=number SEED=number MINUTES=number ROUNDS=number'
	@echo '           KSRC=dir TREE=dir BASE=dir STOCK=1 V=1'

deps: ## install what this machine lacks (qemu, a compiler, ...)
	@scripts/deps.sh vm lint docs

module: ## build build/6.12/xen-pciback.ko (KSRC=dir: for that kernel; STOCK=1: the stock driver)
	@scripts/deps.sh
	@scripts/module.sh $(if $(STOCK),--stock)

# A step of other targets: build all that the VM needs
vm: module
	@scripts/deps.sh vm
	@scripts/fetch.sh linux xen tools dash driverctl
	@scripts/unpack.sh vm
	@scripts/image.sh

run: vm ## boot Xen and dom0, and show what reset_device does
	@scripts/tests.sh
	@VM_ENV="COLOR=$$(test -t 1 && echo 1)" \
		scripts/boot.sh -n run -m '$(DRIVER)' -d $(OUT)/selftests /selftests/xen-pciback/story.sh

check: ## run the kselftests in the VM (TESTS=name,...: only these; MUTATE=1: show that they can fail)
	@scripts/deps.sh vm
	@scripts/check/check.sh

check-matrix: ## run make check for each pair of kernel and Xen, and tabulate the results
	@scripts/deps.sh vm
	@scripts/check/matrix.sh

check-debug: ## make check on debug kernels, built here: lockdep and the like, KCSAN
	@scripts/deps.sh vm
	@TARGET=check-debug PAIRS='$(or $(PAIRS),$(foreach f,debug kcsan,$(KERNEL)-$(XEN)-$f))' scripts/check/matrix.sh

check-long: ## run the long tests: hand-overs, HVM guests, hostile ones, all mutations (MINUTES=360 N= SEED=)
	@scripts/deps.sh vm coverage mutate
	@MINUTES='$(filter-out $(if $(filter file,$(origin MINUTES)),%),$(MINUTES))' scripts/check/long.sh

coverage: ## run make check, and list the driver's lines that no test reached (TESTS=name,...)
	@scripts/deps.sh vm coverage
	@scripts/check/coverage.sh

mutate: ## make check on drivers with generated faults: which are not found? (N=200 SEED=)
	@scripts/deps.sh vm coverage mutate
	@scripts/check/mutate.sh

kernels: ## build the driver for each kernel, and list what each kernel lacks
	@scripts/deps.sh
	@scripts/check/kernels.sh

fuzz: ## compare the driver's parser with a reference on random input (N=1000000 SEED=)
	@scripts/deps.sh vm fuzz
	@scripts/check/fuzz.sh

stress: ## run all operations at random and at the same time, for MINUTES=60 (SEED=)
	@scripts/deps.sh vm
	@scripts/check/stress.sh

outcomes: ## inject failures, and tabulate the results
	@scripts/deps.sh vm
	@scripts/check/outcomes.sh

machines: ## tabulate what a reset would do on machines that people have (MACHINES=dir)
	@scripts/deps.sh vm
	@scripts/check/machines.sh

compare: ## tabulate what hand-overs reset, with the stock driver and with this one
	@scripts/deps.sh vm
	@scripts/check/compare.sh

bench: ## measure speed against the stock driver and vfio-pci: tables, plots (ROUNDS=5)
	@scripts/deps.sh vm bench
	@scripts/bench/bench.sh

shell: vm ## open a root shell in that dom0; leaving it powers off
	@scripts/tests.sh
	@scripts/image.sh xentools
	@scripts/boot.sh -n shell -m '$(DRIVER)' -i -x -d $(OUT)/selftests

lint: ## run checkpatch, compilers' warnings, sparse, coccicheck, ... (KERNEL=: only for that)
	@scripts/deps.sh lint docs
	@scripts/check/lint.sh $(if $(filter-out file,$(origin KERNEL)),$(KERNEL))

docs: ## make HTML of the README, the guide, the manual and the reference, in build/docs
	@scripts/deps.sh docs
	@scripts/docs.sh

patches: ## make the series for mail (TREE=dir BASE=dir, KERNEL=: one patch for that tree)
	$(if $(TREE),,$(if $(BASE),$(error BASE is what TREE=dir was made from)))
	@scripts/deps.sh vm patches
	@$(if $(TREE),,scripts/series/patches.sh)
	@$(if $(TREE)$(filter-out file,$(origin KERNEL)),scripts/series/tree.sh $(if $(TREE),'$(TREE)' '$(BASE)'))

bisect-check: ## check that each commit of the series builds and passes its tests
	@scripts/deps.sh vm patches
	@scripts/check/bisect.sh

deb: ## build the Debian packages (DKMS, and the command) into build/deb
	@scripts/deps.sh deb
	@debian/deb.sh

deb-check: ## install, upgrade, remove and purge them in a chroot; test their module in the VM
	@scripts/deps.sh vm deb
	@debian/deb-test.sh

install: ## install module and command without packages (DESTDIR= PREFIX=/usr/local KSRC=)
	@scripts/deps.sh command
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh

uninstall: ## remove what "make install" has installed
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install.sh uninstall

clean: ## remove what was built
	rm -rf '$(BUILD)'

distclean: clean ## remove the downloaded packages too
	rm -rf '$(CACHE)'
