/* smtp/client.c - commands out, replies in */
#include <string.h>

#include "smtp/client.h"

#define XFORWARD_MAX 512      /* octets of the command with its CRLF (RFC 5321 4.5.3.1.4) */
#define XFORWARD_VALUE_MAX 255 /* octets that Postfix keeps of a value */

/* Which classes of replies each command can have; DATA and the greeting have one positive code. */
static const uint16_t POSITIVE[PST_SMTP_CMD_COUNT] = {
	[PST_SMTP_CMD_GREETING] = 220,
	[PST_SMTP_CMD_DATA] = 354,
	[PST_SMTP_CMD_AUTH] = 235,
	[PST_SMTP_CMD_STARTTLS] = 220,
};

void pst_smtp_client_init(struct pst_smtp_client *core)
{
	memset(core, 0, sizeof(*core));
	core->due[0] = PST_SMTP_CMD_GREETING;
	core->due_count = 1;
}

static int due_add(struct pst_smtp_client *core, enum pst_smtp_command command)
{
	if (core->due_count == PST_SMTP_DUE_MAX)
		return -PST_E_FULL;
	core->due[core->due_count++] = (uint8_t)command;
	return 0;
}

/* Append the parts and CRLF as one command, or nothing. Control bytes never get here from a peer:
 * the path grammar has none, and host names are the configuration's. */
static int command_put(struct pst_smtp_client *core, struct pst_buf *out,
		       enum pst_smtp_command command, const struct pst_span *parts, uint32_t count)
{
	uint64_t len = 2;
	int failed = 0;

	for (uint32_t i = 0; i < count; i++) {
		len += parts[i].len;
		for (uint32_t k = 0; k < parts[i].len; k++)
			PST_BUG_ON(parts[i].at[k] < 0x20 || parts[i].at[k] == 0x7f);
	}
	if (pst_buf_room(out) < len || due_add(core, command))
		return -PST_E_FULL;
	for (uint32_t i = 0; i < count; i++)
		failed |= pst_buf_put(out, parts[i]);
	failed |= pst_buf_put(out, PST_SPAN("\r\n"));
	PST_BUG_ON(failed);
	return 0;
}

int pst_smtp_client_ehlo(struct pst_smtp_client *core, struct pst_buf *out,
			 struct pst_span hostname)
{
	const struct pst_span parts[] = {PST_SPAN("EHLO "), hostname};

	return command_put(core, out, PST_SMTP_CMD_EHLO, parts, PST_COUNT(parts));
}

int pst_smtp_client_helo(struct pst_smtp_client *core, struct pst_buf *out,
			 struct pst_span hostname)
{
	const struct pst_span parts[] = {PST_SPAN("HELO "), hostname};

	return command_put(core, out, PST_SMTP_CMD_HELO, parts, PST_COUNT(parts));
}

int pst_smtp_client_lhlo(struct pst_smtp_client *core, struct pst_buf *out,
			 struct pst_span hostname)
{
	const struct pst_span parts[] = {PST_SPAN("LHLO "), hostname};

	return command_put(core, out, PST_SMTP_CMD_EHLO, parts, PST_COUNT(parts));
}

/* RFC 3461 section 4. */
static int xtext_put(struct pst_buf *out, struct pst_span text)
{
	static const char HEX[] = "0123456789ABCDEF";
	int failed = 0;

	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c > 0x20 && c < 0x7f && c != '+' && c != '=') {
			failed |= pst_buf_put_byte(out, c);
			continue;
		}
		failed |= pst_buf_put_byte(out, '+');
		failed |= pst_buf_put_byte(out, (uint8_t)HEX[c >> 4]);
		failed |= pst_buf_put_byte(out, (uint8_t)HEX[c & 15]);
	}
	return failed ? -PST_E_FULL : 0;
}

static int value_put(struct pst_buf *value, enum pst_smtp_xforward attribute,
		     const struct pst_smtp_identity *identity)
{
	const struct pst_addr *client = &identity->client;

	switch (attribute) {
	case PST_SMTP_XFORWARD_ADDR:
		if (client->family == PST_FAMILY_IPV6 && pst_buf_put(value, PST_SPAN("IPV6:")))
			return -PST_E_FULL;
		if (client->family != PST_FAMILY_NONE)
			pst_addr_put(value, client);
		return 0;
	case PST_SMTP_XFORWARD_PORT:
		return client->port ? pst_buf_put_u64(value, client->port) : 0;
	case PST_SMTP_XFORWARD_PROTO:
		return pst_buf_put(value, identity->esmtp ? PST_SPAN("ESMTP") : PST_SPAN("SMTP"));
	case PST_SMTP_XFORWARD_HELO:
		return xtext_put(value, identity->helo);
	case PST_SMTP_XFORWARD_SOURCE:
		return pst_buf_put(value, PST_SPAN("REMOTE"));
	default:
		return 0;
	}
}

static int identity_put(struct pst_smtp_client *core, struct pst_buf *out,
			enum pst_smtp_command command, struct pst_span verb, uint32_t attributes,
			const struct pst_smtp_identity *identity)
{
	/* HELO last: it alone can be too long. */
	static const struct {
		enum pst_smtp_xforward attribute;
		struct pst_span name;
	} ATTRIBUTES[] = {
		{PST_SMTP_XFORWARD_NAME, PST_SPAN(" NAME=")},
		{PST_SMTP_XFORWARD_ADDR, PST_SPAN(" ADDR=")},
		{PST_SMTP_XFORWARD_PORT, PST_SPAN(" PORT=")},
		{PST_SMTP_XFORWARD_PROTO, PST_SPAN(" PROTO=")},
		{PST_SMTP_XFORWARD_IDENT, PST_SPAN(" IDENT=")},
		{PST_SMTP_XFORWARD_SOURCE, PST_SPAN(" SOURCE=")},
		{PST_SMTP_XFORWARD_HELO, PST_SPAN(" HELO=")},
	};
	uint8_t area[XFORWARD_MAX], value_area[XFORWARD_VALUE_MAX];
	struct pst_buf line, value;
	struct pst_span text;
	int failed;

	PST_BUG_ON(attributes == 0);
	pst_buf_init(&line, area, sizeof(area) - 2);
	failed = pst_buf_put(&line, verb);
	for (uint32_t i = 0; i < PST_COUNT(ATTRIBUTES); i++) {
		if (!(attributes & ATTRIBUTES[i].attribute))
			continue;
		failed |= pst_buf_put(&line, ATTRIBUTES[i].name);
		pst_buf_init(&value, value_area, sizeof(value_area));
		if (value_put(&value, ATTRIBUTES[i].attribute, identity) || value.len == 0 ||
		    value.len > pst_buf_room(&line)) {
			pst_buf_clear(&value);
			failed |= pst_buf_put(&value, PST_SPAN("[UNAVAILABLE]"));
		}
		failed |= pst_buf_put(&line, pst_buf_span(&value));
	}
	PST_BUG_ON(failed);
	text = pst_buf_span(&line);
	return command_put(core, out, command, &text, 1);
}

int pst_smtp_client_xforward(struct pst_smtp_client *core, struct pst_buf *out,
			     const struct pst_smtp_identity *identity)
{
	return identity_put(core, out, PST_SMTP_CMD_XFORWARD, PST_SPAN("XFORWARD"),
			    core->caps.xforward, identity);
}

int pst_smtp_client_xclient(struct pst_smtp_client *core, struct pst_buf *out,
			    const struct pst_smtp_identity *identity)
{
	return identity_put(core, out, PST_SMTP_CMD_XCLIENT, PST_SPAN("XCLIENT"),
			    core->caps.xclient, identity);
}

/* " KEYWORD=value", or nothing for an empty value. */
static int param_put(struct pst_buf *out, struct pst_span keyword, struct pst_span value)
{
	int failed = 0;

	if (value.len == 0)
		return 0;
	failed |= pst_buf_put(out, keyword);
	failed |= pst_buf_put(out, value);
	return failed;
}

/* With every parameter, each as long as it can be. */
#define MAIL_PARAMS_MAX (64 + sizeof(" RET=HDRS ENVID=") + PST_SMTP_ENVID_MAX)
#define RCPT_PARAMS_MAX \
	(sizeof(" NOTIFY=SUCCESS,SUCCESS,SUCCESS ORCPT=") + PST_SMTP_ORCPT_MAX)

int pst_smtp_client_mail(struct pst_smtp_client *core, struct pst_buf *out,
			 const struct pst_smtp_mail *mail)
{
	struct pst_span parts[4] = {PST_SPAN("MAIL FROM:<"), mail->mailbox, PST_SPAN(">")};
	uint8_t area[MAIL_PARAMS_MAX];
	struct pst_buf params;
	int failed = 0;

	pst_buf_init(&params, area, sizeof(area));
	if (mail->size_bytes && (core->caps.set & PST_SMTP_CAP_SIZE)) {
		failed |= pst_buf_put(&params, PST_SPAN(" SIZE="));
		failed |= pst_buf_put_u64(&params, mail->size_bytes);
	}
	if (mail->eight_bit && (core->caps.set & PST_SMTP_CAP_8BITMIME))
		failed |= pst_buf_put(&params, PST_SPAN(" BODY=8BITMIME"));
	if (mail->utf8 && (core->caps.set & PST_SMTP_CAP_SMTPUTF8))
		failed |= pst_buf_put(&params, PST_SPAN(" SMTPUTF8"));
	if (mail->require_tls && (core->caps.set & PST_SMTP_CAP_REQUIRETLS))
		failed |= pst_buf_put(&params, PST_SPAN(" REQUIRETLS"));
	if (core->caps.set & PST_SMTP_CAP_DSN) {
		failed |= param_put(&params, PST_SPAN(" RET="), mail->dsn.ret);
		failed |= param_put(&params, PST_SPAN(" ENVID="), mail->dsn.envid);
	}
	PST_BUG_ON(failed);
	parts[3] = pst_buf_span(&params);
	return command_put(core, out, PST_SMTP_CMD_MAIL, parts, PST_COUNT(parts));
}

int pst_smtp_client_rcpt(struct pst_smtp_client *core, struct pst_buf *out, struct pst_span mailbox,
			 const struct pst_smtp_rcpt_dsn *dsn)
{
	struct pst_span parts[4] = {PST_SPAN("RCPT TO:<"), mailbox, PST_SPAN(">")};
	uint8_t area[RCPT_PARAMS_MAX];
	struct pst_buf params;
	int failed = 0;

	pst_buf_init(&params, area, sizeof(area));
	if (dsn && (core->caps.set & PST_SMTP_CAP_DSN)) {
		failed |= param_put(&params, PST_SPAN(" NOTIFY="), dsn->notify);
		failed |= param_put(&params, PST_SPAN(" ORCPT="), dsn->orcpt);
	}
	PST_BUG_ON(failed);
	parts[3] = pst_buf_span(&params);
	return command_put(core, out, PST_SMTP_CMD_RCPT, parts, PST_COUNT(parts));
}

int pst_smtp_client_data(struct pst_smtp_client *core, struct pst_buf *out)
{
	return command_put(core, out, PST_SMTP_CMD_DATA, &PST_SPAN("DATA"), 1);
}

int pst_smtp_client_starttls(struct pst_smtp_client *core, struct pst_buf *out)
{
	return command_put(core, out, PST_SMTP_CMD_STARTTLS, &PST_SPAN("STARTTLS"), 1);
}

int pst_smtp_client_rset(struct pst_smtp_client *core, struct pst_buf *out)
{
	return command_put(core, out, PST_SMTP_CMD_RSET, &PST_SPAN("RSET"), 1);
}

int pst_smtp_client_noop(struct pst_smtp_client *core, struct pst_buf *out)
{
	return command_put(core, out, PST_SMTP_CMD_NOOP, &PST_SPAN("NOOP"), 1);
}

int pst_smtp_client_quit(struct pst_smtp_client *core, struct pst_buf *out)
{
	return command_put(core, out, PST_SMTP_CMD_QUIT, &PST_SPAN("QUIT"), 1);
}

int pst_smtp_client_dot_sent(struct pst_smtp_client *core, uint16_t reply_count)
{
	PST_BUG_ON(reply_count == 0);
	core->dot_count = reply_count;
	return due_add(core, PST_SMTP_CMD_DOT);
}

int pst_smtp_client_auth_sent(struct pst_smtp_client *core)
{
	return due_add(core, PST_SMTP_CMD_AUTH);
}

static bool code_fits(enum pst_smtp_command command, uint16_t code)
{
	if (code >= 400)
		return true;
	if (command == PST_SMTP_CMD_AUTH && code == 334)
		return true;
	return POSITIVE[command] ? code == POSITIVE[command] : code < 300;
}

/* What the line's command is: the oldest due, or with none due a server that takes its leave.
 *  ret the command, or -PST_E_PROTO */
static int answered(const struct pst_smtp_client *core)
{
	if (core->due_count == 0)
		return core->reader.code == 421 ? (int)PST_SMTP_CMD_NOOP : -PST_E_PROTO;
	if (!code_fits(core->due[0], core->reader.code))
		return -PST_E_PROTO;
	return core->due[0];
}

/*  ret 1: the reply is whole | 0: more lines are to come | -PST_E_PROTO */
static int line_handle(struct pst_smtp_client *core, const struct pst_smtp_reply_line *line,
		       struct pst_smtp_client_event *event)
{
	const struct pst_smtp_reply_reader *reader = &core->reader;
	int command = answered(core);

	if (command < 0)
		return command;
	if (command == PST_SMTP_CMD_EHLO || command == PST_SMTP_CMD_HELO) {
		/* The first line is the server's name, which may look like a keyword. */
		if (line->first)
			core->caps = (struct pst_smtp_caps){0};
		else if (command == PST_SMTP_CMD_EHLO && reader->code < 300)
			pst_smtp_caps_learn(&core->caps, line->text);
	}
	if (!line->last)
		return 0;
	if (command == PST_SMTP_CMD_DOT && --core->dot_count > 0) {
		/* The same command has more to say. */
	} else if (core->due_count) {
		core->due_count--;
		memmove(core->due, core->due + 1, core->due_count);
	}
	event->command = (enum pst_smtp_command)command;
	event->code = reader->code;
	event->enhanced = reader->enhanced;
	event->text = (struct pst_span){reader->text, reader->text_len};
	return 1;
}

/* Bytes of a reply that nobody asked for, and not of a 421's. They must not lie there until a
 * command is sent that they would seem to answer. */
static bool speaks_unasked(const struct pst_smtp_client *core, const struct pst_buf *in)
{
	struct pst_span rest = pst_buf_span(in);

	return core->due_count == 0 && !core->reader.unfinished &&
	       !pst_span_starts_nocase(PST_SPAN("421"), pst_span_sub(rest, 0, 3));
}

int pst_smtp_client_next(struct pst_smtp_client *core, struct pst_buf *in,
			 struct pst_smtp_client_event *event)
{
	struct pst_smtp_reply_line line;
	int ret = 0;

	if (core->broken)
		return -PST_E_PROTO;
	do {
		ret = pst_smtp_reply_read(&core->reader, in, &line);
		if (ret <= 0)
			break;
		ret = line_handle(core, &line, event);
	} while (ret == 0);
	if (ret == 0 && speaks_unasked(core, in))
		ret = -PST_E_PROTO;
	core->broken = ret < 0;
	return ret;
}
