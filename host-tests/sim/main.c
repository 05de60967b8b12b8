/* sim/main.c - runs seeds until as many sessions were simulated as were asked for
 *
 *   sim [-s SESSIONS] [-S SEED] [-n memory|lwip] [-r SEED] [-l FILE] [-e EVERY] [-p PCAP] [-v VERSION]
 *
 *   -s  sessions to be simulated, counted as clients connect          -S  the first seed
 *   -r  one seed, with everything said aloud                          -n  over which transport
 *   -l  seeds of a file first, one "VERSION NET SEED" a line          -e  every so many seeds once more,
 *   -p  with -r over lwIP: frames go to this file                         and both must be equal
 *   -v  of the worlds that seeds draw (enum sim_version)
 *
 * Ends with a count; the first seed with a violation ends it, with the command that replays it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim.h"

#define SECONDS_MAX 120 /* of real time for one seed: the proxy turns without end */

static struct sim sim;
static const char *program;
static uint64_t seed_now;
static enum sim_net net_now;
static uint32_t version_now = SIM_VERSION_NOW;

static const char *net_name(enum sim_net net)
{
	return net == SIM_NET_LWIP ? "lwip" : "memory";
}

/* What replays an older seed. */
static const char *version_option(void)
{
	return version_now == SIM_VERSION_FIRST ? " -v 1" : "";
}

/* The proxy has stopped itself, or was stopped: say at which seed. Only calls that a handler may make. */
static void on_crash(int number)
{
	char text[300];
	int len = snprintf(text, sizeof(text),
			   "\nseed %llu: the program ended by signal %d\nreplay: %s -n %s -r %llu%s\n",
			   (unsigned long long)seed_now, number, program, net_name(net_now),
			   (unsigned long long)seed_now, version_option());
	ssize_t ignored = write(STDOUT_FILENO, text, (size_t)len);

	(void)ignored;
	signal(number, SIG_DFL);
	raise(number);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void complain(void)
{
	printf("seed %llu: %s\nreplay: %s -n %s -r %llu%s%s\n", (unsigned long long)seed_now,
	       (const char *)sim.wrong.at, program, net_name(net_now), (unsigned long long)seed_now,
	       version_option(), net_now == SIM_NET_LWIP ? " -p sim.pcap" : "");
}

struct outcome {
	uint64_t hash;
	uint32_t sessions;
	struct pst_counters counters; /* the proxy's */
	bool good;
};

static struct pst_counters totals;

/* What the worlds were like: a simulator in which nothing happens finds nothing. */
static void add_counters(const struct pst_counters *counters)
{
	for (uint32_t i = 0; i < PST_COUNTER_COUNT; i++)
		totals.value[i] += counters->value[i];
}

static void print_counters(void)
{
	const char *comma = "  ";

	for (uint32_t i = 0; i < PST_COUNTER_COUNT; i++) {
		if (totals.value[i] == 0)
			continue;
		printf("%s%s %llu", comma, pst_counter_name((enum pst_counter)i),
		       (unsigned long long)totals.value[i]);
		comma = ", ";
	}
	printf("\n");
}

static struct outcome run_here(uint64_t seed, enum sim_net net)
{
	struct outcome outcome = {.good = sim_run(&sim, seed, net, version_now)};

	outcome.hash = sim.hash;
	outcome.sessions = sim.session_count;
	outcome.counters = sim.stage.counters;
	if (!outcome.good)
		complain();
	sim_fini(&sim);
	fflush(stdout);
	return outcome;
}

/* lwIP is made of globals that remember earlier seeds: each gets a process of its own. */
static struct outcome run_apart(uint64_t seed, enum sim_net net)
{
	struct outcome outcome = {0};
	int ends[2], status;
	pid_t child;

	PST_BUG_ON(pipe(ends) < 0);
	fflush(stdout);
	child = fork();
	PST_BUG_ON(child < 0);
	if (child == 0) {
		alarm(SECONDS_MAX);
		outcome = run_here(seed, net);
		_exit(write(ends[1], &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &outcome, sizeof(outcome)) != sizeof(outcome))
		outcome.good = false;
	close(ends[0]);
	if (waitpid(child, &status, 0) != child || status != 0)
		outcome.good = false;
	return outcome;
}

/*  in  twice: the run must repeat itself
 *  ret false: something was wrong */
static bool run(uint64_t seed, enum sim_net net, bool twice, uint64_t *sessions)
{
	struct outcome (*once)(uint64_t, enum sim_net) =
		net == SIM_NET_LWIP && !sim.verbose ? run_apart : run_here;
	struct outcome first, second;

	seed_now = seed;
	net_now = net;
	alarm(SECONDS_MAX);
	first = once(seed, net);
	*sessions += first.sessions;
	add_counters(&first.counters);
	if (!first.good || !twice)
		return first.good;
	second = once(seed, net);
	if (second.good && second.hash != first.hash) {
		printf("seed %llu: two runs of it differ (%016llx, %016llx)\n",
		       (unsigned long long)seed, (unsigned long long)first.hash,
		       (unsigned long long)second.hash);
		second.good = false;
	}
	return second.good;
}

static bool run_file(const char *path, uint32_t *count)
{
	uint64_t sessions = 0;
	FILE *file = fopen(path, "r");
	char line[300], net[20];
	unsigned long long seed;
	uint32_t version_before = version_now;
	bool good = true;

	if (!file) {
		printf("%s cannot be read\n", path);
		return false;
	}
	while (good && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%u %19s %llu", &version_now, net, &seed) != 3)
			continue;
		good = run(seed, strcmp(net, "lwip") == 0 ? SIM_NET_LWIP : SIM_NET_MEMORY, false,
			   &sessions);
		(*count)++;
	}
	fclose(file);
	version_now = version_before;
	return good;
}

int main(int argc, char **argv)
{
	uint64_t sessions = 1000, first = 1, done = 0, replay = 0, seed;
	uint32_t every = 50, kept = 0;
	enum sim_net net = SIM_NET_MEMORY;
	const char *list = NULL;
	double begin = now_s(), spent;
	int option;

	program = argv[0];
	while ((option = getopt(argc, argv, "s:S:n:r:l:e:p:v:")) != -1) {
		if (option == 's')
			sessions = strtoull(optarg, NULL, 10);
		else if (option == 'S')
			first = strtoull(optarg, NULL, 10);
		else if (option == 'n')
			net = strcmp(optarg, "lwip") == 0 ? SIM_NET_LWIP : SIM_NET_MEMORY;
		else if (option == 'r')
			replay = strtoull(optarg, NULL, 10);
		else if (option == 'l')
			list = optarg;
		else if (option == 'e')
			every = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'p')
			sim.pcap = optarg;
		else if (option == 'v')
			version_now = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGALRM, on_crash);
	sim_tls_prepare(&sim);
	sim_score_prepare();
	if (replay) {
		bool good;

		sim.verbose = true;
		good = run(replay, net, false, &done);
		printf("hash of all bytes and of the log: %016llx\n", (unsigned long long)sim.hash);
		return good ? 0 : 1;
	}
	if (list && !run_file(list, &kept))
		return 1;
	for (seed = first; done < sessions; seed++) {
		if (!run(seed, net, every && seed % every == 0, &done))
			return 1;
	}
	spent = now_s() - begin;
	printf("%s: %llu sessions of %llu seeds (%llu to %llu) and %u kept seeds in %.1f s, %.0f/s\n",
	       net_name(net), (unsigned long long)done, (unsigned long long)(seed - first),
	       (unsigned long long)first, (unsigned long long)seed - 1, kept, spent,
	       (double)done / spent);
	print_counters();
	return 0;
}
