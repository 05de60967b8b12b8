/* fuzz/data_model.h - what the DATA decoder must make of an input, written as simply as possible
 *
 * It sees the whole input at once, in passes: find the end of data, take the dots off behind the
 * client's CRLF, make newlines, stuff anew. Shared by the unit test and the fuzz target.
 */
#ifndef FUZZ_DATA_MODEL_H
#define FUZZ_DATA_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DATA_INPUT_MAX 4096
#define DATA_OUTPUT_MAX (2 * DATA_INPUT_MAX + 8)

struct data_result {
	uint32_t out_len;
	uint32_t used; /* input up to and with the end of data */
	bool ended;
	uint64_t bare, nul;
	uint32_t line_max;
	bool eight_bit;
	uint8_t out[DATA_OUTPUT_MAX]; /* last, for it alone need not be cleared */
};

enum { DATA_NEWLINE = 256 };

static inline bool data_behind_crlf(const uint8_t *in, uint32_t i)
{
	return i == 0 || (i >= 2 && in[i - 2] == '\r' && in[i - 1] == '\n');
}

/* Pass one: what the client meant, newlines as DATA_NEWLINE.
 *  ret how many */
static inline uint32_t data_content(const uint8_t *in, uint32_t end, int *content,
				    struct data_result *result)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < end; i++) {
		uint32_t left = end - i;

		if (in[i] == '.' && data_behind_crlf(in, i))
			continue;
		if (left >= 2 && memcmp(in + i, "\r\n", 2) == 0) {
			content[count++] = DATA_NEWLINE;
			i++;
		} else if (left >= 3 && memcmp(in + i, "\r\r\n", 3) == 0) {
			content[count++] = DATA_NEWLINE;
			result->bare++;
			i += 2;
		} else if (in[i] == '\r' || in[i] == '\n') {
			content[count++] = DATA_NEWLINE;
			result->bare++;
		} else if (in[i] == 0) {
			result->nul++;
		} else {
			content[count++] = in[i];
			result->eight_bit |= in[i] > 127;
		}
	}
	return count;
}

/* Without an end of data the last bytes (a CR, a dot) are not settled: the result then is that of
 * no more than the input, and a decoder may hold some of it back. */
static inline void data_model(const uint8_t *in, uint32_t len, struct data_result *result)
{
	static int content[DATA_INPUT_MAX];
	uint32_t count, end = len, line = 0;

	memset(result, 0, offsetof(struct data_result, out));
	for (uint32_t i = 0; i + 3 <= len && !result->ended; i++) {
		if (data_behind_crlf(in, i) && memcmp(in + i, ".\r\n", 3) == 0) {
			result->ended = true;
			end = i;
		}
	}
	result->used = result->ended ? end + 3 : len;
	count = data_content(in, end, content, result);
	for (uint32_t i = 0; i < count; i++) {
		if (content[i] == DATA_NEWLINE) {
			memcpy(result->out + result->out_len, "\r\n", 2);
			result->out_len += 2;
			line = 0;
			continue;
		}
		if (content[i] == '.' && line == 0)
			result->out[result->out_len++] = '.';
		result->out[result->out_len++] = (uint8_t)content[i];
		line++;
		if (line > result->line_max)
			result->line_max = line;
	}
}

#endif
