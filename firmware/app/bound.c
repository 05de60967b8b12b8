#include "app/bound.h"

#include <sys/resource.h>

#include "admin/control.h"
#include "app/app.h"
#include "app/dns.h"
#include "app/interfaces.h"
#include "app/outlet.h"
#include "app/tls.h"
#include "proxy/proxy.h"
#include "relay/relay.h"
#include "store/store_file.h"

/* A process that has only just started: libc's and our own writable data, stack, the allocator's
 * first pages, page tables, and the pages of program and libc that a control group is charged for
 * when it touches them first. Measured 2.0 MiB on x86_64 with glibc 2.36; rounded up. */
#define PROCESS_FIXED_BYTES (3 * 1024 * 1024)

/* Headers and rounding of the allocator: 16 bytes for each block of some KiB, and blocks that lie
 * between others. */
#define ALLOCATOR_SHARE 32

/* What the kernel keeps for a TCP socket besides its buffers: socket, file, directory entry, epoll
 * item, and the rounding of its memory accounts. Measured 4.6 KiB on Linux 6; rounded up. */
#define SOCKET_BYTES 8192

/* And for how a client began, until that is read: 60 bytes of IP and 60 of TCP at most, in a block of
 * 128. It is counted where it is kept. */
#define SYN_BYTES 128

/* Someone who has not been accepted yet: a half-open or a whole connection without data. */
#define BACKLOG_BYTES 4096

/* What the load of a configuration needs besides the generation it makes. */
#define READING_BYTES (512 * 1024)

/* Descriptors besides sockets: stdio, epoll, signals, log, a file being read at reload. */
#define OTHER_DESCRIPTORS 16

static uint64_t sockets_of(uint32_t receive_bytes, uint32_t send_bytes, uint32_t count)
{
	/* The kernel books twice of what setsockopt is given. */
	return (uint64_t)count * (2 * ((uint64_t)receive_bytes + send_bytes) + SOCKET_BYTES);
}

uint32_t pst_bound_relays(const struct pst_proxy_conf *conf)
{
	return pst_relay_connection_max(&conf->relay, conf->session_count_max);
}

uint32_t pst_bound_timers(const struct pst_config *config)
{
	return pst_proxy_timers_max(&config->proxy) + config->proxy.listener_count +
	       PST_LISTENERS_MAX + PST_OUTLET_TIMERS_MAX +
	       pst_app_dns_timers_max(&config->proxy.dns) +
	       PST_CONTROL_TIMERS_MAX + pst_app_interfaces_timers_max(config) +
	       pst_store_file_timers_max() + 2;
}

struct pst_bound pst_bound_of(const struct pst_config *config)
{
	const struct pst_proxy_conf *conf = &config->proxy;
	uint32_t relay_count = pst_bound_relays(conf);
	/* While a reload is read there are the old generation, the new one and its texts. */
	uint64_t generations = 2 * (pst_config_bytes(config) + config->attached_bytes) +
			       READING_BYTES;
	uint64_t ours = pst_proxy_bound(conf) + generations + PST_BOUND_LOG_RING +
			(config->control_path.len ? pst_control_bound() : 0) +
			pst_app_tls_bound(config, relay_count) +
			pst_app_dns_bound(&conf->dns) +
			pst_app_interfaces_bound(config, relay_count) +
			pst_store_memory_bound(config->store.bytes) +
			(uint64_t)pst_bound_timers(config) * sizeof(void *);

	return (struct pst_bound){
		.process_bytes = PROCESS_FIXED_BYTES + ours + ours / ALLOCATOR_SHARE,
		.socket_bytes =
			sockets_of(PST_BOUND_CLIENT_RECEIVE, PST_BOUND_CLIENT_SEND,
				   conf->session_count_max) +
			(conf->os.signature_count > 0 ? (uint64_t)conf->session_count_max * SYN_BYTES : 0) +
			sockets_of(PST_BOUND_RELAY_RECEIVE, PST_BOUND_RELAY_SEND, relay_count) +
			sockets_of(PST_BOUND_DNS_RECEIVE, PST_BOUND_DNS_SEND,
				   pst_app_dns_descriptors_max(&conf->dns)) +
			(uint64_t)conf->listener_count *
				(SOCKET_BYTES + PST_BOUND_BACKLOG * BACKLOG_BYTES),
		.descriptor_count = conf->session_count_max + relay_count + 2 * PST_LISTENERS_MAX +
				    pst_app_dns_descriptors_max(&conf->dns) + OTHER_DESCRIPTORS,
	};
}

void pst_bound_print(int fd, const struct pst_bound *bound)
{
	pst_app_print(fd, "memory bound: process %llu KiB, kernel sockets %llu KiB\n",
		      (unsigned long long)(bound->process_bytes + 1023) / 1024,
		      (unsigned long long)(bound->socket_bytes + 1023) / 1024);
}

int pst_bound_raise_files(uint32_t need_count, uint64_t *limit_count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur >= need_count)
		return 0;
	*limit_count = limit.rlim_max;
	if (limit.rlim_max < need_count)
		return -PST_E_ACCESS;
	limit.rlim_cur = need_count;
	return setrlimit(RLIMIT_NOFILE, &limit) ? -PST_E_ACCESS : 0;
}
