# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# stages.bash - what tests/run and tests/in-sandbox share: run a stage with its
# output shown, and count what came of it

passed=0 failed=0 skipped=0
notes=() # what failed and what was skipped, for the end
again=() # for second_tries: stage, test and command, one after the other

# follow LOG COMMAND...: run it with its output in LOG and, indented, on the
# terminal. Not through a pipe: a process that is left over would hold it open.
follow() {
	local log=$1 pid shown rc=0
	shift
	: >"$log" # tail may come first
	"$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	tail -n +1 -s 0.2 -f --pid="$pid" "$log" | sed -u "s/^/$indent/" &
	shown=$!
	wait "$pid" || rc=$?
	wait "$shown"
	return "$rc"
}
indent='    '

# stage KIND MINUTES NAME COMMAND...
#
# step   counts only if it fails        unit  cmocka programs under make check
# build  one test: did it succeed?      tap   a bats file
stage() {
	local kind=$1 minutes=$2 name=$3 log rc=0 began=$SECONDS cpu
	local p=$passed f=$failed s=$skipped
	shift 3
	log=$(mktemp "${TMPDIR:-/tmp}/stage.XXXXXX")
	printf '== %s\n' "$name"
	cpu_time "$log" && cpu=$cpu_used
	follow "$log" timeout -k 10 "${minutes}m" "$@" || rc=$?
	[ "$rc" -ne 124 ] || printf '%s%s\n' "$indent" "stopped after $minutes minutes"
	"count_$kind" "$name" "$rc" "$log"
	[ "$kind" != tap ] || remember_failed "$name" "$log" "$@"
	[ "$failed" -gt "$f" ] || [ "$rc" -eq 0 ] ||
		fail "$name" "exit status $rc"
	cpu_time "$log" && cpu=$((cpu_used - cpu))
	rm -f "$log"
	printf '== %s: %d passed, %d failed, %d skipped, in %d s, %d of them CPU\n\n' \
		"$name" $((passed - p)) $((failed - f)) $((skipped - s)) \
		$((SECONDS - began)) "$cpu"
	[ "$failed" -eq "$f" ]
}

# cpu_time FILE: sets cpu_used to the seconds that ended children have used.
# Through a file, as a subshell has children of its own.
cpu_time() {
	local user sys
	times >"$1.times" && { read -r _ && read -r user sys; } <"$1.times"
	rm -f "$1.times"
	cpu_used=$((${user%m*} * 60 + ${sys%m*} * 60))
	user=${user#*m} sys=${sys#*m}
	cpu_used=$((cpu_used + ${user%.*} + ${sys%.*}))
}

# remember_failed STAGE LOG COMMAND...: the tests of a bats file that failed
remember_failed() {
	local stage=$1 log=$2 line
	shift 2
	set -- "${rerun[@]:-$@}"
	[[ " $* " == *' bats '* ]] || return 0
	while IFS= read -r line; do
		line=${line#not ok * } line=${line% \# *}
		again+=("$stage" "${line% in *ms}" "$(printf '%q ' "$@")")
	done < <(grep '^not ok ' "$log")
}

# On a busy machine a test may wait in vain. Up to three that failed are run once
# more, now that little else runs; who passes then counts as passed, and is named as
# unsteady. More are no accident.
second_tries() {
	local stage name minutes=10 log rc command
	[ ${#again[@]} -le 9 ] || return 0
	while [ ${#again[@]} -gt 0 ]; do
		stage=${again[0]} name=${again[1]}
		eval "command=(${again[2]})"
		again=("${again[@]:3}")
		log=$(mktemp "${TMPDIR:-/tmp}/stage.XXXXXX") rc=0
		printf '== once more: %s: %s\n' "$stage" "$name"
		follow "$log" timeout -k 10 "${minutes}m" "${command[@]}" \
			--filter "^${name//[^a-zA-Z0-9 ]/.}\$" || rc=$?
		# A filter that finds nothing would pass.
		[ "$rc" -ne 0 ] || ! grep -q '^ok ' "$log" || forgive "$stage: $name"
		rm -f "$log"
	done
}

# forgive NOTE: it was no failure
forgive() {
	local i
	for i in "${!notes[@]}"; do
		[[ ${notes[i]} == "failed: $1"* ]] || continue
		notes[i]="unsteady: $1: failed, and passed when it was run once more"
		failed=$((failed - 1)) passed=$((passed + 1))
		return
	done
}

fail() {
	failed=$((failed + 1))
	notes+=("failed: $1: $2")
}

skip() {
	skipped=$((skipped + 1))
	notes+=("skipped: $1: $2")
}

count_step() { :; }

count_build() {
	[ "$2" -ne 0 ] || passed=$((passed + 1))
}

count_unit() {
	local line program='' listed='' n
	while IFS= read -r line; do
		case $line in
		'== tests/unit/'*) program=${line##*/} listed='' ;;
		'[  PASSED  ] '[0-9]*)
			n=${line#*] } passed=$((passed + ${n%% *})) ;;
		'[  FAILED  ] '*' test(s), listed below:') listed=fail ;;
		'[  SKIPPED ] '*' test(s), listed below:') listed=skip ;;
		'[  FAILED  ] '* | '[  SKIPPED ] '*)
			[ -z "$listed" ] || "$listed" "$1, $program" "${line#*] }" ;;
		'  tests/unit/'*': exit status '*)
			# Such a one had no time to name what failed.
			n=${line##*/} program=${n%%:*}
			[[ ${notes[*]} == *"failed: $1, $program: "* ]] ||
				fail "$1, $program" "${n#*: }" ;;
		esac
	done <"$3"
}

count_tap() {
	local line plan=0 n=0
	while IFS= read -r line; do
		case $line in
		1..[0-9]*) plan=${line#1..} ;;
		'ok '*' # skip'*)
			n=$((n + 1))
			line=${line#ok * }
			skip "$1" "${line/ # skip/:}" ;;
		'ok '*) n=$((n + 1)) passed=$((passed + 1)) ;;
		'not ok '*) n=$((n + 1)) && fail "$1" "${line#not ok * }" ;;
		esac
	done <"$3"
	while [ "$n" -lt "$plan" ]; do
		n=$((n + 1))
		fail "$1" "test $n did not run"
	done
}
