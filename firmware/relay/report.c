#include "relay/report.h"

#include "relay/relay_priv.h"

static uint32_t count_of(const struct pst_list *list)
{
	uint32_t count = 0;

	for (struct pst_node *node = pst_list_first(list); node; node = pst_list_next(list, node))
		count++;
	return count;
}

bool pst_relay_report(const struct pst_relay *relay, uint32_t index, struct pst_relay_report *report)
{
	struct pst_node *node = pst_list_first(&relay->servers);
	const struct pst_relay_server *server;

	for (; node && index; index--)
		node = pst_list_next(&relay->servers, node);
	if (!node)
		return false;
	server = PST_CONTAINER(node, struct pst_relay_server, node);
	*report = (struct pst_relay_report){
		.addr = server->addr,
		.caps = server->caps,
		.connection_count = server->conn_count,
		.waiting_count = count_of(&server->waiting),
		.lmtp = server->lmtp,
		.seen = server->seen,
		.down = server->down_until_ms > relay->env.loop->now_ms,
	};
	return true;
}
