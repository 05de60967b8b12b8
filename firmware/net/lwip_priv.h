/* net/lwip_priv.h - what the files of the lwIP adapter share
 *
 * Layer: net (adapter).
 */
#ifndef PST_NET_LWIP_PRIV_H
#define PST_NET_LWIP_PRIV_H

#include <lwip/ip_addr.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>

#include "net/net_lwip.h"

/* The one that is open; lwIP's hooks have no other way to find it. */
extern struct pst_lwip *pst_lwip_current;

/* The one extra argument of a pcb: a half while its handshake lasts, then a connection. */
#define PST_LWIP_ARG 0

/* What a client may send before anything of it was read. */
#define PST_LWIP_FIRST_WINDOW 16384

static inline struct pst_lwip_interface *pst_lwip_interface_of(struct pst_net *net)
{
	return PST_CONTAINER(net, struct pst_lwip_interface, net);
}

int pst_lwip_error(err_t error);
struct pst_addr pst_lwip_addr_from(const ip_addr_t *ip, uint16_t port);
/* An address of family NONE becomes "any of either family". */
void pst_lwip_addr_to(const struct pst_addr *addr, ip_addr_t *ip);
/* Has it this address, or is it the wildcard? */
bool pst_lwip_has_addr(const struct pst_lwip_interface *interface, const struct pst_addr *addr);
/* To be called whenever lwIP may have sent something: what an interface sends to itself waits for a
 * task of ours. */
void pst_lwip_settle(struct pst_lwip *lwip);

/* The pools of connections and of what they have not read. */
void pst_lwip_pools_init(struct pst_lwip *lwip);
void pst_lwip_pools_fini(struct pst_lwip *lwip);
uint64_t pst_lwip_pools_bound(const struct pst_lwip_limits *limits);

/* Is there room for so many bytes that have just arrived? If not, the segment is dropped: once lwIP has taken it,
 * it would have to be kept in frame buffers. */
bool pst_lwip_conn_takes(struct tcp_pcb *pcb, uint32_t len);

extern const struct pst_net_ops pst_lwip_net_ops;
extern const struct pst_dgram_ops pst_lwip_dgram_ops;

/* --- unread bytes --------------------------------------------------------------------------- */

struct pst_lwip_page;

/* What has arrived at a connection and was not read. All zero but for `lwip` and `of_client` at first. */
struct pst_lwip_unread {
	struct pst_lwip *lwip;
	struct pst_lwip_page *first, *last; /* NULL: nothing */
	uint32_t page_count;
	bool of_client; /* not of an internal server */
};

void pst_lwip_unread_init(struct pst_lwip *lwip);
void pst_lwip_unread_fini(struct pst_lwip *lwip);
uint64_t pst_lwip_unread_bound(const struct pst_lwip_limits *limits);

/* Copy a chain of frame buffers.
 *  ret false without memory: then nothing of it was copied */
bool pst_lwip_unread_put(struct pst_lwip_unread *unread, const struct pbuf *packet);
/* ret how many bytes were read; what they took is free */
uint32_t pst_lwip_unread_take(struct pst_lwip_unread *unread, uint8_t *area, uint32_t size);
void pst_lwip_unread_drop(struct pst_lwip_unread *unread);
/* Would put() have memory for so many bytes? Of internal servers' it is taken for granted. */
bool pst_lwip_unread_fits(const struct pst_lwip_unread *unread, uint32_t len);
/* Is so little left of the surplus that this client's window should be no larger than the first one? */
bool pst_lwip_unread_is_tight(const struct pst_lwip_unread *unread);

/* --- shares of lwIP's pools ----------------------------------------------------------------- */

/* How many bytes may be handed to lwIP now, to be sent. */
uint32_t pst_lwip_send_max(const struct tcp_pcb *pcb);
/* The network of a peer, as far as shares go: an IPv4 /24 or an IPv6 /64. */
struct pst_addr pst_lwip_network_of(const ip_addr_t *ip);

/* --- the gate ------------------------------------------------------------------------------- */

int pst_lwip_gate_open(struct pst_lwip *lwip) PST_MUST_CHECK;
void pst_lwip_gate_close(struct pst_lwip *lwip);
uint64_t pst_lwip_gate_bound(const struct pst_lwip_limits *limits);
/* A listener's pcbs pass the gate from now on. */
void pst_lwip_gate_guard(struct tcp_pcb *listener);
/* The handshake is over: the gate forgets the pcb.
 *  out syn: how it began */
void pst_lwip_gate_pass(struct tcp_pcb *pcb, struct pst_net_syn *syn);
/* Play again what valid cookies ask for; to be called when no frame is being looked at. */
void pst_lwip_gate_replay(struct pst_lwip *lwip);

#endif
