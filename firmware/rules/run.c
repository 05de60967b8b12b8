/* rules/run.c - a set over one message
 *
 * Rules lie in the set by priority and target, so the value of a target is fetched once and all its
 * patterns run over it while it is in the cache. Metas come last, each behind those it needs.
 */
#include <string.h>

#include "rules/set_priv.h"

/* What things cost, in the units of PST_RULES_WORK_MAX. */
#define COST_RULE 1u
#define COST_SUBJECT_BYTES 512u /* that a pattern passes in one unit */
#define COST_EVAL 10u
#define COST_LIMIT 2000u /* a pattern that reached its limit */

static uint32_t aligned(uint32_t size)
{
	return (size + 15u) & ~15u;
}

static uint32_t own_bytes(const struct pst_rules_set *set)
{
	return aligned((set->rule_count + 1) * (uint32_t)sizeof(struct pst_rules_num)) +
	       aligned(set->rule_count * (uint32_t)sizeof(uint32_t));
}

uint32_t pst_rules_run_bytes(const struct pst_rules_set *set, uint32_t len)
{
	return own_bytes(set) + PST_RULES_AREA_FOR(len);
}

uint32_t pst_rules_run_bytes_max(const struct pst_rules_set *set)
{
	return pst_rules_run_bytes(set, UINT32_MAX);
}

int pst_rules_run_begin(struct pst_rules_run *run, struct pst_rules_set *set,
	const struct pst_rules_input *input, void *area, uint32_t size)
{
	uint32_t values = aligned((set->rule_count + 1) * (uint32_t)sizeof(*run->values));
	uint32_t own = own_bytes(set);
	int status;

	if (size < own)
		return -PST_E_NOMEM;
	memset(run, 0, sizeof(*run));
	run->set = set;
	run->input = *input;
	if (!run->input.lists)
		run->input.lists = &set->lists;
	run->limited_rule = set->rule_count;
	run->target = UINT32_MAX;
	run->values = area;
	run->hits = (uint32_t *)(void *)((uint8_t *)area + values);
	for (uint32_t i = 0; i <= set->rule_count; i++)
		run->values[i] = PST_RULES_NUM(0);
	status = pst_rules_view_open(&run->view, &run->input, (uint8_t *)area + own, size - own);
	if (status)
		return status;
	pst_rules_set_ref(set);
	return 0;
}

void pst_rules_run_end(struct pst_rules_run *run)
{
	pst_rules_set_unref(run->set);
	run->set = NULL;
}

static void limited(struct pst_rules_run *run, uint32_t index)
{
	if (run->limited_count++ == 0)
		run->limited_rule = index;
	run->work += COST_LIMIT;
}

static uint32_t match(struct pst_rules_run *run, uint32_t index, struct pst_span subject)
{
	const struct pst_rules_rule *rule = &run->set->rules[index];
	bool negated = rule->flags & PST_RULES_RULE_NEGATED;
	bool many = (rule->flags & PST_RULES_RULE_MULTIPLE) && !negated;
	uint32_t most = many && rule->is.header.hits_max ? rule->is.header.hits_max : UINT16_MAX;
	uint32_t from = 0, count = 0;
	int found;

	do {
		found = pst_rules_regex_match(
			run->set->engine, rule->is.header.regex, subject, many ? &from : NULL);
		run->work += subject.len / COST_SUBJECT_BYTES;
		count += found > 0;
		run->work += many;
	} while (many && found > 0 && count < most && run->work < PST_RULES_WORK_MAX);
	if (found < 0) {
		limited(run, index);
		return count;
	}
	if (negated)
		return count == 0;
	return count;
}

static uint32_t run_header(struct pst_rules_run *run, uint32_t index)
{
	const struct pst_rules_rule *rule = &run->set->rules[index];
	struct pst_span value;
	int there;

	if (run->target != rule->is.header.target) {
		run->target = rule->is.header.target;
		run->value_state = pst_rules_view_get(
			&run->view, &run->set->targets[run->target], &run->value);
	}
	there = run->value_state;
	value = run->value;
	if (there < 0) {
		limited(run, index);
		return 0;
	}
	if (rule->flags & PST_RULES_RULE_EXISTS)
		return there > 0;
	if (!there)
		value = rule->flags & PST_RULES_RULE_UNSET ? rule->is.header.unset : PST_SPAN_NONE;
	return rule->is.header.regex ? match(run, index, value) : 0;
}

static uint32_t run_eval(struct pst_rules_run *run, uint32_t index)
{
	const struct pst_rules_rule *rule = &run->set->rules[index];
	const struct pst_rules_eval_call call = {
		.view = &run->view,
		.lists = run->input.lists,
		.args = rule->is.eval.args,
		.arg_count = rule->is.eval.arg_count,
		.matcher = &run->set->matcher,
	};
	int hits;

	run->work += COST_EVAL;
	if (run->input.local_only && (rule->is.eval.function->needs & PST_RULES_NEED_NET))
		return 0;
	hits = rule->is.eval.function->run(&call);
	return hits > 0 ? (uint32_t)hits : 0;
}

static struct pst_rules_num run_meta(struct pst_rules_run *run, uint32_t index)
{
	struct pst_rules_num result;

	run->work += run->set->rules[index].is.code.len / COST_SUBJECT_BYTES;
	if (pst_rules_expr_eval(run->set->rules[index].is.code, run->values, &result)) {
		limited(run, index);
		return PST_RULES_NUM(0);
	}
	/* a hit always counts for something */
	return result.n < 0 ? PST_RULES_NUM(1) : result;
}

static void add_hit(struct pst_rules_run *run, uint32_t index)
{
	struct pst_rules_hit hit;

	run->hits[run->hit_count++] = index;
	pst_rules_run_hit(run, run->hit_count - 1, &hit);
	if (!hit.sub)
		run->score = pst_score_add(run->score, hit.score);
	if (run->set->rules[index].flags & PST_RULES_RULE_SHORT)
		run->shorted = true;
}

static void run_rule(struct pst_rules_run *run, uint32_t index)
{
	struct pst_rules_num value;

	run->work += COST_RULE;
	switch (run->set->rules[index].kind) {
	case PST_RULES_KIND_HEADER:
		value = PST_RULES_NUM((int32_t)run_header(run, index));
		break;
	case PST_RULES_KIND_HEADER_EVAL:
		value = PST_RULES_NUM((int32_t)run_eval(run, index));
		break;
	default:
		value = run_meta(run, index);
		break;
	}
	run->values[index] = value;
	if (value.n)
		add_hit(run, index);
}

int pst_rules_run_step(struct pst_rules_run *run, uint32_t work)
{
	uint32_t until = run->work + PST_MIN(work, PST_RULES_WORK_MAX);

	while (run->next < run->set->rule_count && !run->shorted) {
		if (run->work >= PST_RULES_WORK_MAX) {
			run->cut = true;
			return 0;
		}
		if (run->work >= until)
			return 1;
		run_rule(run, run->next++);
	}
	return 0;
}

void pst_rules_run_hit(const struct pst_rules_run *run, uint32_t index, struct pst_rules_hit *out)
{
	uint32_t number = run->hits[index];
	const struct pst_rules_rule *rule = &run->set->rules[number];
	const struct pst_rules_num *value = &run->values[number];
	int64_t times = rule->flags & PST_RULES_RULE_MULTIPLE ? value->n / value->d : 1;
	int64_t score = rule->score * times;

	*out = (struct pst_rules_hit){
		.name = rule->name,
		.describe = rule->describe,
		.kind = rule->kind,
		.count = (uint32_t)PST_MAX(value->n / value->d, 1),
		.sub = rule->flags & PST_RULES_RULE_SUB,
	};
	out->score = (pst_score)PST_MIN(PST_MAX(score, PST_SCORE_MIN), PST_SCORE_MAX);
}

struct pst_span pst_rules_run_limited(const struct pst_rules_run *run)
{
	return run->limited_count ? run->set->rules[run->limited_rule].name : PST_SPAN_NONE;
}
