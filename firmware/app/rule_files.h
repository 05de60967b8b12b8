/* app/rule_files.h - rule files and messages from the file system, for the commands about rules
 *
 * Layer: app.
 * Memory: a file's text is held while it is used; PST_RULES_FILE_BYTES_MAX at most.
 */
#ifndef PST_APP_RULE_FILES_H
#define PST_APP_RULE_FILES_H

#include "base/mem.h"
#include "rules/load.h"

/* The reader of a load, over real files. */
struct pst_rule_files {
	struct pst_rules_reader reader;
	struct pst_mem *mem;
	struct pst_rule_names {
		struct pst_mem *mem;
		char **names;
		uint32_t count, size;
	} folder; /* of the path that was listed */
	bool listed;
};

void pst_rule_files_init(struct pst_rule_files *files, struct pst_mem *mem);
/* Take these instead of what the load names: a file, or the .cf files of a folder. More may follow.
 *  in  path: a NUL stands behind it
 *  ret 0 | -PST_E_* */
int pst_rule_files_add(struct pst_rule_files *files, struct pst_span path) PST_MUST_CHECK;
void pst_rule_files_fini(struct pst_rule_files *files);

/* Steps of PCRE2 that take PST_RULES_PATTERN_US on this machine; measured, takes some milliseconds.
 */
#define PST_RULES_PATTERN_US 2000
int pst_rule_limits(struct pst_mem *mem, struct pst_rules_limits *limits) PST_MUST_CHECK;

/* Does the build, and do the CPU and the kernel, allow machine code? */
#ifdef CONFIG_POSTERN_PCRE2_JIT
#define PST_RULES_JIT true
#else
#define PST_RULES_JIT false
#endif

/* A set, loaded in one go, and what was said of it; complaints have gone to stderr. */
struct pst_rule_job {
	struct pst_mem_system memory;
	struct pst_rule_files files;
	struct pst_rules_report report;
	struct pst_rules_conf conf;
	struct pst_rules_load *load;
	struct pst_rules_set *set; /* NULL if there is none */
};

/*  in  keep_all, score_set: see struct pst_rules_conf
 *  ret 0 | -PST_E_*: it was said; pst_rule_job_close is needed all the same */
int pst_rule_job_open(struct pst_rule_job *job, struct pst_span path, bool keep_all,
	uint8_t score_set) PST_MUST_CHECK;
void pst_rule_job_close(struct pst_rule_job *job);

/* Files to work on: names, folders (their files), "-" for a list of names, or one message, on
 * standard input. */
struct pst_messages {
	struct pst_rule_names names;
	uint32_t common_len; /* of the folder that all names begin with */
	uint8_t *text;	     /* of the message, and of standard input */
	uint32_t text_size, stdin_len;
	bool stdin_message;
};

/*  in  words: with a NUL behind each */
int pst_messages_open(struct pst_messages *messages, struct pst_mem *mem, char *const *words,
	uint32_t word_count) PST_MUST_CHECK;
/* Message number `index`.
 *  out name: for people; text: valid until the next call; wall_s: when the file was written
 *  ret 0 | -PST_E_* */
int pst_messages_read(struct pst_messages *messages, uint32_t index, struct pst_span *name,
	struct pst_span *text, int64_t *wall_s) PST_MUST_CHECK;
void pst_messages_close(struct pst_messages *messages);

/* "12 of 3582" on a terminal, once in a while. Begin with zero. */
struct pst_progress {
	int64_t started_ms, shown_ms;
};
void pst_progress_show(
	struct pst_progress *progress, const char *what, uint32_t done, uint32_t all);
void pst_progress_end(struct pst_progress *progress);

#endif
