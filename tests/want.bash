# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# want.bash - what all bats files share: wait for something, and want something

# --- events ---

# gone PID [SECONDS]: wait until a process has ended
gone() {
	timeout "${2:-20}" tail -s 0.02 -f /dev/null --pid="$1"
}

# await FILE PATTERN [N]: wait until N lines of the file match
await() {
	local n=${3:-1} got

	got=$(timeout "${await_seconds:-30}" tail -s 0.05 -n +1 -F "$1" 2>/dev/null |
		grep -a -m "$n" -c -e "$2") || true
	[ "$got" = "$n" ] || fail "no $n lines with '$2' in $1 (but $got)"
}

# --- what is wanted ---

fail() {
	echo "$*"
	return 1
}

want_same() {
	cmp -s "$1" "$2" && return
	echo "$1 and $2 differ:"
	diff -a "$1" "$2" | head -n 20
	return 1
}

want_empty() {
	[ ! -s "$1" ] || { echo "$1 is not empty:"; head -n 20 "$1"; return 1; }
}

# want FILE TEXT: the text is in the file
want() {
	grep -aqF -e "$2" "$1" || { echo "no '$2' in $1:"; tail -n 20 "$1"; return 1; }
}

want_not() {
	! grep -aF -e "$2" "$1" || fail "'$2' is in $1"
}

lines_with() { grep -acF -e "$2" "$1" || true; }

# want_lines N FILE TEXT: exactly N lines hold the text
want_lines() {
	local n

	n=$(lines_with "$2" "$3")
	[ "$n" = "$1" ] || { fail "$n lines with '$3' in $2, not $1"; return; }
}
