/* app/confine.c - see confine.h */
#include "app/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/app.h"
#include "app/rule_files.h"

#define PRIVILEGED_PORTS 1024

/* --- what a configuration needs ------------------------------------------------------------ */

static bool uses_internet(const struct pst_config *config)
{
	const struct pst_proxy_conf *proxy = &config->proxy;

	for (uint32_t i = 0; i < proxy->listener_count; i++)
		if (proxy->listeners[i].via == 0)
			return true;
	for (uint32_t i = 0; i < proxy->relay.route_count; i++)
		if (proxy->relay.routes[i].via == 0)
			return true;
	return !proxy->dns.off && config->dns_via == 0;
}

/* For patterns, and for the modules that glibc's iconv loads when a header needs them. */
static bool uses_machine_code(const struct pst_config *config)
{
#ifdef __GLIBC__
	const bool modules = true;
#else
	const bool modules = false;
#endif

	return config->rules.path_count > 0 && (PST_RULES_JIT || modules);
}

static bool makes_certificate(const struct pst_config *config)
{
	return config->tls.mode == PST_CONFIG_TLS_AUTO && config->tls.pair_count == 0;
}

/* A reload moves listeners, and opens new ones. */
static bool listens_low(const struct pst_config *config)
{
	const struct pst_proxy_conf *proxy = &config->proxy;

	for (uint32_t i = 0; i < proxy->listener_count; i++) {
		const struct pst_addr *listener = &proxy->listeners[i];

		if (listener->via == 0 && listener->port > 0 && listener->port < PRIVILEGED_PORTS)
			return true;
	}
	return false;
}

const char *pst_app_confine_misses(const struct pst_app_confine *confine,
				   const struct pst_config *first, const struct pst_config *next)
{
	if (!pst_span_eq(first->user, next->user) || first->confine != next->confine)
		return "`user` and `confine` are obeyed at start only: it takes a restart";
	if (!confine->limited)
		return NULL;
	if (!confine->needs.internet && uses_internet(next))
		return "it needs sockets of the system's TCP/IP, which were given up at start "
		       "because everything went `via` an interface: it takes a restart";
	if (!confine->needs.machine_code && uses_machine_code(next))
		return "it has `rules`, and executable memory for them was given up at start: it "
		       "takes a restart";
	return NULL;
}

/* --- capabilities --------------------------------------------------------------------------- */

struct sets {
	struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3];
};

static bool get_sets(struct sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	memset(sets, 0, sizeof(*sets));
	return syscall(SYS_capget, &header, sets->half) == 0;
}

static bool set_sets(const struct sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, sets->half) == 0;
}

/* Of what is permitted, so none of this can fail. */
static void set_effective(const struct pst_app_confine *confine, uint64_t bits)
{
	struct sets sets;

	if (!confine->lowers || !get_sets(&sets))
		return;
	for (uint32_t i = 0; i < PST_COUNT(sets.half); i++)
		sets.half[i].effective = sets.half[i].permitted & (uint32_t)(bits >> (32 * i));
	(void)set_sets(&sets);
}

void pst_app_confine_raise(const struct pst_app_confine *confine)
{
	set_effective(confine, UINT64_MAX);
}

void pst_app_confine_lower(const struct pst_app_confine *confine)
{
	set_effective(confine, confine->keeps);
}

static bool give_up_capabilities(const struct pst_app_confine *confine)
{
	struct sets sets;

	if (!confine->lowers || !get_sets(&sets))
		return true;
	/* What no program started from here could ever get again; it takes CAP_SETPCAP. */
	pst_app_confine_raise(confine);
	for (unsigned long capability = 0; capability < 64; capability++)
		if (!(confine->keeps >> capability & 1))
			(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
#ifdef PR_CAP_AMBIENT
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
#endif
	for (uint32_t i = 0; i < PST_COUNT(sets.half); i++) {
		sets.half[i].permitted &= (uint32_t)(confine->keeps >> (32 * i));
		sets.half[i].effective = sets.half[i].permitted;
		sets.half[i].inheritable = 0;
	}
	return set_sets(&sets);
}

/* --- the user ------------------------------------------------------------------------------- */

struct user {
	uid_t uid;
	gid_t gid;
	const char *name; /* for the groups that it is in; NULL: in none but its own */
};

/* A name, or a number that need not have one. */
static bool find_user(struct pst_span name, struct user *user)
{
	const struct passwd *entry = getpwnam((const char *)name.at);
	uint64_t number;

	if (!entry && pst_span_u64(name, UINT32_MAX - 1, &number) == 0) {
		*user = (struct user){(uid_t)number, (gid_t)number, NULL};
		entry = getpwuid(user->uid);
		if (!entry)
			return true;
	}
	if (entry)
		*user = (struct user){entry->pw_uid, entry->pw_gid, entry->pw_name};
	return entry != NULL;
}

static bool find_user_or_complain(const struct pst_config *config, struct user *user)
{
	const char *name = (const char *)config->user.at;

	if (find_user(config->user, user))
		return true;
	pst_app_complain("there is no user \"%s\"; make it (useradd --system %s), or correct `user`\n",
			 name, name);
	return false;
}

bool pst_app_confine_check(const struct pst_config *config)
{
	struct user user;

	return config->user.len == 0 || find_user_or_complain(config, &user);
}

/* Where a certificate of our own making is kept. A folder that is there already stays whose it is:
 * giving away what a path leads to is not safe where others can write. */
static void make_state(const struct pst_config *config, const struct user *user)
{
	const char *folder = (const char *)config->tls.state.at;

	if (!makes_certificate(config) || mkdir(folder, 0700))
		return;
	if (lchown(folder, user->uid, user->gid))
		pst_app_complain("%s cannot be given to `user`: %m\n", folder);
}

/* Root's groups go. The user's own come: by one of them it may read the keys. */
static bool take_groups(const struct user *user)
{
	if (user->name)
		return initgroups(user->name, user->gid) == 0;
	return setgroups(1, &user->gid) == 0;
}

static bool become(struct pst_app_confine *confine, const struct pst_config *config)
{
	struct user user;

	if (!find_user_or_complain(config, &user))
		return false;
	if (!confine->by_root || user.uid == 0) {
		confine->is_other = user.uid == geteuid() && user.uid != 0;
		return true;
	}
	make_state(config, &user);
	/* The capabilities stay permitted: devices are opened later. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || !take_groups(&user) ||
	    setresgid(user.gid, user.gid, user.gid) || setresuid(user.uid, user.uid, user.uid)) {
		pst_app_complain("not started: cannot become the user %s: %m\n",
				 (const char *)config->user.at);
		return false;
	}
	confine->is_other = true;
	return true;
}

bool pst_app_confine_begin(struct pst_app_confine *confine, const struct pst_config *config)
{
	*confine = (struct pst_app_confine){
		.by_root = geteuid() == 0,
		.needs = {uses_internet(config), uses_machine_code(config)},
	};
	if (listens_low(config))
		confine->keeps = UINT64_C(1) << CAP_NET_BIND_SERVICE;
	if (config->user.len > 0) {
		if (!become(confine, config))
			return false;
	} else if (confine->by_root && config->confine) {
		(void)setgroups(0, NULL);
	}
	confine->lowers = config->confine || confine->is_other;
	pst_app_confine_lower(confine);
	return true;
}

/* --- places --------------------------------------------------------------------------------- */

#if defined(SYS_landlock_create_ruleset) && defined(CONFIG_POSTERN_CONFINE)

/* As the kernel defines them; the headers of a C library may be older than the kernel. */
struct landlock_ruleset {
	uint64_t files, ports, scopes;
};

struct landlock_place {
	uint64_t allowed;
	int32_t folder;
} __attribute__((packed));

enum {
	LANDLOCK_VERSION = 1 << 0, /* a flag: what there is */
	LANDLOCK_BENEATH = 1,	   /* a type of rule */

	EXECUTE = 1 << 0,
	WRITE_FILE = 1 << 1,
	REMOVE_FILE = 1 << 5,
	MAKE_REG = 1 << 8,
	/* REMOVE_DIR, MAKE_CHAR, _DIR, _SOCK, _FIFO, _BLOCK, _SYM */
	OTHERS = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
	LINK_ELSEWHERE = 1 << 13, /* since 2 */
	TRUNCATE = 1 << 14,	  /* since 3 */
	DEVICES = 1 << 15,	  /* since 5: ioctl(2) */

	SCOPE_ABSTRACT_UNIX = 1 << 0, /* since 6 */
	SCOPE_SIGNAL = 1 << 1,
};

static void allow_in(int ruleset, const char *folder, uint64_t allowed)
{
	struct landlock_place place = {.allowed = allowed};
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	place.folder = fd;
	(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_BENEATH, &place, 0);
	close(fd);
}

/* The folder that a file is in: it is moved aside, and made anew. */
static void allow_beside(int ruleset, struct pst_span path, uint64_t allowed)
{
	char folder[1024] = ".";
	uint32_t len = path.len;

	while (len > 0 && path.at[len - 1] != '/')
		len--;
	if (path.len == 0 || len >= sizeof(folder))
		return;
	if (len > 0) {
		memcpy(folder, path.at, len);
		folder[len] = 0;
	}
	allow_in(ruleset, folder, allowed);
}

static void allow_places(int ruleset, const struct pst_config *config)
{
	const uint64_t replace = WRITE_FILE | MAKE_REG | REMOVE_FILE;

	if (config->log == PST_CONFIG_LOG_FILE)
		allow_beside(ruleset, config->log_path, WRITE_FILE | MAKE_REG);
	allow_beside(ruleset, config->store.path, replace);
	if (makes_certificate(config))
		allow_in(ruleset, (const char *)config->tls.state.at, replace);
}

/* To read is left to the user's rights: configuration, rules, keys, resolv.conf, zones of time and
 * tables of character sets lie all over the place, and a reload may name others. */
static void limit_places(struct pst_app_confine *confine, const struct pst_config *config)
{
	struct landlock_ruleset all = {
		.files = EXECUTE | WRITE_FILE | REMOVE_FILE | MAKE_REG | OTHERS,
	};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	size_t size = version >= 6 ? sizeof(all) : sizeof(all.files);
	int ruleset;

	if (version < 1)
		return;
	all.files |= version >= 2 ? LINK_ELSEWHERE : 0;
	all.files |= version >= 3 ? TRUNCATE : 0;
	all.files |= version >= 5 ? DEVICES : 0;
	all.scopes = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
	if (ruleset < 0)
		return;
	allow_places(ruleset, config);
	confine->landlocked = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
}

#else

static void limit_places(struct pst_app_confine *confine, const struct pst_config *config)
{
	(void)confine, (void)config;
}

#endif

/* --- the end of it -------------------------------------------------------------------------- */

/* Keys are in memory. Who is not root may go on looking at what he himself has started, and so does
 * a sanitizer at what it has been built into. */
static void hide_memory(const struct pst_app_confine *confine)
{
	static const struct rlimit none;

	(void)setrlimit(RLIMIT_CORE, &none);
	if (confine->by_root && !PST_APP_SANITIZED)
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

bool pst_app_confine_seal(struct pst_app_confine *confine, const struct pst_config *config)
{
	if (!give_up_capabilities(confine)) {
		pst_app_complain("not started: capabilities cannot be given up: %m\n");
		return false;
	}
	if (!config->confine)
		return true;
	confine->sealed = true;
	hide_memory(confine);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		pst_app_complain("not started: no_new_privs: %m; `confine off` does without\n");
		return false;
	}
	limit_places(confine, config);
	confine->limited = pst_app_syscalls_limit(&confine->needs) == 0;
	return true;
}

void pst_app_confine_tell(const struct pst_app_confine *confine, const struct pst_config *config,
			  struct pst_log *log)
{
	const char *why = PST_APP_SANITIZED ? "off: built with a sanitizer"
					    : "off: not on this system";

	pst_log_begin(log, PST_LOG_INFO, "confine");
	pst_log_u64(log, "uid", geteuid());
	pst_log_text(log, "capabilities",
		     !confine->lowers ? "all" : confine->keeps ? "net_bind_service" : "none");
	if (confine->sealed) {
		pst_log_text(log, "system_calls", confine->limited ? "limited" : why);
		pst_log_text(log, "sockets",
			     confine->needs.internet || !confine->limited ? "inet unix" : "unix");
		pst_log_text(log, "machine_code",
			     confine->needs.machine_code || !confine->limited ? "allowed" : "no");
		pst_log_text(log, "places", confine->landlocked ? "limited" : "off: no Landlock");
	} else {
		pst_log_text(log, "system_calls", "off: by `confine off`");
	}
	pst_log_end(log);
	if (config->user.len > 0 && !confine->by_root && !confine->is_other)
		pst_log_message(log, PST_LOG_WARNING, "user",
				"`user` takes root to begin with; this is uid %u, and stays it",
				geteuid());
	else if (confine->by_root && !confine->is_other)
		pst_log_message(log, PST_LOG_WARNING, "user",
				"runs as root%s; `user NAME` makes it somebody else",
				confine->lowers ? ", though without root's capabilities" : "");
}
