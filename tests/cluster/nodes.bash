# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # the rest is in cluster
#
# nodes.bash - the namespaces of a cluster and of its nodes

# alive FILE: is the process still there that told of itself in FILE? $pid. In
# the shell alone, as it is asked before each command on a node.
alive() {
	local began stat
	{ read -r pid began <"$1" && read -r stat <"/proc/$pid/stat"; } 2>/dev/null &&
		[[ ${stat##*) } =~ ^([^ ]+ ){19}$began' ' ]]
}

is_up() { alive "$state/init"; }
node_is_up() { alive "$state/nodes/$1/init"; }

need_node() {
	[[ " ${nodes[*]} " == *" $1 "* ]] || misuse "no node '$1'"
	is_up || die "is not up"
}

need_live_node() {
	need_node "$1"
	node_is_up "$1" || die "$1 is powered off"
}

# end PID: kill it, and wait until it is gone
end() {
	kill -9 "$1" 2>/dev/null || return 0
	timeout 20 tail -s 0.02 -f /dev/null --pid="$1" ||
		die "process $1 does not end"
}

# --- the namespaces ---

# launch LOG WHO COMMAND...: start the first process of some namespaces, which
# reports through a FIFO; without any descriptor of ours
launch() {
	local log=$1 who=$2 got=''
	shift 2
	rm -f "$state/ready.$who"
	mkfifo "$state/ready.$who"
	(
		exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
		CLUSTER_ROOT=$root CLUSTER_BINDS=$binds CLUSTER_READY=$state/ready.$who \
			CLUSTER_CGROUPS=$(cgroups_of_profile) \
			"$@" </dev/null >"$log" 2>&1 &
	)
	# Opened for both, it does not matter who comes first.
	read -r -t 20 got <>"$state/ready.$who"
	rm -f "$state/ready.$who"
	[ "$got" = ready ] || fail_with "$log" "$who did not start"
}

start_outer() {
	launch "$state/log/outer" cluster setsid unshare --mount --uts --ipc --net \
		--pid --fork --kill-child "$here/inside" outer "$state"
}

start_namespaces() {
	local outer
	read -r outer _ <"$state/init"
	mkdir -p "$state/nodes/$1"/{upper,work,root} "$state/log/$1"
	make_cgroups "$1"
	launch "$state/log/$1/node" "$1" in_cgroups "$1" \
		setsid nsenter --target "$outer" --mount --net --pid -- \
		unshare --mount --uts --ipc --net --pid --cgroup --fork \
		--kill-child "$here/inside" node "$state" "$1" "10.99.0.1${1#n}"
}

# in_node NODE USER DIR CMD...: run it there, with a clean environment
in_node() {
	local home=/root
	node_is_up "$1" || die "$1 is not up"
	[ "$2" = root ] || home=/home/$2
	# A daemon would hold what is open here: locks, and a test's descriptors.
	in_cgroups "$1" \
		nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup -- \
		/usr/bin/setpriv --reuid "$2" --regid "$2" --init-groups \
		/usr/bin/env -i -C "${3:-$home}" HOME="$home" USER="$2" \
		LOGNAME="$2" SHELL=/bin/bash LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" \
		PATH="$node_path" "${@:4}" \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

as_root() { in_node "$1" root / "${@:2}"; }
