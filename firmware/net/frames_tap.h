/* net/frames_tap.h - frames through a TAP device
 *
 * Layer: net (adapter). Uses: base, loop/loop_epoll.h. Linux.
 * Concept: the device is a port of the host's: it is put into a bridge, or has an address on the
 * host's side. Without offloads negotiated the kernel hands over whole frames of ordinary size with
 * their checksums in place. The device goes when we do, unless it was made persistent.
 */
#ifndef PST_NET_FRAMES_TAP_H
#define PST_NET_FRAMES_TAP_H

#include "loop/loop_epoll.h"
#include "net/frames.h"

struct pst_frames_tap {
	struct pst_frames frames;
	struct pst_watch watch;
	struct pst_epoll *epoll;
};

/*  in  name: of the device; made if it is not there
 *  ret 0 | -PST_E_ACCESS | -PST_E_NOENT: this kernel has no TAP | -PST_E_BUSY | -PST_E_IO */
int pst_frames_tap_open(struct pst_frames_tap *tap, struct pst_epoll *epoll, const char *name)
	PST_MUST_CHECK;
void pst_frames_tap_close(struct pst_frames_tap *tap);

#endif
