/* support/echo_lwip.c - lwIP's */
#include <lwip/udp.h>

#include "support/echo.h"

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *packet, const ip_addr_t *from,
	u16_t port)
{
	struct echo *echo = arg;
	uint8_t first = pbuf_get_at(packet, 0);

	for (int i = 0; i < (first == '2' ? 2 : 1); i++) {
		struct pbuf *copy = pbuf_clone(PBUF_TRANSPORT, PBUF_RAM, packet);

		udp_sendto(first == '!' ? echo->other_pcb : pcb, copy, from, port);
		pbuf_free(copy);
	}
	pbuf_free(packet);
}

void echo_open_lwip(struct echo *echo)
{
	struct udp_pcb *pcb = udp_new(), *other = udp_new();

	*echo = (struct echo){.pcb = pcb, .other_pcb = other};
	PST_BUG_ON(!pcb || !other);
	PST_BUG_ON(udp_bind(pcb, IP_ADDR_ANY, 0) != ERR_OK || udp_bind(other, IP_ADDR_ANY, 0) != ERR_OK);
	udp_recv(pcb, on_datagram, echo);
	echo->port = pcb->local_port;
}

void echo_close_lwip(struct echo *echo)
{
	udp_remove(echo->pcb);
	udp_remove(echo->other_pcb);
}
