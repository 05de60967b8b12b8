/* sim/wire_lwip.c - see wire.h
 *
 * A host is an interface of the one lwIP, with a hub between all of them. Frames wait in a list by the
 * time of their arrival; those of one time keep their order. The proxy's interface has no other
 * privilege than that of being first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_lwip.h"
#include "sim/wire.h"

#define HOSTS_MAX 16
#define QUEUE_MAX 4096 /* a wire has no more room than that: then frames are lost */

struct host {
	struct pst_frames frames;
	struct pst_lwip_interface interface;
	struct wire *wire;
	struct pst_addr address;
	/* Cut off until then: what it sends, what is sent to it. */
	uint64_t mute_until_ms, deaf_until_ms;
};

struct frame {
	struct frame *next;
	uint64_t due_ms;
	uint32_t from, len;
	uint8_t bytes[];
};

struct wire {
	struct pst_stage_wire seam;
	struct sim *sim;
	struct pst_rng_seed rng;
	struct pst_lwip lwip;
	struct host hosts[HOSTS_MAX];
	uint32_t host_count;
	struct frame *queue;
	uint32_t queued_count;
	struct pst_timer timer;
	bool calm;
	FILE *pcap;
};

static struct wire *wire_of(struct pst_stage_wire *seam)
{
	return PST_CONTAINER(seam, struct wire, seam);
}

static uint64_t now_of(const struct wire *wire)
{
	return wire->sim->stage.loop.now_ms;
}

/* --- for Wireshark ------------------------------------------------------------------------------ */

static void pcap_open(struct wire *wire)
{
	static const uint32_t head[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};

	if (!wire->sim->pcap)
		return;
	wire->pcap = fopen(wire->sim->pcap, "wb");
	if (wire->pcap)
		fwrite(head, sizeof(head), 1, wire->pcap);
}

static void pcap_add(struct wire *wire, const struct frame *frame)
{
	uint64_t now_ms = now_of(wire);
	const uint32_t head[] = {(uint32_t)(now_ms / 1000), (uint32_t)(now_ms % 1000 * 1000),
				 frame->len, frame->len};

	if (!wire->pcap)
		return;
	fwrite(head, sizeof(head), 1, wire->pcap);
	fwrite(frame->bytes, frame->len, 1, wire->pcap);
}

/* --- frames on their way ------------------------------------------------------------------------ */

static bool happens(struct wire *wire, uint32_t of_thousand)
{
	return !wire->calm && of_thousand > 0 &&
	       pst_rng_seed_below(&wire->rng, 1000) < of_thousand;
}

static void enqueue(struct wire *wire, struct frame *frame)
{
	const struct sim_plan *plan = &wire->sim->plan;
	struct frame **place = &wire->queue;

	if (wire->queued_count == QUEUE_MAX) {
		free(frame);
		return;
	}
	frame->due_ms = now_of(wire) + plan->delay_ms;
	if (plan->jitter_ms > 0)
		frame->due_ms += pst_rng_seed_below(&wire->rng, plan->jitter_ms);
	while (*place && (*place)->due_ms <= frame->due_ms)
		place = &(*place)->next;
	frame->next = *place;
	*place = frame;
	wire->queued_count++;
	pst_timer_set(&wire->sim->stage.loop, &wire->timer, wire->queue->due_ms);
}

static struct frame *frame_new(uint32_t from, const struct pst_span *parts, uint32_t count)
{
	uint32_t len = 0;
	struct frame *frame;

	for (uint32_t i = 0; i < count; i++)
		len += parts[i].len;
	frame = malloc(sizeof(*frame) + len);
	PST_BUG_ON(!frame);
	frame->from = from;
	frame->len = 0;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(frame->bytes + frame->len, parts[i].at, parts[i].len);
		frame->len += parts[i].len;
	}
	return frame;
}

/* A cable's own check sum finds what happens on it; routers damage what is in their memory, from the IP
 * header on. ARP has no check sum, and never passes one. */
static void damage(struct wire *wire, struct frame *frame)
{
	uint32_t at = PST_FRAME_HEADER +
		      pst_rng_seed_below(&wire->rng, frame->len - PST_FRAME_HEADER);

	if (frame->bytes[12] == 0x08 && frame->bytes[13] == 0x00)
		frame->bytes[at] ^= (uint8_t)(1 + pst_rng_seed_below(&wire->rng, 255));
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* A middlebox has enough of this connection: the receiver hears so from the sender, with the number that comes next. */
static struct frame *forge_reset(struct wire *wire, const struct frame *frame)
{
	uint32_t next, sum = 6 + 20;
	struct pst_span whole = {frame->bytes, PST_FRAME_HEADER + 40};
	struct frame *reset;
	uint8_t *ip, *tcp;

	if (frame->len < whole.len || get16(frame->bytes + 12) != 0x0800 || frame->bytes[14] != 0x45 ||
	    frame->bytes[23] != 6)
		return NULL;
	reset = frame_new(frame->from, &whole, 1);
	ip = reset->bytes + PST_FRAME_HEADER;
	tcp = ip + 20;
	next = (get16(tcp + 4) << 16 | get16(tcp + 6)) + get16(ip + 2) - 20 -
	       (uint32_t)(tcp[12] >> 4) * 4 + ((tcp[13] & 2) != 0);
	for (int i = 0; i < 4; i++)
		tcp[4 + i] = (uint8_t)(next >> (24 - 8 * i));
	tcp[12] = 0x50;
	tcp[13] = 0x14;
	memset(tcp + 14, 0, 6);
	memcpy(ip + 2, "\0\50", 2);
	memset(ip + 10, 0, 2);
	for (int i = 12; i < 40; i += 2)
		sum += get16(ip + i);
	put_sum(tcp + 16, sum);
	sum = 0;
	for (int i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	put_sum(ip + 10, sum);
	pcap_add(wire, reset);
	return reset;
}

static void send(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	struct host *host = PST_CONTAINER(frames, struct host, frames);
	struct wire *wire = host->wire;
	const struct sim_plan *plan = &wire->sim->plan;
	struct frame *frame = frame_new((uint32_t)(host - wire->hosts), parts, count);
	struct frame *reset = NULL;

	pcap_add(wire, frame);
	sim_hash(wire->sim, frame->bytes, frame->len);
	if (happens(wire, plan->loss) || host->mute_until_ms > now_of(wire)) {
		free(frame);
		return;
	}
	if (happens(wire, plan->duplicate)) {
		struct pst_span whole = {frame->bytes, frame->len};

		enqueue(wire, frame_new(frame->from, &whole, 1));
	}
	if (happens(wire, plan->corrupt))
		damage(wire, frame);
	if (happens(wire, plan->reset))
		reset = forge_reset(wire, frame);
	enqueue(wire, frame);
	if (reset)
		enqueue(wire, reset);
}

static void deliver(struct wire *wire, const struct frame *frame)
{
	for (uint32_t i = 0; i < wire->host_count; i++) {
		struct host *host = &wire->hosts[i];
		bool is_for_it = (frame->bytes[0] & 1) ||
				 memcmp(frame->bytes, host->interface.mac, 6) == 0;

		if (i != frame->from && is_for_it && host->frames.on_frame &&
		    host->deaf_until_ms <= now_of(wire))
			host->frames.on_frame(&host->frames,
					      (struct pst_span){frame->bytes, frame->len});
	}
}

static void on_due(struct pst_timer *timer)
{
	struct wire *wire = PST_CONTAINER(timer, struct wire, timer);
	uint32_t count = wire->queued_count; /* what is sent meanwhile has its own turn */

	while (wire->queue && wire->queue->due_ms <= now_of(wire) && count-- > 0) {
		struct frame *frame = wire->queue;

		wire->queue = frame->next;
		wire->queued_count--;
		deliver(wire, frame);
		free(frame);
	}
	if (wire->queue)
		pst_timer_set(&wire->sim->stage.loop, &wire->timer, wire->queue->due_ms);
}

/* --- hosts -------------------------------------------------------------------------------------- */

/*  in  second: one of IPv6, or NULL */
static struct host *host_new(struct wire *wire, const struct pst_addr *address,
			     const struct pst_addr *second)
{
	struct pst_interface_conf conf = {0};
	struct host *host = &wire->hosts[wire->host_count];
	uint8_t number = (uint8_t)wire->host_count;

	PST_BUG_ON(wire->host_count == HOSTS_MAX);
	memcpy(conf.mac, (const uint8_t[]){2, 0, 0, 0, 1, number}, 6);
	if (address->family == PST_FAMILY_IPV4)
		conf.ipv4.net = *address;
	else
		conf.ipv6[conf.ipv6_count++] = (struct pst_cidr){.net = *address, .bits = 64};
	if (number == 0 && second)
		conf.ipv6[conf.ipv6_count++] = (struct pst_cidr){.net = *second, .bits = 64};
	host->wire = wire;
	host->address = *address;
	host->frames.send = send;
	PST_BUG_ON(pst_lwip_add(&wire->lwip, &host->interface, &host->frames, &conf) < 0);
	wire->host_count++;
	return host;
}

static struct pst_net *net_of(struct pst_stage_wire *seam, const struct pst_addr *address)
{
	struct wire *wire = wire_of(seam);

	for (uint32_t i = 0; i < wire->host_count; i++)
		if (pst_addr_eq(&wire->hosts[i].address, address))
			return &wire->hosts[i].interface.net;
	return &host_new(wire, address, NULL)->interface.net;
}

static void open_wire(struct pst_stage_wire *seam, struct pst_stage *stage)
{
	static const struct pst_lwip_limits limits = {
		.accept_bytes_max = 4 * 1024 * 1024,
		.connect_bytes_max = 4 * 1024 * 1024,
		.half_count_max = 64,
		.half_network_max = 64,
		.accept_turn_max = 16,
	};
	struct wire *wire = wire_of(seam);
	bool ipv6 = wire->sim->plan.ipv6_listener > 0;
	struct pst_addr address, own, clients;

	PST_BUG_ON(pst_lwip_open(&wire->lwip, &stage->loop, &wire->sim->wire_memory.mem, &stage->rng.rng,
				 &limits) < 0);
	PST_BUG_ON(pst_addr_parse(PST_SPAN("192.0.2.25"), &address) < 0);
	PST_BUG_ON(pst_addr_parse(PST_SPAN("2001:db8:7:1::25"), &own) < 0);
	PST_BUG_ON(pst_addr_parse(PST_SPAN("2001:db8:7:1::1"), &clients) < 0);
	seam->proxy_net = &host_new(wire, &address, ipv6 ? &own : NULL)->interface.net;
	if (!ipv6)
		return;
	/* IPv6 looks first for who else has the address. */
	(void)host_new(wire, &clients, NULL);
	while (!pst_lwip_is_ready(&wire->hosts[0].interface) ||
	       !pst_lwip_is_ready(&wire->hosts[1].interface))
		pst_loop_turn(&stage->loop, true);
}

static void close_wire(struct pst_stage_wire *seam)
{
	struct wire *wire = wire_of(seam);

	for (uint32_t i = wire->host_count; i-- > 0;)
		sim_trace(wire->sim, "host %u: %llu frames in, %llu out, %llu lost", i,
			  (unsigned long long)wire->hosts[i].frames.in_count,
			  (unsigned long long)wire->hosts[i].frames.out_count,
			  (unsigned long long)wire->hosts[i].frames.lost_count);
	for (uint32_t i = wire->host_count; i-- > 0;)
		pst_lwip_remove(&wire->hosts[i].interface);
	while (wire->queue) {
		struct frame *frame = wire->queue;

		wire->queue = frame->next;
		free(frame);
	}
	pst_timer_cancel(&wire->sim->stage.loop, &wire->timer);
	pst_lwip_close(&wire->lwip);
	if (wire->pcap)
		fclose(wire->pcap);
}

struct pst_stage_wire *sim_wire_new(struct sim *sim)
{
	struct wire *wire = calloc(1, sizeof(*wire));

	PST_BUG_ON(!wire);
	wire->sim = sim;
	wire->seam = (struct pst_stage_wire){
		.open = open_wire, .close = close_wire, .net_of = net_of};
	wire->timer.on_due = on_due;
	pst_rng_seed_init(&wire->rng, sim->seed ^ UINT64_C(0x317e));
	pcap_open(wire);
	return &wire->seam;
}

void sim_wire_free(struct pst_stage_wire *seam)
{
	free(wire_of(seam));
}

void sim_wire_calm(struct pst_stage_wire *seam)
{
	struct wire *wire = wire_of(seam);

	wire->calm = true;
	for (uint32_t i = 0; i < wire->host_count; i++)
		wire->hosts[i].mute_until_ms = wire->hosts[i].deaf_until_ms = 0;
}

void sim_wire_part(struct pst_stage_wire *seam, uint32_t which, bool mute, bool deaf, uint64_t ms)
{
	struct wire *wire = wire_of(seam);
	struct host *host = &wire->hosts[which % wire->host_count];

	if (mute)
		host->mute_until_ms = now_of(wire) + ms;
	if (deaf)
		host->deaf_until_ms = now_of(wire) + ms;
}
