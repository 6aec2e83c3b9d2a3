#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# network.bats - TCP: a network of the step's own, and what goes beyond it.
# CRIU_NEXT names a criu that can dump TCP sockets on any kernel, which Debian
# 13's own may not; tests/in-sandbox does.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# criu_next: its options, as all but the tests of refusal need it
criu_next() {
	[ -x "${CRIU_NEXT:-}" ] || fail "CRIU_NEXT is not set"
	options=(-s "criu.binary=$CRIU_NEXT")
}

# next_leg N: it leaves, and leg N is restored
next_leg() {
	kill -USR1 "$pid"
	await err "leg $1 of t: restored"
}

# pair.py ADDRESS ROUNDS: two processes send each other numbered blocks at the
# same time, faster than these are read, and check what arrives, to the last byte;
# near the end they wait for the file `finish'
write_pair() {
	cat >pair.py <<-'X'
		import hashlib, os, socket, sys, threading, time
		addr, rounds = sys.argv[1], int(sys.argv[2])
		family = socket.AF_INET6 if ":" in addr else socket.AF_INET
		server = socket.socket(family)
		server.bind((addr, 0))
		server.listen()
		child = os.fork()
		if child:
		    sock, _ = server.accept()
		else:
		    sock = socket.socket(family)
		    sock.connect(server.getsockname())
		    server.close()
		me, other = ("parent", "child") if child else ("child", "parent")
		def block(who, n):
		    return hashlib.sha256(f"{who} {n}".encode()).digest() * 2000
		def send():
		    for n in range(rounds):
		        sock.sendall(block(me, n))
		    sock.shutdown(socket.SHUT_WR)
		sender = threading.Thread(target=send)
		sender.start()
		for n in range(rounds):
		    while n == rounds - 10 and not os.path.exists("finish"):
		        time.sleep(0.02)
		    want, got = block(other, n), b""
		    while len(got) < len(want):
		        part = sock.recv(min(len(want) - len(got), 7000))
		        if not part:
		            sys.exit(f"{me}: the end in block {n}")
		        got += part
		    if got != want:
		        sys.exit(f"{me}: block {n} is wrong")
		    if child:
		        print("block", n, flush=True)
		    time.sleep(0.005)
		if sock.recv(1):
		    sys.exit(f"{me}: more than there should be")
		sender.join()
		if child and os.waitpid(child, 0)[1]:
		    sys.exit("the child has failed")
		if child:
		    print("end", flush=True)
	X
}

# pair ADDRESS: three legs of it
pair() {
	criu_next
	write_pair
	start "${options[@]}" -- python3 pair.py "$1" 300
	await out '^block 20$'
	next_leg 2
	await out '^block 100$'
	next_leg 3
	touch finish
	ends_with 0
	{ seq -f 'block %g' 0 299; echo end; } >want
	want_same out want
	want_no_warning
}

want_no_warning() {
	! grep -E 'warning|error' err || fail "that is no quiet run"
}

@test "a connection over 127.0.0.1 with data under way goes on, over three legs" {
	pair 127.0.0.1
}

@test "a connection over ::1 with data under way goes on, over three legs" {
	pair ::1
}

@test "a saved checkpoint does not disturb connections, nor does one that is given up" {
	criu_next
	write_pair
	hold_dump
	start "${options[@]}" -s checkpoint.retry=1h -s checkpoint.dump_timeout=5s \
		-s "criu.extra=action-script $PWD/hold" -- \
		python3 pair.py 127.0.0.1 300
	await out '^block 20$'
	kill -USR2 "$pid"
	reached at
	release go
	await err 'checkpoint 1 of t:'
	await out '^block 50$'
	# Held with all connections in criu's hands, until the time is over.
	kill -USR2 "$pid"
	reached at
	await err 'the command runs on, next try in 1 h'
	touch finish
	ends_with 0
	grep -qx end out
}

@test "a listening socket is served in the next leg" {
	criu_next
	cat >server.py <<-'X'
		import os, socket, time
		server = socket.create_server(("127.0.0.1", 5077), backlog=7)
		print("listens", flush=True)
		while not os.path.exists("connect"):
		    time.sleep(0.02)
		client = socket.create_connection(("127.0.0.1", 5077))
		client.sendall(b"hello\n")
		print(server.accept()[0].recv(10).decode(), end="", flush=True)
	X
	start "${options[@]}" -- python3 server.py
	await out listens
	next_leg 2
	touch connect
	ends_with 0
	grep -qx hello out
}

@test "an R PSOCK cluster works on, over three legs" {
	criu_next
	cat >psock.R <<-'X'
		library(parallel)
		cluster <- makePSOCKcluster(2)
		for (i in 1:40) {
		    part <- parLapply(cluster, 1:4, function(k, i) {
		        Sys.sleep(0.02)
		        sum((1:(1000 * k)) %% i)
		    }, i)
		    cat("round", i, unlist(part), "\n")
		    flush(stdout())
		}
		stopCluster(cluster)
		cat("end\n")
	X
	Rscript psock.R >want
	start "${options[@]}" -- Rscript psock.R
	await out '^round 5 '
	next_leg 2
	await out '^round 15 '
	next_leg 3
	ends_with 0
	want_same out want
	want_no_warning
}

@test "UDP on the loopback goes on" {
	criu_next
	cat >udp.py <<-'X'
		import os, socket, time
		a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		a.bind(("127.0.0.1", 0))
		b.bind(("127.0.0.1", 0))
		a.connect(b.getsockname())
		b.connect(a.getsockname())
		print("ready", flush=True)
		while not os.path.exists("go"):
		    time.sleep(0.02)
		for i in range(5):
		    a.send(b"%d" % i)
		    b.send(b.recv(10) + b"!")
		    print(a.recv(10).decode(), flush=True)
	X
	start "${options[@]}" -- python3 udp.py
	await out ready
	next_leg 2
	touch go
	ends_with 0
	grep -qx '4!' out
}

# --- refused, and with what to do ---

# talk.py HOST PORT: says hello whenever a file say-N is there, prints the answer
write_talk() {
	cat >talk.py <<-'X'
		import os, socket, sys, time
		def gate(name):
		    while not os.path.exists(name):
		        time.sleep(0.02)
		sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
		print("connected", flush=True)
		for n in range(1, 4):
		    gate(f"say-{n}")
		    try:
		        sock.sendall(b"hello %d\n" % n)
		        print("got", sock.recv(100).decode().strip(), flush=True)
		    except OSError as e:
		        print("lost:", type(e).__name__, flush=True)
		        break
		gate("finish")
		print("end", flush=True)
	X
}

# serve: an echoing server on the host's loopback; $port
serve() {
	cat >serve.py <<-'X'
		import socketserver
		class Echo(socketserver.StreamRequestHandler):
		    def handle(self):
		        for line in self.rfile:
		            self.wfile.write(b"echo of " + line)
		class Server(socketserver.ThreadingTCPServer):
		    daemon_threads = True
		with Server(("127.0.0.1", 0), Echo) as s:
		    print("port", s.server_address[1], flush=True)
		    s.serve_forever()
	X
	python3 serve.py >serve.out 3>&- &
	started+=($!)
	await serve.out port
	port=$(cut -d' ' -f2 serve.out)
}

@test "on the host's network a connection is told early, and refused with advice" {
	criu_next
	write_pair
	start "${options[@]}" -s capsule.network=host -s checkpoint.look_after=1s \
		-- python3 pair.py 127.0.0.1 1000
	await err 'descriptor [0-9]*, a TCP connection to 127.0.0.1:[0-9]*, cannot be checkpointed; put network = private under \[capsule\]'
	kill -USR2 "$pid"
	await err 'the dump failed: a network connection is open: .* put network = private under \[capsule\]'
}

@test "with a criu that cannot dump TCP, the network stays the host's" {
	[ "$("$(real_criu)" --version | cut -d' ' -f2 | cut -d. -f1-2)" = 4.1 ] ||
		skip "this criu is another one"
	cat >listen.py <<-'X'
		import socket, time
		s = socket.create_server(("127.0.0.1", 0))
		print("listens", flush=True)
		while True:
		    time.sleep(1)
	X
	start -s checkpoint.look_after=1s -- python3 listen.py
	await err 'a TCP socket, which criu 4.1 cannot dump on Linux .*install CRIU 4.2'
	[ "$(readlink "/proc/$(root_of "$pid")/ns/net")" = \
		"$(readlink /proc/self/ns/net)" ]
}

@test "a connection to the outside is told early and refused; the command goes on" {
	criu_next
	write_talk
	serve
	start "${options[@]}" -s checkpoint.look_after=1s -- \
		python3 talk.py 192.0.0.1 "$port"
	await err "a TCP connection to 192.0.0.1:$port, cannot be checkpointed; close it"
	kill -USR2 "$pid"
	await err "has descriptor [0-9]*, a TCP connection to 192.0.0.1:$port outside the command: .*outside_connections = close"
	touch say-1 say-2 say-3 finish
	ends_with 0
	grep -qx 'got echo of hello 3' out
}

@test "outside_connections = close: they are closed at the restore, and no sooner" {
	criu_next
	write_talk
	serve
	start "${options[@]}" -s capsule.outside_connections=close -- \
		python3 talk.py 192.0.0.1 "$port"
	await out connected
	save_one 1
	touch say-1
	await out 'got echo of hello 1'
	next_leg 2
	touch say-2
	await out 'lost: Connection'
	touch finish
	ends_with 0
	want_no_warning
}

@test "a tunnel that listened before is there inside, in each leg" {
	criu_next
	serve
	cat >ask.sh <<-'X'
		ask() {
			exec 5<>"/dev/tcp/127.0.0.1/$1"
			echo hello >&5
			read -r answer <&5
			exec 5>&-
			echo "$answer"
		}
		ask "$1"
		until [ -e again ]; do sleep 0.02; done
		ask "$1"
	X
	start "${options[@]}" -- bash ask.sh "$port"
	await out 'echo of hello'
	next_leg 2
	touch again
	ends_with 0
	[ "$(grep -c 'echo of hello' out)" = 2 ]
}

@test "the loopback inside is not the host's; pasta sleeps until there is a packet" {
	local tries=0
	criu_next
	cat >inside.py <<-'X'
		import os, socket, time
		server = socket.create_server(("127.0.0.1", 5078))
		print("ready", flush=True)
		while not os.path.exists("port"):
		    time.sleep(0.02)
		port = int(open("port").read())
		with socket.socket() as s:
		    print("inside", s.connect_ex(("127.0.0.1", port)), flush=True)
		# Only now pasta is waked.
		with socket.create_connection(("192.0.0.1", port)) as s:
		    s.sendall(b"hello\n")
		    print(s.recv(100).decode(), end="", flush=True)
	X
	start "${options[@]}" -- python3 inside.py
	await out ready
	# It is stopped when it has set itself up; nothing tells.
	until [ "$(ps -o state= -C pasta.avx2 -C pasta)" = T ]; do
		((tries++ < 300)) ||
			fail "not stopped: $(ps -o pid,ppid,state,etime,args -C pasta.avx2 -C pasta)"
		sleep 0.1
	done
	run -1 bash -c 'exec 5<>/dev/tcp/127.0.0.1/5078'
	serve
	echo "$port" >port.new
	mv port.new port
	ends_with 0
	# ECONNREFUSED
	grep -qx 'inside 111' out
	grep -qx 'echo of hello' out
}

@test "a port is led inside" {
	criu_next
	cat >inside.py <<-'X'
		import socket
		server = socket.create_server(("0.0.0.0", 80 + 5000))
		print("ready", flush=True)
		for _ in range(2):
		    server.accept()[0].sendall(b"from inside\n")
	X
	start "${options[@]}" -s capsule.ports=5079:5080 -- python3 inside.py
	await out ready
	[ "$(timeout 20 bash -c 'cat </dev/tcp/127.0.0.1/5079')" = 'from inside' ]
	next_leg 2
	[ "$(timeout 20 bash -c 'cat </dev/tcp/127.0.0.1/5079')" = 'from inside' ]
	ends_with 0
}

@test "without pasta the network is the host's, unless it is asked for" {
	criu_next
	mkdir bin
	for p in python3 tar bash sh sleep cat env; do
		ln -s "$(command -v "$p")" bin/
	done
	ln -s "$(command -v checkpointer)" bin/
	# Where a program is looked for beside PATH, it is not, either.
	[ "$(cd / && PATH=/usr/sbin:/sbin:/usr/local/sbin command -v pasta)" = '' ]
	PATH=$PWD/bin start "${options[@]}" -- cat /proc/self/net/dev
	ends_with 0
	cp out host
	PATH=$PWD/bin start "${options[@]}" -s capsule.network=private -- \
		sh -c 'cat /proc/self/net/dev'
	ends_with 0
	grep -q 'cannot reach other machines.*pasta' err
}
