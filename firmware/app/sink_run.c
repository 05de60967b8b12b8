/* app/sink_run.c - `postern sink`: the embedded internal server on the real network */
#include <signal.h>
#include <unistd.h>

#include "app/app.h"
#include "app/clock.h"
#include "app/outlet.h"
#include "app/sink.h"
#include "net/net_kernel.h"

#define RING_BYTES 65536

struct sink_run {
	struct pst_mem_system memory;
	struct pst_log log;
	uint8_t *ring_area;
	struct pst_epoll epoll;
	struct pst_clock clock;
	struct pst_loop loop;
	struct pst_net_kernel net;
	struct pst_outlet outlet;
	struct pst_signals signals;
	struct pst_maildir maildir;
	struct pst_sink sink;
	struct pst_sink_fault faults[PST_APP_FAULTS_MAX];
};

static void on_signal(struct pst_signals *signals, int number)
{
	(void)number;
	pst_loop_stop(&PST_CONTAINER(signals, struct sink_run, signals)->loop);
}

static void on_done(void *owner)
{
	struct sink_run *run = owner;

	pst_loop_stop(&run->loop);
}

static bool read_arguments(struct sink_run *run, const struct pst_app_args *args,
			   struct pst_addr *address, uint64_t *count)
{
	const char *what;

	if (pst_addr_parse_port(args->sink_listen, address)) {
		pst_app_complain("--listen: \"%.*s\" is not an address with a port; write one like "
				 "127.0.0.1:2526 or [::1]:2526\n",
				 (int)args->sink_listen.len, (const char *)args->sink_listen.at);
		return false;
	}
	*count = 0;
	if (args->sink_count.len &&
	    (pst_span_u64(args->sink_count, UINT32_MAX, count) || *count == 0)) {
		pst_app_complain("--count: \"%.*s\" is not a number of messages\n",
				 (int)args->sink_count.len, (const char *)args->sink_count.at);
		return false;
	}
	for (uint32_t i = 0; i < args->fault_count; i++) {
		struct pst_span text = args->faults[i];

		if (pst_sink_fault_parse(text, &run->faults[i], &what) == 0)
			continue;
		pst_app_complain("--fault %.*s: %s\n", (int)text.len, (const char *)text.at, what);
		return false;
	}
	return true;
}

static int make_sink(struct sink_run *run, const struct pst_app_args *args,
		     const struct pst_addr *address, uint64_t count)
{
	struct pst_sink_env env = {
		.loop = &run->loop,
		.net = &run->net.net,
		.mem = &run->memory.mem,
		.log = &run->log,
		.maildir = args->sink_maildir.len ? &run->maildir : NULL,
		.faults = run->faults,
		.fault_count = args->fault_count,
		.hostname = PST_SPAN("sink.postern.example"),
		.message_count_max = count,
		.on_done = on_done,
		.owner = run,
	};
	int status;

	if (env.maildir) {
		status = pst_maildir_open(&run->maildir, args->sink_maildir,
					  run->clock.poller.wall_ms(&run->clock.poller) / 1000);
		if (status) {
			pst_app_complain("--maildir %.*s: %s\n", (int)args->sink_maildir.len,
					 (const char *)args->sink_maildir.at, pst_strerror(status));
			return status;
		}
	}
	status = pst_sink_open(&run->sink, &env, address);
	if (status)
		pst_app_complain("cannot listen on %.*s: %s\n", (int)args->sink_listen.len,
				 (const char *)args->sink_listen.at, pst_strerror(status));
	return status;
}

static void tell_ready(struct sink_run *run)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put_port(&text, &run->sink.listener.local);
	pst_app_print(STDOUT_FILENO, "ready %.*s\n", (int)text.len, (const char *)area);
}

int pst_app_sink(const struct pst_app_args *args)
{
	static const int stop[] = {SIGTERM, SIGINT, 0};
	struct sink_run run = {0};
	struct pst_addr address;
	uint64_t count;
	int status;

	pst_mem_system_init(&run.memory);
	if (!read_arguments(&run, args, &address, &count))
		return PST_EXIT_USAGE;
	run.ring_area = pst_mem_alloc(&run.memory.mem, RING_BYTES);
	if (!run.ring_area || pst_epoll_init(&run.epoll)) {
		pst_app_complain("out of memory\n");
		return PST_EXIT_BAD;
	}
	pst_log_init(&run.log, run.ring_area, RING_BYTES);
	run.signals.on_signal = on_signal;
	pst_clock_init(&run.clock, &run.epoll.poller, &run.log);
	if (pst_loop_init(&run.loop, &run.clock.poller, &run.memory.mem,
			  PST_SINK_TIMERS_MAX + PST_OUTLET_TIMERS_MAX + 1) ||
	    pst_signals_open(&run.epoll, &run.signals, stop)) {
		pst_app_complain("out of memory\n");
		return PST_EXIT_BAD;
	}
	pst_net_kernel_init(&run.net, &run.epoll, &run.loop);
	pst_outlet_init(&run.outlet, &run.log, &run.loop, &run.epoll);
	status = make_sink(&run, args, &address, count);
	if (!status) {
		pst_outlet_start(&run.outlet);
		tell_ready(&run);
		pst_loop_run(&run.loop);
		pst_sink_close(&run.sink);
	}
	if (args->sink_maildir.len)
		pst_maildir_close(&run.maildir);
	pst_outlet_close(&run.outlet);
	pst_signals_close(&run.epoll, &run.signals);
	pst_loop_fini(&run.loop);
	pst_epoll_fini(&run.epoll);
	pst_mem_free(&run.memory.mem, run.ring_area, RING_BYTES);
	return status ? PST_EXIT_BAD : PST_EXIT_GOOD;
}
