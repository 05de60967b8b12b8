/* sim/book.c - does what clients heard, what servers took and what the log says agree?
 *
 * A letter's sender is its name: in the envelope that a server took, and in the record. The record's
 * id is its name in the reply. So each of the three books can be laid beside the others.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

void sim_wrong(struct sim *sim, const char *format, ...)
{
	char area[600];
	va_list args;

	if (sim->wrong.len > 0)
		return;
	va_start(args, format);
	vsnprintf(area, sizeof(area), format, args);
	va_end(args);
	pst_bytes_print(&sim->wrong, "%s", area);
	sim_trace(sim, "WRONG: %s", area);
}

/* --- what is in a record ------------------------------------------------------------------------ */

struct pst_span sim_book_field(struct pst_span line, const char *key)
{
	uint32_t len = (uint32_t)strlen(key);
	const uint8_t *found = line.len > 0 ? memmem(line.at, line.len, key, len) : NULL;
	struct pst_span rest;
	int64_t end;

	if (!found)
		return PST_SPAN_NONE;
	rest = pst_span_sub(line, (uint32_t)(found - line.at) + len, line.len);
	if (rest.len > 0 && rest.at[0] == '"') {
		rest = pst_span_sub(rest, 1, rest.len);
		end = pst_span_find(rest, '"');
	} else {
		end = pst_span_find(rest, ' ');
	}
	return pst_span_sub(rest, 0, end < 0 ? rest.len : (uint32_t)end);
}

static bool is(struct pst_span value, const char *text)
{
	return pst_span_eq(value, pst_span_text(text));
}

static uint32_t number(struct pst_span value)
{
	uint64_t out = 0;

	return pst_span_u64(value, UINT32_MAX, &out) < 0 ? 0 : (uint32_t)out;
}

/* "m12@out.example" names letter 12; NULL for any other address. */
static struct sim_letter *letter_of(struct sim *sim, struct pst_span mailbox)
{
	uint32_t at;

	if (mailbox.len < 2 || mailbox.at[0] != 'm' ||
	    !pst_span_ends_nocase(mailbox, PST_SPAN("@out.example")))
		return NULL;
	at = number(pst_span_sub(mailbox, 1, mailbox.len - 1 - 12));
	return at >= 1 && at <= sim->letter_count ? sim->letters[at - 1] : NULL;
}

static struct sim_letter *letter_in(struct sim *sim, struct pst_span text)
{
	int64_t from = pst_span_find(text, '<'), end = pst_span_find(text, '>');

	if (from < 0 || end < from)
		return NULL;
	return letter_of(sim, pst_span_sub(text, (uint32_t)from + 1, (uint32_t)(end - from - 1)));
}

/* --- what clients heard ------------------------------------------------------------------------- */

static uint32_t taken_of(struct sim *sim, const struct sim_letter *letter)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sim->server_count; i++)
		for (uint32_t k = 0; k < sim->servers[i]->message_count; k++) {
			const struct pst_inside_message *message = sim->servers[i]->messages[k];

			if (message->taken &&
			    letter_in(sim, pst_bytes_from(&message->envelope, 0)) == letter)
				count++;
		}
	return count;
}

/* "... [ID]" */
static void read_id(struct pst_span text, char out[SIM_ID_SIZE])
{
	int64_t from = pst_span_rfind(text, '['), end = pst_span_rfind(text, ']');
	struct pst_span id = PST_SPAN_NONE;

	if (from >= 0 && end > from && end - from < SIM_ID_SIZE)
		id = pst_span_sub(text, (uint32_t)from + 1, (uint32_t)(end - from - 1));
	memcpy(out, id.at ? id.at : text.at, id.len);
	out[id.len] = 0;
}

void sim_book_told(struct sim *sim, struct sim_letter *letter, uint16_t code, struct pst_span text)
{
	struct sim_book *book = &sim->book;

	if (book->told_count == book->told_size) {
		book->told_size = 2 * book->told_size + 16;
		book->told = realloc(book->told, book->told_size * sizeof(*book->told));
		PST_BUG_ON(!book->told);
	}
	book->told[book->told_count] = (struct sim_told){.code = code, .letter = letter};
	read_id(text, book->told[book->told_count].id);
	book->told_count++;
	if (!letter || code / 100 != 2)
		return;
	letter->told_count++;
	/* Nothing is said before the internal server has said it. */
	if ((!sim->plan.drops || letter->user) && taken_of(sim, letter) == 0)
		sim_wrong(sim, "letter %u: 250 before any internal server took it", letter->number);
}

/* --- records ------------------------------------------------------------------------------------ */

struct record {
	struct pst_span line;
	uint32_t from; /* where in the log */
	struct sim_letter *letter;
	struct pst_span id, outcome;
	uint32_t code;
};

struct records {
	struct record *all;
	uint32_t count, size;
};

static void add_record(struct sim *sim, struct records *records, struct pst_span line, uint32_t from)
{
	struct record *record;

	if (records->count == records->size) {
		records->size = 2 * records->size + 64;
		records->all = realloc(records->all, records->size * sizeof(*records->all));
		PST_BUG_ON(!records->all);
	}
	record = &records->all[records->count++];
	*record = (struct record){
		.line = line,
		.from = from,
		.letter = letter_in(sim, sim_book_field(line, " from=")),
		.id = sim_book_field(line, " id="),
		.outcome = sim_book_field(line, " outcome="),
		.code = number(sim_book_field(line, " code=")),
	};
}

static void read_records(struct sim *sim, struct records *records)
{
	struct pst_span log = pst_bytes_from(&sim->stage.log_text, 0);
	uint32_t at = 0;

	while (at < log.len) {
		struct pst_span rest = pst_span_sub(log, at, log.len);
		int64_t end = pst_span_find(rest, '\n');
		uint32_t len = end < 0 ? rest.len : (uint32_t)end;

		if (pst_span_starts_nocase(rest, PST_SPAN("ev=transaction ")))
			add_record(sim, records, pst_span_sub(rest, 0, len), at);
		at += len + 1;
	}
}

static bool is_inside(const struct record *record)
{
	return is(record->outcome, "delivered") || is(record->outcome, "quarantined") ||
	       is(record->outcome, "partial");
}

/* One record is consistent in itself. */
static void check_record(struct sim *sim, const struct record *record)
{
	static const struct {
		const char *outcome;
		uint16_t classes; /* of the client's code; bit 0: none was told */
	} allowed[] = {
		{"delivered", 1 | 1 << 2 | 1 << 4}, {"partial", 1 | 1 << 4},
		{"quarantined", 1 | 1 << 2 | 1 << 4}, {"dropped", 1 << 2},
		{"replayed", 1 | 1 << 2 | 1 << 4}, {"refused", 1 << 5},
		{"deferred", 1 << 4}, {"unknown", 1 | 1 << 4},
		{"aborted", 1},
	};
	bool known = false;

	for (uint32_t i = 0; i < PST_COUNT(allowed); i++)
		known |= is(record->outcome, allowed[i].outcome) &&
			 (allowed[i].classes >> record->code / 100 & 1);
	if (!known)
		sim_wrong(sim, "a record does not make sense: %.*s", (int)record->line.len,
			  (const char *)record->line.at);
	if (record->letter && is(sim_book_field(record->line, " auth="), "yes") != (record->letter->user != NULL))
		sim_wrong(sim, "a record is wrong about a login: %.*s", (int)record->line.len,
			  (const char *)record->line.at);
	sim_score_check(sim, record->line, record->letter);
}

/* --- letters ------------------------------------------------------------------------------------ */

struct sums {
	uint32_t records, inside, unknown, replayed, dropped, good_codes;
};

static struct sums sum_up(const struct records *records, const struct sim_letter *letter)
{
	struct sums sums = {0};

	for (uint32_t i = 0; i < records->count; i++) {
		const struct record *record = &records->all[i];

		if (letter && record->letter != letter)
			continue;
		sums.records++;
		sums.inside += is_inside(record);
		sums.unknown += is(record->outcome, "unknown");
		sums.replayed += is(record->outcome, "replayed");
		sums.dropped += is(record->outcome, "dropped");
		sums.good_codes += record->code / 100 == 2;
	}
	return sums;
}

/* P1: messages inside = those that were told, and those whose reply never came, but for retries that
 * were answered from the ledger. */
static void check_letter(struct sim *sim, const struct records *records, struct sim_letter *letter)
{
	struct sums sums = sum_up(records, letter);
	uint32_t inside = taken_of(sim, letter);

	if (inside < sums.inside || inside > sums.inside + sums.unknown)
		sim_wrong(sim, "letter %u: %u inside, the log says %u delivered and %u unknown",
			  letter->number, inside, sums.inside, sums.unknown);
	if (letter->told_count > sums.good_codes)
		sim_wrong(sim, "letter %u: 250 was told %u times, the log says %u", letter->number,
			  letter->told_count, sums.good_codes);
	if (sums.good_codes > sums.inside + sums.replayed + sums.dropped)
		sim_wrong(sim, "letter %u: %u times 250 for %u delivered, %u replayed", letter->number,
			  sums.good_codes, sums.inside, sums.replayed);
	if (letter->user && sums.replayed + sums.dropped > 0)
		sim_wrong(sim, "letter %u of a user's was not sent on", letter->number);
	if (sums.replayed > 0 && inside == 0)
		sim_wrong(sim, "letter %u: answered from the ledger, and was never delivered",
			  letter->number);
	if (sums.records > letter->mail_count)
		sim_wrong(sim, "letter %u: %u records of %u transactions", letter->number, sums.records,
			  letter->mail_count);
}

/* Was it delivered again to a client that could not have heard of the first time? By then the first
 * record stood in the log, and the session that it belonged to was over. */
static void check_ledger(struct sim *sim, const struct records *records,
			 const struct sim_letter *letter)
{
	uint32_t from = UINT32_MAX;
	const struct record *first = NULL;

	/* Over a wire the proxy may not have heard yet that the first session was over. */
	if (sim->plan.net != SIM_NET_MEMORY || sim->plan.ledger_count < 1000 || !letter->named ||
	    letter->blind || !letter->field_first || letter->user)
		return;
	for (uint32_t i = 0; i < records->count; i++) {
		const struct record *record = &records->all[i];

		if (record->letter != letter || !is_inside(record))
			continue;
		if (!first) {
			first = record;
			continue;
		}
		for (uint32_t k = 0; k < PST_COUNT(letter->attempt_log) && k < letter->attempt_count; k++)
			if (letter->attempt_log[k] <= record->from)
				from = letter->attempt_log[k];
		if (first->from < from && is(first->outcome, "delivered") &&
		    is(record->outcome, "delivered") &&
		    pst_span_eq(sim_book_field(first->line, " to="), sim_book_field(record->line, " to=")))
			sim_wrong(sim, "letter %u was delivered twice: %.*s and %.*s", letter->number,
				  (int)first->id.len, (const char *)first->id.at, (int)record->id.len,
				  (const char *)record->id.at);
		return;
	}
}

/* LMTP: some were answered for, and what became of the others nobody knows. */
static bool is_cut_off(const struct record *record)
{
	return is(record->outcome, "partial") &&
	       sim_book_field(record->line, " relay_trouble=").len;
}

/* Was everything over that an attempt had begun before the next one began? */
static bool is_one_by_one(const struct records *records, const struct sim_letter *letter)
{
	const struct record *before = NULL;

	for (uint32_t i = 0; i < records->count; i++) {
		const struct record *record = &records->all[i];
		bool parted = !before;

		if (record->letter != letter)
			continue;
		for (uint32_t k = 0; k < PST_COUNT(letter->attempt_log) && k < letter->attempt_count; k++)
			parted |= before && before->from < letter->attempt_log[k] &&
				  letter->attempt_log[k] <= record->from;
		if (!parted || is(record->outcome, "unknown") ||
		    is(record->outcome, "quarantined") || is_cut_off(record))
			return false;
		before = record;
	}
	return letter->attempt_count <= PST_COUNT(letter->attempt_log);
}

static uint32_t count_inside(struct sim *sim, struct sim_letter *letter, const char *mailbox)
{
	struct pst_span wanted = pst_span_text(mailbox);
	uint32_t count = 0;

	for (uint32_t i = 0; i < sim->server_count; i++)
		for (uint32_t k = 0; k < sim->servers[i]->message_count; k++) {
			const struct pst_inside_message *message = sim->servers[i]->messages[k];
			struct pst_span envelope = pst_bytes_from(&message->envelope, 0);

			if (!message->taken || letter_in(sim, envelope) != letter)
				continue;
			for (uint32_t at = 0; at + wanted.len < envelope.len; at++)
				count += pst_span_starts_nocase(pst_span_sub(envelope, at,
									     envelope.len), wanted);
		}
	return count;
}

/* A message that is held goes to nobody twice, however often its client comes. */
static void check_recipients(struct sim *sim, const struct records *records,
			     struct sim_letter *letter)
{
	const struct sim_plan *plan = &sim->plan;

	if (plan->net != SIM_NET_MEMORY || plan->ledger_count < 1000 || sim->failing ||
	    plan->pool_bytes < (1 << 24) || letter->content.len + 1000 > plan->hold_bytes ||
	    !letter->named || letter->blind || !letter->field_first || letter->user ||
	    !is_one_by_one(records, letter))
		return;
	for (uint32_t i = 0; i < letter->rcpt_count; i++)
		if (count_inside(sim, letter, letter->rcpts[i].mailbox) > 1)
			sim_wrong(sim, "letter %u was delivered twice to %s", letter->number,
				  letter->rcpts[i].mailbox);
}

/* --- bytes -------------------------------------------------------------------------------------- */

static bool is_ours(struct pst_span line)
{
	static const char *const names[] = {"Received: ", "X-Spam-", "Authentication-Results: ",
					    "Received-SPF: ", "\t", " "};

	for (uint32_t i = 0; i < PST_COUNT(names); i++)
		if (pst_span_starts_nocase(line, pst_span_text(names[i])))
			return true;
	return false;
}

/* What we put in front: fields of ours, the last one Received, and an empty line where the message
 * does not begin with a field. */
static bool is_our_header(const struct sim_letter *letter, struct pst_span head)
{
	bool received = false, empty = false;

	while (head.len > 0) {
		int64_t end = pst_span_find(head, '\n');
		struct pst_span line;

		if (end < 1 || empty)
			return false;
		line = pst_span_sub(head, 0, (uint32_t)end - 1);
		head = pst_span_sub(head, (uint32_t)end + 1, head.len);
		empty = line.len == 0;
		if (!empty && !is_ours(line))
			return false;
		if (pst_span_starts_nocase(line, PST_SPAN("Received: ")))
			received = true;
		else if (received && !empty && !pst_is_blank(line.at[0]))
			return false;
	}
	return received && !(empty && letter->field_first && letter->canonical.len > 0);
}

/* Is one of its recipients of a domain that no route has? */
static bool goes_outward(struct pst_span envelope)
{
	return envelope.len > 0 && memmem(envelope.at, envelope.len, "@else.example", 13);
}

/* The record of the transaction that our Received field names; NULL: there is none. */
static const struct record *record_in(const struct records *records, struct pst_span wire)
{
	struct pst_span id;
	const uint8_t *at = wire.len > 0 ? memmem(wire.at, PST_MIN(wire.len, 4000), " id ", 4) : NULL;

	if (!at)
		return NULL;
	id = pst_span_sub(wire, (uint32_t)(at - wire.at) + 4, wire.len);
	for (uint32_t i = 0; i < records->count; i++)
		if (records->all[i].id.len > 0 && pst_span_starts_nocase(id, records->all[i].id) &&
		    !pst_is_alnum(id.at[records->all[i].id.len]))
			return &records->all[i];
	return NULL;
}

/* What the proxy refuses, defers or drops by itself does not even begin to go inside. */
static void check_refused(struct sim *sim, const struct records *records, const struct sim_letter *letter,
			  struct pst_span wire)
{
	static const char *const reasons[] = {"score", "score_deferred", "listed"};
	const struct record *record = record_in(records, wire);

	if (!record)
		return;
	for (uint32_t i = 0; i < PST_COUNT(reasons); i++)
		if (is(sim_book_field(record->line, " reasons="), reasons[i]))
			sim_wrong(sim, "letter %u is refused, and goes inside: %.*s", letter->number,
				  (int)record->line.len, (const char *)record->line.at);
}

static void check_head(struct sim *sim, const struct records *records, const struct sim_letter *letter,
		       struct pst_span head)
{
	const struct record *record = record_in(records, head);

	if (!record) {
		sim_wrong(sim, "letter %u arrived by a transaction without a record", letter->number);
		return;
	}
	if (record->letter != letter)
		sim_wrong(sim, "letter %u arrived by another's transaction", letter->number);
	if ((memmem(head.at, head.len, " with ESMTPSA ", 14) != NULL) != (letter->user != NULL))
		sim_wrong(sim, "letter %u: our Received field is wrong about a login", letter->number);
	sim_score_check_head(sim, record->line, head, letter);
}

static void check_message(struct sim *sim, const struct records *records,
			  const struct pst_inside_message *message)
{
	const struct sim_letter *letter = letter_in(sim, pst_bytes_from(&message->envelope, 0));
	struct pst_span wire = pst_bytes_from(&message->wire, 0);
	struct pst_span wanted;

	/* A hostile client's bounces have no name, and the last phase's message none of ours. */
	if (pst_span_starts_nocase(pst_bytes_from(&message->envelope, 0), PST_SPAN("<>")) ||
	    pst_span_starts_nocase(pst_bytes_from(&message->envelope, 0), PST_SPAN("<m0@")))
		return;
	if (!letter) {
		sim_wrong(sim, "an internal server got mail that nobody sent: %.*s",
			  (int)message->envelope.len, (const char *)message->envelope.at);
		return;
	}
	if (message->user != letter->user)
		sim_wrong(sim, "letter %u went inside by another login than its own", letter->number);
	if (!letter->user && goes_outward(pst_bytes_from(&message->envelope, 0)))
		sim_wrong(sim, "letter %u goes outward, and nobody has logged in", letter->number);
	check_refused(sim, records, letter, wire);
	if (!message->taken || letter->blind)
		return;
	wanted = pst_bytes_from(&letter->canonical, 0);
	if (wire.len < wanted.len ||
	    !pst_span_eq(pst_span_sub(wire, wire.len - wanted.len, wanted.len), wanted))
		sim_wrong(sim, "letter %u arrived with other bytes (%u of %u)", letter->number, wire.len,
			  wanted.len);
	else if (!is_our_header(letter, pst_span_sub(wire, 0, wire.len - wanted.len)))
		sim_wrong(sim, "letter %u arrived with something odd in front: %.*s", letter->number,
			  (int)PST_MIN(wire.len - wanted.len, 400), (const char *)wire.at);
	else
		check_head(sim, records, letter, pst_span_sub(wire, 0, wire.len - wanted.len));
}

/* --- all of it ---------------------------------------------------------------------------------- */

static void check_told(struct sim *sim, const struct records *records)
{
	for (uint32_t i = 0; i < sim->book.told_count; i++) {
		const struct sim_told *told = &sim->book.told[i];
		const struct record *found = NULL;

		for (uint32_t k = 0; k < records->count && told->id[0]; k++)
			if (is(records->all[k].id, told->id))
				found = &records->all[k];
		if (!told->id[0])
			continue;
		if (!found)
			sim_wrong(sim, "a client was told of %s, which has no record", told->id);
		else if (found->code != told->code || (told->letter && found->letter != told->letter))
			sim_wrong(sim, "a client was told %u of %s, the record says %u", told->code,
				  told->id, found->code);
	}
}

static void check_sums(struct sim *sim, const struct records *records)
{
	const struct pst_counters *counters = &sim->stage.counters;
	struct sums sums = sum_up(records, NULL);
	uint32_t inside = 0;

	for (uint32_t i = 0; i < sim->server_count; i++)
		inside += sim->servers[i]->taken_count;
	if (counters->value[PST_COUNTER_transactions] != sums.records)
		sim_wrong(sim, "%llu transactions and %u records",
			  (unsigned long long)counters->value[PST_COUNTER_transactions],
			  sums.records);
	if (inside < sums.inside || inside > sums.inside + sums.unknown)
		sim_wrong(sim, "%u inside, the log says %u and %u unknown", inside, sums.inside,
			  sums.unknown);
	for (uint32_t i = 0; i < records->count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (pst_span_eq(records->all[i].id, records->all[k].id))
				sim_wrong(sim, "two records of %.*s", (int)records->all[i].id.len,
					  (const char *)records->all[i].id.at);
}

void sim_book_close(struct sim *sim)
{
	struct records records = {0};

	read_records(sim, &records);
	for (uint32_t i = 0; i < records.count; i++)
		check_record(sim, &records.all[i]);
	check_told(sim, &records);
	for (uint32_t i = 0; i < sim->letter_count; i++) {
		check_letter(sim, &records, sim->letters[i]);
		check_ledger(sim, &records, sim->letters[i]);
		check_recipients(sim, &records, sim->letters[i]);
	}
	check_sums(sim, &records);
	for (uint32_t i = 0; i < sim->server_count; i++) {
		for (uint32_t k = 0; k < sim->servers[i]->message_count; k++)
			check_message(sim, &records, sim->servers[i]->messages[k]);
		if (sim->servers[i]->fault.len > 0 && !sim->plan.server_raves)
			sim_wrong(sim, "%.*s", (int)sim->servers[i]->fault.len,
				  (const char *)sim->servers[i]->fault.at);
	}
	free(records.all);
}
