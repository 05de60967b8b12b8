/* facts/facts.h - the transaction record: everything that is known about one transaction
 *
 * Layer: facts. Uses: base.
 * Concept: filled by the session as things become known, read by policy to decide and by the log to
 * tell. Nothing in here is derived twice: a verdict can be replayed from it.
 * Memory: spans borrow the transaction's own memory.
 */
#ifndef PST_FACTS_FACTS_H
#define PST_FACTS_FACTS_H

#include "base/addr.h"
#include "facts/hits.h"

enum pst_fact {
	PST_FACT_TRUSTED = 1 << 0,         /* the client is in one of our own networks */
	PST_FACT_SPF_PASS = 1 << 1,        /* the sender domain is proved */
	PST_FACT_BARE_NEWLINE = 1 << 2,    /* data held a lone CR or LF, or CR CR LF */
	PST_FACT_NUL = 1 << 3,             /* data held a NUL byte */
	PST_FACT_LONG_LINE = 1 << 4,       /* a line over 998 octets */
	PST_FACT_EIGHT_BIT = 1 << 5,       /* bytes above 127 in the data */
	PST_FACT_OVERSIZE = 1 << 6,        /* more bytes than allowed */
	PST_FACT_NO_HEADER = 1 << 7,       /* the first line cannot begin a header field */
	PST_FACT_HEADER_UNSEEN = 1 << 8,   /* the header was too long to be looked at */
	PST_FACT_EARLY_TALK = 1 << 9,      /* the client did not wait for our greeting */
	PST_FACT_CHUNKED = 1 << 11,        /* it came by BDAT */
	PST_FACT_OUT_OF_MEMORY = 1 << 10,  /* something of the message could not be kept */
	PST_FACT_EXEMPT = 1 << 12,         /* by an `allow` entry, or to postmaster: its score decides nothing */
	PST_FACT_RDNS_NONE = 1 << 14,        /* the client has no name */
	PST_FACT_RDNS_UNCONFIRMED = 1 << 15, /* it has one that is not its own */
	PST_FACT_RDNS_DYNAMIC = 1 << 16,     /* one that a provider made from its address */
	PST_FACT_HELO_OURS = 1 << 17,        /* it says that it is we */
	PST_FACT_HELO_NO_DOMAIN = 1 << 18,   /* its HELO name has no dot */
	PST_FACT_HELO_BARE_IP = 1 << 19,     /* an address without brackets */
	PST_FACT_HELO_LITERAL = 1 << 20,     /* an address that is not its own, or none */
	PST_FACT_SPF_TROUBLE = 1 << 22,      /* SPF could not tell, and the owner does not take that */
	PST_FACT_DNS_DOWN = 1 << 21,         /* no question about it was answered */
	PST_FACT_ILLEGAL_PIPELINING = 1 << 23, /* the client did not wait for a reply it had to wait for */
	PST_FACT_NON_SMTP = 1 << 24,         /* it said what is no command */
	PST_FACT_STARTTLS_ABUSE = 1 << 25,   /* it talked behind STARTTLS, or fails at TLS again and again */
	PST_FACT_SUBMITTED = 1 << 26,        /* by a user of the internal server, who has logged in there */
	PST_FACT_NAT = 1 << 27,              /* a router hides who the client is: nothing is asked about it */
	PST_FACT_PARTIAL = 1 << 13,        /* it began to stream: only its front was judged */
};

/* Facts that score. */
enum pst_fact_name {
#define PST_FACT(name, fact, points, describe) PST_FACT_NAME_##name,
#include "facts/facts.def"
#undef PST_FACT
	PST_FACT_NAME_COUNT
};

/* Families of operating systems. */
enum pst_system {
#define PST_SYSTEM(name, points, describe) PST_SYSTEM_##name,
#include "facts/systems.def"
#undef PST_SYSTEM
	PST_SYSTEM_COUNT
};

struct pst_facts {
	struct pst_addr client;
	struct pst_addr service;  /* ours, that it connected to */
	struct pst_span helo;     /* as the client gave it */
	struct pst_span sender;   /* mailbox, empty for <> */
	uint64_t size_bytes;      /* wire bytes of the body so far */
	uint32_t set;             /* enum pst_fact */
	uint32_t hop_count;       /* Received fields */
	uint32_t rcpt_count;      /* accepted so far */
	uint32_t error_count;     /* of the session */
	bool esmtp;
	bool utf8;                /* the transaction was declared SMTPUTF8 */
	uint64_t bare_newline_count; /* in the data so far */
	struct pst_span evidence[PST_FACT_NAME_COUNT]; /* of what the client did; may be empty */
	struct pst_hits hits;
	struct pst_span os;       /* the finding about the client's system, and its evidence; empty: not known */
	struct pst_span rdns;     /* the client's name; empty without one */
	bool rdns_known;          /* asked for, and answered */
	bool rdns_confirmed;
	struct pst_span tls_version; /* empty: in the clear */
	struct pst_span tls_cipher;
};

#endif
