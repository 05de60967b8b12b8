/* net/syn.c - see syn.h */
#include "net/syn.h"

enum { OPTION_EOL, OPTION_NOP, OPTION_MSS, OPTION_WS, OPTION_SOK, OPTION_TS = 8, OPTION_MPTCP = 30, OPTION_TFO = 34 };
enum { FLAG_SYN = 2, FLAG_RST = 4, FLAG_PUSH = 8, FLAG_ACK = 16, FLAG_URG = 32, FLAG_ECE = 64, FLAG_CWR = 128 };

#define PROTOCOL_TCP 6
#define EXTENSIONS_MAX 4 /* headers between IPv6's and TCP's */
#define SCALE_MAX 14     /* RFC 7323 section 2.3 */

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

/* ---- options --------------------------------------------------------------------------------- */

/*  in  option: whole, kind and length included */
static enum pst_syn_option take_option(struct pst_net_syn *syn, struct pst_span option)
{
	const uint8_t *at = option.at;

	switch (at[0]) {
	case OPTION_MSS:
		if (option.len != 4)
			break;
		syn->mss = (uint16_t)get16(at + 2);
		return PST_SYN_MSS;
	case OPTION_WS:
		if (option.len != 3)
			break;
		syn->scale = PST_MIN(at[2], PST_SYN_NO_SCALE - 1);
		if (at[2] > SCALE_MAX)
			syn->quirks |= PST_SYN_SCALE;
		return PST_SYN_WS;
	case OPTION_SOK:
		if (option.len != 2)
			break;
		return PST_SYN_SOK;
	case OPTION_TS:
		if (option.len != 10)
			break;
		if (get32(at + 2) == 0)
			syn->quirks |= PST_SYN_TS0;
		if (get32(at + 6) != 0)
			syn->quirks |= PST_SYN_TS2;
		return PST_SYN_TS;
	case OPTION_TFO:
		return PST_SYN_TFO;
	case OPTION_MPTCP:
		return PST_SYN_MPTCP;
	default:
		return PST_SYN_OTHER;
	}
	syn->quirks |= PST_SYN_BAD;
	return PST_SYN_OTHER;
}

/* The end of options: nothing but zeros should stand behind it. */
static void look_behind(struct pst_net_syn *syn, struct pst_span rest)
{
	for (uint32_t i = 0; i < rest.len; i++)
		if (rest.at[i])
			syn->quirks |= PST_SYN_PAD;
}

static void take_options(struct pst_net_syn *syn, struct pst_span rest)
{
	for (uint32_t count = 0; rest.len > 0; count++) {
		uint32_t len = 1;
		enum pst_syn_option option;

		if (rest.at[0] > OPTION_NOP)
			len = rest.len > 1 ? rest.at[1] : 0;
		if (count == PST_SYN_OPTIONS_MAX || len > rest.len || (rest.at[0] > OPTION_NOP && len < 2)) {
			syn->quirks |= PST_SYN_BAD;
			return;
		}
		if (rest.at[0] == OPTION_EOL)
			option = PST_SYN_EOL;
		else if (rest.at[0] == OPTION_NOP)
			option = PST_SYN_NOP;
		else
			option = take_option(syn, pst_span_sub(rest, 0, len));
		syn->layout |= (uint64_t)option << 4 * count;
		rest = pst_span_sub(rest, len, rest.len);
		if (option == PST_SYN_EOL) {
			look_behind(syn, rest);
			return;
		}
	}
}

/* ---- headers --------------------------------------------------------------------------------- */

static uint32_t quirks_of(const struct pst_net_syn_fields *fields)
{
	uint32_t quirks = 0;

	if (fields->ipv6)
		quirks |= PST_SYN_IPV6 | PST_SYN_DF | (fields->flow ? PST_SYN_FLOW : 0u);
	else if (fields->df)
		quirks |= PST_SYN_DF | (fields->id ? PST_SYN_ID : 0u);
	else if (fields->id == 0)
		quirks |= PST_SYN_NO_ID;
	if ((fields->flags & (FLAG_ECE | FLAG_CWR)) == (FLAG_ECE | FLAG_CWR))
		quirks |= PST_SYN_ECN;
	if (fields->seq == 0)
		quirks |= PST_SYN_SEQ0;
	if (fields->ack)
		quirks |= PST_SYN_ACK;
	if (fields->urgent || (fields->flags & FLAG_URG))
		quirks |= PST_SYN_URG;
	if (fields->flags & FLAG_PUSH)
		quirks |= PST_SYN_PUSH;
	return quirks;
}

void pst_net_syn_make(struct pst_net_syn *syn, const struct pst_net_syn_fields *fields)
{
	*syn = (struct pst_net_syn){
		.window = fields->window,
		.quirks = (uint16_t)quirks_of(fields),
		.ttl = PST_MAX(fields->ttl, 1), /* none could have come here with 0 */
		.scale = PST_SYN_NO_SCALE,
	};
	take_options(syn, fields->options);
}

/*  ret what lies behind IPv4's header; empty: it is malformed, or not TCP */
static struct pst_span read_ipv4(struct pst_span packet, struct pst_net_syn_fields *fields)
{
	const uint8_t *at = packet.at;
	uint32_t len;

	if (packet.len < 20)
		return PST_SPAN_NONE;
	len = (at[0] & 15u) * 4;
	if (len < 20 || len > packet.len || at[9] != PROTOCOL_TCP || (get16(at + 6) & 0x1fff))
		return PST_SPAN_NONE;
	fields->df = at[6] & 0x40;
	fields->id = (uint16_t)get16(at + 4);
	fields->ttl = at[8];
	return pst_span_sub(packet, len, packet.len);
}

/* Is this the number of a header that may stand between IPv6's and TCP's in a SYN? */
static bool is_extension(uint8_t next)
{
	return next == 0 || next == 43 || next == 60;
}

static struct pst_span read_ipv6(struct pst_span packet, struct pst_net_syn_fields *fields)
{
	uint8_t next;

	if (packet.len < 40)
		return PST_SPAN_NONE;
	fields->ipv6 = true;
	fields->flow = get32(packet.at) & 0xfffff;
	fields->ttl = packet.at[7];
	next = packet.at[6];
	packet = pst_span_sub(packet, 40, packet.len);
	for (uint32_t i = 0; i < EXTENSIONS_MAX && is_extension(next); i++) {
		uint32_t len = packet.len < 8 ? 0 : (packet.at[1] + 1u) * 8;

		if (len == 0 || len > packet.len)
			return PST_SPAN_NONE;
		next = packet.at[0];
		packet = pst_span_sub(packet, len, packet.len);
	}
	return next == PROTOCOL_TCP ? packet : PST_SPAN_NONE;
}

int pst_net_syn_read(struct pst_span packet, struct pst_net_syn *syn)
{
	struct pst_net_syn_fields fields = {.ipv6 = false};
	uint32_t version = packet.len > 0 ? packet.at[0] >> 4 : 0, len;
	struct pst_span tcp = PST_SPAN_NONE;

	*syn = (struct pst_net_syn){.ttl = 0};
	if (version == 4)
		tcp = read_ipv4(packet, &fields);
	else if (version == 6)
		tcp = read_ipv6(packet, &fields);
	if (tcp.len < 20)
		return -PST_E_SYNTAX;
	len = (tcp.at[12] >> 4) * 4u;
	fields.flags = tcp.at[13];
	if (len < 20 || len > tcp.len || (fields.flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) != FLAG_SYN)
		return -PST_E_SYNTAX;
	fields.seq = get32(tcp.at + 4);
	fields.ack = get32(tcp.at + 8);
	fields.window = (uint16_t)get16(tcp.at + 14);
	fields.urgent = (uint16_t)get16(tcp.at + 18);
	fields.options = pst_span_sub(tcp, 20, len - 20);
	pst_net_syn_make(syn, &fields);
	return 0;
}
