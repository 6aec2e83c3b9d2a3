/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frames.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "util.h"

#define MAX_THREADS 64
#define LOADER_NICE 10

/* A power of two. */
#define NEAR 256

enum state {
	EMPTY,
	HINTED, /* for whoever wants it to load */
	QUEUED,
	LOADING,
	READY,
	BAD,
};

struct frames {
	unsigned char *memory;
	bool lend;
	int event;
	pthread_mutex_t lock;
	pthread_cond_t queued, loaded;
	struct held_frame held[FRAMES_HELD];
	struct held_frame *near[NEAR];         /* where a frame was last seen */
	struct held_frame *queue[FRAMES_HELD]; /* a ring */
	unsigned first, n_queued;
	uint64_t clock;
	bool quit;
	pthread_t thread[MAX_THREADS];
	struct pack_lane *lane[MAX_THREADS];
	struct pack_lane *own; /* of whoever calls */
	unsigned threads;
};

struct loader_arg {
	struct frames *f;
	struct pack_lane *lane;
};

/* Under the lock, which is left meanwhile. */
static void load(struct frames *f, struct held_frame *h, struct pack_lane *lane)
{
	int ret;

	h->state = LOADING;
	pthread_mutex_unlock(&f->lock);
	ret = pack_read(h->pack, lane, h->number, f->lend, h->room, &h->content,
		&h->err);
	pthread_mutex_lock(&f->lock);
	h->state = ret ? BAD : READY;
	pthread_cond_broadcast(&f->loaded);
}

static void *loader(void *arg)
{
	struct loader_arg a = *(struct loader_arg *)arg;
	struct frames *f = a.f;

	free(arg);
	/* What is read ahead can wait for whoever uses what is there. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), LOADER_NICE);
	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct held_frame *h;

		while (!f->n_queued && !f->quit)
			pthread_cond_wait(&f->queued, &f->lock);
		if (f->quit)
			break;
		h = f->queue[f->first];
		f->first = (f->first + 1) % FRAMES_HELD;
		f->n_queued--;
		load(f, h, a.lane);
		eventfd_write(f->event, 1);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static int start_loader(struct frames *f, struct err *err)
{
	struct loader_arg *a = xcalloc(1, sizeof(*a));
	int bad;

	f->lane[f->threads] = pack_lane_new(err);
	if (!f->lane[f->threads]) {
		free(a);
		return -1;
	}
	*a = (struct loader_arg){f, f->lane[f->threads]};
	bad = pthread_create(&f->thread[f->threads], NULL, loader, a);
	if (bad) {
		free(a);
		return err_set(err, bad, "start a thread");
	}
	f->threads++;
	return 0;
}

static int start_loaders(struct frames *f, unsigned threads, struct err *err)
{
	unsigned want = threads ? threads : cpu_count();
	sigset_t all, old;
	int ret = 0;

	if (want > MAX_THREADS)
		want = MAX_THREADS;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (!ret && f->threads < want)
		ret = start_loader(f, err);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

struct frames *frames_new(unsigned threads, bool lend, struct err *err)
{
	struct frames *f = xcalloc(1, sizeof(*f));
	void *m = mmap(NULL, (size_t)FRAMES_HELD * FRAME_BYTES,
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->queued, NULL);
	pthread_cond_init(&f->loaded, NULL);
	f->lend = lend;
	f->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->memory = m == MAP_FAILED ? NULL : m;
	if (f->event < 0 || !f->memory)
		ret = err_set(err, errno, "buffers");
	for (size_t i = 0; !ret && i < FRAMES_HELD; i++)
		f->held[i].room = f->memory + i * FRAME_BYTES;
	if (!ret)
		f->own = pack_lane_new(err);
	if (f->own && !start_loaders(f, threads, err))
		return f;
	frames_free(f);
	return NULL;
}

void frames_free(struct frames *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->quit = true;
	pthread_cond_broadcast(&f->queued);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < f->threads; i++)
		pthread_join(f->thread[i], NULL);
	for (size_t i = 0; i < MAX_THREADS; i++)
		pack_lane_free(f->lane[i]);
	pack_lane_free(f->own);
	if (f->memory)
		munmap(f->memory, (size_t)FRAMES_HELD * FRAME_BYTES);
	release_fd(&f->event);
	pthread_cond_destroy(&f->loaded);
	pthread_cond_destroy(&f->queued);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

int frames_fd(const struct frames *f)
{
	return f->event;
}

/* All below is under the lock. */

static bool holds(
	const struct held_frame *h, const struct pack *p, uint32_t number)
{
	return h && h->state != EMPTY && h->pack == p && h->number == number;
}

/*
 * A page here and a page there, each from another pack: that is how most of a
 * later generation is read, so it must not take long.
 */
static struct held_frame *find(
	struct frames *f, const struct pack *p, uint32_t number)
{
	struct held_frame **near =
		&f->near[((uintptr_t)p / 64 + number) & (NEAR - 1)];

	if (holds(*near, p, number))
		return *near;
	for (size_t i = 0; i < FRAMES_HELD; i++)
		if (holds(&f->held[i], p, number))
			return *near = &f->held[i];
	return NULL;
}

/* Room for another one: what was used longest ago. NULL: all are in use. */
static struct held_frame *make_room(struct frames *f)
{
	struct held_frame *oldest = NULL;

	for (size_t i = 0; i < FRAMES_HELD; i++) {
		struct held_frame *h = &f->held[i];

		if (h->state == EMPTY)
			return h;
		if ((h->state == HINTED || h->state >= READY) && !h->holders &&
			(!oldest || h->used < oldest->used))
			oldest = h;
	}
	return oldest;
}

/* In memory, coming, or newly queued; NULL: no room. */
static struct held_frame *want(
	struct frames *f, struct pack *p, uint32_t number)
{
	struct held_frame *h = find(f, p, number);

	if (!h) {
		h = make_room(f);
		if (!h)
			return NULL;
		if (h->state == READY && h->content.mapped)
			pack_done(h->pack, h->number);
		h->pack = p;
		h->number = number;
		h->state = HINTED;
		if (!pack_hint(p, number)) {
			h->state = QUEUED;
			f->queue[(f->first + f->n_queued++) % FRAMES_HELD] = h;
			pthread_cond_signal(&f->queued);
		}
	}
	h->used = ++f->clock;
	return h;
}

bool frames_want(struct frames *f, struct pack *p, uint32_t number)
{
	bool there;

	pthread_mutex_lock(&f->lock);
	there = want(f, p, number) != NULL;
	pthread_mutex_unlock(&f->lock);
	return there;
}

int frames_get(struct frames *f, struct pack *p, uint32_t number, bool wait,
	struct held_frame **out, struct err *err)
{
	struct held_frame *h;
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	/* Without room now, something is being loaded, and will be there. */
	while (!(h = want(f, p, number)) && wait)
		pthread_cond_wait(&f->loaded, &f->lock);
	/* What is only to be checked takes less time than handing it over. */
	if (h && h->state == HINTED)
		load(f, h, f->own);
	while (wait && h->state < READY)
		pthread_cond_wait(&f->loaded, &f->lock);
	if (h && h->state == READY) {
		h->holders++;
		*out = h;
		ret = 1;
	} else if (h && h->state == BAD) {
		if (err)
			*err = h->err;
		ret = -1;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

void frames_put(struct frames *f, struct held_frame *h)
{
	pthread_mutex_lock(&f->lock);
	h->holders--;
	pthread_mutex_unlock(&f->lock);
}
