/* support/echo.c - the kernel's */
#include "support/echo.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_event(struct pst_watch *watch, uint32_t events)
{
	struct echo *echo = PST_CONTAINER(watch, struct echo, watch);
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t area[2000];
	ssize_t len;

	(void)events;
	len = recvfrom(watch->fd, area, sizeof(area), 0, (struct sockaddr *)&from, &from_len);
	if (len <= 0)
		return;
	for (int i = 0; i < (area[0] == '2' ? 2 : 1); i++)
		(void)!sendto(area[0] == '!' ? echo->other_fd : watch->fd, area, (size_t)len, 0,
			(struct sockaddr *)&from, from_len);
}

static int open_socket(uint16_t *port)
{
	struct sockaddr_in local = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(local);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	PST_BUG_ON(fd < 0 || bind(fd, (struct sockaddr *)&local, len));
	PST_BUG_ON(getsockname(fd, (struct sockaddr *)&local, &len));
	*port = ntohs(local.sin_port);
	return fd;
}

void echo_open_kernel(struct echo *echo, struct pst_epoll *epoll)
{
	uint16_t other_port;

	*echo = (struct echo){.epoll = epoll, .watch = {.on_event = on_event}};
	echo->watch.fd = open_socket(&echo->port);
	echo->other_fd = open_socket(&other_port);
	PST_BUG_ON(pst_epoll_watch(epoll, &echo->watch, EPOLLIN));
}

void echo_close_kernel(struct echo *echo)
{
	pst_epoll_forget(echo->epoll, &echo->watch);
	close(echo->watch.fd);
	close(echo->other_fd);
}
