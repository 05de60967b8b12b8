/* rules/eval_relay.c - functions of hops, block lists and SPF */
#include "mail/shape.h"
#include "rules/eval_priv.h"

int pst_eval_all_trusted(const struct pst_rules_eval_call *call)
{
	const struct pst_rules_view *view = call->view;

	return view->trusted_count && view->trusted_count == view->relay_count && !view->unparseable_count;
}

int pst_eval_no_relays(const struct pst_rules_eval_call *call)
{
	return !call->view->relay_count && !call->view->unparseable_count;
}

int pst_eval_relays_unparseable(const struct pst_rules_eval_call *call)
{
	return call->view->unparseable_count > 0;
}

static bool public_ipv4(struct pst_span text, struct pst_addr *addr)
{
	const uint8_t *ip = addr->ip;

	if (pst_addr_parse(text, addr) || addr->family != PST_FAMILY_IPV4)
		return false;
	return ip[0] != 10 && ip[0] != 127 && !(ip[0] == 169 && ip[1] == 254) &&
	       !(ip[0] == 172 && (ip[1] & 0xf0) == 16) && !(ip[0] == 192 && ip[1] == 168) &&
	       !(ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

int pst_eval_helo_ip_mismatch(const struct pst_rules_eval_call *call)
{
	for (uint32_t i = 0; i < call->view->relay_count; i++) {
		const struct pst_rules_relay *relay = &call->view->relays[i];
		struct pst_addr helo, ip;

		if (!relay->trusted && public_ipv4(relay->helo, &helo) && public_ipv4(relay->ip, &ip) &&
		    (helo.ip[0] != ip.ip[0] || helo.ip[1] != ip.ip[1] || helo.ip[2] != ip.ip[2]))
			return 1;
	}
	return 0;
}

int pst_eval_no_rdns_dotcom_helo(const struct pst_rules_eval_call *call)
{
	int hit = 0;

	/* the last hop with a HELO decides */
	for (uint32_t i = 0; i < call->view->relay_count; i++) {
		const struct pst_rules_relay *relay = &call->view->relays[i];

		if (relay->trusted || relay->private_addr)
			continue;
		hit = relay->no_reverse_dns &&
		      pst_shape_match_nocase("<%.*.|><lycos.com|lycos.co.uk|hotmail.com|localhost.com|"
					     "excite.com|caramail.com|cs.com|aol.com|msn.com|yahoo.com|"
					     "drizzle.com>%$", relay->helo, NULL);
	}
	return hit;
}

int pst_eval_mailfrom_matches_rcvd(const struct pst_rules_eval_call *call)
{
	struct pst_span sender = pst_rules_eval_first(call, "EnvelopeFrom:addr"), domain;
	const struct pst_rules_view *view = call->view;
	int64_t at = pst_span_rfind(sender, '@');
	bool any_untrusted = view->relay_count > view->trusted_count;

	if (at < 0)
		return 0;
	domain = pst_rules_lists_domain(call->lists, pst_span_sub(sender, (uint32_t)at + 1, sender.len));
	for (uint32_t i = 0; i < view->relay_count; i++) {
		const struct pst_rules_relay *relay = &view->relays[i];

		if (relay->trusted && any_untrusted)
			continue;
		if (domain.len && relay->rdns.len &&
		    pst_span_eq_nocase(domain, pst_rules_lists_domain(call->lists, relay->rdns)))
			return 1;
		if (!relay->trusted)
			break;
	}
	return 0;
}

static struct pst_span zone_of(struct pst_span text)
{
	return text.len && text.at[text.len - 1] == '.' ? pst_span_sub(text, 0, text.len - 1) : text;
}

/* Does an answer of the zone fit? An empty test takes any. */
static int rbl(const struct pst_rules_eval_call *call, struct pst_span zone, struct pst_span test)
{
	const struct pst_rules_input *input = call->view->input;
	bool asked = false;

	for (uint32_t i = 0; i < input->rbl_count; i++) {
		const struct pst_rules_rbl *answer = &input->rbl[i];
		uint8_t text[PST_ADDR_TEXT_MAX];
		struct pst_buf buf;
		uint64_t mask;

		if (!pst_span_eq_nocase(zone_of(answer->zone), zone))
			continue;
		asked = true;
		if (answer->answer.family != PST_FAMILY_IPV4)
			continue;
		pst_buf_init(&buf, text, sizeof(text));
		pst_addr_put(&buf, &answer->answer);
		if (test.len == 0 || pst_span_eq(test, pst_buf_span(&buf)))
			return 1;
		if (!pst_span_u64(test, UINT32_MAX, &mask) && (answer->answer.ip[3] & mask))
			return 1;
		if (call->matcher && call->matcher->matches(call->matcher, test, pst_buf_span(&buf)) > 0)
			return 1;
	}
	return asked ? 0 : -PST_RULES_CANNOT_TELL;
}

int pst_eval_rbl(const struct pst_rules_eval_call *call)
{
	return rbl(call, zone_of(call->args[1]), call->arg_count > 2 ? call->args[2] : PST_SPAN_NONE);
}

/* The set's name is a zone only by way of the rule with check_rbl; the engine puts the zone in its
 * place when it compiles. */
int pst_eval_rbl_sub(const struct pst_rules_eval_call *call)
{
	return rbl(call, zone_of(call->args[0]), call->args[1]);
}

static int spf(uint8_t have, enum pst_rules_spf want)
{
	return have == PST_RULES_SPF_UNKNOWN ? -PST_RULES_CANNOT_TELL : have == want;
}

#define SPF(name, field, result) \
	int name(const struct pst_rules_eval_call *call) \
	{ \
		return spf(call->view->input->field, result); \
	}
SPF(pst_eval_spf_none, spf_mail_from, PST_RULES_SPF_NONE)
SPF(pst_eval_spf_neutral, spf_mail_from, PST_RULES_SPF_NEUTRAL)
SPF(pst_eval_spf_pass, spf_mail_from, PST_RULES_SPF_PASS)
SPF(pst_eval_spf_fail, spf_mail_from, PST_RULES_SPF_FAIL)
SPF(pst_eval_spf_softfail, spf_mail_from, PST_RULES_SPF_SOFTFAIL)
SPF(pst_eval_spf_temperror, spf_mail_from, PST_RULES_SPF_TEMPERROR)
SPF(pst_eval_spf_permerror, spf_mail_from, PST_RULES_SPF_PERMERROR)
SPF(pst_eval_helo_none, spf_helo, PST_RULES_SPF_NONE)
SPF(pst_eval_helo_neutral, spf_helo, PST_RULES_SPF_NEUTRAL)
SPF(pst_eval_helo_pass, spf_helo, PST_RULES_SPF_PASS)
SPF(pst_eval_helo_fail, spf_helo, PST_RULES_SPF_FAIL)
SPF(pst_eval_helo_softfail, spf_helo, PST_RULES_SPF_SOFTFAIL)
SPF(pst_eval_helo_temperror, spf_helo, PST_RULES_SPF_TEMPERROR)
SPF(pst_eval_helo_permerror, spf_helo, PST_RULES_SPF_PERMERROR)
