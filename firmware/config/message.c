#include "config/build_priv.h"

#define TEXT_MAX 1024

static void tell(struct pst_config_build *build, const struct pst_config_place *place, bool warning,
		 const char *format, va_list args)
{
	static const struct pst_config_message more = {
		.text = {(const uint8_t *)"there are more errors than these", 32}};
	uint8_t area[TEXT_MAX];
	struct pst_buf text;
	struct pst_config_message message = {.warning = warning};

	if (!warning && ++build->error_count > PST_CONFIG_ERRORS_MAX) {
		if (build->error_count == PST_CONFIG_ERRORS_MAX + 1)
			build->env->report->on_message(build->env->report, &more);
		return;
	}
	pst_buf_init(&text, area, sizeof(area));
	if (pst_buf_vprintf(&text, format, args))
		pst_buf_put_escaped(&text, pst_span_text(format), TEXT_MAX);
	if (build->file_count)
		message.file = build->files[0].name;
	if (place && place->file) {
		message.file = place->file->name;
		message.line = place->line;
		message.column = place->column;
		message.width = place->width;
		message.source = place->source;
	}
	message.text = pst_buf_span(&text);
	build->env->report->on_message(build->env->report, &message);
}

void pst_config_error(struct pst_config_build *build, const struct pst_config_place *place,
		      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(build, place, false, format, args);
	va_end(args);
}

void pst_config_warning(struct pst_config_build *build, const struct pst_config_place *place,
			const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(build, place, true, format, args);
	va_end(args);
}

/* Appends as much as fits. */
static void put(struct pst_buf *out, struct pst_span text)
{
	if (pst_buf_put(out, pst_span_sub(text, 0, pst_buf_room(out))))
		return;
}

static void put_number(struct pst_buf *out, uint32_t number)
{
	put(out, PST_SPAN(":"));
	if (pst_buf_put_u64(out, number))
		return;
}

void pst_config_message_put(struct pst_buf *out, const struct pst_config_message *message)
{
	/* A long line is shown from where the words in question begin to be visible. */
	const uint32_t shown_max = 100;
	uint32_t at, from = 0;

	if (message->file.len) {
		put(out, message->file);
		if (message->line) {
			put_number(out, message->line);
			if (message->column)
				put_number(out, message->column);
		}
		put(out, PST_SPAN(": "));
	}
	if (message->warning)
		put(out, PST_SPAN("warning: "));
	put(out, message->text);
	put(out, PST_SPAN("\n"));
	if (!message->line || !message->source.len)
		return;
	at = message->column - 1;
	if (at > shown_max / 2 && message->source.len > shown_max)
		from = at - shown_max / 2;
	put(out, PST_SPAN("    "));
	put(out, pst_span_sub(message->source, from, shown_max));
	put(out, PST_SPAN("\n    "));
	for (uint32_t i = from; i < at && i < message->source.len; i++) {
		/* Continuation bytes of UTF-8 take no column on a terminal. */
		if ((message->source.at[i] & 0xc0) != 0x80)
			put(out, message->source.at[i] == '\t' ? PST_SPAN("\t") : PST_SPAN(" "));
	}
	put(out, PST_SPAN("^"));
	for (uint32_t i = 1; i < PST_MIN(message->width, from + shown_max - at); i++)
		put(out, PST_SPAN("~"));
	put(out, PST_SPAN("\n"));
}
