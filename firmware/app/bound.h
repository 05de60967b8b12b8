/* app/bound.h - what a configuration can cost at most: memory and descriptors
 *
 * Layer: app. Uses: proxy, relay, config, base.
 * Concept: two figures, because they are limited in different places: what the process maps, and
 * what the kernel keeps for its sockets (in no process's figures, but in the board's memory and in
 * a control group's). Neither depends on the size of a message. The figures are printed at start
 * and hold until the next start: a reload never raises what they are made of.
 */
#ifndef PST_APP_BOUND_H
#define PST_APP_BOUND_H

#include "config/config.h"

struct pst_bound {
	uint64_t process_bytes;
	uint64_t socket_bytes;
	uint32_t descriptor_count;
};

struct pst_bound pst_bound_of(const struct pst_config *config);
/* "memory bound: process N KiB, kernel sockets N KiB" */
void pst_bound_print(int fd, const struct pst_bound *bound);

/* Connections to internal servers. */
uint32_t pst_bound_relays(const struct pst_proxy_conf *conf);
/* Timers of everything that a running proxy consists of. */
uint32_t pst_bound_timers(const struct pst_config *config);

/* As SO_RCVBUF and SO_SNDBUF are set. */
#define PST_BOUND_CLIENT_RECEIVE ((uint32_t)CONFIG_POSTERN_CLIENT_RECEIVE_KIB * 1024)
#define PST_BOUND_CLIENT_SEND ((uint32_t)CONFIG_POSTERN_CLIENT_SEND_KIB * 1024)
#define PST_BOUND_RELAY_RECEIVE ((uint32_t)CONFIG_POSTERN_RELAY_RECEIVE_KIB * 1024)
#define PST_BOUND_RELAY_SEND ((uint32_t)CONFIG_POSTERN_RELAY_SEND_KIB * 1024)
#define PST_BOUND_DNS_RECEIVE 32768u
#define PST_BOUND_DNS_SEND 4096u
#define PST_BOUND_BACKLOG 128

#define PST_BOUND_LOG_RING ((uint32_t)CONFIG_POSTERN_LOG_RING_KIB * 1024)

/* Raise the limit of open files to what is needed.
 *  out limit_count: how many may be open, if that is too few
 *  ret 0 | -PST_E_ACCESS: the hard limit is lower */
int pst_bound_raise_files(uint32_t need_count, uint64_t *limit_count) PST_MUST_CHECK;

#endif
