/* tls/tls_mbedtls.h - TLS 1.2 and 1.3 by mbedTLS: contexts for servers and clients
 *
 * Layer: tls (adapter). Uses: crypto (whose environment must be open), base, mbedTLS 3.6.
 * Concept: ephemeral key exchange and AEAD only: X25519, P-256, P-384 (for those who have nothing
 * else); AES-GCM and ChaCha20. No tickets, no resumption, no renegotiation. A server picks among
 * its certificates by the name the client asks for and by what the client can check, ECDSA first.
 * A client that offers ALPN must offer "smtp" (RFC 7301): else it believes to speak to something
 * else, and is refused.
 * Memory: from the crypto environment; a context and a session each have an account there
 * (crypto/crypto_mbedtls.h). A session's is bounded: by PST_TLS_HANDSHAKE_BYTES until the handshake
 * is over, by PST_TLS_SESSION_BYTES from then on. PST_TLS_IDLE_BYTES is what it holds at most while
 * no record is half received or half sent; the contract suite sees to that.
 */
#ifndef PST_TLS_TLS_MBEDTLS_H
#define PST_TLS_TLS_MBEDTLS_H

#include "tls/tls.h"

#define PST_TLS_HANDSHAKE_BYTES ((uint64_t)64 * 1024)
#define PST_TLS_SESSION_BYTES ((uint64_t)32 * 1024)
#define PST_TLS_IDLE_BYTES ((uint64_t)5 * 1024)

/* A certificate chain, leaf first, and its key, both PEM; they may be the same text. */
struct pst_tls_pair {
	struct pst_span certificate;
	struct pst_span key;
};

/* What may be used; all zero is everything we have, which is what should be used. */
struct pst_tls_allow {
	uint16_t version_min;    /* 0x0303: TLS 1.2, 0x0304: TLS 1.3 */
	uint16_t version_max;
	const uint16_t *groups;  /* IANA's numbers, preferred first, ended by 0; borrowed */
	const uint16_t *ciphers; /* the same */
};

/* Why a context could not be made. */
struct pst_tls_problem {
	uint32_t pair_index; /* of the certificate it is about */
	const char *what;    /* a phrase */
};

/* A context of servers, held once for the caller.
 *  in   pairs: the first is for clients that ask for no name, or for one that none has; at least 1
 *       allow: may be NULL; its lists are borrowed for the life of the context
 *  ret  0 | -PST_E_NOMEM | -PST_E_SYNTAX: problem tells */
int pst_tls_mbedtls_server(const struct pst_tls_pair *pairs, uint32_t pair_count,
	const struct pst_tls_allow *allow, struct pst_tls_problem *problem,
	struct pst_tls_context **out) PST_MUST_CHECK;

/* A context of clients, held once for the caller.
 *  in   ca_bundle: PEM certificates, of which those that mbedTLS does not understand are skipped;
 *                  may be empty
 *  ret  0 | -PST_E_NOMEM | -PST_E_SYNTAX: not one certificate in the bundle; problem tells */
int pst_tls_mbedtls_client(struct pst_span ca_bundle, const struct pst_tls_allow *allow,
	struct pst_tls_problem *problem, struct pst_tls_context **out) PST_MUST_CHECK;

/* What there is to say about a server's certificate. */
struct pst_tls_certificate_facts {
	const char *key;         /* "P-256", "P-384", "RSA" */
	int64_t not_after_s;     /* wall clock */
	bool covers;             /* the name that was asked for is in it */
	bool self_signed;
	uint8_t sha256[32];
};

/*  in   name: a host name; it may be empty */
void pst_tls_mbedtls_describe(const struct pst_tls_context *context, uint32_t pair_index,
	struct pst_span name, struct pst_tls_certificate_facts *out);

#endif
