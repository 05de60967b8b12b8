/* net/frames_packet.c - see frames_packet.h */
#include "net/frames_packet.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/kernel_addr.h"

#define TURN_MAX 64
#define AREA_BYTES (65536 + 64)
/* Some frames of 64 KiB, if one machine sends to itself. */
#define RECEIVE_BYTES (1024 * 1024)

/* RFC 1071. */
static uint16_t checksum(const uint8_t *at, uint32_t len)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	if (len & 1)
		sum += (uint32_t)at[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The sender has left the sum of the pseudo header in its place. */
static void complete(const struct virtio_net_hdr *header, uint8_t *frame, uint32_t len)
{
	uint32_t start = header->csum_start, place = start + header->csum_offset;
	uint16_t sum;

	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || place + 2 > len)
		return;
	sum = checksum(frame + start, len - start);
	frame[place] = (uint8_t)(sum >> 8);
	frame[place + 1] = (uint8_t)sum;
}

/* Ours, or everybody's. */
static bool is_for_us(const struct pst_frames_packet *packet, const uint8_t *frame)
{
	return frame[0] & 1 || memcmp(frame, packet->mac, sizeof(packet->mac)) == 0;
}

static void on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_frames_packet *packet = PST_CONTAINER(watch, struct pst_frames_packet, watch);
	struct virtio_net_hdr header;

	(void)events;
	for (int i = 0; i < TURN_MAX && packet->frames.on_frame; i++) {
		struct iovec vector[2] = {{&header, sizeof(header)}, {packet->area, AREA_BYTES}};
		ssize_t got = readv(watch->fd, vector, 2);
		uint32_t len;

		if (got < (ssize_t)(sizeof(header) + PST_FRAME_HEADER))
			return;
		len = (uint32_t)got - (uint32_t)sizeof(header);
		if (!is_for_us(packet, packet->area))
			continue;
		complete(&header, packet->area, len);
		packet->frames.on_frame(&packet->frames, (struct pst_span){packet->area, len});
	}
}

static void packet_send(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	struct pst_frames_packet *packet = PST_CONTAINER(frames, struct pst_frames_packet, frames);
	static const struct virtio_net_hdr header; /* nothing is left to anybody */
	struct iovec vector[1 + PST_FRAME_PARTS_MAX] = {
		{(void *)(uintptr_t)&header, sizeof(header)}};

	for (uint32_t i = 0; i < count; i++)
		vector[1 + i] = (struct iovec){(void *)(uintptr_t)parts[i].at, parts[i].len};
	if (writev(packet->watch.fd, vector, (int)count + 1) < 0)
		frames->lost_count++;
}

static int set_options(int fd, int index)
{
	struct packet_mreq all = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
	int one = 1, size = RECEIVE_BYTES;

	/* Larger than an unprivileged process may have; if it is not to be had, frames get lost. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
			setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
			setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all))
		? -pst_kernel_error(errno) : 0;
}

static int open_socket(const char *name)
{
	struct sockaddr_ll local = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd, ret;

	if (local.sll_ifindex == 0)
		return -PST_E_NOENT;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -pst_kernel_error(errno);
	ret = set_options(fd, local.sll_ifindex);
	if (ret == 0 && bind(fd, (struct sockaddr *)&local, sizeof(local)))
		ret = -pst_kernel_error(errno);
	if (ret == 0)
		return fd;
	close(fd);
	return ret;
}

int pst_frames_packet_open(struct pst_frames_packet *packet, struct pst_epoll *epoll,
	struct pst_mem *mem, const char *name, const uint8_t mac[6])
{
	int fd = open_socket(name), ret;

	if (fd < 0)
		return fd;
	*packet = (struct pst_frames_packet){
		.frames = {.send = packet_send},
		.watch = {.on_event = on_event, .fd = fd},
		.epoll = epoll,
		.mem = mem,
		.area = pst_mem_alloc(mem, AREA_BYTES),
	};
	memcpy(packet->mac, mac, sizeof(packet->mac));
	ret = packet->area ? pst_epoll_watch(epoll, &packet->watch, EPOLLIN) : -PST_E_NOMEM;
	if (ret) {
		pst_mem_free(mem, packet->area, AREA_BYTES);
		close(fd);
	}
	return ret;
}

void pst_frames_packet_close(struct pst_frames_packet *packet)
{
	pst_epoll_forget(packet->epoll, &packet->watch);
	close(packet->watch.fd);
	pst_mem_free(packet->mem, packet->area, AREA_BYTES);
}
