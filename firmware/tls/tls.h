/* tls/tls.h - the TLS seam: a pump without I/O
 *
 * Layer: tls (seam). Uses: base. Spec: RFC 8446, RFC 5246, RFC 3207.
 * Implementations: tls_mbedtls; tls_null (frames, no secrets: for tests and simulation). One
 * contract suite runs over both.
 * Concept: records come in as a borrowed span and leave into the caller's buffer, plaintext the
 * other way round; who carries them is none of its business, so the same code runs above kernel
 * sockets, lwIP and a simulated wire. The pump keeps no bytes of its own but those of one record:
 * it takes from the span what it has use for, and what it does not take stays the caller's. In
 * particular nothing is taken behind the record that ends the connection, and plaintext that was
 * received before the handshake never comes here unless the caller passes it.
 * Plaintext behind STARTTLS: whoever answers STARTTLS (or gets the 220 for it) looks at what is
 * unread *then*; it was sent in the clear, must not be executed (RFC 3207 section 6), and must not
 * be passed to the handshake either.
 * A handshake advances by one step a call, so that its cost can be spread over turns.
 * Errors: any negative result but -PST_E_CLOSED is final; whatever is in `out` (an alert) should be
 * sent, then the connection ends. Further calls repeat the result.
 * Memory: a session's is charged to it and bounded by its context. Between calls an established
 * session holds record buffers only for a record that is not complete yet, or not read yet.
 *
 * How a link uses it, `raw` being what the transport received and `out` what it shall send:
 *   handshake   a turn at a time until PST_TLS_DONE; _INPUT: wait for the transport; _ROOM: flush
 *               `out`; _MORE: again, in this turn or the next
 *   input       read() into the owner's buffer until it is full or read() returns 0
 *   output      write() until all is taken; 0: flush `out` first
 *   end         finish(), flush, close
 */
#ifndef PST_TLS_TLS_H
#define PST_TLS_TLS_H

#include "base/buf.h"

/* `out` must be able to hold this much when it is empty; more makes larger records. */
#define PST_TLS_OUT_BYTES_MIN 256

struct pst_tls;

/* The two directions of the wire, for one call. */
struct pst_tls_wire {
	struct pst_span in;  /* received, not yet taken; shrinks from the front */
	struct pst_buf *out; /* to be sent; grows at the end */
};

/* What a handshake needs next. */
enum pst_tls_need {
	PST_TLS_DONE,  /* nothing: it is over; every later byte is protected */
	PST_TLS_MORE,  /* time: call again, there is work that can be done */
	PST_TLS_INPUT, /* more of `in`; all there was has been taken */
	PST_TLS_ROOM,  /* more room in `out` */
};

/* What the session is. Texts and spans are valid as long as the session. */
struct pst_tls_facts {
	const char *version;  /* "TLSv1.3"; NULL before the handshake is done */
	const char *cipher;   /* as IANA registered it: "TLS_AES_128_GCM_SHA256" */
	const char *key;      /* server: of which type our certificate's key was: "P-256", "RSA" */
	struct pst_span name; /* server: the name the client asked for (SNI), empty if none */
	const char *failure;  /* a phrase for the log after an error; NULL */
	uint64_t used_bytes;  /* memory it holds now, and the most it ever did */
	uint64_t peak_bytes;
	/* Of a client, about the server's certificate. */
	bool verified;     /* it and the name in it, or a fingerprint, were good */
	const char *doubt; /* why not verified, a phrase; NULL if it was, or was not looked at */
	bool has_peer;     /* the fingerprints are known: of it, and of its SubjectPublicKeyInfo */
	uint8_t certificate_sha256[32];
	uint8_t key_sha256[32];
};

struct pst_tls_ops {
	/* One step of the handshake, which may cost milliseconds.
	 *  ret  enum pst_tls_need | -PST_E_PROTO: refused by us or by the peer
	 *       -PST_E_NOMEM | -PST_E_CLOSED: close_notify came instead */
	int (*handshake)(struct pst_tls *tls, struct pst_tls_wire *wire);
	/* Decrypt at most one record, or give the rest of the last one.
	 *  in   size: at least 1
	 *  ret  > 0 bytes of plaintext in area
	 *       0: all of `in` was taken and there is no whole record; or, if bytes are left
	 *          in it, `out` has no room for an answer: flush it, then call again
	 *       -PST_E_CLOSED: close_notify; what is left in `in` came behind it
	 *       -PST_E_NOMEM | -PST_E_PROTO: a record was cut, forged or out of place */
	int64_t (*read)(struct pst_tls *tls, struct pst_tls_wire *wire, void *area, uint32_t size);
	/* Encrypt as much as fits into `out`, in whole records.
	 *  ret  >= 0 bytes of `plain` taken; 0 if `out` has no room for a record
	 *       -PST_E_NOMEM | the error that ended the session */
	int64_t (*write)(struct pst_tls *tls, struct pst_span plain, struct pst_buf *out);
	/* Say close_notify: nothing more will be written; reading goes on. Saying it twice is once.
	 *  ret  true: it is in `out` | false: no room; flush and call again */
	bool (*finish)(struct pst_tls *tls, struct pst_buf *out);
	/* May be called at any time. */
	void (*facts)(const struct pst_tls *tls, struct pst_tls_facts *out);
	void (*close)(struct pst_tls *tls);
};

/* The head of every implementation's session. */
struct pst_tls {
	const struct pst_tls_ops *ops;
};

/* How a client judges the server's certificate. */
enum pst_tls_verify {
	PST_TLS_VERIFY_NONE, /* not at all */
	PST_TLS_VERIFY_LOOK, /* by the CAs of the context and the name; told in the facts only */
	PST_TLS_VERIFY_CA,   /* the same, and the handshake fails if it is not good */
	PST_TLS_VERIFY_PIN,  /* SHA-256 of the certificate or of its key must be among the pins */
};

#define PST_TLS_PINS_MAX 4

/* Whom a client expects. */
struct pst_tls_peer {
	struct pst_span name; /* a host name for SNI and verification; may be empty: no SNI */
	enum pst_tls_verify verify;
	const uint8_t (*pins)[32];
	uint32_t pin_count; /* at most PST_TLS_PINS_MAX */
};

/* Certificates, keys, trust, what is allowed. Counted: whoever stores a pointer holds it, a session
 * too; a reload puts a new one in place of the old, which ends with its last session. */
struct pst_tls_context {
	const struct pst_tls_context_ops *ops;
	uint32_t hold_count;
};

struct pst_tls_context_ops {
	/* A session of the context's role.
	 *  in   peer: copied; a client's; NULL for a server
	 *  ret  0 | -PST_E_NOMEM | -PST_E_RANGE: a name that is too long, too many pins, or
	 *       verification without what it needs (CAs and a name; pins) */
	int (*open)(struct pst_tls_context *context, const struct pst_tls_peer *peer,
		struct pst_tls **out);
	void (*destroy)(struct pst_tls_context *context);
};

static inline struct pst_tls_context *pst_tls_context_hold(struct pst_tls_context *context)
{
	context->hold_count++;
	return context;
}

/* NULL is allowed. */
static inline void pst_tls_context_drop(struct pst_tls_context *context)
{
	if (context && --context->hold_count == 0)
		context->ops->destroy(context);
}

/* Short forms of the above. `peer` is NULL for a server. */
static inline int pst_tls_open(struct pst_tls_context *context, const struct pst_tls_peer *peer,
	struct pst_tls **out)
{
	return context->ops->open(context, peer, out);
}

static inline void pst_tls_close(struct pst_tls *tls)
{
	if (tls)
		tls->ops->close(tls);
}

#endif
