/* app/rules.c - `postern rules lint` and `postern rules hits` */
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/rule_files.h"
#include "loop/stopwatch.h"
#include "mail/charset_iconv.h"

/* --------------------------------------------------------------------------------------- lint */

static const char *const KINDS[PST_RULES_KIND_COUNT] = {
	[PST_RULES_KIND_HEADER] = "header",
	[PST_RULES_KIND_HEADER_EVAL] = "header eval",
	[PST_RULES_KIND_META] = "meta",
	[PST_RULES_KIND_BODY] = "body",
	[PST_RULES_KIND_BODY_EVAL] = "body eval",
	[PST_RULES_KIND_RAWBODY] = "rawbody",
	[PST_RULES_KIND_RAWBODY_EVAL] = "rawbody eval",
	[PST_RULES_KIND_URI] = "uri",
	[PST_RULES_KIND_URI_DETAIL] = "uri_detail",
	[PST_RULES_KIND_FULL] = "full",
	[PST_RULES_KIND_FULL_EVAL] = "full eval",
	[PST_RULES_KIND_MIMEHEADER] = "mimeheader",
	[PST_RULES_KIND_ASKDNS] = "askdns",
	[PST_RULES_KIND_EMPTY] = "name only",
};

static const char *const REASONS[PST_RULES_WHY_COUNT] = {
	[PST_RULES_RUNS] = "runs",
	[PST_RULES_NOT_NEEDED] = "no rule that runs needs it",
	[PST_RULES_SCORE_ZERO] = "its score, or that of a meta below it, is 0",
	[PST_RULES_OFF] = "a look-up without a network, or learnt",
	[PST_RULES_BODY] = "needs the message body",
	[PST_RULES_NETWORK] = "needs a look-up of its own",
	[PST_RULES_FUNCTION] = "needs a function that is not here",
	[PST_RULES_ARGUMENTS] = "its function's arguments are not right",
	[PST_RULES_CAPTURED] = "matches text that another rule captured",
	[PST_RULES_ZONE] = "no check_rbl rule says which zone its list is",
	[PST_RULES_OVER] = "stands over a rule that cannot be evaluated",
	[PST_RULES_CYCLE] = "depends on itself",
	[PST_RULES_TOO_LARGE] = "too large when compiled",
	[PST_RULES_NOTHING] = "nothing can hit it",
};

struct tally {
	uint32_t all, runs, scored;
	uint64_t mass, mass_runs; /* thousandths of points above 0 */
};

static bool is_sub(struct pst_span name)
{
	return pst_span_eq(pst_span_sub(name, 0, 2), PST_SPAN("__"));
}

static bool fate_runs(const struct pst_rules_fate *fate)
{
	return fate->why == PST_RULES_RUNS || fate->why == PST_RULES_NOT_NEEDED;
}

static void count(struct tally *tally, const struct pst_rules_fate *fate)
{
	uint64_t mass = fate->score > 0 && !is_sub(fate->name) ? (uint64_t)fate->score : 0;

	tally->all++;
	tally->runs += fate_runs(fate);
	tally->scored += !is_sub(fate->name) && fate->score != 0;
	tally->mass += mass;
	tally->mass_runs += fate_runs(fate) ? mass : 0;
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)((part * 100 + whole / 2) / whole) : 100;
}

static void print_row(const char *name, const struct tally *tally)
{
	pst_app_print(STDOUT_FILENO, "%-14s %6u %6u %4u%% %9u.%u %9u.%u %4u%%\n", name, tally->all,
		tally->runs, percent(tally->runs, tally->all), (unsigned)(tally->mass / 1000),
		(unsigned)(tally->mass % 1000 / 100), (unsigned)(tally->mass_runs / 1000),
		(unsigned)(tally->mass_runs % 1000 / 100), percent(tally->mass_runs, tally->mass));
}

static void print_kinds(const struct pst_rules_load *load)
{
	struct tally kinds[PST_RULES_KIND_COUNT] = {{0}}, all = {0};
	struct pst_rules_fate fate;

	for (uint32_t i = 0; pst_rules_load_fate(load, i, &fate); i++)
		if (fate.kind != PST_RULES_KIND_NONE) {
			count(&kinds[fate.kind], &fate);
			count(&all, &fate);
		}
	pst_app_print(STDOUT_FILENO, "%-14s %6s %6s %5s %11s %11s %5s\n", "type", "rules", "run",
		"", "points", "run", "");
	for (uint32_t i = 1; i < PST_RULES_KIND_COUNT; i++)
		if (kinds[i].all)
			print_row(KINDS[i], &kinds[i]);
	print_row("all", &all);
}

static void print_reasons(const struct pst_rules_load *load)
{
	struct tally reasons[PST_RULES_WHY_COUNT] = {{0}};
	struct pst_rules_fate fate;

	for (uint32_t i = 0; pst_rules_load_fate(load, i, &fate); i++)
		if (fate.kind != PST_RULES_KIND_NONE)
			count(&reasons[fate.why], &fate);
	pst_app_print(STDOUT_FILENO, "\nnot run:\n");
	for (uint32_t i = PST_RULES_RUNS + 1; i < PST_RULES_WHY_COUNT; i++)
		if (reasons[i].all)
			pst_app_print(STDOUT_FILENO, "%6u  %9u.%u points  %s\n", reasons[i].all,
				(unsigned)(reasons[i].mass / 1000),
				(unsigned)(reasons[i].mass % 1000 / 100), REASONS[i]);
}

/* Functions that are missing, each with what hangs on it directly. */
#define FUNCTIONS_MAX 512u

static void print_functions(const struct pst_rules_load *load)
{
	struct {
		struct pst_span name;
		struct tally tally;
	} functions[FUNCTIONS_MAX];
	uint32_t used = 0;
	struct pst_rules_fate fate;

	for (uint32_t i = 0; pst_rules_load_fate(load, i, &fate); i++) {
		uint32_t k = 0;

		if (fate.why != PST_RULES_FUNCTION)
			continue;
		while (k < used && !pst_span_eq(functions[k].name, fate.detail))
			k++;
		if (k == FUNCTIONS_MAX)
			continue;
		if (k == used) {
			memset(&functions[used], 0, sizeof(functions[used]));
			functions[used++].name = fate.detail;
		}
		count(&functions[k].tally, &fate);
	}
	if (used)
		pst_app_print(STDOUT_FILENO, "\nfunctions that are not here:\n");
	for (uint32_t k = 0; k < used; k++)
		pst_app_print(STDOUT_FILENO, "%6u  %9u.%u points  %.*s()\n", functions[k].tally.all,
			(unsigned)(functions[k].tally.mass / 1000),
			(unsigned)(functions[k].tally.mass % 1000 / 100),
			(int)functions[k].name.len, (const char *)functions[k].name.at);
}

static void print_names(const struct pst_rules_load *load)
{
	struct pst_rules_fate fate;

	pst_app_print(STDOUT_FILENO, "\n");
	for (uint32_t i = 0; pst_rules_load_fate(load, i, &fate); i++) {
		if (fate.kind == PST_RULES_KIND_NONE)
			continue;
		pst_app_print(STDOUT_FILENO, "%.*s:%u: %.*s (%s): %s%s%.*s\n", (int)fate.file.len,
			(const char *)fate.file.at, (unsigned)fate.line, (int)fate.name.len,
			(const char *)fate.name.at, KINDS[fate.kind], REASONS[fate.why],
			fate.detail.len ? ": " : "", (int)PST_MIN(fate.detail.len, 100u),
			(const char *)fate.detail.at);
	}
}

static void print_memory(const struct pst_rule_job *job, uint32_t load_ms)
{
	struct pst_rules_set_info info;

	pst_rules_set_info(job->set, &info);
	pst_app_print(STDOUT_FILENO,
		"\nmemory: %u KiB and %u KiB of machine code; %u KiB while a message is looked at\n"
		"limits of a pattern: %u steps, %u of machine code (2 ms on this machine)\n"
		"loaded in %u ms; %u errors, %u warnings\n",
		(unsigned)(info.bytes / 1024), (unsigned)(info.jit_bytes / 1024),
		pst_rules_run_bytes_max(job->set) / 1024, job->conf.limits.steps,
		job->conf.limits.jit_steps, load_ms, pst_rules_load_error_count(job->load),
		pst_rules_load_warning_count(job->load));
}

static int lint(const struct pst_app_args *args)
{
	struct pst_span path =
		args->word_count > 1 ? pst_span_text(args->words[1]) : args->rules_path;
	uint64_t before = pst_loop_wall_ms();
	struct pst_rule_job job;
	int status;

	if (args->word_count > 2) {
		pst_app_complain("rules lint takes one file or folder\n");
		return PST_EXIT_USAGE;
	}
	status = pst_rule_job_open(&job, path, args->as_hits, args->as_hits ? 0 : 1);
	if (status == 0) {
		print_kinds(job.load);
		print_reasons(job.load);
		print_functions(job.load);
		if (args->names)
			print_names(job.load);
		print_memory(&job, (uint32_t)(pst_loop_wall_ms() - before));
	}
	if (status == 0 && pst_rules_load_error_count(job.load))
		status = -PST_E_SYNTAX;
	pst_rule_job_close(&job);
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}

/* --------------------------------------------------------------------------------------- hits */

/* The columns of a line, as SpamAssassin's names of rule types go. Those of the body stay empty. */
static const struct column {
	const char *name;
	enum pst_rules_kind kind;
} COLUMNS[] = {
	{"header", PST_RULES_KIND_HEADER},
	{"body", PST_RULES_KIND_BODY},
	{"rawbody", PST_RULES_KIND_RAWBODY},
	{"uri", PST_RULES_KIND_URI},
	{"full", PST_RULES_KIND_FULL},
	{"mimeheader", PST_RULES_KIND_MIMEHEADER},
	{"uridetail", PST_RULES_KIND_URI_DETAIL},
	{"meta", PST_RULES_KIND_META},
	{"eval", PST_RULES_KIND_HEADER_EVAL},
};

#define LINE_BYTES (256u * 1024)

static int put_column(
	struct pst_buf *line, const struct pst_rules_run *run, const struct column *column)
{
	bool first = true;
	int status = pst_buf_put_byte(line, '\t');

	for (uint32_t i = 0; i < run->hit_count && !status; i++) {
		struct pst_rules_hit hit;

		pst_rules_run_hit(run, i, &hit);
		if (hit.kind != column->kind)
			continue;
		status = (first ? 0 : pst_buf_put_byte(line, ' ')) || pst_buf_put(line, hit.name)
				 ? -PST_E_FULL
				 : 0;
		if (!status && hit.count > 1)
			status = pst_buf_put_byte(line, '*') || pst_buf_put_u64(line, hit.count)
					 ? -PST_E_FULL
					 : 0;
		first = false;
	}
	return status;
}

static int put_line(struct pst_buf *line, struct pst_span name, const struct pst_rules_run *run)
{
	int status = pst_buf_put(line, name) || pst_buf_put_byte(line, '\t') ||
				     pst_score_put_rounded(line, run->score, 3)
			     ? -PST_E_FULL
			     : 0;

	for (uint32_t i = 0; i < PST_COUNT(COLUMNS) && !status; i++)
		status = put_column(line, run, &COLUMNS[i]);
	return status ? status : pst_buf_put_byte(line, '\n');
}

static int one_message(struct pst_rule_job *job, struct pst_span name, struct pst_span text,
	int64_t wall_s, void *area, struct pst_buf *line)
{
	const struct pst_rules_input input = {
		.header = text,
		.wall_s = wall_s,
		.local_only = true,
		.charset = PST_CHARSET_SYSTEM,
	};
	struct pst_rules_run run;
	int status = pst_rules_run_begin(
		&run, job->set, &input, area, pst_rules_run_bytes_max(job->set));

	if (status)
		return status;
	while (pst_rules_run_step(&run, PST_RULES_WORK_MAX) > 0)
		;
	pst_buf_clear(line);
	status = put_line(line, name, &run);
	if (!status)
		pst_app_write(STDOUT_FILENO, pst_buf_span(line));
	if (run.limited_count || run.cut)
		pst_app_complain("%.*s: %u rules reached a limit, the first is %.*s%s\n",
			(int)name.len, (const char *)name.at, (unsigned)run.limited_count,
			(int)pst_rules_run_limited(&run).len,
			(const char *)pst_rules_run_limited(&run).at,
			run.cut ? "; the message's budget is used up" : "");
	pst_rules_run_end(&run);
	return status;
}

static int all_messages(struct pst_rule_job *job, struct pst_messages *messages)
{
	uint32_t size = pst_rules_run_bytes_max(job->set), wrong_count = 0;
	struct pst_mem *mem = &job->memory.mem;
	uint8_t *area = pst_mem_alloc(mem, size), *line_area = pst_mem_alloc(mem, LINE_BYTES);
	struct pst_progress progress = {0};
	struct pst_buf line;

	pst_buf_init(&line, line_area, line_area ? LINE_BYTES : 0);
	pst_app_print(STDOUT_FILENO,
		"file\tscore\theader\tbody\trawbody\turi\tfull\tmimeheader\turidetail\t"
		"meta\teval\n");
	for (uint32_t i = 0; area && line_area && i < messages->names.count; i++) {
		struct pst_span name, text;
		int64_t wall_s;
		int status = pst_messages_read(messages, i, &name, &text, &wall_s);

		if (!status)
			status = one_message(job, name, text, wall_s, area, &line);
		if (status) {
			pst_app_complain(
				"%s: %s\n", messages->names.names[i], pst_strerror(status));
			wrong_count++;
		}
		pst_progress_show(&progress, "messages", i + 1, messages->names.count);
	}
	pst_progress_end(&progress);
	if (!area || !line_area)
		pst_app_complain("out of memory\n");
	wrong_count += !area || !line_area;
	pst_mem_free(mem, area, size);
	pst_mem_free(mem, line_area, LINE_BYTES);
	return wrong_count ? -PST_E_IO : 0;
}

static int hits(const struct pst_app_args *args)
{
	struct pst_messages messages;
	struct pst_rule_job job;
	int status;

	if (args->word_count < 2) {
		pst_app_complain("rules hits needs a message, a folder, or - behind it\n");
		return PST_EXIT_USAGE;
	}
	status = pst_rule_job_open(&job, args->rules_path, true, 0);
	if (status == 0) {
		status = pst_messages_open(
			&messages, &job.memory.mem, args->words + 1, args->word_count - 1);
		if (status)
			pst_app_complain("the messages: %s\n", pst_strerror(status));
		else
			status = all_messages(&job, &messages);
		pst_messages_close(&messages);
	}
	pst_rule_job_close(&job);
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}

int pst_app_rules(const struct pst_app_args *args)
{
	struct pst_span what = args->word_count ? pst_span_text(args->words[0]) : PST_SPAN_NONE;

	if (pst_span_eq(what, PST_SPAN("lint")))
		return lint(args);
	if (pst_span_eq(what, PST_SPAN("hits")))
		return hits(args);
	pst_app_complain("rules what? `postern rules lint PATH` or `postern rules hits FILE...`\n");
	return PST_EXIT_USAGE;
}
