/* relay/private.h - one internal connection for one client, with the client's own login
 *
 * Layer: relay. Uses: smtp, link, base. Spec: RFC 4954, 6409.
 * Concept: a submission client's AUTH is answered by the internal server itself. The lines go there as
 * they are, over a connection that is then that client's alone: every transaction of its session uses
 * it, nobody else ever does, and it ends with the session. When it is lost, so is the login.
 * Credentials are never copied: what is to be said stays in the owner's buffer until it has left.
 * Lifetime: embedded in its owner, zeroed before its first use; after pst_relay_private_end there is no
 * further event. Events come from the loop, never inside a call.
 */
#ifndef PST_RELAY_PRIVATE_H
#define PST_RELAY_PRIVATE_H

#include "relay/relay.h"

struct pst_relay_private {
	/* The owner's. */
	/* What is left to be said, with its CRLF; borrowed until `sent`. */
	struct pst_span (*unsent)(struct pst_relay_private *private);
	/* May come inside pst_relay_private_say. */
	void (*sent)(struct pst_relay_private *private, uint32_t len);
	/* The internal server's answer.
	 *  in  text: its words, peer bytes; of a 334 the challenge */
	void (*on_reply)(struct pst_relay_private *private, uint16_t code, struct pst_span text);
	/* The connection could not be had, or is lost, at any time.
	 *  in  reason: for the log */
	void (*on_lost)(struct pst_relay_private *private, const char *reason);

	/* The relay's. */
	struct pst_relay *relay;
	struct pst_relay_conn *conn;
	struct pst_relay_tx *waiting; /* for the connection to be cleared */
	struct pst_task task;         /* on_lost is due */
	const char *trouble;
};

/* Take what `unsent` gives to the internal server; on_reply or on_lost follows. The first call opens the
 * connection. Must not be called while an answer is due, or inside a transaction. */
void pst_relay_private_say(struct pst_relay_private *private, struct pst_relay *relay,
			   const struct pst_route *route);
/* Is it there? */
bool pst_relay_private_is_open(const struct pst_relay_private *private);
/* The session is over. A transaction that still waits for its final word keeps the connection until
 * then. Harmless on a zeroed one. */
void pst_relay_private_end(struct pst_relay_private *private);

#endif
