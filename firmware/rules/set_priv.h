/* rules/set_priv.h - inside of a set
 *
 * Layer: rules.
 */
#ifndef PST_RULES_SET_PRIV_H
#define PST_RULES_SET_PRIV_H

#include "rules/eval.h"
#include "rules/expr.h"
#include "rules/rules_pcre2.h"
#include "rules/set.h"

/* A piece of memory that is only given back as a whole. */
struct pst_rules_chunk {
	struct pst_rules_chunk *next;
	uint32_t size, used; /* of the whole block, this header included */
};

/* A zeroed piece, aligned for any type.
 *  in/out  bytes: what the chunks occupy
 *  ret NULL: no memory */
void *pst_rules_chunk_get(
	struct pst_mem *mem, struct pst_rules_chunk **chunks, uint32_t size, uint64_t *bytes);
void pst_rules_chunk_free(struct pst_mem *mem, struct pst_rules_chunk **chunks);

enum pst_rules_rule_flag {
	PST_RULES_RULE_NEGATED = 1 << 0,
	PST_RULES_RULE_EXISTS = 1 << 1,
	PST_RULES_RULE_UNSET = 1 << 2, /* has a text for a field that is not there */
	PST_RULES_RULE_MULTIPLE = 1 << 3,
	PST_RULES_RULE_SUB = 1 << 4,
	PST_RULES_RULE_SHORT = 1 << 5, /* ends the run */
};

struct pst_rules_rule {
	struct pst_span name, describe;
	union {
		struct {
			struct pst_rules_regex *regex;
			struct pst_span unset;
			uint32_t target;
			uint32_t hits_max;
		} header;
		struct {
			const struct pst_rules_eval *function;
			const struct pst_span *args;
			uint32_t arg_count;
		} eval;
		struct pst_span code;
	} is;
	pst_score score;
	uint8_t kind;  /* enum pst_rules_kind: header, eval or meta */
	uint8_t flags; /* enum pst_rules_rule_flag */
};

struct pst_rules_set {
	struct pst_mem *mem;
	uint32_t ref_count;
	struct pst_rules_chunk *chunks;
	uint64_t chunk_bytes;
	struct pst_rules_engine *engine;
	struct pst_rules_lists lists;
	struct pst_rules_rule
		*rules; /* by priority and target, metas at the end, those below first */
	uint32_t rule_count, meta_from;
	struct pst_rules_target *targets;
	uint32_t target_count;
	struct pst_rules_matcher matcher;
	struct pst_rules_set_info info;
};

/* A zeroed set begins its life. */
void pst_rules_set_init(struct pst_rules_set *set, struct pst_mem *mem);

#endif
