#include "app/sink.h"

static const char *const stages[PST_SINK_STAGE_COUNT] = {
	[PST_SINK_CONNECT] = "connect", [PST_SINK_EHLO] = "ehlo", [PST_SINK_MAIL] = "mail",
	[PST_SINK_RCPT] = "rcpt",	[PST_SINK_DATA] = "data", [PST_SINK_EOD] = "eod",
	[PST_SINK_QUIT] = "quit",
};

#define AT(stage) (1u << PST_SINK_##stage)
#define ANYWHERE ((1u << PST_SINK_STAGE_COUNT) - 1)

static const struct {
	const char *name;
	enum pst_sink_action action;
	uint32_t stages;
	bool argument;
} actions[] = {
	{"reply", PST_SINK_REPLY, ANYWHERE, true},
	{"close", PST_SINK_CLOSE, ANYWHERE, false},
	{"hang", PST_SINK_HANG, ANYWHERE, false},
	{"garbage", PST_SINK_GARBAGE, ANYWHERE, false},
	{"slow", PST_SINK_SLOW, AT(DATA) | AT(EOD), true},
	{"lose", PST_SINK_LOSE, AT(EOD), false},
};

/* The part of `text` in front of `byte`, cut off it together with the byte; all if there is none.
 * ret was it there */
static bool cut(struct pst_span *text, uint8_t byte, struct pst_span *front)
{
	int64_t at = pst_span_find(*text, byte);

	*front = pst_span_sub(*text, 0, at < 0 ? text->len : (uint32_t)at);
	*text = pst_span_sub(*text, at < 0 ? text->len : (uint32_t)at + 1, text->len);
	return at >= 0;
}

static const char *parse_slow(struct pst_span text, struct pst_sink_fault *fault)
{
	struct pst_span rate;
	bool limited = cut(&text, '/', &rate);
	uint64_t number;

	if (pst_span_u64(rate, 1u << 30, &number) || number == 0)
		return "slow needs bytes per second, as in slow:1024";
	fault->rate_bytes_per_s = (uint32_t)number;
	if (limited && (pst_span_u64(text, 86400, &number) || number == 0))
		return "behind the / stand seconds, as in slow:1024/10";
	fault->slow_s = limited ? (uint32_t)number : 0;
	return NULL;
}

static const char *parse_action(struct pst_span text, struct pst_sink_fault *fault)
{
	struct pst_span name;
	bool argument = cut(&text, ':', &name);

	for (uint32_t i = 0; i < PST_COUNT(actions); i++) {
		if (!pst_span_eq(name, pst_span_text(actions[i].name)))
			continue;
		if (!(actions[i].stages & (1u << fault->stage)))
			return "this action does not belong to this stage";
		if (argument != actions[i].argument)
			return argument ? "this action takes nothing behind it"
					: "this action needs something behind it, as in "
					  "reply:TEXT or slow:1024";
		fault->action = actions[i].action;
		fault->text = text;
		return fault->action == PST_SINK_SLOW ? parse_slow(text, fault) : NULL;
	}
	return "unknown action: reply:TEXT close hang garbage slow:N lose";
}

/* "xN:" in front of the action. */
static const char *parse_count(struct pst_span *text, struct pst_sink_fault *fault)
{
	struct pst_span rest = *text, front;
	uint64_t number;

	fault->count = PST_SINK_ALWAYS;
	if (rest.len < 2 || rest.at[0] != 'x' || !pst_is_digit(rest.at[1]))
		return NULL;
	if (!cut(&rest, ':', &front) ||
	    pst_span_u64(pst_span_sub(front, 1, front.len), PST_SINK_ALWAYS - 1, &number))
		return "a count is written xN: in front of the action";
	fault->count = (uint32_t)number;
	*text = rest;
	return NULL;
}

int pst_sink_fault_parse(struct pst_span text, struct pst_sink_fault *fault, const char **what)
{
	struct pst_span stage;
	uint32_t i = 0;

	*fault = (struct pst_sink_fault){0};
	*what = "write STAGE=ACTION";
	if (!cut(&text, '=', &stage))
		return -PST_E_SYNTAX;
	while (i < PST_SINK_STAGE_COUNT && !pst_span_eq(stage, pst_span_text(stages[i])))
		i++;
	*what = "unknown stage: connect ehlo mail rcpt data eod quit";
	if (i == PST_SINK_STAGE_COUNT)
		return -PST_E_SYNTAX;
	fault->stage = (enum pst_sink_stage)i;
	*what = parse_count(&text, fault);
	if (!*what)
		*what = parse_action(text, fault);
	return *what ? -PST_E_SYNTAX : 0;
}
