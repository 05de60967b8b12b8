/* test_offers.c - internal servers that offer whatever chance says: what is taken is delivered as sent
 *
 * Each seed makes one or two routes, each with a server of a random EHLO list, which may offer another
 * list by the time the mail comes. A client that believes our own EHLO sends a message with as many of
 * the offered parameters as chance says, by DATA or in chunks. If it is answered 250, the server has
 * the envelope with every parameter, and the message byte for byte; if not, it is for a reason that the
 * test knows, and nobody has it.
 * POSTERN_SEED=N plays that seed alone, POSTERN_SEEDS=N so many (an AddressSanitizer build: fewer).
 */
#include "support/check.h"

#include "smtp/caps.h"
#include "smtp/reply.h"
#include "support/inside.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLOW
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SLOW)
#define SEED_COUNT 1000
#else
#define SEED_COUNT 10000
#endif

#define SERVERS_MAX 2
#define RCPTS_MAX 3
#define WARM_MS 10000 /* the first look at the servers is over, and its connections are gone */

struct scene {
	struct pst_stage stage;
	struct pst_rng_seed rng;
	struct pst_inside *servers[SERVERS_MAX];
	struct pst_smtp_caps caps[SERVERS_MAX]; /* when the mail comes */
	uint32_t server_count, target;
	struct pst_peer *client;
	struct pst_smtp_caps offers; /* ours */
	bool changed; /* the target's list is not what it was at the first look */
	bool utf8, eight_bit, dsn;
	uint64_t size_declared;
	struct pst_bytes envelope; /* as the target must have it */
	struct pst_bytes content, wire;
};

static struct {
	uint32_t taken, carried[13], chunked, changed_451, too_big;
} seen;

static uint32_t below(struct scene *scene, uint32_t bound)
{
	return pst_rng_seed_below(&scene->rng, bound);
}

static bool chance(struct scene *scene, uint32_t of)
{
	return below(scene, of) == 0;
}

/* --- the internal side ------------------------------------------------------------------------ */

static void put_list(struct scene *scene, struct pst_bytes *reply, struct pst_smtp_caps *caps)
{
	static const char *const keywords[] = {
		"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN",
		"REQUIRETLS", "LIMITS MAILMAX=5", "AUTH PLAIN", "BINARYMIME", "HELP", "SIZE",
		"SIZE 0", "SIZE 1500", "SIZE 90000000",
	};

	*caps = (struct pst_smtp_caps){0};
	pst_bytes_print(reply, "250-in.example\r\n");
	for (uint32_t i = 0; i < PST_COUNT(keywords); i++) {
		bool is_size = strncmp(keywords[i], "SIZE", 4) == 0;

		if ((is_size && (caps->set & PST_SMTP_CAP_SIZE)) || below(scene, 10) < (is_size ? 8 : 3))
			continue;
		pst_bytes_print(reply, "250-%s\r\n", keywords[i]);
		pst_smtp_caps_learn(caps, pst_span_text(keywords[i]));
	}
	pst_bytes_print(reply, "250 X-LAST\r\n");
}

static void offer(struct scene *scene, uint32_t number)
{
	struct pst_inside_rule *rule = pst_inside_rule_add(scene->servers[number]);

	assert_non_null(rule);
	*rule = (struct pst_inside_rule){.times_left = UINT32_MAX};
	pst_bytes_print(&rule->prefix, "EHLO");
	put_list(scene, &rule->reply, &scene->caps[number]);
}

static void begin(struct scene *scene, uint64_t seed)
{
	static const struct pst_stage_plan plan = {0};
	struct pst_bytes text = {0};
	struct pst_config *config;

	memset(scene, 0, sizeof(*scene));
	pst_rng_seed_init(&scene->rng, seed);
	pst_stage_init(&scene->stage, &plan);
	scene->server_count = 1 + below(scene, SERVERS_MAX);
	pst_bytes_print(&text, "hostname mx.example.org\nlisten 192.0.2.25:25\ntimeout early-talk 0\n");
	if (chance(scene, 3))
		pst_bytes_print(&text, "hold 4K\n");
	for (uint32_t i = 0; i < scene->server_count; i++)
		pst_bytes_print(&text, "relay d%u.example to 10.0.0.%u:25 pass none\n", i, i + 1);
	config = pst_stage_load(&scene->stage, (const char *)text.at, NULL, 0);
	assert_non_null(config);
	pst_bytes_free(&text);
	pst_stage_open(&scene->stage, &config->proxy);
	for (uint32_t i = 0; i < scene->server_count; i++) {
		const struct pst_addr *address = &config->proxy.relay.routes[i].servers[0];

		scene->servers[i] = pst_inside_new(&scene->stage, address, i + 1);
		pst_door_open(scene->servers[i]->door, true);
		offer(scene, i);
	}
	assert_true(pst_stage_begin(&scene->stage, config));
	pst_stage_pass(&scene->stage, WARM_MS);
	scene->target = below(scene, scene->server_count);
}

static void end(struct scene *scene)
{
	for (uint32_t i = 0; i < scene->server_count; i++) {
		if (scene->servers[i]->fault.len > 0)
			fail_msg("%s", (const char *)scene->servers[i]->fault.at);
		pst_inside_free(scene->servers[i]);
	}
	pst_stage_fini(&scene->stage);
	pst_bytes_free(&scene->envelope);
	pst_bytes_free(&scene->content);
	pst_bytes_free(&scene->wire);
}

/* --- the client ------------------------------------------------------------------------------- */

/* The next whole reply.
 *  ret its code; 0: there is none */
static uint16_t hear(struct scene *scene, struct pst_smtp_caps *caps)
{
	struct pst_peer *client = scene->client;
	struct pst_smtp_reply_reader reader = {0};
	struct pst_smtp_reply_line line;
	struct pst_buf in;
	int ret;

	(void)pst_stage_settle(&scene->stage);
	pst_buf_init(&in, client->in.at + client->looked, client->in.len - client->looked);
	pst_buf_commit(&in, client->in.len - client->looked);
	do {
		ret = pst_smtp_reply_read(&reader, &in, &line);
		assert_true(ret >= 0);
		if (ret == 1 && caps && !line.first)
			pst_smtp_caps_learn(caps, line.text);
	} while (ret == 1 && !line.last);
	if (ret == 0)
		return 0;
	client->looked = client->in.len - in.len;
	return reader.code;
}

static uint16_t say(struct scene *scene, struct pst_bytes *line)
{
	pst_bytes_print(line, "\r\n");
	pst_peer_say(scene->client, pst_bytes_from(line, 0));
	pst_bytes_free(line);
	return hear(scene, NULL);
}

static bool offered(const struct scene *scene, uint32_t cap)
{
	return (scene->offers.set & cap) == cap;
}

static void hello(struct scene *scene)
{
	struct pst_addr from;

	assert_int_equal(pst_addr_parse(PST_SPAN("203.0.113.7"), &from), 0);
	scene->client = pst_stage_connect(&scene->stage, &from, 0);
	assert_int_equal(hear(scene, NULL), 220);
	pst_peer_say(scene->client, PST_SPAN("EHLO client.example\r\n"));
	assert_int_equal(hear(scene, &scene->offers), 250);
	assert_true(offered(scene, PST_SMTP_CAP_PIPELINING | PST_SMTP_CAP_SIZE |
					   PST_SMTP_CAP_CHUNKING | PST_SMTP_CAP_LIMITS));
	/* Only what every server carries; what the servers said before they changed is not kept here,
	 * so a list that never changed is held to it. */
	for (uint32_t i = 0; i < scene->server_count; i++) {
		const uint32_t inside = PST_SMTP_CAP_8BITMIME | PST_SMTP_CAP_SMTPUTF8 |
					PST_SMTP_CAP_DSN | PST_SMTP_CAP_REQUIRETLS;

		assert_int_equal(scene->offers.set & inside & ~scene->caps[i].set, 0);
		if (scene->caps[i].size_bytes > 0)
			assert_true(scene->offers.size_bytes <= scene->caps[i].size_bytes);
	}
}

/* A parameter that the client says, and the target must hear where it is to be passed on. */
static void param(struct scene *scene, struct pst_bytes *line, bool passed, const char *text)
{
	pst_bytes_print(line, " %s", text);
	if (passed)
		pst_bytes_print(&scene->envelope, " %s", text);
}

/* The order is the one in which we write them. */
static uint16_t say_mail(struct scene *scene)
{
	const char *sender = scene->utf8 ? "j\xc3\xbcrgen@s.example" : "alice@s.example";
	struct pst_bytes line = {0};

	pst_bytes_print(&line, "MAIL FROM:<%s>", sender);
	pst_bytes_print(&scene->envelope, "<%s>", sender);
	if (chance(scene, 2)) {
		scene->size_declared = scene->content.len;
		pst_bytes_print(&line, " SIZE=%u", scene->content.len);
		if ((scene->caps[scene->target].set & PST_SMTP_CAP_SIZE) && scene->content.len > 0)
			pst_bytes_print(&scene->envelope, " SIZE=%u", scene->content.len);
	}
	if (scene->eight_bit)
		param(scene, &line, true, "BODY=8BITMIME");
	else if (offered(scene, PST_SMTP_CAP_8BITMIME) && chance(scene, 3))
		param(scene, &line, false, "BODY=7BIT");
	if (scene->utf8)
		param(scene, &line, true, "SMTPUTF8");
	if (scene->dsn && chance(scene, 2))
		param(scene, &line, true, chance(scene, 2) ? "RET=HDRS" : "RET=FULL");
	if (scene->dsn && chance(scene, 2))
		param(scene, &line, true, "ENVID=Q+2Bx1");
	pst_bytes_print(&scene->envelope, " to");
	return say(scene, &line);
}

static uint16_t say_rcpt(struct scene *scene, uint32_t number)
{
	struct pst_bytes line = {0}, path = {0};
	uint16_t code;

	pst_bytes_print(&path, "<%s%u@d%u.example>", scene->utf8 ? "\xe2\x82\xac" : "r", number,
			scene->target);
	pst_bytes_print(&line, "RCPT TO:%s", (const char *)path.at);
	pst_bytes_print(&scene->envelope, " %s", (const char *)path.at);
	if (scene->dsn && chance(scene, 2))
		param(scene, &line, true, chance(scene, 2) ? "NOTIFY=NEVER" : "NOTIFY=SUCCESS,DELAY");
	if (scene->dsn && chance(scene, 2))
		param(scene, &line, true, "ORCPT=rfc822;o+2B@x.example");
	code = say(scene, &line);
	pst_bytes_free(&path);
	return code;
}

/* Lines of letters, dots and, where that was declared, bytes above 127, and the wire form that they
 * must arrive in. */
static void make_content(struct scene *scene)
{
	static const char letters[] = "abc ..-.\t:";
	uint32_t line_count = below(scene, chance(scene, 8) ? 400 : 20);

	pst_bytes_print(&scene->content, "Subject: x\r\n\r\n");
	for (uint32_t i = 0; i < line_count; i++) {
		uint32_t len = below(scene, 60);

		for (uint32_t k = 0; k < len; k++) {
			uint8_t c = (uint8_t)letters[below(scene, sizeof(letters) - 1)];

			if (scene->eight_bit && chance(scene, 20))
				c = (uint8_t)(0x80 + below(scene, 128));
			pst_bytes_add(&scene->content, &c, 1);
		}
		pst_bytes_print(&scene->content, "\r\n");
	}
	for (uint32_t i = 0; i < scene->content.len; i++) {
		const uint8_t *at = scene->content.at + i;

		if (*at == '.' && (i == 0 || at[-1] == '\n'))
			pst_bytes_add(&scene->wire, ".", 1);
		pst_bytes_add(&scene->wire, at, 1);
	}
}

static uint16_t say_chunks(struct scene *scene)
{
	uint32_t from = 0;
	uint16_t code;
	bool last;

	seen.chunked++;
	do {
		struct pst_span piece = pst_bytes_from(&scene->content, from);
		struct pst_bytes command = {0};

		piece = pst_span_sub(piece, 0, below(scene, 3000));
		from += piece.len;
		last = from == scene->content.len;
		pst_bytes_print(&command, "BDAT %u%s\r\n", piece.len, last ? " LAST" : "");
		pst_bytes_add_span(&command, piece);
		pst_peer_say(scene->client, pst_bytes_from(&command, 0));
		pst_bytes_free(&command);
		code = hear(scene, NULL);
	} while (!last);
	return code;
}

static uint16_t say_data(struct scene *scene)
{
	struct pst_bytes line = {0};
	uint16_t code;

	pst_bytes_print(&line, "DATA");
	code = say(scene, &line);
	if (code != 354)
		return code;
	pst_peer_say(scene->client, pst_bytes_from(&scene->wire, 0));
	pst_peer_say(scene->client, PST_SPAN(".\r\n"));
	return hear(scene, NULL);
}

static uint16_t transaction(struct scene *scene)
{
	uint32_t rcpt_count = 1 + below(scene, RCPTS_MAX);
	uint16_t code;

	scene->eight_bit = offered(scene, PST_SMTP_CAP_8BITMIME) && chance(scene, 2);
	scene->utf8 = offered(scene, PST_SMTP_CAP_SMTPUTF8) && chance(scene, 2);
	scene->dsn = offered(scene, PST_SMTP_CAP_DSN) && chance(scene, 2);
	make_content(scene);
	code = say_mail(scene);
	for (uint32_t i = 0; i < rcpt_count && code == 250; i++)
		code = say_rcpt(scene, i);
	if (code != 250)
		return code;
	return chance(scene, 2) ? say_chunks(scene) : say_data(scene);
}

/* --- the outcome ------------------------------------------------------------------------------ */

static const struct pst_inside_message *taken_by(const struct scene *scene, uint32_t number)
{
	const struct pst_inside *server = scene->servers[number];

	assert_true(server->taken_count <= 1);
	for (uint32_t i = 0; i < server->message_count; i++)
		if (server->messages[i]->taken)
			return server->messages[i];
	return NULL;
}

static void check_delivered(struct scene *scene)
{
	const struct pst_inside_message *message = taken_by(scene, scene->target);
	struct pst_span wire;
	uint32_t at = 0;

	assert_non_null(message);
	check_span(pst_bytes_from(&message->envelope, 0), (const char *)scene->envelope.at);
	wire = pst_bytes_from(&message->wire, 0);
	/* Our Received field and its folded lines stand in front. */
	assert_true(pst_span_starts_nocase(wire, PST_SPAN("Received: ")));
	do {
		at += (uint32_t)pst_span_find(pst_span_sub(wire, at, wire.len), '\n') + 1;
	} while (wire.at[at] == '\t');
	wire = pst_span_sub(wire, at, wire.len);
	assert_true(pst_span_eq(wire, pst_bytes_from(&scene->wire, 0)));
	seen.taken++;
	for (uint32_t i = 0; i < PST_COUNT(seen.carried); i++)
		seen.carried[i] += ((scene->eight_bit ? PST_SMTP_CAP_8BITMIME : 0u) |
				    (scene->utf8 ? PST_SMTP_CAP_SMTPUTF8 : 0u) |
				    (scene->dsn ? PST_SMTP_CAP_DSN : 0u)) >> i & 1;
}

static void check_refused(const struct scene *scene, uint16_t code)
{
	for (uint32_t i = 0; i < scene->server_count; i++)
		assert_null(taken_by(scene, i));
	if (code == 552) {
		assert_true(scene->wire.len > scene->offers.size_bytes);
		seen.too_big++;
		return;
	}
	assert_int_equal(code, 451);
	assert_true(scene->changed);
	seen.changed_451++;
}

static void play(uint64_t seed)
{
	struct scene scene;
	uint16_t code;

	begin(&scene, seed);
	hello(&scene);
	if (chance(&scene, 3)) {
		scene.changed = true;
		offer(&scene, scene.target);
	}
	code = transaction(&scene);
	if (code == 250)
		check_delivered(&scene);
	else
		check_refused(&scene, code);
	end(&scene);
}

static uint64_t playing; /* 0: none */

static int say_seed(void **state)
{
	(void)state;
	if (playing)
		print_error("POSTERN_SEED=%llu\n", (unsigned long long)playing);
	return 0;
}

static void test_seeds(void **state)
{
	const char *one = getenv("POSTERN_SEED"), *many = getenv("POSTERN_SEEDS");
	uint64_t first = one ? strtoull(one, NULL, 10) : 1;
	uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : SEED_COUNT;

	(void)state;
	for (uint64_t seed = first; seed < first + count; seed++) {
		playing = seed;
		play(seed);
	}
	playing = 0;
	print_message("%u taken (8BITMIME %u, SMTPUTF8 %u, DSN %u, chunked %u), 451 %u, 552 %u\n",
		      seen.taken, seen.carried[2], seen.carried[6], seen.carried[7], seen.chunked,
		      seen.changed_451, seen.too_big);
	if (count < 1000)
		return;
	assert_true(seen.taken > count / 2);
	assert_true(seen.carried[2] > count / 20 && seen.carried[6] > count / 20 &&
		    seen.carried[7] > count / 20);
	assert_true(seen.chunked > count / 4 && seen.changed_451 > 0 && seen.too_big > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_seeds, say_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
