/* rules/eval.c - the table of eval functions */
#include "rules/eval_priv.h"

static const struct pst_rules_eval TABLE[] = {
	{"check_all_trusted", "RelayEval", 0, 0, 0, pst_eval_all_trusted},
	{"check_no_relays", "RelayEval", 0, 0, 0, pst_eval_no_relays},
	{"check_relays_unparseable", "RelayEval", 0, 0, 0, pst_eval_relays_unparseable},
	{"helo_ip_mismatch", "RelayEval", 0, 0, 0, pst_eval_helo_ip_mismatch},
	{"check_for_no_rdns_dotcom_helo", "RelayEval", 0, 0, 0, pst_eval_no_rdns_dotcom_helo},
	{"check_mailfrom_matches_rcvd", "WLBLEval", 0, 0, 0, pst_eval_mailfrom_matches_rcvd},
	{"check_rbl", "DNSEval", 2, 3, PST_RULES_NEED_NET | PST_RULES_NEED_RBL, pst_eval_rbl},
	{"check_rbl_sub", "DNSEval", 2, 2, PST_RULES_NEED_NET | PST_RULES_NEED_RBL, pst_eval_rbl_sub},
	{"check_for_missing_to_header", "HeaderEval", 0, 0, 0, pst_eval_missing_to},
	{"check_header_count_range", "HeaderEval", 3, 3, 0, pst_eval_header_count_range},
	{"check_for_shifted_date", "HeaderEval", 2, 2, 0, pst_eval_shifted_date},
	{"check_illegal_chars", "HeaderEval", 3, 3, 0, pst_eval_illegal_chars},
	{"check_outlook_message_id", "HeaderEval", 0, 0, 0, pst_eval_outlook_message_id},
	{"check_for_to_in_subject", "HeaderEval", 1, 1, 0, pst_eval_to_in_subject},
	{"check_equal_from_domains", "HeaderEval", 0, 0, 0, pst_eval_equal_from_domains},
	{"check_for_matching_env_and_hdr_from", "HeaderEval", 0, 0, 0, pst_eval_matching_from},
	{"gated_through_received_hdr_remover", "HeaderEval", 0, 0, 0, pst_eval_gated},
	{"subject_is_all_caps", "HeaderEval", 0, 0, 0, pst_eval_all_caps},
	{"check_unresolved_template", "HeaderEval", 0, 0, 0, pst_eval_unresolved_template},
	{"check_ratware_name_id", "HeaderEval", 0, 0, 0, pst_eval_ratware_name_id},
	{"check_for_fake_aol_relay_in_rcvd", "HeaderEval", 0, 0, 0, pst_eval_fake_aol},
	{"check_freemail_from", "FreeMail", 0, 1, 0, pst_eval_freemail_from},
	{"check_freemail_header", "FreeMail", 1, 2, 0, pst_eval_freemail_header},
	{"check_from_in_list", "WLBLEval", 1, 1, 0, pst_eval_from_in_list},
	{"check_replyto_in_list", "WLBLEval", 1, 1, 0, pst_eval_replyto_in_list},
	{"check_from_in_welcomelist", "WLBLEval", 0, 0, 0, pst_eval_from_welcome},
	{"check_from_in_whitelist", "WLBLEval", 0, 0, 0, pst_eval_from_welcome},
	{"check_from_in_blocklist", "WLBLEval", 0, 0, 0, pst_eval_from_block},
	{"check_from_in_blacklist", "WLBLEval", 0, 0, 0, pst_eval_from_block},
	{"check_to_in_welcomelist", "WLBLEval", 0, 0, 0, pst_eval_to_welcome},
	{"check_to_in_whitelist", "WLBLEval", 0, 0, 0, pst_eval_to_welcome},
	{"check_to_in_blocklist", "WLBLEval", 0, 0, 0, pst_eval_to_block},
	{"check_to_in_blacklist", "WLBLEval", 0, 0, 0, pst_eval_to_block},
	{"check_to_in_more_spam", "WLBLEval", 0, 0, 0, pst_eval_to_more_spam},
	{"check_to_in_all_spam", "WLBLEval", 0, 0, 0, pst_eval_to_all_spam},
	{"have_any_bounce_relays", "VBounce", 0, 0, 0, pst_eval_any_bounce_relays},
#define SPF(name, function) {"check_for_spf_" name, "SPF", 0, 0, PST_RULES_NEED_NET | PST_RULES_NEED_SPF, function}
	SPF("none", pst_eval_spf_none), SPF("neutral", pst_eval_spf_neutral),
	SPF("pass", pst_eval_spf_pass), SPF("fail", pst_eval_spf_fail),
	SPF("softfail", pst_eval_spf_softfail), SPF("temperror", pst_eval_spf_temperror),
	SPF("permerror", pst_eval_spf_permerror), SPF("helo_none", pst_eval_helo_none),
	SPF("helo_neutral", pst_eval_helo_neutral), SPF("helo_pass", pst_eval_helo_pass),
	SPF("helo_fail", pst_eval_helo_fail), SPF("helo_softfail", pst_eval_helo_softfail),
	SPF("helo_temperror", pst_eval_helo_temperror), SPF("helo_permerror", pst_eval_helo_permerror),
#undef SPF
};

const struct pst_rules_eval *pst_rules_eval_find(struct pst_span name)
{
	for (uint32_t i = 0; i < PST_COUNT(TABLE); i++)
		if (pst_span_eq(name, pst_span_text(TABLE[i].name)))
			return &TABLE[i];
	return NULL;
}

bool pst_rules_eval_plugin(struct pst_span plugin)
{
	static const struct pst_span PREFIX = {(const uint8_t *)"Mail::SpamAssassin::Plugin::", 28};

	if (pst_span_starts_nocase(plugin, PREFIX))
		plugin = pst_span_sub(plugin, PREFIX.len, plugin.len);
	for (uint32_t i = 0; i < PST_COUNT(TABLE); i++)
		if (pst_span_eq(plugin, pst_span_text(TABLE[i].plugin)))
			return true;
	return false;
}

bool pst_rules_eval_takes(const struct pst_rules_eval *eval, uint32_t arg_count)
{
	return arg_count >= eval->arg_min && arg_count <= eval->arg_max;
}

struct pst_span pst_rules_eval_value(const struct pst_rules_eval_call *call, const char *target)
{
	struct pst_span value;

	return pst_rules_view_named(call->view, pst_span_text(target), &value) > 0 ? value :
										     PST_SPAN_NONE;
}

bool pst_rules_eval_line(struct pst_span *rest, struct pst_span *line)
{
	int64_t newline = pst_span_find(*rest, '\n');
	uint32_t len = newline < 0 ? rest->len : (uint32_t)newline;

	if (rest->len == 0)
		return false;
	*line = pst_span_sub(*rest, 0, len);
	*rest = pst_span_sub(*rest, len + 1, rest->len);
	return true;
}

struct pst_span pst_rules_eval_first(const struct pst_rules_eval_call *call, const char *target)
{
	struct pst_span rest = pst_rules_eval_value(call, target), line = PST_SPAN_NONE;

	(void)pst_rules_eval_line(&rest, &line);
	return line;
}
