#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# contrib.bats - what surrounds checkpointer, as far as it needs no Slurm

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154

load common

contrib=$BATS_TEST_DIRNAME/../../contrib
version=$(<"$BATS_TEST_DIRNAME/../../VERSION")

# --- packages ---

@test "the packages are of this version" {
	[[ $(head -n 1 "$contrib/debian/changelog") == "checkpointer ($version-"* ]]
	[ "$(rpmspec -q --qf '%{VERSION}\n' "$contrib/checkpointer.spec")" = "$version" ]
	rpmspec -P "$contrib/checkpointer.spec" >with
	rpmspec -P --without slurm "$contrib/checkpointer.spec" >without
	want with --with-slurm
	want without --without-slurm
}

# --- modules ---

@test "the module files put the program into PATH" {
	cat >stubs.tcl <<-'X'
		foreach word {module-whatis conflict} { proc $word args {} }
		proc prepend-path args { puts [join $args =] }
		source [lindex $argv 0]
		ModulesHelp
	X
	run -0 --separate-stderr tclsh stubs.tcl "$contrib/modulefiles/checkpointer"
	[ "$output" = PATH=/opt/checkpointer/bin ]
	[[ $stderr == *'checkpointer(1)'* ]]
	cat >stubs.lua <<-'X'
		function help() end
		whatis, conflict = help, help
		function pathJoin(...) return table.concat({...}, "/") end
		function prepend_path(...) print(table.concat({...}, "=")) end
		dofile(arg[1])
	X
	run -0 lua5.4 stubs.lua "$contrib/modulefiles/checkpointer.lua"
	[ "$output" = PATH=/opt/checkpointer/bin ]
}

# --- Slurm ---

# filtered SCRIPT [NAME=VALUE...]: sbatch's options behind cli_filter.lua
filtered() {
	printf '%s\n' '#!/bin/sh' "$1" >job.sh
	cat >filter.lua <<-'X'
		slurm = { SUCCESS = 0 }
		dofile(arg[1])
		local options = { type = "sbatch", signal = "0@0", requeue = "unset",
			argv = { "job.sh" } }
		for i = 2, #arg do
			local name, value = arg[i]:match("^(.-)=(.*)$")
			options[name] = value
		end
		assert(slurm_cli_setup_defaults(options, false) == slurm.SUCCESS)
		assert(slurm_cli_pre_submit(options, 0) == slurm.SUCCESS)
		assert(slurm_cli_post_submit(0, 1, 0) == slurm.SUCCESS)
		print(options.signal, options.requeue)
	X
	run -0 lua5.4 filter.lua "$contrib/slurm/cli_filter.lua" "${@:2}"
	output=${output//$'\t'/ }
}

@test "cli_filter.lua: only scripts with checkpointer, and only what is not given" {
	for line in 'checkpointer' 'checkpointer -- x' '  /opt/bin/checkpointer -m 5m' \
		'exec checkpointer -- x' 'x=$(checkpointer -- x)' 'true;checkpointer -- x' \
		'cd x && checkpointer -- x | y'; do
		filtered "$line"
		[ "$output" = 'B:USR1@600 requeue' ] || fail "$line: $output"
	done
	for line in '# checkpointer' '  #checkpointer' 'module load checkpointer' \
		'mycheckpointer -- x' 'checkpointer.old -- x' 'checkpointers' \
		'ls checkpointer/x' 'true'; do
		filtered "$line"
		[ "$output" = '0@0 unset' ] || fail "$line: $output"
	done
	filtered 'checkpointer' signal=TERM@5 requeue=no-requeue
	[ "$output" = 'TERM@5 no-requeue' ]
	filtered 'checkpointer' type=srun requeue=invalid-context
	[ "$output" = '0@0 invalid-context' ]
	filtered 'true' wrap='checkpointer -- x'
	[ "$output" = 'B:USR1@600 requeue' ]
	filtered 'checkpointer' wrap='true'
	[ "$output" = '0@0 unset' ]
}

@test "cli_filter.lua: short jobs get their signal later, or none" {
	for case in 01:00:00=600 1-00:00:00=600 UNLIMITED=600 00:30:00=600 \
		00:12:00=240 00:06:00=120 00:02:00=40; do
		filtered 'checkpointer' "time=${case%=*}"
		[ "$output" = "B:USR1@${case#*=} requeue" ] || fail "$case: $output"
	done
	filtered 'checkpointer' time=00:01:59
	[ "$output" = '0@0 requeue' ]
}

@test "job_submit.lua: such a job may be requeued" {
	cat >submit.lua <<-'X'
		slurm = { SUCCESS = 0, NO_VAL16 = 65534 }
		dofile(arg[1])
		for _, script in ipairs({ "checkpointer\n", "true\n", false }) do
			for _, requeue in ipairs({ 65534, 0, 1 }) do
				local job = { script = script or nil, requeue = requeue }
				assert(slurm_job_submit(job, {}, 0) == slurm.SUCCESS)
				io.write(job.requeue, " ")
			end
		end
		assert(slurm_job_modify({}, {}, {}, 0) == slurm.SUCCESS)
	X
	run -0 lua5.4 submit.lua "$contrib/slurm/job_submit.lua"
	[ "$output" = '1 0 1 65534 0 1 65534 0 1 ' ]
}

# --- the log ---

@test "logrotate empties the log that jobs hold open" {
	install -m 622 /dev/null messages
	sed "s,/var/log/checkpointer.log,$work/messages," "$contrib/logrotate/checkpointer" >rules
	start -s log.file="$work/messages" -- bash gated.sh one
	await messages 'leg 1 of t: running'
	/usr/sbin/logrotate -f -s "$work/rotated" rules
	want <(zcat messages.1.gz) 'leg 1 of t: running'
	want_empty messages
	save_one 1
	want messages 'checkpoint 1 of t:'
	touch one
	ends_with 0
}

# --- metrics ---

textfile() { "$contrib/prometheus/checkpointer-textfile" "$@"; }

# well_formed FILE: what Prometheus reads, each sample behind its HELP and TYPE
well_formed() {
	python3 - "$1" <<-'X'
		import re, sys
		known, seen = None, set()
		for line in open(sys.argv[1]):
		    words = line.split()
		    if line.startswith("# HELP "):
		        known = words[2]
		        assert known not in seen, line
		        seen.add(known)
		    elif line.startswith("# TYPE "):
		        assert words[2:] == [known, "gauge"], line
		    else:
		        m = re.fullmatch(r'(\w+)\{(\w+="(?:[^"\\]|\\.)*",?)+\} ([0-9.e+]+)\n', line)
		        assert m and m[1] == known, line
		        float(m[3])
	X
}

@test "metrics: chains by state, sizes, the newest checkpoint" {
	plainly checkpointer -q -c first -d "$work/chains" -- true
	start -q -d "$work/chains" -- bash gated.sh one
	journal=$work/chains/t/journal
	await_state running
	kill -USR2 "$pid"
	await_event dumped
	run -0 textfile -o metrics "$work/chains"
	[ "$output" = '' ]
	[ "$(stat -c %a metrics)" = 644 ]
	[ -z "$(find . -name '.checkpointer-*')" ]
	well_formed metrics
	want metrics "checkpointer_readable{of=\"$work/chains\"} 1"
	want metrics "checkpointer_chains{of=\"$work/chains\",state=\"running\"} 1"
	want metrics "checkpointer_chains{of=\"$work/chains\",state=\"finished\"} 1"
	want metrics "checkpointer_chains{of=\"$work/chains\",state=\"died\"} 0"
	want metrics "checkpointer_generations{of=\"$work/chains\"} 1"
	grep -q "^checkpointer_disk_bytes{.*} [1-9][0-9]*$" metrics
	grep -q "^checkpointer_last_checkpoint_timestamp_seconds{.*,chain=\"t\"} $(($(date +%s) / 1000))" metrics
	touch one
	ends_with 0
}

@test "metrics: what cannot be read is told, and the rest is there" {
	mkdir -m 700 empty
	run -1 --separate-stderr textfile "$work/missing" nobody-of-this-name "$work/empty"
	[[ $stderr == *missing* && $stderr == *nobody-of-this-name* ]]
	echo "$output" >metrics
	well_formed metrics
	want metrics "checkpointer_readable{of=\"$work/missing\"} 0"
	want metrics "checkpointer_readable{of=\"$work/empty\"} 1"
	echo before >old
	chmod 500 .
	run -1 textfile -o old "$work/empty"
	chmod 700 .
	[ "$(<old)" = before ]
}

# --- workflows ---

# The bare form under the local scheduler: what submits is `batch', which ends
# with the job.
@test "Snakemake's jobs go on over several legs" {
	command -v snakemake >/dev/null || skip "there is no snakemake"
	cat >Snakefile <<-'X'
		rule all:
		    input: "sum"
		rule part:
		    output: "part-{n}"
		    shell: "bash count.sh 40 0.05 >{output}"
		rule sum:
		    input: "part-1", "part-2"
		    output: "sum"
		    shell: "cat {input} >{output}"
	X
	cp -r "$contrib/snakemake" profile
	sed -i '/^cluster:/,/--output/d' profile/config.yaml
	echo 'cluster: checkpointer -q -t 3s -m 1.5s batch' >>profile/config.yaml
	PATH=$PATH:/usr/bin plainly snakemake --profile profile --jobs 2 \
		--latency-wait 5 >snakemake.out 2>&1 || fail "$(cat snakemake.out)"
	bash count.sh 40 0 >want
	want_same want part-1
	want_same want part-2
	cat want want >want-sum
	want_same want-sum sum
	# Some job took more than one leg.
	grep -q '"leg":2' "$HOME"/.checkpointer/*/journal
}
