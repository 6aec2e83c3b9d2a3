# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # the rest is in cluster
#
# cgroups.bash - for the profile cgroup: a node has a part of its own of each
# hierarchy, and a cgroup namespace in which that looks like the whole

controllers=(freezer memory cpuset devices)

cgroups_of_profile() { [ "$profile" != cgroup ] || echo "${controllers[*]}"; }

need_cgroups() {
	local c
	for c in "${controllers[@]}"; do
		[ -e "/sys/fs/cgroup/$c/cgroup.procs" ] ||
			die "the profile cgroup needs the version 1 cgroup $c"
	done
}

# make_cgroups NODE
make_cgroups() {
	local c top f
	for c in $(cgroups_of_profile); do
		top=/sys/fs/cgroup/$c/checkpointer-$name
		mkdir -p "$top"
		if [ "$c" = cpuset ]; then
			for f in cpuset.cpus cpuset.mems; do
				cat "$top/../$f" >"$top/$f"
			done
			echo 1 >"$top/cgroup.clone_children"
		fi
		mkdir -p "$top/$1"
	done
}

# in_cgroups NODE COMMAND...: run it in the node's cgroups
in_cgroups() {
	(
		[ "$profile" != cgroup ] || for c in "${controllers[@]}"; do
			echo "$BASHPID" >"/sys/fs/cgroup/$c/checkpointer-$name/$1/cgroup.procs"
		done
		exec "${@:2}"
	)
}

remove_cgroups() {
	local c
	for c in $(cgroups_of_profile); do
		find "/sys/fs/cgroup/$c/checkpointer-$name" -depth -type d \
			-exec rmdir {} + 2>/dev/null
	done
}
