/* net/net_lwip.h - the stream and datagram seams over our own TCP/IP
 *
 * Layer: net (adapter). Uses: base, loop, net/frames.h, lwIP.
 * Concept: one lwIP for the process (it is made of globals), any number of interfaces in it. Each
 * interface owns a MAC address and its IP addresses, sends and gets Ethernet frames through a
 * driver, and is a `struct pst_net` and a `struct pst_dgrams` of its own: what listens on one is not
 * reached through another. The loop's clock is lwIP's; its randomness is the rng seam's.
 * Nothing of ours is called while lwIP runs: its callbacks note what has happened, and the owners
 * hear of it in the loop's task phase.
 * Memory: pcbs, segments and frame buffers are lwIP's fixed pools (Kconfig); what a peer has sent and
 * nobody has read lies in pages of ours, so that frame buffers are never held by a slow reader; what
 * waits to be sent is libc's, at most POSTERN_LWIP_SEND_KIB a connection.
 */
#ifndef PST_NET_NET_LWIP_H
#define PST_NET_NET_LWIP_H

#include "base/hash.h"
#include "base/rng.h"
#include "net/dgram.h"
#include "net/frames.h"
#include "net/interface_conf.h"
#include "net/net.h"

/* How many connections can be open at a time, those that are ending included; more have nothing left
 * of memory to be made of. */
uint32_t pst_lwip_conns_max(void);
/* One for lwIP's own timeouts. */
#define PST_LWIP_TIMERS_MAX 1

struct pst_lwip_limits {
	/* Bytes that have arrived on accepted and on connected sockets and wait to be read, in all.
	 * Two figures, so that clients who send a lot cannot keep the internal servers' replies out.
	 * Clients have a right to 16 KiB each; what they have beyond comes of an eighth more. */
	uint32_t accept_bytes_max, connect_bytes_max;
	/* Clients whose handshake is not over: in all (then one at random makes way, and its
	 * handshake can still be ended by what it sends), and of one IPv4 /24 or IPv6 /64. */
	uint32_t half_count_max, half_network_max;
	uint32_t accept_turn_max; /* clients accepted per listener and turn */
};

/* A SYN, and what must be kept of it to play it again. */
struct pst_lwip_syn {
	struct pst_net_syn told; /* what it tells of the client */
	uint16_t window;
	uint8_t options_len;
	uint8_t options[40]; /* as they were */
};

struct pst_lwip_half;
struct pst_lwip_replay;

/* Handshakes that are not over. */
struct pst_lwip_gate {
	struct pst_lwip_half *halves; /* half_count_max of them; the first half_count are in use */
	uint32_t half_count;
	struct pst_lwip_syn syn;      /* the segment that is being looked at */
	uint32_t syn_seq;
	bool syn_seen;                /* and the next sequence number is for it */
	uint8_t replay_count;
	const struct pst_lwip_replay *replaying; /* whose SYN is being played again; NULL: nobody's */
	uint64_t pressed_until_ms;    /* somebody had to make way: cookies count until then */
	struct pst_lwip_replay *replays;
	uint64_t evicted_count, revived_count;
};

struct pst_lwip {
	struct pst_loop *loop;
	struct pst_mem *mem;
	struct pst_rng *rng;
	struct pst_lwip_limits limits;
	struct pst_list interfaces;
	struct pst_timer timer;
	struct pst_pool conn_pool, accept_pages, connect_pages;
	int32_t claimed_count; /* of accept_pages: what clients have, or will have, a right to and have not taken */
	struct pst_hash_key key; /* of sequence numbers and cookies */
	struct pst_lwip_gate gate;
	/* Whose callback is running; NULL once that was closed in it. */
	struct pst_net_conn *current;
	struct pst_net_listener *accepting;
};

struct netif;

/* IPv4's, and IPv6's beside its link-local one. */
#define PST_LWIP_ADDRESSES_MAX 5

enum pst_lwip_change {
	PST_LWIP_GOT,        /* an address is there */
	PST_LWIP_LOST,       /* or no longer */
	PST_LWIP_UNANSWERED, /* nobody renews the lease: the address will be lost when it ends */
};

struct pst_lwip_interface {
	struct pst_net net;
	struct pst_dgrams dgrams;
	struct pst_lwip *lwip;
	struct pst_frames *frames;
	struct netif *netif;
	struct pst_node node;
	struct pst_list listeners;
	struct pst_task loopback; /* what it has sent to itself */
	/* What DHCP or the routers have changed, link-local addresses excepted, those that are there when it is
	 * set included; from the loop's timer phase. NULL: nobody is told. Set after pst_lwip_add.
	 *  in  addr: NULL if it is about none */
	void (*on_change)(struct pst_lwip_interface *interface, enum pst_lwip_change change,
			  const struct pst_addr *addr);
	struct pst_addr known[PST_LWIP_ADDRESSES_MAX];
	uint8_t known_count;
	bool unanswered;
	uint8_t mac[6];
};

/* Start lwIP. Only one may be open in a process at a time.
 *  ret 0 | -PST_E_NOMEM */
int pst_lwip_open(struct pst_lwip *lwip, struct pst_loop *loop, struct pst_mem *mem,
		  struct pst_rng *rng, const struct pst_lwip_limits *limits) PST_MUST_CHECK;
/* Every interface must have been removed before. */
void pst_lwip_close(struct pst_lwip *lwip);
/* The memory that it can take at most, lwIP's own included. */
uint64_t pst_lwip_bound(const struct pst_lwip_limits *limits);

/* Add an interface and bring it up; its driver may hand in frames from now on.
 *  in  frames: outlives the interface
 *  ret 0 | -PST_E_NOMEM */
int pst_lwip_add(struct pst_lwip *lwip, struct pst_lwip_interface *interface,
		 struct pst_frames *frames, const struct pst_interface_conf *conf) PST_MUST_CHECK;
/* Every connection, datagram socket and listener of it must have been closed. What was still to be
 * delivered is given up. */
void pst_lwip_remove(struct pst_lwip_interface *interface);

/* Are its addresses there and known to be nobody else's? (DHCP has answered, IPv6 addresses are no
 * longer tentative.) */
bool pst_lwip_is_ready(const struct pst_lwip_interface *interface);
/* Has every connection without an owner delivered what it had? */
bool pst_lwip_is_quiet(const struct pst_lwip *lwip);
/* Its addresses now.
 *  ret how many, at most `max` */
uint32_t pst_lwip_addresses(const struct pst_lwip_interface *interface, struct pst_addr *out,
			    uint32_t max);

#endif
