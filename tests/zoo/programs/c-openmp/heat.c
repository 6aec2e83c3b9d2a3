/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heat in a plate, by Jacobi's method with four threads. */
#include <omp.h>
#include <stdio.h>
#include <time.h>

#define N 256

static double plate[2][N][N];

static double step(int from)
{
	double change = 0;

#pragma omp parallel for reduction(max : change) num_threads(4)
	for (int i = 1; i < N - 1; i++) {
		for (int j = 1; j < N - 1; j++) {
			double t = (plate[from][i - 1][j] +
					   plate[from][i + 1][j] +
					   plate[from][i][j - 1] +
					   plate[from][i][j + 1]) /
				4;
			double d = t - plate[from][i][j];

			plate[!from][i][j] = t;
			if (d < 0)
				d = -d;
			if (d > change)
				change = d;
		}
	}
	return change;
}

int main(void)
{
	const struct timespec pause = {0, 40000000};

	for (int i = 0; i < N; i++)
		plate[0][0][i] = plate[1][0][i] = 100;
	for (int n = 0; n < 160; n++) {
		double change = 0;

		for (int k = 0; k < 20; k++)
			change = step(k & 1);
		printf("%d %.12f %.12f\n", n, change, plate[0][N / 8][N / 2]);
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
	return 0;
}
