/* check/dnsbl.c - see dnsbl.h */
#include "check/dnsbl.h"

#include <string.h>

#define ID_DOMAINS 8 /* id = zone * ID_DOMAINS + domain */

static const struct pst_dnsbl_zone *zone_at(const struct pst_dnsbl *dnsbl, uint32_t zone)
{
	return &dnsbl->zones->conf->zones[zone];
}

void pst_dnsbl_begin(struct pst_dnsbl *dnsbl, struct pst_zones *zones, const struct pst_addr *client)
{
	memset(dnsbl, 0, sizeof(*dnsbl));
	dnsbl->zones = zones;
	dnsbl->client = *client;
	dnsbl->domain_count = 1; /* one question of a zone */
}

void pst_dnsbl_begin_domains(struct pst_dnsbl *dnsbl, struct pst_zones *zones)
{
	memset(dnsbl, 0, sizeof(*dnsbl));
	dnsbl->zones = zones;
}

static void add_one(struct pst_dnsbl *dnsbl, struct pst_span domain)
{
	for (uint32_t i = 0; i < dnsbl->domain_count; i++)
		if (pst_span_eq_nocase(dnsbl->domains[i], domain))
			return;
	if (dnsbl->domain_count < PST_DNSBL_DOMAINS_MAX)
		dnsbl->domains[dnsbl->domain_count++] = domain;
}

/* The last `count` labels; empty if there are no more than those. */
static struct pst_span last_labels(struct pst_span domain, uint32_t count)
{
	for (uint32_t i = domain.len; i > 0; i--)
		if (domain.at[i - 1] == '.' && --count == 0)
			return pst_span_sub(domain, i, domain.len);
	return PST_SPAN_NONE;
}

void pst_dnsbl_add_domain(struct pst_dnsbl *dnsbl, struct pst_span domain)
{
	bool dot = false;

	for (uint32_t i = 0; i < domain.len; i++) {
		uint8_t c = domain.at[i];

		if (!pst_is_alnum(c) && c != '-' && c != '_' && c != '.')
			return;
		dot = dot || c == '.';
	}
	if (!dot || domain.len > PST_DNS_NAME_MAX)
		return;
	add_one(dnsbl, domain);
	for (uint32_t count = 3; count >= 2; count--) {
		struct pst_span end = last_labels(domain, count);

		if (end.len > 0)
			add_one(dnsbl, end);
	}
}

static bool can_ask(const struct pst_dnsbl *dnsbl, uint32_t zone)
{
	return zone_at(dnsbl, zone)->is_domain == (dnsbl->client.family == PST_FAMILY_NONE) &&
	       pst_zones_usable(dnsbl->zones, zone);
}

bool pst_dnsbl_ask(struct pst_dnsbl *dnsbl, struct pst_question *question)
{
	for (; dnsbl->zone < dnsbl->zones->conf->zone_count; dnsbl->zone++, dnsbl->domain = 0) {
		const struct pst_dnsbl_zone *zone = zone_at(dnsbl, dnsbl->zone);

		if (!can_ask(dnsbl, dnsbl->zone))
			continue;
		while (dnsbl->domain < dnsbl->domain_count) {
			uint32_t domain = dnsbl->domain++;
			bool fits;

			*question = (struct pst_question){
				.id = (uint16_t)(dnsbl->zone * ID_DOMAINS + domain),
				.zone = zone->direct ? (uint16_t)(dnsbl->zone + 1) : 0,
				.type = PST_DNS_A,
			};
			fits = zone->is_domain ? pst_zone_name_of_text(question,
								       dnsbl->domains[domain],
								       zone->zone)
					       : pst_zone_name_of_addr(question, &dnsbl->client,
								       zone->zone);
			if (!fits)
				continue;
			dnsbl->asked_zones |= 1U << dnsbl->zone;
			dnsbl->due_count++;
			return true;
		}
	}
	return false;
}

static bool weighs_more(const struct pst_dnsbl_code *a, const struct pst_dnsbl_code *b)
{
	pst_score left = a->score < 0 ? -a->score : a->score;
	pst_score right = b->score < 0 ? -b->score : b->score;

	return a->rejects != b->rejects ? a->rejects : left > right;
}

static void take_hit(struct pst_dnsbl *dnsbl, uint32_t zone, uint32_t domain,
		     const struct pst_addr *code, uint32_t ttl_s)
{
	const struct pst_dnsbl_zone *about = zone_at(dnsbl, zone);
	struct pst_dnsbl_hit *hit = &dnsbl->hits[zone];

	for (uint32_t i = 0; i < about->code_count; i++) {
		if (!pst_dnsbl_code_has(&about->codes[i], code))
			continue;
		if (hit->set && !weighs_more(&about->codes[i], &about->codes[hit->group]))
			continue;
		*hit = (struct pst_dnsbl_hit){(uint8_t)zone, (uint8_t)domain, (uint8_t)i,
					      *code, ttl_s, true};
	}
}

void pst_dnsbl_answer(struct pst_dnsbl *dnsbl, uint16_t id, const struct pst_dns_answer *answer)
{
	uint32_t zone = id / ID_DOMAINS, domain = id % ID_DOMAINS;
	enum pst_zone_answer heard = pst_zones_note(dnsbl->zones, zone, answer);

	PST_BUG_ON(dnsbl->due_count == 0);
	dnsbl->due_count--;
	if (heard == PST_ZONE_TROUBLE || heard == PST_ZONE_ERROR)
		dnsbl->trouble_zones |= 1U << zone;
	else
		dnsbl->answered_zones |= 1U << zone;
	for (uint32_t i = 0; i < answer->record_count && heard == PST_ZONE_LISTED; i++)
		take_hit(dnsbl, zone, domain, &answer->records[i].addr, answer->ttl_s);
}

bool pst_dnsbl_done(const struct pst_dnsbl *dnsbl)
{
	return dnsbl->due_count == 0 && dnsbl->zone >= dnsbl->zones->conf->zone_count;
}

bool pst_dnsbl_rejects(const struct pst_dnsbl *dnsbl)
{
	for (uint32_t i = 0; i < dnsbl->zones->conf->zone_count; i++)
		if (dnsbl->hits[i].set && !zone_at(dnsbl, i)->dry &&
		    pst_dnsbl_code_of(dnsbl, &dnsbl->hits[i])->rejects)
			return true;
	return false;
}

bool pst_dnsbl_allows(const struct pst_dnsbl *dnsbl)
{
	for (uint32_t i = 0; i < dnsbl->zones->conf->zone_count; i++)
		if (dnsbl->hits[i].set && !zone_at(dnsbl, i)->dry &&
		    pst_dnsbl_code_of(dnsbl, &dnsbl->hits[i])->score < 0)
			return true;
	return false;
}
