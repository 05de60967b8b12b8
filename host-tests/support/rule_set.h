/* support/rule_set.h - rule sets from texts, and what they hit
 *
 * Memory: an allocator that fails on demand; pst_test_rules_end checks that all was given back.
 */
#ifndef PST_SUPPORT_RULE_SET_H
#define PST_SUPPORT_RULE_SET_H

#include "rules/load.h"
#include "support/alloc_fail.h"
#include "support/bytes.h"

#define PST_TEST_FILES_MAX 8

struct pst_test_rules {
	struct pst_alloc_fail alloc;
	struct pst_rules_reader reader;
	struct pst_rules_report report;
	struct pst_rules_conf conf;
	struct {
		const char *name; /* NULL ends the list */
		struct pst_span text;
		bool included; /* not of the folder: only by include */
	} files[PST_TEST_FILES_MAX];
	uint32_t open_count;
	struct pst_bytes said; /* "FILE:LINE: RULE: text\n", each complaint */
	uint32_t work;	       /* of a slice */
	uint32_t step_count;
	struct pst_rules_load *load; /* kept until the end */
	struct pst_rules_set *set;
};

/* One file "a.cf" with this text. */
void pst_test_rules_begin(struct pst_test_rules *rules, const char *text);
/*  ret what pst_rules_load_step answers in the end; the set is there after 0 */
int pst_test_rules_load(struct pst_test_rules *rules) PST_MUST_CHECK;
void pst_test_rules_end(struct pst_test_rules *rules);

/* "NAME NAME*2 ...", sorted by the order of hitting, then " | score".
 *  in  work: of a slice */
const char *pst_test_rules_hits(struct pst_test_rules *rules, const char *header, uint32_t work);
/* The same for an input with more than a header. */
const char *pst_test_rules_hits_of(
	struct pst_test_rules *rules, const struct pst_rules_input *input, uint32_t work);

/* What became of a rule: enum pst_rules_why, or -1 if there is none. */
int pst_test_rules_why(const struct pst_test_rules *rules, const char *name);

#endif
