/* test_deps.c - the third-party libraries are there, are the ones configured, and do their job.
 *
 * The only test that calls them directly; everything else goes through our adapters. It proves the
 * build: the switches took effect, the hooks are ours, nothing is missing at link time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ares.h>
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>
#include <mbedtls/build_info.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <netif/ethernet.h>
#include <postern_lwip_hooks.h>
#include <pcre2.h>
#include <psa/crypto.h>

#include "crypto/crypto_mbedtls.h"

/* --- mbedTLS ----------------------------------------------------------------------------------- */

/* A certificate for mx.example.org with a P-256 key, valid from 2026-11-21 to 2036-11-18; made for
 * this test and used nowhere else. */
static const char certificate_pem[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBjjCCATWgAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5teC5leGFt\n"
	"cGxlLm9yZzAeFw0yNjExMjEyMjAzMjJaFw0zNjExMTgyMjAzMjJaMBkxFzAVBgNV\n"
	"BAMMDm14LmV4YW1wbGUub3JnMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUPLI\n"
	"YKcn75tSITSwZ3Z0uZAxbQqPts6YLT8prtZey3j2Uq+YaqMVxqEHeV7UrZZEPyWl\n"
	"fQsfKRxh5bED5sLIAaNuMGwwHQYDVR0OBBYEFNMI5TQuLQnZBjQgjcVO1kArDypW\n"
	"MB8GA1UdIwQYMBaAFNMI5TQuLQnZBjQgjcVO1kArDypWMA8GA1UdEwEB/wQFMAMB\n"
	"Af8wGQYDVR0RBBIwEIIObXguZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwIDRwAwRAIg\n"
	"WJLr+pZNcdF2OJ3NiOqwqR0ZOvNobGQrnMGEMLDJmO0CIGmkicaUZ1vVxIkEFGft\n"
	"cKGyBZXLer0Ycrr4AcLh3I3Y\n"
	"-----END CERTIFICATE-----\n";
static const char key_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglEiJvdrHXz9IZg+i\n"
	"xFOga5tHR24VMjl+vmqvoz/2HrmhRANCAARQ8shgpyfvm1IhNLBndnS5kDFtCo+2\n"
	"zpgtPymu1l7LePZSr5hqoxXGoQd5XtStlkQ/JaV9Cx8pHGHlsQPmwsgB\n"
	"-----END PRIVATE KEY-----\n";

#define WALL_MS_2030 UINT64_C(1893456000000)
#define WALL_MS_2040 UINT64_C(2208988800000)

/* A world of our own making: seeded randomness, a clock that stands still, counted memory. */
struct world {
	struct pst_rng rng;
	struct pst_mem mem;
	uint64_t seed;
	uint64_t wall_ms;
	size_t used_bytes;
	struct pst_crypto_mbedtls_env env;
};

static void world_fill(struct pst_rng *rng, void *out, size_t len)
{
	struct world *world = PST_CONTAINER(rng, struct world, rng);
	uint8_t *at = out;

	for (size_t i = 0; i < len; i++) {
		world->seed = world->seed * UINT64_C(6364136223846793005) + 1;
		at[i] = (uint8_t)(world->seed >> 56);
	}
}

static void *world_alloc(struct pst_mem *mem, size_t size)
{
	PST_CONTAINER(mem, struct world, mem)->used_bytes += size;
	return malloc(size);
}

static void world_free(struct pst_mem *mem, void *block, size_t size)
{
	PST_CONTAINER(mem, struct world, mem)->used_bytes -= size;
	free(block);
}

static uint64_t world_mono_ms(void *clock)
{
	return ((struct world *)clock)->wall_ms / 2;
}

static uint64_t world_wall_ms(void *clock)
{
	return ((struct world *)clock)->wall_ms;
}

static void world_open(struct world *world, uint64_t wall_ms)
{
	*world = (struct world){
		.rng.fill = world_fill,
		.mem = {.alloc = world_alloc, .free = world_free},
		.seed = 1,
		.wall_ms = wall_ms,
	};
	world->env = (struct pst_crypto_mbedtls_env){
		.rng = &world->rng,
		.mem = &world->mem,
		.clock = world,
		.mono_ms = world_mono_ms,
		.wall_ms = world_wall_ms,
	};
	assert_int_equal(pst_crypto_mbedtls_open(&world->env), 0);
}

static void world_close(struct world *world)
{
	pst_crypto_mbedtls_close();
	assert_int_equal(world->used_bytes, 0);
}

static void test_mbedtls_hash(void **state)
{
	/* FIPS 180-2, B.1 */
	static const uint8_t wanted[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41,
		0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a,
		0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	struct world world;
	uint8_t hash[32];
	size_t len = 0;

	(void)state;
	world_open(&world, WALL_MS_2030);
	assert_int_equal(psa_hash_compute(PSA_ALG_SHA_256, (const uint8_t *)"abc", 3, hash,
				 sizeof(hash), &len),
		PSA_SUCCESS);
	assert_int_equal(len, sizeof(wanted));
	assert_memory_equal(hash, wanted, sizeof(wanted));
	assert_int_equal(MBEDTLS_VERSION_NUMBER >> 16, 0x0306);
	world_close(&world);
}

static void test_mbedtls_randomness_and_time_are_ours(void **state)
{
	struct world world, twin = {.rng.fill = world_fill, .seed = 1};
	uint8_t theirs[40], ours[40];

	(void)state;
	world_open(&world, WALL_MS_2030);
	world.seed = 1;
	assert_int_equal(psa_generate_random(theirs, sizeof(theirs)), PSA_SUCCESS);
	twin.rng.fill(&twin.rng, ours, sizeof(ours));
	assert_memory_equal(theirs, ours, sizeof(ours));
	assert_int_equal(mbedtls_time(NULL), WALL_MS_2030 / 1000);
	assert_int_equal(mbedtls_ms_time(), WALL_MS_2030 / 2);
	world_close(&world);
}

/* RFC 7748 section 6.1; both the public key and the agreement go through our patch. */
static void test_mbedtls_x25519(void **state)
{
	static const uint8_t alice_private[32] = {0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c,
		0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99,
		0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
	static const uint8_t alice_public[32] = {0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74,
		0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a,
		0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};
	static const uint8_t bob_public[32] = {0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3,
		0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37, 0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67,
		0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f};
	static const uint8_t wanted[32] = {0x4a, 0x5d, 0x9d, 0x5b, 0xa4, 0xce, 0x2d, 0xe1, 0x72, 0x8e,
		0x3b, 0xf4, 0x80, 0x35, 0x0f, 0x25, 0xe0, 0x7e, 0x21, 0xc9, 0x47, 0xd1, 0x9e, 0x33,
		0x76, 0xf0, 0x9b, 0x3c, 0x1e, 0x16, 0x17, 0x42};
	static const uint8_t zero[32];
	psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
	struct world world;
	psa_key_id_t key;
	uint8_t got[32];
	size_t len;

	(void)state;
	world_open(&world, WALL_MS_2030);
	psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_MONTGOMERY));
	psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_DERIVE);
	psa_set_key_algorithm(&attributes, PSA_ALG_ECDH);
	assert_int_equal(psa_import_key(&attributes, alice_private, sizeof(alice_private), &key),
		PSA_SUCCESS);
	assert_int_equal(psa_export_public_key(key, got, sizeof(got), &len), PSA_SUCCESS);
	assert_memory_equal(got, alice_public, sizeof(got));
	assert_int_equal(psa_raw_key_agreement(PSA_ALG_ECDH, key, bob_public, sizeof(bob_public),
				 got, sizeof(got), &len),
		PSA_SUCCESS);
	assert_memory_equal(got, wanted, sizeof(got));
	/* A point of small order makes no secret. */
	assert_int_not_equal(psa_raw_key_agreement(PSA_ALG_ECDH, key, zero, sizeof(zero), got,
				     sizeof(got), &len),
		PSA_SUCCESS);
	psa_destroy_key(key);
	world_close(&world);
}

/* One direction of a wire in memory. */
struct pipe {
	uint8_t bytes[32768];
	size_t head, tail;
};

struct end {
	struct pipe *in, *out;
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
};

static int end_send(void *self, const unsigned char *at, size_t len)
{
	struct pipe *pipe = ((struct end *)self)->out;

	if (len > sizeof(pipe->bytes) - pipe->tail)
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	memcpy(pipe->bytes + pipe->tail, at, len);
	pipe->tail += len;
	return (int)len;
}

static int end_recv(void *self, unsigned char *at, size_t len)
{
	struct pipe *pipe = ((struct end *)self)->in;
	size_t take = PST_MIN(len, pipe->tail - pipe->head);

	if (take == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	memcpy(at, pipe->bytes + pipe->head, take);
	pipe->head += take;
	return (int)take;
}

static void end_open(struct end *end, int role, struct pipe *in, struct pipe *out,
	mbedtls_ssl_protocol_version version)
{
	end->in = in;
	end->out = out;
	mbedtls_ssl_init(&end->ssl);
	mbedtls_ssl_config_init(&end->conf);
	assert_int_equal(mbedtls_ssl_config_defaults(&end->conf, role, MBEDTLS_SSL_TRANSPORT_STREAM,
				 MBEDTLS_SSL_PRESET_DEFAULT),
		0);
	mbedtls_ssl_conf_rng(&end->conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
	mbedtls_ssl_conf_min_tls_version(&end->conf, version);
	mbedtls_ssl_conf_max_tls_version(&end->conf, version);
}

static void end_start(struct end *end)
{
	assert_int_equal(mbedtls_ssl_setup(&end->ssl, &end->conf), 0);
	mbedtls_ssl_set_bio(&end->ssl, end, end_send, end_recv, NULL);
}

/* Shakes hands between two ends in memory and sends one line through.
 *  ret  0, or the client's error; hash: over all bytes of both directions */
static int shake_hands(mbedtls_ssl_protocol_version version, uint64_t wall_ms, uint8_t hash[32])
{
	struct pipe *wires = calloc(2, sizeof(*wires));
	struct end client, server;
	struct world world;
	mbedtls_x509_crt certificate;
	mbedtls_pk_context key;
	uint8_t line[16] = {0};
	size_t len = 0;
	int client_ret = 1, server_ret = 1;

	assert_non_null(wires);
	world_open(&world, wall_ms);
	mbedtls_x509_crt_init(&certificate);
	mbedtls_pk_init(&key);
	assert_int_equal(mbedtls_x509_crt_parse(&certificate, (const uint8_t *)certificate_pem,
				 sizeof(certificate_pem)),
		0);
	assert_int_equal(mbedtls_pk_parse_key(&key, (const uint8_t *)key_pem, sizeof(key_pem), NULL,
				 0, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE),
		0);

	end_open(&server, MBEDTLS_SSL_IS_SERVER, &wires[0], &wires[1], version);
	assert_int_equal(mbedtls_ssl_conf_own_cert(&server.conf, &certificate, &key), 0);
	end_start(&server);
	end_open(&client, MBEDTLS_SSL_IS_CLIENT, &wires[1], &wires[0], version);
	mbedtls_ssl_conf_ca_chain(&client.conf, &certificate, NULL);
	end_start(&client);
	assert_int_equal(mbedtls_ssl_set_hostname(&client.ssl, "mx.example.org"), 0);

	for (int step = 0; step < 50 && (client_ret || server_ret); step++) {
		client_ret = mbedtls_ssl_handshake(&client.ssl);
		if (client_ret && client_ret != MBEDTLS_ERR_SSL_WANT_READ)
			break;
		server_ret = mbedtls_ssl_handshake(&server.ssl);
		if (server_ret && server_ret != MBEDTLS_ERR_SSL_WANT_READ)
			break;
	}
	if (client_ret == 0 && server_ret == 0) {
		assert_int_equal(mbedtls_ssl_write(&client.ssl, (const uint8_t *)"EHLO x\r\n", 8), 8);
		assert_int_equal(mbedtls_ssl_read(&server.ssl, line, sizeof(line)), 8);
		assert_string_equal((const char *)line, "EHLO x\r\n");
	}
	assert_int_equal(psa_hash_compute(PSA_ALG_SHA_256, (const uint8_t *)wires,
				 2 * sizeof(*wires), hash, 32, &len),
		PSA_SUCCESS);

	mbedtls_ssl_free(&client.ssl);
	mbedtls_ssl_config_free(&client.conf);
	mbedtls_ssl_free(&server.ssl);
	mbedtls_ssl_config_free(&server.conf);
	mbedtls_x509_crt_free(&certificate);
	mbedtls_pk_free(&key);
	world_close(&world);
	free(wires);
	return client_ret;
}

static void test_mbedtls_handshakes_replay(void **state)
{
	static const mbedtls_ssl_protocol_version versions[] = {
		MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3};
	uint8_t first[32], second[32];

	(void)state;
	for (size_t i = 0; i < PST_COUNT(versions); i++) {
		assert_int_equal(shake_hands(versions[i], WALL_MS_2030, first), 0);
		assert_int_equal(shake_hands(versions[i], WALL_MS_2030, second), 0);
		assert_memory_equal(first, second, sizeof(first));
		assert_int_equal(shake_hands(versions[i], WALL_MS_2040, second),
			MBEDTLS_ERR_X509_CERT_VERIFY_FAILED);
	}
}

/* --- PCRE2 ------------------------------------------------------------------------------------- */

static void test_pcre2_match(void **state)
{
	static const char subject[] = "Buy cheap VIAGRA now";
	uint32_t jit = 0, unicode = 0;
	pcre2_code *code;
	pcre2_match_data *match;
	size_t offset, jit_size = 0;
	int error;

	(void)state;
	pcre2_config(PCRE2_CONFIG_JIT, &jit);
	pcre2_config(PCRE2_CONFIG_UNICODE, &unicode);
#ifdef CONFIG_POSTERN_PCRE2_JIT
	assert_int_equal(jit, 1);
#else
	assert_int_equal(jit, 0);
#endif
#ifdef CONFIG_POSTERN_PCRE2_UNICODE
	assert_int_equal(unicode, 1);
#else
	assert_int_equal(unicode, 0);
#endif

	code = pcre2_compile((PCRE2_SPTR) "v[i1]agra\\b", PCRE2_ZERO_TERMINATED, PCRE2_CASELESS,
		&error, &offset, NULL);
	assert_non_null(code);
	if (jit) {
		assert_int_equal(pcre2_jit_compile(code, PCRE2_JIT_COMPLETE), 0);
		assert_int_equal(pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &jit_size), 0);
		assert_true(jit_size > 0);
	}
	match = pcre2_match_data_create_from_pattern(code, NULL);
	assert_non_null(match);
	assert_int_equal(
		pcre2_match(code, (PCRE2_SPTR)subject, strlen(subject), 0, 0, match, NULL), 1);
	assert_int_equal(pcre2_get_ovector_pointer(match)[0], 10);
	assert_int_equal(pcre2_match(code, (PCRE2_SPTR) "vibrant", 7, 0, 0, match, NULL),
		PCRE2_ERROR_NOMATCH);
	pcre2_match_data_free(match);
	pcre2_code_free(code);
}

/* --- c-ares ------------------------------------------------------------------------------------ */

static void test_cares_parses_an_answer(void **state)
{
	/* 2.0.0.127.zen.example A 127.0.0.4, TTL 300; the owner is a compression pointer */
	static const uint8_t answer[] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, '2', 1,
		'0', 1, '0', 3, '1', '2', '7', 3, 'z', 'e', 'n', 7, 'e', 'x', 'a', 'm', 'p', 'l',
		'e', 0, 0, 1, 0, 1, 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x01, 0x2c, 0, 4, 127, 0, 0, 4};
	ares_dns_record_t *record = NULL;
	const ares_dns_rr_t *row;
	ares_channel_t *channel = NULL;

	(void)state;
	assert_int_equal(ares_library_init(ARES_LIB_INIT_ALL), ARES_SUCCESS);
	assert_int_equal(ares_dns_parse(answer, sizeof(answer), 0, &record), ARES_SUCCESS);
	assert_int_equal(ares_dns_record_rr_cnt(record, ARES_SECTION_ANSWER), 1);
	row = ares_dns_record_rr_get_const(record, ARES_SECTION_ANSWER, 0);
	assert_string_equal(ares_dns_rr_get_name(row), "2.0.0.127.zen.example");
	assert_int_equal(ares_dns_rr_get_ttl(row), 300);
	assert_memory_equal(ares_dns_rr_get_addr(row, ARES_RR_A_ADDR), "\x7f\0\0\x04", 4);
	ares_dns_record_destroy(record);
	assert_int_equal(
		ares_dns_parse(answer, sizeof(answer) - 1, 0, &record), ARES_EBADRESP);

	assert_int_equal(ares_init_options(&channel, NULL, 0), ARES_SUCCESS);
	assert_int_equal(ares_set_servers_csv(channel, "127.0.0.1:5353"), ARES_SUCCESS);
	ares_destroy(channel);
	ares_library_cleanup();
}

/* --- lwIP -------------------------------------------------------------------------------------- */

/* What the transport's adapter will answer; here time stands still and nothing is random. */
u32_t sys_now(void)
{
	return 1000;
}

uint32_t pst_lwip_random(void)
{
	return 4;
}

_Noreturn void pst_lwip_assert_failed(const char *text, const char *file, int line)
{
	_fail(file, line);
	(void)text;
	abort();
}

err_t pst_lwip_on_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t options_len,
	u16_t options_first_len, u8_t *options_second, struct pbuf *packet)
{
	(void)pcb, (void)header, (void)options_len, (void)options_first_len;
	(void)options_second, (void)packet;
	return ERR_OK;
}

u16_t pst_lwip_ooseq_max(struct tcp_pcb *pcb)
{
	(void)pcb;
	return TCP_OOSEQ_MAX_PBUFS;
}

u32_t pst_lwip_isn(
	const ip_addr_t *local, u16_t local_port, const ip_addr_t *remote, u16_t remote_port)
{
	(void)local, (void)local_port, (void)remote, (void)remote_port;
	return 1;
}

struct frame {
	uint8_t bytes[64];
	u16_t len;
};

static err_t frame_keep(struct netif *netif, struct pbuf *packet)
{
	struct frame *frame = netif->state;

	frame->len = pbuf_copy_partial(packet, frame->bytes, sizeof(frame->bytes), 0);
	return ERR_OK;
}

static err_t frame_open(struct netif *netif)
{
	netif->linkoutput = frame_keep;
	netif->output = etharp_output;
	netif->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(netif->hwaddr, "\x02\0\0\0\0\x01", ETH_HWADDR_LEN);
	netif->mtu = 1500;
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
	return ERR_OK;
}

static void test_lwip_asks_for_a_neighbour(void **state)
{
	struct frame frame = {.len = 0};
	struct netif netif;
	ip4_addr_t address, mask, gateway;
	ip_addr_t target;
	struct udp_pcb *pcb;
	struct pbuf *packet;

	(void)state;
	lwip_init();
	IP4_ADDR(&address, 192, 0, 2, 1);
	IP4_ADDR(&mask, 255, 255, 255, 0);
	IP4_ADDR(&gateway, 192, 0, 2, 254);
	assert_non_null(
		netif_add(&netif, &address, &mask, &gateway, &frame, frame_open, ethernet_input));
	netif_set_up(&netif);
	netif_set_link_up(&netif);

	IP_ADDR4(&target, 192, 0, 2, 7);
	pcb = udp_new();
	packet = pbuf_alloc(PBUF_TRANSPORT, 4, PBUF_RAM);
	assert_non_null(pcb);
	assert_non_null(packet);
	assert_int_equal(udp_sendto_if(pcb, packet, &target, 53, &netif), ERR_OK);
	pbuf_free(packet);
	udp_remove(pcb);

	/* an ARP request to everybody: who has 192.0.2.7? */
	assert_int_equal(frame.len, 42);
	assert_memory_equal(frame.bytes, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06", 14);
	assert_memory_equal(frame.bytes + 38, "\xc0\0\x02\x07", 4);
	netif_remove(&netif);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mbedtls_hash),
		cmocka_unit_test(test_mbedtls_randomness_and_time_are_ours),
		cmocka_unit_test(test_mbedtls_x25519),
		cmocka_unit_test(test_mbedtls_handshakes_replay),
		cmocka_unit_test(test_pcre2_match),
		cmocka_unit_test(test_cares_parses_an_answer),
		cmocka_unit_test(test_lwip_asks_for_a_neighbour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
