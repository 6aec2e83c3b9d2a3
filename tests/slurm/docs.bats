#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docs.bats - what the documents show of a cluster is what happens there

# shellcheck disable=SC2016,SC2154
load common
# shellcheck source=tests/transcript.bash disable=SC1091
. "$BATS_TEST_DIRNAME/../transcript.bash"

top=$BATS_TEST_DIRNAME/../..

# Checkpoints beside the rest, as there is but one home for all tests.
play_there() {
	play "$1" 'a cluster' "$work" on n0 env await_seconds=200 \
		CHECKPOINTER_CHECKPOINT_DIR="$work/.checkpointer" \
		CHECKPOINTER_FILES_SHARED_PATHS=/home bash --norc
}

@test "the tutorial, on a cluster" {
	play_there "$top/docs/tutorial.md"
}

@test "the batch scripts of the README" {
	local s jobs=()
	echo 'print(sum(1:10))' | tee prepare.R >fit.R
	split_document "$top/README.md" .blocks
	write_script .blocks 'a cluster' >.script
	on n0 bash .script
	for s in fit parts steps; do
		submit "$s.sh"
		jobs+=("$job")
	done
	for job in "${jobs[@]}"; do
		job_ends "$job"
		want_state COMPLETED
	done
	want_lines 1 "slurm-${jobs[0]}.out" '[1] 55'
	want_lines 3 "slurm-${jobs[1]}.out" '[1] 55'
	want_lines 2 "slurm-${jobs[2]}.out" '[1] 55'
}
