/* support/stage.c - the proxy, a network of either kind, and peers that move one step a turn */
#include "support/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 65536
#define STORE_BYTES 4096
#define LOG_RING_BYTES (256 * 1024)
#define PORT_FIRST 40000
#define STILL_TURNS_MAX 20000 /* turns with something to do, but no byte moved */
#define LATE_MS 3000          /* real time that a kernel may take to move a byte */
#define EDGE_BYTES 512        /* of a long text, byte by byte at its beginning and end */
#define POLLED_MAX 256

static struct pst_stage *stage_of(struct pst_net *net)
{
	return PST_CONTAINER(net->ops, struct pst_stage, ops);
}

static struct pst_net *net_of(struct pst_stage *stage)
{
	if (stage->plan.wire)
		return stage->plan.wire->proxy_net;
	switch (stage->plan.net) {
	case PST_STAGE_KERNEL:
		return &stage->kernel.net;
	case PST_STAGE_LWIP:
		return &stage->interface.net;
	case PST_STAGE_PIPES:
		break;
	}
	return &stage->memory.net;
}

static void must(bool good)
{
	PST_BUG_ON(!good);
}

/* --- sockets of ours ------------------------------------------------------------------------- */

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	must(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	return ntohs(address.sin_port);
}

static int socket_new(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	must(fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	return fd;
}

static int socket_bound(uint16_t *port)
{
	struct sockaddr_in address = loopback(0);
	int fd = socket_new();

	must(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	*port = port_of(fd);
	return fd;
}

static void set_nonblocking(int fd)
{
	must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

/* --- the proxy's network, with addresses of the test's choice --------------------------------- */

static struct pst_stage_listener *find_listener(struct pst_stage *stage,
						const struct pst_net_listener *net)
{
	for (uint32_t i = 0; i < PST_LISTENERS_MAX; i++)
		if (stage->listeners[i].net == net)
			return &stage->listeners[i];
	return NULL;
}

static struct pst_addr address_of(const struct pst_stage *stage, const struct pst_addr *true_one)
{
	const struct pst_peer *found = NULL;
	uint16_t true_port = true_one->port;

	if (stage->plan.wire)
		return *true_one;
	/* The last one: ports of those that have gone are used again. */
	for (const struct pst_peer *peer = stage->peers; peer; peer = peer->next)
		if (peer->true_port == true_port)
			found = peer;
	must(found != NULL);
	return found->address;
}

static struct pst_net_conn *on_accept(struct pst_net_listener *net, const struct pst_addr *peer,
				      struct pst_span *refusal)
{
	struct pst_stage *stage = stage_of(net->net);
	struct pst_addr address = address_of(stage, peer);

	return find_listener(stage, net)->on_accept(net, &address, refusal);
}

static void on_accepted(struct pst_net_listener *net, struct pst_net_conn *conn)
{
	struct pst_stage *stage = stage_of(net->net);

	conn->peer = address_of(stage, &conn->peer);
	find_listener(stage, net)->on_accepted(net, conn);
}

static struct pst_door *find_door(const struct pst_stage *stage, const struct pst_addr *address)
{
	for (struct pst_door *door = stage->doors; door; door = door->next)
		if (pst_addr_eq(&door->address, address) && door->address.port == address->port)
			return door;
	return NULL;
}

static int stage_listen(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_stage *stage = stage_of(net);
	struct pst_stage_listener *place = find_listener(stage, NULL);
	struct sockaddr_in any = loopback(0);
	int ret;

	must(place != NULL);
	if (find_door(stage, &listener->local))
		return -PST_E_BUSY;
	*place = (struct pst_stage_listener){
		.net = listener,
		.address = listener->local,
		.on_accept = listener->on_accept,
		.on_accepted = listener->on_accepted,
	};
	listener->on_accept = on_accept;
	listener->on_accepted = on_accepted;
	if (stage->plan.net != PST_STAGE_PIPES) {
		listener->local = (struct pst_addr){.family = PST_FAMILY_IPV4};
		memcpy(listener->local.ip, &any.sin_addr, 4);
	}
	ret = stage->true_ops->listen(net, listener);
	if (ret < 0)
		place->net = NULL;
	return ret;
}

static void stage_unlisten(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_stage *stage = stage_of(net);

	find_listener(stage, listener)->net = NULL;
	stage->true_ops->unlisten(net, listener);
}

static int stage_connect(struct pst_net *net, struct pst_net_conn *conn)
{
	struct pst_stage *stage = stage_of(net);
	struct pst_addr wished = conn->peer;
	struct pst_door *door = find_door(stage, &wished);
	struct sockaddr_in address =
		loopback(door && door->open ? door->true_port : stage->nowhere_port);
	void *block = pst_mem_alloc(&stage->alloc.mem, 1);
	int ret;

	if (!block)
		return -PST_E_NOMEM;
	pst_mem_free(&stage->alloc.mem, block, 1);
	if (stage->plan.net != PST_STAGE_PIPES) {
		conn->peer = (struct pst_addr){
			.family = PST_FAMILY_IPV4,
			.port = ntohs(address.sin_port),
		};
		memcpy(conn->peer.ip, &address.sin_addr, 4);
	}
	ret = stage->true_ops->connect(net, conn);
	conn->peer = wished;
	return ret;
}

/* --- peers ------------------------------------------------------------------------------------ */

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	(void)ready;
	conn->ops->want(conn, 0); /* peers are looked at after each turn */
}

static struct pst_peer *peer_new(struct pst_stage *stage)
{
	struct pst_peer *peer = calloc(1, sizeof(*peer));

	must(peer != NULL);
	peer->stage = stage;
	peer->fd = -1;
	peer->conn.on_ready = on_ready;
	peer->open = true;
	peer->cut = (uint8_t)stage->plan.cut;
	*stage->peers_end = peer;
	stage->peers_end = &peer->next;
	*stage->open_peers_end = peer;
	stage->open_peers_end = &peer->next_open;
	return peer;
}

static bool connect_socket(struct pst_peer *peer, const struct pst_net_listener *listener)
{
	struct sockaddr_in address =
		loopback(listener ? listener->local.port : peer->stage->nowhere_port);
	int ret;

	peer->fd = socket_bound(&peer->true_port);
	ret = connect(peer->fd, (struct sockaddr *)&address, sizeof(address));
	set_nonblocking(peer->fd);
	return ret == 0;
}

static bool connect_wire(struct pst_peer *peer, const struct pst_addr *to)
{
	struct pst_stage_wire *wire = peer->stage->plan.wire;
	struct pst_net *net = wire->net_of(wire, &peer->address);

	peer->conn.peer = *to;
	if (net->ops->connect(net, &peer->conn) < 0)
		return false;
	peer->true_port = peer->address.port = peer->conn.local.port;
	return true;
}

static bool connect_conn(struct pst_peer *peer, const struct pst_addr *to)
{
	struct pst_stage *stage = peer->stage;
	struct pst_addr before = stage->memory.source;
	int ret;

	stage->memory.source = peer->address;
	stage->memory.syn = (struct pst_net_syn){
		.ttl = 57, .window = 5840, .mss = 1460, .scale = PST_SYN_NO_SCALE,
		.layout = PST_SYN_MSS, .quirks = PST_SYN_DF,
	};
	peer->conn.peer = *to;
	ret = stage->true_ops->connect(net_of(stage), &peer->conn);
	stage->memory.source = before;
	peer->true_port = peer->conn.local.port;
	return ret == 0;
}

struct pst_peer *pst_stage_connect(struct pst_stage *stage, const struct pst_addr *from,
				   uint32_t listener)
{
	struct pst_peer *peer = peer_new(stage);
	const struct pst_stage_listener *to = &stage->listeners[listener];

	peer->address = *from;
	peer->address.port = stage->port_next++;
	if (stage->plan.wire)
		peer->open = connect_wire(peer, &to->address);
	else if (stage->plan.net == PST_STAGE_KERNEL)
		peer->broken = !connect_socket(peer, to->net);
	else if (stage->plan.net == PST_STAGE_PIPES)
		must(connect_conn(peer, &to->address));
	else
		must(connect_conn(peer, to->net ? &to->net->local : &stage->nowhere));
	return peer;
}

void pst_peer_say(struct pst_peer *peer, struct pst_span bytes)
{
	if (peer->open && peer->end_due == PST_PEER_STAY)
		pst_bytes_add_span(&peer->out, bytes);
}

void pst_peer_end(struct pst_peer *peer, enum pst_peer_end end)
{
	peer->end_due = (uint8_t)end;
}

static int64_t take_socket(struct pst_peer *peer, uint8_t *area)
{
	ssize_t got = recv(peer->fd, area, READ_BYTES, MSG_DONTWAIT);

	if (got > 0)
		return got;
	if (got == 0)
		return -PST_E_CLOSED;
	return errno == EAGAIN || errno == EINTR ? 0 : -PST_E_RESET;
}

/*  ret true: something came */
static bool take(struct pst_peer *peer)
{
	static uint8_t area[READ_BYTES];
	bool moved = false;
	int64_t got;

	while (peer->open && !peer->deaf && !peer->ended && !peer->broken) {
		got = peer->fd >= 0 ? take_socket(peer, area)
				    : peer->conn.ops->read(&peer->conn, area, sizeof(area));
		if (got == 0)
			break;
		moved = true;
		if (got > 0 && peer->stage->plan.on_bytes)
			peer->stage->plan.on_bytes(peer, true,
						   (struct pst_span){area, (uint32_t)got});
		if (got > 0)
			pst_bytes_add(&peer->in, area, (uint32_t)got);
		else if (got == -PST_E_CLOSED)
			peer->ended = true;
		else
			peer->broken = true;
	}
	if (moved && peer->on_input)
		peer->on_input(peer);
	return moved;
}

/* How much of what is to be said leaves in this turn. */
static uint32_t piece_len(struct pst_peer *peer)
{
	static const uint32_t scales[] = {4, 64, 1024, 16384};
	struct pst_rng_seed *cuts = &peer->stage->cuts;
	uint32_t left = peer->out.len - peer->said, most;

	switch ((enum pst_stage_cut)peer->cut) {
	case PST_CUT_BYTES:
		if (peer->said < EDGE_BYTES || left <= EDGE_BYTES || left < 4 * EDGE_BYTES)
			return 1;
		return PST_MIN(left - EDGE_BYTES, 997);
	case PST_CUT_RANDOM:
		most = scales[pst_rng_seed_below(cuts, PST_COUNT(scales))];
		most = 1 + pst_rng_seed_below(cuts, most);
		return PST_MIN(left, most);
	case PST_CUT_WHOLE:
		break;
	}
	return left;
}

static bool give(struct pst_peer *peer)
{
	struct pst_span piece;
	int64_t sent;

	if (!peer->open || peer->said == peer->out.len || peer->next_ms > peer->stage->sim.mono_ms)
		return false;
	piece = pst_bytes_from(&peer->out, peer->said);
	piece.len = piece_len(peer);
	if (peer->end_out > 0)
		piece.len = PST_MIN(piece.len, PST_MAX(peer->end_out, peer->said) - peer->said);
	if (piece.len == 0)
		return false;
	if (peer->fd >= 0) {
		sent = send(peer->fd, piece.at, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			sent = errno == EAGAIN || errno == EINTR ? 0 : -PST_E_RESET;
	} else {
		sent = peer->conn.ops->write(&peer->conn, &piece, 1);
	}
	if (sent > 0 && peer->gap_ms > 0)
		peer->next_ms = peer->stage->sim.mono_ms + peer->gap_ms;
	if (sent > 0 && peer->stage->plan.on_bytes)
		peer->stage->plan.on_bytes(peer, false, pst_span_sub(piece, 0, (uint32_t)sent));
	/* Nobody will read the rest; what the proxy had sent before may still be there to be read. */
	peer->said = sent < 0 ? peer->out.len : peer->said + (uint32_t)sent;
	return sent != 0;
}

static void close_peer(struct pst_peer *peer, bool reset)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (!peer->open)
		return;
	if (!reset)
		(void)take(peer); /* or the close would be a reset */
	peer->open = false;
	if (peer->fd < 0) {
		peer->conn.ops->abort(&peer->conn, reset);
		return;
	}
	if (reset)
		must(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	close(peer->fd);
	peer->fd = -1;
}

static bool end_peer(struct pst_peer *peer)
{
	enum pst_peer_end end;

	if ((peer->end_in > 0 && peer->in.len >= peer->end_in) ||
	    (peer->end_out > 0 && peer->said >= peer->end_out)) {
		peer->end_in = peer->end_out = 0;
		peer->said = peer->out.len;
		if (peer->end_due == PST_PEER_STAY)
			peer->end_due = peer->end_early;
	}
	end = (enum pst_peer_end)peer->end_due;
	if (!peer->open || end == PST_PEER_STAY || peer->said < peer->out.len)
		return false;
	peer->end_due = PST_PEER_STAY;
	if (end != PST_PEER_SHUT)
		close_peer(peer, end == PST_PEER_RESET);
	else if (peer->fd >= 0)
		(void)shutdown(peer->fd, SHUT_WR);
	else
		peer->conn.ops->shutdown(&peer->conn);
	if (peer->on_end)
		peer->on_end(peer);
	return true;
}

/* --- doors ------------------------------------------------------------------------------------ */

static struct pst_net_conn *door_on_accept(struct pst_net_listener *listener,
					   const struct pst_addr *from, struct pst_span *refusal)
{
	struct pst_door *door = PST_CONTAINER(listener, struct pst_door, listener);

	(void)from;
	(void)refusal;
	return &peer_new(door->stage)->conn;
}

static void door_on_accepted(struct pst_net_listener *listener, struct pst_net_conn *conn)
{
	struct pst_door *door = PST_CONTAINER(listener, struct pst_door, listener);

	door->on_peer(door, PST_CONTAINER(conn, struct pst_peer, conn));
}

struct pst_door *pst_stage_door(struct pst_stage *stage, const struct pst_addr *address,
				void (*on_peer)(struct pst_door *door, struct pst_peer *peer),
				void *owner)
{
	struct pst_door *door = calloc(1, sizeof(*door));

	must(door != NULL);
	door->stage = stage;
	door->fd = -1;
	door->address = *address;
	door->on_peer = on_peer;
	door->owner = owner;
	door->next = stage->doors;
	stage->doors = door;
	return door;
}

void pst_door_open(struct pst_door *door, bool open)
{
	struct pst_stage *stage = door->stage;

	if (door->open == open)
		return;
	door->open = open;
	if (stage->plan.net != PST_STAGE_KERNEL) {
		struct pst_net *net = stage->plan.wire ? stage->plan.wire->net_of(
			stage->plan.wire, &door->address) : net_of(stage);
		const struct pst_net_ops *ops = stage->plan.wire ? net->ops : stage->true_ops;

		door->listener.local = door->address;
		if (stage->plan.net == PST_STAGE_LWIP)
			door->listener.local = stage->nowhere;
		door->listener.on_accept = door_on_accept;
		door->listener.on_accepted = door_on_accepted;
		if (open)
			must(ops->listen(net, &door->listener) == 0);
		else
			ops->unlisten(net, &door->listener);
		door->true_port = door->listener.local.port;
		return;
	}
	if (open) {
		door->fd = socket_bound(&door->true_port);
		must(listen(door->fd, 64) == 0);
		set_nonblocking(door->fd);
	} else {
		close(door->fd);
		door->fd = -1;
	}
}

static bool admit(struct pst_door *door)
{
	bool moved = false;
	int fd, on = 1;

	if (door->fd < 0)
		return false;
	while ((fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct pst_peer *peer = peer_new(door->stage);

		must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
		peer->fd = fd;
		door->on_peer(door, peer);
		moved = true;
	}
	return moved;
}

/* --- turns ------------------------------------------------------------------------------------ */

static void take_log(struct pst_stage *stage)
{
	struct pst_span ring = pst_buf_span(&stage->log.ring);

	while (ring.len > 0) {
		int64_t end = pst_span_find(ring, '\n'), blank = pst_span_find(ring, ' ');

		must(end > 0 && blank > 0 && blank < end);
		pst_bytes_add(&stage->log_text, ring.at + blank + 1, (uint32_t)(end - blank));
		ring = pst_span_sub(ring, (uint32_t)end + 1, ring.len);
	}
	pst_buf_clear(&stage->log.ring);
}

/* A peer that a callback makes goes to the list's end and has its turn, too; one that is closed has
 * had its last. */
static bool move_peers(struct pst_stage *stage)
{
	bool moved = false;
	uint64_t next_ms = UINT64_MAX;
	struct pst_peer *peer, **place = &stage->open_peers;

	stage->blocked = false;
	for (struct pst_door *door = stage->doors; door; door = door->next)
		moved |= admit(door);
	while ((peer = *place)) {
		moved |= take(peer);
		moved |= give(peer);
		moved |= end_peer(peer);
		if (peer->open && peer->said < peer->out.len) {
			if (peer->next_ms > stage->sim.mono_ms)
				next_ms = PST_MIN(next_ms, peer->next_ms);
			else
				stage->blocked = true;
		}
		if (peer->open) {
			place = &peer->next_open;
			continue;
		}
		*place = peer->next_open;
		if (!*place)
			stage->open_peers_end = place;
	}
	if (next_ms < UINT64_MAX)
		pst_timer_set(&stage->loop, &stage->wake, next_ms);
	return moved;
}

/*  out moved: bytes or connections did
 *  ret true: something happened, or is about to */
static bool turn(struct pst_stage *stage, bool wait, bool *moved)
{
	bool busy = !pst_list_empty(&stage->loop.tasks);
	uint64_t polls = stage->loop.poll_count;

	stage->log.wall_ms = stage->sim.wall_ms;
	pst_loop_turn(&stage->loop, wait);
	if (stage->plan.net == PST_STAGE_KERNEL && stage->loop.poll_count > polls)
		busy |= stage->epoll.ready_count > 0;
	take_log(stage);
	*moved = move_peers(stage);
	return *moved || busy || !pst_list_empty(&stage->loop.tasks);
}

bool pst_stage_turn(struct pst_stage *stage)
{
	bool moved;

	return turn(stage, false, &moved);
}

/* Is there really nothing? What was sent may still be on its way through the kernel.
 *  in  ms: real time to wait */
static bool kernel_is_quiet(struct pst_stage *stage, int ms)
{
	struct pollfd polled[POLLED_MAX];
	nfds_t count = 0;

	polled[count++] = (struct pollfd){.fd = stage->epoll.fd, .events = POLLIN};
	for (const struct pst_door *door = stage->doors; door; door = door->next)
		if (door->fd >= 0 && count < POLLED_MAX)
			polled[count++] = (struct pollfd){.fd = door->fd, .events = POLLIN};
	for (const struct pst_peer *peer = stage->peers; peer; peer = peer->next) {
		short events = 0;

		if (!peer->deaf && !peer->ended && !peer->broken)
			events |= POLLIN;
		if (peer->said < peer->out.len)
			events |= POLLOUT;
		if (peer->fd >= 0 && events && count < POLLED_MAX)
			polled[count++] = (struct pollfd){.fd = peer->fd, .events = events};
	}
	return poll(polled, count, ms) == 0;
}

/*  in  wait_ms: real time, in which the kernel must have moved something */
static bool turn_until(struct pst_stage *stage, bool (*done)(void *context), void *context,
		       int wait_ms)
{
	uint32_t still = 0;
	bool moved;

	while (!done || !done(context)) {
		if (!turn(stage, false, &moved)) {
			if (stage->plan.net != PST_STAGE_KERNEL)
				return done ? done(context) : true;
			if (kernel_is_quiet(stage, wait_ms))
				return done ? done(context) : true;
		}
		still = moved ? 0 : still + 1;
		if (still > STILL_TURNS_MAX) {
			stage->wild = true;
			return false;
		}
	}
	return true;
}

bool pst_stage_until(struct pst_stage *stage, bool (*done)(void *context), void *context)
{
	return turn_until(stage, done, context, LATE_MS);
}

bool pst_stage_settle(struct pst_stage *stage)
{
	return turn_until(stage, NULL, NULL, 1);
}

bool pst_stage_breathe(struct pst_stage *stage)
{
	return turn_until(stage, NULL, NULL, 0);
}

static void on_alarm(struct pst_timer *timer)
{
	PST_CONTAINER(timer, struct pst_stage, alarm)->alarm_rang = true;
}

static void on_wake(struct pst_timer *timer)
{
	(void)timer; /* peers are looked at after each turn */
}

/* A turn that came to nothing would come to nothing once more, but for what a kernel holds, and for who
 * cannot send and draws another piece each time. */
static bool rests(const struct pst_stage *stage, bool came)
{
	return !came && !stage->blocked && !stage->alarm_rang && stage->plan.net != PST_STAGE_KERNEL;
}

void pst_stage_pass(struct pst_stage *stage, uint64_t ms)
{
	bool moved;

	if (!pst_stage_settle(stage))
		return;
	stage->alarm_rang = false;
	pst_timer_set(&stage->loop, &stage->alarm, stage->sim.mono_ms + ms);
	while (!stage->alarm_rang) {
		if (!rests(stage, turn(stage, true, &moved)) && !pst_stage_settle(stage))
			break;
	}
	pst_timer_cancel(&stage->loop, &stage->alarm);
}

/* --- sockets in simulated time ---------------------------------------------------------------- */

static struct pst_stage *stage_of_poller(struct pst_poller *poller)
{
	return PST_CONTAINER(poller, struct pst_stage, poller);
}

static void mixed_poll(struct pst_poller *poller, int timeout_ms)
{
	struct pst_stage *stage = stage_of_poller(poller);

	stage->epoll.poller.poll(&stage->epoll.poller, 0);
	if (stage->epoll.ready_count == 0)
		stage->sim.poller.poll(&stage->sim.poller, timeout_ms);
}

static void mixed_deliver(struct pst_poller *poller)
{
	struct pst_stage *stage = stage_of_poller(poller);

	stage->epoll.poller.deliver(&stage->epoll.poller);
}

static uint64_t mixed_mono_ms(struct pst_poller *poller)
{
	return stage_of_poller(poller)->sim.mono_ms;
}

static uint64_t mixed_wall_ms(struct pst_poller *poller)
{
	return stage_of_poller(poller)->sim.wall_ms;
}

/* --- configuration ---------------------------------------------------------------------------- */

static int conf_read(struct pst_config_reader *self, struct pst_span path, struct pst_span *text)
{
	struct pst_stage *stage = PST_CONTAINER(self, struct pst_stage, reader);

	if (pst_span_ends_nocase(path, PST_SPAN(".sig")))
		*text = PST_SPAN("linux Pipes 64 5840 - 1460 mss df\n");
	else
		*text = pst_bytes_from(&stage->conf_text, 0);
	return 0;
}

static void conf_done(struct pst_config_reader *self, struct pst_span text)
{
	(void)self;
	(void)text;
}

static void conf_message(struct pst_config_report *self, const struct pst_config_message *message)
{
	struct pst_stage *stage = PST_CONTAINER(self, struct pst_stage, report);
	uint8_t area[2048];
	struct pst_buf text;

	if (message->warning)
		return;
	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, message);
	pst_bytes_add_span(&stage->complaints, pst_buf_span(&text));
}

struct pst_config *pst_stage_load(struct pst_stage *stage, const char *text,
				  const struct pst_span *lines, uint32_t line_count)
{
	struct pst_config_env env = {
		.mem = &stage->world.mem,
		.reader = &stage->reader,
		.report = &stage->report,
		.machine_name = PST_SPAN("stage.example"),
	};
	struct pst_config *config = NULL;

	stage->reader = (struct pst_config_reader){.read = conf_read, .done = conf_done};
	stage->report = (struct pst_config_report){.on_message = conf_message};
	pst_bytes_cut(&stage->conf_text, 0);
	pst_bytes_add(&stage->conf_text, text, (uint32_t)strlen(text));
	pst_bytes_cut(&stage->complaints, 0);
	if (pst_config_load(&env, PST_SPAN("dialogue.conf\0"), lines, line_count,
			    ++stage->generation, &config) < 0)
		return NULL;
	return config;
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_drained(void *owner)
{
	((struct pst_stage *)owner)->drained = true;
}

void pst_stage_init(struct pst_stage *stage, const struct pst_stage_plan *plan)
{
	memset(stage, 0, sizeof(*stage));
	stage->plan = *plan;
	stage->port_next = PORT_FIRST;
	stage->nowhere_fd = -1;
	stage->peers_end = &stage->peers;
	stage->open_peers_end = &stage->open_peers;
	pst_alloc_fail_init(&stage->alloc);
	pst_alloc_fail_init(&stage->world);
	pst_rng_seed_init(&stage->rng, plan->rng_seed ? plan->rng_seed : 1);
	pst_rng_seed_init(&stage->cuts, plan->seed);
	pst_poller_sim_init(&stage->sim, 1000000);
	stage->alarm.on_due = on_alarm;
	stage->wake.on_due = on_wake;
	stage->log_area = malloc(LOG_RING_BYTES);
	must(stage->log_area != NULL);
	pst_log_init(&stage->log, stage->log_area, LOG_RING_BYTES);
}

static void send_nowhere(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	(void)parts, (void)count;
	frames->lost_count++;
}

static void open_lwip(struct pst_stage *stage)
{
	static const struct pst_lwip_limits limits = {
		.accept_bytes_max = 16 * 1024 * 1024,
		.connect_bytes_max = 16 * 1024 * 1024,
		.half_count_max = 64,
		.half_network_max = 64,
		.accept_turn_max = 16,
	};
	struct pst_interface_conf conf = {
		.mac = {2, 0, 0, 0, 0, 1},
		.ipv4 = {.net = {.family = PST_FAMILY_IPV4, .ip = {127, 0, 0, 1}}, .bits = 8},
	};

	stage->frames.send = send_nowhere;
	stage->nowhere = conf.ipv4.net;
	pst_rng_seed_init(&stage->lwip_rng, 1);
	must(pst_lwip_open(&stage->lwip, &stage->loop, &stage->world.mem, &stage->lwip_rng.rng,
			   &limits) == 0);
	must(pst_lwip_add(&stage->lwip, &stage->interface, &stage->frames, &conf) == 0);
	stage->nowhere_port = 9; /* nobody listens */
}

void pst_stage_open(struct pst_stage *stage, const struct pst_proxy_conf *conf)
{
	struct pst_poller *poller = &stage->sim.poller;
	uint32_t pipe_bytes = stage->plan.pipe_bytes ? stage->plan.pipe_bytes : 65536;

	if (stage->plan.net == PST_STAGE_KERNEL) {
		must(pst_epoll_init(&stage->epoll) == 0);
		stage->poller = (struct pst_poller){
			.poll = mixed_poll,
			.deliver = mixed_deliver,
			.mono_ms = mixed_mono_ms,
			.wall_ms = mixed_wall_ms,
		};
		poller = &stage->poller;
		stage->nowhere_fd = socket_bound(&stage->nowhere_port);
	}
	must(pst_loop_init(&stage->loop, poller, &stage->world.mem,
			   pst_proxy_timers_max(conf) + 2 + PST_LISTENERS_MAX +
				   PST_LWIP_TIMERS_MAX + stage->plan.timers_more) == 0);
	if (stage->plan.wire)
		stage->plan.wire->open(stage->plan.wire, stage);
	else if (stage->plan.net == PST_STAGE_KERNEL)
		pst_net_kernel_init(&stage->kernel, &stage->epoll, &stage->loop);
	else if (stage->plan.net == PST_STAGE_LWIP)
		open_lwip(stage);
	else
		pst_net_memory_init(&stage->memory, &stage->loop, &stage->world.mem, pipe_bytes);
	stage->true_ops = net_of(stage)->ops;
	stage->ops = *stage->true_ops;
	stage->ops.listen = stage_listen;
	stage->ops.unlisten = stage_unlisten;
	stage->ops.connect = stage_connect;
	net_of(stage)->ops = &stage->ops;
	stage->open = true;
}

bool pst_stage_begin(struct pst_stage *stage, struct pst_config *config)
{
	struct pst_proxy_env env = {
		.loop = &stage->loop,
		.store = &stage->store.store,
		.mem = &stage->alloc.mem,
		.rng = &stage->rng.rng,
		.log = &stage->log,
		.counters = &stage->counters,
		.dns = stage->plan.dns,
		.charset = stage->plan.charset,
		.on_drained = on_drained,
		.owner = stage,
	};
	struct pst_addr failed;

	must(pst_store_memory_init(&stage->store, &stage->world.mem, (struct pst_hash_key){1, 2},
				   STORE_BYTES, stage->loop.now_ms) == 0);
	env.net = net_of(stage);
	stage->bound = pst_proxy_bound(&config->proxy);
	pst_alloc_fail_at(&stage->alloc, stage->plan.fail_at, stage->plan.fail_on);
	if (pst_proxy_new(&env, &config->proxy, &stage->proxy) < 0) {
		stage->proxy = NULL;
		pst_proxy_conf_unref(&config->proxy);
		return false;
	}
	must(pst_proxy_listen(stage->proxy, &failed) == 0);
	return true;
}

uint32_t pst_stage_timer_count(const struct pst_stage *stage)
{
	return stage->plan.net == PST_STAGE_LWIP ? PST_LWIP_TIMERS_MAX : 0;
}

static void close_network(struct pst_stage *stage)
{
	pst_timer_cancel(&stage->loop, &stage->wake);
	if (stage->plan.wire) {
		stage->plan.wire->close(stage->plan.wire);
		must(stage->loop.heap_count == 0);
		pst_loop_fini(&stage->loop);
		return;
	}
	if (stage->plan.net == PST_STAGE_LWIP) {
		pst_lwip_remove(&stage->interface);
		pst_lwip_close(&stage->lwip);
	}
	must(stage->loop.heap_count == 0);
	if (stage->plan.net == PST_STAGE_KERNEL) {
		close(stage->nowhere_fd);
		pst_epoll_fini(&stage->epoll);
	} else if (stage->plan.net == PST_STAGE_PIPES) {
		pst_net_memory_fini(&stage->memory);
	}
	pst_loop_fini(&stage->loop);
}

void pst_stage_fini(struct pst_stage *stage)
{
	struct pst_peer *peer;
	struct pst_door *door;

	if (stage->proxy)
		pst_proxy_free(stage->proxy);
	stage->proxy = NULL;
	if (stage->store.slots)
		pst_store_memory_fini(&stage->store);
	while ((door = stage->doors)) {
		stage->doors = door->next;
		pst_door_open(door, false);
		free(door);
	}
	while ((peer = stage->peers)) {
		stage->peers = peer->next;
		peer->on_input = NULL;
		close_peer(peer, true);
		pst_bytes_free(&peer->in);
		pst_bytes_free(&peer->out);
		free(peer);
	}
	if (stage->open)
		close_network(stage);
	free(stage->log_area);
	pst_bytes_free(&stage->log_text);
	pst_bytes_free(&stage->conf_text);
	pst_bytes_free(&stage->complaints);
	must(stage->world.block_count == 0);
}
