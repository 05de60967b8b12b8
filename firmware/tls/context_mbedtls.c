/* tls/context_mbedtls.c - certificates, keys, trust, and the choice among them */
#include <string.h>

#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/psa_util.h>

#include "tls/tls_mbedtls_priv.h"

#define RSA_BITS_MIN 2048

/* One message must hold the chain: per certificate a length and an extension list, and its head. */
#define CHAIN_ENTRY_BYTES 5
#define CHAIN_BYTES_MAX (MBEDTLS_SSL_OUT_CONTENT_LEN - 64)

#define WILDCARD_BYTES 2

/* Our preference decides for TLS 1.2; with 1.3 the client's does. */
static const int ciphers_default[] = {
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	0,
};

static const uint16_t groups_default[] = {
	MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
	0,
};

#define CIPHERS_MAX 16

struct context {
	struct pst_tls_mbedtls_context shared;
	int ciphers[CIPHERS_MAX + 1];
};

/* --- names ---------------------------------------------------------------------------------- */

/* RFC 6125 section 6.4.3: a wildcard is the whole leftmost label and stands for one label. */
static bool name_matches(struct pst_span pattern, struct pst_span name)
{
	int64_t dot;

	if (pst_span_eq_nocase(pattern, name))
		return pattern.len > 0;
	if (pattern.len <= WILDCARD_BYTES || pattern.at[0] != '*' || pattern.at[1] != '.')
		return false;
	dot = pst_span_find(name, '.');
	return dot > 0 && pst_span_eq_nocase(pst_span_sub(pattern, 1, pattern.len),
				  pst_span_sub(name, (uint32_t)dot, name.len));
}

static struct pst_span span_of(const mbedtls_asn1_buf *buf)
{
	return (struct pst_span){buf->p, (uint32_t)buf->len};
}

static bool is_dns_name(const mbedtls_x509_sequence *entry)
{
	return entry->buf.p &&
	       entry->buf.tag == (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_DNS_NAME);
}

static struct pst_span common_name(const mbedtls_x509_crt *certificate)
{
	for (const mbedtls_x509_name *at = &certificate->subject; at; at = at->next) {
		if (at->oid.p && MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &at->oid) == 0)
			return span_of(&at->val);
	}
	return PST_SPAN_NONE;
}

/* The alternative names; the common name only where there are none (RFC 6125 section 6.4.4). */
static bool covers(const mbedtls_x509_crt *certificate, struct pst_span name)
{
	bool any = false;

	if (name.len == 0)
		return false;
	for (const mbedtls_x509_sequence *at = &certificate->subject_alt_names; at; at = at->next) {
		if (!is_dns_name(at))
			continue;
		any = true;
		if (name_matches(span_of(&at->buf), name))
			return true;
	}
	return !any && name_matches(common_name(certificate), name);
}

static struct pst_span first_name(const mbedtls_x509_crt *certificate)
{
	for (const mbedtls_x509_sequence *at = &certificate->subject_alt_names; at; at = at->next) {
		if (is_dns_name(at))
			return span_of(&at->buf);
	}
	return common_name(certificate);
}

/* --- the choice of a certificate ------------------------------------------------------------ */

static bool fits_name(const struct pst_tls_mbedtls_context *context, struct pst_span name,
	const struct pst_tls_mbedtls_pair *pair)
{
	for (uint32_t i = 0; i < context->pair_count; i++) {
		if (covers(&context->pairs[i].chain, name))
			return covers(&pair->chain, name);
	}
	return pair->is_default;
}

/* The best pair that the client can check: rather the right name than the cheaper key, rather any
 * certificate than none. */
static struct pst_tls_mbedtls_pair *best_pair(struct pst_tls_mbedtls_context *context,
	struct pst_span name, const bool able[PST_TLS_KEY_COUNT])
{
	struct pst_tls_mbedtls_pair *best = NULL;
	int best_rank = 0;

	for (uint32_t i = 0; i < context->pair_count; i++) {
		struct pst_tls_mbedtls_pair *pair = &context->pairs[i];
		int rank = 1 + (pair->kind == PST_TLS_KEY_RSA ? 0 : 1) +
			   (fits_name(context, name, pair) ? 2 : 0);

		if (able[pair->kind] && rank > best_rank) {
			best = pair;
			best_rank = rank;
		}
	}
	return best;
}

static int keep_name(struct pst_tls_mbedtls *session, struct pst_span name)
{
	if (session->name || name.len == 0 || name.len > PST_TLS_NAME_BYTES_MAX)
		return 0;
	session->name = pst_crypto_mbedtls_alloc(name.len);
	if (!session->name)
		return MBEDTLS_ERR_SSL_ALLOC_FAILED;
	memcpy(session->name, name.at, name.len);
	session->name_len = (uint8_t)name.len;
	return 0;
}

int pst_tls_mbedtls_choose(mbedtls_ssl_context *ssl)
{
	struct pst_tls_mbedtls *session = mbedtls_ssl_get_user_data_p(ssl);
	struct pst_tls_mbedtls_context *context = session->context;
	struct pst_tls_mbedtls_pair *best = NULL;
	struct pst_tls_hello hello;
	struct pst_span name;
	size_t len = 0;
	int ret;

	name.at = mbedtls_ssl_get_hs_sni(ssl, &len);
	name.len = (uint32_t)len;
	ret = keep_name(session, name);
	if (ret)
		return ret;
	if (pst_tls_hello_look(pst_tls_mbedtls_hello(ssl), &hello))
		best = best_pair(context, name,
			mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_3
				? hello.able_13
				: hello.able_12);
	/* None the client can check: the library refuses the first with the alert that fits. */
	if (!best)
		best = &context->pairs[0];
	session->key = best->kind;
	session->has_key = true;
	return mbedtls_ssl_set_hs_own_cert(ssl, &best->chain, &best->key);
}

/* --- making contexts ------------------------------------------------------------------------ */

/* The library wants PEM with a NUL behind it. */
static uint8_t *copy_pem(struct pst_span pem)
{
	uint8_t *text = pst_crypto_mbedtls_alloc((size_t)pem.len + 1);

	if (text && pem.len > 0)
		memcpy(text, pem.at, pem.len);
	return text;
}

static void forget_pem(uint8_t *text, struct pst_span pem)
{
	if (text)
		mbedtls_platform_zeroize(text, pem.len);
	pst_crypto_mbedtls_free(text);
}

static const char *parse_certificates(
	mbedtls_x509_crt *chain, struct pst_span pem, bool some_will_do)
{
	uint8_t *text = copy_pem(pem);
	int ret;

	if (!text)
		return "out of memory";
	ret = mbedtls_x509_crt_parse(chain, text, (size_t)pem.len + 1);
	forget_pem(text, pem);
	if (ret < 0 || !chain->raw.p)
		return "no certificate in PEM form is in it";
	if (ret > 0 && !some_will_do)
		return "a certificate of the chain cannot be read";
	return NULL;
}

static bool has_word(struct pst_span text, struct pst_span word)
{
	for (uint32_t i = 0; i + word.len <= text.len; i++) {
		if (pst_span_eq(pst_span_sub(text, i, word.len), word))
			return true;
	}
	return false;
}

static const char *parse_key(mbedtls_pk_context *key, struct pst_span pem)
{
	uint8_t *text = copy_pem(pem);
	int ret;

	if (!text)
		return "out of memory";
	ret = mbedtls_pk_parse_key(key, text, (size_t)pem.len + 1, NULL, 0, mbedtls_psa_get_random,
		MBEDTLS_PSA_RANDOM_STATE);
	forget_pem(text, pem);
	if (ret && has_word(pem, PST_SPAN("ENCRYPTED")))
		return "the key is encrypted; a server needs it without a passphrase";
	return ret ? "no private key in PEM form is in it" : NULL;
}

static const char *find_kind(struct pst_tls_mbedtls_pair *pair)
{
	mbedtls_pk_type_t type = mbedtls_pk_get_type(&pair->chain.pk);
	size_t bits = mbedtls_pk_get_bitlen(&pair->chain.pk);

	if (type == MBEDTLS_PK_RSA) {
		pair->kind = PST_TLS_KEY_RSA;
		return bits < RSA_BITS_MIN ? "the RSA key is shorter than 2048 bits" : NULL;
	}
	if (type != MBEDTLS_PK_ECKEY && type != MBEDTLS_PK_ECDSA)
		return "the key is neither RSA nor ECDSA";
	if (bits != 256 && bits != 384)
		return "the ECDSA key is neither P-256 nor P-384";
	pair->kind = bits == 256 ? PST_TLS_KEY_P256 : PST_TLS_KEY_P384;
	return NULL;
}

static const char *check_pair(struct pst_tls_mbedtls_pair *pair)
{
	const char *what = find_kind(pair);
	size_t bytes = 0;

	if (what)
		return what;
	if (mbedtls_pk_check_pair(
		    &pair->chain.pk, &pair->key, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE))
		return "the key does not belong to the certificate";
	if (mbedtls_x509_crt_check_key_usage(&pair->chain, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) ||
		mbedtls_x509_crt_check_extended_key_usage(&pair->chain, MBEDTLS_OID_SERVER_AUTH,
			MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)))
		return "the certificate is not meant for servers (key usage)";
	for (const mbedtls_x509_crt *at = &pair->chain; at; at = at->next)
		bytes += at->raw.len + CHAIN_ENTRY_BYTES;
	return bytes > CHAIN_BYTES_MAX ? "the certificate chain is larger than 8128 bytes" : NULL;
}

static const char *read_pair(struct pst_tls_mbedtls_pair *pair, const struct pst_tls_pair *from)
{
	const char *what = parse_certificates(&pair->chain, from->certificate, false);

	if (!what)
		what = parse_key(&pair->key, from->key);
	return what ? what : check_pair(pair);
}

static void mark_defaults(struct pst_tls_mbedtls_context *context)
{
	struct pst_span name = first_name(&context->pairs[0].chain);

	for (uint32_t i = 0; i < context->pair_count; i++)
		context->pairs[i].is_default = i == 0 || covers(&context->pairs[i].chain, name);
}

static void set_ciphers(struct context *context, const struct pst_tls_allow *allow)
{
	uint32_t i = 0;

	if (!allow || !allow->ciphers) {
		memcpy(context->ciphers, ciphers_default, sizeof(ciphers_default));
		return;
	}
	for (; i < CIPHERS_MAX && allow->ciphers[i]; i++)
		context->ciphers[i] = allow->ciphers[i];
	context->ciphers[i] = 0;
}

_Static_assert(PST_COUNT(ciphers_default) <= CIPHERS_MAX + 1, "the list does not fit");

static int set_config(struct context *context, mbedtls_ssl_config *config, int role,
	const struct pst_tls_allow *allow)
{
	if (mbedtls_ssl_config_defaults(
		    config, role, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT))
		return -PST_E_NOMEM;
	mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
	mbedtls_ssl_conf_ciphersuites(config, context->ciphers);
	mbedtls_ssl_conf_groups(config, allow && allow->groups ? allow->groups : groups_default);
	mbedtls_ssl_conf_min_tls_version(config, allow && allow->version_min == 0x0304
							 ? MBEDTLS_SSL_VERSION_TLS1_3
							 : MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(config, allow && allow->version_max == 0x0303
							 ? MBEDTLS_SSL_VERSION_TLS1_2
							 : MBEDTLS_SSL_VERSION_TLS1_3);
	return 0;
}

static void context_destroy(struct pst_tls_context *head)
{
	struct pst_tls_mbedtls_context *context =
		PST_CONTAINER(head, struct pst_tls_mbedtls_context, head);
	struct pst_crypto_account *account = context->account;

	for (uint32_t i = 0; i < PST_TLS_JUDGE_COUNT; i++)
		mbedtls_ssl_config_free(&context->config[i]);
	for (uint32_t i = 0; i < context->pair_count; i++) {
		mbedtls_x509_crt_free(&context->pairs[i].chain);
		mbedtls_pk_free(&context->pairs[i].key);
	}
	pst_crypto_mbedtls_free(context->pairs);
	mbedtls_x509_crt_free(&context->trusted);
	pst_crypto_mbedtls_free(context);
	pst_crypto_mbedtls_account_close(account);
}

/* Inside the account that the caller has entered. */
static struct context *context_alloc(struct pst_crypto_account *account,
	const struct pst_tls_allow *allow, const struct pst_tls_context_ops *ops)
{
	struct context *context = pst_crypto_mbedtls_alloc(sizeof(*context));

	if (!context)
		return NULL;
	context->shared.head = (struct pst_tls_context){.ops = ops, .hold_count = 1};
	context->shared.account = account;
	for (uint32_t i = 0; i < PST_TLS_JUDGE_COUNT; i++)
		mbedtls_ssl_config_init(&context->shared.config[i]);
	mbedtls_x509_crt_init(&context->shared.trusted);
	set_ciphers(context, allow);
	return context;
}

static int fill_server(struct context *context, const struct pst_tls_pair *pairs,
	uint32_t pair_count, const struct pst_tls_allow *allow, struct pst_tls_problem *problem)
{
	struct pst_tls_mbedtls_context *shared = &context->shared;
	mbedtls_ssl_config *config = &shared->config[0];

	shared->pairs = pst_crypto_mbedtls_alloc(pair_count * sizeof(*shared->pairs));
	if (!shared->pairs)
		return -PST_E_NOMEM;
	for (uint32_t i = 0; i < pair_count; i++) {
		mbedtls_x509_crt_init(&shared->pairs[i].chain);
		mbedtls_pk_init(&shared->pairs[i].key);
		shared->pair_count = i + 1;
		*problem = (struct pst_tls_problem){i, read_pair(&shared->pairs[i], &pairs[i])};
		if (problem->what)
			return -PST_E_SYNTAX;
	}
	mark_defaults(shared);
	if (set_config(context, config, MBEDTLS_SSL_IS_SERVER, allow))
		return -PST_E_NOMEM;
	shared->alpn[0] = "smtp";
	mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_cert_cb(config, pst_tls_mbedtls_choose);
	return mbedtls_ssl_conf_alpn_protocols(config, shared->alpn) ? -PST_E_NOMEM : 0;
}

static int fill_client(struct context *context, struct pst_span ca_bundle,
	const struct pst_tls_allow *allow, struct pst_tls_problem *problem)
{
	static const int modes[PST_TLS_JUDGE_COUNT] = {
		[PST_TLS_JUDGE_NONE] = MBEDTLS_SSL_VERIFY_NONE,
		[PST_TLS_JUDGE_OPTIONAL] = MBEDTLS_SSL_VERIFY_OPTIONAL,
		[PST_TLS_JUDGE_REQUIRED] = MBEDTLS_SSL_VERIFY_REQUIRED,
	};
	struct pst_tls_mbedtls_context *shared = &context->shared;

	shared->is_client = true;
	if (ca_bundle.len > 0) {
		problem->what = parse_certificates(&shared->trusted, ca_bundle, true);
		if (problem->what)
			return -PST_E_SYNTAX;
		shared->has_trusted = true;
	}
	for (uint32_t i = 0; i < PST_TLS_JUDGE_COUNT; i++) {
		if (set_config(context, &shared->config[i], MBEDTLS_SSL_IS_CLIENT, allow))
			return -PST_E_NOMEM;
		mbedtls_ssl_conf_authmode(&shared->config[i], modes[i]);
		if (shared->has_trusted)
			mbedtls_ssl_conf_ca_chain(&shared->config[i], &shared->trusted, NULL);
	}
	return 0;
}

/* What failed for want of memory may look like anything: the account knows. */
static int finish(struct context *context, struct pst_crypto_account *account, int ret,
	struct pst_tls_problem *problem, struct pst_tls_context **out)
{
	if (ret == 0) {
		*out = &context->shared.head;
		return 0;
	}
	if (account->refused_count > 0)
		ret = -PST_E_NOMEM;
	if (ret == -PST_E_NOMEM)
		problem->what = "out of memory";
	if (context)
		context_destroy(&context->shared.head);
	else
		pst_crypto_mbedtls_account_close(account);
	return ret;
}

static const struct pst_tls_context_ops context_ops = {
	.open = pst_tls_mbedtls_open,
	.destroy = context_destroy,
};

int pst_tls_mbedtls_server(const struct pst_tls_pair *pairs, uint32_t pair_count,
	const struct pst_tls_allow *allow, struct pst_tls_problem *problem,
	struct pst_tls_context **out)
{
	struct pst_crypto_account *account = pst_crypto_mbedtls_account(UINT64_MAX), *before;
	struct context *context;
	int ret = -PST_E_NOMEM;

	PST_BUG_ON(pair_count == 0);
	*problem = (struct pst_tls_problem){0, "out of memory"};
	if (!account)
		return ret;
	before = pst_crypto_mbedtls_enter(account);
	context = context_alloc(account, allow, &context_ops);
	if (context)
		ret = fill_server(context, pairs, pair_count, allow, problem);
	pst_crypto_mbedtls_enter(before);
	return finish(context, account, ret, problem, out);
}

int pst_tls_mbedtls_client(struct pst_span ca_bundle, const struct pst_tls_allow *allow,
	struct pst_tls_problem *problem, struct pst_tls_context **out)
{
	struct pst_crypto_account *account = pst_crypto_mbedtls_account(UINT64_MAX), *before;
	struct context *context;
	int ret = -PST_E_NOMEM;

	*problem = (struct pst_tls_problem){0, "out of memory"};
	if (!account)
		return ret;
	before = pst_crypto_mbedtls_enter(account);
	context = context_alloc(account, allow, &context_ops);
	if (context)
		ret = fill_client(context, ca_bundle, allow, problem);
	pst_crypto_mbedtls_enter(before);
	return finish(context, account, ret, problem, out);
}

/* --- describing ----------------------------------------------------------------------------- */

/* Days from 1970-01-01 in the Gregorian calendar; years count from March, so that the leap day is
 * their last. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = (month + 9) % 12;
	int64_t years = month <= 2 ? year - 1 : year;

	return years * 365 + years / 4 - years / 100 + years / 400 + (from_march * 306 + 5) / 10 +
	       day - 1 - 719468;
}

const char *pst_tls_mbedtls_key_text(enum pst_tls_key key)
{
	static const char *const texts[PST_TLS_KEY_COUNT] = {
		[PST_TLS_KEY_P256] = "P-256",
		[PST_TLS_KEY_P384] = "P-384",
		[PST_TLS_KEY_RSA] = "RSA",
	};

	return texts[key];
}

void pst_tls_mbedtls_describe(const struct pst_tls_context *head, uint32_t pair_index,
	struct pst_span name, struct pst_tls_certificate_facts *out)
{
	const struct pst_tls_mbedtls_context *context =
		PST_CONTAINER(head, struct pst_tls_mbedtls_context, head);
	const struct pst_tls_mbedtls_pair *pair = &context->pairs[pair_index];
	const mbedtls_x509_time *to = &pair->chain.valid_to;

	PST_BUG_ON(pair_index >= context->pair_count);
	*out = (struct pst_tls_certificate_facts){
		.key = pst_tls_mbedtls_key_text(pair->kind),
		.not_after_s = days_from_date(to->year, to->mon, to->day) * 86400 +
			       to->hour * 3600 + to->min * 60 + to->sec,
		.covers = covers(&pair->chain, name),
		.self_signed = pst_span_eq(
			span_of(&pair->chain.issuer_raw), span_of(&pair->chain.subject_raw)),
	};
	pst_crypto_sha256(pst_crypto_mbedtls(), span_of(&pair->chain.raw), out->sha256);
}
