/* fuzz_syn.c - a first segment as the kernel hands it over, and what is made of it
 *
 * What is read from it, written as a signature, must match it again.
 */
#include "check/os.h"
#include "fuzz/fuzz.h"

/* The evidence is written to be copied into a signature file: "FAMILY LABEL" in front makes it one. */
static void check_signature(const struct pst_net_syn *syn)
{
	uint8_t area[PST_OS_SYN_TEXT_MAX + 32];
	struct pst_span words[PST_OS_WORDS_MAX + 1], rest;
	struct pst_os_signature signature;
	struct pst_os_conf conf = {&signature, 1};
	struct pst_os_fault fault;
	struct pst_os_guess guess;
	uint32_t count = 0;
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	FUZZ_CHECK(pst_buf_put_text(&text, "other label ") == 0);
	FUZZ_CHECK(pst_os_syn_put(&text, syn) == 0);
	FUZZ_CHECK(text.len <= PST_OS_SYN_TEXT_MAX + sizeof("other label ") - 1);
	rest = pst_buf_span(&text);
	while (count < PST_COUNT(words) && (words[count] = pst_span_word(&rest)).len > 0)
		count++;
	FUZZ_CHECK(pst_os_signature_parse(words, count, &signature, &fault) == 0);
	FUZZ_CHECK(signature.quirks == syn->quirks && signature.layout == syn->layout);
	guess = pst_os_guess(&conf, syn);
	FUZZ_CHECK(guess.hops <= 127);
	if (signature.ttl - syn->ttl > PST_OS_HOPS_MAX)
		FUZZ_CHECK(guess.system == PST_SYSTEM_UNKNOWN);
	else
		FUZZ_CHECK(guess.system == PST_SYSTEM_OTHER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_net_syn syn;
	uint8_t *copy;

	if (size > 512)
		return 0;
	copy = fuzz_copy(data, size);
	if (pst_net_syn_read((struct pst_span){copy, (uint32_t)size}, &syn)) {
		FUZZ_CHECK(syn.ttl == 0 && syn.layout == 0 && syn.quirks == 0);
	} else {
		FUZZ_CHECK(syn.ttl > 0);
		check_signature(&syn);
	}
	free(copy);
	return 0;
}
