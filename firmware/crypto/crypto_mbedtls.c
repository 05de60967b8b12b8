/* crypto/crypto_mbedtls.c - mbedTLS' hooks for randomness, time and memory; its hashes
 *
 * The library is built without an entropy module and without a clock of its own
 * (firmware/deps/cfg/mbedtls): a simulated run then replays byte for byte, handshakes included, and
 * a real one draws from the kernel through the same seam as everything else.
 *
 * The hooks carry no context, so something has to be static: the environment that app/ or a test
 * composed, set before the library is used and cleared after, and the account that is charged.
 *
 * PSA's table of keys grows by slices that stay until the library is closed, whoever needed the key
 * that did not fit any more. They are told by the size of their elements, learned at the start, and
 * charged to the process: else a session could run into its bound because of the others.
 */
#include "crypto/crypto_mbedtls.h"

#include <mbedtls/constant_time.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_time.h>
#include <psa/crypto.h>

/* free() gets no size, our allocators want one: it stands before the block. */
struct block_head {
	_Alignas(max_align_t) size_t size;
	struct pst_crypto_account *account;
};

_Static_assert(sizeof(struct block_head) == PST_CRYPTO_HEAD_BYTES, "crypto_mbedtls.h says so");
_Static_assert(sizeof(psa_hash_operation_t) <= sizeof(struct pst_crypto_sha256), "too small");

static struct {
	const struct pst_crypto_mbedtls_env *env;
	struct pst_crypto_account *account;
	size_t slot_size;
	bool learning;
} library;

static void account_put(struct pst_crypto_account *account)
{
	if (account->closed && account->block_count == 0)
		pst_mem_free(library.env->mem, account, sizeof(*account));
}

static void *env_calloc(size_t count, size_t size)
{
	struct pst_crypto_account *account = library.account;
	struct block_head *head;
	size_t bytes;

	if (count > 1 && library.learning)
		library.slot_size = size;
	if (count > 1 && size == library.slot_size)
		account = NULL;
	if (__builtin_mul_overflow(count, size, &bytes) ||
		__builtin_add_overflow(bytes, sizeof(*head), &bytes))
		return NULL;
	if (account && (account->used_bytes > account->bytes_max ||
			       bytes > account->bytes_max - account->used_bytes)) {
		account->refused_count++;
		return NULL;
	}
	head = pst_mem_alloc(library.env->mem, bytes);
	if (!head) {
		if (account)
			account->refused_count++;
		return NULL;
	}
	head->size = bytes;
	head->account = account;
	if (account) {
		account->block_count++;
		account->used_bytes += bytes;
		account->peak_bytes = PST_MAX(account->peak_bytes, account->used_bytes);
	}
	return head + 1;
}

static void env_free(void *block)
{
	struct block_head *head = block;
	struct pst_crypto_account *account;

	if (!block)
		return;
	head--;
	account = head->account;
	if (account) {
		account->block_count--;
		account->used_bytes -= head->size;
	}
	pst_mem_free(library.env->mem, head, head->size);
	if (account)
		account_put(account);
}

static mbedtls_time_t env_time(mbedtls_time_t *out)
{
	mbedtls_time_t now_s = (mbedtls_time_t)pst_crypto_mbedtls_wall_s();

	if (out)
		*out = now_s;
	return now_s;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
	return (mbedtls_ms_time_t)library.env->mono_ms(library.env->clock);
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
	uint8_t *output, size_t output_size, size_t *output_length)
{
	(void)context;
	library.env->rng->fill(library.env->rng, output, output_size);
	*output_length = output_size;
	return PSA_SUCCESS;
}

/* The first key makes the first slice. */
static psa_status_t learn_slot_size(void)
{
	psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
	psa_key_id_t key = PSA_KEY_ID_NULL;
	const uint8_t secret[16] = {0};
	psa_status_t status;

	psa_set_key_type(&attributes, PSA_KEY_TYPE_AES);
	library.learning = true;
	status = psa_import_key(&attributes, secret, sizeof(secret), &key);
	library.learning = false;
	return status == PSA_SUCCESS ? psa_destroy_key(key) : status;
}

int pst_crypto_mbedtls_open(const struct pst_crypto_mbedtls_env *env)
{
	psa_status_t status;

	PST_BUG_ON(library.env);
	library.env = env;
	library.slot_size = 0;
	mbedtls_platform_set_calloc_free(env_calloc, env_free);
	mbedtls_platform_set_time(env_time);
	status = psa_crypto_init();
	if (status == PSA_SUCCESS)
		status = learn_slot_size();
	if (status == PSA_SUCCESS)
		return 0;
	pst_crypto_mbedtls_close();
	return status == PSA_ERROR_INSUFFICIENT_MEMORY ? -PST_E_NOMEM : -PST_E_IO;
}

void pst_crypto_mbedtls_close(void)
{
	PST_BUG_ON(library.account);
	mbedtls_psa_crypto_free();
	library.env = NULL;
}

uint64_t pst_crypto_mbedtls_wall_s(void)
{
	return library.env->wall_ms(library.env->clock) / 1000;
}

struct pst_crypto_account *pst_crypto_mbedtls_account(uint64_t bytes_max)
{
	struct pst_crypto_account *account = pst_mem_alloc(library.env->mem, sizeof(*account));

	if (account)
		account->bytes_max = bytes_max;
	return account;
}

void pst_crypto_mbedtls_account_close(struct pst_crypto_account *account)
{
	if (!account)
		return;
	PST_BUG_ON(account == library.account || account->closed);
	account->closed = true;
	account_put(account);
}

struct pst_crypto_account *pst_crypto_mbedtls_enter(struct pst_crypto_account *account)
{
	struct pst_crypto_account *before = library.account;

	library.account = account;
	return before;
}

void *pst_crypto_mbedtls_alloc(size_t size)
{
	return mbedtls_calloc(1, size);
}

void pst_crypto_mbedtls_free(void *block)
{
	mbedtls_free(block);
}

/* --- the seam ------------------------------------------------------------------------------- */

static psa_hash_operation_t *operation(struct pst_crypto_sha256 *hash)
{
	return (psa_hash_operation_t *)(void *)hash->state;
}

static void sha256_begin(const struct pst_crypto *self, struct pst_crypto_sha256 *hash)
{
	(void)self;
	*operation(hash) = psa_hash_operation_init();
	PST_BUG_ON(psa_hash_setup(operation(hash), PSA_ALG_SHA_256) != PSA_SUCCESS);
}

static void sha256_add(
	const struct pst_crypto *self, struct pst_crypto_sha256 *hash, struct pst_span span)
{
	(void)self;
	if (span.len > 0)
		PST_BUG_ON(psa_hash_update(operation(hash), span.at, span.len) != PSA_SUCCESS);
}

static void sha256_end(const struct pst_crypto *self, struct pst_crypto_sha256 *hash,
	uint8_t out[PST_CRYPTO_SHA256_BYTES])
{
	size_t len = 0;

	(void)self;
	PST_BUG_ON(psa_hash_finish(operation(hash), out, PST_CRYPTO_SHA256_BYTES, &len) !=
		   PSA_SUCCESS);
}

static bool equal(const struct pst_crypto *self, const void *a, const void *b, size_t len)
{
	(void)self;
	return mbedtls_ct_memcmp(a, b, len) == 0;
}

static void random_bytes(const struct pst_crypto *self, void *out, size_t len)
{
	(void)self;
	library.env->rng->fill(library.env->rng, out, len);
}

static const struct pst_crypto seam = {
	.sha256_begin = sha256_begin,
	.sha256_add = sha256_add,
	.sha256_end = sha256_end,
	.equal = equal,
	.random = random_bytes,
};

const struct pst_crypto *pst_crypto_mbedtls(void)
{
	return &seam;
}
