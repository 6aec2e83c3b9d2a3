/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "progress.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

/* Seconds from one writing of the file to the next, and to the first. */
#define WRITE_EVERY 0.5

/* Seconds after which a listener is told. */
#define LONG 10

static const char file_name[] = "progress";

/* --- for people --- */

unsigned progress_percent(const struct progress *p)
{
	double part = p->total ? (double)p->done / (double)p->total : 0;

	if (p->to_disk)
		return 99;
	return part < 0.99 ? (unsigned)(part * 100) : 99;
}

double progress_rate(const struct progress *p)
{
	double seconds = p->now - p->began;

	return seconds > 0 ? (double)p->done / seconds : 0;
}

double progress_left(const struct progress *p)
{
	double rate = progress_rate(p);

	/* What has only just begun tells nothing of the rest. */
	if (p->to_disk || p->done >= p->total || rate <= 0 ||
		!progress_percent(p))
		return 0;
	return (double)(p->total - p->done) / rate;
}

const char *progress_text(const struct progress *p, char buf[128])
{
	const char *about = p->restore ? "" : "about ";
	char done[32], total[32], rate[32], left[32];

	show_size(p->done, done);
	show_size((uint64_t)progress_rate(p), rate);
	if (p->to_disk)
		snprintf(buf, 128, "%s read, waiting for the disk", done);
	else if (p->done >= p->total)
		/* The guess was too low, or there is none. */
		snprintf(buf, 128, "%s, %s/s", done, rate);
	else if (progress_left(p) <= 0)
		snprintf(buf, 128, "%u %%, %s of %s%s", progress_percent(p),
			done, about, show_size(p->total, total));
	else
		snprintf(buf, 128, "%u %%, %s of %s%s, %s/s, %s left",
			progress_percent(p), done, about,
			show_size(p->total, total), rate,
			show_duration(progress_left(p), left));
	return buf;
}

static json_t *raw_json(const struct progress *p)
{
	return json_pack("{s:s, s:f, s:f, s:I, s:I, s:b}", "kind",
		p->restore ? "restore" : "dump", "began", p->began, "time",
		p->now, "done", (json_int_t)p->done, "total",
		(json_int_t)p->total, "to_disk", p->to_disk);
}

json_t *progress_json(const struct progress *p)
{
	json_t *j = raw_json(p);

	json_object_update_new(
		j, json_pack("{s:i, s:f, s:f}", "percent",
			   (int)progress_percent(p), "rate", progress_rate(p),
			   "left", progress_left(p)));
	return j;
}

/* --- in the process that does the work --- */

void progress_begin(struct progress_meter *m, int step, bool restore,
	uint64_t total, const struct progress_listener *listener)
{
	*m = (struct progress_meter){
		.p = {.restore = restore, .total = total, .began = now_wall()},
		.step = step,
		.listener = listener,
		.start = now_mono(),
	};
	m->p.now = m->p.began;
	m->written = m->start;
}

/*
 * Opened and closed each time: a file server's other clients see it then. What
 * cannot be written is only not seen.
 */
static void write_file(const struct progress_meter *m)
{
	json_t *j = raw_json(&m->p);
	auto_free char *text = json_dumps(j, JSON_COMPACT);
	auto_close int fd = openat(m->step, file_name,
		O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	char line[256];

	json_decref(j);
	/* Always as long, so that it need not be cut. */
	snprintf(line, sizeof(line), "%-254s", text ? text : "");
	line[254] = '\n';
	if (fd >= 0 && pwrite(fd, line, 255, 0) < 0)
		return;
}

static void tell(struct progress_meter *m, double passed)
{
	unsigned tenth = progress_percent(&m->p) / 10 + 1;

	if (!m->listener || passed < LONG || tenth <= m->told)
		return;
	m->told = tenth;
	m->listener->tell(m->listener->arg, &m->p);
}

void progress_add(struct progress_meter *m, uint64_t bytes)
{
	double now;

	if (!m)
		return;
	m->p.done += bytes;
	now = now_mono();
	if (now - m->written < WRITE_EVERY)
		return;
	m->p.now = m->p.began + now - m->start;
	m->written = now;
	write_file(m);
	tell(m, now - m->start);
}

void progress_to_disk(struct progress_meter *m)
{
	double passed = now_mono() - m->start;

	m->p.to_disk = true;
	m->p.now = m->p.began + passed;
	if (passed >= WRITE_EVERY)
		write_file(m);
	/* Also where the last tenth has been told. */
	m->told = 0;
	tell(m, passed);
}

void progress_forget(int step)
{
	/* Mostly there is none. */
	if (unlinkat(step, file_name, 0))
		return;
}

/* --- for who looks on --- */

bool progress_read(int step, struct progress *p)
{
	auto_free char *text = read_file_at(step, file_name, 4096, NULL, NULL);
	json_t *j = text ? json_loads(text, 0, NULL) : NULL;
	const char *kind = json_string_value(json_object_get(j, "kind"));

	if (kind)
		*p = (struct progress){
			.restore = !strcmp(kind, "restore"),
			.to_disk = json_is_true(json_object_get(j, "to_disk")),
			.began = json_number_value(json_object_get(j, "began")),
			.now = json_number_value(json_object_get(j, "time")),
			.done = (uint64_t)json_integer_value(
				json_object_get(j, "done")),
			.total = (uint64_t)json_integer_value(
				json_object_get(j, "total")),
		};
	json_decref(j);
	return kind != NULL;
}
