/* fuzz_dns_answer.c - what a DNS server sends, through the whole adapter: c-ares matches and parses it,
 * ours reads it
 *
 * An input is an answer by UDP. Its first two bytes become the question's id and its question's type
 * is asked for, so that most inputs get past the matching. What is truncated finds no TCP.
 */
#include "dns/dns_cares.h"
#include "fuzz/fuzz.h"
#include "support/poller_sim.h"

static struct {
	struct pst_dgram *dgram; /* the open one */
	uint8_t id[2];
	struct pst_span data;
	bool sent, taken;
	uint32_t answer_count;
} server;

/* ---- a network of one server ------------------------------------------------------------------ */

static int dgram_open(struct pst_dgrams *dgrams, struct pst_dgram *dgram)
{
	dgram->dgrams = dgrams;
	dgram->local = (struct pst_addr){.family = PST_FAMILY_IPV4, .port = 40000, .ip = {127, 0, 0, 1}};
	dgram->open = true;
	server.dgram = dgram;
	return 0;
}

static int dgram_send(struct pst_dgram *dgram, struct pst_span data)
{
	(void)dgram;
	FUZZ_CHECK(data.len > 12);
	memcpy(server.id, data.at, sizeof(server.id));
	server.sent = true;
	return 0;
}

static int64_t dgram_recv(struct pst_dgram *dgram, void *area, uint32_t size)
{
	uint32_t len = PST_MIN(size, server.data.len);

	(void)dgram;
	if (server.taken)
		return 0;
	server.taken = true;
	memcpy(area, server.data.at, len);
	memcpy(area, server.id, PST_MIN(len, (uint32_t)sizeof(server.id)));
	return len;
}

static void dgram_close(struct pst_dgram *dgram)
{
	dgram->open = false;
	if (server.dgram == dgram)
		server.dgram = NULL;
}

static int no_connect(struct pst_net *net, struct pst_net_conn *conn)
{
	(void)net;
	(void)conn;
	return -PST_E_UNREACH;
}

/* ---- what must hold --------------------------------------------------------------------------- */

static void check_name(struct pst_span name)
{
	FUZZ_CHECK(name.len <= PST_DNS_NAME_MAX);
	for (uint32_t i = 0; i < name.len; i++)
		FUZZ_CHECK(pst_is_print(name.at[i]) && pst_lower(name.at[i]) == name.at[i]);
}

static void check_record(enum pst_dns_type type, const struct pst_dns_record *record)
{
	uint8_t family = type == PST_DNS_A ? PST_FAMILY_IPV4
			 : type == PST_DNS_AAAA ? PST_FAMILY_IPV6
						: PST_FAMILY_NONE;
	uint64_t sum = FUZZ_HASH_BEGIN;

	FUZZ_CHECK(record->addr.family == family);
	FUZZ_CHECK(record->preference == 0 || type == PST_DNS_MX);
	if (type == PST_DNS_TXT)
		FUZZ_CHECK(record->data.len <= PST_DNS_TEXT_MAX);
	else if (family == PST_FAMILY_NONE)
		check_name(record->data);
	else
		FUZZ_CHECK(record->data.len == 0);
	/* every byte is there to be read */
	sum = fuzz_hash(sum, record->data.at, record->data.len);
	FUZZ_CHECK(sum != 0);
}

static void on_answer(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	server.answer_count++;
	FUZZ_CHECK(!query->open);
	FUZZ_CHECK(answer->status <= PST_DNS_OURS);
	FUZZ_CHECK((answer->status == PST_DNS_OK) == (answer->record_count > 0));
	FUZZ_CHECK(answer->record_count <= PST_DNS_RECORDS_MAX);
	FUZZ_CHECK(!answer->cached);
	for (uint32_t i = 0; i < answer->record_count; i++)
		check_record(query->type, &answer->records[i]);
}

/* ---- one answer ------------------------------------------------------------------------------- */

/* The type that the input's question asks for, if it is one that we ask. */
static enum pst_dns_type type_of(const uint8_t *data, size_t size)
{
	static const uint8_t types[] = {PST_DNS_NS,  PST_DNS_PTR, PST_DNS_MX,
					PST_DNS_TXT, PST_DNS_AAAA};
	size_t at = 12;

	while (at < size && data[at] != 0)
		at += data[at] + (size_t)1;
	for (size_t i = 0; i < sizeof(types) && at + 2 < size; i++)
		if (data[at + 2] == types[i])
			return (enum pst_dns_type)types[i];
	return PST_DNS_A;
}

static void ask(struct pst_loop *loop, struct pst_dns *dns, enum pst_dns_type type)
{
	struct pst_dns_query query = {
		.on_answer = on_answer,
		.name = PST_SPAN("a.test"),
		.type = type,
		.deadline_ms = loop->now_ms + 1000,
	};

	pst_dns_query(dns, &query);
	for (int i = 0; i < 100 && !server.sent; i++)
		pst_loop_turn(loop, false);
	FUZZ_CHECK(server.sent && server.answer_count == 0);
	server.dgram->on_ready(server.dgram);
	/* What was not its answer leaves it open, until the deadline. */
	for (int i = 0; i < 100 && query.open; i++)
		pst_loop_turn(loop, true);
	FUZZ_CHECK(!query.open && server.answer_count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pst_dgram_ops dgram_ops = {dgram_open, dgram_send, dgram_recv, dgram_close};
	static const struct pst_net_ops net_ops = {.connect = no_connect};
	struct pst_dns_conf conf = {.resolver_count = 1};
	struct pst_dgrams dgrams = {&dgram_ops};
	struct pst_net net = {.ops = &net_ops};
	struct pst_mem_system memory;
	struct pst_poller_sim sim;
	struct pst_loop loop;
	struct pst_dns_cares_env env = {&loop, &net, &dgrams, &memory.mem, 4};
	struct pst_dns_cares *cares;
	uint8_t *copy;

	if (size > 65535)
		return 0;
	copy = fuzz_copy(data, size);
	memset(&server, 0, sizeof(server));
	server.data = (struct pst_span){copy, (uint32_t)size};
	server.taken = size == 0;
	conf.resolvers[0] = (struct pst_addr){.family = PST_FAMILY_IPV4, .ip = {127, 0, 0, 1}};
	pst_mem_system_init(&memory);
	pst_poller_sim_init(&sim, 1000);
	FUZZ_CHECK(pst_loop_init(&loop, &sim.poller, &memory.mem, 16) == 0);
	net.loop = &loop;
	pst_loop_turn(&loop, false);
	FUZZ_CHECK(pst_dns_cares_new(&env, &conf, &cares) == 0);
	ask(&loop, pst_dns_cares_seam(cares), type_of(copy, size));
	pst_dns_cares_free(cares);
	pst_loop_fini(&loop);
	FUZZ_CHECK(memory.used_bytes == 0);
	free(copy);
	return 0;
}
