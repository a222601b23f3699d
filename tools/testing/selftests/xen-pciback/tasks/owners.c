// SPDX-License-Identifier: GPL-2.0
/*
 * Who has each function, as far as that is known while many tasks change it. The witness
 * (lib/witness.h) is notified of it.
 */
#include "tasks.h"

void change_begin(unsigned int i)
{
	struct subject *subject = &shared->subjects[i];

	pthread_mutex_lock(&subject->lock);
	subject->overlapped = subject->under_way++;
	if (subject->marked)
		witness_mark(WITNESS_FREE, i);
	subject->marked = false;
	pthread_mutex_unlock(&subject->lock);
}

void change_end(unsigned int i, int guest, bool clean)
{
	struct subject *subject = &shared->subjects[i];

	pthread_mutex_lock(&subject->lock);
	subject->guest = guest;
	if (--subject->under_way) {
		subject->overlapped = true;
	} else if (!fn_exists(fn_of(i))) {
		/* With a fault it may not have been found again: nobody's */
		subject->guest = NOBODY;
	} else if (!is_pcibacks(i)) {
		subject->guest = NOBODY;
		witness_mark(WITNESS_UNOWNED, i);
		subject->marked = true;
	} else if (subject->overlapped) {
		subject->guest = NOBODY;
	} else if (guest != NOBODY) {
		witness_mark(WITNESS_ASSIGNED, i);
		if (clean)
			witness_mark(WITNESS_CLEAN, i);
		subject->marked = true;
	}
	pthread_mutex_unlock(&subject->lock);
}

void change_set_begin(unsigned int set)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (set_of(i) == set)
			change_begin(i);
}

void change_set_end(unsigned int set)
{
	unsigned int i;

	for (i = 0; i < NR_FNS; i++)
		if (set_of(i) == set)
			change_end(i, NOBODY, false);
}

void trouble_begin(unsigned int set)
{
	atomic_add(shared->subjects[set].troubles, 1);
	atomic_add(shared->subjects[set].trouble, 1);
}

void trouble_end(unsigned int set)
{
	atomic_add(shared->subjects[set].trouble, -1);
}
