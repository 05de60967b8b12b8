/* app/live_names.c - see live_names.h */
#include "app/live_names.h"

#include <unistd.h>

#include "app/app.h"
#include "app/clock.h"
#include "app/dns.h"
#include "net/net_kernel.h"
#include "tls/tls_mbedtls.h"

#define RING_BYTES 4096
#define WAIT_MS 10000
#define MX_SHOWN_MAX 4

struct names {
	const struct pst_config *config;
	struct pst_epoll epoll;
	struct pst_clock clock;
	struct pst_loop loop;
	struct pst_net_kernel net;
	struct pst_rng rng;
	struct pst_log log;
	struct pst_app_dns dns;
	struct pst_dns_query query;
	enum pst_dns_status status;
	bool answered;
	bool ours; /* the host name is among the exchanges */
	struct pst_buf shown;
	int warning_count;
	uint8_t shown_area[600];
	uint8_t ring[RING_BYTES];
};

static void on_answer(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	struct names *names = PST_CONTAINER(query, struct names, query);
	struct pst_span hostname = names->config->proxy.hostname;

	names->answered = true;
	names->status = answer->status;
	for (uint32_t i = 0; i < answer->record_count; i++) {
		const struct pst_dns_record *record = &answer->records[i];

		if (i < MX_SHOWN_MAX && names->shown.len > 0)
			pst_buf_put_escaped(&names->shown, PST_SPAN(" "), 1);
		if (query->type == PST_DNS_MX) {
			names->ours |= pst_span_eq_nocase(record->data, hostname);
			if (i < MX_SHOWN_MAX)
				pst_buf_put_escaped(&names->shown, record->data, 100);
		} else if (i < MX_SHOWN_MAX) {
			pst_addr_put(&names->shown, &record->addr);
		}
	}
}

/* names->status says what came of it, names->shown what was found, behind what is there. */
static void look_up(struct names *names, enum pst_dns_type type, struct pst_span name)
{
	names->answered = false;
	names->query = (struct pst_dns_query){
		.on_answer = on_answer,
		.name = name,
		.type = type,
		.deadline_ms = names->loop.now_ms + WAIT_MS,
	};
	pst_dns_query(pst_app_dns_seam(&names->dns), &names->query);
	while (!names->answered)
		pst_loop_turn(&names->loop, true);
}

static void say(struct pst_span label, struct pst_span text)
{
	pst_app_print(STDOUT_FILENO, "  %-15.*s %.*s\n", (int)label.len, (const char *)label.at,
		      (int)text.len, (const char *)text.at);
}

static void warn(struct names *names, const char *text)
{
	say(PST_SPAN(""), pst_span_text(text));
	names->warning_count++;
}

static const char *trouble_of(enum pst_dns_status status)
{
	return status == PST_DNS_TIMEOUT ? "no resolver answers: see `dns`"
					 : "it cannot be looked up just now";
}

static void look_at_mx(struct names *names, struct pst_span domain)
{
	names->ours = false;
	pst_buf_clear(&names->shown);
	look_up(names, PST_DNS_MX, domain);
	if (names->status == PST_DNS_NODATA) {
		/* RFC 5321 section 5.1: then the domain is its own exchange. */
		names->ours = pst_span_eq_nocase(domain, names->config->proxy.hostname);
		pst_buf_put_escaped(&names->shown, PST_SPAN("none"), 4);
	}
	pst_app_print(STDOUT_FILENO, "\nMX of %.*s\n", (int)domain.len, (const char *)domain.at);
	if (!pst_dns_is_definite(names->status)) {
		warn(names, trouble_of(names->status));
	} else if (names->status == PST_DNS_NXDOMAIN) {
		warn(names, "there is no such domain: nobody outside can send mail to it");
	} else {
		say(names->ours ? PST_SPAN("good") : PST_SPAN("NOT US"),
		    pst_buf_span(&names->shown));
		if (!names->ours)
			warn(names, "its mail does not come here: make `hostname` one of its MX, or give "
				    "`hostname` the name that is");
	}
}

static void look_at_hostname(struct names *names)
{
	const struct pst_proxy_conf *conf = &names->config->proxy;
	enum pst_dns_status by_ipv4;
	uint32_t pair = 0;
	bool covers = false;

	pst_app_print(STDOUT_FILENO, "\n%.*s, as others see it\n", (int)conf->hostname.len,
		      (const char *)conf->hostname.at);
	pst_buf_clear(&names->shown);
	look_up(names, PST_DNS_A, conf->hostname);
	by_ipv4 = names->status;
	look_up(names, PST_DNS_AAAA, conf->hostname);
	say(PST_SPAN("addresses"), names->shown.len ? pst_buf_span(&names->shown) : PST_SPAN("NONE"));
	if (names->shown.len == 0 && !pst_dns_is_definite(by_ipv4))
		warn(names, trouble_of(by_ipv4));
	else if (names->shown.len == 0)
		warn(names, "nobody can reach it by name: give it an A or AAAA record");
	if (!conf->tls)
		return;
	do {
		struct pst_tls_certificate_facts facts;

		pst_tls_mbedtls_describe(conf->tls, pair, conf->hostname, &facts);
		covers = covers || facts.covers;
	} while (++pair < names->config->tls.pair_count);
	say(PST_SPAN("certificate"), covers ? PST_SPAN("covers it") : PST_SPAN("DOES NOT COVER IT"));
	if (!covers)
		warn(names, "senders that check it will not deliver: get one with this name in it");
}

static bool is_domain(struct pst_span domain)
{
	return domain.len > 0 && domain.at[0] != '.' && domain.at[0] != '*';
}

static int open_names(struct names *names, struct pst_mem *mem)
{
	const struct pst_dns_conf *dns = &names->config->proxy.dns;
	int status = pst_epoll_init(&names->epoll);

	if (status)
		return status;
	pst_log_init(&names->log, names->ring, sizeof(names->ring));
	pst_clock_init(&names->clock, &names->epoll.poller, &names->log);
	pst_rng_system_init(&names->rng);
	pst_buf_init(&names->shown, names->shown_area, sizeof(names->shown_area));
	status = pst_loop_init(&names->loop, &names->clock.poller, mem,
			       pst_app_dns_timers_max(dns) + 4);
	if (status == 0) {
		pst_net_kernel_init(&names->net, &names->epoll, &names->loop);
		status = pst_app_dns_open(&names->dns, dns, &names->loop, &names->epoll,
					  &names->net.net, NULL, mem, &names->rng);
		if (status)
			pst_loop_fini(&names->loop);
	}
	if (status)
		pst_epoll_fini(&names->epoll);
	return status;
}

int pst_app_live_names(const struct pst_config *config, struct pst_mem *mem)
{
	static struct names names;
	const struct pst_relay_conf *relay = &config->proxy.relay;

	if (config->proxy.dns.off) {
		pst_app_print(STDOUT_FILENO, "\n`dns off`: MX and host name were not looked up\n");
		return 0;
	}
	names = (struct names){.config = config};
	if (open_names(&names, mem))
		return -PST_E_NOMEM;
	pst_loop_turn(&names.loop, false);
	look_at_hostname(&names);
	for (uint32_t i = 0; i < relay->route_count; i++)
		for (uint32_t k = 0; k < relay->routes[i].domain_count; k++)
			if (is_domain(relay->routes[i].domains[k]))
				look_at_mx(&names, relay->routes[i].domains[k]);
	pst_app_dns_close(&names.dns);
	pst_loop_fini(&names.loop);
	pst_epoll_fini(&names.epoll);
	return names.warning_count;
}
