/* rules/build.c - the set, rule by rule */
#include <string.h>

#include "rules/load_priv.h"

static void *get(struct pst_rules_load *load, uint32_t size)
{
	struct pst_rules_set *set = load->set;
	void *block =
		pst_rules_chunk_get(set->mem, &set->chunks, PST_MAX(size, 1u), &set->chunk_bytes);

	if (!block)
		load->status = -PST_E_NOMEM;
	return block;
}

static struct pst_span copy(struct pst_rules_load *load, struct pst_span text)
{
	uint8_t *bytes = text.len ? get(load, text.len) : NULL;

	if (!bytes)
		return PST_SPAN_NONE;
	memcpy(bytes, text.at, text.len);
	return (struct pst_span){bytes, text.len};
}

static void begin(struct pst_rules_load *load)
{
	struct pst_rules_set *set = load->set;

	set->rules = get(load, load->order_count * (uint32_t)sizeof(*set->rules));
	set->targets = get(load, set->meta_from * (uint32_t)sizeof(*set->targets));
	for (uint32_t i = 0; i < load->name_count; i++)
		load->names[i]->rule = PST_RULES_NO_RULE;
	for (uint32_t i = 0; i < load->order_count; i++)
		load->names[load->order[i]]->rule = i;
}

/* Tags replaced, the pattern compiled anew. One that fails stays as it was, as in SpamAssassin. */
static void replace_tags(struct pst_rules_load *load, struct pst_rules_name *name)
{
	struct pst_rules_pattern pattern;
	struct pst_rules_regex *regex;
	const char *why;
	int status;

	if (pst_rules_pattern_parse(name->body, true, &pattern, &why))
		return;
	status = pst_rules_replace(load, pattern.text, &pattern.text);
	if (status == 0)
		return;
	if (status > 0)
		status = pst_rules_regex_compile(load->set->engine, &pattern, &regex, NULL);
	if (status == -PST_E_NOMEM) {
		load->status = status;
	} else if (status) {
		pst_rules_load_complain_of(load, name,
			"with its tags replaced %s; it is taken without",
			status == -PST_E_SYNTAX ? "it is no pattern" : "it is too large");
	} else {
		pst_rules_regex_free(load->set->engine, name->regex);
		name->regex = regex;
	}
}

static void build_header(
	struct pst_rules_load *load, struct pst_rules_name *name, struct pst_rules_rule *rule)
{
	struct pst_rules_set *set = load->set;
	struct pst_rules_target target;

	if (pst_rules_target_parse(name->target, &target)) {
		load->status = -PST_E_SYNTAX;
		return;
	}
	if (set->target_count == 0 ||
		!pst_rules_target_eq(&set->targets[set->target_count - 1], &target)) {
		target.name = copy(load, target.name);
		set->targets[set->target_count++] = target;
	}
	rule->is.header.target = set->target_count - 1;
	rule->flags |= (name->negated ? PST_RULES_RULE_NEGATED : 0) |
		       (name->exists ? PST_RULES_RULE_EXISTS : 0) |
		       (name->has_unset ? PST_RULES_RULE_UNSET : 0) |
		       (name->tflags & PST_RULES_TFLAG_MULTIPLE ? PST_RULES_RULE_MULTIPLE : 0);
	rule->is.header.unset = copy(load, name->unset);
	rule->is.header.hits_max = name->hits_max;
	if (name->replaces && name->regex)
		replace_tags(load, name);
	if (name->regex)
		pst_rules_regex_speed_up(set->engine, name->regex);
	rule->is.header.regex = name->regex;
	name->regex = NULL;
	set->info.header_count++;
}

static void build_eval(
	struct pst_rules_load *load, const struct pst_rules_name *name, struct pst_rules_rule *rule)
{
	struct pst_span *args = NULL;

	if (name->arg_count) {
		args = get(load, name->arg_count * (uint32_t)sizeof(*args));
		for (uint32_t i = 0; args && i < name->arg_count; i++)
			args[i] = copy(load, name->args[i]);
	}
	rule->is.eval.function = name->eval;
	rule->is.eval.args = args;
	rule->is.eval.arg_count = args ? name->arg_count : 0;
	load->set->info.eval_count++;
}

/* Names become numbers of rules; one that does not run is the number behind the last rule, which
 * is always 0. */
static void build_meta(
	struct pst_rules_load *load, const struct pst_rules_name *name, struct pst_rules_rule *rule)
{
	uint8_t *code = get(load, name->code.len);
	uint32_t at = 0;
	int64_t index;

	if (!code)
		return;
	memcpy(code, name->code.at, name->code.len);
	while ((index = pst_rules_expr_next_name(name->code, &at)) >= 0) {
		uint32_t number = load->names[index]->rule;

		pst_rules_expr_set_name(
			code, at, number == PST_RULES_NO_RULE ? load->order_count : number);
	}
	rule->is.code = (struct pst_span){code, name->code.len};
	load->set->info.meta_count++;
}

static void build_rule(struct pst_rules_load *load, struct pst_rules_name *name)
{
	struct pst_rules_set *set = load->set;
	struct pst_rules_rule *rule = &set->rules[set->rule_count];
	bool sub = pst_span_eq(pst_span_sub(name->text, 0, 2), PST_SPAN("__"));

	rule->name = copy(load, name->text);
	rule->describe = sub ? PST_SPAN_NONE : copy(load, name->describe);
	rule->kind = name->kind;
	rule->score = name->scores[load->conf.score_set];
	rule->flags = (uint8_t)((sub ? PST_RULES_RULE_SUB : 0) |
				(name->shortcut != PST_RULES_SHORT_OFF ? PST_RULES_RULE_SHORT : 0));
	if (name->kind == PST_RULES_KIND_HEADER)
		build_header(load, name, rule);
	else if (name->kind == PST_RULES_KIND_HEADER_EVAL)
		build_eval(load, name, rule);
	else
		build_meta(load, name, rule);
	if (!sub && rule->score)
		set->info.scored_count++;
	set->rule_count++;
}

int pst_rules_load_build(struct pst_rules_load *load, uint32_t *work)
{
	struct pst_rules_set *set = load->set;

	if (set->rule_count == 0 && !set->rules)
		begin(load);
	while (*work && !load->status) {
		struct pst_rules_name *name;
		uint32_t cost;

		if (set->rule_count == load->order_count)
			return 0;
		name = load->names[load->order[set->rule_count]];
		cost = name->kind == PST_RULES_KIND_HEADER ? 60 + name->body.len / 4 : 2;
		build_rule(load, name);
		*work -= PST_MIN(cost, *work);
	}
	return load->status ? load->status : 1;
}
