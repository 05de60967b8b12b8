/* support/net_world.c - a loop and a network to test over */
#include "support/net_world.h"

#include <dirent.h>
#include <stdio.h>

#define GUARD_MS 10000
#define SETTLE_MS 30

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	PST_BUG_ON(!folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void guard_on_due(struct pst_timer *timer)
{
	PST_CONTAINER(timer, struct net_world, guard)->guard_fired = true;
}

static void send_nowhere(struct pst_frames *frames, const struct pst_span *parts, uint32_t count)
{
	(void)parts, (void)count;
	frames->lost_count++;
}

static void open_lwip(struct net_world *world)
{
	static const struct pst_lwip_limits limits = {
		.accept_bytes_max = 1024 * 1024,
		.connect_bytes_max = 1024 * 1024,
		.half_count_max = 64,
		.half_network_max = 64,
		.accept_turn_max = 16,
	};
	struct pst_interface_conf conf = {.mac = {2, 0, 0, 0, 0, 1}, .ipv6_count = 1};

	PST_BUG_ON(pst_addr_parse(PST_SPAN("127.0.0.1"), &conf.ipv4.net));
	conf.ipv4.bits = 8;
	PST_BUG_ON(pst_addr_parse(PST_SPAN("::1"), &conf.ipv6[0].net));
	world->frames.send = send_nowhere;
	pst_rng_seed_init(&world->rng, 1);
	PST_BUG_ON(pst_lwip_open(&world->lwip, &world->loop, &world->alloc.mem, &world->rng.rng,
		&limits));
	PST_BUG_ON(pst_lwip_add(&world->lwip, &world->interface, &world->frames, &conf));
	/* IPv6 addresses are looked at for somebody else's first. */
	while (!pst_lwip_is_ready(&world->interface))
		pst_loop_turn(&world->loop, true);
	world->net = &world->interface.net;
	world->dgrams = &world->interface.dgrams;
}

void net_world_open(struct net_world *world, enum net_world_kind kind)
{
	struct pst_poller *poller;
	bool real = kind == NET_WORLD_KERNEL;

	*world = (struct net_world){
		.kind = kind, .real = real, .guard = {.on_due = guard_on_due}};
	world->fd_count = count_descriptors();
	pst_alloc_fail_init(&world->alloc);
	pst_poller_sim_init(&world->sim, 1000);
	PST_BUG_ON(pst_epoll_init(&world->epoll));
	poller = real ? &world->epoll.poller : &world->sim.poller;
	PST_BUG_ON(pst_loop_init(&world->loop, poller, &world->alloc.mem, 16));
	pst_net_kernel_init(&world->kernel, &world->epoll, &world->loop);
	pst_net_memory_init(&world->memory, &world->loop, &world->alloc.mem, NET_WORLD_PIPE_BYTES);
	pst_dgram_kernel_init(&world->dgram_kernel, &world->epoll);
	world->net = real ? &world->kernel.net : &world->memory.net;
	world->dgrams = real ? &world->dgram_kernel.dgrams : NULL;
	if (kind == NET_WORLD_LWIP)
		open_lwip(world);
}

const char *net_world_close(struct net_world *world)
{
	const char *wrong = NULL;

	if (world->kind == NET_WORLD_LWIP) {
		pst_lwip_remove(&world->interface);
		pst_lwip_close(&world->lwip);
	}
	if (world->loop.heap_count > 0)
		wrong = "a timer is armed";
	if (!pst_list_empty(&world->loop.tasks))
		wrong = "a task is queued";
	pst_net_memory_fini(&world->memory);
	pst_loop_fini(&world->loop);
	pst_epoll_fini(&world->epoll);
	if (world->alloc.block_count > 0 || world->alloc.byte_count > 0)
		wrong = "memory was not given back";
	if (count_descriptors() != world->fd_count)
		wrong = "a descriptor is open";
	return wrong;
}

static bool run_for(struct net_world *world, uint64_t ms, bool (*done)(void *context),
	void *context)
{
	struct pst_poller *poller = world->loop.poller;
	bool ret = true;

	world->guard_fired = false;
	pst_timer_set(&world->loop, &world->guard, poller->mono_ms(poller) + ms);
	while (!(done && done(context))) {
		if (world->guard_fired) {
			ret = false;
			break;
		}
		pst_loop_turn(&world->loop, true);
	}
	pst_timer_cancel(&world->loop, &world->guard);
	return ret;
}

bool net_world_run(struct net_world *world, bool (*done)(void *context), void *context)
{
	return run_for(world, GUARD_MS, done, context);
}

void net_world_settle(struct net_world *world)
{
	run_for(world, SETTLE_MS, NULL, NULL);
}
