/* check/spf.c - check_host() as a machine, see spf.h
 *
 * `advance` runs until a question is wanted or the result stands. One question at a time, but for
 * the addresses of an mx's or ptr's names: they are asked for together, and what they say counts
 * when the last has come, so that the order of answers makes no difference.
 */
#include "check/spf.h"

#include <string.h>

#include "check/spf_macro.h"
#include "check/spf_parse.h"

/* What the answer is for. */
enum want {
	WANT_NOTHING,
	WANT_RECORD,
	WANT_A,
	WANT_EXISTS,
	WANT_MX,
	WANT_MX_NAMES, /* addresses of spf->names */
	WANT_PTR,
	WANT_PTR_NAMES,
	WANT_EXP,
};

enum stage {
	STAGE_TERMS,
	STAGE_EXP, /* the result is fail; its explanation is wanted */
	STAGE_EXP_TEXT, /* it is there, in spf->text, and must be expanded */
	STAGE_DONE,
};

#define ID_SINGLE 100 /* below: index of a name */

static void advance(struct pst_spf *spf);

static struct pst_spf_frame *top(struct pst_spf *spf)
{
	return &spf->frames[spf->frame_count - 1];
}

static struct pst_span domain_of(const struct pst_spf_frame *frame)
{
	return pst_spf_name_span(&frame->domain);
}

static struct pst_span record_of(const struct pst_spf *spf, const struct pst_spf_frame *frame)
{
	return (struct pst_span){&spf->text[frame->text_off], frame->text_len};
}

static void want_one(struct pst_spf *spf, enum want want)
{
	spf->want = (uint8_t)want;
	spf->asked = false;
}

static void finish(struct pst_spf *spf, enum pst_spf_result result, const char *problem)
{
	spf->result = result;
	spf->problem = problem;
	spf->stage = STAGE_DONE;
	spf->want = WANT_NOTHING;
}

static void permerror(struct pst_spf *spf, const char *problem)
{
	finish(spf, PST_SPF_PERMERROR, problem);
}

static void temperror(struct pst_spf *spf)
{
	finish(spf, PST_SPF_TEMPERROR, "a name could not be looked up");
}

/*  ret false: one term too many, and it is over */
static bool count_lookup(struct pst_spf *spf)
{
	if (++spf->lookup_count <= spf->params.lookup_count_max)
		return true;
	permerror(spf, "too many terms that look something up");
	return false;
}

static bool count_void(struct pst_spf *spf)
{
	if (++spf->void_count <= spf->params.void_count_max)
		return true;
	permerror(spf, "too many look-ups that found nothing");
	return false;
}

static bool is_void(enum pst_dns_status status)
{
	return status == PST_DNS_NODATA || status == PST_DNS_NXDOMAIN;
}

static enum pst_dns_type address_type(const struct pst_spf *spf)
{
	return spf->params.client.family == PST_FAMILY_IPV6 ? PST_DNS_AAAA : PST_DNS_A;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Begin with another domain's record: pushed for an include, in the top one's place for a redirect. */
static void enter(struct pst_spf *spf, const struct pst_spf_name *domain, bool is_include)
{
	struct pst_spf_frame *frame;
	uint16_t off = 0;

	if (is_include) {
		off = (uint16_t)(top(spf)->text_off + top(spf)->text_len);
		if (spf->frame_count == PST_SPF_DEPTH_MAX) {
			permerror(spf, "includes too deep");
			return;
		}
		spf->frame_count++;
	} else if (spf->frame_count == 0) {
		spf->frame_count = 1;
	} else {
		off = top(spf)->text_off;
	}
	frame = top(spf);
	if (is_include) {
		frame->is_include = true;
		frame->qualifier = spf->qualifier;
	}
	frame->domain = *domain;
	frame->text_off = off;
	frame->text_len = 0;
	frame->at = 0;
	spf->target = *domain;
	want_one(spf, WANT_RECORD);
}

static enum pst_spf_result result_of(uint8_t qualifier)
{
	return qualifier == '+'	  ? PST_SPF_PASS
	       : qualifier == '-' ? PST_SPF_FAIL
	       : qualifier == '~' ? PST_SPF_SOFTFAIL
				  : PST_SPF_NEUTRAL;
}

/* The term whose end the frame's cursor stands at. */
static void note_decision(struct pst_spf *spf)
{
	struct pst_spf_frame *frame = top(spf);
	struct pst_span record = record_of(spf, frame);
	uint32_t from = frame->at;

	while (from > 0 && record.at[from - 1] != ' ')
		from--;
	spf->term_len = (uint8_t)PST_MIN(frame->at - from, PST_SPF_TERM_MAX);
	memcpy(spf->term, &record.at[from], spf->term_len);
	spf->decided_by = frame->domain;
}

/* The value of a modifier, if the record has it. */
static bool find_modifier(struct pst_spf *spf, enum pst_spf_kind kind, struct pst_span *value)
{
	struct pst_span record = record_of(spf, top(spf));
	struct pst_spf_term term;
	uint32_t at = 6;

	while (pst_spf_next_term(record, &at, &term) > 0)
		if (term.kind == kind) {
			*value = term.spec;
			return true;
		}
	return false;
}

/* The top frame has a result: it is the whole's, or what an include term makes of it. */
static void leave(struct pst_spf *spf, enum pst_spf_result result)
{
	uint8_t qualifier = top(spf)->qualifier;

	if (!top(spf)->is_include) {
		spf->result = result;
		spf->stage = result == PST_SPF_FAIL ? STAGE_EXP : STAGE_DONE;
		return;
	}
	spf->frame_count--;
	if (result == PST_SPF_NONE)
		permerror(spf, "an included domain has no record");
	else if (result == PST_SPF_PASS) {
		note_decision(spf);
		leave(spf, result_of(qualifier));
	}
}

/* The mechanism has matched, or not. */
static void decide(struct pst_spf *spf, bool matched)
{
	spf->want = WANT_NOTHING;
	if (!matched)
		return;
	note_decision(spf);
	leave(spf, result_of(spf->qualifier));
}

/* ---- terms ----------------------------------------------------------------------------------- */

static void begin_p(struct pst_spf *spf)
{
	pst_spf_reverse_name(&spf->params.client, &spf->target);
	spf->name_count = 0;
	want_one(spf, WANT_PTR);
}

static bool under_cidr(const struct pst_spf *spf, const struct pst_addr *addr)
{
	struct pst_cidr network = {*addr, addr->family == PST_FAMILY_IPV6 ? spf->cidr6 : spf->cidr4};

	return pst_cidr_has(&network, &spf->params.client);
}

/* The name is one of the client's: equal to the target, or below it. */
static bool is_below(struct pst_span name, struct pst_span target)
{
	if (name.len == target.len)
		return pst_span_eq_nocase(name, target);
	return name.len > target.len && name.at[name.len - target.len - 1] == '.' &&
	       pst_span_ends_nocase(name, target);
}

static void match_ptr(struct pst_spf *spf)
{
	bool matched = false;

	for (uint32_t i = 0; i < spf->name_count; i++)
		matched = matched || ((spf->names_matched & 1U << i) &&
				      is_below(pst_spf_name_span(&spf->names[i]),
					       pst_spf_name_span(&spf->target)));
	decide(spf, matched);
}

/* A term that must look something up. */
static void look_up(struct pst_spf *spf, const struct pst_spf_term *term)
{
	struct pst_spf_name target;
	bool is_name = pst_spf_expand_name(spf, domain_of(top(spf)), term->spec, &target);

	if (!count_lookup(spf))
		return;
	spf->qualifier = term->qualifier;
	spf->cidr4 = term->cidr4;
	spf->cidr6 = term->cidr6;
	if (!is_name) {
		/* What is no name cannot be there; an include of nothing is an error. */
		if (term->kind == PST_SPF_INCLUDE)
			permerror(spf, "an included domain is no name");
		return;
	}
	spf->target = target;
	switch (term->kind) {
	case PST_SPF_INCLUDE:
		enter(spf, &target, true);
		break;
	case PST_SPF_A:
		want_one(spf, WANT_A);
		break;
	case PST_SPF_MX:
		want_one(spf, WANT_MX);
		break;
	case PST_SPF_EXISTS:
		want_one(spf, WANT_EXISTS);
		break;
	default: /* ptr: the names are known by now */
		match_ptr(spf);
		break;
	}
}

static void redirect(struct pst_spf *spf, struct pst_span spec)
{
	struct pst_spf_name target;

	if (!spf->p_known && pst_spf_needs_p(spec)) {
		begin_p(spf);
		return;
	}
	if (!count_lookup(spf))
		return;
	if (!pst_spf_expand_name(spf, domain_of(top(spf)), spec, &target)) {
		permerror(spf, "a redirect leads to what is no name");
		return;
	}
	enter(spf, &target, false);
}

static void next_term(struct pst_spf *spf)
{
	struct pst_spf_frame *frame = top(spf);
	uint32_t at = frame->at;
	struct pst_spf_term term;
	struct pst_span spec;

	if (pst_spf_next_term(record_of(spf, frame), &at, &term) <= 0) {
		if (find_modifier(spf, PST_SPF_REDIRECT, &spec)) {
			redirect(spf, spec);
		} else {
			spf->term_len = 0;
			spf->decided_by = frame->domain;
			leave(spf, PST_SPF_NEUTRAL);
		}
		return;
	}
	/* The validated names come first: the term is looked at again when they are known. */
	if ((term.kind == PST_SPF_PTR && !(spf->p_known && spf->names_are_clients)) ||
	    (!spf->p_known && term.kind <= PST_SPF_EXISTS && pst_spf_needs_p(term.spec))) {
		if (term.kind == PST_SPF_PTR &&
		    spf->lookup_count >= spf->params.lookup_count_max) {
			(void)count_lookup(spf);
			return;
		}
		begin_p(spf);
		return;
	}
	frame->at = (uint16_t)at;
	spf->qualifier = term.qualifier;
	switch (term.kind) {
	case PST_SPF_ALL:
		decide(spf, true);
		break;
	case PST_SPF_IP:
		decide(spf, pst_cidr_has(&term.network, &spf->params.client));
		break;
	case PST_SPF_REDIRECT:
	case PST_SPF_EXP:
	case PST_SPF_UNKNOWN:
		break;
	default:
		look_up(spf, &term);
		break;
	}
}

/* ---- explanation ----------------------------------------------------------------------------- */

/* Trouble here costs the explanation, nothing else. */
static void begin_explanation(struct pst_spf *spf)
{
	struct pst_span spec;

	spf->stage = STAGE_DONE;
	if (!find_modifier(spf, PST_SPF_EXP, &spec))
		return;
	if (!spf->p_known && pst_spf_needs_p(spec)) {
		spf->stage = STAGE_EXP;
		begin_p(spf);
		return;
	}
	if (!pst_spf_expand_name(spf, domain_of(top(spf)), spec, &spf->target))
		return;
	spf->stage = STAGE_EXP;
	want_one(spf, WANT_EXP);
}

static void on_explanation(struct pst_spf *spf, const struct pst_dns_answer *answer)
{
	struct pst_span text;

	spf->want = WANT_NOTHING;
	spf->stage = STAGE_DONE;
	if (answer->status != PST_DNS_OK || answer->record_count != 1)
		return;
	text = answer->records[0].data;
	if (!pst_spf_macros_ok(text, true) || text.len > sizeof(spf->text))
		return;
	/* The records are done with; only the domain is still wanted. */
	memcpy(spf->text, text.at, text.len);
	spf->explanation_len = (uint16_t)text.len;
	spf->stage = STAGE_EXP_TEXT;
}

static void expand_explanation(struct pst_spf *spf)
{
	struct pst_span text = {spf->text, spf->explanation_len};
	struct pst_buf out;

	if (!spf->p_known && pst_spf_needs_p(text)) {
		begin_p(spf);
		return;
	}
	spf->stage = STAGE_DONE;
	spf->explanation_len = 0;
	pst_buf_init(&out, spf->explanation, sizeof(spf->explanation));
	if (pst_spf_expand(spf, domain_of(top(spf)), text, &out) < 0)
		return;
	for (uint32_t i = 0; i < out.len; i++)
		if (!pst_is_print(spf->explanation[i]))
			return;
	spf->explanation_len = (uint16_t)out.len;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Exactly one record, in good order (sections 4.5, 4.6). */
static void on_record(struct pst_spf *spf, const struct pst_dns_answer *answer)
{
	struct pst_spf_frame *frame = top(spf);
	const struct pst_span *found = NULL;

	spf->want = WANT_NOTHING;
	if (answer->status != PST_DNS_OK && !is_void(answer->status)) {
		temperror(spf);
		return;
	}
	for (uint32_t i = 0; i < answer->record_count; i++) {
		if (!pst_spf_is_record(answer->records[i].data))
			continue;
		if (found) {
			permerror(spf, "more than one record");
			return;
		}
		found = &answer->records[i].data;
	}
	if (!found) {
		/* Of a redirect that is an error, of an include too; else there is just none. */
		if (spf->frame_count == 1 && spf->lookup_count > 0)
			permerror(spf, "a redirect leads to a domain without a record");
		else
			leave(spf, PST_SPF_NONE);
		return;
	}
	if (found->len > PST_SPF_TEXT_MAX - (uint32_t)frame->text_off) {
		permerror(spf, "records too long");
		return;
	}
	memcpy(&spf->text[frame->text_off], found->at, found->len);
	frame->text_len = (uint16_t)found->len;
	frame->at = 6;
	if (pst_spf_check_record(record_of(spf, frame)) < 0)
		permerror(spf, "a record has a syntax error");
}

static void on_addresses(struct pst_spf *spf, const struct pst_dns_answer *answer)
{
	bool matched = spf->want == WANT_EXISTS && answer->record_count > 0;

	if (answer->status != PST_DNS_OK && !is_void(answer->status)) {
		temperror(spf);
		return;
	}
	if (is_void(answer->status) && !count_void(spf))
		return;
	for (uint32_t i = 0; i < answer->record_count && spf->want == WANT_A; i++)
		matched = matched || under_cidr(spf, &answer->records[i].addr);
	decide(spf, matched);
}

static void want_names(struct pst_spf *spf, enum want want)
{
	spf->want = (uint8_t)want;
	spf->names_asked = 0;
	spf->names_due = spf->name_count;
	spf->names_matched = 0;
	spf->names_void = false;
	spf->names_trouble = false;
}

static void on_mx(struct pst_spf *spf, const struct pst_dns_answer *answer)
{
	if (answer->status != PST_DNS_OK && !is_void(answer->status)) {
		temperror(spf);
		return;
	}
	if (is_void(answer->status)) {
		if (count_void(spf))
			decide(spf, false);
		return;
	}
	if (answer->record_count > PST_SPF_NAMES_MAX) {
		permerror(spf, "more than 10 names of an mx");
		return;
	}
	spf->name_count = 0;
	spf->names_are_clients = false;
	for (uint32_t i = 0; i < answer->record_count; i++)
		if (pst_spf_name_set(&spf->names[spf->name_count], answer->records[i].data))
			spf->name_count++;
	if (spf->name_count == 0)
		decide(spf, false);
	else
		want_names(spf, WANT_MX_NAMES);
}

static void p_is_known(struct pst_spf *spf)
{
	spf->p_known = true;
	spf->want = WANT_NOTHING;
}

/* Names beyond the tenth are not looked at (section 5.5). */
static void on_ptr(struct pst_spf *spf, const struct pst_dns_answer *answer)
{
	spf->name_count = 0;
	spf->names_matched = 0;
	spf->names_are_clients = true;
	if (is_void(answer->status) && spf->stage == STAGE_TERMS && !count_void(spf))
		return;
	for (uint32_t i = 0; i < answer->record_count && spf->name_count < PST_SPF_NAMES_MAX; i++)
		if (pst_spf_name_set(&spf->names[spf->name_count], answer->records[i].data))
			spf->name_count++;
	if (spf->name_count == 0)
		p_is_known(spf);
	else
		want_names(spf, WANT_PTR_NAMES);
}

/* %{p}: the domain itself, else a name below it, else any that is confirmed (section 7.3). */
static void choose_p(struct pst_spf *spf)
{
	struct pst_span domain = domain_of(top(spf));
	int best = 0;

	for (uint32_t i = 0; i < spf->name_count; i++) {
		struct pst_span name = pst_spf_name_span(&spf->names[i]);
		int rank = !(spf->names_matched & 1U << i)	? 0
			   : pst_span_eq_nocase(name, domain)	? 3
			   : is_below(name, domain)		? 2
								: 1;

		if (rank > best) {
			best = rank;
			spf->p = spf->names[i];
		}
	}
	p_is_known(spf);
}

static void names_complete(struct pst_spf *spf)
{
	bool matched = spf->names_matched != 0;

	if (spf->want == WANT_PTR_NAMES) {
		choose_p(spf);
		return;
	}
	if (spf->names_trouble && !matched)
		temperror(spf);
	else if (!spf->names_void || matched || count_void(spf))
		decide(spf, matched);
}

static void on_name(struct pst_spf *spf, uint32_t index, const struct pst_dns_answer *answer)
{
	PST_BUG_ON(index >= spf->name_count || spf->names_due == 0);
	for (uint32_t i = 0; i < answer->record_count; i++) {
		bool same = spf->want == WANT_MX_NAMES
				    ? under_cidr(spf, &answer->records[i].addr)
				    : pst_addr_eq(&answer->records[i].addr, &spf->params.client);

		if (same)
			spf->names_matched |= (uint16_t)(1U << index);
	}
	if (is_void(answer->status))
		spf->names_void = true;
	else if (answer->status != PST_DNS_OK)
		spf->names_trouble = true;
	if (--spf->names_due == 0)
		names_complete(spf);
}

/* ---- the check ------------------------------------------------------------------------------- */

static void advance(struct pst_spf *spf)
{
	while (spf->want == WANT_NOTHING && spf->stage != STAGE_DONE) {
		if (spf->stage == STAGE_EXP)
			begin_explanation(spf);
		else if (spf->stage == STAGE_EXP_TEXT)
			expand_explanation(spf);
		else
			next_term(spf);
	}
}

static bool is_host_name(struct pst_span name)
{
	for (uint32_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];

		if (!pst_is_alnum(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return pst_span_find(name, '.') >= 0;
}

void pst_spf_begin(struct pst_spf *spf, const struct pst_spf_params *params)
{
	struct pst_spf_name domain;

	memset(spf, 0, offsetof(struct pst_spf, names));
	spf->name_count = 0;
	spf->frame_count = 0;
	memset(spf->frames, 0, sizeof(spf->frames));
	spf->params = *params;
	/* A host name with a dot in it, or there is nobody to ask (section 4.3). */
	if (params->client.family == PST_FAMILY_NONE || !pst_spf_name_set(&domain, params->domain) ||
	    !is_host_name(pst_spf_name_span(&domain))) {
		finish(spf, PST_SPF_NONE, NULL);
		return;
	}
	spf->params.domain.len = domain.len;
	enter(spf, &domain, false);
}

bool pst_spf_done(const struct pst_spf *spf)
{
	return spf->stage == STAGE_DONE;
}

static void put_question(struct pst_question *question, const struct pst_spf_name *name,
			 enum pst_dns_type type, uint16_t id)
{
	question->id = id;
	question->zone = 0;
	question->type = type;
	question->name_len = name->len;
	memcpy(question->name, name->at, name->len);
}

static enum pst_dns_type type_of(const struct pst_spf *spf)
{
	switch ((enum want)spf->want) {
	case WANT_A:
		return address_type(spf);
	case WANT_EXISTS:
		return PST_DNS_A;
	case WANT_MX:
		return PST_DNS_MX;
	case WANT_PTR:
		return PST_DNS_PTR;
	default:
		return PST_DNS_TXT;
	}
}

bool pst_spf_ask(struct pst_spf *spf, struct pst_question *question)
{
	switch ((enum want)spf->want) {
	case WANT_NOTHING:
		return false;
	case WANT_MX_NAMES:
	case WANT_PTR_NAMES:
		if (spf->names_asked == spf->name_count)
			return false;
		put_question(question, &spf->names[spf->names_asked], address_type(spf),
			     (uint16_t)spf->names_asked);
		spf->names_asked++;
		return true;
	default:
		if (spf->asked)
			return false;
		spf->asked = true;
		put_question(question, &spf->target, type_of(spf), ID_SINGLE);
		return true;
	}
}

void pst_spf_answer(struct pst_spf *spf, uint16_t id, const struct pst_dns_answer *answer)
{
	switch ((enum want)spf->want) {
	case WANT_NOTHING:
		PST_BUG_ON(true);
		break;
	case WANT_RECORD:
		on_record(spf, answer);
		break;
	case WANT_A:
	case WANT_EXISTS:
		on_addresses(spf, answer);
		break;
	case WANT_MX:
		on_mx(spf, answer);
		break;
	case WANT_PTR:
		on_ptr(spf, answer);
		break;
	case WANT_EXP:
		on_explanation(spf, answer);
		break;
	case WANT_MX_NAMES:
	case WANT_PTR_NAMES:
		on_name(spf, id, answer);
		break;
	}
	advance(spf);
}

const char *pst_spf_result_name(enum pst_spf_result result)
{
	static const char *const names[PST_SPF_RESULT_COUNT] = {
		[PST_SPF_NONE] = "none",	   [PST_SPF_NEUTRAL] = "neutral",
		[PST_SPF_PASS] = "pass",	   [PST_SPF_FAIL] = "fail",
		[PST_SPF_SOFTFAIL] = "softfail",   [PST_SPF_TEMPERROR] = "temperror",
		[PST_SPF_PERMERROR] = "permerror",
	};

	PST_BUG_ON(result >= PST_SPF_RESULT_COUNT);
	return names[result];
}

const char *pst_spf_finding(bool helo, enum pst_spf_result result)
{
	static const char *const names[2][PST_SPF_RESULT_COUNT] = {
		{"SPF_NONE", "SPF_NEUTRAL", "SPF_PASS", "SPF_FAIL", "SPF_SOFTFAIL", "SPF_TEMPERROR",
		 "SPF_PERMERROR"},
		{"SPF_HELO_NONE", "SPF_HELO_NEUTRAL", "SPF_HELO_PASS", "SPF_HELO_FAIL", "SPF_HELO_SOFTFAIL",
		 "SPF_HELO_TEMPERROR", "SPF_HELO_PERMERROR"},
	};

	return names[helo][result];
}
