/* net/frames_tap.c - see frames_tap.h
 *
 * Level-triggered, with a budget per event: a flood of frames leaves room for the other work of a
 * turn, and what is not read waits in the device's queue.
 */
#include "net/frames_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/kernel_addr.h"

#define TURN_MAX 64
#define FRAME_MAX 2048

static void on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_frames_tap *tap = PST_CONTAINER(watch, struct pst_frames_tap, watch);
	uint8_t area[FRAME_MAX];

	(void)events;
	for (int i = 0; i < TURN_MAX && tap->frames.on_frame; i++) {
		ssize_t len = read(watch->fd, area, sizeof(area));

		if (len <= 0)
			return;
		tap->frames.on_frame(&tap->frames, (struct pst_span){area, (uint32_t)len});
	}
}

static void tap_send(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	struct pst_frames_tap *tap = PST_CONTAINER(frames, struct pst_frames_tap, frames);
	struct iovec vector[PST_FRAME_PARTS_MAX];

	for (uint32_t i = 0; i < count; i++)
		vector[i] = (struct iovec){(void *)(uintptr_t)parts[i].at, parts[i].len};
	if (writev(tap->watch.fd, vector, (int)count) < 0)
		frames->lost_count++;
}

int pst_frames_tap_open(struct pst_frames_tap *tap, struct pst_epoll *epoll, const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	struct pst_span text = pst_span_text(name);
	int fd, ret;

	if (text.len >= sizeof(request.ifr_name))
		return -PST_E_NOENT;
	memcpy(request.ifr_name, text.at, text.len);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -pst_kernel_error(errno);
	if (ioctl(fd, (int)TUNSETIFF, &request)) {
		ret = -pst_kernel_error(errno);
		close(fd);
		return ret;
	}
	*tap = (struct pst_frames_tap){
		.frames = {.send = tap_send},
		.watch = {.on_event = on_event, .fd = fd},
		.epoll = epoll,
	};
	ret = pst_epoll_watch(epoll, &tap->watch, EPOLLIN);
	if (ret)
		close(fd);
	return ret;
}

void pst_frames_tap_close(struct pst_frames_tap *tap)
{
	pst_epoll_forget(tap->epoll, &tap->watch);
	close(tap->watch.fd);
}
