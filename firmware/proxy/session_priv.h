/* proxy/session_priv.h - what the files of a session share
 *
 * Layer: proxy. session.c: its time, its replies, its turn and its end. opening.c: what stands before
 * the greeting. session_commands.c: what comes of a command. session_tls.c: TLS of the client's
 * connection. session_auth.c: its login, on a submission listener.
 */
#ifndef PST_PROXY_SESSION_PRIV_H
#define PST_PROXY_SESSION_PRIV_H

#include "proxy/proxy_priv.h"
#include "proxy/session.h"

#define PST_SESSION_REPLY_ROOM 1024 /* an EHLO reply, and any other */

/* session.c */
static inline uint64_t pst_session_now(const struct pst_session *session)
{
	return session->proxy->env.loop->now_ms;
}
void pst_session_set_wait(struct pst_session *session, enum pst_session_wait wait);
/* Penalise the client, if the owner wants it (`tarpit`) and there is room. */
void pst_session_hold(struct pst_session *session);
/* The timer, at the deadline of the present wait. */
void pst_session_arm(struct pst_session *session);
/* Go on with what the client has sent: now, or in the next turn. */
void pst_session_step(struct pst_session *session);
void pst_session_resume(struct pst_session *session);
/*  ret false: there is no way to say anything, the session is over */
bool pst_session_put_reply(struct pst_session *session, const struct pst_smtp_reply *reply);
/* A reply that may be an offence: the budget decides whether the session goes on. */
void pst_session_reply(struct pst_session *session, const struct pst_smtp_reply *reply,
		       bool offence);
/* The last reply is in the buffer. A client that said QUIT and nothing behind it needs no lingering:
 * nothing of its can be on the way that would turn our close into a reset. */
void pst_session_hang_up(struct pst_session *session, bool after_quit);
void pst_session_say_and_hang_up(struct pst_session *session, enum pst_reason reason);

/* session_commands.c */
/* What the core has read, QUIT excepted. */
void pst_session_handle(struct pst_session *session, const struct pst_smtp_event *event);
/* The answer that the client waits for.
 *  in  id: of the transaction, to stand behind the words; may be empty */
void pst_session_answered(struct pst_session *session, const struct pst_smtp_reply *reply,
			  const char *id);
void pst_session_drop_txn(struct pst_session *session);

/* session_tls.c */
bool pst_session_offers_tls(const struct pst_session *session);
/* Does STARTTLS come to nothing again and again from this address? */
bool pst_session_tls_fails_often(const struct pst_session *session);
void pst_session_starttls(struct pst_session *session);
/* Begin TLS before the greeting. */
void pst_session_secure_first(struct pst_session *session);
/* The handshake is over: the link says how, or its time is up. */
void pst_session_secured(struct pst_link *link, int result);
void pst_session_tls_failed(struct pst_session *session);
/* It counts among those under way no longer. */
void pst_session_end_securing(struct pst_session *session);

/* session_auth.c */
/* A line of a login came. It is not consumed with the others: whoever sends it on does that. */
void pst_session_auth(struct pst_session *session, const struct pst_smtp_event *event);
/* The internal server has not answered in our time. */
void pst_session_auth_late(struct pst_session *session);
void pst_session_auth_end(struct pst_session *session);

/* opening.c */
#define PST_SESSION_HOP_MS 3000 /* for the PROXY header */

/* Input while the session waits for a PROXY header, or to be greeted. */
void pst_session_opening_input(struct pst_session *session);
/* That wait is over. */
void pst_session_opening_due(struct pst_session *session);

#endif
