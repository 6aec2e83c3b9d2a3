#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# submit.bats - `checkpointer submit': sbatch with what such a job wants

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load chain

# submitted [OPTION...] submit ARG...: sets job, and said, what sbatch has taken
# for its options
submitted() {
	said=$(on n0 checkpointer "$@" 2>&1) || fail "$said" || return
	job=$(sed -n '/^[0-9][0-9]*$/p' <<<"$said")
	[ -n "$job" ] || fail "no job: $said"
}

taken() { sed -n "s/^sbatch: $1 *: *//p" <<<"$said"; }

@test "Slurm takes the signal, and the script's own goes before" {
	write script.sh <<-'X'
		#!/bin/bash
		#SBATCH --time=1:00:00
		echo leg begins
	X
	submitted submit --parsable -v -H script.sh
	[ "$(taken signal)" = B:USR1@600 ]
	submitted -m 5m submit --parsable -v -H -p main script.sh
	[ "$(taken signal)" = B:USR1@300 ]
	[ "$(taken partition)" = main ]
	sed -i '2a #SBATCH --signal=B:USR2@77' script.sh
	submitted submit --parsable -v -H script.sh
	[ "$(taken signal)" = B:USR2@77 ]
}

@test "a job that is to be requeued may be, and appends" {
	write script.sh <<-'X'
		#!/bin/bash
		echo "mode $SLURM_OPEN_MODE, margin $CHECKPOINTER_CHECKPOINT_MARGIN"
	X
	submitted -s slurm.method=requeue -m 3m submit --parsable -v -t 20 script.sh
	[ "$(taken signal)" = B:USR1@180 ]
	[ "$(job_field "$job" Requeue)" = 1 ]
	job_ends "$job"
	want "slurm-$job.out" 'mode a, margin 3m'
}

@test "such a job goes on over two legs" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- bash piece.sh A 0 g1
	X
	wanted script.sh
	submitted submit --parsable -t 20 script.sh
	legs_from "$job"
	leave A g1
	ends_as COMPLETED 0:0
	want_output
	once A
}
