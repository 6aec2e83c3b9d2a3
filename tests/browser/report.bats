#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# report.bats - the page of a chain in a browser; tests/run --browser

# bats and common.bash set variables, for one test only.
# shellcheck disable=SC2030,SC2031,SC2154

load ../e2e/common

@test "a click on a leg, and the arrow keys, show its details" {
	in_legs bash count.sh 40 0.05 '<script>alert(1)</script>' >out 2>err
	want_legs 3
	checkpointer report t --html=page.html
	timeout 50 python3 "$BATS_TEST_DIRNAME/page.py" page.html
}
