/* sim/hostile.c - a client that says anything
 *
 * It does not look at replies. What it sends is made of whole commands, of transactions without a
 * pause, and of rubbish. Lines that could begin a transaction stand in commands only, never in a body:
 * if its DATA is refused, what follows is commands, and nobody could say what should come of them.
 */
#include <stdio.h>
#include <string.h>

#include "sim/sim.h"

static uint32_t below(struct sim_client *client, uint32_t n)
{
	return pst_rng_seed_below(&client->rng, n);
}

static void say_text(struct sim_client *client, const char *text)
{
	for (const char *at = text; *at; at++)
		client->line_count += *at == '\n';
	sim_client_say(client, pst_span_text(text));
}

static void say_rubbish(struct sim_client *client)
{
	uint8_t area[3000];
	uint32_t len = below(client, below(client, 4) ? 80 : sizeof(area));

	for (uint32_t i = 0; i < len; i++)
		area[i] = (uint8_t)below(client, 256);
	for (uint32_t i = 0; i < len; i++)
		client->line_count += area[i] == '\n' || area[i] == '\r' || area[i] == 0;
	sim_client_say(client, (struct pst_span){area, len});
}

static void say_long(struct sim_client *client)
{
	uint32_t len = 1000 + below(client, 20000);
	uint8_t area[21000];

	memset(area, 'a', len);
	memcpy(area + len - 2, "\r\n", 2);
	client->line_count++;
	sim_client_say(client, (struct pst_span){area, len});
}

/* The letter's own lines may look like commands, so a plain one is sent in its place. */
static void say_transaction(struct sim_client *client)
{
	struct sim_letter *letter =
		client->letter_at < client->letter_count ? client->letters[client->letter_at++] : NULL;
	char text[400];

	if (!letter)
		return;
	letter->blind = true;
	letter->mail_count++;
	pst_bytes_cut(&letter->canonical, 0);
	pst_bytes_print(&letter->canonical, "Subject: %u\r\n\r\nblind\r\n..dot\r\n", letter->number);
	letter->field_first = true;
	snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", letter->sender,
		 letter->rcpts[0].mailbox);
	say_text(client, text);
	snprintf(text, sizeof(text), "Subject: %u\r\n\r\nblind\r\n..dot\r\n.\r\n", letter->number);
	say_text(client, text);
}

/* The announced octets are no commands, whatever becomes of the chunk. */
static void say_chunk(struct sim_client *client)
{
	static const char *const sizes[] = {"0 LAST", "5", "18446744073709551616", "-1", "", "1 LAST X"};
	char text[100];

	snprintf(text, sizeof(text), "BDAT %s\r\n", sizes[below(client, PST_COUNT(sizes))]);
	say_text(client, text);
}

void sim_client_hostile(struct sim_client *client)
{
	static const char *const commands[] = {
		"EHLO evil.example\r\n", "HELO evil\r\n",	    "RSET\r\n",
		"NOOP\r\n",		 "VRFY u1\r\n",		    "HELP\r\n",
		"DATA\r\n",		 "RCPT TO:<u9@in.example>\r\n", "MAIL FROM:<>\r\n",
		"STARTTLS\r\n",		 "\r\n",		    "EHLO\r\n",
		"GET / HTTP/1.1\r\n",	 "RCPT TO:<a%b@in.example>\r\n", "AUTH PLAIN AAAA\r\n",
		"MAIL FROM:<x@y> SIZE=99999999999\r\n", "NOOP\n", "RSET\r", ".\r\n", "\r\n.\r\n",
	};
	const struct sim_plan *plan = &client->sim->plan;
	uint32_t count = 1 + below(client, 30);

	if (below(client, 4))
		say_text(client, "EHLO evil.example\r\n");
	for (uint32_t i = 0; i < count; i++) {
		if (plan->submission && client->listener == plan->submission_listener && below(client, 2)) {
			say_text(client, sim_login_rubbish(client));
			say_text(client, "\r\n");
			continue;
		}
		switch (below(client, 10)) {
		case 0:
			say_rubbish(client);
			break;
		case 1:
			say_long(client);
			break;
		case 2:
		case 3:
			say_transaction(client);
			break;
		case 4:
			say_chunk(client);
			break;
		default:
			say_text(client, commands[below(client, PST_COUNT(commands))]);
			break;
		}
	}
	if (below(client, 2))
		say_text(client, "QUIT\r\n");
	if (below(client, 2))
		pst_peer_end(client->peer, PST_PEER_SHUT + (enum pst_peer_end)below(client, 3));
}
