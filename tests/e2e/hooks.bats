#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# hooks.bats - commands before and after checkpoints and restores; logs

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# all_hooks: options by which each tells the file `events' of its coming
all_hooks() {
	local at

	hooks=()
	for at in before_dump after_dump before_restore after_restore on_finish; do
		hooks+=(-s "hooks.$at=sh $work/tell")
	done
	cat >tell <<-X
		echo "\$CHECKPOINTER_EVENT leg \$CHECKPOINTER_LEG gen" \
			"\$CHECKPOINTER_GENERATION leaving \$CHECKPOINTER_LEAVING" \
			"status \$CHECKPOINTER_STATUS" >>$work/events
	X
}

@test "each hook comes in its time, over two legs" {
	all_hooks
	start "${hooks[@]}" -- bash -c 'bash gated.sh one; exit 7'
	await out 'at one'
	save_one 1
	kill -USR1 "$pid"
	await err 'restored from checkpoint 2'
	touch one
	ends_with 7
	cat >want <<-X
		before_dump leg 1 gen 1 leaving no status 0
		after_dump leg 1 gen 1 leaving no status 0
		before_dump leg 1 gen 2 leaving yes status 0
		after_dump leg 1 gen 2 leaving yes status 0
		before_restore leg 2 gen 2 leaving no status 0
		after_restore leg 2 gen 2 leaving no status 0
		on_finish leg 2 gen 2 leaving no status 7
	X
	want_same want events
	want "$journal" '"on":"prepared"'
	nothing_left
}

@test "what a hook is told of a checkpoint; what it writes is not the command's" {
	start -s 'hooks.after_dump=env | grep ^CHECKPOINTER_' -- bash gated.sh one
	await out 'at one'
	save_one 1
	await err '^CHECKPOINTER_EVENT=after_dump'
	await err '^CHECKPOINTER_MEMORY='
	touch one
	ends_with 0
	want err "CHECKPOINTER_DIR=$store"
	want err 'CHECKPOINTER_CHAIN=t'
	want err 'CHECKPOINTER_STEP=1'
	[ "$(sed -n 's/^CHECKPOINTER_MEMORY=//p' err)" -gt 100000 ]
	[ "$(sed -n 's/^CHECKPOINTER_BYTES=//p' err)" -gt 1000 ]
	[[ "$(sed -n 's/^CHECKPOINTER_SECONDS=//p' err)" == [0-9]*.* ]]
	printf '%s\n' 'at one' 'past one' end >want
	want_same want out
}

@test "before_dump refuses: the command runs on, and it is tried again" {
	start -s "hooks.before_dump=echo asked >>$work/asked; test -e $work/free" \
		-s "hooks.after_dump=echo \$CHECKPOINTER_STATUS \$CHECKPOINTER_REASON >>$work/after" \
		-s checkpoint.retry=0.2s -- bash gated.sh one
	await out 'at one'
	kill -USR1 "$pid"
	await asked asked 2
	want err '[hooks] before_dump of the user ended with status 1'
	want err 'the command runs on, next try in'
	want "$journal" '"on":"dump failed"'
	touch free
	await_state restored
	touch one
	ends_with 0
	head -n 1 after | grep '^1 \[hooks\] before_dump of the user'
	tail -n 1 after | grep '^0$'
	printf '%s\n' 'at one' 'past one' end >want
	want_same want out
}

@test "before_dump that takes too long is ended, and the dump is refused" {
	start -s 'hooks.before_dump=sleep 1000 & sleep 1001' -s hooks.timeout=0.3s \
		-s checkpoint.retry=0.2s -- bash gated.sh one
	await out 'at one'
	kill -USR2 "$pid"
	await err 'before_dump of the user was killed after 0.3'
	touch one
	ends_with 0
	nothing_left
}

@test "before_dump takes no more than its part of the margin" {
	# In no margin at all there would be no checkpoint, and no second leg.
	start -s 'hooks.before_dump=[ -e first ] || { touch first; sleep 1000; }' \
		-s hooks.timeout=1h -s checkpoint.retry=0.1s -t 3s -m 2s -- \
		bash gated.sh one
	await_state restored
	touch one
	ends_with 0
	want err 'before_dump of the user was killed after'
}

@test "the command runs while a hook does, and its end is its own" {
	mkfifo at
	start -s "hooks.before_dump=echo >$work/at; sleep 1000" -- \
		bash -c "ulimit -c 0; bash gated.sh one; kill -SEGV \$\$"
	await out 'at one'
	kill -USR2 "$pid"
	reached at
	touch one
	# No dump has begun that it could have died of.
	ends_with 139
	want_not "$journal" '"on":"dumped"'
	nothing_left
}

@test "asked to end twice while a hook runs: the command is told" {
	mkfifo at
	start -s "hooks.before_dump=echo >$work/at; sleep 1000" -- bash -c '
		trap "echo bye; exit 6" TERM; echo ready
		while :; do sleep 0.02; done'
	await out ready
	kill -TERM "$pid"
	reached at
	kill -TERM "$pid"
	ends_with 6
	want out bye
	nothing_left
}

@test "before_restore refuses: nothing is restored, and all is kept" {
	start -- bash gated.sh one
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	: >err
	touch one
	start_plain checkpointer -s "hooks.before_restore=exit 2" \
		-s "hooks.after_restore=echo after \$CHECKPOINTER_STATUS" restore t
	ends_with 69
	want err 'before_restore of the user ended with status 2'
	want err 'continue with: checkpointer restore t'
	want err 'after 1'
	want_not err 'restored from'
	start_plain checkpointer restore t
	ends_with 0
	want err 'restored from checkpoint 1'
}

@test "asked to end while before_restore runs: it ends, and all is kept" {
	start -- bash gated.sh one
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	mkfifo at
	touch one
	start_plain checkpointer -s "hooks.before_restore=echo >$work/at; sleep 1000" \
		restore t
	reached at
	kill -TERM "$pid"
	await err 'asked to end: making a checkpoint first' 2
	kill -TERM "$pid"
	ends_with 75
	want err 'asked to end before anything was restored'
	start_plain checkpointer restore t
	ends_with 0
}

@test "what fails afterwards is a warning" {
	start -s 'hooks.after_dump=exit 4' -s 'hooks.on_finish=exit 5' -- \
		bash gated.sh one
	await out 'at one'
	save_one 1
	await err 'warning: .*after_dump of the user ended with status 4'
	touch one
	ends_with 0
	want err 'on_finish of the user ended with status 5'
}

@test "the end waits for what comes after it" {
	start -s "hooks.on_finish=sleep 0.5; echo late >>$work/side" -- true
	ends_with 0
	want side late
}

# as_site: with a site's file, in a mount namespace of its own
as_site() {
	unshare --user --map-current-user --mount --keep-caps true ||
		skip "no user namespaces here"
	plainly unshare --user --map-current-user --mount --keep-caps bash -c '
		mount --bind "$0" /etc/checkpointer.ini &&
		exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' \
		"$work/site.ini" "$@"
}

@test "the site's come first, and cannot be replaced" {
	[ -f /etc/checkpointer.ini ] || skip "no /etc/checkpointer.ini to cover"
	printf '[hooks]\non_finish = echo site\n' >site.ini
	run -0 --separate-stderr as_site checkpointer \
		-s 'hooks.on_finish=echo user' -- true
	[[ $stderr == *site$'\n'user* ]]
	run -0 --separate-stderr as_site checkpointer -q \
		-s 'hooks.on_finish=' -- true
	[ "$stderr" = site ]
	run -0 --separate-stderr as_site checkpointer config
	[[ $output == *"the site's: echo site"* ]]
}

# --- logs ---

@test "a chain has a log of all its messages, whatever is shown" {
	start -q -- bash gated.sh one
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	touch one
	ends_with 0
	want_empty err
	grep -E '^[0-9-]{10}T[0-9:]{8}[+-][0-9:]{5} leg 1, step 1: SIGUSR1' "$store/log"
	want "$store/log" 'leg 2, step 1: leg 2 of t: restored'
	[ "$(stat -c %a "$store/log")" = 600 ]
}

@test "a long log is put aside" {
	run -0 plainly checkpointer -q -c t -- true
	head -c 600000 /dev/zero | tr '\0' 'x' >>"$store/log"
	run -1 plainly checkpointer -q -c t -- false
	[ "$(stat -c %s "$store/log.1")" -gt 600000 ]
	want "$store/log" 'leg 2'
}

@test "criu's log is kept when it fails, and the message names it" {
	cat >fake-criu <<-'X'
		#!/bin/bash
		if [ "$1" = --version ]; then echo Version: 4.1.1; exit; fi
		while [ "$1" != --work-dir ]; do shift; done
		echo '(00.01) Error (criu/a.c:1): no way' >"$2/dump.log"
		exit 1
	X
	chmod +x fake-criu
	start -s criu.binary="$work/fake-criu" -- bash gated.sh one
	await out 'at one'
	kill -USR2 "$pid"
	await err "criu's log: $store/step-1/dump.log"
	want "$store/step-1/dump.log" 'no way'
	touch one
	ends_with 0
}

@test "level debug: criu's log of what went well is kept, with the checkpoint" {
	start -s log.level=debug -s checkpoint.keep=1 -- bash gated.sh one
	await out 'at one'
	save_one 1
	grep -q 'Dumping finished successfully' "$store/step-1/0001.dump.log"
	kill -USR1 "$pid"
	await_state restored
	want "$store/step-1/0002.dump.log" 'Dumping finished'
	await "$store/step-1/0002.restore.log" 'Restore finished'
	# It goes with its checkpoint.
	[ ! -e "$store/step-1/0001.dump.log" ]
	touch one
	ends_with 0
	[ -z "$(ls "$store/step-1")" ]
}

@test "criu's log of what went well is not kept otherwise" {
	start -- bash gated.sh one
	await out 'at one'
	kill -USR1 "$pid"
	await_state restored
	[ -z "$(find "$store" -name '*.log')" ]
	touch one
	ends_with 0
}

@test "log.timestamps puts the time in front" {
	run -0 --separate-stderr plainly checkpointer -s log.timestamps=yes -- true
	[[ $stderr =~ ^[0-9-]{10}T[0-9:]{8}[+-][0-9:]{5}\ checkpointer:\  ]]
}
