/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "text.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "util.h"

#define MINUTE 60.0
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Nothing that is scheduled lasts longer: such a number is a slip. */
#define LONGEST (3650 * DAY)

char *trim(char *s)
{
	size_t n;

	s += strspn(s, BLANKS);
	n = strlen(s);
	while (n > 0 && strchr(BLANKS, s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

bool has_control(const char *s)
{
	for (; *s; s++)
		if (iscntrl((unsigned char)*s) && *s != '\t')
			return true;
	return false;
}

void mask_control(char *s)
{
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			*s = '?';
}

/* --- numbers --- */

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
	double sum = 0;

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

int parse_count(const char *text, unsigned *n, struct err *err)
{
	const char *p = text;
	struct number number;

	if (!scan_number(&p, &number) || *p || number.fraction > 0 ||
		number.whole < 1 || number.whole > 999999)
		return err_set(
			err, 0, "'%s' is not a number from 1 to 999999", text);
	*n = (unsigned)number.whole;
	return 0;
}

/* --- signals --- */

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

const char *signal_name(int sig)
{
	static char numbered[65][8]; /* signals end with 64 */

	for (size_t i = 0; i < LEN(named_signals); i++)
		if (named_signals[i].number == sig)
			return named_signals[i].name;
	if (sig < 1 || sig >= (int)LEN(numbered))
		return "SIG?";
	snprintf(numbered[sig], sizeof(numbered[sig]), "SIG%d", sig % 100);
	return numbered[sig];
}

/* --- for people --- */

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
	if (seconds > 0 && seconds < 0.995)
		snprintf(buf, 32, "%.2g s", seconds < 0.01 ? 0.01 : seconds);
	else if (tenths < 100 && tenths % 10)
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

static bool same_day(const struct tm *a, const struct tm *b)
{
	return a->tm_year == b->tm_year && a->tm_yday == b->tm_yday;
}

/* At noon, as days have 23 to 25 hours. */
static struct tm day_before(struct tm day)
{
	time_t t;

	day.tm_mday--;
	day.tm_hour = 12;
	day.tm_isdst = -1;
	t = mktime(&day);
	localtime_r(&t, &day);
	return day;
}

const char *show_moment(double t, double now, char buf[32])
{
	time_t at = (time_t)t, present = (time_t)now;
	struct tm tm = {0}, today = {0}, yesterday;
	size_t n;

	localtime_r(&at, &tm);
	localtime_r(&present, &today);
	yesterday = day_before(today);
	if (same_day(&tm, &today))
		n = strftime(buf, 32, "%H:%M:%S", &tm);
	else if (same_day(&tm, &yesterday))
		n = strftime(buf, 32, "yesterday %H:%M", &tm);
	else if (tm.tm_year == today.tm_year)
		n = strftime(buf, 32, "%d %b %H:%M", &tm);
	else
		n = strftime(buf, 32, "%d %b %Y %H:%M", &tm);
	if (!n)
		snprintf(buf, 32, "-");
	return buf;
}

/* --- the nearest word --- */

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

const char *near_signal(const char *text)
{
	const char *names[LEN(named_signals)];

	for (size_t i = 0; i < LEN(names); i++)
		names[i] = named_signals[i].name;
	return did_you_mean(
		text + 3 * !strncasecmp(text, "SIG", 3), names, LEN(names));
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
