/* test_stack_lwip.c - two hosts of one lwIP, and the frames between them */
#include "support/check.h"

#include "net/net_lwip.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"
#include "support/rng_seed.h"

#define FRAMES_MAX 512

struct host {
	struct pst_frames frames;
	struct pst_lwip_interface interface;
	struct host *other;
};

static struct {
	struct pst_alloc_fail alloc;
	struct pst_poller_sim sim;
	struct pst_loop loop;
	struct pst_rng_seed rng;
	struct pst_lwip lwip;
	struct host near, far;
	struct {
		struct host *to;
		uint32_t len;
		uint8_t bytes[1600];
	} frames[FRAMES_MAX];
	uint32_t frame_count;
	bool held; /* frames stay on the way */
	struct pst_net_listener listener;
	struct pst_net_conn client, server;
} world;

static void send_frame(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	struct host *host = PST_CONTAINER(frames, struct host, frames);
	uint32_t len = 0;

	assert_true(count <= PST_FRAME_PARTS_MAX && world.frame_count < FRAMES_MAX);
	for (uint32_t i = 0; i < count; i++) {
		memcpy(world.frames[world.frame_count].bytes + len, parts[i].at, parts[i].len);
		len += parts[i].len;
	}
	world.frames[world.frame_count].to = host->other;
	world.frames[world.frame_count++].len = len;
}

static void turn(void)
{
	uint32_t count = world.held ? 0 : world.frame_count;

	for (uint32_t i = 0; i < count; i++) {
		struct pst_frames *frames = &world.frames[i].to->frames;

		frames->on_frame(frames, (struct pst_span){world.frames[i].bytes,
							   world.frames[i].len});
	}
	world.frame_count -= count;
	memmove(world.frames, world.frames + count, world.frame_count * sizeof(world.frames[0]));
	pst_loop_turn(&world.loop, true);
}

static void add(struct host *host, struct host *other, const char *address, uint8_t number)
{
	struct pst_interface_conf conf = {.mac = {2, 0, 0, 0, 2, number}, .ipv4.bits = 24};

	assert_int_equal(pst_addr_parse(pst_span_text(address), &conf.ipv4.net), 0);
	host->other = other;
	host->frames.send = send_frame;
	assert_int_equal(pst_lwip_add(&world.lwip, &host->interface, &host->frames, &conf), 0);
}

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	(void)ready;
	conn->ops->want(conn, 0);
}

static struct pst_net_conn *on_accept(struct pst_net_listener *listener,
				      const struct pst_addr *peer, struct pst_span *refusal)
{
	(void)listener, (void)peer, (void)refusal;
	world.server.on_ready = on_ready;
	return &world.server;
}

static void on_accepted(struct pst_net_listener *listener, struct pst_net_conn *conn)
{
	(void)listener, (void)conn;
}

static int set_up(void **state)
{
	static const struct pst_lwip_limits limits = {
		.accept_bytes_max = 1 << 20, .connect_bytes_max = 1 << 20, .half_count_max = 8,
		.half_network_max = 8, .accept_turn_max = 8,
	};

	(void)state;
	memset(&world, 0, sizeof(world));
	pst_alloc_fail_init(&world.alloc);
	pst_poller_sim_init(&world.sim, 1000);
	pst_rng_seed_init(&world.rng, 1);
	assert_int_equal(pst_loop_init(&world.loop, &world.sim.poller, &world.alloc.mem, 16), 0);
	assert_int_equal(pst_lwip_open(&world.lwip, &world.loop, &world.alloc.mem, &world.rng.rng,
				       &limits), 0);
	add(&world.near, &world.far, "192.0.2.1", 1);
	add(&world.far, &world.near, "192.0.2.2", 2);
	world.listener = (struct pst_net_listener){.on_accept = on_accept, .on_accepted = on_accepted};
	assert_int_equal(pst_addr_parse_port(PST_SPAN("192.0.2.2:25"), &world.listener.local), 0);
	assert_int_equal(world.far.interface.net.ops->listen(&world.far.interface.net,
							     &world.listener), 0);
	world.client.on_ready = on_ready;
	world.client.peer = world.listener.local;
	assert_int_equal(world.near.interface.net.ops->connect(&world.near.interface.net,
							       &world.client), 0);
	for (int i = 0; i < 200 && !world.server.open; i++)
		turn();
	assert_true(world.server.open);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world.client.ops->abort(&world.client, true);
	world.server.ops->abort(&world.server, true);
	world.far.interface.net.ops->unlisten(&world.far.interface.net, &world.listener);
	pst_lwip_remove(&world.near.interface);
	pst_lwip_remove(&world.far.interface);
	pst_lwip_close(&world.lwip);
	pst_loop_fini(&world.loop);
	assert_int_equal(world.alloc.block_count, 0);
	return 0;
}

/* While nothing is acknowledged, what is written byte by byte becomes one segment of many parts. */
static void many_small_writes_arrive(void **state)
{
	static uint8_t area[65536];
	struct pst_span whole = {area, 12000}, byte = {area, 1};
	uint32_t sent = 0, got = 0;

	(void)state;
	for (uint32_t i = 0; i < sizeof(area); i++)
		area[i] = (uint8_t)i;
	world.held = true;
	sent += (uint32_t)world.client.ops->write(&world.client, &whole, 1);
	for (int i = 0; i < 60; i++) {
		byte.at = area + sent;
		sent += (uint32_t)world.client.ops->write(&world.client, &byte, 1);
	}
	assert_true(sent > 12024);
	world.held = false;
	for (int i = 0; i < 2000 && got < sent; i++) {
		int64_t now = world.server.ops->read(&world.server, area + 32768, 32768);

		assert_true(now >= 0);
		for (uint32_t k = 0; k < (uint32_t)now; k++)
			assert_int_equal(area[32768 + k], (uint8_t)(got + k));
		got += (uint32_t)now;
		turn();
	}
	assert_int_equal(got, sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_small_writes_arrive, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
