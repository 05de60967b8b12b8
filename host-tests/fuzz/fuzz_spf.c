/* fuzz_spf.c - the SPF core, answered line by line from the input, in order and last first
 *
 * The first line is the sender. Each further one is an answer: "!0" to "!5" a status, else a TXT record, or
 * names for MX and PTR, or for addresses "+" the client's own, anything else another one. It ends, within
 * its limits, and the same way whatever the order of answers that were open together.
 */
#include "check/spf.h"
#include "fuzz/fuzz.h"

#define QUESTIONS_MAX 2000

struct lines {
	struct pst_span rest;
};

static struct pst_span take_line(struct lines *lines)
{
	int64_t end = pst_span_find(lines->rest, '\n');
	struct pst_span line = pst_span_sub(lines->rest, 0, end < 0 ? lines->rest.len : (uint32_t)end);

	lines->rest = pst_span_sub(lines->rest, line.len + 1, lines->rest.len);
	return line;
}

/* What a question hears depends on itself alone, so that the order makes no difference. */
static struct pst_dns_answer answer_to(struct pst_span script, const struct pst_question *question,
				       const struct pst_addr *client, struct pst_dns_record *records)
{
	struct pst_dns_answer answer = {.status = PST_DNS_OK, .records = records, .ttl_s = 60};
	struct lines lines = {script};
	uint64_t hash = fuzz_hash(FUZZ_HASH_BEGIN, question->name, question->name_len) + question->type;
	uint32_t count = 1;
	struct pst_span line;

	for (uint32_t i = 0; i < script.len; i++)
		count += script.at[i] == '\n';
	for (uint32_t skip = (uint32_t)(hash % count); skip > 0; skip--)
		(void)take_line(&lines);
	line = take_line(&lines);
	if (line.len > 1 && line.at[0] == '!') {
		answer.status = (enum pst_dns_status)(line.at[1] % 6);
		if (answer.status == PST_DNS_OK)
			answer.status = PST_DNS_NODATA;
		return answer;
	}
	records[0] = (struct pst_dns_record){.addr = *client, .data = line};
	records[0].addr.ip[3] ^= line.len > 0 && line.at[0] == '+' ? 0 : 1;
	answer.record_count = 1;
	while (question->type != PST_DNS_TXT && answer.record_count < 12 &&
	       (line = pst_span_word(&records[0].data)).len > 0) {
		records[answer.record_count] = records[0];
		records[answer.record_count++].data = pst_span_sub(line, 0, PST_DNS_NAME_MAX);
	}
	return answer;
}

static void run(const struct pst_spf_params *params, struct pst_span script, bool reversed,
		struct pst_spf *spf)
{
	struct pst_question open[PST_SPF_NAMES_MAX + 1];
	uint32_t count = 0, asked = 0;

	pst_spf_begin(spf, params);
	while (!pst_spf_done(spf)) {
		struct pst_dns_record records[16];
		struct pst_question question;
		struct pst_dns_answer answer;

		while (count < PST_COUNT(open) && pst_spf_ask(spf, &open[count])) {
			FUZZ_CHECK(open[count].name_len > 0);
			count++;
			FUZZ_CHECK(++asked < QUESTIONS_MAX);
		}
		FUZZ_CHECK(count > 0);
		question = open[reversed ? count - 1 : 0];
		count--;
		if (!reversed)
			memmove(&open[0], &open[1], count * sizeof(open[0]));
		answer = answer_to(script, &question, &params->client, records);
		pst_spf_answer(spf, question.id, &answer);
	}
	FUZZ_CHECK(count == 0);
	FUZZ_CHECK(spf->lookup_count <= params->lookup_count_max + 1);
	for (uint32_t i = 0; i < spf->explanation_len; i++)
		FUZZ_CHECK(pst_is_print(spf->explanation[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pst_spf first, second;
	struct pst_spf_params params = {
		.client = {PST_FAMILY_IPV4, 0, 0, {192, 0, 2, 1}},
		.helo = PST_SPAN("client.example"),
		.receiver = PST_SPAN("mx.example"),
		.lookup_count_max = 10,
		.void_count_max = 2,
	};
	struct lines lines;
	struct pst_span sender;
	uint8_t *copy;
	int64_t at;

	if (size > 16384)
		return 0;
	copy = fuzz_copy(data, size);
	lines.rest = (struct pst_span){copy, (uint32_t)size};
	sender = take_line(&lines);
	at = pst_span_rfind(sender, '@');
	params.local = pst_span_sub(sender, 0, at < 0 ? 0 : (uint32_t)at);
	params.domain = pst_span_sub(sender, (uint32_t)(at + 1), sender.len);
	if (size % 2)
		params.client.family = PST_FAMILY_IPV6;
	run(&params, lines.rest, false, &first);
	run(&params, lines.rest, true, &second);
	FUZZ_CHECK(first.result == second.result);
	FUZZ_CHECK(first.lookup_count == second.lookup_count);
	free(copy);
	return 0;
}
