/* test_tls.c - the tls seam's contract, over every implementation */
#include "unit/tls/pair.h"

struct kind {
	const char *name;
	bool is_null;
	uint16_t version; /* mbedTLS: only this one */
};

static const struct kind kinds[] = {
	{"mbedtls, TLS 1.3", false, 0x0304},
	{"mbedtls, TLS 1.2", false, 0x0303},
	{"null", true, 0},
};

static const struct pst_tls_peer somebody = {.name = {(const uint8_t *)"mx.example.org", 14}};

/* What every test has: a world, a context of each role, two ends. */
struct stage {
	struct world world;
	const struct kind *kind;
	struct pst_tls_context *clients;
	struct pst_tls_context *servers;
	struct end client;
	struct end server;
};

static struct stage the_stage;

static int contexts_open(struct stage *stage)
{
	struct pst_tls_allow allow = {
		.version_min = stage->kind->version, .version_max = stage->kind->version};
	struct pst_tls_pair pair = PAIR(p256);
	struct pst_tls_problem problem;
	struct pst_mem *mem = &stage->world.alloc.mem;
	int ret;

	stage->clients = NULL;
	stage->servers = NULL;
	if (stage->kind->is_null) {
		ret = pst_tls_null(mem, true, 1, &stage->clients);
		return ret ? ret : pst_tls_null(mem, false, 3, &stage->servers);
	}
	ret = pst_tls_mbedtls_client(PST_SPAN_NONE, &allow, &problem, &stage->clients);
	return ret ? ret : pst_tls_mbedtls_server(&pair, 1, &allow, &problem, &stage->servers);
}

static void contexts_drop(struct stage *stage)
{
	pst_tls_context_drop(stage->clients);
	pst_tls_context_drop(stage->servers);
}

static void ends_open(struct stage *stage)
{
	end_open(&stage->client, stage->clients, &somebody);
	end_open(&stage->server, stage->servers, NULL);
}

static void ends_close(struct stage *stage)
{
	end_close(&stage->client);
	end_close(&stage->server);
}

static void stage_open(struct stage *stage, const struct kind *kind)
{
	stage->kind = kind;
	world_open(&stage->world, 7);
	assert_int_equal(contexts_open(stage), 0);
	ends_open(stage);
}

static void stage_close(struct stage *stage)
{
	ends_close(stage);
	contexts_drop(stage);
	world_close(&stage->world);
}

/* Runs a test over all implementations; with `shaken`, behind a handshake. */
static void over_all(void (*test)(struct stage *stage), bool shaken)
{
	for (size_t i = 0; i < PST_COUNT(kinds); i++) {
		struct stage *stage = &the_stage;

		stage_open(stage, &kinds[i]);
		if (shaken)
			assert_true(shake(&stage->client, &stage->server, UINT32_MAX));
		test(stage);
		stage_close(stage);
	}
}

#define CONTRACT(name, shaken)                                                                     \
	static void test_##name(struct stage *stage);                                              \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		over_all(test_##name, shaken);                                                     \
	}                                                                                          \
	static void test_##name(struct stage *stage)

static void fill_text(uint8_t *area, uint32_t len, uint64_t seed)
{
	struct pst_rng_seed rng;

	pst_rng_seed_init(&rng, seed);
	rng.rng.fill(&rng.rng, area, len);
}

/* --- handshakes ----------------------------------------------------------------------------- */

CONTRACT(a_handshake_is_done_on_both_ends, false)
{
	struct pst_tls_facts facts = end_facts(&stage->server);

	assert_null(facts.version);
	assert_true(shake(&stage->client, &stage->server, UINT32_MAX));
	facts = end_facts(&stage->server);
	assert_non_null(facts.version);
	assert_non_null(facts.cipher);
	assert_null(facts.failure);
	check_span(facts.name, "mx.example.org");
	assert_int_equal(end_facts(&stage->client).name.len, 0);
	assert_string_equal(end_facts(&stage->client).cipher, facts.cipher);
	assert_true(passes(&stage->client, &stage->server, PST_SPAN("EHLO client\r\n")));
	assert_true(passes(&stage->server, &stage->client, PST_SPAN("250 server\r\n")));
	/* Asking again changes nothing. */
	assert_int_equal(end_step(&stage->client), PST_TLS_DONE);
}

CONTRACT(a_handshake_takes_several_steps, false)
{
	assert_true(shake(&stage->client, &stage->server, UINT32_MAX));
	assert_true(stage->server.step_count > 3);
}

CONTRACT(bytes_may_come_one_at_a_time, false)
{
	assert_true(shake(&stage->client, &stage->server, 1));
	for (int i = 0; i < 3; i++) {
		struct pst_span text = PST_SPAN("MAIL FROM:<a@example.com>\r\n");
		uint8_t got[64];
		uint32_t len = 0;

		assert_int_equal(end_write(&stage->client, text), text.len);
		while (carry(&stage->client, &stage->server, 1)) {
			int64_t ret = end_read(&stage->server, got + len, sizeof(got) - len);

			assert_true(ret >= 0);
			len += (uint32_t)ret;
		}
		assert_int_equal(len, text.len);
		assert_memory_equal(got, text.at, len);
	}
}

CONTRACT(a_small_output_buffer_will_do, false)
{
	struct pst_span text = PST_SPAN("a text that goes through a small hole");

	stage->client.out.size = PST_TLS_OUT_BYTES_MIN;
	stage->server.out.size = PST_TLS_OUT_BYTES_MIN;
	assert_true(shake(&stage->client, &stage->server, UINT32_MAX));
	assert_true(passes(&stage->client, &stage->server, text));
	assert_true(passes(&stage->server, &stage->client, text));
}

CONTRACT(a_full_output_buffer_means_room, false)
{
	uint8_t *tail;
	uint32_t fill;

	/* Nothing fits: nothing is taken, nothing is lost. */
	fill = stage->client.out.size - 4;
	tail = pst_buf_tail(&stage->client.out);
	memset(tail, 'x', fill);
	pst_buf_commit(&stage->client.out, fill);
	for (int i = 0; i < 4 && stage->client.need != PST_TLS_ROOM; i++)
		end_step(&stage->client);
	assert_int_equal(stage->client.need, PST_TLS_ROOM);
	pst_buf_consume(&stage->client.out, fill);
	pst_buf_clear(&stage->client.out);
	assert_true(shake(&stage->client, &stage->server, UINT32_MAX));
}

/* What is behind the handshake's records belongs to the caller. */
CONTRACT(nothing_is_taken_behind_the_handshake, false)
{
	struct end *client = &stage->client, *server = &stage->server;
	struct pst_span text = PST_SPAN("EHLO at once\r\n");
	uint8_t got[64];
	uint32_t behind;

	while (client->need != PST_TLS_DONE) {
		end_work(client);
		if (client->need == PST_TLS_DONE)
			break;
		assert_true(client->need >= 0);
		carry(client, server, UINT32_MAX);
		end_work(server);
		carry(server, client, UINT32_MAX);
	}
	/* The client's last flight and its first command in one piece. */
	assert_int_equal(end_write(client, text), text.len);
	carry(client, server, UINT32_MAX);
	end_work(server);
	assert_int_equal(server->need, PST_TLS_DONE);
	behind = server->in.len;
	assert_true(behind > text.len);
	assert_int_equal(end_read(server, got, sizeof(got)), text.len);
	assert_memory_equal(got, text.at, text.len);
}

/* RFC 3207: a command sent in the clear behind STARTTLS. Passed to the handshake by mistake, it
 * ends it; it is never executed, and not eaten beyond the first header. */
CONTRACT(plaintext_is_no_handshake, false)
{
	struct pst_span text = PST_SPAN("EHLO injected\r\nMAIL FROM:<>\r\n");
	struct end *server = &stage->server;

	assert_int_equal(pst_buf_put(&server->in, text), 0);
	end_work(server);
	assert_int_equal(server->need, -PST_E_PROTO);
	assert_non_null(end_facts(server).failure);
	assert_null(end_facts(server).version);
	assert_true(server->in.len >= text.len - 7);
	/* Errors stay. */
	assert_int_equal(end_step(server), -PST_E_PROTO);
}

CONTRACT(a_refusal_reaches_the_other_end, false)
{
	struct end *client = &stage->client, *server = &stage->server;

	end_work(client);
	/* A ClientHello whose type of message is another. */
	client->spoil_at = stage->kind->is_null ? 0 : 5;
	client->spoil_by = 3;
	assert_false(shake(client, server, UINT32_MAX));
	assert_int_equal(server->need, -PST_E_PROTO);
	assert_int_equal(client->need, -PST_E_PROTO);
	assert_memory_equal(end_facts(client).failure, "peer's alert", 12);
}

/* One byte of the handshake changed on its way: it fails, it hangs, or it did not matter; it never
 * ends in a connection over which something else arrives than was sent. */
static void spoil_handshake(
	const struct kind *kind, bool of_client, int64_t at, uint8_t by, uint32_t *done_count)
{
	struct stage *stage = &the_stage;
	struct end *spoiled;

	ends_open(stage);
	spoiled = of_client ? &stage->client : &stage->server;
	spoiled->spoil_at = at;
	spoiled->spoil_by = by;
	if (shake(&stage->client, &stage->server, UINT32_MAX) &&
		spoiled->sent_count > (uint64_t)at) {
		++*done_count;
		assert_true(passes(&stage->client, &stage->server, PST_SPAN("NOOP\r\n")));
		assert_true(passes(&stage->server, &stage->client, PST_SPAN("250 ok\r\n")));
	}
	ends_close(stage);
	(void)kind;
}

static void a_spoiled_handshake_never_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(kinds); i++) {
		struct stage *stage = &the_stage;
		uint32_t tried = 0, done = 0;
		uint64_t sent[2];

		stage_open(stage, &kinds[i]);
		assert_true(shake(&stage->client, &stage->server, UINT32_MAX));
		sent[0] = stage->client.sent_count;
		sent[1] = stage->server.sent_count;
		ends_close(stage);
		for (int side = 0; side < 2; side++) {
			/* Each of the first bytes, then one in seventeen. */
			for (uint64_t at = 0; at < sent[side]; at += at < 16 ? 1 : 17) {
				spoil_handshake(&kinds[i], side == 0, (int64_t)at,
					(uint8_t)(1 << at % 8), &done);
				tried++;
			}
		}
		/* The record version is the only thing that does not count. */
		assert_true(done * 20 <= tried);
		ends_open(stage);
		stage_close(stage);
	}
}

/* --- data ----------------------------------------------------------------------------------- */

/* Sends `total` bytes, reading in pieces of `area`, and compares. */
static void transfer(struct end *from, struct end *to, uint32_t total, uint32_t area_size)
{
	uint8_t *sent = malloc(total), *got = malloc(total), *area = malloc(area_size);
	uint32_t sent_len = 0, got_len = 0;

	assert_true(sent && got && area);
	fill_text(sent, total, total);
	while (got_len < total) {
		int64_t ret = end_write(from, (struct pst_span){sent + sent_len, total - sent_len});

		assert_true(ret >= 0);
		sent_len += (uint32_t)ret;
		carry(from, to, UINT32_MAX);
		while ((ret = end_read(to, area, area_size)) > 0) {
			assert_true(got_len + ret <= total);
			memcpy(got + got_len, area, (size_t)ret);
			got_len += (uint32_t)ret;
		}
		assert_int_equal(ret, 0);
	}
	assert_memory_equal(sent, got, total);
	free(sent);
	free(got);
	free(area);
}

CONTRACT(large_texts_arrive_as_sent, true)
{
	transfer(&stage->client, &stage->server, 3000000, 16384);
	transfer(&stage->server, &stage->client, 3000000, 5000);
	transfer(&stage->client, &stage->server, 40000, 1);
	transfer(&stage->client, &stage->server, 1, 1);
}

CONTRACT(both_directions_do_not_mix, true)
{
	for (uint32_t i = 1; i < 60; i++) {
		transfer(&stage->client, &stage->server, i * 37, 100);
		transfer(&stage->server, &stage->client, i * 41, 1000);
	}
}

CONTRACT(every_size_of_output_room_is_used_or_left, true)
{
	struct end *client = &stage->client, *server = &stage->server;
	uint8_t text[600], got[600];
	uint32_t last = 0;

	fill_text(text, sizeof(text), 1);
	for (uint32_t size = 0; size <= 600; size += size < 140 ? 1 : 23) {
		int64_t ret, read = 0;

		pst_buf_clear(&client->out);
		client->out.size = size;
		ret = end_write(client, (struct pst_span){text, sizeof(text)});
		assert_true(ret >= 0);
		assert_true((uint32_t)ret <= size);
		assert_true(client->out.len <= size);
		assert_true((uint32_t)ret >= last);
		last = (uint32_t)ret;
		if (size >= PST_TLS_OUT_BYTES_MIN)
			assert_true(ret > 0);
		client->out.size = sizeof(client->out_area);
		carry(client, server, UINT32_MAX);
		while (read < ret) {
			int64_t more = end_read(server, got + read, sizeof(got));

			assert_true(more > 0);
			read += more;
		}
		assert_memory_equal(text, got, (size_t)ret);
	}
}

CONTRACT(an_empty_write_is_nothing, true)
{
	assert_int_equal(end_write(&stage->client, PST_SPAN_NONE), 0);
	assert_int_equal(stage->client.out.len, 0);
}

/* A record cut anywhere: nothing until its last byte is there. */
CONTRACT(a_cut_record_gives_nothing, true)
{
	struct pst_span text = PST_SPAN("RCPT TO:<someone@example.org>\r\n");
	struct end *client = &stage->client, *server = &stage->server;
	uint8_t got[100];

	for (uint32_t cut = 0; cut < 70; cut++) {
		uint32_t len;

		assert_int_equal(end_write(client, text), text.len);
		len = client->out.len;
		carry(client, server, PST_MIN(cut, len - 1));
		assert_int_equal(end_read(server, got, sizeof(got)), 0);
		assert_int_equal(server->in.len, 0);
		carry(client, server, UINT32_MAX);
		assert_int_equal(end_read(server, got, sizeof(got)), text.len);
		assert_memory_equal(got, text.at, text.len);
	}
}

/* Each bit of a record changed: an error, or waiting for more; never a byte of plaintext. */
CONTRACT(a_forged_record_gives_nothing, true)
{
	struct pst_span text = PST_SPAN("DATA\r\n");
	struct end *client = &stage->client, *server = &stage->server;
	uint32_t len, refused = 0;
	uint8_t got[100];

	assert_int_equal(end_write(client, text), text.len);
	len = client->out.len;
	for (uint32_t bit = 0; bit < len * 8; bit++) {
		int64_t ret;

		ends_close(stage);
		ends_open(stage);
		assert_true(shake(client, server, UINT32_MAX));
		assert_int_equal(end_write(client, text), text.len);
		client->out.area[client->out.head + bit / 8] ^= (uint8_t)(1 << bit % 8);
		carry(client, server, UINT32_MAX);
		ret = end_read(server, got, sizeof(got));
		if (ret == 0)
			continue;
		assert_int_equal(ret, -PST_E_PROTO);
		assert_int_equal(end_read(server, got, sizeof(got)), -PST_E_PROTO);
		assert_int_equal(end_write(server, text), -PST_E_PROTO);
		assert_non_null(end_facts(server).failure);
		refused++;
	}
	/* All but lengths that now ask for more. */
	assert_true(refused + 16 >= len * 8);
}

CONTRACT(a_record_does_not_come_twice_or_late, true)
{
	struct pst_span text = PST_SPAN("QUIT\r\n");
	struct end *client = &stage->client, *server = &stage->server;
	uint8_t copy[100], got[100];
	uint32_t len;

	assert_int_equal(end_write(client, text), text.len);
	len = client->out.len;
	assert_true(len < sizeof(copy));
	memcpy(copy, pst_buf_span(&client->out).at, len);
	carry(client, server, UINT32_MAX);
	assert_int_equal(end_read(server, got, sizeof(got)), text.len);
	assert_int_equal(pst_buf_put(&server->in, (struct pst_span){copy, len}), 0);
	assert_int_equal(end_read(server, got, sizeof(got)), -PST_E_PROTO);
}

/* --- the end -------------------------------------------------------------------------------- */

CONTRACT(an_end_is_said_and_heard, true)
{
	struct end *client = &stage->client, *server = &stage->server;
	struct pst_span last = PST_SPAN("221 bye\r\n");
	uint8_t got[64];

	assert_true(client->tls->ops->finish(client->tls, &client->out));
	assert_true(client->tls->ops->finish(client->tls, &client->out));
	carry(client, server, UINT32_MAX);
	/* What comes behind it in the clear stays where it is. */
	assert_int_equal(pst_buf_put(&server->in, PST_SPAN("EHLO again\r\n")), 0);
	assert_int_equal(end_read(server, got, sizeof(got)), -PST_E_CLOSED);
	check_buf(&server->in, "EHLO again\r\n");
	assert_int_equal(end_read(server, got, sizeof(got)), -PST_E_CLOSED);
	/* The other direction is still open. */
	assert_int_equal(end_write(server, last), last.len);
	assert_true(server->tls->ops->finish(server->tls, &server->out));
	carry(server, client, UINT32_MAX);
	assert_int_equal(end_read(client, got, sizeof(got)), last.len);
	assert_memory_equal(got, last.at, last.len);
	assert_int_equal(end_read(client, got, sizeof(got)), -PST_E_CLOSED);
}

CONTRACT(an_end_waits_for_room, true)
{
	struct end *client = &stage->client;

	client->out.size = 3;
	assert_false(client->tls->ops->finish(client->tls, &client->out));
	assert_int_equal(client->out.len, 0);
	client->out.size = sizeof(client->out_area);
	assert_true(client->tls->ops->finish(client->tls, &client->out));
	carry(client, &stage->server, UINT32_MAX);
	assert_int_equal(end_read(&stage->server, client->out_area, 10), -PST_E_CLOSED);
}

CONTRACT(an_end_before_the_handshake_is_nothing, false)
{
	assert_true(stage->client.tls->ops->finish(stage->client.tls, &stage->client.out));
	assert_int_equal(stage->client.out.len, 0);
}

CONTRACT(a_session_keeps_its_context, true)
{
	pst_tls_context_drop(stage->clients);
	pst_tls_context_drop(stage->servers);
	stage->clients = NULL;
	stage->servers = NULL;
	assert_true(passes(&stage->client, &stage->server, PST_SPAN("NOOP\r\n")));
}

/* --- memory --------------------------------------------------------------------------------- */

CONTRACT(idle_sessions_are_small, true)
{
	struct end *client = &stage->client, *server = &stage->server;
	uint8_t got[16384];
	uint64_t idle;

	/* One read that finds nothing, as a link does it behind the handshake. */
	assert_int_equal(end_read(client, got, sizeof(got)), 0);
	assert_int_equal(end_read(server, got, sizeof(got)), 0);
	idle = end_facts(server).used_bytes;
	assert_true(idle <= PST_TLS_IDLE_BYTES);
	assert_true(end_facts(client).used_bytes <= PST_TLS_IDLE_BYTES);
	assert_true(end_facts(server).peak_bytes <= PST_TLS_HANDSHAKE_BYTES);
	for (int i = 0; i < 3; i++) {
		transfer(client, server, 100000, 16384);
		transfer(server, client, 100000, 16384);
		assert_int_equal(end_facts(server).used_bytes, idle);
	}
	/* Half a record is kept, and given back when it is whole. */
	assert_int_equal(end_write(client, PST_SPAN("a text")), 6);
	carry(client, server, 8);
	assert_int_equal(end_read(server, got, sizeof(got)), 0);
	assert_true(end_facts(server).used_bytes > idle);
	carry(client, server, UINT32_MAX);
	assert_int_equal(end_read(server, got, 2), 2);
	assert_int_equal(end_read(server, got, sizeof(got)), 4);
	assert_int_equal(end_read(server, got, sizeof(got)), 0);
	assert_int_equal(end_facts(server).used_bytes, idle);
}

/* Half a large record received and a large one sent at the same time: the most an established
 * session needs is within its bound. */
CONTRACT(busy_sessions_are_bounded, true)
{
	struct end *client = &stage->client, *server = &stage->server;
	static uint8_t text[12000], got[16384];
	int64_t ret;

	fill_text(text, sizeof(text), 5);
	assert_true(end_write(client, (struct pst_span){text, sizeof(text)}) > 0);
	carry(client, server, 20);
	assert_int_equal(end_read(server, got, sizeof(got)), 0);
	assert_int_equal(end_write(server, (struct pst_span){text, sizeof(text)}), sizeof(text));
	assert_true(end_facts(server).used_bytes <= PST_TLS_SESSION_BYTES);
	carry(client, server, UINT32_MAX);
	ret = end_read(server, got, sizeof(got));
	assert_true(ret > 0);
	assert_memory_equal(got, text, (size_t)ret);
}

/* The n-th request fails, alone or with all behind it: an error or success, and nothing is left. */
static bool run_short(struct stage *stage, uint64_t n, bool persistent)
{
	uint64_t before = stage->world.alloc.block_count;
	bool good = false;
	int ret;

	pst_alloc_fail_at(&stage->world.alloc, n, persistent);
	memset(&stage->client, 0, sizeof(stage->client));
	memset(&stage->server, 0, sizeof(stage->server));
	ret = contexts_open(stage);
	if (ret == 0) {
		struct pst_tls *tls[2] = {NULL, NULL};

		ret = pst_tls_open(stage->clients, &somebody, &tls[0]);
		if (ret == 0)
			ret = pst_tls_open(stage->servers, NULL, &tls[1]);
		if (ret == 0) {
			struct end *ends[2] = {&stage->client, &stage->server};

			for (int i = 0; i < 2; i++) {
				ends[i]->tls = tls[i];
				ends[i]->spoil_at = -1;
				ends[i]->need = PST_TLS_MORE;
				pst_buf_init(
					&ends[i]->in, ends[i]->in_area, sizeof(ends[i]->in_area));
				pst_buf_init(&ends[i]->out, ends[i]->out_area,
					sizeof(ends[i]->out_area));
			}
			good = shake(ends[0], ends[1], UINT32_MAX) &&
			       passes(ends[0], ends[1], PST_SPAN("EHLO x\r\n")) &&
			       passes(ends[1], ends[0], PST_SPAN("250 x\r\n"));
			for (int i = 0; i < 2; i++) {
				if (ends[i]->need < 0 && stage->world.alloc.failed_count == 0)
					fail();
				ends[i]->tls->ops->finish(ends[i]->tls, &ends[i]->out);
			}
		}
		pst_tls_close(tls[0]);
		pst_tls_close(tls[1]);
	}
	if (ret)
		assert_int_equal(ret, -PST_E_NOMEM);
	contexts_drop(stage);
	good = good && stage->world.alloc.request_count < n;
	pst_alloc_fail_at(&stage->world.alloc, 0, false);
	/* The library may keep a slice of its table of keys, once. */
	assert_true(stage->world.alloc.block_count <= before + 2);
	return good;
}

static void failing_allocations_are_survived(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(kinds); i++) {
		struct stage *stage = &the_stage;

		stage->kind = &kinds[i];
		world_open(&stage->world, 9);
		for (int persistent = 0; persistent < 2; persistent++) {
			uint64_t n = 1;

			while (!run_short(stage, n, persistent)) {
				n += n < 200 ? 1 : 17;
				assert_true(n < 20000);
			}
		}
		world_close(&stage->world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_is_done_on_both_ends),
		cmocka_unit_test(a_handshake_takes_several_steps),
		cmocka_unit_test(bytes_may_come_one_at_a_time),
		cmocka_unit_test(a_small_output_buffer_will_do),
		cmocka_unit_test(a_full_output_buffer_means_room),
		cmocka_unit_test(nothing_is_taken_behind_the_handshake),
		cmocka_unit_test(plaintext_is_no_handshake),
		cmocka_unit_test(a_refusal_reaches_the_other_end),
		cmocka_unit_test(a_spoiled_handshake_never_counts),
		cmocka_unit_test(large_texts_arrive_as_sent),
		cmocka_unit_test(both_directions_do_not_mix),
		cmocka_unit_test(every_size_of_output_room_is_used_or_left),
		cmocka_unit_test(an_empty_write_is_nothing),
		cmocka_unit_test(a_cut_record_gives_nothing),
		cmocka_unit_test(a_forged_record_gives_nothing),
		cmocka_unit_test(a_record_does_not_come_twice_or_late),
		cmocka_unit_test(an_end_is_said_and_heard),
		cmocka_unit_test(an_end_waits_for_room),
		cmocka_unit_test(an_end_before_the_handshake_is_nothing),
		cmocka_unit_test(a_session_keeps_its_context),
		cmocka_unit_test(idle_sessions_are_small),
		cmocka_unit_test(busy_sessions_are_bounded),
		cmocka_unit_test(failing_allocations_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
