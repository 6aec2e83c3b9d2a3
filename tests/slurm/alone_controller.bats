#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# alone_controller.bats - promises 2, 3 and 4 on a cluster where nodes die, the
# controller is away, and the site forbids things

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load ends

setup_file() { own_cluster controller; }
teardown_file() { cluster down; }

eval "common_$(declare -f teardown)"
teardown() {
	finish_test
	common_teardown
}

# --- nodes ---

@test "a node dies: another one goes on from the last checkpoint" {
	begin killed die -x n1 -- --interval=3s
	# Its rerun would empty what it still writes to.
	write_job cut 'checkpointer --interval=3s -- bash ../tick.sh >>out'
	submit_job cut -t 20 -x n2
	state killed dumping
	state cut dumping
	ticks killed cut
	# The lines after a checkpoint are written again, and are there once.
	killed=$(node_of killed) cut=$(node_of cut)
	cluster kill "$killed"
	cluster cut "$cut"
	state killed restored
	[ "$(node_of killed)" != "$killed" ]
	complete killed
	want_legs 2 killed
	[ -z "$(successors killed)" ]
	# What is cut off still runs. A second one must not.
	job_ends "$(<cut/id)"
	ticks cut
	want_legs 1 cut
	want "$(said cut)" "is running already: leg 1, on $cut"
	want_not "$(said cut)" 'the script goes on'
	# Slurm ends it when it sees the node again, and then it goes on.
	cluster join "$cut"
	cluster start "$killed"
	cluster stop-daemon "$cut" slurmd
	cluster start-daemon "$cut" slurmd
	state cut restored
	[ "$(successors cut | wc -l)" = 1 ]
	complete cut
	want_legs 2 cut
	cluster until "$cut" idle
	cluster until "$killed" idle
}

# tool NODE...: a shell of another name is only there
tool() {
	local n
	for n; do
		on_root "$n" cp /bin/bash "/usr/local/bin/$tool"
	done
}

# only_on NODE...: new jobs start only there
only_on() {
	local n
	for n in n1 n2 n3; do
		on_root n0 scontrol update nodename=$n state=drain reason=test
	done
	for n; do
		on_root n0 scontrol update nodename="$n" state=resume
	done
}

@test "a node that cannot restore is left for another one, but not for ever" {
	tool=odd1 tool n1 n3
	tool=odd2 tool n1
	write_job moves 'checkpointer -- odd1 ../tick.sh >out'
	write_job stops 'checkpointer -s checkpoint.max_moves=1 -- odd2 ../tick.sh >out'
	only_on n1
	submit_job moves -t 20
	submit_job stops -t 20
	ticks moves stops
	only_on n2 n3
	tell moves USR1
	tell stops USR1
	state moves restored
	state stops failed
	[ "$(node_of moves)" = n3 ]
	want "$(said moves)" 'no checkpoint of'
	want "$(said moves)" 'could be restored on this node: moving to another one'
	want "$(said moves)" usr/local/bin/odd1
	[ "$(job_field "$(leg_of moves)" ExcNodeList)" = n2 ]
	want "$(said stops)" '2 nodes in a row could not restore a checkpoint'
	job_ends "$(leg_of stops)"
	want_state FAILED "$(leg_of stops)"
	want_not "$(said stops)" 'the script goes on'
	complete moves
	want_legs 3 moves stops
	only_on n1 n2 n3
	# Nothing is lost.
	on n0 cp -r /home/alice/.checkpointer/vc-"$(<stops/id)" kept
	ls kept/step-1/*.json
	write again <<-X
		#!/bin/bash
		checkpointer restore vc-$(<stops/id) >>out
	X
	submit -t 20 -w n1 -D "$work/stops" again
	state stops restored
	touch stops/go
	job_ends "$job"
	whole stops/out
}

@test "without a capsule: a process number in use is found before the restore" {
	local n pid
	for n in n1 n2 n3; do
		on_root $n setcap cap_checkpoint_restore,cap_setpcap+ep /usr/sbin/criu
	done
	only_on n1
	begin busy die -- --set capsule.isolation=none
	ticks busy
	pid=$(on_root n1 pgrep -o -f '^bash ../tick.sh')
	on_root n2 sh -c "echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 300 >/dev/null 2>&1 &"
	on_root n2 ps -p "$pid" -o comm=
	only_on n2 n3
	tell busy USR1
	state busy restored
	want "$(said busy)" "process number $pid, which the checkpoint needs, is in use here"
	[ "$(node_of busy)" = n3 ]
	complete busy
	only_on n1 n2 n3
	on_root n2 kill "$pid"
	for n in n1 n2 n3; do
		on_root $n setcap -r /usr/sbin/criu
	done
}

# --- the controller ---

@test "the controller is away for a while: the command runs on, one successor" {
	begin short die -- -s checkpoint.retry=2s
	begin long die --no-requeue -- -c long -s checkpoint.retry=2s
	echo long >long/chain
	ticks short long
	cluster stop-daemon n0 slurmctld
	tell short USR1
	tell long USR1
	wait_said short 'the command runs on, next try in'
	wait_said long 'the command runs on, next try in'
	ticks short long
	[ -z "$(successors short)" ]
	# The end of this one comes while there is no controller.
	tell long KILL
	cluster start-daemon n0 slurmctld
	state short restored
	ticks short
	complete short
	want_legs 2 short
	[ "$(successors short | wc -l)" = 1 ]
	# The same job again.
	job_ends "$(<long/id)"
	submit_job long -t 20
	complete long
	want_legs 2 long
}

# lose_reply: a library that loses slurmctld's answer to a submission, once,
# where there is a file `lose'
lose_reply() {
	write lose.c <<-'X'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <errno.h>
		#include <slurm/slurm.h>
		#include <slurm/slurm_errno.h>
		#include <unistd.h>
		int slurm_submit_batch_job(job_desc_msg_t *d, submit_response_msg_t **r)
		{
			int (*real)(job_desc_msg_t *, submit_response_msg_t **) =
				dlsym(RTLD_NEXT, "slurm_submit_batch_job");
			int ret = real(d, r);

			if (ret || unlink("lose"))
				return ret;
			slurm_free_submit_response_response_msg(*r);
			*r = NULL;
			errno = SLURMCTLD_COMMUNICATIONS_RECEIVE_ERROR;
			return SLURM_ERROR;
		}
	X
	on n0 gcc -shared -fPIC -o lose.so lose.c
}

@test "the answer to a submission is lost: one successor all the same" {
	lose_reply
	write_job one 'LD_PRELOAD=$PWD/../lose.so checkpointer -s checkpoint.retry=2s -- bash ../tick.sh >out'
	on n0 touch one/lose
	submit_job one -t 20
	ticks one
	tell one USR1
	wait_said one 'the command runs on, next try in'
	wait_said one 'was accepted before'
	state one restored
	complete one
	want_legs 2 one
	[ "$(on_root n0 sacct -n -X -u alice -S now-1hour -o workdir%80,jobid | grep -c "$work/one ")" = 2 ]
}

# --- what the site forbids ---

# With --open-mode=append, as Slurm would empty the output of a requeued job.
@test "where jobs may not be submitted, the job is requeued; else it is told" {
	local n
	cluster conf JobSubmitPlugins=lua --file "$(lua)"
	begin limit die --qos=tiny --open-mode=append
	state limit running
	# Only now: the limit would refuse it.
	begin closed die -p closed --open-mode=append
	begin refused die -J refused --open-mode=append
	begin fixed die -p closed --no-requeue -- -s checkpoint.retry=1h
	begin comment die -J rewritten --comment=mine
	for n in limit closed refused fixed comment; do
		ticks $n
		tell $n USR1
	done
	for n in limit closed refused; do
		wait_said $n 'it is requeued instead'
		state $n restored
	done
	state comment restored
	want "$(said limit)" 'a limit on submitted jobs?'
	want "$(said closed)" 'may jobs be submitted from compute nodes?'
	want "$(said refused)" 'Compute nodes are for computing.'
	wait_said fixed 'the command runs on, next try in'
	want "$(said fixed)" 'may not be requeued (submit it with sbatch --requeue)'
	ticks fixed
	[ "$(leg_of comment)" != "$(<comment/id)" ]
	[ "$(job_field "$(leg_of comment)" Comment)" = 'by the site' ]
	complete limit closed refused fixed comment
	want_legs 2 limit closed refused comment
	want_legs 1 fixed
}

# lua: the name of a job_submit.lua
lua() {
	cat >job_submit.lua <<-'X'
		function slurm_job_submit(job, parts, uid)
		    if job.name == "refused" and job.alloc_node ~= "n0" then
		        slurm.log_user("Compute nodes are for computing.")
		        return slurm.ERROR
		    end
		    if job.name == "rewritten" then
		        job.comment = "by the site"
		    end
		    return slurm.SUCCESS
		end
		function slurm_job_modify(job, record, parts, uid)
		    if record.name == "rewritten" then
		        job.comment = "by the site"
		    end
		    return slurm.SUCCESS
		end
	X
	echo "$PWD/job_submit.lua"
}

@test "preempted without any grace time: never a double submission" {
	local n
	cluster conf --reset \
		'PartitionName=low_requeue Nodes=n3 PreemptMode=REQUEUE GraceTime=0' \
		'PartitionName=low_cancel Nodes=n3 PreemptMode=CANCEL GraceTime=0'
	begin requeue stay -p low_requeue
	begin cancel stay -p low_cancel
	begin killed die -p low_cancel -- --interval=2s
	state killed dumping
	ticks requeue cancel killed
	submit -p high -c 4 --wrap 'sleep 2'
	job_ends "$job"
	for n in requeue cancel killed; do
		state $n restored
	done
	complete requeue cancel killed
	want_legs 2 requeue cancel killed
	[ -z "$(successors requeue)" ]
	want_state PREEMPTED "$(<cancel/id)"
}
