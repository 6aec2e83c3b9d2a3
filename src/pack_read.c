/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pack_read.c - a pack opened, and its frames, every byte checked */
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "codec.h"
#include "hash.h"
#include "pack.h"
#include "util.h"

struct pack {
	int fd;
	unsigned gen;
	struct pack_tail tail;
	const unsigned char *map;
	size_t size;
	uint32_t hinted; /* the last frame */
};

struct pack_lane {
	struct codec *codec;
	size_t room; /* no frame is stored in more bytes */
	unsigned char *stored;
};

static int read_at(int fd, void *buf, size_t n, uint64_t offset)
{
	unsigned char *p = buf;

	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ENODATA;
		if (got <= 0)
			return -1;
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

static bool same_id(const struct pack_id *a, const struct pack_id *b)
{
	return a->v[0] == b->v[0] && a->v[1] == b->v[1];
}

static int check_head(
	const struct pack *p, const struct pack_id *id, struct err *err)
{
	struct pack_head h;

	if (read_at(p->fd, &h, sizeof(h), 0))
		return err_set(err, errno, "read its head");
	if (memcmp(h.magic, PACK_MAGIC, sizeof(h.magic)) ||
		h.check != XXH3_64bits(&h, offsetof(struct pack_head, check)))
		return err_set(err, 0, "its head is damaged");
	if (h.version != PACK_VERSION || h.page_bytes != PAGE ||
		h.frame_pages != FRAME_PAGES)
		return err_set(err, 0,
			"it is of a format (version %u) that "
			"this program does not read",
			h.version);
	if (h.gen != p->gen || !same_id(&h.id, id))
		return err_set(err, 0, "it is another pack than it should be");
	return 0;
}

/* The table ends where the tail begins, and is as long as its entries. */
static int check_tail(struct pack *p, const struct pack_id *id, uint64_t size,
	struct err *err)
{
	struct pack_tail *t = &p->tail;
	uint64_t at = size - sizeof(*t);

	if (size < PAGE + sizeof(*t) || read_at(p->fd, t, sizeof(*t), at) ||
		memcmp(t->magic, PACK_TAIL_MAGIC, sizeof(t->magic)) ||
		t->check != XXH3_64bits(t, offsetof(struct pack_tail, check)) ||
		!same_id(&t->id, id) || t->table < PAGE || t->table > at ||
		at - t->table !=
			(uint64_t)t->frames * sizeof(struct pack_frame))
		return err_set(err, 0, "its tail is damaged");
	return 0;
}

/* It stays in the file: a large job's table is large, too. */
static int check_table(const struct pack *p, struct err *err)
{
	unsigned char buf[16384];
	uint64_t at = p->tail.table,
		 end = at +
		       (uint64_t)p->tail.frames * sizeof(struct pack_frame);
	XXH3_state_t *state = XXH3_createState();
	int ret = state ? 0 : err_set(err, ENOMEM, "xxhash");

	if (!ret)
		XXH3_64bits_reset(state);
	while (!ret && at < end) {
		size_t n = end - at < sizeof(buf) ? (size_t)(end - at)
						  : sizeof(buf);

		if (read_at(p->fd, buf, n, at))
			ret = err_set(err, errno, "read its table");
		else
			XXH3_64bits_update(state, buf, n);
		at += n;
	}
	if (!ret && XXH3_64bits_digest(state) != p->tail.table_check)
		ret = err_set(err, 0, "its table is damaged");
	XXH3_freeState(state);
	return ret;
}

/* What is given to criu is this, and no copy. */
static int map_pack(struct pack *p, uint64_t size, struct err *err)
{
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, p->fd, 0);

	if (map == MAP_FAILED)
		return err_set(err, errno, "map it");
	p->map = map;
	posix_fadvise(p->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	p->size = size;
	return 0;
}

static int open_pack(struct pack *p, int step, const struct pack_id *id,
	uint64_t size, struct err *err)
{
	struct stat st;
	char name[24];

	pack_name(p->gen, name);
	p->fd = openat(
		step, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0 || fstat(p->fd, &st))
		return err_set(err, errno, "open it");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, 0, "it is not a regular file of yours");
	if ((uint64_t)st.st_size != size)
		return err_set(err, 0, "it has %lld bytes instead of %llu",
			(long long)st.st_size, (unsigned long long)size);
	if (check_head(p, id, err) || check_tail(p, id, size, err) ||
		check_table(p, err))
		return -1;
	return map_pack(p, size, err);
}

struct pack *pack_open(int step, unsigned gen, const struct pack_id *id,
	uint64_t size, struct err *err)
{
	struct pack *p = xcalloc(1, sizeof(*p));

	p->gen = gen;
	if (!open_pack(p, step, id, size, err))
		return p;
	err_wrap(err, "pack %u", gen);
	pack_close(p);
	return NULL;
}

void pack_close(struct pack *p)
{
	if (!p)
		return;
	if (p->map)
		munmap((void *)(uintptr_t)p->map, p->size);
	release_fd(&p->fd);
	free(p);
}

struct pack_lane *pack_lane_new(struct err *err)
{
	struct pack_lane *l = xcalloc(1, sizeof(*l));

	l->codec = codec_new(1, err);
	l->room = codec_bound(FRAME_BYTES);
	l->stored = malloc(l->room);
	if (l->codec && l->stored)
		return l;
	if (l->codec)
		err_set(err, ENOMEM, "a buffer");
	pack_lane_free(l);
	return NULL;
}

void pack_lane_free(struct pack_lane *l)
{
	if (!l)
		return;
	codec_free(l->codec);
	free(l->stored);
	free(l);
}

/* Nothing in the table is believed, although its checksum fits. */
static bool frame_is_sane(const struct pack *p, const struct pack_lane *l,
	const struct pack_frame *f)
{
	if (f->pages == 0 || f->pages > FRAME_PAGES || f->codec > PACK_ZSTD ||
		f->offset < PAGE || f->offset > p->tail.table ||
		f->stored > p->tail.table - f->offset)
		return false;
	return f->codec == PACK_RAW ? f->stored == f->pages * PAGE
				    : f->stored <= l->room;
}

static int find_frame(
	const struct pack *p, uint32_t n, struct pack_frame *f, struct err *err)
{
	if (n >= p->tail.frames)
		return err_set(err, 0, "there are only %u", p->tail.frames);
	if (read_at(p->fd, f, sizeof(*f), p->tail.table + n * sizeof(*f)))
		return err_set(err, errno, "read the table");
	return 0;
}

static int read_frame(struct pack *p, struct pack_lane *l, uint32_t n,
	bool lend, unsigned char *buf, struct pack_content *out,
	struct err *err)
{
	struct pack_frame f = {0};
	unsigned char *stored = l->stored;

	if (find_frame(p, n, &f, err))
		return -1;
	if (!frame_is_sane(p, l, &f))
		return err_set(err, 0, "its entry is damaged");
	if (f.codec == PACK_RAW && !lend)
		stored = buf;
	if (read_at(p->fd, stored, f.stored, f.offset))
		return err_set(err, errno, "read it");
	if (XXH3_64bits(stored, f.stored) != f.check)
		return err_set(err, 0, "its checksum does not fit");
	*out = (struct pack_content){buf, f.pages, false, f.offset};
	if (f.codec == PACK_ZSTD)
		return codec_decompress(l->codec, stored, f.stored, buf,
			(size_t)f.pages * PAGE, err);
	if (lend) {
		out->data = p->map + f.offset;
		out->mapped = true;
	}
	return 0;
}

int pack_read(struct pack *p, struct pack_lane *l, uint32_t n, bool lend,
	unsigned char *buf, struct pack_content *out, struct err *err)
{
	if (read_frame(p, l, n, lend, buf, out, err))
		return err_wrap(err, "pack %u, frame %u", p->gen, n);
	return 0;
}

ssize_t pack_splice(const struct pack *p, uint64_t offset, int pipe, size_t n,
	unsigned flags)
{
	off_t from = (off_t)offset;

	return splice(p->fd, &from, pipe, NULL, n, flags);
}

bool pack_hint(struct pack *p, uint32_t n)
{
	struct pack_frame f = {0};

	if (find_frame(p, n, &f, NULL))
		return true;
	/* Else the kernel reads ahead by itself, and into larger folios. */
	if (n != p->hinted + 1)
		posix_fadvise(
			p->fd, (off_t)f.offset, f.stored, POSIX_FADV_WILLNEED);
	p->hinted = n;
	return f.codec == PACK_RAW;
}

void pack_done(const struct pack *p, uint32_t n)
{
	/* Pages of the machine may be larger than ours. */
	uint64_t unit = (uint64_t)sysconf(_SC_PAGESIZE), from, to;
	struct pack_frame f = {0};

	if (find_frame(p, n, &f, NULL) || f.offset + f.stored > p->size)
		return;
	from = f.offset / unit * unit;
	to = f.offset + f.stored;
	madvise((void *)(uintptr_t)(p->map + from), to - from, MADV_DONTNEED);
}

uint32_t pack_pages(const struct pack *p)
{
	return p->tail.pages;
}

void pack_forget(const struct pack *p)
{
	posix_fadvise(p->fd, 0, 0, POSIX_FADV_DONTNEED);
}
