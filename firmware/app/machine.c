#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"

static int status_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return -PST_E_NOENT;
	case EACCES:
	case EPERM:
	case EROFS:
		return -PST_E_ACCESS;
	case ENOMEM:
		return -PST_E_NOMEM;
	default:
		return -PST_E_IO;
	}
}

/* A pipe has no size to go by, so the area is as large as a file may be; the kernel gives pages
 * only to what is written, and `done` gives them back. */
static int file_read(struct pst_config_reader *self, struct pst_span path, struct pst_span *text)
{
	struct pst_app_machine *machine = PST_CONTAINER(self, struct pst_app_machine, reader);
	int fd = open((const char *)path.at, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const uint32_t size = PST_CONFIG_FILE_BYTES_MAX + 1;
	uint32_t len = 0;
	uint8_t *area;
	int status = 0;

	if (fd < 0)
		return status_of(errno);
	area = pst_mem_alloc(machine->mem, size);
	if (!area) {
		close(fd);
		return -PST_E_NOMEM;
	}
	while (len < size) {
		ssize_t done = read(fd, area + len, size - len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			status = status_of(errno);
		if (done <= 0)
			break;
		len += (uint32_t)done;
	}
	close(fd);
	if (len == size)
		status = -PST_E_RANGE;
	if (status) {
		pst_mem_free(machine->mem, area, size);
		return status;
	}
	*text = (struct pst_span){area, len};
	return 0;
}

static void file_done(struct pst_config_reader *self, struct pst_span text)
{
	struct pst_app_machine *machine = PST_CONTAINER(self, struct pst_app_machine, reader);

	pst_mem_free(machine->mem, (void *)(uintptr_t)text.at, PST_CONFIG_FILE_BYTES_MAX + 1);
}

static int write_all(int fd, struct pst_span text)
{
	while (text.len) {
		ssize_t done = write(fd, text.at, text.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return status_of(errno);
		text = pst_span_sub(text, (uint32_t)done, text.len);
	}
	return fsync(fd) ? status_of(errno) : 0;
}

int pst_app_write_file(struct pst_span folder, struct pst_span path, struct pst_span text)
{
	static const char behind[] = ".new";
	uint8_t area[1024 + sizeof(behind)];
	struct pst_buf next;
	int fd, status;

	pst_buf_init(&next, area, sizeof(area) - 1);
	if (pst_buf_put(&next, path) || pst_buf_put_text(&next, behind))
		return -PST_E_RANGE;
	area[next.len] = 0;
	if (mkdir((const char *)folder.at, 0700) && errno != EEXIST)
		return status_of(errno);
	unlink((const char *)area);
	fd = open((const char *)area, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return status_of(errno);
	status = write_all(fd, text);
	if (close(fd) && !status)
		status = status_of(errno);
	if (!status && rename((const char *)area, (const char *)path.at))
		status = status_of(errno);
	if (status)
		unlink((const char *)area);
	return status;
}

static bool address_of(const struct sockaddr *from, struct pst_addr *addr)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	*addr = (struct pst_addr){0};
	switch (from->sa_family) {
	case AF_INET:
		memcpy(&in4, from, sizeof(in4));
		memcpy(addr->ip, &in4.sin_addr, 4);
		addr->family = PST_FAMILY_IPV4;
		return true;
	case AF_INET6:
		memcpy(&in6, from, sizeof(in6));
		memcpy(addr->ip, &in6.sin6_addr, 16);
		addr->family = PST_FAMILY_IPV6;
		return true;
	default:
		return false;
	}
}

static void find_locals(struct pst_app_machine *machine)
{
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return;
	for (struct ifaddrs *one = all; one; one = one->ifa_next) {
		if (machine->local_count == PST_APP_LOCALS_MAX)
			break;
		if (one->ifa_addr &&
		    address_of(one->ifa_addr, &machine->locals[machine->local_count]))
			machine->local_count++;
	}
	freeifaddrs(all);
}

void pst_app_machine_init(struct pst_app_machine *machine, struct pst_mem *mem)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	*machine = (struct pst_app_machine){.reader = {.read = file_read, .done = file_done},
					    .mem = mem};
	if (gethostname((char *)machine->name_area, sizeof(machine->name_area) - 1) == 0)
		machine->name = pst_span_text((const char *)machine->name_area);
	if (pages > 0 && page > 0)
		machine->ram_bytes = (uint64_t)pages * (uint64_t)page;
	find_locals(machine);
}

static void to_stderr(struct pst_config_report *self, const struct pst_config_message *message)
{
	uint8_t area[2048];
	struct pst_buf text;

	(void)self;
	pst_buf_init(&text, area, sizeof(area));
	pst_config_message_put(&text, message);
	pst_app_write(STDERR_FILENO, pst_buf_span(&text));
}

int pst_app_load(struct pst_app_machine *machine, const struct pst_app_args *args,
		 struct pst_config_report *report, uint32_t generation, struct pst_config **config)
{
	struct pst_config_report people = {to_stderr};
	struct pst_config_env env = {
		.mem = machine->mem,
		.reader = &machine->reader,
		.report = report ? report : &people,
		.machine_name = machine->name,
		.ram_bytes = machine->ram_bytes,
		.locals = machine->locals,
		.local_count = machine->local_count,
	};

	return pst_config_load(&env, args->config_path, args->lines, args->line_count, generation,
			       config);
}
