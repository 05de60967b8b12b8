/* rules/load_priv.h - between the files that load a set
 *
 * Layer: rules.
 * Concept: names (names.c) are the symbols of all files together: a score may come before its rule,
 * or without one. Lines (lines.c) are cut and dispatched (directives.c); rule lines fill a symbol
 * (rule_lines.c). When all is read, link.c decides what runs and in which order, and build.c makes
 * the set.
 */
#ifndef PST_RULES_LOAD_PRIV_H
#define PST_RULES_LOAD_PRIV_H

#include "rules/eval.h"
#include "rules/expr.h"
#include "rules/load.h"
#include "rules/set_priv.h"

/* Bits of `tflags` that matter here. */
enum pst_rules_tflag {
	PST_RULES_TFLAG_NET = 1 << 0,
	PST_RULES_TFLAG_NICE = 1 << 1,
	PST_RULES_TFLAG_MULTIPLE = 1 << 2,
	PST_RULES_TFLAG_LEARN = 1 << 3,
};

/* A name of the rule files. */
struct pst_rules_name {
	struct pst_rules_name *next; /* of the same hash */
	struct pst_span text;
	uint32_t file, line; /* where the rule is defined */
	uint8_t kind;	     /* enum pst_rules_kind */
	uint8_t why;	     /* enum pst_rules_why */
	uint8_t tflags;
	uint8_t mark; /* of the walk over metas */
	bool scored, negated, exists, replaces, needed;
	uint8_t shortcut; /* enum pst_rules_shortcut */
	uint32_t hits_max;
	int32_t priority;
	pst_score scores[4];
	struct pst_span describe;
	struct pst_span target; /* of a header rule */
	struct pst_span body;	/* pattern with delimiters, expression, or function(arguments) */
	struct pst_span unset;	/* [if-unset: ...] */
	bool has_unset;
	struct pst_span detail; /* why it does not run */
	struct pst_rules_regex *regex;
	const struct pst_rules_eval *eval;
	struct pst_span args[PST_RULES_EVAL_ARGS_MAX];
	uint32_t arg_count;
	struct pst_span code;	      /* of a meta: values are indices of names */
	uint32_t walk_at;	      /* where the walk over its code is */
	struct pst_rules_name *above; /* the meta that the walk came from */
	uint32_t rule;		      /* its number in the set */
};

enum pst_rules_shortcut {
	PST_RULES_SHORT_OFF,
	PST_RULES_SHORT_ON,
	PST_RULES_SHORT_SPAM,
	PST_RULES_SHORT_HAM
};

#define PST_RULES_NAME_BUCKETS 4096u
#define PST_RULES_NO_RULE UINT32_MAX

/* A definition of replace_tag and its like. */
struct pst_rules_macro {
	struct pst_rules_macro *next;
	uint8_t kind; /* enum pst_rules_macro_kind */
	struct pst_span name, text;
};

enum pst_rules_macro_kind { PST_RULES_TAG, PST_RULES_PRE, PST_RULES_INTER, PST_RULES_POST };

struct pst_rules_file {
	struct pst_span name, text;
	uint32_t index; /* of load->files */
	uint32_t at, line;
	struct {
		bool skipped; /* lines before it were */
		bool condition;
		uint32_t line;
	} ifs[PST_RULES_IF_DEPTH_MAX];
	uint32_t if_count;
	bool skips;
};

enum pst_rules_phase {
	PST_RULES_PHASE_READ,
	PST_RULES_PHASE_METAS,
	PST_RULES_PHASE_LINK,
	PST_RULES_PHASE_BUILD,
	PST_RULES_PHASE_DONE,
};

struct pst_rules_load {
	struct pst_mem *mem;
	struct pst_rules_conf conf;
	struct pst_rules_reader *reader;
	struct pst_rules_report *report;
	struct pst_rules_chunk *chunks;
	uint64_t bytes;
	uint8_t phase;
	int status;
	struct pst_span path;
	struct pst_span files[PST_RULES_FILES_MAX];
	uint32_t file_count, list_index;
	struct pst_rules_file stack[PST_RULES_INCLUDE_DEPTH_MAX];
	uint32_t depth;
	struct pst_rules_name *buckets[PST_RULES_NAME_BUCKETS];
	struct pst_rules_name **names; /* in the order of their first mention */
	uint32_t name_count, names_size;
	struct pst_rules_macro *macros;
	struct pst_span replace_start, replace_end;
	uint32_t at;	 /* the name that the present phase is at */
	uint32_t *order; /* indices of the names that run, in the order of the set */
	uint32_t order_count;
	uint32_t meta_count;
	uint32_t *metas; /* indices of names, those below first */
	uint32_t error_count, warning_count;
	uint64_t version;
	uint8_t *line_area;	 /* PST_RULES_LINE_BYTES_MAX: the line without comment */
	uint8_t *expand_area[2]; /* PST_RULES_PATTERN_BYTES_MAX each */
	struct pst_rules_set
		*set; /* under construction; engine and lists are its own from the start */
};

/* ---- names.c */

/* A zeroed piece of the load's memory; NULL sets load->status. */
void *pst_rules_load_get(struct pst_rules_load *load, uint32_t size);
struct pst_span pst_rules_load_copy(struct pst_rules_load *load, struct pst_span text);
void pst_rules_load_free(struct pst_rules_load *load);
/* NULL: there is none. */
struct pst_rules_name *pst_rules_name_find(const struct pst_rules_load *load, struct pst_span text);
/* Found or made; NULL sets load->status. */
struct pst_rules_name *pst_rules_name_get(struct pst_rules_load *load, struct pst_span text);
int64_t pst_rules_name_index(const struct pst_rules_load *load, struct pst_span text);

/* ---- lines.c */

int pst_rules_load_read(struct pst_rules_load *load, uint32_t *work);
/* About the line that is being read. */
void pst_rules_load_complain(struct pst_rules_load *load, enum pst_rules_grade grade,
	struct pst_span rule, const char *format, ...) PST_PRINTF(4, 5);
/* About a rule that was read. */
void pst_rules_load_complain_of(struct pst_rules_load *load, const struct pst_rules_name *name,
	const char *format, ...) PST_PRINTF(3, 4);
/* Open a file: it is read before what is left of the present one.
 *  ret 0 | an error of the reader */
int pst_rules_load_push(struct pst_rules_load *load, struct pst_span path);

/* ---- condition.c */

/* The truth of what stands behind `if`; what cannot be understood is reported and false. */
bool pst_rules_condition(struct pst_rules_load *load, struct pst_span text);

/* Cut a word of bytes that are no white space off the front, and white space from both ends of the rest. */
struct pst_span pst_rules_take_word(struct pst_span *rest);

/* ---- directives.c */

void pst_rules_directive(struct pst_rules_load *load, struct pst_span key, struct pst_span value);

/* ---- rule_lines.c: each takes what stands behind its keyword, without blanks around it */

void pst_rules_line_header(struct pst_rules_load *load, struct pst_span value);
void pst_rules_line_body(
	struct pst_rules_load *load, enum pst_rules_kind kind, struct pst_span value);
void pst_rules_line_mimeheader(struct pst_rules_load *load, struct pst_span value);
void pst_rules_line_meta(struct pst_rules_load *load, struct pst_span value);
/* A rule of which only the name matters. */
void pst_rules_line_named(
	struct pst_rules_load *load, enum pst_rules_kind kind, struct pst_span value);

/* ---- replace.c */

/* Replace the tags of a pattern.
 *  out text: in load->scratch, or the pattern's own text if nothing changed
 *  ret 1: something was replaced | 0 | -PST_E_FULL: grows beyond the bound */
int pst_rules_replace(struct pst_rules_load *load, struct pst_span text, struct pst_span *out);

/* ---- link.c, build.c: one slice each; *work is used up */

int pst_rules_load_metas(struct pst_rules_load *load, uint32_t *work);
int pst_rules_load_link(struct pst_rules_load *load);
int pst_rules_load_build(struct pst_rules_load *load, uint32_t *work);

#endif
