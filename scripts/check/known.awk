# SPDX-License-Identifier: GPL-2.0
#
# A console's log, less reports that are known and not about this driver. reports/
# has for each rule one that it leaves out, and one like it that must stay.
#
# After any of lockdep's it sees nothing any more: check.sh tells when that was.

# Whether the driver, or a test's module, is in it
function ours()
{
	return report ~ /\[(xen_)?pciback/
}

function known()
{
	# pciehp lets go of its reset_lock while a driver is unbound, and takes it again
	# under pci_rescan_remove_lock, which it takes under that lock otherwise
	if (report ~ /trying to acquire lock:\n[^\n]*ctrl->reset_lock[^\n]* pciehp_(un)?configure_device/)
		return !ours()
	# Or its interrupt takes the latter first, when error recovery has reset a slot
	if (report ~ /already holding lock:\n[^\n]*ctrl->reset_lock[^\n]* pciehp_ist/)
		return !ours()
	# gntdev, when xenstored maps a page of the first guest
	if (report ~ /trying to acquire lock:\n[^\n]*priv->lock[^\n]* gntdev_mmap/)
		return !ours()
	# The stock driver's: while a PF is unbound, its notifier unbinds the VFs, and each
	# of them is notified of again
	if (report ~ /trying to acquire lock:\n[^\n]*bus_notifier.*\n[^\n]* pci_stub_notifier/)
		return report !~ / (xen_)?pcibk_/
	# More locks than lockdep remembers: a reset of a bus with 40 functions or more
	if (report ~ /MAX_LOCK_DEPTH too low.*\n[^\n]* #40: [^\n]* pci_(bus|slot)_(try)?lock/)
		return 1
	# The module loader's, when failnth lets it have no memory
	return report ~ /^[^\n]* failnth: vmalloc error: .* init_module_from_file/ ||
	       report ~ /^[^\n]* ddebug_module_notify.* Comm: failnth .* load_module/
}

function flush()
{
	if (!known())
		printf "%s", report
	report = ""
	inside = 0
}

function begins()
{
	return /possible (circular locking dependency|recursive locking) detected| MAX_LOCK_DEPTH too low| vmalloc error: |WARNING: .* ddebug_module_notify/
}

# A report may be cut: what comes after it is none of it
inside && (begins() || /(WARNING|BUG|Oops|KASAN|UBSAN):|-\[ cut here \]-|Kernel panic|general protection fault|\(XEN\) /) {
	flush()
}

begins() {
	inside = 1
}

inside {
	report = report $0 "\n"
	if (/<\/TASK>/)
		flush()
	next
}

# IOMMU faults that a test announces, of the requester that it names (lib/xl.h)
match($0, /selftest: IOMMU faults of [0-9a-f:.]+ /) {
	announced = / begin/ ? substr($0, RSTART + 26, RLENGTH - 27) : ""
}

announced && /\(XEN\) \[VT-D\]DMAR:/ && index($0, "[" announced "]") {
	next
}

# Xen's: a function that is bound in the moment between its driver's leaving and its own
# (pci_stop_dev(), pci_destroy_dev()) is gone for Xen before pciback gives back its
# MSI-X: that fails with ENODEV, and when the next one comes to its place Xen finds the
# table's pages taken. Only stress is random enough for it. One such failure is the excuse
# for two traces: of the table, and of what shows which entries are pending.
/^\(XEN\) RIP:/ {
	msix = /msi.c#msix_capability_init/
}

/^\(XEN\) Xen call trace:/ && msix {
	traces++
	held = held $0 "\n"
	next
}

/MSI-X release failed \(-19\)/ {
	forgotten++
}

{
	print
}

END {
	flush()
	if (traces > 2 * forgotten)
		printf "%s", held
}
