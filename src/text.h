/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.h - words that people write and read: times, sizes, signals, names */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define BLANKS " \t"

/* Cut the blanks off both ends. Returns a pointer into s. */
char *trim(char *s);

/* Is there a byte that would confuse a terminal, a log or an INI file? */
bool has_control(const char *s);

/* Put '?' in place of such bytes, and of tabs: for messages. */
void mask_control(char *s);

/*
 * "90", "90s", "10m", "2h30m", "1d", "1-12:00:00", "30:00" (minutes:seconds),
 * "1:30:00" to seconds. Slurm's forms are those of sbatch(1), --time, except
 * that a bare number is seconds here. Returns 0, or -1 with *err.
 */
int parse_duration(const char *text, double *seconds, struct err *err);

/* "4096", "64K", "1.5G", "2T" (powers of 1024) to bytes. */
int parse_size(const char *text, uint64_t *bytes, struct err *err);

/* "3" to a number from 1 to 999999, which counts something. */
int parse_count(const char *text, unsigned *n, struct err *err);

/* "USR1", "SIGUSR1", "10" to a signal number, or -1. */
int parse_signal(const char *text);

/* The nearest name to a misspelt one, as of did_you_mean(). */
const char *near_signal(const char *text);

/* "USR1"; "SIG42"-style numbers for those without a name. Static storage. */
const char *signal_name(int sig);

/* For people: "9 s", "2 min 5 s", "1 h 3 min"; "812 KB", "1.4 GB". */
const char *show_duration(double seconds, char buf[32]);
const char *show_size(uint64_t bytes, char buf[32]);

/* A time after 1970, as seen now: "14:02:31", "yesterday 14:02", "12 Nov
 * 14:02". */
const char *show_moment(double t, double now, char buf[32]);

/* The nearest of n words to a misspelt one, or NULL if none is near. */
const char *did_you_mean(const char *word, const char *const *words, size_t n);

#endif
