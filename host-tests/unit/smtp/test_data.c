/* test_data.c - the DATA decoder against a model that is too simple to be wrong
 *
 * The model (fuzz/data_model.h) sees the whole input at once. The decoder sees it in every possible
 * pair of pieces, byte by byte and in random pieces, and must hand out the same bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/data_model.h"
#include "smtp/data.h"

/* --- the decoder, driven ------------------------------------------------------------------------ */

struct drive {
	struct pst_smtp_data data;
	struct data_result result;
	uint32_t spans;
};

static void drive_begin(struct drive *drive)
{
	memset(&drive->result, 0, offsetof(struct data_result, out));
	pst_smtp_data_init(&drive->data);
	drive->spans = 0;
}

/* Feed one piece, in a block of its own so that a sanitizer sees any read beside it. */
static void drive_piece(struct drive *drive, const uint8_t *in, uint32_t len)
{
	struct data_result *result = &drive->result;
	struct pst_span rest = {in, len};
	uint32_t calls = 0;

	while (rest.len && !result->ended) {
		uint32_t used = 0;
		struct pst_span out;
		int ret = pst_smtp_data_next(&drive->data, rest, &used, &out);

		assert_true(used <= rest.len);
		assert_true(used > 0 || out.len > 0);
		assert_true(++calls <= 4 * len);
		assert_true(out.len <= DATA_OUTPUT_MAX - result->out_len);
		if (out.len) {
			memcpy(result->out + result->out_len, out.at, out.len);
			drive->spans++;
		}
		result->out_len += out.len;
		result->used += used;
		result->ended = ret == 1;
		assert_true(ret == 0 || (ret == 1 && out.len == 0));
		rest = pst_span_sub(rest, used, rest.len);
	}
}

static void drive_end(struct drive *drive)
{
	drive->result.bare = drive->data.bare_newline_count;
	drive->result.nul = drive->data.nul_count;
	drive->result.line_max = drive->data.line_bytes_max;
	drive->result.eight_bit = drive->data.eight_bit;
	assert_int_equal(drive->data.out_bytes, drive->result.out_len);
}

static void explain(const char *what, const uint8_t *in, uint32_t len, uint32_t cut)
{
	print_error("%s, cut at %u:", what, cut);
	for (uint32_t i = 0; i < len; i++)
		print_error(" %02x", in[i]);
	print_error("\n");
}

static void compare(const struct data_result *want, const struct data_result *got, const uint8_t *in,
		    uint32_t len, uint32_t cut)
{
	bool same = want->ended == got->ended && want->bare == got->bare &&
		    want->nul == got->nul && want->out_len == got->out_len &&
		    want->used == got->used && want->line_max == got->line_max &&
		    want->eight_bit == got->eight_bit &&
		    memcmp(want->out, got->out, want->out_len) == 0;

	if (!same)
		explain("decoder and model differ", in, len, cut);
	assert_true(same);
}

/* What every server behind us may rely on. */
static void check_canonical(const struct data_result *result, const uint8_t *in, uint32_t len)
{
	static struct drive again;
	static uint8_t closed[DATA_OUTPUT_MAX + 3];
	const uint8_t *out = result->out;
	bool good = result->out_len == 0 || data_behind_crlf(out, result->out_len);

	for (uint32_t i = 0; i < result->out_len; i++) {
		good &= out[i] != 0;
		good &= out[i] != '\n' || (i > 0 && out[i - 1] == '\r');
		good &= out[i] != '\r' || (i + 1 < result->out_len && out[i + 1] == '\n');
		good &= out[i] != '.' || !data_behind_crlf(out, i) ||
			(i + 1 < result->out_len && out[i + 1] == '.');
	}
	memcpy(closed, out, result->out_len);
	memcpy(closed + result->out_len, ".\r\n", 3);
	drive_begin(&again);
	drive_piece(&again, closed, result->out_len + 3);
	drive_end(&again);
	good &= again.result.ended && again.result.used == result->out_len + 3 &&
		again.result.out_len == result->out_len &&
		memcmp(again.result.out, out, result->out_len) == 0 && again.result.bare == 0 &&
		again.result.nul == 0;
	/* Wire form that needs no change is handed out in one piece. */
	good &= again.spans == (result->out_len > 0);
	if (!good)
		explain("the output is not canonical", in, len, 0);
	assert_true(good);
}

/* In one piece, in every pair of pieces, byte by byte; `in` must hold an end of data. */
static void check_all_cuts(const uint8_t *in, uint32_t len)
{
	static struct data_result want;
	static struct drive drive;

	data_model(in, len, &want);
	assert_true(want.ended);
	for (uint32_t cut = 0; cut <= len; cut++) {
		drive_begin(&drive);
		if (cut == 0) {
			for (uint32_t i = 0; i < len; i++)
				drive_piece(&drive, in + i, 1);
		} else {
			drive_piece(&drive, in, cut);
			drive_piece(&drive, in + cut, len - cut);
		}
		drive_end(&drive);
		compare(&want, &drive.result, in, len, cut);
	}
	check_canonical(&want, in, len);
}

/* --- the tests ---------------------------------------------------------------------------------- */

static void test_all_short_strings(void **state)
{
	static const uint8_t ALPHABET[] = {'\r', '\n', '.', 0, 'a'};
	enum { LEN_MAX = 7 };
	uint8_t in[LEN_MAX + 5];

	(void)state;
	for (uint32_t len = 0; len <= LEN_MAX; len++) {
		uint32_t count = 1;

		for (uint32_t i = 0; i < len; i++)
			count *= (uint32_t)sizeof(ALPHABET);
		for (uint32_t n = 0; n < count; n++) {
			uint32_t digits = n;

			for (uint32_t i = 0; i < len; i++) {
				in[i] = ALPHABET[digits % sizeof(ALPHABET)];
				digits /= (uint32_t)sizeof(ALPHABET);
			}
			memcpy(in + len, "\r\n.\r\n", 5);
			check_all_cuts(in, len + 5);
		}
	}
}

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % bound;
}

/* Mostly the bytes that matter; runs of text between them, so that the word scan is crossed at
 * every alignment. */
static uint32_t random_input(uint8_t *in, uint32_t len_max)
{
	static const char *const CHUNKS[] = {
		"\r\n", "\r\n.", "\r\n..", "\r", "\n", ".", "\r\r\n", "\n.\n", "\r.\r", ".\r", "\r\n.\r",
	};
	uint32_t len = 0;

	while (len + 64 < len_max && random_below(40)) {
		uint32_t kind = random_below(8), count;
		const char *chunk = CHUNKS[random_below(PST_COUNT(CHUNKS))];

		if (kind == 0) {
			in[len++] = 0;
		} else if (kind == 1) {
			in[len++] = (uint8_t)random_below(256);
		} else if (kind == 2) {
			count = random_below(40);
			memset(in + len, 'a' + (int)random_below(26), count);
			len += count;
		} else {
			memcpy(in + len, chunk, strlen(chunk));
			len += (uint32_t)strlen(chunk);
		}
	}
	memcpy(in + len, "\r\n.\r\n", 5);
	return len + 5;
}

static void test_random_strings(void **state)
{
	static struct data_result want;
	static struct drive drive;
	uint8_t in[600];

	(void)state;
	for (uint32_t round = 0; round < 300000; round++) {
		uint32_t len = random_input(in, sizeof(in)), at = 0;
		uint32_t piece_max = 1 + random_below(40);

		data_model(in, len, &want);
		drive_begin(&drive);
		while (at < len) {
			uint32_t piece = 1 + random_below(piece_max);

			piece = PST_MIN(piece, len - at);
			drive_piece(&drive, in + at, piece);
			at += piece;
		}
		drive_end(&drive);
		compare(&want, &drive.result, in, len, piece_max);
		check_canonical(&want, in, len);
	}
}

static const struct {
	const char *in; /* an end of data is added, if none is there */
	const char *out;
	uint32_t bare, left; /* bytes behind the end of data */
} ROWS[] = {
	{"", "", 0, 0},
	{".\r\nMAIL", "", 0, 4},
	{"a\r\n", "a\r\n", 0, 0},
	{"a\r\n.\r\nQUIT\r\n", "a\r\n", 0, 6},
	/* stuffing: one dot off, and on again where it is needed */
	{"..\r\n...\r\n..a\r\n.b\r\nend\r\n", "..\r\n...\r\n..a\r\nb\r\nend\r\n", 0, 0},
	{".a.\r\n", "a.\r\n", 0, 0},
	/* lone newlines, and dots behind them: content */
	{"a\nb\rc\r\r\nd\r\n", "a\r\nb\r\nc\r\nd\r\n", 3, 0},
	{"a\n.\nb\r\n", "a\r\n..\r\nb\r\n", 2, 0},
	{"a\n.\r\nb\r\n", "a\r\n..\r\nb\r\n", 1, 0},
	{"a\r.\r\nb\r\n", "a\r\n..\r\nb\r\n", 1, 0},
	{"a\r.\rb\r\n", "a\r\n..\r\nb\r\n", 2, 0},
	{"a\n..\r\n", "a\r\n...\r\n", 1, 0},
	/* a dot behind CRLF is the client's, whatever newline follows it */
	{"a\r\n.\nb\r\n", "a\r\n\r\nb\r\n", 1, 0},
	{"a\r\n.\rb\r\n", "a\r\n\r\nb\r\n", 1, 0},
	{"a\r\n.\r\r\nb\r\n", "a\r\n\r\nb\r\n", 1, 0},
	{"a\r\n..\nb\r\n", "a\r\n..\r\nb\r\n", 1, 0},
	/* CR CR LF is one newline, further CRs are their own; CRLF.CRLF inside ends all the same */
	{"a\r\r\r\nb\r\n", "a\r\n\r\nb\r\n", 2, 0},
	{"a\r\r\r\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", 3, 0},
	{"a\r\r\n.\r\nMAIL", "a\r\n", 1, 4},
	{"a\r\r\n.\r\r\nb\r\n", "a\r\n\r\nb\r\n", 2, 0},
	{"\r", "\r\n", 0, 0},
};

static void test_table(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ROWS); i++) {
		uint8_t in[128];
		uint32_t len = (uint32_t)strlen(ROWS[i].in);
		static struct drive drive;

		memcpy(in, ROWS[i].in, len);
		/* "\r" at a row's end: the line feed comes with what is added */
		if (ROWS[i].left == 0) {
			const char *tail = len && in[len - 1] == '\r' ? "\n.\r\n" : ".\r\n";

			memcpy(in + len, tail, strlen(tail));
			len += (uint32_t)strlen(tail);
		}
		drive_begin(&drive);
		drive_piece(&drive, in, len);
		drive_end(&drive);
		assert_true(drive.result.ended);
		assert_int_equal(drive.result.out_len, strlen(ROWS[i].out));
		assert_memory_equal(drive.result.out, ROWS[i].out, drive.result.out_len);
		assert_int_equal(drive.result.bare, ROWS[i].bare);
		assert_int_equal(len - drive.result.used, ROWS[i].left);
		check_all_cuts(in, len - ROWS[i].left);
	}
}

/* NULs vanish, and break up what stands around them. */
static void test_nul(void **state)
{
	static const struct {
		struct pst_span in;
		const char *out;
		uint32_t nul;
	} rows[] = {
		{PST_SPAN("a\0b\r\n.\r\n"), "ab\r\n", 1},
		{PST_SPAN("a\r\n\0.\r\nb\r\n.\r\n"), "a\r\n..\r\nb\r\n", 1},
		{PST_SPAN("a\r\n.\0\r\nb\r\n.\r\n"), "a\r\n\r\nb\r\n", 1},
		{PST_SPAN("a\r\0\nb\r\n.\r\n"), "a\r\n\r\nb\r\n", 1},
		{PST_SPAN("a\r\n.\r\0\nb\r\n.\r\n"), "a\r\n\r\n\r\nb\r\n", 1},
		{PST_SPAN("a\r\n\0\0..\r\n.\r\n"), "a\r\n...\r\n", 2},
		{PST_SPAN("\0.\r\n\r\n.\r\n"), "..\r\n\r\n", 1},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		static struct drive drive;

		drive_begin(&drive);
		drive_piece(&drive, rows[i].in.at, rows[i].in.len);
		drive_end(&drive);
		assert_true(drive.result.ended);
		assert_int_equal(drive.result.out_len, strlen(rows[i].out));
		assert_memory_equal(drive.result.out, rows[i].out, drive.result.out_len);
		assert_int_equal(drive.result.nul, rows[i].nul);
		check_all_cuts(rows[i].in.at, rows[i].in.len);
	}
}

/* A conforming message is borrowed whole from whatever pieces it comes in. */
static void test_conforming_is_not_copied(void **state)
{
	static const char TEXT[] = "Subject: x\r\n\r\n..dot\r\n\tsome longer text with a tab, to cross "
				   "words\r\n..\r\n\xc3\xa9t\xc3\xa9\r\n\r\nend.\r\n";
	const uint32_t len = sizeof(TEXT) - 1;

	(void)state;
	for (uint32_t cut = 1; cut < len; cut++) {
		struct pst_span whole = {(const uint8_t *)TEXT, len};
		struct pst_span pieces[2] = {pst_span_sub(whole, 0, cut), pst_span_sub(whole, cut, len)};
		struct pst_smtp_data data;
		/* a dot must wait for what follows it: that cut alone costs a span */
		bool between_dots = cut > 1 &&
			pst_span_eq(pst_span_sub(whole, cut - 2, 3), PST_SPAN("\n.."));

		pst_smtp_data_init(&data);
		for (uint32_t i = 0; i < 2; i++) {
			uint32_t at = 0, spans = 0;

			while (at < pieces[i].len) {
				struct pst_span out;
				uint32_t used;
				int ret = pst_smtp_data_next(
					&data, pst_span_sub(pieces[i], at, pieces[i].len), &used, &out);

				assert_int_equal(ret, 0);
				assert_true(between_dots || out.at == pieces[i].at + at);
				assert_true(between_dots || out.len == used);
				at += used;
				spans += out.len > 0;
			}
			assert_int_equal(spans, 1 + (between_dots && i == 1));
		}
		assert_int_equal(data.out_bytes, len);
		assert_int_equal(data.bare_newline_count, 0);
		assert_true(data.eight_bit);
	}
}

static void test_line_length(void **state)
{
	static uint8_t in[3000];
	static struct drive drive;
	static struct data_result want;

	(void)state;
	memset(in, 'x', sizeof(in));
	memcpy(in + 998, "\r\n", 2);
	memcpy(in + 2000, "\n", 1);
	memcpy(in + sizeof(in) - 5, "\r\n.\r\n", 5);
	data_model(in, sizeof(in), &want);
	assert_int_equal(want.line_max, 1000);
	drive_begin(&drive);
	for (uint32_t at = 0; at < sizeof(in); at += 7)
		drive_piece(&drive, in + at, PST_MIN(7, (uint32_t)sizeof(in) - at));
	drive_end(&drive);
	compare(&want, &drive.result, in, sizeof(in), 7);
}

/* Unstuffing wire form, cut anywhere, gives the lines without the first dot of each. */
static void test_unstuff(void **state)
{
	static const char WIRE[] = "..\r\na.b\r\n...\r\n\r\n..x\r\ny\r\n..";
	static const char CONTENT[] = ".\r\na.b\r\n..\r\n\r\n.x\r\ny\r\n.";
	struct pst_span whole = {(const uint8_t *)WIRE, sizeof(WIRE) - 1};

	(void)state;
	for (uint32_t cut = 0; cut <= whole.len; cut++) {
		struct pst_span pieces[2] = {pst_span_sub(whole, 0, cut),
					     pst_span_sub(whole, cut, whole.len)};
		uint8_t got[sizeof(WIRE)];
		uint32_t len = 0;
		bool at_line_start = true;

		for (uint32_t i = 0; i < 2; i++) {
			struct pst_span run;

			while ((run = pst_smtp_unstuff_next(&pieces[i], &at_line_start)).len) {
				memcpy(got + len, run.at, run.len);
				len += run.len;
			}
			assert_int_equal(pieces[i].len, 0);
		}
		assert_int_equal(len, sizeof(CONTENT) - 1);
		assert_memory_equal(got, CONTENT, len);
	}
}

/* What BDAT's content becomes, in passes over the whole of it: newlines, then dots. */
static uint32_t content_model(const uint8_t *in, uint32_t len, uint8_t *out, uint64_t *bare)
{
	bool at_start = true, any = false;
	uint32_t n = 0;

	*bare = 0;
	for (uint32_t i = 0; i < len; i++) {
		uint32_t taken = 0;

		if (len - i >= 2 && memcmp(in + i, "\r\n", 2) == 0)
			taken = 2;
		else if (len - i >= 3 && memcmp(in + i, "\r\r\n", 3) == 0)
			taken = 3;
		else if (in[i] == '\r' || in[i] == '\n')
			taken = 1;
		if (taken > 0) {
			*bare += taken != 2;
			i += taken - 1;
			out[n++] = '\r';
			out[n++] = '\n';
			at_start = true;
			any = true;
		} else if (in[i] != 0) {
			if (at_start && in[i] == '.')
				out[n++] = '.';
			out[n++] = in[i];
			at_start = false;
			any = true;
		}
	}
	if (any && !at_start) {
		out[n++] = '\r';
		out[n++] = '\n';
	}
	return n;
}

/* Through the decoder, in pieces that end at each `cut`. */
static uint32_t content_drive(struct pst_smtp_data *data, const uint8_t *in, uint32_t len,
			      uint32_t cut, uint8_t *out)
{
	uint32_t ends[2] = {cut, len}, from = 0, n = 0;
	struct pst_span wire;

	pst_smtp_data_init_content(data);
	for (uint32_t piece = 0; piece < 2; piece++) {
		uint32_t used;

		while (from < ends[piece]) {
			struct pst_span rest = {in + from, ends[piece] - from};

			assert_int_equal(pst_smtp_data_next(data, rest, &used, &wire), 0);
			assert_true(used > 0 || wire.len > 0);
			if (wire.len)
				memcpy(out + n, wire.at, wire.len);
			n += wire.len;
			from += used;
		}
	}
	wire = pst_smtp_data_finish(data);
	if (wire.len)
		memcpy(out + n, wire.at, wire.len);
	n += wire.len;
	assert_int_equal(pst_smtp_data_finish(data).len, 0);
	assert_int_equal(data->out_bytes, n);
	return n;
}

static void test_content_short_strings(void **state)
{
	static const uint8_t letters[] = {'.', '\r', '\n', 'a', 0};

	(void)state;
	for (uint32_t len = 0; len <= 7; len++) {
		uint32_t count = 1;

		for (uint32_t i = 0; i < len; i++)
			count *= PST_COUNT(letters);
		for (uint32_t number = 0; number < count; number++) {
			uint8_t in[8], want[32], got[32];
			uint32_t rest = number, nul = 0, want_len;
			uint64_t bare;

			for (uint32_t i = 0; i < len; i++, rest /= PST_COUNT(letters)) {
				in[i] = letters[rest % PST_COUNT(letters)];
				nul += in[i] == 0;
			}
			want_len = content_model(in, len, want, &bare);
			for (uint32_t cut = 0; cut <= len; cut++) {
				struct pst_smtp_data data;
				uint32_t got_len = content_drive(&data, in, len, cut, got);

				if (got_len != want_len || memcmp(got, want, got_len) != 0 ||
				    data.bare_newline_count != bare || data.nul_count != nul) {
					explain("content", in, len, cut);
					fail();
				}
			}
		}
	}
}

/* The decoder's inverse: a message sent by BDAT, and the same one stuffed and sent by DATA, are the
 * same on the wire; and taking the stuffing off gives the message. */
static void test_content_is_stuffed(void **state)
{
	static const char *const messages[] = {
		"Subject: x\r\n\r\nhello\r\n", ".\r\n", "..\r\n.a\r\na.\r\n", "\r\n.\r\n.\r\n", "",
		"MAIL FROM:<a@b>\r\n.\r\nDATA\r\n",
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(messages); i++) {
		uint32_t len = (uint32_t)strlen(messages[i]), got_len, back = 0;
		uint8_t got[256], plain[256];
		struct pst_smtp_data data;
		struct pst_span wire, run;
		struct drive drive;
		bool at_start = true;

		got_len = content_drive(&data, (const uint8_t *)messages[i], len, len / 2, got);
		wire = (struct pst_span){got, got_len};
		while ((run = pst_smtp_unstuff_next(&wire, &at_start)).len) {
			memcpy(plain + back, run.at, run.len);
			back += run.len;
		}
		assert_int_equal(back, len);
		assert_memory_equal(plain, messages[i], len);
		memcpy(plain, got, got_len);
		memcpy(plain + got_len, ".\r\n", 3);
		drive_begin(&drive);
		drive_piece(&drive, plain, got_len + 3);
		assert_true(drive.result.ended);
		assert_int_equal(drive.result.out_len, got_len);
		assert_memory_equal(drive.result.out, got, got_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_all_short_strings),
		cmocka_unit_test(test_random_strings),
		cmocka_unit_test(test_conforming_is_not_copied),
		cmocka_unit_test(test_line_length),
		cmocka_unit_test(test_unstuff),
		cmocka_unit_test(test_content_short_strings),
		cmocka_unit_test(test_content_is_stuffed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
