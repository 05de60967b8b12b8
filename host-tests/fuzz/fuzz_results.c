/* fuzz_results.c - header fields about checks: nothing a client says ends a field or begins another */
#include "check/results.h"
#include "fuzz/fuzz.h"

static void check_field(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		FUZZ_CHECK(pst_is_print(c) || c == '\t' || c == '\r' || c == '\n');
		if (c == '\r')
			FUZZ_CHECK(i + 1 < text.len && text.at[i + 1] == '\n');
		if (c == '\n')
			FUZZ_CHECK(i > 0 && text.at[i - 1] == '\r' &&
				   (i + 1 == text.len || text.at[i + 1] == '\t'));
	}
	FUZZ_CHECK(text.len == 0 || text.at[text.len - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = fuzz_copy(data, size), area[2048];
	uint32_t third = (uint32_t)PST_MIN(size, 60000u) / 3;
	struct pst_results results = {
		.hostname = PST_SPAN("mx.example"),
		.client = {size % 2 ? PST_FAMILY_IPV4 : PST_FAMILY_IPV6, 0, 0, {192, 0, 2, 1}},
		.helo = {copy, third},
		.mailbox = {copy + third, third},
		.mechanism = {copy + 2 * third, third},
		.helo_asked = true,
		.mail_asked = size % 3,
		.helo_result = (enum pst_spf_result)(size % PST_SPF_RESULT_COUNT),
		.mail_result = (enum pst_spf_result)(size / 7 % PST_SPF_RESULT_COUNT),
		.rdns = (enum pst_rdns_result)(size % 4),
	};
	struct pst_buf out;

	pst_buf_init(&out, area, (uint32_t)(size % 2 ? sizeof(area) : 200));
	if (pst_results_put_authentication(&out, &results) == 0)
		check_field(pst_buf_span(&out));
	pst_buf_init(&out, area, sizeof(area));
	if (pst_results_put_received_spf(&out, &results) == 0)
		check_field(pst_buf_span(&out));
	free(copy);
	return 0;
}
