#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# isolation.bats - without a capsule: what a site needs whose user namespaces
# are closed. CRIU_CAPABLE names a criu with cap_checkpoint_restore and
# cap_setpcap, which only root could have made; tests/in-sandbox does. Run by
# root, the same tests need no such criu.

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# capable ARG...: the options for a criu that works without a capsule
capable() {
	options=(--isolation=none)
	if [ "$(id -u)" != 0 ]; then
		[ -x "${CRIU_CAPABLE:-}" ] || fail "CRIU_CAPABLE is not set"
		options+=(-s "criu.binary=$CRIU_CAPABLE")
	fi
}

expected() { bash count.sh 40 0 >want; }

gated_output() { for g; do printf 'at %s\npast %s\n' "$g" "$g"; done; echo end; }

legs_of() { grep -c '"event":"leg"' "$journal"; }

@test "no capsule: the output over the legs is the same" {
	capable
	expected
	plainly checkpointer -q -c t "${legs_of_time[@]}" "${options[@]}" -- \
		bash count.sh 40 0.05 >out
	want_same out want
	[ "$(legs_of)" -ge 3 ]
	grep -q '"isolation": "none"' "$store"/step-1/*.json ||
		[ -z "$(ls "$store/step-1")" ]
}

@test "a capsule: the output over the legs is the same" {
	expected
	plainly checkpointer -q -c t "${legs_of_time[@]}" --isolation=user -- \
		bash count.sh 40 0.05 >out
	want_same out want
	[ "$(legs_of)" -ge 3 ]
}

@test "no capsule: the exit status and a signal are the command's" {
	capable
	[ "$(status_of checkpointer -q "${options[@]}" -- sh -c 'exit 7')" = 7 ]
	[ "$(status_of checkpointer -q "${options[@]}" -- \
		sh -c 'kill -KILL $$')" = -9 ]
}

@test "no capsule: a killed supervisor leaves nothing running" {
	capable
	start "${options[@]}" -- bash -c 'sleep 1000 & echo $!; echo $$; wait'
	await out . 2
	kill -9 "$pid"
	while read -r p; do gone "$p"; done <out
}

@test "no capsule: a killed keeper leaves nothing running" {
	capable
	start "${options[@]}" -- bash -c 'sleep 1000 & echo $!; echo $$; wait'
	await out . 2
	keeper=$(cut -d' ' -f1 "/proc/$pid/task/$pid/children")
	kill -9 "$keeper"
	while read -r p; do gone "$p"; done <out
	ends_with 70
}

@test "no capsule: a chain that was stopped continues" {
	capable
	expected
	start "${options[@]}" -- bash count.sh 40 0.05
	await out '^5 '
	kill -TERM "$pid"
	ends_with 75
	plainly checkpointer -q "${options[@]}" restore t >>out 2>>err
	want_same out want
}

@test "no capsule: a TMPDIR of the step's own, the same in all legs, gone at the end" {
	capable
	unset TMPDIR
	cat >tmp.sh <<-'X'
		echo "$TMPDIR" | tee dir
		stat -c '%a %u' "$TMPDIR"
		exec 7<>"$(mktemp)"
		echo kept >&7
		bash gated.sh one
		cat /dev/fd/7
		ls -A "$TMPDIR" | wc -l
	X
	start "${options[@]}" -- bash tmp.sh
	await out 'at one'
	kill -TERM "$pid"
	ends_with 75
	touch one
	start_plain checkpointer "${options[@]}" restore t
	ends_with 0
	{ cat dir; echo "700 $(id -u)"; gated_output one; printf '%s\n' kept 1; } >want
	want_same want out
	[[ $(<dir) = /tmp/checkpointer-$(id -u)-* ]]
	[ ! -e "$(<dir)" ]
}

@test "no capsule: a TMPDIR that is set stays" {
	capable
	mkdir tmp
	TMPDIR=$work/tmp plainly checkpointer -q "${options[@]}" -- \
		bash -c 'echo "$TMPDIR"; touch "$TMPDIR/x"' >out
	[ "$(<out)" = "$work/tmp" ]
	[ -e tmp/x ]
}

@test "no capsule: what was exported is restored by plain criu" {
	local criu=criu

	capable
	[ "$(id -u)" = 0 ] || criu=$CRIU_CAPABLE
	# Of its own, so that nothing has to be given back by descriptor.
	cat >own.sh <<-'S'
		exec </dev/null >log 2>&1
		for ((i = 1; ; i++)); do
			echo "line $i"
			[ ! -e stop ] || break
			sleep 0.02
		done
		echo end
	S
	start "${options[@]}" -- bash own.sh
	await log 'line 5$'
	kill -TERM "$pid"
	ends_with 75
	checkpointer export t 1 images
	count=$(wc -l <log)
	options=(--unprivileged)
	[ "$(id -u)" != 0 ] || options=()
	# The script itself was opened from outside, if bash still holds it.
	exec 5</dev/null 6</dev/null 7</dev/null 8</dev/null
	python3 - >inherit <<-'P'
		import json
		outside = json.load(open("images/manifest.json"))["outside"]
		for i, o in enumerate(outside):
		    print(f"--inherit-fd\nfd[{i + 5}]:{o['key']}")
	P
	mapfile -t -O "${#options[@]}" options <inherit
	(cd images && CRIU_FAULT=130 PATH=$PATH:/usr/sbin "$criu" restore "${options[@]}" -D . \
		--restore-detached --skip-file-rwx-check --manage-cgroups=ignore \
		--file-locks --network-lock skip -v2 -o restore.log) ||
		fail "$(tail -n 5 images/restore.log)"
	await log "line $((count + 3))"
	touch stop
	await log '^end$'
	# No line twice, and none left out.
	[ "$(grep -c '^line' log)" = "$(sort -u log | grep -c '^line')" ]
	[ "$(tail -n 2 log | head -n 1)" = "line $(grep -c '^line' log)" ]
}

@test "no capsule: a seccomp filter of the program's own, which root's criu can lift" {
	capable
	write_filter
	start "${options[@]}" -- python3 filter.py
	await out '^0$'
	if [ "$(id -u)" = 0 ]; then
		kill -USR1 "$pid"
		await_state restored
	else
		kill -USR2 "$pid"
		await err 'a seccomp filter of its own'
	fi
	touch go
	ends_with 0
	want_same out <(printf '0\n1\n')
}
