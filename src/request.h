/* SPDX-License-Identifier: GPL-2.0-or-later */
/* request.h - what criu and an image streamer say to each other */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/*
 * criu connects to a socket in its image directory and asks for each image by
 * name: a length (32 bits, of this machine), a protobuf message with the name
 * as field 1, and one byte with the end of a pipe attached. When it restores,
 * it first wants to hear whether there is such an image. criu/img-streamer.c
 * has the other side.
 */

/* Room for the name of an image. */
#define REQUEST_NAME 256

/* A socket with this name in the directory dir, to be listened on. */
int request_listen(int dir, const char *name, struct err *err);

/* The next name: 1; 0: criu will ask no more; -1 with *err. */
int request_read(int sock, char name[REQUEST_NAME], struct err *err);

/* Say whether there is such an image. */
int request_answer(int sock, bool exists, struct err *err);

/* The end of the pipe that comes with a request, to be closed by the caller. */
int request_pipe(int sock, struct err *err);

/*
 * The name in a message of n bytes; -1 if that is none. Of other fields it
 * takes no notice.
 */
int request_parse(const unsigned char *msg, size_t n, char *name, size_t size);

#endif
