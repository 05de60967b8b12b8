#include <string.h>

#include "base/hash.h"
#include "config/table_priv.h"
#include "config/value_priv.h"

static bool is(const struct pst_config_word *word, const char *text)
{
	return pst_span_eq(word->text, pst_span_text(text));
}

/* --- names ---------------------------------------------------------------------------------- */

static bool name_ok(struct pst_span text)
{
	if (text.len == 0 || text.len > PST_INTERFACE_NAME_MAX)
		return false;
	for (uint32_t i = 0; i < text.len; i++)
		if (!pst_is_alpha(text.at[i]) && !pst_is_digit(text.at[i]) && text.at[i] != '-' &&
		    text.at[i] != '_' && text.at[i] != '.')
			return false;
	return true;
}

uint8_t pst_config_interface_find(const struct pst_config *config, struct pst_span name)
{
	for (uint32_t i = 0; i < config->interface_count; i++)
		if (pst_span_eq(pst_span_text(config->interfaces[i].name), name))
			return (uint8_t)(i + 1);
	return 0;
}

struct pst_span pst_config_interface_name(const struct pst_config *config, uint8_t via)
{
	PST_BUG_ON(via == 0 || via > config->interface_count);
	return pst_span_text(config->interfaces[via - 1].name);
}

bool pst_config_read_via(struct pst_config_build *build, const struct pst_config_word *word,
			 uint8_t *via)
{
	*via = pst_config_interface_find(build->config, word->text);
	if (*via)
		return true;
	pst_config_error(build, &word->place,
			 "no `interface` line above names \"%.*s\"", PST_CONFIG_TEXT(word->text));
	return false;
}

bool pst_config_read_listen_via(struct pst_config_build *build, const struct pst_config_word *word,
				struct pst_addr *addr)
{
	int64_t colon = pst_span_find(word->text, ':');
	struct pst_span name = pst_span_sub(word->text, 0, colon < 0 ? 0 : (uint32_t)colon);
	struct pst_config_word bare = {.text = name, .place = word->place};
	uint64_t port;

	/* An address begins with a digit or a bracket; so might a name, but then it is not taken. */
	if (!name_ok(name) || !pst_is_alpha(name.at[0]) ||
	    pst_span_u64(pst_span_sub(word->text, (uint32_t)colon + 1, word->text.len), UINT16_MAX,
			 &port))
		return false;
	*addr = (struct pst_addr){.port = (uint16_t)port};
	(void)pst_config_read_via(build, &bare, &addr->via);
	return true;
}

/* --- the line ------------------------------------------------------------------------------- */

static int hex_of(uint8_t byte)
{
	if (pst_is_digit(byte))
		return byte - '0';
	byte = pst_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool read_mac(struct pst_config_build *build, const struct pst_config_word *word,
		     struct pst_interface_conf *conf)
{
	conf->mac_auto = is(word, "auto");
	if (conf->mac_auto)
		return true;
	for (uint32_t i = 0; i < sizeof(conf->mac) && word->text.len == 17; i++) {
		int high = hex_of(word->text.at[3 * i]), low = hex_of(word->text.at[3 * i + 1]);

		if (high < 0 || low < 0 || (i < 5 && word->text.at[3 * i + 2] != ':'))
			break;
		conf->mac[i] = (uint8_t)(high << 4 | low);
		if (i == 5 && !(conf->mac[0] & 1))
			return true;
	}
	pst_config_error(build, &word->place,
			 "\"%.*s\" is not an interface's MAC address, as in 02:00:5e:10:00:01; "
			 "`auto` makes one",
			 PST_CONFIG_TEXT(word->text));
	return false;
}

/* ADDRESS/BITS, where the bits behind the prefix are the host's own. */
static bool read_host(struct pst_config_build *build, const struct pst_config_word *word,
		      struct pst_cidr *cidr)
{
	int64_t slash = pst_span_find(word->text, '/');
	uint64_t bits = 0;

	if (slash > 0 &&
	    pst_addr_parse(pst_span_sub(word->text, 0, (uint32_t)slash), &cidr->net) == 0 &&
	    pst_span_u64(pst_span_sub(word->text, (uint32_t)slash + 1, word->text.len),
			 cidr->net.family == PST_FAMILY_IPV4 ? 32 : 128, &bits) == 0 && bits > 0) {
		cidr->bits = (uint8_t)bits;
		return true;
	}
	pst_config_error(build, &word->place,
			 "\"%.*s\" is not an address with its network; write one like "
			 "192.0.2.25/24 or 2001:db8::25/64",
			 PST_CONFIG_TEXT(word->text));
	return false;
}

static bool add_host(struct pst_config_build *build, const struct pst_config_word *word,
		     struct pst_interface_conf *conf)
{
	struct pst_cidr host;

	if (!read_host(build, word, &host))
		return false;
	if (host.net.family == PST_FAMILY_IPV4 && conf->ipv4.net.family == PST_FAMILY_NONE) {
		conf->ipv4 = host;
	} else if (host.net.family == PST_FAMILY_IPV6 && host.bits != 64) {
		pst_config_error(build, &word->place,
				 "a network of IPv6 has 64 bits here, as in 2001:db8::25/64");
		return false;
	} else if (host.net.family == PST_FAMILY_IPV6 && conf->ipv6_count < PST_INTERFACE_IPV6_MAX) {
		conf->ipv6[conf->ipv6_count++] = host;
	} else {
		pst_config_error(build, &word->place, "more than one IPv4 or %d IPv6 addresses",
				 PST_INTERFACE_IPV6_MAX);
		return false;
	}
	return true;
}

static bool read_gateway(struct pst_config_build *build, const struct pst_config_word *word,
			 struct pst_interface_conf *conf)
{
	if (pst_addr_parse(word->text, &conf->gateway) == 0 &&
	    conf->gateway.family == PST_FAMILY_IPV4)
		return true;
	pst_config_error(build, &word->place,
			 "\"%.*s\" is not an IPv4 address, as in 192.0.2.1; IPv6's gateways "
			 "announce themselves, `slaac` listens to them",
			 PST_CONFIG_TEXT(word->text));
	return false;
}

/*  ret words taken; 0 after a complaint */
static uint32_t read_word(struct pst_config_build *build,
			  const struct pst_config_directive *directive,
			  struct pst_interface_conf *conf, uint32_t i)
{
	const struct pst_config_word *word = &build->words[i];
	bool last = i + 1 == build->word_count;

	if (is(word, "tap") || is(word, "packet"))
		conf->driver = is(word, "tap") ? PST_INTERFACE_TAP : PST_INTERFACE_PACKET;
	else if (is(word, "dhcp"))
		conf->dhcp = true;
	else if (is(word, "slaac"))
		conf->slaac = true;
	else if (last && (is(word, "address") || is(word, "gateway") || is(word, "mac"))) {
		pst_config_missing(build, directive, "a value is missing");
		return 0;
	} else if (is(word, "address"))
		return add_host(build, word + 1, conf) ? 2 : 0;
	else if (is(word, "gateway"))
		return read_gateway(build, word + 1, conf) ? 2 : 0;
	else if (is(word, "mac"))
		return read_mac(build, word + 1, conf) ? 2 : 0;
	else {
		pst_config_usage(build, directive, &word->place, "this is none of its words");
		return 0;
	}
	return 1;
}

/* The same at every start, and another for each host and interface; locally administered. */
static void make_mac(const struct pst_config_build *build, struct pst_interface_conf *conf)
{
	static const struct pst_hash_key key = {0x6d61632d6f662d61, 0x6e2d617070796365};
	struct pst_hasher hasher;
	uint64_t hash;

	pst_hasher_init(&hasher, &key);
	pst_hasher_add(&hasher, build->env->machine_name);
	pst_hasher_add(&hasher, pst_span_text(conf->name));
	hash = pst_hasher_end(&hasher);
	for (uint32_t i = 0; i < sizeof(conf->mac); i++)
		conf->mac[i] = (uint8_t)(hash >> (8 * i));
	conf->mac[0] = (uint8_t)((conf->mac[0] & 0xfc) | 2);
}

void pst_config_read_interface(struct pst_config_build *build,
			       const struct pst_config_directive *directive)
{
	struct pst_interface_conf conf = {.mac_auto = true};
	struct pst_config *config = build->config;
	const struct pst_config_word *name = &build->words[1];
	uint32_t taken;

	if (!PST_CONFIG_LWIP) {
		pst_config_error(build, &build->words[0].place,
				 "this program was built without its own TCP/IP (POSTERN_LWIP)");
		return;
	}
	if (build->word_count < 2) {
		pst_config_missing(build, directive, "the interface's name is missing");
		return;
	}
	if (!name_ok(name->text) || !pst_is_alpha(name->text.at[0])) {
		pst_config_error(build, &name->place,
				 "\"%.*s\" is not an interface's name, as in tap0",
				 PST_CONFIG_TEXT(name->text));
		return;
	}
	if (pst_config_interface_find(config, name->text)) {
		pst_config_error(build, &name->place, "this interface was given before");
		return;
	}
	for (uint32_t i = 2; i < build->word_count; i += taken) {
		taken = read_word(build, directive, &conf, i);
		if (taken == 0)
			return;
	}
	if (conf.dhcp ? conf.ipv4.net.family != PST_FAMILY_NONE
		      : conf.ipv4.net.family == PST_FAMILY_NONE && conf.ipv6_count == 0 &&
				!conf.slaac) {
		pst_config_missing(build, directive,
				   conf.dhcp ? "either `dhcp` or an IPv4 address"
					     : "an address, `dhcp` or `slaac` is missing");
		return;
	}
	if (config->interface_count == PST_INTERFACES_MAX) {
		pst_config_error(build, &name->place, "more than %d interfaces", PST_INTERFACES_MAX);
		return;
	}
	memcpy(conf.name, name->text.at, name->text.len);
	if (conf.mac_auto)
		make_mac(build, &conf);
	config->interfaces[config->interface_count++] = conf;
}
