/* app/app.h - what the subcommands share: arguments, printing, files, the machine
 *
 * Layer: app.
 * Concept: main.c turns the command line into a struct pst_app_args; each subcommand is one
 * function of it that returns the exit status.
 */
#ifndef PST_APP_APP_H
#define PST_APP_APP_H

#include "config/config.h"

#define PST_VERSION "0.1.0"

/* Exit statuses. */
enum {
	PST_EXIT_GOOD = 0,
	PST_EXIT_BAD = 1,   /* the configuration, or the machine: a message says what to do */
	PST_EXIT_USAGE = 2, /* the command line */
};

#define PST_APP_LINES_MAX 16  /* -o */
#define PST_APP_FAULTS_MAX 16 /* --fault */

struct pst_app_args {
	struct pst_span config_path;
	struct pst_span lines[PST_APP_LINES_MAX];
	uint32_t line_count;
	bool live; /* check: talk to the internal servers, too */

	struct pst_span control_path; /* status */
	bool as_json, as_metrics;

	struct pst_span sink_listen;
	struct pst_span sink_maildir; /* a NUL stands behind it; empty: messages are thrown away */
	struct pst_span sink_count;
	struct pst_span faults[PST_APP_FAULTS_MAX];
	uint32_t fault_count;

	struct pst_span rules_path;
	bool names;   /* rules lint: each rule and what becomes of it */
	bool as_hits; /* rules lint: what rules hits would run */
	struct pst_span client, helo, from, to;
	bool from_given;
	char **words; /* without the options */
	uint32_t word_count;
};

int pst_app_run(const struct pst_app_args *args);
int pst_app_check(const struct pst_app_args *args);
int pst_app_show(const struct pst_app_args *args);
int pst_app_sink(const struct pst_app_args *args);
int pst_app_rules(const struct pst_app_args *args);
int pst_app_explain(const struct pst_app_args *args);
int pst_app_status(const struct pst_app_args *args);
int pst_app_ask(const struct pst_app_args *args);

/* Write to a descriptor, waiting for it where it must: for start-up and for people, never while
 * mail flows. A `%s` never gets wire bytes. */
void pst_app_print(int fd, const char *format, ...) PST_PRINTF(2, 3);
void pst_app_write(int fd, struct pst_span text);

/* Complain on stderr, with the program's name in front. */
void pst_app_complain(const char *format, ...) PST_PRINTF(1, 2);

#define PST_APP_LOCALS_MAX 64

/* The surroundings that a configuration is loaded in, from the real machine. */
struct pst_app_machine {
	struct pst_config_reader reader;
	struct pst_mem *mem;
	uint8_t name_area[256];
	struct pst_span name;
	uint64_t ram_bytes;
	struct pst_addr locals[PST_APP_LOCALS_MAX];
	uint32_t local_count;
};

/* Write a whole file or none, for nobody else to read; its folder is made if it is not there.
 *  in  folder, path: a NUL stands behind each
 *  ret 0 | -PST_E_ACCESS | -PST_E_NOENT | -PST_E_IO */
int pst_app_write_file(struct pst_span folder, struct pst_span path, struct pst_span text)
	PST_MUST_CHECK;

void pst_app_machine_init(struct pst_app_machine *machine, struct pst_mem *mem);
/*  in  report: gets the complaints; NULL writes them to stderr */
int pst_app_load(struct pst_app_machine *machine, const struct pst_app_args *args,
		 struct pst_config_report *report, uint32_t generation, struct pst_config **config)
	PST_MUST_CHECK;

#endif
