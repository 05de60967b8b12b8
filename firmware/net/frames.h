/* net/frames.h - the seam below our own TCP/IP: Ethernet frames in and out
 *
 * Layer: net (seam). Uses: base.
 * Implementations: frames_tap (a TAP device), frames_packet (a packet socket on an interface), and
 * the simulator's wire.
 * Concept: frames get lost, here as on the way; whoever sends does not hear of it. Each end has a
 * MAC address and the largest frame it takes.
 * Re-entry: on_frame comes from the loop, never from inside send.
 */
#ifndef PST_NET_FRAMES_H
#define PST_NET_FRAMES_H

#include "base/span.h"

#define PST_FRAME_PARTS_MAX 16
/* Headers of Ethernet, without a VLAN tag. */
#define PST_FRAME_HEADER 14

struct pst_frames {
	/* Send one frame, which lies in `count` parts of at most PST_FRAME_PARTS_MAX. */
	void (*send)(struct pst_frames *frames, const struct pst_span *parts, uint32_t count);
	/* A frame has arrived; borrowed for the call. Set by whoever uses the driver. */
	void (*on_frame)(struct pst_frames *frames, struct pst_span frame);
	uint64_t in_count, out_count, lost_count;
};

#endif
