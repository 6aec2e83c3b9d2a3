/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timers.h - timers that go off while the tree is dumped */
#ifndef TIMERS_H
#define TIMERS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * criu reads the signals that wait for a process first, and its timers last,
 * with all of the memory between. A timer that goes off meanwhile is in the
 * image as one that is not set: its signal is lost, and if it is periodic it
 * never goes off again, as Linux sets it anew only when the signal is
 * delivered. So it is mended in the image on the way back to criu: it goes off
 * at once.
 */

/*
 * At the end of a dump, while the tree is frozen: the signals that wait for its
 * processes, as a list of [PID, mask as in /proc/PID/status].
 */
json_t *timers_pending(pid_t root);

/* The mask of a process in such a list, which may be NULL. */
uint64_t timers_pending_of(const json_t *list, pid_t pid);

/*
 * Set the timers of an image core-PID.img that have gone off: see core.proto
 * and timer.proto of CRIU. What is not understood is left alone.
 */
void timers_mend(unsigned char *image, size_t size, uint64_t pending);

#endif
