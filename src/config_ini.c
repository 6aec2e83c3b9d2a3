/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_ini.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <ini.h>

#include "util.h"

#define LARGEST_FILE (1 << 20)

/* Where inih was built to pass a line number, its handler has one more. */
_Static_assert(!INI_HANDLER_LINENO, "inih with INI_HANDLER_LINENO");

struct file {
	const struct ini_reader *to;
	const char *path;
	FILE *in;
	char *text; /* the line, of getline() */
	size_t size;
	int line;
	bool want_pair; /* the line has yet to arrive at take_pair() */
	bool left_out;  /* so is the section */
	bool told;      /* something was wrong */
};

static void wrong_line(struct file *f, const char *what)
{
	auto_free char *where = xasprintf("%s:%d", f->path, f->line);

	f->told = true;
	f->to->wrong(f->to->arg, where, what);
}

static void check_header(struct file *f, const char *line)
{
	auto_free char *where = xasprintf("%s:%d", f->path, f->line);
	auto_free char *section = xstrdup(line + 1);
	char *end = strchr(section, ']'), *rest;

	if (!end) {
		wrong_line(f, "'[' without ']'");
		return;
	}
	*end = '\0';
	f->left_out = !f->to->section(f->to->arg, where, section);
	rest = trim(end + 1);
	if (*rest && *rest != ';' && *rest != '#')
		wrong_line(f, "text behind a [section]");
}

/*
 * What inih is to see of a line that was read: all of it, or nothing if it is
 * a comment, or if inih would take it for something else than its writer. To
 * inih, an indented line goes on with the value before it, which is more often
 * a trap than a wish: no line reaches it with its indentation.
 */
static const char *usable(struct file *f, size_t n, size_t room)
{
	static const char bom[] = "\xef\xbb\xbf";
	char *line = f->text;

	if (strlen(line) != n) {
		wrong_line(f, "NUL byte");
		return "";
	}
	line[strcspn(line, "\r\n")] = '\0';
	if (f->line == 1 && !strncmp(line, bom, strlen(bom)))
		line += strlen(bom);
	line = trim(line);
	if (!*line || *line == ';' || *line == '#')
		return "";
	if (has_control(line)) {
		wrong_line(f, "control character");
		return "";
	}
	/* inih 58 wants room for the end of the line, too. */
	if (strlen(line) >= room - 1) {
		auto_free char *what =
			xasprintf("longer than %zu bytes", room - 2);

		wrong_line(f, what);
		return "";
	}
	if (*line == '[')
		check_header(f, line);
	else
		f->want_pair = true;
	return line;
}

/*
 * The reader of inih: as fgets(), but counts lines. inih tells its first bad
 * line only; each is found here by its not having arrived at take_pair().
 */
static char *next_line(char *buf, int size, void *arg)
{
	struct file *f = arg;
	ssize_t n;

	if (f->want_pair)
		wrong_line(f, "not 'key = value' and not a [section]");
	f->want_pair = false;
	n = getline(&f->text, &f->size, f->in);
	if (n < 0)
		return NULL;
	f->line++;
	snprintf(buf, (size_t)size, "%s", usable(f, (size_t)n, (size_t)size));
	return buf;
}

/* The handler of inih. */
static int take_pair(
	void *arg, const char *section, const char *name, const char *value)
{
	struct file *f = arg;
	auto_free char *where = xasprintf("%s:%d", f->path, f->line);
	auto_free char *subject = xasprintf("%s: %s", where, name);

	/* Without a name, next_line() is to find it. */
	f->want_pair = !*name;
	if (!*name || f->left_out)
		return 1;
	if (*section)
		f->to->pair(f->to->arg, where, section, name, value);
	else
		f->to->wrong(f->to->arg, subject,
			"missing section (a line such as [checkpoint] above)");
	return 1;
}

/* In a user namespace that does not map root, its files look like nobody's. */
static bool is_owned_by_root(const struct stat *st)
{
	auto_file FILE *map = fopen("/proc/self/uid_map", "re");
	auto_file FILE *over = fopen("/proc/sys/kernel/overflowuid", "re");
	unsigned inside, outside, count, nobody = 65534;

	if (st->st_uid == 0)
		return true;
	if (over && fscanf(over, "%u", &nobody) != 1)
		nobody = 65534;
	if (st->st_uid != nobody)
		return false;
	while (map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3)
		if (outside == 0)
			return false;
	return map != NULL;
}

/* What is wrong with the file as a whole, or NULL; owned. */
static char *find_fault(const char *path, const struct stat *st, bool for_all)
{
	if (!S_ISREG(st->st_mode))
		return xstrdup("not a regular file");
	if (st->st_size > LARGEST_FILE)
		return xstrdup("too large");
	if (for_all && !is_owned_by_root(st) && st->st_uid != geteuid())
		return xasprintf(
			"owned by user %u and not by root: chown root %s",
			st->st_uid, path);
	if (for_all && (st->st_mode & (S_IWGRP | S_IWOTH)))
		return xasprintf("writable by others: chmod go-w %s", path);
	return NULL;
}

/* Open a file that may be absent; NULL then, or if it cannot be used. */
static FILE *open_file(
	const char *path, bool for_all, const struct ini_reader *to)
{
	/* Not to hang on a FIFO. */
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	auto_free char *fault = NULL;
	FILE *in = NULL;
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return NULL;
	if (fd >= 0 && fstat(fd, &st) == 0)
		fault = find_fault(path, &st, for_all);
	else
		fault = xasprintf("cannot be read: %s", strerror(errno));
	if (!fault) {
		in = fdopen(fd, "r");
		fault = in ? NULL : xstrdup(strerror(errno));
	}
	if (in)
		steal_fd(&fd);
	else
		to->wrong(to->arg, path, fault);
	return in;
}

void config_ini_read(
	const char *path, bool for_all, const struct ini_reader *to)
{
	auto_file FILE *in = open_file(path, for_all, to);
	struct file f = {.to = to, .path = path, .in = in};
	int bad;

	if (!in)
		return;
	bad = ini_parse_stream(next_line, &f, take_pair, &f);
	free(f.text);
	if (ferror(in)) {
		to->wrong(to->arg, path, "cannot be read");
	} else if (bad != 0 && !f.told) {
		/* What only inih finds wrong. */
		f.line = bad > 0 ? bad : f.line;
		wrong_line(&f, "cannot be understood");
	}
}
