/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sysv.c - a command that lives on System V IPC, for sysv.bats
 *
 *   sysv STEPS           two processes in turns; behind step N they wait for a
 *                        file past.N, if N is 3, 9 or 15
 *   sysv look KEY        another one, that finds the memory by its key
 *
 * It prints the same, however long it waits, if nothing is lost.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY   0x5e9c0de
#define MAGIC 0x1badb002

struct shared {
	uint32_t magic, sum;
	int end;
};

struct message {
	long type;
	char text[64];
};

static struct shared *first, *second;
static const struct shared *readonly;
static char *removed;
static int memory, gone, locks, queue;
static volatile sig_atomic_t stops;

#define must(call)                                                             \
	({                                                                     \
		__typeof__(call) got = (call);                                 \
		if ((long)got == -1) {                                         \
			perror(#call);                                         \
			exit(3);                                               \
		}                                                              \
		got;                                                           \
	})

/* A stop makes semop(2) return, see signal(7), but a restore must not. */
static void change(unsigned short n, short by)
{
	struct sembuf b = {.sem_num = n, .sem_op = by};

	must(semop(locks, &b, 1));
}

static unsigned long users(int id)
{
	struct shmid_ds ds;

	must(shmctl(id, IPC_STAT, &ds));
	return ds.shm_nattch;
}

static unsigned mode_of(int id)
{
	struct shmid_ds ds;

	must(shmctl(id, IPC_STAT, &ds));
	return ds.shm_perm.mode;
}

/* That a child has stopped may be seen, see docs/criu-notes.md. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGCONT || info->si_code == CLD_CONTINUED)
		stops = stops + 1;
}

/* If it runs for a moment without the true memory, it sees that. */
static void *watch(void *arg)
{
	(void)arg;
	for (;;) {
		if (first->magic != MAGIC || removed[4095] != 'x')
			abort();
		usleep(1000);
	}
	return NULL;
}

static void be_the_other(void)
{
	for (uint32_t i = 1;; i++) {
		change(0, -1);
		if (first->end)
			_exit(0);
		first->sum = first->sum * 31 + i;
		change(1, 1);
	}
}

/* Does a write there end a process? */
static int is_readonly(volatile char *at)
{
	int status;
	pid_t pid = must(fork());

	if (pid == 0) {
		*at = 1;
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void send_one(long type, const char *text)
{
	struct message m = {.type = type};

	strcpy(m.text, text);
	must(msgsnd(queue, &m, strlen(text), IPC_NOWAIT));
}

static void receive(long type)
{
	struct message m = {0};
	ssize_t n = must(msgrcv(queue, &m, sizeof(m.text), type, IPC_NOWAIT));

	printf("message %ld, %zd bytes: %s\n", m.type, n, m.text);
}

static void begin(void)
{
	memory = must(shmget(KEY, 5000, IPC_CREAT | IPC_EXCL | 0640));
	first = must(shmat(memory, NULL, 0));
	second = must(shmat(memory, NULL, 0));
	readonly = must(shmat(memory, NULL, SHM_RDONLY));
	first->magic = MAGIC;
	gone = must(shmget(IPC_PRIVATE, 1 << 20, 0600));
	removed = must(shmat(gone, NULL, 0));
	must(shmctl(gone, IPC_RMID, NULL));
	memset(removed, 'x', 1 << 20);
	must(mprotect(removed + 8192, 4096, PROT_READ));
	/* Ids need not follow each other. */
	must(semctl(must(semget(IPC_PRIVATE, 1, 0600)), 0, IPC_RMID));
	locks = must(semget(KEY, 2, IPC_CREAT | IPC_EXCL | 0600));
	queue = must(msgget(KEY, IPC_CREAT | IPC_EXCL | 0600));
	send_one(3, "three");
	send_one(1, "");
	send_one(2, "two");
}

static int same_ids(void)
{
	return shmget(KEY, 0, 0) == memory && semget(KEY, 0, 0) == locks &&
	       msgget(KEY, 0) == queue;
}

static void end(pid_t child, const char *self)
{
	char key[16];
	pid_t pid;

	snprintf(key, sizeof(key), "%d", KEY);
	fflush(stdout);
	pid = must(fork());
	if (pid == 0)
		execl(self, self, "look", key, NULL);
	while (waitpid(pid, NULL, 0) < 0)
		;
	printf("after a look: %u\n", second->sum);
	receive(2);
	receive(0);
	receive(0);
	printf("mode %o, removed %o, read-only %d %d %d\n", mode_of(memory),
		mode_of(gone), is_readonly((char *)readonly),
		is_readonly(removed + 8192), is_readonly(removed));
	must(mprotect(removed + 8192, 4096, PROT_READ | PROT_WRITE));
	removed[8192] = 'y';
	first->end = 1;
	change(0, 1);
	while (waitpid(child, NULL, 0) < 0)
		;
	printf("alone: %lu %lu\n", users(memory), users(gone));
	must(shmdt(second));
	printf("one less: %lu\n", users(memory));
}

static void wait_behind(int step)
{
	char name[32];

	snprintf(name, sizeof(name), "past.%d", step);
	while ((step == 3 || step == 9 || step == 15) && access(name, F_OK))
		usleep(20000);
}

static int look(const char *key)
{
	int id = must(shmget(atoi(key), 0, 0));
	struct shared *s = must(shmat(id, NULL, 0));

	printf("look: %u, %lu users\n", s->sum, users(id));
	s->sum += 1000;
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {
		.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	pthread_t thread;
	pid_t child;

	if (argc == 3 && !strcmp(argv[1], "look"))
		return look(argv[2]);
	if (argc != 2)
		return 64;
	begin();
	sigaction(SIGCHLD, &sa, NULL);
	sigaction(SIGCONT, &sa, NULL);
	child = must(fork());
	if (child == 0)
		be_the_other();
	pthread_create(&thread, NULL, watch, NULL);
	for (int i = 1; i <= atoi(argv[1]); i++) {
		change(0, 1);
		change(1, -1);
		printf("%d %u %u, %d, %lu %lu users, %d\n", i, second->sum,
			readonly->sum, same_ids(), users(memory), users(gone),
			(int)stops);
		fflush(stdout);
		wait_behind(i);
	}
	end(child, argv[0]);
	return 0;
}
