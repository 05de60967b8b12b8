#include "app/interfaces.h"

#include <string.h>

#include "app/app.h"

bool pst_app_interfaces_same(const struct pst_config *a, const struct pst_config *b)
{
	return a->interface_count == b->interface_count && a->dns_via == b->dns_via &&
	       memcmp(a->interfaces, b->interfaces,
		      a->interface_count * sizeof(a->interfaces[0])) == 0;
}

#ifdef CONFIG_POSTERN_LWIP

/* What a connection may have waiting to be read, on the average: a client whose message waits for
 * the internal server has a full window, most have nothing. */
#define SHARE_BYTES 16384

static struct pst_lwip_limits limits_of(const struct pst_config *config, uint32_t relay_count)
{
	return (struct pst_lwip_limits){
		.accept_bytes_max = config->proxy.session_count_max * SHARE_BYTES,
		.connect_bytes_max = relay_count * (SHARE_BYTES / 4),
		.half_count_max = CONFIG_POSTERN_LWIP_HALF,
		.half_network_max = CONFIG_POSTERN_LWIP_HALF / 4,
		.accept_turn_max = 16,
	};
}

uint64_t pst_app_interfaces_bound(const struct pst_config *config, uint32_t relay_count)
{
	const struct pst_lwip_limits limits = limits_of(config, relay_count);

	return config->interface_count ? pst_lwip_bound(&limits) : 0;
}

uint32_t pst_app_interfaces_timers_max(const struct pst_config *config)
{
	return config->interface_count ? PST_LWIP_TIMERS_MAX + 1 : 0;
}

static void complain(const struct pst_interface_conf *conf, int status)
{
	const char *hint = "";

	if (status == -PST_E_ACCESS)
		hint = " It takes root or CAP_NET_ADMIN (tap), CAP_NET_RAW (packet).";
	else if (status == -PST_E_NOENT && conf->driver == PST_INTERFACE_TAP)
		hint = " This kernel has no TAP: load the module tun, or write `packet`.";
	else if (status == -PST_E_NOENT)
		hint = " There is no interface of this name; `ip link` shows what there is.";
	else if (status == -PST_E_BUSY)
		hint = " Another program has the device; stop it, or take another name.";
	pst_app_complain("interface %s cannot be opened: %s.%s\n", conf->name, pst_strerror(status),
			 hint);
}

static int open_driver(struct pst_app_interface *one, struct pst_epoll *epoll, struct pst_mem *mem,
		       struct pst_frames **frames)
{
	if (one->conf->driver == PST_INTERFACE_TAP) {
		*frames = &one->tap.frames;
		return pst_frames_tap_open(&one->tap, epoll, one->conf->name);
	}
	*frames = &one->packet.frames;
	return pst_frames_packet_open(&one->packet, epoll, mem, one->conf->name, one->conf->mac);
}

static int open_one(struct pst_app_interfaces *interfaces, uint32_t index, struct pst_epoll *epoll,
		    struct pst_mem *mem)
{
	struct pst_app_interface *one = &interfaces->all[index];
	struct pst_frames *frames;
	int status = open_driver(one, epoll, mem, &frames);

	one->driver_open = status == 0;
	if (status == 0)
		status = pst_lwip_add(&interfaces->lwip, &one->lwip, frames, one->conf);
	one->open = status == 0;
	if (one->open)
		interfaces->choice.nets[1 + index] = &one->lwip.net;
	return status;
}

static bool is_relayed_through(const struct pst_config *config)
{
	for (uint32_t i = 0; i < config->proxy.relay.route_count; i++)
		if (config->proxy.relay.routes[i].via)
			return true;
	return config->proxy.relay.submission && config->proxy.relay.submission->via;
}

static bool are_conns_enough(const struct pst_config *config, uint32_t relay_count)
{
	uint32_t need = config->proxy.session_count_max + CONFIG_POSTERN_LWIP_HALF +
			(is_relayed_through(config) ? relay_count : 0);

	if (need <= pst_lwip_conns_max())
		return true;
	pst_app_complain("`limit sessions` and `relay ... connections` allow %u connections with "
			 "the %u handshakes beside them, and this program's own TCP/IP has room for "
			 "%u.\nLower them, or build it with a larger POSTERN_LWIP_PCBS.\n",
			 need, CONFIG_POSTERN_LWIP_HALF, pst_lwip_conns_max());
	return false;
}

bool pst_app_interfaces_open(struct pst_app_interfaces *interfaces, const struct pst_config *config,
			     uint32_t relay_count, struct pst_epoll *epoll, struct pst_loop *loop,
			     struct pst_net *kernel, struct pst_mem *mem, struct pst_rng *rng)
{
	const struct pst_lwip_limits limits = limits_of(config, relay_count);
	int status;

	pst_net_choice_init(&interfaces->choice, kernel);
	interfaces->count = 0;
	if (config->interface_count == 0)
		return true;
	if (!are_conns_enough(config, relay_count))
		return false;
	if (pst_lwip_open(&interfaces->lwip, loop, mem, rng, &limits)) {
		pst_app_complain("out of memory\n");
		return false;
	}
	interfaces->count = config->interface_count;
	for (uint32_t i = 0; i < interfaces->count; i++) {
		interfaces->all[i] = (struct pst_app_interface){.conf = &config->interfaces[i]};
		status = open_one(interfaces, i, epoll, mem);
		if (status) {
			complain(&config->interfaces[i], status);
			return false;
		}
	}
	return true;
}

/* --- waiting -------------------------------------------------------------------------------- */

static bool are_ready(const struct pst_app_interfaces *interfaces)
{
	for (uint32_t i = 0; i < interfaces->count; i++)
		if (!pst_lwip_is_ready(&interfaces->all[i].lwip))
			return false;
	return true;
}

static bool are_quiet(const struct pst_app_interfaces *interfaces)
{
	return pst_lwip_is_quiet(&interfaces->lwip);
}

static void on_due(struct pst_timer *timer)
{
	(void)timer; /* it only ends the loop's sleep */
}

static void turn_until(struct pst_app_interfaces *interfaces, struct pst_loop *loop,
		       bool (*done)(const struct pst_app_interfaces *interfaces), uint32_t wait_ms)
{
	struct pst_timer timer = {.on_due = on_due};
	uint64_t until_ms;

	if (interfaces->count == 0 || done(interfaces))
		return;
	pst_loop_turn(loop, false);
	until_ms = loop->now_ms + wait_ms;
	pst_timer_set(loop, &timer, until_ms);
	while (!done(interfaces) && loop->now_ms < until_ms)
		pst_loop_turn(loop, true);
	pst_timer_cancel(loop, &timer);
}

void pst_app_interfaces_await(struct pst_app_interfaces *interfaces, struct pst_loop *loop,
			      uint32_t wait_ms)
{
	turn_until(interfaces, loop, are_ready, wait_ms);
}

static void on_change(struct pst_lwip_interface *interface, enum pst_lwip_change change,
		      const struct pst_addr *addr)
{
	struct pst_app_interface *one = PST_CONTAINER(interface, struct pst_app_interface, lwip);
	static const char *const events[] = {
		[PST_LWIP_GOT] = "address",
		[PST_LWIP_LOST] = "address_lost",
		[PST_LWIP_UNANSWERED] = "dhcp_unanswered",
	};

	pst_log_begin(one->log, change == PST_LWIP_GOT ? PST_LOG_INFO : PST_LOG_WARNING,
		      events[change]);
	pst_log_text(one->log, "interface", one->conf->name);
	if (addr)
		pst_log_addr(one->log, "address", addr);
	pst_log_end(one->log);
}

void pst_app_interfaces_tell(struct pst_app_interfaces *interfaces, struct pst_log *log)
{
	for (uint32_t i = 0; i < interfaces->count; i++) {
		struct pst_app_interface *one = &interfaces->all[i];

		if (!one->conf->dhcp && !one->conf->slaac)
			continue;
		one->log = log;
		one->lwip.on_change = on_change;
		if (pst_lwip_is_ready(&one->lwip))
			continue;
		pst_log_begin(log, PST_LOG_WARNING, "address_missing");
		pst_log_text(log, "interface", one->conf->name);
		pst_log_end(log);
	}
}

void pst_app_interfaces_close(struct pst_app_interfaces *interfaces, uint32_t wait_ms)
{
	if (interfaces->count == 0)
		return;
	/* A loop that has been told to stop does not sleep. */
	interfaces->lwip.loop->stopping = false;
	turn_until(interfaces, interfaces->lwip.loop, are_quiet, wait_ms);
	for (uint32_t i = 0; i < interfaces->count; i++) {
		struct pst_app_interface *one = &interfaces->all[i];

		if (one->open)
			pst_lwip_remove(&one->lwip);
		if (!one->driver_open)
			continue;
		if (one->conf->driver == PST_INTERFACE_TAP)
			pst_frames_tap_close(&one->tap);
		else
			pst_frames_packet_close(&one->packet);
	}
	pst_lwip_close(&interfaces->lwip);
	interfaces->count = 0;
}

#else

uint64_t pst_app_interfaces_bound(const struct pst_config *config, uint32_t relay_count)
{
	(void)config, (void)relay_count;
	return 0;
}

uint32_t pst_app_interfaces_timers_max(const struct pst_config *config)
{
	(void)config;
	return 0;
}

bool pst_app_interfaces_open(struct pst_app_interfaces *interfaces, const struct pst_config *config,
			     uint32_t relay_count, struct pst_epoll *epoll, struct pst_loop *loop,
			     struct pst_net *kernel, struct pst_mem *mem, struct pst_rng *rng)
{
	(void)config, (void)relay_count, (void)epoll, (void)loop, (void)mem, (void)rng;
	pst_net_choice_init(&interfaces->choice, kernel);
	return true;
}

void pst_app_interfaces_await(struct pst_app_interfaces *interfaces, struct pst_loop *loop,
			      uint32_t wait_ms)
{
	(void)interfaces, (void)loop, (void)wait_ms;
}

void pst_app_interfaces_tell(struct pst_app_interfaces *interfaces, struct pst_log *log)
{
	(void)interfaces, (void)log;
}

void pst_app_interfaces_close(struct pst_app_interfaces *interfaces, uint32_t wait_ms)
{
	(void)interfaces, (void)wait_ms;
}

#endif
