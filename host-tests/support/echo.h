/* support/echo.h - a UDP server to ask: it sends back what it gets
 *
 * A datagram that begins with "!" comes back from another port, one that begins with "2" twice.
 * It listens on 127.0.0.1 of the kernel, or of a lwIP interface that has this address.
 */
#ifndef PST_SUPPORT_ECHO_H
#define PST_SUPPORT_ECHO_H

#include "loop/loop_epoll.h"

struct echo {
	struct pst_watch watch; /* the kernel's */
	int other_fd;
	struct pst_epoll *epoll;
	void *pcb, *other_pcb; /* lwIP's */
	uint16_t port;
};

void echo_open_kernel(struct echo *echo, struct pst_epoll *epoll);
void echo_open_lwip(struct echo *echo);
void echo_close_kernel(struct echo *echo);
void echo_close_lwip(struct echo *echo);

#endif
