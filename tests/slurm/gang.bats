#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gang.bats - where preemption suspends, which takes gang scheduling

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

setup_file() { own_cluster gang --profile gang; }
teardown_file() { cluster down; }

@test "preemption in low_suspend suspends" {
	low low_suspend 4 6
	low=$job
	preempt "$low"
	want "$out" JobState=SUSPENDED
	job_ends "$low"
	want_state COMPLETED "$low"
}

@test "a command that is suspended for another job goes on, without a checkpoint" {
	write count <<-'X'
		for ((i = 1; i <= 20; i++)); do
			echo "$i"
			sleep 0.2
		done
	X
	write suspended <<-'X'
		#!/bin/bash
		echo "leg begins"
		checkpointer -- bash count >out
		echo "status $?"
	X
	submit -p low_suspend -c 4 -t 30 suspended
	low=$job
	await out '^3$'
	preempt "$low"
	want "$out" JobState=SUSPENDED
	job_ends "$low"
	want_state COMPLETED "$low"
	want_same <(seq 20) out
	want "slurm-$low.out" 'status 0'
	want_not "slurm-$low.out" 'checkpoint 1'
}
