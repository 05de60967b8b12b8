/* e2e/clock_shim.c - preloaded: the wall clock is what the first eight bytes of $POSTERN_CLOCK say off the true one
 *
 * Only CLOCK_REALTIME: the proxy's own time is monotonic, and no board sets that.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile int64_t *offset_s(void)
{
	static const volatile int64_t *mapped;
	const char *path = getenv("POSTERN_CLOCK");
	int fd = mapped || !path ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *area = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);

	if (area != MAP_FAILED)
		mapped = area;
	return mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*true_one)(clockid_t, struct timespec *);
	const volatile int64_t *offset = offset_s();
	int ret;

	if (!true_one)
		*(void **)&true_one = dlsym(RTLD_NEXT, "clock_gettime");
	ret = true_one(clock, now);
	if (clock == CLOCK_REALTIME && offset)
		now->tv_sec += *offset;
	return ret;
}
