/* tls/tls_mbedtls_priv.h - what the files of the mbedTLS adapter share
 *
 * Layer: tls (adapter). Uses: crypto, base, mbedTLS 3.6.
 */
#ifndef PST_TLS_TLS_MBEDTLS_PRIV_H
#define PST_TLS_TLS_MBEDTLS_PRIV_H

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "crypto/crypto_mbedtls.h"
#include "tls/hello.h"
#include "tls/tls_mbedtls.h"

#define PST_TLS_NAME_BYTES_MAX 255

/* A server's certificate and key. */
struct pst_tls_mbedtls_pair {
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
	enum pst_tls_key kind;
	bool is_default; /* for clients without a name, or with one that no pair has */
};

/* A client's configuration, by how the server's certificate is judged. */
enum pst_tls_mbedtls_judge {
	PST_TLS_JUDGE_NONE,
	PST_TLS_JUDGE_OPTIONAL,
	PST_TLS_JUDGE_REQUIRED,
	PST_TLS_JUDGE_COUNT
};

struct pst_tls_mbedtls_context {
	struct pst_tls_context head;
	struct pst_crypto_account *account;
	bool is_client;
	mbedtls_ssl_config config[PST_TLS_JUDGE_COUNT]; /* a server has only the first */
	const char *alpn[2];
	struct pst_tls_mbedtls_pair *pairs;
	uint32_t pair_count;
	mbedtls_x509_crt trusted;
	bool has_trusted;
};

/* What only a client's session has. */
struct pst_tls_mbedtls_expect {
	enum pst_tls_verify verify;
	bool has_name;
	bool has_peer;
	uint32_t pin_count;
	uint32_t flags; /* what spoke against the certificates, MBEDTLS_X509_BADCERT_* */
	uint8_t pins[PST_TLS_PINS_MAX][32];
	uint8_t certificate_sha256[32];
	uint8_t key_sha256[32];
};

/* Where the library's pointers stood in a buffer it has been relieved of. */
struct pst_tls_mbedtls_rest {
	bool in_away;
	bool out_away;
	uint8_t in_counter[8];
	uint8_t out_len_at;
	uint8_t out_iv_at;
	uint8_t out_msg_at;
	uint16_t in_size;
};

struct pst_tls_mbedtls {
	struct pst_tls tls;
	struct pst_tls_mbedtls_context *context;
	struct pst_crypto_account *account;
	mbedtls_ssl_context ssl;
	struct pst_tls_wire *wire; /* during a call */
	struct pst_tls_mbedtls_expect *expect;
	struct pst_tls_mbedtls_rest rest;
	uint8_t *name;
	uint8_t name_len;
	uint8_t alert; /* the peer's, if that ended it */
	bool is_done;
	bool is_finished;
	bool has_key;
	enum pst_tls_key key;
	int error; /* a PST_E_*, final */
	int cause; /* the library's code for it */
};

/* --- context_mbedtls.c */

/* Chooses the server's certificate: the library's callback behind a ClientHello. */
int pst_tls_mbedtls_choose(mbedtls_ssl_context *ssl);
const char *pst_tls_mbedtls_key_text(enum pst_tls_key key);

/* --- tls_mbedtls.c */

int pst_tls_mbedtls_open(struct pst_tls_context *context, const struct pst_tls_peer *peer,
	struct pst_tls **out);

/* --- buffers_mbedtls.c: everything that looks behind the library's interface */

/* Before the handshake: what a peer may send in one record has this much room ever after. The library would shrink it,
 * at the end of a handshake of TLS 1.2, to what we send in one. */
void pst_tls_mbedtls_measure(struct pst_tls_mbedtls *session);
/* Give the record buffers back where no record is in them, and get them again: `in` for a record of
 * any size, `out` for one of `plain_len` bytes.
 *  ret  wake: false without memory; nothing has changed then */
void pst_tls_mbedtls_rest(struct pst_tls_mbedtls *session);
bool pst_tls_mbedtls_wake(struct pst_tls_mbedtls *session, bool in, uint32_t plain_len);
/* Bytes of a finished record that did not fit into `out`. */
bool pst_tls_mbedtls_is_blocked(const struct pst_tls_mbedtls *session);
/* The number of the fatal alert that has just been read. */
uint8_t pst_tls_mbedtls_alert(const struct pst_tls_mbedtls *session);
/* The body of the ClientHello that has just been read. */
struct pst_span pst_tls_mbedtls_hello(const mbedtls_ssl_context *ssl);

#endif
