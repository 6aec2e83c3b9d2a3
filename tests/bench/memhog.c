/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memhog - a program with much memory, for benchmarks of checkpoints
 *
 *	memhog MIB KIND PROCESSES LOG
 *
 * Each of so many processes fills MIB MiB. KIND is rnd (cannot be compressed)
 * or txt (words, phrases and a quarter of numbers, as R prints them: zstd -1
 * makes 0.27 of it, in pieces of 256 KiB). No two pages are equal.
 *
 * SIGHUP	change some pages, as the file LOG.change says: "PERCENT HOW",
 *HOW being scattered or run (all in one) SIGINT	read all memory again,
 *compare checksums, and end
 *
 * Each sends these to the process group. Lines that are added to LOG, which is
 * not open in between, N being the number of the process from 0:
 *
 *	ready N			filled
 *	changed N PAGES		after SIGHUP
 *	gap FROM TO		process 0 did not run, by CLOCK_REALTIME
 *	good N, bad N		after SIGINT
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE    4096
#define WATCH   1000000 /* ns between two looks at the clock */
#define GAP     0.004   /* seconds that are told of */
#define WORDS   512
#define PHRASES 1024

struct hog {
	unsigned number;
	uint64_t seed, random, sum, pages;
	unsigned char *memory;
	void (*fill)(unsigned char *page, uint64_t seed);
	const char *log;
};

static struct {
	char text[96];
	size_t len;
} phrases[PHRASES];

static void say(const char *log, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One write(2): lines of several processes do not mix. */
static void say(const char *log, const char *fmt, ...)
{
	char line[128];
	va_list ap;
	int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644), n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		err(1, "%s", log);
	close(fd);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- contents --- */

/* xorshift64*: the state is never 0. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static uint64_t state_of(uint64_t seed)
{
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15ULL;

	return state ? state : 1;
}

static void make_phrases(void)
{
	static const char parts[][4] = {"the", "in", "er", "an", "re", "on",
		"at", "en", "nd", "ti", "es", "or", "te", "of", "ed", "is",
		"it", "al", "ar", "st", "to", "nt", "ha", "se", "ou", "io",
		"le", "ve", "co", "me", "de", "hi", "ri", "ro", "ic", "ne",
		"ea", "ra", "ce", "li", "ch", "ll", "be", "ma", "si", "om",
		"ur", "so", "do", "pa"};
	static const unsigned long words_of[] = {1, 3, 6};
	static char words[WORDS][16];
	uint64_t state = 1;

	for (unsigned i = 0; i < WORDS; i++) {
		unsigned n =
			1 + (i > 8) + (i > 100) + (unsigned)(draw(&state) & 1);
		char *end = words[i];

		while (n--)
			end = stpcpy(
				end, parts[draw(&state) %
					     (sizeof(parts) / sizeof(*parts))]);
		stpcpy(end, " ");
	}
	for (unsigned i = 0; i < PHRASES; i++) {
		char *end = phrases[i].text;

		for (unsigned long k = 0; k < words_of[i % 3]; k++)
			end = stpcpy(end, words[draw(&state) % WORDS]);
		phrases[i].len = (size_t)(end - phrases[i].text);
	}
}

/* As R prints a number between 10 and 100, with 15 digits. */
static size_t print_number(char *to, uint64_t random)
{
	uint64_t n = random % 900000000000000ULL + 100000000000000ULL;

	for (int i = 15; i >= 0; i--) {
		if (i == 2) {
			to[i] = '.';
			continue;
		}
		to[i] = (char)('0' + n % 10);
		n /= 10;
	}
	to[16] = ' ';
	return 17;
}

static void fill_txt(unsigned char *page, uint64_t seed)
{
	unsigned char spare[PAGE + sizeof(phrases[0].text)];
	uint64_t state = state_of(seed);
	unsigned column = 0;
	size_t at = 0;

	while (at < PAGE) {
		uint64_t r = draw(&state);
		/* the square of it: some phrases are more frequent */
		uint64_t u = r >> 32, i = (u * u >> 32) * PHRASES >> 32;

		if ((r & 3) == 0) {
			at += print_number((char *)spare + at, draw(&state));
		} else {
			memcpy(spare + at, phrases[i].text,
				sizeof(phrases[i].text));
			at += phrases[i].len;
		}
		if (++column % 12 == 0)
			spare[at - 1] = '\n';
	}
	memcpy(page, spare, PAGE);
}

static void fill_rnd(unsigned char *page, uint64_t seed)
{
	uint64_t state = state_of(seed), words[PAGE / sizeof(uint64_t)];

	for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++)
		words[i] = draw(&state);
	memcpy(page, words, PAGE);
}

/* Of a page at its place; those of all pages are added up. */
static uint64_t checksum(const struct hog *h, uint64_t page)
{
	uint64_t words[PAGE / sizeof(uint64_t)], sum = page;

	memcpy(words, h->memory + page * PAGE, PAGE);
	for (size_t i = 0; i < PAGE / sizeof(uint64_t); i++)
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 29;
}

static void write_page(struct hog *h, uint64_t page)
{
	h->fill(h->memory + page * PAGE, h->seed++);
	h->sum += checksum(h, page);
}

/* --- what it is told --- */

/* So many percent: one page of each piece, or the pages of one run. */
static uint64_t change(struct hog *h, double percent, bool scattered)
{
	uint64_t n = (uint64_t)((double)h->pages * percent / 100);
	uint64_t first = draw(&h->random) % (h->pages - n + 1);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t from = i * h->pages / n, to = (i + 1) * h->pages / n;
		uint64_t page = first + i;

		if (scattered)
			page = from + draw(&h->random) % (to - from);
		h->sum -= checksum(h, page);
		write_page(h, page);
	}
	return n;
}

static void obey_change(struct hog *h)
{
	char path[4096], how[16];
	double percent;
	FILE *f;

	snprintf(path, sizeof(path), "%s.change", h->log);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%lf %15s", &percent, how) != 2 || percent < 0 ||
		percent > 100)
		errx(1, "%s: not PERCENT HOW", path);
	fclose(f);
	say(h->log, "changed %u %llu\n", h->number,
		(unsigned long long)change(h, percent, how[0] == 's'));
}

static int verify(const struct hog *h)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < h->pages; i++)
		sum += checksum(h, i);
	say(h->log, "%s %u\n", sum == h->sum ? "good" : "bad", h->number);
	return sum != h->sum;
}

static int run(struct hog *h, const sigset_t *signals)
{
	const struct timespec moment = {.tv_nsec = WATCH};
	double last, t;

	h->seed = (uint64_t)h->number << 40;
	h->random = state_of(h->seed);
	h->memory = mmap(NULL, h->pages * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h->memory == MAP_FAILED)
		err(1, "mmap");
	for (uint64_t i = 0; i < h->pages; i++)
		write_page(h, i);
	say(h->log, "ready %u\n", h->number);
	last = now();
	while (true) {
		int sig = h->number ? sigwaitinfo(signals, NULL)
				    : sigtimedwait(signals, NULL, &moment);

		t = now();
		if (h->number == 0 && t - last > GAP)
			say(h->log, "gap %.6f %.6f\n", last, t);
		if (sig == SIGINT)
			return verify(h);
		if (sig == SIGHUP)
			obey_change(h);
		last = sig == SIGHUP ? now() : t;
	}
}

int main(int argc, char **argv)
{
	struct hog h = {0};
	unsigned long n;
	sigset_t signals;
	int status, bad;

	if (argc != 5 || (strcmp(argv[2], "rnd") && strcmp(argv[2], "txt")))
		errx(64, "usage: memhog MIB rnd|txt PROCESSES LOG");
	h.pages = strtoull(argv[1], NULL, 10) * (1048576 / PAGE);
	h.fill = argv[2][0] == 't' ? fill_txt : fill_rnd;
	n = strtoul(argv[3], NULL, 10);
	h.log = argv[4];
	make_phrases();
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (unsigned i = 1; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			h.number = i;
			return run(&h, &signals);
		}
	}
	bad = run(&h, &signals);
	while (wait(&status) > 0 || errno == EINTR)
		bad |= status;
	return bad != 0;
}
