/* sim/login.c - clients that log in, rightly or wrongly, and what must come of it
 *
 * Each has a name and a password of its own, and an internal server for users knows all of them. Whoever was not told
 * 235 insists now and then, and must not get a word of mail through. Whose login a message came by is the server's
 * knowledge; the book compares it with whose letter it is.
 */
#include <stdio.h>
#include <string.h>

#include "sim/sim.h"

#define WORD_SIZE 200 /* in base64 */

static bool one_in(struct pst_rng_seed *rng, uint32_t n)
{
	return pst_rng_seed_below(rng, n) == 0;
}

static void encode(const char *in, uint32_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (uint32_t i = 0; i < len; i += 3) {
		uint32_t left = len - i, bits = (uint32_t)(uint8_t)in[i] << 16;

		bits |= left > 1 ? (uint32_t)(uint8_t)in[i + 1] << 8 : 0;
		bits |= left > 2 ? (uint32_t)(uint8_t)in[i + 2] : 0;
		for (uint32_t k = 0; k < 4; k++)
			*out++ = k > left ? '=' : digits[bits >> (18 - 6 * k) & 63];
	}
	*out = 0;
}

enum word { NAME, SECRET, BOTH };

/* What a client says to prove who it is.
 *  in  wrong: with another's password */
static void word_of(const struct sim_client *client, enum word word, bool wrong, char out[WORD_SIZE])
{
	char text[120];
	int len;

	if (word == NAME)
		len = snprintf(text, sizeof(text), SIM_USER "%u", client->number);
	else if (word == SECRET)
		len = snprintf(text, sizeof(text), SIM_PASSWORD "%u", client->number + (wrong ? 1000 : 0));
	else
		len = snprintf(text, sizeof(text), "%c" SIM_USER "%u%c" SIM_PASSWORD "%u", 0, client->number, 0,
			       client->number + (wrong ? 1000 : 0));
	encode(text, (uint32_t)len, out);
}

const char *sim_login_rubbish(struct sim_client *client)
{
	static const char *const lines[] = {"AUTH PLAIN",	"AUTH LOGIN",	   "AUTH",	   "*",
					    "AUTH PLAIN =", "AUTH LOGIN ====", "AUTH CRAM-MD5"};
	static char line[14000];
	uint32_t which = pst_rng_seed_below(&client->rng, PST_COUNT(lines) + 4), len;
	char word[WORD_SIZE];

	if (which < PST_COUNT(lines))
		return lines[which];
	word_of(client, (enum word)(which % 3), true, word);
	len = (uint32_t)snprintf(line, sizeof(line), "%s%s", which % 2 ? "AUTH PLAIN " : "", word);
	if (which == PST_COUNT(lines)) {
		memset(line + len, 'A', 13000);
		line[len + 13000] = 0;
	}
	return line;
}

void *sim_login_check(struct pst_inside *inside, struct pst_span name, struct pst_span secret)
{
	struct sim *sim = PST_CONTAINER(inside->stage, struct sim, stage);
	char first[WORD_SIZE], second[WORD_SIZE];

	for (uint32_t i = 0; i < sim->plan.client_count; i++) {
		struct sim_client *client = &sim->clients[i];

		first[0] = 0;
		if (name.len > 0)
			word_of(client, NAME, false, first);
		word_of(client, name.len > 0 ? SECRET : BOTH, false, second);
		if (pst_span_eq(name, pst_span_text(first)) && pst_span_eq(secret, pst_span_text(second)))
			return client;
	}
	return NULL;
}

/* --- the exchange ------------------------------------------------------------------------------ */

/* By how many words behind AUTH itself, and by what. */
enum { PLAIN_AT_ONCE, PLAIN_ASKED, LOGIN_AT_ONCE, LOGIN_ASKED, MECHANISMS };

const char *sim_login_begin(struct sim_client *client)
{
	static char line[WORD_SIZE + 20];
	static const uint8_t words[MECHANISMS] = {0, 1, 1, 2};
	struct sim *sim = client->sim;
	uint32_t mechanism = pst_rng_seed_below(&client->rng, MECHANISMS);
	char word[WORD_SIZE] = "";

	if (!client->secured && client->offers_auth)
		sim_wrong(sim, "client %u was offered AUTH in the clear", client->number);
	if (client->secured && !client->offers_auth)
		sim_wrong(sim, "client %u was not offered AUTH", client->number);
	if (client->logins_left == 0 || (!client->secured && one_in(&client->rng, 2)))
		return NULL;
	client->logins_left--;
	client->login_wrong = one_in(&client->rng, 4);
	client->login_words = words[mechanism];
	if (mechanism == PLAIN_AT_ONCE)
		word_of(client, BOTH, client->login_wrong, word);
	else if (mechanism == LOGIN_AT_ONCE)
		word_of(client, NAME, client->login_wrong, word);
	snprintf(line, sizeof(line), "AUTH %s%s%s", mechanism < LOGIN_AT_ONCE ? "PLAIN" : "LOGIN", word[0] ? " " : "",
		 word);
	client->login_named = mechanism == LOGIN_AT_ONCE || mechanism == LOGIN_ASKED;
	client->hasty = one_in(&client->rng, 6);
	return line;
}

const char *sim_login_word(struct sim_client *client)
{
	static char word[WORD_SIZE];
	enum word which = !client->login_named ? BOTH : client->login_words == 2 ? NAME : SECRET;

	if (client->login_words == 0)
		return NULL;
	client->login_words--;
	if (one_in(&client->rng, 10)) {
		client->login_wrong = true;
		client->login_words = 0;
		return "*";
	}
	word_of(client, which, client->login_wrong, word);
	return word;
}

bool sim_login_reply(struct sim_client *client, uint16_t code, const char **line)
{
	struct sim *sim = client->sim;

	*line = NULL;
	if (code == 235 && (client->login_wrong || client->login_words > 0 || !client->secured))
		sim_wrong(sim, "client %u was let in with a wrong password", client->number);
	client->logged_in |= code == 235;
	sim->welcome_count += code == 235;
	/* All was said; what stands behind a refusal is commands that nobody knows. */
	if (client->hasty)
		return client->due_count == 0;
	if (code == 334) {
		if (client->login_words == 0) {
			sim_wrong(sim, "client %u was asked for more than there is", client->number);
			return true;
		}
		*line = sim_login_word(client);
		return false;
	}
	if (code / 100 == 4 && code != 454 && !sim->failing)
		sim_wrong(sim, "client %u was told %u to its login", client->number, code);
	if (code / 100 == 5 && code != (client->secured ? 535 : 538))
		sim_wrong(sim, "client %u was told %u to its login", client->number, code);
	return true;
}

bool sim_login_may_be_refused(const struct sim_client *client)
{
	return client->login_wrong || client->hasty || !client->secured;
}

bool sim_login_is_deserved(const struct sim_client *client, uint16_t code)
{
	if (client->hasty)
		return true;
	if (!client->secured)
		return code == 538;
	if (client->login_words > 0)
		return code == 334;
	return code == (client->login_wrong ? 535 : 235);
}

/* --- the end ----------------------------------------------------------------------------------- */

/* Base64 has three ways to write a text, by where it begins; the first and last digit are not its alone. */
static void check_log(struct sim *sim, const char *text)
{
	struct pst_span log = pst_bytes_from(&sim->stage.log_text, 0);
	uint32_t len = (uint32_t)strlen(text);
	char shifted[64], code[WORD_SIZE];

	if (log.len > 0 && memmem(log.at, log.len, text, len))
		sim_wrong(sim, "the log has a user's \"%s\"", text);
	for (uint32_t shift = 0; shift < 3; shift++) {
		static const uint8_t skipped[] = {0, 2, 3};
		uint32_t count = (shift + len) / 3 * 4 - skipped[shift];

		memset(shifted, 'x', shift);
		memcpy(shifted + shift, text, len);
		encode(shifted, shift + len, code);
		if (log.len > 0 && memmem(log.at, log.len, code + skipped[shift], count))
			sim_wrong(sim, "the log has a user's \"%s\" in base64", text);
	}
}

void sim_login_close(struct sim *sim)
{
	uint64_t logins = sim->stage.counters.value[PST_COUNTER_logins];
	uint64_t granted = 0;

	for (uint32_t i = 0; i < sim->server_count; i++)
		granted += sim->servers[i]->login_count;
	if (sim->welcome_count > logins || logins > granted)
		sim_wrong(sim, "%u logins that clients heard of, %llu counted, %llu granted inside",
			  sim->welcome_count, (unsigned long long)logins, (unsigned long long)granted);
	if (!sim->plan.submission)
		return;
	check_log(sim, SIM_USER);
	check_log(sim, SIM_PASSWORD);
}
