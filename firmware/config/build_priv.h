/* config/build_priv.h - the work in progress of one load
 *
 * Layer: config. Uses: base, config/config.h.
 * Concept: files are read and kept until the load ends, so that a complaint found late can still
 * show its line. Lists grow in the scratch arena and are copied, at their final size, into the
 * generation's own.
 * Memory: everything here lies in scratch and is gone when the load ends.
 */
#ifndef PST_CONFIG_BUILD_PRIV_H
#define PST_CONFIG_BUILD_PRIV_H

#include "config/config.h"
#include "config/nearest.h"

struct pst_config_file {
	struct pst_span name;
	struct pst_span text;
	const struct pst_config_file *parent; /* the file that includes this one */
	bool command_line; /* a line given by -o */
	bool owned;        /* text came from the reader and goes back to it */
};

/* Where something stands. */
struct pst_config_place {
	const struct pst_config_file *file; /* NULL: nowhere */
	uint32_t line, column, width;
	struct pst_span source;
};

struct pst_config_word {
	struct pst_span text; /* quotes and escapes resolved */
	struct pst_config_place place;
};

/* One list node for all kinds of list; `place` says who to blame. */
struct pst_config_item {
	struct pst_config_item *next;
	struct pst_config_place place;
	union {
		struct pst_cidr cidr;
		struct pst_policy_entry entry;
		struct pst_span domain;
		struct pst_addr addr;
		const struct pst_dnsbl_zone *zone;
		const struct pst_os_signature *signature;
	} is;
};

struct pst_config_items {
	struct pst_config_item *first, **end;
	uint32_t count;
};

#define PST_CONFIG_DIRECTIVES_MAX 48
#define PST_CONFIG_OPTIONS_MAX 32

struct pst_config_build {
	const struct pst_config_env *env;
	struct pst_config *config;
	struct pst_config_arena scratch;
	bool nomem;
	uint32_t error_count;

	struct pst_config_file files[PST_CONFIG_FILES_MAX];
	uint32_t file_count;

	/* the line at hand; words[0] is the directive */
	struct pst_config_word words[PST_CONFIG_WORDS_MAX];
	uint32_t word_count;

	/* where each value was given first */
	struct pst_config_place given[PST_CONFIG_DIRECTIVES_MAX][PST_CONFIG_OPTIONS_MAX];

	struct pst_config_place listener_places[PST_LISTENERS_MAX];
	struct pst_route routes[PST_ROUTES_MAX];
	uint32_t route_count;
	struct pst_route submission; /* without servers: there is none */
	struct pst_config_items trust, entries, domains, servers, tls_domains, zones, dry_names;
	struct pst_config_place listener_submission;
	struct pst_config_place listener_tls, verify, certificates;
	struct pst_config_place trust_none;
};

/* Zeroed memory of an arena; NULL makes the caller set build->nomem. */
void *pst_config_arena_get(struct pst_config_arena *arena, size_t size);
void pst_config_arena_free(struct pst_config_arena *arena);
/* A copy with a NUL behind it, of the scratch arena or of the generation's. */
struct pst_span pst_config_copy(struct pst_config_build *build, struct pst_config_arena *arena,
				struct pst_span text);
void *pst_config_get(struct pst_config_build *build, struct pst_config_arena *arena, size_t size);

/* Complain about a place. `place` may be NULL: the configuration as a whole. */
void pst_config_error(struct pst_config_build *build, const struct pst_config_place *place,
		      const char *format, ...) PST_PRINTF(3, 4);
void pst_config_warning(struct pst_config_build *build, const struct pst_config_place *place,
			const char *format, ...) PST_PRINTF(3, 4);
/* printf's "%.*s" for a span. */
#define PST_CONFIG_TEXT(span) (int)(span).len, (const char *)(span).at

/* Add a node behind the others; NULL without memory. */
struct pst_config_item *pst_config_item_add(struct pst_config_build *build,
					    struct pst_config_items *items,
					    const struct pst_config_place *place);

/* Take the next line off a text. */
struct pst_span pst_config_line(struct pst_span *rest);
/* Split a line into build->words.
 *  ret true: there are words, and they are well formed */
bool pst_config_lex(struct pst_config_build *build, const struct pst_config_file *file,
		    uint32_t number, struct pst_span source);

/* Read a file and everything it includes (recursion bounded by PST_CONFIG_DEPTH_MAX).
 *  in  place: the include line, NULL for the main file */
void pst_config_read(struct pst_config_build *build, struct pst_span path,
		     const struct pst_config_place *place);
/* The text of a file that has another language, kept like the others.
 *  in  path: a NUL stands behind it; place: what names it
 *  ret NULL after a complaint */
const struct pst_config_file *pst_config_open(struct pst_config_build *build, struct pst_span path,
					      const struct pst_config_place *place);

#endif
