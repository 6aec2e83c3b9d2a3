#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
#
# objects.bats - what programs hold of the kernel, and goes on in the next leg

# A $ in single quotes is for the shell of the command; common.bash and bats
# set variables, for one test only.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

load common

# same_in_legs COMMAND...: what it writes is the same, chopped into three legs
same_in_legs() {
	"$@" >want
	in_legs "$@" >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

# rounds.py: 40 rounds that take 0.05 s each, of what a test defines
rounds() {
	cat >rounds.py
	cat >>rounds.py <<-'X'
		import time
		for i in range(40):
		    print(i, turn(i), flush=True)
		    time.sleep(0.05)
	X
	same_in_legs python3 rounds.py
}

# --- mappings without a name ---

@test "Python's multiprocessing: locks, values, arrays, queues, a pool" {
	cat >pool.py <<-'X'
		import multiprocessing as mp, time
		def begin(*shared):
		    global lock, total, parts
		    lock, total, parts = shared
		def work(i):
		    time.sleep(0.02)
		    with lock:
		        total.value += i * i
		        parts[i % 4] += i
		    return i * 7 % 101
		if __name__ == "__main__":
		    mp.set_start_method("fork")
		    shared = mp.Lock(), mp.Value("l", 0), mp.Array("l", 4)
		    done = mp.Queue()
		    with mp.Pool(3, begin, shared) as pool:
		        for r in pool.imap(work, range(240)):
		            done.put(r)
		            print(r, flush=True)
		    print(shared[1].value, list(shared[2]))
		    print(sum(done.get() for _ in range(240)))
	X
	same_in_legs python3 pool.py
}

@test "a deleted file that two processes share, without a descriptor" {
	rounds <<-'X'
		import mmap, os, struct
		fd = os.open("/dev/shm/shared", os.O_RDWR | os.O_CREAT, 0o600)
		os.ftruncate(fd, 3 * 4096)
		m = mmap.mmap(fd, 3 * 4096, trackfd=False)
		os.close(fd)
		os.unlink("/dev/shm/shared")
		a, b = os.pipe(), os.pipe()
		if os.fork() == 0:
		    os.close(a[1])
		    while os.read(a[0], 1):
		        n, = struct.unpack_from("q", m, 8192)
		        struct.pack_into("q", m, 8192, n * 3 % 1000003 + 1)
		        os.write(b[1], b"x")
		    os._exit(0)
		def turn(i):
		    os.write(a[1], b"x")
		    os.read(b[0], 1)
		    return struct.unpack_from("q", m, 8192)[0]
	X
}

@test "a deleted file that is mapped and open: both see the same" {
	rounds <<-'X'
		import mmap, os
		fd = os.open("/tmp/both", os.O_RDWR | os.O_CREAT, 0o600)
		os.ftruncate(fd, 8192)
		m = mmap.mmap(fd, 8192)
		os.unlink("/tmp/both")
		def turn(i):
		    m[5000] = i
		    os.pwrite(fd, bytes([m[5000] + 1]), 100)
		    return os.pread(fd, 1, 5000)[0], m[100]
	X
}

@test "a deleted file that is mapped for this process alone" {
	rounds <<-'X'
		import mmap, os
		with open("own", "wb") as f:
		    f.write(bytes(range(256)) * 64)
		fd = os.open("own", os.O_RDONLY)
		m = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, trackfd=False,
		    prot=mmap.PROT_READ | mmap.PROT_WRITE)
		os.close(fd)
		os.unlink("own")
		def turn(i):
		    m[4096 + i] = i * 5 % 256
		    return sum(m[:16384:61])
	X
}

@test "a library that was replaced by a newer one" {
	cat >lib.c <<-'X'
		int next(int n) { return n * 31 % 10007 + 1; }
	X
	gcc -shared -fPIC -o libnext.so lib.c
	cp libnext.so kept.so
	cat >uses.py <<-'X'
		import ctypes, os, time
		lib = ctypes.CDLL("./libnext.so")
		os.rename("kept.so", "libnext.so")
		n = 1
		for i in range(40):
		    n = lib.next(n)
		    print(n, flush=True)
		    time.sleep(0.05)
	X
	cp libnext.so again.so
	python3 uses.py >want
	mv again.so kept.so
	in_legs python3 uses.py >out 2>err
	want_legs 3
	want_same want out
	want_empty err
}

@test "a named semaphore" {
	cat >named.c <<-'X'
		#include <fcntl.h>
		#include <semaphore.h>
		#include <stdio.h>
		#include <unistd.h>

		int main(void)
		{
			sem_t *s = sem_open("/named", O_CREAT, 0600, 0);
			int v = -1;

			if (s == SEM_FAILED)
				return 1;
			if (!fork()) {
				for (int i = 0; i < 40; i++, usleep(50000))
					sem_post(s);
				_exit(0);
			}
			for (int i = 0; i < 40; i++) {
				sem_wait(s);
				sem_getvalue(s, &v);
				printf("%d %d\n", i, v > 0);
				fflush(stdout);
			}
			return sem_unlink("/named");
		}
	X
	gcc -pthread -o named named.c
	same_in_legs ./named
}

@test "files in /tmp that are mapped and written to" {
	rounds <<-'X'
		import mmap, os
		fd = os.open("/tmp/mapped", os.O_RDWR | os.O_CREAT, 0o600)
		os.ftruncate(fd, 65536)
		m = mmap.mmap(fd, 65536)
		def turn(i):
		    m[i * 1000] = i
		    return open("/tmp/mapped", "rb").read()[i * 1000]
	X
}

@test "a mapped file too large to be carried is named" {
	cat >large.py <<-'X'
		import mmap, os, time
		fd = os.open("/dev/shm/large", os.O_RDWR | os.O_CREAT, 0o600)
		os.ftruncate(fd, 1 << 21)
		m = mmap.mmap(fd, 1 << 21, trackfd=False)
		os.close(fd)
		os.unlink("/dev/shm/large")
		print("ready", flush=True)
		while not os.path.exists("go"):
		    time.sleep(0.02)
	X
	start --set criu.ghost_limit=1M -- python3 large.py
	await out ready
	kill -USR2 "$pid"
	await_event 'dump failed' 1
	await err 'a file is mapped that has no name, /dev/shm/large, of 2.0 MB: more than \[criu\] ghost_limit'
	touch go
	ends_with 0
}

# --- terminals ---

@test "a terminal that the command makes, and what runs on it" {
	cat >terminal.py <<-'X'
		import os, pty, sys, time
		pid, fd = pty.fork()
		if pid == 0:
		    for i in range(40):
		        print(i, os.isatty(0), os.ttyname(0)[:9], flush=True)
		        time.sleep(0.05)
		    os._exit(3)
		while True:
		    try:
		        text = os.read(fd, 4096)
		    except OSError:
		        break
		    sys.stdout.write(text.decode())
		    sys.stdout.flush()
		print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	X
	same_in_legs python3 terminal.py
}

# --- io_uring ---

uring_program() {
	cat >uring.c <<-'X'
		#include <errno.h>
		#include <stdio.h>
		#include <sys/syscall.h>
		#include <unistd.h>

		int main(void)
		{
			static char params[4096];
			long fd = syscall(SYS_io_uring_setup, 4, params);

			puts(fd >= 0 ? "a ring" : errno == ENOSYS ? "no ring" : "?");
			fflush(stdout);
			while (access("go", F_OK))
				usleep(20000);
			fd = syscall(SYS_io_uring_setup, 4, params);
			puts(fd >= 0 ? "a ring" : errno == ENOSYS ? "no ring" : "?");
			return 0;
		}
	X
	gcc -o "$1" uring.c
}

@test "io_uring: denied to node, in later legs as well" {
	uring_program node
	start -- ./node
	await out 'no ring'
	kill -USR1 "$pid"
	await_state restored
	kill -USR1 "$pid"
	await_state restored 2
	touch go
	ends_with 0
	[ "$(sort out | uniq -c | tr -s ' ')" = ' 2 no ring' ]
}

@test "io_uring: denied where a script names such a program" {
	uring_program julia
	printf '%s\n' '#!/bin/sh' 'PATH=.:$PATH' 'julia' >job
	chmod 755 job
	start -- ./job
	await out 'no ring'
	touch go
	ends_with 0
}

@test "io_uring: others have it, and are told what to do" {
	uring_program other
	start -s checkpoint.look_after=0.3s -- ./other
	await out '^a ring'
	await err 'an io_uring, cannot be checkpointed; put io_uring = deny under \[capsule\]'
	touch go
	ends_with 0
}

@test "io_uring: allow and deny" {
	uring_program node
	cp node other
	touch go
	plainly checkpointer -q --set capsule.io_uring=allow -- ./node >out 2>err
	[ "$(uniq out)" = 'a ring' ]
	plainly checkpointer -q --set capsule.io_uring=deny -- ./other >out 2>err
	[ "$(uniq out)" = 'no ring' ]
}

# --- the rest ---

@test "eventfd, timerfd and epoll" {
	rounds <<-'X'
		import os, select, time
		e = os.eventfd(0, os.EFD_NONBLOCK)
		t = os.timerfd_create(time.CLOCK_MONOTONIC)
		os.timerfd_settime(t, initial=0.01, interval=0.01)
		p = select.epoll()
		p.register(e, select.EPOLLIN)
		p.register(t, select.EPOLLIN)
		def turn(i):
		    os.eventfd_write(e, i + 1)
		    seen = set()
		    while len(seen) < 2:
		        for fd, what in p.poll():
		            seen.add(fd)
		    return os.eventfd_read(e), os.timerfd_gettime(t)[1] == 0.01
	X
}

@test "a timerfd that expires all the time goes on" {
	cat >timer.py <<-'X'
		import os, time
		t = os.timerfd_create(time.CLOCK_MONOTONIC)
		os.timerfd_settime(t, initial=0.002, interval=0.002)
		seen = 0
		while seen < 1200:
		    seen += int.from_bytes(os.read(t, 8), "little")
		    time.sleep(0.01)
		print("end", flush=True)
	X
	same_in_legs timeout 40 python3 timer.py
}

@test "signalfd and pending signals" {
	rounds <<-'X'
		import ctypes, os, signal, struct
		libc = ctypes.CDLL(None)
		signal.pthread_sigmask(signal.SIG_BLOCK, {10, 12})
		mask = (ctypes.c_ulong * 16)(1 << 9 | 1 << 11)
		fd = libc.signalfd(-1, mask, 0)
		os.kill(os.getpid(), 12)
		def turn(i):
		    os.kill(os.getpid(), 10)
		    first = struct.unpack("I", os.read(fd, 128)[:4])[0]
		    return first, sorted(signal.sigpending())[-1]
	X
}

@test "a watch of inotify is named" {
	cat >watch.py <<-'X'
		import ctypes, os, time
		libc = ctypes.CDLL(None)
		fd = libc.inotify_init1(0)
		print(libc.inotify_add_watch(fd, b".", 0x100), flush=True)
		while not os.path.exists("go"):
		    time.sleep(0.02)
	X
	start -- python3 watch.py
	await out '^1$'
	kill -USR2 "$pid"
	await_event 'dump failed' 1
	await err 'is watched with inotify'
	touch go
	ends_with 0
}

@test "pidfd" {
	rounds <<-'X'
		import os, select, signal
		child = os.fork()
		if child == 0:
		    signal.pause()
		fd = os.pidfd_open(child)
		def turn(i):
		    if i == 39:
		        signal.pidfd_send_signal(fd, 15)
		    ended = bool(select.select([fd], [], [], 5 if i == 39 else 0)[0])
		    return ended
	X
}

@test "locks of both kinds" {
	rounds <<-'X'
		import fcntl, os
		a, b = open("a", "w"), open("b", "w")
		fcntl.flock(a, fcntl.LOCK_EX)
		fcntl.lockf(b, fcntl.LOCK_EX, 10, 5)
		def tries(how, name, *where):
		    if os.fork() == 0:
		        try:
		            how(open(name, "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB, *where)
		            os._exit(0)
		        except OSError:
		            os._exit(1)
		    return os.waitstatus_to_exitcode(os.wait()[1])
		def turn(i):
		    return (tries(fcntl.flock, "a"), tries(fcntl.lockf, "b", 10, 5),
		        tries(fcntl.lockf, "b", 5, 0))
	X
}

@test "a memfd, sealed and mapped" {
	rounds <<-'X'
		import fcntl, mmap, os
		fd = os.memfd_create("m", os.MFD_ALLOW_SEALING)
		os.ftruncate(fd, 8192)
		fcntl.fcntl(fd, 1033, 2 | 4)	# F_ADD_SEALS: shrink, grow
		m = mmap.mmap(fd, 8192)
		def turn(i):
		    m[i] = i
		    try:
		        os.ftruncate(fd, 4096)
		        return "shrunk"
		    except OSError as e:
		        return e.errno, sum(m[:100])
	X
}

@test "unix sockets with data and descriptors on their way" {
	rounds <<-'X'
		import os, socket
		a, b = socket.socketpair()
		d, e = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
		s = socket.socket(socket.AF_UNIX)
		s.bind("listens")
		s.listen()
		for i in range(5):
		    a.send(b"ahead %d\n" % i)
		def turn(i):
		    a.send(b"round %d\n" % i)
		    d.send(b"%d" % i)
		    c = socket.socket(socket.AF_UNIX)
		    c.connect("listens")
		    c.send(b"hello")
		    with s.accept()[0] as t:
		        said = t.recv(9)
		    return b.recv(9), e.recv(9), said
		import atexit
		atexit.register(os.unlink, "listens")
	X
}

@test "huge pages that are transparent, and memory that is locked" {
	rounds <<-'X'
		import ctypes, mmap
		m = mmap.mmap(-1, 8 << 20)
		m.madvise(mmap.MADV_HUGEPAGE)
		for k in range(0, 8 << 20, 4096):
		    m[k] = k >> 12 & 255
		p = mmap.mmap(-1, 8192)
		libc = ctypes.CDLL(None)
		libc.mlock(ctypes.c_void_p(ctypes.addressof(
		    ctypes.c_char.from_buffer(p))), ctypes.c_size_t(8192))
		def turn(i):
		    m[i * 4096] = i
		    p[i] = i
		    return sum(m[::4096]), sum(p[:64])
	X
}

@test "threads with names and thread-local data" {
	cat >threads.c <<-'X'
		#define _GNU_SOURCE
		#include <pthread.h>
		#include <stdio.h>
		#include <unistd.h>

		static pthread_barrier_t turn;
		static __thread long own;
		static long sum[4];

		static void *work(void *arg)
		{
			long me = (long)arg;
			char name[16];

			sprintf(name, "thread %ld", me);
			pthread_setname_np(pthread_self(), name);
			for (int i = 0; i < 40; i++) {
				own = own * 31 % 10007 + me;
				sum[me] += own;
				pthread_barrier_wait(&turn);
				if (me == 0)
					printf("%d %ld %ld %ld %ld\n", i, sum[0],
						sum[1], sum[2], sum[3]);
				if (me == 0)
					fflush(stdout);
				pthread_barrier_wait(&turn);
				usleep(50000);
			}
			pthread_getname_np(pthread_self(), name, sizeof(name));
			puts(name[7] == '0' + me ? "its name" : name);
			return NULL;
		}

		int main(void)
		{
			pthread_t t[4];

			pthread_barrier_init(&turn, NULL, 4);
			for (long i = 0; i < 4; i++)
				pthread_create(&t[i], NULL, work, (void *)i);
			for (int i = 0; i < 4; i++)
				pthread_join(t[i], NULL);
			return 0;
		}
	X
	gcc -pthread -o threads threads.c
	same_in_legs ./threads
}

@test "a seccomp filter of the program's own is named" {
	write_filter
	start -- python3 filter.py
	await out '^0$'
	kill -USR2 "$pid"
	await_event 'dump failed' 1
	await err 'a seccomp filter of its own'
	touch go
	ends_with 0
}
