/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "interval.h"

#include <math.h>

/* What the first one is thought to cost. */
#define FIRST_COST 1.

/* The least, in whole dumps: they load the disk while the command runs. */
#define LEAST_DUMPS 10

/* Less is no change for a user: a fifth, up or down. */
#define NEWS 1.2

double interval_best(double cost, double dump, double mtbf)
{
	double best = sqrt(2 * (cost > 0 ? cost : FIRST_COST) * mtbf);
	double least = LEAST_DUMPS * dump;

	return best > least ? best : least;
}

bool interval_is_news(double told, double now)
{
	return told <= 0 || now > told * NEWS || now * NEWS < told;
}
