/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two that make and two that take, by a ring; and a clock that beats. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define MAKERS 2
#define ITEMS 40000
#define RING 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t start;
static unsigned ring[RING], head, tail, taken;
static uint64_t total;
static _Thread_local uint64_t mine;

static void *make(void *arg)
{
	unsigned x = (unsigned)(uintptr_t)arg;

	pthread_barrier_wait(&start);
	for (int i = 0; i < ITEMS; i++) {
		x = x * 1664525 + 1013904223;
		pthread_mutex_lock(&lock);
		while (head - tail == RING)
			pthread_cond_wait(&change, &lock);
		ring[head++ % RING] = x >> 8;
		pthread_cond_broadcast(&change);
		pthread_mutex_unlock(&lock);
		if (i % 500 == 0)
			usleep(100000);
	}
	return NULL;
}

static void *take(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&start);
	pthread_mutex_lock(&lock);
	for (;;) {
		while (head == tail && taken < MAKERS * ITEMS)
			pthread_cond_wait(&change, &lock);
		if (taken == MAKERS * ITEMS)
			break;
		mine += ring[tail++ % RING];
		taken++;
		pthread_cond_broadcast(&change);
	}
	total += mine;
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	const struct timespec beat = {0, 100000000};
	pthread_t threads[2 * MAKERS];

	pthread_barrier_init(&start, NULL, 2 * MAKERS);
	for (uintptr_t i = 0; i < MAKERS; i++) {
		pthread_create(&threads[i], NULL, make, (void *)(i + 1));
		pthread_create(&threads[MAKERS + i], NULL, take, NULL);
	}
	for (int i = 0; i < 60; i++) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &beat, NULL);
		printf("%d\n", i);
		fflush(stdout);
	}
	for (int i = 0; i < 2 * MAKERS; i++)
		pthread_join(threads[i], NULL);
	printf("%u items, total %llu\n", taken, (unsigned long long)total);
	return 0;
}
