/* check/rdns.c - see rdns.h */
#include "check/rdns.h"

#include <string.h>

#include "facts/facts.h"

#define ID_PTR 100 /* below: index of a name */

void pst_rdns_begin(struct pst_rdns *rdns, const struct pst_addr *client)
{
	memset(rdns, 0, offsetof(struct pst_rdns, names));
	rdns->client = *client;
}

static void put_reverse(struct pst_question *question, const struct pst_addr *addr)
{
	struct pst_buf text;

	pst_buf_init(&text, question->name, sizeof(question->name));
	if (addr->family == PST_FAMILY_IPV4) {
		PST_BUG_ON(pst_buf_printf(&text, "%u.%u.%u.%u.in-addr.arpa", addr->ip[3],
					  addr->ip[2], addr->ip[1], addr->ip[0]));
	} else {
		for (int i = 15; i >= 0; i--)
			PST_BUG_ON(pst_buf_printf(&text, "%x.%x.", addr->ip[i] & 15,
						  addr->ip[i] >> 4));
		PST_BUG_ON(pst_buf_put_text(&text, "ip6.arpa"));
	}
	question->name_len = (uint8_t)text.len;
}

bool pst_rdns_ask(struct pst_rdns *rdns, struct pst_question *question)
{
	*question = (struct pst_question){.id = ID_PTR, .type = PST_DNS_PTR};
	if (!rdns->ptr_asked) {
		rdns->ptr_asked = true;
		put_reverse(question, &rdns->client);
		return true;
	}
	if (!rdns->ptr_answered || rdns->asked == rdns->name_count)
		return false;
	question->id = (uint16_t)rdns->asked;
	question->type = rdns->client.family == PST_FAMILY_IPV6 ? PST_DNS_AAAA : PST_DNS_A;
	question->name_len = rdns->names[rdns->asked].len;
	memcpy(question->name, rdns->names[rdns->asked].at, question->name_len);
	rdns->asked++;
	return true;
}

static void on_ptr(struct pst_rdns *rdns, const struct pst_dns_answer *answer)
{
	rdns->ptr_answered = true;
	for (uint32_t i = 0; i < answer->record_count && rdns->name_count < PST_RDNS_NAMES_MAX; i++) {
		struct pst_span data = answer->records[i].data;
		struct pst_rdns_name *name = &rdns->names[rdns->name_count];

		if (data.len == 0 || data.len > sizeof(name->at))
			continue;
		name->len = (uint8_t)data.len;
		memcpy(name->at, data.at, data.len);
		rdns->name_count++;
	}
	rdns->due = rdns->name_count;
	if (rdns->name_count > 0)
		rdns->result = PST_RDNS_UNCONFIRMED;
	else if (pst_dns_is_definite(answer->status))
		rdns->result = PST_RDNS_NONE;
}

void pst_rdns_answer(struct pst_rdns *rdns, uint16_t id, const struct pst_dns_answer *answer)
{
	if (id == ID_PTR) {
		on_ptr(rdns, answer);
		return;
	}
	PST_BUG_ON(rdns->due == 0 || id >= rdns->name_count);
	rdns->due--;
	rdns->trouble = rdns->trouble || !pst_dns_is_definite(answer->status);
	for (uint32_t i = 0; i < answer->record_count; i++) {
		if (!pst_addr_eq(&answer->records[i].addr, &rdns->client))
			continue;
		/* The first in the answer's order counts, whichever is confirmed first. */
		if (rdns->result != PST_RDNS_CONFIRMED || id < rdns->chosen)
			rdns->chosen = id;
		rdns->result = PST_RDNS_CONFIRMED;
	}
	if (rdns->due == 0 && rdns->trouble && rdns->result == PST_RDNS_UNCONFIRMED)
		rdns->result = PST_RDNS_UNKNOWN;
}

bool pst_rdns_done(const struct pst_rdns *rdns)
{
	return rdns->ptr_answered && rdns->due == 0;
}

struct pst_span pst_rdns_name(const struct pst_rdns *rdns)
{
	const struct pst_rdns_name *name = &rdns->names[rdns->chosen];

	if (rdns->name_count == 0)
		return PST_SPAN_NONE;
	return (struct pst_span){name->at, name->len};
}

/* ---- names that nobody chose ----------------------------------------------------------------- */

/* The next run of decimal digits at or behind *at. */
static bool next_number(struct pst_span name, uint32_t *at, uint64_t *number)
{
	uint32_t from;

	while (*at < name.len && !pst_is_digit(name.at[*at]))
		(*at)++;
	for (from = *at; *at < name.len && pst_is_digit(name.at[*at]); (*at)++)
		;
	if (*at - from > 3 || pst_span_u64(pst_span_sub(name, from, *at - from), 255, number))
		*number = UINT64_MAX; /* no octet */
	return *at > from;
}

/* Three octets of the address in a row, forward or backward. */
static bool holds_octets(struct pst_span name, const uint8_t *ip)
{
	uint64_t numbers[8];
	uint32_t count = 0, at = 0;

	while (count < PST_COUNT(numbers) && next_number(name, &at, &numbers[count]))
		count++;
	for (uint32_t i = 0; i + 3 <= count; i++)
		for (uint32_t k = 0; k < 2; k++) {
			if (numbers[i] == ip[k] && numbers[i + 1] == ip[k + 1] &&
			    numbers[i + 2] == ip[k + 2])
				return true;
			if (numbers[i] == ip[3 - k] && numbers[i + 1] == ip[2 - k] &&
			    numbers[i + 2] == ip[1 - k])
				return true;
		}
	return false;
}

static uint8_t hex_digit(uint8_t value)
{
	return (uint8_t)(value < 10 ? '0' + value : 'a' + value - 10);
}

static bool holds(struct pst_span name, struct pst_span part)
{
	for (uint32_t i = 0; i + part.len <= name.len; i++)
		if (pst_span_eq_nocase(pst_span_sub(name, i, part.len), part))
			return true;
	return false;
}

/* The whole IPv4 address, or the last 4 bytes of an IPv6 one, in hexadecimal. */
static bool holds_hex(struct pst_span name, const uint8_t *ip)
{
	uint8_t text[8];

	for (uint32_t i = 0; i < 8; i++)
		text[i] = hex_digit(i % 2 ? ip[i / 2] & 15 : ip[i / 2] >> 4);
	return holds(name, (struct pst_span){text, sizeof(text)});
}

/* A label that is such a word, with or without digits at its end; a mail server's name has none. */
static bool has_pool_word(struct pst_span name)
{
	static const char *const words[] = {"dyn",  "dynamic", "dynip", "dhcp", "dialup", "dial",
					    "ppp",  "pppoe",   "pool",  "dsl",	"adsl",	  "vdsl",
					    "xdsl", "cable",   "ftth"};
	uint32_t from = 0;

	for (uint32_t i = 0; i <= name.len; i++) {
		struct pst_span label;

		if (i < name.len && name.at[i] != '.' && name.at[i] != '-')
			continue;
		label = pst_span_sub(name, from, i - from);
		while (label.len > 0 && pst_is_digit(label.at[label.len - 1]))
			label.len--;
		for (uint32_t w = 0; w < PST_COUNT(words); w++)
			if (pst_span_eq_nocase(label, pst_span_text(words[w])))
				return true;
		from = i + 1;
	}
	return false;
}

bool pst_rdns_is_generic(struct pst_span name, const struct pst_addr *client)
{
	if (client->family == PST_FAMILY_IPV4)
		return holds_octets(name, client->ip) || holds_hex(name, client->ip) ||
		       has_pool_word(name);
	return holds_hex(name, &client->ip[12]) || has_pool_word(name);
}

/* ---- HELO ------------------------------------------------------------------------------------ */

/* "[192.0.2.1]" or "[IPv6:...]" (RFC 5321 section 4.1.3).
 *  ret 1: an address | 0: no literal | -PST_E_SYNTAX */
static int read_literal(struct pst_span helo, struct pst_addr *addr)
{
	static const struct pst_span ipv6 = {(const uint8_t *)"IPv6:", 5};
	struct pst_span inside;

	if (helo.len < 2 || helo.at[0] != '[')
		return 0;
	if (helo.at[helo.len - 1] != ']')
		return -PST_E_SYNTAX;
	inside = pst_span_sub(helo, 1, helo.len - 2);
	if (pst_span_starts_nocase(inside, ipv6))
		inside = pst_span_sub(inside, ipv6.len, inside.len);
	return pst_addr_parse(inside, addr) == 0 ? 1 : -PST_E_SYNTAX;
}

uint32_t pst_helo_facts(struct pst_span helo, const struct pst_addr *client, struct pst_span ours,
			const struct pst_addr *service)
{
	struct pst_addr addr;
	int literal = read_literal(helo, &addr);

	if (literal > 0 && pst_addr_eq(&addr, service) && !pst_addr_eq(&addr, client))
		return PST_FACT_HELO_OURS;
	if (literal != 0)
		return literal > 0 && pst_addr_eq(&addr, client) ? 0 : PST_FACT_HELO_LITERAL;
	if (pst_addr_parse(helo, &addr) == 0)
		return PST_FACT_HELO_BARE_IP;
	if (helo.len > 0 && helo.at[helo.len - 1] == '.')
		helo.len--;
	if (pst_span_eq_nocase(helo, ours))
		return PST_FACT_HELO_OURS;
	return pst_span_find(helo, '.') < 0 ? PST_FACT_HELO_NO_DOMAIN : 0;
}
