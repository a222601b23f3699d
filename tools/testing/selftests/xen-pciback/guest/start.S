/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's entry point. Xen starts it as it starts hvmloader: in protected mode with
 * flat segments, with paging and interrupts off.
 */
	.text
	.globl start
start:
	movl	$stack_end, %esp
	call	main

	/* The interrupt table is empty: ud2 faults, and so does its handling, twice */
	.globl triple_fault
triple_fault:
	lidt	no_table
	ud2

	.section .rodata
no_table:
	.word	0
	.long	0

	.bss
	.balign	4096
	.globl	hypercall_page
hypercall_page:
	.skip	4096
	.globl	shared_page
shared_page:
	.skip	4096
	.skip	16384
stack_end:

	.section .note.GNU-stack, "", @progbits
