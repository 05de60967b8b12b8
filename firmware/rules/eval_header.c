/* rules/eval_header.c - functions of header fields */
#include "base/utf8.h"
#include "mail/date.h"
#include "mail/shape.h"
#include "rules/eval_priv.h"

#define DATE_SHAPE "%[ \t]{d<%[^\n]|>%d+ %s%s%s %d+ %d+:%d+:%d+ %s+}"

int pst_eval_missing_to(const struct pst_rules_eval_call *call)
{
	return pst_rules_eval_value(call, "To").len == 0 &&
	       pst_rules_eval_value(call, "Apparently-To").len == 0;
}

static bool in_range(int64_t value, struct pst_span min, struct pst_span max, bool open)
{
	int64_t bound[2] = {INT64_MIN, INT64_MAX};
	struct pst_span text[2] = {min, max};

	for (uint32_t i = 0; i < 2; i++) {
		bool minus = text[i].len && text[i].at[0] == '-';
		uint64_t number;

		if (!pst_span_u64(pst_span_sub(text[i], minus, text[i].len), 1000000000, &number))
			bound[i] = minus ? -(int64_t)number : (int64_t)number;
	}
	if (open && bound[0] != INT64_MIN)
		bound[0] *= 3600;
	if (open && bound[1] != INT64_MAX)
		bound[1] *= 3600;
	return value >= bound[0] && (open && bound[1] != INT64_MAX ? value < bound[1] : value <= bound[1]);
}

int pst_eval_header_count_range(const struct pst_rules_eval_call *call)
{
	struct pst_rules_target target;
	struct pst_span all, rest, line;
	int64_t count = 0;

	if (pst_rules_target_parse(call->args[0], &target) ||
	    pst_rules_view_get(call->view, &target, &all) < 0)
		return -PST_RULES_CANNOT_TELL;
	rest = all;
	while (pst_rules_eval_line(&rest, &line)) {
		struct pst_span before = {all.at, (uint32_t)(line.at - all.at)}, other;
		bool again = false;

		/* equal fields count once */
		while (pst_rules_eval_line(&before, &other))
			again = again || pst_span_eq(line, other);
		count += !again;
	}
	return in_range(count, call->args[1], call->args[2], false);
}

static bool header_time(const struct pst_rules_eval_call *call, int64_t *out)
{
	static const char *const NAMES[] = {"Resent-Date", "Date"};

	for (uint32_t i = 0; i < PST_COUNT(NAMES); i++) {
		struct pst_span rest = pst_rules_eval_value(call, NAMES[i]), line;

		while (pst_rules_eval_line(&rest, &line))
			if (!pst_mail_date_parse(line, out))
				return true;
	}
	return false;
}

static bool received_time(struct pst_span line, int64_t *out)
{
	struct pst_shape_found found;

	return pst_shape_search(DATE_SHAPE, line, &found) &&
	       !pst_mail_date_parse(pst_shape_capture(&found, 'd'), out);
}

static int64_t magnitude(int64_t value)
{
	return value < 0 ? -value : value;
}

/* Where a program of the receiver fetched the message from a mailbox, its own lines say nothing of the
 * way: the one of fetchmail, and one of this host before it.
 *  ret how many lines in front are of that kind */
static uint32_t fetched_count(struct pst_span lines)
{
	struct pst_span line = PST_SPAN_NONE;
	uint32_t local = 0;

	while (local == 0 && pst_rules_eval_line(&lines, &line) &&
	       (pst_shape_search("%bfrom <localhost%[ \t\r\n\f]|<%s+ |>%s+ %s*%b127.0.0.1%b>", line, NULL) ||
		pst_shape_search("qmail %d+ invoked by uid %d", line, NULL)))
		local = 1;
	if (local && !pst_rules_eval_line(&lines, &line))
		return 0;
	return pst_shape_search("%bby localhost with %w+ (fetchmail-%[0-9.]", line, NULL) ? local + 1 : 0;
}

/* Seconds from the Received field nearest to Date to it. */
static int64_t date_shift(const struct pst_rules_eval_call *call)
{
	struct pst_span rest = pst_rules_eval_value(call, "Received"), line;
	int64_t sent, time, best = 0, before = 0, last = 0;
	uint32_t skip = fetched_count(rest), count = 0;

	if (!header_time(call, &sent))
		return 0;
	while (pst_rules_eval_line(&rest, &line)) {
		if (skip) {
			skip--;
			continue;
		}
		if (!received_time(line, &time))
			continue;
		last = sent - time;
		before = best;
		if (count++ == 0 || magnitude(last) < magnitude(best))
			best = last;
	}
	/* the last one may be a copy of Date */
	return count > 1 && last == 0 ? before : best;
}

/* A dozen rules ask; the view remembers. */
int pst_eval_shifted_date(const struct pst_rules_eval_call *call)
{
	struct pst_rules_view *view = call->view;

	if (!view->date_shift_known) {
		view->date_shift_s = date_shift(call);
		view->date_shift_known = true;
	}
	return in_range(view->date_shift_s, call->args[0], call->args[1], true);
}

static bool valid_utf8(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len;) {
		struct pst_span rest = pst_span_sub(text, i, text.len);
		uint32_t len = rest.at[0] < 0x80 ? 1 : pst_utf8_len(rest);

		if (!len)
			return false;
		i += len;
	}
	return true;
}

static bool is_control(uint8_t c)
{
	return c < 9 || c == 11 || c == 12 || (c > 13 && c < 32);
}

/* "0.02" in ten thousandths. */
static uint64_t ratio_of(struct pst_span text)
{
	uint64_t value = 0, scale = 0;

	for (uint32_t i = 0; i < text.len; i++) {
		if (text.at[i] == '.') {
			scale = 1;
		} else if (pst_is_digit(text.at[i]) && scale < 10000) {
			value = value * 10 + (text.at[i] - '0');
			scale *= 10;
		}
	}
	for (scale = scale ? scale : 1; scale < 10000; scale *= 10)
		value *= 10;
	return value;
}

int pst_eval_illegal_chars(const struct pst_rules_eval_call *call)
{
	struct pst_rules_target target;
	struct pst_span text;
	uint64_t illegal = 0, exempt = 0, controls = 0, high = 0, least;

	if (pst_rules_target_parse(call->args[0], &target))
		return 0;
	target.mods |= PST_RULES_MOD_RAW;
	if (pst_rules_view_get(call->view, &target, &text) <= 0 || pst_span_trim(text).len == 0)
		return 0;
	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		controls += is_control(c);
		high += c >= 0x80;
		illegal += is_control(c) || c >= 0x7f;
		exempt += c == 0xa2 || c == 0xa3 || c == 0xae;
	}
	if (high && !controls && valid_utf8(text))
		return 0;
	if (illegal && exempt == 1 && pst_span_eq_nocase(target.name, PST_SPAN("Subject")))
		illegal--;
	return !pst_span_u64(call->args[2], UINT32_MAX, &least) && illegal >= least &&
	       illegal * 10000 >= ratio_of(call->args[1]) * text.len;
}

/* Outlook's ids carry the time in units of 2^32 / 10^7 seconds since 1601; the constants are those
 * of the line through it: 0.0023283064365387 per second, 27111902.8329849 at 1970. */
static bool outlook_near(uint32_t token, int64_t time)
{
	int64_t expected = (int64_t)((uint64_t)time * 2328306436u / 1000000000000u) + 27111902;

	return magnitude((int64_t)token - expected) < 250;
}

static uint32_t hex(struct pst_span text)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < text.len; i++)
		value = value << 4 | (uint32_t)(pst_is_digit(text.at[i]) ? text.at[i] - '0' : text.at[i] - 'a' + 10);
	return value;
}

int pst_eval_outlook_message_id(const struct pst_rules_eval_call *call)
{
	struct pst_shape_found found;
	struct pst_span received = pst_rules_eval_value(call, "Received"), line;
	int64_t time = 0, later = 0;
	uint32_t token;

	if (!pst_shape_match("\\<%[0-9a-f]:4;{t%[0-9a-f]:8;}$%[0-9a-f]:8;$%[0-9a-f]:8;@",
			     pst_rules_eval_value(call, "MESSAGEID"), &found))
		return 0;
	token = hex(pst_shape_capture(&found, 't'));
	if (pst_mail_date_parse(pst_rules_eval_value(call, "Date"), &time))
		time = 0;
	if (outlook_near(token, time))
		return 0;
	while (pst_rules_eval_line(&received, &line))
		if (received_time(line, &later))
			break;
	return !outlook_near(token, later);
}

static struct pst_span user_of(struct pst_span address)
{
	int64_t at = pst_span_find(address, '@');

	return at < 0 ? address : pst_span_sub(address, 0, (uint32_t)at);
}

static struct pst_span trim(struct pst_span text)
{
	while (text.len && pst_is_space(text.at[0]))
		text = pst_span_sub(text, 1, text.len);
	while (text.len && pst_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

static bool word_at(struct pst_span text, uint32_t at, uint32_t len)
{
	bool left = at == 0 || (!pst_is_alnum(text.at[at - 1]) && text.at[at - 1] != '_');
	bool right = at + len >= text.len || (!pst_is_alnum(text.at[at + len]) && text.at[at + len] != '_');

	return left && right;
}

static bool user_in_subject(struct pst_span subject, struct pst_span user)
{
	struct pst_shape_found found;
	struct pst_span rest = subject;

	if (pst_span_eq_nocase(subject, user))
		return true;
	if (pst_shape_match_nocase("<re|fw>:%[ \t]*", subject, &found)) {
		rest = pst_span_sub(subject, found.whole.len, subject.len);
		if (pst_span_eq_nocase(rest, user) ||
		    (pst_shape_match("%w+%[ \t]+", rest, &found) &&
		     pst_span_eq_nocase(pst_span_sub(rest, found.whole.len, rest.len), user)))
			return true;
	}
	if (pst_span_eq(pst_span_sub(subject, 0, user.len), user) &&
	    pst_shape_match("%[ \t]*%[,:;!?\\-]<%$|%[ \t]>", pst_span_sub(subject, user.len, subject.len), NULL))
		return true;
	if (!pst_shape_match(",%[ \t]*", subject, &found))
		return false;
	rest = pst_span_sub(subject, found.whole.len, subject.len);
	return pst_span_starts_nocase(rest, user) &&
	       pst_shape_match("%[,:;!?\\-]%$", pst_span_sub(rest, user.len, rest.len), NULL);
}

int pst_eval_to_in_subject(const struct pst_rules_eval_call *call)
{
	struct pst_span to = pst_rules_eval_first(call, "To:addr");
	struct pst_span subject = trim(pst_rules_eval_value(call, "Subject"));

	if (to.len == 0)
		return 0;
	if (pst_span_eq(call->args[0], PST_SPAN("user")))
		return user_in_subject(subject, user_of(to));
	for (uint32_t i = 0; i + to.len <= subject.len; i++)
		if (pst_span_eq_nocase(pst_span_sub(subject, i, to.len), to) && word_at(subject, i, to.len))
			return 1;
	return 0;
}

static struct pst_span second_level(struct pst_span address)
{
	int64_t at = pst_span_rfind(address, '@');
	struct pst_span domain = at < 0 ? PST_SPAN_NONE : pst_span_sub(address, (uint32_t)at + 1, address.len);
	uint32_t dots = 0;

	for (uint32_t i = domain.len; i-- > 1;)
		if (domain.at[i] == '.' && ++dots == 2)
			return pst_span_sub(domain, i + 1, domain.len);
	return domain;
}

int pst_eval_equal_from_domains(const struct pst_rules_eval_call *call)
{
	struct pst_span from = second_level(pst_rules_eval_first(call, "From:addr"));
	struct pst_span sender = second_level(pst_rules_eval_first(call, "EnvelopeFrom:addr"));

	return from.len && sender.len && !pst_span_eq_nocase(from, sender);
}

int pst_eval_matching_from(const struct pst_rules_eval_call *call)
{
	return pst_span_eq_nocase(pst_rules_eval_first(call, "EnvelopeFrom:addr"),
				  pst_rules_eval_first(call, "From:addr"));
}

int pst_eval_gated(const struct pst_rules_eval_call *call)
{
	struct pst_span received = pst_rules_eval_value(call, "Received");

	if (pst_shape_search("contact %s+@%s+; run by ezmlm\n", pst_rules_eval_value(call, "Mailing-List"), NULL) &&
	    pst_shape_search("mailing list %s+@%s+", pst_rules_eval_value(call, "Delivered-To"), NULL) &&
	    pst_shape_search("qmail %d+ invoked <from network|by %.:3-20;>); %d+ %.%.%. %d+", received, NULL))
		return 1;
	return received.at == NULL || pst_shape_search("from groups.msn.com (%s+.msn.com ", received, NULL);
}

int pst_eval_all_caps(const struct pst_rules_eval_call *call)
{
	struct pst_span subject = trim(pst_rules_eval_value(call, "Subject"));
	struct pst_shape_found found;
	uint32_t letters = 0;
	bool blank = false;

	while (pst_shape_match_nocase("<re|fwd|fw|aw|antwort|wg|sv|vb|vs|vl>:%[ \t]*", subject, &found))
		subject = pst_span_sub(subject, found.whole.len, subject.len);
	for (uint32_t i = 0; i < subject.len; i++) {
		if (subject.at[i] >= 'a' && subject.at[i] <= 'z')
			return 0;
		letters += pst_is_alpha(subject.at[i]);
		blank = blank || pst_is_space(subject.at[i]);
	}
	if (!blank || subject.len < 10 || !letters)
		return 0;
	/* sets whose encoded form is all capitals anyway */
	return !pst_shape_search_nocase("=?%[-_a-z0-9]*<koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|"
					"georgianps|pt154|tis>%[-_a-z0-9]*?",
					pst_rules_eval_value(call, "Subject:raw"), NULL);
}

int pst_eval_unresolved_template(const struct pst_rules_eval_call *call)
{
	struct pst_span rest = pst_rules_eval_value(call, "ALL"), line;

	while (pst_rules_eval_line(&rest, &line))
		if (pst_shape_search("\\%%[A-Z]%[A-Z_\\-]", line, NULL) &&
		    !pst_shape_match_nocase("<X-VMS-To|X-UIDL|X-Face|To|Cc|From|Subject|References|In-Reply-To|"
					    "<X-|Resent-|X-Original-|>Message-Id>:", line, NULL))
			return 1;
	return 0;
}

int pst_eval_ratware_name_id(const struct pst_rules_eval_call *call)
{
	struct pst_span from = pst_rules_eval_value(call, "From");
	struct pst_shape_found id, sender;

	return pst_shape_search("\\<%[A-Z]:28;.{i%[^\\>]+}\\>", pst_rules_eval_value(call, "MESSAGEID"), &id) &&
	       pst_shape_search("\"%[^\"]+\"%[ \t]*\\<{a%[^\\>]+}\\>", from, &sender) &&
	       pst_span_eq(pst_shape_capture(&id, 'i'), pst_shape_capture(&sender, 'a'));
}

int pst_eval_fake_aol(const struct pst_rules_eval_call *call)
{
	struct pst_span received = pst_rules_eval_value(call, "Received");

	return pst_shape_search_nocase(" rly-%[a-z]%[a-z]%d%d.", received, NULL) &&
	       !pst_shape_search("/AOL-%d+.%d+.%d+)", received, NULL) &&
	       !pst_shape_search("ESMTP id <RELAY|MAILRELAY|MAILIN>", received, NULL);
}
