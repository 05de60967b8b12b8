/* net/net_lwip.c - the stream seam over lwIP's raw API
 *
 * lwIP's callbacks only take notes: bytes go into pages, ends and errors into flags, and the
 * owner's task is queued. So no owner is ever called while lwIP holds a pcb in its hands, a pcb may
 * be aborted at any time, and every callback returns ERR_OK. What tells that a pcb is gone is the
 * destructor of its extra argument alone: it runs whoever frees it (a reset, a timeout, TIME_WAIT's
 * end, a newcomer that needs its memory).
 *
 * A pcb whose owner has left lives on until what was written is delivered; it has the lowest
 * priority, so the next client in need of a pcb takes it. lwIP answers unread bytes with a reset
 * when it closes; they count as read, as they do with net_kernel, so that last words get through.
 */
#include <lwip/priv/tcp_priv.h>
#include <string.h>

#include "net/lwip_priv.h"

/* Of a pcb: handshake, connection. Zero is for those without an owner: lwIP takes the memory of a
 * lower priority only. */
#define PRIO_HALF 1
#define PRIO_OPEN TCP_PRIO_NORMAL
#define PRIO_LEFT 0
/* Whoever announces smaller segments (RFC 9293 section 3.7.1 has 536 for the smallest network) has us send mostly
 * headers. */
#define SEGMENT_MIN 88

/* struct pst_net_conn.flags */
enum {
	CONNECTING = 1,    /* the outcome has not been told */
	END_READ = 2,      /* a read has returned the end or an error */
	BREAK_WRITTEN = 4, /* a write has returned an error */
};

struct pst_lwip_conn {
	struct pst_node node; /* in the listener's `waiting` */
	struct pst_net_conn *owner; /* NULL: not accepted yet */
	struct pst_lwip_interface *interface;
	struct tcp_pcb *pcb; /* NULL: gone */
	struct pst_lwip_unread unread;
	uint32_t withheld; /* of the window */
	uint8_t error;     /* enum pst_err */
	bool finished;     /* nothing more will arrive */
	bool connected;    /* the outcome of connect may be told */
	bool established;  /* and it was good */
	bool stuck;        /* lwIP had no memory for a write; it is tried again by and by */
	struct pst_net_syn syn;
};

struct pst_lwip_listener {
	struct pst_node node;
	struct pst_net_listener *listener;
	struct pst_lwip_interface *interface;
	struct tcp_pcb *pcb;
	struct pst_task task;
	struct pst_list waiting;
};

static struct pst_lwip_conn *conn_of(const struct pst_net_conn *conn)
{
	return conn->impl;
}

/* --- the window ----------------------------------------------------------------------------- */

bool pst_lwip_conn_takes(struct tcp_pcb *pcb, uint32_t len)
{
	const struct pst_lwip_conn *self = tcp_ext_arg_get(pcb, PST_LWIP_ARG);

	if (pcb->ooseq)
		len += TCP_OOSEQ_MAX_PBUFS * TCP_MSS;
	return !self || pst_lwip_unread_fits(&self->unread, len);
}

/* The peer may send so much more, and at first some more than that. */
static void open_window(struct pst_lwip_conn *self, uint32_t len)
{
	uint32_t more = PST_MIN(len, self->withheld);

	if (pst_lwip_unread_is_tight(&self->unread)) {
		uint32_t whole = self->pcb ? TCP_WND_MAX(self->pcb) - self->withheld : 0;
		uint32_t less = PST_MIN(len, whole > PST_LWIP_FIRST_WINDOW ? whole - PST_LWIP_FIRST_WINDOW : 0);

		more = 0;
		self->withheld += less;
		len -= less;
	}
	self->withheld -= more;
	for (len += more; len && self->pcb; ) {
		u16_t step = (u16_t)PST_MIN(len, UINT16_MAX);

		tcp_recved(self->pcb, step);
		len -= step;
	}
}

/* --- telling the owner ---------------------------------------------------------------------- */

static bool has_room(const struct pst_lwip_conn *self)
{
	return self->pcb && !self->stuck && pst_lwip_send_max(self->pcb) > 0;
}

static uint32_t ready_of(const struct pst_net_conn *conn)
{
	const struct pst_lwip_conn *self = conn_of(conn);
	uint32_t ready = 0;

	if (conn->flags & CONNECTING && !self->connected)
		return 0;
	if (!(conn->flags & END_READ) && (self->unread.first || self->finished || self->error))
		ready |= PST_NET_READ;
	if (self->error ? !(conn->flags & BREAK_WRITTEN) : has_room(self))
		ready |= PST_NET_WRITE;
	return ready;
}

static void wake(struct pst_lwip_conn *self)
{
	struct pst_net_conn *conn = self->owner;
	struct pst_lwip *lwip = self->interface->lwip;

	if (conn && lwip->current != conn && conn->want & ready_of(conn))
		pst_loop_resume(lwip->loop, &conn->task);
}

static void conn_on_task(struct pst_task *task)
{
	struct pst_net_conn *conn = PST_CONTAINER(task, struct pst_net_conn, task);
	struct pst_lwip *lwip = pst_lwip_interface_of(conn->net)->lwip;
	uint32_t ready = ready_of(conn) & conn->want;

	if (!ready)
		return;
	conn->flags &= (uint8_t)~CONNECTING;
	lwip->current = conn;
	conn->on_ready(conn, ready);
	if (lwip->current != conn)
		return;
	lwip->current = NULL;
	if (ready_of(conn) & conn->want)
		pst_loop_resume(lwip->loop, &conn->task);
}

/* --- lwIP's callbacks ----------------------------------------------------------------------- */

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *packet, err_t error)
{
	struct pst_lwip_conn *self = arg;

	(void)pcb, (void)error;
	if (!packet) {
		self->finished = true;
	} else if (pst_lwip_unread_put(&self->unread, packet)) {
		pbuf_free(packet);
	} else {
		/* lwIP keeps it, and offers it again; until then the window is shut. */
		return ERR_MEM;
	}
	wake(self);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct pst_lwip_conn *self = arg;

	(void)pcb, (void)len;
	self->stuck = false;
	wake(self);
	return ERR_OK;
}

/* Twice a second. */
static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
	return on_sent(arg, pcb, 0);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t error)
{
	struct pst_lwip_conn *self = arg;

	(void)error;
	tcp_setprio(pcb, PRIO_OPEN);
	self->connected = true;
	self->established = true;
	wake(self);
	return ERR_OK;
}

/* The pcb is being freed, and this is why. Closed by both sides is no error. */
static void on_error(void *arg, err_t error)
{
	struct pst_lwip_conn *self = arg;

	if (error != ERR_CLSD)
		self->error = (uint8_t)pst_lwip_error(error);
	if (!self->established)
		self->error = error == ERR_RST ? PST_E_REFUSED : PST_E_TIMEOUT;
}

static void on_destroyed(u8_t id, void *data)
{
	struct pst_lwip_conn *self = data;

	(void)id;
	if (!self)
		return;
	self->pcb = NULL;
	self->connected = true;
	self->finished = true;
	wake(self);
}

static const struct tcp_ext_arg_callbacks conn_callbacks = {.destroy = on_destroyed};

static void take_pcb(struct pst_lwip_conn *self, struct tcp_pcb *pcb)
{
	self->pcb = pcb;
	tcp_ext_arg_set_callbacks(pcb, PST_LWIP_ARG, &conn_callbacks);
	tcp_ext_arg_set(pcb, PST_LWIP_ARG, self);
	tcp_arg(pcb, self);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_error);
	tcp_poll(pcb, on_poll, 1);
	tcp_nagle_disable(pcb);
}

/* The pcb lives on by itself. */
static void leave_pcb(struct pst_lwip_conn *self)
{
	struct tcp_pcb *pcb = self->pcb;

	tcp_ext_arg_set(pcb, PST_LWIP_ARG, NULL);
	tcp_arg(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_poll(pcb, NULL, 0);
	tcp_setprio(pcb, PRIO_LEFT);
	self->pcb = NULL;
}

static void conn_free(struct pst_lwip_conn *self)
{
	pst_lwip_unread_drop(&self->unread);
	pst_pool_put(&self->interface->lwip->conn_pool, self);
}

/* Ends the connection, and frees what is kept of it. */
static void conn_end(struct pst_lwip_conn *self, bool reset)
{
	struct pst_lwip *lwip = self->interface->lwip;
	struct tcp_pcb *pcb = self->pcb;

	if (pcb && reset) {
		leave_pcb(self);
		tcp_abort(pcb);
	} else if (pcb) {
		if (pcb->refused_data) {
			pbuf_free(pcb->refused_data);
			pcb->refused_data = NULL;
		}
		/* All counts as read; a window that is not whole would make it a reset. */
		pcb->rcv_wnd = TCP_WND_MAX(pcb);
		leave_pcb(self);
		PST_BUG_ON(tcp_close(pcb) != ERR_OK);
	}
	conn_free(self);
	pst_lwip_settle(lwip);
}

/* --- connections ---------------------------------------------------------------------------- */

static struct pst_lwip_conn *conn_new(struct pst_lwip_interface *interface)
{
	struct pst_lwip_conn *self = pst_pool_get_zeroed(&interface->lwip->conn_pool);

	if (self) {
		self->interface = interface;
		self->unread.lwip = interface->lwip;
	}
	return self;
}

static void attach(struct pst_lwip_conn *self, struct pst_net_conn *conn)
{
	PST_BUG_ON(conn->open);
	conn->ops = &pst_lwip_net_ops;
	conn->net = &self->interface->net;
	conn->impl = self;
	conn->task = (struct pst_task){.on_run = conn_on_task};
	conn->want = 0;
	conn->ready = 0;
	conn->error = 0;
	conn->flags = 0;
	conn->open = true;
	self->owner = conn;
}

static int lwip_connect(struct pst_net *net, struct pst_net_conn *conn)
{
	struct pst_lwip_interface *interface = pst_lwip_interface_of(net);
	struct pst_lwip_conn *self = conn_new(interface);
	struct tcp_pcb *pcb;
	ip_addr_t peer;
	err_t error;

	if (!self)
		return -PST_E_NOMEM;
	pst_lwip_addr_to(&conn->peer, &peer);
	pcb = tcp_new_ip_type(IP_GET_TYPE(&peer));
	if (!pcb) {
		conn_free(self);
		return -PST_E_NOMEM;
	}
	tcp_bind_netif(pcb, interface->netif);
	take_pcb(self, pcb);
	error = tcp_connect(pcb, &peer, conn->peer.port, on_connected);
	if (error != ERR_OK) {
		leave_pcb(self);
		tcp_abort(pcb);
		conn_free(self);
		return -pst_lwip_error(error);
	}
	attach(self, conn);
	conn->flags = CONNECTING;
	conn->want = PST_NET_WRITE;
	conn->local = pst_lwip_addr_from(&pcb->local_ip, pcb->local_port);
	pst_lwip_settle(interface->lwip);
	return 0;
}

static int64_t lwip_read(struct pst_net_conn *conn, void *area, uint32_t size)
{
	struct pst_lwip_conn *self = conn_of(conn);
	uint32_t len;

	if (conn->flags & CONNECTING || size == 0)
		return 0;
	len = pst_lwip_unread_take(&self->unread, area, size);
	if (len) {
		open_window(self, len);
		pst_lwip_settle(self->interface->lwip);
		return len;
	}
	if (!self->finished && !self->error)
		return 0;
	conn->flags |= END_READ;
	return self->error ? -self->error : -PST_E_CLOSED;
}

static int64_t lwip_write(struct pst_net_conn *conn, const struct pst_span *spans, uint32_t count)
{
	struct pst_lwip_conn *self = conn_of(conn);
	int64_t total = 0;

	PST_BUG_ON(count > PST_NET_SPANS_MAX);
	if (conn->flags & CONNECTING)
		return 0;
	if (!self->error && !self->pcb)
		self->error = PST_E_RESET;
	if (self->error) {
		conn->flags |= BREAK_WRITTEN;
		return -self->error;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct pst_span rest = spans[i];

		while (rest.len && has_room(self)) {
			u16_t len = (u16_t)PST_MIN(PST_MIN(rest.len, pst_lwip_send_max(self->pcb)),
				UINT16_MAX);

			if (tcp_write(self->pcb, rest.at, len, TCP_WRITE_FLAG_COPY) != ERR_OK) {
				self->stuck = true;
				break;
			}
			total += len;
			rest = pst_span_sub(rest, len, rest.len);
		}
		if (rest.len)
			break;
	}
	if (total) {
		tcp_output(self->pcb);
		pst_lwip_settle(self->interface->lwip);
	}
	return total;
}

static void lwip_want(struct pst_net_conn *conn, uint32_t mask)
{
	conn->want = (uint8_t)mask;
	if (conn->flags & CONNECTING)
		conn->want |= PST_NET_WRITE;
	wake(conn_of(conn));
}

static void lwip_shutdown(struct pst_net_conn *conn)
{
	struct pst_lwip_conn *self = conn_of(conn);

	if (!self->pcb)
		return;
	/* Without memory for the FIN lwIP sends it by and by. */
	(void)tcp_shutdown(self->pcb, 0, 1);
	pst_lwip_settle(self->interface->lwip);
}

static void lwip_abort(struct pst_net_conn *conn, bool reset)
{
	struct pst_lwip_conn *self;
	struct pst_lwip *lwip;

	PST_BUG_ON(!conn->open);
	self = conn_of(conn);
	lwip = self->interface->lwip;
	conn->open = false;
	if (lwip->current == conn)
		lwip->current = NULL;
	pst_loop_forget(&conn->task);
	conn->impl = NULL;
	conn_end(self, reset);
}

static void lwip_syn(struct pst_net_conn *conn, struct pst_net_syn *syn)
{
	*syn = conn_of(conn)->syn;
}

/* --- listening ------------------------------------------------------------------------------ */

static void admit(struct pst_lwip_listener *self, struct pst_lwip_conn *client)
{
	struct pst_net_listener *listener = self->listener;
	struct pst_span refusal = PST_SPAN_NONE;
	struct pst_addr peer, local;
	struct pst_net_conn *conn;

	if (!client->pcb) {
		conn_end(client, true);
		return;
	}
	peer = pst_lwip_addr_from(&client->pcb->remote_ip, client->pcb->remote_port);
	local = pst_lwip_addr_from(&client->pcb->local_ip, client->pcb->local_port);
	conn = listener->on_accept(listener, &peer, &refusal);
	if (!conn) {
		if (refusal.len)
			(void)tcp_write(client->pcb, refusal.at, (u16_t)refusal.len,
				TCP_WRITE_FLAG_COPY);
		conn_end(client, false);
		return;
	}
	attach(client, conn);
	conn->peer = peer;
	conn->local = local;
	listener->on_accepted(listener, conn);
}

static void listener_on_task(struct pst_task *task)
{
	struct pst_lwip_listener *self = PST_CONTAINER(task, struct pst_lwip_listener, task);
	struct pst_net_listener *listener = self->listener;
	struct pst_lwip *lwip = self->interface->lwip;

	lwip->accepting = listener;
	for (uint32_t i = 0; i < lwip->limits.accept_turn_max; i++) {
		struct pst_node *node = pst_list_pop(&self->waiting);

		if (!node)
			break;
		admit(self, PST_CONTAINER(node, struct pst_lwip_conn, node));
		if (lwip->accepting != listener)
			return;
	}
	lwip->accepting = NULL;
	if (!pst_list_empty(&self->waiting))
		pst_loop_resume(lwip->loop, task);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t error)
{
	struct pst_lwip_listener *self = arg;
	struct pst_lwip_conn *client;

	if (error != ERR_OK || !pcb)
		return ERR_VAL;
	client = conn_new(self->interface);
	if (!client)
		return ERR_MEM;
	client->unread.of_client = true;
	pcb->mss = PST_MAX(pcb->mss, SEGMENT_MIN);
	client->connected = true;
	client->established = true;
	client->withheld = TCP_WND_MAX(pcb) - pcb->rcv_wnd;
	pst_lwip_gate_pass(pcb, &client->syn);
	tcp_setprio(pcb, PRIO_OPEN);
	take_pcb(client, pcb);
	pst_list_append(&self->waiting, &client->node);
	pst_loop_resume(self->interface->lwip->loop, &self->task);
	return ERR_OK;
}

static bool is_any(const struct pst_addr *addr)
{
	static const uint8_t zero[sizeof(addr->ip)];

	return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

static bool is_taken(const struct pst_lwip_interface *interface, const struct pst_addr *wished)
{
	struct pst_node *node = pst_list_first(&interface->listeners);

	for (; node; node = pst_list_next(&interface->listeners, node)) {
		const struct pst_addr *there =
			&PST_CONTAINER(node, struct pst_lwip_listener, node)->listener->local;

		if (there->port != wished->port)
			continue;
		if (there->family == PST_FAMILY_NONE || wished->family == PST_FAMILY_NONE)
			return true;
		if (there->family == wished->family &&
		    (is_any(there) || is_any(wished) || pst_addr_eq(there, wished)))
			return true;
	}
	return false;
}

static struct tcp_pcb *open_pcb(struct pst_lwip_listener *self, ip_addr_t *local, err_t *error)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(local)), *listening;

	*error = ERR_MEM;
	if (!pcb)
		return NULL;
	tcp_bind_netif(pcb, self->interface->netif);
	ip_set_option(pcb, SOF_REUSEADDR);
	*error = tcp_bind(pcb, local, self->listener->local.port);
	if (*error != ERR_OK) {
		tcp_abort(pcb);
		return NULL;
	}
	/* With the option lwIP would not see that two interfaces are two places; is_taken() has
	 * looked already. */
	ip_reset_option(pcb, SOF_REUSEADDR);
	tcp_setprio(pcb, PRIO_HALF);
	listening = tcp_listen_with_backlog_and_err(pcb, 0, error);
	if (!listening) {
		tcp_abort(pcb);
		return NULL;
	}
	ip_set_option(listening, SOF_REUSEADDR);
	tcp_arg(listening, self);
	tcp_accept(listening, on_accept);
	pst_lwip_gate_guard(listening);
	return listening;
}

static int lwip_listen(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_lwip_interface *interface = pst_lwip_interface_of(net);
	struct pst_lwip *lwip = interface->lwip;
	struct pst_lwip_listener *self;
	ip_addr_t local;
	err_t error;

	PST_BUG_ON(listener->open);
	if (!pst_lwip_has_addr(interface, &listener->local))
		return -PST_E_UNREACH;
	if (listener->local.port && is_taken(interface, &listener->local))
		return -PST_E_BUSY;
	self = pst_mem_alloc(lwip->mem, sizeof(*self));
	if (!self)
		return -PST_E_NOMEM;
	self->listener = listener;
	self->interface = interface;
	self->task.on_run = listener_on_task;
	pst_list_init(&self->waiting);
	pst_lwip_addr_to(&listener->local, &local);
	self->pcb = open_pcb(self, &local, &error);
	if (!self->pcb) {
		pst_mem_free(lwip->mem, self, sizeof(*self));
		return -pst_lwip_error(error);
	}
	pst_list_append(&interface->listeners, &self->node);
	listener->local.port = self->pcb->local_port;
	listener->net = net;
	listener->impl = self;
	listener->open = true;
	return 0;
}

static void lwip_unlisten(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_lwip_listener *self = listener->impl;
	struct pst_lwip *lwip = pst_lwip_interface_of(net)->lwip;
	struct pst_node *node;

	PST_BUG_ON(!listener->open);
	listener->open = false;
	listener->impl = NULL;
	if (lwip->accepting == listener)
		lwip->accepting = NULL;
	while ((node = pst_list_pop(&self->waiting)) != NULL)
		conn_end(PST_CONTAINER(node, struct pst_lwip_conn, node), true);
	pst_loop_forget(&self->task);
	pst_list_remove(&self->node);
	PST_BUG_ON(tcp_close(self->pcb) != ERR_OK);
	pst_mem_free(lwip->mem, self, sizeof(*self));
}

/* --- pools ---------------------------------------------------------------------------------- */

void pst_lwip_pools_init(struct pst_lwip *lwip)
{
	pst_pool_init(&lwip->conn_pool, "lwip connections", lwip->mem,
		sizeof(struct pst_lwip_conn), MEMP_NUM_TCP_PCB, 8);
	pst_lwip_unread_init(lwip);
}

void pst_lwip_pools_fini(struct pst_lwip *lwip)
{
	pst_pool_fini(&lwip->conn_pool);
	pst_lwip_unread_fini(lwip);
}

uint64_t pst_lwip_pools_bound(const struct pst_lwip_limits *limits)
{
	return (uint64_t)MEMP_NUM_TCP_PCB * sizeof(struct pst_lwip_conn) + pst_lwip_unread_bound(limits);
}

const struct pst_net_ops pst_lwip_net_ops = {
	.listen = lwip_listen,
	.unlisten = lwip_unlisten,
	.connect = lwip_connect,
	.read = lwip_read,
	.write = lwip_write,
	.want = lwip_want,
	.shutdown = lwip_shutdown,
	.abort = lwip_abort,
	.syn = lwip_syn,
};
