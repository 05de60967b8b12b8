/* app/outlet.c - log lines to the system, without waiting
 *
 * stderr is shared: making it non-blocking would do so for the shell and everybody else who has it
 * open. A pipe or a terminal is therefore opened anew through /proc, which gives a description of
 * our own; where that fails (no /proc), poll(2) is asked before each write of at most PIPE_BUF
 * bytes, which a pipe that is ready takes whole.
 */
#include "app/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 1000	  /* an outlet that failed */
#define RETRY_FULL_MS 100 /* one that is full and cannot be watched */
#define DATAGRAMS_MAX 64  /* in one turn */
#define FACILITY_MAIL (2u << 3)

/* --- opening ------------------------------------------------------------------------------- */

static int status_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
	case EROFS:
		return -PST_E_ACCESS;
	case ENOENT:
	case ENOTDIR:
		return -PST_E_NOENT;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return -PST_E_NOMEM;
	default:
		return -PST_E_IO;
	}
}

/* What a new descriptor would be, before it replaces the old one. */
struct opened {
	int fd;
	enum pst_outlet_way way;
	bool owned;
};

static struct opened open_stderr(void)
{
	struct opened opened = {STDERR_FILENO, PST_OUTLET_WRITE, false};
	struct stat what;

	if (fstat(STDERR_FILENO, &what)) {
		opened.way = PST_OUTLET_NONE;
	} else if (S_ISSOCK(what.st_mode)) {
		opened.way = PST_OUTLET_SEND;
	} else if (!S_ISREG(what.st_mode)) {
		int fd = open("/proc/self/fd/2",
			      O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		opened.way = fd < 0 ? PST_OUTLET_ASK : PST_OUTLET_WRITE;
		opened.owned = fd >= 0;
		opened.fd = fd < 0 ? STDERR_FILENO : fd;
	}
	return opened;
}

static int open_file(struct pst_span path, struct opened *opened)
{
	int fd = open((const char *)path.at,
		      O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);

	if (fd < 0)
		return status_of(errno);
	*opened = (struct opened){fd, PST_OUTLET_WRITE, true};
	return 0;
}

static int open_syslog(struct opened *opened)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return status_of(errno);
	*opened = (struct opened){fd, PST_OUTLET_DATAGRAM, true};
	/* For the local time that a syslog line begins with. */
	tzset();
	return 0;
}

/* Nothing but the watch tells that a full pipe has room again. */
static void watch(struct pst_outlet *outlet)
{
	struct stat what;

	outlet->watched = false;
	if (!outlet->epoll || outlet->way == PST_OUTLET_NONE || fstat(outlet->watch.fd, &what) ||
	    S_ISREG(what.st_mode))
		return;
	outlet->watched = pst_epoll_watch(outlet->epoll, &outlet->watch, EPOLLOUT | EPOLLET) == 0;
}

static void let_go(struct pst_outlet *outlet)
{
	if (outlet->watched)
		pst_epoll_unwatch(outlet->epoll, &outlet->watch);
	outlet->watched = false;
	if (outlet->owned)
		close(outlet->watch.fd);
	outlet->owned = false;
	outlet->way = PST_OUTLET_NONE;
}

static void take(struct pst_outlet *outlet, const struct opened *opened)
{
	let_go(outlet);
	outlet->watch.fd = opened->fd;
	outlet->way = opened->way;
	outlet->owned = opened->owned;
	outlet->blocked = false;
	watch(outlet);
}

/* --- waiting ------------------------------------------------------------------------------- */

static void on_writable(struct pst_watch *watch, uint32_t events)
{
	struct pst_outlet *outlet = PST_CONTAINER(watch, struct pst_outlet, watch);

	/* A reader that is gone is no reason to try again at once. */
	if (!(events & EPOLLERR))
		outlet->blocked = false;
}

static void on_retry(struct pst_timer *timer)
{
	PST_CONTAINER(timer, struct pst_outlet, retry)->blocked = false;
}

static void block(struct pst_outlet *outlet, bool full)
{
	outlet->blocked = true;
	if (full && outlet->watched)
		return;
	pst_timer_set(outlet->loop, &outlet->retry,
		      outlet->loop->now_ms + (full ? RETRY_FULL_MS : RETRY_MS));
}

/* --- bytes --------------------------------------------------------------------------------- */

static ssize_t put_bytes(const struct pst_outlet *outlet, struct pst_span bytes)
{
	struct pollfd ready = {.fd = outlet->watch.fd, .events = POLLOUT};

	switch (outlet->way) {
	case PST_OUTLET_ASK:
		if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		return write(outlet->watch.fd, bytes.at, PST_MIN(bytes.len, (uint32_t)PIPE_BUF));
	case PST_OUTLET_SEND:
		return send(outlet->watch.fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case PST_OUTLET_WRITE:
	case PST_OUTLET_NONE:
	case PST_OUTLET_DATAGRAM:
		break;
	}
	return write(outlet->watch.fd, bytes.at, bytes.len);
}

static void flush_bytes(struct pst_outlet *outlet)
{
	struct pst_buf *ring = &outlet->log->ring;

	while (ring->len && !outlet->blocked) {
		struct pst_span span = pst_buf_span(ring);
		ssize_t done = put_bytes(outlet, span);

		if (done > 0) {
			outlet->mid_line = span.at[done - 1] != '\n';
			pst_buf_consume(ring, (uint32_t)done);
		} else if (done == 0 || errno != EINTR) {
			block(outlet, done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
		}
	}
}

/* --- syslog -------------------------------------------------------------------------------- */

static uint32_t severity_of(struct pst_span *line)
{
	static const struct {
		struct pst_span text;
		uint32_t severity;
	} levels[] = {
		{{(const uint8_t *)"level=error ", 12}, 3},
		{{(const uint8_t *)"level=warning ", 14}, 4},
		{{(const uint8_t *)"level=debug ", 12}, 7},
	};

	for (uint32_t i = 0; i < PST_COUNT(levels); i++)
		if (pst_span_starts_nocase(*line, levels[i].text))
			return levels[i].severity;
	return 6;
}

/* RFC 3164 as local syslog daemons take it: "<PRI>Mmm dd hh:mm:ss postern[pid]: text". */
static void put_syslog_head(struct pst_outlet *outlet, struct pst_buf *out, struct pst_span *line)
{
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t wall_s = (time_t)(outlet->log->wall_ms / 1000);
	struct tm local = {0};

	/* Our own time stamp would only be the second one. */
	pst_span_word(line);
	*line = pst_span_trim(*line);
	localtime_r(&wall_s, &local);
	PST_BUG_ON(pst_buf_printf(
		out, "<%u>%s %2d %02d:%02d:%02d postern[%d]: ", FACILITY_MAIL | severity_of(line),
		months[local.tm_mon % 12], local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
		getpid()));
}

/* The daemon may have been started anew since, or be there only now. */
static bool connect_syslog(struct pst_outlet *outlet)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	memcpy(to.sun_path, outlet->path, PST_MIN(sizeof(to.sun_path) - 1, sizeof(outlet->path)));
	return connect(outlet->watch.fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
}

static ssize_t send_line(struct pst_outlet *outlet, struct pst_span line)
{
	uint8_t area[PST_LOG_LINE_MAX + 64];
	struct pst_buf text;
	ssize_t done;

	pst_buf_init(&text, area, sizeof(area));
	put_syslog_head(outlet, &text, &line);
	PST_BUG_ON(pst_buf_put(&text, line));
	done = send(outlet->watch.fd, text.area, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (done < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS &&
	    connect_syslog(outlet))
		done = send(outlet->watch.fd, text.area, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return done;
}

static void flush_lines(struct pst_outlet *outlet)
{
	struct pst_buf *ring = &outlet->log->ring;

	for (uint32_t i = 0; i < DATAGRAMS_MAX && ring->len && !outlet->blocked; i++) {
		struct pst_span span = pst_buf_span(ring);
		int64_t end = pst_span_find(span, '\n');
		uint32_t len = end < 0 ? span.len : (uint32_t)end;

		/* A half line that a pipe has left over makes no datagram. */
		if (outlet->mid_line || send_line(outlet, pst_span_sub(span, 0, len)) >= 0) {
			outlet->mid_line = false;
			pst_buf_consume(ring, PST_MIN(len + 1, span.len));
		} else {
			block(outlet, errno == EAGAIN || errno == EWOULDBLOCK);
		}
	}
	if (ring->len && !outlet->blocked)
		block(outlet, false);
}

/* --- the whole ----------------------------------------------------------------------------- */

static void flush_once(struct pst_outlet *outlet)
{
	if (PST_CONFIG_SYSLOG && outlet->way == PST_OUTLET_DATAGRAM)
		flush_lines(outlet);
	else if (outlet->way != PST_OUTLET_NONE)
		flush_bytes(outlet);
}

void pst_outlet_flush(struct pst_outlet *outlet)
{
	struct pst_log *log = outlet->log;
	uint64_t lost_count = log->lost_count - outlet->told_lost_count;

	flush_once(outlet);
	if (!lost_count || log->ring.len)
		return;
	outlet->told_lost_count = log->lost_count;
	pst_log_begin(log, PST_LOG_WARNING, "log_lost");
	pst_log_u64(log, "lines", lost_count);
	pst_log_end(log);
	flush_once(outlet);
}

static void on_turn_end(struct pst_turn_hook *hook)
{
	struct pst_outlet *outlet = PST_CONTAINER(hook, struct pst_outlet, hook);

	if (outlet->log->ring.len)
		pst_outlet_flush(outlet);
}

void pst_outlet_init(struct pst_outlet *outlet, struct pst_log *log, struct pst_loop *loop,
		     struct pst_epoll *epoll)
{
	struct opened opened = open_stderr();

	*outlet = (struct pst_outlet){.log = log, .loop = loop, .epoll = epoll};
	outlet->hook.on_turn_end = on_turn_end;
	outlet->retry.on_due = on_retry;
	outlet->watch.on_event = on_writable;
	outlet->kind = PST_CONFIG_LOG_STDERR;
	take(outlet, &opened);
}

void pst_outlet_start(struct pst_outlet *outlet)
{
	pst_loop_hook(outlet->loop, &outlet->hook);
}

int pst_outlet_open(struct pst_outlet *outlet, enum pst_config_log kind, struct pst_span path)
{
	struct opened opened = {-1, PST_OUTLET_NONE, false};
	int status = 0;

	if (path.len > PST_OUTLET_PATH_MAX ||
	    (kind == PST_CONFIG_LOG_SYSLOG &&
	     path.len >= sizeof(((struct sockaddr_un *)0)->sun_path)))
		return -PST_E_RANGE;
	/* The same stderr again: it may be blocked, and stays so. */
	if (kind == PST_CONFIG_LOG_STDERR && outlet->kind == kind)
		return 0;
	if (kind == PST_CONFIG_LOG_FILE)
		status = open_file(path, &opened);
	else if (PST_CONFIG_SYSLOG && kind == PST_CONFIG_LOG_SYSLOG)
		status = open_syslog(&opened);
	else
		opened = open_stderr();
	if (status)
		return status;
	memset(outlet->path, 0, sizeof(outlet->path));
	if (path.len)
		memcpy(outlet->path, path.at, path.len);
	outlet->kind = kind;
	take(outlet, &opened);
	if (PST_CONFIG_SYSLOG && kind == PST_CONFIG_LOG_SYSLOG)
		(void)connect_syslog(outlet);
	return 0;
}

void pst_outlet_close(struct pst_outlet *outlet)
{
	struct pollfd ready = {.fd = outlet->watch.fd, .events = POLLOUT};

	outlet->blocked = false;
	pst_outlet_flush(outlet);
	if (outlet->log->ring.len && outlet->way != PST_OUTLET_NONE &&
	    poll(&ready, 1, PST_OUTLET_CLOSE_MS) == 1) {
		outlet->blocked = false;
		pst_outlet_flush(outlet);
	}
	pst_timer_cancel(outlet->loop, &outlet->retry);
	pst_loop_unhook(&outlet->hook);
	let_go(outlet);
}
