/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "util.h"

#define MANIFEST_VERSION 1
#define MANIFEST_MAX     (4U << 20)

static void dir_name(unsigned gen, char *buf)
{
	snprintf(buf, 16, "%04u", gen);
}

static void manifest_name(unsigned gen, char *buf)
{
	snprintf(buf, 24, "%04u.json", gen);
}

/* A directory stream of dirfd that leaves dirfd's own offset alone. */
static DIR *list_dir(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d)
		release_fd(&fd);
	return d;
}

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/*
 * "0012", "0012.json", "0012.json.new" are of generation 12; 0 for other
 * names. *committed is set for the second form.
 */
static unsigned gen_of(const char *name, bool *committed)
{
	unsigned long gen;
	char *end, digits[24];

	*committed = false;
	if (!isdigit((unsigned char)*name))
		return 0;
	gen = strtoul(name, &end, 10);
	if (end - name < 4 || gen == 0 || gen > UINT_MAX - 1)
		return 0;
	/* Only the form that is written: 0012 and not 00012. */
	snprintf(digits, sizeof(digits), "%04lu", gen);
	if (strlen(digits) != (size_t)(end - name) ||
		strncmp(digits, name, strlen(digits)))
		return 0;
	*committed = !strcmp(end, ".json");
	if (*end && !*committed && strcmp(end, ".json.new"))
		return 0;
	return (unsigned)gen;
}

int store_create(int step, unsigned gen, struct err *err)
{
	char name[16];
	int fd;

	dir_name(gen, name);
	if (mkdirat(step, name, 0700))
		return err_set(err, errno, "make directory %s", name);
	fd = openat(
		step, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open directory %s", name);
	return fd;
}

/* fsync one image and add it to the list. */
static int settle_image(int images, const char *name, json_t *list,
	uint64_t *bytes, struct err *err)
{
	auto_close int fd =
		openat(images, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_set(err, errno, "open image %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, 0, "image %s is not a regular file", name);
	if (fchmod(fd, 0600) || fsync(fd))
		return err_set(err, errno, "fsync image %s", name);
	*bytes += (uint64_t)st.st_size;
	if (json_array_append_new(
		    list, json_pack("{s:s, s:I}", "name", name, "size",
				  (json_int_t)st.st_size)))
		return err_set(err, ENOMEM, "list image %s", name);
	return 0;
}

static int settle_images(
	int images, json_t *list, uint64_t *bytes, struct err *err)
{
	DIR *d = list_dir(images);
	struct dirent *e;
	int ret = 0;

	if (!d)
		return err_set(err, errno, "list images");
	while (!ret && (e = readdir(d)))
		if (!is_dot(e->d_name))
			ret = settle_image(images, e->d_name, list, bytes, err);
	closedir(d);
	if (!ret && fsync(images))
		ret = err_set(err, errno, "fsync image directory");
	return ret;
}

int store_commit(
	int step, unsigned gen, int images, json_t *manifest, struct err *err)
{
	auto_free char *text = NULL;
	json_t *list = json_array();
	uint64_t bytes = 0;
	char name[24];

	if (settle_images(images, list, &bytes, err)) {
		json_decref(list);
		return -1;
	}
	if (json_object_set_new(manifest, "images", list) ||
		json_object_set_new(
			manifest, "version", json_integer(MANIFEST_VERSION)) ||
		json_object_set_new(manifest, "gen", json_integer(gen)) ||
		json_object_set_new(
			manifest, "bytes", json_integer((json_int_t)bytes)))
		return err_set(err, ENOMEM, "manifest");
	text = json_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS);
	if (!text)
		return err_set(err, ENOMEM, "manifest");
	manifest_name(gen, name);
	return write_file_at(step, name, text, strlen(text), err);
}

static int empty_dir(int dir, struct err *err)
{
	DIR *d = list_dir(dir);
	struct dirent *e;
	int ret = 0;

	if (!d)
		return err_set(err, errno, "list directory");
	while ((e = readdir(d)))
		if (!is_dot(e->d_name) && unlinkat(dir, e->d_name, 0))
			ret = err_set(err, errno, "remove %.100s", e->d_name);
	closedir(d);
	return ret;
}

int store_remove(int step, unsigned gen, struct err *err)
{
	auto_close int dir = -1;
	char name[32];

	/* The manifest first: never one without its images. */
	manifest_name(gen, name);
	if (unlinkat(step, name, 0) && errno != ENOENT)
		return err_set(err, errno, "remove %s", name);
	snprintf(name, sizeof(name), "%04u.json.new", gen);
	if (unlinkat(step, name, 0) && errno != ENOENT)
		return err_set(err, errno, "remove %s", name);
	dir_name(gen, name);
	dir = openat(
		step, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT
			       ? 0
			       : err_set(err, errno, "open directory %s", name);
	if (empty_dir(dir, err))
		return -1;
	if (unlinkat(step, name, AT_REMOVEDIR))
		return err_set(err, errno, "remove directory %s", name);
	return 0;
}

unsigned store_newest(int step, unsigned below)
{
	DIR *d = list_dir(step);
	struct dirent *e;
	unsigned newest = 0;
	bool committed;

	while (d && (e = readdir(d))) {
		unsigned gen = gen_of(e->d_name, &committed);

		if (committed && gen < below && gen > newest)
			newest = gen;
	}
	if (d)
		closedir(d);
	return newest;
}

unsigned store_next(int step)
{
	DIR *d = list_dir(step);
	struct dirent *e;
	unsigned newest = 0;
	bool committed;

	while (d && (e = readdir(d))) {
		unsigned gen = gen_of(e->d_name, &committed);

		if (gen > newest)
			newest = gen;
	}
	if (d)
		closedir(d);
	return newest + 1;
}

static int check_images(int images, const json_t *list, struct err *err)
{
	const json_t *image;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return err_set(err, 0, "the manifest lists no images");
	json_array_foreach(list, i, image)
	{
		const char *name =
			json_string_value(json_object_get(image, "name"));
		const json_t *size = json_object_get(image, "size");
		struct stat st;

		if (!name || strchr(name, '/') || !json_is_integer(size))
			return err_set(err, 0, "the manifest is damaged");
		if (fstatat(images, name, &st, AT_SYMLINK_NOFOLLOW))
			return err_set(err, errno, "image %s", name);
		if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
			return err_set(err, 0,
				"image %s is not a regular file of yours",
				name);
		if (st.st_size != json_integer_value(size))
			return err_set(err, 0,
				"image %s has %lld bytes instead of %lld", name,
				(long long)st.st_size,
				(long long)json_integer_value(size));
	}
	return 0;
}

static json_t *read_manifest(int step, unsigned gen, struct err *err)
{
	auto_free char *text = NULL;
	json_error_t why;
	json_t *m;
	char name[24];
	size_t len;

	manifest_name(gen, name);
	text = read_file_at(step, name, MANIFEST_MAX, &len, err);
	if (!text)
		return NULL;
	m = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!m) {
		err_set(err, 0, "%s is damaged: %s (line %d)", name, why.text,
			why.line);
		return NULL;
	}
	if (json_integer_value(json_object_get(m, "version")) !=
			MANIFEST_VERSION ||
		json_integer_value(json_object_get(m, "gen")) != gen) {
		err_set(err, 0,
			"%s is not a manifest of generation %u that this "
			"version reads",
			name, gen);
		json_decref(m);
		return NULL;
	}
	return m;
}

json_t *store_open(int step, unsigned gen, int *images, struct err *err)
{
	json_t *m = read_manifest(step, gen, err);
	auto_close int dir = -1;
	char name[16];

	if (!m)
		return NULL;
	dir_name(gen, name);
	dir = openat(
		step, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		err_set(err, errno, "open image directory %s", name);
	if (dir < 0 || check_images(dir, json_object_get(m, "images"), err)) {
		json_decref(m);
		return NULL;
	}
	*images = steal_fd(&dir);
	return m;
}

/* The newest generation that left a trace and is not to be kept; 0: none. */
static unsigned find_garbage(int step, unsigned oldest_kept)
{
	DIR *d = list_dir(step);
	struct dirent *e;
	unsigned found = 0;
	bool committed;

	while (d && (e = readdir(d)) && !found) {
		unsigned gen = gen_of(e->d_name, &committed);

		if (gen && (gen < oldest_kept ||
				   store_newest(step, gen + 1) != gen))
			found = gen;
	}
	if (d)
		closedir(d);
	return found;
}

void store_collect(int step, unsigned keep)
{
	unsigned oldest = UINT_MAX, gen;
	struct err err;

	for (unsigned i = 0; i < keep; i++) {
		gen = store_newest(step, oldest);
		if (!gen)
			break;
		oldest = gen;
	}
	while ((gen = find_garbage(step, oldest))) {
		if (!store_remove(step, gen, &err))
			continue;
		log_warn("cannot remove generation %u: %s", gen, err.text);
		break;
	}
}
