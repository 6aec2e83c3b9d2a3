/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "hash.h"
#include "index.h"
#include "log.h"
#include "store_parts.h"
#include "util.h"

#define MANIFEST_MAX (64U << 20)

void manifest_name(unsigned gen, char buf[24])
{
	snprintf(buf, 24, "%04u.json", gen);
}

/* --- the directory --- */

/* A directory stream of dirfd that leaves dirfd's own offset alone. */
static DIR *list_dir(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d)
		release_fd(&fd);
	return d;
}

/*
 * "0012.pack", "0012.index", "0012.restored", "0012.dump.log": whatever begins
 * so belongs to generation 12. Returns 0 for other names; the rest behind the
 * dot in *kind.
 */
static unsigned gen_of(const char *name, const char **kind)
{
	unsigned long gen;
	char *end, digits[24];

	if (!isdigit((unsigned char)*name))
		return 0;
	gen = strtoul(name, &end, 10);
	if (gen == 0 || gen > UINT_MAX - 1 || *end != '.')
		return 0;
	/* Only the form that is written: 0012 and not 00012. */
	snprintf(digits, sizeof(digits), "%04lu", gen);
	if (strlen(digits) != (size_t)(end - name) ||
		strncmp(digits, name, strlen(digits)))
		return 0;
	*kind = end + 1;
	return (unsigned)gen;
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

struct gens {
	unsigned *v;
	size_t n;
};

static bool gens_has(const struct gens *g, unsigned gen)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] == gen)
			return true;
	return false;
}

static void gens_add(struct gens *g, unsigned gen)
{
	unsigned *more;

	if (gens_has(g, gen))
		return;
	more = realloc(g->v, (g->n + 1) * sizeof(*more));
	if (!more)
		return;
	g->v = more;
	g->v[g->n++] = gen;
}

/* All that left a trace, or those with a file of this kind; in order. */
static struct gens gens_with(int step, const char *wanted)
{
	DIR *d = list_dir(step);
	struct dirent *e;
	struct gens g = {0};
	const char *kind;

	while (d && (e = readdir(d))) {
		unsigned gen = gen_of(e->d_name, &kind);

		if (gen && (!wanted || !strcmp(kind, wanted)))
			gens_add(&g, gen);
	}
	if (d)
		closedir(d);
	if (g.n)
		qsort(g.v, g.n, sizeof(*g.v), by_number);
	return g;
}

unsigned store_newest(int step, unsigned below)
{
	struct gens g = gens_with(step, "index");
	unsigned newest = 0;

	for (size_t i = 0; i < g.n; i++)
		if (g.v[i] < below)
			newest = g.v[i];
	free(g.v);
	return newest;
}

unsigned store_next(int step)
{
	struct gens g = gens_with(step, NULL);
	unsigned next = g.n ? g.v[g.n - 1] + 1 : 1;

	free(g.v);
	return next;
}

/* --- manifests --- */

static json_t *parse_manifest(
	const char *text, size_t len, unsigned gen, struct err *err)
{
	json_error_t why;
	json_t *m = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

	if (!m) {
		err_set(err, 0, "it is damaged: %s (line %d)", why.text,
			why.line);
		return NULL;
	}
	if (json_integer_value(json_object_get(m, "version")) ==
			MANIFEST_VERSION &&
		json_integer_value(json_object_get(m, "gen")) == gen)
		return m;
	err_set(err, 0, "it is of another generation or version");
	json_decref(m);
	return NULL;
}

json_t *store_manifest(int step, unsigned gen, struct err *err)
{
	auto_free char *text = NULL;
	struct index_head h;
	XXH128_hash_t hash;
	json_t *m = NULL;
	char name[24];
	size_t len;

	if (index_peek(step, gen, &h, NULL, err))
		return NULL;
	manifest_name(gen, name);
	text = read_file_at(step, name, MANIFEST_MAX, &len, err);
	if (!text)
		return NULL;
	hash = XXH3_128bits(text, len);
	if (len != h.manifest_size || hash.low64 != h.manifest.low ||
		hash.high64 != h.manifest.high)
		err_set(err, 0, "it is not what was committed");
	else
		m = parse_manifest(text, len, gen, err);
	if (!m)
		err_wrap(err, "manifest %s", name);
	return m;
}

/* --- who needs which pack --- */

struct user {
	unsigned gen;
	bool known; /* its index could be read */
	struct index_pack *packs;
	size_t n;
};

struct users {
	struct user *v;
	size_t n;
};

static struct users find_users(int step)
{
	struct gens g = gens_with(step, "index");
	struct users u = {xcalloc(g.n + 1, sizeof(*u.v)), g.n};
	struct err err;

	for (size_t i = 0; i < g.n; i++) {
		struct index_head h;

		u.v[i].gen = g.v[i];
		u.v[i].known =
			!index_peek(step, g.v[i], &h, &u.v[i].packs, &err);
		if (u.v[i].known)
			u.v[i].n = h.part[S_PACKS].size / sizeof(*u.v->packs);
	}
	free(g.v);
	return u;
}

static void free_users(struct users *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->v[i].packs);
	free(u->v);
}

static bool refers(const struct user *u, unsigned gen)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->packs[i].gen == gen)
			return true;
	return false;
}

/*
 * Does anyone but generation except need the pack of gen? Of one whose index
 * cannot be read nobody knows, so all packs before it stay.
 */
static bool pack_is_needed(const struct users *u, unsigned gen, unsigned except)
{
	for (size_t i = 0; i < u->n; i++) {
		const struct user *v = &u->v[i];

		if (v->gen != except && v->gen >= gen &&
			(!v->known || refers(v, gen)))
			return true;
	}
	return false;
}

/* --- removing --- */

static int remove_file(int step, const char *name, struct err *err)
{
	if (!unlinkat(step, name, 0) || errno == ENOENT)
		return 0;
	return err_set(err, errno, "remove %s", name);
}

/* The files of a generation but its index; its pack only if with_pack. */
static int remove_files(int step, unsigned gen, bool with_pack, struct err *err)
{
	DIR *d = list_dir(step);
	struct dirent *e;
	const char *kind = "";
	int ret = 0;

	if (!d)
		return err_set(err, errno, "list the step's directory");
	while ((e = readdir(d)))
		if (gen_of(e->d_name, &kind) == gen &&
			(with_pack || strcmp(kind, "pack")) &&
			remove_file(step, e->d_name, err))
			ret = -1;
	closedir(d);
	return ret;
}

static int remove_gen(
	int step, const struct users *u, unsigned gen, struct err *err)
{
	char name[24];

	/* The index first: never one without its pack. */
	index_name(gen, name);
	if (remove_file(step, name, err))
		return -1;
	return remove_files(step, gen, !pack_is_needed(u, gen, gen), err);
}

int store_remove(int step, unsigned gen, struct err *err)
{
	struct users u = find_users(step);
	int ret = remove_gen(step, &u, gen, err);

	free_users(&u);
	return ret;
}

/* What has no index, and is no pack that is needed. */
static int remove_garbage(
	int step, const struct users *u, unsigned gen, struct err *err)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].gen == gen)
			return 0;
	return remove_files(step, gen, !pack_is_needed(u, gen, UINT_MAX), err);
}

void store_collect(int step, unsigned keep)
{
	struct users u = find_users(step);
	struct gens all = gens_with(step, NULL);
	size_t old = u.n > keep ? u.n - keep : 0;
	struct err err;
	int ret = 0;

	for (size_t i = 0; i < old && !ret; i++) {
		unsigned gen = u.v[i].gen;

		ret = remove_gen(step, &u, gen, &err);
		if (ret)
			log_warn("cannot remove checkpoint %u: %s", gen,
				err.text);
	}
	free_users(&u);
	u = find_users(step);
	for (size_t i = 0; i < all.n && !ret; i++) {
		ret = remove_garbage(step, &u, all.v[i], &err);
		if (ret)
			log_warn("cannot remove what is left of checkpoint "
				 "%u: %s",
				all.v[i], err.text);
	}
	free_users(&u);
	free(all.v);
}

/* --- sizes --- */

static uint64_t file_size(int step, const char *name)
{
	struct stat st;

	if (fstatat(step, name, &st, AT_SYMLINK_NOFOLLOW) ||
		!S_ISREG(st.st_mode))
		return 0;
	return (uint64_t)st.st_size;
}

static uint64_t own_size(int step, unsigned gen)
{
	char name[24];
	uint64_t size;

	index_name(gen, name);
	size = file_size(step, name);
	manifest_name(gen, name);
	return size + file_size(step, name);
}

static void fill_info(int step, const struct users *u, const struct user *v,
	struct store_info *info)
{
	struct index_head h;
	struct err err;

	info->gen = v->gen;
	info->unique = own_size(step, v->gen);
	if (!v->known || index_peek(step, v->gen, &h, NULL, &err))
		return;
	info->memory = h.memory;
	info->fresh = h.fresh;
	for (size_t i = 0; i < v->n; i++) {
		if (pack_is_needed(u, v->packs[i].gen, v->gen))
			info->shared += v->packs[i].size;
		else
			info->unique += v->packs[i].size;
	}
}

struct store_info *store_list(int step, size_t *n)
{
	struct users u = find_users(step);
	struct store_info *info = NULL;

	*n = u.n;
	if (u.n)
		info = xcalloc(u.n, sizeof(*info));
	for (size_t i = 0; i < u.n; i++)
		fill_info(step, &u, &u.v[i], &info[i]);
	free_users(&u);
	return info;
}

uint64_t store_usage(int step)
{
	DIR *d = list_dir(step);
	struct dirent *e;
	uint64_t sum = 0;

	while (d && (e = readdir(d)))
		sum += file_size(step, e->d_name);
	if (d)
		closedir(d);
	return sum;
}
