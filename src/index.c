/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "disk.h"
#include "hash.h"
#include "util.h"

/* So large is an element of each section. */
static const size_t element[N_SECTIONS] = {
	[S_STREAMS] = sizeof(struct index_stream),
	[S_NAMES] = 1,
	[S_TAILS] = 1,
	[S_EXTENTS] = sizeof(struct index_extent),
	[S_PACKS] = sizeof(struct index_pack),
	[S_HASHES] = sizeof(struct page_hash),
	[S_SLOTS] = sizeof(uint32_t),
};

void index_name(unsigned gen, char buf[24])
{
	snprintf(buf, 24, "%04u.index", gen);
}

void index_new_name(unsigned gen, char buf[24])
{
	snprintf(buf, 24, "%04u.index.new", gen);
}

/* --- the table of slots --- */

struct index_slots index_slots(uint32_t pages)
{
	uint64_t slots = 2 * (uint64_t)pages;
	struct index_slots s = {
		.windows = (slots + INDEX_WINDOW - 1) / INDEX_WINDOW};

	if (s.windows)
		s.window = (uint32_t)((slots + s.windows - 1) / s.windows);
	while (s.number_bits < 32 && (uint64_t)pages >> s.number_bits)
		s.number_bits++;
	return s;
}

uint32_t index_slot(
	const struct index_slots *s, const struct page_hash *h, uint64_t *base)
{
	*base = ((h->high >> 32) * s->windows >> 32) * s->window;
	return (uint32_t)((h->high & 0xffffffffU) * s->window >> 32);
}

uint32_t index_slot_tag(const struct index_slots *s, const struct page_hash *h)
{
	return s->number_bits < 32 ? (uint32_t)h->low << s->number_bits : 0;
}

/* --- reading --- */

static int bad(struct err *err)
{
	return err_set(err, 0, "it is damaged");
}

static bool same_hash(const struct page_hash *a, const struct page_hash *b)
{
	return a->low == b->low && a->high == b->high;
}

/* What is mapped counts as memory of this process until it is given back. */
#define STRIDE (8U << 20)

void index_forget(const struct index *x)
{
	madvise((void *)(uintptr_t)x->head, x->size, MADV_DONTNEED);
}

static struct page_hash hash_body(const struct index *x)
{
	const unsigned char *p = (const unsigned char *)x->head;
	XXH3_state_t *state = XXH3_createState();
	XXH128_hash_t h = {0};

	if (!state)
		return (struct page_hash){0};
	XXH3_128bits_reset(state);
	for (size_t at = sizeof(*x->head); at < x->size; at += STRIDE) {
		size_t n = x->size - at < STRIDE ? x->size - at : STRIDE;

		XXH3_128bits_update(state, p + at, n);
		index_forget(x);
	}
	h = XXH3_128bits_digest(state);
	XXH3_freeState(state);
	return (struct page_hash){h.low64, h.high64};
}

static int check_head(const struct index_head *h, unsigned gen, struct err *err)
{
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) ||
		h->check != XXH3_64bits(h, offsetof(struct index_head, check)))
		return bad(err);
	if (h->version != INDEX_VERSION)
		return err_set(err, 0,
			"it is of a format (version %u) that this program does "
			"not read",
			h->version);
	return h->gen == gen ? 0 : bad(err);
}

static int check_body(const struct index *x, struct err *err)
{
	struct page_hash body = hash_body(x);

	return same_hash(&body, &x->head->body) ? 0 : bad(err);
}

static const void *part(const struct index *x, enum index_section s)
{
	return (const unsigned char *)x->head + x->head->part[s].offset;
}

static int find_parts(struct index *x, struct err *err)
{
	uint64_t n[N_SECTIONS];

	for (size_t s = 0; s < N_SECTIONS; s++) {
		const struct index_part *p = &x->head->part[s];

		if (p->offset < sizeof(*x->head) || p->offset % 16 ||
			p->offset > x->size || p->size > x->size - p->offset ||
			p->size % element[s])
			return bad(err);
		n[s] = p->size / element[s];
		if (s != S_SLOTS && s != S_TAILS && n[s] > UINT32_MAX - 1)
			return bad(err);
	}
	x->streams = part(x, S_STREAMS);
	x->extents = part(x, S_EXTENTS);
	x->packs = part(x, S_PACKS);
	x->hashes = part(x, S_HASHES);
	x->slots = part(x, S_SLOTS);
	x->n_streams = (uint32_t)n[S_STREAMS];
	x->n_extents = (uint32_t)n[S_EXTENTS];
	x->n_packs = (uint32_t)n[S_PACKS];
	x->n_pages = (uint32_t)n[S_HASHES];
	x->n_slots = n[S_SLOTS];
	return 0;
}

static bool name_is_whole(const struct index *x, const struct index_stream *s)
{
	const char *names = part(x, S_NAMES);
	uint64_t size = x->head->part[S_NAMES].size;

	return s->name < size && s->name_len < size - s->name &&
	       strnlen(names + s->name, s->name_len + 1U) == s->name_len;
}

static int check_streams(const struct index *x, struct err *err)
{
	const struct index_part *p = x->head->part;

	for (uint32_t i = 0; i < x->n_streams; i++) {
		const struct index_stream *s = &x->streams[i];

		if (!name_is_whole(x, s) || s->tail > p[S_TAILS].size ||
			s->tail_len > p[S_TAILS].size - s->tail ||
			s->tail_len >= PAGE || s->size % PAGE != s->tail_len)
			return bad(err);
	}
	return 0;
}

const struct index_pack *index_pack_of(const struct index *x, uint32_t gen)
{
	for (uint32_t i = 0; i < x->n_packs; i++)
		if (x->packs[i].gen == gen)
			return &x->packs[i];
	return NULL;
}

/*
 * Extents follow each other, have their packs, and together are as long as
 * their streams.
 */
static int check_extents(const struct index *x, struct err *err)
{
	auto_free uint64_t *pages = calloc(x->n_streams + 1, sizeof(*pages));
	const struct index_pack *pack = NULL;
	uint64_t next = 0;

	if (!pages)
		return err_set(err, ENOMEM, "check the index");
	for (uint32_t i = 0; i < x->n_extents; i++) {
		const struct index_extent *e = &x->extents[i];

		if (e->first != next || !e->count || e->stream >= x->n_streams)
			return bad(err);
		pages[e->stream] += e->count;
		if (!e->gen)
			continue;
		next += e->count;
		if (!pack || pack->gen != e->gen)
			pack = index_pack_of(x, e->gen);
		if (!pack)
			return bad(err);
	}
	if (next != x->n_pages)
		return bad(err);
	for (uint32_t i = 0; i < x->n_streams; i++)
		if (pages[i] != x->streams[i].size / PAGE)
			return bad(err);
	return 0;
}

static int check_slots(const struct index *x, struct err *err)
{
	struct index_slots s = index_slots(x->n_pages);

	return x->n_slots == s.windows * s.window ? 0 : bad(err);
}

/* A descriptor, and the size, at least that of a head. */
static int open_file(int step, unsigned gen, size_t *size, struct err *err)
{
	auto_close int fd = -1;
	struct stat st;
	char name[24];

	index_name(gen, name);
	fd = openat(step, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_set(err, errno, "open it");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, 0, "it is not a regular file of yours");
	if (st.st_size < (off_t)sizeof(struct index_head))
		return bad(err);
	*size = (size_t)st.st_size;
	return steal_fd(&fd);
}

static int open_index(struct index *x, int step, unsigned gen, struct err *err)
{
	auto_close int fd = open_file(step, gen, &x->size, err);
	void *map;

	if (fd < 0)
		return -1;
	map = mmap(NULL, x->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_set(err, errno, "map it");
	x->head = map;
	if (check_head(x->head, gen, err) || check_body(x, err) ||
		find_parts(x, err) || check_streams(x, err) ||
		check_extents(x, err) || check_slots(x, err))
		return -1;
	return 0;
}

static int peek_packs(int fd, size_t size, const struct index_part *p,
	struct index_pack **packs, struct err *err)
{
	if (p->offset > size || p->size > size - p->offset ||
		p->size % sizeof(**packs))
		return bad(err);
	*packs = malloc(p->size + 1);
	if (!*packs)
		return err_set(err, ENOMEM, "list its packs");
	if (pread(fd, *packs, p->size, (off_t)p->offset) == (ssize_t)p->size)
		return 0;
	free(*packs);
	*packs = NULL;
	return bad(err);
}

int index_peek(int step, unsigned gen, struct index_head *head,
	struct index_pack **packs, struct err *err)
{
	size_t size;
	auto_close int fd = open_file(step, gen, &size, err);
	int ret = fd < 0 ? -1 : 0;

	if (packs)
		*packs = NULL;
	if (!ret && pread(fd, head, sizeof(*head), 0) != sizeof(*head))
		ret = bad(err);
	if (!ret)
		ret = check_head(head, gen, err);
	if (!ret && packs)
		ret = peek_packs(fd, size, &head->part[S_PACKS], packs, err);
	return ret ? err_wrap(err, "index %u", gen) : 0;
}

int index_open(struct index *x, int step, unsigned gen, struct err *err)
{
	*x = (struct index){0};
	if (!open_index(x, step, gen, err))
		return 0;
	index_close(x);
	return err_wrap(err, "index %u", gen);
}

void index_close(struct index *x)
{
	if (x->head)
		munmap((void *)(uintptr_t)x->head, x->size);
	*x = (struct index){0};
}

static bool has_page(const struct index *x, uint32_t e, uint32_t n)
{
	const struct index_extent *t = &x->extents[e];

	return t->gen && n >= t->first && n - t->first < t->count;
}

uint32_t index_extent_of(const struct index *x, uint32_t n, uint32_t hint)
{
	uint32_t low = 0, high = x->n_extents;

	for (uint32_t i = hint; i < hint + 3 && i < x->n_extents; i++)
		if (has_page(x, i, n))
			return i;
	/* The last one that begins at or before the page. */
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (x->extents[middle].first <= n)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* --- writing --- */

struct out {
	int fd;
	uint64_t at;
	XXH3_state_t *body;
};

static int put(struct out *o, const void *data, size_t n, struct err *err)
{
	if (write_all(o->fd, data, n))
		return disk_error("the index", err);
	XXH3_128bits_update(o->body, data, n);
	o->at += n;
	return 0;
}

static int begin_part(
	struct out *o, struct index_part *p, uint64_t size, struct err *err)
{
	static const unsigned char zeros[16];

	if (put(o, zeros, -o->at % 16, err))
		return -1;
	*p = (struct index_part){o->at, size};
	return 0;
}

static int put_spool(struct out *o, struct spool *s, struct err *err)
{
	unsigned char buf[65536];
	uint64_t done = 0;

	if (spool_flush(s, err))
		return -1;
	while (done < s->size) {
		ssize_t n = pread(s->fd, buf, sizeof(buf), (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, errno, "read a temporary file");
		if (put(o, buf, (size_t)n, err))
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

struct slot_maker {
	struct index_slots s;
	const struct page_hash *hashes; /* mapped */
	uint32_t pages;
	uint32_t *window; /* being filled */
};

/* Pages that are the same have one slot: the first one's. */
static void add_slot(const struct slot_maker *m, uint32_t number, uint32_t at)
{
	const struct page_hash *h = &m->hashes[number];
	uint32_t tag = index_slot_tag(&m->s, h);
	uint32_t mask = (uint32_t)((1ULL << m->s.number_bits) - 1);
	uint32_t *slot;

	while (*(slot = &m->window[at])) {
		if ((*slot & ~mask) == tag &&
			same_hash(&m->hashes[(*slot & mask) - 1], h))
			return;
		at = at + 1 < m->s.window ? at + 1 : 0;
	}
	*slot = tag | (number + 1);
}

static int put_window(const struct slot_maker *m, uint64_t base, struct out *o,
	struct err *err)
{
	memset(m->window, 0, m->s.window * sizeof(*m->window));
	for (uint32_t i = 0; i < m->pages; i++) {
		uint64_t own;
		uint32_t at;

		if (i % (STRIDE / sizeof(*m->hashes)) == 0)
			madvise((void *)(uintptr_t)m->hashes,
				m->pages * sizeof(*m->hashes), MADV_DONTNEED);
		at = index_slot(&m->s, &m->hashes[i], &own);

		if (own == base)
			add_slot(m, i, at);
	}
	return put(o, m->window, m->s.window * sizeof(*m->window), err);
}

static int put_slots(struct out *o, const struct spool *hashes,
	struct index_part *p, struct err *err)
{
	struct slot_maker m = {
		.pages = (uint32_t)(hashes->size / sizeof(struct page_hash))};
	void *map;
	int ret = 0;

	m.s = index_slots(m.pages);
	if (begin_part(o, p, m.s.windows * m.s.window * sizeof(uint32_t), err))
		return -1;
	if (!m.pages || !m.s.window)
		return 0;
	m.window = malloc(m.s.window * sizeof(*m.window));
	if (!m.window)
		return err_set(err, ENOMEM, "make the index");
	map = mmap(NULL, hashes->size, PROT_READ, MAP_SHARED, hashes->fd, 0);
	m.hashes = map;
	if (map == MAP_FAILED)
		ret = err_set(err, errno, "map a temporary file");
	for (uint64_t w = 0; !ret && w < m.s.windows; w++)
		ret = put_window(&m, w * m.s.window, o, err);
	if (map != MAP_FAILED)
		munmap(map, hashes->size);
	free(m.window);
	return ret;
}

static int put_parts(struct out *o, struct index_head *h,
	struct spool parts[N_SECTIONS], struct err *err)
{
	for (size_t s = 0; s < S_SLOTS; s++)
		if (begin_part(o, &h->part[s], parts[s].size, err) ||
			put_spool(o, &parts[s], err))
			return -1;
	return put_slots(o, &parts[S_HASHES], &h->part[S_SLOTS], err);
}

static int finish_index(struct out *o, struct index_head *h, struct err *err)
{
	XXH128_hash_t body = XXH3_128bits_digest(o->body);

	h->body = (struct page_hash){body.low64, body.high64};
	h->check = XXH3_64bits(h, offsetof(struct index_head, check));
	if (pwrite(o->fd, h, sizeof(*h), 0) != sizeof(*h) || fsync(o->fd))
		return disk_error("the index", err);
	return 0;
}

int index_write(int step, struct index_head *head,
	struct spool parts[N_SECTIONS], uint64_t *size, struct err *err)
{
	struct out o = {.at = sizeof(*head), .body = XXH3_createState()};
	char name[24];
	int ret = 0;

	memcpy(head->magic, INDEX_MAGIC, sizeof(head->magic));
	head->version = INDEX_VERSION;
	index_new_name(head->gen, name);
	o.fd = openat(step, name,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (o.fd < 0 || !o.body || lseek(o.fd, sizeof(*head), SEEK_SET) < 0)
		ret = err_set(err, errno, "create %s", name);
	if (!ret) {
		XXH3_128bits_reset(o.body);
		ret = put_parts(&o, head, parts, err);
	}
	if (!ret)
		ret = finish_index(&o, head, err);
	*size = o.at;
	release_fd(&o.fd);
	XXH3_freeState(o.body);
	return ret;
}

int index_commit(int step, unsigned gen, struct err *err)
{
	char from[24], to[24];

	index_new_name(gen, from);
	index_name(gen, to);
	if (renameat(step, from, step, to))
		return err_set(err, errno, "rename %s", from);
	if (fsync(step))
		return err_set(err, errno, "fsync the directory");
	return 0;
}
