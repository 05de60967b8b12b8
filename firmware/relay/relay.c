/* relay/relay.c - internal servers, what they offer, and who waits for them */
#include "relay/relay_priv.h"

#include <string.h>

static void on_turn_end(struct pst_turn_hook *hook)
{
	struct pst_relay *relay = PST_CONTAINER(hook, struct pst_relay, hook);
	struct pst_node *node;

	while ((node = pst_list_pop(&relay->dead)))
		pst_pool_put(&relay->conn_pool, PST_CONTAINER(node, struct pst_relay_conn, node));
}

static void on_probe(struct pst_timer *timer)
{
	struct pst_relay *relay = PST_CONTAINER(timer, struct pst_relay, probe_timer);

	if (relay->conf && !relay->quiesced)
		pst_relay_probe(relay, relay->conf);
}

uint32_t pst_relay_connection_max(const struct pst_relay_conf *conf, uint32_t session_count_max)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < conf->route_count; i++)
		count += (uint64_t)conf->routes[i].connection_max * conf->routes[i].server_count;
	if (conf->submission)
		count += conf->submission->connection_max;
	/* Twice the sessions: a reply may be awaited that its client did not wait for. */
	return (uint32_t)PST_MIN(count, 2 * (uint64_t)session_count_max + 8);
}

uint32_t pst_relay_connection_bytes(void)
{
	return 2 * sizeof(struct pst_relay_conn);
}

int pst_relay_new(const struct pst_relay_env *env, uint32_t connection_max, struct pst_relay **out)
{
	struct pst_relay *relay = pst_mem_alloc(env->mem, sizeof(*relay));

	if (!relay)
		return -PST_E_NOMEM;
	relay->env = *env;
	/* Dead ones keep their memory, but no more, until the end of the turn. */
	relay->connection_max = connection_max;
	pst_pool_init(&relay->conn_pool, "relay-connection", env->mem,
		      sizeof(struct pst_relay_conn), 2 * connection_max, 4);
	pst_list_init(&relay->servers);
	pst_list_init(&relay->conns);
	pst_list_init(&relay->dead);
	relay->hook.on_turn_end = on_turn_end;
	relay->probe_timer.on_due = on_probe;
	pst_loop_hook(env->loop, &relay->hook);
	*out = relay;
	return 0;
}

void pst_relay_free(struct pst_relay *relay)
{
	struct pst_node *node;

	pst_relay_abandon(relay);
	on_turn_end(&relay->hook);
	PST_BUG_ON(relay->conn_pool.used_count > 0);
	while ((node = pst_list_pop(&relay->servers))) {
		struct pst_relay_server *server = PST_CONTAINER(node, struct pst_relay_server, node);

		pst_mem_free(relay->env.mem, server, sizeof(*server));
	}
	pst_loop_unhook(&relay->hook);
	pst_pool_fini(&relay->conn_pool);
	pst_mem_free(relay->env.mem, relay, sizeof(*relay));
}

static bool same_security(const struct pst_relay_security *a, const struct pst_relay_security *b)
{
	return a->tls == b->tls && a->verify_ca == b->verify_ca && pst_span_eq(a->name, b->name) &&
	       a->pin_count == b->pin_count && memcmp(a->pins, b->pins, sizeof(a->pins)) == 0;
}

static struct pst_relay_server *find_server(const struct pst_relay *relay,
					    const struct pst_route *route, uint32_t index)
{
	const struct pst_addr *addr = &route->servers[index];
	const struct pst_list *list = &relay->servers;

	for (struct pst_node *n = pst_list_first(list); n; n = pst_list_next(list, n)) {
		struct pst_relay_server *server = PST_CONTAINER(n, struct pst_relay_server, node);

		if (pst_addr_eq(&server->addr, addr) && server->addr.port == addr->port &&
		    server->addr.via == addr->via &&
		    server->lmtp == route->lmtp &&
		    server->hop == (route->pass == PST_RELAY_PASS_PROXY) &&
		    same_security(&server->security, &route->security))
			return server;
	}
	return NULL;
}

/* ---- what servers offer, kept ---------------------------------------------------------------- */

#define NAME_BYTES 21
#define SIZE_BITS 34 /* 16 GiB */

static struct pst_span name_of(const struct pst_relay_server *server, uint8_t name[NAME_BYTES])
{
	memcpy(name, server->addr.ip, 16);
	name[16] = (uint8_t)(server->addr.port >> 8);
	name[17] = (uint8_t)server->addr.port;
	name[18] = server->lmtp;
	name[19] = server->hop;
	name[20] = (uint8_t)server->security.tls;
	return (struct pst_span){name, NAME_BYTES};
}

static void recall(struct pst_relay *relay, struct pst_relay_server *server)
{
	uint8_t name[NAME_BYTES];
	uint64_t offers;

	if (!relay->env.recall_offers ||
	    !relay->env.recall_offers(relay->env.owner, name_of(server, name), &offers))
		return;
	server->caps = (struct pst_smtp_caps){
		.set = offers & 0xffff,
		.xforward = offers >> 16 & 0x7f,
		.xclient = offers >> 23 & 0x7f,
		.size_bytes = offers >> 30,
	};
	server->seen = true;
	server->recalled = true;
}

void pst_relay_server_seen(struct pst_relay *relay, struct pst_relay_server *server,
			   const struct pst_smtp_caps *caps)
{
	uint64_t size_max = (1ULL << SIZE_BITS) - 1;
	uint8_t name[NAME_BYTES];

	server->caps = *caps;
	server->seen = true;
	server->recalled = false;
	server->seen_ms = relay->env.loop->now_ms;
	if (relay->env.keep_offers)
		relay->env.keep_offers(relay->env.owner, name_of(server, name),
				       (caps->set & 0xffff) | (uint64_t)(caps->xforward & 0x7f) << 16 |
					       (uint64_t)(caps->xclient & 0x7f) << 23 |
					       PST_MIN(caps->size_bytes, size_max) << 30);
}

struct pst_relay_server *pst_relay_server_get(struct pst_relay *relay,
					      const struct pst_route *route, uint32_t index)
{
	struct pst_relay_server *server = find_server(relay, route, index);

	if (server)
		return server;
	if (relay->server_count == PST_ROUTES_MAX * PST_ROUTE_SERVERS_MAX)
		return NULL;
	server = pst_mem_alloc(relay->env.mem, sizeof(*server));
	if (!server)
		return NULL;
	server->addr = route->servers[index];
	server->security = route->security;
	server->lmtp = route->lmtp;
	server->hop = route->pass == PST_RELAY_PASS_PROXY;
	PST_BUG_ON(route->security.name.len > sizeof(server->name));
	if (route->security.name.len > 0)
		memcpy(server->name, route->security.name.at, route->security.name.len);
	server->security.name.at = server->name; /* the entry outlives the configuration */
	pst_list_init(&server->idle);
	pst_list_init(&server->waiting);
	pst_list_init(&server->quiet);
	pst_list_append(&relay->servers, &server->node);
	relay->server_count++;
	recall(relay, server);
	return server;
}

static void probe_server(struct pst_relay *relay, struct pst_relay_server *server)
{
	uint64_t now_ms = relay->env.loop->now_ms;

	if (server->conn_count == 0 &&
	    (!server->seen || server->recalled || now_ms - server->seen_ms >= PST_RELAY_PROBE_MS))
		(void)pst_relay_conn_open(relay, server);
}

/*  ret true: one of its servers was never seen */
static bool probe_route(struct pst_relay *relay, const struct pst_route *route)
{
	bool unseen = false;

	for (uint32_t i = 0; i < route->server_count; i++) {
		struct pst_relay_server *server = pst_relay_server_get(relay, route, i);

		if (!server)
			continue;
		unseen |= !server->seen || server->recalled;
		probe_server(relay, server);
	}
	return unseen;
}

void pst_relay_probe(struct pst_relay *relay, const struct pst_relay_conf *conf)
{
	bool unseen = false;

	relay->conf = conf;
	if (relay->quiesced)
		return;
	for (uint32_t i = 0; i < conf->route_count; i++)
		unseen |= probe_route(relay, &conf->routes[i]);
	if (conf->submission)
		unseen |= probe_route(relay, conf->submission);
	pst_timer_set(relay->env.loop, &relay->probe_timer,
		      relay->env.loop->now_ms +
			      (unseen ? PST_RELAY_REPROBE_MS : PST_RELAY_PROBE_MS));
}

void pst_relay_quiesce(struct pst_relay *relay)
{
	struct pst_list *list = &relay->servers;

	relay->quiesced = true;
	pst_timer_cancel(relay->env.loop, &relay->probe_timer);
	for (struct pst_node *n = pst_list_first(list); n; n = pst_list_next(list, n)) {
		struct pst_relay_server *server = PST_CONTAINER(n, struct pst_relay_server, node);
		struct pst_node *idle;

		while ((idle = pst_list_first(&server->idle)))
			pst_relay_conn_quit(PST_CONTAINER(idle, struct pst_relay_conn, node));
	}
}

void pst_relay_abandon(struct pst_relay *relay)
{
	struct pst_node *node;

	relay->quiesced = true;
	pst_timer_cancel(relay->env.loop, &relay->probe_timer);
	while ((node = pst_list_first(&relay->conns)))
		pst_relay_conn_drop(PST_CONTAINER(node, struct pst_relay_conn, all_node));
}

bool pst_relay_is_opening(const struct pst_relay *relay)
{
	const struct pst_list *list = &relay->conns;

	for (struct pst_node *n = pst_list_first(list); n; n = pst_list_next(list, n))
		if (PST_CONTAINER(n, struct pst_relay_conn, all_node)->state <= PST_CONN_HANDSHAKE)
			return true;
	return false;
}

uint32_t pst_relay_connection_count(const struct pst_relay *relay)
{
	return relay->conn_pool.used_count;
}

static bool route_offers(const struct pst_relay *relay, const struct pst_route *route,
			 struct pst_smtp_caps *caps)
{
	bool seen = false;

	/* RFC 8689 section 4.2: only to a server that was verified. */
	if (!pst_relay_security_is_sure(&route->security))
		caps->set &= ~(uint32_t)PST_SMTP_CAP_REQUIRETLS;
	for (uint32_t i = 0; i < route->server_count; i++) {
		const struct pst_relay_server *server = find_server(relay, route, i);

		if (!server || !server->seen)
			continue;
		seen = true;
		caps->set &= server->caps.set;
		if ((server->caps.set & PST_SMTP_CAP_SIZE) && server->caps.size_bytes > 0 &&
		    (caps->size_bytes == 0 || server->caps.size_bytes < caps->size_bytes))
			caps->size_bytes = server->caps.size_bytes;
	}
	return seen;
}

struct pst_smtp_caps pst_relay_offers(const struct pst_relay *relay,
				      const struct pst_relay_conf *conf)
{
	struct pst_smtp_caps caps = {.set = UINT32_MAX};

	for (uint32_t i = 0; i < conf->route_count; i++)
		if (!route_offers(relay, &conf->routes[i], &caps))
			caps.set = 0;
	return caps;
}

struct pst_smtp_caps pst_relay_route_offers(const struct pst_relay *relay,
					    const struct pst_route *route)
{
	struct pst_smtp_caps caps = {.set = UINT32_MAX};

	if (!route_offers(relay, route, &caps))
		caps.set = 0;
	return caps;
}

/* How well a domain pattern fits: 0 not at all; an exact name beats any suffix. */
static uint32_t fit(struct pst_span pattern, struct pst_span domain)
{
	if (pst_span_eq(pattern, PST_SPAN("*")))
		return 1;
	if (pattern.len > 0 && pattern.at[0] == '.')
		return domain.len > pattern.len && pst_span_ends_nocase(domain, pattern)
			       ? 1 + pattern.len
			       : 0;
	return pst_span_eq_nocase(pattern, domain) ? UINT32_MAX : 0;
}

struct pst_tls_peer pst_relay_tls_peer(const struct pst_relay_security *security)
{
	return (struct pst_tls_peer){
		.name = security->name,
		.verify = security->pin_count > 0 ? PST_TLS_VERIFY_PIN
			  : security->verify_ca	  ? PST_TLS_VERIFY_CA
						  : PST_TLS_VERIFY_NONE,
		.pins = security->pins,
		.pin_count = security->pin_count,
	};
}

const struct pst_route *pst_relay_route(const struct pst_relay_conf *conf, struct pst_span domain)
{
	const struct pst_route *best = NULL;
	uint32_t best_fit = 0;

	for (uint32_t i = 0; i < conf->route_count; i++) {
		const struct pst_route *route = &conf->routes[i];

		for (uint32_t k = 0; k < route->domain_count; k++) {
			uint32_t this_fit = fit(route->domains[k], domain);

			if (this_fit > best_fit) {
				best = route;
				best_fit = this_fit;
			}
		}
	}
	return best;
}
