/* relay/relay_place.c - which connection a transaction gets, and who waits for one
 *
 * An idle one, a new one, or a place in the server's queue; the next server when one cannot be reached. Nobody
 * overtakes: whoever came first and can be served is called first (pst_relay_serve_waiting).
 */
#include "relay/relay_priv.h"

/* The first server not tried yet, those that failed lately last; -PST_E_NOENT when none is left. */
static int next_server(const struct pst_relay_tx *tx)
{
	int last_resort = -PST_E_NOENT;

	for (uint32_t i = 0; i < tx->route->server_count; i++) {
		const struct pst_relay_server *server;

		if (tx->tried & (1U << i))
			continue;
		server = pst_relay_server_get(tx->relay, tx->route, i);
		if (!server)
			continue;
		if (server->down_until_ms <= tx->relay->env.loop->now_ms)
			return (int)i;
		if (last_resort < 0)
			last_resort = (int)i;
	}
	return last_resort;
}

/* A transaction whose client is slow gives its connection up; its envelope is repeated later. */
static bool lend_quiet(struct pst_relay_server *server, uint64_t now_ms)
{
	struct pst_node *node = pst_list_first(&server->quiet);
	struct pst_relay_tx *quiet;

	if (!node)
		return false;
	quiet = PST_CONTAINER(node, struct pst_relay_tx, node);
	if (now_ms - quiet->since_ms < PST_RELAY_LEND_MS)
		return false;
	pst_list_remove(&quiet->node);
	quiet->phase = PST_TX_PARKED;
	pst_relay_conn_leave(quiet->conn, false);
	quiet->conn = NULL;
	return true;
}

static void queue_up(struct pst_relay_tx *tx, struct pst_relay_server *server)
{
	uint64_t now_ms = tx->relay->env.loop->now_ms;

	if (tx->phase != PST_TX_WAITING) {
		tx->phase = PST_TX_WAITING;
		tx->since_ms = now_ms;
		pst_list_append(&server->waiting, &tx->node);
	} else if (!pst_node_linked(&tx->node)) {
		/* It was called, and somebody was faster: first again. */
		pst_list_prepend(&server->waiting, &tx->node);
	}
	pst_timer_set(tx->relay->env.loop, &tx->timer, now_ms + PST_RELAY_WAIT_MS);
}

void pst_relay_stop_waiting(struct pst_relay_tx *tx)
{
	pst_list_remove(&tx->node);
	pst_timer_cancel(tx->relay->env.loop, &tx->timer);
}

static struct pst_relay_tx *first_waiting(const struct pst_relay_server *server)
{
	struct pst_node *node = pst_list_first(&server->waiting);

	return node ? PST_CONTAINER(node, struct pst_relay_tx, node) : NULL;
}

static bool has_place(const struct pst_relay_server *server, const struct pst_relay_tx *tx)
{
	return (!tx->retried && !pst_list_empty(&server->idle)) ||
	       (server->conn_count < tx->route->connection_max &&
		tx->relay->live_count < tx->relay->connection_max);
}

void pst_relay_serve_waiting(struct pst_relay_server *server)
{
	struct pst_relay_tx *tx = first_waiting(server);

	if (tx && has_place(server, tx))
		pst_loop_resume(tx->relay->env.loop, &tx->task);
}

/* Whoever came first and can be served now is served first: a steady stream of newcomers must not
 * keep others waiting until their time is over. */
static bool must_queue(struct pst_relay_server *server, const struct pst_relay_tx *tx)
{
	const struct pst_relay_tx *first = first_waiting(server);

	if (!first || first == tx || !has_place(server, first))
		return false;
	pst_relay_serve_waiting(server);
	return true;
}

/* The one connection that will do: now, or when the transaction before has been cleared away. */
static void acquire_private(struct pst_relay_tx *tx)
{
	struct pst_relay_conn *conn = tx->private->conn;

	tx->private->waiting = NULL;
	if (!conn) {
		pst_relay_tx_fail(tx, "the connection that was logged in is gone");
	} else if (conn->state == PST_CONN_OWNED) {
		pst_relay_conn_take(conn, tx);
	} else {
		tx->phase = PST_TX_WAITING;
		tx->private->waiting = tx;
	}
}

void pst_relay_tx_acquire(struct pst_relay_tx *tx)
{
	int index;

	if (tx->private) {
		acquire_private(tx);
		return;
	}
	while ((index = next_server(tx)) >= 0) {
		struct pst_relay_server *server =
			pst_relay_server_get(tx->relay, tx->route, (uint32_t)index);
		struct pst_node *idle = pst_list_first(&server->idle);
		struct pst_relay_conn *conn;

		if (must_queue(server, tx)) {
			queue_up(tx, server);
			return;
		}
		if (idle && !tx->retried) {
			pst_relay_stop_waiting(tx);
			tx->tried |= (uint8_t)(1U << index);
			pst_relay_conn_take(PST_CONTAINER(idle, struct pst_relay_conn, node), tx);
			pst_relay_serve_waiting(server);
			return;
		}
		if (server->conn_count >= tx->route->connection_max && idle) {
			/* A new one is wanted, and an idle one has the place. */
			pst_relay_conn_drop(PST_CONTAINER(idle, struct pst_relay_conn, node));
		}
		if (server->conn_count >= tx->route->connection_max ||
		    tx->relay->live_count >= tx->relay->connection_max) {
			queue_up(tx, server);
			(void)lend_quiet(server, tx->relay->env.loop->now_ms);
			return;
		}
		pst_relay_stop_waiting(tx);
		tx->phase = PST_TX_NEW;
		tx->tried |= (uint8_t)(1U << index);
		conn = pst_relay_conn_open(tx->relay, server);
		if (conn) {
			pst_relay_conn_take(conn, tx);
			pst_relay_serve_waiting(server);
			return;
		}
	}
	pst_relay_tx_fail(tx, tx->failure ? tx->failure : "no server can be reached");
}

void pst_relay_waited(struct pst_timer *timer)
{
	struct pst_relay_tx *tx = PST_CONTAINER(timer, struct pst_relay_tx, timer);

	if (tx->relay->env.loop->now_ms - tx->since_ms >= tx->conf->command_ms)
		pst_relay_tx_fail(tx, "all connections are busy");
	else
		pst_relay_tx_acquire(tx);
}
