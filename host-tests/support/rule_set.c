#include "support/rule_set.h"

#include <string.h>

#include "support/check.h"

static int list(
	struct pst_rules_reader *self, struct pst_span path, uint32_t index, struct pst_span *file)
{
	struct pst_test_rules *rules = PST_CONTAINER(self, struct pst_test_rules, reader);

	(void)path;
	for (uint32_t i = 0; i < PST_TEST_FILES_MAX && rules->files[i].name; i++)
		if (!rules->files[i].included && index-- == 0) {
			*file = pst_span_text(rules->files[i].name);
			return 0;
		}
	return -PST_E_NOENT;
}

static int read_file(struct pst_rules_reader *self, struct pst_span path, struct pst_span *text)
{
	struct pst_test_rules *rules = PST_CONTAINER(self, struct pst_test_rules, reader);

	for (uint32_t i = 0; i < PST_TEST_FILES_MAX && rules->files[i].name; i++)
		if (pst_span_eq(path, pst_span_text(rules->files[i].name))) {
			uint8_t *copy = malloc(rules->files[i].text.len + 1u);

			if (!copy)
				abort();
			memcpy(copy, rules->files[i].text.at, rules->files[i].text.len);
			*text = (struct pst_span){copy, rules->files[i].text.len};
			rules->open_count++;
			return 0;
		}
	return -PST_E_NOENT;
}

static void done(struct pst_rules_reader *self, struct pst_span text)
{
	PST_CONTAINER(self, struct pst_test_rules, reader)->open_count--;
	free((void *)(uintptr_t)text.at);
}

static void on_message(struct pst_rules_report *self, const struct pst_rules_message *message)
{
	struct pst_test_rules *rules = PST_CONTAINER(self, struct pst_test_rules, report);

	pst_bytes_print(&rules->said, "%.*s:%u: %.*s%s%.*s\n", (int)message->file.len,
		(const char *)message->file.at, (unsigned)message->line, (int)message->rule.len,
		(const char *)message->rule.at, message->rule.len ? ": " : "",
		(int)message->text.len, (const char *)message->text.at);
}

void pst_test_rules_begin(struct pst_test_rules *rules, const char *text)
{
	memset(rules, 0, sizeof(*rules));
	pst_alloc_fail_init(&rules->alloc);
	rules->reader = (struct pst_rules_reader){list, read_file, done};
	rules->report.on_message = on_message;
	rules->conf.limits = PST_RULES_LIMITS_DEFAULT;
	rules->conf.keep_all = true;
	rules->files[0].name = "a.cf";
	rules->files[0].text = pst_span_text(text);
	rules->work = 1000;
}

int pst_test_rules_load(struct pst_test_rules *rules)
{
	int status = pst_rules_load_open(&rules->alloc.mem, &rules->conf, &rules->reader,
		&rules->report, PST_SPAN("folder"), &rules->load);

	if (status) {
		rules->load = NULL;
		return status;
	}
	do {
		status = pst_rules_load_step(rules->load, rules->work);
		rules->step_count++;
	} while (status > 0);
	if (!status)
		rules->set = pst_rules_load_take(rules->load);
	return status;
}

void pst_test_rules_end(struct pst_test_rules *rules)
{
	pst_rules_set_unref(rules->set);
	pst_rules_load_close(rules->load);
	pst_bytes_free(&rules->said);
	assert_int_equal(rules->open_count, 0);
	assert_int_equal(rules->alloc.block_count, 0);
	assert_int_equal(rules->alloc.byte_count, 0);
}

const char *pst_test_rules_hits_of(
	struct pst_test_rules *rules, const struct pst_rules_input *input, uint32_t work)
{
	static char text[8192];
	uint32_t size = pst_rules_run_bytes(rules->set, input->header.len);
	struct pst_rules_run run;
	struct pst_buf out;
	void *area = malloc(size);
	int status;

	pst_buf_init(&out, text, sizeof(text) - 1);
	assert_non_null(area);
	assert_int_equal(pst_rules_run_begin(&run, rules->set, input, area, size), 0);
	do
		status = pst_rules_run_step(&run, work);
	while (status > 0);
	for (uint32_t i = 0; i < run.hit_count; i++) {
		struct pst_rules_hit hit;

		pst_rules_run_hit(&run, i, &hit);
		assert_int_equal(pst_buf_put(&out, hit.name), 0);
		if (hit.count > 1)
			assert_int_equal(pst_buf_printf(&out, "*%u", (unsigned)hit.count), 0);
		assert_int_equal(pst_buf_put_byte(&out, ' '), 0);
	}
	assert_int_equal(pst_buf_put_text(&out, "| "), 0);
	assert_int_equal(pst_score_put(&out, run.score, 0), 0);
	if (run.limited_count)
		assert_int_equal(
			pst_buf_printf(&out, " limited %u, first %.*s", (unsigned)run.limited_count,
				(int)pst_rules_run_limited(&run).len,
				(const char *)pst_rules_run_limited(&run).at),
			0);
	if (run.cut)
		assert_int_equal(pst_buf_put_text(&out, " cut"), 0);
	text[out.len] = 0;
	pst_rules_run_end(&run);
	free(area);
	return text;
}

const char *pst_test_rules_hits(struct pst_test_rules *rules, const char *header, uint32_t work)
{
	const struct pst_rules_input input = {.header = pst_span_text(header), .local_only = true};

	return pst_test_rules_hits_of(rules, &input, work);
}

int pst_test_rules_why(const struct pst_test_rules *rules, const char *name)
{
	struct pst_rules_fate fate;

	for (uint32_t i = 0; pst_rules_load_fate(rules->load, i, &fate); i++)
		if (fate.kind != PST_RULES_KIND_NONE && pst_span_eq(fate.name, pst_span_text(name)))
			return (int)fate.why;
	return -1;
}
