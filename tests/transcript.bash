# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# transcript.bash - runs what a document shows, and looks whether that is what comes
#
# A block of code is indented by four blanks. If its first line begins with "$ ",
# it is a transcript: commands, and below each what it prints. They are run in
# order, in one shell, in the directory of the test. Any other block needs a
# comment above it that says what it is, which no reader sees:
#
#   <!-- file NAME -->         what is to be in a file, which is made in all places
#   <!-- not run: REASON -->   nothing that could be run
#
# Others say something of what follows:
#
#   <!-- on PLACE -->          where all is run from here on: one machine, or a cluster
#   <!-- await FILE PATTERN --> before it is run: wait for such a line in a file
#
# What is shown need not be what comes to the letter: a number matches any other
# number, a time another time, blanks other blanks, and [...] anything.

# split_document FILE DIR: each block of code as DIR/NNN, with its line number and
# the comments above it in DIR/NNN.line and DIR/NNN.marks
split_document() {
	mkdir -p "$2"
	awk -v dir="$2" '
	function close_block() {
		if (name)
			close(name)
		name = blank = marks = ""
	}
	/^<!-- .* -->$/ {
		if (name)
			close_block()
		marks = marks substr($0, 6, length($0) - 9) "\n"
		after_blank = 0
		next
	}
	/^    / && (name || after_blank || marks) {
		if (!name) {
			name = sprintf("%s/%03d", dir, ++n)
			printf "%s", marks >(name ".marks")
			print NR >(name ".line")
			close(name ".marks")
			close(name ".line")
		}
		printf "%s%s\n", blank, substr($0, 5) >name
		blank = ""
		next
	}
	/^$/ {
		if (name)
			blank = blank "\n"
		after_blank = 1
		next
	}
	{ close_block(); after_blank = 0 }' "$1"
}

# mark BLOCK WORD: what stands behind this word in a comment above the block
mark() {
	local line
	while IFS= read -r line; do
		[[ $line != "$2 "* ]] || echo "${line#"$2 "}"
	done <"$1.marks"
}

# kind_of BLOCK: transcript, file, unrun, or nothing
kind_of() {
	local line
	read -r line <"$1"
	if [ -n "$(mark "$1" 'not run:')" ]; then
		echo unrun
	elif [ -n "$(mark "$1" file)" ]; then
		echo file
	elif [[ $line == '$ '* ]]; then
		echo transcript
	fi
}

# each_block DIR FUNCTION: calls it with block, kind and place
each_block() {
	local block place='one machine'
	for block in "$1"/[0-9][0-9][0-9]; do
		[ -z "$(mark "$block" on)" ] || place=$(mark "$block" on)
		"$2" "$block" "$(kind_of "$block")" "$place"
	done
}

# count_blocks FILE: how many of each kind there are
count_blocks() {
	local dir
	dir=$(mktemp -d)
	split_document "$1" "$dir"
	each_block "$dir" print_kind | sort | uniq -c | sed 's/^ *//'
	rm -r "$dir"
}

print_kind() {
	[ -n "$2" ] || echo "line $(<"$1.line"): neither run nor marked"
	case $2 in
	transcript) echo "$2 on $3" ;;
	*) echo "$2" ;;
	esac
}

# --- a script of it ---

# write_script DIR PLACE: from the blocks in DIR, to be run in the current
# directory, by whatever name that has there, and whoever runs it. What the Nth
# command prints goes to .shown/N; .wanted has N.text, and N.what, what it is.
write_script() {
	script_place=$2 commands=0
	mkdir .wanted
	declare -f await fail
	echo "exec </dev/null; s=0; set +e; shown=\$PWD/.shown; mkdir \"\$shown\""
	each_block "$1" write_block
}

write_block() {
	[ "$3" = "$script_place" ] || [ "$2" = file ] || return 0
	mark "$1" await | sed 's/.*/await & || exit/'
	case $2 in
	file)
		printf "cat >'%s' <<'END OF FILE'\n" "$(mark "$1" file)"
		cat "$1"
		echo 'END OF FILE'
		;;
	transcript) write_commands "$1" ;;
	esac
}

# A command may go on in lines that begin with "> ".
write_commands() {
	local line n=0
	while IFS= read -r line; do
		case $line in
		'$ '*)
			[ "$n" = 0 ] || end_command
			commands=$((commands + 1))
			: >".wanted/$commands.text"
			printf 'line %d: %s\n' $(($(<"$1.line") + n)) "$line" >".wanted/$commands.what"
			printf '{ (exit "%s")\n%s\n' "\$s" "${line#??}"
			;;
		'> '*) echo "${line#??}" ;;
		*) printf '%s\n' "$line" >>".wanted/$commands.text" ;;
		esac
		n=$((n + 1))
	done <"$1"
	end_command
}

end_command() { echo "} >\"\$shown/$commands\" 2>&1; s=\$?"; }

# --- what is shown, and what came ---

# loosely HOME: standard input with what may differ made the same. A shell says
# more of a killed process in a script than where it is spoken to.
loosely() {
	sed -E "s,$1,/home/alice,g
		s/^.*: line [0-9]+: +[0-9]+ Killed .*/Killed/
		s/[0-9]+([.:,-][0-9]+)*/0/g
		s/[[:blank:]]+/ /g; s/ $//"
}

# as_pattern: of a text for [[, in which [...] is anything
as_pattern() {
	sed -E 's/[^[:alnum:] ]/\\&/g; s/\\\[\\\.\\\.\\\.\\\]/*/g'
}

# matches WANT GOT HOME: these files
matches() {
	local want got
	want=$(loosely "$3" <"$1" | as_pattern; echo .) want=${want%.}
	got=$(loosely "$3" <"$2"; echo .) got=${got%.}
	# Alone in a line, it is any number of lines.
	[ "$want" != $'*\n' ] || want='*'
	want=${want//$'\n*\n'/$'\n*'}
	want=${want/#$'*\n'/'*'}
	# shellcheck disable=SC2053 # a pattern it is
	[[ $got == $want ]]
}

# want_shown HOME: what all its commands printed
want_shown() {
	local n bad=0
	for ((n = 1; ; n++)); do
		[ -e ".wanted/$n.text" ] || break
		[ -e ".shown/$n" ] &&
			matches ".wanted/$n.text" ".shown/$n" "$1" && continue
		bad=1
		echo "--- $(<".wanted/$n.what")"
		cat ".shown/$n" 2>/dev/null || echo "(was not reached)"
	done
	[ "$n" -gt 1 ] || fail "there is no command in the document"
	return "$bad"
}

# play DOCUMENT PLACE HOME COMMAND...: run it in the current directory, by such a
# shell, which knows the directory as HOME
play() {
	local status=0
	rm -rf .blocks .wanted .shown
	split_document "$1" .blocks
	write_script .blocks "$2" >.script
	"${@:4}" .script >.log 2>&1 || status=$?
	cat .log
	want_shown "$3" && [ "$status" = 0 ]
}
