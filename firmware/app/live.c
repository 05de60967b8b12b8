#include "app/live.h"

#include <unistd.h>

#include "app/app.h"
#include "link/link.h"
#include "net/net_kernel.h"
#include "relay/relay.h"
#include "smtp/client.h"

#define PATIENCE_MS 15000
#define BUFFER_BYTES 4096

/* A domain that exists and takes no mail (RFC 2606, RFC 7505): a server that would relay to it
 * would relay anywhere. */
#define OUTSIDE "postern-relay-test@example.com"
#define OUTSIDE_ROUTED "postern-relay-test%example.com"

struct live;

/* A question: one command, and what is to be thought of its reply. */
struct question {
	const char *label; /* NULL: only on the way to the next */
	int (*ask)(struct live *live, struct pst_buf *out);
	bool (*good)(const struct pst_smtp_client_event *reply);
	const char *bad; /* what to do when it is not good */
};

struct live {
	const struct pst_config *config;
	const struct pst_route *route;
	struct pst_epoll epoll;
	struct pst_loop loop;
	struct pst_net_kernel net;
	struct pst_links links;
	struct pst_pool buffers;
	struct pst_link link;
	struct pst_smtp_client core;
	struct pst_timer timer;
	uint32_t question;
	bool secured;
	bool wrong;
	bool over;
};

/* ---- questions ------------------------------------------------------------------------------- */

static struct pst_span first_domain(const struct live *live)
{
	struct pst_span domain = live->route->domains[0];

	if (pst_span_eq(domain, PST_SPAN("*")))
		return live->config->proxy.hostname;
	if (domain.len > 0 && domain.at[0] == '.')
		return pst_span_sub(domain, 1, domain.len);
	return domain;
}

static int ask_hello(struct live *live, struct pst_buf *out)
{
	struct pst_span hostname = live->config->proxy.hostname;

	return live->route->lmtp ? pst_smtp_client_lhlo(&live->core, out, hostname)
				 : pst_smtp_client_ehlo(&live->core, out, hostname);
}

static int ask_null_sender(struct live *live, struct pst_buf *out)
{
	const struct pst_smtp_mail nobody = {0};

	return pst_smtp_client_mail(&live->core, out, &nobody);
}

/* "local@domain" of the route. */
static int ask_rcpt_at(struct live *live, struct pst_buf *out, const char *local)
{
	uint8_t area[PST_SMTP_PATH_MAX];
	struct pst_buf mailbox;

	pst_buf_init(&mailbox, area, sizeof(area));
	if (pst_buf_put_text(&mailbox, local) || pst_buf_put_byte(&mailbox, '@') ||
	    pst_buf_put(&mailbox, first_domain(live)))
		return -PST_E_FULL;
	return pst_smtp_client_rcpt(&live->core, out, pst_buf_span(&mailbox), NULL);
}

static int ask_postmaster(struct live *live, struct pst_buf *out)
{
	return ask_rcpt_at(live, out, "postmaster");
}

static int ask_outward(struct live *live, struct pst_buf *out)
{
	return pst_smtp_client_rcpt(&live->core, out, PST_SPAN(OUTSIDE), NULL);
}

static int ask_routed(struct live *live, struct pst_buf *out)
{
	return ask_rcpt_at(live, out, OUTSIDE_ROUTED);
}

static int ask_reset(struct live *live, struct pst_buf *out)
{
	return pst_smtp_client_rset(&live->core, out);
}

static int ask_quit(struct live *live, struct pst_buf *out)
{
	return pst_smtp_client_quit(&live->core, out);
}

static bool accepts(const struct pst_smtp_client_event *reply)
{
	return reply->code / 100 == 2;
}

static bool refuses(const struct pst_smtp_client_event *reply)
{
	return reply->code >= 400;
}

static const struct question questions[] = {
	{"greeting", NULL, accepts, "it does not greet us; mail will wait or go to the next server"},
	{"hello", ask_hello, accepts, "it refuses EHLO"},
	{NULL, ask_null_sender, accepts, "it refuses the null sender; bounces cannot be delivered"},
	{"postmaster", ask_postmaster, accepts,
	 "it must take mail for postmaster of a domain it serves (RFC 5321 4.5.1)"},
	{NULL, ask_reset, accepts, "it refuses RSET"},
	{NULL, ask_null_sender, accepts, "it refuses a second transaction"},
	{"relays outward", ask_outward, refuses,
	 "it would send mail of ours anywhere: take Postern's address out of its trusted networks"},
	{NULL, ask_reset, accepts, "it refuses RSET"},
	{NULL, ask_null_sender, accepts, "it refuses a third transaction"},
	{"relays routed", ask_routed, refuses,
	 "it takes user%host addresses; Postern refuses them unless the route says `routing allow`"},
	{NULL, ask_reset, accepts, "it refuses RSET"},
	{NULL, ask_quit, accepts, "it refuses QUIT"},
};

/* ---- talking --------------------------------------------------------------------------------- */

static void say(const char *label, const char *text)
{
	pst_app_print(STDOUT_FILENO, "  %-15s %s\n", label, text);
}

static void end_with(struct live *live, const char *label, const char *text)
{
	if (text) {
		say(label, text);
		live->wrong = true;
	}
	live->over = true;
	pst_timer_cancel(&live->loop, &live->timer);
	pst_link_close(&live->link, false);
	pst_loop_stop(&live->loop);
}

static void say_offers(const struct live *live)
{
	uint8_t area[512];
	struct pst_buf list;
	struct pst_span rest, word;

	/* The EHLO reply in our own spelling, its keywords on one line. */
	pst_buf_init(&list, area, sizeof(area));
	if (pst_smtp_caps_put(&list, PST_SPAN_NONE, &live->core.caps) < 0)
		return;
	for (uint32_t i = 0; i < list.len; i++)
		if (area[i] == '\r' || area[i] == '\n')
			area[i] = ' ';
	rest = pst_buf_span(&list);
	pst_app_print(STDOUT_FILENO, "  %-15s", "offers");
	while ((word = pst_span_word(&rest)).len > 0) {
		if (pst_span_starts_nocase(word, PST_SPAN("250")))
			word = pst_span_sub(word, 4, word.len);
		if (word.len > 0)
			pst_app_print(STDOUT_FILENO, " %.*s", (int)word.len,
				      (const char *)word.at);
	}
	pst_app_print(STDOUT_FILENO, "\n");
}

static void ask_next(struct live *live)
{
	const struct question *question = &questions[live->question];
	struct pst_buf *out;

	pst_timer_set(&live->loop, &live->timer, live->loop.now_ms + PATIENCE_MS);
	if (!question->ask)
		return;
	out = pst_link_out(&live->link, BUFFER_BYTES / 2);
	if (!out || question->ask(live, out) < 0)
		end_with(live, "trouble", "no room for a command");
}

static void judge(struct live *live, const struct pst_smtp_client_event *reply)
{
	const struct question *question = &questions[live->question];
	bool good = question->good(reply);
	uint8_t area[200];
	struct pst_buf text;

	if (!good)
		live->wrong = true;
	if (question->label || !good) {
		pst_buf_init(&text, area, sizeof(area));
		pst_buf_put_escaped(&text, reply->text, 80);
		pst_app_print(STDOUT_FILENO, "  %-15s %s: %u %.*s\n",
			      question->label ? question->label : "trouble",
			      question->good == refuses ? (good ? "no, good" : "YES")
							: (good ? "yes" : "NO"),
			      reply->code, (int)text.len, (const char *)area);
	}
	if (!good)
		say("", question->bad);
	if (reply->command == PST_SMTP_CMD_EHLO && good)
		say_offers(live);
}

static bool wants_tls(const struct live *live)
{
	return !live->secured && live->config->proxy.relay.tls &&
	       live->route->security.tls != PST_RELAY_TLS_OFF;
}

static void begin_tls(struct live *live)
{
	struct pst_buf *out = pst_link_out(&live->link, BUFFER_BYTES / 2);

	if (!out || pst_smtp_client_starttls(&live->core, out) < 0)
		end_with(live, "TLS", "no room for a command");
}

static void secure(struct live *live, uint16_t code)
{
	struct pst_tls_peer peer = pst_relay_tls_peer(&live->route->security);

	if (code != 220)
		end_with(live, "TLS", "it offers STARTTLS and refuses it");
	else if (pst_link_secure(&live->link, live->config->proxy.relay.tls, &peer) < 0)
		end_with(live, "TLS", "out of memory");
}

static void on_secured(struct pst_link *link, int result)
{
	struct live *live = PST_CONTAINER(link, struct live, link);
	struct pst_tls_facts facts;

	if (result < 0) {
		end_with(live, "TLS", pst_link_tls_failure(link));
		return;
	}
	live->secured = true;
	link->tls->ops->facts(link->tls, &facts);
	pst_app_print(STDOUT_FILENO, "  %-15s %s %s, the certificate was %s\n", "TLS", facts.version,
		      facts.cipher, facts.verified ? "verified" : "not verified");
	ask_next(live); /* EHLO once more */
}

static void on_reply(struct live *live, const struct pst_smtp_client_event *reply)
{
	if (reply->command == PST_SMTP_CMD_STARTTLS) {
		secure(live, reply->code);
		return;
	}
	judge(live, reply);
	if (reply->command == PST_SMTP_CMD_EHLO && wants_tls(live)) {
		if (live->core.caps.set & PST_SMTP_CAP_STARTTLS) {
			begin_tls(live);
			return;
		}
		if (live->route->security.tls == PST_RELAY_TLS_MUST) {
			end_with(live, "TLS", "not offered, and the route says it must be");
			return;
		}
	}
	if (++live->question == PST_COUNT(questions))
		end_with(live, NULL, NULL);
	else
		ask_next(live);
}

static void on_input(struct pst_link *link)
{
	struct live *live = PST_CONTAINER(link, struct live, link);
	struct pst_smtp_client_event reply;
	int ret = 0;

	while (!live->over && (ret = pst_smtp_client_next(&live->core, &link->in, &reply)) == 1)
		on_reply(live, &reply);
	if (live->over)
		return;
	if (ret < 0)
		end_with(live, "trouble", "it does not speak SMTP");
	else if (link->error)
		end_with(live, "reached", pst_strerror(link->error));
	else if (link->end)
		end_with(live, "trouble", "it closed the connection");
}

static void on_room(struct pst_link *link)
{
	pst_link_read(link, true);
}

static void on_due(struct pst_timer *timer)
{
	end_with(PST_CONTAINER(timer, struct live, timer), "trouble", "no answer in 15 seconds");
}

/* One server, from connect to QUIT. ret true: nothing was wrong */
static bool examine(struct live *live, const struct pst_addr *server)
{
	live->question = 0;
	live->secured = live->wrong = live->over = false;
	pst_link_init(&live->link, &live->links, &live->buffers, &live->buffers);
	live->link.on_input = on_input;
	live->link.on_room = on_room;
	live->link.on_secured = on_secured;
	live->timer.on_due = on_due;
	pst_smtp_client_init(&live->core);
	if (pst_link_connect(&live->link, &live->net.net, server) < 0) {
		say("reached", "NO");
		return false;
	}
	pst_timer_set(&live->loop, &live->timer, live->loop.now_ms + PATIENCE_MS);
	live->loop.stopping = false;
	pst_loop_run(&live->loop);
	pst_loop_turn(&live->loop, false); /* what was closed is let go */
	return !live->wrong;
}

static void say_server(const struct live *live, const struct pst_addr *server)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;
	struct pst_span domain = first_domain(live);

	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put_port(&text, server);
	pst_app_print(STDOUT_FILENO, "\n%.*s%s for %.*s\n", (int)text.len, (const char *)area,
		      live->route->lmtp ? " (LMTP)" : "", (int)domain.len, (const char *)domain.at);
}

int pst_app_live(const struct pst_config *config, struct pst_mem *mem)
{
	struct live live = {.config = config};
	int wrong_count = 0;

	if (pst_epoll_init(&live.epoll) < 0)
		return -PST_E_NOMEM;
	if (pst_loop_init(&live.loop, &live.epoll.poller, mem, 4) < 0) {
		pst_epoll_fini(&live.epoll);
		return -PST_E_NOMEM;
	}
	pst_net_kernel_init(&live.net, &live.epoll, &live.loop);
	pst_links_init(&live.links, &live.loop);
	pst_pool_init(&live.buffers, "live", mem, BUFFER_BYTES, 8, 0);
	for (uint32_t i = 0; i < config->proxy.relay.route_count; i++) {
		live.route = &config->proxy.relay.routes[i];
		for (uint32_t k = 0; k < live.route->server_count; k++) {
			say_server(&live, &live.route->servers[k]);
			if (!examine(&live, &live.route->servers[k]))
				wrong_count++;
		}
	}
	pst_pool_fini(&live.buffers);
	pst_links_fini(&live.links);
	pst_loop_fini(&live.loop);
	pst_epoll_fini(&live.epoll);
	return wrong_count;
}
