/* crypto/crypto_mbedtls.c - mbedTLS' hooks for randomness, time and memory.
 *
 * The library is built without an entropy module and without a clock of its own (firmware/deps/cfg/mbedtls): a
 * simulated run then replays byte for byte, handshakes included, and a real one draws from the kernel through the same
 * seam as everything else.
 *
 * The environment is the module's one static variable. The library's hooks carry no context, so something has to be
 * static; it is a pointer to what app/ or a test composed, and it is set before use and cleared after.
 */
#include "crypto/crypto_mbedtls.h"

#include <mbedtls/platform.h>
#include <mbedtls/platform_time.h>
#include <psa/crypto.h>

static const struct pst_crypto_mbedtls_env *env_set;

static void *env_calloc(size_t count, size_t size)
{
	return env_set->alloc(env_set->self, count, size);
}

static void env_free(void *block)
{
	/* The library frees NULL at any time, even before it was started. */
	if (block)
		env_set->release(env_set->self, block);
}

static mbedtls_time_t env_time(mbedtls_time_t *out)
{
	mbedtls_time_t now = (mbedtls_time_t)env_set->wall_s(env_set->self);

	if (out)
		*out = now;
	return now;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
	return env_set->mono_ms(env_set->self);
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
	uint8_t *output, size_t output_size, size_t *output_length)
{
	(void)context;
	*output_length = 0;
	if (!env_set->random_fill(env_set->self, output, output_size))
		return PSA_ERROR_INSUFFICIENT_ENTROPY;
	*output_length = output_size;
	return PSA_SUCCESS;
}

int pst_crypto_mbedtls_open(const struct pst_crypto_mbedtls_env *env)
{
	env_set = env;
	if (mbedtls_platform_set_calloc_free(env_calloc, env_free) != 0 ||
		mbedtls_platform_set_time(env_time) != 0 || psa_crypto_init() != PSA_SUCCESS) {
		pst_crypto_mbedtls_close();
		return -1;
	}
	return 0;
}

void pst_crypto_mbedtls_close(void)
{
	mbedtls_psa_crypto_free();
	env_set = NULL;
}
