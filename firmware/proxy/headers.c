/* proxy/headers.c - trace fields */
#include "proxy/headers.h"

#include <string.h>

#include "mail/header.h"

/* Enough of a line to see whether it begins a field. */
#define FRONT_BYTES 320

/* The message's first bytes: of a header that was given up they may lie in both parts.
 *  in  area: FRONT_BYTES, borrowed by the result */
static struct pst_span front_of(const struct pst_message *message, uint8_t *area)
{
	uint32_t len = PST_MIN(message->header_len, FRONT_BYTES), more = 0;

	if (len > 0)
		memcpy(area, message->header, len);
	if (message->first)
		more = PST_MIN(message->first->len, FRONT_BYTES - len);
	if (more > 0)
		memcpy(area + len, message->first->data, more);
	return (struct pst_span){area, len + more};
}

static struct pst_span take_line(struct pst_span *rest)
{
	int64_t end = pst_span_find(*rest, '\n');
	struct pst_span line = pst_span_sub(*rest, 0, end < 0 ? rest->len : (uint32_t)end + 1);

	*rest = pst_span_sub(*rest, line.len, rest->len);
	return line;
}

void pst_headers_look(struct pst_message *message, struct pst_facts *facts,
		      struct pst_span hostname)
{
	struct pst_span header = pst_message_header(message), rest = header;
	struct pst_mail_field field;
	uint8_t *area = message->header, front[FRONT_BYTES];
	uint32_t kept = 0;

	if (!pst_mail_field_starts(front_of(message, front)))
		facts->set |= PST_FACT_NO_HEADER;
	if (message->header_unseen) {
		facts->set |= PST_FACT_HEADER_UNSEEN;
		return;
	}
	facts->hop_count = 0;
	while (rest.len > 0 && !pst_span_starts_nocase(rest, PST_SPAN("\r\n"))) {
		struct pst_span piece;

		if (pst_mail_header_next(&rest, &field)) {
			if (pst_mail_field_forged(&field, hostname))
				continue;
			if (pst_span_eq_nocase(field.name, PST_SPAN("Received")))
				facts->hop_count++;
			piece = field.whole;
		} else if (facts->set & PST_FACT_NO_HEADER) {
			break;
		} else {
			/* No field, but many readers behind us go on with what follows. */
			piece = take_line(&rest);
		}
		if (&area[kept] != piece.at)
			memmove(&area[kept], piece.at, piece.len);
		kept += piece.len;
	}
	if (rest.len > 0 && &area[kept] != rest.at)
		memmove(&area[kept], rest.at, rest.len);
	pst_message_header_cut(message, kept + rest.len);
}

bool pst_headers_identify(const struct pst_message *message, struct pst_hasher *hasher)
{
	static const struct pst_span names[] = {
		{(const uint8_t *)"Message-ID", 10},
		{(const uint8_t *)"Date", 4},
		{(const uint8_t *)"From", 4},
	};
	struct pst_span rest = pst_message_header(message);
	struct pst_mail_field field;
	uint32_t seen = 0;

	while (pst_mail_header_next(&rest, &field)) {
		for (uint32_t i = 0; i < PST_COUNT(names); i++) {
			if (!pst_span_eq_nocase(field.name, names[i]))
				continue;
			seen |= 1U << i;
			pst_hasher_add(hasher, names[i]);
			pst_hasher_add(hasher, pst_span_trim(field.value));
		}
	}
	return (seen & 3) == 3;
}

/* Days since 1970-01-01 to a date: eras of 400 years that begin on 1 March. */
static void civil_date(uint64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
	uint64_t shifted = days + 719468, era = shifted / 146097, doe = shifted % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*day = (uint32_t)(doy - (153 * mp + 2) / 5 + 1);
	*month = (uint32_t)(mp < 10 ? mp + 3 : mp - 9);
	*year = (uint32_t)(yoe + era * 400 + (*month <= 2));
}

int pst_headers_date(struct pst_buf *out, uint64_t wall_ms)
{
	static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	uint64_t seconds = wall_ms / 1000, since_midnight = seconds % 86400;
	uint32_t year, month, day;

	civil_date(seconds / 86400, &year, &month, &day);
	return pst_buf_printf(out, "%s, %u %s %u %02u:%02u:%02u +0000", days[seconds / 86400 % 7],
			      day, months[month - 1], year, (unsigned)(since_midnight / 3600),
			      (unsigned)(since_midnight / 60 % 60), (unsigned)(since_midnight % 60));
}

/* A HELO name that can stand in a Received field as it is: letters, digits, what names and address
 * literals hold. Anything else is dropped, not quoted: comments and quotes invite tricks. */
static bool helo_is_plain(struct pst_span helo)
{
	for (uint32_t i = 0; i < helo.len; i++) {
		uint8_t c = helo.at[i];

		if (!pst_is_alnum(c) && c != '-' && c != '.' && c != '_' && c != ':' && c != '[' &&
		    c != ']')
			return false;
	}
	return helo.len > 0;
}

/* Address literal as RFC 5321 section 4.1.3 writes it. */
static int put_literal(struct pst_buf *out, const struct pst_addr *addr)
{
	int ret = pst_buf_put_text(out, addr->family == PST_FAMILY_IPV6 ? "[IPv6:" : "[");

	pst_addr_put(out, addr);
	return ret ? ret : pst_buf_put_byte(out, ']');
}

/* RFC 3848; RFC 6531 section 4.3. */
static const char *protocol_of(const struct pst_facts *facts)
{
	static const char *const keywords[3][3] = {
		{" with SMTP id ", " with SMTPS id ", " with ESMTPSA id "},
		{" with ESMTP id ", " with ESMTPS id ", " with ESMTPSA id "},
		{" with UTF8SMTP id ", " with UTF8SMTPS id ", " with UTF8SMTPSA id "},
	};
	uint32_t secured = facts->set & PST_FACT_SUBMITTED ? 2 : facts->tls_cipher.len > 0;

	return keywords[facts->utf8 ? 2 : facts->esmtp][secured];
}

static int put_received(struct pst_buf *out, const struct pst_facts *facts,
			const struct pst_trace *trace)
{
	struct pst_span helo = helo_is_plain(facts->helo) ? facts->helo : PST_SPAN("unknown");
	int ret = pst_buf_put_text(out, "Received: from ");

	ret = ret ? ret : pst_buf_put(out, helo);
	if (facts->client.family != PST_FAMILY_NONE) {
		ret = ret ? ret : pst_buf_put_text(out, " (");
		if (facts->rdns_confirmed && helo_is_plain(facts->rdns)) {
			ret = ret ? ret : pst_buf_put(out, facts->rdns);
			ret = ret ? ret : pst_buf_put_byte(out, ' ');
		}
		ret = ret ? ret : put_literal(out, &facts->client);
		ret = ret ? ret : pst_buf_put_text(out, ")");
	}
	ret = ret ? ret : pst_buf_put_text(out, "\r\n\tby ");
	ret = ret ? ret : pst_buf_put(out, trace->hostname);
	ret = ret ? ret : pst_buf_put_text(out, protocol_of(facts));
	ret = ret ? ret : pst_buf_put_text(out, trace->id);
	if (trace->rcpt.len > 0) {
		ret = ret ? ret : pst_buf_put_text(out, "\r\n\tfor <");
		ret = ret ? ret : pst_buf_put(out, trace->rcpt);
		ret = ret ? ret : pst_buf_put_text(out, ">");
	}
	if (facts->tls_cipher.len > 0) {
		/* RFC 8314 section 4.3; the version stands in a comment. */
		ret = ret ? ret : pst_buf_put_text(out, "\r\n\ttls ");
		ret = ret ? ret : pst_buf_put(out, facts->tls_cipher);
		ret = ret ? ret : pst_buf_put_text(out, " (");
		ret = ret ? ret : pst_buf_put(out, facts->tls_version);
		ret = ret ? ret : pst_buf_put_text(out, ")");
	}
	ret = ret ? ret : pst_buf_put_text(out, "; ");
	ret = ret ? ret : pst_headers_date(out, trace->wall_ms);
	return ret ? ret : pst_buf_put_text(out, "\r\n");
}

#define LEVEL_STARS_MAX 50
#define TESTS_BYTES_MAX 1600 /* of names; the record has them all */
#define LINE_COLUMNS 76

/* The names of all hits, folded between them. */
static int put_tests(struct pst_buf *out, const struct pst_hits *hits)
{
	uint32_t start = out->len, line_start = out->len;
	int ret = pst_buf_put_text(out, hits->first ? "\r\n\ttests=" : "\r\n\ttests=none");

	for (const struct pst_hit *hit = hits->first; hit && !ret; hit = hit->next) {
		if (out->len - start > TESTS_BYTES_MAX)
			return pst_buf_put_text(out, ",...");
		if (hit != hits->first)
			ret = pst_buf_put_byte(out, ',');
		if (!ret && out->len - line_start + hit->name.len > LINE_COLUMNS) {
			ret = pst_buf_put_text(out, "\r\n\t");
			line_start = out->len;
		}
		ret = ret ? ret : pst_buf_put(out, hit->name);
	}
	return ret;
}

static int put_spam_fields(struct pst_buf *out, const struct pst_facts *facts,
			   const struct pst_trace *trace)
{
	pst_score score = facts->hits.score;
	int ret = trace->spam ? pst_buf_put_text(out, "X-Spam-Flag: YES\r\n") : 0;

	ret = ret ? ret : pst_buf_put_text(out, "X-Spam-Score: ");
	ret = ret ? ret : pst_score_put_rounded(out, score, 1);
	ret = ret ? ret : pst_buf_put_text(out, "\r\nX-Spam-Level: ");
	for (int stars = 0; !ret && stars < LEVEL_STARS_MAX && stars < score / PST_SCORE(1); stars++)
		ret = pst_buf_put_byte(out, '*');
	ret = ret ? ret : pst_buf_put_text(out, trace->spam ? "\r\nX-Spam-Status: Yes, score="
							     : "\r\nX-Spam-Status: No, score=");
	ret = ret ? ret : pst_score_put_rounded(out, score, 1);
	if (trace->spam_line != PST_SCORE_NEVER) {
		ret = ret ? ret : pst_buf_put_text(out, " required=");
		ret = ret ? ret : pst_score_put_rounded(out, trace->spam_line, 1);
	}
	ret = ret ? ret : put_tests(out, &facts->hits);
	if (facts->set & PST_FACT_PARTIAL)
		ret = ret ? ret : pst_buf_put_text(out, " partial=yes");
	return ret ? ret : pst_buf_put_text(out, "\r\n");
}

/* The Subject moves from the header into our fields, behind the label. A message with an unseen header, or
 * with a Subject that has no room there, keeps the one it has. */
static int move_subject(struct pst_message *message, struct pst_buf *out, struct pst_span label)
{
	struct pst_span header = pst_message_header(message), rest = header;
	struct pst_mail_field field;
	uint32_t at;

	if (message->header_unseen)
		return 0;
	do {
		if (!pst_mail_header_next(&rest, &field))
			return 0;
	} while (!pst_span_eq_nocase(field.name, PST_SPAN("Subject")));
	if (pst_buf_room(out) < field.value.len + label.len + 16)
		return 0;
	if (pst_buf_put_text(out, "Subject: ") || pst_buf_put(out, label) ||
	    (field.value.len > 0 && !pst_is_blank(field.value.at[0]) &&
	     pst_buf_put_byte(out, ' ')) ||
	    pst_buf_put(out, field.value) || pst_buf_put_text(out, "\r\n"))
		return -PST_E_FULL;
	at = (uint32_t)(field.whole.at - header.at);
	memmove(message->header + at, rest.at, rest.len);
	pst_message_header_cut(message, at + rest.len);
	return 0;
}

int pst_headers_write(struct pst_message *message, const struct pst_facts *facts,
		      const struct pst_trace *trace)
{
	uint8_t front[FRONT_BYTES];
	struct pst_buf out;
	int ret = pst_message_trace(message, &out);

	if (trace->judged)
		ret = ret ? ret : put_spam_fields(&out, facts, trace);
	if (trace->results) {
		ret = ret ? ret : pst_results_put_authentication(&out, trace->results);
		ret = ret ? ret : pst_results_put_received_spf(&out, trace->results);
	}
	ret = ret ? ret : put_received(&out, facts, trace);
	if (trace->spam && trace->subject.len > 0)
		ret = ret ? ret : move_subject(message, &out, trace->subject);
	/* What follows is no header: without an empty line our fields would take it for one. */
	if (!ret && (facts->set & PST_FACT_NO_HEADER) &&
	    !pst_span_starts_nocase(front_of(message, front), PST_SPAN("\r\n")))
		ret = pst_buf_put_text(&out, "\r\n");
	if (!ret)
		pst_message_trace_done(message, &out);
	return ret;
}
