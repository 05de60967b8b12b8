/* smtp/caps.c - EHLO keywords, read and written */
#include "smtp/caps.h"

enum { VALUE_NONE, VALUE_SIZE, VALUE_AUTH, VALUE_LIMITS, VALUE_XFORWARD, VALUE_XCLIENT };

static const struct {
	struct pst_span name;
	enum pst_smtp_cap cap;
	uint8_t value;
} KEYWORDS[] = {
	{PST_SPAN("PIPELINING"), PST_SMTP_CAP_PIPELINING, VALUE_NONE},
	{PST_SPAN("SIZE"), PST_SMTP_CAP_SIZE, VALUE_SIZE},
	{PST_SPAN("8BITMIME"), PST_SMTP_CAP_8BITMIME, VALUE_NONE},
	{PST_SPAN("ENHANCEDSTATUSCODES"), PST_SMTP_CAP_ENHANCEDSTATUSCODES, VALUE_NONE},
	{PST_SPAN("STARTTLS"), PST_SMTP_CAP_STARTTLS, VALUE_NONE},
	{PST_SPAN("CHUNKING"), PST_SMTP_CAP_CHUNKING, VALUE_NONE},
	{PST_SPAN("SMTPUTF8"), PST_SMTP_CAP_SMTPUTF8, VALUE_NONE},
	{PST_SPAN("DSN"), PST_SMTP_CAP_DSN, VALUE_NONE},
	{PST_SPAN("REQUIRETLS"), PST_SMTP_CAP_REQUIRETLS, VALUE_NONE},
	{PST_SPAN("XFORWARD"), PST_SMTP_CAP_XFORWARD, VALUE_XFORWARD},
	{PST_SPAN("XCLIENT"), PST_SMTP_CAP_XCLIENT, VALUE_XCLIENT},
	{PST_SPAN("LIMITS"), PST_SMTP_CAP_LIMITS, VALUE_LIMITS},
	{PST_SPAN("AUTH"), PST_SMTP_CAP_AUTH, VALUE_AUTH},
};

static const struct {
	struct pst_span name;
	enum pst_smtp_xforward attribute;
} ATTRIBUTES[] = {
	{PST_SPAN("NAME"), PST_SMTP_XFORWARD_NAME},
	{PST_SPAN("ADDR"), PST_SMTP_XFORWARD_ADDR},
	{PST_SPAN("PORT"), PST_SMTP_XFORWARD_PORT},
	{PST_SPAN("PROTO"), PST_SMTP_XFORWARD_PROTO},
	{PST_SPAN("HELO"), PST_SMTP_XFORWARD_HELO},
	{PST_SPAN("IDENT"), PST_SMTP_XFORWARD_IDENT},
	{PST_SPAN("SOURCE"), PST_SMTP_XFORWARD_SOURCE},
};

static uint32_t attributes_learn(struct pst_span words)
{
	uint32_t set = 0;
	struct pst_span word;

	while ((word = pst_span_word(&words)).len)
		for (uint32_t i = 0; i < PST_COUNT(ATTRIBUTES); i++)
			if (pst_span_eq_nocase(word, ATTRIBUTES[i].name))
				set |= ATTRIBUTES[i].attribute;
	return set;
}

void pst_smtp_caps_learn(struct pst_smtp_caps *caps, struct pst_span line)
{
	struct pst_span word = pst_span_word(&line), value = pst_span_trim(line);
	uint64_t size_bytes = 0;
	uint32_t attributes = 0, i = 0;

	while (i < PST_COUNT(KEYWORDS) && !pst_span_eq_nocase(word, KEYWORDS[i].name))
		i++;
	if (i == PST_COUNT(KEYWORDS))
		return;
	switch (KEYWORDS[i].value) {
	case VALUE_NONE:
		if (value.len)
			return;
		break;
	case VALUE_SIZE:
		if (value.len && pst_span_u64(value, UINT64_MAX, &size_bytes))
			return;
		caps->size_bytes = size_bytes;
		break;
	case VALUE_XFORWARD:
	case VALUE_XCLIENT:
		attributes = attributes_learn(value);
		if (!attributes)
			return;
		if (KEYWORDS[i].value == VALUE_XFORWARD)
			caps->xforward = attributes;
		else
			caps->xclient = attributes;
		break;
	default:
		if (!value.len)
			return;
		break;
	}
	caps->set |= KEYWORDS[i].cap;
}

static int attributes_put(struct pst_buf *out, uint32_t set)
{
	int failed = 0;

	for (uint32_t i = 0; i < PST_COUNT(ATTRIBUTES); i++) {
		if (!(set & ATTRIBUTES[i].attribute))
			continue;
		failed |= pst_buf_put_byte(out, ' ');
		failed |= pst_buf_put(out, ATTRIBUTES[i].name);
	}
	return failed;
}

static int limit_put(struct pst_buf *out, struct pst_span name, uint32_t count_max)
{
	int failed = 0;

	if (!count_max)
		return 0;
	failed |= pst_buf_put(out, name);
	failed |= pst_buf_put_u64(out, count_max);
	return failed;
}

/* A keyword that would stand without what it needs is not written. */
static bool is_writable(const struct pst_smtp_caps *caps, uint32_t i)
{
	if (!(caps->set & KEYWORDS[i].cap))
		return false;
	return KEYWORDS[i].value != VALUE_LIMITS || caps->rcpt_count_max ||
	       caps->rcpt_domain_count_max;
}

int pst_smtp_caps_put(struct pst_buf *out, struct pst_span hostname,
		      const struct pst_smtp_caps *caps)
{
	uint8_t area[512];
	struct pst_buf list;
	struct pst_span rest, last;
	int failed = 0;

	/* The lines behind the first; each begins with its CRLF, so that the last one shows. */
	pst_buf_init(&list, area, sizeof(area));
	for (uint32_t i = 0; i < PST_COUNT(KEYWORDS); i++) {
		if (!is_writable(caps, i))
			continue;
		failed |= pst_buf_put(&list, PST_SPAN("\r\n250-"));
		failed |= pst_buf_put(&list, KEYWORDS[i].name);
		if (KEYWORDS[i].value == VALUE_SIZE && caps->size_bytes) {
			failed |= pst_buf_put_byte(&list, ' ');
			failed |= pst_buf_put_u64(&list, caps->size_bytes);
		}
		if (KEYWORDS[i].value == VALUE_LIMITS) {
			failed |= limit_put(&list, PST_SPAN(" RCPTMAX="), caps->rcpt_count_max);
			failed |= limit_put(&list, PST_SPAN(" RCPTDOMAINMAX="),
					    caps->rcpt_domain_count_max);
		}
		if (KEYWORDS[i].value == VALUE_AUTH)
			failed |= pst_buf_put(&list, PST_SPAN(" PLAIN LOGIN"));
		if (KEYWORDS[i].value == VALUE_XFORWARD)
			failed |= attributes_put(&list, caps->xforward);
		if (KEYWORDS[i].value == VALUE_XCLIENT)
			failed |= attributes_put(&list, caps->xclient);
	}
	PST_BUG_ON(failed);
	rest = pst_buf_span(&list);
	if (hostname.len > PST_SMTP_HOSTNAME_MAX ||
	    pst_buf_room(out) < 4 + hostname.len + rest.len + 2)
		return -PST_E_FULL;
	failed = pst_buf_put(out, rest.len ? PST_SPAN("250-") : PST_SPAN("250 "));
	failed |= pst_buf_put(out, hostname);
	if (rest.len) {
		int64_t at = pst_span_rfind(rest, '-');

		/* No keyword that is written holds a hyphen. */
		PST_BUG_ON(at < 0);
		last = pst_span_sub(rest, (uint32_t)at + 1, rest.len);
		failed |= pst_buf_put(out, pst_span_sub(rest, 0, (uint32_t)at));
		failed |= pst_buf_put_byte(out, ' ');
		failed |= pst_buf_put(out, last);
	}
	failed |= pst_buf_put(out, PST_SPAN("\r\n"));
	PST_BUG_ON(failed);
	return 0;
}
