// SPDX-License-Identifier: GPL-2.0
/*
 * guard: for scripts, which start with "$DIR/guard" || exit. Succeeds in the emulated
 * machine; on any other one lib/guard.c ends it before main(), with the exit status of
 * a test that is skipped.
 */
int main(void)
{
	return 0;
}
