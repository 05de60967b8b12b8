/* check/greylist.c - see greylist.h */
#include "check/greylist.h"

#include <string.h>

/* Values of entries. */
enum { WAITS = 1, PASSED = 2 };

#define RENEW_AGE_S 3600 /* a busy sender's entry is not written anew at each message */

bool pst_greylist_concerns(const struct pst_greylist_conf *conf,
			   const struct pst_greylist_case *known)
{
	return conf->on && known->score >= conf->from && known->score < known->tag_line &&
	       !known->trusted && !known->exempt && !known->bounce && !known->spf_pass;
}

/* Without the host's own label where a domain of two or more is left. */
static struct pst_span domain_of(struct pst_span helo)
{
	int64_t first = pst_span_find(helo, '.');
	struct pst_span parent = pst_span_sub(helo, (uint32_t)(first + 1), helo.len);

	return first >= 0 && pst_span_find(parent, '.') >= 0 ? parent : helo;
}

struct pst_span pst_greylist_name(struct pst_span helo, const struct pst_addr *client, uint8_t *area)
{
	struct pst_cidr network = {.net = *client, .bits = 64};
	struct pst_buf text;

	pst_buf_init(&text, area, PST_GREYLIST_NAME_MAX);
	if (helo.len > 0 && helo.len < PST_GREYLIST_NAME_MAX) {
		struct pst_span domain = domain_of(helo);

		for (uint32_t i = 0; i < domain.len; i++)
			area[i] = pst_lower(domain.at[i]);
		return (struct pst_span){area, domain.len};
	}
	if (client->family == PST_FAMILY_IPV4) {
		network.bits = 24;
		network.net.ip[3] = 0;
	} else {
		memset(network.net.ip + 8, 0, 8);
	}
	pst_cidr_put(&text, &network);
	return pst_buf_span(&text);
}

enum pst_greylist_state pst_greylist_judge(const struct pst_greylist_conf *conf,
					   const struct pst_store_entry *entry)
{
	if (!entry)
		return PST_GREYLIST_NEW;
	if (entry->value == PASSED)
		return PST_GREYLIST_KNOWN;
	if (entry->age_s < conf->delay_ms / 1000)
		return PST_GREYLIST_EARLY;
	return entry->age_s > conf->window_ms / 1000 ? PST_GREYLIST_NEW : PST_GREYLIST_CAME;
}

bool pst_greylist_entry(const struct pst_greylist_conf *conf, enum pst_greylist_state state,
			const struct pst_store_entry *entry, uint64_t *value, uint32_t *life_s)
{
	*value = state == PST_GREYLIST_NEW ? WAITS : PASSED;
	*life_s = PST_MAX((state == PST_GREYLIST_NEW ? conf->window_ms : conf->pass_ms) / 1000, 1);
	if (state == PST_GREYLIST_KNOWN)
		return entry->age_s >= RENEW_AGE_S;
	return state != PST_GREYLIST_EARLY;
}
