/* arch/cc.h - lwIP's view of the compiler and of us. Randomness is the rng seam's; a failed lwIP assertion is a bug of
 * ours or of lwIP's and ends in pst_lwip_assert_failed(), like any other. All pst_lwip_* functions are the adapter's.
 */
#ifndef POSTERN_LWIP_ARCH_CC_H
#define POSTERN_LWIP_ARCH_CC_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

uint32_t pst_lwip_random(void);
_Noreturn void pst_lwip_assert_failed(const char *text, const char *file, int line);

#define LWIP_ERRNO_INCLUDE <errno.h>
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_RAND() pst_lwip_random()
#define LWIP_PLATFORM_DIAG(message)                                                                \
	do {                                                                                       \
	} while (0)
#define LWIP_PLATFORM_ASSERT(text) pst_lwip_assert_failed(text, __FILE__, __LINE__)

#endif
