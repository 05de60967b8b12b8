/* net/frames_packet.h - frames through a packet socket on an interface of the host
 *
 * Layer: net (adapter). Uses: base, loop/loop_epoll.h. Linux.
 * Concept: the interface is listened on promiscuously, for our MAC is not its own. What a program of
 * the same machine sends comes with unfinished checksums and in pieces of up to 64 KiB: they are
 * told by PACKET_VNET_HDR, the checksums are completed here, and large pieces pass as they are, for
 * lwIP takes them. The host must not own our addresses, or its kernel answers in our place.
 * Rejected: a memory-mapped ring (TPACKET_V3). It hands over a block only when it is full or after a
 * millisecond.
 */
#ifndef PST_NET_FRAMES_PACKET_H
#define PST_NET_FRAMES_PACKET_H

#include "loop/loop_epoll.h"
#include "net/frames.h"

struct pst_frames_packet {
	struct pst_frames frames;
	struct pst_watch watch;
	struct pst_epoll *epoll;
	struct pst_mem *mem;
	uint8_t *area; /* for one frame */
	uint8_t mac[6]; /* frames to others are not for us */
};

/*  in  name: of the interface
 *      mac: ours
 *  ret 0 | -PST_E_ACCESS | -PST_E_NOENT: there is no such interface | -PST_E_NOMEM | -PST_E_IO */
int pst_frames_packet_open(struct pst_frames_packet *packet, struct pst_epoll *epoll,
			   struct pst_mem *mem, const char *name, const uint8_t mac[6])
	PST_MUST_CHECK;
void pst_frames_packet_close(struct pst_frames_packet *packet);

#endif
