/* test_outlet.c - log lines on their way out: full pipes, dead readers, restarted daemons */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/clock.h"
#include "app/outlet.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"

#define RING_BYTES 8192
#define TEXT_MAX (1024 * 1024)

struct bench {
	struct pst_poller_sim sim;
	struct pst_clock clock;
	struct pst_alloc_fail alloc;
	struct pst_loop loop;
	struct pst_log log;
	uint8_t ring[RING_BYTES];
	struct pst_outlet outlet;
	int saved_stderr;
	char folder[64];
	char text[TEXT_MAX];
	size_t text_len;
};

/* stderr_fd: what stderr is during the test; -1: as it is */
static struct bench *bench_new(int stderr_fd)
{
	struct bench *b = calloc(1, sizeof(*b));

	snprintf(b->folder, sizeof(b->folder), "%s", "/tmp/pst-outlet-XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	b->saved_stderr = dup(STDERR_FILENO);
	if (stderr_fd >= 0)
		dup2(stderr_fd, STDERR_FILENO);
	pst_alloc_fail_init(&b->alloc);
	pst_poller_sim_init(&b->sim, 1000);
	pst_log_init(&b->log, b->ring, sizeof(b->ring));
	pst_clock_init(&b->clock, &b->sim.poller, &b->log);
	assert_int_equal(pst_loop_init(&b->loop, &b->clock.poller, &b->alloc.mem, 4), 0);
	pst_outlet_init(&b->outlet, &b->log, &b->loop, NULL);
	pst_outlet_start(&b->outlet);
	return b;
}

static void bench_free(struct bench *b)
{
	char command[128];

	pst_outlet_close(&b->outlet);
	dup2(b->saved_stderr, STDERR_FILENO);
	close(b->saved_stderr);
	pst_loop_fini(&b->loop);
	assert_int_equal(b->alloc.block_count, 0);
	snprintf(command, sizeof(command), "rm -rf %s", b->folder);
	assert_int_equal(system(command), 0);
	free(b);
}

static void log_line(struct bench *b, uint64_t number)
{
	pst_log_begin(&b->log, PST_LOG_INFO, "line");
	pst_log_u64(&b->log, "n", number);
	pst_log_text(&b->log, "fill", "........................................................");
	pst_log_end(&b->log);
}

static void turn(struct bench *b)
{
	pst_loop_turn(&b->loop, false);
}

/* Time passes; timers fire. */
static void pass(struct bench *b, uint64_t ms)
{
	pst_poller_sim_pass(&b->sim, ms);
	turn(b);
}

static void path_in(const struct bench *b, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", b->folder, name);
}

static void slurp_file(struct bench *b, const char *name)
{
	char path[128];
	FILE *file;

	path_in(b, name, path, sizeof(path));
	file = fopen(path, "rb");
	assert_non_null(file);
	b->text_len = fread(b->text, 1, TEXT_MAX - 1, file);
	b->text[b->text_len] = 0;
	fclose(file);
}

/* What can be read at once is added to the text. */
static void slurp_fd(struct bench *b, int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	while (poll(&ready, 1, 0) == 1 && ready.revents & POLLIN) {
		ssize_t got = read(fd, b->text + b->text_len, TEXT_MAX - 1 - b->text_len);

		if (got <= 0)
			break;
		b->text_len += (size_t)got;
	}
	b->text[b->text_len] = 0;
}

/* Every line of the text is whole; "line" events count up, with gaps only where log_lost lines make
 * up for them in sum.
 *  ret how many line events there are */
static uint64_t check_lines(struct bench *b, uint64_t written, uint64_t *lost)
{
	uint64_t seen = 0, last = 0;
	char *rest = b->text, *line;

	*lost = 0;
	while (*rest) {
		unsigned long long number;
		char *end = strchr(rest, '\n');

		assert_non_null(end);
		*end = 0;
		line = rest;
		rest = end + 1;
		if (sscanf(line, "%*s ev=line n=%llu fill=........", &number) == 1) {
			assert_true(number > last);
			assert_true(strlen(line) > 80);
			last = number;
			seen++;
		} else if (sscanf(line, "%*s level=warning ev=log_lost lines=%llu", &number) == 1) {
			*lost += number;
		} else {
			fail_msg("not a line of ours: %s", line);
		}
	}
	assert_int_equal(seen + *lost, written);
	return seen;
}

/* --- files --------------------------------------------------------------------------------- */

static void file_gets_lines(void **state)
{
	struct bench *b = bench_new(-1);
	char path[128], moved[128];
	uint64_t lost;

	(void)state;
	path_in(b, "log", path, sizeof(path));
	path_in(b, "log.1", moved, sizeof(moved));
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_FILE, pst_span_text(path)), 0);
	log_line(b, 1);
	log_line(b, 2);
	turn(b);
	slurp_file(b, "log");
	assert_int_equal(check_lines(b, 2, &lost), 2);

	/* rotated: the old file goes on until the reload says otherwise */
	assert_int_equal(rename(path, moved), 0);
	log_line(b, 3);
	turn(b);
	slurp_file(b, "log.1");
	assert_non_null(strstr(b->text, "n=3"));
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_FILE, pst_span_text(path)), 0);
	log_line(b, 4);
	turn(b);
	/* not rotated: opened anew, what is there stays */
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_FILE, pst_span_text(path)), 0);
	log_line(b, 5);
	turn(b);
	slurp_file(b, "log");
	assert_int_equal(strncmp(strchr(b->text, ' '), " ev=line n=4", 12), 0);
	assert_non_null(strstr(b->text, " ev=line n=5"));
	bench_free(b);
}

static void bad_file_changes_nothing(void **state)
{
	struct bench *b = bench_new(-1);
	char path[128], bad[128], longest[600];
	uint64_t lost;

	(void)state;
	path_in(b, "log", path, sizeof(path));
	path_in(b, "not/there", bad, sizeof(bad));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_FILE, pst_span_text(path)), 0);
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_FILE, pst_span_text(bad)),
			 -PST_E_NOENT);
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_FILE, pst_span_text(longest)),
			 -PST_E_RANGE);
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_SYSLOG,
					 pst_span_sub(pst_span_text(longest), 0, 108)),
			 -PST_E_RANGE);
	log_line(b, 1);
	turn(b);
	slurp_file(b, "log");
	assert_int_equal(check_lines(b, 1, &lost), 1);
	bench_free(b);
}

/* --- pipes and sockets as stderr ----------------------------------------------------------- */

static void full_reader(int reader, int writer)
{
	struct bench *b = bench_new(writer);
	uint64_t written = 0, lost, seen;

	close(writer);
	/* far more than reader and ring take */
	while (written < 2000) {
		for (int i = 0; i < 10; i++)
			log_line(b, ++written);
		pass(b, 1);
	}
	assert_true(b->log.lost_count > 0);
	/* the reader is back: everything that was kept arrives, and one line for what was not */
	for (int i = 0; i < 1000; i++) {
		slurp_fd(b, reader);
		pass(b, 200);
	}
	log_line(b, ++written);
	turn(b);
	slurp_fd(b, reader);
	seen = check_lines(b, written, &lost);
	assert_true(lost > 0);
	assert_true(seen > RING_BYTES / 128);
	bench_free(b);
	close(reader);
}

static void full_pipe(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	full_reader(ends[0], ends[1]);
}

static void full_socket(void **state)
{
	int ends[2], size = 4096;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	full_reader(ends[0], ends[1]);
}

/* A pipe that cannot be opened anew is asked before each write. */
static void asked_pipe(void **state)
{
	int ends[2], flags;
	struct bench *b;
	uint64_t lost;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	b = bench_new(ends[1]);
	b->outlet.way = PST_OUTLET_ASK;
	for (uint64_t n = 1; n <= 50; n++)
		log_line(b, n);
	turn(b);
	slurp_fd(b, ends[0]);
	assert_int_equal(check_lines(b, 50, &lost), 50);
	/* nobody else's descriptor was made non-blocking on the way */
	flags = fcntl(ends[1], F_GETFL);
	assert_false(flags & O_NONBLOCK);
	close(ends[1]);
	bench_free(b);
	close(ends[0]);
}

static void shared_pipe_stays_blocking(void **state)
{
	int ends[2];
	struct bench *b;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	b = bench_new(ends[1]);
	assert_int_equal(b->outlet.way, PST_OUTLET_WRITE);
	assert_true(b->outlet.owned);
	log_line(b, 1);
	turn(b);
	assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
	close(ends[1]);
	bench_free(b);
	close(ends[0]);
}

static void gone_reader(void **state)
{
	int ends[2];
	struct bench *b;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(ends), 0);
	b = bench_new(ends[1]);
	close(ends[1]);
	close(ends[0]);
	for (uint64_t n = 1; n <= 500; n++) {
		log_line(b, n);
		turn(b);
	}
	assert_true(b->log.lost_count > 400 - RING_BYTES / 80);
	bench_free(b);
}

static void closed_stderr(void **state)
{
	struct bench *b = bench_new(-1);

	(void)state;
	pst_outlet_close(&b->outlet);
	close(STDERR_FILENO);
	pst_outlet_init(&b->outlet, &b->log, &b->loop, NULL);
	dup2(b->saved_stderr, STDERR_FILENO);
	assert_int_equal(b->outlet.way, PST_OUTLET_NONE);
	log_line(b, 1);
	turn(b);
	bench_free(b);
}

/* A line that a pipe took half of does not become a datagram. */
static void half_line_before_syslog(void **state)
{
	struct bench *b = bench_new(-1);
	char path[128];

	(void)state;
	path_in(b, "nowhere", path, sizeof(path));
	log_line(b, 1);
	log_line(b, 2);
	pst_buf_consume(&b->log.ring, 20);
	b->outlet.mid_line = true;
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_SYSLOG, pst_span_text(path)),
			 0);
	turn(b);
	assert_non_null(memmem(b->log.ring.area + b->log.ring.head, b->log.ring.len, "n=2", 3));
	assert_null(memmem(b->log.ring.area + b->log.ring.head, b->log.ring.len, "n=1", 3));
	bench_free(b);
}

/* --- syslog -------------------------------------------------------------------------------- */

static int syslogd(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static bool receive(int fd, char *text, size_t size)
{
	ssize_t got = recv(fd, text, size - 1, 0);

	if (got < 0)
		return false;
	text[got] = 0;
	return true;
}

static void syslog_lines(void **state)
{
	struct bench *b = bench_new(-1);
	char path[128], text[4096], month[4];
	unsigned priority, day, hour, minute, second, pid;
	int fd, at = 0;

	(void)state;
	setenv("TZ", "UTC", 1);
	path_in(b, "dev-log", path, sizeof(path));
	fd = syslogd(path);
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_SYSLOG, pst_span_text(path)),
			 0);
	turn(b);
	log_line(b, 7);
	pst_log_message(&b->log, PST_LOG_ERROR, "broken", "two words");
	pst_log_message(&b->log, PST_LOG_WARNING, "odd", "x");
	turn(b);
	assert_true(receive(fd, text, sizeof(text)));
	assert_int_equal(sscanf(text, "<%u>%3s %u %u:%u:%u postern[%u]: %n", &priority, month, &day,
				&hour, &minute, &second, &pid, &at), 7);
	assert_int_equal(priority, 16 + 6);
	assert_string_equal(month, "Nov");
	assert_int_equal(day, 21);
	assert_int_equal(hour, 21);
	assert_int_equal(pid, getpid());
	assert_int_equal(strncmp(text + at, "ev=line n=7 ", 12), 0);
	assert_true(receive(fd, text, sizeof(text)));
	assert_int_equal(strncmp(text, "<19>", 4), 0);
	assert_non_null(strstr(text, "]: level=error ev=broken msg=\"two words\""));
	assert_true(receive(fd, text, sizeof(text)));
	assert_int_equal(strncmp(text, "<20>", 4), 0);
	assert_false(receive(fd, text, sizeof(text)));
	bench_free(b);
	close(fd);
}

/* Not there at first, then there, then restarted: nothing is lost meanwhile. */
static void syslog_comes_and_goes(void **state)
{
	struct bench *b = bench_new(-1);
	char path[128], text[4096], wanted[32];
	uint64_t got = 0, sent = 0;
	int fd;

	(void)state;
	path_in(b, "dev-log", path, sizeof(path));
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_SYSLOG, pst_span_text(path)),
			 0);
	for (int i = 0; i < 3; i++)
		log_line(b, ++sent);
	turn(b);
	fd = syslogd(path);
	for (int round = 0; round < 3; round++) {
		pass(b, 1100);
		log_line(b, ++sent);
		pass(b, 1100);
		while (receive(fd, text, sizeof(text))) {
			snprintf(wanted, sizeof(wanted), " n=%llu ", (unsigned long long)++got);
			assert_non_null(strstr(text, wanted));
		}
		assert_int_equal(got, sent);
		close(fd);
		fd = syslogd(path);
	}
	assert_int_equal(b->log.lost_count, 0);
	bench_free(b);
	close(fd);
}

static void syslog_full(void **state)
{
	struct bench *b = bench_new(-1);
	char path[128], text[4096];
	unsigned long long lost = 0, number;
	uint64_t sent = 0, seen = 0;
	int fd;

	(void)state;
	path_in(b, "dev-log", path, sizeof(path));
	fd = syslogd(path);
	assert_int_equal(pst_outlet_open(&b->outlet, PST_CONFIG_LOG_SYSLOG, pst_span_text(path)),
			 0);
	while (b->log.lost_count < 100) {
		log_line(b, ++sent);
		turn(b);
		assert_true(sent < 100000);
	}
	for (int i = 0; i < 1000; i++) {
		while (receive(fd, text, sizeof(text))) {
			if (strstr(text, "ev=line "))
				seen++;
			else if (sscanf(strstr(text, "lines="), "lines=%llu", &number) == 1)
				lost += number;
		}
		pass(b, 200);
	}
	assert_int_equal(lost, 100);
	assert_int_equal(seen + lost, sent);
	bench_free(b);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_gets_lines),
		cmocka_unit_test(bad_file_changes_nothing),
		cmocka_unit_test(full_pipe),
		cmocka_unit_test(full_socket),
		cmocka_unit_test(asked_pipe),
		cmocka_unit_test(shared_pipe_stays_blocking),
		cmocka_unit_test(gone_reader),
		cmocka_unit_test(closed_stderr),
		cmocka_unit_test(half_line_before_syslog),
		cmocka_unit_test(syslog_lines),
		cmocka_unit_test(syslog_comes_and_goes),
		cmocka_unit_test(syslog_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
