/* config/table_priv.h - the directives
 *
 * Layer: config. Uses: base, config/build_priv.h.
 * Concept: a directive is a row {name, grammar, how it is read, how it is shown, its options}; an
 * option is a row {name, kind, where the value lies, range, default}. A new directive is a new row:
 * reading, showing, defaults, ranges, duplicates and "did you mean" follow from it.
 */
#ifndef PST_CONFIG_TABLE_PRIV_H
#define PST_CONFIG_TABLE_PRIV_H

#include "config/build_priv.h"

enum pst_config_kind {
	PST_CONFIG_COUNT,  /* 20 */
	PST_CONFIG_SIZE,   /* 64K: bytes */
	PST_CONFIG_TIME,   /* 5m: milliseconds */
	PST_CONFIG_CHOICE, /* one of a few words */
	PST_CONFIG_SCORE,  /* 1.5: thousandths; with a `max`, `off` is a value as well */
	PST_CONFIG_PATH,   /* a file's name: a span with a NUL behind it, empty if not given */
	PST_CONFIG_NAME,   /* a host name: a span, the same */
	PST_CONFIG_MAILBOX, /* local@domain: a span, the same */
	PST_CONFIG_LABEL,  /* a few printable words: a span, the same */
	PST_CONFIG_VIA,    /* an interface's name: its `via`, 0 if not given */
	PST_CONFIG_PINS,   /* sha256:HEX,HEX: struct pst_relay_security's pins */
};

struct pst_config_choice {
	const char *name; /* NULL ends the list */
	uint32_t value;
};

struct pst_config_option {
	const char *name; /* NULL: the value stands right behind the directive */
	enum pst_config_kind kind;
	uint16_t offset, width; /* in struct pst_config, or in struct pst_route */
	uint64_t min, max, preset;
	const struct pst_config_choice *choices;
};

struct pst_config_printer;

struct pst_config_directive {
	const char *name;
	const char *grammar;
	void (*read)(struct pst_config_build *build, const struct pst_config_directive *directive);
	/* NULL: never shown (include) */
	void (*show)(struct pst_config_printer *printer,
		     const struct pst_config_directive *directive);
	const struct pst_config_option *options;
	uint32_t option_count;
	bool per_route; /* the options lie in struct pst_route */
};

extern const struct pst_config_directive pst_config_table[];
extern const uint32_t pst_config_table_count;

/* Give every option of the table its default. */
void pst_config_table_preset(struct pst_config *config);
/* Carry out the line in build->words. */
void pst_config_table_read(struct pst_config_build *build);
/* Where a value was given; place->file is NULL if nowhere.
 *  in  option: NULL for a directive's own value */
const struct pst_config_place *pst_config_table_given(const struct pst_config_build *build,
						      const char *directive, const char *option);

/* --- option.c: single values, wherever they lie --------------------------------------------- */

uint8_t *pst_config_field(struct pst_config *config, const struct pst_config_option *option);
void pst_config_store(uint8_t *field, uint32_t width, uint64_t value);
uint64_t pst_config_fetch(const uint8_t *field, uint32_t width);
/* As the language spells it. `area` outlives the result. */
struct pst_span pst_config_value_text(const struct pst_config_option *option, uint64_t value,
				      uint8_t area[32]);

/* The readers complain themselves; true: the value is good. */
bool pst_config_read_choice(struct pst_config_build *build, const struct pst_config_option *option,
			    const struct pst_config_word *word, uint64_t *value);
bool pst_config_read_value(struct pst_config_build *build, const struct pst_config_option *option,
			   const struct pst_config_word *word, uint64_t *value);
/* A value that is no number, stored where the option lies relative to `base`. */
bool pst_config_is_text(const struct pst_config_option *option);
bool pst_config_read_text(struct pst_config_build *build, const struct pst_config_option *option,
			  const struct pst_config_word *word, uint8_t *base);
/* A copy of the generation's in lower case. */
struct pst_span pst_config_lower_copy(struct pst_config_build *build, struct pst_span text);
/* The name of a file, relative to the file that names it; a NUL stands behind it.
 *  ret empty without memory */
struct pst_span pst_config_path(struct pst_config_build *build, struct pst_config_arena *arena,
				const struct pst_config_word *word);
/* Note where a value is given. False, with a complaint, if it was given before. */
bool pst_config_give(struct pst_config_build *build, const struct pst_config_directive *directive,
		     uint32_t option_index, const struct pst_config_place *place);
/* "what; write: the directive's grammar" */
void pst_config_usage(struct pst_config_build *build, const struct pst_config_directive *directive,
		      const struct pst_config_place *place, const char *what);
/* The same, about the place behind the last word. */
void pst_config_missing(struct pst_config_build *build,
			const struct pst_config_directive *directive, const char *what);
bool pst_config_exactly_one(struct pst_config_build *build,
			    const struct pst_config_directive *directive);

/* --- tls.c: what stands in several places ---------------------------------------------------- */

/* After everything was read: what does not go together, and what was not said. */
void pst_config_finish_tls(struct pst_config_build *build);
/* The settings of one `relay` line, and where its words stand. */
void pst_config_check_security(struct pst_config_build *build, struct pst_route *route,
			       const struct pst_config_word *words, uint32_t word_count);

/* --- checks.c ------------------------------------------------------------------------------- */

void pst_config_read_rules(struct pst_config_build *build,
			   const struct pst_config_directive *directive);
void pst_config_show_rules(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive);
void pst_config_read_dns(struct pst_config_build *build, const struct pst_config_directive *directive);
void pst_config_read_dnsbl(struct pst_config_build *build,
			   const struct pst_config_directive *directive);
void pst_config_read_spf(struct pst_config_build *build, const struct pst_config_directive *directive);
void pst_config_show_dns(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive);
void pst_config_show_dnsbl(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive);
void pst_config_show_spf(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive);
void pst_config_read_dry_run(struct pst_config_build *build,
			     const struct pst_config_directive *directive);
void pst_config_read_os(struct pst_config_build *build, const struct pst_config_directive *directive);
void pst_config_show_os(struct pst_config_printer *printer,
			const struct pst_config_directive *directive);
void pst_config_show_dry_run(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive);
/* After everything was read: the lists, at their final number. */
void pst_config_finish_checks(struct pst_config_build *build);

/* --- interface.c ---------------------------------------------------------------------------- */

void pst_config_read_interface(struct pst_config_build *build,
			       const struct pst_config_directive *directive);
void pst_config_show_interface(struct pst_config_printer *printer,
			       const struct pst_config_directive *directive);
/*  ret its `via`; 0: there is none of this name */
uint8_t pst_config_interface_find(const struct pst_config *config, struct pst_span name);
struct pst_span pst_config_interface_name(const struct pst_config *config, uint8_t via);
/* The name of an interface that a line above has given. */
bool pst_config_read_via(struct pst_config_build *build, const struct pst_config_word *word,
			 uint8_t *via);
/* NAME:PORT.
 *  ret false: it is nothing of the kind, and nothing was complained of */
bool pst_config_read_listen_via(struct pst_config_build *build, const struct pst_config_word *word,
				struct pst_addr *addr);

/* --- read.c and show.c: one pair for each kind of line -------------------------------------- */

void pst_config_read_scalar(struct pst_config_build *build,
			    const struct pst_config_directive *directive);
void pst_config_read_options(struct pst_config_build *build,
			     const struct pst_config_directive *directive);
void pst_config_read_switch(struct pst_config_build *build,
			    const struct pst_config_directive *directive);
void pst_config_read_hostname(struct pst_config_build *build,
			      const struct pst_config_directive *directive);
void pst_config_read_listen(struct pst_config_build *build,
			    const struct pst_config_directive *directive);
void pst_config_read_relay(struct pst_config_build *build,
			   const struct pst_config_directive *directive);
void pst_config_read_submission(struct pst_config_build *build,
				const struct pst_config_directive *directive);
void pst_config_show_submission(struct pst_config_printer *printer,
				const struct pst_config_directive *directive);
void pst_config_read_trust(struct pst_config_build *build,
			   const struct pst_config_directive *directive);
void pst_config_read_entry(struct pst_config_build *build,
			   const struct pst_config_directive *directive);
void pst_config_read_bare_newline(struct pst_config_build *build,
				  const struct pst_config_directive *directive);
void pst_config_read_tls(struct pst_config_build *build,
			 const struct pst_config_directive *directive);
void pst_config_read_log(struct pst_config_build *build,
			 const struct pst_config_directive *directive);
void pst_config_read_user(struct pst_config_build *build,
			  const struct pst_config_directive *directive);
void pst_config_read_control(struct pst_config_build *build,
			     const struct pst_config_directive *directive);
void pst_config_show_control(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive);
void pst_config_read_include(struct pst_config_build *build,
			     const struct pst_config_directive *directive);
void pst_config_show_options(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive);
void pst_config_show_hostname(struct pst_config_printer *printer,
			      const struct pst_config_directive *directive);
void pst_config_show_listen(struct pst_config_printer *printer,
			    const struct pst_config_directive *directive);
void pst_config_show_relay(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive);
void pst_config_show_trust(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive);
void pst_config_show_entries(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive);
void pst_config_show_bare_newline(struct pst_config_printer *printer,
				  const struct pst_config_directive *directive);
void pst_config_show_tls(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive);
void pst_config_show_log(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive);
void pst_config_show_user(struct pst_config_printer *printer,
			  const struct pst_config_directive *directive);

extern const struct pst_config_choice pst_config_entry_kinds[];

#endif
