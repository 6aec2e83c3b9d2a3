#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# nodes.bats - nodes, cables and daemons of the virtual cluster that fail; a chain
# that goes over all nodes, undisturbed by other jobs

# A $ in single quotes is for the shell of the command; common.bash sets
# variables.
# shellcheck disable=SC2016,SC2154
load common
load chain

setup_file() { own_cluster nodes; }
teardown_file() { cluster down; }

@test "a killed and an unplugged node are down, and come back; jobs are requeued" {
	submit -w n2 --requeue --open-mode=append --wrap 'echo leg begins; sleep 5'
	job_starts "$job"
	cluster kill n2
	cluster cut n1
	fails cluster run n2 true
	cluster until n2 down
	cluster until n1 down
	cluster start n2
	cluster join n1
	# Slurm would ask a node that is down again, but not soon.
	cluster stop-daemon n1 slurmd
	cluster start-daemon n1 slurmd
	cluster until n1 idle
	cluster until n2 idle
	on n1 srun -w n1 true
	job_ends "$job"
	want_state COMPLETED
	[ "$(legs_in_slurm "$job")" = 2 ]
}

@test "slurmctld may go and come back under a running job" {
	submit --wrap 'echo leg begins; sleep 6'
	job_starts "$job"
	# Killed, it would forget what it has heard in the last seconds.
	cluster stop-daemon n0 slurmctld
	fails on n1 squeue
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
	on n1 scontrol show config | grep -q '^MaxArraySize *= 77$'
	cluster conf --reset
	on n1 scontrol show config >got
	want_not got '= 77'
}

@test "every node continues what another has dumped" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer -- Rscript piece.R A 0 g1 g2 g3
		echo "status $?"
	X
	wanted script.sh
	start -w n1 --gres=widget:2 script.sh
	reaches A g1
	block n1
	leave A g1
	on n0 scontrol update JobId="$job" ReqNodeList=n2
	reaches A g2
	block n2
	leave A g2
	on n0 scontrol update JobId="$job" ReqNodeList=n3
	reaches A g3
	touch g3
	ends_as COMPLETED 0:0
	want_output
	once A
	[ "$(grep '"event":"leg"' "$journal" | grep -o '"host":"n[123]"')" = \
		"$(printf '"host":"n%d"\n' 1 2 3)" ]
}

@test "every node continues a script that another has dumped" {
	write script.sh <<-'X'
		#!/bin/bash
		checkpointer
		x=$RANDOM
		echo "$x" >before
		for p in A B C; do bash piece.sh $p 0 g1; done
		echo "$x" >after
		for p in D E; do bash piece.sh $p 0 g2; done
		Rscript piece.R F 0 g3
	X
	wanted script.sh
	start -w n1 --gres=widget:2 script.sh
	reaches A g1
	block n1
	leave A g1
	on n0 scontrol update JobId="$job" ReqNodeList=n3
	leave D g2
	reaches F g3
	touch g3
	ends_as COMPLETED 0:0
	want_output
	want_same before after
	once A B C D E F
	[ "$(grep '"event":"leg"' "$journal" | grep -o '"host":"n[123]"')" = \
		"$(printf '"host":"n%d"\n' 1 3 3)" ]
}
