/* net/gate_lwip.c - who may begin: handshakes that are not over, and the client's first segment
 *
 * lwIP keeps a pcb for every SYN and has no SYN cookies; a few hundred SYNs from invented addresses
 * close a port for half a minute. Here a table of bounded size knows every pcb whose handshake is
 * not over. When it is full, or one network has its share, one of them at random makes way, without
 * a word. For some time after that every initial sequence number is looked at as a cookie: if the
 * one who had to make way was no phantom, his ACK carries the cookie back, and his SYN is played
 * again with the sequence number that he knows. lwIP then answers with the SYN-ACK he has had
 * already, and he repeats his ACK: one round trip more, and no memory meanwhile.
 *
 * Cookies are read only under pressure, because 29 bits can be guessed by somebody who sends
 * hundreds of millions of segments; without pressure an unknown ACK is answered by a reset.
 *
 * A cookie: 1 bit of the minute (64 s), 2 bits of the segment size, 29 bits of a keyed hash over the
 * two addresses and ports, the client's sequence number, the minute and the size. Window scaling,
 * timestamps and selective acknowledgements of a revived client are lost; it is slower, but served.
 *
 * A client that takes a port anew while we still remember the old connection (TIME_WAIT) is served at
 * once if its sequence number is beyond the old ones (RFC 9293 section 3.6.1); lwIP would let it wait
 * for a minute. The memory goes, and its SYN is played again, too.
 */
#include <lwip/inet_chksum.h>
#include <lwip/ip4.h>
#include <lwip/ip6.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/ip6.h>
#include <lwip/prot/tcp.h>
#include <postern_lwip_hooks.h>
#include <string.h>

#include "net/lwip_priv.h"

#define PRESSED_MS 128000
#define SLOT_MS 64000
#define REPLAYS_MAX 64
#define HASH_BITS 29
#define HASH_MASK ((1u << HASH_BITS) - 1)

#define OPTION_END 0
#define OPTION_NONE 1
#define OPTION_MSS 2

static const uint16_t sizes[4] = {536, 1220, 1400, 1460};

struct pst_lwip_half {
	struct tcp_pcb *pcb;
	struct pst_addr network;
	struct pst_net_syn syn;
};

/* A SYN that will be played again. */
struct pst_lwip_replay {
	struct pst_lwip_syn syn;
	bool isn_known;
	struct netif *netif;
	ip_addr_t client, local;
	uint16_t client_port, local_port;
	uint32_t client_seq;
	uint32_t isn; /* ours, if it is known */
};

/* What a cookie vouches for, in the order it is hashed. */
struct ticket {
	uint8_t client[16], local[16];
	uint32_t client_seq;
	uint32_t slot;
	uint16_t client_port, local_port;
	uint32_t size_index;
};

/* --- the table ------------------------------------------------------------------------------ */

static void on_destroyed(u8_t id, void *data)
{
	struct pst_lwip_gate *gate = &pst_lwip_current->gate;
	struct pst_lwip_half *half = data, *last;

	(void)id;
	if (!half)
		return;
	last = &gate->halves[--gate->half_count];
	if (half != last) {
		*half = *last;
		tcp_ext_arg_set(half->pcb, PST_LWIP_ARG, half);
	}
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb);

static const struct tcp_ext_arg_callbacks half_callbacks = {.destroy = on_destroyed};
static const struct tcp_ext_arg_callbacks listener_callbacks = {.passive_open = on_passive_open};

/* A random one of those that are of the network; of all, if it is NULL. */
static struct pst_lwip_half *pick(struct pst_lwip *lwip, const struct pst_addr *network,
	uint32_t count)
{
	uint32_t nth = (uint32_t)(pst_rng_u64(lwip->rng) % count);

	for (uint32_t i = 0; i < lwip->gate.half_count; i++) {
		struct pst_lwip_half *half = &lwip->gate.halves[i];

		if (network && !pst_addr_eq(&half->network, network))
			continue;
		if (nth-- == 0)
			return half;
	}
	return NULL;
}

static void evict(struct pst_lwip *lwip, struct pst_lwip_half *half)
{
	lwip->gate.evicted_count++;
	lwip->gate.pressed_until_ms = lwip->loop->now_ms + PRESSED_MS;
	tcp_abandon(half->pcb, 0);
}

static void make_room(struct pst_lwip *lwip, const struct pst_addr *network)
{
	struct pst_lwip_gate *gate = &lwip->gate;
	uint32_t count = 0;

	for (uint32_t i = 0; i < gate->half_count; i++)
		if (pst_addr_eq(&gate->halves[i].network, network))
			count++;
	if (count >= lwip->limits.half_network_max)
		evict(lwip, pick(lwip, network, count));
	else if (gate->half_count == lwip->limits.half_count_max)
		evict(lwip, pick(lwip, NULL, gate->half_count));
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb)
{
	struct pst_lwip *lwip = pst_lwip_current;
	struct pst_lwip_gate *gate = &lwip->gate;
	struct pst_addr network = pst_lwip_network_of(&pcb->remote_ip);
	struct pst_lwip_half *half;

	(void)id, (void)listener;
	make_room(lwip, &network);
	half = &gate->halves[gate->half_count++];
	*half = (struct pst_lwip_half){.pcb = pcb, .network = network, .syn = gate->syn.told};
	tcp_ext_arg_set_callbacks(pcb, PST_LWIP_ARG, &half_callbacks);
	tcp_ext_arg_set(pcb, PST_LWIP_ARG, half);
	pcb->rcv_wnd = PST_MIN(pcb->rcv_wnd, PST_LWIP_FIRST_WINDOW);
	pcb->rcv_ann_wnd = PST_MIN(pcb->rcv_ann_wnd, PST_LWIP_FIRST_WINDOW);
	return ERR_OK;
}

void pst_lwip_gate_guard(struct tcp_pcb *listener)
{
	struct tcp_pcb_listen *listening = (struct tcp_pcb_listen *)(void *)listener;

	listening->ext_args[PST_LWIP_ARG].callbacks = &listener_callbacks;
	listening->ext_args[PST_LWIP_ARG].data = NULL;
}

void pst_lwip_gate_pass(struct tcp_pcb *pcb, struct pst_net_syn *syn)
{
	struct pst_lwip_half *half = tcp_ext_arg_get(pcb, PST_LWIP_ARG);

	*syn = half->syn;
	on_destroyed(PST_LWIP_ARG, half);
}

/* --- sequence numbers and cookies ----------------------------------------------------------- */

static void put_ip(uint8_t *out, const ip_addr_t *ip)
{
	struct pst_addr addr = pst_lwip_addr_from(ip, 0);

	memcpy(out, addr.ip, sizeof(addr.ip));
}

static uint32_t sign(const struct pst_lwip *lwip, const struct ticket *ticket)
{
	struct pst_span bytes = {(const uint8_t *)ticket, sizeof(*ticket)};

	return (ticket->slot & 1) << 31 | ticket->size_index << HASH_BITS |
		((uint32_t)pst_hash(&lwip->key, bytes) & HASH_MASK);
}

static uint32_t slot_of(const struct pst_lwip *lwip)
{
	return (uint32_t)(lwip->loop->now_ms / SLOT_MS);
}

/* The largest of the sizes that the SYN allows (RFC 9293 section 3.7.1). */
static uint32_t size_index_of(const struct pst_lwip_syn *syn)
{
	uint16_t size = 536;
	uint32_t index = 0;

	for (uint32_t i = 0; i < syn->options_len;) {
		uint8_t kind = syn->options[i];

		if (kind == OPTION_END)
			break;
		if (kind == OPTION_NONE) {
			i++;
			continue;
		}
		if (i + 1 >= syn->options_len || syn->options[i + 1] < 2)
			break;
		if (kind == OPTION_MSS && i + 4 <= syn->options_len)
			size = (uint16_t)(syn->options[i + 2] << 8 | syn->options[i + 3]);
		i += syn->options[i + 1];
	}
	for (uint32_t i = 0; i < PST_COUNT(sizes); i++)
		if (sizes[i] <= size)
			index = i;
	return index;
}

u32_t pst_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
	u16_t remote_port)
{
	struct pst_lwip *lwip = pst_lwip_current;
	struct pst_lwip_gate *gate = &lwip->gate;
	struct ticket ticket = {.client_port = remote_port, .local_port = local_port};

	if (gate->replaying && gate->replaying->isn_known)
		return gate->replaying->isn;
	put_ip(ticket.client, remote);
	put_ip(ticket.local, local);
	if (!gate->syn_seen) {
		struct pst_span bytes = {(const uint8_t *)&ticket, sizeof(ticket)};

		/* RFC 6528: a clock of 4 microseconds, shifted for each pair. */
		return (u32_t)(pst_hash(&lwip->key, bytes) + lwip->loop->now_ms * 250);
	}
	gate->syn_seen = false;
	ticket.client_seq = gate->syn_seq;
	ticket.slot = slot_of(lwip);
	ticket.size_index = size_index_of(&gate->syn);
	return sign(lwip, &ticket);
}

static void look_at_client(struct pst_lwip_syn *syn, const struct tcp_hdr *header)
{
	struct pst_net_syn_fields fields = {
		.ipv6 = ip_current_is_v6(),
		.seq = header->seqno,
		.ack = header->ackno,
		.flags = (uint8_t)lwip_ntohs(header->_hdrlen_rsvd_flags),
		.window = header->wnd,
		.urgent = lwip_ntohs(header->urgp),
		.options = {syn->options, syn->options_len},
	};

	if (fields.ipv6) {
		fields.flow = IP6H_FL(ip6_current_header());
		fields.ttl = IP6H_HOPLIM(ip6_current_header());
	} else {
		fields.df = (IPH_OFFSET(ip4_current_header()) & PP_HTONS(IP_DF)) != 0;
		fields.id = lwip_ntohs(IPH_ID(ip4_current_header()));
		fields.ttl = IPH_TTL(ip4_current_header());
	}
	pst_net_syn_make(&syn->told, &fields);
}

static void look_at_syn(struct pst_lwip_gate *gate, const struct tcp_hdr *header,
	uint16_t options_len, uint16_t first_len, const uint8_t *second)
{
	struct pst_lwip_syn *syn = &gate->syn;
	uint16_t len = (uint16_t)PST_MIN((size_t)options_len, sizeof(syn->options));
	const uint8_t *first = (const uint8_t *)header + TCP_HLEN;

	*syn = (struct pst_lwip_syn){.window = header->wnd, .options_len = (uint8_t)len};
	for (uint16_t i = 0; i < len; i++)
		syn->options[i] = i < first_len ? first[i] : second[i - first_len];
	gate->syn_seq = header->seqno;
	gate->syn_seen = true;
	/* Of one that a cookie has brought back nothing is known. */
	if (gate->replaying)
		syn->told = gate->replaying->syn.told;
	else
		look_at_client(syn, header);
}

/* Room for the SYN of the segment at hand, to be played again; NULL: there is none. */
static struct pst_lwip_replay *replay_new(struct pst_lwip_gate *gate, const struct tcp_hdr *header)
{
	struct pst_lwip_replay *replay;

	if (gate->replay_count == REPLAYS_MAX)
		return NULL;
	replay = &gate->replays[gate->replay_count++];
	*replay = (struct pst_lwip_replay){
		.netif = ip_current_input_netif(),
		.client = *ip_current_src_addr(),
		.local = *ip_current_dest_addr(),
		.client_port = header->src,
		.local_port = header->dest,
		.client_seq = header->seqno,
	};
	return replay;
}

/*  ret true: the ACK of somebody who had to make way; his SYN will be played again */
static bool redeem(struct pst_lwip *lwip, const struct tcp_hdr *header)
{
	struct pst_lwip_gate *gate = &lwip->gate;
	uint32_t isn = header->ackno - 1;
	struct ticket ticket = {
		.client_seq = header->seqno - 1,
		.client_port = header->src,
		.local_port = header->dest,
		.size_index = isn >> HASH_BITS & 3,
	};
	struct pst_lwip_replay *replay;

	if (lwip->loop->now_ms >= gate->pressed_until_ms)
		return false;
	ticket.slot = slot_of(lwip);
	if ((ticket.slot & 1) != isn >> 31)
		ticket.slot--;
	put_ip(ticket.client, ip_current_src_addr());
	put_ip(ticket.local, ip_current_dest_addr());
	if (sign(lwip, &ticket) != isn)
		return false;
	replay = replay_new(gate, header);
	if (!replay)
		return false;
	gate->revived_count++;
	replay->client_seq--;
	replay->isn = isn;
	replay->isn_known = true;
	replay->syn = (struct pst_lwip_syn){
		.window = header->wnd,
		.options_len = 4,
		.options = {OPTION_MSS, 4, (uint8_t)(sizes[ticket.size_index] >> 8),
			(uint8_t)sizes[ticket.size_index]},
	};
	return true;
}

/* A port is taken anew: the old connection is forgotten. */
static bool take_anew(struct pst_lwip_gate *gate, struct tcp_pcb *old, const struct tcp_hdr *header)
{
	struct pst_lwip_replay *replay;

	if (!TCP_SEQ_GT(header->seqno, old->rcv_nxt))
		return false;
	replay = replay_new(gate, header);
	if (!replay)
		return false;
	replay->syn = gate->syn;
	gate->syn_seen = false;
	tcp_abort(old);
	return true;
}

err_t pst_lwip_on_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t options_len,
	u16_t options_first_len, u8_t *options_second, struct pbuf *packet)
{
	struct pst_lwip *lwip = pst_lwip_current;
	uint8_t flags = TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST);

	lwip->gate.syn_seen = false;
	if (pcb->state != LISTEN && pcb->state != TIME_WAIT)
		return pcb->state < ESTABLISHED || packet->tot_len == 0 ||
			pst_lwip_conn_takes(pcb, packet->tot_len) ? ERR_OK : ERR_VAL;
	if (flags == TCP_SYN)
		look_at_syn(&lwip->gate, header, options_len, options_first_len, options_second);
	if (pcb->state == TIME_WAIT)
		return flags == TCP_SYN && take_anew(&lwip->gate, pcb, header) ? ERR_VAL : ERR_OK;
	if (flags == TCP_ACK && redeem(lwip, header))
		return ERR_VAL;
	return ERR_OK;
}

/* --- playing SYNs again --------------------------------------------------------------------- */

static u16_t padded(uint32_t options_len)
{
	return (u16_t)((options_len + 3) / 4 * 4);
}

/* The client's SYN, or the ACK that ends its handshake. */
static void put_tcp(uint8_t *at, const struct pst_lwip_replay *replay, uint8_t flags)
{
	struct tcp_hdr *header = (struct tcp_hdr *)(void *)at;
	bool is_syn = flags == TCP_SYN;
	u16_t options_len = is_syn ? padded(replay->syn.options_len) : 0;

	header->src = lwip_htons(replay->client_port);
	header->dest = lwip_htons(replay->local_port);
	header->seqno = lwip_htonl(replay->client_seq + (is_syn ? 0 : 1));
	header->ackno = is_syn ? 0 : lwip_htonl(replay->isn + 1);
	TCPH_HDRLEN_FLAGS_SET(header, (TCP_HLEN + options_len) / 4, flags);
	header->wnd = lwip_htons(replay->syn.window);
	if (is_syn)
		memcpy(at + TCP_HLEN, replay->syn.options, replay->syn.options_len);
}

static void put_ip4(uint8_t *at, const struct pst_lwip_replay *replay, u16_t len)
{
	struct ip_hdr *header = (struct ip_hdr *)(void *)at;

	IPH_VHL_SET(header, 4, IP_HLEN / 4);
	IPH_LEN_SET(header, lwip_htons(len));
	IPH_TTL_SET(header, 64);
	IPH_PROTO_SET(header, IP_PROTO_TCP);
	ip4_addr_copy(header->src, *ip_2_ip4(&replay->client));
	ip4_addr_copy(header->dest, *ip_2_ip4(&replay->local));
	IPH_CHKSUM_SET(header, inet_chksum(header, IP_HLEN));
}

static void put_ip6(uint8_t *at, const struct pst_lwip_replay *replay, u16_t len)
{
	struct ip6_hdr *header = (struct ip6_hdr *)(void *)at;

	IP6H_VTCFL_SET(header, 6, 0, 0);
	IP6H_PLEN_SET(header, (u16_t)(len - IP6_HLEN));
	IP6H_NEXTH_SET(header, IP6_NEXTH_TCP);
	IP6H_HOPLIM_SET(header, 64);
	ip6_addr_copy_to_packed(header->src, *ip_2_ip6(&replay->client));
	ip6_addr_copy_to_packed(header->dest, *ip_2_ip6(&replay->local));
}

static void play(const struct pst_lwip_replay *replay, uint8_t flags)
{
	bool is_ip6 = IP_IS_V6(&replay->client);
	u16_t header_len = is_ip6 ? IP6_HLEN : IP_HLEN;
	u16_t len = (u16_t)(header_len + TCP_HLEN +
		(flags == TCP_SYN ? padded(replay->syn.options_len) : 0));
	struct pbuf *packet = pbuf_alloc(PBUF_LINK, len, PBUF_RAM);
	uint8_t *tcp;

	if (!packet)
		return;
	memset(packet->payload, 0, packet->len);
	tcp = (uint8_t *)packet->payload + header_len;
	put_tcp(tcp, replay, flags);
	pbuf_remove_header(packet, header_len);
	((struct tcp_hdr *)(void *)tcp)->chksum = ip_chksum_pseudo(packet, IP_PROTO_TCP,
		packet->tot_len, &replay->client, &replay->local);
	pbuf_add_header(packet, header_len);
	if (is_ip6) {
		put_ip6(packet->payload, replay, len);
		ip6_input(packet, replay->netif);
	} else {
		put_ip4(packet->payload, replay, len);
		ip4_input(packet, replay->netif);
	}
}

void pst_lwip_gate_replay(struct pst_lwip *lwip)
{
	struct pst_lwip_gate *gate = &lwip->gate;

	for (uint8_t i = 0; i < gate->replay_count; i++) {
		gate->replaying = &gate->replays[i];
		play(gate->replaying, TCP_SYN);
		if (gate->replaying->isn_known)
			play(gate->replaying, TCP_ACK);
	}
	gate->replaying = NULL;
	gate->replay_count = 0;
}

/* --- the whole ------------------------------------------------------------------------------ */

static size_t halves_size(const struct pst_lwip_limits *limits)
{
	return limits->half_count_max * sizeof(struct pst_lwip_half);
}

int pst_lwip_gate_open(struct pst_lwip *lwip)
{
	struct pst_lwip_gate *gate = &lwip->gate;

	gate->halves = pst_mem_alloc(lwip->mem, halves_size(&lwip->limits));
	gate->replays = pst_mem_alloc(lwip->mem, REPLAYS_MAX * sizeof(*gate->replays));
	if (gate->halves && gate->replays)
		return 0;
	pst_lwip_gate_close(lwip);
	return -PST_E_NOMEM;
}

void pst_lwip_gate_close(struct pst_lwip *lwip)
{
	struct pst_lwip_gate *gate = &lwip->gate;

	PST_BUG_ON(gate->half_count);
	pst_mem_free(lwip->mem, gate->halves, halves_size(&lwip->limits));
	pst_mem_free(lwip->mem, gate->replays, REPLAYS_MAX * sizeof(*gate->replays));
}

uint64_t pst_lwip_gate_bound(const struct pst_lwip_limits *limits)
{
	return halves_size(limits) + REPLAYS_MAX * sizeof(struct pst_lwip_replay);
}
