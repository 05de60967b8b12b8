/* app/interfaces.h - the interfaces of our own TCP/IP that a configuration names
 *
 * Layer: app. Uses: net, config, loop, base.
 * Concept: one lwIP, and for each `interface` line a driver and an interface. Without such a line
 * nothing is made, and there are the kernel's sockets only.
 */
#ifndef PST_APP_INTERFACES_H
#define PST_APP_INTERFACES_H

#include "base/log.h"
#include "config/config.h"
#include "net/frames_packet.h"
#include "net/frames_tap.h"
#include "net/net_choice.h"
#include "net/net_lwip.h"

struct pst_app_interface {
	const struct pst_interface_conf *conf;
	struct pst_lwip_interface lwip;
	union {
		struct pst_frames_tap tap;
		struct pst_frames_packet packet;
	};
	struct pst_log *log; /* once it is open */
	bool driver_open, open;
};

struct pst_app_interfaces {
	struct pst_net_choice choice; /* of the kernel's sockets and the interfaces */
	struct pst_lwip lwip;
	struct pst_app_interface all[PST_INTERFACES_MAX];
	uint32_t count;
};

/* Memory, the pools that lwIP has whether they are used or not included; 0 without interfaces. */
uint64_t pst_app_interfaces_bound(const struct pst_config *config, uint32_t relay_count);
uint32_t pst_app_interfaces_timers_max(const struct pst_config *config);

/* Complains itself.
 *  in  config: the interfaces' part outlives them
 *      kernel: for `via` 0 */
bool pst_app_interfaces_open(struct pst_app_interfaces *interfaces, const struct pst_config *config,
			     uint32_t relay_count, struct pst_epoll *epoll, struct pst_loop *loop,
			     struct pst_net *kernel, struct pst_mem *mem, struct pst_rng *rng)
	PST_MUST_CHECK;
/* Turns the loop until the addresses are there and known to be nobody else's, at most `wait_ms`. */
void pst_app_interfaces_await(struct pst_app_interfaces *interfaces, struct pst_loop *loop,
			      uint32_t wait_ms);
/* From now on the log tells which addresses come and go by DHCP and SLAAC; of who has none yet it says so at once. */
void pst_app_interfaces_tell(struct pst_app_interfaces *interfaces, struct pst_log *log);
/* Turns the loop until what connections had still to deliver is delivered, at most `wait_ms`; then
 * ends them. Harmless when nothing is open. */
void pst_app_interfaces_close(struct pst_app_interfaces *interfaces, uint32_t wait_ms);

/* Whether a new generation has the same; others take a restart. */
bool pst_app_interfaces_same(const struct pst_config *a, const struct pst_config *b);

#endif
