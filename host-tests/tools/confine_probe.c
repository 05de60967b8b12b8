/* confine_probe - what a confined process can still do, by trying
 *
 *     confine_probe CONFIG ATTEMPT [FILE]
 *
 * Confines itself as `postern run -c CONFIG` does, then makes one attempt. Prints `done` or the
 * error's name; an attempt that ends the process is seen by its status. FILE is for those that are
 * about one. Without words it lists the attempts.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/app.h"
#include "app/confine.h"

static const char *file = "/dev/null";
static int appended = -1; /* FILE, open for appending since before */

static long try_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_inet_datagram(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static long try_inet6(void)
{
	return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long try_raw(void)
{
	return socket(AF_INET, SOCK_RAW, 1);
}

static long try_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static long try_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static long try_unix(void)
{
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static long try_io_uring(void)
{
#ifdef SYS_io_uring_setup
	/* A bad address, so that it makes nothing where it is allowed. */
	long ret = syscall(SYS_io_uring_setup, 1, NULL);

	return ret < 0 && errno == EFAULT ? 0 : ret;
#else
	return 0;
#endif
}

static long try_exec(void)
{
	char *words[] = {(char *)(uintptr_t)"true", NULL};

	printf("done\n");
	fflush(stdout);
	return execv("/bin/true", words);
}

static long try_clone(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return pid;
}

static long try_fork(void)
{
	return fork() == 0 ? (_exit(0), 0) : 0;
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_mount(void)
{
	long ret = mount("none", "/nowhere/at/all", "tmpfs", 0, NULL);

	return ret < 0 && errno == ENOENT ? 0 : ret;
}

static long try_chroot(void)
{
	return chroot("/");
}

static long try_signal(void)
{
	return kill(getppid(), 0);
}

static long try_abort(void)
{
	abort();
}

static long try_setuid(void)
{
	return setuid(12345);
}

static long try_new_call(void)
{
	return syscall(SYS_memfd_create, "x", 0);
}

static long try_read(void)
{
	return open(file, O_RDONLY);
}

static long try_write(void)
{
	return open(file, O_WRONLY);
}

static long try_read_write(void)
{
	return open(file, O_RDWR);
}

static long try_truncate(void)
{
	return open(file, O_WRONLY | O_TRUNC | O_APPEND);
}

static long try_append(void)
{
	return open(file, O_WRONLY | O_APPEND | O_CREAT, 0600);
}

static long try_create(void)
{
	return open(file, O_WRONLY | O_CREAT, 0600);
}

static long try_create_new(void)
{
	return open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static long try_overwrite(void)
{
	return fcntl(appended, F_SETFL, 0);
}

static long try_chmod(void)
{
	return chmod(file, 0755);
}

static long try_machine_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED ? -1 : 0;
}

static long try_protect(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long try_bind_low(void)
{
	/* 127.0.0.1:1, which nobody has */
	static const struct {
		uint16_t family;
		uint8_t port[2], ip[4], zero[8];
	} low = {AF_INET, {0, 1}, {127, 0, 0, 1}, {0}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? fd : bind(fd, (const struct sockaddr *)(const void *)&low, sizeof(low));
}

static const struct {
	const char *name;
	long (*run)(void);
} attempts[] = {
	{"inet", try_inet},
	{"inet-datagram", try_inet_datagram},
	{"inet6", try_inet6},
	{"raw", try_raw},
	{"packet", try_packet},
	{"netlink", try_netlink},
	{"unix", try_unix},
	{"io_uring", try_io_uring},
	{"bind-low", try_bind_low},
	{"exec", try_exec},
	{"clone", try_clone},
	{"fork", try_fork},
	{"ptrace", try_ptrace},
	{"mount", try_mount},
	{"chroot", try_chroot},
	{"kill", try_signal},
	{"abort", try_abort},
	{"setuid", try_setuid},
	{"new-call", try_new_call},
	{"read", try_read},
	{"write", try_write},
	{"read-write", try_read_write},
	{"truncate", try_truncate},
	{"append", try_append},
	{"create", try_create},
	{"create-new", try_create_new},
	{"overwrite", try_overwrite},
	{"chmod", try_chmod},
	{"machine-code", try_machine_code},
	{"protect", try_protect},
};

static bool confine_as(const char *path)
{
	const struct pst_app_args args = {.config_path = pst_span_text(path)};
	struct pst_app_machine machine;
	struct pst_app_confine confine;
	struct pst_mem_system memory;
	struct pst_config *config;

	pst_mem_system_init(&memory);
	pst_app_machine_init(&machine, &memory.mem);
	return pst_app_load(&machine, &args, NULL, 1, &config) == 0 &&
	       pst_app_confine_begin(&confine, config) && pst_app_confine_seal(&confine, config) &&
	       confine.limited == config->confine;
}

int main(int argc, char **argv)
{
	for (uint32_t i = 0; i < PST_COUNT(attempts); i++) {
		if (argc < 3) {
			printf("%s\n", attempts[i].name);
			continue;
		}
		if (!pst_span_eq(pst_span_text(argv[2]), pst_span_text(attempts[i].name)))
			continue;
		if (argc > 3) {
			file = argv[3];
			appended = open(file, O_WRONLY | O_APPEND);
		}
		if (!confine_as(argv[1]))
			return 1;
		printf("%s\n", attempts[i].run() < 0 ? strerrorname_np(errno) : "done");
		return 0;
	}
	return argc < 3 ? 0 : 2;
}
