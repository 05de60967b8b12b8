/* rules/view_relays.c - hops: the live connection first, then what Received fields say
 *
 * A field is believed as long as every hop above it, and the one that it names, lies in trusted
 * networks or was authenticated; the first hop beyond is the last one that can be believed.
 * Internal and trusted networks are the same here: `trust` is one list.
 */
#include "mail/received.h"
#include "mail/shape.h"
#include "mail/word.h"
#include "rules/view_priv.h"

static bool trusted_addr(const struct pst_rules_input *input, const struct pst_addr *addr)
{
	static const struct pst_addr LOOP6 = {.family = PST_FAMILY_IPV6, .ip = {[15] = 1}};

	if (addr->family == PST_FAMILY_IPV4 && addr->ip[0] == 127)
		return true;
	if (pst_addr_eq(addr, &LOOP6))
		return true;
	for (uint32_t i = 0; i < input->trust_count; i++)
		if (pst_cidr_has(&input->trust[i], addr))
			return true;
	return false;
}

static bool is_private(const struct pst_addr *addr)
{
	const uint8_t *ip = addr->ip;

	if (addr->family == PST_FAMILY_IPV6)
		return (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) ||
		       pst_addr_eq(addr, &(struct pst_addr){.family = PST_FAMILY_IPV6, .ip = {[15] = 1}});
	return ip[0] == 10 || ip[0] == 127 || (ip[0] == 169 && ip[1] == 254) ||
	       (ip[0] == 172 && (ip[1] & 0xf0) == 16) || (ip[0] == 192 && ip[1] == 168) ||
	       (ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

struct chain {
	bool trusted, internal;
};

static struct pst_rules_relay *add(struct pst_rules_view *view, struct chain *chain,
				   const struct pst_rules_relay *relay)
{
	struct pst_rules_relay *slot;

	if (view->relay_count == PST_RULES_RELAYS_MAX)
		return NULL;
	slot = &view->relays[view->relay_count++];
	*slot = *relay;
	if (chain->trusted && slot->auth.len == 0 && !trusted_addr(view->input, &slot->addr))
		chain->trusted = chain->internal = false;
	slot->trusted = chain->trusted;
	slot->internal = chain->internal;
	slot->private_addr = slot->addr.family != PST_FAMILY_NONE && is_private(&slot->addr);
	view->trusted_count += chain->trusted;
	view->internal_count += chain->internal;
	return slot;
}

static int copy(struct pst_rules_view *view, struct pst_span text, struct pst_span *out)
{
	uint8_t *at = pst_buf_tail(&view->area);

	if (pst_buf_put(&view->area, text))
		return -PST_E_NOMEM;
	/* brackets and blanks would spoil the notation */
	for (uint32_t i = 0; i < text.len; i++)
		if (pst_is_space(at[i]) || pst_span_find(PST_SPAN("\0#[]()<>|"), at[i]) >= 0)
			at[i] = '!';
	*out = (struct pst_span){at, text.len};
	return 0;
}

static int add_live(struct pst_rules_view *view, struct chain *chain)
{
	const struct pst_rules_peer *peer = view->input->peer;
	struct pst_rules_relay relay = {.addr = peer->client, .field = UINT32_MAX};
	struct pst_buf text;
	uint8_t *at;

	relay.auth = peer->auth;
	relay.no_reverse_dns = peer->rdns_known && peer->rdns.len == 0;
	at = pst_rules_view_take(view, PST_ADDR_TEXT_MAX);
	if (!at)
		return -PST_E_NOMEM;
	pst_buf_init(&text, at, PST_ADDR_TEXT_MAX);
	if (peer->client.family != PST_FAMILY_NONE)
		pst_addr_put(&text, &peer->client);
	relay.ip = pst_buf_span(&text);
	if (copy(view, peer->helo, &relay.helo) || copy(view, peer->rdns, &relay.rdns) ||
	    copy(view, peer->by, &relay.by) || copy(view, peer->id, &relay.id) ||
	    copy(view, view->input->mail_from, &relay.envfrom))
		return -PST_E_NOMEM;
	add(view, chain, &relay);
	return 0;
}

static void forget_trusted(struct pst_rules_view *view)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < view->relay_count; i++)
		if (!view->relays[i].trusted || view->relays[i].field == UINT32_MAX)
			view->relays[kept++] = view->relays[i];
	view->relay_count = kept;
	view->trusted_count = view->internal_count = 0;
	for (uint32_t i = 0; i < kept; i++) {
		view->trusted_count += view->relays[i].trusted;
		view->internal_count += view->relays[i].internal;
	}
}

/* Fields of web mailers that name the browser's address: one more hop behind all others. */
static void add_originating(struct pst_rules_view *view, struct chain *chain)
{
	static const char *const NAMES[] = {"X-Yahoo-Post-IP", "X-Originating-IP", "X-Apparently-From",
					    "X-SenderIP"};

	for (uint32_t n = 0; n < PST_COUNT(NAMES); n++) {
		for (uint32_t i = view->field_count; i-- > 0;) {
			struct pst_rules_relay relay = {.field = i};
			struct pst_shape_found found;

			if (!pst_rules_field_is(&view->fields[i], pst_span_text(NAMES[n])))
				continue;
			if (pst_shape_search("{i%i}", view->fields[i].value, &found)) {
				relay.ip = pst_shape_capture(&found, 'i');
				if (pst_addr_parse(relay.ip, &relay.addr))
					relay.addr.family = PST_FAMILY_NONE;
				add(view, chain, &relay);
			}
			break;
		}
	}
}

/* Bytes above 127 are text like in any other field. */
static int parse(struct pst_rules_view *view, struct pst_span value, struct pst_mail_received *out)
{
	const uint8_t *at = pst_buf_tail(&view->area);
	bool ascii = true;

	for (uint32_t i = 0; i < value.len; i++)
		ascii = ascii && value.at[i] < 0x80;
	if (!ascii) {
		if (pst_mail_value_decode(value, false, NULL, &view->area))
			return -PST_E_NOMEM;
		value = (struct pst_span){at, (uint32_t)(pst_buf_tail(&view->area) - at)};
	}
	return pst_mail_received_parse(value, &view->area, out);
}

int pst_rules_view_find_relays(struct pst_rules_view *view)
{
	struct chain chain = {true, true};
	struct pst_span scanner_from = PST_SPAN_NONE;
	bool scanned = false, fetcher = true;
	int status = view->input->peer ? add_live(view, &chain) : 0;

	for (uint32_t i = 0; i < view->field_count && !status; i++) {
		struct pst_mail_received received;
		struct pst_rules_relay relay;
		int kind;

		if (!pst_rules_field_is(&view->fields[i], PST_SPAN("Received")))
			continue;
		kind = parse(view, view->fields[i].value, &received);
		if (kind < 0)
			return -PST_E_NOMEM;
		view->unparseable_count += kind == PST_MAIL_RECEIVED_UNKNOWN;
		if (kind == PST_MAIL_RECEIVED_FETCHER && fetcher)
			forget_trusted(view);
		if (kind != PST_MAIL_RECEIVED_HOP) {
			view->received_trusted += chain.trusted;
			view->received_internal += chain.internal;
			scanned = received.envfrom_known && kind == PST_MAIL_RECEIVED_SKIP;
			scanner_from = received.envfrom;
			continue;
		}
		relay = (struct pst_rules_relay){
			.ip = received.ip, .rdns = received.rdns, .helo = received.helo, .by = received.by,
			.ident = received.ident, .envfrom = scanned ? scanner_from : received.envfrom,
			.id = received.id, .auth = received.auth,
			.no_reverse_dns = received.no_reverse_dns, .field = i,
		};
		if (pst_addr_parse(received.ip, &relay.addr))
			relay.addr.family = PST_FAMILY_NONE;
		add(view, &chain, &relay);
		scanned = false;
		fetcher = chain.trusted;
		view->received_trusted += chain.trusted;
		view->received_internal += chain.internal;
	}
	if (!status)
		add_originating(view, &chain);
	return status;
}

static int put_relay(struct pst_buf *out, const struct pst_rules_relay *relay)
{
	const struct {
		const char *key;
		struct pst_span value;
	} pairs[] = {
		{"[ ip=", relay->ip}, {" rdns=", relay->rdns}, {" helo=", relay->helo}, {" by=", relay->by},
		{" ident=", relay->ident}, {" envfrom=", relay->envfrom},
		{" intl=", relay->internal ? PST_SPAN("1") : PST_SPAN("0")}, {" id=", relay->id},
		{" auth=", relay->auth}, {" msa=", relay->msa ? PST_SPAN("1") : PST_SPAN("0")},
		{" ]", PST_SPAN_NONE},
	};
	int status = 0;

	for (uint32_t i = 0; i < PST_COUNT(pairs) && !status; i++) {
		status = pst_buf_put_text(out, pairs[i].key);
		if (!status)
			status = pst_buf_put(out, pairs[i].value);
	}
	return status;
}

static bool wanted(const struct pst_rules_relay *relay, enum pst_rules_pseudo which)
{
	switch (which) {
	case PST_RULES_RELAYS_TRUSTED:
		return relay->trusted;
	case PST_RULES_RELAYS_UNTRUSTED:
		return !relay->trusted;
	case PST_RULES_RELAYS_INTERNAL:
		return relay->internal;
	default:
		return !relay->internal;
	}
}

int pst_rules_view_put_relays(struct pst_rules_view *view, enum pst_rules_pseudo which)
{
	bool any = false;
	int status = 0;

	for (uint32_t i = 0; i < view->relay_count && !status; i++) {
		if (!wanted(&view->relays[i], which))
			continue;
		if (any)
			status = pst_buf_put_byte(&view->area, ' ');
		if (!status)
			status = put_relay(&view->area, &view->relays[i]);
		any = true;
	}
	return status;
}

/* ---------------------------------------------------------------------------- envelope sender */

/* Behind a Received field this header may be of an earlier hand-over. */
static bool behind_received(const struct pst_rules_view *view, struct pst_span name)
{
	bool received = false;

	for (uint32_t i = 0; i < view->field_count; i++) {
		if (received && pst_rules_field_is(&view->fields[i], name))
			return true;
		received = received || pst_rules_field_is(&view->fields[i], PST_SPAN("Received"));
	}
	return false;
}

static bool fetched(struct pst_rules_view *view)
{
	struct pst_span value;

	if (pst_rules_view_named(view, PST_SPAN("X-Sender:addr"), &value) <= 0 ||
	    pst_span_find(value, '@') < 0)
		return false;
	return pst_rules_view_named(view, PST_SPAN("Received"), &value) > 0 &&
	       pst_shape_search("(fetchmail", value, NULL);
}

static struct pst_span first_line(struct pst_span text)
{
	int64_t newline = pst_span_find(text, '\n');

	return newline < 0 ? text : pst_span_sub(text, 0, (uint32_t)newline);
}

int pst_rules_view_envelope_from(struct pst_rules_view *view, struct pst_span *out)
{
	static const struct {
		const char *name, *target;
	} FIELDS[] = {
		{"X-Envelope-From", "X-Envelope-From:first:addr"},
		{"Envelope-Sender", "Envelope-Sender:first:addr"},
		{"Return-Path", "Return-Path:first:addr"},
	};
	const struct pst_rules_relay *hop = NULL;

	if (view->input->mail_from_known) {
		*out = view->input->mail_from;
		return 1;
	}
	for (uint32_t i = 0; i < view->relay_count; i++) {
		hop = &view->relays[i];
		if (!hop->trusted)
			break;
	}
	if (hop && hop->envfrom.at && (pst_span_find(hop->envfrom, '@') > 0 || hop->envfrom.len == 0)) {
		*out = hop->envfrom;
		return 1;
	}
	if (fetched(view))
		return 0;
	for (uint32_t i = 0; i < PST_COUNT(FIELDS); i++) {
		int state = pst_rules_view_named(view, pst_span_text(FIELDS[i].target), out);

		if (state < 0)
			return state;
		if (state && !behind_received(view, pst_span_text(FIELDS[i].name))) {
			*out = first_line(*out);
			return 1;
		}
		if (state && i == 0)
			return 0;
	}
	return 0;
}
