#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# config.bats - the layers of the configuration, and how mistakes are told

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

ini() { cat >"$XDG_CONFIG_HOME/checkpointer.ini"; }

# value KEY: its line in the output of `config', without the comment
value() { sed -n "s/ *;.*//; /^$1 = /p" <<<"$output"; }

config() { run -0 --separate-stderr checkpointer "$@" config; }

@test "built-in values" {
	config
	[ "$(value margin)" = "margin = 10m" ]
	[ "$(value keep)" = "keep = 2" ]
	[ "$(value save)" = "save = USR2" ]
	[ "$(value dir)" = "dir = $HOME/.checkpointer" ]
	[ "$stderr" = "" ]
}

@test "each layer wins over those before it, and is named" {
	ini <<-X
		[checkpoint]
		margin = 1m
		interval = 1m
		retry = 1m
	X
	export CHECKPOINTER_CHECKPOINT_INTERVAL=2m CHECKPOINTER_CHECKPOINT_RETRY=2m
	config --set checkpoint.retry=3m
	[ "$(value margin)" = "margin = 1m" ]
	[ "$(value interval)" = "interval = 2m" ]
	[ "$(value retry)" = "retry = 3m" ]
	[ "$(value keep)" = "keep = 2" ]
	grep -F "$XDG_CONFIG_HOME/checkpointer.ini:2" <<<"$output"
	grep -F CHECKPOINTER_CHECKPOINT_INTERVAL <<<"$output"
	grep -F -e --set <<<"$output"
	grep -F built-in <<<"$output"
}

@test "the options are short for --set; the last one counts" {
	config -t 1h -m 2m -i 3m -d "$work/x" --isolation=user
	[ "$(value time_limit)" = "time_limit = 1h" ]
	[ "$(value margin)" = "margin = 2m" ]
	[ "$(value interval)" = "interval = 3m" ]
	[ "$(value dir)" = "dir = $work/x" ]
	[ "$(value isolation)" = "isolation = user" ]
	config -m 2m -m 4m
	[ "$(value margin)" = "margin = 4m" ]
	run -0 --separate-stderr checkpointer config -m 5m
	[ "$(value margin)" = "margin = 5m" ]
}

@test "what config prints can be used as a file and means the same" {
	config -m 7m -s signals.save='USR2 WINCH' -s environment.A='b c' \
		-s checkpoint.dir="$work/other" -s log.level=debug \
		-s criu.extra='a;b'
	ini <<<"$output"
	strip() { sed 's/  *; [^;]*$//'; }
	strip >first <<<"$output"
	config
	strip >second <<<"$output"
	want_same first second
}

@test "as JSON: the same values, and where each is from" {
	config -m 7m -s environment.A='b c'
	printf '%s\n' "$output" >text
	checkpointer -m 7m -s environment.A='b c' config --json >json
	python3 - <<-'X'
		import json, re
		j, section, seen = json.load(open("json")), None, 0
		for line in open("text"):
		    if m := re.match(r"\[(.*)\]$", line):
		        section = m[1]
		    elif m := re.match(r"(\w+) = (.*?) *; (.*)$", line):
		        seen += 1
		        assert j[section][m[1]] == {
		            "value": m[2], "from": m[3], "locked": False}, line
		assert seen == sum(len(s) for s in j.values()) > 40, seen
		assert j["checkpoint"]["margin"]["from"] == "--set"
	X
}

@test "the file in HOME counts without XDG_CONFIG_HOME" {
	unset XDG_CONFIG_HOME
	mkdir "$HOME/.config"
	printf '[checkpoint]\nmargin = 3m\n' >"$HOME/.config/checkpointer.ini"
	config
	[ "$(value margin)" = "margin = 3m" ]
}

@test "comments, blanks, CRLF and a byte order mark" {
	printf '\xef\xbb\xbf# one\r\n\r\n  [checkpoint]  \r\n ; two\r\n\tmargin=4m ; three\r\n' | ini
	config
	[ "$(value margin)" = "margin = 4m" ]
	[ "$stderr" = "" ]
}

@test "all mistakes are told at once, each with its place" {
	ini <<-X
		[checkpoint]
		margn = 5m
		margin = soon
		keep = 0

		[chekpoint]
		dir = x
		[signals]
		save = USR1
		this is no line
	X
	export CHECKPOINTER_CAPSULE_ISOLATION=maybe
	run -78 --separate-stderr checkpointer --set criu.ghost_limit=big \
		-s nonsense config
	[ "$output" = "" ]
	local f=$XDG_CONFIG_HOME/checkpointer.ini
	told() {
		local line t

		while read -r line; do
			for t; do
				[[ $line == *"$t"* ]] || continue 2
			done
			return
		done <<<"$stderr"
		fail "not told: $*"
	}
	told "$f:2" checkpoint margn "'margin'"
	told "$f:3" checkpoint margin "'soon'"
	told "$f:4" checkpoint keep
	told "$f:6" chekpoint checkpoint
	told "$f:10"
	told CHECKPOINTER_CAPSULE_ISOLATION "'maybe'"
	told --set criu.ghost_limit "'big'"
	told --set nonsense
	# What is left: USR1 in two lists.
	told "$f:9" save USR1 checkpoint
	[ "${#stderr_lines[@]}" = 9 ]
}

@test "a mistake keeps everything from running" {
	ini <<<'[checkpoint'
	run -78 --separate-stderr checkpointer -- touch side
	[[ $stderr == *"checkpointer.ini:1"* ]]
	[ ! -e side ]
	[ ! -e "$HOME/.checkpointer" ]
	: >script.sh && chmod +x script.sh
	run -78 --separate-stderr checkpointer batch script.sh
	run -78 --separate-stderr checkpointer restore t
	run -78 --separate-stderr checkpointer report t
}

@test "a file that cannot be read is an error; none is not" {
	ini <<<'[checkpoint]'
	chmod 000 "$XDG_CONFIG_HOME/checkpointer.ini"
	run -78 --separate-stderr checkpointer config
	[[ $stderr == *"checkpointer.ini"*"Permission denied"* ]]
	rm -f "$XDG_CONFIG_HOME/checkpointer.ini"
	config
	mkdir "$XDG_CONFIG_HOME/checkpointer.ini"
	run -78 --separate-stderr checkpointer config
	rmdir "$XDG_CONFIG_HOME/checkpointer.ini"
	mkfifo "$XDG_CONFIG_HOME/checkpointer.ini"
	run -78 --separate-stderr timeout 10 checkpointer config
}

@test "the checkpoint directory: ~, a link, one that is not there" {
	mkdir real
	ln -s real link
	run -0 --separate-stderr plainly checkpointer -q -c t -d "$work/link/a/b" -- true
	[ -e real/a/b/t/journal ]
	# The program's own ~, not the shell's.
	run -0 --separate-stderr plainly checkpointer -q -c t \
		-d "$(printf '\176')/deep/down" -- true
	[ -e "$HOME/deep/down/t/journal" ]
}

@test "the interval makes checkpoints by itself" {
	start -i 0.3s -- bash gated.sh one
	await_event dumped 3
	touch one
	ends_with 0
	printf '%s\n' 'at one' 'past one' end >want
	want_same want out
	want_lines 1 "$journal" '"event":"leg"'
}

@test "max_legs ends a chain, raising it continues" {
	start -q "${legs_of_time[@]}" -s checkpoint.max_legs=2 -- \
		bash count.sh 60 0.05
	ends_with 75
	want err max_legs
	want_messages 1
	bash count.sh 60 0 >want
	plainly checkpointer -q restore t >>out 2>>err
	want_same want out
}

@test "log.file gets the messages, too" {
	run -0 plainly checkpointer -c t -s log.file="$work/messages" -- true
	want messages 'leg 1 of t: running'
}

@test "log.level and -q: silence when all is well" {
	run -0 --separate-stderr plainly checkpointer -q -- true
	[ "$stderr" = "" ]
	run -0 --separate-stderr plainly checkpointer -s log.level=error -- true
	[ "$stderr" = "" ]
	run -0 --separate-stderr plainly checkpointer -v -- true
	[[ $stderr == *"debug: "* ]]
}
