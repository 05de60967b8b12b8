/* check/os_conf.c - see os_conf.h */
#include "check/os_conf.h"

#include "check/os_names.h"

const char *const pst_os_option_names[PST_SYN_OPTION_COUNT] = {
	[PST_SYN_NOTHING] = "-", [PST_SYN_EOL] = "eol", [PST_SYN_NOP] = "nop",
	[PST_SYN_MSS] = "mss",   [PST_SYN_WS] = "ws",   [PST_SYN_SOK] = "sok",
	[PST_SYN_TS] = "ts",     [PST_SYN_TFO] = "tfo", [PST_SYN_MPTCP] = "mptcp",
	[PST_SYN_OTHER] = "?",
};

const char *const pst_os_quirk_names[PST_OS_QUIRK_COUNT] = {
	"ipv6", "df", "id", "noid", "flow", "ecn", "seq0", "ack", "urg", "push", "ts0", "ts2", "pad", "scale", "bad",
};

_Static_assert(PST_SYN_BAD == 1 << (PST_OS_QUIRK_COUNT - 1), "each quirk has a name");

enum { FAMILY, LABEL, TTL, WINDOW, SCALE, MSS, OPTIONS, QUIRKS, WORDS };

_Static_assert(WORDS == PST_OS_WORDS_MAX, "one word a field");

static bool is(struct pst_span word, const char *text)
{
	return pst_span_eq(word, pst_span_text(text));
}

/* The part in front of the next comma; *more: there is one. */
static struct pst_span next_of(struct pst_span *list, bool *more)
{
	int64_t comma = pst_span_find(*list, ',');
	struct pst_span part = pst_span_sub(*list, 0, comma < 0 ? list->len : (uint32_t)comma);

	*more = comma >= 0;
	*list = pst_span_sub(*list, part.len + 1, list->len);
	return part;
}

/* "7" or "2-10" */
static bool read_range(struct pst_span word, uint32_t max, uint64_t *low, uint64_t *high)
{
	int64_t dash = pst_span_find(word, '-');

	if (dash < 0) {
		bool good = pst_span_u64(word, max, low) == 0;

		*high = *low;
		return good;
	}
	return pst_span_u64(pst_span_sub(word, 0, (uint32_t)dash), max, low) == 0 &&
	       pst_span_u64(pst_span_sub(word, (uint32_t)dash + 1, word.len), max, high) == 0 &&
	       *low <= *high;
}

static const char *read_family(struct pst_span word, struct pst_os_signature *signature)
{
	static const char *const names[PST_SYSTEM_COUNT] = {
#define PST_SYSTEM(name, points, describe) #name,
#include "facts/systems.def"
#undef PST_SYSTEM
	};

	for (uint32_t i = 0; i < PST_SYSTEM_COUNT; i++)
		if (i != PST_SYSTEM_UNKNOWN && pst_span_eq_nocase(word, pst_span_text(names[i]))) {
			signature->system = (uint8_t)i;
			return NULL;
		}
	return "no family; there are linux, windows, macos, freebsd, openbsd, solaris, embedded, scanner, other";
}

static const char *read_label(struct pst_span word, struct pst_os_signature *signature)
{
	signature->label = word;
	return word.len > 0 && word.len <= PST_OS_LABEL_MAX ? NULL
							    : "a label has 1 to 60 bytes";
}

static const char *read_ttl(struct pst_span word, struct pst_os_signature *signature)
{
	uint64_t number;

	if (pst_span_u64(word, 255, &number) || number == 0)
		return "no TTL; write the one that is sent: 32, 64, 128 or 255";
	signature->ttl = (uint8_t)number;
	return NULL;
}

static const char *read_window(struct pst_span word, struct pst_os_signature *signature)
{
	static const struct pst_span times = {(const uint8_t *)"mss*", 4};
	uint64_t low = 0, high = 0;
	bool good = true;

	if (is(word, "*")) {
		signature->window = PST_OS_WINDOW_ANY;
	} else if (pst_span_starts_nocase(word, times)) {
		signature->window = PST_OS_WINDOW_MSS;
		good = read_range(pst_span_sub(word, times.len, word.len), 65535, &low, &high) && low > 0;
	} else if (word.len > 0 && word.at[0] == '%') {
		signature->window = PST_OS_WINDOW_STEP;
		good = pst_span_u64(pst_span_sub(word, 1, word.len), 65535, &low) == 0 && low > 0;
	} else {
		signature->window = PST_OS_WINDOW_RANGE;
		good = read_range(word, 65535, &low, &high);
	}
	signature->window_low = (uint16_t)low;
	signature->window_high = (uint16_t)high;
	return good ? NULL : "no window; write * or bytes (8192, 4096-8192), mss*44, mss*2-20, or %1024 for multiples";
}

static const char *read_scale(struct pst_span word, struct pst_os_signature *signature)
{
	uint64_t low = 0, high = PST_SYN_NO_SCALE;

	if (is(word, "-"))
		low = PST_SYN_NO_SCALE;
	else if (!is(word, "*") && !read_range(word, PST_SYN_NO_SCALE - 1, &low, &high))
		return "no window scale; write 7, 2-10, - for none, or *";
	signature->scale_low = (uint8_t)low;
	signature->scale_high = (uint8_t)high;
	return NULL;
}

static const char *read_mss(struct pst_span word, struct pst_os_signature *signature)
{
	uint64_t number = 0;

	signature->any_mss = is(word, "*");
	if (!signature->any_mss && !is(word, "-") && pst_span_u64(word, 65535, &number))
		return "no MSS; write bytes, - for none, or *";
	signature->mss = (uint16_t)number;
	return NULL;
}

static const char *read_options(struct pst_span word, struct pst_os_signature *signature)
{
	static const char wrong[] = "no list of options; write up to 16 of eol, nop, mss, ws, sok, ts, tfo, "
				    "mptcp and ?, with commas between, - for none, or *";
	bool more = true;

	signature->any_layout = is(word, "*");
	if (signature->any_layout || is(word, "-"))
		return NULL;
	for (uint32_t count = 0; more; count++) {
		struct pst_span name = next_of(&word, &more);
		uint32_t option = PST_SYN_EOL;

		while (option < PST_SYN_OPTION_COUNT && !is(name, pst_os_option_names[option]))
			option++;
		if (option == PST_SYN_OPTION_COUNT || count == PST_SYN_OPTIONS_MAX)
			return wrong;
		signature->layout |= (uint64_t)option << 4 * count;
	}
	return NULL;
}

static const char *read_quirks(struct pst_span word, struct pst_os_signature *signature)
{
	bool more = true;

	while (more) {
		struct pst_span name = next_of(&word, &more);
		bool not = name.len > 0 && name.at[0] == '!';
		uint32_t i = 0;

		if (not)
			name = pst_span_sub(name, 1, name.len);
		while (i < PST_OS_QUIRK_COUNT && !is(name, pst_os_quirk_names[i]))
			i++;
		if (i == PST_OS_QUIRK_COUNT)
			return "no quirk; there are ipv6, df, id, noid, flow, ecn, seq0, ack, urg, push, ts0, "
			       "ts2, pad, scale, bad, each with a ! in front where it must not be";
		if (not)
			signature->quirks_not |= (uint16_t)(1U << i);
		else
			signature->quirks |= (uint16_t)(1U << i);
	}
	return NULL;
}

int pst_os_signature_parse(const struct pst_span *words, uint32_t word_count,
			   struct pst_os_signature *signature, struct pst_os_fault *fault)
{
	static const char *(*const readers[WORDS])(struct pst_span, struct pst_os_signature *) = {
		read_family, read_label, read_ttl, read_window, read_scale, read_mss, read_options, read_quirks,
	};

	*signature = (struct pst_os_signature){.system = PST_SYSTEM_UNKNOWN};
	for (uint32_t i = 0; i < PST_MIN(word_count, WORDS); i++) {
		*fault = (struct pst_os_fault){i, readers[i](words[i], signature)};
		if (fault->text)
			return -PST_E_SYNTAX;
	}
	if (word_count >= QUIRKS && word_count <= WORDS)
		return 0;
	*fault = (struct pst_os_fault){PST_MIN(word_count, WORDS),
				       "a signature is FAMILY LABEL TTL WINDOW SCALE MSS OPTIONS [QUIRKS]"};
	return -PST_E_SYNTAX;
}
