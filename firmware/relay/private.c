/* relay/private.c - one internal connection for one client
 *
 * The connection is one like any other (relay_conn.c) but for its end: it is never idle in a pool, and
 * whatever fails is told, not mended: another connection would not be logged in.
 */
#include "relay/private.h"

#include "relay/relay_priv.h"

static void on_task(struct pst_task *task)
{
	struct pst_relay_private *private = PST_CONTAINER(task, struct pst_relay_private, task);

	private->on_lost(private, private->trouble);
}

static void tell_lost(struct pst_relay_private *private, const char *reason)
{
	private->trouble = reason;
	pst_loop_resume(private->relay->env.loop, &private->task);
}

/* The first server that has not failed lately; if all have, the first. */
static struct pst_relay_server *choose(struct pst_relay *relay, const struct pst_route *route)
{
	struct pst_relay_server *first = NULL;

	for (uint32_t i = 0; i < route->server_count; i++) {
		struct pst_relay_server *server = pst_relay_server_get(relay, route, i);

		if (server && server->down_until_ms <= relay->env.loop->now_ms)
			return server;
		if (!first)
			first = server;
	}
	return first;
}

void pst_relay_private_say(struct pst_relay_private *private, struct pst_relay *relay,
			   const struct pst_route *route)
{
	struct pst_relay_server *server;

	private->relay = relay;
	private->task.on_run = on_task;
	if (private->conn) {
		pst_relay_private_step(private->conn);
		return;
	}
	server = choose(relay, route);
	if (server && server->private_count < route->connection_max)
		private->conn = pst_relay_conn_open(relay, server);
	if (!private->conn) {
		tell_lost(private, "no connection for a login");
		return;
	}
	private->conn->private = private;
	private->conn->owned = true;
	server->private_count++;
}

void pst_relay_private_step(struct pst_relay_conn *conn)
{
	struct pst_relay_private *private = conn->private;
	struct pst_span line = private->unsent(private);
	int64_t len;

	if (conn->state == PST_CONN_OWNED) {
		if (!(conn->core.caps.set & PST_SMTP_CAP_AUTH)) {
			pst_relay_private_forget(conn, "offers no AUTH");
			pst_relay_conn_quit(conn);
			return;
		}
		if (pst_smtp_client_auth_sent(&conn->core) < 0)
			PST_BUG_ON(true); /* nothing else is due */
		conn->state = PST_CONN_AUTH;
	}
	if (line.len == 0 || conn->state != PST_CONN_AUTH)
		return; /* not open yet */
	len = pst_link_write(&conn->link, &line, 1);
	if (len < 0)
		pst_loop_resume(conn->relay->env.loop, &conn->task);
	else
		private->sent(private, (uint32_t)len);
	pst_relay_conn_arm(conn);
}

void pst_relay_private_reply(struct pst_relay_conn *conn, const struct pst_smtp_client_event *reply)
{
	conn->state = PST_CONN_OWNED;
	pst_relay_conn_arm(conn);
	conn->private->on_reply(conn->private, reply->code, reply->text);
}

void pst_relay_private_forget(struct pst_relay_conn *conn, const char *reason)
{
	struct pst_relay_private *private = conn->private;

	conn->private = NULL;
	if (!private)
		return;
	private->conn = NULL;
	if (private->waiting)
		pst_loop_resume(conn->relay->env.loop, &private->waiting->task);
	tell_lost(private, reason);
}

bool pst_relay_private_is_open(const struct pst_relay_private *private)
{
	return private->conn != NULL;
}

void pst_relay_private_end(struct pst_relay_private *private)
{
	struct pst_relay_conn *conn = private->conn;

	pst_loop_forget(&private->task);
	private->conn = NULL;
	if (!conn)
		return;
	conn->private = NULL;
	if (conn->tx)
		conn->tx->private = NULL;
	if (conn->state == PST_CONN_OWNED)
		pst_relay_conn_quit(conn);
	else if (conn->state != PST_CONN_BUSY && conn->state != PST_CONN_CLEARING)
		pst_relay_conn_drop(conn);
}
