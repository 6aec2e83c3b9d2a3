# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# checkpointer.bash - completion for bash: commands, options, chains and keys

_checkpointer_chains() {
	checkpointer list --json 2>/dev/null | sed -n 's/^ *"chain": "\(.*\)",*$/\1/p'
}

_checkpointer_keys() {
	checkpointer config 2>/dev/null | sed -n 's/^\[\(.*\)\]$/\1/; t section
		s/^\([a-z_][a-z_]*\) = .*/\1/; T
		G; s/\(.*\)\n\(.*\)/\2.\1=/p; b
		: section
		h'
}

# _checkpointer_offer WORDLIST: those that begin like the word at the cursor
_checkpointer_offer() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_checkpointer_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

# _checkpointer_value OPTION: false if it has none
_checkpointer_value() {
	case $1 in
	-d | --dir) _checkpointer_files -d ;;
	-c | --chain) _checkpointer_offer "$(_checkpointer_chains)" ;;
	--html) [ -n "$joined" ] && _checkpointer_files -f ;;
	-i | --interval) _checkpointer_offer auto ;;
	--isolation) _checkpointer_offer 'auto user none' ;;
	-s | --set)
		compopt -o nospace 2>/dev/null
		_checkpointer_offer "$(_checkpointer_keys)"
		;;
	--state) _checkpointer_offer 'finished stopped failed died resubmitted empty' ;;
	-t | --time-limit | -m | --margin | --step | --older-than | --for) ;;
	*) return 1 ;;
	esac
}

# _checkpointer_other INDEX: a command line of another program begins there
_checkpointer_other() {
	if declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "$1"
	elif declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif [ "$COMP_CWORD" -eq "$1" ]; then
		_checkpointer_files -c
	else
		_checkpointer_files -f
	fi
}

_checkpointer_word() {
	local options='--time-limit --margin --interval --chain --dir --isolation
		--set --verbose --quiet --help --version'
	local commands='batch submit restore status dump report list verify export
		purge check config'

	case $1 in
	verify) options+=' --step --json' ;;
	export) options+=' --step' ;;
	list | config) options+=' --json' ;;
	status) options+=' --watch --json' ;;
	dump) options+=' --leave --no-wait' ;;
	report) options+=' --timeline --html --json' ;;
	purge) options+=' --older-than --state --dry-run --json' ;;
	check) options+=' --json --for --prove' ;;
	esac
	case $1:$cur in
	submit:*) _checkpointer_files -f ;;
	*:-*) _checkpointer_offer "$options --" ;;
	:*) _checkpointer_offer "$commands" ;;
	batch:*) _checkpointer_files -f ;;
	purge:*) _checkpointer_offer "$(_checkpointer_chains)" ;;
	restore:* | status:* | dump:* | report:* | list:* | verify:* | export:*)
		case $1:$2 in
		*:0) _checkpointer_offer "$(_checkpointer_chains)" ;;
		export:2) _checkpointer_files -d ;;
		esac
		;;
	esac
}

_checkpointer() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' words=0 joined='' i

	# "=" is a word of its own.
	if [ "$cur" = = ]; then
		cur='' joined=1
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]} joined=1
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case $command:${COMP_WORDS[i]} in
		submit:*) ;;
		*:--) _checkpointer_other $((i + 1)); return ;;
		*:-[tmicds] | *:--time-limit | *:--margin | *:--interval | *:--chain | \
			*:--dir | *:--isolation | *:--set | *:--step | *:--older-than | \
			*:--state | *:--for)
			[ "${COMP_WORDS[i + 1]}" != = ] || i=$((i + 1))
			i=$((i + 1))
			;;
		*:=) i=$((i + 1)) ;;
		*:-*) ;;
		:*) command=${COMP_WORDS[i]} ;;
		*) words=$((words + 1)) ;;
		esac
	done
	case $command in
	submit) _checkpointer_word "$command" 0 ;;
	*) _checkpointer_value "$prev" || _checkpointer_word "$command" "$words" ;;
	esac
}

complete -F _checkpointer checkpointer
