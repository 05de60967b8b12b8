/* lwipopts.h - lwIP without threads, raw API only, IPv4 and IPv6, every pool bounded.
 *
 * The counts come from Kconfig by the command line (firmware/deps/flags.mk), because lwIP's own objects and our adapter
 * must agree on them. What each costs: a pcb 0.4 KiB, a buffer 1.6 KiB.
 */
#ifndef POSTERN_LWIPOPTS_H
#define POSTERN_LWIPOPTS_H

#ifndef POSTERN_LWIP_PCBS
#define POSTERN_LWIP_PCBS 1536
#endif
#ifndef POSTERN_LWIP_BUFFERS
#define POSTERN_LWIP_BUFFERS 512
#endif
#ifndef POSTERN_LWIP_WINDOW_KIB
#define POSTERN_LWIP_WINDOW_KIB 64
#endif
#ifndef POSTERN_LWIP_SEND_KIB
#define POSTERN_LWIP_SEND_KIB 16
#endif

/* one thread, our loop, our timers */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 1
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_NETIF_API 0

/* Pools stay fixed: with MEMP_MEM_MALLOC lwIP would drop every MEMP_NUM bound. The heap is libc's; what is taken from
 * it is what waits to be sent, at most TCP_SND_BUF a connection. */
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 0
#define MEMP_NUM_TCP_PCB POSTERN_LWIP_PCBS
#define MEMP_NUM_TCP_PCB_LISTEN 32
#define MEMP_NUM_UDP_PCB 64
/* Of a message on its way in or out a dozen; most connections have none. */
#define MEMP_NUM_TCP_SEG (POSTERN_LWIP_PCBS * 4)
#define MEMP_NUM_PBUF 64
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 4)
#define PBUF_POOL_SIZE POSTERN_LWIP_BUFFERS
#define PBUF_POOL_BUFSIZE 1600

/* link and IP */
#define LWIP_ETHERNET 1
#define LWIP_ARP 1
#define ETH_PAD_SIZE 0
/* Neighbours that speak at the same time: clients of the same network, internal servers, resolvers, the gateway. With
 * lwIP's ten a busy network would ask for addresses all the time, and segments would overtake each other. */
#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 8
#define MEMP_NUM_ARP_QUEUE 64
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define MEMP_NUM_ND6_QUEUE 64
#define LWIP_SINGLE_NETIF 0
/* An interface reaches itself: the proxy may be its own internal server in a test, and a host answers its own ping. */
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_LOOPBACK_MAX_PBUFS 256
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK_MULTITHREADING 0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_IPV4 1
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 16
#define IP_FRAG 1
#define LWIP_ICMP 1
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0
/* lwIP counts a lease by minutes, rounds up, and forgets one of more than 45 days without asking for it anew: by 5 s,
 * rounded down, in 32 bits. */
#define DHCP_TIMEOUT_SIZE_T u32_t
#define DHCP_COARSE_TIMER_SECS 5
#define DHCP_DEFINE_CUSTOM_TIMEOUTS 1
#define POSTERN_DHCP_TICKS(seconds) LWIP_MAX((seconds) / DHCP_COARSE_TIMER_SECS, 1)
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T0_LEASE(ticks, dhcp) ((ticks) = POSTERN_DHCP_TICKS((dhcp)->offered_t0_lease))
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T1_RENEW(ticks, dhcp) ((ticks) = POSTERN_DHCP_TICKS((dhcp)->offered_t1_renew))
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T2_REBIND(ticks, dhcp) ((ticks) = POSTERN_DHCP_TICKS((dhcp)->offered_t2_rebind))
#define DHCP_NEXT_TIMEOUT_THRESHOLD (60 / DHCP_COARSE_TIMER_SECS)
#define DHCP_REQUEST_BACKOFF_SEQUENCE(tries) ((u16_t)(((tries) < 6 ? 1 << (tries) : 60) * 1000))
#define LWIP_IPV6 1
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 1
#define LWIP_IPV6_NUM_ADDRESSES 4
/* Without this lwIP asserts on 64-bit machines, and only once the first fragment's timer runs. */
#define IPV6_FRAG_COPYHEADER 1
#define LWIP_DNS 0
#define LWIP_RAW 0
#define LWIP_UDP 1

/* TCP. Listeners share a port between interfaces, and one that moves must not meet its old connections: hence SO_REUSE;
 * the adapter looks for clashes itself. lwIP's backlog stops at 255 and counts half-open connections with the others:
 * the adapter's gate bounds them instead. */
#define LWIP_TCP 1
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 2
#define TCP_WND (POSTERN_LWIP_WINDOW_KIB * 1024)
#define TCP_SND_BUF (POSTERN_LWIP_SEND_KIB * 1024)
#define TCP_SND_QUEUELEN ((4 * (TCP_SND_BUF) + (TCP_MSS - 1)) / (TCP_MSS))
/* Room behind a segment for what is written next; replies are short, and each waits for its acknowledgement. */
#define TCP_OVERSIZE 256
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 8
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) pst_lwip_ooseq_max(pcb)
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 0
#define SO_REUSE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1
/* A closed connection is remembered for twice this (ms), as in Linux. */
#define TCP_MSL 30000
/* A peer that has gone away is given up after some two minutes. */
#define TCP_MAXRTX 8

#define LWIP_STATS 1
#define LWIP_STATS_DISPLAY 0
#define MIB2_STATS 0
#define LWIP_CHECKSUM_ON_COPY 1

/* ours */
#define LWIP_HOOK_FILENAME "postern_lwip_hooks.h"
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, len, len1, second, packet)                         \
	pst_lwip_on_segment(pcb, header, len, len1, second, packet)
#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port)                                  \
	pst_lwip_isn(local, local_port, remote, remote_port)

#endif
