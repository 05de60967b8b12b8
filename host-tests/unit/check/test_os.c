/* test_os.c - first segments: what is read from them, and which system they speak for
 *
 * syns.txt has the segments, rules/os.sig the signatures; both are data. With PST_WRITE_OUT=1 in the
 * environment the expected lines are written anew.
 */
#include "support/check.h"

#include "check/os.h"
#include "net/syn.h"
#include "support/os_rules.h"

#define LINE_MAX_BYTES 1024
#define PACKET_MAX 256

static uint32_t from_hex(const char *line, uint8_t *out)
{
	uint32_t len = 0;
	unsigned byte;

	for (; sscanf(line, "%2x", &byte) == 1 && len < PACKET_MAX; line += 2)
		out[len++] = (uint8_t)byte;
	return len;
}

/* The parser must not read a byte behind the packet: it stands at the end of its memory. */
static int read_exactly(const uint8_t *packet, uint32_t len, struct pst_net_syn *syn)
{
	uint8_t *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	if (len)
		memcpy(copy, packet, len);
	ret = pst_net_syn_read((struct pst_span){copy, len}, syn);
	free(copy);
	return ret;
}

static void tell(const uint8_t *packet, uint32_t len, struct pst_buf *out)
{
	struct pst_net_syn syn;
	struct pst_os_guess guess;

	if (read_exactly(packet, len, &syn)) {
		assert_int_equal(syn.ttl, 0);
		assert_int_equal(pst_buf_put_text(out, "no"), 0);
		return;
	}
	guess = pst_os_guess(os_rules(), &syn);
	assert_int_equal(pst_buf_printf(out, "%s ", pst_os_name(guess.system)), 0);
	assert_int_equal(pst_os_evidence_put(out, &guess, &syn), 0);
}

static FILE *open_file(const char *suffix, const char *mode)
{
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%.*s/syns.txt%s", (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__,
		 suffix);
	file = fopen(path, mode);
	assert_non_null(file);
	return file;
}

static void segments(void **state)
{
	bool writing = getenv("PST_WRITE_OUT") != NULL;
	FILE *file = open_file("", "r"), *out = writing ? open_file(".new", "w") : NULL;
	char line[LINE_MAX_BYTES], name[LINE_MAX_BYTES] = "";
	uint32_t count = 0, wrong = 0;

	(void)state;
	while (fgets(line, sizeof(line), file)) {
		uint8_t packet[PACKET_MAX], area[PST_OS_EVIDENCE_MAX + 32];
		struct pst_buf told;

		if (out)
			fputs(line, out);
		if (line[0] == '#' || line[0] == '\n') {
			memcpy(name, line, sizeof(name));
			continue;
		}
		pst_buf_init(&told, area, sizeof(area) - 1);
		tell(packet, from_hex(line, packet), &told);
		area[told.len] = 0;
		assert_non_null(fgets(line, sizeof(line), file));
		line[strcspn(line, "\n")] = 0;
		if (out)
			fprintf(out, "%s\n", (const char *)area);
		else if (strcmp(line, (const char *)area) != 0) {
			print_error("%sis     \"%s\"\nwanted \"%s\"\n", name, (const char *)area, line);
			wrong++;
		}
		count++;
	}
	fclose(file);
	if (out)
		fclose(out);
	assert_int_equal(wrong, 0);
	assert_true(count >= 50);
}

/* ---- signatures ------------------------------------------------------------------------------ */

static uint32_t split(const char *line, struct pst_span *words)
{
	struct pst_span rest = pst_span_text(line), word;
	uint32_t count = 0;

	while (count < PST_OS_WORDS_MAX + 1 && (word = pst_span_word(&rest)).len > 0)
		words[count++] = word;
	return count;
}

static const struct {
	const char *line;
	uint32_t word; /* that is complained of */
} faults[] = {
	{"", 0},
	{"linux", 1},
	{"linux x 64 * * *", 6},
	{"linux x 64 * * * mss df x", 8},
	{"linus x 64 * * * mss", 0},
	{"unknown x 64 * * * mss", 0},
	{"linux 1234567890123456789012345678901234567890123456789012345678901 64 * * * mss", 1},
	{"linux x 0 * * * mss", 2},
	{"linux x 256 * * * mss", 2},
	{"linux x 64 65536 * * mss", 3},
	{"linux x 64 9-8 * * mss", 3},
	{"linux x 64 mss* * * mss", 3},
	{"linux x 64 mss*0 * * mss", 3},
	{"linux x 64 %0 * * mss", 3},
	{"linux x 64 * 255 * mss", 4},
	{"linux x 64 * 3-2 * mss", 4},
	{"linux x 64 * * 65536 mss", 5},
	{"linux x 64 * * * mss,", 6},
	{"linux x 64 * * * ,mss", 6},
	{"linux x 64 * * * mss,wss", 6},
	{"linux x 64 * * * nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop", 6},
	{"linux x 64 * * * mss df,", 7},
	{"linux x 64 * * * mss !", 7},
	{"linux x 64 * * * mss tf", 7},
};

static void what_is_no_signature(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(faults); i++) {
		struct pst_span words[PST_OS_WORDS_MAX + 1];
		struct pst_os_signature signature;
		struct pst_os_fault fault = {99, NULL};
		int ret = pst_os_signature_parse(words, split(faults[i].line, words), &signature, &fault);

		if (ret == 0 || fault.word != faults[i].word || !fault.text)
			fail_msg("\"%s\": %d, word %u", faults[i].line, ret, fault.word);
	}
}

static const struct pst_net_syn linux_syn = {
	.layout = PST_SYN_MSS | PST_SYN_SOK << 4 | PST_SYN_TS << 8 | PST_SYN_NOP << 12 | PST_SYN_WS << 16,
	.window = 64240, .mss = 1460, .ttl = 57, .scale = 7, .quirks = PST_SYN_DF | PST_SYN_ID,
};

/* Of the segment above. */
static const struct {
	const char *line;
	bool matches;
} lines[] = {
	{"linux x 64 64240 7 1460 mss,sok,ts,nop,ws df,id", true},
	{"linux x 64 * * * *", true},
	{"linux x 57 * * * *", true},
	{"linux x 56 * * * *", false},
	{"linux x 89 * * * *", true},
	{"linux x 90 * * * *", false},
	{"linux x 64 64000-64240 * * *", true},
	{"linux x 64 64241-65535 * * *", false},
	{"linux x 64 mss*44 * * *", true},
	{"linux x 64 mss*40-50 * * *", true},
	{"linux x 64 mss*45 * * *", false},
	{"linux x 64 %1460 * * *", true},
	{"linux x 64 %1024 * * *", false},
	{"linux x 64 * 0-6 * *", false},
	{"linux x 64 * - * *", false},
	{"linux x 64 * * - *", false},
	{"linux x 64 * * 1440 *", false},
	{"linux x 64 * * * -", false},
	{"linux x 64 * * * mss,sok,ts,nop", false},
	{"linux x 64 * * * mss,sok,ts,nop,ws,nop", false},
	{"linux x 64 * * * * !df", false},
	{"linux x 64 * * * * df,!ecn", true},
	{"linux x 64 * * * * ecn", false},
};

static void what_matches(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(lines); i++) {
		struct pst_span words[PST_OS_WORDS_MAX + 1];
		struct pst_os_signature signature;
		struct pst_os_conf conf = {&signature, 1};
		struct pst_os_fault fault;
		struct pst_os_guess guess;

		assert_int_equal(pst_os_signature_parse(words, split(lines[i].line, words), &signature,
							&fault), 0);
		guess = pst_os_guess(&conf, &linux_syn);
		if ((guess.signature != NULL) != lines[i].matches)
			fail_msg("%s", lines[i].line);
		if (lines[i].matches)
			assert_int_equal(guess.hops, signature.ttl - 57);
	}
}

static void the_first_that_matches_counts(void **state)
{
	struct pst_os_signature both[2] = {
		{.system = PST_SYSTEM_OTHER, .ttl = 64, .any_layout = true, .any_mss = true, .scale_high = 255},
		{.system = PST_SYSTEM_LINUX, .ttl = 64, .any_layout = true, .any_mss = true, .scale_high = 255},
	};
	struct pst_os_conf conf = {both, 2};

	(void)state;
	assert_int_equal(pst_os_guess(&conf, &linux_syn).system, PST_SYSTEM_OTHER);
	both[0].ttl = 32;
	assert_int_equal(pst_os_guess(&conf, &linux_syn).system, PST_SYSTEM_LINUX);
	both[1].ttl = 32;
	assert_int_equal(pst_os_guess(&conf, &linux_syn).system, PST_SYSTEM_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments),
		cmocka_unit_test(what_is_no_signature),
		cmocka_unit_test(what_matches),
		cmocka_unit_test(the_first_that_matches_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
