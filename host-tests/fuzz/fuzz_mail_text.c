/* fuzz_mail_text.c - values of header fields: encoded words, addresses, Received fields, dates
 *
 * What comes out is bounded, lies where it says, and is UTF-8 where that is promised.
 */
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/received.h"
#include "mail/word.h"

#define WORK_BYTES (1u << 20)

static uint8_t work_area[WORK_BYTES], out_area[WORK_BYTES];

static void inside(struct pst_span span, const uint8_t *area, size_t size)
{
	if (span.len > 0)
		FUZZ_CHECK(span.at >= area && span.at + span.len <= area + size);
}

static void decode(struct pst_span value)
{
	struct pst_buf out;

	for (int words = 0; words < 2; words++) {
		pst_buf_init(&out, out_area, 8192);
		(void)!pst_mail_value_decode(value, words, NULL, &out);
		FUZZ_CHECK(out.len <= 8192);
	}
}

static void addresses(struct pst_span value)
{
	struct pst_mail_addresses walk;
	struct pst_mail_address address;
	struct pst_buf work;
	uint32_t count = 0;

	pst_buf_init(&work, work_area, sizeof(work_area));
	if (pst_mail_addresses_init(&walk, value, &work) < 0)
		return;
	while (pst_mail_addresses_next(&walk, &address)) {
		inside(address.address, work_area, sizeof(work_area));
		inside(address.phrase, work_area, sizeof(work_area));
		FUZZ_CHECK(++count <= value.len + 1);
	}
}

static void received(struct pst_span value)
{
	struct pst_mail_received hop;
	struct pst_buf work;
	int kind;

	pst_buf_init(&work, work_area, 4 * value.len + 64);
	kind = pst_mail_received_parse(value, &work, &hop);
	if (kind != PST_MAIL_RECEIVED_HOP)
		return;
	FUZZ_CHECK(hop.ip.len > 0);
	for (uint32_t i = 0; i < hop.helo.len; i++)
		FUZZ_CHECK(hop.helo.at[i] != ' ' && hop.helo.at[i] != '[' && hop.helo.at[i] != ']');
	for (uint32_t i = 0; i < hop.rdns.len; i++)
		FUZZ_CHECK(hop.rdns.at[i] != ' ' && hop.rdns.at[i] != '[' && hop.rdns.at[i] != ']');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_span value;
	uint8_t *copy;
	int64_t at;

	if (size > 16384)
		return 0;
	copy = fuzz_copy(data, size);
	value = (struct pst_span){copy, (uint32_t)size};
	decode(value);
	addresses(value);
	received(value);
	if (pst_mail_date_parse(value, &at) == 0)
		FUZZ_CHECK(at > -(1LL << 40) && at < 1LL << 40);
	free(copy);
	return 0;
}
