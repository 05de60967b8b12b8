#include "config/table_priv.h"

#include <string.h>

#include "config/value_priv.h"

uint8_t *pst_config_field(struct pst_config *config, const struct pst_config_option *option)
{
	return (uint8_t *)config + option->offset;
}

void pst_config_store(uint8_t *field, uint32_t width, uint64_t value)
{
	uint8_t u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (width) {
	case 1:
		memcpy(field, &u8, 1);
		break;
	case 2:
		memcpy(field, &u16, 2);
		break;
	case 4:
		memcpy(field, &u32, 4);
		break;
	default:
		memcpy(field, &value, 8);
		break;
	}
}

uint64_t pst_config_fetch(const uint8_t *field, uint32_t width)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (width) {
	case 1:
		return *field;
	case 2:
		memcpy(&u16, field, 2);
		return u16;
	case 4:
		memcpy(&u32, field, 4);
		return u32;
	default:
		memcpy(&u64, field, 8);
		return u64;
	}
}

/* `area` outlives the result. */
struct pst_span pst_config_value_text(const struct pst_config_option *option, uint64_t value,
				      uint8_t area[32])
{
	struct pst_buf text;

	pst_buf_init(&text, area, 32);
	switch (option->kind) {
	case PST_CONFIG_COUNT:
		PST_BUG_ON(pst_buf_put_u64(&text, value));
		break;
	case PST_CONFIG_SIZE:
		pst_config_size_put(&text, value);
		break;
	case PST_CONFIG_TIME:
		pst_config_time_put(&text, value);
		break;
	case PST_CONFIG_CHOICE:
		for (const struct pst_config_choice *c = option->choices; c->name; c++)
			if (c->value == value)
				return pst_span_text(c->name);
		PST_BUG_ON(true);
		break;
	case PST_CONFIG_SCORE:
		if ((pst_score)value == PST_SCORE_NEVER)
			return PST_SPAN("off");
		PST_BUG_ON(pst_score_put(&text, (pst_score)value, 0));
		break;
	case PST_CONFIG_PATH:
	case PST_CONFIG_NAME:
	case PST_CONFIG_MAILBOX:
	case PST_CONFIG_LABEL:
	case PST_CONFIG_PINS:
	case PST_CONFIG_VIA:
		PST_BUG_ON(true);
	}
	return pst_buf_span(&text);
}

bool pst_config_read_choice(struct pst_config_build *build, const struct pst_config_option *option,
			    const struct pst_config_word *word, uint64_t *value)
{
	struct pst_nearest nearest;
	uint8_t area[128];
	struct pst_buf known;

	pst_nearest_init(&nearest, word->text);
	pst_buf_init(&known, area, sizeof(area));
	for (const struct pst_config_choice *c = option->choices; c->name; c++) {
		if (pst_span_eq(word->text, pst_span_text(c->name))) {
			*value = c->value;
			return true;
		}
		pst_nearest_offer(&nearest, c->name);
		PST_BUG_ON(pst_buf_printf(&known, "%s%s", known.len ? ", " : "", c->name));
	}
	if (nearest.best)
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not known here; did you mean "
				 "\"%s\"?",
				 PST_CONFIG_TEXT(word->text), nearest.best);
	else
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not known here; it takes one of "
				 "%.*s",
				 PST_CONFIG_TEXT(word->text),
				 PST_CONFIG_TEXT(pst_buf_span(&known)));
	return false;
}

static bool read_number(struct pst_config_build *build, const struct pst_config_option *option,
			const struct pst_config_word *word, uint64_t *value)
{
	static const char *const wanted[] = {
		[PST_CONFIG_COUNT] = "a number",
		[PST_CONFIG_SIZE] = "a size: bytes, or with K, M or G behind, as in 50M",
		[PST_CONFIG_TIME] = "a time: seconds, or with ms, s, m, h or d behind, as in 5m",
	};
	uint8_t low[32], high[32];
	struct pst_span min = pst_config_value_text(option, option->min, low);
	struct pst_span max = pst_config_value_text(option, option->max, high);
	int status;

	if (option->kind == PST_CONFIG_COUNT)
		status = pst_span_u64(word->text, UINT64_MAX, value);
	else if (option->kind == PST_CONFIG_SIZE)
		status = pst_config_size_parse(word->text, value);
	else
		status = pst_config_time_parse(word->text, value);
	if (status == -PST_E_SYNTAX) {
		pst_config_error(build, &word->place, "\"%.*s\" is not %s",
				 PST_CONFIG_TEXT(word->text), wanted[option->kind]);
		return false;
	}
	if (status || *value < option->min || *value > option->max) {
		pst_config_error(build, &word->place, "\"%.*s\" is out of range: from %.*s to %.*s",
				 PST_CONFIG_TEXT(word->text), PST_CONFIG_TEXT(min),
				 PST_CONFIG_TEXT(max));
		return false;
	}
	return true;
}

static bool read_score(struct pst_config_build *build, const struct pst_config_option *option,
		       const struct pst_config_word *word, uint64_t *value)
{
	pst_score score;

	if (option->max && pst_span_eq(word->text, PST_SPAN("off"))) {
		*value = (uint32_t)PST_SCORE_NEVER;
		return true;
	}
	if (pst_score_parse(word->text, &score)) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a score, as in 3 or -1.5 (at most 9999.999)%s",
				 PST_CONFIG_TEXT(word->text), option->max ? ", nor `off`" : "");
		return false;
	}
	*value = (uint32_t)score;
	return true;
}

bool pst_config_read_value(struct pst_config_build *build, const struct pst_config_option *option,
			   const struct pst_config_word *word, uint64_t *value)
{
	if (option->kind == PST_CONFIG_CHOICE)
		return pst_config_read_choice(build, option, word, value);
	if (option->kind == PST_CONFIG_SCORE)
		return read_score(build, option, word, value);
	return read_number(build, option, word, value);
}

static uint32_t directive_index(const struct pst_config_directive *directive)
{
	return (uint32_t)(directive - pst_config_table);
}

/* A value is given once; only the command line may replace what the files say. */
bool pst_config_give(struct pst_config_build *build, const struct pst_config_directive *directive,
		     uint32_t option_index, const struct pst_config_place *place)
{
	struct pst_config_place *given = &build->given[directive_index(directive)][option_index];
	const struct pst_config_option *option =
		option_index < directive->option_count ? &directive->options[option_index] : NULL;

	if (given->file && !place->file->command_line) {
		pst_config_error(build, place, "`%s%s%s` was given before, at %.*s:%u",
				 directive->name, option && option->name ? " " : "",
				 option && option->name ? option->name : "",
				 PST_CONFIG_TEXT(given->file->name), given->line);
		return false;
	}
	*given = *place;
	return true;
}

void pst_config_usage(struct pst_config_build *build, const struct pst_config_directive *directive,
		      const struct pst_config_place *place, const char *what)
{
	pst_config_error(build, place, "%s; write: %s %s", what, directive->name,
			 directive->grammar);
}

/* The place just behind the last word, where something is missing. */
static struct pst_config_place behind(const struct pst_config_build *build)
{
	struct pst_config_place place = build->words[build->word_count - 1].place;

	place.column += place.width + 1;
	place.width = 1;
	return place;
}

void pst_config_missing(struct pst_config_build *build,
			const struct pst_config_directive *directive, const char *what)
{
	struct pst_config_place place = behind(build);

	pst_config_usage(build, directive, &place, what);
}

bool pst_config_exactly_one(struct pst_config_build *build,
			    const struct pst_config_directive *directive)
{
	if (build->word_count < 2) {
		pst_config_missing(build, directive, "a value is missing");
		return false;
	}
	if (build->word_count > 2) {
		pst_config_usage(build, directive, &build->words[2].place, "one value is enough");
		return false;
	}
	return true;
}
