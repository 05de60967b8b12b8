/* rules/link.c - which rules can be evaluated, which are needed, and in which order
 *
 * What has no value here (a rule over the body) must not become 0 in a meta, so the meta goes with
 * it. What is off by somebody's will (a score of 0, no network) is 0 in SpamAssassin, too.
 */
#include "rules/load_priv.h"

static bool is_eval(enum pst_rules_kind kind)
{
	return kind == PST_RULES_KIND_HEADER_EVAL || kind == PST_RULES_KIND_BODY_EVAL ||
	       kind == PST_RULES_KIND_RAWBODY_EVAL || kind == PST_RULES_KIND_FULL_EVAL;
}

static bool is_sub(const struct pst_rules_name *name)
{
	return name->text.len > 1 && name->text.at[0] == '_' && name->text.at[1] == '_';
}

static pst_score score_of(const struct pst_rules_load *load, const struct pst_rules_name *name)
{
	pst_score score = PST_SCORE(1);

	if (name->shortcut == PST_RULES_SHORT_SPAM)
		return PST_SCORE(100);
	if (name->shortcut == PST_RULES_SHORT_HAM)
		return PST_SCORE(-100);
	if (name->scored)
		return name->scores[load->conf.score_set];
	if (pst_span_eq(pst_span_sub(name->text, 0, 2), PST_SPAN("T_")))
		score = 10;
	return name->tflags & PST_RULES_TFLAG_NICE ? -score : score;
}

/* ------------------------------------------------------------------------------- metas to code */

struct finder {
	struct pst_rules_expr_names names;
	const struct pst_rules_load *load;
	const struct pst_rules_name *meta;
};

static int64_t find_name(struct pst_rules_expr_names *self, struct pst_span text)
{
	const struct finder *finder = PST_CONTAINER(self, struct finder, names);
	const struct pst_rules_name *name = pst_rules_name_find(finder->load, text);

	if (pst_span_eq(text, PST_SPAN("local_tests_only")) && finder->load->conf.score_set == 0)
		return PST_RULES_EXPR_ONE;
	return name && name->kind != PST_RULES_KIND_NONE ? (int64_t)name->rule : -PST_E_NOENT;
}

/* * and ?, letters as they are. */
static bool matches_glob(struct pst_span glob, struct pst_span text)
{
	uint32_t g = 0, t = 0, star = UINT32_MAX, mark = 0;

	while (t < text.len) {
		if (g < glob.len && glob.at[g] == '*') {
			star = g++;
			mark = t;
		} else if (g < glob.len && (glob.at[g] == '?' || glob.at[g] == text.at[t])) {
			g++;
			t++;
		} else if (star != UINT32_MAX) {
			g = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (g < glob.len && glob.at[g] == '*')
		g++;
	return g == glob.len;
}

static int64_t next_matching(struct pst_rules_expr_names *self, struct pst_span glob, uint32_t *at)
{
	const struct finder *finder = PST_CONTAINER(self, struct finder, names);

	while (*at < finder->load->name_count) {
		const struct pst_rules_name *name = finder->load->names[(*at)++];

		if (name != finder->meta && name->kind != PST_RULES_KIND_NONE &&
			matches_glob(glob, name->text))
			return name->rule;
	}
	return -PST_E_NOENT;
}

static void compile_meta(struct pst_rules_load *load, struct pst_rules_name *name)
{
	struct finder finder = {{find_name, next_matching}, load, name};
	const char *why;
	struct pst_buf code;

	pst_buf_init(&code, load->expand_area[0], PST_RULES_META_BYTES_MAX);
	if (pst_rules_expr_compile(name->body, &finder.names, &code, &why))
		name->why = PST_RULES_TOO_LARGE;
	else
		name->code = pst_rules_load_copy(load, pst_buf_span(&code));
}

/* ----------------------------------------------------------------------------------- functions */

static bool is_bare(uint8_t c)
{
	return pst_is_alnum(c) || c == '.' || c == ':' || c == '-';
}

static void skip_space(struct pst_span *rest)
{
	while (rest->len && pst_is_space(rest->at[0]))
		*rest = pst_span_sub(*rest, 1, rest->len);
}

/* 'quoted', "quoted", or a bare word of letters, digits and . : -
 *  ret false: something else */
static bool take_argument(struct pst_span *rest, struct pst_span *arg)
{
	uint8_t quote = rest->at[0];
	uint32_t len = 0;
	int64_t end;

	if (quote == '\'' || quote == '"') {
		*rest = pst_span_sub(*rest, 1, rest->len);
		end = pst_span_find(*rest, quote);
		if (end < 0)
			return false;
		*arg = pst_span_sub(*rest, 0, (uint32_t)end);
		*rest = pst_span_sub(*rest, (uint32_t)end + 1, rest->len);
		return true;
	}
	while (len < rest->len && is_bare(rest->at[len]))
		len++;
	*arg = pst_span_sub(*rest, 0, len);
	*rest = pst_span_sub(*rest, len, rest->len);
	return len > 0;
}

static bool take_arguments(struct pst_rules_name *name, struct pst_span rest)
{
	skip_space(&rest);
	while (rest.len) {
		if (name->arg_count == PST_RULES_EVAL_ARGS_MAX ||
			!take_argument(&rest, &name->args[name->arg_count]))
			return false;
		name->arg_count++;
		skip_space(&rest);
		if (rest.len == 0)
			return true;
		if (rest.at[0] != ',')
			return false;
		rest = pst_span_sub(rest, 1, rest.len);
		skip_space(&rest);
	}
	return true;
}

/* SpamAssassin runs no such rule in the score sets without network and without learning. */
static bool is_off(const struct pst_rules_load *load, const struct pst_rules_name *name)
{
	static const struct pst_span LOOKUPS[] = {
		{(const uint8_t *)"check_rbl", 9},
		{(const uint8_t *)"check_dns", 9},
	};
	bool looks_up = name->tflags & PST_RULES_TFLAG_NET;

	for (uint32_t i = 0; i < PST_COUNT(LOOKUPS); i++)
		looks_up = looks_up ||
			   pst_span_eq(pst_span_sub(name->body, 0, LOOKUPS[i].len), LOOKUPS[i]);
	return (name->tflags & PST_RULES_TFLAG_LEARN) || (load->conf.score_set == 0 && looks_up);
}

static void bind_function(struct pst_rules_load *load, struct pst_rules_name *name)
{
	uint32_t paren = (uint32_t)pst_span_find(name->body, '(');
	struct pst_span function = pst_span_sub(name->body, 0, paren);

	(void)load;
	if (!take_arguments(
		    name, pst_span_sub(name->body, paren + 1, name->body.len - paren - 2))) {
		name->why = PST_RULES_ARGUMENTS;
		return;
	}
	name->eval = pst_rules_eval_find(function);
	if (!name->eval || name->kind != PST_RULES_KIND_HEADER_EVAL) {
		name->why = PST_RULES_FUNCTION;
		name->detail = function;
	} else if (!pst_rules_eval_takes(name->eval, name->arg_count)) {
		name->why = PST_RULES_ARGUMENTS;
	}
}

static void classify(struct pst_rules_load *load, struct pst_rules_name *name)
{
	enum pst_rules_kind kind = name->kind;

	if (kind == PST_RULES_KIND_NONE || name->why != PST_RULES_RUNS)
		return;
	if (is_eval(kind) && is_off(load, name))
		name->why = PST_RULES_OFF;
	else if (is_eval(kind))
		bind_function(load, name);
	else if (kind == PST_RULES_KIND_ASKDNS)
		name->why = load->conf.score_set == 0 ? PST_RULES_OFF : PST_RULES_NETWORK;
	else if (kind == PST_RULES_KIND_EMPTY)
		name->why = PST_RULES_NOTHING;
	else if (kind == PST_RULES_KIND_META)
		compile_meta(load, name);
	else if (kind != PST_RULES_KIND_HEADER)
		name->why = PST_RULES_BODY;
	if (!load->conf.keep_all && score_of(load, name) == 0)
		name->why = PST_RULES_SCORE_ZERO;
}

int pst_rules_load_metas(struct pst_rules_load *load, uint32_t *work)
{
	while (*work) {
		struct pst_rules_name *name;
		uint32_t cost;

		if (load->at == load->name_count)
			return 0;
		name = load->names[load->at++];
		name->scores[load->conf.score_set] = score_of(load, name);
		classify(load, name);
		if (load->status)
			return load->status;
		cost = 1 + name->code.len / 64;
		*work -= PST_MIN(cost, *work);
	}
	return 1;
}

/* check_rbl_sub('zen', ...) means the zone of the rule that says check_rbl('zen', 'zone', ...). */
static void bind_zones(struct pst_rules_load *load)
{
	for (uint32_t i = 0; i < load->name_count; i++) {
		struct pst_rules_name *name = load->names[i];
		bool found = false;

		if (name->why != PST_RULES_RUNS || !name->eval ||
			!pst_span_eq(pst_span_text(name->eval->name), PST_SPAN("check_rbl_sub")))
			continue;
		for (uint32_t k = 0; k < load->name_count && !found; k++) {
			const struct pst_rules_name *other = load->names[k];

			if (other == name || other->kind != PST_RULES_KIND_HEADER_EVAL ||
				!other->eval ||
				!pst_span_eq(
					pst_span_text(other->eval->name), PST_SPAN("check_rbl")) ||
				other->arg_count < 2 || !pst_span_eq(other->args[0], name->args[0]))
				continue;
			found = true;
			name->args[0] = other->args[1];
		}
		if (!found) {
			name->why = PST_RULES_ZONE;
			name->detail = name->args[0];
		}
	}
}

/* ------------------------------------------------------------------------------- metas in order */

/* What a meta becomes because of one name below it. */
static void inherit(struct pst_rules_name *meta, const struct pst_rules_name *below)
{
	if (meta->why != PST_RULES_RUNS)
		return;
	switch ((enum pst_rules_why)below->why) {
	case PST_RULES_RUNS:
	case PST_RULES_OFF:
	case PST_RULES_NOTHING:
	case PST_RULES_NOT_NEEDED:
		return;
	case PST_RULES_SCORE_ZERO:
		/* SpamAssassin waits for such a meta, and for what is above it, in vain */
		if (below->kind == PST_RULES_KIND_META)
			meta->why = PST_RULES_SCORE_ZERO;
		return;
	case PST_RULES_CYCLE:
		meta->why = PST_RULES_CYCLE;
		return;
	default:
		meta->why = PST_RULES_OVER;
		meta->detail = below->why == PST_RULES_OVER ? below->detail : below->text;
		return;
	}
}

enum mark { NEW, OPEN, DONE };

/* Visit `top` and what is below it, those below first. */
static void visit(struct pst_rules_load *load, struct pst_rules_name *top)
{
	struct pst_rules_name *name = top;

	top->above = NULL;
	while (name) {
		int64_t index = pst_rules_expr_next_name(name->code, &name->walk_at);
		struct pst_rules_name *below;

		name->mark = OPEN;
		if (index < 0) {
			name->mark = DONE;
			load->metas[load->meta_count++] =
				(uint32_t)pst_rules_name_index(load, name->text);
			if (name->above)
				inherit(name->above, name);
			name = name->above;
			continue;
		}
		below = load->names[index];
		if (below->kind != PST_RULES_KIND_META || below->mark == DONE) {
			inherit(name, below);
		} else if (below->mark == OPEN) {
			name->why = PST_RULES_CYCLE;
		} else {
			below->above = name;
			name = below;
		}
	}
}

static int order_metas(struct pst_rules_load *load)
{
	uint32_t size = PST_MAX(load->name_count, 1u) * (uint32_t)sizeof(*load->metas);

	load->metas = pst_rules_load_get(load, size);
	load->order = pst_rules_load_get(load, size);
	if (!load->metas || !load->order)
		return load->status;
	for (uint32_t i = 0; i < load->name_count; i++)
		if (load->names[i]->kind == PST_RULES_KIND_META && load->names[i]->mark == NEW)
			visit(load, load->names[i]);
	for (uint32_t i = 0; i < load->name_count; i++)
		if (load->names[i]->why == PST_RULES_CYCLE)
			pst_rules_load_complain_of(load, load->names[i],
				"the rule is switched off: it depends on itself, or on one that "
				"does");
	return 0;
}

/* --------------------------------------------------------------------------------- what is needed
 */

static void find_needed(struct pst_rules_load *load)
{
	for (uint32_t i = 0; i < load->name_count; i++) {
		struct pst_rules_name *name = load->names[i];

		name->needed = name->kind != PST_RULES_KIND_NONE && name->why == PST_RULES_RUNS &&
			       (load->conf.keep_all || !is_sub(name));
	}
	for (uint32_t i = load->meta_count; i-- > 0;) {
		struct pst_rules_name *meta = load->names[load->metas[i]];
		uint32_t at = 0;
		int64_t index;

		while (meta->needed && (index = pst_rules_expr_next_name(meta->code, &at)) >= 0)
			load->names[index]->needed = load->names[index]->why == PST_RULES_RUNS;
	}
	for (uint32_t i = 0; i < load->name_count; i++)
		if (load->names[i]->why == PST_RULES_RUNS && !load->names[i]->needed)
			load->names[i]->why = PST_RULES_NOT_NEEDED;
}

static int compare_nocase(struct pst_span a, struct pst_span b)
{
	for (uint32_t i = 0; i < PST_MIN(a.len, b.len); i++)
		if (pst_lower(a.at[i]) != pst_lower(b.at[i]))
			return pst_lower(a.at[i]) < pst_lower(b.at[i]) ? -1 : 1;
	return (a.len > b.len) - (a.len < b.len);
}

/* Lower priorities first; then header rules of one target beside each other. */
static bool is_before(const struct pst_rules_name *a, const struct pst_rules_name *b)
{
	int by_target;

	if (a->priority != b->priority)
		return a->priority < b->priority;
	if (a->kind != b->kind)
		return a->kind < b->kind;
	by_target = compare_nocase(a->target, b->target);
	return by_target ? by_target < 0 : a->rule < b->rule;
}

/* Shell's sort: short, without recursion, fast enough for some thousands. */
static void sort(const struct pst_rules_load *load, uint32_t *order, uint32_t count)
{
	uint32_t gap = 1;

	while (gap < count / 3)
		gap = gap * 3 + 1;
	for (; gap; gap /= 3)
		for (uint32_t i = gap; i < count; i++) {
			uint32_t index = order[i], at = i;

			while (at >= gap &&
				is_before(load->names[index], load->names[order[at - gap]])) {
				order[at] = order[at - gap];
				at -= gap;
			}
			order[at] = index;
		}
}

int pst_rules_load_link(struct pst_rules_load *load)
{
	int status;

	bind_zones(load);
	status = order_metas(load);
	if (status)
		return status;
	find_needed(load);
	for (uint32_t i = 0; i < load->name_count; i++)
		if (load->names[i]->needed && load->names[i]->kind != PST_RULES_KIND_META)
			load->order[load->order_count++] = i;
	sort(load, load->order, load->order_count);
	load->set->meta_from = load->order_count;
	for (uint32_t i = 0; i < load->meta_count; i++)
		if (load->names[load->metas[i]]->needed)
			load->order[load->order_count++] = load->metas[i];
	return 0;
}
