/* SPDX-License-Identifier: GPL-2.0-or-later */
/* err.h - the one error type */
#ifndef ERR_H
#define ERR_H

#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/*
 * A function that can fail takes a struct err * as its last argument and
 * returns 0 (or a value) on success, -1 (or NULL) on failure. On failure, and
 * only then, *err is filled; err may be NULL. Whoever gets the -1 either
 * passes it on, with err_wrap() if it knows more, or logs it; never both.
 */
struct err {
	int num;        /* an errno value, or 0 */
	char text[512]; /* no newline, no final period; cut, never overrun */
};

/* Fill *err; the text of num is appended if num is not 0. Returns -1. */
int err_set(struct err *err, int num, const char *fmt, ...) PRINTF(3, 4);

/* Put "what: " before the text of err. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);

#endif
