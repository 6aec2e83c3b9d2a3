/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report_html.h - what the files of report_html() share */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include <stdio.h>

#include "report_facts.h"

/* What the page looks like, and what it does; report_page.c. */
extern const char page_style[], page_script[];

/* Any text, as a text of the page or a value in double quotes. */
void html_text(FILE *to, const char *text);

/* The leg's host, without its domain. */
void html_host(FILE *to, const struct leg *l);

/* "12 Nov 2026 14:02:31" */
const char *html_time(double t, char buf[32]);

/* Within a chain: "14:02:31", or of one that took days "12 Nov 14:02". */
const char *html_short_time(const struct report *r, double t, char buf[32]);

/* "leg-3", or "legs-1-40", which is the id of its details. */
const char *html_id(const struct report *r, size_t leg, size_t n, char buf[48]);

/* The chain on one line, by the clock. */
void html_strip(const struct report *r, FILE *to);

/* A line for each leg and step, or for so many legs. */
void html_rows(const struct report *r, size_t legs, FILE *to);

/* The size of each checkpoint. */
void html_sizes(const struct report *r, FILE *to);

/* How a kind of span is called in classes: "run", "dump" ... */
extern const char *const span_class[N_SPAN_KINDS];

#endif
