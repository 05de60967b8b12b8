#include <unistd.h>

#include "app/app.h"
#include "app/bound.h"

static int load(struct pst_mem_system *memory, const struct pst_app_args *args,
		struct pst_config **config)
{
	struct pst_app_machine machine;
	int status;

	pst_mem_system_init(memory);
	pst_app_machine_init(&machine, &memory->mem);
	status = pst_app_load(&machine, args, NULL, 1, config);
	if (status == -PST_E_NOMEM)
		pst_app_complain("out of memory while reading the configuration\n");
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}

int pst_app_check(const struct pst_app_args *args)
{
	struct pst_mem_system memory;
	struct pst_config *config;
	struct pst_bound bound;

	if (load(&memory, args, &config))
		return PST_EXIT_BAD;
	bound = pst_bound_of(config);
	pst_proxy_conf_unref(&config->proxy);
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
	struct pst_mem_system memory;
	struct pst_config *config;

	if (load(&memory, args, &config))
		return PST_EXIT_BAD;
	pst_config_show(config, &writer);
	pst_proxy_conf_unref(&config->proxy);
	return PST_EXIT_GOOD;
}
