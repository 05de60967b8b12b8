/* loop/rng_system.c - randomness from the kernel
 *
 * getrandom(2) without flags blocks until the kernel's generator has been seeded, once after boot,
 * and never again; up to 256 bytes it is not interrupted by signals either.
 */
#include "loop/loop_epoll.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

static void system_fill(struct pst_rng *rng, void *out, size_t len)
{
	uint8_t *at = out;

	(void)rng;
	while (len > 0) {
		ssize_t got = getrandom(at, PST_MIN(len, 256), 0);

		/* A kernel without it is older than any we run on. */
		PST_BUG_ON(got < 0 && errno != EINTR);
		if (got > 0) {
			at += got;
			len -= (size_t)got;
		}
	}
}

void pst_rng_system_init(struct pst_rng *rng)
{
	rng->fill = system_fill;
}
