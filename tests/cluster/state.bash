# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154 # the rest is in cluster
#
# state.bash - what a cluster has on disk: configuration, homes, database

write_conf() {
	{
		cat "$here/etc/slurm.conf"
		echo
		cat "$here/etc/profile-$profile.conf"
	} >"$state/etc/slurm.conf"
}

make_state() {
	local user
	mkdir -p "$state"/{etc,log,nodes,home,shared/{bin,cluster}}
	cp -p "$here"/etc/* "$state/etc"
	cp "$here/etc/profile-$profile.cgroup.conf" "$state/etc/cgroup.conf"
	write_conf
	head -c 1024 /dev/urandom >"$state/etc/munge.key"
	chmod 600 "$state/etc/munge.key"
	# It must be slurm's own, and closed to others.
	chmod 600 "$state/etc/slurmdbd.conf"
	chown "$(id_of slurm)" "$state/etc/slurmdbd.conf"
	touch "$state/shared/cluster"/{ended,released}
	chown -R "$(id_of slurm)" "$state/shared/cluster"
	for user in alice bob; do
		cp -r "$root/etc/skel" "$state/home/$user"
		chown -R "$(id_of "$user")" "$state/home/$user"
		chmod 700 "$state/home/$user"
	done
	printf '%s\n' "$profile" >"$state/profile"
	printf '%s\n' "$suite" >"$state/suite"
	printf '%s\n' "$binds" >"$state/binds"
}

id_of() { awk -F: -v u="$1" '$1 == u { print $3 ":" $4 }' "$root/etc/passwd"; }

# libmariadb 11.8.9 refuses what slurmdbd asks: "Number of columns in result (=1)
# set exceeds maximum allowed number of columns (=0)".
mend_suite() {
	local dir=$cache/libmariadb-bookworm lib=$root/usr/local/lib
	[ ! -e "$lib/libmariadb.so.3" ] || return 0
	say "taking libmariadb from Debian 12"
	CHECKPOINTER_SUITE=$suite sh "$top/contrib/debian-root" fetch bookworm \
		libmariadb3 "$dir" &&
		cp "$dir"/usr/lib/*/libmariadb.so.3 "$lib" &&
		rm -rf "$dir" && chroot "$root" ldconfig
}

# With MariaDB's tables, slurmdbd's and ours in the cache all is quicker. They
# are made on the controller of a cluster that is nothing else.
make_database() {
	exec 8>"$cache/cluster-database.lock"
	flock 8
	if [ ! -d "$database" ]; then
		say "making the accounting database (once)"
		make_database_in "$cache/cluster-$name-database" || return
	fi
	exec 8>&-
}

make_database_in() {
	local state=$1 name=$name-database status=0
	rm -rf "$state"
	make_state && start_outer && start_namespaces n0 && fill_database &&
		rm -rf "$cache/database-$suite"-* &&
		cp -a "$state/nodes/n0/upper/var/lib/cluster-db" "$database.new" &&
		mv "$database.new" "$database" || status=$?
	take_down
	return "$status"
}

fill_database() {
	local log=$state/log/database
	{
		as_root n0 mariadb-install-db --defaults-file=/etc/slurm/mariadb.cnf \
			--skip-test-db --auth-root-authentication-method=socket &&
			start_daemon n0 munged && start_daemon n0 mariadbd &&
			as_root n0 mariadb -e 'create user slurm@localhost
				identified via unix_socket;
				grant all on slurm_acct_db.* to slurm@localhost' &&
			start_daemon n0 slurmdbd &&
			fill_accounts &&
			stop_daemon n0 slurmdbd TERM && stop_daemon n0 mariadbd TERM
	} >"$log" 2>&1 || fail_with "$log" "the database could not be made"
}

# shellcheck disable=SC2016 # that is for the shell in the node
fill_accounts() {
	as_root n0 sh -c 'while read -r line; do
		sacctmgr -i $line </dev/null || exit
	done </etc/slurm/accounts'
}

take_down() {
	! is_up || end "$pid"
	# What is left are files: the mounts went with the namespaces.
	remove_cgroups
	rm -rf "$state"
}

# --- checkpointer, for all nodes ---

# install_from DIR: what git would know of it is copied and built on n0
install_from() {
	mkdir -p "$state/shared/build/src"
	tar -c -C "$1" --exclude=./.git --exclude='*.[od]' --exclude=./b \
		--exclude='./build*' --exclude=./config.mak --exclude=./checkpointer . |
		tar -x -C "$state/shared/build/src" --no-same-owner
	# What is in /etc belongs to each node, and the tests put it there.
	# shellcheck disable=SC2016 # that is for the shell in the node
	as_root n0 sh -c 'cd /shared/build &&
		src/configure --prefix=/shared --with-slurm --enable-werror &&
		make -j "$(nproc)" && make install &&
		rm /etc/checkpointer.ini'
}
