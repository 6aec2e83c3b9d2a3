/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>

#include "log.h"

#define MINUTE 60.0
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Nothing that is scheduled lasts longer: such a number is a slip. */
#define LONGEST (3650 * DAY)

static void *need_memory(void *p)
{
	if (!p) {
		log_error("out of memory");
		exit(EX_OSERR);
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	/* calloc(0, x) may return NULL, which is no failure. */
	return need_memory(calloc(n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return need_memory(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return need_memory(n < 0 ? NULL : text);
}

int write_all(int fd, const void *buf, size_t n)
{
	const char *at = buf;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = EIO;
		if (done <= 0)
			return -1;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Open a regular file for reading; a FIFO must not block the open. */
static int open_regular(
	int dirfd, const char *name, off_t *size, struct err *err)
{
	auto_close int fd = openat(
		dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return err_set(err, 0, "%s is a symbolic link", name);
	if (fd < 0)
		return err_set(err, errno, "cannot open %s", name);
	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "cannot examine %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, 0, "%s is not a regular file", name);
	*size = st.st_size;
	return steal_fd(&fd);
}

/* Read up to n bytes, fewer only at the end of the file. */
static ssize_t read_up_to(int fd, char *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, buf + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

char *read_file_at(
	int dirfd, const char *name, size_t max, size_t *len, struct err *err)
{
	off_t told = 0;
	auto_close int fd = open_regular(dirfd, name, &told, err);
	size_t have = 0, room;
	char *buf = NULL;

	if (fd < 0)
		return NULL;
	if (told > 0 && (uintmax_t)told > max)
		goto too_large;
	/* The size is a hint only: files of /proc have none, others grow. */
	room = told > 0 ? (size_t)told + 1 : 4096;
	buf = xcalloc(room + 1, 1);
	for (;;) {
		ssize_t n = read_up_to(fd, buf + have, room - have);

		if (n < 0) {
			err_set(err, errno, "cannot read %s", name);
			goto fail;
		}
		have += (size_t)n;
		if (have > max)
			goto too_large;
		if (have < room)
			break;
		room *= 2;
		buf = need_memory(realloc(buf, room + 1));
	}
	buf[have] = '\0';
	if (len)
		*len = have;
	return buf;
too_large:
	err_set(err, EFBIG, "%s has more than %zu bytes", name, max);
fail:
	free(buf);
	return NULL;
}

/* Make the rename of NAME last: it is an entry of NAME's directory. */
static int sync_parent(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	auto_free char *dir =
		!slash ? xstrdup(".")
		       : xasprintf("%.*s/", (int)(slash - name), name);
	auto_close int fd =
		openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	/* EINVAL: a file system without it, which has nothing to sync. */
	return fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
}

/* Create the file anew, with the data safely on the disk. */
static int write_new(int dirfd, const char *name, const void *data, size_t n)
{
	auto_close int fd = -1;

	/* What a crash, or somebody else, left there is not written through. */
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -1;
	fd = openat(dirfd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write_all(fd, data, n) < 0 || fsync(fd) < 0)
		return -1;
	/* Over NFS, close() is where a full disk may be told. */
	return close(steal_fd(&fd));
}

int write_file_at(int dirfd, const char *name, const void *data, size_t n,
	struct err *err)
{
	auto_free char *temp = xasprintf("%s.new", name);

	if (write_new(dirfd, temp, data, n) < 0) {
		err_set(err, errno, "cannot write %s", temp);
		goto undo;
	}
	if (renameat(dirfd, temp, dirfd, name) < 0) {
		err_set(err, errno, "cannot rename %s to %s", temp, name);
		goto undo;
	}
	if (sync_parent(dirfd, name) < 0)
		return err_set(
			err, errno, "cannot sync the directory of %s", name);
	return 0;
undo:
	/* Left over, it does no harm: the next write removes it. */
	(void)unlinkat(dirfd, temp, 0);
	return -1;
}

struct number {
	uint64_t whole;
	double fraction;
};

/*
 * Read digits, with a fraction if there is one. By hand: no sign, no exponent,
 * no "nan", no blanks, no locale. Moves *at behind it.
 */
static bool scan_number(const char **at, struct number *number)
{
	const char *p = *at;
	double digits = 0, scale = 1;

	number->whole = 0;
	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(number->whole, 10, &number->whole) ||
			__builtin_add_overflow(number->whole,
				(unsigned)(*p - '0'), &number->whole))
			return false;
	}
	if (*p == '.' && isdigit((unsigned char)p[1])) {
		for (p++; isdigit((unsigned char)*p); p++) {
			digits = digits * 10 + (*p - '0');
			scale *= 10;
			if (scale > 1e15)
				return false;
		}
	}
	number->fraction = digits / scale;
	*at = p;
	return true;
}

/*
 * Slurm's forms: [days-]hours[:minutes[:seconds]], or minutes:seconds, or
 * hours:minutes:seconds.
 */
static bool scan_clock(const char *p, double *seconds)
{
	static const double weight_days[] = {HOUR, MINUTE, 1};
	static const double weight_ms[] = {MINUTE, 1};
	double field[3] = {0}, sum = 0;
	const double *weight;
	struct number number;
	size_t n = 0, i;
	const char *dash = strchr(p, '-');

	if (dash) {
		if (!scan_number(&p, &number) || p != dash ||
			number.fraction > 0)
			return false;
		sum = (double)number.whole * DAY;
		p++;
	}
	for (;;) {
		if (n == LEN(field) || !scan_number(&p, &number) ||
			number.fraction > 0)
			return false;
		field[n++] = (double)number.whole;
		if (*p != ':')
			break;
		p++;
	}
	weight = !dash && n == 2 ? weight_ms : weight_days;
	for (i = 0; i < n; i++)
		sum += field[i] * weight[i];
	*seconds = sum;
	return *p == '\0';
}

/* "2h30m": each unit at most once, the larger first; or seconds alone. */
static bool scan_units(const char *p, double *seconds)
{
	static const char unit[] = "dhms";
	static const double weight[] = {DAY, HOUR, MINUTE, 1};
	struct number number;
	size_t next = 0;

	*seconds = 0;
	do {
		const char *u;

		if (!scan_number(&p, &number))
			return false;
		if (!*p && next == 0) {
			*seconds = (double)number.whole + number.fraction;
			return true;
		}
		u = *p ? strchr(unit + next, *p) : NULL;
		if (!u)
			return false;
		next = (size_t)(u - unit) + 1;
		*seconds += ((double)number.whole + number.fraction) *
			    weight[next - 1];
		p++;
	} while (*p);
	return true;
}

int parse_duration(const char *text, double *seconds, struct err *err)
{
	bool clock = strpbrk(text, ":-") != NULL;
	double sum;

	if (clock ? !scan_clock(text, &sum) : !scan_units(text, &sum))
		return err_set(err, 0,
			"bad duration '%s' (examples: 90, 10m, 1h30m)", text);
	if (sum > LONGEST)
		return err_set(err, 0, "'%s' is more than ten years", text);
	*seconds = sum;
	return 0;
}

/* "K", "KB" and "KiB" are the same here: a power of 1024. */
static bool scan_unit_of_size(const char *p, uint64_t *unit)
{
	static const char letters[] = "KMGTPE";
	const char *letter;

	*unit = 1;
	if (!*p)
		return true;
	letter = strchr(letters, toupper((unsigned char)*p));
	if (letter) {
		*unit = (uint64_t)1 << (10 * (letter - letters + 1));
		p++;
		if (!strcasecmp(p, "iB"))
			return true;
	}
	return !*p || !strcasecmp(p, "B");
}

int parse_size(const char *text, uint64_t *bytes, struct err *err)
{
	const char *p = text;
	struct number number;
	uint64_t unit, sum;

	if (!scan_number(&p, &number) || !scan_unit_of_size(p, &unit))
		return err_set(err, 0,
			"bad size '%s' (examples: 4096, 64K, 1.5G)", text);
	if (__builtin_mul_overflow(number.whole, unit, &sum) ||
		__builtin_add_overflow(
			sum, (uint64_t)(number.fraction * (double)unit), &sum))
		return err_set(err, 0, "size '%s' is too large", text);
	*bytes = sum;
	return 0;
}

struct named_signal {
	const char *name;
	int number;
};

/* The first name of a number is the one that is shown. */
static const struct named_signal named_signals[] = {
	{"HUP", SIGHUP},
	{"INT", SIGINT},
	{"QUIT", SIGQUIT},
	{"ILL", SIGILL},
	{"TRAP", SIGTRAP},
	{"ABRT", SIGABRT},
	{"BUS", SIGBUS},
	{"FPE", SIGFPE},
	{"KILL", SIGKILL},
	{"USR1", SIGUSR1},
	{"SEGV", SIGSEGV},
	{"USR2", SIGUSR2},
	{"PIPE", SIGPIPE},
	{"ALRM", SIGALRM},
	{"TERM", SIGTERM},
#ifdef SIGSTKFLT
	{"STKFLT", SIGSTKFLT},
#endif
	{"CHLD", SIGCHLD},
	{"CONT", SIGCONT},
	{"STOP", SIGSTOP},
	{"TSTP", SIGTSTP},
	{"TTIN", SIGTTIN},
	{"TTOU", SIGTTOU},
	{"URG", SIGURG},
	{"XCPU", SIGXCPU},
	{"XFSZ", SIGXFSZ},
	{"VTALRM", SIGVTALRM},
	{"PROF", SIGPROF},
	{"WINCH", SIGWINCH},
	{"IO", SIGIO},
	{"PWR", SIGPWR},
	{"SYS", SIGSYS},
	{"POLL", SIGPOLL},
	{"IOT", SIGIOT},
	{"CLD", SIGCHLD},
};

/*
 * A number of a signal that programs may use; the C library keeps some of the
 * real-time signals to itself.
 */
static int usable_signal(uint64_t number)
{
	if (number >= 1 && number <= 31)
		return (int)number;
	if (number >= (uint64_t)SIGRTMIN && number <= (uint64_t)SIGRTMAX)
		return (int)number;
	return -1;
}

int parse_signal(const char *text)
{
	struct number number;
	size_t i;

	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (i = 0; i < LEN(named_signals); i++) {
		if (!strcasecmp(text, named_signals[i].name))
			return named_signals[i].number;
	}
	if (!scan_number(&text, &number) || *text || number.fraction > 0)
		return -1;
	return usable_signal(number.whole);
}

#define NUMBERED(n) [n] = "SIG" #n

static const char *const numbered_signals[] = {
	NUMBERED(32),
	NUMBERED(33),
	NUMBERED(34),
	NUMBERED(35),
	NUMBERED(36),
	NUMBERED(37),
	NUMBERED(38),
	NUMBERED(39),
	NUMBERED(40),
	NUMBERED(41),
	NUMBERED(42),
	NUMBERED(43),
	NUMBERED(44),
	NUMBERED(45),
	NUMBERED(46),
	NUMBERED(47),
	NUMBERED(48),
	NUMBERED(49),
	NUMBERED(50),
	NUMBERED(51),
	NUMBERED(52),
	NUMBERED(53),
	NUMBERED(54),
	NUMBERED(55),
	NUMBERED(56),
	NUMBERED(57),
	NUMBERED(58),
	NUMBERED(59),
	NUMBERED(60),
	NUMBERED(61),
	NUMBERED(62),
	NUMBERED(63),
	NUMBERED(64),
};

const char *signal_name(int sig)
{
	size_t i;

	for (i = 0; i < LEN(named_signals); i++) {
		if (named_signals[i].number == sig)
			return named_signals[i].name;
	}
	if (sig > 0 && (size_t)sig < LEN(numbered_signals) &&
		numbered_signals[sig])
		return numbered_signals[sig];
	return "SIG?";
}

/* "1 h 3 min", without the smaller part if that is 0. */
static const char *show_two(char buf[32], uint64_t large, const char *unit,
	uint64_t small, const char *small_unit)
{
	if (small)
		snprintf(buf, 32, "%llu %s %llu %s", (unsigned long long)large,
			unit, (unsigned long long)small, small_unit);
	else
		snprintf(buf, 32, "%llu %s", (unsigned long long)large, unit);
	return buf;
}

const char *show_duration(double seconds, char buf[32])
{
	uint64_t s, tenths;

	/* Not "<= 0": a NaN is to be shown as something, too. */
	if (!(seconds > 0))
		seconds = 0;
	if (seconds > 1000 * LONGEST) {
		snprintf(buf, 32, "forever");
		return buf;
	}
	tenths = (uint64_t)(seconds * 10 + 0.5);
	s = (uint64_t)(seconds + 0.5);
	if (tenths < 100 && tenths % 10)
		snprintf(buf, 32, "%u.%u s", (unsigned)tenths / 10,
			(unsigned)tenths % 10);
	else if (s < 60)
		snprintf(buf, 32, "%u s", (unsigned)s);
	else if (s < 3600)
		show_two(buf, s / 60, "min", s % 60, "s");
	else if (s < 86400)
		show_two(buf, s / 3600, "h", s % 3600 / 60, "min");
	else
		show_two(buf, s / 86400, "d", s % 86400 / 3600, "h");
	return buf;
}

const char *show_size(uint64_t bytes, char buf[32])
{
	static const char *const unit[] = {
		"B", "KB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	size_t i = 0;

	/* 999.5 and not 1024, so that there are three digits at most. */
	while (value >= 999.5 && i < LEN(unit) - 1) {
		value /= 1024;
		i++;
	}
	snprintf(buf, 32, i > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value,
		unit[i]);
	return buf;
}

static double now(clockid_t clock)
{
	struct timespec t = {0, 0};

	/* Cannot fail with a clock that exists, and both always do. */
	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now_wall(void)
{
	return now(CLOCK_REALTIME);
}

double now_mono(void)
{
	return now(CLOCK_MONOTONIC);
}

uint64_t hash_text(const char *text, uint64_t seed)
{
	uint64_t h = seed ? seed : 0xcbf29ce484222325;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return h;
}

#define LONGEST_WORD 48

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* How many letters to insert, drop, change or swap with their neighbour. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[LONGEST_WORD + 1][LONGEST_WORD + 1];
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > LONGEST_WORD || lb > LONGEST_WORD)
		return LONGEST_WORD;
	for (i = 0; i <= la; i++)
		d[i][0] = (unsigned)i;
	for (j = 0; j <= lb; j++)
		d[0][j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		for (j = 1; j <= lb; j++) {
			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1,
				d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
				same(a[i - 2], b[j - 1]) &&
				d[i][j] > d[i - 2][j - 2] + 1)
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[la][lb];
}

const char *did_you_mean(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned nearest = 3;
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned d = distance(word, words[i]);

		/* Of a short word, two letters are most of it. */
		if (d < nearest && 2 * d < strlen(word)) {
			nearest = d;
			best = words[i];
		}
	}
	return best;
}
