#include <unistd.h>

#include "app/app.h"
#include "app/bound.h"
#include "app/confine.h"
#include "app/live.h"
#include "app/live_names.h"
#include "app/rule_set.h"
#include "app/tls.h"
#include "loop/loop_epoll.h"

struct job {
	struct pst_mem_system memory;
	struct pst_app_machine machine;
	struct pst_config *config;
};

static int load(struct job *job, const struct pst_app_args *args)
{
	int status;

	pst_mem_system_init(&job->memory);
	pst_app_machine_init(&job->machine, &job->memory.mem);
	status = pst_app_load(&job->machine, args, NULL, 1, &job->config);
	if (status == -PST_E_NOMEM)
		pst_app_complain("out of memory while reading the configuration\n");
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}

int pst_app_check(const struct pst_app_args *args)
{
	struct job job;
	struct pst_app_tls tls;
	struct pst_app_rules rules;
	struct pst_bound bound = {0};
	struct pst_epoll clock;
	int status, wrong_count = 0, warning_count = 0;

	if (load(&job, args))
		return PST_EXIT_BAD;
	status = pst_epoll_init(&clock);
	if (status) {
		pst_app_complain("%s\n", pst_strerror(status));
		return PST_EXIT_BAD;
	}
	status = pst_app_tls_open(&tls, &job.machine, &job.memory, &clock.poller);
	if (status == 0) {
		status = pst_app_tls_attach(&tls, job.config, PST_APP_TLS_TRY, NULL);
		pst_app_rules_init(&rules, &job.memory);
		if (status == 0)
			status = pst_app_rules_attach(&rules, job.config, NULL);
		bound = pst_bound_of(job.config);
	}
	if (status == 0 && args->live)
		wrong_count = pst_app_live(job.config, &job.memory.mem);
	if (status == 0 && args->live)
		warning_count = pst_app_live_names(job.config, &job.memory.mem);
	if (status == 0 && !pst_app_confine_check(job.config))
		status = -PST_E_SYNTAX;
	if (status && status != -PST_E_SYNTAX)
		pst_app_complain("TLS: %s\n", pst_strerror(status));
	pst_proxy_conf_unref(&job.config->proxy);
	pst_app_tls_close(&tls);
	pst_epoll_fini(&clock);
	if (wrong_count < 0)
		pst_app_complain("out of memory\n");
	if (warning_count < 0)
		pst_app_print(STDOUT_FILENO, "\nDNS cannot be started: MX and host name were not looked up\n");
	if (warning_count > 0)
		pst_app_print(STDOUT_FILENO, "\n%d warning%s about names\n", warning_count,
			      warning_count == 1 ? "" : "s");
	if (wrong_count > 0)
		pst_app_print(STDOUT_FILENO, "\n%d internal server%s must be looked at\n", wrong_count,
			      wrong_count == 1 ? "" : "s");
	if (status || wrong_count)
		return PST_EXIT_BAD;
	if (args->live)
		pst_app_print(STDOUT_FILENO, "\n");
	pst_app_print(STDOUT_FILENO, "%.*s: good\n", (int)args->config_path.len,
		      (const char *)args->config_path.at);
	pst_bound_print(STDOUT_FILENO, &bound);
	return PST_EXIT_GOOD;
}

static void to_stdout(struct pst_config_writer *self, struct pst_span text)
{
	(void)self;
	pst_app_write(STDOUT_FILENO, text);
}

int pst_app_show(const struct pst_app_args *args)
{
	struct pst_config_writer writer = {to_stdout};
	struct job job;

	if (load(&job, args))
		return PST_EXIT_BAD;
	pst_config_show(job.config, &writer);
	pst_proxy_conf_unref(&job.config->proxy);
	return PST_EXIT_GOOD;
}
