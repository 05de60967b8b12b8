/* app/explain.c - `postern explain`: a stored message's score, rule by rule, and the verdict */
#include <unistd.h>

#include "app/app.h"
#include "app/rule_files.h"
#include "mail/charset_iconv.h"

#define TAG PST_SCORE(5)
#define REJECT PST_SCORE(15)

#define NAME_WIDTH 22
#define TEXT_WIDTH 50

struct facts {
	struct pst_rules_peer peer;
	struct pst_rules_input input;
};

static int read_facts(const struct pst_app_args *args, struct facts *facts)
{
	struct pst_span from = args->from;

	*facts = (struct facts){
		.peer = {.helo = args->helo,
			.by = PST_SPAN("localhost"),
			.id = PST_SPAN("explain")},
		.input = {.charset = PST_CHARSET_SYSTEM, .local_only = true},
	};
	if (from.len > 1 && from.at[0] == '<' && from.at[from.len - 1] == '>')
		from = pst_span_sub(from, 1, from.len - 2);
	facts->input.mail_from = from;
	facts->input.mail_from_known = args->from_given;
	if (args->client.len == 0) {
		if (args->helo.len == 0)
			return 0;
		pst_app_complain("--helo means something only together with --client\n");
		return -PST_E_SYNTAX;
	}
	if (pst_addr_parse(args->client, &facts->peer.client)) {
		pst_app_complain("--client: \"%.*s\" is not an address\n", (int)args->client.len,
			(const char *)args->client.at);
		return -PST_E_SYNTAX;
	}
	facts->input.peer = &facts->peer;
	return 0;
}

/* -------------------------------------------------------------------------------------- table */

/* The next line of a description, at most TEXT_WIDTH wide. */
static struct pst_span take_line(struct pst_span *rest)
{
	uint32_t len = PST_MIN(rest->len, (uint32_t)TEXT_WIDTH);
	struct pst_span line;

	if (len < rest->len) {
		uint32_t blank = len;

		while (blank > 0 && !pst_is_blank(rest->at[blank]))
			blank--;
		len = blank ? blank : len;
	}
	line = pst_span_sub(*rest, 0, len);
	*rest = pst_span_trim(pst_span_sub(*rest, len, rest->len));
	return line;
}

static int put_hit(struct pst_buf *out, const struct pst_rules_hit *hit)
{
	struct pst_span rest = hit->describe.len ? hit->describe : PST_SPAN("(no description)"),
			line;
	uint8_t area[16];
	struct pst_buf score;

	pst_buf_init(&score, area, sizeof(area));
	if (pst_score_put_rounded(&score, hit->score, 1))
		return -PST_E_FULL;
	line = take_line(&rest);
	if (pst_buf_printf(out, "%4.*s %-*.*s ", (int)score.len, (const char *)area, NAME_WIDTH,
		    (int)hit->name.len, (const char *)hit->name.at))
		return -PST_E_FULL;
	pst_buf_put_escaped(out, line, TEXT_WIDTH);
	while (rest.len) {
		if (pst_buf_printf(out, "\n%*s", 4 + 1 + NAME_WIDTH + 1, ""))
			return -PST_E_FULL;
		line = take_line(&rest);
		pst_buf_put_escaped(out, line, TEXT_WIDTH);
	}
	return pst_buf_put_byte(out, '\n');
}

/* Highest score first, as readers look for what weighs most. */
static bool is_above(const struct pst_rules_hit *a, const struct pst_rules_hit *b, uint32_t a_index,
	uint32_t b_index)
{
	return a->score != b->score ? a->score > b->score : a_index < b_index;
}

/* The hit that comes next behind number `last` (UINT32_MAX: the first). */
static uint32_t next_hit(const struct pst_rules_run *run, uint32_t last)
{
	struct pst_rules_hit before, best, hit;
	uint32_t found = UINT32_MAX;

	if (last != UINT32_MAX)
		pst_rules_run_hit(run, last, &before);
	for (uint32_t i = 0; i < run->hit_count; i++) {
		pst_rules_run_hit(run, i, &hit);
		if (hit.sub || (last != UINT32_MAX && !is_above(&before, &hit, last, i)))
			continue;
		if (found == UINT32_MAX || is_above(&hit, &best, i, found)) {
			found = i;
			best = hit;
		}
	}
	return found;
}

static void print_score(const char *before, pst_score score, const char *behind)
{
	uint8_t area[16];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (pst_score_put_rounded(&text, score, 1) == 0)
		pst_app_print(STDOUT_FILENO, "%s%.*s%s", before, (int)text.len, (const char *)area,
			behind);
}

static void print_verdict(const struct pst_rules_run *run)
{
	bool tags = run->score >= TAG, rejects = run->score >= REJECT;

	pst_app_print(STDOUT_FILENO, "\nverdict: %s, because ",
		rejects ? "reject"
		: tags	? "tag"
			: "accept");
	print_score("", run->score,
		rejects ? " is at or above reject "
		: tags	? " is at or above tag "
			: " is below tag ");
	print_score("", rejects ? REJECT : TAG, "\n");
	if (run->limited_count)
		pst_app_print(STDOUT_FILENO,
			"%u rules reached a limit and count as not hit, the first is %.*s\n",
			(unsigned)run->limited_count, (int)pst_rules_run_limited(run).len,
			(const char *)pst_rules_run_limited(run).at);
	if (run->cut)
		pst_app_print(
			STDOUT_FILENO, "the message's budget was used up before the last rule\n");
	if (run->shorted)
		pst_app_print(STDOUT_FILENO,
			"a rule with shortcircuit hit; those behind it did not run\n");
}

static void print_table(struct pst_span name, const struct pst_rules_run *run)
{
	uint8_t area[4096];
	struct pst_buf line;

	pst_app_print(STDOUT_FILENO, "%.*s: ", (int)name.len, (const char *)name.at);
	print_score("Content analysis details:   (", run->score, " points, ");
	print_score("", TAG,
		" required)\n\n pts rule name              description\n"
		"---- ---------------------- "
		"--------------------------------------------------\n");
	for (uint32_t i = next_hit(run, UINT32_MAX); i != UINT32_MAX; i = next_hit(run, i)) {
		struct pst_rules_hit hit;

		pst_rules_run_hit(run, i, &hit);
		pst_buf_init(&line, area, sizeof(area));
		if (put_hit(&line, &hit) == 0)
			pst_app_write(STDOUT_FILENO, pst_buf_span(&line));
	}
	print_verdict(run);
}

/* ----------------------------------------------------------------------------------- messages */

static int explain_one(struct pst_rule_job *job, struct facts *facts, struct pst_messages *messages,
	uint32_t index, void *area)
{
	struct pst_span name;
	struct pst_rules_run run;
	int status = pst_messages_read(
		messages, index, &name, &facts->input.header, &facts->input.wall_s);

	if (!status)
		status = pst_rules_run_begin(
			&run, job->set, &facts->input, area, pst_rules_run_bytes_max(job->set));
	if (status) {
		pst_app_complain("%s: %s\n", messages->names.names[index], pst_strerror(status));
		return status;
	}
	while (pst_rules_run_step(&run, PST_RULES_WORK_MAX) > 0)
		;
	if (index)
		pst_app_print(STDOUT_FILENO, "\n");
	print_table(name, &run);
	pst_rules_run_end(&run);
	return 0;
}

static int explain_all(
	struct pst_rule_job *job, struct facts *facts, const struct pst_app_args *args)
{
	struct pst_mem *mem = &job->memory.mem;
	uint32_t size = pst_rules_run_bytes_max(job->set);
	struct pst_messages messages;
	int status = pst_messages_open(&messages, mem, args->words, args->word_count);
	void *area = pst_mem_alloc(mem, size);

	if (status)
		pst_app_complain("the messages: %s\n", pst_strerror(status));
	for (uint32_t i = 0; !status && area && i < messages.names.count; i++)
		status = explain_one(job, facts, &messages, i, area);
	if (!area)
		pst_app_complain("out of memory\n");
	status = area ? status : -PST_E_NOMEM;
	pst_mem_free(mem, area, size);
	pst_messages_close(&messages);
	return status;
}

int pst_app_explain(const struct pst_app_args *args)
{
	struct pst_rule_job job;
	struct facts facts;
	int status;

	if (args->word_count == 0) {
		pst_app_complain("explain needs a message, a folder, or - behind it\n");
		return PST_EXIT_USAGE;
	}
	if (read_facts(args, &facts))
		return PST_EXIT_USAGE;
	status = pst_rule_job_open(&job, args->rules_path, false, 0);
	if (!status)
		status = explain_all(&job, &facts, args);
	pst_rule_job_close(&job);
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}
