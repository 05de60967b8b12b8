/* rules/load.c - the phases of a load */
#include "rules/load_priv.h"
#include "rules/set_priv.h"

static int make_set(struct pst_rules_load *load)
{
	struct pst_rules_set *set = pst_mem_alloc(load->mem, sizeof(*set));
	int status;

	if (!set)
		return -PST_E_NOMEM;
	pst_rules_set_init(set, load->mem);
	load->set = set;
	status = pst_rules_lists_init(&set->lists, load->mem);
	return status ? status
		      : pst_rules_engine_open(
				load->mem, &load->conf.limits, load->conf.jit, &set->engine);
}

static int make_areas(struct pst_rules_load *load)
{
	load->line_area = pst_mem_alloc(load->mem, PST_RULES_LINE_BYTES_MAX);
	load->expand_area[0] = pst_mem_alloc(load->mem, PST_RULES_PATTERN_BYTES_MAX);
	load->expand_area[1] = pst_mem_alloc(load->mem, PST_RULES_PATTERN_BYTES_MAX);
	return load->line_area && load->expand_area[0] && load->expand_area[1] ? 0 : -PST_E_NOMEM;
}

int pst_rules_load_open(struct pst_mem *mem, const struct pst_rules_conf *conf,
	struct pst_rules_reader *reader, struct pst_rules_report *report, struct pst_span path,
	struct pst_rules_load **out)
{
	struct pst_rules_load *load = pst_mem_alloc(mem, sizeof(*load));
	int status;

	PST_BUG_ON(conf->score_set > 3);
	if (!load)
		return -PST_E_NOMEM;
	load->mem = mem;
	load->conf = *conf;
	load->reader = reader;
	load->report = report;
	load->replace_start = PST_SPAN("<");
	load->replace_end = PST_SPAN(">");
	load->path = pst_rules_load_copy(load, path);
	status = load->status;
	if (!status)
		status = make_areas(load);
	if (!status)
		status = make_set(load);
	if (status) {
		pst_rules_load_close(load);
		return status;
	}
	*out = load;
	return 0;
}

/* What a reader of the set wants to know. */
static void finish(struct pst_rules_load *load)
{
	struct pst_rules_set_info *info = &load->set->info;

	info->rule_count = load->set->rule_count;
	info->target_count = load->set->target_count;
	info->version = load->version;
	for (uint32_t i = 0; i < load->name_count; i++) {
		const struct pst_rules_name *name = load->names[i];

		switch ((enum pst_rules_why)name->why) {
		case PST_RULES_RUNS:
		case PST_RULES_NOT_NEEDED:
		case PST_RULES_SCORE_ZERO:
		case PST_RULES_OFF:
		case PST_RULES_NOTHING:
			break;
		default:
			info->skipped_count++;
		}
	}
}

static void free_patterns(struct pst_rules_load *load)
{
	for (uint32_t i = 0; i < load->name_count; i++) {
		if (load->names[i]->regex)
			pst_rules_regex_free(load->set->engine, load->names[i]->regex);
		load->names[i]->regex = NULL;
	}
}

int pst_rules_load_step(struct pst_rules_load *load, uint32_t work)
{
	int status = 1;

	switch ((enum pst_rules_phase)load->phase) {
	case PST_RULES_PHASE_READ:
		status = pst_rules_load_read(load, &work);
		break;
	case PST_RULES_PHASE_METAS:
		status = pst_rules_load_metas(load, &work);
		break;
	case PST_RULES_PHASE_LINK:
		status = pst_rules_load_link(load);
		break;
	case PST_RULES_PHASE_BUILD:
		status = pst_rules_load_build(load, &work);
		if (status == 0) {
			free_patterns(load);
			finish(load);
		}
		break;
	case PST_RULES_PHASE_DONE:
		return 0;
	}
	if (status == 0) {
		load->phase++;
		load->at = 0;
		return load->phase != PST_RULES_PHASE_DONE;
	}
	if (status == -PST_E_FULL)
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE,
			"the rules are too many: at most %u names, %u KiB of text",
			PST_RULES_NAMES_MAX, PST_RULES_LOAD_BYTES_MAX / 1024);
	return status;
}

struct pst_rules_set *pst_rules_load_take(struct pst_rules_load *load)
{
	struct pst_rules_set *set = load->set;

	PST_BUG_ON(load->phase != PST_RULES_PHASE_DONE || !set);
	load->set = NULL;
	return set;
}

bool pst_rules_load_fate(
	const struct pst_rules_load *load, uint32_t index, struct pst_rules_fate *out)
{
	const struct pst_rules_name *name;

	if (index >= load->name_count)
		return false;
	name = load->names[index];
	*out = (struct pst_rules_fate){
		.name = name->text,
		.file = name->kind == PST_RULES_KIND_NONE ? PST_SPAN_NONE : load->files[name->file],
		.line = name->line,
		.detail = name->detail,
		.kind = name->kind,
		.why = name->why,
		.score = name->scores[load->conf.score_set],
	};
	return true;
}

uint32_t pst_rules_load_error_count(const struct pst_rules_load *load)
{
	return load->error_count;
}

uint32_t pst_rules_load_warning_count(const struct pst_rules_load *load)
{
	return load->warning_count;
}

void pst_rules_load_close(struct pst_rules_load *load)
{
	if (!load)
		return;
	while (load->depth)
		load->reader->done(load->reader, load->stack[--load->depth].text);
	if (load->set) {
		free_patterns(load);
		pst_rules_set_unref(load->set);
	}
	pst_mem_free(load->mem, load->line_area, PST_RULES_LINE_BYTES_MAX);
	pst_mem_free(load->mem, load->expand_area[0], PST_RULES_PATTERN_BYTES_MAX);
	pst_mem_free(load->mem, load->expand_area[1], PST_RULES_PATTERN_BYTES_MAX);
	pst_rules_load_free(load);
	pst_mem_free(load->mem, load, sizeof(*load));
}
