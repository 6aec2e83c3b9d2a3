/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "timers.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"

/* --- the dump --- */

static void add_signals(json_t *list, pid_t pid)
{
	struct int_list one = {.v = &pid, .n = 1};
	struct int_list threads = proc_threads(&one);
	uint64_t mask = 0;

	for (size_t i = 0; i < threads.n; i++)
		mask |= proc_pending(pid, threads.v[i]);
	free(threads.v);
	if (mask)
		json_array_append_new(
			list, json_pack("[i, I]", (int)pid, (json_int_t)mask));
}

json_t *timers_pending(pid_t root)
{
	struct int_list tree = proc_tree(root);
	json_t *list = json_array();

	for (size_t i = 0; i < tree.n; i++)
		add_signals(list, tree.v[i]);
	free(tree.v);
	return list;
}

/* --- the restore --- */

uint64_t timers_pending_of(const json_t *list, pid_t pid)
{
	const json_t *j;
	json_int_t mask;
	size_t i;
	int of;

	json_array_foreach(list, i, j)
	{
		if (!json_unpack((json_t *)j, "[i, I]", &of, &mask) &&
			of == pid)
			return (uint64_t)mask;
	}
	return 0;
}

/* A message of protocol buffers, or what is left of it. */
struct message {
	unsigned char *at, *end;
};

struct field {
	uint64_t number, value;
	unsigned char *place; /* of a value */
	struct message inner; /* of a message */
};

static bool get_varint(struct message *m, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; m->at < m->end && shift < 64; shift += 7) {
		unsigned char byte = *m->at++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool skip(struct message *m, uint64_t n)
{
	if (n > (uint64_t)(m->end - m->at))
		return false;
	m->at += n;
	return true;
}

/* See the encoding of protocol buffers: a key, and by its type what follows. */
static bool next_field(struct message *m, struct field *f)
{
	uint64_t key;

	if (!get_varint(m, &key))
		return false;
	*f = (struct field){.number = key >> 3, .place = m->at};
	switch (key & 7) {
	case 0:
		return get_varint(m, &f->value);
	case 1:
		return skip(m, 8);
	case 2:
		if (!get_varint(m, &f->value))
			return false;
		f->inner.at = m->at;
		if (!skip(m, f->value))
			return false;
		f->inner.end = m->at;
		return true;
	case 5:
		return skip(m, 4);
	default:
		return false;
	}
}

static struct message find(struct message m, uint64_t number)
{
	struct field f;

	while (next_field(&m, &f))
		if (f.number == number && f.inner.at)
			return f.inner;
	return (struct message){0};
}

/* Zero takes one byte, and so does one. */
static bool set_to_one(const struct field *f)
{
	if (!f->place || f->value || *f->place)
		return false;
	*f->place = 1;
	return true;
}

/* The fields of a message by their numbers, below n. */
static void read_fields(struct message m, struct field *fields, size_t n)
{
	struct field f;

	memset(fields, 0, n * sizeof(*fields));
	while (next_field(&m, &f))
		if (f.number < n)
			fields[f.number] = f;
}

static bool is_in(uint64_t mask, uint64_t sig)
{
	return sig > 0 && sig <= 64 && mask >> (sig - 1) & 1;
}

/* By their numbers in timer.proto. */
enum {
	ISEC = 1,
	IUSEC = 2,
	VSEC = 3,
	VUSEC = 4,
	N_ITIMER = 5
};
enum {
	SIGNO = 3,
	NOTIFY = 4,
	P_ISEC = 7,
	P_INSEC = 8,
	P_VSEC = 9,
	P_VNSEC = 10,
	N_POSIX = 11
};

/*
 * Of a periodic one the kernel tells how long it is to the next time. The
 * signal of the timer if it was mended, or 0.
 */
static uint64_t mend_posix(struct message m, uint64_t pending)
{
	struct field f[N_POSIX];

	read_fields(m, f, N_POSIX);
	if (f[NOTIFY].value == SIGEV_NONE || !is_in(pending, f[SIGNO].value) ||
		f[P_ISEC].value || f[P_INSEC].value || f[P_VSEC].value ||
		!set_to_one(&f[P_VNSEC]))
		return 0;
	return f[SIGNO].value;
}

static void mend_real(struct message m, bool alarm)
{
	struct field f[N_ITIMER];

	read_fields(m, f, N_ITIMER);
	if ((alarm || f[ISEC].value || f[IUSEC].value) && !f[VSEC].value)
		set_to_one(&f[VUSEC]);
}

void timers_mend(unsigned char *image, size_t size, uint64_t pending)
{
	/* Two words of magic, and the size of the message. */
	struct message m = {image, image + size}, timers;
	bool alarm = is_in(pending, SIGALRM);
	struct field f;

	if (!skip(&m, 12))
		return;
	timers = find(find(m, 3), 7);
	for (m = timers; next_field(&m, &f);)
		if (f.number == 4 && mend_posix(f.inner, pending) == SIGALRM)
			alarm = false;
	mend_real(find(timers, 1), alarm);
}
