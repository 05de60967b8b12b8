/* app/syscalls.c - see syscalls.h
 *
 * The numbers come from <sys/syscall.h>, so the table is the same for every processor; calls that
 * some of them lack stand behind an #ifdef. The program for the kernel is a plain chain in the
 * table's order, most frequent first: since 5.11 the kernel remembers calls that are always allowed,
 * and does not run it for them.
 */
#include "app/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCHITECTURE AUDIT_ARCH_I386
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(__ARMEL__)
#define ARCHITECTURE AUDIT_ARCH_ARM
#elif defined(__mips__) && _MIPS_SIM == _ABI64 && defined(__MIPSEL__)
#define ARCHITECTURE AUDIT_ARCH_MIPSEL64
#elif defined(__mips__) && _MIPS_SIM == _ABI64
#define ARCHITECTURE AUDIT_ARCH_MIPS64
#elif defined(__mips__) && _MIPS_SIM == _ABIO32 && defined(__MIPSEL__)
#define ARCHITECTURE AUDIT_ARCH_MIPSEL
#elif defined(__mips__) && _MIPS_SIM == _ABIO32
#define ARCHITECTURE AUDIT_ARCH_MIPS
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

#if defined(ARCHITECTURE) && defined(CONFIG_POSTERN_CONFINE)

enum rule {
	ANYHOW,
	OPEN_1,	   /* open's flags are its second argument: to read, to append, or what is new */
	OPEN_2,	   /* the third */
	PROTECT,   /* the third argument is what the memory is for */
	FAMILY,	   /* the first is a socket's family */
	NOT_FLAGS, /* fcntl, but not to take O_APPEND away */
	OURSELVES, /* the first is our own process */
	NEVER,	   /* whoever calls it is not Postern */
};

static const struct row {
	uint32_t number;
	enum rule rule;
} table[] = {
#define ROW(name, rule) {SYS_##name, rule},
/* --- for each message */
#ifdef SYS_epoll_wait
	ROW(epoll_wait, ANYHOW)
#endif
	ROW(epoll_pwait, ANYHOW)
	ROW(recvfrom, ANYHOW)
	ROW(sendto, ANYHOW)
	ROW(read, ANYHOW)
	ROW(readv, ANYHOW)
	ROW(writev, ANYHOW)
	ROW(sendmsg, ANYHOW)
	ROW(write, ANYHOW)
#ifdef SYS_recv
	ROW(recv, ANYHOW)
	ROW(send, ANYHOW)
#endif
	ROW(recvmsg, ANYHOW)
	ROW(accept4, ANYHOW)
	ROW(epoll_ctl, ANYHOW)
	ROW(close, ANYHOW)
	ROW(getrandom, ANYHOW)
	ROW(socket, FAMILY)
	ROW(connect, ANYHOW)
	ROW(getsockopt, ANYHOW)
	ROW(setsockopt, ANYHOW)
	ROW(getsockname, ANYHOW)
	ROW(getpeername, ANYHOW)
	ROW(shutdown, ANYHOW)
	ROW(bind, ANYHOW)
	ROW(listen, ANYHOW)
/* --- time */
#ifdef SYS_clock_gettime
	ROW(clock_gettime, ANYHOW)
#endif
#ifdef SYS_clock_gettime64
	ROW(clock_gettime64, ANYHOW)
#endif
#ifdef SYS_gettimeofday
	ROW(gettimeofday, ANYHOW)
#endif
#ifdef SYS_time
	ROW(time, ANYHOW)
#endif
/* --- memory */
#ifdef SYS_mmap2
	ROW(mmap2, PROTECT)
#endif
#if defined(SYS_mmap) && !defined(__i386__) /* which has its arguments in memory */
	ROW(mmap, PROTECT)
#endif
	ROW(mprotect, PROTECT)
	ROW(munmap, ANYHOW)
	ROW(mremap, ANYHOW)
	ROW(madvise, ANYHOW)
	ROW(brk, ANYHOW)
	ROW(futex, ANYHOW)
#ifdef SYS_futex_time64
	ROW(futex_time64, ANYHOW)
#endif
#ifdef SYS_cacheflush /* machine code was written */
	ROW(cacheflush, ANYHOW)
#endif
#ifdef __ARM_NR_cacheflush
	{__ARM_NR_cacheflush, ANYHOW},
#endif
#ifdef SYS_riscv_flush_icache
	ROW(riscv_flush_icache, ANYHOW)
#endif
/* --- files: a reload, the log */
	ROW(openat, OPEN_2)
#ifdef SYS_open
	ROW(open, OPEN_1)
#endif
#ifdef SYS_fstat
	ROW(fstat, ANYHOW)
#endif
#ifdef SYS_stat
	ROW(stat, ANYHOW)
	ROW(lstat, ANYHOW)
#endif
#ifdef SYS_fstat64
	ROW(fstat64, ANYHOW)
#endif
#ifdef SYS_stat64
	ROW(stat64, ANYHOW)
	ROW(lstat64, ANYHOW)
#endif
#ifdef SYS_newfstatat
	ROW(newfstatat, ANYHOW)
#endif
#ifdef SYS_fstatat64
	ROW(fstatat64, ANYHOW)
#endif
#ifdef SYS_statx
	ROW(statx, ANYHOW)
#endif
#ifdef SYS_access
	ROW(access, ANYHOW)
#endif
	ROW(faccessat, ANYHOW)
#ifdef SYS_faccessat2
	ROW(faccessat2, ANYHOW)
#endif
#ifdef SYS_readlink
	ROW(readlink, ANYHOW)
#endif
	ROW(readlinkat, ANYHOW)
	ROW(getdents64, ANYHOW)
#ifdef SYS_getdents
	ROW(getdents, ANYHOW)
#endif
	ROW(lseek, ANYHOW)
#ifdef SYS__llseek
	ROW(_llseek, ANYHOW)
#endif
	ROW(pread64, ANYHOW)
	ROW(fsync, ANYHOW)
	ROW(fcntl, NOT_FLAGS)
#ifdef SYS_fcntl64
	ROW(fcntl64, NOT_FLAGS)
#endif
#ifdef SYS_mkdir
	ROW(mkdir, ANYHOW)
	ROW(rename, ANYHOW)
	ROW(unlink, ANYHOW)
#endif
	ROW(mkdirat, ANYHOW)
	ROW(unlinkat, ANYHOW)
#ifdef SYS_renameat
	ROW(renameat, ANYHOW)
#endif
#ifdef SYS_renameat2
	ROW(renameat2, ANYHOW)
#endif
/* --- the rest */
#ifdef SYS_poll
	ROW(poll, ANYHOW)
#endif
	ROW(ppoll, ANYHOW)
#ifdef SYS_ppoll_time64
	ROW(ppoll_time64, ANYHOW)
#endif
	ROW(getpid, ANYHOW)
	ROW(gettid, ANYHOW)
	ROW(getuid, ANYHOW)
	ROW(geteuid, ANYHOW)
	ROW(uname, ANYHOW)
	ROW(sysinfo, ANYHOW)
	ROW(rt_sigaction, ANYHOW)
	ROW(rt_sigprocmask, ANYHOW)
	ROW(rt_sigreturn, ANYHOW)
#ifdef SYS_sigreturn
	ROW(sigreturn, ANYHOW)
#endif
	ROW(restart_syscall, ANYHOW)
	ROW(tgkill, OURSELVES) /* abort(3), and as musl does it */
	ROW(tkill, OURSELVES)
	ROW(exit_group, ANYHOW)
	ROW(exit, ANYHOW)
/* --- what takes a machine over */
	ROW(execve, NEVER)
#ifdef SYS_execveat
	ROW(execveat, NEVER)
#endif
#ifdef SYS_fork
	ROW(fork, NEVER)
#endif
#ifdef SYS_vfork
	ROW(vfork, NEVER)
#endif
	ROW(clone, NEVER)
#ifdef SYS_clone3
	ROW(clone3, NEVER)
#endif
	ROW(ptrace, NEVER)
	ROW(process_vm_readv, NEVER)
	ROW(process_vm_writev, NEVER)
#ifdef SYS_mount
	ROW(mount, NEVER)
#endif
	ROW(umount2, NEVER)
	ROW(pivot_root, NEVER)
	ROW(chroot, NEVER)
	ROW(unshare, NEVER)
	ROW(setns, NEVER)
	ROW(init_module, NEVER)
	ROW(finit_module, NEVER)
	ROW(delete_module, NEVER)
#ifdef SYS_kexec_load
	ROW(kexec_load, NEVER)
#endif
#ifdef SYS_bpf
	ROW(bpf, NEVER)
#endif
#ifdef SYS_userfaultfd
	ROW(userfaultfd, NEVER)
#endif
#ifdef SYS_io_uring_setup
	ROW(io_uring_setup, NEVER)
#endif
	ROW(perf_event_open, NEVER)
	ROW(keyctl, NEVER)
#undef ROW
};

/* A row takes two instructions, or those of the longest rule. */
#define ROW_MAX 12
#define PROGRAM_MAX (PST_COUNT(table) * 2 + 10 * ROW_MAX + 8)

_Static_assert(PROGRAM_MAX <= BPF_MAXINSNS, "the kernel takes no longer program");

/* Linux has no name for this bit alone. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)
#ifdef SECCOMP_RET_KILL_PROCESS
#define END SECCOMP_RET_KILL_PROCESS
#else
#define END SECCOMP_RET_KILL
#endif

struct program {
	struct sock_filter at[PROGRAM_MAX];
	uint32_t len;
};

static void put(struct program *program, struct sock_filter instruction)
{
	PST_BUG_ON(program->len == PROGRAM_MAX);
	program->at[program->len++] = instruction;
}

static void load(struct program *program, size_t offset)
{
	put(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* The lower half: all that we look at are ints, and bits within the lower half. */
static void load_argument(struct program *program, uint32_t index)
{
	size_t half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(uint32_t) : 0;

	load(program, offsetof(struct seccomp_data, args) + index * sizeof(uint64_t) + half);
}

static void answer(struct program *program, uint32_t what)
{
	put(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

/* The next instruction is for the value alone. */
static void if_equal(struct program *program, uint32_t value)
{
	put(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
}

static void if_any_of(struct program *program, uint32_t bits)
{
	put(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
}

/* What is there already can be appended to, never overwritten or cut. */
static void put_open(struct program *program, uint32_t flags_index)
{
	load_argument(program, flags_index);
	if_any_of(program, O_RDWR | O_TRUNC | TMPFILE_BIT);
	answer(program, REFUSE);
	if_any_of(program, O_APPEND);
	answer(program, ALLOW);
	put(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K,
						  O_WRONLY | O_CREAT | O_EXCL));
	if_equal(program, O_WRONLY | O_CREAT | O_EXCL);
	answer(program, ALLOW);
	if_any_of(program, O_WRONLY | O_CREAT);
	answer(program, REFUSE);
	answer(program, ALLOW);
}

static void put_family(struct program *program, const struct pst_app_syscalls_needs *needs)
{
	load_argument(program, 0);
	if_equal(program, AF_UNIX);
	answer(program, ALLOW);
	if (needs->internet) {
		if_equal(program, AF_INET);
		answer(program, ALLOW);
		if_equal(program, AF_INET6);
		answer(program, ALLOW);
	}
	answer(program, REFUSE);
}

/* Ends with an answer in any case. */
static void put_rule(struct program *program, enum rule rule,
		     const struct pst_app_syscalls_needs *needs)
{
	switch (rule) {
	case ANYHOW:
		break;
	case OPEN_1:
		put_open(program, 1);
		return;
	case OPEN_2:
		put_open(program, 2);
		return;
	case PROTECT:
		if (needs->machine_code)
			break;
		load_argument(program, 2);
		if_any_of(program, PROT_EXEC);
		answer(program, REFUSE);
		break;
	case FAMILY:
		put_family(program, needs);
		return;
	case NOT_FLAGS:
		load_argument(program, 1);
		if_equal(program, F_SETFL);
		answer(program, REFUSE);
		break;
	case OURSELVES:
		load_argument(program, 0);
		if_equal(program, (uint32_t)getpid());
		answer(program, ALLOW);
		answer(program, END);
		return;
	case NEVER:
		answer(program, END);
		return;
	}
	answer(program, ALLOW);
}

static void write_program(struct program *program, const struct pst_app_syscalls_needs *needs)
{
	program->len = 0;
	load(program, offsetof(struct seccomp_data, arch));
	put(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
	answer(program, END);
	load(program, offsetof(struct seccomp_data, nr));
	for (uint32_t i = 0; i < PST_COUNT(table); i++) {
		uint32_t jump = program->len;

		if_equal(program, table[i].number);
		put_rule(program, table[i].rule, needs);
		program->at[jump].jf = (uint8_t)(program->len - jump - 1);
	}
	answer(program, UNKNOWN);
}

int pst_app_syscalls_limit(const struct pst_app_syscalls_needs *needs)
{
	struct program program;
	struct sock_fprog all = {.filter = program.at};

	if (PST_APP_SANITIZED)
		return -PST_E_NOENT;
	write_program(&program, needs);
	all.len = (unsigned short)program.len;
#if defined(SYS_seccomp) && defined(SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	/* Nothing in this process runs code that a stranger has written, so nothing in it needs the
	 * processor's guess-work switched off, which older kernels do under a filter. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &all) == 0)
		return 0;
#endif
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) ? -PST_E_NOENT : 0;
}

#else

int pst_app_syscalls_limit(const struct pst_app_syscalls_needs *needs)
{
	(void)needs;
	return -PST_E_NOENT;
}

#endif
