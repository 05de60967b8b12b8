/* crypto/crypto_mbedtls.h - what mbedTLS asks of its surroundings, answered by us.
 *
 * Layer: crypto (uses base). mbedTLS calls plain functions for random bytes, time and memory; these have no context
 * argument, so the process has one environment, set once before anything else of the library is used.
 *
 * Memory: the adapter allocates nothing itself; all of the library's memory passes through the environment's two
 * functions, which is where it is counted and capped.
 * Threads: loop thread only.
 */
#ifndef PST_CRYPTO_CRYPTO_MBEDTLS_H
#define PST_CRYPTO_CRYPTO_MBEDTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The surroundings. Every function is required; self is handed to each of them and is the caller's. */
struct pst_crypto_mbedtls_env {
	void *self;
	/* Fills at[0..len) with bytes fit for keys. False only if there are none to be had: the operation fails. */
	bool (*random_fill)(void *self, uint8_t *at, size_t len);
	/* Milliseconds of a clock that never goes back; its zero does not matter. */
	int64_t (*mono_ms)(void *self);
	/* Seconds since 1970-01-01 UTC: certificates are judged by it. */
	int64_t (*wall_s)(void *self);
	/* A zeroed block of count * size bytes, aligned for any type, or NULL if there is no room. */
	void *(*alloc)(void *self, size_t count, size_t size);
	/* Gives a block of alloc back; NULL is allowed. */
	void (*release)(void *self, void *block);
};

/* Sets the environment and starts the library.
 *  in   env: borrowed until pst_crypto_mbedtls_close returns; must not change meanwhile
 *  ret  0; -1 if the library could not start, that is: no memory or no random bytes */
int pst_crypto_mbedtls_open(const struct pst_crypto_mbedtls_env *env);

/* Frees what the library holds for itself. Nothing of it may be used any more until the next open; what callers got
 * from it must have been given back before. */
void pst_crypto_mbedtls_close(void);

#endif
