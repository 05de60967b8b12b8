/* sim/tls_end.c - the other end of TLS, a client's or a server's, straight on the pump (tls/tls.h), without a link */
#include <stdlib.h>

#include "crypto/crypto_mbedtls.h"
#include "sim/sim.h"
#include "tls/tls_mbedtls.h"

#define OUT_BYTES 16384

struct sim_tls_end {
	struct pst_tls *tls;
	struct pst_bytes waiting; /* records that are not opened yet */
	uint8_t area[OUT_BYTES];
	bool done, failed;
};

/* One key for all runs: making one takes longer than a run. */
static uint8_t key_area[PST_CRYPTO_SELF_SIGNED_KEY_BYTES];
static uint8_t certificate_area[PST_CRYPTO_SELF_SIGNED_CERTIFICATE_BYTES];
static uint32_t key_len, certificate_len;

static uint64_t mono_ms(void *clock)
{
	return ((struct sim *)clock)->stage.sim.mono_ms;
}

static uint64_t wall_ms(void *clock)
{
	return ((struct sim *)clock)->stage.sim.wall_ms;
}

static void open_library(struct sim *sim, struct pst_rng *rng)
{
	static struct pst_crypto_mbedtls_env env;

	env = (struct pst_crypto_mbedtls_env){
		.rng = rng,
		.mem = &sim->tls_memory.mem,
		.clock = sim,
		.mono_ms = mono_ms,
		.wall_ms = wall_ms,
	};
	PST_BUG_ON(pst_crypto_mbedtls_open(&env) < 0);
}

void sim_tls_prepare(struct sim *sim)
{
	static struct pst_rng_seed rng;
	struct pst_buf key, certificate;

	if (key_len > 0)
		return;
	pst_alloc_fail_init(&sim->tls_memory);
	pst_poller_sim_init(&sim->stage.sim, 1000000);
	pst_rng_seed_init(&rng, 1);
	open_library(sim, &rng.rng);
	pst_buf_init(&key, key_area, sizeof(key_area));
	pst_buf_init(&certificate, certificate_area, sizeof(certificate_area));
	PST_BUG_ON(pst_crypto_mbedtls_self_signed(PST_SPAN("mx.sim.example"), &key, &certificate) < 0);
	key_len = key.len;
	certificate_len = certificate.len;
	pst_crypto_mbedtls_close();
}

void sim_tls_open(struct sim *sim)
{
	struct pst_tls_problem problem;
	struct pst_tls_pair pair;

	open_library(sim, &sim->stage.rng.rng);
	pair = (struct pst_tls_pair){{certificate_area, certificate_len}, {key_area, key_len}};
	PST_BUG_ON(pst_tls_mbedtls_server(&pair, 1, NULL, &problem, &sim->tls_server) < 0);
	PST_BUG_ON(pst_tls_mbedtls_client(PST_SPAN_NONE, NULL, &problem, &sim->tls_client) < 0);
}

static void drop_context(struct pst_config *config)
{
	pst_tls_context_drop(config->proxy.tls);
	pst_tls_context_drop(config->proxy.relay.tls);
}

void sim_tls_attach(struct sim *sim, struct pst_config *config)
{
	if (!sim->plan.tls)
		return;
	config->proxy.tls = pst_tls_context_hold(sim->tls_server);
	config->proxy.tls_room = true;
	if (sim->plan.tls_inside) {
		config->proxy.relay.tls = pst_tls_context_hold(sim->tls_client);
		config->proxy.relay.tls_room = true;
	}
	config->on_release[0] = drop_context;
}

void sim_tls_close(struct sim *sim)
{
	pst_tls_context_drop(sim->tls_server);
	pst_tls_context_drop(sim->tls_client);
	pst_crypto_mbedtls_close();
}

struct sim_tls_end *sim_tls_end_new(struct sim *sim, bool server)
{
	static const struct pst_tls_peer anybody = {.verify = PST_TLS_VERIFY_NONE};
	struct sim_tls_end *end = calloc(1, sizeof(*end));

	PST_BUG_ON(!end);
	if (server)
		end->failed = pst_tls_open(sim->tls_server, NULL, &end->tls) < 0;
	else
		end->failed = pst_tls_open(sim->tls_client, &anybody, &end->tls) < 0;
	return end;
}

void sim_tls_end_free(struct sim_tls_end *end)
{
	if (!end)
		return;
	pst_tls_close(end->tls);
	pst_bytes_free(&end->waiting);
	free(end);
}

static void keep_rest(struct sim_tls_end *end, struct pst_span rest)
{
	struct pst_bytes kept = {0};

	pst_bytes_add_span(&kept, rest);
	pst_bytes_free(&end->waiting);
	end->waiting = kept;
}

/*  ret true: it is over */
static bool shake(struct sim_tls_end *end, struct pst_tls_wire *wire, struct pst_bytes *out)
{
	int need;

	do {
		need = end->tls->ops->handshake(end->tls, wire);
		pst_bytes_add_span(out, pst_buf_span(wire->out));
		pst_buf_clear(wire->out);
	} while (need == PST_TLS_MORE || need == PST_TLS_ROOM);
	end->failed = need < 0;
	return need == PST_TLS_DONE;
}

int sim_tls_end_take(struct sim_tls_end *end, struct pst_span records, struct pst_bytes *plain,
		     struct pst_bytes *out)
{
	struct pst_tls_wire wire;
	struct pst_buf buf;

	if (end->failed)
		return -1;
	pst_bytes_add_span(&end->waiting, records);
	pst_buf_init(&buf, end->area, sizeof(end->area));
	wire = (struct pst_tls_wire){.in = pst_bytes_from(&end->waiting, 0), .out = &buf};
	if (!end->done)
		end->done = shake(end, &wire, out);
	while (end->done && !end->failed) {
		uint8_t area[4096];
		uint32_t before = wire.in.len;
		int64_t got = end->tls->ops->read(end->tls, &wire, area, sizeof(area));

		if (got > 0)
			pst_bytes_add(plain, area, (uint32_t)got);
		end->failed = got < 0;
		pst_bytes_add_span(out, pst_buf_span(&buf));
		pst_buf_clear(&buf);
		if (got <= 0 && (wire.in.len == 0 || wire.in.len == before))
			break;
	}
	keep_rest(end, wire.in);
	return end->failed ? -1 : end->done;
}

void sim_tls_end_give(struct sim_tls_end *end, struct pst_span plain, struct pst_bytes *out)
{
	struct pst_buf buf;

	pst_buf_init(&buf, end->area, sizeof(end->area));
	while (plain.len > 0 && !end->failed) {
		int64_t used = end->tls->ops->write(end->tls, plain, &buf);

		if (used <= 0)
			end->failed = true;
		else
			plain = pst_span_sub(plain, (uint32_t)used, plain.len);
		pst_bytes_add_span(out, pst_buf_span(&buf));
		pst_buf_clear(&buf);
	}
}
