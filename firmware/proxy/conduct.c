/* proxy/conduct.c - what a client was seen to do on its connection */
#include "proxy/conduct.h"

#include <string.h>

static bool is_verb(struct pst_span line, const char *verb)
{
	return pst_span_starts_nocase(line, pst_span_text(verb));
}

static const char *hasty_behind(struct pst_span line)
{
	if (is_verb(line, "DATA"))
		return "talked behind DATA";
	if (is_verb(line, "EHLO") || is_verb(line, "HELO"))
		return "talked behind HELO";
	return "pipelined before it was offered";
}

void pst_conduct_tls(struct pst_conduct *conduct, const char *how)
{
	if (!(conduct->set & PST_FACT_STARTTLS_ABUSE))
		conduct->tls = how;
	conduct->set |= PST_FACT_STARTTLS_ABUSE;
}

void pst_conduct_command(struct pst_conduct *conduct, const struct pst_smtp_event *event, bool secure,
			 struct pst_txn *txn)
{
	uint32_t before = conduct->set;
	bool tls = is_verb(event->line, "STARTTLS");

	if (tls && secure)
		pst_conduct_tls(conduct, "STARTTLS inside TLS");
	else if (tls && event->hasty)
		pst_conduct_tls(conduct, "talked behind STARTTLS in the clear");
	else if (event->hasty && !(conduct->set & PST_FACT_ILLEGAL_PIPELINING)) {
		conduct->set |= PST_FACT_ILLEGAL_PIPELINING;
		conduct->hasty = hasty_behind(event->line);
	}
	if (event->non_smtp && !(conduct->set & PST_FACT_NON_SMTP)) {
		struct pst_span said = pst_span_sub(event->line, 0, PST_CONDUCT_SAID_MAX);

		conduct->set |= PST_FACT_NON_SMTP;
		conduct->said_len = (uint8_t)said.len;
		memcpy(conduct->said, said.at, said.len);
	}
	if (txn && conduct->set != before)
		pst_conduct_tell(conduct, txn);
}

void pst_conduct_tell(const struct pst_conduct *conduct, struct pst_txn *txn)
{
	struct pst_span said = {conduct->said, conduct->said_len};
	uint8_t area[4 * PST_CONDUCT_SAID_MAX + 16];
	struct pst_buf text;

	txn->facts.set |= conduct->set;
	if (conduct->hasty)
		txn->facts.evidence[PST_FACT_NAME_ILLEGAL_PIPELINING] = pst_span_text(conduct->hasty);
	if (conduct->tls)
		txn->facts.evidence[PST_FACT_NAME_STARTTLS_ABUSE] = pst_span_text(conduct->tls);
	if (said.len == 0)
		return;
	pst_buf_init(&text, area, sizeof(area));
	if (pst_buf_put_text(&text, "said \"") < 0)
		return;
	pst_buf_put_escaped(&text, said, 4 * PST_CONDUCT_SAID_MAX);
	if (pst_buf_put_text(&text, "\"") < 0)
		return;
	txn->facts.evidence[PST_FACT_NAME_NON_SMTP] =
		pst_arena_copy(&txn->arena, pst_buf_span(&text));
}
