/* app/confine.h - a running proxy keeps only what it needs
 *
 * Layer: app. Uses: config, app/syscalls.h, base; the kernel's users, capabilities and Landlock.
 * Concept: two steps. `begin`, as soon as the configuration is known, becomes the user that it
 * names and puts the capabilities aside: from then on every file (keys, rules, log, state) is
 * opened with the rights that a reload will have, so what cannot be reloaded does not start either.
 * Only devices, sockets and limits that take more are opened between `raise` and `lower`. `seal`,
 * before the first byte from the network is read, gives the capabilities up, limits system calls
 * (app/syscalls.h) and, where the kernel has Landlock, the places that can be written to.
 *
 * Rejected: a privileged parent that opens things for a confined child (a second process on every
 * board, and a protocol between the two, for the sake of keys that one group can read as well).
 */
#ifndef PST_APP_CONFINE_H
#define PST_APP_CONFINE_H

#include "app/syscalls.h"
#include "base/log.h"
#include "config/config.h"

struct pst_app_confine {
	bool by_root;	/* started so */
	bool is_other;	/* and has become the user of the configuration */
	bool lowers;	/* capabilities are this module's business */
	bool sealed;	/* by `confine on` */
	bool limited;	/* system calls are */
	bool landlocked;
	uint64_t keeps; /* capabilities, as the kernel's bits */
	struct pst_app_syscalls_needs needs;
};

/* Whether the machine has the `user` of a configuration; complains itself. */
bool pst_app_confine_check(const struct pst_config *config) PST_MUST_CHECK;

/* Complains itself. */
bool pst_app_confine_begin(struct pst_app_confine *confine, const struct pst_config *config)
	PST_MUST_CHECK;

/* All capabilities that the process was started with; only until `seal`. */
void pst_app_confine_raise(const struct pst_app_confine *confine);
void pst_app_confine_lower(const struct pst_app_confine *confine);

/* There is no way back. What this kernel does not have is said in the log and done without.
 *  ret false, having complained: the system refused what it should not */
bool pst_app_confine_seal(struct pst_app_confine *confine, const struct pst_config *config)
	PST_MUST_CHECK;
void pst_app_confine_tell(const struct pst_app_confine *confine, const struct pst_config *config,
			  struct pst_log *log);

/* Whether a new generation can do with what was kept for the first.
 *  ret NULL, or why not */
const char *pst_app_confine_misses(const struct pst_app_confine *confine,
				   const struct pst_config *first, const struct pst_config *next);

#endif
