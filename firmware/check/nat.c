/* check/nat.c - see nat.h */
#include "check/nat.h"

/* RFC 1918, RFC 3927, RFC 4193, RFC 4291. The loopback is not among them: a program of ours there is no router. */
static bool is_private(const struct pst_addr *addr)
{
	const uint8_t *ip = addr->ip;

	if (addr->family == PST_FAMILY_IPV4)
		return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
		       (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254);
	return addr->family == PST_FAMILY_IPV6 &&
	       ((ip[0] & 0xfe) == 0xfc || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80));
}

/* The hour is over. ret true: what it says is new */
static bool conclude(struct pst_nat *nat)
{
	struct pst_addr hides = {.family = PST_FAMILY_NONE};
	bool changed;

	if (nat->total_count < PST_NAT_CLIENTS_MIN)
		return false; /* a quiet hour does not say that it is over */
	for (uint32_t i = 0; i < nat->addr_count; i++)
		if ((uint64_t)nat->counts[i] * 100 > (uint64_t)nat->total_count * PST_NAT_PER_CENT)
			hides = nat->addrs[i];
	changed = hides.family != nat->hides.family ||
		  (hides.family != PST_FAMILY_NONE && !pst_addr_eq(&hides, &nat->hides));
	nat->hides = hides;
	return changed;
}

static void count(struct pst_nat *nat, const struct pst_addr *client)
{
	uint32_t i = 0;

	nat->total_count++;
	if (!is_private(client))
		return;
	while (i < nat->addr_count && !pst_addr_eq(&nat->addrs[i], client))
		i++;
	if (i == PST_NAT_ADDRS)
		return;
	if (i == nat->addr_count) {
		nat->addrs[i] = *client;
		nat->counts[i] = 0;
		nat->addr_count++;
	}
	nat->counts[i]++;
}

bool pst_nat_note(struct pst_nat *nat, const struct pst_addr *client, uint64_t now_ms)
{
	bool changed = false;

	if (now_ms >= nat->end_ms) {
		changed = nat->end_ms > 0 && conclude(nat);
		nat->end_ms = now_ms + PST_NAT_HOUR_MS;
		nat->total_count = 0;
		nat->addr_count = 0;
	}
	count(nat, client);
	return changed;
}
