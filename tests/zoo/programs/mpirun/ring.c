/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A number goes round; what all have of it is summed. */
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int rank, size;
	long token = 40, sum = 0;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	for (int i = 0; i < 80; i++) {
		MPI_Sendrecv_replace(&token, 1, MPI_LONG, (rank + 1) % size, 0,
			(rank + size - 1) % size, 0, MPI_COMM_WORLD,
			MPI_STATUS_IGNORE);
		token = (token * 31 + rank + i) % 1000003;
		MPI_Allreduce(&token, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
		if (rank == 0) {
			printf("%d %ld %ld\n", i, token, sum);
			fflush(stdout);
		}
		usleep(100000);
	}
	MPI_Finalize();
	return 0;
}
