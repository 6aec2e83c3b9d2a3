#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# epilog.sh - Slurm: what a leg that was killed has left on its node is removed
#
# As Epilog in slurm.conf, or called by the site's own. A leg that is killed
# together with its supervisor may leave
#
#   processes of checkpointer, where ProctrackType has lost them;
#   /var/tmp/checkpointer-UID/*, private files, each with a lock while in use;
#   /dev/shm/checkpointer-*, /tmp/checkpointer-*, which have none.
#
# What a next leg of the user on this node would remove is removed at once; what
# has no lock, only when no process of the user is left here. All is done as the
# user of the job, so that nobody can have another one's files removed. It never
# fails: a node is not to be drained for this.
#
# Called by way of as_user:
# shellcheck disable=SC2317,SC2153

# [capsule] scratch, where the site has set a directory.
scratch=/var/tmp

# of_job: processes of checkpointer that belong to the job
of_job() {
	for p in /proc/[0-9]*; do
		[ -O "$p" ] || continue
		read -r name <"$p/comm" || continue
		case $name in
		checkpointer | checkpt-*) ;;
		*) continue ;;
		esac
		grep -q -z -x "SLURM_JOB_ID=$SLURM_JOB_ID" "$p/environ" && echo "${p#/proc/}"
	done 2>/dev/null
}

# The other processes of a capsule go with its first one.
end_processes() {
	for p in $(of_job); do
		kill -KILL "$p" &&
			timeout 5 tail -s 0.1 -f /dev/null --pid="$p"
	done 2>/dev/null
}

is_own() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }

# remove DIR...: also where the user has made it unreadable
remove() {
	chmod -R u+rwX "$@"
	rm -rf "$@"
} 2>/dev/null

remove_unlocked() {
	for d in "$scratch/checkpointer-$uid"/*; do
		is_own "$d" || continue
		exec 9<"$d"
		flock -n 9 && remove "$d"
		exec 9<&-
	done
	rmdir "$scratch/checkpointer-$uid" 2>/dev/null
}

remove_others() {
	for d in /dev/shm/checkpointer-* /tmp/checkpointer-*; do
		if is_own "$d"; then remove "$d"; fi
	done
}

as_user() {
	setpriv --reuid "$SLURM_JOB_UID" --regid "$gid" --clear-groups \
		env -i -C / PATH="$PATH" SLURM_JOB_ID="$SLURM_JOB_ID" \
		/bin/sh "$0" --as-user "$1" </dev/null
}

uid=$(id -u)
if [ "${1:-}" = --as-user ]; then
	"$2"
elif [ "${SLURM_JOB_UID:-0}" -ne 0 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
	PATH=/usr/sbin:/usr/bin:/sbin:/bin
	gid=${SLURM_JOB_GID:-$(id -g "$SLURM_JOB_UID")}
	as_user end_processes
	as_user remove_unlocked
	pgrep -U "$SLURM_JOB_UID" >/dev/null || as_user remove_others
fi
exit 0
