/* crypto/crypto_mbedtls.h - what mbedTLS asks of its surroundings, answered by us
 *
 * Layer: crypto (uses base). mbedTLS calls plain functions for random bytes, time and memory; these
 * have no context argument, so a process has one environment, set before anything else of the
 * library is used.
 * Memory: the adapter adds one header of at most 16 bytes to each block the library asks for; all of
 * it comes from the environment's allocator, which is where it is counted and capped.
 */
#ifndef PST_CRYPTO_CRYPTO_MBEDTLS_H
#define PST_CRYPTO_CRYPTO_MBEDTLS_H

#include "base/mem.h"
#include "base/rng.h"

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

/* Gives back what the library holds for itself. Keys, certificates and sessions must have been
 * freed before; nothing of the library may be used until the next open. */
void pst_crypto_mbedtls_close(void);

#endif
