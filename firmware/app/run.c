/* app/run.c - the composition root: which clock, network, memory and log the proxy gets */
#include <signal.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/status.h"
#include "app/app.h"
#include "app/bound.h"
#include "app/clock.h"
#include "app/confine.h"
#include "app/dns.h"
#include "app/heap.h"
#include "app/interfaces.h"
#include "app/outlet.h"
#include "app/rule_set.h"
#include "app/tls.h"
#include "mail/charset_iconv.h"
#include "net/net_kernel.h"
#include "proxy/proxy.h"
#include "store/store_file.h"

#define SLOW_TURN_MS 20
#define LOOK_MS 1000 /* at internal servers, before the listeners open */
#define ADDRESSES_MS 20000 /* for DHCP, and for IPv6 to see that nobody else has ours */
#define LAST_WORDS_MS 3000 /* for what our own TCP/IP has still to deliver at the end */

/* When so much of the most memory that was in use has been given back for so long, the system gets
 * it, too. The delay keeps a busy time with short pauses from trimming all the time. */
#define TRIM_BYTES (1024 * 1024)
#define TRIM_DELAY_MS 5000

struct run {
	const struct pst_app_args *args;
	struct pst_mem_system memory;
	struct pst_app_machine machine;
	struct pst_app_confine confine;
	struct pst_app_tls tls;
	struct pst_app_rules rules;
	struct pst_log log;
	uint8_t *ring_area;
	struct pst_epoll epoll;
	struct pst_clock clock;
	struct pst_loop loop;
	struct pst_net_kernel net;
	struct pst_app_interfaces interfaces;
	struct pst_app_dns dns;
	struct pst_store_file store;
	struct pst_rng rng;
	struct pst_counters counters;
	struct pst_outlet outlet;
	struct pst_signals signals;
	struct pst_control control;
	uint64_t started_ms; /* monotonic */
	uint64_t bound_bytes;
	struct pst_turn_hook watch_hook;
	struct pst_timer trim_timer;
	struct pst_timer look_timer;
	uint64_t used_bytes_peak; /* since the last trim */
	struct pst_proxy *proxy;
	/* One reference of our own: the log's place is in it. */
	struct pst_config *config;
	struct pst_config *next; /* being reloaded: its rules are compiled in slices; NULL: none */
	struct pst_task reload_task;
	bool reload_again; /* another HUP came meanwhile */
	uint32_t generation;
	uint32_t stop_count;
	bool polls;   /* the epoll descriptor is open */
	bool tls_bad; /* at start */
	bool tls_room, relay_tls_room; /* of the first generation */
};

/* --- reload -------------------------------------------------------------------------------- */

#define RELOAD_WORK 5000 /* of a turn, in microseconds or so */

struct reload_report {
	struct pst_config_report report;
	struct pst_log *log;
};

static void reload(struct run *run);

/* The same words as on a terminal, without the picture, and with quotes that a log line can carry
 * as they are. */
static void report_to_log(struct pst_config_report *self, const struct pst_config_message *message)
{
	struct reload_report *report = PST_CONTAINER(self, struct reload_report, report);
	struct pst_config_message bare = *message;
	uint8_t area[1024];
	struct pst_buf text;

	bare.source = PST_SPAN_NONE;
	bare.warning = false;
	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, &bare);
	for (uint32_t i = 0; i < text.len; i++)
		if (area[i] == '"')
			area[i] = '\'';
	pst_log_begin(report->log, message->warning ? PST_LOG_WARNING : PST_LOG_ERROR, "config");
	pst_log_span(
		report->log, "msg",
		pst_span_trim(pst_span_sub(pst_buf_span(&text), 0, text.len ? text.len - 1 : 0)));
	pst_log_end(report->log);
}

static void keep_old(struct run *run, const char *why)
{
	const struct pst_span user = run->config->user;

	pst_log_message(&run->log, PST_LOG_ERROR, "reload_failed",
			"%s; the configuration in use is unchanged (generation %u)%s%.*s", why,
			run->generation, run->confine.is_other ? "; files are read as the user " : "",
			run->confine.is_other ? (int)user.len : 0, (const char *)user.at);
}

static int open_log(struct run *run, const struct pst_config *config)
{
	return pst_outlet_open(&run->outlet, config->log, config->log_path);
}

/* 192.0.2.1:25, or tap0:25 */
static void put_endpoint(const struct run *run, struct pst_buf *text, const struct pst_addr *address)
{
	if (address->via == 0)
		pst_addr_put_port(text, address);
	else
		PST_BUG_ON(pst_buf_printf(text, "%s:%u",
					  run->config->interfaces[address->via - 1].name,
					  address->port));
}

#define LOW_PORT \
	" (the right to ports below 1024 is kept only if `listen` had one at start)"

/* Everything of the new generation is there: it takes the old one's place, whole or not at all. */
static void take_over(struct run *run, struct pst_config *config)
{
	struct pst_addr failed;
	uint8_t area[PST_ADDR_TEXT_MAX + 160];
	struct pst_buf text;
	/* First what can fail and be taken back: the log's place, by staying at the old one. */
	int status = open_log(run, config);

	if (status) {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, status == -PST_E_ACCESS && run->confine.landlocked
				      ? "the log cannot be opened; a folder that had no log at start "
					"takes a restart"
				      : pst_strerror(status));
		return;
	}
	/* The proxy takes one reference, we keep ours. */
	status = pst_proxy_reload(run->proxy, pst_proxy_conf_ref(&config->proxy), &failed);
	if (status) {
		pst_buf_init(&text, area, sizeof(area) - 1);
		put_endpoint(run, &text, &failed);
		PST_BUG_ON(pst_buf_printf(&text, " cannot be opened: %s%s", pst_strerror(status),
					  status == -PST_E_ACCESS ? LOW_PORT : ""));
		area[text.len] = 0;
		pst_proxy_conf_unref(&config->proxy);
		pst_proxy_conf_unref(&config->proxy);
		if (open_log(run, run->config))
			pst_log_message(&run->log, PST_LOG_WARNING, "log", "the old log is gone");
		keep_old(run, (const char *)area);
		return;
	}
	if (run->dns.cares && pst_dns_cares_reload(run->dns.cares, &config->proxy.dns))
		pst_log_message(&run->log, PST_LOG_WARNING, "dns", "the old resolvers are asked on");
	pst_store_file_use(&run->store, &config->store);
	if (config->store.bytes != run->config->store.bytes)
		pst_log_message(&run->log, PST_LOG_WARNING, "store",
				"`store size` changes at a restart: the memory bound was printed");
	/* Other resolvers may know better, and an owner who reloads wants to see what is so now. */
	if (run->dns.cares)
		pst_dns_cache_clear(&run->dns.cache);
	pst_proxy_conf_unref(&run->config->proxy);
	run->config = config;
	run->generation++;
	pst_log_begin(&run->log, PST_LOG_INFO, "reload");
	pst_log_u64(&run->log, "generation", run->generation);
	pst_log_end(&run->log);
}

static void end_reload(struct run *run, int status)
{
	struct pst_config *config = run->next;

	run->next = NULL;
	if (status == 0) {
		take_over(run, config);
	} else {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, status == -PST_E_NOMEM ? "out of memory" : "errors in its rules");
	}
	if (run->reload_again) {
		run->reload_again = false;
		reload(run);
	}
}

static void on_reload_task(struct pst_task *task)
{
	struct run *run = PST_CONTAINER(task, struct run, reload_task);
	struct reload_report report = {.report = {report_to_log}, .log = &run->log};
	int status;

	run->rules.report = &report.report;
	status = pst_app_rules_step(&run->rules, RELOAD_WORK);
	if (status > 0)
		pst_loop_resume(&run->loop, &run->reload_task);
	else
		end_reload(run, status);
}

static void reload(struct run *run)
{
	struct reload_report report = {.report = {report_to_log}, .log = &run->log};
	struct pst_config *config;
	const char *why;
	int status;

	if (run->next) {
		run->reload_again = true;
		return;
	}
	status = pst_app_load(&run->machine, run->args, &report.report, run->generation + 1,
			      &config);
	if (status) {
		keep_old(run, status == -PST_E_NOMEM ? "out of memory" : "errors in it");
		return;
	}
	status = pst_app_tls_attach(&run->tls, config, PST_APP_TLS_RUN, &report.report);
	if (status) {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, status == -PST_E_NOMEM ? "out of memory" : "errors in its TLS files");
		return;
	}
	if ((config->proxy.tls_room && !run->tls_room) ||
	    (config->proxy.relay.tls_room && !run->relay_tls_room)) {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, "TLS was off at start, and the memory bound was printed without it: "
			      "it takes a restart to turn it on");
		return;
	}
	if (!config->proxy.dns.off && !run->dns.cares) {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, "`dns` was off at start, and the memory bound was printed without it: "
			      "it takes a restart to turn it on");
		return;
	}
	if (!pst_app_interfaces_same(config, run->config)) {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, "its `interface` lines differ, and these are opened at start only");
		return;
	}
	why = pst_app_confine_misses(&run->confine, run->config, config);
	if (why) {
		pst_proxy_conf_unref(&config->proxy);
		keep_old(run, why);
		return;
	}
	run->next = config;
	run->reload_task.on_run = on_reload_task;
	status = pst_app_rules_begin(&run->rules, config, &report.report);
	if (status > 0)
		pst_loop_resume(&run->loop, &run->reload_task);
	else
		end_reload(run, status);
}

/* --- signals and the end ------------------------------------------------------------------- */

static void on_drained(void *owner)
{
	struct run *run = owner;

	pst_loop_stop(&run->loop);
}

static void stop(struct run *run)
{
	run->stop_count++;
	pst_log_begin(&run->log, PST_LOG_INFO, run->stop_count == 1 ? "drain" : "stop");
	pst_log_u64(&run->log, "sessions", pst_proxy_session_count(run->proxy));
	pst_log_end(&run->log);
	pst_proxy_drain(run->proxy);
	if (run->stop_count > 1)
		pst_loop_stop(&run->loop);
}

static void on_signal(struct pst_signals *signals, int number)
{
	struct run *run = PST_CONTAINER(signals, struct run, signals);

	if (number == SIGHUP && run->stop_count == 0)
		reload(run);
	else if (number != SIGHUP)
		stop(run);
}

static void trim(struct pst_timer *timer)
{
	struct run *run = PST_CONTAINER(timer, struct run, trim_timer);

	pst_heap_trim();
	run->used_bytes_peak = run->memory.used_bytes;
}

static void on_turn_end(struct pst_turn_hook *hook)
{
	struct run *run = PST_CONTAINER(hook, struct run, watch_hook);

	if (run->loop.turn_ms_last > SLOW_TURN_MS)
		pst_count(&run->counters, PST_COUNTER_slow_turns);
	run->used_bytes_peak = PST_MAX(run->used_bytes_peak, run->memory.used_bytes);
	if (run->used_bytes_peak - run->memory.used_bytes > TRIM_BYTES &&
	    !pst_timer_armed(&run->trim_timer))
		pst_timer_set(&run->loop, &run->trim_timer, run->loop.now_ms + TRIM_DELAY_MS);
}

/* --- status --------------------------------------------------------------------------------- */

static bool answer(struct pst_control *control, struct pst_span line, struct pst_buf *out)
{
	struct run *run = PST_CONTAINER(control, struct run, control);
	struct pst_addr listeners[PST_LISTENERS_MAX];
	struct pst_status status = {
		.version = PST_VERSION,
		.uptime_ms = run->loop.now_ms - run->started_ms,
		.used_bytes = run->memory.used_bytes,
		.bound_bytes = run->bound_bytes,
		.log_lost_count = run->log.lost_count,
		.listeners = listeners,
		.listener_count = pst_proxy_listeners(run->proxy, listeners),
		.interfaces = run->config->interfaces,
	};
	enum pst_status_format format;

	if (pst_span_eq(line, PST_SPAN("status")))
		format = PST_STATUS_JSON;
	else if (pst_span_eq(line, PST_SPAN("text")))
		format = PST_STATUS_TEXT;
	else if (pst_span_eq(line, PST_SPAN("metrics")))
		format = PST_STATUS_METRICS;
	else
		return false;
	pst_proxy_report(run->proxy, &status.proxy);
	return pst_status_put(out, &status, format) == 0;
}

static bool make_control(struct run *run)
{
	struct pst_span path = run->config->control_path;
	int status;

	if (path.len == 0)
		return true;
	status = pst_control_open(&run->control, &run->loop, &run->epoll, &run->memory.mem, path, answer);
	if (status)
		pst_app_complain("cannot open the control socket %.*s: %s; correct `control`, or the "
				 "folder's rights\n",
				 (int)path.len, (const char *)path.at, pst_strerror(status));
	return status == 0;
}

/* --- start --------------------------------------------------------------------------------- */

static bool files_suffice(const struct pst_bound *bound)
{
	uint64_t limit_count;

	if (pst_bound_raise_files(bound->descriptor_count, &limit_count) == 0)
		return true;
	pst_app_complain("this configuration needs up to %u open files, and %llu are allowed.\n"
			 "Raise the limit (ulimit -n, LimitNOFILE=, nofile in limits.conf), or "
			 "lower `limit sessions` or `relay ... connections`.\n",
			 bound->descriptor_count, (unsigned long long)limit_count);
	return false;
}

static void complain_listen(const struct run *run, const struct pst_addr *address, int status)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;
	const char *hint = "";

	pst_buf_init(&text, area, sizeof(area));
	put_endpoint(run, &text, address);
	if (status == -PST_E_BUSY)
		hint = " Another program listens there; stop it, or change `listen`.";
	else if (status == -PST_E_ACCESS)
		hint = " Ports below 1024 need root or CAP_NET_BIND_SERVICE.";
	else if (status == -PST_E_UNREACH)
		hint = " No interface has this address; change `listen`.";
	pst_app_complain("cannot listen on %.*s: %s.%s\n", (int)text.len, (const char *)area,
			 pst_strerror(status), hint);
}

/* A reload will read everything as the user that we become, so this is tried now. */
static bool become_user(struct run *run)
{
	struct pst_config *again;

	if (!pst_app_confine_begin(&run->confine, run->config))
		return false;
	if (!run->confine.is_other)
		return true;
	if (pst_app_load(&run->machine, run->args, NULL, run->generation, &again)) {
		pst_app_complain("not started: the user %s must be able to read all files of the "
				 "configuration, or a reload could not\n",
				 (const char *)run->config->user.at);
		return false;
	}
	pst_proxy_conf_unref(&run->config->proxy);
	run->config = again;
	return true;
}

/* Bad TLS files do not keep mail from flowing: it goes without them, and this is said loudly. */
static bool make_tls(struct run *run)
{
	int status = pst_epoll_init(&run->epoll);

	run->polls = status == 0;
	if (status == 0)
		status = pst_app_tls_open(&run->tls, &run->machine, &run->memory,
					  &run->epoll.poller);
	if (status == 0)
		status = pst_app_tls_attach(&run->tls, run->config, PST_APP_TLS_RUN, NULL);
	run->tls_bad = status == -PST_E_SYNTAX;
	run->tls_room = run->config->proxy.tls_room;
	run->relay_tls_room = run->config->proxy.relay.tls_room;
	if (status == 0 || run->tls_bad)
		return true;
	pst_app_complain("TLS cannot be started: %s\n", pst_strerror(status));
	return false;
}

static bool make_rules(struct run *run)
{
	int status = pst_app_rules_attach(&run->rules, run->config, NULL);

	if (status == -PST_E_NOMEM)
		pst_app_complain("out of memory while the rules were read\n");
	else if (status)
		pst_app_complain("not started: correct `rules`\n");
	return status == 0;
}

/* Everything up to the proxy. What is made here is given back by free_parts. */
static bool make_parts(struct run *run)
{
	static const int stop_and_reload[] = {SIGTERM, SIGINT, SIGHUP, 0};
	const struct pst_bound bound = pst_bound_of(run->config);
	struct pst_lwip_interface *via;
	bool good;

	run->ring_area = pst_mem_alloc(&run->memory.mem, PST_BOUND_LOG_RING);
	if (!run->ring_area) {
		pst_app_complain("out of memory\n");
		return false;
	}
	pst_log_init(&run->log, run->ring_area, PST_BOUND_LOG_RING);
	pst_clock_init(&run->clock, &run->epoll.poller, &run->log);
	pst_rng_system_init(&run->rng);
	if (pst_loop_init(&run->loop, &run->clock.poller, &run->memory.mem,
			  pst_bound_timers(run->config)) ||
	    pst_signals_open(&run->epoll, &run->signals, stop_and_reload)) {
		pst_app_complain("out of memory\n");
		return false;
	}
	pst_outlet_init(&run->outlet, &run->log, &run->loop, &run->epoll);
	pst_net_kernel_init(&run->net, &run->epoll, &run->loop);
	run->net.accept_receive_bytes = PST_BOUND_CLIENT_RECEIVE;
	run->net.accept_send_bytes = PST_BOUND_CLIENT_SEND;
	run->net.connect_receive_bytes = PST_BOUND_RELAY_RECEIVE;
	run->net.connect_send_bytes = PST_BOUND_RELAY_SEND;
	run->net.backlog_count = PST_BOUND_BACKLOG;
	pst_app_confine_raise(&run->confine);
	good = pst_app_interfaces_open(&run->interfaces, run->config,
				       pst_bound_relays(&run->config->proxy), &run->epoll, &run->loop,
				       &run->net.net, &run->memory.mem, &run->rng);
	pst_app_confine_lower(&run->confine);
	if (!good)
		return false;
	via = run->config->dns_via ? &run->interfaces.all[run->config->dns_via - 1].lwip : NULL;
	if (pst_app_dns_open(&run->dns, &run->config->proxy.dns, &run->loop, &run->epoll,
			     via ? &via->net : &run->net.net, via ? &via->dgrams : NULL,
			     &run->memory.mem, &run->rng)) {
		pst_app_complain("DNS cannot be started: is there a resolver in /etc/resolv.conf? "
				 "`dns` names others, `dns off` does without\n");
		return false;
	}
	run->bound_bytes = bound.process_bytes;
	run->started_ms = run->loop.now_ms;
	pst_bound_print(STDERR_FILENO, &bound);
	return files_suffice(&bound);
}

/* Once the log is open: what is wrong with the file is said there. */
static bool make_store(struct run *run)
{
	const struct pst_store_conf *conf = &run->config->store;
	struct pst_hash_key key = {pst_rng_u64(&run->rng), pst_rng_u64(&run->rng)};
	int status;

	pst_loop_turn(&run->loop, false); /* the clock is read there */
	status = pst_store_file_init(&run->store, &run->memory.mem, key, conf, &run->loop, &run->log);
	if (status == -PST_E_NOMEM) {
		pst_app_complain("out of memory\n");
		return false;
	}
	if (status == 0 || !conf->trouble_refuses)
		return true;
	pst_app_complain("the state in %s cannot be read, nor that in %s.old. Put a good one in its "
			 "place or remove both; `store trouble empty` starts without\n",
			 (const char *)conf->path.at, (const char *)conf->path.at);
	return false;
}

static bool make_log(struct run *run)
{
	int status = open_log(run, run->config);

	if (!status)
		return true;
	pst_app_complain("cannot open the log %.*s: %s; correct `log`, or the folder's rights\n",
			 (int)run->config->log_path.len, (const char *)run->config->log_path.at,
			 pst_strerror(status));
	return false;
}

static void on_looked(struct pst_timer *timer)
{
	(void)timer; /* it only ends the loop's sleep */
}

/* The first client should be offered what the internal servers can carry: a queueing sender that is
 * not offered 8BITMIME rewrites its mail, and breaks its signature. So they are waited for, but not
 * for long. */
static void look_inside(struct run *run)
{
	uint64_t until_ms;

	run->look_timer.on_due = on_looked;
	pst_loop_turn(&run->loop, false);
	until_ms = run->loop.now_ms + LOOK_MS;
	pst_timer_set(&run->loop, &run->look_timer, until_ms);
	while (pst_proxy_is_looking(run->proxy) && run->loop.now_ms < until_ms &&
	       run->stop_count == 0)
		pst_loop_turn(&run->loop, true);
	pst_timer_cancel(&run->loop, &run->look_timer);
}

static bool make_proxy(struct run *run)
{
	struct pst_proxy_env env = {
		.loop = &run->loop,
		.net = &run->interfaces.choice.net,
		.dns = pst_app_dns_seam(&run->dns),
		.store = &run->store.memory.store,
		.mem = &run->memory.mem,
		.rng = &run->rng,
		.log = &run->log,
		.counters = &run->counters,
		.charset = PST_CHARSET_SYSTEM,
		.on_drained = on_drained,
		.owner = run,
	};
	struct pst_addr failed;
	int status = pst_proxy_new(&env, pst_proxy_conf_ref(&run->config->proxy), &run->proxy);

	if (status) {
		pst_proxy_conf_unref(&run->config->proxy);
		run->proxy = NULL;
		pst_app_complain("out of memory\n");
		return false;
	}
	if (!pst_app_confine_seal(&run->confine, run->config))
		return false;
	run->log.wall_ms = run->epoll.poller.wall_ms(&run->epoll.poller);
	pst_app_confine_tell(&run->confine, run->config, &run->log);
	run->trim_timer.on_due = trim;
	run->watch_hook.on_turn_end = on_turn_end;
	pst_loop_hook(&run->loop, &run->watch_hook);
	pst_outlet_start(&run->outlet);
	pst_app_interfaces_await(&run->interfaces, &run->loop, ADDRESSES_MS);
	pst_app_interfaces_tell(&run->interfaces, &run->log);
	look_inside(run);
	status = run->stop_count > 0 ? 0 : pst_proxy_listen(run->proxy, &failed);
	if (status)
		complain_listen(run, &failed, status);
	return status == 0;
}

static void tell_ready(struct run *run)
{
	uint8_t area[PST_LISTENERS_MAX * (PST_ADDR_TEXT_MAX + 1)];
	struct pst_buf text;

	if (run->stop_count > 0)
		return; /* told to end before it had begun */
	pst_buf_init(&text, area, sizeof(area));
	for (uint32_t i = 0; i < run->config->proxy.listener_count; i++) {
		PST_BUG_ON(i && pst_buf_put_byte(&text, ' '));
		put_endpoint(run, &text, pst_proxy_listener_addr(run->proxy, i));
	}
	pst_app_print(STDERR_FILENO, "ready %.*s\n", (int)text.len, (const char *)area);
	run->log.wall_ms = run->epoll.poller.wall_ms(&run->epoll.poller);
	pst_log_begin(&run->log, PST_LOG_INFO, "start");
	pst_log_text(&run->log, "version", PST_VERSION);
	pst_log_span(&run->log, "listen", pst_buf_span(&text));
	pst_log_u64(&run->log, "pid", (uint64_t)getpid());
	pst_log_end(&run->log);
	if (run->tls_bad)
		pst_log_message(&run->log, PST_LOG_ERROR, "tls_files",
				"bad TLS files: %s; `postern check` says what is wrong",
				run->config->proxy.tls ? "no internal server can be verified"
						       : "STARTTLS is not offered");
}

static void free_parts(struct run *run)
{
	struct pst_mem *mem = &run->memory.mem;

	pst_loop_forget(&run->reload_task);
	pst_app_rules_stop(&run->rules);
	if (run->next)
		pst_proxy_conf_unref(&run->next->proxy);
	if (run->proxy)
		pst_proxy_free(run->proxy);
	if (run->store.memory.slots)
		run->store.memory.store.ops->flush(&run->store.memory.store, run->loop.now_ms);
	pst_store_file_fini(&run->store);
	pst_control_close(&run->control);
	pst_app_dns_close(&run->dns);
	pst_app_interfaces_close(&run->interfaces, LAST_WORDS_MS);
	if (run->outlet.log) {
		pst_outlet_close(&run->outlet);
		pst_signals_close(&run->epoll, &run->signals);
		pst_loop_fini(&run->loop);
	}
	pst_mem_free(mem, run->ring_area, PST_BOUND_LOG_RING);
	pst_proxy_conf_unref(&run->config->proxy);
	pst_app_tls_close(&run->tls);
	if (run->polls)
		pst_epoll_fini(&run->epoll);
}

int pst_app_run(const struct pst_app_args *args)
{
	struct run run = {0};
	bool good;

	run.args = args;
	run.generation = 1;
	run.signals.on_signal = on_signal;
	pst_mem_system_init(&run.memory);
	pst_app_machine_init(&run.machine, &run.memory.mem);
	if (pst_app_load(&run.machine, args, NULL, run.generation, &run.config)) {
		pst_app_complain("not started; `postern check` shows the same\n");
		return PST_EXIT_BAD;
	}
	if (!become_user(&run)) {
		pst_proxy_conf_unref(&run.config->proxy);
		return PST_EXIT_BAD;
	}
	pst_app_rules_init(&run.rules, &run.memory);
	good = make_tls(&run) && make_rules(&run) && make_parts(&run) && make_log(&run) && make_store(&run) &&
	       make_control(&run) && make_proxy(&run);
	if (good) {
		tell_ready(&run);
		pst_loop_run(&run.loop);
		pst_log_begin(&run.log, PST_LOG_INFO, "end");
		pst_log_u64(&run.log, "turn_ms_longest", run.loop.turn_ms_max);
		pst_log_end(&run.log);
	}
	free_parts(&run);
	return good ? PST_EXIT_GOOD : PST_EXIT_BAD;
}
