/* test_config.c - configuration texts against what they must say
 *
 * Every cases/NAME.conf is a test; cases/NAME.out is all that `check` and `show` print of it: the
 * complaints, and for a good one the effective configuration, where it is not the one of
 * minimal.conf, which has everything (so that a new directive changes two files). A new case is two
 * new files. Lines
 * "#! ..." set the surroundings: "-o LINE" adds a line of the command line, "ram SIZE" and
 * "name HOST" describe the machine, "local ADDRESS" is one of its addresses.
 * Each case is also loaded again and again with its n-th allocation failing, and a good one is
 * loaded from its own `show`.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/table_priv.h"
#include "config/value_priv.h"
#include "support/alloc_fail.h"

#define TEXT_MAX (512 * 1024)
#define CASES_MAX 256
#define LINES_MAX 8

struct text {
	char at[TEXT_MAX];
	size_t len;
};

static void append(struct text *text, const void *at, size_t len)
{
	assert_true(text->len + len < TEXT_MAX);
	memcpy(text->at + text->len, at, len);
	text->len += len;
	text->at[text->len] = 0;
}

/* --- surroundings -------------------------------------------------------------------------- */

struct surroundings {
	struct pst_config_reader reader;
	struct pst_config_report report;
	struct pst_config_writer writer;
	struct pst_config_env env;
	struct pst_alloc_fail alloc;
	struct pst_span path;
	struct pst_span lines[LINES_MAX];
	char set_up[4096]; /* the case's "#!" lines are cut out of it */
	uint32_t line_count;
	struct pst_addr local;
	struct text main;     /* what the reader hands out for `path` */
	struct text out;      /* complaints, then `show` */
	uint32_t open_count;  /* files read and not given back */
};

static const char *folder(void)
{
	static char path[512];
	const char *slash = strrchr(__FILE__, '/');

	snprintf(path, sizeof(path), "%.*s/cases", (int)(slash - __FILE__), __FILE__);
	return path;
}

static bool slurp(const char *name, struct text *text)
{
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder(), name);
	file = fopen(path, "rb");
	if (!file)
		return false;
	text->len = fread(text->at, 1, TEXT_MAX - 1, file);
	text->at[text->len] = 0;
	fclose(file);
	return true;
}

static int fake_read(struct pst_config_reader *self, struct pst_span path, struct pst_span *out)
{
	struct surroundings *s = PST_CONTAINER(self, struct surroundings, reader);
	static struct text text;
	uint8_t *copy;

	assert_int_equal(path.at[path.len], 0);
	if (pst_span_eq(path, s->path))
		text = s->main;
	else if (!slurp((const char *)path.at, &text))
		return -PST_E_NOENT;
	copy = pst_mem_alloc(s->env.mem, text.len + 1);
	if (!copy)
		return -PST_E_NOMEM;
	memcpy(copy, text.at, text.len);
	s->open_count++;
	*out = (struct pst_span){copy, (uint32_t)text.len};
	return 0;
}

static void fake_done(struct pst_config_reader *self, struct pst_span text)
{
	struct surroundings *s = PST_CONTAINER(self, struct surroundings, reader);

	s->open_count--;
	pst_mem_free(s->env.mem, (void *)(uintptr_t)text.at, (size_t)text.len + 1);
}

static void fake_message(struct pst_config_report *self, const struct pst_config_message *message)
{
	struct surroundings *s = PST_CONTAINER(self, struct surroundings, report);
	uint8_t area[4096];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, message);
	append(&s->out, area, text.len);
}

static void fake_write(struct pst_config_writer *self, struct pst_span text)
{
	struct surroundings *s = PST_CONTAINER(self, struct surroundings, writer);

	append(&s->out, text.at, text.len);
}

static void set_up_line(struct surroundings *s, char *line)
{
	if (strncmp(line, "-o ", 3) == 0) {
		assert_true(s->line_count < LINES_MAX);
		s->lines[s->line_count++] = pst_span_text(line + 3);
	} else if (strncmp(line, "ram ", 4) == 0) {
		assert_int_equal(pst_config_size_parse(pst_span_text(line + 4),
						       &s->env.ram_bytes), 0);
	} else if (strncmp(line, "name ", 5) == 0) {
		s->env.machine_name = pst_span_text(line + 5);
	} else if (strncmp(line, "local ", 6) == 0) {
		assert_int_equal(pst_addr_parse(pst_span_text(line + 6), &s->local), 0);
		s->env.locals = &s->local;
		s->env.local_count = 1;
	} else {
		fail_msg("unknown surroundings: %s", line);
	}
}

static struct surroundings *surroundings_of(const char *name)
{
	struct surroundings *s = calloc(1, sizeof(*s));
	char *line, *rest;

	pst_alloc_fail_init(&s->alloc);
	s->reader = (struct pst_config_reader){fake_read, fake_done};
	s->report.on_message = fake_message;
	s->writer.write = fake_write;
	s->env = (struct pst_config_env){
		.mem = &s->alloc.mem,
		.reader = &s->reader,
		.report = &s->report,
		.machine_name = PST_SPAN("mx.machine.example"),
	};
	s->path = pst_span_text(name);
	assert_true(slurp(name, &s->main));
	snprintf(s->set_up, sizeof(s->set_up), "%s", s->main.at);
	for (line = strtok_r(s->set_up, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strncmp(line, "#! ", 3) == 0)
			set_up_line(s, line + 3);
	return s;
}

static void free_surroundings(struct surroundings *s)
{
	assert_int_equal(s->open_count, 0);
	assert_int_equal(s->alloc.block_count, 0);
	free(s);
}

static int load(struct surroundings *s, struct pst_config **config)
{
	s->out.len = 0;
	s->out.at[0] = 0;
	return pst_config_load(&s->env, s->path, s->lines, s->line_count, 1, config);
}

/* --- golden cases -------------------------------------------------------------------------- */

/* Take out the lines from `from` on that minimal.out has, too. */
static void leave_defaults_out(struct text *text, size_t from)
{
	static struct text minimal;
	size_t kept = from;

	assert_true(slurp("minimal.out", &minimal));
	while (from < text->len) {
		char *line = text->at + from, *end = strchr(line, '\n'), wanted[4096];
		size_t len = (size_t)(end - line) + 1;

		assert_non_null(end);
		snprintf(wanted, sizeof(wanted), "%.*s", (int)len, line);
		if (len >= sizeof(wanted) || !strstr(minimal.at, wanted)) {
			memmove(text->at + kept, line, len);
			kept += len;
		}
		from += len;
	}
	text->len = kept;
	text->at[kept] = 0;
}

static void check_case(void **state)
{
	const char *name = *state;
	struct surroundings *s = surroundings_of(name);
	static struct text want;
	struct pst_config *config;
	char out_name[512];
	int status = load(s, &config);

	if (status == 0) {
		size_t complaints_len = s->out.len;

		pst_config_show(config, &s->writer);
		pst_proxy_conf_unref(&config->proxy);
		if (strcmp(name, "minimal.conf"))
			leave_defaults_out(&s->out, complaints_len);
	} else {
		assert_int_equal(status, -PST_E_SYNTAX);
	}
	snprintf(out_name, sizeof(out_name), "%.*s.out", (int)(strlen(name) - 5), name);
	if (getenv("PST_WRITE_OUT")) {
		char path[1024];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s", folder(), out_name);
		file = fopen(path, "wb");
		assert_non_null(file);
		fwrite(s->out.at, 1, s->out.len, file);
		fclose(file);
	}
	if (!slurp(out_name, &want))
		fail_msg("no %s; PST_WRITE_OUT=1 writes it, read it before you keep it", out_name);
	assert_string_equal(s->out.at, want.at);
	free_surroundings(s);
}

static void check_fixed_point(void **state)
{
	struct surroundings *s = surroundings_of(*state);
	static struct text first;
	struct pst_config *config;

	if (load(s, &config) == 0) {
		s->out.len = 0;
		pst_config_show(config, &s->writer);
		pst_proxy_conf_unref(&config->proxy);
		first = s->out;
		s->main = first;
		s->line_count = 0;
		s->env.ram_bytes = 0;
		s->env.machine_name = PST_SPAN("another.example");
		assert_int_equal(load(s, &config), 0);
		s->out.len = 0;
		pst_config_show(config, &s->writer);
		pst_proxy_conf_unref(&config->proxy);
		assert_string_equal(s->out.at, first.at);
	}
	free_surroundings(s);
}

static void check_alloc_failures(void **state)
{
	struct surroundings *s = surroundings_of(*state);
	struct pst_config *config;
	bool failed = true;

	for (uint64_t n = 1; failed; n++) {
		int status;

		pst_alloc_fail_at(&s->alloc, n, n % 2);
		status = load(s, &config);
		failed = s->alloc.failed_count > 0;
		if (failed)
			assert_int_equal(status, -PST_E_NOMEM);
		if (status == 0)
			pst_proxy_conf_unref(&config->proxy);
		assert_int_equal(s->open_count, 0);
		assert_int_equal(s->alloc.block_count, 0);
		s->alloc.failed_count = 0;
	}
	free_surroundings(s);
}

static void check_no_newline(void **state)
{
	/* The last line counts without its end, too; a NUL is a byte like any other bad one. */
	struct surroundings *s = surroundings_of("minimal.conf");
	struct pst_config *config;

	(void)state;
	while (s->main.len && s->main.at[s->main.len - 1] == '\n')
		s->main.at[--s->main.len] = 0;
	assert_int_equal(load(s, &config), 0);
	assert_int_equal(config->proxy.relay.route_count, 1);
	pst_proxy_conf_unref(&config->proxy);
	s->main.at[s->main.len++] = '0';
	assert_int_equal(load(s, &config), 0);
	assert_int_equal(config->proxy.relay.routes[0].servers[0].port, 250);
	pst_proxy_conf_unref(&config->proxy);
	s->main.at[s->main.len++] = 0;
	assert_int_equal(load(s, &config), -PST_E_SYNTAX);
	free_surroundings(s);
}

/* --- rows ---------------------------------------------------------------------------------- */

static void check_nearest(void **state)
{
	static const struct {
		const char *word, *want;
	} rows[] = {
		{"lisen", "listen"},     {"timeuot", "timeout"}, {"hold_pool", "hold-pool"},
		{"messages", "message"}, {"rely", "relay"},      {"quarantine", NULL},
		{"x", NULL},             {"", NULL},             {"Allow", "allow"},
		{"recipents", "recipients"},
		{"a-word-that-is-much-longer-than-any-directive-there-is", NULL},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_nearest nearest;

		pst_nearest_init(&nearest, pst_span_text(rows[i].word));
		for (uint32_t d = 0; d < pst_config_table_count; d++)
			pst_nearest_offer(&nearest, pst_config_table[d].name);
		if (rows[i].want)
			assert_string_equal(nearest.best ? nearest.best : "(none)", rows[i].want);
		else
			assert_null(nearest.best);
	}
}

static void check_domains(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{"example.org", true}, {"localhost", true}, {"xn--bcher-kva.example", true},
		{"3com.com", true},    {"a.b-c.d", true},   {"", false},
		{".org", false},       {"org.", false},     {"a..b", false},
		{"-a.org", false},     {"a-.org", false},   {"a.org-", false},
		{"a_b.org", false},    {"a b.org", false},  {"192.0.2.1", false},
		{"b\xc3\xbc.org", false},
	};
	static char label[80];

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++)
		if (pst_config_domain_ok(pst_span_text(rows[i].text)) != rows[i].good)
			fail_msg("\"%s\" should be %s", rows[i].text,
				 rows[i].good ? "good" : "bad");
	memset(label, 'a', 63);
	assert_true(pst_config_domain_ok(pst_span_text(label)));
	label[63] = 'a';
	assert_false(pst_config_domain_ok(pst_span_text(label)));
}

static void check_reference(void **state)
{
	/* The reference names every directive and option, each with its default. */
	static struct text doc;
	char needle[128];

	(void)state;
	if (!slurp("../../../../firmware/doc/configuration.md", &doc))
		fail_msg("firmware/doc/configuration.md is missing");
	for (uint32_t d = 0; d < pst_config_table_count; d++) {
		const struct pst_config_directive *row = &pst_config_table[d];

		snprintf(needle, sizeof(needle), "\n### `%s", row->name);
		if (!strstr(doc.at, needle))
			fail_msg("configuration.md has no section on `%s`", row->name);
		for (uint32_t i = 0; i < row->option_count; i++) {
			const struct pst_config_option *option = &row->options[i];
			uint8_t area[32];
			struct pst_span value;

			if (!option->name)
				continue;
			value = pst_config_is_text(option)
					? PST_SPAN_NONE
					: pst_config_value_text(option, option->preset, area);
			snprintf(needle, sizeof(needle), "\n| `%s` | %.*s%s", option->name,
				 (int)value.len, (const char *)value.at, value.len ? " |" : "");
			if (!strstr(doc.at, needle))
				fail_msg("configuration.md: no row%s", needle);
		}
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
	static struct CMUnitTest tests[3 * CASES_MAX + 8];
	static char *names[CASES_MAX], title[3 * CASES_MAX][160];
	static const struct {
		const char *what;
		CMUnitTestFunction test;
	} kinds[] = {{"text", check_case},
		     {"fixed point", check_fixed_point},
		     {"allocation failures", check_alloc_failures}};
	size_t count = 0, name_count = 0;
	struct dirent *entry;
	DIR *dir = opendir(folder());

	if (!dir) {
		fprintf(stderr, "%s: cannot be read\n", folder());
		return 1;
	}
	while ((entry = readdir(dir)) && name_count < CASES_MAX) {
		size_t len = strlen(entry->d_name);

		if (len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0)
			names[name_count++] = strdup(entry->d_name);
	}
	closedir(dir);
	qsort(names, name_count, sizeof(names[0]), by_name);
	for (size_t n = 0; n < name_count; n++) {
		for (size_t k = 0; k < PST_COUNT(kinds); k++, count++) {
			snprintf(title[count], sizeof(title[count]), "%s: %s", names[n],
				 kinds[k].what);
			tests[count] = (struct CMUnitTest){.name = title[count],
							   .test_func = kinds[k].test,
							   .initial_state = names[n]};
		}
	}
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(check_no_newline);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(check_nearest);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(check_domains);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(check_reference);
	return _cmocka_run_group_tests("config", tests, count, NULL, NULL);
}
