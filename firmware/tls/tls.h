/* tls/tls.h - the TLS seam: a pump without I/O
 *
 * Layer: tls (seam). Uses: base. Spec: RFC 8446, RFC 5246, RFC 3207.
 * Implementations: tls_mbedtls, tls_null (passes bytes through; for tests); one contract suite runs
 * over both.
 * Concept: records go in and come out as spans, plaintext goes in and comes out as spans; who
 * carries them is none of its business, so the same code runs above kernel sockets, lwIP and a
 * simulated wire. A handshake advances by one step a call, so that its cost can be spread over turns.
 * Memory: a session's from the given pst_mem, charged there; at most `session_bytes_max` of its
 * context. Records are kept inside only as far as one record needs it.
 */
#ifndef PST_TLS_TLS_H
#define PST_TLS_TLS_H

#include "base/addr.h"
#include "base/mem.h"
#include "base/rng.h"

struct pst_tls_context; /* certificates, keys, what is allowed; counted, swapped whole at a reload */
struct pst_tls;         /* one connection */

/* What the session is, once the handshake is done. Text is valid as long as the session. */
struct pst_tls_facts {
	const char *version;      /* "TLSv1.3" */
	const char *cipher;       /* IANA's name without "TLS_": as in RFC 8314 section 4.3's example */
	struct pst_span name;     /* server: SNI that the client sent, empty if none */
	bool peer_verified;       /* client: certificate and name, or fingerprint, were good */
	const char *failure;      /* a phrase for the log after an error; NULL */
};

struct pst_tls_ops {
	/* One step of the handshake, which may cost milliseconds.
	 *  ret 1: done | 0: more input, or another call, is needed (`hungry` tells which)
	 *      -PST_E_PROTO: failed; pull what is to be sent (an alert), then close */
	int (*handshake)(struct pst_tls *tls, bool *hungry);
	/* Take received record bytes; what is not taken comes again later.
	 *  ret >= 0 bytes taken | -PST_E_* */
	int64_t (*push)(struct pst_tls *tls, struct pst_span records);
	/* Record bytes to be sent; stays until pulled. */
	struct pst_span (*pending)(struct pst_tls *tls);
	void (*pulled)(struct pst_tls *tls, uint32_t len);
	/* Decrypt: plaintext into area.
	 *  ret > 0 bytes | 0: no whole record yet | -PST_E_CLOSED: close_notify | -PST_E_* */
	int64_t (*read)(struct pst_tls *tls, void *area, uint32_t size);
	/* Encrypt: takes as much as leaves a bounded amount pending.
	 *  ret >= 0 bytes taken (0: pull first) | -PST_E_* */
	int64_t (*write)(struct pst_tls *tls, struct pst_span plain);
	/* Say close_notify. */
	void (*finish)(struct pst_tls *tls);
	void (*facts)(const struct pst_tls *tls, struct pst_tls_facts *out);
	void (*free)(struct pst_tls *tls);
};

/* The head of every implementation's session. */
struct pst_tls {
	const struct pst_tls_ops *ops;
};

#endif
