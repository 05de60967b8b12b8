/* proxy/proxy.h - the proxy as a whole: listeners, admission, sessions, shutdown
 *
 * Layer: proxy. Uses: relay, policy, link, net, loop, base.
 * Concept: the composition root (app/, or a test) makes the parts and hands them over in a
 * pst_proxy_env; nothing in here knows whether the clock, the network or the memory is real.
 * Memory: everything comes from pools that pst_proxy_init sizes from the configuration; their sum
 * is pst_proxy_bound, and it does not depend on message sizes.
 */
#ifndef PST_PROXY_PROXY_H
#define PST_PROXY_PROXY_H

#include "base/counters.h"
#include "base/log.h"
#include "base/rng.h"
#include "net/net.h"
#include "proxy/proxy_conf.h"

struct pst_dns;
struct pst_store;

struct pst_proxy_env {
	struct pst_loop *loop;
	struct pst_store *store;    /* what outlives sessions; NULL: nothing does */
	struct pst_dns *dns;        /* NULL: nobody is asked anything */
	struct pst_net *net;        /* for clients and internal servers alike */
	struct pst_mem *mem;
	struct pst_rng *rng;
	struct pst_log *log;
	struct pst_counters *counters;
	const struct pst_charset *charset; /* for encoded words in headers; NULL: not converted */
	void (*on_drained)(void *owner); /* the last session and internal connection has ended */
	void *owner;
};

struct pst_proxy;

/* The memory that a proxy of this configuration can ever take from `mem`, in bytes. */
uint64_t pst_proxy_bound(const struct pst_proxy_conf *conf);
/* Timers it can have armed at once: size the loop's heap for them. */
uint32_t pst_proxy_timers_max(const struct pst_proxy_conf *conf);

/* Make the proxy; it does not listen yet.
 *  in  conf: one reference is taken over
 *  ret 0 | -PST_E_NOMEM */
int pst_proxy_new(const struct pst_proxy_env *env, struct pst_proxy_conf *conf,
		  struct pst_proxy **out) PST_MUST_CHECK;

/* Open every listener of the configuration that is not open yet.
 *  out failed: the address that could not be opened
 *  ret 0 | -PST_E_* of net's listen: those opened so far stay open */
int pst_proxy_listen(struct pst_proxy *proxy, struct pst_addr *failed) PST_MUST_CHECK;

/* The address a listener really has (for port 0). */
const struct pst_addr *pst_proxy_listener_addr(const struct pst_proxy *proxy, uint32_t index);

/* All that are open, in no order.
 *  in  out: room for PST_LISTENERS_MAX
 *  ret how many */
uint32_t pst_proxy_listeners(const struct pst_proxy *proxy, struct pst_addr *out);

/* Take a new generation: new sessions use it, running ones keep theirs. Listeners that it no
 * longer names are closed, new ones opened. Session, hold and pool bounds follow at once, but
 * never above those of the first generation (the bound was printed).
 *  in  conf: one reference is taken over, on success only
 *  ret 0 | -PST_E_* with *failed set: nothing has changed */
int pst_proxy_reload(struct pst_proxy *proxy, struct pst_proxy_conf *conf, struct pst_addr *failed)
	PST_MUST_CHECK;

/* Close the listeners, answer 421 to idle clients, let transactions finish for conf->drain_ms, then
 * answer 421 to the rest; the internal servers' final replies are read on for as long. Then
 * on_drained. Called again: at once. */
void pst_proxy_drain(struct pst_proxy *proxy);

/* Ends everything at once and gives all memory back. */
void pst_proxy_free(struct pst_proxy *proxy);

/* Are internal servers still being asked what they offer? Until they have said so, EHLO does not
 * offer what only they can carry. */
bool pst_proxy_is_looking(const struct pst_proxy *proxy);

uint32_t pst_proxy_session_count(const struct pst_proxy *proxy);

#endif
