/* net/dgram_kernel.c - connected UDP sockets
 *
 * Connected, so that the kernel drops what comes from elsewhere, and tells of an ICMP error. The
 * watch is level-triggered: datagrams are few, and whoever leaves one unread is called again.
 */
#include "net/dgram_kernel.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/kernel_addr.h"

static struct pst_dgram_kernel *kernel_of(struct pst_dgrams *dgrams)
{
	return PST_CONTAINER(dgrams, struct pst_dgram_kernel, dgrams);
}

static void on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_dgram *dgram = PST_CONTAINER(watch, struct pst_dgram, watch);

	(void)events;
	dgram->on_ready(dgram);
}

static int kernel_open(struct pst_dgrams *dgrams, struct pst_dgram *dgram)
{
	struct pst_dgram_kernel *kernel = kernel_of(dgrams);
	union pst_kernel_addr address;
	socklen_t len = pst_kernel_addr_to(&dgram->peer, &address);
	int size = (int)kernel->receive_bytes, ret;
	int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	PST_BUG_ON(dgram->open);
	if (fd < 0)
		return -pst_kernel_error(errno);
	if ((size && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size))) ||
	    connect(fd, &address.any, len)) {
		ret = -pst_kernel_error(errno);
		close(fd);
		return ret;
	}
	dgram->dgrams = dgrams;
	dgram->local = pst_kernel_addr_local(fd);
	dgram->watch = (struct pst_watch){.on_event = on_event, .fd = fd};
	ret = pst_epoll_watch(kernel->epoll, &dgram->watch, EPOLLIN);
	if (ret < 0)
		close(fd);
	dgram->open = ret == 0;
	return ret;
}

/* Trouble of ours is a loss; only what the peer's host says is worth telling. */
static int told_by_peer(int number)
{
	int error = pst_kernel_error(number);

	return error == PST_E_REFUSED || error == PST_E_UNREACH ? -error : 0;
}

static int kernel_send(struct pst_dgram *dgram, struct pst_span data)
{
	if (send(dgram->watch.fd, data.at, data.len, MSG_NOSIGNAL) >= 0)
		return 0;
	return told_by_peer(errno);
}

static int64_t kernel_recv(struct pst_dgram *dgram, void *area, uint32_t size)
{
	ssize_t got = recv(dgram->watch.fd, area, size, 0);

	return got >= 0 ? got : told_by_peer(errno);
}

static void kernel_close(struct pst_dgram *dgram)
{
	struct pst_dgram_kernel *kernel = kernel_of(dgram->dgrams);

	PST_BUG_ON(!dgram->open);
	pst_epoll_forget(kernel->epoll, &dgram->watch);
	close(dgram->watch.fd);
	dgram->open = false;
}

static const struct pst_dgram_ops ops = {
	.open = kernel_open,
	.send = kernel_send,
	.recv = kernel_recv,
	.close = kernel_close,
};

void pst_dgram_kernel_init(struct pst_dgram_kernel *kernel, struct pst_epoll *epoll)
{
	*kernel = (struct pst_dgram_kernel){.dgrams = {.ops = &ops}, .epoll = epoll};
}
