/* fuzz_config.c - the configuration language: any text is told what is wrong with it, or is good and
 * can be shown and read again
 */
#include "config/config.h"
#include "fuzz/fuzz.h"

#define SHOWN_MAX (256 * 1024)

struct run {
	struct pst_mem mem;
	struct pst_config_reader reader;
	struct pst_config_report report;
	struct pst_config_writer writer;
	struct pst_span text; /* of the only file; it may include itself, or others that are not */
	size_t out_bytes;     /* of the allocator */
	uint32_t open_count, error_count;
	uint8_t *shown;
	size_t shown_len;
};

static void *run_alloc(struct pst_mem *self, size_t size)
{
	PST_CONTAINER(self, struct run, mem)->out_bytes += size;
	return malloc(size);
}

static void *run_alloc_zeroed(struct pst_mem *self, size_t size)
{
	PST_CONTAINER(self, struct run, mem)->out_bytes += size;
	return calloc(1, size);
}

static void run_free(struct pst_mem *self, void *block, size_t size)
{
	PST_CONTAINER(self, struct run, mem)->out_bytes -= size;
	free(block);
}

static int run_read(struct pst_config_reader *self, struct pst_span path, struct pst_span *text)
{
	struct run *run = PST_CONTAINER(self, struct run, reader);

	FUZZ_CHECK(path.at[path.len] == 0);
	if (!pst_span_eq(path, PST_SPAN("f")) && !pst_span_eq(path, PST_SPAN("g")))
		return -PST_E_NOENT;
	run->open_count++;
	*text = (struct pst_span){fuzz_copy(run->text.at, run->text.len), run->text.len};
	return 0;
}

static void run_done(struct pst_config_reader *self, struct pst_span text)
{
	PST_CONTAINER(self, struct run, reader)->open_count--;
	free((void *)(uintptr_t)text.at);
}

static void on_message(struct pst_config_report *self, const struct pst_config_message *message)
{
	struct run *run = PST_CONTAINER(self, struct run, report);
	uint8_t area[512];
	struct pst_buf text;

	run->error_count += !message->warning;
	FUZZ_CHECK(message->text.len > 0);
	/* behind the last byte is where something is missing */
	if (message->source.len)
		FUZZ_CHECK(message->column >= 1 && message->column <= message->source.len + 2 &&
			   message->width >= 1);
	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, message);
	for (uint32_t i = 0; i < text.len; i++)
		FUZZ_CHECK(area[i] >= 0x20 || area[i] == '\n' || area[i] == '\t');
}

static void on_write(struct pst_config_writer *self, struct pst_span text)
{
	struct run *run = PST_CONTAINER(self, struct run, writer);

	FUZZ_CHECK(run->shown_len + text.len <= SHOWN_MAX);
	if (text.len)
		memcpy(run->shown + run->shown_len, text.at, text.len);
	run->shown_len += text.len;
}

/* ret was it good; then `shown` is what it shows */
static bool load(struct run *run)
{
	struct pst_config_env env = {
		.mem = &run->mem,
		.reader = &run->reader,
		.report = &run->report,
		.machine_name = PST_SPAN("mx.example"),
	};
	struct pst_config *config;
	int status;

	run->error_count = 0;
	run->shown_len = 0;
	status = pst_config_load(&env, PST_SPAN("f"), NULL, 0, 1, &config);
	FUZZ_CHECK(status == 0 || status == -PST_E_SYNTAX || status == -PST_E_NOMEM);
	FUZZ_CHECK((status == -PST_E_SYNTAX) == (run->error_count > 0) || status == -PST_E_NOMEM);
	FUZZ_CHECK(run->open_count == 0);
	if (status == 0) {
		pst_config_show(config, &run->writer);
		pst_proxy_conf_unref(&config->proxy);
	}
	FUZZ_CHECK(run->out_bytes == 0);
	return status == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = {
		.mem = {.alloc = run_alloc, .alloc_zeroed = run_alloc_zeroed, .free = run_free},
		.reader = {run_read, run_done},
		.report = {on_message},
		.writer = {on_write},
		.text = {data, (uint32_t)size},
	};
	static uint8_t shown[SHOWN_MAX];
	uint8_t *first;
	size_t first_len;

	if (size > 16384)
		return 0;
	run.shown = shown;
	if (load(&run)) {
		first_len = run.shown_len;
		first = fuzz_copy(run.shown, first_len);
		run.text = (struct pst_span){first, (uint32_t)first_len};
		FUZZ_CHECK(load(&run));
		FUZZ_CHECK(run.shown_len == first_len && !memcmp(run.shown, first, first_len));
		free(first);
	}
	return 0;
}
