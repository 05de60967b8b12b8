/* sim/letter.c - messages, and what must become of their bytes
 *
 * The canonical form is made here by a few lines that look at a whole message at once, and not by
 * the decoder of smtp/data.c, whose work it judges.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/sim.h"

#define LINE_MAX_BYTES 1200

static bool one_in(struct pst_rng_seed *rng, uint32_t n)
{
	return pst_rng_seed_below(rng, n) == 0;
}

/* --- what must arrive -------------------------------------------------------------------------- */

/* How many bytes there are before the next CR, LF or NUL. */
static uint32_t run_of(struct pst_span in)
{
	static const char ends[] = {'\n', '\r', 0};

	for (uint32_t i = 0; i < PST_COUNT(ends); i++) {
		int64_t found = pst_span_find(in, (uint8_t)ends[i]);

		if (found >= 0)
			in.len = (uint32_t)found;
	}
	return in.len;
}

/* CR CR LF, a lone CR and a lone LF become CRLF; the last line gets its end; dots are doubled. */
static void canonize(struct pst_span in, struct pst_bytes *out)
{
	bool at_start = true;

	for (uint32_t i = 0; i < in.len;) {
		uint8_t c = in.at[i], second = i + 1 < in.len ? in.at[i + 1] : 0;
		uint8_t third = i + 2 < in.len ? in.at[i + 2] : 0;
		uint32_t run;

		if (c == '\r' || c == '\n') {
			pst_bytes_add(out, "\r\n", 2);
			at_start = true;
			i += c == '\r' && second == '\r' && third == '\n' ? 3
			     : c == '\r' && second == '\n'		  ? 2
									  : 1;
			continue;
		}
		if (c == 0) {
			i++;
			continue;
		}
		if (c == '.' && at_start)
			pst_bytes_add(out, ".", 1);
		run = run_of(pst_span_sub(in, i, in.len));
		pst_bytes_add(out, in.at + i, run);
		at_start = false;
		i += run;
	}
	if (!at_start && out->len > 0)
		pst_bytes_add(out, "\r\n", 2);
}

/* What a client sends by DATA: a dot more where a line begins behind CRLF, and the end. */
static void stuff(struct pst_span in, struct pst_bytes *out)
{
	uint32_t done = 0;
	int64_t found;

	for (uint32_t i = 0; (found = pst_span_find(pst_span_sub(in, i, in.len), '.')) >= 0; i++) {
		i += (uint32_t)found;
		if (i > 0 && !(i >= 2 && in.at[i - 1] == '\n' && in.at[i - 2] == '\r'))
			continue;
		pst_bytes_add_span(out, pst_span_sub(in, done, i - done));
		pst_bytes_add(out, ".", 1);
		done = i;
	}
	pst_bytes_add_span(out, pst_span_sub(in, done, in.len));
	if (in.len > 0 && !(in.len >= 2 && in.at[in.len - 1] == '\n' && in.at[in.len - 2] == '\r'))
		pst_bytes_add(out, "\r\n", 2);
	pst_bytes_add(out, ".\r\n", 3);
}

/* --- what they hold ---------------------------------------------------------------------------- */

/* Lines are cut out of one text, which looks random enough, so that most of the time is the proxy's. */
static const uint8_t *line_text(uint32_t len)
{
	static const char letters[] = "abcdefghij klmnop.qrstuvwxyz ABC=\t<>:;";
	static uint8_t text[8192];
	static struct pst_rng_seed rng;

	if (text[0] == 0) {
		pst_rng_seed_init(&rng, 7);
		for (uint32_t i = 0; i < sizeof(text); i++)
			text[i] = (uint8_t)letters[pst_rng_seed_below(&rng, sizeof(letters) - 1)];
	}
	PST_BUG_ON(len > LINE_MAX_BYTES);
	return text;
}

static void add_line(struct pst_bytes *out, struct pst_rng_seed *rng, uint32_t max)
{
	uint32_t len = pst_rng_seed_below(rng, max);
	uint32_t from = out->len;

	pst_bytes_add(out, line_text(len) + pst_rng_seed_below(rng, 8192 - LINE_MAX_BYTES), len);
	if (len > 0 && one_in(rng, 12))
		out->at[from] = '.';
	if (len > 1 && one_in(rng, 20))
		out->at[from + len / 2] = (uint8_t)(128 + pst_rng_seed_below(rng, 128));
	pst_bytes_add(out, "\r\n", 2);
}

/* What smugglers hope that somebody takes for the end of data. */
static void add_smuggled(struct pst_bytes *out, struct pst_rng_seed *rng)
{
	static const char *const ends[] = {
		"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\n\n.\r\r\n",
	};

	pst_bytes_print(out, "text%s", ends[pst_rng_seed_below(rng, PST_COUNT(ends))]);
	pst_bytes_print(out, "MAIL FROM:<smuggled@evil.example>\r\nRCPT TO:<u1@in.example>\r\n"
			     "DATA\r\nSubject: smuggled\r\n\r\nx\r\n");
}

static void add_bare(struct pst_bytes *out, struct pst_rng_seed *rng)
{
	static const char *const odd[] = {"a\nb\r\n", "a\rb\r\n", "a\r\r\nb\r\n", "\n.x\r\n", "\r\r\r\n",
					  "x\n\n\r\r\n"};

	pst_bytes_print(out, "%s", odd[pst_rng_seed_below(rng, PST_COUNT(odd))]);
}

static void add_header(struct sim *sim, struct sim_letter *letter, struct pst_bytes *kept,
		       struct pst_rng_seed *rng)
{
	struct pst_bytes part = {0}, *content = &letter->content, marks = {0};
	const char *subject = "";

	if (sim->plan.rules)
		sim_score_mark(letter, rng, &marks, &subject);
	pst_bytes_print(&part, "From: <%s>\r\nSubject: letter %u%s\r\n", letter->sender,
			letter->number, subject);
	pst_bytes_add_span(&part, pst_bytes_from(&marks, 0));
	pst_bytes_free(&marks);
	if (letter->named)
		pst_bytes_print(&part,
				"Date: Thu, 26 Nov 2026 21:00:00 +0000\r\n"
				"Message-ID: <%u@out.example>\r\n",
				letter->number);
	for (uint32_t i = pst_rng_seed_below(rng, 4); i > 0; i--)
		pst_bytes_print(&part, "Received: from a%u by b%u;\r\n\tThu, 26 Nov 2026\r\n", i, i);
	pst_bytes_add_span(content, pst_bytes_from(&part, 0));
	pst_bytes_add_span(kept, pst_bytes_from(&part, 0));
	pst_bytes_free(&part);
	/* What only we may say is taken out. */
	if (one_in(rng, 8))
		pst_bytes_print(content, "X-Spam-Flag: YES\r\nX-Spam-Score: 1\r\n\tfolded\r\n");
	pst_bytes_print(content, "To: <u@in.example>\r\n\r\n");
	pst_bytes_print(kept, "To: <u@in.example>\r\n\r\n");
}

static uint32_t draw_size(const struct sim_plan *plan, struct pst_rng_seed *rng)
{
	switch (pst_rng_seed_below(rng, 12)) {
	case 0:
		return 0;
	case 1: /* about as much as is held */
		return plan->hold_bytes - 400 + pst_rng_seed_below(rng, 800);
	case 2:
		return plan->hold_bytes + pst_rng_seed_below(rng, 65536);
	case 3:
		return one_in(rng, 4) ? pst_rng_seed_below(rng, 400000) : 8192;
	case 4:
		return pst_rng_seed_below(rng, 40000);
	default:
		return pst_rng_seed_below(rng, 3000);
	}
}

static bool has_bare_newline(struct pst_span in)
{
	/* Without the pairs, none of the two is left. */
	while (in.len > 0) {
		int64_t lf = pst_span_find(in, '\n'), cr = pst_span_find(in, '\r');

		if (lf < 1 || cr != lf - 1)
			return lf >= 0 || cr >= 0;
		in = pst_span_sub(in, (uint32_t)lf + 1, in.len);
	}
	return false;
}

static bool ends_barely(struct pst_span in)
{
	uint8_t last = in.len > 0 ? in.at[in.len - 1] : 0;

	return last == '\r' || (last == '\n' && (in.len == 1 || in.at[in.len - 2] != '\r'));
}

static void write_letter(struct sim *sim, struct sim_letter *letter, struct pst_rng_seed *rng)
{
	struct pst_bytes *content = &letter->content, kept = {0};
	uint32_t size = draw_size(&sim->plan, rng), line_max = PST_MIN(4 + size / 4, LINE_MAX_BYTES), from;
	bool bare = one_in(rng, 8), smuggle = one_in(rng, 10);

	letter->named = !one_in(rng, 6);
	letter->nul = one_in(rng, 40);
	letter->field_first = !one_in(rng, 12);
	if (letter->field_first)
		add_header(sim, letter, &kept, rng);
	from = content->len;
	while (content->len < size) {
		if (!(bare || smuggle) || !one_in(rng, 6)) {
			add_line(content, rng, PST_MAX(line_max, 8));
			continue;
		}
		if (smuggle)
			add_smuggled(content, rng);
		else
			add_bare(content, rng);
	}
	/* What begins with a blank has no header at all. */
	if (!letter->field_first && content->len > from)
		content->at[from] = ' ';
	letter->nul = letter->nul && content->len > from;
	if (letter->nul)
		content->at[from + (content->len - from) / 2] = 0;
	/* Behind a newline that is none, DATA's end is another line and BDAT's is not. */
	if (one_in(rng, 6) || ends_barely(pst_bytes_from(content, 0)))
		pst_bytes_print(content, "no end");
	letter->bare = has_bare_newline(pst_bytes_from(content, 0));
	pst_bytes_add_span(&kept, pst_bytes_from(content, from));
	stuff(pst_bytes_from(content, 0), &letter->stuffed);
	canonize(pst_bytes_from(&kept, 0), &letter->canonical);
	pst_bytes_free(&kept);
}

static void address_letter(struct sim *sim, struct sim_letter *letter, struct pst_rng_seed *rng)
{
	bool to_list = sim->plan.two_routes && one_in(rng, 3);

	letter->rcpt_count = one_in(rng, 3) ? 1 + pst_rng_seed_below(rng, SIM_RCPTS_MAX) : 1;
	for (uint32_t i = 0; i < letter->rcpt_count; i++) {
		struct sim_rcpt *rcpt = &letter->rcpts[i];
		const char *name = "u", *domain = "in.example";

		rcpt->kind = SIM_RCPT_GOOD;
		if (one_in(rng, 8)) {
			rcpt->kind = SIM_RCPT_UNKNOWN;
			name = "unknown";
		} else if (one_in(rng, 16)) {
			rcpt->kind = SIM_RCPT_ELSEWHERE;
			domain = "else.example";
		} else if (to_list || (sim->plan.two_routes && one_in(rng, 8))) {
			rcpt->kind = SIM_RCPT_LIST;
			domain = "lists.example";
		}
		snprintf(rcpt->mailbox, sizeof(rcpt->mailbox), "%s%u.%u@%s", name, i, letter->number,
			 domain);
	}
}

struct sim_letter *sim_letter_new(struct sim *sim, struct sim_client *user, struct pst_rng_seed *rng)
{
	struct sim_letter *letter = calloc(1, sizeof(*letter));

	PST_BUG_ON(!letter);
	if (sim->letter_count == sim->letter_size) {
		sim->letter_size = 2 * sim->letter_size + 16;
		sim->letters = realloc(sim->letters, sim->letter_size * sizeof(struct sim_letter *));
		PST_BUG_ON(!sim->letters);
	}
	sim->letters[sim->letter_count++] = letter;
	letter->number = sim->letter_count;
	letter->user = user;
	snprintf(letter->sender, sizeof(letter->sender), "m%u@out.example", letter->number);
	address_letter(sim, letter, rng);
	write_letter(sim, letter, rng);
	return letter;
}

void sim_letter_free(struct sim_letter *letter)
{
	pst_bytes_free(&letter->content);
	pst_bytes_free(&letter->stuffed);
	pst_bytes_free(&letter->canonical);
	free(letter);
}
