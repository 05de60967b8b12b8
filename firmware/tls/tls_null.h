/* tls/tls_null.h - the tls seam without cryptography, for tests and simulation
 *
 * Layer: tls (seam implementation). Uses: base.
 * Concept: the shape of TLS at no cost: a handshake of several steps, records with a sequence and a
 * checksum, an end that is said. Nothing is secret and nobody is proved to be anybody: no build
 * that serves strangers names it. A frame is
 *     type (1)  length (2)  checksum over sequence, type and body (4)  body
 * with the types H(ello), D(ata), C(lose) and A(lert), numbers big-endian.
 * Memory: from the given pst_mem: the context, a session, and a frame's body while it is incomplete
 * or unread, at most PST_TLS_NULL_BODY_MAX.
 */
#ifndef PST_TLS_TLS_NULL_H
#define PST_TLS_TLS_NULL_H

#include "base/mem.h"
#include "tls/tls.h"

#define PST_TLS_NULL_BODY_MAX 4096

/* A context, held once for the caller.
 *  in   mem: outlives the context
 *       step_count: calls of handshake that only say PST_TLS_MORE, as if they had cost time
 *  ret  0 | -PST_E_NOMEM */
int pst_tls_null(struct pst_mem *mem, bool is_client, uint32_t step_count,
	struct pst_tls_context **out) PST_MUST_CHECK;

#endif
