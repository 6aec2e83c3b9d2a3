/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sysv_maps.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "util.h"

/* --- segments --- */

bool sysv_parse_segment(const char *line, struct sysv_segment *s)
{
	unsigned long long size, rss, swap;

	/* key shmid perms size cpid lpid nattch uid gid cuid cgid, 3 times */
	if (sscanf(line,
		    "%d %d %o %llu %*u %*u %*u %u %u %*u %*u %*u %*u %*u %llu "
		    "%llu",
		    &s->key, &s->id, &s->mode, &size, &s->uid, &s->gid, &rss,
		    &swap) != 8)
		return false;
	s->size = size;
	s->rss = rss;
	s->swap = swap;
	return true;
}

int sysv_list_segments(struct sysv_segments *s, struct err *err)
{
	static const char path[] = "/proc/sysvipc/shm";
	auto_file FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	size_t room = 0;
	struct sysv_segment one;

	*s = (struct sysv_segments){0};
	if (!f)
		return err_set(err, errno, "open %s", path);
	while (getline(&line, &room, f) > 0) {
		struct sysv_segment *more;

		if (!sysv_parse_segment(line, &one))
			continue;
		more = realloc(s->v, (s->n + 1) * sizeof(*more));
		if (!more) {
			free(s->v);
			s->v = NULL;
			return err_set(err, ENOMEM, "list shared memory");
		}
		s->v = more;
		s->v[s->n++] = one;
	}
	return 0;
}

static const struct sysv_segment *find_segment(
	const struct sysv_segments *s, int id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].id == id)
			return &s->v[i];
	return NULL;
}

/* --- pieces --- */

bool sysv_is_name(const char *path)
{
	static const char begin[] = "/SYSV", mark[] = " (deleted)";
	const char *key = path + sizeof(begin) - 1;

	return !strncmp(path, begin, sizeof(begin) - 1) &&
	       strspn(key, "0123456789abcdef") == 8 &&
	       !strncmp(key + 8, mark, sizeof(mark) - 1);
}

bool sysv_parse_piece(const char *line, struct sysv_piece *p)
{
	unsigned long long start, end, offset, inode;
	char perms[5];
	int at = 0;

	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end,
		    perms, &offset, &p->major, &p->minor, &inode, &at) != 7 ||
		!sysv_is_name(line + at))
		return false;
	p->start = start;
	p->end = end;
	p->offset = offset;
	p->id = (int)inode;
	p->prot = (perms[0] == 'r' ? PROT_READ : 0) |
		  (perms[1] == 'w' ? PROT_WRITE : 0) |
		  (perms[2] == 'x' ? PROT_EXEC : 0);
	return true;
}

bool sysv_is_whole(const struct sysv_piece *p, size_t n, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i].offset != at)
			return false;
		at += p[i].end - p[i].start;
	}
	return at == (size + page - 1) / page * page;
}

struct pieces {
	struct sysv_piece *v;
	size_t n;
};

/* Those of one attachment come one behind the other. */
static int read_pieces(pid_t pid, struct pieces *all, struct err *err)
{
	auto_free char *path = xasprintf("/proc/%d/maps", (int)pid);
	auto_file FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	size_t room = 0;
	struct sysv_piece one;

	all->n = 0;
	while (f && getline(&line, &room, f) > 0) {
		struct sysv_piece *more;

		if (!sysv_parse_piece(line, &one))
			continue;
		more = realloc(all->v, (all->n + 1) * sizeof(*more));
		if (!more)
			return err_set(err, ENOMEM, "list what is attached");
		all->v = more;
		all->v[all->n++] = one;
	}
	return 0;
}

bool sysv_parse_wait(const char *text, uint64_t call[5])
{
	unsigned long long a[4];
	long number;

	if (sscanf(text, "%ld %llx %llx %llx %llx", &number, &a[0], &a[1],
		    &a[2], &a[3]) != 5 ||
		(number != SYS_semop && (number != SYS_semtimedop || a[3])))
		return false;
	call[0] = (uint64_t)number;
	for (size_t i = 0; i < LEN(a); i++)
		call[i + 1] = a[i];
	return true;
}

/* --- attachments --- */

/* How it was attached is only seen here; what may be written now is less. */
static bool is_readonly(pid_t pid, const struct sysv_piece *p)
{
	char path[80];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid,
		(unsigned long long)p->start, (unsigned long long)p->end);
	return lstat(path, &st) ? !(p->prot & PROT_WRITE)
				: !(st.st_mode & S_IWUSR);
}

static json_t *changed_prot(const struct sysv_piece *p, size_t n, bool readonly)
{
	int usual = readonly ? PROT_READ : PROT_READ | PROT_WRITE;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (p[i].prot != usual)
			json_array_append_new(list,
				json_pack("[I, I, i]", (json_int_t)p[i].start,
					(json_int_t)p[i].end, p[i].prot));
	return list;
}

/* Ordinary segments lie where memory files do, and others on huge pages. */
static bool is_ordinary(const struct sysv_piece *p)
{
	auto_close int fd = memfd_create("", MFD_CLOEXEC);
	struct stat st;

	return fd < 0 || fstat(fd, &st) ||
	       st.st_dev == makedev(p->major, p->minor);
}

static int add_attachment(json_t *list, pid_t pid, const struct sysv_piece *p,
	size_t n, const struct sysv_segments *segments, struct err *err)
{
	const struct sysv_segment *s = find_segment(segments, p->id);
	struct proc_stat st = {0};
	bool readonly = is_readonly(pid, p);
	json_t *one;

	proc_stat(pid, &st);
	if (!s)
		return err_set(err, 0,
			"process %d (%s) has System V shared memory attached "
			"that is not of its own capsule",
			(int)pid, st.comm);
	if (!is_ordinary(p))
		return err_set(err, 0,
			"process %d (%s) has System V shared memory in huge "
			"pages (segment %d), which cannot be checkpointed",
			(int)pid, st.comm, p->id);
	if (!sysv_is_whole(p, n, s->size))
		return err_set(err, 0,
			"process %d (%s) has only a part of a System V shared "
			"memory segment left (%d), which cannot be "
			"checkpointed",
			(int)pid, st.comm, p->id);
	one = json_pack("{s:i, s:i, s:I, s:I, s:b, s:o}", "pid", (int)pid, "id",
		p->id, "at", (json_int_t)p->start, "size",
		(json_int_t)(p[n - 1].end - p->start), "readonly", readonly,
		"prot", changed_prot(p, n, readonly));
	return json_array_append_new(list, one)
		       ? err_set(err, ENOMEM, "list what is attached")
		       : 0;
}

/* How many pieces from this one on are of the same attachment. */
static size_t same_attachment(const struct sysv_piece *p, size_t n)
{
	size_t i = 1;

	while (i < n && p[i].id == p->id && p[i].start == p[i - 1].end &&
		p[i].start - p[i].offset == p->start - p->offset)
		i++;
	return i;
}

static int add_process(json_t *list, pid_t pid, struct pieces *all,
	const struct sysv_segments *segments, struct err *err)
{
	size_t n;

	if (read_pieces(pid, all, err))
		return -1;
	for (size_t i = 0; i < all->n; i += n) {
		n = same_attachment(&all->v[i], all->n - i);
		if (add_attachment(list, pid, &all->v[i], n, segments, err))
			return -1;
	}
	return 0;
}

json_t *sysv_attachments(const struct int_list *processes,
	const struct sysv_segments *segments, struct err *err)
{
	struct pieces all = {0};
	json_t *list = json_array();
	int ret = 0;

	for (size_t i = 0; i < processes->n && !ret; i++)
		ret = add_process(list, processes->v[i], &all, segments, err);
	free(all.v);
	if (!ret)
		return list;
	json_decref(list);
	return NULL;
}
