/* tls_probe - the mbedTLS adapter over plain sockets, to meet foreign implementations; and figures
 *
 *   tls_probe serve CERT,KEY...                an echo server on a free port of the loopback: says
 *                                              "ready PORT", then a line per connection
 *   tls_probe connect PORT [OPTION]...         sends its stdin, prints what comes back
 *       --name NAME  --verify none|look|ca|pin  --ca FILE  --pin HEX...  --tls 1.2|1.3
 *   tls_probe self-signed NAME FILE            writes a certificate and its key
 *   tls_probe figures [CERT,KEY...]            memory and time, by version, key and group
 *
 * A line per connection: `tls version=... cipher=... key=... name=... verified=... failure="..."`.
 * The server ends when its stdin does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto_mbedtls.h"
#include "loop/loop_epoll.h"
#include "tls/tls_mbedtls.h"

#define PAIRS_MAX 8
#define FILE_BYTES_MAX 65536
#define IO_MS 10000

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t mono_ms(void *clock)
{
	(void)clock;
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

static uint64_t wall_ms(void *clock)
{
	(void)clock;
	return clock_ns(CLOCK_REALTIME) / 1000000;
}

_Noreturn static void die(const char *what, const char *why)
{
	fprintf(stderr, "tls_probe: %s: %s\n", what, why);
	exit(2);
}

static struct pst_span read_file(const char *path)
{
	uint8_t *text = malloc(FILE_BYTES_MAX);
	FILE *file = fopen(path, "rb");
	size_t len;

	if (!file || !text)
		die(path, "cannot be read");
	len = fread(text, 1, FILE_BYTES_MAX, file);
	fclose(file);
	return (struct pst_span){text, (uint32_t)len};
}

/* CERT,KEY */
static struct pst_tls_pair read_pair(char *paths)
{
	char *comma = strchr(paths, ',');

	if (!comma)
		die(paths, "is not CERT,KEY");
	*comma = '\0';
	return (struct pst_tls_pair){read_file(paths), read_file(comma + 1)};
}

/* --- one connection over a socket ----------------------------------------------------------- */

struct conn {
	int fd;
	struct pst_tls *tls;
	struct pst_buf in, out;
	uint8_t in_area[16384], out_area[8192];
	bool ended; /* the peer sends no more */
};

static bool wait_for(int fd, short events)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	return poll(&poll_fd, 1, IO_MS) == 1;
}

static void flush(struct conn *conn)
{
	while (conn->out.len > 0) {
		struct pst_span span = pst_buf_span(&conn->out);
		ssize_t sent = send(conn->fd, span.at, span.len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN && wait_for(conn->fd, POLLOUT))
			continue;
		if (sent < 0) {
			pst_buf_clear(&conn->out);
			return;
		}
		pst_buf_consume(&conn->out, (uint32_t)sent);
	}
}

static void fill(struct conn *conn)
{
	ssize_t got;

	pst_buf_compact(&conn->in);
	if (!wait_for(conn->fd, POLLIN)) {
		conn->ended = true;
		return;
	}
	got = recv(conn->fd, pst_buf_tail(&conn->in), pst_buf_tail_room(&conn->in), 0);
	if (got <= 0)
		conn->ended = true;
	else
		pst_buf_commit(&conn->in, (uint32_t)got);
}

static int shake(struct conn *conn)
{
	while (true) {
		struct pst_tls_wire wire = {pst_buf_span(&conn->in), &conn->out};
		int ret = conn->tls->ops->handshake(conn->tls, &wire);

		pst_buf_consume(&conn->in, conn->in.len - wire.in.len);
		flush(conn);
		if (ret < 0 || ret == PST_TLS_DONE)
			return ret;
		if (ret == PST_TLS_INPUT)
			fill(conn);
		if (conn->ended)
			return -PST_E_RESET;
	}
}

static int64_t receive(struct conn *conn, uint8_t *area, uint32_t size)
{
	while (true) {
		struct pst_tls_wire wire = {pst_buf_span(&conn->in), &conn->out};
		int64_t ret = conn->tls->ops->read(conn->tls, &wire, area, size);

		pst_buf_consume(&conn->in, conn->in.len - wire.in.len);
		flush(conn);
		if (ret != 0)
			return ret;
		if (conn->in.len == 0)
			fill(conn);
		if (conn->ended)
			return -PST_E_RESET;
	}
}

static bool send_all(struct conn *conn, struct pst_span span)
{
	while (span.len > 0) {
		int64_t ret = conn->tls->ops->write(conn->tls, span, &conn->out);

		if (ret < 0)
			return false;
		flush(conn);
		span = pst_span_sub(span, (uint32_t)ret, span.len);
	}
	return true;
}

static void say_facts(const struct conn *conn)
{
	struct pst_tls_facts facts;

	conn->tls->ops->facts(conn->tls, &facts);
	printf("tls version=%s cipher=%s key=%s name=%.*s verified=%d doubt=\"%s\" "
	       "failure=\"%s\"\n",
		facts.version ? facts.version : "none", facts.cipher ? facts.cipher : "none",
		facts.key ? facts.key : "none", (int)facts.name.len,
		facts.name.len ? (const char *)facts.name.at : "", facts.verified,
		facts.doubt ? facts.doubt : "", facts.failure ? facts.failure : "");
	fflush(stdout);
}

static void conn_open(
	struct conn *conn, int fd, struct pst_tls_context *context, const struct pst_tls_peer *peer)
{
	conn->fd = fd;
	conn->ended = false;
	pst_buf_init(&conn->in, conn->in_area, sizeof(conn->in_area));
	pst_buf_init(&conn->out, conn->out_area, sizeof(conn->out_area));
	if (pst_tls_open(context, peer, &conn->tls))
		die("session", "cannot be opened");
}

static void conn_close(struct conn *conn)
{
	conn->tls->ops->finish(conn->tls, &conn->out);
	flush(conn);
	pst_tls_close(conn->tls);
	close(conn->fd);
}

/* --- serve ---------------------------------------------------------------------------------- */

static void echo(int fd, struct pst_tls_context *context)
{
	static struct conn conn;
	static uint8_t area[16384];
	int64_t got;
	int ret;

	conn_open(&conn, fd, context, NULL);
	ret = shake(&conn);
	say_facts(&conn);
	if (ret == PST_TLS_DONE) {
		while ((got = receive(&conn, area, sizeof(area))) > 0) {
			if (!send_all(&conn, (struct pst_span){area, (uint32_t)got}))
				break;
		}
		printf("end %s\n", got == -PST_E_CLOSED ? "closed" : pst_strerror((int)got));
		fflush(stdout);
	}
	conn_close(&conn);
}

static int serve(struct pst_tls_context *context)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);

	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
		listen(listener, 16) || getsockname(listener, (struct sockaddr *)&address, &len))
		die("listen", strerror(errno));
	printf("ready %d\n", ntohs(address.sin_port));
	fflush(stdout);
	while (true) {
		struct pollfd fds[2] = {
			{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		char rest[64];
		int fd;

		if (poll(fds, 2, -1) < 0)
			die("poll", strerror(errno));
		if (fds[1].revents && read(0, rest, sizeof(rest)) <= 0)
			return 0;
		if (!fds[0].revents)
			continue;
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			echo(fd, context);
	}
}

static struct pst_tls_context *server_context(struct pst_tls_pair *pairs, uint32_t count)
{
	struct pst_tls_context *context;
	struct pst_tls_problem problem;

	if (pst_tls_mbedtls_server(pairs, count, NULL, &problem, &context))
		die("certificate", problem.what);
	return context;
}

/* --- connect -------------------------------------------------------------------------------- */

struct wish {
	struct pst_tls_peer peer;
	struct pst_tls_allow allow;
	struct pst_span bundle;
	uint8_t pins[PST_TLS_PINS_MAX][32];
};

static void read_pin(struct wish *wish, const char *hex)
{
	uint8_t *pin = wish->pins[wish->peer.pin_count];

	if (strlen(hex) != 64 || wish->peer.pin_count == PST_TLS_PINS_MAX)
		die(hex, "is not 64 hexadecimal digits, or one too many");
	for (int i = 0; i < 32; i++) {
		const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		pin[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	wish->peer.pin_count++;
}

static enum pst_tls_verify read_verify(const char *word)
{
	static const char *const words[] = {
		[PST_TLS_VERIFY_NONE] = "none",
		[PST_TLS_VERIFY_LOOK] = "look",
		[PST_TLS_VERIFY_CA] = "ca",
		[PST_TLS_VERIFY_PIN] = "pin",
	};

	for (unsigned i = 0; i < PST_COUNT(words); i++) {
		if (strcmp(words[i], word) == 0)
			return (enum pst_tls_verify)i;
	}
	die(word, "is no way to verify");
}

static void read_wish(struct wish *wish, int argc, char **argv)
{
	for (int i = 0; i + 1 < argc; i += 2) {
		const char *option = argv[i], *value = argv[i + 1];

		if (strcmp(option, "--name") == 0)
			wish->peer.name = pst_span_text(value);
		else if (strcmp(option, "--verify") == 0)
			wish->peer.verify = read_verify(value);
		else if (strcmp(option, "--ca") == 0)
			wish->bundle = read_file(value);
		else if (strcmp(option, "--pin") == 0)
			read_pin(wish, value);
		else if (strcmp(option, "--tls") == 0)
			wish->allow.version_max = wish->allow.version_min =
				strcmp(value, "1.2") == 0 ? 0x0303 : 0x0304;
		else
			die(option, "is no option");
	}
	wish->peer.pins = (const uint8_t(*)[32])wish->pins;
}

/* Sends stdin whole, then prints as many bytes as were sent. */
static void converse(struct conn *conn)
{
	static uint8_t text[FILE_BYTES_MAX];
	size_t len = fread(text, 1, sizeof(text), stdin), got = 0;

	if (!send_all(conn, (struct pst_span){text, (uint32_t)len}))
		return;
	while (got < len) {
		int64_t ret = receive(conn, text, sizeof(text));

		if (ret <= 0)
			break;
		fwrite(text, 1, (size_t)ret, stdout);
		got += (size_t)ret;
	}
	printf("\n");
}

static int connect_to(const char *port, int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pst_tls_context *context;
	struct pst_tls_problem problem;
	static struct conn conn;
	struct wish wish = {.bundle = PST_SPAN_NONE};
	int ret;

	read_wish(&wish, argc, argv);
	address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die(port, strerror(errno));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (pst_tls_mbedtls_client(wish.bundle, &wish.allow, &problem, &context))
		die("CA bundle", problem.what);
	conn_open(&conn, fd, context, &wish.peer);
	pst_tls_context_drop(context);
	ret = shake(&conn);
	say_facts(&conn);
	if (ret == PST_TLS_DONE)
		converse(&conn);
	conn_close(&conn);
	return ret == PST_TLS_DONE ? 0 : 1;
}

/* --- self-signed ---------------------------------------------------------------------------- */

static int self_signed(const char *name, const char *path)
{
	static uint8_t key_area[PST_CRYPTO_SELF_SIGNED_KEY_BYTES];
	static uint8_t certificate_area[PST_CRYPTO_SELF_SIGNED_CERTIFICATE_BYTES];
	struct pst_buf key, certificate;
	FILE *file = fopen(path, "wb");
	int ret;

	pst_buf_init(&key, key_area, sizeof(key_area));
	pst_buf_init(&certificate, certificate_area, sizeof(certificate_area));
	ret = pst_crypto_mbedtls_self_signed(pst_span_text(name), &key, &certificate);
	if (ret || !file)
		die(name, ret ? pst_strerror(ret) : strerror(errno));
	fwrite(certificate_area, 1, certificate.len, file);
	fwrite(key_area, 1, key.len, file);
	return fclose(file) ? 1 : 0;
}

/* --- figures -------------------------------------------------------------------------------- */

struct side {
	struct pst_tls *tls;
	struct pst_buf in, out;
	uint8_t in_area[32768], out_area[32768];
	uint64_t ns;			/* of the handshake at hand */
	uint64_t best_ns;		/* the least of all: the others were disturbed */
	uint64_t step_ns, best_step_ns; /* its longest call, the same */
	int need;
};

static void side_open(
	struct side *side, struct pst_tls_context *context, const struct pst_tls_peer *peer)
{
	uint64_t from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	pst_buf_init(&side->in, side->in_area, sizeof(side->in_area));
	pst_buf_init(&side->out, side->out_area, sizeof(side->out_area));
	if (pst_tls_open(context, peer, &side->tls))
		die("session", "cannot be opened");
	side->need = PST_TLS_MORE;
	side->step_ns = 0;
	side->ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - from;
}

static void side_work(struct side *side)
{
	do {
		struct pst_tls_wire wire = {pst_buf_span(&side->in), &side->out};
		uint64_t from = clock_ns(CLOCK_PROCESS_CPUTIME_ID), ns;

		if (side->need < 0)
			die("handshake", pst_strerror(side->need));
		side->need = side->tls->ops->handshake(side->tls, &wire);
		ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - from;
		side->ns += ns;
		side->step_ns = PST_MAX(side->step_ns, ns);
		pst_buf_consume(&side->in, side->in.len - wire.in.len);
	} while (side->need == PST_TLS_MORE);
}

static void side_carry(struct side *from, struct side *to)
{
	pst_buf_compact(&to->in);
	if (pst_buf_put(&to->in, pst_buf_span(&from->out)))
		die("wire", "too small");
	pst_buf_clear(&from->out);
}

static uint64_t used_bytes(const struct side *side, uint64_t *peak)
{
	struct pst_tls_facts facts;

	side->tls->ops->facts(side->tls, &facts);
	if (peak)
		*peak = facts.peak_bytes;
	return facts.used_bytes;
}

static void idle(struct side *side)
{
	struct pst_tls_wire wire = {pst_buf_span(&side->in), &side->out};
	uint8_t area[64];

	(void)side->tls->ops->read(side->tls, &wire, area, sizeof(area));
}

static void side_note(struct side *side)
{
	if (side->best_ns == 0 || side->ns < side->best_ns)
		side->best_ns = side->ns;
	if (side->best_step_ns == 0 || side->step_ns < side->best_step_ns)
		side->best_step_ns = side->step_ns;
}

#define ROUNDS 30

static void measure(struct pst_tls_pair pair, const char *key, uint16_t version, uint16_t group,
	const char *group_name)
{
	static struct side client, server;
	const uint16_t groups[] = {group, 0};
	const struct pst_tls_allow allow = {
		.version_min = version, .version_max = version, .groups = groups};
	const struct pst_tls_peer nobody = {.name = PST_SPAN_NONE};
	struct pst_tls_context *servers = server_context(&pair, 1), *clients;
	struct pst_tls_problem problem;
	uint64_t server_peak = 0, client_peak = 0, server_idle = 0, client_idle = 0;

	if (pst_tls_mbedtls_client(PST_SPAN_NONE, &allow, &problem, &clients))
		die("client", problem.what);
	memset(&client, 0, sizeof(client));
	memset(&server, 0, sizeof(server));
	for (int i = 0; i < ROUNDS; i++) {
		side_open(&client, clients, &nobody);
		side_open(&server, servers, NULL);
		while (client.need != PST_TLS_DONE || server.need != PST_TLS_DONE) {
			side_work(&client);
			side_carry(&client, &server);
			side_work(&server);
			side_carry(&server, &client);
		}
		side_note(&client);
		side_note(&server);
		idle(&client);
		idle(&server);
		server_idle = used_bytes(&server, &server_peak);
		client_idle = used_bytes(&client, &client_peak);
		pst_tls_close(client.tls);
		pst_tls_close(server.tls);
	}
	pst_tls_context_drop(clients);
	pst_tls_context_drop(servers);
	printf("TLS 1.%d %-5s %-6s | server %5lu us, longest step %5lu us, peak %5lu B, idle %4lu B"
	       " | client %5lu us, longest step %5lu us, peak %5lu B, idle %4lu B\n",
		version - 0x0301, key, group_name, server.best_ns / 1000,
		server.best_step_ns / 1000, server_peak, server_idle, client.best_ns / 1000,
		client.best_step_ns / 1000, client_peak, client_idle);
}

static void measure_bulk(struct pst_tls_pair pair, uint16_t cipher, const char *name)
{
	static struct side client, server;
	static uint8_t text[16384], area[16384];
	const uint16_t ciphers[] = {cipher, 0};
	const struct pst_tls_allow allow = {.version_min = 0x0304, .ciphers = ciphers};
	const struct pst_tls_peer nobody = {.name = PST_SPAN_NONE};
	struct pst_tls_context *servers = server_context(&pair, 1), *clients;
	struct pst_tls_problem problem;
	uint64_t write_ns = 0, read_ns = 0;
	const uint32_t total = 32 * 1024 * 1024;

	if (pst_tls_mbedtls_client(PST_SPAN_NONE, &allow, &problem, &clients))
		die("client", problem.what);
	side_open(&client, clients, &nobody);
	side_open(&server, servers, NULL);
	while (client.need != PST_TLS_DONE || server.need != PST_TLS_DONE) {
		side_work(&client);
		side_carry(&client, &server);
		side_work(&server);
		side_carry(&server, &client);
	}
	for (uint32_t sent = 0; sent < total;) {
		uint64_t from = clock_ns(CLOCK_PROCESS_CPUTIME_ID), mid;
		int64_t ret = client.tls->ops->write(
			client.tls, (struct pst_span){text, sizeof(text)}, &client.out);

		mid = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		write_ns += mid - from;
		if (ret <= 0)
			die("write", "took nothing");
		sent += (uint32_t)ret;
		side_carry(&client, &server);
		from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		do {
			struct pst_tls_wire wire = {pst_buf_span(&server.in), &server.out};

			ret = server.tls->ops->read(server.tls, &wire, area, sizeof(area));
			pst_buf_consume(&server.in, server.in.len - wire.in.len);
		} while (ret > 0);
		read_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - from;
	}
	pst_tls_close(client.tls);
	pst_tls_close(server.tls);
	pst_tls_context_drop(clients);
	pst_tls_context_drop(servers);
	printf("%s: write %lu MB/s, read %lu MB/s\n", name, (uint64_t)total * 1000 / write_ns,
		(uint64_t)total * 1000 / read_ns);
}

static int figures(int argc, char **argv)
{
	static const struct {
		uint16_t id;
		const char *name;
	} groups[] = {{0x001d, "X25519"}, {0x0017, "P-256"}, {0x0018, "P-384"}};

	for (int i = 0; i < argc; i++) {
		struct pst_tls_pair pair = read_pair(argv[i]);
		struct pst_tls_context *context = server_context(&pair, 1);
		struct pst_tls_certificate_facts facts;

		pst_tls_mbedtls_describe(context, 0, PST_SPAN_NONE, &facts);
		pst_tls_context_drop(context);
		for (uint16_t version = 0x0303; version <= 0x0304; version++) {
			for (size_t g = 0; g < PST_COUNT(groups); g++)
				measure(pair, facts.key, version, groups[g].id, groups[g].name);
		}
		if (i > 0)
			continue;
		measure_bulk(pair, 0x1301, "AES-128-GCM");
		measure_bulk(pair, 0x1302, "AES-256-GCM");
		measure_bulk(pair, 0x1303, "ChaCha20-Poly1305");
	}
	return 0;
}

/* --- */

static int run(int argc, char **argv)
{
	struct pst_tls_pair pairs[PAIRS_MAX];
	uint32_t count = 0;

	if (argc > 2 && strcmp(argv[1], "serve") == 0) {
		for (int i = 2; i < argc && count < PAIRS_MAX; i++)
			pairs[count++] = read_pair(argv[i]);
		return serve(server_context(pairs, count));
	}
	if (argc > 2 && strcmp(argv[1], "connect") == 0)
		return connect_to(argv[2], argc - 3, argv + 3);
	if (argc == 4 && strcmp(argv[1], "self-signed") == 0)
		return self_signed(argv[2], argv[3]);
	if (argc > 2 && strcmp(argv[1], "figures") == 0)
		return figures(argc - 2, argv + 2);
	die("usage", "serve CERT,KEY... | connect PORT ... | self-signed NAME FILE | figures "
		     "CERT,KEY...");
}

int main(int argc, char **argv)
{
	static struct pst_mem_system memory;
	static struct pst_rng rng;
	static struct pst_crypto_mbedtls_env env;

	pst_mem_system_init(&memory);
	pst_rng_system_init(&rng);
	env = (struct pst_crypto_mbedtls_env){
		.rng = &rng, .mem = &memory.mem, .mono_ms = mono_ms, .wall_ms = wall_ms};
	if (pst_crypto_mbedtls_open(&env))
		die("mbedTLS", "does not start");
	return run(argc, argv);
}
