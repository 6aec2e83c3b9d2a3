#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cgroup.bats - a chain where Slurm tracks and constrains jobs by their cgroups

# shellcheck disable=SC2154 # set in common.bash
load common

setup_file() {
	[ -d /sys/fs/cgroup/freezer ] || skip "no version 1 cgroups here"
	own_cluster cgroup --profile cgroup
}
teardown_file() { cluster down; }

@test "a job is in its node's own cgroups" {
	# shellcheck disable=SC2016 # that is for the job
	submit -w n2 --wrap 'grep freezer /proc/self/cgroup'
	job_ends "$job"
	want "$out" "/slurm_n2/uid_1500/job_$job/step_batch"
}

@test "the memory of a job is constrained" {
	submit --mem=50M --wrap 'head -c 100M /dev/zero | tail'
	job_ends "$job"
	want_state OUT_OF_MEMORY
}

@test "a requeued job goes on from its checkpoint" {
	write count <<-'X'
		for ((i = 1; i <= 25; i++)); do
			echo "$i"
			sleep 0.5
		done
	X
	write legs <<-'X'
		#!/bin/sh
		exec checkpointer --margin=55s --set slurm.method=requeue -- \
			bash count >out
	X
	submit -t 1 --requeue --open-mode=append legs
	job_ends "$job" 200
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" -ge 3 ]
	want_same <(seq 25) out
}
