/* app/rule_set.c - see rule_set.h */
#include "app/rule_set.h"

#include <unistd.h>

#include "app/app.h"

#define TOLD_MAX 20 /* complaints about rules; `postern rules lint` has them all */

static void on_release(struct pst_config *config)
{
	pst_rules_set_unref(config->proxy.rules);
}

static void to_stderr(struct pst_config_report *self, const struct pst_config_message *message)
{
	uint8_t area[2048];
	struct pst_buf text;

	(void)self;
	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, message);
	pst_app_write(STDERR_FILENO, pst_buf_span(&text));
}

static struct pst_config_report people = {to_stderr};

static void tell(struct pst_app_rules *rules, const struct pst_config_message *message)
{
	struct pst_config_report *report = rules->report ? rules->report : &people;

	report->on_message(report, message);
}

static void on_message(struct pst_rules_report *self, const struct pst_rules_message *message)
{
	struct pst_app_rules *rules = PST_CONTAINER(self, struct pst_app_rules, messages);
	uint8_t area[800];
	struct pst_buf text;

	if (message->grade == PST_RULES_WARNING || rules->told_count++ > TOLD_MAX)
		return;
	pst_buf_init(&text, area, sizeof(area));
	if (rules->told_count > TOLD_MAX) {
		PST_BUG_ON(pst_buf_put_text(&text, "more is wrong in the rules; `postern rules lint` "
						   "tells everything"));
	} else {
		pst_buf_put_escaped(&text, message->rule, PST_RULES_NAME_LEN_MAX);
		if (message->rule.len > 0)
			PST_BUG_ON(pst_buf_put_text(&text, ": "));
		pst_buf_put_escaped(&text, message->text, 600);
	}
	tell(rules, &(struct pst_config_message){
			    .warning = true,
			    .file = message->file,
			    .line = message->line,
			    .text = pst_buf_span(&text),
		    });
}

static void complain_path(struct pst_app_rules *rules, const struct pst_config_rules_path *path,
			  int status)
{
	uint8_t area[600];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	pst_buf_put_escaped(&text, path->path, 400);
	PST_BUG_ON(pst_buf_put_text(&text, ": ") ||
		   pst_buf_put_text(&text, pst_strerror(status)));
	tell(rules, &(struct pst_config_message){
			    .file = path->file,
			    .line = path->line,
			    .text = pst_buf_span(&text),
		    });
}

void pst_app_rules_init(struct pst_app_rules *rules, struct pst_mem_system *memory)
{
	*rules = (struct pst_app_rules){
		.memory = memory,
		.messages = {.on_message = on_message},
	};
}

/* Steps are no time; how many of them make the 2 ms of a pattern is measured on this machine. */
static int measure(struct pst_app_rules *rules)
{
	int status = rules->measured ? 0 : pst_rule_limits(&rules->memory->mem, &rules->limits);

	rules->measured = status == 0;
	return status;
}

static int list_files(struct pst_app_rules *rules)
{
	const struct pst_config_rules *named = &rules->config->rules;

	for (uint32_t i = 0; i < named->path_count; i++) {
		const struct pst_config_rules_path *path = &named->paths[i];
		int status = access((const char *)path->path.at, R_OK) ? -PST_E_ACCESS : 0;

		if (status == 0)
			status = pst_rule_files_add(&rules->files, path->path);
		else if (access((const char *)path->path.at, F_OK))
			status = -PST_E_NOENT;
		if (status == -PST_E_NOMEM)
			return status;
		if (status) {
			complain_path(rules, path, status);
			return -PST_E_SYNTAX;
		}
	}
	return 0;
}

int pst_app_rules_begin(struct pst_app_rules *rules, struct pst_config *config,
			struct pst_config_report *report)
{
	struct pst_mem *mem = &rules->memory->mem;
	struct pst_rules_conf conf = {.jit = PST_RULES_JIT};
	int status;

	PST_BUG_ON(rules->load);
	if (!PST_RULES_BUILT || config->rules.path_count == 0)
		return 0;
	rules->config = config;
	rules->report = report;
	rules->told_count = 0;
	rules->bytes_before = rules->memory->used_bytes;
	status = measure(rules);
	conf.limits = rules->limits;
	pst_rule_files_init(&rules->files, mem);
	status = status ? status : list_files(rules);
	if (!status)
		status = pst_rules_load_open(mem, &conf, &rules->files.reader, &rules->messages,
					     config->rules.paths[0].path, &rules->load);
	if (status)
		pst_rule_files_fini(&rules->files);
	return status ? status : 1;
}

static int failed(struct pst_app_rules *rules, int status)
{
	if (status == -PST_E_NOMEM || status == -PST_E_FULL)
		return -PST_E_NOMEM;
	complain_path(rules, &rules->config->rules.paths[0], status);
	return -PST_E_SYNTAX;
}

int pst_app_rules_step(struct pst_app_rules *rules, uint32_t work)
{
	struct pst_config *config = rules->config;
	int status;

	if (!PST_RULES_BUILT)
		return 0;
	status = pst_rules_load_step(rules->load, work);
	if (status > 0)
		return 1;
	if (status == 0) {
		PST_BUG_ON(config->on_release[1]);
		config->proxy.rules = pst_rules_load_take(rules->load);
		config->on_release[1] = on_release;
	}
	pst_app_rules_stop(rules);
	if (status < 0)
		return failed(rules, status);
	config->attached_bytes += rules->memory->used_bytes - rules->bytes_before;
	return 0;
}

void pst_app_rules_stop(struct pst_app_rules *rules)
{
	if (!PST_RULES_BUILT || !rules->load)
		return;
	pst_rules_load_close(rules->load);
	pst_rule_files_fini(&rules->files);
	rules->load = NULL;
}

int pst_app_rules_attach(struct pst_app_rules *rules, struct pst_config *config,
			 struct pst_config_report *report)
{
	int status = pst_app_rules_begin(rules, config, report);

	while (status > 0)
		status = pst_app_rules_step(rules, 100000);
	return status;
}
