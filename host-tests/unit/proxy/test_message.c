/* test_message.c - collecting a message in any pieces, walking it in any steps */
#include "support/check.h"

#include "proxy/message.h"
#include "support/alloc_fail.h"
#include "support/bytes.h"
#include "support/rng_seed.h"

#define PAGE_DATA (PST_PAGE_BYTES - 24)

struct rig {
	struct pst_alloc_fail alloc;
	struct pst_hold hold;
	struct pst_share share;
	struct pst_message message;
};

static void rig_init(struct rig *rig, uint32_t header_bytes_max, uint64_t shared_bytes)
{
	*rig = (struct rig){0};
	pst_alloc_fail_init(&rig->alloc);
	pst_hold_init(&rig->hold, &rig->alloc.mem, shared_bytes, 1);
	rig->share.hold = &rig->hold;
	pst_message_init(&rig->message, &rig->share, header_bytes_max);
}

static void rig_fini(struct rig *rig)
{
	pst_message_free(&rig->message);
	assert_int_equal(rig->share.page_count, 0);
	assert_int_equal(rig->hold.shared_used, 0);
	pst_hold_fini(&rig->hold);
	assert_int_equal(rig->alloc.block_count, 0);
}

static void append(struct rig *rig, struct pst_span wire)
{
	assert_int_equal(pst_message_append(&rig->message, wire), 0);
}

/* What is in the pages, in order. */
static void body_of(const struct rig *rig, struct pst_bytes *out)
{
	pst_bytes_cut(out, 0);
	for (const struct pst_page *page = rig->message.first; page; page = page->next)
		pst_bytes_add(out, page->data, page->len);
}

static const struct {
	const char *header; /* with the empty line, where there is one */
	const char *body;
	bool whole; /* the empty line is there */
} splits[] = {
	{"Subject: x\r\n\r\n", "body\r\n", true},
	{"\r\n", "body\r\n", true},
	{"\r\n", "", true},
	{"a: b\r\n\r\n", "\r\n\r\n", true},
	{"a: b\r\n c\r\nd: e\r\n\r\n", "..\r\n", true},
	{"a: b\r\n", "", false},
	{"", "", false},
	{"a\r\n\r\n", "x", true},
	{"ab\r\n\r\n", "x", true},
	{"abc\r\n\r\n", "x", true},
	{"abcd\r\n\r\n", "x", true},
	{"a: b\r\n.. \r\n\r\n", "", true},
};

static void check_split(uint32_t row, uint32_t first, uint32_t second)
{
	struct pst_bytes all = {0}, body = {0};
	struct rig rig;
	struct pst_span wire;

	pst_bytes_print(&all, "%s%s", splits[row].header, splits[row].body);
	wire = pst_bytes_from(&all, 0);
	rig_init(&rig, 65536, 1 << 20);
	append(&rig, pst_span_sub(wire, 0, first));
	append(&rig, pst_span_sub(wire, first, second - first));
	append(&rig, pst_span_sub(wire, second, wire.len));
	assert_int_equal(rig.message.header_done, splits[row].whole);
	pst_message_end(&rig.message);
	check_span(pst_message_header(&rig.message), splits[row].header);
	body_of(&rig, &body);
	check_span(pst_bytes_from(&body, 0), splits[row].body);
	assert_int_equal(rig.message.bytes, wire.len);
	assert_int_equal(rig.message.body_bytes, strlen(splits[row].body));
	rig_fini(&rig);
	pst_bytes_free(&all);
	pst_bytes_free(&body);
}

static void all_splits(void **state)
{
	(void)state;
	for (uint32_t row = 0; row < PST_COUNT(splits); row++) {
		uint32_t len = (uint32_t)(strlen(splits[row].header) + strlen(splits[row].body));

		for (uint32_t first = 0; first <= len; first++)
			for (uint32_t second = first; second <= len; second++)
				check_split(row, first, second);
	}
}

/* Append all of it in pieces of one size. */
static void append_in(struct rig *rig, struct pst_span wire, uint32_t piece)
{
	for (uint32_t from = 0; from < wire.len; from += piece)
		append(rig, pst_span_sub(wire, from, piece));
}

static void make(struct pst_bytes *header, struct pst_bytes *body, uint32_t header_len,
		 uint32_t body_len)
{
	while (header->len < header_len)
		pst_bytes_print(header, "X-Field-%u: value\r\n", header->len);
	pst_bytes_print(header, "\r\n");
	while (body->len < body_len)
		pst_bytes_print(body, "line %u\r\n", body->len);
}

/* Walk to the end, `count_max` spans and `step` bytes at a time. */
static void walk(struct rig *rig, uint32_t count_max, uint64_t step, bool give_back,
		 struct pst_bytes *out)
{
	struct pst_message_cursor cursor = {0};
	struct pst_span spans[8];
	uint32_t count;

	assert_true(count_max <= PST_COUNT(spans));
	pst_bytes_cut(out, 0);
	while ((count = pst_message_spans(&rig->message, &cursor, true, spans, count_max)) > 0) {
		uint64_t left = step;

		for (uint32_t i = 0; i < count && left > 0; i++) {
			uint32_t len = (uint32_t)PST_MIN(left, spans[i].len);

			assert_true(spans[i].len > 0);
			pst_bytes_add(out, spans[i].at, len);
			left -= len;
		}
		pst_message_advance(&rig->message, &cursor, step - left, give_back);
	}
	assert_true(pst_message_at_end(&cursor));
}

static void walks(void **state)
{
	static const uint64_t steps[] = {1, 2, 3, 7, PAGE_DATA - 1, PAGE_DATA, PAGE_DATA + 1, 50000};
	struct pst_bytes header = {0}, body = {0}, wanted = {0}, got = {0};
	struct pst_span trace = PST_SPAN("Received: from a by b\r\n");

	(void)state;
	make(&header, &body, 5000, 3 * PAGE_DATA);
	pst_bytes_add_span(&wanted, trace);
	pst_bytes_add_span(&wanted, pst_bytes_from(&header, 0));
	pst_bytes_add_span(&wanted, pst_bytes_from(&body, 0));
	pst_bytes_print(&wanted, ".\r\n");
	for (uint32_t s = 0; s < PST_COUNT(steps); s++) {
		for (uint32_t count_max = 1; count_max <= 8; count_max += count_max < 3 ? 1 : 5) {
			struct pst_buf buf;
			struct rig rig;
			uint32_t pages;

			rig_init(&rig, 65536, 1 << 20);
			append_in(&rig, pst_bytes_from(&header, 0), 1000);
			append_in(&rig, pst_bytes_from(&body, 0), 1000);
			assert_int_equal(pst_message_trace(&rig.message, &buf), 0);
			assert_int_equal(pst_buf_put(&buf, trace), 0);
			pst_message_trace_done(&rig.message, &buf);
			pages = rig.share.page_count;
			/* Twice as a held message, then as a streamed one. */
			for (int round = 0; round < 3; round++) {
				walk(&rig, count_max, steps[s], round == 2, &got);
				assert_true(pst_span_eq(pst_bytes_from(&wanted, 0),
							pst_bytes_from(&got, 0)));
				assert_int_equal(rig.share.page_count, round == 2 ? 1 : pages);
			}
			rig_fini(&rig);
		}
	}
	pst_bytes_free(&header);
	pst_bytes_free(&body);
	pst_bytes_free(&wanted);
	pst_bytes_free(&got);
}

/* Appending and walking in turns, as a streamed message does, against the plain bytes. */
static void streams(void **state)
{
	struct pst_bytes header = {0}, body = {0}, wanted = {0}, got = {0};

	(void)state;
	make(&header, &body, 300, 20 * PAGE_DATA);
	pst_bytes_add_span(&wanted, pst_bytes_from(&header, 0));
	pst_bytes_add_span(&wanted, pst_bytes_from(&body, 0));
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct pst_message_cursor cursor = {0};
		struct pst_rng_seed rng;
		struct rig rig;
		uint32_t appended = 0;
		bool ended = false;

		pst_rng_seed_init(&rng, seed);
		rig_init(&rig, 65536, 1 << 20);
		pst_bytes_cut(&got, 0);
		while (!ended || !pst_message_at_end(&cursor)) {
			uint32_t most = pst_rng_seed_below(&rng, 2) ? 9000 : 50;
			struct pst_span rest = pst_bytes_from(&wanted, appended), spans[3];
			uint32_t len = pst_rng_seed_below(&rng, most), count, left;

			if (pst_rng_seed_below(&rng, 2)) {
				append(&rig, pst_span_sub(rest, 0, len));
				appended += PST_MIN(len, rest.len);
				ended = appended == wanted.len;
				continue;
			}
			if (!rig.message.header_done)
				continue; /* nothing leaves before the header was looked at */
			count = pst_message_spans(&rig.message, &cursor, ended, spans, 3);
			left = len;
			for (uint32_t i = 0; i < count && left > 0; i++) {
				uint32_t take = PST_MIN(left, spans[i].len);

				pst_bytes_add(&got, spans[i].at, take);
				left -= take;
			}
			pst_message_advance(&rig.message, &cursor, len - left, true);
			/* Only what has not been walked is kept. */
			assert_true(rig.share.page_count <= 3 + (appended - got.len) / PAGE_DATA + 1 ||
				    got.len > appended);
			if (got.len >= header.len && !ended)
				assert_int_equal(pst_message_at_dot(&rig.message, &cursor),
						 got.len == appended);
		}
		assert_true(pst_span_eq(pst_span_sub(pst_bytes_from(&got, 0), 0, wanted.len),
					pst_bytes_from(&wanted, 0)));
		check_span(pst_bytes_from(&got, wanted.len), ".\r\n");
		assert_int_equal(rig.share.page_count, 0);
		rig_fini(&rig);
	}
	pst_bytes_free(&header);
	pst_bytes_free(&body);
	pst_bytes_free(&wanted);
	pst_bytes_free(&got);
}

/* A header over the bound goes on unseen, whole, wherever it is cut. */
static void too_long_a_header(void **state)
{
	struct pst_bytes header = {0}, body = {0}, wanted = {0}, got = {0};

	(void)state;
	make(&header, &body, 3000, 500);
	pst_bytes_add_span(&wanted, pst_bytes_from(&header, 0));
	pst_bytes_add_span(&wanted, pst_bytes_from(&body, 0));
	pst_bytes_print(&wanted, ".\r\n");
	for (uint32_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
		struct rig rig;

		rig_init(&rig, header.len - 1, 1 << 20);
		append_in(&rig, pst_bytes_from(&header, 0), piece);
		append_in(&rig, pst_bytes_from(&body, 0), piece);
		assert_true(rig.message.header_unseen);
		assert_true(rig.message.header_done);
		walk(&rig, 3, 700, true, &got);
		assert_true(pst_span_eq(pst_bytes_from(&wanted, 0), pst_bytes_from(&got, 0)));
		rig_fini(&rig);

		rig_init(&rig, header.len, 1 << 20);
		append_in(&rig, pst_bytes_from(&header, 0), piece);
		append_in(&rig, pst_bytes_from(&body, 0), piece);
		assert_false(rig.message.header_unseen);
		assert_int_equal(pst_message_header(&rig.message).len, header.len);
		rig_fini(&rig);
	}
	pst_bytes_free(&header);
	pst_bytes_free(&body);
	pst_bytes_free(&wanted);
	pst_bytes_free(&got);
}

static void bounds(void **state)
{
	struct pst_bytes header = {0}, body = {0};
	struct rig rig;
	uint32_t appended = 0;

	(void)state;
	make(&header, &body, 100, 40 * PST_PAGE_BYTES);
	/* Four shared pages behind the reserve. */
	rig_init(&rig, 65536, 4 * PST_PAGE_BYTES);
	append(&rig, pst_bytes_from(&header, 0));
	while (pst_message_has_room(&rig.message, 1000)) {
		append(&rig, pst_span_sub(pst_bytes_from(&body, 0), appended, 1000));
		appended += 1000;
	}
	assert_true(rig.share.page_count >= PST_HOLD_RESERVE_PAGES + 4 - 2);
	assert_int_equal(rig.share.overdraft_count, 0);
	assert_int_equal(pst_message_append(&rig.message, pst_bytes_from(&body, 0)), -PST_E_NOMEM);
	assert_int_equal(rig.share.page_count,
			 PST_HOLD_RESERVE_PAGES + 4 + PST_HOLD_OVERDRAFT_PAGES);
	rig_fini(&rig);

	/* A header that cannot grow. */
	rig_init(&rig, 1 << 20, 4 * PST_PAGE_BYTES);
	pst_bytes_cut(&header, header.len - 2);
	while (header.len < 17 * PST_PAGE_BYTES)
		pst_bytes_print(&header, "X: y\r\n");
	assert_int_equal(pst_message_append(&rig.message, pst_bytes_from(&header, 0)), -PST_E_NOMEM);
	assert_int_equal(rig.share.page_count, 0);
	rig_fini(&rig);
	pst_bytes_free(&header);
	pst_bytes_free(&body);
}

static void failing_memory(void **state)
{
	struct pst_bytes header = {0}, body = {0};
	bool failed = true;

	(void)state;
	make(&header, &body, 9000, 9000);
	for (uint64_t n = 1; failed; n++) {
		struct pst_buf buf;
		struct rig rig;
		int ret;

		rig_init(&rig, 65536, 1 << 20);
		pst_alloc_fail_at(&rig.alloc, n, false);
		ret = pst_message_append(&rig.message, pst_bytes_from(&header, 0));
		ret = ret ? ret : pst_message_append(&rig.message, pst_bytes_from(&body, 0));
		ret = ret ? ret : pst_message_trace(&rig.message, &buf);
		failed = rig.alloc.failed_count > 0;
		assert_int_equal(ret, failed ? -PST_E_NOMEM : 0);
		if (!ret)
			pst_message_trace_done(&rig.message, &buf);
		rig_fini(&rig);
	}
	pst_bytes_free(&header);
	pst_bytes_free(&body);
}

static void cut_header(void **state)
{
	struct pst_bytes got = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, 65536, 1 << 20);
	append(&rig, PST_SPAN("a: b\r\nc: d\r\n\r\nbody\r\n"));
	pst_message_header_cut(&rig.message, 6);
	walk(&rig, 1, 4, false, &got);
	check_span(pst_bytes_from(&got, 0), "a: b\r\nbody\r\n.\r\n");
	check_bug(pst_message_header_cut(&rig.message, 7));
	rig_fini(&rig);
	pst_bytes_free(&got);
}

/* What came by BDAT, decoded in any pieces, is had back as it came, in any pieces; its header aside. */
static void check_raw(struct pst_rng_seed *rng, struct pst_span content)
{
	static const struct pst_span header = PST_SPAN("a: b\r\n\r\n");
	struct pst_bytes got = {0}, all = {0};
	struct pst_message_raw raw = {0};
	struct pst_smtp_data data;
	struct pst_span in, piece;
	struct rig rig;

	rig_init(&rig, 65536, 1 << 20);
	pst_smtp_data_init_content(&data);
	pst_bytes_add_span(&all, header);
	pst_bytes_add_span(&all, content);
	for (in = pst_bytes_from(&all, 0); in.len > 0;) {
		uint32_t used, len = 1 + pst_rng_seed_below(rng, in.len);

		assert_int_equal(pst_smtp_data_next(&data, pst_span_sub(in, 0, len), &used, &piece), 0);
		append(&rig, piece);
		for (uint32_t i = 0; i < data.edit_count; i++)
			pst_message_edit(&rig.message, &data.edits[i]);
		in = pst_span_sub(in, used, in.len);
	}
	append(&rig, pst_smtp_data_finish(&data));
	for (uint32_t i = 0; i < data.edit_count; i++)
		pst_message_edit(&rig.message, &data.edits[i]);
	while ((piece = pst_message_raw_next(&rig.message, &raw,
					     1 + pst_rng_seed_below(rng, 3000))).len > 0)
		pst_bytes_add_span(&got, piece);
	assert_int_equal(pst_message_raw_bytes(&rig.message), got.len);
	if (!pst_span_eq(pst_bytes_from(&got, 0), pst_bytes_from(&all, 0)))
		fail_msg("%.*s came back as %.*s", (int)all.len, (const char *)all.at, (int)got.len,
			 (const char *)got.at);
	rig_fini(&rig);
	pst_bytes_free(&got);
	pst_bytes_free(&all);
}

static void as_it_came(void **state)
{
	static const uint8_t bytes[] = "\r\n.x";
	struct pst_rng_seed rng;

	(void)state;
	pst_rng_seed_init(&rng, 7);
	/* Every content of up to six of these bytes, and longer ones by chance. */
	for (uint32_t len = 0; len <= 6; len++) {
		for (uint32_t number = 0; number < 1U << (2 * len); number++) {
			uint8_t content[6];

			for (uint32_t i = 0; i < len; i++)
				content[i] = bytes[number >> (2 * i) & 3];
			check_raw(&rng, (struct pst_span){content, len});
		}
	}
	for (uint32_t n = 0; n < 300; n++) {
		uint8_t content[12000];
		uint32_t len = pst_rng_seed_below(&rng, sizeof(content));

		for (uint32_t i = 0; i < len; i++)
			content[i] = pst_rng_seed_below(&rng, 4) ? 'y' : bytes[pst_rng_seed_below(&rng, 4)];
		check_raw(&rng, (struct pst_span){content, len});
	}
}

/* More differences than are kept: no way back, and no memory beyond the bound. */
static void too_many_edits(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, 65536, 1 << 20);
	append(&rig, PST_SPAN("\r\n"));
	for (uint32_t i = 0; i < 2 * PST_MESSAGE_EDITS_MAX; i++) {
		struct pst_smtp_edit edit = {2 + 2 * (uint64_t)i, false};

		append(&rig, PST_SPAN("\r\n"));
		pst_message_edit(&rig.message, &edit);
	}
	assert_true(rig.message.edits_lost);
	assert_true(rig.message.edit_count < PST_MESSAGE_EDITS_MAX + 1024);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_splits),
		cmocka_unit_test(walks),
		cmocka_unit_test(streams),
		cmocka_unit_test(too_long_a_header),
		cmocka_unit_test(bounds),
		cmocka_unit_test(failing_memory),
		cmocka_unit_test(cut_header),
		cmocka_unit_test(as_it_came),
		cmocka_unit_test(too_many_edits),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
