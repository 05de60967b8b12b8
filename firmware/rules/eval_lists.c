/* rules/eval_lists.c - functions that look addresses up in lists */
#include "mail/shape.h"
#include "rules/eval_priv.h"

typedef int address_test(const struct pst_rules_eval_call *call, struct pst_span address,
			 const void *what);

/* Ask for each address of each target until one hits. */
static int any_address(const struct pst_rules_eval_call *call, const char *const *targets,
		       uint32_t count, address_test *test, const void *what)
{
	for (uint32_t i = 0; i < count; i++) {
		struct pst_span rest = pst_rules_eval_value(call, targets[i]), line;

		while (pst_rules_eval_line(&rest, &line)) {
			int answer = line.len ? test(call, line, what) : 0;

			if (answer)
				return answer;
		}
	}
	return 0;
}

static int from_addresses(const struct pst_rules_eval_call *call, address_test *test,
			  const void *what)
{
	static const char *const RESENT[] = {"Resent-From:first:addr"};
	static const char *const FROM[] = {"From:addr", "Envelope-Sender:addr", "Resent-Sender:addr",
					   "X-Envelope-From:addr", "EnvelopeFrom:addr"};

	if (pst_rules_eval_value(call, RESENT[0]).len)
		return any_address(call, RESENT, 1, test, what);
	return any_address(call, FROM, PST_COUNT(FROM), test, what);
}

static int to_addresses(const struct pst_rules_eval_call *call, address_test *test, const void *what)
{
	static const char *const RESENT[] = {"Resent-To:first:addr", "Resent-Cc:first:addr"};
	static const char *const TO[] = {
		"To:addr", "Apparently-To:addr", "Delivered-To:addr", "Envelope-Recipients:addr",
		"Apparently-Resent-To:addr", "X-Envelope-To:addr", "Envelope-To:addr",
		"X-Delivered-To:addr", "X-Original-To:addr", "X-Rcpt-To:addr", "X-Real-To:addr", "Cc:addr"};

	if (pst_rules_eval_value(call, RESENT[0]).len || pst_rules_eval_value(call, RESENT[1]).len)
		return any_address(call, RESENT, PST_COUNT(RESENT), test, what);
	return any_address(call, TO, PST_COUNT(TO), test, what);
}

static int in_list(const struct pst_rules_eval_call *call, struct pst_span address, const void *what)
{
	return pst_rules_lists_has(call->lists, *(const enum pst_rules_list *)what, PST_SPAN_NONE, address);
}

static int in_named(const struct pst_rules_eval_call *call, struct pst_span address,
		    const void *what)
{
	(void)what;
	return pst_rules_lists_has(call->lists, PST_RULES_ADDRLIST, call->args[0], address);
}

int pst_eval_from_in_list(const struct pst_rules_eval_call *call)
{
	return from_addresses(call, in_named, NULL);
}

int pst_eval_replyto_in_list(const struct pst_rules_eval_call *call)
{
	static const char *const REPLY[] = {"Reply-To:addr"};

	return any_address(call, REPLY, 1, in_named, NULL);
}

#define LISTED(name, addresses, list) \
	int name(const struct pst_rules_eval_call *call) \
	{ \
		static const enum pst_rules_list LIST = list; \
		return addresses(call, in_list, &LIST); \
	}
LISTED(pst_eval_from_welcome, from_addresses, PST_RULES_WELCOME_FROM)
LISTED(pst_eval_from_block, from_addresses, PST_RULES_BLOCK_FROM)
LISTED(pst_eval_to_welcome, to_addresses, PST_RULES_WELCOME_TO)
LISTED(pst_eval_to_block, to_addresses, PST_RULES_BLOCK_TO)
LISTED(pst_eval_to_more_spam, to_addresses, PST_RULES_MORE_SPAM_TO)
LISTED(pst_eval_to_all_spam, to_addresses, PST_RULES_ALL_SPAM_TO)

int pst_eval_any_bounce_relays(const struct pst_rules_eval_call *call)
{
	return call->lists->count[PST_RULES_WELCOME_BOUNCE_RELAYS] > 0;
}

/* Role addresses are nobody's free mailbox. */
static bool is_role(struct pst_span address)
{
	return pst_shape_match_nocase("<abuse|support|sales|info|helpdesk|contact|kontakt>@", address, NULL) ||
	       pst_shape_search_nocase("@yahoo.com.", address, NULL);
}

static int is_freemail(const struct pst_rules_eval_call *call, struct pst_span address,
		       const void *what)
{
	const struct pst_span *pattern = what;
	struct pst_span domain = pst_span_sub(address, (uint32_t)(pst_span_rfind(address, '@') + 1),
					      address.len);
	const struct pst_rules_lists *lists = call->lists;

	/* the list of domains first: it is one look-up, and most addresses are not in it */
	if (pst_span_rfind(address, '@') < 0 ||
	    !pst_rules_lists_has(lists, PST_RULES_FREEMAIL, PST_SPAN_NONE, domain) ||
	    is_role(address) ||
	    pst_rules_lists_has(lists, PST_RULES_FREEMAIL_WELCOME, PST_SPAN_NONE, address) ||
	    pst_rules_lists_has(lists, PST_RULES_FREEMAIL_WELCOME, PST_SPAN_NONE, domain) ||
	    pst_rules_lists_has(lists, PST_RULES_WELCOME_AUTH, PST_SPAN_NONE, address) ||
	    pst_rules_lists_has(lists, PST_RULES_DEF_WELCOME_AUTH, PST_SPAN_NONE, address))
		return 0;
	if (!pattern)
		return 1;
	return call->matcher ? call->matcher->matches(call->matcher, *pattern, address) :
			       -PST_RULES_CANNOT_TELL;
}

int pst_eval_freemail_from(const struct pst_rules_eval_call *call)
{
	return from_addresses(call, is_freemail, call->arg_count ? &call->args[0] : NULL);
}

int pst_eval_freemail_header(const struct pst_rules_eval_call *call)
{
	struct pst_rules_target target;
	struct pst_span rest, line;

	if (pst_rules_target_parse(call->args[0], &target))
		return 0;
	target.mods |= PST_RULES_MOD_ADDR;
	if (pst_rules_view_get(call->view, &target, &rest) <= 0)
		return 0;
	while (pst_rules_eval_line(&rest, &line)) {
		int answer = is_freemail(call, line, call->arg_count > 1 ? &call->args[1] : NULL);

		if (answer)
			return answer;
	}
	return 0;
}
