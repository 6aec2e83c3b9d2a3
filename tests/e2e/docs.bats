#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docs.bats - what the documents show is what happens, and the manual pages name
# all that there is

# shellcheck disable=SC2016,SC2030,SC2031,SC2154
load common
# shellcheck source=tests/transcript.bash disable=SC1091
. "$BATS_TEST_DIRNAME/../transcript.bash"

top=$BATS_TEST_DIRNAME/../..
export BATS_TEST_TIMEOUT=300

# What a user has: a home, and what is written there.
play_here() {
	cd "$HOME" || return
	play "$1" 'one machine' "$HOME" plainly bash --norc
}

# --- documents ---

@test "the tutorial, on one machine" {
	play_here "$top/docs/tutorial.md"
}

@test "the README, on one machine" {
	# The reader's own script.
	echo 'print(sum(1:10))' >"$HOME/fit.R"
	play_here "$top/README.md"
}

@test "each block of code is run, or says why it is not" {
	count_blocks "$top/docs/tutorial.md" >got
	count_blocks "$top/README.md" >>got
	diff - got <<-'X'
		6 file
		5 transcript on a cluster
		12 transcript on one machine
		1 unrun
		3 file
		2 transcript on one machine
		4 unrun
	X
}

@test "a transcript that shows something else is found out" {
	cat >doc.md <<-'X'
		A document.

		    $ echo one 1; echo two 12:30; (exit 3)
		    one 2
		    two 09:45
		    $ echo $?
		    3

		<!-- file a -->

		    x  12 MB of [a]

		    $ cat a a
		    x 5 MB of [...]
		    [...]
	X
	play doc.md 'one machine' "$PWD" bash --norc
	sed -i 's/^    one 2/    on 2/' doc.md
	run play doc.md 'one machine' "$PWD" bash --norc
	[ "$status" != 0 ]
	[[ $output == *'line 3: $ echo one'* ]]
}

# --- manual pages ---

# items PAGE SECTION: what its lists explain there, as it is in the source
items() {
	sed -n "/^\.Sh $2\$/,/^\.Sh /s/^\.It //p" "$top/docs/$1"
}

# in_page PAGE: each line of standard input is a regular expression for one of it
in_page() {
	local line bad=0
	while IFS= read -r line; do
		grep -qE -e "$line" "$top/docs/$1" || { echo "not in $1: $line"; bad=1; }
	done
	return "$bad"
}

# long_options, command_names: those that main.c knows
long_options() {
	sed -n '/struct option options/,/^}/s/.*{"\([a-z-]*\)".*/\1/p' "$top/src/main.c"
}

command_names() {
	sed -n '/^} commands/,/^};/s/.*{"\([a-z]*\)",.*/\1/p' "$top/src/main.c"
}

@test "checkpointer(1) has each option and command, and no other" {
	[ "$(long_options | wc -l)" -ge 17 ]
	long_options | sed 's/.*/(Fl|,) -&( |$)/' | in_page checkpointer.1
	command_names | sed 's/.*/^\\.It Cm &( |$)/' >commands
	[ "$(wc -l <commands)" -ge 9 ]
	in_page checkpointer.1 <commands
	items checkpointer.1 DESCRIPTION | sed -n 's/^Fl.* -\([a-z][a-z-]*\).*/\1/p' >got
	[ "$(wc -l <got)" -ge 10 ]
	# grep prints what is there, but no option.
	run ! grep -vxF "$(long_options)" got
}

@test "so does each help text" {
	local c
	checkpointer --help >help
	# That of submit speaks of sbatch's options.
	for c in $(command_names | grep -vx submit); do
		checkpointer "$c" --help >>help
	done
	long_options | while read -r line; do
		grep -qE -e "--$line\\>" help || echo "no --$line"
	done >missing
	want_empty missing
	grep -oE '(^|[ [,])--[a-z]+[a-z-]*' help | sed 's/.*--//' | sort -u >got
	run ! grep -vxF "$(long_options)" got
}

# exit_statuses: the numbers of all that the sources name
exit_statuses() {
	grep -ohE '\<EX_(USAGE|DATAERR|NOINPUT|NOUSER|NOHOST|UNAVAILABLE|SOFTWARE|OSERR|OSFILE|CANTCREAT|IOERR|TEMPFAIL|PROTOCOL|NOPERM|CONFIG)\>' \
		"$top"/src/*.[ch] | sort -u |
		while read -r line; do
			sed -n "s/^#define ${line}[[:blank:]]*\([0-9]*\).*/\1/p" \
				/usr/include/sysexits.h
		done
	printf '%s\n' 126 127
}

@test "checkpointer(1) has each exit status, and no other" {
	items checkpointer.1 'EXIT STATUS' | sort -n >got
	exit_statuses | sort -n | diff - got
}

@test "checkpointer(1) and README have each signal that means something by default" {
	checkpointer config | sed -n '/^\[signals\]/,/^\[/s/^[a-z]* *= *\([A-Z0-9]*\).*/\1/p' >signals
	[ "$(wc -l <signals)" = 3 ]
	sed 's/.*/^\\.It Dv &$/' signals | in_page checkpointer.1
	sed 's/.*/^[|] `&` [|]/' signals | in_page ../README.md
}

@test "checkpointer(1) has each variable of the environment" {
	{
		grep -ohE '\<getenv\("[A-Z_]+"' "$top"/src/*.c | cut -d'"' -f2
		sed -n 's/^#define LOCAL_.*"\(CHECK.*\)".*/\1/p' "$top/src/local.h"
	} | sort -u | sed 's/.*/^\\.(It|Ev) .*\\<&\\>|^\\.Ev &/' >variables
	[ "$(wc -l <variables)" -ge 10 ]
	in_page checkpointer.1 <variables
}

@test "what check finds is in checkpointer(1)" {
	checkpointer check --json >findings || [ "$?" = 69 ]
	python3 -c 'import json
for f in json.load(open("findings"))["findings"]: print(f["topic"])' |
		sort -u >topics
	[ "$(wc -l <topics)" -ge 8 ]
	items checkpointer.1 'WHAT CHECK FINDS' | tr -d ,. | tr -s ' ' '\n' >explained
	run ! grep -vxF -f explained topics
}
