/* fuzz_smtp_data.c - the DATA decoder against its model, cut anywhere */
#include "fuzz/data_model.h"
#include "fuzz/fuzz.h"
#include "smtp/data.h"

static struct data_result got, want, again;

/*  in  piece_max: 0 for everything at once */
static void decode(const uint8_t *in, uint32_t len, uint32_t piece_max, uint64_t seed,
		   struct data_result *result)
{
	struct pst_smtp_data data;
	uint32_t at = 0;

	memset(result, 0, offsetof(struct data_result, out));
	pst_smtp_data_init(&data);
	while (at < len && !result->ended) {
		uint32_t piece = piece_max ? 1 + fuzz_below(&seed, piece_max) : len, left, calls = 0;
		uint8_t one, *copy;
		struct pst_span rest;

		left = PST_MIN(piece, len - at);
		one = in[at];
		copy = piece_max == 1 ? &one : fuzz_copy(in + at, left);
		rest = (struct pst_span){copy, left};
		while (rest.len && !result->ended) {
			uint32_t used = 0;
			struct pst_span out;
			int ret = pst_smtp_data_next(&data, rest, &used, &out);

			FUZZ_CHECK(used <= rest.len && (used || out.len) && ++calls <= 4 * left);
			FUZZ_CHECK(out.len <= DATA_OUTPUT_MAX - result->out_len);
			if (out.len)
				memcpy(result->out + result->out_len, out.at, out.len);
			result->out_len += out.len;
			result->used += used;
			result->ended = ret == 1;
			FUZZ_CHECK(ret == 0 || (ret == 1 && out.len == 0));
			rest = pst_span_sub(rest, used, rest.len);
		}
		if (piece_max != 1)
			free(copy);
		at += left;
	}
	FUZZ_CHECK(data.out_bytes == result->out_len);
	result->bare = data.bare_newline_count;
	result->nul = data.nul_count;
	result->line_max = data.line_bytes_max;
	result->eight_bit = data.eight_bit;
}

static void compare(void)
{
	FUZZ_CHECK(want.ended == got.ended && want.used == got.used);
	FUZZ_CHECK(want.out_len == got.out_len);
	FUZZ_CHECK(memcmp(want.out, got.out, want.out_len) == 0);
	FUZZ_CHECK(want.bare == got.bare && want.nul == got.nul);
	FUZZ_CHECK(want.line_max == got.line_max && want.eight_bit == got.eight_bit);
}

/* The content of wire form, walked in pieces, is the model's view of it. */
static void check_unstuff(uint64_t seed)
{
	bool at_line_start = true;
	uint32_t at = 0, len = 0;
	static uint8_t content[DATA_OUTPUT_MAX];

	while (at < got.out_len) {
		uint32_t piece = PST_MIN(1 + fuzz_below(&seed, 50), got.out_len - at);
		struct pst_span wire = {got.out + at, piece}, run;

		while ((run = pst_smtp_unstuff_next(&wire, &at_line_start)).len) {
			memcpy(content + len, run.at, run.len);
			len += run.len;
		}
		FUZZ_CHECK(wire.len == 0);
		at += piece;
	}
	for (uint32_t i = 0, k = 0; i < got.out_len; i++) {
		if (got.out[i] == '.' && data_behind_crlf(got.out, i))
			i++;
		FUZZ_CHECK(k < len && content[k] == got.out[i]);
		k++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t in[DATA_INPUT_MAX];
	uint64_t seed = fuzz_hash(FUZZ_HASH_BEGIN, data, size);
	uint32_t len;

	if (size > 600)
		return 0;
	memcpy(in, data, size);
	memcpy(in + size, "\r\n.\r\n", 5);
	len = (uint32_t)size + 5;
	data_model(in, len, &want);
	decode(in, len, 0, 0, &got);
	compare();
	decode(in, len, 1, seed, &got);
	compare();
	decode(in, len, 2 + fuzz_below(&seed, 40), seed, &got);
	compare();
	check_unstuff(seed);

	/* what came out comes out again */
	memcpy(in, got.out, got.out_len);
	memcpy(in + got.out_len, ".\r\n", 3);
	decode(in, got.out_len + 3, 0, 0, &again);
	FUZZ_CHECK(again.ended && again.used == got.out_len + 3);
	FUZZ_CHECK(again.out_len == got.out_len && again.bare == 0 && again.nul == 0);
	FUZZ_CHECK(memcmp(again.out, got.out, got.out_len) == 0);
	return 0;
}
