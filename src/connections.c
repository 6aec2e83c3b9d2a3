/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "connections.h"

#include <signal.h>

#include "log.h"
#include "netns.h"
#include "proc.h"
#include "tcp.h"
#include "util.h"

static int refuse_outside(const struct tcp_socket *s, struct err *err)
{
	char remote[TCP_TEXT];
	struct proc_stat st = {0};

	proc_stat(s->pid, &st);
	tcp_show(&s->remote, remote);
	return err_set(err, 0,
		"process %d (%s) has descriptor %d, a TCP connection to %s "
		"outside the command: close it, or put outside_connections = "
		"close under [capsule]",
		s->pid, st.comm, s->fd, remote);
}

int connections_fit(const struct network *n, enum outside policy, pid_t root,
	struct err *err)
{
	struct tcp_list l;
	int ret = 0;

	if (!n->is_private || policy == OUTSIDE_CLOSE)
		return 0;
	l = tcp_survey(root);
	for (size_t i = 0; i < l.n && !ret; i++)
		if (tcp_is_outside(&l, &l.v[i]))
			ret = refuse_outside(&l.v[i], err);
	free(l.v);
	return ret;
}

int connections_are_whole(const struct network *n, pid_t root, struct err *err)
{
	struct tcp_list l;
	char local[TCP_TEXT], remote[TCP_TEXT];
	int ret = 0;

	if (!n->is_private)
		return 0;
	l = tcp_survey(root);
	for (size_t i = 0; i < l.n && !ret; i++) {
		if (!tcp_is_orphan(&l, &l.v[i]))
			continue;
		tcp_show(&l.v[i].local, local);
		tcp_show(&l.v[i].remote, remote);
		ret = err_set(err, 0,
			"the connection from %s to %s was closed with data "
			"still on its way",
			local, remote);
	}
	free(l.v);
	return ret;
}

/* Before the tree runs, which may at once make new ones. */
static void close_outside(void)
{
	struct tcp_list l = tcp_survey(getpid());
	struct err err;

	for (size_t i = 0; i < l.n; i++)
		if (tcp_is_outside(&l, &l.v[i]) && tcp_destroy(&l.v[i], &err) &&
			err.num != ENOENT)
			log_warn("%s", err.text);
	free(l.v);
}

int connections_restore(void *network, enum engine_point point)
{
	const struct network *n = network;
	struct err err = {0};
	int ret = 0;

	if (!n->is_private)
		return 0;
	switch (point) {
	case ENGINE_BEGINS:
		ret = netns_lock(&err);
		break;
	case ENGINE_ALL_THERE:
		ret = netns_unlock(&err);
		break;
	case ENGINE_RESUMES:
		close_outside();
		break;
	}
	if (ret)
		log_error("%s", err.text);
	return ret;
}

void connections_mend(const struct network *n, pid_t root)
{
	struct err err;
	unsigned mended;

	if (!n->is_private || root <= 0)
		return;
	if (netns_unlock(&err))
		log_debug("%s", err.text);
	mended = tcp_end_repair(root);
	if (mended)
		log_debug("%u connections go on", mended);
}

bool connections_stop(const struct network *n, pid_t root)
{
	struct int_list tree;

	if (!n->is_private || root <= 0)
		return false;
	tree = proc_tree(root);
	for (size_t i = 0; i < tree.n; i++)
		kill(tree.v[i], SIGSTOP);
	free(tree.v);
	return true;
}
