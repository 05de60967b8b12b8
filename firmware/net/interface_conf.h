/* net/interface_conf.h - what the owner says about an interface of our own TCP/IP
 *
 * Layer: net. Uses: base.
 */
#ifndef PST_NET_INTERFACE_CONF_H
#define PST_NET_INTERFACE_CONF_H

#include "base/addr.h"

#define PST_INTERFACES_MAX 4
#define PST_INTERFACE_NAME_MAX 15 /* Linux's IFNAMSIZ, without the NUL */
#define PST_INTERFACE_IPV6_MAX 2

enum pst_interface_driver {
	PST_INTERFACE_TAP,    /* a TAP device of this name, made if it is not there */
	PST_INTERFACE_PACKET, /* a packet socket on an interface of this name */
};

struct pst_interface_conf {
	char name[PST_INTERFACE_NAME_MAX + 1];
	enum pst_interface_driver driver;
	uint8_t mac[6];
	bool mac_auto; /* made of the host's name and the interface's, the same at every start */
	struct pst_cidr ipv4;    /* with the host's own bits in `net`; family NONE: none */
	struct pst_addr gateway; /* family NONE: none */
	struct pst_cidr ipv6[PST_INTERFACE_IPV6_MAX]; /* likewise, besides the link-local one */
	uint32_t ipv6_count;
	bool dhcp;  /* IPv4 */
	bool slaac; /* IPv6, and the way out of the network */
};

#endif
