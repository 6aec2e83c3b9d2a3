/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store.h - the generations of a step: make, commit, find, collect */
#ifndef STORE_H
#define STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

/*
 * A step's directory holds NNNN/ (images) and NNNN.json (manifest) for every
 * generation. The rename of the manifest is the commit: images without a
 * manifest are what an interrupted dump left, and are never looked at.
 */

/* Make the image directory of a new generation. Returns a descriptor. */
int store_create(int step, unsigned gen, struct err *err);

/*
 * Commit: every image and the directory are fsynced, their names and sizes
 * go into the manifest under "images", their sum under "bytes"; the manifest
 * is written aside, fsynced and renamed. manifest is an object; the function
 * adds to it and does not take it over.
 */
int store_commit(
	int step, unsigned gen, int images, json_t *manifest, struct err *err);

/* Forget a generation, committed or not. A missing one is no error. */
int store_remove(int step, unsigned gen, struct err *err);

/* The newest committed generation below the given one; 0 if there is none. */
unsigned store_newest(int step, unsigned below);

/* The number for the next generation: above every one that left a trace. */
unsigned store_next(int step);

/*
 * Read and check the manifest of a generation, and that every image is there
 * with its size. Returns the manifest (json_decref) and the descriptor of
 * the image directory in *images; NULL with *err if anything is wrong.
 */
json_t *store_open(int step, unsigned gen, int *images, struct err *err);

/*
 * Remove what interrupted dumps left, and all committed generations but the
 * newest keep. Best effort: what cannot be removed is told with log_warn().
 */
void store_collect(int step, unsigned keep);

#endif
