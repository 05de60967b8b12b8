/* rules/set.c - what a set is asked */
#include <string.h>

#include "rules/set_priv.h"

void pst_rules_set_ref(struct pst_rules_set *set)
{
	set->ref_count++;
}

void pst_rules_set_unref(struct pst_rules_set *set)
{
	if (!set || --set->ref_count)
		return;
	for (uint32_t i = 0; i < set->rule_count; i++)
		if (set->rules[i].kind == PST_RULES_KIND_HEADER)
			pst_rules_regex_free(set->engine, set->rules[i].is.header.regex);
	pst_rules_engine_close(set->engine);
	if (set->lists.buckets)
		pst_rules_lists_fini(&set->lists);
	pst_rules_chunk_free(set->mem, &set->chunks);
	pst_mem_free(set->mem, set, sizeof(*set));
}

void pst_rules_set_info(const struct pst_rules_set *set, struct pst_rules_set_info *info)
{
	*info = set->info;
	info->bytes = sizeof(*set) + set->chunk_bytes + pst_rules_engine_bytes(set->engine) +
		      set->lists.used_bytes;
	info->jit_bytes = pst_rules_engine_jit_bytes(set->engine);
}

const struct pst_rules_lists *pst_rules_set_lists(const struct pst_rules_set *set)
{
	return &set->lists;
}

/* The pattern is the argument of a function: rare and short, so it is compiled when it is wanted.
 */
static int matches(
	const struct pst_rules_matcher *self, struct pst_span text, struct pst_span subject)
{
	const struct pst_rules_set *set =
		PST_CONTAINER((uintptr_t)self, struct pst_rules_set, matcher);
	struct pst_rules_pattern pattern;
	struct pst_rules_regex *regex;
	const char *why;
	int found;

	if (pst_rules_pattern_parse(text, false, &pattern, &why) ||
		pst_rules_regex_compile(set->engine, &pattern, &regex, NULL))
		return -PST_RULES_CANNOT_TELL;
	found = pst_rules_regex_match(set->engine, regex, subject, NULL);
	pst_rules_regex_free(set->engine, regex);
	return found < 0 ? -PST_RULES_CANNOT_TELL : found;
}

void pst_rules_set_init(struct pst_rules_set *set, struct pst_mem *mem)
{
	set->mem = mem;
	set->ref_count = 1;
	set->matcher.matches = matches;
}

static const struct pst_rules_eval *function_of(const struct pst_rules_rule *rule)
{
	return rule->kind == PST_RULES_KIND_HEADER_EVAL ? rule->is.eval.function : NULL;
}

bool pst_rules_set_scores_spf(const struct pst_rules_set *set, bool helo, enum pst_rules_spf result)
{
	static const char *const RESULTS[] = {
		[PST_RULES_SPF_NONE] = "none",
		[PST_RULES_SPF_NEUTRAL] = "neutral",
		[PST_RULES_SPF_PASS] = "pass",
		[PST_RULES_SPF_FAIL] = "fail",
		[PST_RULES_SPF_SOFTFAIL] = "softfail",
		[PST_RULES_SPF_TEMPERROR] = "temperror",
		[PST_RULES_SPF_PERMERROR] = "permerror",
	};
	struct pst_span before = pst_span_text(helo ? "check_for_spf_helo_" : "check_for_spf_");
	struct pst_span wanted;

	if (result == PST_RULES_SPF_UNKNOWN || (uint32_t)result >= PST_COUNT(RESULTS))
		return false;
	wanted = pst_span_text(RESULTS[result]);
	for (uint32_t i = 0; i < set->meta_from; i++) {
		const struct pst_rules_eval *function = function_of(&set->rules[i]);
		struct pst_span name;

		if (!function || set->rules[i].score == 0)
			continue;
		name = pst_span_text(function->name);
		if (pst_span_eq(pst_span_sub(name, 0, before.len), before) &&
			pst_span_eq(pst_span_sub(name, before.len, name.len), wanted))
			return true;
	}
	return false;
}

static struct pst_span without_dot(struct pst_span zone)
{
	return zone.len && zone.at[zone.len - 1] == '.' ? pst_span_sub(zone, 0, zone.len - 1)
							: zone;
}

bool pst_rules_set_scores_zone(const struct pst_rules_set *set, struct pst_span zone)
{
	zone = without_dot(zone);
	for (uint32_t i = 0; i < set->meta_from; i++) {
		const struct pst_rules_rule *rule = &set->rules[i];
		const struct pst_rules_eval *function = function_of(rule);
		bool is_sub;

		if (!function || !(function->needs & PST_RULES_NEED_RBL) || rule->score == 0)
			continue;
		is_sub = pst_span_eq(pst_span_text(function->name), PST_SPAN("check_rbl_sub"));
		if (pst_span_eq_nocase(without_dot(rule->is.eval.args[is_sub ? 0 : 1]), zone))
			return true;
	}
	return false;
}
