#include "config/table_priv.h"
#include "config/value_priv.h"

/* --- values that are texts ------------------------------------------------------------------ */

bool pst_config_is_text(const struct pst_config_option *option)
{
	return option->kind >= PST_CONFIG_PATH;
}

struct pst_span pst_config_path(struct pst_config_build *build, struct pst_config_arena *arena,
				const struct pst_config_word *word)
{
	struct pst_span from = word->place.file->name, name = word->text, folder;
	struct pst_buf joined;
	uint8_t *area;
	int64_t slash;

	if (word->place.file->command_line)
		from = build->files[0].name;
	slash = pst_span_rfind(from, '/');
	if ((name.len && name.at[0] == '/') || slash < 0)
		return pst_config_copy(build, arena, name);
	folder = pst_span_sub(from, 0, (uint32_t)slash + 1);
	area = pst_config_get(build, arena, (size_t)folder.len + name.len + 1);
	if (!area)
		return PST_SPAN_NONE;
	pst_buf_init(&joined, area, folder.len + name.len);
	PST_BUG_ON(pst_buf_put(&joined, folder) || pst_buf_put(&joined, name));
	return pst_buf_span(&joined);
}

static bool read_path(struct pst_config_build *build, const struct pst_config_word *word,
		      struct pst_span *out)
{
	if (word->text.len == 0) {
		pst_config_error(build, &word->place, "the name of a file is missing");
		return false;
	}
	*out = pst_config_path(build, &build->config->arena, word);
	return !build->nomem;
}

static bool read_name(struct pst_config_build *build, const struct pst_config_word *word,
		      struct pst_span *out)
{
	if (!pst_config_domain_ok(word->text)) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a host name; write one like mail.example.org",
				 PST_CONFIG_TEXT(word->text));
		return false;
	}
	*out = pst_config_lower_copy(build, word->text);
	return !build->nomem;
}

static int hex_digit(uint8_t c)
{
	if (pst_is_digit(c))
		return c - '0';
	c = pst_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_pin(struct pst_span text, uint8_t pin[32])
{
	if (text.len != 64)
		return false;
	for (uint32_t i = 0; i < 32; i++) {
		int high = hex_digit(text.at[2 * i]), low = hex_digit(text.at[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		pin[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

static bool read_pins(struct pst_config_build *build, const struct pst_config_word *word,
		      struct pst_relay_security *security)
{
	const struct pst_span kind = PST_SPAN("sha256:");
	struct pst_span rest = word->text;
	bool good = pst_span_starts_nocase(rest, kind);

	for (rest = pst_span_sub(rest, kind.len, rest.len); good;) {
		int64_t comma = pst_span_find(rest, ',');
		uint32_t len = comma < 0 ? rest.len : (uint32_t)comma;

		if (security->pin_count == PST_RELAY_PINS_MAX) {
			pst_config_error(build, &word->place, "more than %d pins",
					 PST_RELAY_PINS_MAX);
			return false;
		}
		good = read_pin(pst_span_sub(rest, 0, len),
				security->pins[security->pin_count++]);
		if (comma < 0)
			break;
		rest = pst_span_sub(rest, len + 1, rest.len);
	}
	if (!good)
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a pin; write sha256: and the 64 hexadecimal "
				 "digits of the hash of the server's certificate or of its public "
				 "key, several with commas between",
				 PST_CONFIG_TEXT(word->text));
	return good;
}

static bool read_mailbox(struct pst_config_build *build, const struct pst_config_word *word,
			 struct pst_span *out)
{
	if (!pst_config_mailbox_ok(word->text) || word->text.at[0] == '@') {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a mail address, as in spam@example.org",
				 PST_CONFIG_TEXT(word->text));
		return false;
	}
	*out = pst_config_lower_copy(build, word->text);
	return true;
}

/* It goes into a header field: ASCII, on one line, and short enough to leave room for the rest. */
static bool read_label(struct pst_config_build *build, const struct pst_config_word *word,
		       struct pst_span *out)
{
	bool good = word->text.len > 0 && word->text.len <= PST_POLICY_SUBJECT_LEN_MAX &&
		    word->text.at[0] != ' ';

	for (uint32_t i = 0; good && i < word->text.len; i++)
		good = pst_is_print(word->text.at[i]);
	if (good)
		*out = pst_config_copy(build, &build->config->arena, word->text);
	else
		pst_config_error(build, &word->place,
				 "\"%.*s\" cannot stand in front of a subject; write up to %d "
				 "printable ASCII characters, as in \"[SPAM]\"",
				 PST_CONFIG_TEXT(word->text), PST_POLICY_SUBJECT_LEN_MAX);
	return good;
}

bool pst_config_read_text(struct pst_config_build *build, const struct pst_config_option *option,
			  const struct pst_config_word *word, uint8_t *base)
{
	void *field = base + option->offset;

	if (option->kind == PST_CONFIG_PATH)
		return read_path(build, word, field);
	if (option->kind == PST_CONFIG_NAME)
		return read_name(build, word, field);
	if (option->kind == PST_CONFIG_MAILBOX)
		return read_mailbox(build, word, field);
	if (option->kind == PST_CONFIG_VIA)
		return pst_config_read_via(build, word, base + option->offset);
	if (option->kind == PST_CONFIG_LABEL)
		return read_label(build, word, field);
	return read_pins(build, word, field);
}

/* --- tls ------------------------------------------------------------------------------------ */

enum { HANDSHAKES, STATE, CA, MODE }; /* the order of the options in the table */

/* A word's reader returns the index of the first word behind its own, 0 after a complaint. */
static uint32_t read_mode(struct pst_config_build *build,
			  const struct pst_config_directive *directive, uint32_t i)
{
	const struct pst_config_option *option = &directive->options[MODE];
	uint64_t value;

	if (!pst_config_read_value(build, option, &build->words[i], &value) ||
	    !pst_config_give(build, directive, MODE, &build->words[i].place))
		return 0;
	pst_config_store(pst_config_field(build->config, option), option->width, value);
	return i + 1;
}

static uint32_t read_certificate(struct pst_config_build *build,
				 const struct pst_config_directive *directive, uint32_t i)
{
	struct pst_config_tls *tls = &build->config->tls;
	const struct pst_config_place *place = &build->words[i].place;
	struct pst_config_tls_pair *pair;

	if (tls->pair_count == PST_CONFIG_TLS_PAIRS_MAX) {
		pst_config_error(build, place, "more than %d certificates",
				 PST_CONFIG_TLS_PAIRS_MAX);
		return 0;
	}
	if (i + 1 == build->word_count) {
		pst_config_missing(build, directive, "the certificate's file is missing");
		return 0;
	}
	pair = &tls->pairs[tls->pair_count];
	if (!read_path(build, &build->words[i + 1], &pair->certificate))
		return 0;
	pair->key = pair->certificate;
	i += 2;
	if (i < build->word_count && pst_span_eq(build->words[i].text, PST_SPAN("key"))) {
		if (i + 1 == build->word_count) {
			pst_config_missing(build, directive, "the key's file is missing");
			return 0;
		}
		if (!read_path(build, &build->words[i + 1], &pair->key))
			return 0;
		i += 2;
	}
	pair->file = pst_config_copy(build, &build->config->arena, place->file->name);
	pair->line = place->line;
	if (!build->certificates.file)
		build->certificates = *place;
	tls->pair_count++;
	return i;
}

/* All the rest of the line. */
static uint32_t read_require(struct pst_config_build *build,
			     const struct pst_config_directive *directive, uint32_t i)
{
	if (i + 1 == build->word_count) {
		pst_config_missing(build, directive, "the sender domains are missing");
		return 0;
	}
	while (++i < build->word_count) {
		const struct pst_config_word *word = &build->words[i];
		struct pst_config_item *item;

		if (!pst_config_domain_ok(word->text)) {
			pst_config_error(build, &word->place,
					 "\"%.*s\" is not a mail domain; write one like "
					 "example.com",
					 PST_CONFIG_TEXT(word->text));
			continue;
		}
		item = pst_config_item_add(build, &build->tls_domains, &word->place);
		if (!item)
			return 0;
		item->is.domain = pst_config_lower_copy(build, word->text);
	}
	return i;
}

/* handshakes, state, ca */
static uint32_t read_option(struct pst_config_build *build,
			    const struct pst_config_directive *directive, uint32_t i)
{
	const struct pst_config_option *option = directive->options;
	const struct pst_config_word *word = &build->words[i];
	uint64_t value;

	while (!pst_span_eq(word->text, pst_span_text(option->name)))
		option++;
	if (i + 1 == build->word_count) {
		pst_config_missing(build, directive, "a value is missing");
		return 0;
	}
	if (!pst_config_is_text(option) &&
	    !pst_config_read_value(build, option, &build->words[i + 1], &value))
		return 0;
	if (!pst_config_give(build, directive, (uint32_t)(option - directive->options),
			     &word->place))
		return 0;
	if (!pst_config_is_text(option))
		pst_config_store(pst_config_field(build->config, option), option->width, value);
	else if (!pst_config_read_text(build, option, &build->words[i + 1],
				       (uint8_t *)build->config))
		return 0;
	return i + 2;
}

static uint32_t read_lone_key(struct pst_config_build *build,
			      const struct pst_config_directive *directive, uint32_t i)
{
	pst_config_usage(build, directive, &build->words[i].place,
			 "`key` stands behind `cert FILE`");
	return 0;
}

static const struct {
	const char *name;
	uint32_t (*read)(struct pst_config_build *build,
			 const struct pst_config_directive *directive, uint32_t i);
} WORDS[] = {
	{"auto", read_mode},	     {"off", read_mode},     {"cert", read_certificate},
	{"key", read_lone_key},	     {"state", read_option}, {"ca", read_option},
	{"handshakes", read_option}, {"require-from", read_require},
};

static uint32_t read_word(struct pst_config_build *build,
			  const struct pst_config_directive *directive, uint32_t i)
{
	const struct pst_config_word *word = &build->words[i];
	struct pst_nearest nearest;

	pst_nearest_init(&nearest, word->text);
	for (uint32_t w = 0; w < PST_COUNT(WORDS); w++) {
		if (pst_span_eq(word->text, pst_span_text(WORDS[w].name)))
			return WORDS[w].read(build, directive, i);
		pst_nearest_offer(&nearest, WORDS[w].name);
	}
	if (nearest.best)
		pst_config_error(build, &word->place,
				 "`tls` has no option \"%.*s\"; did you mean \"%s\"?",
				 PST_CONFIG_TEXT(word->text), nearest.best);
	else
		pst_config_error(build, &word->place, "`tls` has no option \"%.*s\"; it has %s",
				 PST_CONFIG_TEXT(word->text), directive->grammar);
	return 0;
}

void pst_config_read_tls(struct pst_config_build *build,
			 const struct pst_config_directive *directive)
{
	uint32_t i = 1;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "everything is missing");
		return;
	}
	do
		i = read_word(build, directive, i);
	while (i > 0 && i < build->word_count);
	if (build->config->tls.ca.len && !build->config->tls.ca_line) {
		build->config->tls.ca_file = pst_config_copy(build, &build->config->arena,
							     build->words[0].place.file->name);
		build->config->tls.ca_line = build->words[0].place.line;
	}
}

/* --- what must fit together ----------------------------------------------------------------- */

/* To verify and then to go on in the clear would be no more than a delay. */
void pst_config_check_security(struct pst_config_build *build, struct pst_route *route,
			       const struct pst_config_word *words, uint32_t word_count)
{
	struct pst_relay_security *security = &route->security;
	const struct pst_config_word *tls = NULL, *verify = NULL, *pin = NULL, *proof;

	for (uint32_t i = 0; i + 1 < word_count; i += 2) {
		if (pst_span_eq(words[i].text, PST_SPAN("tls")))
			tls = &words[i];
		else if (pst_span_eq(words[i].text, PST_SPAN("verify")))
			verify = &words[i];
		else if (pst_span_eq(words[i].text, PST_SPAN("pin")))
			pin = &words[i];
	}
	security->verify_ca = verify != NULL;
	proof = verify ? verify : pin;
	if (!proof)
		return;
	if (verify && pin) {
		pst_config_error(build, &pin->place,
				 "`verify` and `pin` in one line; one of them is enough");
		return;
	}
	if (!tls)
		security->tls = PST_RELAY_TLS_MUST;
	else if (security->tls != PST_RELAY_TLS_MUST)
		pst_config_error(build, &tls->place,
				 "with `%.*s` a server that fails the test gets no mail: write "
				 "`tls must`, or leave `tls` out",
				 PST_CONFIG_TEXT(proof->text));
	if (verify && !build->verify.file)
		build->verify = verify->place;
}

static void finish_domains(struct pst_config_build *build)
{
	struct pst_span *domains;
	uint32_t count = 0;

	if (!build->tls_domains.count)
		return;
	domains = pst_config_get(build, &build->config->arena,
				 sizeof(*domains) * build->tls_domains.count);
	if (!domains)
		return;
	for (struct pst_config_item *item = build->tls_domains.first; item; item = item->next)
		domains[count++] = item->is.domain;
	build->config->proxy.tls_domains = domains;
	build->config->proxy.tls_domain_count = count;
}

void pst_config_finish_tls(struct pst_config_build *build)
{
	struct pst_config_tls *tls = &build->config->tls;

	if (!tls->state.len)
		tls->state = (struct pst_span){(const uint8_t *)PST_CONFIG_TLS_STATE,
					       sizeof(PST_CONFIG_TLS_STATE) - 1};
	finish_domains(build);
	if (build->verify.file && !tls->ca.len)
		pst_config_error(build, &build->verify,
				 "`verify` needs to know whom to trust: add a line `tls ca FILE` "
				 "with the CAs' certificates");
	if (tls->mode != PST_CONFIG_TLS_OFF)
		return;
	if (build->certificates.file)
		pst_config_warning(build, &build->certificates,
				   "these certificates are not used, because of `tls off`");
	if (build->listener_tls.file)
		pst_config_error(build, &build->listener_tls,
				 "TLS from the first byte is not possible with `tls off`");
	if (build->listener_submission.file)
		pst_config_error(build, &build->listener_submission,
				 "with `tls off` nobody could log in: passwords are taken inside TLS only");
	if (build->tls_domains.count)
		pst_config_error(build, &build->tls_domains.first->place,
				 "with `tls off` nobody could send mail from these domains");
}
