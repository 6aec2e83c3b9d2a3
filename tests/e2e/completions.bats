#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# completions.bats - bash, zsh and fish know each command and each option, and
# complete chains and keys

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

completions=$BATS_TEST_DIRNAME/../../contrib/completions

eval "common_$(declare -f setup)"
setup() {
	common_setup || return
	mkdir -m 700 "$HOME/.checkpointer" "$HOME/.checkpointer"/{one,other}
	touch "$HOME/.checkpointer"/{one,other}/journal
	mkdir place
	touch paper
}

# Each completes the words, of which the last one is at the cursor; a match a line.
bash_does() {
	bash -c '. "$1"/checkpointer.bash && shift && COMP_WORDS=("$@") &&
		COMP_CWORD=$(($# - 1)) && _checkpointer && printf "%s\n" "${COMPREPLY[@]}"' \
		bash "$completions" "$@"
}

fish_does() {
	fish --no-config -c "source '$completions/checkpointer.fish'
		complete -C '$*'" | sed 's/\t.*//'
}

# A zsh on a terminal, which has nothing to type: before it would read a line, it
# completes what it is asked for.
start_zsh() {
	mkfifo ask answer
	cat >.zshrc <<-X
		fpath=('$completions' \$fpath)
		autoload -Uz compinit && compinit -u -D
		compadd() {
			local -a matches
			if [[ -z "\${(M)@:#-[ODA]*}" ]]; then
				builtin compadd -O matches "\$@"
				print -rl -- \$matches >>matches
			fi
			builtin compadd "\$@"
		}
		zle-line-init() {
			while IFS= read -r BUFFER <ask; do
				CURSOR=\${#BUFFER}
				: >matches
				zle complete-word
				print done >answer
			done
		}
		zle -N zle-line-init
	X
	ZDOTDIR=$work TERM=dumb start_plain python3 -c 'import pty; pty.spawn(["zsh", "-i"])'
}

zsh_does() {
	timeout 20 sh -c 'echo "$1" >ask && cat answer' sh "$*" >/dev/null ||
		fail "zsh: $(cat out err)" || return
	cat matches
}

# completes TEXT...: these are what WORDS are completed to, with other ones only
# if more=1
completes() {
	"${shell}_does" "${words[@]}" | sed 's,[ /=]$,,; /^$/d' | sort -u >got
	printf '%s\n' "$@" | sort -u >want
	[ -z "${more:-}" ] || {
		comm -12 want got >both
		mv both got
	}
	diff -u want got || fail "$shell: ${words[*]}"
}

# options_of [COMMAND]: those that its help lists, long ones
options_of() {
	checkpointer "$@" --help | sed -n 's/^ *\(-., *\)\{0,1\}\(--[a-z][a-z-]*\).*/\2/p'
}

commands() { checkpointer --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }

knows_all() {
	local c all own more
	words=(checkpointer '')
	mapfile -t all < <(commands)
	[ ${#all[@]} -ge 12 ]
	more='' completes "${all[@]}"
	words=(checkpointer --)
	mapfile -t all < <(options_of)
	[ ${#all[@]} -ge 11 ]
	more=1 completes "${all[@]}"
	for c in $(commands); do
		[ "$c" != submit ] || continue
		mapfile -t own < <(options_of "$c")
		words=(checkpointer "$c" --)
		more=1 completes "${all[@]}" "${own[@]}"
	done
}

completes_values() {
	words=(checkpointer restore o); completes one other
	words=(checkpointer --chain ot); completes other
	words=(checkpointer verify on); completes one
	words=(checkpointer status on); completes one
	words=(checkpointer purge one ot); completes other
	words=(checkpointer -s checkpoint.ke); completes checkpoint.keep
	words=(checkpointer --isolation n); completes none
	words=(checkpointer list --dir pl); completes place
	words=(checkpointer batch pa); completes paper
	words=(checkpointer submit pa); completes paper
	words=(checkpointer -v -- printen); completes printenv
	words=(checkpointer check --prove -- printen); completes printenv
	words=(checkpointer -- cat pa); completes paper
	words=(checkpointer -m 5m -v repor); completes report
}

@test "bash knows each command and option" {
	shell=bash
	knows_all
}

@test "bash completes chains, keys, files and commands" {
	shell=bash
	completes_values
	words=(checkpointer --set '=' checkpoint.ke); completes checkpoint.keep
	words=(checkpointer --isolation '='); completes auto user none
	words=(checkpointer report --html '=' pa); completes paper
	words=(checkpointer report --html '=' paper on); completes one
	words=(checkpointer --dir '=' place restore on); completes one
}

@test "zsh knows each command and option" {
	shell=zsh
	start_zsh
	knows_all
}

@test "zsh completes chains, keys, files and commands" {
	shell=zsh
	start_zsh
	completes_values
}

@test "fish knows each command and option" {
	shell=fish
	knows_all
}

@test "fish completes chains, keys, files and commands" {
	shell=fish
	completes_values
}
