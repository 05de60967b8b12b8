/* crypto/crypto_mbedtls.c - mbedTLS' hooks for randomness, time and memory
 *
 * The library is built without an entropy module and without a clock of its own
 * (firmware/deps/cfg/mbedtls): a simulated run then replays byte for byte, handshakes included, and
 * a real one draws from the kernel through the same seam as everything else.
 *
 * The environment is this file's one static variable. The library's hooks carry no context, so
 * something has to be static; it is a pointer to what app/ or a test composed, set before the
 * library is used and cleared after.
 */
#include "crypto/crypto_mbedtls.h"

#include <mbedtls/platform.h>
#include <mbedtls/platform_time.h>
#include <psa/crypto.h>

/* free() gets no size, our allocators want one: it stands before the block. */
union block_head {
	size_t size;
	max_align_t align;
};

static const struct pst_crypto_mbedtls_env *env_set;

static void *env_calloc(size_t count, size_t size)
{
	union block_head *head;
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) ||
		__builtin_add_overflow(bytes, sizeof(*head), &bytes))
		return NULL;
	head = pst_mem_alloc(env_set->mem, bytes);
	if (!head)
		return NULL;
	head->size = bytes;
	return head + 1;
}

static void env_free(void *block)
{
	union block_head *head = block;

	if (block)
		pst_mem_free(env_set->mem, head - 1, head[-1].size);
}

static mbedtls_time_t env_time(mbedtls_time_t *out)
{
	mbedtls_time_t now_s = (mbedtls_time_t)(env_set->wall_ms(env_set->clock) / 1000);

	if (out)
		*out = now_s;
	return now_s;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
	return (mbedtls_ms_time_t)env_set->mono_ms(env_set->clock);
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
	uint8_t *output, size_t output_size, size_t *output_length)
{
	(void)context;
	env_set->rng->fill(env_set->rng, output, output_size);
	*output_length = output_size;
	return PSA_SUCCESS;
}

int pst_crypto_mbedtls_open(const struct pst_crypto_mbedtls_env *env)
{
	psa_status_t status;

	PST_BUG_ON(env_set);
	env_set = env;
	mbedtls_platform_set_calloc_free(env_calloc, env_free);
	mbedtls_platform_set_time(env_time);
	status = psa_crypto_init();
	if (status == PSA_SUCCESS)
		return 0;
	pst_crypto_mbedtls_close();
	return status == PSA_ERROR_INSUFFICIENT_MEMORY ? -PST_E_NOMEM : -PST_E_IO;
}

void pst_crypto_mbedtls_close(void)
{
	mbedtls_psa_crypto_free();
	env_set = NULL;
}
