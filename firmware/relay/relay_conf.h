/* relay/relay_conf.h - what the owner says about internal servers
 *
 * Layer: relay. Uses: base.
 * Memory: arrays and spans belong to the configuration generation that holds this struct.
 */
#ifndef PST_RELAY_RELAY_CONF_H
#define PST_RELAY_RELAY_CONF_H

#include "base/addr.h"

struct pst_tls_context;

#define PST_ROUTES_MAX 64
#define PST_ROUTE_SERVERS_MAX 8
#define PST_ROUTE_DOMAINS_MAX 256

/* How the internal server learns who the client is. */
enum pst_relay_pass {
	PST_RELAY_PASS_AUTO,     /* the best that the server offers, else a warning */
	PST_RELAY_PASS_XFORWARD, /* XFORWARD where offered */
	PST_RELAY_PASS_NONE,
	PST_RELAY_PASS_PROXY, /* a PROXY header in front of each connection, which is used once */
};

enum pst_relay_tls {
	PST_RELAY_TLS_MAY,  /* where offered; a server whose TLS fails is spoken to without */
	PST_RELAY_TLS_OFF,
	PST_RELAY_TLS_MUST, /* or not at all */
};

#define PST_RELAY_PINS_MAX 4

/* How connections of a route are secured. Connections are shared only between equal settings. */
struct pst_relay_security {
	enum pst_relay_tls tls;
	bool verify_ca;        /* by the CAs of the client context and `name` */
	struct pst_span name;  /* the server's, for SNI and verification; may be empty without verify_ca */
	uint8_t pins[PST_RELAY_PINS_MAX][32]; /* SHA-256 of its certificate or key */
	uint32_t pin_count;
};

/* Is every connection encrypted, and to whom it should be? */
static inline bool pst_relay_security_is_sure(const struct pst_relay_security *security)
{
	return security->tls == PST_RELAY_TLS_MUST &&
	       (security->verify_ca || security->pin_count > 0);
}

struct pst_route {
	/* Lower-case domains; ".example.org" takes all subdomains; "*" takes every domain. */
	const struct pst_span *domains;
	uint32_t domain_count;
	struct pst_addr servers[PST_ROUTE_SERVERS_MAX]; /* in order of preference */
	uint32_t server_count;
	uint32_t connection_max; /* to each server, busy and idle */
	enum pst_relay_pass pass;
	struct pst_relay_security security;
	uint8_t via;        /* the servers', too */
	bool lmtp;          /* RFC 2033 rather than SMTP */
	bool routing_allow; /* local parts with % ! @ are passed on */
	bool text_pass;     /* the internal server's refusal texts are passed on */
};

struct pst_relay_conf {
	const struct pst_route *routes;
	uint32_t route_count;
	const struct pst_route *submission; /* for who logs in, without domains; NULL: nobody can */
	struct pst_span hostname; /* for EHLO */
	struct pst_tls_context *tls; /* the client context; NULL: no TLS inside */
	bool tls_room; /* memory for it is set aside, even while `tls` is NULL */
	uint32_t connect_ms;      /* TCP connect, greeting and EHLO, each */
	uint32_t command_ms;      /* any other reply before the dot */
	uint32_t final_ms;        /* the reply to the dot, whatever happens outside */
	uint32_t noop_ms;         /* a waiting transaction says NOOP this often */
	uint32_t noop_count_max;
	uint32_t idle_ms;         /* an unused connection is closed after this */
	uint32_t life_ms;         /* and any after this */
	uint32_t message_count_max; /* or after so many messages */
	uint32_t refusal_count_max; /* or so many refusals since its last delivery */
};

#endif
