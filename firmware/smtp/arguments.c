/* smtp/arguments.c - what may stand behind HELO, VRFY, MAIL and RCPT, see server_priv.h */
#include "base/utf8.h"
#include "smtp/server_priv.h"

#define NAME_MAX 255 /* HELO's argument: a domain's limit (RFC 5321 4.5.3.1.2) */

static const struct pst_smtp_reply
	BAD_HELO = PST_SMTP_REPLY(501, 5, 5, 4, "a host name is wanted"),
	WANTS_STRING = PST_SMTP_REPLY(501, 5, 5, 4, "an argument is wanted"),
	BAD_STRING = PST_SMTP_REPLY(501, 5, 5, 4, "this argument is no text"),
	WANTS_FROM = PST_SMTP_REPLY(501, 5, 5, 4, "syntax: MAIL FROM:<address>"),
	WANTS_TO = PST_SMTP_REPLY(501, 5, 5, 4, "syntax: RCPT TO:<address>"),
	BAD_SENDER = PST_SMTP_REPLY(501, 5, 1, 7, "bad sender address"),
	BAD_RECIPIENT = PST_SMTP_REPLY(501, 5, 1, 3, "bad recipient address"),
	NON_ASCII = PST_SMTP_REPLY(553, 5, 6, 7, "SMTPUTF8 is needed for this address"),
	AUTH_FIRST = PST_SMTP_REPLY(530, 5, 7, 0, "authentication required"),
	BAD_PARAMETER = PST_SMTP_REPLY(501, 5, 5, 4, "bad parameter"),
	UNKNOWN_PARAMETER = PST_SMTP_REPLY(555, 5, 5, 4, "parameter not offered"),
	TLS_FIRST = PST_SMTP_REPLY(530, 5, 7, 10, "REQUIRETLS is for messages that come by TLS"),
	NO_REQUIRETLS = PST_SMTP_REPLY(550, 5, 7, 30, "REQUIRETLS is not offered here"),
	TOO_BIG = PST_SMTP_REPLY(552, 5, 3, 4, "message too big");

bool pst_smtp_printable(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (!pst_is_print(text.at[i]))
			return false;
	return true;
}

/* A name beyond ASCII needs the keyword behind it (RFC 6531 section 3.7.4.2). */
const struct pst_smtp_reply *pst_smtp_check_vrfy(struct pst_smtp_server *core, struct pst_span args,
						 struct pst_smtp_event *event)
{
	bool utf8 = (core->offered & PST_SMTP_CAP_SMTPUTF8) &&
		    pst_span_ends_nocase(args, PST_SPAN(" SMTPUTF8"));

	(void)event;
	if (args.len == 0)
		return &WANTS_STRING;
	if (pst_smtp_printable(args))
		return NULL;
	if (!pst_utf8_check(args))
		return &BAD_STRING;
	return utf8 ? NULL : &NON_ASCII;
}

/* What real clients call themselves is seldom a domain by the letter: any word will do here, what
 * it is worth is for the owner to judge. */
const struct pst_smtp_reply *pst_smtp_check_helo(struct pst_smtp_server *core, struct pst_span args,
						 struct pst_smtp_event *event)
{
	(void)core;
	event->name = pst_span_word(&args);
	if (event->name.len == 0 || event->name.len > NAME_MAX || args.len ||
	    !pst_smtp_printable(event->name))
		return &BAD_HELO;
	return NULL;
}

/* The value of "KEYWORD" or "KEYWORD=value" (RFC 5321 section 4.1.2).
 *  ret false: malformed */
static bool param_split(struct pst_span param, struct pst_span *keyword, struct pst_span *value)
{
	int64_t at = pst_span_find(param, '=');

	*keyword = pst_span_sub(param, 0, at < 0 ? param.len : (uint32_t)at);
	*value = at < 0 ? PST_SPAN_NONE : pst_span_sub(param, (uint32_t)at + 1, param.len);
	if (keyword->len == 0 || !pst_is_alnum(keyword->at[0]) || (at >= 0 && value->len == 0))
		return false;
	for (uint32_t i = 0; i < keyword->len; i++)
		if (!pst_is_alnum(keyword->at[i]) && keyword->at[i] != '-')
			return false;
	return pst_utf8_check(*value) && pst_span_find(*value, '=') < 0;
}

static const struct pst_smtp_reply *param_size(struct pst_smtp_server *core, struct pst_span value,
					       struct pst_smtp_event *event)
{
	uint64_t *size_bytes = &event->mail.size_bytes;
	int err;

	if (value.len > PST_SMTP_SIZE_DIGITS_MAX)
		return &BAD_PARAMETER;
	err = pst_span_u64(value, UINT64_MAX, size_bytes);
	if (err == -PST_E_RANGE)
		return &TOO_BIG;
	if (err)
		return &BAD_PARAMETER;
	return core->size_bytes_max && *size_bytes > core->size_bytes_max ? &TOO_BIG : NULL;
}

static const struct pst_smtp_reply *param_body(struct pst_smtp_server *core, struct pst_span value,
					       struct pst_smtp_event *event)
{
	(void)core;
	event->mail.body_given = true;
	if (pst_span_eq_nocase(value, PST_SPAN("8BITMIME")))
		event->mail.body = PST_SMTP_BODY_8BITMIME;
	else if (!pst_span_eq_nocase(value, PST_SPAN("7BIT")))
		return &BAD_PARAMETER;
	return NULL;
}

static const struct pst_smtp_reply *param_ret(struct pst_smtp_server *core, struct pst_span value,
					      struct pst_smtp_event *event)
{
	(void)core;
	event->mail.dsn.ret = value;
	return pst_smtp_ret_check(value) ? NULL : &BAD_PARAMETER;
}

static const struct pst_smtp_reply *param_envid(struct pst_smtp_server *core, struct pst_span value,
						struct pst_smtp_event *event)
{
	(void)core;
	event->mail.dsn.envid = value;
	return pst_smtp_envid_check(value) ? NULL : &BAD_PARAMETER;
}

static const struct pst_smtp_reply *param_notify(struct pst_smtp_server *core,
						 struct pst_span value,
						 struct pst_smtp_event *event)
{
	(void)core;
	event->dsn.notify = value;
	return pst_smtp_notify_check(value) ? NULL : &BAD_PARAMETER;
}

static const struct pst_smtp_reply *param_utf8(struct pst_smtp_server *core, struct pst_span value,
					       struct pst_smtp_event *event)
{
	(void)core;
	event->mail.utf8 = true;
	return value.len ? &BAD_PARAMETER : NULL;
}

static const struct pst_smtp_reply *param_require_tls(struct pst_smtp_server *core,
						      struct pst_span value,
						      struct pst_smtp_event *event)
{
	(void)core;
	event->mail.require_tls = true;
	return value.len ? &BAD_PARAMETER : NULL;
}

static const struct pst_smtp_reply *param_orcpt(struct pst_smtp_server *core, struct pst_span value,
						struct pst_smtp_event *event)
{
	event->dsn.orcpt = value;
	return pst_smtp_orcpt_check(value, core->utf8) ? NULL : &BAD_PARAMETER;
}

struct param {
	struct pst_span keyword;
	uint32_t cap;
	const struct pst_smtp_reply *(*take)(struct pst_smtp_server *core, struct pst_span value,
					     struct pst_smtp_event *event);
};

static const struct param MAIL_PARAMS[] = {
	{PST_SPAN("SIZE"), PST_SMTP_CAP_SIZE, param_size},
	{PST_SPAN("BODY"), PST_SMTP_CAP_8BITMIME, param_body},
	{PST_SPAN("RET"), PST_SMTP_CAP_DSN, param_ret},
	{PST_SPAN("ENVID"), PST_SMTP_CAP_DSN, param_envid},
	{PST_SPAN("SMTPUTF8"), PST_SMTP_CAP_SMTPUTF8, param_utf8},
	{PST_SPAN("REQUIRETLS"), PST_SMTP_CAP_REQUIRETLS, param_require_tls},
};

static const struct param RCPT_PARAMS[] = {
	{PST_SPAN("NOTIFY"), PST_SMTP_CAP_DSN, param_notify},
	{PST_SPAN("ORCPT"), PST_SMTP_CAP_DSN, param_orcpt},
};

/* A parameter that was not offered. Who requires TLS is told so in words of its own, for the message
 * must then go back, whatever else could be delivered (RFC 8689 section 4). */
static const struct pst_smtp_reply *not_offered(const struct pst_smtp_server *core,
						struct pst_span keyword)
{
	if (!pst_span_eq_nocase(keyword, PST_SPAN("REQUIRETLS")))
		return &UNKNOWN_PARAMETER;
	return core->offered & PST_SMTP_CAP_STARTTLS ? &TLS_FIRST : &NO_REQUIRETLS;
}

static const struct pst_smtp_reply *check_params(struct pst_smtp_server *core, struct pst_span args,
						 const struct param *params, uint32_t count,
						 struct pst_smtp_event *event)
{
	const struct pst_smtp_reply *refusal = NULL;
	uint32_t seen = 0;
	struct pst_span param, keyword, value;

	while ((param = pst_span_word(&args)).len) {
		uint32_t i = 0;

		if (!param_split(param, &keyword, &value))
			return &BAD_PARAMETER;
		while (i < count && (!pst_span_eq_nocase(keyword, params[i].keyword) ||
				     !(core->offered & params[i].cap)))
			i++;
		if (i == count)
			return not_offered(core, keyword);
		if (seen & (1u << i))
			return &BAD_PARAMETER;
		seen |= 1u << i;
		/* A message too big is said only if the rest is right. */
		const struct pst_smtp_reply *failed = params[i].take(core, value, event);

		if (failed && failed != &TOO_BIG)
			return failed;
		if (failed)
			refusal = failed;
	}
	return refusal;
}

/* "FROM:" or "TO:", blanks, and a path; *args is left at the parameters. */
static const struct pst_smtp_reply *check_path(struct pst_span *args, struct pst_span word,
					       const struct pst_smtp_reply *wants,
					       const struct pst_smtp_reply *bad,
					       struct pst_smtp_path *path)
{
	if (!pst_span_starts_nocase(*args, word))
		return wants;
	*args = pst_span_trim(pst_span_sub(*args, word.len, args->len));
	if (pst_smtp_path_parse(*args, path, args))
		return bad;
	/* A bracket that is closed too early is the path's fault, not a parameter's. */
	if (args->len && !pst_is_blank(args->at[0]))
		return bad;
	return NULL;
}

const struct pst_smtp_reply *pst_smtp_check_mail(struct pst_smtp_server *core, struct pst_span args,
						 struct pst_smtp_event *event)
{
	const struct pst_smtp_reply *refusal =
		check_path(&args, PST_SPAN("FROM:"), &WANTS_FROM, &BAD_SENDER, &event->path);

	if (core->submission && !core->authenticated)
		return &AUTH_FIRST;
	if (refusal)
		return refusal;
	if (event->path.flags & PST_SMTP_PATH_BARE)
		return &BAD_SENDER;
	refusal = check_params(core, args, MAIL_PARAMS, PST_COUNT(MAIL_PARAMS), event);
	if (!refusal && event->path.flags & PST_SMTP_PATH_UTF8 && !event->mail.utf8)
		refusal = &NON_ASCII;
	core->asked_utf8 = event->mail.utf8;
	return refusal;
}

const struct pst_smtp_reply *pst_smtp_check_rcpt(struct pst_smtp_server *core, struct pst_span args,
						 struct pst_smtp_event *event)
{
	const struct pst_smtp_reply *refusal =
		check_path(&args, PST_SPAN("TO:"), &WANTS_TO, &BAD_RECIPIENT, &event->path);

	if (!refusal && event->path.flags & PST_SMTP_PATH_NULL)
		refusal = &BAD_RECIPIENT;
	if (!refusal && event->path.flags & PST_SMTP_PATH_BARE &&
	    !pst_span_eq_nocase(event->path.local, PST_SPAN("postmaster")))
		refusal = &BAD_RECIPIENT;
	if (!refusal && event->path.flags & PST_SMTP_PATH_UTF8 && !core->utf8)
		refusal = &NON_ASCII;
	if (!refusal)
		refusal = check_params(core, args, RCPT_PARAMS, PST_COUNT(RCPT_PARAMS), event);
	if (refusal)
		core->rcpt_refused = true;
	return refusal;
}
