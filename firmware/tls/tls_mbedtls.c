/* tls/tls_mbedtls.c - one session of mbedTLS, as a pump
 *
 * The library reads and writes through two callbacks; here they see the caller's span and buffer
 * for the time of one call. It takes from the span exactly what the record at hand wants, so no
 * buffer of ours stands between, and what follows a record remains the caller's.
 *
 * Every entry charges the session's account and leaves with the record buffers given back, as far
 * as nothing is in them (buffers_mbedtls.c). During the handshake they stay: the library looks back
 * into them.
 */
#include <string.h>

#include <mbedtls/error.h>

#include "tls/tls_mbedtls_priv.h"

/* An alert is at most this long; nothing is begun that could not end with one. */
#define ALERT_BYTES_MAX 48
/* What a record adds to its plaintext at most: header, nonce or type, padding, tag. */
#define RECORD_BYTES_MORE 64
#define PLAIN_BYTES_MAX (MBEDTLS_SSL_OUT_CONTENT_LEN - 64)

_Static_assert(RECORD_BYTES_MORE + ALERT_BYTES_MAX < PST_TLS_OUT_BYTES_MIN, "no room for a byte");

static struct pst_tls_mbedtls *session_of(const struct pst_tls *tls)
{
	return PST_CONTAINER(tls, struct pst_tls_mbedtls, tls);
}

/* --- in and out of the library -------------------------------------------------------------- */

static int wire_recv(void *self, unsigned char *at, size_t len)
{
	struct pst_span *in = &((struct pst_tls_mbedtls *)self)->wire->in;
	uint32_t take = (uint32_t)PST_MIN(len, (size_t)in->len);

	if (take == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	memcpy(at, in->at, take);
	*in = pst_span_sub(*in, take, in->len);
	return (int)take;
}

static int wire_send(void *self, const unsigned char *at, size_t len)
{
	struct pst_buf *out = ((struct pst_tls_mbedtls *)self)->wire->out;
	uint32_t take = (uint32_t)PST_MIN(len, (size_t)pst_buf_room(out));

	if (take == 0 || pst_buf_put(out, (struct pst_span){at, take}))
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	return (int)take;
}

static struct pst_crypto_account *enter(struct pst_tls_mbedtls *session, struct pst_tls_wire *wire)
{
	session->wire = wire;
	return pst_crypto_mbedtls_enter(session->account);
}

static void leave(struct pst_tls_mbedtls *session, struct pst_crypto_account *before)
{
	session->wire = NULL;
	pst_crypto_mbedtls_enter(before);
}

/* The library's error is final. It may have lost its way for want of memory without saying so. */
static int fail(struct pst_tls_mbedtls *session, int cause)
{
	session->cause = cause;
	if (session->account->refused_count > 0)
		session->error = PST_E_NOMEM;
	else if (cause == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		session->error = PST_E_CLOSED;
	else
		session->error = PST_E_PROTO;
	if (cause == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
		session->alert = pst_tls_mbedtls_alert(session);
	return -session->error;
}

/* A record whose rest did not fit goes first. */
static bool flush(struct pst_tls_mbedtls *session)
{
	static const unsigned char nothing[1];

	if (!pst_tls_mbedtls_is_blocked(session))
		return true;
	/* With a record pending, the library sends that and looks at no new plaintext. */
	mbedtls_ssl_write(&session->ssl, nothing, 0);
	return !pst_tls_mbedtls_is_blocked(session);
}

/* --- the handshake -------------------------------------------------------------------------- */

/* The chain the server sent has been judged; it would stay for as long as the session. */
static void drop_peer_chain(mbedtls_ssl_context *ssl)
{
	mbedtls_x509_crt_free((mbedtls_x509_crt *)(uintptr_t)mbedtls_ssl_get_peer_cert(ssl));
}

static bool is_pinned(const struct pst_tls_mbedtls_expect *expect)
{
	const struct pst_crypto *crypto = pst_crypto_mbedtls();

	for (uint32_t i = 0; i < expect->pin_count; i++) {
		if (crypto->equal(crypto, expect->pins[i], expect->certificate_sha256, 32) ||
			crypto->equal(crypto, expect->pins[i], expect->key_sha256, 32))
			return true;
	}
	return false;
}

/* The library asks about each certificate of the chain, the server's own last. */
static int on_certificate(void *self, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
	struct pst_tls_mbedtls_expect *expect = self;
	struct pst_span whole = {certificate->raw.p, (uint32_t)certificate->raw.len};
	struct pst_span key = {certificate->pk_raw.p, (uint32_t)certificate->pk_raw.len};

	/* Without a clock nothing has expired. */
	if (pst_crypto_mbedtls_wall_s() < PST_CRYPTO_CLOCK_FLOOR_S)
		*flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
	if (expect->verify == PST_TLS_VERIFY_PIN)
		*flags = 0;
	expect->flags |= *flags;
	if (depth > 0)
		return 0;
	pst_crypto_sha256(pst_crypto_mbedtls(), whole, expect->certificate_sha256);
	pst_crypto_sha256(pst_crypto_mbedtls(), key, expect->key_sha256);
	expect->has_peer = true;
	if (expect->verify != PST_TLS_VERIFY_PIN || is_pinned(expect))
		return 0;
	expect->flags |= MBEDTLS_X509_BADCERT_OTHER;
	return MBEDTLS_ERR_X509_CERT_VERIFY_FAILED;
}

static void on_done(struct pst_tls_mbedtls *session)
{
	session->is_done = true;
	session->account->bytes_max = PST_TLS_SESSION_BYTES;
	if (!session->expect)
		return;
	if (session->expect->verify != PST_TLS_VERIFY_PIN)
		session->expect->flags |= mbedtls_ssl_get_verify_result(&session->ssl);
	drop_peer_chain(&session->ssl);
}

/* The library gives up on some handshakes without a word. */
static void say_why(struct pst_tls_mbedtls *session, int cause)
{
	int alert;

	switch (cause) {
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
	case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
	case MBEDTLS_ERR_SSL_INVALID_RECORD: /* nobody who would understand it */
		return;
	case MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE:
		alert = MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE;
		break;
	case MBEDTLS_ERR_SSL_DECODE_ERROR:
		alert = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR;
		break;
	case MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER:
		alert = MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER;
		break;
	case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
		alert = MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION;
		break;
	case MBEDTLS_ERR_SSL_ALLOC_FAILED:
		alert = MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR;
		break;
	default:
		alert = MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE;
	}
	mbedtls_ssl_send_alert_message(
		&session->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, (unsigned char)alert);
}

static int step(struct pst_tls_mbedtls *session)
{
	uint32_t out_len = session->wire->out->len;
	int ret = mbedtls_ssl_handshake_step(&session->ssl);

	switch (ret) {
	case 0:
		if (!mbedtls_ssl_is_handshake_over(&session->ssl))
			return PST_TLS_MORE;
		on_done(session);
		return PST_TLS_DONE;
	case MBEDTLS_ERR_SSL_WANT_READ:
		return session->wire->in.len > 0 ? PST_TLS_MORE : PST_TLS_INPUT;
	case MBEDTLS_ERR_SSL_WANT_WRITE:
		return PST_TLS_ROOM;
	default:
		if (session->wire->out->len == out_len)
			say_why(session, ret);
		return fail(session, ret);
	}
}

static int session_handshake(struct pst_tls *tls, struct pst_tls_wire *wire)
{
	struct pst_tls_mbedtls *session = session_of(tls);
	struct pst_crypto_account *before;
	int ret;

	if (session->error)
		return -session->error;
	if (session->is_done)
		return PST_TLS_DONE;
	if (pst_buf_room(wire->out) < ALERT_BYTES_MAX)
		return PST_TLS_ROOM;
	before = enter(session, wire);
	ret = step(session);
	leave(session, before);
	return ret;
}

/* --- plaintext ------------------------------------------------------------------------------ */

static int64_t read_some(struct pst_tls_mbedtls *session, void *area, uint32_t size)
{
	int ret;

	if (!flush(session))
		return 0;
	if (!pst_tls_mbedtls_wake(session, true, ALERT_BYTES_MAX))
		return fail(session, MBEDTLS_ERR_SSL_ALLOC_FAILED);
	do {
		ret = mbedtls_ssl_read(&session->ssl, area, size);
	} while (ret == MBEDTLS_ERR_SSL_WANT_READ && session->wire->in.len > 0);
	if (ret > 0)
		return ret;
	if (ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE)
		return 0;
	return fail(session, ret);
}

static int64_t session_read(
	struct pst_tls *tls, struct pst_tls_wire *wire, void *area, uint32_t size)
{
	struct pst_tls_mbedtls *session = session_of(tls);
	struct pst_crypto_account *before;
	int64_t ret;

	if (session->error)
		return -session->error;
	PST_BUG_ON(!session->is_done || size == 0);
	/* No buffer to be got where there is nothing to put into it. */
	if (pst_buf_room(wire->out) < ALERT_BYTES_MAX ||
		(wire->in.len == 0 && session->rest.in_away))
		return 0;
	before = enter(session, wire);
	ret = read_some(session, area, PST_MIN(size, (uint32_t)INT32_MAX));
	pst_tls_mbedtls_rest(session);
	leave(session, before);
	return ret;
}

/* One record, as large as there is room for. */
static int64_t write_record(struct pst_tls_mbedtls *session, struct pst_span plain)
{
	uint32_t room = pst_buf_room(session->wire->out);
	uint32_t len;
	int ret;

	if (room <= RECORD_BYTES_MORE)
		return 0;
	len = PST_MIN(plain.len, PST_MIN(room - RECORD_BYTES_MORE, (uint32_t)PLAIN_BYTES_MAX));
	if (!pst_tls_mbedtls_wake(session, false, len))
		return fail(session, MBEDTLS_ERR_SSL_ALLOC_FAILED);
	ret = mbedtls_ssl_write(&session->ssl, plain.at, len);
	pst_tls_mbedtls_rest(session);
	return ret >= 0 ? ret : fail(session, ret);
}

static int64_t session_write(struct pst_tls *tls, struct pst_span plain, struct pst_buf *out)
{
	struct pst_tls_mbedtls *session = session_of(tls);
	struct pst_tls_wire wire = {PST_SPAN_NONE, out};
	struct pst_crypto_account *before;
	int64_t taken = 0, ret = 0;

	/* A peer that has said close_notify may still be listening. */
	if (session->error && session->error != PST_E_CLOSED)
		return -session->error;
	PST_BUG_ON(!session->is_done || session->is_finished);
	before = enter(session, &wire);
	while (plain.len > 0 && flush(session)) {
		ret = write_record(session, plain);
		if (ret <= 0)
			break;
		taken += ret;
		plain = pst_span_sub(plain, (uint32_t)ret, plain.len);
	}
	leave(session, before);
	return ret < 0 ? ret : taken;
}

static bool session_finish(struct pst_tls *tls, struct pst_buf *out)
{
	struct pst_tls_mbedtls *session = session_of(tls);
	struct pst_tls_wire wire = {PST_SPAN_NONE, out};
	struct pst_crypto_account *before;
	bool said;

	if (session->is_finished || !session->is_done ||
		(session->error && session->error != PST_E_CLOSED))
		return true;
	if (pst_buf_room(out) < ALERT_BYTES_MAX)
		return false;
	before = enter(session, &wire);
	said = flush(session);
	if (said && pst_tls_mbedtls_wake(session, false, ALERT_BYTES_MAX))
		mbedtls_ssl_close_notify(&session->ssl);
	pst_tls_mbedtls_rest(session);
	leave(session, before);
	session->is_finished = said;
	return said;
}

/* --- facts ---------------------------------------------------------------------------------- */

static const char *cipher_text(int id)
{
	switch (id) {
	case MBEDTLS_TLS1_3_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256";
	case MBEDTLS_TLS1_3_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384";
	case MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256";
	case MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		return "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
	case MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
	case MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
	case MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
		return "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
	case MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
	case MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
	default:
		return "unknown";
	}
}

struct phrase {
	int64_t of;
	const char *text;
};

/* RFC 8446 section 6, with its names. */
static const struct phrase alerts[] = {
	{10, "peer's alert: unexpected_message"},
	{20, "peer's alert: bad_record_mac"},
	{22, "peer's alert: record_overflow"},
	{40, "peer's alert: handshake_failure"},
	{42, "peer's alert: bad_certificate"},
	{43, "peer's alert: unsupported_certificate"},
	{44, "peer's alert: certificate_revoked"},
	{45, "peer's alert: certificate_expired"},
	{46, "peer's alert: certificate_unknown"},
	{47, "peer's alert: illegal_parameter"},
	{48, "peer's alert: unknown_ca"},
	{49, "peer's alert: access_denied"},
	{50, "peer's alert: decode_error"},
	{51, "peer's alert: decrypt_error"},
	{70, "peer's alert: protocol_version"},
	{71, "peer's alert: insufficient_security"},
	{80, "peer's alert: internal_error"},
	{86, "peer's alert: inappropriate_fallback"},
	{90, "peer's alert: user_canceled"},
	{109, "peer's alert: missing_extension"},
	{110, "peer's alert: unsupported_extension"},
	{112, "peer's alert: unrecognized_name"},
	{116, "peer's alert: certificate_required"},
	{120, "peer's alert: no_application_protocol"},
};

static const struct phrase causes[] = {
	{MBEDTLS_ERR_SSL_INVALID_RECORD, "not a TLS record"},
	{MBEDTLS_ERR_SSL_INVALID_MAC, "a record was forged or damaged"},
	{MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, "no protocol version in common"},
	{MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, "no cipher, group or signature in common"},
	{MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL, "the client asks for another protocol (ALPN)"},
	{MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, "a message out of place"},
	{MBEDTLS_ERR_SSL_UNEXPECTED_RECORD, "a record out of place"},
	{MBEDTLS_ERR_SSL_DECODE_ERROR, "a message that cannot be read"},
	{MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER, "a message with an illegal parameter"},
	{MBEDTLS_ERR_SSL_UNSUPPORTED_EXTENSION, "an extension nobody asked for"},
	{MBEDTLS_ERR_SSL_BAD_CERTIFICATE, "a certificate that cannot be read"},
	{MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, "the peer closed"},
	{MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, "the certificate was refused"},
	{MBEDTLS_ERR_X509_FATAL_ERROR, "the certificate was refused"},
};

/* One reason is enough; the worst first. */
static const struct phrase doubts[] = {
	{MBEDTLS_X509_BADCERT_OTHER, "its fingerprint is not one of those expected"},
	{MBEDTLS_X509_BADCERT_MISSING, "there is none"},
	{MBEDTLS_X509_BADCERT_CN_MISMATCH, "it is made out to another name"},
	{MBEDTLS_X509_BADCERT_NOT_TRUSTED, "nobody we trust has signed it"},
	{MBEDTLS_X509_BADCERT_EXPIRED, "it has expired"},
	{MBEDTLS_X509_BADCERT_FUTURE, "it is not valid yet"},
	{MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
			MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
		"it is not meant for servers"},
	{MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK | MBEDTLS_X509_BADCERT_BAD_KEY,
		"its signature or its key is too weak"},
};

static const char *phrase_of(const struct phrase *list, size_t count, int64_t of, const char *other)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].of == of)
			return list[i].text;
	}
	return other;
}

static const char *failure_text(const struct pst_tls_mbedtls *session)
{
	if (!session->error)
		return NULL;
	if (session->error == PST_E_NOMEM)
		return "out of memory";
	if (session->cause == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
		return phrase_of(
			alerts, PST_COUNT(alerts), session->alert, "peer's alert: another");
	return phrase_of(causes, PST_COUNT(causes), session->cause, "the handshake went wrong");
}

static const char *doubt_text(uint32_t flags)
{
	for (size_t i = 0; i < PST_COUNT(doubts); i++) {
		if (flags & (uint32_t)doubts[i].of)
			return doubts[i].text;
	}
	return "it cannot be verified";
}

static void expect_facts(const struct pst_tls_mbedtls *session,
	const struct pst_tls_mbedtls_expect *expect, struct pst_tls_facts *out)
{
	out->has_peer = expect->has_peer;
	if (!expect->has_peer)
		return;
	memcpy(out->certificate_sha256, expect->certificate_sha256, 32);
	memcpy(out->key_sha256, expect->key_sha256, 32);
	if (expect->flags)
		out->doubt = doubt_text(expect->flags);
	else if (expect->verify != PST_TLS_VERIFY_PIN && !expect->has_name)
		out->doubt = "there is no name to compare it with";
	else
		out->verified = session->is_done;
}

static void session_facts(const struct pst_tls *tls, struct pst_tls_facts *out)
{
	const struct pst_tls_mbedtls *session = session_of(tls);

	*out = (struct pst_tls_facts){
		.name = {session->name, session->name_len},
		.failure = failure_text(session),
		.used_bytes = session->account->used_bytes,
		.peak_bytes = session->account->peak_bytes,
	};
	if (session->has_key)
		out->key = pst_tls_mbedtls_key_text(session->key);
	if (session->is_done) {
		out->version =
			mbedtls_ssl_get_version_number(&session->ssl) == MBEDTLS_SSL_VERSION_TLS1_3
				? "TLSv1.3"
				: "TLSv1.2";
		out->cipher = cipher_text(mbedtls_ssl_get_ciphersuite_id_from_ssl(&session->ssl));
	}
	if (session->expect)
		expect_facts(session, session->expect, out);
}

/* --- opening and closing -------------------------------------------------------------------- */

static void session_close(struct pst_tls *tls)
{
	struct pst_tls_mbedtls *session = session_of(tls);
	struct pst_crypto_account *account = session->account;
	struct pst_tls_mbedtls_context *context = session->context;

	mbedtls_ssl_free(&session->ssl);
	pst_crypto_mbedtls_free(session->name);
	pst_crypto_mbedtls_free(session->expect);
	pst_crypto_mbedtls_free(session);
	pst_crypto_mbedtls_account_close(account);
	if (context)
		pst_tls_context_drop(&context->head);
}

static const struct pst_tls_ops session_ops = {
	.handshake = session_handshake,
	.read = session_read,
	.write = session_write,
	.finish = session_finish,
	.facts = session_facts,
	.close = session_close,
};

static bool can_expect(
	const struct pst_tls_mbedtls_context *context, const struct pst_tls_peer *peer)
{
	if (peer->name.len > PST_TLS_NAME_BYTES_MAX || peer->pin_count > PST_TLS_PINS_MAX ||
		pst_span_find(peer->name, 0) >= 0)
		return false;
	switch (peer->verify) {
	case PST_TLS_VERIFY_NONE:
	case PST_TLS_VERIFY_LOOK:
		return true;
	case PST_TLS_VERIFY_CA:
		return context->has_trusted && peer->name.len > 0;
	case PST_TLS_VERIFY_PIN:
		return peer->pin_count > 0;
	}
	return false;
}

static int set_name(struct pst_tls_mbedtls *session, struct pst_span name)
{
	char text[PST_TLS_NAME_BYTES_MAX + 1] = {0};

	if (name.len > 0)
		memcpy(text, name.at, name.len);
	return mbedtls_ssl_set_hostname(&session->ssl, name.len > 0 ? text : NULL) ? -PST_E_NOMEM
										   : 0;
}

static int set_expect(struct pst_tls_mbedtls *session, const struct pst_tls_peer *peer)
{
	struct pst_tls_mbedtls_expect *expect = pst_crypto_mbedtls_alloc(sizeof(*expect));

	if (!expect)
		return -PST_E_NOMEM;
	session->expect = expect;
	expect->verify = peer->verify;
	expect->has_name = peer->name.len > 0;
	expect->pin_count = peer->pin_count;
	for (uint32_t i = 0; i < peer->pin_count; i++)
		memcpy(expect->pins[i], peer->pins[i], 32);
	mbedtls_ssl_set_verify(&session->ssl, on_certificate, expect);
	return set_name(session, peer->name);
}

static enum pst_tls_mbedtls_judge judge_of(const struct pst_tls_peer *peer)
{
	if (!peer || peer->verify == PST_TLS_VERIFY_NONE)
		return PST_TLS_JUDGE_NONE;
	return peer->verify == PST_TLS_VERIFY_CA ? PST_TLS_JUDGE_REQUIRED : PST_TLS_JUDGE_OPTIONAL;
}

/* Inside the session's account. */
static int fill(struct pst_tls_mbedtls *session, const struct pst_tls_peer *peer)
{
	mbedtls_ssl_init(&session->ssl);
	if (mbedtls_ssl_setup(&session->ssl, &session->context->config[judge_of(peer)]))
		return -PST_E_NOMEM;
	pst_tls_mbedtls_measure(session);
	mbedtls_ssl_set_user_data_p(&session->ssl, session);
	mbedtls_ssl_set_bio(&session->ssl, session, wire_send, wire_recv, NULL);
	return peer ? set_expect(session, peer) : 0;
}

int pst_tls_mbedtls_open(
	struct pst_tls_context *head, const struct pst_tls_peer *peer, struct pst_tls **out)
{
	struct pst_tls_mbedtls_context *context =
		PST_CONTAINER(head, struct pst_tls_mbedtls_context, head);
	struct pst_crypto_account *account, *before;
	struct pst_tls_mbedtls *session;
	int ret = -PST_E_NOMEM;

	PST_BUG_ON(context->is_client != (peer != NULL));
	if (peer && !can_expect(context, peer))
		return -PST_E_RANGE;
	account = pst_crypto_mbedtls_account(PST_TLS_HANDSHAKE_BYTES);
	if (!account)
		return -PST_E_NOMEM;
	before = pst_crypto_mbedtls_enter(account);
	session = pst_crypto_mbedtls_alloc(sizeof(*session));
	if (session) {
		session->tls.ops = &session_ops;
		session->context = context;
		session->account = account;
		pst_tls_context_hold(head);
		ret = fill(session, peer);
	}
	pst_crypto_mbedtls_enter(before);
	if (ret == 0)
		*out = &session->tls;
	else if (session)
		session_close(&session->tls);
	else
		pst_crypto_mbedtls_account_close(account);
	return ret;
}
