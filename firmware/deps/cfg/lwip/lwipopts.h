/* lwipopts.h - lwIP without threads, raw API only, IPv4 and IPv6, every pool bounded.
 * Sizes are those of a small board; the transport that uses them will make the counts switches.
 */
#ifndef POSTERN_LWIPOPTS_H
#define POSTERN_LWIPOPTS_H

/* one thread, our loop, our timers */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 1
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_NETIF_API 0

/* Pools stay fixed: with MEMP_MEM_MALLOC lwIP would drop every MEMP_NUM bound. */
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 0
#define MEMP_NUM_TCP_PCB 256
#define MEMP_NUM_TCP_PCB_LISTEN 16
#define MEMP_NUM_UDP_PCB 16
#define MEMP_NUM_TCP_SEG (MEMP_NUM_TCP_PCB * 16)
#define MEMP_NUM_PBUF 1024
#define MEMP_NUM_SYS_TIMEOUT (LWIP_NUM_SYS_TIMEOUT_INTERNAL + 4)
#define PBUF_POOL_SIZE 1024
#define PBUF_POOL_BUFSIZE 1600

/* link and IP */
#define LWIP_ETHERNET 1
#define LWIP_ARP 1
#define ETH_PAD_SIZE 0
#define LWIP_SINGLE_NETIF 0
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_IPV4 1
#define IP_REASSEMBLY 1
#define IP_FRAG 1
#define LWIP_ICMP 1
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define LWIP_IPV6 1
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 1
/* Without this lwIP asserts on 64-bit machines, and only once the first fragment's timer runs. */
#define IPV6_FRAG_COPYHEADER 1
#define LWIP_DNS 0
#define LWIP_RAW 0
#define LWIP_UDP 1

/* TCP */
#define LWIP_TCP 1
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 2
#define TCP_WND (128 * 1024)
#define TCP_SND_BUF (64 * 1024)
#define TCP_SND_QUEUELEN ((4 * (TCP_SND_BUF) + (TCP_MSS - 1)) / (TCP_MSS))
#define TCP_OVERSIZE TCP_MSS
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 64
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 1
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 64

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
#define LWIP_HOOK_IP4_ROUTE_SRC(source, target) pst_lwip_route(source, target)

#endif
