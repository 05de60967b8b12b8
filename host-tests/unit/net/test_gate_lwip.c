/* test_gate_lwip.c - handshakes that never end, and clients who come in all the same
 *
 * A server and its clients are two hosts of one lwIP, 25 ms apart. Somebody sends SYNs from invented
 * addresses. Time is simulated, so the figures do not depend on the machine.
 */
#include "support/check.h"

#include "net/net_lwip.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"
#include "support/os_rules.h"
#include "support/rng_seed.h"

#define FRAMES_MAX 65536
#define FRAME_BYTES 128
#define CLIENTS_MAX 400
#define WAY_MS 25
#define GOOD_MS 50 /* a good client each */
#define IN_TIME_MS 2000

struct host {
	struct pst_frames frames;
	struct pst_lwip_interface interface;
	struct host *other;
};

struct frame {
	uint64_t due_ms;
	struct host *to;
	uint32_t len;
	uint8_t bytes[FRAME_BYTES];
};

struct client {
	struct pst_net_conn conn, served;
	uint64_t began_ms;
	uint32_t took_ms;
	bool told, greeted, done;
};

static struct {
	struct pst_alloc_fail alloc;
	struct pst_poller_sim sim;
	struct pst_loop loop;
	struct pst_rng_seed rng, dice;
	struct pst_lwip lwip;
	struct host clients, server;
	struct frame *frames; /* a ring, in order of time */
	uint32_t first, count;
	struct pst_net_listener listener;
	struct client all[CLIENTS_MAX];
	uint32_t client_count, served_count;
	struct pst_timer tick;
	struct pst_net_syn syn; /* of the last one accepted */
	uint32_t unknown_count; /* of whom it is not known */
} world;

/* --- the wire ------------------------------------------------------------------------------- */

static void send_frame(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	struct host *host = PST_CONTAINER(frames, struct host, frames);
	struct frame *frame = &world.frames[(world.first + world.count) % FRAMES_MAX];

	frame->len = 0;
	for (uint32_t i = 0; i < count; i++) {
		assert_true(frame->len + parts[i].len <= FRAME_BYTES && world.count < FRAMES_MAX);
		memcpy(frame->bytes + frame->len, parts[i].at, parts[i].len);
		frame->len += parts[i].len;
	}
	frame->to = host->other;
	frame->due_ms = world.loop.now_ms + WAY_MS;
	world.count++;
}

static void deliver(void)
{
	while (world.count && world.frames[world.first].due_ms <= world.loop.now_ms) {
		struct frame frame = world.frames[world.first];

		world.first = (world.first + 1) % FRAMES_MAX;
		world.count--;
		frame.to->frames.on_frame(&frame.to->frames,
					  (struct pst_span){frame.bytes, frame.len});
	}
}

static void on_tick(struct pst_timer *timer)
{
	pst_timer_set(&world.loop, timer, world.loop.now_ms + 1);
	deliver();
}

/* --- the flood ------------------------------------------------------------------------------ */

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t sum(const uint8_t *at, uint32_t len, uint32_t start)
{
	for (uint32_t i = 0; i < len; i += 2)
		start += (uint32_t)at[i] << 8 | at[i + 1];
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return (uint16_t)~start;
}

/* A SYN to the server's port 25; `prefix` is the network it pretends to be of, NULL any. */
static void flood(const uint8_t *prefix)
{
	uint8_t frame[58] = {2, 0, 0, 0, 3, 2, 2, 0, 0, 0, 9, 9, 8, 0, 0x45};
	uint8_t *ip = frame + 14, *tcp = frame + 34;
	struct pst_span span = {frame, sizeof(frame)};

	put16(ip + 2, 44);
	ip[8] = 57;
	ip[9] = 6;
	for (int i = 0; i < 4; i++)
		ip[12 + i] = (uint8_t)(prefix && i < 3 ? prefix[i]
					      : 1 + pst_rng_seed_below(&world.dice, 223));
	memcpy(ip + 16, "\xc0\0\2\2", 4);
	put16(ip + 10, sum(ip, 20, 0));
	put16(tcp, 1024 + pst_rng_seed_below(&world.dice, 60000));
	put16(tcp + 2, 25);
	put16(tcp + 4, pst_rng_seed_below(&world.dice, 65536));
	tcp[12] = 0x60;
	tcp[13] = 2;
	put16(tcp + 14, 1024);
	memcpy(tcp + 20, "\2\4\5\xb4", 4);
	put16(tcp + 16, sum(tcp, 24, (uint32_t)(6 + 24) + (uint32_t)(ip[12] << 8 | ip[13]) +
				    (uint32_t)(ip[14] << 8 | ip[15]) + 0xc000 + 0x0202));
	world.server.frames.on_frame(&world.server.frames, span);
}

/* --- good clients --------------------------------------------------------------------------- */

static void client_on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	struct client *client = PST_CONTAINER(conn, struct client, conn);
	uint8_t area[64];
	int64_t got = 0;

	client->told = true;
	conn->ops->want(conn, PST_NET_READ);
	if (ready & PST_NET_READ)
		got = conn->ops->read(conn, area, sizeof(area));
	if (got > 0 && !client->greeted) {
		client->greeted = true;
		client->took_ms = (uint32_t)(world.loop.now_ms - client->began_ms);
	}
	if (got) {
		conn->ops->abort(conn, false);
		client->done = true;
	}
}

static void served_on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	uint8_t area[64];

	(void)ready;
	if (conn->ops->read(conn, area, sizeof(area)) < 0)
		conn->ops->abort(conn, false);
}

static struct pst_net_conn *on_accept(struct pst_net_listener *listener,
				      const struct pst_addr *peer, struct pst_span *refusal)
{
	struct pst_net_conn *conn = &world.all[world.served_count].served;

	(void)listener, (void)refusal;
	assert_true(world.served_count++ < CLIENTS_MAX);
	assert_int_equal(peer->ip[0], 192);
	conn->on_ready = served_on_ready;
	return conn;
}

static void on_accepted(struct pst_net_listener *listener, struct pst_net_conn *conn)
{
	struct pst_span greeting = PST_SPAN("220 hello\r\n");

	(void)listener;
	conn->ops->syn(conn, &world.syn);
	world.unknown_count += world.syn.ttl == 0;
	assert_int_equal(conn->ops->write(conn, &greeting, 1), greeting.len);
	conn->ops->want(conn, PST_NET_READ);
}

static struct client *begin(void)
{
	struct client *client = &world.all[world.client_count++];
	struct pst_net *net = &world.clients.interface.net;

	client->conn = (struct pst_net_conn){.on_ready = client_on_ready,
					     .peer = world.listener.local};
	client->began_ms = world.loop.now_ms;
	assert_int_equal(net->ops->connect(net, &client->conn), 0);
	return client;
}

/* --- a world -------------------------------------------------------------------------------- */

static void add(struct host *host, struct host *other, const char *address, const char *gateway,
		uint8_t number)
{
	struct pst_interface_conf conf = {.mac = {2, 0, 0, 0, 3, number}, .ipv4.bits = 24};

	assert_int_equal(pst_addr_parse(pst_span_text(address), &conf.ipv4.net), 0);
	assert_int_equal(pst_addr_parse(pst_span_text(gateway), &conf.gateway), 0);
	host->other = other;
	host->frames.send = send_frame;
	assert_int_equal(pst_lwip_add(&world.lwip, &host->interface, &host->frames, &conf), 0);
}

static void run(uint32_t ms)
{
	uint64_t until_ms = world.loop.now_ms + ms;

	while (world.loop.now_ms < until_ms)
		pst_loop_turn(&world.loop, true);
}

static int set_up(void **state)
{
	static const struct pst_lwip_limits limits = {
		.accept_bytes_max = 1 << 22, .connect_bytes_max = 1 << 22, .half_count_max = 256,
		.half_network_max = 64, .accept_turn_max = 16,
	};

	(void)state;
	memset(&world, 0, sizeof(world));
	world.frames = calloc(FRAMES_MAX, sizeof(*world.frames));
	assert_non_null(world.frames);
	pst_alloc_fail_init(&world.alloc);
	pst_poller_sim_init(&world.sim, 1000);
	pst_rng_seed_init(&world.rng, 1);
	pst_rng_seed_init(&world.dice, 2);
	assert_int_equal(pst_loop_init(&world.loop, &world.sim.poller, &world.alloc.mem, 16), 0);
	assert_int_equal(pst_lwip_open(&world.lwip, &world.loop, &world.alloc.mem, &world.rng.rng,
				       &limits), 0);
	add(&world.clients, &world.server, "192.0.2.1", "192.0.2.2", 1);
	add(&world.server, &world.clients, "192.0.2.2", "192.0.2.1", 2);
	world.listener = (struct pst_net_listener){.on_accept = on_accept, .on_accepted = on_accepted};
	assert_int_equal(pst_addr_parse_port(PST_SPAN("192.0.2.2:25"), &world.listener.local), 0);
	assert_int_equal(world.server.interface.net.ops->listen(&world.server.interface.net,
								&world.listener), 0);
	world.tick.on_due = on_tick;
	on_tick(&world.tick);
	/* One through an idle network, so that both know each other's MAC. */
	begin();
	run(2000);
	assert_true(world.all[0].greeted);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < world.client_count; i++) {
		if (world.all[i].conn.open)
			world.all[i].conn.ops->abort(&world.all[i].conn, true);
		if (world.all[i].served.open)
			world.all[i].served.ops->abort(&world.all[i].served, true);
	}
	world.server.interface.net.ops->unlisten(&world.server.interface.net, &world.listener);
	pst_lwip_remove(&world.clients.interface);
	pst_lwip_remove(&world.server.interface);
	pst_lwip_close(&world.lwip);
	pst_timer_cancel(&world.loop, &world.tick);
	pst_loop_fini(&world.loop);
	free(world.frames);
	assert_int_equal(world.alloc.block_count, 0);
	return 0;
}

/* --- cases ---------------------------------------------------------------------------------- */

static void what_the_first_segment_says(void **state)
{
	(void)state;
	assert_int_equal(world.syn.ttl, 255);
	assert_true(world.syn.window > 0);
	assert_int_equal(world.syn.mss, 1460);
	assert_int_equal(world.syn.layout & 15, PST_SYN_MSS);
	assert_int_equal(pst_os_guess(os_rules(), &world.syn).system, PST_SYSTEM_EMBEDDED);
}

/* Ten seconds of `per_ms` SYNs a millisecond, and a good client each 50 ms. */
static uint32_t good_in_time(uint32_t per_ms, const uint8_t *prefix)
{
	uint32_t first = world.client_count, good = 0, total, slowest_ms = 0;

	for (uint32_t ms = 0; ms < 10000; ms++) {
		for (uint32_t i = 0; i < per_ms; i++)
			flood(prefix);
		if (ms % GOOD_MS == 0 && ms < 9000)
			begin();
		run(1);
	}
	run(IN_TIME_MS);
	total = world.client_count - first;
	for (uint32_t i = first; i < world.client_count; i++) {
		slowest_ms = PST_MAX(slowest_ms, world.all[i].took_ms);
		good += world.all[i].greeted && world.all[i].took_ms <= IN_TIME_MS;
	}
	print_message("%u SYN/s%s: %u of %u good clients within 2 s, the slowest in %u ms; "
		      "%llu made way, %llu came back by a cookie\n",
		      per_ms * 1000, prefix ? " of one network" : "", good, total, slowest_ms,
		      (unsigned long long)world.lwip.gate.evicted_count,
		      (unsigned long long)world.lwip.gate.revived_count);
	return good * 100 / total;
}

static void a_thousand_a_second(void **state)
{
	(void)state;
	assert_true(good_in_time(1, NULL) >= 95);
	assert_true(world.lwip.gate.half_count <= 256);
}

/* Of those whom a cookie brings back it is forgotten how they began, and of nobody else. */
static void ten_thousand_a_second(void **state)
{
	(void)state;
	assert_true(good_in_time(10, NULL) >= 95);
	assert_true(world.unknown_count > 0);
	assert_true(world.unknown_count <= world.lwip.gate.revived_count);
}

/* A flood that pretends to be of one network takes that network's share only. */
static void from_one_network(void **state)
{
	static const uint8_t prefix[3] = {198, 51, 100};

	(void)state;
	assert_true(good_in_time(10, prefix) == 100);
	assert_true(world.lwip.gate.half_count <= 64 + 2);
	assert_int_equal(world.lwip.gate.revived_count, 0);
	assert_int_equal(world.unknown_count, 0);
}

/* Without pressure nobody's ACK is taken for a cookie; and afterwards all is as it was. */
static void over_again(void **state)
{
	uint32_t first;

	(void)state;
	good_in_time(10, NULL);
	run(40000);
	assert_true(world.lwip.gate.half_count == 0);
	first = world.client_count;
	for (int i = 0; i < 20; i++) {
		begin();
		run(50);
	}
	run(1000);
	for (uint32_t i = first; i < world.client_count; i++)
		assert_true(world.all[i].greeted && world.all[i].took_ms <= 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_first_segment_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_thousand_a_second, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ten_thousand_a_second, set_up, tear_down),
		cmocka_unit_test_setup_teardown(from_one_network, set_up, tear_down),
		cmocka_unit_test_setup_teardown(over_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
