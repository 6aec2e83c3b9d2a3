/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scratch.h - a directory of this host for what a capsule keeps private */
#ifndef SCRATCH_H
#define SCRATCH_H

struct scratch {
	char *path; /* NULL: memory */
	int lock;   /* held while the directory is in use */
};

/*
 * Make a fresh directory as the setting says: "memory": none; an absolute
 * path: below it; "auto": below /var/tmp, unless /tmp itself is memory.
 * Directories of the same user that no one holds any more, because their
 * supervisor was killed, are removed on the way. Returns the path (owned by
 * s), or NULL: use memory. Trouble is told with log_warn().
 */
const char *scratch_make(struct scratch *s, const char *setting);

/* Remove the directory with all that is in it. May be called twice. */
void scratch_remove(struct scratch *s);

#endif
