#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# alone_nodes.bats - nodes, cables and daemons of the virtual cluster that fail

load common

# Each leaves the cluster as it was.
teardown_file() {
	local n
	for n in n1 n2 n3; do
		cluster run "$n" true || cluster start "$n"
		cluster join "$n"
		cluster until "$n" idle
	done
}

@test "a killed node is down, and comes back; its job is requeued" {
	submit -w n2 --requeue --open-mode=append --wrap 'echo leg begins; sleep 5'
	job_starts "$job"
	cluster kill n2
	! cluster run n2 true
	cluster until n2 down
	cluster start n2
	cluster until n2 idle
	job_ends "$job"
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" = 2 ]
}

@test "a node whose cable is cut is down, and comes back" {
	cluster cut n1
	cluster until n1 down
	cluster join n1
	cluster until n1 idle
	on n1 srun -w n1 true
}

@test "slurmctld may go and come back under a running job" {
	submit --wrap 'echo leg begins; sleep 6'
	job_starts "$job"
	# Killed, it would forget what it has heard in the last seconds.
	cluster stop-daemon n0 slurmctld
	! on n1 squeue
	cluster start-daemon n0 slurmctld
	job_ends "$job"
	want_state COMPLETED
}

@test "slurmdbd may go and come back; the accounting catches up" {
	cluster stop-daemon n0 slurmdbd
	submit --wrap true
	job_ends "$job"
	cluster start-daemon n0 slurmdbd
	cluster stop-daemon n0 slurmctld
	cluster start-daemon n0 slurmctld
	on n0 sacct -n -P -X -j "$job" -o state >got
	want got COMPLETED
}

@test "slurm.conf can be changed and put back" {
	cluster conf MaxArraySize=77
	on n1 scontrol show config | grep -q '^MaxArraySize .* 77$'
	cluster conf --reset
	! on n1 scontrol show config | grep -q '^MaxArraySize .* 77$'
}
