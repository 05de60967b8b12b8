/* proxy/session_priv.h - what session.c and opening.c share
 *
 * Layer: proxy. opening.c: what stands before the greeting. session.c: everything behind it.
 */
#ifndef PST_PROXY_SESSION_PRIV_H
#define PST_PROXY_SESSION_PRIV_H

#include "proxy/session.h"

/* session.c */
void pst_session_set_wait(struct pst_session *session, enum pst_session_wait wait);
/* The timer, at the deadline of the present wait. */
void pst_session_arm(struct pst_session *session);
/* Go on with what the client has sent. */
void pst_session_step(struct pst_session *session);
void pst_session_say_and_hang_up(struct pst_session *session, enum pst_reason reason);
/* Begin TLS before the greeting. */
void pst_session_secure_first(struct pst_session *session);

/* opening.c */
#define PST_SESSION_HOP_MS 3000 /* for the PROXY header */

/* Input while the session waits for a PROXY header, or to be greeted. */
void pst_session_opening_input(struct pst_session *session);
/* That wait is over. */
void pst_session_opening_due(struct pst_session *session);

#endif
