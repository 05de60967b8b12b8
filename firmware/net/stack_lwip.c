/* net/stack_lwip.c - lwIP as a whole: its clock and randomness, its interfaces
 *
 * lwIP is made of globals and cannot be started twice, so it is started once in a process and left
 * standing; what is opened and closed here is our use of it. While nobody uses it its clock stands
 * still, as far as it can tell.
 *
 * Its cyclic timers (ARP, neighbours, multicast groups, fragments) keep one timer of the loop armed,
 * at most 100 ms away; what TCP needs is among them. So nothing has to be armed anew when a call
 * makes lwIP want to be woken: it is looked at soon enough.
 */
#include <lwip/dhcp.h>
#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/init.h>
#include <lwip/nd6.h>
#include <lwip/prot/dhcp.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>
#include <string.h>

#include "net/lwip_priv.h"

#define FRAME_PAYLOAD_MAX 1500 /* Ethernet's */

struct pst_lwip *pst_lwip_current;

static bool started;
static uint32_t clock_ms;

uint32_t pst_lwip_conns_max(void)
{
	return MEMP_NUM_TCP_PCB;
}

/* --- what lwIP calls ------------------------------------------------------------------------ */

u32_t sys_now(void)
{
	if (pst_lwip_current)
		clock_ms = (uint32_t)pst_lwip_current->loop->now_ms;
	return clock_ms;
}

uint32_t pst_lwip_random(void)
{
	return pst_lwip_current ? (uint32_t)pst_rng_u64(pst_lwip_current->rng) : 0;
}

_Noreturn void pst_lwip_assert_failed(const char *text, const char *file, int line)
{
	pst_bug(file, line, text);
}

/* --- addresses and errors ------------------------------------------------------------------- */

int pst_lwip_error(err_t error)
{
	switch (error) {
	case ERR_OK:
		return 0;
	case ERR_MEM:
	case ERR_BUF:
		return PST_E_NOMEM;
	case ERR_RTE:
		return PST_E_UNREACH;
	case ERR_USE:
		return PST_E_BUSY;
	case ERR_TIMEOUT:
	case ERR_ABRT: /* given up here: no answer, or no memory */
		return PST_E_TIMEOUT;
	case ERR_RST:
		return PST_E_RESET;
	case ERR_CLSD:
		return PST_E_CLOSED;
	default:
		return PST_E_IO;
	}
}

struct pst_addr pst_lwip_addr_from(const ip_addr_t *ip, uint16_t port)
{
	struct pst_addr addr = {.port = port};

	if (IP_IS_V6(ip)) {
		addr.family = PST_FAMILY_IPV6;
		memcpy(addr.ip, ip_2_ip6(ip)->addr, 16);
		pst_addr_unmap(&addr);
	} else {
		addr.family = PST_FAMILY_IPV4;
		memcpy(addr.ip, &ip_2_ip4(ip)->addr, 4);
	}
	return addr;
}

void pst_lwip_addr_to(const struct pst_addr *addr, ip_addr_t *ip)
{
	memset(ip, 0, sizeof(*ip));
	switch (addr->family) {
	case PST_FAMILY_IPV4:
		IP_SET_TYPE(ip, IPADDR_TYPE_V4);
		memcpy(&ip_2_ip4(ip)->addr, addr->ip, 4);
		break;
	case PST_FAMILY_IPV6:
		IP_SET_TYPE(ip, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(ip)->addr, addr->ip, 16);
		break;
	default:
		IP_SET_TYPE(ip, IPADDR_TYPE_ANY);
		break;
	}
}

uint32_t pst_lwip_addresses(const struct pst_lwip_interface *interface, struct pst_addr *out,
	uint32_t max)
{
	const struct netif *netif = interface->netif;
	uint32_t count = 0;

	if (count < max && !ip4_addr_isany(netif_ip4_addr(netif)))
		out[count++] = pst_lwip_addr_from(netif_ip_addr4(netif), 0);
	for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES && count < max; i++)
		if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)))
			out[count++] = pst_lwip_addr_from(netif_ip_addr6(netif, i), 0);
	return count;
}

bool pst_lwip_has_addr(const struct pst_lwip_interface *interface, const struct pst_addr *addr)
{
	static const uint8_t zero[sizeof(addr->ip)];
	struct pst_addr all[1 + LWIP_IPV6_NUM_ADDRESSES];
	uint32_t count = pst_lwip_addresses(interface, all, PST_COUNT(all));

	if (memcmp(addr->ip, zero, sizeof(zero)) == 0)
		return true;
	for (uint32_t i = 0; i < count; i++)
		if (pst_addr_eq(&all[i], addr))
			return true;
	return false;
}

bool pst_lwip_is_ready(const struct pst_lwip_interface *interface)
{
	const struct netif *netif = interface->netif;

	if (netif_dhcp_data(netif) && ip4_addr_isany(netif_ip4_addr(netif)))
		return false;
	/* The link-local one comes first; nobody has to reach us by it at once. */
	for (int i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
		if (ip6_addr_istentative(netif_ip6_addr_state(netif, i)))
			return false;
	return true;
}

bool pst_lwip_is_quiet(const struct pst_lwip *lwip)
{
	(void)lwip;
	for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
		if (pcb->unsent || pcb->unacked)
			return false;
	return true;
}

/* --- frames --------------------------------------------------------------------------------- */

/* A segment of many small writes has more parts than a driver takes, and would have them again each time
 * it is sent: from the last one allowed on they are put together. */
static uint32_t join_parts(struct pbuf *packet, struct pst_span *parts)
{
	static uint8_t tail[PST_FRAME_HEADER + FRAME_PAYLOAD_MAX];
	uint32_t count = 0, done = 0;

	for (struct pbuf *part = packet; part; part = part->next) {
		if (count == PST_FRAME_PARTS_MAX - 1 && part->next) {
			u16_t left = (u16_t)(packet->tot_len - done);

			PST_BUG_ON(left > sizeof(tail));
			pbuf_copy_partial(packet, tail, left, (u16_t)done);
			parts[count++] = (struct pst_span){tail, left};
			break;
		}
		parts[count++] = (struct pst_span){part->payload, part->len};
		done += part->len;
	}
	return count;
}

static err_t link_output(struct netif *netif, struct pbuf *packet)
{
	struct pst_lwip_interface *interface = netif->state;
	struct pst_span parts[PST_FRAME_PARTS_MAX];
	uint32_t count = join_parts(packet, parts);

	interface->frames->out_count++;
	interface->frames->send(interface->frames, parts, count);
	return ERR_OK;
}

static struct pst_lwip_interface *interface_with(struct pst_lwip *lwip, struct pst_frames *frames)
{
	struct pst_node *node = pst_list_first(&lwip->interfaces);

	for (; node; node = pst_list_next(&lwip->interfaces, node)) {
		struct pst_lwip_interface *interface =
			PST_CONTAINER(node, struct pst_lwip_interface, node);

		if (interface->frames == frames)
			return interface;
	}
	return NULL;
}

static void on_frame(struct pst_frames *frames, struct pst_span frame)
{
	struct pst_lwip_interface *interface = interface_with(pst_lwip_current, frames);
	struct pbuf *packet;

	PST_BUG_ON(!interface);
	frames->in_count++;
	packet = frame.len <= UINT16_MAX - PST_FRAME_HEADER ?
		pbuf_alloc(PBUF_RAW, (u16_t)frame.len, PBUF_POOL) : NULL;
	if (!packet) {
		frames->lost_count++;
		/* Of what holds buffers without being of use to anybody yet, some makes way. */
		PBUF_CHECK_FREE_OOSEQ();
		return;
	}
	pbuf_take(packet, frame.at, (u16_t)frame.len);
	if (interface->netif->input(packet, interface->netif) != ERR_OK)
		pbuf_free(packet);
	PBUF_CHECK_FREE_OOSEQ();
	pst_lwip_gate_replay(interface->lwip);
	pst_lwip_settle(interface->lwip);
}

static void loopback_on_run(struct pst_task *task)
{
	struct pst_lwip_interface *interface =
		PST_CONTAINER(task, struct pst_lwip_interface, loopback);

	netif_poll(interface->netif);
	pst_lwip_gate_replay(interface->lwip);
	pst_lwip_settle(interface->lwip);
}

void pst_lwip_settle(struct pst_lwip *lwip)
{
	struct pst_node *node = pst_list_first(&lwip->interfaces);

	for (; node; node = pst_list_next(&lwip->interfaces, node)) {
		struct pst_lwip_interface *interface =
			PST_CONTAINER(node, struct pst_lwip_interface, node);

		if (interface->netif->loop_first)
			pst_loop_resume(lwip->loop, &interface->loopback);
	}
}

/* --- time ----------------------------------------------------------------------------------- */

static void arm(struct pst_lwip *lwip)
{
	u32_t sleep_ms = sys_timeouts_sleeptime();

	if (sleep_ms == SYS_TIMEOUTS_SLEEPTIME_INFINITE)
		sleep_ms = 1000;
	pst_timer_set(lwip->loop, &lwip->timer, lwip->loop->now_ms + sleep_ms);
}

static bool is_link_local(const struct pst_addr *addr)
{
	return addr->family == PST_FAMILY_IPV6 && addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

static bool is_among(const struct pst_addr *addr, const struct pst_addr *all, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (pst_addr_eq(addr, &all[i]))
			return true;
	return false;
}

/* lwIP has a callback for this, which comes in the middle of its work; there is no hurry. */
static void tell_addresses(struct pst_lwip_interface *interface)
{
	struct pst_addr all[PST_LWIP_ADDRESSES_MAX], before[PST_LWIP_ADDRESSES_MAX];
	uint32_t count = 0, before_count = interface->known_count;
	uint32_t all_count = pst_lwip_addresses(interface, all, PST_COUNT(all));

	for (uint32_t i = 0; i < all_count; i++)
		if (!is_link_local(&all[i]))
			all[count++] = all[i];
	memcpy(before, interface->known, sizeof(before));
	memcpy(interface->known, all, count * sizeof(all[0]));
	interface->known_count = (uint8_t)count;
	for (uint32_t i = 0; i < before_count; i++)
		if (!is_among(&before[i], all, count))
			interface->on_change(interface, PST_LWIP_LOST, &before[i]);
	for (uint32_t i = 0; i < count; i++)
		if (!is_among(&all[i], before, before_count))
			interface->on_change(interface, PST_LWIP_GOT, &all[i]);
}

static void tell_lease(struct pst_lwip_interface *interface)
{
	const struct dhcp *dhcp = netif_dhcp_data(interface->netif);
	bool unanswered = dhcp && dhcp->state == DHCP_STATE_REBINDING;

	if (unanswered && !interface->unanswered)
		interface->on_change(interface, PST_LWIP_UNANSWERED, NULL);
	interface->unanswered = unanswered;
}

static void tell_changes(struct pst_lwip *lwip)
{
	struct pst_node *node = pst_list_first(&lwip->interfaces);

	for (; node; node = pst_list_next(&lwip->interfaces, node)) {
		struct pst_lwip_interface *interface =
			PST_CONTAINER(node, struct pst_lwip_interface, node);

		if (!interface->on_change)
			continue;
		tell_addresses(interface);
		tell_lease(interface);
	}
}

static void timer_on_due(struct pst_timer *timer)
{
	struct pst_lwip *lwip = PST_CONTAINER(timer, struct pst_lwip, timer);

	sys_check_timeouts();
	tell_changes(lwip);
	pst_lwip_settle(lwip);
	arm(lwip);
}

/* --- interfaces ----------------------------------------------------------------------------- */

static err_t netif_begin(struct netif *netif)
{
	struct pst_lwip_interface *interface = netif->state;

	netif->name[0] = 'p';
	netif->name[1] = 'n';
	netif->mtu = FRAME_PAYLOAD_MAX;
	netif->mtu6 = FRAME_PAYLOAD_MAX;
	netif->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(netif->hwaddr, interface->mac, ETH_HWADDR_LEN);
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
		NETIF_FLAG_LINK_UP | NETIF_FLAG_MLD6;
	netif->output = etharp_output;
	netif->output_ip6 = ethip6_output;
	netif->linkoutput = link_output;
	return ERR_OK;
}

static void ipv4_of(const struct pst_addr *addr, ip4_addr_t *out)
{
	memset(out, 0, sizeof(*out));
	if (addr->family == PST_FAMILY_IPV4)
		memcpy(&out->addr, addr->ip, 4);
}

static int add_ipv6(struct netif *netif, const struct pst_addr *addr)
{
	ip_addr_t ip;
	s8_t index;
	err_t error;

	pst_lwip_addr_to(addr, &ip);
	error = netif_add_ip6_address(netif, ip_2_ip6(&ip), &index);
	if (error == ERR_OK)
		netif_ip6_addr_set_state(netif, index, IP6_ADDR_TENTATIVE);
	return -pst_lwip_error(error);
}

static int set_addresses(struct netif *netif, const struct pst_interface_conf *conf)
{
	int ret = 0;

	netif_create_ip6_linklocal_address(netif, 1);
	for (uint32_t i = 0; i < conf->ipv6_count && ret == 0; i++)
		ret = add_ipv6(netif, &conf->ipv6[i].net);
	if (conf->slaac)
		netif_set_ip6_autoconfig_enabled(netif, 1);
	if (ret == 0 && conf->dhcp)
		ret = -pst_lwip_error(dhcp_start(netif));
	return ret;
}

int pst_lwip_add(struct pst_lwip *lwip, struct pst_lwip_interface *interface,
	struct pst_frames *frames, const struct pst_interface_conf *conf)
{
	ip4_addr_t address, mask, gateway;
	int ret;

	*interface = (struct pst_lwip_interface){
		.net = {.ops = &pst_lwip_net_ops, .loop = lwip->loop},
		.dgrams = {.ops = &pst_lwip_dgram_ops},
		.lwip = lwip,
		.frames = frames,
		.loopback = {.on_run = loopback_on_run},
	};
	pst_list_init(&interface->listeners);
	memcpy(interface->mac, conf->mac, sizeof(interface->mac));
	interface->netif = pst_mem_alloc(lwip->mem, sizeof(*interface->netif));
	if (!interface->netif)
		return -PST_E_NOMEM;
	ipv4_of(&conf->ipv4.net, &address);
	ipv4_of(&conf->gateway, &gateway);
	mask.addr = conf->ipv4.bits ? lwip_htonl(0xffffffffu << (32 - conf->ipv4.bits)) : 0;
	if (!netif_add(interface->netif, &address, &mask, &gateway, interface, netif_begin,
		    ethernet_input)) {
		ret = -PST_E_NOMEM;
		goto fail;
	}
	frames->on_frame = on_frame;
	pst_list_append(&lwip->interfaces, &interface->node);
	netif_set_default(interface->netif);
	netif_set_up(interface->netif);
	ret = set_addresses(interface->netif, conf);
	if (ret == 0) {
		pst_lwip_settle(lwip);
		return 0;
	}
	pst_lwip_remove(interface);
	return ret;
fail:
	pst_mem_free(lwip->mem, interface->netif, sizeof(*interface->netif));
	return ret;
}

/* Ends what lives on without an owner. */
static void abort_all(struct tcp_pcb **list, u8_t index)
{
	struct tcp_pcb *pcb = *list, *next;

	for (; pcb; pcb = next) {
		next = pcb->next;
		if (pcb->netif_idx == index) {
			tcp_abort(pcb);
			/* Others may have gone with it. */
			next = *list;
		}
	}
}

void pst_lwip_remove(struct pst_lwip_interface *interface)
{
	struct pst_lwip *lwip = interface->lwip;
	u8_t index = netif_get_index(interface->netif);

	PST_BUG_ON(!pst_list_empty(&interface->listeners));
	abort_all(&tcp_active_pcbs, index);
	abort_all(&tcp_tw_pcbs, index);
	if (netif_dhcp_data(interface->netif)) {
		dhcp_release_and_stop(interface->netif);
		dhcp_cleanup(interface->netif);
	}
	pst_loop_forget(&interface->loopback);
	netif_poll(interface->netif);
	interface->frames->on_frame = NULL;
	pst_list_remove(&interface->node);
	netif_remove(interface->netif);
	pst_mem_free(lwip->mem, interface->netif, sizeof(*interface->netif));
	interface->netif = NULL;
}

/* --- the whole ------------------------------------------------------------------------------ */

int pst_lwip_open(struct pst_lwip *lwip, struct pst_loop *loop, struct pst_mem *mem,
	struct pst_rng *rng, const struct pst_lwip_limits *limits)
{
	int ret;

	PST_BUG_ON(pst_lwip_current);
	*lwip = (struct pst_lwip){
		.loop = loop,
		.mem = mem,
		.rng = rng,
		.limits = *limits,
		.timer = {.on_due = timer_on_due},
		.key = {pst_rng_u64(rng), pst_rng_u64(rng)},
	};
	pst_list_init(&lwip->interfaces);
	ret = pst_lwip_gate_open(lwip);
	if (ret)
		return ret;
	pst_lwip_pools_init(lwip);
	pst_lwip_current = lwip;
	if (!started)
		lwip_init();
	else
		sys_restart_timeouts();
	started = true;
	arm(lwip);
	return 0;
}

void pst_lwip_close(struct pst_lwip *lwip)
{
	PST_BUG_ON(!pst_list_empty(&lwip->interfaces));
	pst_timer_cancel(lwip->loop, &lwip->timer);
	pst_lwip_pools_fini(lwip);
	pst_lwip_gate_close(lwip);
	pst_lwip_current = NULL;
}

uint64_t pst_lwip_bound(const struct pst_lwip_limits *limits)
{
	uint64_t pools = (uint64_t)PBUF_POOL_SIZE * (PBUF_POOL_BUFSIZE + sizeof(struct pbuf)) +
		(uint64_t)MEMP_NUM_TCP_PCB * sizeof(struct tcp_pcb) +
		(uint64_t)MEMP_NUM_TCP_SEG * sizeof(struct tcp_seg);

	/* What waits to be sent costs a third more than its bytes: headers of segments. */
	return pools + (uint64_t)MEMP_NUM_TCP_PCB * TCP_SND_BUF / 3 * 4 +
		pst_lwip_pools_bound(limits) + pst_lwip_gate_bound(limits);
}
