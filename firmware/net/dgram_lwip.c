/* net/dgram_lwip.c - the datagram seam over lwIP's UDP
 *
 * What has arrived waits in its frame buffers, a few at most: answers are short-lived, and whoever
 * asked reads them in the next task phase. ICMP errors are not told; a question without an answer
 * runs into its deadline.
 */
#include <lwip/udp.h>
#include <string.h>

#include "net/lwip_priv.h"

#define WAITING_MAX 4
#define PORT_FIRST 1024
#define PORT_TRIES 32

struct pst_lwip_dgram {
	struct pst_dgram *owner;
	struct pst_lwip_interface *interface;
	struct udp_pcb *pcb;
	struct pst_task task;
	struct pbuf *waiting[WAITING_MAX];
	uint32_t waiting_count;
};

static struct pst_lwip_interface *interface_of(struct pst_dgrams *dgrams)
{
	return PST_CONTAINER(dgrams, struct pst_lwip_interface, dgrams);
}

static void on_task(struct pst_task *task)
{
	struct pst_lwip_dgram *self = PST_CONTAINER(task, struct pst_lwip_dgram, task);
	struct pst_lwip *lwip = self->interface->lwip;

	/* Asked for before the call, because that may close it; whoever leaves a datagram unread is
	 * called again. */
	if (self->waiting_count == 0)
		return;
	pst_loop_resume(lwip->loop, task);
	self->owner->on_ready(self->owner);
}

static void on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *packet, const ip_addr_t *from,
	u16_t port)
{
	struct pst_lwip_dgram *self = arg;

	(void)pcb, (void)from, (void)port;
	if (self->waiting_count == WAITING_MAX) {
		pbuf_free(packet);
		return;
	}
	self->waiting[self->waiting_count++] = packet;
	pst_loop_resume(self->interface->lwip->loop, &self->task);
}

static err_t bind_random(struct pst_lwip *lwip, struct udp_pcb *pcb, const ip_addr_t *local)
{
	err_t error = ERR_USE;

	for (int i = 0; i < PORT_TRIES && error == ERR_USE; i++) {
		uint64_t port = PORT_FIRST + pst_rng_u64(lwip->rng) % (65536 - PORT_FIRST);

		error = udp_bind(pcb, local, (u16_t)port);
	}
	return error;
}

static int lwip_open(struct pst_dgrams *dgrams, struct pst_dgram *dgram)
{
	struct pst_lwip_interface *interface = interface_of(dgrams);
	struct pst_lwip *lwip = interface->lwip;
	struct pst_lwip_dgram *self = pst_mem_alloc(lwip->mem, sizeof(*self));
	const ip_addr_t *local;
	ip_addr_t peer;
	err_t error = ERR_MEM;

	PST_BUG_ON(dgram->open);
	if (!self)
		return -PST_E_NOMEM;
	pst_lwip_addr_to(&dgram->peer, &peer);
	local = ip_netif_get_local_ip(interface->netif, &peer);
	self->pcb = udp_new_ip_type(IP_GET_TYPE(&peer));
	if (self->pcb && (!local || ip_addr_isany(local)))
		error = ERR_RTE;
	else if (self->pcb)
		error = bind_random(lwip, self->pcb, local);
	if (error == ERR_OK) {
		udp_bind_netif(self->pcb, interface->netif);
		error = udp_connect(self->pcb, &peer, dgram->peer.port);
	}
	if (error != ERR_OK) {
		if (self->pcb)
			udp_remove(self->pcb);
		pst_mem_free(lwip->mem, self, sizeof(*self));
		return -pst_lwip_error(error);
	}
	udp_recv(self->pcb, on_datagram, self);
	self->owner = dgram;
	self->interface = interface;
	self->task.on_run = on_task;
	dgram->dgrams = dgrams;
	dgram->impl = self;
	dgram->local = pst_lwip_addr_from(&self->pcb->local_ip, self->pcb->local_port);
	dgram->open = true;
	return 0;
}

static int lwip_send(struct pst_dgram *dgram, struct pst_span data)
{
	struct pst_lwip_dgram *self = dgram->impl;
	struct pbuf *packet;
	err_t error;

	packet = data.len <= UINT16_MAX - 64 ?
		pbuf_alloc(PBUF_TRANSPORT, (u16_t)data.len, PBUF_RAM) : NULL;
	if (!packet)
		return 0; /* lost */
	pbuf_take(packet, data.at, (u16_t)data.len);
	error = udp_send(self->pcb, packet);
	pbuf_free(packet);
	pst_lwip_settle(self->interface->lwip);
	return error == ERR_RTE ? -PST_E_UNREACH : 0;
}

static int64_t lwip_recv(struct pst_dgram *dgram, void *area, uint32_t size)
{
	struct pst_lwip_dgram *self = dgram->impl;
	struct pbuf *packet;
	u16_t len;

	if (self->waiting_count == 0)
		return 0;
	packet = self->waiting[0];
	self->waiting_count--;
	memmove(self->waiting, self->waiting + 1, self->waiting_count * sizeof(self->waiting[0]));
	len = pbuf_copy_partial(packet, area, (u16_t)PST_MIN(size, UINT16_MAX), 0);
	pbuf_free(packet);
	return len;
}

static void lwip_close(struct pst_dgram *dgram)
{
	struct pst_lwip_dgram *self = dgram->impl;
	struct pst_lwip *lwip = self->interface->lwip;

	PST_BUG_ON(!dgram->open);
	dgram->open = false;
	dgram->impl = NULL;
	pst_loop_forget(&self->task);
	udp_remove(self->pcb);
	while (self->waiting_count)
		pbuf_free(self->waiting[--self->waiting_count]);
	pst_mem_free(lwip->mem, self, sizeof(*self));
}

const struct pst_dgram_ops pst_lwip_dgram_ops = {
	.open = lwip_open,
	.send = lwip_send,
	.recv = lwip_recv,
	.close = lwip_close,
};
