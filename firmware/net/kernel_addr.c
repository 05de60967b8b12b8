/* net/kernel_addr.c - see kernel_addr.h */
#include "net/kernel_addr.h"

#include <errno.h>
#include <string.h>

int pst_kernel_error(int number)
{
	switch (number) {
	case ECONNREFUSED:
		return PST_E_REFUSED;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return PST_E_RESET;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return PST_E_UNREACH;
	case ETIMEDOUT:
		return PST_E_TIMEOUT;
	case EADDRINUSE:
		return PST_E_BUSY;
	case EACCES:
	case EPERM:
		return PST_E_ACCESS;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
		return PST_E_NOMEM;
	default:
		return PST_E_IO;
	}
}

socklen_t pst_kernel_addr_to(const struct pst_addr *addr, union pst_kernel_addr *out)
{
	*out = (union pst_kernel_addr){.any = {.sa_family = AF_UNSPEC}};
	if (addr->family == PST_FAMILY_IPV4) {
		out->ipv4.sin_family = AF_INET;
		out->ipv4.sin_port = htons(addr->port);
		memcpy(&out->ipv4.sin_addr, addr->ip, 4);
		return sizeof(out->ipv4);
	}
	PST_BUG_ON(addr->family != PST_FAMILY_IPV6);
	out->ipv6.sin6_family = AF_INET6;
	out->ipv6.sin6_port = htons(addr->port);
	memcpy(&out->ipv6.sin6_addr, addr->ip, 16);
	return sizeof(out->ipv6);
}

struct pst_addr pst_kernel_addr_from(const union pst_kernel_addr *address)
{
	struct pst_addr addr = {.family = PST_FAMILY_NONE};

	if (address->any.sa_family == AF_INET) {
		addr.family = PST_FAMILY_IPV4;
		addr.port = ntohs(address->ipv4.sin_port);
		memcpy(addr.ip, &address->ipv4.sin_addr, 4);
	} else if (address->any.sa_family == AF_INET6) {
		addr.family = PST_FAMILY_IPV6;
		addr.port = ntohs(address->ipv6.sin6_port);
		memcpy(addr.ip, &address->ipv6.sin6_addr, 16);
		pst_addr_unmap(&addr);
	}
	return addr;
}

struct pst_addr pst_kernel_addr_local(int fd)
{
	union pst_kernel_addr address = {.any = {.sa_family = AF_UNSPEC}};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len))
		return (struct pst_addr){.family = PST_FAMILY_NONE};
	return pst_kernel_addr_from(&address);
}
