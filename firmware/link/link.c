/* link/link.c - buffers come and go with the bytes, writes happen once a turn
 *
 * Why output waits for the end of the turn: a client that pipelines five commands gets its five
 * replies in one segment, and a reply that the next event would extend costs no second write.
 *
 * With TLS there is a second pair of buffers below: raw (received, not opened) and sealed (to be
 * sent). They are there only while they hold something, as the others are.
 */
#include "link/link.h"

static void drop_empty(struct pst_buf *buf, struct pst_pool *pool)
{
	if (!buf->area || buf->len > 0)
		return;
	pst_pool_put(pool, buf->area);
	pst_buf_init(buf, NULL, 0);
}

static void give_back(struct pst_buf *buf, struct pst_pool *pool)
{
	pst_buf_clear(buf);
	drop_empty(buf, pool);
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

/* How much of this may be read now. A handshake does not wait: it has a time of its own. */
static uint32_t may_read(const struct pst_link *link, uint32_t room)
{
	if (link->pace_bytes_per_s == 0 || link->mode == PST_LINK_HANDSHAKE)
		return room;
	return (uint32_t)PST_MIN((uint64_t)room, link->pace_credit / 1000);
}

static void update_want(struct pst_link *link)
{
	bool starved = pst_node_linked(&link->hungry);
	uint32_t want = 0;

	if (!pst_link_is_open(link) || link->error)
		return;
	if (link->reading && !link->end && !link->raw_end &&
	    !(link->in.area && link->in.len == link->in.size))
		want |= PST_NET_READ;
	if (may_read(link, UINT32_MAX) == 0)
		want &= ~(uint32_t)PST_NET_READ;
	if (link->mode == PST_LINK_HANDSHAKE && !link->raw_end)
		want |= PST_NET_READ;
	if (link->raw.area && link->raw.len == link->raw.size)
		want &= ~(uint32_t)PST_NET_READ;
	if (starved)
		want &= ~(uint32_t)PST_NET_READ;
	if ((link->wants_room && !starved) || link->sealed.len > 0 ||
	    (link->out.len > 0 && !pst_node_linked(&link->pending)))
		want |= PST_NET_WRITE;
	link->conn.ops->want(&link->conn, want);
}

static void await_turn_end(struct pst_link *link)
{
	if (!pst_node_linked(&link->pending))
		pst_list_append(&link->links->pending, &link->pending);
}

/* There is no buffer: neither input nor room is of any use until there may be one again. */
static void starve(struct pst_link *link)
{
	struct pst_links *links = link->links;

	if (pst_node_linked(&link->hungry))
		return;
	pst_list_append(&links->starved, &link->hungry);
	if (!pst_timer_armed(&links->retry))
		pst_timer_set(links->loop, &links->retry, links->loop->now_ms + PST_LINK_RETRY_MS);
}

static void on_retry(struct pst_timer *timer)
{
	struct pst_links *links = PST_CONTAINER(timer, struct pst_links, retry);
	struct pst_node *node;

	while ((node = pst_list_pop(&links->starved)))
		update_want(PST_CONTAINER(node, struct pst_link, hungry));
}

static void fail(struct pst_link *link, int error)
{
	link->error = -error;
	link->conn.ops->want(&link->conn, 0);
}

/* Note what a read of the transport came to.
 *  ret true: bytes were stored */
static bool note_read(struct pst_link *link, struct pst_buf *buf, int64_t got)
{
	if (got == -PST_E_CLOSED)
		link->end = true;
	else if (got < 0)
		fail(link, (int)got);
	else
		pst_buf_commit(buf, (uint32_t)got);
	if (got > 0)
		link->pace_credit -= PST_MIN(link->pace_credit, (uint64_t)got * 1000);
	return got > 0;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

/* Send what is sealed.
 *  ret true: all of it left */
static bool flush_sealed(struct pst_link *link)
{
	if (link->sealed.len > 0) {
		struct pst_span span = pst_buf_span(&link->sealed);
		int64_t sent = link->conn.ops->write(&link->conn, &span, 1);

		if (sent < 0) {
			fail(link, (int)sent);
			return false;
		}
		pst_buf_consume(&link->sealed, (uint32_t)sent);
	}
	drop_empty(&link->sealed, link->out_pool);
	return link->sealed.len == 0;
}

static struct pst_tls_wire wire_of(struct pst_link *link)
{
	return (struct pst_tls_wire){.in = pst_buf_span(&link->raw), .out = &link->sealed};
}

static void took(struct pst_link *link, const struct pst_tls_wire *wire)
{
	pst_buf_consume(&link->raw, link->raw.len - wire->in.len);
}

static void queue_handshake(struct pst_link *link)
{
	if (pst_node_linked(&link->handshake))
		return;
	pst_list_append(&link->links->handshakes, &link->handshake);
	pst_loop_resume(link->links->loop, &link->links->handshake_task);
}

static void end_handshake(struct pst_link *link, int result)
{
	pst_list_remove(&link->handshake);
	link->links->handshake_count--;
	link->mode = result == 0 ? PST_LINK_SECURE : PST_LINK_PLAIN;
	(void)flush_sealed(link);
	if (result < 0 && !link->error)
		fail(link, result);
	link->on_secured(link, result);
	/* What came behind the handshake in the same packet makes no readiness of its own. */
	if (pst_link_is_open(link) && (link->raw.len > 0 || link->raw_end))
		pst_loop_resume(link->links->loop, &link->task);
}

static void step_handshake(struct pst_link *link)
{
	struct pst_tls_wire wire;
	int ret;

	if (!attach(&link->sealed, link->out_pool)) {
		end_handshake(link, -PST_E_NOMEM);
		return;
	}
	wire = wire_of(link);
	ret = link->tls->ops->handshake(link->tls, &wire);
	took(link, &wire);
	if (ret < 0 || ret == PST_TLS_DONE) {
		end_handshake(link, ret < 0 ? ret : 0);
		return;
	}
	if (!flush_sealed(link) && link->error) {
		end_handshake(link, -link->error);
		return;
	}
	if (ret == PST_TLS_MORE || (ret == PST_TLS_ROOM && link->sealed.len == 0))
		queue_handshake(link);
	else if (ret == PST_TLS_INPUT && (link->raw_end || link->error))
		end_handshake(link, link->error ? -link->error : -PST_E_CLOSED);
	else
		update_want(link);
}

/* One step of one link a turn. */
static void on_handshakes(struct pst_task *task)
{
	struct pst_links *links = PST_CONTAINER(task, struct pst_links, handshake_task);
	struct pst_node *node = pst_list_pop(&links->handshakes);

	if (node)
		step_handshake(PST_CONTAINER(node, struct pst_link, handshake));
	if (!pst_list_empty(&links->handshakes))
		pst_loop_resume(links->loop, task);
}

/* Receive records. ret true: there may be more to receive */
static bool receive_raw(struct pst_link *link)
{
	uint32_t room;
	int64_t got;

	if (!attach(&link->raw, link->in_pool)) {
		fail(link, -PST_E_NOMEM);
		return false;
	}
	pst_buf_compact(&link->raw);
	room = may_read(link, pst_buf_tail_room(&link->raw));
	got = room > 0 ? link->conn.ops->read(&link->conn, pst_buf_tail(&link->raw), room) : 0;
	if (got == -PST_E_CLOSED) {
		link->raw_end = true;
		return false;
	}
	return note_read(link, &link->raw, got) && got == (int64_t)room;
}

/* Open records into `in`, as far as both reach.
 *  ret true: plaintext came, or the end did */
static bool open_records(struct pst_link *link)
{
	bool news = false;

	link->unopened = false;
	pst_buf_compact(&link->in);
	while (pst_buf_tail_room(&link->in) > 0) {
		struct pst_tls_wire wire;
		int64_t got;

		if (!attach(&link->sealed, link->out_pool)) {
			fail(link, -PST_E_NOMEM);
			return true;
		}
		wire = wire_of(link);
		got = link->tls->ops->read(link->tls, &wire, pst_buf_tail(&link->in),
					   pst_buf_tail_room(&link->in));
		took(link, &wire);
		if (got < 0) {
			(void)note_read(link, &link->in, got);
			return true;
		}
		if (got == 0) {
			/* An end without close_notify is an end: SMTP has its own QUIT and dots. */
			link->end = link->raw_end && link->raw.len == 0;
			return news || link->end;
		}
		pst_buf_commit(&link->in, (uint32_t)got);
		news = true;
	}
	link->unopened = true;
	return news;
}

/* What is there below makes no readiness of its own; but it can wait until there is room for it. */
static void open_the_rest(struct pst_link *link)
{
	bool full = link->in.area && link->in.len == link->in.size;

	if (link->mode == PST_LINK_SECURE && link->reading && !full &&
	    (link->unopened || link->raw.len > 0 || (link->raw_end && !link->end)))
		pst_loop_resume(link->links->loop, &link->task);
}

static void take_secure_input(struct pst_link *link)
{
	bool more = true;

	for (unsigned round = 0; more && round < PST_LINK_READS_MAX; round++) {
		if (!attach(&link->in, link->in_pool)) {
			fail(link, -PST_E_NOMEM);
			link->on_input(link);
			return;
		}
		more = receive_raw(link);
		if (open_records(link) || link->error)
			link->on_input(link);
		if (!pst_link_is_open(link) || !link->reading || link->error)
			break;
	}
	if (!pst_link_is_open(link))
		return;
	(void)flush_sealed(link);
	drop_empty(&link->in, link->in_pool);
	drop_empty(&link->raw, link->in_pool);
	if (link->unopened)
		open_the_rest(link);
	update_want(link);
}

static void on_task(struct pst_task *task)
{
	struct pst_link *link = PST_CONTAINER(task, struct pst_link, task);

	if (link->mode == PST_LINK_SECURE && link->reading && !link->error)
		take_secure_input(link);
}

/* Seal and send as much of the spans as the transport takes.
 *  ret >= 0 bytes taken | -PST_E_* */
static int64_t write_secure(struct pst_link *link, const struct pst_span *spans, uint32_t count)
{
	int64_t total = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct pst_span rest = spans[i];

		while (rest.len > 0) {
			int64_t taken;

			if (!attach(&link->sealed, link->out_pool))
				return -PST_E_NOMEM;
			taken = link->tls->ops->write(link->tls, rest, &link->sealed);
			if (taken < 0)
				return taken;
			total += taken;
			rest = pst_span_sub(rest, (uint32_t)taken, rest.len);
			if (rest.len == 0 && i + 1 < count && pst_buf_room(&link->sealed) > 512)
				break; /* the next span shares the segment */
			if (!flush_sealed(link))
				return link->error ? -link->error : total;
		}
	}
	(void)flush_sealed(link);
	return link->error ? -link->error : total;
}

void pst_link_unread_is_raw(struct pst_link *link)
{
	PST_BUG_ON(link->raw.area || link->mode != PST_LINK_PLAIN);
	link->raw = link->in;
	pst_buf_init(&link->in, NULL, 0);
}

int pst_link_secure(struct pst_link *link, struct pst_tls_context *context,
		    const struct pst_tls_peer *peer)
{
	int ret = pst_tls_open(context, peer, &link->tls);

	if (ret < 0)
		return ret;
	PST_BUG_ON(link->mode != PST_LINK_PLAIN || link->out.len > 0);
	pst_buf_clear(&link->in);
	link->mode = PST_LINK_HANDSHAKE;
	link->links->handshake_count++;
	queue_handshake(link);
	update_want(link);
	return 0;
}

const char *pst_link_tls_failure(const struct pst_link *link)
{
	struct pst_tls_facts facts;

	if (!link->tls)
		return pst_strerror(link->error);
	link->tls->ops->facts(link->tls, &facts);
	if (facts.failure)
		return facts.failure;
	return pst_strerror(link->error ? link->error : PST_E_TIMEOUT);
}

/* ---- input and output ------------------------------------------------------------------------ */

/* Read as long as it fills the buffer and the owner consumes it. */
static void take_input(struct pst_link *link)
{
	for (unsigned round = 0; round < PST_LINK_READS_MAX; round++) {
		uint32_t room;
		int64_t got;

		if (!attach(&link->in, link->in_pool)) {
			starve(link);
			break;
		}
		pst_buf_compact(&link->in);
		room = may_read(link, pst_buf_tail_room(&link->in));
		if (room == 0)
			break;
		got = link->conn.ops->read(&link->conn, pst_buf_tail(&link->in), room);
		if (got == 0)
			break;
		(void)note_read(link, &link->in, got);
		link->on_input(link);
		if (!pst_link_is_open(link) || !link->reading || link->end || link->error ||
		    link->mode != PST_LINK_PLAIN)
			break;
		if (got < (int64_t)room)
			break;
	}
	if (pst_link_is_open(link)) {
		drop_empty(&link->in, link->in_pool);
		update_want(link);
	}
}

/* A write of nothing says whether the connect succeeded. */
static void learn_outcome(struct pst_link *link)
{
	int64_t ret = link->conn.ops->write(&link->conn, NULL, 0);

	link->connecting = false;
	if (ret < 0)
		fail(link, (int)ret);
}

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	struct pst_link *link = PST_CONTAINER(conn, struct pst_link, conn);

	if (link->mode == PST_LINK_HANDSHAKE) {
		if (ready & PST_NET_READ)
			(void)receive_raw(link);
		queue_handshake(link);
		update_want(link);
		return;
	}
	if ((ready & PST_NET_WRITE) && link->connecting)
		learn_outcome(link);
	if (ready & PST_NET_WRITE) {
		bool flushed = pst_link_flush(link);

		if (link->error) {
			link->on_input(link);
			return;
		}
		open_the_rest(link);
		if (flushed && link->wants_room) {
			link->wants_room = false;
			link->on_room(link);
		}
	}
	if ((ready & PST_NET_READ) && pst_link_is_open(link) && link->reading && !link->error) {
		if (link->mode == PST_LINK_SECURE)
			take_secure_input(link);
		else
			take_input(link);
	} else
		update_want(link);
}

static void on_turn_end(struct pst_turn_hook *hook)
{
	struct pst_links *links = PST_CONTAINER(hook, struct pst_links, hook);
	struct pst_node *node;

	/* A callback may append to the list; what it appends is sent in the same sweep. */
	while ((node = pst_list_pop(&links->pending))) {
		struct pst_link *link = PST_CONTAINER(node, struct pst_link, pending);

		pst_link_flush(link);
		if (link->error)
			link->on_input(link);
		else
			update_want(link);
	}
}

/* A second's worth at most is saved up. */
static void on_pace(struct pst_timer *timer)
{
	struct pst_links *links = PST_CONTAINER(timer, struct pst_links, pace);
	uint64_t spent_ms = PST_MIN(links->loop->now_ms - links->paced_ms, (uint64_t)1000);
	struct pst_node *node = pst_list_first(&links->paced);

	links->paced_ms = links->loop->now_ms;
	if (node)
		pst_timer_set(links->loop, timer, links->paced_ms + PST_LINK_PACE_MS);
	for (; node; node = pst_list_next(&links->paced, node)) {
		struct pst_link *link = PST_CONTAINER(node, struct pst_link, paced);

		link->pace_credit = PST_MIN(link->pace_credit + link->pace_bytes_per_s * spent_ms,
					    (uint64_t)link->pace_bytes_per_s * 1000);
		update_want(link);
	}
}

void pst_links_init(struct pst_links *links, struct pst_loop *loop)
{
	links->loop = loop;
	pst_list_init(&links->pending);
	pst_list_init(&links->starved);
	pst_list_init(&links->paced);
	links->pace = (struct pst_timer){.on_due = on_pace};
	links->retry = (struct pst_timer){.on_due = on_retry};
	pst_list_init(&links->handshakes);
	links->handshake_task = (struct pst_task){.on_run = on_handshakes};
	links->handshake_count = 0;
	links->hook = (struct pst_turn_hook){.on_turn_end = on_turn_end};
	pst_loop_hook(loop, &links->hook);
}

void pst_links_fini(struct pst_links *links)
{
	PST_BUG_ON(!pst_list_empty(&links->pending) || links->handshake_count > 0);
	PST_BUG_ON(!pst_list_empty(&links->starved) || !pst_list_empty(&links->paced));
	pst_timer_cancel(links->loop, &links->retry);
	pst_timer_cancel(links->loop, &links->pace);
	pst_loop_forget(&links->handshake_task);
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
		.task.on_run = on_task,
	};
}

int pst_link_connect(struct pst_link *link, struct pst_net *net, const struct pst_addr *peer)
{
	int ret;

	link->conn.peer = *peer;
	ret = net->ops->connect(net, &link->conn);
	if (ret == 0) {
		link->wants_room = true;
		link->connecting = true;
	}
	return ret;
}

void pst_link_read(struct pst_link *link, bool wanted)
{
	link->reading = wanted;
	if (!pst_link_is_open(link))
		return;
	drop_empty(&link->in, link->in_pool);
	open_the_rest(link);
	update_want(link);
}

void pst_link_pace(struct pst_link *link, uint32_t bytes_per_s)
{
	struct pst_links *links = link->links;

	if (!pst_link_is_open(link))
		return;
	if (bytes_per_s && !pst_node_linked(&link->paced)) {
		if (!pst_timer_armed(&links->pace)) {
			links->paced_ms = links->loop->now_ms;
			pst_timer_set(links->loop, &links->pace, links->paced_ms + PST_LINK_PACE_MS);
		}
		link->pace_credit = 0;
		pst_list_append(&links->paced, &link->paced);
	} else if (bytes_per_s == 0) {
		pst_list_remove(&link->paced);
	}
	link->pace_bytes_per_s = bytes_per_s;
	update_want(link);
}

struct pst_buf *pst_link_out(struct pst_link *link, uint32_t room)
{
	if (!pst_link_is_open(link) || link->error)
		return NULL;
	if (!attach(&link->out, link->out_pool) || pst_buf_room(&link->out) < room) {
		if (!link->out.area)
			starve(link);
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

	if ((link->out.len == 0 && link->sealed.len == 0) || link->error) {
		drop_empty(&link->out, link->out_pool);
		return link->error == 0;
	}
	sent = pst_link_write(link, NULL, 0);
	return sent >= 0 && link->out.len == 0 && link->sealed.len == 0;
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
	if (link->mode == PST_LINK_SECURE && !flush_sealed(link))
		sent = link->error ? -link->error : 0;
	else if (used == 0)
		return 0;
	else if (link->mode == PST_LINK_SECURE)
		sent = write_secure(link, all, used);
	else
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

static void say_close_notify(struct pst_link *link)
{
	if (link->mode == PST_LINK_SECURE && !link->error && flush_sealed(link) &&
	    attach(&link->sealed, link->out_pool) &&
	    link->tls->ops->finish(link->tls, &link->sealed))
		(void)flush_sealed(link);
}

void pst_link_shutdown(struct pst_link *link)
{
	say_close_notify(link);
	link->conn.ops->shutdown(&link->conn);
}

void pst_link_close(struct pst_link *link, bool reset)
{
	pst_list_remove(&link->pending);
	pst_list_remove(&link->hungry);
	pst_list_remove(&link->paced);
	if (!pst_link_is_open(link))
		return;
	if (link->mode == PST_LINK_HANDSHAKE)
		link->links->handshake_count--;
	else if (!reset)
		say_close_notify(link);
	pst_list_remove(&link->handshake);
	pst_loop_forget(&link->task);
	link->conn.ops->abort(&link->conn, reset);
	pst_tls_close(link->tls);
	link->tls = NULL;
	link->mode = PST_LINK_PLAIN;
	give_back(&link->in, link->in_pool);
	give_back(&link->raw, link->in_pool);
	give_back(&link->out, link->out_pool);
	give_back(&link->sealed, link->out_pool);
	link->reading = false;
	link->wants_room = false;
	link->connecting = false;
}

bool pst_link_is_open(const struct pst_link *link)
{
	return link->conn.open;
}
