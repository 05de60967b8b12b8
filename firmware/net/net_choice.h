/* net/net_choice.h - several networks as one: an address says which
 *
 * Layer: net. Uses: base, loop.
 * Concept: `via` of the address that is listened on or connected to picks the network; from then on
 * the connection is that network's. So whoever listens and connects need not know that there are
 * several.
 */
#ifndef PST_NET_NET_CHOICE_H
#define PST_NET_NET_CHOICE_H

#include "net/interface_conf.h"
#include "net/net.h"

struct pst_net_choice {
	struct pst_net net;
	struct pst_net *nets[1 + PST_INTERFACES_MAX]; /* by `via`; NULL: there is none */
};

/* Nothing to give back.
 *  in  first: for `via` 0 */
void pst_net_choice_init(struct pst_net_choice *choice, struct pst_net *first);

#endif
