#include "app/tls.h"

#include <string.h>
#include <unistd.h>

#include "loop/loop_epoll.h"
#include "tls/tls_mbedtls.h"

#define OWN_FILE "/self-signed.pem"
#define PATH_BYTES 1024
#define DAY_S 86400
#define EXPIRY_WARN_DAYS 14

/* What an attach works with. */
struct attach {
	struct pst_app_tls *tls;
	struct pst_config *config;
	struct pst_config_report *report;
};

/* --- the library's surroundings ------------------------------------------------------------- */

static uint64_t mono_ms(void *clock)
{
	struct pst_poller *poller = clock;

	return poller->mono_ms(poller);
}

static uint64_t wall_ms(void *clock)
{
	struct pst_poller *poller = clock;

	return poller->wall_ms(poller);
}

int pst_app_tls_open(struct pst_app_tls *tls, struct pst_app_machine *machine,
		     struct pst_mem_system *memory, struct pst_poller *clock)
{
	int status;

	*tls = (struct pst_app_tls){.machine = machine, .memory = memory};
	pst_rng_system_init(&tls->rng);
	tls->env = (struct pst_crypto_mbedtls_env){
		.rng = &tls->rng,
		.mem = &memory->mem,
		.clock = clock,
		.mono_ms = mono_ms,
		.wall_ms = wall_ms,
	};
	status = pst_crypto_mbedtls_open(&tls->env);
	tls->open = status == 0;
	return status;
}

void pst_app_tls_close(struct pst_app_tls *tls)
{
	if (tls->open)
		pst_crypto_mbedtls_close();
	explicit_bzero(tls->own_area, sizeof(tls->own_area));
	tls->open = false;
}

/* --- complaints ----------------------------------------------------------------------------- */

/* About the line that named a file; file may be empty. */
static void tell(struct attach *work, bool warning, struct pst_span file, uint32_t line,
		 const char *format, ...) PST_PRINTF(5, 6);

static void tell(struct attach *work, bool warning, struct pst_span file, uint32_t line,
		 const char *format, ...)
{
	struct pst_config_message message = {
		.warning = warning, .file = file, .line = line, .column = 1, .width = 1};
	uint8_t area[1024];
	struct pst_buf text;
	va_list args;

	pst_buf_init(&text, area, sizeof(area));
	va_start(args, format);
	if (pst_buf_vprintf(&text, format, args))
		PST_BUG_ON(pst_buf_put_text(&text, format));
	va_end(args);
	message.text = pst_buf_span(&text);
	if (warning)
		work->tls->warning_count++;
	else
		work->tls->error_count++;
	work->report->on_message(work->report, &message);
}

/* --- files ---------------------------------------------------------------------------------- */

static int read_file(struct attach *work, struct pst_span path, struct pst_span *text)
{
	struct pst_config_reader *reader = &work->tls->machine->reader;

	return reader->read(reader, path, text);
}

/* It may have been a key. */
static void done_file(struct attach *work, struct pst_span text)
{
	struct pst_config_reader *reader = &work->tls->machine->reader;

	if (!text.at)
		return;
	explicit_bzero((void *)(uintptr_t)text.at, text.len);
	reader->done(reader, text);
}

/* --- the server's certificates -------------------------------------------------------------- */

static void judge_expiry(struct attach *work, const struct pst_tls_certificate_facts *facts,
			 const struct pst_config_tls_pair *pair)
{
	uint64_t now_s = pst_crypto_mbedtls_wall_s();
	int64_t left_s = facts->not_after_s - (int64_t)now_s;

	if (now_s < PST_CRYPTO_CLOCK_FLOOR_S || left_s >= EXPIRY_WARN_DAYS * DAY_S)
		return;
	if (left_s < 0)
		tell(work, true, pair->file, pair->line, "the certificate %.*s has expired",
		     (int)pair->certificate.len, (const char *)pair->certificate.at);
	else
		tell(work, true, pair->file, pair->line,
		     "the certificate %.*s expires in %lld days", (int)pair->certificate.len,
		     (const char *)pair->certificate.at, (long long)(left_s / DAY_S));
}

static void judge_pairs(struct attach *work)
{
	const struct pst_config_tls *conf = &work->config->tls;
	struct pst_span hostname = work->config->proxy.hostname;
	struct pst_tls_certificate_facts facts;
	bool covered = false;

	for (uint32_t i = 0; i < conf->pair_count; i++) {
		pst_tls_mbedtls_describe(work->config->proxy.tls, i, hostname, &facts);
		covered = covered || facts.covers;
		judge_expiry(work, &facts, &conf->pairs[i]);
	}
	if (!covered)
		tell(work, true, conf->pairs[0].file, conf->pairs[0].line,
		     "no certificate is for `hostname` %.*s: senders that check names will not "
		     "trust it",
		     (int)hostname.len, (const char *)hostname.at);
}

/* *ret is set to what stopped it. */
static bool read_pair(struct attach *work, const struct pst_config_tls_pair *pair,
		      struct pst_tls_pair *texts, int *ret)
{
	struct pst_span failed = pair->certificate;

	*ret = read_file(work, pair->certificate, &texts->certificate);
	if (!*ret && pst_span_eq(pair->key, pair->certificate)) {
		texts->key = texts->certificate;
	} else if (!*ret) {
		failed = pair->key;
		*ret = read_file(work, pair->key, &texts->key);
	}
	if (*ret && *ret != -PST_E_NOMEM) {
		tell(work, false, pair->file, pair->line, "%.*s: cannot be read: %s",
		     (int)failed.len, (const char *)failed.at, pst_strerror(*ret));
		*ret = -PST_E_SYNTAX;
	}
	return *ret == 0;
}

static int attach_pairs(struct attach *work)
{
	const struct pst_config_tls *conf = &work->config->tls;
	struct pst_tls_pair texts[PST_CONFIG_TLS_PAIRS_MAX] = {{{NULL, 0}, {NULL, 0}}};
	struct pst_tls_problem problem;
	bool good = true;
	int ret = 0;

	for (uint32_t i = 0; i < conf->pair_count && good; i++)
		good = read_pair(work, &conf->pairs[i], &texts[i], &ret);
	if (good) {
		ret = pst_tls_mbedtls_server(texts, conf->pair_count, NULL, &problem,
					     &work->config->proxy.tls);
		if (ret == -PST_E_SYNTAX) {
			const struct pst_config_tls_pair *pair = &conf->pairs[problem.pair_index];

			tell(work, false, pair->file, pair->line, "%.*s: %s",
			     (int)pair->certificate.len, (const char *)pair->certificate.at,
			     problem.what);
		}
	}
	for (uint32_t i = 0; i < conf->pair_count; i++) {
		if (texts[i].key.at != texts[i].certificate.at)
			done_file(work, texts[i].key);
		done_file(work, texts[i].certificate);
	}
	if (ret == 0)
		judge_pairs(work);
	return ret;
}

/* --- a certificate of our own making -------------------------------------------------------- */

/* ret 0 | -PST_E_SYNTAX: not ours, or not for now | -PST_E_NOMEM */
static int use_own(struct attach *work, struct pst_span pem, const char **why)
{
	struct pst_tls_pair pair = {pem, pem};
	struct pst_tls_certificate_facts facts;
	struct pst_tls_context *context;
	struct pst_tls_problem problem;
	uint64_t now_s = pst_crypto_mbedtls_wall_s();
	int ret = pst_tls_mbedtls_server(&pair, 1, NULL, &problem, &context);

	*why = problem.what;
	if (ret)
		return ret;
	pst_tls_mbedtls_describe(context, 0, work->config->proxy.hostname, &facts);
	if (!facts.covers)
		*why = "it is for another host name";
	else if (facts.not_after_s < (int64_t)now_s)
		*why = "it has expired";
	else
		*why = NULL;
	if (*why) {
		pst_tls_context_drop(context);
		return -PST_E_SYNTAX;
	}
	work->config->proxy.tls = context;
	return 0;
}

static int make_own(struct attach *work)
{
	struct pst_app_tls *tls = work->tls;
	uint8_t key_area[PST_CRYPTO_SELF_SIGNED_KEY_BYTES];
	struct pst_buf key, all;
	int ret;

	pst_buf_init(&key, key_area, sizeof(key_area));
	pst_buf_init(&all, tls->own_area, sizeof(tls->own_area));
	ret = pst_crypto_mbedtls_self_signed(work->config->proxy.hostname, &key, &all);
	if (ret == 0)
		ret = pst_buf_put(&all, pst_buf_span(&key));
	tls->own_len = ret ? 0 : all.len;
	explicit_bzero(key_area, sizeof(key_area));
	return ret;
}

static void keep_own(struct attach *work, struct pst_span path)
{
	struct pst_app_tls *tls = work->tls;
	int status = pst_app_write_file(work->config->tls.state, path,
					(struct pst_span){tls->own_area, tls->own_len});

	if (status) {
		tell(work, true, PST_SPAN_NONE, 0,
		     "the self-signed certificate cannot be kept in %.*s: %s; there will be "
		     "another one after the next start (`tls state`, `tls cert`)",
		     (int)path.len, (const char *)path.at, pst_strerror(status));
		return;
	}
	explicit_bzero(tls->own_area, sizeof(tls->own_area));
	tls->own_len = 0;
}

/* The one from before, if there is one and it still does. */
static int find_own(struct attach *work, struct pst_span path)
{
	struct pst_app_tls *tls = work->tls;
	struct pst_span text = {tls->own_area, tls->own_len};
	const char *why;
	int ret;

	if (tls->own_len > 0)
		return use_own(work, text, &why);
	ret = read_file(work, path, &text);
	if (ret)
		return ret;
	ret = use_own(work, text, &why);
	done_file(work, text);
	if (ret == -PST_E_SYNTAX)
		tell(work, true, PST_SPAN_NONE, 0, "%.*s: %s; a new certificate is made",
		     (int)path.len, (const char *)path.at, why);
	return ret;
}

static int attach_own(struct attach *work, enum pst_app_tls_purpose purpose)
{
	struct pst_app_tls *tls = work->tls;
	struct pst_span hostname = work->config->proxy.hostname;
	const char *why = NULL;
	uint8_t area[PATH_BYTES];
	struct pst_buf path;
	int ret;

	pst_buf_init(&path, area, sizeof(area));
	if (pst_buf_put(&path, work->config->tls.state) ||
	    pst_buf_put(&path, (struct pst_span){(const uint8_t *)OWN_FILE, sizeof(OWN_FILE)})) {
		tell(work, false, PST_SPAN_NONE, 0, "the name of the folder `tls state` is too long");
		return -PST_E_SYNTAX;
	}
	path.len--; /* the NUL stays behind it */
	ret = find_own(work, pst_buf_span(&path));
	if (ret == 0 || ret == -PST_E_NOMEM)
		return ret;
	ret = make_own(work);
	if (ret == 0)
		ret = use_own(work, (struct pst_span){tls->own_area, tls->own_len}, &why);
	if (ret == -PST_E_NOMEM)
		return ret;
	if (ret) {
		tell(work, false, PST_SPAN_NONE, 0,
		     "no certificate can be made for `hostname` %.*s: %s", (int)hostname.len,
		     (const char *)hostname.at, why ? why : pst_strerror(ret));
		return -PST_E_SYNTAX;
	}
	if (purpose == PST_APP_TLS_RUN)
		keep_own(work, pst_buf_span(&path));
	return 0;
}

/* --- towards internal servers --------------------------------------------------------------- */

static bool wants_inside(const struct pst_config *config)
{
	const struct pst_relay_conf *relay = &config->proxy.relay;

	for (uint32_t i = 0; i < relay->route_count; i++)
		if (relay->routes[i].security.tls != PST_RELAY_TLS_OFF ||
		    (relay->submission && relay->submission->security.tls != PST_RELAY_TLS_OFF))
			return true;
	return false;
}

static int attach_inside(struct attach *work)
{
	const struct pst_config_tls *conf = &work->config->tls;
	struct pst_tls_problem problem = {0, NULL};
	struct pst_span bundle = PST_SPAN_NONE;
	int ret = conf->ca.len ? read_file(work, conf->ca, &bundle) : 0, second;

	if (ret == 0)
		ret = pst_tls_mbedtls_client(bundle, NULL, &problem,
					     &work->config->proxy.relay.tls);
	if (ret && ret != -PST_E_NOMEM) {
		tell(work, false, conf->ca_file, conf->ca_line, "%.*s: %s", (int)conf->ca.len,
		     (const char *)conf->ca.at, problem.what ? problem.what : pst_strerror(ret));
		/* Servers that need not be verified are reached all the same. */
		second = pst_tls_mbedtls_client(PST_SPAN_NONE, NULL, &problem,
						&work->config->proxy.relay.tls);
		ret = second ? second : -PST_E_SYNTAX;
	}
	done_file(work, bundle);
	return ret;
}

/* --- all of it ------------------------------------------------------------------------------ */

static void on_release(struct pst_config *config)
{
	pst_tls_context_drop(config->proxy.tls);
	pst_tls_context_drop(config->proxy.relay.tls);
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

int pst_app_tls_attach(struct pst_app_tls *tls, struct pst_config *config,
		       enum pst_app_tls_purpose purpose, struct pst_config_report *report)
{
	struct pst_config_report people = {to_stderr};
	struct attach work = {tls, config, report ? report : &people};
	uint64_t before = tls->memory->used_bytes;
	int outside = 0, inside = 0;

	PST_BUG_ON(config->on_release[0]);
	tls->error_count = 0;
	tls->warning_count = 0;
	config->on_release[0] = on_release;
	config->proxy.tls_room = config->tls.mode == PST_CONFIG_TLS_AUTO;
	config->proxy.relay.tls_room = wants_inside(config);
	if (config->tls.mode == PST_CONFIG_TLS_AUTO)
		outside = config->tls.pair_count ? attach_pairs(&work) : attach_own(&work, purpose);
	if (config->proxy.relay.tls_room)
		inside = attach_inside(&work);
	config->attached_bytes += tls->memory->used_bytes - before;
	if (outside == -PST_E_NOMEM || inside == -PST_E_NOMEM)
		return -PST_E_NOMEM;
	return outside ? outside : inside;
}

uint64_t pst_app_tls_bound(const struct pst_config *config, uint32_t relay_count)
{
	const struct pst_proxy_conf *conf = &config->proxy;
	uint64_t sessions = conf->tls_room ? conf->session_count_max : 0;
	uint64_t handshakes = PST_MIN(sessions, (uint64_t)conf->handshake_count_max);
	uint64_t relays = conf->relay.tls_room ? relay_count : 0;

	return (handshakes + relays) * PST_TLS_HANDSHAKE_BYTES +
	       (sessions - handshakes) * PST_TLS_SESSION_BYTES;
}
