/* rules/view.h - what rules see of one message
 *
 * Layer: rules (pure). Uses: mail, base.
 * Concept: a rule names a target ("From:addr", "X-Spam-Relays-External"); a view gives the bytes
 * that its pattern is matched against, as SpamAssassin 4.0.1 builds them: fields of one name joined,
 * unfolded, encoded words decoded, a newline at the end where SpamAssassin has one. The first hop
 * outside is the live connection where there is one, and parsed Received fields behind it.
 * Memory: everything that a view makes lies in one area that the caller hands in, and so do the
 * spans it gives out: they live as long as area and input do. A view allocates nothing. A value is
 * made once and kept.
 * Limits: name 256 bytes, a decoded field 8,192, all fields of a header 65,536, PST_RULES_FIELDS_MAX
 * fields, PST_RULES_RELAYS_MAX relays; what is beyond is not seen. When the area is used up, a value
 * that does not exist yet is -PST_E_NOMEM, which a rule takes as "cannot tell".
 */
#ifndef PST_RULES_VIEW_H
#define PST_RULES_VIEW_H

#include "base/addr.h"
#include "mail/charset.h"

#define PST_RULES_FIELDS_MAX 1024
#define PST_RULES_RELAYS_MAX 64
#define PST_RULES_VALUES_MAX 256

/* Enough for a header of `len` bytes and every target of the stock rules; more is not needed, less
 * makes some values unavailable. At most about 900 KiB. */
#define PST_RULES_AREA_FOR(len) (65536u + 12u * PST_MIN((uint32_t)(len), 65536u))

enum pst_rules_pseudo {
	PST_RULES_FIELD, /* a header field by its name */
	PST_RULES_ALL,   /* with PST_RULES_MOD_RAW: as received */
	PST_RULES_ALL_TRUSTED,
	PST_RULES_ALL_UNTRUSTED,
	PST_RULES_ALL_INTERNAL,
	PST_RULES_ALL_EXTERNAL,
	PST_RULES_TOCC,
	PST_RULES_MESSAGEID,
	PST_RULES_ENVELOPE_FROM,
	PST_RULES_RELAYS_TRUSTED,
	PST_RULES_RELAYS_UNTRUSTED,
	PST_RULES_RELAYS_INTERNAL,
	PST_RULES_RELAYS_EXTERNAL,
	PST_RULES_CLIENT_OS, /* ours: what the peer's system seems to be; absent where that is not known */
};

enum pst_rules_mod {
	PST_RULES_MOD_RAW = 1 << 0,
	PST_RULES_MOD_ADDR = 1 << 1,
	PST_RULES_MOD_NAME = 1 << 2,
	PST_RULES_MOD_HOST = 1 << 3,
	PST_RULES_MOD_DOMAIN = 1 << 4,
	PST_RULES_MOD_IP = 1 << 5,
	PST_RULES_MOD_REVIP = 1 << 6,
	PST_RULES_MOD_FIRST = 1 << 7,
	PST_RULES_MOD_LAST = 1 << 8,
};

struct pst_rules_target {
	struct pst_span name; /* the field's name, borrowed */
	uint8_t pseudo;       /* enum pst_rules_pseudo */
	uint16_t mods;        /* enum pst_rules_mod, added up */
};

/* "Subject", "From:addr", "ALL:raw", "Received:last:ip". The target's name borrows `text`.
 *  ret 0 | -PST_E_SYNTAX: not a name, an unknown modifier, more than two of them */
int pst_rules_target_parse(struct pst_span text, struct pst_rules_target *out) PST_MUST_CHECK;

/* Equal targets have equal values, so the engine may group rules by them. */
bool pst_rules_target_eq(const struct pst_rules_target *a, const struct pst_rules_target *b);

/* What is known of a live connection. All spans borrowed; empty where unknown. */
struct pst_rules_peer {
	struct pst_addr client;
	struct pst_span helo; /* as the client gave it */
	struct pst_span rdns; /* confirmed by a forward look-up */
	bool rdns_known;      /* rdns was asked for and answered; an empty name then means "has none" */
	struct pst_span by;   /* our host name */
	struct pst_span id;   /* of the transaction, as in our Received field */
	struct pst_span auth; /* the authentication's method ("ESMTPSA"), empty without one */
	struct pst_span os;   /* "OS_LINUX" and what it was told by; empty if it is not known */
	bool tls;
};

enum pst_rules_spf {
	PST_RULES_SPF_UNKNOWN, /* not asked, not ready */
	PST_RULES_SPF_NONE,
	PST_RULES_SPF_NEUTRAL,
	PST_RULES_SPF_PASS,
	PST_RULES_SPF_FAIL,
	PST_RULES_SPF_SOFTFAIL,
	PST_RULES_SPF_TEMPERROR,
	PST_RULES_SPF_PERMERROR,
};

/* One A record that a block list answered for the client's address; several records are several
 * answers. A zone that was asked and lists nothing is one answer with family NONE. */
struct pst_rules_rbl {
	struct pst_span zone; /* without a final dot */
	struct pst_addr answer;
};

struct pst_rules_lists;

struct pst_rules_input {
	struct pst_span header; /* as received, with or without the empty line and a body behind it;
				 * CRLF or LF. Our own Received field is not in it while `peer` is set */
	const struct pst_rules_peer *peer; /* NULL: a stored message, relays from Received alone */
	struct pst_span mail_from;         /* without angle brackets; used if mail_from_known */
	bool mail_from_known;              /* else from Return-Path and its like */
	const struct pst_cidr *trust;      /* networks whose Received fields are believed */
	uint32_t trust_count;              /* 127.0.0.0/8 and ::1 are always among them */
	int64_t wall_s;                    /* when the message came, seconds since 1970 */
	uint8_t spf_mail_from, spf_helo;   /* enum pst_rules_spf */
	const struct pst_rules_rbl *rbl;
	uint32_t rbl_count;
	bool local_only;                   /* no network facts: rules that need them do not run */
	const struct pst_rules_lists *lists; /* for ":domain"; NULL: the last two labels */
	const struct pst_charset *charset; /* NULL: encoded words are decoded, not converted */
};

/* A hop. Spans are empty where the fact is missing. */
struct pst_rules_relay {
	struct pst_addr addr;
	struct pst_span ip; /* as rules see it */
	struct pst_span rdns, helo, by, ident, envfrom, id, auth;
	bool no_reverse_dns;
	bool private_addr;
	bool trusted, internal, msa;
	uint32_t field; /* index of its Received field, UINT32_MAX for the live hop */
};

struct pst_rules_field {
	struct pst_span name;
	struct pst_span value; /* behind the colon, folded, with the final newline; lines end in LF */
	struct pst_span whole; /* the field as received, lines end in LF */
};

struct pst_rules_value {
	struct pst_rules_target target;
	struct pst_span span;
	int8_t state; /* what pst_rules_view_get answers */
};

struct pst_rules_view {
	const struct pst_rules_input *input;
	struct pst_buf area;
	struct pst_rules_field *fields;
	uint32_t field_count;
	struct pst_rules_relay *relays; /* trusted ones first, as SpamAssassin orders them */
	uint32_t relay_count, trusted_count, internal_count;
	uint32_t unparseable_count; /* Received fields that are of no known form */
	uint32_t flags;             /* enum pst_rules_view_flag */
	struct pst_span header;     /* as received, lines end in LF, without the empty line */
	uint32_t received_trusted, received_internal; /* Received fields up to the last such hop */
	struct pst_rules_value *values;
	uint32_t value_count;
	int64_t date_shift_s; /* of eval functions, once they know it */
	bool date_shift_known;
};

enum pst_rules_view_flag {
	PST_RULES_VIEW_CUT_HEADER = 1 << 0,     /* fields beyond the limit were dropped */
	PST_RULES_VIEW_CUT_VALUE = 1 << 1,      /* a field's value was longer than 8,192 bytes */
	PST_RULES_VIEW_NO_EMPTY_LINE = 1 << 2,  /* body begins without an empty line */
	PST_RULES_VIEW_MALFORMED_LINE = 1 << 3, /* a line is no field */
};

/* Split the header into fields and relays.
 *  in  input: borrowed for the view's life
 *      area: aligned for any type; size is best PST_RULES_AREA_FOR(header length)
 *  ret 0 | -PST_E_NOMEM: the area does not even hold the tables */
int pst_rules_view_open(struct pst_rules_view *view, const struct pst_rules_input *input, void *area,
			uint32_t size) PST_MUST_CHECK;

/* The value that a pattern on `target` is matched against.
 *  out value: borrowed from the view; empty if there is none
 *  ret 1: it exists (it may be empty) | 0: it does not | -PST_E_NOMEM: the area is used up */
int pst_rules_view_get(struct pst_rules_view *view, const struct pst_rules_target *target,
		       struct pst_span *value) PST_MUST_CHECK;

/* The same for a target that the code knows: PST_SPAN("From:addr"). */
int pst_rules_view_named(struct pst_rules_view *view, struct pst_span name, struct pst_span *value)
	PST_MUST_CHECK;

#endif
