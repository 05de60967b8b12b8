/* hog - clients with a TCP of their own that do what no kernel's does
 *
 *	hog INTERFACE MAC SERVER:PORT CLIENT COUNT MANNER RATE
 *
 * COUNT connections to a server that is reached by frames to MAC on INTERFACE, 16 of each of the
 * addresses CLIENT, CLIENT + 256 and so on. The server must send by INTERFACE what is for them, and this host's own
 * TCP/IP must not know them: then it leaves such frames alone.
 *
 * Each greets (EHLO) and then, RATE times a second in all:
 *   idle   nothing; what comes is acknowledged
 *   deaf   sends commands as long as the server's window is open, and acknowledges nothing any more
 *   shut   the same, but acknowledges until it has heard some replies; then its own window stays 0
 *   bytes  one octet of a command
 *   holes  a full segment some way behind the next octet, which never comes
 *   sizes  announces segments of 4 octets at most, sends commands, and acknowledges nothing any more
 * deaf and shut have filled the server's window before they are ready.
 *
 * Prints `ready N` once all have been greeted or time is up, N as many as were. SIGTERM: every
 * connection is reset, and `end` tells how many frames went either way. SIGKILL: they fall silent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 4096
#define CONNS_PER_ADDRESS 16
#define FIRST_PORT 20000
#define WINDOW 32768
#define PATIENCE_MS 3000
#define AGAIN_MS 500
#define QUIET_MS 100
#define FRAME_MAX 2048
#define HEARD_MAX 16384
#define SEGMENT 1400

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum state { BEGUN, CONNECTED, GREETED, OVER };
enum manner { IDLE, DEAF, SHUT, BYTES, HOLES, SIZES, MANNERS };

static const char *const manners[MANNERS] = {"idle", "deaf", "shut", "bytes", "holes", "sizes"};
static const char ehlo[] = "EHLO hog.example\r\n";
/* So long that the server's window has grown before the replies fill its buffers. */
static const char line[] = "NOOP that nobody needs an answer to\r\n";

struct conn {
	enum state state;
	uint32_t seq, ack; /* next of ours, next of theirs */
	uint32_t acked;    /* of ours, by them */
	uint32_t edge;     /* what their window lets us send */
	uint32_t done;     /* octets of commands */
	uint32_t heard;    /* octets of replies to them */
	bool replied;      /* to EHLO */
};

static struct conn conns[CONNS_MAX];
static uint32_t conn_count, ready_count;
static enum manner manner;
static int sock;
static struct sockaddr_ll device = {.sll_family = AF_PACKET};
static uint8_t server_mac[ETH_ALEN];
static uint32_t server, first_client; /* in this host's order */
static uint16_t server_port;
static uint32_t first_port;
static uint64_t out_count, in_count, refused_count;
static volatile sig_atomic_t told_to_end;

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

static uint32_t sum_of(uint32_t sum, const uint8_t *at, uint32_t len)
{
	for (; len > 1; at += 2, len -= 2)
		sum += get16(at);
	return sum + (len ? (uint32_t)at[0] << 8 : 0);
}

static uint32_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static uint32_t address_of(uint32_t index)
{
	return first_client + index / CONNS_PER_ADDRESS * 256;
}

static bool is_shut(const struct conn *conn)
{
	return manner == SHUT && conn->state == GREETED && conn->heard > HEARD_MAX;
}

/* A segment of this connection, `seq` its first octet. */
static void say(const struct conn *conn, uint8_t flags, uint32_t seq, const void *data, uint32_t len)
{
	uint8_t frame[FRAME_MAX] = {0}, *ip = frame + ETH_HLEN, *tcp = ip + 20;
	uint32_t index = (uint32_t)(conn - conns), options = flags & SYN ? 4 : 0;
	uint32_t tcp_len = 20 + options + len;

	memcpy(frame, server_mac, ETH_ALEN);
	put32(frame + ETH_ALEN, 0x02006867);
	put16(frame + 12, ETH_P_IP);
	ip[0] = 0x45;
	put16(ip + 2, 20 + tcp_len);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put32(ip + 12, address_of(index));
	put32(ip + 16, server);
	put16(ip + 10, folded(sum_of(0, ip, 20)));
	put16(tcp, first_port + index);
	put16(tcp + 2, server_port);
	put32(tcp + 4, seq);
	put32(tcp + 8, conn->ack);
	tcp[12] = (uint8_t)((20 + options) << 2);
	tcp[13] = flags;
	put16(tcp + 14, is_shut(conn) ? 0 : WINDOW);
	if (options) {
		tcp[20] = 2;
		tcp[21] = 4;
		put16(tcp + 22, manner == SIZES ? 4 : 1460);
	}
	memcpy(tcp + 20 + options, data, len);
	put16(tcp + 16, folded(sum_of(sum_of(IPPROTO_TCP + tcp_len, ip + 12, 8), tcp, tcp_len)));
	if (sendto(sock, frame, ETH_HLEN + 20 + tcp_len, 0, (struct sockaddr *)&device, sizeof(device)) >= 0)
		out_count++;
}

static bool is_open(const struct conn *conn, uint32_t len)
{
	return (int32_t)(conn->edge - (conn->seq + len)) >= 0;
}

/* Commands, as far as the window goes. */
static void chatter(struct conn *conn, uint32_t len)
{
	uint8_t area[SEGMENT];

	if (!is_open(conn, len))
		return;
	for (uint32_t i = 0; i < len; i++)
		area[i] = (uint8_t)line[(conn->done + i) % (sizeof(line) - 1)];
	say(conn, ACK | PSH, conn->seq, area, len);
	conn->done += len;
	conn->seq += len;
}

static void misbehave(struct conn *conn)
{
	static const uint8_t nothing[SEGMENT];

	if (conn->state != GREETED)
		return;
	switch (manner) {
	case DEAF:
	case SHUT:
		chatter(conn, SEGMENT);
		break;
	case BYTES:
		chatter(conn, 1);
		break;
	case HOLES:
		conn->done = conn->done % 8 + 1;
		say(conn, ACK, conn->seq + conn->done * (SEGMENT + 1), nothing, SEGMENT);
		break;
	case SIZES:
		chatter(conn, sizeof(line) - 1);
		break;
	default:
		break;
	}
}

static void greeted(struct conn *conn)
{
	conn->state = GREETED;
	ready_count++;
	say(conn, ACK, conn->seq, NULL, 0);
}

static void on_data(struct conn *conn, uint32_t seq, const uint8_t *data, uint32_t len)
{
	bool acknowledges = conn->state != GREETED || manner == IDLE || manner == BYTES || manner == SHUT;

	if (seq == conn->ack && acknowledges && !is_shut(conn)) {
		conn->ack += len;
		conn->heard += conn->state == GREETED ? len : 0;
	}
	if (conn->state == CONNECTED && len >= 3) {
		if (memcmp(data, "421", 3) == 0) {
			conn->state = OVER;
			refused_count++;
		} else if (conn->replied) {
			greeted(conn);
			return;
		} else {
			say(conn, ACK | PSH, conn->seq, ehlo, sizeof(ehlo) - 1);
			conn->seq += sizeof(ehlo) - 1;
			conn->replied = true;
			/* Its replies come in many pieces. */
			if (manner == SIZES)
				greeted(conn);
			return;
		}
	}
	if (acknowledges)
		say(conn, ACK, conn->seq, NULL, 0);
}

static void on_segment(struct conn *conn, const uint8_t *tcp, uint32_t len)
{
	uint32_t header = (uint32_t)(tcp[12] >> 4) * 4, seq = get32(tcp + 4), edge;

	in_count++;
	if (header < 20 || header > len || conn->state == OVER)
		return;
	edge = get32(tcp + 8) + get16(tcp + 14);
	if (tcp[13] & ACK)
		conn->acked = get32(tcp + 8);
	if (tcp[13] & RST) {
		conn->state = OVER;
		return;
	}
	if (conn->state == BEGUN) {
		if ((tcp[13] & (SYN | ACK)) != (SYN | ACK)) {
			/* An old connection of this port. */
			say(conn, RST, conn->acked, NULL, 0);
			return;
		}
		conn->state = CONNECTED;
		conn->seq = get32(tcp + 8);
		conn->ack = seq + 1;
		conn->edge = edge;
		say(conn, ACK, conn->seq, NULL, 0);
		return;
	}
	if (tcp[13] & ACK)
		conn->edge = edge;
	if (tcp[13] & SYN)
		say(conn, ACK, conn->seq, NULL, 0);
	else if (manner == SIZES && conn->state == CONNECTED && len > header)
		on_data(conn, seq, (const uint8_t *)"220", 3);
	else if (len > header)
		on_data(conn, seq, tcp + header, len - header);
	else if (is_shut(conn))
		say(conn, ACK, conn->seq, NULL, 0);
}

static void on_frame(const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETH_HLEN;
	uint32_t total, index;

	if (len < ETH_HLEN + 40 || ip[0] != 0x45 || ip[9] != IPPROTO_TCP || get32(ip + 12) != server)
		return;
	total = get16(ip + 2);
	index = get16(ip + 22) - first_port;
	if (total < 40 || total > len - ETH_HLEN || index >= conn_count ||
	    get32(ip + 16) != address_of(index))
		return;
	on_segment(&conns[index], ip + 20, total - 20);
}

static void take_frames(void)
{
	uint8_t frame[FRAME_MAX];
	ssize_t len;

	while ((len = recv(sock, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
		on_frame(frame, (uint32_t)len);
}

static void wait_us(uint64_t us)
{
	struct pollfd poll_fd = {.fd = sock, .events = POLLIN};
	struct timespec span = {.tv_sec = 0, .tv_nsec = (long)us * 1000};

	ppoll(&poll_fd, 1, &span, NULL);
	take_frames();
}

static void on_signal(int number)
{
	(void)number;
	told_to_end = 1;
}

static bool is_settled(void)
{
	for (uint32_t i = 0; i < conn_count; i++)
		if (conns[i].state < GREETED)
			return false;
	return true;
}

static void connect_all(void)
{
	uint64_t end_us = now_us() + PATIENCE_MS * 1000, again_us = 0;
	uint32_t seed = (uint32_t)now_us();

	for (uint32_t i = 0; i < conn_count; i++)
		conns[i].seq = seed + i * 99991;
	while (!is_settled() && !told_to_end && now_us() < end_us) {
		bool again = now_us() >= again_us;

		for (uint32_t i = 0; i < conn_count && again; i++) {
			if (conns[i].state == BEGUN)
				say(&conns[i], SYN, conns[i].seq, NULL, 0);
			if (i % 16 == 15)
				wait_us(1);
		}
		if (again)
			again_us = now_us() + AGAIN_MS * 1000;
		wait_us(1000);
	}
}

/* Until every window has been shut for a while. */
static void fill(void)
{
	uint64_t end_us = now_us() + PATIENCE_MS * 1000, last_us = now_us();

	while (!told_to_end && now_us() < end_us && now_us() < last_us + QUIET_MS * 1000) {
		for (uint32_t i = 0; i < conn_count; i++)
			if (conns[i].state == GREETED && is_open(&conns[i], SEGMENT)) {
				misbehave(&conns[i]);
				last_us = now_us();
				if (i % 8 == 7)
					wait_us(1);
			}
		wait_us(500);
	}
}

static void run(uint32_t rate)
{
	uint64_t start_us = now_us(), done = 0;

	while (!told_to_end) {
		uint64_t due = (now_us() - start_us) * rate / 1000000;

		/* What could not be done in time is not made up for. */
		if (due > done + 256)
			done = due - 256;
		for (; done < due; done++)
			misbehave(&conns[done % conn_count]);
		wait_us(500);
	}
	/* Only the number that is due counts, and who knows whether all has arrived. */
	for (uint32_t i = 0; i < conn_count; i++) {
		if (conns[i].state == BEGUN)
			continue;
		say(&conns[i], RST | ACK, conns[i].acked, NULL, 0);
		say(&conns[i], RST | ACK, conns[i].seq, NULL, 0);
	}
	printf("end sent %llu got %llu refused %llu\n", (unsigned long long)out_count,
		(unsigned long long)in_count, (unsigned long long)refused_count);
}

static bool read_mac(const char *text)
{
	unsigned int part[ETH_ALEN];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &part[0], &part[1], &part[2], &part[3], &part[4], &part[5]) != ETH_ALEN)
		return false;
	for (int i = 0; i < ETH_ALEN; i++)
		server_mac[i] = (uint8_t)part[i];
	return true;
}

static bool read_arguments(char **argv)
{
	char *colon = strchr(argv[3], ':');
	struct in_addr address;

	device.sll_ifindex = (int)if_nametoindex(argv[1]);
	device.sll_protocol = htons(ETH_P_IP);
	if (!device.sll_ifindex || !read_mac(argv[2]) || !colon)
		return false;
	*colon = 0;
	server_port = (uint16_t)strtoul(colon + 1, NULL, 10);
	if (!inet_aton(argv[3], &address))
		return false;
	server = ntohl(address.s_addr);
	if (!inet_aton(argv[4], &address))
		return false;
	first_client = ntohl(address.s_addr);
	conn_count = (uint32_t)strtoul(argv[5], NULL, 10);
	while (manner < MANNERS && strcmp(manners[manner], argv[6]))
		manner++;
	return conn_count && conn_count <= CONNS_MAX && manner < MANNERS;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	int size = 4 << 20;

	if (argc != 8 || !read_arguments(argv)) {
		fprintf(stderr, "hog INTERFACE MAC SERVER:PORT CLIENT COUNT MANNER RATE\n");
		return 2;
	}
	sock = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	if (sock < 0 || bind(sock, (struct sockaddr *)&device, sizeof(device))) {
		fprintf(stderr, "hog: %s\n", strerror(errno));
		return 1;
	}
	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	sigaction(SIGTERM, &action, NULL);
	first_port = FIRST_PORT + (uint32_t)getpid() % 8 * CONNS_MAX; /* not those of the one before */
	connect_all();
	if (manner == DEAF || manner == SHUT)
		fill();
	printf("ready %u\n", ready_count);
	fflush(stdout);
	run((uint32_t)strtoul(argv[7], NULL, 10));
	return 0;
}
