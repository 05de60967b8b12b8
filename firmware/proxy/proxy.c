/* proxy/proxy.c - listeners, admission, the sessions as a whole, shutdown */
#include "proxy/kept.h"
#include "proxy/proxy_priv.h"

#define TLS_FAILURES_MS 3600000
#define BAD_RCPT_MS 600000
#define HIGH_WATER 90 /* per cent of the sessions: overload begins */
#define LOW_WATER 70  /* and is over */

/* Beyond the sessions, transactions whose client went after the dot wait for their outcome. */
static uint32_t txn_count_max(const struct pst_proxy_conf *conf)
{
	return conf->session_count_max + conf->session_count_max / 4 + 4;
}

static uint32_t relay_count_max(const struct pst_proxy_conf *conf)
{
	return pst_relay_connection_max(&conf->relay, conf->session_count_max);
}

/* Input and output, and the same once more for records where there is TLS. */
static uint32_t layers(const struct pst_tls_context *tls, bool room)
{
	return tls || room ? 2 : 1;
}

static uint32_t client_layers(const struct pst_proxy_conf *conf)
{
	return layers(conf->tls, conf->tls_room);
}

static uint32_t relay_layers(const struct pst_proxy_conf *conf)
{
	return layers(conf->relay.tls, conf->relay.tls_room);
}

uint64_t pst_proxy_bound(const struct pst_proxy_conf *conf)
{
	uint64_t sessions = conf->session_count_max, relays = relay_count_max(conf);

	return sizeof(struct pst_proxy) + sessions * sizeof(struct pst_session) +
	       sessions * client_layers(conf) * (PST_LINK_IN_BYTES + PST_LINK_OUT_BYTES) +
	       relays * (pst_relay_connection_bytes() +
			 2 * relay_layers(conf) * PST_LINK_OUT_BYTES) +
	       txn_count_max(conf) * sizeof(struct pst_txn) +
	       pst_clients_bound(conf->session_count_max + txn_count_max(conf)) +
	       pst_rule_queue_bound(conf->rules) +
	       pst_ledger_bound(conf->ledger_count_max) + pst_checks_bound(conf) +
	       pst_hold_bound(conf->hold_pool_bytes, txn_count_max(conf));
}

uint32_t pst_proxy_timers_max(const struct pst_proxy_conf *conf)
{
	return conf->session_count_max + relay_count_max(conf) + txn_count_max(conf) +
	       pst_checks_timers_max() + 9;
}

/* ---- load ------------------------------------------------------------------------------------ */

static bool is_known(const struct pst_proxy *proxy, const struct pst_addr *client)
{
	return pst_kept_has_delivered(&proxy->env, client);
}

bool pst_proxy_presses(const struct pst_proxy *proxy, const struct pst_session *session)
{
	return proxy->overloaded && !session->trusted &&
	       !is_known(proxy, &session->link.conn.peer);
}

/* Overload begins at the high-water mark and ends at the low one, so that it does not flap. Whoever is
 * idle already is held to the shorter time from here on. */
static void look_at_load(struct pst_proxy *proxy)
{
	uint32_t max = PST_MIN(proxy->conf->session_count_max, proxy->session_count_bound);
	uint64_t used = proxy->session_pool.used_count;
	bool over = used * 100 >= (uint64_t)max * (proxy->overloaded ? LOW_WATER : HIGH_WATER);

	if (over == proxy->overloaded)
		return;
	proxy->overloaded = over;
	pst_log_begin(proxy->env.log, PST_LOG_WARNING, over ? "overload" : "overload_over");
	pst_log_u64(proxy->env.log, "sessions", used);
	pst_log_end(proxy->env.log);
	for (struct pst_node *n = pst_list_first(&proxy->sessions); over && n;
	     n = pst_list_next(&proxy->sessions, n))
		pst_session_press(PST_CONTAINER(n, struct pst_session, node));
}

/* ---- reaping --------------------------------------------------------------------------------- */

static void check_drained(struct pst_proxy *proxy)
{
	if (!proxy->draining || proxy->drained || proxy->session_pool.used_count > 0 ||
	    !pst_list_empty(&proxy->txns.all) || pst_relay_connection_count(proxy->relay) > 0)
		return;
	proxy->drained = true;
	pst_timer_cancel(proxy->env.loop, &proxy->drain_timer);
	if (proxy->env.on_drained)
		proxy->env.on_drained(proxy->env.owner);
}

static void reap(struct pst_proxy *proxy)
{
	struct pst_node *node;

	while ((node = pst_list_pop(&proxy->dead))) {
		struct pst_session *session = PST_CONTAINER(node, struct pst_session, node);

		pst_client_put(&proxy->clients, session->client);
		pst_proxy_conf_unref(session->conf);
		pst_pool_put(&proxy->session_pool, session);
	}
	pst_txns_reap(&proxy->txns);
}

static void on_turn_end(struct pst_turn_hook *hook)
{
	struct pst_proxy *proxy = PST_CONTAINER(hook, struct pst_proxy, hook);

	reap(proxy);
	if (proxy->overloaded)
		look_at_load(proxy);
	check_drained(proxy);
}

/* ---- admission ------------------------------------------------------------------------------- */

static struct pst_net_conn *refuse(struct pst_proxy *proxy, const struct pst_addr *peer,
				   enum pst_reason reason, enum pst_counter counter,
				   struct pst_span *refusal)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(reason);
	struct pst_buf text;

	pst_buf_init(&text, proxy->refusal, sizeof(proxy->refusal));
	if (pst_smtp_reply_put(&text, &reply) == 0)
		*refusal = pst_buf_span(&text);
	pst_count(proxy->env.counters, counter);
	pst_log_begin(proxy->env.log, PST_LOG_INFO, "refused");
	pst_log_addr(proxy->env.log, "client", peer);
	pst_log_text(proxy->env.log, "reason", pst_reason_reply(reason)->name);
	pst_log_u64(proxy->env.log, "code", reply.code);
	pst_log_end(proxy->env.log);
	return NULL;
}

/* One place is kept for our own networks, so that an owner gets through when the world does not. */
static bool all_sessions_taken(const struct pst_proxy *proxy, bool trusted)
{
	uint32_t used = proxy->session_pool.used_count, max = proxy->conf->session_count_max;

	max = PST_MIN(max, proxy->session_count_bound);
	return used >= max || (!trusted && max > 1 && used + 1 >= max);
}

/* Who may have no session though there is room for one. */
static bool is_too_busy_for(const struct pst_proxy *proxy, const struct pst_addr *client, bool trusted)
{
	return proxy->overloaded && !trusted && !is_known(proxy, client);
}

/* Does a router stand between us and all clients? The owner can mend that, we cannot. */
static void look_for_nat(struct pst_proxy *proxy, const struct pst_addr *peer)
{
	struct pst_log *log = proxy->env.log;
	bool hides;

	if (!pst_nat_note(&proxy->nat, peer, proxy->env.loop->now_ms))
		return;
	hides = proxy->nat.hides.family != PST_FAMILY_NONE;
	pst_log_begin(log, hides ? PST_LOG_WARNING : PST_LOG_INFO, "source_nat");
	if (hides)
		pst_log_addr(log, "client", &proxy->nat.hides);
	pst_log_text(log, "msg",
		     hides ? "source NAT hides clients: nearly all have this address. Let the router "
			     "that forwards the port keep sources; checks of this address pause"
			   : "clients have addresses of their own again");
	pst_log_end(log);
}

static struct pst_net_conn *on_accept(struct pst_net_listener *net, const struct pst_addr *peer,
				      struct pst_span *refusal)
{
	struct pst_proxy_listener *listener = PST_CONTAINER(net, struct pst_proxy_listener, net);
	struct pst_proxy *proxy = listener->proxy;
	bool trusted = pst_policy_trusts(&proxy->conf->policy, peer);
	struct pst_session *session;
	struct pst_client *client;

	if (proxy->draining)
		return refuse(proxy, peer, PST_REASON_shutdown, PST_COUNTER_refused_sessions,
			      refusal);
	if (!listener->hop_first && !listener->submission)
		look_for_nat(proxy, peer);
	if (all_sessions_taken(proxy, trusted))
		return refuse(proxy, peer, PST_REASON_sessions, PST_COUNTER_refused_sessions,
			      refusal);
	if (!listener->hop_first && is_too_busy_for(proxy, peer, trusted))
		return refuse(proxy, peer, PST_REASON_overload, PST_COUNTER_refused_overload,
			      refusal);
	client = pst_client_get(&proxy->clients, peer);
	if (!client)
		return refuse(proxy, peer, PST_REASON_memory, PST_COUNTER_refused_memory, refusal);
	/* Behind a balancer the count is made when it has said who the client is. */
	if (!trusted && !listener->hop_first && !pst_nat_hides(&proxy->nat, peer) &&
	    client->session_count >= proxy->conf->per_client_count_max) {
		pst_client_put(&proxy->clients, client);
		return refuse(proxy, peer, PST_REASON_per_client, PST_COUNTER_refused_per_client,
			      refusal);
	}
	session = pst_pool_get_zeroed(&proxy->session_pool);
	if (!session) {
		pst_client_put(&proxy->clients, client);
		return refuse(proxy, peer, PST_REASON_sessions, PST_COUNTER_refused_memory, refusal);
	}
	pst_count(proxy->env.counters, PST_COUNTER_connections);
	pst_session_init(session, proxy, proxy->conf, client, trusted);
	session->hop_first = listener->hop_first;
	session->tls_first = listener->tls_first;
	session->hidden = !listener->hop_first && pst_nat_hides(&proxy->nat, peer);
	session->submission = listener->submission;
	session->core.submission = listener->submission;
	look_at_load(proxy);
	return &session->link.conn;
}

static enum pst_counter counter_of(enum pst_reason reason)
{
	if (reason == PST_REASON_per_client)
		return PST_COUNTER_refused_per_client;
	return reason == PST_REASON_overload ? PST_COUNTER_refused_overload
					     : PST_COUNTER_refused_memory;
}

enum pst_reason pst_proxy_adopt(struct pst_proxy *proxy, struct pst_session *session,
				const struct pst_addr *peer)
{
	bool trusted = pst_policy_trusts(&session->conf->policy, peer);
	struct pst_client *client = pst_client_get(&proxy->clients, peer);
	enum pst_reason reason = PST_REASON_none;
	struct pst_span unsaid;

	if (!client)
		reason = PST_REASON_memory;
	else if (!trusted && client->session_count >= session->conf->per_client_count_max)
		reason = PST_REASON_per_client;
	else if (is_too_busy_for(proxy, peer, trusted))
		reason = PST_REASON_overload;
	if (reason != PST_REASON_none) {
		if (client)
			pst_client_put(&proxy->clients, client);
		(void)refuse(proxy, peer, reason, counter_of(reason), &unsaid);
		return reason;
	}
	session->client->session_count--;
	pst_client_put(&proxy->clients, session->client);
	client->session_count++;
	session->client = client;
	session->trusted = trusted;
	session->link.conn.peer = *peer;
	return PST_REASON_none;
}

static void on_accepted(struct pst_net_listener *net, struct pst_net_conn *conn)
{
	(void)net;
	pst_session_opened(PST_CONTAINER(conn, struct pst_session, link.conn));
}

/* ---- listeners ------------------------------------------------------------------------------- */

static bool same_endpoint(const struct pst_addr *a, const struct pst_addr *b)
{
	return pst_addr_eq(a, b) && a->port == b->port && a->via == b->via;
}

static struct pst_proxy_listener *find_listener(struct pst_proxy *proxy,
						const struct pst_addr *asked)
{
	for (uint32_t i = 0; i < PST_LISTENERS_MAX; i++)
		if (proxy->listeners[i].open && same_endpoint(&proxy->listeners[i].asked, asked))
			return &proxy->listeners[i];
	return NULL;
}

/* How clients begin matters where somebody looks at it, and where they are no balancer. */
static void keep_syns(struct pst_proxy_listener *listener, const struct pst_proxy_conf *conf)
{
	const struct pst_net_ops *ops = listener->net.net->ops;

	if (ops->keep_syn)
		ops->keep_syn(&listener->net, conf->os.signature_count > 0 && !listener->hop_first &&
						      !listener->submission);
}

/* Listener `index` of the configuration. */
static int open_listener(struct pst_proxy *proxy, const struct pst_proxy_conf *conf, uint32_t index)
{
	const struct pst_addr *asked = &conf->listeners[index];
	struct pst_proxy_listener *free_one = NULL;
	int ret;

	for (uint32_t i = 0; i < PST_LISTENERS_MAX && !free_one; i++)
		if (!proxy->listeners[i].open)
			free_one = &proxy->listeners[i];
	if (!free_one)
		return -PST_E_FULL;
	*free_one = (struct pst_proxy_listener){
		.net = {.on_accept = on_accept, .on_accepted = on_accepted, .local = *asked},
		.proxy = proxy,
		.asked = *asked,
		.hop_first = conf->listener_hop[index],
		.tls_first = conf->listener_tls[index],
		.submission = conf->listener_submission[index],
	};
	ret = proxy->env.net->ops->listen(proxy->env.net, &free_one->net);
	free_one->open = ret == 0;
	if (free_one->open)
		keep_syns(free_one, conf);
	return ret;
}

static int open_listeners(struct pst_proxy *proxy, const struct pst_proxy_conf *conf,
			  struct pst_addr *failed)
{
	for (uint32_t i = 0; i < conf->listener_count; i++) {
		int ret;

		if (find_listener(proxy, &conf->listeners[i]))
			continue;
		ret = open_listener(proxy, conf, i);
		if (ret < 0) {
			*failed = conf->listeners[i];
			return ret;
		}
	}
	return 0;
}

/* Close every listener that `conf` does not name; NULL names none. */
static void close_listeners(struct pst_proxy *proxy, const struct pst_proxy_conf *conf)
{
	for (uint32_t i = 0; i < PST_LISTENERS_MAX; i++) {
		struct pst_proxy_listener *listener = &proxy->listeners[i];
		bool named = false;

		for (uint32_t k = 0; conf && k < conf->listener_count; k++)
			named |= same_endpoint(&listener->asked, &conf->listeners[k]);
		if (!listener->open || named)
			continue;
		proxy->env.net->ops->unlisten(proxy->env.net, &listener->net);
		listener->open = false;
	}
}

int pst_proxy_listen(struct pst_proxy *proxy, struct pst_addr *failed)
{
	return open_listeners(proxy, proxy->conf, failed);
}

const struct pst_addr *pst_proxy_listener_addr(const struct pst_proxy *proxy, uint32_t index)
{
	PST_BUG_ON(index >= PST_LISTENERS_MAX || !proxy->listeners[index].open);
	return &proxy->listeners[index].net.local;
}

uint32_t pst_proxy_listeners(const struct pst_proxy *proxy, struct pst_addr *out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PST_LISTENERS_MAX; i++)
		if (proxy->listeners[i].open)
			out[count++] = proxy->listeners[i].net.local;
	return count;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_drain_due(struct pst_timer *timer)
{
	pst_proxy_drain(PST_CONTAINER(timer, struct pst_proxy, drain_timer));
}

static void make_pools(struct pst_proxy *proxy)
{
	const struct pst_proxy_conf *conf = proxy->conf;
	struct pst_mem *mem = proxy->env.mem;
	uint32_t sessions = conf->session_count_max, relays = relay_count_max(conf);

	pst_pool_init(&proxy->session_pool, "session", mem, sizeof(struct pst_session), sessions, 16);
	pst_pool_init(&proxy->in_pool, "input", mem, PST_LINK_IN_BYTES,
		      client_layers(conf) * sessions, 4);
	pst_pool_init(&proxy->out_pool, "output", mem, PST_LINK_OUT_BYTES,
		      client_layers(conf) * sessions + 2 * relay_layers(conf) * relays, 8);
	pst_pool_init(&proxy->txns.pool, "transaction", mem, sizeof(struct pst_txn),
		      txn_count_max(conf), 16);
	pst_hold_init(&proxy->hold, mem, conf->hold_pool_bytes, txn_count_max(conf));
}

static void free_pools(struct pst_proxy *proxy)
{
	pst_hold_fini(&proxy->hold);
	pst_pool_fini(&proxy->txns.pool);
	pst_pool_fini(&proxy->out_pool);
	pst_pool_fini(&proxy->in_pool);
	pst_pool_fini(&proxy->session_pool);
}

int pst_proxy_new(const struct pst_proxy_env *env, struct pst_proxy_conf *conf,
		  struct pst_proxy **out)
{
	struct pst_proxy *proxy = pst_mem_alloc(env->mem, sizeof(*proxy));
	struct pst_hash_key key = {pst_rng_u64(env->rng), pst_rng_u64(env->rng)};
	struct pst_relay_env relay_env;

	if (!proxy)
		return -PST_E_NOMEM;
	proxy->env = *env;
	proxy->conf = conf;
	proxy->session_count_bound = conf->session_count_max;
	proxy->handshake_count_bound = conf->handshake_count_max;
	proxy->name_key = (struct pst_hash_key){pst_rng_u64(env->rng), pst_rng_u64(env->rng)};
	proxy->drain_timer.on_due = on_drain_due;
	pst_tally_init(&proxy->tls_failures, key, TLS_FAILURES_MS);
	pst_recent_init(&proxy->bad_rcpts, key, BAD_RCPT_MS);
	pst_list_init(&proxy->sessions);
	pst_list_init(&proxy->dead);
	if (pst_clients_init(&proxy->clients, env->mem, key,
			     conf->session_count_max + txn_count_max(conf)) < 0)
		goto no_clients;
	relay_env = (struct pst_relay_env){
		.loop = env->loop,
		.net = env->net,
		.mem = env->mem,
		.log = env->log,
		.counters = env->counters,
		.links = &proxy->links,
		.buffer_pool = &proxy->out_pool,
		.recall_offers = pst_kept_recall_offers,
		.keep_offers = pst_kept_offers,
		.owner = &proxy->env,
	};
	if (pst_ledger_init(&proxy->ledger, env->mem, key, conf->ledger_count_max) < 0)
		goto no_ledger;
	/* The order of the turn's end: flush, then free what was closed while flushing. */
	pst_links_init(&proxy->links, env->loop);
	if (pst_relay_new(&relay_env, relay_count_max(conf), &proxy->relay) < 0)
		goto no_relay;
	make_pools(proxy);
	proxy->hook.on_turn_end = on_turn_end;
	pst_loop_hook(env->loop, &proxy->hook);
	proxy->txns.env = &proxy->env;
	proxy->txns.relay = proxy->relay;
	proxy->txns.hold = &proxy->hold;
	proxy->txns.clients = &proxy->clients;
	proxy->txns.ledger = &proxy->ledger;
	proxy->txns.history = &proxy->history;
	proxy->txns.bad_rcpts = &proxy->bad_rcpts;
	pst_rule_queue_init(&proxy->rules, env->loop, env->mem, env->counters);
	proxy->txns.rules = &proxy->rules;
	proxy->txns.checks = &proxy->checks;
	pst_checks_init(&proxy->checks, &proxy->env, conf);
	pst_checks_use(&proxy->checks, conf);
	pst_list_init(&proxy->txns.all);
	pst_list_init(&proxy->txns.dead);
	pst_relay_probe(proxy->relay, &conf->relay);
	*out = proxy;
	return 0;

no_relay:
	pst_links_fini(&proxy->links);
	pst_ledger_fini(&proxy->ledger);
no_ledger:
	pst_clients_fini(&proxy->clients);
no_clients:
	pst_mem_free(env->mem, proxy, sizeof(*proxy));
	return -PST_E_NOMEM;
}

int pst_proxy_reload(struct pst_proxy *proxy, struct pst_proxy_conf *conf, struct pst_addr *failed)
{
	int ret = proxy->draining ? 0 : open_listeners(proxy, conf, failed);

	if (ret < 0) {
		close_listeners(proxy, proxy->conf);
		return ret;
	}
	close_listeners(proxy, proxy->draining ? NULL : conf);
	for (uint32_t i = 0; i < conf->listener_count && !proxy->draining; i++) {
		struct pst_proxy_listener *listener = find_listener(proxy, &conf->listeners[i]);

		listener->hop_first = conf->listener_hop[i];
		listener->tls_first = conf->listener_tls[i];
		listener->submission = conf->listener_submission[i];
		keep_syns(listener, conf);
	}
	pst_hold_limit(&proxy->hold, conf->hold_pool_bytes);
	pst_relay_probe(proxy->relay, &conf->relay);
	pst_checks_use(&proxy->checks, conf);
	pst_proxy_conf_unref(proxy->conf);
	proxy->conf = conf;
	return 0;
}

void pst_proxy_drain(struct pst_proxy *proxy)
{
	struct pst_node *node, *next;
	bool gently = !proxy->draining;

	proxy->draining = true;
	close_listeners(proxy, NULL);
	pst_relay_quiesce(proxy->relay);
	pst_checks_stop(&proxy->checks);
	for (node = pst_list_first(&proxy->sessions); node; node = next) {
		next = pst_list_next(&proxy->sessions, node);
		pst_session_dismiss(PST_CONTAINER(node, struct pst_session, node),
				    PST_REASON_shutdown, gently);
	}
	if (gently) {
		pst_timer_set(proxy->env.loop, &proxy->drain_timer,
			      proxy->env.loop->now_ms + proxy->conf->drain_ms);
		return;
	}
	/* Nobody waits any longer: what the internal servers have not said by now is unknown. */
	while ((node = pst_list_first(&proxy->txns.all)))
		pst_txn_kill(PST_CONTAINER(node, struct pst_txn, node));
	pst_relay_abandon(proxy->relay);
}

void pst_proxy_free(struct pst_proxy *proxy)
{
	struct pst_node *node;

	proxy->drained = true;
	close_listeners(proxy, NULL);
	while ((node = pst_list_first(&proxy->sessions)))
		pst_session_close(PST_CONTAINER(node, struct pst_session, node), true);
	while ((node = pst_list_first(&proxy->txns.all)))
		pst_txn_kill(PST_CONTAINER(node, struct pst_txn, node));
	pst_timer_cancel(proxy->env.loop, &proxy->drain_timer);
	reap(proxy);
	pst_rule_queue_fini(&proxy->rules);
	pst_relay_free(proxy->relay);
	pst_checks_fini(&proxy->checks);
	pst_loop_unhook(&proxy->hook);
	pst_links_fini(&proxy->links);
	free_pools(proxy);
	pst_ledger_fini(&proxy->ledger);
	pst_clients_fini(&proxy->clients);
	pst_proxy_conf_unref(proxy->conf);
	pst_mem_free(proxy->env.mem, proxy, sizeof(*proxy));
}

bool pst_proxy_is_looking(const struct pst_proxy *proxy)
{
	return pst_relay_is_opening(proxy->relay);
}

uint32_t pst_proxy_session_count(const struct pst_proxy *proxy)
{
	return proxy->session_pool.used_count;
}
