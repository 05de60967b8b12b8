/* app/syscalls.h - which system calls are left to the process
 *
 * Layer: app. Uses: the kernel's seccomp, libc's numbers of system calls.
 * Concept: one table (in syscalls.c) says of every system call that the program or its libraries
 * make after start what is allowed of it, and names those that only an intruder would make: they
 * end the process. Whatever the table does not name gets ENOSYS, as from an older kernel: a C
 * library that tries something new takes its older way, and mail flows on. What it names, but not
 * with these arguments, gets EPERM.
 *
 * Rejected: libseccomp (a dependency larger than what we need of it, and the same table); ending
 * the process at any unknown call (the next release of the C library would take mail down); the
 * system manager's filter alone (boards have none, and it cannot know what the configuration needs).
 */
#ifndef PST_APP_SYSCALLS_H
#define PST_APP_SYSCALLS_H

#include "base/base.h"

/* The sanitizers call the kernel for purposes of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PST_APP_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define PST_APP_SANITIZED true
#endif
#endif
#ifndef PST_APP_SANITIZED
#define PST_APP_SANITIZED false
#endif

/* What differs from one configuration to the other. */
struct pst_app_syscalls_needs {
	bool internet; /* sockets of IPv4 and IPv6; without it AF_UNIX only */
	bool machine_code; /* new executable memory: patterns compiled, character sets loaded */
};

/* From now on, for this thread and whatever comes of it; there is no way back. Wants no_new_privs.
 *  ret 0 | -PST_E_NOENT: not for this processor, by this kernel or in this build */
int pst_app_syscalls_limit(const struct pst_app_syscalls_needs *needs) PST_MUST_CHECK;

#endif
