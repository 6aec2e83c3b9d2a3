/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pasta.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "capsule.h"
#include "engine.h"
#include "proc.h"
#include "util.h"

#define MAX_ARGS 48

bool pasta_find(char *path, size_t size)
{
	return !engine_find("pasta", path, size, NULL);
}

bool pasta_needs_dns(void)
{
	auto_file FILE *f = fopen("/etc/resolv.conf", "re");
	auto_free char *line = NULL;
	size_t room = 0;
	char server[64];

	while (f && getline(&line, &room, f) > 0)
		if (sscanf(line, "nameserver %63s", server) == 1)
			return !strncmp(server, "127.", 4) ||
			       !strcmp(server, "::1");
	return false;
}

struct arguments {
	const char *v[MAX_ARGS];
	size_t n;
};

static void add(struct arguments *a, const char *option, const char *value)
{
	a->v[a->n++] = option;
	if (value)
		a->v[a->n++] = value;
}

/* Nothing is led anywhere but what is named: to find out itself it polls. */
static void choose(struct arguments *a, const struct pasta_plan *p,
	const char *netns, const char *prefix, const char *inward, bool is_old)
{
	add(a, "pasta", NULL);
	add(a, "--quiet", NULL);
	add(a, "--netns-only", NULL);
	add(a, "--netns", netns);
	/* To see the namespace go it would look every second. */
	add(a, "--no-netns-quit", NULL);
	add(a, "--no-dhcp", NULL);
	add(a, "--no-dhcpv6", NULL);
	add(a, "--no-ndp", NULL);
	add(a, "--no-ra", NULL);
	add(a, "--ns-ifname", PASTA_DEVICE);
	add(a, "--address", PASTA_ADDR4);
	add(a, "--netmask", prefix);
	add(a, "--gateway", PASTA_GATE4);
	if (p->v6) {
		add(a, "--address", PASTA_ADDR6);
		add(a, "--gateway", PASTA_GATE6);
	} else {
		add(a, "--ipv4-only", NULL);
	}
	/* Otherwise only nodes with a default route lead there. */
	if (!is_old)
		add(a, "--map-host-loopback", PASTA_GATE4);
	if (pasta_needs_dns())
		add(a, "--dns-forward", PASTA_DNS);
	add(a, "--tcp-ports", *inward ? inward : "none");
	add(a, "--udp-ports", "none");
	add(a, "--tcp-ns", *p->outward ? p->outward : "none");
	add(a, "--udp-ns", "none");
	a->v[a->n] = NULL;
}

static _Noreturn void become_pasta(const struct capsule *c, const char *path,
	const struct arguments *a, int told)
{
	sigset_t none;
	struct err err;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(told, 2) >= 0 && !capsule_keep_all_caps(c, &err))
		execv(path, (char *const *)(uintptr_t)a->v);
	_exit(127);
}

/* It goes to the background when it is ready: the one child of ours left. */
static pid_t find_background(void)
{
	struct int_list tree = proc_tree(getpid());
	struct proc_stat st;
	pid_t found = -1;

	for (size_t i = 0; i < tree.n; i++)
		if (proc_stat(tree.v[i], &st) && st.ppid == getpid() &&
			!strncmp(st.comm, "pasta", 5))
			found = tree.v[i];
	free(tree.v);
	return found;
}

static int wait_until_ready(pid_t pid, int told, struct err *err)
{
	char text[200] = "";
	size_t n = 0;
	ssize_t got;
	int status;

	while (n < sizeof(text) - 1 &&
		(got = read(told, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "wait for pasta");
	text[strcspn(text, "\n")] = '\0';
	if (status)
		return err_set(
			err, 0, "pasta: %s", *text ? text : "it cannot be run");
	return 0;
}

static pid_t start(const struct capsule *c, const char *path,
	const struct arguments *a, struct err *err)
{
	int fds[2], ret;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	pid = fork();
	if (pid == 0)
		become_pasta(c, path, a, fds[1]);
	close(fds[1]);
	ret = pid < 0 ? err_set(err, errno, "fork")
		      : wait_until_ready(pid, fds[0], err);
	close(fds[0]);
	if (ret)
		return -1;
	pid = find_background();
	return pid > 0 ? pid : err_set(err, 0, "pasta ended at once");
}

pid_t pasta_start(
	const struct capsule *c, const struct pasta_plan *p, struct err *err)
{
	auto_free char *inward = xstrdup(p->inward);
	struct arguments a = {0}, old = {0};
	char path[4096], netns[48], prefix[8];
	pid_t pid;

	if (!pasta_find(path, sizeof(path)))
		return err_set(
			err, 0, "there is no program pasta (package passt)");
	snprintf(netns, sizeof(netns), "/proc/%d/ns/net", (int)p->holder);
	snprintf(prefix, sizeof(prefix), "%d", PASTA_PREFIX4);
	for (char *at = inward; *at; at++)
		if (*at == ' ')
			*at = ',';
	choose(&a, p, netns, prefix, inward, false);
	pid = start(c, path, &a, err);
	if (pid > 0 || !strstr(err->text, "option"))
		return pid;
	/* Before August 2024 it did not know all of these. */
	choose(&old, p, netns, prefix, inward, true);
	return start(c, path, &old, err);
}
