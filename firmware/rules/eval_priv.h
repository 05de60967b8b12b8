/* rules/eval_priv.h - the functions behind the table of eval.c
 *
 * Layer: rules.
 */
#ifndef PST_RULES_EVAL_PRIV_H
#define PST_RULES_EVAL_PRIV_H

#include "rules/eval.h"

typedef int pst_rules_eval_run(const struct pst_rules_eval_call *call);

/* A value, empty if it does not exist or there is no room. */
struct pst_span pst_rules_eval_value(const struct pst_rules_eval_call *call, const char *target);
/* Its first line. */
struct pst_span pst_rules_eval_first(const struct pst_rules_eval_call *call, const char *target);
/* Cut the next line off; false at the end. */
bool pst_rules_eval_line(struct pst_span *rest, struct pst_span *line);

pst_rules_eval_run pst_eval_all_trusted, pst_eval_no_relays, pst_eval_relays_unparseable,
	pst_eval_helo_ip_mismatch, pst_eval_no_rdns_dotcom_helo, pst_eval_mailfrom_matches_rcvd,
	pst_eval_rbl, pst_eval_rbl_sub;
pst_rules_eval_run pst_eval_missing_to, pst_eval_header_count_range, pst_eval_shifted_date,
	pst_eval_illegal_chars, pst_eval_outlook_message_id, pst_eval_to_in_subject,
	pst_eval_equal_from_domains, pst_eval_matching_from, pst_eval_gated, pst_eval_all_caps,
	pst_eval_unresolved_template, pst_eval_ratware_name_id, pst_eval_fake_aol;
pst_rules_eval_run pst_eval_freemail_from, pst_eval_freemail_header, pst_eval_from_in_list,
	pst_eval_replyto_in_list, pst_eval_from_welcome, pst_eval_from_block, pst_eval_to_welcome,
	pst_eval_to_block, pst_eval_to_more_spam, pst_eval_to_all_spam, pst_eval_any_bounce_relays;
pst_rules_eval_run pst_eval_spf_none, pst_eval_spf_neutral, pst_eval_spf_pass, pst_eval_spf_fail,
	pst_eval_spf_softfail, pst_eval_spf_temperror, pst_eval_spf_permerror, pst_eval_helo_none,
	pst_eval_helo_neutral, pst_eval_helo_pass, pst_eval_helo_fail, pst_eval_helo_softfail,
	pst_eval_helo_temperror, pst_eval_helo_permerror;

#endif
