/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_read.c - streams of a generation, from its index and its packs */
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#include "frames.h"
#include "hash.h"
#include "index.h"
#include "pack.h"
#include "store.h"
#include "util.h"

/* Frames are asked for so many pages ahead: a third of what can be held. */
#define AHEAD_PAGES (FRAMES_HELD / 3 * FRAME_PAGES)

/* With one call that much at most is written. */
#define MAX_IOV 256

/* From so many bytes on a call for one piece is cheaper than one for many. */
#define LONG_PIECE 65536

/* Extents of one stream that follow each other. */
struct run {
	uint32_t stream, first, n;
};

struct store_reader {
	unsigned gen;
	struct index index;
	struct pack **packs; /* as index.packs */
	struct run *runs;    /* by stream */
	size_t n_runs;
	struct frames *frames;
	unsigned open; /* cursors */
	bool lend;
};

/* Lent to pipes, which may hold it longer than any reader lives. */
static unsigned char zeros[FRAME_BYTES];

/* A place in a stream. */
struct place {
	size_t run;
	uint32_t extent; /* within the run */
	uint32_t page;   /* within the extent */
	uint32_t skip;   /* bytes of the page */
	uint64_t left;   /* bytes of the stream that are still to come */
};

struct store_cursor {
	uint32_t stream;
	uint32_t tail_len;
	struct place at, ahead;
};

static int damaged(const struct store_reader *r, struct err *err)
{
	return err_wrap(err, "generation %u is damaged", r->gen);
}

/* --- open --- */

static int open_packs(struct store_reader *r, int step, struct err *err)
{
	const struct index *x = &r->index;

	r->packs = xcalloc(x->n_packs + 1, sizeof(*r->packs));
	for (uint32_t i = 0; i < x->n_packs; i++) {
		const struct index_pack *p = &x->packs[i];

		r->packs[i] = pack_open(step, p->gen, &p->id, p->size, err);
		if (!r->packs[i])
			return -1;
	}
	return 0;
}

static struct pack *pack_of(const struct store_reader *r, uint32_t gen)
{
	for (uint32_t i = 0; i < r->index.n_packs; i++)
		if (r->index.packs[i].gen == gen)
			return r->packs[i];
	return NULL;
}

static int by_stream(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

static int find_runs(struct store_reader *r, struct err *err)
{
	const struct index *x = &r->index;
	struct run *last = NULL;

	for (uint32_t i = 0; i < x->n_extents; i++) {
		const struct index_extent *e = &x->extents[i];
		struct pack *p = e->gen ? pack_of(r, e->gen) : NULL;

		if (p && (e->at > pack_pages(p) ||
				 e->count > pack_pages(p) - e->at))
			return err_set(err, 0, "an extent leaves its pack");
		if (last && last->stream == e->stream) {
			last->n++;
			continue;
		}
		if (r->n_runs % 256 == 0) {
			struct run *more = realloc(
				r->runs, (r->n_runs + 256) * sizeof(*more));

			if (!more)
				return err_set(err, ENOMEM, "read the index");
			r->runs = more;
		}
		last = &r->runs[r->n_runs++];
		*last = (struct run){e->stream, i, 1};
	}
	if (r->n_runs)
		qsort(r->runs, r->n_runs, sizeof(*r->runs), by_stream);
	return 0;
}

struct store_reader *store_open(int step, unsigned gen, struct err *err)
{
	struct store_reader *r = xcalloc(1, sizeof(*r));

	r->gen = gen;
	if (!index_open(&r->index, step, gen, err) &&
		!open_packs(r, step, err) && !find_runs(r, err))
		return r;
	damaged(r, err);
	store_close(r);
	return NULL;
}

void store_close(struct store_reader *r)
{
	if (!r)
		return;
	frames_free(r->frames);
	for (uint32_t i = 0; r->packs && i < r->index.n_packs; i++)
		pack_close(r->packs[i]);
	free(r->packs);
	free(r->runs);
	index_close(&r->index);
	free(r);
}

size_t store_streams(const struct store_reader *r)
{
	return r->index.n_streams;
}

const char *store_name(const struct store_reader *r, size_t stream)
{
	return index_name_at(&r->index, (uint32_t)stream);
}

uint64_t store_size(const struct store_reader *r, size_t stream)
{
	return r->index.streams[stream].size;
}

int store_find(const struct store_reader *r, const char *name)
{
	const struct index *x = &r->index;
	size_t len = strlen(name);

	for (uint32_t i = 0; i < x->n_streams; i++)
		if (x->streams[i].name_len == len &&
			!memcmp(index_name_at(x, i), name, len))
			return (int)i;
	return -1;
}

/* --- places --- */

static struct place stream_begin(const struct store_reader *r, uint32_t stream)
{
	struct place p = {.left = r->index.streams[stream].size};
	size_t low = 0, high = r->n_runs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->runs[middle].stream < stream)
			low = middle + 1;
		else
			high = middle;
	}
	p.run = low;
	return p;
}

static const struct index_extent *extent_at(
	const struct store_reader *r, const struct place *p)
{
	return &r->index.extents[r->runs[p->run].first + p->extent];
}

static void move_on(const struct store_reader *r, struct place *p, uint64_t n)
{
	p->left -= n;
	while (n > 0 && p->run < r->n_runs) {
		const struct index_extent *e = extent_at(r, p);
		uint64_t here = (uint64_t)(e->count - p->page) * PAGE - p->skip;

		if (n < here) {
			n += p->skip;
			p->page += (uint32_t)(n / PAGE);
			p->skip = (uint32_t)(n % PAGE);
			return;
		}
		n -= here;
		p->page = p->skip = 0;
		if (++p->extent == r->runs[p->run].n) {
			p->extent = 0;
			p->run++;
		}
	}
}

/* A piece of a stream that lies in one frame, or is zeros, or the end. */
struct piece {
	struct pack *pack; /* NULL: data is it */
	uint32_t frame;
	size_t offset; /* within the frame */
	const unsigned char *data;
	size_t len;
};

static struct piece piece_at(const struct store_reader *r, uint32_t stream,
	uint32_t tail_len, const struct place *p)
{
	struct piece q = {0};
	const struct index_extent *e;
	uint64_t page, pages;

	if (p->left <= tail_len) {
		q.len = (size_t)p->left;
		q.data = index_tail_at(&r->index, stream) + tail_len - q.len;
		return q;
	}
	e = extent_at(r, p);
	pages = e->count - p->page;
	if (!e->gen) {
		q.data = zeros;
		q.len = (size_t)(pages < FRAME_PAGES ? pages : FRAME_PAGES) *
				PAGE -
			p->skip;
		return q;
	}
	page = e->at + p->page;
	if (pages > FRAME_PAGES - page % FRAME_PAGES)
		pages = FRAME_PAGES - page % FRAME_PAGES;
	q.pack = pack_of(r, e->gen);
	q.frame = (uint32_t)(page / FRAME_PAGES);
	q.offset = (size_t)(page % FRAME_PAGES) * PAGE + p->skip;
	q.len = (size_t)pages * PAGE - p->skip;
	return q;
}

/* Have frames read before they are needed; cursors share what there is. */
static void look_ahead(const struct store_reader *r, struct store_cursor *c)
{
	uint64_t depth = (uint64_t)AHEAD_PAGES * PAGE / (r->open ? r->open : 1);

	if (depth < FRAME_BYTES)
		depth = FRAME_BYTES;
	if (c->ahead.left > c->at.left)
		c->ahead = c->at;
	while (c->ahead.left > c->tail_len &&
		c->at.left - c->ahead.left < depth) {
		struct piece q = piece_at(r, c->stream, c->tail_len, &c->ahead);

		if (q.pack && !frames_want(r->frames, q.pack, q.frame))
			return;
		move_on(r, &c->ahead, q.len);
	}
}

/* --- giving --- */

void store_lend(struct store_reader *r)
{
	r->lend = true;
}

struct store_cursor *store_cursor(
	struct store_reader *r, size_t stream, struct err *err)
{
	struct store_cursor *c = xcalloc(1, sizeof(*c));

	if (!r->frames)
		r->frames = frames_new(0, r->lend, err);
	if (!r->frames) {
		free(c);
		return NULL;
	}
	c->stream = (uint32_t)stream;
	c->tail_len = r->index.streams[stream].tail_len;
	c->at = c->ahead = stream_begin(r, c->stream);
	r->open++;
	return c;
}

void store_cursor_free(struct store_reader *r, struct store_cursor *c)
{
	r->open--;
	free(c);
}

uint64_t store_left(const struct store_cursor *c)
{
	return c->at.left;
}

int store_ready_fd(const struct store_reader *r)
{
	return frames_fd(r->frames);
}

struct gathered {
	struct iovec iov[MAX_IOV];
	struct held_frame *held[MAX_IOV];
	int n, n_held;
	bool lasting; /* none of it will ever change, so it can be lent */
	/* The first piece, if it lies in a pack as it is. */
	struct pack *pack;
	uint64_t offset;
};

/* 1: added; 0: it has to wait; -1 with *err */
static int gather_one(const struct store_reader *r, const struct piece *q,
	bool wait, struct gathered *g, struct err *err)
{
	struct held_frame *h;
	const unsigned char *data = q->data;
	bool lasting = true;
	int ret;

	if (q->pack) {
		ret = frames_get(r->frames, q->pack, q->frame, wait, &h, err);
		if (ret <= 0)
			return ret;
		g->held[g->n_held++] = h;
		if (q->offset + q->len > (size_t)h->content.pages * PAGE)
			return err_set(err, 0, "a frame is too short");
		data = h->content.data + q->offset;
		lasting = h->content.mapped;
		if (lasting && !g->n) {
			g->pack = q->pack;
			g->offset = h->content.offset + q->offset;
		}
	}
	lasting &= r->lend;
	if (g->n && lasting != g->lasting)
		return 0;
	g->lasting = lasting;
	g->iov[g->n++] = (struct iovec){(void *)(uintptr_t)data, q->len};
	return 1;
}

/* What can be written now; -1 if nothing ever can. */
static int gather(const struct store_reader *r, struct store_cursor *c,
	bool wait, struct gathered *g, struct err *err)
{
	struct place p = c->at;
	int ret = 1;

	while (ret > 0 && g->n < MAX_IOV && p.left > 0) {
		struct piece q = piece_at(r, c->stream, c->tail_len, &p);

		/* What is there is not held back for what is not. */
		ret = gather_one(r, &q, wait && !g->n, g, err);
		if (ret > 0)
			move_on(r, &p, q.len);
	}
	return ret < 0 && !g->n ? damaged(r, err) : 0;
}

/*
 * A pipe takes pages of the mapped pack as they are: who reads them copies
 * them straight to where they belong.
 */
static ssize_t give(int fd, const struct gathered *g, bool wait)
{
	unsigned flags = wait ? 0 : SPLICE_F_NONBLOCK;

	if (!g->lasting)
		return writev(fd, g->iov, g->n);
	if (g->pack && g->iov[0].iov_len >= LONG_PIECE)
		return pack_splice(
			g->pack, g->offset, fd, g->iov[0].iov_len, flags);
	return vmsplice(fd, g->iov, (size_t)g->n, flags);
}

enum store_fed store_feed(struct store_reader *r, struct store_cursor *c,
	int fd, bool wait, struct err *err)
{
	struct gathered g = {.n = 0};
	enum store_fed ret = STORE_WAITS;
	ssize_t n = 0;

	look_ahead(r, c);
	if (gather(r, c, wait, &g, err))
		ret = STORE_FAILED;
	if (g.n) {
		n = give(fd, &g, wait);
		ret = STORE_FULL;
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			err_set(err, errno, "write the stream");
			ret = STORE_FAILED;
		}
	}
	while (g.n_held > 0)
		frames_put(r->frames, g.held[--g.n_held]);
	if (n > 0) {
		move_on(r, &c->at, (uint64_t)n);
		ret = STORE_MORE;
	}
	return c->at.left ? ret : STORE_DONE;
}

int store_copy(struct store_reader *r, size_t stream, int fd, struct err *err)
{
	struct store_cursor *c = store_cursor(r, stream, err);
	enum store_fed fed = STORE_MORE;

	if (!c)
		return -1;
	while (fed != STORE_DONE && fed != STORE_FAILED)
		fed = store_feed(r, c, fd, true, err);
	store_cursor_free(r, c);
	return fed == STORE_DONE ? 0 : -1;
}

/* --- verify --- */

static int verify_page(const struct store_reader *r, const unsigned char *page,
	uint32_t number, struct err *err)
{
	XXH128_hash_t h =
		XXH3_128bits_withSeed(page, PAGE, r->index.head->seed);
	const struct page_hash *want = &r->index.hashes[number];

	if (h.low64 == want->low && h.high64 == want->high)
		return 0;
	return err_set(err, 0, "page %u is not what it was", number);
}

static int verify_piece(struct store_reader *r, const struct piece *q,
	uint32_t number, struct err *err)
{
	struct held_frame *h;
	int ret;

	if (!q->pack)
		return 0;
	if (frames_get(r->frames, q->pack, q->frame, true, &h, err) < 0)
		return -1;
	ret = q->offset + q->len > (size_t)h->content.pages * PAGE
		      ? err_set(err, 0, "a frame is too short")
		      : 0;
	for (size_t i = 0; !ret && i < q->len; i += PAGE)
		ret = verify_page(r, h->content.data + q->offset + i,
			number + (uint32_t)(i / PAGE), err);
	frames_put(r->frames, h);
	return ret;
}

int store_verify(struct store_reader *r, struct err *err)
{
	int ret = 0;

	for (size_t s = 0; !ret && s < store_streams(r); s++) {
		struct store_cursor *c = store_cursor(r, s, err);

		if (!c)
			return -1;
		while (!ret && c->at.left > c->tail_len) {
			struct piece q;
			const struct index_extent *e = extent_at(r, &c->at);

			look_ahead(r, c);
			q = piece_at(r, c->stream, c->tail_len, &c->at);
			ret = verify_piece(r, &q, e->first + c->at.page, err);
			move_on(r, &c->at, q.len);
		}
		store_cursor_free(r, c);
	}
	return ret ? damaged(r, err) : 0;
}
