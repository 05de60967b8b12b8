/* check/os.h - which operating system a client seems to have, by the first segment it sent
 *
 * Layer: check (pure). Uses: net/syn.h, facts, base.
 * Concept: a guess, for whoever looks at the score: a client can send whatever segment it likes, and one
 * behind a proxy or a scrubbing firewall shows that machine's. Nothing is sent or asked for it.
 */
#ifndef PST_CHECK_OS_H
#define PST_CHECK_OS_H

#include "base/buf.h"
#include "check/os_conf.h"
#include "net/syn.h"

#define PST_OS_HOPS_MAX 32       /* further away nobody is */
#define PST_OS_SYN_TEXT_MAX 200
#define PST_OS_EVIDENCE_MAX (PST_OS_LABEL_MAX + PST_OS_SYN_TEXT_MAX + 32)

struct pst_os_guess {
	enum pst_system system;                   /* PST_SYSTEM_UNKNOWN: nothing matches */
	const struct pst_os_signature *signature; /* NULL then */
	uint8_t hops; /* between it and us, if its TTL was the usual one */
};

/*  in  syn: of a client of which something is known */
struct pst_os_guess pst_os_guess(const struct pst_os_conf *conf, const struct pst_net_syn *syn);

/* "OS_LINUX" */
const char *pst_os_name(enum pst_system system);

/* The segment as a signature that matches it, without family and label: "64 64240 7 1460
 * mss,sok,ts,nop,ws df,id". */
int pst_os_syn_put(struct pst_buf *out, const struct pst_net_syn *syn) PST_MUST_CHECK;

/* What the guess is made of: "Linux 5.4 and later, 7 hops: " and the segment. */
int pst_os_evidence_put(struct pst_buf *out, const struct pst_os_guess *guess,
			const struct pst_net_syn *syn) PST_MUST_CHECK;

#endif
