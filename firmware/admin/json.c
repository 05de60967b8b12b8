#include "admin/json.h"

void pst_json_init(struct pst_json *json, struct pst_buf *out)
{
	*json = (struct pst_json){.out = out};
}

static void put(struct pst_json *json, struct pst_span text)
{
	json->full = json->full || pst_buf_put(json->out, text) < 0;
}

static void put_byte(struct pst_json *json, char byte)
{
	uint8_t one = (uint8_t)byte;

	put(json, (struct pst_span){&one, 1});
}

static void put_string(struct pst_json *json, struct pst_span text)
{
	static const char digits[] = "0123456789abcdef";

	put_byte(json, '"');
	for (uint32_t i = 0; i < text.len && !json->full; i++) {
		uint8_t byte = text.at[i];

		if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
			put(json, (struct pst_span){text.at + i, 1});
			continue;
		}
		put(json, PST_SPAN("\\u00"));
		put_byte(json, digits[byte >> 4]);
		put_byte(json, digits[byte & 15]);
	}
	put_byte(json, '"');
}

/* What stands before a value. */
static void begin(struct pst_json *json, const char *key)
{
	if (json->comma)
		put_byte(json, ',');
	json->comma = true;
	if (!key)
		return;
	put_string(json, pst_span_text(key));
	put_byte(json, ':');
}

void pst_json_open(struct pst_json *json, const char *key, char bracket)
{
	begin(json, key);
	put_byte(json, bracket);
	json->comma = false;
}

void pst_json_close(struct pst_json *json, char bracket)
{
	put_byte(json, bracket);
	json->comma = true;
}

void pst_json_span(struct pst_json *json, const char *key, struct pst_span value)
{
	begin(json, key);
	put_string(json, value);
}

void pst_json_text(struct pst_json *json, const char *key, const char *value)
{
	pst_json_span(json, key, pst_span_text(value));
}

void pst_json_u64(struct pst_json *json, const char *key, uint64_t value)
{
	begin(json, key);
	json->full = json->full || pst_buf_put_u64(json->out, value) < 0;
}

void pst_json_bool(struct pst_json *json, const char *key, bool value)
{
	begin(json, key);
	put(json, value ? PST_SPAN("true") : PST_SPAN("false"));
}

void pst_json_addr(struct pst_json *json, const char *key, const struct pst_addr *value)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (value->port)
		pst_addr_put_port(&text, value);
	else
		pst_addr_put(&text, value);
	pst_json_span(json, key, pst_buf_span(&text));
}
