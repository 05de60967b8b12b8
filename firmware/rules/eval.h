/* rules/eval.h - the functions behind "header NAME eval:function(args)"
 *
 * Layer: rules (pure). Uses: mail, base.
 * Concept: one table says for each function which of SpamAssassin's plugins it belongs to, how many
 * arguments it takes and which facts it needs. A function reads a view and the set's lists and
 * answers a number of hits. One whose facts are missing "cannot tell": its rule counts as not hit.
 * Only functions of header, envelope and connection are here; a rule with any other is skipped by
 * its name.
 * Memory: none but scratch space of the view.
 */
#ifndef PST_RULES_EVAL_H
#define PST_RULES_EVAL_H

#include "rules/lists.h"
#include "rules/view.h"

#define PST_RULES_EVAL_ARGS_MAX 8

enum pst_rules_need {
	PST_RULES_NEED_NET = 1 << 0, /* does not run if the input says local_only */
	PST_RULES_NEED_SPF = 1 << 1,
	PST_RULES_NEED_RBL = 1 << 2,
};

/* An answer of -PST_RULES_CANNOT_TELL: facts are missing. */
#define PST_RULES_CANNOT_TELL PST_E_NOENT

/* How a function matches a pattern that a rule gave it as an argument (check_freemail_header): the
 * engine brings its own. */
struct pst_rules_matcher {
	/*  ret 1: matches | 0 | -PST_RULES_CANNOT_TELL: not a pattern */
	int (*matches)(const struct pst_rules_matcher *self, struct pst_span pattern,
		       struct pst_span text);
};

struct pst_rules_eval_call {
	struct pst_rules_view *view;
	const struct pst_rules_lists *lists;
	const struct pst_span *args; /* without quotes */
	uint32_t arg_count;
	const struct pst_rules_matcher *matcher; /* NULL: such functions cannot tell */
};

struct pst_rules_eval {
	const char *name;   /* "check_all_trusted" */
	const char *plugin; /* without "Mail::SpamAssassin::Plugin::" */
	uint8_t arg_min, arg_max;
	uint8_t needs; /* enum pst_rules_need, added up */
	/*  ret hits (0: none) | -PST_RULES_CANNOT_TELL | -PST_E_NOMEM */
	int (*run)(const struct pst_rules_eval_call *call);
};

/* NULL: no such function here. */
const struct pst_rules_eval *pst_rules_eval_find(struct pst_span name);

/* The answer to plugin() and ifplugin: is there any function of this plugin? The name with or without
 * "Mail::SpamAssassin::Plugin::". */
bool pst_rules_eval_plugin(struct pst_span plugin);

/* Check the number of arguments once, when the rule is loaded. */
bool pst_rules_eval_takes(const struct pst_rules_eval *eval, uint32_t arg_count);

#endif
