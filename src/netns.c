/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netns.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "util.h"

/* As in linux/ipv6.h, which does not go with libc's netinet/in.h. */
struct ifreq_v6 {
	struct in6_addr addr;
	uint32_t prefix;
	int index;
};

static int inet_socket(bool v6)
{
	return socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

int netns_up(const char *dev, struct err *err)
{
	auto_close int sock = inet_socket(false);
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", dev);
	if (sock < 0 || ioctl(sock, SIOCGIFFLAGS, &r))
		return err_set(err, errno, "network interface %s", dev);
	r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
	if (ioctl(sock, SIOCSIFFLAGS, &r))
		return err_set(err, errno, "set up interface %s", dev);
	return 0;
}

static void put_v4(struct sockaddr *to, struct in_addr addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = addr};

	memcpy(to, &in, sizeof(in));
}

static int add_v4(
	const char *dev, unsigned number, struct in_addr addr, unsigned prefix)
{
	auto_close int sock = inet_socket(false);
	struct in_addr mask = {htonl(prefix ? ~0U << (32 - prefix) : 0)};
	struct ifreq r = {0};

	/* A further address has a name of its own. */
	snprintf(r.ifr_name, sizeof(r.ifr_name), number ? "%s:%u" : "%s", dev,
		number);
	put_v4(&r.ifr_addr, addr);
	if (sock < 0 || (ioctl(sock, SIOCSIFADDR, &r) && errno != EEXIST))
		return -1;
	put_v4(&r.ifr_netmask, mask);
	return ioctl(sock, SIOCSIFNETMASK, &r);
}

/* Otherwise it could not be bound for a second, until nobody else claims it. */
static void trust_addresses(const char *dev)
{
	char path[96];
	auto_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_dad",
		dev);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "0", 1) != 1)
		release_fd(&fd);
}

static int add_v6(const char *dev, struct in6_addr addr, unsigned prefix)
{
	auto_close int sock = inet_socket(true);
	struct ifreq_v6 r = {addr, prefix, (int)if_nametoindex(dev)};

	trust_addresses(dev);
	return sock < 0 || (ioctl(sock, SIOCSIFADDR, &r) && errno != EEXIST)
		       ? -1
		       : 0;
}

int netns_add_address(const char *dev, unsigned number, const char *address,
	unsigned prefix, struct err *err)
{
	struct in_addr v4;
	struct in6_addr v6;
	int ret;

	if (inet_pton(AF_INET, address, &v4) == 1)
		ret = add_v4(dev, number, v4, prefix);
	else if (inet_pton(AF_INET6, address, &v6) == 1)
		ret = add_v6(dev, v6, prefix);
	else
		return err_set(err, 0, "'%s' is not an address", address);
	return ret ? err_set(err, errno, "add the address %s to %s", address,
			     dev)
		   : 0;
}

static int default_v4(const char *dev, const char *gateway)
{
	auto_close int sock = inet_socket(false);
	auto_free char *name = xstrdup(dev);
	struct rtentry r = {.rt_flags = RTF_UP, .rt_dev = name};
	struct in_addr any = {0}, gw;

	put_v4(&r.rt_dst, any);
	put_v4(&r.rt_genmask, any);
	if (gateway && inet_pton(AF_INET, gateway, &gw) == 1) {
		put_v4(&r.rt_gateway, gw);
		r.rt_flags |= RTF_GATEWAY;
	}
	return sock < 0 ? -1 : ioctl(sock, SIOCADDRT, &r);
}

static int default_v6(const char *dev, const char *gateway)
{
	auto_close int sock = inet_socket(true);
	struct in6_rtmsg r = {.rtmsg_flags = RTF_UP,
		.rtmsg_metric = 1,
		.rtmsg_ifindex = (int)if_nametoindex(dev)};

	if (gateway && inet_pton(AF_INET6, gateway, &r.rtmsg_gateway) == 1)
		r.rtmsg_flags |= RTF_GATEWAY;
	return sock < 0 ? -1 : ioctl(sock, SIOCADDRT, &r);
}

int netns_add_default(
	const char *dev, bool v6, const char *gateway, struct err *err)
{
	if (v6 ? default_v6(dev, gateway) : default_v4(dev, gateway))
		return err_set(err, errno, "add a default route to %s", dev);
	return 0;
}

/* --- nftables --- */

/*
 * Of libnftables, which criu itself is linked with where it can lock a
 * network: so it is there where it is of use, and is no need of ours.
 */
struct nft {
	void *library, *context;
	void *(*begin)(uint32_t flags);
	int (*run)(void *context, const char *command);
	void (*end)(void *context);
	int (*keep_errors)(void *context);
	const char *(*errors)(void *context);
};

static void *find_function(const struct nft *nft, const char *name)
{
	return nft->library ? dlsym(nft->library, name) : NULL;
}

static bool open_nft(struct nft *nft)
{
	nft->library = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
	/* The way from an object to a function that POSIX knows. */
	*(void **)&nft->begin = find_function(nft, "nft_ctx_new");
	*(void **)&nft->run = find_function(nft, "nft_run_cmd_from_buffer");
	*(void **)&nft->end = find_function(nft, "nft_ctx_free");
	*(void **)&nft->keep_errors =
		find_function(nft, "nft_ctx_buffer_error");
	*(void **)&nft->errors = find_function(nft, "nft_ctx_get_error_buffer");
	if (!nft->begin || !nft->run || !nft->end || !nft->keep_errors ||
		!nft->errors)
		return false;
	nft->context = nft->begin(0);
	return nft->context != NULL;
}

static int run_nft(const char *command, struct err *err)
{
	struct nft nft = {0};
	int ret = 0;

	if (open_nft(&nft)) {
		if (nft.keep_errors(nft.context) ||
			nft.run(nft.context, command))
			ret = err_set(err, 0, "nftables: %.200s",
				nft.errors(nft.context));
		nft.end(nft.context);
	} else {
		ret = err_set(err, 0, "libnftables is missing");
	}
	if (nft.library)
		dlclose(nft.library);
	return ret;
}

int netns_lock(struct err *err)
{
	/* criu itself sends some packets, with this mark. */
	return run_nft("add table inet checkpointer\n"
		       "add chain inet checkpointer output"
		       " { type filter hook output priority 0; }\n"
		       "add rule inet checkpointer output"
		       " meta mark != 0xc114 meta l4proto tcp drop\n",
		err);
}

int netns_unlock(struct err *err)
{
	return run_nft("flush ruleset", err);
}
