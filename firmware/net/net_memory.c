/* net/net_memory.c - connections inside the process
 *
 * A link is one connection: two ends, and at each end the buffer of what has been sent to it. It
 * lives until both ends have been aborted. Everything that a kernel would tell by an event is told
 * by the owner's task, so nothing is called from inside a call; the order of events is that of the
 * tasks.
 *
 * What a reset does is what Linux does: the peer reads what had arrived, then an error.
 */
#include "net/net_memory.h"

#include <string.h>

#define ACCEPT_TURN_MAX 16
#define PORT_FIRST 49152 /* RFC 6335 section 6: dynamic ports */

/* struct pst_net_conn.flags */
enum {
	CONNECTING = 1,  /* the outcome has not been told */
	END_READ = 2,    /* a read has returned the end or an error */
	BREAK_WRITTEN = 4, /* a write has returned an error */
};

struct memory_end {
	struct pst_net_conn *conn; /* NULL: not accepted yet, or gone */
	struct pst_buf arrived;
	bool finished; /* nothing more will arrive */
	bool reset;    /* and that is because the peer broke it off */
	bool gone;     /* aborted, refused, or never to be accepted */
};

struct memory_link {
	struct pst_node node; /* in the listener's `waiting` */
	struct pst_net_memory *memory;
	struct pst_addr source, target;
	struct pst_net_syn syn;
	size_t size;
	struct memory_end client, server;
};

struct memory_listener {
	struct pst_node node;
	struct pst_net_listener *listener;
	struct pst_task task;
	struct pst_list waiting;
};

static struct pst_net_memory *memory_of(struct pst_net *net)
{
	return PST_CONTAINER(net, struct pst_net_memory, net);
}

static struct memory_link *link_of(const struct pst_net_conn *conn)
{
	return conn->impl;
}

static struct memory_end *near_end(const struct pst_net_conn *conn)
{
	struct memory_link *link = link_of(conn);

	return link->client.conn == conn ? &link->client : &link->server;
}

static struct memory_end *far_end(const struct pst_net_conn *conn)
{
	struct memory_link *link = link_of(conn);

	return link->client.conn == conn ? &link->server : &link->client;
}

/* --- telling the owner ---------------------------------------------------------------------- */

static uint32_t ready_of(const struct pst_net_conn *conn)
{
	const struct memory_end *near = near_end(conn);
	const struct memory_end *far = far_end(conn);
	bool broken = conn->error || near->reset || far->gone;
	uint32_t ready = 0;

	if (conn->flags & CONNECTING)
		return 0;
	if (!(conn->flags & END_READ) &&
	    (near->arrived.len > 0 || near->finished || conn->error))
		ready |= PST_NET_READ;
	if (broken ? !(conn->flags & BREAK_WRITTEN) : pst_buf_room(&far->arrived) > 0)
		ready |= PST_NET_WRITE;
	return ready;
}

/* Something has changed for this end. */
static void wake(struct memory_end *end)
{
	struct pst_net_conn *conn = end->conn;
	struct pst_net_memory *memory;

	if (!conn)
		return;
	memory = memory_of(conn->net);
	if (memory->current != conn && conn->want & ready_of(conn))
		pst_loop_resume(memory->net.loop, &conn->task);
}

static void conn_on_task(struct pst_task *task)
{
	struct pst_net_conn *conn = PST_CONTAINER(task, struct pst_net_conn, task);
	struct pst_net_memory *memory = memory_of(conn->net);
	uint32_t ready;

	conn->flags &= (uint8_t)~CONNECTING;
	ready = ready_of(conn) & conn->want;
	if (!ready)
		return;
	memory->current = conn;
	conn->on_ready(conn, ready);
	if (memory->current != conn)
		return;
	memory->current = NULL;
	if (ready_of(conn) & conn->want)
		pst_loop_resume(memory->net.loop, &conn->task);
}

/* --- connections ---------------------------------------------------------------------------- */

static struct memory_link *link_new(struct pst_net_memory *memory)
{
	size_t size = sizeof(struct memory_link) + 2 * (size_t)memory->pipe_bytes;
	struct memory_link *link = pst_mem_alloc(memory->mem, size);
	uint8_t *areas;

	if (!link)
		return NULL;
	areas = (uint8_t *)(link + 1);
	link->memory = memory;
	link->size = size;
	pst_buf_init(&link->client.arrived, areas, memory->pipe_bytes);
	pst_buf_init(&link->server.arrived, areas + memory->pipe_bytes, memory->pipe_bytes);
	return link;
}

static void link_put(struct memory_link *link)
{
	if (link->client.gone && link->server.gone && !pst_node_linked(&link->node))
		pst_mem_free(link->memory->mem, link, link->size);
}

/* `end` will not be heard of again; its peer is told how. */
static void leave(struct memory_end *end, struct memory_end *peer, bool reset)
{
	end->conn = NULL;
	end->gone = true;
	peer->finished = true;
	peer->reset = peer->reset || reset;
	wake(peer);
}

static void attach(struct pst_net *net, struct pst_net_conn *conn, struct memory_link *link,
	struct memory_end *end)
{
	PST_BUG_ON(conn->open);
	conn->ops = net->ops;
	conn->net = net;
	conn->impl = link;
	conn->task = (struct pst_task){.on_run = conn_on_task};
	conn->want = 0;
	conn->ready = 0;
	conn->error = 0;
	conn->flags = 0;
	conn->open = true;
	end->conn = conn;
}

static bool is_any(const struct pst_addr *addr)
{
	static const uint8_t zero[sizeof(addr->ip)];

	return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

/* The listener that `addr` reaches or, for `addr` with a wildcard, any that it would clash with. */
static struct memory_listener *find_listener(struct pst_net_memory *memory,
	const struct pst_addr *addr)
{
	struct pst_node *node = pst_list_first(&memory->listeners);

	for (; node; node = pst_list_next(&memory->listeners, node)) {
		struct memory_listener *found = PST_CONTAINER(node, struct memory_listener, node);
		const struct pst_addr *local = &found->listener->local;

		if (local->port == addr->port && local->family == addr->family &&
		    (pst_addr_eq(local, addr) || is_any(local) || is_any(addr)))
			return found;
	}
	return NULL;
}

static uint16_t next_port(struct pst_net_memory *memory)
{
	uint16_t port = memory->port_next;

	memory->port_next = port == UINT16_MAX ? PORT_FIRST : (uint16_t)(port + 1);
	return port;
}

static int memory_connect(struct pst_net *net, struct pst_net_conn *conn)
{
	struct pst_net_memory *memory = memory_of(net);
	struct memory_listener *found = find_listener(memory, &conn->peer);
	struct memory_link *link = link_new(memory);

	if (!link)
		return -PST_E_NOMEM;
	link->source = memory->source;
	link->source.port = next_port(memory);
	link->syn = memory->syn;
	link->target = conn->peer;
	attach(net, conn, link, &link->client);
	conn->local = link->source;
	conn->flags = CONNECTING;
	conn->want = PST_NET_WRITE;
	if (found) {
		pst_list_append(&found->waiting, &link->node);
		pst_loop_resume(net->loop, &found->task);
	} else {
		conn->error = PST_E_REFUSED;
		link->server.gone = true;
	}
	pst_loop_resume(net->loop, &conn->task);
	return 0;
}

static int64_t memory_read(struct pst_net_conn *conn, void *area, uint32_t size)
{
	struct memory_end *near = near_end(conn);
	uint32_t len = PST_MIN(size, near->arrived.len);

	if (conn->flags & CONNECTING)
		return 0;
	if (len > 0) {
		memcpy(area, pst_buf_span(&near->arrived).at, len);
		pst_buf_consume(&near->arrived, len);
		wake(far_end(conn));
		return len;
	}
	if (size == 0)
		return 0;
	if (near->reset && !conn->error)
		conn->error = PST_E_RESET;
	if (!near->finished && !conn->error)
		return 0;
	conn->flags |= END_READ;
	return conn->error ? -conn->error : -PST_E_CLOSED;
}

static int64_t memory_write(struct pst_net_conn *conn, const struct pst_span *spans, uint32_t count)
{
	struct memory_end *far = far_end(conn);
	int64_t total = 0;

	PST_BUG_ON(count > PST_NET_SPANS_MAX);
	if (conn->flags & CONNECTING)
		return 0;
	if (!conn->error && (near_end(conn)->reset || far->gone || far->finished))
		conn->error = PST_E_RESET;
	if (conn->error) {
		conn->flags |= BREAK_WRITTEN;
		return -conn->error;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct pst_span part = pst_span_sub(spans[i], 0, pst_buf_room(&far->arrived));

		PST_BUG_ON(pst_buf_put(&far->arrived, part));
		total += part.len;
	}
	if (total > 0)
		wake(far);
	return total;
}

static void memory_want(struct pst_net_conn *conn, uint32_t mask)
{
	conn->want = (uint8_t)mask;
	if (conn->flags & CONNECTING)
		conn->want |= PST_NET_WRITE;
	wake(near_end(conn));
}

static void memory_shutdown(struct pst_net_conn *conn)
{
	struct memory_end *far = far_end(conn);

	far->finished = true;
	wake(far);
}

static void memory_abort(struct pst_net_conn *conn, bool reset)
{
	struct pst_net_memory *memory = memory_of(conn->net);
	struct memory_link *link = link_of(conn);

	PST_BUG_ON(!conn->open);
	conn->open = false;
	if (memory->current == conn)
		memory->current = NULL;
	pst_loop_forget(&conn->task);
	leave(near_end(conn), far_end(conn), reset);
	conn->impl = NULL;
	link_put(link);
}

static void memory_syn(struct pst_net_conn *conn, struct pst_net_syn *syn)
{
	*syn = link_of(conn)->syn;
}

/* --- listening ------------------------------------------------------------------------------ */

static void admit(struct pst_net_listener *listener, struct memory_link *link)
{
	struct pst_span refusal = PST_SPAN_NONE;
	struct pst_net_conn *conn = listener->on_accept(listener, &link->source, &refusal);

	if (!conn) {
		refusal = pst_span_sub(refusal, 0, pst_buf_room(&link->client.arrived));
		PST_BUG_ON(pst_buf_put(&link->client.arrived, refusal));
		leave(&link->server, &link->client, false);
		link_put(link);
		return;
	}
	attach(listener->net, conn, link, &link->server);
	conn->peer = link->source;
	conn->local = link->target;
	listener->on_accepted(listener, conn);
}

static void listener_on_task(struct pst_task *task)
{
	struct memory_listener *found = PST_CONTAINER(task, struct memory_listener, task);
	struct pst_net_listener *listener = found->listener;
	struct pst_net_memory *memory = memory_of(listener->net);
	struct pst_node *node;

	memory->accepting = listener;
	for (int i = 0; i < ACCEPT_TURN_MAX; i++) {
		node = pst_list_pop(&found->waiting);
		if (!node)
			break;
		admit(listener, PST_CONTAINER(node, struct memory_link, node));
		if (memory->accepting != listener)
			return;
	}
	memory->accepting = NULL;
	if (!pst_list_empty(&found->waiting))
		pst_loop_resume(memory->net.loop, task);
}

static int memory_listen(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_net_memory *memory = memory_of(net);
	struct pst_addr local = listener->local;
	struct memory_listener *made;

	PST_BUG_ON(listener->open);
	while (local.port == 0 || (listener->local.port == 0 && find_listener(memory, &local)))
		local.port = next_port(memory);
	if (find_listener(memory, &local))
		return -PST_E_BUSY;
	made = pst_mem_alloc(memory->mem, sizeof(*made));
	if (!made)
		return -PST_E_NOMEM;
	made->listener = listener;
	made->task.on_run = listener_on_task;
	pst_list_init(&made->waiting);
	pst_list_append(&memory->listeners, &made->node);
	listener->local = local;
	listener->net = net;
	listener->impl = made;
	listener->open = true;
	return 0;
}

static void memory_unlisten(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_net_memory *memory = memory_of(net);
	struct memory_listener *made = listener->impl;
	struct pst_node *node;

	PST_BUG_ON(!listener->open);
	listener->open = false;
	listener->impl = NULL;
	if (memory->accepting == listener)
		memory->accepting = NULL;
	while ((node = pst_list_pop(&made->waiting)) != NULL) {
		struct memory_link *link = PST_CONTAINER(node, struct memory_link, node);

		leave(&link->server, &link->client, true);
		link_put(link);
	}
	pst_loop_forget(&made->task);
	pst_list_remove(&made->node);
	pst_mem_free(memory->mem, made, sizeof(*made));
}

void pst_net_memory_init(struct pst_net_memory *memory, struct pst_loop *loop, struct pst_mem *mem,
	uint32_t pipe_bytes)
{
	static const struct pst_net_ops ops = {
		.listen = memory_listen,
		.unlisten = memory_unlisten,
		.connect = memory_connect,
		.read = memory_read,
		.write = memory_write,
		.want = memory_want,
		.shutdown = memory_shutdown,
		.abort = memory_abort,
		.syn = memory_syn,
	};

	PST_BUG_ON(pipe_bytes == 0);
	*memory = (struct pst_net_memory){
		.net = {.ops = &ops, .loop = loop},
		.mem = mem,
		.pipe_bytes = pipe_bytes,
		.port_next = PORT_FIRST,
		.source = {.family = PST_FAMILY_IPV4, .ip = {127, 0, 0, 1}},
	};
	pst_list_init(&memory->listeners);
}

void pst_net_memory_fini(struct pst_net_memory *memory)
{
	struct pst_node *node;

	while ((node = pst_list_first(&memory->listeners)) != NULL)
		memory_unlisten(&memory->net,
			PST_CONTAINER(node, struct memory_listener, node)->listener);
}
