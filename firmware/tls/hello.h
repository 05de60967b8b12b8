/* tls/hello.h - what a ClientHello says about the certificates that the client can check
 *
 * Layer: tls. Uses: base. Spec: RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2, RFC 8422.
 * Concept: the library picks a certificate in the order of the client's wishes; we want ECDSA
 * wherever it will do (it costs a fraction of RSA). So this reads the lists that decide about it,
 * and nothing else: the library parses the message itself and refuses what is malformed.
 * Memory: none.
 */
#ifndef PST_TLS_HELLO_H
#define PST_TLS_HELLO_H

#include "base/span.h"

enum pst_tls_key {
	PST_TLS_KEY_P256,
	PST_TLS_KEY_P384,
	PST_TLS_KEY_RSA,
	PST_TLS_KEY_COUNT
};

struct pst_tls_hello {
	/* Can check a certificate of that kind, with TLS 1.2 and with 1.3. */
	bool able_12[PST_TLS_KEY_COUNT];
	bool able_13[PST_TLS_KEY_COUNT];
};

/* Looks through a ClientHello.
 *  in   body: behind the four bytes of the handshake header
 *  ret  false: it cannot be read to its end; nothing is known then */
bool pst_tls_hello_look(struct pst_span body, struct pst_tls_hello *out);

#endif
