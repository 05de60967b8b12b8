/* loop/loop_epoll.c - waiting on the system
 *
 * Two clock reads a turn go through the vDSO and cost some ten nanoseconds each.
 * CLOCK_MONOTONIC_COARSE would save half of that, but it runs up to 10 ms behind epoll's own
 * timeout, and each timer would first come up early and wait once more.
 *
 * epoll_wait's array lies on the stack and is copied into the poller, so that <sys/epoll.h> stays
 * out of the header and pst_epoll_forget finds a watch in the batch.
 */
#include "loop/loop_epoll.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static void epoll_poll(struct pst_poller *poller, int timeout_ms)
{
	struct pst_epoll *epoll = PST_CONTAINER(poller, struct pst_epoll, poller);
	struct epoll_event events[PST_EPOLL_BATCH];
	int count = epoll_wait(epoll->fd, events, PST_EPOLL_BATCH, timeout_ms);

	/* Only a bug can make it fail, but for a signal (a debugger's, say). */
	PST_BUG_ON(count < 0 && errno != EINTR);
	epoll->ready_index = 0;
	epoll->ready_count = PST_MAX(count, 0);
	for (int i = 0; i < epoll->ready_count; i++) {
		epoll->ready_watch[i] = events[i].data.ptr;
		epoll->ready_events[i] = events[i].events;
	}
}

static void epoll_deliver(struct pst_poller *poller)
{
	struct pst_epoll *epoll = PST_CONTAINER(poller, struct pst_epoll, poller);

	while (epoll->ready_index < epoll->ready_count) {
		int i = epoll->ready_index++;
		struct pst_watch *watch = epoll->ready_watch[i];

		if (watch)
			watch->on_event(watch, epoll->ready_events[i]);
	}
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	PST_BUG_ON(clock_gettime(clock, &now));
	return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t epoll_mono_ms(struct pst_poller *poller)
{
	(void)poller;
	return read_clock(CLOCK_MONOTONIC);
}

static uint64_t epoll_wall_ms(struct pst_poller *poller)
{
	(void)poller;
	return read_clock(CLOCK_REALTIME);
}

int pst_epoll_init(struct pst_epoll *epoll)
{
	*epoll = (struct pst_epoll){
		.poller = {
			.poll = epoll_poll,
			.deliver = epoll_deliver,
			.mono_ms = epoll_mono_ms,
			.wall_ms = epoll_wall_ms,
		},
		.fd = epoll_create1(EPOLL_CLOEXEC),
	};
	return epoll->fd < 0 ? -PST_E_NOMEM : 0;
}

void pst_epoll_fini(struct pst_epoll *epoll)
{
	close(epoll->fd);
	epoll->fd = -1;
}

static int control(struct pst_epoll *epoll, int operation, struct pst_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (epoll_ctl(epoll->fd, operation, watch->fd, &event) == 0)
		return 0;
	return errno == ENOMEM || errno == ENOSPC ? -PST_E_NOMEM : -PST_E_IO;
}

int pst_epoll_watch(struct pst_epoll *epoll, struct pst_watch *watch, uint32_t events)
{
	return control(epoll, EPOLL_CTL_ADD, watch, events);
}

int pst_epoll_rewatch(struct pst_epoll *epoll, struct pst_watch *watch, uint32_t events)
{
	return control(epoll, EPOLL_CTL_MOD, watch, events);
}

void pst_epoll_forget(struct pst_epoll *epoll, struct pst_watch *watch)
{
	for (int i = epoll->ready_index; i < epoll->ready_count; i++) {
		if (epoll->ready_watch[i] == watch)
			epoll->ready_watch[i] = NULL;
	}
}

void pst_epoll_unwatch(struct pst_epoll *epoll, struct pst_watch *watch)
{
	int ret = control(epoll, EPOLL_CTL_DEL, watch, 0);

	/* Not watched is as good as no longer watched. */
	(void)ret;
	pst_epoll_forget(epoll, watch);
}

static void signals_on_event(struct pst_watch *watch, uint32_t events)
{
	struct pst_signals *signals = PST_CONTAINER(watch, struct pst_signals, watch);
	struct signalfd_siginfo info;

	(void)events;
	/* One a turn: the watch is level-triggered, and the callback may close it. */
	if (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		signals->on_signal(signals, (int)info.ssi_signo);
}

int pst_signals_open(struct pst_epoll *epoll, struct pst_signals *signals, const int *numbers)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	for (const int *number = numbers; *number; number++)
		sigaddset(&set, *number);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -PST_E_IO;
	signals->watch.on_event = signals_on_event;
	signals->watch.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals->watch.fd < 0)
		return -PST_E_NOMEM;
	ret = pst_epoll_watch(epoll, &signals->watch, EPOLLIN);
	if (ret) {
		close(signals->watch.fd);
		signals->watch.fd = -1;
	}
	return ret;
}

void pst_signals_close(struct pst_epoll *epoll, struct pst_signals *signals)
{
	pst_epoll_forget(epoll, &signals->watch);
	close(signals->watch.fd);
	signals->watch.fd = -1;
}
