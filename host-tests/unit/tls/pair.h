/* pair.h - a client and a server of the tls seam, with a wire between them that a test can spoil
 *
 * One world for all: seeded randomness, a clock that stands still, an allocator that counts.
 */
#ifndef PST_TEST_PAIR_H
#define PST_TEST_PAIR_H

#include "crypto/crypto_mbedtls.h"
#include "support/alloc_fail.h"
#include "support/check.h"
#include "support/rng_seed.h"
#include "tls/tls_mbedtls.h"
#include "tls/tls_null.h"
#include "unit/tls/pem.h"

/* 2026-11-21T21:00:00Z */
#define WALL_S UINT64_C(1795294800)

#define PEM(name) ((struct pst_span){(const uint8_t *)pem_##name, sizeof(pem_##name) - 1})
#define PAIR(name) ((struct pst_tls_pair){PEM(name##_certificate), PEM(name##_key)})

struct world {
	struct pst_alloc_fail alloc;
	struct pst_rng_seed rng;
	struct pst_crypto_mbedtls_env env;
	uint64_t wall_s;
};

static inline uint64_t world_mono_ms(void *clock)
{
	(void)clock;
	return 1000;
}

static inline uint64_t world_wall_ms(void *clock)
{
	return ((struct world *)clock)->wall_s * 1000;
}

static inline void world_open(struct world *world, uint64_t seed)
{
	static bool is_open;

	/* A test that failed has left its own. */
	if (is_open && world->env.mem)
		pst_crypto_mbedtls_close();
	is_open = true;
	pst_alloc_fail_init(&world->alloc);
	pst_rng_seed_init(&world->rng, seed);
	world->wall_s = WALL_S;
	world->env = (struct pst_crypto_mbedtls_env){
		.rng = &world->rng.rng,
		.mem = &world->alloc.mem,
		.clock = world,
		.mono_ms = world_mono_ms,
		.wall_ms = world_wall_ms,
	};
	assert_int_equal(pst_crypto_mbedtls_open(&world->env), 0);
}

static inline void world_close(struct world *world)
{
	pst_crypto_mbedtls_close();
	world->env.mem = NULL;
	assert_int_equal(world->alloc.block_count, 0);
	assert_int_equal(world->alloc.byte_count, 0);
}

/* One end: a session, what it has received, what it sends. */
struct end {
	struct pst_tls *tls;
	struct pst_buf in;
	struct pst_buf out;
	uint8_t in_area[40000];
	uint8_t out_area[20000];
	int need;           /* of the last handshake call */
	uint32_t step_count;
	uint64_t sent_count; /* bytes that went onto the wire */
	uint64_t sent_sum;   /* of them */
	int64_t spoil_at;    /* the byte of what is sent that is changed; -1: none */
	uint8_t spoil_by;
};

static inline void end_open(struct end *end, struct pst_tls_context *context,
	const struct pst_tls_peer *peer)
{
	memset(end, 0, sizeof(*end));
	pst_buf_init(&end->in, end->in_area, sizeof(end->in_area));
	pst_buf_init(&end->out, end->out_area, sizeof(end->out_area));
	end->spoil_at = -1;
	end->need = PST_TLS_MORE;
	assert_int_equal(pst_tls_open(context, peer, &end->tls), 0);
}

static inline void end_close(struct end *end)
{
	pst_tls_close(end->tls);
	end->tls = NULL;
}

/* At most `len` bytes over the wire.
 *  ret  how many */
static inline uint32_t carry(struct end *from, struct end *to, uint32_t len)
{
	struct pst_span span = pst_span_sub(pst_buf_span(&from->out), 0, len);
	uint8_t *at;

	if (span.len == 0)
		return 0;
	pst_buf_compact(&to->in);
	if (span.len > pst_buf_room(&to->in))
		span.len = pst_buf_room(&to->in);
	at = pst_buf_tail(&to->in);
	assert_int_equal(pst_buf_put(&to->in, span), 0);
	for (uint32_t i = 0; i < span.len; i++) {
		if (from->spoil_at == (int64_t)from->sent_count)
			at[i] ^= from->spoil_by;
		from->sent_count++;
		from->sent_sum = from->sent_sum * UINT64_C(1099511628211) + at[i];
	}
	pst_buf_consume(&from->out, span.len);
	return span.len;
}

/* Hands the session what has arrived, and takes what it says it took. */
static inline int end_step(struct end *end)
{
	struct pst_tls_wire wire = {pst_buf_span(&end->in), &end->out};
	uint32_t before = wire.in.len;

	end->need = end->tls->ops->handshake(end->tls, &wire);
	end->step_count++;
	pst_buf_consume(&end->in, before - wire.in.len);
	if (end->need == PST_TLS_INPUT)
		assert_int_equal(wire.in.len, 0);
	return end->need;
}

/* Until it waits for the other end, or is over. */
static inline void end_work(struct end *end)
{
	while (end->need >= 0 && end->need != PST_TLS_DONE) {
		end_step(end);
		if (end->need == PST_TLS_INPUT || end->need == PST_TLS_ROOM)
			break;
	}
}

/* A handshake, `cut` bytes at a time.
 *  ret  true: both ends say that it is done */
static inline bool shake(struct end *client, struct end *server, uint32_t cut)
{
	for (uint32_t idle = 0; idle < 3;) {
		uint32_t moved;

		end_work(client);
		end_work(server);
		moved = carry(client, server, cut) + carry(server, client, cut);
		idle = moved ? 0 : idle + 1;
	}
	return client->need == PST_TLS_DONE && server->need == PST_TLS_DONE;
}

static inline int64_t end_read(struct end *end, void *area, uint32_t size)
{
	struct pst_tls_wire wire = {pst_buf_span(&end->in), &end->out};
	uint32_t before = wire.in.len;
	int64_t ret = end->tls->ops->read(end->tls, &wire, area, size);

	pst_buf_consume(&end->in, before - wire.in.len);
	return ret;
}

static inline int64_t end_write(struct end *end, struct pst_span plain)
{
	return end->tls->ops->write(end->tls, plain, &end->out);
}

/* Sends a text and reads it at the other end. */
static inline bool passes(struct end *from, struct end *to, struct pst_span text)
{
	uint8_t got[4096];
	uint32_t len = 0;

	if (end_write(from, text) != text.len)
		return false;
	carry(from, to, UINT32_MAX);
	while (len < text.len) {
		int64_t ret = end_read(to, got + len, (uint32_t)sizeof(got) - len);

		if (ret <= 0)
			return false;
		len += (uint32_t)ret;
	}
	return len == text.len && memcmp(got, text.at, len) == 0;
}

static inline struct pst_tls_facts end_facts(const struct end *end)
{
	struct pst_tls_facts facts;

	end->tls->ops->facts(end->tls, &facts);
	return facts;
}

#endif
