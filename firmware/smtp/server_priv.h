/* smtp/server_priv.h - what the files of the server core share
 *
 * Layer: smtp (pure). server.c: states, verbs, framing. arguments.c: the arguments of those verbs that
 * have a grammar of their own.
 */
#ifndef PST_SMTP_SERVER_PRIV_H
#define PST_SMTP_SERVER_PRIV_H

#include "smtp/server.h"

#define PST_SMTP_SIZE_DIGITS_MAX 20 /* RFC 1870 section 3 */

#define PST_SMTP_REPLY(number, c, s, d, words) \
	{.code = (number), .enhanced = {(c), (s), (d)}, .text = PST_SPAN(words)}

/* The check of a verb's arguments.
 *  in   args: what stands behind the verb, without blanks around it
 *  out  event: what they say
 *  ret the refusal, NULL: they are right */
typedef const struct pst_smtp_reply *pst_smtp_check(struct pst_smtp_server *core,
						    struct pst_span args,
						    struct pst_smtp_event *event);

pst_smtp_check pst_smtp_check_helo, pst_smtp_check_vrfy, pst_smtp_check_mail, pst_smtp_check_rcpt;

/* Bytes that an argument may hold whatever the verb: printable ASCII. */
bool pst_smtp_printable(struct pst_span text);

#endif
