/* check/spf.h - may this address send mail in the name of this domain?
 *
 * Layer: check (pure). Uses: dns/types.h, base. Spec: RFC 7208, whole.
 * Concept: check_host() of section 4 as a machine that asks and is answered (check/question.h). A record
 * is looked at as a whole before any of it counts, since a syntax error anywhere is a permerror.
 * Includes and redirects are frames on a stack of bounded depth. The addresses of an mx, and of the
 * names behind a ptr, are asked for at once.
 * Memory: one struct, about 14 KiB, wanted only while it is being asked. It borrows the parameters.
 * Limits: 10 terms that look something up, 2 that find nothing (the addresses of one mx count once),
 * 10 names of an mx or ptr, PST_SPF_TEXT_MAX bytes of records under evaluation at a time.
 */
#ifndef PST_CHECK_SPF_H
#define PST_CHECK_SPF_H

#include "check/question.h"
#include "check/spf_conf.h"

#define PST_SPF_DEPTH_MAX 11 /* every include or redirect is one of 10 look-ups */
#define PST_SPF_TEXT_MAX 6144
#define PST_SPF_NAMES_MAX 10
#define PST_SPF_TERM_MAX 80
#define PST_SPF_EXPLANATION_MAX 400

struct pst_spf_params {
	struct pst_addr client;
	struct pst_span helo;     /* as given */
	struct pst_span local;    /* of the sender; empty: postmaster */
	struct pst_span domain;   /* of the sender; of HELO if that is what is checked */
	struct pst_span receiver; /* our name, for %{r} */
	int64_t wall_s;           /* for %{t} */
	uint32_t lookup_count_max, void_count_max;
};

struct pst_spf_name {
	uint8_t len;
	uint8_t at[PST_DNS_NAME_MAX];
};

struct pst_spf_frame {
	uint16_t text_off, text_len;
	uint16_t at;           /* the term at hand */
	bool is_include;       /* else a redirect, or the first */
	uint8_t qualifier;     /* of the include term */
	struct pst_spf_name domain;
};

struct pst_spf {
	struct pst_spf_params params;
	enum pst_spf_result result; /* once done */
	const char *problem;        /* of a temperror or permerror; a constant */
	uint32_t lookup_count, void_count;

	/* what decided: the term and the domain of its record */
	uint8_t term_len, term[PST_SPF_TERM_MAX];
	struct pst_spf_name decided_by;
	/* the domain's own words for a fail */
	uint16_t explanation_len;
	uint8_t explanation[PST_SPF_EXPLANATION_MAX];

	/* work in progress */
	uint8_t want;  /* enum in spf.c: what the answer is for */
	uint8_t stage; /* likewise */
	bool asked;    /* the one question has been handed out */
	bool p_known;
	bool names_are_clients; /* those behind its PTR, rather than an mx's */
	struct pst_spf_name target, p;
	uint8_t cidr4, cidr6;
	uint8_t qualifier;
	struct pst_spf_name names[PST_SPF_NAMES_MAX];
	uint32_t name_count, names_asked, names_due;
	uint16_t names_matched; /* bit set: such an address is the client's */
	bool names_void, names_trouble;
	uint32_t frame_count;
	struct pst_spf_frame frames[PST_SPF_DEPTH_MAX];
	uint8_t text[PST_SPF_TEXT_MAX];
};

void pst_spf_begin(struct pst_spf *spf, const struct pst_spf_params *params);
bool pst_spf_ask(struct pst_spf *spf, struct pst_question *question);
void pst_spf_answer(struct pst_spf *spf, uint16_t id, const struct pst_dns_answer *answer);
bool pst_spf_done(const struct pst_spf *spf);

/* "pass", "softfail", ...: as RFC 7208 section 2.6 and RFC 8601 write them. */
const char *pst_spf_result_name(enum pst_spf_result result);
/* As a finding is called: "SPF_FAIL", "SPF_HELO_PASS". */
const char *pst_spf_finding(bool helo, enum pst_spf_result result);

#endif
