#include "loop/stopwatch.h"

#include <time.h>

static uint64_t microseconds(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t pst_loop_cpu_us(void)
{
	return microseconds(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t pst_loop_wall_ms(void)
{
	return microseconds(CLOCK_REALTIME) / 1000;
}
