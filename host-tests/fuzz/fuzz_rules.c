/* fuzz_rules.c - rule files: any text loads, is told what is wrong with it, and runs within its
 * limits; slices of any size, and machine code or none, give the same
 */
#include "fuzz/fuzz.h"
#include "rules/load.h"

#define HITS_BYTES 65536u

struct fuzz {
	struct pst_mem mem;
	struct pst_rules_reader reader;
	struct pst_rules_report report;
	struct pst_span
		text; /* of the only file; it may include itself, or others that are not there */
	size_t out_bytes; /* of the allocator */
	uint32_t open_count, message_count;
	uint8_t hits[HITS_BYTES];
	struct pst_buf list;
};

static void *fuzz_alloc(struct pst_mem *self, size_t size)
{
	PST_CONTAINER(self, struct fuzz, mem)->out_bytes += size;
	return malloc(size);
}

static void *fuzz_alloc_zeroed(struct pst_mem *self, size_t size)
{
	PST_CONTAINER(self, struct fuzz, mem)->out_bytes += size;
	return calloc(1, size);
}

static void fuzz_free(struct pst_mem *self, void *block, size_t size)
{
	PST_CONTAINER(self, struct fuzz, mem)->out_bytes -= size;
	free(block);
}

static int fuzz_list(
	struct pst_rules_reader *self, struct pst_span path, uint32_t index, struct pst_span *file)
{
	(void)self;
	(void)path;
	*file = PST_SPAN("f");
	return index ? -PST_E_NOENT : 0;
}

static int fuzz_read(struct pst_rules_reader *self, struct pst_span path, struct pst_span *text)
{
	struct fuzz *fuzz = PST_CONTAINER(self, struct fuzz, reader);

	if (!pst_span_eq(path, PST_SPAN("f")))
		return -PST_E_NOENT;
	fuzz->open_count++;
	*text = (struct pst_span){fuzz_copy(fuzz->text.at, fuzz->text.len), fuzz->text.len};
	return 0;
}

static void fuzz_done(struct pst_rules_reader *self, struct pst_span text)
{
	PST_CONTAINER(self, struct fuzz, reader)->open_count--;
	free((void *)(uintptr_t)text.at);
}

static void on_message(struct pst_rules_report *self, const struct pst_rules_message *message)
{
	FUZZ_CHECK(message->text.len > 0 && message->file.len > 0);
	PST_CONTAINER(self, struct fuzz, report)->message_count++;
}

static const char HEADER[] =
	"Received: from a.example (b.example [192.0.2.1]) by c.example with ESMTP id 1;\r\n"
	"\tThu, 26 Nov 2026 12:00:00 +0000\r\nFrom: \"A B\" <a@example.com>\r\nTo: "
	"b@example.org\r\n"
	"Subject: =?utf-8?Q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?= FREE 100% !\r\nDate: Thu, 26 Nov "
	"2026 12:00:00 "
	"+0000\r\nMessage-ID: <1@example.com>\r\nX-Mailer: abc\r\n";

static void run(struct fuzz *fuzz, struct pst_rules_set *set, uint32_t work)
{
	const struct pst_rules_input input = {
		.header = {(const uint8_t *)HEADER, sizeof(HEADER) - 1},
		.local_only = true,
	};
	uint32_t size = pst_rules_run_bytes(set, input.header.len);
	void *area = malloc(size);
	struct pst_rules_run state;

	FUZZ_CHECK(area && !pst_rules_run_begin(&state, set, &input, area, size));
	while (pst_rules_run_step(&state, work) > 0)
		;
	for (uint32_t i = 0; i < state.hit_count; i++) {
		struct pst_rules_hit hit;

		pst_rules_run_hit(&state, i, &hit);
		FUZZ_CHECK(hit.name.len > 0 && hit.count > 0);
		/* what a limit stops depends on how patterns are run */
		if (pst_buf_put(&fuzz->list, hit.name) || pst_buf_put_byte(&fuzz->list, ' ') ||
			pst_buf_put_u64(&fuzz->list, hit.count))
			break;
	}
	if (state.limited_count || state.cut)
		pst_buf_clear(&fuzz->list);
	FUZZ_CHECK(state.score <= PST_SCORE_MAX && state.score >= PST_SCORE_MIN);
	pst_rules_run_end(&state);
	free(area);
}

/* ret is there a set; then list is what hits, empty where a limit was reached */
static bool load(struct fuzz *fuzz, uint32_t load_work, uint32_t run_work, bool jit)
{
	const struct pst_rules_conf conf = {
		.keep_all = true,
		.jit = jit,
		.limits = {2000, 2000, 64},
	};
	struct pst_rules_load *load;
	struct pst_rules_set *set;
	int status;

	fuzz->message_count = 0;
	pst_buf_init(&fuzz->list, fuzz->hits, sizeof(fuzz->hits));
	FUZZ_CHECK(!pst_rules_load_open(
		&fuzz->mem, &conf, &fuzz->reader, &fuzz->report, PST_SPAN("d"), &load));
	do
		status = pst_rules_load_step(load, load_work);
	while (status > 0);
	FUZZ_CHECK(status == 0 || status == -PST_E_FULL);
	if (status == 0) {
		FUZZ_CHECK(fuzz->message_count ==
			   pst_rules_load_error_count(load) + pst_rules_load_warning_count(load));
		set = pst_rules_load_take(load);
		run(fuzz, set, run_work);
		pst_rules_set_unref(set);
	}
	pst_rules_load_close(load);
	FUZZ_CHECK(fuzz->open_count == 0 && fuzz->out_bytes == 0);
	return status == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz fuzz;
	uint64_t seed = fuzz_hash(FUZZ_HASH_BEGIN, data, size);
	uint8_t *first;
	uint32_t first_len, first_messages;

	if (size > 8192)
		return 0;
	fuzz = (struct fuzz){
		.mem = {.alloc = fuzz_alloc, .alloc_zeroed = fuzz_alloc_zeroed, .free = fuzz_free},
		.reader = {fuzz_list, fuzz_read, fuzz_done},
		.report = {on_message},
		.text = {data, (uint32_t)size},
	};
	if (!load(&fuzz, 100000, 100000, false))
		return 0;
	first_len = fuzz.list.len;
	first_messages = fuzz.message_count;
	first = fuzz_copy(fuzz.hits, first_len);
	FUZZ_CHECK(load(&fuzz, 1 + fuzz_below(&seed, 200), 1 + fuzz_below(&seed, 20), true));
	FUZZ_CHECK(fuzz.message_count == first_messages);
	if (first_len && fuzz.list.len)
		FUZZ_CHECK(fuzz.list.len == first_len && !memcmp(fuzz.hits, first, first_len));
	free(first);
	return 0;
}
