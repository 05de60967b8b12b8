/* net/net_kernel.c - kernel sockets: as few system calls as a stream can do with
 *
 * Reading. Edge-triggered: a ready bit is set by an event and cleared by EAGAIN or by a read that
 * got less than it asked for, because then the queue was empty and the next arrival is a new edge.
 * So a command that fits the buffer costs one recv. Once the peer's end is on the way (RDHUP, HUP,
 * ERR) there may be no further edge, and only the end itself clears the bit. (TCP's urgent mark
 * also shortens a read; what lies behind it then waits for the next arrival. No mail client sends
 * any.)
 *
 * Writing. A socket is taken to be writable until the kernel says no. An accepted socket is
 * therefore watched without EPOLLOUT: with it, epoll would report each new client once for nothing,
 * which at low load is a whole turn. The first write that does not fit adds EPOLLOUT by one
 * EPOLL_CTL_MOD, and from then on edges do the rest. A connecting socket has EPOLLOUT from the
 * start, its outcome comes by it.
 *
 * Accepting. The listener is level-triggered. Accepting until EAGAIN costs one call too many per
 * event, which with one client at a time is every second call; accepting one per event costs a turn
 * each when many wait. So: one per event, and twice as many each time the listener is ready again
 * at the very next poll; whoever meets EAGAIN goes back to what there was. When descriptors or
 * kernel memory are short the listener pauses and clients wait in its backlog; a level-triggered
 * listener that cannot accept would otherwise spin. Rejected: a spare descriptor to accept and
 * close with. It turns clients away whom a moment later we could serve.
 *
 * Rejected: io_uring (absent or disabled on many boards), MSG_ZEROCOPY (pays above 10 KiB a call,
 * and pages would have to stay put), TCP_DEFER_ACCEPT (we speak first).
 */
#include "net/net_kernel.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/kernel_addr.h"

#define WATCH_READ (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define WATCH_BOTH (WATCH_READ | EPOLLOUT)

#define PAUSE_MS 100

/* IPv4's and TCP's headers at their longest, or IPv6's with some between them. */
#define SYN_BYTES_MAX 256

/* Bytes thrown away at most when a connection is closed with bytes unread. */
#define DISCARD_MAX 65536

/* struct pst_net_conn.flags */
enum {
	CONNECTING = 1, /* the outcome has not been told */
	PEER_END = 2,   /* the system has reported the peer's end or an error: reads go on to it */
	END_READ = 4,   /* a read has returned it */
	WATCH_OUT = 8,  /* EPOLLOUT is watched */
};

static struct pst_net_kernel *kernel_of(struct pst_net *net)
{
	return PST_CONTAINER(net, struct pst_net_kernel, net);
}

static bool is_any(const struct pst_addr *addr)
{
	static const uint8_t zero[sizeof(addr->ip)];

	return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* A stream socket with our options, or -PST_E_*. Buffer sizes must be set before listen or connect:
 * the window scale is chosen by them. */
static int open_socket(uint8_t family, uint32_t receive_bytes, uint32_t send_bytes)
{
	int domain = family == PST_FAMILY_IPV4 ? AF_INET : AF_INET6;
	int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -pst_kernel_error(errno);
	if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
	    (receive_bytes && set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)receive_bytes)) ||
	    (send_bytes && set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)send_bytes))) {
		ret = -pst_kernel_error(errno);
		close(fd);
		return ret;
	}
	return fd;
}

/* --- telling the owner ---------------------------------------------------------------------- */

/* Calls the owner if there is something it wants, and again in the next task phase while that is
 * so. */
static void tell(struct pst_net_conn *conn)
{
	struct pst_net_kernel *kernel = kernel_of(conn->net);
	uint32_t ready = (uint32_t)(conn->ready & conn->want);

	if (!ready)
		return;
	kernel->current = conn;
	conn->on_ready(conn, ready);
	if (kernel->current != conn)
		return;
	kernel->current = NULL;
	if (conn->ready & conn->want)
		pst_loop_resume(kernel->net.loop, &conn->task);
}

static void conn_on_task(struct pst_task *task)
{
	tell(PST_CONTAINER(task, struct pst_net_conn, task));
}

static void break_conn(struct pst_net_conn *conn, int error, uint8_t flags)
{
	conn->error = (uint8_t)error;
	conn->ready = PST_NET_READ | PST_NET_WRITE;
	conn->flags |= flags;
}

/* The first event of a connecting socket that is not about nothing. */
static void connect_on_event(struct pst_net_conn *conn, uint32_t events)
{
	uint8_t byte;
	int number = 0;

	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	conn->flags &= (uint8_t)~CONNECTING;
	conn->ready |= PST_NET_WRITE;
	if (!(events & (EPOLLERR | EPOLLHUP)))
		return;
	/* SO_ERROR would tell as well, but qemu before 8.0 passes the host's number to a MIPS program */
	if (recv(conn->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		number = errno;
	/* If it was connected and then broken before we looked, its bytes can still be read. */
	break_conn(conn, number ? pst_kernel_error(number) : PST_E_RESET, PEER_END);
}

static void conn_on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_net_conn *conn = PST_CONTAINER(watch, struct pst_net_conn, watch);

	if (conn->flags & CONNECTING)
		connect_on_event(conn, events);
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->flags |= PEER_END;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && !(conn->flags & END_READ))
		conn->ready |= PST_NET_READ;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		conn->ready |= PST_NET_WRITE;
	tell(conn);
}

/* --- connections ---------------------------------------------------------------------------- */

static void attach(struct pst_net *net, struct pst_net_conn *conn, int fd)
{
	PST_BUG_ON(conn->open);
	conn->ops = net->ops;
	conn->net = net;
	conn->watch = (struct pst_watch){.on_event = conn_on_event, .fd = fd};
	conn->task = (struct pst_task){.on_run = conn_on_task};
	conn->want = 0;
	conn->ready = 0;
	conn->error = 0;
	conn->flags = 0;
	conn->open = true;
}

static int kernel_connect(struct pst_net *net, struct pst_net_conn *conn)
{
	struct pst_net_kernel *kernel = kernel_of(net);
	struct pst_net_conn before = *conn;
	union pst_kernel_addr address;
	socklen_t len = pst_kernel_addr_to(&conn->peer, &address);
	int fd = open_socket(conn->peer.family, kernel->connect_receive_bytes,
		kernel->connect_send_bytes);
	int ret;

	if (fd < 0)
		return fd;
	if (connect(fd, &address.any, len) && errno != EINPROGRESS) {
		ret = -pst_kernel_error(errno);
		goto fail;
	}
	/* Done at once or under way: either is told by EPOLLOUT. */
	attach(net, conn, fd);
	conn->flags = CONNECTING | WATCH_OUT;
	conn->want = PST_NET_WRITE;
	conn->local = pst_kernel_addr_local(fd);
	ret = pst_epoll_watch(kernel->epoll, &conn->watch, WATCH_BOTH);
	if (ret == 0)
		return 0;
	*conn = before;
fail:
	close(fd);
	return ret;
}

static int64_t kernel_read(struct pst_net_conn *conn, void *area, uint32_t size)
{
	ssize_t got;

	if (conn->flags & END_READ) {
		conn->ready &= (uint8_t)~PST_NET_READ;
		return conn->error ? -conn->error : -PST_E_CLOSED;
	}
	if (!(conn->ready & PST_NET_READ) || size == 0 || conn->flags & CONNECTING)
		return 0;
	got = recv(conn->watch.fd, area, size, 0);
	if (got > 0) {
		if ((size_t)got < size && !(conn->flags & PEER_END))
			conn->ready &= (uint8_t)~PST_NET_READ;
		return got;
	}
	if (got < 0 && errno == EINTR)
		return 0;
	conn->ready &= (uint8_t)~PST_NET_READ;
	if (got < 0 && errno == EAGAIN)
		return 0;
	conn->flags |= END_READ;
	if (got < 0 && !conn->error)
		conn->error = (uint8_t)pst_kernel_error(errno);
	return conn->error ? -conn->error : -PST_E_CLOSED;
}

/* One system call, whichever is the cheaper.
 *  ret bytes taken, or -1 with errno */
static ssize_t send_spans(int fd, const struct pst_span *spans, uint32_t count, size_t *total)
{
	struct iovec vector[PST_NET_SPANS_MAX];
	struct msghdr message = {.msg_iov = vector};

	*total = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (spans[i].len == 0)
			continue;
		vector[message.msg_iovlen].iov_base = (void *)(uintptr_t)spans[i].at;
		vector[message.msg_iovlen].iov_len = spans[i].len;
		message.msg_iovlen++;
		*total += spans[i].len;
	}
	if (message.msg_iovlen == 0)
		return 0;
	if (message.msg_iovlen == 1)
		return send(fd, vector[0].iov_base, vector[0].iov_len, MSG_NOSIGNAL);
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* The kernel's buffer is full: from now on hear when it no longer is. */
static void await_room(struct pst_net_conn *conn)
{
	conn->ready &= (uint8_t)~PST_NET_WRITE;
	if (conn->flags & WATCH_OUT)
		return;
	conn->flags |= WATCH_OUT;
	if (pst_epoll_rewatch(kernel_of(conn->net)->epoll, &conn->watch, WATCH_BOTH))
		break_conn(conn, PST_E_NOMEM, END_READ);
}

static int64_t kernel_write(struct pst_net_conn *conn, const struct pst_span *spans, uint32_t count)
{
	size_t total;
	ssize_t sent;

	PST_BUG_ON(count > PST_NET_SPANS_MAX);
	if (conn->error) {
		conn->ready &= (uint8_t)~PST_NET_WRITE;
		return -conn->error;
	}
	if (!(conn->ready & PST_NET_WRITE))
		return 0;
	sent = send_spans(conn->watch.fd, spans, count, &total);
	if (sent >= 0) {
		if ((size_t)sent < total)
			await_room(conn);
		return sent;
	}
	if (errno == EINTR)
		return 0;
	if (errno == EAGAIN) {
		await_room(conn);
		return 0;
	}
	conn->error = (uint8_t)pst_kernel_error(errno);
	conn->ready &= (uint8_t)~PST_NET_WRITE;
	return -conn->error;
}

static void kernel_want(struct pst_net_conn *conn, uint32_t mask)
{
	struct pst_net_kernel *kernel = kernel_of(conn->net);

	conn->want = (uint8_t)mask;
	if (conn->flags & CONNECTING)
		conn->want |= PST_NET_WRITE;
	if (conn->want & conn->ready && kernel->current != conn)
		pst_loop_resume(kernel->net.loop, &conn->task);
}

static void kernel_shutdown(struct pst_net_conn *conn)
{
	/* It fails only on a connection that the peer has broken, which reads and writes tell. */
	(void)shutdown(conn->watch.fd, SHUT_WR);
}

/* With bytes unread, close() would send a reset, and that may cost the peer what we wrote last: the
 * reply that says why we close. */
static void discard_unread(struct pst_net_conn *conn)
{
	uint8_t area[4096];

	for (uint32_t len = 0; len < DISCARD_MAX; len += (uint32_t)sizeof(area)) {
		if (recv(conn->watch.fd, area, sizeof(area), 0) < (ssize_t)sizeof(area))
			return;
	}
}

/* The kernel has kept it, headers only, and forgets it with this call. */
static void kernel_syn(struct pst_net_conn *conn, struct pst_net_syn *syn)
{
	uint8_t area[SYN_BYTES_MAX];
	socklen_t len = sizeof(area);

	if (getsockopt(conn->watch.fd, IPPROTO_TCP, TCP_SAVED_SYN, area, &len))
		len = 0;
	/* A SYN that came while SYN cookies were sent was not kept. */
	if (pst_net_syn_read((struct pst_span){area, len}, syn))
		syn->ttl = 0;
}

static void kernel_abort(struct pst_net_conn *conn, bool reset)
{
	struct pst_net_kernel *kernel = kernel_of(conn->net);
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	PST_BUG_ON(!conn->open);
	conn->open = false;
	if (kernel->current == conn)
		kernel->current = NULL;
	pst_loop_forget(&conn->task);
	pst_epoll_forget(kernel->epoll, &conn->watch);
	if (reset)
		(void)setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	else if (conn->ready & PST_NET_READ && !conn->error)
		discard_unread(conn);
	close(conn->watch.fd);
	conn->watch.fd = -1;
}

/* --- listening ------------------------------------------------------------------------------ */

static void refuse(int fd, struct pst_span refusal)
{
	/* It fits a fresh socket's buffer, or the peer is gone: nothing to wait for either way. */
	if (refusal.len > 0)
		(void)send(fd, refusal.at, refusal.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void admit(struct pst_net_listener *listener, int fd, const struct pst_addr *peer)
{
	struct pst_net_kernel *kernel = kernel_of(listener->net);
	struct pst_span refusal = PST_SPAN_NONE;
	struct pst_net_conn *conn = listener->on_accept(listener, peer, &refusal);

	if (!conn) {
		refuse(fd, refusal);
		return;
	}
	attach(listener->net, conn, fd);
	conn->peer = *peer;
	conn->local = is_any(&listener->local) ? pst_kernel_addr_local(fd) : listener->local;
	conn->ready = PST_NET_WRITE;
	if (pst_epoll_watch(kernel->epoll, &conn->watch, WATCH_READ))
		break_conn(conn, PST_E_NOMEM, END_READ);
	listener->on_accepted(listener, conn);
}

static void pause_accepting(struct pst_net_listener *listener)
{
	struct pst_net_kernel *kernel = kernel_of(listener->net);

	kernel->pause_count++;
	pst_epoll_unwatch(kernel->epoll, &listener->watch);
	pst_timer_set(kernel->net.loop, &listener->pause, kernel->net.loop->now_ms + PAUSE_MS);
}

static void pause_on_due(struct pst_timer *timer)
{
	struct pst_net_listener *listener = PST_CONTAINER(timer, struct pst_net_listener, pause);
	struct pst_net_kernel *kernel = kernel_of(listener->net);

	if (pst_epoll_watch(kernel->epoll, &listener->watch, EPOLLIN))
		pst_timer_set(kernel->net.loop, timer, kernel->net.loop->now_ms + PAUSE_MS);
}

/*  ret true: there may be another client */
static bool accept_one(struct pst_net_listener *listener)
{
	union pst_kernel_addr address = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(address);
	struct pst_addr peer;
	int fd = accept4(listener->watch.fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		peer = pst_kernel_addr_from(&address);
		admit(listener, fd, &peer);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EINVAL:
	case EBADF:
		pause_accepting(listener);
		return false;
	default:
		/* A client that left again, or that a packet filter took away. */
		return true;
	}
}

static void listener_on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_net_listener *listener = PST_CONTAINER(watch, struct pst_net_listener, watch);
	struct pst_net_kernel *kernel = kernel_of(listener->net);
	uint64_t poll = kernel->net.loop->poll_count;
	uint32_t burst = listener->burst_count;

	(void)events;
	if (listener->poll_last + 1 == poll)
		burst = burst * 2;
	listener->burst_count = burst = PST_MIN(PST_MAX(burst, 1), kernel->accept_turn_max);
	listener->poll_last = poll;
	kernel->accepting = listener;
	for (uint32_t i = 0; i < burst; i++) {
		bool more = accept_one(listener);

		if (kernel->accepting != listener)
			return;
		if (!more) {
			listener->burst_count = i;
			break;
		}
	}
	kernel->accepting = NULL;
}

static int kernel_listen(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_net_kernel *kernel = kernel_of(net);
	struct pst_addr wished = listener->local;
	union pst_kernel_addr address;
	socklen_t len = pst_kernel_addr_to(&wished, &address);
	int fd = open_socket(wished.family, kernel->accept_receive_bytes,
		kernel->accept_send_bytes);
	int ret;

	if (fd < 0)
		return fd;
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    (wished.family == PST_FAMILY_IPV6 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
	    bind(fd, &address.any, len) || listen(fd, (int)kernel->backlog_count)) {
		ret = -pst_kernel_error(errno);
		goto fail;
	}
	listener->net = net;
	listener->watch = (struct pst_watch){.on_event = listener_on_event, .fd = fd};
	listener->pause = (struct pst_timer){.on_due = pause_on_due};
	listener->poll_last = 0;
	listener->burst_count = 1;
	ret = pst_epoll_watch(kernel->epoll, &listener->watch, EPOLLIN);
	if (ret)
		goto fail;
	if (wished.port == 0)
		listener->local = pst_kernel_addr_local(fd);
	listener->open = true;
	return 0;
fail:
	close(fd);
	return ret;
}

static void kernel_unlisten(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_net_kernel *kernel = kernel_of(net);

	PST_BUG_ON(!listener->open);
	listener->open = false;
	if (kernel->accepting == listener)
		kernel->accepting = NULL;
	pst_timer_cancel(net->loop, &listener->pause);
	pst_epoll_forget(kernel->epoll, &listener->watch);
	close(listener->watch.fd);
	listener->watch.fd = -1;
}

/* Where the kernel cannot, nothing is known of clients. */
static void kernel_keep_syn(struct pst_net_listener *listener, bool keep)
{
	(void)set_option(listener->watch.fd, IPPROTO_TCP, TCP_SAVE_SYN, keep);
}

void pst_net_kernel_init(struct pst_net_kernel *kernel, struct pst_epoll *epoll,
	struct pst_loop *loop)
{
	static const struct pst_net_ops ops = {
		.listen = kernel_listen,
		.unlisten = kernel_unlisten,
		.connect = kernel_connect,
		.read = kernel_read,
		.write = kernel_write,
		.want = kernel_want,
		.shutdown = kernel_shutdown,
		.abort = kernel_abort,
		.syn = kernel_syn,
		.keep_syn = kernel_keep_syn,
	};

	*kernel = (struct pst_net_kernel){
		.net = {.ops = &ops, .loop = loop},
		.epoll = epoll,
		.accept_turn_max = 16,
		.backlog_count = 128,
	};
}
