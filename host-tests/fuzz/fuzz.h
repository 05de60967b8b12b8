/* fuzz/fuzz.h - what the fuzz targets share
 *
 * A target is fuzz_NAME.c with LLVMFuzzerTestOneInput. libFuzzer drives it (`make fuzz T=NAME`), or
 * replay.c does, over the files of corpus/NAME, as part of the ordinary tests. An input is raw bytes
 * of what is tested, so that a seed can be read; where it is to be cut follows from a hash of it.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A finding: says what and ends the process, for the fuzzer to keep the input. */
#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* FNV-1a, to seed the choices of one run and to compare traces. */
static inline uint64_t fuzz_hash(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}
#define FUZZ_HASH_BEGIN 0xcbf29ce484222325u

static inline uint32_t fuzz_below(uint64_t *seed, uint32_t bound)
{
	*seed |= 1;
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 32) % bound;
}

/* A copy that ends where the bytes end, so that a sanitizer sees a read behind them. */
static inline uint8_t *fuzz_copy(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	FUZZ_CHECK(copy != NULL);
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

#endif
