#include "config/build_priv.h"

/* A byte-order mark that some editors put in front of a file. */
static const struct pst_span byte_order_mark = {(const uint8_t *)"\xef\xbb\xbf", 3};

static struct pst_config_place place_of(const struct pst_config_file *file, uint32_t number,
					struct pst_span source, uint32_t from, uint32_t width)
{
	return (struct pst_config_place){file, number, from + 1, width, source};
}

/* A control byte would make the messages unreadable, and stands in no value. */
static bool printable(struct pst_config_build *build, const struct pst_config_file *file,
		      uint32_t number, struct pst_span source)
{
	for (uint32_t i = 0; i < source.len; i++) {
		uint8_t c = source.at[i];
		struct pst_config_place place;

		if (c == '\t' || (c >= 0x20 && c != 0x7f))
			continue;
		place = place_of(file, number, PST_SPAN_NONE, i, 1);
		pst_config_error(build, &place, "control byte 0x%02x: this is not a text file", c);
		return false;
	}
	return true;
}

/* The quoted word that begins at source[*at]; *at is left behind its closing quote. */
static bool quoted(struct pst_config_build *build, struct pst_config_word *word,
		   struct pst_span source, uint32_t *at)
{
	uint32_t len = 0, i = *at + 1;
	uint8_t *text = pst_config_get(build, &build->scratch, (size_t)source.len - *at);

	if (!text)
		return false;
	while (i < source.len && source.at[i] != '"') {
		if (source.at[i] == '\\') {
			i++;
			if (i == source.len)
				break;
			if (source.at[i] != '"' && source.at[i] != '\\') {
				word->place.column = i;
				word->place.width = 2;
				pst_config_error(build, &word->place,
						 "unknown escape; inside quotes only \\\" and "
						 "\\\\ are escapes");
				return false;
			}
		}
		text[len++] = source.at[i++];
	}
	if (i >= source.len) {
		word->place.width = source.len - *at;
		pst_config_error(build, &word->place, "the closing quote is missing");
		return false;
	}
	i++;
	word->text = (struct pst_span){text, len};
	word->place.width = i - *at;
	if (i < source.len && !pst_is_blank(source.at[i])) {
		word->place.column = i + 1;
		word->place.width = 1;
		pst_config_error(build, &word->place, "a blank must follow the closing quote");
		return false;
	}
	*at = i;
	return true;
}

static bool bare(struct pst_config_build *build, struct pst_config_word *word,
		 struct pst_span source, uint32_t *at)
{
	uint32_t i = *at;

	while (i < source.len && !pst_is_blank(source.at[i]) && source.at[i] != '"')
		i++;
	if (i < source.len && source.at[i] == '"') {
		word->place.column = i + 1;
		pst_config_error(build, &word->place,
				 "a quote inside a word; put the whole word into quotes");
		return false;
	}
	word->text = pst_span_sub(source, *at, i - *at);
	word->place.width = i - *at;
	*at = i;
	return true;
}

struct pst_span pst_config_line(struct pst_span *rest)
{
	int64_t end = pst_span_find(*rest, '\n');
	struct pst_span line = pst_span_sub(*rest, 0, end < 0 ? rest->len : (uint32_t)end);

	*rest = pst_span_sub(*rest, line.len + 1, rest->len);
	return line;
}

bool pst_config_lex(struct pst_config_build *build, const struct pst_config_file *file,
		    uint32_t number, struct pst_span source)
{
	uint32_t at = 0;

	build->word_count = 0;
	if (source.len && source.at[source.len - 1] == '\r')
		source.len--;
	if (number == 1 && pst_span_eq(pst_span_sub(source, 0, 3), byte_order_mark))
		source = pst_span_sub(source, 3, source.len);
	if (!printable(build, file, number, source))
		return false;
	for (;;) {
		struct pst_config_word *word = &build->words[build->word_count];

		while (at < source.len && pst_is_blank(source.at[at]))
			at++;
		if (at == source.len || source.at[at] == '#')
			return build->word_count > 0;
		if (build->word_count == PST_CONFIG_WORDS_MAX) {
			struct pst_config_place place = place_of(file, number, source, at, 1);

			pst_config_error(build, &place,
					 "more than %d words in one line; spread them over several",
					 PST_CONFIG_WORDS_MAX);
			return false;
		}
		word->place = place_of(file, number, source, at, 1);
		if (!(source.at[at] == '"' ? quoted : bare)(build, word, source, &at))
			return false;
		build->word_count++;
	}
}
