/* crypto/crypto.h - the crypto seam: hashing, comparing in constant time, random bytes
 *
 * Layer: crypto (seam). Uses: base. Spec: FIPS 180-4.
 * Implementations: crypto_mbedtls.
 * Concept: what modules above need of cryptography besides TLS. Nothing here can fail: a hash needs
 * no memory beyond its own struct.
 */
#ifndef PST_CRYPTO_CRYPTO_H
#define PST_CRYPTO_CRYPTO_H

#include "base/rng.h"
#include "base/span.h"

#define PST_CRYPTO_SHA256_BYTES 32

/* A hash in progress. It holds no memory of its own and may be forgotten at any time. */
struct pst_crypto_sha256 {
	_Alignas(max_align_t) uint8_t state[256];
};

struct pst_crypto {
	/* begin, then any number of add, then end, which leaves the struct unusable until the next
	 * begin. */
	void (*sha256_begin)(const struct pst_crypto *self, struct pst_crypto_sha256 *hash);
	void (*sha256_add)(const struct pst_crypto *self, struct pst_crypto_sha256 *hash,
		struct pst_span span);
	void (*sha256_end)(const struct pst_crypto *self, struct pst_crypto_sha256 *hash,
		uint8_t out[PST_CRYPTO_SHA256_BYTES]);
	/* Whether two areas of `len` bytes are equal; the time taken tells nothing about where they
	 * differ. For what a peer must not guess byte by byte. */
	bool (*equal)(const struct pst_crypto *self, const void *a, const void *b, size_t len);
	/* Bytes nobody can foretell, from the rng seam. */
	void (*random)(const struct pst_crypto *self, void *out, size_t len);
};

/* The whole hash of one span. */
static inline void pst_crypto_sha256(const struct pst_crypto *crypto, struct pst_span span,
	uint8_t out[PST_CRYPTO_SHA256_BYTES])
{
	struct pst_crypto_sha256 hash;

	crypto->sha256_begin(crypto, &hash);
	crypto->sha256_add(crypto, &hash, span);
	crypto->sha256_end(crypto, &hash, out);
}

#endif
