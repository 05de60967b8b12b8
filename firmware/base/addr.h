/* base/addr.h - IP addresses, ports and networks
 *
 * Layer: base.
 * Concept: an address is 16 bytes and a family; IPv4 lies in the first four bytes. An IPv4-mapped
 * IPv6 address (::ffff:a.b.c.d) is always turned into IPv4, so that one client has one name.
 * Memory: none.
 */
#ifndef PST_BASE_ADDR_H
#define PST_BASE_ADDR_H

#include "base/buf.h"

enum pst_family {
	PST_FAMILY_NONE = 0, /* not an address: a memory transport's client, an unset field */
	PST_FAMILY_IPV4 = 4,
	PST_FAMILY_IPV6 = 6,
};

struct pst_addr {
	uint8_t family; /* enum pst_family */
	uint8_t via;    /* where it is reached: 0 the system's sockets, else one of our own interfaces */
	uint16_t port;  /* host order; 0 where there is none */
	uint8_t ip[16];
};

struct pst_cidr {
	struct pst_addr net;
	uint8_t bits;
};

/* Room for any address with brackets and port. */
#define PST_ADDR_TEXT_MAX 56

/* "192.0.2.1" or "2001:db8::1", no port, no brackets, strict (no leading zeros, no short forms).
 *  ret 0 | -PST_E_SYNTAX */
int pst_addr_parse(struct pst_span text, struct pst_addr *out) PST_MUST_CHECK;
/* "192.0.2.1:25" or "[2001:db8::1]:25"; the port is 0 to 65535.
 *  ret 0 | -PST_E_SYNTAX */
int pst_addr_parse_port(struct pst_span text, struct pst_addr *out) PST_MUST_CHECK;
/* "192.0.2.0/24", "fd00::/8", or one address. Bits behind the prefix must be zero.
 *  ret 0 | -PST_E_SYNTAX | -PST_E_RANGE: bits set behind the prefix, or a prefix too long */
int pst_cidr_parse(struct pst_span text, struct pst_cidr *out) PST_MUST_CHECK;

/* RFC 5952 text without / with the port ("[2001:db8::1]:25"). Cut if the buffer is full;
 * "none" for no address. */
void pst_addr_put(struct pst_buf *buf, const struct pst_addr *addr);
void pst_addr_put_port(struct pst_buf *buf, const struct pst_addr *addr);
void pst_cidr_put(struct pst_buf *buf, const struct pst_cidr *cidr);

/* Turns an IPv4-mapped IPv6 address, as the system may hand one out, into IPv4. */
void pst_addr_unmap(struct pst_addr *addr);

/* Same family and same bytes; neither the port counts nor where it is reached. */
bool pst_addr_eq(const struct pst_addr *a, const struct pst_addr *b);
bool pst_cidr_has(const struct pst_cidr *cidr, const struct pst_addr *addr);

/* What limits count by: an IPv4 address itself, an IPv6 address cut to its /64; port 0. */
struct pst_addr pst_addr_network(const struct pst_addr *addr);

#endif
