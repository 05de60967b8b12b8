/* net/syn.h - how a client began: what the first segment of a connection tells of the client's system
 *
 * Layer: net (pure). Uses: base. Spec: RFC 791, 8200, 9293, 7323, 2018, 7413, 8684, 3168.
 * Concept: initial TTL, window, options and their order are a system's habit, not its user's; they are
 * kept small enough to lie in every session. What a transport has is made into it by one function, so
 * that all transports say the same of the same segment.
 */
#ifndef PST_NET_SYN_H
#define PST_NET_SYN_H

#include "base/span.h"

/* One option, in 4 bits. */
enum pst_syn_option {
	PST_SYN_NOTHING, /* behind the last one */
	PST_SYN_EOL,
	PST_SYN_NOP,
	PST_SYN_MSS,
	PST_SYN_WS,
	PST_SYN_SOK, /* selective acknowledgements permitted */
	PST_SYN_TS,
	PST_SYN_TFO,
	PST_SYN_MPTCP,
	PST_SYN_OTHER,
	PST_SYN_OPTION_COUNT
};

#define PST_SYN_OPTIONS_MAX 16 /* of a layout */
#define PST_SYN_NO_SCALE 255

enum pst_syn_quirk {
	PST_SYN_IPV6 = 1 << 0,
	PST_SYN_DF = 1 << 1,    /* must not be fragmented; always so with IPv6 */
	PST_SYN_ID = 1 << 2,    /* IPv4: though it has an identification, which then is for nothing */
	PST_SYN_NO_ID = 1 << 3, /* IPv4: may be fragmented, and has none */
	PST_SYN_FLOW = 1 << 4,  /* IPv6: a flow label */
	PST_SYN_ECN = 1 << 5,   /* offers explicit congestion notification */
	PST_SYN_SEQ0 = 1 << 6,  /* begins at sequence number 0 */
	PST_SYN_ACK = 1 << 7,   /* an acknowledgement number that acknowledges nothing */
	PST_SYN_URG = 1 << 8,   /* an urgent pointer or flag */
	PST_SYN_PUSH = 1 << 9,
	PST_SYN_TS0 = 1 << 10,  /* its own timestamp is 0 */
	PST_SYN_TS2 = 1 << 11,  /* it echoes a timestamp that it cannot have */
	PST_SYN_PAD = 1 << 12,  /* bytes behind the end of options that are not 0 */
	PST_SYN_SCALE = 1 << 13, /* a window scale above 14 */
	PST_SYN_BAD = 1 << 14,  /* malformed options, or more than a layout holds */
};

struct pst_net_syn {
	uint64_t layout;  /* the options in order, the first in the lowest 4 bits */
	uint16_t window;  /* as sent */
	uint16_t mss;     /* 0: none */
	uint16_t quirks;  /* enum pst_syn_quirk */
	uint8_t ttl;      /* or hop limit, as it arrived; 0: nothing is known of the client */
	uint8_t scale;    /* of later windows; PST_SYN_NO_SCALE: none */
};

_Static_assert(sizeof(struct pst_net_syn) == 16, "every session has one");

/* Header fields, in host order. */
struct pst_net_syn_fields {
	bool ipv6, df;
	uint16_t id;    /* of IPv4 */
	uint32_t flow;  /* IPv6's label */
	uint8_t ttl;
	uint32_t seq, ack;
	uint8_t flags;  /* TCP's low eight */
	uint16_t window, urgent;
	struct pst_span options;
};

void pst_net_syn_make(struct pst_net_syn *syn, const struct pst_net_syn_fields *fields);

/* Read a whole segment from its IP header on, at least up to the end of its TCP header.
 *  out syn: zeroed unless 0 is returned
 *  ret 0 | -PST_E_SYNTAX: it is cut, or not a TCP SYN */
int pst_net_syn_read(struct pst_span packet, struct pst_net_syn *syn) PST_MUST_CHECK;

#endif
