#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cluster.bats - the virtual cluster itself does what the other tests rely on

# shellcheck disable=SC2154 # set in common.bash
load common

setup_file() { own_cluster cluster; }
teardown_file() { cluster down; }

@test "a job runs on every node as alice, with her groups" {
	local n
	for n in n1 n2 n3; do
		submit -w "$n" --wrap 'hostname; id -un; id -Gn'
		job_ends "$job"
		want_state COMPLETED
		want_same "$out" <(printf '%s\n' "$n" alice 'alice lab project')
	done
}

@test "srun runs on all nodes, and one user is not another" {
	on n1 srun -N 3 hostname >out
	want_same <(sort out) <(printf '%s\n' n1 n2 n3)
	[ "$(cluster run --user bob n2 srun id -un)" = bob ]
}

@test "an ordinary user may make namespaces in a job" {
	submit --wrap 'unshare -U -r -m -p -f --mount-proc sh -c "ps -e | wc -l"'
	job_ends "$job"
	want_state COMPLETED
}

@test "sacct knows an ended job, its comment and its wckey" {
	# shellcheck disable=SC2016 # that is for the job
	submit --comment='a b' --wckey=fit -A project --qos=urgent \
		--wrap 'scontrol update job $SLURM_JOB_ID comment="c d"; exit 3'
	job_ends "$job"
	on n2 sacct -n -P -X -j "$job" \
		-o state,exitcode,account,qos,wckey,comment >got
	want got 'FAILED|3:0|project|urgent|fit|c d'
	[ "$(job_field "$job" Account)" = project ]
	[ "$(job_field "$job" ExitCode)" = 3:0 ]
	[ "$(job_field "$job" Comment)" = 'c d' ]
}

@test "a gres, a license, a feature and a QOS with its limit are had" {
	submit -C c --gres=widget:2 -L lic:4 --qos=tiny --begin=now+60 --wrap true
	[ "$(job_field "$job" TresPerNode)" = gres/widget:2 ]
	fails on n0 sbatch --qos=tiny --wrap true 2>err
	want err QOSMaxSubmitJobPerUserLimit
}

@test "what runs in the partition closed is not submitted on a node" {
	fails on n1 sbatch -p closed --wrap true 2>err
	want err 'Access/permission denied'
	submit_on n0 -p closed --wrap true
	job_ends "$job"
}

@test "a requeued job runs again within ten seconds" {
	write again <<-'X'
		#!/bin/sh
		echo "leg begins"
		date +%s
		[ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] || {
			scontrol requeue $SLURM_JOB_ID
			exec sleep 60
		}
	X
	submit --requeue --open-mode=append again
	job_ends "$job"
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" = 2 ]
	took=$(grep -E '^[0-9]+$' "$out" | awk 'NR == 1 { t = $1 } END { print $1 - t }')
	[ "$took" -le 10 ] || fail "it took $took s"
}

@test "preemption in low_requeue requeues and in low_cancel cancels, after GraceTime" {
	local requeued cancelled
	low low_requeue 2 60
	requeued=$job
	low low_cancel 2 60
	cancelled=$job
	preempt "$requeued" "$cancelled"
	want "$out" JobState=PENDING
	want "$out" JobState=PREEMPTED
	[ "$(job_field "$requeued" Restarts)" = 1 ]
	want_state PREEMPTED "$cancelled"
}
