/* sim/score.c - rules that look for marks in letters, and what a record must then say
 *
 * The letters' marks are known, so which rules hit is known without asking the rules; the sum of a record's hits is its
 * score; the score and the configured lines give the verdict; and the verdict says what may stand inside. All of it is
 * worked out here a second time, in a few lines that share nothing with the proxy's.
 */
#include <stdio.h>
#include <string.h>

#include "rules/load.h"
#include "sim/sim.h"
#include "support/alloc_fail.h"

enum mark { RED = 1, GREEN = 2, BLUE = 4, BLACK = 8, PART = 16 };

static const char rule_text[] =
	"header SIM_RED Subject =~ /\\bred\\b/\n"
	"score SIM_RED 2.5\n"
	"header SIM_GREEN Subject =~ /gr\\xc3\\xbcn/\n"
	"score SIM_GREEN 1.1\n"
	"header SIM_BLUE X-Sim-Colour =~ /^blue$/im\n"
	"score SIM_BLUE 5.2\n"
	"header SIM_BLACK ALL =~ /^X-Sim-Colour: black/m\n"
	"score SIM_BLACK 9\n"
	"header __SIM_PART exists:X-Sim-Part\n"
	"meta SIM_BOTH SIM_RED && SIM_BLUE\n"
	"score SIM_BOTH 4\n"
	"meta SIM_LESS SIM_BLUE && !__SIM_PART\n"
	"score SIM_LESS -3.5\n";

/* The same once more; it is told from the marks. */
static const struct {
	const char *name;
	int32_t score;
} hits[] = {
	{"SIM_RED", 2500},   {"SIM_GREEN", 1100}, {"SIM_BLUE", 5200},
	{"SIM_BLACK", 9000}, {"SIM_BOTH", 4000},  {"SIM_LESS", -3500},
};

static uint32_t expected_hits(uint32_t marks)
{
	bool red = marks & RED, blue = marks & BLUE;

	return (red ? 1 : 0) | (marks & GREEN ? 2 : 0) | (blue ? 4 : 0) | (marks & BLACK ? 8 : 0) |
	       (red && blue ? 16 : 0) | (blue && !(marks & PART) ? 32 : 0);
}

void sim_score_mark(struct sim_letter *letter, struct pst_rng_seed *rng, struct pst_bytes *fields,
		    const char **subject)
{
	static const char *const subjects[] = {"", " is red", " =?UTF-8?Q?gr=C3=BCn?=", " red =?UTF-8?B?Z3LDvG4=?=",
					       " covered"};
	static const uint8_t subject_marks[] = {0, RED, GREEN, RED | GREEN, 0};
	static const char *const colours[] = {"", "X-Sim-Colour: blue\r\n", "X-Sim-Colour:\r\n\tBLUE\r\n",
					      "X-Sim-Colour: black\r\n", "X-Sim-Colour: bluer\r\n",
					      "X-Sim-Colour: green\r\nX-SIM-Colour: Blue\r\n"};
	static const uint8_t colour_marks[] = {0, BLUE, BLUE, BLACK, 0, BLUE};
	uint32_t which = pst_rng_seed_below(rng, PST_COUNT(subjects));
	uint32_t colour = pst_rng_seed_below(rng, PST_COUNT(colours));
	bool part = pst_rng_seed_below(rng, 2);

	*subject = subjects[which];
	pst_bytes_print(fields, "%s%s", colours[colour], part ? "X-Sim-Part: one\r\n" : "");
	letter->marks = (uint8_t)(subject_marks[which] | colour_marks[colour] | (part ? PART : 0));
}

/* --- the set ----------------------------------------------------------------------------------- */

static struct pst_alloc_fail memory;
static struct pst_rules_set *set;

static int list(struct pst_rules_reader *self, struct pst_span path, uint32_t index, struct pst_span *file)
{
	(void)self;
	*file = path;
	return index == 0 ? 0 : -PST_E_NOENT;
}

static int read_text(struct pst_rules_reader *self, struct pst_span path, struct pst_span *text)
{
	(void)self, (void)path;
	*text = pst_span_text(rule_text);
	return 0;
}

static void done(struct pst_rules_reader *self, struct pst_span text)
{
	(void)self, (void)text;
}

static void on_message(struct pst_rules_report *self, const struct pst_rules_message *message)
{
	(void)self;
	printf("sim.cf:%u: %.*s\n", message->line, (int)message->text.len, (const char *)message->text.at);
	PST_BUG_ON(message->grade == PST_RULES_ERROR);
}

void sim_score_prepare(void)
{
	static struct pst_rules_reader reader = {list, read_text, done};
	static struct pst_rules_report report = {on_message};
	struct pst_rules_conf conf = {.score_set = 1, .limits = PST_RULES_LIMITS_DEFAULT};
	struct pst_rules_load *load;
	int status;

	if (!PST_RULES_BUILT)
		return;
	pst_alloc_fail_init(&memory);
	PST_BUG_ON(pst_rules_load_open(&memory.mem, &conf, &reader, &report, PST_SPAN("sim.cf"), &load) < 0);
	while ((status = pst_rules_load_step(load, 1000)) > 0)
		;
	PST_BUG_ON(status < 0);
	set = pst_rules_load_take(load);
	pst_rules_load_close(load);
}

static void drop_set(struct pst_config *config)
{
	pst_rules_set_unref(config->proxy.rules);
}

void sim_score_attach(struct sim *sim, struct pst_config *config)
{
	if (!PST_RULES_BUILT || !sim->plan.rules)
		return;
	pst_rules_set_ref(set);
	config->proxy.rules = set;
	config->on_release[1] = drop_set;
}

/* --- what a record says ------------------------------------------------------------------------ */

/* "-3.5", in thousandths.
 *  ret false: it is none */
static bool read_score(struct pst_span text, int32_t *out)
{
	bool minus = text.len > 0 && text.at[0] == '-';
	int32_t value = 0, unit = 0;

	for (uint32_t i = minus; i < text.len; i++) {
		if (text.at[i] == '.' && unit == 0) {
			unit = 1000;
		} else if (pst_is_digit(text.at[i])) {
			value = value * 10 + (text.at[i] - '0');
			unit /= unit ? 10 : 1;
		} else {
			return false;
		}
	}
	for (int32_t k = unit ? unit : 1000; k > 1; k /= 10)
		value *= 10;
	*out = minus ? -value : value;
	return text.len > minus;
}

struct reading {
	int32_t score, sum;
	uint32_t hits; /* of our rules, bits */
	bool decided;  /* some other hit decides alone */
	bool cut;      /* not all hits are shown */
};

static struct reading read_record(struct pst_span record)
{
	struct pst_span rest = sim_book_field(record, " hits=");
	struct reading reading = {.cut = rest.len > 900};

	(void)read_score(sim_book_field(record, " score="), &reading.score);
	while (rest.len > 0) {
		int64_t end = pst_span_find(rest, ','), colon;
		struct pst_span hit = pst_span_sub(rest, 0, end < 0 ? rest.len : (uint32_t)end);
		int32_t value;

		rest = pst_span_sub(rest, hit.len + 1, rest.len);
		colon = pst_span_find(hit, ':');
		if (colon > 0 && read_score(pst_span_sub(hit, (uint32_t)colon + 1, hit.len), &value))
			reading.sum += value;
		reading.decided |= pst_span_starts_nocase(hit, PST_SPAN("RCVD_IN_DROP_"));
		for (uint32_t i = 0; i < PST_COUNT(hits); i++)
			if (colon > 0 && pst_span_eq(pst_span_sub(hit, 0, (uint32_t)colon),
						     pst_span_text(hits[i].name)))
				reading.hits |= 1u << i;
	}
	return reading;
}

static bool says(struct pst_span record, const char *key, const char *value)
{
	return pst_span_eq(sim_book_field(record, key), pst_span_text(value));
}

/* Was it read to its end, or so far that it began to go inside? */
static bool is_judged(struct pst_span record)
{
	return says(record, " outcome=", "delivered") || says(record, " outcome=", "quarantined") ||
	       says(record, " outcome=", "dropped") || says(record, " outcome=", "partial") ||
	       says(record, " reasons=", "score_deferred");
}

/* The verdict that a score has earned. */
static enum pst_action earned(const struct sim *sim, int32_t score, bool streamed)
{
	enum pst_action action = PST_ACTION_ACCEPT;

	for (uint32_t i = PST_ACTION_TAG; i < PST_ACTION_COUNT; i++)
		if (sim->plan.lines[i] != SIM_NEVER && score >= sim->plan.lines[i])
			action = (enum pst_action)i;
	return action == PST_ACTION_QUARANTINE && streamed ? PST_ACTION_TAG : action;
}

static const char *const actions[] = {"accept", "tag", "defer", "quarantine", "reject", "drop"};

static void check_verdict(struct sim *sim, struct pst_span record, const struct reading *reading)
{
	struct pst_span verdict = sim_book_field(record, " verdict=");
	const char *held = actions[earned(sim, reading->score, false)];
	const char *streamed = actions[earned(sim, reading->score, true)];

	/* "refuse": for another reason than its score. */
	if (!sim->plan.enforced || sim->reloaded || reading->decided || reading->cut ||
	    pst_span_eq(verdict, PST_SPAN("refuse")))
		return;
	if (!pst_span_eq(verdict, pst_span_text(held)) && !pst_span_eq(verdict, pst_span_text(streamed)))
		sim_wrong(sim, "the score has earned \"%s\": %.*s", held, (int)record.len, (const char *)record.at);
}

void sim_score_check(struct sim *sim, struct pst_span record, const struct sim_letter *letter)
{
	struct reading reading = read_record(record);
	uint32_t expected;

	if (letter && letter->user) {
		if (reading.score != 0 || reading.hits != 0)
			sim_wrong(sim, "a user's mail has a score: %.*s", (int)record.len, (const char *)record.at);
		return;
	}
	if (reading.sum != reading.score && !reading.cut)
		sim_wrong(sim, "the hits add up to %d: %.*s", reading.sum, (int)record.len, (const char *)record.at);
	if (!letter || letter->blind)
		return;
	expected = sim->plan.rules ? expected_hits(letter->marks) : 0;
	/* Without memory rules may not have been asked, and a client that left did not wait for them. */
	if (reading.hits != expected && (reading.hits != 0 || (is_judged(record) && !sim->failing &&
							     sim->plan.pool_bytes >= (1 << 24))))
		sim_wrong(sim, "letter %u should hit %#x, not %#x: %.*s", letter->number, expected, reading.hits,
			  (int)record.len, (const char *)record.at);
	if (is_judged(record))
		check_verdict(sim, record, &reading);
}

/* --- what stands inside ------------------------------------------------------------------------ */

/* How many fields of this name there are; the last one's value. */
static uint32_t count_fields(struct pst_span head, const char *name, struct pst_span *value)
{
	struct pst_span prefix = pst_span_text(name);
	uint32_t count = 0;

	*value = PST_SPAN_NONE;
	while (head.len > 0) {
		int64_t end = pst_span_find(head, '\n');
		struct pst_span line = pst_span_sub(head, 0, end < 0 ? head.len : (uint32_t)end + 1);

		if (pst_span_starts_nocase(line, prefix)) {
			*value = pst_span_trim(pst_span_sub(line, prefix.len, line.len - prefix.len - 2));
			count++;
		}
		head = pst_span_sub(head, line.len, head.len);
	}
	return count;
}

void sim_score_check_head(struct sim *sim, struct pst_span record, struct pst_span head,
			  const struct sim_letter *letter)
{
	struct pst_span verdict = sim_book_field(record, " verdict="), value, told_score;
	bool refused = pst_span_eq(verdict, PST_SPAN("refuse"));
	bool marked = pst_span_eq(verdict, PST_SPAN("tag")) || pst_span_eq(verdict, PST_SPAN("quarantine"));
	uint32_t flags = count_fields(head, "X-Spam-Flag: YES\r\n", &value), scores;
	int32_t told = 0, score = 0;

	scores = count_fields(head, "X-Spam-Score: ", &told_score);
	if (letter->user) {
		if (count_fields(head, "X-Spam-", &value) > 0)
			sim_wrong(sim, "a user's letter %u has been judged", letter->number);
		return;
	}
	if (!marked && !refused && !pst_span_eq(verdict, PST_SPAN("accept")))
		sim_wrong(sim, "letter %u went inside, and its verdict is %.*s", letter->number, (int)verdict.len,
			  (const char *)verdict.at);
	if (sim->reloaded || !sim->plan.enforced)
		return;
	(void)read_score(sim_book_field(record, " score="), &score);
	if (refused) /* by those inside, afterwards */
		marked = earned(sim, score, true) == PST_ACTION_TAG;
	if (flags != marked)
		sim_wrong(sim, "letter %u is marked %u times: %.*s", letter->number, flags, (int)record.len,
			  (const char *)record.at);
	if (sim->plan.rules && (scores != 1 || !read_score(told_score, &told) || told != score))
		sim_wrong(sim, "letter %u says its score %u times, last %.*s: %.*s", letter->number, scores,
			  (int)told_score.len, (const char *)told_score.at, (int)record.len,
			  (const char *)record.at);
}
