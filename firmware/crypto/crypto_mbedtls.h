/* crypto/crypto_mbedtls.h - mbedTLS as the crypto seam, and what it asks of its surroundings
 *
 * Layer: crypto (uses base). mbedTLS calls plain functions for random bytes, time and memory; these
 * have no context argument, so a process has one environment, set before anything else of the
 * library is used.
 * Concept: each block the library asks for belongs to an account: a session's while the adapter is
 * inside the library for that session, else the process's, which is no account at all (NULL). A
 * block stays with its account until it is freed, wherever that happens; so what a session still
 * holds is always known, and a session cannot take more than its bound.
 * Memory: two words in front of each block; all of it comes from the environment's allocator.
 */
#ifndef PST_CRYPTO_CRYPTO_MBEDTLS_H
#define PST_CRYPTO_CRYPTO_MBEDTLS_H

#include "base/buf.h"
#include "base/mem.h"
#include "crypto/crypto.h"

/* Where random bytes, memory and time come from. All of it is required. */
struct pst_crypto_mbedtls_env {
	struct pst_rng *rng;
	struct pst_mem *mem;
	void *clock; /* handed to the two functions below */
	uint64_t (*mono_ms)(void *clock);
	uint64_t (*wall_ms)(void *clock); /* certificates are judged by it */
};

/* Sets the environment and starts the library.
 *  in   env: borrowed until pst_crypto_mbedtls_close
 *  ret  0, -PST_E_NOMEM, or -PST_E_IO if the library refused to start for another reason */
int pst_crypto_mbedtls_open(const struct pst_crypto_mbedtls_env *env) PST_MUST_CHECK;

/* Gives back what the library holds for itself. Keys, certificates, sessions and accounts must have
 * been freed before; nothing of the library may be used until the next open. */
void pst_crypto_mbedtls_close(void);

/* The seam. Valid between open and close. */
const struct pst_crypto *pst_crypto_mbedtls(void);

/* A wall clock before 2026-01-01T00:00:00Z has not been set yet. */
#define PST_CRYPTO_CLOCK_FLOOR_S UINT64_C(1767225600)

/* The environment's wall clock, in seconds. */
uint64_t pst_crypto_mbedtls_wall_s(void);

/* A block is this much larger than what was asked for. */
#define PST_CRYPTO_HEAD_BYTES (2 * sizeof(void *))

struct pst_crypto_account {
	uint64_t bytes_max;  /* may be changed, below what is used too */
	uint64_t used_bytes; /* with the head of each block */
	uint64_t peak_bytes;
	uint64_t refused_count; /* requests refused, by the bound or for want of memory */
	uint32_t block_count;
	bool closed;
};

/* An account of its own memory.
 *  in   bytes_max: the library gets no more than this under the account
 *  ret  NULL without memory */
struct pst_crypto_account *pst_crypto_mbedtls_account(uint64_t bytes_max) PST_MUST_CHECK;
/* Done with; it goes away with its last block, at once if there is none. NULL is allowed. */
void pst_crypto_mbedtls_account_close(struct pst_crypto_account *account);

/* From now on blocks belong to this account; NULL: the process's.
 *  ret  the account before, to be entered again on the way out */
struct pst_crypto_account *pst_crypto_mbedtls_enter(struct pst_crypto_account *account);

/* Zeroed memory under the current account, as the library gets it; given back to the second. */
void *pst_crypto_mbedtls_alloc(size_t size) PST_MUST_CHECK;
void pst_crypto_mbedtls_free(void *block); /* block may be NULL */

/* PEM texts of this many bytes are enough for pst_crypto_mbedtls_self_signed. */
#define PST_CRYPTO_SELF_SIGNED_KEY_BYTES 512
#define PST_CRYPTO_SELF_SIGNED_CERTIFICATE_BYTES 2048

/* Makes a P-256 key and a certificate for it that nobody else has signed, for a first start without
 * one: valid from the day before (never after 2026-01-01, should the clock stand earlier) for
 * ten years.
 *  in   host: the name it is for, 1 to 253 bytes of a host name (letters, digits, `-`, `.`)
 *  out  key, certificate: PEM appended
 *  ret  0 | -PST_E_SYNTAX: not a host name | -PST_E_FULL: a buffer is too small | -PST_E_NOMEM
 *  spec RFC 5280; RFC 7468 */
int pst_crypto_mbedtls_self_signed(struct pst_span host, struct pst_buf *key,
	struct pst_buf *certificate) PST_MUST_CHECK;

#endif
