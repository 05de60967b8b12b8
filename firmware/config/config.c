#include "config/config.h"

#include <string.h>

#include "config/table_priv.h"
#include "config/value_priv.h"

struct pst_config *pst_config_of(struct pst_proxy_conf *proxy)
{
	return PST_CONTAINER(proxy, struct pst_config, proxy);
}

uint64_t pst_config_bytes(const struct pst_config *config)
{
	return sizeof(*config) + config->arena.bytes;
}

static void release(struct pst_proxy_conf *proxy)
{
	struct pst_config *config = pst_config_of(proxy);

	for (uint32_t i = 0; i < PST_CONFIG_ATTACHED_MAX; i++)
		if (config->on_release[i])
			config->on_release[i](config);
	pst_config_arena_free(&config->arena);
	pst_mem_free(config->arena.mem, config, sizeof(*config));
}

/* --- reading files ------------------------------------------------------------------------- */

static struct pst_config_file *file_add(struct pst_config_build *build, struct pst_span name,
					const struct pst_config_place *place)
{
	struct pst_config_file *file;

	if (build->file_count == PST_CONFIG_FILES_MAX) {
		pst_config_error(build, place, "more than %d files and -o lines",
				 PST_CONFIG_FILES_MAX);
		return NULL;
	}
	file = &build->files[build->file_count];
	file->name = pst_config_copy(build, &build->scratch, name);
	if (build->nomem)
		return NULL;
	build->file_count++;
	return file;
}

static void read_lines(struct pst_config_build *build, const struct pst_config_file *file)
{
	struct pst_span rest = file->text;

	for (uint32_t number = 1; rest.len && !build->nomem; number++) {
		struct pst_span line = pst_config_line(&rest);

		if (pst_config_lex(build, file, number, line))
			pst_config_table_read(build);
	}
}

/* A file that includes itself, through others or not, would never end. */
static bool may_include(struct pst_config_build *build, struct pst_span path,
			const struct pst_config_place *place)
{
	uint32_t depth = 0;

	for (const struct pst_config_file *file = place ? place->file : NULL; file;
	     file = file->parent) {
		if (pst_span_eq(file->name, path)) {
			pst_config_error(build, place, "%.*s includes itself",
					 PST_CONFIG_TEXT(path));
			return false;
		}
		if (++depth > PST_CONFIG_DEPTH_MAX) {
			pst_config_error(build, place, "more than %d files deep",
					 PST_CONFIG_DEPTH_MAX);
			return false;
		}
	}
	return true;
}

const struct pst_config_file *pst_config_open(struct pst_config_build *build, struct pst_span path,
					      const struct pst_config_place *place)
{
	struct pst_config_file *file = file_add(build, path, place);
	int status;

	if (!file)
		return NULL;
	file->parent = place ? place->file : NULL;
	status = build->env->reader->read(build->env->reader, file->name, &file->text);
	if (status == -PST_E_NOMEM) {
		build->nomem = true;
	} else if (status == -PST_E_RANGE) {
		pst_config_error(build, place, "%.*s: larger than %d KiB", PST_CONFIG_TEXT(path),
				 PST_CONFIG_FILE_BYTES_MAX / 1024);
	} else if (status && !place) {
		pst_config_error(build, place, "cannot be read: %s; -c FILE names another",
				 pst_strerror(status));
	} else if (status) {
		pst_config_error(build, place, "%.*s: cannot be read: %s", PST_CONFIG_TEXT(path),
				 pst_strerror(status));
	} else {
		file->owned = true;
		return file;
	}
	return NULL;
}

void pst_config_read(struct pst_config_build *build, struct pst_span path,
		     const struct pst_config_place *place)
{
	const struct pst_config_file *file;

	if (!may_include(build, path, place))
		return;
	file = pst_config_open(build, path, place);
	if (file)
		read_lines(build, file);
}

static void read_command_lines(struct pst_config_build *build, const struct pst_span *lines,
			       uint32_t count)
{
	for (uint32_t i = 0; i < count && !build->nomem; i++) {
		struct pst_config_file *file = file_add(build, PST_SPAN("-o"), NULL);

		if (!file)
			return;
		file->command_line = true;
		if (pst_config_lex(build, file, i + 1, lines[i]))
			pst_config_table_read(build);
	}
}

/* --- what the files did not say ------------------------------------------------------------ */

static bool has(const struct pst_config_build *build, const char *directive, const char *option)
{
	return pst_config_table_given(build, directive, option)->file != NULL;
}

static void default_hold(struct pst_config_build *build)
{
	const uint64_t page = 4096;
	struct pst_proxy_conf *conf = &build->config->proxy;
	uint64_t ram = build->env->ram_bytes, eighth;

	if (!has(build, "hold-pool", NULL) && ram && ram / 16 < conf->hold_pool_bytes)
		conf->hold_pool_bytes = PST_MAX(ram / 16 / page * page, (uint64_t)64 * 1024);
	eighth = conf->hold_pool_bytes / 8;
	if (!has(build, "hold", NULL) && conf->hold_bytes_max > eighth)
		conf->hold_bytes_max = (uint32_t)eighth;
}

static void default_hostname(struct pst_config_build *build)
{
	struct pst_config *config = build->config;
	struct pst_span name = build->env->machine_name;

	if (!has(build, "hostname", NULL)) {
		if (!pst_config_domain_ok(name)) {
			pst_config_error(build, NULL,
					 "the machine's name \"%.*s\" is not a domain; add a line "
					 "`hostname mx.example.org` with this server's name",
					 PST_CONFIG_TEXT(name));
			return;
		}
		config->proxy.hostname = pst_config_copy(build, &config->arena, name);
	}
	if (!build->error_count && pst_span_find(config->proxy.hostname, '.') < 0)
		pst_config_warning(build, pst_config_table_given(build, "hostname", NULL),
				   "the host name \"%.*s\" is not fully qualified; mail servers "
				   "expect one like mx.example.org",
				   PST_CONFIG_TEXT(config->proxy.hostname));
}

static void default_listen(struct pst_config_build *build)
{
	struct pst_proxy_conf *conf = &build->config->proxy;

	if (conf->listener_count)
		return;
	conf->listeners[0] = (struct pst_addr){.family = PST_FAMILY_IPV4, .port = 25};
	conf->listeners[1] = (struct pst_addr){.family = PST_FAMILY_IPV6, .port = 25};
	conf->listener_count = 2;
}

/* Loopback, RFC 1918, RFC 4193 unique local, link-local. */
static const struct pst_cidr trust_preset[] = {
	{{PST_FAMILY_IPV4, 0, 0, {127}}, 8},	{{PST_FAMILY_IPV4, 0, 0, {10}}, 8},
	{{PST_FAMILY_IPV4, 0, 0, {172, 16}}, 12},	{{PST_FAMILY_IPV4, 0, 0, {192, 168}}, 16},
	{{PST_FAMILY_IPV4, 0, 0, {169, 254}}, 16}, {{PST_FAMILY_IPV6, 0, 0, {[15] = 1}}, 128},
	{{PST_FAMILY_IPV6, 0, 0, {0xfc}}, 7},	{{PST_FAMILY_IPV6, 0, 0, {0xfe, 0x80}}, 10},
};

/* --- from lists to arrays ------------------------------------------------------------------ */

static void finish_trust(struct pst_config_build *build)
{
	struct pst_policy_conf *policy = &build->config->proxy.policy;
	struct pst_cidr *trust;
	uint32_t count = 0;

	if (build->trust_none.file && build->trust.count)
		pst_config_error(build, &build->trust_none,
				 "`trust none` beside other networks; keep the one or the others");
	if (!build->trust.count) {
		policy->trust = trust_preset;
		policy->trust_count = build->trust_none.file ? 0 : PST_COUNT(trust_preset);
		return;
	}
	trust = pst_config_get(build, &build->config->arena, sizeof(*trust) * build->trust.count);
	if (!trust)
		return;
	for (struct pst_config_item *item = build->trust.first; item; item = item->next)
		trust[count++] = item->is.cidr;
	policy->trust = trust;
	policy->trust_count = count;
}

static void finish_entries(struct pst_config_build *build)
{
	struct pst_policy_conf *policy = &build->config->proxy.policy;
	struct pst_policy_entry *entries;
	uint32_t count = 0;

	if (!build->entries.count)
		return;
	entries = pst_config_get(build, &build->config->arena,
				 sizeof(*entries) * build->entries.count);
	if (!entries)
		return;
	for (struct pst_config_item *item = build->entries.first; item; item = item->next)
		entries[count++] = item->is.entry;
	policy->entries = entries;
	policy->entry_count = count;
}

static void finish_submission(struct pst_config_build *build)
{
	struct pst_route *route;

	if (build->listener_submission.file && !build->submission.server_count)
		pst_config_error(build, &build->listener_submission,
				 "who logs in here? Add a line `submission to ADDRESS:587` with the "
				 "internal server that knows the users");
	if (!build->submission.server_count)
		return;
	route = pst_config_get(build, &build->config->arena, sizeof(*route));
	if (!route)
		return;
	*route = build->submission;
	build->config->proxy.relay.submission = route;
}

static void finish_routes(struct pst_config_build *build)
{
	struct pst_relay_conf *relay = &build->config->proxy.relay;
	struct pst_route *routes;

	finish_submission(build);
	relay->hostname = build->config->proxy.hostname;
	if (!build->route_count) {
		if (!build->error_count)
			pst_config_error(build, NULL,
					 "no `relay` line: which domains are mailed to which "
					 "internal server? For example: "
					 "relay example.org to 192.168.1.10:25");
		return;
	}
	routes = pst_config_get(build, &build->config->arena, sizeof(*routes) * build->route_count);
	if (!routes)
		return;
	memcpy(routes, build->routes, sizeof(*routes) * build->route_count);
	relay->routes = routes;
	relay->route_count = build->route_count;
}

/* --- what only shows when everything is known ---------------------------------------------- */

static bool is_any(const struct pst_addr *addr)
{
	for (uint32_t i = 0; i < sizeof(addr->ip); i++)
		if (addr->ip[i])
			return false;
	return true;
}

/* Loopback and the unspecified address always mean this machine. */
static bool is_local(const struct pst_config_env *env, const struct pst_addr *addr)
{
	static const struct pst_cidr loopback[] = {
		{{PST_FAMILY_IPV4, 0, 0, {127}}, 8},
		{{PST_FAMILY_IPV6, 0, 0, {[15] = 1}}, 128},
	};

	for (uint32_t i = 0; i < PST_COUNT(loopback); i++)
		if (pst_cidr_has(&loopback[i], addr))
			return true;
	for (uint32_t i = 0; i < env->local_count; i++)
		if (pst_addr_eq(&env->locals[i], addr))
			return true;
	return is_any(addr);
}

static void check_loops(struct pst_config_build *build)
{
	const struct pst_proxy_conf *conf = &build->config->proxy;

	for (struct pst_config_item *item = build->servers.first; item; item = item->next) {
		const struct pst_addr *server = &item->is.addr;

		for (uint32_t i = 0; i < conf->listener_count; i++) {
			const struct pst_addr *own = &conf->listeners[i];

			if (own->port != server->port || own->family != server->family)
				continue;
			if (!pst_addr_eq(own, server) &&
			    !(is_any(own) && is_local(build->env, server)) &&
			    !(is_any(server) && is_local(build->env, own)))
				continue;
			pst_config_error(build, &item->place,
					 "this is an address that we listen on ourselves: mail "
					 "would go round in circles");
			break;
		}
	}
}

static void check_sizes(struct pst_config_build *build)
{
	const struct pst_proxy_conf *conf = &build->config->proxy;
	const struct pst_config_place *hold = pst_config_table_given(build, "hold", NULL);
	uint64_t eighth = conf->hold_pool_bytes / 8;
	uint8_t area[32];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (conf->hold_bytes_max > conf->hold_pool_bytes) {
		pst_config_size_put(&text, conf->hold_pool_bytes);
		pst_config_error(build, hold, "`hold` is more than the whole `hold-pool` of %.*s",
				 PST_CONFIG_TEXT(pst_buf_span(&text)));
	} else if (conf->hold_bytes_max > eighth) {
		pst_config_size_put(&text, eighth);
		pst_config_warning(build, hold,
				   "one client network may take an eighth of `hold-pool`, %.*s: "
				   "its larger messages will stream",
				   PST_CONFIG_TEXT(pst_buf_span(&text)));
	}
	if (conf->policy.error_soft_count > conf->policy.error_hard_count) {
		const struct pst_config_place *soft =
			pst_config_table_given(build, "limit", "errors-soft");

		pst_config_error(build,
				 soft->file ? soft
					    : pst_config_table_given(build, "limit", "errors-hard"),
				 "`errors-soft` (%u) is above `errors-hard` (%u)",
				 conf->policy.error_soft_count, conf->policy.error_hard_count);
	}
}

static void finish(struct pst_config_build *build)
{
	default_hold(build);
	default_hostname(build);
	default_listen(build);
	finish_trust(build);
	finish_entries(build);
	finish_routes(build);
	pst_config_finish_tls(build);
	pst_config_finish_checks(build);
	check_loops(build);
	check_sizes(build);
}

int pst_config_load(const struct pst_config_env *env, struct pst_span path,
		    const struct pst_span *lines, uint32_t line_count, uint32_t generation,
		    struct pst_config **out)
{
	struct pst_config_build *build = pst_mem_alloc(env->mem, sizeof(*build));
	struct pst_config *config = pst_mem_alloc(env->mem, sizeof(*config));
	int status = -PST_E_NOMEM;

	if (!build || !config)
		goto fail;
	build->env = env;
	build->config = config;
	build->scratch.mem = env->mem;
	build->scratch.bytes_max = PST_CONFIG_BYTES_MAX;
	config->arena.mem = env->mem;
	config->arena.bytes_max = PST_CONFIG_BYTES_MAX;
	config->proxy.ref_count = 1;
	config->proxy.release = release;
	config->proxy.generation = generation;
	pst_config_table_preset(config);
	pst_config_read(build, path, NULL);
	read_command_lines(build, lines, line_count);
	if (!build->nomem)
		finish(build);
	if (build->nomem)
		status = -PST_E_NOMEM;
	else
		status = build->error_count ? -PST_E_SYNTAX : 0;
	for (uint32_t i = 0; i < build->file_count; i++)
		if (build->files[i].owned)
			env->reader->done(env->reader, build->files[i].text);
	pst_config_arena_free(&build->scratch);
	if (status)
		pst_config_arena_free(&config->arena);
fail:
	pst_mem_free(env->mem, build, sizeof(*build));
	if (status) {
		pst_mem_free(env->mem, config, sizeof(*config));
		return status;
	}
	*out = config;
	return 0;
}
