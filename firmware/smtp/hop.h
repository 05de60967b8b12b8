/* smtp/hop.h - the PROXY header: who the client is, said by a load balancer in front of it
 *
 * Layer: smtp (pure). Uses: base. Spec: HAProxy's PROXY protocol, versions 1 and 2.
 * Concept: it stands once, before anything else on a connection, TLS included. LOCAL and UNKNOWN
 * are the balancer's own health checks: the connection's own address then stands.
 * Memory: none; a header is at most PST_SMTP_HOP_MAX bytes, longer ones are refused.
 */
#ifndef PST_SMTP_HOP_H
#define PST_SMTP_HOP_H

#include "base/addr.h"

#define PST_SMTP_HOP_MAX 536 /* version 2: 16 and 520 of addresses and TLVs, which is plenty */

struct pst_smtp_hop {
	bool local;              /* a health check: no addresses */
	struct pst_addr client;  /* the source */
	struct pst_addr service; /* where it connected to */
};

/* Read a header at the front of `in`.
 *  ret > 0 its length | 0: more is needed | -PST_E_PROTO: there is none, or it is malformed */
int pst_smtp_hop_read(struct pst_span in, struct pst_smtp_hop *hop) PST_MUST_CHECK;

/* Write a version 2 header. Addresses of different families, or none, make it LOCAL.
 *  ret 0 | -PST_E_FULL */
int pst_smtp_hop_put(struct pst_buf *out, const struct pst_addr *client,
		     const struct pst_addr *service) PST_MUST_CHECK;

#endif
