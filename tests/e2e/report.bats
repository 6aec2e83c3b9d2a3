#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# report.bats - what has become of a chain: on a terminal, as a page, as JSON
#
# The page in a browser: tests/browser.

# common.bash and bats set variables, for one test only.
# shellcheck disable=SC2030,SC2031,SC2154

load common

setup_file() {
	# Python's parser takes anything; so tags are counted here.
	cat >"$BATS_FILE_TMPDIR/page.py" <<-'X'
		import html.parser, json, re, sys
		void = {"meta", "br", "link", "img", "input", "hr"}
		page, journal = open(sys.argv[1], encoding="utf-8").read(), sys.argv[2]
		stack, ids, links, scripts = [], set(), set(), 0
		class Page(html.parser.HTMLParser):
		    def handle_starttag(self, tag, attrs):
		        global scripts
		        attrs = dict(attrs)
		        scripts += tag == "script"
		        if tag not in void:
		            stack.append(tag)
		        if "id" in attrs:
		            assert attrs["id"] not in ids, "twice: " + attrs["id"]
		            ids.add(attrs["id"])
		        if "href" in attrs:
		            links.add(attrs["href"])
		        for name in attrs:
		            assert not name.startswith("on"), name
		            assert name not in ("src", "srcset", "action", "style"), name
		    def handle_startendtag(self, tag, attrs):
		        self.handle_starttag(tag, attrs)
		        if tag not in void:
		            stack.pop()
		    def handle_endtag(self, tag):
		        assert stack and stack[-1] == tag, (tag, stack, self.getpos())
		        stack.pop()
		Page().feed(page)
		assert not stack, stack
		assert scripts == 1, "%d scripts" % scripts
		assert all(l[0] == "#" and l[1:] in ids for l in links), links
		assert not re.search(r"://|url\(|@import|fetch\(|XMLHttp", page)
		for line in open(journal):
		    j = json.loads(line)
		    if j["event"] == "leg":
		        assert "leg-%d" % j["leg"] in ids, j
		        assert j["host"] in page and j["key"] in page, j
	X
}

# chopped COMMAND...: chain t, of three legs or more
chopped() {
	in_legs "$@" >out 2>err
	want_legs 3
}

@test "a page: whole, of itself alone, with each leg" {
	chopped bash count.sh 40 0.05 '<script>alert(1)</script>' '</code>"&'
	run -0 --separate-stderr checkpointer report t --html=page.html
	[ "$output$stderr" = "" ]
	python3 "$BATS_FILE_TMPDIR/page.py" page.html "$journal"
	want page.html '&lt;script&gt;alert(1)&lt;/script&gt;'
	want_not page.html '<script>'
	want page.html 'finished (0)'
	[ "$(stat -c %a page.html)" = 600 ]
	[ "$(echo page*)" = page.html ]
	# The same on standard output, but for the word that lets its script run.
	checkpointer report --html t >other.html
	checkpointer report t --html=- >third.html
	python3 "$BATS_FILE_TMPDIR/page.py" other.html "$journal"
	[ "$(wc -l <other.html)" = "$(wc -l <third.html)" ]
	# It is replaced as a whole.
	echo old >page.html
	ln page.html kept
	run -0 checkpointer report t --html=page.html
	[ "$(<kept)" = old ]
	python3 "$BATS_FILE_TMPDIR/page.py" page.html "$journal"
}

@test "facts for programs" {
	chopped bash count.sh 40 0.05
	checkpointer report t --json >facts.json
	python3 - "$journal" <<-'X'
		import json, sys
		facts = json.load(open("facts.json"))
		lines = [json.loads(l) for l in open(sys.argv[1])]
		legs = [l for l in lines if l["event"] == "leg"]
		dumps = [l for l in lines if l.get("on") == "dumped"]
		assert facts["chain"] == "t" and facts["state"] == "finished"
		assert [l["leg"] for l in facts["legs"]] == [l["leg"] for l in legs]
		assert facts["steps"][0]["argv"][0] == "bash"
		sums = facts["sums"]
		assert sums["dumps"] == len(dumps) and sums["deaths"] == 0
		assert sums["lost"] == sums["lost_at_most"] == 0
		parts = ("run", "dump", "restore", "other", "queue", "paused", "unknown")
		assert abs(sum(sums[p] for p in parts) - sums["total"]) < 0.01
		spans = [s for l in facts["legs"] for p in l["steps"] for s in p["spans"]]
		assert [s["memory"] for s in spans if s["what"] == "dump" and "memory" in s
		    ] == [d["memory"] for d in dumps]
	X
}

@test "a table in a pipe, a timeline on a terminal" {
	chopped bash count.sh 40 0.05
	run -0 checkpointer report t
	[[ $output == *"finished (0)"* && $output != *"in all"* ]]
	[[ $output != *$'\e'* ]]
	run -0 env COLUMNS=70 checkpointer report t --timeline
	[[ $output == *"in all"*computing*"lost work"*none* ]]
	[[ $output == *'# checkpoint'* && $output != *$'\e'* ]]
	for line in "${lines[@]}"; do
		[[ $line != *'|'*'|'* ]] || [ "${#line}" = 70 ]
	done
	run -0 env COLUMNS=70 TERM=xterm script -qec 'checkpointer report t' /dev/null
	[[ $output == *"in all"* && $output == *$'\e[0;32m='* ]]
	run -0 env NO_COLOR=1 TERM=xterm script -qec 'checkpointer report t' /dev/null
	[[ $output == *"in all"* && $output != *$'\e'* ]]
}

@test "a leg that died, and its work that is lost" {
	start -- bash gated.sh one two
	await out 'at one'
	save_one 1
	kill -9 "$pid"
	finish
	touch one two
	run -0 checkpointer report t --timeline
	[[ $output == *died*"chain t: died"* ]]
	run -0 plainly checkpointer -q restore t
	checkpointer report t --json >facts.json
	python3 - <<-'X'
		import json
		sums = json.load(open("facts.json"))["sums"]
		assert sums["deaths"] == 1 and sums["unknown"] > 0, sums
		assert 0 < sums["lost_at_most"] <= 60, sums
	X
	checkpointer report t --html=page.html
	python3 "$BATS_FILE_TMPDIR/page.py" page.html "$journal"
	want page.html 'this is the last that was heard of it'
}

@test "what cannot be done is refused, and changes nothing" {
	run -0 plainly checkpointer -q -c t -- true
	run -64 --separate-stderr checkpointer report t --html --json
	[ "${#stderr_lines[@]}" = 1 ]
	run -64 --separate-stderr checkpointer report t --html=
	[ "${#stderr_lines[@]}" = 1 ]
	run -64 --separate-stderr checkpointer --html report t
	[[ $stderr == *"option of"*report* ]]
	mkdir there
	ln -s nowhere link
	for name in there link /dev/null no/where; do
		run -73 --separate-stderr checkpointer report t "--html=$name"
		[ "${#stderr_lines[@]}" = 1 ]
		[[ $stderr == *"$name"* ]]
	done
	[ -c /dev/null ]
	[ -L link ]
	[ "$(echo there* nowhere*)" = 'there nowhere*' ]
	for how in --html --json --timeline; do
		run -74 --separate-stderr bash -c "checkpointer report t $how >/dev/full"
		[ "${#stderr_lines[@]}" = 1 ]
	done
}
