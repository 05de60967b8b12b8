/* net/kernel_addr.h - addresses and errors as the kernel's sockets have them
 *
 * Layer: net (adapter). Uses: base. Linux.
 */
#ifndef PST_NET_KERNEL_ADDR_H
#define PST_NET_KERNEL_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/addr.h"

union pst_kernel_addr {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

/* An errno as an enum pst_err. */
int pst_kernel_error(int number);
/*  ret its length */
socklen_t pst_kernel_addr_to(const struct pst_addr *addr, union pst_kernel_addr *out);
struct pst_addr pst_kernel_addr_from(const union pst_kernel_addr *address);
/* Where a socket is bound; family NONE if that cannot be told. */
struct pst_addr pst_kernel_addr_local(int fd);

#endif
