/* test_share_lwip.c - a crowd that keeps all it can get of our TCP/IP's memory, and somebody else
 *
 * Two hosts of one lwIP: `far` is the server, `near` all of its clients. What the crowd does wrong is done
 * to its frames on the way.
 */
#include "support/check.h"

#include <lwip/stats.h>

#include "net/net_lwip.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"
#include "support/rng_seed.h"

#define FRAMES_MAX 8192
#define CROWD 200
#define RIGHT_BYTES 16384 /* what every client may have unread */
#define GROWN_BYTES 49152 /* after so much was read the window is whole */

struct host {
	struct pst_frames frames;
	struct pst_lwip_interface interface;
	struct host *other;
};

struct frame {
	struct host *to;
	uint32_t len;
	uint8_t bytes[1600];
};

struct pair {
	struct pst_net_conn client, server;
	uint32_t hole; /* the sequence number that is lost again and again; 0: not known yet */
	uint32_t sent, got;
};

static struct {
	struct pst_alloc_fail alloc;
	struct pst_poller_sim sim;
	struct pst_loop loop;
	struct pst_rng_seed rng;
	struct pst_lwip lwip;
	struct host near, far;
	struct frame *frames;
	uint32_t frame_count;
	bool makes_holes; /* the first data of all but the last pair is lost */
	struct pst_net_listener listener;
	struct pair pairs[CROWD + 1];
	uint32_t pair_count;
	uint32_t used_max; /* frame buffers */
} world;

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct pair *pair_of_port(uint32_t port)
{
	for (uint32_t i = 0; i < world.pair_count; i++)
		if (world.pairs[i].client.local.port == port)
			return &world.pairs[i];
	return NULL;
}

static bool is_lost(const struct frame *frame)
{
	const uint8_t *ip = frame->bytes + 14, *tcp = ip + 20;
	struct pair *pair = pair_of_port((uint32_t)tcp[0] << 8 | tcp[1]);
	uint32_t headers = 14 + 20 + (uint32_t)(tcp[12] >> 4) * 4;

	if (!world.makes_holes || ip[9] != 6 || frame->len <= headers || !pair ||
	    pair == &world.pairs[CROWD])
		return false;
	if (!pair->hole)
		pair->hole = get32(tcp + 4);
	return get32(tcp + 4) == pair->hole;
}

static void send_frame(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	struct host *host = PST_CONTAINER(frames, struct host, frames);
	struct frame *frame = &world.frames[world.frame_count];

	assert_true(world.frame_count < FRAMES_MAX);
	*frame = (struct frame){.to = host->other};
	for (uint32_t i = 0; i < count; i++) {
		memcpy(frame->bytes + frame->len, parts[i].at, parts[i].len);
		frame->len += parts[i].len;
	}
	if (!is_lost(frame))
		world.frame_count++;
}

static void turn(void)
{
	uint32_t count = world.frame_count;

	for (uint32_t i = 0; i < count; i++) {
		struct pst_frames *frames = &world.frames[i].to->frames;

		frames->on_frame(frames, (struct pst_span){world.frames[i].bytes,
							   world.frames[i].len});
		world.used_max = PST_MAX(world.used_max,
					 (uint32_t)lwip_stats.memp[MEMP_PBUF_POOL]->used);
	}
	world.frame_count -= count;
	memmove(world.frames, world.frames + count, world.frame_count * sizeof(world.frames[0]));
	pst_loop_turn(&world.loop, true);
}

static void turns(int count)
{
	while (count--)
		turn();
}

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	(void)ready;
	conn->ops->want(conn, 0);
}

static struct pst_net_conn *on_accept(struct pst_net_listener *listener,
				      const struct pst_addr *peer, struct pst_span *refusal)
{
	struct pair *pair = pair_of_port(peer->port);

	(void)listener, (void)refusal;
	assert_non_null(pair);
	pair->server.on_ready = on_ready;
	return &pair->server;
}

static void on_accepted(struct pst_net_listener *listener, struct pst_net_conn *conn)
{
	(void)listener, (void)conn;
}

static void add(struct host *host, struct host *other, const char *address, uint8_t number)
{
	struct pst_interface_conf conf = {.mac = {2, 0, 0, 0, 4, number}, .ipv4.bits = 24};

	assert_int_equal(pst_addr_parse(pst_span_text(address), &conf.ipv4.net), 0);
	host->other = other;
	host->frames.send = send_frame;
	assert_int_equal(pst_lwip_add(&world.lwip, &host->interface, &host->frames, &conf), 0);
}

static struct pair *begin(void)
{
	struct pair *pair = &world.pairs[world.pair_count++];
	struct pst_net *net = &world.near.interface.net;

	pair->client = (struct pst_net_conn){.on_ready = on_ready, .peer = world.listener.local};
	assert_int_equal(net->ops->connect(net, &pair->client), 0);
	for (int i = 0; i < 200 && !pair->server.open; i++)
		turn();
	assert_true(pair->server.open);
	turns(3);
	return pair;
}

static int set_up(void **state)
{
	static const struct pst_lwip_limits limits = {
		.accept_bytes_max = (CROWD + 1) * RIGHT_BYTES, .connect_bytes_max = 1 << 20,
		.half_count_max = 8, .half_network_max = 8, .accept_turn_max = 8,
	};

	(void)state;
	memset(&world, 0, sizeof(world));
	world.frames = calloc(FRAMES_MAX, sizeof(*world.frames));
	assert_non_null(world.frames);
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
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < world.pair_count; i++) {
		world.pairs[i].client.ops->abort(&world.pairs[i].client, true);
		world.pairs[i].server.ops->abort(&world.pairs[i].server, true);
	}
	assert_int_equal(world.lwip.claimed_count, (CROWD + 1) * 9);
	world.far.interface.net.ops->unlisten(&world.far.interface.net, &world.listener);
	pst_lwip_remove(&world.near.interface);
	pst_lwip_remove(&world.far.interface);
	pst_lwip_close(&world.lwip);
	pst_loop_fini(&world.loop);
	free(world.frames);
	assert_int_equal(world.alloc.block_count, 0);
	return 0;
}

/* As much as goes, up to `total` in all. */
static void send_up_to(struct pair *pair, uint32_t total)
{
	static const uint8_t area[16384];
	struct pst_span span = {area, PST_MIN((uint32_t)sizeof(area), total - pair->sent)};
	int64_t done = pair->client.ops->write(&pair->client, &span, 1);

	assert_true(done >= 0);
	pair->sent += (uint32_t)done;
}

static void take(struct pair *pair)
{
	uint8_t area[4096];
	int64_t got;

	while ((got = pair->server.ops->read(&pair->server, area, sizeof(area))) > 0)
		pair->got += (uint32_t)got;
	assert_int_equal(got, 0);
}

/* Everybody is read until nothing is missing. */
static void hear_all_out(void)
{
	for (int i = 0; i < 4000; i++) {
		turn();
		for (int k = 0; k < CROWD && i % 50 == 0; k++)
			take(&world.pairs[k]);
	}
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(world.pairs[i].got, world.pairs[i].sent);
}

/* --- cases ---------------------------------------------------------------------------------- */

/* Gaps that are never closed keep no more than three quarters of the frame buffers, and nobody loses a frame. */
static void a_crowd_with_gaps(void **state)
{
	struct pair *good;

	(void)state;
	for (int i = 0; i < CROWD; i++)
		begin();
	good = begin();
	turns(50);
	world.makes_holes = true;
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < CROWD; i++)
			send_up_to(&world.pairs[i], 12000);
		turns(20);
	}
	assert_true(world.used_max > PBUF_POOL_SIZE / 2 - 8);
	assert_true(world.used_max <= PBUF_POOL_SIZE / 4 * 3 + 8);
	for (int i = 0; i < 400 && good->got < 200000; i++) {
		send_up_to(good, 200000);
		turn();
		take(good);
	}
	assert_int_equal(good->got, 200000);
	assert_int_equal(world.far.frames.lost_count, 0);
	/* The gaps are closed at last, and nothing is missing. */
	world.makes_holes = false;
	hear_all_out();
}

/* Nobody reads what the crowd has sent into its grown windows; all the same another one's first
 * window arrives whole, again and again. */
static void a_crowd_that_is_not_read(void **state)
{
	struct pair *good;

	(void)state;
	for (int i = 0; i < CROWD; i++) {
		struct pair *pair = begin();

		for (int k = 0; k < 200 && pair->got < GROWN_BYTES; k++) {
			send_up_to(pair, GROWN_BYTES);
			turn();
			take(pair);
		}
		assert_int_equal(pair->got, GROWN_BYTES);
	}
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < CROWD; i++)
			send_up_to(&world.pairs[i], GROWN_BYTES + 80000);
		turns(5);
	}
	good = begin();
	for (int round = 1; round <= 5; round++) {
		uint32_t total = (uint32_t)round * RIGHT_BYTES;

		for (int i = 0; i < 200; i++) {
			send_up_to(good, total);
			turn();
		}
		take(good);
		assert_int_equal(good->got, total);
	}
	/* No frame buffer is kept meanwhile. */
	assert_true(lwip_stats.memp[MEMP_PBUF_POOL]->used < 16);
	/* Once they are read they may go on: nothing was lost. */
	for (int i = 0; i < 20000 && world.pairs[CROWD - 1].got < GROWN_BYTES + 80000; i++) {
		for (int k = 0; k < CROWD; k++) {
			send_up_to(&world.pairs[k], GROWN_BYTES + 80000);
			take(&world.pairs[k]);
		}
		turn();
	}
	hear_all_out();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_crowd_with_gaps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_crowd_that_is_not_read, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
