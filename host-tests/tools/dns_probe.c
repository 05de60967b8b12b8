/* dns_probe - asks questions through the real dns (cache, c-ares, kernel sockets), prints the answers
 *
 * dns_probe [-s ADDR:PORT]... [-d ADDR:PORT]... [-t MS] [-r TIMES] NAME TYPE [NAME TYPE]...
 *   -s  a resolver    -d  a zone's own server: asked without recursion    -t  deadline, 5000
 *   -r  ask everything so often, a round at a time
 * One line for each answer: NAME TYPE STATUS ttl=N [cut] [cached] DATA|DATA...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "dns/cache.h"
#include "dns/dns_cares.h"
#include "loop/loop_epoll.h"
#include "net/dgram_kernel.h"
#include "net/net_kernel.h"
#include "support/dns_zone.h"

#define QUESTIONS_MAX 256

struct question {
	struct pst_dns_query query;
	const char *type;
};

static struct pst_loop loop;
static uint32_t open_count;

static void on_answer(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	static const char *const names[] = {"OK",	"NODATA",  "NXDOMAIN",
					    "SERVFAIL", "TIMEOUT", "OURS"};
	const struct question *question = PST_CONTAINER(query, struct question, query);

	printf("%.*s %s %s ttl=%u%s%s", (int)query->name.len, (const char *)query->name.at,
	       question->type, names[answer->status], answer->ttl_s, answer->cut ? " cut" : "",
	       answer->cached ? " cached" : "");
	for (uint32_t i = 0; i < answer->record_count; i++) {
		const struct pst_dns_record *record = &answer->records[i];
		uint8_t area[PST_ADDR_TEXT_MAX];
		struct pst_buf text;

		pst_buf_init(&text, area, sizeof(area));
		if (record->addr.family != PST_FAMILY_NONE)
			pst_addr_put(&text, &record->addr);
		printf("%c%.*s", i ? '|' : ' ', (int)text.len, (const char *)area);
		if (query->type == PST_DNS_MX)
			printf("%u ", record->preference);
		for (uint32_t k = 0; k < record->data.len; k++) {
			uint8_t c = record->data.at[k];

			printf(pst_is_print(c) ? "%c" : "\\x%02x", c);
		}
	}
	printf("\n");
	fflush(stdout);
	if (--open_count == 0)
		pst_loop_stop(&loop);
}

static struct pst_addr address_of(const char *text)
{
	struct pst_addr addr;

	if (pst_addr_parse_port(pst_span_text(text), &addr)) {
		fprintf(stderr, "dns_probe: %s is no ADDR:PORT\n", text);
		exit(2);
	}
	return addr;
}

int main(int argc, char **argv)
{
	static struct pst_mem_system memory;
	static struct pst_epoll epoll;
	static struct pst_net_kernel net;
	static struct pst_dgram_kernel dgrams;
	static struct pst_dns_cache cache;
	static struct question questions[QUESTIONS_MAX];
	static struct pst_dns_servers direct;
	struct pst_dns_conf conf = {0};
	struct pst_dns_cares_env env = {&loop, &net.net, &dgrams.dgrams, &memory.mem, 128};
	struct pst_dns_cares *cares;
	struct pst_rng rng;
	uint64_t deadline_ms = 5000;
	uint32_t count = 0, rounds = 1;
	int at = 1;

	for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
		if (argv[at][1] == 's')
			conf.resolvers[conf.resolver_count++] = address_of(argv[at + 1]);
		else if (argv[at][1] == 'd')
			direct.addrs[direct.count++] = address_of(argv[at + 1]);
		else if (argv[at][1] == 't')
			deadline_ms = strtoull(argv[at + 1], NULL, 10);
		else
			rounds = (uint32_t)strtoul(argv[at + 1], NULL, 10);
	}
	pst_mem_system_init(&memory);
	pst_rng_system_init(&rng);
	if (pst_epoll_init(&epoll) || pst_loop_init(&loop, &epoll.poller, &memory.mem, 1024))
		return 2;
	pst_net_kernel_init(&net, &epoll, &loop);
	pst_dgram_kernel_init(&dgrams, &epoll);
	if (pst_dns_cares_new(&env, &conf, &cares)) {
		fprintf(stderr, "dns_probe: no dns\n");
		return 2;
	}
	pst_dns_cache_init(&cache, pst_dns_cares_seam(cares), &loop, &memory.mem,
			   (struct pst_hash_key){pst_rng_u64(&rng), pst_rng_u64(&rng)}, 1 << 20,
			   128);
	pst_loop_turn(&loop, false);
	while (rounds-- > 0) {
		count = 0;
		for (int i = at; i + 1 < argc && count < QUESTIONS_MAX; i += 2) {
			struct question *question = &questions[count++];

			*question = (struct question){
				.query = {.on_answer = on_answer,
					  .name = pst_span_text(argv[i]),
					  .servers = direct.count ? &direct : NULL,
					  .deadline_ms = loop.now_ms + deadline_ms},
				.type = argv[i + 1],
			};
			if (!pst_dns_zone_type(pst_span_text(argv[i + 1]), &question->query.type))
				return 2;
			open_count++;
			pst_dns_query(&cache.dns, &question->query);
		}
		loop.stopping = false;
		pst_loop_run(&loop);
	}
	printf("# asked %llu hits %llu merged %llu bytes %llu\n",
	       (unsigned long long)cache.counts.asked, (unsigned long long)cache.counts.hits,
	       (unsigned long long)cache.counts.merged, (unsigned long long)memory.used_bytes);
	pst_dns_cache_fini(&cache);
	pst_dns_cares_free(cares);
	pst_loop_fini(&loop);
	pst_epoll_fini(&epoll);
	if (memory.used_bytes)
		printf("# %llu bytes not given back\n", (unsigned long long)memory.used_bytes);
	return memory.used_bytes != 0;
}
