/* tls/buffers_mbedtls.c - the record buffers of an idle session, and what else the library hides
 *
 * A session that waits for its peer needs its keys and two counters, 1 to 3 KiB. The library keeps
 * 16 KiB more for the record that may come, and 8 KiB for the one that may go; it gives them back
 * only to a peer that negotiated small records, which SMTP clients do not. With a thousand idle
 * sessions that is the difference between 4 and 28 MiB, so we take the buffers away ourselves
 * between records. At that point they hold nothing but the counter of received records, in the
 * first eight bytes of the input buffer; of the output buffer, the positions of three pointers are
 * needed.
 *
 * This reaches for members that the library calls private and may rename; 3.6 is a long-term branch
 * that keeps the layout of its structures, and the library is pinned (firmware/deps/lock). What has
 * to hold is asserted here, and the contract suite puts every cut of a record to the test.
 */
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>

#include <string.h>

#include "tls/tls_mbedtls_priv.h"

_Static_assert(MBEDTLS_VERSION_NUMBER >> 16 == 0x0306, "see the head of this file");
#ifndef MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH
#error "buffers carry no length of their own: see the head of this file"
#endif

#define P(member) MBEDTLS_PRIVATE(member)

#define COUNTER_BYTES 8
#define HEADER_BYTES 5
/* Counter, header, an explicit nonce, the type, padding to 16, the tag, and some more. */
#define OVERHEAD_BYTES 96
#define HANDSHAKE_HEADER_BYTES 4

static void wipe_and_free(uint8_t *area, size_t size)
{
	mbedtls_platform_zeroize(area, size);
	mbedtls_free(area);
}

static bool in_is_free(const mbedtls_ssl_context *ssl)
{
	if (!ssl->P(in_buf) || ssl->P(in_left) || ssl->P(in_hslen) || ssl->P(in_offt) ||
		ssl->P(badmac_seen_or_in_hsfraglen) || ssl->P(keep_current_message) ||
		ssl->P(in_hdr) != ssl->P(in_buf) + COUNTER_BYTES ||
		ssl->P(in_ctr) != ssl->P(in_buf) || ssl->P(in_buf_len) > UINT16_MAX)
		return false;
	/* An alert that was passed over is forgotten with the next record, or here. */
	return ssl->P(in_msglen) == 0 || ssl->P(in_msgtype) == MBEDTLS_SSL_MSG_ALERT;
}

static bool out_is_free(const mbedtls_ssl_context *ssl)
{
	return ssl->P(out_buf) && ssl->P(out_left) == 0 && ssl->P(out_ctr) == ssl->P(out_buf) &&
	       ssl->P(out_hdr) == ssl->P(out_buf) + COUNTER_BYTES;
}

static void rest_in(struct pst_tls_mbedtls_rest *rest, mbedtls_ssl_context *ssl)
{
	memcpy(rest->in_counter, ssl->P(in_buf), COUNTER_BYTES);
	rest->in_away = true;
	ssl->P(in_msglen) = 0;
	wipe_and_free(ssl->P(in_buf), ssl->P(in_buf_len));
	ssl->P(in_buf) = NULL;
	ssl->P(in_ctr) = NULL;
	ssl->P(in_hdr) = NULL;
	ssl->P(in_len) = NULL;
	ssl->P(in_iv) = NULL;
	ssl->P(in_msg) = NULL;
}

static void rest_out(struct pst_tls_mbedtls_rest *rest, mbedtls_ssl_context *ssl)
{
	const uint8_t *base = ssl->P(out_buf);

	rest->out_len_at = (uint8_t)(ssl->P(out_len) - base);
	rest->out_iv_at = (uint8_t)(ssl->P(out_iv) - base);
	rest->out_msg_at = (uint8_t)(ssl->P(out_msg) - base);
	rest->out_away = true;
	wipe_and_free(ssl->P(out_buf), ssl->P(out_buf_len));
	ssl->P(out_buf) = NULL;
	ssl->P(out_ctr) = NULL;
	ssl->P(out_hdr) = NULL;
	ssl->P(out_len) = NULL;
	ssl->P(out_iv) = NULL;
	ssl->P(out_msg) = NULL;
}

void pst_tls_mbedtls_measure(struct pst_tls_mbedtls *session)
{
	session->rest.in_size = (uint16_t)session->ssl.P(in_buf_len);
}

void pst_tls_mbedtls_rest(struct pst_tls_mbedtls *session)
{
	if (in_is_free(&session->ssl))
		rest_in(&session->rest, &session->ssl);
	if (out_is_free(&session->ssl))
		rest_out(&session->rest, &session->ssl);
}

static void wake_in(struct pst_tls_mbedtls_rest *rest, mbedtls_ssl_context *ssl, uint8_t *area)
{
	memcpy(area, rest->in_counter, COUNTER_BYTES);
	ssl->P(in_buf) = area;
	ssl->P(in_buf_len) = rest->in_size;
	ssl->P(in_ctr) = area;
	ssl->P(in_hdr) = area + COUNTER_BYTES;
	ssl->P(in_len) = ssl->P(in_hdr) + HEADER_BYTES - 2;
	ssl->P(in_iv) = ssl->P(in_hdr) + HEADER_BYTES;
	ssl->P(in_msg) = ssl->P(in_iv);
	rest->in_away = false;
}

static void wake_out(
	struct pst_tls_mbedtls_rest *rest, mbedtls_ssl_context *ssl, uint8_t *area, size_t size)
{
	ssl->P(out_buf) = area;
	ssl->P(out_buf_len) = size;
	ssl->P(out_ctr) = area;
	ssl->P(out_hdr) = area + COUNTER_BYTES;
	ssl->P(out_len) = area + rest->out_len_at;
	ssl->P(out_iv) = area + rest->out_iv_at;
	ssl->P(out_msg) = area + rest->out_msg_at;
	rest->out_away = false;
}

bool pst_tls_mbedtls_wake(struct pst_tls_mbedtls *session, bool in, uint32_t plain_len)
{
	struct pst_tls_mbedtls_rest *rest = &session->rest;
	size_t out_size = (size_t)plain_len + OVERHEAD_BYTES;
	uint8_t *in_area = NULL, *out_area = NULL;

	if (in && rest->in_away) {
		in_area = mbedtls_calloc(1, rest->in_size);
		if (!in_area)
			return false;
	}
	if (rest->out_away) {
		out_area = mbedtls_calloc(1, out_size);
		if (!out_area) {
			mbedtls_free(in_area);
			return false;
		}
	}
	if (in_area)
		wake_in(rest, &session->ssl, in_area);
	if (out_area)
		wake_out(rest, &session->ssl, out_area, out_size);
	return true;
}

bool pst_tls_mbedtls_is_blocked(const struct pst_tls_mbedtls *session)
{
	return session->ssl.P(out_left) > 0;
}

uint8_t pst_tls_mbedtls_alert(const struct pst_tls_mbedtls *session)
{
	const mbedtls_ssl_context *ssl = &session->ssl;

	return ssl->P(in_msg) && ssl->P(in_msgtype) == MBEDTLS_SSL_MSG_ALERT ? ssl->P(in_msg)[1]
									     : 0;
}

struct pst_span pst_tls_mbedtls_hello(const mbedtls_ssl_context *ssl)
{
	if (ssl->P(in_msgtype) != MBEDTLS_SSL_MSG_HANDSHAKE || !ssl->P(in_msg) ||
		ssl->P(in_hslen) < HANDSHAKE_HEADER_BYTES || ssl->P(in_hslen) > ssl->P(in_msglen) ||
		ssl->P(in_msg)[0] != MBEDTLS_SSL_HS_CLIENT_HELLO)
		return PST_SPAN_NONE;
	return (struct pst_span){ssl->P(in_msg) + HANDSHAKE_HEADER_BYTES,
		(uint32_t)(ssl->P(in_hslen) - HANDSHAKE_HEADER_BYTES)};
}
