/* rules/load.h - from SpamAssassin's rule files to a set
 *
 * Layer: rules (pure). Uses: mail, base. No I/O: files come from a reader.
 * Concept: a load reads a file or a folder of .cf files line by line, reports what it does not
 * understand with file and line, and goes on; then it finds out which rules can be evaluated here,
 * names all others with the reason, and compiles. A rule over a rule that cannot be evaluated
 * cannot be evaluated either: taking a missing name for 0 would turn `!NAME` around. Work comes in
 * slices, so that a reload does not hold up mail. Memory: what is needed while loading lies in an
 * arena of at most PST_RULES_LOAD_BYTES_MAX; the set has memory of its own.
 */
#ifndef PST_RULES_LOAD_H
#define PST_RULES_LOAD_H

#include "base/mem.h"
#include "rules/rules_pcre2.h"
#include "rules/set.h"

#define PST_RULES_LINE_BYTES_MAX (256u * 1024) /* a longer line is named and skipped */
#define PST_RULES_FILE_BYTES_MAX (16u * 1024 * 1024)
#define PST_RULES_FILES_MAX 1024u
#define PST_RULES_INCLUDE_DEPTH_MAX 8u
#define PST_RULES_IF_DEPTH_MAX 64u
#define PST_RULES_NAMES_MAX 30000u
#define PST_RULES_META_BYTES_MAX 65536u /* code of one meta */
#define PST_RULES_LOAD_BYTES_MAX (32u * 1024 * 1024)
#define PST_RULES_NAME_LEN_MAX 100u

/* Where texts come from. */
struct pst_rules_reader {
	/* File number `index` of what `path` names: the file itself, or the .cf files of a folder,
	 * sorted by name.
	 *  out file: borrowed until the next call
	 *  ret 0 | -PST_E_NOENT: no more (or, with index 0, no such path) | -PST_E_ACCESS
	 *      | -PST_E_IO | -PST_E_NOMEM */
	int (*list)(struct pst_rules_reader *self, struct pst_span path, uint32_t index,
		struct pst_span *file);
	/* The whole text of a file.
	 *  out text: borrowed until `done`
	 *  ret 0 | -PST_E_NOENT | -PST_E_ACCESS | -PST_E_RANGE: too large | -PST_E_IO
	 *      | -PST_E_NOMEM */
	int (*read)(struct pst_rules_reader *self, struct pst_span path, struct pst_span *text);
	void (*done)(struct pst_rules_reader *self, struct pst_span text);
};

enum pst_rules_grade {
	PST_RULES_ERROR,   /* a line or a rule is left out */
	PST_RULES_WARNING, /* taken, but look at it */
};

/* One complaint. Spans are borrowed for the call. */
struct pst_rules_message {
	enum pst_rules_grade grade;
	struct pst_span file;
	uint32_t line;	      /* from 1; 0: the file as a whole */
	struct pst_span rule; /* empty if it is not about a rule */
	struct pst_span text;
};

struct pst_rules_report {
	void (*on_message)(struct pst_rules_report *self, const struct pst_rules_message *message);
};

struct pst_rules_conf {
	uint8_t score_set; /* which of four scores: 0 without, 1 with facts from the network */
	bool keep_all;	   /* also rules with a score of 0 and sub-rules that nothing needs */
	bool jit;	   /* machine code, where the build has it */
	struct pst_rules_limits limits;
};

/* Why a rule runs or does not. */
enum pst_rules_why {
	PST_RULES_RUNS,
	PST_RULES_NOT_NEEDED, /* a sub-rule that no running meta asks for */
	PST_RULES_SCORE_ZERO, /* counts as no hit, as SpamAssassin has it */
	PST_RULES_OFF,	      /* a look-up without a network, or learnt: counts as no hit, too */
	PST_RULES_BODY,	      /* needs the message body */
	PST_RULES_NETWORK,    /* needs a look-up of its own */
	PST_RULES_FUNCTION,   /* detail: the function that is not here */
	PST_RULES_ARGUMENTS,
	PST_RULES_CAPTURED, /* matches text that another rule captured */
	PST_RULES_ZONE,	    /* detail: a list name that no check_rbl rule explains */
	PST_RULES_OVER,	    /* detail: the rule below that cannot be evaluated */
	PST_RULES_CYCLE,
	PST_RULES_TOO_LARGE,
	PST_RULES_NOTHING, /* there is nothing that could hit */
	PST_RULES_WHY_COUNT
};

struct pst_rules_fate {
	struct pst_span name, file, detail;
	uint32_t line;
	enum pst_rules_kind kind;
	enum pst_rules_why why;
	pst_score score; /* of the conf's set */
};

struct pst_rules_load;

/*  in  mem, reader, report: borrowed until pst_rules_load_close
 *      path: a file or a folder
 *  ret 0 | -PST_E_NOMEM */
int pst_rules_load_open(struct pst_mem *mem, const struct pst_rules_conf *conf,
	struct pst_rules_reader *reader, struct pst_rules_report *report, struct pst_span path,
	struct pst_rules_load **out) PST_MUST_CHECK;

/* Do some of it.
 *  in  work: in units of about a microsecond; one file is read whole and one pattern compiled whole
 *  ret 1: go on | 0: complete | -PST_E_NOENT, -PST_E_ACCESS, -PST_E_IO: the path cannot be read
 * (also reported) | -PST_E_NOMEM | -PST_E_FULL: beyond a bound above (reported) */
int pst_rules_load_step(struct pst_rules_load *load, uint32_t work) PST_MUST_CHECK;

/* The set, once, after pst_rules_load_step has answered 0. One reference for the caller. */
struct pst_rules_set *pst_rules_load_take(struct pst_rules_load *load);

/* For lint: every rule and what became of it, by number from 0.
 *  ret false: no more */
bool pst_rules_load_fate(
	const struct pst_rules_load *load, uint32_t index, struct pst_rules_fate *out);
uint32_t pst_rules_load_error_count(const struct pst_rules_load *load);
uint32_t pst_rules_load_warning_count(const struct pst_rules_load *load);

/* Names are spans of the load, so it is closed after its last use. NULL is harmless. */
void pst_rules_load_close(struct pst_rules_load *load);

#endif
