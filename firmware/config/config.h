/* config/config.h - the configuration language, and the generation that a set of files makes
 *
 * Layer: config. Uses: base and every module's <module>_conf.h. No I/O: files come from a reader.
 * Concept: one directive per line, words and options, # comments, include. One table
 * (config/table.c) holds every directive with its grammar, default and range; reading, showing and
 * the "did you mean" all come from it. Loading reads everything, reports every error it can find
 * (not only the first), and gives either a complete generation or nothing.
 * Lifetime: a generation is counted by its proxy part; the last pst_proxy_conf_unref frees it.
 * Nothing in it ever changes.
 * Memory: all of a generation lies in one arena from env->mem, PST_CONFIG_BYTES_MAX at most;
 * what loading needs besides is given back before pst_config_load returns.
 */
#ifndef PST_CONFIG_CONFIG_H
#define PST_CONFIG_CONFIG_H

#include "base/mem.h"
#include "net/interface_conf.h"
#include "proxy/proxy_conf.h"
#include "store/store_conf.h"

#define PST_CONFIG_FILES_MAX 32                 /* read in all; an -o line is one, too */
#define PST_CONFIG_DEPTH_MAX 8                  /* include within include */
#define PST_CONFIG_FILE_BYTES_MAX (1024 * 1024) /* of one file */
#define PST_CONFIG_WORDS_MAX 512                /* of one line */
#define PST_CONFIG_ERRORS_MAX 20                /* reported of one load */
#define PST_CONFIG_BYTES_MAX (8 * 1024 * 1024)  /* of one generation */

/* Where file texts come from. */
struct pst_config_reader {
	/* The whole text of a file.
	 *  in  path: a NUL stands behind its last byte
	 *  out text: borrowed until `done`
	 *  ret 0 | -PST_E_NOENT | -PST_E_ACCESS | -PST_E_RANGE: too large | -PST_E_IO
	 *      | -PST_E_NOMEM */
	int (*read)(struct pst_config_reader *self, struct pst_span path, struct pst_span *text);
	void (*done)(struct pst_config_reader *self, struct pst_span text);
};

/* One complaint. All spans are borrowed for the call. */
struct pst_config_message {
	bool warning;           /* the configuration is usable all the same */
	struct pst_span file;   /* as it was named; "-o" for a line of the command line */
	uint32_t line;          /* from 1; 0: the file or the configuration as a whole */
	uint32_t column, width; /* the bytes in question, column from 1 */
	struct pst_span source; /* the line itself */
	struct pst_span text;   /* what is wrong and what would be right */
};

struct pst_config_report {
	void (*on_message)(struct pst_config_report *self,
			   const struct pst_config_message *message);
};

/* What a load needs from outside. */
struct pst_config_env {
	struct pst_mem *mem;
	struct pst_config_reader *reader;
	struct pst_config_report *report;
	struct pst_span machine_name; /* the default of `hostname` */
	uint64_t ram_bytes; /* the default of `hold-pool` depends on it; 0: not known */
	const struct pst_addr *locals; /* this machine's, to find mail loops; may be NULL */
	uint32_t local_count;
};

/* Does this build log to the syslog socket? */
#ifdef CONFIG_POSTERN_SYSLOG
#define PST_CONFIG_SYSLOG true
#else
#define PST_CONFIG_SYSLOG false
#endif

/* Has this build its own TCP/IP? */
#ifdef CONFIG_POSTERN_LWIP
#define PST_CONFIG_LWIP true
#else
#define PST_CONFIG_LWIP false
#endif

enum pst_config_log { PST_CONFIG_LOG_STDERR, PST_CONFIG_LOG_FILE, PST_CONFIG_LOG_SYSLOG };

enum pst_config_tls_mode {
	PST_CONFIG_TLS_AUTO, /* with the certificates given, else with one of our own making */
	PST_CONFIG_TLS_OFF,
};

#define PST_CONFIG_TLS_PAIRS_MAX 8
#define PST_CONFIG_TLS_STATE "/var/lib/postern"

/* Files of certificates and keys, all PEM. Every name has a NUL behind it and is empty if it was not
 * given. Reading them is not the language's business: whoever does it says by `file` and `line`
 * where a bad one was named. */
struct pst_config_tls {
	enum pst_config_tls_mode mode;
	struct pst_config_tls_pair {
		struct pst_span certificate;
		struct pst_span key; /* may be the same file */
		struct pst_span file;
		uint32_t line;
	} pairs[PST_CONFIG_TLS_PAIRS_MAX];
	uint32_t pair_count;
	struct pst_span state; /* folder where a certificate of our own making is kept */
	struct pst_span ca;
	struct pst_span ca_file;
	uint32_t ca_line;
};

#define PST_CONFIG_USER_LEN_MAX 64

#define PST_CONFIG_RULES_MAX 8

/* Rule files and folders of them, each with a NUL behind its name, in the order given. */
struct pst_config_rules {
	struct pst_config_rules_path {
		struct pst_span path;
		struct pst_span file; /* where it was named */
		uint32_t line;
	} paths[PST_CONFIG_RULES_MAX];
	uint32_t path_count;
};

#define PST_CONFIG_ATTACHED_MAX 2

struct pst_config_arena {
	struct pst_mem *mem;
	void *chunks;
	uint64_t bytes, bytes_max;
};

/* One generation. */
struct pst_config {
	struct pst_proxy_conf proxy;
	enum pst_config_log log;
	struct pst_span control_path; /* of the socket, with a NUL behind it; empty: none */
	struct pst_span log_path; /* of a file or socket, with a NUL behind it; empty for stderr */
	struct pst_config_tls tls;
	struct pst_config_rules rules;
	struct pst_span os_path; /* of the file with proxy.os, a NUL behind it; empty: none */
	/* In the order given; the `via` of an address is the place in it, counted from 1. */
	struct pst_interface_conf interfaces[PST_INTERFACES_MAX];
	uint32_t interface_count;
	uint8_t dns_via; /* where resolvers are reached */
	struct pst_store_conf store;
	struct pst_span user; /* whose rights the process goes on with, a NUL behind it; may be empty */
	bool confine;
	/* Set by whoever hangs something onto the generation (its TLS contexts, its rules); called when
	 * it goes. */
	void (*on_release[PST_CONFIG_ATTACHED_MAX])(struct pst_config *config);
	uint64_t attached_bytes; /* memory of what was hung onto it */
	struct pst_config_arena arena;
};

/* Read a configuration.
 *  in  path: the file; the names in its include lines are relative to it
 *      lines: of the command line: each as if it stood at the file's end, but a value that the
 *      files have given is replaced
 *      generation: see struct pst_proxy_conf
 *  out config: one reference, to be given back by pst_proxy_conf_unref(&config->proxy)
 *  ret 0 | -PST_E_SYNTAX: told through env->report | -PST_E_NOMEM */
int pst_config_load(const struct pst_config_env *env, struct pst_span path,
		    const struct pst_span *lines, uint32_t line_count, uint32_t generation,
		    struct pst_config **config) PST_MUST_CHECK;

/* The generation that a proxy's configuration is part of. */
struct pst_config *pst_config_of(struct pst_proxy_conf *proxy);

/* Bytes that this generation occupies. */
uint64_t pst_config_bytes(const struct pst_config *config);

struct pst_config_writer {
	void (*write)(struct pst_config_writer *self, struct pst_span text);
};

/* Write the generation in the configuration language: every directive with its effective value.
 * Loading that text gives an equal generation. */
void pst_config_show(const struct pst_config *config, struct pst_config_writer *writer);

/* "FILE:LINE:COLUMN: text", the line and a caret under the words in question, as people and
 * editors like it. Cut where `out` is full. */
void pst_config_message_put(struct pst_buf *out, const struct pst_config_message *message);

#endif
