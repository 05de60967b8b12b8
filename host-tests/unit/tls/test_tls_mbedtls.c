/* test_tls_mbedtls.c - what only mbedTLS has: versions, ciphers, certificates, verification */
#include "unit/tls/pair.h"

#define P256 0x0017
#define P384 0x0018
#define X25519 0x001d

static struct world world;
static struct end client, server;

static const struct pst_tls_peer anybody;

static struct pst_tls_context *server_with(
	const struct pst_tls_pair *pairs, uint32_t count, const struct pst_tls_allow *allow)
{
	struct pst_tls_problem problem;
	struct pst_tls_context *context = NULL;

	assert_int_equal(pst_tls_mbedtls_server(pairs, count, allow, &problem, &context), 0);
	assert_null(problem.what);
	return context;
}

static struct pst_tls_context *client_with(
	struct pst_span bundle, const struct pst_tls_allow *allow)
{
	struct pst_tls_problem problem;
	struct pst_tls_context *context = NULL;

	assert_int_equal(pst_tls_mbedtls_client(bundle, allow, &problem, &context), 0);
	return context;
}

/* One connection between the two; the contexts end with it. */
static bool connect_both(struct pst_tls_context *clients, struct pst_tls_context *servers,
	const struct pst_tls_peer *peer)
{
	end_open(&client, clients, peer);
	end_open(&server, servers, NULL);
	pst_tls_context_drop(clients);
	pst_tls_context_drop(servers);
	return shake(&client, &server, UINT32_MAX);
}

static void disconnect(void)
{
	end_close(&client);
	end_close(&server);
}

/* Joins two PEM texts. */
static struct pst_span join(uint8_t *area, struct pst_span a, struct pst_span b)
{
	memcpy(area, a.at, a.len);
	if (b.len > 0)
		memcpy(area + a.len, b.at, b.len);
	return (struct pst_span){area, a.len + b.len};
}

/* --- what can be negotiated ----------------------------------------------------------------- */

struct cipher {
	uint16_t id;
	uint16_t version;
	bool rsa;
	const char *text;
};

static const struct cipher ciphers[] = {
	{0x1301, 0x0304, true, "TLS_AES_128_GCM_SHA256"},
	{0x1302, 0x0304, true, "TLS_AES_256_GCM_SHA384"},
	{0x1303, 0x0304, true, "TLS_CHACHA20_POLY1305_SHA256"},
	{0x1301, 0x0304, false, "TLS_AES_128_GCM_SHA256"},
	{0x1302, 0x0304, false, "TLS_AES_256_GCM_SHA384"},
	{0x1303, 0x0304, false, "TLS_CHACHA20_POLY1305_SHA256"},
	{0xc02b, 0x0303, false, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	{0xc02c, 0x0303, false, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
	{0xcca9, 0x0303, false, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
	{0xc02f, 0x0303, true, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
	{0xc030, 0x0303, true, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	{0xcca8, 0x0303, true, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
};

static void try_combination(
	const struct cipher *cipher, uint16_t group, struct pst_tls_pair pair, const char *key)
{
	const uint16_t cipher_list[] = {cipher->id, 0}, group_list[] = {group, P256, P384, 0};
	const struct pst_tls_allow allow = {
		.ciphers = cipher_list, .groups = group_list, .version_max = cipher->version};
	struct pst_tls_facts facts;

	world_open(&world, 1);
	if (!connect_both(
		    client_with(PST_SPAN_NONE, &allow), server_with(&pair, 1, NULL), &anybody)) {
		print_error("%s, group %04x, %s: %s\n", cipher->text, group, key,
			end_facts(&server).failure);
		fail();
	}
	facts = end_facts(&server);
	assert_string_equal(facts.version, cipher->version == 0x0304 ? "TLSv1.3" : "TLSv1.2");
	assert_string_equal(facts.cipher, cipher->text);
	assert_string_equal(facts.key, key);
	assert_string_equal(end_facts(&client).version, facts.version);
	assert_string_equal(end_facts(&client).cipher, facts.cipher);
	assert_true(passes(&client, &server, PST_SPAN("EHLO x\r\n")));
	assert_true(passes(&server, &client, PST_SPAN("250 y\r\n")));
	disconnect();
	world_close(&world);
}

static void every_combination_works(void **state)
{
	static const uint16_t groups[] = {X25519, P256, P384};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(ciphers); i++) {
		for (size_t g = 0; g < PST_COUNT(groups); g++) {
			if (ciphers[i].rsa) {
				try_combination(&ciphers[i], groups[g], PAIR(rsa), "RSA");
				continue;
			}
			try_combination(&ciphers[i], groups[g], PAIR(p256), "P-256");
			try_combination(&ciphers[i], groups[g], PAIR(p384), "P-384");
		}
	}
}

static void both_sides_want_the_best(void **state)
{
	struct pst_tls_pair pair = PAIR(p256);

	(void)state;
	world_open(&world, 1);
	assert_true(connect_both(
		client_with(PST_SPAN_NONE, NULL), server_with(&pair, 1, NULL), &anybody));
	assert_string_equal(end_facts(&server).version, "TLSv1.3");
	assert_string_equal(end_facts(&server).cipher, "TLS_AES_128_GCM_SHA256");
	disconnect();
	world_close(&world);
}

/* The client's first guess of a group is not what the server has: one more round. */
static void a_second_hello_works(void **state)
{
	static const uint16_t group_list[] = {P256, 0};
	const struct pst_tls_allow allow = {.groups = group_list};
	struct pst_tls_pair pair = PAIR(p256);
	struct pst_tls_peer peer = {.name = PST_SPAN("mx.example.org")};

	(void)state;
	world_open(&world, 1);
	assert_true(connect_both(
		client_with(PST_SPAN_NONE, NULL), server_with(&pair, 1, &allow), &peer));
	assert_string_equal(end_facts(&server).version, "TLSv1.3");
	check_span(end_facts(&server).name, "mx.example.org");
	assert_true(passes(&client, &server, PST_SPAN("EHLO x\r\n")));
	disconnect();
	world_close(&world);
}

static void nothing_in_common_is_an_error(void **state)
{
	static const uint16_t only_128[] = {0x1301, 0}, only_256[] = {0x1302, 0};
	const struct pst_tls_allow one = {.ciphers = only_128}, other = {.ciphers = only_256};
	struct pst_tls_pair pair = PAIR(p256);

	(void)state;
	world_open(&world, 1);
	assert_false(connect_both(
		client_with(PST_SPAN_NONE, &one), server_with(&pair, 1, &other), &anybody));
	assert_int_equal(server.need, -PST_E_PROTO);
	assert_string_equal(end_facts(&server).failure, "no cipher, group or signature in common");
	assert_string_equal(end_facts(&client).failure, "peer's alert: handshake_failure");
	disconnect();
	world_close(&world);
}

static void versions_apart_are_an_error(void **state)
{
	const struct pst_tls_allow old = {.version_max = 0x0303}, fresh = {.version_min = 0x0304};
	struct pst_tls_pair pair = PAIR(p256);

	(void)state;
	world_open(&world, 1);
	assert_false(connect_both(
		client_with(PST_SPAN_NONE, &old), server_with(&pair, 1, &fresh), &anybody));
	assert_int_equal(server.need, -PST_E_PROTO);
	assert_int_equal(client.need, -PST_E_PROTO);
	assert_string_equal(end_facts(&client).failure, "peer's alert: protocol_version");
	disconnect();
	world_close(&world);
}

/* --- strangers ------------------------------------------------------------------------------ */

struct stranger {
	const char *what;
	struct pst_span bytes;
	bool alert; /* it is answered with protocol_version */
};

static const struct stranger strangers[] = {
	{"TLS 1.1",
		PST_SPAN("\x16\x03\x01\x00\x37\x01\x00\x00\x33\x03\x02"
			 "0123456789012345678901234567890\x31"
			 "\x00\x00\x06\xc0\x13\x00\x2f\x00\xff\x01\x00\x00\x04\x00\x17\x00\x00"),
		true},
	{"SSL 3.0",
		PST_SPAN("\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00"
			 "0123456789012345678901234567890\x31"
			 "\x00\x00\x02\x00\x2f\x01\x00"),
		true},
	{"SSL 2.0",
		PST_SPAN("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80"
			 "0123456789012345678901234567890"),
		false},
	{"HTTP", PST_SPAN("GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\n"), false},
	{"a record of 64 KiB", PST_SPAN("\x16\x03\x01\xff\xff\x01\x00\xff\xfb\x03\x03"), false},
	{"an alert", PST_SPAN("\x15\x03\x03\x00\x02\x02\x28"), false},
	{"data", PST_SPAN("\x17\x03\x03\x00\x05hello"), false},
};

static void strangers_are_refused(void **state)
{
	struct pst_tls_pair pair = PAIR(p256);

	(void)state;
	for (size_t i = 0; i < PST_COUNT(strangers); i++) {
		struct pst_tls_context *context;

		world_open(&world, 1);
		context = server_with(&pair, 1, NULL);
		end_open(&server, context, NULL);
		pst_tls_context_drop(context);
		assert_int_equal(pst_buf_put(&server.in, strangers[i].bytes), 0);
		end_work(&server);
		assert_int_equal(server.need, -PST_E_PROTO);
		if (strangers[i].alert) {
			struct pst_span out = pst_buf_span(&server.out);

			assert_int_equal(out.len, 7);
			assert_int_equal(out.at[0], 21);
			assert_int_equal(out.at[6], 70);
		}
		end_close(&server);
		world_close(&world);
	}
}

/* Adds an extension to the ClientHello that the client is about to send. */
static void add_extension(struct pst_span extension)
{
	uint8_t *hello = client.out.area + client.out.head;
	uint32_t at = 5 + 4 + 34, len;

	at += 1u + hello[at];
	at += 2u + ((uint32_t)hello[at] << 8 | hello[at + 1]);
	at += 1u + hello[at];
	len = ((uint32_t)hello[at] << 8 | hello[at + 1]) + extension.len;
	hello[at] = (uint8_t)(len >> 8);
	hello[at + 1] = (uint8_t)len;
	assert_int_equal(pst_buf_put(&client.out, extension), 0);
	len = client.out.len;
	hello[3] = (uint8_t)((len - 5) >> 8);
	hello[4] = (uint8_t)(len - 5);
	hello[7] = (uint8_t)((len - 9) >> 8);
	hello[8] = (uint8_t)(len - 9);
}

static uint32_t u16_at(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void add_u16(uint8_t *at, uint32_t more)
{
	uint32_t value = u16_at(at) + more;

	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Where the extension begins in a hello of a client, or of a server. */
static uint32_t find_extension(struct pst_span hello, bool of_client, uint32_t type)
{
	uint32_t at = 5 + 4 + 34;

	at += 1u + hello.at[at];
	at += of_client ? 2u + u16_at(hello.at + at) : 2u;
	at += of_client ? 1u + hello.at[at] : 1u;
	for (at += 2; at + 4 <= hello.len && u16_at(hello.at + at) != type;)
		at += 4 + u16_at(hello.at + at + 2);
	assert_true(at + 4 <= hello.len);
	return at;
}

/* A client that sends several key shares, the dear one first, as GnuTLS does: ours decides. */
static void the_servers_group_wins(void **state)
{
	static const uint16_t group_list[] = {P256, X25519, P384, 0};
	static const uint8_t share[36] = {0x00, 0x1d, 0x00, 0x20, 9};
	const struct pst_tls_allow allow = {.version_min = 0x0304, .groups = group_list};
	struct pst_tls_pair pair = PAIR(p256);
	struct pst_tls_context *clients, *servers;
	struct pst_span out;
	uint32_t at, len;
	uint8_t *hello;

	(void)state;
	world_open(&world, 1);
	clients = client_with(PST_SPAN_NONE, &allow);
	servers = server_with(&pair, 1, NULL);
	end_open(&client, clients, &anybody);
	end_open(&server, servers, NULL);
	pst_tls_context_drop(clients);
	pst_tls_context_drop(servers);
	end_work(&client);
	hello = client.out.area + client.out.head;
	at = find_extension(pst_buf_span(&client.out), true, 51);
	len = at + 4 + u16_at(hello + at + 2);
	add_u16(hello + at + 2, sizeof(share));
	add_u16(hello + at + 4, sizeof(share));
	assert_int_equal(u16_at(hello + at + 6), P256);
	memmove(hello + len + sizeof(share), hello + len, client.out.len - len);
	memcpy(hello + len, share, sizeof(share));
	pst_buf_commit(&client.out, sizeof(share));
	add_u16(hello + 3, sizeof(share));
	add_u16(hello + 7, sizeof(share));
	at = 5 + 4 + 34;
	at += 1u + hello[at];
	at += 2u + u16_at(hello + at);
	at += 1u + hello[at];
	add_u16(hello + at, sizeof(share));
	carry(&client, &server, UINT32_MAX);
	end_work(&server);
	assert_int_equal(server.need, PST_TLS_INPUT);
	out = pst_buf_span(&server.out);
	assert_int_equal(out.at[5], 2); /* ServerHello */
	at = find_extension(out, false, 51);
	assert_int_equal(u16_at(out.at + at + 4), X25519);
	disconnect();
	world_close(&world);
}

static void try_alpn(struct pst_span extension, uint16_t version, bool good)
{
	const struct pst_tls_allow allow = {.version_min = version, .version_max = version};
	struct pst_tls_pair pair = PAIR(p256);
	struct pst_tls_context *clients, *servers;

	world_open(&world, 1);
	clients = client_with(PST_SPAN_NONE, &allow);
	servers = server_with(&pair, 1, NULL);
	end_open(&client, clients, &anybody);
	end_open(&server, servers, NULL);
	pst_tls_context_drop(clients);
	pst_tls_context_drop(servers);
	end_work(&client);
	add_extension(extension);
	carry(&client, &server, UINT32_MAX);
	end_work(&server);
	assert_int_equal(server.need, good ? PST_TLS_INPUT : -PST_E_PROTO);
	assert_int_equal(pst_buf_span(&server.out).at[0], good ? 22 : 21);
	if (!good) {
		assert_int_equal(pst_buf_span(&server.out).at[6], 120);
		assert_string_equal(
			end_facts(&server).failure, "the client asks for another protocol (ALPN)");
	}
	disconnect();
	world_close(&world);
}

static void another_protocol_is_refused(void **state)
{
	static const uint16_t versions[] = {0x0303, 0x0304};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(versions); i++) {
		try_alpn(
			PST_SPAN("\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"), versions[i], false);
		try_alpn(PST_SPAN("\x00\x10\x00\x07\x00\x05\x04imap"), versions[i], false);
		try_alpn(PST_SPAN("\x00\x10\x00\x07\x00\x05\x04smtp"), versions[i], true);
		try_alpn(PST_SPAN("\x00\x10\x00\x0a\x00\x08\x02h2\x04smtp"), versions[i], true);
	}
}

/* --- the choice of a certificate ------------------------------------------------------------ */

struct choice {
	const char *name;
	uint16_t cipher; /* only this one, 0: all */
	const char *key;
};

static const struct choice choices[] = {
	{"", 0, "P-256"},
	{"mx.example.org", 0, "P-256"},
	{"MX.Example.ORG", 0, "P-256"},
	{"mx.example.org", 0xc02f, "RSA"},
	{"", 0xc030, "RSA"},
	{"mx.example.org", 0xc02b, "P-256"},
	{"mx.example.net", 0, "P-384"},
	{"mx.example.net", 0xc02b, "P-384"},
	/* rather another name than nothing */
	{"mx.example.net", 0xc02f, "RSA"},
	{"a.wild.example", 0, "P-384"},
	{"a.b.wild.example", 0, "P-256"},
	{"wild.example", 0, "P-256"},
	{".wild.example", 0, "P-256"},
	{"nobody.example.com", 0, "P-256"},
};

static void the_certificate_fits_the_client(void **state)
{
	const struct pst_tls_pair pairs[] = {PAIR(rsa), PAIR(p384), PAIR(p256)};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(choices); i++) {
		const uint16_t list[] = {choices[i].cipher, 0};
		const struct pst_tls_allow allow = {.ciphers = list, .version_max = 0x0303};
		struct pst_tls_peer peer = {.name = pst_span_text(choices[i].name)};

		world_open(&world, 1);
		assert_true(
			connect_both(client_with(PST_SPAN_NONE, choices[i].cipher ? &allow : NULL),
				server_with(pairs, PST_COUNT(pairs), NULL), &peer));
		assert_string_equal(end_facts(&server).key, choices[i].key);
		check_span(end_facts(&server).name, choices[i].name);
		disconnect();
		world_close(&world);
	}
}

static void a_client_that_can_use_none_is_refused(void **state)
{
	static const uint16_t list[] = {0xc02f, 0};
	const struct pst_tls_allow allow = {.ciphers = list, .version_max = 0x0303};
	struct pst_tls_pair pair = PAIR(p256);

	(void)state;
	world_open(&world, 1);
	assert_false(connect_both(
		client_with(PST_SPAN_NONE, &allow), server_with(&pair, 1, NULL), &anybody));
	assert_string_equal(end_facts(&client).failure, "peer's alert: handshake_failure");
	disconnect();
	world_close(&world);
}

/* --- verification --------------------------------------------------------------------------- */

struct verification {
	const char *what;
	struct pst_span name;
	enum pst_tls_verify verify;
	int pair;  /* of the table below */
	int trust; /* 0: none, 1: our CA, 2: another */
	uint64_t wall_s;
	const char *failure; /* the client's; NULL: it works */
	const char *doubt;   /* NULL: verified, or not looked at */
	bool verified;
};

enum { GOOD, RSA_GOOD, EXPIRED, CHAINED, UNCHAINED, CN_ONLY };

#define REFUSED "the certificate was refused"
#define YEAR_2025 UINT64_C(1750000000)
#define YEAR_2037 UINT64_C(2120000000)
#define YEAR_1970 UINT64_C(100)
#define MX PST_SPAN("mx.example.org")

static const struct verification verifications[] = {
	{"good", MX, PST_TLS_VERIFY_CA, GOOD, 1, WALL_S, NULL, NULL, true},
	{"good, RSA", MX, PST_TLS_VERIFY_CA, RSA_GOOD, 1, WALL_S, NULL, NULL, true},
	{"good, chain", PST_SPAN("mx.example.net"), PST_TLS_VERIFY_CA, CHAINED, 1, WALL_S, NULL,
		NULL, true},
	{"wildcard", PST_SPAN("x.wild.example"), PST_TLS_VERIFY_CA, CHAINED, 1, WALL_S, NULL, NULL,
		true},
	{"common name", PST_SPAN("old.example.org"), PST_TLS_VERIFY_CA, CN_ONLY, 1, WALL_S, NULL,
		NULL, true},
	{"chain is missing", PST_SPAN("mx.example.net"), PST_TLS_VERIFY_CA, UNCHAINED, 1, WALL_S,
		REFUSED, "nobody we trust has signed it", false},
	{"another name", PST_SPAN("mail.example.org"), PST_TLS_VERIFY_CA, GOOD, 1, WALL_S, REFUSED,
		"it is made out to another name", false},
	{"another CA", MX, PST_TLS_VERIFY_CA, GOOD, 2, WALL_S, REFUSED,
		"nobody we trust has signed it", false},
	{"expired", MX, PST_TLS_VERIFY_CA, EXPIRED, 1, WALL_S, REFUSED, "it has expired", false},
	{"all expired", MX, PST_TLS_VERIFY_CA, GOOD, 1, YEAR_2037, REFUSED, "it has expired",
		false},
	{"no clock yet", MX, PST_TLS_VERIFY_CA, EXPIRED, 1, YEAR_1970, NULL, NULL, true},
	{"no clock yet", MX, PST_TLS_VERIFY_CA, GOOD, 1, YEAR_2025, NULL, NULL, true},
	{"look: good", MX, PST_TLS_VERIFY_LOOK, GOOD, 1, WALL_S, NULL, NULL, true},
	{"look: no CA", MX, PST_TLS_VERIFY_LOOK, GOOD, 0, WALL_S, NULL,
		"nobody we trust has signed it", false},
	{"look: name", PST_SPAN("x.example.org"), PST_TLS_VERIFY_LOOK, GOOD, 1, WALL_S, NULL,
		"it is made out to another name", false},
	{"look: no name", PST_SPAN_NONE, PST_TLS_VERIFY_LOOK, GOOD, 1, WALL_S, NULL,
		"there is no name to compare it with", false},
	{"look: expired", MX, PST_TLS_VERIFY_LOOK, EXPIRED, 1, WALL_S, NULL, "it has expired",
		false},
	{"none", MX, PST_TLS_VERIFY_NONE, EXPIRED, 2, WALL_S, NULL, NULL, false},
};

static void try_verification(const struct verification *row, uint16_t version)
{
	static uint8_t chain[8192];
	const struct pst_tls_allow allow = {.version_min = version, .version_max = version};
	struct pst_tls_pair pairs[] = {[GOOD] = PAIR(p256),
		[RSA_GOOD] = PAIR(rsa),
		[EXPIRED] = PAIR(expired),
		[CHAINED] = PAIR(p384),
		[UNCHAINED] = PAIR(p384),
		[CN_ONLY] = PAIR(cn)};
	struct pst_span trust = row->trust == 0	  ? PST_SPAN_NONE
				: row->trust == 1 ? PEM(ca_certificate)
						  : PEM(other_ca_certificate);
	struct pst_tls_peer peer = {.name = row->name, .verify = row->verify};
	struct pst_tls_facts facts;
	bool done;

	pairs[CHAINED].certificate = join(chain, PEM(p384_certificate), PEM(middle_certificate));
	world_open(&world, 1);
	world.wall_s = row->wall_s;
	done = connect_both(
		client_with(trust, &allow), server_with(&pairs[row->pair], 1, NULL), &peer);
	facts = end_facts(&client);
	if (done != !row->failure)
		print_error("%s: %s\n", row->what, facts.failure ? facts.failure : "works");
	assert_int_equal(done, !row->failure);
	if (row->failure) {
		assert_string_equal(facts.failure, row->failure);
		assert_int_equal(server.need, -PST_E_PROTO);
	} else {
		assert_true(passes(&client, &server, PST_SPAN("EHLO x\r\n")));
	}
	assert_int_equal(facts.verified, row->verified);
	if (row->doubt)
		assert_string_equal(facts.doubt, row->doubt);
	else
		assert_null(facts.doubt);
	assert_int_equal(facts.has_peer, row->verify != PST_TLS_VERIFY_NONE);
	if (facts.has_peer && row->pair == GOOD) {
		assert_memory_equal(facts.certificate_sha256, sha256_p256_certificate, 32);
		assert_memory_equal(facts.key_sha256, sha256_p256_key, 32);
	}
	disconnect();
	world_close(&world);
}

static void certificates_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(verifications); i++) {
		try_verification(&verifications[i], 0x0304);
		try_verification(&verifications[i], 0x0303);
	}
}

static void try_pins(const uint8_t (*pins)[32], uint32_t count, struct pst_tls_pair pair,
	uint64_t wall_s, bool good)
{
	static const uint16_t versions[] = {0x0303, 0x0304};

	for (size_t i = 0; i < PST_COUNT(versions); i++) {
		const struct pst_tls_allow allow = {
			.version_min = versions[i], .version_max = versions[i]};
		struct pst_tls_peer peer = {.name = PST_SPAN("whatever.example"),
			.verify = PST_TLS_VERIFY_PIN,
			.pins = pins,
			.pin_count = count};
		struct pst_tls_facts facts;

		world_open(&world, 1);
		world.wall_s = wall_s;
		assert_int_equal(connect_both(client_with(PST_SPAN_NONE, &allow),
					 server_with(&pair, 1, NULL), &peer),
			good);
		facts = end_facts(&client);
		assert_int_equal(facts.verified, good);
		assert_true(facts.has_peer);
		if (good) {
			assert_null(facts.doubt);
			assert_true(passes(&client, &server, PST_SPAN("EHLO x\r\n")));
		} else {
			assert_string_equal(facts.failure, REFUSED);
			assert_string_equal(
				facts.doubt, "its fingerprint is not one of those expected");
			assert_int_equal(server.need, -PST_E_PROTO);
		}
		disconnect();
		world_close(&world);
	}
}

static void fingerprints_are_pins(void **state)
{
	uint8_t pins[PST_TLS_PINS_MAX][32] = {{0}};

	(void)state;
	memcpy(pins[0], sha256_p256_certificate, 32);
	try_pins(pins, 1, PAIR(p256), WALL_S, true);
	try_pins(pins, 1, PAIR(p256), YEAR_2037, true);
	try_pins(pins, 1, PAIR(rsa), WALL_S, false);
	try_pins(pins, 1, PAIR(expired), WALL_S, false);
	memcpy(pins[3], sha256_rsa_key, 32);
	try_pins(pins, 4, PAIR(rsa), WALL_S, true);
	try_pins(pins, 3, PAIR(rsa), WALL_S, false);
	memcpy(pins[0], sha256_p256_key, 32);
	try_pins(pins, 1, PAIR(p256), WALL_S, true);
	pins[0][31] ^= 1;
	try_pins(pins, 1, PAIR(p256), WALL_S, false);
}

/* Of the chain only the server's own certificate counts, whoever has signed it. */
static void a_pin_is_of_the_servers_own_certificate(void **state)
{
	static uint8_t chain[8192];
	struct pst_tls_certificate_facts facts;
	struct pst_tls_context *context;
	struct pst_tls_pair pair = PAIR(rsa), signer = PAIR(p256);
	uint8_t pins[1][32];

	(void)state;
	pair.certificate = join(chain, PEM(rsa_certificate), PEM(p256_certificate));
	memcpy(pins[0], sha256_p256_certificate, 32);
	try_pins(pins, 1, pair, WALL_S, false);
	/* With its signer behind it: good by its own print, not by the signer's. */
	pair = (struct pst_tls_pair){
		join(chain, PEM(p384_certificate), PEM(middle_certificate)), PEM(p384_key)};
	signer = PAIR(middle);
	world_open(&world, 1);
	context = server_with(&pair, 1, NULL);
	pst_tls_mbedtls_describe(context, 0, PST_SPAN_NONE, &facts);
	pst_tls_context_drop(context);
	world_close(&world);
	memcpy(pins[0], facts.sha256, 32);
	try_pins(pins, 1, pair, WALL_S, true);
	world_open(&world, 1);
	context = server_with(&signer, 1, NULL);
	pst_tls_mbedtls_describe(context, 0, PST_SPAN_NONE, &facts);
	pst_tls_context_drop(context);
	world_close(&world);
	memcpy(pins[0], facts.sha256, 32);
	try_pins(pins, 1, pair, WALL_S, false);
}

static void what_cannot_be_expected_is_refused(void **state)
{
	static const uint8_t pins[PST_TLS_PINS_MAX + 1][32];
	static const uint8_t long_name[256] = {'x'};
	const struct pst_tls_peer peers[] = {
		{.name = MX, .verify = PST_TLS_VERIFY_CA},
		{.name = MX, .verify = PST_TLS_VERIFY_PIN},
		{.verify = PST_TLS_VERIFY_PIN, .pins = pins, .pin_count = PST_TLS_PINS_MAX + 1},
		{.name = {long_name, 256}},
		{.name = PST_SPAN("mx.example.org\0.evil.example")},
	};
	const struct pst_tls_peer nameless = {.verify = PST_TLS_VERIFY_CA};
	struct pst_tls_context *without, *with;
	struct pst_tls *tls = NULL;

	(void)state;
	world_open(&world, 1);
	without = client_with(PST_SPAN_NONE, NULL);
	with = client_with(PEM(ca_certificate), NULL);
	for (size_t i = 0; i < PST_COUNT(peers); i++)
		assert_int_equal(pst_tls_open(without, &peers[i], &tls), -PST_E_RANGE);
	assert_int_equal(pst_tls_open(with, &nameless, &tls), -PST_E_RANGE);
	assert_null(tls);
	pst_tls_context_drop(without);
	pst_tls_context_drop(with);
	world_close(&world);
}

/* --- contexts ------------------------------------------------------------------------------- */

struct trouble {
	struct pst_tls_pair pair;
	const char *what;
};

static void a_bad_pair_is_named(void **state)
{
	static uint8_t chain[40000], broken[4096];
	const struct trouble troubles[] = {
		{{PST_SPAN("no PEM"), PEM(p256_key)}, "no certificate in PEM form is in it"},
		{{PST_SPAN_NONE, PEM(p256_key)}, "no certificate in PEM form is in it"},
		{{PEM(p256_certificate), PEM(p256_certificate)},
			"no private key in PEM form is in it"},
		{{PEM(p256_certificate), PEM(locked_key)},
			"the key is encrypted; a server needs it without a passphrase"},
		{{PEM(p256_certificate), PEM(p384_key)},
			"the key does not belong to the certificate"},
		{{PEM(p256_certificate), PEM(cn_key)},
			"the key does not belong to the certificate"},
		{{PEM(p256_certificate), PEM(rsa_key)},
			"the key does not belong to the certificate"},
		{{PEM(rsa_certificate), PEM(p256_key)},
			"the key does not belong to the certificate"},
		{PAIR(client_only), "the certificate is not meant for servers (key usage)"},
		{PAIR(short), "the RSA key is shorter than 2048 bits"},
		{PAIR(p521), "no certificate in PEM form is in it"},
		{{{chain, 0}, PEM(rsa_key)}, "the certificate chain is larger than 8128 bytes"},
		{{{broken, 0}, PEM(p256_key)}, "a certificate of the chain cannot be read"},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(troubles); i++) {
		struct pst_tls_pair pairs[2] = {PAIR(p256), troubles[i].pair};
		struct pst_tls_context *context = NULL;
		struct pst_tls_problem problem;

		if (pairs[1].certificate.at == chain) {
			pairs[1].certificate = join(chain, PEM(rsa_certificate), PST_SPAN_NONE);
			for (int n = 0; n < 16; n++)
				pairs[1].certificate =
					join(chain, pairs[1].certificate, PEM(middle_certificate));
		}
		if (pairs[1].certificate.at == broken) {
			pairs[1].certificate =
				join(broken, PEM(p256_certificate), PEM(ca_certificate));
			/* inside the DER of the second, whose PEM stays whole */
			memset(broken + sizeof(pem_p256_certificate) - 1 + 80, 'A', 12);
		}
		world_open(&world, 1);
		assert_int_equal(
			pst_tls_mbedtls_server(pairs, 2, NULL, &problem, &context), -PST_E_SYNTAX);
		assert_null(context);
		assert_int_equal(problem.pair_index, 1);
		assert_string_equal(problem.what, troubles[i].what);
		world_close(&world);
	}
}

static void a_long_chain_goes_through(void **state)
{
	static uint8_t chain[20000];
	static const uint16_t versions[] = {0x0303, 0x0304};
	struct pst_tls_pair pair = PAIR(rsa);
	uint8_t got[16];

	(void)state;
	pair.certificate = join(chain, PEM(rsa_certificate), PST_SPAN_NONE);
	for (int n = 0; n < 12; n++)
		pair.certificate = join(chain, pair.certificate, PEM(middle_certificate));
	for (size_t i = 0; i < PST_COUNT(versions); i++) {
		const struct pst_tls_allow allow = {
			.version_min = versions[i], .version_max = versions[i]};

		world_open(&world, 1);
		assert_true(connect_both(
			client_with(PST_SPAN_NONE, &allow), server_with(&pair, 1, NULL), &anybody));
		assert_true(server.sent_count > 6500);
		assert_true(end_facts(&client).peak_bytes <= PST_TLS_HANDSHAKE_BYTES);
		assert_true(end_facts(&server).peak_bytes <= PST_TLS_HANDSHAKE_BYTES);
		/* The client has looked at it and does not keep it. */
		assert_int_equal(end_read(&client, got, sizeof(got)), 0);
		assert_true(end_facts(&client).used_bytes <= PST_TLS_IDLE_BYTES);
		disconnect();
		world_close(&world);
	}
}

static void key_and_certificate_may_share_a_text(void **state)
{
	static uint8_t both[4096];
	struct pst_tls_pair pair;

	(void)state;
	pair.certificate = join(both, PEM(rsa_key), PEM(rsa_certificate));
	pair.key = pair.certificate;
	world_open(&world, 1);
	assert_true(connect_both(
		client_with(PST_SPAN_NONE, NULL), server_with(&pair, 1, NULL), &anybody));
	disconnect();
	world_close(&world);
}

static void a_bundle_may_hold_more_than_we_understand(void **state)
{
	static uint8_t bundle[8192];
	struct pst_tls_context *context = NULL;
	struct pst_tls_problem problem;
	struct pst_span some;

	(void)state;
	some = join(bundle, PEM(p521_certificate), PEM(ca_certificate));
	world_open(&world, 1);
	context = client_with(some, NULL);
	pst_tls_context_drop(context);
	context = NULL;
	assert_int_equal(pst_tls_mbedtls_client(PEM(p521_certificate), NULL, &problem, &context),
		-PST_E_SYNTAX);
	assert_string_equal(problem.what, "no certificate in PEM form is in it");
	assert_int_equal(
		pst_tls_mbedtls_client(PST_SPAN("x"), NULL, &problem, &context), -PST_E_SYNTAX);
	assert_null(context);
	world_close(&world);
}

static void certificates_are_described(void **state)
{
	const struct pst_tls_pair pairs[] = {PAIR(p256), PAIR(rsa), PAIR(p384), PAIR(expired)};
	struct pst_tls_certificate_facts facts;
	struct pst_tls_context *context;

	(void)state;
	world_open(&world, 1);
	context = server_with(pairs, PST_COUNT(pairs), NULL);
	pst_tls_mbedtls_describe(context, 0, MX, &facts);
	assert_string_equal(facts.key, "P-256");
	assert_true(facts.covers);
	assert_false(facts.self_signed);
	assert_int_equal(facts.not_after_s, 2082758400); /* 2036-01-01 */
	assert_memory_equal(facts.sha256, sha256_p256_certificate, 32);
	pst_tls_mbedtls_describe(context, 1, PST_SPAN("mx.example.com"), &facts);
	assert_string_equal(facts.key, "RSA");
	assert_false(facts.covers);
	pst_tls_mbedtls_describe(context, 2, PST_SPAN_NONE, &facts);
	assert_false(facts.covers);
	pst_tls_mbedtls_describe(context, 3, MX, &facts);
	assert_int_equal(facts.not_after_s, 1769904000); /* 2026-02-01 */
	pst_tls_context_drop(context);
	world_close(&world);
}

static void our_own_certificate_serves(void **state)
{
	static uint8_t key_area[PST_CRYPTO_SELF_SIGNED_KEY_BYTES];
	static uint8_t certificate_area[PST_CRYPTO_SELF_SIGNED_CERTIFICATE_BYTES];
	struct pst_buf key, certificate;
	struct pst_tls_certificate_facts facts;
	struct pst_tls_context *context;
	struct pst_tls_pair pair;
	struct pst_tls_peer peer = {
		.name = PST_SPAN("box.example.org"), .verify = PST_TLS_VERIFY_CA};

	(void)state;
	world_open(&world, 1);
	pst_buf_init(&key, key_area, sizeof(key_area));
	pst_buf_init(&certificate, certificate_area, sizeof(certificate_area));
	assert_int_equal(pst_crypto_mbedtls_self_signed(peer.name, &key, &certificate), 0);
	pair = (struct pst_tls_pair){pst_buf_span(&certificate), pst_buf_span(&key)};
	context = server_with(&pair, 1, NULL);
	pst_tls_mbedtls_describe(context, 0, peer.name, &facts);
	assert_string_equal(facts.key, "P-256");
	assert_true(facts.covers);
	assert_true(facts.self_signed);
	/* 2036-11-21T21:00:00Z */
	assert_int_equal(facts.not_after_s, 2110914000);
	assert_true(connect_both(client_with(pair.certificate, NULL), context, &peer));
	assert_true(end_facts(&client).verified);
	disconnect();
	world_close(&world);
}

/* What the library keeps with a key from one signature to the next is not spoiled by a signature
 * that failed: the next client is served. */
static void a_key_survives_want_of_memory(void **state)
{
	struct pst_tls_pair pair = PAIR(rsa);
	struct pst_tls_context *clients, *servers;
	uint64_t n = 1;

	(void)state;
	world_open(&world, 1);
	clients = client_with(PST_SPAN_NONE, NULL);
	servers = server_with(&pair, 1, NULL);
	for (bool enough = false; !enough; n += n < 60 ? 1 : 5) {
		end_open(&client, clients, &anybody);
		end_open(&server, servers, NULL);
		end_work(&client);
		carry(&client, &server, UINT32_MAX);
		pst_alloc_fail_at(&world.alloc, n, false);
		end_work(&server);
		enough = world.alloc.failed_count == 0;
		/* The library does without some. */
		assert_true(server.need == PST_TLS_INPUT ||
			    (!enough && server.need == -PST_E_NOMEM));
		pst_alloc_fail_at(&world.alloc, 0, false);
		world.alloc.failed_count = 0;
		disconnect();
		end_open(&client, clients, &anybody);
		end_open(&server, servers, NULL);
		assert_true(shake(&client, &server, UINT32_MAX));
		disconnect();
	}
	assert_true(n > 100);
	pst_tls_context_drop(clients);
	pst_tls_context_drop(servers);
	world_close(&world);
}

/* --- replay --------------------------------------------------------------------------------- */

static uint64_t run_seeded(uint64_t seed, uint16_t version)
{
	const struct pst_tls_allow allow = {.version_min = version, .version_max = version};
	const struct pst_tls_pair pairs[] = {PAIR(p256), PAIR(rsa)};
	uint64_t sum;

	world_open(&world, seed);
	assert_true(connect_both(
		client_with(PST_SPAN_NONE, &allow), server_with(pairs, 2, NULL), &anybody));
	assert_true(passes(&client, &server, PST_SPAN("EHLO x\r\n")));
	assert_true(passes(&server, &client, PST_SPAN("250 y\r\n")));
	sum = client.sent_sum ^ server.sent_sum * 3;
	disconnect();
	world_close(&world);
	return sum;
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
	static const uint16_t versions[] = {0x0303, 0x0304};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(versions); i++) {
		uint64_t first = run_seeded(42, versions[i]);

		assert_int_equal(run_seeded(42, versions[i]), first);
		assert_int_not_equal(run_seeded(43, versions[i]), first);
	}
}

/* --- many ----------------------------------------------------------------------------------- */

#define MANY 40

static void many_sessions_stand_side_by_side(void **state)
{
	static struct end clients[MANY], servers[MANY];
	struct pst_tls_pair pair = PAIR(p256);
	struct pst_tls_context *from, *to;
	uint8_t got[16];

	(void)state;
	world_open(&world, 1);
	from = client_with(PST_SPAN_NONE, NULL);
	to = server_with(&pair, 1, NULL);
	for (int i = 0; i < MANY; i++) {
		end_open(&clients[i], from, &anybody);
		end_open(&servers[i], to, NULL);
	}
	for (int i = 0; i < MANY; i++)
		assert_true(shake(&clients[i], &servers[i], UINT32_MAX));
	for (int i = 0; i < MANY; i++) {
		assert_true(passes(&clients[i], &servers[i], PST_SPAN("NOOP\r\n")));
		assert_int_equal(end_read(&clients[i], got, sizeof(got)), 0);
		assert_int_equal(end_read(&servers[i], got, sizeof(got)), 0);
		/* The table of keys that grew for all is nobody's. */
		assert_true(end_facts(&servers[i]).used_bytes <= PST_TLS_IDLE_BYTES);
	}
	for (int i = 0; i < MANY; i++) {
		end_close(&clients[(i * 7) % MANY]);
		end_close(&servers[(i * 11) % MANY]);
	}
	pst_tls_context_drop(from);
	pst_tls_context_drop(to);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_works),
		cmocka_unit_test(both_sides_want_the_best),
		cmocka_unit_test(a_second_hello_works),
		cmocka_unit_test(nothing_in_common_is_an_error),
		cmocka_unit_test(versions_apart_are_an_error),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(another_protocol_is_refused),
		cmocka_unit_test(the_servers_group_wins),
		cmocka_unit_test(the_certificate_fits_the_client),
		cmocka_unit_test(a_client_that_can_use_none_is_refused),
		cmocka_unit_test(certificates_are_judged),
		cmocka_unit_test(fingerprints_are_pins),
		cmocka_unit_test(a_pin_is_of_the_servers_own_certificate),
		cmocka_unit_test(what_cannot_be_expected_is_refused),
		cmocka_unit_test(a_bad_pair_is_named),
		cmocka_unit_test(a_long_chain_goes_through),
		cmocka_unit_test(key_and_certificate_may_share_a_text),
		cmocka_unit_test(a_bundle_may_hold_more_than_we_understand),
		cmocka_unit_test(certificates_are_described),
		cmocka_unit_test(our_own_certificate_serves),
		cmocka_unit_test(a_key_survives_want_of_memory),
		cmocka_unit_test(the_same_seed_gives_the_same_bytes),
		cmocka_unit_test(many_sessions_stand_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
