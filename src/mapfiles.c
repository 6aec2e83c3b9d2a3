/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mapfiles.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "log.h"
#include "proc.h"
#include "util.h"

/* A mapping of a file that criu cannot have by its name. */
struct mapping {
	pid_t pid;
	uint64_t start, end, offset;
	unsigned major, minor; /* of the file */
	uint64_t inode;
	bool deleted;
	char *path; /* as it was, without the mark */
};

/* What criu is given for a file; the same for every mapping of it. */
struct stand_in {
	unsigned major, minor;
	uint64_t inode;
	int fd; /* -1: it cannot be had */
};

struct mapfiles {
	uint64_t limit;
	pid_t root;
	struct int_list tree;    /* when something was asked */
	struct mapping *mapping; /* of the whole tree, as it stands still */
	size_t n_mappings;
	bool listed;
	struct stand_in *stand_in;
	size_t n_stand_ins;
};

/* --- which mappings --- */

static const char mark[] = " (deleted)";

/*
 * Files of the kernel's own, which criu knows by their device: a memfd,
 * shared memory without a name, System V's, huge pages.
 */
static bool is_known_to_criu(const char *path)
{
	static const char *const known[] = {
		"/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage"};

	for (size_t i = 0; i < LEN(known); i++)
		if (!strncmp(path, known[i], strlen(known[i])))
			return true;
	return false;
}

/*
 * criu opens a file by its name if device and inode are those of the mapping.
 * On an overlay whose layers are on different file systems the device is not.
 */
static bool is_known_by_name(const struct mapping *m, const char *path)
{
	struct stat st;

	return !stat(path, &st) && st.st_ino == m->inode &&
	       st.st_dev == makedev(m->major, m->minor);
}

/* Cuts the mark off. */
static bool cut_mark(char *path)
{
	size_t n = strlen(path), mark_len = sizeof(mark) - 1;

	if (n <= mark_len || strcmp(path + n - mark_len, mark))
		return false;
	path[n - mark_len] = '\0';
	return true;
}

/* One line of /proc/PID/maps, see proc_pid_maps(5); path is lent. */
static bool parse_line(char *line, struct mapping *m, char **path)
{
	unsigned long long start, end, offset, inode;
	int at = 0;

	if (sscanf(line, "%llx-%llx %*s %llx %x:%x %llu %n", &start, &end,
		    &offset, &m->major, &m->minor, &inode, &at) != 6 ||
		line[at] != '/')
		return false;
	m->start = start;
	m->end = end;
	m->offset = offset;
	m->inode = inode;
	*path = line + at;
	(*path)[strcspn(*path, "\n")] = '\0';
	if (is_known_to_criu(*path) || is_known_by_name(m, *path))
		return false;
	m->deleted = cut_mark(*path);
	return true;
}

/* Calls cb for each such mapping of a process until it says false. */
static void each_mapping(pid_t pid,
	bool (*cb)(const struct mapping *, const char *path, void *), void *arg)
{
	char name[32];
	auto_file FILE *f = NULL;
	auto_free char *line = NULL;
	size_t room = 0;
	struct mapping m = {.pid = pid};
	char *path;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	f = fopen(name, "re");
	while (f && getline(&line, &room, f) > 0)
		if (parse_line(line, &m, &path) && !cb(&m, path, arg))
			break;
}

static bool found_one(const struct mapping *m, const char *path, void *arg)
{
	(void)m;
	(void)path;
	*(bool *)arg = true;
	return false;
}

bool mapfiles_needed(pid_t root)
{
	struct int_list tree = proc_tree(root);
	bool found = false;

	for (size_t i = 0; i < tree.n && !found; i++)
		each_mapping(tree.v[i], found_one, &found);
	free(tree.v);
	return found;
}

static bool keep_mapping(const struct mapping *m, const char *path, void *arg)
{
	struct mapfiles *all = arg;
	struct mapping *more = realloc(
		all->mapping, (all->n_mappings + 1) * sizeof(*all->mapping));

	if (!more)
		return false;
	all->mapping = more;
	more[all->n_mappings] = *m;
	more[all->n_mappings++].path = xstrdup(path);
	return true;
}

/* Not before criu asks: then the tree stands still. */
static void list_mappings(struct mapfiles *m)
{
	m->tree = proc_tree(m->root);
	for (size_t i = 0; i < m->tree.n; i++)
		each_mapping(m->tree.v[i], keep_mapping, m);
	m->listed = true;
}

static const struct mapping *find_mapping(
	const struct mapfiles *m, pid_t pid, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < m->n_mappings; i++)
		if (m->mapping[i].pid == pid && m->mapping[i].start == start &&
			m->mapping[i].end == end)
			return &m->mapping[i];
	return NULL;
}

/* --- the file itself, where it is still to be had --- */

static int open_by_name(const struct mapping *m)
{
	auto_close int fd = open(m->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && st.st_ino == m->inode
		       ? steal_fd(&fd)
		       : -1;
}

/* A semaphore of sem_open(3) is mapped under a name that it has lost at once.
 */
static int open_by_other_name(const struct mapping *m)
{
	auto_free char *dir = xstrdup(m->path);
	char *slash = strrchr(dir, '/');
	struct dirent *e;
	struct stat st;
	int fd = -1;
	DIR *d;

	slash[slash == dir] = '\0';
	d = opendir(dir);
	while (d && fd < 0 && (e = readdir(d))) {
		if (e->d_ino != m->inode ||
			fstatat(dirfd(d), e->d_name, &st,
				AT_SYMLINK_NOFOLLOW) ||
			!S_ISREG(st.st_mode) || st.st_ino != m->inode)
			continue;
		fd = openat(dirfd(d), e->d_name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	if (d)
		closedir(d);
	return fd;
}

struct wanted {
	const struct mapping *m;
	int fd;
};

static bool open_same(const struct proc_fd *f, void *arg)
{
	struct wanted *w = arg;
	size_t n = strlen(w->m->path);
	char path[64];

	if (!f->have_st || f->st.st_ino != w->m->inode ||
		!S_ISREG(f->st.st_mode) || strncmp(f->target, w->m->path, n) ||
		strcmp(f->target + n, mark))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)f->pid, f->fd);
	w->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return w->fd < 0;
}

/* The tree may still have it open: then it must be the same file afterwards. */
static int open_by_descriptor(
	const struct mapfiles *all, const struct mapping *m)
{
	struct wanted w = {.m = m, .fd = -1};

	for (size_t i = 0; i < all->tree.n && w.fd < 0; i++)
		proc_fds(all->tree.v[i], open_same, &w);
	return w.fd;
}

/* --- a copy --- */

/* Where criu will make a deleted file anew: best where this one was. */
static int make_file(const char *path)
{
	static const char *const places[] = {NULL, "/dev/shm/", "/tmp/"};

	for (size_t i = 0; i < LEN(places); i++) {
		int dir = (int)(strrchr(path, '/') - path) + 1;
		auto_free char *name =
			places[i] ? xasprintf("%sdeleted-XXXXXX", places[i])
				  : xasprintf("%.*sdeleted-XXXXXX", dir, path);
		int fd = mkostemp(name, O_CLOEXEC);

		if (fd >= 0 && !unlink(name))
			return fd;
		release_fd(&fd);
	}
	return -1;
}

/* What lies behind the end of the file cannot be read, and is not missed. */
static int copy_pages(const struct mapping *m, int mem, int to)
{
	char buf[65536];
	uint64_t at = m->start;

	while (at < m->end) {
		size_t want = m->end - at < sizeof(buf) ? (size_t)(m->end - at)
							: sizeof(buf);
		ssize_t n = pread(mem, buf, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if (pwrite(to, buf, (size_t)n,
			    (off_t)(m->offset + at - m->start)) != n)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

static bool same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor;
}

static uint64_t size_of(const struct mapfiles *all, const struct mapping *m)
{
	uint64_t size = 0;

	for (size_t i = 0; i < all->n_mappings; i++) {
		const struct mapping *o = &all->mapping[i];

		if (same_file(o, m) && o->offset + o->end - o->start > size)
			size = o->offset + o->end - o->start;
	}
	return size;
}

/* From the memory of those who map it, the union of what they see. */
static int copy_file(
	const struct mapfiles *all, const struct mapping *m, struct err *err)
{
	auto_close int fd = -1;
	uint64_t size = size_of(all, m);
	char text[32];

	if (size > all->limit)
		return err_set(err, 0,
			"a file is mapped that has no name, %.200s, of %s: "
			"more than [criu] ghost_limit",
			m->path, show_size(size, text));
	fd = make_file(m->path);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		return err_set(
			err, errno, "copy the mapped file %.200s", m->path);
	for (size_t i = 0; i < all->n_mappings; i++) {
		const struct mapping *o = &all->mapping[i];
		auto_close int mem = -1;
		char path[32];

		if (!same_file(o, m))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/mem", (int)o->pid);
		mem = open(path, O_RDONLY | O_CLOEXEC);
		if (mem < 0 || copy_pages(o, mem, fd))
			return err_set(err, errno,
				"copy the mapped file %.200s", m->path);
	}
	return steal_fd(&fd);
}

static int open_file(
	const struct mapfiles *all, const struct mapping *m, struct err *err)
{
	int fd = m->deleted ? open_by_other_name(m) : open_by_name(m);

	if (fd < 0)
		fd = open_by_descriptor(all, m);
	if (fd < 0)
		fd = copy_file(all, m, err);
	log_debug("process %d maps %s%s: %s", (int)m->pid, m->path,
		m->deleted ? ", which was deleted" : "",
		fd < 0 ? "cannot be had" : "given to criu");
	return fd;
}

/* The one that criu is given every time. */
static int stand_in_for(
	struct mapfiles *all, const struct mapping *m, struct err *err)
{
	struct stand_in *s = all->stand_in, *more;

	for (size_t i = 0; i < all->n_stand_ins; i++)
		if (s[i].inode == m->inode && s[i].major == m->major &&
			s[i].minor == m->minor)
			return s[i].fd;
	more = realloc(s, (all->n_stand_ins + 1) * sizeof(*s));
	if (!more)
		return err_set(err, ENOMEM, "list the deleted files");
	all->stand_in = more;
	s = &more[all->n_stand_ins++];
	*s = (struct stand_in){m->major, m->minor, m->inode, -1};
	s->fd = open_file(all, m, err);
	return s->fd;
}

struct mapfiles *mapfiles_new(pid_t root, uint64_t limit)
{
	struct mapfiles *m = xcalloc(1, sizeof(*m));

	m->root = root;
	m->limit = limit;
	return m;
}

void mapfiles_free(struct mapfiles *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_mappings; i++)
		free(m->mapping[i].path);
	free(m->mapping);
	for (size_t i = 0; i < m->n_stand_ins; i++)
		release_fd(&m->stand_in[i].fd);
	free(m->stand_in);
	free(m->tree.v);
	free(m);
}

int mapfiles_open(
	struct mapfiles *m, pid_t pid, const char *name, struct err *err)
{
	unsigned long long start, end;
	const struct mapping *asked;

	if (sscanf(name, "%llx-%llx", &start, &end) != 2)
		return -1;
	if (!m->listed)
		list_mappings(m);
	asked = find_mapping(m, pid, start, end);
	return asked ? stand_in_for(m, asked, err) : -1;
}
