#include "admin/control.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int error_of(int number)
{
	switch (number) {
	case EACCES:
	case EPERM:
	case EROFS:
		return -PST_E_ACCESS;
	case ENOENT:
	case ENOTDIR:
		return -PST_E_NOENT;
	case EADDRINUSE:
		return -PST_E_BUSY;
	case ECONNREFUSED:
		return -PST_E_REFUSED;
	case EAGAIN:
		return -PST_E_TIMEOUT;
	default:
		return -PST_E_IO;
	}
}

static int address_of(struct pst_span path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (path.len == 0 || path.len > PST_CONTROL_PATH_MAX)
		return -PST_E_RANGE;
	memcpy(address->sun_path, path.at, path.len);
	return 0;
}

/* --- one connection ------------------------------------------------------------------------- */

static void hang_up(struct pst_control_conn *conn)
{
	struct pst_control *control = conn->control;

	pst_timer_cancel(control->loop, &conn->timer);
	pst_epoll_forget(control->epoll, &conn->watch);
	close(conn->watch.fd);
	if (conn->area)
		pst_mem_free(control->mem, conn->area, PST_CONTROL_ANSWER_MAX);
	conn->area = NULL;
	conn->open = false;
}

static void on_late(struct pst_timer *timer)
{
	hang_up(PST_CONTAINER(timer, struct pst_control_conn, timer));
}

/* Hands over what is taken at once. */
static void give(struct pst_control_conn *conn)
{
	while (conn->answer.len) {
		struct pst_span rest = pst_buf_span(&conn->answer);
		ssize_t done = send(conn->watch.fd, rest.at, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done < 0 && errno == EAGAIN) {
			if (pst_epoll_rewatch(conn->control->epoll, &conn->watch, EPOLLOUT))
				break;
			return;
		}
		if (done <= 0)
			break;
		pst_buf_consume(&conn->answer, (uint32_t)done);
	}
	hang_up(conn);
}

static void answer(struct pst_control_conn *conn, struct pst_span line)
{
	struct pst_control *control = conn->control;

	conn->area = pst_mem_alloc(control->mem, PST_CONTROL_ANSWER_MAX);
	if (!conn->area) {
		hang_up(conn);
		return;
	}
	pst_buf_init(&conn->answer, conn->area, PST_CONTROL_ANSWER_MAX);
	if (!control->answer(control, line, &conn->answer)) {
		pst_buf_clear(&conn->answer);
		PST_BUG_ON(pst_buf_put_text(&conn->answer, "error: what is asked for? status, text, metrics\n"));
	}
	give(conn);
}

static void conn_on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_control_conn *conn = PST_CONTAINER(watch, struct pst_control_conn, watch);
	int64_t end;
	ssize_t got;

	if (conn->area) {
		if (events & (EPOLLERR | EPOLLHUP))
			hang_up(conn);
		else
			give(conn);
		return;
	}
	got = recv(watch->fd, conn->line + conn->line_len, sizeof(conn->line) - conn->line_len,
		   MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		hang_up(conn);
		return;
	}
	conn->line_len += (uint32_t)got;
	end = pst_span_find((struct pst_span){conn->line, conn->line_len}, '\n');
	if (end >= 0)
		answer(conn, (struct pst_span){conn->line, (uint32_t)end});
	else if (conn->line_len == sizeof(conn->line))
		hang_up(conn);
}

/* --- the socket ----------------------------------------------------------------------------- */

static struct pst_control_conn *free_conn(struct pst_control *control)
{
	for (uint32_t i = 0; i < PST_CONTROL_CONNS_MAX; i++)
		if (!control->conns[i].open)
			return &control->conns[i];
	return NULL;
}

static void on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_control *control = PST_CONTAINER(watch, struct pst_control, watch);
	struct pst_control_conn *conn = free_conn(control);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (!conn) {
		close(fd);
		return;
	}
	*conn = (struct pst_control_conn){
		.control = control,
		.watch = {.on_event = conn_on_event, .fd = fd},
		.timer = {.on_due = on_late},
	};
	if (pst_epoll_watch(control->epoll, &conn->watch, EPOLLIN)) {
		close(fd);
		return;
	}
	conn->open = true;
	pst_timer_set(control->loop, &conn->timer, control->loop->now_ms + PST_CONTROL_MS);
}

/* Left behind by one who was killed? */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int open_socket(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;
	mode_t mask;

	if (fd < 0)
		return error_of(errno);
	if (is_stale(address))
		unlink(address->sun_path);
	mask = umask(0117); /* for the owner and his group */
	ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) || listen(fd, 8);
	umask(mask);
	if (!ret)
		return fd;
	ret = error_of(errno);
	close(fd);
	return ret;
}

int pst_control_open(struct pst_control *control, struct pst_loop *loop, struct pst_epoll *epoll,
		     struct pst_mem *mem, struct pst_span path,
		     bool (*answer_to)(struct pst_control *control, struct pst_span line,
				       struct pst_buf *out))
{
	struct sockaddr_un address;
	int fd, ret = address_of(path, &address);

	*control = (struct pst_control){
		.loop = loop, .epoll = epoll, .mem = mem, .answer = answer_to};
	if (ret)
		return ret;
	fd = open_socket(&address);
	if (fd < 0)
		return fd;
	control->watch = (struct pst_watch){.on_event = on_event, .fd = fd};
	ret = pst_epoll_watch(epoll, &control->watch, EPOLLIN);
	if (ret) {
		close(fd);
		return ret;
	}
	control->open = true;
	return 0;
}

void pst_control_close(struct pst_control *control)
{
	if (!control->open)
		return;
	for (uint32_t i = 0; i < PST_CONTROL_CONNS_MAX; i++)
		if (control->conns[i].open)
			hang_up(&control->conns[i]);
	pst_epoll_forget(control->epoll, &control->watch);
	close(control->watch.fd);
	control->open = false;
}

uint64_t pst_control_bound(void)
{
	return (uint64_t)PST_CONTROL_CONNS_MAX * PST_CONTROL_ANSWER_MAX;
}

/* --- the other end -------------------------------------------------------------------------- */

static int ask(int fd, const char *line, void (*write_piece)(struct pst_span piece))
{
	static uint8_t area[16384];
	const struct timeval wait = {.tv_sec = PST_CONTROL_MS / 1000};
	struct pst_span text = pst_span_text(line);
	ssize_t got;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    send(fd, text.at, text.len, MSG_NOSIGNAL) != (ssize_t)text.len ||
	    send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
		return error_of(errno);
	while ((got = recv(fd, area, sizeof(area), 0)) > 0)
		write_piece((struct pst_span){area, (uint32_t)got});
	return got < 0 ? error_of(errno) : 0;
}

int pst_control_ask(struct pst_span path, const char *line, void (*write_piece)(struct pst_span piece))
{
	struct sockaddr_un address;
	int ret = address_of(path, &address), fd;

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_of(errno);
	ret = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? error_of(errno)
									: ask(fd, line, write_piece);
	close(fd);
	return ret;
}
