/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "capsule.h"
#include "log.h"
#include "look.h"
#include "netns.h"
#include "pasta.h"
#include "tcp.h"
#include "util.h"

/* --- what there is on the node, seen before its network is left --- */

static void note_address(json_t *list, const char *address)
{
	const json_t *j;
	size_t i;

	json_array_foreach(
		list, i, j) if (!strcmp(json_string_value(j), address)) return;
	json_array_append_new(list, json_string(address));
}

/*
 * The node's own addresses: inside they lead back inside, so that a program
 * that looks for itself by the node's name finds itself. Those of former nodes
 * stay, as a socket may be bound to one.
 */
static void note_addresses(json_t *list)
{
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		const struct sockaddr *sa = a->ifa_addr;
		const void *addr = NULL;
		char text[INET6_ADDRSTRLEN];

		if (!sa || (a->ifa_flags & IFF_LOOPBACK))
			continue;
		if (sa->sa_family == AF_INET)
			addr = &((const struct sockaddr_in *)sa)->sin_addr;
		else if (sa->sa_family == AF_INET6)
			addr = &((const struct sockaddr_in6 *)sa)->sin6_addr;
		if (!addr || (sa->sa_family == AF_INET6 &&
				     IN6_IS_ADDR_LINKLOCAL(
					     (const struct in6_addr *)addr)))
			continue;
		inet_ntop(sa->sa_family, addr, text, sizeof(text));
		if (strcmp(text, PASTA_ADDR4) != 0 &&
			strcmp(text, PASTA_ADDR6) != 0)
			note_address(list, text);
	}
	freeifaddrs(all);
}

static bool has_v6(const json_t *addresses)
{
	const json_t *j;
	size_t i;

	json_array_foreach(addresses, i,
		j) if (strchr(json_string_value(j), ':')) return true;
	return false;
}

static bool has_number(const json_t *list, unsigned n)
{
	const json_t *j;
	size_t i;

	json_array_foreach(list, i,
		j) if (json_integer_value(j) == (json_int_t)n) return true;
	return false;
}

/*
 * Ports on which the user herself already listens on the node's loopback, as
 * a tunnel of ssh that the script has started: they are led there. Later legs
 * take no others, as the command may have taken any by then.
 */
static json_t *own_ports(const json_t *allowed)
{
	struct tcp_list l = tcp_survey(getpid());
	json_t *ports = json_array();

	for (size_t i = 0; i < l.n; i++) {
		const struct tcp_socket *s = &l.v[i];

		if (s->state == TCP_LISTEN && s->uid == geteuid() &&
			!has_number(ports, s->local.port) &&
			(!allowed || has_number(allowed, s->local.port)))
			json_array_append_new(
				ports, json_integer(s->local.port));
	}
	free(l.v);
	return ports;
}

static char *join_ports(const json_t *ports)
{
	char *text = xstrdup("");
	const json_t *j;
	size_t i;

	json_array_foreach(ports, i, j)
	{
		auto_free char *old = text;

		text = xasprintf("%s%s%d", old, *old ? "," : "",
			(int)json_integer_value(j));
	}
	return text;
}

/* --- the namespace --- */

struct holder {
	pid_t pid;
	int go; /* closed: it may end */
};

/*
 * The namespace is made in a child: only what has stayed outside can start
 * pasta there, and if that fails, `auto` stays there. pasta looks into /proc
 * of a process in the namespace, which therefore has no capability.
 */
static _Noreturn void hold(const struct capsule *c, int told, int go)
{
	struct err err = {0};
	char byte;

	if (unshare(CLONE_NEWNET))
		err_set(&err, errno, "make a network namespace");
	else if (!netns_up("lo", &err))
		capsule_drop_caps(c, &err);
	if (write_all(told, &err, sizeof(err)))
		_exit(1);
	_exit(read(go, &byte, 1) != 0);
}

static int start_holder(
	struct holder *h, const struct capsule *c, struct err *err)
{
	int told[2], go[2];
	struct err why = {0};
	ssize_t n;

	if (pipe2(told, O_CLOEXEC))
		return err_set(err, errno, "pipe");
	if (pipe2(go, O_CLOEXEC)) {
		close(told[0]);
		close(told[1]);
		return err_set(err, errno, "pipe");
	}
	h->pid = fork();
	if (h->pid == 0) {
		close(go[1]);
		hold(c, told[1], go[0]);
	}
	close(told[1]);
	close(go[0]);
	h->go = go[1];
	n = h->pid > 0 ? read(told[0], &why, sizeof(why)) : -1;
	close(told[0]);
	if (n != sizeof(why))
		return err_set(
			err, n < 0 ? errno : 0, "make a network namespace");
	if (!why.text[0])
		return 0;
	*err = why;
	return -1;
}

static void end_holder(struct holder *h)
{
	release_fd(&h->go);
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	h->pid = 0;
}

static int enter_held(const struct holder *h, struct err *err)
{
	char path[48];
	auto_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)h->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		return err_set(err, errno, "enter the network namespace");
	return 0;
}

/* --- its addresses --- */

/* A node without IPv6 has none to give: not every address must be had. */
static void add_address(
	const char *dev, unsigned number, const char *address, unsigned prefix)
{
	struct err err;

	if (netns_add_address(dev, number, address, prefix, &err))
		log_debug("%s", err.text);
}

static void add_node_addresses(const json_t *addresses)
{
	const json_t *j;
	size_t i;

	json_array_foreach(addresses, i, j)
	{
		const char *text = json_string_value(j);

		add_address("lo", (unsigned)i + 1, text,
			strchr(text, ':') ? 128 : 32);
	}
}

static int open_the_way(bool v6, struct err *err)
{
	struct err why;

	if (netns_up(PASTA_DEVICE, err) ||
		netns_add_address(
			PASTA_DEVICE, 0, PASTA_ADDR4, PASTA_PREFIX4, err) ||
		netns_add_default(PASTA_DEVICE, false, PASTA_GATE4, err))
		return -1;
	add_address(PASTA_DEVICE, 0, PASTA_ADDR6, PASTA_PREFIX6);
	if (v6 && netns_add_default(PASTA_DEVICE, true, PASTA_GATE6, &why))
		log_debug("%s", why.text);
	return 0;
}

/*
 * On a node without a default route pasta takes an address of its own choice
 * for ours, until it has seen one: what comes in goes there. So it is sent a
 * datagram, to nobody.
 */
static void show_address(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	auto_close int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, PASTA_GATE4, &to.sin_addr);
	if (sock < 0 ||
		sendto(sock, "", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		log_debug("cannot tell pasta of the address: %s",
			strerror(errno));
}

/*
 * pasta wakes up every second, even if nobody uses it. So it is stopped until
 * the first packet is to go out, of which this socket tells.
 */
static int wait_for_use(struct network *n, struct err *err)
{
	struct sockaddr_ll on = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(PASTA_DEVICE),
	};
	auto_close int sock =
		socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock < 0 || bind(sock, (struct sockaddr *)&on, sizeof(on)))
		return err_set(err, errno, "watch %s", PASTA_DEVICE);
	if (kill(n->pasta, SIGSTOP))
		return err_set(err, errno, "stop pasta");
	n->knock = steal_fd(&sock);
	return 0;
}

/* The kernel itself looks for routers and tells of groups: that is nothing. */
static bool is_use(const uint8_t *packet, size_t n)
{
	const struct ether_header *head = (const void *)packet;
	const uint8_t *v6 = packet + sizeof(*head);
	uint16_t type = n >= sizeof(*head) ? ntohs(head->ether_type) : 0;

	if (type != ETHERTYPE_IPV6 || n < sizeof(*head) + 41)
		return type == ETHERTYPE_ARP || type == ETHERTYPE_IP;
	if (v6[6] == IPPROTO_ICMPV6)
		return v6[40] != ND_ROUTER_SOLICIT;
	return v6[6] != IPPROTO_HOPOPTS;
}

void network_knocked(struct network *n)
{
	uint8_t packet[128];
	ssize_t got;

	while ((got = recv(n->knock, packet, sizeof(packet), 0)) >= 0)
		if (is_use(packet, (size_t)got)) {
			kill(n->pasta, SIGCONT);
			release_fd(&n->knock);
			return;
		}
}

/* Sockets that had a way out can only be put back where a route is. */
static void close_the_way(void)
{
	struct err err;

	add_address("lo", 100, PASTA_ADDR4, 32);
	add_address("lo", 0, PASTA_ADDR6, 128);
	if (netns_add_default("lo", false, NULL, &err) ||
		netns_add_default("lo", true, NULL, &err))
		log_debug("%s", err.text);
}

/* --- names --- */

/*
 * A resolver on the node's loopback is not on the one inside: resolv.conf
 * names pasta instead, which asks the node's.
 */
static int redirect_dns(struct err *err)
{
	static const char place[] = "/tmp", file[] = "/tmp/resolv.conf";
	static const char text[] = "nameserver " PASTA_DNS "\n";
	auto_free char *target = realpath("/etc/resolv.conf", NULL);
	auto_close int fd = -1;
	int ret = 0;

	if (!target || mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV,
			       "mode=0755"))
		return err_set(err, errno, "a resolv.conf of our own");
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write_all(fd, text, sizeof(text) - 1) ||
		mount(file, target, NULL, MS_BIND, NULL))
		ret = err_set(err, errno, "a resolv.conf of our own");
	release_fd(&fd);
	umount2(place, MNT_DETACH);
	return ret;
}

/* --- entering --- */

/* The record of a restore goes on; a fresh one begins. */
static json_t *make_record(const json_t *old)
{
	json_t *record = json_pack("{s:s, s:b, s:O?}", "kind", "private", "out",
		json_is_true(json_object_get(old, "out")), "addresses",
		json_object_get(old, "addresses"));
	json_t *addresses = json_object_get(record, "addresses");

	if (!json_is_array(addresses))
		json_object_set_new(
			record, "addresses", addresses = json_array());
	note_addresses(addresses);
	json_object_set_new(
		record, "ports", own_ports(json_object_get(old, "ports")));
	return record;
}

static int start_pasta(struct capsule *c, const struct config *cfg,
	const struct holder *h, struct err *err)
{
	json_t *record = c->network.record;
	auto_free char *outward = join_ports(json_object_get(record, "ports"));
	struct pasta_plan plan = {
		.holder = h->pid,
		.v6 = has_v6(json_object_get(record, "addresses")),
		.inward = cfg->ports,
		.outward = outward,
	};

	c->network.pasta = pasta_start(c, &plan, err);
	return c->network.pasta > 0 ? 0 : -1;
}

/* In the namespace. */
static int set_up(struct network *n, const struct config *cfg, char note[256],
	struct err *err)
{
	const json_t *addresses = json_object_get(n->record, "addresses");
	struct err why;

	add_node_addresses(addresses);
	if (n->pasta > 0) {
		json_object_set_new(n->record, "out", json_true());
		if (pasta_needs_dns() && redirect_dns(&why))
			snprintf(note, 256, "names are not resolved: %.200s",
				why.text);
		if (open_the_way(has_v6(addresses), err))
			return -1;
		if (*cfg->ports)
			show_address();
		else if (!json_array_size(json_object_get(n->record, "ports")))
			return wait_for_use(n, err);
		return 0;
	}
	if (json_is_true(json_object_get(n->record, "out")))
		close_the_way();
	return 0;
}

static int enter_private(struct capsule *c, const struct config *cfg,
	const json_t *old, bool must, char note[256], struct err *err)
{
	struct network *n = &c->network;
	struct holder h = {.go = -1};
	struct err why;
	int ret = -1;

	n->record = make_record(old);
	if (start_holder(&h, c, err))
		goto out;
	if (start_pasta(c, cfg, &h, &why)) {
		n->pasta = 0;
		if (!must) {
			*err = why;
			goto out;
		}
		snprintf(note, 256,
			"the command cannot reach other machines ([capsule] "
			"network = private): %.150s",
			why.text);
	}
	n->is_private = true;
	ret = enter_held(&h, err) || set_up(n, cfg, note, err) ? -1 : 0;
out:
	end_holder(&h);
	return ret;
}

/* Where no criu could dump TCP, nobody is to pay for a network of his own. */
static bool is_worth_it(const struct capsule *c, const char *criu)
{
	int kernel = look_kernel_version(), version;
	char path[4096];

	if (!c->has_user_ns || !*criu || !pasta_find(path, sizeof(path)))
		return false;
	version = look_criu_version(criu, NULL);
	return version >= (kernel >= 616 ? 402 : 401);
}

json_t *network_of_host(void)
{
	return json_pack("{s:s}", "kind", "host");
}

int network_enter(struct capsule *c, const struct config *cfg, const char *criu,
	bool restore, const json_t *recorded, char note[256], struct err *err)
{
	const char *kind = json_string_value(json_object_get(recorded, "kind"));
	enum network_kind wanted = cfg->network;
	struct err why;

	if (restore)
		wanted = kind && !strcmp(kind, "private") ? NETWORK_PRIVATE
							  : NETWORK_HOST;
	if (wanted == NETWORK_PRIVATE)
		return enter_private(c, cfg, recorded, true, note, err);
	if (wanted == NETWORK_AUTO && is_worth_it(c, criu)) {
		if (!enter_private(c, cfg, NULL, false, note, &why))
			return 0;
		if (c->network.is_private) {
			*err = why;
			return -1;
		}
		log_debug("no network of its own: %s", why.text);
		json_decref(c->network.record);
	}
	c->network.record = network_of_host();
	return 0;
}
