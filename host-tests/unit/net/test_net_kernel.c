/* test_net_kernel.c - what only kernel sockets have: options, errors of the system, descriptors */
#include "support/check.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "support/net_world.h"

#define CLIENTS 12

static struct net_world world;
static struct pst_net_listener listener;
static struct pst_net_conn clients[CLIENTS], servers[CLIENTS];
static int accepted_count;

static void on_ready(struct pst_net_conn *conn, uint32_t ready)
{
	(void)ready;
	conn->ops->want(conn, 0);
}

static struct pst_net_conn *on_accept(struct pst_net_listener *self, const struct pst_addr *peer,
	struct pst_span *refusal)
{
	(void)self;
	(void)peer;
	(void)refusal;
	assert_true(accepted_count < CLIENTS);
	return &servers[accepted_count];
}

static void on_accepted(struct pst_net_listener *self, struct pst_net_conn *conn)
{
	(void)self;
	(void)conn;
	accepted_count++;
}

static int setup(void **state)
{
	(void)state;
	net_world_open(&world, NET_WORLD_KERNEL);
	memset(clients, 0, sizeof(clients));
	memset(servers, 0, sizeof(servers));
	for (int i = 0; i < CLIENTS; i++)
		clients[i].on_ready = servers[i].on_ready = on_ready;
	accepted_count = 0;
	listener = (struct pst_net_listener){.on_accept = on_accept, .on_accepted = on_accepted};
	return pst_addr_parse_port(PST_SPAN("127.0.0.1:0"), &listener.local);
}

static int teardown(void **state)
{
	const char *wrong;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i].open)
			world.net->ops->abort(&clients[i], false);
		if (servers[i].open)
			world.net->ops->abort(&servers[i], false);
	}
	if (listener.open)
		world.net->ops->unlisten(world.net, &listener);
	wrong = net_world_close(&world);
	if (wrong)
		print_error("%s\n", wrong);
	return wrong ? -1 : 0;
}

static void connect_clients(int count)
{
	for (int i = 0; i < count; i++) {
		clients[i].peer = listener.local;
		assert_int_equal(world.net->ops->connect(world.net, &clients[i]), 0);
	}
}

static bool all_accepted(void *context)
{
	return accepted_count == *(const int *)context;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void options_reach_every_socket(void **state)
{
	int one = 1;

	(void)state;
	world.kernel.accept_receive_bytes = 10000;
	world.kernel.accept_send_bytes = 11000;
	world.kernel.connect_receive_bytes = 12000;
	world.kernel.connect_send_bytes = 13000;
	assert_int_equal(world.net->ops->listen(world.net, &listener), 0);
	connect_clients(1);
	assert_true(net_world_run(&world, all_accepted, &one));
	/* The kernel books twice what it is given. */
	assert_int_equal(option(servers[0].watch.fd, SOL_SOCKET, SO_RCVBUF), 20000);
	assert_int_equal(option(servers[0].watch.fd, SOL_SOCKET, SO_SNDBUF), 22000);
	assert_int_equal(option(clients[0].watch.fd, SOL_SOCKET, SO_RCVBUF), 24000);
	assert_int_equal(option(clients[0].watch.fd, SOL_SOCKET, SO_SNDBUF), 26000);
	assert_int_equal(option(servers[0].watch.fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(clients[0].watch.fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(fcntl(servers[0].watch.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(servers[0].watch.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

static bool server_reads(void *context)
{
	uint8_t area[100];

	(void)context;
	return world.net->ops->read(&servers[0], area, sizeof(area)) == 5;
}

/* What each of these saves is a system call per command or per full buffer. */
static void short_calls_clear_the_ready_bits(void **state)
{
	static uint8_t area[100000];
	struct pst_span hello = PST_SPAN("hello"), large = {area, sizeof(area)};
	int one = 1;

	(void)state;
	world.kernel.connect_send_bytes = 5000;
	assert_int_equal(world.net->ops->listen(world.net, &listener), 0);
	connect_clients(1);
	assert_true(net_world_run(&world, all_accepted, &one));
	net_world_settle(&world);
	assert_int_equal(world.net->ops->write(&clients[0], &hello, 1), 5);
	assert_true(clients[0].ready & PST_NET_WRITE);
	assert_true(net_world_run(&world, server_reads, NULL));
	assert_false(servers[0].ready & PST_NET_READ);
	assert_in_range(world.net->ops->write(&clients[0], &large, 1), 1, sizeof(area) - 1);
	assert_false(clients[0].ready & PST_NET_WRITE);
}

/* The end that closes first keeps its port in TIME_WAIT; a restarted proxy must get it all the same. */
static void a_port_is_free_after_a_restart(void **state)
{
	int one = 1;

	(void)state;
	assert_int_equal(world.net->ops->listen(world.net, &listener), 0);
	connect_clients(1);
	assert_true(net_world_run(&world, all_accepted, &one));
	world.net->ops->abort(&servers[0], false);
	net_world_settle(&world);
	world.net->ops->abort(&clients[0], false);
	world.net->ops->unlisten(world.net, &listener);
	net_world_settle(&world);
	assert_int_equal(world.net->ops->listen(world.net, &listener), 0);
}

static void listen_errors(void **state)
{
	(void)state;
	/* TEST-NET-1 is nobody's. */
	assert_int_equal(pst_addr_parse_port(PST_SPAN("192.0.2.1:0"), &listener.local), 0);
	assert_int_equal(world.net->ops->listen(world.net, &listener), -PST_E_UNREACH);
	assert_false(listener.open);
}

/* With no descriptor left, clients wait in the backlog and the loop does not spin; when there are some
 * again, they are let in. */
static void waits_for_descriptors(void **state)
{
	struct rlimit before, none;
	uint64_t turns;
	int all = CLIENTS;

	(void)state;
	assert_int_equal(world.net->ops->listen(world.net, &listener), 0);
	connect_clients(CLIENTS);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turns = world.loop.turn_count;
	for (int i = 0; i < 5; i++)
		net_world_settle(&world);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(accepted_count, 0);
	assert_true(world.kernel.pause_count >= 1);
	assert_true(world.loop.turn_count - turns < 50);
	assert_true(net_world_run(&world, all_accepted, &all));
	/* Accepting goes on as ever. */
	assert_false(pst_timer_armed(&listener.pause));
}

static void unlisten_while_pausing(void **state)
{
	struct rlimit before, none;

	(void)state;
	assert_int_equal(world.net->ops->listen(world.net, &listener), 0);
	connect_clients(1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	net_world_settle(&world);
	clients[1].peer = listener.local;
	assert_int_equal(world.net->ops->connect(world.net, &clients[1]), -PST_E_NOMEM);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(pst_timer_armed(&listener.pause));
	assert_false(clients[1].open);
	world.net->ops->unlisten(world.net, &listener);
	assert_false(pst_timer_armed(&listener.pause));
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(options_reach_every_socket),
		test(short_calls_clear_the_ready_bits),
		test(a_port_is_free_after_a_restart),
		test(listen_errors),
		test(waits_for_descriptors),
		test(unlisten_while_pausing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
