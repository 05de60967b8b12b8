/* check/zones.c - see zones.h */
#include "check/zones.h"

#include <string.h>

enum { STAGE_NS, STAGE_NS_ADDRESSES, STAGE_ENTRIES, STAGE_DONE };
enum { ENTRY_MUST, ENTRY_MUST_NOT }; /* and the ids of their questions */

#define NS_LABELS_MAX 4 /* taken off in search of NS records */

/* ---- names ----------------------------------------------------------------------------------- */

static bool put_zone(struct pst_buf *out, struct pst_span zone)
{
	return pst_buf_put_byte(out, '.') == 0 && pst_buf_put(out, zone) == 0;
}

bool pst_zone_name_of_text(struct pst_question *question, struct pst_span text, struct pst_span zone)
{
	struct pst_buf out;

	pst_buf_init(&out, question->name, sizeof(question->name));
	if (pst_buf_put(&out, text) < 0 || !put_zone(&out, zone))
		return false;
	question->name_len = (uint8_t)out.len;
	return true;
}

static uint8_t hex_digit(uint8_t value)
{
	return (uint8_t)(value < 10 ? '0' + value : 'a' + value - 10);
}

bool pst_zone_name_of_addr(struct pst_question *question, const struct pst_addr *addr,
			   struct pst_span zone)
{
	uint8_t area[64];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (addr->family == PST_FAMILY_IPV4) {
		PST_BUG_ON(pst_buf_printf(&text, "%u.%u.%u.%u", addr->ip[3], addr->ip[2],
					  addr->ip[1], addr->ip[0]));
		return pst_zone_name_of_text(question, pst_buf_span(&text), zone);
	}
	for (int i = 31; i >= 0; i--) {
		uint8_t byte = addr->ip[i / 2];

		area[text.len] = hex_digit(i % 2 ? byte & 15 : byte >> 4);
		area[text.len + 1] = '.';
		text.len += 2;
	}
	text.len--;
	return pst_zone_name_of_text(question, pst_buf_span(&text), zone);
}

/* ---- health ---------------------------------------------------------------------------------- */

void pst_zones_init(struct pst_zones *zones, const struct pst_dnsbl_conf *conf)
{
	memset(zones, 0, sizeof(*zones));
	zones->conf = conf;
}

bool pst_zones_usable(const struct pst_zones *zones, uint32_t zone)
{
	return zones->health[zone].state != PST_ZONE_RESTING;
}

bool pst_zones_is_code(const struct pst_dnsbl_zone *zone, const struct pst_addr *record)
{
	const uint8_t *ip = record->ip;

	if (record->family != PST_FAMILY_IPV4 || ip[0] != 127)
		return false;
	if (ip[1] == 255 && ip[2] == 255)
		return false; /* asked wrongly: an open resolver, over the limit, a typing error */
	if (zone->is_domain && ip[1] == 0 && ip[2] == 0 && ip[3] == 1)
		return false; /* likewise, of SURBL and URIBL */
	return !(ip[1] == 0 && ip[3] == 255); /* likewise, of DNSWL */
}

static void rest(struct pst_zones *zones, uint32_t zone, const char *why)
{
	struct pst_zone_health *health = &zones->health[zone];

	health->rest_ms = health->rest_ms ? PST_MIN(2 * health->rest_ms, PST_ZONE_REST_MS_MAX)
					  : PST_ZONE_REST_MS;
	health->state = PST_ZONE_RESTING;
	health->why = why;
	health->told = false;
	health->test_due_ms = zones->now_ms + health->rest_ms;
	zones->changed = true;
}

static enum pst_zone_answer judge(const struct pst_zones *zones, uint32_t zone,
				  const struct pst_dns_answer *answer)
{
	bool code = false;

	if (!pst_dns_is_definite(answer->status))
		return PST_ZONE_TROUBLE;
	for (uint32_t i = 0; i < answer->record_count; i++) {
		if (!pst_zones_is_code(&zones->conf->zones[zone], &answer->records[i].addr))
			return PST_ZONE_ERROR;
		code = true;
	}
	return code ? PST_ZONE_LISTED : PST_ZONE_NOT_LISTED;
}

enum pst_zone_answer pst_zones_note(struct pst_zones *zones, uint32_t zone,
				    const struct pst_dns_answer *answer)
{
	struct pst_zone_health *health = &zones->health[zone];
	enum pst_zone_answer heard = judge(zones, zone, answer);

	/* What was not asked says nothing of the zone; what comes late neither. */
	if (answer->status == PST_DNS_OURS || health->state == PST_ZONE_RESTING)
		return heard;
	if (!answer->cached)
		health->asked_count++;
	health->listed_count += heard == PST_ZONE_LISTED;
	if (heard == PST_ZONE_ERROR)
		rest(zones, zone, "answers with an error code");
	else if (heard != PST_ZONE_TROUBLE)
		health->trouble_count = 0;
	else if (!answer->cached && ++health->trouble_count >= PST_ZONE_TROUBLE_MAX)
		rest(zones, zone, "does not answer");
	return heard;
}

bool pst_zones_due(struct pst_zones *zones, uint32_t *zone, uint64_t *next_ms)
{
	*next_ms = UINT64_MAX;
	for (uint32_t i = 0; i < zones->conf->zone_count; i++) {
		if (zones->health[i].test_due_ms <= zones->now_ms) {
			*zone = i;
			return true;
		}
		*next_ms = PST_MIN(*next_ms, zones->health[i].test_due_ms);
	}
	return false;
}

bool pst_zones_rebind_suspected(const struct pst_zones *zones)
{
	uint32_t lacking = 0;

	for (uint32_t i = 0; i < zones->conf->zone_count; i++) {
		if (zones->health[i].lists_nothing)
			lacking++;
		else if (zones->health[i].state == PST_ZONE_GOOD &&
			 zones->conf->zones[i].selftest)
			return false;
	}
	return lacking >= 2;
}

/* ---- the test of a zone ---------------------------------------------------------------------- */

static const struct pst_dnsbl_zone *zone_of(const struct pst_zone_test *test)
{
	return &test->zones->conf->zones[test->zone];
}

static struct pst_zone_health *health_of(struct pst_zone_test *test)
{
	return &test->zones->health[test->zone];
}

static void begin_stage(struct pst_zone_test *test, int stage, uint8_t due)
{
	test->stage = (uint8_t)stage;
	test->asked = 0;
	test->due = due;
}

static void test_passed(struct pst_zone_test *test)
{
	struct pst_zone_health *health = health_of(test);

	test->zones->changed = test->zones->changed || health->state == PST_ZONE_RESTING;
	health->state = PST_ZONE_GOOD;
	health->why = NULL;
	health->rest_ms = 0;
	health->trouble_count = 0;
	health->test_due_ms = test->zones->now_ms + PST_ZONE_TEST_MS;
}

static void conclude(struct pst_zone_test *test)
{
	test->stage = STAGE_DONE;
	if (test->heard[ENTRY_MUST_NOT] == PST_ZONE_LISTED)
		rest(test->zones, test->zone, "lists everything: its test entry that must not be there is");
	else if (test->heard[ENTRY_MUST] == PST_ZONE_ERROR ||
		 test->heard[ENTRY_MUST_NOT] == PST_ZONE_ERROR)
		rest(test->zones, test->zone, "answers its test with an error code");
	else if (test->heard[ENTRY_MUST] == PST_ZONE_TROUBLE ||
		 test->heard[ENTRY_MUST_NOT] == PST_ZONE_TROUBLE)
		rest(test->zones, test->zone, "does not answer its test");
	else {
		health_of(test)->lists_nothing = test->heard[ENTRY_MUST] == PST_ZONE_NOT_LISTED;
		test_passed(test);
	}
}

static void test_entries(struct pst_zone_test *test)
{
	if (zone_of(test)->selftest) {
		begin_stage(test, STAGE_ENTRIES, 2);
		return;
	}
	test->stage = STAGE_DONE;
	test_passed(test);
}

void pst_zone_test_begin(struct pst_zone_test *test, struct pst_zones *zones, uint32_t zone)
{
	memset(test, 0, sizeof(*test));
	test->zones = zones;
	test->zone = zone;
	/* Not due again before it is over. */
	zones->health[zone].test_due_ms = UINT64_MAX;
	if (zone_of(test)->direct)
		begin_stage(test, STAGE_NS, 1);
	else
		test_entries(test);
}

bool pst_zone_test_done(const struct pst_zone_test *test)
{
	return test->stage == STAGE_DONE;
}

/* The name whose NS records are asked for: the zone's, or one above. */
static struct pst_span cut_name(const struct pst_zone_test *test)
{
	struct pst_span name = zone_of(test)->zone;

	for (uint32_t i = 0; i < test->above; i++)
		name = pst_span_sub(name, (uint32_t)pst_span_find(name, '.') + 1, name.len);
	return name;
}

static void put_name(struct pst_question *question, struct pst_span name)
{
	question->name_len = (uint8_t)name.len;
	memcpy(question->name, name.at, name.len);
}

static bool put_entry(const struct pst_zone_test *test, bool must, struct pst_question *question)
{
	static const struct pst_addr listed = {PST_FAMILY_IPV4, 0, 0, {127, 0, 0, 2}};
	static const struct pst_addr unlisted = {PST_FAMILY_IPV4, 0, 0, {127, 0, 0, 1}};
	const struct pst_dnsbl_zone *zone = zone_of(test);

	if (zone->is_domain)
		return pst_zone_name_of_text(question, must ? PST_SPAN("test") : PST_SPAN("invalid"),
					     zone->zone);
	return pst_zone_name_of_addr(question, must ? &listed : &unlisted, zone->zone);
}

bool pst_zone_test_ask(struct pst_zone_test *test, struct pst_question *question)
{
	uint32_t count = test->stage == STAGE_NS	     ? 1
			 : test->stage == STAGE_NS_ADDRESSES ? 2 * test->name_count
			 : test->stage == STAGE_ENTRIES	     ? 2
							     : 0;

	if (test->asked >= count)
		return false;
	*question = (struct pst_question){.id = test->asked++, .type = PST_DNS_A};
	switch (test->stage) {
	case STAGE_NS:
		question->type = PST_DNS_NS;
		put_name(question, cut_name(test));
		break;
	case STAGE_NS_ADDRESSES:
		if (question->id % 2)
			question->type = PST_DNS_AAAA;
		put_name(question, (struct pst_span){test->names[question->id / 2].at,
						     test->names[question->id / 2].len});
		break;
	default:
		if (zone_of(test)->direct)
			question->zone = (uint16_t)(test->zone + 1);
		if (!put_entry(test, question->id == ENTRY_MUST, question))
			PST_BUG_ON(true); /* the configuration refuses names that are too long */
		break;
	}
	return true;
}

static void on_ns(struct pst_zone_test *test, const struct pst_dns_answer *answer)
{
	struct pst_span name = cut_name(test);
	int64_t dot = pst_span_find(name, '.');

	test->name_count = 0;
	for (uint32_t i = 0; i < answer->record_count && test->name_count < PST_DNS_SERVERS_MAX; i++) {
		struct pst_span data = answer->records[i].data;
		struct pst_zone_test_name *to = &test->names[test->name_count];

		if (data.len == 0 || data.len > sizeof(to->at))
			continue;
		to->len = (uint8_t)data.len;
		memcpy(to->at, data.at, data.len);
		test->name_count++;
	}
	if (test->name_count > 0) {
		begin_stage(test, STAGE_NS_ADDRESSES, (uint8_t)(2 * test->name_count));
	} else if (pst_dns_is_definite(answer->status) && dot > 0 && test->above < NS_LABELS_MAX &&
		   pst_span_find(pst_span_sub(name, (uint32_t)dot + 1, name.len), '.') > 0) {
		test->above++;
		begin_stage(test, STAGE_NS, 1);
	} else {
		/* Known ones are better than none. */
		test_entries(test);
	}
}

static void on_ns_address(struct pst_zone_test *test, const struct pst_dns_answer *answer)
{
	for (uint32_t i = 0; i < answer->record_count && test->found.count < PST_DNS_SERVERS_MAX; i++)
		test->found.addrs[test->found.count++] = answer->records[i].addr;
	if (--test->due > 0)
		return;
	if (test->found.count > 0)
		health_of(test)->servers = test->found;
	test_entries(test);
}

void pst_zone_test_answer(struct pst_zone_test *test, uint16_t id,
			  const struct pst_dns_answer *answer)
{
	switch (test->stage) {
	case STAGE_NS:
		on_ns(test, answer);
		break;
	case STAGE_NS_ADDRESSES:
		on_ns_address(test, answer);
		break;
	case STAGE_ENTRIES:
		test->heard[id] = (uint8_t)judge(test->zones, test->zone, answer);
		if (--test->due == 0)
			conclude(test);
		break;
	default:
		PST_BUG_ON(true);
	}
}
