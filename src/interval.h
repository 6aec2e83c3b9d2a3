/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interval.h - how often a checkpoint is worth its price; pure, no I/O */
#ifndef INTERVAL_H
#define INTERVAL_H

#include <stdbool.h>

/*
 * Seconds from one checkpoint to the next, by Young and Daly: the square root
 * of 2 * cost * mtbf. cost is how long the last one held the command up, dump
 * how long it took as a whole, mtbf the mean time between failures; a cost that
 * is not known is 0. Checkpoints never take more than a small part of the time.
 */
double interval_best(double cost, double dump, double mtbf);

/* Is that so far from what was told before (0: nothing) that it is news? */
bool interval_is_news(double told, double now);

#endif
