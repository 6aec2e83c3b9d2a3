#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# crash.bats - promises 3 and 4: whatever is killed or damaged, at most the
# work since the last checkpoint is lost, and nothing runs twice

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# A command that has one checkpoint, at gate two; `out' holds what came before.
# What it writes after the checkpoint, it writes again after a restore: the
# gates keep it from writing anything.
begin() {
	start "$@" -- bash gated.sh one two
	await out 'at one'
	touch one
	await out 'at two'
}

# Let it run to its end; the output is that of an uninterrupted run.
wanted_output() {
	printf '%s\n' 'at one' 'past one' 'at two' 'past two' end >want
	want_same want out
}

generations() { (cd "$store/step-1" && ls) | grep -c '^[0-9]*\.index$' || true; }

# --- killed while the command just runs ---

@test "the supervisor is killed: nothing lives on, restore continues" {
	begin
	save_one 1
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "the supervisor is killed: the same command line continues" {
	begin
	save_one 1
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	touch two
	start -- bash gated.sh one two
	ends_with 0
	wanted_output
}

@test "the supervisor is killed before any checkpoint: from the start" {
	begin
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	mv out lost
	touch two
	start -- bash gated.sh one two
	ends_with 0
	wanted_output
}

@test "the supervisor is killed in a later leg" {
	begin
	kill -USR1 "$pid"
	await_state restored
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "the keeper is killed: the end is told, restore continues" {
	begin
	save_one 1
	kill -KILL "$(keeper_of "$pid")"
	ends_with 70
	want err 'checkpointer restore t'
	nothing_left
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "a private directory left by a killed supervisor is cleared away" {
	begin -s capsule.scratch="$work"
	save_one 1
	[ "$(find "$work/checkpointer-$(id -u)" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
	kill -KILL "$pid"
	ends_with 137
	touch two
	start_plain checkpointer -s capsule.scratch="$work" restore t
	ends_with 0
	[ -z "$(find "$work/checkpointer-$(id -u)" -mindepth 1)" ]
	wanted_output
}

# --- killed during a dump, before criu has looked at the tree ---

# The dump of the second generation has begun, criu waits.
begin_second() {
	slow_criu
	begin -s "criu.binary=$work/slow-criu" -s checkpoint.retry=0.2s
	kill -USR2 "$pid"
	reached at
	release go
	await_event dumped 1
	kill "-$1" "$pid"
	reached at
}

@test "the supervisor is killed at the begin of a dump" {
	begin_second USR2
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	[ "$(generations)" = 1 ]
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "the keeper is killed at the begin of a dump" {
	begin_second USR1
	kill -KILL "$(keeper_of "$pid")"
	ends_with 70
	nothing_left
	[ "$(generations)" = 1 ]
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "the worker is killed at the begin of a dump: the next try works" {
	begin_second USR1
	kill -KILL "$(pgrep -P "$(keeper_of "$pid")" -x checkpt-worker)"
	await_event 'dump failed'
	await err 'the command runs on'
	reached at
	release go
	await_state resubmitted
	# criu of the restore.
	reached at
	release go
	await_state restored
	touch two
	ends_with 0
	wanted_output
}

@test "criu is killed at the begin of a dump: the next try works" {
	begin_second USR1
	pkill -KILL -x slow-criu
	await_event 'dump failed'
	await err 'the command runs on'
	reached at
	release go
	await_state resubmitted
	reached at
	release go
	await_state restored
	touch two
	ends_with 0
	wanted_output
}

# --- killed at the end of a dump: all is written, the tree is frozen ---

begin_held() {
	hold_dump
	begin -s "criu.extra=action-script $work/hold" -s checkpoint.retry=0.2s
	kill -USR2 "$pid"
	reached at
	release go
	await_event dumped 1
	kill "-$1" "$pid"
	reached at
}

@test "the supervisor is killed at the end of a dump" {
	begin_held USR2
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	[ "$(generations)" = 1 ]
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "the keeper is killed at the end of a dump" {
	begin_held USR1
	kill -KILL "$(keeper_of "$pid")"
	ends_with 70
	nothing_left
	[ "$(generations)" = 1 ]
	touch two
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "the worker is killed at the end of a dump: the next try works" {
	begin_held USR1
	kill -KILL "$(pgrep -P "$(keeper_of "$pid")" -x checkpt-worker)"
	await_event 'dump failed'
	await err 'the worker was killed'
	# Whether the killed worker's criu still waits here is not told.
	pkill -KILL -x hold || true
	reached at
	release go
	await_state restored
	touch two
	ends_with 0
	wanted_output
}

@test "criu is killed at the end of a dump: the next try works" {
	begin_held USR1
	pkill -KILL -x criu
	await_event 'dump failed'
	pkill -KILL -x hold || true
	reached at
	release go
	await_state restored
	touch two
	ends_with 0
	wanted_output
}

# As Slurm does at the end of a job.
@test "what makes a dump gets SIGTERM: the dump comes to its end" {
	local worker
	begin_held USR1
	worker=$(pgrep -P "$(keeper_of "$pid")" -x checkpt-worker)
	# shellcheck disable=SC2046 # words they are
	kill -TERM "$worker" $(pgrep -P "$worker") $(pgrep -x hold)
	release go
	await_state restored
	want_not "$journal" 'dump failed'
	touch two
	ends_with 0
	wanted_output
}

# Its death may be that of the command, too, which is stopped in criu's code.
@test "the command dies of a dump that was killed: it goes on from the last one" {
	begin_held USR1
	pkill -KILL -x criu
	await_event 'dump failed'
	kill -SEGV "$(root_of "$pid")"
	pkill -KILL -x hold || true
	await_state restored
	want err 'the command died of a dump that was killed: it goes on from its last checkpoint'
	touch two
	ends_with 0
	wanted_output
}

@test "the root is killed while it is frozen" {
	begin_held USR1
	kill -KILL "$(root_of "$pid")"
	release go || true
	finish
	# Either the generation was complete, or the end was seen first.
	[ "$status" = 137 ] || [ "$status" = 0 ] || [ "$status" = 75 ] ||
		fail "exit status $status"
	nothing_left
}

@test "a dump that takes too long is given up" {
	slow_criu
	begin -s "criu.binary=$work/slow-criu" -s checkpoint.dump_timeout=0.2s
	kill -USR2 "$pid"
	await_event 'dump failed'
	await err dump_timeout
	touch two
	ends_with 0
	wanted_output
}

@test "a restore that takes too long is given up, and an older one tried" {
	cat >stuck-criu <<-X
		#!/bin/sh
		[ "\$1" != restore ] || [ -e "$work/stuck" ] ||
			{ touch "$work/stuck"; exec sleep 100; }
		exec "$(PATH="$PATH:/usr/sbin" command -v criu)" "\$@"
	X
	chmod +x stuck-criu
	begin -s "criu.binary=$work/stuck-criu" -s checkpoint.restore_timeout=3s
	save_one 1
	kill -USR1 "$pid"
	await err 'longer than \[checkpoint\] restore_timeout'
	await_state restored
	touch two
	ends_with 0
	want_lines 1 "$journal" '"on":"restored","gen":1'
	want_same <(bash gated.sh one two) out
}

# --- killed somewhere in a long dump ---

# Until a generation that is not yet committed has 4 MB of pages.
some_pages_written() {
	timeout 30 python3 - "$store/step-1" <<-'X'
		import glob, os, sys
		def begun():
		    for f in glob.glob(sys.argv[1] + "/[0-9]*.pack"):
		        try:
		            if os.stat(f).st_size > 4 << 20 and \
		                    not os.path.exists(f[:-4] + "index"):
		                return True
		        except FileNotFoundError:
		            pass
		while not begun():
		    pass
	X
}

@test "killed while much memory is written: the old or the new one is whole" {
	local who i=0 dumps

	python3 big.py 300 /dev/null >want
	# Without this the second checkpoint would find all pages in the first.
	start -s checkpoint.full_every=1 -- python3 big.py 300 two
	await out ready
	save_one 1
	for who in supervisor keeper criu worker; do
		i=$((i + 1))
		# Dumped or failed: a kill may come too late.
		dumps=$(lines_with "$journal" '"on":"dump')
		kill -USR2 "$pid"
		some_pages_written
		case $who in
		supervisor)
			kill -KILL "$pid"
			ends_with 137
			;;
		keeper)
			kill -KILL "$(keeper_of "$pid")"
			ends_with 70
			;;
		criu)
			pkill -KILL -x criu || true
			await "$journal" '"on":"dump' "$((dumps + 1))"
			;;
		worker)
			pkill -KILL -P "$(keeper_of "$pid")" -x checkpt-worker || true
			await "$journal" '"on":"dump' "$((dumps + 1))"
			;;
		esac
		case $who in
		supervisor | keeper)
			nothing_left
			start -s checkpoint.retry=1h -s checkpoint.full_every=1 \
				-- python3 big.py 300 two
			await_state restored "$i"
			;;
		esac
	done
	touch two
	ends_with 0
	want_same want out
}

# --- damage ---

# Two generations of the same point, and the supervisor killed.
two_generations() {
	begin
	save_one 1
	save_one 2
	kill -KILL "$pid"
	ends_with 137
	nothing_left
	: >err
	touch two
}

# part GENERATION KIND: its pack, index or json
part() { echo "$store/step-1/$1.$2"; }

# spoil FILE FROM TO: every byte there becomes another one (TO: from the end)
spoil() {
	python3 - "$@" <<-'X'
		import os, sys
		with open(sys.argv[1], "r+b") as f:
		    first, last = int(sys.argv[2]), os.fstat(f.fileno()).st_size
		    last -= int(sys.argv[3])
		    f.seek(first)
		    data = f.read(last - first)
		    f.seek(first)
		    f.write(bytes(b ^ 0x5a for b in data))
	X
}

# falls_back [PATTERN]: generation 2 is warned about and 1 is taken
falls_back() {
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
	want err 'warning: checkpoint 2'
	want err 'restored from checkpoint 1'
}

@test "a truncated pack: the older checkpoint is taken, with a warning" {
	two_generations
	truncate -s -1 "$(part 0002 pack)"
	falls_back
}

@test "a missing pack: the older checkpoint is taken, with a warning" {
	two_generations
	rm "$(part 0002 pack)"
	falls_back
}

@test "a truncated index: the older checkpoint is taken, with a warning" {
	two_generations
	truncate -s -1 "$(part 0002 index)"
	falls_back
}

@test "an index whose content is damaged: the older checkpoint is taken" {
	two_generations
	spoil "$(part 0002 index)" 1000 1000
	falls_back
}

@test "pages whose content is damaged: the older checkpoint is taken" {
	two_generations
	# Behind the head, before table and tail: only who reads them sees it.
	spoil "$(part 0002 pack)" 4096 4096
	falls_back
	want err 'checksum'
}

@test "without an index there is no checkpoint" {
	two_generations
	rm "$(part 0002 index)"
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
	want err 'restored from checkpoint 1'
}

@test "a damaged manifest: the older checkpoint is taken, with a warning" {
	two_generations
	truncate -s -20 "$store/step-1/0002.json"
	falls_back
}

@test "a manifest of another version, or of nothing" {
	two_generations
	: >"$store/step-1/0002.json"
	falls_back
}

@test "a manifest that is not believed" {
	two_generations
	cp "$store/step-1/0001.json" "$store/step-1/0002.json"
	falls_back
}

@test "what is no checkpoint is never taken for one" {
	two_generations
	cp "$(part 0002 pack)" "$(part 0003 pack)"
	cp "$(part 0002 json)" "$(part 0003 json)"
	cp "$(part 0002 index)" "$(part 0003 index.new)"
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
	want err 'restored from checkpoint 2'
}

@test "all damaged: status 69, and everything is kept" {
	two_generations
	truncate -s -1 "$(part 0001 pack)"
	(cd "$store" && find step-1 -type f | sort) >before
	start_plain checkpointer restore t
	ends_with 69
	want err 'checkpoint 2'
	want err 'checkpoint 1'
	(cd "$store" && find step-1 -type f | sort) >after
	want_same before after
	# And the next one, too.
	start -- bash gated.sh one two
	ends_with 69
	(cd "$store" && find step-1 -type f | sort) >after
	want_same before after
	nothing_left
}

@test "all damaged and all kept, also when the damage is found on the way" {
	two_generations
	# What the second one has not changed is in here.
	spoil "$(part 0001 pack)" 4096 8192
	start_plain checkpointer restore t
	ends_with 69
	[ -s "$store/step-1/0001.json" ]
	[ -s "$store/step-1/0002.json" ]
	nothing_left
}

# --- the journal and the lease ---

@test "a journal whose last line is torn" {
	two_generations
	truncate -s -10 "$journal"
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
	want_lines 1 "$journal" '"state":"finished"'
	tail -n 1 "$journal" | grep -q '"state":"finished"'
	run -0 --separate-stderr checkpointer report t
	[[ $output == *"finished (0)"* ]]
	[[ $stderr == *damaged* ]]
}

@test "a journal with a line of garbage in its middle" {
	two_generations
	sed -i '4s/.*/\x01\xff{{{/' "$journal"
	start_plain checkpointer restore t
	ends_with 0
	wanted_output
}

@test "a chain never runs twice: the holder is named" {
	begin
	save_one 1
	for how in 'checkpointer -c t -- bash gated.sh one two' \
		'checkpointer restore t'; do
		# shellcheck disable=SC2086
		run -75 --separate-stderr plainly $how
		[[ $stderr == *"chain t is running already"*"leg 1"*"process $pid"* ]]
		[ "${#stderr_lines[@]}" = 1 ]
	done
	# The one that runs does not mind.
	touch two
	ends_with 0
	wanted_output
}

@test "many at once: one of them runs" {
	local i pids=() won=0

	for i in 1 2 3 4 5 6 7 8; do
		start -- bash -c 'echo ran >>side; bash gated.sh one'
		pids+=("$pid")
	done
	await side ran
	await err 'is running already' 7
	touch one
	for pid in "${pids[@]}"; do
		finish
		[ "$status" = 75 ] || { [ "$status" = 0 ] && won=$((won + 1)); }
	done
	[ "$won" = 1 ]
	want_lines 1 side ran
}

@test "the lease ends with its holder, however that ends" {
	begin
	save_one 1
	kill -KILL "$pid"
	ends_with 137
	touch two
	run -0 plainly checkpointer -q restore t
	[ "$output" = $'past two\nend' ]
}
