/* dns/sockets_cares.c - see sockets_cares.h */
#include "dns/sockets_cares.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct pst_cares_socket *socket_at(void *user_data, ares_socket_t number)
{
	struct pst_cares_user *user = user_data;

	PST_BUG_ON(number < 0 || number >= PST_CARES_SOCKETS_MAX ||
		   !user->sockets->table[number].channel);
	return &user->sockets->table[number];
}

static ares_socket_t number_of(const struct pst_cares_socket *sock)
{
	return (ares_socket_t)(sock - sock->sockets->table);
}

static int fail(int number)
{
	errno = number;
	return -1;
}

static int errno_of(int64_t status)
{
	switch (-status) {
	case PST_E_REFUSED:
		return ECONNREFUSED;
	case PST_E_UNREACH:
		return EHOSTUNREACH;
	case PST_E_NOMEM:
		return ENOMEM;
	case PST_E_TIMEOUT:
		return ETIMEDOUT;
	default:
		return ECONNRESET;
	}
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool read_address(const struct sockaddr *address, ares_socklen_t len, struct pst_addr *out)
{
	*out = (struct pst_addr){.family = PST_FAMILY_NONE};
	if (address->sa_family == AF_INET && (size_t)len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in ipv4;

		memcpy(&ipv4, address, sizeof(ipv4));
		out->family = PST_FAMILY_IPV4;
		out->port = ntohs(ipv4.sin_port);
		memcpy(out->ip, &ipv4.sin_addr, 4);
	} else if (address->sa_family == AF_INET6 && (size_t)len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 ipv6;

		memcpy(&ipv6, address, sizeof(ipv6));
		out->family = PST_FAMILY_IPV6;
		out->port = ntohs(ipv6.sin6_port);
		memcpy(out->ip, &ipv6.sin6_addr, 16);
	}
	return out->family != PST_FAMILY_NONE;
}

static int write_address(const struct pst_addr *addr, struct sockaddr *out, ares_socklen_t *len)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
	const void *from = &ipv4;
	size_t size = sizeof(ipv4);

	if (addr->family == PST_FAMILY_IPV6) {
		ipv6.sin6_port = htons(addr->port);
		memcpy(&ipv6.sin6_addr, addr->ip, 16);
		from = &ipv6;
		size = sizeof(ipv6);
	} else {
		ipv4.sin_port = htons(addr->port);
		memcpy(&ipv4.sin_addr, addr->ip, 4);
	}
	if ((size_t)*len < size)
		return fail(EINVAL);
	memcpy(out, from, size);
	*len = (ares_socklen_t)size;
	return 0;
}

/* ---- readiness ------------------------------------------------------------------------------- */

static void on_dgram(struct pst_dgram *dgram)
{
	struct pst_cares_socket *sock = PST_CONTAINER(dgram, struct pst_cares_socket, dgram);

	sock->sockets->on_ready(sock->channel, number_of(sock), true, false);
}

static void on_stream(struct pst_net_conn *conn, uint32_t ready)
{
	struct pst_cares_socket *sock = PST_CONTAINER(conn, struct pst_cares_socket, conn);

	sock->sockets->on_ready(sock->channel, number_of(sock), ready & PST_NET_READ,
				ready & PST_NET_WRITE);
}

void pst_cares_socket_state(void *data, ares_socket_t number, int readable, int writable)
{
	struct pst_cares_user *user = data;
	struct pst_cares_socket *sock = &user->sockets->table[number];

	/* Said once more when a socket is closed. */
	if (sock->channel && sock->stream && sock->connected && sock->conn.open)
		sock->conn.ops->want(&sock->conn, (readable ? (uint32_t)PST_NET_READ : 0) |
							  (writable ? (uint32_t)PST_NET_WRITE : 0));
}

/* ---- what c-ares calls ----------------------------------------------------------------------- */

static ares_socket_t open_socket(int domain, int type, int protocol, void *user_data)
{
	struct pst_cares_user *user = user_data;

	(void)domain;
	(void)protocol;
	for (ares_socket_t i = 0; i < PST_CARES_SOCKETS_MAX; i++) {
		struct pst_cares_socket *sock = &user->sockets->table[i];

		if (sock->channel)
			continue;
		*sock = (struct pst_cares_socket){
			.sockets = user->sockets,
			.channel = user->channel,
			.stream = type == SOCK_STREAM,
		};
		return i;
	}
	errno = EMFILE;
	return ARES_SOCKET_BAD;
}

static int close_socket(ares_socket_t number, void *user_data)
{
	struct pst_cares_socket *sock = socket_at(user_data, number);

	if (sock->connected && sock->stream)
		sock->conn.ops->abort(&sock->conn, false);
	else if (sock->connected)
		sock->dgram.dgrams->ops->close(&sock->dgram);
	sock->channel = NULL;
	return 0;
}

/* Buffers and devices are our seams' business. */
static int set_option(ares_socket_t number, ares_socket_opt_t option, const void *value,
		      ares_socklen_t size, void *user_data)
{
	(void)number;
	(void)option;
	(void)value;
	(void)size;
	(void)user_data;
	return fail(ENOSYS);
}

static int connect_socket(ares_socket_t number, const struct sockaddr *address, ares_socklen_t len,
			  unsigned int flags, void *user_data)
{
	struct pst_cares_socket *sock = socket_at(user_data, number);
	int status;

	(void)flags;
	if (!read_address(address, len, &sock->peer))
		return fail(EAFNOSUPPORT);
	if (sock->stream) {
		sock->conn = (struct pst_net_conn){.on_ready = on_stream, .peer = sock->peer};
		status = sock->sockets->net->ops->connect(sock->sockets->net, &sock->conn);
		sock->local = sock->conn.local;
	} else {
		sock->dgram = (struct pst_dgram){.on_ready = on_dgram, .peer = sock->peer};
		status = sock->sockets->dgrams->ops->open(sock->sockets->dgrams, &sock->dgram);
		sock->local = sock->dgram.local;
	}
	if (status < 0)
		return fail(errno_of(status));
	sock->connected = true;
	return sock->stream ? fail(EINPROGRESS) : 0;
}

static ares_ssize_t receive(ares_socket_t number, void *buffer, size_t size, int flags,
			    struct sockaddr *address, ares_socklen_t *len, void *user_data)
{
	struct pst_cares_socket *sock = socket_at(user_data, number);
	uint32_t room = (uint32_t)PST_MIN(size, (size_t)UINT32_MAX);
	int64_t got;

	(void)flags;
	if (!sock->connected)
		return fail(ENOTCONN);
	if (address && write_address(&sock->peer, address, len) < 0)
		return -1;
	if (sock->stream) {
		got = sock->conn.ops->read(&sock->conn, buffer, room);
		if (got == -PST_E_CLOSED)
			return 0;
	} else {
		got = sock->dgram.dgrams->ops->recv(&sock->dgram, buffer, room);
	}
	if (got == 0)
		return fail(EAGAIN);
	return got < 0 ? fail(errno_of(got)) : (ares_ssize_t)got;
}

static ares_ssize_t transmit(ares_socket_t number, const void *buffer, size_t size, int flags,
			     const struct sockaddr *address, ares_socklen_t len, void *user_data)
{
	struct pst_cares_socket *sock = socket_at(user_data, number);
	struct pst_span span = {buffer, (uint32_t)size};
	int64_t sent;

	(void)flags;
	(void)address;
	(void)len;
	if (!sock->connected)
		return fail(ENOTCONN);
	if (!sock->stream) {
		int status = sock->dgram.dgrams->ops->send(&sock->dgram, span);

		return status < 0 ? fail(errno_of(status)) : (ares_ssize_t)size;
	}
	sent = sock->conn.ops->write(&sock->conn, &span, 1);
	if (sent == 0 && size > 0)
		return fail(EAGAIN);
	return sent < 0 ? fail(errno_of(sent)) : (ares_ssize_t)sent;
}

static int local_name(ares_socket_t number, struct sockaddr *address, ares_socklen_t *len,
		      void *user_data)
{
	struct pst_cares_socket *sock = socket_at(user_data, number);

	return sock->connected ? write_address(&sock->local, address, len) : fail(ENOTCONN);
}

const struct ares_socket_functions_ex pst_cares_socket_functions = {
	.version = 1,
	.flags = ARES_SOCKFUNC_FLAG_NONBLOCKING,
	.asocket = open_socket,
	.aclose = close_socket,
	.asetsockopt = set_option,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendto = transmit,
	.agetsockname = local_name,
};
