/* relay/relay_conn.c - one connection to an internal server, from connect to QUIT
 *
 * A connection belongs to its server entry, serves one transaction after another, and knows nothing
 * of envelopes: replies go to the transaction (relay_tx.c), everything that is wrong with the
 * connection ends here in conn_fail.
 */
#include "relay/relay_priv.h"
#include "smtp/hop.h"

static void conn_fail(struct pst_relay_conn *conn, const char *reason);
static void tls_failed(struct pst_relay_conn *conn, const char *reason);

static void log_conn(struct pst_relay_conn *conn, enum pst_log_level level, const char *event,
		     const char *reason)
{
	struct pst_log *log = conn->relay->env.log;

	pst_log_begin(log, level, event);
	pst_log_endpoint(log, "server", &conn->server->addr);
	pst_log_text(log, "reason", reason);
	pst_log_end(log);
}

/* Close, and give the place to whoever waits for one. The memory lives until the end of the turn. */
static void conn_close(struct pst_relay_conn *conn, bool reset)
{
	struct pst_relay_server *server = conn->server;

	if (conn->state == PST_CONN_DEAD)
		return;
	pst_list_remove(&conn->node);
	pst_list_remove(&conn->all_node);
	pst_timer_cancel(conn->relay->env.loop, &conn->timer);
	pst_loop_forget(&conn->task);
	pst_link_close(&conn->link, reset);
	pst_relay_private_forget(conn, "the connection was closed");
	server->private_count -= conn->owned;
	conn->state = PST_CONN_DEAD;
	conn->tx = NULL;
	pst_list_append(&conn->relay->dead, &conn->node);
	conn->relay->live_count--;
	server->conn_count--;
	pst_relay_serve_waiting(server);
}

static bool worn_out(const struct pst_relay_conn *conn)
{
	const struct pst_relay_conf *conf = conn->relay->conf;

	return conn->relay->quiesced || conn->leaving || conn->owned || conn->server->hop ||
	       conn->refusal_count >= conf->refusal_count_max ||
	       conn->message_count >= conf->message_count_max ||
	       conn->relay->env.loop->now_ms - conn->born_ms >= conf->life_ms;
}

static void conn_idle(struct pst_relay_conn *conn)
{
	conn->tx = NULL;
	if (conn->private && !conn->leaving) {
		conn->state = PST_CONN_OWNED;
		if (conn->private->waiting)
			pst_loop_resume(conn->relay->env.loop, &conn->private->waiting->task);
		pst_relay_conn_arm(conn);
		return;
	}
	if (worn_out(conn)) {
		pst_relay_conn_quit(conn);
		return;
	}
	conn->state = PST_CONN_IDLE;
	/* The last one used is the first taken: it is the least likely to be dead. */
	pst_list_prepend(&conn->server->idle, &conn->node);
	pst_relay_conn_arm(conn);
	pst_relay_serve_waiting(conn->server);
}

static void conn_fail(struct pst_relay_conn *conn, const char *reason)
{
	struct pst_relay_tx *tx = conn->tx;
	struct pst_relay_server *server = conn->server;
	bool opening = conn->state <= PST_CONN_HANDSHAKE;
	bool quiet = conn->state == PST_CONN_IDLE || conn->state == PST_CONN_QUITTING;

	if (opening)
		server->down_until_ms = conn->relay->env.loop->now_ms + PST_RELAY_DOWN_MS;
	if (!quiet) {
		pst_count(conn->relay->env.counters, PST_COUNTER_relay_failures);
		log_conn(conn, PST_LOG_WARNING, "relay_failed", reason);
	}
	pst_relay_private_forget(conn, reason);
	conn_close(conn, false);
	if (tx)
		pst_relay_tx_lost(tx, reason);
}

void pst_relay_conn_drop(struct pst_relay_conn *conn)
{
	conn_close(conn, true);
}

struct pst_buf *pst_relay_conn_out(struct pst_relay_conn *conn)
{
	return pst_link_out(&conn->link, PST_RELAY_COMMAND_MAX);
}

void pst_relay_conn_quit(struct pst_relay_conn *conn)
{
	struct pst_buf *out = pst_relay_conn_out(conn);

	conn->tx = NULL;
	pst_list_remove(&conn->node);
	pst_relay_private_forget(conn, "the connection was closed");
	if (!out || pst_smtp_client_quit(&conn->core, out) < 0) {
		conn_close(conn, false);
		return;
	}
	conn->state = PST_CONN_QUITTING;
	pst_relay_conn_arm(conn);
}

void pst_relay_conn_arm(struct pst_relay_conn *conn)
{
	const struct pst_relay_conf *conf = conn->relay->conf;
	uint64_t now_ms = conn->relay->env.loop->now_ms, wait_ms = conf->command_ms;

	switch ((enum pst_relay_conn_state)conn->state) {
	case PST_CONN_CONNECTING:
	case PST_CONN_GREETING:
	case PST_CONN_HELLO:
	case PST_CONN_STARTTLS:
	case PST_CONN_HANDSHAKE:
		wait_ms = conf->connect_ms;
		break;
	case PST_CONN_IDLE:
		wait_ms = conf->idle_ms;
		break;
	case PST_CONN_OWNED: /* its client's patience is the session's affair */
		wait_ms = PST_RELAY_OWNED_MS;
		break;
	case PST_CONN_QUITTING:
		wait_ms = PST_RELAY_QUIT_MS;
		break;
	case PST_CONN_BUSY:
		if (conn->tx->phase == PST_TX_FINAL || conn->tx->phase == PST_TX_BODY)
			wait_ms = conn->tx->conf->final_ms;
		else if (conn->tx->phase == PST_TX_QUIET)
			wait_ms = conn->tx->conf->noop_ms;
		else
			wait_ms = conn->tx->conf->command_ms;
		break;
	case PST_CONN_AUTH:
	case PST_CONN_CLEARING:
	case PST_CONN_DEAD:
		break;
	}
	pst_timer_set(conn->relay->env.loop, &conn->timer, now_ms + wait_ms);
}

static void on_due(struct pst_timer *timer)
{
	struct pst_relay_conn *conn = PST_CONTAINER(timer, struct pst_relay_conn, timer);

	switch ((enum pst_relay_conn_state)conn->state) {
	case PST_CONN_IDLE:
	case PST_CONN_OWNED:
		pst_relay_conn_quit(conn);
		break;
	case PST_CONN_QUITTING:
		conn_close(conn, false);
		break;
	case PST_CONN_BUSY:
		if (conn->tx->phase == PST_TX_QUIET)
			pst_relay_tx_noop(conn->tx);
		else
			conn_fail(conn, "no reply in time");
		break;
	case PST_CONN_STARTTLS:
	case PST_CONN_HANDSHAKE:
		tls_failed(conn, "no TLS in time");
		break;
	case PST_CONN_CONNECTING:
	case PST_CONN_GREETING:
	case PST_CONN_HELLO:
	case PST_CONN_AUTH:
	case PST_CONN_CLEARING:
		conn_fail(conn, "no reply in time");
		break;
	case PST_CONN_DEAD:
		break;
	}
}

int pst_relay_conn_hello(struct pst_relay_conn *conn, bool esmtp, struct pst_span name)
{
	struct pst_buf *out = pst_relay_conn_out(conn);

	if (!out)
		return -PST_E_NOMEM;
	if (conn->server->lmtp)
		return pst_smtp_client_lhlo(&conn->core, out, name);
	return esmtp ? pst_smtp_client_ehlo(&conn->core, out, name)
		     : pst_smtp_client_helo(&conn->core, out, name);
}

static void say_hello(struct pst_relay_conn *conn, bool esmtp)
{
	if (pst_relay_conn_hello(conn, esmtp, conn->relay->conf->hostname) < 0) {
		conn_fail(conn, "no memory for a command");
		return;
	}
	conn->state = PST_CONN_HELLO;
	pst_relay_conn_arm(conn);
}

static void opened(struct pst_relay_conn *conn)
{
	struct pst_relay_server *server = conn->server;

	pst_relay_server_seen(conn->relay, server, &conn->core.caps);
	server->down_until_ms = 0;
	conn->opened = true;
	if (conn->private) {
		conn->state = PST_CONN_OWNED;
		pst_relay_private_step(conn);
		return;
	}
	if (conn->tx)
		pst_relay_conn_take(conn, conn->tx);
	else
		conn_idle(conn);
}

static bool wants_tls(const struct pst_relay_conn *conn)
{
	const struct pst_relay_server *server = conn->server;

	if (conn->secure || !conn->relay->conf->tls || server->security.tls == PST_RELAY_TLS_OFF)
		return false;
	return server->security.tls == PST_RELAY_TLS_MUST ||
	       server->plain_until_ms <= conn->relay->env.loop->now_ms;
}

/* EHLO was answered: secure the connection, or begin to use it. */
static void greeted(struct pst_relay_conn *conn)
{
	struct pst_buf *out;

	if (!conn->secure && !conn->relay->conf->tls &&
	    conn->server->security.tls == PST_RELAY_TLS_MUST) {
		conn_fail(conn, "TLS is required, and there is none");
		return;
	}
	if (!wants_tls(conn)) {
		opened(conn);
		return;
	}
	if (!(conn->core.caps.set & PST_SMTP_CAP_STARTTLS)) {
		if (conn->server->security.tls == PST_RELAY_TLS_MUST)
			conn_fail(conn, "offers no STARTTLS, which is required");
		else
			opened(conn);
		return;
	}
	out = pst_relay_conn_out(conn);
	if (!out || pst_smtp_client_starttls(&conn->core, out) < 0) {
		conn_fail(conn, "no memory for a command");
		return;
	}
	conn->state = PST_CONN_STARTTLS;
	pst_relay_conn_arm(conn);
}

/* TLS did not come about. Where it need not, the server is spoken to without for a while. */
static void tls_failed(struct pst_relay_conn *conn, const char *reason)
{
	struct pst_relay_server *server = conn->server;
	struct pst_relay *relay = conn->relay;
	uint64_t now_ms = relay->env.loop->now_ms;
	bool probe = !conn->tx;

	if (server->security.tls == PST_RELAY_TLS_MAY) {
		server->plain_until_ms = now_ms + PST_RELAY_PLAIN_MS;
		if (conn->tx)
			conn->tx->tried = 0; /* this server too is worth a second look */
	}
	conn_fail(conn, reason);
	if (server->security.tls != PST_RELAY_TLS_MAY)
		return;
	server->down_until_ms = now_ms;
	if (probe && !relay->quiesced && server->conn_count == 0)
		(void)pst_relay_conn_open(relay, server);
}

/* The connection is as good as before. */
static void starttls_refused(struct pst_relay_conn *conn)
{
	struct pst_relay_server *server = conn->server;

	if (server->security.tls != PST_RELAY_TLS_MAY) {
		tls_failed(conn, "refused STARTTLS");
		return;
	}
	log_conn(conn, PST_LOG_WARNING, "relay_plain", "refused STARTTLS");
	server->plain_until_ms = conn->relay->env.loop->now_ms + PST_RELAY_PLAIN_MS;
	opened(conn);
}

static void begin_tls(struct pst_relay_conn *conn)
{
	struct pst_tls_peer peer = pst_relay_tls_peer(&conn->server->security);
	int ret = pst_link_secure(&conn->link, conn->relay->conf->tls, &peer);

	if (ret < 0) {
		tls_failed(conn, ret == -PST_E_RANGE ? "no CAs to verify the server by"
						     : "no memory for TLS");
		return;
	}
	conn->state = PST_CONN_HANDSHAKE;
	pst_relay_conn_arm(conn);
}

/* What the owner's test of the server's certificate found. */
static void log_doubt(struct pst_relay_conn *conn)
{
	const struct pst_relay_security *security = &conn->server->security;
	struct pst_tls_facts facts;

	if (!security->verify_ca && security->pin_count == 0)
		return;
	conn->link.tls->ops->facts(conn->link.tls, &facts);
	if (facts.doubt)
		log_conn(conn, PST_LOG_WARNING, "relay_certificate", facts.doubt);
}

static void on_secured(struct pst_link *link, int result)
{
	struct pst_relay_conn *conn = PST_CONTAINER(link, struct pst_relay_conn, link);

	if (result < 0) {
		log_doubt(conn);
		tls_failed(conn, pst_link_tls_failure(link));
		return;
	}
	conn->secure = true;
	say_hello(conn, true);
}

/* Greeting, EHLO and HELO. A server that cannot be greeted is as good as down. */
static void on_hello_reply(struct pst_relay_conn *conn, const struct pst_smtp_client_event *reply)
{
	bool good = reply->code / 100 == 2;

	if (reply->command == PST_SMTP_CMD_GREETING && good)
		say_hello(conn, true);
	else if (reply->command == PST_SMTP_CMD_EHLO && !good && reply->code != 421 &&
		 !conn->server->lmtp)
		say_hello(conn, false);
	else if (good)
		greeted(conn);
	else
		conn_fail(conn, "greeting refused");
}

/* May another command of a transaction be sent now? (RFC 2920 section 3.1) */
static bool may_send(const struct pst_smtp_client *core)
{
	if (core->due_count == 0)
		return true;
	switch ((enum pst_smtp_command)core->due[core->due_count - 1]) {
	case PST_SMTP_CMD_MAIL:
	case PST_SMTP_CMD_RCPT:
	case PST_SMTP_CMD_XFORWARD:
		return core->caps.set & PST_SMTP_CAP_PIPELINING;
	default:
		return false;
	}
}

/* Forget the transaction: at once, or as soon as the server has answered what it was asked. */
static void clear(struct pst_relay_conn *conn)
{
	struct pst_buf *out = pst_relay_conn_out(conn);

	if (!out || (may_send(&conn->core) && pst_smtp_client_rset(&conn->core, out) < 0)) {
		conn_close(conn, false);
		return;
	}
	conn->state = PST_CONN_CLEARING;
	pst_relay_conn_arm(conn);
}

static void on_clearing_reply(struct pst_relay_conn *conn,
			      const struct pst_smtp_client_event *reply)
{
	if (conn->core.due_count > 0)
		return;
	if (reply->command != PST_SMTP_CMD_RSET && reply->code != 421)
		clear(conn);
	else if (reply->code / 100 == 2)
		conn_idle(conn);
	else
		conn_close(conn, false);
}

static void on_reply(struct pst_relay_conn *conn, const struct pst_smtp_client_event *reply)
{
	switch ((enum pst_relay_conn_state)conn->state) {
	case PST_CONN_GREETING:
	case PST_CONN_HELLO:
		on_hello_reply(conn, reply);
		break;
	case PST_CONN_STARTTLS:
		if (reply->code == 220)
			begin_tls(conn);
		else
			starttls_refused(conn);
		break;
	case PST_CONN_BUSY:
		if (reply->code == 421 && conn->tx->phase != PST_TX_FINAL) {
			conn_fail(conn, "said 421");
			break;
		}
		conn->heard = true;
		pst_relay_tx_reply(conn->tx, reply);
		break;
	case PST_CONN_AUTH:
		if (reply->code == 421)
			conn_fail(conn, "said 421");
		else
			pst_relay_private_reply(conn, reply);
		break;
	case PST_CONN_CLEARING:
		on_clearing_reply(conn, reply);
		break;
	case PST_CONN_OWNED:
		conn_fail(conn, "said 421");
		break;
	case PST_CONN_IDLE:
	case PST_CONN_QUITTING:
		conn_close(conn, false);
		break;
	case PST_CONN_CONNECTING:
	case PST_CONN_HANDSHAKE:
	case PST_CONN_DEAD:
		break;
	}
}

static void on_input(struct pst_link *link)
{
	struct pst_relay_conn *conn = PST_CONTAINER(link, struct pst_relay_conn, link);
	struct pst_smtp_client_event reply;
	int ret = 0;

	while (conn->state != PST_CONN_DEAD &&
	       (ret = pst_smtp_client_next(&conn->core, &link->in, &reply)) == 1)
		on_reply(conn, &reply);
	if (conn->state == PST_CONN_DEAD)
		return;
	if (ret < 0)
		conn_fail(conn, "broke the protocol");
	else if (link->error)
		conn_fail(conn, pst_strerror(link->error));
	else if (link->end && conn->state == PST_CONN_STARTTLS)
		tls_failed(conn, "closed the connection behind STARTTLS");
	else if (link->end)
		conn_fail(conn, "closed the connection");
	else if (link->in.len == link->in.size && link->in.size > 0)
		conn_fail(conn, "reply line too long");
}

static void connected(struct pst_relay_conn *conn)
{
	struct pst_buf *out = conn->server->hop ? pst_relay_conn_out(conn) : NULL;
	static const struct pst_addr nobody;

	/* Without a transaction it is a look at the server: LOCAL. */
	if (conn->server->hop &&
	    (!out || pst_smtp_hop_put(out, conn->tx ? &conn->tx->identity.client : &nobody,
				      conn->tx ? &conn->tx->identity.service : &nobody) < 0)) {
		conn_fail(conn, "no memory for a PROXY header");
		return;
	}
	conn->state = PST_CONN_GREETING;
	pst_link_read(&conn->link, true);
	pst_relay_conn_arm(conn);
}

static void on_room(struct pst_link *link)
{
	struct pst_relay_conn *conn = PST_CONTAINER(link, struct pst_relay_conn, link);

	if (conn->state == PST_CONN_CONNECTING) {
		connected(conn);
	} else if (conn->state == PST_CONN_BUSY && conn->tx->phase == PST_TX_BODY) {
		struct pst_relay_event event = {.kind = PST_RELAY_WRITABLE};

		pst_relay_conn_arm(conn);
		conn->tx->on_event(conn->tx, &event);
	} else if (conn->state == PST_CONN_AUTH) {
		pst_relay_private_step(conn);
	} else if (conn->state == PST_CONN_BUSY) {
		pst_relay_tx_step(conn->tx);
	}
}

static void on_broken(struct pst_task *task)
{
	struct pst_relay_conn *conn = PST_CONTAINER(task, struct pst_relay_conn, task);

	conn_fail(conn, conn->link.error ? pst_strerror(conn->link.error) : "spoke inside the body");
}

struct pst_relay_conn *pst_relay_conn_open(struct pst_relay *relay, struct pst_relay_server *server)
{
	struct pst_relay_conn *conn;

	if (relay->live_count >= relay->connection_max)
		return NULL;
	conn = pst_pool_get_zeroed(&relay->conn_pool);
	if (!conn)
		return NULL;
	conn->relay = relay;
	conn->server = server;
	conn->born_ms = relay->env.loop->now_ms;
	conn->timer.on_due = on_due;
	conn->task.on_run = on_broken;
	pst_link_init(&conn->link, relay->env.links, relay->env.buffer_pool, relay->env.buffer_pool);
	conn->link.on_input = on_input;
	conn->link.on_room = on_room;
	conn->link.on_secured = on_secured;
	pst_smtp_client_init(&conn->core);
	if (pst_link_connect(&conn->link, relay->env.net, &server->addr) < 0) {
		pst_pool_put(&relay->conn_pool, conn);
		server->down_until_ms = relay->env.loop->now_ms + PST_RELAY_DOWN_MS;
		return NULL;
	}
	pst_count(relay->env.counters, PST_COUNTER_relay_connects);
	conn->state = PST_CONN_CONNECTING;
	relay->live_count++;
	server->conn_count++;
	pst_list_append(&relay->conns, &conn->all_node);
	pst_relay_conn_arm(conn);
	return conn;
}

void pst_relay_conn_take(struct pst_relay_conn *conn, struct pst_relay_tx *tx)
{
	pst_list_remove(&conn->node);
	conn->tx = tx;
	conn->heard = false;
	tx->conn = conn;
	tx->server = conn->server->addr;
	if (conn->state <= PST_CONN_HANDSHAKE && !conn->opened) {
		tx->phase = PST_TX_OPENING;
		return;
	}
	conn->reused = conn->state == PST_CONN_IDLE;
	conn->state = PST_CONN_BUSY;
	tx->phase = PST_TX_ENVELOPE;
	pst_relay_tx_step(tx);
}

void pst_relay_conn_leave(struct pst_relay_conn *conn, bool clean)
{
	conn->tx = NULL;
	if (conn->state <= PST_CONN_HANDSHAKE)
		return; /* goes on being opened, for the pool */
	if (clean && conn->core.due_count == 0)
		conn_idle(conn);
	else
		clear(conn);
}
