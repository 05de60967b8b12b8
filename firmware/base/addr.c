/* base/addr.c - address texts: strict in, RFC 5952 out
 *
 * Strict, because two spellings of one address are two chances for an attacker to be on one list
 * and not on the other: "010.1.1.1" is octal to some and decimal to others, "10.1" is 10.0.0.1 to
 * some.
 */
#include "base/addr.h"

#include <string.h>

#define MAPPED_BITS 96 /* of ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */

/* Reads digits below `base` from the front of `text`.
 *  ret how many; -PST_E_SYNTAX: none, more than digits_max, or a leading zero where not `zeros` */
static int take_number(struct pst_span *text, uint32_t base, uint32_t digits_max, bool zeros,
	uint32_t *out)
{
	uint32_t value = 0;
	uint32_t count = 0;

	while (count < text->len) {
		uint8_t c = pst_lower(text->at[count]);
		uint32_t digit;

		if (pst_is_digit(c))
			digit = (uint32_t)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = (uint32_t)(c - 'a') + 10;
		else
			break;
		if (count == digits_max || (count == 1 && value == 0 && !zeros))
			return -PST_E_SYNTAX;
		value = value * base + digit;
		count++;
	}
	if (count == 0)
		return -PST_E_SYNTAX;
	*text = pst_span_sub(*text, count, text->len);
	*out = value;
	return (int)count;
}

static bool take_byte(struct pst_span *text, uint8_t byte)
{
	if (text->len == 0 || text->at[0] != byte)
		return false;
	*text = pst_span_sub(*text, 1, text->len);
	return true;
}

/* The whole of `text` as a dotted quad. */
static int parse_ipv4(struct pst_span text, uint8_t *ip)
{
	for (int i = 0; i < 4; i++) {
		uint32_t value;

		if (i > 0 && !take_byte(&text, '.'))
			return -PST_E_SYNTAX;
		if (take_number(&text, 10, 3, false, &value) < 0 || value > 255)
			return -PST_E_SYNTAX;
		ip[i] = (uint8_t)value;
	}
	return text.len ? -PST_E_SYNTAX : 0;
}

/* RFC 4291 section 2.2: eight groups, one run of them may be "::", the last two may be a dotted
 * quad. "::" stands for at least one group. */
static int parse_ipv6(struct pst_span text, uint8_t *ip)
{
	uint32_t used = 0; /* bytes written */
	uint32_t gap = 0;  /* where "::" was */
	bool has_gap = false;

	memset(ip, 0, 16);
	if (take_byte(&text, ':')) {
		if (!take_byte(&text, ':'))
			return -PST_E_SYNTAX;
		has_gap = true;
	}
	while (text.len > 0) {
		uint32_t value;
		struct pst_span group = text;

		if (used == 16 || take_number(&text, 16, 4, true, &value) < 0)
			return -PST_E_SYNTAX;
		if (text.len > 0 && text.at[0] == '.') {
			if (used > 12 || parse_ipv4(group, ip + used))
				return -PST_E_SYNTAX;
			used += 4;
			break;
		}
		ip[used++] = (uint8_t)(value >> 8);
		ip[used++] = (uint8_t)value;
		if (text.len == 0)
			break;
		if (!take_byte(&text, ':'))
			return -PST_E_SYNTAX;
		if (take_byte(&text, ':')) {
			if (has_gap)
				return -PST_E_SYNTAX;
			has_gap = true;
			gap = used;
		} else if (text.len == 0) {
			return -PST_E_SYNTAX;
		}
	}
	if (!has_gap)
		return used == 16 ? 0 : -PST_E_SYNTAX;
	if (used > 14)
		return -PST_E_SYNTAX;
	memmove(ip + 16 - (used - gap), ip + gap, used - gap);
	memset(ip + gap, 0, 16 - used);
	return 0;
}

static bool is_mapped(const uint8_t *ip)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

/* Parses without turning a mapped address into IPv4. */
static int parse_raw(struct pst_span text, struct pst_addr *out)
{
	struct pst_addr addr = {.family = PST_FAMILY_IPV4};
	int ret;

	if (pst_span_find(text, ':') >= 0) {
		addr.family = PST_FAMILY_IPV6;
		ret = parse_ipv6(text, addr.ip);
	} else {
		ret = parse_ipv4(text, addr.ip);
	}
	if (ret == 0)
		*out = addr;
	return ret;
}

void pst_addr_unmap(struct pst_addr *addr)
{
	if (addr->family != PST_FAMILY_IPV6 || !is_mapped(addr->ip))
		return;
	addr->family = PST_FAMILY_IPV4;
	memmove(addr->ip, addr->ip + 12, 4);
	memset(addr->ip + 4, 0, 12);
}

int pst_addr_parse(struct pst_span text, struct pst_addr *out)
{
	int ret = parse_raw(text, out);

	if (ret == 0)
		pst_addr_unmap(out);
	return ret;
}

int pst_addr_parse_port(struct pst_span text, struct pst_addr *out)
{
	struct pst_addr addr;
	struct pst_span ip;
	uint32_t port;
	int64_t end;
	int ret;

	if (take_byte(&text, '[')) {
		end = pst_span_find(text, ']');
		if (end < 0)
			return -PST_E_SYNTAX;
		ip = pst_span_sub(text, 0, (uint32_t)end);
		if (pst_span_find(ip, ':') < 0)
			return -PST_E_SYNTAX;
		text = pst_span_sub(text, (uint32_t)end + 1, text.len);
	} else {
		/* Without brackets an IPv6 address and a port cannot be told apart. */
		end = pst_span_find(text, ':');
		if (end < 0)
			return -PST_E_SYNTAX;
		ip = pst_span_sub(text, 0, (uint32_t)end);
		text = pst_span_sub(text, (uint32_t)end, text.len);
	}
	ret = pst_addr_parse(ip, &addr);
	if (ret)
		return ret;
	if (!take_byte(&text, ':') || take_number(&text, 10, 5, false, &port) < 0 ||
	    text.len > 0 || port > UINT16_MAX)
		return -PST_E_SYNTAX;
	addr.port = (uint16_t)port;
	*out = addr;
	return 0;
}

static uint8_t family_bits(uint8_t family)
{
	return family == PST_FAMILY_IPV4 ? 32 : 128;
}

/* The mask of byte `index` under a prefix of `bits`. */
static uint8_t mask_byte(uint32_t bits, uint32_t index)
{
	if (bits >= 8 * (index + 1))
		return 0xff;
	if (bits <= 8 * index)
		return 0;
	return (uint8_t)(0xff00 >> (bits - 8 * index));
}

int pst_cidr_parse(struct pst_span text, struct pst_cidr *out)
{
	struct pst_cidr cidr;
	int64_t slash = pst_span_find(text, '/');
	struct pst_span ip = slash < 0 ? text : pst_span_sub(text, 0, (uint32_t)slash);
	int ret;

	ret = parse_raw(ip, &cidr.net);
	if (ret)
		return ret;
	cidr.bits = family_bits(cidr.net.family);
	if (slash >= 0) {
		uint32_t bits;

		text = pst_span_sub(text, (uint32_t)slash + 1, text.len);
		if (take_number(&text, 10, 3, false, &bits) < 0 || text.len > 0)
			return -PST_E_SYNTAX;
		if (bits > cidr.bits)
			return -PST_E_RANGE;
		cidr.bits = (uint8_t)bits;
	}
	for (uint32_t i = 0; i < sizeof(cidr.net.ip); i++) {
		if (cidr.net.ip[i] & (uint8_t)~mask_byte(cidr.bits, i))
			return -PST_E_RANGE;
	}
	if (cidr.net.family == PST_FAMILY_IPV6 && cidr.bits >= MAPPED_BITS &&
	    is_mapped(cidr.net.ip)) {
		pst_addr_unmap(&cidr.net);
		cidr.bits = (uint8_t)(cidr.bits - MAPPED_BITS);
	}
	*out = cidr;
	return 0;
}

/* An address text under construction; PST_ADDR_TEXT_MAX holds the longest of all forms. */
struct text {
	uint8_t at[PST_ADDR_TEXT_MAX];
	uint32_t len;
};

static void text_byte(struct text *text, char c)
{
	text->at[text->len++] = (uint8_t)c;
}

static void text_decimal(struct text *text, uint32_t number)
{
	uint32_t unit = 10000;

	while (unit > 1 && number < unit)
		unit /= 10;
	for (; unit > 0; unit /= 10)
		text_byte(text, (char)('0' + number / unit % 10));
}

static void text_hex(struct text *text, uint32_t number)
{
	int shift = 12;

	while (shift > 0 && number >> shift == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		text_byte(text, "0123456789abcdef"[number >> shift & 15]);
}

static void text_ipv4(struct text *text, const uint8_t *ip)
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			text_byte(text, '.');
		text_decimal(text, ip[i]);
	}
}

/* RFC 5952 section 4: lower case, no leading zeros, "::" for the longest run of two or more zero
 * groups, the first of equals. */
static void text_ipv6(struct text *text, const uint8_t *ip)
{
	uint32_t group[8];
	int run_at = -1;
	int run_len = 1;
	int zeros = 0;

	for (int i = 0; i < 8; i++) {
		group[i] = (uint32_t)ip[2 * i] << 8 | ip[2 * i + 1];
		zeros = group[i] ? 0 : zeros + 1;
		if (zeros > run_len) {
			run_len = zeros;
			run_at = i + 1 - zeros;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == run_at) {
			text_byte(text, ':');
			i += run_len - 1;
			if (i == 7)
				text_byte(text, ':');
			continue;
		}
		if (i > 0)
			text_byte(text, ':');
		text_hex(text, group[i]);
	}
}

static void text_addr(struct text *text, const struct pst_addr *addr)
{
	switch (addr->family) {
	case PST_FAMILY_IPV4:
		text_ipv4(text, addr->ip);
		break;
	case PST_FAMILY_IPV6:
		text_ipv6(text, addr->ip);
		break;
	default:
		for (const char *c = "none"; *c; c++)
			text_byte(text, *c);
	}
}

static void put_cut(struct pst_buf *buf, const struct text *text)
{
	uint32_t len = PST_MIN(text->len, pst_buf_room(buf));

	PST_BUG_ON(pst_buf_put(buf, (struct pst_span){text->at, len}));
}

void pst_addr_put(struct pst_buf *buf, const struct pst_addr *addr)
{
	struct text text = {.len = 0};

	text_addr(&text, addr);
	put_cut(buf, &text);
}

void pst_addr_put_port(struct pst_buf *buf, const struct pst_addr *addr)
{
	struct text text = {.len = 0};
	bool brackets = addr->family == PST_FAMILY_IPV6;

	if (brackets)
		text_byte(&text, '[');
	text_addr(&text, addr);
	if (brackets)
		text_byte(&text, ']');
	if (addr->family != PST_FAMILY_NONE) {
		text_byte(&text, ':');
		text_decimal(&text, addr->port);
	}
	put_cut(buf, &text);
}

void pst_cidr_put(struct pst_buf *buf, const struct pst_cidr *cidr)
{
	struct text text = {.len = 0};

	text_addr(&text, &cidr->net);
	if (cidr->net.family != PST_FAMILY_NONE) {
		text_byte(&text, '/');
		text_decimal(&text, cidr->bits);
	}
	put_cut(buf, &text);
}

bool pst_addr_eq(const struct pst_addr *a, const struct pst_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool pst_cidr_has(const struct pst_cidr *cidr, const struct pst_addr *addr)
{
	uint32_t whole = cidr->bits / 8;
	uint32_t rest = cidr->bits % 8;

	if (cidr->net.family != addr->family || addr->family == PST_FAMILY_NONE ||
	    memcmp(cidr->net.ip, addr->ip, whole) != 0)
		return false;
	return rest == 0 ||
	       ((cidr->net.ip[whole] ^ addr->ip[whole]) & mask_byte(cidr->bits, whole)) == 0;
}

struct pst_addr pst_addr_network(const struct pst_addr *addr)
{
	struct pst_addr network = *addr;

	network.port = 0;
	if (network.family == PST_FAMILY_IPV6)
		memset(network.ip + 8, 0, 8);
	return network;
}
