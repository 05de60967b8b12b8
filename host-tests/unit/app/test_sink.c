/* test_sink.c - the embedded internal server, over the memory transport and in simulated time */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/sink.h"
#include "net/net_memory.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"

#define RING_BYTES 65536
#define TEXT_MAX (256 * 1024)
#define TURNS_MAX 100000

struct client {
	struct pst_net_conn conn;
	struct bench *bench;
	struct pst_span unsent;
	uint32_t piece; /* bytes of one write; 0: all */
	char text[TEXT_MAX];
	size_t text_len;
	bool ended;
};

struct bench {
	struct pst_poller_sim sim;
	struct pst_alloc_fail alloc;
	struct pst_loop loop;
	struct pst_log log;
	uint8_t ring[RING_BYTES];
	struct pst_net_memory net;
	struct pst_maildir maildir;
	struct pst_sink sink;
	struct pst_sink_fault faults[8];
	uint32_t fault_count;
	uint32_t done_count;
	struct client client;
	char fault_text[8][64]; /* borrowed by the faults */
	char folder[64];
	struct pst_timer limit; /* time does not jump beyond the end of a talk */
	char stored[TEXT_MAX];
	size_t stored_len;
	uint32_t stored_count;
};

static void on_done(void *owner)
{
	((struct bench *)owner)->done_count++;
}

/*  in  faults: separated by blanks, as on the command line (with _ for a blank); NULL: none */
static struct bench *bench_open(const char *faults, uint64_t count, uint32_t pipe_bytes)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct pst_addr address = {.family = PST_FAMILY_IPV4, .port = 25, .ip = {127, 0, 0, 1}};
	struct pst_span rest = pst_span_text(faults), word;
	struct pst_sink_env env;
	const char *what;

	snprintf(b->folder, sizeof(b->folder), "%s", "/tmp/pst-sink-XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	assert_int_equal(pst_maildir_open(&b->maildir, pst_span_text(b->folder), 1), 0);
	pst_alloc_fail_init(&b->alloc);
	pst_poller_sim_init(&b->sim, 1000);
	assert_int_equal(pst_loop_init(&b->loop, &b->sim.poller, &b->alloc.mem, 64), 0);
	pst_log_init(&b->log, b->ring, sizeof(b->ring));
	pst_net_memory_init(&b->net, &b->loop, &b->alloc.mem, pipe_bytes);
	while ((word = pst_span_word(&rest)).len) {
		char *text = b->fault_text[b->fault_count];

		snprintf(text, sizeof(b->fault_text[0]), "%.*s", (int)word.len,
			 (const char *)word.at);
		for (char *c = text; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		assert_int_equal(pst_sink_fault_parse(pst_span_text(text),
						      &b->faults[b->fault_count], &what), 0);
		b->fault_count++;
	}
	env = (struct pst_sink_env){
		.loop = &b->loop,
		.net = &b->net.net,
		.mem = &b->alloc.mem,
		.log = &b->log,
		.maildir = &b->maildir,
		.faults = b->faults,
		.fault_count = b->fault_count,
		.hostname = PST_SPAN("sink.example"),
		.message_count_max = count,
		.on_done = on_done,
		.owner = b,
	};
	assert_int_equal(pst_sink_open(&b->sink, &env, &address), 0);
	return b;
}

static struct bench *bench_new(const char *faults, uint64_t count)
{
	return bench_open(faults, count, 4096);
}

static void bench_free(struct bench *b)
{
	char command[128];

	if (b->client.conn.open)
		b->client.conn.ops->abort(&b->client.conn, false);
	pst_sink_close(&b->sink);
	assert_int_equal(b->sink.conn_count, 0);
	pst_maildir_close(&b->maildir);
	for (int i = 0; i < 4; i++)
		pst_loop_turn(&b->loop, false);
	pst_net_memory_fini(&b->net);
	pst_loop_fini(&b->loop);
	assert_int_equal(b->alloc.block_count, 0);
	snprintf(command, sizeof(command), "rm -rf %s", b->folder);
	assert_int_equal(system(command), 0);
	free(b);
}

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	struct client *client = PST_CONTAINER(conn, struct client, conn);
	int64_t got;

	(void)ready;
	if (client->unsent.len) {
		struct pst_span now = client->unsent;

		if (client->piece)
			now = pst_span_sub(now, 0, client->piece);
		got = conn->ops->write(conn, &now, 1);
		if (got > 0)
			client->unsent = pst_span_sub(client->unsent, (uint32_t)got,
						      client->unsent.len);
	}
	while ((got = conn->ops->read(conn, client->text + client->text_len,
				      (uint32_t)(TEXT_MAX - 1 - client->text_len))) > 0)
		client->text_len += (size_t)got;
	client->text[client->text_len] = 0;
	client->ended = client->ended || got < 0;
	conn->ops->want(conn, client->ended ? 0
					    : PST_NET_READ |
						      (client->unsent.len ? PST_NET_WRITE : 0u));
}

static bool ended(void *context)
{
	return ((struct bench *)context)->client.ended;
}

static void on_limit(struct pst_timer *timer)
{
	(void)timer;
}

/* Connect, send the script in pieces, until the server closes, or nothing more can happen within
 * `ms`. What it said is in client.text. */
static void talk(struct bench *b, const char *script, size_t len, uint32_t piece, uint64_t ms)
{
	struct client *client = &b->client;
	uint64_t end_ms = b->sim.mono_ms + ms;

	if (client->conn.open)
		client->conn.ops->abort(&client->conn, false);
	memset(client, 0, sizeof(*client));
	client->bench = b;
	client->piece = piece;
	client->unsent = (struct pst_span){(const uint8_t *)script, (uint32_t)len};
	client->conn.on_ready = on_ready;
	client->conn.peer = b->sink.listener.local;
	assert_int_equal(b->net.net.ops->connect(&b->net.net, &client->conn), 0);
	b->limit.on_due = on_limit;
	pst_timer_set(&b->loop, &b->limit, end_ms);
	for (int i = 0; i < TURNS_MAX && !ended(b) && b->sim.mono_ms < end_ms; i++)
		pst_loop_turn(&b->loop, true);
	pst_timer_cancel(&b->loop, &b->limit);
	for (int i = 0; i < 4; i++)
		pst_loop_turn(&b->loop, false);
}

/* The codes of the replies in a text, one of a multi-line one; "250 250 354 …". */
static const char *codes(const char *text)
{
	static char out[TEXT_MAX];
	size_t len = 0;

	out[0] = 0;
	for (const char *line = text; *line;) {
		const char *end = strchr(line, '\n');

		if (strlen(line) > 3 && line[3] == ' ')
			len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.3s",
						len ? " " : "", line);
		line = end ? end + 1 : line + strlen(line);
	}
	return out;
}

static void read_stored(struct bench *b)
{
	char path[512];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/new", b->folder);
	dir = opendir(path);
	assert_non_null(dir);
	b->stored_count = 0;
	while ((entry = readdir(dir))) {
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		b->stored_count++;
		snprintf(path, sizeof(path), "%s/new/%s", b->folder, entry->d_name);
		file = fopen(path, "rb");
		assert_non_null(file);
		b->stored_len = fread(b->stored, 1, TEXT_MAX - 1, file);
		fclose(file);
	}
	closedir(dir);
	snprintf(path, sizeof(path), "%s/tmp", b->folder);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		assert_int_equal(entry->d_name[0], '.');
	closedir(dir);
}

#define ENVELOPE \
	"EHLO a.example\r\nMAIL FROM:<a@a.example> BODY=8BITMIME\r\nRCPT TO:<u@b.example>\r\n"

/* --- what is stored ------------------------------------------------------------------------ */

static const struct {
	const char *wire;   /* between 354 and the final dot */
	const char *stored; /* NULL: the same */
} bodies[] = {
	{"Subject: x\r\n\r\nhello\r\n", NULL},
	{"", NULL},
	{"..\r\n", ".\r\n"},
	{"...x\r\n.y\r\n", "..x\r\ny\r\n"},
	{"a\r\n.\rb\r\n", "a\r\n\rb\r\n"},
	{"a\nb\rc\r\r\nd\r\n", NULL},
	{"a\n.\nb\r\n", NULL},
	{"a\r\n.\nb\r\n", "a\r\n\nb\r\n"},
	{"\r\n\r\n..\r\n\r\n", "\r\n\r\n.\r\n\r\n"},
	{"\xff\x80 8bit\r\n", NULL},
};

static void stores_what_arrives(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(bodies); i++) {
		for (uint32_t piece = 0; piece < 8; piece++) {
			struct bench *b = bench_new(NULL, 0);
			const char *want = bodies[i].stored ? bodies[i].stored : bodies[i].wire;
			char script[1024];
			int len = snprintf(script, sizeof(script), "%sDATA\r\n%s.\r\nQUIT\r\n",
					   ENVELOPE, bodies[i].wire);

			talk(b, script, (size_t)len, piece, 20000);
			assert_string_equal(codes(b->client.text), "220 250 250 250 354 250 221");
			assert_true(b->client.ended);
			read_stored(b);
			assert_int_equal(b->stored_count, 1);
			assert_int_equal(b->stored_len, strlen(want));
			assert_memory_equal(b->stored, want, b->stored_len);
			bench_free(b);
		}
	}
}

static void stores_large_messages(void **state)
{
	struct bench *b = bench_new(NULL, 0);
	static char script[200000], want[200000];
	size_t len = (size_t)snprintf(script, sizeof(script), "%sDATA\r\n", ENVELOPE), want_len = 0;

	(void)state;
	while (want_len < 100000) {
		size_t line = (want_len * 7) % 400;

		if (line % 3 == 0) {
			script[len++] = '.';
			script[len++] = '.';
			want[want_len++] = '.';
		}
		memset(script + len, 'x', line);
		memset(want + want_len, 'x', line);
		memcpy(script + len + line, "\r\n", 2);
		memcpy(want + want_len + line, "\r\n", 2);
		len += line + 2;
		want_len += line + 2;
	}
	len += (size_t)snprintf(script + len, sizeof(script) - len, ".\r\nQUIT\r\n");
	talk(b, script, len, 0, 60000);
	assert_string_equal(codes(b->client.text), "220 250 250 250 354 250 221");
	read_stored(b);
	assert_int_equal(b->stored_len, want_len);
	assert_memory_equal(b->stored, want, want_len);
	bench_free(b);
}

/* All of it is there at once, so that no readiness comes behind the last of a turn's reads. */
static void takes_the_last_read_of_a_turn(void **state)
{
	enum { READ_BYTES = 16384, READS = 16 };
	static char script[(READS + 2) * READ_BYTES];

	(void)state;
	for (size_t size = READ_BYTES; size < (READS + 1) * READ_BYTES; size += READ_BYTES / 2) {
		struct bench *b = bench_open(NULL, 0, sizeof(script));
		size_t len = (size_t)snprintf(script, sizeof(script), ENVELOPE "DATA\r\n");

		while (len < size)
			len += (size_t)snprintf(script + len, sizeof(script) - len, "%040zu\r\n",
						len);
		len += (size_t)snprintf(script + len, sizeof(script) - len, ".\r\n");
		talk(b, script, len, 0, 1000);
		assert_string_equal(codes(b->client.text), "220 250 250 250 354 250");
		bench_free(b);
	}
}

static void incomplete_is_nothing(void **state)
{
	static const char script[] = ENVELOPE "DATA\r\nhello\r\n.\r";
	struct bench *b = bench_new(NULL, 0);

	(void)state;
	talk(b, script, sizeof(script) - 1, 0, 1000);
	b->client.conn.ops->abort(&b->client.conn, false);
	for (int i = 0; i < 10; i++)
		pst_loop_turn(&b->loop, false);
	read_stored(b);
	assert_int_equal(b->stored_count, 0);
	bench_free(b);
}

/* --- XFORWARD ------------------------------------------------------------------------------ */

static const struct {
	const char *script, *want;
} xforward_rows[] = {
	{"EHLO a\r\nXFORWARD NAME=x ADDR=192.0.2.1\r\nXFORWARD HELO=y\r\nNOOP\r\nQUIT\r\n",
	 "220 250 250 250 250 221"},
	{"XFORWARD NAME=x\r\nQUIT\r\n", "220 503 221"},
	{"HELO a\r\nXFORWARD NAME=x\r\nQUIT\r\n", "220 250 503 221"},
	{"EHLO a\r\nxforward name\r\nQUIT\r\n", "220 250 501 221"},
	{"EHLO a\r\nXFORWARD\r\nXFORW\r\nXFORWARDS x\r\nQUIT\r\n", "220 250 502 500 500 221"},
};

static void takes_xforward(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(xforward_rows); i++) {
		for (uint32_t piece = 0; piece < 4; piece++) {
			struct bench *b = bench_new(NULL, 0);

			talk(b, xforward_rows[i].script, strlen(xforward_rows[i].script), piece,
			     20000);
			assert_string_equal(codes(b->client.text), xforward_rows[i].want);
			bench_free(b);
		}
	}
}

static void logs_the_envelope(void **state)
{
	static const char script[] =
		"EHLO a\r\nXFORWARD ADDR=192.0.2.1\r\n" ENVELOPE "RCPT TO:<v@b.example>\r\n"
		"DATA\r\nhi\r\n.\r\nQUIT\r\n";
	struct bench *b = bench_new(NULL, 0);
	struct pst_span ring;

	(void)state;
	talk(b, script, sizeof(script) - 1, 0, 20000);
	ring = pst_buf_span(&b->log.ring);
	assert_non_null(memmem(ring.at, ring.len, " ev=message n=1 from=a@a.example "
			       "to=u@b.example rcpts=2 size=4 file=1.P", 67));
	assert_non_null(memmem(ring.at, ring.len, "xforward=\"ADDR=192.0.2.1\"", 25));
	bench_free(b);
}

/* --- faults -------------------------------------------------------------------------------- */

#define MESSAGE ENVELOPE "DATA\r\nhi\r\n.\r\n"

static const struct {
	const char *fault, *script, *want;
	uint32_t stored;
	bool ends; /* the server closes */
} fault_rows[] = {
	{"connect=reply:554_no", "QUIT\r\n", "554 221", 0, true},
	{"ehlo=reply:451_4.3.0_no", "EHLO a\r\nEHLO b\r\nQUIT\r\n", "220 451 451 221", 0, true},
	{"ehlo=x1:reply:451_4.3.0_no", "EHLO a\r\nEHLO b\r\nQUIT\r\n", "220 451 250 221", 0, true},
	{"mail=reply:550_no", MESSAGE "QUIT\r\n", "220 250 550 503 503 500 500 221", 0, true},
	{"rcpt=x1:reply:450_no", ENVELOPE "RCPT TO:<v@b.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
	 "220 250 250 450 250 354 250 221", 1, true},
	{"data=reply:451_no", ENVELOPE "DATA\r\nRSET\r\nQUIT\r\n", "220 250 250 250 451 250 221", 0,
	 true},
	{"eod=reply:554_no", MESSAGE "QUIT\r\n", "220 250 250 250 354 554 221", 0, true},
	{"eod=reply:250_yes", MESSAGE "QUIT\r\n", "220 250 250 250 354 250 221", 1, true},
	{"eod=x2:reply:451_no", MESSAGE MESSAGE MESSAGE "QUIT\r\n",
	 "220 250 250 250 354 451 250 250 250 354 451 250 250 250 354 250 221", 1, true},
	{"connect=close", "QUIT\r\n", "", 0, true},
	{"ehlo=close", "EHLO a\r\n", "220", 0, true},
	{"mail=close", MESSAGE, "220 250", 0, true},
	{"rcpt=close", MESSAGE, "220 250 250", 0, true},
	{"data=close", MESSAGE, "220 250 250 250", 0, true},
	{"eod=close", MESSAGE, "220 250 250 250 354", 0, true},
	{"eod=lose", MESSAGE, "220 250 250 250 354", 1, true},
	{"quit=close", MESSAGE "QUIT\r\n", "220 250 250 250 354 250", 1, true},
	{"quit=reply:421_bye", "QUIT\r\n", "220 421", 0, true},
	{"connect=hang", "QUIT\r\n", "", 0, false},
	{"rcpt=hang", MESSAGE, "220 250 250", 0, false},
	{"eod=hang", MESSAGE "QUIT\r\n", "220 250 250 250 354", 0, false},
	{"quit=hang", "QUIT\r\n", "220", 0, false},
	{"ehlo=reply:250-half mail=garbage", "EHLO a\r\n", "220", 0, false},
};

static void misbehaves(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(fault_rows); i++) {
		struct bench *b = bench_new(fault_rows[i].fault, 0);

		talk(b, fault_rows[i].script, strlen(fault_rows[i].script), 0, 60000);
		if (strncmp(codes(b->client.text), fault_rows[i].want, strlen(fault_rows[i].want)))
			fail_msg("%s: got %s, want %s", fault_rows[i].fault, codes(b->client.text),
				 fault_rows[i].want);
		if (b->client.ended != fault_rows[i].ends)
			fail_msg("%s: %s", fault_rows[i].fault,
				 b->client.ended ? "ended" : "did not end");
		read_stored(b);
		if (b->stored_count != fault_rows[i].stored)
			fail_msg("%s: %u stored", fault_rows[i].fault, b->stored_count);
		bench_free(b);
	}
}

static void says_garbage(void **state)
{
	struct bench *b = bench_new("mail=garbage", 0);

	(void)state;
	talk(b, ENVELOPE, strlen(ENVELOPE), 0, 1000);
	assert_int_equal(strncmp(codes(b->client.text), "220 250", 7), 0);
	assert_non_null(strstr(b->client.text, "no reply at all"));
	bench_free(b);
}

static const struct {
	const char *fault;
	uint64_t least_ms, most_ms;
} slow_rows[] = {
	{"data=slow:1000", 9000, 12000},
	{"eod=slow:1000", 9000, 12000},
	{"data=slow:100/2", 1900, 3000},
	{"data=slow:1/1", 900, 2000},
	{"data=x0:slow:1", 0, 100},
};

static void reads_slowly(void **state)
{
	char script[11000];
	size_t len = (size_t)snprintf(script, sizeof(script), "%sDATA\r\n", ENVELOPE);

	(void)state;
	memset(script + len, 'x', 10000);
	len += 10000;
	len += (size_t)snprintf(script + len, sizeof(script) - len, "\r\n.\r\nQUIT\r\n");
	for (size_t i = 0; i < PST_COUNT(slow_rows); i++) {
		struct bench *b = bench_new(slow_rows[i].fault, 0);
		uint64_t before = b->sim.mono_ms, took;

		/* the command and the body in one write would put bytes into the buffer early */
		talk(b, script, len, 200, 60000);
		took = b->sim.mono_ms - before;
		assert_string_equal(codes(b->client.text), "220 250 250 250 354 250 221");
		if (took < slow_rows[i].least_ms || took > slow_rows[i].most_ms)
			fail_msg("%s took %llu ms", slow_rows[i].fault, (unsigned long long)took);
		read_stored(b);
		assert_int_equal(b->stored_len, 10002);
		bench_free(b);
	}
}

static const struct {
	const char *text;
	bool good;
} parse_rows[] = {
	{"mail=close", true},	    {"eod=slow:10/3", true},    {"eod=x3:reply:4", true},
	{"mail=reply:", true},	    {"", false},		{"mail", false},
	{"mail=", false},	    {"male=close", false},	{"mail=closed", false},
	{"mail=close:now", false},  {"mail=reply", false},	{"mail=slow:10", false},
	{"data=slow:0", false},	    {"data=slow:x", false},	{"data=slow:10/", false},
	{"data=slow:10/0", false},  {"data=slow", false},	{"mail=x1close", false},
	{"mail=lose", false},	    {"mail=x-1:close", false},	{"mail=x1:x1:close", false},
	{"eod=x99999999999:close", false},
};

static void parses_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(parse_rows); i++) {
		struct pst_sink_fault fault;
		const char *what;
		int status = pst_sink_fault_parse(pst_span_text(parse_rows[i].text), &fault, &what);

		if ((status == 0) != parse_rows[i].good)
			fail_msg("\"%s\": %s", parse_rows[i].text, status ? what : "taken");
		assert_true(status == 0 || what);
	}
}

/* --- limits -------------------------------------------------------------------------------- */

static void ends_after_count(void **state)
{
	static const char twice[] = MESSAGE MESSAGE "QUIT\r\n", once[] = MESSAGE "QUIT\r\n";
	struct bench *b = bench_new("eod=x1:reply:451_no", 2);

	(void)state;
	talk(b, twice, sizeof(twice) - 1, 0, 20000);
	assert_int_equal(b->done_count, 0);
	talk(b, once, sizeof(once) - 1, 0, 20000);
	assert_int_equal(b->done_count, 1);
	bench_free(b);
}

static void disk_trouble_is_a_452(void **state)
{
	struct bench *b = bench_new(NULL, 0);
	static const char script[] = MESSAGE "QUIT\r\n";
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rmdir %s/new", b->folder);
	assert_int_equal(system(command), 0);
	talk(b, script, sizeof(script) - 1, 0, 20000);
	assert_string_equal(codes(b->client.text), "220 250 250 250 354 452 221");
	snprintf(command, sizeof(command), "rmdir %s/tmp && mkdir %s/new %s/tmp", b->folder,
		 b->folder, b->folder);
	assert_int_equal(system(command), 0);
	/* the folders are others now: even a file cannot be begun */
	talk(b, MESSAGE, strlen(MESSAGE), 0, 1000);
	assert_int_equal(strncmp(codes(b->client.text), "220 250 250 250 452", 19), 0);
	bench_free(b);
}

static void no_memory_is_a_421(void **state)
{
	struct bench *b = bench_new(NULL, 0);
	static const char script[] = MESSAGE "QUIT\r\n";

	(void)state;
	for (uint64_t n = 1; n < 8; n++) {
		const char *got;

		memset(&b->client, 0, sizeof(b->client));
		b->client.conn.on_ready = on_ready;
		b->client.conn.peer = b->sink.listener.local;
		b->client.unsent = (struct pst_span){(const uint8_t *)script, sizeof(script) - 1};
		pst_alloc_fail_at(&b->alloc, n, false);
		if (b->net.net.ops->connect(&b->net.net, &b->client.conn) == 0) {
			for (int i = 0; i < 200; i++)
				pst_loop_turn(&b->loop, false);
			got = codes(b->client.text);
			assert_true(strcmp(got, "220 250 250 250 354 250 221") == 0 ||
				    strcmp(got, "421") == 0 || strcmp(got, "") == 0);
			b->client.conn.ops->abort(&b->client.conn, false);
		}
		pst_alloc_fail_at(&b->alloc, 0, false);
	}
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stores_what_arrives), cmocka_unit_test(stores_large_messages),
		cmocka_unit_test(takes_the_last_read_of_a_turn),
		cmocka_unit_test(incomplete_is_nothing), cmocka_unit_test(takes_xforward),
		cmocka_unit_test(logs_the_envelope), cmocka_unit_test(misbehaves),
		cmocka_unit_test(says_garbage), cmocka_unit_test(reads_slowly),
		cmocka_unit_test(parses_faults), cmocka_unit_test(ends_after_count),
		cmocka_unit_test(disk_trouble_is_a_452), cmocka_unit_test(no_memory_is_a_421),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
