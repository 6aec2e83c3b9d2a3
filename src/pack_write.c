/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack_write.c - frames through compressing threads to one that writes */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "codec.h"
#include "disk.h"
#include "hash.h"
#include "pack.h"
#include "spool.h"
#include "store_parts.h"
#include "util.h"

/* Buffers in all, and how many are written with one call. */
#define FRAMES 48
#define BATCH  16

#define MAX_THREADS 64

struct queue {
	struct frame *head, **tail;
	unsigned n;
};

struct pack_writer {
	struct disk disk;
	struct err err;     /* the first failure */
	uint64_t end, room; /* where the next frame goes, and may go */
	struct pack_head head;
	struct spool table;
	uint32_t pages;
	unsigned char *memory;
	struct frame frame[FRAMES];

	/* What follows is under this lock. */
	pthread_mutex_t lock;
	pthread_cond_t freed, filled, packed;
	struct queue free, raw;
	struct frame *ready[FRAMES]; /* by number, modulo FRAMES */
	uint32_t given, written;     /* numbers of the next frames */
	bool failed, no_more;

	/* How much is compressed. */
	enum compression compression;
	struct rate packs; /* a thread's */
	double squeezed;   /* bytes out for a byte in */

	pthread_t packer[MAX_THREADS], writer;
	struct codec *codec[MAX_THREADS];
	unsigned threads;
	bool has_writer;
};

void pack_name(unsigned gen, char buf[24])
{
	snprintf(buf, 24, "%04u.pack", gen);
}

static void push(struct queue *q, struct frame *f)
{
	f->next = NULL;
	*q->tail = f;
	q->tail = &f->next;
	q->n++;
}

static struct frame *pop(struct queue *q)
{
	struct frame *f = q->head;

	if (!f)
		return NULL;
	q->head = f->next;
	if (!q->head)
		q->tail = &q->head;
	q->n--;
	return f;
}

static void fail(struct pack_writer *w, const struct err *err)
{
	pthread_mutex_lock(&w->lock);
	if (!w->failed)
		w->err = *err;
	w->failed = true;
	pthread_cond_broadcast(&w->freed);
	pthread_cond_broadcast(&w->filled);
	pthread_cond_broadcast(&w->packed);
	pthread_mutex_unlock(&w->lock);
}

/* --- compressing --- */

/*
 * Compressing pays if the disk would take longer for the bytes that it saves
 * than all threads together do for the rest. The first frames show how fast
 * the disk is, and every so often one shows how fast compressing is.
 */
static bool shall_pack(struct pack_writer *w, uint32_t number)
{
	double disk = disk_speed(&w->disk),
	       cpu = rate_speed(&w->packs) * w->threads;

	if (w->compression != COMPRESSION_AUTO)
		return w->compression == COMPRESSION_ZSTD;
	if (number < 4)
		return false;
	if (disk <= 0 || cpu <= 0 || number % 256 == 4)
		return true;
	return w->squeezed < 0.95 && disk < cpu;
}

static double thread_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Outside the lock. Returns the seconds it took, 0 if it was not tried. */
static double pack_one(struct frame *f, struct codec *c, bool compress)
{
	size_t n = (size_t)f->pages * PAGE, packed = 0;
	double start = thread_seconds();

	if (compress)
		packed = codec_compress(c, f->raw, n, f->out);
	f->codec = packed ? PACK_ZSTD : PACK_RAW;
	f->stored = (uint32_t)(packed ? packed : n);
	if (packed)
		memset(f->out + packed, 0, -packed % PAGE);
	f->check = XXH3_64bits(packed ? f->out : f->raw, f->stored);
	return compress ? thread_seconds() - start : 0;
}

struct packer_arg {
	struct pack_writer *w;
	unsigned number;
};

static void *packer(void *arg)
{
	struct packer_arg *a = arg;
	struct pack_writer *w = a->w;
	struct codec *codec = w->codec[a->number];
	struct frame *f;

	free(a);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		bool compress;
		double took, n;

		while (!(f = pop(&w->raw)) && !w->no_more && !w->failed)
			pthread_cond_wait(&w->filled, &w->lock);
		if (!f || w->failed)
			break;
		compress = shall_pack(w, f->number);
		pthread_mutex_unlock(&w->lock);
		took = pack_one(f, codec, compress);
		n = (double)f->pages * PAGE;
		pthread_mutex_lock(&w->lock);
		if (took > 0) {
			rate_add(&w->packs, n, took);
			w->squeezed +=
				((double)f->stored / n - w->squeezed) / 8;
		}
		w->ready[f->number % FRAMES] = f;
		pthread_cond_broadcast(&w->packed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- writing --- */

static int note_frame(struct pack_writer *w, const struct frame *f,
	uint64_t offset, struct err *err)
{
	struct pack_frame e = {
		.offset = offset,
		.stored = f->stored,
		.pages = (uint16_t)f->pages,
		.codec = (uint16_t)f->codec,
		.check = f->check,
	};

	return spool_add(&w->table, &e, sizeof(e), err);
}

/* Frames begin at multiples of a page: that is what O_DIRECT asks for. */
static size_t padded(const struct frame *f)
{
	return (f->stored + (size_t)PAGE - 1) / PAGE * PAGE;
}

static int write_batch(
	struct pack_writer *w, struct frame **f, unsigned n, struct err *err)
{
	struct iovec iov[BATCH];
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		iov[i].iov_base =
			f[i]->codec == PACK_RAW ? f[i]->raw : f[i]->out;
		iov[i].iov_len = padded(f[i]);
		bytes += padded(f[i]);
	}
	if (w->room && w->end + bytes > w->room)
		return err_set(err, 0, NO_ROOM);
	if (disk_write(&w->disk, iov, (int)n, w->end, bytes, err))
		return -1;
	for (unsigned i = 0; i < n; i++) {
		if (note_frame(w, f[i], w->end, err))
			return -1;
		w->end += padded(f[i]);
	}
	return 0;
}

/* Frames are written in the order of their numbers, as the table has them. */
static unsigned take_batch(struct pack_writer *w, struct frame **batch)
{
	unsigned n = 0;

	while (n < BATCH && w->ready[w->written % FRAMES]) {
		batch[n++] = w->ready[w->written % FRAMES];
		w->ready[w->written++ % FRAMES] = NULL;
	}
	return n;
}

/* Waits for frames: how many, or 0 if there will be no more. Under the lock. */
static unsigned next_batch(struct pack_writer *w, struct frame **batch)
{
	unsigned n = 0;

	while (!w->failed && !(n = take_batch(w, batch)) &&
		!(w->no_more && w->written == w->given))
		pthread_cond_wait(&w->packed, &w->lock);
	return w->failed ? 0 : n;
}

static void *writer(void *arg)
{
	struct pack_writer *w = arg;
	struct frame *batch[BATCH];
	unsigned n;

	pthread_mutex_lock(&w->lock);
	while ((n = next_batch(w, batch))) {
		struct err err;
		int ret;

		pthread_mutex_unlock(&w->lock);
		ret = write_batch(w, batch, n, &err);
		if (ret)
			fail(w, &err);
		pthread_mutex_lock(&w->lock);
		if (ret)
			break;
		while (n > 0)
			push(&w->free, batch[--n]);
		pthread_cond_broadcast(&w->freed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- the whole --- */

struct frame *pack_frame(struct pack_writer *w, struct err *err)
{
	struct frame *f = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->failed && !(f = pop(&w->free)))
		pthread_cond_wait(&w->freed, &w->lock);
	if (w->failed && err)
		*err = w->err;
	pthread_mutex_unlock(&w->lock);
	if (f)
		f->pages = 0;
	return f;
}

void pack_put(struct pack_writer *w, struct frame *f)
{
	pthread_mutex_lock(&w->lock);
	f->number = w->given++;
	w->pages += f->pages;
	push(&w->raw, f);
	pthread_cond_signal(&w->filled);
	pthread_mutex_unlock(&w->lock);
}

static int start_threads(
	struct pack_writer *w, const struct store_options *o, struct err *err)
{
	unsigned want = o->threads ? o->threads : cpu_count();
	sigset_t all, old;
	int bad = 0;

	/* Signals are the business of the process's first thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (want > MAX_THREADS)
		want = MAX_THREADS;
	while (!bad && w->threads < want) {
		struct packer_arg *a = xcalloc(1, sizeof(*a));

		*a = (struct packer_arg){w, w->threads};
		w->codec[w->threads] = codec_new(o->level, err);
		bad = w->codec[w->threads] ? 0 : ENOMEM;
		if (!bad)
			bad = pthread_create(
				&w->packer[w->threads], NULL, packer, a);
		if (bad)
			free(a);
		else
			w->threads++;
	}
	if (!bad)
		bad = pthread_create(&w->writer, NULL, writer, w);
	w->has_writer = !bad;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return bad ? err_set(err, bad, "start threads") : 0;
}

static int make_buffers(struct pack_writer *w, struct err *err)
{
	size_t out = (codec_bound(FRAME_BYTES) + 2 * PAGE - 1) / PAGE * PAGE;
	size_t each = FRAME_BYTES + out;

	w->memory = mmap(NULL, FRAMES * each, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->memory == MAP_FAILED) {
		w->memory = NULL;
		return err_set(err, errno, "buffers");
	}
	for (size_t i = 0; i < FRAMES; i++) {
		w->frame[i].raw = w->memory + i * each;
		w->frame[i].out = w->frame[i].raw + FRAME_BYTES;
		push(&w->free, &w->frame[i]);
	}
	return 0;
}

/* It fills a page, so that the frames begin at a multiple of one. */
static int write_head(struct pack_writer *w, unsigned gen, struct err *err)
{
	auto_free unsigned char *page = xcalloc(1, PAGE);
	struct pack_head *h = &w->head;

	*h = (struct pack_head){
		.magic = PACK_MAGIC,
		.version = PACK_VERSION,
		.gen = gen,
		.page_bytes = PAGE,
		.frame_pages = FRAME_PAGES,
	};
	if (getrandom(&h->id, sizeof(h->id), 0) != sizeof(h->id))
		return err_set(err, errno, "getrandom");
	h->check = XXH3_64bits(h, offsetof(struct pack_head, check));
	memcpy(page, h, sizeof(*h));
	if (write_all(w->disk.fd, page, PAGE))
		return disk_error("the pack", err);
	w->end = PAGE;
	return 0;
}

struct pack_writer *pack_create(
	int step, unsigned gen, const struct store_options *o, struct err *err)
{
	struct pack_writer *w = xcalloc(1, sizeof(*w));
	char name[24];

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->freed, NULL);
	pthread_cond_init(&w->filled, NULL);
	pthread_cond_init(&w->packed, NULL);
	w->free.tail = &w->free.head;
	w->raw.tail = &w->raw.head;
	w->compression = o->compression;
	w->squeezed = 1;
	w->room = o->room;
	pack_name(gen, name);
	disk_begin(&w->disk,
		openat(step, name,
			O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600));
	if (w->disk.fd < 0)
		err_set(err, errno, "create %s", name);
	else if (!write_head(w, gen, err) &&
		 !spool_open(&w->table, step, err) && !make_buffers(w, err) &&
		 !start_threads(w, o, err))
		return w;
	else
		unlinkat(step, name, 0);
	pack_release(w);
	return NULL;
}

static void end_threads(struct pack_writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->no_more = true;
	pthread_cond_broadcast(&w->filled);
	pthread_cond_broadcast(&w->packed);
	pthread_mutex_unlock(&w->lock);
	while (w->threads > 0)
		pthread_join(w->packer[--w->threads], NULL);
	if (w->has_writer)
		pthread_join(w->writer, NULL);
	w->has_writer = false;
}

/* Copy the table behind the frames; *check is its checksum. */
static int write_table(struct pack_writer *w, uint64_t *check, struct err *err)
{
	unsigned char buf[65536];
	uint64_t done = 0;
	XXH3_state_t *state = XXH3_createState();
	int ret = state ? 0 : err_set(err, ENOMEM, "xxhash");

	if (!ret)
		ret = spool_flush(&w->table, err);
	if (!ret)
		XXH3_64bits_reset(state);
	while (!ret && done < w->table.size) {
		ssize_t n = pread(w->table.fd, buf, sizeof(buf), (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || write_all(w->disk.fd, buf, (size_t)n)) {
			ret = disk_error("the pack", err);
			break;
		}
		XXH3_64bits_update(state, buf, (size_t)n);
		done += (uint64_t)n;
	}
	*check = ret ? 0 : XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return ret;
}

static int write_tail(
	struct pack_writer *w, struct pack_facts *facts, struct err *err)
{
	struct pack_tail t = {
		.magic = PACK_TAIL_MAGIC,
		.table = w->end,
		.frames = w->written,
		.pages = w->pages,
		.id = w->head.id,
	};

	if (disk_plain(&w->disk, err))
		return -1;
	if (lseek(w->disk.fd, (off_t)w->end, SEEK_SET) < 0)
		return disk_error("the pack", err);
	if (write_table(w, &t.table_check, err))
		return -1;
	t.check = XXH3_64bits(&t, offsetof(struct pack_tail, check));
	if (write_all(w->disk.fd, &t, sizeof(t)) || fsync(w->disk.fd))
		return disk_error("the pack", err);
	facts->id = t.id;
	facts->pages = t.pages;
	facts->size = w->end + w->table.size + sizeof(t);
	return 0;
}

int pack_finish(
	struct pack_writer *w, struct pack_facts *facts, struct err *err)
{
	end_threads(w);
	if (w->failed && err)
		*err = w->err;
	if (w->failed)
		return -1;
	return write_tail(w, facts, err);
}

void pack_release(struct pack_writer *w)
{
	struct err gone = {0};

	if (!w)
		return;
	fail(w, &gone);
	end_threads(w);
	for (size_t i = 0; i < MAX_THREADS; i++)
		codec_free(w->codec[i]);
	if (w->memory)
		munmap(w->memory,
			FRAMES * (size_t)(w->frame[1].raw - w->frame[0].raw));
	spool_close(&w->table);
	disk_end(&w->disk);
	pthread_cond_destroy(&w->packed);
	pthread_cond_destroy(&w->filled);
	pthread_cond_destroy(&w->freed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
