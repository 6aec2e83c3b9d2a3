#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ending.bats - why a leg ends, and what becomes of it: cancelled, at its limit,
# preempted, requeued, refused

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common
load ends

# Preemption would hit the jobs of other files.
setup_file() {
	own_cluster ending --profile gang
	# In a test, twenty seconds of grace are long.
	cluster conf \
		'PartitionName=low_requeue Nodes=n3 PreemptMode=REQUEUE GraceTime=6' \
		'PartitionName=low_cancel Nodes=n3 PreemptMode=CANCEL GraceTime=6'
}
teardown_file() { cluster down; }

eval "common_$(declare -f teardown)"
teardown() {
	finish_test
	common_teardown
}

# --- a person ---

@test "scancel ends the command, and nothing comes after it" {
	begin plain die
	begin told tell -- --interval=1s
	ticks plain told
	# Slurm's signal comes to the command, too, and once more from checkpointer.
	state told dumping
	on n0 scancel "$(<plain/id)" "$(<told/id)"
	job_ends "$(<plain/id)"
	job_ends "$(<told/id)"
	want_state CANCELLED "$(<plain/id)"
	want_state CANCELLED "$(<told/id)"
	state plain finished
	state told finished
	want "$(said told)" 'the job is cancelled: ending the command'
	want_lines 1 told/out told
	no_successor plain told
	want_not "$(said plain)" 'the script goes on'
	want_not "$(said told)" 'the script goes on'
}

@test "USR1 to the batch shell: checkpoint and leave; USR2: checkpoint and go on" {
	begin leave die
	begin save die
	ticks leave save
	on n0 scancel -b -s USR1 "$(<leave/id)"
	on n0 scancel -b -s USR2 "$(<save/id)"
	state leave restored
	wait_for save '"on":"dumped"'
	wait_said save 'checkpoint 1 of'
	ticks leave save
	complete leave save
	want_legs 2 leave
	want_legs 1 save
	no_successor save
	want_state COMPLETED "$(<leave/id)"
}

@test "the comment shows chain, leg and state, behind the user's own" {
	local id
	begin own die --comment='my own'
	begin none die
	id=$(<own/id)
	ticks own none
	on n0 scancel -b -s USR1 "$id"
	state own restored
	ticks own
	[ "$(job_field "$id" Comment)" = "my own [checkpointer vc-$id leg 1 resubmitted as job $(leg_of own)]" ]
	[ "$(job_field "$(leg_of own)" Comment)" = "my own [checkpointer vc-$id leg 2 restored]" ]
	[ "$(job_field "$(<none/id)" Comment)" = "[checkpointer vc-$(<none/id) leg 1 running]" ]
	complete own none
}

# --- the time limit ---

# shorten JOB: its limit is over now, and only Slurm knows
shorten() { on_root n0 scontrol update job "$1" EndTime=now; }

@test "a limit reached: by its signal, by the last checkpoint, or without any" {
	# To the command itself SIGTERM may be nothing, or death.
	begin stays stay --signal=USR1@1 -- -m 1s
	begin dies die -- -m 1s --interval=3s
	begin lost die -- -m 1s
	begin moved die -t 1 -- -m 52s
	ticks stays dies lost moved
	on_root n0 scontrol update job "$(<moved/id)" TimeLimit=2
	state dies dumping
	ticks dies
	shorten "$(<stays/id)"
	shorten "$(<dies/id)"
	shorten "$(<lost/id)"
	wait_said moved 'the time limit has been moved: 1 min'
	# slurmctld looks at limits twice a minute.
	state stays restored
	state dies restored
	state lost failed
	want "$(said dies)" 'it goes on from its last checkpoint'
	job_ends "$(<lost/id)"
	want_state TIMEOUT "$(<lost/id)"
	no_successor lost
	want "$(said lost)" 'the command was killed as the job ends'
	want_not "$(said lost)" 'the script goes on'
	complete stays dies moved
	want_legs 2 stays dies
	want_legs 1 moved
}

@test "suspended and resumed: the deadline moves, nothing is lost" {
	local id
	begin held die -t 1 -- -m 51s
	id=$(<held/id)
	ticks held
	on_root n0 scontrol suspend "$id"
	# The deadline that it knows goes by.
	submit -t 1 -w n2 --wrap 'sleep 9'
	job_ends "$job"
	want_state SUSPENDED "$id"
	on_root n0 scontrol resume "$id"
	wait_said held 'the time limit has been moved'
	ticks held
	complete held
	want_legs 1 held
}

# --- Slurm itself takes the node ---

# preempt CPUS: a job in the partition high, that ends soon
preempt() {
	submit -p high -c "$1" --wrap 'sleep 2'
	job_ends "$job"
}

@test "preempted with a grace time: checkpoint, and one successor at most" {
	local n
	for n in requeue cancel; do
		begin $n die -p low_$n -- -s slurm.preemption_watch=1s
	done
	# This one is told, by its warning signal.
	begin signal die -p low_requeue --signal=B:USR1@60 -- -s slurm.preemption_watch=0
	ticks requeue cancel signal
	preempt 4
	for n in requeue signal cancel; do
		state $n restored
		want_lines 1 "$(said $n)" 'checkpoint 1 of'
	done
	ticks requeue cancel signal
	[ "$(leg_of cancel)" != "$(<cancel/id)" ]
	[ "$(leg_of requeue) $(leg_of signal)" = "$(<requeue/id) $(<signal/id)" ]
	complete requeue signal cancel
	want_legs 2 requeue signal cancel
	want_state COMPLETED "$(<requeue/id)"
	[ "$(legs_in_slurm "$(<requeue/id)") $(legs_in_slurm "$(<signal/id)")" = '2 2' ]
}

@test "preempted by suspension: it goes on where it was" {
	local id
	begin low die -p low_suspend -c 4
	id=$(<low/id)
	ticks low
	preempt 4
	ticks low
	complete low
	want_legs 1 low
}

@test "scontrol requeue: the next leg finds what there is" {
	local n
	# With a checkpoint made at the signal, at an interval, or with none.
	begin stays stay
	begin dies die -- --interval=1s
	begin fresh die
	state dies dumping 2
	ticks stays dies fresh
	for n in stays dies fresh; do
		on_root n0 scontrol requeue "$(<$n/id)"
	done
	state stays restored
	state dies restored
	state fresh running 2
	for n in stays dies fresh; do
		[ -z "$(successors $n)" ] || fail "$n was submitted again"
	done
	: >fresh/data
	complete stays dies
	touch fresh/go
	job_ends "$(<fresh/id)"
	whole fresh/out
	want_legs 2 stays dies fresh
}

# --- what ends before it begins ---

@test "no margin, a refusal; the limits of a chain end it, and its script" {
	local n
	begin margin die -t 5 -- -m 10m
	begin legs die -- -s checkpoint.max_legs=2
	begin time die -- -s checkpoint.max_time=0.1s
	ticks legs time
	want "$(said margin)" 'the margin of 10 min leaves nothing of the 5 min that a leg has'
	[ ! -s margin/out ]
	for n in legs time; do
		on_root n0 scancel -b -s USR1 "$(<$n/id)"
	done
	state legs restored
	on_root n0 scancel -b -s USR1 "$(leg_of legs)"
	wait_said legs '\[checkpoint\] max_legs is 2: raise it to continue'
	wait_said time '\[checkpoint\] max_time is .*: raise it to continue'
	for n in legs time; do
		job_ends "$(leg_of $n)"
		want_state FAILED "$(leg_of $n)"
		want_not "$(said $n)" 'the script goes on'
	done
	want_legs 3 legs
	want_legs 2 time
}

@test "jobs that cannot be continued are refused in one sentence" {
	local n
	write_job het 'checkpointer -- touch ../ran'
	write_job step 'srun checkpointer -- touch ../ran'
	submit -D "$work/het" -n 1 : -n 1 "$work/het/job"
	het=$job
	submit_job step -t 20
	fails on n0 salloc -Q checkpointer -- touch ran 2>said.1
	fails on n0 srun -Q checkpointer -- touch ran 2>said.2
	job_ends "$het"
	job_ends "$(<step/id)"
	mv "het/slurm-$het.out" het/said
	want het/said 'a heterogeneous job cannot be continued'
	want het/said 'the script goes on: 69'
	want said.1 'an interactive allocation has no batch script'
	want said.2 'an interactive allocation has no batch script'
	want said.2 'exit code 69'
	want "$(said step)" 'a step of srun cannot be continued'
	want "$(said step)" 'the script goes on: 69'
	for n in het/said said.[12] "$(said step)"; do
		want_lines 1 "$n" 'checkpointer: '
	done
	[ ! -e ran ]
}

# --- what it costs the controller ---

# asked: how many RPCs alice has sent
asked() {
	on_root n0 sdiag | sed -n 's/^\talice *( *1500) count:\([0-9]*\).*/\1/p'
}

@test "a leg asks the controller a constant number of times, and nothing meanwhile" {
	local n=() i leg
	begin costs die
	ticks costs
	for i in 1 2 3; do
		leg=$(leg_of costs)
		n+=("$(asked)")
		ticks costs
		[ "$(asked)" = "${n[-1]}" ]
		on_root n0 scancel -b -s USR1 "$leg"
		state costs restored "$i"
		# The last that it asks for is to show this.
		ticks costs
	done
	n+=("$(asked)")
	complete costs
	echo "# RPCs of a leg: $((n[1] - n[0])) $((n[2] - n[1])) $((n[3] - n[2]))" >&3
	[ $((n[1] - n[0])) = $((n[2] - n[1])) ]
	[ $((n[2] - n[1])) = $((n[3] - n[2])) ]
}
