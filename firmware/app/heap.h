/* app/heap.h - the C library's allocator, told to give memory back
 *
 * Layer: app. Uses: libc.
 * Concept: a proxy that was busy once should be small again. glibc keeps what is freed between
 * blocks in use until it is asked to let go; musl, on the boards, has nothing to be told.
 */
#ifndef PST_APP_HEAP_H
#define PST_APP_HEAP_H

#include <stdlib.h>

#ifdef __GLIBC__

#include <malloc.h>

/* Large blocks get mappings of their own, small remains at the heap's end go back at once. Setting
 * the thresholds also stops glibc from raising them by itself when large blocks come and go. */
static inline void pst_heap_tune(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	mallopt(M_TOP_PAD, 64 * 1024);
}

/* Give whole free pages back, wherever they lie. Takes in the order of a millisecond for each
 * 10 MiB of heap. */
static inline void pst_heap_trim(void)
{
	malloc_trim(64 * 1024);
}

#else

static inline void pst_heap_tune(void)
{
}

static inline void pst_heap_trim(void)
{
}

#endif

#endif
