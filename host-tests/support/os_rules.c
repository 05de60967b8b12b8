#include "support/os_rules.h"

#include "config/config.h"
#include "support/check.h"

#define FILE_MAX (64 * 1024)

static int read_file(struct pst_config_reader *self, struct pst_span path, struct pst_span *text)
{
	static const struct pst_span config =
		PST_SPAN("relay example.org to 192.0.2.1:25\nos signatures rules/os.sig\n");
	static uint8_t area[FILE_MAX];
	char name[1024];
	FILE *file;

	(void)self;
	*text = config;
	if (pst_span_eq(path, PST_SPAN("config")))
		return 0;
	snprintf(name, sizeof(name), "%.*s/../../rules/os.sig", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
	file = fopen(name, "rb");
	assert_non_null(file);
	*text = (struct pst_span){area, (uint32_t)fread(area, 1, sizeof(area), file)};
	fclose(file);
	assert_true(text->len < sizeof(area));
	return 0;
}

static void done(struct pst_config_reader *self, struct pst_span text)
{
	(void)self;
	(void)text;
}

static void on_message(struct pst_config_report *self, const struct pst_config_message *message)
{
	uint8_t area[1024];
	struct pst_buf text;

	(void)self;
	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, message);
	if (!message->warning)
		fail_msg("%.*s", (int)text.len, (const char *)area);
}

const struct pst_os_conf *os_rules(void)
{
	static struct pst_mem_system memory;
	static struct pst_config_reader reader = {read_file, done};
	static struct pst_config_report report = {on_message};
	static struct pst_config *config;
	struct pst_config_env env = {
		.reader = &reader, .report = &report, .machine_name = PST_SPAN("mx.example.org")};

	if (!config) {
		pst_mem_system_init(&memory);
		env.mem = &memory.mem;
		assert_int_equal(pst_config_load(&env, PST_SPAN("config"), NULL, 0, 1, &config), 0);
	}
	return &config->proxy.os;
}
