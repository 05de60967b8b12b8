/* postern_lwip_hooks.h - the functions lwIP calls in our adapter. */
#ifndef POSTERN_LWIP_HOOKS_H
#define POSTERN_LWIP_HOOKS_H

#include "lwip/arch.h"
#include "lwip/err.h"
#include "lwip/ip_addr.h"

struct pbuf;
struct tcp_hdr;
struct tcp_pcb;

/* Sees every TCP segment before its pcb does; for a listening pcb that is the SYN with its options. Anything but
 * ERR_OK drops the segment. */
err_t pst_lwip_on_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t options_len,
	u16_t options_first_len, u8_t *options_second, struct pbuf *packet);

/* How many frame buffers with what came out of order this pcb may keep now. */
u16_t pst_lwip_ooseq_max(struct tcp_pcb *pcb);

/* The initial sequence number of a connection (RFC 6528), from the rng seam. */
u32_t pst_lwip_isn(const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote,
	u16_t remote_port);

#endif
