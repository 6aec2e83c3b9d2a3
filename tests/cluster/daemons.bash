# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # the rest is in cluster
#
# daemons.bash - start and stop a node's daemons, each until it is ready

# logged FILE LINES PATTERN: wait for the pattern below the first LINES lines
logged() {
	timeout 20 tail -s 0.05 -n "+$(($2 + 1))" -F "$1" 2>/dev/null |
		grep -q -m 1 -e "$3"
}

lines_of() { { wc -l <"$1"; } 2>/dev/null || echo 0; }

daemon_log() {
	case $2 in
	munged) echo "$state/log/$1/munge/munged.log" ;;
	mariadbd) echo "$state/log/$1/mysql/mariadbd.log" ;;
	*) echo "$state/log/$1/slurm/$2.log" ;;
	esac
}

pid_file() {
	case $1 in
	munged) echo /run/munge/munged.pid ;;
	mariadbd) echo /run/mysqld/mysqld.pid ;;
	slurmd) echo /run/slurmd.pid ;;
	*) echo "/run/slurm/$1.pid" ;;
	esac
}

start_munged() {
	as_root "$1" setpriv --reuid munge --regid munge --clear-groups munged
}

# It stays in the foreground and tells in its log.
start_mariadbd() {
	local log seen
	log=$(daemon_log "$1" mariadbd)
	seen=$(lines_of "$log")
	as_root "$1" setsid sh -c \
		'mariadbd --defaults-file=/etc/slurm/mariadb.cnf >/dev/null 2>&1 &'
	logged "$log" "$seen" 'ready for connections'
}

start_slurmdbd() {
	local log seen
	log=$(daemon_log "$1" slurmdbd)
	seen=$(lines_of "$log")
	as_root "$1" slurmdbd && logged "$log" "$seen" 'slurmdbd version .* started'
}

start_slurmctld() {
	local log seen
	log=$(daemon_log "$1" slurmctld)
	seen=$(lines_of "$log")
	as_root "$1" slurmctld -i &&
		logged "$log" "$seen" 'Running as primary controller'
}

# It is of use when the controller, if there is one, has answered to it.
start_slurmd() {
	local log seen
	log=$(daemon_log "$1" slurmd)
	seen=$(lines_of "$log")
	as_root "$1" slurmd || return
	! has_daemon n0 slurmctld ||
		logged "$log" "$seen" 'slurmctld sent back .* TRES'
}

has_daemon() {
	# shellcheck disable=SC2016 # that is for the shell in the node
	node_is_up "$1" && as_root "$1" sh -c 'p=$(cat "$1") && kill -0 "$p"' sh \
		"$(pid_file "$2")" 2>/dev/null
}

start_daemon() {
	"start_$2" "$1" </dev/null >>"$state/log/$1/start" 2>&1 && return
	local log
	log=$(daemon_log "$1" "$2")
	[ -s "$log" ] || log=$state/log/$1/start
	fail_with "$log" "$2 did not start on $1"
}

# stop_daemon NODE DAEMON SIGNAL: and wait until it has ended
stop_daemon() {
	# shellcheck disable=SC2016 # that is for the shell in the node
	as_root "$1" sh -c 'p=$(cat "$1") && kill "-$2" "$p" &&
		timeout 30 tail -s 0.05 -f /dev/null --pid="$p"' sh \
		"$(pid_file "$2")" "$3"
}

start_daemons() {
	local d
	case $1 in
	n0) set -- n0 munged mariadbd slurmdbd slurmctld ;;
	*) set -- "$1" munged slurmd ;;
	esac
	for d in "${@:2}"; do
		start_daemon "$1" "$d" || return
	done
}

daemons_of() {
	local d
	for d in munged mariadbd slurmdbd slurmctld slurmd; do
		! has_daemon "$1" "$d" || printf ' %s' "$d"
	done
}
