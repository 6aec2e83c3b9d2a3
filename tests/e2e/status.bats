#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# status.bats - how it ends is how the command ended, and what is wrong on the
# command line is said in one sentence

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# --- the command's status ---

@test "the exit status is the command's" {
	for s in 0 1 3 255; do
		[ "$(status_of checkpointer -q -- bash -c "exit $s")" = "$s" ]
	done
	want_empty err
}

@test "death by a signal is repeated" {
	for s in TERM KILL SEGV HUP INT ABRT USR1 RTMIN; do
		n=$(kill -l "$s")
		[ "$(status_of checkpointer -q -- \
			bash -c "ulimit -c 0; kill -$s \$\$")" = "-$n" ]
	done
	want_empty err
}

@test "the exit status is the command's, after a restore" {
	for s in 0 1 3 255; do
		run -0 status_of checkpointer -q -c "t$s" "${legs_of_time[@]}" -- \
			bash -c "bash count.sh 20 0.05; exit $s"
		[ "$output" = "$s" ]
		want "$HOME/.checkpointer/t$s/journal" '"state":"restored"'
	done
	want_empty err
}

@test "death by a signal is repeated, after a restore" {
	for s in TERM KILL SEGV; do
		n=$(kill -l "$s")
		run -0 status_of checkpointer -q -c "t$s" "${legs_of_time[@]}" -- \
			bash -c "ulimit -c 0; bash count.sh 20 0.05; kill -$s \$\$"
		[ "$output" = "-$n" ]
		want "$HOME/.checkpointer/t$s/journal" '"state":"restored"'
	done
	want_empty err
}

@test "the status counts, not what the command leaves running" {
	# The background process holds neither the end nor the output.
	[ "$(status_of checkpointer -q -- \
		bash -c "sleep 1000 $work & exit 5")" = 5 ]
	nothing_left
}

@test "the status is that of the root, not of an orphan" {
	[ "$(status_of checkpointer -q -- \
		bash -c '(bash -c "sleep 0.2; exit 9" &); sleep 0.4; exit 4')" = 4 ]
}

@test "the status is in the journal and in the report" {
	run -3 plainly checkpointer -q -c t -- bash -c 'exit 3'
	want "$journal" '"state":"finished"'
	run -0 checkpointer report t
	[[ $output == *"finished (3)"* ]]
	run -143 plainly checkpointer -q -c u -- bash -c 'kill -TERM $$'
	run -0 checkpointer report u
	[[ $output == *"finished (SIGTERM)"* ]]
}

@test "a finished chain is not run again, its status is repeated" {
	run -3 plainly checkpointer -q -c t -- bash -c 'echo ran >>side; exit 3'
	run -3 plainly checkpointer -q -c t -- bash -c 'echo ran >>side; exit 3'
	want_lines 1 side ran
}

@test "not found: 127; not executable: 126; one message" {
	run -127 --separate-stderr plainly checkpointer -- ./no-such-program
	[[ $stderr == "checkpointer: error: "*no-such-program*"No such file"* ]]
	[ "${#stderr_lines[@]}" = 1 ]
	echo 'echo hello' >plain
	run -126 --separate-stderr plainly checkpointer -- ./plain
	[[ $stderr == "checkpointer: error: "*./plain*"Permission denied"* ]]
	[ "${#stderr_lines[@]}" = 1 ]
	run -126 --separate-stderr plainly checkpointer -- "$work"
	[ "${#stderr_lines[@]}" = 1 ]
	nothing_left
}

# --- the command line ---

# refused STATUS TEXT... -- ARG...: ends so, with one message that has it all
refused() {
	local want=$1 texts=()

	shift
	while [ "$1" != -- ]; do
		texts+=("$1")
		shift
	done
	shift
	run "-$want" --separate-stderr checkpointer "$@"
	[ -z "$output" ] || fail "stdout: $output"
	[ "${#stderr_lines[@]}" = 1 ] || fail "not one line: $stderr"
	for t in "${texts[@]}"; do
		[[ $stderr == *"$t"* ]] || fail "no '$t' in: $stderr"
	done
	# Nothing was begun.
	[ ! -e "$HOME/.checkpointer" ] || fail "$(ls "$HOME/.checkpointer")"
}

@test "without -- it is said where to put it" {
	refused 64 "'bash'" 'checkpointer -- bash' -- bash -c true
	refused 64 'no command' --
	refused 64 'no command' -- --
	refused 64 'no command' -- -t 5s --
}

@test "an unknown command: what was meant" {
	refused 64 "'reprot'" "'report'" -- reprot t
	refused 64 "'restor'" "'restore'" -- restor t
	refused 64 --help -- help
}

@test "an unknown option: what was meant" {
	refused 64 --time-limt --time-limit -- --time-limt=5s -- true
	refused 64 --marign --margin -- --marign 5s -- true
	refused 64 -x -- -x -- true
	refused 64 --xyzzy --help -- --xyzzy=3 -- true
	refused 64 'no value' -- --quiet=3 -- true
	refused 64 --older-than -- purge --oldr-than=3
}

@test "an option without its value" {
	refused 64 --time-limit=VALUE -- --time-limit
	refused 64 --time-limit=VALUE -- -t
}

@test "a bad value of an option" {
	refused 78 margin "'soon'" 10m -- --margin=soon -- true
	refused 78 time_limit "'1x'" -- -t 1x -- true
	refused 78 isolation "'usr'" -- --isolation=usr -- true
}

@test "a bad --set" {
	refused 78 checkpoint.margn "'margin'" -- --set checkpoint.margn=5s -- true
	refused 78 chekpoint "'checkpoint'" -- --set chekpoint.margin=5s -- true
	refused 78 nonsense -- --set nonsense -- true
	refused 78 USR9 -- --set signals.save=USR9 -- true
	refused 78 KILL -- --set signals.save=KILL -- true
	refused 78 USR1 -- --set signals.save=USR1 -- true
}

@test "a margin that leaves nothing of the limit" {
	run -78 --separate-stderr checkpointer -t 5s -m 5s -- touch side
	[ "${#stderr_lines[@]}" = 1 ]
	[[ $stderr == *margin* && $stderr == *limit* ]]
	run -78 --separate-stderr checkpointer -t 5m -m 10m -- touch side
	[ "${#stderr_lines[@]}" = 1 ]
	[ ! -e side ]
}

@test "a bad name of a chain" {
	for name in a/b .. . -x '' 'a b' ../../x; do
		run --separate-stderr checkpointer "--chain=$name" -- touch side
		[ "$status" -ge 64 ] && [ "$status" -le 78 ]
		[ "${#stderr_lines[@]}" = 1 ]
		[ ! -e side ]
	done
}

@test "what is not there cannot be restored or reported" {
	run -66 --separate-stderr checkpointer restore nobody
	[ "${#stderr_lines[@]}" = 1 ]
	run -66 --separate-stderr checkpointer report nobody
	[ "${#stderr_lines[@]}" = 1 ]
	run -64 --separate-stderr checkpointer restore
	[ "${#stderr_lines[@]}" = 1 ]
	run -64 --separate-stderr checkpointer report a b
	[ "${#stderr_lines[@]}" = 1 ]
	run -64 --separate-stderr checkpointer config x
	[ "${#stderr_lines[@]}" = 1 ]
	[ ! -e "$HOME/.checkpointer/nobody" ]
}

@test "a finished chain cannot be restored" {
	run -0 plainly checkpointer -q -c t -- touch side
	rm side
	run --separate-stderr plainly checkpointer restore t
	[ "$status" -ge 64 ] && [ "$status" -le 78 ]
	[ "${#stderr_lines[@]}" = 1 ]
	[[ $stderr == *"chain t"* ]]
	[ ! -e side ]
}

@test "--help and --version go to standard output" {
	run -0 --separate-stderr checkpointer --help
	[[ $output == Usage:* && -z $stderr ]]
	run -0 --separate-stderr checkpointer --version
	[[ $output =~ ^checkpointer\ [0-9]+\.[0-9]+ && -z $stderr ]]
}

@test "--help lists the commands, and each has a help of its own" {
	local c names page=$BATS_TEST_DIRNAME/../../docs/checkpointer.1

	run -0 checkpointer --help
	names=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<<"$output")
	[ "$(wc -w <<<"$names")" -ge 9 ]
	for c in $names; do
		run -0 --separate-stderr checkpointer "$c" --help
		[[ $output == "Usage: checkpointer [OPTION]... $c"* ]]
		[[ $output == *Example:*"checkpointer "*"$c"* && -z $stderr ]]
		grep -q "^\.It Cm $c" "$page" || fail "$c is not in the manual"
		while read -r o; do
			grep -q -e " ${o#-}\b" "$page" || fail "nor is $o of $c"
		done < <(grep -o -e '--[a-z][a-z-]*' <<<"$output")
	done
	# Behind its arguments, too, but for those that belong to somebody else.
	run -0 checkpointer report t --help
	[[ $output == Usage:*report* ]]
}

@test "options of the command are the command's" {
	run -0 plainly checkpointer -q -- echo -t 5s --margin=x -- -h
	[ "$output" = "-t 5s --margin=x -- -h" ]
	run -0 plainly checkpointer -q -c t -- printf '%s|' '' 'a b' $'c\nd' é '*'
	[ "$output" = "|a b|c"$'\n'"d|é|*|" ]
}

@test "arguments that are no text are passed on as they are" {
	run -0 plainly checkpointer -q -c t -- printf '%s' $'\xff\xfe'
	[ "$output" = $'\xff\xfe' ]
}

@test "standard output that is full or closed harms nobody else" {
	run -0 plainly checkpointer -c t -- bash -c 'echo x >/dev/full; exit 0' \
		2>/dev/full
	run -0 plainly checkpointer -c u -- true 2>&-
}

# --- in and around ---

@test "a checkpointer inside the command just runs its command" {
	run -7 plainly checkpointer -q -c t -- checkpointer -q -c u -- \
		bash -c 'echo "inside $PPID"; exit 7'
	[ "$output" = "inside 1" ]
	[ ! -e "$HOME/.checkpointer/u" ]
	[ -e "$HOME/.checkpointer/t" ]
	run -127 plainly checkpointer -q -c v -- checkpointer -- ./nothing
	run -126 plainly checkpointer -q -c w -- checkpointer -- "$work"
}

@test "a checkpointer inside the command goes on over the legs" {
	bash count.sh 40 0 >want
	in_legs checkpointer -- bash count.sh 40 0.05 >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "without a time limit nothing is checkpointed" {
	run -0 plainly checkpointer -c t -- true
	want_lines 0 "$journal" dumping
	want_lines 1 "$journal" '"event":"leg"'
}

@test "checkpoints are the user's alone" {
	umask 000
	start -- bash gated.sh one
	await out 'at one'
	save_one 1
	run find "$HOME/.checkpointer" ! -user "$(id -u)"
	[ "$output" = "" ]
	run find "$HOME/.checkpointer" -perm /077
	[ "$output" = "" ]
	touch one
	ends_with 0
}

@test "a checkpoint directory of somebody else is refused" {
	run --separate-stderr plainly checkpointer -d / -- touch side
	[ "$status" -ge 64 ] && [ "$status" -le 78 ]
	[[ $stderr == *"/"* ]]
	mkdir "$HOME/.checkpointer" other
	ln -s "$work/other" "$HOME/.checkpointer/t"
	run --separate-stderr plainly checkpointer -c t -- touch side
	[ "$status" -ge 64 ] && [ "$status" -le 78 ]
	[ ! -e side ]
	run ls -A other
	[ "$output" = "" ]
}
