/* check/spf_parse.h - the terms of an SPF record
 *
 * Layer: check (pure). Uses: base. Spec: RFC 7208 sections 4.6.1, 5, 6, 7.1, 12.
 */
#ifndef PST_CHECK_SPF_PARSE_H
#define PST_CHECK_SPF_PARSE_H

#include "base/addr.h"

enum pst_spf_kind {
	PST_SPF_ALL,
	PST_SPF_INCLUDE,
	PST_SPF_A,
	PST_SPF_MX,
	PST_SPF_PTR,
	PST_SPF_IP,
	PST_SPF_EXISTS,
	PST_SPF_REDIRECT,
	PST_SPF_EXP,
	PST_SPF_UNKNOWN, /* a modifier that means nothing to us */
};

struct pst_spf_term {
	enum pst_spf_kind kind;
	uint8_t qualifier; /* + - ~ ? */
	struct pst_span text;
	struct pst_span spec; /* domain-spec; empty: the record's own domain */
	uint8_t cidr4, cidr6;
	struct pst_cidr network; /* PST_SPF_IP */
};

/* Is this text such a record at all? */
bool pst_spf_is_record(struct pst_span text);
/* The next term behind *at.
 *  ret 1: a term | 0: no more | -PST_E_SYNTAX */
int pst_spf_next_term(struct pst_span record, uint32_t *at, struct pst_spf_term *term) PST_MUST_CHECK;
/* Every term, and no modifier of ours twice.
 *  ret 0 | -PST_E_SYNTAX */
int pst_spf_check_record(struct pst_span record) PST_MUST_CHECK;

/* Well-formed as a macro-string (section 7.1)? With `is_explanation` blanks, and the letters c, r and t. */
bool pst_spf_macros_ok(struct pst_span text, bool is_explanation);
/* One macro at the front of `text`, which begins with %.
 *  ret its length | 0: not one */
uint32_t pst_spf_macro_len(struct pst_span text, bool is_explanation);

#endif
