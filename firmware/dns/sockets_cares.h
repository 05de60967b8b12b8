/* dns/sockets_cares.h - sockets for c-ares, made of our two network seams
 *
 * Layer: dns (adapter). Uses: net, loop, base.
 * Concept: a table of sockets; c-ares' "descriptor" is a place in it. UDP is a connected datagram socket,
 * TCP a connection of the stream seam.
 */
#ifndef PST_DNS_SOCKETS_CARES_H
#define PST_DNS_SOCKETS_CARES_H

#include <ares.h>

#include "net/dgram.h"
#include "net/net.h"

#define PST_CARES_SOCKETS_MAX 48

struct pst_cares_sockets;

struct pst_cares_socket {
	struct pst_cares_sockets *sockets;
	void *channel; /* whose it is; NULL: free */
	bool stream;
	bool connected; /* aconnect was called */
	struct pst_addr peer, local;
	union {
		struct pst_dgram dgram;
		struct pst_net_conn conn;
	};
};

struct pst_cares_sockets {
	struct pst_net *net;
	struct pst_dgrams *dgrams;
	/* Something can be done with a socket of this channel. */
	void (*on_ready)(void *channel, ares_socket_t socket, bool readable, bool writable);
	struct pst_cares_socket table[PST_CARES_SOCKETS_MAX];
};

/* Set before a channel of `user_data` opens its first socket. */
struct pst_cares_user {
	struct pst_cares_sockets *sockets;
	void *channel;
};

extern const struct ares_socket_functions_ex pst_cares_socket_functions;
/* For c-ares' ARES_OPT_SOCK_STATE_CB; its data is a struct pst_cares_user. */
void pst_cares_socket_state(void *data, ares_socket_t socket, int readable, int writable);

#endif
