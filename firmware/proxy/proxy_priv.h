/* proxy/proxy_priv.h - what the files of this folder share about the whole
 *
 * Layer: proxy.
 */
#ifndef PST_PROXY_PROXY_PRIV_H
#define PST_PROXY_PROXY_PRIV_H

#include "proxy/history.h"
#include "proxy/session.h"
#include "check/nat.h"
#include "proxy/recent.h"
#include "proxy/tally.h"

struct pst_proxy_listener {
	struct pst_net_listener net;
	struct pst_proxy *proxy;
	struct pst_addr asked; /* as configured; net.local has the real port */
	bool open;
	bool hop_first;
	bool tls_first;
	bool submission;
};

struct pst_proxy {
	struct pst_proxy_env env;
	struct pst_proxy_conf *conf;
	struct pst_links links;
	struct pst_relay *relay;
	struct pst_hold hold;
	struct pst_clients clients;
	struct pst_ledger ledger;
	struct pst_nat nat; /* of clients whose address is the connection's own */
	struct pst_rule_queue rules;
	struct pst_checks checks;
	struct pst_recent bad_rcpts; /* that an internal server does not know, for ten minutes */
	struct pst_history history;
	struct pst_tally tls_failures; /* by client network, for an hour */
	struct pst_txns txns;
	struct pst_pool session_pool, in_pool, out_pool;
	struct pst_list sessions, dead;
	struct pst_turn_hook hook;
	struct pst_timer drain_timer;
	struct pst_proxy_listener listeners[PST_LISTENERS_MAX];
	uint32_t handshake_count; /* clients' */
	uint32_t handshake_count_bound; /* of the first generation */
	uint32_t session_count_bound; /* of the first generation: the pools are made for it */
	struct pst_hash_key name_key; /* makes sessions' numbers into names that tell nobody how many */
	uint64_t session_number;
	uint32_t slow_count; /* sessions whose next reply is held back */
	uint32_t held_count; /* sessions that are read at the rate of `tarpit` */
	bool overloaded; /* above the high-water mark, and not yet below the low one */
	bool draining, drained;
	uint8_t refusal[160];
};

/* Is there too much to do for clients of whom no delivery is known, and is this one of them? */
bool pst_proxy_presses(const struct pst_proxy *proxy, const struct pst_session *session);

/* A PROXY header has told who the client is: it is admitted, counted and trusted anew.
 *  ret none | why it must go, which is logged */
enum pst_reason pst_proxy_adopt(struct pst_proxy *proxy, struct pst_session *session,
				const struct pst_addr *client);

#endif
