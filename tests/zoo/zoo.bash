# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# zoo.bash - what the scripts of the zoo share: programs, runs, verdicts
#
# The caller sets zoo (this directory), space (where programs run: a directory
# NAME for each, in that data, what they start with, and one directory for each
# run), seed, limit (seconds for one run) and results (a directory).

# shellcheck disable=SC2034,SC2154 # set here for the scripts, or there for us

# --- programs ---

# about NAME KEY: the values of that key, one a line
about() { sed -n "s/^$2: *//p" "$zoo/programs/$1/about"; }

all_programs() { (cd "$zoo/programs" && printf '%s\n' */about) | sed 's,/about,,'; }

quick_programs() { (cd "$zoo/programs" && grep -l '^quick: yes' -- */about) | sed 's,/about,,'; }

# packages_of NAME...: what has to be installed for them
packages_of() {
	local p
	for p; do about "$p" packages; done | xargs -n 1 | sort -u
}

# version NAME: of the first of its packages, as its authors count
version() {
	local first
	read -r first _ < <(about "$1" packages)
	dpkg-query -W -f '${Version}' "$first" |
		sed 's/^[0-9]*://; s/-[^-]*$//; s/[+~].*//'
}

# lacking NAME: what this machine does not have that the program needs; fails if
# there is nothing
lacking() {
	local flag
	for flag in $(about "$1" cpu); do
		grep -qw -m 1 "$flag" /proc/cpuinfo || { echo "this CPU has no $flag"; return; }
	done
	return 1
}

# prepare NAME: make data, once
prepare() {
	local d=$space/$1
	[ ! -d "$d/data" ] || return 0
	rm -rf "$d/new"
	mkdir -p "$d/new"
	cp "$zoo/pace" "$zoo/programs/$1"/* "$d/new"
	rm -f "$d/new/about" "$d/new/prepare"
	if [ -e "$zoo/programs/$1/prepare" ]; then
		(cd "$d/new" && ZOO=$zoo "$zoo/programs/$1/prepare") \
			</dev/null >"$d/prepare.log" 2>&1 || return
	fi
	mv "$d/new" "$d/data"
}

# --- runs ---

# fresh NAME MODE: a directory $run for one run, in which "dir" is to be the
# current one; and the words of the command
fresh() {
	run=$space/$1/$2
	rm -rf "$run"
	mkdir -p "$run/home"
	cp -a "$space/$1/data" "$run/dir"
	read -ra command < <(about "$1" command)
}

# plainly COMMAND...: in $run, with no descriptor but the standard ones
plainly() {
	exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
	cd "$run/dir" || exit
	HOME=$run/home exec env --default-signal "$@" \
		</dev/null >"$run/out" 2>"$run/err"
}

# uninterrupted NAME: the run that the others are compared with
uninterrupted() {
	local run command status=0
	fresh "$1" plain
	(plainly timeout -k 10 "$limit" "${command[@]}") || status=$?
	echo "$status" >"$run/status"
}

# settings NAME: options of checkpointer for it
settings() {
	local s
	options=(--set checkpoint.retry=1s)
	while IFS= read -r s; do
		options+=(--set "$s")
	done < <(about "$1" set)
}

# --- chopping ---

# seed_for NAME MODE: from here on RANDOM gives what this seed has for it
seed_for() {
	RANDOM=$(($(cksum <<<"$seed $1 $2" | cut -d' ' -f1) % 32768))
}

# In milliseconds: how long a leg lasts; less if the program was too quick before.
random_leg() { echo $(((400 + RANDOM % 1600) / ${tries:-1})); }

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# left UNTIL: seconds until then, for read -t
left() {
	local ms=$(($1 - $(now_ms)))
	[ "$ms" -gt 0 ] || ms=1
	printf '%d.%03d' $((ms / 1000)) $((ms % 1000))
}

want_legs=3 want_hosts=1 max_legs=6

# enough: were these legs, on these hosts, what we want?
enough() {
	[ "$legs" -ge "$want_legs" ] && [ "$(count_hosts)" -ge "$want_hosts" ]
}

count_hosts() { printf '%s\n' "${hosts[@]}" | sort -u | wc -l; }

# chop JOURNAL [TAIL-OPTION...]: follow a chain, and at a random time of each of
# max_legs legs call "interrupt". When a leg has its successor, "moved JOB" is
# called. Sets: end, the last state; legs; hosts; refusals, how often in a row it
# could not be dumped.
chop() {
	local line until due='' from

	end='' legs=0 hosts=() refusals=0
	until=$(($(now_ms) + limit * 1000))
	exec {from}< <(exec 3>&-; exec tail -s 0.1 -n +1 -F "${@:2}" "$1" 2>/dev/null)
	chop_pid=$!
	while [ -z "$end" ]; do
		if ! IFS= read -r -t "$(left "${due:-$until}")" -u "$from" line; then
			if [ -n "$due" ] && [ "$(now_ms)" -ge "$due" ]; then
				due=''
				interrupt
			elif [ "$(now_ms)" -ge "$until" ]; then
				end=late
			elif ! kill -0 "$chop_pid" 2>/dev/null; then
				# The supervisor is gone, and with it tail, which may have
				# missed the last word.
				followed "$(tail -n 1 "$1" 2>/dev/null)"
				end=${end:-gone}
			fi
			continue
		fi
		followed "$line"
	done
	exec {from}<&-
	kill "$chop_pid" 2>/dev/null
	wait "$chop_pid" 2>/dev/null
}

# followed LINE: what a line of the journal means for chop
followed() {
	case $1 in
	*'"event":"leg"'*)
		legs=$((legs + 1))
		hosts+=("$(field "$1" host)")
		;;
	*'"event":"submitted"'*) moved "$(field "$1" job)" ;;
	*'"on":"started"'* | *'"state":"restored"'*)
		due=''
		{ [ "$legs" -ge "$max_legs" ] && enough; } ||
			due=$(($(now_ms) + $(random_leg)))
		;;
	*'"on":"dumped"'*) refusals=0 ;;
	*'"on":"dump failed"'*)
		refusals=$((refusals + 1))
		[ "$refusals" -lt 3 ] || end=refused
		;;
	*'"state":"finished"'*) end=finished ;;
	*'"state":"failed"'*) end=failed ;;
	esac
}

# field LINE KEY: a text of the journal
field() {
	sed -n 's/.*"'"$2"'":"\(\([^"\\]\|\\.\)*\)".*/\1/p' <<<"$1" | sed 's/\\\(.\)/\1/g'
}

# last_reason JOURNAL: the last that it tells
last_reason() { field "$(grep '"reason":' "$1" 2>/dev/null | tail -n 1)" reason; }

# --- verdicts ---

# difference NAME MODE: what is not as in the uninterrupted run, in words
difference() {
	local plain=$space/$1/plain this=$space/$1/$2
	[ "$(<"$plain/status")" = 0 ] || { echo "uninterrupted, it failed"; return; }
	cmp -s "$plain/status" "$this/status" || {
		echo "exit status $(cat "$this/status" 2>/dev/null), not $(<"$plain/status")"
		return
	}
	cmp -s "$plain/out" "$this/out" || { echo "its output differs"; return; }
	diff -r "$plain/dir" "$this/dir" >"$this/diff" 2>&1 ||
		head -n 1 "$this/diff" | sed 's,^diff -r ,differs: ,
			s,[^ ]*/dir/*,,g'
}

# result NAME MODE WORD TEXT: works, refused or wrong, and why
result() {
	mkdir -p "$results/$2"
	printf '%s\t%s\n' "$3" "$4" >"$results/$2/$1"
}

# why_refused RUN JOURNAL: the sentence of checkpointer that helps most
why_refused() {
	local why
	why=$(sed -n 's/^checkpointer: //; /cannot be checkpointed/{p;q}' "$1/err")
	[ -n "$why" ] || why=$(last_reason "$2")
	printf '%s\n' "$why" | sed 's/process [0-9]* /process /'
}

# short: did it end too early, and may it be tried again? On a machine that is
# busy a checkpoint may take longer than the program.
short() {
	[ "$end" = finished ] && ! enough && [ "$refusals" = 0 ] && [ $((tries++)) -lt 4 ]
}

# judge NAME MODE JOURNAL: after chop; writes the result
judge() {
	local run=$space/$1/$2 why
	case $end in
	finished)
		why=$(difference "$1" "$2")
		if [ -n "$why" ]; then
			result "$1" "$2" wrong "$why"
		elif enough; then
			result "$1" "$2" works "$(went)"
		elif [ "$refusals" -gt 0 ]; then
			result "$1" "$2" refused "$(why_refused "$run" "$3")"
		else
			result "$1" "$2" wrong "too few interruptions: $(went)"
		fi
		;;
	refused) result "$1" "$2" refused "$(why_refused "$run" "$3")" ;;
	failed) result "$1" "$2" refused "$(last_reason "$3")" ;;
	*) result "$1" "$2" wrong "$end after $(went)" ;;
	esac
}

went() {
	local on
	on=$(count_hosts)
	echo "$legs legs on $on node$([ "$on" = 1 ] || echo s)"
}

# --- output: TAP ---

count=0

# tap OK TEXT: one test
tap() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count $2"
	else
		echo "not ok $count $2"
	fi
}

# verdict NAME MODE: one test: is it as its about says? A program that is known
# to be refused has to be, and with that very sentence.
verdict() {
	local word text known f
	known=$(about "$1" refused)
	IFS=$'\t' read -r word text <"$results/$2/$1" 2>/dev/null ||
		word=wrong text='there is no result'
	case $word/$known in
	skipped/*) tap 0 "$1, $2 # skip $text"; return ;;
	works/) tap 0 "$1, $2: works, $text"; return ;;
	works/*)
		tap 1 "$1, $2: works, but $1/about says that it is refused"
		return
		;;
	refused/?*)
		if grep -qF -e "$known" "$space/$1/$2/err"; then
			tap 0 "$1, $2: is refused, as is known: $text"
			return
		fi
		;;
	esac
	tap 1 "$1, $2: $word: $text"
	for f in ../prepare.log ../plain/err err diff; do
		[ ! -s "$space/$1/$2/$f" ] ||
			{ echo "--- $f"; tail -n 15 "$space/$1/$2/$f"; } | sed 's/^/# /'
	done
}

# side_by_side JOBS COMMAND NAME...: "COMMAND NAME" for each, so many at a time;
# when one has ended, "done_with NAME"
side_by_side() {
	local jobs=$1 command=$2 name pid
	local -A at=()
	shift 2
	for name; do
		[ "${#at[@]}" -lt "$jobs" ] || one_ends
		"$command" "$name" &
		at[$!]=$name
	done
	while [ "${#at[@]}" -gt 0 ]; do one_ends; done
}

one_ends() {
	wait -n -p pid "${!at[@]}"
	done_with "${at[$pid]}"
	unset "at[$pid]"
}
