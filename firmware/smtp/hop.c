/* smtp/hop.c - the PROXY header, read in both versions, written in the second */
#include "smtp/hop.h"

#include <string.h>

#define V1_MAX 107 /* with its CRLF */
#define V2_HEAD 16

static const uint8_t V2_SIGNATURE[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
					 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

/* Can this still become a header that begins with `head`? */
static bool could_be(struct pst_span in, const uint8_t *head, uint32_t len)
{
	return memcmp(in.at, head, PST_MIN(in.len, len)) == 0;
}

static int read_port(struct pst_span text, uint16_t *port)
{
	uint64_t value;

	if (text.len > 5 || (text.len > 1 && text.at[0] == '0') ||
	    pst_span_u64(text, UINT16_MAX, &value) < 0)
		return -PST_E_PROTO;
	*port = (uint16_t)value;
	return 0;
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 25", one blank between words. */
static int v1_words(struct pst_span line, struct pst_smtp_hop *hop)
{
	struct pst_span words[5];
	bool ipv6;

	for (uint32_t i = 0; i < PST_COUNT(words); i++) {
		int64_t blank = pst_span_find(line, ' ');

		if ((blank < 0) != (i + 1 == PST_COUNT(words)))
			return -PST_E_PROTO;
		words[i] = pst_span_sub(line, 0, blank < 0 ? line.len : (uint32_t)blank);
		line = pst_span_sub(line, words[i].len + 1, line.len);
	}
	ipv6 = pst_span_eq(words[0], PST_SPAN("TCP6"));
	/* An IPv4-mapped address is written as IPv6 and read as IPv4. */
	if ((!ipv6 && !pst_span_eq(words[0], PST_SPAN("TCP4"))) ||
	    (pst_span_find(words[1], ':') >= 0) != ipv6 ||
	    (pst_span_find(words[2], ':') >= 0) != ipv6 ||
	    pst_addr_parse(words[1], &hop->client) < 0 ||
	    pst_addr_parse(words[2], &hop->service) < 0 ||
	    read_port(words[3], &hop->client.port) < 0 ||
	    read_port(words[4], &hop->service.port) < 0)
		return -PST_E_PROTO;
	return 0;
}

static int read_v1(struct pst_span in, struct pst_smtp_hop *hop)
{
	struct pst_span line;
	int64_t end = pst_span_find(in, '\n');

	if (end < 0)
		return in.len >= V1_MAX ? -PST_E_PROTO : 0;
	if (end + 1 > V1_MAX || end < 7 || in.at[end - 1] != '\r')
		return -PST_E_PROTO;
	line = pst_span_sub(in, 6, (uint32_t)end - 7);
	if (pst_span_eq(pst_span_sub(line, 0, 7), PST_SPAN("UNKNOWN")))
		hop->local = true;
	else if (v1_words(line, hop) < 0)
		return -PST_E_PROTO;
	return (int)end + 1;
}

static void take_v2(const uint8_t *at, uint8_t family, uint32_t size, struct pst_smtp_hop *hop)
{
	hop->client.family = hop->service.family = family;
	memcpy(hop->client.ip, at, size);
	memcpy(hop->service.ip, at + size, size);
	hop->client.port = (uint16_t)(at[2 * size] << 8 | at[2 * size + 1]);
	hop->service.port = (uint16_t)(at[2 * size + 2] << 8 | at[2 * size + 3]);
	pst_addr_unmap(&hop->client);
	pst_addr_unmap(&hop->service);
}

static int read_v2(struct pst_span in, struct pst_smtp_hop *hop)
{
	uint32_t len;

	if (in.len < V2_HEAD)
		return 0;
	len = (uint32_t)in.at[14] << 8 | in.at[15];
	if (len > PST_SMTP_HOP_MAX - V2_HEAD)
		return -PST_E_PROTO;
	if (in.len < V2_HEAD + len)
		return 0;
	if (in.at[12] == V2_LOCAL)
		hop->local = true;
	else if (in.at[12] != V2_PROXY)
		return -PST_E_PROTO;
	else if (in.at[13] == V2_TCP4 && len >= 12)
		take_v2(in.at + V2_HEAD, PST_FAMILY_IPV4, 4, hop);
	else if (in.at[13] == V2_TCP6 && len >= 36)
		take_v2(in.at + V2_HEAD, PST_FAMILY_IPV6, 16, hop);
	else if (in.at[13] == 0)
		hop->local = true;
	else
		return -PST_E_PROTO;
	return (int)(V2_HEAD + len);
}

int pst_smtp_hop_read(struct pst_span in, struct pst_smtp_hop *hop)
{
	static const uint8_t v1[] = "PROXY ";

	*hop = (struct pst_smtp_hop){0};
	if (in.len == 0)
		return 0;
	if (could_be(in, v1, sizeof(v1) - 1))
		return in.len < sizeof(v1) - 1 ? 0 : read_v1(in, hop);
	if (could_be(in, V2_SIGNATURE, sizeof(V2_SIGNATURE)))
		return read_v2(in, hop);
	return -PST_E_PROTO;
}

int pst_smtp_hop_put(struct pst_buf *out, const struct pst_addr *client,
		     const struct pst_addr *service)
{
	bool known = client->family == service->family && client->family != PST_FAMILY_NONE;
	uint32_t size = client->family == PST_FAMILY_IPV6 ? 16 : 4;
	uint32_t len = known ? 2 * size + 4 : 0;
	uint8_t area[V2_HEAD + 36];

	memcpy(area, V2_SIGNATURE, sizeof(V2_SIGNATURE));
	area[12] = known ? V2_PROXY : V2_LOCAL;
	area[13] = !known ? 0 : size == 16 ? V2_TCP6 : V2_TCP4;
	area[14] = 0;
	area[15] = (uint8_t)len;
	if (known) {
		uint8_t *ports = area + V2_HEAD + 2 * size;

		memcpy(area + V2_HEAD, client->ip, size);
		memcpy(area + V2_HEAD + size, service->ip, size);
		ports[0] = (uint8_t)(client->port >> 8);
		ports[1] = (uint8_t)client->port;
		ports[2] = (uint8_t)(service->port >> 8);
		ports[3] = (uint8_t)service->port;
	}
	return pst_buf_put(out, (struct pst_span){area, V2_HEAD + len});
}
