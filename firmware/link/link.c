/* link/link.c - buffers come and go with the bytes, writes happen once a turn
 *
 * Why output waits for the end of the turn: a client that pipelines five commands gets its five
 * replies in one segment, and a reply that the next event would extend costs no second write.
 */
#include "link/link.h"

static void drop_empty(struct pst_buf *buf, struct pst_pool *pool)
{
	if (!buf->area || buf->len > 0)
		return;
	pst_pool_put(pool, buf->area);
	pst_buf_init(buf, NULL, 0);
}

static bool attach(struct pst_buf *buf, struct pst_pool *pool)
{
	void *area;

	if (buf->area)
		return true;
	area = pst_pool_get(pool);
	if (!area)
		return false;
	pst_buf_init(buf, area, pool->size);
	return true;
}

static void update_want(struct pst_link *link)
{
	uint32_t want = 0;

	if (!pst_link_is_open(link) || link->error)
		return;
	if (link->reading && !link->end && !(link->in.area && link->in.len == link->in.size))
		want |= PST_NET_READ;
	if (link->wants_room || (link->out.len > 0 && !pst_node_linked(&link->pending)))
		want |= PST_NET_WRITE;
	link->conn.ops->want(&link->conn, want);
}

static void await_turn_end(struct pst_link *link)
{
	if (!pst_node_linked(&link->pending))
		pst_list_append(&link->links->pending, &link->pending);
}

static void fail(struct pst_link *link, int error)
{
	link->error = -error;
	link->conn.ops->want(&link->conn, 0);
}

/* Read as long as it fills the buffer and the owner consumes it. */
static void take_input(struct pst_link *link)
{
	for (unsigned round = 0; round < PST_LINK_READS_MAX; round++) {
		uint32_t room;
		int64_t got;

		if (!attach(&link->in, link->in_pool)) {
			link->starved = true;
			link->conn.ops->want(&link->conn, 0);
			await_turn_end(link);
			return;
		}
		pst_buf_compact(&link->in);
		room = pst_buf_tail_room(&link->in);
		if (room == 0)
			break;
		got = link->conn.ops->read(&link->conn, pst_buf_tail(&link->in), room);
		if (got == 0)
			break;
		if (got == -PST_E_CLOSED)
			link->end = true;
		else if (got < 0)
			fail(link, (int)got);
		else
			pst_buf_commit(&link->in, (uint32_t)got);
		link->on_input(link);
		if (!pst_link_is_open(link) || !link->reading || link->end || link->error)
			break;
		if (got < (int64_t)room)
			break;
	}
	if (pst_link_is_open(link)) {
		drop_empty(&link->in, link->in_pool);
		update_want(link);
	}
}

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	struct pst_link *link = PST_CONTAINER(conn, struct pst_link, conn);

	if (ready & PST_NET_WRITE) {
		bool flushed = pst_link_flush(link);

		if (link->error) {
			link->on_input(link);
			return;
		}
		if (flushed && link->wants_room) {
			link->wants_room = false;
			link->on_room(link);
		}
	}
	if ((ready & PST_NET_READ) && pst_link_is_open(link) && link->reading && !link->error)
		take_input(link);
	else
		update_want(link);
}

static void on_turn_end(struct pst_turn_hook *hook)
{
	struct pst_links *links = PST_CONTAINER(hook, struct pst_links, hook);
	struct pst_list batch;
	struct pst_node *node;

	/* A callback may append to the list; what it appends is sent in the same sweep. */
	pst_list_init(&batch);
	while ((node = pst_list_pop(&links->pending))) {
		struct pst_link *link = PST_CONTAINER(node, struct pst_link, pending);

		if (link->starved) {
			link->starved = false;
			if (!attach(&link->in, link->in_pool)) {
				link->starved = true;
				pst_list_append(&batch, node);
				continue;
			}
		}
		pst_link_flush(link);
		if (link->error)
			link->on_input(link);
		else
			update_want(link);
	}
	while ((node = pst_list_pop(&batch)))
		pst_list_append(&links->pending, node);
}

void pst_links_init(struct pst_links *links, struct pst_loop *loop)
{
	links->loop = loop;
	pst_list_init(&links->pending);
	links->hook = (struct pst_turn_hook){.on_turn_end = on_turn_end};
	pst_loop_hook(loop, &links->hook);
}

void pst_links_fini(struct pst_links *links)
{
	PST_BUG_ON(!pst_list_empty(&links->pending));
	pst_loop_unhook(&links->hook);
}

void pst_link_init(struct pst_link *link, struct pst_links *links, struct pst_pool *in_pool,
		   struct pst_pool *out_pool)
{
	*link = (struct pst_link){
		.links = links,
		.in_pool = in_pool,
		.out_pool = out_pool,
		.conn.on_ready = on_ready,
	};
}

int pst_link_connect(struct pst_link *link, struct pst_net *net, const struct pst_addr *peer)
{
	int ret;

	link->conn.peer = *peer;
	ret = net->ops->connect(net, &link->conn);
	if (ret == 0)
		link->wants_room = true;
	return ret;
}

void pst_link_read(struct pst_link *link, bool wanted)
{
	link->reading = wanted;
	if (!pst_link_is_open(link))
		return;
	drop_empty(&link->in, link->in_pool);
	update_want(link);
}

struct pst_buf *pst_link_out(struct pst_link *link, uint32_t room)
{
	if (!pst_link_is_open(link) || link->error)
		return NULL;
	if (!attach(&link->out, link->out_pool) || pst_buf_room(&link->out) < room) {
		link->wants_room = true;
		await_turn_end(link);
		return NULL;
	}
	await_turn_end(link);
	return &link->out;
}

bool pst_link_flush(struct pst_link *link)
{
	int64_t sent;

	if (link->out.len == 0 || link->error) {
		drop_empty(&link->out, link->out_pool);
		return link->error == 0;
	}
	sent = pst_link_write(link, NULL, 0);
	return sent >= 0 && link->out.len == 0;
}

int64_t pst_link_write(struct pst_link *link, const struct pst_span *spans, uint32_t count)
{
	struct pst_span all[PST_NET_SPANS_MAX];
	uint32_t used = 0, from_out;
	uint64_t total = 0;
	int64_t sent;

	if (link->out.len > 0)
		all[used++] = pst_buf_span(&link->out);
	from_out = link->out.len;
	for (uint32_t i = 0; i < count && used < PST_NET_SPANS_MAX; i++)
		all[used++] = spans[i];
	for (uint32_t i = 0; i < count; i++)
		total += spans[i].len;
	if (used == 0)
		return 0;
	sent = link->conn.ops->write(&link->conn, all, used);
	if (sent < 0) {
		fail(link, (int)sent);
		return sent;
	}
	from_out = PST_MIN(from_out, (uint32_t)sent);
	pst_buf_consume(&link->out, from_out);
	drop_empty(&link->out, link->out_pool);
	sent -= from_out;
	if ((uint64_t)sent < total)
		link->wants_room = true;
	update_want(link);
	return sent;
}

void pst_link_close(struct pst_link *link, bool reset)
{
	pst_list_remove(&link->pending);
	if (!pst_link_is_open(link))
		return;
	link->conn.ops->abort(&link->conn, reset);
	if (link->in.area)
		pst_pool_put(link->in_pool, link->in.area);
	if (link->out.area)
		pst_pool_put(link->out_pool, link->out.area);
	pst_buf_init(&link->in, NULL, 0);
	pst_buf_init(&link->out, NULL, 0);
	link->reading = false;
	link->wants_room = false;
	link->starved = false;
}

bool pst_link_is_open(const struct pst_link *link)
{
	return link->conn.open;
}
