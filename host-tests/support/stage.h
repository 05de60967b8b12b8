/* support/stage.h - the whole proxy on a bench, with both its neighbours in the test's hands
 *
 * Concept: a stage holds one proxy, made from a configuration text, over simulated time, seeded
 * randomness, memory that counts and fails on demand, and one of three networks: pipes inside the
 * process, the kernel's sockets on the loopback address, or an interface of lwIP that reaches itself. On
 * either one the peers are ours: a peer is one end of a connection whose other end is the proxy's.
 * Addresses are whatever the test says; where the network has others, the stage translates, and the
 * proxy never learns.
 * Time passes in pst_stage_pass alone, over the kernel's sockets too. What a peer sends leaves whole,
 * byte by byte or in random pieces, one piece a turn; a peer of a slow kind waits between pieces.
 * A network of the owner's (a simulated wire) takes the place of the two by `plan.wire`.
 * Memory: the proxy's comes from `alloc`; the network's, the configuration's and the loop's from
 * `world`, which never fails.
 */
#ifndef PST_SUPPORT_STAGE_H
#define PST_SUPPORT_STAGE_H

#include "config/config.h"
#include "loop/loop_epoll.h"
#include "net/net_kernel.h"
#include "net/net_lwip.h"
#include "net/net_memory.h"
#include "proxy/proxy_priv.h"
#include "store/store_memory.h"
#include "support/alloc_fail.h"
#include "support/bytes.h"
#include "support/poller_sim.h"
#include "support/rng_seed.h"

enum pst_stage_cut { PST_CUT_WHOLE, PST_CUT_BYTES, PST_CUT_RANDOM };

enum pst_stage_net { PST_STAGE_PIPES, PST_STAGE_KERNEL, PST_STAGE_LWIP };

struct pst_peer;
struct pst_stage;

/* A network that the owner made. Addresses on it are real: the stage translates nothing. */
struct pst_stage_wire {
	/* Open and close it; the stage's loop is there in between. */
	void (*open)(struct pst_stage_wire *wire, struct pst_stage *stage);
	void (*close)(struct pst_stage_wire *wire);
	/* The net that the host of this address uses. */
	struct pst_net *(*net_of)(struct pst_stage_wire *wire, const struct pst_addr *address);
	struct pst_net *proxy_net; /* once it is open */
};

struct pst_stage_plan {
	enum pst_stage_net net;
	struct pst_stage_wire *wire; /* instead of `net`; NULL: none */
	struct pst_dns *dns;         /* the proxy's; NULL: none */
	const struct pst_charset *charset;
	uint64_t rng_seed;           /* of the proxy's randomness; 0: 1 */
	uint32_t timers_more;        /* that the owner arms on the loop */
	/* Whatever a peer has got or given, as it moves; NULL for none. */
	void (*on_bytes)(struct pst_peer *peer, bool by_proxy, struct pst_span bytes);
	enum pst_stage_cut cut;
	uint64_t seed;         /* of the random pieces */
	uint32_t pipe_bytes;   /* in flight per direction, pipes only; 0: 65536 */
	uint64_t fail_at;      /* the proxy's n-th allocation fails, counted from 1; 0: none */
	bool fail_on;          /* and all behind it */
};

/* How a peer's connection shall end, once everything it had to say has left. */
enum pst_peer_end { PST_PEER_STAY, PST_PEER_SHUT, PST_PEER_CLOSE, PST_PEER_RESET };

struct pst_peer {
	struct pst_peer *next, *next_open;
	struct pst_stage *stage;
	struct pst_net_conn conn; /* pipes and lwIP */
	int fd;                   /* sockets */
	struct pst_addr address;  /* as the proxy sees it */
	uint16_t true_port;
	struct pst_bytes in;      /* everything that has come */
	uint32_t looked;          /* of it, by the owner */
	struct pst_bytes out;     /* everything to be said */
	uint32_t said;
	uint8_t end_due;          /* enum pst_peer_end */
	bool open;                /* our end */
	bool ended;               /* the proxy will send no more */
	bool broken;              /* it broke the connection off, or nobody was there */
	bool deaf;                /* does not read */
	uint8_t cut;              /* enum pst_stage_cut; the plan's at first */
	uint32_t gap_ms;          /* it sends no piece within so long of the last */
	uint64_t next_ms;         /* of its next piece */
	/* It ends like this as soon as so many bytes have come, or left; 0: no such number. */
	uint32_t end_in, end_out;
	uint8_t end_early;        /* enum pst_peer_end */
	/* Bytes have come, or `ended` or `broken` was set. May say things. NULL for none. */
	void (*on_input)(struct pst_peer *peer);
	/* An end of ours was made: it is shut, or no longer open. NULL for none. */
	void (*on_end)(struct pst_peer *peer);
	void *owner;
};

/* Where the proxy can connect to. */
struct pst_door {
	struct pst_door *next;
	struct pst_stage *stage;
	struct pst_net_listener listener; /* pipes and lwIP */
	int fd;                           /* sockets */
	uint16_t true_port;
	struct pst_addr address;          /* as the proxy sees it */
	bool open;
	void (*on_peer)(struct pst_door *door, struct pst_peer *peer); /* a new connection */
	void *owner;
};

/* A listener of the proxy's. */
struct pst_stage_listener {
	struct pst_net_listener *net;
	struct pst_addr address;
	struct pst_net_conn *(*on_accept)(struct pst_net_listener *listener,
					  const struct pst_addr *peer, struct pst_span *refusal);
	void (*on_accepted)(struct pst_net_listener *listener, struct pst_net_conn *conn);
};

struct pst_stage {
	struct pst_stage_plan plan;
	struct pst_alloc_fail alloc, world;
	struct pst_poller_sim sim;
	struct pst_poller poller; /* sockets: the epoll's events, the simulation's time */
	struct pst_epoll epoll;
	struct pst_loop loop;
	struct pst_timer alarm, wake; /* of pst_stage_pass; of the next slow peer */
	bool alarm_rang;
	struct pst_net_memory memory;
	struct pst_net_kernel kernel;
	struct pst_lwip lwip;
	struct pst_lwip_interface interface;
	struct pst_frames frames; /* lead nowhere */
	struct pst_net_ops ops;
	const struct pst_net_ops *true_ops;
	struct pst_stage_listener listeners[PST_LISTENERS_MAX];
	struct pst_rng_seed rng, cuts, lwip_rng;
	struct pst_log log;
	void *log_area;
	struct pst_bytes log_text;   /* everything logged so far, without the time stamps */
	struct pst_counters counters;
	struct pst_store_memory store;
	struct pst_config_reader reader;
	struct pst_config_report report;
	struct pst_bytes conf_text;
	struct pst_bytes complaints; /* of the last load */
	uint32_t generation;
	struct pst_proxy *proxy;
	struct pst_peer *peers, **peers_end; /* all there ever were */
	struct pst_peer *open_peers, **open_peers_end;
	struct pst_door *doors;
	int nowhere_fd;              /* sockets: bound, and nobody listens */
	uint16_t nowhere_port, port_next;
	struct pst_addr nowhere;     /* lwIP: its address, without a port */
	uint64_t bound;              /* that the proxy gave for its memory */
	bool open, drained;
	bool wild;                   /* never came to rest */
	bool blocked;                /* a peer could not send in the last turn, though its time has come */
};

/* Make everything but the proxy. */
void pst_stage_init(struct pst_stage *stage, const struct pst_stage_plan *plan);
/* Load the configuration; `lines` stand behind `text` and replace what it gave.
 *  ret the generation, with one reference, or NULL: stage->complaints says why */
struct pst_config *pst_stage_load(struct pst_stage *stage, const char *text,
				  const struct pst_span *lines, uint32_t line_count);
/* Open the network, before any door or peer. */
void pst_stage_open(struct pst_stage *stage, const struct pst_proxy_conf *conf);
/* Make the proxy and open its listeners.
 *  in  config: the reference is taken over
 *  ret false: it could not be made (an allocation failed) */
bool pst_stage_begin(struct pst_stage *stage, struct pst_config *config);
/* Give everything back: the peers are dropped, the proxy is freed as it is. */
void pst_stage_fini(struct pst_stage *stage);

struct pst_door *pst_stage_door(struct pst_stage *stage, const struct pst_addr *address,
				void (*on_peer)(struct pst_door *door, struct pst_peer *peer),
				void *owner);
void pst_door_open(struct pst_door *door, bool open);

/* A client.
 *  in  from: its address; the port is given by the stage
 *      listener: index of the proxy's */
struct pst_peer *pst_stage_connect(struct pst_stage *stage, const struct pst_addr *from,
				   uint32_t listener);
void pst_peer_say(struct pst_peer *peer, struct pst_span bytes);
void pst_peer_end(struct pst_peer *peer, enum pst_peer_end end);

/* One turn, in which no time passes.
 *  ret true: something happened, or is about to */
bool pst_stage_turn(struct pst_stage *stage);
/* Turns until nothing happens any more; ret false: it never came to rest. */
bool pst_stage_settle(struct pst_stage *stage);
/* The same without waiting for what is still on its way through the kernel (little ever is). */
bool pst_stage_breathe(struct pst_stage *stage);
/* Turns until `done` says so, or nothing happens any more. */
bool pst_stage_until(struct pst_stage *stage, bool (*done)(void *context), void *context);
/* Timers that the network has armed all the time. */
uint32_t pst_stage_timer_count(const struct pst_stage *stage);
/* Settle, then let time pass. */
void pst_stage_pass(struct pst_stage *stage, uint64_t ms);

#endif
