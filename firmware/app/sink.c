#include "app/sink.h"

#include <string.h>

#include "smtp/server.h"

#define IN_SIZE 16384
#define OUT_SIZE 4096
#define REPLY_MAX 1024 /* room that one step needs in `out` */
#define FILE_SIZE 16384
#define READS_MAX 16 /* in one callback, so that every connection gets its turn */

#define IDLE_MS 600000
#define LINGER_MS 5000
#define SLOW_TICK_MS 100

/* Where the reader of raw message bytes stands. The core's decoder makes line ends canonical; the
 * witness must see what really came, so it takes the dots off by itself. */
enum raw {
	RAW_LINE,   /* at the beginning of a line */
	RAW_DOT,    /* behind a dot there */
	RAW_DOT_CR, /* behind dot and CR: the end, if LF comes */
	RAW_TEXT,
	RAW_CR, /* behind a CR within a line */
};

struct conn {
	struct pst_net_conn net;
	struct pst_node node;
	struct pst_sink *sink;
	struct pst_smtp_server core;
	struct pst_timer timer; /* idle, linger, or the next slow tick */
	struct pst_buf in, out, file_out;

	bool ended;   /* aborted; freed at the end of the turn */
	bool hung;    /* by a fault */
	bool closing; /* everything is said, the peer's end is waited for */
	bool paused;  /* until the next slow tick */

	uint32_t slow_rate, slow_budget; /* rate 0: not slow */
	uint64_t slow_end_ms;		 /* 0: to the end of the message */

	enum raw raw;
	struct pst_maildir_file file;
	bool file_open, file_failed;
	uint64_t message_bytes;

	uint32_t rcpt_count;
	struct pst_buf from, to, xforward; /* for the log */
	uint8_t from_area[PST_SMTP_PATH_MAX], to_area[PST_SMTP_PATH_MAX], xforward_area[512];
	uint8_t in_area[IN_SIZE], out_area[OUT_SIZE], file_area[FILE_SIZE];
};

static uint64_t now(const struct conn *conn)
{
	return conn->sink->env.loop->now_ms;
}

/* --- the end of a connection --------------------------------------------------------------- */

static void drop_file(struct conn *conn)
{
	if (conn->file_open)
		pst_maildir_abort(conn->sink->env.maildir, &conn->file);
	conn->file_open = false;
}

static void end(struct conn *conn)
{
	struct pst_sink *sink = conn->sink;

	if (conn->ended)
		return;
	conn->ended = true;
	drop_file(conn);
	pst_timer_cancel(sink->env.loop, &conn->timer);
	conn->net.ops->abort(&conn->net, false);
	pst_list_remove(&conn->node);
	pst_list_append(&sink->dead, &conn->node);
}

static void reap(struct pst_turn_hook *hook)
{
	struct pst_sink *sink = PST_CONTAINER(hook, struct pst_sink, reaper);
	struct pst_node *node;

	while ((node = pst_list_pop(&sink->dead))) {
		pst_mem_free(sink->env.mem, PST_CONTAINER(node, struct conn, node),
			     sizeof(struct conn));
		sink->conn_count--;
	}
}

/* --- output -------------------------------------------------------------------------------- */

/* Replies are short and `out` is flushed before it is full: a miss is a bug. */
static void say_text(struct conn *conn, struct pst_span text)
{
	if (pst_buf_put(&conn->out, pst_span_sub(text, 0, pst_buf_room(&conn->out))))
		return;
}

static void say_reply(struct conn *conn, const struct pst_smtp_reply *reply)
{
	PST_BUG_ON(pst_smtp_reply_put(&conn->out, reply));
}

static void flush(struct conn *conn)
{
	struct pst_span span = pst_buf_span(&conn->out);
	int64_t done;

	if (conn->ended || span.len == 0)
		return;
	done = conn->net.ops->write(&conn->net, &span, 1);
	if (done < 0)
		end(conn);
	else
		pst_buf_consume(&conn->out, (uint32_t)done);
}

/* --- faults -------------------------------------------------------------------------------- */

static struct pst_sink_fault *take_fault(struct conn *conn, enum pst_sink_stage stage, bool slow)
{
	for (uint32_t i = 0; i < conn->sink->env.fault_count; i++) {
		struct pst_sink_fault *fault = &conn->sink->env.faults[i];

		if (fault->stage != stage || fault->count == 0 ||
		    (fault->action == PST_SINK_SLOW) != slow)
			continue;
		if (fault->count != PST_SINK_ALWAYS)
			fault->count--;
		return fault;
	}
	return NULL;
}

static uint16_t code_of(struct pst_span text)
{
	uint64_t code;

	if (pst_span_u64(pst_span_sub(text, 0, 3), 599, &code) || code < 200)
		return 451;
	return (uint16_t)code;
}

/* Misbehave.
 *  ret the code that the session follows */
static uint16_t act(struct conn *conn, const struct pst_sink_fault *fault)
{
	static const uint8_t garbage[] = "\x16\x03\x01 no reply at all \xff\xfe\r\n";

	switch (fault->action) {
	case PST_SINK_REPLY:
		say_text(conn, pst_span_sub(fault->text, 0, REPLY_MAX - 2));
		say_text(conn, PST_SPAN("\r\n"));
		return code_of(fault->text);
	case PST_SINK_GARBAGE:
		say_text(conn, (struct pst_span){garbage, sizeof(garbage) - 1});
		return 451;
	case PST_SINK_HANG:
		flush(conn);
		conn->hung = true;
		pst_timer_cancel(conn->sink->env.loop, &conn->timer);
		return 451;
	case PST_SINK_CLOSE:
	case PST_SINK_LOSE:
		flush(conn);
		end(conn);
		return 451;
	case PST_SINK_NORMAL:
	case PST_SINK_SLOW:
		break;
	}
	PST_BUG_ON(true);
	return 0;
}

/* The reply at a stage, or what a fault makes of it.
 *  ret its code */
static uint16_t reply_at(struct conn *conn, enum pst_sink_stage stage,
			 const struct pst_smtp_reply *reply)
{
	struct pst_sink_fault *fault = take_fault(conn, stage, false);

	if (fault)
		return act(conn, fault);
	say_reply(conn, reply);
	return reply->code;
}

/* --- the message --------------------------------------------------------------------------- */

static void file_flush(struct conn *conn)
{
	if (conn->file_open && pst_maildir_write(&conn->file, pst_buf_span(&conn->file_out)))
		conn->file_failed = true;
	pst_buf_clear(&conn->file_out);
}

static void store(struct conn *conn, struct pst_span run)
{
	conn->message_bytes += run.len;
	if (!conn->file_open || conn->file_failed)
		return;
	while (run.len) {
		uint32_t len = PST_MIN(run.len, pst_buf_room(&conn->file_out));

		PST_BUG_ON(pst_buf_put(&conn->file_out, pst_span_sub(run, 0, len)));
		run = pst_span_sub(run, len, run.len);
		if (pst_buf_room(&conn->file_out) == 0)
			file_flush(conn);
	}
}

/* Everything up to a CR goes at once; the rest byte by byte. */
static void take_raw(struct conn *conn, struct pst_span bytes)
{
	while (bytes.len) {
		uint8_t c = bytes.at[0];
		uint32_t len = 1;

		if (conn->raw == RAW_DOT_CR && c != '\n') {
			store(conn, PST_SPAN("\r"));
			conn->raw = RAW_CR;
		}
		if (conn->raw == RAW_LINE && c == '.') {
			conn->raw = RAW_DOT;
		} else if (conn->raw == RAW_DOT && c == '\r') {
			conn->raw = RAW_DOT_CR;
		} else if (conn->raw == RAW_DOT_CR) {
			conn->raw = RAW_LINE; /* the end; the core says so, too */
		} else if (c == '\r') {
			store(conn, PST_SPAN("\r"));
			conn->raw = RAW_CR;
		} else if (conn->raw == RAW_CR && c == '\n') {
			store(conn, PST_SPAN("\n"));
			conn->raw = RAW_LINE;
		} else {
			int64_t cr = pst_span_find(bytes, '\r');

			len = cr < 0 ? bytes.len : (uint32_t)cr;
			store(conn, pst_span_sub(bytes, 0, len));
			conn->raw = RAW_TEXT;
		}
		bytes = pst_span_sub(bytes, len, bytes.len);
	}
}

static void be_slow(struct conn *conn)
{
	struct pst_sink_fault *fault = take_fault(conn, PST_SINK_DATA, true);

	if (!fault)
		fault = take_fault(conn, PST_SINK_EOD, true);
	if (!fault)
		return;
	conn->slow_rate = fault->rate_bytes_per_s;
	conn->slow_budget = 0;
	conn->slow_end_ms = fault->slow_s ? now(conn) + (uint64_t)fault->slow_s * 1000 : 0;
}

static void on_data(struct conn *conn)
{
	static const struct pst_smtp_reply go = {.code = 354,
						 .text = PST_SPAN("end with CRLF . CRLF")};
	static const struct pst_smtp_reply no_file = {
		.code = 452, .enhanced = {4, 3, 1}, .text = PST_SPAN("cannot write the message")};
	struct pst_maildir *maildir = conn->sink->env.maildir;
	uint16_t code;

	conn->raw = RAW_LINE;
	conn->message_bytes = 0;
	conn->file_failed = false;
	pst_buf_clear(&conn->file_out);
	if (maildir && pst_maildir_begin(maildir, &conn->file)) {
		say_reply(conn, &no_file);
		pst_smtp_server_answer(&conn->core, no_file.code);
		return;
	}
	conn->file_open = maildir != NULL;
	code = reply_at(conn, PST_SINK_DATA, &go);
	if (conn->ended || conn->hung)
		return;
	pst_smtp_server_answer(&conn->core, code);
	if (code == 354)
		be_slow(conn);
	else
		drop_file(conn);
}

static void log_message(struct conn *conn)
{
	struct pst_sink *sink = conn->sink;
	struct pst_log *log = sink->env.log;

	pst_log_begin(log, PST_LOG_INFO, "message");
	pst_log_u64(log, "n", sink->message_count);
	pst_log_peer(log, "from", pst_buf_span(&conn->from));
	pst_log_peer(log, "to", pst_buf_span(&conn->to));
	pst_log_u64(log, "rcpts", conn->rcpt_count);
	pst_log_u64(log, "size", conn->message_bytes);
	if (sink->env.maildir)
		pst_log_text(log, "file", conn->file.name);
	if (conn->xforward.len)
		pst_log_peer(log, "xforward", pst_buf_span(&conn->xforward));
	pst_log_end(log);
}

/* Store the message.
 *  ret false: it could not be written */
static bool commit(struct conn *conn)
{
	file_flush(conn);
	if (conn->file_open && !conn->file_failed &&
	    pst_maildir_commit(conn->sink->env.maildir, &conn->file))
		conn->file_failed = true;
	if (conn->file_failed)
		return false;
	conn->file_open = false;
	conn->sink->message_count++;
	log_message(conn);
	return true;
}

static void on_end_of_data(struct conn *conn)
{
	static const struct pst_smtp_reply not_stored = {
		.code = 452, .enhanced = {4, 3, 1}, .text = PST_SPAN("cannot write the message")};
	struct pst_sink_fault *fault = take_fault(conn, PST_SINK_EOD, false);
	bool wanted = !fault || fault->action == PST_SINK_LOSE ||
		      (fault->action == PST_SINK_REPLY && code_of(fault->text) < 300);
	uint16_t code = 250;

	conn->slow_rate = 0;
	if (wanted && !commit(conn)) {
		drop_file(conn);
		say_reply(conn, &not_stored);
		code = not_stored.code;
	} else if (fault) {
		drop_file(conn);
		code = act(conn, fault);
	} else {
		PST_BUG_ON(pst_buf_printf(&conn->out, "250 2.0.0 taken as %llu\r\n",
					  (unsigned long long)conn->sink->message_count));
	}
	if (!conn->ended && !conn->hung)
		pst_smtp_server_answer(&conn->core, code);
	pst_buf_clear(&conn->xforward);
}

/* --- commands ------------------------------------------------------------------------------ */

static void on_helo(struct conn *conn, const struct pst_smtp_event *event)
{
	static const struct pst_smtp_caps caps = {
		.set = PST_SMTP_CAP_PIPELINING | PST_SMTP_CAP_SIZE | PST_SMTP_CAP_8BITMIME |
		       PST_SMTP_CAP_ENHANCEDSTATUSCODES | PST_SMTP_CAP_XFORWARD,
		.xforward = PST_SMTP_XFORWARD_NAME | PST_SMTP_XFORWARD_ADDR |
			    PST_SMTP_XFORWARD_PORT | PST_SMTP_XFORWARD_PROTO |
			    PST_SMTP_XFORWARD_HELO | PST_SMTP_XFORWARD_SOURCE,
	};
	struct pst_smtp_reply reply = {.code = 250, .text = conn->sink->env.hostname};
	struct pst_sink_fault *fault = take_fault(conn, PST_SINK_EHLO, false);
	uint16_t code = 250;

	if (fault) {
		code = act(conn, fault);
	} else if (event->esmtp) {
		conn->core.offered = caps.set;
		PST_BUG_ON(pst_smtp_caps_put(&conn->out, reply.text, &caps));
	} else {
		say_reply(conn, &reply);
	}
	if (!conn->ended && !conn->hung)
		pst_smtp_server_answer(&conn->core, code);
}

static void note(struct pst_buf *where, struct pst_span text)
{
	if (pst_buf_put(where, pst_span_sub(text, 0, pst_buf_room(where))))
		return;
}

static void on_path(struct conn *conn, const struct pst_smtp_event *event)
{
	static const struct pst_smtp_reply sender = {
		.code = 250, .enhanced = {2, 1, 0}, .text = PST_SPAN("ok")};
	static const struct pst_smtp_reply recipient = {
		.code = 250, .enhanced = {2, 1, 5}, .text = PST_SPAN("ok")};
	bool is_mail = event->kind == PST_SMTP_EV_MAIL;
	uint16_t code = reply_at(conn, is_mail ? PST_SINK_MAIL : PST_SINK_RCPT,
				 is_mail ? &sender : &recipient);

	if (conn->ended || conn->hung)
		return;
	pst_smtp_server_answer(&conn->core, code);
	if (code > 299)
		return;
	if (is_mail) {
		pst_buf_clear(&conn->from);
		pst_buf_clear(&conn->to);
		conn->rcpt_count = 0;
		note(&conn->from, event->path.mailbox);
	} else if (conn->rcpt_count++ == 0) {
		note(&conn->to, event->path.mailbox);
	}
}

static void finish_saying(struct conn *conn)
{
	flush(conn);
	if (conn->ended || conn->hung)
		return;
	conn->closing = true;
	if (conn->out.len == 0)
		conn->net.ops->shutdown(&conn->net);
	pst_timer_set(conn->sink->env.loop, &conn->timer, now(conn) + LINGER_MS);
}

/* XFORWARD is Postfix's own: the core does not know it, and needs not, because it changes nothing
 * in the session. The line is taken out before the core sees any of it.
 *  ret bytes taken | 0: it is something else | -PST_E_NOENT: not all of it is here yet */
static int64_t take_xforward(struct conn *conn, struct pst_span in)
{
	static const struct pst_span verb = {(const uint8_t *)"XFORWARD ", 9};
	static const struct pst_smtp_reply good = {
		.code = 250, .enhanced = {2, 0, 0}, .text = PST_SPAN("ok")};
	static const struct pst_smtp_reply order = {
		.code = 503, .enhanced = {5, 5, 1}, .text = PST_SPAN("send EHLO first")};
	static const struct pst_smtp_reply bad = {
		.code = 501, .enhanced = {5, 5, 4}, .text = PST_SPAN("syntax: NAME=value")};
	const struct pst_smtp_reply *reply = conn->core.esmtp ? &good : &order;
	struct pst_span rest, word;
	int64_t end_of_line;

	if (conn->core.state >= PST_SMTP_BODY || conn->core.skipping ||
	    !pst_span_starts_nocase(verb, pst_span_sub(in, 0, verb.len)))
		return 0;
	end_of_line = pst_span_find(in, '\n');
	if (end_of_line < 0)
		return in.len < PST_SMTP_LINE_MAX ? -PST_E_NOENT : 0;
	rest = pst_span_sub(in, verb.len, (uint32_t)end_of_line - verb.len);
	if (rest.len == 0 || rest.at[rest.len - 1] != '\r')
		return 0;
	rest.len--;
	note(&conn->xforward, rest);
	while ((word = pst_span_word(&rest)).len)
		if (pst_span_find(word, '=') <= 0)
			reply = &bad;
	say_reply(conn, reply);
	return end_of_line + 1;
}

static void handle(struct conn *conn, const struct pst_smtp_event *event)
{
	struct pst_sink_fault *fault;

	switch (event->kind) {
	case PST_SMTP_EV_STARTTLS: /* not offered here */
	case PST_SMTP_EV_AUTH:
	case PST_SMTP_EV_CHUNK:
	case PST_SMTP_EV_NONE:
	case PST_SMTP_EV_BODY:
		break;
	case PST_SMTP_EV_REPLY:
	case PST_SMTP_EV_RESET:
		say_reply(conn, &event->reply);
		if (event->close)
			finish_saying(conn);
		break;
	case PST_SMTP_EV_HELO:
		on_helo(conn, event);
		break;
	case PST_SMTP_EV_MAIL:
	case PST_SMTP_EV_RCPT:
		on_path(conn, event);
		break;
	case PST_SMTP_EV_DATA:
		on_data(conn);
		break;
	case PST_SMTP_EV_END:
		on_end_of_data(conn);
		break;
	case PST_SMTP_EV_QUIT:
		fault = take_fault(conn, PST_SINK_QUIT, false);
		if (fault)
			act(conn, fault);
		else
			say_reply(conn, &event->reply);
		finish_saying(conn);
		break;
	}
}

/* One command or one piece of the message.
 *  ret false: more input is needed */
static bool step(struct conn *conn)
{
	struct pst_span in = pst_buf_span(&conn->in);
	struct pst_smtp_event event;
	bool in_body = conn->core.state == PST_SMTP_BODY;
	int64_t taken = take_xforward(conn, in);
	uint32_t used;

	if (taken < 0)
		return false;
	if (taken > 0) {
		pst_buf_consume(&conn->in, (uint32_t)taken);
		return true;
	}
	pst_smtp_server_next(&conn->core, in, &used, &event);
	if (in_body)
		take_raw(conn, pst_span_sub(in, 0, used));
	handle(conn, &event);
	pst_buf_consume(&conn->in, used);
	return used > 0 || event.kind != PST_SMTP_EV_NONE;
}

/* --- input --------------------------------------------------------------------------------- */

/* How much may be read now; 0: a tick must pass first. */
static uint32_t read_max(struct conn *conn)
{
	uint32_t room = pst_buf_tail_room(&conn->in);

	if (conn->slow_end_ms && now(conn) >= conn->slow_end_ms)
		conn->slow_rate = 0;
	if (conn->slow_rate == 0)
		return room;
	if (conn->slow_budget == 0) {
		conn->paused = true;
		pst_timer_set(conn->sink->env.loop, &conn->timer, now(conn) + SLOW_TICK_MS);
	}
	return PST_MIN(room, conn->slow_budget);
}

/*  ret false: nothing came */
static bool fill(struct conn *conn)
{
	uint32_t size;
	int64_t got;

	if (conn->hung || conn->closing)
		pst_buf_clear(&conn->in);
	pst_buf_compact(&conn->in);
	size = read_max(conn);
	if (size == 0)
		return false;
	got = conn->net.ops->read(&conn->net, pst_buf_tail(&conn->in), size);
	if (got < 0)
		end(conn);
	if (got <= 0)
		return false;
	pst_buf_commit(&conn->in, (uint32_t)got);
	if (conn->slow_rate)
		conn->slow_budget -= (uint32_t)got;
	if (!conn->closing && !conn->hung)
		pst_timer_set(conn->sink->env.loop, &conn->timer, now(conn) + IDLE_MS);
	return true;
}

static bool may_step(const struct conn *conn)
{
	return !conn->ended && !conn->hung && !conn->closing;
}

static void serve(struct conn *conn)
{
	struct pst_sink *sink = conn->sink;

	/* What was read is looked at before the turn ends: no readiness may come for it again. */
	for (uint32_t reads = 0;; reads++) {
		while (may_step(conn)) {
			if (pst_buf_room(&conn->out) < REPLY_MAX)
				flush(conn);
			if (conn->ended || pst_buf_room(&conn->out) < REPLY_MAX || !step(conn))
				break;
		}
		flush(conn);
		if (conn->ended || (conn->out.len && !conn->closing) || reads == READS_MAX ||
		    !fill(conn))
			break;
	}
	if (!conn->ended)
		conn->net.ops->want(&conn->net, (conn->paused ? 0u : PST_NET_READ) |
							(conn->out.len ? PST_NET_WRITE : 0u));
	if (!sink->done && sink->env.message_count_max &&
	    sink->message_count >= sink->env.message_count_max) {
		sink->done = true;
		sink->env.on_done(sink->env.owner);
	}
}

static void on_ready(struct pst_net_conn *net, uint32_t ready)
{
	struct conn *conn = PST_CONTAINER(net, struct conn, net);
	bool was_full = conn->out.len > 0;

	(void)ready;
	flush(conn);
	if (conn->closing && was_full && conn->out.len == 0 && !conn->ended)
		conn->net.ops->shutdown(&conn->net);
	serve(conn);
}

static void on_due(struct pst_timer *timer)
{
	struct conn *conn = PST_CONTAINER(timer, struct conn, timer);

	if (!conn->paused) {
		end(conn);
		return;
	}
	conn->paused = false;
	conn->slow_budget = PST_MAX(1u, conn->slow_rate / (1000 / SLOW_TICK_MS));
	serve(conn);
}

/* --- accepting ----------------------------------------------------------------------------- */

static struct pst_net_conn *on_accept(struct pst_net_listener *listener,
				      const struct pst_addr *peer, struct pst_span *refusal)
{
	struct pst_sink *sink = PST_CONTAINER(listener, struct pst_sink, listener);
	struct conn *conn = NULL;

	(void)peer;
	if (sink->conn_count < PST_SINK_CONNS_MAX)
		conn = pst_mem_alloc(sink->env.mem, sizeof(*conn));
	if (!conn) {
		*refusal = PST_SPAN("421 4.3.2 too many connections\r\n");
		return NULL;
	}
	sink->conn_count++;
	conn->sink = sink;
	conn->net.on_ready = on_ready;
	conn->timer.on_due = on_due;
	conn->file.fd = -1;
	pst_smtp_server_init(&conn->core);
	pst_buf_init(&conn->in, conn->in_area, sizeof(conn->in_area));
	pst_buf_init(&conn->out, conn->out_area, sizeof(conn->out_area));
	pst_buf_init(&conn->file_out, conn->file_area, sizeof(conn->file_area));
	pst_buf_init(&conn->from, conn->from_area, sizeof(conn->from_area));
	pst_buf_init(&conn->to, conn->to_area, sizeof(conn->to_area));
	pst_buf_init(&conn->xforward, conn->xforward_area, sizeof(conn->xforward_area));
	pst_list_append(&sink->conns, &conn->node);
	return &conn->net;
}

static void on_accepted(struct pst_net_listener *listener, struct pst_net_conn *net)
{
	struct pst_sink *sink = PST_CONTAINER(listener, struct pst_sink, listener);
	struct conn *conn = PST_CONTAINER(net, struct conn, net);
	struct pst_sink_fault *fault = take_fault(conn, PST_SINK_CONNECT, false);

	if (fault)
		act(conn, fault);
	else
		PST_BUG_ON(pst_buf_printf(&conn->out, "220 %.*s ESMTP postern sink\r\n",
					  (int)sink->env.hostname.len,
					  (const char *)sink->env.hostname.at));
	if (conn->ended)
		return;
	pst_smtp_server_greeted(&conn->core);
	if (!conn->hung)
		pst_timer_set(sink->env.loop, &conn->timer, now(conn) + IDLE_MS);
	flush(conn);
	if (!conn->ended)
		conn->net.ops->want(&conn->net,
				    PST_NET_READ | (conn->out.len ? PST_NET_WRITE : 0u));
}

int pst_sink_open(struct pst_sink *sink, const struct pst_sink_env *env,
		  const struct pst_addr *address)
{
	int status;

	*sink = (struct pst_sink){.env = *env};
	pst_list_init(&sink->conns);
	pst_list_init(&sink->dead);
	sink->reaper.on_turn_end = reap;
	sink->listener.local = *address;
	sink->listener.on_accept = on_accept;
	sink->listener.on_accepted = on_accepted;
	status = env->net->ops->listen(env->net, &sink->listener);
	if (!status)
		pst_loop_hook(env->loop, &sink->reaper);
	return status;
}

void pst_sink_close(struct pst_sink *sink)
{
	struct pst_node *node;

	sink->env.net->ops->unlisten(sink->env.net, &sink->listener);
	while ((node = pst_list_first(&sink->conns)))
		end(PST_CONTAINER(node, struct conn, node));
	reap(&sink->reaper);
	pst_loop_unhook(&sink->reaper);
}
