/* proxy/knock.h - what is known of one address that knocks: its name, and what the lists say of it
 *
 * Layer: proxy. Uses: proxy/checks.h, check, facts.
 * Concept: asked for as soon as a client connects, so that the answers are there when they are
 * wanted; a session has one, and its transactions share it. Of mail from a trusted relay the hop
 * before it has one.
 * Memory: the result is small and stays as long as it is referred to; what asking needs comes from another
 * pool and goes when everything is settled.
 */
#ifndef PST_PROXY_KNOCK_H
#define PST_PROXY_KNOCK_H

#include "check/dnsbl.h"
#include "check/rdns.h"
#include "facts/facts.h"
#include "proxy/checks.h"

#define PST_KNOCK_HITS_MAX 12
#define PST_KNOCK_TEXT_MAX 1024

struct pst_knock_work;

/* Whoever wants to hear that it is settled. Zeroed: waits for none. */
struct pst_knock_wait {
	struct pst_node node;
	void (*on_settled)(struct pst_knock_wait *wait);
};

struct pst_knock {
	struct pst_checks *checks;
	struct pst_proxy_conf *conf;
	uint32_t ref_count;
	struct pst_addr client;
	struct pst_list waits;
	struct pst_knock_work *work; /* NULL: settled */
	uint32_t facts;              /* enum pst_fact that it adds */
	enum pst_rdns_result rdns;
	struct pst_span name;        /* in text */
	struct pst_hit hits[PST_KNOCK_HITS_MAX]; /* names borrow the generation, evidence text */
	const struct pst_dnsbl_zone *zones[PST_KNOCK_HITS_MAX]; /* of the hits */
	uint32_t hit_count;
	uint32_t answered_zones; /* bit set: those lists were heard */
	struct pst_addr codes[PST_DNSBL_ZONES_MAX]; /* of those that it is on; family NONE else */
	bool rejects, allows, suspicious;
	uint16_t text_len;
	uint8_t text[PST_KNOCK_TEXT_MAX];
};

uint32_t pst_knock_work_bytes(void);

/* Begin; one reference for the caller.
 *  ret NULL: nobody can be asked, or there is no memory */
struct pst_knock *pst_knock_new(struct pst_checks *checks, struct pst_proxy_conf *conf,
				const struct pst_addr *client) PST_MUST_CHECK;
struct pst_knock *pst_knock_ref(struct pst_knock *knock);
/* NULL is harmless. */
void pst_knock_unref(struct pst_knock *knock);

static inline bool pst_knock_settled(const struct pst_knock *knock)
{
	return knock->work == NULL;
}

/* on_settled follows, from the loop. */
void pst_knock_await(struct pst_knock *knock, struct pst_knock_wait *wait);
void pst_knock_forget(struct pst_knock_wait *wait); /* harmless when it waits for none */

#endif
