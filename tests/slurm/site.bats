#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# site.bats - what contrib/slurm has for a site: Lua scripts for jobs with
# checkpointer, and an epilog that clears up

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

scripts=$BATS_TEST_DIRNAME/../../contrib/slurm

setup_file() {
	own_cluster site || return
	cluster conf --file "$scripts/cli_filter.lua" --file "$scripts/job_submit.lua" \
		--file "$scripts/epilog.sh" JobRequeue=0 JobSubmitPlugins=lua \
		Epilog=/etc/slurm/epilog.sh
}
teardown_file() { cluster down; }

# asked [SBATCH-OPTION...]: what sbatch asks for; the job is held
asked() {
	said=$(on n0 sbatch --parsable -v -H "$@" 2>&1) || fail "$said" || return
	job=$(sed -n '/^[0-9][0-9]*$/p' <<<"$said")
	signal=$(sed -n 's/^sbatch: signal *: *//p' <<<"$said")
	requeue=$(job_field "$job" Requeue)
	[ -n "$job" ] || fail "$said"
}

@test "slurmctld lets such a job be requeued whoever submits it, and its successors" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1
	X
	start script.sh
	[ "$(job_field "$job" Requeue)" = 1 ]
	leave A g1
	[ "$(job_field "$job" Requeue)" = 1 ]
	ends_as COMPLETED 0:0
}

@test "jobs with checkpointer get the signal and may be requeued, others not" {
	cluster conf CliFilterPlugins=cli_filter/lua
	write with <<-'X'
		#!/bin/bash
		#SBATCH --time=1:00:00
		checkpointer -- true
	X
	write without <<-'X'
		#!/bin/bash
		# checkpointer is not used
		true
	X
	asked with
	[ "$signal $requeue" = 'B:USR1@600 1' ]
	asked -t 8 with
	[ "$signal $requeue" = 'B:USR1@160 1' ]
	asked --signal=B:USR2@70 --no-requeue with
	[ "$signal $requeue" = 'B:USR2@70 0' ]
	asked without
	[ "$signal $requeue" = ' 0' ]
	asked --wrap 'checkpointer -- true'
	[ "$signal $requeue" = 'B:USR1@600 1' ]
}

# On n1: as alice, or a look at a path
there() { on n1 test -e "$1"; }

@test "the epilog removes what a dead leg has left, and nothing of another job" {
	# One job goes on; it has a lock, as a leg has, and a directory without.
	write other <<-'X'
		#!/bin/bash
		mkdir -p -m 700 /var/tmp/checkpointer-$UID/alive
		exec 9</var/tmp/checkpointer-$UID/alive
		flock 9
		mkdir -m 700 /dev/shm/checkpointer-alive
		echo leg begins
		sleep 1000
	X
	submit -w n1 other
	other=$job
	job_starts "$other"
	# The other one has lost a process, and more.
	write dead <<-'X'
		#!/bin/bash
		mkdir -p -m 700 /var/tmp/checkpointer-$UID/dead/upper/x /tmp/checkpointer-$UID-0-1
		chmod 000 /var/tmp/checkpointer-$UID/dead/upper
		mkdir -m 700 /dev/shm/checkpointer-dead
		cp /bin/sleep ./checkpt-keeper
		(setsid ./checkpt-keeper 1000 </dev/null >/dev/null 2>&1 &)
		until pgrep -x checkpt-keeper >pid; do sleep 0.05; done
	X
	submit -w n1 dead
	job_ends "$job"
	want_state COMPLETED
	there "/var/tmp/checkpointer-1500/alive"
	fails there "/var/tmp/checkpointer-1500/dead"
	fails on_root n1 test -e "/proc/$(<pid)"
	# These have no lock: they wait until nothing of alice runs there.
	there /dev/shm/checkpointer-alive
	there /dev/shm/checkpointer-dead
	on n0 scancel "$other"
	job_ends "$other"
	fails there /var/tmp/checkpointer-1500
	fails there /dev/shm/checkpointer-alive
	fails there /dev/shm/checkpointer-dead
	fails there /tmp/checkpointer-1500-0-1
	# It takes no node away.
	cluster until n1 idle
}
