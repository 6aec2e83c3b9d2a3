/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_write.c - a new generation: streams in, pack and index out */
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "hash.h"
#include "index.h"
#include "log.h"
#include "pack.h"
#include "pages.h"
#include "spool.h"
#include "store.h"
#include "store_parts.h"
#include "util.h"

/* Fewer of its pages are needed than one in so many: then no more are. */
#define MOSTLY_DEAD 4

struct stream {
	char *name;
	uint64_t size;
	struct page_cursor cursor;
	bool has_cursor;
	unsigned char *tail; /* less than a page, or NULL */
	unsigned tail_len;
	uint64_t tail_at; /* in the index; when it has ended */
	bool ended;
};

/* A pack of earlier generations that may be referred to. */
struct old_pack {
	struct index_pack entry;
	bool stale;
};

struct store_writer {
	int step; /* own */
	unsigned gen;
	struct store_options options;
	struct index base; /* head NULL: none */
	struct old_pack *old;
	size_t n_old;
	struct pages *pages;
	struct pack_writer *pack;
	struct frame *frame; /* being filled, or NULL */
	struct stream *streams;
	size_t n_streams;
	struct index_extent extent; /* the last, not in the spool yet */
	struct spool parts[N_SECTIONS];
	uint32_t n_pages; /* without zeros */
	uint64_t fresh;   /* pages */
	uint64_t seed;
};

/* --- the generation before --- */

static bool is_stale(const void *arg, uint32_t gen)
{
	const struct store_writer *w = arg;

	for (size_t i = 0; i < w->n_old; i++)
		if (w->old[i].entry.gen == gen)
			return w->old[i].stale;
	return true;
}

/*
 * A pack is not referred to any more if it is too old, not what it was, or so
 * dead that it only takes room.
 */
static bool make_stale(const struct store_writer *w, const struct index_pack *p)
{
	struct err err;
	struct pack *pack;
	bool stale;

	if (w->options.full_every && w->gen - p->gen >= w->options.full_every)
		return true;
	pack = pack_open(w->step, p->gen, &p->id, p->size, &err);
	if (!pack) {
		log_warn("checkpoint %u cannot be built upon: %s", p->gen,
			err.text);
		return true;
	}
	stale = p->pages < pack_pages(pack) / MOSTLY_DEAD;
	pack_close(pack);
	return stale;
}

static void open_base(struct store_writer *w)
{
	unsigned gen = store_newest(w->step, w->gen);
	struct err err;

	if (!gen)
		return;
	if (index_open(&w->base, w->step, gen, &err)) {
		log_warn("checkpoint %u cannot be built upon: %s", gen,
			err.text);
		return;
	}
	w->seed = w->base.head->seed;
	w->n_old = w->base.n_packs;
	w->old = xcalloc(w->n_old + 1, sizeof(*w->old));
	for (size_t i = 0; i < w->n_old; i++) {
		w->old[i].entry = w->base.packs[i];
		w->old[i].stale = make_stale(w, &w->old[i].entry);
		w->old[i].entry.pages = 0;
	}
}

/* --- begin --- */

static int begin(struct store_writer *w, int step, struct err *err)
{
	w->step = openat(step, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->step < 0)
		return err_set(err, errno, "open the step's directory");
	if (getrandom(&w->seed, sizeof(w->seed), 0) != sizeof(w->seed))
		return err_set(err, errno, "getrandom");
	open_base(w);
	w->pages =
		pages_new(w->base.head ? &w->base : NULL, w->seed, is_stale, w);
	for (size_t i = 0; i < S_SLOTS; i++)
		if (spool_open(&w->parts[i], w->step, err))
			return -1;
	w->pack = pack_create(w->step, w->gen, &w->options, err);
	return w->pack ? 0 : -1;
}

static void release(struct store_writer *w)
{
	pack_release(w->pack);
	pages_free(w->pages);
	for (size_t i = 0; i < w->n_streams; i++) {
		free(w->streams[i].name);
		free(w->streams[i].tail);
	}
	free(w->streams);
	for (size_t i = 0; i < N_SECTIONS; i++)
		spool_close(&w->parts[i]);
	index_close(&w->base);
	free(w->old);
	release_fd(&w->step);
	free(w);
}

struct store_writer *store_begin(
	int step, unsigned gen, const struct store_options *o, struct err *err)
{
	struct store_writer *w = xcalloc(1, sizeof(*w));

	w->gen = gen;
	w->options = *o;
	w->step = -1;
	if (!begin(w, step, err))
		return w;
	/* Nothing was made; what there is may be a good generation. */
	release(w);
	return NULL;
}

void store_abandon(struct store_writer *w)
{
	unsigned gen = w->gen;
	int step = steal_fd(&w->step);
	struct err err;

	release(w);
	if (step >= 0 && store_remove(step, gen, &err))
		log_warn("cannot remove what is left of checkpoint %u: %s", gen,
			err.text);
	release_fd(&step);
}

/* --- streams --- */

static bool name_is_good(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') &&
	       strlen(name) < 256;
}

int store_add(struct store_writer *w, const char *name, struct err *err)
{
	struct stream *more;

	if (!name_is_good(name))
		return err_set(
			err, 0, "'%s' cannot be the name of an image", name);
	for (size_t i = 0; i < w->n_streams; i++)
		if (!strcmp(w->streams[i].name, name))
			return err_set(err, 0, "image %s comes twice", name);
	if (w->n_streams % 64 == 0) {
		more = realloc(
			w->streams, (w->n_streams + 64) * sizeof(*w->streams));
		if (!more)
			return err_set(err, ENOMEM, "image %s", name);
		w->streams = more;
	}
	w->streams[w->n_streams] = (struct stream){.name = xstrdup(name)};
	return (int)w->n_streams++;
}

static int end_extent(struct store_writer *w, struct err *err)
{
	int ret = 0;

	if (w->extent.count)
		ret = spool_add(&w->parts[S_EXTENTS], &w->extent,
			sizeof(w->extent), err);
	w->extent.count = 0;
	return ret;
}

/* One page more of the stream: in a pack, or of zeros with gen 0. */
static int extend(struct store_writer *w, uint32_t stream,
	const struct page_place *p, struct err *err)
{
	struct index_extent *e = &w->extent;

	if (w->n_pages == UINT32_MAX - 1)
		return err_set(err, EFBIG, "more than 16 TiB");
	if (!e->count || e->stream != stream || e->gen != p->gen ||
		(p->gen && e->at + e->count != p->at) ||
		e->count == UINT32_MAX) {
		if (end_extent(w, err))
			return -1;
		*e = (struct index_extent){
			.first = w->n_pages,
			.stream = stream,
			.gen = p->gen,
			.at = p->at,
		};
	}
	e->count++;
	if (p->gen)
		w->n_pages++;
	return 0;
}

static void count_reference(struct store_writer *w, uint32_t gen)
{
	for (size_t i = 0; i < w->n_old; i++)
		if (w->old[i].entry.gen == gen)
			w->old[i].entry.pages++;
}

/* The frame that is being filled, with room for a page. */
static int need_frame(struct store_writer *w, struct err *err)
{
	if (w->frame && w->frame->pages == FRAME_PAGES) {
		pack_put(w->pack, w->frame);
		w->frame = NULL;
	}
	if (!w->frame)
		w->frame = pack_frame(w->pack, err);
	return w->frame ? 0 : -1;
}

/* Where the next page that is stored goes to. */
static unsigned char *frame_end(const struct store_writer *w)
{
	return w->frame->raw + (size_t)w->frame->pages * PAGE;
}

/*
 * A page of a stream, which lies at or behind the end of the frame. If it is
 * new it is kept there.
 */
static int add_page(struct store_writer *w, uint32_t number,
	const unsigned char *page, struct err *err)
{
	struct stream *s = &w->streams[number];
	struct page_place place = {0};
	struct page_hash h;

	s->size += PAGE;
	if (w->options.refused && !memcmp(page, w->options.refused, 8))
		return err_set(
			err, 0, "memory was changed before it had been read");
	if (pages_is_zero(page))
		return extend(w, number, &place, err);
	if (!s->has_cursor) {
		s->cursor = pages_cursor(w->pages, s->name);
		s->has_cursor = true;
	}
	h = pages_hash(w->pages, page);
	if (spool_add(&w->parts[S_HASHES], &h, sizeof(h), err))
		return -1;
	if (pages_find(w->pages, &s->cursor, &h, &place)) {
		count_reference(w, place.gen);
		return extend(w, number, &place, err);
	}
	place = (struct page_place){w->gen, w->fresh++};
	pages_add(w->pages, &h, &place);
	if (page != frame_end(w))
		memcpy(frame_end(w), page, PAGE);
	w->frame->pages++;
	return extend(w, number, &place, err);
}

/* The end of the stream: it is less than a page. */
static int end_stream(struct store_writer *w, struct stream *s, struct err *err)
{
	s->ended = true;
	s->tail_at = w->parts[S_TAILS].size;
	if (spool_add(&w->parts[S_TAILS], s->tail, s->tail_len, err))
		return -1;
	s->size += s->tail_len;
	free(s->tail);
	s->tail = NULL;
	return 0;
}

static void keep_tail(struct stream *s, const unsigned char *data, size_t n)
{
	if (!s->tail)
		s->tail = xcalloc(1, PAGE);
	memcpy(s->tail, data, n);
	s->tail_len = (unsigned)n;
}

/* The page that the last read has begun. */
static ssize_t fill_tail(
	struct store_writer *w, uint32_t number, int fd, struct err *err)
{
	struct stream *s = &w->streams[number];
	ssize_t n = read(fd, s->tail + s->tail_len, PAGE - s->tail_len);

	if (n < 0)
		return err_set(err, errno, "read image %s", s->name);
	s->tail_len += (unsigned)n;
	if (s->tail_len < PAGE)
		return n;
	s->tail_len = 0;
	return add_page(w, number, s->tail, err) ? -1 : n;
}

static ssize_t fill_frame(
	struct store_writer *w, uint32_t number, int fd, struct err *err)
{
	unsigned char *data = frame_end(w), *p = data;
	size_t room = (FRAME_PAGES - w->frame->pages) * (size_t)PAGE;
	ssize_t n = read(fd, data, room);

	if (n < 0)
		return err_set(
			err, errno, "read image %s", w->streams[number].name);
	for (; p + PAGE <= data + n; p += PAGE)
		if (add_page(w, number, p, err))
			return -1;
	if (p < data + n)
		keep_tail(&w->streams[number], p, (size_t)(data + n - p));
	return n;
}

ssize_t store_take(struct store_writer *w, int stream, int fd, struct err *err)
{
	struct stream *s = &w->streams[stream];
	ssize_t n;

	if (need_frame(w, err))
		return -1;
	n = s->tail_len ? fill_tail(w, (uint32_t)stream, fd, err)
			: fill_frame(w, (uint32_t)stream, fd, err);
	if (n == 0 && !s->ended && end_stream(w, s, err))
		return -1;
	return n;
}

/* --- commit --- */

/* Streams without a byte are kept: that a file is there may mean something. */
static int list_streams(
	struct store_writer *w, struct index_head *h, struct err *err)
{
	for (size_t i = 0; i < w->n_streams; i++) {
		struct stream *s = &w->streams[i];
		size_t len = strlen(s->name);
		struct index_stream e = {
			.size = s->size,
			.tail = s->tail_at,
			.name = (uint32_t)w->parts[S_NAMES].size,
			.name_len = (uint16_t)len,
			.tail_len = (uint16_t)s->tail_len,
		};

		if (!s->ended)
			return err_set(err, 0, "image %s has no end", s->name);
		h->memory += s->size;
		if (spool_add(&w->parts[S_STREAMS], &e, sizeof(e), err) ||
			spool_add(&w->parts[S_NAMES], s->name, len + 1, err))
			return -1;
	}
	return 0;
}

static int list_packs(
	struct store_writer *w, const struct pack_facts *own, struct err *err)
{
	struct index_pack e = {
		.gen = w->gen,
		.pages = own->pages,
		.size = own->size,
		.id = own->id,
	};

	for (size_t i = 0; i < w->n_old; i++)
		if (w->old[i].entry.pages &&
			spool_add(&w->parts[S_PACKS], &w->old[i].entry,
				sizeof(e), err))
			return -1;
	return spool_add(&w->parts[S_PACKS], &e, sizeof(e), err);
}

static int write_manifest(struct store_writer *w, json_t *manifest,
	struct index_head *h, uint64_t bytes, struct err *err)
{
	auto_free char *text = NULL;
	XXH128_hash_t hash;
	char name[24];

	if (json_object_update_new(manifest,
		    json_pack("{s:i, s:I, s:I, s:I, s:I}", "version",
			    MANIFEST_VERSION, "gen", (json_int_t)w->gen,
			    "memory", (json_int_t)h->memory, "fresh",
			    (json_int_t)h->fresh, "bytes", (json_int_t)bytes)))
		return err_set(err, ENOMEM, "manifest");
	text = json_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS);
	if (!text)
		return err_set(err, ENOMEM, "manifest");
	h->manifest_size = strlen(text);
	hash = XXH3_128bits(text, h->manifest_size);
	h->manifest = (struct page_hash){hash.low64, hash.high64};
	manifest_name(w->gen, name);
	return write_file_at(w->step, name, text, h->manifest_size, err);
}

/* What is needed before the index can be renamed. */
static int write_all_parts(struct store_writer *w, json_t *manifest,
	struct store_cost *cost, struct err *err)
{
	struct index_head h = {.gen = w->gen, .seed = w->seed};
	struct pack_facts own;
	uint64_t index_size;

	if (w->frame && w->frame->pages)
		pack_put(w->pack, w->frame);
	w->frame = NULL;
	if (pack_finish(w->pack, &own, err) || end_extent(w, err) ||
		list_streams(w, &h, err) || list_packs(w, &own, err))
		return -1;
	h.fresh = w->fresh * PAGE;
	if (write_manifest(w, manifest, &h, own.size, err) ||
		index_write(w->step, &h, w->parts, &index_size, err))
		return -1;
	*cost = (struct store_cost){
		.memory = h.memory,
		.fresh = h.fresh,
		.bytes = own.size + index_size + h.manifest_size,
	};
	if (w->options.room && cost->bytes > w->options.room)
		return err_set(err, 0, NO_ROOM);
	return 0;
}

int store_commit(struct store_writer *w, json_t *manifest,
	struct store_cost *cost, struct err *err)
{
	if (write_all_parts(w, manifest, cost, err) ||
		index_commit(w->step, w->gen, err)) {
		store_abandon(w);
		return -1;
	}
	release(w);
	return 0;
}
