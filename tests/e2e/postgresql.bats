#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# postgresql.bats - a database server inside the command: shared memory of
# System V and of no name, many processes, sockets between them.

# shellcheck disable=SC2016,SC2154 # for the shell of the command; in common.bash

load common
# The machine may be busy, and these are many processes.
export BATS_TEST_TIMEOUT=240

write_server() {
	# server.sh DIRECTORY: a table, row by row, each from the one before;
	# behind some it waits for a file in the directory
	cat >server.sh <<-'X'
		set -e
		dir=$1
		PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
		export PGHOST=$dir PGDATABASE=postgres PGUSER=me LC_ALL=C
		initdb -D "$dir/data" -U me -A trust -N --no-locale >"$dir/initdb"
		pg_ctl -D "$dir/data" -l "$dir/log" -w \
			-o "-c listen_addresses='' -k $dir" start >"$dir/start"
		psql -qc 'create table t (i int primary key, h text)'
		for ((i = 1; i <= 30; i++)); do
			echo "insert into t select $i, md5('$i' ||
				coalesce((select h from t where i = $i - 1), ''));"
			echo "select i, h from t where i = $i;"
			case $i in
			3 | 7 | 11) until [ -e "$dir/past.$i" ]; do sleep 0.02; done ;;
			esac
		done | psql -v ON_ERROR_STOP=1 -qAt
		psql -At -c "select count(*), md5(string_agg(h, '' order by i)) from t"
		pg_ctl -D "$dir/data" -m fast -w stop >"$dir/stop"
		echo "stopped: $?"
	X
}

@test "PostgreSQL and its client are continued, and the table is the same" {
	write_server
	mkdir plain legs
	touch plain/past.{3,7,11}
	bash server.sh "$work/plain" >want
	start -- bash server.sh "$work/legs"
	for i in 3 7 11; do
		await out "^$i|"
		kill -USR1 "$pid"
		await err "leg $((i / 4 + 2)) of t: restored"
		touch "legs/past.$i"
	done
	ends_with 0
	want_same out want
	[ "$(grep -c 'checkpoint complete: wrote' legs/log)" -ge 1 ]
	run -1 grep -E 'PANIC|FATAL|was terminated by signal' legs/log
}
