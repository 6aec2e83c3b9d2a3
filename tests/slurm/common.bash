# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# common.bash - what the tests on the virtual cluster share
#
# They run on the host, as root. The cluster is up and checkpointer installed in
# its /shared (tests/cluster/cluster up, and install); CHECKPOINTER_CLUSTER names
# it. Files run side by side: one whose tests kill nodes or change slurm.conf has
# a cluster of its own.
#
# A test's directory is below alice's home, which all nodes share: as $work
# there, and as the current directory here. Jobs are alice's, and submitted
# from n0 unless a test says otherwise.

bats_require_minimum_version 1.8.0
# shellcheck source=tests/want.bash disable=SC1091
. "$BATS_TEST_DIRNAME/../want.bash"
export BATS_TEST_TIMEOUT=300
# shellcheck disable=SC2034 # for await
await_seconds=90

cluster() { "$BATS_TEST_DIRNAME/../cluster/cluster" "$@"; }

# own_cluster NAME [ARG...]: for setup_file; the arguments are those of `cluster up'
own_cluster() {
	local bin
	bin=$(cluster path /shared)/bin
	export CHECKPOINTER_CLUSTER=${CHECKPOINTER_CLUSTER:-main}-$1
	cluster up "${@:2}" && cp -a "$bin" "$(cluster path /shared)"
}

setup() {
	work=$(cluster run --user alice n0 mktemp -d /home/alice/test.XXXXXX)
	cd "$(cluster path "$work")" || return
	ended=$(cluster path /shared/cluster/ended)
}

teardown() {
	local j
	[ -n "${work:-}" ] || return
	[ -n "${BATS_TEST_COMPLETED:-}" ] || show_what_happened
	# Its jobs, and those that they have submitted.
	for j in $(jobs_here); do
		on n0 scancel "$j" || :
	done
}

# jobs_here: the jobs that were submitted in this test's directory
jobs_here() { on_root n0 squeue -h -o '%A %Z' | sed -n "s,^\([0-9]*\) $work\(/.*\)*\$,\1,p"; }

show_what_happened() {
	local f j
	for f in slurm-*.out out err; do
		[ ! -s "$f" ] || { echo "--- $f:"; tail -n 40 "$f"; }
	done
	# shellcheck disable=SC2046,SC2086 # words they are
	for j in $(printf '%s\n' $(jobs_here) ${job:-} | sort -u); do
		on_root n0 scontrol show job "$j" || :
		for f in n0/slurm/slurmctld n{1,2,3}/slurm/slurmd; do
			echo "--- $f.log, of job $j:"
			grep -E "(JobId=|[[]|[Jj]ob(id)? )$j\>" \
				"$(cluster path /log)/$f.log" | tail -n 30
		done
	done
}

# on NODE CMD...: as alice, in the test's directory
on() { cluster run --user alice --chdir "$work" "$@"; }
on_root() { cluster run "$@"; }

# fails COMMAND...: bats does not mind a command after "!"
fails() { ! "$@"; }

# write FILE: from stdin, a file that alice may run
write() { cat >"$1" && chmod 755 "$1"; }

# --- jobs ---

# submit [SBATCH-OPTION...] SCRIPT [ARG...]: sets job, and out, its output
submit() { submit_on n0 "$@"; }

submit_on() {
	job=$(on "$1" sbatch --parsable "${@:2}") || fail "sbatch: $job" || return
	# shellcheck disable=SC2034 # for the tests
	out=slurm-$job.out
}

# job_ends JOB [SECONDS]: wait for its last end, until no process of it is left. At
# each end of a leg, too, slurmctld adds a line to $ended, and then has to be asked.
job_ends() {
	local until=$((SECONDS + ${2:-120})) seen=0
	until is_over "$1"; do
		seen=$((seen + 1))
		await_seconds=$((until > SECONDS ? until - SECONDS : 1)) \
			await "$ended" "^$1 " "$seen" && released "$1" || return
	done
}

# is_over JOB: is its state one that does not change any more? While a job is
# completing, Slurm shows nothing else of it.
is_over() {
	local state tries=300
	while state=$(job_state "$1"); [ "$state" = COMPLETING ]; do
		[ $((tries--)) -gt 0 ] || fail "job $1 is still completing" || return
		sleep 0.2
	done
	case $state in
	COMPLETED | CANCELLED | FAILED | TIMEOUT | PREEMPTED | NODE_FAIL | \
		OUT_OF_MEMORY | BOOT_FAIL | DEADLINE) ;;
	*) return 1 ;;
	esac
}

# released JOB: no node has anything of it any more. Slurm tells nobody when
# that is so, therefore it is asked again and again.
released() {
	local tries=300
	while on_root n0 squeue -h -t completing -j "$1" 2>/dev/null | grep -q .; do
		[ $((tries--)) -gt 0 ] || fail "job $1 is still completing" || return
		sleep 0.2
	done
}

# job_starts JOB [N]: until its script runs, for the Nth time; the script's
# first line of output tells
job_starts() { await "slurm-$1.out" '^leg begins' "${2:-1}"; }

# job_field JOB FIELD: as scontrol shows it, or else sacct
job_field() {
	local all
	all=$(on_root n0 scontrol show job "$1" 2>/dev/null)
	if [ -n "$all" ]; then
		# Up to the next field: a text may have blanks.
		sed -n "s/\(.* \|^\)$2=\(.*\)/\2/; T
			s/ [A-Z][A-Za-z:\/]*=.*//; s/ *$//; p; q" <<<"$all"
		return
	fi
	on_root n0 sacct -n -P -X -j "$1" -o "$(sacct_name "$2")" | tail -n 1
}

sacct_name() {
	case $1 in
	JobState) echo State ;;
	StartTime) echo Start ;;
	EndTime) echo End ;;
	SubmitTime) echo Submit ;;
	*) echo "$1" ;;
	esac
}

job_state() { job_field "$1" JobState; }

# want_state STATE [JOB]
want_state() {
	local is
	is=$(job_state "${2:-$job}")
	[ "$is" = "$1" ] || fail "job ${2:-$job} is $is, not $1"
}

# legs_in_slurm JOB: how often it has run, by the accounting
legs_in_slurm() { on_root n0 sacct -D -n -X -P -j "$1" -o State | wc -l; }

# --- preemption ---

# low PARTITION CPUS SECONDS: a job there, started
low() {
	submit -p "$1" -c "$2" --requeue --open-mode=append \
		--wrap "echo leg begins; sleep $3"
	job_starts "$job"
}

# preempt JOB...: with a job in the partition high, that tells of their states
preempt() {
	submit -p high -c 4 --wrap \
		"for j in $*; do scontrol show job \$j | grep JobState; done; sleep 2"
	job_ends "$job"
}
