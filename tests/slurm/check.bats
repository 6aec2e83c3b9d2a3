#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check.bats - `checkpointer check' on the nodes of a cluster: what its settings
# mean, and a controller that is away

# A $ in single quotes is for the job's shell; bats sets variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

setup_file() { own_cluster check; }
teardown_file() { cluster down; }

# check STATUS [ARG...]: on n1, what it prints goes to out
check() {
	local want=$1 is=0
	shift
	on n1 checkpointer check "$@" >out 2>err || is=$?
	[ "$is" = "$want" ] || { cat out err; fail "exit status $is, not $want"; }
}

@test "on a node: the cluster's settings, and it works" {
	check 0
	want out 'slurmctld answers: cluster vc, Slurm 2'
	want out 'KillWait is 30 s'
	want out 'slurmdbd knows the options'
	want out 'PreemptParameters has send_user_signal'
	want out 'JobRequeue is 1'
	# The profile linuxproc, and a file system that only we know to be shared.
	grep -Eq '^warning +slurm: ProctrackType is not proctrack/cgroup' out
	grep -Eq '^warning +directory: .*a next leg on another node would not find it; ' out
	grep -Eq '^warning +slurm: jobs in partition low_requeue may be preempted, and have 20 s' out
	want out 'a process was dumped'
	want_not out 'problem'
}

@test "in a job" {
	submit --wrap 'checkpointer check; echo "status $?"'
	job_ends "$job"
	want "$out" 'slurmctld answers'
	want "$out" 'status 0'
}

@test "a checkpoint directory that other nodes may not see is told, and once" {
	check 0 -s files.shared_paths=/home
	want_not out 'would not find it'
	submit --wrap 'checkpointer -m 9s -- true; checkpointer -m 9s -- true'
	job_ends "$job"
	want_lines 1 "$out" 'which one machine sees: a next job on another node would not'
	submit --wrap 'checkpointer -m 9s -s files.shared_paths=/home -- true'
	job_ends "$job"
	want_not "$out" 'one machine sees'
}

@test "messages name the job: in the chain's log, in [log] file, and of each leg" {
	submit --wrap 'checkpointer -c named -d "$PWD/ckpt" -s log.file=all -- true'
	job_ends "$job"
	want "$out" "checkpointer: leg 1 of named, job $job: running"
	# Of a partition with ten minutes, and without --margin.
	grep 'the margin is .*, as a leg lasts only 10 min; --margin=' "$out"
	want ckpt/named/log " job $job, leg 1, step 1: leg 1 of named"
	want all "checkpointer: job $job, leg 1, step 1: leg 1 of named"
}

@test "settings that the site changes" {
	cluster conf KillWait=5 JobRequeue=0
	check 0 -s slurm.method=requeue
	grep -Eq '^warning +slurm: KillWait is 5 s: .*; set KillWait=30' out
	grep -Eq '^warning +slurm: JobRequeue is 0: .* does not work; ' out
	cluster conf KillWait=30 JobRequeue=1
}

@test "the controller is away" {
	cluster stop-daemon n0 slurmctld
	check 69
	grep -Eq '^problem +slurm: slurmctld does not answer: .*; .*scontrol ping' out
	# All else is told nevertheless.
	grep -Eq '^(ok|warning) +directory: ' out
	cluster start-daemon n0 slurmctld
}
