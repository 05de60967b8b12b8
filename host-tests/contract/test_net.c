/* test_net.c - what net/net.h promises, over every implementation of it
 *
 * Each case runs over kernel sockets (loopback) and inside the process. Where the two may differ, for
 * a kernel's buffers are of no certain size, the case says what must hold of both.
 */
#include "support/check.h"
#include "support/net_world.h"
#include "support/os_rules.h"
#include "support/rng_seed.h"

static struct net_world *world;

/* --- one end of a connection under test ----------------------------------------------------- */

struct end {
	struct pst_net_conn conn;
	void (*act)(struct end *end, uint32_t ready); /* NULL: take_all */
	uint32_t ready_seen;  /* all bits ever told */
	int told_count;
	int write_told_count;
	uint8_t *got;
	uint32_t got_len, got_size;
	int64_t last_read;    /* what the last read returned; 1: none yet */
	uint32_t read_bytes_max;
	struct end *other;
};

static void end_on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	struct end *end = PST_CONTAINER(conn, struct end, conn);

	assert_true(ready != 0);
	assert_int_equal(ready & ~(uint32_t)(PST_NET_READ | PST_NET_WRITE), 0);
	assert_true(conn->open);
	end->ready_seen |= ready;
	end->told_count++;
	end->write_told_count += ready & PST_NET_WRITE ? 1 : 0;
	end->act(end, ready);
}

static int64_t end_read(struct end *end, uint32_t max)
{
	uint32_t room = end->got_size - end->got_len;

	if (room < max) {
		end->got_size = end->got_size * 2 + max;
		end->got = realloc(end->got, end->got_size);
		assert_non_null(end->got);
	}
	end->last_read = world->net->ops->read(&end->conn, end->got + end->got_len, max);
	assert_true(end->last_read <= (int64_t)max);
	if (end->last_read > 0)
		end->got_len += (uint32_t)end->last_read;
	return end->last_read;
}

/* Reads until nothing is there; stops wanting what is over. */
static void take_all(struct end *end, uint32_t ready)
{
	uint32_t mask = PST_NET_READ;

	(void)ready;
	while (end_read(end, end->read_bytes_max) > 0)
		continue;
	if (end->last_read < 0)
		mask = 0;
	world->net->ops->want(&end->conn, mask);
}

static void ignore(struct end *end, uint32_t ready)
{
	(void)end;
	(void)ready;
}

static void end_init(struct end *end)
{
	*end = (struct end){
		.conn = {.on_ready = end_on_ready},
		.act = take_all,
		.last_read = 1,
		.read_bytes_max = 1000,
	};
}

static void end_close(struct end *end)
{
	if (end->conn.open)
		world->net->ops->abort(&end->conn, false);
	free(end->got);
	end->got = NULL;
}

static struct pst_span end_got(const struct end *end)
{
	return (struct pst_span){end->got, end->got_len};
}

static int64_t end_write(struct end *end, const char *text)
{
	struct pst_span span = pst_span_text(text);

	return world->net->ops->write(&end->conn, &span, 1);
}

static void end_want(struct end *end, uint32_t mask)
{
	world->net->ops->want(&end->conn, mask);
}

static bool was_told(void *context)
{
	return ((struct end *)context)->told_count > 0;
}

static bool is_over(void *context)
{
	return ((struct end *)context)->last_read < 0;
}

struct amount {
	struct end *end;
	uint32_t len;
};

static bool has_arrived(void *context)
{
	struct amount *amount = context;

	return amount->end->got_len >= amount->len;
}

static void await_told(struct end *end)
{
	end->told_count = 0;
	assert_true(net_world_run(world, was_told, end));
}

static void await_over(struct end *end)
{
	assert_true(net_world_run(world, is_over, end));
}

static void await_bytes(struct end *end, uint32_t len)
{
	struct amount amount = {end, len};

	assert_true(net_world_run(world, has_arrived, &amount));
}

/* --- a listener, and a pair of connected ends ----------------------------------------------- */

static struct pst_net_listener listener;
static struct end server; /* the end that the listener gives to the next client */
static struct end client;
static struct pst_span refusal_text;
static bool refusing;
static int accepted_count;
static struct pst_addr accept_peer;
static void (*act_on_accepted)(struct pst_net_conn *conn);

static struct pst_net_conn *on_accept(struct pst_net_listener *self, const struct pst_addr *peer,
	struct pst_span *refusal)
{
	assert_ptr_equal(self, &listener);
	assert_int_equal(refusal->len, 0);
	accept_peer = *peer;
	if (refusing) {
		accepted_count++;
		*refusal = refusal_text;
		return NULL;
	}
	return &server.conn;
}

static void on_accepted(struct pst_net_listener *self, struct pst_net_conn *conn)
{
	assert_ptr_equal(self, &listener);
	assert_true(conn->open);
	assert_int_equal(conn->want, 0);
	accepted_count++;
	if (act_on_accepted)
		act_on_accepted(conn);
}

static bool was_accepted(void *context)
{
	(void)context;
	return accepted_count > 0;
}

static bool was_accepted_and_told(void *context)
{
	return accepted_count > 0 && was_told(context);
}

static int setup(void **state)
{
	static struct net_world the_world;
	enum net_world_kind kind = *(const enum net_world_kind *)*state;

	world = &the_world;
	net_world_open(world, kind);
	listener = (struct pst_net_listener){.on_accept = on_accept, .on_accepted = on_accepted};
	assert_int_equal(pst_addr_parse_port(PST_SPAN("127.0.0.1:0"), &listener.local), 0);
	end_init(&server);
	end_init(&client);
	refusal_text = PST_SPAN_NONE;
	refusing = false;
	accepted_count = 0;
	act_on_accepted = NULL;
	return 0;
}

static int teardown(void **state)
{
	const char *wrong;

	(void)state;
	end_close(&client);
	end_close(&server);
	if (listener.open)
		world->net->ops->unlisten(world->net, &listener);
	wrong = net_world_close(world);
	if (wrong)
		print_error("%s\n", wrong);
	return wrong ? -1 : 0;
}

static void open_listener(void)
{
	assert_int_equal(world->net->ops->listen(world->net, &listener), 0);
	assert_true(listener.local.port != 0);
}

static void start_connect(struct end *end)
{
	end->conn.peer = listener.local;
	assert_int_equal(world->net->ops->connect(world->net, &end->conn), 0);
}

/* Client and server connected, both wanting nothing. */
static void connect_pair(void)
{
	open_listener();
	client.act = ignore;
	start_connect(&client);
	assert_true(net_world_run(world, was_accepted_and_told, &client));
	end_want(&client, 0);
	client.act = take_all;
	client.told_count = 0;
	client.ready_seen = 0;
}

/* --- cases: listening and connecting -------------------------------------------------------- */

static void listening_on_any_port(void **state)
{
	struct pst_net_listener second = {.on_accept = on_accept, .on_accepted = on_accepted};
	struct pst_addr first;

	(void)state;
	second.local = listener.local;
	open_listener();
	first = listener.local;
	assert_int_equal(world->net->ops->listen(world->net, &second), 0);
	assert_int_not_equal(first.port, second.local.port);
	world->net->ops->unlisten(world->net, &second);
	/* A port that is taken, and free again. */
	second.local = first;
	assert_int_equal(world->net->ops->listen(world->net, &second), -PST_E_BUSY);
	assert_false(second.open);
	world->net->ops->unlisten(world->net, &listener);
	assert_int_equal(world->net->ops->listen(world->net, &second), 0);
	assert_int_equal(second.local.port, first.port);
	world->net->ops->unlisten(world->net, &second);
}

static void a_wildcard_clashes_and_is_reached(void **state)
{
	struct pst_net_listener second = {.on_accept = on_accept, .on_accepted = on_accepted};

	(void)state;
	assert_int_equal(pst_addr_parse_port(PST_SPAN("0.0.0.0:0"), &listener.local), 0);
	open_listener();
	assert_int_equal(pst_addr_parse_port(PST_SPAN("127.0.0.1:0"), &second.local), 0);
	second.local.port = listener.local.port;
	assert_int_equal(world->net->ops->listen(world->net, &second), -PST_E_BUSY);
	/* The other way round too. */
	world->net->ops->unlisten(world->net, &listener);
	assert_int_equal(world->net->ops->listen(world->net, &second), 0);
	assert_int_equal(world->net->ops->listen(world->net, &listener), -PST_E_BUSY);
	world->net->ops->unlisten(world->net, &second);
	open_listener();
	client.conn.peer = second.local;
	assert_int_equal(world->net->ops->connect(world->net, &client.conn), 0);
	assert_true(net_world_run(world, was_accepted, NULL));
	assert_true(pst_addr_eq(&server.conn.local, &second.local));
	assert_int_equal(server.conn.local.port, second.local.port);
}

static void over_ipv6(void **state)
{
	struct pst_net_listener ipv4 = {.on_accept = on_accept, .on_accepted = on_accepted};
	int ret = -PST_E_BUSY;

	(void)state;
	/* An IPv6 listener leaves the port's IPv4 half alone. Another program may have that half: then
	 * another port is tried. */
	for (unsigned tries = 0; tries < 20 && ret == -PST_E_BUSY; tries++) {
		assert_int_equal(pst_addr_parse_port(PST_SPAN("[::]:0"), &listener.local), 0);
		if (world->net->ops->listen(world->net, &listener) == -PST_E_UNREACH)
			skip();
		assert_int_equal(pst_addr_parse_port(PST_SPAN("0.0.0.0:0"), &ipv4.local), 0);
		ipv4.local.port = listener.local.port;
		ret = world->net->ops->listen(world->net, &ipv4);
		if (ret == -PST_E_BUSY)
			world->net->ops->unlisten(world->net, &listener);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(pst_addr_parse(PST_SPAN("::1"), &client.conn.peer), 0);
	client.conn.peer.port = listener.local.port;
	assert_int_equal(world->net->ops->connect(world->net, &client.conn), 0);
	assert_true(net_world_run(world, was_accepted, NULL));
	world->net->ops->unlisten(world->net, &ipv4);
	assert_int_equal(server.conn.local.family, PST_FAMILY_IPV6);
}

static struct pst_net_syn began;

static void ask_how_it_began(struct pst_net_conn *conn)
{
	assert_non_null(conn->ops->syn);
	memset(&began, 0xff, sizeof(began));
	conn->ops->syn(conn, &began);
}

static void keep_syn(bool keep)
{
	if (world->net->ops->keep_syn)
		world->net->ops->keep_syn(&listener, keep);
}

/* A client more, whose beginning is asked for. */
static void connect_another(void)
{
	end_close(&client);
	end_close(&server);
	end_init(&client);
	end_init(&server);
	client.act = ignore;
	accepted_count = 0;
	start_connect(&client);
	assert_true(net_world_run(world, was_accepted_and_told, &client));
}

/* Of pipes in memory it is whatever the test says; elsewhere the stack's own segment. An emulator of programs
 * (qemu-user) does not hand it on: nothing is known then. */
static void check_how_it_began(uint16_t ipv6)
{
	struct pst_os_guess guess = pst_os_guess(os_rules(), &began);

	if (world->real && getenv("POSTERN_EMULATOR")) {
		assert_int_equal(began.ttl, 0);
		return;
	}
	if (world->kind == NET_WORLD_MEMORY) {
		assert_memory_equal(&began, &world->memory.syn, sizeof(began));
		return;
	}
	assert_int_equal(guess.system, world->real ? PST_SYSTEM_LINUX : PST_SYSTEM_EMBEDDED);
	assert_int_equal(guess.hops, 0);
	assert_true(began.window > 0);
	assert_true(began.mss >= 536);
	assert_int_equal(began.quirks & PST_SYN_IPV6, ipv6);
}

static void how_a_client_began(void **state)
{
	static const struct pst_net_syn some = {.ttl = 57, .window = 5840, .scale = PST_SYN_NO_SCALE};

	(void)state;
	act_on_accepted = ask_how_it_began;
	open_listener();
	connect_another();
	if (world->kind != NET_WORLD_LWIP)
		assert_int_equal(began.ttl, 0);
	world->memory.syn = some;
	keep_syn(true);
	connect_another();
	check_how_it_began(0);
	keep_syn(false);
	connect_another();
	if (world->kind == NET_WORLD_KERNEL)
		assert_int_equal(began.ttl, 0);
	/* A connection that we opened ourselves has no such beginning. */
	if (world->kind == NET_WORLD_KERNEL) {
		ask_how_it_began(&client.conn);
		assert_int_equal(began.ttl, 0);
	}
}

static void how_a_client_began_over_ipv6(void **state)
{
	(void)state;
	act_on_accepted = ask_how_it_began;
	assert_int_equal(pst_addr_parse_port(PST_SPAN("[::1]:0"), &listener.local), 0);
	if (world->net->ops->listen(world->net, &listener) == -PST_E_UNREACH)
		skip();
	keep_syn(true);
	connect_another();
	check_how_it_began(PST_SYN_IPV6);
}

static void connecting_is_told_later(void **state)
{
	struct pst_span none = PST_SPAN_NONE;
	uint8_t byte;

	(void)state;
	open_listener();
	client.act = ignore;
	start_connect(&client);
	assert_true(client.conn.open);
	assert_int_equal(client.told_count, 0);
	assert_int_equal(end_write(&client, "x"), 0);
	assert_int_equal(world->net->ops->read(&client.conn, &byte, 1), 0);
	end_want(&client, 0);
	assert_int_equal(client.told_count, 0);
	/* The outcome is told although nothing is wanted. */
	assert_true(net_world_run(world, was_accepted_and_told, &client));
	assert_int_equal(client.ready_seen, PST_NET_WRITE);
	assert_int_equal(world->net->ops->write(&client.conn, &none, 1), 0);
	assert_int_equal(world->net->ops->write(&client.conn, NULL, 0), 0);
	assert_int_equal(end_write(&client, "x"), 1);
}

static void both_ends_know_the_addresses(void **state)
{
	(void)state;
	connect_pair();
	assert_true(pst_addr_eq(&client.conn.local, &server.conn.peer));
	assert_int_equal(client.conn.local.port, server.conn.peer.port);
	assert_true(client.conn.local.port != 0);
	assert_true(pst_addr_eq(&client.conn.peer, &server.conn.local));
	assert_int_equal(client.conn.peer.port, server.conn.local.port);
	assert_true(pst_addr_eq(&accept_peer, &server.conn.peer));
	assert_int_equal(accept_peer.port, server.conn.peer.port);
}

static void nobody_listens(void **state)
{
	int told;

	(void)state;
	open_listener();
	world->net->ops->unlisten(world->net, &listener);
	client.act = ignore;
	start_connect(&client);
	assert_int_equal(client.told_count, 0);
	assert_int_equal(end_write(&client, "x"), 0);
	assert_int_equal(end_read(&client, 10), 0);
	await_told(&client);
	assert_true(client.ready_seen & PST_NET_WRITE);
	assert_int_equal(end_write(&client, "x"), -PST_E_REFUSED);
	assert_int_equal(end_write(&client, "x"), -PST_E_REFUSED);
	assert_int_equal(end_read(&client, 10), -PST_E_REFUSED);
	assert_int_equal(end_read(&client, 10), -PST_E_REFUSED);
	/* Told, and not told again and again. */
	told = client.told_count;
	end_want(&client, PST_NET_READ | PST_NET_WRITE);
	net_world_settle(world);
	assert_int_equal(client.told_count, told);
}

static void an_error_wakes_a_reader(void **state)
{
	(void)state;
	open_listener();
	world->net->ops->unlisten(world->net, &listener);
	start_connect(&client);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	assert_int_equal(client.last_read, -PST_E_REFUSED);
}

static void connections_can_be_used_again(void **state)
{
	(void)state;
	open_listener();
	for (int i = 0; i < 5; i++) {
		accepted_count = 0;
		client.told_count = 0;
		client.act = ignore;
		start_connect(&client);
		assert_true(net_world_run(world, was_accepted_and_told, &client));
		assert_int_equal(end_write(&server, "hello"), 5);
		client.act = take_all;
		client.got_len = 0;
		end_want(&client, PST_NET_READ);
		await_bytes(&client, 5);
		world->net->ops->abort(&client.conn, false);
		world->net->ops->abort(&server.conn, i % 2 == 0);
		assert_false(client.conn.open);
		assert_false(server.conn.open);
	}
}

static void unlisten_leaves_connections_alone(void **state)
{
	(void)state;
	connect_pair();
	world->net->ops->unlisten(world->net, &listener);
	end_want(&server, PST_NET_READ);
	assert_int_equal(end_write(&client, "still here"), 10);
	await_bytes(&server, 10);
}

static void unlisten_breaks_those_not_accepted(void **state)
{
	(void)state;
	open_listener();
	start_connect(&client);
	world->net->ops->unlisten(world->net, &listener);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	/* lwIP may not have seen it yet: then nobody listens. */
	if (client.last_read != -PST_E_REFUSED || world->kind != NET_WORLD_LWIP)
		assert_int_equal(client.last_read, -PST_E_RESET);
	assert_int_equal(accepted_count, 0);
}

/* --- cases: accepting ----------------------------------------------------------------------- */

static void greet(struct pst_net_conn *conn)
{
	struct pst_span greeting = PST_SPAN("220 hello\r\n");

	assert_int_equal(conn->ops->write(conn, &greeting, 1), greeting.len);
	conn->ops->want(conn, PST_NET_READ);
}

static void greeting_in_on_accepted(void **state)
{
	(void)state;
	act_on_accepted = greet;
	open_listener();
	start_connect(&client);
	end_want(&client, PST_NET_READ);
	await_bytes(&client, 11);
	check_span(end_got(&client), "220 hello\r\n");
}

static void refused_with_a_text(void **state)
{
	(void)state;
	refusing = true;
	refusal_text = PST_SPAN("421 4.3.2 too many\r\n");
	open_listener();
	start_connect(&client);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	assert_int_equal(client.last_read, -PST_E_CLOSED);
	check_span(end_got(&client), "421 4.3.2 too many\r\n");
	assert_int_equal(accepted_count, 1);
}

static void refused_without_a_text(void **state)
{
	(void)state;
	refusing = true;
	open_listener();
	start_connect(&client);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	assert_int_equal(client.last_read, -PST_E_CLOSED);
	assert_int_equal(client.got_len, 0);
}

static void abort_at_once(struct pst_net_conn *conn)
{
	conn->ops->abort(conn, false);
}

static void aborted_in_on_accepted(void **state)
{
	(void)state;
	act_on_accepted = abort_at_once;
	open_listener();
	start_connect(&client);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	assert_int_equal(client.last_read, -PST_E_CLOSED);
	assert_false(server.conn.open);
}

static void unlisten_at_once(struct pst_net_conn *conn)
{
	(void)conn;
	world->net->ops->unlisten(world->net, &listener);
}

static void unlisten_in_on_accepted(void **state)
{
	struct end second;

	(void)state;
	end_init(&second);
	act_on_accepted = unlisten_at_once;
	open_listener();
	start_connect(&client);
	start_connect(&second);
	end_want(&second, PST_NET_READ);
	await_over(&second);
	assert_int_equal(second.last_read, -PST_E_RESET);
	assert_int_equal(accepted_count, 1);
	assert_true(server.conn.open);
	end_close(&second);
}

#define CROWD 50

static struct end crowd_clients[CROWD], crowd_servers[CROWD];
static uint32_t crowd_count, crowd_turn_max, crowd_turn_count;
static uint64_t crowd_turn;

static struct pst_net_conn *crowd_on_accept(struct pst_net_listener *self,
	const struct pst_addr *peer, struct pst_span *refusal)
{
	(void)self;
	(void)peer;
	(void)refusal;
	crowd_turn_count = crowd_turn == world->loop.turn_count ? crowd_turn_count + 1 : 1;
	crowd_turn = world->loop.turn_count;
	crowd_turn_max = PST_MAX(crowd_turn_max, crowd_turn_count);
	return &crowd_servers[crowd_count++].conn;
}

static bool crowd_is_in(void *context)
{
	(void)context;
	return crowd_count == CROWD;
}

static void crowd_connect(void)
{
	crowd_count = crowd_turn_max = crowd_turn_count = 0;
	crowd_turn = 0;
	listener.on_accept = crowd_on_accept;
	world->kernel.accept_turn_max = 16;
	open_listener();
	for (int i = 0; i < CROWD; i++) {
		end_init(&crowd_clients[i]);
		end_init(&crowd_servers[i]);
		start_connect(&crowd_clients[i]);
	}
}

static void crowd_close(void)
{
	for (int i = 0; i < CROWD; i++) {
		end_close(&crowd_clients[i]);
		end_close(&crowd_servers[i]);
	}
}

static void a_crowd_is_let_in_bit_by_bit(void **state)
{
	(void)state;
	crowd_connect();
	assert_true(net_world_run(world, crowd_is_in, NULL));
	assert_true(crowd_turn_max <= 16);
	/* Yet not one by one for ever. */
	assert_true(crowd_turn_max >= 8);
	crowd_close();
}

/* --- cases: bytes --------------------------------------------------------------------------- */

static void echo(struct end *end, uint32_t ready)
{
	uint8_t area[100];
	int64_t len;

	(void)ready;
	while ((len = world->net->ops->read(&end->conn, area, sizeof(area))) > 0) {
		struct pst_span span = {area, (uint32_t)len};

		assert_int_equal(world->net->ops->write(&end->conn, &span, 1), len);
	}
	end->last_read = len;
	if (len < 0)
		end_want(end, 0);
}

static void echoing(void **state)
{
	(void)state;
	connect_pair();
	server.act = echo;
	end_want(&server, PST_NET_READ);
	end_want(&client, PST_NET_READ);
	for (uint32_t i = 1; i <= 50; i++) {
		assert_int_equal(end_write(&client, "0123456789"), 10);
		await_bytes(&client, 10 * i);
	}
	check_span(pst_span_sub(end_got(&client), 490, 10), "0123456789");
}

static void several_spans_arrive_in_order(void **state)
{
	struct pst_span spans[PST_NET_SPANS_MAX];
	char wanted[PST_NET_SPANS_MAX + 1] = "";
	int64_t total = 0;

	(void)state;
	connect_pair();
	for (uint32_t i = 0; i < PST_NET_SPANS_MAX; i++) {
		spans[i] = pst_span_sub(PST_SPAN("abcdefghijklmnopqrstuvwxyz012345"), i, i % 3 ? 1 : 0);
		memcpy(wanted + total, spans[i].at, spans[i].len);
		total += spans[i].len;
	}
	assert_int_equal(world->net->ops->write(&client.conn, spans, PST_NET_SPANS_MAX), total);
	end_want(&server, PST_NET_READ);
	await_bytes(&server, (uint32_t)total);
	check_span(end_got(&server), wanted);
	check_bug(world->net->ops->write(&client.conn, spans, PST_NET_SPANS_MAX + 1));
}

/* Byte `at` of a stream that no shift or loss leaves alike. */
static uint8_t pattern(uint32_t stream, uint32_t at)
{
	return (uint8_t)((at * UINT32_C(2654435761) >> 13) + at / 251 + stream);
}

#define BIG_BYTES (10 * 1024 * 1024)

struct flow {
	struct end end; /* first: act gets it */
	uint32_t stream, peer_stream;
	uint32_t sent, received;
	uint32_t blocked_count;
	struct pst_rng_seed seed;
};

static void flow_read(struct flow *flow)
{
	uint8_t area[5000];
	/* A bounded number of odd sizes a call, so that bytes stay below and hold the peer back. */
	for (int i = 0; i < 3; i++) {
		uint32_t size = 1 + pst_rng_seed_below(&flow->seed, sizeof(area));
		int64_t len = world->net->ops->read(&flow->end.conn, area, size);

		flow->end.last_read = len;
		if (len <= 0)
			return;
		for (uint32_t at = 0; at < len; at++) {
			if (area[at] != pattern(flow->peer_stream, flow->received + at))
				fail_msg("byte %u is wrong", flow->received + at);
		}
		flow->received += (uint32_t)len;
	}
}

static void flow_write(struct flow *flow)
{
	static uint8_t area[4][9000];
	struct pst_span spans[4];
	uint32_t count = 1 + pst_rng_seed_below(&flow->seed, 4);
	uint32_t at = flow->sent, wished = 0;
	int64_t len;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = pst_rng_seed_below(&flow->seed, sizeof(area[i]) + 1);

		size = PST_MIN(size, BIG_BYTES - at);
		for (uint32_t k = 0; k < size; k++)
			area[i][k] = pattern(flow->stream, at++);
		spans[i] = (struct pst_span){area[i], size};
		wished += size;
	}
	len = world->net->ops->write(&flow->end.conn, spans, count);
	assert_true(len >= 0 && len <= wished);
	flow->blocked_count += len < wished;
	flow->sent += (uint32_t)len;
	if (flow->sent == BIG_BYTES)
		world->net->ops->shutdown(&flow->end.conn);
}

static void flow_act(struct end *end, uint32_t ready)
{
	struct flow *flow = PST_CONTAINER(end, struct flow, end);
	uint32_t mask = 0;

	if (ready & PST_NET_READ)
		flow_read(flow);
	if (ready & PST_NET_WRITE && flow->sent < BIG_BYTES)
		flow_write(flow);
	if (flow->end.last_read >= 0)
		mask |= PST_NET_READ;
	if (flow->sent < BIG_BYTES)
		mask |= PST_NET_WRITE;
	end_want(end, mask);
}

static struct flow flow_server, flow_client;

static struct pst_net_conn *flow_on_accept(struct pst_net_listener *self,
	const struct pst_addr *peer, struct pst_span *refusal)
{
	(void)self;
	(void)peer;
	(void)refusal;
	return &flow_server.end.conn;
}

static bool flows_are_over(void *context)
{
	(void)context;
	return flow_server.end.last_read < 0 && flow_client.end.last_read < 0;
}

/* 10 MB each way at once: odd reads, several spans, full buffers, and half closes at the end. */
static void big_transfer_both_ways(void **state)
{
	(void)state;
	end_init(&flow_server.end);
	end_init(&flow_client.end);
	flow_server = (struct flow){.end = flow_server.end, .stream = 1, .peer_stream = 2};
	flow_client = (struct flow){.end = flow_client.end, .stream = 2, .peer_stream = 1};
	pst_rng_seed_init(&flow_server.seed, 5);
	pst_rng_seed_init(&flow_client.seed, 6);
	flow_server.end.act = flow_client.end.act = flow_act;
	listener.on_accept = flow_on_accept;
	world->kernel.accept_receive_bytes = world->kernel.connect_receive_bytes = 16384;
	world->kernel.accept_send_bytes = world->kernel.connect_send_bytes = 16384;
	open_listener();
	start_connect(&flow_client.end);
	assert_true(net_world_run(world, was_accepted, NULL));
	end_want(&flow_server.end, PST_NET_READ | PST_NET_WRITE);
	assert_true(net_world_run(world, flows_are_over, NULL));
	assert_int_equal(flow_server.end.last_read, -PST_E_CLOSED);
	assert_int_equal(flow_client.end.last_read, -PST_E_CLOSED);
	assert_int_equal(flow_server.received, BIG_BYTES);
	assert_int_equal(flow_client.received, BIG_BYTES);
	assert_true(flow_server.blocked_count > 10);
	assert_true(flow_client.blocked_count > 10);
	end_close(&flow_server.end);
	end_close(&flow_client.end);
}

/* Writes until the room that may still come from the other side has come.
 *  ret bytes */
static uint32_t fill(void)
{
	static uint8_t area[1000];
	struct pst_span span = {area, sizeof(area)};
	uint32_t sent = 0;
	int64_t len;

	do {
		len = world->net->ops->write(&client.conn, &span, 1);
		assert_true(len >= 0);
		sent += (uint32_t)len;
		net_world_settle(world);
	} while (len > 0 && sent < 1000000);
	assert_true(sent < 1000000);
	return sent;
}

static void unread_bytes_hold_the_writer_back(void **state)
{
	uint32_t sent;
	int told;

	(void)state;
	world->kernel.accept_receive_bytes = world->kernel.connect_send_bytes = 16384;
	connect_pair();
	client.act = ignore;
	sent = fill();
	if (world->kind == NET_WORLD_MEMORY)
		assert_int_equal(sent, NET_WORLD_PIPE_BYTES);
	/* Full: nobody is told of room. */
	end_want(&client, PST_NET_WRITE);
	client.told_count = 0;
	net_world_settle(world);
	assert_int_equal(client.told_count, 0);
	/* Drained: room is told, and goes on being told until it is no longer wanted. */
	end_want(&server, PST_NET_READ);
	await_bytes(&server, sent);
	await_told(&client);
	await_told(&client);
	end_want(&client, 0);
	told = client.told_count;
	net_world_settle(world);
	assert_int_equal(client.told_count, told);
	assert_int_equal(server.got_len, sent);
}

/* --- cases: want ---------------------------------------------------------------------------- */

static void only_what_is_wanted_is_told(void **state)
{
	(void)state;
	connect_pair();
	server.act = ignore;
	assert_int_equal(end_write(&client, "hello"), 5);
	net_world_settle(world);
	assert_int_equal(server.told_count, 0);

	end_want(&server, PST_NET_WRITE);
	assert_int_equal(server.told_count, 0);
	await_told(&server);
	assert_int_equal(server.ready_seen, PST_NET_WRITE);

	end_want(&server, 0);
	server.told_count = 0;
	net_world_settle(world);
	assert_int_equal(server.told_count, 0);

	server.ready_seen = 0;
	end_want(&server, PST_NET_READ);
	assert_int_equal(server.told_count, 0);
	await_told(&server);
	assert_int_equal(server.ready_seen, PST_NET_READ);
}

/* What is not read is told of again; what is read to the end is not. */
static void wanting_is_by_level(void **state)
{
	(void)state;
	connect_pair();
	server.act = ignore;
	assert_int_equal(end_write(&client, "hello"), 5);
	end_want(&server, PST_NET_READ);
	for (int i = 0; i < 5; i++)
		await_told(&server);
	/* One byte leaves four. */
	assert_int_equal(end_read(&server, 1), 1);
	await_told(&server);
	assert_int_equal(end_read(&server, 4), 4);
	end_read(&server, 1);
	assert_int_equal(server.last_read, 0);
	server.told_count = 0;
	net_world_settle(world);
	assert_int_equal(server.told_count, 0);
	assert_int_equal(end_write(&client, "more"), 4);
	await_told(&server);
	assert_int_equal(end_read(&server, 100), 4);
	check_span(end_got(&server), "hellomore");
}

static void unwant(struct end *end, uint32_t ready)
{
	(void)ready;
	end_want(end, 0);
}

static void unwanting_in_the_callback(void **state)
{
	(void)state;
	connect_pair();
	server.act = unwant;
	assert_int_equal(end_write(&client, "hello"), 5);
	end_want(&server, PST_NET_READ | PST_NET_WRITE);
	net_world_settle(world);
	assert_int_equal(server.told_count, 1);
}

static void unwant_other(struct end *end, uint32_t ready)
{
	(void)ready;
	end_want(end, 0);
	end_want(end->other, 0);
}

static void unwanting_in_another_callback(void **state)
{
	(void)state;
	connect_pair();
	server.act = client.act = unwant_other;
	server.other = &client;
	client.other = &server;
	end_want(&server, PST_NET_WRITE);
	end_want(&client, PST_NET_WRITE);
	net_world_settle(world);
	assert_int_equal(server.told_count + client.told_count, 1);
}

/* --- cases: ends ---------------------------------------------------------------------------- */

static void half_close(void **state)
{
	(void)state;
	connect_pair();
	assert_int_equal(end_write(&client, "question"), 8);
	world->net->ops->shutdown(&client.conn);
	end_want(&server, PST_NET_READ);
	await_over(&server);
	assert_int_equal(server.last_read, -PST_E_CLOSED);
	check_span(end_got(&server), "question");
	/* The other direction is open. */
	net_world_settle(world);
	assert_int_equal(end_write(&server, "answer"), 6);
	end_want(&client, PST_NET_READ);
	await_bytes(&client, 6);
	world->net->ops->shutdown(&server.conn);
	await_over(&client);
	assert_int_equal(client.last_read, -PST_E_CLOSED);
	check_span(end_got(&client), "answer");
}

static void the_end_is_told_once(void **state)
{
	(void)state;
	connect_pair();
	world->net->ops->shutdown(&client.conn);
	server.act = ignore;
	end_want(&server, PST_NET_READ);
	/* By level until it was read ... */
	await_told(&server);
	await_told(&server);
	assert_int_equal(end_read(&server, 10), -PST_E_CLOSED);
	/* ... and then no more, though a read says so again. */
	server.told_count = 0;
	net_world_settle(world);
	assert_int_equal(server.told_count, 0);
	end_want(&server, PST_NET_READ);
	net_world_settle(world);
	assert_int_equal(server.told_count, 0);
	assert_int_equal(end_read(&server, 10), -PST_E_CLOSED);
	/* What happens behind the end concerns a writer only. */
	world->net->ops->abort(&client.conn, true);
	net_world_settle(world);
	assert_int_equal(server.told_count, 0);
	end_want(&server, PST_NET_READ | PST_NET_WRITE);
	await_told(&server);
	assert_int_equal(end_write(&server, "x"), -PST_E_RESET);
}

/* Bytes and the end arrive together; reads that are larger than what is there, and smaller. */
static void the_end_behind_bytes_is_not_lost(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 9, 10, 11, 1000};

	(void)state;
	open_listener();
	for (size_t i = 0; i < PST_COUNT(sizes); i++) {
		accepted_count = 0;
		client.told_count = 0;
		client.act = ignore;
		start_connect(&client);
		assert_true(net_world_run(world, was_accepted_and_told, &client));
		assert_int_equal(end_write(&client, "0123456789"), 10);
		world->net->ops->abort(&client.conn, false);
		net_world_settle(world);
		server.got_len = 0;
		server.last_read = 1;
		server.read_bytes_max = sizes[i];
		end_want(&server, PST_NET_READ);
		await_over(&server);
		assert_int_equal(server.last_read, -PST_E_CLOSED);
		check_span(end_got(&server), "0123456789");
		world->net->ops->abort(&server.conn, false);
	}
}

static void one_read_a_call(struct end *end, uint32_t ready)
{
	(void)ready;
	if (end_read(end, 1000) < 0)
		end_want(end, 0);
}

/* The same with one read per call: the short read must not hide the end. */
static void the_end_behind_a_short_read(void **state)
{
	(void)state;
	connect_pair();
	server.act = one_read_a_call;
	assert_int_equal(end_write(&client, "0123456789"), 10);
	world->net->ops->shutdown(&client.conn);
	net_world_settle(world);
	end_want(&server, PST_NET_READ);
	await_over(&server);
	assert_int_equal(server.told_count, 2);
	check_span(end_got(&server), "0123456789");
}

static void a_late_end_is_told(void **state)
{
	(void)state;
	connect_pair();
	end_want(&server, PST_NET_READ);
	assert_int_equal(end_write(&client, "x"), 1);
	await_bytes(&server, 1);
	net_world_settle(world);
	assert_int_equal(server.last_read, 0);
	world->net->ops->abort(&client.conn, false);
	await_over(&server);
	assert_int_equal(server.last_read, -PST_E_CLOSED);
}

static void what_was_written_outlives_the_writer(void **state)
{
	static uint8_t area[3000];
	struct pst_span span = {area, sizeof(area)};

	(void)state;
	connect_pair();
	memset(area, 'x', sizeof(area));
	assert_int_equal(world->net->ops->write(&client.conn, &span, 1), sizeof(area));
	world->net->ops->abort(&client.conn, false);
	end_want(&server, PST_NET_READ);
	await_over(&server);
	assert_int_equal(server.got_len, sizeof(area));
	assert_int_equal(server.last_read, -PST_E_CLOSED);
}

/* An end that closes with bytes unread still gets its last words through. */
static void closing_with_unread_bytes(void **state)
{
	(void)state;
	connect_pair();
	server.act = ignore;
	assert_int_equal(end_write(&client, "MAIL FROM:<a@example.org>\r\n"), 27);
	end_want(&server, PST_NET_READ);
	await_told(&server);
	assert_int_equal(end_write(&server, "421 bye\r\n"), 9);
	world->net->ops->abort(&server.conn, false);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	check_span(end_got(&client), "421 bye\r\n");
	assert_int_equal(client.last_read, -PST_E_CLOSED);
}

static bool write_fails(void *context)
{
	return end_write(context, "x") < 0;
}

static bool write_of_two_fails(void *context)
{
	struct pst_span spans[2] = {PST_SPAN("x"), PST_SPAN("y")};

	return world->net->ops->write(&((struct end *)context)->conn, spans, 2) < 0;
}

static void reset_is_an_error_behind_what_arrived(void **state)
{
	(void)state;
	connect_pair();
	assert_int_equal(end_write(&server, "abc"), 3);
	net_world_settle(world);
	world->net->ops->abort(&server.conn, true);
	net_world_settle(world);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	check_span(end_got(&client), "abc");
	assert_int_equal(client.last_read, -PST_E_RESET);
	assert_int_equal(end_read(&client, 10), -PST_E_RESET);
	assert_int_equal(end_write(&client, "x"), -PST_E_RESET);
	assert_int_equal(end_write(&client, "x"), -PST_E_RESET);
	client.told_count = 0;
	end_want(&client, PST_NET_READ | PST_NET_WRITE);
	net_world_settle(world);
	assert_int_equal(client.told_count, 0);
}

static void reset_wakes_a_writer(void **state)
{
	(void)state;
	world->kernel.accept_receive_bytes = world->kernel.connect_send_bytes = 16384;
	connect_pair();
	client.act = ignore;
	fill();
	end_want(&client, PST_NET_WRITE);
	net_world_settle(world);
	world->net->ops->abort(&server.conn, true);
	await_told(&client);
	assert_int_equal(end_write(&client, "x"), -PST_E_RESET);
}

/* The peer has closed in good order; we write on. That fails soon, and is no signal. */
static void check_writing_to_one_who_left(bool (*fails)(void *context))
{
	connect_pair();
	assert_int_equal(end_write(&server, "last words"), 10);
	world->net->ops->abort(&server.conn, false);
	net_world_settle(world);
	assert_true(net_world_run(world, fails, &client));
	assert_int_equal(end_write(&client, "x"), -PST_E_RESET);
	/* What it had said before can be read all the same. */
	end_want(&client, PST_NET_READ);
	await_over(&client);
	check_span(end_got(&client), "last words");
	assert_int_equal(client.last_read, -PST_E_RESET);
}

static void writing_to_one_who_left(void **state)
{
	(void)state;
	check_writing_to_one_who_left(write_fails);
}

static void writing_spans_to_one_who_left(void **state)
{
	(void)state;
	check_writing_to_one_who_left(write_of_two_fails);
}

/* --- cases: aborting in callbacks ----------------------------------------------------------- */

static void abort_self(struct end *end, uint32_t ready)
{
	(void)ready;
	world->net->ops->abort(&end->conn, false);
	/* Whoever looks at it now would see it. */
	memset(&end->conn, 0xee, sizeof(end->conn));
}

static void aborted_in_its_own_callback(void **state)
{
	(void)state;
	connect_pair();
	server.act = abort_self;
	assert_int_equal(end_write(&client, "hello"), 5);
	end_want(&server, PST_NET_READ | PST_NET_WRITE);
	end_want(&client, PST_NET_READ);
	await_over(&client);
	assert_int_equal(server.told_count, 1);
	memset(&server.conn, 0, sizeof(server.conn));
}

static void abort_both(struct end *end, uint32_t ready)
{
	struct end *other = end->other;

	abort_self(other, ready);
	abort_self(end, ready);
}

/* Two connections are ready in the same batch; whichever is told first ends both. */
static void aborted_in_another_callback(void **state)
{
	int told = 0;

	(void)state;
	crowd_connect();
	assert_true(net_world_run(world, crowd_is_in, NULL));
	for (int i = 0; i < CROWD; i++) {
		crowd_servers[i].act = abort_both;
		crowd_servers[i].other = &crowd_servers[i ^ 1];
		end_want(&crowd_servers[i], PST_NET_READ);
	}
	net_world_settle(world);
	for (int i = 0; i < CROWD; i++) {
		crowd_servers[i].told_count = 0;
		assert_int_equal(end_write(&crowd_clients[i], "x"), 1);
	}
	net_world_settle(world);
	for (int i = 0; i < CROWD; i++) {
		told += crowd_servers[i].told_count;
		memset(&crowd_servers[i].conn, 0, sizeof(crowd_servers[i].conn));
	}
	assert_int_equal(told, CROWD / 2);
	crowd_close();
}

static void aborted_while_connecting(void **state)
{
	(void)state;
	server.act = ignore;
	open_listener();
	start_connect(&client);
	world->net->ops->abort(&client.conn, false);
	net_world_settle(world);
	assert_int_equal(client.told_count, 0);
	/* The other side may have seen somebody come and go. */
	if (server.conn.open) {
		server.act = take_all;
		end_want(&server, PST_NET_READ);
		await_over(&server);
	}
}

static void aborted_with_a_call_pending(void **state)
{
	(void)state;
	connect_pair();
	end_want(&client, PST_NET_WRITE);
	end_want(&server, PST_NET_WRITE);
	world->net->ops->abort(&client.conn, false);
	world->net->ops->abort(&server.conn, true);
	net_world_settle(world);
	assert_int_equal(client.told_count, 0);
	assert_int_equal(server.told_count, 0);
	check_bug(world->net->ops->abort(&client.conn, false));
}

static void reconnect(struct end *end, uint32_t ready)
{
	(void)ready;
	if (end_write(end, "x") > 0) {
		end_want(end, 0);
		return;
	}
	world->net->ops->abort(&end->conn, false);
	end->conn.peer = listener.local;
	assert_int_equal(world->net->ops->connect(world->net, &end->conn), 0);
}

/* Fail-over: the callback that hears of the failure connects elsewhere with the same memory. */
static void reconnected_in_the_callback(void **state)
{
	(void)state;
	open_listener();
	client.act = reconnect;
	client.conn.peer = listener.local;
	/* Not the one above, which a stack may take for the client. */
	client.conn.peer.port = (uint16_t)(listener.local.port - 1);
	assert_int_equal(world->net->ops->connect(world->net, &client.conn), 0);
	assert_true(net_world_run(world, was_accepted, NULL));
	end_want(&server, PST_NET_READ);
	await_bytes(&server, 1);
	assert_int_equal(client.told_count, 2);
}

/* --- cases: memory and chance --------------------------------------------------------------- */

static void out_of_memory_begins_nothing(void **state)
{
	struct pst_net_conn before;
	uint64_t n;

	(void)state;
	for (n = 1;; n++) {
		pst_alloc_fail_at(&world->alloc, n, false);
		if (world->net->ops->listen(world->net, &listener) == 0)
			break;
		assert_false(listener.open);
		assert_int_equal(listener.local.port, 0);
	}
	assert_true(world->kind != NET_WORLD_MEMORY || n == 2);
	for (n = 1;; n++) {
		int ret;

		pst_alloc_fail_at(&world->alloc, n, false);
		client.conn.peer = listener.local;
		before = client.conn;
		ret = world->net->ops->connect(world->net, &client.conn);
		if (ret == 0)
			break;
		assert_int_equal(ret, -PST_E_NOMEM);
		assert_memory_equal(&before, &client.conn, sizeof(before));
	}
	assert_true(world->kind != NET_WORLD_MEMORY || n == 2);
	pst_alloc_fail_at(&world->alloc, 0, false);
	assert_true(net_world_run(world, was_accepted, NULL));
}

/* Random ends of random connections do random things. What arrives is a beginning of what was sent
 * to that end, nobody is told of what it does not want, and everything is given back. */
struct monkey {
	struct end end;
	struct monkey *peer;
	uint32_t stream, sent, received;
	bool finished;
};

#define MONKEYS 40

static struct monkey monkey_clients[MONKEYS], monkey_servers[MONKEYS];
static uint16_t monkey_ports[MONKEYS];
static struct pst_rng_seed monkey_seed;
static uint64_t monkey_bytes, monkey_ends;

static void monkey_act(struct end *end, uint32_t ready)
{
	struct monkey *self = PST_CONTAINER(end, struct monkey, end);
	uint32_t dice = pst_rng_seed_below(&monkey_seed, 100);
	uint8_t area[700];
	int64_t len;

	if (ready & PST_NET_READ && dice < 90) {
		len = end->conn.ops->read(&end->conn, area,
			1 + pst_rng_seed_below(&monkey_seed, sizeof(area)));
		for (uint32_t i = 0; len > 0 && i < len; i++)
			assert_int_equal(area[i], pattern(self->stream ^ 1, self->received++));
		monkey_bytes += len > 0 ? (uint64_t)len : 0;
		monkey_ends += len < 0;
		if (len < 0 && len != -PST_E_CLOSED) {
			end->conn.ops->abort(&end->conn, false);
			return;
		}
	}
	if (ready & PST_NET_WRITE && dice < 80 && !self->finished) {
		struct pst_span span = {area, 1 + pst_rng_seed_below(&monkey_seed, sizeof(area))};

		for (uint32_t i = 0; i < span.len; i++)
			area[i] = pattern(self->stream, self->sent + i);
		len = end->conn.ops->write(&end->conn, &span, 1);
		if (len < 0) {
			end->conn.ops->abort(&end->conn, false);
			return;
		}
		self->sent += (uint32_t)len;
	}
	if (dice == 99 && !self->finished) {
		self->finished = true;
		end->conn.ops->shutdown(&end->conn);
	}
	if (dice >= 97 && dice < 99) {
		end->conn.ops->abort(&end->conn, dice == 98);
		return;
	}
	end_want(end, pst_rng_seed_below(&monkey_seed, 8) ? 3 : pst_rng_seed_below(&monkey_seed, 4));
}

static struct pst_net_conn *monkey_on_accept(struct pst_net_listener *self,
	const struct pst_addr *peer, struct pst_span *refusal)
{
	(void)self;
	for (int i = 0; i < MONKEYS; i++) {
		struct monkey *server_monkey = &monkey_servers[i];

		if (monkey_ports[i] != peer->port || server_monkey->end.conn.open)
			continue;
		if (pst_rng_seed_below(&monkey_seed, 10) == 0)
			break;
		*server_monkey = (struct monkey){.stream = 2 * (uint32_t)i + 1};
		end_init(&server_monkey->end);
		server_monkey->end.act = monkey_act;
		return &server_monkey->end.conn;
	}
	*refusal = PST_SPAN_NONE;
	return NULL;
}

static void monkey_on_accepted(struct pst_net_listener *self, struct pst_net_conn *conn)
{
	(void)self;
	conn->ops->want(conn, PST_NET_READ | PST_NET_WRITE);
}

static void random_actions(void **state)
{
	(void)state;
	memset(monkey_clients, 0, sizeof(monkey_clients));
	memset(monkey_servers, 0, sizeof(monkey_servers));
	monkey_bytes = monkey_ends = 0;
	pst_rng_seed_init(&monkey_seed, 7);
	listener.on_accept = monkey_on_accept;
	listener.on_accepted = monkey_on_accepted;
	open_listener();
	for (int turn = 0; turn < 4000; turn++) {
		uint32_t i = pst_rng_seed_below(&monkey_seed, MONKEYS);
		struct monkey *self = &monkey_clients[i];

		if (!self->end.conn.open && !monkey_servers[i].end.conn.open) {
			*self = (struct monkey){.stream = 2 * i};
			end_init(&self->end);
			self->end.act = monkey_act;
			start_connect(&self->end);
			monkey_ports[i] = self->end.conn.local.port;
		} else if (self->end.conn.open && pst_rng_seed_below(&monkey_seed, 3)) {
			end_want(&self->end, PST_NET_READ | PST_NET_WRITE);
		} else if (self->end.conn.open && pst_rng_seed_below(&monkey_seed, 200) == 0) {
			world->net->ops->abort(&self->end.conn, turn % 2);
		}
		if (monkey_servers[i].end.conn.open)
			end_want(&monkey_servers[i].end, PST_NET_READ | PST_NET_WRITE);
		pst_loop_turn(&world->loop, false);
	}
	assert_true(monkey_bytes > 1000000);
	assert_true(monkey_ends > 50);
	for (int i = 0; i < MONKEYS; i++) {
		end_close(&monkey_clients[i].end);
		end_close(&monkey_servers[i].end);
	}
}

/* --- every case over every implementation --------------------------------------------------- */

static const enum net_world_kind over_kernel = NET_WORLD_KERNEL, over_memory = NET_WORLD_MEMORY,
				 over_lwip = NET_WORLD_LWIP;

#define CASE(function) \
	{#function " (kernel)", function, setup, teardown, (void *)(uintptr_t)&over_kernel}, \
	{#function " (memory)", function, setup, teardown, (void *)(uintptr_t)&over_memory}, \
	{#function " (lwip)", function, setup, teardown, (void *)(uintptr_t)&over_lwip}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(listening_on_any_port),
		CASE(a_wildcard_clashes_and_is_reached),
		CASE(over_ipv6),
		CASE(how_a_client_began),
		CASE(how_a_client_began_over_ipv6),
		CASE(connecting_is_told_later),
		CASE(both_ends_know_the_addresses),
		CASE(nobody_listens),
		CASE(an_error_wakes_a_reader),
		CASE(connections_can_be_used_again),
		CASE(unlisten_leaves_connections_alone),
		CASE(unlisten_breaks_those_not_accepted),
		CASE(greeting_in_on_accepted),
		CASE(refused_with_a_text),
		CASE(refused_without_a_text),
		CASE(aborted_in_on_accepted),
		CASE(unlisten_in_on_accepted),
		CASE(a_crowd_is_let_in_bit_by_bit),
		CASE(echoing),
		CASE(several_spans_arrive_in_order),
		CASE(big_transfer_both_ways),
		CASE(unread_bytes_hold_the_writer_back),
		CASE(only_what_is_wanted_is_told),
		CASE(wanting_is_by_level),
		CASE(unwanting_in_the_callback),
		CASE(unwanting_in_another_callback),
		CASE(half_close),
		CASE(the_end_is_told_once),
		CASE(the_end_behind_bytes_is_not_lost),
		CASE(the_end_behind_a_short_read),
		CASE(a_late_end_is_told),
		CASE(what_was_written_outlives_the_writer),
		CASE(closing_with_unread_bytes),
		CASE(reset_is_an_error_behind_what_arrived),
		CASE(reset_wakes_a_writer),
		CASE(writing_to_one_who_left),
		CASE(writing_spans_to_one_who_left),
		CASE(aborted_in_its_own_callback),
		CASE(aborted_in_another_callback),
		CASE(aborted_while_connecting),
		CASE(aborted_with_a_call_pending),
		CASE(reconnected_in_the_callback),
		CASE(out_of_memory_begins_nothing),
		CASE(random_actions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
