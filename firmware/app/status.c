/* app/status.c - `postern status`: asks the running program */
#include <unistd.h>

#include "admin/control.h"
#include "app/app.h"

static void to_stdout(struct pst_span piece)
{
	pst_app_write(STDOUT_FILENO, piece);
}

int pst_app_status(const struct pst_app_args *args)
{
	struct pst_app_machine machine;
	struct pst_mem_system memory;
	struct pst_config *config = NULL;
	struct pst_span path = args->control_path;
	int status;

	if (path.len == 0) {
		pst_mem_system_init(&memory);
		pst_app_machine_init(&machine, &memory.mem);
		if (pst_app_load(&machine, args, NULL, 1, &config))
			return PST_EXIT_BAD;
		path = config->control_path;
	}
	if (path.len == 0) {
		pst_app_complain("the configuration has no `control` line, so a running Postern cannot be "
				 "asked. Add `control /run/postern.sock`, or name its socket by --control.\n");
		status = -PST_E_NOENT;
	} else {
		status = pst_control_ask(path,
					 args->as_json ? "status" : args->as_metrics ? "metrics" : "text",
					 to_stdout);
		if (status)
			pst_app_complain("%.*s: %s. %s\n", (int)path.len, (const char *)path.at,
					 pst_strerror(status),
					 status == -PST_E_ACCESS
						 ? "The socket is for its owner and his group."
						 : "Is Postern running, with this `control` line?");
	}
	if (config)
		pst_proxy_conf_unref(&config->proxy);
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}
