/* test_link.c - buffers that come and go, output once a turn, room, starvation, ends */
#include "support/check.h"

#include "link/link.h"
#include "net/net_memory.h"
#include "support/alloc_fail.h"
#include "support/bytes.h"
#include "support/poller_sim.h"

#define IN_BYTES 64
#define OUT_BYTES 32
#define PIPE_BYTES 128

/* One end: a link, and what became of it. */
struct end {
	struct pst_link link;
	struct pst_bytes got;
	uint32_t input_count, room_count;
	bool keeps;  /* consumes nothing */
	bool closes; /* closes at the first callback */
	void (*on_input)(struct end *end);
};

static struct pst_alloc_fail alloc;
static struct pst_poller_sim sim;
static struct pst_loop loop;
static struct pst_net_memory net;
static struct pst_links links;
static struct pst_pool in_pool, out_pool;
static struct pst_net_listener listener;
static struct end near_end, far_end;

static void on_input(struct pst_link *link)
{
	struct end *end = PST_CONTAINER(link, struct end, link);

	end->input_count++;
	if (end->closes) {
		pst_link_close(link, false);
		return;
	}
	if (end->on_input)
		end->on_input(end);
	if (end->keeps)
		return;
	pst_bytes_add_span(&end->got, pst_buf_span(&link->in));
	pst_buf_consume(&link->in, link->in.len);
}

static void on_room(struct pst_link *link)
{
	PST_CONTAINER(link, struct end, link)->room_count++;
}

static void end_init(struct end *end)
{
	pst_link_init(&end->link, &links, &in_pool, &out_pool);
	end->link.on_input = on_input;
	end->link.on_room = on_room;
}

static struct pst_net_conn *on_accept(struct pst_net_listener *from, const struct pst_addr *peer,
				      struct pst_span *refusal)
{
	(void)from;
	(void)peer;
	(void)refusal;
	return &far_end.link.conn;
}

static void on_accepted(struct pst_net_listener *from, struct pst_net_conn *conn)
{
	(void)from;
	(void)conn;
	pst_link_read(&far_end.link, true);
}

static void turns(void)
{
	bool done = false;

	for (int i = 0; i < 10000 && !done; i++) {
		pst_loop_turn(&loop, false);
		done = pst_list_empty(&loop.tasks);
	}
	assert_true(done); /* it came to rest */
}

static struct pst_addr server(uint16_t port)
{
	return (struct pst_addr){.family = PST_FAMILY_IPV4, .port = port, .ip = {192, 0, 2, 1}};
}

static int begin(void **state)
{
	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_poller_sim_init(&sim, 1000);
	if (pst_loop_init(&loop, &sim.poller, &alloc.mem, 8) < 0)
		return -1;
	pst_net_memory_init(&net, &loop, &alloc.mem, PIPE_BYTES);
	pst_links_init(&links, &loop);
	pst_pool_init(&in_pool, "in", &alloc.mem, IN_BYTES, 2, 0);
	pst_pool_init(&out_pool, "out", &alloc.mem, OUT_BYTES, 2, 0);
	near_end = far_end = (struct end){.got = {.at = NULL}};
	end_init(&near_end);
	end_init(&far_end);
	listener = (struct pst_net_listener){
		.local = server(25),
		.on_accept = on_accept,
		.on_accepted = on_accepted,
	};
	return net.net.ops->listen(&net.net, &listener);
}

static int end(void **state)
{
	(void)state;
	pst_link_close(&near_end.link, true);
	pst_link_close(&far_end.link, true);
	pst_bytes_free(&near_end.got);
	pst_bytes_free(&far_end.got);
	turns();
	pst_links_fini(&links);
	pst_pool_fini(&in_pool);
	pst_pool_fini(&out_pool);
	pst_net_memory_fini(&net);
	if (loop.heap_count > 0)
		return -1;
	pst_loop_fini(&loop);
	return alloc.block_count == 0 ? 0 : -1;
}

static void connect_to(uint16_t port)
{
	struct pst_addr addr = server(port);

	assert_int_equal(pst_link_connect(&near_end.link, &net.net, &addr), 0);
	pst_link_read(&near_end.link, true);
}

static void say(struct end *end, const char *text)
{
	struct pst_buf *out = pst_link_out(&end->link, (uint32_t)strlen(text));

	assert_non_null(out);
	assert_int_equal(pst_buf_put_text(out, text), 0);
}

static void connects(void **state)
{
	(void)state;
	connect_to(25);
	assert_int_equal(near_end.room_count, 0); /* never inside the call */
	turns();
	assert_int_equal(near_end.room_count, 1);
	assert_int_equal(near_end.input_count, 0);
	assert_true(pst_link_is_open(&far_end.link));
}

static void connect_is_refused(void **state)
{
	(void)state;
	connect_to(26);
	turns();
	assert_int_equal(near_end.room_count, 0);
	assert_int_equal(near_end.input_count, 1);
	assert_int_equal(near_end.link.error, PST_E_REFUSED);
	assert_null(pst_link_out(&near_end.link, 1));
}

/* Several pieces of one turn leave in one write; an idle link holds no buffer. */
static void output_leaves_once_a_turn(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	far_end.input_count = 0;
	say(&near_end, "one ");
	say(&near_end, "two ");
	say(&near_end, "three");
	assert_int_equal(out_pool.used_count, 1);
	pst_loop_turn(&loop, false);
	assert_int_equal(out_pool.used_count, 0);
	turns();
	assert_int_equal(far_end.input_count, 1);
	check_span(pst_bytes_from(&far_end.got, 0), "one two three");
	assert_int_equal(in_pool.used_count, 0);
}

static void flush_leaves_now(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	say(&near_end, "now");
	assert_true(pst_link_flush(&near_end.link));
	assert_int_equal(out_pool.used_count, 0);
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "now");
	assert_true(pst_link_flush(&near_end.link));
}

/* Spans go behind what `out` holds; what does not fit is told by on_room, in order. */
static void large_writes(void **state)
{
	struct pst_bytes sent = {0};
	uint32_t from = 0, writes = 0;

	(void)state;
	connect_to(25);
	turns();
	near_end.room_count = 0;
	while (sent.len < 1000)
		pst_bytes_print(&sent, "%u,", sent.len);
	say(&near_end, "head:");
	for (;;) {
		struct pst_span rest = pst_bytes_from(&sent, from);
		const struct pst_span spans[] = {
			pst_span_sub(rest, 0, 10),
			PST_SPAN_NONE,
			pst_span_sub(rest, 10, rest.len),
		};
		int64_t taken = pst_link_write(&near_end.link, spans, 3);

		assert_true(taken >= 0 && taken <= PIPE_BYTES);
		writes++;
		from += (uint32_t)taken;
		if (from == sent.len)
			break;
		assert_int_equal(near_end.room_count, 0);
		turns();
		assert_int_equal(near_end.room_count, 1);
		near_end.room_count = 0;
	}
	turns();
	assert_int_equal(near_end.room_count, 0); /* nothing was left over */
	assert_true(writes >= 1000 / PIPE_BYTES);
	check_span(pst_span_sub(pst_bytes_from(&far_end.got, 0), 0, 5), "head:");
	assert_true(pst_span_eq(pst_bytes_from(&far_end.got, 5), pst_bytes_from(&sent, 0)));
	pst_bytes_free(&sent);
}

/* `out` is full: NULL, and on_room when it has drained. */
static void full_output(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	near_end.room_count = 0;
	say(&near_end, "0123456789012345678901234567");
	assert_null(pst_link_out(&near_end.link, 5));
	assert_non_null(pst_link_out(&near_end.link, 4));
	turns();
	assert_int_equal(near_end.room_count, 1);
	assert_non_null(pst_link_out(&near_end.link, OUT_BYTES));
}

/* The peer does not read: output waits, and the peer's reading brings room. */
static void held_back(void **state)
{
	uint32_t count = 0;

	(void)state;
	connect_to(25);
	turns();
	far_end.keeps = true;
	while (pst_link_out(&near_end.link, 28)) {
		say(&near_end, "0123456789012345678901234567");
		turns();
		count++;
		assert_true(count < 100);
	}
	near_end.room_count = 0;
	turns();
	assert_int_equal(near_end.room_count, 0);
	assert_int_equal(far_end.link.in.len, IN_BYTES);
	far_end.keeps = false;
	pst_bytes_add_span(&far_end.got, pst_buf_span(&far_end.link.in));
	pst_buf_consume(&far_end.link.in, far_end.link.in.len);
	pst_link_read(&far_end.link, true);
	turns();
	assert_int_equal(near_end.room_count, 1);
	assert_int_equal(far_end.got.len, 28 * count);
	assert_int_equal(out_pool.used_count, 0);
	assert_int_equal(in_pool.used_count, 0);
}

static void reading_off_and_on(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	pst_link_read(&far_end.link, false);
	say(&near_end, "hello");
	turns();
	assert_int_equal(far_end.input_count, 0);
	assert_int_equal(in_pool.used_count, 0);
	pst_link_read(&far_end.link, true);
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "hello");
}

static void end_of_stream(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	say(&near_end, "last words");
	assert_true(pst_link_flush(&near_end.link));
	near_end.link.conn.ops->shutdown(&near_end.link.conn);
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "last words");
	assert_true(far_end.link.end);
	assert_int_equal(far_end.link.error, 0);
	/* The other direction is still there. */
	say(&far_end, "answer");
	turns();
	check_span(pst_bytes_from(&near_end.got, 0), "answer");
}

static void reset(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	pst_link_close(&near_end.link, true);
	turns();
	assert_int_equal(far_end.link.error, PST_E_RESET);
	assert_false(far_end.link.end);
	assert_int_equal(far_end.input_count, 1);
	assert_null(pst_link_out(&far_end.link, 1));
}

/* What was flushed before the close still arrives; what was not is lost. */
static void close_with_output(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	say(&near_end, "said ");
	assert_true(pst_link_flush(&near_end.link));
	say(&near_end, "unsaid");
	pst_link_close(&near_end.link, false);
	assert_int_equal(out_pool.used_count, 0);
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "said ");
	assert_true(far_end.link.end);
	pst_link_close(&near_end.link, false); /* harmless */
}

static void close_in_callback(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	far_end.closes = true;
	say(&near_end, "hello");
	turns();
	assert_int_equal(far_end.input_count, 1);
	assert_false(pst_link_is_open(&far_end.link));
	assert_true(near_end.link.end || near_end.link.error);
	assert_int_equal(in_pool.used_count, 0);
}

static void close_other(struct end *which)
{
	pst_link_close(which == &near_end ? &far_end.link : &near_end.link, true);
}

/* Both have something to be told when one's callback closes the other. */
static void close_of_another(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	near_end.on_input = far_end.on_input = close_other;
	say(&near_end, "a");
	say(&far_end, "b");
	turns();
	/* The one that was closed heard nothing, the other heard the input and the reset. */
	assert_int_equal(near_end.input_count + far_end.input_count, 2);
	assert_true(near_end.input_count == 0 || far_end.input_count == 0);
	assert_int_equal(pst_link_is_open(&near_end.link) + pst_link_is_open(&far_end.link), 1);
}

/* No buffer for input: nothing spins, nothing is lost, and it goes on when there is one. */
static void starved_of_input(void **state)
{
	void *blocks[2];

	(void)state;
	connect_to(25);
	turns();
	blocks[0] = pst_pool_get(&in_pool);
	blocks[1] = pst_pool_get(&in_pool);
	say(&near_end, "hello");
	turns();
	assert_int_equal(far_end.input_count, 0);
	for (int i = 0; i < 5; i++) {
		pst_loop_turn(&loop, true);
		turns();
	}
	assert_true(sim.slept_ms >= 4 * PST_LINK_RETRY_MS);
	pst_pool_put(&in_pool, blocks[0]);
	pst_pool_put(&in_pool, blocks[1]);
	pst_loop_turn(&loop, true);
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "hello");
	pst_loop_turn(&loop, false);
	assert_int_equal(loop.heap_count, 0);
}

static void starved_of_output(void **state)
{
	void *blocks[2];

	(void)state;
	connect_to(25);
	turns();
	near_end.room_count = 0;
	blocks[0] = pst_pool_get(&out_pool);
	blocks[1] = pst_pool_get(&out_pool);
	assert_null(pst_link_out(&near_end.link, 5));
	turns();
	assert_int_equal(near_end.room_count, 0);
	pst_pool_put(&out_pool, blocks[0]);
	pst_pool_put(&out_pool, blocks[1]);
	pst_loop_turn(&loop, true);
	turns();
	assert_int_equal(near_end.room_count, 1);
	say(&near_end, "hello");
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "hello");
}

static void closed_while_starved(void **state)
{
	void *blocks[2];

	(void)state;
	connect_to(25);
	turns();
	blocks[0] = pst_pool_get(&in_pool);
	blocks[1] = pst_pool_get(&in_pool);
	say(&near_end, "hello");
	turns();
	pst_link_close(&far_end.link, false);
	pst_pool_put(&in_pool, blocks[0]);
	pst_pool_put(&in_pool, blocks[1]);
	pst_loop_turn(&loop, true);
	turns();
	assert_int_equal(far_end.input_count, 0);
}

/* Ten bytes a second: at first none, then one each tenth, and no more than ten at once. */
static void paced(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	pst_link_pace(&far_end.link, 10);
	say(&near_end, "0123456789abcdefghijklmnopqr");
	turns();
	assert_int_equal(far_end.got.len, 0);
	sim.mono_ms += 100;
	turns();
	assert_int_equal(far_end.got.len, 1);
	for (int i = 0; i < 9; i++) {
		sim.mono_ms += 100;
		turns();
	}
	assert_int_equal(far_end.got.len, 10);
	sim.mono_ms += 60000;
	turns();
	assert_int_equal(far_end.got.len, 20);
	/* What it does not use is not saved up for longer than a second. */
	pst_link_read(&far_end.link, false);
	for (int i = 0; i < 100; i++) {
		sim.mono_ms += 100;
		turns();
	}
	pst_link_read(&far_end.link, true);
	turns();
	check_span(pst_bytes_from(&far_end.got, 0), "0123456789abcdefghijklmnopqr");
	say(&near_end, "faster");
	turns();
	assert_int_equal(far_end.got.len, 30);
	pst_link_pace(&far_end.link, 0);
	turns();
	assert_int_equal(far_end.got.len, 34);
}

static void closed_while_paced(void **state)
{
	(void)state;
	connect_to(25);
	turns();
	pst_link_pace(&far_end.link, 10);
	pst_link_pace(&near_end.link, 10);
	pst_link_close(&far_end.link, false);
	sim.mono_ms += 100;
	turns();
	assert_true(near_end.link.end);
	assert_true(pst_timer_armed(&links.pace));
	pst_link_close(&near_end.link, false);
	sim.mono_ms += 100;
	turns();
	assert_false(pst_timer_armed(&links.pace));
}

static void zeroed_is_closed(void **state)
{
	struct pst_link link = {0};

	(void)state;
	assert_false(pst_link_is_open(&link));
	pst_link_close(&link, true);
	assert_null(pst_link_out(&link, 1));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(connects),
		ROW(connect_is_refused),
		ROW(output_leaves_once_a_turn),
		ROW(flush_leaves_now),
		ROW(large_writes),
		ROW(full_output),
		ROW(held_back),
		ROW(reading_off_and_on),
		ROW(end_of_stream),
		ROW(reset),
		ROW(close_with_output),
		ROW(close_in_callback),
		ROW(close_of_another),
		ROW(starved_of_input),
		ROW(starved_of_output),
		ROW(closed_while_starved),
		ROW(paced),
		ROW(closed_while_paced),
		cmocka_unit_test(zeroed_is_closed),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
