/* proxy/txn.c - one transaction, see txn.h
 *
 * Hold or stream: a message is collected while it is below `hold` and pages are to be had; then the
 * verdict comes first and the internal server never hears of a refused message. Beyond, it streams
 * through a window, and only the final dot is withheld: a refusal then drops the internal
 * connection in the middle of the data, which no server may take for a message.
 *
 * Rejected: opening the internal DATA for every message at once. It would save the held memory, but
 * each refusal would cost an internal connection, and no header of ours could tell of the verdict.
 */
#include "proxy/txn_priv.h"

#include <string.h>

#include "proxy/headers.h"
#include "proxy/kept.h"

/* The largest piece the decoder hands over at once: what a link's buffer holds, and stuffing. */
#define PIECE_BYTES_MAX 16384

static void on_relay_event(struct pst_relay_tx *tx, const struct pst_relay_event *event);
static void on_task(struct pst_task *task);
static void tell_room(struct pst_txn *txn);

struct pst_txn *pst_txn_new(struct pst_txns *txns, struct pst_proxy_conf *conf,
			    const struct pst_facts *facts, const struct pst_smtp_event *mail,
			    struct pst_knock *knock, const struct pst_txn_owner *owner,
			    void *session)
{
	struct pst_txn *txn = pst_pool_get_zeroed(&txns->pool);
	struct pst_span ret, envid;

	if (!txn)
		return NULL;
	txn->txns = txns;
	txn->owner = owner;
	txn->session = session;
	txn->share.hold = txns->hold;
	txn->arena.share = &txn->share;
	txn->facts = *facts;
	txn->facts.utf8 = mail->mail.utf8;
	txn->facts.helo = pst_arena_copy(&txn->arena, facts->helo);
	txn->facts.sender = pst_arena_copy(&txn->arena, mail->path.mailbox);
	ret = pst_arena_copy(&txn->arena, mail->mail.dsn.ret);
	envid = pst_arena_copy(&txn->arena, mail->mail.dsn.envid);
	txn->facts.tls_version = pst_arena_copy(&txn->arena, facts->tls_version);
	txn->facts.tls_cipher = pst_arena_copy(&txn->arena, facts->tls_cipher);
	if (!(facts->set & PST_FACT_TRUSTED))
		txn->share.client = pst_client_get(txns->clients, &facts->client);
	if (!txn->facts.helo.at || !txn->facts.sender.at || !txn->facts.tls_version.at ||
	    !txn->facts.tls_cipher.at || !ret.at || !envid.at ||
	    (!(facts->set & PST_FACT_TRUSTED) && !txn->share.client)) {
		if (txn->share.client)
			pst_client_put(txns->clients, txn->share.client);
		pst_arena_free(&txn->arena);
		pst_pool_put(&txns->pool, txn);
		return NULL;
	}
	txn->conf = pst_proxy_conf_ref(conf);
	txn->bytes_max = conf->policy.message_bytes_max;
	txn->start_ms = txns->env->loop->now_ms;
	txn->task.on_run = on_task;
	pst_message_init(&txn->message, &txn->share, conf->header_bytes_max);
	txn->tx = (struct pst_relay_tx){
		.on_event = on_relay_event,
		.conf = &conf->relay,
		.identity =
			{
				.client = txn->facts.client,
				.service = txn->facts.service,
				.helo = txn->facts.helo,
				.esmtp = txn->facts.esmtp,
			},
		.mail = {
			.mailbox = txn->facts.sender,
			.size_bytes = mail->mail.size_bytes,
			.eight_bit = mail->mail.body == PST_SMTP_BODY_8BITMIME,
			.utf8 = mail->mail.utf8,
			.require_tls = mail->mail.require_tls,
			.dsn = {ret, envid},
		},
	};
	pst_list_append(&txns->all, &txn->node);
	pst_count(txns->env->counters, PST_COUNTER_transactions);
	pst_txn_begin_checks(txn, knock);
	return txn;
}

/* Over: record it, let everything go; the memory is freed at the end of the turn. */
static void close_txn(struct pst_txn *txn, bool final_lost)
{
	PST_BUG_ON(txn->phase == PST_TXN_OVER);
	txn->phase = PST_TXN_OVER;
	pst_txn_record(txn, final_lost);
	pst_txn_return_fates(txn);
	pst_loop_forget(&txn->task);
	pst_rule_query_cancel(txn->txns->rules, &txn->rules);
	pst_txn_end_checks(txn);
	pst_relay_end(&txn->tx);
	pst_list_remove(&txn->node);
	pst_list_append(&txn->txns->dead, &txn->node);
}

void pst_txns_reap(struct pst_txns *txns)
{
	struct pst_node *node;

	while ((node = pst_list_pop(&txns->dead))) {
		struct pst_txn *txn = PST_CONTAINER(node, struct pst_txn, node);

		pst_message_free(&txn->message);
		pst_arena_free(&txn->arena);
		pst_knock_unref(txn->knock);
		PST_BUG_ON(txn->share.page_count > 0);
		if (txn->share.client)
			pst_client_put(txns->clients, txn->share.client);
		pst_proxy_conf_unref(txn->conf);
		pst_pool_put(&txns->pool, txn);
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

struct pst_smtp_reply pst_txn_reply_of(enum pst_reason reason)
{
	const struct pst_reason_reply *words = pst_reason_reply(reason);

	return (struct pst_smtp_reply){
		.code = words->code,
		.enhanced = PST_SMTP_ENHANCED(words->class, words->subject, words->detail),
		.text = words->text,
	};
}

static void finish(struct pst_txn *txn, const struct pst_smtp_reply *reply, bool final_lost)
{
	void *session = txn->session;
	const struct pst_txn_owner *owner = txn->owner;

	if (session && reply)
		txn->client_code = reply->code;
	txn->session = NULL;
	close_txn(txn, final_lost);
	if (session)
		owner->on_final(session, reply);
}

void pst_txn_finish_for(struct pst_txn *txn, enum pst_reason reason, bool final_lost)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(reason);

	finish(txn, &reply, final_lost);
}

void pst_txn_note_relay_reply(struct pst_txn *txn, const struct pst_relay_event *event)
{
	struct pst_span text = pst_span_sub(event->text, 0, sizeof(txn->relay_text));

	txn->relay_code = event->code;
	txn->relay_enhanced = event->enhanced;
	txn->relay_text_len = (uint8_t)text.len;
	if (text.len > 0)
		memcpy(txn->relay_text, text.at, text.len);
}

struct pst_smtp_reply pst_txn_refusal(const struct pst_txn *txn,
				      const struct pst_relay_event *event, bool at_rcpt,
				      struct pst_buf *area)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(PST_REASON_relay_refused);

	if (event->ours || event->code == 421 || event->code < 400)
		return pst_txn_reply_of(PST_REASON_relay_failed);
	reply.code = event->code;
	reply.enhanced = event->enhanced;
	if (reply.enhanced.class == 0) {
		reply.enhanced.class = (uint8_t)(event->code / 100);
		if (event->code % 100 == 52)
			reply.enhanced.subject = at_rcpt ? 2 : 3;
		else
			reply.enhanced.subject = at_rcpt ? 1 : 0;
		reply.enhanced.detail = event->code % 100 == 52 ? (at_rcpt ? 2 : 4) : 0;
	}
	if (at_rcpt)
		reply.text = PST_SPAN("Recipient refused by the internal mail server");
	if (txn->route->text_pass && event->text.len > 0) {
		pst_buf_put_escaped(area, event->text, 200);
		reply.text = pst_buf_span(area);
	}
	return reply;
}

/* ---- data ------------------------------------------------------------------------------------ */

static void begin_data(struct pst_txn *txn)
{
	txn->phase = PST_TXN_COLLECT;
	txn->relay_code = 0; /* of refused recipients, told already */
	txn->relay_text_len = 0;
	txn->rcpt_reason = PST_REASON_none;
}

bool pst_txn_data(struct pst_txn *txn)
{
	if (txn->relay_dead)
		return false;
	begin_data(txn);
	return true;
}

void pst_txn_chunked_data(struct pst_txn *txn)
{
	begin_data(txn);
	txn->facts.set |= PST_FACT_CHUNKED;
	if (txn->relay_dead)
		txn->reason = PST_REASON_relay_failed;
}

bool pst_txn_doomed(const struct pst_txn *txn, struct pst_smtp_reply *reply, struct pst_buf *text)
{
	struct pst_relay_event event = {
		.code = txn->relay_code,
		.enhanced = txn->relay_enhanced,
		.text = {txn->relay_text, txn->relay_text_len},
	};

	if (txn->reason == PST_REASON_relay_refused)
		*reply = pst_txn_refusal(txn, &event, false, text);
	else if (txn->reason != PST_REASON_none)
		*reply = pst_txn_reply_of((enum pst_reason)txn->reason);
	else if (txn->relay_dead)
		*reply = pst_txn_reply_of(PST_REASON_relay_failed);
	else
		return false;
	return true;
}

/* The message will not be taken: read on to its end, keep nothing. */
static void stop_taking(struct pst_txn *txn, enum pst_reason reason)
{
	txn->reason = (uint8_t)reason;
	pst_message_free(&txn->message);
	txn->paused = false;
	if (txn->phase == PST_TXN_STREAM) {
		pst_relay_end(&txn->tx);
		txn->relay_dead = true;
		txn->body_open = false;
	}
}

static void learn(struct pst_txn *txn, const struct pst_smtp_data *data)
{
	txn->facts.bare_newline_count = data->bare_newline_count;
	if (data->bare_newline_count > 0)
		txn->facts.set |= PST_FACT_BARE_NEWLINE;
	if (data->nul_count > 0)
		txn->facts.set |= PST_FACT_NUL;
	if (data->line_bytes_max > 998)
		txn->facts.set |= PST_FACT_LONG_LINE;
	if (data->eight_bit)
		txn->facts.set |= PST_FACT_EIGHT_BIT;
}

static bool write_trace(struct pst_txn *txn)
{
	const struct pst_policy_conf *policy = &txn->conf->policy;
	struct pst_trace trace = {
		.hostname = txn->conf->hostname,
		.rcpt = txn->facts.rcpt_count == 1 ? txn->tx.accepted->mailbox : PST_SPAN_NONE,
		.id = txn->id,
		.wall_ms = txn->txns->env->loop->wall_ms,
		.judged = !(txn->facts.set & PST_FACT_SUBMITTED) && policy->mode != PST_MODE_OBSERVE &&
			  (txn->checked || pst_txn_rules(txn) || txn->facts.hits.count > 0),
		.results = txn->checked && policy->mode != PST_MODE_OBSERVE ? &txn->results : NULL,
		.spam = txn->verdict.action == PST_ACTION_TAG ||
			txn->verdict.action == PST_ACTION_QUARANTINE,
		.spam_line = policy->lines[PST_ACTION_TAG],
		.subject = policy->mode != PST_MODE_OBSERVE ? policy->subject : PST_SPAN_NONE,
	};

	if (pst_headers_write(&txn->message, &txn->facts, &trace) == 0)
		return true;
	txn->facts.set |= PST_FACT_OUT_OF_MEMORY;
	return false;
}

/* It has grown too large to be held: what there is of it is judged, and then goes on or does not. */
static void prepare_streaming(struct pst_txn *txn)
{
	enum pst_reason reason = pst_policy_message(&txn->conf->policy, &txn->facts);

	if (reason != PST_REASON_none) {
		stop_taking(txn, reason);
		return;
	}
	txn->facts.set |= PST_FACT_PARTIAL;
	txn->stream_due = true;
	pst_txn_judge(txn);
}

static void begin_streaming(struct pst_txn *txn)
{
	txn->stream_due = false;
	if (txn->reason == PST_REASON_none && !txn->dropped && !write_trace(txn))
		txn->reason = PST_REASON_memory;
	if (txn->reason != PST_REASON_none || txn->dropped) {
		stop_taking(txn, (enum pst_reason)txn->reason);
		return;
	}
	txn->phase = PST_TXN_STREAM;
	pst_count(txn->txns->env->counters, PST_COUNTER_streamed);
	pst_relay_data(&txn->tx);
}

/* All of it is here, so one chunk will do. */
static void begin_chunk(struct pst_txn *txn)
{
	struct pst_buf command;

	pst_buf_init(&command, txn->bdat, sizeof(txn->bdat));
	if (pst_buf_printf(&command, "BDAT %llu LAST\r\n",
			   (unsigned long long)pst_message_raw_bytes(&txn->message)) < 0)
		PST_BUG_ON(true);
	txn->bdat_len = (uint8_t)command.len;
	txn->bdat_off = 0;
	txn->raw = (struct pst_message_raw){0};
}

static uint32_t chunk_spans(const struct pst_txn *txn, struct pst_span *spans, uint32_t count_max)
{
	struct pst_message_raw walk = txn->raw;
	uint32_t count = 0;

	if (txn->bdat_off < txn->bdat_len)
		spans[count++] = (struct pst_span){&txn->bdat[txn->bdat_off],
						   (uint32_t)txn->bdat_len - txn->bdat_off};
	while (count < count_max) {
		spans[count] = pst_message_raw_next(&txn->message, &walk, UINT64_MAX);
		if (spans[count].len == 0)
			break;
		count++;
	}
	return count;
}

static uint32_t next_spans(const struct pst_txn *txn, bool with_dot, struct pst_span *spans,
			   uint32_t count_max)
{
	return txn->chunked_inside ? chunk_spans(txn, spans, count_max)
				   : pst_message_spans(&txn->message, &txn->cursor, with_dot, spans,
						       count_max);
}

static void advance(struct pst_txn *txn, uint64_t sent)
{
	uint32_t of_command = (uint32_t)PST_MIN(sent, (uint64_t)txn->bdat_len - txn->bdat_off);

	if (!txn->chunked_inside) {
		pst_message_advance(&txn->message, &txn->cursor, sent, !txn->tx.body_kept);
		return;
	}
	txn->bdat_off = (uint8_t)(txn->bdat_off + of_command);
	for (sent -= of_command; sent > 0;)
		sent -= pst_message_raw_next(&txn->message, &txn->raw, sent).len;
}

static bool is_all_out(const struct pst_txn *txn)
{
	struct pst_span span;

	return txn->chunked_inside ? chunk_spans(txn, &span, 1) == 0
				   : pst_message_at_end(&txn->cursor);
}

/* Write what there is, and the dot behind it once the message is good and whole. */
static void pump(struct pst_txn *txn)
{
	bool with_dot = txn->phase == PST_TXN_COMMIT;
	struct pst_span spans[PST_NET_SPANS_MAX - 1];
	uint32_t count;

	if (!txn->body_open)
		return;
	if (with_dot && txn->session && !txn->owner->client_is_there(txn->session)) {
		finish(txn, NULL, false);
		return;
	}
	while ((count = next_spans(txn, with_dot, spans, PST_COUNT(spans))) > 0) {
		uint64_t total = 0;
		int64_t sent = pst_relay_write(&txn->tx, spans, count);

		if (sent < 0) {
			txn->body_open = false;
			return;
		}
		for (uint32_t i = 0; i < count; i++)
			total += spans[i].len;
		advance(txn, (uint64_t)sent);
		if ((uint64_t)sent < total)
			break;
	}
	if (with_dot && is_all_out(txn)) {
		txn->phase = PST_TXN_FINAL;
		pst_relay_dot_written(&txn->tx);
		pst_message_free(&txn->message);
	}
}

/* Another piece can be taken now: there is room, or everything is out and the overdraft unused. */
static bool has_room(const struct pst_txn *txn)
{
	if (txn->message.body_bytes == 0)
		return true;
	return txn->message.body_bytes < PST_TXN_WINDOW_BYTES &&
	       pst_message_has_room(&txn->message, PIECE_BYTES_MAX);
}

/* The header is complete: what it says of itself, and what came of the body with it. */
static void look_at_header(struct pst_txn *txn)
{
	pst_headers_look(&txn->message, &txn->facts, txn->conf->hostname);
	if (txn->facts.set & PST_FACT_SUBMITTED || txn->txns->ledger->entry_count == 0 || txn->message.header_unseen)
		return;
	pst_hasher_init(&txn->content, &txn->txns->ledger->key);
	if (!pst_headers_identify(&txn->message, &txn->content))
		return;
	txn->content_hash = 1; /* will have one */
	for (const struct pst_page *page = txn->message.first; page; page = page->next)
		pst_hasher_add(&txn->content, (struct pst_span){page->data, page->len});
}

static void take_piece(struct pst_txn *txn, struct pst_span wire, const struct pst_smtp_data *data)
{
	bool header_was_done = txn->message.header_done;

	if (pst_message_append(&txn->message, wire) < 0) {
		txn->facts.set |= PST_FACT_OUT_OF_MEMORY;
		stop_taking(txn, PST_REASON_memory);
		return;
	}
	for (uint32_t i = 0; i < data->edit_count && data->content; i++)
		pst_message_edit(&txn->message, &data->edits[i]);
	if (!header_was_done && txn->message.header_done)
		look_at_header(txn);
	else if (txn->content_hash)
		pst_hasher_add(&txn->content, wire);
	if (txn->phase == PST_TXN_COLLECT && txn->message.header_done &&
	    (txn->message.bytes > txn->conf->hold_bytes_max ||
	     !pst_message_has_room(&txn->message, PIECE_BYTES_MAX)))
		prepare_streaming(txn);
}

bool pst_txn_body(struct pst_txn *txn, struct pst_span wire, const struct pst_smtp_data *data)
{
	txn->facts.size_bytes += wire.len;
	learn(txn, data);
	if (txn->reason != PST_REASON_none || txn->dropped)
		return true;
	if (txn->facts.size_bytes > txn->bytes_max) {
		txn->facts.set |= PST_FACT_OVERSIZE;
		stop_taking(txn, PST_REASON_message_size);
		return true;
	}
	if (wire.len > 0)
		take_piece(txn, wire, data);
	if (txn->stream_due) {
		txn->paused = true;
		return false;
	}
	if (txn->phase != PST_TXN_STREAM || txn->reason != PST_REASON_none)
		return true;
	pump(txn);
	if (has_room(txn))
		return true;
	txn->paused = true;
	return false;
}

/* All of it is here and what becomes of it is known, but for the ledger's word. */
static void commit(struct pst_txn *txn, bool streaming)
{
	bool goes_on = txn->reason == PST_REASON_none && !txn->dropped;

	if (goes_on && !streaming && !write_trace(txn)) {
		txn->reason = PST_REASON_memory;
		goes_on = false;
	}
	txn->phase = PST_TXN_COMMIT;
	if (goes_on && txn->content_hash)
		pst_txn_ask_ledger(txn, streaming);
	if (goes_on && txn->verdict.action == PST_ACTION_QUARANTINE && !txn->replayed &&
	    !streaming && pst_txn_quarantine(txn))
		return;
	if (goes_on && !txn->replayed && !txn->relay_dead && !streaming) {
		txn->tx.body_kept = true;
		txn->tx.may_chunk = txn->message.edit_count > 0 && !txn->message.edits_lost;
		pst_relay_data(&txn->tx);
	} else {
		pst_loop_resume(txn->txns->env->loop, &txn->task);
	}
}

void pst_txn_settled(struct pst_txn *txn)
{
	if (pst_txn_offer_waiting(txn))
		return;
	if (txn->phase == PST_TXN_JUDGE || txn->stream_due)
		pst_txn_judge(txn);
}

void pst_txn_judged(struct pst_txn *txn)
{
	if (txn->phase == PST_TXN_JUDGE) {
		commit(txn, false);
	} else if (txn->stream_due) {
		bool was_paused = txn->paused;

		begin_streaming(txn);
		txn->paused = was_paused;
		tell_room(txn);
	}
}

void pst_txn_end(struct pst_txn *txn, const struct pst_smtp_data *data)
{
	bool streaming = txn->phase == PST_TXN_STREAM;

	learn(txn, data);
	if (!txn->message.header_done && txn->reason == PST_REASON_none) {
		pst_message_end(&txn->message);
		look_at_header(txn);
	}
	if (txn->content_hash)
		txn->content_hash = pst_hasher_end(&txn->content) | 1;
	if (txn->reason == PST_REASON_none)
		txn->reason = (uint8_t)pst_policy_message(&txn->conf->policy, &txn->facts);
	if (txn->reason != PST_REASON_none || txn->judged) {
		commit(txn, streaming);
		return;
	}
	txn->phase = PST_TXN_JUDGE;
	pst_txn_judge(txn);
}

static void on_task(struct pst_task *task)
{
	struct pst_txn *txn = PST_CONTAINER(task, struct pst_txn, task);

	if (txn->rcpt_pending && !txn->offered) {
		struct pst_smtp_reply reply = pst_txn_reply_of((enum pst_reason)txn->rcpt_reason);

		pst_txn_tell_recipient(txn, &reply);
	} else if (txn->phase == PST_TXN_COMMIT && txn->reason != PST_REASON_none) {
		struct pst_smtp_reply reply;
		uint8_t area[256];
		struct pst_buf text;

		pst_buf_init(&text, area, sizeof(area));
		if (!pst_txn_doomed(txn, &reply, &text))
			PST_BUG_ON(true);
		finish(txn, &reply, false);
	} else if (txn->phase == PST_TXN_COMMIT && txn->dropped) {
		static const struct pst_smtp_reply taken = {250, {2, 0, 0}, PST_SPAN("Ok")};

		finish(txn, &taken, false);
	} else if (txn->phase == PST_TXN_COMMIT && txn->replayed) {
		static const struct pst_smtp_reply again = {
			250, {2, 0, 0}, {(const uint8_t *)"Ok, delivered before", 20}};

		/* Whoever did not hear it this time either will ask once more. */
		pst_txn_note_outcome(txn, again.code);
		finish(txn, &again, false);
	} else if (txn->phase == PST_TXN_COMMIT && txn->relay_dead) {
		pst_txn_finish_for(txn, PST_REASON_relay_failed, false);
	} else if (txn->phase == PST_TXN_COMMIT) {
		pump(txn);
	}
}

/* ---- the internal half ----------------------------------------------------------------------- */

static void tell_room(struct pst_txn *txn)
{
	if (!txn->paused || (txn->reason == PST_REASON_none && !has_room(txn)))
		return;
	txn->paused = false;
	if (txn->session)
		txn->owner->on_room(txn->session);
}

/* A refusal while the client is still sending waits for the true end of data. */
static void refused_inside(struct pst_txn *txn, const struct pst_relay_event *event)
{
	enum pst_reason reason = event->ours ? PST_REASON_relay_failed : PST_REASON_relay_refused;
	uint8_t area[256];
	struct pst_buf text;
	struct pst_smtp_reply reply;

	pst_txn_note_relay_reply(txn, event);
	if (txn->phase == PST_TXN_STREAM) {
		bool was_paused = txn->paused;

		stop_taking(txn, reason);
		txn->paused = was_paused;
		tell_room(txn);
		return;
	}
	pst_buf_init(&text, area, sizeof(area));
	reply = pst_txn_refusal(txn, event, false, &text);
	txn->reason = (uint8_t)reason;
	finish(txn, &reply, false);
}

static void on_data_reply(struct pst_txn *txn, const struct pst_relay_event *event)
{
	if (event->code != 354) {
		refused_inside(txn, event);
		return;
	}
	txn->body_open = true;
	txn->cursor = (struct pst_message_cursor){0};
	txn->chunked_inside = event->chunked;
	if (event->chunked)
		begin_chunk(txn);
	pump(txn);
	if (txn->phase == PST_TXN_STREAM)
		tell_room(txn);
}

static void on_final(struct pst_txn *txn, const struct pst_relay_event *event)
{
	struct pst_smtp_reply reply = {250, PST_SMTP_ENHANCED(2, 0, 0), PST_SPAN("Ok, delivered")};

	if (event->rcpt) {
		PST_CONTAINER(event->rcpt, struct pst_rcpt, relay)->final_code = event->code;
		if (!event->last)
			return;
		if (pst_txn_fates_differ(txn)) {
			pst_txn_note_relay_reply(txn, event);
			pst_txn_note_fates(txn);
			txn->partial = true;
			txn->reason = PST_REASON_fates;
			pst_txn_finish_for(txn, PST_REASON_fates, false);
			return;
		}
	}
	if (event->code / 100 != 2) {
		refused_inside(txn, event);
		return;
	}
	pst_txn_note_relay_reply(txn, event);
	pst_txn_note_outcome(txn, reply.code);
	if (txn->verdict.action == PST_ACTION_ACCEPT)
		pst_kept_delivery(txn->txns->env, &txn->facts.client);
	finish(txn, &reply, false);
}

static void on_failed(struct pst_txn *txn, const struct pst_relay_event *event)
{
	bool was_paused = txn->paused;

	txn->relay_dead = true;
	txn->relay_trouble = event->reason;
	txn->body_open = false;
	switch ((enum pst_txn_phase)txn->phase) {
	case PST_TXN_ENVELOPE:
		if (txn->offered && !txn->rcpt_waits) {
			struct pst_smtp_reply reply = pst_txn_reply_of(PST_REASON_relay_failed);

			txn->offered = NULL;
			txn->rcpt_reason = PST_REASON_relay_failed;
			pst_txn_tell_recipient(txn, &reply);
		}
		break;
	case PST_TXN_STREAM:
		stop_taking(txn, PST_REASON_relay_failed);
		txn->paused = was_paused;
		tell_room(txn);
		break;
	case PST_TXN_COMMIT:
	case PST_TXN_FINAL:
		if (pst_txn_fates_differ(txn)) {
			pst_txn_note_fates(txn);
			txn->partial = true;
		}
		txn->reason = PST_REASON_relay_failed;
		pst_txn_finish_for(txn, PST_REASON_relay_failed, event->final_lost);
		break;
	case PST_TXN_COLLECT: /* told at the end of data */
	case PST_TXN_JUDGE:
	case PST_TXN_OVER:
		break;
	}
}

static void on_relay_event(struct pst_relay_tx *tx, const struct pst_relay_event *event)
{
	struct pst_txn *txn = PST_CONTAINER(tx, struct pst_txn, tx);

	/* The answer stands, and the task is about to tell it. Whatever comes from inside now, nothing
	 * more may go there, least of all a streamed message's dot. */
	if (txn->phase == PST_TXN_COMMIT &&
	    (txn->reason != PST_REASON_none || txn->replayed || txn->dropped))
		return;
	switch (event->kind) {
	case PST_RELAY_RCPT:
		pst_txn_on_recipient(txn, event);
		break;
	case PST_RELAY_DATA:
		on_data_reply(txn, event);
		break;
	case PST_RELAY_WRITABLE:
		pump(txn);
		if (txn->phase == PST_TXN_STREAM)
			tell_room(txn);
		break;
	case PST_RELAY_FINAL:
		on_final(txn, event);
		break;
	case PST_RELAY_FAILED:
		on_failed(txn, event);
		break;
	}
}

/* ---- the end --------------------------------------------------------------------------------- */

void pst_txn_leave(struct pst_txn *txn, uint16_t code)
{
	txn->session = NULL;
	if (code)
		txn->client_code = code;
	if (txn->phase != PST_TXN_FINAL)
		close_txn(txn, false);
}

void pst_txn_kill(struct pst_txn *txn)
{
	txn->session = NULL;
	close_txn(txn, txn->phase == PST_TXN_FINAL);
}
