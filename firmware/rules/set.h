/* rules/set.h - a compiled rule set, and running it over one message
 *
 * Layer: rules (pure). Uses: mail, base.
 * Concept: a set is what rules/load.h makes of rule files. It never changes once it is there: a
 * reload makes another one, and a transaction keeps the set it began with by a reference. A run
 * goes through the rules of a set for one message, in slices: rules by priority and target, then
 * metas. Lifetime: a set is counted; the last pst_rules_set_unref frees it. A run borrows set,
 * input and area. Memory: pst_rules_set_bytes says what a set occupies. A run takes everything from
 * an area of the caller, pst_rules_run_bytes large. Limits: 2 ms for a pattern (struct
 * pst_rules_limits), PST_RULES_WORK_MAX for a message; what a limit stops is no hit, counted and
 * named.
 */
#ifndef PST_RULES_SET_H
#define PST_RULES_SET_H

#include "base/score.h"
#include "rules/rules_conf.h"
#include "rules/view.h"

struct pst_rules_set;

void pst_rules_set_ref(struct pst_rules_set *set);
/* NULL is harmless. */
void pst_rules_set_unref(struct pst_rules_set *set);

/* What a rule is, as its line says it. */
enum pst_rules_kind {
	PST_RULES_KIND_NONE, /* a score or a description without a rule */
	PST_RULES_KIND_HEADER,
	PST_RULES_KIND_HEADER_EVAL,
	PST_RULES_KIND_META,
	PST_RULES_KIND_BODY,
	PST_RULES_KIND_BODY_EVAL,
	PST_RULES_KIND_RAWBODY,
	PST_RULES_KIND_RAWBODY_EVAL,
	PST_RULES_KIND_URI,
	PST_RULES_KIND_URI_DETAIL,
	PST_RULES_KIND_FULL,
	PST_RULES_KIND_FULL_EVAL,
	PST_RULES_KIND_MIMEHEADER,
	PST_RULES_KIND_ASKDNS,
	PST_RULES_KIND_EMPTY, /* a name that nothing can hit ("reuse") */
	PST_RULES_KIND_COUNT
};

struct pst_rules_set_info {
	uint32_t rule_count; /* that a run goes through */
	uint32_t header_count, eval_count, meta_count;
	uint32_t scored_count;	/* with a score that counts */
	uint32_t skipped_count; /* named, but not to be evaluated here */
	uint32_t target_count;
	uint64_t bytes;	    /* private memory without machine code */
	uint64_t jit_bytes; /* machine code and its stack */
	uint64_t version;   /* the highest of "# UPDATE version", 0 without one */
};
void pst_rules_set_info(const struct pst_rules_set *set, struct pst_rules_set_info *info);

/* One fact scores once: does a rule of the set score this result of SPF, or answers of this zone?
 * Then the check that found it does not add its own score. */
bool pst_rules_set_scores_spf(
	const struct pst_rules_set *set, bool helo, enum pst_rules_spf result);
bool pst_rules_set_scores_zone(const struct pst_rules_set *set, struct pst_span zone);

/* Lists that the input of a run may want for ":domain". */
const struct pst_rules_lists *pst_rules_set_lists(const struct pst_rules_set *set);

/* ----------------------------------------------------------------------------------------- runs */

/* Units of about a microsecond on a server's core. */
#define PST_RULES_WORK_MAX 200000u /* of one message */

struct pst_rules_hit {
	struct pst_span name;
	struct pst_span describe; /* empty if the files have none */
	enum pst_rules_kind kind;
	pst_score score; /* of one hit times the count, for rules that may hit several times */
	uint32_t count;
	bool sub; /* "__": counts for metas only */
};

struct pst_rules_num;

struct pst_rules_run {
	struct pst_rules_set *set;
	struct pst_rules_input input;
	struct pst_rules_view view;
	struct pst_rules_num *values; /* of each rule */
	uint32_t next;		      /* rule to look at */
	uint32_t target;	      /* whose value is at hand: neighbours share it */
	struct pst_span value;
	int value_state;
	uint32_t work;		/* done so far */
	uint32_t limited_count; /* patterns that reached a limit, metas with no number */
	uint32_t limited_rule;	/* the first of them: pst_rules_run_limited */
	uint32_t hit_count;
	uint32_t *hits; /* indices of rules, in the order of hitting */
	pst_score score;
	bool cut;     /* the work budget of the message ended it */
	bool shorted; /* a rule with `shortcircuit` hit, the rest did not run */
};

/* Bytes of the area for a message header of `len` bytes. */
uint32_t pst_rules_run_bytes(const struct pst_rules_set *set, uint32_t len);
/* The most that any header needs. */
uint32_t pst_rules_run_bytes_max(const struct pst_rules_set *set);

/* Begin.
 *  in  set: a reference is taken until pst_rules_run_end
 *      input: copied; what it points at, and the area (aligned for any type), is borrowed until
 * then. Without input->lists the set's own are used ret 0 | -PST_E_NOMEM: the area is too small */
int pst_rules_run_begin(struct pst_rules_run *run, struct pst_rules_set *set,
	const struct pst_rules_input *input, void *area, uint32_t size) PST_MUST_CHECK;

/* Go on.
 *  in  work: how much at most, in units of PST_RULES_WORK_MAX; a single pattern may take up to its
 * own limit more ret 1: there is more to do | 0: done, score and hits are complete */
int pst_rules_run_step(struct pst_rules_run *run, uint32_t work) PST_MUST_CHECK;

void pst_rules_run_end(struct pst_rules_run *run);

/* Hit number `index` of run->hit_count. Its spans borrow the set. */
void pst_rules_run_hit(const struct pst_rules_run *run, uint32_t index, struct pst_rules_hit *out);

/* The name of the first rule that a limit stopped; empty without one. */
struct pst_span pst_rules_run_limited(const struct pst_rules_run *run);

#endif
