/* net/share_lwip.c - who gets how much of lwIP's pools
 *
 * lwIP bounds what one connection takes, not what a crowd of them takes together: sixty-four that keep eight
 * frame buffers each with what came out of order hold all of 512, and then nobody's frames can be received
 * any more. Nothing here costs anything while there is plenty.
 *
 * Frame buffers: once half of them are in use, one network may keep a sixteenth; the last quarter is for frames
 * that have just arrived. Who wants to keep one then takes those of somebody at random, which most likely is one
 * of the crowd: an honest peer's gap is closed after a round trip.
 *
 * Segments that wait to be sent, or to be acknowledged: a connection may have a quarter of what is left. So n of
 * them that take all they get leave 4 / (n + 4) of the pool. It counts for those that cut our replies into small
 * pieces, by a small segment size or a small window; others are far below.
 */
#include <lwip/priv/tcp_priv.h>
#include <lwip/stats.h>
#include <postern_lwip_hooks.h>

#include "net/lwip_priv.h"

#define NETWORK_PART 16 /* so much of the buffers may one network keep */
#define SEND_PART 4

struct pst_addr pst_lwip_network_of(const ip_addr_t *ip)
{
	struct pst_addr addr = pst_lwip_addr_from(ip, 0);

	addr = pst_addr_network(&addr);
	if (addr.family == PST_FAMILY_IPV4)
		addr.ip[3] = 0;
	return addr;
}

/* --- frame buffers -------------------------------------------------------------------------- */

static uint32_t kept_count(const struct tcp_pcb *pcb)
{
	uint32_t count = 0;

	for (const struct tcp_seg *segment = pcb->ooseq; segment; segment = segment->next)
		count += pbuf_clen(segment->p);
	return count;
}

/* What the others of its network keep. */
static uint32_t kept_around(const struct tcp_pcb *pcb)
{
	struct pst_addr network = pst_lwip_network_of(&pcb->remote_ip);
	uint32_t count = 0;

	for (const struct tcp_pcb *other = tcp_active_pcbs; other; other = other->next) {
		struct pst_addr its;

		if (other == pcb || !other->ooseq)
			continue;
		its = pst_lwip_network_of(&other->remote_ip);
		if (pst_addr_eq(&its, &network))
			count += kept_count(other);
	}
	return count;
}

/*  ret false: nobody else keeps any */
static bool make_room(const struct tcp_pcb *pcb)
{
	uint32_t count = 0, nth;

	for (struct tcp_pcb *other = tcp_active_pcbs; other; other = other->next)
		count += other != pcb && other->ooseq;
	if (count == 0)
		return false;
	nth = (uint32_t)(pst_rng_u64(pst_lwip_current->rng) % count);
	for (struct tcp_pcb *other = tcp_active_pcbs; other; other = other->next) {
		if (other == pcb || !other->ooseq || nth--)
			continue;
		tcp_free_ooseq(other);
		break;
	}
	return true;
}

u16_t pst_lwip_ooseq_max(struct tcp_pcb *pcb)
{
	uint32_t used = (uint32_t)lwip_stats.memp[MEMP_PBUF_POOL]->used;

	if (used <= PBUF_POOL_SIZE / 2)
		return TCP_OOSEQ_MAX_PBUFS;
	if (kept_around(pcb) >= PBUF_POOL_SIZE / NETWORK_PART)
		return 0;
	if (used > PBUF_POOL_SIZE / 4 * 3 && !make_room(pcb))
		return 0;
	return TCP_OOSEQ_MAX_PBUFS;
}

/* --- segments ------------------------------------------------------------------------------- */

uint32_t pst_lwip_send_max(const struct tcp_pcb *pcb)
{
	uint32_t left = MEMP_NUM_TCP_SEG - (uint32_t)lwip_stats.memp[MEMP_TCP_SEG]->used;
	uint32_t count_max = PST_MIN(left / SEND_PART, (uint32_t)TCP_SND_QUEUELEN);
	/* lwIP cuts by half of the peer's window, too. */
	uint32_t size = PST_MIN((uint32_t)pcb->mss, PST_MAX((uint32_t)pcb->snd_wnd_max / 2, 1u));

	if (tcp_sndqueuelen(pcb) >= count_max)
		return 0;
	return PST_MIN((count_max - tcp_sndqueuelen(pcb)) * size, (uint32_t)tcp_sndbuf(pcb));
}
