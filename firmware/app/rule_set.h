/* app/rule_set.h - the rules of a generation: loaded in slices, and hung onto it
 *
 * Layer: app. Uses: rules, config, base.
 * Concept: a configuration names files and folders; here they become proxy.rules. What is wrong in a
 * rule file costs that rule and is reported; only a path that cannot be read at all is an error.
 * Memory: set and load take from the given pst_mem; the load's part is given back at its end.
 */
#ifndef PST_APP_RULE_SET_H
#define PST_APP_RULE_SET_H

#include "app/rule_files.h"
#include "config/config.h"

struct pst_app_rules {
	struct pst_mem_system *memory;
	struct pst_config_report *report;
	struct pst_rules_limits limits; /* of this machine, measured once */
	bool measured;

	/* of the load at hand */
	struct pst_rules_report messages;
	struct pst_rule_files files;
	struct pst_rules_load *load; /* NULL: none */
	struct pst_config *config;
	uint64_t bytes_before;
	uint32_t told_count;
};

void pst_app_rules_init(struct pst_app_rules *rules, struct pst_mem_system *memory);

/* Begin to load what a generation names.
 *  in  report: gets complaints, all of them warnings but for unreadable paths; NULL: stderr
 *  ret 1: pst_app_rules_step must be called | 0: it names nothing
 *      | -PST_E_SYNTAX: told to the report | -PST_E_NOMEM */
int pst_app_rules_begin(struct pst_app_rules *rules, struct pst_config *config,
			struct pst_config_report *report) PST_MUST_CHECK;
/* Do about `work` microseconds of it.
 *  ret 1: go on | 0: the generation has its rules | -PST_E_SYNTAX | -PST_E_NOMEM */
int pst_app_rules_step(struct pst_app_rules *rules, uint32_t work) PST_MUST_CHECK;
/* Leave it. Harmless if nothing is being loaded. */
void pst_app_rules_stop(struct pst_app_rules *rules);

/* All of it at once. */
int pst_app_rules_attach(struct pst_app_rules *rules, struct pst_config *config,
			 struct pst_config_report *report) PST_MUST_CHECK;

#endif
